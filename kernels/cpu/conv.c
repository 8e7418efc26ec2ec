/* conv.c -- conv2d and its two adjoints. f32: conv_last.h where there are channels enough for vectors of them (images channels
 * last, or turned while they are read), conv_direct.h where there are few (planes), oneDNN for groups and dilation, whose layout it
 * picks itself. The batch is cut into tasks by rules that look at sizes only; one thread takes a task through everything while it
 * is in its cache, and gradients of weights are summed over tasks in order: the bits do not depend on the number of threads. A
 * batch too small to cut goes to oneDNN whole, with all threads. f64, and what oneDNN refuses: im2col.h. */
#include "conv_direct.h"
#include "conv_last.h"
#include "cpu.h"
#include "onednn.h"
#include <stdlib.h>
#include <string.h>

#define T    float
#define G(x) x##_f32
#include "gemm.h"
#include "im2col.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "gemm.h"
#include "im2col.h"
#undef T
#undef G

double MS_NAME(ms_cpu_prefers_last)(const ms_call *c, int k); /* backend.c */

enum { CHUNK_WORK = 1 << 18 };            /* multiply-adds that are worth a chunk */
enum { CHUNK_BYTES = 512 << 10 };         /* of x and y in a chunk, if it can be had */
#define PARTIAL_BYTES ((int64_t)64 << 20) /* most for gradients of weights waiting for their sum */

typedef struct plan {
  ms_conv g;
  int lanes;
  int64_t chunk, parts; /* images a part; parts of the batch */
  ms_last *last;
  ms_direct *direct;
  ms_dnn_conv *main, *tail; /* for a whole chunk, for the last one; NULL: own loops */
  size_t copy[3], shared, tail_shared, partial, lane, lane_bytes;
  size_t x_planes, y_planes; /* in a lane: a part's images as planes, where they lie channels last and own loops run */
} plan;

/* Which inputs are x, w, y and which is the result, from the row. */
static void geometry(const ms_call *c, ms_conv *g) {
  int adjoint = c->op->id == MS_OP_conv2d ? 0 : 1;
  const ms_attr *a = c->attr + adjoint;
  const ms_view *x, *w, *y;
  if (!adjoint) x = &c->in[0], w = &c->in[1], y = &c->out[0], g->result = MS_CONV_Y;
  else if (c->op->id == MS_OP_conv2d_input_grad) y = &c->in[0], w = &c->in[1], x = &c->out[0], g->result = MS_CONV_X;
  else x = &c->in[0], y = &c->in[1], w = &c->out[0], g->result = MS_CONV_W;
  g->n = x->shape[0], g->c = x->shape[1], g->h = x->shape[2], g->w = x->shape[3];
  g->o = w->shape[0], g->kh = w->shape[2], g->kw = w->shape[3];
  g->oh = y->shape[2], g->ow = y->shape[3];
  for (int i = 0; i < 2; i++) g->stride[i] = a[0].v.at[i], g->pad[i] = a[1].v.at[i], g->dilation[i] = a[2].v.at[i];
  g->groups = a[3].i;
  g->bias = !adjoint && !c->in[2].absent;
  g->x_last = ms_view_channels_last(x), g->y_last = ms_view_channels_last(y);
}

/* Is input i an image that lies channels last? */
static bool in_last(const ms_conv *g, int i) {
  return i == 0 ? (g->result == MS_CONV_X ? g->y_last : g->x_last) : i == 1 && g->result == MS_CONV_W && g->y_last;
}

static int64_t work_of(const ms_conv *g) { return g->o * g->oh * g->ow * (g->c / g->groups) * g->kh * g->kw; } /* one image */
static int64_t weights(const ms_conv *g) { return g->o * (g->c / g->groups) * g->kh * g->kw; }
static bool is_empty(const ms_conv *g) { return !g->n || !work_of(g) || (g->result == MS_CONV_X && (!g->h || !g->w)); }

