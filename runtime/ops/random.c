/* random.c -- random numbers whose distribution a tensor gives, and random numbers written into a tensor. (Those that make a tensor
 * of a given shape are in create.c.) */
#include "compose.h"
#include <math.h>

/* ---- by a tensor --------------------------------------------------------------------------------------------------------------
 */

static int bernoulli_of_shape(ms_infer *s) {
  if (!ms_dtype_is_float(s->in[0]->dtype))
    return ms_fail("bernoulli: p is %s, expected floating probabilities", ms_shape_str(s->in[0])), -1;
  return ms_out_like(s, 0, s->in[0]);
}
MS_RULE(bernoulli_of, .shape = bernoulli_of_shape);

static int item_uniform_shape(ms_infer *s) {
  const ms_tensor *keys = s->in[0];
  if (keys->rank != 1 || keys->dtype != MS_I64)
    return ms_fail("item_uniform: keys are %s, expected one i64 for each item", ms_shape_str(keys)), -1;
  if (s->attr[1].i < 0 || s->attr[1].i >= (int64_t)1 << 31)
    return ms_fail("item_uniform: stream %lld, expected 0..2^31 - 1", (long long)s->attr[1].i), -1;
  return ms_out(s, 0, MS_F32, 2, (int64_t[]){keys->shape[0], s->attr[0].i});
}
MS_RULE(item_uniform, .shape = item_uniform_shape);

static int multinomial_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  const int64_t draws = s->attr[0].i;
  if (x->rank != 1 && x->rank != 2)
    return ms_fail("multinomial: x is %s, expected weights or rows of weights", ms_shape_str(x)), -1;
  if (!x->shape[x->rank - 1]) return ms_fail("multinomial: x is %s, expected one weight or more", ms_shape_str(x)), -1;
  if (!s->attr[1].i && draws > x->shape[x->rank - 1])
    return ms_fail("multinomial: %lld draws of %lld without replacement", (long long)draws, (long long)x->shape[x->rank - 1]), -1;
  ms_ints v = ms_sizes(x);
  v.at[v.n - 1] = draws;
  return ms_out(s, 0, MS_I64, v.n, v.at);
}
MS_RULE(multinomial, .shape = multinomial_shape);

static ms_tensor *random_like(int id, ms_ints shape, ms_attr a, ms_attr b, int dtype, ms_device *device) {
  ms_tensor *out[MS_MAX_OUT];
  const ms_attr attr[] = {A_INTS(shape), a, b, A_INT(dtype == MS_F64 ? MS_F64 : MS_F32)};
  return ms_apply_n(id, device, 0, NULL, attr, out) < 0 ? NULL : out[0];
}

/* mean + std times normal numbers; one of both is a tensor. Where a tensor std is below 0 the result is NaN. */
static int normal_ref(ms_ref *c) {
  ms_tensor *x[2], *like = NULL;
  int rank, dtype = -1;
  ms_ints v;
  for (int i = 0; i < 2; i++) {
    x[i] = c->in[i]->is_number ? c->in[i] : ms_detach(c->in[i]);
    if (!x[i]) return -1;
    if (x[i]->is_number) continue;
    if (!ms_dtype_is_float(x[i]->dtype))
      return ms_fail("normal: %s is %s, expected a floating tensor", i ? "std" : "mean", ms_shape_str(x[i])), -1;
    dtype = dtype < 0 ? x[i]->dtype : ms_promote(dtype, x[i]->dtype);
    like = x[i];
  }
  if (!like) return ms_fail("normal: mean and std are numbers; ms.randn(shape, mean, std) takes those"), -1;
  ms_plain plain;
  if (x[1]->is_number && ms_scalar_constant(x[1]->number, &plain) && !(plain.value >= 0))
    return ms_fail("normal: std = %g, expected 0 or more", plain.value), -1;
  if (ms_broadcast("normal", 2, x, &rank, v.at) < 0) return -1;
  const bool live = x[1]->is_number && !ms_scalar_constant(x[1]->number, &plain); /* another one in each replay */
  if (live) x[1] = ms_mul(x[1], ms_full((ms_ints){.n = 0}, 1, dtype, like->device));
  if (live || !x[1]->is_number) x[1] = ms_where(ms_ge(x[1], ms_number(0)), x[1], ms_number(NAN));
  v.n = rank;
  ms_tensor *r = random_like(MS_OP_randn, v, A_NUM(0), A_NUM(1), dtype, like->device);
  return ms_give(c, ms_add(x[0], ms_mul(x[1], ms_cast(r, dtype))));
}
MS_RULE(normal, .ref = normal_ref, .live = true);

/* ---- into a tensor -------------------------------------------------------------------------------------------------------------
 */

static int fill(ms_ref *c, ms_tensor *values) {
  if (!ms_copy_(c->in[0], values)) return ms_give(c, NULL);
  return c->n_out = 0;
}

static int expect_floats(const ms_ref *c) {
  if (ms_dtype_is_float(c->in[0]->dtype)) return 0;
  return ms_fail("%s: x is %s, expected a floating tensor", c->op->name, ms_shape_str(c->in[0])), -1;
}

static int uniform__ref(ms_ref *c) {
  const ms_tensor *x = c->in[0];
  if (expect_floats(c) < 0) return -1;
  return fill(c, random_like(MS_OP_rand, ms_sizes(x), c->attr[0], c->attr[1], x->dtype, x->device));
}
MS_RULE(uniform_, .ref = uniform__ref, .live = true);

static int normal__ref(ms_ref *c) {
  const ms_tensor *x = c->in[0];
  if (expect_floats(c) < 0) return -1;
  return fill(c, random_like(MS_OP_randn, ms_sizes(x), c->attr[0], c->attr[1], x->dtype, x->device));
}
MS_RULE(normal_, .ref = normal__ref, .live = true);

static int bernoulli__ref(ms_ref *c) {
  const ms_tensor *x = c->in[0];
  ms_tensor *out[MS_MAX_OUT];
  const int dtype = x->dtype == MS_F16 || x->dtype == MS_BF16 ? MS_F32 : x->dtype;
  if (ms_apply_n(MS_OP_bernoulli, x->device, 0, NULL, MS_ATTR(A_INTS(ms_sizes(x)), c->attr[0], A_INT(dtype)), out) < 0)
    return ms_give(c, NULL);
  return fill(c, out[0]);
}
MS_RULE(bernoulli_, .ref = bernoulli__ref, .live = true);

static int random__ref(ms_ref *c) {
  const ms_tensor *x = c->in[0];
  ms_tensor *out[MS_MAX_OUT];
  const int dtype = ms_dtype_is_float(x->dtype) ? MS_I64 : x->dtype;
  const ms_attr attr[] = {c->attr[0], c->attr[1], A_INTS(ms_sizes(x)), A_INT(dtype)};
  if (ms_apply_n(MS_OP_randint, x->device, 0, NULL, attr, out) < 0) return ms_give(c, NULL);
  return fill(c, out[0]);
}
MS_RULE(random_, .ref = random__ref);
