/* resample.c -- resample: images in another size; and resample_grad, its adjoint.
 *
 * Each of the two dimensions has a table, the axis: result o is a weighted sum of a few elements, its taps (nearest 1, bilinear 2,
 * bicubic 4). A row of results is made in two steps: the rows that are its taps are mixed into one line, then the elements of that
 * line. Positions are PyTorch's: result i of `out` lies at s = (i + 1/2) q - 1/2 of the `in` elements, where q is in / out, or
 * 1 / scale where a scale is given; with align_corners at s = i (in - 1) / (out - 1). Bilinear keeps s >= 0; bicubic repeats the
 * element at the edge; nearest takes floor(i q), nearest-exact floor((i + 1/2) q), in single precision.
 *
 * There are two forms. Planes: images N x C x H x W with any strides. Channels last (a recorded step may choose that layout): what
 * is mixed are pixels, which are runs of channels. A kernel takes the form of its result; its operand then lies alike.
 *
 * Workspace: the two axes, computed once per run, then a line for each thread. */
#include "cpu.h"
#include "numbers.h"
#include <math.h>

enum {
  NEAREST, /* attribute `mode` */
  BILINEAR,
  BICUBIC,
  NEAREST_EXACT,
  TAPS = 4 /* the most a result has along one dimension */
};

/* One dimension: tap k of result o is element at[k][o], times weight[k][o]. */
typedef struct axis {
  int32_t *at[TAPS];
  void *weight[TAPS]; /* of the tensor's dtype */
} axis;

typedef struct resampling {
  const ms_view *in; /* the image that is read: x of resample, the gradients of resample_grad */
  int mode;
  int taps;       /* of a result, along each dimension */
  bool doubled;   /* both dimensions, in a mode that has loops of its own for that */
  int64_t h, w;   /* of the image that is resampled, x */
  int64_t oh, ow; /* of the image that it becomes */
  int64_t channels;
  axis rows, columns;
  int team;              /* threads that work: at most one for each line */
  char *lines;           /* in the workspace */
  int64_t line_elements; /* of each line */
  size_t element_size;   /* bytes */
} resampling;

/* ---- the axes ---------------------------------------------------------------------------------------------------- */

static size_t axis_bytes(int64_t out, size_t element_size) {
  return (size_t)round_up(out * TAPS * (int64_t)(sizeof(int32_t) + element_size), 64);
}

/* Lay the tables of an axis of `out` results out from p on. Gives where they end. */
static char *axis_at(axis *a, char *p, int64_t out, size_t element_size) {
  for (int k = 0; k < TAPS; k++) a->weight[k] = p + (size_t)out * element_size * (size_t)k;
  int32_t *at = (int32_t *)(p + (size_t)out * element_size * TAPS);
  for (int k = 0; k < TAPS; k++) a->at[k] = at + out * k;
  return p + axis_bytes(out, element_size);
}

/* Keys' cubic convolution kernel with a = -3/4: the weights of elements -1, 0, 1, 2 for position 0 <= t < 1. */
static void cubic_weights(double t, double *weight) {
  const double a = -0.75;
  for (int k = 0; k < 4; k++) {
    double d = fabs(t + 1 - k);
    weight[k] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  }
}

/* How the results of one dimension lie. */
typedef struct placing {
  int mode;
  bool align_corners;
  double scale; /* 0: out / in */
} placing;

/* The weights of result o. Gives the element of its first tap, which may lie before the first element there is. */
static int64_t find_taps(const placing *p, int64_t o, int64_t in, int64_t out, double *weight) {
  if (p->mode == NEAREST || p->mode == NEAREST_EXACT) {
    const float q = p->scale > 0 ? (float)(1 / p->scale) : (float)in / (float)out;
    const int64_t first = (int64_t)floorf((p->mode == NEAREST ? (float)o : (float)o + 0.5f) * q);
    weight[0] = 1;
    return min_i64(first, in - 1);
  }
  const double q = p->scale > 0 ? 1 / p->scale : (double)in / (double)out;
  double s = p->scale > 0 ? ((double)o + 0.5) * q - 0.5 : ((double)o + 0.5) * (double)in / (double)out - 0.5;
  if (p->align_corners) s = out > 1 ? (double)o * (double)(in - 1) / (double)(out - 1) : 0;
  if (p->mode == BICUBIC) {
    cubic_weights(s - floor(s), weight);
    return (int64_t)floor(s) - 1;
  }
  if (s < 0) s = 0;
  const int64_t first = (int64_t)s;
  weight[1] = s - (double)first, weight[0] = 1 - weight[1];
  return first;
}

