/* norm.c -- normalisation over dimensions, its derivative, and batch norm's forms of both with a weight and a bias per channel.
 *
 * Contiguous operands are seen as [outer][before][channel][after]: `before` and `after` are normalised over, so that every layout
 * in use is one of two: planes (after > 1; N x C x H x W, or rows), where a channel is `before` runs of `after` elements, and
 * columns (after = 1; N x C, or channels last), where channels lie side by side. A channel, or a block of columns, is read in
 * pieces that stay in the first cache, once: a piece's first elements give a value near its mean, and the sums of distances from it
 * and of their squares give mean and squared deviations. (That value is a mean of members, at least one in 64 of them or 4 rows, so
 * it cannot be so far off, in standard deviations of the piece, that the difference of squares loses more than a few bits.) Pieces
 * are put together in double by Chan, Golub and LeVeque's formula. They depend on the shape only. Where channels are too few to go
 * round, a channel is cut into PARTS. */
#include "move.h"
#include "sum.h"
#include <math.h>

enum { PARTS = 16, COLUMNS = 128, COLUMN_PIECE = 2 * MS_CHUNK, SAMPLE = 64, SAMPLE_ROWS = 4 };

typedef struct grid {
  int64_t outer, before, channels, after;
  int64_t terms;   /* per channel */
  int64_t blocks;  /* tasks: outer x channels, or outer x blocks of columns */
  int64_t pieces;  /* of a task, of which part p takes pieces * p / parts .. pieces * (p + 1) / parts */
  int64_t piece;   /* rows (runs) in a piece, or, of a long run, elements */
  int64_t per_run; /* pieces of a long run; 0: a piece holds `piece` whole runs */
  int parts;
} grid;

/* false: kept and reduced dimensions alternate more often than the grid can say. */
static bool make_grid(const ms_view *x, const ms_ints *dims, grid *g) {
  int64_t size[4] = {1, 1, 1, 1}, group[MS_MAX_RANK];
  bool gone[MS_MAX_RANK];
  int n = 0;
  for (int i = 0, k = 0; i < x->rank; i++) {
    bool reduced = k < dims->n && dims->at[k] == i;
    k += reduced;
    if (x->shape[i] == 1) continue;
    if (n && gone[n - 1] == reduced) group[n - 1] *= x->shape[i];
    else gone[n] = reduced, group[n++] = x->shape[i];
  }
  int at = n == 0 ? 0 : gone[0] ? (n == 1 ? 3 : 1) : n > 2 ? 0 : 2;
  if (n > 4 - at) return false;
  for (int i = 0; i < n; i++) size[at + i] = group[i];
  *g = (grid){.outer = size[0], .before = size[1], .channels = size[2], .after = size[3], .terms = size[1] * size[3], .parts = 1};
  if (g->after == 1) {
    int64_t m = g->channels < COLUMNS ? g->channels : COLUMNS;
    g->blocks = g->outer * ((g->channels + COLUMNS - 1) / COLUMNS);
    g->piece = m ? COLUMN_PIECE / m : 1;
    g->pieces = (g->before + g->piece - 1) / g->piece;
  } else {
    g->blocks = g->outer * g->channels;
    g->per_run = g->after > MS_CHUNK / 2 ? (g->after + MS_CHUNK - 1) / MS_CHUNK : 0;
    g->piece = g->per_run ? MS_CHUNK : g->after ? MS_CHUNK / g->after : 1;
    g->pieces = g->per_run ? g->before * g->per_run : (g->before + g->piece - 1) / g->piece;
  }
  if (g->blocks < PARTS && g->outer * g->channels * g->terms > 4 * MS_GRAIN && g->pieces >= PARTS) g->parts = PARTS;
  return true;
}

/* A piece of a plane's channel: *at its first element from the channel's, *runs runs of *n elements. */
static inline void piece_of(const grid *g, int64_t p, int64_t *at, int64_t *runs, int64_t *n) {
  int64_t step = g->channels * g->after;
  if (g->per_run) {
    int64_t from = p % g->per_run * g->piece;
    *at = p / g->per_run * step + from, *runs = 1, *n = g->after - from < g->piece ? g->after - from : g->piece;
  } else {
    int64_t from = p * g->piece;
    *at = from * step, *runs = g->before - from < g->piece ? g->before - from : g->piece, *n = g->after;
  }
}

