/* planes_weights.c -- the gradient of w for planes.h. A tile keeps sums for a few channels of y and a few terms, a vector of
 * partial sums each, over all pixels; the lanes are added up at the end. */
#include "planes_source.h"
#include "planes_tile_w.h"
#include <string.h>

typedef struct w_tile { /* channels o .. o + channels - 1, terms k .. k + terms - 1 */
  int64_t o, channels, k, terms, number;
  float *sums;
} w_tile;

/* The next tile; its sums stand behind those of the one before. The first one: from {.sums = ...}. false: there are no more. */
static bool next_tile(const planes_plan *d, w_tile *t) {
  const int64_t all = d->phase[0].terms, tiles = div_up(all, MAX_TERMS);
  t->sums += t->channels * t->terms * L;
  if (t->number == tiles) t->o += t->channels, t->number = 0;
  if (t->o == d->out_channels) return false;
  t->channels = tile_channels(d->out_channels - t->o, MAX_CHANNELS);
  t->k = all * t->number / tiles, t->terms = all * (t->number + 1) / tiles - t->k;
  t->number++;
  return true;
}

/* One element: the sum over the pixels that tap (a, b) touches. */
static float exact_element(const planes_plan *d, int64_t images, const float *x, const float *y, int64_t o, int64_t c, int64_t a,
                           int64_t b) {
  const ms_conv *g = &d->g;
  double sum = 0;
  for (int64_t i = 0; i < images; i++)
    for (int64_t r = 0; r < g->oh; r++) {
      const int64_t at = r * g->stride[0] + a * g->dilation[0] - g->pad[0];
      if (at < 0 || at >= g->h) continue;
      const float *row = x + ((i * g->c + c) * g->h + at) * g->w, *slope = y + ((i * g->o + o) * g->oh + r) * g->ow;
      for (int64_t q = 0; q < g->ow; q++) {
        const int64_t p = q * g->stride[1] + b * g->dilation[1] - g->pad[1];
        if (p >= 0 && p < g->w) sum += (double)slope[q] * (double)row[p];
      }
    }
  return (float)sum;
}

/* The tiles also multiply what is padding, or between two rows, by 0, and 0 times an infinity or NaN is NaN. So where they come to
 * no number, this is the result. */
static void exact_weights(const planes_plan *d, int64_t images, const float *x, const float *y, float *w) {
  const ms_conv *g = &d->g;
  for (int64_t o = 0; o < g->o; o++)
    for (int64_t c = 0; c < g->c; c++)
      for (int64_t a = 0; a < g->kh; a++)
        for (int64_t b = 0; b < g->kw; b++) *w++ = exact_element(d, images, x, y, o, c, a, b);
}

/* A band of `rows` rows from y0 on of the gradient of y at `y`, in s->images images, as strips of whole vectors: with zeros between
 * its rows as the planes have them (pitched), or where it lies, its last pixels copied to `tails` with zeros behind them. */
static void set_slopes(const planes_plan *d, strip *s, const float *y, int64_t y0, int64_t rows, float *tails) {
  const int64_t plane = d->out_h * d->out_w, pixels = rows * d->pitch, rest = pixels % L, planes = s->images * d->out_channels;
  s->g = y + y0 * d->cols, s->g_plane = plane, s->g_step = d->out_channels * plane;
  s->vectors = pixels / L;
  if (d->pitched) {
    s->vectors = div_up(pixels, L);
    for (int64_t m = 0; m < planes; m++)
      fill_pitched(tails + m * d->out_plane, s->g + m * plane, rows, d->cols, 0, rows, d->pitch, L);
    s->g = tails, s->g_plane = d->out_plane, s->g_step = d->out_channels * d->out_plane;
  } else if (rest) {
    s->tail = tails, s->tail_step = d->out_channels * L;
    for (int64_t l = 0; l < L; l++) s->last[l] = l < rest ? -1 : 0;
    for (int64_t m = 0; m < planes; m++)
      for (int64_t l = 0; l < L; l++) tails[m * L + l] = l < rest ? s->g[m * plane + s->vectors * L + l] : 0;
  }
}

/* Lanes added up, and put where they belong. */
static void add_lanes(const planes_plan *d, float *sums, float *w) {
  for (w_tile t = {.sums = sums}; next_tile(d, &t);)
    for (int64_t i = 0; i < t.channels; i++)
      for (int64_t k = 0; k < t.terms; k++) {
        const float *v = t.sums + (i * t.terms + k) * L;
        float sum = 0;
        for (int l = 0; l < L; l++) sum += v[l];
        w[(t.o + i) * d->phase[0].terms + t.k + k] = sum;
      }
}

void MS_NAME(conv_planes_sum_w)(const planes_plan *d, int64_t images, const float *x, const float *y, float *w, const char *shared,
                                char *room) {
  const int32_t *offset = (const int32_t *)(shared + d->phase[0].offsets);
  const int64_t x_image = d->in_channels * d->in_h * d->in_w, y_image = d->out_channels * d->out_h * d->out_w;
  const int64_t image_step = (int64_t)(d->planes_bytes / 4), count = d->out_channels * d->phase[0].terms;
  float *planes = (float *)room, *tails = (float *)(room + d->tails), *sums = (float *)(room + d->sums);
  memset(sums, 0, (size_t)count * BYTES);
  for (int64_t i = 0; i < images; i += d->images_at_once)
    for (int64_t y0 = 0; y0 < d->rows; y0 += d->band) {
      const int64_t rows = min_i64(d->band, d->rows - y0);
      strip s = {.images = min_i64(images - i, d->images_at_once), .image_step = image_step};
      for (int64_t m = 0; m < s.images; m++) fill_planes(d, x + (i + m) * x_image, y0, rows, planes + m * image_step);
      set_slopes(d, &s, y + i * y_image, y0, rows, tails);
      for (w_tile t = {.sums = sums}; next_tile(d, &t);) tiles_w[t.channels][t.terms](&s, offset + t.k, planes, t.o, t.sums);
    }
  add_lanes(d, sums, w);
  float not_a_number = 0; /* 0, or NaN */
  for (int64_t i = 0; i < count; i++) not_a_number += w[i] - w[i];
  if (not_a_number != 0) exact_weights(d, images, x, y, w);
}
