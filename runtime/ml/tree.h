/* tree.h -- growing one decision tree; between tree.c and forest.c. */
#ifndef MASCON_ML_TREE_H
#define MASCON_ML_TREE_H
#include "ml/ml.h"

/* Training data as trees want them: in every column a value is replaced by its rank among the distinct values of that column. */
typedef struct ml_ranked {
  int64_t n, d;
  int32_t classes;
  const int32_t *y; /* n; from 1; the caller's */
  uint32_t *rank;   /* d x n: column after column */
  float **value;    /* d: the distinct values of a column, ascending */
} ml_ranked;

/* 0, or -1 without a message when there is no memory. */
int ml_ranked_open(ml_ranked *t, int64_t n, int64_t d, const float *x, const int32_t *y, int32_t classes);
void ml_ranked_close(ml_ranked *t);

/* One tree in the layout of ms_forest_arrays, proba rows counted from its own first. */
typedef struct ml_tree {
  int64_t nodes, rows;
  int32_t *feature, *left, *leaf;
  float *threshold;
  double *proba;
} ml_tree;

void ml_tree_close(ml_tree *t);

/* Scratch memory of one thread. */
typedef struct ml_grower ml_grower;
ml_grower *ml_grower_open(const ml_ranked *t); /* NULL without a message when there is no memory */
void ml_grower_close(ml_grower *g);

/* Grow tree number `tree`; o is complete (max_features >= 1). 0, or -1 without a message when there is no memory. */
int ml_tree_grow(ml_grower *g, const ml_ranked *t, const ms_forest_options *o, int64_t tree, ml_tree *out);

#endif
