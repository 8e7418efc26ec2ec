/* record.c -- recording: writing down the kernel calls of a function while it runs, and the slots that their tensors lie in. The
 * core tells of each call through the observer at the end of this file. number.c records arithmetic on live numbers, gradients.c
 * what happens to .grad. */
#include "pass.h"
#include "core/region.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ms_record *ms_record_now;
static const ms_observer observer; /* below: what the core tells */
ms_record *ms_record_pause(void) {
  ms_record *r = ms_record_now;
  if (r) ms_record_now = NULL, ms_observe(NULL);
  return r;
}

void ms_record_go_on(ms_record *r) {
  if (!r) return;
  ms_record_now = r;
  ms_observe(&observer);
}

bool ms_recording(void) { return ms_record_now != NULL; }
int ms_record_nth(const ms_record *r) { return r->nth; }
int ms_record_looks(const ms_record *r) { return r->n_looked; }

static int no_memory(void) { return ms_fail("compile: out of memory while recording"), -1; }

/* ---- slots ------------------------------------------------------------------------------------------------------- */

void ms_slot_hold(ms_slot *s, ms_storage *storage) {
  if (storage) ms_storage_retain(storage)->held++;
  if (s->storage) {
    s->storage->held--;
    ms_storage_release(s->storage);
  }
  s->storage = storage;
}

/* The slot lets go of a storage that it watched. */
void ms_slot_unwatch(ms_slot *s) {
  s->storage->watcher = NULL, s->storage->watched_by = NULL;
  s->storage = NULL;
}

/* A storage that a call made: do not hold it any more, but be told when it is freed. */
static void watch(ms_record *r, int slot) {
  ms_slot *s = &r->slot[slot];
  ms_storage *t = s->storage;
  s->kind = MS_SLOT_INTERNAL;
  t->watcher = &observer, t->watched_by = r, t->watched_as = slot;
  t->held--;
  ms_storage_release(t); /* not the last one: the call's result has it */
}

/* A watched storage dies. */
static void lost(ms_storage *s) {
  ms_record *r = s->watched_by;
  r->slot[s->watched_as].storage = NULL;
}

static size_t hash(uint64_t birth) { return (size_t)(birth * 0x9E3779B97F4A7C15u >> 20); }

static int grow_table(ms_record *r) {
  int size = r->table_size ? 2 * r->table_size : 256;
  int *t = malloc((size_t)size * sizeof *t);
  if (!t) return no_memory();
  for (int i = 0; i < size; i++) t[i] = -1;
  for (int s = 0; s < r->n_slot; s++) {
    if (r->slot[s].beside) continue;
    size_t h = hash(r->slot[s].birth) % (size_t)size;
    while (t[h] >= 0) h = (h + 1) % (size_t)size;
    t[h] = s;
  }
  free(r->table);
  r->table = t, r->table_size = size;
  return 0;
}

/* The entry of the hash table with the first slot of a storage, or the empty one where it belongs. */
static int *table_entry(const ms_record *r, const ms_storage *s) {
  size_t h = hash(s->birth) % (size_t)r->table_size;
  while (r->table[h] >= 0 && r->slot[r->table[h]].birth != s->birth) h = (h + 1) % (size_t)r->table_size;
  return &r->table[h];
}

int ms_record_slot(ms_record *r, ms_storage *s, ms_slot_kind kind) {
  if (r->n_slot * 2 >= r->table_size && grow_table(r) < 0) return -1;
  if (r->n_slot == r->room_slot) {
    int room = r->room_slot ? 2 * r->room_slot : 128;
    ms_slot *p = realloc(r->slot, (size_t)room * sizeof *p);
    if (!p) return no_memory();
    r->slot = p, r->room_slot = room;
  }
  int *entry = table_entry(r, s), last = *entry;
  ms_slot *t = &r->slot[r->n_slot];
  *t = (ms_slot){
      .birth = s->birth, .kind = kind, .arg = -1, .next = -1, .beside = last >= 0, .first = -1, .last = -1, .bytes = s->bytes};
  ms_slot_hold(t, s);
  if (last < 0) return *entry = r->n_slot++;
  while (r->slot[last].next >= 0) last = r->slot[last].next;
  return r->slot[last].next = r->n_slot++;
}

