/* norm.c -- normalisation by mean and variance, batch norm on top of it. */
#include "core/core.h"

/* ---- standardize: results y = (x - mean) * rstd, mean, rstd (kept dimensions) --------------------------------------
 * With m(.) the mean over dims and gy, gm, gr the gradients that arrive:
 *     dx = rstd (gy - m(gy) - y m(gy y)) + gm / n - gr rstd^2 y / n
 * The first part is a row of its own, standardize_grad; all is public operations of y and rstd, so derivatives of any order follow.
 */

static int standardize_shape(ms_infer *s) {
  ms_tensor *x = s->in[0];
  if (ms_dims(&s->attr[0].v, x->rank, "standardize") < 0) return -1;
  ms_ints v = ms_sizes(x);
  for (int k = 0; k < s->attr[0].v.n; k++) v.at[s->attr[0].v.at[k]] = 1;
  if (ms_out_like(s, 0, x) < 0 || ms_out(s, 1, x->dtype, v.n, v.at) < 0) return -1;
  return ms_out(s, 2, x->dtype, v.n, v.at);
}

static int standardize_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  ms_ints d = c->attr[0].v;
  ms_tensor *mean = ms_mean(x, d, true), *diff = ms_sub(x, mean);
  ms_tensor *rstd = ms_rsqrt(ms_add(ms_mean(ms_square(diff), d, true), ms_number(ms_decided(c->attr[1].s))));
  c->out[0] = ms_mul(diff, rstd), c->out[1] = mean, c->out[2] = rstd;
  return c->out[0] ? 0 : -1;
}

static int standardize_vjp(ms_vjp *c) {
  ms_ints d = c->attr[0].v;
  ms_tensor *y = c->r[0], *rstd = c->r[2], *gy = c->g[0], *gm = c->g[1], *gr = c->g[2], *dx = NULL;
  double n = 1;
  for (int k = 0; k < d.n; k++) n *= (double)c->x[0]->shape[d.at[k]];
  if (gy) dx = ms_apply(MS_OP_standardize_grad, MS_IN(gy, y, rstd), MS_ATTR(c->attr[0]));
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
MS_RULE(standardize, .shape = standardize_shape, .ref = standardize_ref, .vjp = standardize_vjp, .keep_out = 1 | 4);

static int standardize_grad_shape(ms_infer *s) {
  const ms_tensor *g = s->in[0], *y = s->in[1], *rstd = s->in[2];
  bool fits = g->rank == y->rank && g->rank == rstd->rank;
  if (ms_dims(&s->attr[0].v, g->rank, "standardize_grad") < 0) return -1;
  const ms_ints *d = &s->attr[0].v;
  for (int i = 0, k = 0; fits && i < g->rank; i++) {
    bool gone = k < d->n && d->at[k] == i;
    k += gone;
    fits = g->shape[i] == y->shape[i] && rstd->shape[i] == (gone ? 1 : g->shape[i]);
  }
  if (!fits)
    return ms_fail("standardize_grad: g is %s, y %s, rstd %s; expected two equal shapes and one with 1 in place of the dimensions",
                   ms_shape_str(g), ms_shape_str(y), ms_shape_str(rstd)),
           -1;
  return ms_out_like(s, 0, g);
}

static int standardize_grad_ref(ms_ref *c) {
  ms_ints d = c->attr[0].v;
  ms_tensor *g = c->in[0], *y = c->in[1];
  ms_tensor *t = ms_sub(ms_sub(g, ms_mean(g, d, true)), ms_mul(y, ms_mean(ms_mul(g, y), d, true)));
  return (c->out[0] = ms_mul(c->in[2], t)) ? 0 : -1;
}
MS_RULE(standardize_grad, .shape = standardize_grad_shape, .ref = standardize_grad_ref);

/* ---- batch norm -------------------------------------------------------------------------------------------------- */

/* Values per channel as 1 x C x 1 x ... against x. */
static ms_tensor *against(ms_tensor *v, const ms_tensor *x) {
  if (!v) return NULL;
  ms_ints s = {.n = x->rank};
  for (int i = 0; i < x->rank; i++) s.at[i] = i == 1 ? x->shape[1] : 1;
  return ms_reshape(v, s);
}

static ms_ints all_but_channels(const ms_tensor *x) {
  ms_ints d = {0};
  for (int i = 0; i < x->rank; i++)
    if (i != 1) d.at[d.n++] = i;
  return d;
}

static double per_channel_count(const ms_tensor *x) {
  double n = 1;
  for (int i = 0; i < x->rank; i++)
    if (i != 1) n *= (double)x->shape[i];
  return n;
}

static int check_channels(const ms_tensor *v, const ms_tensor *x, const char *op, const char *name) {
  if (!v || (v->rank == 1 && v->shape[0] == x->shape[1])) return 0;
  return ms_fail("%s: %s is %s, expected %lld values, one per channel of %s", op, name, ms_shape_str(v), (long long)x->shape[1],
                 ms_shape_str(x)),
         -1;
}

static int check_batch(const ms_tensor *x, const char *op) {
  return x->rank >= 2 ? 0 : (ms_fail("%s: expected N x C or N x C x ..., got %s", op, ms_shape_str(x)), -1);
}

static int batch_normalize_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  if (check_batch(x, s->op->name) < 0 || check_channels(s->in[1], x, s->op->name, "weight") < 0 ||
      check_channels(s->in[2], x, s->op->name, "bias") < 0 || ms_out_like(s, 0, x) < 0 ||
      ms_out(s, 1, x->dtype, 1, &x->shape[1]) < 0)
    return -1;
  return ms_out(s, 2, x->dtype, 1, &x->shape[1]);
}

