/* similarity.c -- lengths and angles of vectors that lie along a dimension. */
#include "loss.h"

/* x / max(norm, eps) */
static int normalize_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  const int d = ms_dim(c->attr[1].i, x->rank, "normalize");
  if (d < 0) return -1;
  ms_tensor *length = ms_norm_over(x, ms_decided(c->attr[0].s), d, true);
  return ms_give(c, ms_div(x, ms_maximum(length, ms_number(ms_decided(c->attr[2].s)))));
}
MS_RULE(normalize, .ref = normalize_ref);

/* The cosine of the angle between a and b, which broadcast, along dim: each divided by its length, which counts as eps at least. */
static int cosine_similarity_ref(ms_ref *c) {
  ms_tensor *a = c->in[0], *b = c->in[1], *eps = ms_number(ms_decided(c->attr[1].s));
  int rank;
  int64_t shape[MS_MAX_RANK];
  if (ms_broadcast("cosine_similarity", 2, c->in, &rank, shape) < 0) return -1;
  const int d = ms_dim(c->attr[0].i, rank, "cosine_similarity");
  if (d < 0) return -1;
  ms_ints sizes = {.n = rank};
  for (int i = 0; i < rank; i++) sizes.at[i] = shape[i];
  if (a->rank < rank || a->shape[d] != shape[d]) a = ms_expand(a, sizes);
  if (b && (b->rank < rank || b->shape[d] != shape[d])) b = ms_expand(b, sizes);
  ms_tensor *p = ms_div(a, ms_maximum(ms_norm_over(a, 2, d, true), eps)),
            *q = ms_div(b, ms_maximum(ms_norm_over(b, 2, d, true), eps));
  return ms_give(c, ms_sum(ms_mul(p, q), MS_INTS(d), false));
}
MS_RULE(cosine_similarity, .ref = cosine_similarity_ref);

ms_tensor *ms_distance(ms_tensor *a, ms_tensor *b, double p, double eps, bool keepdim) {
  ms_tensor *d = ms_add(ms_sub(a, b), ms_number(eps));
  return d ? ms_norm_over(d, p, d->rank - 1, keepdim) : NULL;
}

static int pairwise_distance_ref(ms_ref *c) {
  ms_tensor *a = c->in[0], *b = c->in[1];
  int rank;
  int64_t shape[MS_MAX_RANK];
  if (ms_broadcast("pairwise_distance", 2, c->in, &rank, shape) < 0) return -1;
  if (!a->rank || !b->rank)
    return ms_fail("pairwise_distance: x1 is %s, x2 %s; expected vectors along the last dimension", ms_shape_str(a),
                   ms_shape_str(b)),
           -1;
  return ms_give(c, ms_distance(a, b, ms_decided(c->attr[0].s), ms_decided(c->attr[1].s), c->attr[2].i));
}
MS_RULE(pairwise_distance, .ref = pairwise_distance_ref);
