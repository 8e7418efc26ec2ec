/* test_batches.c -- permutations and gathered batches. */
#include "data/data.h"
#include "files.h"
#include <math.h>

static void test_permutation(void **state) {
  (void)state;
  enum { N = 1000 };
  int64_t a[N], b[N];
  ms_rng rng = {.seed = 42}, same = {.seed = 42}, other = {.seed = 43};
  ms_permutation(N, &rng, 1, a);
  ms_permutation(N, &same, 1, b);
  assert_memory_equal(a, b, sizeof a);
  ms_permutation(N, &same, 1, b); /* goes on, does not repeat */
  assert_memory_not_equal(a, b, sizeof a);
  ms_permutation(N, &other, 1, b);
  assert_memory_not_equal(a, b, sizeof a);
  char seen[N + 1] = {0};
  for (int i = 0; i < N; i++) {
    assert_in_range(a[i], 1, N);
    seen[a[i]]++;
  }
  for (int i = 1; i <= N; i++) assert_int_equal(seen[i], 1);
  ms_permutation(0, &rng, 0, a);
  ms_permutation(1, &rng, 7, a);
  assert_int_equal(a[0], 7);
  /* all 24 orders of 4 equally often: chi-squared with 23 degrees of freedom stays below 49.7 (99.9 %) */
  int times[256] = {0};
  for (int i = 0; i < 24000; i++) {
    ms_permutation(4, &rng, 0, a);
    times[a[0] * 64 + a[1] * 16 + a[2] * 4 + a[3]]++;
  }
  double chi = 0;
  int orders = 0;
  for (int i = 0; i < 256; i++)
    if (times[i]) orders++, chi += (times[i] - 1000.0) * (times[i] - 1000.0) / 1000;
  assert_int_equal(orders, 24);
  assert_true(chi < 49.7);
}

static void test_gather(void **state) {
  (void)state;
  uint8_t u8[4][6], out8[3][6];
  float f32[4][6], out[3][6];
  int64_t labels[4] = {10, 11, 12, 13}, got[3], index[3] = {4, 1, 3};
  for (int i = 0; i < 24; i++) f32[i / 6][i % 6] = u8[i / 6][i % 6] = (uint8_t)(i * 10);
  assert_int_equal(ms_gather_rows(out8, u8, 6, 4, index, 3, 1), 0);
  for (int i = 0; i < 3; i++) assert_memory_equal(out8[i], u8[index[i] - 1], 6);
  const float scale[2] = {1 / 255.0f, 2}, shift[2] = {-1, 0.5f};
  for (int kind = 0; kind < 2; kind++) {
    assert_int_equal(ms_gather_f32(out[0], kind ? (void *)f32 : u8, kind ? MS_F32 : MS_U8, 6, 4, index, 3, 1, 2, scale, shift), 0);
    for (int i = 0; i < 3; i++)
      for (int j = 0; j < 6; j++) {
        float want = f32[index[i] - 1][j] * scale[j / 3] + shift[j / 3];
        assert_true(fabsf(out[i][j] - want) <= 1e-6f * fabsf(want) + 1e-7f);
      }
    assert_int_equal(ms_gather_f32(out[0], kind ? (void *)f32 : u8, kind ? MS_F32 : MS_U8, 6, 4, index, 3, 1, 1, NULL, NULL), 0);
    for (int i = 0; i < 3; i++) assert_memory_equal(out[i], f32[index[i] - 1], sizeof out[i]);
  }
  assert_int_equal(ms_gather_i64(got, labels, 4, index, 3, 1), 0);
  assert_true(got[0] == 13 && got[1] == 10 && got[2] == 12);

  for (int bad = 0; bad <= 5; bad += 5) {
    index[1] = bad;
    memset(out8, 77, sizeof out8);
    const char *said = bad ? "index[2] = 5, expected 1..4" : "index[2] = 0, expected 1..4";
    assert_int_equal(ms_gather_rows(out8, u8, 6, 4, index, 3, 1), -1);
    failed(said);
    for (int i = 0; i < 18; i++) assert_int_equal(out8[i / 6][i % 6], 77);
    assert_int_equal(ms_gather_f32(out[0], u8, MS_U8, 6, 4, index, 3, 1, 1, NULL, NULL), -1);
    failed(said);
    assert_int_equal(ms_gather_i64(got, labels, 4, index, 3, 1), -1);
    failed(said);
  }
  index[1] = INT64_MIN;
  assert_int_equal(ms_gather_rows(out8, u8, 6, 4, index, 3, 1), -1);
  failed("index[2] = -9223372036854775808");
  index[1] = 1;
  assert_int_equal(ms_gather_rows(out8, u8, 6, 0, index, 3, 0), -1);
  failed("there are no rows");
  assert_int_equal(ms_gather_f32(out[0], u8, MS_I64, 6, 4, index, 3, 1, 1, NULL, NULL), -1);
  failed("got i64");
  assert_int_equal(ms_gather_f32(out[0], u8, MS_U8, 6, 4, index, 3, 1, 4, NULL, NULL), -1);
  failed("4 equal planes");
}

