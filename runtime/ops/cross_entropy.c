/* cross_entropy.c -- losses of classes. nll_loss and cross_entropy as users know them are compositions; what they come down to
 * without options is a row with a kernel each: plain_nll_loss and plain_cross_entropy, of x N x classes and a label for each row.
 */
#include "loss.h"
#include <stdio.h>
#include <string.h>

/* ---- the plain ones: N x classes, N labels ----------------------------------------------------------------------- */

static const char plain[] = "plain_";

ms_tensor *ms_in_name_of(const ms_ref *c, ms_tensor *r) {
  char text[1024];
  if (r || !ms_error()) return r;
  snprintf(text, sizeof text, "%s", ms_error());
  const char *rest = strncmp(text, plain, sizeof plain - 1) ? NULL : strstr(text, ": ");
  if (!rest) return NULL;
  ms_error_clear();
  return ms_fail("%s%s", c->op->name, rest);
}

/* The gradient that arrives at the loss of each row: that of the reduced loss, for a mean over their number. */
static ms_tensor *row_gradient(ms_vjp *c, int64_t rows) {
  return c->attr[0].i == LOSS_MEAN ? ms_mul(c->g[0], ms_number(1 / (double)rows)) : c->g[0];
}

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
static int plain_nll_ref(ms_ref *c) {
  ms_tensor *picked = ms_squeeze(ms_gather(c->in[0], 1, ms_unsqueeze(c->in[1], 1)), MS_INTS(1));
  return (c->out[0] = ms_reduced(ms_neg(picked), c->attr[0].i)) ? 0 : -1;
}
static int nll_vjp(ms_vjp *c) {
  const ms_tensor *x = c->x[0];
  if (!c->need[0]) return 0;
  ms_tensor *hot = ms_apply(MS_OP_one_hot, MS_IN(c->x[1]), MS_ATTR(A_INT(x->shape[1]), A_INT(x->dtype)));
  ms_tensor *g = ms_neg(row_gradient(c, x->shape[0]));
  if (c->attr[0].i == 2) g = ms_unsqueeze(g, 1);
  return (c->dx[0] = ms_mul(hot, g)) ? 0 : -1;
}
MS_RULE(plain_nll_loss, .shape = nll_shape, .ref = plain_nll_ref, .vjp = nll_vjp, .keep_in = 2);

/* nll of log_softmax; its derivative is softmax(x) - one_hot(target), times the gradient of each row */

static int plain_cross_entropy_ref(ms_ref *c) {
  ms_tensor *log = ms_log_softmax(c->in[0], 1);
  return (c->out[0] = ms_apply(MS_OP_plain_nll_loss, MS_IN(log, c->in[1]), MS_ATTR(c->attr[0]))) ? 0 : -1;
}
static int cross_entropy_vjp(ms_vjp *c) {
  ms_tensor *x = c->x[0];
  if (!c->need[0]) return 0;
  ms_tensor *g = ms_expand(row_gradient(c, x->shape[0]), MS_INTS(x->shape[0]));
  return (c->dx[0] = ms_apply(MS_OP_cross_entropy_grad, MS_IN(g, x, c->x[1]), NULL)) ? 0 : -1;
}
MS_RULE(plain_cross_entropy, .shape = nll_shape, .ref = plain_cross_entropy_ref, .vjp = cross_entropy_vjp, .keep_in = 3);

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

ms_tensor *ms_picked(const ms_ref *c, ms_tensor *x, ms_tensor *target) {
  ms_tensor *r = ms_apply(MS_OP_plain_nll_loss, MS_IN(x, target), MS_ATTR(A_INT(LOSS_NONE)));
  return ms_neg(ms_in_name_of(c, r));
}

/* ---- with all options: x is classes, N x classes or N x classes x d1 x ..., target one label for each --------------- */

typedef struct classes_call {
  ms_tensor *x, *target; /* brought to N x classes and N labels */
  ms_tensor *weight;     /* by class, or NULL */
  ms_tensor *counts;     /* bool, N: whether the label is not the one to be ignored; NULL: all count */
  ms_ints sizes;         /* of the target as it was given */
  int64_t reduction;
  double smoothing;
} classes_call;

