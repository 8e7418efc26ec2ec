/* count.c -- how often values occur: bincount of whole numbers, histc of intervals; and the positions of triangles. */
#include "place.h"
#include <math.h>

/* The length of the result is the largest value: the host reads it. Values count from 1, and result[k] is how many k there are. */
static int bincount_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *weights = c->in[1];
  const int64_t least = c->attr[0].i;
  if (x->is_number || x->rank != 1 || ms_dtype_is_float(x->dtype) || x->dtype == MS_BOOL)
    return ms_fail("bincount: x is %s, expected one dimension of integers", ms_shape_str(x)), -1;
  if (weights && (weights->rank != 1 || weights->shape[0] != x->shape[0]))
    return ms_fail("bincount: weights is %s, expected a weight for each of x, %s", ms_shape_str(weights), ms_shape_str(x)), -1;
  int64_t size = least;
  if (ms_numel(x)) {
    const double low = ms_item(ms_apply(MS_OP_amin, MS_IN(x), NULL)), high = ms_item(ms_amax(x, MS_ALL, false));
    if (ms_error()) return -1;
    if (low < 1) return ms_fail("bincount: x holds %.0f, expected values from 1 on", low), -1;
    if (high > size) size = (int64_t)high;
  } else weights = NULL;
  ms_tensor *each =
      weights ? ms_cast(weights, weights->dtype == MS_F32 ? MS_F32 : MS_F64) : ms_full(ms_sizes(x), 1, MS_I64, x->device);
  c->n_out = 1;
  return (c->out[0] = each ? ms_index_add(ms_full(MS_INTS(size), 0, each->dtype, x->device), 0, x, each) : NULL) ? 0 : -1;
}
MS_RULE(bincount, .ref = bincount_ref);

/* low == high: from the smallest to the largest element; if these are not finite there are no such intervals, and all counts are
 * NaN. The last interval has both its ends; what lies outside, and NaN, is not counted. */
static int histc_ref(ms_ref *c) {
  ms_tensor *x = ms_reshape(ms_detach(c->in[0]), MS_INTS(-1));
  const int64_t bins = c->attr[0].i;
  double low = ms_decided(c->attr[1].s), high = ms_decided(c->attr[2].s);
  if (!x) return -1;
  if (bins < 1) return ms_fail("histc: %lld bins, expected 1 or more", (long long)bins), -1;
  if (!(low <= high) || !isfinite(low) || !isfinite(high))
    return ms_fail("histc: from %g to %g, expected finite numbers, the first one not larger", low, high), -1;
  ms_tensor *zero = ms_full(MS_INTS(bins), 0, x->dtype, x->device);
  c->n_out = 1;
  if (!ms_numel(x)) return (c->out[0] = zero) ? 0 : -1;
  ms_tensor *from = ms_number(low), *to = ms_number(high);
  if (low == high) {
    from = ms_apply(MS_OP_amin, MS_IN(x), NULL), to = ms_amax(x, MS_ALL, false);
    ms_tensor *same = ms_eq(from, to), *half = ms_number(1);
    from = ms_where(same, ms_sub(from, half), from), to = ms_where(same, ms_add(to, half), to);
    zero = ms_add(zero, ms_mul(ms_sub(to, from), ms_number(0)));
  }
  ms_tensor *at = ms_div(ms_mul(ms_sub(x, from), ms_whole_number(bins)), ms_sub(to, from));
  ms_tensor *inside = ms_logical_and(ms_ge(x, from), ms_le(x, to));
  at = ms_where(inside, at, ms_number(0));
  at = ms_minimum(ms_add(ms_cast(at, MS_I64), ms_whole_number(1)), ms_whole_number(bins));
  return (c->out[0] = ms_index_add(zero, 0, at, ms_cast(inside, x->dtype))) ? 0 : -1;
}
MS_RULE(histc, .ref = histc_ref);

/* Rows i and columns j, from 1, with j - i <= offset (lower), or >= (upper): row by row. */
static int triangle_shape(ms_infer *s, bool lower) {
  const int64_t rows = s->attr[0].i, cols = s->attr[1].i, offset = s->attr[2].i, dtype = s->attr[3].i;
  if (dtype != MS_I64 && dtype != MS_I32)
    return ms_fail("%s: dtype %s, expected i64 or i32", s->op->name, ms_dtype_name((int)dtype)), -1;
  if (rows > INT32_MAX || cols > INT32_MAX || offset > INT32_MAX || offset < INT32_MIN)
    return ms_fail("%s: %lld x %lld, offset %lld: too large", s->op->name, (long long)rows, (long long)cols, (long long)offset), -1;
  int64_t n = 0;
  for (int64_t i = 0; i < rows; i++) {
    int64_t upto = i + offset + lower; /* columns on the lower side */
    upto = upto < 0 ? 0 : upto > cols ? cols : upto;
    n += lower ? upto : cols - upto;
  }
  return ms_out(s, 0, (int)dtype, 2, (int64_t[]){2, n});
}
static int tril_indices_shape(ms_infer *s) { return triangle_shape(s, true); }
static int triu_indices_shape(ms_infer *s) { return triangle_shape(s, false); }
MS_RULE(tril_indices, .shape = tril_indices_shape);
MS_RULE(triu_indices, .shape = triu_indices_shape);