static int batch_normalize_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *w = c->in[1], *b = c->in[2], *out[MS_MAX_OUT];
  if (ms_apply_n(MS_OP_standardize, NULL, MS_IN(x), MS_ATTR(A_INTS(all_but_channels(x)), c->attr[0]), out) < 0) return -1;
  ms_tensor *y = out[0];
  if (w) y = ms_mul(y, against(w, x));
  if (b) y = ms_add(y, against(b, x));
  ms_ints channels = MS_INTS(x->shape[1]);
  c->out[0] = y, c->out[1] = ms_reshape(out[1], channels), c->out[2] = ms_reshape(out[2], channels);
  return y && c->out[1] && c->out[2] ? 0 : -1;
}

/* As for standardize, with d = gy weight in the place of gy. */
static int batch_normalize_vjp(ms_vjp *c) {
  ms_tensor *x = c->x[0], *mean = c->r[1], *rstd = c->r[2], *gm = c->g[1], *gr = c->g[2], *dx = NULL;
  ms_tensor *share = ms_number(1 / per_channel_count(x));
  if (c->g[0]) {
    ms_tensor *out[MS_MAX_OUT];
    if (ms_apply_n(MS_OP_batch_normalize_grad, NULL, MS_IN(c->g[0], x, mean, rstd, c->x[1]), NULL, out) < 0) return -1;
    dx = out[0];
    if (c->need[1]) c->dx[1] = out[1];
    if (c->need[2]) c->dx[2] = out[2];
  }
  if (!c->need[0]) return 0;
  if (gm) {
    ms_tensor *t = ms_expand(against(ms_mul(gm, share), x), ms_sizes(x));
    dx = dx ? ms_add(dx, t) : t;
  }
  if (gr) {
    ms_tensor *slope = ms_mul(ms_mul(gr, share), ms_mul(rstd, ms_square(rstd)));
    ms_tensor *t = ms_mul(ms_sub(against(mean, x), x), against(slope, x));
    dx = dx ? ms_add(dx, t) : t;
  }
  c->dx[0] = dx;
  return ms_error() ? -1 : 0;
}
MS_RULE(batch_normalize, .shape = batch_normalize_shape, .ref = batch_normalize_ref, .vjp = batch_normalize_vjp, .keep_in = 3,
        .keep_out = 6);

static int batch_normalize_grad_shape(ms_infer *s) {
  const ms_tensor *g = s->in[0], *x = s->in[1];
  static const char *const name[] = {"g", "x", "mean", "rstd", "weight"};
  bool same = g->rank == x->rank;
  for (int i = 0; same && i < x->rank; i++) same = g->shape[i] == x->shape[i];
  if (!same) return ms_fail("batch_normalize_grad: g is %s, x %s; expected equal shapes", ms_shape_str(g), ms_shape_str(x)), -1;
  if (check_batch(x, s->op->name) < 0) return -1;
  for (int i = 2; i < 5; i++)
    if (check_channels(s->in[i], x, s->op->name, name[i]) < 0) return -1;
  if (ms_out_like(s, 0, x) < 0 || ms_out(s, 1, x->dtype, 1, &x->shape[1]) < 0) return -1;
  return ms_out(s, 2, x->dtype, 1, &x->shape[1]);
}

