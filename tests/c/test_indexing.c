/* test_indexing.c -- indexing, joining, ordering, softmax, and the trace device: values, gradients, strided, empty and one-element
 * inputs, messages, and the same bits whatever the number of threads. */
#include "check.h"
#include "trace.h"

static int64_t arg_dim;
static ms_tensor *arg_index;

/* ---- indexing ---------------------------------------------------------------------------------------------------- */

static const int every[] = {MS_F32, MS_F64, MS_I64, MS_I32, MS_U8}, indices[] = {MS_I64, MS_I32, MS_U8};

static void test_index_select(void **state) {
  (void)state;
  for (int k = 0; k < MS_DTYPES; k++)
    for (int j = 0; j < 3; j++) {
      bool b = k == MS_BOOL;
      ms_tensor *x = of(k, SHAPE(3, 2), VALUES(0, 1, b ? 1 : 2, b ? 0 : 3, b ? 1 : 4, b ? 1 : 5)),
                *index = of(indices[j], SHAPE(4), VALUES(3, 1, 1, 2));
      assert_int_equal(ms_tensor_dtype(ms_index_select(x, 0, index)), k);
      if (b) continue;
      expect(ms_index_select(x, 0, index), VALUES(4, 5, 0, 1, 0, 1, 2, 3));
      expect(ms_index_select(ms_transpose(x, 0, 1), -1, index), VALUES(4, 0, 0, 2, 5, 1, 1, 3));
      expect(ms_index_select(ms_transpose(x, 0, 1), 0, of(MS_I64, SHAPE(2), VALUES(2, 2))), VALUES(1, 3, 5, 1, 3, 5));
    }
  ms_tensor *x = noise(MS_F32, SHAPE(4, 5, 6)), *p = ms_permute(x, SHAPE(2, 0, 1)), *index = of(MS_I64, SHAPE(3), VALUES(4, 2, 4));
  expect_same(ms_index_select(p, 1, index), ms_index_select(ms_contiguous(p), 1, index), 0); /* no run of elements to copy */
  expect_same(ms_index_select(x, 0, ms_slice(of(MS_I64, SHAPE(6), VALUES(4, 1, 2, 1, 4, 1)), 0, 0, 3, 2)),
              ms_index_select(x, 0, index), 0);
  expect_shape(ms_index_select(x, 1, of(MS_I64, SHAPE(0), 0, NULL)), SHAPE(4, 0, 6));
  expect_shape(ms_index_select(noise(MS_F32, SHAPE(4, 5, 0)), 1, index), SHAPE(4, 3, 0));
  expect(ms_index_select(of(MS_F32, SHAPE(1), VALUES(7)), 0, of(MS_U8, SHAPE(1), VALUES(1))), VALUES(7));
  expect_failure(ms_index_select(x, 0, of(MS_I64, SHAPE(2), VALUES(1, 5))), "index[2] = 5, expected 1..4");
  expect_failure(ms_index_select(x, 0, of(MS_I64, SHAPE(2), VALUES(0, 1))), "index[1] = 0, expected 1..4");
  expect_failure(ms_index_select(x, 0, of(MS_F32, SHAPE(2), VALUES(1, 2))), "expected integers");
  expect_failure(ms_index_select(x, 3, index), "dimension 4 is out of range");
  expect_failure(ms_index_select(x, 0, of(MS_I64, SHAPE(1, 2), VALUES(1, 2))), "expected one dimension");
}

