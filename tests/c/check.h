/* check.h -- what C tests of operations share: tensors out of literals and noise, comparisons, and gradient checks of first and
 * second order against finite differences. Include it first. */
#ifndef CHECK_H
#define CHECK_H
#include "core/core.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- tools ------------------------------------------------------------------------------------------------------- */

static inline int open_scope(void **state) {
  *state = (void *)(intptr_t)ms_scope_open();
  return 0;
}
static inline int close_scope(void **state) {
  if (ms_error()) print_message("left over: %s\n", ms_error());
  bool clean = !ms_error();
  ms_error_clear();
  ms_scope_close((int)(intptr_t)*state);
  return clean ? 0 : -1;
}

#define SHAPE(...) MS_INTS(__VA_ARGS__)
#define VALUES(...)                                                                                                                \
  (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]) { __VA_ARGS__ }
#define NONE ((ms_ints){0})

static inline ms_tensor *must(ms_tensor *t) {
  if (!t) fail_msg("%s", ms_error() ? ms_error() : "NULL without a message");
  return t;
}

static inline ms_tensor *of(int dtype, ms_ints shape, int n, const double *v) {
  ms_tensor *t = must(ms_from_host(MS_F64, shape.n, shape.at, v, NULL));
  assert_int_equal(ms_numel(t), n);
  return must(ms_cast(t, dtype));
}

static uint64_t lcg = 1;
static inline double uniform(void) { /* -1 .. 1 */
  lcg = lcg * 6364136223846793005u + 1442695040888963407u;
  return (double)(lcg >> 11) / (double)(1ull << 52) - 1;
}
static inline ms_tensor *noise(int dtype, ms_ints shape) {
  int64_t n = 1;
  for (int i = 0; i < shape.n; i++) n *= shape.at[i];
  double *v = malloc((size_t)(n ? n : 1) * sizeof *v);
  for (int64_t i = 0; i < n; i++) v[i] = uniform();
  ms_tensor *t = of(dtype, shape, (int)n, v);
  free(v);
  return t;
}
static inline ms_tensor *positions(int dtype, int64_t bound, ms_ints shape) {
  int64_t n = 1;
  for (int i = 0; i < shape.n; i++) n *= shape.at[i];
  double *v = malloc((size_t)(n ? n : 1) * sizeof *v);
  for (int64_t i = 0; i < n; i++) v[i] = floor((uniform() + 1) / 2 * (double)bound * 0.999999) + 1;
  ms_tensor *t = of(dtype, shape, (int)n, v);
  free(v);
  return t;
}

/* All elements as doubles; the caller frees. */
static inline double *read_all(ms_tensor *t) {
  double *v = malloc((size_t)(ms_numel(must(t)) + 1) * sizeof *v);
  bool was = ms_set_grad_enabled(false);
  assert_int_equal(ms_to_host(must(ms_cast(t, MS_F64)), v), 0);
  ms_set_grad_enabled(was);
  return v;
}

static inline void expect_shape(ms_tensor *t, ms_ints shape) {
  must(t);
  bool same = t->rank == shape.n;
  for (int i = 0; same && i < shape.n; i++) same = t->shape[i] == shape.at[i];
  if (!same) fail_msg("%s, expected %s", ms_shape_str(t), ms_sizes_str(shape.n, shape.at));
}

static inline void expect_within(ms_tensor *t, double tolerance, int n, const double *want) {
  double *v = read_all(t);
  assert_int_equal(ms_numel(t), n);
  for (int i = 0; i < n; i++)
    if (!(fabs(v[i] - want[i]) <= tolerance) && v[i] != want[i] && !(isnan(v[i]) && isnan(want[i])))
      fail_msg("element %d of %s is %.17g, expected %.17g", i + 1, ms_shape_str(t), v[i], want[i]);
  free(v);
}
static inline void expect(ms_tensor *t, int n, const double *want) { expect_within(t, 0, n, want); }

