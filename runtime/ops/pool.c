/* pool.c -- pooling over N x C x H x W. Averages and their adjoint are linear and differentiate into one another; the maximum
 * reports where each value stood, and its derivative puts gradients back there. PyTorch's definitions:
 *
 * A window has kernel_size elements, `dilation` apart; windows are `stride` apart, the first begins `padding` before the image.
 * There are (size + 2 padding - reach) / stride + 1 of them, rounded down, or up (ceil_mode: windows may reach beyond the padding,
 * but each begins inside the image or its padding before it). Padding is at most half a window. Adaptive pooling has as many
 * windows as asked for: window o of n begins at floor(o size / n) and ends before ceil((o + 1) size / n). */
#include "images.h"
#include <math.h>

/* Places of the attributes of avg_pool2d, and of max_pool2d where others stand. */
enum { KERNEL, STRIDE, PADDING, CEIL, COUNT_PAD, DIVISOR, AVG_ATTRS, MAX_DILATION = 3, MAX_CEIL = 4 };

/* What each of two dimensions has: windows that hold no element of the image, where taps lie apart. */
static bool misses(int64_t in, int64_t out, int64_t size, int64_t stride, int64_t padding, int64_t apart) {
  if (apart == 1 || !padding) return false;
  for (int64_t o = 0, at = -padding; o < out; o++, at += stride) {
    const int64_t tap = at < 0 ? (-at + apart - 1) / apart : 0;
    if (tap >= size || at + tap * apart >= in) return true;
  }
  return false;
}

/* Check kernel_size, stride, padding, which start at attribute k, and dilation (NULL: 1), and give the output size for an input of
 * height and width `in`. */
static int windows(ms_infer *s, int k, ms_ints *dilation, bool up, const int64_t *in, int64_t *out) {
  const char *op = s->op->name;
  ms_ints ones = MS_INTS(1, 1);
  if (!dilation) dilation = &ones;
  if (ms_pair(op, "kernel_size", &s->attr[k].v, 1) < 0) return -1;
  if (!s->attr[k + 1].v.n) s->attr[k + 1].v = s->attr[k].v;
  if (ms_pair(op, "stride", &s->attr[k + 1].v, 1) < 0 || ms_pair(op, "padding", &s->attr[k + 2].v, 0) < 0 ||
      ms_pair(op, "dilation", dilation, 1) < 0)
    return -1;
  const int64_t *size = s->attr[k].v.at, *stride = s->attr[k + 1].v.at, *padding = s->attr[k + 2].v.at;
  if (size[0] * size[1] > INT32_MAX)
    return ms_fail("%s: a window of %lld x %lld is too large", op, (long long)size[0], (long long)size[1]), -1;
  for (int i = 0; i < 2; i++) {
    const int64_t reach = (size[i] - 1) * dilation->at[i] + 1, room = in[i] + 2 * padding[i] - reach + (up ? stride[i] - 1 : 0);
    if (padding[i] > size[i] / 2)
      return ms_fail("%s: padding %lld is more than half of kernel_size %lld", op, (long long)padding[i], (long long)size[i]), -1;
    if (in[i] > INT32_MAX || in[i] < 1 || room < 0)
      return ms_fail("%s: windows of %lld x %lld (padding %lld x %lld, dilation %lld x %lld) do not fit into %lld x %lld", op,
                     (long long)size[0], (long long)size[1], (long long)padding[0], (long long)padding[1],
                     (long long)dilation->at[0], (long long)dilation->at[1], (long long)in[0], (long long)in[1]),
             -1;
    out[i] = room / stride[i] + 1;
    if (up && (out[i] - 1) * stride[i] >= in[i] + padding[i]) out[i]--;
    if (misses(in[i], out[i], size[i], stride[i], padding[i], dilation->at[i]))
      return ms_fail("%s: with padding %lld and dilation %lld a window of %lld holds no element of %lld", op, (long long)padding[i],
                     (long long)dilation->at[i], (long long)size[i], (long long)in[i]),
             -1;
  }
  return 0;
}

