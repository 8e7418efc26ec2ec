/* test_matmul.c -- matmul and linear: against plain loops in double, gradients, errors, empty tensors, and bits that do not depend
 * on the number of threads. */
#include "products.h"

/* ---- products ---------------------------------------------------------------------------------------------------- */

/* How the elements of a matrix lie in memory. ALIASED: rows 4096 bytes apart; TURNED: columns 1024 bytes apart; the last three
 * repeat a row, a column, one number. */
enum { PLAIN, TRANSPOSED, STRIDED, ALIASED, TURNED, ROW, COLUMN, NUMBER, STYLES };

/* rows x cols, a multiple of `bytes` from one row to the next. */
static ms_tensor *apart(int dtype, int64_t rows, int64_t cols, int64_t bytes) {
  const int64_t unit = bytes / (int64_t)ms_dtype_size((ms_dtype)dtype), pitch = (cols + unit - 1) / unit * unit;
  ms_tensor *t = need(ms_empty((ms_dtype)dtype, 2, (int64_t[]){rows, pitch}, NULL));
  for (int64_t i = 0; i < rows * cols; i++)
    if (dtype == MS_F32) ((float *)ms_data(t))[i / cols * pitch + i % cols] = (float)draw();
    else ((double *)ms_data(t))[i / cols * pitch + i % cols] = draw();
  return need(ms_slice(t, 1, 0, cols, 1));
}

static ms_tensor *matrix(int dtype, int64_t rows, int64_t cols, int style) {
  switch (style) {
  case TRANSPOSED: return need(ms_transpose(RANDOM(dtype, cols, rows), 0, 1));
  case STRIDED: return need(ms_slice(ms_slice(RANDOM(dtype, rows * 2, cols * 3), 0, 0, rows, 2), 1, 0, cols, 3));
  case ALIASED: return apart(dtype, rows, cols, 4096);
  case TURNED: return need(ms_transpose(apart(dtype, cols, rows, 1024), 0, 1));
  case ROW: return need(ms_expand(RANDOM(dtype, 1, cols), MS_INTS(rows, cols)));
  case COLUMN: return need(ms_expand(RANDOM(dtype, rows, 1), MS_INTS(rows, cols)));
  case NUMBER: return need(ms_expand(RANDOM(dtype, 1, 1), MS_INTS(rows, cols)));
  default: return RANDOM(dtype, rows, cols);
  }
}

/* The matrix of an operand (transposed if asked) that belongs to matrix `index` of the result, row by row; the caller frees it. */
static double *dense(const ms_tensor *t, int rank, const int64_t *index, bool transposed) {
  int64_t i[MS_MAX_RANK];
  for (int d = 0; d < t->rank - 2; d++) i[d] = index[d + rank - t->rank];
  int64_t *r = &i[t->rank - 2 + transposed], *c = &i[t->rank - 1 - transposed];
  const int64_t rows = t->shape[t->rank - 2 + transposed], cols = t->shape[t->rank - 1 - transposed];
  double *to = malloc((size_t)(rows * cols + 1) * sizeof *to);
  for (*r = 0; *r < rows; ++*r)
    for (*c = 0; *c < cols; ++*c) to[*r * cols + *c] = at(t, i);
  return to;
}

static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }

static void check_matmul(ms_tensor *a, ms_tensor *b, bool ta, bool tb) {
  ms_tensor *y = need(ms_matmul(a, b, ta, tb));
  int64_t m = y->shape[y->rank - 2], n = y->shape[y->rank - 1], k = a->shape[a->rank - 1 - ta], batch = 1;
  for (int i = 0; i < y->rank - 2; i++) batch *= y->shape[i];
  const bool equal = !a->stride[a->rank - 1 - ta] && !b->stride[b->rank - 2 + tb]; /* every term of a sum */
  for (int64_t e = 0; e < batch; e++) {
    int64_t index[MS_MAX_RANK] = {0}, rest = e;
    for (int i = y->rank - 3; i >= 0; i--) index[i] = rest % y->shape[i], rest /= y->shape[i];
    double *left = dense(a, y->rank, index, ta), *right = dense(b, y->rank, index, !tb);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        double sum = 0, mass = 0;
        for (int64_t p = 0; p < k && !equal; p++) {
          const double v = left[i * k + p] * right[j * k + p];
          sum += v, mass += fabs(v);
        }
        if (equal && k) sum = (double)k * left[i * k] * right[j * k], mass = fabs(sum);
        index[y->rank - 2] = i, index[y->rank - 1] = j;
        close_to(y->dtype, at(y, index), sum, mass, equal ? k : min_i64(k, 64), "matmul");
      }
    free(left), free(right);
  }
}

