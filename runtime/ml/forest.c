/* forest.c -- random forest (Breiman 2001) of the trees of tree.c: fit, predict, arrays in and out. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/busy.h"
#include "ml/internal.h"
#include "ml/tree.h"
#if ML_VARIANTS
#include <immintrin.h>
#endif

/* What going down a tree reads of a node, side by side in memory. A leaf leads to itself: threshold +infinity, left = its own
 * number. */
typedef struct packed_node {
  float threshold;
  int32_t feature, left;
} packed_node;

/* The same in 8 bytes, for trees of up to SHORT_NODES nodes over up to SHORT_FEATURES features: threshold below, then the feature,
 * then left. */
typedef uint64_t short_node;
enum { FEATURE_BITS = 12, SHORT_FEATURES = 1 << FEATURE_BITS, SHORT_NODES = 1 << (32 - FEATURE_BITS) };

struct ms_forest {
  int64_t trees, features, nodes, rows;
  int32_t classes;
  int64_t *first;
  int32_t *feature, *left, *leaf;
  float *threshold;
  double *proba;
  double *importance;  /* features, or NULL where the forest came without */
  double *out_of_bag;  /* seen x width, or NULL */
  int64_t seen;        /* training rows */
  int32_t *depth;      /* trees */
  packed_node *packed; /* nodes */
  short_node *brief;   /* nodes, or NULL where they do not fit */
};

ms_forest_options ms_forest_defaults(void) {
  return (ms_forest_options){
      .criterion = MS_FOREST_GINI, .trees = 100, .max_features = 0, .min_split = 2, .min_leaf = 1, .bootstrap = true};
}

ms_forest_options ms_tree_defaults(void) {
  return (ms_forest_options){.trees = 1, .max_features = -1, .min_split = 2, .min_leaf = 1, .bootstrap = false};
}

void ms_forest_free(ms_forest *f) {
  if (!f) return;
  free(f->first), free(f->feature), free(f->left), free(f->leaf), free(f->threshold), free(f->proba), free(f->depth),
      free(f->packed), free(f->brief), free(f->importance), free(f->out_of_bag);
  free(f);
}

/* Numbers in a leaf that is not of one class. */
static int64_t width_of(int32_t classes) { return classes ? classes : 1; }

static ms_forest *new_forest(int64_t trees, int64_t features, int64_t nodes, int64_t rows, int32_t classes) {
  ms_forest *f = calloc(1, sizeof *f);
  if (!f) return NULL;
  f->trees = trees, f->features = features, f->nodes = nodes, f->rows = rows, f->classes = classes;
  f->first = ml_alloc(trees + 1, sizeof *f->first);
  f->feature = ml_alloc(nodes, sizeof *f->feature);
  f->left = ml_alloc(nodes, sizeof *f->left);
  f->leaf = ml_alloc(nodes, sizeof *f->leaf);
  f->threshold = ml_alloc(nodes, sizeof *f->threshold);
  f->proba = rows <= INT64_MAX / width_of(classes) ? ml_alloc(rows * width_of(classes), sizeof *f->proba) : NULL;
  f->depth = ml_alloc(trees, sizeof *f->depth);
  f->packed = ml_alloc(nodes, sizeof *f->packed);
  if (f->first && f->feature && f->left && f->leaf && f->threshold && f->proba && f->depth && f->packed) return f;
  ms_forest_free(f);
  return NULL;
}

/* Fill `brief` where all trees fit and this processor has use for it. -1: no memory. */
static int shorten_nodes(ms_forest *f) {
  bool fits = ml_isa() == ML_AVX512 && f->features <= SHORT_FEATURES;
  for (int64_t t = 0; t < f->trees; t++) fits = fits && f->first[t + 1] - f->first[t] <= SHORT_NODES;
  if (!fits) return 0;
  if (!(f->brief = ml_alloc(f->nodes, sizeof *f->brief))) return -1;
  for (int64_t i = 0; i < f->nodes; i++) {
    uint32_t threshold;
    memcpy(&threshold, &f->packed[i].threshold, sizeof threshold);
    f->brief[i] = (uint64_t)((uint32_t)f->packed[i].left << FEATURE_BITS | (uint32_t)f->packed[i].feature) << 32 | threshold;
  }
  return 0;
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
  return shorten_nodes(f);
}

