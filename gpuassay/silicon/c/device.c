/* NVML's questions about the machine, its GPUs and its MIG devices. */
#define _GNU_SOURCE
#include "nvml.h"

#include <stdio.h>
#include <string.h>

enum { ANY_DEVICE = A_GPU | A_MIG_DEVICE };

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    static int last = -1;
    struct view v;
    int rc = state_open();
    if (rc == SUCCESS) {
        rc = enter("nvmlInit", NULL, NO_HANDLE, &v);
        if (rc == SUCCESS) leave();
        else state_close();
    }
    traced("nvmlInit", rc, &last);
    return rc;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlInit(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return state_close(); }

const char *nvmlErrorString(int code) {
    switch (code) {
    case SUCCESS: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case TIMED_OUT: return "Timeout";
    case GPU_IS_LOST: return "GPU is lost";
    case IN_USE: return "In use by another client";
    case INSUFFICIENT_RESOURCES: return "Insufficient Resources";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *text, unsigned bytes) {
    CALL(NO_HANDLE, NULL, rc = copied(text, bytes, state->driver);)
}
int nvmlSystemGetNVMLVersion(char *text, unsigned bytes) {
    CALL(NO_HANDLE, NULL, rc = copied(text, bytes, state->nvml);)
}
int nvmlSystemGetCudaDriverVersion(int *version) {
    CALL(NO_HANDLE, NULL, if (version) *version = (int)state->cuda_version; else rc = INVALID_ARGUMENT;)
}
int nvmlSystemGetCudaDriverVersion_v2(int *version) { return nvmlSystemGetCudaDriverVersion(version); }

int nvmlDeviceGetCount_v2(unsigned *count) {
    CALL(NO_HANDLE, NULL, if (count) *count = state->gpus_count; else rc = INVALID_ARGUMENT;)
}
int nvmlDeviceGetCount(unsigned *count) { return nvmlDeviceGetCount_v2(count); }

static int gpu_handle(uint32_t gpu, struct handle **device) {
    if (state->gpus[gpu].lost) return GPU_IS_LOST;
    *device = handle_of(A_GPU, gpu, 0, 0);
    return *device ? SUCCESS : UNKNOWN;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct handle **device) {
    CALL(NO_HANDLE, NULL, rc = device && index < state->gpus_count ? gpu_handle(index, device) : INVALID_ARGUMENT;)
}
int nvmlDeviceGetHandleByIndex(unsigned index, struct handle **device) {
    return nvmlDeviceGetHandleByIndex_v2(index, device);
}

static int by_uuid(const char *uuid, struct handle **device) {
    for (uint32_t g = 0; g < state->gpus_count; g++) {
        if (!strcmp(uuid, state->gpus[g].uuid)) return gpu_handle(g, device);
        for (uint32_t i = 0; i < INSTANCES; i++)
            for (uint32_t c = 0; c < COMPUTE_INSTANCES; c++) {
                struct gpu_instance *one = &state->gpus[g].instances[i];
                if (!one->used || !one->compute[c].used || strcmp(uuid, one->compute[c].uuid)) continue;
                *device = handle_of(A_MIG_DEVICE, g, i, c);
                return *device ? SUCCESS : UNKNOWN;
            }
    }
    return NOT_FOUND;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, struct handle **device) {
    CALL(NO_HANDLE, NULL, rc = uuid && device ? by_uuid(uuid, device) : INVALID_ARGUMENT;)
}

/* Long and short forms ("00000000:10:00.0", "0000:10:00.0") name the same GPU. */
static int by_bus(const char *address, struct handle **device) {
    unsigned domain, bus, slot, function;
    if (sscanf(address, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4) return INVALID_ARGUMENT;
    for (uint32_t g = 0; g < state->gpus_count; g++)
        if (state->gpus[g].bus == bus && !domain && !slot && !function) return gpu_handle(g, device);
    return NOT_FOUND;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *address, struct handle **device) {
    CALL(NO_HANDLE, NULL, rc = address && device ? by_bus(address, device) : INVALID_ARGUMENT;)
}
int nvmlDeviceGetHandleByPciBusId(const char *address, struct handle **device) {
    return nvmlDeviceGetHandleByPciBusId_v2(address, device);
}

static uint32_t mig_index(struct view *v) { /* place among the MIG devices of its GPU */
    uint32_t index = 0;
    for (int i = 0; i < INSTANCES; i++)
        for (int c = 0; c < COMPUTE_INSTANCES; c++) {
            if (&v->gpu->instances[i].compute[c] == v->compute) return index;
            index += v->gpu->instances[i].used && v->gpu->instances[i].compute[c].used;
        }
    return index;
}

int nvmlDeviceGetIndex(struct handle *device, unsigned *index) {
    CALL(ANY_DEVICE, device, if (index) *index = v.compute ? mig_index(&v) : v.index; else rc = INVALID_ARGUMENT;)
}
int nvmlDeviceGetMinorNumber(struct handle *device, unsigned *minor) {
    CALL(A_GPU, device, if (minor) *minor = v.gpu->minor; else rc = INVALID_ARGUMENT;)
}
int nvmlDeviceGetModuleId(struct handle *device, unsigned *module) {
    CALL(A_GPU, device, if (module) *module = v.index + 1; else rc = INVALID_ARGUMENT;)
}
/* All GPUs hang on one NUMA node (NVML_TOPOLOGY_NODE); NVLinks are not modelled. */
int nvmlDeviceGetTopologyCommonAncestor(struct handle *device, struct handle *other, int *level) {
    CALL(A_GPU, device, if (level && other) *level = device == other ? 0 : 40; else rc = INVALID_ARGUMENT;)
}
int nvmlDeviceGetUUID(struct handle *device, char *text, unsigned bytes) {
    CALL(ANY_DEVICE, device, rc = copied(text, bytes, v.compute ? v.compute->uuid : v.gpu->uuid);)
}
int nvmlDeviceGetName(struct handle *device, char *text, unsigned bytes) {
    CALL(ANY_DEVICE, device, {
        char name[PRODUCT_BYTES + NAME_BYTES + 8];
        snprintf(name, sizeof name, v.compute ? "%s MIG %s" : "%s", v.model->product, v.compute ? v.profile->name : "");
        rc = copied(text, bytes, name);
    })
}
int nvmlDeviceGetBrand(struct handle *device, unsigned *brand) {
    CALL(A_GPU, device, if (brand) *brand = v.model->brand; else rc = INVALID_ARGUMENT;)
}
int nvmlDeviceGetArchitecture(struct handle *device, unsigned *architecture) {
    CALL(A_GPU, device, if (architecture) *architecture = v.model->architecture; else rc = INVALID_ARGUMENT;)
}
int nvmlDeviceGetCudaComputeCapability(struct handle *device, int *major, int *minor) {
    CALL(ANY_DEVICE, device, {
        if (!major || !minor) rc = INVALID_ARGUMENT;
        else { *major = (int)v.model->capability_major; *minor = (int)v.model->capability_minor; }
    })
}

struct memory { uint64_t total, free, used; };
struct memory_v2 { uint32_t version; uint64_t total, reserved, free, used; };

static uint64_t bytes_of(struct view *v) { return (v->compute ? v->profile->memory_mib : v->model->memory_mib) << 20; }

int nvmlDeviceGetMemoryInfo(struct handle *device, struct memory *out) {
    CALL(ANY_DEVICE, device, if (out) *out = (struct memory){bytes_of(&v), bytes_of(&v), 0}; else rc = INVALID_ARGUMENT;)
}
int nvmlDeviceGetMemoryInfo_v2(struct handle *device, struct memory_v2 *out) {
    CALL(ANY_DEVICE, device, {
        if (!out) rc = INVALID_ARGUMENT;
        else *out = (struct memory_v2){out->version, bytes_of(&v), 0, bytes_of(&v), 0};
    })
}

struct pci { char legacy[16]; uint32_t domain, bus, device, id, subsystem; char address[32]; };

int nvmlDeviceGetPciInfo_v3(struct handle *device, struct pci *out) {
    CALL(A_GPU, device, {
        if (!out) rc = INVALID_ARGUMENT;
        else {
            memset(out, 0, sizeof *out);
            out->bus = v.gpu->bus;
            out->id = v.model->pci_id;
            snprintf(out->legacy, sizeof out->legacy, "0000:%02X:00.0", v.gpu->bus & 0xff);
            snprintf(out->address, sizeof out->address, "00000000:%02X:00.0", v.gpu->bus & 0xff);
        }
    })
}
int nvmlDeviceGetPciInfo(struct handle *device, struct pci *out) { return nvmlDeviceGetPciInfo_v3(device, out); }
int nvmlDeviceGetPciInfo_v2(struct handle *device, struct pci *out) { return nvmlDeviceGetPciInfo_v3(device, out); }

int nvmlDeviceGetVirtualizationMode(struct handle *device, unsigned *mode) { /* 0: none */
    CALL(A_GPU, device, if (mode) *mode = 0; else rc = INVALID_ARGUMENT;)
}
int nvmlDeviceGetPersistenceMode(struct handle *device, unsigned *mode) {
    CALL(A_GPU, device, if (mode) *mode = 1; else rc = INVALID_ARGUMENT;)
}
int nvmlDeviceSetPersistenceMode(struct handle *device, unsigned mode) { CALL(A_GPU, device, (void)mode;) }

struct attributes {
    uint32_t multiprocessors, copy, decoders, encoders, jpeg, optical_flow, slices, compute_slices;
    uint64_t memory_mib;
};

int nvmlDeviceGetAttributes_v2(struct handle *device, struct attributes *out) {
    CALL(ANY_DEVICE, device, {
        struct profile *p = v.profile;
        if (!v.compute) rc = NOT_SUPPORTED;
        else if (!out) rc = INVALID_ARGUMENT;
        else
            *out = (struct attributes){p->multiprocessors / p->slices * v.compute_profile->slices, p->copy_engines,
                                       p->decoders, p->encoders, p->jpeg_engines, p->optical_flow_engines, p->slices,
                                       v.compute_profile->slices, p->memory_mib};
        if (rc == SUCCESS && v.compute_profile->slices == p->slices) out->multiprocessors = p->multiprocessors;
    })
}
int nvmlDeviceGetAttributes(struct handle *device, struct attributes *out) {
    return nvmlDeviceGetAttributes_v2(device, out);
}
