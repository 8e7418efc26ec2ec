/* fold.c -- a pass over a recording: convolutions take in the average pooling behind them, or the nearest upsampling before them.
 *
 * With F(x, w), I(g, w), W(x, g) for conv2d and its two adjoints, A for pooling windows of f elements, f apart, U for upsampling by
 * f, A', U' for their adjoints, and w of k taps:
 *     A F(x, w)    = F(x, V)        W(x, A'g)  = v(W(x, g))      V = w spread over k + (f-1)s taps, the mean of f copies, s apart,
 *     I(A'g, w)    = I(g, V)        sum of A'g = sum of g        strides f s, paddings as before
 *     F(Ux, w)     = I(x, V)        W(Ux, g)   = v(W(g, x))      V = w reversed, its channels swapped, the sum of f copies 1 apart,
 *     U'I(g, w)    = F(g, V)                                     stride f, padding k-1 less the one before
 * (v the adjoint of w -> V). V is w times a matrix of constants, v(V) that of V with its transpose. For 3 x 3 taps and f = 2 that
 * is 16 products for 36. Elementwise operations commute with U, and those that are linear in what comes from behind with U', so
 * that they are no obstacle between the two.
 *
 * Nothing is taken away here: a result that nobody reads any more has a dead call. */
#include "rewrite.h"
#include <stdlib.h>
#include <string.h>

typedef struct kernel { /* of a convolution, before and after: two dimensions. No padding bytes: compared as bytes */
  int64_t up, taps[2], factor[2], step[2], dtype;
} kernel;

typedef struct plan { /* the convolution that takes the place of another one */
  kernel k;
  int64_t wide[2];
  ms_attr attr[5]; /* size, for the adjoints only; stride, padding, dilation, groups */
} plan;

typedef struct spread { /* constants: taps x wide taps */
  kernel k;
  ms_ref_view v;
} spread;

typedef struct large { /* what a slot holds is `base` upsampled, element by element */
  bool is;
  ms_ref_view base;
} large;

typedef struct fold {
  ms_step *s;
  ms_record *r;
  ms_rewrite w;
  spread *spread;
  int n_spread;
  large *large; /* by slot, as far as the slots of the recording go, and for twins */
  int n_large;
} fold;

/* ---- what is seen -------------------------------------------------------------------------------------------------------- */

static bool same_shape(const ms_view *a, const ms_view *b) {
  return a->rank == b->rank && !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

/* Is view k of the call all of a slot that one call makes and nobody outside sees? */
static bool alone(const fold *f, const ms_rcall *c, int k) {
  int slot = c->slot[k];
  if (slot < 0 || f->r->slot[slot].kind != MS_SLOT_INTERNAL || f->w.fact[slot].writes != 1) return false;
  const ms_view *v = ms_rcall_view((ms_rcall *)c, k);
  return !c->offset[k] && ms_view_contiguous(v) && (size_t)ms_view_numel(v) * ms_dtype_size(v->dtype) == f->r->slot[slot].bytes;
}

/* The call whose result input k is, element for element; NULL: not that simple. */
static const ms_rcall *maker(const fold *f, const ms_rcall *c, int k) {
  if (!alone(f, c, k)) return NULL;
  const ms_rcall *m = &f->r->call[f->w.fact[c->slot[k]].made];
  const ms_view *out = &m->call.out[0];
  bool is = m->call.n_out == 1 && m->slot[m->call.n_in] == c->slot[k] && out->dtype == c->call.in[k].dtype;
  return is && same_shape(out, &c->call.in[k]) ? m : NULL;
}

/* Do the inputs of call m still hold at call `at` what they held there? */
static bool holds(const fold *f, const ms_rcall *m, int at) {
  int from = (int)(m - f->r->call);
  for (int k = 0; k < m->call.n_in; k++)
    if (m->slot[k] >= 0 && ms_record_changes(f->r, m->slot[k], from + 1, at - 1)) return false;
  return true;
}

static bool floats(const ms_call *c) { return c->out[0].dtype == MS_F32 || c->out[0].dtype == MS_F64; }

/* A pooling (attributes from `a` on: size, stride, padding) of windows that share nothing. */
static bool plain_pooling(const ms_attr *a) {
  for (int i = 0; i < 2; i++)
    if (a[0].v.at[i] != a[1].v.at[i] || a[2].v.at[i] != 0) return false;
  return a[0].v.at[0] * a[0].v.at[1] > 1;
}

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
  return slot >= 0 && slot < f->n_large && f->large[slot].is && alone(f, c, k) ? &f->large[slot] : NULL;
}

