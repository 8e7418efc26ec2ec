/* test_neighbours.c -- nearest neighbours, and the metrics of a classification: against scikit-learn's figures and the slow
 * definition.
 */
#include "classic.h"

/* ---- nearest neighbours ------------------------------------------------------------------------------------------ */

static double true_distance(const float *a, const float *b, int64_t d) {
  double sum = 0;
  for (int64_t j = 0; j < d; j++) sum += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
  return sum;
}

/* Every neighbour list against the definition: k rows, no row left out is nearer, order by (distance, row). A relative 1e-13 apart
 * counts as equal, since the two sums add in different orders. */
static void check_neighbours(int64_t n, int64_t nq, int64_t d, int64_t k, const float *x, const float *q) {
  ms_knn *m = ms_knn_fit(n, d, x, NULL, 0);
  assert_non_null(m);
  int32_t *index = malloc((size_t)(nq * k) * sizeof *index);
  float *distance = malloc((size_t)(nq * k) * sizeof *distance);
  bool *taken = malloc((size_t)n);
  assert_int_equal(ms_knn_query(m, nq, q, k, index, distance), 0);
  for (int64_t i = 0; i < nq; i++) {
    double last = 0;
    int32_t last_row = 0;
    memset(taken, 0, (size_t)n);
    for (int64_t j = 0; j < k; j++) {
      const int32_t row = index[i * k + j];
      assert_in_range(row, 1, n);
      assert_false(taken[row - 1]);
      taken[row - 1] = true;
      const double d2 = true_distance(q + i * d, x + (row - 1) * d, d);
      near_to(distance[i * k + j], sqrt(d2), 1e-7 * sqrt(d2));
      assert_true(d2 >= last * (1 - 1e-13));
      if (d2 == last && j > 0 && d2 == 0) assert_true(row > last_row);
      last = d2, last_row = row;
    }
    for (int64_t r = 0; r < n; r++)
      if (!taken[r]) {
        const double d2 = true_distance(q + i * d, x + r * d, d);
        if (d2 < last * (1 - 1e-13) || (d2 == 0 && last == 0 && r + 1 < last_row))
          fail_msg("query %d: row %d at %.17g left out, farthest taken %.17g", (int)i, (int)r + 1, d2, last);
      }
  }
  free(index), free(distance), free(taken);
  ms_knn_free(m);
}

static void neighbour_shapes(void) {
  static const int64_t shape[][4] = {{1, 1, 1, 1},      {5, 3, 2, 5},      {31, 97, 7, 4},    {33, 13, 8, 33},
                                     {700, 50, 3, 9},   {1100, 30, 40, 1}, {600, 20, 515, 7}, {1300, 8, 17, 1200},
                                     {900, 20, 24, 12}, {900, 20, 24, 13}};
  noise_state = 7;
  for (size_t s = 0; s < sizeof shape / sizeof *shape; s++) {
    const int64_t n = shape[s][0], nq = shape[s][1], d = shape[s][2], k = shape[s][3];
    static const float scales[][2] = {{1, 0}, {1, 1000}, {1e-3f, 1e4f}, {1e-25f, 0}, {3e17f, 0}, {1e25f, 0}, {0, 3}};
    for (size_t v = 0; v < sizeof scales / sizeof *scales; v++) {
      float *x = noisy(n, d, scales[v][0], scales[v][1]), *q = noisy(nq, d, scales[v][0], scales[v][1]);
      for (int64_t i = 0; i < nq; i += 3) memcpy(q + i * d, x + (i * 7 % n) * d, (size_t)d * sizeof *x); /* at distance 0 */
      check_neighbours(n, nq, d, k, x, q);
      /* two heaps far apart: the mean is no help, f32 scores cancel and tell nothing about who is near */
      for (int64_t i = 0; i < n; i += 2)
        for (int64_t j = 0; j < d; j++) x[i * d + j] += 3000 * scales[v][0];
      for (int64_t i = 1; i < nq; i += 2)
        for (int64_t j = 0; j < d; j++) q[i * d + j] += 3000 * scales[v][0];
      check_neighbours(n, nq, d, k, x, q);
      /* few different rows: the nearest, the k-th and many others are equal */
      for (int64_t i = 4; i < n; i++) memcpy(x + i * d, x + i % 4 * d, (size_t)d * sizeof *x);
      check_neighbours(n, nq, d, k, x, q);
      free(x), free(q);
    }
  }
}

static void knn_is_exact(void **state) {
  (void)state;
  each_isa(neighbour_shapes);
}

