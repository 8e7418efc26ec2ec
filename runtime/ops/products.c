/* products.c -- products of vectors and matrices under PyTorch's names: forms of matmul, with the ranks that each name stands for.
 */
#include <math.h>

#include "compose.h"

static int expect_rank(const ms_ref *c, int input, int rank) {
  static const char *const words[] = {"a scalar", "one dimension", "two dimensions", "three dimensions"};
  if (c->in[input]->rank == rank) return 0;
  return ms_fail("%s: %s is %s, expected %s", c->op->name, ms_arg_of(c->op, input)->name, ms_shape_str(c->in[input]), words[rank]),
         -1;
}

/* The product of the first two inputs, which have these ranks. */
static int product(ms_ref *c, int rank_a, int rank_b) {
  if (expect_rank(c, 0, rank_a) < 0 || expect_rank(c, 1, rank_b) < 0) return -1;
  return ms_give(c, ms_matmul(c->in[0], c->in[1], false, false));
}
static int dot_ref(ms_ref *c) { return product(c, 1, 1); }
MS_RULE(dot, .ref = dot_ref);
static int mv_ref(ms_ref *c) { return product(c, 2, 1); }
MS_RULE(mv, .ref = mv_ref);
static int mm_ref(ms_ref *c) { return product(c, 2, 2); }
MS_RULE(mm, .ref = mm_ref);
static int bmm_ref(ms_ref *c) {
  const ms_tensor *a = c->in[0], *b = c->in[1];
  if (a->rank == 3 && b->rank == 3 && a->shape[0] != b->shape[0])
    return ms_fail("bmm: %s and %s: expected as many matrices on both sides", ms_shape_str(a), ms_shape_str(b)), -1;
  return product(c, 3, 3);
}
MS_RULE(bmm, .ref = bmm_ref);

static ms_tensor *outer(ms_tensor *x, ms_tensor *y) { return ms_mul(ms_unsqueeze(x, 1), ms_unsqueeze(y, 0)); }
static int outer_ref(ms_ref *c) {
  if (expect_rank(c, 0, 1) < 0 || expect_rank(c, 1, 1) < 0) return -1;
  return ms_give(c, outer(c->in[0], c->in[1]));
}
MS_RULE(outer, .ref = outer_ref);

/* The last dimensions of both summed over: all dimensions of x but that, then those of y. */
static int inner_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *y = c->in[1];
  if (!x->rank || !y->rank) return ms_give(c, ms_mul(x, y));
  const int64_t n = x->shape[x->rank - 1];
  if (n != y->shape[y->rank - 1])
    return ms_fail("inner: %s and %s: expected last dimensions of one size", ms_shape_str(x), ms_shape_str(y)), -1;
  if (x->rank + y->rank - 2 > MS_MAX_RANK)
    return ms_fail("inner: %s and %s: the result would have more dimensions than there can be", ms_shape_str(x), ms_shape_str(y)),
           -1;
  ms_ints v = {0};
  int64_t rows = 1, cols = 1;
  for (int i = 0; i < x->rank - 1; i++) rows *= v.at[v.n++] = x->shape[i];
  for (int i = 0; i < y->rank - 1; i++) cols *= v.at[v.n++] = y->shape[i];
  return ms_give(c, ms_reshape(ms_matmul(ms_reshape(x, MS_INTS(rows, n)), ms_reshape(y, MS_INTS(cols, n)), false, true), v));
}
MS_RULE(inner, .ref = inner_ref);

/* ---- beta x + alpha product: x broadcast to the product; with beta = 0 what x holds does not matter, NaN neither ----------------
 */

/* n x; a whole n leaves integers integers. */
static ms_tensor *times(ms_tensor *x, double n) {
  if (n == 1 || !x) return x;
  return ms_mul(x, n == trunc(n) && fabs(n) < 0x1p53 ? ms_whole_number((int64_t)n) : ms_number(n));
}

