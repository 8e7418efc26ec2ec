/* replay.c -- a recording made into a step: what is needed, where it lies, and the loop that runs it. */
#include "record.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what is needed
 * ------------------------------------------------------------------------------------------------------------------- */

/* Sort the storages that calls made: still held by others, leaving as results, or free for the arena. */
static void classify(ms_record *r) {
  for (int i = 0; i < r->n_slot; i++) {
    ms_slot *s = &r->slot[i];
    if (s->kind == MS_SLOT_INTERNAL && s->storage->refs > 1) s->kind = MS_SLOT_KEPT;
  }
  for (int k = 0; k < r->n_results; k++) {
    ms_slot *s = &r->slot[r->result[k].slot];
    if (s->kind == MS_SLOT_INTERNAL || s->kind == MS_SLOT_KEPT) s->kind = MS_SLOT_RESULT;
  }
}

/* A call is dead when nothing it writes is read later or seen from outside. Random draws stay: they move the generator. */
static int drop_dead(ms_step *s) {
  ms_record *r = s->r;
  bool *needed = calloc((size_t)r->n_slot + 1, 1);
  if (!needed || !(s->dead = calloc((size_t)r->n_call + 1, 1))) return free(needed), ms_fail("compile: out of memory"), -1;
  for (int i = 0; i < r->n_slot; i++) needed[i] = r->slot[i].kind != MS_SLOT_INTERNAL;
  for (int i = r->n_call - 1; i >= 0; i--) {
    ms_rcall *c = &r->call[i];
    bool live = c->call.op->mutates || c->call.rng;
    for (int k = c->call.n_in; k < c->call.n_in + c->call.n_out; k++) live |= c->slot[k] >= 0 && needed[c->slot[k]];
    for (int k = 0; k < c->call.n_in && live; k++)
      if (c->slot[k] >= 0) needed[c->slot[k]] = true;
    s->dead[i] = !live;
    s->info.dead += !live;
  }
  free(needed);
  for (int i = 0; i < r->n_slot; i++) r->slot[i].first = r->slot[i].last = -1;
  for (int i = 0; i < r->n_call; i++) {
    ms_rcall *c = &r->call[i];
    for (int k = 0; k < c->call.n_in + c->call.n_out && !s->dead[i]; k++) {
      if (c->slot[k] < 0) continue;
      ms_slot *t = &r->slot[c->slot[k]];
      if (t->first < 0) t->first = i;
      t->last = i;
    }
  }
  return 0;
}

/* ---- where it lies
 * ----------------------------------------------------------------------------------------------------------------------- */

typedef struct piece {   /* arena memory for calls first..last */
  int first, last, slot; /* slot -1: the workspace of call `first` */
  size_t bytes, at;
} piece;

static int by_size(const void *a, const void *b) {
  const piece *x = a, *y = b;
  return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : x->first - y->first;
}
static int by_place(const void *a, const void *b) {
  size_t x = (*(piece *const *)a)->at, y = (*(piece *const *)b)->at;
  return x < y ? -1 : x > y;
}

/* Largest first, each at the lowest place that is free over its lifetime. Gives the size of the whole. */
static size_t lay_out(piece *p, int n) {
  size_t total = 0;
  piece **busy = malloc((size_t)(n + 1) * sizeof *busy);
  if (!busy) return (size_t)-1;
  qsort(p, (size_t)n, sizeof *p, by_size);
  for (int i = 0; i < n; i++) {
    int m = 0;
    for (int j = 0; j < i; j++)
      if (p[j].first <= p[i].last && p[i].first <= p[j].last) busy[m++] = &p[j];
    qsort(busy, (size_t)m, sizeof *busy, by_place);
    size_t at = 0;
    for (int j = 0; j < m; j++) {
      if (at + p[i].bytes <= busy[j]->at) break;
      if (busy[j]->at + busy[j]->bytes > at) at = busy[j]->at + busy[j]->bytes;
    }
    p[i].at = at;
    if (at + p[i].bytes > total) total = at + p[i].bytes;
  }
  free(busy);
  return total;
}

static size_t round_up(size_t n) { return (n + 127) / 128 * 128; }

