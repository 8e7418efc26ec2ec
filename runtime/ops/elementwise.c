/* elementwise.c -- shapes and derivative rules of elementwise.def, and the lines as C functions. */
#include "core/core.h"
#include <math.h>

static int elementwise_shape(ms_infer *s) {
  int rank;
  int64_t size[MS_MAX_RANK];
  if (ms_broadcast(s->op->name, s->n_in, s->in, &rank, size) < 0) return -1;
  ms_plain power; /* what an integer would lose is an error where the power is plain to see */
  if (s->op->id == MS_OP_pow && !ms_dtype_is_float(s->dtype) && s->in[1]->is_number &&
      ms_scalar_constant(s->in[1]->number, &power) && power.value < 0)
    return ms_fail("pow: %s to the power %g, expected a power from 0 on; of x:float() any", ms_shape_str(s->in[0]), power.value),
           -1;
  return ms_out(s, 0, s->op->flags & MS_NO_GRAD ? MS_BOOL : s->dtype, rank, size);
}

/* Functions in pieces (elu, pow, ...): `where` computes both branches for every element. If the branch that is not taken has an
 * infinite slope there, 0 times infinity gives NaN, at the latest in the second derivative. So that branch gets an operand at which
 * it is finite. */

/* x where it is <= 0, else 0. */
static ms_tensor *lower_half(ms_tensor *x) { return ms_where(ms_gt(x, ms_number(0)), ms_number(0), x); }

/* g y x^(y-1), and 0 for y = 0 at any x. r = x^y. Exponents people write every day need no power; a live one may be any of them in
 * some replay. */
static ms_tensor *power_slope(ms_tensor *g, ms_tensor *x, ms_tensor *y, ms_tensor *r) {
  if (!x || !y) return NULL;
  ms_plain plain;
  if (y->is_number && ms_scalar_constant(y->number, &plain)) {
    const double n = plain.value;
    if (n == 0) return ms_zeros_like(g);
    if (n == 1) return g;
    if (n == 2) return ms_mul(g, ms_mul(x, y));
    if (n == 3) return ms_mul(g, ms_mul(ms_square(x), y));
    if (n == 0.5) return ms_mul(g, ms_div(y, r));
    if (n == -1) return ms_neg(ms_mul(g, ms_square(r)));
    if (n == -0.5) return ms_mul(g, ms_mul(y, ms_mul(r, ms_square(r))));
  }
  /* at y = 0: 0, also where x is 0 or NaN; elsewhere x stays, by which the slope goes on to change with y */
  x = ms_where(ms_logical_and(ms_eq(y, ms_number(0)), ms_logical_not(ms_gt(ms_abs(x), ms_number(0)))), ms_number(1), x);
  return ms_mul(g, ms_mul(y, ms_pow(x, ms_sub(y, ms_number(1)))));
}

/* log(x), but 0 at x = 0 with y >= 0, where x^y does not change with y (or, at y = 0, has no slope: PyTorch's choice). */
static ms_tensor *power_log(ms_tensor *x, ms_tensor *y) {
  ms_plain plain;
  if (x && x->is_number && !ms_scalar_constant(x->number, &plain)) { /* in numbers, and -infinity where x = 0, y < 0 */
    ms_tensor *none = ms_eq(x, ms_number(0)), *steep = ms_logical_and(none, ms_lt(y, ms_number(0)));
    return ms_sub(ms_log(ms_where(none, ms_number(1), x)), ms_cast(ms_where(steep, ms_number(INFINITY), ms_number(0)), y->dtype));
  }
  if (x && x->is_number && plain.value != 0) return ms_log(x);
  ms_tensor *flat = ms_logical_and(ms_eq(x, ms_number(0)), ms_ge(y, ms_number(0)));
  return ms_log(ms_where(flat, ms_number(1), x));
}

/* x - y, and 0 where both are the same infinity; where finite ones are equal it still has its slopes. */
static ms_tensor *apart(ms_tensor *x, ms_tensor *y) {
  return ms_where(ms_logical_and(ms_eq(x, y), ms_isinf(y)), ms_number(0), ms_sub(x, y));
}

/* x / (x^2 + y^2), and 0 at the origin, as in PyTorch. */
static ms_tensor *over_square(ms_tensor *x, ms_tensor *y) {
  ms_tensor *sum = ms_add(ms_square(x), ms_square(y));
  return ms_div(x, ms_where(ms_eq(sum, ms_number(0)), ms_number(INFINITY), sum));
}

/* The slope of log_ndtr, density / distribution, by the form that neither overflows nor cancels on its side of 0. */
static ms_tensor *log_ndtr_slope(ms_tensor *x) {
  ms_tensor *below = ms_lt(x, ms_number(0)), *low = ms_where(below, x, ms_number(-1)), *high = ms_where(below, ms_number(1), x);
  ms_tensor *left = ms_div(ms_number(0.79788456080286535588), ms_erfcx(ms_mul(low, ms_number(-0.70710678118654752440))));
  ms_tensor *bell = ms_mul(ms_number(0.39894228040143267794), ms_exp(ms_mul(ms_number(-0.5), ms_square(high))));
  return ms_where(below, left, ms_div(bell, ms_ndtr(high)));
}

