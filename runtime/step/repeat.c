/* repeat.c -- a pass over a recording: a call that computes what an earlier one has computed is dropped, and its readers read the
 * earlier result. Forward code and derivative rules written apart often ask for the same thing (1 - y, x transposed, a norm). (What
 * is computed again on purpose, to save memory, stays: ms.recompute.) */
#include "pass.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_BACK = 4096 }; /* how many calls back an equal one is looked for */

static bool same_view(const ms_rcall *a, const ms_rcall *b, int k) {
  const ms_view *v = ms_rcall_view((ms_rcall *)a, k), *w = ms_rcall_view((ms_rcall *)b, k);
  if (v->absent || w->absent) return v->absent == w->absent;
  if (v->dtype != w->dtype || v->rank != w->rank || (v->number != NULL) != (w->number != NULL)) return false;
  if (v->number) { return ms_scalar_same(&a->number[k], &b->number[k]); }
  return a->offset[k] == b->offset[k] && !memcmp(v->shape, w->shape, v->rank * sizeof *v->shape) &&
         !memcmp(v->stride, w->stride, v->rank * sizeof *v->stride);
}

static bool same_attr(const ms_rcall *a, const ms_rcall *b) {
  const ms_op *op = a->call.op;
  for (int i = 0, k = 0; i < op->n_arg; i++) {
    if (op->arg[i].is_tensor) continue;
    const ms_attr *x = &a->attr[k], *y = &b->attr[k];
    k++;
    switch (op->arg[i].kind) {
    case MS_K_SCALAR:
      if (!ms_scalar_same(&x->s, &y->s)) return false;
      break;
    case MS_K_INTS:
    case MS_K_NUMBERS:
    case MS_K_DIMS:
    case MS_K_SHAPE:
      if (x->v.n != y->v.n || (x->v.n > 0 && memcmp(x->v.at, y->v.at, (size_t)x->v.n * sizeof *x->v.at))) return false;
      break;
    default:
      if (x->i != y->i) return false;
    }
  }
  return true;
}

/* Does b, with the same inputs, compute what a does? */
static bool equal(const ms_rcall *a, const ms_rcall *b) {
  if (a->call.op != b->call.op || a->call.n_in != b->call.n_in || a->call.n_out != b->call.n_out) return false;
  for (int k = 0; k < a->call.n_in; k++)
    if (a->slot[k] != b->slot[k]) return false;
  for (int k = 0; k < a->call.n_in + a->call.n_out; k++)
    if (!same_view(a, b, k)) return false;
  return same_attr(a, b);
}

/* Of a slot: the last call that writes it, and how many writes there are. */
typedef struct writes {
  int last, count;
} writes;

/* Does the call do nothing but make results, and the same ones for the same inputs? */
static bool pure(const ms_rcall *c) {
  bool is = !c->call.op->mutates && !(c->call.op->flags & MS_RANDOM) && c->call.n_out > 0;
  for (int k = 0; k < c->call.n_out && is; k++) {
    int out = c->slot[c->call.n_in + k];
    is = out >= 0;
    for (int j = 0; j < c->call.n_in && is; j++) is = c->slot[j] != out; /* in place */
  }
  return is;
}

/* May readers of call b's results read call a's? The inputs are the same at both (a itself, in place, changes none of them), a's
 * results stay as they are, b's are b's alone. */
static bool replaces(const ms_record *r, const writes *w, int a, int b) {
  const ms_rcall *x = &r->call[a], *y = &r->call[b];
  for (int k = 0; k < y->call.n_in; k++)
    if (y->slot[k] >= 0 && w[y->slot[k]].last >= a && ms_record_changes(r, y->slot[k], a, b - 1)) return false;
  for (int k = y->call.n_in; k < y->call.n_in + y->call.n_out; k++) {
    const writes *mine = &w[y->slot[k]], *theirs = &w[x->slot[k]];
    if (r->slot[y->slot[k]].kind != MS_SLOT_INTERNAL || mine->count != 1 || theirs->count != 1) return false;
  }
  return true;
}

int ms_step_repeat(ms_step *s) {
  ms_record *r = s->r;
  writes *w = calloc((size_t)r->n_slot + 1, sizeof *w);
  bool *gone = calloc((size_t)r->n_call + 1, 1);
  if (!w || !gone || ms_record_dead(r, gone) < 0) return free(w), free(gone), ms_fail("compile: out of memory"), -1;
  for (int i = 0; i < r->n_call; i++)
    for (int k = 0; k < r->call[i].call.n_in + r->call[i].call.n_out; k++)
      if (r->call[i].slot[k] >= 0 && ms_rcall_writes(&r->call[i], k)) {
        writes *t = &w[r->call[i].slot[k]];
        t->last = i, t->count++;
      }
  for (int b = 1; b < r->n_call; b++) {
    const ms_rcall *y = &r->call[b];
    if (gone[b] || y->again || !pure(y)) continue;
    for (int a = b - 1; a >= 0 && a > b - MOST_BACK; a--) {
      const ms_rcall *x = &r->call[a];
      if (gone[a] || !equal(x, y) || !replaces(r, w, a, b)) continue;
      for (int k = y->call.n_in; k < y->call.n_in + y->call.n_out; k++)
        for (int i = b + 1; i < r->n_call; i++)
          for (int j = 0; j < r->call[i].call.n_in; j++)
            if (r->call[i].slot[j] == y->slot[k]) r->call[i].slot[j] = x->slot[k];
      s->info.repeated++;
      gone[b] = true; /* drop_dead will find it without readers */
      break;
    }
  }
  free(w), free(gone);
  return 0;
}
