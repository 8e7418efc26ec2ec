/* resize.h -- a picture of any size to one of a given size. */
#ifndef MASCON_RESIZE_H
#define MASCON_RESIZE_H
#include "mascon.h"

/* What a picture must become. */
typedef struct ms_fit {
  int channels, height, width;
  bool resize; /* else it must have the size already */
  bool crop;   /* scaled until it fills the size, and the middle kept (torchvision's Resize and CenterCrop); else stretched */
} ms_fit;

/* planes x height x width of `in` to planes x to->height x to->width: each new pixel is a mean of those that it covers, nearer ones
 * weighing more (a triangle; Pillow's BILINEAR, torchvision's antialias = True). -1 after ms_fail. */
int ms_resize(const uint8_t *in, int planes, int height, int width, const ms_fit *to, uint8_t *out);

#endif