/* f32: decide about chunks, and about which loops or oneDNN's primitives. */
static void choose(plan *p) {
  const ms_conv *g = &p->g;
  const bool planes = !g->x_last && !g->y_last, weights_grad = g->result == MS_CONV_W;
  if (planes) p->direct = MS_NAME(ms_direct_new)(g);
  if (!p->direct && (p->last = MS_NAME(ms_last_new)(g))) {
    const int64_t tasks = MS_NAME(ms_last_tasks)(p->last);
    p->lanes = ms_threads() < tasks ? ms_threads() : (int)tasks;
    return;
  }
  int64_t work = work_of(g), bytes = (g->c * g->h * g->w + g->o * g->oh * g->ow) * (int64_t)sizeof(float), most = ms_tasks();
  p->chunk = weights_grad ? (g->n + most - 1) / most : CHUNK_BYTES / bytes;
  if (p->chunk > g->n / most && !weights_grad) p->chunk = g->n / most;
  if (p->chunk < CHUNK_WORK / work + 1) p->chunk = CHUNK_WORK / work + 1;
  if (p->chunk > g->n) p->chunk = g->n;
  while (weights_grad && p->chunk < g->n && (g->n + p->chunk - 1) / p->chunk * weights(g) * (int64_t)sizeof(float) > PARTIAL_BYTES)
    p->chunk = 2 * p->chunk < g->n ? 2 * p->chunk : g->n;
  p->parts = (g->n + p->chunk - 1) / p->chunk;
  /* Inside oneDNN a gradient of weights is summed over threads: for the sake of its bits it is never left to more than one. */
  bool whole = !weights_grad && !p->direct && p->parts < 4 && g->n * work >= 16 * CHUNK_WORK;
  if (!whole && !p->direct) p->direct = MS_NAME(ms_direct_new)(g);
  if (whole) p->chunk = g->n, p->parts = 1;
  p->lanes = p->parts == 1 ? 1 : ms_threads() < p->parts ? ms_threads() : (int)p->parts;
  if (p->direct) return;
  int threads = whole ? ms_threads() : 1;
  ms_conv part = *g;
  part.n = p->chunk;
  p->main = ms_dnn_conv_get(&part, threads, p->lanes);
  part.n = g->n - (p->parts - 1) * p->chunk;
  if (p->main && part.n != p->chunk && !(p->tail = ms_dnn_conv_get(&part, threads, 1)))
    ms_dnn_conv_release(p->main), p->main = NULL;
}

static size_t place(ms_call *c, size_t bytes) {
  size_t at = c->work_bytes;
  c->work_bytes += (bytes + 63) / 64 * 64;
  return at;
}

static size_t more(size_t *all, size_t bytes) {
  size_t at = (*all + 63) / 64 * 64;
  *all = at + bytes;
  return at;
}

static size_t bigger(size_t a, size_t b) { return a > b ? a : b; }

static int prepare(ms_call *c) {
  plan *p = calloc(1, sizeof *p);
  if (!p) return ms_fail("%s: out of memory", c->op->name), -1;
  c->slot = p;
  geometry(c, &p->g);
  const ms_conv *g = &p->g;
  if (is_empty(g)) return 0;
  size_t size = ms_dtype_size(c->out[0].dtype), w_bytes = (size_t)weights(g) * size;
  for (int i = 0; i < 2 + g->bias; i++)
    if (!ms_view_contiguous(&c->in[i]) && !in_last(g, i)) p->copy[i] = place(c, (size_t)ms_view_numel(&c->in[i]) * size);
  if (c->out[0].dtype == MS_F32) choose(p);
  if (p->last) {
    p->shared = place(c, MS_NAME(ms_last_shared_bytes)(p->last));
    p->lane_bytes = MS_NAME(ms_last_lane_bytes)(p->last);
  } else if (p->direct) {
    p->shared = place(c, MS_NAME(ms_direct_shared_bytes)(p->direct));
    p->lane_bytes = MS_NAME(ms_direct_lane_bytes)(p->direct);
  } else if (p->main) {
    p->shared = place(c, ms_dnn_conv_shared_bytes(p->main));
    p->tail_shared = p->tail ? place(c, ms_dnn_conv_shared_bytes(p->tail)) : 0;
    p->lane_bytes = bigger(ms_dnn_conv_lane_bytes(p->main), p->tail ? ms_dnn_conv_lane_bytes(p->tail) : 0);
  } else {
    p->chunk = 1, p->parts = g->n;
    if (g->result == MS_CONV_W) { /* images share a partial sum */
      int64_t most = PARTIAL_BYTES / (int64_t)w_bytes;
      p->parts = g->n < 8 ? g->n : 8;
      if (p->parts > most) p->parts = most < 1 ? 1 : most;
      p->chunk = (g->n + p->parts - 1) / p->parts;
      p->parts = (g->n + p->chunk - 1) / p->chunk;
    }
    p->lanes = ms_threads();
    p->lane_bytes = ((size_t)col_elements(g) + GEMM_PACK) * size;
  }
  const bool planes = !p->main && !p->last;
  if (planes && g->x_last) p->x_planes = more(&p->lane_bytes, (size_t)(p->chunk * g->c * g->h * g->w) * size);
  if (planes && g->y_last) p->y_planes = more(&p->lane_bytes, (size_t)(p->chunk * g->o * g->oh * g->ow) * size);
  if (g->result == MS_CONV_W && p->parts > 1) p->partial = place(c, (size_t)p->parts * w_bytes);
  p->lane_bytes = (p->lane_bytes + 63) / 64 * 64;
  p->lane = place(c, (size_t)p->lanes * p->lane_bytes);
  return 0;
}

