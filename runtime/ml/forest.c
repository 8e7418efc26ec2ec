/* forest.c -- random forest (Breiman 2001) of the trees of tree.c: fit, predict, arrays in and out. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/internal.h"
#include "ml/tree.h"

/* What going down a tree reads of a node, side by side in memory. A leaf leads to itself: threshold +infinity, left = its own
 * number. */
typedef struct packed_node {
  float threshold;
  int32_t feature, left;
} packed_node;

struct ms_forest {
  int64_t trees, features, nodes, rows;
  int32_t classes;
  int64_t *first;
  int32_t *feature, *left, *leaf;
  float *threshold;
  double *proba;
  int32_t *depth;      /* trees */
  packed_node *packed; /* nodes */
};

ms_forest_options ms_forest_defaults(void) {
  return (ms_forest_options){.trees = 100, .max_features = 0, .min_split = 2, .min_leaf = 1, .bootstrap = true};
}

ms_forest_options ms_tree_defaults(void) {
  return (ms_forest_options){.trees = 1, .max_features = -1, .min_split = 2, .min_leaf = 1, .bootstrap = false};
}

void ms_forest_free(ms_forest *f) {
  if (!f) return;
  free(f->first), free(f->feature), free(f->left), free(f->leaf), free(f->threshold), free(f->proba), free(f->depth),
      free(f->packed);
  free(f);
}

static ms_forest *new_forest(int64_t trees, int64_t features, int64_t nodes, int64_t rows, int32_t classes) {
  ms_forest *f = calloc(1, sizeof *f);
  if (!f) return NULL;
  f->trees = trees, f->features = features, f->nodes = nodes, f->rows = rows, f->classes = classes;
  f->first = ml_alloc(trees + 1, sizeof *f->first);
  f->feature = ml_alloc(nodes, sizeof *f->feature);
  f->left = ml_alloc(nodes, sizeof *f->left);
  f->leaf = ml_alloc(nodes, sizeof *f->leaf);
  f->threshold = ml_alloc(nodes, sizeof *f->threshold);
  f->proba = rows <= INT64_MAX / classes ? ml_alloc(rows * classes, sizeof *f->proba) : NULL;
  f->depth = ml_alloc(trees, sizeof *f->depth);
  f->packed = ml_alloc(nodes, sizeof *f->packed);
  if (f->first && f->feature && f->left && f->leaf && f->threshold && f->proba && f->depth && f->packed) return f;
  ms_forest_free(f);
  return NULL;
}

/* Fill `packed` and `depth` from the arrays; children come after their parent. -1: no memory. */
static int pack_nodes(ms_forest *f) {
  int32_t *depth = NULL;
  for (int64_t t = 0; t < f->trees; t++) {
    const int64_t first = f->first[t], nodes = f->first[t + 1] - first;
    int32_t *more = realloc(depth, (size_t)nodes * sizeof *depth), deepest = 0;
    if (!more) return free(depth), -1;
    depth = more;
    depth[0] = 0;
    for (int64_t i = 0; i < nodes; i++) {
      const int64_t at = first + i;
      f->packed[at] = (packed_node){f->threshold[at], f->feature[at] < 0 ? 0 : f->feature[at], f->left[at]};
      if (depth[i] > deepest) deepest = depth[i];
      if (f->feature[at] >= 0) depth[f->left[at]] = depth[f->left[at] + 1] = depth[i] + 1;
    }
    f->depth[t] = deepest;
  }
  free(depth);
  return 0;
}

/* ---- fit --------------------------------------------------------------------------------------------------------- */

static ms_forest *join_trees(const ml_tree *tree, int64_t trees, int64_t features, int32_t classes) {
  int64_t nodes = 0, rows = 0;
  for (int64_t t = 0; t < trees; t++) nodes += tree[t].nodes, rows += tree[t].rows;
  ms_forest *f = rows < INT32_MAX ? new_forest(trees, features, nodes, rows, classes) : NULL;
  if (!f) return NULL;
  nodes = rows = 0;
  for (int64_t t = 0; t < trees; t++) {
    const ml_tree *from = &tree[t];
    f->first[t] = nodes;
    memcpy(f->feature + nodes, from->feature, (size_t)from->nodes * sizeof *f->feature);
    memcpy(f->left + nodes, from->left, (size_t)from->nodes * sizeof *f->left);
    memcpy(f->threshold + nodes, from->threshold, (size_t)from->nodes * sizeof *f->threshold);
    for (int64_t i = 0; i < from->nodes; i++)
      f->leaf[nodes + i] = from->leaf[i] < 0 ? from->leaf[i] - (int32_t)rows : from->leaf[i];
    memcpy(f->proba + rows * classes, from->proba, (size_t)(from->rows * classes) * sizeof *f->proba);
    nodes += from->nodes, rows += from->rows;
  }
  f->first[trees] = nodes;
  if (pack_nodes(f) == 0) return f;
  ms_forest_free(f);
  return NULL;
}

