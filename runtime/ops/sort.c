/* sort.c -- order along a dimension: values and the positions they came from (i64, from MS_INDEX_BASE). Both rows are selections,
 * so the derivative adds each gradient back at its position. */
#include "core/core.h"

static int values_and_positions(ms_infer *s, ms_ints v) {
  return ms_out(s, 0, s->in[0]->dtype, v.n, v.at) < 0 ? -1 : ms_out(s, 1, MS_I64, v.n, v.at);
}

static int sort_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int d = ms_dim(s->attr[0].i, x->rank, "sort");
  if (d < 0) return -1;
  s->attr[0].i = d;
  return values_and_positions(s, ms_sizes(x));
}
static int sort_vjp(ms_vjp *c) {
  return (c->dx[0] = ms_scatter_add(ms_zeros_like(c->x[0]), c->attr[0].i, c->r[1], c->g[0])) ? 0 : -1;
}
MS_RULE(sort, .shape = sort_shape, .vjp = sort_vjp, .keep_out = 2);

static int topk_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int64_t k = s->attr[0].i;
  int d = ms_dim(s->attr[1].i, x->rank, "topk");
  if (d < 0) return -1;
  if (k < 0 || k > x->shape[d])
    return ms_fail("topk: k is %lld, expected 0..%lld, the size of dimension %d of %s", (long long)k, (long long)x->shape[d], d + 1,
                   ms_shape_str(x)),
           -1;
  s->attr[1].i = d;
  ms_ints v = ms_sizes(x);
  v.at[d] = k;
  return values_and_positions(s, v);
}
static int topk_vjp(ms_vjp *c) {
  return (c->dx[0] = ms_scatter_add(ms_zeros_like(c->x[0]), c->attr[1].i, c->r[1], c->g[0])) ? 0 : -1;
}
MS_RULE(topk, .shape = topk_shape, .vjp = topk_vjp, .keep_out = 2);
