/* pool.c -- pooling over N x C x H x W: rows of results, each summed tap by tap of the window, so that the inner loops run along a
 * row and become vector code. Any strides of x. Where images lie channels last (a recorded step's choice), the inner loops run over
 * channels. */
#include "cpu.h"
#include <math.h>

typedef struct pool {
  int64_t h, w, oh, ow;                   /* of the larger plane, of the pooled one */
  int64_t size[2], stride[2], padding[2]; /* height, width */
  int64_t x_n, x_c, x_h, x_w, channels;   /* strides of the input, in elements */
} pool;

/* in: the tensor read; full, pooled: shapes of the larger and the pooled one; a: size, stride, padding. */
static pool pool_of(const ms_view *in, const int64_t *full, const int64_t *pooled, const ms_attr *a) {
  pool p = {.h = full[2], .w = full[3], .oh = pooled[2], .ow = pooled[3], .channels = in->shape[1]};
  p.x_n = in->stride[0], p.x_c = in->stride[1], p.x_h = in->stride[2], p.x_w = in->stride[3];
  for (int i = 0; i < 2; i++) p.size[i] = a[0].v.at[i], p.stride[i] = a[1].v.at[i], p.padding[i] = a[2].v.at[i];
  return p;
}

static inline int64_t plane_at(const pool *p, int64_t plane) {
  int64_t n = plane / p->channels;
  return n * p->x_n + (plane - n * p->channels) * p->x_c;
}

/* Results along a row whose tap k of the window lies inside 0..w-1: from *lo up to, not including, *hi; the first reads position k
 * - padding. */
static inline void inside(const pool *p, int64_t k, int64_t *lo, int64_t *hi) {
  int64_t at = k - p->padding[1], s = p->stride[1];
  int64_t last = p->w - 1 - at;
  *lo = at >= 0 ? 0 : (-at + s - 1) / s;
  *hi = last < 0 ? 0 : last / s + 1 < p->ow ? last / s + 1 : p->ow;
}

static inline bool halving(const pool *p) {
  return p->x_w == 1 && p->size[0] == 2 && p->size[1] == 2 && p->stride[1] == 2 && p->stride[0] >= 2 && !p->padding[0] &&
         !p->padding[1];
}

#define MAX_BLOCK 256

