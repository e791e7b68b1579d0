/* MIG: which GPU and compute instances there may be, and making and destroying them. */
#define _GNU_SOURCE
#include "nvml.h"

#include <stdio.h>
#include <string.h>

struct placement { uint32_t start, size; };

static struct profile *profile_at(struct model *model, uint32_t index) {
    for (uint32_t p = 0; p < model->profiles_count; p++)
        if (model->profiles[p].index == index) return &model->profiles[p];
    return NULL;
}
static struct profile *profile_with(struct model *model, uint32_t id) {
    for (uint32_t p = 0; p < model->profiles_count; p++)
        if (model->profiles[p].id == id) return &model->profiles[p];
    return NULL;
}

int nvmlDeviceGetMigMode(struct handle *device, unsigned *current, unsigned *pending) {
    CALL(A_GPU, device, {
        if (!current || !pending) rc = INVALID_ARGUMENT;
        else if (!v.model->profiles_count) rc = NOT_SUPPORTED;
        else *current = *pending = v.gpu->mig_mode;
    })
}
int nvmlDeviceSetMigMode(struct handle *device, unsigned mode, int *activation) { /* at once, without a GPU reset */
    CALL(A_GPU, device, {
        for (int i = 0; i < INSTANCES; i++)
            if (v.gpu->instances[i].used && !mode) rc = IN_USE;
        if (!v.model->profiles_count) rc = NOT_SUPPORTED;
        if (!activation || mode > 1) rc = INVALID_ARGUMENT;
        else *activation = rc;
        if (rc == SUCCESS) {
            struct event *event = event_begin(MIG_MODE_SET, v.index);
            event->code = mode;
            event_commit(&v.gpu->mig_mode, mode);
        }
    })
}
int nvmlDeviceGetMaxMigDeviceCount(struct handle *device, unsigned *count) {
    CALL(A_GPU, device, if (count) *count = v.model->mig_devices; else rc = INVALID_ARGUMENT;)
}
int nvmlDeviceIsMigDeviceHandle(struct handle *device, unsigned *is) {
    CALL(A_GPU | A_MIG_DEVICE, device, if (is) *is = v.compute != NULL; else rc = INVALID_ARGUMENT;)
}

