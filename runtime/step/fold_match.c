/* fold_match.c -- fold.c: the two calls of a rewrite are found, and one is put in their place. */
#include "fold.h"

/* ---- what is seen -------------------------------------------------------------------------------------------------------- */

ms_windows ms_fold_windows(const ms_call *c, int64_t *factor) {
  const bool floats = c->n_out && (c->out[0].dtype == MS_F32 || c->out[0].dtype == MS_F64);
  return floats && c->op->rule->windows ? c->op->rule->windows(c, factor) : MS_WINDOWS_NONE;
}

bool ms_fold_alone(const fold *f, const ms_rcall *c, int k) {
  int slot = c->slot[k];
  if (slot < 0 || f->r->slot[slot].kind != MS_SLOT_INTERNAL || f->rewrite.fact[slot].writes != 1) return false;
  const ms_view *v = ms_rcall_view((ms_rcall *)c, k);
  return !c->offset[k] && ms_view_contiguous(v) && (size_t)ms_view_numel(v) * ms_dtype_size(v->dtype) == f->r->slot[slot].bytes;
}

const ms_rcall *ms_fold_maker(const fold *f, const ms_rcall *c, int k) {
  if (!ms_fold_alone(f, c, k)) return NULL;
  const ms_rcall *m = &f->r->call[f->rewrite.fact[c->slot[k]].made];
  const ms_view *out = &m->call.out[0];
  bool is = m->call.n_out == 1 && m->slot[m->call.n_in] == c->slot[k] && out->dtype == c->call.in[k].dtype;
  return is && same_shape(out, &c->call.in[k]) ? m : NULL;
}

bool ms_fold_holds(const fold *f, const ms_rcall *m, int at) {
  int from = (int)(m - f->r->call);
  for (int k = 0; k < m->call.n_in; k++)
    if (m->slot[k] >= 0 && ms_record_changes(f->r, m->slot[k], from + 1, at - 1)) return false;
  return true;
}

/* Do all calls that read what call c reads do the same to it? */
static bool readers_alike(const fold *f, const ms_rcall *c, const int64_t *factor) {
  int64_t other[2];
  for (int i = 0; i < f->r->n_call; i++) {
    const ms_rcall *q = &f->r->call[i];
    for (int k = 0; k < q->call.n_in && !f->rewrite.dead[i]; k++)
      if (q->slot[k] == c->slot[0] &&
          (q->call.op != c->call.op || ms_fold_windows(&q->call, other) == MS_WINDOWS_NONE || other[0] != factor[0] ||
           other[1] != factor[1] || !same_shape(&q->call.out[0], &c->call.out[0])))
        return false;
  }
  return true;
}

const ms_rcall *ms_fold_resampled(const fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  int64_t factor[2];
  if (ms_fold_windows(&c->call, factor) == MS_WINDOWS_NONE) return NULL;
  const ms_rcall *m = ms_fold_maker(f, c, 0);
  return m && ms_fold_holds(f, m, i) && readers_alike(f, c, factor) ? m : NULL;
}

/* ---- the replacement ----------------------------------------------------------------------------------------------------- */

/* With V: conv is the convolution that w, and maybe a bias, are operands of. */
static int convolve_with_v(fold *f, const fold_rule *rule, folded_conv *p, const ms_slot_view *image, const ms_rcall *conv,
                           const ms_slot_view *out) {
  ms_slot_view w = ms_rewrite_operand(conv, 1), v, bias, sum[2];
  if (ms_fold_make_v(f, p, &w, &v) < 0) return -1;
  const bool has_bias = conv->call.n_in > 2, takes_bias = ms_op_at(rule->becomes)->n_tensor > 2;
  if (has_bias) bias = ms_rewrite_operand(conv, 2);
  if (!has_bias || bias.view.absent || takes_bias)
    return ms_fold_convolve(f, rule->becomes, p, image, &v, has_bias ? &bias : NULL, out);
  const int64_t n = bias.view.shape[0], stride = bias.view.stride[0];
  if (ms_rewrite_temp(&f->rewrite, out->view.dtype, 4, out->view.shape, &sum[0]) < 0) return -1;
  if (ms_fold_convolve(f, rule->becomes, p, image, &v, NULL, &sum[0]) < 0) return -1;
  sum[1] = ms_rewrite_view(&bias, 4, (int64_t[]){1, n, 1, 1}, (int64_t[]){n * stride, stride, stride, stride});
  return ms_rewrite_call(&f->rewrite, ms_fold_addition, 2, sum, NULL, out);
}