/* The classes behind the others: N x classes x d1 x .. -> (N d1 ..) x classes. */
static ms_tensor *classes_last(ms_tensor *x, int64_t rows, int64_t classes) {
  if (x->rank == 2) return x;
  if (x->rank > 2) {
    ms_ints order = {.n = x->rank};
    for (int i = 0; i < x->rank; i++) order.at[i] = i == 0 ? 0 : i == x->rank - 1 ? 1 : i + 1;
    x = ms_permute(x, order);
  }
  return ms_reshape(x, MS_INTS(rows, classes));
}

static int check_weight(const ms_ref *c, ms_tensor *weight, int64_t classes) {
  if (!weight || (weight->rank == 1 && weight->shape[0] == classes)) return 0;
  return ms_fail("%s: weight is %s, expected one for each of %lld classes", c->op->name, ms_shape_str(weight), (long long)classes),
         -1;
}

/* The labels of a call of (x, target, weight; reduction, ignore_index, ...), checked. */
static int take_labels(const ms_ref *c, classes_call *l) {
  ms_tensor *x = c->in[0], *t = c->in[1];
  const ms_ints *ignore = &c->attr[1].v;
  const int64_t classes = x->rank > 1 ? x->shape[1] : x->rank ? x->shape[0] : 0;
  if (!x->rank)
    return ms_fail("%s: x is %s, expected N x classes (or classes, or N x classes x ...)", c->op->name, ms_shape_str(x)), -1;
  ms_ints want = {.n = x->rank - 1};
  for (int i = 0, k = 0; i < x->rank; i++)
    if (i != (x->rank > 1)) want.at[k++] = x->shape[i];
  if (t->dtype != MS_I64 && t->dtype != MS_I32 && t->dtype != MS_U8)
    return ms_fail("%s: target is %s, expected integers (dtype = \"i64\")", c->op->name, ms_shape_str(t)), -1;
  bool fits = t->rank == want.n;
  for (int i = 0; fits && i < want.n; i++) fits = t->shape[i] == want.at[i];
  if (!fits)
    return ms_fail(
               "%s: target is %s; for x, %s, expected labels of shape %s: one for each place, the classes being x's dimension %d",
               c->op->name, ms_shape_str(t), ms_shape_str(x), want.n ? ms_sizes_str(want.n, want.at) : "{}", x->rank > 1 ? 2 : 1),
           -1;
  if (ignore->n > 1) return ms_fail("%s: ignore_index: expected one label, got %d", c->op->name, ignore->n), -1;
  *l = (classes_call){.weight = c->in[2], .sizes = want, .reduction = c->attr[0].i};
  if (check_weight(c, l->weight, classes) < 0) return -1;
  const int64_t rows = ms_numel(t);
  l->x = classes_last(x, rows, classes), l->target = t->rank == 1 ? t : ms_reshape(t, MS_INTS(rows));
  if (ignore->n) {
    ms_tensor *ignored = ms_whole_number(ignore->at[0]);
    l->counts = ms_ne(l->target, ignored);
    l->target = ms_where(l->counts, l->target, ms_whole_number(MS_INDEX_BASE)); /* of some class, whose loss is not looked at */
    l->target = ms_cast(l->target, t->dtype);
  }
  return l->x && l->target ? 0 : -1;
}

/* One number for each label, `each`, and the share of each in the mean, `share` (NULL: 1), to the result. */
static ms_tensor *of_labels(const classes_call *l, ms_tensor *each, ms_tensor *share) {
  if (l->reduction == LOSS_NONE) return ms_reshape(each, l->sizes);
  if (l->reduction == LOSS_SUM || !share) return ms_reduced(each, l->reduction);
  return ms_div(ms_sum_all(each), ms_sum_all(share));
}

/* How much each label counts: its class's weight, 0 if it is ignored. NULL: 1 each. */
static ms_tensor *shares(const classes_call *l, int dtype) {
  ms_tensor *w = l->weight ? ms_index_select(l->weight, 0, l->target) : NULL;
  if (!l->counts) return w;
  return w ? ms_where(l->counts, w, ms_number(0)) : ms_cast(l->counts, dtype);
}