static void fill_axis(axis *a, const placing *p, int taps, int64_t in, int64_t out, bool f32) {
  for (int64_t o = 0; o < out; o++) {
    double weight[TAPS];
    const int64_t first = find_taps(p, o, in, out, weight);
    for (int k = 0; k < taps; k++) {
      a->at[k][o] = (int32_t)max_i64(0, min_i64(first + k, in - 1));
      if (f32) ((float *)a->weight[k])[o] = (float)weight[k];
      else ((double *)a->weight[k])[o] = weight[k];
    }
  }
}

/* ---- preparing --------------------------------------------------------------------------------------------------- */

/* Elements of a line: the longer of the two rows, of pixels where images lie channels last. */
static int64_t line_elements(const ms_call *c) {
  const ms_view *r = &c->out[0];
  const int64_t pixel = ms_view_channels_last(r) ? r->shape[1] : 1;
  return round_up(max_i64(c->in[0].shape[3], r->shape[3]) * pixel, 16);
}

/* resampled: the image that x becomes: result 0 of resample, argument 0 of resample_grad. */
static int prepare(ms_call *c, const ms_view *resampled) {
  const size_t size = ms_dtype_size(resampled->dtype);
  c->work_bytes = axis_bytes(resampled->shape[2], size) + axis_bytes(resampled->shape[3], size) +
                  (size_t)(ms_threads() * line_elements(c)) * size;
  return 0;
}

static resampling resampling_of(const ms_call *c, const ms_view *x, const ms_view *resampled) {
  const bool f32 = resampled->dtype == MS_F32;
  placing at[2]; /* rows, columns */
  for (int i = 0; i < 2; i++) {
    at[i] = (placing){.mode = (int)c->attr[1].i, .align_corners = c->attr[2].i};
    at[i].scale = c->attr[3].v.n == 2 ? ms_number_at(&c->attr[3].v, i) : 0;
  }
  const bool plain = !at[0].align_corners && at[0].scale == 0 && at[1].scale == 0; /* results lie evenly */
  resampling p = {.in = &c->in[0], .mode = at[0].mode, .channels = x->shape[1], .element_size = ms_dtype_size(x->dtype)};
  if (p.mode == NEAREST_EXACT) p.mode = NEAREST; /* but for its tables */
  p.h = x->shape[2], p.w = x->shape[3], p.oh = resampled->shape[2], p.ow = resampled->shape[3];
  p.taps = p.mode == NEAREST ? 1 : p.mode == BILINEAR ? 2 : 4;
  p.doubled = plain && p.oh == 2 * p.h && p.ow == 2 * p.w && p.mode != BICUBIC;
  p.lines = axis_at(&p.columns, axis_at(&p.rows, c->work, p.oh, p.element_size), p.ow, p.element_size);
  fill_axis(&p.rows, &at[0], p.taps, p.h, p.oh, f32);
  fill_axis(&p.columns, &at[1], p.taps, p.w, p.ow, f32);
  p.line_elements = line_elements(c);
  /* There may be more threads now than when the workspace was measured. */
  const int64_t room = (int64_t)c->work_bytes - (p.lines - (char *)c->work);
  const int team = ms_team(x->shape[0] * x->shape[1] * p.oh * p.ow * p.taps);
  p.team = (int)min_i64(team, room / (p.line_elements * (int64_t)p.element_size));
  return p;
}

#define T    float
#define G(x) x##_f32
#include "resample_template.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "resample_template.h"
#undef T
#undef G

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* For each i < count, shared by p.team threads, each of which has a line of its own. */
#define EACH_WITH_LINE(p, count, i, line, ...)                                                                                     \
  MS_PARALLEL((p)->team, share_, (p)->team, {                                                                                      \
    void *line = (p)->lines + (size_t)(share_ * (p)->line_elements) * (p)->element_size;                                           \
    for (int64_t i = (count)*share_ / (p)->team; i < (count) * (share_ + 1) / (p)->team; i++) { __VA_ARGS__ }                      \
  })

