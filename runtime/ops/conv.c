/* conv.c -- 2-d convolution and its two adjoints. With F(x, w) = conv2d, I(g, w) = conv2d_input_grad, W(x, g) = conv2d_weight_grad,
 * <F(x, w), g> = <x, I(g, w)> = <w, W(x, g)>: each is linear in both arguments, so the derivatives of the three are the three
 * again. (The adjoint of a linear map A is the map A' with <A x, y> = <x, A' y>.) */
#include "images.h"

/* Places of the attributes: conv2d has no size, which comes first in the adjoints. */
enum { STRIDE, PADDING, DILATION, GROUPS, ATTRS };

static int check_rank4(const char *op, const char *what, const ms_tensor *t, const char *layout) {
  return t->rank == 4 ? 0 : (ms_fail("%s: %s is %s, expected %s", op, what, ms_shape_str(t), layout), -1);
}

/* The geometry: x N x C x H x W, w O x C/groups x KH x KW, attributes from `a` on. Normalises the attributes and gives the result's
 * height and width. */
static int geometry(const char *op, ms_attr *a, int64_t c, const int64_t *hw, int64_t o, int64_t w_channels, const int64_t *k,
                    int64_t *out) {
  if (ms_pair(op, "stride", &a[STRIDE].v, 1) < 0 || ms_pair(op, "padding", &a[PADDING].v, 0) < 0 ||
      ms_pair(op, "dilation", &a[DILATION].v, 1) < 0)
    return -1;
  int64_t groups = a[GROUPS].i;
  if (groups < 1) return ms_fail("%s: groups %lld, expected 1 or more", op, (long long)groups), -1;
  if (c % groups || o % groups)
    return ms_fail("%s: %lld channels in and %lld out cannot be divided into %lld groups", op, (long long)c, (long long)o,
                   (long long)groups),
           -1;
  if (c / groups != w_channels)
    return ms_fail("%s: x has %lld channels%s, w expects %lld", op, (long long)(c / groups), groups > 1 ? " a group" : "",
                   (long long)w_channels),
           -1;
  for (int i = 0; i < 2; i++) {
    int64_t reach, padded;
    if (k[i] < 1)
      return ms_fail("%s: the kernel is %lld x %lld, expected at least 1 x 1", op, (long long)k[0], (long long)k[1]), -1;
    if (__builtin_mul_overflow(k[i] - 1, a[DILATION].v.at[i], &reach) ||
        __builtin_add_overflow(hw[i], 2 * a[PADDING].v.at[i], &padded))
      return ms_fail("%s: the kernel or the padding is larger than can be addressed", op), -1;
    if (reach >= padded)
      return ms_fail("%s: the kernel reaches over %lld %s, the padded input has only %lld", op, (long long)reach + 1,
                     i ? "columns" : "rows", (long long)padded),
             -1;
    out[i] = (padded - reach - 1) / a[STRIDE].v.at[i] + 1;
  }
  return 0;
}

static int check_result(const char *op, const ms_tensor *g, const int64_t *want, const char *of) {
  if (g->shape[2] == want[0] && g->shape[3] == want[1]) return 0;
  return ms_fail("%s: g is %s, expected height and width %lld x %lld for %s", op, ms_shape_str(g), (long long)want[0],
                 (long long)want[1], of),
         -1;
}

static const char x_layout[] = "N x C x H x W or C x H x W", w_layout[] = "4 dimensions: O x C/groups x KH x KW",
                  g_layout[] = "4 dimensions: N x O x OH x OW";

static int conv2d_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0], *w = s->in[1], *bias = s->in[2];
  int64_t out[2];
  if (check_rank4("conv2d", "x", x, x_layout) < 0 || check_rank4("conv2d", "w", w, w_layout) < 0 ||
      geometry("conv2d", s->attr, x->shape[1], x->shape + 2, w->shape[0], w->shape[1], w->shape + 2, out) < 0)
    return -1;
  if (bias && (bias->rank != 1 || bias->shape[0] != w->shape[0]))
    return ms_fail("conv2d: bias is %s, expected %lld elements", ms_shape_str(bias), (long long)w->shape[0]), -1;
  return ms_out(s, 0, x->dtype, 4, (int64_t[]){x->shape[0], w->shape[0], out[0], out[1]});
}

