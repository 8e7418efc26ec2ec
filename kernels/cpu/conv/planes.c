/* planes.c -- the way of planes.h: its limits, its plan, and the results y and x. */
#include "pieces.h"
#include "planes_source.h"
#include "planes_tile_y.h"
#include <stdlib.h>

/* Which shapes it takes. The limits were drawn against oneDNN, which fills blocks of 16 channels whatever their number, but has a
 * special way for an x of few channels. On a Zen 4 with AVX-512, one thread, 3 x 3 to 7 x 7 kernels (GFLOP/s, oneDNN and this):
 *   y:  16 -> 8 channels 47 / 61, 64 -> 4 25 / 60, 16 -> 1 7 / 40, 3 -> 16 60 / 71, but 8 -> 16 76 / 61, 2 -> 16 stride 2 78 / 64
 *   dx: 3 -> 16 19 / 48, 12 -> 12 61 / 82, 4 -> 64 25 / 60, 2 -> 16 stride 2 13 / 70, 8 -> 16 46 / 62, but 16 -> 16 110 / 90
 *   dw: 16 -> 8 41 / 67, 12 -> 12 47 / 80, 4 -> 64 34 / 61, 64 -> 4 22 / 60, 8 -> 8 82 / 78, but 2 -> 16 stride 2 86 / 65
 * Beyond 64 channels on the other side, or with fewer pixels than a vector has lanes, it has nothing to offer. */
bool MS_NAME(conv_planes_take)(const ms_conv *g) {
  bool dense = g->stride[0] == 1 && g->stride[1] == 1;
  int64_t pixels = g->oh * g->ow, volume = g->c * g->o * g->kh * g->kw;
  if (g->groups != 1 || g->kh > PLANES_TAPS || g->kw > PLANES_TAPS || g->c > 64 || g->o > 64) return false;
  if (volume > 1 << 14 || pixels < 16) return false;
  switch (g->result) {
  case MS_CONV_Y: return g->o <= 8 || (g->c <= 3 && g->o <= 16 && dense);
  case MS_CONV_X: return (g->c <= 12 || g->o <= 8) && g->stride[0] <= PLANES_PHASES && g->stride[1] <= PLANES_PHASES / g->stride[0];
  default: return g->o <= 8 || (g->c <= 8 && dense) || (g->c <= 12 && g->o <= 12 && dense);
  }
}

/* ---- the plan --------------------------------------------------------------------------------------------------- */

/* The taps of one dimension for results i * step + at. */
static void set_taps(const planes_plan *d, planes_phase *j, int dim, int64_t at) {
  const ms_conv *g = &d->g;
  int64_t n = dim ? g->kw : g->kh, s = g->stride[dim];
  j->taps[dim] = 0;
  for (int64_t a = 0; a < n; a++) {
    int64_t to = g->result == MS_CONV_X ? at + g->pad[dim] - a * g->dilation[dim] : a * g->dilation[dim] - g->pad[dim];
    if (g->result == MS_CONV_X) {
      if (to % s) continue;
      to /= s;
    }
    j->tap[dim][j->taps[dim]] = (int)a;
    j->shift[dim][j->taps[dim]++] = to;
  }
}

/* One copy for all columns of the kernel, cut in phases if there is a stride: source rows with as many zeros behind them as a tap
 * may reach over either end, where it reads the zeros before the next row or behind the last. What the sums give at those zeros is
 * dropped. Worth it where copying results (for w: y's gradient) costs less than copying sources often. */
static void set_pitch(planes_plan *d) {
  int64_t left = 0, right = 0, s = d->stride[1];
  if (d->phase_count == 1 && (d->phase[0].taps[1] < 2 || s > 2 || 2 * d->in_channels * (d->phase[0].taps[1] - 1) < d->out_channels))
    return;
  for (const planes_phase *j = d->phase; j < d->phase + d->phase_count; j++)
    for (int b = 0; b < j->taps[1]; b++) {
      int64_t at = phase_of(j->shift[1][b], s), shift = (j->shift[1][b] - at) / s;
      if (-shift > left) left = -shift;
      if (shift + d->cols - phase_width(d, at) > right) right = shift + d->cols - phase_width(d, at);
    }
  int64_t line = phase_width(d, 0) + (left > right ? left : right);
  if (line < d->cols) return;
  d->pitched = true, d->copies = s, d->zeros_before = left, d->pitch = line;
  d->zeros_behind = L + line; /* a row may be copied with more behind it */
  for (int64_t l = 0; l < L; l++) d->row_end[l % 2][l / 2] = l < d->in_w - round_up(d->in_w, L) + L ? -1 : 0;
}

