/* tree.h -- growing one decision tree; between tree.c and forest.c. */
#ifndef MASCON_ML_TREE_H
#define MASCON_ML_TREE_H
#include "ml/ml.h"

/* Training data as trees want them: in every column a value is replaced by its rank among the distinct values of that column. */
typedef struct ml_ranked {
  int64_t n, d;
  int32_t classes;
  const int32_t *y;     /* n; from 1; the caller's; NULL where numbers are learned: */
  const double *target; /* n; then classes is 0 */
  uint32_t *rank;       /* d x n: column after column */
  float **value;        /* d: the distinct values of a column, ascending */
} ml_ranked;

/* 0, or -1 without a message when there is no memory. */
int ml_ranked_open(ml_ranked *t, int64_t n, int64_t d, const float *x, const int32_t *y, const double *target, int32_t classes);
void ml_ranked_close(ml_ranked *t);

/* One tree in the layout of ms_forest_arrays, proba rows counted from its own first. */
typedef struct ml_tree {
  int64_t nodes, rows;
  int32_t *feature, *left, *leaf;
  float *threshold;
  double *proba;
  double *importance; /* features */
} ml_tree;

void ml_tree_close(ml_tree *t);

/* ---- random numbers: splitmix64 (Steele, Lea, Flood 2014), one stream per seed and tree -------------------------- */

static inline uint64_t ml_mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static inline uint64_t ml_tree_stream(uint64_t seed, int64_t tree) {
  return ml_mix(ml_mix(seed + 0x9e3779b97f4a7c15u) + (uint64_t)tree + 1);
}

static inline uint32_t ml_random(uint64_t *state) { return (uint32_t)(ml_mix(*state += 0x9e3779b97f4a7c15u) >> 32); }

/* Uniform in 0..n-1 without bias (Lemire 2019). */
static inline uint32_t ml_draw_below(uint64_t *state, uint32_t n) {
  uint64_t m = (uint64_t)ml_random(state) * n;
  if ((uint32_t)m < n)
    for (const uint32_t least = -n % n; (uint32_t)m < least;) m = (uint64_t)ml_random(state) * n;
  return (uint32_t)(m >> 32);
}

/* How often the bootstrap draws each of n rows, the first thing that is taken from a tree's stream. */
void ml_draw_rows(int64_t n, uint64_t *state, uint16_t *drawn);

/* Scratch memory of one thread. */
typedef struct ml_grower ml_grower;
/* log_table: for the entropy criterion, from ml_log_table (to free()), else NULL. NULL without a message when there is no memory.
 */
double *ml_log_table(void);
ml_grower *ml_grower_open(const ml_ranked *t, const double *log_table);
void ml_grower_close(ml_grower *g);

/* Trees as a forest, which takes copies; classes 0: of numbers. NULL without a message when there is no memory. */
ms_forest *ml_join_trees(const ml_tree *tree, int64_t trees, int64_t features, int32_t classes);

/* Grow tree number `tree`; o is complete (max_features >= 1). 0, or -1 without a message when there is no memory. */
int ml_tree_grow(ml_grower *g, const ml_ranked *t, const ms_forest_options *o, int64_t tree, ml_tree *out);

#endif
