/* fold_up.c -- fold.c for nearest upsampling before a convolution, and for elementwise operations between the two. */
#include "fold.h"
#include <stdlib.h>

/* Nearest upsampling (or its adjoint) by whole factors: only powers of two are exact in the rule for positions. */
static bool upsampling(const ms_call *c, int64_t *factor) {
  bool back = c->op->id == MS_OP_interpolate_grad;
  if ((!back && c->op->id != MS_OP_interpolate) || c->attr[1].i != 0 || !floats(c)) return false;
  const ms_view *small = back ? &c->out[0] : &c->in[0], *big = back ? &c->in[0] : &c->out[0];
  if (!ms_view_numel(big)) return false;
  for (int i = 0; i < 2; i++) {
    factor[i] = big->shape[2 + i] / small->shape[2 + i];
    if (factor[i] * small->shape[2 + i] != big->shape[2 + i] || (factor[i] & (factor[i] - 1))) return false;
  }
  return factor[0] * factor[1] > 1;
}

static const large *large_of(const fold *f, const ms_rcall *c, int k) {
  int slot = c->slot[k];
  return slot >= 0 && slot < f->n_large && f->large[slot].is && ms_fold_alone(f, c, k) ? &f->large[slot] : NULL;
}

/* F(Ux, w) and W(Ux, g). */
int ms_fold_up(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  bool forward = c->call.op->id == MS_OP_conv2d;
  if (!forward && c->call.op->id != MS_OP_conv2d_weight_grad) return 0;
  const large *u = large_of(f, c, 0);
  if (!u || !floats(&c->call) || (forward && !ms_view_contiguous(&c->call.in[1]))) return 0;
  const ms_view *x = &u->base.view, *y = &c->call.out[0];
  int64_t factor[2] = {c->call.in[0].shape[2] / x->shape[2], c->call.in[0].shape[3] / x->shape[3]};
  plan p;
  if (!ms_fold_make_plan(true, c->attr + !forward, forward ? c->call.in[1].shape + 2 : c->attr[0].v.at, factor, y->dtype, pixels(x),
                         &p))
    return 0;
  ms_ref_view small = u->base, b = ms_rewrite_ref(c, 1), out = ms_rewrite_ref(c, c->call.n_in), wide, sum[2];
  if (!forward) return ms_fold_weight_gradient(f, &p, &b, &small, &out) < 0 ? -1 : ms_fold_replace(f, i);
  if (ms_fold_widen(f, &p, &b, &wide) < 0) return -1;
  sum[0] = out;
  bool bias = !c->call.in[2].absent;
  if (bias && ms_rewrite_temp(&f->w, y->dtype, 4, y->shape, &sum[0]) < 0) return -1;
  if (ms_fold_convolve(f, MS_OP_conv2d_input_grad, &p, y->shape + 2, &small, &wide, NULL, &sum[0]) < 0) return -1;
  if (bias) {
    sum[1] = ms_rewrite_ref(c, 2);
    int64_t n = y->shape[1], stride = sum[1].view.stride[0];
    sum[1] = ms_rewrite_view(&sum[1], 4, (int64_t[]){1, n, 1, 1}, (int64_t[]){n * stride, stride, stride, stride});
    if (ms_rewrite_call(&f->w, MS_OP_add, 2, sum, NULL, &out) < 0) return -1;
  }
  return ms_fold_replace(f, i);
}

/* Do all calls that read the slot take U' of it, by the same factors as call c? */
static bool only_up_back(const fold *f, const ms_rcall *c) {
  int64_t factor[2];
  for (int i = 0; i < f->r->n_call; i++) {
    const ms_rcall *q = &f->r->call[i];
    for (int k = 0; k < q->call.n_in && !f->w.dead[i]; k++)
      if (q->slot[k] == c->slot[0] && (!upsampling(&q->call, factor) || !same_shape(&q->call.out[0], &c->call.out[0])))
        return false;
  }
  return true;
}

/* Bits of the operands that an elementwise row is linear in, together. */
static int linear_in(const ms_op *op) {
  switch (op->id) {
  case MS_OP_relu_grad:
  case MS_OP_tanh_grad:
  case MS_OP_sigmoid_grad:
  case MS_OP_div:
  case MS_OP_neg: return 1;
  case MS_OP_add:
  case MS_OP_sub: return 3;
  case MS_OP_where: return 6;
  default: return 0;
  }
}

/* Operand k of call m for the small image `like`: a number, something without rows and columns, or what U made. false: none. */
static bool small_operand(const fold *f, const ms_rcall *m, int k, const ms_view *like, ms_ref_view *v) {
  *v = ms_rewrite_ref(m, k);
  if (v->view.number) return true;
  const large *u = large_of(f, m, k);
  if (u && same_shape(&m->call.in[k], &m->call.out[0]) && same_shape(&u->base.view, like)) return *v = u->base, true;
  for (int d = 1; d <= 2 && d <= v->view.rank; d++) {
    int64_t *n = &v->view.shape[v->view.rank - d];
    if (*n != 1 && v->view.stride[v->view.rank - d] != 0) return false;
    if (*n != 1) *n = like->shape[4 - d];
  }
  return true;
}

