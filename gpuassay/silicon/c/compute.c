/* MIG: compute instances inside a GPU instance; each is a MIG device with a UUID of its own. */
#define _GNU_SOURCE
#include "nvml.h"

#include <stdio.h>
#include <string.h>

enum { COMPUTE_INSTANCE_PROFILES = 9, NO_ENGINE_SHARING_CHOICE = 0 };

struct placement { uint32_t start, size; };
struct profile_info { uint32_t id, slices, instances, sm, copy, decoders, encoders, jpeg, flow; };

static struct compute_profile *compute_with(struct profile *profile, uint32_t id) {
    for (uint32_t c = 0; c < profile->compute_count; c++)
        if (profile->compute[c].id == id) return &profile->compute[c];
    return NULL;
}

static uint32_t multiprocessors(struct profile *profile, uint32_t slices) {
    return slices == profile->slices ? profile->multiprocessors : profile->multiprocessors / profile->slices * slices;
}

int nvmlGpuInstanceGetComputeInstanceProfileInfo(struct handle *instance, unsigned index, unsigned engine, struct profile_info *out) {
    CALL(A_GPU_INSTANCE, instance, {
        struct profile *p = v.profile;
        struct compute_profile *found = NULL;
        for (uint32_t c = 0; c < p->compute_count; c++)
            if (p->compute[c].index == index) found = &p->compute[c];
        if (!out || engine != NO_ENGINE_SHARING_CHOICE || index >= COMPUTE_INSTANCE_PROFILES) rc = INVALID_ARGUMENT;
        else if (!found) rc = NOT_SUPPORTED;
        else
            *out = (struct profile_info){found->id, found->slices, found->starts_count, multiprocessors(p, found->slices),
                                         p->copy_engines, p->decoders, p->encoders, p->jpeg_engines, p->optical_flow_engines};
    })
}

static int fits(struct gpu_instance *instance, struct compute_profile *profile, uint32_t start) {
    for (int c = 0; c < COMPUTE_INSTANCES; c++) {
        struct compute_instance *one = &instance->compute[c];
        if (one->used && start < one->start + one->size && one->start < start + profile->slices) return 0;
    }
    return 1;
}

static uint32_t free_id(struct gpu_instance *instance) {
    for (uint32_t id = 0;; id++) {
        int taken = 0;
        for (int c = 0; c < COMPUTE_INSTANCES; c++) taken |= instance->compute[c].used && instance->compute[c].id == id;
        if (!taken) return id;
    }
}

/* The same place gives the same UUID, as hardware does not promise; with unique_uuids no two creations share one. */
static void name(struct view *v, struct compute_instance *one) {
    char key[128];
    snprintf(key, sizeof key, "%s/%u/%u/%u/%llu", v->gpu->uuid, v->instance->id, v->instance->start, one->start,
             state->unique_uuids ? (unsigned long long)one->serial : 0ull);
    uint64_t a = hash_bytes(key, strlen(key)), b = a * 0x9E3779B97F4A7C15ull;
    b ^= b >> 29;
    snprintf(one->uuid, sizeof one->uuid, "MIG-%08x-%04x-5%03x-8%03x-%012llx", (unsigned)(a >> 32), (unsigned)(a >> 16) & 0xffff,
             (unsigned)a & 0xfff, (unsigned)(b >> 52) & 0xfff, (unsigned long long)(b & 0xffffffffffffull));
}

static void tell(struct event *event, struct view *v, struct compute_instance *one) {
    snprintf(event->name, sizeof event->name, "%s", v->profile->name);
    memcpy(event->uuid, one->uuid, sizeof event->uuid);
    event->gpu_instance = v->instance->id;
    event->compute_instance = one->id;
    event->start = one->start;
    event->size = one->size;
    event->serial = one->serial;
}

