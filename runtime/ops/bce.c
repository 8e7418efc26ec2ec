/* bce.c -- losses of yes and no: targets that are probabilities of each element by itself. */
#include "loss.h"

/* Shapes of x, target and what else may be there, from input 2 on: weights that broadcast to x. */
static int yes_no_shape(ms_infer *s) {
  ms_tensor *x = s->in[0];
  if (ms_equal_shapes(s->op, s->in, 2) < 0) return -1;
  for (int i = 2; i < s->n_in; i++) {
    ms_tensor *w = s->in[i];
    bool fits = !w || w->rank <= x->rank;
    for (int k = 1; w && fits && k <= w->rank; k++) {
      const int64_t size = w->shape[w->rank - k];
      fits = size == 1 || size == x->shape[x->rank - k];
    }
    if (!fits)
      return ms_fail("%s: %s is %s, which does not broadcast to x, %s", s->op->name, ms_arg_of(s->op, i)->name, ms_shape_str(w),
                     ms_shape_str(x)),
             -1;
  }
  return s->attr[0].i == LOSS_NONE ? ms_out_like(s, 0, x) : ms_out(s, 0, x->dtype, 0, NULL);
}

/* The gradient that arrives at each element of a loss, before its weight: that of the reduced loss, for a mean over the count. */
static ms_tensor *element_gradient(ms_vjp *c) {
  return c->attr[0].i == LOSS_MEAN ? ms_mul(c->g[0], ms_number(1 / (double)ms_numel(c->x[0]))) : c->g[0];
}

/* ---- bce: -(t log x + (1 - t) log(1 - x)), logarithms kept above -100 and the divisor of the derivative above 1e-12, as PyTorch
 * does. The kernel refuses what is outside 0..1; so that it sees strided tensors and those of half precision too, the reference
 * copies them first. ---- */

static ms_tensor *bounded_log(ms_tensor *x) { return ms_maximum(ms_log(x), ms_number(-100)); }
static ms_tensor *bounded_log_less(ms_tensor *x) { return ms_maximum(ms_log1p(ms_neg(x)), ms_number(-100)); }
static int bce_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *t = c->in[1], *one = ms_number(1);
  if (c->in[2]) {
    ms_tensor *each = ms_apply(MS_OP_bce_loss, MS_IN(x, t, NULL), MS_ATTR(A_INT(LOSS_NONE)));
    return ms_give(c, ms_reduced(ms_mul(each, c->in[2]), c->attr[0].i));
  }
  const int dtype = x->dtype, wide = dtype == MS_F64 ? MS_F64 : MS_F32;
  if (dtype != wide || !ms_is_contiguous(x) || !ms_is_contiguous(t)) {
    if (dtype != wide) x = ms_cast(x, wide), t = ms_cast(t, wide);
    ms_tensor *y = ms_apply(MS_OP_bce_loss, MS_IN(ms_contiguous(x), ms_contiguous(t), NULL), MS_ATTR(c->attr[0]));
    return (c->out[0] = dtype == wide ? y : ms_cast(y, dtype)) ? 0 : -1;
  }
  ms_tensor *a = ms_mul(t, bounded_log(x)), *b = ms_mul(ms_sub(one, t), bounded_log_less(x));
  return ms_give(c, ms_reduced(ms_neg(ms_add(a, b)), c->attr[0].i));
}
static int bce_vjp(ms_vjp *c) {
  ms_tensor *x = c->x[0], *t = c->x[1], *w = c->x[2], *each = element_gradient(c), *g = w ? ms_mul(each, w) : each;
  if (c->need[0]) c->dx[0] = ms_bce_loss_grad(x, t, g);
  if (c->need[1]) c->dx[1] = ms_mul(g, ms_sub(bounded_log_less(x), bounded_log(x)));
  if (w && c->need[2]) {
    ms_tensor *loss = ms_apply(MS_OP_bce_loss, MS_IN(x, t, NULL), MS_ATTR(A_INT(LOSS_NONE)));
    c->dx[2] = ms_sum_to(ms_mul(each, loss), w);
  }
  return ms_error() ? -1 : 0;
}
MS_RULE(bce_loss, .shape = yes_no_shape, .ref = bce_ref, .vjp = bce_vjp, .keep_in = 7);

/* ---- bce_with_logits: softplus(x) - t x. With p, the weight of what should be 1 (pos_weight), a softplus(-x) + (1 - t) x, where
 * a = 1 + (p - 1) t. ---- */

