/* knn_template.h -- the loops of knn.c. A template: the includer defines G(name) (the name for an instruction set), TARGET (the
 * attribute that chooses it, or nothing) and VECTOR (floats in a register). */

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
