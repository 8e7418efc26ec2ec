/* extreme_template.h -- the loops of extreme.c. A template: the includer defines T and G(name) (the name for that type).
 *
 * Inner loops are told by a constant whether the largest or the smallest is looked for, and are made twice by the compiler. */

/* Does v take the place of the best so far? NaN does; of equal values the first stays. */
static ALWAYS_INLINE bool G(beats)(T v, T best, bool largest) { return (largest ? v > best : v < best) | (v != v); }

/* The best of n >= 1 adjacent terms. Which of several NaN it is does not matter. */
static ALWAYS_INLINE T G(best_of_row)(const T *a, int64_t n, bool largest) {
  T lane[LANES], best = a[0];
  int64_t r = 0;
  if (n >= LANES) {
    for (int l = 0; l < LANES; l++) lane[l] = a[l];
    for (r = LANES; r + LANES <= n; r += LANES)
      for (int l = 0; l < LANES; l++) lane[l] = G(beats)(a[r + l], lane[l], largest) ? a[r + l] : lane[l];
    for (int l = 0; l < LANES; l++) best = G(beats)(lane[l], best, largest) ? lane[l] : best;
  }
  for (; r < n; r++) best = G(beats)(a[r], best, largest) ? a[r] : best;
  return best;
}

/* ---- the element: amax, amin ------------------------------------------------------------------------------------- */

/* best[i] = the best of column i. */
static ALWAYS_INLINE void G(best_of_columns)(const reduction *p, const T *a, int64_t columns, T *best, bool largest) {
  const bool even = p->reduced.rank <= 1; /* rows lie at equal distances */
  const int64_t rows = p->reduced.count, step = p->reduced.rank ? p->reduced.stride[0] : 0;
  for (int64_t i = 0; i < columns; i++) best[i] = a[i];
  for (int64_t r = 1; r < rows; r++) {
    const T *row = a + (even ? r * step : reduced_offset(p, r));
#pragma GCC ivdep
    for (int64_t i = 0; i < columns; i++) best[i] = G(beats)(row[i], best[i], largest) ? row[i] : best[i];
  }
}

static NOINLINE void G(largest_of_columns)(const reduction *p, const T *a, int64_t columns, T *best) {
  G(best_of_columns)(p, a, columns, best, true);
}
static NOINLINE void G(smallest_of_columns)(const reduction *p, const T *a, int64_t columns, T *best) {
  G(best_of_columns)(p, a, columns, best, false);
}

static ALWAYS_INLINE T G(best_of_terms)(const reduction *p, const T *a, bool largest) {
  T best = a[0];
  for (int64_t r = 1; r < p->reduced.count; r++) {
    const T v = a[reduced_offset(p, r)];
    if (G(beats)(v, best, largest)) best = v;
  }
  return best;
}

static void G(extremes)(const reduction *p, const void *from, void *to, bool largest) {
  const T *x = from;
  T *o = to;
  const int64_t n = p->reduced.count;
  const int team = ms_team(reduction_work(p));
  if (is_columns(p)) {
    const int64_t columns = columns_of(p);
    MS_PARALLEL(team, row, p->kept.count / columns, {
      const T *a = x + columns_offset(p, row);
      if (largest) G(largest_of_columns)(p, a, columns, o + row * columns);
      else G(smallest_of_columns)(p, a, columns, o + row * columns);
    });
  } else if (is_one_row(p)) {
    MS_PARALLEL(team, k, p->kept.count, {
      const T *a = x + kept_offset(p, k);
      o[k] = largest ? G(best_of_row)(a, n, true) : G(best_of_row)(a, n, false);
    });
  } else {
    MS_PARALLEL(team, k, p->kept.count, {
      const T *a = x + kept_offset(p, k);
      o[k] = largest ? G(best_of_terms)(p, a, true) : G(best_of_terms)(p, a, false);
    });
  }
}

/* ---- its position: argmax, argmin; one dimension is reduced ------------------------------------------------------ */

/* at[i] = where the best of column i is; columns <= COLUMN_BLOCK. */
static ALWAYS_INLINE void G(positions_in_columns)(const reduction *p, const T *a, int64_t columns, int64_t *at, bool largest) {
  const int64_t step = p->reduced.rank ? p->reduced.stride[0] : 0;
  T best[COLUMN_BLOCK];
  int32_t where[COLUMN_BLOCK];
  for (int64_t i = 0; i < columns; i++) best[i] = a[i], where[i] = 0;
  for (int64_t r = 1; r < p->reduced.count; r++) {
    const T *row = a + r * step;
    for (int64_t i = 0; i < columns; i++) {
      const bool better = G(beats)(row[i], best[i], largest) && best[i] == best[i]; /* the first NaN stays */
      best[i] = better ? row[i] : best[i];
      where[i] = better ? (int32_t)r : where[i];
    }
  }
  for (int64_t i = 0; i < columns; i++) at[i] = where[i] + MS_INDEX_BASE;
}

static NOINLINE void G(largest_in_columns)(const reduction *p, const T *a, int64_t columns, int64_t *at) {
  G(positions_in_columns)(p, a, columns, at, true);
}
static NOINLINE void G(smallest_in_columns)(const reduction *p, const T *a, int64_t columns, int64_t *at) {
  G(positions_in_columns)(p, a, columns, at, false);
}

/* Where the first of n adjacent terms is that equals `best` or is NaN; there is one. */
static inline int64_t G(position_of)(T best, const T *a, int64_t n) {
  int64_t r = 0;
  for (int hit = 0; r + LANES <= n; r += LANES) {
    for (int l = 0; l < LANES; l++) hit |= (a[r + l] == best) | (a[r + l] != a[r + l]);
    if (hit) break;
  }
  while (a[r] != best && a[r] == a[r]) r++;
  return r;
}

static ALWAYS_INLINE int64_t G(position_in_terms)(const reduction *p, const T *a, bool largest) {
  T best = a[0];
  int64_t where = 0;
  for (int64_t r = 1; r < p->reduced.count && best == best; r++) {
    const T v = a[reduced_offset(p, r)];
    if (G(beats)(v, best, largest)) best = v, where = r;
  }
  return where;
}

static void G(positions)(const reduction *p, const void *from, void *to, bool largest) {
  const T *x = from;
  int64_t *o = to;
  const int64_t n = p->reduced.count;
  const int team = ms_team(reduction_work(p));
  if (is_columns(p) && n < INT32_MAX) {
    const int64_t columns = columns_of(p), blocks = div_up(columns, COLUMN_BLOCK);
    MS_PARALLEL(team, u, p->kept.count / columns * blocks, {
      const int64_t row = u / blocks, first = u % blocks * COLUMN_BLOCK, m = min_i64(columns - first, COLUMN_BLOCK);
      const T *a = x + columns_offset(p, row) + first;
      if (largest) G(largest_in_columns)(p, a, m, o + row * columns + first);
      else G(smallest_in_columns)(p, a, m, o + row * columns + first);
    });
  } else if (is_one_row(p)) {
    MS_PARALLEL(team, k, p->kept.count, {
      const T *a = x + kept_offset(p, k);
      const T best = largest ? G(best_of_row)(a, n, true) : G(best_of_row)(a, n, false);
      o[k] = G(position_of)(best, a, n) + MS_INDEX_BASE;
    });
  } else {
    MS_PARALLEL(team, k, p->kept.count, {
      const T *a = x + kept_offset(p, k);
      o[k] = (largest ? G(position_in_terms)(p, a, true) : G(position_in_terms)(p, a, false)) + MS_INDEX_BASE;
    });
  }
}
