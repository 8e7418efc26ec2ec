/* test_products.c -- matmul, linear, conv2d, its adjoints and conv_transpose2d: against plain loops in double, the three-way
 * adjointness of convolution, gradients, errors, empty tensors, and bits that do not depend on the number of threads. */
#include "core/core.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- tensors with known elements --------------------------------------------------------------------------------- */

static uint64_t state = 1;
static double draw(void) { /* -1 .. 1; Knuth's MMIX generator */
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(int64_t)(state >> 11) / (double)(1ull << 52) - 1;
}
static int64_t pick(int64_t lo, int64_t hi) { return lo + (int64_t)((draw() + 1) / 2 * (double)(hi - lo + 1)); }

static ms_tensor *need(ms_tensor *t) {
  if (!t) fail_msg("%s", ms_error());
  return t;
}

static ms_tensor *random_tensor(int dtype, int rank, const int64_t *shape) {
  ms_tensor *t = need(ms_empty((ms_dtype)dtype, rank, shape, NULL));
  for (int64_t i = 0; i < ms_numel(t); i++)
    if (dtype == MS_F32) ((float *)ms_data(t))[i] = (float)draw();
    else ((double *)ms_data(t))[i] = draw();
  return t;
}
#define RANDOM(dtype, ...) random_tensor(dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]){__VA_ARGS__})

/* Element at an index of any view; indices beyond a broadcast dimension repeat it. */
static double at(const ms_tensor *t, const int64_t *index) {
  int64_t k = 0;
  for (int i = 0; i < t->rank; i++) k += (t->shape[i] == 1 ? 0 : index[i]) * t->stride[i];
  return t->dtype == MS_F32 ? ((const float *)ms_data(t))[k] : ((const double *)ms_data(t))[k];
}
static double at4(const ms_tensor *t, int64_t a, int64_t b, int64_t c, int64_t d) { return at(t, (int64_t[]){a, b, c, d}); }

/* |got - want| within the rounding of a sum of `terms` products, relative to the sum of their sizes: the drift of equal terms is
 * the worst. */
static void close_to(int dtype, double got, double want, double mass, int64_t terms, const char *what) {
  double eps = (dtype == MS_F32 ? 6e-8 : 1.2e-16) * (double)(16 + terms);
  if (!(fabs(got - want) <= eps * (mass + 1))) fail_msg("%s: got %.17g, expected %.17g (sum of sizes %g)", what, got, want, mass);
}

static double dot(ms_tensor *a, ms_tensor *b, double *mass) {
  ms_tensor *x = need(ms_contiguous(a)), *y = need(ms_contiguous(b));
  double sum = 0;
  assert_int_equal(ms_numel(x), ms_numel(y));
  for (int64_t i = 0; i < ms_numel(x); i++) {
    double p = x->dtype == MS_F32 ? (double)((float *)ms_data(x))[i] * ((float *)ms_data(y))[i]
                                  : ((double *)ms_data(x))[i] * ((double *)ms_data(y))[i];
    sum += p;
    if (mass) *mass += fabs(p);
  }
  return sum;
}

static void fails(ms_tensor *t, const char *with) {
  assert_null(t);
  assert_non_null(ms_error());
  if (!strstr(ms_error(), with)) fail_msg("the message \"%s\" does not say \"%s\"", ms_error(), with);
  ms_error_clear();
}

static int mark;
static int open_scope(void **s) { return (void)s, mark = ms_scope_open(), ms_set_threads(2), 0; }
static int close_scope(void **s) { return (void)s, ms_error_clear(), ms_scope_close(mark), 0; }

/* ---- matmul ------------------------------------------------------------------------------------------------------ */

enum { PLAIN, TRANSPOSED, STRIDED, EXPANDED, STYLES };

