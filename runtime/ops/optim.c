/* optim.c -- optimizer updates as operations, so that a step can be recorded like anything else.
 *
 * The list holds `groups` lists of n tensors, one after another:
 *
 *     sgd_    parameters, gradients                                            (2 groups: without momentum)
 *             parameters, gradients, momentum buffers, step counts             (4)
 *     adam_   parameters, gradients, first moments, second moments, step counts (5)
 *
 * Within a parameter everything but its count has the parameter's dtype (f32 or f64) and shape; all of it is contiguous. A count is
 * one f64: how many updates this parameter has seen. Parameters join and pause on their own, so each has its own count: Adam's
 * correction and SGD's first, undampened step depend on it. Parameters, states and counts are changed in place. */
#include "core/core.h"

static int state_mismatch(const ms_infer *s, const ms_tensor *p, int i, int list, const ms_tensor *t) {
  return ms_fail("%s: parameter %d is %s, its list %d holds %s", s->op->name, i + 1, ms_shape_str(p), list + 1, ms_shape_str(t)),
         -1;
}

/* Do two contiguous tensors have a byte in common? */
static bool share_bytes(const ms_tensor *a, const ms_tensor *b) {
  if (a->storage != b->storage) return false;
  const size_t size_a = ms_dtype_size(a->dtype), size_b = ms_dtype_size(b->dtype);
  const size_t from_a = (size_t)a->offset * size_a, to_a = from_a + (size_t)ms_numel(a) * size_a;
  const size_t from_b = (size_t)b->offset * size_b, to_b = from_b + (size_t)ms_numel(b) * size_b;
  return from_a < to_b && from_b < to_a;
}

static int lists(ms_infer *s, int groups, bool counts) {
  const int total = s->n_in;
  if (s->attr[0].i != groups)
    return ms_fail("%s: groups: expected %d lists, got %lld", s->op->name, groups, (long long)s->attr[0].i), -1;
  if (total % groups) return ms_fail("%s: %d tensors do not divide into %d lists", s->op->name, total, groups), -1;
  const int n = total / groups;
  for (int i = 0; i < total; i++) {
    const ms_tensor *p = s->in[i % n], *t = s->in[i];
    if (i < n && p->dtype != MS_F32 && p->dtype != MS_F64)
      return ms_fail("%s: parameter %d is %s, expected f32 or f64", s->op->name, i + 1, ms_shape_str(p)), -1;
    if (counts && i / n == groups - 1) {
      if (t->dtype != MS_F64 || ms_numel(t) != 1)
        return ms_fail("%s: the step count of parameter %d is %s, expected one f64", s->op->name, i % n + 1, ms_shape_str(t)), -1;
      continue;
    }
    if (t->dtype != p->dtype || t->rank != p->rank) return state_mismatch(s, p, i % n, i / n, t);
    for (int d = 0; d < t->rank; d++)
      if (t->shape[d] != p->shape[d]) return state_mismatch(s, p, i % n, i / n, t);
    if (!ms_is_contiguous(t)) return ms_fail("%s: list %d, tensor %d is not contiguous", s->op->name, i / n + 1, i % n + 1), -1;
  }
  for (int i = 0; i < n; i++) /* threads would race */
    for (int k = 0; k < i; k++)
      if (share_bytes(s->in[i], s->in[k])) return ms_fail("%s: parameters %d and %d share memory", s->op->name, k + 1, i + 1), -1;
  return 0;
}

static int sgd_shape(ms_infer *s) {
  ms_plain v;
  ms_scalar_constant(s->attr[2].s, &v); /* the optimizer's recordings are by momentum or none (optim/sgd.lua) */
  const bool momentum = v.value != 0;
  return lists(s, momentum ? 4 : 2, momentum);
}
MS_RULE(sgd_, .shape = sgd_shape);

static int adam_shape(ms_infer *s) { return lists(s, 5, true); }
MS_RULE(adam_, .shape = adam_shape);