/* Task u: its first element; the first channel (counted over outer too), how many side by side. */
typedef struct place {
  int64_t at, channel, m;
} place;
static inline place place_of(const grid *g, int64_t u) {
  if (g->after > 1) return (place){(u / g->channels * g->before * g->channels + u % g->channels) * g->after, u, 1};
  int64_t per = (g->channels + COLUMNS - 1) / COLUMNS, o = u / per, from = u % per * COLUMNS;
  return (place){o * g->before * g->channels + from, o * g->channels + from,
                 g->channels - from < COLUMNS ? g->channels - from : COLUMNS};
}

/* Two numbers for each of up to COLUMNS channels: mean and sum of squared deviations, or sums of g and of g h. */
typedef struct pair {
  double a[COLUMNS], b[COLUMNS];
} pair;

static inline double not_negative(double squares) { return squares < 0 ? 0 : squares; } /* rounding may go below */

/* (n, a, b) and (count, a2, b2) together. */
static inline void join(pair *s, double n, double count, const double *a, const double *b, int64_t m) {
  double share = count / (n + count), cross = n * share;
  for (int64_t j = 0; j < m; j++) {
    double d = a[j] - s->a[j];
    s->b[j] += b[j] + d * d * cross;
    s->a[j] += d * share;
  }
}

typedef struct job {
  const grid *g;
  double eps;
  const void *x, *weight, *bias, *in_mean, *in_rstd, *grad;
  void *y, *mean, *rstd, *dweight, *dbias;
  pair *part; /* blocks x parts of them, when parts > 1 */
} job;

