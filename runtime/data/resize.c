/* resize.c -- pictures to another size: first along the lines, then along the columns, each time as sums of u8 times weights of 22
 * bits. */
#include "data/resize.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 22 };

/* For each new pixel along one side: which old ones, and how much each of them weighs. */
typedef struct taps {
  int most;   /* weights for each */
  int *first; /* where they begin */
  int *count;
  int32_t *weight; /* `most` for each */
} taps;

static void taps_free(taps *t) {
  free(t->first);
  free(t->count);
  free(t->weight);
}

/* `out` pixels over the stretch of `length` old ones that begins at `begin`, of `in` in all. */
static int taps_make(taps *t, int in, double begin, double length, int out) {
  const double scale = length / out, wide = scale < 1 ? 1 : scale;
  t->most = (int)ceil(wide) * 2 + 1;
  t->first = malloc((size_t)out * sizeof(int));
  t->count = malloc((size_t)out * sizeof(int));
  t->weight = calloc((size_t)out * (size_t)t->most, sizeof(int32_t));
  double *w = malloc((size_t)t->most * sizeof *w);
  const bool good = t->first && t->count && t->weight && w;
  for (int i = 0; i < out && good; i++) {
    const double centre = begin + (i + 0.5) * scale;
    int from = (int)(centre - wide + 0.5), to = (int)(centre + wide + 0.5);
    double sum = 0;
    if (from < 0) from = 0;
    if (to > in) to = in;
    for (int k = 0; k < to - from; k++) {
      const double far = fabs((k + from - centre + 0.5) * (1.0 / wide));
      w[k] = far < 1 ? 1 - far : 0;
      sum += w[k];
    }
    t->first[i] = from;
    t->count[i] = to - from;
    for (int k = 0; k < to - from; k++)
      t->weight[(size_t)i * (size_t)t->most + (size_t)k] = (int32_t)(0.5 + w[k] / sum * (1 << BITS));
  }
  free(w);
  return good ? 0 : -1;
}

static uint8_t round_off(int32_t sum) {
  sum >>= BITS;
  return sum < 0 ? 0 : sum > 255 ? 255 : (uint8_t)sum;
}

static void along_lines(const uint8_t *in, int width, int lines, const taps *t, int out_width, uint8_t *out) {
  for (int y = 0; y < lines; y++, in += width, out += out_width)
    for (int x = 0; x < out_width; x++) {
      const int32_t *w = t->weight + (size_t)x * (size_t)t->most;
      const uint8_t *p = in + t->first[x];
      int32_t sum = 1 << (BITS - 1);
      for (int k = 0; k < t->count[x]; k++) sum += p[k] * w[k];
      out[x] = round_off(sum);
    }
}

static void along_columns(const uint8_t *in, int width, const taps *t, int out_height, uint8_t *out, int32_t *sums) {
  for (int y = 0; y < out_height; y++, out += width) {
    const int32_t *w = t->weight + (size_t)y * (size_t)t->most;
    for (int x = 0; x < width; x++) sums[x] = 1 << (BITS - 1);
    for (int k = 0; k < t->count[y]; k++) {
      const uint8_t *p = in + (size_t)(t->first[y] + k) * (size_t)width;
      const int32_t weight = w[k];
      for (int x = 0; x < width; x++) sums[x] += p[x] * weight;
    }
    for (int x = 0; x < width; x++) out[x] = round_off(sums[x]);
  }
}

int ms_resize(const uint8_t *in, int planes, int height, int width, const ms_fit *to, uint8_t *out) {
  double top = 0, left = 0, tall = height, wide = width;
  if (to->crop && (int64_t)height * to->width > (int64_t)width * to->height) { /* too tall */
    tall = (double)width * to->height / to->width;
    top = (height - tall) / 2;
  } else if (to->crop) {
    wide = (double)height * to->width / to->height;
    left = (width - wide) / 2;
  }
  taps across = {0}, down = {0};
  uint8_t *lines = malloc((size_t)height * (size_t)to->width);
  int32_t *sums = malloc((size_t)to->width * sizeof *sums);
  int rc = taps_make(&across, width, left, wide, to->width) || taps_make(&down, height, top, tall, to->height) || !lines || !sums
               ? -1
               : 0;
  for (int p = 0; p < planes && !rc; p++) {
    const uint8_t *from = in + (size_t)p * (size_t)height * (size_t)width;
    const uint8_t *half = from;
    if (wide != to->width || left != 0) along_lines(from, width, height, &across, to->width, lines), half = lines;
    along_columns(half, to->width, &down, to->height, out + (size_t)p * (size_t)to->height * (size_t)to->width, sums);
  }
  taps_free(&across);
  taps_free(&down);
  free(lines);
  free(sums);
  if (rc) ms_fail("out of memory for a picture of %d x %d", height, width);
  return rc;
}
