/* reduce.c -- sums over dimensions, running sums, any and all. reduce.h says how a reduction is laid out, sum_order.h in which
 * order a sum adds up. */
#include "reduce.h"
#include "loops.h"
#include "sum.h"

/* ---- sum, mean --------------------------------------------------------------------------------------------------- */

#define T    float
#define G(x) x##_f32
#include "reduce_sum_template.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "reduce_sum_template.h"
#undef T
#undef G

/* For a chain that ends in a sum over everything (strips.c). */
double MS_NAME(ms_cpu_sum_chunk)(const void *x, bool f32, int64_t n) { return f32 ? sum_run_f32(x, n, 1) : sum_run_f64(x, n, 1); }

double MS_NAME(ms_cpu_sum_chunks)(const double *chunk, int64_t numel) {
  double total = 0;
  for (int64_t g = 0; g < sum_groups(numel); g++) {
    double group = 0;
    for (int64_t c = sum_group_start(numel, g); c < sum_group_start(numel, g + 1); c++) group += chunk[c];
    total += group;
  }
  return total;
}

#pragma GCC diagnostic ignored "-Wtautological-compare" /* v != v of whole numbers: one formula serves all types */
enum { PRODUCTS = 8 };                                  /* partial products of a run */

/* ---- what every dtype has ---------------------------------------------------------------------------------------- */

#define T    float
#define SUM  float
#define WIDE double
#define G(x) x##_f32
#include "reduce_template.h"
#undef T
#undef SUM
#undef G
#define T    double
#define SUM  double
#define G(x) x##_f64
#include "reduce_template.h"
#undef T
#undef SUM
#undef WIDE
#undef G
#define SUM  int64_t
#define WIDE uint64_t
#define T    int64_t
#define G(x) x##_i64
#include "reduce_template.h"
#undef T
#undef G
#define T    int32_t
#define G(x) x##_i32
#include "reduce_template.h"
#undef T
#undef G
#define T    uint8_t
#define G(x) x##_u8
#include "reduce_template.h"
#undef T
#undef G
#undef SUM
#undef WIDE

/* The dtypes of results: what the kernels give. */
static bool natural(const ms_call *c) {
  const uint8_t in = c->in[0].dtype, out = c->out[0].dtype;
  return in == MS_F32 || in == MS_F64 ? out == in : in != MS_F16 && in != MS_BF16 && out == MS_I64;
}
static bool not_half(const ms_call *c) { return c->in[0].dtype != MS_F16 && c->in[0].dtype != MS_BF16; }

/* ---- the kernels ------------------------------------------------------------------------------------------------- */

/* Workspace for G(sum_blocks): where the columns are too few for all threads to have some, and rows are many. */
static int prepare_sum(ms_call *c) {
  const uint8_t dtype = c->in[0].dtype;
  if (dtype != MS_F32 && dtype != MS_F64) return 0;
  const reduction p = make_reduction(&c->in[0], &c->attr[0].v);
  const int64_t columns = p.kept.count, rows = p.reduced.count;
  if (is_columns(&p) && p.kept.rank == 1 && columns <= 4 * COLUMN_BLOCK && rows >= 4 * SUM_BLOCK_ROWS &&
      rows * columns >= 4 * MS_GRAIN)
    c->work_bytes = (size_t)(div_up(rows, SUM_BLOCK_ROWS) * columns) * ms_dtype_size(dtype);
  return 0;
}

static int run_scaled_sum(ms_call *c, bool mean) {
  static void (*const whole[MS_DTYPES])(const reduction *, const void *, int64_t *) = {
      [MS_I64] = sum_whole_i64, [MS_I32] = sum_whole_i32, [MS_U8] = sum_whole_u8, [MS_BOOL] = sum_whole_u8};
  const ms_view *x = &c->in[0];
  const reduction p = make_reduction(x, &c->attr[0].v);
  const double scale = mean ? 1 / (double)p.reduced.count : 1;
  if (!p.kept.count) return 0;
  if (x->dtype == MS_F32) sum_f32(&p, x->data, c->out[0].data, scale, c->work);
  else if (x->dtype == MS_F64) sum_f64(&p, x->data, c->out[0].data, scale, c->work);
  else whole[x->dtype](&p, x->data, c->out[0].data);
  return 0;
}
static int run_sum(ms_call *c) { return run_scaled_sum(c, false); }
static int run_mean(ms_call *c) { return run_scaled_sum(c, true); }
MS_KERNEL(sum, .prepare = prepare_sum, .run = run_sum, .supports = natural);
MS_KERNEL(mean, .prepare = prepare_sum, .run = run_mean, .supports = natural);

