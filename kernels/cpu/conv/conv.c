/* conv.c -- the door of conv2d and its two adjoints: all of them are prepared and run here, by the first way in the table `ways`
 * that takes them. README.md says which shapes go where. */
#include "conv.h"
#include "op_ids.h"
#include <stdlib.h>
#include <string.h>

double MS_NAME(ms_cpu_prefers_last)(const ms_call *c, int k); /* backend.c */

/* ---- the shape -------------------------------------------------------------------------------------------------- */

/* Which inputs are x, w, y and which is the result, from the row. */
static void read_shape(const ms_call *c, ms_conv *g) {
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
  g->dtype = c->out[0].dtype, g->bf16 = c->precision == MS_PRECISION_BF16;
}

/* Is input i an image that lies channels last? */
static bool input_is_last(const ms_conv *g, int i) {
  return i == 0 ? (g->result == MS_CONV_X ? g->y_last : g->x_last) : i == 1 && g->result == MS_CONV_W && g->y_last;
}

/* ---- the table of ways ------------------------------------------------------------------------------------------ */

static bool is_empty(const ms_conv *g) { return !g->n || !image_work(g) || (g->result == MS_CONV_X && (!g->h || !g->w)); }

/* Without products the result is zeros, and the bias where there is one. */
static bool plan_empty(conv_plan *p) { return p->tasks = 0, true; }

#define FILL(T)                                                                                                                    \
  for (int64_t i = 0; i < n; i++) ((T *)t->y)[i] = ((const T *)t->bias)[(g->y_last ? i : i / plane) % g->o]
static bool fill_empty(const conv_plan *p, const conv_operands *t) {
  const ms_conv *g = &p->g;
  const int64_t plane = g->oh * g->ow, x = g->n * g->c * g->h * g->w, y = g->n * g->o * plane;
  const int64_t n = g->result == MS_CONV_Y ? y : g->result == MS_CONV_X ? x : weight_count(g);
  void *result = g->result == MS_CONV_Y ? t->y : g->result == MS_CONV_X ? t->x : t->w;
  if (!n) return true;
  if (!g->bias) memset(result, 0, (size_t)n * ms_dtype_size(g->dtype));
  else if (g->dtype == MS_F32) FILL(float);
  else FILL(double);
  return true;
}
static const conv_functions empty = {.plan = plan_empty, .begin = fill_empty};

static bool is_f32(const ms_conv *g) { return g->dtype == MS_F32; }
static bool all(const ms_conv *g) { return (void)g, true; }

static bool few_channels(const ms_conv *g) { return is_f32(g) && g->result != MS_CONV_W && MS_NAME(conv_planes_take)(g); }
static bool few_channels_w(const ms_conv *g) { return is_f32(g) && g->result == MS_CONV_W && MS_NAME(conv_planes_take)(g); }
static bool planes(const ms_conv *g) { return !g->x_last && !g->y_last && few_channels(g); }
static bool planes_w(const ms_conv *g) { return !g->x_last && !g->y_last && few_channels_w(g); }

static bool channels_last(const ms_conv *g) { return is_f32(g) && g->result != MS_CONV_W && MS_NAME(conv_last_takes)(g); }
static bool last_w(const ms_conv *g) { return is_f32(g) && g->result == MS_CONV_W && MS_NAME(conv_last_takes)(g); }
static bool last_bf16(const ms_conv *g) { return g->bf16 && channels_last(g) && MS_NAME(conv_last_takes_bf16)(g); }
static bool last_amx(const ms_conv *g) { return g->bf16 && channels_last(g) && MS_NAME(conv_last_takes_amx)(g); }
static bool last_amx_w(const ms_conv *g) { return g->bf16 && last_w(g) && MS_NAME(conv_last_takes_amx)(g); }

static bool last_unfolded(const ms_conv *g) { return last_w(g) && MS_NAME(conv_last_unfolds)(g); }

