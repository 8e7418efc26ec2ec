/* test_eigen.c -- eigenvectors, covariance and principal components: against NumPy's and scikit-learn's figures and the definition.
 */
#include "classic.h"

/* values and vectors are orthonormal, ordered, and a v = value v. */
static void check_eigen(int64_t n, const double *a, const double *values, const double *vectors, double size) {
  for (int64_t i = 0; i < n; i++) {
    const double *v = vectors + i * n;
    if (i > 0) assert_true(values[i] <= values[i - 1]);
    double residual = 0;
    int64_t most = 0;
    for (int64_t r = 0; r < n; r++) {
      double av = 0;
      for (int64_t c = 0; c < n; c++) av += a[r * n + c] * v[c];
      residual = fmax(residual, fabs(av - values[i] * v[r]));
      if (fabs(v[r]) > fabs(v[most])) most = r;
    }
    near_to(residual, 0, 1e-13 * size * (double)n);
    assert_true(v[most] > 0);
    for (int64_t j = 0; j <= i; j++) {
      double dot = 0;
      for (int64_t r = 0; r < n; r++) dot += v[r] * vectors[j * n + r];
      near_to(dot, i == j, 1e-14 * (double)(n + 10));
    }
  }
}

static void eigen_cases(void) {
  enum { MOST = 130 };
  static double a[MOST * MOST], values[MOST], vectors[MOST * MOST];
  static const int sizes[] = {1, 2, 3, 8, 31, 64, 130};
  noise_state = 3;
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int kind = 0; kind < 7; kind++) {
      const int n = sizes[s];
      const double scale = kind == 5 ? 1e200 : kind == 6 ? 1e-200 : 1;
      for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
          double v = scale * (noise() - 0.5);
          if (kind == 1) v = 0;
          if (kind == 2) v = i == j ? 2 - (i % 2) : 0; /* diagonal with equal values */
          if (kind == 3) v = 1;                        /* rank one */
          if (kind == 4) v = i < n / 2 && j < n / 2 ? v : 0;
          a[i * n + j] = a[j * n + i] = v;
        }
      assert_int_equal(ms_eigen_symmetric(n, a, values, vectors), 0);
      check_eigen(n, a, values, vectors, scale);
    }
}

static void eigen_properties(void **state) {
  (void)state;
  each_isa(eigen_cases);
}

static void eigen_numpy(void **state) {
  (void)state;
  enum { N = 40 };
  double a[N * N], values[N], vectors[N * N];
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) a[i * N + j] = sin(1 + i * j) + cos(i + j);
  assert_int_equal(ms_eigen_symmetric(N, a, values, vectors), 0);
  const double *want = expected("eigen_values", N);
  for (int i = 0; i < N; i++) near_to(values[i], want[i], 1e-12);
  want = expected("eigen_vector_1", N);
  for (int i = 0; i < N; i++) near_to(vectors[i], want[i], 1e-11);
  want = expected("eigen_vector_40", N);
  for (int i = 0; i < N; i++) near_to(vectors[39 * N + i], want[i], 1e-11);
  a[N + 1] = NAN;
  assert_int_equal(ms_eigen_symmetric(N, a, values, vectors), -1);
  failed("eigen: a[2][2] = nan");
}

/* A matrix large enough for the threads; the bits do not depend on how many there are. */
static void eigen_threads(void **state) {
  (void)state;
  enum { N = 500 };
  double *a = malloc(sizeof(double) * N * N), *v = malloc(sizeof(double) * N * N), *w = malloc(sizeof(double) * N * N);
  double x[N], y[N];
  noise_state = 5;
  for (int i = 0; i < N; i++)
    for (int j = 0; j <= i; j++) a[i * N + j] = a[j * N + i] = noise() - 0.5;
  const int threads = ms_threads();
  ms_set_threads(1);
  assert_int_equal(ms_eigen_symmetric(N, a, x, v), 0);
  ms_set_threads(2);
  assert_int_equal(ms_eigen_symmetric(N, a, y, w), 0);
  ms_set_threads(threads);
  assert_memory_equal(x, y, sizeof x);
  assert_memory_equal(v, w, sizeof(double) * N * N);
  check_eigen(N, a, x, v, 1);
  free(a), free(v), free(w);
}

