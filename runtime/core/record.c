/* record.c -- writing down kernel calls as they run, and comparing two such lists. */
#include "record.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ms_record *ms_record_now;
bool ms_recording(void) { return ms_record_now != NULL; }

/* ---- slots
 * ------------------------------------------------------------------------------------------------------------------------- */

static size_t hash(const void *p) { return (size_t)p * 0x9E3779B97F4A7C15u >> 20; }

static int grow_table(ms_record *r) {
  int size = r->table_size ? 2 * r->table_size : 256;
  int *t = malloc((size_t)size * sizeof *t);
  if (!t) return ms_fail("compile: out of memory while recording"), -1;
  for (int i = 0; i < size; i++) t[i] = -1;
  for (int s = 0; s < r->n_slot; s++) {
    size_t h = hash(r->slot[s].storage) % (size_t)size;
    while (t[h] >= 0) h = (h + 1) % (size_t)size;
    t[h] = s;
  }
  free(r->table);
  r->table = t, r->table_size = size;
  return 0;
}

/* The slot of a storage, made if it is new. -1 on failure. */
static int slot_of(ms_record *r, ms_storage *s, ms_slot_kind kind) {
  if (r->n_slot * 2 >= r->table_size && grow_table(r) < 0) return -1;
  size_t h = hash(s) % (size_t)r->table_size;
  for (; r->table[h] >= 0; h = (h + 1) % (size_t)r->table_size)
    if (r->slot[r->table[h]].storage == s) return r->table[h];
  if (r->n_slot == r->room_slot) {
    int room = r->room_slot ? 2 * r->room_slot : 128;
    ms_slot *p = realloc(r->slot, (size_t)room * sizeof *p);
    if (!p) return ms_fail("compile: out of memory while recording"), -1;
    r->slot = p, r->room_slot = room;
  }
  r->slot[r->n_slot] = (ms_slot){.storage = ms_storage_retain(s), .kind = kind, .first = -1, .last = -1, .bytes = s->bytes};
  return r->table[h] = r->n_slot++;
}

static int ref_view(ms_record *r, const ms_tensor *t, ms_ref_view *v, ms_slot_kind kind) {
  if ((v->slot = slot_of(r, t->storage, kind)) < 0) return -1;
  v->view = (ms_view){.dtype = t->dtype, .rank = t->rank};
  memcpy(v->view.shape, t->shape, sizeof t->shape);
  memcpy(v->view.stride, t->stride, sizeof t->stride);
  v->offset = (size_t)t->offset * ms_dtype_size(t->dtype);
  return 0;
}

/* ---- begin and end
 * ------------------------------------------------------------------------------------------------------------------- */

ms_record *ms_record_begin(int n_args, ms_tensor *const *args) {
  if (ms_record_now) return ms_fail("compile: a step is being recorded already");
  ms_record *r = calloc(1, sizeof *r);
  if (!r || !(r->arg = calloc((size_t)n_args + 1, sizeof *r->arg))) return free(r), ms_fail("compile: out of memory");
  r->birth = ms_storage_births;
  r->n_args = n_args;
  r->grad = ms_grad_enabled();
  for (int i = 0; i < n_args; i++) {
    if (ref_view(r, args[i], &r->arg[i], MS_SLOT_INPUT) < 0) return ms_record_free(r), NULL;
    r->device = args[i]->device;
  }
  for (int i = n_args - 1; i >= 0; i--) r->slot[r->arg[i].slot].arg = i;
  return ms_record_now = r;
}

void ms_record_abort(ms_record *r) {
  if (ms_record_now == r) ms_record_now = NULL;
  ms_record_free(r);
}

int ms_record_end(ms_record *r, int n_results, ms_tensor *const *results) {
  ms_record_now = NULL;
  r->n_results = n_results;
  if (!(r->result = calloc((size_t)n_results + 1, sizeof *r->result))) return ms_fail("compile: out of memory"), -1;
  for (int i = 0; i < n_results; i++)
    if (ref_view(r, results[i], &r->result[i], MS_SLOT_EXTERNAL) < 0) return -1;
  return 0;
}

static void retain_cell(ms_cell *c) { ms_cell_retain(c); }
static void release_cell(ms_cell *c) { ms_cell_release(c); }

/* Retain or release the cells of a call's scalar attributes. */
static void hold_scalars(ms_rcall *q, void (*f)(ms_cell *)) {
  const ms_op *op = q->call.op;
  for (int k = 0, a = 0; k < op->n_arg; k++) {
    if (op->arg[k].is_tensor) continue;
    if (op->arg[k].kind == MS_K_SCALAR) f(q->attr[a].s.cell);
    a++;
  }
}

