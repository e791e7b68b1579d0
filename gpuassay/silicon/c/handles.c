/* Handles, traces and other small things. */
#define _GNU_SOURCE
#include "nvml.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int copied(char *to, uint32_t bytes, const char *from) {
    if (!to) return INVALID_ARGUMENT;
    size_t need = strlen(from) + 1;
    if (need > bytes) return INSUFFICIENT_SIZE;
    memcpy(to, from, need);
    return SUCCESS;
}

void traced(const char *function, int code, int *last) {
    const char *path;
    if (__atomic_exchange_n(last, code, __ATOMIC_RELAXED) == code || !(path = getenv("GPUASSAY_NVML_TRACE"))) return;
    int out = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (out < 0) return;
    char line[160];
    int length = snprintf(line, sizeof line, "%d %s %d\n", getpid(), function, code);
    if (write(out, line, (size_t)length) < 0) fprintf(stderr, "gpuassay's fake NVML: %s cannot be written\n", path);
    close(out);
}

static struct handle *handles;

struct handle *handle_of(enum kind kind, uint32_t gpu, uint32_t slot, uint32_t compute) {
    struct gpu_instance *instance = &state->gpus[gpu].instances[slot];
    uint64_t serial = kind == A_GPU ? 0 : kind == A_GPU_INSTANCE ? instance->serial : instance->compute[compute].serial;
    for (struct handle *one = handles; one; one = one->next)
        if (one->kind == kind && one->gpu == gpu && one->slot == slot && one->compute == compute && one->serial == serial)
            return one;
    struct handle *made = malloc(sizeof *made); /* never freed: a client may ask with it for as long as it lives */
    if (!made) return NULL;
    *made = (struct handle){kind, gpu, slot, compute, serial, handles};
    return handles = made;
}

const struct handle *handle_checked(const struct handle *handle, int kinds) {
    for (struct handle *one = handles; one; one = one->next)
        if (one == handle) return (one->kind & kinds) && one->gpu < state->gpus_count ? one : NULL;
    return NULL;
}

uint32_t gpuassay_layout(uint32_t which) { /* for the test that compares these structures with layout.py */
    const uint32_t sizes[] = {sizeof(struct state), sizeof(struct fault), sizeof(struct model), sizeof(struct profile),
                              sizeof(struct gpu), sizeof(struct gpu_instance), sizeof(struct compute_instance),
                              sizeof(struct event)};
    return which < sizeof sizes / sizeof *sizes ? sizes[which] : 0;
}