#define POOL(T)                                                                                                                    \
  /* Row oh of the means of plane x. */                                                                                            \
  static void avg_row_##T(const pool *p, const T *x, int64_t oh, T *restrict r) {                                                  \
    int64_t top = oh * p->stride[0] - p->padding[0];                                                                               \
    const T count = (T)(p->size[0] * p->size[1]);                                                                                  \
    if (halving(p)) {                                                                                                              \
      const T *a = x + top * p->x_h, *b = a + p->x_h;                                                                              \
      for (int64_t i = 0; i < p->ow; i++) r[i] = (((a[2 * i] + a[2 * i + 1]) + b[2 * i]) + b[2 * i + 1]) * (T)0.25;                \
      return;                                                                                                                      \
    }                                                                                                                              \
    for (int64_t i = 0; i < p->ow; i++) r[i] = 0;                                                                                  \
    for (int64_t kh = 0; kh < p->size[0]; kh++) {                                                                                  \
      if (top + kh < 0 || top + kh >= p->h) continue;                                                                              \
      const T *row = x + (top + kh) * p->x_h;                                                                                      \
      for (int64_t kw = 0; kw < p->size[1]; kw++) {                                                                                \
        int64_t lo, hi, at = kw - p->padding[1];                                                                                   \
        inside(p, kw, &lo, &hi);                                                                                                   \
        if (p->x_w == 1 && p->stride[1] == 1)                                                                                      \
          for (int64_t i = lo; i < hi; i++) r[i] += row[i + at];                                                                   \
        else if (p->x_w == 1 && p->stride[1] == 2)                                                                                 \
          for (int64_t i = lo; i < hi; i++) r[i] += row[2 * i + at];                                                               \
        else                                                                                                                       \
          for (int64_t i = lo; i < hi; i++) r[i] += row[(i * p->stride[1] + at) * p->x_w];                                         \
      }                                                                                                                            \
    }                                                                                                                              \
    for (int64_t i = 0; i < p->ow; i++) r[i] /= count;                                                                             \
  }                                                                                                                                \
  /* Row ih of the input gradient out of plane g of the gradients. */                                                              \
  static void spread_row_##T(const pool *p, const T *g, int64_t ih, T *restrict r) {                                               \
    const T count = (T)(p->size[0] * p->size[1]);                                                                                  \
    for (int64_t i = 0; i < p->w; i++) r[i] = 0;                                                                                   \
    for (int64_t kh = 0; kh < p->size[0]; kh++) {                                                                                  \
      int64_t up = ih + p->padding[0] - kh, oh = up / p->stride[0];                                                                \
      if (up < 0 || up % p->stride[0] || oh >= p->oh) continue;                                                                    \
      const T *row = g + oh * p->x_h;                                                                                              \
      if (halving(p)) {                                                                                                            \
        for (int64_t i = 0; i < p->ow; i++) r[2 * i] = r[2 * i + 1] = row[i] * (T)0.25;                                            \
        return;                                                                                                                    \
      }                                                                                                                            \
      for (int64_t kw = 0; kw < p->size[1]; kw++) {                                                                                \
        int64_t lo, hi, at = kw - p->padding[1];                                                                                   \
        inside(p, kw, &lo, &hi);                                                                                                   \
        if (p->x_w == 1 && p->stride[1] == 1)                                                                                      \
          for (int64_t i = lo; i < hi; i++) r[i + at] += row[i];                                                                   \
        else                                                                                                                       \
          for (int64_t i = lo; i < hi; i++) r[i * p->stride[1] + at] += row[i * p->x_w];                                           \
      }                                                                                                                            \
    }                                                                                                                              \
    for (int64_t i = 0; i < p->w; i++) r[i] /= count;                                                                              \
  }                                                                                                                                \
  /* Row oh of the maxima of plane x and their positions in it. NaN wins; of equals the first. */                                  \
  static void max_row_##T(const pool *p, const T *x, int64_t oh, T *restrict r, int64_t *restrict at_r) {                          \
    int64_t top = oh * p->stride[0] - p->padding[0];                                                                               \
    if (halving(p)) {                                                                                                              \
      const T *a = x + top * p->x_h, *b = a + p->x_h;                                                                              \
      const int32_t below = (int32_t)p->w;                                                                                         \
      for (int64_t i = 0; i < p->ow; i++) {                                                                                        \
        T m = a[2 * i], v;                                                                                                         \
        int32_t t = 0;                                                                                                             \
        v = a[2 * i + 1];                                                                                                          \
        t = v > m ? 1 : t, m = v > m ? v : m;                                                                                      \
        t = v != v ? 1 : t, m = v != v ? v : m;                                                                                    \
        v = b[2 * i];                                                                                                              \
        t = v > m ? below : t, m = v > m ? v : m;                                                                                  \
        t = v != v ? below : t, m = v != v ? v : m;                                                                                \
        v = b[2 * i + 1];                                                                                                          \
        t = v > m ? below + 1 : t, m = v > m ? v : m;                                                                              \
        t = v != v ? below + 1 : t, m = v != v ? v : m;                                                                            \
        r[i] = m;                                                                                                                  \
        at_r[i] = top * p->w + 2 * i + t + MS_INDEX_BASE;                                                                          \
      }                                                                                                                            \
      return;                                                                                                                      \
    }                                                                                                                              \
    for (int64_t from = 0; from < p->ow; from += MAX_BLOCK) {                                                                      \
      int64_t n = p->ow - from < MAX_BLOCK ? p->ow - from : MAX_BLOCK;                                                             \
      T best[MAX_BLOCK];                                                                                                           \
      int32_t tap[MAX_BLOCK]; /* distance in the plane from the window's corner; at first, that of its first element */            \
      for (int64_t i = 0; i < n; i++) {                                                                                            \
        int64_t left = (from + i) * p->stride[1] - p->padding[1];                                                                  \
        best[i] = (T)-INFINITY, tap[i] = (int32_t)((top < 0 ? -top : 0) * p->w + (left < 0 ? -left : 0));                          \
      }                                                                                                                            \
      for (int64_t kh = 0; kh < p->size[0]; kh++) {                                                                                \
        if (top + kh < 0 || top + kh >= p->h) continue;                                                                            \
        const T *row = x + (top + kh) * p->x_h;                                                                                    \
        for (int64_t kw = 0; kw < p->size[1]; kw++) {                                                                              \
          int64_t lo, hi, at = kw - p->padding[1] + from * p->stride[1];                                                           \
          int32_t k = (int32_t)(kh * p->w + kw);                                                                                   \
          inside(p, kw, &lo, &hi);                                                                                                 \
          lo = lo > from ? lo - from : 0, hi = hi - from < n ? hi - from : n;                                                      \
          if (p->x_w == 1 && p->stride[1] == 2)                                                                                    \
            for (int64_t i = lo; i < hi; i++) {                                                                                    \
              T v = row[2 * i + at];                                                                                               \
              T b = best[i];                                                                                                       \
              int32_t t = tap[i];                                                                                                  \
              t = v > b ? k : t, b = v > b ? v : b;                                                                                \
              tap[i] = v != v ? k : t, best[i] = v != v ? v : b;                                                                   \
            }                                                                                                                      \
          else                                                                                                                     \
            for (int64_t i = lo; i < hi; i++) {                                                                                    \
              T v = row[(i * p->stride[1] + at) * p->x_w];                                                                         \
              T b = best[i];                                                                                                       \
              int32_t t = tap[i];                                                                                                  \
              t = v > b ? k : t, b = v > b ? v : b;                                                                                \
              tap[i] = v != v ? k : t, best[i] = v != v ? v : b;                                                                   \
            }                                                                                                                      \
        }                                                                                                                          \
      }                                                                                                                            \
      int64_t corner = top * p->w + from * p->stride[1] - p->padding[1] + MS_INDEX_BASE;                                           \
      for (int64_t i = 0; i < n; i++) {                                                                                            \
        r[from + i] = best[i];                                                                                                     \
        at_r[from + i] = corner + i * p->stride[1] + tap[i];                                                                       \
      }                                                                                                                            \
    }                                                                                                                              \
  }