/* The share of x in fmax and fmin: all of it where y is NaN, none where x is; else as between numbers. */
static ms_tensor *first_share(ms_tensor *x, ms_tensor *y, ms_tensor *of_numbers) {
  return ms_where(ms_isnan(y), ms_number(1), ms_where(ms_isnan(x), ms_number(0), of_numbers));
}

static ms_tensor *between(ms_tensor *x, ms_tensor *low, ms_tensor *high) { return ms_logical_and(ms_gt(x, low), ms_lt(x, high)); }
/* |x| > y */
static ms_tensor *outside(ms_tensor *x, ms_tensor *y) { return ms_logical_or(ms_gt(x, y), ms_lt(x, ms_neg(y))); }

static ms_tensor *mish_slope(ms_tensor *x) {
  ms_tensor *t = ms_tanh(ms_softplus(x, ms_number(1), ms_number(INFINITY)));
  return ms_add(t, ms_mul(ms_mul(x, ms_sub(ms_number(1), ms_square(t))), ms_sigmoid(x)));
}
/* gelu_tanh is x s(u) with s the sigmoid and u = c (x + 0.044715 x^3); s' = s (1 - s). */
static ms_tensor *gelu_tanh_slope(ms_tensor *x) {
  const double c = 1.59576912160573071176;
  ms_tensor *z = ms_square(x), *one = ms_number(1), *u = ms_mul(x, ms_add(ms_number(c), ms_mul(z, ms_number(c * 0.044715))));
  ms_tensor *s = ms_sigmoid(u), *slope = ms_mul(x, ms_add(ms_number(c), ms_mul(z, ms_number(3 * c * 0.044715))));
  return ms_mul(s, ms_add(one, ms_mul(slope, ms_sub(one, s))));
}

/* x (1 - x), at least 1e-12, and its slope. */
static ms_tensor *bce_divisor(ms_tensor *x) { return ms_maximum(ms_mul(x, ms_sub(ms_number(1), x)), ms_number(1e-12)); }
static ms_tensor *bce_slope(ms_tensor *x) {
  ms_tensor *one = ms_number(1), *free = ms_ge(ms_mul(x, ms_sub(one, x)), ms_number(1e-12));
  return ms_where(free, ms_sub(one, ms_mul(x, ms_number(2))), ms_number(0));
}

/* Of two plain numbers, as Lua's operators: what scripts and rules write of numbers all the time. Whole numbers wrap. */
static ms_plain plain_of(ms_plain x, ms_plain y, double value, uint64_t whole) {
  if (!x.is_whole || !y.is_whole) return (ms_plain){.value = value};
  return (ms_plain){.is_whole = true, .whole = (int64_t)whole, .value = (double)(int64_t)whole};
}
MS_NUMBER(add) { return plain_of(x, y, x.value + y.value, (uint64_t)x.whole + (uint64_t)y.whole); }
MS_NUMBER(sub) { return plain_of(x, y, x.value - y.value, (uint64_t)x.whole - (uint64_t)y.whole); }
MS_NUMBER(mul) { return plain_of(x, y, x.value * y.value, (uint64_t)x.whole * (uint64_t)y.whole); }
MS_NUMBER(div) { return (ms_plain){.value = x.value / y.value}; }
MS_NUMBER(pow) { return (ms_plain){.value = pow(x.value, y.value)}; }

#define ZERO ms_zeros_like(G)
#define NONE ms_fail("%s has no derivative", c->op->name)
#define RULE(name, n, ...)                                                                                                         \
  static int vjp_##name(ms_vjp *c) {                                                                                               \
    ms_tensor *G = c->g[0], *X = c->x[0], *Y = (n) > 1 ? c->x[1] : NULL, *Z = (n) > 2 ? c->x[2] : NULL, *R = c->r[0];              \
    (void)X, (void)Y, (void)Z, (void)R, (void)G;                                                                                   \
    __VA_ARGS__;                                                                                                                   \
    return ms_error() ? -1 : 0;                                                                                                    \
  }                                                                                                                                \
  MS_RULE(name, .shape = elementwise_shape, .vjp = vjp_##name);
#define SHARE(i, d)                                                                                                                \
  if (c->need[i]) c->dx[i] = ms_sum_to(d, c->x[i])

#define OP(...)
#define E1(name, cls, traits, f, dx, sample, doc)                                                                                  \
  RULE(name, 1, SHARE(0, dx))                                                                                                      \
  ms_tensor *ms_##name(ms_tensor *x) { return ms_apply(MS_OP_##name, 1, &x, NULL); }
#define E2(name, cls, traits, f, dx, dy, def, sample, doc)                                                                         \
  RULE(name, 2, SHARE(0, dx); SHARE(1, dy))                                                                                        \
  ms_tensor *ms_##name(ms_tensor *x, ms_tensor *y) { return ms_apply(MS_OP_##name, 2, (ms_tensor *[]){x, y}, NULL); }
#define E3(name, cls, traits, f, dx, dy, dz, def, sample, doc)                                                                     \
  RULE(name, 3, SHARE(0, dx); SHARE(1, dy); SHARE(2, dz))                                                                          \
  ms_tensor *ms_##name(ms_tensor *x, ms_tensor *y, ms_tensor *z) {                                                                 \
    return ms_apply(MS_OP_##name, 3, (ms_tensor *[]){x, y, z}, NULL);                                                              \
  }
#include "elementwise.def"
