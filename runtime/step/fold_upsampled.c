/* fold_upsampled.c -- fold.c: elementwise calls between a nearest upsampling and a convolution are no obstacle.
 *
 * Forward: what is computed element by element from upsampled images is itself upsampled. A twin of each such call computes the
 * same of the small images; convolutions then read the twin's result. Back: the adjoint of upsampling, U', sums windows. It may
 * change places with an elementwise call that is linear in what flows back, if its other operands are alike within each window. */
#include "fold.h"
#include <stdlib.h>

const upsampled *ms_fold_upsampled_of(const fold *f, const ms_rcall *c, int k) {
  int slot = c->slot[k];
  return slot >= 0 && slot < f->n_upsampled && f->upsampled[slot].is && ms_fold_alone(f, c, k) ? &f->upsampled[slot] : NULL;
}

/* Operand k of call m for the small image `like`: a number, something without rows and columns, or what was upsampled. false: none
 * of these. */
static bool small_operand(const fold *f, const ms_rcall *m, int k, const ms_view *like, ms_slot_view *v) {
  *v = ms_rewrite_operand(m, k);
  if (v->view.number) return true;
  const upsampled *u = ms_fold_upsampled_of(f, m, k);
  if (u && same_shape(&m->call.in[k], &m->call.out[0]) && same_shape(&u->base.view, like)) return *v = u->base, true;
  for (int d = 1; d <= 2 && d <= v->view.rank; d++) {
    int64_t *n = &v->view.shape[v->view.rank - d];
    if (*n != 1 && v->view.stride[v->view.rank - d] != 0) return false;
    if (*n != 1) *n = like->shape[4 - d];
  }
  return true;
}

/* ---- forward ------------------------------------------------------------------------------------------------------------- */

/* From now on slot `slot` is known to hold `base` upsampled. 0, or -1 after ms_fail. */
static int note_slot(fold *f, int slot, const ms_slot_view *base) {
  if (slot >= f->n_upsampled) {
    upsampled *p = realloc(f->upsampled, (size_t)f->r->n_slot * sizeof *p);
    if (!p) return ms_fail("compile: out of memory"), -1;
    memset(p + f->n_upsampled, 0, (size_t)(f->r->n_slot - f->n_upsampled) * sizeof *p);
    f->upsampled = p, f->n_upsampled = f->r->n_slot;
  }
  f->upsampled[slot] = (upsampled){true, *base};
  return 0;
}

/* An elementwise call whose operands are all small ones: put a twin of it before it, which makes the base. */
static int put_twin(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  const int n = c->call.n_in;
  const upsampled *first = NULL;
  ms_slot_view in[3], out;
  for (int k = 0; k < n && !first; k++)
    if (!c->call.in[k].number) first = ms_fold_upsampled_of(f, c, k);
  if (!first) return 0;
  const ms_view like = first->base.view;
  for (int k = 0; k < n; k++)
    if (!small_operand(f, c, k, &like, &in[k])) return 0;
  if (!same_shape(&c->call.out[0], &f->r->call[f->rewrite.fact[first - f->upsampled].made].call.out[0])) return 0;
  if (ms_rewrite_temp(&f->rewrite, c->call.out[0].dtype, 4, like.shape, &out) < 0) return -1;
  if (ms_rewrite_call(&f->rewrite, c->call.op->id, n, in, NULL, &out) < 0 || note_slot(f, c->slot[n], &out) < 0) return -1;
  return ms_rewrite_put(&f->rewrite, i, false) < 0 ? -1 : 1;
}

int ms_fold_note_upsampled(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  const int n = c->call.n_in;
  int64_t factor[2];
  if (c->call.n_out != 1 || n < 1 || n > 3 || !ms_fold_alone(f, c, n)) return 0;
  if (ms_fold_windows(&c->call, factor) == MS_WINDOWS_FILLED) {
    if (c->slot[0] < 0 || ms_record_changes(f->r, c->slot[0], i, f->r->n_call - 1)) return 0;
    ms_slot_view base = ms_rewrite_operand(c, 0);
    return note_slot(f, c->slot[n], &base);
  }
  return c->call.op->flags & MS_ELEMENTWISE && c->call.out[0].rank == 4 ? put_twin(f, i) : 0;
}

/* ---- back ---------------------------------------------------------------------------------------------------------------- */

/* Can U', giving images like `small`, be taken of the operands of m that are in the set, and the others be small ones? in: the
 * others. */
static bool can_pass(const fold *f, const ms_rcall *m, int set, const ms_view *small, ms_slot_view *in) {
  int found = 0;
  for (int k = 0; k < m->call.n_in; k++) {
    const ms_view *v = &m->call.in[k];
    if (!(set >> k & 1)) {
      if (!small_operand(f, m, k, small, &in[k])) return false;
    } else if (v->number) { /* U' of a number would be the number times the window */
      if (ms_scalar_cell(m->number[k]) || ms_scalar_value(m->number[k]) != 0) return false;
    } else if (!same_shape(v, &m->call.out[0]) || v->dtype != small->dtype) return false;
    else found++;
  }
  return found > 0;
}

int ms_fold_through(fold *f, int i) {
  const ms_rcall *c = &f->r->call[i];
  int64_t factor[2];
  if (ms_fold_windows(&c->call, factor) != MS_WINDOWS_SUMMED) return 0;
  const ms_rcall *m = ms_fold_resampled(f, i);
  if (!m || !(m->call.op->flags & MS_ELEMENTWISE)) return 0;
  const ms_view *small = &c->call.out[0];
  ms_slot_view in[3], out = ms_rewrite_operand(c, 1);
  int set = ms_op_linear(m->call.op, 1), n = m->call.n_in;
  if (!set || !can_pass(f, m, set, small, in)) set = ms_op_linear(m->call.op, 0);
  if (!set || !can_pass(f, m, set, small, in)) return 0;
  for (int k = 0; k < n; k++) {
    if (!(set >> k & 1)) continue;
    ms_slot_view from = in[k] = ms_rewrite_operand(m, k);
    if (from.view.number) continue;
    if (ms_rewrite_temp(&f->rewrite, small->dtype, 4, small->shape, &in[k]) < 0) return -1;
    if (ms_rewrite_call(&f->rewrite, c->call.op->id, 1, &from, c->attr, &in[k]) < 0) return -1;
  }
  if (ms_rewrite_call(&f->rewrite, m->call.op->id, n, in, NULL, &out) < 0 || ms_rewrite_put(&f->rewrite, i, true) < 0) return -1;
  return 1;
}