static bool few_pixels(const ms_conv *g, int result) { return is_f32(g) && g->result == result && MS_NAME(conv_few_takes)(g); }
static bool few_y(const ms_conv *g) { return few_pixels(g, MS_CONV_Y); }
static bool few_x(const ms_conv *g) { return few_pixels(g, MS_CONV_X); }
static bool few_w(const ms_conv *g) { return few_pixels(g, MS_CONV_W); }

static bool few_images(const ms_conv *g) { return is_f32(g) && MS_NAME(conv_onednn_takes_whole)(g); }

/* The first row that takes a convolution computes it. Cheaper rows stand above dearer ones that take the same shapes; README.md
 * has the figures. */
static const conv_way ways[] = {
    {"empty", is_empty, &empty, "no element of the result is a sum of products"},
    {"planes", planes, &MS_NAME(conv_planes), "few channels on a side: vectors of pixels are full, those of channels not"},
    {"planes, weights", planes_w, &MS_NAME(conv_planes_weights), "the same for the gradient of the weights"},
    {"channels last, weights, AMX", last_amx_w, &MS_NAME(conv_last_amx_weights), "bf16 tiles of 16 x 16 channels"},
    {"channels last, AMX", last_amx, &MS_NAME(conv_last_amx), "bf16 tiles of 16 pixels x 16 channels"},
    {"channels last, bf16", last_bf16, &MS_NAME(conv_last_bf16), "two products in each lane of a vector of channels"},
    {"few pixels", few_y, &MS_NAME(conv_few_y), "few pixels, many weights: these are read once, where they lie"},
    {"few pixels, input", few_x, &MS_NAME(conv_few_x), "the same for the gradient of the input"},
    {"few pixels, weights", few_w, &MS_NAME(conv_few_w), "the same for the gradient of the weights"},
    {"channels last, weights, unfolded", last_unfolded, &MS_NAME(conv_last_unfolded),
     "images of few pixels: their sums joined to long ones"},
    {"channels last, weights", last_w, &MS_NAME(conv_last_weights), "full vectors of channels, sums over pixels"},
    {"channels last", channels_last, &MS_NAME(conv_last), "full vectors of channels; runs of (column, channel) lie side by side"},
    {"oneDNN, whole batch", few_images, &MS_NAME(conv_onednn_whole),
     "groups or dilation, too few images for all threads: its own threads"},
    {"planes, transposed", few_channels, &MS_NAME(conv_planes), "few channels, but channels last, as their neighbours want them"},
    {"planes, weights, transposed", few_channels_w, &MS_NAME(conv_planes_weights), "the same for the gradient of the weights"},
    {"oneDNN", is_f32, &MS_NAME(conv_onednn), "groups, dilation, and what is left: a piece of images in each thread"},
    {"im2col", all, &MS_NAME(conv_im2col), "f64, and f32 where oneDNN is missing or refuses"},
};
enum { WAYS = sizeof ways / sizeof *ways };

/* false: no memory for any. */
static bool choose(conv_plan *p) {
  for (int i = 0; i < WAYS; i++) {
    if (!ways[i].takes(&p->g)) continue;
    p->way = &ways[i], p->tasks = 0, p->shared_bytes = p->room_bytes = 0, p->pieces = (conv_pieces){0};
    if (p->way->functions->plan(p)) return true;
  }
  return p->way = NULL, false;
}

/* What a gain is worth is counted in elements. Images of 16 channels or more want to lie channels last where a way of that name
 * computes the convolution; elsewhere they would have to be transposed, which costs less than the others gain. Images of fewer
 * channels want planes. */
double MS_NAME(ms_cpu_prefers_last)(const ms_call *c, int k) {
  enum { LEAST_CHANNELS = 16 };
  if (c->op->id != MS_OP_conv2d && c->op->id != MS_OP_conv2d_input_grad && c->op->id != MS_OP_conv2d_weight_grad) return 0;
  ms_conv g = {0};
  read_shape(c, &g);
  const ms_view *v = k < c->n_in ? &c->in[k] : &c->out[k - c->n_in];
  const double size = (double)ms_view_numel(v);
  if (is_empty(&g) || g.groups > 1) return 0;
  if (v->shape[1] < LEAST_CHANNELS) return -size;
  return MS_NAME(conv_last_takes)(&g) ? size : -0.25 * size;
}

