/* resample.c -- interpolate and its adjoint, as two passes of taps: a result is a weighted sum of K rows, and along the row of K
 * columns (nearest 1, bilinear 2, bicubic 4). Coordinates as PyTorch's with align_corners = false: result i lies at s = (i + 1/2)
 * in / out - 1/2; bilinear keeps s >= 0; bicubic repeats the edge; nearest takes floor(i * in / out), in single precision, as
 * there.
 * Where images lie channels last (a recorded step's choice), rows of pixels are mixed as rows of numbers are.
 *
 * Workspace: the taps of both dimensions, computed once per run, then a row of intermediate sums for each thread. */
#include "cpu.h"
#include <math.h>

enum { NEAREST, BILINEAR, BICUBIC, TAPS = 4 };

/* One dimension: tap k of result o reads element at[k][o] with weight w[k][o]. */
typedef struct axis {
  int32_t *at[TAPS];
  void *w[TAPS]; /* of the tensor's dtype */
} axis;

typedef struct plan {
  const ms_view *in;
  int k, teams; /* taps; rows of sums in the workspace */
  bool twice;   /* both dimensions doubled */
  int mode;
  int64_t h, w, oh, ow; /* of the smaller-index side (x) and of the resampled one (r), whichever is read */
  int64_t row;          /* elements of a row of sums */
  int64_t channels;
  axis y, x;
  char *sums;
  size_t size;
} plan;

static size_t axis_bytes(int64_t out, size_t size) { return ((size_t)out * TAPS * (sizeof(int32_t) + size) + 63) / 64 * 64; }

static char *axis_place(axis *a, char *p, int64_t out, size_t size) {
  for (int k = 0; k < TAPS; k++) a->w[k] = p + (size_t)out * size * (size_t)k;
  int32_t *at = (int32_t *)(p + (size_t)out * size * TAPS);
  for (int k = 0; k < TAPS; k++) a->at[k] = at + out * k;
  return p + axis_bytes(out, size);
}

static int64_t longest_row(const ms_call *c) {
  int64_t a = c->in[0].shape[3], b = c->out[0].shape[3], pixel = ms_view_channels_last(&c->out[0]) ? c->out[0].shape[1] : 1;
  return ((a > b ? a : b) * pixel + 15) / 16 * 16;
}

/* full: the tensor whose size is `out`, the resampled one: result 0 of interpolate, argument 0 of interpolate_grad. */
static int prepare(ms_call *c, const ms_view *full) {
  size_t size = ms_dtype_size(full->dtype);
  c->work_bytes =
      axis_bytes(full->shape[2], size) + axis_bytes(full->shape[3], size) + (size_t)(ms_threads() * longest_row(c)) * size;
  return 0;
}

/* Keys' cubic convolution kernel with a = -3/4. */
static void cubic(double t, double *w) {
  const double a = -0.75;
  for (int k = 0; k < 4; k++) {
    double d = fabs(t + 1 - k);
    w[k] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  }
}

static void axis_fill(axis *a, int mode, int64_t in, int64_t out, bool f32) {
  for (int64_t o = 0; o < out; o++) {
    double w[TAPS] = {1}, s = ((double)o + 0.5) * (double)in / (double)out - 0.5;
    int64_t first = 0;
    int n = 1;
    if (mode == NEAREST) {
      first = (int64_t)floorf((float)o * ((float)in / (float)out));
      if (first > in - 1) first = in - 1;
    } else if (mode == BILINEAR) {
      if (s < 0) s = 0;
      first = (int64_t)s;
      w[1] = s - (double)first, w[0] = 1 - w[1], n = 2;
    } else {
      first = (int64_t)floor(s) - 1;
      cubic(s - floor(s), w), n = 4;
    }
    for (int k = 0; k < n; k++) {
      int64_t i = first + k < 0 ? 0 : first + k > in - 1 ? in - 1 : first + k;
      a->at[k][o] = (int32_t)i;
      if (f32) ((float *)a->w[k])[o] = (float)w[k];
      else ((double *)a->w[k])[o] = w[k];
    }
  }
}