static void test_index_add(void **state) {
  (void)state;
  for (int k = 0; k < 5; k++) {
    ms_tensor *x = of(every[k], SHAPE(3, 2), VALUES(1, 2, 3, 4, 5, 6)),
              *src = of(every[k], SHAPE(3, 2), VALUES(10, 20, 30, 40, 50, 60));
    expect(ms_index_add(x, 0, of(MS_I32, SHAPE(3), VALUES(3, 1, 3)), src), VALUES(31, 42, 3, 4, 65, 86));
    expect(ms_index_add(x, 1, of(MS_U8, SHAPE(2), VALUES(2, 2)), src), VALUES(1, 32, 3, 74, 5, 116));
    expect(ms_index_add(x, 0, of(MS_I64, SHAPE(0), 0, NULL), of(every[k], SHAPE(0, 2), 0, NULL)), VALUES(1, 2, 3, 4, 5, 6));
    expect(x, VALUES(1, 2, 3, 4, 5, 6));
    /* src broadcast (a stride of 0) and transposed */
    expect(ms_index_add(x, 0, of(MS_I64, SHAPE(2), VALUES(1, 1)), ms_expand(of(every[k], SHAPE(1, 1), VALUES(7)), SHAPE(2, 2))),
           VALUES(15, 16, 3, 4, 5, 6));
    ms_tensor *y = of(every[k], SHAPE(2, 3), VALUES(1, 2, 3, 4, 5, 6));
    expect(ms_index_add(ms_transpose(y, 0, 1), 0, of(MS_I64, SHAPE(3), VALUES(1, 2, 3)), ms_transpose(y, 0, 1)),
           VALUES(2, 8, 4, 10, 6, 12));
  }
  ms_tensor *x = noise(MS_F64, SHAPE(2, 4, 3, 2)), *src = ms_permute(noise(MS_F64, SHAPE(2, 3, 5, 2)), SHAPE(3, 2, 1, 0)),
            *index = positions(MS_I64, 4, SHAPE(5));
  expect_same(ms_index_add(x, 1, index, src), ms_index_add(x, 1, index, ms_contiguous(src)), 0);
  expect_failure(ms_index_add(x, 1, index, noise(MS_F64, SHAPE(2, 5, 3, 1))), "src is 2 x 5 x 3 x 1 f64, expected 2 x 5 x 3 x 2");
  expect_failure(ms_index_add(x, 1, index, noise(MS_F32, SHAPE(2, 5, 3, 2))), "expected one dtype");
  ms_tensor *b = of(MS_BOOL, SHAPE(2), VALUES(1, 0));
  expect_failure(ms_index_add(b, 0, of(MS_I64, SHAPE(2), VALUES(1, 1)), b), "bool has no addition");
  /* half precision goes through f32 */
  ms_tensor *h =
      ms_index_add(of(MS_BF16, SHAPE(2), VALUES(1, 2)), 0, of(MS_I64, SHAPE(2), VALUES(2, 2)), of(MS_BF16, SHAPE(2), VALUES(3, 4)));
  assert_int_equal(ms_tensor_dtype(must(h)), MS_BF16);
  expect(h, VALUES(1, 9));
}

static void test_gather(void **state) {
  (void)state;
  for (int k = 0; k < 5; k++) {
    ms_tensor *x = of(every[k], SHAPE(2, 3), VALUES(1, 2, 3, 4, 5, 6));
    for (int j = 0; j < 3; j++) {
      expect(ms_gather(x, 1, of(indices[j], SHAPE(2, 2), VALUES(3, 1, 2, 2))), VALUES(3, 1, 5, 5));
      expect(ms_gather(x, 0, of(indices[j], SHAPE(3, 2), VALUES(1, 2, 2, 1, 1, 1))), VALUES(1, 5, 4, 2, 1, 2));
    }
    expect(ms_scatter_add(x, 1, of(MS_I64, SHAPE(2, 2), VALUES(3, 3, 1, 2)),
                          of(every[k], SHAPE(2, 3), VALUES(10, 20, 99, 30, 40, 99))),
           VALUES(1, 2, 33, 34, 45, 6)); /* src may be larger than index */
    expect(ms_scatter_add(x, 0, of(MS_I64, SHAPE(2, 2), VALUES(2, 1, 2, 1)), of(every[k], SHAPE(2, 2), VALUES(10, 20, 30, 40))),
           VALUES(1, 62, 3, 44, 5, 6));
  }
  ms_tensor *x = ms_permute(noise(MS_F32, SHAPE(4, 3, 5)), SHAPE(1, 2, 0)); /* 3 x 5 x 4 */
  for (int d = 0; d < 3; d++) {
    ms_ints s = SHAPE(2, 4, 3);
    s.at[d] = 6;
    ms_ints r = s;
    r.at[0] = s.at[1], r.at[1] = s.at[0];
    ms_tensor *index = ms_transpose(positions(MS_I64, x->shape[d], r), 0, 1), *src = ms_transpose(noise(MS_F32, r), 0, 1);
    expect_same(ms_gather(x, d, index), ms_gather(ms_contiguous(x), d, ms_contiguous(index)), 0);
    expect_same(ms_scatter_add(x, d, index, src), ms_scatter_add(ms_contiguous(x), d, ms_contiguous(index), ms_contiguous(src)), 0);
    double a = inner_product(ms_gather(x, d, index), src), b = inner_product(x, ms_scatter_add(ms_zeros_like(x), d, index, src));
    assert_true(fabs(a - b) < 1e-4);
  }
  expect_shape(ms_gather(x, 0, of(MS_I64, SHAPE(0, 5, 4), 0, NULL)), SHAPE(0, 5, 4));
  expect_same(ms_scatter_add(x, 0, of(MS_I64, SHAPE(0, 5, 4), 0, NULL), noise(MS_F32, SHAPE(1, 5, 4))), x, 0);
  expect_failure(ms_gather(x, 0, positions(MS_I64, 3, SHAPE(2, 6, 4))), "no larger sizes except along dimension 1");
  expect_failure(ms_gather(x, 0, positions(MS_I64, 3, SHAPE(2, 5))), "expected the rank of x");
  expect_failure(ms_scatter_add(x, 0, positions(MS_I64, 3, SHAPE(2, 5, 4)), noise(MS_F32, SHAPE(2, 5, 3))), "larger than src");
  expect_failure(ms_gather(x, 2, of(MS_I64, SHAPE(1, 1, 1), VALUES(-1))), "index[1] = -1, expected 1..4");
}

