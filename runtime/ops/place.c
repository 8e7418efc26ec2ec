/* place.c -- what x[index], x[index] = y and the rows that read and write whole slices by position come to.
 *
 *   positions   several index tensors, for some dimensions of x each, as one: positions that count these dimensions row by row
 *   pick        the slices of x at such positions
 *   place       x with src written (or added) there: the adjoint of pick
 *
 * Each derivative is one of the others, so they close. Of a place that is named more than once the last src counts, so only it has
 * a gradient. */
#include "place.h"

/* ---- positions -------------------------------------------------------------------------------------------------- */

static int positions_shape(ms_infer *s) {
  const ms_ints *size = &s->attr[0].v;
  ms_tensor *x[MS_MAX_RANK];
  int64_t shape[MS_MAX_RANK];
  int rank, n = 0;
  while (n < s->n_in && n < MS_MAX_RANK && s->in[n]) n++;
  if (size->n != n || s->attr[1].v.n != n)
    return ms_fail("positions: %d index tensors, %d sizes, %d dimensions", n, size->n, s->attr[1].v.n), -1;
  for (int k = 0; k < n; k++) {
    const int t = s->in[k]->dtype;
    if (t != MS_I64 && t != MS_I32 && t != MS_U8)
      return ms_fail("index: the index tensor for dimension %lld is %s, expected integers (dtype = \"i64\") or bool",
                     (long long)s->attr[1].v.at[k] + 1, ms_shape_str(s->in[k])),
             -1;
    x[k] = s->in[k];
  }
  if (ms_broadcast("index: expected index tensors that broadcast", n, x, &rank, shape) < 0) return -1;
  return ms_out(s, 0, MS_I64, rank, shape);
}
MS_RULE(positions, .shape = positions_shape);

/* ---- pick, place ------------------------------------------------------------------------------------------------ */

/* Check the dimensions d .. d + n - 1 of x that an index stands for, resolve d, set the bound of the index, and give the shape of
 * the slices that it names. */
static int slices_shape(ms_infer *s, int n, ms_ints *v) {
  const ms_tensor *x = s->in[0], *index = s->in[1];
  const int d = n == 1 ? ms_dim(s->attr[0].i, x->rank, s->op->name) : (int)s->attr[0].i;
  if (d < 0 && n == 1) return -1;
  if (d < 0 || n < 0 || d + n > x->rank || x->rank - n + index->rank > MS_MAX_RANK)
    return ms_fail("%s: %d dimensions from the %d. on, of x %s, by an index %s", s->op->name, n, d + 1, ms_shape_str(x),
                   ms_shape_str(index)),
           -1;
  s->attr[0].i = d;
  s->bound[1] = 1;
  *v = (ms_ints){.n = 0};
  for (int i = 0; i < d; i++) v->at[v->n++] = x->shape[i];
  for (int i = 0; i < index->rank; i++) v->at[v->n++] = index->shape[i];
  for (int i = d; i < d + n; i++) s->bound[1] *= x->shape[i];
  for (int i = d + n; i < x->rank; i++) v->at[v->n++] = x->shape[i];
  return 0;
}

static int pick_shape(ms_infer *s) {
  ms_ints v;
  if (slices_shape(s, (int)s->attr[1].i, &v) < 0) return -1;
  return ms_out(s, 0, s->in[0]->dtype, v.n, v.at);
}
static int pick_vjp(ms_vjp *c) {
  return ms_give_dx(c, ms_place_at(ms_zeros_like(c->x[0]), c->attr[0].i, (int)c->attr[1].i, c->x[1], c->g[0], true));
}
MS_RULE(pick, .shape = pick_shape, .vjp = pick_vjp, .keep_in = 2);

/* src must have the dtype and the shape of the slices. */
static int src_fits(const ms_infer *s, const ms_ints *v) {
  const ms_tensor *x = s->in[0], *src = s->in[2];
  bool same = src->rank == v->n;
  for (int i = 0; same && i < v->n; i++) same = src->shape[i] == v->at[i];
  if (!same)
    return ms_fail("%s: src is %s, expected %s for x %s and an index %s", s->op->name, ms_shape_str(src), ms_sizes_str(v->n, v->at),
                   ms_shape_str(x), ms_shape_str(s->in[1])),
           -1;
  if (src->dtype != x->dtype)
    return ms_fail("%s: x is %s, src %s; expected one dtype (convert one with :to())", s->op->name, ms_shape_str(x),
                   ms_shape_str(src)),
           -1;
  return 0;
}