ms_slot_view ms_record_view(const ms_tensor *t) {
  ms_slot_view v = {
      .slot = -1, .view = {.dtype = t->dtype, .rank = t->rank}, .offset = (size_t)t->offset * ms_dtype_size(t->dtype)};
  memcpy(v.view.shape, t->shape, sizeof t->shape);
  memcpy(v.view.stride, t->stride, sizeof t->stride);
  return v;
}

bool ms_record_within(const ms_record *r, int arg, const ms_view *v, size_t offset) {
  size_t from, to, first, end;
  if (!ms_view_numel(v) && !ms_view_numel(&r->arg[arg].view)) return true; /* wherever an empty view of an empty tensor begins */
  ms_view_span(v, offset, &from, &to);
  ms_view_span(&r->arg[arg].view, r->arg[arg].offset, &first, &end);
  return from >= first && to <= end;
}

/* The slot that a tensor belongs to: the first argument that it lies within; else the storage's, made if it is new. -1 on failure.
 */
int ms_record_slot_of(ms_record *r, const ms_tensor *t) {
  const ms_slot_view v = ms_record_view(t);
  int other = -1;
  for (int s = r->table_size ? *table_entry(r, t->storage) : -1; s >= 0; s = r->slot[s].next)
    if (r->slot[s].kind != MS_SLOT_INPUT) other = s;
    else if (ms_record_within(r, r->slot[s].arg, &v.view, v.offset)) return s;
  return other >= 0 ? other : ms_record_slot(r, t->storage, MS_SLOT_EXTERNAL);
}

/* t becomes an argument. -1 on failure. */
int ms_record_add_arg(ms_record *r, const ms_tensor *t) {
  const ms_slot_view v = ms_record_view(t);
  int slot = ms_record_slot(r, t->storage, MS_SLOT_INPUT);
  if (slot < 0) return -1;
  r->slot[slot].arg = r->n_args;
  r->arg[r->n_args++] = (ms_rarg){.slot = slot, .view = v.view, .offset = v.offset, .tie = -1};
  return 0;
}

static void stop(void) {
  ms_record_now = NULL;
  ms_observe(NULL);
}

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

ms_record *ms_record_begin(int number, int n_args, ms_tensor *const *args) {
  if (ms_record_now) return ms_fail("compile: a step is being recorded already");
  ms_record *r = calloc(1, sizeof *r);
  if (!r || !(r->arg = calloc((size_t)n_args + 1, sizeof *r->arg))) return free(r), ms_fail("compile: out of memory");
  r->nth = number;
  ms_script_line(&r->chunk, &r->line);
  r->chunk = ms_intern(r->chunk);
  r->args = args;
  r->birth = ms_storage_births;
  for (int i = 0; i < n_args; i++) {
    if (ms_record_add_arg(r, args[i]) < 0) return ms_record_free(r), NULL;
    if (r->device && r->device != args[i]->device) {
      ms_fail("compile: argument %d of the step is on %s and argument 1 on %s: a step has one device", i + 1, args[i]->device->name,
              r->device->name);
      return ms_record_free(r), NULL;
    }
    r->device = args[i]->device;
    r->n_given = r->n_args;
  }
  ms_observe(&observer);
  return ms_record_now = r;
}

void ms_record_abort(ms_record *r) {
  if (ms_record_now == r) stop();
  ms_record_free(r);
}

void ms_record_refuse(const char *why) {
  ms_record *r = ms_record_now;
  const char *chunk = NULL;
  int line = 0;
  if (!r || *r->refused) return;
  ms_script_line(&chunk, &line);
  snprintf(r->refused, sizeof r->refused, "compile: the function caught an error of %s:%d and went on: %s", chunk ? chunk : "?",
           line, why);
}