/* ---- fit --------------------------------------------------------------------------------------------------------- */

ms_forest *ml_join_trees(const ml_tree *tree, int64_t trees, int64_t features, int32_t classes) {
  int64_t nodes = 0, rows = 0;
  const int64_t width = width_of(classes);
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
    if (from->rows) memcpy(f->proba + rows * width, from->proba, (size_t)(from->rows * width) * sizeof *f->proba);
    nodes += from->nodes, rows += from->rows;
  }
  f->first[trees] = nodes;
  if (pack_nodes(f) == 0) return f;
  ms_forest_free(f);
  return NULL;
}

/* The mean over the trees that split at all, brought to the sum 1. -1: no memory. */
static int add_importance(ms_forest *f, const ml_tree *tree) {
  f->importance = ml_alloc(f->features, sizeof *f->importance);
  if (!f->importance) return -1;
  double sum = 0;
  for (int64_t j = 0; j < f->features; j++) {
    f->importance[j] = 0;
    for (int64_t t = 0; t < f->trees; t++) f->importance[j] += tree[t].importance[j];
    sum += f->importance[j];
  }
  for (int64_t j = 0; sum > 0 && j < f->features; j++) f->importance[j] /= sum;
  return 0;
}

static int check_options(const ms_forest_options *o, int64_t d) {
  if (o->trees < 1 || o->trees > INT_MAX) return ms_fail("forest: expected trees >= 1, got %lld", (long long)o->trees), -1;
  if (o->criterion != MS_FOREST_GINI && o->criterion != MS_FOREST_ENTROPY)
    return ms_fail("forest: expected criterion 0 or 1, got %d", (int)o->criterion), -1;
  if (o->out_of_bag && !o->bootstrap) return ms_fail("forest: out of bag: only with bootstrap"), -1;
  if (o->max_depth < 0) return ms_fail("forest: expected max_depth >= 0, got %lld", (long long)o->max_depth), -1;
  if (o->max_features < -1 || o->max_features > d)
    return ms_fail("forest: expected max_features 1..%lld, 0 or -1, got %lld", (long long)d, (long long)o->max_features), -1;
  if (o->min_split < 2) return ms_fail("forest: expected min_split >= 2, got %lld", (long long)o->min_split), -1;
  if (o->min_leaf < 1 || o->min_leaf > INT_MAX)
    return ms_fail("forest: expected min_leaf >= 1, got %lld", (long long)o->min_leaf), -1;
  return 0;
}

static int ask_out_of_bag(ms_forest *f, int64_t n, const float *x, uint64_t seed);

