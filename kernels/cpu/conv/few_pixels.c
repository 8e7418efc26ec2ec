/* few_pixels.c -- convolutions with fewer pixels in the whole batch than channels, as at the end of a classifier: 2 x 2 or 4 x 4
 * pixels, a megabyte of weights and more. There the weights are what memory has to bring, and so they are read where they lie,
 * once; the pixels are unfolded and stay in the cache. With K = (channel, tap), in the order of w's rows:
 *
 *     y (o x pixels)   = w (o x K) * unfolded x (K x pixels)
 *     columns (K x pixels) = w' * y (o x pixels); x is the sum of the columns that an element was unfolded to
 *     w (o x K)        = y (o x pixels) * unfolded x (pixels x K)
 *
 * One group, any stride and dilation; images lie either way. Sums over K are cut into pieces of DEPTH. What is a task depends on
 * sizes only. */
#include "../tile.h"
#include "conv.h"
#include <stdlib.h>
#include <string.h>

enum {
  L = LANES_f32,
  PANEL = 2 * L,         /* columns of a tile, and of a panel of the operand that is packed */
  LEAST_ROWS = 2 * L,    /* channels of y, and terms of K */
  LEAST_WEIGHTS = 32768, /* fewer are kept in the cache by the other ways, too */
  ROWS = 2 * TILE_ROWS,  /* channels of y in a task, for y and w */
  CHANNELS = TILE_ROWS,  /* of x in a task, for x: as many rows for each tap */
  DEPTH = 1024,          /* terms that are summed up at a time: of the packed panel, what stays in the cache */
  LEAST_TASKS = 16       /* for w, which can be cut along K too */
};

typedef struct few_plan {
  int64_t taps, k, pixels, pitch; /* pitch: pixels, filled up to whole vectors */
  int64_t x_channel, y_channel;   /* elements from a channel to the next */
  int64_t slices;                 /* w: of K */
  size_t turned;                  /* w: bytes from the start of the shared area: y as pixels x o, where it lies in planes */
  int64_t at[]; /* by tap and pixel: the element of x's channel 0 that it meets, -1: outside; then, by pixel, y's */
} few_plan;

bool MS_NAME(conv_few_takes)(const ms_conv *g) {
  const int64_t pixels = g->n * g->oh * g->ow, k = g->c * g->kh * g->kw;
  return g->groups == 1 && pixels <= g->o && g->n * g->h * g->w <= 16 * g->o && g->o >= LEAST_ROWS && k >= LEAST_ROWS &&
         g->o * k >= LEAST_WEIGHTS;
}

/* ---- the plan --------------------------------------------------------------------------------------------------- */

static const int64_t *y_at(const few_plan *p) { return p->at + p->taps * p->pixels; }

static void set_offsets(few_plan *p, const ms_conv *g) {
  const bool x_last = g->x_last || g->c == 1, y_last = g->y_last || g->o == 1;
  const int64_t plane = g->oh * g->ow, x_pixel = x_last ? g->c : 1, y_pixel = y_last ? g->o : 1;
  p->x_channel = x_last ? 1 : g->h * g->w, p->y_channel = y_last ? 1 : plane;
  for (int64_t j = 0; j < p->pixels; j++) {
    const int64_t image = j / plane, t = j % plane / g->ow, u = j % g->ow;
    p->at[p->taps * p->pixels + j] = image * plane * g->o + j % plane * y_pixel;
    for (int64_t tap = 0; tap < p->taps; tap++) {
      const int64_t line = t * g->stride[0] - g->pad[0] + tap / g->kw * g->dilation[0],
                    column = u * g->stride[1] - g->pad[1] + tap % g->kw * g->dilation[1];
      const bool inside_x = line >= 0 && line < g->h && column >= 0 && column < g->w;
      p->at[tap * p->pixels + j] = inside_x ? image * g->c * g->h * g->w + (line * g->w + column) * x_pixel : -1;
    }
  }
}

static bool plan(conv_plan *c) {
  const ms_conv *g = &c->g;
  const int64_t taps = g->kh * g->kw, pixels = g->n * g->oh * g->ow;
  few_plan *p = c->own = malloc(sizeof *p + (size_t)((taps + 1) * pixels) * sizeof *p->at);
  if (!p) return false;
  p->taps = taps, p->k = g->c * taps, p->pixels = pixels, p->pitch = round_up(pixels, L);
  p->slices = 1, p->turned = 0;
  set_offsets(p, g);
  if (g->result == MS_CONV_Y) {
    c->tasks = div_up(g->o, ROWS);
    c->shared_bytes = (size_t)(p->k * p->pitch) * 4;
    c->room_bytes = (size_t)(ROWS * p->pitch) * 4;
  } else if (g->result == MS_CONV_X) {
    c->tasks = div_up(g->c, CHANNELS);
    c->shared_bytes = (size_t)(g->o * p->pitch) * 4;
    c->room_bytes = (size_t)(CHANNELS * taps * (p->pitch + g->o)) * 4;
  } else {
    const int64_t blocks = div_up(g->o, ROWS), panels = div_up(p->k, PANEL);
    p->slices = min_i64(div_up(LEAST_TASKS, blocks), panels);
    c->tasks = blocks * p->slices;
    conv_reserve(&c->shared_bytes, (size_t)(round_up(p->k, L) * pixels) * 4);
    p->turned = conv_reserve(&c->shared_bytes, p->y_channel == 1 ? 0 : (size_t)(pixels * g->o) * 4);
    c->room_bytes = (size_t)(TILE_ROWS * PANEL) * 4;
  }
  return true;
}

