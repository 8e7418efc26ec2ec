/* cluster_metrics.c -- measures of clusters and of embeddings. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/cluster.h"
#include "ml/internal.h"

/* Rows of each cluster, and how many clusters have any: -1 where not at least two do, or each row is one. */
static int64_t *counts(const char *what, int64_t n, int32_t k, const int32_t *labels) {
  if (ml_check_labels(what, n, labels, k) < 0) return NULL;
  int64_t *count = calloc((size_t)k + 1, sizeof *count), used = 0;
  if (!count) return ml_no_memory(what);
  for (int64_t i = 0; i < n; i++) used += !count[labels[i] - MS_INDEX_BASE]++;
  if (used >= 2 && used < n) return count;
  free(count);
  return ms_fail("%s: expected labels of 2 to %lld clusters, got %lld for %lld samples", what, (long long)n - 1, (long long)used,
                 (long long)n);
}

int ms_silhouette(int64_t n, int64_t d, const float *x, int32_t k, const int32_t *labels, double *score) {
  if (ml_check_finite("silhouette: x", n, d, x)) return -1;
  int64_t *count = counts("silhouette", n, k, labels);
  if (!count) return -1;
  const ml_distance_fn distance = ml_distance();
  bool failed = false;
  const int team = ms_threads();
  ms_stretch share[team];
  ms_cut(share, team, n);
  MS_TOGETHER(team, id, {
    double *sum = ml_alloc(k, sizeof *sum);
    if (!sum) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    for (int64_t i; sum && !ms_interrupted() && (i = ms_take(share, team, id)) >= 0;) {
      memset(sum, 0, (size_t)k * sizeof *sum);
      for (int64_t j = 0; j < n; j++) sum[labels[j] - MS_INDEX_BASE] += sqrt(distance(x + i * d, x + j * d, d));
      const int32_t own = labels[i] - MS_INDEX_BASE;
      double other = INFINITY;
      for (int32_t c = 0; c < k; c++)
        if (c != own && count[c] && sum[c] / (double)count[c] < other) other = sum[c] / (double)count[c];
      const double inside = count[own] > 1 ? sum[own] / (double)(count[own] - 1) : 0, larger = fmax(inside, other);
      score[i] = count[own] > 1 && larger > 0 ? (other - inside) / larger : 0;
    }
    free(sum);
  });
  free(count);
  if (ms_interrupted()) return ms_stopped("silhouette"), -1;
  return failed ? ml_no_memory("silhouette"), -1 : 0;
}

/* How far beyond k the ranks of the rows index[0..k] (from 1; without i) are among the others by their distance to row i, added up.
 * far: n, the squared distances. Of equal ones the lower row is nearer. */
static int64_t beyond(int64_t n, int64_t k, int64_t i, const int32_t *index, const double *far) {
  int64_t sum = 0;
  for (int64_t e = 0, taken = 0; e <= k && taken < k; e++) {
    const int64_t j = index[e] - MS_INDEX_BASE;
    if (j == i) continue;
    taken++;
    int64_t rank = 1;
    for (int64_t r = 0; r < n; r++) rank += r != i && (far[r] < far[j] || (far[r] == far[j] && r < j));
    if (rank > k) sum += rank - k;
  }
  return sum;
}

double ms_trustworthiness(int64_t n, int64_t d, const float *x, int64_t e, const float *embedding, int64_t k) {
  if (k < 1 || 2 * k >= n)
    return ms_fail("trustworthiness: n_neighbors: expected 1 or more, and fewer than half of the %lld samples, got %lld",
                   (long long)n, (long long)k),
           NAN;
  if (ml_check_finite("trustworthiness: x", n, d, x)) return NAN;
  ms_knn *m = ms_knn_fit(n, e, embedding, NULL, 0);
  if (!m) return NAN;
  int32_t *index = ml_alloc(n * (k + 1), sizeof *index);
  int rc = index ? ms_knn_query(m, n, embedding, k + 1, index, NULL) : (ml_no_memory("trustworthiness"), -1);
  ms_knn_free(m);
  const ml_distance_fn distance = ml_distance();
  bool failed = false;
  const int team = ms_threads();
  int64_t part[team];
  ms_stretch share[team];
  ms_cut(share, team, n);
  if (rc == 0)
    MS_TOGETHER(team, id, {
      double *far = ml_alloc(n, sizeof *far);
      if (!far) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
      part[id] = 0;
      for (int64_t i; far && !ms_interrupted() && (i = ms_take(share, team, id)) >= 0;) {
        for (int64_t j = 0; j < n; j++) far[j] = distance(x + i * d, x + j * d, d);
        part[id] += beyond(n, k, i, index + i * (k + 1), far);
      }
      free(far);
    });
  free(index);
  if (rc) return NAN;
  if (ms_interrupted()) return ms_stopped("trustworthiness"), NAN;
  if (failed) return ml_no_memory("trustworthiness"), NAN;
  int64_t sum = 0;
  for (int t = 0; t < team; t++) sum += part[t];
  return 1 - (double)sum * 2 / ((double)n * (double)k * (2 * (double)n - 3 * (double)k - 1));
}

