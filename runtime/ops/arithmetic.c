/* arithmetic.c -- operations of elements that are composed of others. */
#include "reduce.h"
#include <math.h>

/* ---- sums and products ------------------------------------------------------------------------------------------- */

static int add_product(ms_ref *c, ms_tensor *(*f)(ms_tensor *, ms_tensor *)) {
  int rank;
  int64_t size[MS_MAX_RANK];
  if (ms_broadcast(c->op->name, 3, c->in, &rank, size) < 0) return -1;
  return ms_give(c, ms_add(c->in[0], ms_mul(f(c->in[1], c->in[2]), c->in[3])));
}
static int addcmul_ref(ms_ref *c) { return add_product(c, ms_mul); }
static int addcdiv_ref(ms_ref *c) { return add_product(c, ms_div); }
static int rsub_ref(ms_ref *c) { return ms_give(c, ms_sub(c->in[1], ms_mul(c->in[0], c->in[2]))); }
static int ldexp_ref(ms_ref *c) { return ms_give(c, ms_mul(c->in[0], ms_exp2(c->in[1]))); }
static int positive_ref(ms_ref *c) {
  if (c->in[0]->dtype == MS_BOOL) return ms_fail("positive: expected numbers, got %s", ms_shape_str(c->in[0])), -1;
  return ms_give(c, c->in[0]);
}
MS_RULE(addcmul, .ref = addcmul_ref);
MS_RULE(addcdiv, .ref = addcdiv_ref);
MS_RULE(rsub, .ref = rsub_ref);
MS_RULE(ldexp, .ref = ldexp_ref);
MS_RULE(positive, .ref = positive_ref);

/* The quotient, cut off towards zero, or rounded down (floor_div, which is exact). Integers stay integers where it is rounded; by 0
 * they give 0. */
static int divide_ref(ms_ref *c) {
  enum { NONE, TRUNC, FLOOR };
  ms_tensor *x = c->in[0], *y = c->in[1];
  if (c->attr[0].i == NONE) return ms_give(c, ms_div(x, y));
  if (c->attr[0].i == FLOOR) return ms_give(c, ms_floor_div(x, y));
  ms_tensor *down = ms_floor_div(x, y); /* its dtype says whether there are only integers */
  if (!down) return -1;
  if (down->is_number || ms_dtype_is_float(down->dtype)) return ms_give(c, ms_trunc(ms_div(x, y)));
  ms_tensor *short_of = ms_logical_and(ms_lt(down, ms_whole_number(0)), ms_ne(ms_remainder(x, y), ms_whole_number(0)));
  return ms_give(c, ms_add(down, ms_cast(short_of, down->dtype)));
}
MS_RULE(divide, .ref = divide_ref);

/* In f64. */
static int float_power_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *y = c->in[1];
  return ms_give(c, ms_pow(x->is_number ? x : ms_cast(x, MS_F64), y->is_number ? y : ms_cast(y, MS_F64)));
}
MS_RULE(float_power, .ref = float_power_ref);

/* ---- bounds, what is no number ----------------------------------------------------------------------------------- */

static int clamp_min_ref(ms_ref *c) { return ms_give(c, ms_clamp(c->in[0], c->in[1], ms_number(INFINITY))); }
static int clamp_max_ref(ms_ref *c) { return ms_give(c, ms_clamp(c->in[0], ms_number(-INFINITY), c->in[1])); }
MS_RULE(clamp_min, .ref = clamp_min_ref);
MS_RULE(clamp_max, .ref = clamp_max_ref);

static double largest_of(int dtype) {
  return dtype == MS_F64 ? 0x1.fffffffffffffp+1023 : dtype == MS_F16 ? 65504 : dtype == MS_BF16 ? 0x1.fep+127 : 0x1.fffffep+127;
}
static int nan_to_num_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  if (!ms_dtype_is_float(x->dtype)) return ms_give(c, x);
  ms_tensor *above = c->in[2] ? c->in[2] : ms_number(largest_of(x->dtype));
  ms_tensor *below = c->in[3] ? c->in[3] : ms_number(-largest_of(x->dtype));
  return ms_give(c, ms_where(ms_isnan(x), c->in[1], ms_where(ms_isposinf(x), above, ms_where(ms_isneginf(x), below, x))));
}
MS_RULE(nan_to_num, .ref = nan_to_num_ref);

