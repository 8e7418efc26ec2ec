/* pool.c -- average and maximum pooling of images, and the adjoint of average pooling.
 *
 * A result is made of a window of size[0] x size[1] elements of one channel. A place in the window, (kh, kw), is called a tap. The
 * taps of a row of results are taken one after another, each for the whole row, so that the inner loops run over many results and
 * become vector code.
 *
 * There are two forms. Planes: images N x C x H x W with any strides; a thread makes a row of results of one channel. Channels last
 * (a recorded step may choose that layout): a pixel is a run of channels, a thread makes a row of pixels, and the inner loops run
 * over the channels. A kernel takes the form of its first result; its image and its other results then lie alike. */
#include "cpu.h"
#include <math.h>

typedef struct pool {
  int64_t h, w, oh, ow; /* height and width of the large image, of the pooled one */
  int64_t size[2];      /* of a window: height, width */
  int64_t stride[2];    /* from window to window: down, to the right */
  int64_t padding[2];   /* rows above and below the image, columns left and right of it */
  int64_t channels;
  int64_t h_stride, w_stride; /* of the image that is read, in elements */
} pool;

/* in: the image that is read; large, pooled: the two shapes, one of which is its own; a: the attributes size, stride, padding. */
static pool pool_of(const ms_view *in, const int64_t *large, const int64_t *pooled, const ms_attr *a) {
  pool p = {.h = large[2], .w = large[3], .oh = pooled[2], .ow = pooled[3], .channels = in->shape[1]};
  p.h_stride = in->stride[2], p.w_stride = in->stride[3];
  for (int i = 0; i < 2; i++) p.size[i] = a[0].v.at[i], p.stride[i] = a[1].v.at[i], p.padding[i] = a[2].v.at[i];
  return p;
}

/* In a row of windows, column kw of a window lies inside of the image for windows *first up to, not including, *end. */
static inline void windows_inside(const pool *p, int64_t kw, int64_t *first, int64_t *end) {
  int64_t shift = kw - p->padding[1], step = p->stride[1], last_column = p->w - 1 - shift;
  *first = shift >= 0 ? 0 : div_up(-shift, step);
  *end = last_column < 0 ? 0 : min_i64(last_column / step + 1, p->ow);
}

/* Along one dimension: windows *first to *last, both included, hold position `at`. Window i begins at i * step - padding; there
 * are `count` windows. */
static inline void windows_over(int64_t at, int64_t size, int64_t step, int64_t padding, int64_t count, int64_t *first,
                                int64_t *last) {
  int64_t from_padding = at + padding;
  *first = from_padding < size ? 0 : (from_padding - size) / step + 1;
  *last = min_i64(from_padding / step, count - 1);
}

/* Windows of 2 x 2 that neither overlap nor reach beyond the image: the common case, which has loops of its own. */
static inline bool windows_2x2(const pool *p) {
  return p->size[0] == 2 && p->size[1] == 2 && p->stride[1] == 2 && p->stride[0] >= 2 && !p->padding[0] && !p->padding[1];
}

/* The same where the elements of a row are neighbours in memory. */
static inline bool windows_2x2_adjacent(const pool *p) { return p->w_stride == 1 && windows_2x2(p); }

/* How far, in a plane, the first element of a window that is inside of the image lies behind the window's corner. */
static inline int32_t first_tap(const pool *p, int64_t top, int64_t left) {
  return (int32_t)(max_i64(-top, 0) * p->w + max_i64(-left, 0));
}

/* Maxima that are found at a time: what is known of them must stay in the first cache. */
enum { MAX_BLOCK = 256 };

#define T    float
#define G(x) x##_f32
#include "pool_template.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "pool_template.h"
#undef T
#undef G

/* For each row i of the result r, `height` rows a plane: `row` is its number in its plane, `from` where that plane begins in
 * `image`, which is read. */
#define EACH_ROW_OF_PLANES(r, height, image, work, i, row, from, ...)                                                              \
  MS_PARALLEL(ms_team(work), i, (r)->shape[0] * (r)->shape[1] * (height), {                                                        \
    const int64_t plane_ = i / (height), row = i - plane_ * (height), from = plane_offset(image, plane_);                          \
    __VA_ARGS__                                                                                                                    \
  })

