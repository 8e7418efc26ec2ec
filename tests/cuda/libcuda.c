/* libcuda.c -- a driver for tests: the functions of kernels/cuda/driver.h over memory of the host, with the project's own kernels
 * compiled for the CPU. What a stream is asked for happens when it is waited for, as late as a GPU could be; what is copied from
 * the host is read then. New memory is filled with bytes that are NaN. An error of a kernel stays until the process ends.
 *
 * EMULATED_DEVICES=n (1)   EMULATED_VERSION=n (13000)   EMULATED_MEMORY=bytes: how much a device has (1 GB) */
#include "fibers.h"
#define CUDA_OUT_OF_MEMORY 2
#define CUDA_INVALID       1
#define CUDA_LAUNCH_FAILED 719
#include "driver.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct known {
  const char *name;
  size_t bytes;
  void (*run)(const void *);
} known;

enum { MOST_KERNELS = 2048, MOST_BLOCKS_OF_MEMORY = 65536 };
static known kernels[MOST_KERNELS];
static int n_kernels;

typedef enum kind { LAUNCH, UPLOAD, DOWNLOAD, COPY } kind;
typedef struct work {
  kind kind;
  const known *kernel;
  unsigned blocks, threads;
  void *params, *to;
  const void *from;
  size_t bytes;
} work;

struct CUstream_st {
  work *work;
  int n, room;
};
static CUresult dead;

static struct {
  char *at;
  size_t bytes;
} memory[MOST_BLOCKS_OF_MEMORY];
static int n_memory;
static size_t used;

static long long setting(const char *name, long long otherwise) {
  const char *s = getenv(name);
  return s && *s ? strtoll(s, NULL, 10) : otherwise;
}

void emulated_register(const char *name, size_t bytes, void (*run)(const void *)) {
  if (n_kernels == MOST_KERNELS) abort();
  kernels[n_kernels++] = (known){name, bytes, run};
}

/* ---- the queue ----------------------------------------------------------------------------------------------------------- */

static void launch(const work *w) {
  emulated_grid_size = (emulated_index){w->blocks, 1, 1};
  emulated_block_size = (emulated_index){w->threads, 1, 1};
  for (unsigned b = 0; b < w->blocks && !dead; b++) {
    emulated_block = (emulated_index){b, 0, 0};
    if (!run_block(w->kernel->run, w->params, (int)w->threads)) dead = CUDA_LAUNCH_FAILED;
  }
}

static void drain(CUstream s) {
  for (int i = 0; i < s->n; i++) {
    work *w = &s->work[i];
    if (dead) continue;
    if (w->kind == LAUNCH) launch(w);
    else memcpy(w->to, w->from, w->bytes);
  }
  for (int i = 0; i < s->n; i++) free(s->work[i].params);
  s->n = 0;
}

static CUresult push(CUstream s, work w) {
  if (dead) return free(w.params), dead;
  if (s->n == s->room) {
    s->room = s->room ? 2 * s->room : 256;
    if (!(s->work = realloc(s->work, (size_t)s->room * sizeof *s->work))) abort();
  }
  s->work[s->n++] = w;
  return 0;
}

/* Lies all of it in one block of the device's memory? */
static bool inside(CUdeviceptr p, size_t bytes) {
  for (int i = 0; i < n_memory; i++)
    if ((char *)(uintptr_t)p >= memory[i].at && (char *)(uintptr_t)p + bytes <= memory[i].at + memory[i].bytes) return true;
  return false;
}

/* ---- the interface ------------------------------------------------------------------------------------------------------- */