static void release(ms_call *c) {
  plan *p = c->slot;
  if (!p) return;
  MS_NAME(ms_last_free)(p->last);
  MS_NAME(ms_direct_free)(p->direct);
  ms_dnn_conv_release(p->main);
  ms_dnn_conv_release(p->tail);
  free(p);
  c->slot = NULL;
}

#define COPY(T)                                                                                                                    \
  MS_PARALLEL(ms_team(lines *n), line, lines, {                                                                                    \
    const T *f = (const T *)v->data + line / d2 % d1 * s1 + line % d2 * s2 + line / d2 / d1 * s0;                                  \
    for (int64_t j = 0; j < n; j++) ((T *)to)[line * n + j] = f[j * s3];                                                           \
  })
/* The elements of an input in row-major order: itself, or copied to `to`. Rank 4, or 1 (bias). */
static void *contiguous(const ms_view *v, void *to) {
  if (ms_view_contiguous(v)) return v->data;
  bool is4 = v->rank == 4;
  int64_t n = v->shape[v->rank - 1], s3 = v->stride[v->rank - 1], d1 = is4 ? v->shape[1] : 1, d2 = is4 ? v->shape[2] : 1;
  int64_t s0 = is4 ? v->stride[0] : 0, s1 = is4 ? v->stride[1] : 0, s2 = is4 ? v->stride[2] : 0,
          lines = is4 ? v->shape[0] * d1 * d2 : 1;
  if (v->dtype == MS_F32) COPY(float);
  else COPY(double);
  return to;
}

#define FILL(T)                                                                                                                    \
  for (int64_t i = 0; i < n; i++) ((T *)out)[i] = ((const T *)b->data)[(g->y_last ? i : i / plane) % g->o * b->stride[0]];
/* No products: zeros, and the bias where there is one. */
static void fill(const ms_call *c, const ms_conv *g) {
  const ms_view *b = &c->in[2];
  void *out = c->out[0].data;
  int64_t n = ms_view_numel(&c->out[0]), plane = g->oh * g->ow;
  if (!n) return;
  if (!g->bias) memset(out, 0, (size_t)n * ms_dtype_size(c->out[0].dtype));
  else if (c->out[0].dtype == MS_F32) FILL(float)
  else FILL(double)
}

#define ADD_PARTS(T)                                                                                                               \
  MS_PARALLEL(ms_team(n *parts), e, n, {                                                                                           \
    T sum = ((const T *)from)[e];                                                                                                  \
    for (int64_t i = 1; i < parts; i++) sum += ((const T *)from)[i * n + e];                                                       \
    ((T *)to)[e] = sum;                                                                                                            \
  });
static void add_parts(const void *from, void *to, int64_t n, int64_t parts, int dtype) {
  if (dtype == MS_F32) {
    ADD_PARTS(float)
  } else {
    ADD_PARTS(double)
  }
}

