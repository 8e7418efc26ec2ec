/* test_ml.c -- nearest neighbours, forests, eigenvectors, principal components and metrics, against scikit-learn's and NumPy's
 * figures (tests/data, made by tests/peers/make_classic_data.py) and against the slow definition. Runs in the root of the
 * repository. */
#include "ml/internal.h"
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

/* ---- data -------------------------------------------------------------------------------------------------------- */

enum { IRIS = 150, DIGITS = 1797, TRAIN = 898, TEST = 899, PIXELS = 64 };

static float iris_x[IRIS][4], digits_x[DIGITS][PIXELS], train_x[TRAIN][PIXELS], test_x[TEST][PIXELS];
static int32_t iris_y[IRIS], train_y[TRAIN], test_y[TEST];

static FILE *open_data(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "tests/data/%s", name);
  FILE *f = fopen(path, "r");
  if (!f) fprintf(stderr, "test_ml: cannot open %s: run me in the root of the repository\n", path);
  return f;
}

static int load(void **state) {
  (void)state;
  FILE *f = open_data("iris.csv");
  if (!f) return -1;
  for (int i = 0; i < IRIS; i++) {
    float *x = iris_x[i];
    if (fscanf(f, "%f,%f,%f,%f,%d", &x[0], &x[1], &x[2], &x[3], &iris_y[i]) != 5) return -1;
  }
  fclose(f);
  if (!(f = open_data("digits.csv"))) return -1;
  for (int i = 0; i < DIGITS; i++) {
    int place, class;
    char symbol[PIXELS + 1];
    if (fscanf(f, "%d,%d,%64s", &place, &class, symbol) != 3 || place == 0 || place > TRAIN || place < -TEST) return -1;
    for (int j = 0; j < PIXELS; j++) digits_x[i][j] = (float)(symbol[j] <= '9' ? symbol[j] - '0' : symbol[j] - 'a' + 10);
    memcpy(place > 0 ? train_x[place - 1] : test_x[-place - 1], digits_x[i], sizeof digits_x[i]);
    *(place > 0 ? &train_y[place - 1] : &test_y[-place - 1]) = class;
  }
  fclose(f);
  return 0;
}

/* n numbers of a line of classic_expected.csv. */
static const double *expected(const char *name, int n) {
  static double value[256];
  static char line[1 << 14];
  FILE *f = open_data("classic_expected.csv");
  assert_non_null(f);
  const size_t length = strlen(name);
  while (fgets(line, sizeof line, f)) {
    if (strncmp(line, name, length) || line[length] != ',') continue;
    char *at = line + length;
    for (int i = 0; i < n; i++) {
      assert_int_equal(*at, ',');
      value[i] = strtod(at + 1, &at);
    }
    assert_int_equal(*at, '\n');
    fclose(f);
    return value;
  }
  fclose(f);
  fail_msg("no line %s in classic_expected.csv", name);
  return NULL;
}

static void near_to(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance)) fail_msg("got %.17g, expected %.17g +- %g", got, want, tolerance);
}

/* The last call failed and said `part`. */
static void failed(const char *part) {
  const char *why = ms_error();
  if (!why || !strstr(why, part)) fail_msg("expected an error with \"%s\", got: %s", part, why ? why : "none");
  ms_error_clear();
}

static uint64_t noise_state;
static double noise(void) { /* in [0, 1) */
  noise_state = noise_state * 6364136223846793005u + 1442695040888963407u;
  return (double)(noise_state >> 11) * 0x1p-53;
}

static float *noisy(int64_t n, int64_t d, float scale, float offset) {
  float *x = malloc((size_t)(n * d) * sizeof *x);
  assert_non_null(x);
  for (int64_t i = 0; i < n * d; i++) x[i] = offset + scale * (float)noise();
  return x;
}

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

static void each_isa(void (*check)(void)) {
  for (int isa = ML_BASE; isa <= ML_AVX512; isa++) {
    ml_limit_isa(isa);
    check();
  }
}

