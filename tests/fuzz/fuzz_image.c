/* fuzz_image.c -- the picture reader on any bytes; what it accepts is encoded as PNG and must come back the same. Build with
 * -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION: PNG checksums are not looked at then, and stb_image's assertions are. */
#include "data/data.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  if (!size) return 0;
  ms_image *im = ms_image_decode(bytes + 1, size - 1, bytes[0] % 5, "fuzz");
  if (!im != !!ms_error()) abort();
  ms_error_clear();
  if (!im) return 0;
  size_t n = (size_t)im->width * (size_t)im->height * (size_t)im->channels, png_size;
  if (n < 10000) {
    void *png = ms_png_encode(im, &png_size);
    ms_image *back = png ? ms_image_decode(png, png_size, 0, "back") : NULL;
    if (!back || back->width != im->width || back->channels != im->channels || memcmp(back->pixels, im->pixels, n)) abort();
    ms_image_free(back);
    free(png);
  }
  ms_image_free(im);
  return 0;
}
