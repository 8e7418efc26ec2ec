/* special.h -- special functions of one number, for math.h: in double; those of float compute in double and round once.
 *
 * Where a series or a recurrence is summed, it ends when a term changes nothing any more: all terms have one sign, or fall faster
 * than by half. Formulas: Abramowitz and Stegun; the numbers at the left are theirs. */
#ifndef MS_SPECIAL_H
#define MS_SPECIAL_H
#include "half.h"

#define M_PI_ 3.14159265358979323846
#ifndef MS_SLOW
/* Too long to be compiled into each loop that calls it. */
#define MS_SLOW static __attribute__((noinline, unused))
#endif
/* 6.3.5 up to 10, then the asymptotic series 6.3.18; the reflection 6.3.7 below 0. */
MS_SLOW double m_digamma_f64(double x) {
  double r = 0;
  if (x <= 0) {
    if (x == 0) return copysign(INFINITY, -x);
    if (x == floor(x)) return NAN;
    return m_digamma_f64(1 - x) - M_PI_ / tan(M_PI_ * (x - rint(x)));
  }
  for (; x < 10; x++) r -= 1 / x;
  double i = 1 / x, i2 = i * i;
  return r + log(x) - 0.5 * i -
         i2 * (1.0 / 12 -
               i2 * (1.0 / 120 - i2 * (1.0 / 252 - i2 * (1.0 / 240 - i2 * (1.0 / 132 - i2 * (691.0 / 32760 - i2 / 12))))));
}

/* Sum over k >= 0 of (q + k)^-x, q > 0, x > 1: terms one by one until those left are nothing or q + k is so large that Euler and
 * Maclaurin's formula (23.1.30) gives their sum. */
MS_SLOW double m_zeta_positive(double x, double q) {
  static const double b[] = {1.0 / 12,
                             -1.0 / 720,
                             1.0 / 30240,
                             -1.0 / 1209600,
                             1.0 / 47900160,
                             -691.0 / 1307674368000,
                             1.0 / 74724249600,
                             -3617.0 / 10670622842880000,
                             43867.0 / 5109094217170944000}; /* B_2j / (2j)! */
  const double far = x / 2 + 12;
  double sum = 0;
  for (; q < far; q++) {
    const double term = pow(q, -x);
    sum += term;
    if (term <= 1e-17 * sum) return sum;
  }
  const double p = pow(q, -x);
  double s = sum + p * q / (x - 1) + p / 2, factor = x * p / q; /* x (x + 1) ... (x + 2j - 2) q^(-x - 2j + 1) */
  for (int j = 0; j < 9; j++) {
    const double term = factor * b[j];
    s += term;
    if (fabs(term) <= 1e-17 * s) break;
    factor *= (x + 2 * j + 1) * (x + 2 * j + 2) / (q * q);
  }
  return s;
}
/* Hurwitz's zeta function. For whole x also at negative q: the terms before and behind 0, each set by itself. */
MS_SLOW double m_zeta_f64(double x, double q) {
  if (x == 1) return INFINITY;
  if (x != x || q != q || x < 1) return NAN;
  if (q <= 0) {
    if (q == floor(q)) return INFINITY;
    if (x != floor(x)) return NAN;
    const double f = -q - floor(-q); /* the last term before 0 is that of -f */
    const double before = m_zeta_positive(x, f) - m_zeta_positive(x, 1 - q);
    return m_zeta_positive(x, 1 - f) + (fmod(x, 2.0) == 0 ? before : -before);
  }
  if (x == INFINITY) return q < 1 ? INFINITY : q == 1;
  return q == INFINITY ? 0 : m_zeta_positive(x, q);
}

/* exp(x^2) erfc(x): x^2 as a sum of two doubles, since exp makes its rounding larger; for large x the series 7.1.23. */
MS_SLOW double m_erfcx_f64(double x) {
  const double high = x * x, low = fma(x, x, -high);
  if (x < -26.7) return INFINITY;
  if (x < 25) return x < 0 ? 2 * exp(high) * (1 + low) - m_erfcx_f64(-x) : exp(high) * (1 + low) * erfc(x);
  double s = 1, term = 1;
  for (int k = 1; k < 9 && high < INFINITY; k++) term *= -(2 * k - 1) / (2 * high), s += term;
  return s / x * 0.56418958354775628695;
}

/* z >= 0 with erfc(z) = c, 0 < c <= 1 (or erf(z) = 1 - c, if c is near 1, with 1 - c in full precision): a guess (Winitzki's),
 * which Halley's steps make three times as exact each. */
MS_SLOW double m_erfc_inverse(double c, double one_less_c) {
  const bool small = one_less_c < 0.5;
  const double w = log(c * (2 - c)), t = 4.3307467508 + w / 2, s = one_less_c * one_less_c;
  double z = small ? one_less_c * (0.88622692545275801365 + s * (0.2320136665346545 + s * 0.127556175305598))
                   : sqrt(sqrt(t * t - w / 0.147) - t);
  for (int k = 0; k < 3; k++) {
    const double u = (small ? erf(z) - one_less_c : c - erfc(z)) * 0.88622692545275801365 * exp(z * z);
    z -= u / (1 + z * u);
  }
  return z;
}
MS_SLOW double m_erfinv_f64(double x) {
  const double a = fabs(x);
  if (!(a < 1)) return a == 1 ? copysign(INFINITY, x) : NAN;
  return copysign(m_erfc_inverse(1 - a, a), x);
}
/* The x whose normal distribution function is p. */
MS_SLOW double m_ndtri_f64(double p) {
  if (!(p > 0 && p < 1)) return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
  const double tail = p < 0.5 ? p : 1 - p, z = 1.41421356237309504880 * m_erfc_inverse(2 * tail, 1 - 2 * tail);
  return p < 0.5 ? -z : z;
}
MS_SLOW double m_ndtr_f64(double x) { return 0.5 * erfc(-0.70710678118654752440 * x); }
MS_SLOW double m_log_ndtr_f64(double x) {
  return x < -1 ? log(m_erfcx_f64(-0.70710678118654752440 * x) / 2) - x * x / 2 : log1p(-0.5 * erfc(0.70710678118654752440 * x));
}