#define NORM(T)                                                                                                                    \
  /* Mean and squared deviations of pieces from .. to of a task; gives the number of terms. */                                     \
  static double moments_##T(const grid *g, place w, const T *x, int64_t from, int64_t to, pair *s) {                               \
    double n = 0;                                                                                                                  \
    for (int64_t j = 0; j < w.m; j++) s->a[j] = s->b[j] = 0;                                                                       \
    for (int64_t p = from; p < to; p++) {                                                                                          \
      double count;                                                                                                                \
      if (g->after > 1) {                                                                                                          \
        int64_t at, runs, len, step = g->channels * g->after;                                                                      \
        piece_of(g, p, &at, &runs, &len);                                                                                          \
        count = (double)(runs * len);                                                                                              \
        int64_t some = len < SAMPLE ? len : SAMPLE, few = some * runs < SAMPLE ? runs : (SAMPLE + some - 1) / some;                \
        const T m = (T)(sums_##T(SUM_VALUES, x + at, x, 0, few, step, some, NULL) / (double)(few * some));                         \
        double squares, d = sums_##T(SUM_MOMENTS, x + at, x, m, runs, step, len, &squares) / count, mean = (double)m + d;          \
        squares = not_negative(squares - count * d * d);                                                                           \
        join(s, n, count, &mean, &squares, 1);                                                                                     \
      } else {                                                                                                                     \
        T sum[COLUMNS] = {0}, square[COLUMNS] = {0}, shift[COLUMNS] = {0};                                                         \
        double mean[COLUMNS], squares[COLUMNS];                                                                                    \
        int64_t r = p * g->piece, stop = r + g->piece < g->before ? r + g->piece : g->before, k = g->channels;                     \
        int64_t some = stop - r < SAMPLE_ROWS ? stop - r : SAMPLE_ROWS;                                                            \
        count = (double)(stop - r);                                                                                                \
        for (int64_t i = r; i < r + some; i++)                                                                                     \
          for (int64_t j = 0; j < w.m; j++) shift[j] += x[i * k + j];                                                              \
        for (int64_t j = 0; j < w.m; j++) shift[j] *= 1 / (T)some;                                                                 \
        for (; r + 4 <= stop; r += 4) {                                                                                            \
          const T *a = x + r * k, *b = a + k, *c = b + k, *d = c + k;                                                              \
          for (int64_t j = 0; j < w.m; j++) {                                                                                      \
            T t = a[j] - shift[j], u = b[j] - shift[j], v = c[j] - shift[j], z = d[j] - shift[j];                                  \
            sum[j] += (t + u) + (v + z);                                                                                           \
            square[j] += (t * t + u * u) + (v * v + z * z);                                                                        \
          }                                                                                                                        \
        }                                                                                                                          \
        for (; r < stop; r++)                                                                                                      \
          for (int64_t j = 0; j < w.m; j++) {                                                                                      \
            T t = x[r * k + j] - shift[j];                                                                                         \
            sum[j] += t, square[j] += t * t;                                                                                       \
          }                                                                                                                        \
        const double share = 1 / count;                                                                                            \
        for (int64_t j = 0; j < w.m; j++) {                                                                                        \
          double d = (double)sum[j] * share;                                                                                       \
          mean[j] = (double)shift[j] + d;                                                                                          \
          squares[j] = not_negative((double)square[j] - (double)sum[j] * d);                                                       \
        }                                                                                                                          \
        join(s, n, count, mean, squares, w.m);                                                                                     \
      }                                                                                                                            \
      n += count;                                                                                                                  \
    }                                                                                                                              \
    return n;                                                                                                                      \
  }                                                                                                                                \
                                                                                                                                   \
  /* y = (x - shift) a + b over pieces from .. to; one of each for every channel. */                                               \
  static void write_##T(const grid *g, place w, const T *x, T *y, int64_t from, int64_t to, const T *shift, const T *a,            \
                        const T *b) {                                                                                              \
    for (int64_t p = from; p < to; p++) {                                                                                          \
      if (g->after > 1) {                                                                                                          \
        int64_t at, runs, len, step = g->channels * g->after;                                                                      \
        const T s0 = *shift, a0 = *a, b0 = *b;                                                                                     \
        piece_of(g, p, &at, &runs, &len);                                                                                          \
        for (int64_t r = 0; r < runs; r++) {                                                                                       \
          const T *in = x + at + r * step;                                                                                         \
          T *out = y + at + r * step;                                                                                              \
          _Pragma("GCC ivdep") for (int64_t i = 0; i < len; i++) out[i] = (in[i] - s0) * a0 + b0;                                  \
        }                                                                                                                          \
      } else {                                                                                                                     \
        int64_t r = p * g->piece, stop = r + g->piece < g->before ? r + g->piece : g->before, k = g->channels;                     \
        for (; r < stop; r++) {                                                                                                    \
          const T *in = x + r * k;                                                                                                 \
          T *out = y + r * k;                                                                                                      \
          _Pragma("GCC ivdep") for (int64_t j = 0; j < w.m; j++) out[j] = (in[j] - shift[j]) * a[j] + b[j];                        \
        }                                                                                                                          \
      }                                                                                                                            \
    }                                                                                                                              \
  }                                                                                                                                \
                                                                                                                                   \
  /* From the moments of a task: its mean and rstd, and what write needs. */                                                       \
  static void settle_##T(const job *q, place w, const pair *s, T *restrict shift, T *restrict a, T *restrict b) {                  \
    const T *weight = q->weight, *bias = q->bias;                                                                                  \
    T *restrict mean = (T *)q->mean + w.channel, *restrict rstd = (T *)q->rstd + w.channel;                                        \
    const double n = (double)q->g->terms, eps = q->eps;                                                                            \
    const int64_t m = w.m;                                                                                                         \
    for (int64_t j = 0; j < m; j++) {                                                                                              \
      T r = (T)(1 / sqrt(s->b[j] / n + eps));                                                                                      \
      shift[j] = mean[j] = (T)s->a[j], rstd[j] = r, a[j] = r;                                                                      \
    }                                                                                                                              \
    if (!q->g->terms)                                                                                                              \
      for (int64_t j = 0; j < m; j++) mean[j] = (T)NAN;                                                                            \
    for (int64_t j = 0; weight && j < m; j++) a[j] *= weight[w.channel + j];                                                       \
    for (int64_t j = 0; j < m; j++) b[j] = (bias ? bias[w.channel + j] : 0) - (T)(s->a[j] - (double)shift[j]) * a[j];              \
  }                                                                                                                                \
                                                                                                                                   \
  static void forward_##T(const job *q) {                                                                                          \
    const grid *g = q->g;                                                                                                          \
    const T *x = q->x;                                                                                                             \
    T *y = q->y;                                                                                                                   \
    int team = ms_team(g->outer * g->channels * g->terms * 3);                                                                     \
    if (g->parts == 1) {                                                                                                           \
      MS_PARALLEL(team, u, g->blocks, {                                                                                            \
        place w = place_of(g, u);                                                                                                  \
        pair s;                                                                                                                    \
        T shift[COLUMNS], a[COLUMNS], b[COLUMNS];                                                                                  \
        moments_##T(g, w, x + w.at, 0, g->pieces, &s);                                                                             \
        settle_##T(q, w, &s, shift, a, b);                                                                                         \
        write_##T(g, w, x + w.at, y + w.at, 0, g->pieces, shift, a, b);                                                            \
      });                                                                                                                          \
      return;                                                                                                                      \
    }                                                                                                                              \
    double *terms = (double *)(q->part + g->blocks * PARTS);                                                                       \
    MS_PARALLEL(team, v, g->blocks *PARTS, {                                                                                       \
      place w = place_of(g, v / PARTS);                                                                                            \
      terms[v] = moments_##T(g, w, x + w.at, g->pieces * (v % PARTS) / PARTS, g->pieces * (v % PARTS + 1) / PARTS, &q->part[v]);   \
    });                                                                                                                            \
    for (int64_t u = 0; u < g->blocks; u++) {                                                                                      \
      pair *s = &q->part[u * PARTS];                                                                                               \
      double n = terms[u * PARTS];                                                                                                 \
      for (int p = 1; p < PARTS; p++) {                                                                                            \
        join(s, n, terms[u * PARTS + p], s[p].a, s[p].b, place_of(g, u).m);                                                        \
        n += terms[u * PARTS + p];                                                                                                 \
      }                                                                                                                            \
    }                                                                                                                              \
    MS_PARALLEL(team, v, g->blocks *PARTS, {                                                                                       \
      place w = place_of(g, v / PARTS);                                                                                            \
      T shift[COLUMNS], a[COLUMNS], b[COLUMNS];                                                                                    \
      settle_##T(q, w, &q->part[v / PARTS * PARTS], shift, a, b);                                                                  \
      write_##T(g, w, x + w.at, y + w.at, g->pieces * (v % PARTS) / PARTS, g->pieces * (v % PARTS + 1) / PARTS, shift, a, b);      \
    });                                                                                                                            \
  }                                                                                                                                \
                                                                                                                                   \
  /* Sums of d and of d (x - shift), d the gradient that arrives. */                                                               \
  static void products_##T(const grid *g, place w, const T *d, const T *x, int64_t from, int64_t to, const T *shift, pair *s) {    \
    for (int64_t j = 0; j < w.m; j++) s->a[j] = s->b[j] = 0;                                                                       \
    for (int64_t p = from; p < to; p++) {                                                                                          \
      if (g->after > 1) {                                                                                                          \
        int64_t at, runs, len;                                                                                                     \
        double product;                                                                                                            \
        piece_of(g, p, &at, &runs, &len);                                                                                          \
        s->a[0] += sums_##T(SUM_PRODUCTS, d + at, x + at, *shift, runs, g->channels * g->after, len, &product);                    \
        s->b[0] += product;                                                                                                        \
      } else {                                                                                                                     \
        T sum[COLUMNS] = {0}, product[COLUMNS] = {0};                                                                              \
        int64_t r = p * g->piece, stop = r + g->piece < g->before ? r + g->piece : g->before, k = g->channels;                     \
        for (; r + 2 <= stop; r += 2) {                                                                                            \
          const T *d0 = d + r * k, *d1 = d0 + k, *x0 = x + r * k, *x1 = x0 + k;                                                    \
          for (int64_t j = 0; j < w.m; j++) {                                                                                      \
            sum[j] += d0[j] + d1[j];                                                                                               \
            product[j] += d0[j] * (x0[j] - shift[j]) + d1[j] * (x1[j] - shift[j]);                                                 \
          }                                                                                                                        \
        }                                                                                                                          \
        for (; r < stop; r++)                                                                                                      \
          for (int64_t j = 0; j < w.m; j++) sum[j] += d[r * k + j], product[j] += d[r * k + j] * (x[r * k + j] - shift[j]);        \
        for (int64_t j = 0; j < w.m; j++) s->a[j] += (double)sum[j], s->b[j] += (double)product[j];                                \
      }                                                                                                                            \
    }                                                                                                                              \
  }                                                                                                                                \
                                                                                                                                   \
  /* dx = d a - b - (x - shift) e */                                                                                               \
  static void write_grad_##T(const grid *g, place w, const T *d, const T *x, T *dx, int64_t from, int64_t to, const T *shift,      \
                             const T *a, const T *b, const T *e) {                                                                 \
    for (int64_t p = from; p < to; p++) {                                                                                          \
      if (g->after > 1) {                                                                                                          \
        int64_t at, runs, len, step = g->channels * g->after;                                                                      \
        const T s0 = *shift, a0 = *a, b0 = *b, e0 = *e;                                                                            \
        piece_of(g, p, &at, &runs, &len);                                                                                          \
        for (int64_t r = 0; r < runs; r++) {                                                                                       \
          const T *in = x + at + r * step, *gr = d + at + r * step;                                                                \
          T *out = dx + at + r * step;                                                                                             \
          _Pragma("GCC ivdep") for (int64_t i = 0; i < len; i++) out[i] = gr[i] * a0 - b0 - (in[i] - s0) * e0;                     \
        }                                                                                                                          \
      } else {                                                                                                                     \
        int64_t r = p * g->piece, stop = r + g->piece < g->before ? r + g->piece : g->before, k = g->channels;                     \
        for (; r < stop; r++) {                                                                                                    \
          const T *in = x + r * k, *gr = d + r * k;                                                                                \
          T *out = dx + r * k;                                                                                                     \
          _Pragma("GCC ivdep") for (int64_t j = 0; j < w.m; j++) out[j] = gr[j] * a[j] - b[j] - (in[j] - shift[j]) * e[j];         \
        }                                                                                                                          \
      }                                                                                                                            \
    }                                                                                                                              \
  }                                                                                                                                \
                                                                                                                                   \
  static void shifts_##T(const job *q, place w, T *shift) {                                                                        \
    for (int64_t j = 0; j < w.m; j++) shift[j] = q->in_mean ? ((const T *)q->in_mean)[w.channel + j] : 0;                          \
  }                                                                                                                                \
                                                                                                                                   \
  /* With h = (x - mean) s the normalised value, s = rstd where x is given and 1 where h itself is:                                \
   * dx = rstd weight (d - mean(d) - h mean(d h)), dweight = sum(d h), dbias = sum(d). */                                          \
  static void settle_grad_##T(const job *q, place w, const pair *t, T *restrict a, T *restrict b, T *restrict e) {                 \
    const T *rstd = (const T *)q->in_rstd + w.channel, *weight = q->weight;                                                        \
    T *restrict dweight = q->dweight, *restrict dbias = q->dbias;                                                                  \
    const double share = 1 / (double)q->g->terms;                                                                                  \
    const bool plain = !q->in_mean;                                                                                                \
    const int64_t m = w.m;                                                                                                         \
    for (int64_t j = 0; j < m; j++) a[j] = weight ? rstd[j] * weight[w.channel + j] : rstd[j];                                     \
    for (int64_t j = 0; j < m; j++) {                                                                                              \
      double s = plain ? 1 : (double)rstd[j];                                                                                      \
      b[j] = (T)((double)a[j] * t->a[j] * share), e[j] = (T)((double)a[j] * s * s * t->b[j] * share);                              \
    }                                                                                                                              \
    if (dweight)                                                                                                                   \
      for (int64_t j = 0; j < m; j++) dweight[w.channel + j] = (T)(t->b[j] * (double)rstd[j]), dbias[w.channel + j] = (T)t->a[j];  \
  }                                                                                                                                \
                                                                                                                                   \
  static void backward_##T(const job *q) {                                                                                         \
    const grid *g = q->g;                                                                                                          \
    const T *x = q->x, *d = q->grad;                                                                                               \
    T *dx = q->y;                                                                                                                  \
    int team = ms_team(g->outer * g->channels * g->terms * 4);                                                                     \
    if (g->parts == 1) {                                                                                                           \
      MS_PARALLEL(team, u, g->blocks, {                                                                                            \
        place w = place_of(g, u);                                                                                                  \
        pair s;                                                                                                                    \
        T shift[COLUMNS], a[COLUMNS], b[COLUMNS], e[COLUMNS];                                                                      \
        shifts_##T(q, w, shift);                                                                                                   \
        products_##T(g, w, d + w.at, x + w.at, 0, g->pieces, shift, &s);                                                           \
        settle_grad_##T(q, w, &s, a, b, e);                                                                                        \
        write_grad_##T(g, w, d + w.at, x + w.at, dx + w.at, 0, g->pieces, shift, a, b, e);                                         \
      });                                                                                                                          \
      return;                                                                                                                      \
    }                                                                                                                              \
    MS_PARALLEL(team, v, g->blocks *PARTS, {                                                                                       \
      place w = place_of(g, v / PARTS);                                                                                            \
      T shift[COLUMNS];                                                                                                            \
      shifts_##T(q, w, shift);                                                                                                     \
      products_##T(g, w, d + w.at, x + w.at, g->pieces * (v % PARTS) / PARTS, g->pieces * (v % PARTS + 1) / PARTS, shift,          \
                   &q->part[v]);                                                                                                   \
    });                                                                                                                            \
    for (int64_t u = 0; u < g->blocks; u++) {                                                                                      \
      pair *s = &q->part[u * PARTS];                                                                                               \
      for (int p = 1; p < PARTS; p++)                                                                                              \
        for (int64_t j = 0; j < place_of(g, u).m; j++) s->a[j] += s[p].a[j], s->b[j] += s[p].b[j];                                 \
    }                                                                                                                              \
    MS_PARALLEL(team, v, g->blocks *PARTS, {                                                                                       \
      place w = place_of(g, v / PARTS);                                                                                            \
      T shift[COLUMNS], a[COLUMNS], b[COLUMNS], e[COLUMNS];                                                                        \
      shifts_##T(q, w, shift);                                                                                                     \
      settle_grad_##T(q, w, &q->part[v / PARTS * PARTS], a, b, e);                                                                 \
      write_grad_##T(g, w, d + w.at, x + w.at, dx + w.at, g->pieces * (v % PARTS) / PARTS, g->pieces * (v % PARTS + 1) / PARTS,    \
                     shift, a, b, e);                                                                                              \
    });                                                                                                                            \
  }
