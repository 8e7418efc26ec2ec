/* image.c -- PNG and JPEG to bytes and bytes to PNG. What stb_image takes on trust is checked here first. */
#include "data/data.h"
#include "data/stb.h"
#include "io/io.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { FILE_CAP = 1 << 28, MAX_SCANS = 100 }; /* real progressive files have about ten scans */

static int check_size(const char *name, int64_t width, int64_t height, int channels) {
  if (width >= 1 && height >= 1 && width <= MS_IMAGE_MAX_SIDE && height <= MS_IMAGE_MAX_SIDE &&
      width * height <= MS_IMAGE_MAX_PIXELS && channels >= 1 && channels <= 4)
    return 0;
  ms_fail("%s: expected a picture of at most %d x %d and %d pixels in all, 1 to 4 channels, got %lld x %lld with %d", name,
          MS_IMAGE_MAX_SIDE, MS_IMAGE_MAX_SIDE, MS_IMAGE_MAX_PIXELS, (long long)width, (long long)height, channels);
  return -1;
}

ms_image *ms_image_new(int width, int height, int channels) {
  if (check_size("image", width, height, channels)) return NULL;
  ms_image *im = calloc(1, sizeof *im);
  size_t n = (size_t)width * (size_t)height * (size_t)channels;
  if (im) *im = (ms_image){width, height, channels, calloc(1, n)};
  if (im && im->pixels) return im;
  free(im);
  return ms_fail("image: out of memory for %zu bytes", n);
}

void ms_image_free(ms_image *im) {
  if (!im) return;
  free(im->pixels);
  free(im);
}

/* ---- PNG: structure, checksums and plausible sizes --------------------------------------------------------------- */

static uint32_t be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }
static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

static bool checksum_right(const uint8_t *chunk, size_t n) {
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  (void)chunk, (void)n;
  return true; /* a fuzzer that had to guess checksums would never get past them */
#else
  return (uint32_t)crc32(crc32(0, NULL, 0), chunk + 4, (uInt)(n + 4)) == be32(chunk + 8 + n);
#endif
}

/* PNG, second edition: chunks of length, type, data, CRC; the first is IHDR, the last IEND. */
static int check_png(const uint8_t *p, size_t size, const char *name) {
  uint64_t compressed = 0, pixels = 0;
  for (size_t at = 8;;) {
    if (size - at < 12) break;
    size_t n = be32(p + at);
    if (n > size - at - 12) break;
    const uint8_t *type = p + at + 4;
    if (!checksum_right(p + at, n)) {
      ms_fail("%s: damaged PNG: the checksum of its chunk at byte %zu does not match", name, at);
      return -1;
    }
    if (at == 8) {
      if (memcmp(type, "IHDR", 4) || n != 13) {
        ms_fail("%s: damaged PNG: expected it to begin with a header", name);
        return -1;
      }
      if (check_size(name, be32(p + at + 8), be32(p + at + 12), 1)) return -1;
      static const int channels[8] = {1, 1, 3, 1, 2, 1, 4, 1};
      int depth = p[at + 16], color = p[at + 17] & 7;
      pixels = (uint64_t)be32(p + at + 8) * be32(p + at + 12) * (uint64_t)(depth * channels[color]);
    }
    if (!memcmp(type, "IDAT", 4)) compressed += n;
    at += 12 + n;
    if (memcmp(type, "IEND", 4)) continue;
    /* deflate makes at best 1 byte of 1032 */
    if (pixels / 8 <= compressed * 1032) return 0;
    ms_fail("%s: damaged PNG: %llu bytes cannot hold the pixels its header declares", name, (unsigned long long)compressed);
    return -1;
  }
  ms_fail("%s: truncated PNG", name);
  return -1;
}

/* ---- JPEG: Huffman tables ---------------------------------------------------------------------------------------- */

/* A DHT segment (ITU T.81, B.2.4.2) whose length field is at p: tables of class and slot, 16 counts, values. The counts must name
 * at most 256 values and fit the code space, and the tables must fill the segment. */
static bool huffman_right(const uint8_t *p, size_t left) {
  if (left < 2 || be16(p) < 2 || be16(p) > left) return false;
  size_t n = be16(p) - 2;
  p += 2;
  while (n) {
    if (n < 17) return false;
    size_t values = 0, codes = 0;
    for (int length = 1; length <= 16; length++) {
      values += p[length];
      codes = codes * 2 + p[length];
      if (codes > (size_t)1 << length) return false;
    }
    if (values > 256 || 17 + values > n) return false;
    n -= 17 + values;
    p += 17 + values;
  }
  return true;
}

