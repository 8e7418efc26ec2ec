/* stb.c -- stb_image (JPEG only, fed what jpeg.c has checked) and stb_image_write, every allocation under a cap.
 *
 * stb_image 2.27 adds signed integers past their range where coefficients are absurd. The sums are only pixel values, so wrapping
 * is harmless; the pragma makes it defined.
 */
#include "data/stb.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("signed-integer-overflow"))), apply_to = function)
#else
#pragma GCC optimize("wrapv")
#endif

/* To the end of the file: gcc finds declarations without definitions only there. */
#pragma GCC diagnostic ignored "-Wunused-function"

/* ---- memory under a cap ------------------------------------------------------------------------------------------ */

/* Each block is preceded by its size, in a header that keeps the alignment of malloc. New memory is zero: a file that leaves parts
 * of a picture or table out must not show what the memory held before. */
enum { HEADER = 16 };

static _Thread_local size_t live, cap;

static void *capped_malloc(size_t n) {
  if (n > cap || live > cap - n) return NULL;
  char *p = calloc(1, n + HEADER);
  if (!p) return NULL;
  memcpy(p, &n, sizeof n);
  live += n;
  return p + HEADER;
}

static void capped_free(void *block) {
  if (!block) return;
  char *p = (char *)block - HEADER;
  size_t n;
  memcpy(&n, p, sizeof n);
  live -= n;
  free(p);
}

static void *capped_realloc(void *block, size_t n) {
  if (!block) return capped_malloc(n);
  size_t old;
  memcpy(&old, (char *)block - HEADER, sizeof old);
  void *fresh = capped_malloc(n);
  if (!fresh) return NULL;
  memcpy(fresh, block, old < n ? old : n);
  capped_free(block);
  return fresh;
}

/* ---- reader ------------------------------------------------------------------------------------------------------ */

#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_MAX_DIMENSIONS 16384
#define STBI_MALLOC(n)      capped_malloc(n)
#define STBI_REALLOC(p, n)  capped_realloc(p, n)
#define STBI_FREE(p)        capped_free(p)
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define STBI_ASSERT(x) ((x) ? (void)0 : abort())
#else
#define STBI_ASSERT(x) ((void)sizeof(x)) /* fuzzed with assertions on; none may end a program that reads a bad file */
#endif
#include <stb/stb_image.h>

/* How component k becomes a line as long as the picture is wide: as load_jpeg_image does it. */
static int begin_lines(stbi__jpeg *z, stbi__resample *r, int k) {
  r->hs = z->img_h_max / z->img_comp[k].h;
  r->vs = z->img_v_max / z->img_comp[k].v;
  r->ystep = r->vs >> 1;
  r->w_lores = ((int)z->s->img_x + r->hs - 1) / r->hs;
  r->ypos = 0;
  r->line0 = r->line1 = z->img_comp[k].data;
  if (r->hs == 1 && r->vs == 1) r->resample = resample_row_1;
  else if (r->hs == 1 && r->vs == 2) r->resample = stbi__resample_row_v_2;
  else if (r->hs == 2 && r->vs == 1) r->resample = stbi__resample_row_h_2;
  else if (r->hs == 2 && r->vs == 2) r->resample = z->resample_row_hv_2_kernel;
  else r->resample = stbi__resample_row_generic;
  z->img_comp[k].linebuf = stbi__malloc(z->s->img_x + 3); /* off the edge by 3 when every sample becomes four */
  return z->img_comp[k].linebuf ? 0 : -1;
}

static stbi_uc *next_line(stbi__jpeg *z, stbi__resample *r, int k) {
  bool below = r->ystep >= r->vs >> 1;
  stbi_uc *line = r->resample(z->img_comp[k].linebuf, below ? r->line1 : r->line0, below ? r->line0 : r->line1, r->w_lores, r->hs);
  if (++r->ystep >= r->vs) {
    r->ystep = 0;
    r->line0 = r->line1;
    if (++r->ypos < z->img_comp[k].y) r->line1 += z->img_comp[k].w2;
  }
  return line;
}

