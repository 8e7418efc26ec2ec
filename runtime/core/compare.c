/* compare.c -- do two recordings of a function agree? What differs is told with both values and the script's line. */
#include "record.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *place(const ms_rcall *c) { return ms_rcall_place(c); }

static bool same_view(const ms_view *a, const ms_view *b) {
  return a->dtype == b->dtype && a->rank == b->rank && a->absent == b->absent &&
         !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) && !memcmp(a->stride, b->stride, a->rank * sizeof *a->stride);
}

static const char *sizes(const ms_view *v) { return ms_sizes_str(v->rank, v->shape); }

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

typedef struct pair {
  ms_record *a, *b;
  bool values; /* a's live numbers stand for what they are now */
} pair;

/* The same live number: an argument's (one cell for both recordings), or the same step of the arithmetic on them. */
static bool same_cell(const pair *p, const ms_cell *x, const ms_cell *y) {
  if (x == y) return true;
  for (int i = 0; i < p->a->n_number && i < p->b->n_number; i++)
    if (p->a->number[i].out == x && p->b->number[i].out == y) return true;
  return false;
}

static bool same_scalar(const pair *p, const ms_scalar *x, const ms_scalar *y) {
  if (!p->values && (x->cell || y->cell)) return same_cell(p, x->cell, y->cell);
  double v = ms_scalar_value(*x), w = ms_scalar_value(*y);
  /* Arithmetic that derivative rules do on numbers goes through a kernel when they are plain: one rounding may differ. */
  return v == w || (v != v && w != w) || (p->values && x->cell && fabs(v - w) <= 1e-14 * fabs(w));
}

static int compare_numbers(const pair *p) {
  const ms_record *a = p->a, *b = p->b;
  if (p->values) {
    for (int i = 0; i < a->n_number; i++) ms_rnumber_run(&a->number[i]);
    return 0;
  }
  bool same = a->n_number == b->n_number;
  for (int i = 0; same && i < a->n_number; i++) {
    const ms_rnumber *x = &a->number[i], *y = &b->number[i];
    same = x->op == y->op && same_cell(p, x->a, y->a) && same_cell(p, x->b, y->b) && x->ca == y->ca && x->cb == y->cb;
  }
  if (same) return 0;
  return ms_fail("compile: the arithmetic on numbers handed to the step differs between calls %d and %d", a->nth, b->nth), -1;
}

