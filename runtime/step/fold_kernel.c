/* fold_kernel.c -- fold.c: the convolution with kernel V that takes the place of one with kernel w.
 *
 * V = w M, with M a matrix of constants, taps of w x taps of V, for each pair of channels. What flows back is the gradient of w,
 * (gradient of V) M'. */
#include "fold.h"
#include <stdlib.h>

enum {
  MOST_FACTOR = 16, /* windows of 4 x 4: V grows with the window, and every pixel reads all of it */
  CONV_ATTRS = 4    /* stride, padding, dilation, groups: the last attributes of all convolutions */
};

bool ms_fold_convolution(const fold *f, const ms_call *conv, fold_kernel_use use, bool reversed, const int64_t *factor,
                         const ms_view *small, folded_conv *p) {
  const ms_attr *a = conv->attr + conv->op->n_attr - CONV_ATTRS;
  const ms_view *w = use == FOLD_WITH_V ? &conv->in[1] : &conv->out[0];
  if (use == FOLD_WITH_V && !ms_view_contiguous(w)) return false;
  const int64_t *taps = w->shape + 2;
  int64_t before = 1, after = 1; /* products per pixel of the small image: of all the windows' pixels with w, of it with V */
  *p = (folded_conv){.from = {.reversed = reversed, .dtype = conv->out[0].dtype}};
  if (conv->out[0].dtype != MS_F32 && conv->out[0].dtype != MS_F64) return false;
  for (int i = 0; i < CONV_ATTRS; i++) p->attr[1 + i] = a[i];
  for (int i = 0; i < 2; i++) {
    int64_t stride = a[0].v.at[i];
    if (a[2].v.at[i] != 1 || a[3].i != 1 || (reversed && (stride != 1 || a[1].v.at[i] > taps[i] - 1))) return false;
    p->from.taps[i] = taps[i], p->from.factor[i] = factor[i], p->from.step[i] = stride;
    p->taps[i] = taps[i] + (factor[i] - 1) * stride;
    p->attr[1].v.at[i] = stride * factor[i];
    if (reversed) p->attr[2].v.at[i] = taps[i] - 1 - a[1].v.at[i];
    before *= taps[i] * factor[i], after *= p->taps[i];
  }
  if (factor[0] * factor[1] > MOST_FACTOR || after >= before) return false;
  const double pairs = (double)(w->shape[0] * w->shape[1]); /* of channels */
  const double pixels = (double)(small->shape[0] * small->shape[2] * small->shape[3]);
  const double all = pairs * pixels * (double)before, fewer = pairs * pixels * (double)(before - after);
  return f->r->device->backend->folds(conv, all, fewer, pairs * (double)(taps[0] * taps[1] * after));
}

/* The constants by which w becomes V. */
static int matrix_of(fold *f, const folded_conv *p, ms_slot_view *v) {
  const fold_taps *of = &p->from;
  for (int i = 0; i < f->n_matrix; i++)
    if (!memcmp(&f->matrix[i].of, of, sizeof *of)) return *v = f->matrix[i].v, 0;
  const int64_t shape[2] = {of->taps[0] * of->taps[1], p->taps[0] * p->taps[1]}, copies = of->factor[0] * of->factor[1];
  double *m = calloc((size_t)(shape[0] * shape[1]), sizeof *m);
  spread_matrix *more = realloc(f->matrix, ((size_t)f->n_matrix + 1) * sizeof *more);
  if (more) f->matrix = more;
  if (!m || !more) return free(m), ms_fail("compile: out of memory"), -1;
  for (int64_t i = 0; i < shape[0] * copies; i++) {
    int64_t copy = i / shape[0], tap = i % shape[0], y = tap / of->taps[1], x = tap % of->taps[1];
    if (of->reversed) y = of->taps[0] - 1 - y, x = of->taps[1] - 1 - x;
    y += copy / of->factor[1] * of->step[0], x += copy % of->factor[1] * of->step[1];
    m[tap * shape[1] + y * p->taps[1] + x] = of->reversed ? 1 : 1.0 / (double)copies;
  }
  int rc = ms_rewrite_constant(&f->rewrite, (int)of->dtype, shape, m, v);
  free(m);
  if (rc == 0) f->matrix[f->n_matrix++] = (spread_matrix){*of, *v};
  return rc;
}

