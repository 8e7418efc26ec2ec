/* copy.c -- copies, conversions, changes in place. */
#include "core/core.h"

static int shape_of_x(ms_infer *s) { return ms_out_like(s, 0, s->in[0]); }
static int pass_gradient(ms_vjp *c) { return c->dx[0] = c->g[0], 0; }

MS_RULE(contiguous, .shape = shape_of_x, .vjp = pass_gradient);
MS_RULE(clone, .shape = shape_of_x, .vjp = pass_gradient);

ms_tensor *ms_contiguous(ms_tensor *x) {
  if (!x || x->is_number || ms_is_contiguous(x)) return x;
  return ms_apply(MS_OP_contiguous, MS_IN(x), NULL);
}

static int cast_shape(ms_infer *s) { return ms_out(s, 0, (int)s->attr[0].i, s->in[0]->rank, s->in[0]->shape); }
static int cast_vjp(ms_vjp *c) { return (c->dx[0] = ms_cast(c->g[0], c->x[0]->dtype)) ? 0 : -1; }
MS_RULE(cast, .shape = cast_shape, .vjp = cast_vjp);

ms_tensor *ms_cast(ms_tensor *x, int dtype) {
  if (!x || x->is_number || x->dtype == dtype) return x;
  return ms_apply(MS_OP_cast, MS_IN(x), MS_ATTR(A_INT(dtype)));
}

/* src is expanded to x's shape here, so kernels see equal shapes. */
static int copy__shape(ms_infer *s) {
  const ms_tensor *x = s->in[0], *src = s->in[1];
  bool same = x->rank == src->rank;
  for (int i = 0; same && i < x->rank; i++) same = x->shape[i] == src->shape[i];
  return same ? 0 : (ms_fail("copy_: %s does not fit into %s", ms_shape_str(src), ms_shape_str(x)), -1);
}
MS_RULE(copy_, .shape = copy__shape);

ms_tensor *ms_copy_(ms_tensor *x, ms_tensor *src) {
  if (!x || !src) return NULL;
  if (src->is_number) return ms_apply(MS_OP_fill_, MS_IN(x), MS_ATTR((ms_attr){.s = src->number}));
  ms_tensor *fits = ms_expand(ms_cast(src, x->dtype), ms_sizes(x));
  if (fits && fits->storage == x->storage) fits = ms_apply(MS_OP_clone, MS_IN(fits), NULL);
  return ms_apply(MS_OP_copy_, MS_IN(x, fits), NULL);
}

static int fill__shape(ms_infer *s) { return (void)s, 0; }
MS_RULE(fill_, .shape = fill__shape);
