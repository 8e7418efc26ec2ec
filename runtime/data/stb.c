/* stb.c -- stb_image and stb_image_write, with only what is wanted of them and every allocation under a cap.
 *
 * stb_image 2.27 adds and shifts signed integers past their range on damaged JPEGs. The sums are only pixel values, so wrapping is
 * harmless; the pragma makes it defined. (A build under UBSan wants -fno-sanitize=shift,signed-integer-overflow for this file.)
 */
#include "data/stb.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("shift", "signed-integer-overflow"))), apply_to = function)
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
  live -= n < live ? n : live; /* a picture may be freed when another decode has begun to count */
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
#define STBI_ONLY_PNG
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

int ms_stb_info(const uint8_t *bytes, int size, int *width, int *height, int *channels) {
  live = 0;
  cap = 1 << 20;
  return stbi_info_from_memory(bytes, size, width, height, channels);
}

uint8_t *ms_stb_decode(const uint8_t *bytes, int size, int *width, int *height, int *channels, size_t limit) {
  live = 0;
  cap = limit;
  int inside = 0, want = *channels;
  uint8_t *pixels = stbi_load_from_memory(bytes, size, width, height, &inside, want);
  *channels = want ? want : inside;
  return pixels;
}

void ms_stb_free(uint8_t *pixels) { capped_free(pixels); }

const char *ms_stb_reason(void) {
  const char *why = stbi_failure_reason();
  return why ? why : "damaged data";
}

/* ---- writer ------------------------------------------------------------------------------------------------------ */

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
  return out;
}

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STBIW_ZLIB_COMPRESS compress_zlib
#define STBIW_ASSERT(x)     ((void)sizeof(x))
#include <stb/stb_image_write.h>

uint8_t *ms_stb_png(const uint8_t *pixels, int width, int height, int channels, int *size) {
  return stbi_write_png_to_mem(pixels, 0, width, height, channels, size);
}

#ifdef __clang__
#pragma clang attribute pop
#endif