static int input_grad_shape(ms_infer *s) {
  const char *op = "conv2d_input_grad";
  const ms_tensor *g = s->in[0], *w = s->in[1];
  ms_ints *size = &s->attr[0].v;
  int64_t want[2];
  if (check_rank4(op, "g", g, g_layout) < 0 || check_rank4(op, "w", w, w_layout) < 0 || ms_pair(op, "size", size, 0) < 0) return -1;
  int64_t groups = s->attr[1 + GROUPS].i, c;
  if (__builtin_mul_overflow(w->shape[1], groups, &c)) return ms_fail("%s: groups %lld is out of range", op, (long long)groups), -1;
  if (geometry(op, s->attr + 1, c, size->at, w->shape[0], w->shape[1], w->shape + 2, want) < 0) return -1;
  if (g->shape[1] != w->shape[0])
    return ms_fail("%s: g has %lld channels, w expects %lld", op, (long long)g->shape[1], (long long)w->shape[0]), -1;
  if (check_result(op, g, want, "an input of this size") < 0) return -1;
  return ms_out(s, 0, g->dtype, 4, (int64_t[]){g->shape[0], c, size->at[0], size->at[1]});
}

static int weight_grad_shape(ms_infer *s) {
  const char *op = "conv2d_weight_grad";
  const ms_tensor *x = s->in[0], *g = s->in[1];
  ms_ints *size = &s->attr[0].v;
  int64_t want[2];
  if (check_rank4(op, "x", x, x_layout) < 0 || check_rank4(op, "g", g, g_layout) < 0 || ms_pair(op, "size", size, 1) < 0) return -1;
  int64_t groups = s->attr[1 + GROUPS].i, c = groups > 0 ? x->shape[1] / groups : 0;
  if (geometry(op, s->attr + 1, x->shape[1], x->shape + 2, g->shape[1], c, size->at, want) < 0) return -1;
  if (x->shape[0] != g->shape[0])
    return ms_fail("%s: x has %lld images, g %lld", op, (long long)x->shape[0], (long long)g->shape[0]), -1;
  if (check_result(op, g, want, "this input and kernel") < 0) return -1;
  return ms_out(s, 0, x->dtype, 4, (int64_t[]){g->shape[1], c, size->at[0], size->at[1]});
}

/* The three as functions; `a` points at the four attributes they share, `like` has the height and width asked for. */
static ms_tensor *forward(ms_tensor *x, ms_tensor *w, const ms_attr *a) { return ms_apply(MS_OP_conv2d, MS_IN(x, w, NULL), a); }
static ms_tensor *conv_adjoint(int id, ms_tensor *p, ms_tensor *q, const ms_tensor *like, const ms_attr *a) {
  ms_attr b[1 + ATTRS] = {A_INTS(MS_INTS(like->shape[2], like->shape[3]))};
  for (int i = 0; i < ATTRS; i++) b[1 + i] = a[i];
  return ms_apply(id, MS_IN(p, q), b);
}
static ms_tensor *input_grad(ms_tensor *g, ms_tensor *w, const ms_tensor *x, const ms_attr *a) {
  return conv_adjoint(MS_OP_conv2d_input_grad, g, w, x, a);
}
static ms_tensor *weight_grad(ms_tensor *x, ms_tensor *g, const ms_tensor *w, const ms_attr *a) {
  return conv_adjoint(MS_OP_conv2d_weight_grad, x, g, w, a);
}

