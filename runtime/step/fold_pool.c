/* fold_pool.c -- fold.c for average pooling behind a convolution. */
#include "fold.h"

/* A pooling (attributes from `a` on: size, stride, padding) of windows that share nothing. */
static bool plain_pooling(const ms_attr *a) {
  for (int i = 0; i < 2; i++)
    if (a[0].v.at[i] != a[1].v.at[i] || a[2].v.at[i] != 0) return false;
  return a[0].v.at[0] * a[0].v.at[1] > 1;
}

/* A F(x, w). */
int ms_fold_pool(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  if (c->call.op->id != MS_OP_avg_pool2d || !plain_pooling(c->attr)) return 0;
  const ms_rcall *m = ms_fold_maker(f, c, 0);
  plan p;
  if (!m || m->call.op->id != MS_OP_conv2d || f->w.fact[c->slot[0]].readers != 1 || !floats(&c->call) || !ms_fold_holds(f, m, i))
    return 0;
  if (!ms_view_contiguous(&m->call.in[1])) return 0;
  if (!ms_fold_make_plan(false, m->attr, m->call.in[1].shape + 2, c->attr[0].v.at, c->call.out[0].dtype, pixels(&c->call.out[0]),
                         &p))
    return 0;
  ms_ref_view x = ms_rewrite_ref(m, 0), w = ms_rewrite_ref(m, 1), bias = ms_rewrite_ref(m, 2), out = ms_rewrite_ref(c, 1), wide;
  if (ms_fold_widen(f, &p, &w, &wide) < 0 || ms_fold_convolve(f, MS_OP_conv2d, &p, NULL, &x, &wide, &bias, &out) < 0) return -1;
  return ms_fold_replace(f, i);
}

/* Can call j, which reads A'g, read g instead? Gives the plan for W and I. */
static bool reads_pooled(const fold *f, const ms_rcall *c, int j, plan *p) {
  const ms_rcall *q = &f->r->call[j];
  const ms_call *d = &q->call;
  int slot = c->slot[1], at = d->op->id == MS_OP_conv2d_weight_grad;
  if (ms_record_changes(f->r, c->slot[0], (int)(c - f->r->call) + 1, j - 1)) return false;
  for (int k = 0; k < d->n_in; k++)
    if ((q->slot[k] == slot) != (k == at)) return false;
  if (!ms_fold_alone(f, q, at) || !same_shape(&d->in[at], &c->call.out[0])) return false;
  const ms_attr *a = q->attr;
  bool rows = false, cols = false;
  switch (d->op->id) {
  case MS_OP_sum:
    for (int k = 0; k < a[0].v.n; k++) rows |= a[0].v.at[k] == 2, cols |= a[0].v.at[k] == 3;
    return rows && cols;
  case MS_OP_conv2d_input_grad:
    if (!ms_view_contiguous(&d->in[1])) return false;
    return ms_fold_make_plan(false, a + 1, d->in[1].shape + 2, c->attr[1].v.at, d->out[0].dtype, pixels(&c->call.in[0]), p);
  case MS_OP_conv2d_weight_grad:
    return ms_fold_make_plan(false, a + 1, a[0].v.at, c->attr[1].v.at, d->out[0].dtype, pixels(&c->call.in[0]), p);
  default: return false;
  }
}

/* W(x, A'g), I(A'g, w), sum of A'g: all that read it, or none. */
int ms_fold_pool_back(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  if (c->call.op->id != MS_OP_avg_pool2d_grad || !plain_pooling(c->attr + 1) || !floats(&c->call) || !ms_fold_alone(f, c, 1))
    return 0;
  plan p;
  int n = 0;
  for (int j = i + 1; j < f->r->n_call; j++)
    for (int k = 0; k < f->r->call[j].call.n_in && !f->w.dead[j]; k++)
      if (f->r->call[j].slot[k] == c->slot[1] && ++n && !reads_pooled(f, c, j, &p)) return 0;
  for (int j = f->r->n_call - 1; j > i && n; j--) { /* from the end: what is put does not move those before */
    const ms_rcall *q = &f->r->call[j];
    bool reads = false;
    c = &f->r->call[i];
    for (int k = 0; k < q->call.n_in && !f->w.dead[j]; k++) reads |= q->slot[k] == c->slot[1];
    if (!reads) continue;
    reads_pooled(f, c, j, &p);
    ms_ref_view g = ms_rewrite_ref(c, 0), a = ms_rewrite_ref(q, 0), out = ms_rewrite_ref(q, q->call.n_in), w, wide;
    int rc;
    if (q->call.op->id == MS_OP_sum) rc = ms_rewrite_call(&f->w, MS_OP_sum, 1, &g, q->attr, &out);
    else if (q->call.op->id == MS_OP_conv2d_weight_grad) rc = ms_fold_weight_gradient(f, &p, &a, &g, &out);
    else {
      w = ms_rewrite_ref(q, 1);
      rc = ms_fold_widen(f, &p, &w, &wide);
      if (rc == 0) rc = ms_fold_convolve(f, MS_OP_conv2d_input_grad, &p, q->attr[0].v.at, &g, &wide, NULL, &out);
    }
    if (rc < 0 || ms_fold_replace(f, j) < 0) return -1;
  }
  return n > 0;
}
