/* math.h -- scalar formulas, used by C and CUDA alike: m_f(x) for float and double.
 *
 * The float versions of exp, log, tanh, sigmoid, softplus are branch-free, so that gcc turns a loop over them into vector code;
 * they are within 2 ulp over their range (coefficients: Moshier, Cephes 2.2 single precision). Special functions: special.h. The
 * rest is libm's. */
#ifndef MS_MATH_H
#define MS_MATH_H
#include "special.h"

MS_F float m_exp_f32(float x) {
  float t = x > 89.0f ? 89.0f : x < -104.0f ? -104.0f : x;
  float n = rintf(t * 1.44269504088896341f);
  float r = t - n * 0.693359375f - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  int32_t k = (int32_t)n, h = k >> 1; /* in two steps: 2^n alone may leave the range */
  float y = p * ms_bits_f32((uint32_t)(h + 127) << 23) * ms_bits_f32((uint32_t)(k - h + 127) << 23);
  return x != x ? x : y;
}

MS_F float m_log_f32(float x) {
  float big = x < 1.17549435e-38f ? x * 8388608.0f : x; /* subnormals */
  float e = x < 1.17549435e-38f ? -23.0f : 0.0f;
  uint32_t u = ms_f32_bits(big);
  int32_t k = (int32_t)(u >> 23) - 126;
  float m = ms_bits_f32((u & 0x007fffffu) | 0x3f000000u); /* 0.5 .. 1 */
  e += (float)(m < 0.707106781186547524f ? k - 1 : k);
  float f = m < 0.707106781186547524f ? m + m - 1.0f : m - 1.0f;
  float z = f * f, p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  float y = p * f * z + -2.12194440e-4f * e - 0.5f * z;
  y = f + y + 0.693359375f * e;
  y = x == INFINITY ? x : y;
  return x > 0 ? y : x == 0 ? -INFINITY : NAN;
}

MS_F float m_log1p_f32(float x) { /* Kahan: log(w) x / (w - 1), w = 1 + x as rounded, undoes the rounding of w */
  float w = 1.0f + x, d = w - 1.0f;
  return d == 0 ? x : w == INFINITY ? w : m_log_f32(w) * (x / d);
}

MS_F float m_tanh_f32(float x) {
  float a = x < 0 ? -x : x, z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  float small = p * z * x + x;
  float big = 1.0f - 2.0f / (m_exp_f32(2.0f * a) + 1.0f);
  return a < 0.625f ? small : x < 0 ? -big : x != x ? x : big;
}

MS_F float m_sigmoid_f32(float x) { return 1.0f / (1.0f + m_exp_f32(-x)); }
MS_F float m_softplus_f32(float x) { return (x > 0 ? x : 0) + m_log1p_f32(m_exp_f32(x > 0 ? -x : x)); }
MS_F double m_sigmoid_f64(double x) { return 1.0 / (1.0 + exp(-x)); }
MS_F double m_softplus_f64(double x) { return (x > 0 ? x : 0) + log1p(exp(x > 0 ? -x : x)); }

/* ---- for random numbers: the same bits from every compiler and for every instruction set, a GPU's too
 * ------------------------------
 *
 * Whether a product and a sum become one operation is the compiler's choice everywhere else. Here every product that is added to
 * something is written as fma, every other one is by a power of two; divisions and square roots are IEEE 754's. Nothing is libm's.
 * The polynomials are Taylor's: sin and cos of at most pi / 4, log m = 2 artanh f of f = (m - 1) / (m + 1), |f| <= 0.172. */

