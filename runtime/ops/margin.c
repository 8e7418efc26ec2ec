/* margin.c -- losses that are 0 as soon as something is right by a margin. relu(z) below is max(z, 0), slope 0 at 0. */
#include "loss.h"
#include <math.h>

/* z where the targets are `yes`, else 0. */
static ms_tensor *where_is(ms_tensor *t, double yes, ms_tensor *z) { return ms_where(ms_eq(t, ms_number(yes)), z, ms_number(0)); }

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

/* x a distance: x where target is 1, max(margin - x, 0) where it is -1. (Another target counts as both, as in PyTorch.) */
static int hinge_embedding_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *t = c->in[1], *zero = ms_number(0);
  if (ms_equal_shapes(c->op, c->in, 2) < 0) return -1;
  ms_tensor *far = ms_relu(ms_sub(ms_number(ms_decided(c->attr[0].s)), x));
  ms_tensor *each = ms_add(ms_where(ms_eq(t, ms_number(1)), zero, far), ms_where(ms_eq(t, ms_number(-1)), zero, x));
  return ms_give(c, ms_reduced(each, c->attr[1].i));
}
MS_RULE(hinge_embedding_loss, .ref = hinge_embedding_ref);

static int margin_ranking_ref(ms_ref *c) {
  if (ms_equal_shapes(c->op, c->in, 3) < 0) return -1;
  ms_tensor *z = ms_mul(ms_neg(c->in[2]), ms_sub(c->in[0], c->in[1]));
  return ms_give(c, ms_reduced(ms_relu(ms_add(z, ms_number(ms_decided(c->attr[0].s)))), c->attr[1].i));
}
MS_RULE(margin_ranking_loss, .ref = margin_ranking_ref);

/* Rows of x1 and x2 (N x D, or D alone), and one target for each pair: 1 - cos where it is 1, max(cos - margin, 0) where it is -1.
 */
static int cosine_embedding_ref(ms_ref *c) {
  ms_tensor *a = c->in[0], *b = c->in[1], *t = c->in[2], *least = ms_number(1e-12);
  if (ms_equal_shapes(c->op, c->in, 2) < 0) return -1;
  if (a->rank < 1 || a->rank > 2 || t->rank != a->rank - 1 || (t->rank && t->shape[0] != a->shape[0]))
    return ms_fail("cosine_embedding_loss: x1 is %s, target %s; expected N x D and N targets, or D and one", ms_shape_str(a),
                   ms_shape_str(t)),
           -1;
  const ms_ints d = MS_INTS(a->rank - 1);
  ms_tensor *aa = ms_add(ms_sum(ms_square(a), d, false), least), *bb = ms_add(ms_sum(ms_square(b), d, false), least);
  ms_tensor *cos = ms_div(ms_sum(ms_mul(a, b), d, false), ms_sqrt(ms_mul(aa, bb)));
  ms_tensor *far = ms_relu(ms_sub(cos, ms_number(ms_decided(c->attr[0].s))));
  return ms_give(c, ms_reduced(ms_add(where_is(t, 1, ms_one_less(cos)), where_is(t, -1, far)), c->attr[1].i));
}
MS_RULE(cosine_embedding_loss, .ref = cosine_embedding_ref);

/* max(d(anchor, positive) - d(anchor, negative) + margin, 0), d the p-norm of the difference + eps along the last dimension; swap:
 * of d(anchor, negative) and d(positive, negative) the smaller. Balntas et al. 2016, "Learning local feature descriptors with
 * triplets". */
static int triplet_ref(ms_ref *c) {
  ms_tensor *a = c->in[0], *yes = c->in[1], *no = c->in[2];
  const double margin = ms_decided(c->attr[0].s), p = ms_decided(c->attr[1].s), eps = ms_decided(c->attr[2].s);
  if (ms_equal_shapes(c->op, c->in, 3) < 0) return -1;
  if (!a->rank) return ms_fail("triplet_margin_loss: anchor is %s, expected vectors along the last dimension", ms_shape_str(a)), -1;
  if (!(margin > 0)) return ms_fail("triplet_margin_loss: margin = %g, expected more than 0", margin), -1;
  ms_tensor *near = ms_distance(a, yes, p, eps, false), *far = ms_distance(a, no, p, eps, false);
  if (c->attr[3].i) far = ms_minimum(far, ms_distance(yes, no, p, eps, false));
  return ms_give(c, ms_reduced(ms_relu(ms_add(ms_sub(near, far), ms_number(margin))), c->attr[4].i));
}
MS_RULE(triplet_margin_loss, .ref = triplet_ref);

/* ---- scores of classes: N x classes and N targets, or classes alone --------------------------------------------- */

