/* stb.h -- the two stb libraries, for image.c only, which checks a file before it hands it over. */
#ifndef MASCON_STB_H
#define MASCON_STB_H
#include "data/picture.h"

/* Decode a JPEG that ms_jpeg_check accepted, of the size it found, line by line to where `to` says, using at most `limit` bytes at
 * a time. 0, or -1 (no message: ms_stb_reason). */
int ms_stb_jpeg(const uint8_t *bytes, int size, size_t limit, const ms_pixels *to);
const char *ms_stb_reason(void);

/* PNG bytes, malloc'd; NULL when out of memory. The picture must be small enough for (width * channels + 1) * height to fit an int.
 */
uint8_t *ms_stb_png(const uint8_t *pixels, int width, int height, int channels, int *size);

#endif
