/* conv_last.c -- conv_last.h: the plan, and the results x and y (w: conv_last_w.c).
 *
 * For x and y a result pixel is a sum over kernel rows r of runs of (kernel column, channel), which lie side by side in the padded
 * source: a product without unfolding. The adjoint in x with stride s is s x s such sums, one per phase of x, each with its share
 * of the taps (`job`). For w the roles change: the pixels are summed over, and the runs (column, channel) are rows of the result,
 * or its columns where there are few channels in y.
 *
 * Images too large for BAND_BYTES are cut into bands of rows; small ones are taken several at a time. For w, those of a few pixels,
 * whose sums would be too short, are unfolded after all, all of them at once. What is a task depends on sizes only. */
#include "amx.h"
#include "conv_last_plan.h"
#include <stdlib.h>
#include <string.h>

/* ---- the plan ------------------------------------------------------------------------------------------------- */

static void set_jobs(ms_last *p) {
  const ms_conv *g = &p->g;
  const bool back = g->result == MS_CONV_X;
  const int64_t kernel[2] = {g->kh, g->kw}, result[2] = {p->rh, p->rw};
  for (int64_t f = 0; f < (back ? g->stride[0] * g->stride[1] : 1); f++) {
    const int64_t phase[2] = {f / g->stride[1], f % g->stride[1]};
    job *j = &p->job[p->jobs++];
    j->next = back ? -g->stride[0] : 1;
    for (int d = 0; d < 2; d++) {
      j->at[d] = back ? phase[d] : 0;
      j->size[d] = max_i64(div_up(result[d] - j->at[d], p->step[d]), 0);
      j->first[d] = 0, j->taps[d] = kernel[d], j->low[d] = -g->pad[d];
      if (!back) continue;
      const int64_t s = g->stride[d], least_tap = (phase[d] + g->pad[d]) % s;
      j->taps[d] = kernel[d] > least_tap ? (kernel[d] - 1 - least_tap) / s + 1 : 0;
      j->first[d] = least_tap + (j->taps[d] - 1) * s;
      j->low[d] = (phase[d] + g->pad[d] - j->first[d]) / s;
    }
  }
  for (int d = 0; d < 2; d++) {
    int64_t end = 0;
    for (int i = 0; i < p->jobs; i++)
      if (!i || p->job[i].low[d] < p->low[d]) p->low[d] = p->job[i].low[d];
    for (int i = 0; i < p->jobs; i++) {
      const job *j = &p->job[i];
      const int64_t behind = j->low[d] - p->low[d] + j->taps[d];
      if (d == 0) p->high = max_i64(p->high, behind);
      else end = max_i64(end, (j->size[d] - 1) * p->stride[d] + behind);
    }
    if (d == 1) p->wide = max_i64(end, 1);
  }
}

/* How the work is cut. rows: of results (all phases of a row together). */
static void set_cuts(ms_last *p) {
  const ms_conv *g = &p->g;
  const int64_t rows = p->job[0].size[0], row = p->stride[0] * p->wide * p->unit * 4;
  const int64_t other = g->result == MS_CONV_W ? g->ow * g->o * 4 : 0;
  const bool near = g->result == MS_CONV_W && g->kh * p->rows * p->padded * 4 <= NEAR_SUMS;
  int64_t band = near ? max_i64(NEAR_BYTES / (row + other), 2) : max_i64(BAND_BYTES / (row + other), 4);
  if (g->n < TASKS && g->result != MS_CONV_W) band = min_i64(band, max_i64(rows * g->n / TASKS, 8));
  p->bands = div_up(rows, band);
  const int64_t band_rows = div_up(rows, p->bands);
  p->source_floats = div_up((((band_rows - 1) * p->stride[0] + p->high) * p->wide) * p->unit + 2 * L, 16) * 16;
  if (g->result == MS_CONV_W && (!p->to_last || (!p->swap && g->o % L))) /* whole vectors of y are read */
    p->other_floats = div_up(band_rows * g->ow * g->o + 2 * L, 16) * 16;
  const int64_t weights = g->o * g->c * g->kh * g->kw * 4;
  if (g->result != MS_CONV_W) {
    const int64_t panels = div_up(p->to, 2 * L), at_once = weights > HEAVY && !p->amx ? div_up(g->n, 2) : div_up(g->n, TASKS);
    p->images = p->bands > 1 ? 1 : min_i64(max_i64(BAND_BYTES / (p->source_floats * 4), 1), at_once);
    p->groups = div_up(g->n, p->images);
    p->slices = min_i64(panels, div_up(TASKS, p->groups * p->bands));
  } else {
    const int64_t panels = div_up(p->cols, 2 * L);
    p->groups = min_i64(min_i64(max_i64(g->n * g->oh * g->ow / PART_PIXELS, 1), ms_tasks()), max_i64(SUMS_BYTES / weights, 1));
    p->images = div_up(g->n, p->groups);
    p->groups = div_up(g->n, p->images);
    p->slices = min_i64(g->kh * panels, div_up(TASKS, p->groups));
  }
}