static void matmul_shapes(void **s) {
  (void)s;
  static const int64_t size[][3] = {{1, 1, 1},     {2, 3, 4},    {8, 8, 8},     {1, 50, 30},  {50, 1, 30},
                                    {17, 33, 5},   {64, 64, 1},  {70, 90, 65},  {130, 9, 40}, {5, 7, 9000},
                                    {128, 17, 30}, {1, 1, 5000}, {1, 300, 200}, {300, 1, 99}, {2, 130, 70},
                                    {130, 2, 70},  {3, 1, 9000}, {1, 3, 9000},  {15, 17, 40}, {29, 65, 200}};
  for (size_t i = 0; i < sizeof size / sizeof *size; i++)
    for (int flags = 0; flags < 4; flags++)
      for (int left = 0; left < STYLES; left++)
        for (int right = 0; right < STYLES; right++)
          for (int dtype = MS_F32; dtype <= LAST_DTYPE; dtype++) {
            int64_t m = size[i][0], n = size[i][1], k = size[i][2];
            bool ta = flags & 1, tb = flags & 2;
            if (m * n * k > 5000 && left != right && (left + right + flags) % 4) continue; /* a part of the combinations */
            int in = ms_scope_open();
            check_matmul(matrix(dtype, ta ? k : m, ta ? m : k, left), matrix(dtype, tb ? n : k, tb ? k : n, right), ta, tb);
            ms_scope_close(in);
          }
}

/* The right operand is packed in blocks (gemm.h: GEMM_KC x GEMM_NC): sizes with one block, and with several along n, along k, and
 * along both; rows and columns just more than a tile; k that is cut into splits; and rows that share few sets of the cache, whole
 * (n > 64) and few at a time. */
static void matmul_blocks(void **s) {
  (void)s;
  static const int64_t size[][3] = {{15, 17, 4200},  {15, 17, 8449},     {16, 70, 8500}, {15, 1300, 768}, {20, 530, 2100},
                                    {300, 33, 400},  {29, 257, 385},     {7, 300, 600},  {60, 40, 500},   {60, 100, 300},
                                    {193, 256, 384}, {16, 64, 16 * 384}, {250, 65, 67}};
  static const int styles[][2] = {
      {PLAIN, PLAIN},       {TRANSPOSED, TRANSPOSED}, {STRIDED, STRIDED}, {ALIASED, TRANSPOSED}, {TURNED, ALIASED},
      {ROW, TURNED},        {COLUMN, PLAIN},          {PLAIN, ROW},       {STRIDED, COLUMN},     {NUMBER, NUMBER},
      {TRANSPOSED, STRIDED}};
  for (size_t i = 0; i < sizeof size / sizeof *size; i++)
    for (size_t j = 0; j < sizeof styles / sizeof *styles; j++)
      for (int dtype = MS_F32; dtype <= LAST_DTYPE; dtype++) {
        int64_t m = size[i][0], n = size[i][1], k = size[i][2];
        if (m * n * k > 3000000 && (i + j + (size_t)dtype) % 3) continue; /* a part of the combinations */
        int in = ms_scope_open();
        check_matmul(matrix(dtype, m, k, styles[j][0]), matrix(dtype, k, n, styles[j][1]), false, false);
        ms_scope_close(in);
      }
}

static void matmul_batches(void **s) {
  (void)s;
  for (int dtype = MS_F32; dtype <= LAST_DTYPE; dtype++) {
    check_matmul(RANDOM(dtype, 5, 3, 4), RANDOM(dtype, 5, 4, 2), false, false);
    check_matmul(RANDOM(dtype, 2, 3, 20, 30), RANDOM(dtype, 30, 25), false, false);    /* folds into one product */
    check_matmul(RANDOM(dtype, 2, 3, 20, 30), RANDOM(dtype, 25, 30), false, true);     /* so does this */
    check_matmul(RANDOM(dtype, 2, 3, 30, 20), RANDOM(dtype, 30, 25), true, false);     /* this does not */
    check_matmul(RANDOM(dtype, 20, 30), RANDOM(dtype, 6, 30, 25), false, false);       /* one left for many right */
    check_matmul(RANDOM(dtype, 2, 1, 20, 30), RANDOM(dtype, 3, 30, 25), false, false); /* broadcast both ways */
    check_matmul(RANDOM(dtype, 1, 3, 20, 30), RANDOM(dtype, 2, 1, 25, 30), false, true);
    check_matmul(need(ms_expand(RANDOM(dtype, 1, 20, 30), MS_INTS(4, 20, 30))), RANDOM(dtype, 30, 25), false, false);
    check_matmul(need(ms_permute(RANDOM(dtype, 20, 4, 30), MS_INTS(1, 0, 2))), RANDOM(dtype, 4, 30, 25), false, false);
    check_matmul(need(ms_permute(RANDOM(dtype, 30, 20, 4), MS_INTS(2, 1, 0))), RANDOM(dtype, 4, 25, 30), false, true);
    check_matmul(need(ms_slice(RANDOM(dtype, 6, 20, 60), 2, 1, 30, 2)), need(ms_slice(RANDOM(dtype, 12, 30, 25), 0, 0, 6, 2)),
                 false, false);
  }
}

