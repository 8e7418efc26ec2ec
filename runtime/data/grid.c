/* grid.c -- many small pictures in one. */
#include "data/data.h"
#include <string.h>

/* [0,1] to 0..255, rounded; NaN is 0. */
static uint8_t to_byte(float v) { return v > 0 ? v < 1 ? (uint8_t)(v * 255 + 0.5f) : 255 : 0; }

static void fill_background(ms_image *im, const uint8_t *background) {
  for (size_t i = 0, n = (size_t)im->width * (size_t)im->height; i < n; i++)
    memcpy(im->pixels + i * (size_t)im->channels, background, (size_t)im->channels);
}

/* One picture with its top left corner at (x, y). `first` is its first element in the planar data. */
static void draw_picture(ms_image *im, int x, int y, const void *data, ms_dtype dtype, size_t first, int height, int width,
                         int zoom) {
  size_t plane = (size_t)height * (size_t)width, c = (size_t)im->channels;
  for (int i = 0; i < height; i++) {
    uint8_t *line = im->pixels + ((size_t)(y + i * zoom) * (size_t)im->width + (size_t)x) * c, *to = line;
    for (int j = 0; j < width; j++) {
      uint8_t pixel[4];
      for (size_t k = 0; k < c; k++) {
        size_t at = first + k * plane + (size_t)i * (size_t)width + (size_t)j;
        pixel[k] = dtype == MS_U8 ? ((const uint8_t *)data)[at] : to_byte(((const float *)data)[at]);
      }
      for (int z = 0; z < zoom; z++, to += c) memcpy(to, pixel, c);
    }
    for (int z = 1; z < zoom; z++) memcpy(line + (size_t)z * (size_t)im->width * c, line, (size_t)(to - line));
  }
}

ms_image *ms_image_grid(const void *data, ms_dtype dtype, int64_t n, int channels, int height, int width, const ms_grid *opt) {
  int64_t zoom = opt->zoom ? opt->zoom : 1, pad = opt->padding, columns = opt->columns;
  if (dtype != MS_U8 && dtype != MS_F32) return ms_fail("grid: expected u8 or f32 pictures, got %s", ms_dtype_name(dtype));
  if (channels != 1 && channels != 3) return ms_fail("grid: expected 1 or 3 channels, got %d", channels);
  if (n < 1 || n > MS_IMAGE_MAX_PIXELS || height < 1 || height > MS_IMAGE_MAX_SIDE || width < 1 || width > MS_IMAGE_MAX_SIDE)
    return ms_fail("grid: expected at least one picture of at most %d x %d, got %lld of %d x %d", MS_IMAGE_MAX_SIDE,
                   MS_IMAGE_MAX_SIDE, (long long)n, width, height);
  if (zoom < 1 || zoom > MS_IMAGE_MAX_SIDE || pad < 0 || pad > MS_IMAGE_MAX_SIDE || columns < 0)
    return ms_fail("grid: expected zoom of at least 1, padding and columns not below 0, got %lld, %lld, %lld", (long long)zoom,
                   (long long)pad, (long long)columns);
  if (!columns)
    while (columns * columns < n) columns++;
  if (columns > n) columns = n;
  int64_t rows = (n + columns - 1) / columns;
  int64_t step_x = width * zoom + pad, step_y = height * zoom + pad;
  int64_t w = columns * step_x + pad, h = rows * step_y + pad;
  if (w > MS_IMAGE_MAX_SIDE || h > MS_IMAGE_MAX_SIDE)
    return ms_fail("grid: expected the whole to be at most %d x %d, got %lld x %lld", MS_IMAGE_MAX_SIDE, MS_IMAGE_MAX_SIDE,
                   (long long)w, (long long)h);
  ms_image *im = ms_image_new((int)w, (int)h, channels);
  if (!im) return NULL;
  fill_background(im, opt->background);
  size_t each = (size_t)channels * (size_t)height * (size_t)width;
  for (int64_t i = 0; i < n; i++)
    draw_picture(im, (int)(pad + i % columns * step_x), (int)(pad + i / columns * step_y), data, dtype, (size_t)i * each, height,
                 width, (int)zoom);
  return im;
}
