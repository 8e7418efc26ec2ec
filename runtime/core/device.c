/* device.c -- devices by name. The CPU and the trace backend are linked in; others are modules libmascon_NAME.so, opened on first
 * use. */
#include "core.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ms_device devices[8];
static int n_devices;

static ms_device *add(const ms_backend *b, int index, const char *name) {
  if (n_devices == 8) return ms_fail("device %s: at most 8 devices can be open", name);
  ms_device *d = &devices[n_devices];
  *d = (ms_device){.backend = b, .index = index};
  snprintf(d->name, sizeof d->name, "%s", name);
  if (b->abi != MS_ABI)
    return ms_fail("device %s: its module speaks version %d of the contract, this program %d", name, b->abi, MS_ABI);
  if (b->open(index, d->description, sizeof d->description) < 0) return NULL;
  n_devices++;
  return d;
}

static const ms_backend *load_module(const char *family) {
  char file[64], symbol[64], path[1024];
  snprintf(file, sizeof file, "libmascon_%s.so", family);
  snprintf(symbol, sizeof symbol, "ms_backend_%s", family);
  const char *folder = getenv("MASCON_LIB");
  if (folder) snprintf(path, sizeof path, "%s/%s", folder, file);
  else snprintf(path, sizeof path, "%s", file);
  void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!so) return ms_fail("no %s device: its module could not be opened (%s)", family, dlerror());
  const ms_backend *(*get)(void);
  *(void **)&get = dlsym(so, symbol);
  if (!get) return ms_fail("no %s device: %s has no %s", family, path, symbol);
  return get();
}

ms_device *ms_device_get(const char *name) {
  for (int i = 0; i < n_devices; i++)
    if (!strcmp(devices[i].name, name)) return &devices[i];
  if (!strcmp(name, "cpu")) return ms_threads_check() < 0 ? NULL : add(ms_backend_cpu(), 0, "cpu");
  if (!strcmp(name, "trace")) return add(ms_backend_trace(), 0, "trace");
  if (!strcmp(name, "auto")) {
    ms_device *d = ms_error() ? NULL : ms_device_get("cuda");
    if (d) return d;
    ms_error_clear();
    return ms_device_get("cpu");
  }
  if (!strncmp(name, "cuda", 4) && (!name[4] || name[4] == ':')) {
    int index = name[4] ? atoi(name + 5) : 0;
    if (!name[4]) name = "cuda:0";
    for (int i = 0; i < n_devices; i++)
      if (!strcmp(devices[i].name, name)) return &devices[i];
    const ms_backend *b = load_module("cuda");
    return b ? add(b, index, name) : NULL;
  }
  return ms_fail("unknown device '%s' (expected cpu, cuda, cuda:N, auto or trace)", name);
}

const char *ms_device_name(const ms_device *d) { return d ? d->name : "none"; }
int ms_device_sync(ms_device *d) { return d ? d->backend->sync() : -1; }

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static int threads;

/* What MASCON_THREADS says, 0: nothing, -1 after ms_fail. */
static int asked_threads(void) {
  const char *ask = getenv("MASCON_THREADS");
  if (!ask || !*ask) return 0;
  char *end;
  const long n = strtol(ask, &end, 10);
  if (*end || n < 1 || n > MS_MOST_THREADS || ask[strspn(ask, "0123456789")])
    return ms_fail("MASCON_THREADS: expected a number from 1 to %d, got '%s'", MS_MOST_THREADS, ask), -1;
  return (int)n;
}

int ms_threads_check(void) { return asked_threads() < 0 ? -1 : 0; }

int ms_threads(void) {
  if (!threads) {
    const bool failed = ms_error() != NULL;
    const int n = asked_threads();
    if (n < 0 && !failed) ms_error_clear(); /* told by ms_threads_check */
    ms_set_threads(n > 0 ? n : ms_cores());
  }
  return threads;
}

void ms_set_threads(int n) { threads = n < 1 ? 1 : n > MS_MOST_THREADS ? MS_MOST_THREADS : n; }

static bool any_order;

bool ms_deterministic(void) { return !any_order; }
void ms_set_deterministic(bool on) { any_order = !on; }

#if defined(__x86_64__)
static bool flush_denormal = true;
void ms_set_flush_denormal(bool on) { flush_denormal = on; }
#else
static const bool flush_denormal = false;
void ms_set_flush_denormal(bool on) { (void)on; }
#endif
bool ms_flush_denormal(void) { return flush_denormal; }

/* ---- precision --------------------------------------------------------------------------------------------------- */

static ms_precision precision;
static const char *const precisions[] = {[MS_PRECISION_F32] = "f32", [MS_PRECISION_BF16] = "bf16"};

ms_precision ms_get_precision(void) { return precision; }
const char *ms_precision_name(void) { return precisions[precision]; }

int ms_set_precision(const char *name) {
  if (!strcmp(name, "f32")) return precision = MS_PRECISION_F32, 0;
  if (strcmp(name, "bf16")) return ms_fail("precision: expected f32 or bf16, got '%s'", name), -1;
  const ms_device *cpu = ms_device_get("cpu");
  if (!cpu) return -1;
  if (!cpu->backend->bf16 || !cpu->backend->bf16())
    return ms_fail("precision bf16: %s: needs a processor with AVX512_BF16", cpu->description), -1;
  return precision = MS_PRECISION_BF16, 0;
}
