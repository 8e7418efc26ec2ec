/* ml.h -- classical learning on plain C arrays: nearest neighbours, random forests, principal components, metrics.
 *
 * Data are row-major f32, n rows (samples) x d columns (features). Class labels are int32 counting from MS_INDEX_BASE (1), and so
 * are the row numbers a neighbour query gives. Every value read must be finite. Functions that fail return NULL or -1 after
 * ms_fail(). Results do not depend on the number of threads. Models are read-only after fitting: several threads may query one.
 */
#ifndef MASCON_ML_H
#define MASCON_ML_H
#include "mascon.h"

/* ---- nearest neighbours (ml/knn.c) ------------------------------------------------------------------------------- */

typedef struct ms_knn ms_knn;
typedef enum ms_knn_weights { MS_KNN_UNIFORM, MS_KNN_DISTANCE } ms_knn_weights;

/* How far apart rows are: |q - y|, 1 - q.y / (|q| |y|) (1 where either is 0), or the sum of |q_j - y_j|. */
typedef enum ms_knn_metric { MS_KNN_EUCLIDEAN, MS_KNN_COSINE, MS_KNN_MANHATTAN } ms_knn_metric;

/* Keep n x d training rows (copied). y: their classes 1..classes, or NULL for a model that only finds neighbours; classes 0 = the
 * largest label. Fails on n or d < 1, on n >= 2^31, on a label outside 1..classes, on a value not finite, out of memory. */
ms_knn *ms_knn_fit(int64_t n, int64_t d, const float *x, const int32_t *y, int32_t classes);
ms_knn *ms_knn_fit_by(ms_knn_metric metric, int64_t n, int64_t d, const float *x, const int32_t *y, int32_t classes);
void ms_knn_free(ms_knn *m); /* NULL is fine */
ms_knn_metric ms_knn_metric_of(const ms_knn *m);
int64_t ms_knn_rows(const ms_knn *m);
int64_t ms_knn_features(const ms_knn *m);
int32_t ms_knn_classes(const ms_knn *m);  /* 0 without labels */
const float *ms_knn_x(const ms_knn *m);   /* the training rows, rows x features; they belong to m */
const int32_t *ms_knn_y(const ms_knn *m); /* their classes, NULL without labels */

/* The k nearest training rows of each of nq query rows (nq x d), nearest first, lower row number first where distances are equal:
 * the order of distances computed directly in f64 (cosine: of rows of length 1, rounded to f32). index: nq x k, from 1. distance:
 * nq x k, or NULL. -1 on k outside 1..n, on a value not finite, out of memory. */
int ms_knn_query(const ms_knn *m, int64_t nq, const float *q, int64_t k, int32_t *index, float *distance);

/* The k nearest other training rows of each training row, in the same order: n x k. 1 <= k < n. */
int ms_knn_others(const ms_knn *m, int64_t k, int32_t *index, float *distance);

/* A graph over n rows in which row i leads to index[i][0..k-1] (n x k, from 1, without repetition) with weight[i][..], made
 * symmetric: */
typedef enum ms_graph_symmetry { MS_GRAPH_NONE, MS_GRAPH_MEAN, MS_GRAPH_MAX } ms_graph_symmetry;
/* not at all, (W + W^T) / 2, or the larger of W and W^T. Edges by row, then column, ascending: those of row i are first[i] ..
 * first[i + 1] - 1 of column (from 1) and value. *column and *value are the caller's to free(). Returns how many edges, or -1. */
int64_t ms_graph_join(int64_t n, int64_t k, const int32_t *index, const float *weight, ms_graph_symmetry how, int64_t *first,
                      int32_t **column, float **value);
/* out = W in, of n x c numbers in f64: sums over the edges of a row in their order. column counts from 1. */
void ms_graph_product(int64_t n, const int64_t *first, const int64_t *column, const float *value, int64_t c, const double *in,
                      double *out);

/* The class most of the k neighbours have, the smaller class number where votes are equal. MS_KNN_DISTANCE weighs a vote by
 * 1/distance; neighbours at distance 0, where there are any, then vote alone. predicted: nq classes. proba: nq x classes, the
 * shares of the votes, or NULL. Fails as ms_knn_query does, and when the model has no labels. */
int ms_knn_classify(const ms_knn *m, int64_t nq, const float *q, int64_t k, ms_knn_weights weights, int32_t *predicted,
                    float *proba);

/* ---- random forest, decision tree (ml/forest.c, ml/tree.c) ------------------------------------------------------- */

typedef struct ms_forest ms_forest;

typedef enum ms_forest_criterion { MS_FOREST_GINI, MS_FOREST_ENTROPY } ms_forest_criterion;

