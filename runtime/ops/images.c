/* images.c -- one image in the place of a batch, and signals as images of height 1: views, no copies. */
#include "images.h"

int ms_one_image(ms_ref *c, int images) {
  if (c->in[0]->rank != 3) return 0;
  ms_tensor *in[MS_MAX_ARGS];
  for (int i = 0; i < c->n_in; i++)
    in[i] = images >> i & 1 && c->in[i] && c->in[i]->rank == 3 ? ms_unsqueeze(c->in[i], 0) : c->in[i];
  const int n = ms_apply_n(c->op->id, c->device, c->n_in, in, c->attr, c->out);
  for (int k = 0; k < n; k++) c->out[k] = ms_squeeze(c->out[k], MS_INTS(0));
  c->n_out = n;
  return n < 0 || ms_error() ? -1 : 1;
}

int ms_as_images(ms_ref *c, const ms_signals *s) {
  const ms_op *op = c->op;
  ms_tensor *in[MS_MAX_ARGS];
  ms_attr attr[MS_MAX_ARGS];
  for (int i = 0; i < c->n_in; i++) {
    in[i] = c->in[i];
    if (!(s->signals >> i & 1) || !in[i]) continue;
    if (in[i]->rank != 3 && (in[i]->rank != 2 || i > 0))
      return ms_fail("%s: %s is %s, expected %s", op->name, ms_arg_of(op, i)->name, ms_shape_str(in[i]),
                     i ? "3 dimensions" : "N x C x L or C x L"),
             -1;
    in[i] = ms_unsqueeze(in[i], -2);
  }
  for (int a = 0, k = 0; a < op->n_arg; a++) {
    if (op->arg[a].is_tensor) continue;
    attr[k] = c->attr[k];
    ms_ints *v = &attr[k].v;
    if (op->arg[a].kind == MS_K_INTS && v->n > 0) {
      if (v->n != 1) return ms_fail("%s: %d numbers for %s, expected one", op->name, v->n, op->arg[a].name), -1;
      v->at[1] = v->at[0], v->at[0] = s->across[k], v->n = 2;
    }
    k++;
  }
  ms_tensor *out[MS_MAX_OUT];
  const ms_op *target = ms_op_at(s->id); /* attributes that signals do not have are the defaults */
  for (int a = 0, k = 0; a < target->n_arg; a++) {
    if (target->arg[a].is_tensor) continue;
    if (k >= op->n_attr) attr[k] = target->arg[a].value;
    k++;
  }
  const int n = ms_apply_n(s->id, c->device, c->n_in, in, attr, out);
  for (int k = 0; k < n && k < s->n_out; k++) c->out[k] = ms_squeeze(out[k], MS_INTS(out[k]->rank - 2));
  if (ms_error()) return ms_error_prefix("%s", op->name), -1;
  c->n_out = n < s->n_out ? n : s->n_out;
  return 0;
}

int ms_check_image(const char *op, const char *what, const ms_tensor *x) {
  if (x->rank == 3 || x->rank == 4) return 0;
  return ms_fail("%s: %s is %s, expected N x C x H x W or C x H x W", op, what, ms_shape_str(x)), -1;
}
