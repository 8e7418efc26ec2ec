/* channels_last_amx.c -- the results y and x of channels_last.h on AMX. The rows of a tile are pixels of a row of results: up to 16
 * of them, or several short rows at once, with what lies between them in the padded source (whose results are dropped). A run
 * (kernel column, channel) is a whole number of steps, so that nothing outside of it is read: what is no number next door stays
 * there. */
#include "../amx.h"
#include "channels_last.h"
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
enum { S = AMX_SIDE, GOOD_UNIT = 8 /* words */ };

/* Words of a pixel of the padded source. Channels are filled up with zeros where their number would leave no steps of a fair
 * length. */
static int64_t pixel_words(int64_t channels) {
  const int64_t words_of = div_up(channels, 2);
  return words_of <= GOOD_UNIT ? words_of : round_up(words_of, GOOD_UNIT);
}

static int64_t run_words(const last_plan *p, const last_phase *j) { return j->taps[1] * p->pixel_size; }

static bool plan(conv_plan *c) {
  const int64_t in_channels = c->g.result == MS_CONV_X ? c->g.o : c->g.c;
  last_plan *p = MS_NAME(conv_last_plan_images)(c, true, true, pixel_words(in_channels));
  if (!p) return false;
  for (last_phase *j = p->phase; j < p->phase + p->phase_count; j++) {
    const int64_t len = run_words(p, j);
    for (j->depth = min_i64(S, len); j->depth > 1 && len % j->depth; j->depth--)
      ;
    j->words = c->shared_bytes / 4;
    c->shared_bytes += (size_t)(div_up(p->out_channels, S) * j->taps[0] * len * S) * 4;
  }
  return true;
}

/* Weights as [block of 16 result channels][kernel row][word of the run][channel], two channels of the source at a time. */
static void pack_pair(const last_plan *p, const float *w, int64_t block, int64_t pair, float *shared) {
  const ms_conv *g = &p->g;
  const int64_t taps = g->kh * g->kw, lanes = min_i64(S, p->out_channels - block * S);
  const bool back = g->result == MS_CONV_X;
  const int64_t by_lane = back ? taps : g->c * taps, by_source = back ? g->c * taps : taps;
  vec_f32 tap_of[2][AMX_TAPS];
  for (int h = 0; h < 2; h++) {
    const int64_t source = 2 * pair + h;
    const float *from = w + block * S * by_lane + source * by_source;
    if (lanes < S || source >= p->in_channels) memset(tap_of[h], 0, (size_t)taps * sizeof(vec_f32));
    if (source < p->in_channels)
      for (int64_t k = 0; k < taps; k++)
        for (int64_t l = 0; l < lanes; l++) ((float *)&tap_of[h][k])[l] = from[l * by_lane + k];
  }
  for (const last_phase *j = p->phase; j < p->phase + p->phase_count; j++) {
    float *to = shared + j->words + (block * j->taps[0] * run_words(p, j) + pair) * S;
    for (int64_t r = 0; r < j->taps[0]; r++)
      for (int64_t s = 0; s < j->taps[1]; s++, to += p->pixel_size * S) {
        const int64_t k = (j->first[0] + r * j->next) * g->kw + j->first[1] + s * j->next;
        *(vec_f32 *)to = words(tap_of[0][k], tap_of[1][k]);
      }
  }
}

static bool begin(const conv_plan *c, const conv_operands *t) {
  const last_plan *p = c->own;
  const int64_t work = p->pixel_size * 2 * round_up(p->out_channels, S) * p->g.kh * p->g.kw;
  MS_PARALLEL(ms_team(2 * work), k, div_up(p->out_channels, S) * p->pixel_size,
              pack_pair(p, t->w, k / p->pixel_size, k % p->pixel_size, t->shared););
  return true;
}

/* How a phase's results in rows t0 .. t0 + n - 1 are cut into tiles of `rows` rows: `lines` rows of `width` results, `apart` rows
 * of a tile from one to the next. down, across: how many tiles there are; the last ones cover again what others did. */
typedef struct tiling {
  int64_t t0, n, lines, width, apart, rows, down, across;
} tiling;

static tiling tiling_of(const last_plan *p, const last_phase *j, int64_t t0, int64_t t1) {
  tiling t = {.t0 = t0, .n = min_i64(t1, j->size[0]) - t0, .lines = 1, .across = div_up(j->size[1], S)};
  if (t.n <= 0 || j->size[1] <= 0) return (tiling){0};
  t.width = div_up(j->size[1], t.across);
  const int64_t row = p->stride[0] * p->padded_w;
  if (t.across == 1 && row % p->stride[1] == 0) {
    t.apart = row / p->stride[1];
    t.lines = min_i64(1 + (S - t.width) / t.apart, t.n);
  }
  t.rows = (t.lines - 1) * t.apart + t.width;
  t.down = div_up(t.n, t.lines);
  return t;
}