static int resample_prepare(ms_call *c) { return prepare(c, &c->out[0]); }

static int resample_run(ms_call *c) {
  const ms_view *x = &c->in[0], *r = &c->out[0];
  if (!ms_view_numel(r)) return 0;
  const bool f32 = r->dtype == MS_F32;
  const resampling p = resampling_of(c, x, r);
  if (ms_view_channels_last(r)) {
    EACH_WITH_LINE(&p, r->shape[0] * p.oh, i, line, {
      const int64_t image = i / p.oh, o = i - image * p.oh, from = image * x->stride[0], to = i * p.ow * p.channels;
      if (f32) resample_pixels_f32(&p, (const float *)x->data + from, o, line, (float *)r->data + to);
      else resample_pixels_f64(&p, (const double *)x->data + from, o, line, (double *)r->data + to);
    });
    return 0;
  }
  EACH_WITH_LINE(&p, r->shape[0] * r->shape[1] * p.oh, i, line, {
    const int64_t plane = i / p.oh, o = i - plane * p.oh, from = plane_offset(x, plane), to = i * p.ow;
    if (f32) resample_row_f32(&p, (const float *)x->data + from, o, line, (float *)r->data + to);
    else resample_row_f64(&p, (const double *)x->data + from, o, line, (double *)r->data + to);
  });
  return 0;
}
MS_KERNEL(resample, .prepare = resample_prepare, .run = resample_run, .supports = f32_or_f64);

static int resample_grad_prepare(ms_call *c) { return prepare(c, &c->in[0]); }

/* A thread makes a row of the result where both dimensions are doubled, else a whole plane or image, since elements of several rows
 * are added to one. */
static void grad_channels_last(const resampling *p, const ms_view *g, const ms_view *r) {
  const bool f32 = r->dtype == MS_F32;
  const int64_t row = p->w * p->channels, image = p->h * row;
  if (p->doubled)
    EACH_WITH_LINE(p, r->shape[0] * p->h, i, line, {
      const int64_t from = i / p->h * g->stride[0];
      if (f32) doubled_grad_pixels_f32(p, (const float *)g->data + from, i % p->h, line, (float *)r->data + i * row);
      else doubled_grad_pixels_f64(p, (const double *)g->data + from, i % p->h, line, (double *)r->data + i * row);
    });
  else
    EACH_WITH_LINE(p, r->shape[0], i, line, {
      const int64_t from = i * g->stride[0];
      if (f32) grad_image_f32(p, (const float *)g->data + from, line, (float *)r->data + i * image);
      else grad_image_f64(p, (const double *)g->data + from, line, (double *)r->data + i * image);
    });
}

static void grad_planes(const resampling *p, const ms_view *g, const ms_view *r) {
  const bool f32 = r->dtype == MS_F32;
  const int64_t planes = r->shape[0] * r->shape[1];
  if (p->doubled)
    EACH_WITH_LINE(p, planes * p->h, i, line, {
      const int64_t plane = i / p->h, row = i - plane * p->h, from = plane_offset(g, plane), to = i * p->w;
      if (f32) doubled_grad_row_f32(p, (const float *)g->data + from, row, line, (float *)r->data + to);
      else doubled_grad_row_f64(p, (const double *)g->data + from, row, line, (double *)r->data + to);
    });
  else
    EACH_WITH_LINE(p, planes, i, line, {
      const int64_t from = plane_offset(g, i), to = i * p->h * p->w;
      if (f32) grad_plane_f32(p, (const float *)g->data + from, line, (float *)r->data + to);
      else grad_plane_f64(p, (const double *)g->data + from, line, (double *)r->data + to);
    });
}

static int resample_grad_run(ms_call *c) {
  const ms_view *g = &c->in[0], *r = &c->out[0];
  if (!ms_view_numel(r)) return 0;
  const resampling p = resampling_of(c, r, g);
  if (ms_view_channels_last(r)) grad_channels_last(&p, g, r);
  else grad_planes(&p, g, r);
  return 0;
}
MS_KERNEL(resample_grad, .prepare = resample_grad_prepare, .run = resample_grad_run, .supports = f32_or_f64);