/* `each`, weighted if there are weights; 0 where it does not count, whatever it is. */
static ms_tensor *counted(const classes_call *l, ms_tensor *each, ms_tensor *weight) {
  if (weight) each = ms_mul(each, weight);
  return l->counts ? ms_where(l->counts, each, ms_number(0)) : each;
}

static int nll_ref(ms_ref *c) {
  classes_call l;
  if (take_labels(c, &l) < 0) return -1;
  if (!l.weight && !l.counts) {
    const bool flat = c->in[0]->rank == 2 || l.reduction != LOSS_NONE;
    ms_tensor *r = ms_in_name_of(c, ms_apply(MS_OP_plain_nll_loss, MS_IN(l.x, l.target), MS_ATTR(c->attr[0])));
    return ms_give(c, flat ? r : ms_reshape(r, l.sizes));
  }
  ms_tensor *each = ms_picked(c, l.x, l.target); /* checks the labels, too */
  if (!each) return -1;
  ms_tensor *share = shares(&l, l.x->dtype);
  return ms_give(c, of_labels(&l, counted(&l, ms_neg(each), l.weight ? share : NULL), share));
}
MS_RULE(nll_loss, .ref = nll_ref);

/* Target distributions in place of labels: -sum over the classes of weight target log_softmax(x). A mean is over the places. */
static int of_distributions(ms_ref *c, double smoothing) {
  ms_tensor *x = c->in[0], *t = c->in[1], *w = c->in[2];
  const int dim = x->rank > 1;
  if (c->attr[1].v.n)
    return ms_fail("cross_entropy: ignore_index is for labels; target, %s, holds probabilities", ms_shape_str(t)), -1;
  if (check_weight(c, w, x->shape[dim]) < 0) return -1;
  if (smoothing > 0) t = ms_add(ms_mul(t, ms_number(1 - smoothing)), ms_number(smoothing / (double)x->shape[dim]));
  ms_tensor *logs = ms_log_softmax(x, dim);
  if (w) {
    ms_ints sizes = {.n = x->rank};
    for (int i = 0; i < x->rank; i++) sizes.at[i] = i == dim ? x->shape[dim] : 1;
    logs = ms_mul(logs, ms_reshape(w, sizes));
  }
  return ms_give(c, ms_reduced(ms_neg(ms_sum(ms_mul(t, logs), MS_INTS(dim), false)), c->attr[0].i));
}

static int cross_entropy_ref(ms_ref *c) {
  classes_call l;
  ms_tensor *x = c->in[0], *t = c->in[1];
  const double s = ms_decided(c->attr[2].s);
  if (!(s >= 0 && s <= 1)) return ms_fail("cross_entropy: label_smoothing = %g, expected 0..1", s), -1;
  if (x->rank && ms_dtype_is_float(t->dtype) && ms_same_shape(x, t)) return of_distributions(c, s);
  if (take_labels(c, &l) < 0) return -1;
  if (!l.weight && !l.counts && s == 0) {
    const bool flat = x->rank == 2 || l.reduction != LOSS_NONE;
    ms_tensor *r = ms_in_name_of(c, ms_apply(MS_OP_plain_cross_entropy, MS_IN(l.x, l.target), MS_ATTR(c->attr[0])));
    return ms_give(c, flat ? r : ms_reshape(r, l.sizes));
  }
  const double classes = (double)l.x->shape[1];
  ms_tensor *logs = ms_log_softmax(l.x, 1), *each = ms_picked(c, logs, l.target); /* checks the labels, too */
  if (!each) return -1;
  ms_tensor *share = shares(&l, l.x->dtype);
  each = counted(&l, ms_neg(each), l.weight ? share : NULL);
  if (s > 0) { /* s of the target is spread evenly over the classes */
    ms_tensor *even = counted(&l, ms_neg(ms_sum(l.weight ? ms_mul(logs, l.weight) : logs, MS_INTS(1), false)), NULL);
    each = ms_add(ms_mul(each, ms_number(1 - s)), ms_mul(even, ms_number(s / classes)));
  }
  return ms_give(c, of_labels(&l, each, share));
}
MS_RULE(cross_entropy, .ref = cross_entropy_ref);
