/* tensor.c -- tensors, scopes, and the way in and out of host memory. */
#define MS_INSIDE
#include "core.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life -------------------------------------------------------------------------------------------------------- */

static ms_tensor *spare; /* freed headers, to be used again; linked through ->grad */

ms_tensor *ms_tensor_new(void) {
  ms_tensor *t = spare;
  if (t) spare = t->grad;
  else if (!(t = malloc(sizeof *t))) return ms_fail("out of memory: no room for a tensor header");
  t->refs = 1;
  t->dtype = t->rank = t->out_index = 0;
  t->requires_grad = t->is_number = t->is_integer_number = t->is_view = t->is_ghost = false;
  t->version = 0, t->offset = 0;
  t->storage = NULL, t->device = NULL, t->node = NULL, t->grad = NULL;
  t->number = (ms_scalar){{0}};
  ms_live_tensors++;
  return t;
}

ms_tensor *ms_retain(ms_tensor *t) {
  if (t) t->refs++;
  return t;
}

void ms_release(ms_tensor *t) {
  if (!t || --t->refs) return;
  ms_storage_release(t->storage);
  if (t->node) ms_node_release(t->node);
  if (t->grad) ms_release(t->grad);
  if (t->is_number) ms_cell_release(ms_scalar_cell(t->number));
  t->grad = spare;
  spare = t;
  ms_live_tensors--;
}

/* ---- scopes ------------------------------------------------------------------------------------------------------
 * All scopes share one stack of tensors that wait for their release. A scope is the part of it above the mark that
 * ms_scope_open gave. */

static ms_tensor **waiting;
static int n_waiting, room_waiting;

int ms_scope_open(void) { return n_waiting; }

void ms_scope_close(int mark) {
  while (n_waiting > mark) ms_release(waiting[--n_waiting]);
}