int ms_record_end(ms_record *r, int n_results, ms_tensor *const *results) {
  stop();
  r->args = NULL;
  int leaves = 0; /* what was a leaf, and has been changed in place by an operation with a graph since, would hold that */
  for (int i = 0; i < r->n_leaf; i++)
    if (r->leaf[i]->node) ms_release(r->leaf[i]);
    else r->leaf[leaves++] = r->leaf[i];
  r->n_leaf = leaves;
  if (*r->refused) return ms_fail("%s", r->refused), -1;
  if (!(r->result = calloc((size_t)n_results + 1, sizeof *r->result))) return no_memory();
  r->n_results = n_results;
  for (int i = 0; i < n_results; i++) {
    r->result[i] = ms_record_view(results[i]);
    if ((r->result[i].slot = ms_record_slot_of(r, results[i])) < 0) return -1;
  }
  for (int i = 0; i < r->n_slot; i++) /* made inside, touched by no call: uploaded */
    if (r->slot[i].kind == MS_SLOT_EXTERNAL && r->slot[i].first < 0 && r->slot[i].birth > r->birth) r->slot[i].constant = true;
  return ms_record_end_grads(r);
}

/* Is a result or gradient that calls made held by somebody else than the results and the leaves? Results are tensors of their own.
 */
static bool kept_elsewhere(const ms_record *r, int slot) {
  const ms_slot *s = &r->slot[slot];
  if ((s->kind != MS_SLOT_RESULT && s->kind != MS_SLOT_KEPT) || s->storage->watched_by != r) return false;
  int ours = 0;
  for (int i = 0; i < r->n_results; i++) ours += r->result[i].slot == slot;
  for (int i = 0; i < r->n_grad; i++) {
    const ms_rgrad *g = &r->grad[i];
    if (g->now.slot != slot) continue;
    if (!g->leaf) return false; /* an argument's: the caller has it */
    bool again = false;         /* one tensor as .grad of two leaves */
    int leaves = 0;
    for (int k = 0; k < r->n_grad; k++) {
      if (!r->grad[k].leaf || r->grad[k].leaf->grad != g->leaf->grad) continue;
      again |= k < i, leaves++;
    }
    if (g->leaf->grad->refs > leaves) return true;
    ours += !again;
  }
  return ms_storage_users(s->storage) > ours;
}

/* Views of memory from outside (x:detach()) that the function made and dropped: nobody can freeze them any more, and the next call
 * makes others. */
static void drop_lost_leaves(ms_record *r) {
  int n = 0;
  for (int i = 0; i < r->n_leaf; i++) {
    int ours = 1;
    for (int k = 0; k < r->n_grad && r->leaf[i]->refs == 2; k++) ours += r->grad[k].arg < 0 && r->grad[k].leaf == r->leaf[i];
    if (r->leaf[i]->refs == ours) ms_release(r->leaf[i]);
    else r->leaf[n++] = r->leaf[i];
  }
  r->n_leaf = n;
}

