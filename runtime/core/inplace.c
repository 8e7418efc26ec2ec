/* inplace.c -- what the gate (op.c) asks and does for operations that change a tensor in place: may it be changed, and what becomes
 * of its place in the graph for derivatives. */
#define MS_INSIDE
#include "inplace.h"
#include <string.h>

bool ms_any_needs_grad(int n, ms_tensor *const *in) {
  for (int i = 0; i < n; i++)
    if (in[i] && in[i]->requires_grad) return true;
  return false;
}

int ms_check_overlap(const ms_op *op, const ms_tensor *x) {
  bool seen[MS_MAX_RANK] = {false};
  int64_t span = 1;
  for (int left = ms_is_contiguous(x) || ms_numel(x) < 2 ? 0 : x->rank; left > 0; left--) {
    int k = -1;
    for (int i = 0; i < x->rank; i++)
      if (!seen[i] && (k < 0 || x->stride[i] < x->stride[k])) k = i;
    seen[k] = true;
    if (x->shape[k] == 1) continue;
    if (x->stride[k] < span)
      return ms_fail(
                 "%s: %s is expanded or unfolded: several of its elements are one in memory; clone it before changing it in place",
                 op->name, ms_shape_str(x)),
             -1;
    span += (x->shape[k] - 1) * x->stride[k];
  }
  return 0;
}

int ms_check_mutation(const ms_op *op, int n_in, ms_tensor *const *in) {
  if (ms_grad_enabled() && ms_any_needs_grad(n_in, in))
    return ms_fail("%s: keeps no record for gradients; do it inside ms.no_grad(), or on :detach()ed tensors", op->name), -1;
  for (int i = 0; i < n_in; i++)
    if (in[i] && in[i]->storage && ms_op_changes(op, i) && ms_check_overlap(op, in[i]) < 0) return -1;
  return 0;
}

void ms_mutated(const ms_op *op, int n_in, ms_tensor *const *in) {
  for (int i = 0; i < n_in; i++)
    if (in[i] && in[i]->storage && ms_op_changes(op, i)) in[i]->storage->version++;
}

int ms_functional_of(const ms_op *op) {
  static int16_t known[MS_OP_COUNT]; /* 0: not looked for; else the answer + 2 */
  const size_t n = strlen(op->name) - 1;
  for (int k = 0; !known[op->id] && k < ms_op_count(); k++) {
    const ms_op *f = ms_op_at(k);
    if (strlen(f->name) == n && !memcmp(f->name, op->name, n) && op->name[n] == '_' && f->n_arg == op->n_arg &&
        f->n_tensor == op->n_tensor)
      known[op->id] = (int16_t)(k + 2);
  }
  if (!known[op->id]) known[op->id] = 1;
  return known[op->id] - 2;
}

int ms_keep_apart(int n_in, ms_tensor *const *in, ms_tensor **apart) {
  for (int i = 0; i < n_in; i++) {
    const bool shares = i && in[i] && in[i]->storage && in[i]->storage == in[0]->storage;
    apart[i] = shares ? ms_apply(MS_OP_clone, MS_IN(in[i]), NULL) : in[i];
    if (in[i] && !apart[i]) return -1;
  }
  return 0;
}

int ms_become(const ms_op *op, ms_tensor *x, ms_tensor *y) {
  if (!y || ms_check_overlap(op, x) < 0) return -1;
  if (x->requires_grad && !x->node)
    return ms_fail("%s: a leaf that requires gradients cannot be changed in place; do it inside ms.no_grad()", op->name), -1;
  if (x->is_view)
    return ms_fail("%s: a view cannot be changed in place while gradients are recorded; change what it is a view of", op->name), -1;
  const bool was = ms_set_grad_enabled(false);
  const ms_tensor *same = ms_copy_(x, ms_detach(y));
  ms_set_grad_enabled(was);
  if (!same) return -1;
  if (y->node) y->node->refs++;
  if (x->node) ms_node_release(x->node);
  x->node = y->node, x->out_index = y->out_index, x->requires_grad = y->requires_grad;
  x->storage->graph_version = x->storage->version; /* views made before this know nothing of it */
  return 0;
}

int ms_join_graph(const ms_op *op, int n_in, ms_tensor **converted, const ms_attr *attr, ms_tensor *x) {
  ms_tensor *before = ms_autorelease(ms_alias(x));
  if (!before) return -1;
  before->requires_grad = x->requires_grad;
  before->node = x->node, before->out_index = x->out_index;
  x->node = NULL;
  for (int i = 0; i < n_in; i++)
    if (converted[i] == x) converted[i] = before;
  if (ms_node_record(op, n_in, converted, attr, 1, &x) == 0) return 0;
  if (x->node) ms_node_release(x->node);
  x->node = before->node, x->out_index = before->out_index, x->requires_grad = before->requires_grad;
  before->node = NULL;
  return -1;
}