static int conv2d_vjp(ms_vjp *c) {
  ms_tensor *x = c->x[0], *w = c->x[1], *g = c->g[0];
  if (c->need[0]) c->dx[0] = input_grad(g, w, x, c->attr);
  if (c->need[1]) c->dx[1] = weight_grad(x, g, w, c->attr);
  if (c->need[2]) c->dx[2] = ms_sum(g, MS_INTS(0, 2, 3), false);
  return ms_error() ? -1 : 0;
}
static int input_grad_vjp(ms_vjp *c) { /* r = I(g, w); v in the space of x */
  ms_tensor *g = c->x[0], *w = c->x[1], *v = c->g[0];
  if (c->need[0]) c->dx[0] = forward(v, w, c->attr + 1);
  if (c->need[1]) c->dx[1] = weight_grad(v, g, w, c->attr + 1);
  return ms_error() ? -1 : 0;
}
static int weight_grad_vjp(ms_vjp *c) { /* r = W(x, g); v in the space of w */
  ms_tensor *x = c->x[0], *g = c->x[1], *v = c->g[0];
  if (c->need[0]) c->dx[0] = input_grad(g, v, x, c->attr + 1);
  if (c->need[1]) c->dx[1] = forward(x, v, c->attr + 1);
  return ms_error() ? -1 : 0;
}

/* One multiplication and one addition per element of F's result and tap that it reads. */
static double conv_flops(const ms_view *y, const ms_view *w) {
  return 2 * (double)ms_view_numel(y) * (double)(w->shape[1] * w->shape[2] * w->shape[3]);
}
static double conv2d_flops(const ms_call *c) { return conv_flops(&c->out[0], &c->in[1]); }
static double input_grad_flops(const ms_call *c) { return conv_flops(&c->in[0], &c->in[1]); }
static double weight_grad_flops(const ms_call *c) { return conv_flops(&c->in[1], &c->out[0]); }

/* Padding in a word, "valid" or "same"; one image without a batch. */
static int conv2d_composes(ms_ref *c) {
  ms_tensor *x = c->in[0], *w = c->in[1];
  ms_attr a[ATTRS];
  for (int i = 0; i < ATTRS; i++) a[i] = c->attr[i];
  if (a[PADDING].v.n >= 0) return ms_one_image(c, 1);
  const bool same = a[PADDING].v.n == ~1;
  a[PADDING].v = MS_INTS(0, 0);
  if (ms_check_image("conv2d", "x", x) < 0 || check_rank4("conv2d", "w", w, w_layout) < 0) return -1;
  if (same && (ms_pair("conv2d", "stride", &a[STRIDE].v, 1) < 0 || ms_pair("conv2d", "dilation", &a[DILATION].v, 1) < 0)) return -1;
  for (int i = 0; i < 2 && same; i++) {
    int64_t all;
    if (a[STRIDE].v.at[i] != 1)
      return ms_fail("conv2d: padding 'same' goes with stride 1 only, got stride %lld", (long long)a[STRIDE].v.at[i]), -1;
    if (w->shape[2 + i] < 1 || __builtin_mul_overflow(w->shape[2 + i] - 1, a[DILATION].v.at[i], &all) || all > INT32_MAX)
      return ms_fail("conv2d: padding 'same' for w %s, dilation %lld", ms_shape_str(w), (long long)a[DILATION].v.at[i]), -1;
    a[PADDING].v.at[i] = all / 2;
    const int dim = x->rank - 2 + i;
    if (all % 2) x = ms_unslice(x, dim, 0, 1, x->shape[dim] + 1); /* what is left goes to the end */
    if (!x) return -1;
  }
  return c->n_out = 1, (c->out[0] = ms_apply(MS_OP_conv2d, MS_IN(x, w, c->in[2]), a)) ? 1 : -1;
}

MS_RULE(conv2d, .shape = conv2d_shape, .composes = conv2d_composes, .vjp = conv2d_vjp, .keep_in = 3, .reads = {2, 1, 0},
        .flops = conv2d_flops);
MS_RULE(conv2d_input_grad, .shape = input_grad_shape, .vjp = input_grad_vjp, .keep_in = 3, .reads = {2, 1},
        .flops = input_grad_flops);
MS_RULE(conv2d_weight_grad, .shape = weight_grad_shape, .vjp = weight_grad_vjp, .keep_in = 3, .reads = {2, 1},
        .flops = weight_grad_flops);

