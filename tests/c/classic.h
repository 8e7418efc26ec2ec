/* classic.h -- what the tests of classical learning share: the sets iris and digits, the figures that scikit-learn and NumPy gave
 * for them (tests/data, made by tests/peers/make_classic_data.py), and noise. They run in the root of the repository. */
#ifndef CLASSIC_H
#define CLASSIC_H
#include "ml/internal.h"
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- data -------------------------------------------------------------------------------------------------------- */

enum { IRIS = 150, DIGITS = 1797, TRAIN = 898, TEST = 899, PIXELS = 64 };

static float iris_x[IRIS][4], digits_x[DIGITS][PIXELS], train_x[TRAIN][PIXELS], test_x[TEST][PIXELS];
static int32_t iris_y[IRIS], train_y[TRAIN], test_y[TEST];

static inline FILE *open_data(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "tests/data/%s", name);
  FILE *f = fopen(path, "r");
  if (!f) fprintf(stderr, "cannot open %s: run me in the root of the repository\n", path);
  return f;
}

static inline int load(void **state) {
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
static inline const double *expected(const char *name, int n) {
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

static inline void near_to(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance)) fail_msg("got %.17g, expected %.17g +- %g", got, want, tolerance);
}

/* The last call failed and said `part`. */
static inline void failed(const char *part) {
  const char *why = ms_error();
  if (!why || !strstr(why, part)) fail_msg("expected an error with \"%s\", got: %s", part, why ? why : "none");
  ms_error_clear();
}

static uint64_t noise_state;
static inline double noise(void) { /* in [0, 1) */
  noise_state = noise_state * 6364136223846793005u + 1442695040888963407u;
  return (double)(noise_state >> 11) * 0x1p-53;
}

static inline float *noisy(int64_t n, int64_t d, float scale, float offset) {
  float *x = malloc((size_t)(n * d) * sizeof *x);
  assert_non_null(x);
  for (int64_t i = 0; i < n * d; i++) x[i] = offset + scale * (float)noise();
  return x;
}

static inline void each_isa(void (*check)(void)) {
  for (int isa = ML_BASE; isa <= ML_AVX512; isa++) {
    ml_limit_isa(isa);
    check();
  }
}

#endif
