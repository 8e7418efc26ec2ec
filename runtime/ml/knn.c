/* knn.c -- exact nearest neighbours by brute force.
 *
 * For query q and training row y, both moved by the mean of the training rows, |q - y|^2 - |q|^2 = |y|^2 - 2 q.y =: the score.
 * Scores come from an f32 block product; each is within a bound E of the true one (see error_bound). Every row whose score minus E
 * does not rule it out is measured again, directly and in f64 on the original rows, and only these distances decide. So the answer
 * is that of the direct computation, equal rows are at distance 0, and E only sets how many rows are measured twice.
 *
 * Where the processor multiplies bytes, scores come from those first (screen.h), with a larger E; where that E rules out too
 * little, from f32 after all. Either way the answer is the same.
 *
 * Cosine distance is half the squared euclidean distance of rows of length 1, so such rows are kept and asked for. A row of zeros
 * has no direction: it is at distance 1 from everything, as in scikit-learn. Two more features hold that up: a training row of
 * zeros becomes (0, .., 0, 1, 0), a query of zeros (0, .., 0, 0, 1). Manhattan distance has no product: it is measured directly. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/busy.h"
#include "ml/internal.h"
#include "ml/near.h"
#include "ml/screen.h"
#if ML_VARIANTS
#include <immintrin.h>
#endif

enum {
  TILE_QUERIES = 12, /* queries in a micro-tile */
  PANEL_ROWS = 32,   /* training rows in a packed panel */
  CHUNK = 144,       /* queries a thread takes at a time, at most: a multiple of TILE_QUERIES */
  LEAST_CHUNK = 48,
  TILE = 1024, /* training rows scored at a time: a multiple of PANEL_ROWS and of SCAN */
  DEPTH = 512, /* features per pass, so that a packed chunk stays in the L2 cache */
  SCAN = 64,   /* scores that are compared at a time with the limit */
  RANKED = 12  /* most neighbours whose limit is found from the least of groups */
};

struct ms_knn {
  int64_t n, d, padded; /* d: features of x below; padded: n up to a multiple of PANEL_ROWS */
  int64_t features;     /* of the rows given: d, or with cosine d - 2 */
  ms_knn_metric metric;
  int32_t classes;
  float *x;          /* n x d, as given; with cosine of length 1 */
  float *given;      /* with cosine: n x features, as given; else NULL */
  float *mean;       /* d */
  float *packed;     /* for each block of DEPTH features, for each panel: features x PANEL_ROWS, moved by mean; rows past n are 0 */
  float *norm;       /* padded: |y - mean|^2; +infinity past n */
  float *bound;      /* per tile: the largest |y - mean| in it */
  int32_t *y;        /* n, or NULL */
  ml_screen *screen; /* or NULL */
};

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

typedef void (*product_fn)(int64_t k, const float *restrict a, const float *restrict b, float *restrict c, int64_t ldc);
typedef uint64_t (*hits_fn)(const float *s, float limit);
typedef int64_t (*scan_fn)(const float *s, int64_t from, int64_t n, float limit);
typedef float (*rank_fn)(const float *s, int64_t n, int64_t k);
typedef float (*rough_fn)(const float *a, const float *b, int64_t d);

/* Products of a tile of queries with a panel of training rows, and the search in the scores. */
#define T             float
#define PRODUCT_M     TILE_QUERIES
#define PRODUCT_N     PANEL_ROWS
#define BLOCK_VECTORS 2
#define ML_LOOPS      "ml/product_template.h"
#define ML_SIZE       4
#include "ml/variants.h"
#define ML_LOOPS "ml/knn_template.h"
#define ML_SIZE  4
#include "ml/variants.h"

/* Distances: VECTOR counts doubles. */
#define G(x) x##_base
#define TARGET
#define VECTOR 2
#include "ml/distance_template.h"
#undef G
#undef TARGET
#undef VECTOR
#if ML_VARIANTS
#define G(x)   x##_avx
#define TARGET __attribute__((target("avx")))
#define VECTOR 4
#include "ml/distance_template.h"
#undef G
#undef TARGET
#undef VECTOR
#endif

typedef double (*distance_fn)(const float *a, const float *b, int64_t d);
typedef double (*manhattan_fn)(const float *a, const float *b, int64_t d, double most);