void ms_rnumber_run(const ms_rnumber *n) {
  double a = n->a ? n->a->value : n->ca, b = n->b ? n->b->value : n->cb;
  n->out->value = n->op == '+' ? a + b : n->op == '-' ? a - b : n->op == '*' ? a * b : n->op == '/' ? a / b : pow(a, b);
}

ms_cell *ms_record_number(char op, ms_cell *a, double ca, ms_cell *b, double cb) {
  ms_record *r = ms_record_now;
  if (!r) return ms_fail("compile: a live number of a step was used outside it");
  ms_rnumber *p = realloc(r->number, (size_t)(r->n_number + 1) * sizeof *p);
  if (!p) return ms_fail("compile: out of memory while recording");
  r->number = p;
  ms_cell *out = ms_cell_new(0);
  if (!out) return NULL;
  p[r->n_number] = (ms_rnumber){op, ms_cell_retain(a), ms_cell_retain(b), ms_cell_retain(out), ca, cb};
  ms_rnumber_run(&p[r->n_number++]);
  return out;
}

void ms_record_free(ms_record *r) {
  if (!r) return;
  for (int i = 0; i < r->n_call; i++) {
    ms_rcall *c = &r->call[i];
    for (int k = 0; k < c->call.n_in; k++) ms_cell_release(c->number[k].cell);
    hold_scalars(c, release_cell);
    free(c->call.in); /* one block holds them all */
  }
  for (int i = 0; i < r->n_number; i++)
    ms_cell_release(r->number[i].a), ms_cell_release(r->number[i].b), ms_cell_release(r->number[i].out);
  free(r->number);
  for (int i = 0; i < r->n_slot; i++) ms_storage_release(r->slot[i].storage);
  free(r->call), free(r->slot), free(r->table), free(r->arg), free(r->result), free(r);
}

/* ---- the gate's side
 * ------------------------------------------------------------------------------------------------------------------- */

static void touch(ms_record *r, int slot, int at, bool writes) {
  ms_slot *s = &r->slot[slot];
  if (s->first < 0) {
    s->first = at;
    if (s->kind == MS_SLOT_EXTERNAL && s->storage->birth > r->birth) { /* made meanwhile: by this call, or uploaded before it */
      if (writes) s->kind = MS_SLOT_INTERNAL;
      else s->constant = true;
    }
  }
  s->last = at;
  s->written |= writes;
}

int ms_record_call(const ms_call *c, ms_tensor *const *in, ms_tensor *const *out) {
  ms_record *r = ms_record_now;
  if (r->n_call == r->room_call) {
    int room = r->room_call ? 2 * r->room_call : 256;
    ms_rcall *p = realloc(r->call, (size_t)room * sizeof *p);
    if (!p) return ms_fail("compile: out of memory while recording"), -1;
    r->call = p, r->room_call = room;
  }
  size_t n = (size_t)c->n_in, m = (size_t)c->n_out, v = n + m;
  char *block = calloc(1, v * (sizeof(ms_view) + sizeof(size_t) + sizeof(int)) + n * (sizeof(ms_scalar) + sizeof(double)) +
                              (size_t)c->n_attr * sizeof(ms_attr) + 64);
  if (!block) return ms_fail("compile: out of memory while recording"), -1;
  ms_rcall *q = &r->call[r->n_call];
  *q = (ms_rcall){.call = *c};
  q->call.in = (ms_view *)block;
  q->call.out = q->call.in + n;
  q->attr = (ms_attr *)(q->call.out + m);
  q->number = (ms_scalar *)(q->attr + c->n_attr);
  q->immediate = (double *)(q->number + n);
  q->offset = (size_t *)(q->immediate + n);
  q->slot = (int *)(q->offset + v);
  q->call.slot = q->call.work = NULL;
  memcpy(q->call.in, c->in, n * sizeof(ms_view));
  memcpy(q->call.out, c->out, m * sizeof(ms_view));
  if (c->n_attr) memcpy(q->attr, c->attr, (size_t)c->n_attr * sizeof(ms_attr));
  q->call.attr = q->attr;
  hold_scalars(q, retain_cell);
  for (size_t i = 0; i < v; i++) {
    const ms_tensor *t = i < n ? in[i] : out[i - n];
    q->slot[i] = -1;
    if (!t) continue;
    if (t->is_number) {
      q->number[i] = t->number;
      ms_cell_retain(t->number.cell);
      q->live |= t->number.cell != NULL;
      continue;
    }
    if (!t->storage) continue;
    int s = slot_of(r, t->storage, MS_SLOT_EXTERNAL);
    if (s < 0) return free(block), -1;
    q->slot[i] = s;
    q->offset[i] = (size_t)t->offset * ms_dtype_size(t->dtype);
  }
  /* Reads before writes: a call that only writes a new storage makes it. */
  for (size_t i = 0; i < n; i++)
    if (q->slot[i] >= 0) touch(r, q->slot[i], r->n_call, false);
  for (size_t i = 0; i < n; i++)
    if (q->slot[i] >= 0 && c->op->mutates) r->slot[q->slot[i]].written = true;
  for (size_t i = n; i < v; i++)
    if (q->slot[i] >= 0) touch(r, q->slot[i], r->n_call, true);
  ms_script_line(&q->chunk, &q->line);
  q->chunk = ms_intern(q->chunk);
  if (!r->device && v && out && m) r->device = out[0]->device;
  r->n_call++;
  return 0;
}

