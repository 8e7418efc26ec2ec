/* norm.c -- normalisation by mean and variance, batch norm on top of it, dropout. */
#include "core/core.h"

/* ---- normalize: results y = (x - mean) * rstd, mean, rstd (kept dimensions) --------------------------------------------------------
 * With m(.) the mean over dims and gy, gm, gr the gradients that arrive:
 *     dx = rstd (gy - m(gy) - y m(gy y)) + gm / n - gr rstd^2 y / n
 * in public operations of y and rstd, so derivatives of any order follow. */

static int normalize_shape(ms_infer *s) {
  ms_tensor *x = s->in[0];
  if (ms_dims(&s->attr[0].v, x->rank, "normalize") < 0) return -1;
  ms_ints v = ms_sizes(x);
  for (int k = 0; k < s->attr[0].v.n; k++) v.at[s->attr[0].v.at[k]] = 1;
  if (ms_out_like(s, 0, x) < 0 || ms_out(s, 1, x->dtype, v.n, v.at) < 0) return -1;
  return ms_out(s, 2, x->dtype, v.n, v.at);
}

static int normalize_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  ms_ints d = c->attr[0].v;
  ms_tensor *mean = ms_mean(x, d, true), *diff = ms_sub(x, mean);
  ms_tensor *rstd = ms_rsqrt(ms_add(ms_mean(ms_square(diff), d, true), ms_number(ms_scalar_value(c->attr[1].s))));
  c->out[0] = ms_mul(diff, rstd), c->out[1] = mean, c->out[2] = rstd;
  return c->out[0] ? 0 : -1;
}

static int normalize_vjp(ms_vjp *c) {
  ms_ints d = c->attr[0].v;
  ms_tensor *y = c->r[0], *rstd = c->r[2], *gy = c->g[0], *gm = c->g[1], *gr = c->g[2], *dx = NULL;
  double n = 1;
  for (int k = 0; k < d.n; k++) n *= (double)c->x[0]->shape[d.at[k]];
  if (gy) {
    ms_tensor *t = ms_sub(ms_sub(gy, ms_mean(gy, d, true)), ms_mul(y, ms_mean(ms_mul(gy, y), d, true)));
    dx = ms_mul(rstd, t);
  }
  if (gm) {
    ms_tensor *t = ms_expand(ms_mul(gm, ms_number(1 / n)), ms_sizes(c->x[0]));
    dx = dx ? ms_add(dx, t) : t;
  }
  if (gr) {
    ms_tensor *t = ms_mul(ms_mul(ms_mul(gr, ms_square(rstd)), ms_number(-1 / n)), y);
    dx = dx ? ms_add(dx, t) : t;
  }
  c->dx[0] = dx;
  return ms_error() ? -1 : 0;
}
MS_RULE(normalize, .shape = normalize_shape, .ref = normalize_ref, .vjp = normalize_vjp, .keep_out = 1 | 4);

/* ---- batch_norm ------------------------------------------------------------------------------------------------------------------ */

/* A per-channel vector as 1 x C x 1 x ... against x. */
static ms_tensor *per_channel(ms_tensor *v, const ms_tensor *x, const char *name) {
  if (v->rank != 1 || v->shape[0] != x->shape[1])
    return ms_fail("batch_norm: %s is %s, expected %lld values, one per channel of %s", name, ms_shape_str(v), (long long)x->shape[1],
                   ms_shape_str(x));
  ms_ints s = {.n = x->rank};
  for (int i = 0; i < x->rank; i++) s.at[i] = i == 1 ? x->shape[1] : 1;
  return ms_reshape(v, s);
}

/* running = (1 - momentum) running + momentum value, without a graph. */
static int follow(ms_tensor *running, ms_tensor *value, double momentum) {
  bool was = ms_set_grad_enabled(false);
  ms_tensor *v = ms_reshape(ms_cast(ms_detach(value), running->dtype), ms_sizes(running));
  ms_tensor *r = ms_apply_inplace(MS_OP_lerp, MS_IN(running, v, ms_number(momentum)), NULL);
  ms_set_grad_enabled(was);
  return r ? 0 : -1;
}

static int batch_norm_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *w = c->in[1], *b = c->in[2], *mean = c->in[3], *var = c->in[4], *y;
  bool training = c->attr[0].i;
  double momentum = ms_scalar_value(c->attr[1].s), eps = ms_scalar_value(c->attr[2].s);
  if (x->rank < 2) return ms_fail("batch_norm: expected N x C or N x C x ..., got %s", ms_shape_str(x)), -1;
  if ((mean == NULL) != (var == NULL)) return ms_fail("batch_norm: running_mean and running_var come together"), -1;
  if (!training && !mean) return ms_fail("batch_norm: evaluation needs running_mean and running_var"), -1;
  if (mean && (!per_channel(mean, x, "running_mean") || !per_channel(var, x, "running_var"))) return -1;
  if (training) {
    ms_ints d = {0};
    double n = 1;
    for (int i = 0; i < x->rank; i++)
      if (i != 1) d.at[d.n++] = i, n *= (double)x->shape[i];
    if (n <= 1) return ms_fail("batch_norm: %s has one value per channel, expected more while training", ms_shape_str(x)), -1;
    ms_tensor *out[MS_MAX_OUT];
    if (ms_apply_n(MS_OP_normalize, NULL, MS_IN(x), MS_ATTR(A_INTS(d), A_NUM(eps)), out) < 0) return -1;
    y = out[0];
    if (mean) {
      ms_tensor *r = ms_detach(out[2]);
      ms_tensor *biased = ms_sub(ms_reciprocal(ms_square(r)), ms_number(eps));
      if (follow(mean, out[1], momentum) < 0 || follow(var, ms_mul(biased, ms_number(n / (n - 1))), momentum) < 0) return -1;
    }
  } else {
    ms_tensor *m = per_channel(ms_detach(mean), x, "running_mean"), *v = per_channel(ms_detach(var), x, "running_var");
    y = ms_mul(ms_sub(x, m), ms_rsqrt(ms_add(v, ms_number(eps))));
  }
  if (w) y = ms_mul(y, per_channel(w, x, "weight"));
  if (b) y = ms_add(y, per_channel(b, x, "bias"));
  c->n_out = 1;
  return (c->out[0] = y) ? 0 : -1;
}
MS_RULE(batch_norm, .ref = batch_norm_ref);

/* ---- dropout ---------------------------------------------------------------------------------------------------------------------- */

static int dropout_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *mask[MS_MAX_OUT];
  double p = ms_scalar_value(c->attr[0].s);
  c->n_out = 1;
  if (!(p >= 0 && p < 1)) return ms_fail("dropout: p = %g, expected 0 <= p < 1", p), -1;
  if (!c->attr[1].i || p == 0) return c->out[0] = x, 0;
  if (ms_apply_n(MS_OP_bernoulli, x->device, 0, NULL, MS_ATTR(A_INTS(ms_sizes(x)), A_NUM(1 - p), A_INT(x->dtype)), mask) < 0) return -1;
  return (c->out[0] = ms_mul(x, ms_mul(mask[0], ms_number(1 / (1 - p))))) ? 0 : -1;
}
MS_RULE(dropout, .ref = dropout_ref);