/* ---- bits: of booleans they are logic ---------------------------------------------------------------------------- */

static bool is_bool(const ms_tensor *x) { return !x->is_number && x->dtype == MS_BOOL; }
static int bits(ms_ref *c, int logic, int whole) {
  const bool booleans = is_bool(c->in[0]) && is_bool(c->in[1]);
  ms_tensor *x[2];
  for (int k = 0; k < 2; k++) x[k] = !booleans && is_bool(c->in[k]) ? ms_cast(c->in[k], MS_U8) : c->in[k];
  return ms_give(c, ms_apply(booleans ? logic : whole, 2, x, NULL));
}
static int bitwise_and_ref(ms_ref *c) { return bits(c, MS_OP_logical_and, MS_OP_and_bits); }
static int bitwise_or_ref(ms_ref *c) { return bits(c, MS_OP_logical_or, MS_OP_or_bits); }
static int bitwise_xor_ref(ms_ref *c) { return bits(c, MS_OP_logical_xor, MS_OP_xor_bits); }
static int bitwise_not_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  if (is_bool(x)) return ms_give(c, ms_logical_not(x));
  return ms_give(c, ms_xor_bits(x, ms_whole_number(x->dtype == MS_U8 ? 255 : -1)));
}
MS_RULE(bitwise_and, .ref = bitwise_and_ref);
MS_RULE(bitwise_or, .ref = bitwise_or_ref);
MS_RULE(bitwise_xor, .ref = bitwise_xor_ref);
MS_RULE(bitwise_not, .ref = bitwise_not_ref);

/* ---- special functions ------------------------------------------------------------------------------------------- */

static int logit_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *eps = c->in[1];
  return ms_give(c, ms_log_odds(eps ? ms_clamp(x, eps, ms_sub(ms_number(1), eps)) : x));
}
MS_RULE(logit, .ref = logit_ref);

/* (-1)^(n + 1) n! zeta(n + 1, x) */
static int polygamma_ref(ms_ref *c) {
  const int64_t n = c->attr[0].i;
  if (n < 0) return ms_fail("polygamma: n is %lld, expected 0 or more", (long long)n), -1;
  if (n == 0) return ms_give(c, ms_digamma(c->in[0]));
  const double factor = (n % 2 ? 1 : -1) * tgamma((double)n + 1);
  return ms_give(c, ms_mul(ms_zeta(ms_number((double)n + 1), c->in[0]), ms_number(factor)));
}
MS_RULE(polygamma, .ref = polygamma_ref);

/* p (p - 1) / 4 log(pi) + the sum of lgamma(x - j / 2), j = 0 .. p - 1 */
static int multigammaln_ref(ms_ref *c) {
  const int64_t p = c->attr[0].i;
  if (p < 1 || p > 10000) return ms_fail("multigammaln: p is %lld, expected 1..10000", (long long)p), -1;
  ms_tensor *sum = ms_lgamma(c->in[0]);
  for (int64_t j = 1; j < p; j++) sum = ms_add(sum, ms_lgamma(ms_sub(c->in[0], ms_number((double)j / 2))));
  return ms_give(c, ms_add(sum, ms_number((double)(p * (p - 1)) / 4 * 1.14472988584940017414)));
}
MS_RULE(multigammaln, .ref = multigammaln_ref);

static int i0_ref(ms_ref *c) { return ms_give(c, ms_bessel_i(c->in[0], ms_number(0))); }
static int i1_ref(ms_ref *c) { return ms_give(c, ms_bessel_i(c->in[0], ms_number(1))); }
static int i0e_ref(ms_ref *c) { return ms_give(c, ms_bessel_ie(c->in[0], ms_number(0))); }
static int i1e_ref(ms_ref *c) { return ms_give(c, ms_bessel_ie(c->in[0], ms_number(1))); }
MS_RULE(i0, .ref = i0_ref);
MS_RULE(i1, .ref = i1_ref);
MS_RULE(i0e, .ref = i0e_ref);
MS_RULE(i1e, .ref = i1e_ref);