NORM(float)
NORM(double)

/* ---- the rows ---------------------------------------------------------------------------------------------------- */

/* batch_normalize and its derivative: every dimension but the second, which lies last in images that lie channels last. */
static bool grid_of(const ms_call *c, grid *g) {
  ms_view x = c->out[0];
  if (c->op->id == MS_OP_normalize || c->op->id == MS_OP_normalize_grad) return make_grid(&x, &c->attr[0].v, g);
  int channel = 1;
  if (ms_view_channels_last(&x)) x = ms_view_by_pixel(&x), channel = 3;
  ms_ints d = {0};
  for (int i = 0; i < x.rank; i++)
    if (i != channel) d.at[d.n++] = i;
  return make_grid(&x, &d, g);
}

/* Do the elements of v lie in the order of those of a result? */
static bool in_order(const ms_view *v, const ms_view *result) {
  return ms_view_channels_last(result) ? ms_view_channels_last(v) : ms_view_contiguous(v);
}

/* Small operands (a number per channel) must be contiguous; the two large ones are copied where they are not. */
static bool supports(const ms_call *c) {
  grid g;
  int large = c->op->id == MS_OP_normalize || c->op->id == MS_OP_batch_normalize ? 1 : 2;
  for (int i = large; i < c->n_in; i++)
    if (!c->in[i].absent && !ms_view_contiguous(&c->in[i])) return false;
  return f32_or_f64(c) && ms_view_numel(&c->out[0]) && grid_of(c, &g); /* statistics of nothing: the reference */
}

