/* patches.c -- im2col: the windows of a convolution as columns of a matrix; col2im: its adjoint, columns added up to an image.
 * These are PyTorch's F.unfold and F.fold (torch.nn.Unfold, torch.nn.Fold); x:unfold is the view of windows along one dimension. */
#include "compose.h"
#include "images.h"

enum { KERNEL, DILATION, PADDING, STRIDE }; /* attributes of im2col; col2im has output_size before them */

/* The attributes as pairs, and how many windows an image of height and width hw has: n. */
static int windows(const char *op, ms_attr *a, const int64_t *hw, int64_t *n) {
  if (ms_pair(op, "kernel_size", &a[KERNEL].v, 1) < 0 || ms_pair(op, "dilation", &a[DILATION].v, 1) < 0 ||
      ms_pair(op, "padding", &a[PADDING].v, 0) < 0 || ms_pair(op, "stride", &a[STRIDE].v, 1) < 0)
    return -1;
  for (int i = 0; i < 2; i++) {
    const int64_t reach = (a[KERNEL].v.at[i] - 1) * a[DILATION].v.at[i] + 1, room = hw[i] + 2 * a[PADDING].v.at[i] - reach;
    if (hw[i] < 1 || room < 0)
      return ms_fail("%s: windows that reach over %lld x %lld do not fit into %s with padding %lld x %lld", op,
                     (long long)((a[KERNEL].v.at[0] - 1) * a[DILATION].v.at[0] + 1),
                     (long long)((a[KERNEL].v.at[1] - 1) * a[DILATION].v.at[1] + 1), ms_sizes_str(2, hw),
                     (long long)a[PADDING].v.at[0], (long long)a[PADDING].v.at[1]),
             -1;
    n[i] = room / a[STRIDE].v.at[i] + 1;
  }
  return 0;
}

/* Windows along a dimension as a last dimension of their elements: a view. */
static ms_tensor *windows_along(ms_tensor *x, int dim, int64_t size, int64_t apart, int64_t stride) {
  x = ms_apply(MS_OP_unfold, MS_IN(x), MS_ATTR(A_INT(dim), A_INT((size - 1) * apart + 1), A_INT(stride)));
  return apart == 1 ? x : ms_slice(x, -1, 0, size, apart);
}

static int im2col(ms_ref *c) {
  ms_tensor *x = c->in[0];
  if (ms_check_image("im2col", "x", x) < 0) return -1;
  if (x->rank == 3) return ms_one_image(c, 1) < 0 ? -1 : 0;
  ms_attr a[4];
  int64_t n[2];
  memcpy(a, c->attr, sizeof a);
  if (windows("im2col", a, x->shape + 2, n) < 0) return -1;
  const int64_t *k = a[KERNEL].v.at, *pad = a[PADDING].v.at, images = x->shape[0], channels = x->shape[1];
  if (pad[0] || pad[1]) x = ms_constant_pad(x, MS_INTS(pad[1], pad[1], pad[0], pad[0]), 0);
  for (int i = 0; i < 2; i++) x = windows_along(x, 2 + i, k[i], a[DILATION].v.at[i], a[STRIDE].v.at[i]);
  x = ms_permute(x, MS_INTS(0, 1, 4, 5, 2, 3)); /* of N x C x OH x OW x KH x KW */
  return ms_give(c, ms_reshape(x, MS_INTS(images, channels * k[0] * k[1], n[0] * n[1])));
}
MS_RULE(im2col, .ref = im2col);

/* Parts 0..n-1 along dimension `from`, which disappears, each put `apart` behind the one before it and spread by `stride` along
 * dimension `to`, of `size` elements; and added up. */
static ms_tensor *add_along(ms_tensor *x, int from, int to, int64_t apart, int64_t stride, int64_t size) {
  ms_tensor *sum = NULL;
  for (int64_t k = 0; x && k < x->shape[from]; k++) {
    ms_tensor *part = ms_unslice(ms_select(x, from, k), to, k * apart, stride, size);
    sum = sum ? ms_add(sum, part) : part;
  }
  return sum;
}

static int col2im(ms_ref *c) {
  const char *op = "col2im";
  ms_tensor *x = c->in[0];
  ms_attr a[5];
  int64_t n[2];
  memcpy(a, c->attr, sizeof a);
  if (x->rank != 2 && x->rank != 3)
    return ms_fail("%s: x is %s, expected N x (C KH KW) x L or (C KH KW) x L", op, ms_shape_str(x)), -1;
  if (ms_pair(op, "output_size", &a[0].v, 1) < 0 || windows(op, a + 1, a[0].v.at, n) < 0) return -1;
  const int64_t *k = a[1 + KERNEL].v.at, *pad = a[1 + PADDING].v.at, *size = a[0].v.at;
  const int64_t rows = x->shape[x->rank - 2], columns = x->shape[x->rank - 1];
  if (rows % (k[0] * k[1]) || columns != n[0] * n[1])
    return ms_fail("%s: x is %s; windows of %lld x %lld in %s make columns of a multiple of %lld elements, %lld of them", op,
                   ms_shape_str(x), (long long)k[0], (long long)k[1], ms_sizes_str(2, size), (long long)(k[0] * k[1]),
                   (long long)(n[0] * n[1])),
           -1;
  const bool one = x->rank == 2;
  x = ms_reshape(x, MS_INTS(one ? 1 : x->shape[0], rows / (k[0] * k[1]), k[0], k[1], n[0], n[1]));
  x = add_along(x, 3, 4, a[1 + DILATION].v.at[1], a[1 + STRIDE].v.at[1], size[1] + 2 * pad[1]); /* N x C x KH x OH x W */
  x = add_along(x, 2, 2, a[1 + DILATION].v.at[0], a[1 + STRIDE].v.at[0], size[0] + 2 * pad[0]); /* N x C x H x W */
  for (int i = 0; i < 2; i++)
    if (pad[i]) x = ms_slice(x, 2 + i, pad[i], size[i], 1);
  return ms_give(c, one ? ms_squeeze(x, MS_INTS(0)) : x);
}
MS_RULE(col2im, .ref = col2im);
