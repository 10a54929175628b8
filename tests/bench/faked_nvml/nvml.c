/* NVML with one GPU that is made up: bindings load it, as libnvidia-ml.so.1, in place of a driver's.
   Each reading of the memory in use is 100 MB above the one before. */
#include <string.h>

typedef struct { unsigned long long total, free, used; } memory;

#define MB 1000000ULL

static unsigned long long used = 1000 * MB;

const char *nvmlErrorString(int status) { return status ? "not supported" : "success"; }
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *version, unsigned length) { strcpy(version, "580.10"); return 0; }
int nvmlSystemGetCudaDriverVersion(int *version) { *version = 13010; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = &used; return 0; }
int nvmlDeviceGetName(void *handle, char *name, unsigned length) { strcpy(name, "Made-up GPU"); return 0; }
int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned length) { strcpy(uuid, "GPU-00"); return 0; }
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) { *major = 9; *minor = 0; return 0; }

int nvmlDeviceGetMemoryInfo(void *handle, memory *found) {
    used += 100 * MB;
    found->total = 80000 * MB;
    found->used = used;
    found->free = found->total - used;
    return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, void *found) { *count = 0; return 0; }