static plan plan_of(const ms_call *c, const ms_view *small, const ms_view *full) {
  plan p = {.in = &c->in[0], .mode = (int)c->attr[1].i, .size = ms_dtype_size(full->dtype), .row = longest_row(c)};
  p.channels = small->shape[1], p.h = small->shape[2], p.w = small->shape[3], p.oh = full->shape[2], p.ow = full->shape[3];
  p.k = p.mode == NEAREST ? 1 : p.mode == BILINEAR ? 2 : 4;
  p.twice = p.oh == 2 * p.h && p.ow == 2 * p.w && p.mode != BICUBIC;
  p.sums = axis_place(&p.x, axis_place(&p.y, c->work, p.oh, p.size), p.ow, p.size);
  axis_fill(&p.y, p.mode, p.h, p.oh, full->dtype == MS_F32);
  axis_fill(&p.x, p.mode, p.w, p.ow, full->dtype == MS_F32);
  int64_t room = (int64_t)(c->work_bytes - (size_t)(p.sums - (char *)c->work)) / (p.row * (int64_t)p.size);
  int team = ms_team(small->shape[0] * small->shape[1] * p.oh * p.ow * p.k);
  p.teams = team < room ? team : (int)room;
  return p;
}

static int64_t plane_at(const plan *p, int64_t plane) {
  int64_t channels = p->in->shape[1], n = plane / channels;
  return n * p->in->stride[0] + (plane - n * channels) * p->in->stride[1];
}

