/* backend.c -- an NVIDIA GPU as a backend: memory, one stream, and kernels by name. Steps run call by call: there is no capture
 * yet.
 *
 * Built as a module of its own, libmascon_cuda.so, which the core opens when device cuda is first asked for. */
#include "cuda.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES = 8 };

typedef struct known_function { /* by name */
  char name[48];
  CUfunction function;
} known_function;

struct ms_queue {
  const ms_cuda_driver *driver; /* NULL: not open */
  int index, processors;
  CUcontext context;
  CUstream stream;
  CUmodule module[MS_CUDA_IMAGE_COUNT]; /* NULL: not loaded */
  known_function *known;                /* a hash table, room a power of two, half empty at least */
  int n_known, room;
  CUresult dead; /* an error after which the driver answers nothing but that error */
};
static ms_queue queues[DEVICES];

/* ---- errors -------------------------------------------------------------------------------------------------------------- */

/* Errors of a kernel that has run wild: they stay until the process ends. */
static bool is_final(CUresult rc) { return rc == 214 || (rc >= 700 && rc <= 720 && rc != 701) || rc == 999; }

/* 0, or -1 after ms_fail, which says what could not be done. */
static int check(ms_queue *q, CUresult rc, const char *what) {
  if (!rc) return 0;
  const char *name = NULL, *text = NULL;
  q->driver->error_name(rc, &name);
  q->driver->error_string(rc, &text);
  if (is_final(rc)) q->dead = rc;
  ms_fail("cuda:%d: %s: %s (%s)%s", q->index, what, text ? text : "an error without a name", name ? name : "?",
          q->dead ? "; a kernel has failed, and this process cannot use the device any more: start it again" : "");
  return -1;
}

/* The driver's calls mean the context that is the thread's. */
static int enter(ms_queue *q) { return check(q, q->driver->context_set(q->context), "making the device current"); }

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

static ms_queue *open_cuda(int index, char *description, size_t size) {
  const ms_cuda_driver *d = ms_cuda_open_driver();
  int count = 0, major = 0, minor = 0, version = 0;
  CUdevice device;
  char name[128] = "";
  size_t bytes = 0;
  if (!d) return NULL;
  if (!ms_cuda_images[0])
    return ms_fail("no cuda device: this program was built where there was no nvcc, so it has no kernels for the GPU; `pip install "
                   "nvidia-cuda-nvcc nvidia-nvvm nvidia-cuda-crt nvidia-cuda-runtime` brings nvcc, then build again");
  d->device_count(&count);
  if (index >= count || index >= DEVICES)
    return ms_fail("no cuda:%d: the driver knows %d device%s", index, count, count == 1 ? ", cuda:0" : "s, counted from cuda:0");
  ms_queue *q = &queues[index];
  q->driver = d, q->index = index;
  if (check(q, d->device_get(&device, index), "opening the device") < 0) return NULL;
  d->device_name(name, sizeof name, device);
  d->device_attribute(&major, MS_CUDA_MAJOR, device);
  d->device_attribute(&minor, MS_CUDA_MINOR, device);
  d->device_attribute(&q->processors, MS_CUDA_PROCESSORS, device);
  d->device_memory(&bytes, device);
  d->driver_version(&version);
  if (major < 8) return ms_fail("cuda:%d: %s is sm_%d%d; the kernels are for sm_80 and newer", index, name, major, minor);
  if (check(q, d->context_retain(&q->context, device), "opening the device") < 0 || enter(q) < 0 ||
      check(q, d->stream_create(&q->stream, MS_CUDA_STREAM_NON_BLOCKING), "making a stream") < 0)
    return NULL;
  snprintf(description, size, "%s, sm_%d%d, %.1f GB, driver of CUDA %d.%d", name, major, minor, (double)bytes / 1e9, version / 1000,
           version % 1000 / 10);
  return q;
}

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

static void *alloc_cuda(ms_queue *q, size_t bytes) {
  CUdeviceptr p = 0;
  return !q->driver->context_set(q->context) && !q->driver->alloc(&p, bytes) ? (void *)(uintptr_t)p : NULL;
}

static int sync_cuda(ms_queue *q) { return enter(q) < 0 ? -1 : check(q, q->driver->stream_wait(q->stream), "waiting"); }

/* The core keeps freed blocks (core/alloc.c), so this is rare: it waits for what may still use the block. */
static void free_cuda(ms_queue *q, void *p) {
  if (q->driver->context_set(q->context) || q->driver->stream_wait(q->stream)) return; /* dead: so is its memory */
  q->driver->free((CUdeviceptr)(uintptr_t)p);
}

