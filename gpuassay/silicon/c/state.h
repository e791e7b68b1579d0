/* The state of the fake GPUs: one file, mapped by every process that loads the library, and written by gpuassay.silicon.
 *
 * layout.py holds the same structures; the library exports their sizes, and a test compares them. Everything that
 * describes a GPU model is data of the file: this library knows rules, but no product. */
#ifndef GPUASSAY_STATE_H
#define GPUASSAY_STATE_H

#include <stdint.h>

#define STATE_MAGIC "gpuassay-silicon"
#define STATE_VERSION 1u
#define NAME_BYTES 32
#define UUID_BYTES 48
#define PRODUCT_BYTES 64

enum { MODELS = 4, PROFILES = 12, STARTS = 8, COMPUTE_PROFILES = 6, GPUS = 16, INSTANCES = 8, COMPUTE_INSTANCES = 8 };
enum { FAULTS = 16, EVENTS = 8192 };

struct compute_profile { uint32_t index, id, slices, starts_count, starts[STARTS]; };

struct profile {
    char name[NAME_BYTES];
    uint32_t index, id, slices, size, limit, first_instance, starts_count, starts[STARTS];
    uint32_t multiprocessors, copy_engines, decoders, encoders, jpeg_engines, optical_flow_engines, compute_count;
    uint64_t memory_mib;
    struct compute_profile compute[COMPUTE_PROFILES];
};

struct model {
    char name[NAME_BYTES], product[PRODUCT_BYTES];
    uint32_t memory_slices, mig_devices, profiles_count, architecture, brand, capability_major, capability_minor, pci_id;
    uint64_t memory_mib;
    struct profile profiles[PROFILES];
};

/* `used` is written last when something comes to be and first when it goes: one aligned store is the whole change. */
struct compute_instance {
    uint32_t used, id, profile, start, size, busy;
    uint64_t serial;
    char uuid[UUID_BYTES];
};

struct gpu_instance {
    uint32_t used, id, profile, start, size, busy;
    uint64_t serial;
    struct compute_instance compute[COMPUTE_INSTANCES];
};

struct gpu {
    char uuid[UUID_BYTES];
    uint32_t model, mig_mode, lost, minor, bus, padding;
    struct gpu_instance instances[INSTANCES];
};

/* A call of `function` (on `gpu`, -1: any) answers `code` from its (skip+1)th time on, `count` times. */
struct fault { char function[PRODUCT_BYTES]; int32_t gpu, code; uint32_t skip, count, delay_ms, hits; };

enum { CODE_DIE_BEFORE = -1, CODE_DIE_AFTER = -2 }; /* the caller is killed around the store that makes the change */

enum event_kind {
    GPU_INSTANCE_CREATED = 1, GPU_INSTANCE_DESTROYED, COMPUTE_INSTANCE_CREATED, COMPUTE_INSTANCE_DESTROYED,
    MIG_MODE_SET, XID, REFUSED, WRITTEN_BY_TEST
};

struct event {
    uint64_t time_ns, serial; /* wall clock; serial of the instance */
    uint32_t kind, gpu, gpu_instance, compute_instance, start, size, code, process;
    char name[PRODUCT_BYTES], uuid[UUID_BYTES]; /* profile, or the function that was refused */
};

struct state {
    char magic[16];
    uint32_t version, size, gpus_count, models_count, unique_uuids, cuda_version;
    uint64_t models_checksum, serial, events_count, pending;
    char driver[NAME_BYTES], nvml[NAME_BYTES];
    struct fault faults[FAULTS];
    struct model models[MODELS];
    struct gpu gpus[GPUS];
    struct event events[EVENTS];
};

#endif
