/* loss.c -- losses that compare x and target element by element: mse, l1, smooth_l1, huber, and the negative log-likelihoods of
 * distributions: kl_div, gaussian_nll, poisson_nll. */
#include "loss.h"
#include <math.h>

static int pair_shape(ms_infer *s) {
  if (ms_equal_shapes(s->op, s->in, s->in[2] ? 3 : 2) < 0) return -1;
  return s->attr[0].i == LOSS_NONE ? ms_out_like(s, 0, s->in[0]) : ms_out(s, 0, s->in[0]->dtype, 0, NULL);
}

/* ---- mse: (x - t)^2. With weights a mean is the weighted one, divided by the sum of the weights. ---- */

static ms_tensor *weighted_mean(ms_tensor *x, ms_tensor *w) { return ms_div(ms_sum_all(ms_mul(x, w)), ms_sum_all(w)); }
static ms_tensor *weighted(ms_tensor *each, ms_tensor *w, int64_t reduction) {
  if (!w) return ms_reduced(each, reduction);
  return reduction == LOSS_MEAN ? weighted_mean(each, w) : ms_reduced(ms_mul(each, w), reduction);
}

static int mse_ref(ms_ref *c) { return ms_give(c, weighted(ms_square(ms_sub(c->in[0], c->in[1])), c->in[2], c->attr[0].i)); }
static int mse_vjp(ms_vjp *c) {
  ms_tensor *x = c->x[0], *t = c->x[1], *w = c->x[2], *g = c->g[0];
  const bool mean = c->attr[0].i == LOSS_MEAN;
  if (mean) g = w ? ms_div(g, ms_sum_all(w)) : ms_mul(g, ms_number(1 / (double)ms_numel(x)));
  ms_tensor *d = ms_mse_loss_grad(x, t, w ? ms_mul(g, w) : g);
  if (c->need[0]) c->dx[0] = d;
  if (c->need[1]) c->dx[1] = ms_neg(d);
  if (w && c->need[2]) {
    ms_tensor *each = ms_square(ms_sub(x, t));
    c->dx[2] = ms_mul(g, mean ? ms_sub(each, weighted_mean(each, w)) : each);
  }
  return ms_error() ? -1 : 0;
}
MS_RULE(mse_loss, .shape = pair_shape, .ref = mse_ref, .vjp = mse_vjp, .keep_in = 7);

/* ---- l1, smooth_l1, huber ---------------------------------------------------------------------------------------- */

static int l1_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *t = c->in[1], *w = c->in[2];
  if (ms_equal_shapes(c->op, c->in, w ? 3 : 2) < 0) return -1;
  return ms_give(c, weighted(ms_abs(ms_sub(x, t)), w, c->attr[0].i));
}
MS_RULE(l1_loss, .ref = l1_ref);

/* d^2 / 2 where |d| < bend, else bend (|d| - bend / 2): the parabola goes on as its tangent. The parabola gets a d that is bounded,
 * so that its slope is finite where it is not taken. */
static ms_tensor *bent(ms_tensor *d, double bend) {
  ms_tensor *size = ms_abs(d), *near = ms_clamp(d, ms_number(-bend), ms_number(bend));
  return ms_where(ms_lt(size, ms_number(bend)), ms_mul(ms_square(near), ms_number(0.5)),
                  ms_mul(ms_sub(size, ms_number(bend / 2)), ms_number(bend)));
}

static int smooth_l1_ref(ms_ref *c) {
  const double beta = ms_decided(c->attr[1].s);
  if (ms_equal_shapes(c->op, c->in, 2) < 0) return -1;
  if (!(beta >= 0)) return ms_fail("smooth_l1_loss: beta = %g, expected 0 or more", beta), -1;
  ms_tensor *d = ms_sub(c->in[0], c->in[1]);
  return ms_give(c, ms_reduced(beta > 0 ? ms_mul(bent(d, beta), ms_number(1 / beta)) : ms_abs(d), c->attr[0].i));
}
MS_RULE(smooth_l1_loss, .ref = smooth_l1_ref);

/* With weights a mean is that of the weighted elements, as in PyTorch (mse and l1 divide by the sum of the weights). */
static int huber_ref(ms_ref *c) {
  const double delta = ms_decided(c->attr[1].s);
  ms_tensor *w = c->in[2];
  if (ms_equal_shapes(c->op, c->in, w ? 3 : 2) < 0) return -1;
  if (!(delta > 0)) return ms_fail("huber_loss: delta = %g, expected more than 0", delta), -1;
  ms_tensor *each = bent(ms_sub(c->in[0], c->in[1]), delta);
  return ms_give(c, ms_reduced(w ? ms_mul(each, w) : each, c->attr[0].i));
}
MS_RULE(huber_loss, .ref = huber_ref);