int ms_record_settle(ms_record *r) {
  drop_lost_leaves(r);
  int n = 0;
  for (int i = 0; i < r->n_grad; i++) { /* leaves that the function made and dropped */
    ms_rgrad *g = &r->grad[i];
    const bool gone = g->arg < 0 && g->leaf->refs == 1;
    if (gone) ms_release(g->leaf);
    for (int k = 0; k < r->n_event; k++)
      if (r->event[k].grad == i) r->event[k].grad = gone ? -1 : n;
    if (!gone) r->grad[n++] = *g;
  }
  r->n_grad = n;
  for (int i = 0; i < n; i++) {
    ms_rgrad *g = &r->grad[i];
    ms_slot *s = g->now.slot >= 0 ? &r->slot[g->now.slot] : NULL;
    if (s && s->kind == MS_SLOT_INTERNAL && s->storage) s->kind = g->arg < 0 ? MS_SLOT_KEPT : MS_SLOT_RESULT;
    if (g->arg >= 0) ms_release(g->leaf), g->leaf = NULL;
  }
  for (int i = 0; i < r->n_results; i++) {
    ms_slot *s = &r->slot[r->result[i].slot];
    if (s->kind == MS_SLOT_INTERNAL || s->kind == MS_SLOT_KEPT) s->kind = MS_SLOT_RESULT;
  }
  for (int i = 0; i < r->n_slot; i++) {
    ms_slot *s = &r->slot[i];
    if (s->storage && (s->kind == MS_SLOT_INTERNAL || kept_elsewhere(r, i)))
      return ms_fail("compile: what %s made is still held after the call, by a table or variable of the script: a replay runs no "
                     "Lua and "
                     "would not put it there again. Return it from the step instead",
                     s->first < 0 ? "the step" : ms_rcall_name(&r->call[s->first])),
             -1;
  }
  return 0;
}

/* Let go of what INTERNAL slots and those that were INTERNAL watch. */
static void unwatch(ms_record *r) {
  for (int i = 0; i < r->n_slot; i++) {
    ms_slot *s = &r->slot[i];
    if (s->storage && s->storage->watched_by == r && s->storage->watched_as == i) ms_slot_unwatch(s);
  }
}

void ms_record_forget(ms_record *r) {
  unwatch(r);
  for (int i = 0; i < r->n_slot; i++)
    if (r->slot[i].kind == MS_SLOT_INPUT) ms_slot_hold(&r->slot[i], NULL);
}

static void retain_cell(ms_cell *c) { ms_cell_retain(c); }

/* Retain or release the cells of a call's scalar attributes. */
static void hold_scalars(ms_rcall *q, void (*f)(ms_cell *)) {
  const ms_op *op = q->call.op;
  for (int k = 0, a = 0; k < op->n_arg; k++) {
    if (op->arg[k].is_tensor) continue;
    if (op->arg[k].kind == MS_K_SCALAR) f(ms_scalar_cell(q->attr[a].s));
    a++;
  }
}

void ms_rcall_drop(ms_rcall *c) {
  for (int k = 0; k < c->call.n_in; k++) ms_cell_release(ms_scalar_cell(c->number[k]));
  hold_scalars(c, ms_cell_release);
  free(c->call.in); /* one block holds them all */
}

void ms_record_free(ms_record *r) {
  if (!r) return;
  unwatch(r);
  for (int i = 0; i < r->n_call; i++) ms_rcall_drop(&r->call[i]);
  for (int i = 0; i < r->n_number; i++) {
    ms_rnumber *n = &r->number[i];
    for (int k = 0; k < n->n; k++) ms_cell_release(ms_scalar_cell(n->in[k]));
    ms_cell_release(n->out);
  }
  for (int i = 0; i < r->n_grad; i++) ms_release(r->grad[i].leaf);
  for (int i = 0; i < r->n_leaf; i++) ms_release(r->leaf[i]);
  for (int i = 0; i < r->n_looked; i++) ms_cell_release(r->looked[i]);
  free(r->leaf), free(r->looked);
  for (int i = 0; i < r->n_slot; i++) ms_slot_hold(&r->slot[i], NULL);
  free(r->number), free(r->grad), free(r->event);
  free(r->call), free(r->slot), free(r->table), free(r->arg), free(r->result), free(r);
}

/* ---- what the core tells ------------------------------------------------------------------------------------------ */

bool ms_rcall_writes(const ms_rcall *c, int k) { return k >= c->call.n_in || ms_op_changes(c->call.op, k); }

ms_view *ms_rcall_view(ms_rcall *c, int k) { return k < c->call.n_in ? &c->call.in[k] : &c->call.out[k - c->call.n_in]; }

