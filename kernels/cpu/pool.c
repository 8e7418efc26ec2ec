/* pool.c -- average and maximum pooling of images, adaptive too, and the adjoints of the averages.
 *
 * A result is made of a window of size[0] x size[1] elements of one channel. A place in the window, (kh, kw), is called a tap. The
 * taps of a row of results are taken one after another, each for the whole row, so that the inner loops run over many results and
 * become vector code.
 *
 * There are two forms. Planes: images N x C x H x W with any strides; a thread makes a row of results of one channel. Channels last
 * (a recorded step may choose that layout): a pixel is a run of channels, a thread makes a row of pixels, and the inner loops run
 * over the channels. A kernel takes the form of its first result; its image and its other results then lie alike.
 *
 * Windows of which each has its own size (adaptive pooling) or divisor (averages that do not count padding) have loops that serve
 * both forms, window by window; the functions are named _any. */
#include "cpu.h"
#include <math.h>
#include <string.h>

typedef struct pool {
  int64_t h, w, oh, ow; /* height and width of the large image, of the pooled one */
  int64_t size[2];      /* of a window: height, width */
  int64_t stride[2];    /* from window to window: down, to the right */
  int64_t padding[2];   /* rows above and below the image, columns left and right of it */
  int64_t apart[2];     /* rows and columns from tap to tap: the dilation */
  bool adaptive;        /* none of these: window o of n begins at floor(o size / n), and ends before ceil((o + 1) size / n) */
  bool count_padding;   /* averages: padding counts as zeros */
  int64_t divisor;      /* of averages; MS_NO_DIM: what is counted */
  int64_t channels;
  int64_t run;                /* elements side by side that are pooled alike: the channels where they lie last, else 1 */
  int64_t h_stride, w_stride; /* of the image that is read, in elements */
} pool;

/* in: the image that is read; large, pooled: the two shapes, one of which is its own. */
static pool pool_of(const ms_call *c, const int64_t *large, const int64_t *pooled) {
  const ms_view *in = &c->in[0];
  pool p = {.h = large[2], .w = large[3], .oh = pooled[2], .ow = pooled[3], .channels = in->shape[1], .apart = {1, 1}};
  p.h_stride = in->stride[2], p.w_stride = in->stride[3];
  p.run = ms_view_channels_last(&c->out[0]) ? p.channels : 1;
  p.adaptive = true, p.divisor = MS_NO_DIM;
  return p;
}
/* a: the attributes kernel_size, stride, padding. */
static void set_windows(pool *p, const ms_attr *a) {
  p->adaptive = false;
  for (int i = 0; i < 2; i++) p->size[i] = a[0].v.at[i], p->stride[i] = a[1].v.at[i], p->padding[i] = a[2].v.at[i];
}
/* a: those of averages, ceil_mode, count_include_pad and divisor_override behind them. */
static void set_averages(pool *p, const ms_attr *a) {
  set_windows(p, a);
  p->count_padding = a[4].i, p->divisor = a[5].i;
}

/* Along dimension d, of `in` elements: the elements of the image that window o holds, *first up to, not including, *end. */
static inline void window_at(const pool *p, int d, int64_t o, int64_t *first, int64_t *end) {
  const int64_t in = d ? p->w : p->h, n = d ? p->ow : p->oh, at = o * p->stride[d] - p->padding[d];
  if (p->adaptive) *first = o * in / n, *end = ((o + 1) * in + n - 1) / n;
  else *first = max_i64(at, 0), *end = min_i64(at + p->size[d], in);
}

/* What window o counts along dimension d: the elements it holds, or those and the padding. */
static inline int64_t counted(const pool *p, int d, int64_t o) {
  int64_t first, end;
  window_at(p, d, o, &first, &end);
  if (p->adaptive || !p->count_padding) return end - first;
  const int64_t at = o * p->stride[d] - p->padding[d];
  return min_i64(at + p->size[d], (d ? p->w : p->h) + p->padding[d]) - at;
}
/* What the sum over window (oh, ow) is divided by. */
static inline int64_t divisor_of(const pool *p, int64_t oh, int64_t ow) {
  return p->divisor != MS_NO_DIM ? p->divisor : counted(p, 0, oh) * counted(p, 1, ow);
}
/* Is it the same for all windows? */
static bool divided_alike(const pool *p) {
  if (p->divisor != MS_NO_DIM) return true;
  if (p->adaptive || (!p->count_padding && (p->padding[0] || p->padding[1]))) return false;
  return (p->oh - 1) * p->stride[0] + p->size[0] <= p->h + 2 * p->padding[0] &&
         (p->ow - 1) * p->stride[1] + p->size[1] <= p->w + 2 * p->padding[1];
}
static int64_t common_divisor(const pool *p) { return p->divisor != MS_NO_DIM ? p->divisor : p->size[0] * p->size[1]; }

