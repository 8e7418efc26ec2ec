/* test_pooling.c -- pooling and resampling: values, gradients, strided and empty inputs, messages. */
#include "check.h"

/* ---- pooling ----------------------------------------------------------------------------------------------------- */

static ms_tensor *pool(int id, ms_tensor *x, ms_ints size, ms_ints stride, ms_ints padding) {
  if (id == MS_OP_avg_pool2d)
    return ms_apply(id, MS_IN(x), MS_ATTR(A_INTS(size), A_INTS(stride), A_INTS(padding), A_INT(0), A_INT(1), A_INT(MS_NO_DIM)));
  return ms_apply(id, MS_IN(x), MS_ATTR(A_INTS(size), A_INTS(stride), A_INTS(padding), A_INTS(SHAPE(1)), A_INT(0)));
}
static ms_tensor *pool_grad(ms_tensor *g, ms_ints input, ms_ints size, ms_ints stride, ms_ints padding) {
  return ms_apply(MS_OP_avg_pool2d_grad, MS_IN(g),
                  MS_ATTR(A_INTS(input), A_INTS(size), A_INTS(stride), A_INTS(padding), A_INT(0), A_INT(1), A_INT(MS_NO_DIM)));
}

static ms_tensor *counting(int dtype, ms_ints shape) {
  int64_t n = 1;
  for (int i = 0; i < shape.n; i++) n *= shape.at[i];
  return ms_reshape(ms_apply(MS_OP_arange, 0, NULL, MS_ATTR(A_NUM(1), A_NUM((double)n), A_NUM(1), A_INT(dtype))), shape);
}

static void test_avg_pool(void **state) {
  (void)state;
  for (int dtype = MS_F32; dtype <= MS_F64; dtype++) {
    ms_tensor *x = counting(dtype, SHAPE(1, 1, 4, 5)); /* rows 1..5, 6..10, 11..15, 16..20 */
    expect(pool(MS_OP_avg_pool2d, x, SHAPE(2), NONE, SHAPE(0)), VALUES(4, 6, 14, 16));
    expect(pool(MS_OP_avg_pool2d, x, SHAPE(4, 5), NONE, SHAPE(0)), VALUES(10.5));
    expect(pool(MS_OP_avg_pool2d, x, SHAPE(2, 1), SHAPE(2, 3), SHAPE(0)), VALUES(3.5, 6.5, 13.5, 16.5));
    expect(pool(MS_OP_avg_pool2d, x, SHAPE(2), SHAPE(2, 3), SHAPE(1)),
           VALUES(0.25, 1.75, 17. / 4, 44. / 4, 4, 37. / 4)); /* padding counts */
    expect_same(pool(MS_OP_avg_pool2d, x, SHAPE(1), NONE, SHAPE(0)), x, 0);
    expect(pool_grad(of(dtype, SHAPE(1, 1, 2, 2), VALUES(4, 8, 12, 16)), SHAPE(5, 4), SHAPE(2), NONE, SHAPE(0)),
           VALUES(1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4, 0, 0, 0, 0));
    expect_shape(pool(MS_OP_avg_pool2d, noise(dtype, SHAPE(0, 3, 4, 4)), SHAPE(2), NONE, SHAPE(0)), SHAPE(0, 3, 2, 2));
    /* a transposed plane, against its copy */
    ms_tensor *t = ms_transpose(noise(dtype, SHAPE(2, 3, 7, 6)), 2, 3);
    expect_same(pool(MS_OP_avg_pool2d, t, SHAPE(3, 2), SHAPE(1, 2), SHAPE(1)),
                pool(MS_OP_avg_pool2d, ms_contiguous(t), SHAPE(3, 2), SHAPE(1, 2), SHAPE(1)), 0);
    expect_same(pool(MS_OP_avg_pool2d, t, SHAPE(2), NONE, SHAPE(0)),
                pool(MS_OP_avg_pool2d, ms_contiguous(t), SHAPE(2), NONE, SHAPE(0)), 1e-6);
  }
}

