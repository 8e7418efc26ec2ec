/* resample.c -- resampling of H x W: `resample` and its adjoint are linear and differentiate into one another; `interpolate` is how
 * users call it, with PyTorch's options. */
#include "images.h"
#include <math.h>

enum { NEAREST, BILINEAR, BICUBIC, NEAREST_EXACT };     /* modes of resample */
enum { SIZE, MODE, ALIGN, SCALE };                      /* attributes of resample */
enum { I_SIZE, I_SCALE, I_MODE, I_ALIGN, I_RECOMPUTE }; /* attributes of interpolate */
enum { I_NEAREST, I_LINEAR, I_BILINEAR, I_BICUBIC, I_AREA, I_NEAREST_EXACT };

/* Attribute 0 as the pair height, width, each 1..2^31 - 1; in[0] an N x C x H x W with planes that are not empty. */
static int check_pictures(ms_infer *s, const char *name, const char *what) {
  const ms_tensor *x = s->in[0];
  ms_ints *v = &s->attr[0].v;
  if (x->rank != 4) return ms_fail("%s: %s is %s, expected N x C x H x W", s->op->name, name, ms_shape_str(x)), -1;
  if (ms_pair(s->op->name, what, v, 1) < 0) return -1;
  for (int i = 0; i < 2; i++)
    if (x->shape[2 + i] < 1 || x->shape[2 + i] > INT32_MAX)
      return ms_fail("%s: %s is %s, expected height and width of 1 or more", s->op->name, name, ms_shape_str(x)), -1;
  if (s->attr[SCALE].v.n != 0 && s->attr[SCALE].v.n != 2)
    return ms_fail("%s: %d numbers for scale, expected two", s->op->name, s->attr[SCALE].v.n), -1;
  return ms_out(s, 0, x->dtype, 4, (int64_t[]){x->shape[0], x->shape[1], v->at[0], v->at[1]});
}

static int resample_adjoint(ms_vjp *c, int id) {
  ms_ints size = MS_INTS(c->x[0]->shape[2], c->x[0]->shape[3]);
  return ms_give_dx(c, ms_apply(id, MS_IN(c->g[0]), MS_ATTR(A_INTS(size), c->attr[MODE], c->attr[ALIGN], c->attr[SCALE])));
}

/* Nearest resampling by whole factors: only powers of two are exact in the rule for positions. */
static ms_windows whole_windows(const ms_call *c, const ms_view *small, const ms_view *large, int64_t *factor, ms_windows does) {
  const int64_t mode = c->attr[MODE].i;
  if ((mode != NEAREST && mode != NEAREST_EXACT) || c->attr[SCALE].v.n || !ms_view_numel(large)) return MS_WINDOWS_NONE;
  for (int i = 0; i < 2; i++) {
    factor[i] = large->shape[2 + i] / small->shape[2 + i];
    if (factor[i] * small->shape[2 + i] != large->shape[2 + i] || (factor[i] & (factor[i] - 1))) return MS_WINDOWS_NONE;
  }
  return factor[0] * factor[1] > 1 ? does : MS_WINDOWS_NONE;
}

static int resample_shape(ms_infer *s) { return check_pictures(s, "x", "size"); }
static int resample_vjp(ms_vjp *c) { return resample_adjoint(c, MS_OP_resample_grad); }
static ms_windows resample_windows(const ms_call *c, int64_t *factor) {
  return whole_windows(c, &c->in[0], &c->out[0], factor, MS_WINDOWS_FILLED);
}
MS_RULE(resample, .shape = resample_shape, .vjp = resample_vjp, .windows = resample_windows);

static int resample_grad_shape(ms_infer *s) { return check_pictures(s, "g", "input"); }
static int resample_grad_vjp(ms_vjp *c) { return resample_adjoint(c, MS_OP_resample); }
static ms_windows resample_grad_windows(const ms_call *c, int64_t *factor) {
  return whole_windows(c, &c->out[0], &c->in[0], factor, MS_WINDOWS_SUMMED);
}
MS_RULE(resample_grad, .shape = resample_grad_shape, .vjp = resample_grad_vjp, .windows = resample_grad_windows);

/* ---- interpolate ------------------------------------------------------------------------------------------------------- */