/* y or target: the other is NULL. */
static ms_forest *grow(int64_t n, int64_t d, const float *x, const int32_t *y, const double *target, int32_t classes,
                       const ms_forest_options *options) {
  if (n < 1 || d < 1 || n > INT32_MAX / 2 || d > INT32_MAX)
    return ms_fail("forest: expected 1 to 2^30 rows and 1 to 2^31 features, got %lld x %lld", (long long)n, (long long)d);
  ms_forest_options o = *options;
  if (check_options(&o, d) || ml_check_finite("forest: x", n, d, x)) return NULL;
  if (y && (classes = ml_check_labels("forest: y", n, y, classes)) < 0) return NULL;
  if (classes > UINT16_MAX) return ms_fail("forest: expected at most 65535 classes, got %d", classes);
  for (int64_t i = 0; target && i < n; i++)
    if (!isfinite(target[i]))
      return ms_fail("forest: y[%lld] = %g, expected a finite number", (long long)i + MS_INDEX_BASE, target[i]);
  if (o.max_features == 0) o.max_features = (int64_t)sqrt((double)d);
  if (o.max_features == -1) o.max_features = d;
  ml_ranked data;
  if (ml_ranked_open(&data, n, d, x, y, target, classes)) return ms_interrupted() ? ms_stopped("forest") : ml_no_memory("forest");
  ml_tree *tree = calloc((size_t)o.trees, sizeof *tree);
  double *logs = o.criterion == MS_FOREST_ENTROPY && y ? ml_log_table() : NULL;
  bool failed = !tree || (o.criterion == MS_FOREST_ENTROPY && y && !logs);
  ms_busy_parts("tree", o.trees);
  const int team = failed ? 1 : o.trees < ms_threads() ? (int)o.trees : ms_threads();
  ms_stretch share[team];
  ms_cut(share, team, o.trees);
  MS_TOGETHER(team, id, {
    ml_grower *g = failed ? NULL : ml_grower_open(&data, logs);
    bool mine = !g;
    for (int64_t t; !mine && !ms_interrupted() && (t = ms_take(share, team, id)) >= 0; ms_busy_done())
      mine = ml_tree_grow(g, &data, &o, t, &tree[t]) != 0;
    ml_grower_close(g);
    if (mine) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
  });
  failed |= ms_interrupted();
  ms_forest *f = failed ? NULL : ml_join_trees(tree, o.trees, d, classes);
  if (f && (add_importance(f, tree) || (o.out_of_bag && ask_out_of_bag(f, n, x, o.seed)))) {
    ms_forest_free(f);
    f = NULL;
  }
  for (int64_t t = 0; tree && t < o.trees; t++) ml_tree_close(&tree[t]);
  free(tree), free(logs);
  ml_ranked_close(&data);
  return f ? f : ms_interrupted() ? ms_stopped("forest") : ml_no_memory("forest");
}

ms_forest *ms_forest_fit(int64_t n, int64_t d, const float *x, const int32_t *y, int32_t classes,
                         const ms_forest_options *options) {
  return grow(n, d, x, y, NULL, classes, options);
}

