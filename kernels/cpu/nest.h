/* nest.h -- loops over an index tensor of gather's and scatter's kind, which has as many dimensions as the table that its positions
 * point into (index.c, scatter.c). */
#ifndef MS_NEST_H
#define MS_NEST_H
#include "move.h"

/* Copy x, of any strides, to the contiguous result r of its shape. */
static inline void start_from(const ms_view *r, const ms_view *x) {
  if (ms_view_numel(r)) move_view(r, x);
}

/* Into how many parts of at least 64 elements each of `rows` rows of n elements is cut, so that the whole team has work. */
static inline int64_t parts_of(int64_t n, int64_t rows, int team) { return rows >= team || n < 64 ? 1 : div_up(team, rows); }

/* A nest of loops over the index's shape. Three operands: the index; its partner, element by element (the result of gather, the src
 * of scatter); the table (x of gather, the result of scatter). */

enum { INDEX, PARTNER, TABLE };

typedef struct nest {
  const ms_view *index;
  int rank; /* dimensions outside the two inner loops */
  int64_t shape[MS_MAX_RANK], stride[3][MS_MAX_RANK], lines;
  int64_t n, n_step[3]; /* the loop along dim, unless that is the last dimension */
  int64_t m, m_step[3]; /* the loop along the last dimension */
  int64_t jump;         /* one position further in the table */
  bool last;            /* dim is the last dimension */
} nest;

static inline nest nest_of(const ms_view *index, const ms_view *partner, const ms_view *table, int d) {
  const ms_view *v[3] = {index, partner, table};
  int end = index->rank - 1;
  nest w = {.index = index, .lines = 1, .n = 1, .m = index->shape[end], .jump = table->stride[d], .last = d == end};
  for (int k = 0; k < 3; k++) w.m_step[k] = k == TABLE && d == end ? 0 : v[k]->stride[end];
  for (int i = 0; i < end; i++) {
    if (i == d) {
      w.n = index->shape[i];
      for (int k = 0; k < 3; k++) w.n_step[k] = k == TABLE ? 0 : v[k]->stride[i];
      continue;
    }
    w.shape[w.rank] = index->shape[i], w.lines *= index->shape[i];
    for (int k = 0; k < 3; k++) w.stride[k][w.rank] = v[k]->stride[i];
    w.rank++;
  }
  return w;
}

static inline void nest_at(const nest *w, int64_t line, int64_t *at) {
  at[INDEX] = at[PARTNER] = at[TABLE] = 0;
  for (int i = w->rank - 1; i >= 0; i--) {
    int64_t q = line / w->shape[i], k = line - q * w->shape[i];
    for (int o = 0; o < 3; o++) at[o] += k * w->stride[o][i];
    line = q;
  }
}

typedef void (*nest_fn)(const nest *w, const int64_t *at, int64_t first, int64_t end, void *partner, void *table);

/* Lines go to different elements of the table; where they are few, the last dimension is cut too (unless positions run along it).
 */
static inline void nest_run(const nest *w, nest_fn f, void *partner, void *table) {
  if (!w->lines || !w->n || !w->m) return;
  const int team = ms_team(w->lines * w->n * w->m * 2);
  const int64_t parts = w->last ? 1 : parts_of(w->m, w->lines, team), part = div_up(w->m, parts);
  MS_PARALLEL(team, k, w->lines * parts, {
    const int64_t line = k / parts, first = (k - line * parts) * part;
    int64_t at[3];
    nest_at(w, line, at);
    f(w, at, first, min_i64(first + part, w->m), partner, table);
  });
}

#endif