POOL(float)
POOL(double)

/* ---- channels last: a pixel is a run of channels ----------------------------------------------------------------- */

/* Windows (or pooled places) that hold place `at`: from *first to *last. Windows begin at i * step - padding. */
static inline void holders(int64_t at, int64_t size, int64_t step, int64_t padding, int64_t n, int64_t *first, int64_t *last) {
  int64_t up = at + padding;
  *first = up < size ? 0 : (up - size) / step + 1;
  *last = up / step < n - 1 ? up / step : n - 1;
}

#define POOL_LAST(T)                                                                                                               \
  static void add_pixel_##T(const T *restrict x, T *restrict r, int64_t channels, bool first) {                                    \
    if (first)                                                                                                                     \
      for (int64_t i = 0; i < channels; i++) r[i] = x[i];                                                                          \
    else                                                                                                                           \
      for (int64_t i = 0; i < channels; i++) r[i] += x[i];                                                                         \
  }                                                                                                                                \
  static void scale_##T(T *r, int64_t n, T by) {                                                                                   \
    for (int64_t i = 0; i < n; i++) r[i] *= by;                                                                                    \
  }                                                                                                                                \
  /* Row oh of the means of image x. */                                                                                            \
  static void avg_last_##T(const pool *p, const T *x, int64_t oh, T *restrict r) {                                                 \
    int64_t top = oh * p->stride[0] - p->padding[0], k = p->channels;                                                              \
    for (int64_t i = 0; i < p->ow; i++) {                                                                                          \
      bool first = true;                                                                                                           \
      for (int64_t y = top < 0 ? 0 : top; y < top + p->size[0] && y < p->h; y++)                                                   \
        for (int64_t kw = 0, at = i * p->stride[1] - p->padding[1]; kw < p->size[1]; kw++, at++)                                   \
          if (at >= 0 && at < p->w) add_pixel_##T(x + (y * p->w + at) * k, r + i * k, k, first), first = false;                    \
      for (int64_t j = 0; j < k && first; j++) r[i * k + j] = 0;                                                                   \
    }                                                                                                                              \
    scale_##T(r, p->ow *k, 1 / (T)(p->size[0] * p->size[1]));                                                                      \
  }                                                                                                                                \
  /* Row ih of the input gradient out of image g of the gradients. */                                                              \
  static void spread_last_##T(const pool *p, const T *g, int64_t ih, T *restrict r) {                                              \
    int64_t k = p->channels, y0, y1, x0, x1;                                                                                       \
    holders(ih, p->size[0], p->stride[0], p->padding[0], p->oh, &y0, &y1);                                                         \
    for (int64_t i = 0; i < p->w; i++) {                                                                                           \
      bool first = true;                                                                                                           \
      holders(i, p->size[1], p->stride[1], p->padding[1], p->ow, &x0, &x1);                                                        \
      for (int64_t y = y0; y <= y1; y++)                                                                                           \
        for (int64_t at = x0; at <= x1; at++) add_pixel_##T(g + (y * p->ow + at) * k, r + i * k, k, first), first = false;         \
      for (int64_t j = 0; j < k && first; j++) r[i * k + j] = 0;                                                                   \
    }                                                                                                                              \
    scale_##T(r, p->w *k, 1 / (T)(p->size[0] * p->size[1]));                                                                       \
  }