static int create(struct view *v, struct compute_profile *profile, struct handle **out) {
    for (uint32_t s = 0; s < profile->starts_count; s++) {
        if (!fits(v->instance, profile, profile->starts[s])) continue;
        for (uint32_t c = 0; c < COMPUTE_INSTANCES; c++) {
            struct compute_instance *one = &v->instance->compute[c];
            if (one->used) continue;
            memset(one, 0, sizeof *one);
            one->id = free_id(v->instance);
            one->profile = (uint32_t)(profile - v->profile->compute);
            one->start = profile->starts[s];
            one->size = profile->slices;
            one->serial = ++state->serial;
            name(v, one);
            if (!(*out = handle_of(A_COMPUTE_INSTANCE, v->index, (uint32_t)(v->instance - v->gpu->instances), c))) return UNKNOWN;
            tell(event_begin(COMPUTE_INSTANCE_CREATED, v->index), v, one);
            event_commit(&one->used, 1);
            return SUCCESS;
        }
    }
    event_note(REFUSED, v->index, v->profile->name, INSUFFICIENT_RESOURCES);
    return INSUFFICIENT_RESOURCES;
}

int nvmlGpuInstanceCreateComputeInstance(struct handle *instance, unsigned id, struct handle **out) {
    CALL(A_GPU_INSTANCE, instance, {
        struct compute_profile *profile = compute_with(v.profile, id);
        rc = profile && out ? create(&v, profile, out) : INVALID_ARGUMENT;
    })
}
int nvmlGpuInstanceGetComputeInstances(struct handle *instance, unsigned id, struct handle **out, unsigned *count) {
    CALL(A_GPU_INSTANCE, instance, {
        struct compute_profile *profile = compute_with(v.profile, id);
        if (!profile || !out || !count) rc = INVALID_ARGUMENT;
        else {
            *count = 0;
            for (uint32_t c = 0; c < COMPUTE_INSTANCES; c++)
                if (v.instance->compute[c].used && &v.profile->compute[v.instance->compute[c].profile] == profile)
                    out[(*count)++] = handle_of(A_COMPUTE_INSTANCE, v.index, (uint32_t)(v.instance - v.gpu->instances), c);
        }
    })
}
int nvmlGpuInstanceGetComputeInstanceById(struct handle *instance, unsigned id, struct handle **out) {
    CALL(A_GPU_INSTANCE, instance, {
        rc = out ? NOT_FOUND : INVALID_ARGUMENT;
        for (uint32_t c = 0; out && c < COMPUTE_INSTANCES; c++)
            if (v.instance->compute[c].used && v.instance->compute[c].id == id) {
                *out = handle_of(A_COMPUTE_INSTANCE, v.index, (uint32_t)(v.instance - v.gpu->instances), c);
                rc = *out ? SUCCESS : UNKNOWN;
            }
    })
}

struct instance_info { struct handle *device, *instance; uint32_t id, profile; struct placement at; };

int nvmlComputeInstanceGetInfo_v2(struct handle *compute, struct instance_info *out) {
    CALL(A_COMPUTE_INSTANCE, compute, {
        if (!out) rc = INVALID_ARGUMENT;
        else
            *out = (struct instance_info){
                handle_of(A_GPU, v.index, 0, 0),
                handle_of(A_GPU_INSTANCE, v.index, (uint32_t)(v.instance - v.gpu->instances), 0),
                v.compute->id, v.compute_profile->id, {v.compute->start, v.compute->size}};
    })
}
int nvmlComputeInstanceGetInfo(struct handle *compute, struct instance_info *out) {
    return nvmlComputeInstanceGetInfo_v2(compute, out);
}
int nvmlComputeInstanceDestroy(struct handle *compute) {
    CALL(A_COMPUTE_INSTANCE, compute, {
        if (v.compute->busy) rc = IN_USE;
        else {
            tell(event_begin(COMPUTE_INSTANCE_DESTROYED, v.index), &v, v.compute);
            event_commit(&v.compute->used, 0);
        }
    })
}
