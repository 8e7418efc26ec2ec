/* gmm.c -- gaussian mixtures by expectation and maximisation (Dempster, Laird, Rubin 1977), in f64. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/cluster.h"
#include "ml/internal.h"

enum { PARTS = 16 }; /* sums over rows are made in so many stretches, whatever the number of threads */

int64_t ms_gmm_values(int64_t k, int64_t d, ms_gmm_kind kind) {
  return kind == MS_GMM_FULL ? k * d * d : kind == MS_GMM_TIED ? d * d : kind == MS_GMM_DIAG ? k * d : k;
}

/* What densities are computed by: with L L^T the covariance of component c, factor: full and tied the inverse of L (d x d, lower),
 * diag and spherical 1 / the standard deviations (d); constant: log weight - d/2 log(2 pi) - log det L. */
typedef struct gmm_density {
  double *factor, *constant;
} gmm_density;

static void free_density(gmm_density *f) { free(f->factor), free(f->constant); }

/* The inverse of the lower triangle L of a = L L^T, and the logarithm of L's determinant. false: a is not positive definite. */
static bool inverse_root(int64_t d, const double *a, double *inverse, double *log_det) {
  double *l = inverse; /* L first, then its inverse in its place */
  *log_det = 0;
  for (int64_t i = 0; i < d; i++) {
    for (int64_t j = 0; j <= i; j++) {
      double sum = a[i * d + j];
      for (int64_t e = 0; e < j; e++) sum -= l[i * d + e] * l[j * d + e];
      if (i == j) {
        if (!(sum > 0) || !isfinite(sum)) return false;
        l[i * d + i] = sqrt(sum), *log_det += log(sum) / 2;
      } else l[i * d + j] = sum / l[j * d + j];
    }
    for (int64_t j = i + 1; j < d; j++) l[i * d + j] = 0;
  }
  for (int64_t j = 0; j < d; j++) { /* column by column: rows below still hold L right of j */
    l[j * d + j] = 1 / l[j * d + j];
    for (int64_t i = j + 1; i < d; i++) {
      double sum = 0;
      for (int64_t e = j; e < i; e++) sum -= l[i * d + e] * l[e * d + j];
      l[i * d + j] = sum / l[i * d + i];
    }
  }
  return true;
}

static int densities(const ms_gmm *g, gmm_density *f) {
  const int64_t k = g->k, d = g->d, each = g->kind <= MS_GMM_TIED ? d * d : d;
  *f = (gmm_density){ml_alloc(k * each, sizeof(double)), ml_alloc(k, sizeof(double))};
  if (!f->factor || !f->constant) return free_density(f), ml_no_memory("gaussian_mixture"), -1;
  for (int64_t c = 0; c < k; c++) {
    double log_det = 0, *factor = f->factor + c * each;
    bool fine = true;
    if (g->kind == MS_GMM_FULL) fine = inverse_root(d, g->covariances + c * d * d, factor, &log_det);
    else if (g->kind == MS_GMM_TIED) fine = inverse_root(d, g->covariances, factor, &log_det);
    else
      for (int64_t j = 0; j < d; j++) {
        const double v = g->covariances[g->kind == MS_GMM_DIAG ? c * d + j : c];
        if (!(v > 0) || !isfinite(v)) fine = false;
        factor[j] = 1 / sqrt(v), log_det += log(v) / 2;
      }
    if (!fine)
      return free_density(f),
             ms_fail("gaussian_mixture: the covariance of component %lld is not positive definite: fewer components, or a larger "
                     "reg_covar",
                     (long long)c + 1),
             -1;
    f->constant[c] = log(g->weights[c]) - (double)d / 2 * log(2 * M_PI) - log_det;
  }
  return 0;
}

