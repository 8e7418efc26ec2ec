/* graph.c -- graphs of neighbours: lists of k neighbours become a sparse matrix by rows, which multiplies. */
#include <stdlib.h>
#include <string.h>

#include "ml/internal.h"

/* An edge on its way: where to, how heavy, and which of the two lists it comes from. */
typedef struct edge {
  int32_t column;
  bool back; /* of W^T */
  float value;
} edge;

static int by_column(const void *a, const void *b) {
  const edge *x = a, *y = b;
  return x->column != y->column ? (x->column < y->column ? -1 : 1) : x->back - y->back;
}

/* The edges of one row, sorted; those that meet become one. Returns how many are left. */
static int64_t merge(edge *e, int64_t count, ms_graph_symmetry how) {
  qsort(e, (size_t)count, sizeof *e, by_column);
  int64_t left = 0;
  for (int64_t i = 0; i < count; i++) {
    const bool meets = i + 1 < count && e[i + 1].column == e[i].column;
    const float other = meets ? e[i + 1].value : 0;
    float v = e[i].value;
    if (how == MS_GRAPH_MEAN) v = (v + other) / 2;
    else if (how == MS_GRAPH_MAX && other > v) v = other;
    e[left++] = (edge){.column = e[i].column, .value = v};
    i += meets;
  }
  return left;
}

int64_t ms_graph_join(int64_t n, int64_t k, const int32_t *index, const float *weight, ms_graph_symmetry how, int64_t *first,
                      int32_t **column, float **value) {
  if (n < 1 || k < 1 || k > INT32_MAX || n > INT32_MAX - 1)
    return ms_fail("graph: expected n x k neighbours, got %lld x %lld", (long long)n, (long long)k), -1;
  for (int64_t i = 0; i < n * k; i++)
    if (index[i] < MS_INDEX_BASE || index[i] - MS_INDEX_BASE >= n)
      return ms_fail("graph: index[%lld] = %d, expected 1..%lld", (long long)i + 1, index[i], (long long)n), -1;
  const int64_t sides = how == MS_GRAPH_NONE ? 1 : 2, most = n * k * sides;
  int64_t *begin = ml_alloc(n + 1, sizeof *begin), *count = ml_alloc(n, sizeof *count);
  edge *e = ml_alloc(most, sizeof *e);
  *column = NULL, *value = NULL;
  if (!begin || !count || !e) goto fail;
  for (int64_t i = 0; i < n; i++) count[i] = k;
  if (sides == 2)
    for (int64_t i = 0; i < n * k; i++) count[index[i] - MS_INDEX_BASE]++;
  begin[0] = 0;
  for (int64_t i = 0; i < n; i++) begin[i + 1] = begin[i] + count[i], count[i] = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i * k; j < (i + 1) * k; j++) {
      const int32_t to = index[j] - MS_INDEX_BASE;
      e[begin[i] + count[i]++] = (edge){.column = index[j], .value = weight[j]};
      if (sides == 2) e[begin[to] + count[to]++] = (edge){.column = (int32_t)i + MS_INDEX_BASE, .back = true, .value = weight[j]};
    }
  MS_PARALLEL(ms_threads(), i, n, { count[i] = merge(e + begin[i], count[i], how); });
  first[0] = 0;
  for (int64_t i = 0; i < n; i++) first[i + 1] = first[i] + count[i];
  *column = malloc((size_t)first[n] * sizeof **column + 1);
  *value = malloc((size_t)first[n] * sizeof **value + 1);
  if (!*column || !*value) goto fail;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < count[i]; j++) {
      (*column)[first[i] + j] = e[begin[i] + j].column;
      (*value)[first[i] + j] = e[begin[i] + j].value;
    }
  free(begin), free(count), free(e);
  return first[n];
fail:
  free(begin), free(count), free(e), free(*column), free(*value);
  *column = NULL, *value = NULL;
  ml_no_memory("graph");
  return -1;
}

void ms_graph_product(int64_t n, const int64_t *first, const int64_t *column, const float *value, int64_t c, const double *in,
                      double *out) {
  MS_PARALLEL(ms_threads(), i, n, {
    double *to = out + i * c;
    memset(to, 0, (size_t)c * sizeof *to);
    for (int64_t j = first[i]; j < first[i + 1]; j++) {
      const double *from = in + (column[j] - MS_INDEX_BASE) * c, w = (double)value[j];
      for (int64_t p = 0; p < c; p++) to[p] += w * from[p];
    }
  });
}