/* ---- packing ---------------------------------------------------------------------------------------------------- */

/* Columns of the panel that begins at `first` of n. */
static int64_t panel_width(int64_t n, int64_t first) { return n - first > L ? PANEL : L; }

/* One panel of pixels, rows (channel, tap) of channels c0 .. c1-1. */
static void unfold_pixels(const few_plan *p, const float *x, int64_t first, int64_t c0, int64_t c1, float *to) {
  const int64_t width = panel_width(p->pixels, first), n = min_i64(width, p->pixels - first), step = p->taps * width;
  for (int64_t tap = 0; tap < p->taps; tap++) {
    const int64_t *at = p->at + tap * p->pixels + first;
    for (int64_t j = 0; j < width; j++) {
      float *r = to + (c0 * p->taps + tap) * width + j;
      if (j >= n || at[j] < 0)
        for (int64_t c = c0; c < c1; c++, r += step) *r = 0;
      else
        for (int64_t c = c0; c < c1; c++, r += step) *r = x[at[j] + c * p->x_channel];
    }
  }
}

static bool begin_y(const conv_plan *c, const conv_operands *t) {
  const few_plan *p = c->own;
  const int64_t panels = div_up(p->pixels, PANEL), blocks = div_up(c->g.c, L);
  float *to = t->shared;
  const float *x = t->x;
  MS_PARALLEL(ms_team(2 * p->k * p->pitch), i, panels * blocks, {
    const int64_t first = i / blocks * PANEL, c0 = i % blocks * L;
    unfold_pixels(p, x, first, c0, min_i64(c0 + L, c->g.c), to + first * p->k);
  });
  return true;
}

/* Panels of pixels, rows o. */
static bool begin_x(const conv_plan *c, const conv_operands *t) {
  const few_plan *p = c->own;
  const int64_t o = c->g.o;
  const float *y = t->y;
  float *to = t->shared;
  MS_PARALLEL(ms_team(2 * o * p->pitch), i, div_up(p->pixels, PANEL), {
    const int64_t first = i * PANEL, width = panel_width(p->pixels, first), n = min_i64(width, p->pixels - first);
    float *panel = to + first * o;
    for (int64_t j = 0; j < width; j++)
      for (int64_t k = 0; k < o; k++) panel[k * width + j] = j < n ? y[y_at(p)[first + j] + k * p->y_channel] : 0;
  });
  return true;
}

/* Panels of K, rows of pixels; and y as pixels x o. */
static bool begin_w(const conv_plan *c, const conv_operands *t) {
  const few_plan *p = c->own;
  const int64_t o = c->g.o;
  const float *x = t->x, *y = t->y;
  float *to = t->shared, *turned = (float *)((char *)t->shared + p->turned);
  MS_PARALLEL(ms_team(2 * p->k * p->pixels), i, div_up(p->k, PANEL), {
    const int64_t first = i * PANEL, width = panel_width(p->k, first);
    for (int64_t e = first; e < first + width; e++) {
      const int64_t channel = e / p->taps * p->x_channel, *at = p->at + e % p->taps * p->pixels;
      float *r = to + first * p->pixels + e - first;
      for (int64_t j = 0; j < p->pixels; j++, r += width) *r = e < p->k && at[j] >= 0 ? x[at[j] + channel] : 0;
    }
  });
  if (p->y_channel == 1) return true;
  MS_PARALLEL(ms_team(2 * o * p->pixels), j, p->pixels, {
    for (int64_t k = 0; k < o; k++) turned[j * o + k] = y[y_at(p)[j] + k * p->y_channel];
  });
  return true;
}

/* ---- tasks ------------------------------------------------------------------------------------------------------ */

/* sums (rows x pixels, pitch apart) = a (rows x depth) * panels of pixels. along: a's rows are adjacent, its terms a_step apart;
 * otherwise the other way round. */
