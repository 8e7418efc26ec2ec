/* scatter.c -- element by element by position along a dimension: gather reads, scatter writes. gather and scatter_add are adjoint:
 * each derivative is the other one, so they close. Where scatter writes to a place more than once the last one counts, so only it
 * has a gradient. */
#include "place.h"
#include <math.h>

/* ---- gather, scatter_add: element by element -------------------------------------------------------------------- */

/* index may be smaller than `t` in any dimension but `free` (-1: none is free). */
static int index_within(const ms_infer *s, const ms_tensor *index, const ms_tensor *t, const char *name, int d) {
  bool fits = index->rank == t->rank;
  for (int i = 0; fits && i < t->rank; i++) fits = i == d || index->shape[i] <= t->shape[i];
  if (fits) return 0;
  if (d < 0) return ms_fail("%s: index is %s, larger than %s %s", s->op->name, ms_shape_str(index), name, ms_shape_str(t)), -1;
  return ms_fail("%s: index is %s, expected the rank of %s %s and no larger sizes except along dimension %d", s->op->name,
                 ms_shape_str(index), name, ms_shape_str(t), d + 1),
         -1;
}

static int gather_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0], *index = s->in[1];
  int d = ms_dim(s->attr[0].i, x->rank, "gather");
  if (d < 0 || index_within(s, index, x, "x", d) < 0) return -1;
  s->attr[0].i = d;
  s->bound[1] = x->shape[d];
  return ms_out(s, 0, x->dtype, index->rank, index->shape);
}
static int gather_vjp(ms_vjp *c) {
  if (c->need[0]) c->dx[0] = ms_scatter_add(ms_zeros_like(c->x[0]), c->attr[0].i, c->x[1], c->g[0]);
  return ms_error() ? -1 : 0;
}
MS_RULE(gather, .shape = gather_shape, .vjp = gather_vjp, .keep_in = 2);

static int scatter_add_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0], *index = s->in[1], *src = s->in[2];
  int d = ms_dim(s->attr[0].i, x->rank, s->op->name);
  if (d < 0 || ms_check_addable(s, x, src) < 0 || index_within(s, index, x, "x", d) < 0 ||
      index_within(s, index, src, "src", -1) < 0)
    return -1;
  s->attr[0].i = d;
  s->bound[1] = x->shape[d];
  return s->op->mutates ? 0 : ms_out_like(s, 0, x);
}
/* d, in the shape of index, with zeros up to the shape of src: what is not read of src has a gradient of zero. */
static ms_tensor *like_src(ms_tensor *d, const ms_tensor *src) {
  for (int i = 0; d && i < d->rank; i++)
    if (d->shape[i] < src->shape[i]) d = ms_unslice(d, i, 0, 1, src->shape[i]);
  return d;
}
static int scatter_add_vjp(ms_vjp *c) {
  c->dx[0] = c->g[0];
  if (c->need[2]) c->dx[2] = like_src(ms_gather(c->g[0], c->attr[0].i, c->x[1]), c->x[2]);
  return ms_error() ? -1 : 0;
}
MS_RULE(scatter_add, .shape = scatter_add_shape, .vjp = scatter_add_vjp, .keep_in = 2);

static int scatter_add__ref(ms_ref *c) { return ms_ref_in_place(c, MS_OP_scatter_add); }
MS_RULE(scatter_add_, .shape = scatter_add_shape, .ref = scatter_add__ref);

/* ---- scatter ---------------------------------------------------------------------------------------------------- */

/* src: a tensor like x, or a number for all places. */
static int scatter_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0], *index = s->in[1], *src = s->in[2];
  int d = ms_dim(s->attr[0].i, x->rank, s->op->name);
  if (d < 0 || index_within(s, index, x, "x", d) < 0) return -1;
  if (src->is_number ? ms_check_value(s->op, x, src) < 0 : index_within(s, index, src, "src", -1) < 0) return -1;
  if (!src->is_number && x->dtype != src->dtype)
    return ms_fail("%s: x is %s, src %s; expected one dtype (convert one with :to())", s->op->name, ms_shape_str(x),
                   ms_shape_str(src)),
           -1;
  s->attr[0].i = d;
  s->bound[1] = x->shape[d];
  return s->op->mutates ? 0 : ms_out_like(s, 0, x);
}

static ms_tensor *scatter(ms_tensor *x, int64_t d, ms_tensor *index, ms_tensor *src) {
  return ms_apply(MS_OP_scatter, MS_IN(x, index, src), MS_ATTR(A_INT(d)));
}

