/* mask.c -- what masks choose. How many elements that is, only the data say: the host counts them, and rows of a known size do the
 * rest. So none of these can be part of a recorded step, but for masked_scatter, whose result has a size that is known. */
#include "place.h"

static int need_bool(const char *op, const ms_tensor *mask) {
  if (!mask->is_number && mask->dtype == MS_BOOL) return 0;
  return ms_fail("%s: mask is %s, expected bool", op, ms_shape_str(mask)), -1;
}

static int true_positions_shape(ms_infer *s) {
  const ms_tensor *mask = s->in[0];
  if (need_bool("true_positions", mask) < 0) return -1;
  const int64_t n = s->attr[0].i;
  if (n > ms_numel(mask)) return ms_fail("true_positions: %lld of %s", (long long)n, ms_shape_str(mask)), -1;
  return ms_out(s, 0, MS_I64, s->attr[1].i ? 1 : 2, (int64_t[]){n, mask->rank});
}
MS_RULE(true_positions, .shape = true_positions_shape);

static ms_tensor *positions_of(ms_tensor *mask, bool flat) {
  if (!mask) return NULL;
  ms_tensor *count = ms_sum_all(mask);
  const double n = count ? ms_item(count) : -1;
  return ms_error() ? NULL : ms_apply(MS_OP_true_positions, MS_IN(mask), MS_ATTR(A_INT((int64_t)n), A_INT(flat)));
}
ms_tensor *ms_true_positions(ms_tensor *mask) { return positions_of(mask, true); }

static int nonzero_ref(ms_ref *c) {
  ms_tensor *x = ms_detach(c->in[0]);
  c->n_out = 1;
  return (c->out[0] = positions_of(x->dtype == MS_BOOL ? x : ms_ne(x, ms_whole_number(0)), false)) ? 0 : -1;
}
MS_RULE(nonzero, .ref = nonzero_ref);
MS_RULE(argwhere, .ref = nonzero_ref);

static int count_nonzero_ref(ms_ref *c) {
  ms_tensor *x = ms_detach(c->in[0]);
  c->n_out = 1;
  return (c->out[0] = ms_sum(x->dtype == MS_BOOL ? x : ms_ne(x, ms_whole_number(0)), c->attr[0].v, false)) ? 0 : -1;
}
MS_RULE(count_nonzero, .ref = count_nonzero_ref);

/* x and mask in the shape that they broadcast to. */
static int together(const char *op, ms_tensor **x, ms_tensor **mask) {
  ms_ints v = {.n = 0};
  ms_tensor *both[] = {*x, *mask};
  if ((*x)->is_number) return ms_fail("%s: x is a number, expected a tensor", op), -1;
  if (need_bool(op, *mask) < 0 || ms_broadcast(op, 2, both, &v.n, v.at) < 0) return -1;
  *x = ms_expand(*x, v), *mask = ms_expand(*mask, v);
  return *x && *mask ? 0 : -1;
}

static int masked_select_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *mask = c->in[1];
  if (together("masked_select", &x, &mask) < 0) return -1;
  c->n_out = 1;
  return (c->out[0] = ms_pick_at(x, 0, x->rank, ms_true_positions(mask))) ? 0 : -1;
}
MS_RULE(masked_select, .ref = masked_select_ref);

/* The k-th place where mask is true takes the k-th element of source. */
static ms_tensor *masked_scatter(const ms_op *op, ms_tensor *x, ms_tensor *mask, ms_tensor *source) {
  if (x->dtype != source->dtype)
    return ms_fail("%s: x is %s, source %s; expected one dtype (convert one with :to())", op->name, ms_shape_str(x),
                   ms_shape_str(source));
  if (together(op->name, &x, &mask) < 0) return NULL;
  if (!ms_numel(source)) { /* nothing to take: nothing may be asked for */
    const double hits = ms_item(ms_sum_all(mask));
    if (!ms_error() && hits > 0) return ms_fail("%s: the mask is true %.0f times, source has no elements", op->name, hits);
    return ms_apply(MS_OP_clone, MS_IN(x), NULL);
  }
  ms_tensor *flat = ms_cast(ms_reshape(mask, MS_INTS(-1)), MS_I64);
  ms_tensor *place =
      ms_where(mask, ms_reshape(ms_apply(MS_OP_cumsum, MS_IN(flat), MS_ATTR(A_INT(0))), ms_sizes(mask)), ms_whole_number(1));
  ms_tensor *values = ms_pick_at(ms_reshape(source, MS_INTS(-1)), 0, 1, place);
  if (!values) return ms_error_prefix("%s: the mask is true more often than source has elements", op->name), NULL;
  return ms_where(mask, values, x);
}

static int masked_scatter_ref(ms_ref *c) {
  c->n_out = 1;
  return (c->out[0] = masked_scatter(c->op, c->in[0], c->in[1], c->in[2])) ? 0 : -1;
}
MS_RULE(masked_scatter, .ref = masked_scatter_ref);

static int fits_into_x(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int64_t shape[MS_MAX_RANK];
  int rank;
  if (ms_broadcast(s->op->name, 2, s->in, &rank, shape) < 0) return -1;
  bool same = rank == x->rank;
  for (int i = 0; same && i < rank; i++) same = shape[i] == x->shape[i];
  return same ? 0
              : (ms_fail("%s: mask is %s, which does not fit into %s", s->op->name, ms_shape_str(s->in[1]), ms_shape_str(x)), -1);
}
static int masked_scatter__ref(ms_ref *c) {
  return ms_copy_(c->in[0], masked_scatter(c->op, c->in[0], c->in[1], c->in[2])) ? 0 : -1;
}
MS_RULE(masked_scatter_, .shape = fits_into_x, .ref = masked_scatter__ref);
