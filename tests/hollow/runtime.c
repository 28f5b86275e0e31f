/* libcudart and cuBLAS of a GPU that computes nothing, loaded before the real ones. See README.md.

   Memory is reserved and never touched; streams and events are numbers; a launch is counted under its kernel's name.
   HOLLOW_GIB: memory of the device (139.8). HOLLOW_SM: compute capability times ten (90). HOLLOW_GPUS: devices (1). */
#define _GNU_SOURCE
#include <driver_types.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef int Error;
typedef void *Pointer;
typedef struct { unsigned x, y, z; } Grid;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long launches, gemms, waits, to_host, to_device, on_device, sets;
static size_t used, peak;

static double setting(const char *name, double otherwise) {
    const char *given = getenv(name);
    return given ? atof(given) : otherwise;
}
static size_t total(void) { return (size_t)(setting("HOLLOW_GIB", 139.8) * 1073741824.0); }
static int capability(void) { return (int)setting("HOLLOW_SM", 90); }
static Pointer handle(void) {
    static uintptr_t next = 0x1000;
    return (Pointer)(next += 64);
}

#define NOTHING(name) Error name() { return 0; }
#define NEW(name) Error name(Pointer *made) { *made = handle(); return 0; }

/* ---- kernels by name: a hash table from the host's function to its name and its launches ---- */
#define SLOTS (1 << 20)
static struct { const void *key; const char *name; long count; } table[SLOTS];
static int slot(const void *key) {
    unsigned i = (((unsigned long)key >> 4) * 0x9E3779B97F4A7C15ul) >> 40 & (SLOTS - 1);
    while (table[i].key && table[i].key != key) i = (i + 1) & (SLOTS - 1);
    return i;
}
static Error count(const void *key, const char *name, long *also) {
    pthread_mutex_lock(&lock);
    int i = slot(key);
    if (!table[i].key) { table[i].key = key; table[i].name = name; }
    table[i].count++;
    launches++;
    if (also) ++*also;
    pthread_mutex_unlock(&lock);
    return 0;
}
static Error launch(const void *kernel, Grid grid) {
    if (grid.y <= 65535 && grid.z <= 65535) return count(kernel, "?", NULL);
    fprintf(stderr, "hollow GPU: no valid grid: %u %u %u\n", grid.x, grid.y, grid.z);
    return 9;
}
void __cudaRegisterFunction(Pointer *binary, const char *host, char *device, const char *name, int limit, Pointer a,
                            Pointer b, Pointer c, Pointer d, int *w) {
    int i = slot(host);
    table[i].key = host;
    table[i].name = name;
}
Pointer *__cudaRegisterFatBinary(Pointer binary) { static Pointer none[16]; return none; }
NOTHING(__cudaRegisterFatBinaryEnd) NOTHING(__cudaUnregisterFatBinary) NOTHING(__cudaRegisterVar)
Error __cudaGetKernel(Pointer *kernel, const void *function) { *kernel = (Pointer)function; return 0; }
Error __cudaLaunchKernel(Pointer kernel, Grid grid, Grid block, Pointer *arguments, size_t shared, Pointer stream) {
    return launch(kernel, grid);
}
Error cudaLaunchKernel(const void *kernel, Grid grid, Grid block, Pointer *arguments, size_t shared, Pointer stream) {
    return launch(kernel, grid);
}
Error cudaLaunchKernelExC(Pointer config, const void *kernel, Pointer *arguments) { return count(kernel, "?", NULL); }
static __thread struct { Grid grid, block; size_t shared; Pointer stream; } pushed;
unsigned __cudaPushCallConfiguration(Grid grid, Grid block, size_t shared, Pointer stream) {
    pushed.grid = grid; pushed.block = block; pushed.shared = shared; pushed.stream = stream;
    return 0;
}
Error __cudaPopCallConfiguration(Grid *grid, Grid *block, size_t *shared, Pointer *stream) {
    *grid = pushed.grid; *block = pushed.block; *shared = pushed.shared; *stream = pushed.stream;
    return 0;
}