/* log(weight density) of component c at a row. difference: d. */
static double log_density(const ms_gmm *g, const gmm_density *f, int64_t c, const float *row, double *difference) {
  const int64_t d = g->d;
  const double *mean = g->means + c * d;
  double sum = 0;
  if (g->kind > MS_GMM_TIED) {
    const double *factor = f->factor + c * d;
    for (int64_t j = 0; j < d; j++) sum += ((double)row[j] - mean[j]) * factor[j] * ((double)row[j] - mean[j]) * factor[j];
  } else {
    const double *factor = f->factor + c * d * d;
    for (int64_t j = 0; j < d; j++) difference[j] = (double)row[j] - mean[j];
    for (int64_t i = 0; i < d; i++) {
      double v = 0;
      for (int64_t j = 0; j <= i; j++) v += factor[i * d + j] * difference[j];
      sum += v * v;
    }
  }
  return f->constant[c] - sum / 2;
}

/* The expectation step: log likelihood of each row (or NULL) and probabilities of the components (n x k, or NULL). */
static int expect(const ms_gmm *g, int64_t n, const float *x, double *likelihood, double *proba) {
  gmm_density f;
  if (densities(g, &f)) return -1;
  const int64_t k = g->k;
  bool failed = false;
  const int team = ms_threads();
  MS_TOGETHER(team, id, {
    double *work = ml_alloc(g->d + k, sizeof *work);
    if (!work) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    for (int64_t i = n * id / team; work && i < n * (id + 1) / team && !ms_interrupted(); i++) {
      double *p = work + g->d, most = -INFINITY, sum = 0;
      for (int64_t c = 0; c < k; c++) {
        p[c] = log_density(g, &f, c, x + i * g->d, work);
        if (p[c] > most) most = p[c];
      }
      for (int64_t c = 0; c < k; c++) sum += p[c] = exp(p[c] - most);
      for (int64_t c = 0; proba && c < k; c++) proba[i * k + c] = p[c] / sum;
      if (likelihood) likelihood[i] = most + log(sum);
    }
    free(work);
  });
  free_density(&f);
  if (ms_interrupted()) return ms_stopped("gaussian_mixture"), -1;
  return failed ? ml_no_memory("gaussian_mixture"), -1 : 0;
}

/* Adds the rows' p[c] (x - mean)(x - mean)^T of one component (wide), or of their diagonal. out: d x d or d, lower triangle. */
static void scatter(int64_t from, int64_t to, int64_t d, const float *x, const double *p, int64_t k, const double *mean, bool wide,
                    double *difference, double *out) {
  for (int64_t r = from; r < to && !ms_interrupted(); r++) {
    const double weight = p[r * k];
    for (int64_t j = 0; j < d; j++) difference[j] = (double)x[r * d + j] - mean[j];
    for (int64_t i = 0; i < d; i++) {
      const double v = weight * difference[i];
      if (!wide) out[i] += v * difference[i];
      else
        for (int64_t j = 0; j <= i; j++) out[i * d + j] += v * difference[j];
    }
  }
}