/* For w: the unfolded source goes behind the sums in the shared area; tasks are blocks of rows of them. */
static void set_unfolded(ms_last *p) {
  const ms_conv *g = &p->g;
  const int64_t depth = g->kh * p->rows, pitch = div_up(depth, 16) * 16 + 16;
  if (!p->from_last || !p->to_last || g->oh * g->ow > FEW_PIXELS || p->swap || g->o % L) return;
  if (g->n * g->oh * g->ow * pitch * 4 > UNFOLDED_BYTES) return;
  p->unfold = true, p->depth = depth, p->pitch = pitch;
  p->groups = 1, p->images = g->n, p->slices = min_i64(div_up(depth, TILE_ROWS), TASKS);
}

ms_last *MS_NAME(ms_last_new)(const ms_conv *g) {
  const bool back = g->result == MS_CONV_X, weights = g->result == MS_CONV_W;
  if (g->groups != 1 || g->dilation[0] != 1 || g->dilation[1] != 1) return NULL;
  if (back && (g->stride[0] != g->stride[1] || g->stride[0] * g->stride[1] > PHASES)) return NULL;
  if (weights ? g->o < L / 2 && g->kw * g->c < L : (back ? g->c : g->o) < L / 2) return NULL;
  ms_last *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->g = *g;
  const bool x_last = g->x_last || g->c == 1, y_last = g->y_last || g->o == 1;
  p->from_last = back ? y_last : x_last, p->to_last = back ? x_last : y_last;
  p->from = back ? g->o : g->c, p->sh = back ? g->oh : g->h, p->sw = back ? g->ow : g->w;
  p->to = back ? g->c : g->o, p->rh = back ? g->h : g->oh, p->rw = back ? g->w : g->ow;
  for (int d = 0; d < 2; d++) p->stride[d] = back ? 1 : g->stride[d], p->step[d] = back ? g->stride[d] : 1;
  const bool rounds = ms_get_precision() == MS_PRECISION_BF16;
  if (weights && rounds && MS_NAME(ms_amx_ready)() && MS_NAME(ms_last_amx_w_plan)(p)) return p;
  p->amx = rounds && !weights && p->from > 1 && g->kh * g->kw <= AMX_TAPS && MS_NAME(ms_amx_ready)();
  p->bf16 = p->amx || (rounds && !weights && p->from % 2 == 0 && MS_NAME(ms_bf16_ready)());
  p->unit = p->amx ? MS_NAME(ms_last_amx_unit)(p->from) : p->bf16 ? p->from / 2 : p->from;
  set_jobs(p);
  p->swap = weights && g->o < L && (g->o < L / 2 || g->kw * g->c >= L);
  p->rows = p->swap ? g->o : g->kw * g->c, p->cols = p->swap ? g->kw * g->c : g->o;
  p->padded = div_up(p->cols, L) * L;
  p->by_three = weights && !p->swap && g->o == L && g->kw == 3 && g->stride[0] == 1 && g->stride[1] == 1 && g->ow > 1;
  set_cuts(p);
  if (weights) {
    set_unfolded(p);
    p->unfolded = (size_t)(p->groups * g->kh * p->rows * p->padded);
    p->shared_bytes = (p->unfolded + (size_t)(p->unfold ? g->n * g->oh * g->ow * p->pitch : 0)) * 4;
  } else if (p->amx) MS_NAME(ms_last_amx_plan)(p);
  else
    for (int i = 0; i < p->jobs; i++) {
      const size_t floats = (size_t)(div_up(p->to, L) * L * p->from * p->job[i].taps[0] * p->job[i].taps[1]);
      p->job[i].weights = p->shared_bytes / 4, p->job[i].words = p->job[i].weights + floats;
      p->shared_bytes += (p->bf16 ? floats / 2 + floats : floats) * 4;
    }
  const int64_t at_once = weights ? 1 : p->images, line = p->bf16 ? round_up(p->sw * p->from, 16) : 0;
  p->lane_bytes = (size_t)(at_once * p->source_floats + p->other_floats + line + max_i64(AMX_EDGE, TILE_ROWS * 2 * L)) * 4;
  return p;
}

