/* Opens, locks and checks the state; injects faults; keeps the list of events. */
#define _GNU_SOURCE
#include "nvml.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct state *state;
static int file = -1, users;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static int dying; /* CODE_DIE_BEFORE or CODE_DIE_AFTER of the call under way */

static void complain(const char *path, const char *what) {
    static int said;
    if (!said++) fprintf(stderr, "gpuassay's fake NVML: %s: %s\n", path, what);
}

uint64_t hash_bytes(const void *bytes, uint64_t count) { /* FNV-1a, 64 bits */
    uint64_t hash = 14695981039346656037ull;
    for (const unsigned char *at = bytes; count--; at++) hash = (hash ^ *at) * 1099511628211ull;
    return hash;
}

static int ended(const char *text, size_t bytes) { return memchr(text, 0, bytes) != NULL; }

static const char *wrong_models(void) {
    if (state->models_count == 0 || state->models_count > MODELS) return "the number of GPU models is impossible";
    if (state->models_checksum != hash_bytes(state->models, sizeof state->models)) return "the GPU models were altered";
    for (uint32_t m = 0; m < state->models_count; m++) {
        struct model *model = &state->models[m];
        if (model->profiles_count > PROFILES || model->memory_slices > 8 || !ended(model->product, PRODUCT_BYTES))
            return "a GPU model is impossible";
        for (uint32_t p = 0; p < model->profiles_count; p++) {
            struct profile *profile = &model->profiles[p];
            if (profile->starts_count > STARTS || profile->compute_count > COMPUTE_PROFILES || !ended(profile->name, NAME_BYTES))
                return "a MIG profile is impossible";
            for (uint32_t c = 0; c < profile->compute_count; c++)
                if (profile->compute[c].starts_count > STARTS) return "a compute instance profile is impossible";
        }
    }
    return NULL;
}

static const char *wrong_gpus(void) {
    if (state->gpus_count > GPUS) return "the number of GPUs is impossible";
    for (uint32_t g = 0; g < state->gpus_count; g++) {
        struct gpu *gpu = &state->gpus[g];
        if (gpu->model >= state->models_count || !ended(gpu->uuid, UUID_BYTES)) return "a GPU is impossible";
        struct model *model = &state->models[gpu->model];
        uint32_t taken = 0;
        for (int i = 0; i < INSTANCES; i++) {
            struct gpu_instance *one = &gpu->instances[i];
            if (!one->used) continue;
            if (one->used != 1 || one->profile >= model->profiles_count || one->size > 8 || one->start > 8 - one->size)
                return "a GPU instance is impossible";
            uint32_t mask = ((1u << one->size) - 1) << one->start;
            if (taken & mask) return "two GPU instances overlap";
            taken |= mask;
            for (int c = 0; c < COMPUTE_INSTANCES; c++) {
                struct compute_instance *compute = &one->compute[c];
                if (compute->used > 1 || (compute->used && (compute->profile >= model->profiles[one->profile].compute_count ||
                                                            !ended(compute->uuid, UUID_BYTES))))
                    return "a compute instance is impossible";
            }
        }
    }
    return NULL;
}

/* Why the state cannot be used, or null. A short file would end the process at the first touch: its size comes first. */
static const char *wrong(int full) {
    struct stat facts;
    if (fstat(file, &facts) || facts.st_size < (off_t)sizeof *state) return "it is shorter than a state";
    if (memcmp(state->magic, STATE_MAGIC, sizeof state->magic)) return "it is no state of gpuassay.silicon";
    if (state->version != STATE_VERSION || state->size != sizeof *state) return "it is of another version";
    if (!ended(state->driver, NAME_BYTES) || !ended(state->nvml, NAME_BYTES)) return "its version texts do not end";
    const char *models = full ? wrong_models() : NULL;
    return models ? models : wrong_gpus();
}

static void closed(void) {
    if (state) munmap(state, sizeof *state);
    if (file >= 0) close(file);
    state = NULL;
    file = -1;
}

static int opened(void) {
    const char *path = getenv("GPUASSAY_NVML_STATE"), *why = NULL;
    if (state) return SUCCESS;
    if (!path) { complain("GPUASSAY_NVML_STATE", "not set; it names the state file"); return DRIVER_NOT_LOADED; }
    file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) { complain(path, strerror(errno)); return DRIVER_NOT_LOADED; }
    struct stat facts;
    if (fstat(file, &facts) || facts.st_size < (off_t)sizeof *state) why = "it is shorter than a state";
    if (!why) {
        state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (state == MAP_FAILED) { state = NULL; why = strerror(errno); }
    }
    if (!why) {
        flock(file, LOCK_EX);
        why = wrong(1);
        flock(file, LOCK_UN);
    }
    if (!why) return SUCCESS;
    complain(path, why);
    closed();
    return DRIVER_NOT_LOADED;
}

int state_open(void) {
    pthread_mutex_lock(&guard);
    int rc = opened();
    users += rc == SUCCESS;
    pthread_mutex_unlock(&guard);
    return rc;
}

int state_close(void) {
    pthread_mutex_lock(&guard);
    int rc = users > 0 ? SUCCESS : UNINITIALIZED;
    if (users > 0 && --users == 0) closed();
    pthread_mutex_unlock(&guard);
    return rc;
}

