/* index.c -- picking and adding slices by position. index_select and index_add are adjoint: each derivative is the other one, so
 * they close. Index tensors hold MS_INDEX_BASE .. size (the gate checks) and have no gradient. */
#include "place.h"

static int count_fits(const ms_infer *s, const ms_tensor *index) {
  if (index->rank != 1) return ms_fail("%s: index is %s, expected one dimension", s->op->name, ms_shape_str(index)), -1;
  return 0;
}

/* What adds: the same dtype on both sides, and one with an addition. */
int ms_check_addable(const ms_infer *s, const ms_tensor *x, const ms_tensor *src) {
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
  if (d < 0 || count_fits(s, index) < 0 || ms_check_addable(s, x, src) < 0) return -1;
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

/* ---- one_hot, masked_fill ---------------------------------------------------------------------------------------- */

static int one_hot_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  if (x->rank == MS_MAX_RANK) return ms_fail("one_hot: index %s has no room for one more dimension", ms_shape_str(x)), -1;
  if (s->attr[0].i == -1) { /* as many as the labels need */
    if (!ms_numel(x)) return ms_fail("one_hot: index is %s; without labels, classes must be given", ms_shape_str(x)), -1;
    s->attr[0].i = (int64_t)ms_item(ms_amax(ms_detach(s->in[0]), MS_ALL, false));
    if (ms_error()) return -1;
  }
  if (s->attr[0].i < 0) return ms_fail("one_hot: classes is %lld, expected 0 or more, or -1", (long long)s->attr[0].i), -1;
  s->bound[0] = s->attr[0].i;
  ms_ints v = ms_sizes(x);
  v.at[v.n++] = s->attr[0].i;
  return ms_out(s, 0, (int)s->attr[1].i, v.n, v.at);
}
MS_RULE(one_hot, .shape = one_hot_shape);

/* The result has x's dtype, which must be able to hold the value (a floating one: rounded). */
static int check_masked(const ms_op *op, const ms_tensor *x, const ms_tensor *mask, const ms_tensor *value) {
  const int dtype = x->is_number ? MS_F32 : x->dtype;
  if (mask->is_number || mask->dtype != MS_BOOL) return ms_fail("%s: mask is %s, expected bool", op->name, ms_shape_str(mask)), -1;
  if (value->is_number ? ms_scalar_fits(value->number, dtype)
                       : ms_dtype_is_float(dtype) || ms_promote(dtype, value->dtype) == dtype)
    return 0;
  return ms_fail("%s: x is %s, which cannot hold %s", op->name, ms_shape_str(x),
                 value->is_number ? ms_scalar_str(value->number) : ms_shape_str(value)),
         -1;
}
static int masked_fill_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *mask = c->in[1], *value = c->in[2];
  if (check_masked(c->op, x, mask, value) < 0) return -1;
  c->n_out = 1;
  return (c->out[0] = ms_cast(ms_where(mask, value, x), x->is_number ? MS_F32 : x->dtype)) ? 0 : -1;
}
MS_RULE(masked_fill, .ref = masked_fill_ref);

/* In place: mask and value must broadcast to x. */
static int masked_fill__shape(ms_infer *s) {
  ms_tensor *x = s->in[0];
  int64_t shape[MS_MAX_RANK];
  int rank;
  if (check_masked(s->op, x, s->in[1], s->in[2]) < 0) return -1;
  for (int k = 1; k < 3; k++) {
    if (s->in[k]->is_number) continue;
    if (ms_broadcast("masked_fill_", 2, (ms_tensor *[]){x, s->in[k]}, &rank, shape) < 0) return -1;
    bool same = rank == x->rank;
    for (int i = 0; same && i < rank; i++) same = shape[i] == x->shape[i];
    if (!same)
      return ms_fail("masked_fill_: %s is %s, which does not fit into %s", k == 1 ? "mask" : "value", ms_shape_str(s->in[k]),
                     ms_shape_str(x)),
             -1;
  }
  return 0;
}
static int masked_fill__ref(ms_ref *c) {
  return ms_copy_(c->in[0], ms_cast(ms_where(c->in[1], c->in[2], c->in[0]), c->in[0]->dtype)) ? 0 : -1;
}
MS_RULE(masked_fill_, .shape = masked_fill__shape, .ref = masked_fill__ref, .live = true);

/* ---- as C functions ---------------------------------------------------------------------------------------------- */

ms_tensor *ms_index_select(ms_tensor *x, int64_t dim, ms_tensor *index) {
  return ms_apply(MS_OP_index_select, MS_IN(x, index), MS_ATTR(A_INT(dim)));
}
ms_tensor *ms_index_add(ms_tensor *x, int64_t dim, ms_tensor *index, ms_tensor *src) {
  return ms_apply(MS_OP_index_add, MS_IN(x, index, src), MS_ATTR(A_INT(dim)));
}