static int check_g(ms_infer *s, const int64_t *out) {
  const ms_tensor *g = s->in[0];
  const int64_t *input = s->attr[0].v.at;
  if (g->shape[2] != out[0] || g->shape[3] != out[1])
    return ms_fail("%s: g is %s, pooling %s gives %s", s->op->name, ms_shape_str(g), ms_sizes_str(2, input), ms_sizes_str(2, out)),
           -1;
  return ms_out(s, 0, g->dtype, 4, (int64_t[]){g->shape[0], g->shape[1], input[0], input[1]});
}

static int check_rank(ms_infer *s, const char *what) {
  const ms_tensor *x = s->in[0];
  if (ms_check_image(s->op->name, what, x) < 0) return -1;
  return x->rank == 4 ? 0 : (ms_fail("%s: %s is %s, expected N x C x H x W", s->op->name, what, ms_shape_str(x)), -1);
}

/* ---- averages ---------------------------------------------------------------------------------------------------------- */

/* Of pooling whose attributes start at `a`, `large` its image and `small` what it gives: the windows, if they share nothing and are
 * averaged evenly. */
static ms_windows separate_windows(const ms_attr *a, const int64_t *large, const int64_t *small, int64_t *factor, ms_windows does) {
  for (int i = 0; i < 2; i++) {
    factor[i] = a[KERNEL].v.at[i];
    if (a[STRIDE].v.at[i] != factor[i] || a[PADDING].v.at[i] != 0 || small[2 + i] * factor[i] > large[2 + i])
      return MS_WINDOWS_NONE;
  }
  if (a[DIVISOR].i != MS_NO_DIM && a[DIVISOR].i != factor[0] * factor[1]) return MS_WINDOWS_NONE;
  return factor[0] * factor[1] > 1 ? does : MS_WINDOWS_NONE;
}

static int check_divisor(ms_infer *s, int64_t divisor) {
  return divisor ? 0 : (ms_fail("%s: divisor_override is 0, expected another number", s->op->name), -1);
}

static int avg_pool2d_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int64_t out[4];
  if (check_rank(s, "x") < 0 || windows(s, 0, NULL, s->attr[CEIL].i, x->shape + 2, out + 2) < 0 ||
      check_divisor(s, s->attr[DIVISOR].i) < 0)
    return -1;
  out[0] = x->shape[0], out[1] = x->shape[1];
  return ms_out(s, 0, x->dtype, 4, out);
}
static int avg_pool2d_vjp(ms_vjp *c) {
  ms_attr a[1 + AVG_ATTRS] = {A_INTS(MS_INTS(c->x[0]->shape[2], c->x[0]->shape[3]))};
  for (int i = 0; i < AVG_ATTRS; i++) a[1 + i] = c->attr[i];
  return ms_give_dx(c, ms_apply(MS_OP_avg_pool2d_grad, MS_IN(c->g[0]), a));
}
static ms_windows avg_pool2d_windows(const ms_call *c, int64_t *factor) {
  return separate_windows(c->attr, c->in[0].shape, c->out[0].shape, factor, MS_WINDOWS_AVERAGED);
}
static int first_image(ms_ref *c) { return ms_one_image(c, 1); }
MS_RULE(avg_pool2d, .shape = avg_pool2d_shape, .composes = first_image, .vjp = avg_pool2d_vjp, .windows = avg_pool2d_windows);

static int avg_pool2d_grad_shape(ms_infer *s) {
  int64_t out[2];
  if (check_rank(s, "g") < 0 || ms_pair(s->op->name, "input", &s->attr[0].v, 1) < 0 ||
      windows(s, 1, NULL, s->attr[1 + CEIL].i, s->attr[0].v.at, out) < 0 || check_divisor(s, s->attr[1 + DIVISOR].i) < 0)
    return -1;
  return check_g(s, out);
}
static int avg_pool2d_grad_vjp(ms_vjp *c) { return ms_give_dx(c, ms_apply(MS_OP_avg_pool2d, MS_IN(c->g[0]), c->attr + 1)); }
static ms_windows avg_pool2d_grad_windows(const ms_call *c, int64_t *factor) {
  return separate_windows(c->attr + 1, c->out[0].shape, c->in[0].shape, factor, MS_WINDOWS_SHARED);
}
MS_RULE(avg_pool2d_grad, .shape = avg_pool2d_grad_shape, .vjp = avg_pool2d_grad_vjp, .windows = avg_pool2d_grad_windows);

