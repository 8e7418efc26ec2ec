/* affinity.c -- similarities of samples for t-SNE: gaussians around each, as wide as its neighbours are far, made symmetric. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/tsne_parts.h"

/* Turns k squared distances into probabilities of entropy `target`, p ~ exp(-b d2): Newton's steps on log b, within the bounds that
 * the entropy, which falls with b, has shown so far. Where no b does it (all distances equal), the last one stays. */
static void conditional(int64_t k, double *d2, double target) {
  double least = INFINITY, mean = 0;
  for (int64_t j = 0; j < k; j++) least = fmin(least, d2[j]);
  for (int64_t j = 0; j < k; j++) mean += (d2[j] -= least) / (double)k;
  double b = mean > 0 ? 1 / mean : 1, low = 0, high = INFINITY, sum = 0;
  for (int step = 0; step < 100; step++) {
    double first = 0, second = 0;
    sum = 0;
    for (int64_t j = 0; j < k; j++) {
      const double e = exp(-b * d2[j]);
      sum += e, first += e * d2[j], second += e * d2[j] * d2[j];
    }
    first /= sum, second = second / sum - first * first;
    const double over = log(sum) + b * first - target;
    if (fabs(over) < 1e-6) break;
    if (over > 0) low = b;
    else high = b;
    double next = b * exp(fmax(-3, fmin(3, over / (b * b * second))));
    if (!(next > low && next < high)) next = isinf(high) ? 8 * b : low > 0 ? sqrt(low * high) : high / 8;
    if (!(next > 0 && next < 1e300)) break;
    b = next;
  }
  for (int64_t j = 0; j < k; j++) d2[j] = exp(-b * d2[j]) / sum;
}

/* The k nearest others of each sample and their conditional similarities. index: n x (k + 1), p: the same; the first k of a row
 * hold. */
static int nearest(int64_t n, int64_t d, const float *x, int64_t k, double perplexity, int32_t *index, float *p) {
  ms_knn *m = ms_knn_fit(n, d, x, NULL, 0);
  if (!m) return -1;
  const int rc = ms_knn_query(m, n, x, k + 1, index, p);
  ms_knn_free(m);
  if (rc) return -1;
  bool failed = false;
  const int team = ms_threads();
  MS_TOGETHER(team, id, {
    double *row = ml_alloc(k, sizeof *row);
    if (!row) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    for (int64_t i = n * id / team; row && i < n * (id + 1) / team && !ms_interrupted(); i++) {
      int32_t *to = index + i * (k + 1);
      float *far = p + i * (k + 1);
      int64_t kept = 0;
      for (int64_t j = 0; j <= k && kept < k; j++) { /* without itself, or the last one where many are at distance 0 */
        if (to[j] - MS_INDEX_BASE == i) continue;
        row[kept] = (double)far[j] * (double)far[j];
        to[kept++] = to[j] - MS_INDEX_BASE;
      }
      conditional(k, row, log(perplexity));
      for (int64_t j = 0; j < k; j++) far[j] = (float)row[j];
    }
    free(row);
  });
  if (ms_interrupted()) return ms_stopped("tsne"), -1;
  return failed ? ml_no_memory("tsne"), -1 : 0;
}

void tsne_similar_free(tsne_similar *s) { free(s->first), free(s->to), free(s->p); }

/* p_ij = (p_j|i + p_i|j) / 2n. The conditional ones of row i: `to`, p. Those that others have of i: back[b], from[b] for b in
 * begin[i]..begin[i + 1]. place: n, where row i has put a point, or something below first[i]. */
static void join(tsne_similar *s, int64_t k, const int32_t *to, const float *p, const int64_t *begin, const int32_t *from,
                 const float *back, int64_t *place) {
  const int64_t n = s->n;
  const float half = (float)(0.5 / (double)n);
  double entropy = 0;
  int64_t used = 0;
  for (int64_t i = 0; i < n; i++) place[i] = -1;
  for (int64_t i = 0; i < n; i++) {
    const int64_t first = s->first[i] = used;
    for (int64_t j = 0; j < k; j++) {
      const int32_t other = to[i * (k + 1) + j];
      place[other] = used, s->to[used] = other, s->p[used++] = half * p[i * (k + 1) + j];
    }
    for (int64_t b = begin[i]; b < begin[i + 1]; b++) {
      if (place[from[b]] >= first) s->p[place[from[b]]] += half * back[b];
      else s->to[used] = from[b], s->p[used++] = half * back[b];
    }
    for (int64_t e = first; e < used; e++)
      if (s->p[e] > 0) entropy += (double)s->p[e] * log((double)s->p[e]);
    for (; used % FILL; used++) s->to[used] = (int32_t)i, s->p[used] = 0;
  }
  s->first[n] = used, s->entropy = entropy;
}

int tsne_similar_make(tsne_similar *s, int64_t n, int64_t d, const float *x, int64_t k, double perplexity) {
  *s = (tsne_similar){.n = n};
  if (n > INT32_MAX / 2) return ms_fail("tsne: expected fewer than 2^30 samples, got %lld", (long long)n), -1;
  int32_t *index = ml_alloc(n * (k + 1), sizeof *index), *from = NULL;
  float *p = ml_alloc(n * (k + 1), sizeof *p), *back = NULL;
  int64_t *begin = ml_alloc(n + 1, sizeof *begin), *place = ml_alloc(n, sizeof *place);
  int rc = index && p && begin && place ? nearest(n, d, x, k, perplexity, index, p) : (ml_no_memory("tsne"), -1);
  if (rc == 0) {
    from = ml_alloc(n * k, sizeof *from), back = ml_alloc(n * k, sizeof *back);
    s->first = ml_alloc(n + 1, sizeof *s->first);
    /* at most twice as many as given, and what fills up */
    s->to = ml_alloc(2 * n * k + n * FILL, sizeof *s->to), s->p = ml_alloc(2 * n * k + n * FILL, sizeof *s->p);
    if (!from || !back || !s->first || !s->to || !s->p) rc = (ml_no_memory("tsne"), -1);
  }
  if (rc == 0) {
    memset(begin, 0, (size_t)(n + 1) * sizeof *begin);
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < k; j++) begin[index[i * (k + 1) + j] + 1]++;
    for (int64_t i = 0; i < n; i++) begin[i + 1] += begin[i];
    memcpy(place, begin, (size_t)n * sizeof *place);
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < k; j++) {
        const int64_t b = place[index[i * (k + 1) + j]]++;
        from[b] = (int32_t)i, back[b] = p[i * (k + 1) + j];
      }
    join(s, k, index, p, begin, from, back, place);
  }
  free(index), free(p), free(begin), free(place), free(from), free(back);
  if (rc) tsne_similar_free(s), *s = (tsne_similar){0};
  return rc;
}