/* n pixels of three or four components to RGB at out, which has room for one byte more. */
static void to_rgb(stbi__jpeg *z, stbi_uc *out, stbi_uc *const *in, int n) {
  int parts = z->s->img_n;
  bool plain = parts == 3 ? z->rgb == 3 || (z->app14_color_transform == 0 && !z->jfif) : z->app14_color_transform == 0;
  if (!plain) z->YCbCr_to_RGB_kernel(out, in[0], in[1], in[2], n, 3);
  for (int i = 0; i < n && (plain || (parts == 4 && z->app14_color_transform == 2)); i++)
    for (int k = 0; k < 3; k++) {
      stbi_uc v = plain ? in[k][i] : (stbi_uc)(255 - out[3 * i + k]);
      out[3 * i + k] = parts == 4 ? stbi__blinn_8x8(v, in[3][i]) : v; /* the fourth is black, printed over the others */
    }
}

static int put_lines(stbi__jpeg *z, const ms_pixels *to) {
  stbi__resample r[4];
  stbi_uc *in[4] = {NULL};
  int parts = z->s->img_n, width = (int)z->s->img_x;
  bool grey = parts < 3 || (parts == 3 && to->channels < 3 && z->rgb != 3 && (z->app14_color_transform != 0 || z->jfif));
  if (grey) parts = 1; /* the first component is it */
  stbi_uc *line = stbi__malloc(3 * (size_t)width + 1);
  int bad = line ? 0 : -1;
  for (int k = 0; k < parts && !bad; k++) bad = begin_lines(z, &r[k], k);
  for (int y = 0; y < (int)z->s->img_y && !bad; y++) {
    for (int k = 0; k < parts; k++) in[k] = next_line(z, &r[k], k);
    if (!grey) to_rgb(z, line, in, width);
    ms_put_pixels(to, 0, y, 1, width, grey ? in[0] : line, grey ? 1 : 3);
  }
  capped_free(line);
  return bad;
}

int ms_stb_jpeg(const uint8_t *bytes, int size, size_t limit, const ms_pixels *to) {
  live = 0;
  cap = limit;
  stbi__context s;
  stbi__jpeg *z = capped_malloc(sizeof *z);
  if (!z) return -1;
  stbi__start_mem(&s, bytes, size);
  z->s = &s;
  stbi__setup_jpeg(z);
  s.img_n = 0; /* so that there is nothing to clean up yet */
  int rc = stbi__decode_jpeg_image(z) ? put_lines(z, to) : -1;
  stbi__cleanup_jpeg(z);
  capped_free(z);
  return rc;
}

const char *ms_stb_reason(void) {
  const char *why = stbi_failure_reason();
  return why ? why : "damaged data";
}

/* ---- writer ------------------------------------------------------------------------------------------------------ */

static _Thread_local unsigned char *compressed; /* what the writer took from compress_zlib and has not freed */

/* zlib in place of stb's own compressor: smaller and several times faster. */
static unsigned char *compress_zlib(unsigned char *data, int n, int *out_n, int level) {
  uLongf room = compressBound((uLong)n);
  unsigned char *out = malloc(room);
  if (!out) return NULL;
  if (compress2(out, &room, data, (uLong)n, level > 9 ? 9 : level) != Z_OK) {
    free(out);
    return NULL;
  }
  *out_n = (int)room;
  return compressed = out;
}

static void stb_free(void *p) {
  if (p == compressed) compressed = NULL;
  free(p);
}

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STBIW_ZLIB_COMPRESS compress_zlib
#define STBIW_MALLOC(n)     malloc(n)
#define STBIW_REALLOC(p, n) realloc(p, n)
#define STBIW_FREE(p)       stb_free(p)
#define STBIW_ASSERT(x)     ((void)sizeof(x))
#include <stb/stb_image_write.h>

uint8_t *ms_stb_png(const uint8_t *pixels, int width, int height, int channels, int *size) {
  uint8_t *png = stbi_write_png_to_mem(pixels, 0, width, height, channels, size);
  stb_free(compressed); /* left behind where there is no memory for the whole */
  return png;
}

#ifdef __clang__
#pragma clang attribute pop
#endif