static void set_sizes(planes_plan *d) {
  int64_t last_shift = 0;
  bool any = false;
  d->rows = (d->out_h + d->step[0] - 1) / d->step[0];
  d->cols = (d->out_w + d->step[1] - 1) / d->step[1];
  for (planes_phase *j = d->phase; j < d->phase + d->phase_count; j++) {
    j->terms = d->in_channels * j->taps[0] * j->taps[1];
    for (int a = 0; a < j->taps[0]; a++, any = true) {
      if (!any || j->shift[0][a] < d->first_shift) d->first_shift = j->shift[0][a];
      if (!any || j->shift[0][a] > last_shift) last_shift = j->shift[0][a];
    }
  }
  d->row_phases = last_shift > d->first_shift ? d->stride[0] : 1;
  d->pitch = d->cols, d->copies = d->phase[0].taps[1];
  set_pitch(d);
  int64_t below = (last_shift - d->first_shift) / d->stride[0], row = d->in_channels * d->copies * d->row_phases * d->pitch * 4;
  d->band = row ? PLANES_BYTES / row - below : d->rows;
  if (d->band < 4) d->band = 4;
  if (d->band > d->rows) d->band = d->rows;
  d->plane_rows = d->band + below;
  d->plane = round_up(d->zeros_before + d->plane_rows * d->pitch + d->zeros_behind, 16);
  d->out_plane = round_up(d->band * d->pitch + L, 16);
}

/* Places in the room: first the planes, then `tails`, for results before they are put where they belong (for w: the lines of y's
 * gradient with zeros between or behind them), then the sums of w. */
static void set_room(planes_plan *d, size_t *room_bytes) {
  const int64_t scratch = d->pitched ? d->out_plane : 0; /* floats of a channel */
  d->images_at_once = 1;
  if (d->g.result == MS_CONV_W) {
    const int64_t image_bytes = (int64_t)d->planes_bytes + scratch * d->out_channels * 4;
    if (d->band == d->rows) d->images_at_once = max_i64(min_i64(PLANES_BYTES / image_bytes, 16), 1);
    conv_reserve(room_bytes, (size_t)d->images_at_once * d->planes_bytes);
    d->tails = conv_reserve(room_bytes, (size_t)(d->images_at_once * d->out_channels * (d->pitched ? scratch * 4 : BYTES)));
    d->sums = conv_reserve(room_bytes, (size_t)(d->out_channels * d->phase[0].terms * BYTES));
  } else {
    conv_reserve(room_bytes, d->planes_bytes);
    d->tails = conv_reserve(room_bytes, (size_t)(d->phase_count * scratch * d->out_channels * 4));
  }
}

