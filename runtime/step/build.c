/* build.c -- a recording made into a step (ms_step_build, at the end): the passes run one after another, calls whose results nobody
 * needs are dropped, kernels are prepared, and memory is laid out. run.c runs the step. */
#include "pass.h"
#include <stdlib.h>
#include <string.h>

/* ---- what is needed ---------------------------------------------------------------------------------------------- */

/* From here on the step decides what memory there is: that of kept gradients is held, and what else the calls made is not watched
 * any more. */
static void adopt(ms_record *r) {
  for (int i = 0; i < r->n_slot; i++) {
    ms_slot *s = &r->slot[i];
    ms_storage *t = s->storage;
    if (!t || t->watched_by != r) continue;
    ms_slot_unwatch(s);
    if (s->kind == MS_SLOT_KEPT) ms_slot_hold(s, t);
  }
}

/* From the last call to the first: a call is needed if a slot that it writes is needed. Two kinds are always needed: random draws,
 * since they move the generator, and calls that may refuse their inputs with an error. */
int ms_record_dead(const ms_record *r, bool *dead) {
  bool *needed = calloc((size_t)r->n_slot + 1, 1);
  if (!needed) return -1;
  for (int i = 0; i < r->n_slot; i++) needed[i] = r->slot[i].kind != MS_SLOT_INTERNAL;
  for (int i = r->n_call - 1; i >= 0; i--) {
    const ms_rcall *c = &r->call[i];
    bool wanted = c->call.rng || c->call.op->flags & MS_REFUSES;
    for (int k = 0; k < c->call.n_in + c->call.n_out; k++) wanted |= c->slot[k] >= 0 && ms_rcall_writes(c, k) && needed[c->slot[k]];
    for (int k = 0; k < c->call.n_in; k++)
      if (c->slot[k] >= 0 && (wanted || (c->indexed && k < MS_MAX_ARGS && c->call.bound[k]))) needed[c->slot[k]] = true;
    dead[i] = !wanted;
  }
  free(needed);
  return 0;
}

/* Mark the calls that are not needed. One with index tensors stays to check them, but does nothing else (idle). Then find anew when
 * each slot is used first and last. */