/* ---- comparing
 * --------------------------------------------------------------------------------------------------------------------------- */

static const char *place(const ms_rcall *c) {
  static char text[2][160];
  static int k;
  k = !k;
  snprintf(text[k], sizeof text[k], "%s at %s:%d", c->call.op->name, c->chunk ? c->chunk : "?", c->line);
  return text[k];
}

static bool same_view(const ms_view *a, const ms_view *b) {
  return a->dtype == b->dtype && a->rank == b->rank && a->absent == b->absent &&
         !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) && !memcmp(a->stride, b->stride, a->rank * sizeof *a->stride);
}

static const char *sizes(const ms_view *v) { return ms_sizes_str(v->rank, v->shape); }

/* The same live number: an argument's (one cell for both recordings), or the same step of the arithmetic on them. */
static bool same_cell(const ms_record *a, const ms_record *b, const ms_cell *x, const ms_cell *y) {
  if (x == y) return true;
  for (int i = 0; i < a->n_number && i < b->n_number; i++)
    if (a->number[i].out == x && b->number[i].out == y) return true;
  return false;
}

static bool same_scalar(const ms_record *a, const ms_record *b, const ms_scalar *x, const ms_scalar *y) {
  if (x->cell || y->cell) return same_cell(a, b, x->cell, y->cell);
  return x->value == y->value || (x->value != x->value && y->value != y->value);
}

static int compare_numbers(const ms_record *a, const ms_record *b) {
  bool same = a->n_number == b->n_number;
  for (int i = 0; same && i < a->n_number; i++) {
    const ms_rnumber *x = &a->number[i], *y = &b->number[i];
    same = x->op == y->op && same_cell(a, b, x->a, y->a) && same_cell(a, b, x->b, y->b) && x->ca == y->ca && x->cb == y->cb;
  }
  return same ? 0 : (ms_fail("compile: the arithmetic on numbers handed to the step differs between calls 2 and 3"), -1);
}

static int compare_attr(const ms_record *r, const ms_record *s, const ms_rcall *a, const ms_rcall *b) {
  const ms_op *op = a->call.op;
  for (int k = 0, i = 0; k < op->n_arg; k++) {
    const ms_arg *arg = &op->arg[k];
    if (arg->is_tensor) continue;
    const ms_attr *x = &a->attr[i], *y = &b->attr[i];
    i++;
    switch (arg->kind) {
    case MS_K_SCALAR:
      if (same_scalar(r, s, &x->s, &y->s)) continue;
      return ms_fail("compile: %s: %s was %.9g in call 2 and %.9g in call 3; a number that changes must be an argument of the step",
                     place(a), arg->name, x->s.value, y->s.value),
             -1;
    case MS_K_INTS:
    case MS_K_DIMS:
    case MS_K_SHAPE:
      if (x->v.n == y->v.n && (x->v.n <= 0 || !memcmp(x->v.at, y->v.at, (size_t)x->v.n * sizeof *x->v.at))) continue;
      return ms_fail("compile: %s: %s was %s in call 2 and %s in call 3", place(a), arg->name, ms_sizes_str(x->v.n, x->v.at),
                     ms_sizes_str(y->v.n, y->v.at)),
             -1;
    default:
      if (x->i == y->i) continue;
      return ms_fail("compile: %s: %s was %lld in call 2 and %lld in call 3", place(a), arg->name, (long long)x->i,
                     (long long)y->i),
             -1;
    }
  }
  return 0;
}

