/* images.h -- what the operations on images and signals share. */
#ifndef MS_IMAGES_H
#define MS_IMAGES_H
#include "core/core.h"

/* A call with one image, C x H x W, in the place of a batch, N x C x H x W: if input 0 has rank 3, the inputs of the set `images`
 * (bits) get a batch dimension, the row is applied to them, and its results lose it. As ms_rule.composes: 1: done, 0: input 0 is
 * something else, -1 after ms_fail. */
int ms_one_image(ms_ref *c, int images);

/* The same row for signals, N x C x L or C x L, as operation `id` on images of height 1. The inputs of the set `signals` get a
 * dimension of size 1 before the last; attributes of the kind ints, numbers for the length, become pairs whose first number is the
 * one of `across`. The first n_out results lose the dimension. */
typedef struct ms_signals {
  int id;
  int signals;
  int64_t across[MS_MAX_ARGS]; /* by attribute */
  int n_out;
} ms_signals;
int ms_as_images(ms_ref *c, const ms_signals *s);

/* "C x H x W or N x C x H x W": check the rank of an argument. 0, or -1 after ms_fail. */
int ms_check_image(const char *op, const char *what, const ms_tensor *x);
#endif
