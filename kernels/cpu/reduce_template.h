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

/* Running products, laid out as those sums. */
static void G(cumprod)(const reduction *p, const void *x, int64_t x_step, int64_t n, void *o, int64_t o_step) {
  for (int64_t k = 0; k < p->kept.count; k++) {
    const T *a = (const T *)x + kept_offset(p, k);
    SUM *to = (SUM *)o + k / o_step * n * o_step + k % o_step;
    WIDE product = 1;
    for (int64_t r = 0; r < n; r++) product *= (WIDE)a[r * x_step], to[r * o_step] = (SUM)product;
  }
}

/* The product of n terms, `step` apart: PRODUCTS partial ones side by side. */
static ALWAYS_INLINE WIDE G(product_of_run)(const T *a, int64_t n, int64_t step) {
  WIDE lane[PRODUCTS], all = 1;
  int64_t r = 0;
  for (int l = 0; l < PRODUCTS; l++) lane[l] = 1;
  for (; r + PRODUCTS <= n; r += PRODUCTS)
    for (int l = 0; l < PRODUCTS; l++) lane[l] *= (WIDE)a[(r + l) * step];
  for (; r < n; r++) all *= (WIDE)a[r * step];
  for (int l = 0; l < PRODUCTS; l++) all *= lane[l];
  return all;
}

/* o[k] = the product of the terms of k. */
static void G(product)(const reduction *p, const void *x, void *to) {
  SUM *o = to;
  const dim_set *terms = &p->reduced;
  const int last = terms->rank - 1;
  const int64_t n = last < 0 ? terms->count : terms->shape[last], step = last < 0 ? 0 : terms->stride[last];
  const int64_t runs = n ? terms->count / n : 0;
  if (is_columns(p)) {
    const int64_t columns = columns_of(p), blocks = div_up(columns, COLUMN_BLOCK);
    MS_PARALLEL(ms_team(reduction_work(p)), u, p->kept.count / columns * blocks, {
      const int64_t row = u / blocks, first = u % blocks * COLUMN_BLOCK, m = min_i64(columns - first, COLUMN_BLOCK);
      const T *a = (const T *)x + columns_offset(p, row) + first;
      WIDE product[COLUMN_BLOCK];
      for (int64_t i = 0; i < m; i++) product[i] = 1;
      for (int64_t r = 0; r < terms->count; r++) {
        const T *b = a + reduced_offset(p, r);
        for (int64_t i = 0; i < m; i++) product[i] *= (WIDE)b[i];
      }
      for (int64_t i = 0; i < m; i++) o[row * columns + first + i] = (SUM)product[i];
    });
    return;
  }
  MS_PARALLEL(ms_team(reduction_work(p)), k, p->kept.count, {
    const T *a = (const T *)x + kept_offset(p, k);
    WIDE product = 1;
    for (int64_t r = 0; r < runs; r++) product *= G(product_of_run)(a + outer_offset(terms, last, r), n, step);
    o[k] = (SUM)product;
  });
}

/* The largest (or smallest) so far of the n terms of every k, and where it is; of equal ones the last. NaN stays. */
static ALWAYS_INLINE void G(extreme_so_far)(const reduction *p, const void *x, int64_t x_step, int64_t n, void *o, int64_t *at,
                                            int64_t o_step, bool largest) {
  for (int64_t k = 0; k < p->kept.count && n; k++) {
    const T *a = (const T *)x + kept_offset(p, k);
    const int64_t from = k / o_step * n * o_step + k % o_step;
    T best = a[0];
    int64_t where = 0;
    for (int64_t r = 0; r < n; r++) {
      const T v = a[r * x_step];
      if ((largest ? v >= best : v <= best) || v != v) best = v, where = r;
      ((T *)o)[from + r * o_step] = best, at[from + r * o_step] = where + MS_INDEX_BASE;
    }
  }
}
static void G(largest_so_far)(const reduction *p, const void *x, int64_t x_step, int64_t n, void *o, int64_t *at, int64_t o_step) {
  G(extreme_so_far)(p, x, x_step, n, o, at, o_step, true);
}
static void G(smallest_so_far)(const reduction *p, const void *x, int64_t x_step, int64_t n, void *o, int64_t *at, int64_t o_step) {
  G(extreme_so_far)(p, x, x_step, n, o, at, o_step, false);
}
