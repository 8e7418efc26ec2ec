/* channels_last.c -- the results y and x of channels_last.h, in f32 and in bf16. */
#include "channels_last.h"
#include <stdlib.h>
#include <string.h>

/* ---- weights: [panel][kernel row][kernel column][channel][lane] ----------------------------------------------- */

/* For y: rows e0 .. e0 + L - 1 (or up to `all`) of a panel whose first output channel is at w. */
static void pack_rows(const ms_conv *g, const float *w, int64_t all, int64_t e0, int64_t lanes, int64_t width, float *to) {
  for (int64_t v = 0; v < width; v += L) {
    vec_f32 row[L];
    if (v + L <= lanes && e0 + L <= all) {
#pragma GCC unroll 16
      for (int i = 0; i < L; i++) row[i] = *(const vec_f32 *)(w + (v + i) * all + e0);
      transpose_rows_f32(row);
#pragma GCC unroll 16
      for (int i = 0; i < L; i++) *(vec_f32 *)(to + packed_row(g, e0 + i) * width + v) = row[i];
    } else
      for (int64_t e = e0; e < min_i64(e0 + L, all); e++)
        for (int64_t l = v; l < v + L; l++) to[packed_row(g, e) * width + l] = l < lanes ? w[l * all + e] : 0;
  }
}

static void pack_weights(const last_plan *p, const float *w, float *shared) {
  const ms_conv *g = &p->g;
  const int64_t taps = g->kh * g->kw, panels = div_up(p->out_channels, 2 * L), all = g->c * taps, blocks = div_up(all, L);
  if (g->result == MS_CONV_Y) {
    MS_PARALLEL(ms_team(g->o * all), k, panels * blocks, {
      const int64_t first = k / blocks * 2 * L, width = g->o - first > L ? 2 * L : L;
      pack_rows(g, w + first * all, all, k % blocks * L, min_i64(g->o - first, width), width, shared + first * all);
    });
    return;
  }
  for (const last_phase *j = p->phase; j < p->phase + p->phase_count; j++) {
    float *to = shared + j->weights;
    const int64_t mine = j->taps[0] * j->taps[1];
    MS_PARALLEL(ms_team(PACK_WORK * g->c * g->o * mine), k, panels * g->o, {
      const int64_t panel = k / g->o, o = k % g->o, first = panel * 2 * L, left = g->c - first;
      const int64_t width = left > L ? 2 * L : L, lanes = min_i64(left, width);
      float *at = to + first * g->o * mine + o * width;
      for (int64_t r = 0; r < j->taps[0]; r++)
        for (int64_t s = 0; s < j->taps[1]; s++, at += g->o * width) {
          const float *v = w + o * all + first * taps + (j->first[0] + r * j->next) * g->kw + j->first[1] + s * j->next;
          for (int64_t l = 0; l < lanes; l++) at[l] = v[l * taps];
          for (int64_t l = lanes; l < width; l++) at[l] = 0;
        }
    });
  }
}

/* bf16: words of two channels, panel by panel. */
static void pack_words(const last_plan *p, float *shared) {
  const int64_t panels = div_up(p->out_channels, 2 * L);
  for (const last_phase *j = p->phase; j < p->phase + p->phase_count; j++) {
    const int64_t rows = p->in_channels * j->taps[0] * j->taps[1];
    MS_PARALLEL(ms_team(p->out_channels * rows), k, panels, {
      const int64_t first = k * 2 * L, width = p->out_channels - first > L ? 2 * L : L;
      words_panel(shared + j->weights + first * rows, width, 1, width, width, rows, shared + j->words + first * rows / 2);
    });
  }
}

/* ---- results x and y ------------------------------------------------------------------------------------------ */

/* The tile of `rows` pixels and `cols` channels at `edge` to where it belongs. */
static void store_edge(const last_plan *p, const float *edge, int64_t rows, int64_t cols, float *to, int64_t step) {
  const int64_t by_channel = p->out_last ? 1 : p->out_h * p->out_w, by_pixel = step * (p->out_last ? p->out_channels : 1);
  if (p->out_last)
    for (int64_t r = 0; r < rows; r++)
      for (int64_t i = 0; i < cols; i++) to[r * by_pixel + i] = edge[r * 2 * L + i];
  else
    for (int64_t i = 0; i < cols; i++)
      for (int64_t r = 0; r < rows; r++) to[i * by_channel + r * by_pixel] = edge[r * 2 * L + i];
}

