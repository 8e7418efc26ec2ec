/* reduce_template.h -- the plain loops of reduce.c, for every dtype. A template: the includer defines T and G(name) (the name for
 * that type), SUM, the type of a sum of T, and WIDE, the type in which it is added up. Whole numbers wrap. */

/* Is there a term that decides: one that is not 0 (any), one that is 0 (!any)? */
static ALWAYS_INLINE bool G(decided)(const reduction *p, const T *a, bool any) {
  const int64_t n = p->reduced.count;
  for (int64_t r = 0; r < n; r++)
    if ((a[reduced_offset(p, r)] != 0) == any) return true;
  return false;
}

/* o[k] = whether any term is not 0 (any), whether all are not 0 (!any). */
static void G(any_or_all)(const reduction *p, const void *x, uint8_t *restrict o, bool any) {
  for (int64_t k = 0; k < p->kept.count; k++) {
    const T *a = (const T *)x + kept_offset(p, k);
    o[k] = any ? G(decided)(p, a, true) : !G(decided)(p, a, false);
  }
}

/* Running sums of the n terms of every k, which lie x_step apart; those of the result, contiguous, lie o_step apart. */
static void G(cumsum)(const reduction *p, const void *x, int64_t x_step, int64_t n, void *o, int64_t o_step) {
  for (int64_t k = 0; k < p->kept.count; k++) {
    const T *a = (const T *)x + kept_offset(p, k);
    SUM *to = (SUM *)o + k / o_step * n * o_step + k % o_step;
    WIDE sum = 0;
    for (int64_t r = 0; r < n; r++) sum += (WIDE)a[r * x_step], to[r * o_step] = (SUM)sum;
  }
}

/* The sum of whole numbers: any order gives the same bits. (That of floating numbers: reduce_sum_template.h.) */
static inline void G(sum_whole)(const reduction *p, const void *x, SUM *o) {
  for (int64_t k = 0; k < p->kept.count; k++) {
    const T *a = (const T *)x + kept_offset(p, k);
    WIDE sum = 0;
    for (int64_t r = 0; r < p->reduced.count; r++) sum += (WIDE)a[reduced_offset(p, r)];
    o[k] = (SUM)sum;
  }
}