static ms_tensor *positive_factor(ms_tensor *t, ms_tensor *p) { return ms_add(ms_mul(ms_sub(p, ms_number(1)), t), ms_number(1)); }
static ms_tensor *logits_loss(ms_tensor *x, ms_tensor *t, ms_tensor *p) {
  if (!p) return ms_sub(ms_log_one_more(x), ms_mul(t, x));
  return ms_add(ms_mul(positive_factor(t, p), ms_log_one_more(ms_neg(x))), ms_mul(ms_one_less(t), x));
}
static int bce_logits_ref(ms_ref *c) {
  ms_tensor *w = c->in[2], *each = logits_loss(c->in[0], c->in[1], c->in[3]);
  return ms_give(c, ms_reduced(w ? ms_mul(each, w) : each, c->attr[0].i));
}
static int bce_logits_vjp(ms_vjp *c) {
  ms_tensor *x = c->x[0], *t = c->x[1], *w = c->x[2], *p = c->x[3];
  ms_tensor *each = element_gradient(c), *g = w ? ms_mul(each, w) : each;
  if (!p) {
    if (c->need[0]) c->dx[0] = ms_bce_with_logits_grad(x, t, g);
    if (c->need[1]) c->dx[1] = ms_neg(ms_mul(g, x));
  } else {
    ms_tensor *soft = ms_log_one_more(ms_neg(x));
    if (c->need[0]) c->dx[0] = ms_mul(g, ms_sub(ms_one_less(t), ms_mul(positive_factor(t, p), ms_sigmoid(ms_neg(x)))));
    if (c->need[1]) c->dx[1] = ms_mul(g, ms_sub(ms_mul(ms_sub(p, ms_number(1)), soft), x));
    if (c->need[3]) c->dx[3] = ms_sum_to(ms_mul(ms_mul(g, t), soft), p);
  }
  if (w && c->need[2]) c->dx[2] = ms_sum_to(ms_mul(each, logits_loss(x, t, p)), w);
  return ms_error() ? -1 : 0;
}
MS_RULE(bce_with_logits, .shape = yes_no_shape, .ref = bce_logits_ref, .vjp = bce_logits_vjp, .keep_in = 15);

/* ---- focal loss: bce_with_logits, where what is well known already counts less: times (1 - q)^gamma, q the probability given to
 * what is true, and times alpha for what should be 1, 1 - alpha for what should be 0. Lin et al. 2017, "Focal loss for dense object
 * detection"; torchvision's sigmoid_focal_loss. ---- */

static int focal_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *t = c->in[1];
  const double alpha = ms_decided(c->attr[0].s), gamma = ms_decided(c->attr[1].s);
  if (ms_equal_shapes(c->op, c->in, 2) < 0) return -1;
  if (!(alpha >= 0 && alpha <= 1) && alpha != -1)
    return ms_fail("sigmoid_focal_loss: alpha = %g, expected 0..1, or -1 for no such weight", alpha), -1;
  if (!(gamma >= 0)) return ms_fail("sigmoid_focal_loss: gamma = %g, expected 0 or more", gamma), -1;
  /* 1 - q, which keeps its digits near 0: sigmoid(-x) t + sigmoid(x) (1 - t) */
  ms_tensor *doubt = ms_add(ms_mul(ms_sigmoid(ms_neg(x)), t), ms_mul(ms_sigmoid(x), ms_one_less(t)));
  ms_tensor *each = ms_mul(logits_loss(x, t, NULL), ms_pow(doubt, ms_number(gamma)));
  if (alpha >= 0) each = ms_mul(each, ms_add(ms_mul(t, ms_number(2 * alpha - 1)), ms_number(1 - alpha)));
  return ms_give(c, ms_reduced(each, c->attr[2].i));
}
MS_RULE(sigmoid_focal_loss, .ref = focal_ref);

/* ---- several yes and no per sample; yes and no as 1 and -1 ---- */

/* The mean of bce_with_logits over the classes, the last dimension. */
static int multilabel_soft_margin_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *w = c->in[2];
  if (ms_equal_shapes(c->op, c->in, 2) < 0) return -1;
  if (!x->rank) return ms_fail("multilabel_soft_margin_loss: x is %s, expected N x classes or classes", ms_shape_str(x)), -1;
  if (w && !(w->rank == 1 && w->shape[0] == x->shape[x->rank - 1]) && !ms_same_shape(x, w))
    return ms_fail("multilabel_soft_margin_loss: weight is %s, expected one for each class of x, %s", ms_shape_str(w),
                   ms_shape_str(x)),
           -1;
  ms_tensor *each = logits_loss(x, c->in[1], NULL);
  return ms_give(c, ms_reduced(ms_mean(w ? ms_mul(each, w) : each, MS_INTS(x->rank - 1), false), c->attr[0].i));
}
MS_RULE(multilabel_soft_margin_loss, .ref = multilabel_soft_margin_ref);

static int soft_margin_ref(ms_ref *c) {
  if (ms_equal_shapes(c->op, c->in, 2) < 0) return -1;
  return ms_give(c, ms_reduced(ms_log_one_more(ms_neg(ms_mul(c->in[1], c->in[0]))), c->attr[0].i));
}
MS_RULE(soft_margin_loss, .ref = soft_margin_ref);
