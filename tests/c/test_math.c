/* test_math.c -- the logarithm, sine and cosine that random numbers are made of (kernels/math.h), against libm's in long double;
 * the ends of uniform numbers, and numbers as elements of a dtype. That their bits are the same everywhere:
 * tests/sh/test_random.sh. */
#include "check.h"
#include "../../kernels/math.h"
#include "philox.h"

/* How many units in the last place of `want`, rounded, `got` is off. */
static double ulp_f32(float got, long double want) {
  const float w = fabsf((float)want);
  return (double)(fabsl((long double)got - want) / ((long double)nextafterf(w, INFINITY) - (long double)w));
}
static double ulp_f64(double got, long double want) {
  const double w = fabs((double)want);
  return (double)(fabsl((long double)got - want) / ((long double)nextafter(w, INFINITY) - (long double)w));
}

/* sin and cos of 2 pi u: the quarter is taken off u, which is exact, before pi makes it inexact. */
static void turn(double u, long double *s, long double *c) {
  const long double q = roundl((long double)u * 4), r = ((long double)u - q / 4) * 6.283185307179586476925286766559006L;
  const long double x = sinl(r), y = cosl(r);
  const int k = (int)q & 3;
  *s = k == 0 ? x : k == 1 ? y : k == 2 ? -x : -y;
  *c = k == 0 ? y : k == 1 ? -x : k == 2 ? -y : x;
}

static double worst(double a, double b) { return a > b ? a : b; }

static void test_against_libm(void **state) {
  (void)state;
  double turn32 = 0, turn64 = 0, ln32 = 0, ln64 = 0;
  for (uint64_t i = 0; i < 200000; i++) {
    const ms_philox r = ms_philox4x32(7, i);
    long double s, c;
    float s32, c32;
    double s64, c64;
    const float u = i < 17 ? (float)i / 16 * 0x1.fffffep-1f : ms_uniform_f32(r.v[0]), o = ms_uniform_open_f32(r.v[1]);
    m_turn_f32(u, &s32, &c32);
    turn((double)u, &s, &c);
    turn32 = worst(turn32, worst(ulp_f32(s32, s), ulp_f32(c32, c)));
    if (o < 1) ln32 = worst(ln32, ulp_f32(m_ln_f32(o), logl((long double)o)));
    const double v = ms_uniform_f64(r.v[0], r.v[1]), p = ms_uniform_open_f64(r.v[2], r.v[3]);
    m_turn_f64(v, &s64, &c64);
    turn(v, &s, &c);
    turn64 = worst(turn64, worst(ulp_f64(s64, s), ulp_f64(c64, c)));
    if (p < 1) ln64 = worst(ln64, ulp_f64(m_ln_f64(p), logl((long double)p)));
  }
  if (turn32 > 1.5 || turn64 > 1.5 || ln32 > 2.5 || ln64 > 2.5)
    fail_msg("units off: sin, cos %.2f (f32), %.2f (f64); log %.2f, %.2f", turn32, turn64, ln32, ln64);
}

static void test_ends(void **state) {
  (void)state;
  assert_true(m_ln_f32(1) == 0 && m_ln_f64(1) == 0);
  assert_true(fabs(m_ln_f32(0x1p-24f) + 24 * 0.69314718055994531) < 2e-6);
  assert_true(fabs(m_ln_f64(0x1p-53) + 53 * 0.69314718055994531) < 1e-14);
  assert_true(ms_uniform_f32(0) == 0 && ms_uniform_f32(UINT32_MAX) == 1 - 0x1p-24f);
  assert_true(ms_uniform_open_f32(0) == 0x1p-24f && ms_uniform_open_f32(UINT32_MAX) == 1);
  assert_true(ms_uniform_f64(0, 0) == 0 && ms_uniform_f64(UINT32_MAX, UINT32_MAX) == 1 - 0x1p-53);
  assert_true(ms_uniform_open_f64(0, 0) == 0x1p-53 && ms_uniform_open_f64(UINT32_MAX, UINT32_MAX) == 1);
  for (int k = 0; k < 4; k++) { /* quarters are exact */
    float s, c;
    double S, C;
    m_turn_f32((float)k / 4, &s, &c), m_turn_f64(k / 4.0, &S, &C);
    assert_true(s == (k == 1) - (k == 3) && c == (k == 0) - (k == 2));
    assert_true(S == (k == 1) - (k == 3) && C == (k == 0) - (k == 2));
  }
}

/* A number operand, as a kernel gets it. */
static void test_numbers_as_elements(void **state) {
  (void)state;
  static const struct {
    double value;
    uint16_t f16, bf16;
  } numbers[] = {{0, 0, 0},
                 {1, 0x3c00, 0x3f80},
                 {-2.5, 0xc100, 0xc020},
                 {65504, 0x7bff, 0x4780},
                 {1e30, 0x7c00, 0x714a},
                 {0x1p-24, 1, 0x3380},
                 {0.1, 0x2e66, 0x3dcd},
                 {-INFINITY, 0xfc00, 0xff80}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    uint16_t h = 0xaaaa;
    assert_int_equal(ms_put_number(&h, MS_F16, ms_scalar_of(numbers[i].value)), 0);
    assert_int_equal(h, numbers[i].f16);
    assert_int_equal(ms_put_number(&h, MS_BF16, ms_scalar_of(numbers[i].value)), 0);
    assert_int_equal(h, numbers[i].bf16);
  }
  uint8_t byte;
  assert_int_equal(ms_put_number(&byte, MS_U8, ms_scalar_of(255)), 0);
  assert_int_equal(byte, 255);
  assert_int_equal(ms_put_number(&byte, MS_U8, ms_scalar_of(256)), -1);
  ms_error_clear();
}

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_against_libm), TEST(test_ends), TEST(test_numbers_as_elements)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