static void knn_ties(void **state) {
  (void)state;
  /* Four rows at distance 1 of the origin, twice; all votes and distances equal. */
  const float x[8][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}, {1, 0}, {0, 1}, {-1, 0}, {0, -1}},
              q[3][2] = {{0, 0}, {1, 0}, {0.25f, 0}};
  const int32_t y[8] = {3, 2, 2, 3, 1, 1, 4, 4};
  ms_knn *m = ms_knn_fit(8, 2, &x[0][0], y, 0);
  assert_non_null(m);
  assert_int_equal(ms_knn_classes(m), 4);
  int32_t index[24], got[3];
  float distance[24], proba[12];
  assert_int_equal(ms_knn_query(m, 3, &q[0][0], 5, index, distance), 0);
  for (int i = 0; i < 5; i++) assert_int_equal(index[i], i + 1);
  assert_int_equal(index[5], 1);
  assert_int_equal(index[6], 5);
  assert_true(distance[5] == 0 && distance[6] == 0);
  near_to(distance[7], sqrt(2), 1e-7);
  assert_int_equal(ms_knn_classify(m, 3, &q[0][0], 8, MS_KNN_UNIFORM, got, proba), 0);
  for (int i = 0; i < 3; i++) assert_int_equal(got[i], 1); /* two votes each */
  for (int i = 0; i < 12; i++) near_to(proba[i], 0.25, 0);
  assert_int_equal(ms_knn_classify(m, 3, &q[0][0], 8, MS_KNN_DISTANCE, got, proba), 0);
  near_to(proba[4], 0.5, 0), near_to(proba[5], 0, 0), near_to(proba[6], 0.5, 0), near_to(proba[7], 0, 0); /* distance 0 alone */
  assert_int_equal(got[1], 1);
  /* the third query: rows at .75 (classes 3, 1), 1.03 (2, 3, 1, 4) and 1.25 (2, 4) */
  const double near3 = 1 / 0.75, middle = 1 / sqrt(1.0625), far = 1 / 1.25, all = 2 * near3 + 4 * middle + 2 * far;
  near_to(proba[8], (near3 + middle) / all, 1e-6);
  near_to(proba[9], (middle + far) / all, 1e-6);
  near_to(proba[10], (near3 + middle) / all, 1e-6);
  near_to(proba[11], (middle + far) / all, 1e-6);
  ms_knn_free(m);
}

static void knn_digits(void **state) {
  (void)state;
  ms_knn *m = ms_knn_fit(TRAIN, PIXELS, &train_x[0][0], train_y, 10);
  assert_non_null(m);
  int32_t got[TEST];
  for (int k = 1; k <= 5; k += 2) {
    char name[32];
    snprintf(name, sizeof name, "knn_accuracy_%d", k);
    assert_int_equal(ms_knn_classify(m, TEST, &test_x[0][0], k, MS_KNN_UNIFORM, got, NULL), 0);
    near_to(ms_accuracy(TEST, test_y, got), expected(name, 1)[0], 1e-12);
  }
  int32_t index[200];
  float distance[200];
  assert_int_equal(ms_knn_query(m, 40, &test_x[0][0], 5, index, distance), 0);
  const double *rows = expected("knn_rows", 200);
  for (int i = 0; i < 200; i++) assert_int_equal(index[i], (int)rows[i]);
  const double *far = expected("knn_distances", 200);
  for (int i = 0; i < 200; i++) near_to(distance[i], far[i], 1e-5);
  ms_knn_free(m);
}

static void knn_refuses(void **state) {
  (void)state;
  float x[6] = {1, 2, 3, 4, 5, 6};
  int32_t y[3] = {1, 2, 0}, out[3];
  assert_null(ms_knn_fit(3, 2, x, y, 2));
  failed("knn: y[3] = 0, expected 1..2");
  assert_null(ms_knn_fit(0, 2, x, NULL, 0));
  failed("0 x 2");
  y[2] = 2;
  ms_knn *m = ms_knn_fit(3, 2, x, y, 2);
  assert_int_equal(ms_knn_query(m, 1, x, 4, out, NULL), -1);
  failed("1 <= k <= 3 training rows, got 4");
  assert_int_equal(ms_knn_query(m, 0, x, 1, out, NULL), 0);
  x[3] = NAN;
  assert_int_equal(ms_knn_query(m, 3, x, 1, out, NULL), -1);
  failed("knn: query[2][2] = nan");
  assert_null(ms_knn_fit(3, 2, x, NULL, 0));
  failed("knn: x[2][2] = nan");
  ms_knn_free(m);
  x[3] = 0;
  m = ms_knn_fit(3, 2, x, NULL, 0);
  assert_int_equal(ms_knn_classify(m, 1, x, 1, MS_KNN_UNIFORM, out, NULL), -1);
  failed("labels");
  ms_knn_free(m);
  ms_knn_free(NULL);
}

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

static void metrics(void **state) {
  (void)state;
  const int32_t truth[6] = {1, 2, 3, 3, 2, 1}, got[6] = {1, 3, 3, 3, 2, 2};
  near_to(ms_accuracy(6, truth, got), 4.0 / 6, 1e-15);
  int64_t counts[9];
  const int64_t want[9] = {1, 1, 0, 0, 1, 1, 0, 0, 2};
  assert_int_equal(ms_confusion(6, 3, truth, got, counts), 0);
  assert_memory_equal(counts, want, sizeof want);
  assert_int_equal(ms_confusion(6, 2, truth, got, counts), -1);
  failed("truth[3] = 3, expected 1..2");
  assert_true(isnan(ms_accuracy(0, truth, got)));
  failed("accuracy");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(knn_is_exact), cmocka_unit_test(knn_ties), cmocka_unit_test(knn_digits),
                                     cmocka_unit_test(knn_refuses), cmocka_unit_test(metrics)};
  return cmocka_run_group_tests(tests, load, NULL);
}