static ms_tensor *f_select(int n, ms_tensor *const *x) { return (void)n, ms_index_select(x[0], arg_dim, arg_index); }
static ms_tensor *f_index_add(int n, ms_tensor *const *x) { return (void)n, ms_index_add(x[0], arg_dim, arg_index, x[1]); }
static ms_tensor *f_gather(int n, ms_tensor *const *x) { return (void)n, ms_gather(x[0], arg_dim, arg_index); }
static ms_tensor *f_scatter(int n, ms_tensor *const *x) { return (void)n, ms_scatter_add(x[0], arg_dim, arg_index, x[1]); }

static void test_index_gradients(void **state) {
  (void)state;
  for (arg_dim = 0; arg_dim < 3; arg_dim++) {
    ms_ints s = SHAPE(2, 3, 4), larger;
    ms_tensor *x[2] = {noise(MS_F64, s)};
    int64_t bound = s.at[arg_dim];
    s.at[arg_dim] = 5;
    x[1] = noise(MS_F64, s);
    arg_index = positions(MS_I32, bound, SHAPE(5));
    gradcheck(f_select, 1, x);
    gradcheck(f_index_add, 2, x);
    arg_index = positions(MS_I64, bound, s);
    gradcheck(f_gather, 1, x);
    gradcheck(f_scatter, 2, x);
    larger = s;
    larger.at[(arg_dim + 1) % 3]++; /* what index does not reach has no gradient */
    x[1] = noise(MS_F64, larger);
    gradcheck(f_scatter, 2, x);
  }
}

static ms_tensor *f_fill(int n, ms_tensor *const *x) {
  return (void)n, ms_apply(MS_OP_masked_fill, MS_IN(x[0], arg_index, x[1]), NULL);
}

static void test_one_hot_and_fill(void **state) {
  (void)state;
  for (int k = 0; k < MS_DTYPES; k++) {
    ms_tensor *r = ms_apply(MS_OP_one_hot, MS_IN(of(MS_U8, SHAPE(2, 1), VALUES(3, 1))), MS_ATTR(A_INT(3), A_INT(k)));
    expect_shape(r, SHAPE(2, 1, 3));
    assert_int_equal(ms_tensor_dtype(r), k);
    expect(r, VALUES(0, 0, 1, 1, 0, 0));
  }
  expect(ms_apply(MS_OP_one_hot, MS_IN(ms_slice(of(MS_I64, SHAPE(4), VALUES(2, 9, 1, 9)), 0, 0, 2, 2)),
                  MS_ATTR(A_INT(2), A_INT(MS_F32))),
         VALUES(0, 1, 1, 0));
  expect_shape(ms_apply(MS_OP_one_hot, MS_IN(of(MS_I64, SHAPE(0), 0, NULL)), MS_ATTR(A_INT(3), A_INT(MS_F32))), SHAPE(0, 3));
  expect_failure(ms_apply(MS_OP_one_hot, MS_IN(of(MS_I64, SHAPE(2), VALUES(1, 4))), MS_ATTR(A_INT(3), A_INT(MS_F32))),
                 "index[2] = 4, expected 1..3");

  ms_tensor *mask = of(MS_BOOL, SHAPE(3), VALUES(1, 0, 1)), *x = of(MS_F32, SHAPE(2, 3), VALUES(1, 2, 3, 4, 5, 6));
  expect(ms_apply(MS_OP_masked_fill, MS_IN(x, mask, ms_number(-INFINITY)), NULL),
         VALUES(-INFINITY, 2, -INFINITY, -INFINITY, 5, -INFINITY));
  ms_tensor *whole = ms_apply(MS_OP_masked_fill, MS_IN(ms_cast(x, MS_I32), mask, ms_number(7)), NULL);
  expect(whole, VALUES(7, 2, 7, 7, 5, 7));
  assert_int_equal(ms_tensor_dtype(whole), MS_I32);
  expect_failure(ms_apply(MS_OP_masked_fill, MS_IN(ms_cast(x, MS_I32), mask, ms_number(0.5)), NULL), "which cannot hold");
  expect_failure(ms_apply(MS_OP_masked_fill, MS_IN(ms_cast(x, MS_I32), mask, ms_number(INFINITY)), NULL), "which cannot hold");
  expect_failure(ms_apply(MS_OP_masked_fill, MS_IN(x, x, ms_number(1)), NULL), "expected bool");
  arg_index = mask;
  ms_tensor *in[2] = {noise(MS_F64, SHAPE(2, 3)), noise(MS_F64, NONE)};
  gradcheck(f_fill, 2, in);
}

