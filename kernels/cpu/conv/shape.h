/* shape.h -- what a convolution is: its sizes, and all else that decides how it is computed. */
#ifndef MS_CONV_SHAPE_H
#define MS_CONV_SHAPE_H
#include <stdint.h>

/* y (n x o x oh x ow) = conv(x (n x c x h x w), w (o x c/groups x kh x kw)): which of the three is the result. */
enum { MS_CONV_Y, MS_CONV_X, MS_CONV_W };
typedef struct ms_conv { /* without padding: compared as bytes */
  int64_t n, c, h, w, o, kh, kw, oh, ow, groups, stride[2], pad[2], dilation[2];
  int result;
  int bias;           /* 1: with one (MS_CONV_Y only) */
  int x_last, y_last; /* 1: that image lies channels last (N x H x W x C) */
  int dtype;          /* MS_F32, MS_F64 */
  int bf16;           /* 1: operands are to be rounded to bf16 */
} ms_conv;

/* Multiply-adds for one image; elements of w. */
static inline int64_t image_work(const ms_conv *g) { return g->o * g->oh * g->ow * (g->c / g->groups) * g->kh * g->kw; }
static inline int64_t weight_count(const ms_conv *g) { return g->o * (g->c / g->groups) * g->kh * g->kw; }

/* Output positions j in [*from, *to) whose input position j*stride + at lies in 0 .. n-1. */
static inline void inside(int64_t at, int64_t stride, int64_t n, int64_t outputs, int64_t *from, int64_t *to) {
  *from = at >= 0 ? 0 : (-at + stride - 1) / stride;
  *to = at >= n ? 0 : (n - 1 - at) / stride + 1;
  if (*to > outputs) *to = outputs;
  if (*from > *to) *from = *to;
}

#endif