static void expect_max_pool(ms_tensor *x, ms_ints size, ms_ints stride, ms_ints padding, int n, const double *values,
                            const double *at) {
  ms_tensor *out[MS_MAX_OUT];
  assert_int_equal(ms_apply_n(MS_OP_max_pool2d_with_indices, NULL, MS_IN(x),
                              MS_ATTR(A_INTS(size), A_INTS(stride), A_INTS(padding), A_INTS(SHAPE(1)), A_INT(0)), out),
                   2);
  expect(out[0], n, values);
  assert_int_equal(out[1]->dtype, MS_I64);
  expect(out[1], n, at);
}

static void test_max_pool(void **state) {
  (void)state;
  for (int dtype = MS_F32; dtype <= MS_F64; dtype++) {
    ms_tensor *x = of(dtype, SHAPE(1, 2, 2, 4), VALUES(1, 5, 2, 2, 3, 4, 2, -1, -7, -8, -9, -6, -8, -7, -6, -9));
    expect_max_pool(x, SHAPE(2), NONE, SHAPE(0), 4, (double[]){5, 2, -7, -6}, (double[]){2, 3, 1, 4});
    expect_max_pool(x, SHAPE(2), SHAPE(2), SHAPE(1), 12, (double[]){1, 5, 2, 3, 4, -1, -7, -8, -6, -8, -6, -9},
                    (double[]){1, 2, 4, 5, 6, 8, 1, 2, 4, 5, 7, 8}); /* padding never wins, even over negative values */
    expect_max_pool(x, SHAPE(2, 3), SHAPE(1), SHAPE(0), 4, (double[]){5, 5, -6, -6}, (double[]){2, 2, 7, 4});
    ms_tensor *odd = of(dtype, SHAPE(1, 1, 1, 6), VALUES(-INFINITY, -INFINITY, 1, NAN, NAN, 3));
    expect_max_pool(odd, SHAPE(1, 2), NONE, SHAPE(0), 3, (double[]){-INFINITY, NAN, NAN}, (double[]){1, 4, 5});
    ms_tensor *pairs =
        of(dtype, SHAPE(1, 1, 2, 8), VALUES(1, 2, NAN, 9, -INFINITY, -INFINITY, 4, 4, 0, 1, 9, NAN, -INFINITY, -INFINITY, 4, 3));
    expect_max_pool(pairs, SHAPE(2), NONE, SHAPE(0), 4, (double[]){2, NAN, -INFINITY, 4}, (double[]){2, 12, 5, 7});
    ms_tensor *out[MS_MAX_OUT], *again[MS_MAX_OUT],
        *t = ms_transpose(noise(dtype, SHAPE(2, 3, 600, 5)), 2, 3); /* rows longer than a block */
    ms_attr a[5] = {A_INTS(SHAPE(3)), A_INTS(SHAPE(2, 1)), A_INTS(SHAPE(1)), A_INTS(SHAPE(1)), A_INT(0)};
    assert_int_equal(ms_apply_n(MS_OP_max_pool2d_with_indices, NULL, MS_IN(t), a, out), 2);
    assert_int_equal(ms_apply_n(MS_OP_max_pool2d_with_indices, NULL, MS_IN(ms_contiguous(t)), a, again), 2);
    expect_same(out[0], again[0], 0), expect_same(out[1], again[1], 0);
    ms_ints flat = SHAPE(6, 3000), small = SHAPE(6, 3 * 600); /* the positions point at the values */
    expect_same(ms_gather(ms_reshape(t, flat), 1, ms_reshape(out[1], small)), ms_reshape(out[0], small), 0);
  }
  expect_failure(pool(MS_OP_max_pool2d_with_indices, noise(MS_F32, SHAPE(1, 1, 2, 2)), SHAPE(3), NONE, SHAPE(0)),
                 "windows of 3 x 3 (padding 0 x 0, dilation 1 x 1) do not fit into 2 x 2");
  expect_failure(pool(MS_OP_max_pool2d_with_indices, noise(MS_F32, SHAPE(1, 1, 4, 4)), SHAPE(2), NONE, SHAPE(2)),
                 "padding 2 is more than half of kernel_size 2");
  expect_failure(pool(MS_OP_avg_pool2d, noise(MS_F32, SHAPE(4, 4)), SHAPE(2), NONE, SHAPE(0)),
                 "x is 4 x 4 f32, expected N x C x H x W or C x H x W");
  expect_failure(pool(MS_OP_avg_pool2d, noise(MS_F32, SHAPE(1, 1, 4, 4)), SHAPE(2), SHAPE(0), SHAPE(0)),
                 "stride is 0, expected 1 or more");
  expect_failure(pool_grad(noise(MS_F32, SHAPE(1, 1, 2, 2)), SHAPE(6, 4), SHAPE(2), NONE, SHAPE(0)), "pooling 6 x 4 gives 3 x 2");
}

