/* test_conv.c -- conv2d, its adjoints and conv_transpose2d: against plain loops in double, gradients, errors, empty tensors, and
 * bits that do not depend on the number of threads. */
#include "products.h"

/* ---- convolution ------------------------------------------------------------------------------------------------- */

typedef struct conv {
  int64_t n, c, h, w, o, kh, kw, groups, stride[2], pad[2], dilation[2];
} conv;

#define CONV_ATTRS(p)                                                                                                              \
  A_INTS(MS_INTS((p)->stride[0], (p)->stride[1])), A_INTS(MS_INTS((p)->pad[0], (p)->pad[1])),                                      \
      A_INTS(MS_INTS((p)->dilation[0], (p)->dilation[1])), A_INT((p)->groups)

static ms_tensor *conv2d(const conv *p, ms_tensor *x, ms_tensor *w, ms_tensor *b) {
  return ms_apply(MS_OP_conv2d, MS_IN(x, w, b), MS_ATTR(CONV_ATTRS(p)));
}
static ms_tensor *input_grad(const conv *p, ms_tensor *g, ms_tensor *w) {
  return ms_apply(MS_OP_conv2d_input_grad, MS_IN(g, w), MS_ATTR(A_INTS(MS_INTS(p->h, p->w)), CONV_ATTRS(p)));
}
static ms_tensor *weight_grad(const conv *p, ms_tensor *x, ms_tensor *g) {
  return ms_apply(MS_OP_conv2d_weight_grad, MS_IN(x, g), MS_ATTR(A_INTS(MS_INTS(p->kh, p->kw)), CONV_ATTRS(p)));
}
static ms_tensor *conv_x(const conv *p, int dtype) { return RANDOM(dtype, p->n, p->c, p->h, p->w); }
static ms_tensor *conv_w(const conv *p, int dtype) { return RANDOM(dtype, p->o, p->c / p->groups, p->kh, p->kw); }
static int64_t out_size(const conv *p, int d) { /* rows, columns of y */
  return ((d ? p->w : p->h) + 2 * p->pad[d] - p->dilation[d] * ((d ? p->kw : p->kh) - 1) - 1) / p->stride[d] + 1;
}
static ms_tensor *conv_y(const conv *p, int dtype) { return RANDOM(dtype, p->n, p->o, out_size(p, 0), out_size(p, 1)); }

/* The same images, channels last in memory. */
static ms_tensor *last(ms_tensor *t) {
  return need(ms_permute(ms_contiguous(ms_permute(t, MS_INTS(0, 2, 3, 1))), MS_INTS(0, 3, 1, 2)));
}

/* Sums of products in double, and the sums of their sizes. */
typedef struct sums {
  int64_t n;
  double *v, *mass;
} sums;
static sums no_sums(const ms_tensor *t) {
  const size_t n = (size_t)ms_numel(t);
  return (sums){(int64_t)n, calloc(n + 1, sizeof(double)), calloc(n + 1, sizeof(double))};
}
static double *dense(const ms_tensor *t) { /* a rank-4 tensor as doubles, row-major; the caller frees it */
  double *to = malloc((size_t)(ms_numel(t) + 1) * sizeof *to), *next = to;
  for (int64_t a = 0; a < t->shape[0]; a++)
    for (int64_t b = 0; b < t->shape[1]; b++)
      for (int64_t c = 0; c < t->shape[2]; c++)
        for (int64_t d = 0; d < t->shape[3]; d++) *next++ = at4(t, a, b, c, d);
  return to;
}