/* ---- devices, streams, events ---- */
static __thread int current;
Error cudaGetDeviceCount(int *n) { *n = (int)setting("HOLLOW_GPUS", 1); return 0; }
Error cudaGetDevice(int *device) { *device = current; return 0; }
Error cudaSetDevice(int device) { current = device; return 0; }
Error cudaGetDeviceProperties(struct cudaDeviceProp *p, int device) {
    memset(p, 0, sizeof *p);
    strcpy(p->name, "hollow GPU");
    p->totalGlobalMem = total(); p->major = capability() / 10; p->minor = capability() % 10;
    p->multiProcessorCount = 132; p->warpSize = 32; p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->sharedMemPerBlock = 49152; p->sharedMemPerMultiprocessor = 233472;
    p->sharedMemPerBlockOptin = p->major == 9 ? 232448 : 101376;
    p->maxThreadsPerBlock = p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024; p->maxThreadsDim[2] = 64;
    p->maxThreadsPerMultiProcessor = 2048; p->maxBlocksPerMultiProcessor = 32;
    p->maxGridSize[0] = 2147483647; p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->totalConstMem = 65536; p->memPitch = 2147483647; p->textureAlignment = 512; p->l2CacheSize = 60 << 20;
    p->cooperativeLaunch = p->unifiedAddressing = p->concurrentKernels = 1;
    return 0;
}
Error cudaDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
    case 1: *value = 1024; break;
    case 5: *value = 2147483647; break;
    case 6: case 7: *value = 65535; break;
    case 8: *value = 49152; break;
    case 10: case 106: *value = 32; break;
    case 16: *value = 132; break;
    case 39: *value = 2048; break;
    case 75: *value = capability() / 10; break;
    case 76: *value = capability() % 10; break;
    case 81: *value = 233472; break;
    case 82: *value = 65536; break;
    case 97: *value = 232448; break;
    default: *value = 0;
    }
    return 0;
}
Error cudaDriverGetVersion(int *version) { *version = 13020; return 0; }
Error cudaRuntimeGetVersion(int *version) { *version = 13020; return 0; }
const char *cudaGetErrorString(Error error) { return error == 2 ? "out of memory" : "hollow error"; }
const char *cudaGetErrorName(Error error) { return "hollow"; }
Error cudaDeviceGetPCIBusId(char *text, int size, int device) { snprintf(text, size, "0000:00:00.0"); return 0; }
Error cudaDeviceGetStreamPriorityRange(int *low, int *high) { *low = 0; *high = -5; return 0; }
Error cudaDeviceCanAccessPeer(int *can, int a, int b) { *can = 0; return 0; }
Error cudaDeviceSynchronize(void) { waits++; return 0; }
Error cudaStreamSynchronize(Pointer stream) { waits++; return 0; }
Error cudaEventSynchronize(Pointer event) { waits++; return 0; }
Error cudaEventElapsedTime(float *ms, Pointer a, Pointer b) { *ms = 1; return 0; }
Error cudaStreamGetPriority(Pointer stream, int *priority) { *priority = 0; return 0; }
Error cudaStreamIsCapturing(Pointer stream, int *capturing) { *capturing = 0; return 0; }
Error cudaStreamGetCaptureInfo(Pointer stream, int *status, unsigned long long *id) {
    if (status) *status = 0;
    if (id) *id = 0;
    return 0;
}
Error cudaLaunchHostFunc(Pointer stream, void (*function)(void *), void *data) { function(data); return 0; }
NEW(cudaStreamCreate) NEW(cudaStreamCreateWithFlags) NEW(cudaStreamCreateWithPriority)
NEW(cudaEventCreate) NEW(cudaEventCreateWithFlags) NEW(cudaUserObjectCreate)
NOTHING(cudaStreamDestroy) NOTHING(cudaStreamQuery) NOTHING(cudaStreamWaitEvent) NOTHING(cudaEventDestroy)
NOTHING(cudaThreadExchangeStreamCaptureMode) NOTHING(cudaEventRecord) NOTHING(cudaEventRecordWithFlags)
NOTHING(cudaEventQuery) NOTHING(cudaGetLastError) NOTHING(cudaPeekAtLastError) NOTHING(cudaProfilerStart)
NOTHING(cudaProfilerStop) NOTHING(cudaDeviceEnablePeerAccess) NOTHING(cudaUserObjectRelease)