/* ---- max pooling of images that lie channels last: the kernel itself, since only recorded steps choose that layout ------ */

/* The view of n x c x h x w elements that lie one after another from `data` on: in row-major order, or channels last. */
static ms_view image_view(void *data, int dtype, const int64_t *shape, bool last) {
  const int64_t c = shape[1], h = shape[2], w = shape[3];
  ms_view v = {.data = data, .dtype = (uint8_t)dtype, .rank = 4};
  memcpy(v.shape, shape, 4 * sizeof *shape);
  const int64_t planes[] = {c * h * w, h * w, w, 1}, pixels[] = {h * w * c, 1, w * c, c};
  memcpy(v.stride, last ? pixels : planes, sizeof planes);
  return v;
}

/* Copy images from one layout into the other, elements of `size` bytes. */
static void turn_images(const ms_view *to, const ms_view *from, size_t size) {
  const int64_t *s = from->shape;
  for (int64_t i = 0, count = ms_view_numel(from); i < count; i++) {
    const int64_t at[] = {i / (s[1] * s[2] * s[3]), i / (s[2] * s[3]) % s[1], i / s[3] % s[2], i % s[3]};
    int64_t f = 0, t = 0;
    for (int k = 0; k < 4; k++) f += at[k] * from->stride[k], t += at[k] * to->stride[k];
    memcpy((char *)to->data + (size_t)t * size, (const char *)from->data + (size_t)f * size, size);
  }
}

static void run_max_pool(const ms_view *x, const ms_view *values, const ms_view *positions, const ms_attr *attr) {
  ms_view in[] = {*x}, out[] = {*values, *positions};
  ms_call c = {
      .op = ms_op_at(MS_OP_max_pool2d_with_indices), .n_in = 1, .n_out = 2, .n_attr = 5, .in = in, .out = out, .attr = attr};
  c.kernel = ms_backend_cpu()->kernel(&c);
  assert_non_null(c.kernel);
  assert_null(c.kernel->prepare);
  assert_int_equal(c.kernel->run(&c), 0);
}

/* Few values, so that there are ties; some infinite, some NaN. */
static double rough(int kind) {
  const double v = floor(uniform() * 3);
  if (kind == 1 && uniform() > 0.7) return NAN;
  if (kind == 2) return uniform() > 0 ? -INFINITY : v;
  return v;
}

/* Room for one image in both layouts. */
typedef struct both {
  ms_view planes, pixels;
} both;
static both make_both(int dtype, const int64_t *shape) {
  const size_t bytes = (size_t)(shape[0] * shape[1] * shape[2] * shape[3] + 1) * 8;
  return (both){image_view(calloc(1, bytes), dtype, shape, false), image_view(calloc(1, bytes), dtype, shape, true)};
}
static void free_both(both *b) { free(b->planes.data), free(b->pixels.data); }