static bool plan(conv_plan *p) {
  const ms_conv *g = &p->g;
  planes_plan *d = calloc(1, sizeof *d);
  if (!d) return false;
  bool back = g->result == MS_CONV_X;
  d->g = *g;
  d->in_channels = back ? g->o : g->c, d->in_h = back ? g->oh : g->h, d->in_w = back ? g->ow : g->w;
  d->out_channels = back ? g->c : g->o, d->out_h = back ? g->h : g->oh, d->out_w = back ? g->w : g->ow;
  for (int i = 0; i < 2; i++) d->step[i] = back ? g->stride[i] : 1, d->stride[i] = back ? 1 : g->stride[i];
  for (int64_t r = 0; r < d->step[0]; r++)
    for (int64_t q = 0; q < d->step[1]; q++) {
      planes_phase *j = &d->phase[d->phase_count++];
      set_taps(d, j, 0, r);
      set_taps(d, j, 1, q);
    }
  set_sizes(d);
  d->planes_bytes = (size_t)round_up((d->in_channels * d->copies * d->row_phases * d->plane + 16) * 4, 64);
  if (d->planes_bytes > PLANES_LIMIT || (d->phase_count > 1 && !d->pitched)) return free(d), false;
  for (planes_phase *j = d->phase; j < d->phase + d->phase_count; j++) {
    if (g->result != MS_CONV_W) j->weights = conv_reserve(&p->shared_bytes, (size_t)(j->terms * d->out_channels * 4));
    j->offsets = conv_reserve(&p->shared_bytes, (size_t)(j->terms * 4));
  }
  set_room(d, &p->room_bytes);
  p->own = d;
  p->pieces = MS_NAME(conv_pieces_of)(g), p->pieces.as_planes = true, p->tasks = p->pieces.count;
  MS_NAME(conv_pieces_reserve)(p);
  return true;
}

/* Offsets of the terms in the planes, and the weights as the tiles read them: [tile of channels][term][channel in it]. */
static bool begin(const conv_plan *p, const conv_operands *t) {
  const planes_plan *d = p->own;
  const ms_conv *g = &d->g;
  const float *w = t->w;
  for (const planes_phase *j = d->phase; j < d->phase + d->phase_count; j++) {
    int32_t *offset = (int32_t *)((char *)t->shared + j->offsets);
    float *pack = (float *)((char *)t->shared + j->weights);
    for (int64_t c = 0; c < d->in_channels; c++)
      for (int a = 0; a < j->taps[0]; a++)
        for (int b = 0; b < j->taps[1]; b++) {
          int64_t down = j->shift[0][a] - d->first_shift, column = d->pitched ? phase_of(j->shift[1][b], d->stride[1]) : b;
          int64_t at = ((c * d->copies + column) * d->row_phases + down % d->stride[0]) * d->plane + down / d->stride[0] * d->pitch;
          if (d->pitched) at += d->zeros_before + (j->shift[1][b] - column) / d->stride[1];
          *offset++ = (int32_t)at;
        }
    if (g->result == MS_CONV_W) continue;
    int64_t k = g->kh * g->kw, c_step = g->result == MS_CONV_X ? g->c * k : k, o_step = g->result == MS_CONV_X ? k : g->c * k;
    for (int64_t o = 0, n; o < d->out_channels; o += n) {
      n = tile_channels(d->out_channels - o, MAX_CHANNELS);
      for (int64_t c = 0; c < d->in_channels; c++)
        for (int a = 0; a < j->taps[0]; a++)
          for (int b = 0; b < j->taps[1]; b++)
            for (int64_t i = 0; i < n; i++) *pack++ = w[(o + i) * o_step + c * c_step + j->tap[0][a] * g->kw + j->tap[1][b]];
    }
  }
  return true;
}

/* ---- results y and x -------------------------------------------------------------------------------------------- */

/* `pixels` of every result channel, channels `plane` apart. */
static void add_terms(const planes_plan *d, const planes_phase *j, const char *shared, const float *p, const float *bias,
                      float *out, int64_t plane, int64_t pixels) {
  const int32_t *offset = (const int32_t *)(shared + j->offsets);
  int n;
  for (int64_t o = 0; o < d->out_channels; o += n) {
    const float *weight = (const float *)(shared + j->weights) + o * j->terms;
    n = tile_channels(d->out_channels - o, MAX_CHANNELS);
    int64_t vectors = (pixels + L - 1) / L, tiles = (vectors + max_vectors[n] - 1) / max_vectors[n];
    for (int64_t t = 0; t < tiles; t++) {
      int64_t v0 = vectors * t / tiles, v1 = vectors * (t + 1) / tiles, end = v1 * L < pixels ? v1 * L : pixels;
      tiles_y[n][v1 - v0](j->terms, offset, weight, p + v0 * L, bias ? bias + o : NULL, out + o * plane + v0 * L, plane,
                          end - v0 * L);
    }
  }
}

