/* sort.c -- order along a dimension: values and the positions they came from (i64, from MS_INDEX_BASE). Both rows are selections,
 * so the derivative adds each gradient back at its position. */
#include "reduce.h"
#include <math.h>

static int values_and_positions(ms_infer *s, ms_ints v) {
  return ms_out(s, 0, s->in[0]->dtype, v.n, v.at) < 0 ? -1 : ms_out(s, 1, MS_I64, v.n, v.at);
}

static int sort_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int d = ms_dim(s->attr[0].i, x->rank, "sort");
  if (d < 0) return -1;
  s->attr[0].i = d;
  return values_and_positions(s, ms_sizes(x));
}
static int sort_vjp(ms_vjp *c) {
  return (c->dx[0] = ms_scatter_add(ms_zeros_like(c->x[0]), c->attr[0].i, c->r[1], c->g[0])) ? 0 : -1;
}
MS_RULE(sort, .shape = sort_shape, .vjp = sort_vjp, .keep_out = 2);

static int topk_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int64_t k = s->attr[0].i;
  int d = ms_dim(s->attr[1].i, x->rank, "topk");
  if (d < 0) return -1;
  if (k < 0 || k > x->shape[d])
    return ms_fail("topk: k is %lld, expected 0..%lld, the size of dimension %d of %s", (long long)k, (long long)x->shape[d], d + 1,
                   ms_shape_str(x)),
           -1;
  s->attr[1].i = d;
  ms_ints v = ms_sizes(x);
  v.at[d] = k;
  return values_and_positions(s, v);
}
static int topk_vjp(ms_vjp *c) {
  return (c->dx[0] = ms_scatter_add(ms_zeros_like(c->x[0]), c->attr[1].i, c->r[1], c->g[0])) ? 0 : -1;
}
MS_RULE(topk, .shape = topk_shape, .vjp = topk_vjp, .keep_out = 2);

/* ---- composed of these two ---------------------------------------------------------------------------------------
 * Where a few places of the order are wanted, their positions come from an order that no derivative goes through, and the values
 * are gathered from x. */

static int argsort_ref(ms_ref *c) {
  ms_tensor *out[MS_MAX_OUT];
  if (ms_apply_n(MS_OP_sort, NULL, MS_IN(ms_detach(c->in[0])), c->attr, out) < 0) return -1;
  return ms_give(c, out[1]);
}
MS_RULE(argsort, .ref = argsort_ref);

static int msort_ref(ms_ref *c) {
  return ms_give(c, ms_apply(MS_OP_sort, MS_IN(c->in[0]), MS_ATTR(A_INT(0), A_INT(false), A_INT(true))));
}
MS_RULE(msort, .ref = msort_ref);

/* x in rising order along d: the positions, and (NULL: not wanted) the values. */
static ms_tensor *order_of(ms_tensor *x, int d, ms_tensor **values) {
  ms_tensor *out[MS_MAX_OUT];
  if (!x || ms_apply_n(MS_OP_sort, NULL, MS_IN(ms_detach(x)), MS_ATTR(A_INT(d), A_INT(false), A_INT(true)), out) < 0) return NULL;
  if (values) *values = out[0];
  return out[1];
}

/* The results of a row that chooses one element along d: value and position, or, of all elements, the value. */
static int chosen(ms_ref *c, ms_tensor *x, int d, ms_tensor *position, int64_t dim, bool keep) {
  ms_tensor *value = ms_gather(x, d, position);
  if (dim != MS_NO_DIM) return ms_give_two(c, ms_unless_kept(value, d, keep), ms_unless_kept(position, d, keep));
  ms_ints v = {.n = keep ? c->in[0]->rank : 0, .at = {1, 1, 1, 1, 1, 1, 1, 1}};
  return ms_give(c, ms_reshape(value, v));
}

static int kthvalue_ref(ms_ref *c) {
  const int64_t k = c->attr[0].i;
  ms_tensor *out[MS_MAX_OUT];
  int d;
  ms_tensor *x = ms_along(c->in[0], c->attr[1].i, &d, "kthvalue");
  if (!x) return -1;
  if (k < 1 || k > x->shape[d])
    return ms_fail("kthvalue: k is %lld, expected 1..%lld, the size of dimension %d of %s", (long long)k, (long long)x->shape[d],
                   d + 1, ms_shape_str(x)),
           -1;
  if (ms_apply_n(MS_OP_topk, NULL, MS_IN(ms_detach(x)), MS_ATTR(A_INT(k), A_INT(d), A_INT(false), A_INT(true)), out) < 0) return -1;
  return chosen(c, x, d, ms_slice(out[1], d, k - 1, 1, 1), c->attr[1].i, c->attr[2].i);
}
MS_RULE(kthvalue, .ref = kthvalue_ref);