static int run_prod(ms_call *c) {
  static void (*const product[MS_DTYPES])(const reduction *, const void *, void *) = BY_DTYPE(product);
  const reduction p = make_reduction(&c->in[0], &c->attr[0].v);
  product[c->in[0].dtype](&p, c->in[0].data, c->out[0].data);
  return 0;
}
MS_KERNEL(prod, .run = run_prod, .supports = natural);

static int run_any_or_all(const ms_call *c, bool any) {
  static void (*const any_or_all[MS_DTYPES])(const reduction *, const void *, uint8_t *, bool) = BY_DTYPE(any_or_all);
  const reduction p = make_reduction(&c->in[0], &c->attr[0].v);
  any_or_all[c->in[0].dtype](&p, c->in[0].data, c->out[0].data, any);
  return 0;
}
static int run_any(ms_call *c) { return run_any_or_all(c, true); }
static int run_all(ms_call *c) { return run_any_or_all(c, false); }
MS_KERNEL(any, .run = run_any, .supports = not_half);
MS_KERNEL(all, .run = run_all, .supports = not_half);

/* Running results: the dimension that is run along, by itself, and elements of the results from one to the next along it. */
typedef struct running {
  reduction p;
  int64_t step, n, after;
} running;

static running running_along(const ms_view *x, int dim) {
  running r = {
      .p = make_reduction(x, &(const ms_ints){.n = 1, .at = {dim}}), .step = x->stride[dim], .n = x->shape[dim], .after = 1};
  for (int i = dim + 1; i < x->rank; i++) r.after *= x->shape[i];
  return r;
}

typedef void (*running_fn)(const reduction *, const void *, int64_t, int64_t, void *, int64_t);
static int run_running(ms_call *c, const running_fn *f) {
  const running r = running_along(&c->in[0], (int)c->attr[0].i);
  f[c->in[0].dtype](&r.p, c->in[0].data, r.step, r.n, c->out[0].data, r.after);
  return 0;
}
static int run_cumsum(ms_call *c) {
  static const running_fn cumsum[MS_DTYPES] = BY_DTYPE(cumsum);
  return run_running(c, cumsum);
}
static int run_cumprod(ms_call *c) {
  static const running_fn cumprod[MS_DTYPES] = BY_DTYPE(cumprod);
  return run_running(c, cumprod);
}
MS_KERNEL(cumsum, .run = run_cumsum, .supports = natural);
MS_KERNEL(cumprod, .run = run_cumprod, .supports = natural);

typedef void (*extreme_fn)(const reduction *, const void *, int64_t, int64_t, void *, int64_t *, int64_t);
static int run_extreme(ms_call *c, const extreme_fn *f) {
  const running r = running_along(&c->in[0], (int)c->attr[0].i);
  f[c->in[0].dtype](&r.p, c->in[0].data, r.step, r.n, c->out[0].data, c->out[1].data, r.after);
  return 0;
}
static int run_cummax(ms_call *c) {
  static const extreme_fn largest_so_far[MS_DTYPES] = BY_DTYPE(largest_so_far);
  return run_extreme(c, largest_so_far);
}
static int run_cummin(ms_call *c) {
  static const extreme_fn smallest_so_far[MS_DTYPES] = BY_DTYPE(smallest_so_far);
  return run_extreme(c, smallest_so_far);
}
MS_KERNEL(cummax, .run = run_cummax, .supports = not_half);
MS_KERNEL(cummin, .run = run_cummin, .supports = not_half);