/* The size wanted of the last `dims` dimensions of x, and the scale by which positions are counted (n = 0: by the sizes). As
 * PyTorch: sizes by a scale are rounded down; positions go by the scale itself, unless recompute_scale. */
static int wanted(const ms_ref *c, int dims, ms_ints *size, ms_ints *scale) {
  const char *op = c->op->name;
  const ms_tensor *x = c->in[0];
  const ms_attr *a = c->attr;
  *size = a[I_SIZE].v, *scale = a[I_SCALE].v;
  if (!size->n == !scale->n) return ms_fail("%s: expected size or scale_factor, %s", op, size->n ? "got both" : "got none"), -1;
  ms_ints *given = size->n ? size : scale;
  const char *what = size->n ? "size" : "scale_factor";
  if (given->n == 1 && dims == 2) given->at[1] = given->at[0], given->n = 2;
  if (given->n != dims)
    return ms_fail("%s: %d numbers for %s of %s, expected %s", op, given->n, what, ms_shape_str(x),
                   dims == 1 ? "one" : "one or two"),
           -1;
  if (size->n && a[I_RECOMPUTE].i) return ms_fail("%s: recompute_scale goes with scale_factor, got size", op), -1;
  if (size->n) return scale->n = 0, 0;
  bool counts = !a[I_RECOMPUTE].i;
  for (int i = 0; i < dims; i++) {
    const double by = ms_number_at(scale, i), n = floor((double)x->shape[2 + i] * by);
    if (!(by > 0) || !(n >= 1) || n > INT32_MAX)
      return ms_fail("%s: scale_factor %g makes %lld to %g, expected 1 or more", op, by, (long long)x->shape[2 + i],
                     by > 0 ? n : NAN),
             -1;
    size->at[i] = (int64_t)n;
  }
  size->n = dims;
  bool exact = true; /* then the sizes say the same */
  for (int i = 0; i < dims; i++) exact &= ms_number_at(scale, i) == (double)size->at[i] / (double)x->shape[2 + i];
  if (!counts || exact) scale->n = 0;
  return 0;
}

static int interpolate(ms_ref *c) {
  static const int modes[] = {NEAREST, BILINEAR, BILINEAR, BICUBIC, -1, NEAREST_EXACT};
  const char *op = c->op->name;
  ms_tensor *x = c->in[0], *y;
  const int64_t mode = c->attr[I_MODE].i;
  const int dims = x->rank - 2;
  const bool one = mode == I_LINEAR, two = mode == I_BILINEAR || mode == I_BICUBIC;
  ms_ints size, scale;
  if (x->rank != 3 && x->rank != 4) return ms_fail("%s: x is %s, expected N x C x L or N x C x H x W", op, ms_shape_str(x)), -1;
  if ((one && dims != 1) || (two && dims != 2))
    return ms_fail("%s: x is %s, mode '%s' expects %s", op, ms_shape_str(x),
                   one                  ? "linear"
                   : mode == I_BILINEAR ? "bilinear"
                                        : "bicubic",
                   one ? "N x C x L" : "N x C x H x W"),
           -1;
  if (c->attr[I_ALIGN].i && !one && !two)
    return ms_fail("%s: align_corners goes with the modes linear, bilinear and bicubic", op), -1;
  if (wanted(c, dims, &size, &scale) < 0) return -1;
  if (dims == 1) {
    x = ms_unsqueeze(x, 2);
    size = MS_INTS(1, size.at[0]);
    if (scale.n) scale = MS_INTS(ms_number_bits(1), scale.at[0]);
  }
  if (mode == I_AREA) y = ms_apply(MS_OP_adaptive_avg_pool2d, MS_IN(x), MS_ATTR(A_INTS(size)));
  else y = ms_apply(MS_OP_resample, MS_IN(x), MS_ATTR(A_INTS(size), A_INT(modes[mode]), A_INT(c->attr[I_ALIGN].i), A_INTS(scale)));
  if (ms_error()) return ms_error_prefix("%s", op), -1;
  c->out[0] = dims == 1 ? ms_squeeze(y, MS_INTS(2)) : y;
  return c->n_out = 1, c->out[0] ? 0 : -1;
}
MS_RULE(interpolate, .ref = interpolate);
