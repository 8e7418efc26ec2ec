/* conv_direct.c -- convolution with few channels (conv_direct.h).
 *
 * A source plane is copied once per kernel column b, shifted and cut (or thinned, for a stride) to the columns of the result, with
 * zeros for the padding: `planes`. In those, kernel row a is only so many whole rows further on. So all pixels of a result plane,
 * taken as one line, are sums over the terms k = (channel, a, b) of a weight times planes[offset[k] + pixel]: the vectors run over
 * row ends and the result is written where it belongs. The adjoint in x with stride s is s x s such sums, one per phase of x,
 * each with its share of the taps. The adjoint in w multiplies the same lines with those of g, and adds up the lanes at the end.
 *
 * One copy can serve all columns (`pitched`): rows with zeros between them, which the sums run over too. With stride 2 it is cut in
 * two, even columns and odd ones. All phases of x read the same planes.
 *
 * Images too large for PLANES_BYTES are cut into bands of rows. */
#include "conv_direct.h"
#include "conv_tiles.h"
#include <stdlib.h>
#include <string.h>

enum { TAPS = 8, PHASES = 4, PLANES_BYTES = 192 << 10, PLANES_MOST = 32 << 20, AHEAD = 2048 };
/* One sum over shifted planes: result pixel (i, j) reads the source at (i * stride + shift[0][a], j * stride + shift[1][b]). */
typedef struct job {
  int taps[2], tap[2][TAPS]; /* which rows and columns of the kernel */
  int64_t shift[2][TAPS];
  int64_t terms;
  size_t weights, offsets; /* in the shared area, bytes */
} job;

struct ms_direct {
  ms_conv g;
  int64_t from, to, h, w, out_h, out_w; /* channels and planes of the source and the result (for w: x and y) */
  int64_t stride[2], step[2];           /* of the source; jobs are the results (i * step[0] + r, j * step[1] + q), r, q < step */
  int jobs;
  job job[PHASES];
  int64_t low, rows, cols; /* the least shift of rows; the results of a job, the first of which has most */
  bool pitched;
  half_mask keep[2];         /* of a source row's last L floats, those that are there, by evens and odds (pitched, stride 2) */
  int64_t columns;           /* copies of a source row in the planes */
  int64_t line, left, right; /* floats of a row of planes and results; zeros before the first row, behind the last (pitched) */
  int64_t result_plane;      /* floats of a channel of a job's results in the lane */
  int64_t phases, band, plane_rows, plane;                    /* of rows; result rows at a time; rows and floats of a plane */
  int64_t group;                                              /* images at a time (for w) */
  size_t shared_bytes, lane_bytes, planes_bytes, tails, sums; /* tails, sums: places in the lane */
};

/* ---- the plan -------------------------------------------------------------------------------------------------------------- */