/* ---- by centres -------------------------------------------------------------------------------------------------- */

/* Centres of the clusters (k x d) and of all rows (d, behind them), f64. */
static double *centres_of(int64_t n, int64_t d, const float *x, int32_t k, const int32_t *labels, const int64_t *count) {
  double *centre = ml_alloc(((int64_t)k + 1) * d, sizeof *centre);
  if (!centre) return ml_no_memory("clusters");
  memset(centre, 0, (size_t)(((int64_t)k + 1) * d) * sizeof *centre);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < d; j++) {
      centre[(int64_t)(labels[i] - MS_INDEX_BASE) * d + j] += (double)x[i * d + j];
      centre[k * d + j] += (double)x[i * d + j] / (double)n;
    }
  for (int32_t c = 0; c < k; c++)
    for (int64_t j = 0; count[c] && j < d; j++) centre[c * d + j] /= (double)count[c];
  return centre;
}

static double squared(int64_t d, const double *a, const double *b) {
  double sum = 0;
  for (int64_t j = 0; j < d; j++) sum += (a[j] - b[j]) * (a[j] - b[j]);
  return sum;
}

static double squared_to(int64_t d, const float *a, const double *b) {
  double sum = 0;
  for (int64_t j = 0; j < d; j++) sum += ((double)a[j] - b[j]) * ((double)a[j] - b[j]);
  return sum;
}

double ms_davies_bouldin(int64_t n, int64_t d, const float *x, int32_t k, const int32_t *labels) {
  if (ml_check_finite("davies_bouldin: x", n, d, x)) return NAN;
  int64_t *count = counts("davies_bouldin", n, k, labels);
  double *centre = count ? centres_of(n, d, x, k, labels, count) : NULL,
         *spread = centre ? calloc((size_t)k, sizeof *spread) : NULL;
  double sum = NAN;
  int64_t used = 0;
  if (centre && !spread) ml_no_memory("davies_bouldin");
  if (spread) {
    sum = 0;
    for (int64_t i = 0; i < n; i++) {
      const int32_t c = labels[i] - MS_INDEX_BASE;
      spread[c] += sqrt(squared_to(d, x + i * d, centre + c * d)) / (double)count[c];
    }
    for (int32_t a = 0; a < k; a++) {
      double worst = 0;
      for (int32_t b = 0; count[a] && b < k; b++) {
        const double apart = a == b || !count[b] ? 0 : sqrt(squared(d, centre + a * d, centre + b * d));
        if (apart > 0) worst = fmax(worst, (spread[a] + spread[b]) / apart);
      }
      sum += worst, used += count[a] > 0;
    }
    sum /= (double)used;
  }
  free(count), free(centre), free(spread);
  return sum;
}

double ms_calinski_harabasz(int64_t n, int64_t d, const float *x, int32_t k, const int32_t *labels) {
  if (ml_check_finite("calinski_harabasz: x", n, d, x)) return NAN;
  int64_t *count = counts("calinski_harabasz", n, k, labels);
  double *centre = count ? centres_of(n, d, x, k, labels, count) : NULL, within = 0, between = 0;
  int64_t used = 0;
  for (int64_t i = 0; centre && i < n; i++) within += squared_to(d, x + i * d, centre + (int64_t)(labels[i] - MS_INDEX_BASE) * d);
  for (int32_t c = 0; centre && c < k; c++)
    if (count[c]) between += (double)count[c] * squared(d, centre + c * d, centre + k * d), used++;
  const bool made = centre != NULL;
  free(count), free(centre);
  if (!made) return NAN;
  return within == 0 ? 1 : between * (double)(n - used) / (within * (double)(used - 1));
}