static int compare_attr(const pair *p, const ms_rcall *a, const ms_rcall *b) {
  const ms_op *op = a->call.op;
  for (int k = 0, i = 0; k < op->n_arg; k++) {
    const ms_arg *arg = &op->arg[k];
    if (arg->is_tensor) continue;
    const ms_attr *x = &a->attr[i], *y = &b->attr[i];
    i++;
    switch (arg->kind) {
    case MS_K_SCALAR:
      if (same_scalar(p, &x->s, &y->s)) continue;
      return ms_fail(
                 "compile: %s: %s was %.9g in call %d and %.9g in call %d; a number that changes must be an argument of the step",
                 place(a), arg->name, ms_scalar_value(x->s), p->a->nth, ms_scalar_value(y->s), p->b->nth),
             -1;
    case MS_K_INTS:
    case MS_K_DIMS:
    case MS_K_SHAPE:
      if (x->v.n == y->v.n && (x->v.n <= 0 || !memcmp(x->v.at, y->v.at, (size_t)x->v.n * sizeof *x->v.at))) continue;
      return ms_fail("compile: %s: %s was %s in call %d and %s in call %d", place(a), arg->name, ms_sizes_str(x->v.n, x->v.at),
                     p->a->nth, ms_sizes_str(y->v.n, y->v.at), p->b->nth),
             -1;
    default:
      if (x->i == y->i) continue;
      return ms_fail("compile: %s: %s was %lld in call %d and %lld in call %d", place(a), arg->name, (long long)x->i, p->a->nth,
                     (long long)y->i, p->b->nth),
             -1;
    }
  }
  return 0;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static bool same_data(const ms_storage *x, const ms_storage *y) {
  if (x->bytes != y->bytes || x->device != y->device) return false;
  if (x->device->backend->host_memory) return !memcmp(x->data, y->data, x->bytes);
  char *p = malloc(2 * x->bytes + 1);
  bool same = p && x->device->backend->download(p, x->data, x->bytes) == 0 &&
              y->device->backend->download(p + x->bytes, y->data, y->bytes) == 0 && !memcmp(p, p + x->bytes, x->bytes);
  free(p);
  return same;
}

/* Kinds that a storage has by what became of it, not by where it came from, are all INTERNAL here. */
static ms_slot_kind origin(const ms_slot *s) {
  return s->kind == MS_SLOT_INPUT || s->kind == MS_SLOT_EXTERNAL ? s->kind : MS_SLOT_INTERNAL;
}

static int compare_slot(const pair *c, const char *what, int x, int y) {
  int m = c->a->nth, n = c->b->nth;
  if (x < 0 && y < 0) return 0;
  if (x < 0 || y < 0) return ms_fail("compile: %s: a tensor in one of calls %d and %d, a number in the other", what, m, n), -1;
  const ms_slot *p = &c->a->slot[x], *q = &c->b->slot[y];
  ms_slot_kind a = origin(p), b = origin(q);
  if (a != b && (a == MS_SLOT_INPUT || b == MS_SLOT_INPUT))
    return ms_fail("compile: %s: works on an argument in one of calls %d and %d and on another tensor in the other", what, m, n),
           -1;
  if (a != b)
    return ms_fail("compile: %s: a tensor was made inside the step in one of calls %d and %d and outside it in the other", what, m,
                   n),
           -1;
  if (a == MS_SLOT_EXTERNAL && p->storage != q->storage) {
    if (p->constant && q->constant)
      return same_data(p->storage, q->storage) ? 0
                                               : (ms_fail("compile: %s: the numbers of a tensor made inside the step differ "
                                                          "between calls %d and %d; hand them in as an argument",
                                                          what, m, n),
                                                  -1);
    return ms_fail(
               "compile: %s: a tensor from outside the step is another one in call %d than in call %d; hand it in as an argument",
               what, n, m),
           -1;
  }
  if (x != y) return ms_fail("compile: %s: works on another tensor in call %d than in call %d", what, n, m), -1;
  return 0;
}

/* An argument may begin elsewhere in its storage at each call (a batch of a larger tensor): its views count from where it begins.
 */
static size_t place_in(const ms_record *r, int slot, size_t offset) {
  return slot >= 0 && r->slot[slot].kind == MS_SLOT_INPUT ? offset - r->arg[r->slot[slot].arg].offset : offset;
}

static int compare_call(const pair *p, int i) {
  ms_rcall *x = &p->a->call[i], *y = &p->b->call[i];
  int m = p->a->nth, n = p->b->nth;
  if (x->call.op != y->call.op || x->line != y->line || x->chunk != y->chunk)
    return ms_fail("compile: operation %d is %s in call %d and %s in call %d: the step took another way", i + 1, place(x), m,
                   place(y), n),
           -1;
  if (x->call.n_in != y->call.n_in || x->call.n_out != y->call.n_out)
    return ms_fail("compile: %s: %d operands in call %d and %d in call %d", place(x), x->call.n_in, m, y->call.n_in, n), -1;
  if (compare_attr(p, x, y) < 0) return -1;
  for (int k = 0; k < x->call.n_in + x->call.n_out; k++) {
    bool in = k < x->call.n_in;
    const ms_view *v = ms_rcall_view(x, k), *w = ms_rcall_view(y, k);
    if (in && v->number && w->number && v->dtype == w->dtype) {
      const ms_scalar *a = &x->number[k], *b = &y->number[k];
      if (same_scalar(p, a, b)) continue;
      return ms_fail("compile: %s: a number was %.9g in call %d and %.9g in call %d; a number that changes must be an argument of "
                     "the step",
                     place(x), ms_scalar_value(*a), m, ms_scalar_value(*b), n),
             -1;
    }
    if (!same_view(v, w))
      return ms_fail("compile: %s: %s %d was %s in call %d and %s in call %d", place(x), in ? "operand" : "result",
                     in ? k + 1 : k - x->call.n_in + 1, sizes(v), m, sizes(w), n),
             -1;
    if (compare_slot(p, place(x), x->slot[k], y->slot[k]) < 0) return -1;
    if (place_in(p->a, x->slot[k], x->offset[k]) != place_in(p->b, y->slot[k], y->offset[k]))
      return ms_fail("compile: %s: %s %d begins at another element of its memory in call %d than in call %d%s", place(x),
                     in ? "operand" : "result", in ? k + 1 : k - x->call.n_in + 1, n, m,
                     x->slot[k] >= 0 && p->a->slot[x->slot[k]].kind == MS_SLOT_INPUT
                         ? "; an argument lies in the same memory: hand in one of the two as a :clone()"
                         : ""),
             -1;
  }
  return 0;
}

static int compare_results(const pair *p) {
  const ms_record *a = p->a, *b = p->b;
  if (a->n_results != b->n_results)
    return ms_fail("compile: %d tensors as results in call %d and %d in call %d", a->n_results, a->nth, b->n_results, b->nth), -1;
  for (int k = 0; k < a->n_results; k++) {
    const ms_ref_view *x = &a->result[k], *y = &b->result[k];
    if (x->slot != y->slot || place_in(a, x->slot, x->offset) != place_in(b, y->slot, y->offset) || !same_view(&x->view, &y->view))
      return ms_fail("compile: result %d is another tensor in call %d than in call %d", k + 1, b->nth, a->nth), -1;
    if (compare_slot(p, "a result", x->slot, y->slot) < 0) return -1;
  }
  if (a->n_grad != b->n_grad)
    return ms_fail("compile: %d tensors had to do with .grad in call %d and %d in call %d", a->n_grad, a->nth, b->n_grad, b->nth),
           -1;
  for (int k = 0; k < a->n_grad; k++) {
    const ms_rgrad *x = &a->grad[k], *y = &b->grad[k];
    if (x->leaf != y->leaf || x->arg != y->arg)
      return ms_fail("compile: .grad of another tensor in call %d than in call %d", b->nth, a->nth), -1;
    if (x->now.slot != y->now.slot)
      return ms_fail("compile: .grad of %s is another tensor after call %d than after call %d",
                     x->leaf ? ms_shape_str(x->leaf) : "an argument", b->nth, a->nth),
             -1;
  }
  return 0;
}

static void find_moves(ms_record *a, ms_record *b) {
  for (int i = 0; i < a->n_args && i < b->n_args; i++) {
    ms_slot *x = &a->slot[a->arg[i].slot], *y = &b->slot[b->arg[i].slot];
    if (x->birth != y->birth || a->arg[i].offset != b->arg[i].offset) x->moves = y->moves = true;
  }
}

int ms_record_compare(ms_record *a, ms_record *b, bool values) {
  pair p = {a, b, values};
  if (compare_numbers(&p) < 0) return -1;
  int n = a->n_call < b->n_call ? a->n_call : b->n_call;
  for (int i = 0; i < n; i++)
    if (compare_call(&p, i) < 0) return -1;
  if (a->n_call != b->n_call) {
    const ms_record *more = a->n_call > b->n_call ? a : b;
    return ms_fail("compile: %d operations in call %d and %d in call %d; the first without a partner is %s", a->n_call, a->nth,
                   b->n_call, b->nth, place(&more->call[n])),
           -1;
  }
  if (compare_results(&p) < 0) return -1;
  find_moves(a, b);
  return 0;
}
