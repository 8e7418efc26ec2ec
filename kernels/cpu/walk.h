/* walk.h -- one way through strided operands: dimensions that continue each other are merged, the last one goes to an inner loop,
 * the rest is walked row by row, in parallel when there is enough. Strides count elements of each operand. */
#ifndef MS_WALK_H
#define MS_WALK_H
#include "cpu.h"

enum { WALK_MAX = 4 };

typedef struct walk {
  int n, rank; /* operands (0 = result), dimensions left after merging */
  char *base[WALK_MAX];
  int64_t size[WALK_MAX]; /* bytes of an element */
  int64_t shape[MS_MAX_RANK], stride[WALK_MAX][MS_MAX_RANK];
} walk;

/* Operand k of the walk over `like`'s shape, broadcast to it from the right. */
static inline void walk_add(walk *w, const ms_view *like, const ms_view *v) {
  int k = w->n++, lead = like->rank - v->rank;
  w->base[k] = v->data;
  w->size[k] = (int64_t)ms_dtype_size(v->dtype);
  for (int i = 0; i < like->rank; i++)
    w->stride[k][i] = i < lead || (v->shape[i - lead] == 1 && like->shape[i] != 1) ? 0 : v->stride[i - lead];
}

static inline void walk_merge(walk *w, const ms_view *like) {
  int r = 0;
  for (int i = 0; i < like->rank; i++) {
    if (like->shape[i] == 1) continue;
    bool joins = r > 0;
    for (int k = 0; joins && k < w->n; k++) joins = w->stride[k][r - 1] == w->stride[k][i] * like->shape[i];
    if (joins) w->shape[r - 1] *= like->shape[i];
    else w->shape[r++] = like->shape[i];
    for (int k = 0; k < w->n; k++) w->stride[k][r - 1] = w->stride[k][i];
  }
  if (r == 0) {
    w->shape[0] = 1, r = 1;
    for (int k = 0; k < w->n; k++) w->stride[k][0] = 1;
  }
  w->rank = r;
}

typedef void (*walk_inner)(int64_t n, char *const *p, const int64_t *stride);

static inline void walk_range(const walk *w, walk_inner f, int64_t from, int64_t to) {
  int64_t stride[WALK_MAX];
  for (int k = 0; k < w->n; k++) stride[k] = w->stride[k][w->rank - 1];
  int64_t n = w->shape[w->rank - 1];
  for (int64_t row = from; row < to; row++) {
    char *p[WALK_MAX];
    for (int k = 0; k < w->n; k++) p[k] = w->base[k];
    int64_t rest = row;
    for (int i = w->rank - 2; i >= 0; i--) {
      int64_t q = rest / w->shape[i], at = rest - q * w->shape[i];
      for (int k = 0; k < w->n; k++) p[k] += at * w->stride[k][i] * w->size[k];
      rest = q;
    }
    f(n, p, stride);
  }
}

/* cost: simple operations an element takes. */
static inline void walk_run(const walk *w, walk_inner f, int cost) {
  int64_t rows = 1, n = w->shape[w->rank - 1];
  for (int i = 0; i < w->rank - 1; i++) rows *= w->shape[i];
  if (!rows || !n) return;
  int team = ms_team(rows * n * cost);
  if (team == 1) {
    walk_range(w, f, 0, rows);
  } else if (rows == 1) { /* cut the one row at cache-line-friendly places */
    const int64_t part = round_up(div_up(n, team), 64);
    MS_PARALLEL(team, t, team, {
      int64_t a = t * part, b = a + part < n ? a + part : n;
      char *p[WALK_MAX];
      int64_t stride[WALK_MAX];
      for (int k = 0; k < w->n; k++) stride[k] = w->stride[k][0], p[k] = w->base[k] + a * stride[k] * w->size[k];
      if (a < b) f(b - a, p, stride);
    });
  } else {
    MS_PARALLEL(team, t, team, { walk_range(w, f, rows * t / team, rows * (t + 1) / team); });
  }
}

#endif