/* sin and cos of 2 pi u, 0 <= u < 1, u a multiple of 2^-24 (f64: 2^-53); within 2 ulp. */
MS_F void m_turn_f32(float u, float *sine, float *cosine) {
  const float q = floorf(fmaf(u, 4.0f, 0.5f)), r = fmaf(q, -0.25f, u), z = r * r; /* |r| <= 1/8, exact */
  float s = 0x1.507834p+5f, c = -0x1.a6d1f2p+4f; /* (2 pi)^n / n!, n = 9 and 10, then two less each */
  s = fmaf(s, z, -0x1.32d2ccp+6f), c = fmaf(c, z, 0x1.e1f506p+5f);
  s = fmaf(s, z, 0x1.466bc6p+6f), c = fmaf(c, z, -0x1.55d3c8p+6f);
  s = fmaf(s, z, -0x1.4abbcep+5f), c = fmaf(c, z, 0x1.03c1fp+6f);
  s = fmaf(s, z, -0x1.777a5cp-23f), c = fmaf(c, z, -0x1.3bd3ccp+4f); /* what 2 pi has beyond its float */
  const float x = fmaf(r, 0x1.921fb6p+2f, r * s), y = fmaf(c, z, 1.0f);
  const int k = (int)q & 3;
  *sine = k == 0 ? x : k == 1 ? y : k == 2 ? -x : -y;
  *cosine = k == 0 ? y : k == 1 ? -x : k == 2 ? -y : x;
}
/* log u, 2^-24 <= u <= 1; within 2 ulp. */
MS_F float m_ln_f32(float u) {
  const uint32_t bits = ms_f32_bits(u), above = (bits & 0x7fffffu) > 0x3504f3u; /* sqrt(2): keeps m within 0.707 .. 1.414 */
  const float e = (float)((int32_t)(bits >> 23) - 127 + (int32_t)above);
  const float m = ms_bits_f32((bits & 0x7fffffu) | (above ? 0x3f000000u : 0x3f800000u));
  const float f = (m - 1.0f) / (m + 1.0f), z = f * f;
  float p = 2.0f / 11;
  p = fmaf(p, z, 2.0f / 9), p = fmaf(p, z, 2.0f / 7), p = fmaf(p, z, 2.0f / 5), p = fmaf(p, z, 2.0f / 3);
  return fmaf(e, 0.693359375f, fmaf(e, -0x1.bd0106p-13f, fmaf(f * z, p, 2.0f * f)));
}
MS_F void m_turn_f64(double u, double *sine, double *cosine) {
  const double q = floor(fma(u, 4.0, 0.5)), r = fma(q, -0.25, u), z = r * r;
  double s = 0x1.aaec32af93359p-4, c = -0x1.2a0c591af8314p-5; /* n = 17 and 18 */
  s = fma(s, z, -0x1.6fadb9f155744p-1), c = fma(c, z, 0x1.20c62c2f2d7f5p-2);
  s = fma(s, z, 0x1.e8f434d018d63p+1), c = fma(c, z, -0x1.b6e24f44b128fp+0);
  s = fma(s, z, -0x1.e3074fde8871fp+3), c = fma(c, z, 0x1.f9d38a3763cc3p+2);
  s = fma(s, z, 0x1.50783487ee782p+5), c = fma(c, z, -0x1.a6d1f2a204a8cp+4);
  s = fma(s, z, -0x1.32d2cce62bd86p+6), c = fma(c, z, 0x1.e1f506891babbp+5);
  s = fma(s, z, 0x1.466bc6775aae2p+6), c = fma(c, z, -0x1.55d3c7e3cbffap+6);
  s = fma(s, z, -0x1.4abbce625be53p+5), c = fma(c, z, 0x1.03c1f081b5ac4p+6);
  s = fma(s, z, 0x1.1a62633145c07p-52), c = fma(c, z, -0x1.3bd3cc9be45dep+4);
  const double x = fma(r, 0x1.921fb54442d18p+2, r * s), y = fma(c, z, 1.0);
  const int k = (int)q & 3;
  *sine = k == 0 ? x : k == 1 ? y : k == 2 ? -x : -y;
  *cosine = k == 0 ? y : k == 1 ? -x : k == 2 ? -y : x;
}
MS_F double m_ln_f64(double u) {
  uint64_t bits;
  memcpy(&bits, &u, 8);
  const uint64_t rest = bits & 0xfffffffffffffu, above = rest > 0x6a09e667f3bcdu;
  const double e = (double)((int64_t)(bits >> 52) - 1023 + (int64_t)above);
  double m;
  bits = rest | (above ? 0x3fe0000000000000u : 0x3ff0000000000000u);
  memcpy(&m, &bits, 8);
  const double f = (m - 1.0) / (m + 1.0), z = f * f;
  double p = 2.0 / 23;
  p = fma(p, z, 2.0 / 21), p = fma(p, z, 2.0 / 19), p = fma(p, z, 2.0 / 17), p = fma(p, z, 2.0 / 15), p = fma(p, z, 2.0 / 13);
  p = fma(p, z, 2.0 / 11), p = fma(p, z, 2.0 / 9), p = fma(p, z, 2.0 / 7), p = fma(p, z, 2.0 / 5), p = fma(p, z, 2.0 / 3);
  return fma(e, 0x1.62e42feep-1, fma(e, 0x1.a39ef35793c76p-33, fma(f * z, p, 2.0 * f))); /* log 2 in two parts */
}

