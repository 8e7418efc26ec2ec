/* rewrite.c -- new calls in a recording (rewrite.h). */
#include "rewrite.h"
#include <stdlib.h>
#include <string.h>

static int no_memory(void) { return ms_fail("compile: out of memory"), -1; }

int ms_rewrite_examine(ms_rewrite *w) {
  ms_record *r = w->r;
  free(w->dead), free(w->fact);
  w->dead = calloc((size_t)r->n_call + 1, 1);
  w->fact = calloc((size_t)r->n_slot + 1, sizeof *w->fact);
  if (!w->dead || !w->fact || ms_record_dead(r, w->dead) < 0) return no_memory();
  for (int i = 0; i < r->n_call; i++)
    for (int k = 0; k < r->call[i].call.n_in + r->call[i].call.n_out; k++) {
      if (r->call[i].slot[k] < 0) continue;
      ms_fact *t = &w->fact[r->call[i].slot[k]];
      t->readers += k < r->call[i].call.n_in && !w->dead[i];
      if (ms_rcall_writes(&r->call[i], k)) t->made = i, t->writes++;
    }
  return 0;
}

void ms_rewrite_close(ms_rewrite *w) {
  while (w->n_wait) ms_rcall_drop(&w->wait[--w->n_wait]);
  free(w->dead), free(w->fact);
}

ms_slot_view ms_rewrite_operand(const ms_rcall *c, int k) {
  ms_slot_view v = {.slot = c->slot[k], .view = *ms_rcall_view((ms_rcall *)c, k), .offset = c->offset[k]};
  v.view.number = v.view.number ? &c->number[k] : NULL;
  return v;
}

static void set_contiguous(ms_slot_view *v, int rank, const int64_t *shape) {
  int64_t n = 1;
  v->view.rank = (uint8_t)rank;
  for (int i = rank - 1; i >= 0; i--) v->view.shape[i] = shape[i], v->view.stride[i] = n, n *= shape[i];
}

static int new_slot(ms_rewrite *w, ms_slot slot, ms_slot_view *v) {
  ms_record *r = w->r;
  if (r->n_slot == r->room_slot) {
    int room = 2 * r->room_slot;
    ms_slot *p = realloc(r->slot, (size_t)room * sizeof *p);
    if (!p) return no_memory();
    r->slot = p, r->room_slot = room;
  }
  slot.arg = slot.first = slot.last = -1;
  slot.bytes = (size_t)ms_view_numel(&v->view) * ms_dtype_size(v->view.dtype);
  v->slot = r->n_slot++;
  r->slot[v->slot] = slot;
  return 0;
}

int ms_rewrite_temp(ms_rewrite *w, int dtype, int rank, const int64_t *shape, ms_slot_view *v) {
  *v = (ms_slot_view){.view = {.dtype = (uint8_t)dtype}};
  set_contiguous(v, rank, shape);
  return new_slot(w, (ms_slot){.kind = MS_SLOT_INTERNAL, .written = true}, v);
}

int ms_rewrite_constant(ms_rewrite *w, int dtype, const int64_t *shape, const double *values, ms_slot_view *v) {
  *v = (ms_slot_view){.view = {.dtype = (uint8_t)dtype}};
  set_contiguous(v, 2, shape);
  size_t n = (size_t)ms_view_numel(&v->view), size = ms_dtype_size(dtype);
  char *bytes = malloc(n * size);
  if (!bytes) return no_memory();
  for (size_t i = 0; i < n; i++) ms_put_number(bytes + i * size, dtype, ms_scalar_of(values[i]));
  ms_storage *s = ms_storage_new(w->r->device, n * size);
  int rc = s && w->r->device->backend->upload(w->r->device->queue, s->data, bytes, n * size) == 0 ? 0 : -1;
  if (rc == 0) rc = new_slot(w, (ms_slot){.kind = MS_SLOT_EXTERNAL, .constant = true, .birth = s->birth}, v);
  if (rc == 0) ms_slot_hold(&w->r->slot[v->slot], s);
  ms_storage_release(s);
  free(bytes);
  return rc;
}

ms_slot_view ms_rewrite_view(const ms_slot_view *v, int rank, const int64_t *shape, const int64_t *stride) {
  ms_slot_view to = *v;
  if (!stride) return set_contiguous(&to, rank, shape), to;
  to.view.rank = (uint8_t)rank;
  memcpy(to.view.shape, shape, (size_t)rank * sizeof *shape);
  memcpy(to.view.stride, stride, (size_t)rank * sizeof *stride);
  return to;
}

int ms_rewrite_call(ms_rewrite *w, int op, int n_in, const ms_slot_view *in, const ms_attr *attr, const ms_slot_view *out) {
  ms_view views[MS_MAX_ARGS], result = out->view;
  ms_call c = {.op = ms_op_at(op), .n_in = n_in, .n_out = 1, .in = views, .out = &result, .attr = attr};
  c.n_attr = c.op->n_attr;
  c.queue = w->r->device->queue, c.precision = ms_device_precision(w->r->device); /* backends are asked about the call */
  for (int k = 0; k < n_in; k++) views[k] = in[k].view;
  ms_rcall *q = &w->wait[w->n_wait];
  if (ms_rcall_copy(q, &c) < 0) return -1;
  w->n_wait++;
  for (int k = 0; k <= n_in; k++) {
    const ms_slot_view *v = k < n_in ? &in[k] : out;
    q->slot[k] = v->slot, q->offset[k] = v->offset;
    if (!v->view.number) continue;
    q->number[k] = *v->view.number;
    ms_cell_retain(ms_scalar_cell(q->number[k]));
    q->live |= ms_scalar_cell(q->number[k]) != NULL;
  }
  return 0;
}

int ms_rewrite_put(ms_rewrite *w, int at, bool replace) {
  ms_record *r = w->r;
  int more = w->n_wait - replace;
  if (r->n_call + more > r->room_call) {
    int room = 2 * r->room_call + more;
    ms_rcall *p = realloc(r->call, (size_t)room * sizeof *p);
    if (!p) return no_memory();
    r->call = p, r->room_call = room;
  }
  for (int i = 0; i < w->n_wait; i++)
    w->wait[i].chunk = r->call[at].chunk, w->wait[i].line = r->call[at].line, w->wait[i].nth = r->call[at].nth;
  if (replace) ms_rcall_drop(&r->call[at]);
  memmove(&r->call[at + w->n_wait], &r->call[at + replace], (size_t)(r->n_call - at - replace) * sizeof *r->call);
  memcpy(&r->call[at], w->wait, (size_t)w->n_wait * sizeof *r->call);
  r->n_call += more, w->n_wait = 0;
  return 0;
}
