/* conv_last_w.c -- gradients of w, for conv_last.h: a task adds up its share of the rows of the sums over its group of images; at
 * the end the groups' sums are added up in order and brought into the layout of w. */
#include "conv_last_plan.h"
#include <string.h>

/* ---- unfolded ------------------------------------------------------------------------------------------------- */

/* A row for each pixel of image i: what the kernel meets there, zeros where that is outside. */
static void unfold(const ms_last *p, int64_t i, const float *x, float *to) {
  const ms_conv *g = &p->g;
  const int64_t c = g->c, n = g->kw;
  for (int64_t t = 0; t < g->oh; t++)
    for (int64_t u = 0; u < g->ow; u++, to += p->pitch) {
      const int64_t at = u * g->stride[1] - g->pad[1], left = min_i64(max_i64(-at, 0), n),
                    right = min_i64(max_i64(at + n - g->w, 0), n - left);
      for (int64_t a = 0; a < g->kh; a++) {
        const int64_t line = t * g->stride[0] - g->pad[0] + a;
        float *row = to + a * n * c;
        const bool outside = line < 0 || line >= g->h;
        memset(row, 0, (size_t)((outside ? n : left) * c) * 4);
        if (outside) continue;
        memcpy(row + left * c, x + ((i * g->h + line) * g->w + at + left) * c, (size_t)((n - left - right) * c) * 4);
        memset(row + (n - right) * c, 0, (size_t)(right * c) * 4);
      }
    }
}

/* Rows of all the sums at once: kernel row, column, channel. */
static void unfolded_task(const ms_last *p, int64_t task, const float *y, float *shared) {
  const ms_conv *g = &p->g;
  const int64_t from = p->depth * task / p->slices, to = p->depth * (task + 1) / p->slices, tiles = div_up(to - from, TILE_ROWS);
  for (int64_t first = 0; first < g->o; first += 2 * L)
    for (int64_t k = 0; k < tiles; k++) {
      const int64_t at = from + (to - from) * k / tiles, rows = from + (to - from) * (k + 1) / tiles - at;
      MS_NAME(ms_tile_f32)
      [1][rows][p->padded - first > L ? 2 : 1](1, g->n * g->oh * g->ow, shared + p->unfolded + at, 0, p->pitch, y + first, 0, g->o,
                                               shared + at * p->padded + first, p->padded, NULL, 0, NULL);
    }
}

void MS_NAME(ms_last_w_begin)(const ms_last *p, const float *x, float *shared) {
  const ms_conv *g = &p->g;
  const int64_t pixels = g->oh * g->ow;
  if (p->unfold)
    MS_PARALLEL(ms_team(g->n * pixels * p->depth), i, g->n, unfold(p, i, x, shared + p->unfolded + i * pixels * p->pitch););
}

/* ---- from padded sources -------------------------------------------------------------------------------------- */

/* Adds one kernel row's sums over the pixels of a band to `sums`, for columns first .. first + 2 L - 1. */
static void weight_sums(const ms_last *p, const float *x, const float *y, int64_t rows, int64_t first, float *sums, soon *next) {
  const ms_conv *g = &p->g;
  const int64_t vectors = p->padded - first > L ? 2 : 1, tiles = div_up(p->rows, TILE_ROWS);
  if (p->by_three) {
    for (int64_t i = 0; i < g->c; i += SUMS3_ROWS) {
      const ms_fetch fetch = ask(next[0].at < next[0].end ? next : next + 1, rows * (g->ow - 2), x);
      MS_NAME(ms_tile_sums3)
      [min_i64(SUMS3_ROWS, g->c - i)](rows, g->ow, g->c, x + i, p->wide * g->c, y, g->ow * g->o, sums + i * L, &fetch);
    }
    return;
  }
  const int64_t x_step = g->stride[1] * g->c, x_run = g->stride[0] * p->wide * g->c, y_run = g->ow * g->o;
  for (int64_t k = 0; k < tiles; k++) {
    const int64_t i = p->rows * k / tiles, n = p->rows * (k + 1) / tiles - i;
    float *to = sums + i * p->padded + first;
    const ms_fetch fetch = ask(next[0].at < next[0].end ? next : next + 1, rows * g->ow, x);
    if (p->swap) MS_NAME(ms_tile_f32)
    [1][n][vectors](rows, g->ow, y + i, y_run, g->o, x + first, x_run, x_step, to, p->padded, to, p->padded, &fetch);
    else MS_NAME(ms_tile_f32)[1][n][vectors](rows, g->ow, x + i, x_run, x_step, y + first, y_run, g->o, to, p->padded, to,
                                             p->padded, &fetch);
  }
}

