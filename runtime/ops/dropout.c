/* dropout.c -- operations that leave out elements, or channels, at random while training; functions of PyTorch. */
#include "core/core.h"
#include <math.h>

/* Ones with probability 1 - p, else zeros. */
static ms_tensor *kept(const ms_tensor *x, ms_ints shape, double p) {
  ms_tensor *mask[MS_MAX_OUT];
  ms_attr attr[] = {A_INTS(shape), A_NUM(1 - p), A_INT(x->dtype)};
  return ms_apply_n(MS_OP_bernoulli, x->device, 0, NULL, attr, mask) < 0 ? NULL : mask[0];
}

/* What dropouts begin with: 1 if the result is there, 0 if a mask is wanted, -1 after ms_fail. */
static int trivial(ms_ref *c, double p) {
  ms_tensor *x = c->in[0];
  c->n_out = 1;
  if (!(p >= 0 && p <= 1)) return ms_fail("%s: p = %g, expected 0 <= p <= 1", c->op->name, p), -1;
  if (!c->attr[1].i || p == 0) return c->out[0] = x, 1;
  if (p == 1) return (c->out[0] = ms_mul(x, ms_number(0))) ? 1 : -1;
  return 0;
}

static int drop(ms_ref *c, ms_ints shape, double p) {
  return (c->out[0] = ms_mul(c->in[0], ms_mul(kept(c->in[0], shape, p), ms_number(1 / (1 - p))))) ? 0 : -1;
}

static int dropout_ref(ms_ref *c) {
  double p = ms_decided(c->attr[0].s);
  int done = trivial(c, p);
  return done ? (done < 0 ? -1 : 0) : drop(c, ms_sizes(c->in[0]), p);
}
MS_RULE(dropout, .ref = dropout_ref);

/* One number for each channel, dimension `channel` of those before it. */
static ms_ints channels_of(const ms_tensor *x, int channel) {
  ms_ints shape = ms_sizes(x);
  for (int i = channel + 1; i < shape.n; i++) shape.at[i] = 1;
  return shape;
}

static int drop_channels(ms_ref *c, int channel) {
  double p = ms_decided(c->attr[0].s);
  int done = trivial(c, p);
  return done ? (done < 0 ? -1 : 0) : drop(c, channels_of(c->in[0], channel), p);
}

static int dropout1d_ref(ms_ref *c) {
  const ms_tensor *x = c->in[0];
  if (x->rank != 2 && x->rank != 3) return ms_fail("dropout1d: expected C x L or N x C x L, got %s", ms_shape_str(x)), -1;
  return drop_channels(c, x->rank - 2);
}
MS_RULE(dropout1d, .ref = dropout1d_ref);

static int dropout2d_ref(ms_ref *c) { /* three dimensions: as PyTorch, N x C x L */
  const ms_tensor *x = c->in[0];
  if (x->rank != 3 && x->rank != 4) return ms_fail("dropout2d: expected N x C x H x W or N x C x L, got %s", ms_shape_str(x)), -1;
  return drop_channels(c, 1);
}
MS_RULE(dropout2d, .ref = dropout2d_ref);

/* Klambauer et al. 2017: what is left out becomes the value that selu has far to the left, and the whole is brought back to mean 0
 * and variance 1. */
static int alpha_drop(ms_ref *c, ms_ints shape, double p) {
  const double alpha = 1.7580993408473766, a = 1 / sqrt((alpha * alpha * p + 1) * (1 - p));
  ms_tensor *keep = kept(c->in[0], shape, p);
  ms_tensor *shift = ms_mul_add(keep, ms_number(alpha * a), ms_number(alpha * a * (p - 1)));
  return (c->out[0] = ms_mul_add(c->in[0], ms_mul(keep, ms_number(a)), shift)) ? 0 : -1;
}

static int alpha_dropout_ref(ms_ref *c) {
  double p = ms_decided(c->attr[0].s);
  int done = trivial(c, p);
  return done ? (done < 0 ? -1 : 0) : alpha_drop(c, ms_sizes(c->in[0]), p);
}
MS_RULE(alpha_dropout, .ref = alpha_dropout_ref);

static int feature_alpha_dropout_ref(ms_ref *c) {
  double p = ms_decided(c->attr[0].s);
  if (c->in[0]->rank < 2) return ms_fail("feature_alpha_dropout: expected N x C x ..., got %s", ms_shape_str(c->in[0])), -1;
  int done = trivial(c, p);
  return done ? (done < 0 ? -1 : 0) : alpha_drop(c, channels_of(c->in[0], 1), p);
}
MS_RULE(feature_alpha_dropout, .ref = feature_alpha_dropout_ref);
