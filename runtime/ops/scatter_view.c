/* scatter_view.c -- what the derivative of a slice needs: zeros, into a view of which x is copied. */
#include "core/core.h"

/* Zeros like result 0 of the call, and x copied into the view of them that `part` makes. */
static int unslice_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int d = ms_dim(s->attr[0].i, x->rank, "unslice");
  int64_t start = s->attr[1].i, step = s->attr[2].i, size = s->attr[3].i;
  if (d < 0) return -1;
  if (start < 0) start += size;
  if (step < 1 || start < 0 || (x->shape[d] && (start >= size || x->shape[d] - 1 > (size - 1 - start) / step)))
    return ms_fail("unslice: %lld elements from %lld on by %lld do not fit into %lld", (long long)x->shape[d], (long long)start + 1,
                   (long long)step, (long long)size),
           -1;
  s->attr[0].i = d, s->attr[1].i = start;
  ms_ints v = ms_sizes(x);
  v.at[d] = size;
  return ms_out(s, 0, x->dtype, v.n, v.at);
}

static int unslice_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *r = c->out[0];
  int64_t d = c->attr[0].i;
  if (!ms_apply(MS_OP_fill_, MS_IN(r), MS_ATTR(A_NUM(0)))) return -1;
  return ms_copy_(ms_slice(r, d, c->attr[1].i, x->shape[d], c->attr[2].i), x) ? 0 : -1;
}

static int unslice_vjp(ms_vjp *c) {
  int64_t d = c->attr[0].i;
  return ms_give_dx(c, ms_slice(c->g[0], d, c->attr[1].i, c->x[0]->shape[d], c->attr[2].i));
}
MS_RULE(unslice, .shape = unslice_shape, .ref = unslice_ref, .vjp = unslice_vjp);

ms_tensor *ms_unslice(ms_tensor *x, int64_t dim, int64_t start, int64_t step, int64_t size) {
  return ms_apply(MS_OP_unslice, MS_IN(x), MS_ATTR(A_INT(dim), A_INT(start), A_INT(step), A_INT(size)));
}
