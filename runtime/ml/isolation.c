/* isolation.c -- isolation trees (Liu, Ting, Zhou 2008): random splits part a row that is unlike the others from them early. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/busy.h"
#include "ml/internal.h"
#include "ml/tree.h"

double ms_isolation_depth(int64_t n) {
  if (n <= 1) return 0;
  if (n == 2) return 1;
  const double m = (double)n - 1;
  return 2 * (log(m) + 0.57721566490153286) - 2 * m / (double)n;
}

typedef struct waiting {
  int64_t from, count, depth;
  int32_t node;
} waiting;

/* Scratch memory of one thread. */
typedef struct desk {
  int32_t *row, *order; /* n: a permutation, whose first `samples` are the tree's; d */
  waiting *stack;       /* samples */
} desk;

static void close_desk(desk *k) { free(k->row), free(k->order), free(k->stack); }

static bool open_desk(desk *k, int64_t n, int64_t d, int64_t samples) {
  *k = (desk){ml_alloc(n, sizeof *k->row), ml_alloc(d, sizeof *k->order), ml_alloc(samples + 1, sizeof *k->stack)};
  if (k->row && k->order && k->stack) return true;
  close_desk(k);
  return false;
}

/* A feature that varies among the rows, and a threshold between its least and greatest value, both at random. -1: none varies. */
static int32_t draw_split(desk *k, const float *x, int64_t d, const waiting *at, uint64_t *state, float *threshold) {
  for (int64_t j = 0; j < d; j++) {
    const int64_t pick = j + ml_draw_below(state, (uint32_t)(d - j));
    const int32_t feature = k->order[pick];
    k->order[pick] = k->order[j];
    k->order[j] = feature;
    float low = INFINITY, high = -INFINITY;
    for (int64_t i = at->from; i < at->from + at->count; i++) {
      const float v = x[(int64_t)k->row[i] * d + feature];
      if (v < low) low = v;
      if (v > high) high = v;
    }
    if (!(low < high)) continue;
    const double share = ml_random(state) * 0x1p-32;
    *threshold = (float)((double)low + share * ((double)high - (double)low));
    if (!(*threshold < high)) *threshold = low;
    return feature;
  }
  return -1;
}

/* -1: no memory. */
static int grow(desk *k, int64_t n, int64_t d, const float *x, int64_t samples, int64_t deepest, uint64_t state, ml_tree *out) {
  const int64_t room = 2 * samples;
  *out = (ml_tree){.feature = ml_alloc(room, 4),
                   .left = ml_alloc(room, 4),
                   .leaf = ml_alloc(room, 4),
                   .threshold = ml_alloc(room, sizeof(float)),
                   .proba = ml_alloc(samples, sizeof(double))};
  if (!out->feature || !out->left || !out->leaf || !out->threshold || !out->proba) return -1;
  for (int64_t i = 0; i < n; i++) k->row[i] = (int32_t)i;
  for (int64_t i = 0; i < samples; i++) {
    const int64_t pick = i + ml_draw_below(&state, (uint32_t)(n - i));
    const int32_t row = k->row[pick];
    k->row[pick] = k->row[i];
    k->row[i] = row;
  }
  for (int64_t j = 0; j < d; j++) k->order[j] = (int32_t)j;
  int64_t open = 1;
  out->nodes = 1;
  k->stack[0] = (waiting){.count = samples};
  while (open > 0) {
    const waiting at = k->stack[--open];
    float threshold = INFINITY;
    const int32_t feature = at.count > 1 && at.depth < deepest ? draw_split(k, x, d, &at, &state, &threshold) : -1;
    out->feature[at.node] = feature;
    out->threshold[at.node] = threshold;
    if (feature < 0) {
      out->left[at.node] = at.node;
      out->proba[out->rows++] = (double)at.depth + ms_isolation_depth(at.count);
      out->leaf[at.node] = -(int32_t)out->rows;
      continue;
    }
    int64_t left = at.from, right = at.from + at.count - 1;
    while (left <= right) {
      const int32_t row = k->row[left];
      if (x[(int64_t)row * d + feature] <= threshold) {
        left++;
        continue;
      }
      k->row[left] = k->row[right];
      k->row[right--] = row;
    }
    out->left[at.node] = (int32_t)out->nodes;
    out->leaf[at.node] = 0;
    k->stack[open++] = (waiting){left, at.from + at.count - left, at.depth + 1, (int32_t)out->nodes + 1};
    k->stack[open++] = (waiting){at.from, left - at.from, at.depth + 1, (int32_t)out->nodes};
    out->nodes += 2;
  }
  return 0;
}

ms_forest *ms_forest_isolate(int64_t n, int64_t d, const float *x, int64_t trees, int64_t samples, uint64_t seed) {
  if (n < 1 || d < 1 || n > INT32_MAX / 2 || d > INT32_MAX)
    return ms_fail("forest: expected 1 to 2^30 rows and 1 to 2^31 features, got %lld x %lld", (long long)n, (long long)d);
  if (trees < 1 || trees > INT32_MAX) return ms_fail("forest: expected trees >= 1, got %lld", (long long)trees);
  if (samples < 1 || samples > n)
    return ms_fail("forest: expected 1 <= samples <= %lld rows, got %lld", (long long)n, (long long)samples);
  if (ml_check_finite("forest: x", n, d, x)) return NULL;
  int64_t deepest = 0;
  while ((int64_t)1 << deepest < samples) deepest++;
  ml_tree *tree = calloc((size_t)trees, sizeof *tree);
  bool failed = !tree;
  ms_busy_parts("tree", trees);
  const int team = failed ? 1 : trees < ms_threads() ? (int)trees : ms_threads();
  ms_stretch share[team];
  ms_cut(share, team, trees);
  MS_TOGETHER(team, id, {
    desk k;
    bool mine = failed || !open_desk(&k, n, d, samples), opened = !mine;
    for (int64_t t; !mine && !ms_interrupted() && (t = ms_take(share, team, id)) >= 0; ms_busy_done())
      mine = grow(&k, n, d, x, samples, deepest, ml_tree_stream(seed, t), &tree[t]) != 0;
    if (opened) close_desk(&k);
    if (mine) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
  });
  failed |= ms_interrupted();
  ms_forest *f = failed ? NULL : ml_join_trees(tree, trees, d, 0);
  for (int64_t t = 0; tree && t < trees; t++) ml_tree_close(&tree[t]);
  free(tree);
  return f ? f : ms_interrupted() ? ms_stopped("forest") : ml_no_memory("forest");
}
