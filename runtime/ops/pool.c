/* pool.c -- pooling over N x C x H x W. avg_pool2d and its adjoint are linear and differentiate into one another; max_pool2d
 * reports where each value stood, and its derivative puts gradients back there. Output sizes are floor((size + 2 padding - window)
 * / stride) + 1, and padding is at most half a window, so that every window holds at least one element. */
#include "core/core.h"

static int check_images(ms_infer *s, const char *name) {
  const ms_tensor *x = s->in[0];
  return x->rank == 4 ? 0 : (ms_fail("%s: %s is %s, expected N x C x H x W", s->op->name, name, ms_shape_str(x)), -1);
}

/* Check size, stride and padding, which start at attribute k, and give the output size for an input of height and width `in`. */
static int windows(ms_infer *s, int k, const int64_t *in, int64_t *out) {
  if (ms_pair(s->op->name, "size", &s->attr[k].v, 1) < 0) return -1;
  if (!s->attr[k + 1].v.n) s->attr[k + 1].v = s->attr[k].v;
  if (ms_pair(s->op->name, "stride", &s->attr[k + 1].v, 1) < 0 || ms_pair(s->op->name, "padding", &s->attr[k + 2].v, 0) < 0)
    return -1;
  const int64_t *size = s->attr[k].v.at, *stride = s->attr[k + 1].v.at, *padding = s->attr[k + 2].v.at;
  if (size[0] * size[1] > INT32_MAX)
    return ms_fail("%s: a window of %lld x %lld is too large", s->op->name, (long long)size[0], (long long)size[1]), -1;
  for (int i = 0; i < 2; i++) {
    if (padding[i] > size[i] / 2)
      return ms_fail("%s: padding %lld is more than half of size %lld", s->op->name, (long long)padding[i], (long long)size[i]), -1;
    if (in[i] > INT32_MAX || in[i] + 2 * padding[i] < size[i])
      return ms_fail("%s: windows of %lld x %lld (padding %lld x %lld) do not fit into %lld x %lld", s->op->name,
                     (long long)size[0], (long long)size[1], (long long)padding[0], (long long)padding[1], (long long)in[0],
                     (long long)in[1]),
             -1;
    out[i] = (in[i] + 2 * padding[i] - size[i]) / stride[i] + 1;
  }
  return 0;
}

/* Of pooling whose size, stride and padding start at `a`: the windows, if they share nothing. */
static ms_windows separate_windows(const ms_attr *a, int64_t *factor, ms_windows does) {
  for (int i = 0; i < 2; i++) {
    factor[i] = a[0].v.at[i];
    if (a[1].v.at[i] != factor[i] || a[2].v.at[i] != 0) return MS_WINDOWS_NONE;
  }
  return factor[0] * factor[1] > 1 ? does : MS_WINDOWS_NONE;
}

static int avg_pool2d_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int64_t out[4];
  if (check_images(s, "x") < 0 || windows(s, 0, x->shape + 2, out + 2) < 0) return -1;
  out[0] = x->shape[0], out[1] = x->shape[1];
  return ms_out(s, 0, x->dtype, 4, out);
}
static int avg_pool2d_vjp(ms_vjp *c) {
  ms_ints input = MS_INTS(c->x[0]->shape[2], c->x[0]->shape[3]);
  c->dx[0] = ms_apply(MS_OP_avg_pool2d_grad, MS_IN(c->g[0]), MS_ATTR(A_INTS(input), c->attr[0], c->attr[1], c->attr[2]));
  return c->dx[0] ? 0 : -1;
}
static ms_windows avg_pool2d_windows(const ms_call *c, int64_t *factor) {
  return separate_windows(c->attr, factor, MS_WINDOWS_AVERAGED);
}
MS_RULE(avg_pool2d, .shape = avg_pool2d_shape, .vjp = avg_pool2d_vjp, .windows = avg_pool2d_windows);

static int avg_pool2d_grad_shape(ms_infer *s) {
  const ms_tensor *g = s->in[0];
  int64_t out[2];
  if (check_images(s, "g") < 0 || ms_pair(s->op->name, "input", &s->attr[0].v, 0) < 0 || windows(s, 1, s->attr[0].v.at, out) < 0)
    return -1;
  if (g->shape[2] != out[0] || g->shape[3] != out[1])
    return ms_fail("avg_pool2d_grad: g is %s, pooling %s gives %s", ms_shape_str(g), ms_sizes_str(2, s->attr[0].v.at),
                   ms_sizes_str(2, out)),
           -1;
  return ms_out(s, 0, g->dtype, 4, (int64_t[]){g->shape[0], g->shape[1], s->attr[0].v.at[0], s->attr[0].v.at[1]});
}
static int avg_pool2d_grad_vjp(ms_vjp *c) {
  c->dx[0] = ms_apply(MS_OP_avg_pool2d, MS_IN(c->g[0]), c->attr + 1);
  return c->dx[0] ? 0 : -1;
}
static ms_windows avg_pool2d_grad_windows(const ms_call *c, int64_t *factor) {
  return separate_windows(c->attr + 1, factor, MS_WINDOWS_SHARED);
}
MS_RULE(avg_pool2d_grad, .shape = avg_pool2d_grad_shape, .vjp = avg_pool2d_grad_vjp, .windows = avg_pool2d_grad_windows);

static int max_pool2d_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int64_t out[4];
  if (check_images(s, "x") < 0 || windows(s, 0, x->shape + 2, out + 2) < 0) return -1;
  if (s->attr[0].v.at[0] * x->shape[3] + s->attr[0].v.at[1] > INT32_MAX) /* kernels count within a window in 32 bits */
    return ms_fail("max_pool2d: windows of %s are too large for planes of %s", ms_sizes_str(2, s->attr[0].v.at),
                   ms_sizes_str(2, x->shape + 2)),
           -1;
  out[0] = x->shape[0], out[1] = x->shape[1];
  return ms_out(s, 0, x->dtype, 4, out) < 0 ? -1 : ms_out(s, 1, MS_I64, 4, out);
}

/* Planes as rows: positions count within a plane, so each gradient is added at its place of its row. */
static int max_pool2d_vjp(ms_vjp *c) {
  const ms_tensor *x = c->x[0], *r = c->r[0];
  ms_ints in = MS_INTS(x->shape[0] * x->shape[1], x->shape[2] * x->shape[3]);
  ms_ints out = MS_INTS(in.at[0], r->shape[2] * r->shape[3]);
  ms_tensor *zero = ms_full(in, 0, x->dtype, x->device);
  ms_tensor *sum = ms_scatter_add(zero, 1, ms_reshape(c->r[1], out), ms_reshape(c->g[0], out));
  return (c->dx[0] = ms_reshape(sum, ms_sizes(x))) ? 0 : -1;
}
MS_RULE(max_pool2d, .shape = max_pool2d_shape, .vjp = max_pool2d_vjp, .keep_out = 2);