int ms_fold_make_v(fold *f, const folded_conv *p, const ms_slot_view *w, ms_slot_view *v) {
  const int64_t o = w->view.shape[0], c = w->view.shape[1];
  const int64_t n = p->from.taps[0] * p->from.taps[1], m = p->taps[0] * p->taps[1];
  const int64_t a = p->from.reversed ? c : o, b = p->from.reversed ? o : c;
  ms_slot_view in[2], out;
  if (matrix_of(f, p, &in[1]) < 0) return -1;
  if (ms_rewrite_temp(&f->rewrite, (int)p->from.dtype, 4, (int64_t[]){a, b, p->taps[0], p->taps[1]}, v) < 0) return -1;
  if (p->from.reversed) {
    in[0] = ms_rewrite_view(w, 3, (int64_t[]){c, o, n}, (int64_t[]){n, c * n, 1});
    out = ms_rewrite_view(v, 3, (int64_t[]){a, b, m}, NULL);
  } else {
    in[0] = ms_rewrite_view(w, 2, (int64_t[]){o * c, n}, NULL);
    out = ms_rewrite_view(v, 2, (int64_t[]){a * b, m}, NULL);
  }
  return ms_rewrite_call(&f->rewrite, ms_fold_product, 2, in, (ms_attr[]){{.i = 0}, {.i = 0}}, &out);
}

/* The adjoint: from the gradient of V to that of w. */
static int gradient_of_w(fold *f, const folded_conv *p, const ms_slot_view *dv, const ms_slot_view *dw) {
  const int64_t o = dw->view.shape[0], c = dw->view.shape[1];
  const int64_t n = p->from.taps[0] * p->from.taps[1], m = p->taps[0] * p->taps[1];
  ms_slot_view in[2], out;
  if (matrix_of(f, p, &in[1]) < 0) return -1;
  if (p->from.reversed) {
    in[0] = ms_rewrite_view(dv, 3, (int64_t[]){o, c, m}, (int64_t[]){m, o * m, 1});
    out = ms_rewrite_view(dw, 3, (int64_t[]){o, c, n}, NULL);
  } else {
    in[0] = ms_rewrite_view(dv, 2, (int64_t[]){o * c, m}, NULL);
    out = ms_rewrite_view(dw, 2, (int64_t[]){o * c, n}, NULL);
  }
  return ms_rewrite_call(&f->rewrite, ms_fold_product, 2, in, (ms_attr[]){{.i = 0}, {.i = 1}}, &out);
}

int ms_fold_convolve(fold *f, int op, folded_conv *p, const ms_slot_view *a, const ms_slot_view *b, const ms_slot_view *bias,
                     const ms_slot_view *out) {
  const ms_slot_view none = {.slot = -1, .view.absent = true}, in[3] = {*a, *b, bias ? *bias : none};
  const ms_op *row = ms_op_at(op);
  const int64_t *size = out->view.shape + 2; /* an adjoint is told the height and width of its result */
  p->attr[0].v = (ms_ints){.n = 2, .at = {size[0], size[1]}};
  return ms_rewrite_call(&f->rewrite, op, row->n_tensor, in, p->attr + (row->n_attr > CONV_ATTRS ? 0 : 1), out);
}

int ms_fold_weight_gradient(fold *f, int op, folded_conv *p, const ms_slot_view *a, const ms_slot_view *b, const ms_slot_view *dw) {
  ms_slot_view dv;
  int64_t shape[4] = {b->view.shape[1], a->view.shape[1], p->taps[0], p->taps[1]};
  if (ms_rewrite_temp(&f->rewrite, (int)p->from.dtype, 4, shape, &dv) < 0) return -1;
  if (ms_fold_convolve(f, op, p, a, b, NULL, &dv) < 0) return -1;
  return gradient_of_w(f, p, &dv, dw);
}