typedef struct ms_forest_options {
  ms_forest_criterion criterion; /* of classes; numbers are split by the sum of squared errors */
  int64_t trees;                 /* 100 */
  int64_t max_depth;             /* 0 = no limit */
  int64_t max_features;          /* features looked at per split; 0 = floor(sqrt(d)), -1 = all d */
  int64_t min_split;             /* 2: fewest rows a node needs to be split */
  int64_t min_leaf; /* 1: fewest rows on either side of a split; rows drawn twice by the bootstrap count once, as in scikit-learn */
  bool bootstrap;   /* true: each tree sees n rows drawn with replacement */
  bool out_of_bag;  /* false; true, with bootstrap: also ask each tree about the rows it has not seen */
  uint64_t seed;    /* 0; the forest is a function of data, options and seed, whatever the number of threads */
} ms_forest_options;

ms_forest_options ms_forest_defaults(void);
ms_forest_options ms_tree_defaults(void); /* one decision tree: 1 tree, all rows, all features */

/* Grow trees on n x d rows with classes y (1..classes; classes 0 = the largest label). Fails on n or d < 1,
 * on n >= 2^30, on more than 65,535 classes, on an option out of range, on a label outside 1..classes, on a value not finite, out
 * of memory. */
ms_forest *ms_forest_fit(int64_t n, int64_t d, const float *x, const int32_t *y, int32_t classes, const ms_forest_options *options);
/* The same for numbers y (f64, finite): a leaf holds the mean of its rows. */
ms_forest *ms_forest_regress(int64_t n, int64_t d, const float *x, const double *y, const ms_forest_options *options);
/* Isolation trees (Liu, Ting, Zhou 2008), each on `samples` rows drawn without replacement, at random splits, at most ceil(log2
 * samples) deep; what ms_forest_value gives is the mean over the trees of a row's depth, with that expected below a leaf of several
 * rows. Fails as ms_forest_fit does, and on samples outside 1..n. */
ms_forest *ms_forest_isolate(int64_t n, int64_t d, const float *x, int64_t trees, int64_t samples, uint64_t seed);
/* The mean depth of a row in such a tree of n rows. */
double ms_isolation_depth(int64_t n);
void ms_forest_free(ms_forest *f); /* NULL is fine */

/* The class with the largest mean probability, the smaller number where two are equal. predicted: n classes. */
int ms_forest_predict(const ms_forest *f, int64_t n, const float *x, int32_t *predicted);
/* Mean over the trees of the class shares in the leaf a row ends in. proba: n x classes, f64. */
int ms_forest_proba(const ms_forest *f, int64_t n, const float *x, double *proba);
/* The mean over the trees of the numbers in the leaves, of a forest for numbers. value: n. */
int ms_forest_value(const ms_forest *f, int64_t n, const float *x, double *value);
/* What the trees that have not seen a training row say of it, their mean: rows x classes, or rows x 1 of numbers; NaN where all
 * have seen it. NULL unless it was asked for. They belong to f. */
const double *ms_forest_out_of_bag(const ms_forest *f, int64_t *rows);

/* A forest as flat arrays. Node i of tree t is entry first[t] + i; node 0 is the root.
 * Inner node: a row goes to node left[i] when x[feature[i]] <= threshold[i], else to node left[i] + 1; i < left[i]; leaf[i] = 0.
 * Leaf: feature[i] = -1, left[i] = i, threshold[i] = +infinity; leaf[i] = c > 0: all rows of class c; leaf[i] = -r < 0: the class
 * shares are row r - 1 of proba. In a forest for numbers classes is 0, and proba rows x 1 holds the numbers. Thresholds are
 * midpoints of neighbouring values rounded down to f32, which decides every f32 alike. */
typedef struct ms_forest_arrays {
  int64_t trees, features, nodes, rows; /* nodes: of all trees; rows: of proba */
  int32_t classes;
  const int64_t *first;   /* trees + 1 */
  const int32_t *feature; /* nodes; counts from 0 */
  const float *threshold; /* nodes */
  const int32_t *left;    /* nodes */
  const int32_t *leaf;    /* nodes */
  const double *proba;    /* rows x classes */
  const double
      *importance; /* features, or NULL: how much splits by each one lower the criterion; sum 1, or 0 where nothing was split */
} ms_forest_arrays;

/* The arrays of f; they belong to f and live as long. */
ms_forest_arrays ms_forest_get(const ms_forest *f);
/* A forest from arrays (copied), every invariant above checked. */
ms_forest *ms_forest_set(const ms_forest_arrays *a);
/* Nodes and depth (edges on the longest path) of tree t (from 0); -1 when there is no such tree. */
int64_t ms_forest_nodes(const ms_forest *f, int64_t t);
int64_t ms_forest_depth(const ms_forest *f, int64_t t);

