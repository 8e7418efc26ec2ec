/* join.c -- cat and stack. The row joins tensors of one dtype; ms_cat brings them to one first. */
#include "core/core.h"
#include <stdlib.h>

static int cat_shape(ms_infer *s) {
  if (!s->n_in) return ms_fail("cat: expected one tensor or more"), -1;
  const ms_tensor *x = s->in[0];
  int d = ms_dim(s->attr[0].i, x->rank, "cat");
  if (d < 0) return -1;
  s->attr[0].i = d;
  ms_ints v = ms_sizes(x);
  for (int k = 1; k < s->n_in; k++) {
    const ms_tensor *y = s->in[k];
    if (y->dtype != x->dtype)
      return ms_fail("cat: tensor %d is %s, the first %s; expected one dtype (convert with :to())", k + 1, ms_shape_str(y),
                     ms_shape_str(x)),
             -1;
    bool fits = y->rank == v.n;
    for (int i = 0; fits && i < v.n; i++) fits = i == d || y->shape[i] == v.at[i];
    if (!fits)
      return ms_fail("cat: tensor %d is %s, the first %s; expected equal sizes except along dimension %d", k + 1, ms_shape_str(y),
                     ms_shape_str(x), d + 1),
             -1;
    if (__builtin_add_overflow(v.at[d], y->shape[d], &v.at[d]))
      return ms_fail("cat: the sizes along dimension %d add up to more than can be addressed", d + 1), -1;
  }
  return ms_out(s, 0, x->dtype, v.n, v.at);
}

static int cat_vjp(ms_vjp *c) {
  int64_t d = c->attr[0].i, start = 0;
  for (int i = 0; i < c->n_in; i++) {
    int64_t n = c->x[i]->shape[d];
    if (c->need[i] && !(c->dx[i] = ms_slice(c->g[0], d, start, n, 1))) return -1;
    start += n;
  }
  return 0;
}
MS_RULE(cat, .shape = cat_shape, .vjp = cat_vjp);

/* x[0..n-1] joined along dim; tensors of different dtypes meet at the one they promote to. */
ms_tensor *ms_cat(int n, ms_tensor *const *x, int64_t dim) {
  int dtype = -1;
  bool mixed = false;
  for (int i = 0; i < n; i++) {
    if (!x[i]) return NULL;
    if (x[i]->is_number) return ms_fail("cat: argument %d is a number, expected a tensor", i + 1);
    mixed |= dtype >= 0 && x[i]->dtype != dtype;
    dtype = dtype < 0 ? x[i]->dtype : ms_promote(dtype, x[i]->dtype);
  }
  if (!mixed) return ms_apply(MS_OP_cat, n, x, MS_ATTR(A_INT(dim)));
  ms_tensor **same = malloc((size_t)n * sizeof(ms_tensor *)), *r = NULL;
  if (!same) return ms_fail("cat: out of memory for %d operands", n);
  bool ok = true;
  for (int i = 0; i < n && ok; i++) ok = (same[i] = ms_cast(x[i], dtype)) != NULL;
  if (ok) r = ms_apply(MS_OP_cat, n, same, MS_ATTR(A_INT(dim)));
  free(same);
  return r;
}

static int stack_ref(ms_ref *c) {
  if (!c->n_in) return ms_fail("stack: expected one tensor or more"), -1;
  ms_tensor **x = malloc((size_t)c->n_in * sizeof(ms_tensor *)), *r = NULL;
  if (!x) return ms_fail("stack: out of memory for %d operands", c->n_in), -1;
  int d = ms_dim(c->attr[0].i, c->in[0]->rank + 1, "stack");
  bool ok = d >= 0;
  for (int i = 0; i < c->n_in && ok; i++) {
    const ms_tensor *a = c->in[0], *b = c->in[i];
    ok = a->rank == b->rank;
    for (int k = 0; ok && k < a->rank; k++) ok = a->shape[k] == b->shape[k];
    if (!ok) ms_fail("stack: tensor %d is %s, the first %s; expected equal shapes", i + 1, ms_shape_str(b), ms_shape_str(a));
    else ok = (x[i] = ms_unsqueeze(c->in[i], d)) != NULL;
  }
  if (ok) r = ms_cat(c->n_in, x, d);
  free(x);
  c->n_out = 1;
  return (c->out[0] = r) ? 0 : -1;
}
MS_RULE(stack, .ref = stack_ref);
