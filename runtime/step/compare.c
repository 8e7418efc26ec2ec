/* compare.c -- do two recordings of a function agree? What differs is told with both values and the script's line. */
#include "pass.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *name(const ms_rcall *c) { return ms_rcall_name(c); }

static bool same_view(const ms_view *a, const ms_view *b) {
  return a->dtype == b->dtype && a->rank == b->rank && a->absent == b->absent &&
         !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) && !memcmp(a->stride, b->stride, a->rank * sizeof *a->stride);
}

static const char *sizes(const ms_view *v) { return ms_sizes_str(v->rank, v->shape); }

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

typedef struct comparison {
  ms_record *a, *b;
  bool values;    /* a's live numbers stand for what they are now */
  bool captured;  /* something that was taken for an argument is captured */
  int *to, *from; /* by slot of a, of b: its partner in the other one, -1: not met yet */
} comparison;

/* The same live number: an argument's (one cell for both recordings), or the same step of the arithmetic on them. */
static bool same_cell(const comparison *p, const ms_cell *x, const ms_cell *y) {
  if (x == y) return true;
  for (int i = 0; i < p->a->n_number && i < p->b->n_number; i++)
    if (p->a->number[i].out == x && p->b->number[i].out == y) return true;
  return false;
}

static bool same_scalar(const comparison *p, const ms_scalar *x, const ms_scalar *y) {
  const ms_cell *live = ms_scalar_cell(*x);
  ms_plain a, b;
  if (!p->values && (live || ms_scalar_cell(*y))) return same_cell(p, live, ms_scalar_cell(*y));
  if (ms_scalar_constant(*x, &a) && ms_scalar_constant(*y, &b) && a.is_whole && b.is_whole) return a.whole == b.whole;
  double v = ms_scalar_value(*x), w = ms_scalar_value(*y);
  /* Arithmetic that derivative rules do on numbers goes through a kernel when they are plain: one rounding may differ. */
  return v == w || (v != v && w != w) || (p->values && live && fabs(v - w) <= 1e-14 * fabs(w));
}

static int compare_numbers(const comparison *p) {
  const ms_record *a = p->a, *b = p->b;
  if (p->values) {
    for (int i = 0; i < a->n_number; i++)
      if (ms_rnumber_run(&a->number[i]) < 0) return -1;
    return 0;
  }
  bool same = a->n_number == b->n_number;
  for (int i = 0; same && i < a->n_number; i++) {
    const ms_rnumber *x = &a->number[i], *y = &b->number[i];
    same = x->op == y->op && x->n == y->n;
    for (int k = 0; k < x->n && same; k++) same = same_scalar(p, &x->in[k], &y->in[k]);
  }
  if (same) return 0;
  return ms_fail("compile: the arithmetic on numbers handed to the step differs between calls %d and %d", a->nth, b->nth), -1;
}

/* A number `what` of a call that is not the same in both recordings. */
static int number_differs(const comparison *p, const ms_rcall *call, const char *what, const ms_scalar *a, const ms_scalar *b) {
  const double x = ms_scalar_value(*a), y = ms_scalar_value(*b);
  if (x == y)
    ms_fail(
        "compile: %s: %s is %.9g in both, but of another holder in call %d than in call %d: it was made anew in the step, as of an "
        "optimizer that the step makes; make that outside, once",
        name(call), what, x, p->b->nth, p->a->nth);
  else
    ms_fail("compile: %s: %s was %.9g in call %d and %.9g in call %d; a number that changes must be an argument of the step",
            name(call), what, x, p->a->nth, y, p->b->nth);
  return -1;
}