static int mig_device(struct view *v, uint32_t index, struct handle **out) {
    if (index >= v->model->mig_devices) return INVALID_ARGUMENT;
    for (uint32_t i = 0; i < INSTANCES; i++)
        for (uint32_t c = 0; c < COMPUTE_INSTANCES; c++) {
            struct gpu_instance *one = &v->gpu->instances[i];
            if (!one->used || !one->compute[c].used || index--) continue;
            *out = handle_of(A_MIG_DEVICE, v->index, i, c);
            return *out ? SUCCESS : UNKNOWN;
        }
    return NOT_FOUND;
}
int nvmlDeviceGetMigDeviceHandleByIndex(struct handle *device, unsigned index, struct handle **out) {
    CALL(A_GPU, device, rc = out ? mig_device(&v, index, out) : INVALID_ARGUMENT;)
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(struct handle *device, struct handle **out) {
    CALL(A_MIG_DEVICE, device, rc = out && (*out = handle_of(A_GPU, v.index, 0, 0)) ? SUCCESS : INVALID_ARGUMENT;)
}
int nvmlDeviceGetGpuInstanceId(struct handle *device, unsigned *id) {
    CALL(A_GPU | A_MIG_DEVICE, device, {
        if (!v.compute) rc = NOT_SUPPORTED;
        else if (id) *id = v.instance->id;
        else rc = INVALID_ARGUMENT;
    })
}
int nvmlDeviceGetComputeInstanceId(struct handle *device, unsigned *id) {
    CALL(A_GPU | A_MIG_DEVICE, device, {
        if (!v.compute) rc = NOT_SUPPORTED;
        else if (id) *id = v.compute->id;
        else rc = INVALID_ARGUMENT;
    })
}

/* --- GPU instances */

struct profile_info { uint32_t id, peer, slices, instances, sm, copy, decoders, encoders, jpeg, flow; uint64_t memory; };
struct profile_info_v { /* version 3 has `capabilities` where version 2 ends */
    uint32_t version, id, words[9];
    uint64_t memory;
    char name[96];
    uint32_t capabilities;
};
enum { GPU_INSTANCE_PROFILES = 18 };

static int no_profile(uint32_t index) { return index < GPU_INSTANCE_PROFILES ? NOT_SUPPORTED : INVALID_ARGUMENT; }

int nvmlDeviceGetGpuInstanceProfileInfo(struct handle *device, unsigned index, struct profile_info *out) {
    CALL(A_GPU, device, {
        struct profile *p = profile_at(v.model, index);
        if (!out) rc = INVALID_ARGUMENT;
        else if (!p) rc = no_profile(index);
        else
            *out = (struct profile_info){p->id, 0, p->slices, p->limit, p->multiprocessors, p->copy_engines, p->decoders,
                                         p->encoders, p->jpeg_engines, p->optical_flow_engines, p->memory_mib};
    })
}
int nvmlDeviceGetGpuInstanceProfileInfoV(struct handle *device, unsigned index, struct profile_info_v *out) {
    CALL(A_GPU, device, {
        struct profile *p = profile_at(v.model, index);
        uint32_t version = out ? out->version >> 24 : 0;
        if (version != 2 && version != 3) rc = INVALID_ARGUMENT;
        else if (!p) rc = no_profile(index);
        else {
            uint32_t words[] = {0, p->slices, p->limit, p->multiprocessors, p->copy_engines, p->decoders, p->encoders,
                                p->jpeg_engines, p->optical_flow_engines};
            out->id = p->id;
            if (version == 2) memcpy(out->words, words, sizeof words);
            else memcpy(out->words, words + 1, sizeof words - sizeof *words);
            /* 11 words in version 2, 10 in version 3: the memory is aligned to 8 bytes in both */
            uint64_t *memory = version == 2 ? &out->memory : (uint64_t *)(void *)&out->words[8];
            *memory = p->memory_mib;
            snprintf((char *)(memory + 1), sizeof out->name, "MIG %s", p->name);
            if (version == 3) memset((char *)(memory + 1) + sizeof out->name, 0, sizeof out->capabilities);
        }
    })
}

static int placements(struct view *v, struct profile *p, struct placement *out, uint32_t *count) {
    if (!p || !count) return INVALID_ARGUMENT;
    if (!v->gpu->mig_mode) return NOT_SUPPORTED;
    if (out && *count < p->starts_count) return INSUFFICIENT_SIZE;
    for (uint32_t s = 0; out && s < p->starts_count; s++) out[s] = (struct placement){p->starts[s], p->size};
    *count = p->starts_count;
    return SUCCESS;
}
int nvmlDeviceGetGpuInstancePossiblePlacements_v2(struct handle *device, unsigned id, struct placement *out, unsigned *count) {
    CALL(A_GPU, device, rc = placements(&v, profile_with(v.model, id), out, count);)
}
int nvmlDeviceGetGpuInstancePossiblePlacements(struct handle *device, unsigned id, struct placement *out, unsigned *count) {
    return nvmlDeviceGetGpuInstancePossiblePlacements_v2(device, id, out, count);
}

/* The hardware's rule: the start is in the table, nothing overlaps, fewer than the limit of this profile. */
static int fits(struct view *v, struct profile *p, uint32_t start) {
    uint32_t same = 0;
    int legal = 0;
    for (uint32_t s = 0; s < p->starts_count; s++) legal |= p->starts[s] == start;
    for (int i = 0; i < INSTANCES; i++) {
        struct gpu_instance *one = &v->gpu->instances[i];
        if (!one->used) continue;
        same += &v->model->profiles[one->profile] == p;
        if (start < one->start + one->size && one->start < start + p->size) return 0;
    }
    return legal && same < p->limit;
}

static uint32_t free_id(struct gpu *gpu, uint32_t first) {
    for (uint32_t id = first;; id++) {
        int taken = 0;
        for (int i = 0; i < INSTANCES; i++) taken |= gpu->instances[i].used && gpu->instances[i].id == id;
        if (!taken) return id;
    }
}

static void tell(struct event *event, struct profile *p, struct gpu_instance *one) {
    snprintf(event->name, sizeof event->name, "%s", p->name);
    event->gpu_instance = one->id;
    event->start = one->start;
    event->size = one->size;
    event->serial = one->serial;
}

static int refused(struct view *v, struct profile *p, uint32_t start) {
    struct event *event = event_begin(REFUSED, v->index);
    snprintf(event->name, sizeof event->name, "%s", p->name);
    event->start = start;
    event->size = p->size;
    event->code = INSUFFICIENT_RESOURCES;
    event_commit(NULL, 0);
    return INSUFFICIENT_RESOURCES;
}

static int create(struct view *v, struct profile *p, uint32_t start, struct handle **out) {
    for (uint32_t i = 0; i < INSTANCES && fits(v, p, start); i++) {
        struct gpu_instance *one = &v->gpu->instances[i];
        if (one->used) continue;
        memset(one, 0, sizeof *one);
        one->id = free_id(v->gpu, p->first_instance);
        one->profile = (uint32_t)(p - v->model->profiles);
        one->start = start;
        one->size = p->size;
        one->serial = ++state->serial;
        if (!(*out = handle_of(A_GPU_INSTANCE, v->index, i, 0))) return UNKNOWN;
        tell(event_begin(GPU_INSTANCE_CREATED, v->index), p, one);
        event_commit(&one->used, 1);
        return SUCCESS;
    }
    return refused(v, p, start);
}

int nvmlDeviceCreateGpuInstanceWithPlacement(struct handle *device, unsigned id, const struct placement *at, struct handle **out) {
    CALL(A_GPU, device, {
        struct profile *p = profile_with(v.model, id);
        if (!p || !at || !out || at->size != p->size) rc = INVALID_ARGUMENT;
        else rc = v.gpu->mig_mode ? create(&v, p, at->start, out) : NOT_SUPPORTED;
    })
}
int nvmlDeviceCreateGpuInstance(struct handle *device, unsigned id, struct handle **out) { /* the first place that is free */
    CALL(A_GPU, device, {
        struct profile *p = profile_with(v.model, id);
        uint32_t start = UINT32_MAX;
        for (uint32_t s = p ? p->starts_count : 0; s--;)
            if (fits(&v, p, p->starts[s])) start = p->starts[s];
        if (!p || !out) rc = INVALID_ARGUMENT;
        else if (!v.gpu->mig_mode) rc = NOT_SUPPORTED;
        else rc = start == UINT32_MAX ? refused(&v, p, 0) : create(&v, p, start, out);
    })
}
int nvmlDeviceGetGpuInstanceRemainingCapacity(struct handle *device, unsigned id, unsigned *count) {
    CALL(A_GPU, device, {
        struct profile *p = profile_with(v.model, id);
        if (!p || !count) rc = INVALID_ARGUMENT;
        else for (uint32_t s = *count = 0; s < p->starts_count; s++) *count += (uint32_t)fits(&v, p, p->starts[s]);
    })
}
int nvmlDeviceGetGpuInstances(struct handle *device, unsigned id, struct handle **out, unsigned *count) {
    CALL(A_GPU, device, {
        struct profile *p = profile_with(v.model, id);
        if (!p || !out || !count) rc = INVALID_ARGUMENT;
        else {
            *count = 0;
            for (uint32_t i = 0; i < INSTANCES; i++)
                if (v.gpu->instances[i].used && &v.model->profiles[v.gpu->instances[i].profile] == p)
                    out[(*count)++] = handle_of(A_GPU_INSTANCE, v.index, i, 0);
        }
    })
}
int nvmlDeviceGetGpuInstanceById(struct handle *device, unsigned id, struct handle **out) {
    CALL(A_GPU, device, {
        rc = out ? NOT_FOUND : INVALID_ARGUMENT;
        for (uint32_t i = 0; out && i < INSTANCES; i++)
            if (v.gpu->instances[i].used && v.gpu->instances[i].id == id)
                rc = (*out = handle_of(A_GPU_INSTANCE, v.index, i, 0)) ? SUCCESS : UNKNOWN;
    })
}

struct instance_info { struct handle *device; uint32_t id, profile; struct placement at; };

int nvmlGpuInstanceGetInfo(struct handle *instance, struct instance_info *out) {
    CALL(A_GPU_INSTANCE, instance, {
        if (!out) rc = INVALID_ARGUMENT;
        else
            *out = (struct instance_info){handle_of(A_GPU, v.index, 0, 0), v.instance->id, v.profile->id,
                                          {v.instance->start, v.instance->size}};
    })
}
int nvmlGpuInstanceDestroy(struct handle *instance) {
    CALL(A_GPU_INSTANCE, instance, {
        int busy = (int)v.instance->busy;
        for (int c = 0; c < COMPUTE_INSTANCES; c++) busy |= (int)v.instance->compute[c].used;
        if (busy) rc = IN_USE;
        else {
            tell(event_begin(GPU_INSTANCE_DESTROYED, v.index), v.profile, v.instance);
            event_commit(&v.instance->used, 0);
        }
    })
}