#define RESAMPLE(T)                                                                                                                \
  /* t = the sum of n rows of x (which start at row[k] and step by `step`), each times its weight */                               \
  static void mix_##T(int n, const T *const *row, const T *weight, int64_t step, int64_t size, T *restrict t) {                    \
    if (n == 1 && step == 1)                                                                                                       \
      for (int64_t i = 0; i < size; i++) t[i] = weight[0] * row[0][i];                                                             \
    else if (n == 2 && step == 1)                                                                                                  \
      for (int64_t i = 0; i < size; i++) t[i] = weight[0] * row[0][i] + weight[1] * row[1][i];                                     \
    else if (n == 3 && step == 1)                                                                                                  \
      for (int64_t i = 0; i < size; i++) t[i] = weight[0] * row[0][i] + weight[1] * row[1][i] + weight[2] * row[2][i];             \
    else if (n == 4 && step == 1)                                                                                                  \
      for (int64_t i = 0; i < size; i++)                                                                                           \
        t[i] = (weight[0] * row[0][i] + weight[1] * row[1][i]) + (weight[2] * row[2][i] + weight[3] * row[3][i]);                  \
    else                                                                                                                           \
      for (int64_t i = 0; i < size; i++) {                                                                                         \
        T v = weight[0] * row[0][i * step];                                                                                        \
        for (int k = 1; k < n; k++) v += weight[k] * row[k][i * step];                                                             \
        t[i] = v;                                                                                                                  \
      }                                                                                                                            \
  }                                                                                                                                \
  /* Row o of the resampled plane x. */                                                                                            \
  static void forward_##T(const plan *p, const T *x, int64_t o, T *restrict t, T *restrict r) {                                    \
    int64_t sh = p->in->stride[2], step = p->in->stride[3], w = p->w;                                                              \
    if (p->mode == NEAREST) {                                                                                                      \
      const T *row = x + p->y.at[0][o] * sh;                                                                                       \
      const int32_t *at = p->x.at[0];                                                                                              \
      if (p->twice && step == 1)                                                                                                   \
        for (int64_t i = 0; i < w; i++) r[2 * i] = r[2 * i + 1] = row[i];                                                          \
      else                                                                                                                         \
        for (int64_t i = 0; i < p->ow; i++) r[i] = row[at[i] * step];                                                              \
      return;                                                                                                                      \
    }                                                                                                                              \
    const T *row[TAPS];                                                                                                            \
    T weight[TAPS];                                                                                                                \
    for (int k = 0; k < p->k; k++) row[k] = x + p->y.at[k][o] * sh, weight[k] = ((const T *)p->y.w[k])[o];                         \
    mix_##T(p->k, row, weight, step, w, t);                                                                                        \
    if (p->twice) {                                                                                                                \
      r[0] = t[0], r[2 * w - 1] = t[w - 1];                                                                                        \
      for (int64_t i = 0; i < w - 1; i++) {                                                                                        \
        T a = t[i], b = t[i + 1];                                                                                                  \
        r[2 * i + 1] = (T)0.75 * a + (T)0.25 * b;                                                                                  \
        r[2 * i + 2] = (T)0.25 * a + (T)0.75 * b;                                                                                  \
      }                                                                                                                            \
      return;                                                                                                                      \
    }                                                                                                                              \
    const T *w0 = p->x.w[0], *w1 = p->x.w[1], *w2 = p->x.w[2], *w3 = p->x.w[3];                                                    \
    const int32_t *a0 = p->x.at[0], *a1 = p->x.at[1], *a2 = p->x.at[2], *a3 = p->x.at[3];                                          \
    if (p->k == 2)                                                                                                                 \
      for (int64_t i = 0; i < p->ow; i++) r[i] = w0[i] * t[a0[i]] + w1[i] * t[a1[i]];                                              \
    else                                                                                                                           \
      for (int64_t i = 0; i < p->ow; i++) r[i] = (w0[i] * t[a0[i]] + w1[i] * t[a1[i]]) + (w2[i] * t[a2[i]] + w3[i] * t[a3[i]]);    \
  }                                                                                                                                \
  /* Which of n places of g, `step` apart, read place i where that dimension is doubled, and with which weights. */                \
  static inline int readers_##T(const plan *p, int64_t i, int64_t n, const T *g, int64_t step, const T **at, T *weight) {          \
    int found = 0;                                                                                                                 \
    bool linear = p->mode == BILINEAR;                                                                                             \
    for (int64_t o = 2 * i - linear; o <= 2 * i + 1 + linear; o++) {                                                               \
      if (o < 0 || o >= n) continue;                                                                                               \
      at[found] = g + o * step;                                                                                                    \
      weight[found++] = !linear || o == 0 || o == n - 1 ? 1 : o == 2 * i || o == 2 * i + 1 ? (T)0.75 : (T)0.25;                    \
    }                                                                                                                              \
    return found;                                                                                                                  \
  }                                                                                                                                \
  /* Row i of the adjoint, both dimensions doubled. */                                                                             \
  static void twice_##T(const plan *p, const T *g, int64_t i, T *restrict t, T *restrict r) {                                      \
    int64_t sh = p->in->stride[2], step = p->in->stride[3], w = p->w;                                                              \
    const T *row[TAPS];                                                                                                            \
    T weight[TAPS];                                                                                                                \
    bool linear = p->mode == BILINEAR;                                                                                             \
    int n = readers_##T(p, i, p->oh, g, sh, row, weight);                                                                          \
    mix_##T(n, row, weight, step, p->ow, t);                                                                                       \
    if (!linear) {                                                                                                                 \
      for (int64_t j = 0; j < w; j++) r[j] = t[2 * j] + t[2 * j + 1];                                                              \
    } else if (w == 1) {                                                                                                           \
      r[0] = t[0] + t[1];                                                                                                          \
    } else {                                                                                                                       \
      r[0] = t[0] + (T)0.75 * t[1] + (T)0.25 * t[2];                                                                               \
      for (int64_t j = 1; j < w - 1; j++) r[j] = (T)0.75 * (t[2 * j] + t[2 * j + 1]) + (T)0.25 * (t[2 * j - 1] + t[2 * j + 2]);    \
      r[w - 1] = (T)0.25 * t[2 * w - 3] + (T)0.75 * t[2 * w - 2] + t[2 * w - 1];                                                   \
    }                                                                                                                              \
  }                                                                                                                                \
  /* A plane of the adjoint: every row of g is spread over columns, then over rows. */                                             \
  static void adjoint_##T(const plan *p, const T *g, T *restrict t, T *restrict r) {                                               \
    int64_t sh = p->in->stride[2], step = p->in->stride[3], w = p->w;                                                              \
    for (int64_t i = 0; i < p->h * w; i++) r[i] = 0;                                                                               \
    for (int64_t o = 0; o < p->oh; o++) {                                                                                          \
      const T *row = g + o * sh;                                                                                                   \
      for (int64_t i = 0; i < w; i++) t[i] = 0;                                                                                    \
      for (int64_t i = 0; i < p->ow; i++)                                                                                          \
        for (int k = 0; k < p->k; k++) t[p->x.at[k][i]] += ((const T *)p->x.w[k])[i] * row[i * step];                              \
      for (int k = 0; k < p->k; k++) {                                                                                             \
        T *to = r + p->y.at[k][o] * w, weight = ((const T *)p->y.w[k])[o];                                                         \
        for (int64_t i = 0; i < w; i++) to[i] += weight * t[i];                                                                    \
      }                                                                                                                            \
    }                                                                                                                              \
  }
