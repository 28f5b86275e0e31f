/* libcuda of a GPU that computes nothing: what triton asks before it loads a kernel, and its launches. See README.md. */
#include <stddef.h>

static long launches;
static long context[16];

long hollow_driver_launches(void) { return launches; }
void hollow_driver_reset(void) { launches = 0; }

#define NOTHING(name) int name() { return 0; }

int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = 13020; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuGetErrorString(int error, const char **text) { *text = "hollow"; return 0; }
int cuGetErrorName(int error, const char **text) { *text = "hollow"; return 0; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { *flags = 0; *active = 1; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int device) { *c = context; return 0; }
int cuCtxGetCurrent(void **c) { *c = context; return 0; }
int cuCtxGetDevice(int *device) { *device = 0; return 0; }
int cuCtxGetLimit(size_t *value, int limit) { *value = 0; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) { /* those of an H200 */
    case 1: *value = 1024; break;     /* threads a block */
    case 8: *value = 49152; break;    /* shared memory a block, bytes */
    case 10: *value = 32; break;      /* warp */
    case 12: *value = 65536; break;   /* registers a block */
    case 13: *value = 1980000; break; /* clock, kHz */
    case 16: *value = 132; break;     /* multiprocessors */
    case 36: *value = 3201000; break; /* memory clock, kHz */
    case 37: *value = 6144; break;    /* memory bus, bits */
    case 39: *value = 2048; break;    /* threads a multiprocessor */
    case 75: *value = 9; break;       /* compute capability */
    case 76: *value = 0; break;
    case 81: *value = 233472; break;  /* shared memory a multiprocessor */
    case 82: *value = 65536; break;   /* registers a multiprocessor */
    case 97: *value = 232448; break;  /* shared memory a block may ask for */
    default: *value = 0;
    }
    return 0;
}
int cuFuncGetAttribute(int *value, int attribute, void *function) { *value = attribute == 0 ? 1024 : 0; return 0; }
int cuModuleLoadData(void **module, const void *image) { *module = context; return 0; }
int cuModuleGetFunction(void **function, void *module, const char *name) { *function = context; return 0; }
int cuLaunchKernel() { launches++; return 0; }
int cuLaunchKernelEx() { launches++; return 0; }
int cuOccupancyMaxActiveClusters(int *count, void *function, void *c) { *count = 1; return 0; }
int cuStreamIsCapturing(void *stream, int *capturing) { *capturing = 0; return 0; }
int cuPointerGetAttribute(void *data, int attribute, unsigned long long pointer) {
    if (attribute == 3 || attribute == 5)
        *(unsigned long long *)data = pointer;
    else
        *(int *)data = 2; /* memory of a device */
    return 0;
}
NOTHING(cuCtxSetCurrent) NOTHING(cuCtxSetLimit) NOTHING(cuPointerGetAttributes) NOTHING(cuMemcpyHtoD_v2)
NOTHING(cuFuncSetAttribute) NOTHING(cuFuncSetCacheConfig) NOTHING(cuLaunchCooperativeKernel) NOTHING(cuLinkAddData_v2)
NOTHING(cuLinkComplete) NOTHING(cuLinkCreate_v2) NOTHING(cuModuleLoad) NOTHING(cuModuleLoadDataEx)
NOTHING(cuModuleUnload) NOTHING(cuOccupancyMaxActiveBlocksPerMultiprocessor) NOTHING(cuTensorMapEncodeTiled)
NOTHING(cuTensorMapEncodeIm2col)