/* How many elements along d, which is kept, are no NaN (i64). values: in rising order. */
static ms_tensor *count_numbers(ms_tensor *values, int d) { return ms_sum(ms_logical_not(ms_isnan(values)), MS_INTS(d), true); }

/* The lower one of the two in the middle. One NaN makes the median NaN, or it does not count. */
static int median(ms_ref *c, bool nan_counts) {
  ms_tensor *x = c->in[0], *values;
  int d;
  const int64_t dim = c->attr[0].i;
  if (dim == MS_NO_DIM && !ms_numel(x) && ms_dtype_is_float(x->dtype))
    return ms_give(c, ms_add(ms_sum(x, MS_ALL, c->attr[1].i), ms_number(NAN)));
  if (!(x = ms_along(x, dim, &d, c->op->name))) return -1;
  ms_tensor *position = order_of(x, d, &values), *at;
  if (!position) return -1;
  const int64_t n = x->shape[d];
  if (ms_dtype_is_float(x->dtype)) {
    ms_tensor *one = ms_whole_number(1), *m = count_numbers(values, d);
    if (nan_counts) at = ms_where(ms_lt(m, ms_whole_number(n)), ms_add(m, one), ms_whole_number((n - 1) / 2 + 1));
    else at = ms_add(ms_floor_div(ms_maximum(ms_sub(m, one), ms_whole_number(0)), ms_whole_number(2)), one);
    position = ms_gather(position, d, at);
  } else position = ms_slice(position, d, (n - 1) / 2, 1, 1);
  return chosen(c, x, d, position, dim, c->attr[1].i);
}
static int median_ref(ms_ref *c) { return median(c, true); }
static int nanmedian_ref(ms_ref *c) { return median(c, false); }
MS_RULE(median, .ref = median_ref);
MS_RULE(nanmedian, .ref = nanmedian_ref);

/* In rising order equal elements are neighbours. cummax of where they begin says how far each one is behind the first of its kind;
 * the first that is farthest is the last of the most frequent. */
static int mode_ref(ms_ref *c) {
  ms_tensor *values, *x = c->in[0];
  int d;
  if (!(x = ms_along(x, c->attr[0].i, &d, "mode"))) return -1;
  ms_tensor *position = order_of(x, d, &values);
  if (!position) return -1;
  const int64_t n = x->shape[d];
  ms_ints line = {.n = x->rank - d, .at = {n, 1, 1, 1, 1, 1, 1, 1}};
  ms_tensor *place = ms_reshape(ms_counting(0, n, 1, x->device), line), *zero = ms_whole_number(0);
  ms_tensor *differs = ms_ne(ms_slice(values, d, n > 1, n - 1, 1), ms_slice(values, d, 0, n - 1, 1));
  ms_tensor *begins = ms_where(differs, ms_slice(place, 0, n > 1, n - 1, 1), zero), *first = ms_slice(position, d, 0, 1, 1);
  begins = ms_cat(2, (ms_tensor *[]){ms_mul(first, zero), ms_cast(begins, MS_I64)}, d);
  ms_tensor *behind = ms_sub(place, ms_apply(MS_OP_cummax, MS_IN(begins), MS_ATTR(A_INT(d))));
  ms_tensor *best = ms_apply(MS_OP_argmax, MS_IN(behind), MS_ATTR(A_INT(d), A_INT(true)));
  return chosen(c, x, d, ms_gather(position, d, best), c->attr[0].i, c->attr[1].i);
}
MS_RULE(mode, .ref = mode_ref);

/* ---- quantiles --------------------------------------------------------------------------------------------------- */

enum { LINEAR, LOWER, HIGHER, MIDPOINT, NEAREST };

/* Between which places of the order the quantile lies (from 0, whole numbers in f64), and how far from the lower to the higher. */
typedef struct place {
  ms_tensor *below, *above, *weight;
} place;

