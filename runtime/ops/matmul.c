/* matmul.c -- products of matrices: matmul over the last two dimensions, and linear. The row multiplies matrices of floating
 * numbers; ms_matmul, which scripts call too, brings vectors and integers to what a row takes. */
#include "core/core.h"

enum { TA, TB }; /* attributes of matmul */

static int matmul_shape(ms_infer *s) {
  const ms_tensor *a = s->in[0], *b = s->in[1];
  for (int i = 0; i < 2; i++)
    if (s->in[i]->rank < 2)
      return ms_fail("matmul: %s is %s, expected one dimension or more", i ? "b" : "a", ms_shape_str(s->in[i])), -1;
  bool ta = s->attr[TA].i != 0, tb = s->attr[TB].i != 0;
  const int64_t *pa = a->shape + a->rank - 2, *pb = b->shape + b->rank - 2;
  if (pa[!ta] != pb[tb])
    return ms_fail("matmul: %s%s and %s%s do not fit together: the left one has %lld columns, the right one %lld rows",
                   ms_shape_str(a), ta ? " transposed" : "", ms_shape_str(b), tb ? " transposed" : "", (long long)pa[!ta],
                   (long long)pb[tb]),
           -1;
  int rank = a->rank > b->rank ? a->rank : b->rank;
  int64_t size[MS_MAX_RANK];
  for (int i = 0; i < rank - 2; i++) {
    int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
    int64_t na = ia < 0 ? 1 : a->shape[ia], nb = ib < 0 ? 1 : b->shape[ib];
    if (na != nb && na != 1 && nb != 1)
      return ms_fail("matmul: %s and %s do not fit together (dimension %d: %lld against %lld, expected one size or 1)",
                     ms_shape_str(a), ms_shape_str(b), i + 1, (long long)na, (long long)nb),
             -1;
    size[i] = na == 1 ? nb : na;
  }
  size[rank - 2] = pa[ta], size[rank - 1] = pb[!tb];
  return ms_out(s, 0, a->dtype, rank, size);
}

/* x as a matrix: all dimensions but the last as one. The sizes are given in full, since reshape cannot work out a -1 if a size is
 * 0. */
static ms_tensor *as_matrix(ms_tensor *x) {
  if (!x || x->rank <= 2) return x;
  int64_t n = 1;
  for (int i = 0; i < x->rank - 1; i++) n *= x->shape[i];
  return ms_reshape(x, MS_INTS(n, x->shape[x->rank - 1]));
}

/* r = A B with A = a or a', B = b or b'. Then dA = g B', dB = A' g; a transposed operand wants its gradient transposed too. */
static int matmul_vjp(ms_vjp *c) {
  ms_tensor *a = c->x[0], *b = c->x[1], *g = c->g[0];
  bool ta = c->attr[TA].i != 0, tb = c->attr[TB].i != 0;
  if (c->need[0]) c->dx[0] = ms_sum_to(ta ? ms_matmul(b, g, tb, true) : ms_matmul(g, b, false, !tb), a);
  if (c->need[1]) {
    ms_tensor *left = a, *right = g;
    /* One matrix for the whole batch: the sum over the batch is part of the product. */
    if (b->rank == 2 && a->rank > 2 && !ta && ms_numel(a)) left = as_matrix(a), right = as_matrix(g);
    c->dx[1] = ms_sum_to(tb ? ms_matmul(right, left, true, ta) : ms_matmul(left, right, !ta, false), b);
  }
  return ms_error() ? -1 : 0;
}

static double matmul_flops(const ms_call *c) {
  const ms_view *a = &c->in[0];
  const int64_t inner = a->shape[a->rank - (c->attr[TA].i ? 2 : 1)];
  return 2 * (double)ms_view_numel(&c->out[0]) * (double)inner;
}
MS_RULE(matmul, .shape = matmul_shape, .vjp = matmul_vjp, .keep_in = 3, .reads = {2, 1}, .flops = matmul_flops);

/* The same of integers, with a kernel that rounds nothing. */
static int no_derivative(ms_vjp *c) { return ms_fail("%s has no derivative", c->op->name), -1; }
MS_RULE(matmul_whole, .shape = matmul_shape, .vjp = no_derivative);

static bool whole(const ms_tensor *x) { return !x->is_number && !ms_dtype_is_float(x->dtype); }

ms_tensor *ms_matmul(ms_tensor *a, ms_tensor *b, bool ta, bool tb) {
  if (!a || !b) return NULL;
  const ms_attr attr[] = {A_INT(ta), A_INT(tb)};
  const int dtype = whole(a) && whole(b) ? ms_promote(a->dtype, b->dtype) : MS_BOOL;
  const bool row = a->rank == 1, column = b->rank == 1;
  if (dtype == MS_BOOL && !row && !column) return ms_apply(MS_OP_matmul, MS_IN(a, b), attr);
  if ((row && ta) || (column && tb))
    return ms_fail("matmul: %s is %s: a vector is not transposed", row ? "a" : "b", ms_shape_str(row ? a : b));
  if (row) a = ms_unsqueeze(a, 0);
  if (column) b = ms_unsqueeze(b, 1);
  ms_tensor *r;
  if (dtype == MS_BOOL) r = ms_apply(MS_OP_matmul, MS_IN(a, b), attr);
  else r = ms_apply(MS_OP_matmul_whole, MS_IN(ms_cast(a, dtype), ms_cast(b, dtype)), attr);
  if (r && (row || column)) {
    ms_ints v = ms_sizes(r);
    if (row) v.at[v.n - 2] = v.at[v.n - 1], v.n--;
    if (column) v.n--;
    r = ms_reshape(r, v);
  }
  return r;
}

static int linear(ms_ref *c) {
  ms_tensor *x = c->in[0], *w = c->in[1], *bias = c->in[2];
  if (x->rank < 1) return ms_fail("linear: x is %s, expected one dimension or more", ms_shape_str(x)), -1;
  if (w->rank != 2) return ms_fail("linear: w is %s, expected two dimensions: out x in", ms_shape_str(w)), -1;
  if (x->shape[x->rank - 1] != w->shape[1])
    return ms_fail("linear: x is %s, w is %s: expected x with %lld features, got %lld", ms_shape_str(x), ms_shape_str(w),
                   (long long)w->shape[1], (long long)x->shape[x->rank - 1]),
           -1;
  if (bias && (bias->rank != 1 || bias->shape[0] != w->shape[0]))
    return ms_fail("linear: bias is %s, expected %lld elements", ms_shape_str(bias), (long long)w->shape[0]), -1;
  ms_ints size = ms_sizes(x);
  size.at[size.n - 1] = w->shape[0];
  ms_tensor *y = ms_matmul(x->rank == 1 ? ms_unsqueeze(x, 0) : as_matrix(x), w, false, true);
  if (bias) y = ms_add(y, bias);
  if (x->rank != 2) y = ms_reshape(y, size);
  return c->n_out = 1, (c->out[0] = y) ? 0 : -1;
}
MS_RULE(linear, .ref = linear);