static inline void expect_same(ms_tensor *a, ms_tensor *b, double tolerance) {
  expect_shape(a, ms_sizes(must(b)));
  double *v = read_all(b);
  expect_within(a, tolerance, (int)ms_numel(b), v);
  free(v);
}

static inline void expect_failure(ms_tensor *t, const char *part) {
  assert_null(t);
  if (!ms_error() || !strstr(ms_error(), part))
    fail_msg("message is '%s', expected '%s' in it", ms_error() ? ms_error() : "", part);
  ms_error_clear();
}

static inline double inner_product(ms_tensor *a, ms_tensor *b) { return ms_item(must(ms_sum_all(must(ms_mul(must(a), must(b)))))); }

/* ---- gradient checks ----
 * y = f(x[0..n-1]), all f64. With a seed v of y's shape: first order, d(y . v)/dx against finite differences of y . v; second
 * order, with random w: z(x, v) = sum_i w_i . d(y . v)/dx_i, its derivative in x and in v against finite differences of z. */

typedef ms_tensor *(*function)(int n, ms_tensor *const *x);
enum { MOST = 4 };

static inline ms_tensor *first_order(function f, int n, ms_tensor *const *x, ms_tensor *v, ms_tensor *const *w) {
  ms_tensor *dx[MOST], *z = NULL;
  if (ms_grad(must(f(n, x)), v, n, x, dx, false) < 0) fail_msg("%s", ms_error());
  for (int i = 0; i < n; i++) {
    ms_tensor *part = must(ms_sum_all(must(ms_mul(dx[i], w[i]))));
    z = z ? must(ms_add(z, part)) : part;
  }
  return z;
}

static inline double value_at(function f, int n, ms_tensor *const *x, ms_tensor *v, ms_tensor *const *w) {
  int mark = ms_scope_open();
  double r = w ? ms_item(first_order(f, n, x, v, w)) : inner_product(f(n, x), v);
  ms_scope_close(mark);
  return r;
}

static inline void compare(const char *what, function f, int n, ms_tensor *const *x, ms_tensor *v, ms_tensor *const *w,
                           ms_tensor *of_t, ms_tensor *d) {
  const double eps = 1e-6;
  double *p = ms_data(of_t), *got = d ? read_all(d) : NULL;
  for (int64_t i = 0; i < ms_numel(of_t); i++) {
    double keep = p[i], have = got ? got[i] : 0;
    p[i] = keep + eps;
    double up = value_at(f, n, x, v, w);
    p[i] = keep - eps;
    double slope = (up - value_at(f, n, x, v, w)) / (2 * eps);
    p[i] = keep;
    if (!(fabs(slope - have) <= 1e-5 + 1e-3 * fabs(slope)))
      fail_msg("%s, element %d: %.9g, finite difference %.9g", what, (int)i + 1, have, slope);
  }
  free(got);
}

static inline void gradcheck(function f, int n, ms_tensor *const *x) {
  ms_tensor *v, *w[MOST], *d[MOST + 1], *all[MOST + 1];
  for (int i = 0; i < n; i++) {
    assert_int_equal(x[i]->dtype, MS_F64);
    assert_int_equal(ms_set_requires_grad(x[i], true), 0);
    w[i] = noise(MS_F64, ms_sizes(x[i]));
    all[i] = x[i];
  }
  v = noise(MS_F64, ms_sizes(must(f(n, x))));
  ms_set_requires_grad(v, true);
  all[n] = v;
  if (ms_grad(must(f(n, x)), v, n, x, d, false) < 0) fail_msg("%s", ms_error());
  for (int i = 0; i < n; i++) expect_shape(d[i], ms_sizes(x[i]));
  for (int i = 0; i < n; i++) compare("first order", f, n, x, v, NULL, x[i], d[i]);
  if (ms_grad(first_order(f, n, x, v, w), NULL, n + 1, all, d, true) < 0) fail_msg("%s", ms_error());
  assert_non_null(d[n]); /* the derivative is linear in v */
  for (int i = 0; i <= n; i++) compare("second order", f, n, x, v, w, all[i], d[i]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_scope, close_scope)

#endif
