/* ssim.c -- the structural similarity of images, and the loss made of it.
 *
 * Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from error visibility to structural similarity",
 * IEEE Transactions on Image Processing 13 (4), 2004: around each place mean, variance and covariance of both images under a
 * Gaussian window of sum 1, and from them
 *
 *     (2 mx my + C1) (2 cxy + C2) / ((mx^2 + my^2 + C1) (vx + vy + C2)),    C = (k data_range)^2
 *
 * averaged over all places where the window lies inside the image, and over the channels. */
#include "loss.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WEIGHTS = 63, LONG = 1024 }; /* of a window; elements of an image along a dimension, from which on it is convolved */

/* The Gaussian window along one dimension, of sum 1. */
static void make_window(double *weight, int64_t n, double sigma) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    const double d = ((double)i - (double)(n - 1) / 2) / sigma;
    sum += weight[i] = exp(-d * d / 2);
  }
  for (int64_t i = 0; i < n; i++) weight[i] /= sum;
}

/* The window at all its places along `size` elements: a matrix, a row for each place. */
static ms_tensor *at_all_places(const ms_tensor *like, const double *weight, int64_t n, int64_t size) {
  const int64_t shape[2] = {size - n + 1, size};
  double *at = calloc((size_t)(shape[0] * size), sizeof *at);
  if (!at) return ms_fail("ssim: out of memory for %lld weights", (long long)(shape[0] * size));
  for (int64_t i = 0; i < shape[0]; i++) memcpy(at + i * size + i, weight, (size_t)n * sizeof *at);
  ms_tensor *w = ms_from_host(MS_F64, 2, shape, at, ms_tensor_device(like));
  free(at);
  return ms_cast(w, like->dtype);
}

/* Planes x H x W under the window, along H (down) or W. A product with the window at all its places multiplies more than a
 * convolution and takes far less time: 16 x 3 x 64 x 64 with gradients are 120 ms by convolutions of one channel, 7 ms by products.
 * A long image would need too large a matrix. */
static ms_tensor *averaged(ms_tensor *x, bool down, int64_t n, double sigma) {
  double weight[MOST_WEIGHTS];
  if (!x) return NULL;
  make_window(weight, n, sigma);
  const int64_t size = x->shape[down ? 1 : 2];
  if (size <= LONG) {
    ms_tensor *w = at_all_places(x, weight, n, size);
    return down ? ms_matmul(w, x, false, false) : ms_matmul(x, w, false, true);
  }
  const int64_t shape[4] = {1, 1, down ? n : 1, down ? 1 : n};
  ms_tensor *w = ms_cast(ms_from_host(MS_F64, 4, shape, weight, ms_tensor_device(x)), x->dtype);
  return ms_squeeze(ms_apply(MS_OP_conv2d, MS_IN(ms_unsqueeze(x, 1), w, NULL), NULL), MS_INTS(1));
}

/* The similarity of each image, N of them; one image C x H x W: of rank 0. NULL after ms_fail. Attributes from `a` on: data_range,
 * window_size, sigma, k1, k2. */
static ms_tensor *similarity(const ms_ref *c, const ms_attr *a) {
  ms_tensor *x = c->in[0], *y = c->in[1];
  const double range = ms_decided(a[0].s), sigma = ms_decided(a[2].s), k1 = ms_decided(a[3].s), k2 = ms_decided(a[4].s);
  const int64_t size = a[1].i;
  const int rank = x->rank;
  if (ms_equal_shapes(c->op, c->in, 2) < 0) return NULL;
  if (rank != 3 && rank != 4) return ms_fail("%s: x is %s, expected N x C x H x W or C x H x W", c->op->name, ms_shape_str(x));
  if (size < 1 || size > MOST_WEIGHTS || size % 2 == 0)
    return ms_fail("%s: window_size = %lld, expected an odd number from 1 to 63", c->op->name, (long long)size);
  if (!(range > 0)) return ms_fail("%s: data_range = %g, expected more than 0", c->op->name, range);
  if (!(sigma > 0)) return ms_fail("%s: sigma = %g, expected more than 0", c->op->name, sigma);
  const int64_t h = x->shape[rank - 2], w = x->shape[rank - 1], images = rank == 4 ? x->shape[0] : 1;
  if (h < size || w < size)
    return ms_fail("%s: x is %s, smaller than the window of %lld x %lld", c->op->name, ms_shape_str(x), (long long)size,
                   (long long)size);
  const int64_t planes = images * x->shape[rank - 3];
  const ms_ints flat = MS_INTS(planes, h, w);
  x = ms_reshape(x, flat), y = ms_reshape(y, flat);
  ms_tensor *all = ms_cat(5, (ms_tensor *[]){x, y, ms_square(x), ms_square(y), ms_mul(x, y)}, 0), *part[5];
  if (!all) return NULL;
  all = averaged(averaged(all, true, size, sigma), false, size, sigma);
  for (int i = 0; i < 5; i++) part[i] = ms_slice(all, 0, i * planes, planes, 1);
  ms_tensor *c1 = ms_number(k1 * range * k1 * range), *c2 = ms_number(k2 * range * k2 * range), *two = ms_number(2);
  ms_tensor *xx = ms_square(part[0]), *yy = ms_square(part[1]), *xy = ms_mul(part[0], part[1]);
  ms_tensor *variances = ms_add(ms_sub(part[2], xx), ms_sub(part[3], yy)), *covariance = ms_sub(part[4], xy);
  ms_tensor *above = ms_mul(ms_add(ms_mul(xy, two), c1), ms_add(ms_mul(covariance, two), c2));
  ms_tensor *below = ms_mul(ms_add(ms_add(xx, yy), c1), ms_add(variances, c2));
  ms_tensor *each = ms_div(above, below);
  if (rank == 3) return ms_mean_all(each);
  return ms_mean(ms_reshape(each, MS_INTS(images, images ? planes / images * (h - size + 1) * (w - size + 1) : 1)), MS_INTS(1),
                 false);
}

static int ssim_ref(ms_ref *c) { return ms_give(c, ms_reduced(similarity(c, c->attr + 1), c->attr[0].i)); }
static int ssim_loss_ref(ms_ref *c) { return ms_give(c, ms_reduced(ms_one_less(similarity(c, c->attr + 1)), c->attr[0].i)); }
MS_RULE(ssim, .ref = ssim_ref);
MS_RULE(ssim_loss, .ref = ssim_loss_ref);