/* y = conv(x, w) and, for a gradient g of y, those of x and w, all by one walk over what is multiplied with what. */
static void reference(const conv *p, ms_tensor *x, ms_tensor *w, ms_tensor *g, sums *y, sums *dx, sums *dw) {
  double *xs = dense(x), *ws = dense(w), *gs = dense(g);
  const int64_t oh = out_size(p, 0), ow = out_size(p, 1), wide = p->c / p->groups, each = p->o / p->groups;
  *y = no_sums(g), *dx = no_sums(x), *dw = no_sums(w);
  for (int64_t n = 0; n < p->n; n++)
    for (int64_t k = 0; k < p->o * wide * p->kh * p->kw; k++) {
      const int64_t v = k % p->kw, u = k / p->kw % p->kh, c = k / p->kw / p->kh % wide, o = k / p->kw / p->kh / wide;
      for (int64_t i = 0; i < oh; i++) {
        const int64_t row = i * p->stride[0] + u * p->dilation[0] - p->pad[0];
        if (row < 0 || row >= p->h) continue;
        for (int64_t j = 0; j < ow; j++) {
          const int64_t col = j * p->stride[1] + v * p->dilation[1] - p->pad[1];
          if (col < 0 || col >= p->w) continue;
          const int64_t e = ((n * p->c + o / each * wide + c) * p->h + row) * p->w + col, f = ((n * p->o + o) * oh + i) * ow + j;
          const double a = xs[e] * ws[k], b = gs[f] * ws[k], d = gs[f] * xs[e];
          y->v[f] += a, dx->v[e] += b, dw->v[k] += d;
          y->mass[f] += fabs(a), dx->mass[e] += fabs(b), dw->mass[k] += fabs(d);
        }
      }
    }
  free(xs), free(ws), free(gs);
}

static void compare(const sums *want, ms_tensor *t, ms_tensor *bias, const char *what) {
  double *got = dense(need(t));
  const int64_t plane = t->shape[2] * t->shape[3];
  assert_int_equal(ms_numel(t), want->n);
  for (int64_t i = 0; i < want->n; i++) {
    const int64_t o = i / plane % t->shape[1];
    close_to(t->dtype, got[i], want->v[i] + (bias ? at(bias, &o) : 0), want->mass[i], 32, what);
  }
  free(got);
}

static void drop(sums *s) { free(s->v), free(s->mass); }

/* conv2d and both gradients, every element, with images and their gradients as planes and channels last. views: kernels and bias
 * cut out of larger tensors, the gradient expanded. */
static void check_conv(const conv *p, int dtype, bool views) {
  ms_tensor *x = conv_x(p, dtype), *w = conv_w(p, dtype), *b = RANDOM(dtype, p->o), *g = conv_y(p, dtype);
  if (views) {
    w = need(ms_slice(RANDOM(dtype, p->o, p->c / p->groups, p->kh, 2 * p->kw), 3, 0, p->kw, 2));
    b = need(ms_slice(RANDOM(dtype, 2 * p->o), 0, 0, p->o, 2));
    g = need(ms_expand(RANDOM(dtype, 1, 1, g->shape[2], g->shape[3]), ms_sizes(g)));
  }
  sums y, dx, dw;
  reference(p, x, w, g, &y, &dx, &dw);
  for (int layout = 0; layout < 4; layout++) {
    ms_tensor *images = layout & 1 ? last(x) : x, *slopes = layout & 2 ? last(g) : g;
    compare(&dw, weight_grad(p, images, slopes), NULL, "conv2d_weight_grad");
    if (!(layout & 1)) compare(&dx, input_grad(p, slopes, w), NULL, "conv2d_input_grad");
    if (layout & 2) continue;
    compare(&y, conv2d(p, images, w, b), b, "conv2d");
    compare(&y, conv2d(p, images, w, NULL), NULL, "conv2d without bias");
  }
  drop(&y), drop(&dx), drop(&dw);
}

/* Does the kernel fit into the padded image? */
static bool fits(const conv *p) {
  return (p->kh - 1) * p->dilation[0] < p->h + 2 * p->pad[0] && (p->kw - 1) * p->dilation[1] < p->w + 2 * p->pad[1];
}

static void conv_random(void **s) {
  (void)s;
  for (int i = 0, done = 0; done < 60; i++) {
    int64_t groups = i % 3 ? 1 : pick(1, 4);
    conv p = {.n = pick(1, 9),
              .c = groups * pick(1, 4),
              .h = pick(1, 12),
              .w = pick(1, 12),
              .o = groups * pick(1, 4),
              .kh = pick(1, 5),
              .kw = pick(1, 5),
              .groups = groups};
    for (int k = 0; k < 2; k++) p.stride[k] = pick(1, 3), p.pad[k] = pick(0, 4), p.dilation[k] = pick(1, 3);
    if (!fits(&p)) continue;
    int in = ms_scope_open();
    for (int dtype = MS_F32; dtype <= LAST_DTYPE; dtype++) check_conv(&p, dtype, done % 3 == 0);
    ms_scope_close(in);
    done++;
  }
}