RESAMPLE(float)
RESAMPLE(double)

/* ---- channels last: a pixel is a run of k channels, a row is w pixels -------------------------------------------- */

#define RESAMPLE_LAST(T)                                                                                                           \
  /* r = the sum of n pixels, each times its weight */                                                                             \
  static inline void mix_pixels_##T(int n, const T *const *at, const T *weight, int64_t k, T *restrict r) {                        \
    if (n == 1)                                                                                                                    \
      for (int64_t j = 0; j < k; j++) r[j] = weight[0] * at[0][j];                                                                 \
    else if (n == 2)                                                                                                               \
      for (int64_t j = 0; j < k; j++) r[j] = weight[0] * at[0][j] + weight[1] * at[1][j];                                          \
    else if (n == 3)                                                                                                               \
      for (int64_t j = 0; j < k; j++) r[j] = weight[0] * at[0][j] + weight[1] * at[1][j] + weight[2] * at[2][j];                   \
    else                                                                                                                           \
      for (int64_t j = 0; j < k; j++)                                                                                              \
        r[j] = (weight[0] * at[0][j] + weight[1] * at[1][j]) + (weight[2] * at[2][j] + weight[3] * at[3][j]);                      \
  }                                                                                                                                \
  /* Row o of the resampled image x. */                                                                                            \
  static void forward_last_##T(const plan *p, const T *x, int64_t o, T *restrict t, T *restrict r) {                               \
    int64_t k = p->channels, line = p->w * k;                                                                                      \
    const T *at[TAPS] = {x};                                                                                                       \
    T weight[TAPS] = {1};                                                                                                          \
    for (int i = 0; i < p->k; i++) at[i] = x + p->y.at[i][o] * line, weight[i] = ((const T *)p->y.w[i])[o];                        \
    const T *row = at[0];                                                                                                          \
    if (p->k > 1) mix_##T(p->k, at, weight, 1, line, t), row = t;                                                                  \
    for (int64_t i = 0; i < p->ow; i++) {                                                                                          \
      for (int m = 0; m < p->k; m++) at[m] = row + p->x.at[m][i] * k, weight[m] = ((const T *)p->x.w[m])[i];                       \
      mix_pixels_##T(p->k, at, weight, k, r + i * k);                                                                              \
    }                                                                                                                              \
  }                                                                                                                                \
  /* Row i of the adjoint, both dimensions doubled. */                                                                             \
  static void twice_last_##T(const plan *p, const T *g, int64_t i, T *restrict t, T *restrict r) {                                 \
    int64_t k = p->channels, line = p->ow * k;                                                                                     \
    const T *at[TAPS];                                                                                                             \
    T weight[TAPS];                                                                                                                \
    int n = readers_##T(p, i, p->oh, g, line, at, weight);                                                                         \
    mix_##T(n, at, weight, 1, line, t);                                                                                            \
    for (int64_t j = 0; j < p->w; j++) {                                                                                           \
      n = readers_##T(p, j, p->ow, t, k, at, weight);                                                                              \
      mix_pixels_##T(n, at, weight, k, r + j * k);                                                                                 \
    }                                                                                                                              \
  }                                                                                                                                \
  /* An image of the adjoint: every row of g is spread over columns, then over rows. */                                            \
  static void adjoint_last_##T(const plan *p, const T *g, T *restrict t, T *restrict r) {                                          \
    int64_t k = p->channels, line = p->w * k;                                                                                      \
    for (int64_t i = 0; i < p->h * line; i++) r[i] = 0;                                                                            \
    for (int64_t o = 0; o < p->oh; o++) {                                                                                          \
      for (int64_t i = 0; i < line; i++) t[i] = 0;                                                                                 \
      for (int64_t i = 0; i < p->ow; i++)                                                                                          \
        for (int m = 0; m < p->k; m++) {                                                                                           \
          const T *from = g + (o * p->ow + i) * k, weight = ((const T *)p->x.w[m])[i];                                             \
          T *to = t + p->x.at[m][i] * k;                                                                                           \
          for (int64_t j = 0; j < k; j++) to[j] += weight * from[j];                                                               \
        }                                                                                                                          \
      for (int m = 0; m < p->k; m++) {                                                                                             \
        T *to = r + p->y.at[m][o] * line, weight = ((const T *)p->y.w[m])[o];                                                      \
        for (int64_t i = 0; i < line; i++) to[i] += weight * t[i];                                                                 \
      }                                                                                                                            \
    }                                                                                                                              \
  }