/* Workspace: the parts, then a copy of x for the derivative where x is not contiguous. */
static size_t part_bytes(const grid *g) { return g->parts > 1 ? (size_t)g->blocks * PARTS * (sizeof(pair) + sizeof(double)) : 0; }

static int prepare(ms_call *c) {
  grid g;
  if (!grid_of(c, &g)) return ms_fail("%s: its dimensions have no kernel", c->op->name), -1;
  c->work_bytes = part_bytes(&g);
  return 0;
}

static int prepare_grad(ms_call *c) {
  if (prepare(c) < 0) return -1;
  if (!in_order(&c->in[1], &c->out[0])) c->work_bytes += (size_t)ms_view_numel(&c->in[1]) * ms_dtype_size(c->in[1].dtype);
  return 0;
}

/* v in the order of the result `like`: itself, or a copy at `to`. */
static const void *settled(const ms_view *v, const ms_view *like, void *to) {
  if (in_order(v, like)) return v->data;
  ms_view copy = *like;
  copy.data = to;
  move_view(&copy, v);
  return to;
}

static int run_forward(ms_call *c) {
  grid g;
  bool affine = c->op->id == MS_OP_batch_normalize;
  if (!grid_of(c, &g) || !ms_view_numel(&c->out[1])) return 0;
  job q = {.g = &g, .y = c->out[0].data, .mean = c->out[1].data, .rstd = c->out[2].data, .part = c->work};
  q.eps = ms_scalar_value(c->attr[affine ? 0 : 1].s);
  if (affine) q.weight = c->in[1].data, q.bias = c->in[2].data;
  q.x = settled(&c->in[0], &c->out[0], c->out[0].data);
  if (c->out[0].dtype == MS_F32) forward_float(&q);
  else forward_double(&q);
  return 0;
}
MS_KERNEL(normalize, .supports = supports, .prepare = prepare, .run = run_forward);
MS_KERNEL(batch_normalize, .supports = supports, .prepare = prepare, .run = run_forward);