static int make_arena(ms_step *s) {
  ms_record *r = s->r;
  piece *p = calloc((size_t)r->n_slot + (size_t)r->n_call + 1, sizeof *p);
  if (!p) return ms_fail("compile: out of memory"), -1;
  int n = 0;
  for (int i = 0; i < r->n_slot; i++)
    if (r->slot[i].kind == MS_SLOT_INTERNAL && r->slot[i].first >= 0) {
      p[n++] = (piece){r->slot[i].first, r->slot[i].last, i, round_up(r->slot[i].bytes), 0};
      s->info.eager += r->slot[i].bytes;
    }
  for (int i = 0; i < r->n_call; i++)
    if (!s->dead[i] && r->call[i].call.work_bytes) p[n++] = (piece){i, i, -1, round_up(r->call[i].call.work_bytes), 0};
  size_t total = lay_out(p, n);
  if (total == (size_t)-1) return free(p), ms_fail("compile: out of memory"), -1;
  s->info.arena = total;
  if (total) {
    if (!(s->arena = ms_storage_new(r->device, total))) return free(p), -1;
    if (r->device->backend->host_memory) memset(s->arena->data, 0, total); /* first touch, once */
  }
  for (int i = 0; i < n; i++) {
    if (p[i].slot >= 0) r->slot[p[i].slot].at = p[i].at;
    else r->call[p[i].first].call.work = (char *)s->arena->data + p[i].at;
  }
  free(p);
  for (int i = 0; i < r->n_slot; i++)
    if (r->slot[i].kind == MS_SLOT_INTERNAL) ms_storage_release(r->slot[i].storage), r->slot[i].storage = NULL;
  return 0;
}

static ms_view *view_at(ms_rcall *c, int k) { return k < c->call.n_in ? &c->call.in[k] : &c->call.out[k - c->call.n_in]; }

/* Fix every address that does not change, and list those that do. */
static int place_views(ms_step *s) {
  ms_record *r = s->r;
  int n = 0;
  for (int pass = 0; pass < 2; pass++) {
    if (pass && !(s->patch = calloc((size_t)n + 1, sizeof *s->patch))) return ms_fail("compile: out of memory"), -1;
    for (int i = 0; i < r->n_call; i++) {
      ms_rcall *c = &r->call[i];
      for (int k = 0; k < c->call.n_in + c->call.n_out && !s->dead[i]; k++) {
        ms_view *v = view_at(c, k);
        if (k < c->call.n_in && v->number) v->data = &c->immediate[k], v->number = &c->number[k];
        if (c->slot[k] < 0) continue;
        ms_slot *t = &r->slot[c->slot[k]];
        if (t->kind == MS_SLOT_INPUT || t->kind == MS_SLOT_RESULT) {
          if (pass) s->patch[s->n_patch++] = (ms_patch){v, c->slot[k], c->offset[k]};
          n += !pass;
        } else v->data = (char *)(t->kind == MS_SLOT_INTERNAL ? (char *)s->arena->data + t->at : t->storage->data) + c->offset[k];
      }
    }
  }
  return 0;
}

/* ---- build
 * ---------------------------------------------------------------------------------------------------------------------------------
 */

static double flops_of(const ms_call *c) {
  double n = 1;
  switch (c->op->id) {
  case MS_OP_matmul:
    for (int i = 0; i < c->out[0].rank; i++) n *= (double)c->out[0].shape[i];
    return 2 * n * (double)c->in[0].shape[c->in[0].rank - (c->attr[0].i ? 2 : 1)];
  case MS_OP_conv2d:
  case MS_OP_conv2d_input_grad: {
    const ms_view *big = c->op->id == MS_OP_conv2d ? &c->out[0] : &c->in[0], *w = &c->in[1];
    return 2 * (double)ms_view_numel(big) * (double)(w->shape[1] * w->shape[2] * w->shape[3]);
  }
  case MS_OP_conv2d_weight_grad: {
    const ms_view *w = &c->out[0];
    return 2 * (double)ms_view_numel(&c->in[1]) * (double)(w->shape[1] * w->shape[2] * w->shape[3]);
  }
  default: return 0;
  }
}

static int prepare(ms_step *s) {
  ms_record *r = s->r;
  for (int i = 0; i < r->n_call; i++) {
    ms_call *c = &r->call[i].call;
    if (s->dead[i]) continue;
    c->work_bytes = 0;
    for (int k = 0; k < c->n_in; k++)
      if (c->in[k].number) { /* kernels may look at numbers while preparing */
        c->in[k].data = &r->call[i].immediate[k];
        c->in[k].number = &r->call[i].number[k];
        ms_put_number(c->in[k].data, c->in[k].dtype, ms_scalar_value(r->call[i].number[k]));
      }
    if (!(c->kernel = r->device->backend->kernel(c))) return ms_fail("compile: %s has lost its kernel", c->op->name), -1;
    if (c->kernel->prepare && c->kernel->prepare(c) < 0) return -1;
    s->info.flops += flops_of(c);
    s->info.calls++;
  }
  return 0;
}