/* Put the replacement in the place of the outer call. image: what the inner call got; conv: the convolution, one of the two. */
static int replace(fold *f, const fold_rule *rule, folded_conv *p, const ms_slot_view *image, const ms_rcall *conv, int outer) {
  const ms_rcall *c = &f->r->call[outer];
  ms_slot_view out = ms_rewrite_operand(c, c->call.n_in), other;
  int rc;
  switch (rule->kernel) {
  case FOLD_WITH_V: rc = convolve_with_v(f, rule, p, image, conv, &out); break;
  case FOLD_GRADIENT_OF_V:
    other = ms_rewrite_operand(c, 1 - rule->operand);
    rc = ms_fold_weight_gradient(f, rule->becomes, p, &other, image, &out);
    break;
  default: rc = ms_rewrite_call(&f->rewrite, rule->becomes, 1, image, c->attr, &out);
  }
  if (rc < 0 || ms_rewrite_put(&f->rewrite, outer, true) < 0) return -1;
  f->s->info.folded += rule->kernel != FOLD_NO_KERNEL;
  return 1;
}

int ms_fold_behind(fold *f, const fold_rule *rule, int i) {
  const ms_rcall *c = &f->r->call[i];
  if (c->call.op->id != rule->outer) return 0;
  const ms_rcall *conv = ms_fold_resampled(f, i);
  if (!conv || conv->call.op->id != rule->inner) return 0;
  int64_t factor[2];
  const bool reversed = ms_fold_windows(&c->call, factor) == MS_WINDOWS_SUMMED;
  folded_conv p;
  if (!ms_fold_convolution(f, &conv->call, rule->kernel, reversed, factor, &c->call.out[0], &p)) return 0;
  ms_slot_view image = ms_rewrite_operand(conv, 0);
  return replace(f, rule, &p, &image, conv, i);
}

int ms_fold_reader(fold *f, const fold_rule *rule, int i) {
  const ms_rcall *c = &f->r->call[i];
  if (c->call.op->id != rule->outer) return 0;
  const upsampled *u = ms_fold_upsampled_of(f, c, rule->operand);
  if (!u) return 0;
  const int64_t *large = c->call.in[rule->operand].shape, *small = u->base.view.shape;
  const int64_t factor[2] = {large[2] / small[2], large[3] / small[3]};
  folded_conv p;
  if (!ms_fold_convolution(f, &c->call, rule->kernel, true, factor, &u->base.view, &p)) return 0;
  ms_slot_view image = u->base;
  return replace(f, rule, &p, &image, c, i);
}

/* Does a sum over dimensions sum whole planes? */
static bool sums_planes(const ms_rcall *c) {
  bool rows = false, columns = false;
  for (int k = 0; k < c->attr[0].v.n; k++) rows |= c->attr[0].v.at[k] == 2, columns |= c->attr[0].v.at[k] == 3;
  return rows && columns;
}

static bool reads(const fold *f, int j, int slot) {
  const ms_rcall *q = &f->r->call[j];
  for (int k = 0; k < q->call.n_in && !f->rewrite.dead[j]; k++)
    if (q->slot[k] == slot) return true;
  return false;
}

/* By which rule can call j, which reads the result of c, read its image instead? */
static const fold_rule *rule_of_reader(const fold *f, const ms_rcall *c, int j, folded_conv *p) {
  const ms_rcall *q = &f->r->call[j];
  const fold_rule *rule = NULL;
  int64_t factor[2];
  for (int k = 0; k < ms_fold_n_rules && !rule; k++)
    if (ms_fold_rules[k].inner == c->call.op->id && ms_fold_rules[k].outer == q->call.op->id) rule = &ms_fold_rules[k];
  if (!rule || ms_record_changes(f->r, c->slot[0], (int)(c - f->r->call) + 1, j - 1)) return NULL;
  for (int k = 0; k < q->call.n_in; k++)
    if ((q->slot[k] == c->slot[1]) != (k == rule->operand)) return NULL;
  if (!ms_fold_alone(f, q, rule->operand) || !same_shape(&q->call.in[rule->operand], &c->call.out[0])) return NULL;
  if (rule->kernel == FOLD_NO_KERNEL) return sums_planes(q) ? rule : NULL;
  ms_fold_windows(&c->call, factor);
  return ms_fold_convolution(f, &q->call, rule->kernel, false, factor, &c->call.in[0], p) ? rule : NULL;
}

int ms_fold_all_readers(fold *f, const fold_rule *rule, int i) {
  const ms_rcall *c = &f->r->call[i];
  int64_t factor[2];
  if (c->call.op->id != rule->inner || ms_fold_windows(&c->call, factor) == MS_WINDOWS_NONE || !ms_fold_alone(f, c, 1)) return 0;
  const int slot = c->slot[1];
  folded_conv p;
  int n = 0;
  for (int j = i + 1; j < f->r->n_call; j++)
    if (reads(f, j, slot) && ++n && !rule_of_reader(f, c, j, &p)) return 0;
  for (int j = f->r->n_call - 1; j > i && n; j--) { /* from the end: what is put does not move those before */
    if (!reads(f, j, slot)) continue;
    c = &f->r->call[i];
    const fold_rule *of = rule_of_reader(f, c, j, &p);
    ms_slot_view image = ms_rewrite_operand(c, 0);
    if (replace(f, of, &p, &image, &f->r->call[j], j) < 0) return -1;
  }
  return n > 0;
}