/* n floats of a and b by turns. `space` floats may be overwritten: what is behind the n is written later. */
static inline void interleave(float *to, const float *a, const float *b, int64_t n, int64_t space) {
  int64_t i = 0;
  for (; i < n && i + 2 * L <= space; i += 2 * L) {
    vec x = *(const vec *)(a + i / 2), y = *(const vec *)(b + i / 2);
    *(vec *)(to + i) = turns_low(x, y), *(vec *)(to + i + L) = turns_high(x, y);
  }
  if (i < n && i + L <= space) *(vec *)(to + i) = turns_low(*(const vec *)(a + i / 2), *(const vec *)(b + i / 2)), i += L;
  for (; i < n; i++) to[i] = (i % 2 ? b : a)[i / 2];
}

/* Results of rows from y0 on, in the room, to where they belong. */
static void put_back(const planes_plan *d, const float *from, int64_t y0, int64_t rows, float *out) {
  int64_t s = d->step[1], next = d->out_channels * d->out_plane,
          w = d->out_w; /* next: from a phase's results to those of the next */
  for (int64_t c = 0; c < d->out_channels; c++, from += d->out_plane, out += d->out_h * w) {
    if (d->phase_count == 1) {
      copy_rows(out + y0 * w, w, from, d->pitch, d->cols, rows);
      continue;
    }
    for (int64_t i = 0, y = y0 * d->step[0]; i < rows; i++)
      for (int64_t k = 0; k < d->step[0] && y < d->out_h; k++, y++) {
        const float *r = from + k * s * next + i * d->pitch;
        if (s == 2) interleave(out + y * w, r, r + next, w, (d->out_h - y) * w);
        else
          for (int64_t x = 0; x < w; x++) out[y * w + x] = r[x % s * next + x / s];
      }
  }
}

static void run_image(const planes_plan *d, const float *image, const float *bias, float *out, const char *shared, char *room) {
  float *p = (float *)room, *scratch = (float *)(room + d->tails);
  for (int64_t y0 = 0; y0 < d->rows && d->cols; y0 += d->band) {
    int64_t rows = y0 + d->band < d->rows ? d->band : d->rows - y0, pixels = rows * d->pitch;
    fill_planes(d, image, y0, rows, p);
    for (int i = 0; i < d->phase_count; i++)
      if (!d->pitched) add_terms(d, &d->phase[i], shared, p, bias, out + y0 * d->cols, d->out_h * d->out_w, pixels);
      else add_terms(d, &d->phase[i], shared, p, bias, scratch + i * d->out_channels * d->out_plane, d->out_plane, pixels);
    if (d->pitched) put_back(d, scratch, y0, rows, out);
  }
}

static bool task(const conv_plan *p, const conv_operands *t, int64_t i, int thread, void *room) {
  const planes_plan *d = p->own;
  const bool back = p->g.result == MS_CONV_X;
  const int64_t from = d->in_channels * d->in_h * d->in_w, to = d->out_channels * d->out_h * d->out_w;
  const conv_piece c = MS_NAME(conv_piece_begin)(p, t, i, room);
  const float *image = back ? c.y : c.x;
  float *result = back ? c.x : c.y;
  for (int64_t k = 0; k < c.images; k++) run_image(d, image + k * from, t->bias, result + k * to, t->shared, room);
  MS_NAME(conv_piece_end)(p, t, i, &c);
  return (void)thread, true;
}

static bool task_w(const conv_plan *p, const conv_operands *t, int64_t i, int thread, void *room) {
  const conv_piece c = MS_NAME(conv_piece_begin)(p, t, i, room);
  MS_NAME(conv_planes_sum_w)(p->own, c.images, c.x, c.y, c.w, t->shared, room);
  return (void)thread, true;
}

const conv_functions MS_NAME(conv_planes) = {
    .plan = plan, .begin = begin, .task = task, .made = MS_NAME(conv_piece_made), .free = free};
const conv_functions MS_NAME(conv_planes_weights) = {
    .plan = plan, .begin = begin, .task = task_w, .end = MS_NAME(conv_pieces_sum), .free = free};
