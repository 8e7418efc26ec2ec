/* strips_rows.h -- strips.c's sums over rows. A template: the includer defines T (float, double) and G(name) (the name for that
 * type). */

/* Several whole rows at x onto one row of partial sums, ROW_LANES columns at a time, whose sums stay in registers. */
static void G(add_short_rows)(const T *x, int64_t rows, int64_t columns, T *to) {
  for (int64_t c = 0; c < columns; c += ROW_LANES) {
    T sum[ROW_LANES];
    for (int i = 0; i < ROW_LANES; i++) sum[i] = to[c + i];
    for (int64_t r = 0; r < rows; r++)
      for (int i = 0; i < ROW_LANES; i++) sum[i] += x[r * columns + c + i];
    for (int i = 0; i < ROW_LANES; i++) to[c + i] = sum[i];
  }
}

/* Elements from .. from+n-1 of the space, at x, onto their columns, in the row of partial sums that their rows share. */
static void G(add_rows)(const program *g, const T *x, int64_t from, int64_t n) {
  int64_t row = from / g->columns, column = from - row * g->columns;
  while (n > 0) {
    T *to = (T *)g->partial + row / SUM_BLOCK_ROWS * g->columns + column;
    const int64_t rows = min_i64(n / g->columns, SUM_BLOCK_ROWS - row % SUM_BLOCK_ROWS);
    if (column == 0 && rows > 1 && g->columns % ROW_LANES == 0) {
      G(add_short_rows)(x, rows, g->columns, to);
      x += rows * g->columns, n -= rows * g->columns, row += rows;
      continue;
    }
    const int64_t m = min_i64(g->columns - column, n);
    for (int64_t i = 0; i < m; i++) to[i] += x[i];
    x += m, n -= m, row++, column = 0;
  }
}

/* The partial sums of all blocks of rows, added up in order. */
static void G(finish_rows)(const program *g, T *out) {
  const int64_t blocks = div_up(g->numel / g->columns, SUM_BLOCK_ROWS);
  for (int64_t i = 0; i < g->columns; i++) {
    double wide = 0;
    for (int64_t b = 0; b < blocks; b++) wide += (double)((const T *)g->partial)[b * g->columns + i];
    out[i] = (T)(wide * g->scale);
  }
}