/* src, in the shape of index: what is read of it. */
static ms_tensor *like_index(ms_tensor *src, const ms_tensor *index) {
  for (int i = 0; src && i < src->rank; i++)
    if (src->shape[i] > index->shape[i]) src = ms_slice(src, i, 0, index->shape[i], 1);
  return src;
}

static int scatter_vjp(ms_vjp *c) {
  const int64_t d = c->attr[0].i;
  ms_tensor *g = c->g[0], *index = c->x[1];
  if (c->need[0]) c->dx[0] = scatter(g, d, index, ms_number(0));
  if (c->need[2]) {
    ms_tensor *order = ms_number_off(index), *last = ms_full(ms_sizes(g), 0, MS_I64, g->device);
    ms_tensor *is_last = ms_eq(ms_gather(scatter(last, d, index, order), d, index), order);
    c->dx[2] = like_src(ms_where(is_last, ms_gather(g, d, index), ms_number(0)), c->x[2]);
  }
  return ms_error() ? -1 : 0;
}
MS_RULE(scatter, .shape = scatter_shape, .vjp = scatter_vjp, .keep_in = 2);
MS_RULE(scatter_, .shape = scatter_shape);

/* ---- scatter_reduce --------------------------------------------------------------------------------------------- */

enum { PROD, AMAX, AMIN };                      /* of scatter_fold */
enum { R_SUM, R_PROD, R_MEAN, R_AMAX, R_AMIN }; /* of scatter_reduce */

static ms_tensor *fold(ms_tensor *x, int64_t d, ms_tensor *index, ms_tensor *src, int how) {
  return ms_apply(MS_OP_scatter_fold, MS_IN(x, index, src), MS_ATTR(A_INT(d), A_INT(how)));
}

/* Largest and smallest: all that are it share the gradient. */
static void extreme_vjp(ms_vjp *c, ms_tensor *src) {
  const int64_t d = c->attr[0].i;
  ms_tensor *x = c->x[0], *index = c->x[1], *r = c->r[0];
  ms_tensor *is_x = ms_cast(ms_eq(x, r), x->dtype), *is_src = ms_cast(ms_eq(src, ms_gather(r, d, index)), x->dtype);
  ms_tensor *each = ms_div(c->g[0], ms_scatter_add(is_x, d, index, is_src));
  if (c->need[0]) c->dx[0] = ms_mul(is_x, each);
  if (c->need[2]) c->dx[2] = like_src(ms_mul(is_src, ms_gather(each, d, index)), c->x[2]);
}

/* Products: the result divided by the factor. Where the factor is 0, or the only 0 of a place, by the product of the others.
 * (Second derivatives where two factors of one place are 0 are not right: they are 0.) */
static void product_vjp(ms_vjp *c, ms_tensor *src) {
  const int64_t d = c->attr[0].i;
  ms_tensor *x = c->x[0], *index = c->x[1], *g = c->g[0], *one = ms_number(1), *zero = ms_number(0);
  if (c->need[0]) {
    ms_tensor *not_0 = ms_where(ms_eq(x, zero), one, x);
    c->dx[0] = ms_mul(g, ms_div(fold(not_0, d, index, src, PROD), not_0));
  }
  if (c->need[2]) {
    ms_tensor *is_0 = ms_eq(src, zero), *count = ms_scatter_add(ms_zeros_like(x), d, index, ms_cast(is_0, x->dtype));
    ms_tensor *only = ms_logical_and(is_0, ms_eq(ms_gather(count, d, index), one));
    ms_tensor *others = ms_gather(ms_mul(g, fold(x, d, index, ms_where(only, one, src), PROD)), d, index);
    ms_tensor *quotient = ms_div(ms_gather(ms_mul(g, c->r[0]), d, index), ms_where(is_0, one, src));
    c->dx[2] = like_src(ms_where(only, others, quotient), c->x[2]);
  }
}

static int scatter_fold_vjp(ms_vjp *c) {
  ms_tensor *src = like_index(c->x[2], c->x[1]);
  if (!src) return -1;
  if (c->attr[1].i == PROD) product_vjp(c, src);
  else extreme_vjp(c, src);
  return ms_error() ? -1 : 0;
}
MS_RULE(scatter_fold, .shape = scatter_add_shape, .vjp = scatter_fold_vjp, .keep_in = 7, .keep_out = 1);