/* ---- kernels ------------------------------------------------------------------------------------------------------------- */

enum { MOST_FACTOR = 16 }; /* windows of 4 x 4 */

/* How a convolution (its four attributes at `a`) with a kernel of this height and width takes in pooling or upsampling. pixels: of
 * the small image, in the whole batch. false: it does not, or that would be dearer. */
static bool make_plan(bool up, const ms_attr *a, const int64_t *taps, const int64_t *factor, int dtype, int64_t pixels, plan *p) {
  *p = (plan){.k = {.up = up, .dtype = dtype}};
  int64_t before = 1, after = 1, small = taps[0] * taps[1];
  for (int i = 0; i < 4; i++) p->attr[1 + i] = a[i];
  for (int i = 0; i < 2; i++) {
    int64_t stride = a[0].v.at[i];
    if (a[2].v.at[i] != 1 || a[3].i != 1 || (up && (stride != 1 || a[1].v.at[i] > taps[i] - 1))) return false;
    p->k.taps[i] = taps[i], p->k.factor[i] = factor[i], p->k.step[i] = stride;
    p->wide[i] = taps[i] + (factor[i] - 1) * stride;
    p->attr[1].v.at[i] = stride * factor[i];
    if (up) p->attr[2].v.at[i] = taps[i] - 1 - a[1].v.at[i];
    before *= taps[i] * factor[i], after *= p->wide[i];
  }
  /* V grows with the window, and every pixel reads all of it. */
  if (factor[0] * factor[1] > MOST_FACTOR) return false;
  return after < before && pixels * (before - after) > 2 * small * after;
}

/* The constants by which w becomes V. */
static int spread_of(fold *f, const kernel *k, const int64_t *wide, ms_ref_view *v) {
  for (int i = 0; i < f->n_spread; i++)
    if (!memcmp(&f->spread[i].k, k, sizeof *k)) return *v = f->spread[i].v, 0;
  int64_t shape[2] = {k->taps[0] * k->taps[1], wide[0] * wide[1]};
  double *m = calloc((size_t)(shape[0] * shape[1]), sizeof *m), one = k->up ? 1 : 1.0 / (double)(k->factor[0] * k->factor[1]);
  spread *p = realloc(f->spread, ((size_t)f->n_spread + 1) * sizeof *p);
  if (p) f->spread = p;
  if (!m || !p) return free(m), ms_fail("compile: out of memory"), -1;
  for (int64_t i = 0; i < shape[0] * k->factor[0] * k->factor[1]; i++) {
    int64_t copy = i / shape[0], tap = i % shape[0], y = tap / k->taps[1], x = tap % k->taps[1];
    if (k->up) y = k->taps[0] - 1 - y, x = k->taps[1] - 1 - x;
    y += copy / k->factor[1] * k->step[0], x += copy % k->factor[1] * k->step[1];
    m[tap * shape[1] + y * wide[1] + x] = one;
  }
  int rc = ms_rewrite_constant(&f->w, (int)k->dtype, shape, m, v);
  free(m);
  if (rc == 0) f->spread[f->n_spread++] = (spread){*k, *v};
  return rc;
}

