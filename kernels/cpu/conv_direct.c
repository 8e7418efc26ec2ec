/* conv_direct.c -- convolution with few channels (conv_direct.h).
 *
 * A source plane is copied once per kernel column b, shifted and cut (or thinned, for a stride) to the columns of the result, with
 * zeros for the padding: `planes`. In those, kernel row a is only so many whole rows further on. So all pixels of a result plane,
 * taken as one line, are sums over the terms k = (channel, a, b) of a weight times planes[offset[k] + pixel]: the vectors run over
 * row ends and the result is written where it belongs. The adjoint in x with stride s is s x s such sums, one per phase of x,
 * each with its share of the taps. The adjoint in w multiplies the same lines with those of g, and adds up the lanes at the end.
 *
 * For stride 1 one copy can serve all columns (`pitched`): rows with zeros between them, which the sums run over too.
 *
 * Images too large for PLANES_BYTES are cut into bands of rows. */
#include "conv_direct.h"
#include "conv_tiles.h"
#include <stdlib.h>
#include <string.h>

enum { TAPS = 8, PHASES = 4, PLANES_BYTES = 192 << 10, PLANES_MOST = 32 << 20, AHEAD = 2048 };
/* One sum over shifted planes: result pixel (i, j) reads the source at (i * stride + shift[0][a], j * stride + shift[1][b]). */
typedef struct job {
  int taps[2], tap[2][TAPS];              /* which rows and columns of the kernel */
  int64_t shift[2][TAPS], stride[2], low; /* low: the least shift of rows */
  int64_t rows, cols, step[2], at[2];     /* its results, at (i * step + at) of the whole result */
  bool pitched;
  int64_t line, left, right; /* floats of a row of planes and results; zeros before the first row, behind the last (pitched) */
  int64_t result_plane;      /* floats of a channel of results in the lane */
  int64_t phases, band, plane_rows, plane; /* of rows; result rows at a time; rows and floats of a plane */
  int64_t terms;
  size_t weights, offsets; /* in the shared area, bytes */
} job;

struct ms_direct {
  ms_conv g;
  int64_t from, to, h, w, out_h, out_w; /* channels and planes of the source and the result (for w: x and y) */
  int jobs;
  job job[PHASES];
  int64_t group;                                              /* images at a time (for w) */
  size_t shared_bytes, lane_bytes, planes_bytes, tails, sums; /* tails, sums: places in the lane */
};

static int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* ---- the plan -------------------------------------------------------------------------------------------------------------- */