/* ---- joining ----------------------------------------------------------------------------------------------------- */

static ms_tensor *f_cat(int n, ms_tensor *const *x) { return ms_cat(n, x, arg_dim); }
static ms_tensor *f_stack(int n, ms_tensor *const *x) { return ms_apply(MS_OP_stack, n, x, MS_ATTR(A_INT(arg_dim))); }

static void test_join(void **state) {
  (void)state;
  ms_tensor *a = of(MS_F32, SHAPE(2, 2), VALUES(1, 2, 3, 4)), *b = of(MS_F32, SHAPE(2, 1), VALUES(5, 6));
  expect(ms_cat(MS_IN(a, b, a), 1), VALUES(1, 2, 5, 1, 2, 3, 4, 6, 3, 4));
  expect(ms_cat(MS_IN(a, ms_transpose(b, 0, 1)), -2), VALUES(1, 2, 3, 4, 5, 6));
  expect(ms_cat(MS_IN(ms_transpose(a, 0, 1), a), 0), VALUES(1, 3, 2, 4, 1, 2, 3, 4));
  expect(ms_cat(MS_IN(noise(MS_F32, SHAPE(0, 2)), a), 0), VALUES(1, 2, 3, 4));
  expect_shape(ms_cat(MS_IN(noise(MS_F32, SHAPE(0, 2)), noise(MS_F32, SHAPE(0, 3))), 1), SHAPE(0, 5));
  for (int k = 0; k < MS_DTYPES; k++) {
    ms_tensor *x = of(k, SHAPE(1), VALUES(1)), *y = of(k, SHAPE(1), VALUES(0));
    assert_int_equal(ms_tensor_dtype(must(ms_cat(MS_IN(x, y), 0))), k);
    expect(ms_cat(MS_IN(x, y), 0), VALUES(1, 0));
  }
  ms_tensor *mixed =
      ms_cat(MS_IN(of(MS_U8, SHAPE(1), VALUES(200)), of(MS_F64, SHAPE(1), VALUES(.1)), of(MS_I32, SHAPE(1), VALUES(-3))), 0);
  assert_int_equal(ms_tensor_dtype(must(mixed)), MS_F64);
  expect(mixed, VALUES(200, .1, -3));
  ms_tensor *many[40];
  double want[40];
  for (int i = 0; i < 40; i++) many[i] = of(MS_F32, SHAPE(1), 1, &(double){i}), want[i] = i;
  expect(ms_cat(40, many, 0), 40, want);
  expect_shape(ms_apply(MS_OP_stack, 40, many, MS_ATTR(A_INT(-1))), SHAPE(1, 40));
  expect(ms_apply(MS_OP_stack, MS_IN(a, ms_transpose(a, 0, 1)), MS_ATTR(A_INT(1))), VALUES(1, 2, 1, 3, 3, 4, 2, 4));
  expect_failure(ms_cat(MS_IN(a, b), 0),
                 "cat: tensor 2 is 2 x 1 f32, the first 2 x 2 f32; expected equal sizes except along dimension 1");
  expect_failure(ms_apply(MS_OP_cat, MS_IN(a, ms_cast(a, MS_F64)), MS_ATTR(A_INT(0))), "expected one dtype");
  expect_failure(ms_cat(MS_IN(a, a), 2), "dimension 3 is out of range");
  expect_failure(ms_cat(0, NULL, 0), "expected one tensor or more");
  expect_failure(ms_apply(MS_OP_stack, MS_IN(a, b), MS_ATTR(A_INT(0))), "stack: tensor 2 is 2 x 1 f32, the first 2 x 2 f32");

  for (arg_dim = -1; arg_dim < 2; arg_dim++) {
    ms_ints s = SHAPE(2, 3), t = s;
    t.at[arg_dim < 0 ? 1 : arg_dim] = 1;
    ms_tensor *x[3] = {noise(MS_F64, s), noise(MS_F64, t), noise(MS_F64, s)}, *y[2] = {noise(MS_F64, s), noise(MS_F64, s)};
    gradcheck(f_cat, 3, x);
    gradcheck(f_stack, 2, y);
  }
  ms_tensor *x = noise(MS_F32, SHAPE(3)), *y = noise(MS_F64, SHAPE(2)),
            *d[1]; /* a gradient returns to its own dtype, and only where asked */
  ms_set_requires_grad(x, true);
  assert_int_equal(ms_grad(must(ms_sum_all(must(ms_cat(MS_IN(y, x), 0)))), NULL, 1, &x, d, false), 0);
  assert_int_equal(ms_tensor_dtype(d[0]), MS_F32);
  expect(d[0], VALUES(1, 1, 1));
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

static void expect_order(int id, ms_tensor *x, const ms_attr *a, int n, const double *values, const double *at) {
  ms_tensor *out[MS_MAX_OUT];
  if (ms_apply_n(id, NULL, MS_IN(x), a, out) != 2) fail_msg("%s", ms_error());
  assert_int_equal(out[0]->dtype, x->dtype);
  assert_int_equal(out[1]->dtype, MS_I64);
  expect(out[0], n, values);
  expect(out[1], n, at);
}
#define UP(d)     MS_ATTR(A_INT(d), A_INT(0), A_INT(0))
#define DOWN(d)   MS_ATTR(A_INT(d), A_INT(1), A_INT(0))
#define TOP(k, d) MS_ATTR(A_INT(k), A_INT(d), A_INT(1), A_INT(1))
#define LOW(k, d) MS_ATTR(A_INT(k), A_INT(d), A_INT(0), A_INT(1))

static void test_sort_values(void **state) {
  (void)state;
  for (int k = 0; k < 5; k++) {
    ms_tensor *x = of(every[k], SHAPE(2, 3), VALUES(3, 1, 2, 5, 5, 4));
    expect_order(MS_OP_sort, x, UP(-1), 6, (double[]){1, 2, 3, 4, 5, 5}, (double[]){2, 3, 1, 3, 1, 2});
    expect_order(MS_OP_sort, x, DOWN(-1), 6, (double[]){3, 2, 1, 5, 5, 4}, (double[]){1, 3, 2, 1, 2, 3});
    expect_order(MS_OP_sort, ms_transpose(x, 0, 1), UP(0), 6, (double[]){1, 4, 2, 5, 3, 5}, (double[]){2, 3, 3, 1, 1, 2});
    expect_order(MS_OP_topk, x, TOP(2, -1), 4, (double[]){3, 2, 5, 5}, (double[]){1, 3, 1, 2});
    expect_order(MS_OP_topk, x, LOW(1, 0), 3, (double[]){3, 1, 2}, (double[]){1, 1, 1});
    expect_order(MS_OP_topk, x, LOW(0, 0), 0, NULL, NULL);
  }
  expect_order(MS_OP_sort, of(MS_BOOL, SHAPE(3), VALUES(1, 0, 1)), UP(0), 3, (double[]){0, 1, 1}, (double[]){2, 1, 3});
  expect_order(MS_OP_sort, of(MS_F16, SHAPE(3), VALUES(2, .5, -1)), UP(0), 3, (double[]){-1, .5, 2}, (double[]){3, 2, 1});
  expect_order(MS_OP_sort, of(MS_I64, SHAPE(3), VALUES(-1, 9007199254740992, -9007199254740992)), UP(0), 3,
               (double[]){-9007199254740992, -1, 9007199254740992}, (double[]){3, 1, 2});
  for (int dtype = MS_F32; dtype <= MS_F64; dtype++) {
    ms_tensor *x = of(dtype, SHAPE(7), VALUES(NAN, 0., INFINITY, -0., -INFINITY, -NAN, -1));
    expect_order(MS_OP_sort, x, UP(0), 7, (double[]){-INFINITY, -1, 0, 0, INFINITY, NAN, NAN}, (double[]){5, 7, 2, 4, 3, 1, 6});
    expect_order(MS_OP_sort, x, DOWN(0), 7, (double[]){NAN, NAN, INFINITY, 0, 0, -1, -INFINITY}, (double[]){1, 6, 3, 2, 4, 7, 5});
    expect_order(MS_OP_topk, x, TOP(3, 0), 3, (double[]){NAN, NAN, INFINITY}, (double[]){1, 6, 3});
  }
  expect_order(MS_OP_sort, noise(MS_F32, SHAPE(0)), UP(0), 0, NULL, NULL);
  expect_order(MS_OP_sort, noise(MS_F32, SHAPE(0, 3)), UP(1), 0, NULL, NULL);
  expect_order(MS_OP_sort, of(MS_F32, SHAPE(1), VALUES(4)), UP(0), 1, (double[]){4}, (double[]){1});
  expect_failure(ms_apply(MS_OP_topk, MS_IN(noise(MS_F32, SHAPE(2, 3))), TOP(4, 1)), "k is 4, expected 0..3");
  expect_failure(ms_apply(MS_OP_sort, MS_IN(noise(MS_F32, SHAPE(2, 3))), UP(2)), "dimension 3 is out of range");
}

/* Long lines: in order, ties by position, every position once; topk is the beginning of sort. */
static void test_sort_long(void **state) {
  (void)state;
  for (int k = 0; k < 5; k++)
    for (int descending = 0; descending < 2; descending++) {
      enum { N = 5000 };
      ms_tensor *x =
          ms_transpose(ms_cast(ms_mul(noise(MS_F64, SHAPE(N, 3)), ms_number(every[k] == MS_U8 ? 0 : 1000)), every[k]), 0, 1);
      if (every[k] == MS_U8) x = ms_transpose(positions(MS_U8, 250, SHAPE(N, 3)), 0, 1);
      ms_tensor *out[MS_MAX_OUT], *top[MS_MAX_OUT];
      assert_int_equal(ms_apply_n(MS_OP_sort, NULL, MS_IN(x), descending ? DOWN(1) : UP(1), out), 2);
      double *v = read_all(out[0]), *at = read_all(out[1]), *from = read_all(x);
      for (int line = 0; line < 3; line++) {
        bool seen[N] = {false};
        for (int i = 0; i < N; i++) {
          int p = (int)at[line * N + i] - 1;
          assert_true(p >= 0 && p < N && !seen[p]);
          seen[p] = true;
          assert_true(v[line * N + i] == from[line * N + p]);
          if (!i) continue;
          double a = v[line * N + i - 1], b = v[line * N + i];
          assert_true(descending ? a >= b : a <= b);
          assert_true(a != b || at[line * N + i - 1] < at[line * N + i]);
        }
      }
      free(v), free(at), free(from);
      const int64_t some[] = {1, 7, 38, 300, N};
      for (int j = 0; j < 5; j++) {
        assert_int_equal(ms_apply_n(MS_OP_topk, NULL, MS_IN(x), descending ? TOP(some[j], 1) : LOW(some[j], 1), top), 2);
        expect_same(top[0], ms_slice(out[0], 1, 0, some[j], 1), 0);
        expect_same(top[1], ms_slice(out[1], 1, 0, some[j], 1), 0);
      }
    }
}

static ms_tensor *f_sort(int n, ms_tensor *const *x) { return (void)n, ms_apply(MS_OP_sort, MS_IN(x[0]), DOWN(arg_dim)); }
static ms_tensor *f_topk(int n, ms_tensor *const *x) { return (void)n, ms_apply(MS_OP_topk, MS_IN(x[0]), TOP(2, arg_dim)); }
static ms_tensor *f_topk_squared(int n, ms_tensor *const *x) { return ms_square(f_topk(n, x)); }

static void test_sort_gradients(void **state) {
  (void)state;
  for (arg_dim = -1; arg_dim < 2; arg_dim++) {
    ms_tensor *x = noise(MS_F64, SHAPE(2, 3, 4));
    gradcheck(f_sort, 1, &x);
    gradcheck(f_topk, 1, &x);
    gradcheck(f_topk_squared, 1, &x);
  }
}

/* ---- softmax ----------------------------------------------------------------------------------------------------- */

static void test_softmax_values(void **state) {
  (void)state;
  for (int dtype = MS_F32; dtype <= MS_F64; dtype++) {
    double close = dtype == MS_F32 ? 1e-6 : 1e-14, l2 = log(2), l3 = log(3);
    ms_tensor *x = of(dtype, SHAPE(2, 3), VALUES(l2, l3, 0, -1000 + l2, -1000 + l2, -1000)); /* shares 2 3 1, 2 2 1 */
    expect_within(ms_softmax(x, 1), dtype == MS_F32 ? 3e-5 : 1e-12, VALUES(2. / 6, 3. / 6, 1. / 6, .4, .4, .2));
    expect_within(ms_log_softmax(of(dtype, SHAPE(3), VALUES(1e4, 0, 1e4)), 0), close * 1e3, VALUES(-l2, -1e4 - l2, -l2));
    expect_within(ms_softmax(of(dtype, SHAPE(3), VALUES(-INFINITY, 0, 0)), 0), close, VALUES(0, .5, .5));
    expect(ms_softmax(of(dtype, SHAPE(3), VALUES(0, NAN, 0)), 0), VALUES(NAN, NAN, NAN));
    expect(ms_softmax(of(dtype, SHAPE(1), VALUES(88)), 0), VALUES(1));
    expect(ms_log_softmax(of(dtype, SHAPE(1, 1), VALUES(88)), 0), VALUES(0));
    expect_shape(ms_softmax(noise(dtype, SHAPE(0, 3)), 1), SHAPE(0, 3));
    expect_shape(ms_softmax(noise(dtype, SHAPE(3, 0)), 1), SHAPE(3, 0));
    /* every length: sums to 1, and the other directions agree with the last dimension */
    for (int n = 1; n < 40; n++) {
      ms_tensor *y = ms_mul(noise(dtype, SHAPE(3, n)), ms_number(5)), *r = ms_softmax(y, -1);
      expect_within(ms_sum(r, SHAPE(1), false), close * 4, VALUES(1, 1, 1));
      expect_same(ms_softmax(ms_contiguous(ms_transpose(y, 0, 1)), 0), ms_transpose(r, 0, 1), close);
      expect_same(ms_softmax(ms_transpose(y, 0, 1), 0), ms_transpose(r, 0, 1), close);
      expect_same(ms_exp(ms_log_softmax(y, -1)), r, close * 4);
      expect_same(ms_log_softmax(ms_contiguous(ms_transpose(y, 0, 1)), 0), ms_transpose(ms_log_softmax(y, 1), 0, 1), close * 16);
    }
    ms_tensor *wide = ms_softmax(noise(dtype, SHAPE(2, 20000)), 1), *tall = ms_softmax(noise(dtype, SHAPE(2, 3, 700)), 1);
    expect_within(ms_sum(wide, SHAPE(1), false), close * 10, VALUES(1, 1));
    expect_same(ms_sum(tall, SHAPE(1), false), ms_ones_like(ms_sum(tall, SHAPE(1), false)), close);
  }
  assert_int_equal(ms_tensor_dtype(must(ms_softmax(of(MS_I32, SHAPE(2), VALUES(1, 2)), 0))), MS_F32);
  assert_int_equal(ms_tensor_dtype(must(ms_softmax(of(MS_F16, SHAPE(2), VALUES(1, 2)), 0))), MS_F16);
  expect_failure(ms_softmax(noise(MS_F32, SHAPE(2)), 1), "softmax: dimension 2 is out of range");
}

static ms_tensor *f_softmax(int n, ms_tensor *const *x) { return (void)n, ms_softmax(x[0], arg_dim); }
static ms_tensor *f_log_softmax(int n, ms_tensor *const *x) { return (void)n, ms_log_softmax(x[0], arg_dim); }

static void test_softmax_gradients(void **state) {
  (void)state;
  for (arg_dim = -1; arg_dim < 2; arg_dim++) {
    ms_tensor *x = noise(MS_F64, SHAPE(2, 3, 4));
    gradcheck(f_softmax, 1, &x);
    gradcheck(f_log_softmax, 1, &x);
  }
}

/* ---- the same bits on one thread and on several ------------------------------------------------------------------ */

static void work(ms_tensor **r) {
  lcg = 99;
  ms_tensor *x = noise(MS_F32, SHAPE(400, 300)), *planes = ms_reshape(x, SHAPE(10, 4, 60, 50));
  ms_tensor *index = positions(MS_I64, 7, SHAPE(400)), *across = positions(MS_I64, 300, SHAPE(400, 300)),
            *down = positions(MS_I64, 7, SHAPE(400, 300));
  ms_tensor *zero = ms_full(SHAPE(7, 300), 0, MS_F32, NULL), *out[MS_MAX_OUT];
  r[0] = ms_index_add(zero, 0, index, x);
  r[1] = ms_scatter_add(x, 1, across, x);
  r[2] = ms_scatter_add(zero, 0, down, x);
  r[3] = ms_softmax(x, 1);
  r[4] = ms_softmax(x, 0);
  r[5] = ms_apply(MS_OP_resample, MS_IN(planes), MS_ATTR(A_INTS(SHAPE(120, 100)), A_INT(1), A_INT(0), A_INTS(NONE)));
  r[6] = ms_apply(MS_OP_resample_grad, MS_IN(planes), MS_ATTR(A_INTS(SHAPE(33, 77)), A_INT(2), A_INT(0), A_INTS(NONE)));
  r[7] = ms_apply(MS_OP_avg_pool2d, MS_IN(planes),
                  MS_ATTR(A_INTS(SHAPE(3)), A_INTS(SHAPE(2)), A_INTS(SHAPE(1)), A_INT(0), A_INT(1), A_INT(MS_NO_DIM)));
  r[8] = ms_gather(x, 0, down);
  r[9] = ms_apply_n(MS_OP_sort, NULL, MS_IN(x), UP(0), out) == 2 ? out[1] : NULL;
  r[10] = ms_index_select(x, 0, positions(MS_I64, 400, SHAPE(1000)));
  r[11] = ms_apply(MS_OP_resample_grad, MS_IN(planes), MS_ATTR(A_INTS(SHAPE(30, 25)), A_INT(1), A_INT(0), A_INTS(NONE)));
}

static void test_threads(void **state) {
  (void)state;
  enum { RESULTS = 12 };
  ms_tensor *one[RESULTS], *three[RESULTS];
  int before = ms_threads();
  ms_set_threads(1), work(one);
  ms_set_threads(3), work(three);
  ms_set_threads(before);
  for (int i = 0; i < RESULTS; i++) {
    size_t bytes = (size_t)ms_numel(must(one[i])) * ms_dtype_size(one[i]->dtype);
    if (memcmp(ms_data(one[i]), ms_data(must(three[i])), bytes)) fail_msg("result %d differs", i);
  }
}

/* ---- the trace device -------------------------------------------------------------------------------------------- */

static void test_trace(void **state) {
  (void)state;
  ms_device *d = ms_device_get("trace");
  assert_non_null(d);
  ms_trace_clear(0);
  float v[6] = {1, 2, 3, 4, 5, 6}, back[6] = {0};
  ms_tensor *x = must(ms_from_host(MS_F32, 2, (int64_t[]){2, 3}, v, d));
  assert_int_equal(ms_to_host(x, back), 0);
  assert_memory_equal(v, back, sizeof v);
  assert_null(ms_data(x));
  assert_int_equal(ms_trace_count(0), 0);

  ms_set_requires_grad(x, true);
  ms_tensor *y = must(ms_sum_all(must(ms_softmax(must(ms_add(x, ms_number(1))), 1))));
  assert_int_equal(ms_trace_count(0), 3);
  assert_string_equal(ms_trace_line(0, 0), "add 2 x 3 f32, number -> 2 x 3 f32");
  assert_string_equal(ms_trace_line(0, 1), "softmax 2 x 3 f32 -> 2 x 3 f32");
  assert_string_equal(ms_trace_line(0, 2), "sum 2 x 3 f32 -> scalar f32");
  assert_int_equal(ms_backward(y, NULL, 0, NULL, false), 0);
  assert_true(ms_trace_count(0) > 3);
  ms_trace_clear(0);

  must(ms_cat(MS_IN(x, x), 0));
  must(ms_apply(MS_OP_topk, MS_IN(x), TOP(2, 1)));
  must(ms_apply(
      MS_OP_conv2d, 3,
      (ms_tensor *[]){ms_zeros(MS_F32, 4, (int64_t[]){1, 1, 2, 2}, d), ms_zeros(MS_F32, 4, (int64_t[]){1, 1, 1, 1}, d), NULL},
      NULL));
  assert_string_equal(ms_trace_line(0, 0), "cat 2 x 3 f32, 2 x 3 f32 -> 4 x 3 f32");
  assert_string_equal(ms_trace_line(0, 1), "topk 2 x 3 f32 -> 2 x 2 f32, 2 x 2 i64");
  assert_string_equal(ms_trace_line(0, 2), "full -> 1 x 1 x 2 x 2 f32");
  assert_string_equal(ms_trace_line(0, 4), "conv2d 1 x 1 x 2 x 2 f32, 1 x 1 x 1 x 1 f32, none -> 1 x 1 x 2 x 2 f32");
  assert_int_equal(ms_trace_count(0), 5);
  assert_null(ms_trace_line(0, 5)), assert_null(ms_trace_line(0, -1));
  for (int i = 0; i < 3000; i++) {
    int mark = ms_scope_open();
    must(ms_neg(x));
    ms_scope_close(mark);
  }
  assert_int_equal(ms_trace_count(0), 3005);
  assert_string_equal(ms_trace_line(0, 3004), "neg 2 x 3 f32 -> 2 x 3 f32");
  ms_trace_clear(0);
  assert_int_equal(ms_trace_count(0), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_index_select),    TEST(test_index_add),         TEST(test_gather),
      TEST(test_index_gradients), TEST(test_one_hot_and_fill),  TEST(test_join),
      TEST(test_sort_values),     TEST(test_sort_long),         TEST(test_sort_gradients),
      TEST(test_softmax_values),  TEST(test_softmax_gradients), TEST(test_threads),
      TEST(test_trace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
