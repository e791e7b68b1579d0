/* What the files of this library share. The numbers are those of NVML's documented interface. */
#ifndef GPUASSAY_NVML_H
#define GPUASSAY_NVML_H

#include "state.h"

enum answer {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9, TIMED_OUT = 10, GPU_IS_LOST = 15, IN_USE = 19, INSUFFICIENT_RESOURCES = 23, UNKNOWN = 999
};

enum kind { A_GPU = 1, A_MIG_DEVICE = 2, A_GPU_INSTANCE = 4, A_COMPUTE_INSTANCE = 8, NO_HANDLE = 16 };

/* What a client holds: an address of ours. The serial tells a slice from another that came to the same place later. */
struct handle { enum kind kind; uint32_t gpu, slot, compute; uint64_t serial; struct handle *next; };

/* What a handle means while the state is locked; members that its kind has not are null. */
struct view {
    uint32_t index;
    struct gpu *gpu;
    struct model *model;
    struct gpu_instance *instance;
    struct profile *profile;
    struct compute_instance *compute;
    struct compute_profile *compute_profile;
};

extern struct state *state;

int state_open(void);
int state_close(void);
int enter(const char *function, struct handle *handle, int kinds, struct view *view);
void leave(void);
void traced(const char *function, int code, int *last);

struct handle *handle_of(enum kind kind, uint32_t gpu, uint32_t slot, uint32_t compute);
const struct handle *handle_checked(const struct handle *handle, int kinds);

struct event *event_begin(enum event_kind kind, uint32_t gpu);
void event_commit(uint32_t *used, uint32_t value);
void event_note(enum event_kind kind, uint32_t gpu, const char *name, uint32_t code);
int copied(char *to, uint32_t bytes, const char *from);
uint64_t hash_bytes(const void *bytes, uint64_t count);

/* A function's frame: BODY runs with the state locked and gives its answer in `rc`. */
#define CALL(kinds, handle, ...)                                                                                       \
    static int last = -1;                                                                                              \
    struct view v;                                                                                                     \
    int rc = enter(__func__, handle, kinds, &v);                                                                       \
    if (rc == SUCCESS) {                                                                                               \
        __VA_ARGS__                                                                                                    \
        leave();                                                                                                       \
    }                                                                                                                  \
    traced(__func__, rc, &last);                                                                                       \
    return rc;

#endif
