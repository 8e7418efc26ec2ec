/* channels_last_amx_weights.c -- the gradient of w for channels_last.h on AMX. The sums run over the pixels of y. A word holds two
 * of them, neighbours in a row (the last one of an odd row, with zero).
 *
 * Operand A: its rows are channels of y, transposed into tiles. Operand B: its rows are words of the source, in the order in which
 * a kernel column meets them. For each kernel column there is one copy of the source, in which the rows of y follow one another
 * without gaps, so that a kernel row is a fixed distance. A step never crosses from one unit (band of rows) to the next, so a pixel
 * meets only the kernel elements that it belongs to, and an infinity elsewhere does no harm. The sums are laid out as [kernel
 * row][kernel column][channel of y][channel of x]. */
#include "../amx.h"
#include "channels_last.h"
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
enum {
  S = AMX_SIDE,
  LEAST_CHANNELS = 8,     /* fewer are not worth it, */
  LEAST_STEP = 4,         /* nor fewer words of a step */
  UNIT_BYTES = 512 << 10, /* of a unit, at most */
  LANE_BYTES = 256 << 10  /* of several units together */
};

static void size_unit(last_amx_sums *u, const ms_conv *g, int64_t band) {
  const int64_t words_of = band * u->pairs;
  u->band = band;
  for (u->depth = min_i64(S, words_of); words_of % u->depth; u->depth--)
    ;
  u->steps = words_of / u->depth;
  u->rows = band - 1 + div_up(g->kh, g->stride[0]);
  u->x_unit = g->kw * g->stride[0] * u->rows * u->pairs * u->c;
  u->y_unit = u->o / S * u->steps * AMX_TILE;
}

/* The largest bands of the same height that fit. */
static bool set_units(last_plan *p) {
  const ms_conv *g = &p->g;
  last_amx_sums *u = &p->amx_sums;
  if (g->c < LEAST_CHANNELS || g->o < LEAST_CHANNELS) return false;
  u->pairs = div_up(g->ow, 2), u->c = round_up(g->c, S), u->o = round_up(g->o, S);
  for (int64_t band = g->oh;; band--) {
    if (g->oh % band) continue;
    size_unit(u, g, band);
    if ((u->x_unit + u->y_unit) * 4 <= UNIT_BYTES || band == 1) break;
  }
  u->units = g->n * (g->oh / u->band);
  u->at_once = min_i64(max_i64(LANE_BYTES / ((u->x_unit + u->y_unit) * 4), 1), u->units);
  u->x_line = p->in_last ? 0 : round_up(g->w * g->c, S), u->y_transposed = p->out_last ? 0 : round_up(u->band * g->ow * g->o, S);
  return u->depth >= LEAST_STEP;
}

static bool plan(conv_plan *c) {
  const ms_conv *g = &c->g;
  last_plan *p = MS_NAME(conv_last_new)(g);
  if (!p) return false;
  if (!set_units(p)) return free(p), false;
  const last_amx_sums *u = &p->amx_sums;
  const int64_t sums = g->kh * g->kw * u->o * u->c;
  /* as many sums as are a small part of what is read */
  int64_t enough = g->n * (g->c * g->h * g->w + g->o * g->oh * g->ow) / (2 * sums);
  enough = min_i64(min_i64(enough, u->units), max_i64(SUMS_BYTES / (sums * 4), 1));
  for (p->image_groups = ms_tasks(); p->image_groups > 1 && p->image_groups > enough; p->image_groups /= 2)
    ;
  c->own = p;
  c->tasks = p->image_groups;
  c->shared_bytes = (size_t)(p->image_groups * sums) * 4;
  c->room_bytes = (size_t)(u->at_once * (u->x_unit + u->y_unit) + u->x_line + u->y_transposed) * 4;
  return true;
}

/* The first `lanes` of S numbers, zeros behind them. */
static inline vec_f32 load(const float *from, int64_t lanes) {
  if (lanes >= S) return *(const vec_f32 *)from;
  vec_f32 v = {0};
  memcpy(&v, from, (size_t)lanes * 4);
  return v;
}

/* The word of y's pixel `at` of row t and the one to its right. */
static inline vec_f32 pair_of_y(const ms_conv *g, const float *y, int64_t t, int64_t at, int64_t o) {
  const float *here = y + (t * g->ow + at) * g->o + o;
  return words(load(here, g->o - o), at + 1 < g->ow ? load(here + g->o, g->o - o) : (vec_f32){0});
}