/* ---- memory ---- */
#define BLOCKS 65536
static struct { char *start; size_t size; } blocks[BLOCKS];
static int held;
static int of_device(const void *p) {
    for (int i = 0; i < held; i++)
        if ((char *)p >= blocks[i].start && (char *)p < blocks[i].start + blocks[i].size) return 1;
    return 0;
}
Error cudaMalloc(Pointer *p, size_t size) {
    Error error = 2;
    pthread_mutex_lock(&lock);
    if (used + size <= total() && held < BLOCKS) {
        *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (*p != MAP_FAILED) {
            error = 0;
            used += size;
            if (used > peak) peak = used;
            blocks[held].start = *p;
            blocks[held++].size = size;
        }
    }
    pthread_mutex_unlock(&lock);
    return error;
}
Error cudaFree(Pointer p) {
    pthread_mutex_lock(&lock);
    for (int i = 0; p && i < held; i++)
        if (blocks[i].start == p) {
            munmap(p, blocks[i].size);
            used -= blocks[i].size;
            blocks[i] = blocks[--held];
            break;
        }
    pthread_mutex_unlock(&lock);
    return 0;
}
Error cudaMallocAsync(Pointer *p, size_t size, Pointer stream) { return cudaMalloc(p, size); }
Error cudaFreeAsync(Pointer p, Pointer stream) { return cudaFree(p); }
Error cudaMallocManaged(Pointer *p, size_t size, unsigned flags) { return cudaMalloc(p, size); }
Error cudaGetSymbolAddress(Pointer *p, const void *symbol) { return cudaMalloc(p, 65536); }
Error cudaMemGetInfo(size_t *free, size_t *all) { *all = total(); *free = total() - used; return 0; }
Error cudaHostAlloc(Pointer *p, size_t size, unsigned flags) { *p = malloc(size); return *p ? 0 : 2; }
Error cudaMallocHost(Pointer *p, size_t size) { *p = malloc(size); return *p ? 0 : 2; }
Error cudaFreeHost(Pointer p) { free(p); return 0; }
Error cudaMemcpyAsync(Pointer to, const void *from, size_t size, int kind, Pointer stream) {
    int source = of_device(from), target = of_device(to);
    if (source && !target) memset(to, size == 1 ? 1 : 0, size); /* one byte is a truth value: "all is finite" */
    ++*(source && target ? &on_device : source ? &to_host : &to_device);
    return 0;
}
Error cudaMemcpy(Pointer to, const void *from, size_t size, int kind) {
    waits++;
    return cudaMemcpyAsync(to, from, size, kind, NULL);
}
Error cudaMemset(Pointer p, int value, size_t size) { sets++; return 0; }
Error cudaMemsetAsync(Pointer p, int value, size_t size, Pointer stream) { sets++; return 0; }
struct pointer_attributes { int type, device; Pointer device_pointer, host_pointer; };
Error cudaPointerGetAttributes(struct pointer_attributes *a, const void *p) {
    memset(a, 0, sizeof *a);
    if (of_device(p)) { a->type = 2; a->device_pointer = (Pointer)p; }
    return 0;
}
struct function_attributes { size_t shared, constant, local; int threads, registers, ptx, binary, cache, dynamic; };
Error cudaFuncGetAttributes(struct function_attributes *a, const void *function) {
    memset(a, 0, sizeof *a);
    a->threads = 1024; a->registers = 64; a->ptx = a->binary = capability(); a->dynamic = 232448;
    return 0;
}
Error cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *n, const void *f, int block, size_t shared) { *n = 4; return 0; }
Error cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *n, const void *f, int block, size_t shared,
                                                             unsigned flags) { *n = 4; return 0; }
