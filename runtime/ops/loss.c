/* loss.c -- losses. Each is written for elements; `reduction` (0 mean, 1 sum, 2 none) says what becomes of them.
 * The derivative of the reduced loss is that of its elements times the arriving gradient over the count. */
#include "core/core.h"

static ms_tensor *reduce(ms_tensor *x, int64_t reduction) {
  return reduction == 0 ? ms_mean_all(x) : reduction == 1 ? ms_sum_all(x) : x;
}

/* The gradient that arrives at each element of the loss: that of the reduced loss, divided by `count` for a mean. */
static ms_tensor *element_gradient(ms_vjp *c, int64_t count, int64_t reduction) {
  return reduction == 0 ? ms_mul(c->g[0], ms_number(1 / (double)count)) : c->g[0];
}

static int pair_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0], *t = s->in[1];
  bool same = x->rank == t->rank;
  for (int i = 0; same && i < x->rank; i++) same = x->shape[i] == t->shape[i];
  if (!same) return ms_fail("%s: x is %s, target %s; expected equal shapes", s->op->name, ms_shape_str(x), ms_shape_str(t)), -1;
  return s->attr[0].i == 2 ? ms_out_like(s, 0, x) : ms_out(s, 0, x->dtype, 0, NULL);
}

/* ---- mse: (x - t)^2 ---------------------------------------------------------------------------------------------- */

static int mse_ref(ms_ref *c) { return (c->out[0] = reduce(ms_square(ms_sub(c->in[0], c->in[1])), c->attr[0].i)) ? 0 : -1; }
static int mse_vjp(ms_vjp *c) {
  ms_tensor *x = c->x[0], *d = ms_mse_loss_grad(x, c->x[1], element_gradient(c, ms_numel(x), c->attr[0].i));
  if (c->need[0]) c->dx[0] = d;
  if (c->need[1]) c->dx[1] = ms_neg(d);
  return d ? 0 : -1;
}
MS_RULE(mse_loss, .shape = pair_shape, .ref = mse_ref, .vjp = mse_vjp, .keep_in = 3);

static int l1_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *t = c->in[1];
  c->n_out = 1;
  for (int i = 0; i < x->rank || x->rank != t->rank; i++)
    if (x->rank != t->rank || x->shape[i] != t->shape[i])
      return ms_fail("l1_loss: x is %s, target %s; expected equal shapes", ms_shape_str(x), ms_shape_str(t)), -1;
  return (c->out[0] = reduce(ms_abs(ms_sub(x, t)), c->attr[0].i)) ? 0 : -1;
}
MS_RULE(l1_loss, .ref = l1_ref);

/* ---- bce: -(t log x + (1 - t) log(1 - x)), logarithms kept above -100 and the divisor of the derivative above 1e-12, as PyTorch
 * does. The kernel refuses what is outside 0..1; so that it sees strided tensors and those of half precision too, the reference
 * copies them first. ---- */

static ms_tensor *bounded_log(ms_tensor *x) { return ms_maximum(ms_log(x), ms_number(-100)); }
static ms_tensor *bounded_log_less(ms_tensor *x) { return ms_maximum(ms_log1p(ms_neg(x)), ms_number(-100)); }
static int bce_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *t = c->in[1], *one = ms_number(1);
  const int dtype = x->dtype, wide = dtype == MS_F64 ? MS_F64 : MS_F32;
  if (dtype != wide || !ms_is_contiguous(x) || !ms_is_contiguous(t)) {
    if (dtype != wide) x = ms_cast(x, wide), t = ms_cast(t, wide);
    ms_tensor *y = ms_apply(MS_OP_bce_loss, MS_IN(ms_contiguous(x), ms_contiguous(t)), MS_ATTR(c->attr[0]));
    return (c->out[0] = dtype == wide ? y : ms_cast(y, dtype)) ? 0 : -1;
  }
  ms_tensor *a = ms_mul(t, bounded_log(x)), *b = ms_mul(ms_sub(one, t), bounded_log_less(x));
  return (c->out[0] = reduce(ms_neg(ms_add(a, b)), c->attr[0].i)) ? 0 : -1;
}
static int bce_vjp(ms_vjp *c) {
  ms_tensor *x = c->x[0], *t = c->x[1], *g = element_gradient(c, ms_numel(x), c->attr[0].i);
  if (c->need[0]) c->dx[0] = ms_bce_loss_grad(x, t, g);
  if (c->need[1]) c->dx[1] = ms_mul(g, ms_sub(bounded_log_less(x), bounded_log(x)));
  return ms_error() ? -1 : 0;
}
MS_RULE(bce_loss, .shape = pair_shape, .ref = bce_ref, .vjp = bce_vjp, .keep_in = 3);