/* ---- symmetric eigenproblem (ml/eigen.c) ------------------------------------------------------------------------- */

/* a: n x n symmetric, f64 (the lower triangle is read). values: n, largest first. vectors: n x n, ROW i is the unit eigenvector of
 * values[i], its coefficient of largest magnitude positive. -1 on n < 1, on a value not finite, no convergence, out of memory. */
int ms_eigen_symmetric(int64_t n, const double *a, double *values, double *vectors);

/* ---- principal components (ml/pca.c) ----------------------------------------------------------------------------- */

typedef struct ms_pca ms_pca;

/* Means (d) and covariance (d x d, divided by n - 1) of n x d rows, in f64. n >= 2. */
int ms_covariance(int64_t n, int64_t d, const float *x, double *mean, double *covariance);

/* The k directions of largest variance of n x d rows. Fails on n < 2, on k outside 1..d, on a value not finite, out of memory. */
ms_pca *ms_pca_fit(int64_t n, int64_t d, const float *x, int64_t k);
/* A fitted model from what another one held: mean (d), components (k x d), variance (k), total variance of the data. */
ms_pca *ms_pca_set(int64_t d, int64_t k, const double *mean, const double *components, const double *variance, double total);
void ms_pca_free(ms_pca *p); /* NULL is fine */

int64_t ms_pca_features(const ms_pca *p);
int64_t ms_pca_components(const ms_pca *p);
const double *ms_pca_mean(const ms_pca *p);     /* d */
const double *ms_pca_basis(const ms_pca *p);    /* k x d, orthonormal rows, sign as in ms_eigen_symmetric */
const double *ms_pca_variance(const ms_pca *p); /* k: explained variance, largest first */
double ms_pca_total(const ms_pca *p);           /* sum of all d variances: variance[i] / total is the explained ratio */

/* codes (n x k) = (x - mean) basis^T, and back: x (n x d) = codes basis + mean. -1 on a value not finite. */
int ms_pca_transform(const ms_pca *p, int64_t n, const float *x, float *codes);
int ms_pca_inverse(const ms_pca *p, int64_t n, const float *codes, float *x);

/* ---- logistic regression (ml/logistic.c) -------------------------------------------------------------------------- */

typedef struct ms_logistic ms_logistic;

/* A fit that is to begin, of n x d rows (f32, or f64 if `wide`; copied) of classes 1..classes: weights that make 1/2 |w|^2 + c *
 * sum of losses least, the intercepts not counted. c may be infinite: no penalty. Two classes have one vector of weights, more one
 * each (multinomial). class_weight: what a sample of each class counts, or NULL. Fails on n, d < 1, classes outside 2..65535, c <=
 * 0, a label outside 1..classes, a value not finite, out of memory. */
ms_logistic *ms_logistic_new(int64_t n, int64_t d, const void *x, bool wide, const int32_t *y, int32_t classes, double c,
                             bool intercept, const double *class_weight);
void ms_logistic_free(ms_logistic *m); /* NULL is fine */
/* At most `steps` steps down. 1: the largest element of the gradient, of the cost divided by c * n, is at most `tolerance`, or
 * rounding lets it become no smaller; 0: not yet; -1: interrupted, out of memory. */
int ms_logistic_run(ms_logistic *m, int64_t steps, double tolerance);
double ms_logistic_cost(const ms_logistic *m);     /* 1/2 |w|^2 + c * sum of losses; with c infinite, the sum */
double ms_logistic_gradient(const ms_logistic *m); /* what ms_logistic_run compares with its tolerance */
int64_t ms_logistic_steps(const ms_logistic *m);   /* made so far */
int64_t ms_logistic_features(const ms_logistic *m);
int32_t ms_logistic_rows(const ms_logistic *m); /* vectors of weights: 1, or classes */
/* weights: rows x d. intercepts: rows; of several classes their sum is 0. */
void ms_logistic_weights(const ms_logistic *m, double *weights, double *intercepts);

/* ---- metrics (ml/metrics.c) -------------------------------------------------------------------------------------- */

/* Share of the n labels that agree; NaN and a message when n < 1. */
double ms_accuracy(int64_t n, const int32_t *truth, const int32_t *predicted);
/* counts[(t - 1) * classes + (p - 1)]: rows of class t predicted as p. -1 on a label outside 1..classes. */
int ms_confusion(int64_t n, int32_t classes, const int32_t *truth, const int32_t *predicted, int64_t *counts);

#endif
