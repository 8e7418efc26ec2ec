/* layer_norm.c -- normalisation of each sample by itself: over its last dimensions, over groups of channels, over each channel; and
 * without a mean. All composed of standardize (norm.c) and sums. */
#include "core/core.h"
#include <float.h>

/* y times w plus b, each of which may be missing. */
static ms_tensor *affine(ms_tensor *y, ms_tensor *w, ms_tensor *b) {
  if (w && b) return ms_mul_add(y, w, b);
  if (w) return ms_mul(y, w);
  return b ? ms_add(y, b) : y;
}

/* ---- over the last dimensions: layer_norm (Ba et al. 2016), rms_norm (Zhang and Sennrich 2019) ---------------------- */

/* The last dimensions of x, whose sizes must be those in `shape`; v, if it is there, has that shape. */
static int last_dims(const ms_ref *c, const ms_ints *shape, ms_ints *dims) {
  const ms_tensor *x = c->in[0];
  int before = x->rank - shape->n;
  bool fits = shape->n > 0 && before >= 0;
  for (int i = 0; fits && i < shape->n; i++) fits = x->shape[before + i] == shape->at[i];
  if (!fits)
    return ms_fail("%s: normalized_shape is %s, expected the last sizes of x, which is %s", c->op->name,
                   ms_sizes_str(shape->n, shape->at), ms_shape_str(x)),
           -1;
  for (int k = 1; k < c->n_in; k++) {
    const ms_tensor *v = c->in[k];
    bool same = !v || v->rank == shape->n;
    for (int i = 0; v && same && i < shape->n; i++) same = v->shape[i] == shape->at[i];
    if (!same)
      return ms_fail("%s: %s is %s, expected normalized_shape, %s", c->op->name, k == 1 ? "weight" : "bias", ms_shape_str(v),
                     ms_sizes_str(shape->n, shape->at)),
             -1;
  }
  dims->n = 0;
  for (int i = before; i < x->rank; i++) dims->at[dims->n++] = i;
  return 0;
}

static int layer_norm_ref(ms_ref *c) {
  ms_ints dims;
  c->n_out = 1;
  if (last_dims(c, &c->attr[0].v, &dims) < 0) return -1;
  ms_tensor *y[MS_MAX_OUT];
  if (ms_apply_n(MS_OP_standardize, NULL, MS_IN(c->in[0]), MS_ATTR(A_INTS(dims), c->attr[1]), y) < 0) return -1;
  return (c->out[0] = affine(y[0], c->in[1], c->in[2])) ? 0 : -1;
}
MS_RULE(layer_norm, .ref = layer_norm_ref);

static int rms_norm_ref(ms_ref *c) {
  ms_ints dims;
  ms_tensor *x = c->in[0];
  double eps = ms_decided(c->attr[1].s);
  c->n_out = 1;
  if (last_dims(c, &c->attr[0].v, &dims) < 0) return -1;
  if (eps < 0) eps = x->dtype == MS_F64 ? DBL_EPSILON : FLT_EPSILON;
  ms_tensor *y = ms_mul(x, ms_rsqrt(ms_add(ms_mean(ms_square(x), dims, true), ms_number(eps))));
  return (c->out[0] = affine(y, c->in[1], NULL)) ? 0 : -1;
}
MS_RULE(rms_norm, .ref = rms_norm_ref);

/* ---- over groups of channels and over each channel: group_norm (Wu and He 2018), instance_norm (Ulyanov et al. 2016) -- */

static int64_t count_after(const ms_tensor *x, int dim) {
  int64_t n = 1;
  for (int i = dim + 1; i < x->rank; i++) n *= x->shape[i];
  return n;
}

/* A number per channel, 1 x C x 1 x ... against x; NULL stays NULL. -1 after ms_fail for another shape. */
static int against(const ms_ref *c, int k, const char *name, ms_tensor **v) {
  const ms_tensor *x = c->in[0];
  ms_ints s = {.n = x->rank};
  *v = c->in[k];
  if (!*v) return 0;
  if ((*v)->rank != 1 || (*v)->shape[0] != x->shape[1])
    return ms_fail("%s: %s is %s, expected %lld values, one per channel of %s", c->op->name, name, ms_shape_str(*v),
                   (long long)x->shape[1], ms_shape_str(x)),
           -1;
  for (int i = 0; i < x->rank; i++) s.at[i] = i == 1 ? x->shape[1] : 1;
  return (*v = ms_reshape(*v, s)) ? 0 : -1;
}

