/* unique.c -- the different elements of a tensor, or slices along a dimension. Equal ones are brought together (unique sorts them),
 * the first of each group is marked, and the marks summed up number the groups. How many there are, the host has to read. */
#include "place.h"

/* The order of the rows of a matrix, by their first element, then by the second, and so on (stable; NaN last). */
static int row_order_shape(ms_infer *s) {
  if (s->in[0]->rank != 2) return ms_fail("row_order: expected a matrix, got %s", ms_shape_str(s->in[0])), -1;
  return ms_out(s, 0, MS_I64, 1, s->in[0]->shape);
}
MS_RULE(row_order, .shape = row_order_shape);

/* Of v, elements or rows, true where one differs from that before it; the first one does. */
static ms_tensor *marks(ms_tensor *v) {
  const int64_t n = v->shape[0];
  ms_tensor *first = ms_full(MS_INTS(n ? 1 : 0), 1, MS_BOOL, v->device);
  if (n < 2) return first;
  ms_tensor *differs = ms_ne(ms_slice(v, 0, 1, n - 1, 1), ms_slice(v, 0, 0, n - 1, 1));
  if (v->rank == 2) differs = ms_apply(MS_OP_any, MS_IN(differs), MS_ATTR(A_INTS(MS_INTS(1)), A_INT(0)));
  return ms_cat(2, (ms_tensor *[]){first, differs}, 0);
}

/* v: the elements or rows in an order in which equal ones stand together; order: where each came from (NULL: from where it is).
 * Results: values, then those that are asked for. */
static int groups(ms_ref *c, ms_tensor *v, ms_tensor *order, ms_tensor **values, ms_tensor **inverse, ms_tensor **counts) {
  ms_tensor *new = v ? marks(v) : NULL;
  ms_tensor *at = new ? ms_true_positions(new) : NULL, *id = at ? ms_cast(new, MS_I64) : NULL;
  if (!id) return -1;
  const int64_t n = v->shape[0], found = at->shape[0];
  if (n) id = ms_apply(MS_OP_cumsum, MS_IN(id), MS_ATTR(A_INT(0)));
  *values = ms_pick_at(v, 0, 1, at);
  if (inverse) *inverse = order ? ms_place_at(ms_full(MS_INTS(n), 0, MS_I64, v->device), 0, 1, order, id, false) : id;
  if (counts)
    *counts = ms_index_add(ms_full(MS_INTS(found), 0, MS_I64, v->device), 0, id, ms_full(MS_INTS(n), 1, MS_I64, v->device));
  return c->n_out = 1 + (inverse != NULL) + (counts != NULL), ms_error() ? -1 : 0;
}

/* sorts: unique; else unique_consecutive. */
static int unique(ms_ref *c, bool sorts, bool wants_inverse, bool wants_counts, int64_t dim) {
  const bool whole = dim == MS_NO_DIM;
  ms_tensor *x = ms_detach(c->in[0]), *order = NULL, *v, *inverse, *counts, *out[MS_MAX_OUT];
  const int dtype = x->dtype, d = whole ? 0 : ms_dim(dim, x->rank, c->op->name);
  if (d < 0) return -1;
  if (dtype == MS_BOOL) x = ms_cast(x, MS_U8); /* what has an order */
  ms_ints sizes = ms_sizes(x), moved = {.n = 0};
  if (whole) v = ms_reshape(x, MS_INTS(-1));
  else {
    moved.at[moved.n++] = d;
    for (int i = 0; i < x->rank; i++)
      if (i != d) moved.at[moved.n++] = i;
    const int64_t n = x->shape[d], each = n ? ms_numel(x) / n : 0;
    if (!each) return ms_fail("%s: %s has no elements along dimension %d", c->op->name, ms_shape_str(c->in[0]), d + 1), -1;
    v = ms_reshape(ms_permute(x, moved), MS_INTS(n, each));
  }
  if (sorts && v && whole) {
    if (ms_apply_n(MS_OP_sort, NULL, MS_IN(v), MS_ATTR(A_INT(0), A_INT(0)), out) < 0) return -1;
    v = out[0], order = out[1];
  } else if (sorts && v) {
    order = ms_apply(MS_OP_row_order, MS_IN(v), NULL);
    v = ms_pick_at(v, 0, 1, order);
  }
  if (groups(c, v, order, &v, wants_inverse ? &inverse : NULL, wants_counts ? &counts : NULL) < 0) return -1;
  if (!whole) { /* rows as slices again, their dimension where it was */
    ms_ints back = {.n = moved.n}, shape = {.n = moved.n};
    for (int i = 0; i < moved.n; i++) shape.at[i] = i ? sizes.at[moved.at[i]] : v->shape[0], back.at[moved.at[i]] = i;
    v = ms_contiguous(ms_permute(ms_reshape(v, shape), back));
  } else if (wants_inverse) inverse = ms_reshape(inverse, sizes);
  int n = 0;
  c->out[n++] = ms_cast(v, dtype);
  if (wants_inverse) c->out[n++] = inverse;
  if (wants_counts) c->out[n++] = counts;
  return ms_error() ? -1 : 0;
}

static int unique_ref(ms_ref *c) { return unique(c, true, c->attr[1].i, c->attr[2].i, c->attr[3].i); }
MS_RULE(unique, .ref = unique_ref);
static int unique_consecutive_ref(ms_ref *c) { return unique(c, false, c->attr[0].i, c->attr[1].i, c->attr[2].i); }
MS_RULE(unique_consecutive, .ref = unique_consecutive_ref);