static int result_like_x(ms_infer *s) { return s->op->mutates ? 0 : ms_out_like(s, 0, s->in[0]); }

static int place_shape(ms_infer *s) {
  ms_ints v;
  if (slices_shape(s, (int)s->attr[1].i, &v) < 0 || src_fits(s, &v) < 0) return -1;
  if (s->attr[2].i && s->in[0]->dtype == MS_BOOL)
    return ms_fail("%s: x is %s; bool has no addition", s->op->name, ms_shape_str(s->in[0])), -1;
  return result_like_x(s);
}

/* Of the elements of an index, which ones come last for their position, as a mask that broadcasts over the slices of g, a gradient
 * in the shape of x. */
static ms_tensor *last_ones(ms_tensor *g, int64_t d, int dims, ms_tensor *index) {
  int64_t n = 1;
  for (int i = 0; i < dims; i++) n *= g->shape[d + i];
  ms_tensor *order = ms_number_off(index), *last = ms_full(MS_INTS(n), 0, MS_I64, g->device);
  last = ms_place_at(last, 0, 1, index, order, false);
  ms_tensor *is = ms_eq(ms_pick_at(last, 0, 1, index), order);
  return is ? ms_reshape(is, ms_padded_shape(is, 0, g->rank - (int)d - dims)) : NULL;
}

static int derivative(ms_vjp *c, int dims, bool adds) {
  const int64_t d = c->attr[0].i;
  ms_tensor *g = c->g[0], *index = c->x[1];
  if (adds) c->dx[0] = g;
  else if (c->need[0]) c->dx[0] = ms_place_number(g, d, dims, index, 0);
  if (c->need[2]) {
    ms_tensor *dx = ms_pick_at(g, d, dims, index);
    if (!adds) dx = ms_where(last_ones(g, d, dims, index), dx, ms_number(0));
    c->dx[2] = c->x[2]->rank ? dx : ms_sum_to(dx, c->x[2]);
  }
  return ms_error() ? -1 : 0;
}

static int place_vjp(ms_vjp *c) { return derivative(c, (int)c->attr[1].i, c->attr[2].i); }
MS_RULE(place, .shape = place_shape, .vjp = place_vjp, .keep_in = 2);
static int place__ref(ms_ref *c) { return ms_ref_in_place(c, MS_OP_place); }
MS_RULE(place_, .shape = place_shape, .ref = place__ref);

/* ---- index_copy, index_fill: along one dimension ---------------------------------------------------------------- */

static int one_dimension(const ms_infer *s) {
  if (s->in[1]->rank == 1) return 0;
  return ms_fail("%s: index is %s, expected one dimension", s->op->name, ms_shape_str(s->in[1])), -1;
}

static int index_copy_shape(ms_infer *s) {
  ms_ints v;
  if (one_dimension(s) < 0 || slices_shape(s, 1, &v) < 0 || src_fits(s, &v) < 0) return -1;
  return result_like_x(s);
}
static int along_one_vjp(ms_vjp *c) { return derivative(c, 1, false); }
MS_RULE(index_copy, .shape = index_copy_shape, .vjp = along_one_vjp, .keep_in = 2);
MS_RULE(index_copy_, .shape = index_copy_shape);

static int index_fill_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0], *value = s->in[2];
  ms_ints v;
  if (one_dimension(s) < 0 || slices_shape(s, 1, &v) < 0 || ms_check_value(s->op, x, value) < 0) return -1;
  return result_like_x(s);
}
MS_RULE(index_fill, .shape = index_fill_shape, .vjp = along_one_vjp, .keep_in = 2);
MS_RULE(index_fill_, .shape = index_fill_shape);