/* What a query calls. */
typedef struct knn_kernels {
  product_fn product;
  scan_fn scan;
  hits_fn hits;
  rank_fn rank_bound;
  rough_fn rough;
  distance_fn distance;
  manhattan_fn manhattan;
} knn_kernels;

#define KERNELS(isa)                                                                                                               \
  { product_##isa, scan_##isa, hits_##isa, rank_bound_##isa, rough_##isa, distance_base, manhattan_base }

static knn_kernels best_knn_kernels(void) {
  knn_kernels f = ML_BEST(knn_kernels, KERNELS);
#if ML_VARIANTS
  if (ml_isa() >= ML_AVX2) f.distance = distance_avx, f.manhattan = manhattan_avx;
#endif
  return f;
}

/* ---- fit --------------------------------------------------------------------------------------------------------- */

void ms_knn_free(ms_knn *m) {
  if (!m) return;
  free(m->x), free(m->given), free(m->mean), free(m->packed), free(m->norm), free(m->bound), free(m->y);
  ml_screen_close(m->screen);
  free(m);
}

int64_t ms_knn_rows(const ms_knn *m) { return m->n; }
int64_t ms_knn_features(const ms_knn *m) { return m->features; }
int32_t ms_knn_classes(const ms_knn *m) { return m->classes; }
ms_knn_metric ms_knn_metric_of(const ms_knn *m) { return m->metric; }
const float *ms_knn_x(const ms_knn *m) { return m->given ? m->given : m->x; }
const int32_t *ms_knn_y(const ms_knn *m) { return m->y; }

static int64_t tiles_of(const ms_knn *m) { return (m->padded + TILE - 1) / TILE; }

/* Column means: only their size matters, not their last bit, so a value past f32 becomes 0. */
static int column_means(ms_knn *m) {
  double *sum = ml_alloc(m->d, sizeof *sum);
  if (!sum) return -1;
  memset(sum, 0, (size_t)m->d * sizeof *sum);
  for (int64_t i = 0; i < m->n; i++)
    for (int64_t j = 0; j < m->d; j++) sum[j] += (double)m->x[i * m->d + j];
  for (int64_t j = 0; j < m->d; j++) m->mean[j] = (float)(sum[j] / (double)m->n);
  free(sum);
  return 0;
}

static void pack_training(ms_knn *m) {
  const int64_t d = m->d, panels = m->padded / PANEL_ROWS;
  MS_PARALLEL(ms_threads(), p, panels, {
    for (int64_t j0 = 0; j0 < d; j0 += DEPTH) {
      const int64_t depth = d - j0 < DEPTH ? d - j0 : DEPTH;
      float *to = m->packed + j0 * m->padded + p * PANEL_ROWS * depth;
      for (int64_t r = 0; r < PANEL_ROWS; r++) {
        const int64_t row = p * PANEL_ROWS + r;
        for (int64_t j = 0; j < depth; j++) to[j * PANEL_ROWS + r] = row < m->n ? m->x[row * d + j0 + j] - m->mean[j0 + j] : 0;
      }
    }
    for (int64_t row = p * PANEL_ROWS; row < (p + 1) * PANEL_ROWS; row++) {
      double sum = 0;
      for (int64_t j = 0; row < m->n && j < d; j++) {
        const double v = (double)(m->x[row * d + j] - m->mean[j]);
        sum += v * v;
      }
      m->norm[row] = row < m->n ? (float)sum : INFINITY;
    }
  });
  for (int64_t t = 0; t < tiles_of(m); t++) {
    float most = 0;
    for (int64_t row = t * TILE; row < (t + 1) * TILE && row < m->n; row++)
      if (!(m->norm[row] <= most)) most = m->norm[row];
    m->bound[t] = nextafterf(sqrtf(most), INFINITY);
  }
}

/* Rows of length 1 with two features more; `mark`: the one of those that a row of zeros has. */
static void directions(int64_t n, int64_t features, const float *x, int mark, float *to) {
  const int64_t d = features + 2;
  MS_PARALLEL(ms_threads(), i, n, {
    const float *row = x + i * features;
    float *out = to + i * d;
    double sum = 0;
    for (int64_t j = 0; j < features; j++) sum += (double)row[j] * (double)row[j];
    const double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (int64_t j = 0; j < features; j++) out[j] = (float)((double)row[j] * scale);
    out[features] = sum == 0 && mark == 0;
    out[features + 1] = sum == 0 && mark == 1;
  });
}

ms_knn *ms_knn_fit(int64_t n, int64_t d, const float *x, const int32_t *y, int32_t classes) {
  return ms_knn_fit_by(MS_KNN_EUCLIDEAN, n, d, x, y, classes);
}

ms_knn *ms_knn_fit_by(ms_knn_metric metric, int64_t n, int64_t d, const float *x, const int32_t *y, int32_t classes) {
  if (metric != MS_KNN_EUCLIDEAN && metric != MS_KNN_COSINE && metric != MS_KNN_MANHATTAN)
    return ms_fail("knn: expected metric 0, 1 or 2, got %d", (int)metric);
  if (n < 1 || d < 1 || n > INT32_MAX - TILE || d > INT32_MAX - 2)
    return ms_fail("knn: expected 1 to 2^31 rows and features, got %lld x %lld", (long long)n, (long long)d);
  if (ml_check_finite("knn: x", n, d, x)) return NULL;
  if (!y) classes = 0;
  else if ((classes = ml_check_labels("knn: y", n, y, classes)) < 0) return NULL;
  ms_knn *m = calloc(1, sizeof *m);
  if (!m) return ml_no_memory("knn");
  const bool cosine = metric == MS_KNN_COSINE, products = metric != MS_KNN_MANHATTAN;
  m->n = n, m->features = d, m->classes = classes, m->metric = metric;
  m->d = cosine ? d + 2 : d;
  m->padded = (n + PANEL_ROWS - 1) / PANEL_ROWS * PANEL_ROWS;
  m->x = ml_alloc(n * m->d, sizeof *m->x);
  m->given = cosine ? ml_alloc(n * d, sizeof *m->given) : NULL;
  m->mean = ml_alloc(m->d, sizeof *m->mean);
  m->packed = ml_alloc(products ? m->padded * m->d : 0, sizeof *m->packed);
  m->norm = ml_alloc(m->padded, sizeof *m->norm);
  m->bound = ml_alloc(tiles_of(m), sizeof *m->bound);
  m->y = y ? ml_alloc(n, sizeof *m->y) : NULL;
  if (!m->x || (cosine && !m->given) || !m->mean || !m->packed || !m->norm || !m->bound || (y && !m->y)) goto fail;
  memcpy(cosine ? m->given : m->x, x, (size_t)(n * d) * sizeof *x);
  if (cosine) directions(n, d, x, 0, m->x);
  if (y) memcpy(m->y, y, (size_t)n * sizeof *y);
  if (products) {
    if (column_means(m)) goto fail;
    pack_training(m);
    m->screen = ml_screen_open(n, m->padded, m->d, m->x, m->mean, TILE);
  }
  return m;
fail:
  ms_knn_free(m);
  return ml_no_memory("knn");
}

/* ---- query ------------------------------------------------------------------------------------------------------- */

/* What one thread works with. */
typedef struct workspace {
  float *packed;   /* DEPTH blocks of: micro-tiles of features x TILE_QUERIES, holding -2 (q - mean) */
  float *score;    /* CHUNK x TILE */
  neighbour *heap; /* CHUNK x k */
  float *best;     /* min(k, TILE): scores of one tile */
  double norm[CHUNK];
  int64_t held[CHUNK];
  int8_t *bytes; /* the queries for the screen */
  ml_screened about[CHUNK];
  bool unscreened; /* the screen rules out too little here */
  int64_t measured;
} workspace;

/* Largest error of a score, for |q - mean| = a, |y - mean| <= b, in f32 with unit roundoff u. Sums of d products, in blocks: at
 * most (d + 2) u sum|q_j y_j| <= (d + 2) u a b each, twice; adding |y|^2 and the blocks: u (b^2 + 2ab) each; moving by the mean
 * changes every difference by at most u (|q_j| + |y_j|), the squared distance by 2.1 u (a + b)^2; last, what underflows. Infinite
 * when a product may overflow. */
static double error_bound(int64_t d, double a, double b) {
  const double u = FLT_EPSILON / 2, blocks = (double)((d + DEPTH - 1) / DEPTH);
  const double size = b * b + 2 * a * b;
  if (!(size < 1e37) || !(a < 1e18)) return INFINITY;
  return 1.01 * u * (2 * (double)(d + 2) * a * b + (blocks + 2) * size + 2.1 * (a + b) * (a + b)) + (double)(d + 4) * 1e-37;
}

static void pack_queries(const ms_knn *m, workspace *w, const float *q, int64_t rows, int64_t tall) {
  const int64_t d = m->d;
  for (int64_t i = 0; i < tall; i++) {
    double sum = 0;
    for (int64_t j0 = 0; j0 < d; j0 += DEPTH) {
      const int64_t depth = d - j0 < DEPTH ? d - j0 : DEPTH;
      float *to = w->packed + j0 * tall + i / TILE_QUERIES * TILE_QUERIES * depth + i % TILE_QUERIES;
      if (i < rows)
        for (int64_t j = 0; j < depth; j++) {
          const float v = q[i * d + j0 + j] - m->mean[j0 + j];
          sum += (double)v * (double)v;
          to[j * TILE_QUERIES] = -2 * v;
        }
      else
        for (int64_t j = 0; j < depth; j++) to[j * TILE_QUERIES] = 0;
    }
    w->norm[i] = sum;
  }
}

/* A score that is no larger than `most`, which is about `size`: f32 rounding is covered by the factor. */
static float as_limit(double most, double size) { return nextafterf((float)(most + 1e-12 * size), INFINITY); }

/* A larger score than this is not among the k nearest, as far as is known from the rows measured. */
static float limit_of(const workspace *w, int64_t i, int64_t k, double size, double error) {
  if (w->held[i] < k) return FLT_MAX;
  const double far = w->heap[i * k].far;
  return as_limit(far - size + error, far + size);
}

/* A row whose distance in f32 is larger than this is not among the k nearest. Infinite where f32 does not reach. */
static float rough_limit(const workspace *w, int64_t i, int64_t k, int64_t d) {
  if (w->held[i] < k) return INFINITY;
  return (float)(w->heap[i * k].far * (1 + (double)(d + 16) * (double)FLT_EPSILON) + (double)d * 1e-37);
}

/* Measure the rows of tile `first` with a score s in (above, limit], but for those that what has been measured rules out. n:
 * scores, a multiple of SCAN; those of no row are infinite. */
static void measure_between(const ms_knn *m, workspace *w, const float *q, int64_t i, int64_t first, int64_t n, int64_t k,
                            float above, float limit, double size, double error, const knn_kernels *f) {
  const float *s = w->score + i * TILE;
  float rough = rough_limit(w, i, k, m->d);
  for (int64_t from = f->scan(s, 0, n, limit); from < n; from = f->scan(s, from + SCAN, n, limit))
    for (uint64_t bits = f->hits(s + from, limit); bits; bits &= bits - 1) {
      const int64_t r = from + __builtin_ctzll(bits);
      if (s[r] <= above || s[r] > limit) continue;
      const float *row = m->x + (first + r) * m->d;
      w->measured++;
      if (w->held[i] == k && f->rough(q, row, m->d) > rough) continue;
      push_near(w->heap + i * k, &w->held[i], k, (neighbour){f->distance(q, row, m->d), (int32_t)(first + r)});
      if (w->held[i] < k) continue;
      rough = rough_limit(w, i, k, m->d);
      const float tighter = limit_of(w, i, k, size, error);
      if (tighter < limit) limit = tighter;
    }
}

/* The k-th least of n scores, or somewhat more. */
static float rank_limit(workspace *w, const float *s, int64_t n, int64_t k, const knn_kernels *f) {
  if (k <= RANKED) return f->rank_bound(s, n, k);
  int64_t scored = 0;
  for (int64_t r = 0; r < n; r++) push_score(w->best, &scored, k, s[r]);
  return scored < k ? INFINITY : w->best[0];
}

/* Measure the rows of tile t that may be among the k nearest of query i: first those with the k lowest scores, then those that they
 * do not rule out. score + size is the squared distance, as far as `error` apart. */
static void select_rows(const ms_knn *m, workspace *w, const float *q, int64_t i, int64_t t, int64_t k, double size, double error,
                        const knn_kernels *f) {
  const int64_t first = t * TILE, wide = m->padded - first < TILE ? m->padded - first : TILE;
  const int64_t real = m->n - first < TILE ? m->n - first : TILE, end = (wide + SCAN - 1) / SCAN * SCAN;
  neighbour *heap = w->heap + i * k;
  float *s = w->score + i * TILE;
  if (error == INFINITY) {
    for (int64_t r = 0; r < real; r++)
      push_near(heap, &w->held[i], k, (neighbour){f->distance(q, m->x + (first + r) * m->d, m->d), (int32_t)(first + r)});
    return;
  }
  for (int64_t r = wide; r < end; r++) s[r] = INFINITY;
  float above = -INFINITY, limit = limit_of(w, i, k, size, error);
  if (w->held[i] < k && k < real) {
    const float rank = rank_limit(w, s, end, k, f);
    if (rank < limit) {
      measure_between(m, w, q, i, first, end, k, above, rank, size, error, f);
      above = rank, limit = limit_of(w, i, k, size, error);
      if (limit <= above) return;
    }
  }
  measure_between(m, w, q, i, first, end, k, above, limit, size, error, f);
}

static void f32_scores(const ms_knn *m, workspace *w, int64_t tall, int64_t first, int64_t wide, const knn_kernels *f) {
  const int64_t d = m->d;
  for (int64_t i = 0; i < tall; i++) memcpy(w->score + i * TILE, m->norm + first, (size_t)wide * sizeof(float));
  for (int64_t j0 = 0; j0 < d; j0 += DEPTH) {
    const int64_t depth = d - j0 < DEPTH ? d - j0 : DEPTH;
    for (int64_t r = 0; r < wide; r += PANEL_ROWS) {
      const float *b = m->packed + j0 * m->padded + (first + r) * depth;
      for (int64_t i = 0; i < tall; i += TILE_QUERIES)
        f->product(depth, w->packed + j0 * tall + i * depth, b, w->score + i * TILE + r, TILE);
    }
  }
}

static void query_chunk(const ms_knn *m, workspace *w, const float *q, int64_t rows, int64_t k, const knn_kernels *f) {
  const int64_t d = m->d, tall = (rows + TILE_QUERIES - 1) / TILE_QUERIES * TILE_QUERIES;
  bool packed = false;
  memset(w->held, 0, sizeof w->held);
  if (m->screen && !w->unscreened) ml_screen_pack(m->screen, q, rows, tall, w->bytes, w->about);
  for (int64_t t = 0; t < tiles_of(m) && !ms_interrupted(); t++) {
    const int64_t first = t * TILE, wide = m->padded - first < TILE ? m->padded - first : TILE;
    if (m->screen && !w->unscreened) {
      ml_screen_scores(m->screen, first, wide, tall, w->bytes, w->about, w->score, TILE);
      w->measured = 0;
      for (int64_t i = 0; i < rows; i++)
        select_rows(m, w, q + i * d, i, t, k, w->about[i].norm, ml_screen_error(m->screen, t, &w->about[i]), f);
      w->unscreened = w->measured > rows * (k + wide / 32);
      continue;
    }
    if (!packed) pack_queries(m, w, q, rows, tall), packed = true;
    f32_scores(m, w, tall, first, wide, f);
    for (int64_t i = 0; i < rows; i++)
      select_rows(m, w, q + i * d, i, t, k, w->norm[i], error_bound(m->d, sqrt(w->norm[i]), (double)m->bound[t]), f);
  }
}

/* The same by manhattan distance: row after row, each left as soon as it is farther than the farthest of the k. */
static void measure_chunk(const ms_knn *m, workspace *w, const float *q, int64_t rows, int64_t k, const knn_kernels *f) {
  memset(w->held, 0, sizeof w->held);
  for (int64_t first = 0; first < m->n && !ms_interrupted(); first += SCAN) {
    const int64_t last = m->n - first < SCAN ? m->n : first + SCAN;
    for (int64_t i = 0; i < rows; i++) {
      neighbour *heap = w->heap + i * k;
      for (int64_t r = first; r < last; r++) {
        const double most = w->held[i] == k ? heap[0].far : INFINITY;
        const double far = f->manhattan(q + i * m->d, m->x + r * m->d, m->d, most);
        if (far <= most) push_near(heap, &w->held[i], k, (neighbour){far, (int32_t)r});
      }
    }
  }
}

static void close_desk(workspace *w) {
  if (!w) return;
  free(w->packed), free(w->bytes), free(w->score), free(w->heap), free(w->best), free(w);
}

static workspace *open_desk(const ms_knn *m, int64_t k) {
  workspace *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  const bool products = m->metric != MS_KNN_MANHATTAN;
  w->packed = ml_alloc(products ? CHUNK * m->d : 0, sizeof *w->packed);
  w->bytes = m->screen ? ml_alloc(CHUNK * ml_screen_bytes(m->screen), 1) : NULL;
  w->score = ml_alloc(products ? CHUNK * TILE : 0, sizeof *w->score);
  w->heap = ml_alloc(CHUNK * k, sizeof *w->heap);
  w->best = ml_alloc(k < TILE ? k : TILE, sizeof *w->best);
  if (w->packed && (w->bytes || !m->screen) && w->score && w->heap && w->best) return w;
  close_desk(w);
  return NULL;
}

/* index (from 0) and distance (euclidean and cosine: squared, of the rows kept), nq x k, nearest first. */
static int query_rows(const ms_knn *m, int64_t nq, const float *q, int64_t k, int32_t *index, double *d2) {
  const knn_kernels f = best_knn_kernels();
  bool failed = false;
  const int team = ms_threads();
  int64_t chunk =
      nq / (8 * team) / TILE_QUERIES * TILE_QUERIES; /* some eight for each thread; what is found does not depend on it */
  chunk = chunk < LEAST_CHUNK ? LEAST_CHUNK : chunk > CHUNK ? CHUNK : chunk;
  ms_stretch share[team];
  ms_cut(share, team, (nq + chunk - 1) / chunk);
  ms_busy_parts("part", (nq + chunk - 1) / chunk);
  MS_TOGETHER(team, id, {
    workspace *w = open_desk(m, k);
    if (!w) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    for (int64_t t; w && !ms_interrupted() && (t = ms_take(share, team, id)) >= 0; ms_busy_done()) {
      const int64_t from = t * chunk;
      const int64_t rows = nq - from < chunk ? nq - from : chunk;
      (m->metric == MS_KNN_MANHATTAN ? measure_chunk : query_chunk)(m, w, q + from * m->d, rows, k, &f);
      if (ms_interrupted()) break;
      for (int64_t i = 0; i < rows; i++) {
        neighbour *heap = w->heap + i * k;
        for (int64_t left = k - 1; left >= 0; left--) {
          const neighbour farthest = heap[0];
          sink_near(heap, left, heap[left]);
          index[(from + i) * k + left] = farthest.row;
          d2[(from + i) * k + left] = farthest.far;
        }
      }
    }
    close_desk(w);
  });
  if (ms_interrupted()) return ms_stopped("knn"), -1;
  return failed ? ml_no_memory("knn"), -1 : 0;
}

/* The same for queries as they are given. */
static int query(const ms_knn *m, int64_t nq, const float *q, int64_t k, int32_t *index, double *d2) {
  if (m->metric != MS_KNN_COSINE) return query_rows(m, nq, q, k, index, d2);
  float *unit = ml_alloc(nq * m->d, sizeof *unit);
  if (!unit) return ml_no_memory("knn"), -1;
  directions(nq, m->features, q, 1, unit);
  const int rc = query_rows(m, nq, unit, k, index, d2);
  for (int64_t i = 0; rc == 0 && i < nq; i++) /* a query of zeros: exactly as far from all, but for rounding that already is so */
    for (int64_t j = 0; unit[(i + 1) * m->d - 1] > 0 && j < k; j++) index[i * k + j] = (int32_t)j, d2[i * k + j] = 2;
  free(unit);
  return rc;
}

/* The distance from what query gives. */
static double distance_of(const ms_knn *m, double d2) {
  return m->metric == MS_KNN_EUCLIDEAN ? sqrt(d2) : m->metric == MS_KNN_COSINE ? d2 / 2 : d2;
}

static int check_query(const ms_knn *m, int64_t nq, const float *q, int64_t k) {
  if (nq < 0) return ms_fail("knn: expected a number of queries >= 0, got %lld", (long long)nq), -1;
  if (k < 1 || k > m->n) return ms_fail("knn: expected 1 <= k <= %lld training rows, got %lld", (long long)m->n, (long long)k), -1;
  return ml_check_finite("knn: query", nq, m->features, q);
}

/* Queries answered between two looks at the result, so that k x nq f64 distances never stand in memory at once. */
enum { BATCH = 96 * CHUNK };

typedef struct answer {
  int32_t *index;
  double *d2;
} answer;

static int open_answer(answer *a, int64_t nq, int64_t k) {
  const int64_t rows = nq < BATCH ? nq : BATCH;
  a->index = ml_alloc(rows * k, sizeof *a->index);
  a->d2 = ml_alloc(rows * k, sizeof *a->d2);
  if (a->index && a->d2) return 0;
  free(a->index), free(a->d2);
  ml_no_memory("knn");
  return -1;
}

int ms_knn_query(const ms_knn *m, int64_t nq, const float *q, int64_t k, int32_t *index, float *distance) {
  answer a;
  if (!m || check_query(m, nq, q, k) || open_answer(&a, nq, k)) return -1;
  int rc = 0;
  for (int64_t from = 0; from < nq && rc == 0; from += BATCH) {
    const int64_t rows = nq - from < BATCH ? nq - from : BATCH;
    rc = query(m, rows, q + from * m->features, k, a.index, a.d2);
    for (int64_t i = 0; rc == 0 && i < rows * k; i++) {
      index[from * k + i] = a.index[i] + MS_INDEX_BASE;
      if (distance) distance[from * k + i] = (float)distance_of(m, a.d2[i]);
    }
  }
  free(a.index), free(a.d2);
  return rc;
}

int ms_knn_others(const ms_knn *m, int64_t k, int32_t *index, float *distance) {
  if (!m) return -1;
  if (k < 1 || k >= m->n)
    return ms_fail("knn: expected 1 <= k <= %lld other training rows, got %lld", (long long)m->n - 1, (long long)k), -1;
  int32_t *near = k < INT64_MAX / m->n - 1 ? ml_alloc(m->n * (k + 1), sizeof *near) : NULL;
  float *far = near ? ml_alloc(m->n * (k + 1), sizeof *far) : NULL;
  int rc = far ? ms_knn_query(m, m->n, ms_knn_x(m), k + 1, near, far) : (ml_no_memory("knn"), -1);
  for (int64_t i = 0; rc == 0 && i < m->n; i++) {
    int64_t at = 0; /* the row itself is left out; where k + 1 others are at distance 0 too, and before it, the last of them */
    for (int64_t j = 0; j <= k && at < k; j++) {
      if (near[i * (k + 1) + j] == i + MS_INDEX_BASE) continue;
      index[i * k + at] = near[i * (k + 1) + j];
      if (distance) distance[i * k + at] = far[i * (k + 1) + j];
      at++;
    }
  }
  free(near), free(far);
  return rc;
}

int ms_knn_classify(const ms_knn *m, int64_t nq, const float *q, int64_t k, ms_knn_weights weights, int32_t *predicted,
                    float *proba) {
  if (!m) return -1;
  if (!m->y) return ms_fail("knn: classify: expected a model fitted with labels"), -1;
  if (weights != MS_KNN_UNIFORM && weights != MS_KNN_DISTANCE)
    return ms_fail("knn: expected weights 0 or 1, got %d", (int)weights), -1;
  answer a;
  if (check_query(m, nq, q, k) || open_answer(&a, nq, k)) return -1;
  double *vote =
      calloc((size_t)m->classes, sizeof *vote); /* only what neighbours have is written: there may be very many classes */
  int rc = vote ? 0 : (ml_no_memory("knn"), -1);
  for (int64_t from = 0; from < nq && rc == 0; from += BATCH) {
    const int64_t rows = nq - from < BATCH ? nq - from : BATCH;
    rc = query(m, rows, q + from * m->features, k, a.index, a.d2);
    for (int64_t i = 0; rc == 0 && i < rows; i++) {
      const double *d2 = a.d2 + i * k;
      const int32_t *near = a.index + i * k;
      double all = 0;
      for (int64_t j = 0; j < k; j++) {
        double weight = 1;
        if (weights == MS_KNN_DISTANCE) weight = d2[0] == 0 ? d2[j] == 0 : 1 / distance_of(m, d2[j]);
        vote[m->y[near[j]] - MS_INDEX_BASE] += weight;
        all += weight;
      }
      int32_t most = m->y[near[0]] - MS_INDEX_BASE;
      for (int64_t j = 1; j < k; j++) {
        const int32_t c = m->y[near[j]] - MS_INDEX_BASE;
        if (vote[c] > vote[most] || (vote[c] == vote[most] && c < most)) most = c;
      }
      predicted[from + i] = most + MS_INDEX_BASE;
      for (int32_t c = 0; proba && c < m->classes; c++) proba[(from + i) * m->classes + c] = (float)(vote[c] / all);
      for (int64_t j = 0; j < k; j++) vote[m->y[near[j]] - MS_INDEX_BASE] = 0;
    }
  }
  free(vote), free(a.index), free(a.d2);
  return rc;
}
