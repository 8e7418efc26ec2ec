/* shuffle.c -- channels that become pixels, pixels that become channels, channels in another order: views, and one copy where the
 * order changes. */
#include "compose.h"

static int check_factor(const ms_ref *c, const char *what, int64_t r) {
  const ms_tensor *x = c->in[0];
  if (x->rank < 3) return ms_fail("%s: x is %s, expected ... x C x H x W", c->op->name, ms_shape_str(x)), -1;
  return r >= 1 && r <= INT32_MAX ? 0 : (ms_fail("%s: %s is %lld, expected 1 or more", c->op->name, what, (long long)r), -1);
}

/* ... x C r r x H x W to ... x C x H r x W r (up), or back: r x r neighbours are r r channels. */
static int shuffle_pixels(ms_ref *c, const char *what, bool up) {
  ms_tensor *x = c->in[0];
  const int64_t r = c->attr[0].i;
  if (check_factor(c, what, r) < 0) return -1;
  const int64_t channels = x->shape[x->rank - 3], h = x->shape[x->rank - 2], w = x->shape[x->rank - 1];
  if (up && channels % (r * r))
    return ms_fail("%s: %s has %lld channels, expected a multiple of %lld", c->op->name, ms_shape_str(x), (long long)channels,
                   (long long)(r * r)),
           -1;
  if (!up && (h % r || w % r))
    return ms_fail("%s: %s: expected a height and width that %lld divides", c->op->name, ms_shape_str(x), (long long)r), -1;
  int64_t batch = 1;
  ms_ints shape = ms_sizes(x);
  for (int i = 0; i < x->rank - 3; i++) batch *= x->shape[i];
  int64_t *last = &shape.at[x->rank - 3];
  if (up) {
    last[0] = channels / (r * r), last[1] = h * r, last[2] = w * r;
    x = ms_permute(ms_reshape(x, MS_INTS(batch, last[0], r, r, h, w)), MS_INTS(0, 1, 4, 2, 5, 3));
  } else {
    last[0] = channels * r * r, last[1] = h / r, last[2] = w / r;
    x = ms_permute(ms_reshape(x, MS_INTS(batch, channels, last[1], r, last[2], r)), MS_INTS(0, 1, 3, 5, 2, 4));
  }
  return ms_give(c, ms_reshape(x, shape));
}
static int pixel_shuffle(ms_ref *c) { return shuffle_pixels(c, "upscale_factor", true); }
static int pixel_unshuffle(ms_ref *c) { return shuffle_pixels(c, "downscale_factor", false); }
MS_RULE(pixel_shuffle, .ref = pixel_shuffle);
MS_RULE(pixel_unshuffle, .ref = pixel_unshuffle);

/* Channel i of group g becomes channel g of group i. */
static int channel_shuffle(ms_ref *c) {
  ms_tensor *x = c->in[0];
  const int64_t groups = c->attr[0].i;
  if (check_factor(c, "groups", groups) < 0) return -1;
  if (x->shape[1] % groups)
    return ms_fail("channel_shuffle: %s: %lld channels cannot be divided into %lld groups", ms_shape_str(x), (long long)x->shape[1],
                   (long long)groups),
           -1;
  int64_t pixels = 1;
  for (int i = 2; i < x->rank; i++) pixels *= x->shape[i];
  const ms_ints parts = MS_INTS(x->shape[0], groups, x->shape[1] / groups, pixels);
  return ms_give(c, ms_reshape(ms_transpose(ms_reshape(x, parts), 1, 2), ms_sizes(x)));
}
MS_RULE(channel_shuffle, .ref = channel_shuffle);