/* ---- distributions ----------------------------------------------------------------------------------------------- */

/* t log t, 0 at t = 0. */
static ms_tensor *t_log_t(ms_tensor *t) {
  ms_tensor *none = ms_eq(t, ms_number(0));
  return ms_where(none, ms_number(0), ms_mul(t, ms_log(ms_where(none, ms_number(1), t))));
}

/* x holds logarithms of probabilities, t probabilities or their logarithms. "batchmean": the sum over the first size. */
static int kl_div_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *t = c->in[1];
  const bool batch = c->attr[0].i == 3;
  if (ms_equal_shapes(c->op, c->in, 2) < 0) return -1;
  ms_tensor *each = c->attr[1].i ? ms_mul(ms_exp(t), ms_sub(t, x)) : ms_sub(t_log_t(t), ms_mul(t, x));
  if (!batch) return ms_give(c, ms_reduced(each, c->attr[0].i));
  return ms_give(c, ms_div(ms_sum_all(each), ms_number(x->rank ? (double)x->shape[0] : 1)));
}
MS_RULE(kl_div, .ref = kl_div_ref);

/* var as it goes with x: of its shape, or with one size of 1, or without the last dimension. NULL after ms_fail. */
static ms_tensor *fitting_variance(ms_tensor *x, ms_tensor *var) {
  if (var->is_number) return var;
  int other = 0;
  bool shorter = var->rank == x->rank - 1;
  for (int i = 0; shorter && i < var->rank; i++) shorter = var->shape[i] == x->shape[i];
  if (shorter && !ms_same_shape(x, var)) return ms_unsqueeze(var, var->rank);
  for (int i = 0; var->rank == x->rank && i < x->rank; i++)
    if (var->shape[i] != x->shape[i]) other += var->shape[i] == 1 ? 1 : 2;
  if (var->rank == x->rank && other < 2) return var;
  return ms_fail("gaussian_nll_loss: var is %s, x %s; expected the shape of x, one size of it 1, or without its last dimension",
                 ms_shape_str(var), ms_shape_str(x));
}

/* (log var + (x - t)^2 / var) / 2, var at least eps. As in PyTorch the gradient of a smaller var is that at eps: it grows back. */
static int gaussian_nll_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *t = c->in[1], *var;
  ms_tensor *eps = ms_number(ms_decided(c->attr[1].s));
  if (ms_equal_shapes(c->op, c->in, 2) < 0 || !(var = fitting_variance(x, c->in[2]))) return -1;
  if (var->is_number) {
    const double v = ms_decided(var->number);
    if (!(v >= 0)) return ms_fail("gaussian_nll_loss: var = %g, expected 0 or more", v), -1;
    var = ms_maximum(var, eps);
  } else {
    ms_tensor *risen = ms_add(ms_sub(var, ms_detach(var)), eps), *small = ms_le(var, eps);
    var = ms_where(ms_logical_and(small, ms_ge(var, ms_number(0))), risen, ms_where(small, ms_number(NAN), var));
  }
  ms_tensor *each = ms_mul(ms_add(ms_log(var), ms_div(ms_square(ms_sub(x, t)), var)), ms_number(0.5));
  if (c->attr[0].i) each = ms_add(each, ms_number(0.5 * log(2 * M_PI)));
  return ms_give(c, ms_reduced(each, c->attr[2].i));
}
MS_RULE(gaussian_nll_loss, .ref = gaussian_nll_ref);

/* t! by Stirling, t log t - t + log(2 pi t) / 2, where t > 1; elsewhere 0. */
static ms_tensor *log_factorial(ms_tensor *t) {
  ms_tensor *many = ms_gt(t, ms_number(1)), *n = ms_where(many, t, ms_number(2));
  ms_tensor *half = ms_mul(ms_log(ms_mul(n, ms_number(2 * M_PI))), ms_number(0.5));
  return ms_where(many, ms_add(ms_sub(ms_mul(n, ms_log(n)), n), half), ms_number(0));
}
static int poisson_nll_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *t = c->in[1], *each;
  if (ms_equal_shapes(c->op, c->in, 2) < 0) return -1;
  if (c->attr[0].i) each = ms_sub(ms_exp(x), ms_mul(t, x));
  else each = ms_sub(x, ms_mul(t, ms_log(ms_add(x, ms_number(ms_decided(c->attr[2].s))))));
  if (c->attr[1].i) each = ms_add(each, log_factorial(t));
  return ms_give(c, ms_reduced(each, c->attr[3].i));
}
MS_RULE(poisson_nll_loss, .ref = poisson_nll_ref);