/* A process that was killed inside a change left its event pending: it counts if the change was made. */
static void recover(void) {
    if (state->pending == state->events_count + 1) {
        struct event *event = &state->events[state->events_count % EVENTS];
        int there = 0, create = event->kind == GPU_INSTANCE_CREATED || event->kind == COMPUTE_INSTANCE_CREATED;
        for (int i = 0; event->gpu < state->gpus_count && i < INSTANCES; i++) {
            struct gpu_instance *one = &state->gpus[event->gpu].instances[i];
            there |= one->used && one->serial == event->serial;
            for (int c = 0; c < COMPUTE_INSTANCES; c++)
                there |= one->used && one->compute[c].used && one->compute[c].serial == event->serial;
        }
        if (event->kind <= COMPUTE_INSTANCE_DESTROYED && there == create) state->events_count++;
    }
    state->pending = 0;
}

static void lock(void) {
    pthread_mutex_lock(&guard);
    if (file >= 0) while (flock(file, LOCK_EX) && errno == EINTR);
}

void leave(void) {
    dying = 0;
    if (file >= 0) flock(file, LOCK_UN);
    pthread_mutex_unlock(&guard);
}

static struct fault *fault_of(const char *function, const struct handle *handle) {
    for (int f = 0; f < FAULTS; f++) {
        struct fault *fault = &state->faults[f];
        if (strncmp(fault->function, function, PRODUCT_BYTES)) continue;
        if (fault->gpu >= 0 && (!handle || (uint32_t)fault->gpu != handle->gpu)) continue;
        if (fault->hits >= (uint64_t)fault->skip + fault->count) continue;
        if (fault->hits++ >= fault->skip) return fault;
    }
    return NULL;
}

static int resolve(const struct handle *handle, struct view *view) {
    view->index = handle->gpu;
    view->gpu = &state->gpus[handle->gpu];
    view->model = &state->models[view->gpu->model];
    if (view->gpu->lost) return GPU_IS_LOST;
    if (handle->kind == A_GPU) return SUCCESS;
    view->instance = &view->gpu->instances[handle->slot];
    view->profile = &view->model->profiles[view->instance->used ? view->instance->profile : 0];
    if (!view->instance->used) return NOT_FOUND;
    if (handle->kind == A_GPU_INSTANCE) return view->instance->serial == handle->serial ? SUCCESS : NOT_FOUND;
    view->compute = &view->instance->compute[handle->compute];
    if (!view->compute->used || view->compute->serial != handle->serial) return NOT_FOUND;
    view->compute_profile = &view->profile->compute[view->compute->profile];
    return SUCCESS;
}

int enter(const char *function, struct handle *handle, int kinds, struct view *view) {
    memset(view, 0, sizeof *view);
    lock();
    int rc = SUCCESS;
    const char *why;
    const struct handle *known = NULL;
    if (!state) rc = UNINITIALIZED;
    else if ((why = wrong(0))) { complain("its state", why); rc = UNKNOWN; }
    else if (!(kinds & NO_HANDLE) && !(known = handle_checked(handle, kinds))) rc = INVALID_ARGUMENT;
    if (rc == SUCCESS) {
        recover();
        struct fault *fault = fault_of(function, known);
        if (fault) {
            uint32_t delay = fault->delay_ms;
            int code = fault->code;
            if (code > 0) event_note(REFUSED, known ? known->gpu : UINT32_MAX, function, (uint32_t)code);
            if (delay) { /* slow for this caller, not for the others */
                leave();
                nanosleep(&(struct timespec){delay / 1000, (long)(delay % 1000) * 1000000}, NULL);
                lock();
                if (!state || wrong(0)) code = UNKNOWN;
            }
            if (code < 0) dying = code;
            else rc = code;
        }
    }
    if (rc == SUCCESS && known) rc = resolve(known, view);
    if (rc != SUCCESS) leave();
    return rc;
}

/* --- events: written, then the change is made by one store, then the event is counted */

struct event *event_begin(enum event_kind kind, uint32_t gpu) {
    struct event *event = &state->events[state->events_count % EVENTS];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(event, 0, sizeof *event);
    event->time_ns = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
    event->kind = kind;
    event->gpu = gpu;
    event->gpu_instance = event->compute_instance = UINT32_MAX;
    event->process = (uint32_t)getpid();
    return event;
}

void event_commit(uint32_t *used, uint32_t value) {
    __atomic_store_n(&state->pending, state->events_count + 1, __ATOMIC_SEQ_CST);
    if (dying == CODE_DIE_BEFORE) raise(SIGKILL);
    if (used) __atomic_store_n(used, value, __ATOMIC_SEQ_CST);
    if (dying == CODE_DIE_AFTER) raise(SIGKILL);
    __atomic_store_n(&state->events_count, state->events_count + 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&state->pending, 0, __ATOMIC_SEQ_CST);
}

void event_note(enum event_kind kind, uint32_t gpu, const char *name, uint32_t code) {
    struct event *event = event_begin(kind, gpu);
    snprintf(event->name, sizeof event->name, "%s", name);
    event->code = code;
    event_commit(NULL, 0);
}
