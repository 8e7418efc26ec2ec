/* knn_template.h -- the loops of knn.c over scores, for variants.h. */

/* Where the next run of SCAN scores that has one <= limit begins, or n. from and n are multiples of SCAN. */
TARGET static int64_t G(scan)(const float *s, int64_t from, int64_t n, float limit) {
  typedef float vec __attribute__((vector_size(VECTOR * sizeof(float)), aligned(sizeof(float)), may_alias));
  typedef int32_t ints __attribute__((vector_size(VECTOR * sizeof(int32_t))));
  typedef int64_t longs __attribute__((vector_size(VECTOR * sizeof(int32_t))));
  for (; from < n; from += SCAN) {
    ints hit = {0};
#pragma GCC unroll 16
    for (int v = 0; v < SCAN; v += VECTOR) hit |= *(const vec *)(s + from + v) <= limit;
    const longs two = (longs)hit;
    int64_t any = 0;
#pragma GCC unroll 16
    for (int lane = 0; lane < VECTOR / 2; lane++) any |= two[lane];
    if (any) return from;
  }
  return n;
}

/* Which of SCAN scores are <= limit: a bit for each. */
TARGET static uint64_t G(hits)(const float *s, float limit) {
  uint64_t bits = 0;
#if VECTOR == 16
  for (int v = 0; v < SCAN; v += VECTOR)
    bits |= (uint64_t)_mm512_cmp_ps_mask(_mm512_loadu_ps(s + v), _mm512_set1_ps(limit), _CMP_LE_OQ) << v;
#elif VECTOR == 8
  for (int v = 0; v < SCAN; v += VECTOR)
    bits |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(s + v), _mm256_set1_ps(limit), _CMP_LE_OQ)) << v;
#else
  for (int v = 0; v < SCAN; v++) bits |= (uint64_t)(s[v] <= limit) << v;
#endif
  return bits;
}

typedef float G(scores) __attribute__((vector_size(VECTOR * sizeof(float)), aligned(sizeof(float)), may_alias));

/* The lower of each two. */
TARGET static inline G(scores) G(lower)(G(scores) a, G(scores) b) {
#if VECTOR == 16
  return (G(scores))_mm512_min_ps((__m512)a, (__m512)b);
#elif VECTOR == 8
  return (G(scores))_mm256_min_ps((__m256)a, (__m256)b);
#else
  typedef int32_t ints __attribute__((vector_size(VECTOR * sizeof(int32_t))));
  const ints less = a < b;
  return (G(scores))(((ints)a & less) | ((ints)b & ~less));
#endif
}

/* A limit that at least k scores keep, and few more: the k-th least of the least scores of SCAN groups; infinity where not so many
 * are finite. n is a multiple of SCAN. */
TARGET static float G(rank_bound)(const float *s, int64_t n, int64_t k) {
  enum { PARTS = SCAN / VECTOR };
  G(scores) least[PARTS];
#pragma GCC unroll 16
  for (int v = 0; v < PARTS; v++) least[v] = *(const G(scores) *)(s + v * VECTOR);
  for (int64_t from = SCAN; from < n; from += SCAN)
#pragma GCC unroll 16
    for (int v = 0; v < PARTS; v++) least[v] = G(lower)(least[v], *(const G(scores) *)(s + from + v * VECTOR));
  for (;;) {
    G(scores) all = least[0];
#pragma GCC unroll 16
    for (int v = 1; v < PARTS; v++) all = G(lower)(all, least[v]);
#if VECTOR == 16
    const float bound = _mm512_reduce_min_ps((__m512)all);
#else
    float bound = all[0];
    for (int lane = 1; lane < VECTOR; lane++) bound = all[lane] < bound ? all[lane] : bound;
#endif
    if (bound == INFINITY || (k -= __builtin_popcountll(G(hits)((const float *)least, bound))) <= 0) return bound;
#pragma GCC unroll 16
    for (int v = 0; v < PARTS; v++) {
#if VECTOR == 16
      const __m512 here = (__m512)least[v], one = _mm512_set1_ps(bound);
      least[v] = (G(scores))_mm512_mask_mov_ps(here, _mm512_cmp_ps_mask(here, one, _CMP_LE_OQ), _mm512_set1_ps(INFINITY));
#else
      typedef int32_t ints __attribute__((vector_size(VECTOR * sizeof(int32_t))));
      const ints taken = least[v] <= bound;
      least[v] = (G(scores))(((ints)least[v] & ~taken) | ((ints)((G(scores)){0} + INFINITY) & taken));
#endif
    }
  }
}

/* |a - b|^2 of d elements in f32, with a relative error of (d + 3) half units at most, but for what underflows. */
TARGET static float G(rough)(const float *a, const float *b, int64_t d) {
  G(scores) sum[4] = {{0}, {0}, {0}, {0}};
  int64_t j = 0;
  for (; j + 4 * VECTOR <= d; j += 4 * VECTOR)
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) {
      const G(scores) difference = *(const G(scores) *)(a + j + v * VECTOR) - *(const G(scores) *)(b + j + v * VECTOR);
      sum[v] += difference * difference;
    }
  for (; j + VECTOR <= d; j += VECTOR) {
    const G(scores) difference = *(const G(scores) *)(a + j) - *(const G(scores) *)(b + j);
    sum[0] += difference * difference;
  }
  sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
#if VECTOR == 16
  float total = _mm512_reduce_add_ps((__m512)sum[0]);
#else
  float total = 0;
  for (int lane = 0; lane < VECTOR; lane++) total += sum[0][lane];
#endif
  for (; j < d; j++) total += (a[j] - b[j]) * (a[j] - b[j]);
  return total;
}
