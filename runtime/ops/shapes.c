/* shapes.c -- other names and forms of the views in view.c: each is one of those, with its arguments worked out. */
#include "compose.h"
#include <stdlib.h>

static int narrow_ref(ms_ref *c) { return ms_give(c, ms_slice(c->in[0], c->attr[0].i, c->attr[1].i, c->attr[2].i, 1)); }
MS_RULE(narrow, .ref = narrow_ref);

static int view_as_ref(ms_ref *c) { return ms_give(c, ms_view_as(c->in[0], ms_sizes(c->in[1]))); }
MS_RULE(view_as, .ref = view_as_ref);
static int reshape_as_ref(ms_ref *c) { return ms_give(c, ms_reshape(c->in[0], ms_sizes(c->in[1]))); }
MS_RULE(reshape_as, .ref = reshape_as_ref);
static int expand_as_ref(ms_ref *c) { return ms_give(c, ms_expand(c->in[0], ms_sizes(c->in[1]))); }
MS_RULE(expand_as, .ref = expand_as_ref);

/* A vector as it is; a matrix transposed. */
static int t_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  if (x->rank > 2) return ms_fail("t: expected two dimensions at most, got %s; x:transpose(a, b) swaps two", ms_shape_str(x)), -1;
  return ms_give(c, x->rank < 2 ? x : ms_transpose(x, 0, 1));
}
MS_RULE(t, .ref = t_ref);

/* Dimension source[i] goes to place destination[i]; the others fill what is left, in their order. */
static int movedim_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  const ms_ints from = c->attr[0].v, to = c->attr[1].v;
  ms_ints order = {.n = x->rank};
  bool taken[MS_MAX_RANK] = {false};
  if (from.n != to.n || from.n < 0)
    return ms_fail("movedim: %d dimensions to move, %d places for them: expected as many", from.n, to.n), -1;
  for (int i = 0; i < x->rank; i++) order.at[i] = -1;
  for (int i = 0; i < from.n; i++) {
    const int a = ms_dim(from.at[i], x->rank, "movedim"), b = a < 0 ? -1 : ms_dim(to.at[i], x->rank, "movedim");
    if (b < 0) return -1;
    if (taken[a]) return ms_fail("movedim: dimension %d is moved twice", a + 1), -1;
    if (order.at[b] >= 0) return ms_fail("movedim: two dimensions go to place %d", b + 1), -1;
    taken[a] = true, order.at[b] = a;
  }
  for (int i = 0, k = 0; i < x->rank; i++) {
    if (order.at[i] >= 0) continue;
    while (taken[k]) k++;
    order.at[i] = k++;
  }
  return ms_give(c, ms_permute(x, order));
}
MS_RULE(movedim, .ref = movedim_ref);

static int unflatten_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  const ms_ints sizes = c->attr[1].v;
  const int d = ms_dim(c->attr[0].i, x->rank, "unflatten");
  ms_ints v = {0};
  if (d < 0) return -1;
  if (!sizes.n) return ms_fail("unflatten: expected one size or more"), -1;
  if (x->rank - 1 + sizes.n > MS_MAX_RANK)
    return ms_fail("unflatten: %s would have %d dimensions, expected %d at most", ms_shape_str(x), x->rank - 1 + sizes.n,
                   MS_MAX_RANK),
           -1;
  int64_t known = 1;
  int free_at = -1;
  for (int i = 0; i < x->rank; i++)
    if (i != d) v.at[v.n++] = x->shape[i];
    else
      for (int k = 0; k < sizes.n; k++) {
        if (sizes.at[k] == -1 && free_at < 0) free_at = v.n;
        else if (sizes.at[k] < 0 || __builtin_mul_overflow(known, sizes.at[k], &known))
          return ms_fail("unflatten: size %lld: expected 0 or more, or one -1", (long long)sizes.at[k]), -1;
        v.at[v.n++] = sizes.at[k];
      }
  if (free_at >= 0 && known && x->shape[d] % known == 0) v.at[free_at] = x->shape[d] / known, known = x->shape[d];
  if (known != x->shape[d])
    return ms_fail("unflatten: dimension %d of %s does not divide into %s", d + 1, ms_shape_str(x),
                   ms_sizes_str(sizes.n, sizes.at)),
           -1;
  return ms_give(c, ms_reshape(x, v));
}
MS_RULE(unflatten, .ref = unflatten_ref);

static int ravel_ref(ms_ref *c) { return ms_give(c, ms_reshape(c->in[0], MS_INTS(ms_numel(c->in[0])))); }
MS_RULE(ravel, .ref = ravel_ref);

/* x with at least so many dimensions: 1-d becomes a row, and of three dimensions the last is the one that is added. */
static ms_tensor *at_least(ms_tensor *x, int rank) {
  if (x && x->rank == 0) x = ms_reshape(x, MS_INTS(1));
  if (x && x->rank == 1 && rank >= 2) x = ms_unsqueeze(x, 0);
  if (x && x->rank == 2 && rank >= 3) x = ms_unsqueeze(x, 2);
  return x;
}
static int atleast_1d_ref(ms_ref *c) { return ms_give(c, at_least(c->in[0], 1)); }
MS_RULE(atleast_1d, .ref = atleast_1d_ref);
static int atleast_2d_ref(ms_ref *c) { return ms_give(c, at_least(c->in[0], 2)); }
MS_RULE(atleast_2d, .ref = atleast_2d_ref);
static int atleast_3d_ref(ms_ref *c) { return ms_give(c, at_least(c->in[0], 3)); }
MS_RULE(atleast_3d, .ref = atleast_3d_ref);

/* ---- lists of tensors joined in the ways of NumPy ---------------------------------------------------------------------------- */

/* The tensors, each with at least `rank` dimensions (columns: 1-d ones as columns), joined along dim; 1-d ones along the first. */
static int join(ms_ref *c, int rank, bool columns, int64_t dim) {
  ms_tensor **x = malloc((size_t)(c->n_in ? c->n_in : 1) * sizeof(ms_tensor *)), *r = NULL;
  if (!x) return ms_fail("%s: out of memory for %d operands", c->op->name, c->n_in), -1;
  bool ok = c->n_in > 0;
  if (!ok) ms_fail("%s: expected one tensor or more", c->op->name);
  for (int i = 0; i < c->n_in && ok; i++) {
    x[i] = columns && c->in[i]->rank < 2 ? ms_reshape(c->in[i], MS_INTS(ms_numel(c->in[i]), 1)) : at_least(c->in[i], rank);
    ok = x[i] != NULL;
  }
  if (ok) r = ms_cat(c->n_in, x, x[0]->rank == 1 ? 0 : dim);
  free(x);
  return ms_give(c, r);
}
static int hstack_ref(ms_ref *c) { return join(c, 1, false, 1); }
MS_RULE(hstack, .ref = hstack_ref);
static int vstack_ref(ms_ref *c) { return join(c, 2, false, 0); }
MS_RULE(vstack, .ref = vstack_ref);
static int dstack_ref(ms_ref *c) { return join(c, 3, false, 2); }
MS_RULE(dstack, .ref = dstack_ref);
static int column_stack_ref(ms_ref *c) { return join(c, 1, true, 1); }
MS_RULE(column_stack, .ref = column_stack_ref);
