/* A stand-in for `nvidia-smi -L` in containers: the fake GPUs, as far as the container may open their device nodes.
 *
 * Linked with the fake library into one static program, since images of users may have no C library. Everything else
 * that nvidia-smi can do ends well and says nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "nvml.h"

int nvmlInit_v2(void);
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct handle **device);
int nvmlDeviceGetName(struct handle *device, char *text, unsigned bytes);
int nvmlDeviceGetUUID(struct handle *device, char *text, unsigned bytes);
int nvmlDeviceGetMinorNumber(struct handle *device, unsigned *minor);
int nvmlDeviceGetMaxMigDeviceCount(struct handle *device, unsigned *count);
int nvmlDeviceGetMigDeviceHandleByIndex(struct handle *device, unsigned index, struct handle **out);
int nvmlDeviceGetGpuInstanceId(struct handle *device, unsigned *id);
int nvmlDeviceGetComputeInstanceId(struct handle *device, unsigned *id);

static const char STATE[] = "/proc/driver/gpuassay/state"; /* where a whole cluster's containers see it (gpu_kit.py) */
enum { FIRST_MINOR = 3, PER_INSTANCE = 9, PER_GPU = 15 * PER_INSTANCE }; /* as minors.py says */

static int there(const char *format, unsigned number) {
    char path[64];
    struct stat found;
    snprintf(path, sizeof path, format, number);
    return stat(path, &found) == 0;
}

static void list_slices(struct handle *gpu, unsigned minor) {
    unsigned most = 0, shown = 0;
    nvmlDeviceGetMaxMigDeviceCount(gpu, &most);
    for (unsigned index = 0; index < most; index++) {
        struct handle *slice;
        char name[128] = "", uuid[UUID_BYTES] = "";
        unsigned instance = 0, compute = 0;
        if (nvmlDeviceGetMigDeviceHandleByIndex(gpu, index, &slice) != SUCCESS) break;
        if (nvmlDeviceGetGpuInstanceId(slice, &instance) || nvmlDeviceGetComputeInstanceId(slice, &compute)) continue;
        unsigned number = FIRST_MINOR + minor * PER_GPU + instance * PER_INSTANCE + 1 + compute;
        if (!there("/dev/nvidia-caps/nvidia-cap%u", number)) continue;
        if (nvmlDeviceGetName(slice, name, sizeof name) || nvmlDeviceGetUUID(slice, uuid, sizeof uuid)) continue;
        const char *profile = strstr(name, "MIG ");
        printf("  MIG %-12s Device %2u: (UUID: %s)\n", profile ? profile + 4 : name, shown++, uuid);
    }
}

int main(int count, char **words) {
    unsigned gpus = 0;
    setenv("GPUASSAY_NVML_STATE", STATE, 0);
    if (count < 2 || strcmp(words[1], "-L")) return 0;
    if (nvmlInit_v2() != SUCCESS || nvmlDeviceGetCount_v2(&gpus) != SUCCESS) {
        printf("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n");
        return 9;
    }
    for (unsigned index = 0; index < gpus; index++) {
        struct handle *gpu;
        char name[128] = "", uuid[UUID_BYTES] = "";
        unsigned minor = 0;
        if (nvmlDeviceGetHandleByIndex_v2(index, &gpu) || nvmlDeviceGetMinorNumber(gpu, &minor)) continue;
        if (!there("/dev/nvidia%u", minor)) continue;
        if (nvmlDeviceGetName(gpu, name, sizeof name) || nvmlDeviceGetUUID(gpu, uuid, sizeof uuid)) continue;
        printf("GPU %u: %s (UUID: %s)\n", index, name, uuid);
        list_slices(gpu, minor);
    }
    return 0;
}
