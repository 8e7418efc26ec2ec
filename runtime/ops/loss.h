/* loss.h -- what the files of losses share. A loss is written for elements (or rows, or samples); `reduction` says what becomes of
 * them: 0 mean, 1 sum, 2 none, in the order in which ops.def lists the words. */
#ifndef MS_OPS_LOSS_H
#define MS_OPS_LOSS_H
#include "core/core.h"
#include <math.h>

enum { LOSS_MEAN, LOSS_SUM, LOSS_NONE };

static inline ms_tensor *ms_reduced(ms_tensor *x, int64_t reduction) {
  return reduction == LOSS_MEAN ? ms_mean_all(x) : reduction == LOSS_SUM ? ms_sum_all(x) : x;
}

/* The end of a reference with one result: 0, or -1 if it has failed. */
static inline int ms_give(ms_ref *c, ms_tensor *r) { return c->n_out = 1, (c->out[0] = r) ? 0 : -1; }

static inline bool ms_same_shape(const ms_tensor *a, const ms_tensor *b) {
  bool same = a->rank == b->rank;
  for (int i = 0; same && i < a->rank; i++) same = a->shape[i] == b->shape[i];
  return same;
}

/* Inputs 0 .. n - 1 have equal shapes: 0, or -1 after ms_fail. Broadcasting of a target is a mistake more often than not. */
static inline int ms_equal_shapes(const ms_op *op, ms_tensor *const *in, int n) {
  for (int i = 1; i < n; i++)
    if (!ms_same_shape(in[0], in[i]))
      return ms_fail("%s: %s is %s, %s %s; expected equal shapes", op->name, ms_arg_of(op, 0)->name, ms_shape_str(in[0]),
                     ms_arg_of(op, i)->name, ms_shape_str(in[i])),
             -1;
  return 0;
}

/* log(1 + exp(x)) for all x. */
static inline ms_tensor *ms_log_one_more(ms_tensor *x) { return ms_softplus(x, ms_number(1), ms_number(INFINITY)); }

/* 1 - x */
static inline ms_tensor *ms_one_less(ms_tensor *x) { return ms_sub(ms_number(1), x); }

/* The p-norm of x over dimension d, which goes. */
static inline ms_tensor *ms_norm_over(ms_tensor *x, double p, int64_t d, bool keepdim) {
  return ms_apply(MS_OP_norm, MS_IN(x), MS_ATTR(A_NUM(p), A_INTS(MS_INTS(d)), A_INT(keepdim)));
}

/* cross_entropy.c: x[i][target[i]], one for each row; x: N x classes, target: N labels. NULL after ms_fail, in the name of c. */
ms_tensor *ms_picked(const ms_ref *c, ms_tensor *x, ms_tensor *target);
/* r, or NULL with the message of what has failed told in the name of c: the row that the user has called. */
ms_tensor *ms_in_name_of(const ms_ref *c, ms_tensor *r);
/* similarity.c: the p-norm of a - b + eps over the last dimension. */
ms_tensor *ms_distance(ms_tensor *a, ms_tensor *b, double p, double eps, bool keepdim);
#endif