/* Rows t0 .. t1-1 of phase j's results in channels first .. first + 2 L - 1. source: padded, from row t0 of the results on. */
static void add_runs(const last_plan *p, const last_phase *j, const float *source, int64_t t0, int64_t t1, int64_t first,
                     const float *weights, const float *bias, float *image, float *edge, prefetch *next) {
  const int64_t left = p->out_channels - first, cols = min_i64(left, 2 * L), vectors = cols > L ? 2 : 1, n = j->size[1];
  const int64_t run = p->padded_w * p->pixel_size, len = j->taps[1] * p->pixel_size, width = vectors * L,
                by_pixel = p->out_last ? p->out_channels : 1;
  const bool whole = cols == width && p->out_last;
  const int64_t tiles = div_up(n, TILE_ROWS);
  const ms_tile_f32(*tiles_of)[TILE_VECTORS + 1] = p->bf16 ? MS_NAME(ms_tile_bf16) : MS_NAME(ms_tile_f32)[0];
  const bool by_three = vectors == 1 && j->taps[1] == 3 && p->stride[1] == 1 && !p->bf16;
  float start[2 * L] = {0}; /* no masked loads of a bias that is not there: they cost hundreds of cycles */
  if (bias) memcpy(start, bias + first, (size_t)cols * 4);
  const float *s = source + ((j->shift[0] - p->first_shift[0]) * p->padded_w + j->shift[1] - p->first_shift[1]) * p->pixel_size;
  for (int64_t t = t0; t < t1; t++, s += p->stride[0] * run) {
    float *to =
        image + ((t * p->step[0] + j->at[0]) * p->out_w + j->at[1]) * by_pixel + first * (p->out_last ? 1 : p->out_h * p->out_w);
    for (int64_t k = 0; k < tiles; k++) {
      const int64_t u = n * k / tiles, rows = n * (k + 1) / tiles - u;
      float *here = to + u * p->step[1] * by_pixel;
      const ms_fetch fetch = next_fetch(next, j->taps[0] * (by_three ? p->pixel_size : len), weights);
      float *into = whole ? here : edge;
      const int64_t step = whole ? p->step[1] * p->out_channels : 2 * L;
      const float *from = s + u * p->stride[1] * p->pixel_size;
      if (by_three)
        MS_NAME(ms_tile_row3)[rows](j->taps[0], p->pixel_size, from, run, weights, len * width, into, step, start, &fetch);
      else
        tiles_of[rows][vectors](j->taps[0], len, from, run, p->stride[1] * p->pixel_size, weights, len * width, width, into, step,
                                start, 0, &fetch);
      if (!whole) store_edge(p, edge, rows, cols, here, p->step[1]);
    }
  }
}

/* Rows of the source behind those of the task, or the images behind its own: what the next task reads, unless that is another slice
 * of this one's. */
static prefetch behind_task(const last_plan *p, const last_task *k, const float *source) {
  const int64_t row = p->in_w * p->in_channels, image = p->in_h * row;
  const int64_t behind = p->bands > 1 ? min_i64(max_i64(k->top + k->rows, 0), p->in_h) * row : image;
  prefetch next = prefetch_of(source + (k->i1 - 1) * image + behind, p->bands > 1 ? k->rows * row : (k->i1 - k->i0) * image,
                              source + p->g.n * image);
  if (k->panel1 < div_up(p->out_channels, 2 * L)) next.at = next.end;
  return next;
}

static bool task(const conv_plan *c, const conv_operands *t, int64_t i, int thread, void *room) {
  const last_plan *p = c->own;
  const bool back = p->g.result == MS_CONV_X;
  const float *source = back ? t->y : t->x, *shared = t->shared, *padded = room;
  float *result = back ? t->x : t->y, *edge;
  const last_task k = MS_NAME(conv_last_begin_task)(p, i, source, room, &edge);
  prefetch next = behind_task(p, &k, source);
  for (const last_phase *j = p->phase; j < p->phase + p->phase_count; j++)
    for (int64_t panel = k.panel0; panel < k.panel1; panel++)
      for (int64_t image = k.i0; image < k.i1; image++)
        add_runs(p, j, padded + (image - k.i0) * p->source_floats, k.t0, min_i64(k.t1, j->size[0]), panel * 2 * L,
                 shared + (p->bf16 ? j->words : j->weights) + panel * 2 * L * p->pixel_size * j->taps[0] * j->taps[1], t->bias,
                 result + image * p->out_channels * p->out_h * p->out_w, edge, &next);
  return (void)thread, true;
}

/* ---- the ways --------------------------------------------------------------------------------------------------- */

static bool plan_images(conv_plan *c, bool bf16) {
  const int64_t in_channels = c->g.result == MS_CONV_X ? c->g.o : c->g.c;
  last_plan *p = MS_NAME(conv_last_plan_images)(c, bf16, false, bf16 ? in_channels / 2 : in_channels);
  if (!p) return false;
  for (last_phase *j = p->phase; j < p->phase + p->phase_count; j++) {
    const size_t floats = (size_t)(round_up(p->out_channels, L) * p->in_channels * j->taps[0] * j->taps[1]);
    j->weights = c->shared_bytes / 4, j->words = j->weights + floats;
    c->shared_bytes += (bf16 ? floats / 2 + floats : floats) * 4;
  }
  return true;
}

static bool plan(conv_plan *c) { return plan_images(c, false); }
static bool plan_bf16(conv_plan *c) { return plan_images(c, true); }

static bool begin(const conv_plan *c, const conv_operands *t) { return pack_weights(c->own, t->w, t->shared), true; }
static bool begin_bf16(const conv_plan *c, const conv_operands *t) {
  pack_weights(c->own, t->w, t->shared);
  pack_words(c->own, t->shared);
  return true;
}

const conv_functions MS_NAME(conv_last) = {
    .plan = plan, .begin = begin, .task = task, .made = MS_NAME(conv_last_made), .free = free};
const conv_functions MS_NAME(conv_last_bf16) = {
    .plan = plan_bf16, .begin = begin_bf16, .task = task, .made = MS_NAME(conv_last_made), .free = free};