RESAMPLE_LAST(float)
RESAMPLE_LAST(double)

/* Share `count` of something out to p->teams threads, each with a row of sums `t` of its own. */
#define SHARED(count, i, ...)                                                                                                      \
  MS_PARALLEL(p.teams, share, p.teams, {                                                                                           \
    void *t = p.sums + (size_t)(share * p.row) * p.size;                                                                           \
    for (int64_t i = (count)*share / p.teams; i < (count) * (share + 1) / p.teams; i++) { __VA_ARGS__ }                            \
  });

static int interpolate_prepare(ms_call *c) { return prepare(c, &c->out[0]); }
static int interpolate_run(ms_call *c) {
  const ms_view *x = &c->in[0], *r = &c->out[0];
  if (!ms_view_numel(r)) return 0;
  plan p = plan_of(c, x, r);
  int64_t rows = r->shape[0] * r->shape[1] * p.oh;
  if (ms_view_channels_last(r)) {
    SHARED(r->shape[0] * p.oh, i, {
      int64_t image = i / p.oh, o = i - image * p.oh, at = image * x->stride[0], to = i * p.ow * p.channels;
      if (r->dtype == MS_F32) forward_last_float(&p, (const float *)x->data + at, o, t, (float *)r->data + to);
      else forward_last_double(&p, (const double *)x->data + at, o, t, (double *)r->data + to);
    })
    return 0;
  }
  SHARED(rows, i, {
    int64_t plane = i / p.oh, o = i - plane * p.oh, at = plane_at(&p, plane);
    if (r->dtype == MS_F32) forward_float(&p, (const float *)x->data + at, o, t, (float *)r->data + i * p.ow);
    else forward_double(&p, (const double *)x->data + at, o, t, (double *)r->data + i * p.ow);
  })
  return 0;
}
MS_KERNEL(interpolate, .prepare = interpolate_prepare, .run = interpolate_run, .supports = f32_or_f64);

static int interpolate_grad_prepare(ms_call *c) { return prepare(c, &c->in[0]); }
static int interpolate_grad_run(ms_call *c) {
  const ms_view *g = &c->in[0], *r = &c->out[0];
  if (!ms_view_numel(r)) return 0;
  plan p = plan_of(c, r, g);
  int64_t planes = r->shape[0] * r->shape[1], rows = planes * p.h;
  if (ms_view_channels_last(r)) {
    int64_t image = p.h * p.w * p.channels;
    if (p.twice)
      SHARED(r->shape[0] * p.h, i, {
        int64_t at = i / p.h * g->stride[0], y = i % p.h, to = i * p.w * p.channels;
        if (r->dtype == MS_F32) twice_last_float(&p, (const float *)g->data + at, y, t, (float *)r->data + to);
        else twice_last_double(&p, (const double *)g->data + at, y, t, (double *)r->data + to);
      })
    else
      SHARED(r->shape[0], i, {
        if (r->dtype == MS_F32) adjoint_last_float(&p, (const float *)g->data + i * g->stride[0], t, (float *)r->data + i * image);
        else adjoint_last_double(&p, (const double *)g->data + i * g->stride[0], t, (double *)r->data + i * image);
      })
    return 0;
  }
  if (p.twice)
    SHARED(rows, i, {
      int64_t plane = i / p.h, y = i - plane * p.h, at = plane_at(&p, plane);
      if (r->dtype == MS_F32) twice_float(&p, (const float *)g->data + at, y, t, (float *)r->data + i * p.w);
      else twice_double(&p, (const double *)g->data + at, y, t, (double *)r->data + i * p.w);
    })
  else
    SHARED(planes, i, {
      if (r->dtype == MS_F32) adjoint_float(&p, (const float *)g->data + plane_at(&p, i), t, (float *)r->data + i * p.h * p.w);
      else adjoint_double(&p, (const double *)g->data + plane_at(&p, i), t, (double *)r->data + i * p.h * p.w);
    })
  return 0;
}
MS_KERNEL(interpolate_grad, .prepare = interpolate_grad_prepare, .run = interpolate_grad_run, .supports = f32_or_f64);