ms_tensor *ms_autorelease(ms_tensor *t) {
  if (!t) return NULL;
  if (n_waiting == room_waiting) {
    int room = room_waiting ? 2 * room_waiting : 256;
    ms_tensor **p = realloc(waiting, (size_t)room * sizeof *p);
    if (!p) {
      ms_release(t);
      return ms_fail("out of memory: no room for the scope's list");
    }
    waiting = p, room_waiting = room;
  }
  return waiting[n_waiting++] = t;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

void ms_set_contiguous(ms_tensor *t) {
  int64_t s = 1;
  for (int i = t->rank - 1; i >= 0; i--) t->stride[i] = s, s *= t->shape[i];
}

ms_tensor *ms_empty(ms_dtype dtype, int rank, const int64_t *shape, ms_device *device) {
  if (!device && !(device = ms_device_default())) return NULL;
  if (rank < 0 || rank > MS_MAX_RANK) return ms_fail("a tensor of rank %d: expected 0..%d", rank, MS_MAX_RANK);
  int64_t n = 1;
  for (int i = 0; i < rank; i++) {
    if (shape[i] < 0) return ms_fail("size %lld of dimension %d: expected 0 or more", (long long)shape[i], i + 1);
    if (__builtin_mul_overflow(n, shape[i], &n) || n > INT64_MAX / 16)
      return ms_fail("out of memory: %s elements are more than can be addressed", ms_sizes_str(rank, shape));
  }
  ms_storage *s = ms_storage_new(device, (size_t)n * ms_dtype_size(dtype));
  if (!s) return NULL;
  ms_tensor *t = ms_tensor_new();
  if (!t) return ms_storage_release(s), NULL;
  t->dtype = (uint8_t)dtype, t->rank = (uint8_t)rank;
  for (int i = 0; i < rank; i++) t->shape[i] = shape[i];
  ms_set_contiguous(t);
  t->storage = s, t->device = device;
  return ms_autorelease(t);
}

ms_tensor *ms_from_host(ms_dtype dtype, int rank, const int64_t *shape, const void *data, ms_device *device) {
  ms_tensor *t = ms_empty(dtype, rank, shape, device);
  if (!t) return NULL;
  size_t bytes = (size_t)ms_numel(t) * ms_dtype_size(dtype);
  if (bytes && t->device->backend->upload(t->device->queue, t->storage->data, data, bytes) < 0) return NULL;
  return t;
}

ms_tensor *ms_zeros(ms_dtype dtype, int rank, const int64_t *shape, ms_device *device) {
  ms_ints v = {.n = rank};
  if (rank < 0 || rank > MS_MAX_RANK) return ms_fail("a tensor of rank %d: expected 0..%d", rank, MS_MAX_RANK);
  for (int i = 0; i < rank; i++) v.at[i] = shape[i];
  return ms_full(v, 0, (int)dtype, device);
}

ms_tensor *ms_number(double value) {
  ms_tensor *t = ms_tensor_new();
  if (!t) return NULL;
  t->is_number = true;
  t->dtype = MS_F64;
  t->number = ms_scalar_of(value);
  return ms_autorelease(t);
}

ms_tensor *ms_whole_number(int64_t value) {
  ms_tensor *t = ms_number((double)value);
  if (t) t->number = ms_scalar_of_whole(value), t->is_integer_number = true;
  return t;
}

ms_tensor *ms_live_number(ms_cell *cell) {
  ms_tensor *t = ms_number(0);
  if (t) t->number = ms_scalar_of_cell(ms_cell_retain(cell)), t->is_integer_number = ms_cell_get(cell).is_whole;
  return t;
}

ms_tensor *ms_alias(const ms_tensor *x) {
  ms_tensor *t = ms_tensor_new();
  if (!t) return NULL;
  t->dtype = x->dtype, t->rank = x->rank, t->offset = x->offset, t->device = x->device;
  memcpy(t->shape, x->shape, sizeof t->shape);
  memcpy(t->stride, x->stride, sizeof t->stride);
  if (x->storage) t->storage = ms_storage_retain(x->storage);
  t->is_number = x->is_number, t->is_integer_number = x->is_integer_number, t->is_ghost = x->is_ghost;
  t->number = x->number;
  if (t->is_number) ms_cell_retain(ms_scalar_cell(t->number));
  return t;
}

ms_tensor *ms_detach(ms_tensor *x) { return x ? ms_autorelease(ms_alias(x)) : NULL; }

/* ---- reading ----------------------------------------------------------------------------------------------------- */

int ms_rank(const ms_tensor *t) { return t->rank; }
const int64_t *ms_shape(const ms_tensor *t) { return t->shape; }
const int64_t *ms_stride(const ms_tensor *t) { return t->stride; }
ms_dtype ms_tensor_dtype(const ms_tensor *t) { return t ? (ms_dtype)t->dtype : MS_F32; }
ms_device *ms_tensor_device(const ms_tensor *t) { return t->device; }

int64_t ms_numel(const ms_tensor *t) {
  int64_t n = 1;
  for (int i = 0; i < t->rank; i++) n *= t->shape[i];
  return n;
}

bool ms_is_contiguous(const ms_tensor *t) {
  int64_t s = 1;
  for (int i = t->rank - 1; i >= 0; i--) {
    if (t->shape[i] != 1 && t->stride[i] != s) return false;
    s *= t->shape[i];
  }
  return true;
}

ms_ints ms_sizes(const ms_tensor *t) {
  ms_ints v = {.n = t->rank};
  memcpy(v.at, t->shape, sizeof v.at);
  return v;
}

void *ms_data(const ms_tensor *t) {
  if (!t->storage || !t->device->backend->host_memory) return NULL;
  return (char *)t->storage->data + (size_t)t->offset * ms_dtype_size(t->dtype);
}

void ms_touch(ms_tensor *t) {
  if (t->storage) t->storage->version++;
}

int ms_to_host(ms_tensor *t, void *out) {
  if (!t) return -1;
  if (ms_observer_now) {
    ms_fail(
        "a tensor's values were asked for (item, totable, print, x < y, x[mask], nonzero, :to another device) inside a compiled "
        "step: a replay would not ask again; return the tensor and look at it outside");
    return ms_observer_now->refused(ms_error()), -1;
  }
  int mark = ms_scope_open(), rc = -1;
  ms_tensor *c = ms_contiguous(ms_detach(t));
  if (c) {
    size_t size = ms_dtype_size(c->dtype), bytes = (size_t)ms_numel(c) * size;
    rc = ms_device_download(c->device, out, (const char *)c->storage->data + (size_t)c->offset * size, bytes);
  }
  ms_scope_close(mark);
  return rc;
}

double ms_item(ms_tensor *t) {
  if (!t) return NAN;
  if (t->is_number) return ms_scalar_value(t->number);
  if (ms_numel(t) != 1) return ms_fail("item: expected a tensor of one element, got %s", ms_shape_str(t)), NAN;
  double v = NAN;
  int mark = ms_scope_open();
  ms_tensor *d = ms_cast(ms_detach(t), MS_F64);
  if (d && ms_to_host(d, &v) < 0) v = NAN;
  ms_scope_close(mark);
  return v;
}

ms_tensor *ms_to_device(ms_tensor *t, ms_device *d) {
  if (!t || !d) return NULL;
  if (t->device == d || t->is_number) return t;
  ms_tensor *c = ms_contiguous(ms_detach(t));
  if (!c) return NULL;
  ms_tensor *r = ms_empty((ms_dtype)c->dtype, c->rank, c->shape, d);
  if (!r) return NULL;
  const size_t size = ms_dtype_size(c->dtype), bytes = (size_t)ms_numel(c) * size;
  char *from = (char *)c->storage->data + (size_t)c->offset * size, *to = r->storage->data;
  if (d->backend->host_memory) return ms_to_host(c, to) == 0 ? r : NULL;
  if (t->device->backend->host_memory && !ms_observer_now)
    return !bytes || d->backend->upload(d->queue, to, from, bytes) == 0 ? r : NULL;
  void *host = malloc(bytes ? bytes : 1);
  if (!host) return ms_fail("out of memory: %zu bytes to move a tensor from %s to %s", bytes, t->device->name, d->name);
  const bool ok = ms_to_host(c, host) == 0 && (!bytes || d->backend->upload(d->queue, to, host, bytes) == 0);
  free(host);
  return ok ? r : NULL;
}

/* ---- words for messages ------------------------------------------------------------------------------------------ */

static char *buffer(void) {
  static char ring[6][128];
  static int at;
  return ring[at = (at + 1) % 6];
}

const char *ms_sizes_str(int rank, const int64_t *shape) {
  char *b = buffer();
  int n = 0;
  if (!rank) return "scalar";
  for (int i = 0; i < rank && n < 110; i++) n += snprintf(b + n, 128 - (size_t)n, i ? " x %lld" : "%lld", (long long)shape[i]);
  return b;
}

const char *ms_shape_str(const ms_tensor *t) {
  char *b = buffer();
  if (t->is_number) return "a number";
  snprintf(b, 128, "%s %s", ms_sizes_str(t->rank, t->shape), ms_dtype_name(t->dtype));
  return b;
}