/* With h = (x - mean) rstd: dx = rstd weight (g - mean(g) - h mean(g h)), sum(g h), sum(g). */
static int batch_normalize_grad_ref(ms_ref *c) {
  ms_tensor *g = c->in[0], *x = c->in[1], *r = against(c->in[3], x), *w = against(c->in[4], x);
  ms_ints d = all_but_channels(x), channels = MS_INTS(x->shape[1]);
  ms_tensor *h = ms_mul(ms_sub(x, against(c->in[2], x)), r), *share = ms_number(1 / per_channel_count(x));
  ms_tensor *gh = ms_sum(ms_mul(g, h), d, true), *gs = ms_sum(g, d, true);
  ms_tensor *t = ms_sub(ms_sub(g, ms_mul(gs, share)), ms_mul(h, ms_mul(gh, share)));
  c->out[0] = ms_mul(t, w ? ms_mul(r, w) : r), c->out[1] = ms_reshape(gh, channels), c->out[2] = ms_reshape(gs, channels);
  return c->out[0] && c->out[1] && c->out[2] ? 0 : -1;
}
MS_RULE(batch_normalize_grad, .shape = batch_normalize_grad_shape, .ref = batch_normalize_grad_ref);

static int follow_shape(ms_infer *s) {
  const ms_tensor *mean = s->in[0];
  static const char *const name[] = {"running_mean", "running_var", "mean", "rstd"};
  for (int i = 0; i < 4; i++)
    if (s->in[i]->rank != 1 || s->in[i]->shape[0] != mean->shape[0])
      return ms_fail("batch_norm_follow_: running_mean is %s, %s %s; expected one value per channel in each", ms_shape_str(mean),
                     name[i], ms_shape_str(s->in[i])),
             -1;
  return 0;
}

static int follow(ms_tensor *running, ms_tensor *value, double momentum) {
  ms_tensor *m = ms_number(momentum);
  return ms_apply_inplace(MS_OP_lerp, MS_IN(running, ms_cast(value, running->dtype), m), NULL) ? 0 : -1;
}

static int follow_ref(ms_ref *c) {
  double n = (double)c->attr[0].i;
  double momentum = ms_decided(c->attr[1].s);
  ms_tensor *biased = ms_sub(ms_reciprocal(ms_square(c->in[3])), ms_number(ms_decided(c->attr[2].s)));
  if (follow(c->in[0], c->in[2], momentum) < 0 || follow(c->in[1], ms_mul(biased, ms_number(n / (n - 1))), momentum) < 0) return -1;
  return c->n_out = 0;
}
MS_RULE(batch_norm_follow_, .shape = follow_shape, .ref = follow_ref);

static int batch_norm_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *mean = c->in[1], *var = c->in[2], *w = c->in[3], *b = c->in[4];
  bool training = c->attr[0].i;
  double eps = ms_decided(c->attr[2].s);
  if (check_batch(x, "batch_norm") < 0) return -1;
  if ((mean == NULL) != (var == NULL)) return ms_fail("batch_norm: running_mean and running_var come together"), -1;
  if (!training && !mean) return ms_fail("batch_norm: evaluation needs running_mean and running_var"), -1;
  if (check_channels(mean, x, "batch_norm", "running_mean") < 0 || check_channels(var, x, "batch_norm", "running_var") < 0 ||
      check_channels(w, x, "batch_norm", "weight") < 0 || check_channels(b, x, "batch_norm", "bias") < 0)
    return -1;
  c->n_out = 1;
  if (training) {
    double n = per_channel_count(x);
    if (n <= 1)
      return ms_fail("batch_norm: %s has one value per channel, expected more while training; a loader with drop_last = true "
                     "leaves out a last batch of one sample",
                     ms_shape_str(x)),
             -1;
    ms_tensor *out[MS_MAX_OUT];
    if (ms_apply_n(MS_OP_batch_normalize, NULL, MS_IN(x, w, b), MS_ATTR(c->attr[2]), out) < 0) return -1;
    c->out[0] = out[0];
    if (!mean) return 0;
    bool was = ms_set_grad_enabled(false);
    ms_tensor *r = ms_apply(MS_OP_batch_norm_follow_, MS_IN(mean, var, ms_detach(out[1]), ms_detach(out[2])),
                            MS_ATTR(A_INT((int64_t)n), c->attr[1], c->attr[2]));
    ms_set_grad_enabled(was);
    return r ? 0 : -1;
  }
  /* y = x scale + shift */
  ms_tensor *scale = ms_rsqrt(ms_add(ms_detach(var), ms_number(eps))), *shift;
  if (w) scale = ms_mul(scale, w);
  shift = ms_mul(ms_detach(mean), scale);
  shift = b ? ms_sub(b, shift) : ms_neg(shift);
  return (c->out[0] = ms_mul_add(x, against(scale, x), against(shift, x))) ? 0 : -1;
}
MS_RULE(batch_norm, .ref = batch_norm_ref);