static double pca_error(const ms_pca *p, int64_t n, int64_t d, const float *x) {
  float *codes = malloc((size_t)(n * ms_pca_components(p)) * sizeof *codes), *back = malloc((size_t)(n * d) * sizeof *back);
  assert_int_equal(ms_pca_transform(p, n, x, codes), 0);
  assert_int_equal(ms_pca_inverse(p, n, codes, back), 0);
  double sum = 0;
  for (int64_t i = 0; i < n * d; i++) sum += ((double)back[i] - (double)x[i]) * ((double)back[i] - (double)x[i]);
  free(codes), free(back);
  return sum / (double)(n * d);
}

static void pca_checks(void) {
  ms_pca *p = ms_pca_fit(DIGITS, PIXELS, &digits_x[0][0], PIXELS);
  assert_non_null(p);
  const double *want = expected("pca_variance", PIXELS);
  double total = 0;
  for (int i = 0; i < PIXELS; i++) near_to(ms_pca_variance(p)[i], want[i], 1e-11 * want[0]), total += want[i];
  near_to(ms_pca_total(p), total, 1e-9);
  want = expected("pca_basis", 3 * PIXELS);
  for (int i = 0; i < 3 * PIXELS; i++) near_to(ms_pca_basis(p)[i], want[i], 1e-10);
  near_to(pca_error(p, DIGITS, PIXELS, &digits_x[0][0]), 0, 1e-11); /* nothing is lost with all of them */
  ms_pca_free(p);
  for (int k = 1; k <= 32; k = k == 1 ? 8 : 4 * k) {
    char name[32];
    snprintf(name, sizeof name, "pca_error_%d", k);
    p = ms_pca_fit(DIGITS, PIXELS, &digits_x[0][0], k);
    near_to(pca_error(p, DIGITS, PIXELS, &digits_x[0][0]), expected(name, 1)[0], 1e-5);
    ms_pca_free(p);
  }
}

static void pca_digits(void **state) {
  (void)state;
  each_isa(pca_checks);
}

static void covariance_cases(void) {
  static const int64_t shape[][2] = {{2, 1}, {3, 17}, {300, 5}, {257, 33}, {513, 48}};
  noise_state = 9;
  for (size_t s = 0; s < sizeof shape / sizeof *shape; s++) {
    const int64_t n = shape[s][0], d = shape[s][1];
    float *x = noisy(n, d, 2, 500);
    double mean[64], *c = malloc((size_t)(d * d) * sizeof *c);
    assert_int_equal(ms_covariance(n, d, x, mean, c), 0);
    for (int64_t i = 0; i < d; i++)
      for (int64_t j = 0; j < d; j++) {
        double mi = 0, mj = 0, sum = 0;
        for (int64_t r = 0; r < n; r++) mi += (double)x[r * d + i], mj += (double)x[r * d + j];
        mi /= (double)n, mj /= (double)n;
        for (int64_t r = 0; r < n; r++) sum += ((double)x[r * d + i] - mi) * ((double)x[r * d + j] - mj);
        near_to(mean[i], mi, 1e-10);
        near_to(c[i * d + j], sum / (double)(n - 1), 1e-11);
      }
    free(x), free(c);
  }
}

static void covariance_is_exact(void **state) {
  (void)state;
  each_isa(covariance_cases);
}

static void pca_models(void **state) {
  (void)state;
  ms_pca *p = ms_pca_fit(IRIS, 4, &iris_x[0][0], 3);
  assert_non_null(p);
  ms_pca *q = ms_pca_set(4, 3, ms_pca_mean(p), ms_pca_basis(p), ms_pca_variance(p), ms_pca_total(p));
  assert_non_null(q);
  assert_int_equal(ms_pca_features(q), 4);
  near_to(pca_error(q, IRIS, 4, &iris_x[0][0]), pca_error(p, IRIS, 4, &iris_x[0][0]), 0);
  near_to(ms_pca_variance(q)[0] / ms_pca_total(q), 0.92461872, 1e-6); /* scikit-learn's explained_variance_ratio_ */
  ms_pca_free(p), ms_pca_free(q), ms_pca_free(NULL);
  assert_null(ms_pca_fit(IRIS, 4, &iris_x[0][0], 5));
  failed("1 <= k <= d");
  assert_null(ms_pca_fit(1, 4, &iris_x[0][0], 2));
  failed("at least 2 rows");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(eigen_properties),    cmocka_unit_test(eigen_numpy),
                                     cmocka_unit_test(eigen_threads),       cmocka_unit_test(pca_digits),
                                     cmocka_unit_test(covariance_is_exact), cmocka_unit_test(pca_models)};
  return cmocka_run_group_tests(tests, load, NULL);
}
