/* channels_last_plan.c -- channels_last.h: which convolutions it takes, how the work is cut, and the padded source. */
#include "../amx.h"
#include "channels_last.h"
#include <stdlib.h>

enum { LARGE_WEIGHTS = 128 << 10 }; /* bytes from which on weights are better read for many images at a time */

bool MS_NAME(conv_last_takes)(const ms_conv *g) {
  if (g->groups != 1 || g->dilation[0] != 1 || g->dilation[1] != 1) return false;
  switch (g->result) {
  case MS_CONV_Y: return g->o >= L / 2;
  case MS_CONV_X: return g->c >= L / 2 && g->stride[0] == g->stride[1] && g->stride[0] * g->stride[1] <= LAST_PHASES;
  default: return g->o >= L / 2 || g->kw * g->c >= L;
  }
}

/* Words hold two channels of the source. */
static int64_t source_channels(const ms_conv *g) { return g->result == MS_CONV_X ? g->o : g->c; }
bool MS_NAME(conv_last_takes_bf16)(const ms_conv *g) { return source_channels(g) % 2 == 0 && MS_NAME(ms_bf16_ready)(); }

bool MS_NAME(conv_last_takes_amx)(const ms_conv *g) {
  return (g->result == MS_CONV_W || source_channels(g) > 1) && g->kh * g->kw <= AMX_TAPS && MS_NAME(ms_amx_ready)();
}

/* ---- the plan --------------------------------------------------------------------------------------------------- */

static void set_phase(const last_plan *p, last_phase *j, const int64_t phase[2]) {
  const ms_conv *g = &p->g;
  const bool back = g->result == MS_CONV_X;
  const int64_t kernel[2] = {g->kh, g->kw}, result[2] = {p->out_h, p->out_w};
  j->next = back ? -g->stride[0] : 1;
  for (int d = 0; d < 2; d++) {
    j->at[d] = back ? phase[d] : 0;
    j->size[d] = max_i64(div_up(result[d] - j->at[d], p->step[d]), 0);
    j->first[d] = 0, j->taps[d] = kernel[d], j->shift[d] = -g->pad[d];
    if (!back) continue;
    const int64_t s = g->stride[d], least_tap = (phase[d] + g->pad[d]) % s;
    j->taps[d] = kernel[d] > least_tap ? (kernel[d] - 1 - least_tap) / s + 1 : 0;
    j->first[d] = least_tap + (j->taps[d] - 1) * s;
    j->shift[d] = (phase[d] + g->pad[d] - j->first[d]) / s;
  }
}

/* The padded source holds what all phases read. */
static void set_padding(last_plan *p) {
  for (int d = 0; d < 2; d++) {
    int64_t end = 0;
    for (int i = 0; i < p->phase_count; i++)
      if (!i || p->phase[i].shift[d] < p->first_shift[d]) p->first_shift[d] = p->phase[i].shift[d];
    for (int i = 0; i < p->phase_count; i++) {
      const last_phase *j = &p->phase[i];
      const int64_t behind = j->shift[d] - p->first_shift[d] + j->taps[d];
      if (d == 0) p->window_rows = max_i64(p->window_rows, behind);
      else end = max_i64(end, (j->size[d] - 1) * p->stride[d] + behind);
    }
    if (d == 1) p->padded_w = max_i64(end, 1);
  }
}

last_plan *MS_NAME(conv_last_new)(const ms_conv *g) {
  const bool back = g->result == MS_CONV_X, x_last = g->x_last || g->c == 1, y_last = g->y_last || g->o == 1;
  last_plan *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->g = *g;
  p->in_last = back ? y_last : x_last, p->out_last = back ? x_last : y_last;
  p->in_channels = back ? g->o : g->c, p->in_h = back ? g->oh : g->h, p->in_w = back ? g->ow : g->w;
  p->out_channels = back ? g->c : g->o, p->out_h = back ? g->h : g->oh, p->out_w = back ? g->w : g->ow;
  p->pixel_size = p->in_channels;
  for (int d = 0; d < 2; d++) p->stride[d] = back ? 1 : g->stride[d], p->step[d] = back ? g->stride[d] : 1;
  for (int64_t r = 0; r < p->step[0]; r++)
    for (int64_t q = 0; q < p->step[1]; q++) set_phase(p, &p->phase[p->phase_count++], (int64_t[]){r, q});
  set_padding(p);
  return p;
}

void MS_NAME(conv_last_set_bands)(last_plan *p, int64_t rows) {
  p->bands = div_up(p->phase[0].size[0], rows);
  const int64_t band_rows = div_up(p->phase[0].size[0], p->bands);
  p->source_floats = div_up((((band_rows - 1) * p->stride[0] + p->window_rows) * p->padded_w) * p->pixel_size + 2 * L, 16) * 16;
}

