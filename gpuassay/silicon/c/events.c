/* Xid events: a client waits for what a test has written. */
#define _GNU_SOURCE
#include "nvml.h"

#include <stdlib.h>
#include <time.h>

enum { XID_CRITICAL = 8, POLL_MS = 20 };

struct event_set { uint64_t seen; uint32_t gpus; };
struct event_data { struct handle *device; unsigned long long type, data; unsigned gpu_instance, compute_instance; };

int nvmlEventSetCreate(struct event_set **set) {
    CALL(NO_HANDLE, NULL, {
        if (!set) rc = INVALID_ARGUMENT;
        else if (!(*set = calloc(1, sizeof **set))) rc = UNKNOWN;
        else (*set)->seen = state->events_count;
    })
}
int nvmlEventSetFree(struct event_set *set) {
    free(set);
    return SUCCESS;
}
int nvmlDeviceGetSupportedEventTypes(struct handle *device, unsigned long long *types) {
    CALL(A_GPU, device, if (types) *types = XID_CRITICAL; else rc = INVALID_ARGUMENT;)
}
int nvmlDeviceRegisterEvents(struct handle *device, unsigned long long types, struct event_set *set) {
    CALL(A_GPU, device, if (!set) rc = INVALID_ARGUMENT; else if (types & XID_CRITICAL) set->gpus |= 1u << v.index;)
}

/* The next event for this set, or TIMED_OUT. */
static int next(struct event_set *set, struct event_data *out) {
    if (state->events_count - set->seen > EVENTS) set->seen = state->events_count - EVENTS;
    while (set->seen < state->events_count) {
        struct event *event = &state->events[set->seen++ % EVENTS];
        if (event->kind != XID || event->gpu >= state->gpus_count || !(set->gpus >> event->gpu & 1)) continue;
        struct handle *device = handle_of(A_GPU, event->gpu, 0, 0);
        *out = (struct event_data){device, XID_CRITICAL, event->code, event->gpu_instance, event->compute_instance};
        return device ? SUCCESS : UNKNOWN;
    }
    return TIMED_OUT;
}

static int look(struct event_set *set, struct event_data *out) {
    CALL(NO_HANDLE, NULL, rc = set && out ? next(set, out) : INVALID_ARGUMENT;)
}

int nvmlEventSetWait_v2(struct event_set *set, struct event_data *out, unsigned timeout_ms) {
    for (unsigned waited = 0;; waited += POLL_MS) {
        int rc = look(set, out);
        if (rc != TIMED_OUT || waited >= timeout_ms) return rc;
        nanosleep(&(struct timespec){0, POLL_MS * 1000000L}, NULL);
    }
}
int nvmlEventSetWait(struct event_set *set, struct event_data *out, unsigned timeout_ms) {
    return nvmlEventSetWait_v2(set, out, timeout_ms);
}