/* The taps of one dimension for results i * step + at. */
static void set_taps(job *j, int dim, const ms_conv *g, int64_t at, int64_t step) {
  int64_t n = dim ? g->kw : g->kh, s = g->stride[dim];
  j->taps[dim] = 0, j->step[dim] = step, j->at[dim] = at;
  j->stride[dim] = g->result == MS_CONV_X ? 1 : s;
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

/* Copies of a source row in the planes. */
static int columns(const job *j) { return j->pitched ? 1 : j->taps[1]; }

/* One copy for all columns of the kernel: source rows with as many zeros behind them as a tap may reach over either end, where it
 * reads the zeros before the next row or behind the last. What the sums give at those zeros is dropped. Worth it where copying
 * results (for w: g) costs less than copying sources often. */
static void set_pitch(const ms_direct *d, job *j) {
  int64_t left = 0, right = 0;
  if (j->stride[0] != 1 || j->stride[1] != 1 || j->taps[1] < 2) return;
  for (int b = 0; b < j->taps[1]; b++) {
    if (-j->shift[1][b] > left) left = -j->shift[1][b];
    if (j->shift[1][b] + j->cols - d->w > right) right = j->shift[1][b] + j->cols - d->w;
  }
  int64_t line = d->w + (left > right ? left : right);
  if (line < j->cols || 2 * d->from * (j->taps[1] - 1) < d->to) return;
  j->pitched = true, j->left = left, j->line = line;
  j->right = L + line - j->cols; /* no shift is more than line - cols */
}

static void set_sizes(ms_direct *d, job *j) {
  int64_t high = 0;
  j->rows = (d->out_h - j->at[0] + j->step[0] - 1) / j->step[0];
  j->cols = (d->out_w - j->at[1] + j->step[1] - 1) / j->step[1];
  if (j->rows < 0) j->rows = 0;
  if (j->cols < 0) j->cols = 0;
  j->terms = d->from * j->taps[0] * j->taps[1];
  j->low = 0;
  for (int a = 0; a < j->taps[0]; a++) {
    if (!a || j->shift[0][a] < j->low) j->low = j->shift[0][a];
    if (!a || j->shift[0][a] > high) high = j->shift[0][a];
  }
  j->phases = high > j->low ? j->stride[0] : 1;
  j->line = j->cols;
  set_pitch(d, j);
  int64_t more = (high - j->low) / j->stride[0], row = d->from * columns(j) * j->phases * j->line * 4;
  j->band = row ? PLANES_BYTES / row - more : j->rows;
  if (j->band < 4) j->band = 4;
  if (j->band > j->rows) j->band = j->rows;
  j->plane_rows = j->band + more;
  j->plane = up(j->left + j->plane_rows * j->line + j->right, 16);
  j->result_plane = up(j->band * j->line + L, 16);
}

static size_t place(size_t *area, int64_t bytes) {
  size_t at = *area;
  *area += (size_t)up(bytes, 64);
  return at;
}

static size_t planes_bytes(const ms_direct *d, const job *j) {
  return (size_t)up((d->from * columns(j) * j->phases * j->plane + 16) * 4, 64);
}

/* Where it is faster than oneDNN, which fills blocks of 16 channels whatever their number, but has a special way for an x of few
 * channels. Measured on Zen 4 with AVX-512, one thread, 3 x 3 to 7 x 7 kernels (GFLOP/s, oneDNN against this):
 *   y:  16 -> 8 channels 47 / 61, 64 -> 4 25 / 60, 16 -> 1 7 / 40, 3 -> 16 60 / 71, but 8 -> 16 76 / 61, 2 -> 16 stride 2 78 / 64
 *   dx: 3 -> 16 19 / 48, 12 -> 12 61 / 82, 4 -> 64 25 / 60, 2 -> 16 stride 2 13 / 38, 8 -> 16 46 / 62, but 16 -> 16 110 / 90
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
  int64_t step[2] = {back ? g->stride[0] : 1, back ? g->stride[1] : 1};
  int64_t scratch = 0; /* of a channel of results before they are spread; for w, of g with its rows spread */
  for (int64_t r = 0; r < step[0]; r++)
    for (int64_t q = 0; q < step[1]; q++) {
      job *j = &d->job[d->jobs++];
      set_taps(j, 0, g, r, step[0]);
      set_taps(j, 1, g, q, step[1]);
      set_sizes(d, j);
      if (g->result != MS_CONV_W) j->weights = place(&d->shared_bytes, j->terms * d->to * 4);
      j->offsets = place(&d->shared_bytes, j->terms * 4);
      if (planes_bytes(d, j) > d->planes_bytes) d->planes_bytes = planes_bytes(d, j);
      if ((step[0] * step[1] > 1 || j->pitched) && j->result_plane > scratch) scratch = j->result_plane;
    }
  if (d->planes_bytes > PLANES_MOST) return free(d), NULL; /* offsets are 32 bits */
  d->group = 1;
  if (g->result == MS_CONV_W) {
    const job *j = &d->job[0];
    if (j->band == j->rows) d->group = PLANES_BYTES / ((int64_t)d->planes_bytes + scratch * d->to * 4);
    if (d->group > 16) d->group = 16;
    if (d->group < 1) d->group = 1;
    place(&d->lane_bytes, d->group * (int64_t)d->planes_bytes);
    d->tails = place(&d->lane_bytes, d->group * d->to * (j->pitched ? scratch * 4 : BYTES));
    d->sums = place(&d->lane_bytes, d->to * j->terms * BYTES);
  } else {
    place(&d->lane_bytes, (int64_t)d->planes_bytes);
    d->tails = place(&d->lane_bytes, scratch * d->to * 4);
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
          int64_t down = j->shift[0][a] - j->low;
          int64_t at = down / j->stride[0] * j->line;
          if (j->pitched) at += c * j->plane + j->left + j->shift[1][b];
          else at += ((c * j->taps[1] + b) * j->phases + down % j->stride[0]) * j->plane;
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

/* n rows from row `top` of a plane of h x w (zeros outside it), rows `line` apart, zeros between them and `behind` the last. */
static void fill_pitched(float *p, const float *x, int64_t h, int64_t w, int64_t top, int64_t n, int64_t line, int64_t behind) {
  int64_t t0 = top < 0 ? -top : 0, t1 = h - top < n ? h - top : n;
  if (t0 > n) t0 = n;
  if (t1 < t0) t1 = t0;
  memset(p, 0, (size_t)(t0 * line) * 4);
  memset(p + t1 * line, 0, (size_t)((n - t1) * line + behind) * 4);
  copy_rows(p + t0 * line, line, x + (top + t0) * w, w, w, t1 - t0);
  for (int64_t i = w; i < line; i++)
    for (int64_t t = t0; t < t1; t++) p[t * line + i] = 0;
}

/* Results j in [*from, *to) whose source j * stride + shift lies in 0 .. n-1. */
static void inside(int64_t shift, int64_t stride, int64_t n, int64_t results, int64_t *from, int64_t *to) {
  *from = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  *to = shift >= n ? 0 : (n - 1 - shift) / stride + 1;
  if (*to > results) *to = results;
  if (*from > *to) *from = *to;
}

/* The planes of result rows y0 .. y0+rows-1, from one image. */
static void fill_planes(const ms_direct *d, const job *j, const float *image, int64_t y0, int64_t rows, float *p) {
  int64_t n = rows + j->plane_rows - j->band, cols = j->cols, w = d->w;
  for (int64_t c = 0; j->pitched && c < d->from; c++, image += d->h * w, p += j->plane) {
    memset(p, 0, (size_t)j->left * 4);
    fill_pitched(p + j->left, image, d->h, w, y0 + j->low, n, j->line, j->right);
  }
  for (int64_t c = 0; !j->pitched && c < d->from; c++, image += d->h * w)
    for (int b = 0; b < j->taps[1]; b++)
      for (int64_t f = 0; f < j->phases; f++, p += j->plane) {
        int64_t top = y0 * j->stride[0] + f + j->low, t0, t1, from, to, shift = j->shift[1][b], step = j->stride[1];
        inside(top, j->stride[0], d->h, n, &t0, &t1);
        inside(shift, step, w, cols, &from, &to);
        if (t0 == t1) t0 = t1 = n;
        if (t0) memset(p, 0, (size_t)(t0 * cols) * 4);
        if (t1 < n) memset(p + t1 * cols, 0, (size_t)((n - t1) * cols) * 4);
        if (t0 == t1) continue;
        const float *x = image + (top + t0 * j->stride[0]) * w;
        float *to_row = p + t0 * cols;
        int64_t lines = t1 - t0, line = j->stride[0] * w;
        if (step == 1 && cols == line) { /* all rows at once, the ends mended afterwards */
          int64_t lo = shift < 0 ? -shift : 0, hi = shift > 0 ? lines * w - shift : lines * w;
          if (lo < hi) copy_line(to_row + lo, x + lo + shift, hi - lo);
        } else
          for (int64_t t = 0; t < lines; t++) {
            float *restrict r = to_row + t * cols;
            const float *restrict s = x + t * line + shift;
            if (step == 1) copy_line(r + from, s + from, to - from);
            else if (step == 2)
              for (int64_t i = from; i < to; i++) r[i] = s[2 * i];
            else
              for (int64_t i = from; i < to; i++) r[i] = s[step * i];
          }
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

/* Results of rows from y0 on, in the lane, to where they belong. */
static void spread(const ms_direct *d, const job *j, const float *from, int64_t y0, int64_t rows, float *out) {
  for (int64_t c = 0; c < d->to; c++, from += j->result_plane) {
    if (d->jobs == 1) {
      copy_rows(out + (c * d->out_h + y0) * d->out_w, d->out_w, from, j->line, j->cols, rows);
      continue;
    }
    for (int64_t i = 0; i < rows; i++) {
      const float *restrict r = from + i * j->line;
      float *restrict to = out + (c * d->out_h + (y0 + i) * j->step[0] + j->at[0]) * d->out_w + j->at[1];
      for (int64_t x = 0; x < j->cols; x++) to[x * j->step[1]] = r[x];
    }
  }
}

static void run_image(const ms_direct *d, const float *image, const float *bias, float *out, const char *shared, char *lane) {
  float *p = (float *)lane, *scratch = (float *)(lane + d->tails);
  for (const job *j = d->job; j < d->job + d->jobs; j++)
    for (int64_t y0 = 0; y0 < j->rows && j->cols; y0 += j->band) {
      int64_t rows = y0 + j->band < j->rows ? j->band : j->rows - y0, pixels = rows * j->line;
      fill_planes(d, j, image, y0, rows, p);
      if (d->jobs == 1 && !j->pitched) results(d, j, shared, p, bias, out + y0 * j->cols, d->out_h * d->out_w, pixels);
      else results(d, j, shared, p, bias, scratch, j->result_plane, pixels), spread(d, j, scratch, y0, rows, out);
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

static void run_weights(const ms_direct *d, int64_t first, int64_t last, const float *x, const float *y, float *w,
                        const char *shared, char *lane) {
  const job *j = &d->job[0];
  const int32_t *offset = (const int32_t *)(shared + j->offsets);
  float *p = (float *)lane, *tails = (float *)(lane + d->tails), *all = (float *)(lane + d->sums), *sums;
  int64_t plane = d->out_h * d->out_w, image_step = (int64_t)(d->planes_bytes / 4);
  memset(all, 0, (size_t)(d->to * j->terms) * BYTES);
  for (int64_t i = first; i < last; i += d->group)
    for (int64_t y0 = 0; y0 < j->rows; y0 += j->band) {
      int64_t rows = y0 + j->band < j->rows ? j->band : j->rows - y0, pixels = rows * j->line, left = pixels % L;
      strip s = {.images = last - i < d->group ? last - i : d->group, .vectors = pixels / L, .image_step = image_step};
      s.g = y + i * d->to * plane + y0 * j->cols, s.g_plane = plane, s.g_step = d->to * plane;
      for (int64_t m = 0; m < s.images; m++) fill_planes(d, j, x + (i + m) * d->from * d->h * d->w, y0, rows, p + m * image_step);
      if (j->pitched) {
        s.vectors = (pixels + L - 1) / L;
        for (int64_t m = 0; m < s.images * d->to; m++)
          fill_pitched(tails + m * j->result_plane, s.g + m * plane, rows, j->cols, 0, rows, j->line, L);
        s.g = tails, s.g_plane = j->result_plane, s.g_step = d->to * j->result_plane;
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
}

void MS_NAME(ms_direct_run)(const ms_direct *d, int64_t first, int64_t last, float *x, float *w, float *y, const float *bias,
                            const void *shared, void *lane) {
  bool back = d->g.result == MS_CONV_X;
  int64_t from = d->from * d->h * d->w, to = d->to * d->out_h * d->out_w;
  if (d->g.result == MS_CONV_W) run_weights(d, first, last, x, y, w, shared, lane);
  else
    for (int64_t i = first; i < last; i++) run_image(d, (back ? y : x) + i * from, bias, (back ? x : y) + i * to, shared, lane);
}
