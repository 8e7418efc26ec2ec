/* kmeans.c -- k-means: starts by k-means++, then Lloyd's iterations. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/cluster.h"
#include "ml/internal.h"

enum { PARTS = 16 }; /* sums over rows are made in so many stretches, whatever the number of threads */

/* What a fit works with. */
typedef struct kmeans {
  int64_t n, d, k;
  const float *x;
  ms_rng rng;
  float *near;         /* k x d: the centres as f32, by which rows find theirs */
  double *centres;     /* k x d */
  double *sum;         /* PARTS x k x d */
  int64_t *count;      /* PARTS x k */
  double *far;         /* n: squared distance to the centre */
  double *trial;       /* n */
  int32_t *labels;     /* n, from 1 */
  double *new_centres; /* k x d */
} kmeans;

static double uniform(kmeans *m) {
  const uint64_t high = ms_rng_next(&m->rng), low = ms_rng_next(&m->rng);
  return (double)((high << 32 | low) >> 11) * 0x1p-53;
}

static double sum_of(const double *v, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += v[i];
  return sum;
}

/* A row drawn with probability far[i] / all. */
static int64_t draw_row(kmeans *m, double all) {
  double left = uniform(m) * all;
  for (int64_t i = 0; i < m->n; i++) {
    left -= m->far[i];
    if (left < 0) return i;
  }
  return m->n - 1;
}

/* out[i] = min(far[i], |x_i - row|^2); far NULL: without the minimum. */
static void nearer(const kmeans *m, const float *row, const double *far, double *out) {
  const ml_distance_fn distance = ml_distance();
  MS_PARALLEL(ms_threads(), i, m->n, {
    const double d2 = distance(m->x + i * m->d, row, m->d);
    out[i] = far && far[i] < d2 ? far[i] : d2;
  });
}

/* k-means++: rows drawn by their squared distance to the nearest centre so far; of a few candidates the one that lowers the sum
 * most. */
static int start(kmeans *m) {
  const int64_t trials = 2 + (int64_t)log((double)m->k);
  double *best = ml_alloc(m->n, sizeof *best);
  if (!best) return ml_no_memory("kmeans"), -1;
  int64_t row = (int64_t)(uniform(m) * (double)m->n);
  nearer(m, m->x + row * m->d, NULL, m->far);
  memcpy(m->near, m->x + row * m->d, (size_t)m->d * sizeof(float));
  for (int64_t c = 1; c < m->k && !ms_interrupted(); c++) {
    const double all = sum_of(m->far, m->n);
    double least = INFINITY;
    for (int64_t t = 0; t < trials; t++) {
      const int64_t candidate = draw_row(m, all);
      nearer(m, m->x + candidate * m->d, m->far, m->trial);
      const double sum = sum_of(m->trial, m->n);
      if (sum >= least) continue;
      least = sum, row = candidate;
      double *other = best;
      best = m->trial, m->trial = other;
    }
    double *other = m->far;
    m->far = best, best = other;
    memcpy(m->near + c * m->d, m->x + row * m->d, (size_t)m->d * sizeof(float));
  }
  free(best);
  return 0;
}

/* The nearest centre of each row, and how far it is. */
static int assign(kmeans *m) {
  ms_knn *knn = ms_knn_fit(m->k, m->d, m->near, NULL, 0);
  if (!knn) return -1;
  const int rc = ms_knn_query(knn, m->n, m->x, 1, m->labels, NULL);
  ms_knn_free(knn);
  return rc;
}

static double inertia_of(kmeans *m) {
  MS_PARALLEL(ms_threads(), i, m->n, {
    const double *centre = m->centres + (int64_t)(m->labels[i] - MS_INDEX_BASE) * m->d;
    double sum = 0;
    for (int64_t j = 0; j < m->d; j++) sum += ((double)m->x[i * m->d + j] - centre[j]) * ((double)m->x[i * m->d + j] - centre[j]);
    m->far[i] = sum;
  });
  return sum_of(m->far, m->n);
}

/* The mean of each cluster's rows; a cluster without rows takes the row that is farthest from its centre. Gives how far the centres
 * moved, squared. */
static double means(kmeans *m) {
  const int64_t k = m->k, d = m->d, size = k * d;
  MS_PARALLEL(ms_threads(), p, PARTS, {
    double *sum = m->sum + p * size;
    int64_t *count = m->count + p * k;
    memset(sum, 0, (size_t)size * sizeof *sum), memset(count, 0, (size_t)k * sizeof *count);
    for (int64_t i = m->n * p / PARTS; i < m->n * (p + 1) / PARTS; i++) {
      const int64_t c = m->labels[i] - MS_INDEX_BASE;
      const float *row = m->x + i * d;
      count[c]++;
      for (int64_t j = 0; j < d; j++) sum[c * d + j] += (double)row[j];
    }
  });
  for (int64_t p = 1; p < PARTS; p++) {
    for (int64_t e = 0; e < size; e++) m->sum[e] += m->sum[p * size + e];
    for (int64_t c = 0; c < k; c++) m->count[c] += m->count[p * k + c];
  }
  bool measured = false;
  for (int64_t c = 0; c < k; c++) {
    if (m->count[c]) continue;
    if (!measured) inertia_of(m), measured = true;
    int64_t farthest = 0;
    for (int64_t i = 1; i < m->n; i++)
      if (m->far[i] > m->far[farthest]) farthest = i;
    const int64_t from = m->labels[farthest] - MS_INDEX_BASE;
    for (int64_t j = 0; j < d; j++) {
      m->sum[c * d + j] = (double)m->x[farthest * d + j];
      m->sum[from * d + j] -= (double)m->x[farthest * d + j];
    }
    m->count[c] = 1, m->count[from]--, m->far[farthest] = -1;
  }
  double moved = 0;
  for (int64_t c = 0; c < k; c++)
    for (int64_t j = 0; j < d; j++) {
      const int64_t e = c * d + j;
      const double v = m->count[c] > 0 ? m->sum[e] / (double)m->count[c] : m->centres[e];
      moved += (v - m->centres[e]) * (v - m->centres[e]);
      m->centres[e] = v, m->near[e] = (float)v;
    }
  return moved;
}