static int add_to(ms_ref *c, ms_tensor *product) {
  const double beta = ms_decided(c->attr[0].s), alpha = ms_decided(c->attr[1].s);
  ms_tensor *x = c->in[0];
  if (product && x->rank > product->rank)
    return ms_fail("%s: x is %s, which does not fit to a product of %s", c->op->name, ms_shape_str(x), ms_shape_str(product)), -1;
  if (product && !ms_expand(x, ms_sizes(product))) return ms_give(c, NULL);
  product = times(product, alpha);
  return ms_give(c, beta == 0 ? product : ms_add(times(x, beta), product));
}
static ms_tensor *second_by_third(const ms_ref *c, int rank_a, int rank_b) {
  if (expect_rank(c, 1, rank_a) < 0 || expect_rank(c, 2, rank_b) < 0) return NULL;
  if (rank_a == 3 && c->in[1]->shape[0] != c->in[2]->shape[0])
    return ms_fail("%s: %s and %s: expected as many matrices in both batches", c->op->name, ms_shape_str(c->in[1]),
                   ms_shape_str(c->in[2]));
  return ms_matmul(c->in[1], c->in[2], false, false);
}
static int addmm_ref(ms_ref *c) { return add_to(c, second_by_third(c, 2, 2)); }
MS_RULE(addmm, .ref = addmm_ref);
static int addmv_ref(ms_ref *c) { return add_to(c, second_by_third(c, 2, 1)); }
MS_RULE(addmv, .ref = addmv_ref);
static int baddbmm_ref(ms_ref *c) { return add_to(c, second_by_third(c, 3, 3)); }
MS_RULE(baddbmm, .ref = baddbmm_ref);
static int addr_ref(ms_ref *c) {
  if (expect_rank(c, 1, 1) < 0 || expect_rank(c, 2, 1) < 0) return -1;
  return add_to(c, outer(c->in[1], c->in[2]));
}
MS_RULE(addr, .ref = addr_ref);

/* The sum over the batch is part of one product: the matrices side by side, times the others one below the other. */
static int addbmm_ref(ms_ref *c) {
  ms_tensor *a = c->in[1], *b = c->in[2];
  if (expect_rank(c, 1, 3) < 0 || expect_rank(c, 2, 3) < 0) return -1;
  if (a->shape[0] != b->shape[0] || a->shape[2] != b->shape[1])
    return ms_fail("addbmm: %s and %s: expected b x m x k and b x k x n", ms_shape_str(a), ms_shape_str(b)), -1;
  const int64_t k = a->shape[0] * a->shape[2];
  return add_to(c, ms_matmul(ms_reshape(ms_permute(a, MS_INTS(1, 0, 2)), MS_INTS(a->shape[1], k)),
                             ms_reshape(b, MS_INTS(k, b->shape[2])), false, false));
}
MS_RULE(addbmm, .ref = addbmm_ref);

/* ---- others ------------------------------------------------------------------------------------------------------------------ */

/* x^n by squaring. */
static int matrix_power_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *r = NULL;
  int64_t n = c->attr[0].i;
  if (x->rank < 2 || x->shape[x->rank - 1] != x->shape[x->rank - 2])
    return ms_fail("matrix_power: expected square matrices, got %s", ms_shape_str(x)), -1;
  if (n < 0) return ms_fail("matrix_power: n = %lld, expected 0 or more (there is no inverse of matrices here)", (long long)n), -1;
  if (n == 0) {
    ms_tensor *eye[MS_MAX_OUT];
    const int64_t size = x->shape[x->rank - 1];
    if (ms_apply_n(MS_OP_eye, x->device, 0, NULL, MS_ATTR(A_INT(size), A_INT(size), A_INT(x->dtype)), eye) < 0) return -1;
    return ms_give(c, ms_apply(MS_OP_clone, MS_IN(ms_expand(eye[0], ms_sizes(x))), NULL));
  }
  for (; n && x; n >>= 1) {
    if (n & 1) r = r ? ms_matmul(r, x, false, false) : x;
    if (n > 1) x = ms_matmul(x, x, false, false);
  }
  return ms_give(c, r == c->in[0] ? ms_apply(MS_OP_clone, MS_IN(r), NULL) : r);
}
MS_RULE(matrix_power, .ref = matrix_power_ref);

static ms_tensor *turned(ms_tensor *x, int64_t by, int64_t dim) { /* dim is 3 long */
  ms_tensor *part[] = {ms_slice(x, dim, by, 3 - by, 1), ms_slice(x, dim, 0, by, 1)};
  return ms_cat(2, part, dim);
}

/* Component i is x[i+1] y[i+2] - x[i+2] y[i+1]. */
static int cross_ref(ms_ref *c) {
  int rank, d = -1;
  ms_ints v;
  if (ms_broadcast("cross", 2, c->in, &rank, v.at) < 0) return -1;
  v.n = rank;
  if (c->attr[0].i != MS_NO_DIM && (d = ms_dim(c->attr[0].i, rank, "cross")) < 0) return -1;
  for (int i = 0; i < rank && d < 0; i++)
    if (v.at[i] == 3) d = i;
  if (d < 0 || v.at[d] != 3)
    return ms_fail("cross: %s and %s: expected a dimension of size 3", ms_shape_str(c->in[0]), ms_shape_str(c->in[1])), -1;
  ms_tensor *x = ms_expand(c->in[0], v), *y = ms_expand(c->in[1], v);
  return ms_give(c, ms_sub(ms_mul(turned(x, 1, d), turned(y, 2, d)), ms_mul(turned(x, 2, d), turned(y, 1, d))));
}
MS_RULE(cross, .ref = cross_ref);
