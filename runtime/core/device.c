/* device.c -- devices by name. The CPU and the trace backend are linked in; others are modules libmascon_NAME.so, opened on first
 * use. */
#include "core.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ms_device devices[8];
static int n_devices;

static ms_device *open_device(const ms_backend *b, int index, const char *name) {
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
  if (!strcmp(name, "cpu")) return ms_threads_check() < 0 ? NULL : open_device(ms_backend_cpu(), 0, "cpu");
  if (!strcmp(name, "trace")) return open_device(ms_backend_trace(), 0, "trace");
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
    return b ? open_device(b, index, name) : NULL;
  }
  return ms_fail("unknown device '%s' (expected cpu, cuda, cuda:N, auto or trace)", name);
}

const char *ms_device_name(const ms_device *d) { return d ? d->name : "none"; }
int ms_device_sync(ms_device *d) { return d ? d->backend->sync() : -1; }