/* What U' is taken of, by call i, if it is needed for that only; NULL: it is not so. */
static const ms_rcall *behind(const fold *f, int i, int64_t *factor) {
  const ms_rcall *c = &f->r->call[i];
  if (c->call.op->id != MS_OP_interpolate_grad || !upsampling(&c->call, factor)) return NULL;
  const ms_rcall *m = ms_fold_maker(f, c, 0);
  return m && ms_fold_holds(f, m, i) && only_up_back(f, c) ? m : NULL;
}

/* U' of what an elementwise call m makes, linear in operands that come from behind: m of their U'. */
int ms_fold_up_back_through(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  int64_t factor[2];
  const ms_rcall *m = behind(f, i, factor);
  if (!m || !(m->call.op->flags & MS_ELEMENTWISE)) return 0;
  const ms_view *small = &c->call.out[0];
  ms_ref_view in[3], out = ms_rewrite_ref(c, 1);
  int mask = linear_in(m->call.op), n = m->call.n_in, found = 0;
  if (m->call.op->id == MS_OP_mul) mask = small_operand(f, m, 0, small, &in[0]) ? 2 : 1;
  if (!mask) return 0;
  for (int k = 0; k < n; k++) {
    const ms_view *v = &m->call.in[k];
    if (!(mask >> k & 1)) {
      if (!small_operand(f, m, k, small, &in[k])) return 0;
    } else if (v->number) {
      if (ms_scalar_cell(m->number[k]) || ms_scalar_value(m->number[k]) != 0) return 0;
    } else if (!same_shape(v, &m->call.out[0]) || v->dtype != small->dtype) return 0;
    else found++;
  }
  if (!found) return 0;
  for (int k = 0; k < n; k++) {
    if (!(mask >> k & 1)) continue;
    ms_ref_view from = in[k] = ms_rewrite_ref(m, k);
    if (from.view.number) continue;
    if (ms_rewrite_temp(&f->w, small->dtype, 4, small->shape, &in[k]) < 0) return -1;
    if (ms_rewrite_call(&f->w, MS_OP_interpolate_grad, 1, &from, c->attr, &in[k]) < 0) return -1;
  }
  if (ms_rewrite_call(&f->w, m->call.op->id, n, in, NULL, &out) < 0 || ms_rewrite_put(&f->w, i, true) < 0) return -1;
  return 1;
}

/* U'I(g, w). */
int ms_fold_up_back(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  int64_t factor[2];
  const ms_rcall *m = behind(f, i, factor);
  if (!m || m->call.op->id != MS_OP_conv2d_input_grad || !ms_view_contiguous(&m->call.in[1])) return 0;
  plan p;
  if (!ms_fold_make_plan(true, m->attr + 1, m->call.in[1].shape + 2, factor, m->call.out[0].dtype, pixels(&c->call.out[0]), &p))
    return 0;
  ms_ref_view g = ms_rewrite_ref(m, 0), w = ms_rewrite_ref(m, 1), out = ms_rewrite_ref(c, 1), wide;
  if (ms_fold_widen(f, &p, &w, &wide) < 0 || ms_fold_convolve(f, MS_OP_conv2d, &p, NULL, &g, &wide, NULL, &out) < 0) return -1;
  return ms_fold_replace(f, i);
}

static int set_large(fold *f, int slot, const ms_ref_view *base) {
  if (slot >= f->n_large) {
    large *p = realloc(f->large, (size_t)f->r->n_slot * sizeof *p);
    if (!p) return ms_fail("compile: out of memory"), -1;
    memset(p + f->n_large, 0, (size_t)(f->r->n_slot - f->n_large) * sizeof *p);
    f->large = p, f->n_large = f->r->n_slot;
  }
  f->large[slot] = (large){true, *base};
  return 0;
}

/* Call i makes something upsampled: by interpolate itself, or elementwise from upsampled operands; then a twin of the call, put
 * before it, makes the base. 1: a call was put; 0; -1: failed. */
int ms_fold_upsampled(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  int n = c->call.n_in;
  int64_t factor[2];
  if (c->call.n_out != 1 || n < 1 || n > 3 || !ms_fold_alone(f, c, n)) return 0;
  if (upsampling(&c->call, factor)) {
    if (c->call.op->id != MS_OP_interpolate || c->slot[0] < 0 || ms_record_changes(f->r, c->slot[0], i, f->r->n_call - 1)) return 0;
    ms_ref_view base = ms_rewrite_ref(c, 0);
    return set_large(f, c->slot[1], &base);
  }
  if (!(c->call.op->flags & MS_ELEMENTWISE) || c->call.out[0].rank != 4) return 0;
  const large *first = NULL;
  ms_ref_view in[3], out;
  for (int k = 0; k < n && !first; k++)
    if (!c->call.in[k].number) first = large_of(f, c, k);
  if (!first) return 0;
  const ms_view like = first->base.view;
  for (int k = 0; k < n; k++)
    if (!small_operand(f, c, k, &like, &in[k])) return 0;
  if (!same_shape(&c->call.out[0], &f->r->call[f->w.fact[first - f->large].made].call.out[0])) return 0;
  if (ms_rewrite_temp(&f->w, c->call.out[0].dtype, 4, like.shape, &out) < 0) return -1;
  if (ms_rewrite_call(&f->w, c->call.op->id, n, in, NULL, &out) < 0 || set_large(f, c->slot[n], &out) < 0) return -1;
  return ms_rewrite_put(&f->w, i, false) < 0 ? -1 : 1;
}
