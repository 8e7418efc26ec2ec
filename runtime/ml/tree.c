/* tree.c -- one CART tree (Breiman, Friedman, Olshen, Stone 1984), grown depth first: of classes, by gini or entropy, or of
 * numbers.
 *
 * A row in a node is one 64-bit word: row number | class | weight (how often the bootstrap drew it). To look at a feature, the
 * words become rank | class | weight and are sorted by rank, and one pass over them tries every boundary between distinct values.
 * Where numbers are learned, the row number stands in the place of class and weight. Splits are decided on ranks; the threshold is
 * written down in values at the end. As in scikit-learn, features are drawn without replacement and drawing goes on past
 * max_features until one was not constant in the node. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/internal.h"
#include "ml/tree.h"

/* ---- ranks ------------------------------------------------------------------------------------------------------- */

/* Bits of a finite float, in an order that sorts as unsigned; -0 counts as 0. */
static uint32_t ordered_bits(float v) {
  uint32_t bits;
  v += 0.0f;
  memcpy(&bits, &v, sizeof bits);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* Sort n words by the bits from bit `low` up that tell the extremes apart: least significant digits first. All words agree in the
 * bits above `low + bits`. spare: n words. Returns whichever of the two holds the result. */
static uint64_t *radix_sort(uint64_t *a, uint64_t *spare, int64_t n, int low, int bits) {
  const int passes = (bits + 7) / 8;
  for (int pass = 0; pass < passes; pass++) {
    const int digit = (bits + passes - 1) / passes, shift = low + pass * digit;
    const uint64_t mask = ((uint64_t)1 << digit) - 1;
    uint32_t start[256] = {0};
    for (int64_t i = 0; i < n; i++) start[a[i] >> shift & mask]++;
    uint32_t sum = 0;
    for (uint64_t b = 0; b <= mask; b++) {
      const uint32_t count = start[b];
      start[b] = sum;
      sum += count;
    }
    for (int64_t i = 0; i < n; i++) spare[start[a[i] >> shift & mask]++] = a[i];
    uint64_t *swap = a;
    a = spare, spare = swap;
  }
  return a;
}

void ml_ranked_close(ml_ranked *t) {
  for (int64_t j = 0; t->value && j < t->d; j++) free(t->value[j]);
  free(t->value), free(t->rank);
}

int ml_ranked_open(ml_ranked *t, int64_t n, int64_t d, const float *x, const int32_t *y, const double *target, int32_t classes) {
  *t = (ml_ranked){.n = n, .d = d, .classes = classes, .y = y, .target = target};
  t->value = calloc((size_t)d, sizeof *t->value);
  t->rank = d <= INT64_MAX / n ? ml_alloc(n * d, sizeof *t->rank) : NULL;
  bool failed = !t->value || !t->rank;
  if (failed) return ml_ranked_close(t), -1;
  const int team = ms_threads();
  ms_stretch stretch[team];
  ms_cut(stretch, team, d);
  MS_TOGETHER(team, id, {
    uint64_t *key = ml_alloc(n, sizeof *key), *spare = ml_alloc(n, sizeof *spare);
    float *distinct = ml_alloc(n, sizeof *distinct);
    bool mine = !key || !spare || !distinct;
    for (int64_t j; (j = ms_take(stretch, team, id)) >= 0;) {
      if (mine || ms_interrupted()) continue;
      for (int64_t i = 0; i < n; i++) key[i] = (uint64_t)ordered_bits(x[i * d + j]) << 32 | (uint64_t)i;
      const uint64_t *sorted = radix_sort(key, spare, n, 32, 32);
      int64_t count = 0;
      for (int64_t i = 0; i < n; i++) {
        const uint32_t row = (uint32_t)sorted[i];
        if (i == 0 || sorted[i] >> 32 != sorted[i - 1] >> 32) distinct[count++] = x[row * d + j];
        t->rank[j * n + row] = (uint32_t)(count - 1);
      }
      t->value[j] = ml_alloc(count, sizeof(float));
      if (t->value[j]) memcpy(t->value[j], distinct, (size_t)count * sizeof(float));
      else mine = true;
    }
    free(key), free(spare), free(distinct);
    if (mine) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
  });
  if (failed || ms_interrupted()) return ml_ranked_close(t), -1;
  return 0;
}

/* ---- growing ----------------------------------------------------------------------------------------------------- */

typedef struct class_weight {
  int64_t all, left; /* weight of one class in the node, and left of the boundary */
} class_weight;

typedef struct open_node {
  int64_t from, count; /* rows of the node: row[from .. from + count - 1] */
  int32_t node, depth;
} open_node;

struct ml_grower {
  uint64_t *row;                  /* n: row number << 32 | (class - 1) << 16 | weight */
  uint64_t *key, *spare;          /* n each */
  uint16_t *drawn;                /* n */
  int32_t *order;                 /* d: features, permuted as they are drawn */
  class_weight *share;            /* classes */
  open_node *stack;               /* n + 1: waiting nodes have rows, none in common */
  int32_t *feature, *left, *leaf; /* 2n: nodes of the tree being grown */
  float *threshold;               /* 2n */
  double *proba;                  /* grows */
  double *importance;             /* d */
  const double *log_table;        /* entropy: i log2 i for weights below LOGS */
  int64_t rows, room;
  ms_forest_criterion criterion;
};

/* What is made large is gain / scale. Gini: the sum over both sides of (squares of class weights) / weight. Entropy: that of w log2
 * w over the classes, less W log2 W of the side. Numbers: that of (sum of the numbers, less the node's mean)^2 / weight. */
typedef struct split {
  double gain, scale;
  int32_t feature;
  uint32_t rank, next; /* the ranks on either side of the boundary */
} split;

void ml_tree_close(ml_tree *t) {
  free(t->feature), free(t->left), free(t->leaf), free(t->threshold), free(t->proba), free(t->importance);
  *t = (ml_tree){0};
}

void ml_grower_close(ml_grower *g) {
  if (!g) return;
  free(g->row), free(g->key), free(g->spare), free(g->drawn), free(g->order), free(g->share), free(g->stack);
  free(g->feature), free(g->left), free(g->leaf), free(g->threshold), free(g->proba), free(g->importance);
  free(g);
}

ml_grower *ml_grower_open(const ml_ranked *t, const double *log_table) {
  ml_grower *g = calloc(1, sizeof *g);
  if (!g) return NULL;
  g->log_table = log_table;
  const int64_t n = t->n;
  g->row = ml_alloc(n, sizeof *g->row);
  g->key = ml_alloc(n, sizeof *g->key);
  g->spare = ml_alloc(n, sizeof *g->spare);
  g->drawn = ml_alloc(n, sizeof *g->drawn);
  g->order = ml_alloc(t->d, sizeof *g->order);
  g->share = ml_alloc(t->classes, sizeof *g->share);
  g->stack = ml_alloc(n + 1, sizeof *g->stack);
  g->feature = ml_alloc(2 * n, sizeof *g->feature);
  g->left = ml_alloc(2 * n, sizeof *g->left);
  g->leaf = ml_alloc(2 * n, sizeof *g->leaf);
  g->threshold = ml_alloc(2 * n, sizeof *g->threshold);
  g->importance = ml_alloc(t->d, sizeof *g->importance);
  if (g->row && g->key && g->spare && g->drawn && g->order && g->share && g->stack && g->feature && g->left && g->leaf &&
      g->threshold && g->importance)
    return g;
  ml_grower_close(g);
  return NULL;
}

static uint32_t class_of(uint64_t word) { return (uint32_t)word >> 16; }
static uint32_t weight_of(uint64_t word) { return (uint32_t)word & 0xffff; }
static uint32_t top_of(uint64_t word) { return (uint32_t)(word >> 32); }

/* Words of `count` rows with the rank on top, sorted by it; NULL when the feature is constant in the node. Below the rank: class
 * and weight, or with numbers the row number. */
static inline const uint64_t *sorted_by(ml_grower *g, const uint64_t *row, int64_t count, const uint32_t *rank, bool numbers) {
  const uint32_t first = rank[top_of(row[0])];
  int64_t i = 1;
  while (i < count && rank[top_of(row[i])] == first) i++;
  if (i == count) return NULL;
  uint64_t *key = g->key;
  if (count <= 40) {
    for (i = 0; i < count; i++) {
      const uint64_t word = (uint64_t)rank[top_of(row[i])] << 32 | (numbers ? top_of(row[i]) : (uint32_t)row[i]);
      int64_t at = i;
      for (; at > 0 && key[at - 1] > word; at--) key[at] = key[at - 1];
      key[at] = word;
    }
    return key;
  }
  uint32_t differ = 0;
  for (i = 0; i < count; i++) {
    const uint32_t r = rank[top_of(row[i])];
    differ |= r ^ first;
    key[i] = (uint64_t)r << 32 | (numbers ? top_of(row[i]) : (uint32_t)row[i]);
  }
  return radix_sort(key, g->spare, count, 32, 32 - __builtin_clz(differ));
}

enum { LOGS = 1 << 16 };

double *ml_log_table(void) {
  double *table = ml_alloc(LOGS, sizeof *table);
  for (int64_t i = 0; table && i < LOGS; i++) table[i] = i ? (double)i * log2((double)i) : 0;
  return table;
}

static double w_log_w(const double *table, int64_t w) { return w < LOGS ? table[w] : (double)w * log2((double)w); }

/* Entropies of classes, as try_feature below. */
static bool try_entropy(ml_grower *g, const ml_ranked *t, const open_node *at, int32_t feature, int64_t min_leaf, double logs,
                        int64_t weight, split *best) {
  const uint64_t *key = sorted_by(g, g->row + at->from, at->count, t->rank + feature * t->n, false);
  if (!key) return false;
  const double *table = g->log_table;
  for (int32_t c = 0; c < t->classes; c++) g->share[c].left = 0;
  double left = 0, right = logs;
  int64_t left_weight = 0;
  for (int64_t i = 0; i + 1 < at->count; i++) {
    class_weight *s = &g->share[class_of(key[i])];
    const int64_t w = weight_of(key[i]), had = s->left;
    left += w_log_w(table, had + w) - w_log_w(table, had);
    right += w_log_w(table, s->all - had - w) - w_log_w(table, s->all - had);
    s->left = had + w;
    left_weight += w;
    if (top_of(key[i]) == top_of(key[i + 1]) || i + 1 < min_leaf || at->count - i - 1 < min_leaf) continue;
    const double gain = left + right - w_log_w(table, left_weight) - w_log_w(table, weight - left_weight);
    if (gain > best->gain)
      *best = (split){.gain = gain, .scale = 1, .feature = feature, .rank = top_of(key[i]), .next = top_of(key[i + 1])};
  }
  return true;
}

/* Numbers: mean and weight are those of the node. */
static bool try_numbers(ml_grower *g, const ml_ranked *t, const open_node *at, int32_t feature, int64_t min_leaf, double mean,
                        double weight, split *best) {
  const uint64_t *key = sorted_by(g, g->row + at->from, at->count, t->rank + feature * t->n, true);
  if (!key) return false;
  double left = 0, left_weight = 0;
  for (int64_t i = 0; i + 1 < at->count; i++) {
    const uint32_t row = (uint32_t)key[i];
    left += g->drawn[row] * (t->target[row] - mean);
    left_weight += g->drawn[row];
    if (top_of(key[i]) == top_of(key[i + 1]) || i + 1 < min_leaf || at->count - i - 1 < min_leaf) continue;
    const double gain = left * left / left_weight + left * left / (weight - left_weight); /* both sides add up to 0 */
    if (gain > best->gain)
      *best = (split){.gain = gain, .scale = 1, .feature = feature, .rank = top_of(key[i]), .next = top_of(key[i + 1])};
  }
  return true;
}

/* Try every boundary of one feature. squares, weight: of the whole node. True when the feature is not constant. */
static bool try_feature(ml_grower *g, const ml_ranked *t, const open_node *at, int32_t feature, int64_t min_leaf, int64_t squares,
                        double weight, split *best) {
  const uint64_t *key = sorted_by(g, g->row + at->from, at->count, t->rank + feature * t->n, false);
  if (!key) return false;
  for (int32_t c = 0; c < t->classes; c++) g->share[c].left = 0;
  int64_t left_squares = 0, right_squares = squares, left_weight = 0;
  for (int64_t i = 0; i + 1 < at->count; i++) {
    class_weight *s = &g->share[class_of(key[i])];
    const int64_t w = weight_of(key[i]), left = s->left;
    left_squares += w * (2 * left + w);
    right_squares -= w * (2 * (s->all - left) - w);
    s->left = left + w;
    left_weight += w;
    if (top_of(key[i]) == top_of(key[i + 1]) || i + 1 < min_leaf || at->count - i - 1 < min_leaf) continue;
    const double lw = (double)left_weight, rw = weight - lw;
    const double gain = (double)left_squares * rw + (double)right_squares * lw, scale = lw * rw;
    if (gain * best->scale > best->gain * scale)
      *best = (split){.gain = gain, .scale = scale, .feature = feature, .rank = top_of(key[i]), .next = top_of(key[i + 1])};
  }
  return true;
}

/* The midpoint, rounded down to f32 so that it splits every f32 as the f64 midpoint would; never as large as the upper value. */
static float threshold_between(float low, float high) {
  const double middle = (double)low / 2 + (double)high / 2;
  float f = (float)middle;
  if ((double)f > middle) f = nextafterf(f, -INFINITY);
  return f < high ? f : low;
}

/* What is known of a node before it is split. */
typedef struct census {
  int64_t weight, squares; /* of the class weights */
  double logs;             /* entropy: the sum of w log2 w */
  double mean;             /* of the numbers */
  bool pure;
} census;

static census count_classes(ml_grower *g, const ml_ranked *t, const open_node *at) {
  census now = {0};
  for (int32_t c = 0; c < t->classes; c++) g->share[c].all = 0;
  for (int64_t i = at->from; i < at->from + at->count; i++) g->share[class_of(g->row[i])].all += weight_of(g->row[i]);
  for (int32_t c = 0; c < t->classes; c++) {
    now.weight += g->share[c].all;
    now.squares += g->share[c].all * g->share[c].all;
    if (g->criterion == MS_FOREST_ENTROPY) now.logs += w_log_w(g->log_table, g->share[c].all);
  }
  now.pure = g->share[class_of(g->row[at->from])].all == now.weight;
  return now;
}

static census add_numbers(ml_grower *g, const ml_ranked *t, const open_node *at) {
  census now = {.pure = true};
  const double first = t->target[top_of(g->row[at->from])];
  for (int64_t i = at->from; i < at->from + at->count; i++) {
    const double v = t->target[top_of(g->row[i])];
    const int64_t w = weight_of(g->row[i]);
    now.weight += w;
    now.mean += (double)w * (v - first); /* differences: a large common part costs no digits */
    now.pure &= v == first;
  }
  now.mean = first + now.mean / (double)now.weight;
  return now;
}

/* How much a split lowers weight x criterion. */
static double lowered(const ml_grower *g, const ml_ranked *t, const census *now, const split *best) {
  const double weight = (double)now->weight;
  if (t->target) return best->gain;
  if (g->criterion == MS_FOREST_ENTROPY) return best->gain - now->logs + w_log_w(g->log_table, now->weight);
  return best->gain / best->scale - (double)now->squares / weight;
}

/* A place for the numbers of one more leaf; NULL: no memory. */
static double *leaf_row(ml_grower *g, int64_t width) {
  if (g->rows == g->room) {
    const int64_t room = g->room ? 2 * g->room : 64;
    double *more = width <= INT64_MAX / 16 / room ? realloc(g->proba, (size_t)(room * width) * sizeof *more) : NULL;
    if (!more) return NULL;
    g->proba = more, g->room = room;
  }
  return g->proba + g->rows++ * width;
}

/* -1: no memory. */
static int write_leaf(ml_grower *g, const ml_ranked *t, const open_node *at, const census *now) {
  const int64_t weight = now->weight;
  g->feature[at->node] = -1;
  g->left[at->node] = at->node;
  g->threshold[at->node] = INFINITY;
  if (t->target) {
    double *to = leaf_row(g, 1);
    if (!to) return -1;
    *to = now->mean;
    g->leaf[at->node] = -(int32_t)g->rows;
    return 0;
  }
  const uint32_t c = class_of(g->row[at->from]);
  if (g->share[c].all == weight) {
    g->leaf[at->node] = (int32_t)c + MS_INDEX_BASE;
    return 0;
  }
  double *to = leaf_row(g, t->classes);
  if (!to) return -1;
  for (int32_t k = 0; k < t->classes; k++) to[k] = (double)g->share[k].all / (double)weight;
  g->leaf[at->node] = -(int32_t)g->rows;
  return 0;
}

/* Rows with rank <= `rank` first, both sides in the order they had. Returns how many. */
static int64_t partition(ml_grower *g, const open_node *at, const uint32_t *rank, uint32_t most) {
  uint64_t *row = g->row + at->from;
  int64_t left = 0, right = 0;
  for (int64_t i = 0; i < at->count; i++) {
    const uint64_t word = row[i];
    const bool goes = rank[top_of(word)] <= most;
    row[left] = word;
    g->spare[right] = word;
    left += goes;
    right += !goes;
  }
  memcpy(row + left, g->spare, (size_t)right * sizeof *row);
  return left;
}

void ml_draw_rows(int64_t n, uint64_t *state, uint16_t *drawn) {
  memset(drawn, 0, (size_t)n * sizeof *drawn);
  for (int64_t i = 0; i < n; i++) {
    uint32_t r;
    do r = ml_draw_below(state, (uint32_t)n);
    while (drawn[r] == UINT16_MAX); /* a weight has 16 bits */
    drawn[r]++;
  }
}

static int64_t draw_rows(ml_grower *g, const ml_ranked *t, bool bootstrap, uint64_t *state) {
  int64_t count = 0;
  if (bootstrap) ml_draw_rows(t->n, state, g->drawn);
  for (int64_t i = 0; i < t->n; i++) {
    if (!bootstrap) g->drawn[i] = 1;
    const uint64_t weight = g->drawn[i], class = t->y ? (uint64_t)(t->y[i] - MS_INDEX_BASE) : 0;
    if (weight) g->row[count++] = (uint64_t)i << 32 | class << 16 | weight;
  }
  return count;
}

static int finish(const ml_grower *g, const ml_ranked *t, int64_t nodes, ml_tree *out) {
  *out = (ml_tree){.nodes = nodes, .rows = g->rows};
  out->feature = ml_alloc(nodes, sizeof *out->feature);
  out->left = ml_alloc(nodes, sizeof *out->left);
  out->leaf = ml_alloc(nodes, sizeof *out->leaf);
  out->threshold = ml_alloc(nodes, sizeof *out->threshold);
  const int64_t width = t->target ? 1 : t->classes;
  out->proba = ml_alloc(g->rows * width, sizeof *out->proba);
  out->importance = ml_alloc(t->d, sizeof *out->importance);
  if (!out->importance || !out->feature || !out->left || !out->leaf || !out->threshold || !out->proba)
    return ml_tree_close(out), -1;
  memcpy(out->feature, g->feature, (size_t)nodes * sizeof *out->feature);
  memcpy(out->left, g->left, (size_t)nodes * sizeof *out->left);
  memcpy(out->leaf, g->leaf, (size_t)nodes * sizeof *out->leaf);
  memcpy(out->threshold, g->threshold, (size_t)nodes * sizeof *out->threshold);
  if (g->rows) memcpy(out->proba, g->proba, (size_t)(g->rows * width) * sizeof *out->proba);
  double sum = 0; /* shares of what all splits lowered */
  for (int64_t j = 0; j < t->d; j++) sum += g->importance[j];
  for (int64_t j = 0; j < t->d; j++) out->importance[j] = sum > 0 ? g->importance[j] / sum : 0;
  return 0;
}

int ml_tree_grow(ml_grower *g, const ml_ranked *t, const ms_forest_options *o, int64_t tree, ml_tree *out) {
  uint64_t state = ml_tree_stream(o->seed, tree);
  g->rows = 0;
  g->criterion = o->criterion;
  for (int64_t j = 0; j < t->d; j++) g->order[j] = (int32_t)j, g->importance[j] = 0;
  int64_t waiting = 1, nodes = 1;
  g->stack[0] = (open_node){.count = draw_rows(g, t, o->bootstrap, &state)};
  while (waiting > 0) {
    const open_node at = g->stack[--waiting];
    const census now = t->target ? add_numbers(g, t, &at) : count_classes(g, t, &at);
    const bool final =
        now.pure || at.count < o->min_split || at.count < 2 * o->min_leaf || (o->max_depth && at.depth >= o->max_depth);
    split best = {.gain = t->target || o->criterion == MS_FOREST_GINI ? -1 : -INFINITY, .scale = 1, .feature = -1};
    bool varies = false;
    for (int64_t j = 0; !final && j < t->d && (j < o->max_features || !varies); j++) {
      if (ms_interrupted()) return -1;
      const int64_t pick = j + ml_draw_below(&state, (uint32_t)(t->d - j));
      const int32_t feature = g->order[pick];
      g->order[pick] = g->order[j];
      g->order[j] = feature;
      if (t->target) varies |= try_numbers(g, t, &at, feature, o->min_leaf, now.mean, (double)now.weight, &best);
      else if (o->criterion == MS_FOREST_ENTROPY)
        varies |= try_entropy(g, t, &at, feature, o->min_leaf, now.logs, now.weight, &best);
      else varies |= try_feature(g, t, &at, feature, o->min_leaf, now.squares, (double)now.weight, &best);
    }
    if (best.feature < 0) {
      if (write_leaf(g, t, &at, &now)) return -1;
      continue;
    }
    const float *value = t->value[best.feature];
    g->feature[at.node] = best.feature;
    g->threshold[at.node] = threshold_between(value[best.rank], value[best.next]);
    g->left[at.node] = (int32_t)nodes;
    g->leaf[at.node] = 0;
    g->importance[best.feature] += fmax(0, lowered(g, t, &now, &best));
    const int64_t left = partition(g, &at, t->rank + best.feature * t->n, best.rank);
    g->stack[waiting++] = (open_node){at.from + left, at.count - left, (int32_t)nodes + 1, at.depth + 1};
    g->stack[waiting++] = (open_node){at.from, left, (int32_t)nodes, at.depth + 1};
    nodes += 2;
  }
  return finish(g, t, nodes, out);
}
