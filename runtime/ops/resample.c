/* resample.c -- resampling of H x W: interpolate and its adjoint are linear and differentiate into one another. */
#include "core/core.h"

/* Attribute 0 as the pair height, width, each 1..2^31 - 1; in[0] an N x C x H x W with planes that are not empty. */
static int check_pictures(ms_infer *s, const char *name, const char *what) {
  const ms_tensor *x = s->in[0];
  ms_ints *v = &s->attr[0].v;
  if (x->rank != 4) return ms_fail("%s: %s is %s, expected N x C x H x W", s->op->name, name, ms_shape_str(x)), -1;
  if (ms_pair(s->op->name, what, v, 1) < 0) return -1;
  for (int i = 0; i < 2; i++)
    if (x->shape[2 + i] < 1 || x->shape[2 + i] > INT32_MAX)
      return ms_fail("%s: %s is %s, expected height and width of 1 or more", s->op->name, name, ms_shape_str(x)), -1;
  return ms_out(s, 0, x->dtype, 4, (int64_t[]){x->shape[0], x->shape[1], v->at[0], v->at[1]});
}

static int resample_adjoint(ms_vjp *c, int id) {
  ms_ints size = MS_INTS(c->x[0]->shape[2], c->x[0]->shape[3]);
  return (c->dx[0] = ms_apply(id, MS_IN(c->g[0]), MS_ATTR(A_INTS(size), c->attr[1]))) ? 0 : -1;
}

/* Nearest resampling by whole factors: only powers of two are exact in the rule for positions. */
static ms_windows whole_windows(const ms_call *c, const ms_view *small, const ms_view *large, int64_t *factor, ms_windows does) {
  if (c->attr[1].i != 0 || !ms_view_numel(large)) return MS_WINDOWS_NONE;
  for (int i = 0; i < 2; i++) {
    factor[i] = large->shape[2 + i] / small->shape[2 + i];
    if (factor[i] * small->shape[2 + i] != large->shape[2 + i] || (factor[i] & (factor[i] - 1))) return MS_WINDOWS_NONE;
  }
  return factor[0] * factor[1] > 1 ? does : MS_WINDOWS_NONE;
}

static int interpolate_shape(ms_infer *s) { return check_pictures(s, "x", "size"); }
static int interpolate_vjp(ms_vjp *c) { return resample_adjoint(c, MS_OP_interpolate_grad); }
static ms_windows interpolate_windows(const ms_call *c, int64_t *factor) {
  return whole_windows(c, &c->in[0], &c->out[0], factor, MS_WINDOWS_FILLED);
}
MS_RULE(interpolate, .shape = interpolate_shape, .vjp = interpolate_vjp, .windows = interpolate_windows);

static int interpolate_grad_shape(ms_infer *s) { return check_pictures(s, "g", "input"); }
static int interpolate_grad_vjp(ms_vjp *c) { return resample_adjoint(c, MS_OP_interpolate); }
static ms_windows interpolate_grad_windows(const ms_call *c, int64_t *factor) {
  return whole_windows(c, &c->out[0], &c->in[0], factor, MS_WINDOWS_SUMMED);
}
MS_RULE(interpolate_grad, .shape = interpolate_grad_shape, .vjp = interpolate_grad_vjp, .windows = interpolate_grad_windows);
