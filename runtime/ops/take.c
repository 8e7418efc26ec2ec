/* take.c -- single elements by position: take and put count the elements of x row by row, take_along_dim is gather of what is
 * broadcast. */
#include "place.h"

/* Positions among all elements of x; negative ones count from the end. */
static ms_tensor *among_all(const ms_op *op, const ms_tensor *x, ms_tensor *index) {
  const ms_ints size = MS_INTS(ms_numel(x)), dim = MS_INTS(0);
  ms_tensor *at = ms_positions(1, &index, &size, &dim);
  return at ? at : (ms_error_prefix("%s", op->name), NULL);
}

static int take_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  c->n_out = 1;
  return (c->out[0] = ms_pick_at(x, 0, x->rank, among_all(c->op, x, c->in[1]))) ? 0 : -1;
}
MS_RULE(take, .ref = take_ref);

static int take_along_dim_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *index = c->in[1];
  c->n_out = 1;
  if (c->attr[0].i == MS_NO_DIM)
    return (c->out[0] = ms_pick_at(x, 0, x->rank, among_all(c->op, x, ms_reshape(index, MS_INTS(-1))))) ? 0 : -1;
  const int d = ms_dim(c->attr[0].i, x->rank, "take_along_dim");
  if (d < 0) return -1;
  if (x->rank != index->rank)
    return ms_fail("take_along_dim: x is %s, index %s; expected as many dimensions", ms_shape_str(x), ms_shape_str(index)), -1;
  ms_ints of_x = ms_sizes(x), of_index = ms_sizes(index);
  for (int i = 0; i < x->rank; i++) {
    if (i == d) continue;
    const int64_t a = of_x.at[i], b = of_index.at[i];
    if (a != b && a != 1 && b != 1)
      return ms_fail("take_along_dim: x is %s, index %s; dimension %d does not broadcast", ms_shape_str(x), ms_shape_str(index),
                     i + 1),
             -1;
    of_x.at[i] = of_index.at[i] = a == 1 ? b : a;
  }
  return (c->out[0] = ms_gather(ms_expand(x, of_x), d, ms_expand(index, of_index))) ? 0 : -1;
}
MS_RULE(take_along_dim, .ref = take_along_dim_ref);

static ms_tensor *source_for(const ms_op *op, const ms_tensor *x, const ms_tensor *index, ms_tensor *source) {
  if (source->dtype != x->dtype)
    return ms_fail("%s: x is %s, source %s; expected one dtype (convert one with :to())", op->name, ms_shape_str(x),
                   ms_shape_str(source));
  if (ms_numel(source) != ms_numel(index))
    return ms_fail("%s: source is %s, expected as many elements as index, %s", op->name, ms_shape_str(source), ms_shape_str(index));
  return ms_reshape(source, ms_sizes(index));
}

static int put_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *source = source_for(c->op, x, c->in[1], c->in[2]);
  c->n_out = 1;
  return (c->out[0] = source ? ms_place_at(x, 0, x->rank, among_all(c->op, x, c->in[1]), source, c->attr[0].i) : NULL) ? 0 : -1;
}
MS_RULE(put, .ref = put_ref);

static int put__ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *source = source_for(c->op, x, c->in[1], c->in[2]);
  c->n_out = 0;
  return source && ms_place_at_(x, 0, x->rank, among_all(c->op, x, c->in[1]), source, c->attr[0].i) ? 0 : -1;
}
MS_RULE(put_, .ref = put__ref);