static void expect_same_maxima(int dtype, const int64_t *shape, const int64_t *window, int kind) {
  const int64_t *size = window, *stride = window + 2, *padding = window + 4;
  int64_t pooled[4] = {shape[0], shape[1]};
  for (int i = 0; i < 2; i++) pooled[2 + i] = (shape[2 + i] + 2 * padding[i] - size[i]) / stride[i] + 1;
  const ms_attr attr[] = {A_INTS(SHAPE(size[0], size[1])), A_INTS(SHAPE(stride[0], stride[1])),
                          A_INTS(SHAPE(padding[0], padding[1])), A_INTS(SHAPE(1, 1)), A_INT(0)};
  both x = make_both(dtype, shape), values = make_both(dtype, pooled), positions = make_both(MS_I64, pooled);
  const size_t element = ms_dtype_size(dtype), count = (size_t)ms_view_numel(&values.planes);
  for (int64_t i = 0; i < ms_view_numel(&x.planes); i++)
    if (dtype == MS_F32) ((float *)x.planes.data)[i] = (float)rough(kind);
    else ((double *)x.planes.data)[i] = rough(kind);
  turn_images(&x.pixels, &x.planes, element);
  run_max_pool(&x.planes, &values.planes, &positions.planes, attr);
  run_max_pool(&x.pixels, &values.pixels, &positions.pixels, attr);
  void *turned = calloc(count + 1, 8);
  ms_view v = image_view(turned, dtype, pooled, false), p = image_view(turned, MS_I64, pooled, false);
  turn_images(&v, &values.pixels, element);
  assert_memory_equal(v.data, values.planes.data, count * element);
  turn_images(&p, &positions.pixels, sizeof(int64_t));
  assert_memory_equal(p.data, positions.planes.data, count * sizeof(int64_t));
  free(turned), free_both(&x), free_both(&values), free_both(&positions);
}

/* Windows up to 4 x 4, steps up to 3, no padding or as much as there may be; every `stride`-th of these. */
static int try_windows(const int64_t *shape, int stride) {
  int tried = 0;
  for (int64_t k = 0; k < 4 * 4 * 3 * 3 * 2 * 2; k += stride) {
    int64_t window[] = {k % 4 + 1, k / 4 % 4 + 1, k / 16 % 3 + 1, k / 48 % 3 + 1, k / 144 % 2, k / 288};
    bool fits = true;
    for (int i = 0; i < 2; i++) {
      if (window[4 + i]) window[4 + i] = window[i] / 2;
      fits = fits && shape[2 + i] + 2 * window[4 + i] >= window[i];
    }
    for (int kind = 0; fits && kind < 3; kind++, tried++) {
      expect_same_maxima(MS_F32, shape, window, kind);
      expect_same_maxima(MS_F64, shape, window, kind);
    }
  }
  return tried;
}

static void test_max_pool_channels_last(void **state) {
  (void)state;
  int tried = try_windows((int64_t[]){2, 3, 7, 6}, 1);
  tried += try_windows((int64_t[]){3, 17, 1, 9}, 1);
  tried += try_windows((int64_t[]){0, 4, 6, 6}, 5);
  tried += try_windows((int64_t[]){1, 300, 5, 4}, 7);   /* more channels than are taken at a time */
  tried += try_windows((int64_t[]){1, 2, 12, 300}, 11); /* the same of a row */
  assert_true(tried > 2000);
}

static ms_ints arg_size, arg_stride, arg_padding, arg_input;
static int64_t arg_mode;

static ms_tensor *f_avg(int n, ms_tensor *const *x) {
  return (void)n, pool(MS_OP_avg_pool2d, x[0], arg_size, arg_stride, arg_padding);
}
static ms_tensor *f_max(int n, ms_tensor *const *x) {
  return (void)n, pool(MS_OP_max_pool2d_with_indices, x[0], arg_size, arg_stride, arg_padding);
}
static ms_tensor *f_avg_grad(int n, ms_tensor *const *x) {
  return (void)n, pool_grad(x[0], arg_input, arg_size, arg_stride, arg_padding);
}