static int check_options(const ms_forest_options *o, int64_t d) {
  if (o->trees < 1 || o->trees > INT_MAX) return ms_fail("forest: expected trees >= 1, got %lld", (long long)o->trees), -1;
  if (o->max_depth < 0) return ms_fail("forest: expected max_depth >= 0, got %lld", (long long)o->max_depth), -1;
  if (o->max_features < -1 || o->max_features > d)
    return ms_fail("forest: expected max_features 1..%lld, 0 or -1, got %lld", (long long)d, (long long)o->max_features), -1;
  if (o->min_split < 2) return ms_fail("forest: expected min_split >= 2, got %lld", (long long)o->min_split), -1;
  if (o->min_leaf < 1 || o->min_leaf > INT_MAX)
    return ms_fail("forest: expected min_leaf >= 1, got %lld", (long long)o->min_leaf), -1;
  return 0;
}

ms_forest *ms_forest_fit(int64_t n, int64_t d, const float *x, const int32_t *y, int32_t classes,
                         const ms_forest_options *options) {
  if (n < 1 || d < 1 || n > INT32_MAX / 2 || d > INT32_MAX)
    return ms_fail("forest: expected 1 to 2^30 rows and 1 to 2^31 features, got %lld x %lld", (long long)n, (long long)d);
  ms_forest_options o = *options;
  if (check_options(&o, d) || ml_check_finite("forest: x", n, d, x)) return NULL;
  if ((classes = ml_check_labels("forest: y", n, y, classes)) < 0) return NULL;
  if (classes > UINT16_MAX) return ms_fail("forest: expected at most 65535 classes, got %d", classes);
  if (o.max_features == 0) o.max_features = (int64_t)sqrt((double)d);
  if (o.max_features == -1) o.max_features = d;
  ml_ranked data;
  if (ml_ranked_open(&data, n, d, x, y, classes)) return ms_interrupted() ? ms_stopped("forest") : ml_no_memory("forest");
  ml_tree *tree = calloc((size_t)o.trees, sizeof *tree);
  bool failed = !tree;
  const int team = failed ? 1 : o.trees < ms_threads() ? (int)o.trees : ms_threads();
  ms_stretch share[team];
  ms_cut(share, team, o.trees);
  MS_TOGETHER(team, id, {
    ml_grower *g = tree ? ml_grower_open(&data) : NULL;
    bool mine = !g;
    for (int64_t t; !mine && !ms_interrupted() && (t = ms_take(share, team, id)) >= 0;)
      mine = ml_tree_grow(g, &data, &o, t, &tree[t]) != 0;
    ml_grower_close(g);
    if (mine) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
  });
  failed |= ms_interrupted();
  ms_forest *f = failed ? NULL : join_trees(tree, o.trees, d, classes);
  for (int64_t t = 0; tree && t < o.trees; t++) ml_tree_close(&tree[t]);
  free(tree);
  ml_ranked_close(&data);
  return f ? f : ms_interrupted() ? ms_stopped("forest") : ml_no_memory("forest");
}

/* ---- predict ----------------------------------------------------------------------------------------------------- */

enum { LANES = 8 }; /* rows that go down a tree side by side, so that one's loads are under way while another compares */

/* Leaves of LANES rows x + row[l] in one tree. Written out so that every compiler keeps the lanes in registers, without branches.
 */
