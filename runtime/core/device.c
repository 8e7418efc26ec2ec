/* device.c -- devices by name: a family ("cpu", "trace", "cuda"), and for those that have several, which one ("cuda:1"). The CPU
 * and the trace backend are linked in; the others are modules libmascon_FAMILY.so, opened when they are first asked for. */
#define _GNU_SOURCE
#include "core.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_DEVICES = 8 };
static ms_device devices[MOST_DEVICES];
static int n_devices;

static const struct family {
  const char *name;
  const ms_backend *(*linked)(void); /* NULL: a module */
} families[] = {
    {"cpu", ms_backend_cpu},
    {"trace", ms_backend_trace},
    {"cuda", NULL},
    {"lazy", NULL}, /* tests only: works when it is waited for (tests/lazy) */
};
enum { FAMILIES = sizeof families / sizeof *families };

static ms_device *open_device(const ms_backend *b, int index, const char *name) {
  if (n_devices == MOST_DEVICES) return ms_fail("device %s: at most %d devices can be open", name, MOST_DEVICES);
  if (b->abi != MS_ABI)
    return ms_fail("device %s: its module speaks version %d of the contract, this program %d", name, b->abi, MS_ABI);
  ms_device d = {.backend = b, .index = index};
  snprintf(d.name, sizeof d.name, "%s", name);
  if (!(d.queue = b->open(index, d.description, sizeof d.description))) return NULL; /* it may open others */
  d.precisions = b->precisions ? b->precisions(d.queue) : 1u << MS_PRECISION_F32;
  if (n_devices == MOST_DEVICES) return ms_fail("device %s: at most %d devices can be open", name, MOST_DEVICES);
  devices[n_devices] = d;
  return &devices[n_devices++];
}

/* Where a module's file is: in the folder MASCON_LIB; else beside the program or the library that this is part of, or in the lib
 * beside that folder; else where the system looks. */
static void find_module(char *path, size_t size, const char *file) {
  const char *folder = getenv("MASCON_LIB"), *const beside[] = {"", "/../lib"};
  if (folder) {
    snprintf(path, size, "%s/%s", folder, file);
    return;
  }
  Dl_info here;
  char *own = dladdr(families, &here) && here.dli_fname ? realpath(here.dli_fname, NULL) : NULL;
  if (!own) own = realpath("/proc/self/exe", NULL); /* a program found by PATH has a name without a folder */
  bool found = false;
  for (int i = 0; own && strrchr(own, '/') && !found && i < 2; i++) {
    const int n = (int)(strrchr(own, '/') - own);
    found = snprintf(path, size, "%.*s%s/%s", n, own, beside[i], file) < (int)size && access(path, F_OK) == 0;
  }
  free(own);
  if (!found) snprintf(path, size, "%s", file);
}

static const ms_backend *load_module(const char *family) {
  char file[64], symbol[64], path[4096];
  snprintf(file, sizeof file, "libmascon_%s.so", family);
  snprintf(symbol, sizeof symbol, "ms_backend_%s", family);
  find_module(path, sizeof path, file);
  void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!so) return ms_fail("no %s device: its module could not be opened (%s)", family, dlerror());
  const ms_backend *(*get)(void);
  *(void **)&get = dlsym(so, symbol);
  if (!get) return ms_fail("no %s device: %s has no %s", family, path, symbol);
  return get();
}

/* The family of a name, and which of its devices: "cuda" and "cuda:0" are the same one. NULL: no such family, or no number. */
static const struct family *family_of(const char *name, int *index) {
  for (int i = 0; i < FAMILIES; i++) {
    const size_t n = strlen(families[i].name);
    if (strncmp(name, families[i].name, n) || (name[n] && name[n] != ':')) continue;
    const char *digits = name[n] ? name + n + 1 : "0";
    const size_t length = strspn(digits, "0123456789");
    if (!length || length > 3 || digits[length]) return NULL;
    *index = atoi(digits);
    return &families[i];
  }
  return NULL;
}

/* cuda has to be asked for by name until it has kernels for all rows. */
static ms_device *best(void) { return ms_device_get("cpu"); }

/* Writes the name that a device goes by: the first of a family has the family's name alone, but for cuda. */
static void write_name(char *to, size_t size, const struct family *f, int index) {
  if (index || !strcmp(f->name, "cuda")) snprintf(to, size, "%s:%d", f->name, index);
  else snprintf(to, size, "%s", f->name);
}

static ms_device *opened_as(const char *full) {
  for (int i = 0; i < n_devices; i++)
    if (!strcmp(devices[i].name, full)) return &devices[i];
  return NULL;
}

ms_device *ms_device_opened(const char *name) {
  ms_device *d = opened_as(name);
  int index;
  const struct family *f = d ? NULL : family_of(name, &index);
  if (!f) return d;
  char full[sizeof devices[0].name];
  write_name(full, sizeof full, f, index);
  return opened_as(full);
}

ms_device *ms_device_get(const char *name) {
  ms_device *open = ms_device_opened(name);
  if (open) return open;
  if (!strcmp(name, "auto")) return best();
  int index;
  const struct family *f = family_of(name, &index);
  if (!f) return ms_fail("unknown device '%s' (expected cpu, cuda, cuda:N, auto or trace)", name);
  if (f->linked == ms_backend_cpu && ms_threads_check() < 0) return NULL;
  char full[sizeof devices[0].name];
  write_name(full, sizeof full, f, index);
  const ms_backend *b = f->linked ? f->linked() : load_module(f->name);
  return b ? open_device(b, index, full) : NULL;
}

ms_device *ms_device_default(void) {
  static ms_device *found;
  if (found) return found;
  const char *name = getenv("MASCON_DEVICE");
  ms_device *d = ms_device_get(name && *name ? name : "cpu");
  if (!d) ms_error_prefix("MASCON_DEVICE");
  return found = d;
}

ms_device *ms_device_host(void) { return ms_device_get("cpu"); }

ms_device *ms_device_open(int i) { return i < n_devices ? &devices[i] : NULL; }

const char *ms_device_name(const ms_device *d) { return d ? d->name : "none"; }

int ms_device_download(ms_device *d, void *host, const void *from, size_t bytes) {
  if (!bytes) return 0;
  return d->backend->download(d->queue, host, from, bytes) < 0 ? -1 : ms_device_faulted(d);
}

int ms_device_sync(ms_device *d) {
  if (!d || d->backend->sync(d->queue) < 0) return -1;
  return ms_device_faulted(d);
}
