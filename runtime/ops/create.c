/* create.c -- operations that make tensors: full, arange, linspace, eye and random ones. */
#include "core/core.h"
#include <math.h>

static int full_shape(ms_infer *s) { return ms_out(s, 0, (int)s->attr[2].i, s->attr[0].v.n, s->attr[0].v.at); }
MS_RULE(full, .shape = full_shape);

/* Whole numbers are counted as such, to the ends of i64: in doubles the count and the values would be wrong beyond 2^53. */
static int arange_shape(ms_infer *s) {
  const ms_plain start = ms_decides(&s->attr[0].s), stop = ms_decides(&s->attr[1].s), step = ms_decides(&s->attr[2].s);
  const double a = start.value, b = stop.value, by = step.value;
  const int dtype = (int)s->attr[3].i;
  int64_t i, j, k, count, low, high;
  if (by == 0 || !isfinite(a) || !isfinite(b) || !isfinite(by))
    return ms_fail("arange: %g, %g, %g: expected finite numbers and a step that is not 0", a, b, by), -1;
  const bool whole = ms_plain_whole(start, &i) && ms_plain_whole(step, &k);
  if (whole && ms_plain_whole(stop, &j)) {
    const uint64_t far = k > 0 ? (uint64_t)j - (uint64_t)i : (uint64_t)i - (uint64_t)j,
                   pace = k > 0 ? (uint64_t)k : 0 - (uint64_t)k;
    const bool none = k > 0 ? j < i : j > i;
    if (!none && far / pace >= (uint64_t)1e15) return ms_fail("arange: %g elements are too many", (double)far / (double)pace), -1;
    count = none ? 0 : (int64_t)(far / pace) + 1;
  } else {
    const double n = floor((b - a) / by * (1 + 1e-12)) + 1;
    if (n > 1e15) return ms_fail("arange: %g elements are too many", n), -1;
    count = n > 0 ? (int64_t)n : 0;
  }
  if (ms_dtype_range(dtype, &low, &high)) {
    if (!whole) return ms_fail("arange: start %g, step %g: expected whole numbers for %s", a, by, ms_dtype_name(dtype)), -1;
    const __int128 last = (__int128)i + (__int128)(count - 1) * k;
    if (count && (i < low || i > high || last < low || last > high))
      return ms_fail("arange: %s to %s does not fit into %s (%lld..%lld)", ms_scalar_str(s->attr[0].s), ms_scalar_str(s->attr[1].s),
                     ms_dtype_name(dtype), (long long)low, (long long)high),
             -1;
  }
  return ms_out(s, 0, dtype, 1, &count);
}
MS_RULE(arange, .shape = arange_shape);

static int linspace_shape(ms_infer *s) {
  const int dtype = (int)s->attr[3].i;
  int64_t low, high;
  for (int k = 0; k < 2 && ms_dtype_range(dtype, &low, &high); k++) {
    const double v = ms_decides(&s->attr[k].s).value; /* the kernel does not look whether it fits */
    if (!(v >= (double)low && v < (double)high + 1))
      return ms_fail("linspace: %g does not fit into %s (%lld..%lld)", v, ms_dtype_name(dtype), (long long)low, (long long)high),
             -1;
  }
  return ms_out(s, 0, dtype, 1, &s->attr[2].i);
}
MS_RULE(linspace, .shape = linspace_shape);

static int eye_shape(ms_infer *s) {
  const int64_t n = s->attr[0].i, m = s->attr[1].i;
  return ms_out(s, 0, (int)s->attr[2].i, 2, (int64_t[]){n, m == -1 ? n : m});
}
MS_RULE(eye, .shape = eye_shape);

static int random_shape(ms_infer *s) {
  int dtype = (int)s->attr[s->op->n_attr - 1].i;
  if (!ms_dtype_is_float(dtype)) return ms_fail("%s: dtype %s, expected a floating one", s->op->name, ms_dtype_name(dtype)), -1;
  return ms_out(s, 0, dtype, s->attr[0].v.n, s->attr[0].v.at);
}
MS_RULE(rand, .shape = random_shape);
MS_RULE(randn, .shape = random_shape);

static int bernoulli_shape(ms_infer *s) {
  ms_plain p;
  ms_scalar_constant(s->attr[1].s, &p); /* the kernel looks again */
  if (!(p.value >= 0 && p.value <= 1)) return ms_fail("bernoulli: p = %g, expected 0..1", p.value), -1;
  return ms_out(s, 0, (int)s->attr[2].i, s->attr[0].v.n, s->attr[0].v.at);
}
MS_RULE(bernoulli, .shape = bernoulli_shape);

static int randint_shape(ms_infer *s) {
  int64_t low = s->attr[0].i, high = s->attr[1].i;
  const int dtype = (int)s->attr[3].i;
  int64_t least, most;
  if (high < low) return ms_fail("randint: low %lld, high %lld: expected low <= high", (long long)low, (long long)high), -1;
  if (ms_dtype_range(dtype, &least, &most) && (low < least || high > most))
    return ms_fail("randint: %lld..%lld does not fit into %s (%lld..%lld)", (long long)low, (long long)high, ms_dtype_name(dtype),
                   (long long)least, (long long)most),
           -1;
  return ms_out(s, 0, dtype, s->attr[2].v.n, s->attr[2].v.at);
}
MS_RULE(randint, .shape = randint_shape);

static int randperm_shape(ms_infer *s) { return ms_out(s, 0, MS_I64, 1, &s->attr[0].i); }
MS_RULE(randperm, .shape = randperm_shape);

ms_tensor *ms_full(ms_ints shape, double value, int dtype, ms_device *device) {
  ms_tensor *out[MS_MAX_OUT];
  int n = ms_apply_n(MS_OP_full, device, 0, NULL, MS_ATTR(A_INTS(shape), A_NUM(value), A_INT(dtype)), out);
  return n < 0 ? NULL : out[0];
}

ms_tensor *ms_zeros_like(ms_tensor *x) { return x ? ms_full(ms_sizes(x), 0, x->dtype, x->device) : NULL; }
ms_tensor *ms_ones_like(ms_tensor *x) { return x ? ms_full(ms_sizes(x), 1, x->dtype, x->device) : NULL; }
