/* number.c -- live numbers of a recording: cells whose values are computed anew, one from others, before each run. */
#include "pass.h"
#include <stdlib.h>

/* Anything elementwise, by the kernel that computes it for plain numbers. */
static int by_kernel(const ms_rnumber *n) {
  ms_tensor *in[3];
  int mark = ms_scope_open();
  for (int i = 0; i < n->n; i++) {
    ms_plain v;
    ms_scalar_constant(n->in[i], &v); /* or what it is now */
    in[i] = v.is_whole ? ms_whole_number(v.whole) : ms_number(v.value);
  }
  ms_tensor *t = ms_apply(n->op, n->n, in, NULL);
  ms_plain v;
  if (t && ms_scalar_constant(t->number, &v)) ms_cell_set(n->out, v);
  ms_scope_close(mark);
  return t ? 0 : -1;
}

/* By the row's own function where it has one: what scripts and rules write of numbers all the time. */
int ms_rnumber_run(const ms_rnumber *n) {
  const ms_op *op = ms_op_at(n->op);
  if (!op->number) return by_kernel(n);
  ms_plain v[2];
  for (int i = 0; i < 2; i++) ms_scalar_constant(n->in[i], &v[i]); /* or what it is now */
  ms_cell_set(n->out, op->number(v[0], v[1]));
  return 0;
}

ms_cell *ms_record_number(int op, int n, const ms_scalar *in) {
  ms_record *r = ms_record_now;
  if (!r) return ms_fail("compile: a live number of a step was used outside it");
  ms_rnumber *p = realloc(r->number, (size_t)(r->n_number + 1) * sizeof *p);
  if (!p) return ms_fail("compile: out of memory while recording");
  r->number = p;
  ms_cell *out = ms_cell_new(0);
  if (!out) return NULL;
  p += r->n_number++;
  *p = (ms_rnumber){.op = op, .n = n, .out = ms_cell_retain(out)};
  for (int i = 0; i < n; i++) {
    p->in[i] = in[i];
    ms_cell_retain(ms_scalar_cell(in[i]));
  }
  if (ms_rnumber_run(p) < 0) return ms_cell_release(out), NULL;
  return out;
}

ms_plain ms_record_look(ms_cell *c) {
  ms_record *r = ms_record_now;
  const ms_plain now = ms_cell_get(c);
  if (!r) return now;
  for (int i = 0; i < r->n_looked; i++)
    if (r->looked[i] == c) return now;
  ms_cell **p = realloc(r->looked, (size_t)(r->n_looked + 1) * sizeof *p);
  if (!p) return ms_fail("compile: out of memory while recording"), now;
  r->looked = p;
  p[r->n_looked++] = ms_cell_retain(c);
  return now;
}

/* Is c, or what was made of it by number[0..n-1], the cell `made`? */
static bool made_of(const ms_record *r, int n, const ms_cell *made, const ms_cell *c) {
  if (made == c) return true;
  for (int i = n - 1; i >= 0; i--) {
    const ms_rnumber *p = &r->number[i];
    bool is = false;
    if (p->out != made) continue;
    for (int k = 0; k < p->n && !is; k++) is = ms_scalar_cell(p->in[k]) && made_of(r, i, ms_scalar_cell(p->in[k]), c);
    return is;
  }
  return false;
}

bool ms_record_looked(const ms_record *r, const ms_cell *c) {
  for (int i = 0; i < r->n_looked; i++)
    if (made_of(r, r->n_number, r->looked[i], c)) return true;
  return false;
}

bool ms_record_looked_now(const ms_cell *c) { return ms_record_now && c && ms_record_looked(ms_record_now, c); }

ms_tensor *ms_record_on_numbers(const ms_op *op, int n, ms_tensor *const *in) {
  ms_scalar s[3];
  bool whole = op->elementwise_class == MS_CLASS_ARITH || op->elementwise_class == MS_CLASS_BOUND ||
               op->elementwise_class == MS_CLASS_CHOOSE;
  for (int i = 0; i < n; i++) {
    s[i] = in[i]->number;
    whole &= in[i]->is_integer_number || (i == 0 && op->elementwise_class == MS_CLASS_CHOOSE);
  }
  ms_cell *cell = ms_record_number(op->id, n, s);
  ms_tensor *t = cell ? ms_live_number(cell) : NULL;
  ms_cell_release(cell);
  if (t) t->is_integer_number = whole;
  return t;
}
