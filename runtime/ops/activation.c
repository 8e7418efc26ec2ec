/* activation.c -- activations that are composed of others. The rest are lines of elementwise.def. */
#include "reduce.h"

static int gelu_ref(ms_ref *c) { return ms_give(c, c->attr[0].i ? ms_gelu_tanh(c->in[0]) : ms_gelu_exact(c->in[0])); }
MS_RULE(gelu, .ref = gelu_ref);

/* weight: one for all, or one per channel, the second dimension of x (the only one, where x has one). */
static int prelu_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *w = c->in[1];
  const int64_t n = ms_numel(w), channels = x->rank > 1 ? x->shape[1] : 1;
  if (w->rank > 1 || (n != 1 && (x->rank < 2 || n != channels)))
    return ms_fail("prelu: weight is %s, expected one number, or %lld, one per channel of %s", ms_shape_str(w), (long long)channels,
                   ms_shape_str(x)),
           -1;
  ms_ints v = {.n = n == 1 ? 0 : x->rank - 1};
  for (int i = 0; i < v.n; i++) v.at[i] = i ? 1 : n;
  return ms_give(c, ms_leaky_relu(x, ms_reshape(w, v)));
}
MS_RULE(prelu, .ref = prelu_ref);

/* A slope for each element below 0, drawn from lower..upper while training, and the one in the middle otherwise. */
static int rrelu_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *slope[MS_MAX_OUT];
  const double lower = ms_decided(c->attr[0].s), upper = ms_decided(c->attr[1].s);
  if (!(lower <= upper)) return ms_fail("rrelu: lower is %g, upper is %g, expected lower <= upper", lower, upper), -1;
  if (!c->attr[2].i) return ms_give(c, ms_leaky_relu(x, ms_number((lower + upper) / 2)));
  if (ms_apply_n(MS_OP_rand, x->device, 0, NULL, MS_ATTR(A_INTS(ms_sizes(x)), c->attr[0], c->attr[1], A_INT(x->dtype)), slope) < 0)
    return -1;
  return ms_give(c, ms_leaky_relu(x, slope[0]));
}
MS_RULE(rrelu, .ref = rrelu_ref);

/* The first half of x along dim, where the sigmoid of the second lets it pass. */
static int glu_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  const int d = ms_dim(c->attr[0].i, x->rank, "glu");
  if (d < 0) return -1;
  const int64_t half = x->shape[d] / 2;
  if (x->shape[d] % 2) return ms_fail("glu: dimension %d of %s is odd, expected two halves", d + 1, ms_shape_str(x)), -1;
  return ms_give(c, ms_mul(ms_slice(x, d, 0, half, 1), ms_sigmoid(ms_slice(x, d, half, half, 1))));
}
MS_RULE(glu, .ref = glu_ref);

static int softmin_ref(ms_ref *c) { return ms_give(c, ms_softmax(ms_neg(c->in[0]), c->attr[0].i)); }
MS_RULE(softmin, .ref = softmin_ref);