static int compare_attr(const comparison *p, const ms_rcall *a, const ms_rcall *b) {
  const ms_op *op = a->call.op;
  for (int k = 0, i = 0; k < op->n_arg; k++) {
    const ms_arg *arg = &op->arg[k];
    if (arg->is_tensor) continue;
    const ms_attr *x = &a->attr[i], *y = &b->attr[i];
    i++;
    switch (arg->kind) {
    case MS_K_SCALAR:
      if (same_scalar(p, &x->s, &y->s)) continue;
      return number_differs(p, a, arg->name, &x->s, &y->s);
    case MS_K_INTS:
    case MS_K_DIMS:
    case MS_K_SHAPE:
      if (x->v.n == y->v.n && (x->v.n <= 0 || !memcmp(x->v.at, y->v.at, (size_t)x->v.n * sizeof *x->v.at))) continue;
      return ms_fail("compile: %s: %s was %s in call %d and %s in call %d", name(a), arg->name, ms_sizes_str(x->v.n, x->v.at),
                     p->a->nth, ms_sizes_str(y->v.n, y->v.at), p->b->nth),
             -1;
    case MS_K_NUMBERS:
      if (x->v.n == y->v.n && !memcmp(x->v.at, y->v.at, (size_t)x->v.n * sizeof *x->v.at)) continue;
      return ms_fail("compile: %s: %s was not the same in calls %d and %d", name(a), arg->name, p->a->nth, p->b->nth), -1;
    default:
      if (x->i == y->i) continue;
      return ms_fail("compile: %s: %s was %lld in call %d and %lld in call %d", name(a), arg->name, (long long)x->i, p->a->nth,
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
  if (!p) return ms_fail("compile: out of memory"), false;
  bool same = ms_device_download(x->device, p, x->data, x->bytes) == 0 &&
              ms_device_download(y->device, p + x->bytes, y->data, y->bytes) == 0 && !memcmp(p, p + x->bytes, x->bytes);
  free(p);
  return same;
}

/* Where a slot came from: an argument, outside, or (INTERNAL) a call. RESULT and KEPT say only what became of it afterwards. */
static ms_slot_kind origin(const ms_slot *s) {
  return s->kind == MS_SLOT_INPUT || s->kind == MS_SLOT_EXTERNAL ? s->kind : MS_SLOT_INTERNAL;
}

/* ---- arguments, and what is captured beside them ------------------------------------------------------------------ */

/* An argument may begin elsewhere in its storage at each call (a batch of a larger tensor), and something captured may lie in the
 * same storage. A view is the argument's if it stands at the same place in it in both recordings; captured if it stands at the same
 * place of the same memory. Where both are so, the argument did not move: it is taken for the argument's, and run.c sees to it that
 * the argument stays there. */

typedef struct recorded_view { /* a view in one of the recordings */
  ms_record *r;
  int *slot;
  const ms_view *view;
  size_t offset;
} recorded_view;

static const ms_slot *slot_at(const recorded_view *x) { return &x->r->slot[*x->slot]; }
static int arg_at(const recorded_view *x) { return slot_at(x)->kind == MS_SLOT_INPUT ? slot_at(x)->arg : -1; }

static bool within(const recorded_view *x, int arg) {
  const ms_record *r = x->r;
  return r->slot[r->arg[arg].slot].birth == slot_at(x)->birth && ms_record_within(r, arg, x->view, x->offset);
}

/* Do both lie in the argument, at the same distance from its beginning? */
static bool same_in_argument(const recorded_view *x, const recorded_view *y, int arg) {
  return within(x, arg) && within(y, arg) && x->offset - x->r->arg[arg].offset == y->offset - y->r->arg[arg].offset;
}

/* The argument that both lie in, at the same distance from its beginning; -1: none. */
static int common_arg(const recorded_view *x, const recorded_view *y) {
  int first = arg_at(x);
  if (first < 0 || arg_at(y) < 0) return -1; /* lies within none */
  if (same_in_argument(x, y, first)) return first;
  for (int i = 0; i < x->r->n_args && i < y->r->n_args; i++)
    if (same_in_argument(x, y, i)) return i;
  return -1;
}

/* The slot for what is captured of a storage. */
static int captured_slot(ms_record *r, ms_storage *s) {
  for (int i = 0; i < r->n_slot; i++)
    if (r->slot[i].birth == s->birth && r->slot[i].kind == MS_SLOT_EXTERNAL) return i;
  return ms_record_slot(r, s, MS_SLOT_EXTERNAL);
}

/* Both views lie in memory from outside, one of them in an argument's. 0, or -1 after ms_fail. */
static int argument_or_captured(comparison *p, const char *what, recorded_view *x, recorded_view *y) {
  const int m = p->a->nth, n = p->b->nth, arg = common_arg(x, y);
  if (arg >= 0) {
    *x->slot = p->a->arg[arg].slot, *y->slot = p->b->arg[arg].slot;
    return 0;
  }
  const bool same = slot_at(x)->birth == slot_at(y)->birth && x->offset == y->offset;
  if (same && (arg_at(x) < 0 || !p->a->arg[arg_at(x)].moves)) {
    ms_storage *s = slot_at(y)->storage;
    p->captured = true;
    return (*x->slot = captured_slot(p->a, s)) < 0 || (*y->slot = captured_slot(p->b, s)) < 0 ? -1 : 0;
  }
  if (arg_at(x) >= 0 && arg_at(y) >= 0)
    return ms_fail("compile: %s: works on another part of an argument in call %d than in call %d; hand that part in as an argument",
                   what, n, m),
           -1;
  return ms_fail("compile: %s: works on an argument in one of calls %d and %d and on another tensor in the other", what, m, n), -1;
}

/* Do the two views stand at the same place? */
static int compare_views(comparison *p, const char *what, recorded_view x, recorded_view y) {
  const int m = p->a->nth, n = p->b->nth;
  if (*x.slot < 0 && *y.slot < 0) return 0;
  if (*x.slot < 0 || *y.slot < 0)
    return ms_fail("compile: %s: a tensor in one of calls %d and %d, a number in the other", what, m, n), -1;
  const ms_slot_kind a = origin(slot_at(&x)), b = origin(slot_at(&y));
  if (a != b && (a == MS_SLOT_INTERNAL || b == MS_SLOT_INTERNAL)) {
    if (a == MS_SLOT_INPUT || b == MS_SLOT_INPUT)
      return ms_fail("compile: %s: works on an argument in one of calls %d and %d and on another tensor in the other", what, m, n),
             -1;
    return ms_fail("compile: %s: a tensor was made inside the step in one of calls %d and %d and outside it in the other", what, m,
                   n),
           -1;
  }
  if (a == MS_SLOT_INPUT || b == MS_SLOT_INPUT) return argument_or_captured(p, what, &x, &y);
  const ms_slot *s = slot_at(&x), *t = slot_at(&y);
  if (a == MS_SLOT_EXTERNAL && s->storage != t->storage) {
    if (!s->constant || !t->constant)
      return ms_fail(
                 "compile: %s: a tensor from outside the step is another one in call %d than in call %d; hand it in as an argument",
                 what, n, m),
             -1;
    if (!same_data(s->storage, t->storage))
      return ms_fail("compile: %s: the numbers of a tensor made inside the step differ between calls %d and %d; hand them in as an "
                     "argument",
                     what, m, n),
             -1;
  }
  int *to = &p->to[*x.slot], *from = &p->from[*y.slot];
  if (*to < 0 && *from < 0) *to = *y.slot, *from = *x.slot;
  if (*to != *y.slot || *from != *x.slot)
    return ms_fail("compile: %s: works on another tensor in call %d than in call %d", what, n, m), -1;
  if (x.offset != y.offset)
    return ms_fail("compile: %s: begins at another element of its memory in call %d than in call %d", what, n, m), -1;
  return 0;
}

/* What is now known of the arguments, for both recordings. */
static void find_moves(comparison *p) {
  ms_record *a = p->a, *b = p->b;
  for (int i = 0; i < a->n_args && i < b->n_args; i++) {
    ms_rarg *x = &a->arg[i], *y = &b->arg[i];
    const uint64_t birth = b->slot[y->slot].birth;
    x->moves |= a->slot[x->slot].birth != birth || x->offset != y->offset;
    y->moves |= x->moves;
    for (int j = 0; j < i && y->tie < 0; j++) {
      const ms_rarg *u = &a->arg[j], *v = &b->arg[j];
      size_t from, to, first, end;
      if (b->slot[v->slot].birth != birth || a->slot[u->slot].birth != a->slot[x->slot].birth ||
          x->offset - u->offset != y->offset - v->offset)
        continue;
      ms_view_span(&y->view, y->offset, &from, &to);
      ms_view_span(&v->view, v->offset, &first, &end);
      if (from < end && first < to) y->tie = v->tie < 0 ? j : v->tie;
    }
  }
  for (int i = 0; i < b->n_slot && p->captured; i++)
    if (b->slot[i].kind == MS_SLOT_INPUT || b->slot[i].kind == MS_SLOT_EXTERNAL) b->slot[i].written = false;
  for (int i = 0; i < b->n_call && p->captured; i++)
    for (int k = 0; k < b->call[i].call.n_in + b->call[i].call.n_out; k++)
      if (b->call[i].slot[k] >= 0 && ms_rcall_writes(&b->call[i], k)) b->slot[b->call[i].slot[k]].written = true;
}

/* ---- calls and results -------------------------------------------------------------------------------------------- */

/* Were both done by the same line? What the library does on its own has the line that called the step, which may be another each
 * time. */
static bool same_line(const comparison *p, const ms_rcall *x, const ms_rcall *y) {
  const ms_record *a = p->a, *b = p->b;
  if (x->line == y->line && x->chunk == y->chunk) return true;
  return x->line == a->line && x->chunk == a->chunk && y->line == b->line && y->chunk == b->chunk;
}

static int compare_call(comparison *p, int i) {
  ms_rcall *x = &p->a->call[i], *y = &p->b->call[i];
  int m = p->a->nth, n = p->b->nth;
  if (x->call.op != y->call.op || !same_line(p, x, y))
    return ms_fail("compile: operation %d is %s in call %d and %s in call %d: the step took another way", i + 1, name(x), m,
                   name(y), n),
           -1;
  if (x->call.n_in != y->call.n_in || x->call.n_out != y->call.n_out)
    return ms_fail("compile: %s: %d operands in call %d and %d in call %d", name(x), x->call.n_in, m, y->call.n_in, n), -1;
  if (compare_attr(p, x, y) < 0) return -1;
  for (int k = 0; k < x->call.n_in + x->call.n_out; k++) {
    bool in = k < x->call.n_in;
    const ms_view *v = ms_rcall_view(x, k), *w = ms_rcall_view(y, k);
    if (in && v->number && w->number && v->dtype == w->dtype) {
      const ms_scalar *a = &x->number[k], *b = &y->number[k];
      if (same_scalar(p, a, b)) continue;
      return number_differs(p, x, "a number", a, b);
    }
    if (!same_view(v, w))
      return ms_fail("compile: %s: %s %d was %s in call %d and %s in call %d", name(x), in ? "operand" : "result",
                     in ? k + 1 : k - x->call.n_in + 1, sizes(v), m, sizes(w), n),
             -1;
    if (compare_views(p, name(x), (recorded_view){p->a, &x->slot[k], v, x->offset[k]},
                      (recorded_view){p->b, &y->slot[k], w, y->offset[k]}) < 0)
      return -1;
  }
  return 0;
}

static int compare_slot_views(comparison *p, const char *what, ms_slot_view *x, ms_slot_view *y) {
  return compare_views(p, what, (recorded_view){p->a, &x->slot, &x->view, x->offset},
                       (recorded_view){p->b, &y->slot, &y->view, y->offset});
}

static int compare_results(comparison *p) {
  const ms_record *a = p->a, *b = p->b;
  if (a->n_results != b->n_results)
    return ms_fail("compile: %d tensors as results in call %d and %d in call %d", a->n_results, a->nth, b->n_results, b->nth), -1;
  for (int k = 0; k < a->n_results; k++) {
    ms_slot_view *x = &a->result[k], *y = &b->result[k];
    if (!same_view(&x->view, &y->view))
      return ms_fail("compile: result %d was %s in call %d and %s in call %d", k + 1, sizes(&x->view), a->nth, sizes(&y->view),
                     b->nth),
             -1;
    if (compare_slot_views(p, "a result", x, y) < 0) return -1;
  }
  if (a->n_grad != b->n_grad)
    return ms_fail("compile: %d tensors had to do with .grad in call %d and %d in call %d", a->n_grad, a->nth, b->n_grad, b->nth),
           -1;
  for (int k = 0; k < a->n_grad; k++) {
    ms_rgrad *x = &a->grad[k], *y = &b->grad[k];
    if (x->leaf != y->leaf || x->arg != y->arg)
      return ms_fail("compile: .grad of another tensor in call %d than in call %d", b->nth, a->nth), -1;
    const char *what = x->leaf ? ms_shape_str(x->leaf) : "an argument";
    if ((x->now.slot < 0) != (y->now.slot < 0))
      return ms_fail("compile: %s has a .grad after one of calls %d and %d only", what, a->nth, b->nth), -1;
    if (x->now.slot >= 0 && !same_view(&x->now.view, &y->now.view))
      return ms_fail("compile: .grad of %s was %s after call %d and %s after call %d", what, sizes(&x->now.view), a->nth,
                     sizes(&y->now.view), b->nth),
             -1;
    if (compare_slot_views(p, "a .grad", &x->now, &y->now) < 0) return -1;
  }
  return 0;
}

static int compare(comparison *p) {
  ms_record *a = p->a, *b = p->b;
  if (compare_numbers(p) < 0) return -1;
  int n = a->n_call < b->n_call ? a->n_call : b->n_call;
  for (int i = 0; i < n; i++)
    if (compare_call(p, i) < 0) return -1;
  if (a->n_call != b->n_call) {
    const ms_record *more = a->n_call > b->n_call ? a : b;
    return ms_fail("compile: %d operations in call %d and %d in call %d; the first without a partner is %s", a->n_call, a->nth,
                   b->n_call, b->nth, name(&more->call[n])),
           -1;
  }
  if (compare_results(p) < 0) return -1;
  find_moves(p);
  return 0;
}

int ms_record_compare(ms_record *a, ms_record *b, bool values) {
  const size_t n =
      (size_t)(a->n_slot > b->n_slot ? a->n_slot : b->n_slot) + (size_t)b->n_args + 1; /* what is captured joins them */
  int *partner = malloc(2 * n * sizeof *partner);
  if (!partner) return ms_fail("compile: out of memory"), -1;
  for (size_t i = 0; i < 2 * n; i++) partner[i] = -1;
  int rc = compare(&(comparison){.a = a, .b = b, .values = values, .to = partner, .from = partner + n});
  free(partner);
  return rc;
}