/* Sizes that reach the branches of the kernels: many chunks with a shorter last one, one big image, depthwise, 1 x 1, bands of
 * rows. */
static void conv_chosen(void **s) {
  (void)s;
  static const conv size[] = {
      {67, 3, 9, 9, 16, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},   {33, 16, 14, 14, 16, 3, 3, 1, {2, 2}, {1, 1}, {1, 1}},
      {1, 8, 65, 70, 16, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},  {40, 16, 8, 8, 16, 3, 3, 16, {1, 1}, {1, 1}, {1, 1}},
      {20, 17, 7, 7, 33, 1, 1, 1, {1, 1}, {0, 0}, {1, 1}},  {2, 40, 30, 31, 5, 3, 3, 1, {1, 2}, {0, 2}, {2, 1}},
      {18, 6, 16, 16, 12, 4, 4, 2, {2, 2}, {1, 1}, {1, 1}}, {16, 1, 28, 28, 8, 5, 5, 1, {1, 1}, {0, 0}, {1, 1}},
      {3, 2, 5, 5, 3, 2, 2, 1, {7, 7}, {0, 0}, {1, 1}},     {2, 2, 3, 3, 2, 3, 3, 1, {1, 1}, {6, 6}, {1, 1}},
  };
  for (size_t i = 0; i < sizeof size / sizeof *size; i++)
    for (int dtype = MS_F32; dtype <= LAST_DTYPE; dtype++) {
      int in = ms_scope_open();
      check_conv(&size[i], dtype, i % 2);
      ms_scope_close(in);
    }
}

/* Few channels on a side, which have loops of their own (kernels/cpu/conv/planes.c): odd sizes, then images that are cut into bands
 * and chunks with a shorter last one. */
