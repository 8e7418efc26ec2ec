/* cluster.h -- clusters of samples, and measures of clusters and of embeddings, with scikit-learn's definitions. Data as in ml.h: n
 * rows of d f32, labels from 1; functions that fail give -1 or NULL, and results do not depend on the number of threads. */
#ifndef MASCON_ML_CLUSTER_H
#define MASCON_ML_CLUSTER_H
#include "mascon.h"

/* ---- k-means (ml/kmeans.c) --------------------------------------------------------------------------------------- */

typedef struct ms_kmeans_options {
  int64_t clusters; /* 8 */
  int64_t n_init;   /* 1: the best of so many starts by k-means++ */
  int64_t max_iter; /* 300 */
  double tol; /* 1e-4: it ends when the centres moved less (squared, all together), as a fraction of the features' mean variance */
  uint64_t seed;
} ms_kmeans_options;

/* Lloyd's iterations on n x d rows from k-means++ starts (Arthur, Vassilvitskii, SODA 2007; the best of 2 + log(clusters)
 * candidates a centre), or from init (clusters x d), then one start. A cluster that lost all its rows takes the one farthest from
 * its centre. Out: centres (clusters x d, f64), labels (n), the sum of squared distances to the nearest centre, iterations. */
int ms_kmeans_fit(int64_t n, int64_t d, const float *x, const float *init, const ms_kmeans_options *o, double *centres,
                  int32_t *labels, double *inertia, int64_t *iterations);
/* The nearest of k centres (the lower one where two are equally near) of each row. labels: n. distance: n x k, or NULL. */
int ms_kmeans_predict(int64_t k, int64_t d, const double *centres, int64_t n, const float *x, int32_t *labels, double *distance);

/* ---- gaussian mixture (ml/gmm.c) --------------------------------------------------------------------------------- */

typedef enum ms_gmm_kind { MS_GMM_FULL, MS_GMM_TIED, MS_GMM_DIAG, MS_GMM_SPHERICAL } ms_gmm_kind;

/* k gaussians in d dimensions: weights (k), means (k x d), covariances: full k x d x d, tied d x d, diag k x d, spherical k. */
typedef struct ms_gmm {
  int64_t k, d;
  ms_gmm_kind kind;
  double *weights, *means, *covariances;
} ms_gmm;

int64_t ms_gmm_values(int64_t k, int64_t d, ms_gmm_kind kind); /* numbers in covariances */
/* Expectation and maximisation from the clusters `labels` (1..k; n), until the mean log likelihood of a row changes by less than
 * tol or max_iter times. reg: added to the diagonals. g's arrays are the caller's. Out: the last mean log likelihood, iterations;
 * *converged. -1 on a covariance that is not positive definite, a value not finite, out of memory, a request to stop. */
int ms_gmm_fit(ms_gmm *g, int64_t n, const float *x, const int32_t *labels, double reg, double tol, int64_t max_iter,
               double *likelihood, int64_t *iterations, bool *converged);
/* log likelihood of each row (n, or NULL) and the probabilities of the k components (n x k, or NULL). */
int ms_gmm_score(const ms_gmm *g, int64_t n, const float *x, double *likelihood, double *proba);

/* ---- measures (ml/cluster_metrics.c) ----------------------------------------------------------------------------- */

/* (b - a) / max(a, b) of each row (n): a its mean distance to the others of its cluster, b the least mean distance to another
 * cluster; 0 where it is alone (Rousseeuw 1987). labels in 1..k, at least two of them used and fewer than n. */
int ms_silhouette(int64_t n, int64_t d, const float *x, int32_t k, const int32_t *labels, double *score);
/* 1 - 2 / (n k (2 n - 3 k - 1)) times the sum over the k nearest of each row in the embedding (n x e) of how far beyond k its rank
 * among the rows' own neighbours is (Venna, Kaski 2001). 1 <= k < n / 2. NaN and a message on failure. */
double ms_trustworthiness(int64_t n, int64_t d, const float *x, int64_t e, const float *embedding, int64_t k);
/* Mean over clusters of the largest (s_i + s_j) / |c_i - c_j|, s the mean distance to the centre c (Davies, Bouldin 1979). */
double ms_davies_bouldin(int64_t n, int64_t d, const float *x, int32_t k, const int32_t *labels);
/* Dispersion between clusters over that within, by their degrees of freedom (Calinski, Harabasz 1974). */
double ms_calinski_harabasz(int64_t n, int64_t d, const float *x, int32_t k, const int32_t *labels);

#endif