void MS_NAME(ms_last_free)(ms_last *p) { free(p); }
int64_t MS_NAME(ms_last_tasks)(const ms_last *p) { return p->groups * p->slices * (p->g.result == MS_CONV_W ? 1 : p->bands); }
size_t MS_NAME(ms_last_shared_bytes)(const ms_last *p) { return p->shared_bytes; }
size_t MS_NAME(ms_last_lane_bytes)(const ms_last *p) { return p->lane_bytes; }

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
      for (int i = 0; i < L; i++) *(vec_f32 *)(to + row_of(g, e0 + i) * width + v) = row[i];
    } else
      for (int64_t e = e0; e < min_i64(e0 + L, all); e++)
        for (int64_t l = v; l < v + L; l++) to[row_of(g, e) * width + l] = l < lanes ? w[l * all + e] : 0;
  }
}

static void pack_weights(const ms_last *p, const float *w, void *shared) {
  const ms_conv *g = &p->g;
  const int64_t taps = g->kh * g->kw, panels = div_up(p->to, 2 * L), all = g->c * taps, blocks = div_up(all, L);
  if (g->result == MS_CONV_Y) {
    MS_PARALLEL(ms_team(g->o * all), k, panels * blocks, {
      const int64_t first = k / blocks * 2 * L, width = g->o - first > L ? 2 * L : L;
      pack_rows(g, w + first * all, all, k % blocks * L, min_i64(g->o - first, width), width, (float *)shared + first * all);
    });
    return;
  }
  for (const job *j = p->job; j < p->job + p->jobs; j++) {
    float *to = (float *)shared + j->weights;
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
static void pack_words(const ms_last *p, float *shared) {
  const int64_t panels = div_up(p->to, 2 * L);
  for (const job *j = p->job; j < p->job + p->jobs; j++) {
    const int64_t rows = p->from * j->taps[0] * j->taps[1];
    MS_PARALLEL(ms_team(p->to * rows), k, panels, {
      const int64_t first = k * 2 * L, width = p->to - first > L ? 2 * L : L;
      words_panel(shared + j->weights + first * rows, width, 1, width, width, rows, shared + j->words + first * rows / 2);
    });
  }
}

/* ---- sources, padded and channels last ------------------------------------------------------------------------ */

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

void MS_NAME(ms_last_fill)(const ms_last *p, const float *image, int64_t row, int64_t n, float *dest, float *line) {
  const int64_t c = p->from, left = min_i64(max_i64(-p->low[1], 0), p->wide), skip = max_i64(p->low[1], 0);
  const int64_t width = max_i64(min_i64(p->sw - skip, p->wide - left), 0), right = p->wide - left - width;
  for (int64_t i = row; i < row + n; i++, dest += p->wide * p->unit) {
    float *to = dest + left * p->unit;
    if (i < 0 || i >= p->sh) {
      memset(dest, 0, (size_t)(p->wide * p->unit) * 4);
      continue;
    }
    memset(dest, 0, (size_t)(left * p->unit) * 4);
    const float *from = image + (i * p->sw + skip) * c;
    if (!p->from_last) {
      float *turned = p->bf16 ? line : to;
      turn_f32(image + i * p->sw + skip, p->sh * p->sw, c, width, turned);
      from = turned;
    } else if (!p->bf16) memcpy(to, from, (size_t)(width * c) * 4);
    if (p->bf16) round_pixels(from, width, c, to, p->unit);
    memset(to + width * p->unit, 0, (size_t)(right * p->unit) * 4);
  }
}

/* ---- results x and y ------------------------------------------------------------------------------------------ */

/* The tile of `rows` pixels and `cols` channels at `edge` to where it belongs. */
static void store(const ms_last *p, const float *edge, int64_t rows, int64_t cols, float *to, int64_t step) {
  const int64_t by_channel = p->to_last ? 1 : p->rh * p->rw, by_pixel = step * (p->to_last ? p->to : 1);
  if (p->to_last)
    for (int64_t r = 0; r < rows; r++)
      for (int64_t i = 0; i < cols; i++) to[r * by_pixel + i] = edge[r * 2 * L + i];
  else
    for (int64_t i = 0; i < cols; i++)
      for (int64_t r = 0; r < rows; r++) to[i * by_channel + r * by_pixel] = edge[r * 2 * L + i];
}

/* Rows t0 .. t1-1 of job j's results in channels first .. first + cols - 1; source: padded, from row t0 of the results on. */
static void results(const ms_last *p, const job *j, const float *source, int64_t t0, int64_t t1, int64_t first,
                    const float *weights, const float *bias, float *image, float *edge, soon *next) {
  const int64_t left = p->to - first, cols = min_i64(left, 2 * L), vectors = cols > L ? 2 : 1, n = j->size[1];
  const int64_t run = p->wide * p->unit, len = j->taps[1] * p->unit, width = vectors * L, by_pixel = p->to_last ? p->to : 1;
  const bool whole = cols == width && p->to_last;
  const int64_t tiles = div_up(n, TILE_ROWS);
  const ms_tile_f32(*tiles_of)[TILE_VECTORS + 1] = p->bf16 ? MS_NAME(ms_tile_bf16) : MS_NAME(ms_tile_f32)[0];
  const bool by_three = vectors == 1 && j->taps[1] == 3 && p->stride[1] == 1 && !p->bf16;
  float start[2 * L];
  for (int64_t i = 0; i < 2 * L; i++) start[i] = bias && i < cols ? bias[first + i] : 0;
  const float *s = source + ((j->low[0] - p->low[0]) * p->wide + j->low[1] - p->low[1]) * p->unit;
  for (int64_t t = t0; t < t1; t++, s += p->stride[0] * run) {
    float *to = image + ((t * p->step[0] + j->at[0]) * p->rw + j->at[1]) * by_pixel + first * (p->to_last ? 1 : p->rh * p->rw);
    for (int64_t k = 0; k < tiles; k++) {
      const int64_t u = n * k / tiles, rows = n * (k + 1) / tiles - u;
      float *here = to + u * p->step[1] * by_pixel;
      const ms_fetch fetch = ask(next, j->taps[0] * (by_three ? p->unit : len), weights);
      float *into = whole ? here : edge;
      const int64_t step = whole ? p->step[1] * p->to : 2 * L;
      const float *from = s + u * p->stride[1] * p->unit;
      if (by_three) MS_NAME(ms_tile_row3)[rows](j->taps[0], p->unit, from, run, weights, len * width, into, step, start, &fetch);
      else
        tiles_of[rows][vectors](j->taps[0], len, from, run, p->stride[1] * p->unit, weights, len * width, width, into, step, start,
                                0, &fetch);
      if (!whole) store(p, edge, rows, cols, here, p->step[1]);
    }
  }
}

static void images_task(const ms_last *p, int64_t task, const float *from, float *to, const float *bias, const float *shared,
                        float *lane) {
  const int64_t slice = task % p->slices, band = task / p->slices % p->bands, group = task / p->slices / p->bands;
  const int64_t i0 = group * p->images, i1 = min_i64(i0 + p->images, p->g.n), rows = p->job[0].size[0];
  const int64_t t0 = rows * band / p->bands, t1 = rows * (band + 1) / p->bands, panels = div_up(p->to, 2 * L);
  float *edge = lane + p->images * p->source_floats, *line = edge + max_i64(AMX_EDGE, TILE_ROWS * 2 * L);
  const int64_t top = t0 * p->stride[0] + p->low[0], n = (t1 - 1 - t0) * p->stride[0] + p->high;
  for (int64_t i = i0; i < i1; i++) {
    const float *image = from + i * p->from * p->sh * p->sw;
    MS_NAME(ms_last_fill)(p, image, top, n, lane + (i - i0) * p->source_floats, line);
  }
  if (p->amx) {
    MS_NAME(ms_last_amx_results)
    (p, i0, i1, t0, t1, panels * slice / p->slices, panels * (slice + 1) / p->slices, lane, bias, shared, to, edge);
    return;
  }
  const int64_t size = p->from * p->sh * p->sw,
                behind = p->bands > 1 ? min_i64(max_i64(top + n, 0), p->sh) * p->sw * p->from : size;
  soon next = soon_of(from + (i1 - 1) * size + behind, p->bands > 1 ? n * p->sw * p->from : (i1 - i0) * size, from + p->g.n * size);
  if (slice < p->slices - 1) next.at = next.end; /* what comes next is here */
  for (const job *j = p->job; j < p->job + p->jobs; j++)
    for (int64_t panel = panels * slice / p->slices; panel < panels * (slice + 1) / p->slices; panel++)
      for (int64_t i = i0; i < i1; i++)
        results(p, j, lane + (i - i0) * p->source_floats, t0, min_i64(t1, j->size[0]), panel * 2 * L,
                shared + (p->bf16 ? j->words : j->weights) + panel * 2 * L * p->unit * j->taps[0] * j->taps[1], bias,
                to + i * p->to * p->rh * p->rw, edge, &next);
}

int64_t MS_NAME(ms_last_made)(const ms_last *p, int64_t task, int64_t *from) {
  if (p->slices > 1 || (p->bands > 1 && !p->to_last)) return 0;
  const int64_t band = task % p->bands, group = task / p->bands, rows = p->job[0].size[0], row = p->rw * p->to;
  const int64_t i0 = group * p->images, images = min_i64(p->images, p->g.n - i0);
  const int64_t t0 = rows * band / p->bands * p->step[0], t1 = min_i64(rows * (band + 1) / p->bands * p->step[0], p->rh);
  *from = (i0 * p->rh + t0) * row;
  return p->bands > 1 ? (t1 - t0) * row : images * p->rh * row;
}

/* ---- a run ---------------------------------------------------------------------------------------------------- */

void MS_NAME(ms_last_begin)(const ms_last *p, const float *w, const float *x, void *shared) {
  if (p->g.result == MS_CONV_W) {
    if (!p->amx) MS_NAME(ms_last_w_begin)(p, x, shared);
  } else if (p->amx) MS_NAME(ms_last_amx_begin)(p, w, shared);
  else pack_weights(p, w, shared);
  if (p->bf16 && !p->amx) pack_words(p, shared);
}

void MS_NAME(ms_last_task)(const ms_last *p, int64_t task, float *x, float *y, const float *bias, void *shared, void *lane) {
  if (p->g.result == MS_CONV_W) (p->amx ? MS_NAME(ms_last_amx_w_task) : MS_NAME(ms_last_w_task))(p, task, x, y, shared, lane);
  else if (p->g.result == MS_CONV_Y) images_task(p, task, x, y, bias, shared, lane);
  else images_task(p, task, y, x, NULL, shared, lane);
}

void MS_NAME(ms_last_end)(const ms_last *p, float *w, void *shared) {
  if (p->g.result == MS_CONV_W) (p->amx ? MS_NAME(ms_last_amx_w_end) : MS_NAME(ms_last_w_end))(p, w, shared);
}