/* The rows of y at `y`, channels last, as tiles [block of channels][step][channel][word]. */
static void fill_y(const last_plan *p, const float *y, float *to) {
  const ms_conv *g = &p->g;
  const last_amx_sums *u = &p->amx_sums;
  const bool plain = g->ow % 2 == 0 && g->o % S == 0; /* pairs follow one another */
  for (int64_t step = 0; step < u->steps; step++)
    for (int64_t o = 0; o < u->o; o += S) {
      vec_f32 row[S];
      const float *here = y + 2 * step * u->depth * g->o + o;
      int64_t t = step * u->depth / u->pairs, at = step * u->depth % u->pairs * 2;
      for (int64_t i = 0; i < S; i++, here += 2 * g->o) {
        if (i >= u->depth) row[i] = (vec_f32){0};
        else if (plain) row[i] = words(*(const vec_f32 *)here, *(const vec_f32 *)(here + g->o));
        else {
          row[i] = pair_of_y(g, y, t, at, o);
          if ((at += 2) >= g->ow) at = 0, t++;
        }
      }
      transpose_rows_f32(row);
      float *tile = to + (o / S * u->steps + step) * AMX_TILE;
#pragma GCC unroll 16
      for (int64_t i = 0; i < S; i++) *(vec_f32 *)(tile + i * S) = row[i];
    }
}

/* Pairs k0 .. k1-1 of a row of the source, for a kernel column whose first pixel is `first`; what lies outside is zero. */
static void padded_pairs(const last_plan *p, const float *from, int64_t first, int64_t k0, int64_t k1, float *to) {
  const ms_conv *g = &p->g;
  const float none[S] = {0};
  for (int64_t k = k0; k < k1; k++) {
    const int64_t a = first + 2 * k * g->stride[1], b = a + g->stride[1];
    const bool has_a = a >= 0 && a < g->w, has_b = b >= 0 && b < g->w && 2 * k + 1 < g->ow;
    for (int64_t c = 0; c < p->amx_sums.c; c += S)
      *(vec_f32 *)(to + k * p->amx_sums.c + c) =
          words(load(has_a ? from + a * g->c + c : none, g->c - c), load(has_b ? from + b * g->c + c : none, g->c - c));
  }
}

static void row_pairs(const last_plan *p, const float *from, int64_t first, float *to) {
  const ms_conv *g = &p->g;
  const last_amx_sums *u = &p->amx_sums;
  const int64_t two = 2 * g->stride[1], last = g->w - 1 - g->stride[1] - first; /* of the left pixels, from `first` on */
  const int64_t k0 = min_i64(div_up(max_i64(-first, 0), two), u->pairs);
  const int64_t k1 = max_i64(k0, g->c == u->c ? min_i64(last < 0 ? 0 : last / two + 1, g->ow / 2) : 0);
  padded_pairs(p, from, first, 0, k0, to);
  const float *a = from + (first + k0 * two) * g->c;
  float *dest = to + k0 * u->c;
  for (int64_t k = k0; k < k1; k++, a += two * g->c)
    for (int64_t c = 0; c < u->c; c += S, dest += S)
      *(vec_f32 *)dest = words(*(const vec_f32 *)(a + c), *(const vec_f32 *)(a + g->stride[1] * g->c + c));
  padded_pairs(p, from, first, k1, u->pairs, to);
}

/* The source under rows t0 .. of y as [kernel column][phase][row][word][channel]. line: room for a row. */
static void fill_x(const last_plan *p, const float *image, int64_t t0, float *to, float *line) {
  const ms_conv *g = &p->g;
  const last_amx_sums *u = &p->amx_sums;
  const int64_t length = u->pairs * u->c, phases = g->stride[0];
  for (int64_t q = 0; q < phases; q++)
    for (int64_t r = 0; r < u->rows; r++) {
      const int64_t row = (t0 + r) * phases + q - g->pad[0];
      const float *from = image + row * g->w * g->c;
      const bool inside = row >= 0 && row < g->h;
      if (inside && !p->in_last) turn_f32(image + row * g->w, g->h * g->w, g->c, g->w, line), from = line;
      for (int64_t s = 0; s < g->kw; s++) {
        float *dest = to + ((s * phases + q) * u->rows + r) * length;
        if (inside) row_pairs(p, from, s - g->pad[1], dest);
        else memset(dest, 0, (size_t)length * 4);
      }
    }
}

