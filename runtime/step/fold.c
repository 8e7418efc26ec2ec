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
#include "fold.h"
#include <stdlib.h>

/* ---- what is seen -------------------------------------------------------------------------------------------------------- */

bool ms_fold_alone(const fold *f, const ms_rcall *c, int k) {
  int slot = c->slot[k];
  if (slot < 0 || f->r->slot[slot].kind != MS_SLOT_INTERNAL || f->w.fact[slot].writes != 1) return false;
  const ms_view *v = ms_rcall_view((ms_rcall *)c, k);
  return !c->offset[k] && ms_view_contiguous(v) && (size_t)ms_view_numel(v) * ms_dtype_size(v->dtype) == f->r->slot[slot].bytes;
}

const ms_rcall *ms_fold_maker(const fold *f, const ms_rcall *c, int k) {
  if (!ms_fold_alone(f, c, k)) return NULL;
  const ms_rcall *m = &f->r->call[f->w.fact[c->slot[k]].made];
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

/* ---- kernels ------------------------------------------------------------------------------------------------------------- */

enum { MOST_FACTOR = 16 }; /* windows of 4 x 4 */

bool ms_fold_make_plan(bool up, const ms_attr *a, const int64_t *taps, const int64_t *factor, int dtype, int64_t pixels, plan *p) {
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

int ms_fold_widen(fold *f, const plan *p, const ms_ref_view *w, ms_ref_view *wide) {
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

int ms_fold_convolve(fold *f, int op, plan *p, const int64_t *size, const ms_ref_view *a, const ms_ref_view *b,
                     const ms_ref_view *bias, const ms_ref_view *out) {
  const ms_ref_view none = {.slot = -1, .view.absent = true}, in[3] = {*a, *b, bias ? *bias : none};
  if (op == MS_OP_conv2d) return ms_rewrite_call(&f->w, op, 3, in, p->attr + 1, out);
  p->attr[0].v = (ms_ints){.n = 2, .at = {size[0], size[1]}};
  return ms_rewrite_call(&f->w, op, 2, in, p->attr, out);
}

int ms_fold_weight_gradient(fold *f, plan *p, const ms_ref_view *x, const ms_ref_view *g, const ms_ref_view *dw) {
  ms_ref_view wide;
  int64_t shape[4] = {g->view.shape[1], x->view.shape[1], p->wide[0], p->wide[1]};
  if (ms_rewrite_temp(&f->w, (int)p->k.dtype, 4, shape, &wide) < 0) return -1;
  if (ms_fold_convolve(f, MS_OP_conv2d_weight_grad, p, p->wide, x, g, NULL, &wide) < 0) return -1;
  return narrow(f, p, &wide, dw);
}

int ms_fold_replace(fold *f, int at) {
  f->s->info.folded += f->r->call[at].call.op->id != MS_OP_sum;
  return ms_rewrite_put(&f->w, at, true) < 0 ? -1 : 1;
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
  static int (*const pattern[])(fold *, int) = {ms_fold_pool, ms_fold_pool_back, ms_fold_up, ms_fold_up_back};
  if (ms_rewrite_look(&f->w) < 0) return -1;
  for (int i = 0; i < f->r->n_call; i++) {
    int done = ms_fold_upsampled(f, i);
    if (done < 0 || (done && ms_rewrite_look(&f->w) < 0)) return -1;
    i += done;
  }
  for (int n = 1; n > 0;) {
    if ((n = sweep(f, ms_fold_up_back_through)) < 0) return -1;
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
