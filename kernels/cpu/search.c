/* search.c -- binary search in sorted rows; the order of the rows of a matrix; the positions of triangles. */
#include "grid.h"
#include <string.h>

/* How many elements stand before the first that is not less than v, or (right) that is greater. */
#define TEMPLATE "search_template.h"
#include "each_number.h"
#undef TEMPLATE

#define BY_DTYPE(f)                                                                                                                \
  { [MS_F32] = f##_f32, [MS_F64] = f##_f64, [MS_I64] = f##_i64, [MS_I32] = f##_i32, [MS_U8] = f##_u8, [MS_BOOL] = f##_u8 }

static bool compares(const ms_call *c) { return c->in[0].dtype != MS_F16 && c->in[0].dtype != MS_BF16; }

static int search_run(ms_call *c) {
  typedef int64_t (*search_fn)(const void *sorted, int64_t n, int64_t step, const void *values, int64_t at, bool right);
  static const search_fn search[MS_DTYPES] = BY_DTYPE(search);
  const ms_view *sorted = &c->in[0], *values = &c->in[1];
  const bool one = sorted->rank == 1, right = c->attr[0].i;
  const int last = sorted->rank - 1;
  const int64_t n = sorted->shape[last], step = sorted->stride[last], count = ms_view_numel(values);
  const int64_t row = one ? 1 : values->shape[values->rank - 1]; /* values for each row of sorted */
  const grid rows = grid_of(sorted, 0, last), at = grid_of(values, 0, values->rank);
  const size_t size = ms_dtype_size(sorted->dtype);
  const search_fn f = search[sorted->dtype];
  int64_t *r = c->out[0].data;
  MS_PARALLEL(ms_team(count * 16), k, count, {
    const char *from = (const char *)sorted->data + (one ? 0 : grid_at(&rows, k / row)) * (int64_t)size;
    r[k] = f(from, n, step, values->data, grid_at(&at, k), right) + MS_INDEX_BASE;
  });
  return 0;
}
MS_KERNEL(search, .run = search_run, .supports = compares);

/* Merge sort of the rows' numbers: work holds two lists of them. */
static int row_order_prepare(ms_call *c) { return c->work_bytes = (size_t)c->in[0].shape[0] * 2 * sizeof(int64_t) + 1, 0; }

static int row_order_run(ms_call *c) {
  typedef int (*compare_fn)(const ms_view *x, int64_t a, int64_t b);
  static const compare_fn compare[MS_DTYPES] = BY_DTYPE(compare_rows);
  const ms_view *x = &c->in[0];
  const compare_fn f = compare[x->dtype];
  const int64_t n = x->shape[0];
  int64_t *from = c->work, *to = from + n;
  for (int64_t i = 0; i < n; i++) from[i] = i;
  for (int64_t run = 1; run < n; run *= 2) {
    if (ms_interrupted()) return ms_stopped("unique"), -1;
    for (int64_t a = 0; a < n; a += 2 * run) {
      const int64_t b = min_i64(a + run, n), end = min_i64(b + run, n);
      for (int64_t i = a, j = b, k = a; k < end; k++)
        to[k] = j == end || (i < b && f(x, from[i], from[j]) <= 0) ? from[i++] : from[j++];
    }
    int64_t *swap = from;
    from = to, to = swap;
  }
  for (int64_t i = 0; i < n; i++) ((int64_t *)c->out[0].data)[i] = from[i] + MS_INDEX_BASE;
  return 0;
}
MS_KERNEL(row_order, .prepare = row_order_prepare, .run = row_order_run, .supports = compares);

/* ---- triangles -------------------------------------------------------------------------------------------------- */

static void put_position(const ms_view *r, int64_t at, int64_t v) {
  if (r->dtype == MS_I64) ((int64_t *)r->data)[at] = v + MS_INDEX_BASE;
  else ((int32_t *)r->data)[at] = (int32_t)(v + MS_INDEX_BASE);
}

static int triangle(ms_call *c, bool lower) {
  const ms_view *r = &c->out[0];
  const int64_t rows = c->attr[0].i, cols = c->attr[1].i, offset = c->attr[2].i, n = r->shape[1];
  for (int64_t i = 0, k = 0; i < rows; i++) {
    const int64_t border = min_i64(max_i64(i + offset + lower, 0), cols);
    for (int64_t j = lower ? 0 : border; j < (lower ? border : cols); j++, k++) put_position(r, k, i), put_position(r, n + k, j);
  }
  return 0;
}
static int tril_run(ms_call *c) { return triangle(c, true); }
static int triu_run(ms_call *c) { return triangle(c, false); }
MS_KERNEL(tril_indices, .run = tril_run);
MS_KERNEL(triu_indices, .run = triu_run);