ms_step *ms_step_build(ms_record *r, bool fold) {
  ms_step *s = calloc(1, sizeof *s);
  if (!s) return ms_record_free(r), ms_fail("compile: out of memory");
  (void)fold;
  s->r = r;
  if (!r->device) r->device = ms_device_get("cpu");
  classify(r);
  s->info.recorded = r->n_call, s->info.results = r->n_results;
  if (drop_dead(s) < 0 || prepare(s) < 0 || make_arena(s) < 0 || place_views(s) < 0) return ms_step_free(s), NULL;
  for (int i = 0; i < r->n_slot; i++) /* results get new memory each time; arguments come with theirs */
    if (r->slot[i].kind == MS_SLOT_RESULT || r->slot[i].kind == MS_SLOT_INPUT) {
      ms_storage_release(r->slot[i].storage);
      r->slot[i].storage = NULL;
    }
  return s;
}

void ms_step_free(ms_step *s) {
  if (!s) return;
  for (int i = 0; i < s->r->n_call; i++) {
    ms_call *c = &s->r->call[i].call;
    if (c->kernel && c->kernel->release && !(s->dead && s->dead[i])) c->kernel->release(c);
  }
  ms_storage_release(s->arena);
  ms_record_free(s->r);
  free(s->patch), free(s->dead), free(s->seconds), free(s);
}

/* ---- run
 * -----------------------------------------------------------------------------------------------------------------------------------
 */