/* The same checks as of index_add, with the kernel of place. */
static int index_add__shape(ms_infer *s) {
  if (s->in[0]->dtype == MS_BOOL) return ms_fail("index_add_: x is %s; bool has no addition", ms_shape_str(s->in[0])), -1;
  return index_copy_shape(s);
}
static int index_add__ref(ms_ref *c) { return ms_ref_in_place(c, MS_OP_index_add); }
MS_RULE(index_add_, .shape = index_add__shape, .ref = index_add__ref);

/* ---- as C functions
 * -------------------------------------------------------------------------------------------------------------- */

int ms_check_value(const ms_op *op, const ms_tensor *x, const ms_tensor *value) {
  if (value->is_number && ms_scalar_fits(value->number, x->dtype)) return 0;
  if (value->is_number)
    return ms_fail("%s: x is %s, which cannot hold %s", op->name, ms_shape_str(x), ms_scalar_str(value->number)), -1;
  if (value->rank || value->dtype != x->dtype)
    return ms_fail("%s: value is %s, expected a number or a scalar of dtype %s", op->name, ms_shape_str(value),
                   ms_dtype_name(x->dtype)),
           -1;
  return 0;
}

int ms_ref_in_place(ms_ref *c, int functional) {
  return ms_copy_(c->in[0], ms_apply(functional, c->n_in, c->in, c->attr)) ? 0 : -1;
}

ms_ints ms_padded_shape(const ms_tensor *x, int before, int after) {
  ms_ints v = {.n = 0};
  while (v.n < before) v.at[v.n++] = 1;
  for (int i = 0; i < x->rank; i++) v.at[v.n++] = x->shape[i];
  for (int i = 0; i < after; i++) v.at[v.n++] = 1;
  return v;
}

ms_tensor *ms_number_off(const ms_tensor *like) {
  const int64_t n = like ? ms_numel(like) : 0;
  ms_tensor *all[MS_MAX_OUT];
  if (!like) return NULL;
  if (!n) return ms_full(ms_sizes(like), 0, MS_I64, like->device);
  const ms_attr attr[] = {A_NUM(1), A_NUM((double)n), A_NUM(1), A_INT(MS_I64)};
  return ms_apply_n(MS_OP_arange, like->device, 0, NULL, attr, all) < 0 ? NULL : ms_reshape(all[0], ms_sizes(like));
}

ms_tensor *ms_positions(int n, ms_tensor *const *index, const ms_ints *size, const ms_ints *dim) {
  ms_tensor *in[MS_MAX_RANK] = {0};
  for (int k = 0; k < n; k++)
    if (!(in[k] = index[k])) return NULL;
  return ms_apply(MS_OP_positions, MS_MAX_RANK, in, MS_ATTR(A_INTS(*size), A_INTS(*dim)));
}

ms_tensor *ms_pick_at(ms_tensor *x, int64_t d, int dims, ms_tensor *index) {
  return ms_apply(MS_OP_pick, MS_IN(x, index), MS_ATTR(A_INT(d), A_INT(dims)));
}
ms_tensor *ms_place_at(ms_tensor *x, int64_t d, int dims, ms_tensor *index, ms_tensor *src, bool adds) {
  return ms_apply(MS_OP_place, MS_IN(x, index, src), MS_ATTR(A_INT(d), A_INT(dims), A_INT(adds)));
}
ms_tensor *ms_place_at_(ms_tensor *x, int64_t d, int dims, ms_tensor *index, ms_tensor *src, bool adds) {
  return ms_apply(MS_OP_place_, MS_IN(x, index, src), MS_ATTR(A_INT(d), A_INT(dims), A_INT(adds)));
}
ms_tensor *ms_place_number(ms_tensor *x, int64_t d, int dims, ms_tensor *index, double value) {
  if (!x || !index) return NULL;
  ms_ints v = {.n = 0};
  for (int i = 0; i < d; i++) v.at[v.n++] = x->shape[i];
  for (int i = 0; i < index->rank; i++) v.at[v.n++] = index->shape[i];
  for (int i = (int)d + dims; i < x->rank; i++) v.at[v.n++] = x->shape[i];
  return ms_place_at(x, d, dims, index, ms_expand(ms_full((ms_ints){.n = 0}, value, x->dtype, x->device), v), false);
}