ms_forest *ms_forest_regress(int64_t n, int64_t d, const float *x, const double *y, const ms_forest_options *options) {
  return grow(n, d, x, NULL, y, 0, options);
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

enum {
  TOGETHER = 256,  /* rows that go down one tree, which then stays in the cache, before the next */
  VECTORS = 4,     /* of 16 rows side by side: some wait for memory while others work */
  FIRST_STEPS = 6, /* down before rows that have arrived are left out for the first time, */
  STEPS = 3        /*   and from then on */
};

#if ML_VARIANTS
/* The leaves of up to TOGETHER rows of x in one tree, by AVX-512. Those on their way are a list of row numbers and nodes, which
 * closes up every few steps: rows differ in how deep they go. */
ML_TARGET_AVX512 static void descend_wide(const short_node *node, int64_t rows, int64_t features, const float *x, int32_t *leaf) {
  const __m512i count = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i even = _mm512_add_epi32(count, count), odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const __m512i wide = _mm512_set1_epi32((int32_t)features), feature_bits = _mm512_set1_epi32(SHORT_FEATURES - 1);
  const __m512i one = _mm512_set1_epi32(1);
  int32_t id[TOGETHER], at[TOGETHER];
  for (int64_t i = 0; i < TOGETHER; i += 16) {
    const __m512i number = _mm512_add_epi32(count, _mm512_set1_epi32((int32_t)i));
    _mm512_storeu_si512(id + i, _mm512_min_epi32(number, _mm512_set1_epi32((int32_t)rows - 1)));
    _mm512_storeu_si512(at + i, _mm512_setzero_si512());
  }
  for (int64_t left = rows, steps = FIRST_STEPS; left > 0; steps = STEPS) {
    int64_t kept = 0;
    for (int64_t i = 0; i < left; i += 16 * VECTORS) {
      __m512i number[VECTORS], row[VECTORS], now[VECTORS];
      __mmask16 moved[VECTORS] = {0};
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; v++) {
        number[v] = _mm512_loadu_si512(id + i + 16 * v), now[v] = _mm512_loadu_si512(at + i + 16 * v);
        row[v] = _mm512_mullo_epi32(number[v], wide);
      }
      for (int64_t step = 0; step < steps; step++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
          const __m512i a = _mm512_i32gather_epi64(_mm512_castsi512_si256(now[v]), node, 8);
          const __m512i b = _mm512_i32gather_epi64(_mm512_extracti64x4_epi64(now[v], 1), node, 8);
          const __m512 threshold = _mm512_castsi512_ps(_mm512_permutex2var_epi32(a, even, b));
          const __m512i rest = _mm512_permutex2var_epi32(a, odd, b);
          const __m512 value = _mm512_i32gather_ps(_mm512_add_epi32(row[v], _mm512_and_si512(rest, feature_bits)), x, 4);
          const __m512i next = _mm512_srli_epi32(rest, FEATURE_BITS);
          const __mmask16 right = _mm512_cmp_ps_mask(value, threshold, _CMP_NLE_UQ);
          const __m512i to = _mm512_mask_add_epi32(next, right, next, one);
          moved[v] = _mm512_cmpneq_epi32_mask(to, now[v]);
          now[v] = to;
        }
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; v++) {
        const int64_t there = left - i - 16 * v;
        const __mmask16 valid = there >= 16 ? 0xffff : there > 0 ? (__mmask16)((1 << there) - 1) : 0;
        const __mmask16 on = moved[v] & valid;
        _mm512_mask_i32scatter_epi32(leaf, (__mmask16)(valid & ~moved[v]), number[v], now[v], 4);
        _mm512_storeu_si512(id + kept, _mm512_maskz_compress_epi32(on, number[v]));
        _mm512_storeu_si512(at + kept, _mm512_maskz_compress_epi32(on, now[v]));
        kept += __builtin_popcount(on);
      }
    }
    left = kept;
  }
}
#endif

/* The leaves of up to TOGETHER rows in tree t. wide: AVX-512 may do it. */
static void leaves_of(const ms_forest *f, int64_t t, int64_t rows, const float *x, bool wide, int32_t *leaf) {
#if ML_VARIANTS
  if (wide && rows > LANES) {
    descend_wide(f->brief + f->first[t], rows, f->features, x, leaf);
    return;
  }
#endif
  (void)wide;
  for (int64_t i = 0; i < rows; i += LANES) {
    int64_t row[LANES];
    int32_t at[LANES];
    for (int64_t l = 0; l < LANES; l++) row[l] = (i + l < rows ? i + l : i) * f->features;
    descend(f->packed + f->first[t], x, row, at);
    memcpy(leaf + i, at, (size_t)(rows - i < LANES ? rows - i : LANES) * sizeof *at);
  }
}

/* Add what the leaf of a row says to its `to`. */
static inline void add_leaf(const ms_forest *f, int32_t leaf, int64_t width, double *to) {
  if (leaf > 0) {
    to[leaf - MS_INDEX_BASE] += 1;
    return;
  }
  const double *share = f->proba + (-(int64_t)leaf - 1) * width;
  for (int64_t k = 0; k < width; k++) to[k] += share[k];
}

/* Sum over the trees of the class shares of up to TOGETHER rows; sum: n x width. drawn: for each tree a bit for each of `all` rows,
 * of which these are those from `from` on; a tree adds nothing to rows whose bit is set; asked: how many trees did. NULL: all add.
 */