static void test_batches(void **state) {
  (void)state;
  int64_t n, subset[5] = {9, 7, 5, 3, 1};
  ms_rng rng = {.seed = 1};
  ms_batches *b = ms_batches_new(10, NULL, 4, false, false, 1);
  assert_int_equal(ms_batches_count(b), 3);
  assert_null(ms_batches_next(b, &n)); /* not begun */
  for (int walk = 0; walk < 2; walk++) {
    ms_batches_start(b, &rng);
    int64_t next = 1;
    for (const int64_t *at; (at = ms_batches_next(b, &n));)
      for (int64_t i = 0; i < n; i++) assert_int_equal(at[i], next++);
    assert_int_equal(n, 2);
    assert_int_equal(next, 11);
    assert_null(ms_batches_next(b, &n));
  }
  ms_batches_free(b);
  b = ms_batches_new(5, subset, 2, true, true, 1);
  assert_int_equal(ms_batches_count(b), 2);
  int first = 0;
  for (int walk = 0; walk < 100; walk++) {
    ms_batches_start(b, &rng);
    int seen[10] = {0}, batches = 0;
    for (const int64_t *at; (at = ms_batches_next(b, &n)); batches++) {
      assert_int_equal(n, 2);
      if (!batches) first += at[0] == 9;
      for (int i = 0; i < 2; i++) assert_int_equal(at[i] % 2 + seen[at[i]]++, 1);
    }
    assert_int_equal(batches, 2);
  }
  assert_in_range(first, 5, 40); /* a fifth of the time */
  ms_batches_free(b);
  b = ms_batches_new(0, NULL, 4, true, false, 0);
  assert_int_equal(ms_batches_count(b), 0);
  ms_batches_start(b, &rng);
  assert_null(ms_batches_next(b, &n));
  ms_batches_free(b);
  ms_batches_free(NULL);
  assert_null(ms_batches_new(10, NULL, 0, true, false, 0));
  failed("at least 1, got 0");
}

/* One walk through 60,000 images, as the first experiment does it. */
static void test_speed(void **state) {
  (void)state;
  enum { N = 60000, ROW = 784, BATCH = 64 };
  uint8_t *set = malloc((size_t)N * ROW);
  int64_t *labels = calloc(N, sizeof *labels), y[BATCH], n;
  float *x = malloc(sizeof *x * BATCH * ROW), scale = 1 / 255.0f;
  for (size_t i = 0; i < (size_t)N * ROW; i++) set[i] = (uint8_t)(i * 2654435761u >> 24);
  ms_rng rng = {.seed = 3};
  ms_batches *b = ms_batches_new(N, NULL, BATCH, true, false, 0);
  double best = 1e9;
  for (int walk = 0; walk < 5; walk++) {
    double start = seconds();
    ms_batches_start(b, &rng);
    for (const int64_t *at; (at = ms_batches_next(b, &n));) {
      assert_int_equal(ms_gather_f32(x, set, MS_U8, ROW, N, at, n, 0, 1, &scale, NULL), 0);
      assert_int_equal(ms_gather_i64(y, labels, N, at, n, 0), 0);
    }
    double took = seconds() - start;
    if (took < best) best = took;
  }
  print_message("60,000 rows of 784 in batches of 64: %.4f s\n", best);
  ms_batches_free(b);
  free(set);
  free(labels);
  free(x);
}

/* More than a megabyte at once goes through the threads: the same numbers. */
static void test_gather_threads(void **state) {
  (void)state;
  enum { N = 3000, ROW = 500 };
  uint8_t *set = malloc((size_t)N * ROW), *rows = malloc((size_t)N * ROW);
  float *x = malloc(sizeof *x * N * ROW);
  int64_t *order = malloc(sizeof *order * N);
  for (size_t i = 0; i < (size_t)N * ROW; i++) set[i] = (uint8_t)(i * 31 + i / 997);
  ms_rng rng = {.seed = 3};
  ms_permutation(N, &rng, 0, order);
  assert_int_equal(ms_gather_f32(x, set, MS_U8, ROW, N, order, N, 0, 1, NULL, NULL), 0);
  assert_int_equal(ms_gather_rows(rows, set, ROW, N, order, N, 0), 0);
  for (int i = 0; i < N; i++) {
    assert_memory_equal(rows + i * ROW, set + order[i] * ROW, ROW);
    for (int j = 0; j < ROW; j++)
      if (x[i * ROW + j] != set[order[i] * ROW + j]) fail_msg("row %d", i);
  }
  free(set);
  free(rows);
  free(x);
  free(order);
}

int main(void) {
#define T1(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {T1(test_permutation), T1(test_gather), T1(test_batches), T1(test_gather_threads),
                                     T1(test_speed)};
  return cmocka_run_group_tests_name("batches", tests, NULL, NULL);
}