static void matmul_empty(void **s) {
  (void)s;
  for (int dtype = MS_F32; dtype <= LAST_DTYPE; dtype++) {
    assert_int_equal(ms_numel(need(ms_matmul(RANDOM(dtype, 0, 3), RANDOM(dtype, 3, 4), false, false))), 0);
    assert_int_equal(ms_numel(need(ms_matmul(RANDOM(dtype, 0, 2, 3), RANDOM(dtype, 3, 4), false, false))), 0);
    ms_tensor *y = need(ms_matmul(RANDOM(dtype, 2, 0), RANDOM(dtype, 0, 3), false, false));
    assert_int_equal(ms_numel(y), 6);
    for (int64_t i = 0; i < 6; i++) assert_true(at(y, (int64_t[]){i / 3, i % 3}) == 0);
    check_matmul(RANDOM(dtype, 1, 1, 1), RANDOM(dtype, 1, 1), true, true);
  }
}

static void matmul_errors(void **s) {
  (void)s;
  fails(ms_matmul(need(ms_sum_all(RANDOM(MS_F32, 3))), RANDOM(MS_F32, 3, 4), false, false), "matmul");
  fails(ms_matmul(RANDOM(MS_F32, 4), RANDOM(MS_F32, 3, 4), false, false), "matmul");
  fails(ms_matmul(RANDOM(MS_F32, 2, 3), RANDOM(MS_F32, 4, 5), false, false), "3 columns");
  fails(ms_matmul(RANDOM(MS_F32, 2, 3), RANDOM(MS_F32, 3, 5), false, true), "5");
  fails(ms_matmul(RANDOM(MS_F32, 2, 2, 3), RANDOM(MS_F32, 3, 3, 5), false, false), "2 against 3");
}

static void linear_rows(void **s) {
  (void)s;
  ms_tensor *w = RANDOM(MS_F64, 4, 5), *b = RANDOM(MS_F64, 4);
  ms_tensor *x3 = RANDOM(MS_F64, 2, 3, 5), *y = need(ms_apply(MS_OP_linear, MS_IN(x3, w, b), NULL));
  assert_int_equal(y->rank, 3);
  for (int64_t i = 0; i < 2; i++)
    for (int64_t j = 0; j < 3; j++)
      for (int64_t o = 0; o < 4; o++) {
        double sum = at(b, &o);
        for (int64_t k = 0; k < 5; k++) sum += at(x3, (int64_t[]){i, j, k}) * at(w, (int64_t[]){o, k});
        close_to(MS_F64, at(y, (int64_t[]){i, j, o}), sum, 8, 5, "linear");
      }
  y = need(ms_apply(MS_OP_linear, MS_IN(RANDOM(MS_F32, 0, 2, 5), RANDOM(MS_F32, 4, 5), NULL), NULL));
  assert_int_equal(y->shape[2], 4);
  fails(ms_apply(MS_OP_linear, MS_IN(RANDOM(MS_F32, 2, 6), RANDOM(MS_F32, 4, 5), NULL), NULL), "expected x with 5 features, got 6");
  fails(ms_apply(MS_OP_linear, MS_IN(need(ms_sum_all(RANDOM(MS_F32, 5))), RANDOM(MS_F32, 4, 5), NULL), NULL), "linear");
  fails(ms_apply(MS_OP_linear, MS_IN(RANDOM(MS_F32, 2, 5), RANDOM(MS_F32, 4, 5), RANDOM(MS_F32, 3)), NULL), "expected 4 elements");
}

