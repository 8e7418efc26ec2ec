/* reduce_sum_template.h -- the sums of reduce.c. A template: the includer defines T (float, double) and G(name) (the name for that
 * type). sum_order.h says in which order they add up. */

/* The sum of n elements, `stride` apart. A chunk goes through LANES partial sums, which are then added pairwise.
 */
static double G(sum_run)(const T *x, int64_t n, int64_t stride) {
  enum { LANES = 128 / sizeof(T) };
  double total = 0;
  for (int64_t c = 0; c < n; c += MS_CHUNK) {
    const T *a = x + c * stride;
    int64_t m = min_i64(n - c, MS_CHUNK), i = 0;
    T lane[LANES] = {0}, rest = 0;
    if (stride == 1)
      for (; i + LANES <= m; i += LANES)
        for (int l = 0; l < LANES; l++) lane[l] += a[i + l];
    else
      for (; i + LANES <= m; i += LANES)
        for (int l = 0; l < LANES; l++) lane[l] += a[(i + l) * stride];
    for (; i < m; i++) rest += a[i * stride];
    for (int w = LANES / 2; w; w /= 2)
      for (int l = 0; l < w; l++) lane[l] += lane[l + w];
    total += (double)(lane[0] + rest);
  }
  return total;
}

/* One result, whose first term is *x. Short runs (a channel of N x C x H x W) are added up several to a chunk. */
static double G(sum_one)(const reduction *p, const T *x) {
  const dim_set *terms = &p->reduced;
  const int last = terms->rank - 1;
  if (last < 0) return terms->count ? (double)*x : 0;
  const int64_t n = terms->shape[last], step = terms->stride[last], runs = n ? terms->count / n : 0;
  double total = 0;
  if (terms->rank == 2 && step == 1 && n && n <= MS_CHUNK) {
    const int64_t together = MS_CHUNK / n, run_step = terms->stride[0];
    for (int64_t r = 0; r < runs; r += together)
      total += G(sums)(SUM_VALUES, x + r * run_step, x, 0, min_i64(runs - r, together), run_step, n, NULL);
    return total;
  }
  for (int64_t r = 0; r < runs; r++) total += G(sum_run)(x + outer_offset(terms, last, r), n, step);
  return total;
}

/* The only result. The groups of a long sum are shared by the threads. */
static double G(sum_all)(const reduction *p, const T *x) {
  const int64_t terms = p->reduced.count, stride = p->reduced.stride[0];
  double group[SUM_GROUPS] = {0}, total = 0;
  if (p->reduced.rank != 1 || sum_groups(terms) == 1) return G(sum_one)(p, x);
  MS_PARALLEL(ms_team(terms), g, SUM_GROUPS, {
    const int64_t from = sum_group_start(terms, g) * MS_CHUNK, to = min_i64(sum_group_start(terms, g + 1) * MS_CHUNK, terms);
    if (from < to) group[g] = G(sum_run)(x + from * stride, to - from, stride);
  });
  for (int g = 0; g < SUM_GROUPS; g++) total += group[g];
  return total;
}

/* sum[i] = rows first .. end-1 of column i, added from top to bottom; n columns from x on. */
static void G(add_rows)(const reduction *p, const T *x, int64_t first, int64_t end, int64_t n, T *restrict sum) {
  const bool even = p->reduced.rank <= 1; /* rows lie at equal distances */
  const int64_t step = p->reduced.rank ? p->reduced.stride[0] : 0;
  int64_t r = first;
  for (int64_t i = 0; i < n; i++) sum[i] = 0;
  if (even)
    for (; r + 4 <= end; r += 4) {
      const T *r0 = x + r * step, *r1 = r0 + step, *r2 = r1 + step, *r3 = r2 + step;
      for (int64_t i = 0; i < n; i++) sum[i] = (((sum[i] + r0[i]) + r1[i]) + r2[i]) + r3[i];
    }
  for (; r < end; r++) {
    const T *row = x + (even ? r * step : reduced_offset(p, r));
    for (int64_t i = 0; i < n; i++) sum[i] += row[i];
  }
}

/* Few columns of many rows: the threads share the blocks of rows. block_sum (workspace): a row of sums for each block. */
static void G(sum_blocks)(const reduction *p, const T *x, T *o, double scale, T *block_sum) {
  const int64_t rows = p->reduced.count, n = p->kept.count, blocks = div_up(rows, SUM_BLOCK_ROWS);
  MS_PARALLEL(ms_team(reduction_work(p)), b, blocks, {
    G(add_rows)(p, x, b * SUM_BLOCK_ROWS, min_i64((b + 1) * SUM_BLOCK_ROWS, rows), n, block_sum + b * n);
  });
  for (int64_t i = 0; i < n; i++) {
    double total = 0;
    for (int64_t b = 0; b < blocks; b++) total += (double)block_sum[b * n + i];
    o[i] = (T)(total * scale);
  }
}

/* n <= COLUMN_BLOCK columns, all rows. */
static void G(sum_columns)(const reduction *p, const T *x, int64_t n, T *o, double scale) {
  const int64_t rows = p->reduced.count;
  T block_sum[COLUMN_BLOCK];
  double total[COLUMN_BLOCK];
  for (int64_t i = 0; i < n; i++) total[i] = 0;
  for (int64_t r = 0; r < rows; r += SUM_BLOCK_ROWS) {
    G(add_rows)(p, x, r, min_i64(r + SUM_BLOCK_ROWS, rows), n, block_sum);
    for (int64_t i = 0; i < n; i++) total[i] += (double)block_sum[i];
  }
  for (int64_t i = 0; i < n; i++) o[i] = (T)(total[i] * scale);
}

/* o[k] = scale times the sum of the terms of k. block_sum: the workspace that prepare_sum asked for, or NULL. */
static void G(sum)(const reduction *p, const void *from, void *to, double scale, void *block_sum) {
  const T *x = from;
  T *o = to;
  if (block_sum) {
    G(sum_blocks)(p, x, o, scale, block_sum);
  } else if (is_columns(p)) {
    const int64_t n = columns_of(p), blocks = div_up(n, COLUMN_BLOCK), rows = p->kept.count / n;
    MS_PARALLEL(ms_team(reduction_work(p)), u, rows * blocks, {
      const int64_t row = u / blocks, first = u % blocks * COLUMN_BLOCK;
      G(sum_columns)(p, x + columns_offset(p, row) + first, min_i64(n - first, COLUMN_BLOCK), o + row * n + first, scale);
    });
  } else if (p->kept.count == 1) {
    *o = (T)(G(sum_all)(p, x) * scale);
  } else {
    MS_PARALLEL(ms_team(reduction_work(p)), k, p->kept.count, { o[k] = (T)(G(sum_one)(p, x + kept_offset(p, k)) * scale); });
  }
}
