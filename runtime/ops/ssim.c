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

/* The Gaussian window of n weights of sum 1, at all its places along `size` elements: a matrix, a row for each place. A product
 * with it costs more multiplications than a convolution, and far less time: 16 x 3 x 64 x 64 are 120 ms, with gradients, by
 * convolutions of one channel, 7 ms by products. */
static ms_tensor *windows(const ms_tensor *like, int64_t size, int64_t n, double sigma) {
  double weight[64], sum = 0;
  for (int64_t i = 0; i < n; i++) {
    const double d = ((double)i - (double)(n - 1) / 2) / sigma;
    sum += weight[i] = exp(-d * d / 2);
  }
  const int64_t shape[2] = {size - n + 1, size};
  double *at = calloc((size_t)(shape[0] * size), sizeof *at);
  if (!at) return ms_fail("ssim: out of memory for %lld weights", (long long)(shape[0] * size));
  for (int64_t i = 0; i < shape[0]; i++)
    for (int64_t k = 0; k < n; k++) at[i * size + i + k] = weight[k] / sum;
  ms_tensor *w = ms_from_host(MS_F64, 2, shape, at, ms_tensor_device(like));
  free(at);
  return ms_cast(w, like->dtype);
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
  if (size < 1 || size > 63 || size % 2 == 0)
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
  all = ms_matmul(ms_matmul(windows(all, h, size, sigma), all, false, false), windows(all, w, size, sigma), false, true);
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