/* Infinities spread along their row or column, and no further: products are filled up with zeros in blocks of 16 and 32. */
static void matmul_infinities(void **s) {
  (void)s;
  static const int64_t size[][3] = {{33, 47, 65}, {64, 64, 64}, {100, 9, 300}, {9, 100, 301}, {257, 31, 40}, {16, 16, 2049}};
  for (size_t i = 0; i < sizeof size / sizeof *size; i++)
    for (int flags = 0; flags < 4; flags++) {
      const int64_t m = size[i][0], n = size[i][1], k = size[i][2];
      const bool ta = flags & 1, tb = flags & 2;
      int in = ms_scope_open();
      ms_tensor *a = ta ? RANDOM(MS_F32, k, m) : RANDOM(MS_F32, m, k), *b = tb ? RANDOM(MS_F32, n, k) : RANDOM(MS_F32, k, n);
      const int64_t row = pick(0, m - 1), col = pick(0, n - 1), p = pick(0, k - 1);
      ((float *)ms_data(a))[ta ? p * m + row : row * k + p] = INFINITY;
      ((float *)ms_data(b))[tb ? col * k + p : p * n + col] = NAN;
      ms_tensor *y = need(ms_matmul(a, b, ta, tb));
      for (int64_t e = 0; e < m * n; e++) {
        const double v = at(y, (int64_t[]){e / n, e % n});
        if ((e % n == col) != (bool)isnan(v) || (e / n == row && e % n != col) != (bool)isinf(v))
          fail_msg("%d x %d x %d, %d: element %d is %g", (int)m, (int)n, (int)k, flags, (int)e, v);
      }
      ms_scope_close(in);
    }
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static void threads_same_bits(void **s) {
  (void)s;
  static const int64_t size[][3] = {{64, 128, 784},  {128, 128, 1024}, {10, 10, 10000}, {200, 1, 300},   {1, 1000, 1000},
                                    {256, 784, 512}, {3, 5, 100000},   {15, 17, 8449},  {20, 530, 2100}, {16, 70, 8500},
                                    {15, 1300, 768}, {401, 200, 512},  {90, 1700, 300}, {64, 1030, 400}};
  for (int dtype = MS_F32; dtype <= LAST_DTYPE; dtype++)
    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
      for (int tb = 0; tb < 2; tb++) {
        int in = ms_scope_open();
        ms_tensor *a = RANDOM(dtype, size[i][0], size[i][2]),
                  *b = tb ? RANDOM(dtype, size[i][1], size[i][2]) : RANDOM(dtype, size[i][2], size[i][1]);
        ms_set_threads(1);
        ms_tensor *y = need(ms_matmul(a, b, false, tb));
        for (int threads = 2; threads <= 5; threads += 3) {
          ms_set_threads(threads);
          same_bits(y, need(ms_matmul(a, b, false, tb)), "matmul");
        }
        ms_scope_close(in);
      }
}

/* ---- gradients, first and second order, in f64 ------------------------------------------------------------------- */

static ms_tensor *f_matmul(ms_tensor **x, const void *flags) {
  return cubes(ms_matmul(x[0], x[1], *(const int *)flags & 1, *(const int *)flags & 2));
}
static ms_tensor *f_linear(ms_tensor **x, const void *none) {
  return (void)none, cubes(ms_apply(MS_OP_linear, MS_IN(x[0], x[1], x[2]), NULL));
}

static void gradients(void **s) {
  (void)s;
  for (int flags = 0; flags < 4; flags++) {
    bool ta = flags & 1, tb = flags & 2;
    check_gradient(f_matmul, 2, (ms_tensor *[]){RANDOM(MS_F64, ta ? 4 : 3, ta ? 3 : 4), RANDOM(MS_F64, tb ? 5 : 4, tb ? 4 : 5)},
                   &flags, true);
    check_gradient(f_matmul, 2, (ms_tensor *[]){RANDOM(MS_F64, 2, ta ? 4 : 3, ta ? 3 : 4), RANDOM(MS_F64, tb ? 5 : 4, tb ? 4 : 5)},
                   &flags, true);
    check_gradient(f_matmul, 2,
                   (ms_tensor *[]){RANDOM(MS_F64, 3, 1, ta ? 4 : 3, ta ? 3 : 4), RANDOM(MS_F64, 2, tb ? 5 : 4, tb ? 4 : 5)}, &flags,
                   true);
  }
  check_gradient(f_linear, 3, (ms_tensor *[]){RANDOM(MS_F64, 2, 3, 4), RANDOM(MS_F64, 5, 4), RANDOM(MS_F64, 5)}, NULL, true);
}

int main(void) {
  const struct CMUnitTest bf16[] = {
      TEST_BF16(matmul_shapes), TEST_BF16(matmul_blocks),     TEST_BF16(matmul_batches),
      TEST_BF16(matmul_empty),  TEST_BF16(matmul_infinities), TEST_BF16(threads_same_bits),
  };
  if (amx_is_off()) return cmocka_run_group_tests(bf16, NULL, NULL);
  const struct CMUnitTest tests[] = {
      TEST_BF16(matmul_shapes),
      TEST_BF16(matmul_blocks),
      TEST_BF16(matmul_batches),
      TEST_BF16(matmul_empty),
      TEST_BF16(matmul_infinities),
      TEST_BF16(threads_same_bits),
      TEST(without_amx),
      TEST(matmul_infinities),
      TEST(matmul_shapes),
      TEST(matmul_blocks),
      TEST(matmul_batches),
      TEST(matmul_empty),
      TEST(matmul_errors),
      TEST(linear_rows),
      TEST(threads_same_bits),
      TEST(gradients),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
