/* search.c -- where values belong in what is sorted: searchsorted, bucketize, isin. Positions count from 1: that of the first
 * element that is not less (right: that is greater), one past the end where there is none. */
#include "place.h"

static int search_shape(ms_infer *s) {
  const ms_tensor *sorted = s->in[0], *values = s->in[1];
  bool fits = sorted->rank == 1 || (sorted->rank && sorted->rank == values->rank);
  for (int i = 0; fits && sorted->rank > 1 && i < sorted->rank - 1; i++) fits = sorted->shape[i] == values->shape[i];
  if (!fits)
    return ms_fail("searchsorted: sorted is %s, values %s; expected sorted to have one dimension, or all sizes but the last one as "
                   "values has them",
                   ms_shape_str(sorted), ms_shape_str(values)),
           -1;
  if (sorted->dtype != values->dtype)
    return ms_fail("search: sorted is %s, values %s", ms_shape_str(sorted), ms_shape_str(values)), -1;
  return ms_out(s, 0, MS_I64, values->rank, values->shape);
}
MS_RULE(search, .shape = search_shape);

/* a and b (numbers become scalars) in the dtype that both meet in. */
static int one_dtype(ms_tensor **a, ms_tensor **b) {
  ms_tensor **x[] = {a, b};
  for (int k = 0; k < 2; k++) {
    ms_tensor *t = *x[k], *other = *x[1 - k];
    if (!t->is_number) continue;
    const int like = other->is_number ? MS_F64 : other->dtype, dtype = ms_scalar_fits(t->number, like) ? like
                                                                       : ms_dtype_is_float(like)       ? like
                                                                       : t->is_integer_number          ? MS_I64
                                                                                                       : MS_F64;
    ms_tensor *out[MS_MAX_OUT];
    const ms_attr attr[] = {A_INTS((ms_ints){.n = 0}), {.s = t->number}, A_INT(dtype)};
    if (ms_apply_n(MS_OP_full, other->device, 0, NULL, attr, out) < 0) return -1;
    *x[k] = out[0];
  }
  const int dtype = ms_promote((*a)->dtype, (*b)->dtype);
  *a = ms_cast(*a, dtype), *b = ms_cast(*b, dtype);
  return *a && *b ? 0 : -1;
}

static ms_tensor *search(ms_tensor *sorted, ms_tensor *values, bool right) {
  if (sorted->is_number) return ms_fail("searchsorted: sorted is a number, expected a tensor");
  sorted = ms_detach(sorted), values = ms_detach(values);
  if (one_dtype(&sorted, &values) < 0) return NULL;
  return ms_apply(MS_OP_search, MS_IN(sorted, values), MS_ATTR(A_INT(right)));
}

static int searchsorted_ref(ms_ref *c) {
  c->n_out = 1;
  return (c->out[0] = search(c->in[0], c->in[1], c->attr[0].i)) ? 0 : -1;
}
MS_RULE(searchsorted, .ref = searchsorted_ref);

static int bucketize_ref(ms_ref *c) {
  if (c->in[1]->rank != 1) return ms_fail("bucketize: boundaries is %s, expected one dimension", ms_shape_str(c->in[1])), -1;
  c->n_out = 1;
  return (c->out[0] = search(c->in[1], c->in[0], c->attr[0].i)) ? 0 : -1;
}
MS_RULE(bucketize, .ref = bucketize_ref);

static int isin_ref(ms_ref *c) {
  ms_tensor *x = ms_detach(c->in[0]), *test = ms_detach(c->in[1]), *out[MS_MAX_OUT];
  if (one_dtype(&x, &test) < 0) return -1;
  if (x->dtype == MS_BOOL) x = ms_cast(x, MS_U8), test = ms_cast(test, MS_U8);
  test = ms_reshape(test, MS_INTS(-1));
  c->n_out = 1;
  if (!test || !x) return -1;
  const int64_t n = ms_numel(test);
  if (!n) return (c->out[0] = ms_full(ms_sizes(x), c->attr[1].i, MS_BOOL, x->device)) ? 0 : -1;
  if (ms_apply_n(MS_OP_sort, NULL, MS_IN(test), MS_ATTR(A_INT(0), A_INT(0)), out) < 0) return -1;
  ms_tensor *at = ms_minimum(ms_apply(MS_OP_search, MS_IN(out[0], x), MS_ATTR(A_INT(0))), ms_whole_number(n));
  ms_tensor *nearest = ms_pick_at(out[0], 0, 1, at);
  return (c->out[0] = c->attr[1].i ? ms_ne(nearest, x) : ms_eq(nearest, x)) ? 0 : -1;
}
MS_RULE(isin, .ref = isin_ref);
