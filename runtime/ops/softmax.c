/* softmax.c -- softmax and log_softmax along a dimension; their derivatives are written in the results. */
#include "core/core.h"

static int softmax_shape(ms_infer *s) {
  const int64_t of_one = s->attr[0].i; /* a tensor of rank 0 counts as one of rank 1 */
  if (!s->in[0]->rank && (of_one == 0 || of_one == -1)) return s->attr[0].i = 0, ms_out_like(s, 0, s->in[0]);
  int d = ms_dim(s->attr[0].i, s->in[0]->rank, s->op->name);
  if (d < 0) return -1;
  s->attr[0].i = d;
  return ms_out_like(s, 0, s->in[0]);
}

static ms_ints dims_of(const ms_vjp *c) { return c->x[0]->rank ? MS_INTS(c->attr[0].i) : (ms_ints){0}; }

static int softmax_vjp(ms_vjp *c) { /* r (g - sum(g r)) */
  ms_tensor *g = c->g[0], *r = c->r[0];
  ms_tensor *s = ms_sum(ms_mul(g, r), dims_of(c), true);
  return (c->dx[0] = ms_mul(r, ms_sub(g, s))) ? 0 : -1;
}
MS_RULE(softmax, .shape = softmax_shape, .vjp = softmax_vjp, .keep_out = 1);

static int log_softmax_vjp(ms_vjp *c) { /* g - exp(r) sum(g) */
  ms_tensor *g = c->g[0];
  ms_tensor *s = ms_sum(g, dims_of(c), true);
  return (c->dx[0] = ms_sub(g, ms_mul(ms_exp(c->r[0]), s))) ? 0 : -1;
}
MS_RULE(log_softmax, .shape = softmax_shape, .vjp = log_softmax_vjp, .keep_out = 1);

ms_tensor *ms_softmax(ms_tensor *x, int64_t dim) { return ms_apply(MS_OP_softmax, MS_IN(x), MS_ATTR(A_INT(dim))); }
ms_tensor *ms_log_softmax(ms_tensor *x, int64_t dim) { return ms_apply(MS_OP_log_softmax, MS_IN(x), MS_ATTR(A_INT(dim))); }
