/* tsne_parts.h -- what the files of t-SNE share: similarities (affinity.c), cells of points (tsne_cells.c), descent (tsne.c). */
#ifndef MASCON_ML_TSNE_PARTS_H
#define MASCON_ML_TSNE_PARTS_H
#include "ml/internal.h"

enum {
  GROUP = 16, /* points whose repulsion is computed together, one to a lane */
  LEAF = 8,   /* points of the smallest cells; a group is two of them */
  FILL = 16,  /* rows of similarities are filled up to a multiple of this */
};

/* ---- similarities (affinity.c) ----------------------------------------------------------------------------------- */

/* Row i: similarities p[first[i]..first[i + 1]) to the points `to` (from 0), filled up with p = 0 to itself. All together are 1. */
typedef struct tsne_similar {
  int64_t n, *first;
  int32_t *to;
  float *p;
  double entropy; /* the sum of p log p */
} tsne_similar;

/* Of n x d samples, from the k nearest neighbours of each (1 <= k < n): conditional similarities exp(-b |x_i - x_j|^2) with b so
 * that their entropy is log(perplexity), then made symmetric. -1: out of memory, a value not finite, a request to stop. */
int tsne_similar_make(tsne_similar *s, int64_t n, int64_t d, const float *x, int64_t k, double perplexity);
void tsne_similar_free(tsne_similar *s);

/* ---- cells of points in a plane (tsne_cells.c) ------------------------------------------------------------------- */

/* What one group is repelled by: `cells` numbers of cells, then `leaves` numbers of leaves, without its own (but see `all`). */
typedef struct tsne_list {
  int32_t *at;
  int64_t cells, leaves, room;
} tsne_list;

/* A binary tree over the points: a cell's first half follows it, `right` is where its second half is. Points lie in the order of
 * the leaves, in slots; slots past the last point are far away. */
typedef struct tsne_cells {
  int64_t n, groups, count;
  float *x, *y, *mass;   /* per cell: its centre, its number of points */
  float *wide;           /* the longer side of its box when the tree was made, squared */
  int32_t *right, *leaf; /* leaf: its number, or -1 */
  float *box;            /* per group: x from, to, y from, to */
  float *px, *py;        /* per slot */
  int32_t *order;        /* the point in a slot */
  tsne_list *list;       /* per group; of one group only where all points repel all */
  bool all;
} tsne_cells;

/* all: no cells, every leaf repels every group. -1: out of memory. */
int tsne_cells_open(tsne_cells *c, int64_t n, bool all);
void tsne_cells_free(tsne_cells *c);
/* A new tree over the points at `at` (x and y of each), and new lists: a cell counts as one where it is less wide than `angle`
 * times its distance from the box of the group. -1: out of memory. */
int tsne_cells_build(tsne_cells *c, const float *at, double angle);
/* The points have moved: slots and centres anew, the tree and the lists stay. */
void tsne_cells_refit(tsne_cells *c, const float *at);

#endif