/* A tile's results, in `edge`, to where they belong: `cols` channels. */
static void store_tile(const last_plan *p, const tiling *t, int64_t step, const float *edge, int64_t cols, float *to) {
  const int64_t unit = p->out_last ? p->out_channels : 1, plane = p->out_h * p->out_w;
  for (int64_t line = 0; line < t->lines; line++, to += p->step[0] * p->out_w * unit, edge += t->apart * S) {
    if (!p->out_last)
      for (int64_t i = 0; i < cols; i++)
        for (int64_t u = 0; u < t->width; u++) to[i * plane + u * step] = edge[u * S + i];
    else if (cols == S)
      for (int64_t u = 0; u < t->width; u++) *(vec_f32 *)(to + u * step) = *(const vec_f32 *)(edge + u * S);
    else
      for (int64_t u = 0; u < t->width; u++) memcpy(to + u * step, edge + u * S, (size_t)cols * 4);
  }
}

/* One phase's results in the 16 or 32 channels of a panel, for images whose padded sources stand in the room. */
static void amx_panel(const last_plan *p, const last_phase *j, const tiling *t, int64_t panel, int64_t images, const float *room,
                      const float *bias, const float *shared, float *to, float *edge) {
  const int64_t first = panel * 2 * S, left = p->out_channels - first, len = run_words(p, j),
                unit = p->out_last ? p->out_channels : 1;
  const int cols = left > S ? 2 : 1, rows_at_once = cols == 2 ? 2 : 4;
  const bool whole = p->out_last && t->lines == 1 && left >= cols * S;
  const int64_t step = p->step[1] * unit, each = t->down * t->across, all = images * each;
  float start[2 * S] = {0};
  if (bias) memcpy(start, bias + first, (size_t)min_i64(left, 2 * S) * 4);
  ms_amx m = {.runs = j->taps[0], .steps = len / max_i64(j->depth, 1)};
  m.a_row = p->stride[1] * p->pixel_size * 4, m.a_step = j->depth * 4, m.a_run = p->padded_w * p->pixel_size * 4;
  m.b_row = S * 4, m.b_step = j->depth * S * 4, m.b_run = len * S * 4;
  m.c_row = whole ? step * 4 : S * 4;
  for (int x = 0; x < cols; x++) m.b[x] = shared + j->words + (panel * 2 + x) * j->taps[0] * len * S;
  const float *source = room + ((j->shift[0] - p->first_shift[0]) * p->padded_w + j->shift[1] - p->first_shift[1]) * p->pixel_size;
  float *result = to + (j->at[0] * p->out_w + j->at[1]) * unit + first * (p->out_last ? 1 : p->out_h * p->out_w), *here[4];
  for (int64_t k = 0, ready = 0; k < all; k++) {
    const int64_t line = min_i64(k % each / t->across * t->lines, t->n - t->lines); /* from t0 on */
    const int64_t u = min_i64(k % t->across * t->width, j->size[1] - t->width);
    m.a[ready] = source + k / each * p->source_floats + (line * p->stride[0] * p->padded_w + u * p->stride[1]) * p->pixel_size;
    here[ready] =
        result + k / each * p->out_channels * p->out_h * p->out_w + (t->t0 + line) * p->step[0] * p->out_w * unit + u * step;
    for (int x = 0; x < cols; x++) {
      m.c[ready * cols + x] = whole ? here[ready] + x * S : edge + (ready * cols + x) * AMX_TILE;
      m.start[ready * cols + x] = start + x * S;
    }
    if (++ready < rows_at_once && k + 1 < all) continue;
    MS_NAME(ms_amx_tiles)(&m, (int)ready, cols);
    for (int64_t r = 0; r < ready && !whole; r++)
      for (int64_t x = 0; x < cols; x++)
        store_tile(p, t, step, edge + (r * cols + x) * AMX_TILE, min_i64(S, left - x * S),
                   here[r] + x * S * (p->out_last ? 1 : p->out_h * p->out_w));
    ready = 0;
  }
}

static bool task(const conv_plan *c, const conv_operands *t, int64_t i, int thread, void *room) {
  const last_plan *p = c->own;
  const bool back = p->g.result == MS_CONV_X;
  float *result = back ? t->x : t->y, *edge;
  const last_task k = MS_NAME(conv_last_begin_task)(p, i, back ? t->y : t->x, room, &edge);
  result += k.i0 * p->out_channels * p->out_h * p->out_w;
  for (const last_phase *j = p->phase; j < p->phase + p->phase_count; j++) {
    const tiling cut = tiling_of(p, j, k.t0, k.t1);
    if (!cut.rows) continue;
    MS_NAME(ms_amx_configure)(cut.rows, max_i64(j->depth, 1));
    for (int64_t panel = k.panel0; panel < k.panel1; panel++)
      amx_panel(p, j, &cut, panel, k.i1 - k.i0, room, t->bias, t->shared, result, edge);
  }
  MS_NAME(ms_amx_release)();
  return (void)thread, true;
}

const conv_functions MS_NAME(conv_last_amx) = {
    .plan = plan, .begin = begin, .task = task, .made = MS_NAME(conv_last_made), .free = free};
#else
const conv_functions MS_NAME(conv_last_amx) = {0}; /* never asked: ms_amx_ready says no */
#endif