last_plan *MS_NAME(conv_last_plan_images)(conv_plan *c, bool bf16, bool amx, int64_t pixel_size) {
  const ms_conv *g = &c->g;
  last_plan *p = MS_NAME(conv_last_new)(g);
  if (!p) return NULL;
  p->bf16 = bf16, p->amx = amx, p->pixel_size = pixel_size;
  const int64_t rows = p->phase[0].size[0], row_bytes = p->stride[0] * p->padded_w * p->pixel_size * 4;
  int64_t band = max_i64(BAND_BYTES / row_bytes, 4);
  if (g->n < TASKS_WANTED) band = min_i64(band, max_i64(rows * g->n / TASKS_WANTED, 8));
  MS_NAME(conv_last_set_bands)(p, band);
  const bool large = weight_count(g) * 4 > LARGE_WEIGHTS && !amx;
  const int64_t at_once = div_up(g->n, large ? 2 : TASKS_WANTED);
  p->images = p->bands > 1 ? 1 : min_i64(max_i64(BAND_BYTES / (p->source_floats * 4), 1), at_once);
  p->image_groups = div_up(g->n, p->images);
  p->slices = min_i64(div_up(p->out_channels, 2 * L), div_up(TASKS_WANTED, p->image_groups * p->bands));
  const int64_t line = bf16 ? round_up(p->in_w * p->in_channels, 16) : 0;
  c->own = p;
  c->tasks = p->image_groups * p->slices * p->bands;
  c->room_bytes = (size_t)(p->images * p->source_floats + line + max_i64(AMX_EDGE, TILE_ROWS * 2 * L)) * 4;
  return p;
}

/* ---- sources, padded and channels last -------------------------------------------------------------------------- */

/* n pixels of c numbers in `unit` words each, zeros behind them. */
static void round_pixels(const float *from, int64_t n, int64_t c, float *to, int64_t unit) {
  if (c == 2 * unit) {
    round_row(from, n * c, to);
    return;
  }
  const int64_t words_of = (c + 1) / 2;
  for (int64_t i = 0; i < n; i++, from += c, to += unit) {
    round_row(from, c, to);
    memset(to + words_of, 0, (size_t)(unit - words_of) * 4);
  }
}

void MS_NAME(conv_last_fill)(const last_plan *p, const float *image, int64_t row, int64_t n, float *dest, float *line) {
  const int64_t c = p->in_channels, left = min_i64(max_i64(-p->first_shift[1], 0), p->padded_w),
                skip = max_i64(p->first_shift[1], 0);
  const int64_t width = max_i64(min_i64(p->in_w - skip, p->padded_w - left), 0), right = p->padded_w - left - width;
  for (int64_t i = row; i < row + n; i++, dest += p->padded_w * p->pixel_size) {
    float *to = dest + left * p->pixel_size;
    if (i < 0 || i >= p->in_h) {
      memset(dest, 0, (size_t)(p->padded_w * p->pixel_size) * 4);
      continue;
    }
    memset(dest, 0, (size_t)(left * p->pixel_size) * 4);
    const float *from = image + (i * p->in_w + skip) * c;
    if (!p->in_last) {
      float *turned = p->bf16 ? line : to;
      turn_f32(image + i * p->in_w + skip, p->in_h * p->in_w, c, width, turned);
      from = turned;
    } else if (!p->bf16) memcpy(to, from, (size_t)(width * c) * 4);
    if (p->bf16) round_pixels(from, width, c, to, p->pixel_size);
    memset(to + width * p->pixel_size, 0, (size_t)(right * p->pixel_size) * 4);
  }
}

/* ---- tasks of y and x ------------------------------------------------------------------------------------------- */

last_task MS_NAME(conv_last_begin_task)(const last_plan *p, int64_t task, const float *source, float *room, float **edge) {
  const int64_t slice = task % p->slices, band = task / p->slices % p->bands, group = task / p->slices / p->bands;
  const int64_t rows = p->phase[0].size[0], panels = div_up(p->out_channels, 2 * L);
  last_task k = {.i0 = group * p->images, .t0 = rows * band / p->bands, .t1 = rows * (band + 1) / p->bands};
  k.i1 = min_i64(k.i0 + p->images, p->g.n);
  k.panel0 = panels * slice / p->slices, k.panel1 = panels * (slice + 1) / p->slices;
  k.top = k.t0 * p->stride[0] + p->first_shift[0], k.rows = (k.t1 - 1 - k.t0) * p->stride[0] + p->window_rows;
  *edge = room + p->images * p->source_floats;
  for (int64_t i = k.i0; i < k.i1; i++) MS_NAME(conv_last_fill)
  (p, source + i * p->in_channels * p->in_h * p->in_w, k.top, k.rows, room + (i - k.i0) * p->source_floats,
   *edge + max_i64(AMX_EDGE, TILE_ROWS * 2 * L));
  return k;
}

int64_t MS_NAME(conv_last_made)(const conv_plan *c, int64_t task, int64_t *first) {
  const last_plan *p = c->own;
  if (p->slices > 1 || (p->bands > 1 && !p->out_last)) return 0;
  const int64_t band = task % p->bands, group = task / p->bands, rows = p->phase[0].size[0], row = p->out_w * p->out_channels;
  const int64_t i0 = group * p->images, images = min_i64(p->images, p->g.n - i0);
  const int64_t t0 = rows * band / p->bands * p->step[0], t1 = min_i64(rows * (band + 1) / p->bands * p->step[0], p->out_h);
  *first = (i0 * p->out_h + t0) * row;
  return p->bands > 1 ? (t1 - t0) * row : images * p->out_h * row;
}