/* The taps of one dimension for results i * step + at. */
static void set_taps(const ms_direct *d, job *j, int dim, int64_t at) {
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

/* Column n of the source is column n / s of its phase n % s. */
static int64_t phase_of(int64_t n, int64_t s) { return n >= 0 ? n % s : (s - -n % s) % s; }
static int64_t phase_width(const ms_direct *d, int64_t phase) { return (d->w - phase + d->stride[1] - 1) / d->stride[1]; }

/* One copy for all columns of the kernel, cut in phases if there is a stride: source rows with as many zeros behind them as a tap
 * may reach over either end, where it reads the zeros before the next row or behind the last. What the sums give at those zeros is
 * dropped. Worth it where copying results (for w: g) costs less than copying sources often. */
static void set_pitch(ms_direct *d) {
  int64_t left = 0, right = 0, s = d->stride[1];
  if (d->jobs == 1 && (d->job[0].taps[1] < 2 || s > 2 || 2 * d->from * (d->job[0].taps[1] - 1) < d->to)) return;
  for (const job *j = d->job; j < d->job + d->jobs; j++)
    for (int b = 0; b < j->taps[1]; b++) {
      int64_t phase = phase_of(j->shift[1][b], s), shift = (j->shift[1][b] - phase) / s;
      if (-shift > left) left = -shift;
      if (shift + d->cols - phase_width(d, phase) > right) right = shift + d->cols - phase_width(d, phase);
    }
  int64_t line = phase_width(d, 0) + (left > right ? left : right);
  if (line < d->cols) return;
  d->pitched = true, d->columns = s, d->left = left, d->line = line;
  d->right = L + line; /* a row may be copied with more behind it */
  for (int64_t l = 0; l < L; l++) d->keep[l % 2][l / 2] = l < d->w - round_up(d->w, L) + L ? -1 : 0;
}

static void set_sizes(ms_direct *d) {
  int64_t high = 0;
  bool any = false;
  d->rows = (d->out_h + d->step[0] - 1) / d->step[0];
  d->cols = (d->out_w + d->step[1] - 1) / d->step[1];
  for (job *j = d->job; j < d->job + d->jobs; j++) {
    j->terms = d->from * j->taps[0] * j->taps[1];
    for (int a = 0; a < j->taps[0]; a++, any = true) {
      if (!any || j->shift[0][a] < d->low) d->low = j->shift[0][a];
      if (!any || j->shift[0][a] > high) high = j->shift[0][a];
    }
  }
  d->phases = high > d->low ? d->stride[0] : 1;
  d->line = d->cols, d->columns = d->job[0].taps[1];
  set_pitch(d);
  int64_t more = (high - d->low) / d->stride[0], row = d->from * d->columns * d->phases * d->line * 4;
  d->band = row ? PLANES_BYTES / row - more : d->rows;
  if (d->band < 4) d->band = 4;
  if (d->band > d->rows) d->band = d->rows;
  d->plane_rows = d->band + more;
  d->plane = round_up(d->left + d->plane_rows * d->line + d->right, 16);
  d->result_plane = round_up(d->band * d->line + L, 16);
}

static size_t place(size_t *area, int64_t bytes) {
  size_t at = *area;
  *area += (size_t)round_up(bytes, 64);
  return at;
}

/* Which shapes it takes from planes; what it leaves goes to conv_last.h, with a transpose, or else to oneDNN. The limits were drawn
 * against oneDNN, which fills blocks of 16 channels whatever their number, but has a special way for an x of few channels; against
 * conv_last.h they have not been drawn anew. Zen 4 with AVX-512, one thread, 3 x 3 to 7 x 7 kernels (GFLOP/s, oneDNN and this):
 *   y:  16 -> 8 channels 47 / 61, 64 -> 4 25 / 60, 16 -> 1 7 / 40, 3 -> 16 60 / 71, but 8 -> 16 76 / 61, 2 -> 16 stride 2 78 / 64
 *   dx: 3 -> 16 19 / 48, 12 -> 12 61 / 82, 4 -> 64 25 / 60, 2 -> 16 stride 2 13 / 70, 8 -> 16 46 / 62, but 16 -> 16 110 / 90
 *   dw: 16 -> 8 41 / 67, 12 -> 12 47 / 80, 4 -> 64 34 / 61, 64 -> 4 22 / 60, 8 -> 8 82 / 78, but 2 -> 16 stride 2 86 / 65
 * Beyond 64 channels on the other side, or with fewer pixels than a vector has lanes, it has nothing to offer. */
static bool is_good(const ms_conv *g) {
  bool dense = g->stride[0] == 1 && g->stride[1] == 1;
  int64_t pixels = g->oh * g->ow, volume = g->c * g->o * g->kh * g->kw;
  if (g->groups != 1 || g->kh > TAPS || g->kw > TAPS || g->c > 64 || g->o > 64 || volume > 1 << 14 || pixels < 16) return false;
  switch (g->result) {
  case MS_CONV_Y: return g->o <= 8 || (g->c <= 3 && g->o <= 16 && dense);
  case MS_CONV_X: return (g->c <= 12 || g->o <= 8) && g->stride[0] <= PHASES && g->stride[1] <= PHASES / g->stride[0];
  default: return g->o <= 8 || (g->c <= 8 && dense) || (g->c <= 12 && g->o <= 12 && dense);
  }
}

ms_direct *MS_NAME(ms_direct_new)(const ms_conv *g) {
  if (!is_good(g)) return NULL;
  ms_direct *d = calloc(1, sizeof *d);
  if (!d) return NULL;
  bool back = g->result == MS_CONV_X;
  d->g = *g;
  d->from = back ? g->o : g->c, d->h = back ? g->oh : g->h, d->w = back ? g->ow : g->w;
  d->to = back ? g->c : g->o, d->out_h = back ? g->h : g->oh, d->out_w = back ? g->w : g->ow;
  for (int i = 0; i < 2; i++) d->step[i] = back ? g->stride[i] : 1, d->stride[i] = back ? 1 : g->stride[i];
  for (int64_t r = 0; r < d->step[0]; r++)
    for (int64_t q = 0; q < d->step[1]; q++) {
      job *j = &d->job[d->jobs++];
      set_taps(d, j, 0, r);
      set_taps(d, j, 1, q);
    }
  set_sizes(d);
  for (job *j = d->job; j < d->job + d->jobs; j++) {
    if (g->result != MS_CONV_W) j->weights = place(&d->shared_bytes, j->terms * d->to * 4);
    j->offsets = place(&d->shared_bytes, j->terms * 4);
  }
  d->planes_bytes = (size_t)round_up((d->from * d->columns * d->phases * d->plane + 16) * 4, 64);
  if (d->planes_bytes > PLANES_MOST || (d->jobs > 1 && !d->pitched)) return free(d), NULL; /* offsets are 32 bits */
  int64_t scratch = d->pitched ? d->result_plane : 0; /* of a channel of results before they are spread; for w, of g as pitched */
  d->group = 1;
  if (g->result == MS_CONV_W) {
    if (d->band == d->rows) d->group = PLANES_BYTES / ((int64_t)d->planes_bytes + scratch * d->to * 4);
    if (d->group > 16) d->group = 16;
    if (d->group < 1) d->group = 1;
    place(&d->lane_bytes, d->group * (int64_t)d->planes_bytes);
    d->tails = place(&d->lane_bytes, d->group * d->to * (d->pitched ? scratch * 4 : BYTES));
    d->sums = place(&d->lane_bytes, d->to * d->job[0].terms * BYTES);
  } else {
    place(&d->lane_bytes, (int64_t)d->planes_bytes);
    d->tails = place(&d->lane_bytes, d->jobs * scratch * d->to * 4);
  }
  return d;
}

void MS_NAME(ms_direct_free)(ms_direct *d) { free(d); }
size_t MS_NAME(ms_direct_shared_bytes)(const ms_direct *d) { return d->shared_bytes; }
size_t MS_NAME(ms_direct_lane_bytes)(const ms_direct *d) { return d->lane_bytes; }

static int tile_size(int64_t left, int most) {
  int n = most;
  while (n > left) n /= 2;
  return n;
}

/* Offsets of the terms in the planes, and the weights as the tiles read them: [tile of channels][term][channel in it]. */
void MS_NAME(ms_direct_begin)(const ms_direct *d, const float *w, void *shared) {
  const ms_conv *g = &d->g;
  for (const job *j = d->job; j < d->job + d->jobs; j++) {
    int32_t *offset = (int32_t *)((char *)shared + j->offsets);
    float *pack = (float *)((char *)shared + j->weights);
    for (int64_t c = 0; c < d->from; c++)
      for (int a = 0; a < j->taps[0]; a++)
        for (int b = 0; b < j->taps[1]; b++) {
          int64_t down = j->shift[0][a] - d->low, column = d->pitched ? phase_of(j->shift[1][b], d->stride[1]) : b;
          int64_t at = ((c * d->columns + column) * d->phases + down % d->stride[0]) * d->plane + down / d->stride[0] * d->line;
          if (d->pitched) at += d->left + (j->shift[1][b] - column) / d->stride[1];
          *offset++ = (int32_t)at;
        }
    if (g->result == MS_CONV_W) continue;
    int64_t k = g->kh * g->kw, c_step = g->result == MS_CONV_X ? g->c * k : k, o_step = g->result == MS_CONV_X ? k : g->c * k;
    for (int64_t o = 0, n; o < d->to; o += n) {
      n = tile_size(d->to - o, TO_MOST);
      for (int64_t c = 0; c < d->from; c++)
        for (int a = 0; a < j->taps[0]; a++)
          for (int b = 0; b < j->taps[1]; b++)
            for (int64_t i = 0; i < n; i++) *pack++ = w[(o + i) * o_step + c * c_step + j->tap[0][a] * g->kw + j->tap[1][b]];
    }
  }
}

/* ---- planes ---------------------------------------------------------------------------------------------------------------- */

/* What follows is read soon: the images lie one behind the other. */
static inline void copy_line(float *to, const float *from, int64_t n) {
  int64_t i = 0;
  for (; i + L <= n; i += L) {
    __builtin_prefetch(from + i + AHEAD);
    *(vec *)(to + i) = *(const vec *)(from + i);
  }
  for (; i < n; i++) to[i] = from[i];
}

/* Rows of n floats. Where it may, a row is copied with more behind it, which the next one covers. */
static void copy_rows(float *to, int64_t to_step, const float *from, int64_t from_step, int64_t n, int64_t rows) {
  int64_t step = to_step < from_step ? to_step : from_step;
  for (int64_t t = 0; t < rows; t++, to += to_step, from += from_step) {
    if (n >= L) {
      for (int64_t i = 0; i + L < n; i += L) *(vec *)(to + i) = *(const vec *)(from + i);
      *(vec *)(to + n - L) = *(const vec *)(from + n - L);
    } else if ((rows - 1 - t) * step + n >= L) *(vec *)to = *(const vec *)from;
    else
      for (int64_t i = 0; i < n; i++) to[i] = from[i];
    __builtin_prefetch(from + AHEAD);
    __builtin_prefetch(from + AHEAD + L);
  }
}

/* Every second of w floats to a, the others to b, and zeros behind them up to L / 2 at a time; room: floats that may be read; keep:
 * which of the last L are among the w. */
static inline void part(float *a, float *b, const float *from, int64_t w, int64_t room, const half_mask *keep) {
  int64_t i = 0;
  for (; i + 2 * L <= w && i + 2 * L <= room; i += 2 * L) {
    __builtin_prefetch(from + i + AHEAD);
    *(vec *)(a + i / 2) = even(from + i), *(vec *)(b + i / 2) = odd(from + i);
  }
  __builtin_prefetch(from + i + AHEAD);
  for (; i < w && i + L <= room; i += L) {
    half x = half_even(from + i), y = half_odd(from + i);
    if (i + L >= w) x = (half)((half_mask)x & keep[0]), y = (half)((half_mask)y & keep[1]);
    *(half *)(a + i / 2) = x, *(half *)(b + i / 2) = y;
  }
  for (; i < round_up(w, L); i++) (i % 2 ? b : a)[i / 2] = i < w ? from[i] : 0;
}

/* Rows t0 .. t1-1 of n, of w floats each, `line` apart, are there: zeros before, between and behind them. */
static void mend_rows(float *p, int64_t t0, int64_t t1, int64_t n, int64_t w, int64_t line, int64_t behind) {
  memset(p, 0, (size_t)(t0 * line) * 4);
  memset(p + t1 * line, 0, (size_t)((n - t1) * line + behind) * 4);
  for (int64_t i = w; i < line; i++)
    for (int64_t t = t0; t < t1; t++) p[t * line + i] = 0;
}

/* n rows from row `top` of a plane of h x w (zeros outside it), rows `line` apart, zeros between them and `behind` the last. */
static void fill_pitched(float *p, const float *x, int64_t h, int64_t w, int64_t top, int64_t n, int64_t line, int64_t behind) {
  int64_t t0 = top < 0 ? -top : 0, t1 = h - top < n ? h - top : n;
  if (t0 > n) t0 = n;
  if (t1 < t0) t1 = t0;
  copy_rows(p + t0 * line, line, x + (top + t0) * w, w, w, t1 - t0);
  mend_rows(p, t0, t1, n, w, line, behind);
}

/* Pitched planes, cut in phases. */
static void fill_phases(const ms_direct *d, const float *image, int64_t y0, int64_t n, float *planes) {
  int64_t s = d->stride[0], w = d->w, step = d->phases * d->plane; /* from a phase of columns to the next */
  int64_t done = d->columns == 2 ? round_up(w, L) / 2 : 0;         /* columns that part fills */
  for (int64_t f = 0; f < d->phases; f++) {
    int64_t top = y0 * s + f + d->low, t0, t1;
    inside(top, s, d->h, n, &t0, &t1);
    for (int64_t c = 0; c < d->from; c++) {
      const float *x = image + c * d->h * w;
      int64_t room = (d->from - c) * d->h * w;
      float *p = planes + c * d->columns * step + f * d->plane, *to = p + d->left;
      if (d->columns == 1 && t1 > t0) copy_rows(to + t0 * d->line, d->line, x + (top + t0 * s) * w, s * w, w, t1 - t0);
      for (int64_t t = t0; t < t1 && d->columns == 2; t++) {
        int64_t at = (top + t * s) * w;
        part(to + t * d->line, to + step + t * d->line, x + at, w, room - at, d->keep);
      }
      for (int64_t q = 0; q < d->columns; q++) {
        int64_t width = phase_width(d, q);
        for (int64_t i = 0; i < d->left; i++) p[q * step + i] = 0;
        mend_rows(to + q * step, t0, t1, n, done > width ? done : width, d->line, d->right);
      }
    }
  }
}

/* The planes of result rows y0 .. y0+rows-1, from one image. */
static void fill_planes(const ms_direct *d, const float *image, int64_t y0, int64_t rows, float *p) {
  int64_t n = rows + d->plane_rows - d->band, cols = d->cols, w = d->w, channel = d->h * w, room = d->from * channel;
  const job *j = d->job;
  if (d->pitched && (d->stride[0] > 1 || d->stride[1] > 1)) return fill_phases(d, image, y0, n, p);
  for (int64_t c = 0; d->pitched && c < d->from; c++, image += channel, p += d->plane) {
    memset(p, 0, (size_t)d->left * 4);
    fill_pitched(p + d->left, image, d->h, w, y0 + d->low, n, d->line, d->right);
  }
  for (int64_t c = 0; !d->pitched && c < d->from; c++, image += channel, room -= channel)
    for (int b = 0; b < j->taps[1]; b++)
      for (int64_t f = 0; f < d->phases; f++, p += d->plane) {
        int64_t top = y0 * d->stride[0] + f + d->low, t0, t1, from, to, shift = j->shift[1][b], step = d->stride[1];
        inside(top, d->stride[0], d->h, n, &t0, &t1);
        inside(shift, step, w, cols, &from, &to);
        if (t0 == t1) t0 = t1 = n;
        int64_t lines = t1 - t0, line = d->stride[0] * w, first = (top + t0 * d->stride[0]) * w;
        const float *x = image + first;
        float *to_row = p + t0 * cols;
        if (!lines) {
        } else if (step == 1 && d->stride[0] == 1 && cols == line) { /* all rows at once, the ends mended afterwards */
          int64_t lo = shift < 0 ? -shift : 0, hi = shift > 0 ? lines * w - shift : lines * w;
          if (lo < hi) copy_line(to_row + lo, x + lo + shift, hi - lo);
        } else
          for (int64_t t = 0; t < lines; t++) {
            float *restrict r = to_row + t * cols;
            const float *restrict s = x + t * line + shift;
            int64_t i = from;
            if (step == 1) copy_line(r + from, s + from, to - from);
            else if (step == 2)
              for (; i < to && first + t * line + shift + 2 * (i + L) <= room; i += L) *(vec *)(r + i) = even(s + 2 * i);
            for (; step > 1 && i < to; i++) r[i] = s[step * i];
          }
        if (t0) memset(p, 0, (size_t)(t0 * cols) * 4);
        if (t1 < n) memset(p + t1 * cols, 0, (size_t)((n - t1) * cols) * 4);
        for (int64_t i = 0; i < from; i++)
          for (int64_t t = 0; t < lines; t++) to_row[t * cols + i] = 0;
        for (int64_t i = to; i < cols; i++)
          for (int64_t t = 0; t < lines; t++) to_row[t * cols + i] = 0;
      }
}

/* ---- results x and y ---- */

/* `pixels` of every result channel, channels `plane` apart. */
static void results(const ms_direct *d, const job *j, const char *shared, const float *p, const float *bias, float *out,
                    int64_t plane, int64_t pixels) {
  const int32_t *offset = (const int32_t *)(shared + j->offsets);
  int n;
  for (int64_t o = 0; o < d->to; o += n) {
    const float *weight = (const float *)(shared + j->weights) + o * j->terms;
    n = tile_size(d->to - o, TO_MOST);
    int64_t vectors = (pixels + L - 1) / L, tiles = (vectors + tv_most[n] - 1) / tv_most[n];
    for (int64_t t = 0; t < tiles; t++) {
      int64_t v0 = vectors * t / tiles, v1 = vectors * (t + 1) / tiles, end = v1 * L < pixels ? v1 * L : pixels;
      tile[n][v1 - v0](j->terms, offset, weight, p + v0 * L, bias ? bias + o : NULL, out + o * plane + v0 * L, plane, end - v0 * L);
    }
  }
}

/* n floats of a and b by turns, where `room` may be overwritten: what is behind them is written later. */
static inline void by_turns(float *to, const float *a, const float *b, int64_t n, int64_t room) {
  int64_t i = 0;
  for (; i < n && i + 2 * L <= room; i += 2 * L) {
    vec x = *(const vec *)(a + i / 2), y = *(const vec *)(b + i / 2);
    *(vec *)(to + i) = turns_low(x, y), *(vec *)(to + i + L) = turns_high(x, y);
  }
  if (i < n && i + L <= room) *(vec *)(to + i) = turns_low(*(const vec *)(a + i / 2), *(const vec *)(b + i / 2)), i += L;
  for (; i < n; i++) to[i] = (i % 2 ? b : a)[i / 2];
}

/* Results of rows from y0 on, in the lane, to where they belong. */
static void spread(const ms_direct *d, const float *from, int64_t y0, int64_t rows, float *out) {
  int64_t s = d->step[1], next = d->to * d->result_plane, w = d->out_w; /* next: from a job's results to those of the next */
  for (int64_t c = 0; c < d->to; c++, from += d->result_plane, out += d->out_h * w) {
    if (d->jobs == 1) {
      copy_rows(out + y0 * w, w, from, d->line, d->cols, rows);
      continue;
    }
    for (int64_t i = 0, y = y0 * d->step[0]; i < rows; i++)
      for (int64_t k = 0; k < d->step[0] && y < d->out_h; k++, y++) {
        const float *r = from + k * s * next + i * d->line;
        if (s == 2) by_turns(out + y * w, r, r + next, w, (d->out_h - y) * w);
        else
          for (int64_t x = 0; x < w; x++) out[y * w + x] = r[x % s * next + x / s];
      }
  }
}

static void run_image(const ms_direct *d, const float *image, const float *bias, float *out, const char *shared, char *lane) {
  float *p = (float *)lane, *scratch = (float *)(lane + d->tails);
  for (int64_t y0 = 0; y0 < d->rows && d->cols; y0 += d->band) {
    int64_t rows = y0 + d->band < d->rows ? d->band : d->rows - y0, pixels = rows * d->line;
    fill_planes(d, image, y0, rows, p);
    for (int i = 0; i < d->jobs; i++)
      if (!d->pitched) results(d, &d->job[i], shared, p, bias, out + y0 * d->cols, d->out_h * d->out_w, pixels);
      else results(d, &d->job[i], shared, p, bias, scratch + i * d->to * d->result_plane, d->result_plane, pixels);
    if (d->pitched) spread(d, scratch, y0, rows, out);
  }
}

/* ---- result w ---- */

/* Calls BODY for every tile: channels o .. o+n-1, terms k .. k_end-1, at `sums`. */
#define EACH_TILE(d, j, sums, BODY)                                                                                                \
  for (int64_t o = 0, n; o < (d)->to; o += n) {                                                                                    \
    n = tile_size((d)->to - o, TW_MOST);                                                                                           \
    int64_t tiles = ((j)->terms + TK_MOST - 1) / TK_MOST;                                                                          \
    for (int64_t t = 0; t < tiles; t++) {                                                                                          \
      int64_t k = (j)->terms * t / tiles, k_end = (j)->terms * (t + 1) / tiles;                                                    \
      BODY;                                                                                                                        \
      (sums) += n * (k_end - k) * L;                                                                                               \
    }                                                                                                                              \
  }

/* The sums as they are written: only of pixels that a tap touches. The tiles also multiply what is padding, or between two rows, by
 * 0, and 0 times an infinity or NaN is NaN. So where they come to no number, this is the result. */
static void plain_weights(const ms_direct *d, int64_t first, int64_t last, const float *x, const float *y, float *w) {
  const ms_conv *g = &d->g;
  const int64_t x_plane = d->h * d->w, y_plane = d->out_h * d->out_w;
  for (int64_t o = 0; o < d->to; o++)
    for (int64_t c = 0; c < d->from; c++)
      for (int64_t a = 0; a < g->kh; a++)
        for (int64_t b = 0; b < g->kw; b++) {
          double sum = 0;
          for (int64_t i = first; i < last; i++)
            for (int64_t r = 0; r < d->out_h; r++) {
              const int64_t at = r * g->stride[0] + a * g->dilation[0] - g->pad[0];
              if (at < 0 || at >= d->h) continue;
              const float *row = x + (i * d->from + c) * x_plane + at * d->w, *by = y + (i * d->to + o) * y_plane + r * d->out_w;
              for (int64_t q = 0; q < d->out_w; q++) {
                const int64_t p = q * g->stride[1] + b * g->dilation[1] - g->pad[1];
                if (p >= 0 && p < d->w) sum += (double)by[q] * (double)row[p];
              }
            }
          *w++ = (float)sum;
        }
}

static void run_weights(const ms_direct *d, int64_t first, int64_t last, const float *x, const float *y, float *w,
                        const char *shared, char *lane) {
  const job *j = &d->job[0];
  const int32_t *offset = (const int32_t *)(shared + j->offsets);
  float *p = (float *)lane, *tails = (float *)(lane + d->tails), *all = (float *)(lane + d->sums), *sums;
  int64_t plane = d->out_h * d->out_w, image_step = (int64_t)(d->planes_bytes / 4);
  memset(all, 0, (size_t)(d->to * j->terms) * BYTES);
  for (int64_t i = first; i < last; i += d->group)
    for (int64_t y0 = 0; y0 < d->rows; y0 += d->band) {
      int64_t rows = y0 + d->band < d->rows ? d->band : d->rows - y0, pixels = rows * d->line, left = pixels % L;
      strip s = {.images = last - i < d->group ? last - i : d->group, .vectors = pixels / L, .image_step = image_step};
      s.g = y + i * d->to * plane + y0 * d->cols, s.g_plane = plane, s.g_step = d->to * plane;
      for (int64_t m = 0; m < s.images; m++) fill_planes(d, x + (i + m) * d->from * d->h * d->w, y0, rows, p + m * image_step);
      if (d->pitched) {
        s.vectors = (pixels + L - 1) / L;
        for (int64_t m = 0; m < s.images * d->to; m++)
          fill_pitched(tails + m * d->result_plane, s.g + m * plane, rows, d->cols, 0, rows, d->line, L);
        s.g = tails, s.g_plane = d->result_plane, s.g_step = d->to * d->result_plane;
      } else if (left) {
        s.tail = tails, s.tail_step = d->to * L;
        for (int64_t l = 0; l < L; l++) s.last[l] = l < left ? -1 : 0;
        for (int64_t m = 0; m < s.images * d->to; m++)
          for (int64_t l = 0; l < L; l++) tails[m * L + l] = l < left ? s.g[m * plane + s.vectors * L + l] : 0;
      }
      sums = all;
      EACH_TILE(d, j, sums, weights_tile[n][k_end - k](&s, offset + k, p, o, sums))
    }
  sums = all;
  EACH_TILE(
      d, j, sums, for (int64_t i = 0; i < n; i++) for (int64_t e = k; e < k_end; e++) {
        const float *v = sums + (i * (k_end - k) + e - k) * L;
        float sum = 0;
        for (int l = 0; l < L; l++) sum += v[l];
        w[(o + i) * j->terms + e] = sum;
      })
  float any = 0; /* 0, or NaN */
  for (int64_t i = 0; i < d->to * j->terms; i++) any += w[i] - w[i];
  if (any != 0) plain_weights(d, first, last, x, y, w);
}

void MS_NAME(ms_direct_run)(const ms_direct *d, int64_t first, int64_t last, float *x, float *w, float *y, const float *bias,
                            const void *shared, void *lane) {
  bool back = d->g.result == MS_CONV_X;
  int64_t from = d->from * d->h * d->w, to = d->to * d->out_h * d->out_w;
  if (d->g.result == MS_CONV_W) run_weights(d, first, last, x, y, w, shared, lane);
  else
    for (int64_t i = first; i < last; i++) run_image(d, (back ? y : x) + i * from, bias, (back ? x : y) + i * to, shared, lane);
}
