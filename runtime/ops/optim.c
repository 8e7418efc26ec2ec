/* optim.c -- optimizer updates as operations, so that a step can be recorded like anything else.
 *
 * The list holds `groups` lists of n tensors, one after another: parameters, gradients, states. All are changed in place where they
 * change at all; everything is contiguous, of one dtype and, within a parameter, of one shape. */
#include "core/core.h"

static int lists(ms_infer *s, int first, int64_t groups) {
  int total = s->n_in - first;
  if (groups < 1 || total % groups)
    return ms_fail("%s: %d tensors do not divide into %lld lists", s->op->name, total, (long long)groups), -1;
  int n = total / (int)groups;
  for (int i = 0; i < total; i++) {
    const ms_tensor *p = s->in[first + i % n], *t = s->in[first + i];
    if (t->dtype != p->dtype || t->rank != p->rank || !ms_dtype_is_float(t->dtype))
      return ms_fail("%s: parameter %d is %s, its list %d holds %s", s->op->name, i % n + 1, ms_shape_str(p), i / n + 1,
                     ms_shape_str(t)),
             -1;
    for (int d = 0; d < t->rank; d++)
      if (t->shape[d] != p->shape[d])
        return ms_fail("%s: parameter %d is %s, its list %d holds %s", s->op->name, i % n + 1, ms_shape_str(p), i / n + 1,
                       ms_shape_str(t)),
               -1;
    if (!ms_is_contiguous(t)) return ms_fail("%s: list %d, tensor %d is not contiguous", s->op->name, i / n + 1, i % n + 1), -1;
  }
  return 0;
}

/* groups: 2 = parameters, gradients; 3 = with momentum buffers. */
static int sgd_shape(ms_infer *s) {
  int64_t groups = s->attr[0].i;
  bool momentum = s->attr[2].s.cell || s->attr[2].s.value != 0;
  if (groups != 2 + momentum) return ms_fail("sgd_: %lld lists, expected %d", (long long)groups, 2 + momentum), -1;
  return lists(s, 0, groups);
}
MS_RULE(sgd_, .shape = sgd_shape);

static int adam_shape(ms_infer *s) {
  const ms_tensor *t = s->in[0];
  if (t->dtype != MS_F64 || ms_numel(t) != 1) return ms_fail("adam_: step is %s, expected one f64", ms_shape_str(t)), -1;
  if (s->attr[0].i != 4) return ms_fail("adam_: %lld lists, expected 4", (long long)s->attr[0].i), -1;
  return lists(s, 1, 4);
}
MS_RULE(adam_, .shape = adam_shape);
