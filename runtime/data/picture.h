/* picture.h -- what image.c shares with the readers of the two formats: png.c, jpeg.c and, behind it, stb.c. */
#ifndef MASCON_PICTURE_H
#define MASCON_PICTURE_H
#include "data/data.h"
#include "io/source.h"

static inline uint32_t ms_be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static inline uint32_t ms_be32(const uint8_t *p) { return ms_be16(p) << 16 | ms_be16(p + 2); }

/* Fails unless the sizes lie within the limits of data.h. */
int ms_check_picture_size(const char *name, int64_t width, int64_t height, int channels);

/* Where pixels go: channel c of the pixel (x, y) to at[y * row + x * pixel + c * plane]. */
typedef struct ms_pixels {
  uint8_t *at;
  size_t row, pixel, plane;
  int channels;
} ms_pixels;
/* n pixels of line y, at x, x + step, ...: `inside` channels each, side by side, converted to those wanted. Grey from colours
 * weighs them 77, 150 and 29 in 256; alpha that is not there is 255, and one that is not wanted is dropped. */
void ms_put_pixels(const ms_pixels *to, int x, int y, int step, int n, const uint8_t *from, int inside);

/* ---- PNG (png.c) ------------------------------------------------------------------------------------------------- */

typedef struct ms_png ms_png;
/* Read up to the pixels. *width, *height, *channels: what is inside. The source stays the caller's. */
ms_png *ms_png_open(ms_source *s, int *width, int *height, int *channels);
int ms_png_pixels(ms_png *p, const ms_pixels *to);
void ms_png_close(ms_png *p); /* NULL is fine */

/* ---- JPEG (jpeg.c) ----------------------------------------------------------------------------------------------- */

/* Read all of it but for the arithmetic on coefficients: segments, tables, and every Huffman code of every block. What is damaged
 * or cut short is refused; what is accepted never makes stb_image run out of bits or tables. *work: bytes that decoding takes. */
int ms_jpeg_check(const uint8_t *bytes, size_t size, const char *name, int *width, int *height, int *channels, size_t *work);

#endif