/* In a row of windows, column kw of a window lies inside of the image for windows *first up to, not including, *end. */
static inline void windows_inside(const pool *p, int64_t kw, int64_t *first, int64_t *end) {
  int64_t shift = kw * p->apart[1] - p->padding[1], step = p->stride[1], last_column = p->w - 1 - shift;
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

/* Along dimension d: the windows that hold position `at`, *first to *last, both included. */
static inline void windows_holding(const pool *p, int d, int64_t at, int64_t *first, int64_t *last) {
  const int64_t in = d ? p->w : p->h, n = d ? p->ow : p->oh;
  if (p->adaptive) *first = at * n / in, *last = ((at + 1) * n + in - 1) / in - 1;
  else windows_over(at, p->size[d], p->stride[d], p->padding[d], n, first, last);
}

/* Windows of 2 x 2 that neither overlap nor reach beyond the image: the common case, which has loops of its own. */
static inline bool windows_2x2(const pool *p) {
  return p->size[0] == 2 && p->size[1] == 2 && p->stride[1] == 2 && p->stride[0] >= 2 && !p->padding[0] && !p->padding[1] &&
         p->apart[0] == 1 && p->apart[1] == 1 && (p->oh - 1) * p->stride[0] + 2 <= p->h && 2 * p->ow <= p->w;
}

/* The same where the elements of a row are neighbours in memory. */
static inline bool windows_2x2_adjacent(const pool *p) { return p->w_stride == 1 && windows_2x2(p); }

/* How far, in a plane, the first tap of a window that is inside of the image lies behind the window's corner. */
static inline int32_t first_tap(const pool *p, int64_t top, int64_t left) {
  const int64_t rows = top < 0 ? round_up(-top, p->apart[0]) : 0, columns = left < 0 ? round_up(-left, p->apart[1]) : 0;
  return (int32_t)(rows * p->w + columns);
}

/* Maxima that are found at a time: what is known of them must stay in the first cache. */
enum { MAX_BLOCK = 256 };

/* Positions of maxima: for oh x ow of them, `run` side by side, in planes of `pixels` elements. */
typedef struct places {
  int64_t oh, ow, w, pixels;  /* w: width of the planes */
  int64_t run, step;          /* step: from pixel to pixel of the result */
  int64_t h_stride, w_stride; /* of the image that is read */
  int64_t at_h, at_w;         /* of the positions */
} places;

/* Makes row `row` of the result, r (of maxima their positions, too), out of what is read: a plane, or an image. */
typedef void row_maker(const pool *p, const void *from, int64_t row, void *r, int64_t *position);

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

/* The function for the dtype of c's result: for windows of their own sizes, for images that lie channels last, for planes. */
#define MAKER(c, p, any, name)                                                                                                     \
  ((c)->out[0].dtype == MS_F32 ? ((any)          ? name##_any_f32                                                                  \
                                  : (p)->run > 1 ? name##_pixels_f32                                                               \
                                                 : name##_row_f32)                                                                 \
                               : ((any)          ? name##_any_f64                                                                  \
                                  : (p)->run > 1 ? name##_pixels_f64                                                               \
                                                 : name##_row_f64))

/* All rows of the results. */
static int make_rows(const ms_call *c, const pool *p, int64_t work, row_maker *make) {
  const ms_view *in = &c->in[0], *r = &c->out[0];
  const int64_t height = r->shape[2], wide = r->shape[3] * p->run, size = (int64_t)ms_dtype_size(r->dtype);
  const int64_t parts = p->run > 1 ? r->shape[0] : r->shape[0] * r->shape[1]; /* images, or planes */
  int64_t *position = c->n_out > 1 ? c->out[1].data : NULL;
  MS_PARALLEL(ms_team(work), i, parts * height, {
    const int64_t part = i / height, from = p->run > 1 ? part * in->stride[0] : plane_offset(in, part);
    make(p, (const char *)in->data + from * size, i - part * height, (char *)r->data + i * wide * size,
         position ? position + i * wide : NULL);
  });
  return 0;
}

static int avg_run(ms_call *c) {
  pool p = pool_of(c, c->in[0].shape, c->out[0].shape);
  set_averages(&p, c->attr);
  const int64_t work = p.run > 1 ? ms_view_numel(&c->in[0]) : ms_view_numel(&c->out[0]) * p.size[0] * p.size[1];
  return make_rows(c, &p, work, MAKER(c, &p, !divided_alike(&p), avg));
}
MS_KERNEL(avg_pool2d, .run = avg_run, .supports = f32_or_f64);

static int avg_grad_run(ms_call *c) {
  pool p = pool_of(c, c->out[0].shape, c->in[0].shape);
  set_averages(&p, c->attr + 1);
  return make_rows(c, &p, ms_view_numel(&c->out[0]), MAKER(c, &p, !divided_alike(&p), avg_grad));
}
MS_KERNEL(avg_pool2d_grad, .run = avg_grad_run, .supports = f32_or_f64);

static int adaptive_run(ms_call *c) {
  const pool p = pool_of(c, c->in[0].shape, c->out[0].shape);
  return make_rows(c, &p, ms_view_numel(&c->in[0]), MAKER(c, &p, true, avg));
}
MS_KERNEL(adaptive_avg_pool2d, .run = adaptive_run, .supports = f32_or_f64);

static int adaptive_grad_run(ms_call *c) {
  const pool p = pool_of(c, c->out[0].shape, c->in[0].shape);
  return make_rows(c, &p, ms_view_numel(&c->out[0]), MAKER(c, &p, true, avg_grad));
}
MS_KERNEL(adaptive_avg_pool2d_grad, .run = adaptive_grad_run, .supports = f32_or_f64);

/* Two results: the maxima, and their positions. A position counts the elements of an H x W plane row by row, from 1, whatever
 * the layout; the derivative of max pooling (runtime/ops/pool.c) adds gradients up there. */
static int max_run(ms_call *c) {
  pool p = pool_of(c, c->in[0].shape, c->out[0].shape);
  set_windows(&p, c->attr);
  for (int i = 0; i < 2; i++) p.apart[i] = c->attr[3].v.at[i];
  return make_rows(c, &p, ms_view_numel(&c->out[0]) * p.size[0] * p.size[1], MAKER(c, &p, false, max));
}
MS_KERNEL(max_pool2d_with_indices, .run = max_run, .supports = f32_or_f64);

static int adaptive_max_run(ms_call *c) {
  const pool p = pool_of(c, c->in[0].shape, c->out[0].shape);
  return make_rows(c, &p, ms_view_numel(&c->in[0]), MAKER(c, &p, true, max));
}
MS_KERNEL(adaptive_max_pool2d_with_indices, .run = adaptive_max_run, .supports = f32_or_f64);

/* ---- maxima by their positions ------------------------------------------------------------------------------------------- */

enum { PLACES_BLOCK = 64 }; /* channels that a task takes of an image that lies channels last */

/* make: for a plane, or for some channels of an image; large: what positions count in, of height and width hw. */
static int by_position(const ms_call *c, const ms_view *large,
                       void (*make)(const places *p, const void *from, const int64_t *at, void *to)) {
  const ms_view *in = &c->in[0], *at = &c->in[1], *r = &c->out[0];
  const bool last = ms_view_channels_last(r);
  const int64_t channels = r->shape[1], blocks = last ? div_up(channels, PLACES_BLOCK) : channels;
  const int64_t size = (int64_t)ms_dtype_size(r->dtype), of_image = channels * r->shape[2] * r->shape[3];
  const places all = {
      at->shape[2],  at->shape[3],  large->shape[3], large->shape[2] * large->shape[3], 1, last ? channels : 1, in->stride[2],
      in->stride[3], at->stride[2], at->stride[3]};
  MS_PARALLEL(ms_team(ms_view_numel(r) + ms_view_numel(in)), i, r->shape[0] * blocks, {
    const int64_t n = i / blocks, first = (i - n * blocks) * (last ? PLACES_BLOCK : 1);
    places p = all;
    if (last) p.run = min_i64(channels - first, PLACES_BLOCK);
    const int64_t to = n * of_image + first * (last ? 1 : r->shape[2] * r->shape[3]);
    make(&p, (const char *)in->data + (n * in->stride[0] + first * in->stride[1]) * size,
         (const int64_t *)at->data + n * at->stride[0] + first * at->stride[1], (char *)r->data + to * size);
  });
  return 0;
}

static int max_grad_run(ms_call *c) {
  return by_position(c, &c->out[0], c->out[0].dtype == MS_F32 ? put_maxima_f32 : put_maxima_f64);
}
MS_KERNEL(max_pool2d_grad, .run = max_grad_run, .supports = f32_or_f64);

static int max_pick_run(ms_call *c) {
  return by_position(c, &c->in[0], c->out[0].dtype == MS_F32 ? pick_maxima_f32 : pick_maxima_f64);
}
MS_KERNEL(max_pool2d_pick, .run = max_pick_run, .supports = f32_or_f64);