/* Waits, since the driver may read the host's memory later than it returns. */
int ms_cuda_upload(ms_queue *q, void *to, const void *host, size_t bytes) {
  if (enter(q) < 0) return -1;
  if (check(q, q->driver->upload((CUdeviceptr)(uintptr_t)to, host, bytes, q->stream), "copying to the device") < 0) return -1;
  return check(q, q->driver->stream_wait(q->stream), "copying to the device");
}

static int download_cuda(ms_queue *q, void *host, const void *from, size_t bytes) {
  if (enter(q) < 0) return -1;
  if (check(q, q->driver->download(host, (CUdeviceptr)(uintptr_t)from, bytes, q->stream), "copying from the device") < 0) return -1;
  return check(q, q->driver->stream_wait(q->stream), "copying from the device");
}

static int copy_cuda(ms_queue *q, void *to, const void *from, size_t bytes) {
  if (enter(q) < 0) return -1;
  return check(q, q->driver->copy((CUdeviceptr)(uintptr_t)to, (CUdeviceptr)(uintptr_t)from, bytes, q->stream), "copying");
}

/* ---- kernels by name ----------------------------------------------------------------------------------------------------- */

static CUmodule module_of(ms_queue *q, ms_cuda_image image) {
  if (q->module[image]) return q->module[image];
  const CUresult rc = q->driver->module_load(&q->module[image], ms_cuda_images[image]);
  if (rc == MS_CUDA_NO_BINARY || rc == MS_CUDA_UNSUPPORTED_PTX)
    return ms_fail("cuda:%d: the driver cannot run the kernels of this program, which are for %s: it is older than the nvcc that "
                   "made them, or the device newer",
                   q->index, ms_cuda_built_for);
  return check(q, rc, "loading kernels") < 0 ? NULL : q->module[image];
}

static known_function *slot(known_function *at, int room, const char *name) {
  uint32_t h = 2166136261u;
  for (const char *s = name; *s; s++) h = (h ^ (uint8_t)*s) * 16777619u;
  for (uint32_t i = h;; i++) {
    known_function *k = &at[i & (uint32_t)(room - 1)];
    if (!k->function || !strcmp(k->name, name)) return k;
  }
}

static int grow(ms_queue *q) {
  const int room = q->room ? 2 * q->room : 256;
  known_function *more = calloc((size_t)room, sizeof *more);
  if (!more) return ms_fail("cuda: out of memory"), -1;
  for (int i = 0; i < q->room; i++)
    if (q->known[i].function) *slot(more, room, q->known[i].name) = q->known[i];
  free(q->known);
  q->known = more, q->room = room;
  return 0;
}

static CUfunction function_of(ms_queue *q, ms_cuda_image image, const char *name) {
  if (2 * q->n_known >= q->room && grow(q) < 0) return NULL;
  known_function *k = slot(q->known, q->room, name);
  if (k->function) return k->function;
  CUmodule m = module_of(q, image);
  CUfunction f = NULL;
  if (!m || check(q, q->driver->module_function(&f, m, name), name) < 0) return NULL;
  snprintf(k->name, sizeof k->name, "%s", name);
  q->n_known++;
  return k->function = f;
}

int ms_cuda_launch(ms_queue *q, ms_cuda_image image, const char *name, int64_t blocks, int threads, void *params) {
  if (enter(q) < 0) return -1;
  CUfunction f = function_of(q, image, name);
  if (!f) return -1;
  return check(q, q->driver->launch(f, (unsigned)blocks, 1, 1, (unsigned)threads, 1, 1, 0, q->stream, (void *[]){params}, NULL),
               name);
}

/* As many blocks as keep the device busy, each thread going around. */
int ms_cuda_launch_each(ms_queue *q, ms_cuda_image image, const char *name, int64_t n, void *params) {
  const int64_t wanted = (n + MS_CUDA_THREADS - 1) / MS_CUDA_THREADS, most = 16 * (int64_t)q->processors;
  return n ? ms_cuda_launch(q, image, name, wanted < most ? wanted : most, MS_CUDA_THREADS, params) : 0;
}

static const ms_backend cuda = {
    .abi = MS_ABI,
    .name = "cuda",
    .host_memory = false,
    .open = open_cuda,
    .alloc = alloc_cuda,
    .free = free_cuda,
    .upload = ms_cuda_upload,
    .download = download_cuda,
    .copy = copy_cuda,
    .sync = sync_cuda,
    .kernel = ms_cuda_kernel,
};

const ms_backend *ms_backend_cuda(void) { return &cuda; }