static void descend(const packed_node *node, const float *x, const int64_t row[LANES], int32_t at[LANES]) {
#define LANE(l)                                                                                                                    \
  const float *x##l = x + row[l];                                                                                                  \
  int32_t at##l = 0;
#define DOWN(l)                                                                                                                    \
  {                                                                                                                                \
    const packed_node *s = node + at##l;                                                                                           \
    const int32_t next = s->left + !(x##l[s->feature] <= s->threshold);                                                            \
    moved |= next ^ at##l;                                                                                                         \
    at##l = next;                                                                                                                  \
  }
  LANE(0) LANE(1) LANE(2) LANE(3) LANE(4) LANE(5) LANE(6) LANE(7) int32_t moved;
  do {
    moved = 0;
    DOWN(0) DOWN(1) DOWN(2) DOWN(3) DOWN(4) DOWN(5) DOWN(6) DOWN(7)
  } while (moved);
#undef LANE
#undef DOWN
  const int32_t leaves[LANES] = {at0, at1, at2, at3, at4, at5, at6, at7};
  memcpy(at, leaves, sizeof leaves);
}

/* Sum over the trees of the class shares of `n` rows; sum: n x classes. */
static void sum_trees(const ms_forest *f, int64_t n, const float *x, double *sum) {
  const int32_t classes = f->classes;
  memset(sum, 0, (size_t)(n * classes) * sizeof *sum);
  for (int64_t t = 0; t < f->trees; t++) {
    const packed_node *node = f->packed + f->first[t];
    const int32_t *leaf = f->leaf + f->first[t];
    for (int64_t i = 0; i < n; i += LANES) {
      const int64_t lanes = n - i < LANES ? n - i : LANES;
      int64_t row[LANES];
      int32_t at[LANES];
      for (int64_t l = 0; l < LANES; l++) row[l] = (l < lanes ? i + l : i) * f->features;
      descend(node, x, row, at);
      for (int64_t l = 0; l < lanes; l++) {
        double *to = sum + (i + l) * classes;
        const int32_t c = leaf[at[l]];
        if (c > 0) {
          to[c - MS_INDEX_BASE] += 1;
          continue;
        }
        const double *share = f->proba + (-(int64_t)c - 1) * classes;
        for (int32_t k = 0; k < classes; k++) to[k] += share[k];
      }
    }
  }
}

/* Either result may be NULL. Rows go in blocks that fit the L2 cache with their sums. */
static int predict(const ms_forest *f, int64_t n, const float *x, int32_t *predicted, double *proba) {
  if (!f) return -1;
  if (n < 0) return ms_fail("forest: expected a number of rows >= 0, got %lld", (long long)n), -1;
  if (ml_check_finite("forest: x", n, f->features, x)) return -1;
  int64_t block = (256 << 10) / (4 * f->features + 8 * f->classes);
  block = block < 64 ? 64 : block > 1024 ? 1024 : block;
  bool failed = false;
  const int team = ms_threads();
  ms_stretch share[team];
  ms_cut(share, team, (n + block - 1) / block);
  MS_TOGETHER(team, id, {
    double *sum = ml_alloc(block * f->classes, sizeof *sum);
    if (!sum) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    for (int64_t t; sum && !ms_interrupted() && (t = ms_take(share, team, id)) >= 0;) {
      const int64_t from = t * block;
      const int64_t rows = n - from < block ? n - from : block;
      sum_trees(f, rows, x + from * f->features, sum);
      for (int64_t i = 0; i < rows; i++) {
        const double *s = sum + i * f->classes;
        int32_t most = 0;
        for (int32_t c = 1; c < f->classes; c++)
          if (s[c] > s[most]) most = c;
        if (predicted) predicted[from + i] = most + MS_INDEX_BASE;
        for (int32_t c = 0; proba && c < f->classes; c++) proba[(from + i) * f->classes + c] = s[c] / (double)f->trees;
      }
    }
    free(sum);
  });
  if (ms_interrupted()) return ms_stopped("forest"), -1;
  return failed ? ml_no_memory("forest"), -1 : 0;
}

int ms_forest_predict(const ms_forest *f, int64_t n, const float *x, int32_t *predicted) {
  return predict(f, n, x, predicted, NULL);
}
int ms_forest_proba(const ms_forest *f, int64_t n, const float *x, double *proba) { return predict(f, n, x, NULL, proba); }

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

ms_forest_arrays ms_forest_get(const ms_forest *f) {
  return (ms_forest_arrays){.trees = f->trees,
                            .features = f->features,
                            .nodes = f->nodes,
                            .rows = f->rows,
                            .classes = f->classes,
                            .first = f->first,
                            .feature = f->feature,
                            .threshold = f->threshold,
                            .left = f->left,
                            .leaf = f->leaf,
                            .proba = f->proba};
}

/* One tree of `nodes` nodes that starts at entry `first`. -1 and a message when it breaks a rule of ms_forest_arrays. */
static int check_tree(const ms_forest_arrays *a, int64_t tree, int64_t first, int64_t nodes) {
  int64_t inner = 0, reached = 1; /* children are taken in pairs, in order: each node but the root has exactly one parent */
  for (int64_t i = 0; i < nodes; i++) {
    const int32_t feature = a->feature[first + i], left = a->left[first + i], leaf = a->leaf[first + i];
    const float threshold = a->threshold[first + i];
    const long long t = (long long)tree + MS_INDEX_BASE, at = (long long)i;
    if (feature < -1 || feature >= a->features)
      return ms_fail("forest: tree %lld node %lld: feature %d, expected -1..%lld", t, at, feature, (long long)a->features - 1), -1;
    if (feature >= 0) {
      if (left <= i || left >= nodes - 1)
        return ms_fail("forest: tree %lld node %lld: left child %d, expected %lld..%lld", t, at, left, at + 1,
                       (long long)nodes - 2),
               -1;
      if (!isfinite(threshold))
        return ms_fail("forest: tree %lld node %lld: threshold %g, expected a finite number", t, at, (double)threshold), -1;
      if (leaf != 0) return ms_fail("forest: tree %lld node %lld: leaf %d on an inner node, expected 0", t, at, leaf), -1;
      inner++, reached += 2;
      continue;
    }
    if (left != i || threshold != INFINITY)
      return ms_fail("forest: tree %lld node %lld: expected a leaf to lead to itself at threshold infinity", t, at), -1;
    if (leaf == 0 || leaf > a->classes || -(int64_t)leaf > a->rows)
      return ms_fail("forest: tree %lld node %lld: leaf %d, expected a class 1..%d or a row -1..-%lld", t, at, leaf, a->classes,
                     (long long)a->rows),
             -1;
  }
  if (reached != nodes)
    return ms_fail("forest: tree %lld: %lld inner nodes, expected %lld", (long long)tree + MS_INDEX_BASE, (long long)inner,
                   (long long)(nodes - 1) / 2),
           -1;
  /* As many child slots as nodes but the root; if no two parents share a child, every node is reached. */
  uint8_t *taken = calloc((size_t)nodes, 1);
  if (!taken) return ml_no_memory("forest"), -1;
  int rc = 0;
  for (int64_t i = 0; i < nodes && rc == 0; i++) {
    if (a->feature[first + i] < 0) continue;
    for (int side = 0; side < 2 && rc == 0; side++)
      if (taken[a->left[first + i] + side]++)
        rc = (ms_fail("forest: tree %lld node %d has two parents", (long long)tree + MS_INDEX_BASE, a->left[first + i] + side), -1);
  }
  free(taken);
  return rc;
}

ms_forest *ms_forest_set(const ms_forest_arrays *a) {
  if (a->trees < 1 || a->trees > INT_MAX || a->features < 1 || a->features > INT_MAX || a->nodes < a->trees || a->rows < 0 ||
      a->rows > INT_MAX || a->classes < 1 || a->classes > UINT16_MAX)
    return ms_fail("forest: expected sizes >= 1, got trees %lld, features %lld, nodes %lld, rows %lld, classes %d",
                   (long long)a->trees, (long long)a->features, (long long)a->nodes, (long long)a->rows, a->classes);
  if (a->first[0] != 0 || a->first[a->trees] != a->nodes)
    return ms_fail("forest: first: expected 0 .. %lld, got %lld .. %lld", (long long)a->nodes, (long long)a->first[0],
                   (long long)a->first[a->trees]);
  for (int64_t t = 0; t < a->trees; t++)
    if (a->first[t + 1] <= a->first[t] || a->first[t + 1] > a->nodes || a->first[t + 1] - a->first[t] > INT32_MAX)
      return ms_fail("forest: first[%lld] = %lld after %lld, expected more, at most %lld", (long long)t + 1 + MS_INDEX_BASE,
                     (long long)a->first[t + 1], (long long)a->first[t], (long long)a->nodes);
  for (int64_t t = 0; t < a->trees; t++)
    if (check_tree(a, t, a->first[t], a->first[t + 1] - a->first[t])) return NULL;
  for (int64_t i = 0; i < a->rows * a->classes; i++)
    if (!(a->proba[i] >= 0 && a->proba[i] <= 1))
      return ms_fail("forest: proba[%lld] = %g, expected 0..1", (long long)i + MS_INDEX_BASE, a->proba[i]);
  ms_forest *f = new_forest(a->trees, a->features, a->nodes, a->rows, a->classes);
  if (!f) return ml_no_memory("forest");
  memcpy(f->first, a->first, (size_t)(a->trees + 1) * sizeof *f->first);
  memcpy(f->feature, a->feature, (size_t)a->nodes * sizeof *f->feature);
  memcpy(f->left, a->left, (size_t)a->nodes * sizeof *f->left);
  memcpy(f->leaf, a->leaf, (size_t)a->nodes * sizeof *f->leaf);
  memcpy(f->threshold, a->threshold, (size_t)a->nodes * sizeof *f->threshold);
  if (a->rows) memcpy(f->proba, a->proba, (size_t)(a->rows * a->classes) * sizeof *f->proba);
  if (pack_nodes(f) == 0) return f;
  ms_forest_free(f);
  return ml_no_memory("forest");
}

int64_t ms_forest_nodes(const ms_forest *f, int64_t t) { return t < 0 || t >= f->trees ? -1 : f->first[t + 1] - f->first[t]; }
int64_t ms_forest_depth(const ms_forest *f, int64_t t) { return t < 0 || t >= f->trees ? -1 : f->depth[t]; }