static int avg_pool1d(ms_ref *c) { return ms_as_images(c, &(ms_signals){MS_OP_avg_pool2d, 1, {[KERNEL] = 1, [STRIDE] = 1}, 1}); }
MS_RULE(avg_pool1d, .ref = avg_pool1d);

/* (sum of x^p over each window)^(1/p), as PyTorch: of the mean m, (sign(m) max(|m|, 0) elements)^(1/p). */
static ms_tensor *power_mean(ms_tensor *mean, double elements, double p) {
  ms_tensor *sum = ms_mul(ms_mul(ms_sign(mean), ms_relu(ms_abs(mean))), ms_number(elements));
  return ms_pow(sum, ms_number(1 / p));
}
static int lp_pool(ms_ref *c, int id, int dims) { /* attributes: norm_type, kernel_size, stride, ceil_mode */
  const double p = ms_decided(c->attr[0].s);
  double elements = 1;
  if (p == 0 || !isfinite(p)) return ms_fail("%s: norm_type is %g, expected a finite number other than 0", c->op->name, p), -1;
  for (int i = 0; i < dims; i++) elements *= (double)c->attr[1].v.at[c->attr[1].v.n == dims ? i : 0];
  ms_attr a[AVG_ATTRS] = {c->attr[1], c->attr[2], A_INTS(MS_INTS(0)), c->attr[3], A_INT(1), A_INT(MS_NO_DIM)};
  ms_tensor *mean = ms_apply(id, MS_IN(ms_pow(c->in[0], ms_number(p))), a);
  if (!mean) return ms_error_prefix("%s", c->op->name), -1;
  return c->n_out = 1, (c->out[0] = power_mean(mean, elements, p)) ? 0 : -1;
}
static int lp_pool1d(ms_ref *c) { return lp_pool(c, MS_OP_avg_pool1d, 1); }
static int lp_pool2d(ms_ref *c) { return lp_pool(c, MS_OP_avg_pool2d, 2); }
MS_RULE(lp_pool1d, .ref = lp_pool1d);
MS_RULE(lp_pool2d, .ref = lp_pool2d);

/* ---- adaptive averages ------------------------------------------------------------------------------------------------- */

/* Attribute 0 as the height and width wanted; -1: as many as x has, in[0], in[1]. */
static int wanted_size(const char *op, ms_ints *v, const int64_t *in) {
  if (v->n == 1) v->at[1] = v->at[0], v->n = 2;
  for (int i = 0; i < v->n && v->n == 2; i++)
    if (v->at[i] == -1) v->at[i] = in[i];
  if (ms_pair(op, "output_size", v, 0) < 0) return -1;
  for (int i = 0; i < 2; i++)
    if (in[i] < 1 || in[i] > INT32_MAX)
      return ms_fail("%s: x is %s high and wide, expected 1 or more", op, ms_sizes_str(2, in)), -1;
  return 0;
}

static int adaptive_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  const int64_t *v = s->attr[0].v.at;
  if (check_rank(s, "x") < 0 || wanted_size(s->op->name, &s->attr[0].v, x->shape + 2) < 0) return -1;
  return ms_out(s, 0, x->dtype, 4, (int64_t[]){x->shape[0], x->shape[1], v[0], v[1]});
}
/* One image; or windows that are all alike: then it is avg_pool2d. */
static int adaptive_avg_pool2d_composes(ms_ref *c) {
  ms_tensor *x = c->in[0];
  if (x->rank != 4) return first_image(c);
  ms_ints v = c->attr[0].v, size = {.n = 2};
  if (wanted_size(c->op->name, &v, x->shape + 2) < 0) return -1;
  for (int i = 0; i < 2; i++) {
    if (!v.at[i] || x->shape[2 + i] % v.at[i]) return 0;
    size.at[i] = x->shape[2 + i] / v.at[i];
  }
  ms_tensor *y = x;
  if (v.at[0] == 1 && v.at[1] == 1) y = ms_mean(x, MS_INTS(2, 3), true);
  else if (size.at[0] * size.at[1] > 1)
    y = ms_apply(MS_OP_avg_pool2d, MS_IN(x),
                 MS_ATTR(A_INTS(size), A_INTS(size), A_INTS(MS_INTS(0)), A_INT(0), A_INT(1), A_INT(MS_NO_DIM)));
  else return 0;
  return c->n_out = 1, (c->out[0] = y) ? 1 : -1;
}
static int adaptive_avg_pool2d_vjp(ms_vjp *c) {
  ms_ints input = MS_INTS(c->x[0]->shape[2], c->x[0]->shape[3]);
  return ms_give_dx(c, ms_apply(MS_OP_adaptive_avg_pool2d_grad, MS_IN(c->g[0]), MS_ATTR(A_INTS(input))));
}
MS_RULE(adaptive_avg_pool2d, .shape = adaptive_shape, .composes = adaptive_avg_pool2d_composes, .vjp = adaptive_avg_pool2d_vjp);