/* V = w times constants. w is O x C x taps, V the same, or (up) C x O. */
static int widen(fold *f, const plan *p, const ms_ref_view *w, ms_ref_view *wide) {
  int64_t o = w->view.shape[0], c = w->view.shape[1], n = p->k.taps[0] * p->k.taps[1], m = p->wide[0] * p->wide[1];
  ms_ref_view in[2], out;
  if (spread_of(f, &p->k, p->wide, &in[1]) < 0) return -1;
  if (p->k.up) in[0] = ms_rewrite_view(w, 3, (int64_t[]){c, o, n}, (int64_t[]){n, c * n, 1});
  else in[0] = ms_rewrite_view(w, 2, (int64_t[]){o * c, n}, NULL);
  int64_t a = p->k.up ? c : o, b = p->k.up ? o : c;
  if (ms_rewrite_temp(&f->w, (int)p->k.dtype, 4, (int64_t[]){a, b, p->wide[0], p->wide[1]}, wide) < 0) return -1;
  if (p->k.up) out = ms_rewrite_view(wide, 3, (int64_t[]){a, b, m}, NULL);
  else out = ms_rewrite_view(wide, 2, (int64_t[]){a * b, m}, NULL);
  return ms_rewrite_call(&f->w, MS_OP_matmul, 2, in, (ms_attr[]){{.i = 0}, {.i = 0}}, &out);
}

/* The adjoint: from what W gives for V to the gradient of w. */
static int narrow(fold *f, const plan *p, const ms_ref_view *wide, const ms_ref_view *dw) {
  int64_t o = dw->view.shape[0], c = dw->view.shape[1], n = p->k.taps[0] * p->k.taps[1], m = p->wide[0] * p->wide[1];
  ms_ref_view in[2], out;
  if (spread_of(f, &p->k, p->wide, &in[1]) < 0) return -1;
  if (p->k.up) {
    in[0] = ms_rewrite_view(wide, 3, (int64_t[]){o, c, m}, (int64_t[]){m, o * m, 1});
    out = ms_rewrite_view(dw, 3, (int64_t[]){o, c, n}, NULL);
  } else {
    in[0] = ms_rewrite_view(wide, 2, (int64_t[]){o * c, m}, NULL);
    out = ms_rewrite_view(dw, 2, (int64_t[]){o * c, n}, NULL);
  }
  return ms_rewrite_call(&f->w, MS_OP_matmul, 2, in, (ms_attr[]){{.i = 0}, {.i = 1}}, &out);
}

/* One of the three with the plan's attributes; size: of the image (I) or of the kernel (W). */
static int convolve(fold *f, int op, plan *p, const int64_t *size, const ms_ref_view *a, const ms_ref_view *b,
                    const ms_ref_view *bias, const ms_ref_view *out) {
  const ms_ref_view none = {.slot = -1, .view.absent = true}, in[3] = {*a, *b, bias ? *bias : none};
  if (op == MS_OP_conv2d) return ms_rewrite_call(&f->w, op, 3, in, p->attr + 1, out);
  p->attr[0].v = (ms_ints){.n = 2, .at = {size[0], size[1]}};
  return ms_rewrite_call(&f->w, op, 2, in, p->attr, out);
}

/* dw = v(W(x, g)). */
static int weight_gradient(fold *f, plan *p, const ms_ref_view *x, const ms_ref_view *g, const ms_ref_view *dw) {
  ms_ref_view wide;
  int64_t shape[4] = {g->view.shape[1], x->view.shape[1], p->wide[0], p->wide[1]};
  if (ms_rewrite_temp(&f->w, (int)p->k.dtype, 4, shape, &wide) < 0) return -1;
  if (convolve(f, MS_OP_conv2d_weight_grad, p, p->wide, x, g, NULL, &wide) < 0) return -1;
  return narrow(f, p, &wide, dw);
}

/* The calls that wait, in the place of call `at`. 1, or -1. */
static int replace(fold *f, int at) {
  f->s->info.folded += f->r->call[at].call.op->id != MS_OP_sum;
  return ms_rewrite_put(&f->w, at, true) < 0 ? -1 : 1;
}

/* ---- pooling. Each gives 1: done, 0: does not apply, -1: failed ---------------------------------------------------------- */

static int64_t pixels(const ms_view *v) { return v->shape[0] * v->shape[2] * v->shape[3]; }