POOL_LAST(float)
POOL_LAST(double)

/* Rows of an N x `height` x `width` x C result r, each out of an image of `from`. */
#define LAST_ROWS(height, width, work, ROW, from)                                                                                  \
  MS_PARALLEL(ms_team(work), i, r->shape[0] * (height), {                                                                          \
    int64_t image = i / (height), row = i - image * (height), at = image * (from)->stride[0], to = i * (width)*p.channels;         \
    if (r->dtype == MS_F32) ROW##_float(&p, (const float *)(from)->data + at, row, (float *)r->data + to);                         \
    else ROW##_double(&p, (const double *)(from)->data + at, row, (double *)r->data + to);                                         \
  })

static int avg_run(ms_call *c) {
  const ms_view *x = &c->in[0], *r = &c->out[0];
  pool p = pool_of(x, x->shape, r->shape, c->attr);
  if (ms_view_channels_last(r)) {
    LAST_ROWS(p.oh, p.ow, ms_view_numel(x), avg_last, x);
    return 0;
  }
  int64_t rows = r->shape[0] * r->shape[1] * p.oh;
  int team = ms_team(rows * p.ow * p.size[0] * p.size[1]);
  MS_PARALLEL(team, i, rows, {
    int64_t plane = i / p.oh, oh = i - plane * p.oh, at = plane_at(&p, plane);
    if (r->dtype == MS_F32) avg_row_float(&p, (const float *)x->data + at, oh, (float *)r->data + i * p.ow);
    else avg_row_double(&p, (const double *)x->data + at, oh, (double *)r->data + i * p.ow);
  });
  return 0;
}
MS_KERNEL(avg_pool2d, .run = avg_run, .supports = f32_or_f64);

static int spread_run(ms_call *c) {
  const ms_view *g = &c->in[0], *r = &c->out[0];
  pool p = pool_of(g, r->shape, g->shape, c->attr + 1);
  if (ms_view_channels_last(r)) {
    LAST_ROWS(p.h, p.w, ms_view_numel(r), spread_last, g);
    return 0;
  }
  int64_t rows = r->shape[0] * r->shape[1] * p.h;
  int team = ms_team(rows * p.w);
  MS_PARALLEL(team, i, rows, {
    int64_t plane = i / p.h, ih = i - plane * p.h, at = plane_at(&p, plane);
    if (r->dtype == MS_F32) spread_row_float(&p, (const float *)g->data + at, ih, (float *)r->data + i * p.w);
    else spread_row_double(&p, (const double *)g->data + at, ih, (double *)r->data + i * p.w);
  });
  return 0;
}
MS_KERNEL(avg_pool2d_grad, .run = spread_run, .supports = f32_or_f64);

static int max_run(ms_call *c) {
  const ms_view *x = &c->in[0], *r = &c->out[0];
  pool p = pool_of(x, x->shape, r->shape, c->attr);
  int64_t rows = r->shape[0] * r->shape[1] * p.oh, *positions = c->out[1].data;
  int team = ms_team(rows * p.ow * p.size[0] * p.size[1]);
  MS_PARALLEL(team, i, rows, {
    int64_t plane = i / p.oh, oh = i - plane * p.oh, at = plane_at(&p, plane);
    if (r->dtype == MS_F32) max_row_float(&p, (const float *)x->data + at, oh, (float *)r->data + i * p.ow, positions + i * p.ow);
    else max_row_double(&p, (const double *)x->data + at, oh, (double *)r->data + i * p.ow, positions + i * p.ow);
  });
  return 0;
}
MS_KERNEL(max_pool2d, .run = max_run, .supports = f32_or_f64);