static void test_pool_gradients(void **state) {
  (void)state;
  struct {
    ms_ints size, stride, padding;
  } way[] = {{SHAPE(2), NONE, SHAPE(0)},
             {SHAPE(3, 2), SHAPE(2, 1), SHAPE(1)},
             {SHAPE(2), SHAPE(1, 2), SHAPE(0)},
             {SHAPE(2, 3), SHAPE(3), SHAPE(0, 1)}};
  for (int i = 0; i < 4; i++) {
    arg_size = way[i].size, arg_stride = way[i].stride, arg_padding = way[i].padding, arg_input = SHAPE(5, 4);
    ms_tensor *x = noise(MS_F64, SHAPE(2, 1, 5, 4));
    gradcheck(f_avg, 1, &x);
    gradcheck(f_max, 1, &x);
    ms_tensor *g = noise(MS_F64, ms_sizes(must(f_avg(1, &x))));
    gradcheck(f_avg_grad, 1, &g);
  }
}

/* ---- resampling -------------------------------------------------------------------------------------------------- */

static ms_tensor *resample(ms_tensor *x, ms_ints size, int mode) {
  return ms_apply(MS_OP_resample, MS_IN(x), MS_ATTR(A_INTS(size), A_INT(mode), A_INT(0), A_INTS(NONE)));
}
static ms_tensor *resample_grad(ms_tensor *g, ms_ints input, int mode) {
  return ms_apply(MS_OP_resample_grad, MS_IN(g), MS_ATTR(A_INTS(input), A_INT(mode), A_INT(0), A_INTS(NONE)));
}
enum { NEAREST, BILINEAR, BICUBIC };

static void test_resample_values(void **state) {
  (void)state;
  for (int dtype = MS_F32; dtype <= MS_F64; dtype++)
    for (int down = 0; down < 2; down++) { /* along a row, down a column */
      ms_ints in = down ? SHAPE(1, 1, 4, 1) : SHAPE(1, 1, 1, 4), eight = down ? SHAPE(8, 1) : SHAPE(1, 8),
              six = down ? SHAPE(6, 1) : SHAPE(1, 6);
      ms_tensor *x = of(dtype, in, VALUES(0, 1, 2, 3));
      expect(resample(x, six, NEAREST), VALUES(0, 0, 1, 2, 2, 3));
      expect(resample(x, eight, NEAREST), VALUES(0, 0, 1, 1, 2, 2, 3, 3));
      expect_within(resample(x, eight, BILINEAR), 1e-6, VALUES(0, .25, .75, 1.25, 1.75, 2.25, 2.75, 3));
      expect_within(resample(x, eight, BICUBIC), 1e-6,
                    VALUES(-.10546875, .19140625, .66796875, 1.296875, 1.703125, 2.33203125, 2.80859375, 3.10546875));
      expect_within(resample(x, down ? SHAPE(2, 1) : SHAPE(1, 2), BILINEAR), 1e-6, VALUES(.5, 2.5));
      for (int mode = NEAREST; mode <= BICUBIC; mode++)
        expect_within(resample(x, down ? SHAPE(4, 1) : SHAPE(1, 4), mode), 1e-6, VALUES(0, 1, 2, 3));
    }
  /* both dimensions doubled has a way of its own: against one dimension after the other, which has not; forward and adjoint */
  for (int dtype = MS_F32; dtype <= MS_F64; dtype++)
    for (int mode = NEAREST; mode <= BICUBIC; mode++)
      for (int h = 1; h <= 4; h++)
        for (int w = 1; w <= 5; w++) {
          double close = dtype == MS_F32 ? 1e-5 : 1e-12;
          ms_tensor *x = noise(dtype, SHAPE(2, 3, h, w)), *g = noise(dtype, SHAPE(2, 3, 2 * h, 2 * w));
          expect_same(resample(x, SHAPE(2 * h, 2 * w), mode),
                      resample(resample(x, SHAPE(2 * h, w), mode), SHAPE(2 * h, 2 * w), mode), close);
          expect_same(resample_grad(g, SHAPE(h, w), mode),
                      resample_grad(resample_grad(g, SHAPE(2 * h, w), mode), SHAPE(h, w), mode), close);
        }
}