/* A rows x cols matrix whose elements lie in memory in one of several ways. */
static ms_tensor *matrix(int dtype, int64_t rows, int64_t cols, int style) {
  switch (style) {
  case TRANSPOSED: return need(ms_transpose(RANDOM(dtype, cols, rows), 0, 1));
  case STRIDED: return need(ms_slice(ms_slice(RANDOM(dtype, rows * 2, cols * 3), 0, 0, rows, 2), 1, 0, cols, 3));
  case EXPANDED: return need(ms_expand(RANDOM(dtype, 1, cols), MS_INTS(rows, cols)));
  default: return RANDOM(dtype, rows, cols);
  }
}

static void check_matmul(ms_tensor *a, ms_tensor *b, bool ta, bool tb) {
  ms_tensor *y = need(ms_matmul(a, b, ta, tb));
  int64_t m = y->shape[y->rank - 2], n = y->shape[y->rank - 1], k = a->shape[a->rank - 1 - ta], batch = 1;
  for (int i = 0; i < y->rank - 2; i++) batch *= y->shape[i];
  for (int64_t e = 0; e < batch; e++) {
    int64_t index[MS_MAX_RANK] = {0}, rest = e;
    for (int i = y->rank - 3; i >= 0; i--) index[i] = rest % y->shape[i], rest /= y->shape[i];
    const int64_t *ia = index + y->rank - a->rank, *ib = index + y->rank - b->rank;
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        double sum = 0, mass = 0;
        for (int64_t p = 0; p < k; p++) {
          index[y->rank - 2] = ta ? p : i, index[y->rank - 1] = ta ? i : p;
          double u = at(a, ia);
          index[y->rank - 2] = tb ? j : p, index[y->rank - 1] = tb ? p : j;
          double v = u * at(b, ib);
          sum += v, mass += fabs(v);
        }
        index[y->rank - 2] = i, index[y->rank - 1] = j;
        close_to(y->dtype, at(y, index), sum, mass, k, "matmul");
      }
  }
}

static void matmul_shapes(void **s) {
  (void)s;
  static const int64_t size[][3] = {{1, 1, 1},   {2, 3, 4},    {8, 8, 8},      {1, 50, 30},  {50, 1, 30},    {17, 33, 5},
                                    {64, 64, 1}, {70, 90, 65}, {130, 300, 40}, {5, 7, 9000}, {128, 17, 300}, {1, 1, 5000}};
  for (size_t i = 0; i < sizeof size / sizeof *size; i++)
    for (int flags = 0; flags < 4; flags++)
      for (int style = 0; style < STYLES * STYLES; style++)
        for (int dtype = MS_F32; dtype <= MS_F64; dtype++) {
          int64_t m = size[i][0], n = size[i][1], k = size[i][2];
          bool ta = flags & 1, tb = flags & 2;
          if (m * n * k > 50000 && style % 5 && (style + flags) % 4) continue; /* the big ones: a part of the combinations */
          int in = ms_scope_open();
          check_matmul(matrix(dtype, ta ? k : m, ta ? m : k, style % STYLES), matrix(dtype, tb ? n : k, tb ? k : n, style / STYLES),
                       ta, tb);
          ms_scope_close(in);
        }
}

