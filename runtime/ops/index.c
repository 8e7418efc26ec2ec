/* index.c -- picking and adding by position. index_select and index_add, gather and scatter_add are adjoint pairs: each derivative
 * is the other one, so they close. Index tensors hold MS_INDEX_BASE .. size (the gate checks) and have no gradient. */
#include "core/core.h"

static int count_fits(const ms_infer *s, const ms_tensor *index) {
  if (index->rank != 1) return ms_fail("%s: index is %s, expected one dimension", s->op->name, ms_shape_str(index)), -1;
  return 0;
}

/* What adds: the same dtype on both sides, and one with an addition. */
static int check_addable(const ms_infer *s, const ms_tensor *x, const ms_tensor *src) {
  if (x->dtype != src->dtype)
    return ms_fail("%s: x is %s, src %s; expected one dtype (convert one with :to())", s->op->name, ms_shape_str(x),
                   ms_shape_str(src)),
           -1;
  if (x->dtype == MS_BOOL) return ms_fail("%s: x is %s; bool has no addition", s->op->name, ms_shape_str(x)), -1;
  return 0;
}

/* ---- index_select, index_add: whole slices ----------------------------------------------------------------------- */

static int index_select_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0], *index = s->in[1];
  int d = ms_dim(s->attr[0].i, x->rank, "index_select");
  if (d < 0 || count_fits(s, index) < 0) return -1;
  s->attr[0].i = d;
  s->bound[1] = x->shape[d];
  ms_ints v = ms_sizes(x);
  v.at[d] = index->shape[0];
  return ms_out(s, 0, x->dtype, v.n, v.at);
}
static int index_select_vjp(ms_vjp *c) {
  if (c->need[0]) c->dx[0] = ms_index_add(ms_zeros_like(c->x[0]), c->attr[0].i, c->x[1], c->g[0]);
  return ms_error() ? -1 : 0;
}
MS_RULE(index_select, .shape = index_select_shape, .vjp = index_select_vjp, .keep_in = 2);

static int index_add_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0], *index = s->in[1], *src = s->in[2];
  int d = ms_dim(s->attr[0].i, x->rank, "index_add");
  if (d < 0 || count_fits(s, index) < 0 || check_addable(s, x, src) < 0) return -1;
  s->attr[0].i = d;
  s->bound[1] = x->shape[d];
  ms_ints v = ms_sizes(x);
  v.at[d] = index->shape[0];
  bool same = src->rank == v.n;
  for (int i = 0; same && i < v.n; i++) same = src->shape[i] == v.at[i];
  if (!same)
    return ms_fail("index_add: src is %s, expected %s for x %s and %lld positions along dimension %d", ms_shape_str(src),
                   ms_sizes_str(v.n, v.at), ms_shape_str(x), (long long)index->shape[0], d + 1),
           -1;
  return ms_out_like(s, 0, x);
}
static int index_add_vjp(ms_vjp *c) {
  c->dx[0] = c->g[0];
  if (c->need[2]) c->dx[2] = ms_index_select(c->g[0], c->attr[0].i, c->x[1]);
  return ms_error() ? -1 : 0;
}
MS_RULE(index_add, .shape = index_add_shape, .vjp = index_add_vjp, .keep_in = 2);

/* ---- gather, scatter_add: element by element --------------------------------------------------------------------- */

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
  int d = ms_dim(s->attr[0].i, x->rank, "scatter_add");
  if (d < 0 || check_addable(s, x, src) < 0 || index_within(s, index, x, "x", d) < 0 || index_within(s, index, src, "src", -1) < 0)
    return -1;
  s->attr[0].i = d;
  s->bound[1] = x->shape[d];
  return ms_out_like(s, 0, x);
}
/* Elements of src outside index's shape are not read: their gradient is zero. */
static int scatter_add_vjp(ms_vjp *c) {
  c->dx[0] = c->g[0];
  if (!c->need[2]) return 0;
  ms_tensor *d = ms_gather(c->g[0], c->attr[0].i, c->x[1]);
  for (int i = 0; d && i < d->rank; i++)
    if (d->shape[i] < c->x[2]->shape[i]) d = ms_unslice(d, i, 0, 1, c->x[2]->shape[i]);
  return (c->dx[2] = d) ? 0 : -1;
}
MS_RULE(scatter_add, .shape = scatter_add_shape, .vjp = scatter_add_vjp, .keep_in = 2);

/* ---- one_hot, masked_fill ---------------------------------------------------------------------------------------- */

static int one_hot_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  if (x->rank == MS_MAX_RANK) return ms_fail("one_hot: index %s has no room for one more dimension", ms_shape_str(x)), -1;
  s->bound[0] = s->attr[0].i;
  ms_ints v = ms_sizes(x);
  v.at[v.n++] = s->attr[0].i;
  return ms_out(s, 0, (int)s->attr[1].i, v.n, v.at);
}
MS_RULE(one_hot, .shape = one_hot_shape);

/* The result has x's dtype, which must be able to hold the value (a floating one: rounded). */
static int masked_fill_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *mask = c->in[1], *value = c->in[2];
  if (mask->is_number || mask->dtype != MS_BOOL) return ms_fail("masked_fill: mask is %s, expected bool", ms_shape_str(mask)), -1;
  const int dtype = x->is_number ? MS_F32 : x->dtype;
  if (value->is_number ? !ms_scalar_fits(value->number, dtype)
                       : !ms_dtype_is_float(dtype) && ms_promote(dtype, value->dtype) != dtype)
    return ms_fail("masked_fill: x is %s, which cannot hold %s", ms_shape_str(x),
                   value->is_number ? ms_scalar_str(value->number) : ms_shape_str(value)),
           -1;
  c->n_out = 1;
  return (c->out[0] = ms_cast(ms_where(mask, value, x), dtype)) ? 0 : -1;
}
MS_RULE(masked_fill, .ref = masked_fill_ref);

/* ---- as C functions ---------------------------------------------------------------------------------------------- */

ms_tensor *ms_index_select(ms_tensor *x, int64_t dim, ms_tensor *index) {
  return ms_apply(MS_OP_index_select, MS_IN(x, index), MS_ATTR(A_INT(dim)));
}
ms_tensor *ms_index_add(ms_tensor *x, int64_t dim, ms_tensor *index, ms_tensor *src) {
  return ms_apply(MS_OP_index_add, MS_IN(x, index, src), MS_ATTR(A_INT(dim)));
}
ms_tensor *ms_gather(ms_tensor *x, int64_t dim, ms_tensor *index) {
  return ms_apply(MS_OP_gather, MS_IN(x, index), MS_ATTR(A_INT(dim)));
}
ms_tensor *ms_scatter_add(ms_tensor *x, int64_t dim, ms_tensor *index, ms_tensor *src) {
  return ms_apply(MS_OP_scatter_add, MS_IN(x, index, src), MS_ATTR(A_INT(dim)));
}