static void multiply(const few_plan *p, bool along, int64_t rows, int64_t depth, const float *a, int64_t a_step,
                     const float *panels, float *sums) {
  for (int64_t k = 0; k < depth; k += DEPTH)
    for (int64_t first = 0; first < p->pixels; first += PANEL) {
      const int64_t width = panel_width(p->pixels, first), len = min_i64(DEPTH, depth - k);
      for (int64_t r = 0; r < rows; r += TILE_ROWS) {
        const int64_t n = min_i64(TILE_ROWS, rows - r);
        float *to = sums + r * p->pitch + first;
        MS_NAME(ms_tile_f32)
        [along][n][width / L](1, len, a + (along ? r + k * a_step : r * a_step + k), 0, a_step, panels + first * depth + k * width,
                              0, width, to, p->pitch, k ? to : NULL, k ? p->pitch : 0, NULL);
      }
    }
}

static bool task_y(const conv_plan *c, const conv_operands *t, int64_t i, int thread, void *room) {
  const few_plan *p = c->own;
  const int64_t o0 = i * ROWS, rows = min_i64(ROWS, c->g.o - o0);
  const float *bias = t->bias, *sums = room;
  float *y = t->y;
  multiply(p, false, rows, p->k, (const float *)t->w + o0 * p->k, p->k, t->shared, room);
  for (int64_t j = 0; j < p->pixels; j++)
    for (int64_t r = 0; r < rows; r++) y[y_at(p)[j] + (o0 + r) * p->y_channel] = sums[r * p->pitch + j] + (bias ? bias[o0 + r] : 0);
  return (void)thread, true;
}

/* The weights of the task's channels are copied first: in w they are strewn over all of its rows. */
static bool task_x(const conv_plan *c, const conv_operands *t, int64_t i, int thread, void *room) {
  const few_plan *p = c->own;
  const ms_conv *g = &c->g;
  const int64_t c0 = i * CHANNELS, channels = min_i64(CHANNELS, g->c - c0), rows = channels * p->taps, plane = g->h * g->w;
  float *sums = room, *weights = sums + CHANNELS * p->taps * p->pitch, *x = t->x;
  for (int64_t o = 0; o < g->o; o++) memcpy(weights + o * rows, (const float *)t->w + o * p->k + c0 * p->taps, (size_t)rows * 4);
  multiply(p, true, rows, g->o, weights, rows, t->shared, sums);
  const int64_t x_pixel = p->x_channel == 1 ? g->c : 1;
  for (int64_t image = 0; image < g->n; image++)
    for (int64_t j = 0; j < plane; j++)
      for (int64_t k = c0; k < c0 + channels; k++) x[image * g->c * plane + j * x_pixel + k * p->x_channel] = 0;
  for (int64_t tap = 0; tap < p->taps; tap++)
    for (int64_t j = 0; j < p->pixels; j++) {
      const int64_t at = p->at[tap * p->pixels + j];
      if (at < 0) continue;
      for (int64_t k = 0; k < channels; k++) x[at + (c0 + k) * p->x_channel] += sums[(k * p->taps + tap) * p->pitch + j];
    }
  return (void)thread, true;
}

static bool task_w(const conv_plan *c, const conv_operands *t, int64_t i, int thread, void *room) {
  const few_plan *p = c->own;
  const int64_t o0 = i / p->slices * ROWS, o1 = min_i64(o0 + ROWS, c->g.o), panels = div_up(p->k, PANEL);
  const int64_t from = panels * (i % p->slices) / p->slices, to = panels * (i % p->slices + 1) / p->slices;
  const float *y = p->y_channel == 1 ? t->y : (const float *)((char *)t->shared + p->turned), *shared = t->shared;
  float *w = t->w, *edge = room;
  for (int64_t panel = from; panel < to; panel++) {
    const int64_t first = panel * PANEL, width = panel_width(p->k, first), n = min_i64(width, p->k - first);
    for (int64_t o = o0; o < o1; o += TILE_ROWS) {
      const int64_t rows = min_i64(TILE_ROWS, o1 - o);
      float *here = w + o * p->k + first;
      MS_NAME(ms_tile_f32)
      [1][rows][width / L](1, p->pixels, y + o, 0, c->g.o, shared + first * p->pixels, 0, width, n == width ? here : edge,
                           n == width ? p->k : PANEL, NULL, 0, NULL);
      for (int64_t r = 0; r < (n == width ? 0 : rows); r++) memcpy(here + r * p->k, edge + r * PANEL, (size_t)n * 4);
    }
  }
  return (void)thread, true;
}

const conv_functions MS_NAME(conv_few_y) = {.plan = plan, .begin = begin_y, .task = task_y, .free = free};
const conv_functions MS_NAME(conv_few_x) = {.plan = plan, .begin = begin_x, .task = task_x, .free = free};
const conv_functions MS_NAME(conv_few_w) = {.plan = plan, .begin = begin_w, .task = task_w, .free = free};
