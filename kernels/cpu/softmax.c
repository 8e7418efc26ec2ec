/* softmax.c -- softmax and log_softmax along one dimension.
 *
 * x is brought to row-major order first where it is not. Along the last dimension a thread takes a row at a time; along another one
 * it takes up to NEIGHBOURS columns that lie side by side. The order of the additions depends on the shape only. The largest
 * element is subtracted before exp, so nothing overflows. */
#include "move.h"
#include "../math.h"

enum {
  LANES = 16,      /* partial sums of a row, which become one vector (or two) */
  NEIGHBOURS = 256 /* columns at a time: their sums and maxima stay in the first cache */
};

#define T    float
#define G(x) x##_f32
#include "softmax_template.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "softmax_template.h"
#undef T
#undef G

/* Workspace: a copy of x, if x is not contiguous. */
static int prepare(ms_call *c) {
  const ms_view *x = &c->in[0];
  if (!ms_view_contiguous(x)) c->work_bytes = (size_t)ms_view_numel(x) * ms_dtype_size(x->dtype);
  return 0;
}

/* x as r: [outer][n][inner] in row-major order, softmax along n. */
static void rows(const void *x, const ms_view *r, int64_t n, bool logarithm) {
  const int64_t total = ms_view_numel(r);
  MS_PARALLEL(ms_team(total * 8), o, total / n, {
    if (r->dtype == MS_F32) softmax_row_f32((const float *)x + o * n, (float *)r->data + o * n, n, logarithm);
    else softmax_row_f64((const double *)x + o * n, (double *)r->data + o * n, n, logarithm);
  });
}

static void columns(const void *x, const ms_view *r, int64_t n, int64_t inner, bool logarithm) {
  const int64_t total = ms_view_numel(r), blocks = div_up(inner, NEIGHBOURS), outer = total / (n * inner);
  MS_PARALLEL(ms_team(total * 8), k, outer * blocks, {
    const int64_t o = k / blocks, first = (k - o * blocks) * NEIGHBOURS, m = min_i64(inner - first, NEIGHBOURS);
    const int64_t at = o * n * inner + first;
    if (r->dtype == MS_F32) softmax_columns_f32((const float *)x + at, (float *)r->data + at, n, inner, m, logarithm);
    else softmax_columns_f64((const double *)x + at, (double *)r->data + at, n, inner, m, logarithm);
  });
}

static int run(ms_call *c, bool logarithm) {
  const ms_view *r = &c->out[0];
  const int d = (int)c->attr[0].i;
  const void *x = c->in[0].data;
  if (!ms_view_numel(r)) return 0;
  if (c->work) {
    ms_view copy = *r;
    copy.data = c->work;
    move_view(&copy, &c->in[0]);
    x = c->work;
  }
  int64_t inner = 1;
  for (int i = d + 1; i < r->rank; i++) inner *= r->shape[i];
  const int64_t n = r->rank ? r->shape[d] : 1;
  if (inner == 1) rows(x, r, n, logarithm);
  else columns(x, r, n, inner, logarithm);
  return 0;
}

static int softmax_run(ms_call *c) { return run(c, false); }
static int log_softmax_run(ms_call *c) { return run(c, true); }
MS_KERNEL(softmax, .prepare = prepare, .run = softmax_run, .supports = f32_or_f64);
MS_KERNEL(log_softmax, .prepare = prepare, .run = log_softmax_run, .supports = f32_or_f64);