static int adaptive_avg_pool2d_grad_shape(ms_infer *s) {
  const ms_tensor *g = s->in[0];
  const int64_t *v = s->attr[0].v.at;
  if (check_rank(s, "g") < 0 || ms_pair(s->op->name, "input", &s->attr[0].v, 1) < 0) return -1;
  return ms_out(s, 0, g->dtype, 4, (int64_t[]){g->shape[0], g->shape[1], v[0], v[1]});
}
static int adaptive_avg_pool2d_grad_vjp(ms_vjp *c) {
  ms_ints size = MS_INTS(c->x[0]->shape[2], c->x[0]->shape[3]);
  return ms_give_dx(c, ms_apply(MS_OP_adaptive_avg_pool2d, MS_IN(c->g[0]), MS_ATTR(A_INTS(size))));
}
MS_RULE(adaptive_avg_pool2d_grad, .shape = adaptive_avg_pool2d_grad_shape, .vjp = adaptive_avg_pool2d_grad_vjp);

static int adaptive_avg_pool1d(ms_ref *c) { return ms_as_images(c, &(ms_signals){MS_OP_adaptive_avg_pool2d, 1, {-1}, 1}); }
MS_RULE(adaptive_avg_pool1d, .ref = adaptive_avg_pool1d);

/* ---- maxima ------------------------------------------------------------------------------------------------------------ */

static int two_results(ms_infer *s, const int64_t *hw) {
  const ms_tensor *x = s->in[0];
  int64_t out[4] = {x->shape[0], x->shape[1], hw[0], hw[1]};
  return ms_out(s, 0, x->dtype, 4, out) < 0 ? -1 : ms_out(s, 1, MS_I64, 4, out);
}

static int max_pool2d_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int64_t out[2];
  if (check_rank(s, "x") < 0 || windows(s, 0, &s->attr[MAX_DILATION].v, s->attr[MAX_CEIL].i, x->shape + 2, out) < 0) return -1;
  const int64_t *size = s->attr[KERNEL].v.at, *apart = s->attr[MAX_DILATION].v.at;
  if (size[0] * apart[0] > INT32_MAX / (x->shape[3] + 1) || size[1] * apart[1] > INT32_MAX / 2) /* kernels count taps in 32 bits */
    return ms_fail("max_pool2d: windows of %s are too large for planes of %s", ms_sizes_str(2, size),
                   ms_sizes_str(2, x->shape + 2)),
           -1;
  return two_results(s, out);
}

/* in[1] must hold a position in planes of height and width hw for each element of in[0], or (like NULL) be an image itself. */
static int check_positions(ms_infer *s, const ms_tensor *like, const int64_t *hw) {
  const ms_tensor *at = s->in[1];
  bool fits = at->rank == 4 && at->shape[0] == s->in[0]->shape[0] && at->shape[1] == s->in[0]->shape[1];
  for (int i = 2; i < 4 && fits && like; i++) fits = at->shape[i] == like->shape[i];
  if (!fits || at->dtype != MS_I64)
    return ms_fail("%s: index is %s, expected positions (i64) for %s", s->op->name, ms_shape_str(at), ms_shape_str(s->in[0])), -1;
  s->bound[1] = hw[0] * hw[1];
  return 0;
}