static void neighbour_shapes(void) {
  static const int64_t shape[][4] = {{1, 1, 1, 1},    {5, 3, 2, 5},      {31, 97, 7, 4},    {33, 13, 8, 33},
                                     {700, 50, 3, 9}, {1100, 30, 40, 1}, {600, 20, 515, 7}, {1300, 8, 17, 1200}};
  noise_state = 7;
  for (size_t s = 0; s < sizeof shape / sizeof *shape; s++) {
    const int64_t n = shape[s][0], nq = shape[s][1], d = shape[s][2], k = shape[s][3];
    static const float scales[][2] = {{1, 0}, {1, 1000}, {1e-3f, 1e4f}, {1e-25f, 0}, {1e25f, 0}, {0, 3}};
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

/* ---- trees and forests ------------------------------------------------------------------------------------------- */

static void iris_tree(void **state) {
  (void)state;
  ms_forest_options o = ms_tree_defaults();
  for (o.seed = 0; o.seed < 20; o.seed++) {
    ms_forest *f = ms_forest_fit(IRIS, 4, &iris_x[0][0], iris_y, 0, &o);
    assert_non_null(f);
    const double *want = expected("iris_tree", 2);
    /* Splits of equal gain are taken in the order the features were drawn in: some seeds give another tree, none a much larger one.
     */
    assert_in_range(ms_forest_nodes(f, 0), 15, 19);
    assert_in_range(ms_forest_depth(f, 0), 5, 6);
    if (o.seed == 0) {
      assert_int_equal(ms_forest_nodes(f, 0), (int)want[0]);
      assert_int_equal(ms_forest_depth(f, 0), (int)want[1]);
      /* the root tells setosa apart: petal length 2.45 or petal width 0.8 */
      const ms_forest_arrays a = ms_forest_get(f);
      near_to(a.threshold[0], a.feature[0] == 2 ? 2.45 : 0.8, 1e-6);
      assert_in_range(a.feature[0], 2, 3);
      assert_int_equal(a.leaf[a.left[0]], 1);
    }
    int32_t got[IRIS];
    assert_int_equal(ms_forest_predict(f, IRIS, &iris_x[0][0], got), 0);
    near_to(ms_accuracy(IRIS, iris_y, got), 1, 0);
    ms_forest_free(f);
  }
}

/* gini gain of a boundary, by the definition: sum over both sides of sum(count^2) / size. */
static double side_score(const int32_t *y, const bool *side, bool which, int64_t n, int64_t *size) {
  double count[8] = {0}, sum = 0;
  *size = 0;
  for (int64_t i = 0; i < n; i++)
    if (side[i] == which) count[y[i]]++, ++*size;
  for (int c = 0; c < 8; c++) sum += count[c] * count[c];
  return *size ? sum / (double)*size : 0;
}

static void root_is_best_split(void **state) {
  (void)state;
  enum { N = 300, D = 5 };
  noise_state = 11;
  for (int round = 0; round < 8; round++) {
    const int64_t min_leaf = round < 4 ? 1 : 40;
    float *x = noisy(N, D, round % 2 ? 6 : 1, -1);
    int32_t y[N];
    bool side[N];
    if (round % 2)
      for (int i = 0; i < N * D; i++) x[i] = floorf(x[i]); /* few distinct values */
    for (int i = 0; i < N; i++) y[i] = 1 + (int)(3 * noise()) + (x[i * D + 2] + 0.3f * x[i * D] > 0.2f);
    double best = 0;
    int64_t left, right;
    for (int j = 0; j < D; j++)
      for (int b = 0; b < N; b++) {
        for (int i = 0; i < N; i++) side[i] = x[i * D + j] <= x[b * D + j];
        const double score = side_score(y, side, true, N, &left) + side_score(y, side, false, N, &right);
        if (left >= min_leaf && right >= min_leaf && score > best) best = score;
      }
    ms_forest_options o = ms_tree_defaults();
    o.min_leaf = min_leaf;
    o.seed = (uint64_t)round;
    ms_forest *f = ms_forest_fit(N, D, x, y, 0, &o);
    assert_non_null(f);
    const ms_forest_arrays a = ms_forest_get(f);
    for (int i = 0; i < N; i++) side[i] = x[i * D + a.feature[0]] <= a.threshold[0];
    near_to(side_score(y, side, true, N, &left) + side_score(y, side, false, N, &right), best, 1e-9);
    /* shares of every leaf are those of the training rows in it */
    double proba[N][8], again[N];
    int32_t at[N];
    assert_int_equal(ms_forest_proba(f, N, x, &proba[0][0]), 0);
    for (int i = 0; i < N; i++) {
      at[i] = 0;
      while (a.feature[at[i]] >= 0) at[i] = a.left[at[i]] + !(x[i * D + a.feature[at[i]]] <= a.threshold[at[i]]);
    }
    for (int i = 0; i < N; i++) {
      int64_t size = 0, same = 0;
      for (int k = 0; k < N; k++)
        if (at[k] == at[i]) size++, same += y[k] == y[i];
      assert_true(size >= min_leaf);
      again[i] = (double)same / (double)size;
      near_to((&proba[0][0])[i * a.classes + y[i] - 1], again[i], 1e-12);
    }
    ms_forest_free(f);
    free(x);
  }
}

static void forest_digits(void **state) {
  (void)state;
  double mean = 0, nodes = 0;
  enum { SEEDS = 20 };
  ms_forest_options o = ms_forest_defaults();
  for (o.seed = 1; o.seed <= SEEDS; o.seed++) {
    ms_forest *f = ms_forest_fit(TRAIN, PIXELS, &train_x[0][0], train_y, 10, &o);
    assert_non_null(f);
    int32_t got[TEST];
    assert_int_equal(ms_forest_predict(f, TEST, &test_x[0][0], got), 0);
    mean += ms_accuracy(TEST, test_y, got) / SEEDS;
    nodes += (double)ms_forest_get(f).nodes / 100 / SEEDS;
    ms_forest_free(f);
  }
  near_to(mean, expected("forest_accuracy", 1)[0], 0.005);
  near_to(nodes, expected("forest_nodes", 1)[0], 3); /* 20 seeds of scikit-learn: 246.1, sd of a forest's mean 0.9 */
}

static void same_forest(const ms_forest *f, const ms_forest *g) {
  const ms_forest_arrays a = ms_forest_get(f), b = ms_forest_get(g);
  assert_int_equal(a.nodes, b.nodes);
  assert_int_equal(a.rows, b.rows);
  assert_memory_equal(a.first, b.first, (size_t)(a.trees + 1) * sizeof *a.first);
  assert_memory_equal(a.feature, b.feature, (size_t)a.nodes * sizeof *a.feature);
  assert_memory_equal(a.threshold, b.threshold, (size_t)a.nodes * sizeof *a.threshold);
  assert_memory_equal(a.left, b.left, (size_t)a.nodes * sizeof *a.left);
  assert_memory_equal(a.leaf, b.leaf, (size_t)a.nodes * sizeof *a.leaf);
  assert_memory_equal(a.proba, b.proba, (size_t)(a.rows * a.classes) * sizeof *a.proba);
}

static void forest_is_deterministic(void **state) {
  (void)state;
  ms_forest_options o = ms_forest_defaults();
  o.trees = 13, o.seed = 42, o.min_leaf = 3;
  const int threads = ms_threads();
  ms_set_threads(1);
  ms_forest *one = ms_forest_fit(TRAIN, PIXELS, &train_x[0][0], train_y, 10, &o);
  static double p[TEST * 10], q[TEST * 10];
  assert_int_equal(ms_forest_proba(one, TEST, &test_x[0][0], p), 0);
  ms_set_threads(3);
  ms_forest *three = ms_forest_fit(TRAIN, PIXELS, &train_x[0][0], train_y, 10, &o);
  assert_int_equal(ms_forest_proba(three, TEST, &test_x[0][0], q), 0);
  ms_set_threads(threads);
  same_forest(one, three);
  assert_memory_equal(p, q, sizeof p);
  for (int i = 0; i < TEST; i++) {
    double sum = 0;
    for (int c = 0; c < 10; c++) sum += p[i * 10 + c];
    near_to(sum, 1, 1e-12);
  }
  o.seed = 43;
  ms_forest *other = ms_forest_fit(TRAIN, PIXELS, &train_x[0][0], train_y, 10, &o);
  assert_true(ms_forest_get(other).nodes != ms_forest_get(one).nodes);
  ms_forest_free(one), ms_forest_free(three), ms_forest_free(other);
}

static void forest_options_hold(void **state) {
  (void)state;
  ms_forest_options o = ms_forest_defaults();
  o.trees = 5, o.max_depth = 3;
  ms_forest *f = ms_forest_fit(TRAIN, PIXELS, &train_x[0][0], train_y, 10, &o);
  for (int t = 0; t < 5; t++) assert_true(ms_forest_depth(f, t) == 3 && ms_forest_nodes(f, t) <= 15);
  assert_int_equal(ms_forest_nodes(f, 5), -1);
  assert_true(ms_forest_get(f).rows > 0);
  ms_forest_free(f);
  /* one row, one class, constant features, equal rows of two classes */
  const float x[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  const int32_t y[4] = {2, 1, 2, 1};
  int32_t got[4];
  double proba[8];
  o = ms_tree_defaults();
  f = ms_forest_fit(4, 2, x, y, 0, &o);
  assert_int_equal(ms_forest_nodes(f, 0), 1);
  assert_int_equal(ms_forest_proba(f, 4, x, proba), 0);
  for (int i = 0; i < 8; i++) near_to(proba[i], 0.5, 0);
  assert_int_equal(ms_forest_predict(f, 4, x, got), 0);
  for (int i = 0; i < 4; i++) assert_int_equal(got[i], 1); /* the smaller class */
  ms_forest_free(f);
  f = ms_forest_fit(1, 8, x, y, 0, &o);
  assert_int_equal(ms_forest_predict(f, 1, x, got), 0);
  assert_int_equal(got[0], 2);
  ms_forest_free(f);
  /* one informative feature among constant ones is found though only one is drawn at first; neighbours in f32 are told apart */
  float wide[2][30] = {{0}};
  wide[0][17] = 1, wide[1][17] = nextafterf(1, 2);
  o.max_features = 1;
  for (o.seed = 0; o.seed < 10; o.seed++) {
    f = ms_forest_fit(2, 30, &wide[0][0], y, 0, &o);
    assert_int_equal(ms_forest_nodes(f, 0), 3);
    assert_int_equal(ms_forest_get(f).feature[0], 17);
    assert_int_equal(ms_forest_predict(f, 2, &wide[0][0], got), 0);
    assert_int_equal(got[0], 2);
    assert_int_equal(got[1], 1);
    ms_forest_free(f);
  }
}

static void forest_refuses(void **state) {
  (void)state;
  float x[4] = {1, 2, 3, INFINITY};
  int32_t y[2] = {1, 3};
  ms_forest_options o = ms_forest_defaults();
  assert_null(ms_forest_fit(2, 2, x, y, 0, &o));
  failed("forest: x[2][2] = inf");
  x[3] = 4;
  assert_null(ms_forest_fit(2, 2, x, y, 2, &o));
  failed("forest: y[2] = 3, expected 1..2");
  o.max_features = 3;
  assert_null(ms_forest_fit(2, 2, x, y, 0, &o));
  failed("max_features 1..2");
  o = ms_forest_defaults();
  o.trees = 0;
  assert_null(ms_forest_fit(2, 2, x, y, 0, &o));
  failed("trees >= 1, got 0");
  y[1] = 70000;
  o.trees = 1;
  assert_null(ms_forest_fit(2, 2, x, y, 0, &o));
  failed("65535 classes");
}

static void forest_arrays(void **state) {
  (void)state;
  ms_forest_options o = ms_forest_defaults();
  o.trees = 3, o.min_leaf = 4;
  ms_forest *f = ms_forest_fit(IRIS, 4, &iris_x[0][0], iris_y, 0, &o);
  const ms_forest_arrays a = ms_forest_get(f);
  ms_forest *g = ms_forest_set(&a);
  assert_non_null(g);
  same_forest(f, g);
  double p[IRIS * 3], q[IRIS * 3];
  assert_int_equal(ms_forest_proba(f, IRIS, &iris_x[0][0], p), 0);
  assert_int_equal(ms_forest_proba(g, IRIS, &iris_x[0][0], q), 0);
  assert_memory_equal(p, q, sizeof p);
  ms_forest_free(g);
  /* one thing spoilt at a time */
  const size_t bytes = (size_t)a.nodes * 4;
  int32_t *feature = malloc(bytes), *left = malloc(bytes), *leaf = malloc(bytes), some_leaf = 0;
  int64_t first[4];
  while (a.feature[some_leaf] >= 0) some_leaf++;
  int32_t inner = 1;
  while (a.feature[inner] < 0) inner++;
  assert_true(a.feature[0] >= 0 && inner < a.first[1]);
  ms_forest_arrays b = a;
  b.feature = feature, b.left = left, b.leaf = leaf, b.first = first;
  for (int what = 0; what < 10; what++) {
    memcpy(feature, a.feature, bytes), memcpy(left, a.left, bytes), memcpy(leaf, a.leaf, bytes);
    memcpy(first, a.first, sizeof first);
    if (what == 0) feature[0] = 4;
    if (what == 1) left[0] = 0;
    if (what == 2) left[0] = (int32_t)first[1] - 1;
    if (what == 3) leaf[some_leaf] = 4;
    if (what == 4) leaf[some_leaf] = -(int32_t)a.rows - 1;
    if (what == 5) leaf[0] = 1;
    if (what == 6) left[some_leaf] = 0;
    if (what == 7) first[1] = first[2];
    if (what == 8) first[2] = a.nodes + 5;
    if (what == 9) left[0] = left[inner]; /* a child of two, its uncle of none */
    if (ms_forest_set(&b)) fail_msg("spoilt arrays %d were taken", what);
    failed("forest: ");
  }
  free(feature), free(left), free(leaf);
  ms_forest_free(f);
  ms_forest_free(NULL);
}

/* ---- eigenvectors and principal components ----------------------------------------------------------------------- */

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
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(knn_is_exact),        cmocka_unit_test(knn_ties),
      cmocka_unit_test(knn_digits),          cmocka_unit_test(knn_refuses),
      cmocka_unit_test(iris_tree),           cmocka_unit_test(root_is_best_split),
      cmocka_unit_test(forest_digits),       cmocka_unit_test(forest_is_deterministic),
      cmocka_unit_test(forest_options_hold), cmocka_unit_test(forest_refuses),
      cmocka_unit_test(forest_arrays),       cmocka_unit_test(eigen_properties),
      cmocka_unit_test(eigen_numpy),         cmocka_unit_test(eigen_threads),
      cmocka_unit_test(pca_digits),          cmocka_unit_test(covariance_is_exact),
      cmocka_unit_test(pca_models),          cmocka_unit_test(metrics),
  };
  return cmocka_run_group_tests(tests, load, NULL);
}