static void sum_trees(const ms_forest *f, int64_t n, const float *x, double *sum, const uint8_t *drawn, int64_t all, int64_t from,
                      int32_t *asked) {
  const int64_t width = width_of(f->classes);
  const bool wide = f->brief && ml_isa() == ML_AVX512;
  memset(sum, 0, (size_t)(n * width) * sizeof *sum);
  for (int64_t t = 0; t < f->trees; t++) {
    const int32_t *leaf = f->leaf + f->first[t];
    const uint8_t *bits = drawn ? drawn + t * ((all + 7) / 8) : NULL;
    int32_t at[TOGETHER];
    leaves_of(f, t, n, x, wide, at);
    for (int64_t i = 0; i < n; i++) {
      if (bits && bits[(from + i) / 8] >> (from + i) % 8 & 1) continue;
      if (bits) asked[i]++;
      add_leaf(f, leaf[at[i]], width, sum + i * width);
    }
  }
}

/* Fill out_of_bag. The rows that a tree has seen are drawn again from its stream. -1: no memory, or interrupted. */
static int ask_out_of_bag(ms_forest *f, int64_t n, const float *x, uint64_t seed) {
  const int64_t width = width_of(f->classes), bytes = (n + 7) / 8, block = TOGETHER;
  uint8_t *drawn = calloc((size_t)f->trees, (size_t)bytes);
  f->out_of_bag = n <= INT64_MAX / width ? ml_alloc(n * width, sizeof(double)) : NULL;
  f->seen = n;
  bool failed = !drawn || !f->out_of_bag;
  if (failed) return free(drawn), -1;
  const int team = ms_threads();
  MS_TASKS(team, id, t, f->trees, {
    uint16_t *count = ms_interrupted() ? NULL : ml_alloc(n, sizeof *count);
    uint64_t state = ml_tree_stream(seed, t);
    if (count) ml_draw_rows(n, &state, count);
    else __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    for (int64_t i = 0; count && i < n; i++)
      if (count[i]) drawn[t * bytes + i / 8] |= (uint8_t)(1 << i % 8);
    free(count);
  });
  MS_TASKS(team, id, b, (n + block - 1) / block, {
    int32_t asked[TOGETHER] = {0};
    const int64_t from = b * block, rows = n - from < block ? n - from : block;
    if (!failed && !ms_interrupted())
      sum_trees(f, rows, x + from * f->features, f->out_of_bag + from * width, drawn, n, from, asked);
    for (int64_t i = 0; i < rows * width; i++) f->out_of_bag[from * width + i] /= asked[i / width]; /* 0 / 0: NaN */
  });
  free(drawn);
  return failed || ms_interrupted() ? -1 : 0;
}

const double *ms_forest_out_of_bag(const ms_forest *f, int64_t *rows) {
  *rows = f->seen;
  return f->out_of_bag;
}

/* Either result may be NULL. Rows go in blocks that fit the L2 cache with their sums. */
static int predict(const ms_forest *f, int64_t n, const float *x, int32_t *predicted, double *proba) {
  if (!f) return -1;
  if (n < 0) return ms_fail("forest: expected a number of rows >= 0, got %lld", (long long)n), -1;
  if (ml_check_finite("forest: x", n, f->features, x)) return -1;
  const int64_t width = width_of(f->classes);
  int64_t block = (256 << 10) / (4 * f->features + 8 * width);
  block = block < 64 ? 64 : block > TOGETHER ? TOGETHER : block;
  bool failed = false;
  const int team = ms_threads();
  ms_stretch share[team];
  ms_cut(share, team, (n + block - 1) / block);
  MS_TOGETHER(team, id, {
    double *sum = ml_alloc(block * width, sizeof *sum);
    if (!sum) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    for (int64_t t; sum && !ms_interrupted() && (t = ms_take(share, team, id)) >= 0;) {
      const int64_t from = t * block;
      const int64_t rows = n - from < block ? n - from : block;
      sum_trees(f, rows, x + from * f->features, sum, NULL, 0, 0, NULL);
      for (int64_t i = 0; i < rows; i++) {
        const double *s = sum + i * width;
        int32_t most = 0;
        for (int32_t c = 1; c < f->classes; c++)
          if (s[c] > s[most]) most = c;
        if (predicted) predicted[from + i] = most + MS_INDEX_BASE;
        for (int64_t c = 0; proba && c < width; c++) proba[(from + i) * width + c] = s[c] / (double)f->trees;
      }
    }
    free(sum);
  });
  if (ms_interrupted()) return ms_stopped("forest"), -1;
  return failed ? ml_no_memory("forest"), -1 : 0;
}