/* The n-th derivative of sin(pi x) / (pi x) in x. With t = pi x it is pi^n times the integral over s in 0..1 of s^n cos(s t + n pi
 * / 2): its power series for t up to n + 1; then by parts, from one derivative to the next. */
MS_SLOW double m_sinc_slope_f64(double x, double order) {
  if (!(order >= 0 && order <= 1000)) return NAN;
  const int n = (int)order;
  const double t = M_PI_ * x;
  if (fabs(t) > n + 1) {
    double f = sin(t) / t, power = 1;
    for (int k = 1; k <= n; k++) {
      const double turned = k % 4 == 0 ? sin(t) : k % 4 == 1 ? cos(t) : k % 4 == 2 ? -sin(t) : -cos(t);
      f = (turned - k * f) / t, power *= M_PI_;
    }
    return f * power;
  }
  double sum = 0, term = 1;
  for (int j = 0; j < 60 + 4 * n; j++) {
    const int q = (n + j) % 4;
    if (q == 0) sum += term / (n + j + 1);
    if (q == 2) sum -= term / (n + j + 1);
    term *= t / (j + 1);
  }
  return sum * pow(M_PI_, n);
}

/* exp(-|x|) I_n(x), or I_n(x): modified Bessel functions of whole order. The power series 9.6.10, whose terms have one sign; from
 * 30 on 9.7.1. */
MS_SLOW double m_bessel(double x, double order, bool scaled) {
  const double a = fabs(x), n = fabs(order);
  double s = 1, term = 1;
  if (x != x || n != n || n > 1e6) return NAN;
  if (a < 30) {
    for (int k = 1; k <= (int)n && s != 0; k++) s *= a / 2 / k;
    term = s;
    for (int k = 1; k < 200 && term > 1e-17 * s; k++) term *= a * a / 4 / (k * (k + n)), s += term;
    if (scaled) s *= exp(-a);
  } else {
    for (int k = 1; k < 30; k++) {
      const double next = -term * (4 * n * n - (2 * k - 1) * (2 * k - 1)) / (8 * k * a);
      if (fabs(next) >= fabs(term) || fabs(next) < 1e-17) break;
      s += term = next;
    }
    s *= 0.39894228040143267794 / sqrt(a);
    if (!scaled) s = a == INFINITY ? INFINITY : s * exp(a / 2) * exp(a / 2);
  }
  return x < 0 && fmod(n, 2.0) == 1 ? -s : s;
}
MS_SLOW double m_bessel_i_f64(double x, double n) { return m_bessel(x, n, false); }
MS_SLOW double m_bessel_ie_f64(double x, double n) { return m_bessel(x, n, true); }

MS_SLOW double m_tanhshrink_f64(double x) { return x - tanh(x); }
MS_SLOW double m_sinc_f64(double x) { return x == 0 ? 1 : sin(M_PI_ * x) / (M_PI_ * x); }

#define M_FLOAT1(name)                                                                                                             \
  MS_SLOW float m_##name##_f32(float x) { return (float)m_##name##_f64((double)x); }
#define M_FLOAT2(name)                                                                                                             \
  MS_SLOW float m_##name##_f32(float x, float y) { return (float)m_##name##_f64((double)x, (double)y); }
M_FLOAT1(digamma)
M_FLOAT1(erfcx)
M_FLOAT1(erfinv)
M_FLOAT1(ndtri)
M_FLOAT1(ndtr)
M_FLOAT1(log_ndtr)
M_FLOAT1(tanhshrink)
M_FLOAT1(sinc)
M_FLOAT2(zeta)
M_FLOAT2(sinc_slope)
M_FLOAT2(bessel_i)
M_FLOAT2(bessel_ie)

/* Whole numbers. A shift by more bits than there are, or by fewer than none, leaves nothing but the sign. */
MS_SLOW int64_t m_gcd_i64(int64_t x, int64_t y) {
  uint64_t a = x < 0 ? 0 - (uint64_t)x : (uint64_t)x, b = y < 0 ? 0 - (uint64_t)y : (uint64_t)y;
  while (b) {
    const uint64_t r = a % b;
    a = b, b = r;
  }
  return (int64_t)a;
}
MS_SLOW int64_t m_lcm_i64(int64_t x, int64_t y) {
  const int64_t g = m_gcd_i64(x, y);
  const uint64_t product = g ? (uint64_t)(x / g) * (uint64_t)y : 0;
  return (int64_t)product < 0 ? (int64_t)(0 - product) : (int64_t)product;
}
MS_SLOW int64_t m_shift_left(int64_t x, int64_t y, int64_t bits) { return y < 0 || y >= bits ? 0 : (int64_t)((uint64_t)x << y); }
MS_SLOW int64_t m_shift_right(int64_t x, int64_t y, int64_t bits) { return y < 0 || y >= bits ? (x < 0 ? -1 : 0) : x >> y; }

#endif
