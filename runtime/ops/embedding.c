/* embedding.c -- rows of a table by positions; the bilinear form of two vectors. */
#include "core/core.h"

static int embedding_ref(ms_ref *c) {
  ms_tensor *index = c->in[0], *w = c->in[1];
  int64_t padding = c->attr[0].i;
  c->n_out = 1;
  if (w->rank != 2) return ms_fail("embedding: weight is %s, expected count x width", ms_shape_str(w)), -1;
  if (index->rank == MS_MAX_RANK) return ms_fail("embedding: index is %s, which has too many dimensions", ms_shape_str(index)), -1;
  ms_ints shape = ms_sizes(index), flat = MS_INTS(1);
  for (int i = 0; i < shape.n; i++) flat.at[0] *= shape.at[i];
  shape.at[shape.n++] = w->shape[1];
  ms_tensor *rows = ms_reshape(ms_index_select(w, 0, ms_reshape(index, flat)), shape);
  if (padding != MS_NO_DIM && rows) {
    int64_t row = padding < 0 ? padding + w->shape[0] : padding;
    if (row < 0 || row >= w->shape[0])
      return ms_fail("embedding: padding_idx is no row of weight, which is %s", ms_shape_str(w)), -1;
    ms_tensor *is_padding = ms_unsqueeze(ms_eq(index, ms_number((double)(row + 1))), index->rank);
    rows = ms_where(is_padding, ms_detach(rows), rows);
  }
  return (c->out[0] = rows) ? 0 : -1;
}
MS_RULE(embedding, .ref = embedding_ref);

/* y[.., o] = sum over i, j of x1[.., i] w[o, i, j] x2[.., j], plus bias[o]: first x1 w as one product. */
static int bilinear_ref(ms_ref *c) {
  ms_tensor *x1 = c->in[0], *x2 = c->in[1], *w = c->in[2], *b = c->in[3];
  bool fits = w->rank == 3 && x1->rank >= 1 && x1->rank == x2->rank;
  int last = x1->rank - 1;
  for (int i = 0; fits && i < last; i++) fits = x1->shape[i] == x2->shape[i];
  c->n_out = 1;
  if (!fits || x1->shape[last] != w->shape[1] || x2->shape[last] != w->shape[2] ||
      (b && (b->rank != 1 || b->shape[0] != w->shape[0])))
    return ms_fail("bilinear: x1 is %s, x2 %s, weight %s%s%s; expected .. x I, .. x J, O x I x J and a bias of O", ms_shape_str(x1),
                   ms_shape_str(x2), ms_shape_str(w), b ? ", bias " : "", b ? ms_shape_str(b) : ""),
           -1;
  int64_t o = w->shape[0], i = w->shape[1], j = w->shape[2], n = 1;
  ms_ints shape = ms_sizes(x1);
  for (int k = 0; k < last; k++) n *= x1->shape[k];
  shape.at[last] = o;
  ms_tensor *side_by_side = ms_reshape(ms_permute(w, MS_INTS(1, 0, 2)), MS_INTS(i, o * j));
  ms_tensor *t = ms_reshape(ms_matmul(ms_reshape(x1, MS_INTS(n, i)), side_by_side, false, false), MS_INTS(n, o, j));
  ms_tensor *y = ms_sum(ms_mul(t, ms_reshape(x2, MS_INTS(n, 1, j))), MS_INTS(2), false);
  return (c->out[0] = ms_reshape(b ? ms_add(y, b) : y, shape)) ? 0 : -1;
}
MS_RULE(bilinear, .ref = bilinear_ref);
