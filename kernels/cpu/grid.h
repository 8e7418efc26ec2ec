/* grid.h -- some dimensions of a view, counted row by row: where their elements lie. One multiplication where they lie at equal
 * distances, else a division for each dimension. */
#ifndef MS_GRID_H
#define MS_GRID_H
#include "cpu.h"

typedef struct grid {
  int64_t n, step; /* how many elements; how far apart, if `even` */
  bool even;
  int rank; /* dimensions of more than one element */
  int64_t shape[MS_MAX_RANK], stride[MS_MAX_RANK];
} grid;

/* The dimensions from..to-1 of v. */
static inline grid grid_of(const ms_view *v, int from, int to) {
  grid g = {.n = 1, .step = 0, .even = true};
  for (int i = from; i < to; i++) {
    g.n *= v->shape[i];
    if (v->shape[i] == 1) continue;
    if (g.rank && g.stride[g.rank - 1] == v->stride[i] * v->shape[i]) g.shape[g.rank - 1] *= v->shape[i];
    else g.shape[g.rank++] = v->shape[i];
    g.stride[g.rank - 1] = v->stride[i];
  }
  g.even = g.rank <= 1;
  if (g.rank == 1) g.step = g.stride[0];
  return g;
}

static ALWAYS_INLINE int64_t grid_at(const grid *g, int64_t k) {
  return g->even ? k * g->step : ms_offset_in(g->rank, g->shape, g->stride, k);
}

#endif