CUresult cuInit(unsigned flags) { return flags ? CUDA_INVALID : setting("EMULATED_DEVICES", 1) ? 0 : MS_CUDA_NO_DEVICE; }
CUresult cuDriverGetVersion(int *v) { return *v = (int)setting("EMULATED_VERSION", 13000), 0; }
CUresult cuGetErrorName(CUresult rc, const char **s) {
  return *s = rc == CUDA_LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED" : rc == 500 ? "CUDA_ERROR_NOT_FOUND" : "CUDA_ERROR", 0;
}
CUresult cuGetErrorString(CUresult rc, const char **s) {
  return *s = rc == CUDA_LAUNCH_FAILED ? "unspecified launch failure" : rc == 500 ? "named symbol not found" : "an error", 0;
}
CUresult cuDeviceGetCount(int *n) { return *n = (int)setting("EMULATED_DEVICES", 1), 0; }
CUresult cuDeviceGet(CUdevice *d, int i) { return *d = i, 0; }
CUresult cuDeviceGetName(char *name, int n, CUdevice d) { return snprintf(name, (size_t)n, "an emulated GPU"), d < 0; }
CUresult cuDeviceGetAttribute(int *v, CUdevice_attribute a, CUdevice d) {
  *v = a == MS_CUDA_MAJOR ? 9 : a == MS_CUDA_MINOR ? 0 : a == MS_CUDA_PROCESSORS ? 2 : -1;
  return d < 0 || *v < 0;
}
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice d) {
  *bytes = (size_t)setting("EMULATED_MEMORY", 1 << 30);
  return d < 0;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d) { return *c = (CUcontext)(uintptr_t)(d + 1), 0; }
CUresult cuCtxSetCurrent(CUcontext c) { return !c; }
CUresult cuStreamCreate(CUstream *s, unsigned flags) {
  static struct CUstream_st streams[16];
  static int n;
  (void)flags;
  return n < 16 ? *s = &streams[n++], 0 : CUDA_OUT_OF_MEMORY;
}
CUresult cuStreamSynchronize(CUstream s) { return drain(s), dead; }

CUresult cuMemAlloc_v2(CUdeviceptr *p, size_t bytes) {
  if (dead) return dead;
  if (!bytes) return CUDA_INVALID;
  char *at = used + bytes <= (size_t)setting("EMULATED_MEMORY", 1 << 30) && n_memory < MOST_BLOCKS_OF_MEMORY ? malloc(bytes) : NULL;
  if (!at) return CUDA_OUT_OF_MEMORY;
  memset(at, 0xff, bytes);
  memory[n_memory].at = at, memory[n_memory++].bytes = bytes;
  used += bytes;
  return *p = (CUdeviceptr)(uintptr_t)at, 0;
}
CUresult cuMemFree_v2(CUdeviceptr p) {
  for (int i = 0; i < n_memory; i++)
    if (memory[i].at == (char *)(uintptr_t)p) {
      used -= memory[i].bytes;
      free(memory[i].at);
      memory[i] = memory[--n_memory];
      return dead;
    }
  return CUDA_INVALID;
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream s) {
  return inside(to, bytes) ? push(s, (work){.kind = UPLOAD, .to = (void *)(uintptr_t)to, .from = from, .bytes = bytes})
                           : CUDA_INVALID;
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream s) {
  return inside(from, bytes) ? push(s, (work){.kind = DOWNLOAD, .to = to, .from = (void *)(uintptr_t)from, .bytes = bytes})
                             : CUDA_INVALID;
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream s) {
  const work w = {.kind = COPY, .to = (void *)(uintptr_t)to, .from = (void *)(uintptr_t)from, .bytes = bytes};
  return inside(to, bytes) && inside(from, bytes) ? push(s, w) : CUDA_INVALID;
}

/* An image is its name here (images.c), and all kernels are in one library. */
CUresult cuModuleLoadData(CUmodule *m, const void *image) {
  *m = (CUmodule)(uintptr_t)image;
  return strncmp(image, "emulated ", 9) ? MS_CUDA_NO_BINARY : 0;
}
CUresult cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name) {
  for (int i = 0; m && i < n_kernels; i++)
    if (!strcmp(kernels[i].name, name)) return *f = (CUfunction)&kernels[i], 0;
  return 500;
}
CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned bytes,
                        CUstream s, void **params, void **extra) {
  const known *k = (const known *)f;
  if (dead) return dead;
  if (!gx || gx > 0x7fffffffu || gy != 1 || gz != 1 || !bx || bx > MOST_BLOCK_THREADS || by != 1 || bz != 1 || bytes || extra)
    return CUDA_INVALID;
  void *copy = malloc(k->bytes); /* the caller's may change */
  if (!copy) abort();
  memcpy(copy, params[0], k->bytes);
  return push(s, (work){.kind = LAUNCH, .kernel = k, .blocks = gx, .threads = bx, .params = copy});
}