static int compare_slot(const ms_record *a, const ms_record *b, const ms_rcall *c, int x, int y) {
  if (x != y) return ms_fail("compile: %s: works on another tensor in call 3 than in call 2", place(c)), -1;
  if (x < 0) return 0;
  const ms_slot *p = &a->slot[x], *q = &b->slot[y];
  if (p->kind != MS_SLOT_EXTERNAL || q->kind != MS_SLOT_EXTERNAL) {
    if (p->kind == q->kind) return 0;
    return ms_fail("compile: %s: a tensor was made inside the step in one of calls 2 and 3 and outside it in the other", place(c)),
           -1;
  }
  if (p->storage == q->storage) return 0;
  if (p->constant && q->constant && p->bytes == q->bytes && !memcmp(p->storage->data, q->storage->data, p->bytes)) return 0;
  return ms_fail(p->constant && q->constant
                     ? "compile: %s: numbers made into a tensor inside the step differ between calls 2 and 3; hand them in "
                       "as an argument"
                     : "compile: %s: a tensor from outside the step is another one in call 3 than in call 2; hand it in as an "
                       "argument",
                 place(c)),
         -1;
}

/* An argument may begin elsewhere in its storage at each call (a batch of a larger tensor): its views count from where it begins.
 */
static size_t place_in(const ms_record *r, int slot, size_t offset) {
  return slot >= 0 && r->slot[slot].kind == MS_SLOT_INPUT ? offset - r->arg[r->slot[slot].arg].offset : offset;
}

static int compare_call(const ms_record *a, const ms_record *b, int i) {
  const ms_rcall *x = &a->call[i], *y = &b->call[i];
  if (x->call.op != y->call.op || x->line != y->line || x->chunk != y->chunk)
    return ms_fail("compile: operation %d is %s in call 2 and %s in call 3: the step took another way", i + 1, place(x), place(y)),
           -1;
  if (x->call.n_in != y->call.n_in || x->call.n_out != y->call.n_out)
    return ms_fail("compile: %s: %d operands in call 2 and %d in call 3", place(x), x->call.n_in, y->call.n_in), -1;
  if (compare_attr(a, b, x, y) < 0) return -1;
  for (int k = 0; k < x->call.n_in + x->call.n_out; k++) {
    bool in = k < x->call.n_in;
    const ms_view *v = in ? &x->call.in[k] : &x->call.out[k - x->call.n_in],
                  *w = in ? &y->call.in[k] : &y->call.out[k - x->call.n_in];
    if (in && v->number && w->number) {
      const ms_scalar *p = &x->number[k], *q = &y->number[k];
      if (same_scalar(a, b, p, q)) continue;
      return ms_fail("compile: %s: a number was %.9g in call 2 and %.9g in call 3; a number that changes must be an argument of "
                     "the step",
                     place(x), p->value, q->value),
             -1;
    }
    if (!same_view(v, w) || place_in(a, x->slot[k], x->offset[k]) != place_in(b, y->slot[k], y->offset[k]))
      return ms_fail("compile: %s: %s %d was %s in call 2 and %s in call 3", place(x), in ? "operand" : "result",
                     in ? k + 1 : k - x->call.n_in + 1, sizes(v), sizes(w)),
             -1;
    if (compare_slot(a, b, x, x->slot[k], y->slot[k]) < 0) return -1;
  }
  return 0;
}

int ms_record_compare(const ms_record *a, const ms_record *b) {
  if (compare_numbers(a, b) < 0) return -1;
  int n = a->n_call < b->n_call ? a->n_call : b->n_call;
  for (int i = 0; i < n; i++)
    if (compare_call(a, b, i) < 0) return -1;
  if (a->n_call != b->n_call) {
    const ms_record *more = a->n_call > b->n_call ? a : b;
    return ms_fail("compile: %d operations in call 2 and %d in call 3; the first without a partner is %s", a->n_call, b->n_call,
                   place(&more->call[n])),
           -1;
  }
  if (a->n_results != b->n_results)
    return ms_fail("compile: %d results in call 2 and %d in call 3", a->n_results, b->n_results), -1;
  for (int k = 0; k < a->n_results; k++)
    if (a->result[k].slot != b->result[k].slot ||
        place_in(a, a->result[k].slot, a->result[k].offset) != place_in(b, b->result[k].slot, b->result[k].offset) ||
        !same_view(&a->result[k].view, &b->result[k].view))
      return ms_fail("compile: result %d is another tensor in call 3 than in call 2", k + 1), -1;
  return 0;
}