/* A F(x, w). */
static int pool(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  if (c->call.op->id != MS_OP_avg_pool2d || !plain_pooling(c->attr)) return 0;
  const ms_rcall *m = maker(f, c, 0);
  plan p;
  if (!m || m->call.op->id != MS_OP_conv2d || f->w.fact[c->slot[0]].readers != 1 || !floats(&c->call) || !holds(f, m, i)) return 0;
  if (!ms_view_contiguous(&m->call.in[1])) return 0;
  if (!make_plan(false, m->attr, m->call.in[1].shape + 2, c->attr[0].v.at, c->call.out[0].dtype, pixels(&c->call.out[0]), &p))
    return 0;
  ms_ref_view x = ms_rewrite_ref(m, 0), w = ms_rewrite_ref(m, 1), bias = ms_rewrite_ref(m, 2), out = ms_rewrite_ref(c, 1), wide;
  if (widen(f, &p, &w, &wide) < 0 || convolve(f, MS_OP_conv2d, &p, NULL, &x, &wide, &bias, &out) < 0) return -1;
  return replace(f, i);
}

/* Can call j, which reads A'g, read g instead? Gives the plan for W and I. */
static bool reads_pooled(const fold *f, const ms_rcall *c, int j, plan *p) {
  const ms_rcall *q = &f->r->call[j];
  const ms_call *d = &q->call;
  int slot = c->slot[1], at = d->op->id == MS_OP_conv2d_weight_grad;
  if (ms_record_changes(f->r, c->slot[0], (int)(c - f->r->call) + 1, j - 1)) return false;
  for (int k = 0; k < d->n_in; k++)
    if ((q->slot[k] == slot) != (k == at)) return false;
  if (!alone(f, q, at) || !same_shape(&d->in[at], &c->call.out[0])) return false;
  const ms_attr *a = q->attr;
  bool rows = false, cols = false;
  switch (d->op->id) {
  case MS_OP_sum:
    for (int k = 0; k < a[0].v.n; k++) rows |= a[0].v.at[k] == 2, cols |= a[0].v.at[k] == 3;
    return rows && cols;
  case MS_OP_conv2d_input_grad:
    if (!ms_view_contiguous(&d->in[1])) return false;
    return make_plan(false, a + 1, d->in[1].shape + 2, c->attr[1].v.at, d->out[0].dtype, pixels(&c->call.in[0]), p);
  case MS_OP_conv2d_weight_grad:
    return make_plan(false, a + 1, a[0].v.at, c->attr[1].v.at, d->out[0].dtype, pixels(&c->call.in[0]), p);
  default: return false;
  }
}

/* W(x, A'g), I(A'g, w), sum of A'g: all that read it, or none. */
static int pool_back(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  if (c->call.op->id != MS_OP_avg_pool2d_grad || !plain_pooling(c->attr + 1) || !floats(&c->call) || !alone(f, c, 1)) return 0;
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
    else if (q->call.op->id == MS_OP_conv2d_weight_grad) rc = weight_gradient(f, &p, &a, &g, &out);
    else {
      w = ms_rewrite_ref(q, 1);
      rc = widen(f, &p, &w, &wide);
      if (rc == 0) rc = convolve(f, MS_OP_conv2d_input_grad, &p, q->attr[0].v.at, &g, &wide, NULL, &out);
    }
    if (rc < 0 || replace(f, j) < 0) return -1;
  }
  return n > 0;
}

/* ---- upsampling ---------------------------------------------------------------------------------------------------------- */