static void test_resample_adjoint(void **state) {
  (void)state;
  const int64_t size[][4] = {{4, 6, 8, 12}, {5, 3, 7, 11}, {6, 7, 3, 2}, {1, 1, 3, 2}, {3, 4, 1, 1}, {7, 5, 14, 5}, {2, 2, 6, 4}};
  for (int dtype = MS_F32; dtype <= MS_F64; dtype++)
    for (int mode = NEAREST; mode <= BICUBIC; mode++)
      for (int i = 0; i < 7; i++) {
        const int64_t *s = size[i];
        ms_tensor *x = noise(dtype, SHAPE(2, 3, s[0], s[1])), *g = noise(dtype, SHAPE(2, 3, s[2], s[3]));
        double a = inner_product(resample(x, SHAPE(s[2], s[3]), mode), g),
               b = inner_product(x, resample_grad(g, SHAPE(s[0], s[1]), mode));
        if (!(fabs(a - b) <= (dtype == MS_F32 ? 1e-4 : 1e-11))) fail_msg("mode %d, size %d: %.12g against %.12g", mode, i, a, b);
        ms_tensor *xt = ms_transpose(noise(dtype, SHAPE(2, 3, s[1], s[0])), 2, 3),
                  *gt = ms_expand(noise(dtype, SHAPE(2, 1, s[2], 1)), SHAPE(2, 3, s[2], s[3]));
        double close = dtype == MS_F32 ? 1e-5 : 1e-13;
        expect_same(resample(xt, SHAPE(s[2], s[3]), mode), resample(ms_contiguous(xt), SHAPE(s[2], s[3]), mode), close);
        expect_same(resample_grad(gt, SHAPE(s[0], s[1]), mode), resample_grad(ms_contiguous(gt), SHAPE(s[0], s[1]), mode), close);
      }
  expect_shape(resample(noise(MS_F32, SHAPE(2, 0, 3, 3)), SHAPE(5), BICUBIC), SHAPE(2, 0, 5, 5));
  expect_failure(resample(noise(MS_F32, SHAPE(2, 1, 0, 3)), SHAPE(5), BICUBIC), "expected height and width of 1 or more");
  expect_failure(resample(noise(MS_F32, SHAPE(2, 1, 3, 3)), SHAPE(0), NEAREST), "size is 0, expected 1 or more");
  expect_failure(resample(noise(MS_F32, SHAPE(3, 3)), SHAPE(2), NEAREST), "expected N x C x H x W");
}

static ms_tensor *f_resample(int n, ms_tensor *const *x) { return (void)n, resample(x[0], arg_size, (int)arg_mode); }
static ms_tensor *f_resample_grad(int n, ms_tensor *const *x) { return (void)n, resample_grad(x[0], arg_input, (int)arg_mode); }

static void test_resample_gradients(void **state) {
  (void)state;
  for (arg_mode = NEAREST; arg_mode <= BICUBIC; arg_mode++) {
    arg_input = SHAPE(3, 4);
    const ms_ints size[] = {SHAPE(6, 8), SHAPE(5, 3), SHAPE(2, 7)};
    for (int i = 0; i < 3; i++) {
      arg_size = size[i];
      ms_tensor *x = noise(MS_F64, SHAPE(1, 2, 3, 4)), *g = noise(MS_F64, SHAPE(1, 2, arg_size.at[0], arg_size.at[1]));
      gradcheck(f_resample, 1, &x);
      gradcheck(f_resample_grad, 1, &g);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_avg_pool),        TEST(test_max_pool),         TEST(test_max_pool_channels_last), TEST(test_pool_gradients),
      TEST(test_resample_values), TEST(test_resample_adjoint), TEST(test_resample_gradients),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