/* The maximisation step. proba: n x k. work: PARTS x (d + the larger of k d and d d). */
static int maximise(ms_gmm *g, int64_t n, const float *x, const double *proba, double reg, double *work, double *count) {
  const int64_t k = g->k, d = g->d, size = d * (k > d ? k : d);
  const bool wide = g->kind <= MS_GMM_TIED;
  for (int64_t c = 0; c < k; c++) {
    count[c] = 10 * 2.220446049250313e-16;
    for (int64_t i = 0; i < n; i++) count[c] += proba[i * k + c];
  }
  MS_PARALLEL(ms_threads(), p, PARTS, {
    double *sum = work + p * (size + d);
    memset(sum, 0, (size_t)(k * d) * sizeof *sum);
    for (int64_t i = n * p / PARTS; i < n * (p + 1) / PARTS && !ms_interrupted(); i++)
      for (int64_t c = 0; c < k; c++)
        for (int64_t j = 0; j < d; j++) sum[c * d + j] += proba[i * k + c] * (double)x[i * d + j];
  });
  for (int64_t e = 0; e < k * d; e++) {
    double sum = 0;
    for (int64_t p = 0; p < PARTS; p++) sum += work[p * (size + d) + e];
    g->means[e] = sum / count[e / d];
  }
  double all = 0;
  for (int64_t c = 0; c < k; c++) all += count[c];
  for (int64_t c = 0; c < k; c++) g->weights[c] = count[c] / all;
  const int64_t each = wide ? d * d : d, values = ms_gmm_values(k, d, g->kind);
  memset(g->covariances, 0, (size_t)values * sizeof(double));
  for (int64_t c = 0; c < k && !ms_interrupted(); c++) {
    MS_PARALLEL(ms_threads(), p, PARTS, {
      double *sum = work + p * (size + d);
      memset(sum, 0, (size_t)each * sizeof *sum);
      scatter(n * p / PARTS, n * (p + 1) / PARTS, d, x, proba + c, k, g->means + c * d, wide, sum + size, sum);
    });
    const double divisor = g->kind == MS_GMM_TIED ? all : count[c];
    for (int64_t e = 0; e < each; e++) {
      if (wide && e % d > e / d) continue;
      double sum = 0;
      for (int64_t p = 0; p < PARTS; p++) sum += work[p * (size + d) + e];
      sum /= divisor;
      if (g->kind == MS_GMM_SPHERICAL) g->covariances[c] += (sum + reg) / (double)d;
      else if (g->kind == MS_GMM_DIAG) g->covariances[c * d + e] = sum + reg;
      else g->covariances[(g->kind == MS_GMM_FULL ? c * d * d : 0) + e] += sum;
    }
  }
  for (int64_t m = 0; wide && m < values; m += d * d)
    for (int64_t i = 0; i < d; i++) {
      g->covariances[m + i * d + i] += reg;
      for (int64_t j = 0; j < i; j++) g->covariances[m + j * d + i] = g->covariances[m + i * d + j];
    }
  return ms_interrupted() ? ms_stopped("gaussian_mixture"), -1 : 0;
}

int ms_gmm_fit(ms_gmm *g, int64_t n, const float *x, const int32_t *labels, double reg, double tol, int64_t max_iter,
               double *likelihood, int64_t *iterations, bool *converged) {
  const int64_t k = g->k, d = g->d, size = d * (k > d ? k : d);
  if (k < 1 || k > n)
    return ms_fail("gaussian_mixture: expected at most the %lld samples there are as components, got %lld", (long long)n,
                   (long long)k),
           -1;
  if (ml_check_finite("gaussian_mixture: x", n, d, x)) return -1;
  double *proba = ml_alloc(n * k, sizeof *proba), *row = ml_alloc(n, sizeof *row), *count = ml_alloc(k, sizeof *count);
  double *work = ml_alloc(PARTS * (size + d), sizeof *work);
  int rc = proba && row && count && work ? 0 : (ml_no_memory("gaussian_mixture"), -1);
  *likelihood = -INFINITY, *iterations = 0, *converged = false;
  if (rc == 0) {
    memset(proba, 0, (size_t)(n * k) * sizeof *proba);
    for (int64_t i = 0; i < n; i++) proba[i * k + labels[i] - MS_INDEX_BASE] = 1;
    rc = maximise(g, n, x, proba, reg, work, count);
  }
  while (rc == 0 && *iterations < max_iter && !*converged) {
    if ((rc = expect(g, n, x, row, proba)) || (rc = maximise(g, n, x, proba, reg, work, count))) break;
    double mean = 0;
    for (int64_t i = 0; i < n; i++) mean += row[i] / (double)n;
    ++*iterations;
    *converged = fabs(mean - *likelihood) < tol;
    *likelihood = mean;
  }
  free(proba), free(row), free(count), free(work);
  return rc;
}

int ms_gmm_score(const ms_gmm *g, int64_t n, const float *x, double *likelihood, double *proba) {
  if (ml_check_finite("gaussian_mixture: x", n, g->d, x)) return -1;
  return expect(g, n, x, likelihood, proba);
}
