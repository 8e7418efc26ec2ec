/* number.c -- live numbers of a recording: cells whose values are computed anew, one from others, before each run. */
#include "record.h"
#include <math.h>
#include <stdlib.h>

void ms_rnumber_run(const ms_rnumber *n) {
  double a = n->a ? n->a->value : n->ca, b = n->b ? n->b->value : n->cb;
  n->out->value = n->op == '+' ? a + b : n->op == '-' ? a - b : n->op == '*' ? a * b : n->op == '/' ? a / b : pow(a, b);
}

ms_cell *ms_record_number(char op, ms_cell *a, double ca, ms_cell *b, double cb) {
  ms_record *r = ms_record_now;
  if (!r) return ms_fail("compile: a live number of a step was used outside it");
  ms_rnumber *p = realloc(r->number, (size_t)(r->n_number + 1) * sizeof *p);
  if (!p) return ms_fail("compile: out of memory while recording");
  r->number = p;
  ms_cell *out = ms_cell_new(0);
  if (!out) return NULL;
  p[r->n_number] = (ms_rnumber){op, ms_cell_retain(a), ms_cell_retain(b), ms_cell_retain(out), a ? 0 : ca, b ? 0 : cb};
  ms_rnumber_run(&p[r->n_number++]);
  return out;
}

double ms_record_look(ms_cell *c) {
  ms_record *r = ms_record_now;
  if (!r) return c->value;
  for (int i = 0; i < r->n_looked; i++)
    if (r->looked[i] == c) return c->value;
  ms_cell **p = realloc(r->looked, (size_t)(r->n_looked + 1) * sizeof *p);
  if (!p) return ms_fail("compile: out of memory while recording"), c->value;
  r->looked = p;
  p[r->n_looked++] = ms_cell_retain(c);
  return c->value;
}

double ms_record_decides(ms_scalar *s) {
  if (s->cell) *s = (ms_scalar){.value = ms_record_look(s->cell)};
  return s->value;
}

/* Is c, or what was made of it by number[0..n-1], the cell `made`? */
static bool made_of(const ms_record *r, int n, const ms_cell *made, const ms_cell *c) {
  if (made == c) return true;
  for (int i = n - 1; i >= 0; i--)
    if (r->number[i].out == made)
      return (r->number[i].a && made_of(r, i, r->number[i].a, c)) || (r->number[i].b && made_of(r, i, r->number[i].b, c));
  return false;
}

bool ms_record_looked(const ms_record *r, const ms_cell *c) {
  for (int i = 0; i < r->n_looked; i++)
    if (made_of(r, r->n_number, r->looked[i], c)) return true;
  return false;
}

ms_tensor *ms_record_fold(const ms_op *op, int n, ms_tensor *const *in) {
  ms_scalar a = in[0]->number, b = {0};
  if (n > 1) b = in[1]->number;
  char c = 0;
  switch (op->id) {
  case MS_OP_add: c = '+'; break;
  case MS_OP_sub: c = '-'; break;
  case MS_OP_mul: c = '*'; break;
  case MS_OP_div: c = '/'; break;
  case MS_OP_pow: c = '^'; break;
  case MS_OP_neg: c = '*', b = (ms_scalar){.value = -1}; break;
  case MS_OP_square: c = '*', b = a; break;
  case MS_OP_reciprocal: c = '/', b = a, a = (ms_scalar){.value = 1}; break;
  default: return ms_fail("%s: a number handed to the step needs a tensor as partner here", op->name);
  }
  ms_cell *cell = ms_record_number(c, a.cell, a.value, b.cell, b.value);
  ms_tensor *t = cell ? ms_live_number(cell) : NULL;
  ms_cell_release(cell);
  if (t) t->is_integer_number = c != '/' && c != '^' && in[0]->is_integer_number && (n < 2 || in[1]->is_integer_number);
  return t;
}