/* `images` of them (and for x, y also one group alone) by the own loops. */
static void own_part(const plan *p, int dtype, int64_t images, int64_t group, char *x, char *w, char *y, char *bias, char *lane) {
  const ms_conv *g = &p->g;
  size_t size = ms_dtype_size(dtype);
  void *room = lane + (size_t)col_elements(g) * size;
  if (g->result == MS_CONV_W) memset(w, 0, (size_t)weights(g) * size);
  for (int64_t i = 0; i < images; i++)
    for (int64_t k = group < 0 ? 0 : group; k < (group < 0 ? g->groups : group + 1); k++)
      if (dtype == MS_F32) conv_image_f32(g, i, k, (float *)x, (float *)w, (float *)y, (float *)bias, (float *)lane, room);
      else conv_image_f64(g, i, k, (double *)x, (double *)w, (double *)y, (double *)bias, (double *)lane, room);
}

/* Images between planes and channels last: each is a matrix of rows x cols (channels by pixels, or the other way round),
 * transposed. */
static void swap_layout(const char *from, char *to, int64_t images, int64_t rows, int64_t cols, int dtype) {
  for (int64_t i = 0; i < images; i++)
    if (dtype == MS_F32) turn_f32((const float *)from + i * rows * cols, cols, rows, cols, (float *)to + i * rows * cols);
    else turn_f64((const double *)from + i * rows * cols, cols, rows, cols, (double *)to + i * rows * cols);
}

/* What a gain is worth is counted in elements. Images of 16 channels or more want them last where conv_last.h does the convolution;
 * elsewhere they would have to be turned, which costs less than the others gain. Images of fewer channels want planes. */
double MS_NAME(ms_cpu_prefers_last)(const ms_call *c, int k) {
  ms_conv g;
  geometry(c, &g);
  const ms_view *v = k < c->n_in ? &c->in[k] : &c->out[k - c->n_in];
  const double size = (double)ms_view_numel(v);
  if (is_empty(&g) || g.groups > 1) return 0;
  if (v->shape[1] < 16) return -size;
  const bool fits = g.dilation[0] == 1 && g.dilation[1] == 1 && (g.result == MS_CONV_W || (g.result == MS_CONV_X ? g.c : g.o) >= 8);
  return fits ? size : -0.25 * size;
}

static int run_last(ms_call *c, const ms_conv *g, float *x, float *w, float *y, const float *bias) {
  const plan *p = c->slot;
  char *work = c->work;
  const int64_t tasks = MS_NAME(ms_last_tasks)(p->last);
  int team = ms_team(g->n * work_of(g) / 4);
  if (team > p->lanes) team = p->lanes;
  MS_NAME(ms_last_begin)(p->last, w, x, work + p->shared);
  int64_t first;
  const bool apart = c->after && MS_NAME(ms_last_made)(p->last, 0, &first) == 0;
  MS_TASKS(team, id, t, tasks, {
    if (ms_interrupted()) continue;
    MS_NAME(ms_last_task)(p->last, t, x, y, bias, work + p->shared, work + p->lane + (size_t)id * p->lane_bytes);
    if (!c->after || apart) continue;
    int64_t from, n = MS_NAME(ms_last_made)(p->last, t, &from);
    c->after->run(c->after, from, n, 1, 0);
  });
  if (ms_interrupted()) return ms_stopped(c->op->name), -1;
  if (apart) ms_run_after(c);
  MS_NAME(ms_last_end)(p->last, w, work + p->shared);
  return 0;
}