static void weights_task(const ms_last *p, int64_t task, const float *x, const float *y, float *shared, float *lane) {
  const ms_conv *g = &p->g;
  const int64_t slice = task % p->slices, group = task / p->slices, panels = div_up(p->cols, 2 * L), all = g->kh * panels;
  const int64_t from = all * slice / p->slices, to = all * (slice + 1) / p->slices, plane = p->rows * p->padded;
  float *sums = shared + group * g->kh * plane, *other = lane + p->source_floats;
  for (int64_t k = from; k < to; k++)
    for (int64_t r = 0; r < p->rows; r++) {
      const int64_t first = k % panels * 2 * L;
      memset(sums + k / panels * plane + r * p->padded + first, 0, (size_t)min_i64(2 * L, p->padded - first) * 4);
    }
  for (int64_t i = group * p->images; i < min_i64((group + 1) * p->images, g->n); i++)
    for (int64_t band = 0; band < p->bands; band++) {
      const int64_t t0 = g->oh * band / p->bands, t1 = g->oh * (band + 1) / p->bands;
      const float *here = y + i * g->o * g->oh * g->ow;
      MS_NAME(ms_last_fill)
      (p, x + i * g->c * g->h * g->w, t0 * g->stride[0] - g->pad[0], (t1 - 1 - t0) * g->stride[0] + g->kh, lane, NULL);
      if (p->to_last) here += t0 * g->ow * g->o;
      else turn_f32(here + t0 * g->ow, g->oh * g->ow, g->o, (t1 - t0) * g->ow, other), here = other;
      if (p->to_last && p->other_floats) here = memcpy(other, here, (size_t)((t1 - t0) * g->ow * g->o) * 4);
      const int64_t x_image = g->c * g->h * g->w, y_image = g->o * g->oh * g->ow, line = min_i64(t1 * g->stride[0], g->h);
      soon next[2] = {soon_of(x + i * x_image + line * g->w * g->c, (t1 - t0) * g->stride[0] * g->w * g->c, x + g->n * x_image),
                      soon_of(y + i * y_image + t1 * g->ow * g->o, (t1 - t0) * g->ow * g->o, y + g->n * y_image)};
      for (int64_t k = from; k < to; k++)
        weight_sums(p, lane + k / panels * p->wide * g->c, here, t1 - t0, k % panels * 2 * L, sums + k / panels * plane, next);
    }
}

void MS_NAME(ms_last_w_task)(const ms_last *p, int64_t task, const float *x, const float *y, float *shared, float *lane) {
  if (p->unfold) unfolded_task(p, task, y, shared);
  else weights_task(p, task, x, y, shared, lane);
}

/* ---- the result ----------------------------------------------------------------------------------------------- */

/* Gradients of weights e0 .. e0 + L - 1 of output channels o .. o + L - 1: the parts' sums added up in order, and turned. */
static void add_sums(const ms_last *p, const float *sums, int64_t e0, int64_t o, float *w) {
  const ms_conv *g = &p->g;
  const int64_t all = g->c * g->kh * g->kw, part = g->kh * p->rows * p->padded, n = min_i64(L, all - e0),
                lanes = min_i64(L, g->o - o);
  vec_f32 row[L] = {0};
  for (int64_t i = 0; i < n; i++) {
    const float *s = sums + row_of(g, e0 + i) * p->padded + o;
    row[i] = *(const vec_f32 *)s;
    for (int64_t k = 1; k < p->groups; k++) row[i] += *(const vec_f32 *)(s + k * part);
  }
  transpose_rows_f32(row);
  for (int64_t l = 0; l < lanes; l++) memcpy(w + (o + l) * all + e0, &row[l], (size_t)n * 4);
}

void MS_NAME(ms_last_w_end)(const ms_last *p, float *w, const float *sums) {
  const ms_conv *g = &p->g;
  const int64_t all = g->c * g->kh * g->kw, part = g->kh * p->rows * p->padded, blocks = div_up(all, L);
  if (!p->swap) {
    MS_PARALLEL(ms_team(p->groups * g->o * all), k, blocks * div_up(g->o, L),
                add_sums(p, sums, k % blocks * L, k / blocks * L, w););
    return;
  }
  MS_PARALLEL(ms_team(PACK_WORK * p->groups * g->o * all), k, g->o * all, {
    const int64_t o = k / all, row = row_of(g, k % all), a = row / p->cols;
    const float *s = sums + (a * p->rows + o) * p->padded + row % p->cols;
    float sum = *s;
    for (int64_t i = 1; i < p->groups; i++) sum += s[i * part];
    w[k] = sum;
  });
}