/* Quotients are rounded down, remainders have the sign of y and are exact: x = floor_div(x, y) y + remainder(x, y).
 * Whole numbers: division by 0 gives 0, by -1 cannot trap (the least number wraps to itself). */
MS_F int64_t m_itself(int64_t x) { return x; }
MS_F bool m_signbit_f32(float x) { return signbit(x) != 0; }
MS_F bool m_signbit_f64(double x) { return signbit(x) != 0; }
MS_F bool m_signbit_i64(int64_t x) { return x < 0; }
MS_F int64_t m_fmod_i64(int64_t x, int64_t y) { return y == 0 || y == -1 ? 0 : x % y; }
/* By squaring; wraps. To a negative power 1 and -1 are what they are, and all others less than 1: 0. */
MS_F int64_t m_pow_i64(int64_t x, int64_t y) {
  if (y < 0) return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0;
  uint64_t r = 1, b = (uint64_t)x;
  for (; y; y >>= 1, b *= b)
    if (y & 1) r *= b;
  return (int64_t)r;
}
MS_F int64_t m_remainder_i64(int64_t x, int64_t y) {
  int64_t r = m_fmod_i64(x, y);
  return r && (r < 0) != (y < 0) ? r + y : r;
}
MS_F int64_t m_floor_div_i64(int64_t x, int64_t y) {
  if (y == 0) return 0;
  if (y == -1) return (int64_t)(0 - (uint64_t)x);
  int64_t q = x / y;
  return x % y && (x < 0) != (y < 0) ? q - 1 : q;
}
MS_F double m_remainder_f64(double x, double y) {
  double r = fmod(x, y);
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}
MS_F float m_remainder_f32(float x, float y) {
  float r = fmodf(x, y);
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

/* The whole number q with x = q y + remainder(x, y): floor(x / y) may round up to the next one. Whole up to a rounding of (x - r) /
 * y. */
MS_F double m_floor_div_f64(double x, double y) {
  double q = x / y;
  if (y == 0) return q;
  double r = fmod(x, y), d = (x - r) / y;
  if (r != 0 && (r < 0) != (y < 0)) d -= 1;
  double f = floor(d);
  return d == 0 ? copysign(0.0, q) : d - f > 0.5 ? f + 1 : f;
}
MS_F float m_floor_div_f32(float x, float y) {
  float q = x / y;
  if (y == 0) return q;
  float r = fmodf(x, y), d = (x - r) / y;
  if (r != 0 && (r < 0) != (y < 0)) d -= 1;
  float f = floorf(d);
  return d == 0 ? copysignf(0.0f, q) : d - f > 0.5f ? f + 1 : f;
}

#define MS_PICK(x, f, d)        _Generic((x), float : f, default : d)
#define m_exp(x)                MS_PICK(x, m_exp_f32, exp)(x)
#define m_log(x)                MS_PICK(x, m_log_f32, log)(x)
#define m_log1p(x)              MS_PICK(x, m_log1p_f32, log1p)(x)
#define m_tanh(x)               MS_PICK(x, m_tanh_f32, tanh)(x)
#define m_sigmoid(x)            MS_PICK(x, m_sigmoid_f32, m_sigmoid_f64)(x)
#define m_softplus(x)           MS_PICK(x, m_softplus_f32, m_softplus_f64)(x)
#define m_digamma(x)            MS_PICK(x, m_digamma_f32, m_digamma_f64)(x)
#define m_sqrt(x)               MS_PICK(x, sqrtf, sqrt)(x)
#define m_exp2(x)               MS_PICK(x, exp2f, exp2)(x)
#define m_expm1(x)              MS_PICK(x, expm1f, expm1)(x)
#define m_log2(x)               MS_PICK(x, log2f, log2)(x)
#define m_log10(x)              MS_PICK(x, log10f, log10)(x)
#define m_sin(x)                MS_PICK(x, sinf, sin)(x)
#define m_cos(x)                MS_PICK(x, cosf, cos)(x)
#define m_tan(x)                MS_PICK(x, tanf, tan)(x)
#define m_asin(x)               MS_PICK(x, asinf, asin)(x)
#define m_acos(x)               MS_PICK(x, acosf, acos)(x)
#define m_atan(x)               MS_PICK(x, atanf, atan)(x)
#define m_atan2(x, y)           MS_PICK(x, atan2f, atan2)(x, y)
#define m_sinh(x)               MS_PICK(x, sinhf, sinh)(x)
#define m_cosh(x)               MS_PICK(x, coshf, cosh)(x)
#define m_asinh(x)              MS_PICK(x, asinhf, asinh)(x)
#define m_acosh(x)              MS_PICK(x, acoshf, acosh)(x)
#define m_atanh(x)              MS_PICK(x, atanhf, atanh)(x)
#define m_erf(x)                MS_PICK(x, erff, erf)(x)
#define m_erfc(x)               MS_PICK(x, erfcf, erfc)(x)
#define m_lgamma(x)             MS_PICK(x, lgammaf, lgamma)(x)
#define m_erfcx(x)              MS_PICK(x, m_erfcx_f32, m_erfcx_f64)(x)
#define m_erfinv(x)             MS_PICK(x, m_erfinv_f32, m_erfinv_f64)(x)
#define m_ndtri(x)              MS_PICK(x, m_ndtri_f32, m_ndtri_f64)(x)
#define m_ndtr(x)               MS_PICK(x, m_ndtr_f32, m_ndtr_f64)(x)
#define m_log_ndtr(x)           MS_PICK(x, m_log_ndtr_f32, m_log_ndtr_f64)(x)
#define m_tanhshrink(x)         MS_PICK(x, m_tanhshrink_f32, m_tanhshrink_f64)(x)
#define m_sinc(x)               MS_PICK(x, m_sinc_f32, m_sinc_f64)(x)
#define m_zeta(x, y)            MS_PICK(x, m_zeta_f32, m_zeta_f64)(x, y)
#define m_sinc_slope(x, n)      MS_PICK(x, m_sinc_slope_f32, m_sinc_slope_f64)(x, n)
#define m_bessel_i(x, n)        MS_PICK(x, m_bessel_i_f32, m_bessel_i_f64)(x, n)
#define m_bessel_ie(x, n)       MS_PICK(x, m_bessel_ie_f32, m_bessel_ie_f64)(x, n)
#define m_hypot(x, y)           MS_PICK(x, hypotf, hypot)(x, y)
#define m_copysign(x, y)        MS_PICK(x, copysignf, copysign)(x, y)
#define MS_PICK_ANY(x, f, d, w) _Generic((x), float : f, double : d, default : w)
#define m_pow(x, y)             MS_PICK_ANY(x, powf, pow, m_pow_i64)(x, y)
#define m_fmod(x, y)            MS_PICK_ANY(x, fmodf, fmod, m_fmod_i64)(x, y)
#define m_remainder(x, y)       MS_PICK_ANY(x, m_remainder_f32, m_remainder_f64, m_remainder_i64)(x, y)
#define m_floor_div(x, y)       MS_PICK_ANY(x, m_floor_div_f32, m_floor_div_f64, m_floor_div_i64)(x, y)
#define m_floor(x)              MS_PICK_ANY(x, floorf, floor, m_itself)(x)
#define m_ceil(x)               MS_PICK_ANY(x, ceilf, ceil, m_itself)(x)
#define m_round(x)              MS_PICK_ANY(x, rintf, rint, m_itself)(x)
#define m_trunc(x)              MS_PICK_ANY(x, truncf, trunc, m_itself)(x)
#define m_signbit(x)            MS_PICK_ANY(x, m_signbit_f32, m_signbit_f64, m_signbit_i64)(x)
#define m_max(x, y)             ((x) >= (y) || (x) != (x) ? (x) : (y)) /* NaN where one is; of 0 and -0 the first */
#define m_min(x, y)             ((x) <= (y) || (x) != (x) ? (x) : (y))

/* C++ has no _Generic, and one name of the library is several functions there: instead of a function these are one that calls the
 * right one by its first argument. */
#ifdef __cplusplus
#undef MS_PICK
#undef MS_PICK_ANY
template <class T> struct ms_type { static constexpr bool f32 = false, f64 = false; };
template <> struct ms_type<float> { static constexpr bool f32 = true, f64 = false; };
template <> struct ms_type<double> { static constexpr bool f32 = false, f64 = true; };
#define MS_PICK(x, f, d) MS_PICK_ANY(x, f, d, d)
#define MS_PICK_ANY(x, f, d, w)                                                                                                    \
  [](auto a, auto... more) {                                                                                                       \
    if constexpr (ms_type<decltype(a)>::f32) return f(a, more...);                                                                 \
    else if constexpr (ms_type<decltype(a)>::f64) return d(a, more...);                                                            \
    else return w(a, more...);                                                                                                     \
  }
#endif

#endif