static void conv_few_channels(void **s) {
  (void)s;
  for (int i = 0, done = 0; done < 50; i++) {
    bool flip = i % 2, strided = i % 5 == 0;
    int64_t few = pick(1, 8), other = pick(1, 16), step = strided ? pick(1, 3) : 1;
    conv p = {.n = pick(1, 20), .c = flip ? other : few, .h = pick(3, 21), .w = pick(3, 37), .o = flip ? few : other, .groups = 1};
    p.kh = 2 * pick(0, 2) + 1, p.kw = i % 4 ? p.kh : pick(1, 5);
    p.stride[0] = step, p.stride[1] = strided ? pick(1, 2) : 1;
    for (int k = 0; k < 2; k++) p.pad[k] = i % 3 ? p.kh / 2 : pick(0, 2), p.dilation[k] = i % 7 ? 1 : 2;
    if (!fits(&p)) continue;
    int in = ms_scope_open();
    check_conv(&p, MS_F32, done % 4 == 0);
    ms_scope_close(in);
    done++;
  }
  static const conv size[] = {
      {1, 16, 80, 90, 2, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
      {1, 2, 150, 100, 12, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
      {2, 2, 96, 128, 16, 4, 4, 1, {2, 2}, {1, 1}, {1, 1}},
      {83, 1, 28, 28, 16, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
      {83, 8, 7, 7, 4, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
      {35, 16, 5, 11, 1, 1, 1, 1, {1, 1}, {0, 0}, {1, 1}},
      {2, 3, 9, 9, 5, 3, 3, 1, {1, 1}, {6, 6}, {1, 1}},
      {3, 40, 8, 8, 7, 5, 3, 1, {1, 1}, {0, 1}, {1, 1}},
      /* a row of the result as long as the rows of x between two of its own */
      {2, 5, 4, 8, 5, 4, 3, 1, {2, 1}, {4, 5}, {1, 1}},
      {4, 12, 12, 6, 1, 3, 1, 1, {3, 1}, {5, 6}, {1, 1}},
      {1, 3, 13, 6, 1, 1, 5, 1, {2, 1}, {6, 5}, {1, 1}},
  };
  for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
    int in = ms_scope_open();
    check_conv(&size[i], MS_F32, i % 2);
    ms_scope_close(in);
  }
}

/* Channels around whole vectors on either side (kernels/cpu/conv/channels_last.c). */
static void conv_channels(void **s) {
  (void)s;
  static const int64_t from[] = {1, 2, 8, 15, 16, 17, 33, 48}, to[] = {1, 3, 7, 8, 15, 16, 17, 33, 48};
  for (size_t i = 0; i < sizeof from / sizeof *from; i++)
    for (size_t j = 0; j < sizeof to / sizeof *to;) {
      conv p = {.n = pick(1, 5), .c = from[i], .h = pick(1, 13), .w = pick(1, 13), .o = to[j], .groups = 1};
      p.kh = pick(1, 5), p.kw = pick(1, 5);
      p.stride[0] = pick(1, 2), p.stride[1] = pick(0, 3) ? p.stride[0] : 3 - p.stride[0];
      for (int k = 0; k < 2; k++) p.pad[k] = pick(0, 2), p.dilation[k] = 1;
      if (!fits(&p)) continue;
      int in = ms_scope_open();
      check_conv(&p, MS_F32, (i + j) % 4 == 0);
      ms_scope_close(in);
      j++;
    }
}

/* Sizes that reach what channels_last.c does with them: bands of large images, several small images at a time, groups of images
 * whose sums are added up, images of a few pixels (unfolded), fewer pixels than channels (few_pixels.c), few channels in y (whose
 * sums are turned), phases without a tap, kernels that reach over the image. */
static void conv_cuts(void **s) {
  (void)s;
  static const conv size[] = {
      {1, 17, 90, 70, 16, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}}, {2, 33, 61, 64, 8, 5, 2, 1, {2, 2}, {2, 0}, {1, 1}},
      {1, 40, 75, 80, 3, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},  {67, 16, 4, 4, 33, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
      {5, 17, 4, 4, 48, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},   {40, 8, 8, 8, 32, 4, 4, 1, {2, 2}, {1, 1}, {1, 1}},
      {3, 32, 1, 1, 16, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},   {19, 15, 16, 16, 17, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
      {3, 20, 9, 7, 24, 1, 1, 1, {2, 2}, {0, 0}, {1, 1}},   {4, 64, 5, 6, 65, 3, 1, 1, {1, 1}, {1, 0}, {1, 1}},
      {2, 16, 3, 2, 16, 5, 5, 1, {1, 1}, {4, 4}, {1, 1}},   {2, 16, 2, 3, 18, 1, 2, 1, {2, 2}, {3, 3}, {1, 1}},
      {5, 40, 4, 4, 91, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},   {3, 33, 7, 9, 130, 3, 3, 1, {2, 2}, {1, 1}, {1, 1}},
      {2, 130, 1, 1, 70, 4, 2, 1, {1, 1}, {2, 2}, {1, 1}},  {1, 1100, 5, 5, 34, 1, 1, 1, {1, 1}, {0, 0}, {1, 1}},
      {200, 16, 6, 6, 5, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},  {1, 16, 7, 300, 16, 2, 5, 1, {2, 2}, {1, 2}, {1, 1}},
  };
  for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
    int in = ms_scope_open();
    check_conv(&size[i], MS_F32, false);
    ms_scope_close(in);
  }
}

/* Infinities spread to what they are multiplied with, and no further: not along rows, nor between images, taps or channels. */
static void conv_infinities(void **s) {
  (void)s;
  for (int i = 0, done = 0; done < 40; i++) {
    conv p = {.n = pick(1, 6), .c = pick(1, 40), .h = pick(1, 20), .w = pick(1, 20), .o = pick(1, 40), .groups = 1};
    p.kh = pick(1, 5), p.kw = pick(1, 5);
    p.stride[0] = pick(1, 2), p.stride[1] = p.stride[0];
    for (int k = 0; k < 2; k++) p.pad[k] = pick(0, 2), p.dilation[k] = 1;
    if (!fits(&p)) continue;
    int in = ms_scope_open();
    ms_tensor *x = conv_x(&p, MS_F32), *w = conv_w(&p, MS_F32), *g = conv_y(&p, MS_F32), *slopes = conv_y(&p, MS_F32);
    for (int k = 0; k < 3; k++) {
      ((float *)ms_data(x))[pick(0, ms_numel(x) - 1)] = INFINITY;
      ((float *)ms_data(slopes))[pick(0, ms_numel(slopes) - 1)] = NAN;
    }
    sums y, dx, dw, none;
    reference(&p, x, w, g, &y, &none, &dw), drop(&none);
    double *wanted[3] = {y.v, dw.v, NULL};
    for (int layout = 0; layout < 2; layout++) {
      ms_tensor *images = layout ? last(x) : x, *turned = layout ? last(slopes) : slopes;
      ms_tensor *got[3] = {conv2d(&p, images, w, NULL), weight_grad(&p, images, layout ? last(g) : g), input_grad(&p, turned, w)};
      if (!layout) {
        sums a, b;
        reference(&p, conv_x(&p, MS_F32), w, slopes, &a, &dx, &b);
        drop(&a), drop(&b), wanted[2] = dx.v;
      }
      for (int r = 0; r < 3; r++) {
        const int64_t few = p.c < p.o ? p.c : p.o;
        if (r == 1 && few <= (layout ? 7 : 16)) continue; /* f32 loops of few channels multiply what lies beside a row with zeros */
        double *v = dense(need(got[r]));
        for (int64_t e = 0; e < ms_numel(got[r]); e++)
          if (!isfinite(v[e]) != !isfinite(wanted[r][e]))
            fail_msg("%d to %d channels, %d x %d, stride %d: result %d, element %d: %g for %g", (int)p.c, (int)p.o, (int)p.kh,
                     (int)p.kw, (int)p.stride[0], r, (int)e, v[e], wanted[r][e]);
        free(v);
      }
    }
    drop(&y), drop(&dx), drop(&dw);
    ms_scope_close(in);
    done++;
  }
}

/* More shapes than the cache of prepared convolutions holds, twice over. */
static void conv_many_shapes(void **s) {
  (void)s;
  for (int round = 0; round < 2; round++)
    for (int64_t h = 1; h <= 300; h++) {
      conv p = {1, 1, h, 1, 1, 1, 1, 1, {1, 1}, {0, 0}, {1, 1}};
      int in = ms_scope_open();
      ms_tensor *x = conv_x(&p, MS_F32), *w = conv_w(&p, MS_F32);
      ms_tensor *y = need(conv2d(&p, x, w, NULL));
      for (int64_t i = 0; i < h; i++) assert_true(at4(y, 0, 0, i, 0) == (float)(at4(x, 0, 0, i, 0) * at4(w, 0, 0, 0, 0)));
      ms_scope_close(in);
    }
}

static void conv_empty(void **s) {
  (void)s;
  for (int dtype = MS_F32; dtype <= LAST_DTYPE; dtype++) {
    conv p = {0, 3, 5, 5, 4, 3, 3, 1, {1, 1}, {0, 0}, {1, 1}};
    ms_tensor *x = conv_x(&p, dtype), *w = conv_w(&p, dtype), *y = need(conv2d(&p, x, w, RANDOM(dtype, 4)));
    assert_int_equal(y->shape[0], 0);
    assert_int_equal(y->shape[2], 3);
    assert_int_equal(ms_numel(need(input_grad(&p, y, w))), 0);
    ms_tensor *dw = need(weight_grad(&p, x, y));
    assert_int_equal(ms_numel(dw), 4 * 3 * 9);
    for (int64_t i = 0; i < ms_numel(dw); i++)
      assert_true((dtype == MS_F32 ? ((float *)ms_data(dw))[i] : ((double *)ms_data(dw))[i]) == 0);
    conv flat = {1, 16, 0, 4, 16, 2, 2, 1, {1, 1}, {1, 1}, {1, 1}}; /* images without rows, padded */
    assert_int_equal(ms_numel(need(input_grad(&flat, RANDOM(dtype, 1, 16, 1, 5), conv_w(&flat, dtype)))), 0);
    conv q = {2, 0, 5, 5, 4, 3, 3, 1, {1, 1}, {0, 0}, {1, 1}}; /* no channels: the bias alone */
    ms_tensor *b = RANDOM(dtype, 4);
    y = need(conv2d(&q, conv_x(&q, dtype), conv_w(&q, dtype), b));
    for (int64_t o = 0; o < 4; o++) assert_true(at4(y, 1, o, 2, 2) == at(b, &o));
  }
}

static void conv_errors(void **s) {
  (void)s;
  conv p = {2, 3, 5, 5, 4, 3, 3, 1, {1, 1}, {0, 0}, {1, 1}}, q = p;
  ms_tensor *x = conv_x(&p, MS_F32), *w = conv_w(&p, MS_F32);
  fails(conv2d(&p, x, RANDOM(MS_F32, 4, 2, 3, 3), NULL), "x has 3 channels, w expects 2");
  fails(conv2d(&p, RANDOM(MS_F32, 5, 5), w, NULL), "expected");
  fails(conv2d(&p, x, w, RANDOM(MS_F32, 3)), "expected 4 elements");
  fails(conv2d(&p, x, RANDOM(MS_F32, 4, 3, 6, 3), NULL), "reaches over 6 rows, the padded input has only 5");
  fails(conv2d(&p, x, RANDOM(MS_F32, 4, 3, 0, 3), NULL), "expected at least 1 x 1");
  q.groups = 2;
  fails(conv2d(&q, x, w, NULL), "cannot be divided into 2 groups");
  q = p, q.stride[1] = 0;
  fails(conv2d(&q, x, w, NULL), "stride is 0");
  q = p, q.pad[0] = -1;
  fails(conv2d(&q, x, w, NULL), "padding is -1");
  q = p, q.dilation[0] = 0;
  fails(conv2d(&q, x, w, NULL), "dilation is 0");
  fails(input_grad(&p, RANDOM(MS_F32, 2, 4, 4, 3), w), "3 x 3");
  fails(input_grad(&p, RANDOM(MS_F32, 2, 5, 3, 3), w), "w expects 4");
  fails(weight_grad(&p, x, RANDOM(MS_F32, 1, 4, 3, 3)), "x has 2 images, g 1");
  fails(weight_grad(&p, x, RANDOM(MS_F32, 2, 4, 2, 3)), "3 x 3");
  fails(ms_apply(MS_OP_conv_transpose2d, MS_IN(x, RANDOM(MS_F32, 3, 2, 3, 3), NULL),
                 MS_ATTR(A_INTS(MS_INTS(1)), A_INTS(MS_INTS(0)), A_INTS(MS_INTS(1)), A_INT(1), A_INTS(MS_INTS(1)))),
        "output_padding 1");
}

static void conv_transposed(void **s) {
  (void)s;
  for (int t = 0; t < 12; t++) {
    int64_t groups = pick(1, 2), stride = pick(1, 3), pad = pick(0, 1), extra = pick(0, stride - 1), dilation = pick(1, 2), k = 3;
    int64_t c = groups * pick(1, 3), og = pick(1, 3), h = pick(2, 5), w = pick(2, 5);
    ms_tensor *x = RANDOM(MS_F64, 2, c, h, w), *f = RANDOM(MS_F64, c, og, k, k), *b = RANDOM(MS_F64, og * groups);
    ms_tensor *y = need(ms_apply(
        MS_OP_conv_transpose2d, MS_IN(x, f, b),
        MS_ATTR(A_INTS(MS_INTS(stride)), A_INTS(MS_INTS(pad)), A_INTS(MS_INTS(extra)), A_INT(groups), A_INTS(MS_INTS(dilation)))));
    int64_t oh = (h - 1) * stride - 2 * pad + dilation * (k - 1) + extra + 1,
            ow = (w - 1) * stride - 2 * pad + dilation * (k - 1) + extra + 1;
    assert_int_equal(y->shape[1], og * groups);
    assert_int_equal(y->shape[2], oh);
    assert_int_equal(y->shape[3], ow);
    for (int64_t o = 0; o < og * groups; o++)
      for (int64_t i = 0; i < oh; i++)
        for (int64_t j = 0; j < ow; j++) { /* every input element paints its kernel */
          double sum = at(b, &o);
          for (int64_t ci = o / og * (c / groups); ci < (o / og + 1) * (c / groups); ci++)
            for (int64_t r = 0; r < h; r++)
              for (int64_t q = 0; q < w; q++) {
                int64_t u = i + pad - r * stride, v = j + pad - q * stride;
                if (u < 0 || v < 0 || u % dilation || v % dilation || u / dilation >= k || v / dilation >= k) continue;
                sum += at4(x, 1, ci, r, q) * at4(f, ci, o % og, u / dilation, v / dilation);
              }
          close_to(MS_F64, at4(y, 1, o, i, j), sum, 20, 32, "conv_transpose2d");
        }
  }
}
/* ---- threads ----------------------------------------------------------------------------------------------------- */

static void threads_same_bits(void **s) {
  (void)s;
  static const conv shape[] = {
      {67, 3, 9, 9, 16, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},   {32, 16, 28, 28, 16, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
      {67, 1, 28, 28, 16, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}}, {67, 16, 14, 14, 8, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
      {9, 2, 96, 128, 8, 4, 4, 1, {2, 2}, {1, 1}, {1, 1}},  {1, 17, 90, 70, 33, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
      {64, 32, 4, 4, 48, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},  {3, 48, 33, 20, 15, 5, 4, 1, {2, 2}, {2, 1}, {1, 1}},
      {200, 16, 6, 6, 5, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}}};
  static const int counts[] = {1, 2, 5};
  for (int dtype = MS_F32; dtype <= LAST_DTYPE; dtype++)
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
      for (int layout = 0; layout < (dtype == MS_F32 ? 2 : 1); layout++) {
        const conv *p = &shape[i];
        int in = ms_scope_open();
        ms_tensor *x = conv_x(p, dtype), *w = conv_w(p, dtype), *g = conv_y(p, dtype), *first[3] = {NULL};
        if (layout) x = last(x), g = last(g);
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
          ms_set_threads(counts[k]);
          ms_tensor *now[] = {need(conv2d(p, x, w, NULL)), need(input_grad(p, g, w)), need(weight_grad(p, x, g))};
          for (int r = 0; r < 3; r++)
            if (!k) first[r] = now[r];
            else same_bits(first[r], now[r], r == 0 ? "conv2d" : r == 1 ? "conv2d_input_grad" : "conv2d_weight_grad");
        }
        ms_scope_close(in);
      }
}

/* ---- gradients, first and second order, in f64 ------------------------------------------------------------------- */

static ms_tensor *f_conv(ms_tensor **x, const void *p) { return cubes(conv2d(p, x[0], x[1], x[2])); }
static ms_tensor *f_input_grad(ms_tensor **x, const void *p) { return cubes(input_grad(p, x[0], x[1])); }
static ms_tensor *f_weight_grad(ms_tensor **x, const void *p) { return cubes(weight_grad(p, x[0], x[1])); }

static void gradients(void **s) {
  (void)s;
  static const conv size[] = {{2, 3, 5, 4, 4, 3, 3, 1, {1, 1}, {0, 0}, {1, 1}},
                              {1, 2, 6, 6, 4, 3, 3, 2, {2, 2}, {1, 1}, {1, 1}},
                              {2, 1, 7, 6, 2, 3, 2, 1, {1, 2}, {2, 1}, {2, 1}}};
  for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
    const conv *p = &size[i];
    ms_tensor *x = conv_x(p, MS_F64), *w = conv_w(p, MS_F64), *y = need(conv2d(p, x, w, NULL));
    check_gradient(f_conv, 3, (ms_tensor *[]){x, w, RANDOM(MS_F64, p->o)}, p, true);
    check_gradient(f_input_grad, 2, (ms_tensor *[]){random_tensor(MS_F64, 4, ms_shape(y)), conv_w(p, MS_F64)}, p, true);
    check_gradient(f_weight_grad, 2, (ms_tensor *[]){conv_x(p, MS_F64), random_tensor(MS_F64, 4, ms_shape(y))}, p, true);
  }
}

int main(void) {
  const struct CMUnitTest bf16[] = {
      TEST_BF16(conv_random), TEST_BF16(conv_chosen), TEST_BF16(conv_few_channels), TEST_BF16(conv_channels),
      TEST_BF16(conv_cuts),   TEST_BF16(conv_empty),  TEST_BF16(conv_infinities),   TEST_BF16(threads_same_bits),
  };
  if (amx_is_off()) return cmocka_run_group_tests(bf16, NULL, NULL);
  const struct CMUnitTest tests[] = {
      TEST_BF16(conv_random),
      TEST_BF16(conv_chosen),
      TEST_BF16(conv_few_channels),
      TEST_BF16(conv_channels),
      TEST_BF16(conv_cuts),
      TEST_BF16(conv_empty),
      TEST_BF16(conv_infinities),
      TEST_BF16(threads_same_bits),
      TEST(without_amx),
      TEST(conv_infinities),
      TEST(conv_random),
      TEST(conv_chosen),
      TEST(conv_few_channels),
      TEST(conv_channels),
      TEST(conv_cuts),
      TEST(conv_many_shapes),
      TEST(conv_empty),
      TEST(conv_errors),
      TEST(conv_transposed),
      TEST(threads_same_bits),
      TEST(gradients),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