static int of_classes(const ms_forest *f, bool classes) {
  if (!f || (f->classes > 0) == classes) return 0;
  return ms_fail("forest: expected a forest of %s", classes ? "classes" : "numbers"), -1;
}

int ms_forest_predict(const ms_forest *f, int64_t n, const float *x, int32_t *predicted) {
  return of_classes(f, true) ? -1 : predict(f, n, x, predicted, NULL);
}
int ms_forest_proba(const ms_forest *f, int64_t n, const float *x, double *proba) {
  return of_classes(f, true) ? -1 : predict(f, n, x, NULL, proba);
}
int ms_forest_value(const ms_forest *f, int64_t n, const float *x, double *value) {
  return of_classes(f, false) ? -1 : predict(f, n, x, NULL, value);
}

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
                            .proba = f->proba,
                            .importance = f->importance};
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
    if (leaf == 0 || leaf > a->classes || (a->classes == 0 && leaf > 0) || -(int64_t)leaf > a->rows)
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
      a->rows > INT_MAX || a->classes < 0 || a->classes > UINT16_MAX)
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
  for (int64_t i = 0; i < a->rows * width_of(a->classes); i++)
    if (a->classes ? !(a->proba[i] >= 0 && a->proba[i] <= 1) : !isfinite(a->proba[i]))
      return ms_fail("forest: proba[%lld] = %g, expected %s", (long long)i + MS_INDEX_BASE, a->proba[i],
                     a->classes ? "0..1" : "a finite number");
  for (int64_t j = 0; a->importance && j < a->features; j++)
    if (!(a->importance[j] >= 0 && a->importance[j] <= 1 + 1e-9))
      return ms_fail("forest: importance[%lld] = %g, expected 0..1", (long long)j + MS_INDEX_BASE, a->importance[j]);
  ms_forest *f = new_forest(a->trees, a->features, a->nodes, a->rows, a->classes);
  if (!f) return ml_no_memory("forest");
  memcpy(f->first, a->first, (size_t)(a->trees + 1) * sizeof *f->first);
  memcpy(f->feature, a->feature, (size_t)a->nodes * sizeof *f->feature);
  memcpy(f->left, a->left, (size_t)a->nodes * sizeof *f->left);
  memcpy(f->leaf, a->leaf, (size_t)a->nodes * sizeof *f->leaf);
  memcpy(f->threshold, a->threshold, (size_t)a->nodes * sizeof *f->threshold);
  if (a->rows) memcpy(f->proba, a->proba, (size_t)(a->rows * width_of(a->classes)) * sizeof *f->proba);
  f->importance = a->importance ? ml_alloc(a->features, sizeof *f->importance) : NULL;
  if (a->importance && !f->importance) return ms_forest_free(f), ml_no_memory("forest");
  if (a->importance) memcpy(f->importance, a->importance, (size_t)a->features * sizeof *f->importance);
  if (pack_nodes(f) == 0) return f;
  ms_forest_free(f);
  return ml_no_memory("forest");
}

int64_t ms_forest_nodes(const ms_forest *f, int64_t t) { return t < 0 || t >= f->trees ? -1 : f->first[t + 1] - f->first[t]; }
int64_t ms_forest_depth(const ms_forest *f, int64_t t) { return t < 0 || t >= f->trees ? -1 : f->depth[t]; }