/* Adds the sums of `units` units in the room. */
static void add_units(const last_plan *p, int64_t units, bool first, const float *xs, const float *ys, float *sums) {
  const ms_conv *g = &p->g;
  const last_amx_sums *u = &p->amx_sums;
  const int64_t across = u->c / S, down = u->o / S, all = g->kh * g->kw * across, length = u->pairs * u->c;
  const int64_t rows = down > 1 ? 2 : 1, cols = down > 1 ? 2 : 4;
  ms_amx m = {.runs = units, .steps = u->steps};
  m.a_row = S * 4, m.a_step = AMX_TILE * 4, m.a_run = u->y_unit * 4;
  m.b_row = u->c * 4, m.b_step = u->depth * u->c * 4, m.b_run = u->x_unit * 4;
  m.c_row = m.start_row = u->c * 4;
  for (int64_t k = 0; k < all; k += cols)
    for (int64_t o = 0; o < down; o += rows) {
      const int64_t nr = min_i64(rows, down - o), nc = min_i64(cols, all - k);
      for (int64_t i = 0; i < nr; i++) m.a[i] = ys + (o + i) * u->steps * AMX_TILE;
      for (int64_t i = 0; i < nc; i++) {
        const int64_t s = (k + i) / (g->kh * across), r = (k + i) / across % g->kh, c = (k + i) % across * S;
        m.b[i] = xs + ((s * g->stride[0] + r % g->stride[0]) * u->rows + r / g->stride[0]) * length + c;
        for (int64_t x = 0; x < nr; x++) {
          m.c[x * nc + i] = sums + ((r * g->kw + s) * u->o + (o + x) * S) * u->c + c;
          m.start[x * nc + i] = first ? NULL : m.c[x * nc + i];
        }
      }
      MS_NAME(ms_amx_tiles)(&m, (int)nr, (int)nc);
    }
}

static bool task(const conv_plan *c, const conv_operands *t, int64_t task, int thread, void *room) {
  const last_plan *p = c->own;
  const ms_conv *g = &p->g;
  const last_amx_sums *u = &p->amx_sums;
  const float *x = t->x, *y = t->y;
  float *sums = (float *)t->shared + task * g->kh * g->kw * u->o * u->c;
  const int64_t from = u->units * task / p->image_groups, to = u->units * (task + 1) / p->image_groups, bands = g->oh / u->band;
  float *xs = room, *ys = xs + u->at_once * u->x_unit, *line = ys + u->at_once * u->y_unit, *turned = line + u->x_line;
  MS_NAME(ms_amx_configure)(S, u->depth);
  for (int64_t i = from; i < to; i += u->at_once) {
    const int64_t n = min_i64(u->at_once, to - i);
    for (int64_t k = 0; k < n; k++) {
      const int64_t image = (i + k) / bands, t0 = (i + k) % bands * u->band;
      const float *here = y + image * g->o * g->oh * g->ow;
      if (p->out_last) here += t0 * g->ow * g->o;
      else turn_f32(here + t0 * g->ow, g->oh * g->ow, g->o, u->band * g->ow, turned), here = turned;
      fill_y(p, here, ys + k * u->y_unit);
      fill_x(p, x + image * g->c * g->h * g->w, t0, xs + k * u->x_unit, line);
    }
    add_units(p, n, i == from, xs, ys, sums);
  }
  MS_NAME(ms_amx_release)();
  return (void)thread, true;
}

/* Gradients of output channel o and 16 of x: the groups' sums added up in order. */
static void gather(const last_plan *p, const float *sums, int64_t o, int64_t c, float *w) {
  const ms_conv *g = &p->g;
  const last_amx_sums *u = &p->amx_sums;
  const int64_t taps = g->kh * g->kw, part = taps * u->o * u->c, lanes = min_i64(S, g->c - c);
  float *to = w + (o * g->c + c) * taps;
  for (int64_t k = 0; k < taps; k++) {
    const float *from = sums + (k * u->o + o) * u->c + c;
    vec_f32 sum = *(const vec_f32 *)from;
    for (int64_t i = 1; i < p->image_groups; i++) sum += *(const vec_f32 *)(from + i * part);
    for (int64_t l = 0; l < lanes; l++) to[l * taps + k] = sum[l];
  }
}

static void end(const conv_plan *c, const conv_operands *t) {
  const last_plan *p = c->own;
  const ms_conv *g = &p->g;
  const int64_t across = p->amx_sums.c / S;
  MS_PARALLEL(ms_team(2 * p->image_groups * g->o * g->c * g->kh * g->kw), k, g->o * across,
              gather(p, t->shared, k / across, k % across * S, t->w););
}

const conv_functions MS_NAME(conv_last_amx_weights) = {.plan = plan, .task = task, .end = end, .free = free};
#else
const conv_functions MS_NAME(conv_last_amx_weights) = {0}; /* never asked: ms_amx_ready says no */
#endif