/* The adjoint: each gradient is added where its maximum stood. */
static int max_pool2d_grad_shape(ms_infer *s) {
  const ms_tensor *g = s->in[0];
  const int64_t *v = s->attr[0].v.at;
  if (check_rank(s, "g") < 0 || ms_pair(s->op->name, "input", &s->attr[0].v, 1) < 0 || check_positions(s, g, v) < 0) return -1;
  return ms_out(s, 0, g->dtype, 4, (int64_t[]){g->shape[0], g->shape[1], v[0], v[1]});
}
static int max_pool2d_grad_vjp(ms_vjp *c) { return ms_give_dx(c, ms_apply(MS_OP_max_pool2d_pick, MS_IN(c->g[0], c->x[1]), NULL)); }
MS_RULE(max_pool2d_grad, .shape = max_pool2d_grad_shape, .vjp = max_pool2d_grad_vjp, .keep_in = 2);

/* And what that is the adjoint of: the elements at the positions. */
static int max_pool2d_pick_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  if (check_rank(s, "x") < 0 || check_positions(s, NULL, x->shape + 2) < 0) return -1;
  if (x->shape[2] * x->shape[3] == 0 && ms_numel(s->in[1]))
    return ms_fail("%s: the planes of x %s have no elements to choose from", s->op->name, ms_shape_str(x)), -1;
  return ms_out(s, 0, x->dtype, 4, s->in[1]->shape);
}
static int max_pool2d_vjp_of(ms_vjp *c, ms_tensor *at) {
  ms_ints input = MS_INTS(c->x[0]->shape[2], c->x[0]->shape[3]);
  return ms_give_dx(c, ms_apply(MS_OP_max_pool2d_grad, MS_IN(c->g[0], at), MS_ATTR(A_INTS(input))));
}
static int max_pool2d_pick_vjp(ms_vjp *c) { return max_pool2d_vjp_of(c, c->x[1]); }
MS_RULE(max_pool2d_pick, .shape = max_pool2d_pick_shape, .vjp = max_pool2d_pick_vjp, .keep_in = 2);

static int max_pool2d_vjp(ms_vjp *c) { return max_pool2d_vjp_of(c, c->r[1]); }
MS_RULE(max_pool2d_with_indices, .shape = max_pool2d_shape, .composes = first_image, .vjp = max_pool2d_vjp, .keep_out = 2);

static int adaptive_max_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  if (check_rank(s, "x") < 0 || wanted_size(s->op->name, &s->attr[0].v, x->shape + 2) < 0) return -1;
  return two_results(s, s->attr[0].v.at);
}
MS_RULE(adaptive_max_pool2d_with_indices, .shape = adaptive_max_shape, .composes = first_image, .vjp = max_pool2d_vjp,
        .keep_out = 2);

/* As users call them: one result, or (return_indices, the last attribute) two. */
static int maxima(ms_ref *c, int id) {
  ms_tensor *out[MS_MAX_OUT];
  const int n = ms_apply_n(id, c->device, c->n_in, c->in, c->attr, out);
  if (n < 0) return ms_error_prefix("%s", c->op->name), -1;
  c->n_out = c->attr[c->op->n_attr - 1].i ? 2 : 1;
  for (int k = 0; k < c->n_out; k++) c->out[k] = out[k];
  return 0;
}
static int max_pool2d(ms_ref *c) { return maxima(c, MS_OP_max_pool2d_with_indices); }
static int adaptive_max_pool2d(ms_ref *c) { return maxima(c, MS_OP_adaptive_max_pool2d_with_indices); }
static int max_pool1d(ms_ref *c) {
  const ms_signals s = {MS_OP_max_pool2d, 1, {[KERNEL] = 1, [STRIDE] = 1, [MAX_DILATION] = 1}, 2};
  return ms_as_images(c, &s);
}
static int adaptive_max_pool1d(ms_ref *c) { return ms_as_images(c, &(ms_signals){MS_OP_adaptive_max_pool2d, 1, {-1}, 2}); }
MS_RULE(max_pool2d, .ref = max_pool2d);
MS_RULE(adaptive_max_pool2d, .ref = adaptive_max_pool2d);
MS_RULE(max_pool1d, .ref = max_pool1d);
MS_RULE(adaptive_max_pool1d, .ref = adaptive_max_pool1d);