static int nothing(void) { return 0; }
Error cudaGetDriverEntryPointByVersion(const char *name, Pointer *found, unsigned version, unsigned long long flags,
                                       int *status) {
    *found = (Pointer)nothing;
    if (status) *status = 0;
    return 0;
}
NOTHING(cudaFuncSetAttribute) NOTHING(cudaMemcpyToSymbol) NOTHING(cudaHostRegister) NOTHING(cudaHostUnregister)
NOTHING(cudaMemcpyPeerAsync) NOTHING(cudaKernelSetAttributeForDevice)
Error cudaIpcGetMemHandle(Pointer h, Pointer p) { return 1; }

/* ---- cuBLAS ---- */
#define PRODUCT(name) Error name() { static const char key[] = #name; return count(key, key, &gemms); }
#define DESCRIPTION(name) Error name(Pointer *made) { *made = calloc(1, 256); return 0; }
PRODUCT(cublasGemmEx) PRODUCT(cublasGemmStridedBatchedEx) PRODUCT(cublasSgemm_v2) PRODUCT(cublasSgemmStridedBatched)
PRODUCT(cublasSgemv_v2) PRODUCT(cublasSdot_v2) PRODUCT(cublasSgemmEx) PRODUCT(cublasDotEx) PRODUCT(cublasLtMatmul)
NEW(cublasCreate_v2)
NOTHING(cublasDestroy_v2) NOTHING(cublasSetStream_v2) NOTHING(cublasSetWorkspace_v2) NOTHING(cublasSetMathMode)
NOTHING(cublasSetPointerMode_v2) NOTHING(cublasSetSmCountTarget)
Error cublasGetMathMode(Pointer h, int *mode) { *mode = 0; return 0; }
Error cublasGetPointerMode_v2(Pointer h, int *mode) { *mode = 0; return 0; }
size_t cublasLtGetVersion(void) { return 130401; }
DESCRIPTION(cublasLtMatmulDescCreate) DESCRIPTION(cublasLtMatmulPreferenceCreate) DESCRIPTION(cublasLtMatrixLayoutCreate)
NOTHING(cublasLtMatmulDescDestroy) NOTHING(cublasLtMatmulDescSetAttribute) NOTHING(cublasLtMatmulPreferenceDestroy)
NOTHING(cublasLtMatmulPreferenceSetAttribute) NOTHING(cublasLtMatrixLayoutDestroy)
NOTHING(cublasLtMatrixLayoutSetAttribute)
struct heuristic { uint64_t algorithm[8]; size_t workspace; int status; float waves; int reserved[4]; };
Error cublasLtMatmulAlgoGetHeuristic(Pointer h, Pointer operation, Pointer a, Pointer b, Pointer c, Pointer d,
                                     Pointer preference, int wanted, struct heuristic *found, int *n) {
    memset(found, 0, sizeof *found);
    *n = 1;
    return 0;
}

/* ---- what was counted ---- */
void hollow_reset(void) {
    launches = gemms = waits = to_host = to_device = on_device = sets = 0;
    for (int i = 0; i < SLOTS; i++) table[i].count = 0;
    peak = used;
}
void hollow_counts(long *out) {
    long values[] = {launches, gemms, waits, to_host, to_device, on_device, sets};
    memcpy(out, values, sizeof values);
}
void hollow_kernels(const char *path) {
    FILE *file = fopen(path, "w");
    for (int i = 0; i < SLOTS; i++)
        if (table[i].count) fprintf(file, "%ld\t%s\n", table[i].count, table[i].name);
    fclose(file);
}