/* ---- prepare and run -------------------------------------------------------------------------------------------- */

static void release(ms_call *c) {
  conv_plan *p = c->prepared;
  if (!p) return;
  if (p->way && p->way->functions->free) p->way->functions->free(p->own);
  free(p);
  c->prepared = NULL;
}

static int prepare(ms_call *c) {
  conv_plan *p = calloc(1, sizeof *p);
  if (!p) return ms_fail("%s: out of memory", c->op->name), -1;
  c->prepared = p;
  read_shape(c, &p->g);
  if (!choose(p)) return release(c), ms_fail("%s: out of memory", c->op->name), -1;
  c->way = p->way->name;
  for (int i = 0; i < 2 + p->g.bias; i++)
    if (!ms_view_contiguous(&c->in[i]) && !input_is_last(&p->g, i))
      p->copy[i] = conv_reserve(&c->work_bytes, (size_t)ms_view_numel(&c->in[i]) * ms_dtype_size(p->g.dtype));
  p->threads = conv_threads(p->tasks);
  p->room_bytes = (p->room_bytes + 63) / 64 * 64;
  p->shared = conv_reserve(&c->work_bytes, p->shared_bytes);
  p->rooms = conv_reserve(&c->work_bytes, (size_t)p->threads * p->room_bytes);
  return 0;
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

static conv_operands operands(const ms_call *c, const conv_plan *p) {
  const ms_conv *g = &p->g;
  void *in[3] = {NULL}, *out = c->out[0].data;
  for (int i = 0; i < 2 + g->bias; i++)
    in[i] = input_is_last(g, i) ? c->in[i].data : contiguous(&c->in[i], (char *)c->work + p->copy[i]);
  conv_operands t = {.x = in[0], .w = in[1], .y = out, .bias = in[2], .shared = (char *)c->work + p->shared};
  if (g->result == MS_CONV_X) t.x = out, t.y = in[0];
  if (g->result == MS_CONV_W) t.w = out, t.y = in[1];
  return t;
}

/* A chain behind the convolution (c->after) runs on what a task has made, or, where tasks make no whole elements, at the end. */
static int run(ms_call *c) {
  const conv_plan *p = c->prepared;
  const conv_functions *f = p->way->functions;
  const conv_operands t = operands(c, p);
  const int team = (int)min_i64(ms_team(p->g.n * image_work(&p->g) / 4), p->threads);
  int64_t first;
  const bool by_task = c->after && f->made && f->made(p, 0, &first) > 0;
  bool ok = !f->begin || f->begin(p, &t);
  MS_TASKS(team, id, i, ok ? p->tasks : 0, {
    if (ms_interrupted()) continue;
    if (!f->task(p, &t, i, id, (char *)c->work + p->rooms + (size_t)id * p->room_bytes))
      __atomic_store_n(&ok, false, __ATOMIC_RELAXED);
    if (!by_task) continue;
    int64_t from, n = f->made(p, i, &from);
    c->after->run(c->after, from, n, 1, 0);
  });
  if (ms_interrupted()) return ms_stopped(c->op->name), -1;
  if (!ok) return ms_fail("%s: %s failed", c->op->name, p->way->name), -1;
  if (f->end) f->end(p, &t);
  if (!by_task) ms_run_after(c);
  return 0;
}

MS_KERNEL(conv2d, .prepare = prepare, .run = run, .release = release, .supports = f32_or_f64);
MS_KERNEL(conv2d_input_grad, .prepare = prepare, .run = run, .release = release, .supports = f32_or_f64);
MS_KERNEL(conv2d_weight_grad, .prepare = prepare, .run = run, .release = release, .supports = f32_or_f64);