/* softplus(x) - t x */
static int bce_logits_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *t = c->in[1];
  return (c->out[0] = reduce(ms_sub(ms_softplus(x), ms_mul(t, x)), c->attr[0].i)) ? 0 : -1;
}
static int bce_logits_vjp(ms_vjp *c) {
  ms_tensor *x = c->x[0], *g = element_gradient(c, ms_numel(x), c->attr[0].i);
  if (c->need[0]) c->dx[0] = ms_bce_with_logits_grad(x, c->x[1], g);
  if (c->need[1]) c->dx[1] = ms_neg(ms_mul(g, x));
  return ms_error() ? -1 : 0;
}
MS_RULE(bce_with_logits, .shape = pair_shape, .ref = bce_logits_ref, .vjp = bce_logits_vjp, .keep_in = 3);

/* ---- nll --------------------------------------------------------------------------------------------------------- */

static int nll_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0], *t = s->in[1];
  if (x->rank != 2) return ms_fail("%s: x is %s, expected N x classes", s->op->name, ms_shape_str(x)), -1;
  if (t->rank != 1 || t->shape[0] != x->shape[0])
    return ms_fail("%s: target is %s, expected %lld labels, one per row of x", s->op->name, ms_shape_str(t),
                   (long long)x->shape[0]),
           -1;
  s->bound[1] = x->shape[1];
  return ms_out(s, 0, x->dtype, s->attr[0].i == 2, &x->shape[0]);
}
static int nll_ref(ms_ref *c) {
  ms_tensor *picked = ms_squeeze(ms_gather(c->in[0], 1, ms_unsqueeze(c->in[1], 1)), MS_INTS(1));
  return (c->out[0] = reduce(ms_neg(picked), c->attr[0].i)) ? 0 : -1;
}
static int nll_vjp(ms_vjp *c) {
  const ms_tensor *x = c->x[0];
  if (!c->need[0]) return 0;
  ms_tensor *hot = ms_apply(MS_OP_one_hot, MS_IN(c->x[1]), MS_ATTR(A_INT(x->shape[1]), A_INT(x->dtype)));
  ms_tensor *g = ms_neg(element_gradient(c, x->shape[0], c->attr[0].i));
  if (c->attr[0].i == 2) g = ms_unsqueeze(g, 1);
  return (c->dx[0] = ms_mul(hot, g)) ? 0 : -1;
}
MS_RULE(nll_loss, .shape = nll_shape, .ref = nll_ref, .vjp = nll_vjp, .keep_in = 2);

/* ---- cross entropy: nll of log_softmax; its derivative is softmax(x) - one_hot(target), times the gradient of each row ---- */

static int cross_entropy_ref(ms_ref *c) {
  ms_tensor *log = ms_log_softmax(c->in[0], 1);
  return (c->out[0] = ms_apply(MS_OP_nll_loss, MS_IN(log, c->in[1]), MS_ATTR(c->attr[0]))) ? 0 : -1;
}
static int cross_entropy_vjp(ms_vjp *c) {
  ms_tensor *x = c->x[0];
  if (!c->need[0]) return 0;
  ms_tensor *g = ms_expand(element_gradient(c, x->shape[0], c->attr[0].i), MS_INTS(x->shape[0]));
  return (c->dx[0] = ms_apply(MS_OP_cross_entropy_grad, MS_IN(g, x, c->x[1]), NULL)) ? 0 : -1;
}
MS_RULE(cross_entropy, .shape = nll_shape, .ref = cross_entropy_ref, .vjp = cross_entropy_vjp, .keep_in = 3);

static int cross_entropy_grad_shape(ms_infer *s) {
  const ms_tensor *g = s->in[0], *x = s->in[1], *t = s->in[2];
  if (x->rank != 2) return ms_fail("cross_entropy_grad: x is %s, expected N x classes", ms_shape_str(x)), -1;
  for (int i = 0; i < 3; i += 2)
    if (s->in[i]->rank != 1 || s->in[i]->shape[0] != x->shape[0])
      return ms_fail("cross_entropy_grad: g is %s, target %s; expected one value each per row of x, %s", ms_shape_str(g),
                     ms_shape_str(t), ms_shape_str(x)),
             -1;
  s->bound[2] = x->shape[1];
  return ms_out_like(s, 0, x);
}
static int cross_entropy_grad_ref(ms_ref *c) {
  ms_tensor *x = c->in[1];
  ms_tensor *hot = ms_apply(MS_OP_one_hot, MS_IN(c->in[2]), MS_ATTR(A_INT(x->shape[1]), A_INT(x->dtype)));
  return (c->out[0] = ms_mul(ms_sub(ms_softmax(x, 1), hot), ms_unsqueeze(c->in[0], 1))) ? 0 : -1;
}
MS_RULE(cross_entropy_grad, .shape = cross_entropy_grad_shape, .ref = cross_entropy_grad_ref);