/* Arguments must share memory exactly as they did: among themselves, and with nothing that the step writes. */
static bool fits(const ms_record *r, ms_tensor *const *args) {
  for (int i = 0; i < r->n_args; i++) {
    int first = r->slot[r->arg[i].slot].arg;
    for (int j = 0; j < i; j++) {
      bool was = r->arg[j].slot == r->arg[i].slot, is = args[j]->storage == args[i]->storage;
      if (was != is && (r->slot[r->arg[i].slot].written || r->slot[r->arg[j].slot].written)) return false;
      if (was && !is) return false;
    }
    if (first != i && args[i]->offset - args[first]->offset !=
                          (int64_t)((r->arg[i].offset - r->arg[first].offset) / ms_dtype_size(args[i]->dtype)))
      return false;
    for (int k = 0; k < r->n_slot; k++) {
      const ms_slot *s = &r->slot[k];
      if (s->storage == args[i]->storage && s->storage && (s->written || r->slot[r->arg[i].slot].written)) return false;
    }
  }
  return true;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int ms_step_run(ms_step *s, ms_tensor *const *args, ms_tensor **results) {
  ms_record *r = s->r;
  if (!fits(r, args)) return 0;
  double begin = s->profiling ? now() : 0, from = 0;
  for (int i = 0; i < r->n_slot; i++) {
    ms_slot *t = &r->slot[i];
    if (t->kind == MS_SLOT_INPUT) t->storage = args[t->arg]->storage;
    else if (t->kind == MS_SLOT_RESULT && !(t->storage = ms_storage_new(r->device, t->bytes))) return -1;
  }
  for (int i = 0; i < s->n_patch; i++) {
    ms_patch *p = &s->patch[i];
    const ms_slot *t = &r->slot[p->slot];
    size_t shift = 0;
    if (t->kind == MS_SLOT_INPUT) shift = (size_t)args[t->arg]->offset * ms_dtype_size(args[t->arg]->dtype) - r->arg[t->arg].offset;
    p->view->data = (char *)t->storage->data + p->offset + shift;
  }
  int rc = 1;
  for (int i = 0; i < r->n_number; i++) ms_rnumber_run(&r->number[i]);
  if (s->profiling) from = now();
  for (int i = 0; i < r->n_call && rc > 0; i++) {
    if (s->dead[i]) continue;
    ms_rcall *q = &r->call[i];
    ms_call *c = &q->call;
    if (q->live)
      for (int k = 0; k < c->n_in; k++)
        if (c->in[k].number) ms_put_number(c->in[k].data, c->in[k].dtype, ms_scalar_value(*c->in[k].number));
    for (int k = 0; k < c->n_in && k < MS_BOUNDS && rc > 0; k++)
      if (c->bound[k] && r->device->backend->host_memory && ms_check_index(c->op, k, &c->in[k], c->bound[k]) < 0) rc = -1;
    if (rc < 0 || c->kernel->run(c) < 0) rc = -1, ms_error_prefix("%s at %s:%d", c->op->name, q->chunk ? q->chunk : "?", q->line);
    if (c->rng) c->rng->counter += (uint64_t)(ms_view_numel(&c->out[0]) + 3) / 4;
    if (s->profiling) {
      double to = now();
      s->seconds[i] += to - from, from = to;
    }
  }
  for (int k = 0; k < r->n_results && rc > 0; k++) {
    const ms_ref_view *v = &r->result[k];
    const ms_slot *t = &r->slot[v->slot];
    ms_tensor *x = ms_tensor_new();
    if (!x) {
      rc = -1;
      break;
    }
    size_t offset = v->offset;
    if (t->kind == MS_SLOT_INPUT)
      offset += (size_t)args[t->arg]->offset * ms_dtype_size(args[t->arg]->dtype) - r->arg[t->arg].offset;
    x->dtype = v->view.dtype, x->rank = v->view.rank, x->offset = (int64_t)(offset / ms_dtype_size(v->view.dtype));
    memcpy(x->shape, v->view.shape, sizeof x->shape);
    memcpy(x->stride, v->view.stride, sizeof x->stride);
    x->storage = ms_storage_retain(t->storage), x->device = r->device;
    results[k] = ms_autorelease(x);
  }
  for (int i = 0; i < r->n_slot; i++) {
    ms_slot *t = &r->slot[i];
    if (t->storage && t->written) t->storage->version++;
    if (t->kind == MS_SLOT_RESULT) ms_storage_release(t->storage);
    if (t->kind == MS_SLOT_RESULT || t->kind == MS_SLOT_INPUT) t->storage = NULL;
  }
  if (s->profiling) s->seconds[r->n_call] += now() - begin, s->runs++;
  return rc;
}

int ms_step_profile(ms_step *s, bool on) {
  size_t n = (size_t)s->r->n_call + 1;
  if (on && !s->seconds && !(s->seconds = malloc(n * sizeof *s->seconds))) return ms_fail("profile: out of memory"), -1;
  if (on) memset(s->seconds, 0, n * sizeof *s->seconds), s->runs = 0;
  s->profiling = on;
  return 0;
}

/* ---- report
 * ----------------------------------------------------------------------------------------------------------------------------------
 */

ms_step_info ms_step_describe(const ms_step *s) { return s->info; }

/* The i-th call that is left, as an index into all; -1 past the end. */
static int kept(const ms_step *s, int i) {
  for (int k = 0; k < s->r->n_call; k++)
    if (!s->dead[k] && i-- == 0) return k;
  return -1;
}

double ms_step_seconds(const ms_step *s, int i, int *runs) {
  int k = i < 0 ? s->r->n_call : kept(s, i);
  if (runs) *runs = s->runs;
  return s->seconds && k >= 0 ? s->seconds[k] : 0;
}

bool ms_step_line(const ms_step *s, int i, char *out, size_t size) {
  for (int k = 0; k < s->r->n_call; k++) {
    if (s->dead[k] || i-- > 0) continue;
    const ms_rcall *c = &s->r->call[k];
    int n = snprintf(out, size, "%-20s", c->call.op->name);
    for (int j = 0; j < c->call.n_in && j < 4 && n < (int)size; j++)
      n += snprintf(out + n, size - (size_t)n, "%s%s", j ? ", " : " ",
                    c->call.in[j].number   ? "number"
                    : c->call.in[j].absent ? "-"
                                           : ms_sizes_str(c->call.in[j].rank, c->call.in[j].shape));
    if (c->call.n_in > 4 && n < (int)size) n += snprintf(out + n, size - (size_t)n, ", ... (%d)", c->call.n_in);
    if (c->call.n_out && n < (int)size)
      n += snprintf(out + n, size - (size_t)n, " -> %s", ms_sizes_str(c->call.out[0].rank, c->call.out[0].shape));
    if (n < (int)size) snprintf(out + n, size - (size_t)n, "   %s:%d", c->chunk ? c->chunk : "?", c->line);
    return true;
  }
  return false;
}