/* normalize_grad(g, y, rstd), batch_normalize_grad(g, x, mean, rstd, weight). */
static int run_backward(ms_call *c) {
  grid g;
  bool affine = c->op->id == MS_OP_batch_normalize_grad;
  if (!grid_of(c, &g) || !g.outer || !g.channels) return 0;
  job q = {.g = &g, .y = c->out[0].data, .in_rstd = c->in[affine ? 3 : 2].data, .part = c->work};
  if (affine) {
    q.in_mean = c->in[2].data, q.weight = c->in[4].data;
    q.dweight = c->out[1].data, q.dbias = c->out[2].data;
  }
  q.grad = settled(&c->in[0], &c->out[0], c->out[0].data);
  q.x = settled(&c->in[1], &c->out[0], (char *)c->work + part_bytes(&g));
  if (c->out[0].dtype == MS_F32) backward_float(&q);
  else backward_double(&q);
  return 0;
}
MS_KERNEL(normalize_grad, .supports = supports, .prepare = prepare_grad, .run = run_backward);
MS_KERNEL(batch_normalize_grad, .supports = supports, .prepare = prepare_grad, .run = run_backward);

/* ---- batch norm's bookkeeping: running = (1 - momentum) running + momentum value, variance unbiased -------------- */

static bool supports_follow(const ms_call *c) {
  uint8_t d = c->in[0].dtype;
  for (int i = 0; i < c->n_in; i++)
    if (c->in[i].dtype != d || !ms_view_contiguous(&c->in[i])) return false;
  return d == MS_F32 || d == MS_F64;
}

static int run_follow(ms_call *c) {
  int64_t n = ms_view_numel(&c->in[0]);
  double count = (double)c->attr[0].i, momentum = ms_scalar_value(c->attr[1].s), eps = ms_scalar_value(c->attr[2].s);
  double unbias = count / (count - 1);
  MS_SWITCH_FLOAT(c->in[0].dtype, "batch_norm_follow_", {
    T *mean = c->in[0].data, *var = c->in[1].data;
    const T *m = c->in[2].data, *rstd = c->in[3].data;
    for (int64_t i = 0; i < n; i++) {
      double r = (double)rstd[i], v = (1 / (r * r) - eps) * unbias;
      mean[i] = (T)((1 - momentum) * (double)mean[i] + momentum * (double)m[i]);
      var[i] = (T)((1 - momentum) * (double)var[i] + momentum * v);
    }
  })
  return 0;
}
MS_KERNEL(batch_norm_follow_, .supports = supports_follow, .run = run_follow);