static place place_of(ms_tensor *rank, int interpolation) {
  place p = {ms_floor(rank), ms_ceil(rank), NULL};
  switch (interpolation) {
  case LOWER: p.above = p.below; break;
  case HIGHER: p.below = p.above; break;
  case NEAREST: p.below = p.above = ms_round(rank); break;
  case MIDPOINT: p.weight = ms_number(0.5); break;
  default: p.weight = ms_sub(rank, p.below);
  }
  return p;
}

/* The elements of x at these places of the order along d. */
static ms_tensor *at_places(ms_tensor *x, int d, ms_tensor *position, ms_tensor *at) {
  if (!at || !position) return NULL;
  ms_ints size = ms_sizes(position);
  size.at[d] = at->shape[d];
  return ms_gather(x, d, ms_gather(position, d, ms_expand(ms_cast(ms_add(ms_detach(at), ms_number(1)), MS_I64), size)));
}

static ms_tensor *quantile_along(ms_tensor *x, int d, ms_tensor *q, int interpolation, bool nan_counts) {
  ms_tensor *values, *position = order_of(x, d, &values);
  if (!position) return NULL;
  ms_tensor *last = ms_number((double)x->shape[d] - 1), *m = ms_cast(count_numbers(values, d), MS_F64), *rank;
  if (nan_counts) rank = ms_where(ms_le(m, last), last, ms_mul(q, last)); /* NaN is at the end of the order */
  else rank = ms_mul(q, ms_maximum(ms_sub(m, ms_number(1)), ms_number(0)));
  const place p = place_of(rank, interpolation);
  ms_tensor *below = at_places(x, d, position, p.below);
  if (!p.weight) return below;
  ms_tensor *between = ms_lerp(below, at_places(x, d, position, p.above), ms_cast(p.weight, x->dtype));
  return ms_where(ms_eq(p.below, p.above), below, between); /* an infinite one stays */
}

/* The results of several q come first: q x the rest. */
static int quantile(ms_ref *c, bool nan_counts) {
  ms_tensor *q = c->in[1], *x;
  const int64_t dim = c->attr[0].i;
  const bool keep = c->attr[1].i;
  ms_plain plain;
  int d;
  if (!(x = ms_along(ms_wide(c->in[0]), dim, &d, c->op->name))) return -1;
  if (q->is_number && ms_scalar_constant(q->number, &plain) && !(plain.value >= 0 && plain.value <= 1))
    return ms_fail("%s: q is %g, expected 0 to 1", c->op->name, plain.value), -1;
  if (!q->is_number && q->rank > 1)
    return ms_fail("%s: q is %s, expected a number or a list of them", c->op->name, ms_shape_str(q)), -1;
  const bool several = !q->is_number && q->rank;
  ms_ints line = {.n = several ? x->rank - d : 0, .at = {several ? q->shape[0] : 1, 1, 1, 1, 1, 1, 1, 1}};
  if (q->is_number) q = ms_mul(q, ms_full((ms_ints){0}, 1, MS_F64, x->device));
  q = ms_reshape(ms_cast(q, MS_F64), line);
  /* beyond 0 to 1: NaN, whose place is an error however it is rounded */
  q = ms_where(ms_logical_and(ms_ge(q, ms_number(0)), ms_le(q, ms_number(1))), q, ms_number(NAN));
  ms_tensor *r = ms_cast(quantile_along(x, d, q, (int)c->attr[2].i, nan_counts), c->in[0]->dtype);
  if (!r && several) ms_error_prefix("%s of q, expected 0 to 1", c->op->name);
  if (!r) return -1;
  if (several) r = ms_transpose(ms_unsqueeze(r, 0), 0, d + 1); /* now d + 1 has one element */
  ms_ints one = {.n = keep ? c->in[0]->rank : 0, .at = {1, 1, 1, 1, 1, 1, 1, 1}};
  if (dim != MS_NO_DIM) return ms_give(c, ms_unless_kept(r, d + several, keep));
  if (several) {
    for (int i = one.n; i > 0; i--) one.at[i] = one.at[i - 1];
    one.at[0] = line.at[0], one.n++;
  }
  return ms_give(c, ms_reshape(r, one));
}
static int quantile_ref(ms_ref *c) { return quantile(c, true); }
static int nanquantile_ref(ms_ref *c) { return quantile(c, false); }
MS_RULE(quantile, .ref = quantile_ref);
MS_RULE(nanquantile, .ref = nanquantile_ref);