static int run(ms_call *c) {
  plan *p = c->slot;
  const ms_conv *g = &p->g;
  if (is_empty(g)) return fill(c, g), ms_run_after(c), 0;
  int dtype = c->out[0].dtype;
  size_t size = ms_dtype_size(dtype);
  char *work = c->work, *in[3] = {NULL}, *out = c->out[0].data;
  for (int i = 0; i < 2 + g->bias; i++) in[i] = in_last(g, i) ? c->in[i].data : contiguous(&c->in[i], work + p->copy[i]);
  char *to = g->result == MS_CONV_W && p->parts > 1 ? work + p->partial : out;
  char *x = g->result == MS_CONV_X ? out : in[0], *w = g->result == MS_CONV_W ? to : in[1], *bias = in[2];
  char *y = g->result == MS_CONV_Y ? out : g->result == MS_CONV_X ? in[0] : in[1];
  size_t x_bytes = (size_t)(g->c * g->h * g->w) * size, y_bytes = (size_t)(g->o * g->oh * g->ow) * size;
  size_t w_step = g->result == MS_CONV_W ? (size_t)weights(g) * size : 0;

  if (p->last) return run_last(c, g, (float *)x, (float *)w, (float *)y, (const float *)bias);

  bool ok = true;
  if (p->main) ok = ms_dnn_conv_begin(p->main, (float *)w, work + p->shared);
  if (p->tail) ok = ok && ms_dnn_conv_begin(p->tail, (float *)w, work + p->tail_shared);
  if (p->direct) MS_NAME(ms_direct_begin)(p->direct, (const float *)w, work + p->shared);
  bool whole = p->main || p->direct || g->result == MS_CONV_W || g->x_last || g->y_last;
  int64_t by_group = whole ? 1 : g->groups, tasks = p->parts * by_group;
  int team = ms_team(g->n * work_of(g) / 4);
  if (team > p->lanes) team = p->lanes;
  if (team > tasks) team = (int)tasks;
  const int64_t made = ms_view_numel(&c->out[0]) / g->n; /* elements of an image */
  MS_TASKS(team, id, t, tasks, {
    if (ms_interrupted()) continue;
    int64_t i = t / by_group, first = i * p->chunk, last = first + p->chunk < g->n ? first + p->chunk : g->n;
    char *lane = work + p->lane + (size_t)id * p->lane_bytes, *wi = w + (size_t)i * w_step;
    if (p->main) {
      const bool is_tail = p->tail && i == p->parts - 1;
      if (!ms_dnn_conv_run(is_tail ? p->tail : p->main, is_tail ? 0 : id, (float *)(x + (size_t)first * x_bytes), (float *)wi,
                           (float *)(y + (size_t)first * y_bytes), (float *)bias, lane))
        __atomic_store_n(&ok, false, __ATOMIC_RELAXED);
      if (c->after) c->after->run(c->after, first * made, (last - first) * made, 1, 0);
      continue;
    }
    char *xi = x + (size_t)first * x_bytes, *yi = y + (size_t)first * y_bytes, *x_planes = xi, *y_planes = yi;
    if (g->x_last) x_planes = lane + p->x_planes;
    if (g->y_last) y_planes = lane + p->y_planes;
    if (g->x_last && g->result != MS_CONV_X) swap_layout(xi, x_planes, last - first, g->h * g->w, g->c, dtype);
    if (g->y_last && g->result != MS_CONV_Y) swap_layout(yi, y_planes, last - first, g->oh * g->ow, g->o, dtype);
    if (p->direct) MS_NAME(ms_direct_run)
    (p->direct, 0, last - first, (float *)x_planes, (float *)wi, (float *)y_planes, (float *)bias, work + p->shared, lane);
    else own_part(p, dtype, last - first, by_group > 1 ? t % by_group : -1, x_planes, wi, y_planes, bias, lane);
    if (g->x_last && g->result == MS_CONV_X) swap_layout(x_planes, xi, last - first, g->c, g->h * g->w, dtype);
    if (g->y_last && g->result == MS_CONV_Y) swap_layout(y_planes, yi, last - first, g->o, g->oh * g->ow, dtype);
    if (c->after && by_group == 1) c->after->run(c->after, first * made, (last - first) * made, 1, 0);
  });
  if (ms_interrupted()) return ms_stopped(c->op->name), -1;
  if (!ok) return ms_fail("%s: oneDNN failed", c->op->name), -1;
  if (by_group > 1) ms_run_after(c);
  if (w_step && p->parts > 1) add_parts(to, out, weights(g), p->parts, dtype);
  return 0;
}

MS_KERNEL(conv2d, .prepare = prepare, .run = run, .release = release, .supports = f32_or_f64);
MS_KERNEL(conv2d_input_grad, .prepare = prepare, .run = run, .release = release, .supports = f32_or_f64);
MS_KERNEL(conv2d_weight_grad, .prepare = prepare, .run = run, .release = release, .supports = f32_or_f64);