static void matmul_batches(void **s) {
  (void)s;
  for (int dtype = MS_F32; dtype <= MS_F64; dtype++) {
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
  for (int dtype = MS_F32; dtype <= MS_F64; dtype++) {
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
  fails(ms_matmul(RANDOM(MS_F32, 3), RANDOM(MS_F32, 3, 4), false, false), "two dimensions or more");
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
  fails(ms_apply(MS_OP_linear, MS_IN(RANDOM(MS_F32, 5), RANDOM(MS_F32, 4, 5), NULL), NULL), "two dimensions");
  fails(ms_apply(MS_OP_linear, MS_IN(RANDOM(MS_F32, 2, 5), RANDOM(MS_F32, 4, 5), RANDOM(MS_F32, 3)), NULL), "expected 4 elements");
}

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

static void check_forward(const conv *p, ms_tensor *x, ms_tensor *w, ms_tensor *b, const ms_tensor *y) {
  for (int64_t n = 0; n < y->shape[0]; n++)
    for (int64_t o = 0; o < y->shape[1]; o++)
      for (int64_t i = 0; i < y->shape[2]; i++)
        for (int64_t j = 0; j < y->shape[3]; j++) {
          double sum = b ? at(b, &o) : 0, mass = fabs(sum);
          int64_t group = o / (p->o / p->groups), width = p->c / p->groups;
          for (int64_t c = 0; c < width; c++)
            for (int64_t u = 0; u < p->kh; u++)
              for (int64_t v = 0; v < p->kw; v++) {
                int64_t r = i * p->stride[0] + u * p->dilation[0] - p->pad[0],
                        q = j * p->stride[1] + v * p->dilation[1] - p->pad[1];
                if (r < 0 || r >= p->h || q < 0 || q >= p->w) continue;
                double t = at4(x, n, group * width + c, r, q) * at4(w, o, c, u, v);
                sum += t, mass += fabs(t);
              }
          close_to(y->dtype, at4(y, n, o, i, j), sum, mass, width * p->kh * p->kw, "conv2d");
        }
}

/* conv2d against the loops; then <conv(x, w), g> = <x, input_grad(g, w)> = <w, weight_grad(x, g)>, which pins the other two for
 * random g. */
static void check_conv(const conv *p, int dtype, bool views) {
  ms_tensor *x = conv_x(p, dtype), *w = conv_w(p, dtype), *b = RANDOM(dtype, p->o);
  if (views) { /* channels last, and kernels cut out of a larger tensor */
    x = need(ms_permute(RANDOM(dtype, p->n, p->h, p->w, p->c), MS_INTS(0, 3, 1, 2)));
    w = need(ms_slice(RANDOM(dtype, p->o, p->c / p->groups, p->kh, 2 * p->kw), 3, 0, p->kw, 2));
    b = need(ms_slice(RANDOM(dtype, 2 * p->o), 0, 0, p->o, 2));
  }
  ms_tensor *y = need(conv2d(p, x, w, b));
  check_forward(p, x, w, b, y);
  y = need(conv2d(p, x, w, NULL));
  check_forward(p, x, w, NULL, y);
  ms_tensor *g = random_tensor(dtype, 4, ms_shape(y));
  if (views) g = need(ms_expand(RANDOM(dtype, 1, 1, y->shape[2], y->shape[3]), ms_sizes(y)));
  ms_tensor *dx = need(input_grad(p, g, w)), *dw = need(weight_grad(p, x, g));
  double mass = 0, want = dot(y, g, &mass);
  close_to(dtype, dot(x, dx, NULL), want, mass, 200, "<x, input_grad>");
  close_to(dtype, dot(w, dw, NULL), want, mass, 200, "<w, weight_grad>");
  /* The same against loops at a few places: the derivative of <y, g> by one element is y with that element one and the rest zero.
   */
  for (int t = 0; t < 6; t++) {
    ms_tensor *e = need(ms_zeros((ms_dtype)dtype, 4, ms_shape(t % 2 ? w : x), NULL));
    int64_t k = pick(0, ms_numel(e) - 1);
    if (dtype == MS_F32) ((float *)ms_data(e))[k] = 1;
    else ((double *)ms_data(e))[k] = 1;
    ms_tensor *one = need(conv2d(p, t % 2 ? x : e, t % 2 ? e : w, NULL)), *d = t % 2 ? dw : dx;
    check_forward(p, t % 2 ? x : e, t % 2 ? e : w, NULL, one);
    mass = 0, want = dot(one, g, &mass);
    close_to(dtype, dtype == MS_F32 ? ((float *)ms_data(d))[k] : ((double *)ms_data(d))[k], want, mass, 200,
             t % 2 ? "weight_grad" : "input_grad");
  }
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
    bool fits = true;
    for (int k = 0; k < 2; k++) {
      p.stride[k] = pick(1, 3), p.pad[k] = pick(0, 4), p.dilation[k] = pick(1, 3);
      fits &= (k ? p.kw - 1 : p.kh - 1) * p.dilation[k] < (k ? p.w : p.h) + 2 * p.pad[k];
    }
    if (!fits) continue;
    int in = ms_scope_open();
    for (int dtype = MS_F32; dtype <= MS_F64; dtype++) check_conv(&p, dtype, done % 3 == 0);
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
    for (int dtype = MS_F32; dtype <= MS_F64; dtype++) {
      int in = ms_scope_open();
      check_conv(&size[i], dtype, i % 2);
      ms_scope_close(in);
    }
}

/* Few channels on a side, which have loops of their own (kernels/cpu/conv_direct.c): odd sizes, then images that are cut into bands
 * and chunks with a shorter last one. */
static void conv_few_channels(void **s) {
  (void)s;
  for (int i = 0, done = 0; done < 50; i++) {
    bool flip = i % 2, strided = i % 5 == 0;
    int64_t few = pick(1, 8), other = pick(1, 16), step = strided ? pick(1, 3) : 1;
    conv p = {.n = pick(1, 20), .c = flip ? other : few, .h = pick(3, 21), .w = pick(3, 37), .o = flip ? few : other, .groups = 1};
    p.kh = 2 * pick(0, 2) + 1, p.kw = i % 4 ? p.kh : pick(1, 5);
    p.stride[0] = step, p.stride[1] = strided ? pick(1, 2) : 1;
    bool fits = true;
    for (int k = 0; k < 2; k++) {
      p.pad[k] = i % 3 ? p.kh / 2 : pick(0, 2), p.dilation[k] = i % 7 ? 1 : 2;
      fits &= (k ? p.kw - 1 : p.kh - 1) * p.dilation[k] < (k ? p.w : p.h) + 2 * p.pad[k];
    }
    if (!fits) continue;
    int in = ms_scope_open();
    check_conv(&p, MS_F32, done % 4 == 0);
    ms_scope_close(in);
    done++;
  }
  static const conv size[] = {
      {1, 16, 80, 90, 2, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},  {1, 2, 150, 100, 12, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
      {2, 2, 96, 128, 16, 4, 4, 1, {2, 2}, {1, 1}, {1, 1}}, {83, 1, 28, 28, 16, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
      {83, 8, 7, 7, 4, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},    {35, 16, 5, 11, 1, 1, 1, 1, {1, 1}, {0, 0}, {1, 1}},
      {2, 3, 9, 9, 5, 3, 3, 1, {1, 1}, {6, 6}, {1, 1}},     {3, 40, 8, 8, 7, 5, 3, 1, {1, 1}, {0, 1}, {1, 1}},
  };
  for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
    int in = ms_scope_open();
    check_conv(&size[i], MS_F32, i % 2);
    ms_scope_close(in);
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
      check_forward(&p, x, w, NULL, need(conv2d(&p, x, w, NULL)));
      ms_scope_close(in);
    }
}

static void conv_empty(void **s) {
  (void)s;
  for (int dtype = MS_F32; dtype <= MS_F64; dtype++) {
    conv p = {0, 3, 5, 5, 4, 3, 3, 1, {1, 1}, {0, 0}, {1, 1}};
    ms_tensor *x = conv_x(&p, dtype), *w = conv_w(&p, dtype), *y = need(conv2d(&p, x, w, RANDOM(dtype, 4)));
    assert_int_equal(y->shape[0], 0);
    assert_int_equal(y->shape[2], 3);
    assert_int_equal(ms_numel(need(input_grad(&p, y, w))), 0);
    ms_tensor *dw = need(weight_grad(&p, x, y));
    assert_int_equal(ms_numel(dw), 4 * 3 * 9);
    for (int64_t i = 0; i < ms_numel(dw); i++)
      assert_true((dtype == MS_F32 ? ((float *)ms_data(dw))[i] : ((double *)ms_data(dw))[i]) == 0);
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
  fails(conv2d(&p, RANDOM(MS_F32, 3, 5, 5), w, NULL), "expected 4 dimensions");
  fails(conv2d(&p, x, w, RANDOM(MS_F32, 3)), "expected 4 elements");
  fails(conv2d(&p, x, RANDOM(MS_F32, 4, 3, 6, 3), NULL), "reaches over 6 rows, the padded input has only 5");
  fails(conv2d(&p, x, RANDOM(MS_F32, 4, 3, 0, 3), NULL), "expected at least 1 x 1");
  q.groups = 2;
  fails(conv2d(&q, x, w, NULL), "cannot be divided into 2 groups");
  q = p, q.stride[1] = 0;
  fails(conv2d(&q, x, w, NULL), "stride 0");
  q = p, q.pad[0] = -1;
  fails(conv2d(&q, x, w, NULL), "padding -1");
  q = p, q.dilation[0] = 0;
  fails(conv2d(&q, x, w, NULL), "dilation 0");
  fails(input_grad(&p, RANDOM(MS_F32, 2, 4, 4, 3), w), "3 x 3");
  fails(input_grad(&p, RANDOM(MS_F32, 2, 5, 3, 3), w), "w expects 4");
  fails(weight_grad(&p, x, RANDOM(MS_F32, 1, 4, 3, 3)), "x has 2 images, g 1");
  fails(weight_grad(&p, x, RANDOM(MS_F32, 2, 4, 2, 3)), "3 x 3");
  fails(ms_apply(MS_OP_conv_transpose2d, MS_IN(x, RANDOM(MS_F32, 3, 2, 3, 3), NULL),
                 MS_ATTR(A_INTS(MS_INTS(1)), A_INTS(MS_INTS(0)), A_INTS(MS_INTS(1)), A_INTS(MS_INTS(1)), A_INT(1))),
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
        MS_ATTR(A_INTS(MS_INTS(stride)), A_INTS(MS_INTS(pad)), A_INTS(MS_INTS(extra)), A_INTS(MS_INTS(dilation)), A_INT(groups))));
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
          close_to(MS_F64, at4(y, 1, o, i, j), sum, 20, 100, "conv_transpose2d");
        }
  }
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static void same_bits(ms_tensor *a, ms_tensor *b, const char *what) {
  assert_int_equal(ms_numel(a), ms_numel(b));
  if (memcmp(ms_data(a), ms_data(b), (size_t)ms_numel(a) * ms_dtype_size(ms_tensor_dtype(a))) != 0)
    fail_msg("%s: the bits depend on the number of threads", what);
}

static void threads_same_bits(void **s) {
  (void)s;
  static const int64_t size[][3] = {{64, 128, 784},  {128, 128, 1024}, {10, 10, 10000}, {200, 1, 300},
                                    {1, 1000, 1000}, {256, 784, 512},  {3, 5, 100000}};
  static const conv shape[] = {{67, 3, 9, 9, 16, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
                               {32, 16, 28, 28, 16, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
                               {67, 1, 28, 28, 16, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
                               {67, 16, 14, 14, 8, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
                               {9, 2, 96, 128, 8, 4, 4, 1, {2, 2}, {1, 1}, {1, 1}}};
  for (int dtype = MS_F32; dtype <= MS_F64; dtype++) {
    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
      for (int tb = 0; tb < 2; tb++) {
        int in = ms_scope_open();
        ms_tensor *a = RANDOM(dtype, size[i][0], size[i][2]),
                  *b = tb ? RANDOM(dtype, size[i][1], size[i][2]) : RANDOM(dtype, size[i][2], size[i][1]);
        ms_set_threads(1);
        ms_tensor *y = need(ms_matmul(a, b, false, tb));
        for (int threads = 2; threads <= 5; threads++) {
          ms_set_threads(threads);
          same_bits(y, need(ms_matmul(a, b, false, tb)), "matmul");
        }
        ms_scope_close(in);
      }
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
      const conv *p = &shape[i];
      int in = ms_scope_open();
      ms_tensor *x = conv_x(p, dtype), *w = conv_w(p, dtype);
      ms_set_threads(1);
      ms_tensor *y = need(conv2d(p, x, w, NULL)), *g = random_tensor(dtype, 4, ms_shape(y));
      ms_tensor *dx = need(input_grad(p, g, w)), *dw = need(weight_grad(p, x, g));
      for (int threads = 2; threads <= 5; threads++) {
        ms_set_threads(threads);
        same_bits(y, need(conv2d(p, x, w, NULL)), "conv2d");
        same_bits(dx, need(input_grad(p, g, w)), "conv2d_input_grad");
        same_bits(dw, need(weight_grad(p, x, g)), "conv2d_weight_grad");
      }
      ms_scope_close(in);
    }
  }
}

/* ---- gradients, first and second order, in f64 ------------------------------------------------------------------- */

typedef ms_tensor *(*function)(ms_tensor **x, const void *data); /* one element */

static void check_gradient(function f, int n, ms_tensor **x, const void *data, bool again);

typedef struct inner {
  function f;
  const void *data;
  int n;
  ms_tensor **v;
} inner;

/* sum_i <df/dx_i, v_i>: its gradient is the second derivative of f along v. */
static ms_tensor *slope(ms_tensor **x, const void *data) {
  const inner *in = data;
  ms_tensor *dx[4], *sum = NULL;
  if (ms_grad(in->f(x, in->data), NULL, in->n, x, dx, false) < 0) return NULL;
  for (int i = 0; i < in->n; i++) {
    ms_tensor *part = ms_sum_all(ms_mul(dx[i], in->v[i]));
    sum = sum ? ms_add(sum, part) : part;
  }
  return sum;
}

static void check_gradient(function f, int n, ms_tensor **x, const void *data, bool again) {
  ms_tensor *dx[4], *v[4];
  for (int i = 0; i < n; i++) assert_int_equal(ms_set_requires_grad(x[i], true), 0);
  ms_tensor *y = need(f(x, data));
  if (ms_grad(y, NULL, n, x, dx, false) < 0) fail_msg("%s", ms_error());
  for (int i = 0; i < n; i++)
    for (int t = 0; t < 8; t++) {
      int in = ms_scope_open();
      int64_t k = pick(0, ms_numel(x[i]) - 1);
      double *e = (double *)ms_data(x[i]) + k, was = *e, h = 1e-5, up, down;
      *e = was + h, up = ms_item(need(f(x, data)));
      *e = was - h, down = ms_item(need(f(x, data)));
      *e = was;
      double want = (up - down) / (2 * h), got = ((double *)ms_data(need(ms_contiguous(dx[i]))))[k];
      if (!(fabs(got - want) <= 1e-6 * (1 + fabs(want))))
        fail_msg("input %d, element %d: got %.12g, differences give %.12g", i, (int)k, got, want);
      ms_scope_close(in);
    }
  if (!again) return;
  for (int i = 0; i < n; i++) v[i] = random_tensor(MS_F64, ms_rank(x[i]), ms_shape(x[i]));
  const inner next = {f, data, n, v};
  check_gradient(slope, n, x, &next, false);
}

static ms_tensor *cubes(ms_tensor *y) { return ms_sum_all(ms_mul(ms_mul(y, y), y)); }
static ms_tensor *f_matmul(ms_tensor **x, const void *flags) {
  return cubes(ms_matmul(x[0], x[1], *(const int *)flags & 1, *(const int *)flags & 2));
}
static ms_tensor *f_linear(ms_tensor **x, const void *none) {
  return (void)none, cubes(ms_apply(MS_OP_linear, MS_IN(x[0], x[1], x[2]), NULL));
}
static ms_tensor *f_conv(ms_tensor **x, const void *p) { return cubes(conv2d(p, x[0], x[1], x[2])); }
static ms_tensor *f_input_grad(ms_tensor **x, const void *p) { return cubes(input_grad(p, x[0], x[1])); }
static ms_tensor *f_weight_grad(ms_tensor **x, const void *p) { return cubes(weight_grad(p, x[0], x[1])); }

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

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_scope, close_scope)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(matmul_shapes), TEST(matmul_batches),  TEST(matmul_empty),      TEST(matmul_errors),    TEST(linear_rows),
      TEST(conv_random),   TEST(conv_chosen),     TEST(conv_few_channels), TEST(conv_many_shapes), TEST(conv_empty),
      TEST(conv_errors),   TEST(conv_transposed), TEST(threads_same_bits), TEST(gradients),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