/* From the centres in m->near. */
static int lloyd(kmeans *m, double tol, int64_t max_iter, int32_t *before, double *inertia, int64_t *iterations) {
  for (int64_t e = 0; e < m->k * m->d; e++) m->centres[e] = (double)m->near[e];
  bool same = false;
  int64_t i = 0;
  memset(before, 0, (size_t)m->n * sizeof *before);
  while (i < max_iter) {
    if (assign(m)) return -1;
    const double moved = means(m);
    i++;
    same = !memcmp(before, m->labels, (size_t)m->n * sizeof *before);
    if (same || moved <= tol) break;
    memcpy(before, m->labels, (size_t)m->n * sizeof *before);
  }
  if (!same && assign(m)) return -1; /* so that labels are those of these centres */
  *inertia = inertia_of(m), *iterations = i;
  return 0;
}

/* tol times the mean of the features' variances. */
static int tolerance(int64_t n, int64_t d, const float *x, double tol, double *scaled) {
  double all = 0;
  double *mean = ml_alloc(d, sizeof *mean);
  if (!mean) return ml_no_memory("kmeans"), -1;
  memset(mean, 0, (size_t)d * sizeof *mean);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < d; j++) mean[j] += (double)x[i * d + j] / (double)n;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < d; j++) all += ((double)x[i * d + j] - mean[j]) * ((double)x[i * d + j] - mean[j]);
  free(mean);
  *scaled = tol * all / (double)n / (double)d;
  return 0;
}

int ms_kmeans_fit(int64_t n, int64_t d, const float *x, const float *init, const ms_kmeans_options *o, double *centres,
                  int32_t *labels, double *inertia, int64_t *iterations) {
  const int64_t k = o->clusters;
  if (k < 1 || k > n)
    return ms_fail("kmeans: expected as many clusters as there are samples or fewer (%lld), got %lld", (long long)n, (long long)k),
           -1;
  if (ml_check_finite("kmeans: x", n, d, x) || (init && ml_check_finite("kmeans: init", k, d, init))) return -1;
  double tol;
  if (tolerance(n, d, x, o->tol, &tol)) return -1;
  kmeans m = {.n = n, .d = d, .k = k, .x = x, .rng = {o->seed, 0}};
  int32_t *before = ml_alloc(n, sizeof *before);
  m.near = ml_alloc(k * d, sizeof *m.near), m.centres = ml_alloc(k * d, sizeof *m.centres);
  m.sum = ml_alloc(PARTS * k * d, sizeof *m.sum), m.count = ml_alloc(PARTS * k, sizeof *m.count);
  m.far = ml_alloc(n, sizeof *m.far), m.trial = ml_alloc(n, sizeof *m.trial), m.labels = ml_alloc(n, sizeof *m.labels);
  int rc = before && m.near && m.centres && m.sum && m.count && m.far && m.trial && m.labels ? 0 : (ml_no_memory("kmeans"), -1);
  *inertia = INFINITY;
  for (int64_t run = 0; rc == 0 && run < (init ? 1 : o->n_init); run++) {
    double sum;
    int64_t steps;
    if (init) memcpy(m.near, init, (size_t)(k * d) * sizeof *init);
    else rc = start(&m);
    if (rc == 0 && ms_interrupted()) ms_stopped("kmeans"), rc = -1;
    if (rc == 0) rc = lloyd(&m, tol, o->max_iter, before, &sum, &steps);
    if (rc || sum >= *inertia) continue;
    *inertia = sum, *iterations = steps;
    memcpy(centres, m.centres, (size_t)(k * d) * sizeof *centres);
    memcpy(labels, m.labels, (size_t)n * sizeof *labels);
  }
  free(before), free(m.near), free(m.centres), free(m.sum), free(m.count), free(m.far), free(m.trial), free(m.labels);
  return rc;
}

int ms_kmeans_predict(int64_t k, int64_t d, const double *centres, int64_t n, const float *x, int32_t *labels, double *distance) {
  if (ml_check_finite("kmeans: x", n, d, x)) return -1;
  float *near = ml_alloc(k * d, sizeof *near);
  if (!near) return ml_no_memory("kmeans"), -1;
  for (int64_t e = 0; e < k * d; e++) near[e] = (float)centres[e];
  kmeans m = {.n = n, .d = d, .k = k, .x = x, .near = near, .labels = labels};
  const int rc = labels ? assign(&m) : 0;
  free(near);
  if (distance && rc == 0)
    MS_PARALLEL(ms_threads(), i, n, {
      for (int64_t c = 0; c < k; c++) {
        double sum = 0;
        for (int64_t j = 0; j < d; j++) {
          const double difference = (double)x[i * d + j] - centres[c * d + j];
          sum += difference * difference;
        }
        distance[i * k + c] = sqrt(sum);
      }
    });
  return rc;
}