static int group_norm_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *w, *b, *y[MS_MAX_OUT];
  int64_t groups = c->attr[0].i;
  c->n_out = 1;
  if (x->rank < 2) return ms_fail("group_norm: expected N x C or N x C x ..., got %s", ms_shape_str(x)), -1;
  if (groups < 1 || x->shape[1] % groups)
    return ms_fail("group_norm: %lld groups do not divide the %lld channels of %s", (long long)groups, (long long)x->shape[1],
                   ms_shape_str(x)),
           -1;
  int64_t size = x->shape[1] / groups * count_after(x, 1);
  if (size * x->shape[0] == 1) return ms_fail("group_norm: %s has one value per group, expected more", ms_shape_str(x)), -1;
  if (against(c, 1, "weight", &w) < 0 || against(c, 2, "bias", &b) < 0) return -1;
  ms_tensor *by_group = ms_reshape(x, MS_INTS(x->shape[0], groups, size));
  if (ms_apply_n(MS_OP_standardize, NULL, MS_IN(by_group), MS_ATTR(A_INTS(MS_INTS(2)), c->attr[1]), y) < 0) return -1;
  return (c->out[0] = affine(ms_reshape(y[0], ms_sizes(x)), w, b)) ? 0 : -1;
}
MS_RULE(group_norm, .ref = group_norm_ref);

/* running = (1 - momentum) running + momentum (mean of value over the samples), in place. */
static int follow(ms_tensor *running, ms_tensor *value, ms_scalar momentum) {
  ms_tensor *mean = ms_reshape(ms_mean(value, MS_INTS(0), false), ms_sizes(running));
  return ms_apply_inplace(MS_OP_lerp, MS_IN(running, mean, ms_number(ms_decided(momentum))), NULL) ? 0 : -1;
}

static int instance_norm_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *mean = c->in[1], *var = c->in[2], *w, *b, *y[MS_MAX_OUT];
  bool own = c->attr[0].i;
  c->n_out = 1;
  if (x->rank < 2) return ms_fail("instance_norm: expected N x C x ..., got %s", ms_shape_str(x)), -1;
  if ((mean == NULL) != (var == NULL)) return ms_fail("instance_norm: running_mean and running_var come together"), -1;
  if (!own && !mean) return ms_fail("instance_norm: use_input_stats = false needs running_mean and running_var"), -1;
  double n = (double)count_after(x, 1);
  if (own && n == 1) return ms_fail("instance_norm: %s has one value per channel, expected more", ms_shape_str(x)), -1;
  ms_tensor *per_channel[2];
  if (against(c, 1, "running_mean", &per_channel[0]) < 0 || against(c, 2, "running_var", &per_channel[1]) < 0 ||
      against(c, 3, "weight", &w) < 0 || against(c, 4, "bias", &b) < 0)
    return -1;
  if (!own)
    return (c->out[0] =
                ms_apply(MS_OP_batch_norm, MS_IN(x, mean, var, c->in[3], c->in[4]), MS_ATTR(A_INT(false), c->attr[1], c->attr[2])))
               ? 0
               : -1;
  ms_ints dims = {0};
  for (int i = 2; i < x->rank; i++) dims.at[dims.n++] = i;
  if (ms_apply_n(MS_OP_standardize, NULL, MS_IN(x), MS_ATTR(A_INTS(dims), c->attr[2]), y) < 0) return -1;
  c->out[0] = affine(y[0], w, b);
  if (!mean) return c->out[0] ? 0 : -1;
  bool was = ms_set_grad_enabled(false);
  ms_tensor *biased = ms_sub(ms_reciprocal(ms_square(ms_detach(y[2]))), ms_number(ms_decided(c->attr[2].s)));
  int failed =
      follow(mean, ms_detach(y[1]), c->attr[1].s) < 0 || follow(var, ms_mul(biased, ms_number(n / (n - 1))), c->attr[1].s) < 0;
  ms_set_grad_enabled(was);
  return failed || !c->out[0] ? -1 : 0;
}
MS_RULE(instance_norm, .ref = instance_norm_ref);

/* ---- over neighbouring channels (Krizhevsky et al. 2012) ---------------------------------------------------------------- */

static int local_response_norm_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  int64_t size = c->attr[0].i;
  double alpha = ms_decided(c->attr[1].s), beta = ms_decided(c->attr[2].s), k = ms_decided(c->attr[3].s);
  c->n_out = 1;
  if (x->rank < 3) return ms_fail("local_response_norm: expected N x C x ..., got %s", ms_shape_str(x)), -1;
  if (size < 1) return ms_fail("local_response_norm: size is %lld, expected 1 or more", (long long)size), -1;
  /* So many channels before and after, all there are at most. */
  int64_t channels = x->shape[1], before = size / 2, after = (size - 1) / 2;
  if (before > channels) before = channels;
  if (after > channels) after = channels;
  ms_ints pads = {.n = 2 * (x->rank - 1)};
  pads.at[pads.n - 2] = before, pads.at[pads.n - 1] = after;
  ms_tensor *squares = ms_constant_pad(ms_square(x), pads, 0), *sum = NULL;
  for (int64_t i = 0; i <= before + after; i++) {
    ms_tensor *t = ms_slice(squares, 1, i, x->shape[1], 1);
    sum = sum ? ms_add(sum, t) : t;
  }
  ms_tensor *scale = ms_mul_add(sum, ms_number(alpha / (double)size), ms_number(k));
  return (c->out[0] = ms_div(x, ms_pow(scale, ms_number(beta)))) ? 0 : -1;
}
MS_RULE(local_response_norm, .ref = local_response_norm_ref);