bool ms_record_changes(const ms_record *r, int slot, int from, int to) {
  for (int i = from; i <= to; i++)
    for (int k = 0; k < r->call[i].call.n_in + r->call[i].call.n_out; k++)
      if (r->call[i].slot[k] == slot && ms_rcall_writes(&r->call[i], k)) return true;
  return false;
}

static int touch(ms_record *r, const ms_rcall *c, int slot, bool writes) {
  ms_slot *s = &r->slot[slot];
  if (s->first < 0) {
    s->first = r->n_call;
    if (s->kind == MS_SLOT_EXTERNAL && s->birth > r->birth) { /* made meanwhile: by this call, or uploaded before it */
      if (writes) watch(r, slot);
      else s->constant = true;
    }
  }
  s->last = r->n_call;
  s->written |= writes;
  if (writes && s->constant)
    return ms_fail(
               "compile: %s changes a tensor that was made from numbers inside the step; make it outside and :clone() it inside",
               c->call.op->name),
           -1;
  return 0;
}

static int made(const ms_tensor *t) {
  ms_record *r = ms_record_now;
  int slot = ms_record_slot_of(r, t);
  if (slot < 0) return -1;
  if (r->slot[slot].kind == MS_SLOT_EXTERNAL && r->slot[slot].birth > r->birth) watch(r, slot);
  return 0;
}

int ms_rcall_copy(ms_rcall *q, const ms_call *c) {
  size_t n = (size_t)c->n_in, m = (size_t)c->n_out, v = n + m;
  char *block = calloc(1, v * (sizeof(ms_view) + sizeof(size_t) + sizeof(int)) + n * (sizeof(ms_scalar) + sizeof(double)) +
                              (size_t)c->n_attr * sizeof(ms_attr) + 64);
  if (!block) return no_memory();
  *q = (ms_rcall){.call = *c};
  q->call.in = (ms_view *)block;
  q->call.out = q->call.in + n;
  q->attr = (ms_attr *)(q->call.out + m);
  q->number = (ms_scalar *)(q->attr + c->n_attr);
  q->immediate = (double *)(q->number + n);
  q->offset = (size_t *)(q->immediate + n);
  q->slot = (int *)(q->offset + v);
  q->call.prepared = q->call.work = NULL, q->call.work_bytes = 0, q->call.kernel = NULL;
  memcpy(q->call.in, c->in, n * sizeof(ms_view));
  memcpy(q->call.out, c->out, m * sizeof(ms_view));
  if (c->n_attr) memcpy(q->attr, c->attr, (size_t)c->n_attr * sizeof(ms_attr));
  q->call.attr = q->attr;
  hold_scalars(q, retain_cell);
  for (size_t i = 0; i < v; i++) q->slot[i] = -1;
  return 0;
}

/* Does a call take a live number, as an operand or as an attribute? */
static bool takes_live_number(const ms_rcall *q) {
  bool live = q->live;
  for (int k = 0, a = 0; k < q->call.op->n_arg; k++) {
    if (q->call.op->arg[k].is_tensor) continue;
    live |= q->call.op->arg[k].kind == MS_K_SCALAR && ms_scalar_cell(q->attr[a].s);
    a++;
  }
  return live;
}

/* A step has one device: that of its arguments, else of its first call. 0, or -1 after ms_fail when call q, on tensors t[], is on
 * another one. */
static int one_device(ms_record *r, const ms_rcall *q, int n, ms_tensor *const *t) {
  ms_device *d = NULL;
  for (int i = 0; i < n && !d; i++)
    if (t[i] && t[i]->storage) d = t[i]->device;
  if (!d || r->device == d) return 0;
  if (!r->device) return r->device = d, 0;
  char first[160];
  snprintf(first, sizeof first, "%s", r->n_call ? ms_rcall_name(&r->call[0]) : "its argument");
  ms_fail("compile: %s works on %s, %s on %s: a step has one device", ms_rcall_name(q), d->name, first, r->device->name);
  return ms_record_refuse(ms_error()), -1;
}