static int drop_dead(ms_step *s) {
  ms_record *r = s->r;
  if (!(s->dead = calloc((size_t)r->n_call + 1, 1)) || ms_record_dead(r, s->dead) < 0) return ms_fail("compile: out of memory"), -1;
  for (int i = 0; i < r->n_call; i++) {
    ms_rcall *c = &r->call[i];
    s->info.dead += s->dead[i];
    if (!s->dead[i] || !c->indexed) continue;
    s->dead[i] = false;
    if (!r->device->backend->host_memory) continue; /* the kernel checks them */
    c->idle = true;                                 /* it touches its index tensors, and nothing else */
    for (int k = 0; k < c->call.n_in + c->call.n_out; k++)
      if (k >= c->call.n_in || k >= MS_MAX_ARGS || !c->call.bound[k]) c->slot[k] = -1;
  }
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

/* ---- where it lies ----------------------------------------------------------------------------------------------- */

typedef struct arena_range { /* a stretch of the arena, in use by calls first..last */
  int first, last, slot;     /* slot -1: the workspace of call `first` */
  size_t bytes, at;
} arena_range;

static int by_size(const void *a, const void *b) {
  const arena_range *x = a, *y = b;
  return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : x->first - y->first;
}
static int by_address(const void *a, const void *b) {
  size_t x = (*(arena_range *const *)a)->at, y = (*(arena_range *const *)b)->at;
  return x < y ? -1 : x > y;
}

/* Largest first, each at the lowest place that is free over its lifetime. Gives the size of the whole. */
static size_t lay_out(arena_range *p, int n) {
  size_t total = 0;
  arena_range **busy = malloc((size_t)(n + 1) * sizeof *busy);
  if (!busy) return (size_t)-1;
  qsort(p, (size_t)n, sizeof *p, by_size);
  for (int i = 0; i < n; i++) {
    int m = 0;
    for (int j = 0; j < i; j++)
      if (p[j].first <= p[i].last && p[i].first <= p[j].last) busy[m++] = &p[j];
    qsort(busy, (size_t)m, sizeof *busy, by_address);
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
  arena_range *p = calloc((size_t)r->n_slot + (size_t)r->n_call + 1, sizeof *p);
  if (!p) return ms_fail("compile: out of memory"), -1;
  int n = 0;
  for (int i = 0; i < r->n_slot; i++)
    if (r->slot[i].kind == MS_SLOT_INTERNAL && r->slot[i].first >= 0 && !r->slot[i].inside) {
      p[n++] = (arena_range){r->slot[i].first, r->slot[i].last, i, round_up(r->slot[i].bytes), 0};
      s->info.unshared += r->slot[i].bytes;
    }
  for (int i = 0; i < r->n_call; i++)
    if (!s->dead[i] && r->call[i].call.work_bytes) p[n++] = (arena_range){i, i, -1, round_up(r->call[i].call.work_bytes), 0};
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
  return 0;
}

void ms_step_set_address(ms_step *s, int slot, char *address) {
  for (int i = 0; i < s->r->n_call; i++) {
    ms_rcall *c = &s->r->call[i];
    for (int k = 0; k < c->call.n_in + c->call.n_out && !s->dead[i]; k++)
      if (c->slot[k] == slot) ms_rcall_view(c, k)->data = address + c->offset[k];
  }
}

/* Fix every address that does not change, and list those that do. */
static int set_addresses(ms_step *s) {
  ms_record *r = s->r;
  int n = 0;
  for (int i = 0; i < r->n_call; i++) n += r->call[i].call.n_in + r->call[i].call.n_out;
  if (!(s->patch = calloc((size_t)n + 1, sizeof *s->patch))) return ms_fail("compile: out of memory"), -1;
  for (int i = 0; i < r->n_call; i++) {
    ms_rcall *c = &r->call[i];
    for (int k = 0; k < c->call.n_in + c->call.n_out && !s->dead[i]; k++) {
      ms_view *v = ms_rcall_view(c, k);
      if (k < c->call.n_in && v->number) v->data = &c->immediate[k], v->number = &c->number[k];
      if (c->slot[k] < 0) continue;
      ms_slot *t = &r->slot[c->slot[k]];
      if (t->kind == MS_SLOT_INPUT || t->kind == MS_SLOT_RESULT) s->patch[s->n_patch++] = (ms_patch){v, c->slot[k], c->offset[k]};
      else if (t->kind != MS_SLOT_INTERNAL) v->data = (char *)t->storage->data + c->offset[k];
      else if (s->arena && !t->inside)
        v->data = (char *)s->arena->data + t->at + c->offset[k]; /* else all that is inside is empty */
    }
  }
  return 0;
}

/* ---- build ------------------------------------------------------------------------------------------------------- */

static int list_written(ms_step *s) {
  const ms_record *r = s->r;
  s->args = malloc(((size_t)r->n_args + 1) * sizeof *s->args);
  s->written = malloc(((size_t)r->n_slot + 1) * sizeof *s->written);
  if (!s->args || !s->written) return ms_fail("compile: out of memory"), -1;
  for (int i = 0; i < r->n_slot; i++)
    if (r->slot[i].kind == MS_SLOT_EXTERNAL && r->slot[i].written) s->written[s->n_written++] = i;
  return 0;
}

static int do_nothing(ms_call *c) { return (void)c, 0; }
static const ms_kernel idle = {.run = do_nothing};

static int prepare(ms_step *s) {
  ms_record *r = s->r;
  for (int i = 0; i < r->n_call; i++) {
    ms_call *c = &r->call[i].call;
    if (s->dead[i]) continue;
    c->work_bytes = 0, c->way = NULL, c->precision = ms_device_precision(r->device), c->queue = r->device->queue;
    if (r->device->backend->fault && !(c->id = ms_call_id(c->op, r->call[i].chunk, r->call[i].line))) return -1;
    for (int k = 0; k < c->n_in + c->n_out; k++) /* where tensors were in the recording is nobody's business any more */
      if (r->call[i].slot[k] >= 0) ms_rcall_view(&r->call[i], k)->data = NULL;
    for (int k = 0; k < c->n_in; k++)
      if (c->in[k].number) { /* kernels may read numbers while preparing */
        c->in[k].data = &r->call[i].immediate[k];
        c->in[k].number = &r->call[i].number[k];
        if (ms_put_number(c->in[k].data, c->in[k].dtype, r->call[i].number[k]) < 0) return -1;
      }
    if (r->call[i].idle) {
      c->kernel = &idle;
      s->info.calls++; /* its indices are checked: a line of the report and of the profile */
      continue;
    }
    if (c->op->rule->flops) s->info.flops += c->op->rule->flops(c);
    if (r->call[i].chain) { /* the last call of a chain carries its kernel */
      s->info.calls += r->call[i].chain > 0;
      if (r->call[i].chain > 0 && c->kernel->prepare && c->kernel->prepare(c) < 0) return -1;
      continue;
    }
    if (!(c->kernel = r->device->backend->kernel(c))) return ms_fail("compile: %s has lost its kernel", c->op->name), -1;
    if (c->kernel->prepare && c->kernel->prepare(c) < 0) return c->kernel = NULL, -1;
    s->info.calls++;
  }
  return 0;
}

/* Arguments that overlap and are always at the same distance (tie), one of them written, become one slot: so passes see that a call
 * that writes the one changes the other. */
static void join_tied(ms_record *r) {
  for (int i = 0; i < r->n_args; i++) {
    const int from = r->arg[i].slot, to = r->arg[i].tie >= 0 ? r->arg[r->arg[i].tie].slot : from;
    if (from == to || (!r->slot[from].written && !r->slot[to].written)) continue;
    for (int k = 0; k < r->n_call; k++)
      for (int j = 0; j < r->call[k].call.n_in + r->call[k].call.n_out; j++)
        if (r->call[k].slot[j] == from) r->call[k].slot[j] = to;
    for (int k = 0; k < r->n_results; k++)
      if (r->result[k].slot == from) r->result[k].slot = to;
    for (int k = 0; k < r->n_grad; k++)
      if (r->grad[k].now.slot == from) r->grad[k].now.slot = to;
    for (int k = 0; k < r->n_event; k++)
      if (r->event[k].now.slot == from) r->event[k].now.slot = to;
    r->slot[to].written |= r->slot[from].written;
    r->arg[i].slot = to;
  }
}

/* If a call fails, .grad of the leaves has to be what the function had made it until then (run.c: set_gradients_at). So what .grad
 * is while a call may fail must not lie in the arena. */
static void keep_gradients(ms_record *r) {
  for (int i = 0; i < r->n_event; i++) {
    const ms_revent *e = &r->event[i];
    int until = r->n_call;
    bool risky = false;
    for (int k = r->n_event - 1; k > i; k--)
      if (r->event[k].grad == e->grad) until = r->event[k].at;
    for (int k = e->at; k < until && !risky && e->grad >= 0; k++) risky = r->call[k].risky;
    if (risky && e->now.slot >= 0 && r->slot[e->now.slot].kind == MS_SLOT_INTERNAL) r->slot[e->now.slot].kind = MS_SLOT_RESULT;
  }
}

ms_step *ms_step_build(ms_record *r, bool exact) {
  ms_step *s = calloc(1, sizeof *s);
  if (!s) return ms_record_free(r), ms_fail("compile: out of memory");
  s->r = r;
  if (!r->device && !(r->device = ms_device_default())) return ms_step_free(s), NULL;
  adopt(r);
  join_tied(r);
  keep_gradients(r);
  ms_record_forget(r); /* results get new memory each time; arguments come with theirs */
  s->info.recorded = r->n_call, s->info.results = r->n_results;
  if ((!exact && ms_step_fold(s) < 0) || ms_step_repeat(s) < 0 || drop_dead(s) < 0) return ms_step_free(s), NULL;
  ms_step_drop_copies(s);
  if ((!exact && ms_step_channels_last(s) < 0) || ms_step_fuse(s) < 0) return ms_step_free(s), NULL;
  ms_step_in_place(s);
  if (prepare(s) < 0 || make_arena(s) < 0 || set_addresses(s) < 0 || list_written(s) < 0 || ms_step_plan_capture(s) < 0)
    return ms_step_free(s), NULL;
  return s;
}

void ms_step_free(ms_step *s) {
  if (!s) return;
  ms_step_drop_capture(s);
  for (int i = 0; i < s->r->n_call; i++) { /* only prepared calls have a kernel */
    ms_call *c = &s->r->call[i].call;
    if (c->kernel && c->kernel->release) c->kernel->release(c);
  }
  ms_storage_release(s->arena);
  ms_record_free(s->r);
  free(s->patch), free(s->written), free(s->args), free(s->dead), free(s->seconds), free(s);
}