/* The same where images lie channels last: a row is one of pixels, `from` where its image begins. */
#define EACH_ROW_OF_PIXELS(r, height, image, work, i, row, from, ...)                                                              \
  MS_PARALLEL(ms_team(work), i, (r)->shape[0] * (height), {                                                                        \
    const int64_t n_ = i / (height), row = i - n_ * (height), from = n_ * (image)->stride[0];                                      \
    __VA_ARGS__                                                                                                                    \
  })

static int avg_run(ms_call *c) {
  const ms_view *x = &c->in[0], *r = &c->out[0];
  const pool p = pool_of(x, x->shape, r->shape, c->attr);
  if (ms_view_channels_last(r)) {
    EACH_ROW_OF_PIXELS(r, p.oh, x, ms_view_numel(x), i, row, from, {
      const int64_t to = i * p.ow * p.channels;
      if (r->dtype == MS_F32) avg_pixels_f32(&p, (const float *)x->data + from, row, (float *)r->data + to);
      else avg_pixels_f64(&p, (const double *)x->data + from, row, (double *)r->data + to);
    });
    return 0;
  }
  EACH_ROW_OF_PLANES(r, p.oh, x, ms_view_numel(r) * p.size[0] * p.size[1], i, row, from, {
    if (r->dtype == MS_F32) avg_row_f32(&p, (const float *)x->data + from, row, (float *)r->data + i * p.ow);
    else avg_row_f64(&p, (const double *)x->data + from, row, (double *)r->data + i * p.ow);
  });
  return 0;
}
MS_KERNEL(avg_pool2d, .run = avg_run, .supports = f32_or_f64);

static int avg_grad_run(ms_call *c) {
  const ms_view *g = &c->in[0], *r = &c->out[0];
  const pool p = pool_of(g, r->shape, g->shape, c->attr + 1);
  if (ms_view_channels_last(r)) {
    EACH_ROW_OF_PIXELS(r, p.h, g, ms_view_numel(r), i, row, from, {
      const int64_t to = i * p.w * p.channels;
      if (r->dtype == MS_F32) avg_grad_pixels_f32(&p, (const float *)g->data + from, row, (float *)r->data + to);
      else avg_grad_pixels_f64(&p, (const double *)g->data + from, row, (double *)r->data + to);
    });
    return 0;
  }
  EACH_ROW_OF_PLANES(r, p.h, g, ms_view_numel(r), i, row, from, {
    if (r->dtype == MS_F32) avg_grad_row_f32(&p, (const float *)g->data + from, row, (float *)r->data + i * p.w);
    else avg_grad_row_f64(&p, (const double *)g->data + from, row, (double *)r->data + i * p.w);
  });
  return 0;
}
MS_KERNEL(avg_pool2d_grad, .run = avg_grad_run, .supports = f32_or_f64);

/* Two results: the maxima, and their positions. A position counts the elements of an H x W plane row by row, from 1, whatever
 * the layout; the derivative of max pooling (runtime/ops/pool.c) adds gradients up there. */
static int max_run(ms_call *c) {
  const ms_view *x = &c->in[0], *r = &c->out[0];
  const pool p = pool_of(x, x->shape, r->shape, c->attr);
  const int64_t work = ms_view_numel(r) * p.size[0] * p.size[1];
  int64_t *position = c->out[1].data;
  if (ms_view_channels_last(r)) {
    EACH_ROW_OF_PIXELS(r, p.oh, x, work, i, row, from, {
      const int64_t to = i * p.ow * p.channels;
      if (r->dtype == MS_F32) max_pixels_f32(&p, (const float *)x->data + from, row, (float *)r->data + to, position + to);
      else max_pixels_f64(&p, (const double *)x->data + from, row, (double *)r->data + to, position + to);
    });
    return 0;
  }
  EACH_ROW_OF_PLANES(r, p.oh, x, work, i, row, from, {
    const int64_t to = i * p.ow;
    if (r->dtype == MS_F32) max_row_f32(&p, (const float *)x->data + from, row, (float *)r->data + to, position + to);
    else max_row_f64(&p, (const double *)x->data + from, row, (double *)r->data + to, position + to);
  });
  return 0;
}
MS_KERNEL(max_pool2d, .run = max_run, .supports = f32_or_f64);