/* Segments are walked as stb_image walks them, so that it meets no table unseen here: to the next FF, past the segment; behind a
 * scan's header past the encoded data, in which FF stands only before 00 (an FF of the data) or D0..D7 (a restart). Where stb_image
 * would go another way, it ends with an error of its own. */
static int check_jpeg(const uint8_t *p, size_t size, const char *name) {
  int scans = 0;
  for (size_t at = 2; at + 1 < size;) {
    int marker = p[at + 1];
    if (p[at] != 0xff || marker == 0xff || (scans && (marker == 0 || (marker >= 0xd0 && marker <= 0xd7)))) {
      at++;
      continue;
    }
    at += 2;
    if (marker == 0xd9) break;
    if (marker == 0xc4 && !huffman_right(p + at, size - at)) {
      ms_fail("%s: damaged JPEG: impossible Huffman table at byte %zu", name, at);
      return -1;
    }
    if (marker == 0xda && ++scans > MAX_SCANS) {
      ms_fail("%s: damaged JPEG: expected at most %d scans", name, MAX_SCANS);
      return -1;
    }
    if (size - at < 2 || be16(p + at) < 2 || be16(p + at) > size - at) {
      ms_fail("%s: truncated or damaged JPEG: the segment at byte %zu does not fit", name, at);
      return -1;
    }
    at += be16(p + at);
  }
  if (scans) return 0;
  ms_fail("%s: truncated or damaged JPEG: no picture data", name);
  return -1;
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

static ms_image *decode(const uint8_t *p, int size, int channels, const char *name) {
  static const uint8_t png[8] = {137, 80, 78, 71, 13, 10, 26, 10};
  bool is_png = size >= 8 && !memcmp(p, png, 8), is_jpeg = size >= 3 && p[0] == 0xff && p[1] == 0xd8 && p[2] == 0xff;
  if (!is_png && !is_jpeg) return ms_fail("%s: expected a PNG or JPEG picture, got neither", name);
  if (is_png ? check_png(p, (size_t)size, name) : check_jpeg(p, (size_t)size, name)) return NULL;
  int width, height, inside;
  if (!ms_stb_info(p, size, &width, &height, &inside)) return ms_fail("%s: cannot decode: %s", name, ms_stb_reason());
  if (check_size(name, width, height, inside)) return NULL;
  /* A JPEG spends at least a bit on every 8 x 8 block of some component, none of which has less than a quarter of the blocks. */
  if (is_jpeg && (int64_t)size * 32 < (int64_t)(width / 8) * (height / 8))
    return ms_fail("%s: damaged JPEG: %d bytes cannot hold %d x %d pixels", name, size, width, height);
  /* The most a sound file needs, with 16-bit channels, interlacing or four full-size planes of coefficients, is below 40 bytes a
   * pixel. */
  size_t limit = 40 * ((size_t)width + 64) * ((size_t)height + 64) + 2 * (size_t)size + (1 << 20);
  int got = channels;
  uint8_t *pixels = ms_stb_decode(p, size, &width, &height, &got, limit);
  if (!pixels) return ms_fail("%s: cannot decode: %s", name, ms_stb_reason());
  ms_image *im = ms_image_new(width, height, got);
  if (im) memcpy(im->pixels, pixels, (size_t)width * (size_t)height * (size_t)got);
  ms_stb_free(pixels);
  return im;
}

ms_image *ms_image_decode(const void *bytes, size_t size, int channels, const char *name) {
  if (channels < 0 || channels > 4) return ms_fail("%s: expected 0 to 4 channels, got %d", name, channels);
  if (size > FILE_CAP) return ms_fail("%s: too big: expected at most %d bytes, got %zu", name, FILE_CAP, size);
  return decode(bytes, (int)size, channels, name);
}

ms_image *ms_image_read(const char *path, int channels) {
  size_t size;
  void *bytes = ms_read_file(path, FILE_CAP, &size);
  if (!bytes) return NULL;
  ms_image *im = ms_image_decode(bytes, size, channels, path);
  free(bytes);
  return im;
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

void *ms_png_encode(const ms_image *im, size_t *size) {
  if (!im || check_size("PNG", im->width, im->height, im->channels)) return NULL;
  int n;
  uint8_t *png = ms_stb_png(im->pixels, im->width, im->height, im->channels, &n);
  if (!png) return ms_fail("PNG: out of memory for %d x %d pixels", im->width, im->height);
  *size = (size_t)n;
  return png;
}

int ms_png_write(const char *path, const ms_image *im) {
  size_t size;
  void *png = ms_png_encode(im, &size);
  if (!png) {
    ms_error_prefix("%s", path);
    return -1;
  }
  int rc = ms_write_file(path, png, size);
  free(png);
  return rc;
}