/* Both with a first dimension N; `one`: they had none. -1 after ms_fail. each_class: a target is as long as there are classes. */
static int take_scores(const ms_ref *c, bool each_class, ms_tensor **x, ms_tensor **t, bool *one) {
  const int more = each_class;
  *x = c->in[0], *t = c->in[1];
  if ((*t)->dtype != MS_I64 && (*t)->dtype != MS_I32 && (*t)->dtype != MS_U8)
    return ms_fail("%s: target is %s, expected integers (dtype = \"i64\")", c->op->name, ms_shape_str(*t)), -1;
  const int rank = (*x)->rank;
  bool fits = (rank == 1 || rank == 2) && (*t)->rank == rank - 1 + more;
  for (int i = 0; fits && i < (*t)->rank; i++) fits = (*t)->shape[i] == (*x)->shape[i];
  if (!fits)
    return ms_fail("%s: x is %s, target %s; expected N x classes and %s, or without N", c->op->name, ms_shape_str(*x),
                   ms_shape_str(*t), each_class ? "as many labels" : "N labels"),
           -1;
  if ((*one = rank == 1)) *x = ms_unsqueeze(*x, 0), *t = ms_unsqueeze(*t, 0);
  return *x && *t ? 0 : -1;
}

static int give_samples(ms_ref *c, ms_tensor *each, bool one, int64_t reduction) {
  return ms_give(c, ms_reduced(one ? ms_squeeze(each, MS_INTS(0)) : each, reduction));
}

/* sum over j that is not the label of max(margin - x[label] + x[j], 0)^p, times the label's weight, over the number of classes. */
static int multi_margin_ref(ms_ref *c) {
  ms_tensor *x, *t, *w = c->in[2];
  bool one;
  const double margin = ms_decided(c->attr[1].s);
  const int64_t p = c->attr[0].i;
  if (take_scores(c, false, &x, &t, &one) < 0) return -1;
  const int64_t classes = x->shape[1];
  if (p != 1 && p != 2) return ms_fail("multi_margin_loss: p = %lld, expected 1 or 2", (long long)p), -1;
  if (w && !(w->rank == 1 && w->shape[0] == classes))
    return ms_fail("multi_margin_loss: weight is %s, expected one for each of %lld classes", ms_shape_str(w), (long long)classes),
           -1;
  ms_tensor *own = ms_picked(c, x, t);
  if (!own) return -1;
  ms_tensor *hot = ms_apply(MS_OP_one_hot, MS_IN(t), MS_ATTR(A_INT(classes), A_INT(MS_BOOL)));
  ms_tensor *z = ms_relu(ms_sub(ms_add(x, ms_number(margin)), ms_unsqueeze(own, 1)));
  if (p == 2) z = ms_square(z);
  if (w) z = ms_mul(z, ms_unsqueeze(ms_index_select(w, 0, t), 1));
  z = ms_sum(ms_where(hot, ms_number(0), z), MS_INTS(1), false);
  return give_samples(c, ms_div(z, ms_number((double)classes)), one, c->attr[2].i);
}
MS_RULE(multi_margin_loss, .ref = multi_margin_ref);

/* A row of target lists labels, up to the first 0. sum over labels y and other classes i of max(1 - (x[y] - x[i]), 0), over the
 * number of classes. Takes N x classes x classes elements. */
static int multilabel_margin_ref(ms_ref *c) {
  ms_tensor *x, *t;
  bool one;
  if (take_scores(c, true, &x, &t, &one) < 0) return -1;
  const int64_t classes = x->shape[1];
  ms_tensor *ends = ms_cast(ms_eq(t, ms_whole_number(0)), MS_I64);
  ms_tensor *listed = ms_eq(ms_apply(MS_OP_cumsum, MS_IN(ends), MS_ATTR(A_INT(1))), ms_whole_number(0)); /* before the first 0 */
  ms_tensor *label = listed ? ms_cast(ms_where(listed, t, ms_whole_number(MS_INDEX_BASE)), MS_I64) : NULL;
  if (!label) return -1;
  const int64_t samples = x->shape[0], lists = samples * classes;
  ms_tensor *repeated = ms_reshape(ms_expand(ms_unsqueeze(x, 1), MS_INTS(samples, classes, classes)), MS_INTS(lists, classes));
  ms_tensor *own = ms_picked(c, repeated, ms_reshape(label, MS_INTS(lists)));
  if (!own) return -1;
  own = ms_reshape(own, MS_INTS(samples, classes));
  ms_tensor *marks = ms_scatter_add(ms_cast(ms_mul(t, ms_whole_number(0)), MS_I64), 1, label, ms_cast(listed, MS_I64));
  ms_tensor *other = ms_eq(marks, ms_whole_number(0)); /* classes that no label names */
  ms_tensor *z = ms_relu(ms_add(ms_sub(ms_unsqueeze(x, 1), ms_unsqueeze(own, 2)), ms_number(1)));
  z = ms_where(ms_logical_and(ms_unsqueeze(listed, 2), ms_unsqueeze(other, 1)), z, ms_number(0));
  z = ms_div(ms_sum(z, MS_INTS(1, 2), false), ms_number((double)classes));
  return give_samples(c, z, one, c->attr[0].i);
}
MS_RULE(multilabel_margin_loss, .ref = multilabel_margin_ref);