/* conv2d_input_grad by another name: x takes the place of g. Attributes: stride, padding, output_padding, groups, dilation. */
static int conv_transpose2d(ms_ref *c) {
  const char *op = "conv_transpose2d";
  ms_tensor *x = c->in[0], *w = c->in[1], *bias = c->in[2];
  ms_ints stride = c->attr[0].v, padding = c->attr[1].v, extra = c->attr[2].v, dilation = c->attr[4].v, size = {.n = 2};
  int64_t groups = c->attr[3].i, channels;
  if (x->rank == 3) return ms_one_image(c, 1) < 0 ? -1 : 0;
  if (check_rank4(op, "x", x, x_layout) < 0 || check_rank4(op, "w", w, "4 dimensions: C x O/groups x KH x KW") < 0 ||
      ms_pair(op, "stride", &stride, 1) < 0 || ms_pair(op, "padding", &padding, 0) < 0 ||
      ms_pair(op, "output_padding", &extra, 0) < 0 || ms_pair(op, "dilation", &dilation, 1) < 0)
    return -1;
  if (groups < 1 || x->shape[1] % groups)
    return ms_fail("%s: %lld channels cannot be divided into %lld groups", op, (long long)x->shape[1], (long long)groups), -1;
  if (x->shape[1] != w->shape[0])
    return ms_fail("%s: x has %lld channels, w expects %lld", op, (long long)x->shape[1], (long long)w->shape[0]), -1;
  if (__builtin_mul_overflow(w->shape[1], groups, &channels))
    return ms_fail("%s: groups %lld is out of range", op, (long long)groups), -1;
  if (bias && (bias->rank != 1 || bias->shape[0] != channels))
    return ms_fail("%s: bias is %s, expected %lld elements", op, ms_shape_str(bias), (long long)channels), -1;
  for (int i = 0; i < 2; i++) {
    int64_t n = x->shape[2 + i], k = w->shape[2 + i], reach;
    if (n < 1 || k < 1)
      return ms_fail("%s: x is %s, w is %s: expected heights and widths of 1 or more", op, ms_shape_str(x), ms_shape_str(w)), -1;
    if (extra.at[i] >= stride.at[i] && extra.at[i] >= dilation.at[i])
      return ms_fail("%s: output_padding %lld, expected less than the stride %lld or the dilation %lld", op, (long long)extra.at[i],
                     (long long)stride.at[i], (long long)dilation.at[i]),
             -1;
    if (__builtin_mul_overflow(n - 1, stride.at[i], &size.at[i]) || __builtin_mul_overflow(k - 1, dilation.at[i], &reach) ||
        __builtin_add_overflow(size.at[i], reach + extra.at[i] + 1 - 2 * padding.at[i], &size.at[i]))
      return ms_fail("%s: a result of more elements than can be addressed", op), -1;
    if (size.at[i] < 1)
      return ms_fail("%s: padding %lld leaves %lld %s of the result, expected 1 or more", op, (long long)padding.at[i],
                     (long long)size.at[i], i ? "columns" : "rows"),
             -1;
  }
  for (int i = 0; i < 2; i++) { /* what is left over has room for more of x: zeros */
    const int64_t more = extra.at[i] / stride.at[i];
    if (more) x = ms_unslice(x, 2 + i, 0, 1, x->shape[2 + i] + more);
    if (!x) return -1;
  }
  ms_tensor *y = ms_apply(MS_OP_conv2d_input_grad, MS_IN(x, w),
                          MS_ATTR(A_INTS(size), A_INTS(stride), A_INTS(padding), A_INTS(dilation), A_INT(groups)));
  if (bias) y = ms_add(y, ms_reshape(bias, MS_INTS(1, channels, 1, 1)));
  return c->n_out = 1, (c->out[0] = y) ? 0 : -1;
}
MS_RULE(conv_transpose2d, .ref = conv_transpose2d);

/* ---- signals ----------------------------------------------------------------------------------------------------------- */

static int conv1d(ms_ref *c) { return ms_as_images(c, &(ms_signals){MS_OP_conv2d, 3, {[STRIDE] = 1, [DILATION] = 1}, 1}); }
static int conv_transpose1d(ms_ref *c) {
  return ms_as_images(c, &(ms_signals){MS_OP_conv_transpose2d, 3, {[0] = 1, [4] = 1}, 1}); /* stride, dilation */
}
MS_RULE(conv1d, .ref = conv1d);
MS_RULE(conv_transpose1d, .ref = conv_transpose1d);