/* What does not change the result of a reduction, as an element of dtype. */
static ms_tensor *neutral(int reduce, int dtype) {
  int64_t low = 0, high = 1;
  if (reduce == R_SUM || reduce == R_MEAN) return ms_whole_number(0);
  if (reduce == R_PROD) return ms_whole_number(1);
  if (ms_dtype_range(dtype, &low, &high)) return ms_whole_number(reduce == R_AMAX ? low : high);
  return ms_number(reduce == R_AMAX ? -INFINITY : INFINITY);
}

static ms_tensor *scatter_reduce(ms_tensor *x, int64_t dim, ms_tensor *index, ms_tensor *src, int reduce, bool self) {
  const int d = ms_dim(dim, x->rank, "scatter_reduce");
  if (d < 0) return NULL;
  ms_tensor *from = self ? x : scatter(x, d, index, neutral(reduce, x->dtype));
  if (reduce == R_SUM) return ms_scatter_add(from, d, index, src);
  if (reduce != R_MEAN) return fold(from, d, index, src, reduce == R_PROD ? PROD : reduce == R_AMAX ? AMAX : AMIN);
  ms_tensor *ones = ms_expand(ms_full((ms_ints){.n = 0}, 1, x->dtype, x->device), ms_sizes(index));
  ms_tensor *count = ms_scatter_add(ms_full(ms_sizes(x), self, x->dtype, x->device), d, index, ones);
  ms_tensor *sum = ms_scatter_add(from, d, index, src), *by = ms_maximum(count, ms_whole_number(1));
  return ms_dtype_is_float(x->dtype) ? ms_div(sum, by) : ms_floor_div(sum, by);
}
static int scatter_reduce_ref(ms_ref *c) {
  c->n_out = 1;
  return (c->out[0] = scatter_reduce(c->in[0], c->attr[0].i, c->in[1], c->in[2], (int)c->attr[1].i, c->attr[2].i)) ? 0 : -1;
}
MS_RULE(scatter_reduce, .ref = scatter_reduce_ref);

static int scatter_reduce__shape(ms_infer *s) { return scatter_add_shape(s); }
static int scatter_reduce__ref(ms_ref *c) { return ms_ref_in_place(c, MS_OP_scatter_reduce); }
MS_RULE(scatter_reduce_, .shape = scatter_reduce__shape, .ref = scatter_reduce__ref);

/* index_reduce: whole slices, by an index of one dimension. */
static ms_tensor *index_reduce(const ms_op *op, ms_tensor *const *in, const ms_attr *attr) {
  ms_tensor *x = in[0], *index = in[1], *src = in[2];
  static const int reduce[] = {R_PROD, R_MEAN, R_AMAX, R_AMIN};
  const int d = ms_dim(attr[0].i, x->rank, op->name);
  if (d < 0) return NULL;
  if (index->rank != 1 || src->rank != x->rank || src->shape[d] != index->shape[0])
    return ms_fail("%s: x is %s, index %s, src %s; expected index to have one dimension, and src a slice for each of its positions",
                   op->name, ms_shape_str(x), ms_shape_str(index), ms_shape_str(src));
  for (int i = 0; i < x->rank; i++)
    if (i != d && x->shape[i] != src->shape[i])
      return ms_fail("%s: x is %s, src %s; expected equal sizes except along dimension %d", op->name, ms_shape_str(x),
                     ms_shape_str(src), d + 1);
  ms_ints v = {.n = x->rank};
  for (int i = 0; i < x->rank; i++) v.at[i] = i == d ? index->shape[0] : 1;
  return scatter_reduce(x, d, ms_expand(ms_reshape(index, v), ms_sizes(src)), src, reduce[attr[1].i], attr[2].i);
}
static int index_reduce_ref(ms_ref *c) {
  c->n_out = 1;
  return (c->out[0] = index_reduce(c->op, c->in, c->attr)) ? 0 : -1;
}
MS_RULE(index_reduce, .ref = index_reduce_ref);
static int index_reduce__ref(ms_ref *c) {
  c->n_out = 0;
  return ms_copy_(c->in[0], index_reduce(c->op, c->in, c->attr)) ? 0 : -1;
}
MS_RULE(index_reduce_, .ref = index_reduce__ref);

/* ---- as C functions --------------------------------------------------------------------------------------------- */

ms_tensor *ms_gather(ms_tensor *x, int64_t dim, ms_tensor *index) {
  return ms_apply(MS_OP_gather, MS_IN(x, index), MS_ATTR(A_INT(dim)));
}
ms_tensor *ms_scatter_add(ms_tensor *x, int64_t dim, ms_tensor *index, ms_tensor *src) {
  return ms_apply(MS_OP_scatter_add, MS_IN(x, index, src), MS_ATTR(A_INT(dim)));
}