/* F(Ux, w) and W(Ux, g). */
static int up(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  bool forward = c->call.op->id == MS_OP_conv2d;
  if (!forward && c->call.op->id != MS_OP_conv2d_weight_grad) return 0;
  const large *u = large_of(f, c, 0);
  if (!u || !floats(&c->call) || (forward && !ms_view_contiguous(&c->call.in[1]))) return 0;
  const ms_view *x = &u->base.view, *y = &c->call.out[0];
  int64_t factor[2] = {c->call.in[0].shape[2] / x->shape[2], c->call.in[0].shape[3] / x->shape[3]};
  plan p;
  if (!make_plan(true, c->attr + !forward, forward ? c->call.in[1].shape + 2 : c->attr[0].v.at, factor, y->dtype, pixels(x), &p))
    return 0;
  ms_ref_view small = u->base, b = ms_rewrite_ref(c, 1), out = ms_rewrite_ref(c, c->call.n_in), wide, sum[2];
  if (!forward) return weight_gradient(f, &p, &b, &small, &out) < 0 ? -1 : replace(f, i);
  if (widen(f, &p, &b, &wide) < 0) return -1;
  sum[0] = out;
  bool bias = !c->call.in[2].absent;
  if (bias && ms_rewrite_temp(&f->w, y->dtype, 4, y->shape, &sum[0]) < 0) return -1;
  if (convolve(f, MS_OP_conv2d_input_grad, &p, y->shape + 2, &small, &wide, NULL, &sum[0]) < 0) return -1;
  if (bias) {
    sum[1] = ms_rewrite_ref(c, 2);
    int64_t n = y->shape[1], stride = sum[1].view.stride[0];
    sum[1] = ms_rewrite_view(&sum[1], 4, (int64_t[]){1, n, 1, 1}, (int64_t[]){n * stride, stride, stride, stride});
    if (ms_rewrite_call(&f->w, MS_OP_add, 2, sum, NULL, &out) < 0) return -1;
  }
  return replace(f, i);
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
  const ms_rcall *m = maker(f, c, 0);
  return m && holds(f, m, i) && only_up_back(f, c) ? m : NULL;
}

/* U' of what an elementwise call m makes, linear in operands that come from behind: m of their U'. */
static int up_back_through(fold *f, int i) {
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
      if (m->number[k].cell || m->number[k].value != 0) return 0;
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
static int up_back(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  int64_t factor[2];
  const ms_rcall *m = behind(f, i, factor);
  if (!m || m->call.op->id != MS_OP_conv2d_input_grad || !ms_view_contiguous(&m->call.in[1])) return 0;
  plan p;
  if (!make_plan(true, m->attr + 1, m->call.in[1].shape + 2, factor, m->call.out[0].dtype, pixels(&c->call.out[0]), &p)) return 0;
  ms_ref_view g = ms_rewrite_ref(m, 0), w = ms_rewrite_ref(m, 1), out = ms_rewrite_ref(c, 1), wide;
  if (widen(f, &p, &w, &wide) < 0 || convolve(f, MS_OP_conv2d, &p, NULL, &g, &wide, NULL, &out) < 0) return -1;
  return replace(f, i);
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
static int upsampled(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  int n = c->call.n_in;
  int64_t factor[2];
  if (c->call.n_out != 1 || n < 1 || n > 3 || !alone(f, c, n)) return 0;
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

/* ---- the pass ------------------------------------------------------------------------------------------------------------ */

static int sweep(fold *f, int (*pattern)(fold *, int)) {
  int n = 0;
  for (int i = 0; i < f->r->n_call; i++) {
    int done = f->w.dead[i] ? 0 : pattern(f, i);
    if (done < 0 || (done && ms_rewrite_look(&f->w) < 0)) return -1;
    n += done;
  }
  return n;
}

static int run(fold *f) {
  static int (*const pattern[])(fold *, int) = {pool, pool_back, up, up_back};
  if (ms_rewrite_look(&f->w) < 0) return -1;
  for (int i = 0; i < f->r->n_call; i++) {
    int done = upsampled(f, i);
    if (done < 0 || (done && ms_rewrite_look(&f->w) < 0)) return -1;
    i += done;
  }
  for (int n = 1; n > 0;) {
    if ((n = sweep(f, up_back_through)) < 0) return -1;
    if (n && (ms_step_repeat(f->s) < 0 || ms_rewrite_look(&f->w) < 0)) return -1; /* the same U' for several operands */
    for (int k = 0; k < 4; k++) {
      int done = sweep(f, pattern[k]);
      if (done < 0) return -1;
      n += done;
    }
  }
  return 0;
}

int ms_step_fold(ms_step *s) {
  fold f = {.s = s, .r = s->r, .w.r = s->r};
  int rc = 0;
  for (int i = 0; i < s->r->n_call; i++) {
    int op = s->r->call[i].call.op->id;
    if (op != MS_OP_avg_pool2d && op != MS_OP_avg_pool2d_grad && op != MS_OP_interpolate && op != MS_OP_interpolate_grad) continue;
    rc = run(&f);
    break;
  }
  ms_rewrite_close(&f.w);
  free(f.spread), free(f.large);
  return rc;
}