static int called(const ms_call *c, ms_tensor *const *in, ms_tensor *const *out) {
  ms_record *r = ms_record_now;
  if (r->n_call == r->room_call) {
    int room = r->room_call ? 2 * r->room_call : 256;
    ms_rcall *p = realloc(r->call, (size_t)room * sizeof *p);
    if (!p) return no_memory();
    r->call = p, r->room_call = room;
  }
  ms_rcall *q = &r->call[r->n_call];
  if (ms_rcall_copy(q, c) < 0) return -1;
  ms_script_line(&q->chunk, &q->line);
  q->chunk = ms_intern(q->chunk);
  int n = c->n_in, all = n + c->n_out, rc = one_device(r, q, n ? n : all, n ? in : out);
  for (int i = 0; i < all && rc == 0; i++) {
    const ms_tensor *t = i < n ? in[i] : out[i - n];
    if (!t) continue;
    if (t->is_number) {
      q->number[i] = t->number;
      ms_cell_retain(ms_scalar_cell(t->number));
      q->live |= ms_scalar_cell(t->number) != NULL;
    } else if (t->storage) {
      rc = (q->slot[i] = ms_record_slot_of(r, t)) < 0 ? -1 : 0;
      q->offset[i] = (size_t)t->offset * ms_dtype_size(t->dtype);
    }
  }
  /* Reads before writes: a call that only writes a new storage makes it. */
  for (int i = 0; i < n && rc == 0; i++)
    if (q->slot[i] >= 0) rc = touch(r, q, q->slot[i], false);
  for (int i = 0; i < all && rc == 0; i++)
    if (q->slot[i] >= 0 && ms_rcall_writes(q, i)) rc = touch(r, q, q->slot[i], true);
  q->nth = r->n_call;
  q->again = ms_recomputing > 0;
  if (q->again && c->rng) q->rng_behind = ms_rng_proceeds - c->rng->counter;
  for (int i = 0; i < n && i < MS_MAX_ARGS; i++) q->indexed |= c->bound[i] != 0;
  q->risky = q->indexed || c->op->flags & MS_REFUSES ||
             (takes_live_number(q) && (c->rng || !ms_dtype_is_float(c->n_out ? c->out[0].dtype : c->in[0].dtype)));
  r->n_call++; /* also after a failure: freeing the recording frees it */
  return rc;
}

static void operands(int n, ms_tensor *const *in) {
  ms_record *r = ms_record_now;
  for (int i = 0; i < n; i++) {
    ms_tensor *t = in[i];
    if (!t || !t->storage || t->node || !ms_dtype_is_float(t->dtype) || t->storage->birth > r->birth) continue;
    bool known = false; /* what the key tells of arguments is enough */
    for (int k = 0; k < r->n_given && !known; k++) known = r->args[k] == t;
    for (int k = r->n_leaf - 1; k >= 0 && !known; k--) known = r->leaf[k] == t;
    if (known) continue;
    if (r->n_leaf == r->room_leaf) {
      int room = r->room_leaf ? 2 * r->room_leaf : 64;
      ms_tensor **p = realloc(r->leaf, (size_t)room * sizeof *p);
      if (!p) {
        no_memory();
        return;
      }
      r->leaf = p, r->room_leaf = room;
    }
    r->leaf[r->n_leaf++] = ms_retain(t);
  }
}

const char *ms_rcall_name(const ms_rcall *c) {
  static char text[2][160];
  static int k;
  k = !k;
  snprintf(text[k], sizeof text[k], "%s at %s:%d", c->call.op->name, c->chunk ? c->chunk : "?", c->line);
  return text[k];
}

static const ms_observer observer = {
    .called = called,
    .made = made,
    .operands = operands,
    .on_numbers = ms_record_on_numbers,
    .looked = ms_record_look,
    .grad = ms_record_grad,
    .grad_set = ms_record_grad_set,
    .refused = ms_record_refuse,
    .lost = lost,
};
