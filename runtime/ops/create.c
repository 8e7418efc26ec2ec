/* create.c -- tensors out of nothing. */
#include "core/core.h"
#include <math.h>

static int full_shape(ms_infer *s) { return ms_out(s, 0, (int)s->attr[2].i, s->attr[0].v.n, s->attr[0].v.at); }
MS_RULE(full, .shape = full_shape);

static int arange_shape(ms_infer *s) {
  double a = s->attr[0].s.value, b = s->attr[1].s.value, step = s->attr[2].s.value;
  if (step == 0 || !isfinite(a) || !isfinite(b) || !isfinite(step))
    return ms_fail("arange: %g, %g, %g: expected finite numbers and a step that is not 0", a, b, step), -1;
  double n = floor((b - a) / step * (1 + 1e-12)) + 1;
  if (n > 1e15) return ms_fail("arange: %g elements are too many", n), -1;
  int64_t count = n > 0 ? (int64_t)n : 0;
  return ms_out(s, 0, (int)s->attr[3].i, 1, &count);
}
MS_RULE(arange, .shape = arange_shape);

static int linspace_shape(ms_infer *s) { return ms_out(s, 0, (int)s->attr[3].i, 1, &s->attr[2].i); }
MS_RULE(linspace, .shape = linspace_shape);

static int eye_shape(ms_infer *s) { return ms_out(s, 0, (int)s->attr[1].i, 2, (int64_t[]){s->attr[0].i, s->attr[0].i}); }
MS_RULE(eye, .shape = eye_shape);

static int random_shape(ms_infer *s) {
  int dtype = (int)s->attr[s->op->n_attr - 1].i;
  if (!ms_dtype_is_float(dtype)) return ms_fail("%s: dtype %s, expected a floating one", s->op->name, ms_dtype_name(dtype)), -1;
  return ms_out(s, 0, dtype, s->attr[0].v.n, s->attr[0].v.at);
}
MS_RULE(rand, .shape = random_shape);
MS_RULE(randn, .shape = random_shape);

static int bernoulli_shape(ms_infer *s) {
  double p = s->attr[1].s.value;
  if (!(p >= 0 && p <= 1)) return ms_fail("bernoulli: p = %g, expected 0..1", p), -1;
  return ms_out(s, 0, (int)s->attr[2].i, s->attr[0].v.n, s->attr[0].v.at);
}
MS_RULE(bernoulli, .shape = bernoulli_shape);

static int randint_shape(ms_infer *s) {
  int64_t low = s->attr[0].i, high = s->attr[1].i;
  if (high < low) return ms_fail("randint: low %lld, high %lld: expected low <= high", (long long)low, (long long)high), -1;
  return ms_out(s, 0, (int)s->attr[3].i, s->attr[2].v.n, s->attr[2].v.at);
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
