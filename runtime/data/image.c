/* image.c -- pictures: from the bytes of a PNG or JPEG to pixels, and from pixels to PNG. */
#include "data/data.h"
#include "data/format.h"
#include "data/picture.h"
#include "data/stb.h"
#include "io/io.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_CAP = 1 << 28 };

int ms_check_picture_size(const char *name, int64_t width, int64_t height, int channels) {
  if (width >= 1 && height >= 1 && width <= MS_IMAGE_MAX_SIDE && height <= MS_IMAGE_MAX_SIDE &&
      width * height <= MS_IMAGE_MAX_PIXELS && channels >= 1 && channels <= 4)
    return 0;
  ms_fail("%s: expected a picture of at most %d x %d and %d pixels in all, 1 to 4 channels, got %lld x %lld with %d", name,
          MS_IMAGE_MAX_SIDE, MS_IMAGE_MAX_SIDE, MS_IMAGE_MAX_PIXELS, (long long)width, (long long)height, channels);
  return -1;
}

ms_image *ms_image_new(int width, int height, int channels) {
  if (ms_check_picture_size("image", width, height, channels)) return NULL;
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

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct ms_picture_private {
  ms_source s;
  ms_png *png;    /* or */
  uint8_t *bytes; /* a JPEG as it is, of s.size bytes */
  bool borrowed;  /* bytes are the caller's */
  size_t work;    /* what decoding it takes */
};

void ms_put_pixels(const ms_pixels *to, int x, int y, int step, int n, const uint8_t *from, int inside) {
  uint8_t *at = to->at + (size_t)y * to->row + (size_t)x * to->pixel;
  int want = to->channels, colours = want < 3 ? 1 : 3;
  for (int i = 0; i < n; i++, from += inside, at += (size_t)step * to->pixel) {
    for (int k = 0; k < colours; k++)
      at[(size_t)k * to->plane] =
          inside < 3 || colours == 3 ? from[inside < 3 ? 0 : k] : (uint8_t)((77 * from[0] + 150 * from[1] + 29 * from[2]) >> 8);
    if (want % 2 == 0) at[(size_t)colours * to->plane] = inside % 2 ? 255 : from[inside - 1];
  }
}

/* The bytes of a JPEG in memory, all of them: stb_image wants them so. */
static int load_bytes(struct ms_picture_private *p, uint64_t max_bytes) {
  ms_source *s = &p->s;
  if (s->size > FILE_CAP) {
    ms_fail("%s: too big: expected at most %d bytes, got %llu", s->name, FILE_CAP, (unsigned long long)s->size);
    return -1;
  }
  p->borrowed = s->fd < 0;
  if (p->borrowed) return p->bytes = (uint8_t *)s->in, 0;
  if (ms_allow_bytes(s->name, s->size, 0, s->size, max_bytes)) return -1;
  if (!(p->bytes = malloc((size_t)s->size))) {
    ms_fail("%s: out of memory for %llu bytes", s->name, (unsigned long long)s->size);
    return -1;
  }
  int64_t got = ms_source_read(s, p->bytes, (size_t)s->size);
  if (got < 0 || got == (int64_t)s->size) return got < 0 ? -1 : 0;
  ms_fail("%s: it became shorter while it was read", s->name);
  return -1;
}

static int open_format(ms_picture *im, uint64_t max_bytes) {
  static const uint8_t png[8] = {137, 80, 78, 71, 13, 10, 26, 10};
  struct ms_picture_private *p = im->private;
  ms_source *s = &p->s;
  int inside;
  if (ms_source_fill(s) < 0) return -1;
  if (s->left >= 8 && !memcmp(s->in, png, 8)) {
    if (!(p->png = ms_png_open(s, &im->width, &im->height, &inside))) return -1;
    p->work = 16 * (size_t)im->width + (1 << 19); /* two lines and zlib's window */
  } else if (s->left >= 3 && s->in[0] == 0xff && s->in[1] == 0xd8 && s->in[2] == 0xff) {
    if (load_bytes(p, max_bytes)) return -1;
    if (ms_jpeg_check(p->bytes, (size_t)s->size, s->name, &im->width, &im->height, &inside, &p->work)) return -1;
  } else {
    ms_fail("%s: expected a PNG or JPEG picture, got neither", s->name);
    return -1;
  }
  if (!im->channels) im->channels = inside;
  return ms_allow_bytes(s->name, s->size, (uint64_t)im->width * (uint64_t)im->height * (uint64_t)im->channels,
                        p->work + (p->bytes && !p->borrowed ? s->size : 0), max_bytes);
}

static ms_picture *new_picture(int channels, const char *name) {
  if (channels < 0 || channels > 4) return ms_fail("%s: expected 0 to 4 channels, got %d", name, channels);
  ms_picture *im = calloc(1, sizeof *im);
  if (im && (im->private = calloc(1, sizeof *im->private))) {
    im->channels = channels;
    return im;
  }
  free(im);
  return ms_fail("%s: out of memory", name);
}

ms_picture *ms_picture_open(const char *path, int channels, uint64_t max_bytes) {
  ms_picture *im = new_picture(channels, path);
  if (im && !ms_source_file(&im->private->s, path) && !open_format(im, max_bytes)) return im;
  ms_picture_close(im);
  return NULL;
}

ms_picture *ms_picture_parse(const void *bytes, size_t size, int channels, uint64_t max_bytes, const char *name) {
  ms_picture *im = new_picture(channels, name);
  if (!im) return NULL;
  ms_source_memory(&im->private->s, bytes, size, name);
  if (!open_format(im, max_bytes)) return im;
  ms_picture_close(im);
  return NULL;
}

int ms_picture_pixels(ms_picture *im, uint8_t *out, size_t row, size_t pixel, size_t plane) {
  struct ms_picture_private *p = im->private;
  ms_pixels to = {out, row, pixel, plane, im->channels};
  if (p->png) return ms_png_pixels(p->png, &to);
  if (!ms_stb_jpeg(p->bytes, (int)p->s.size, p->work, &to)) return 0;
  ms_fail("%s: cannot decode: %s", p->s.name, ms_stb_reason());
  return -1;
}

void ms_picture_close(ms_picture *im) {
  if (!im) return;
  ms_png_close(im->private->png);
  if (!im->private->borrowed) free(im->private->bytes);
  ms_source_close(&im->private->s);
  free(im->private);
  free(im);
}

/* All of it side by side; it is closed. */
static ms_image *whole_picture(ms_picture *p) {
  if (!p) return NULL;
  ms_image *im = ms_image_new(p->width, p->height, p->channels);
  size_t c = (size_t)p->channels;
  if (im && ms_picture_pixels(p, im->pixels, (size_t)p->width * c, c, 1)) {
    ms_image_free(im);
    im = NULL;
  }
  ms_picture_close(p);
  return im;
}

ms_image *ms_image_decode(const void *bytes, size_t size, int channels, const char *name) {
  return whole_picture(ms_picture_parse(bytes, size, channels, 0, name));
}

ms_image *ms_image_read(const char *path, int channels) { return whole_picture(ms_picture_open(path, channels, 0)); }

/* ---- as rows of the table of formats: u8, channels x height x width ----------------------------------------------- */

static bool is_png(const uint8_t *head, size_t n, uint64_t size) {
  (void)size;
  return n >= 8 && !memcmp(head, "\x89PNG\r\n\x1a\n", 8);
}
static bool is_jpeg(const uint8_t *head, size_t n, uint64_t size) {
  (void)size;
  return n >= 3 && head[0] == 0xff && head[1] == 0xd8 && head[2] == 0xff;
}

static int open_row(ms_file *f) {
  ms_picture *p = f->private =
      f->in_memory ? ms_picture_parse(f->bytes, f->size, 0, f->max_bytes, f->name) : ms_picture_open(f->name, 0, f->max_bytes);
  ms_content *it = p ? ms_file_add(f, NULL) : NULL;
  if (!it) return -1;
  it->dtype = MS_U8;
  it->rank = 3;
  it->shape[0] = p->channels, it->shape[1] = p->height, it->shape[2] = p->width;
  return 0;
}

static int read_row(ms_file *f, int k, void *out) {
  ms_picture *p = f->private;
  (void)k;
  return ms_picture_pixels(p, out, (size_t)p->width, 1, (size_t)p->width * (size_t)p->height);
}
static void close_row(ms_file *f) { ms_picture_close(f->private); }

const ms_format ms_format_png = {
    .name = "PNG", .what = "PNG", .is = is_png, .open = open_row, .read = read_row, .close = close_row};
const ms_format ms_format_jpeg = {
    .name = "JPEG", .what = "JPEG", .is = is_jpeg, .open = open_row, .read = read_row, .close = close_row};

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

void *ms_png_encode(const ms_image *im, size_t *size) {
  if (!im || ms_check_picture_size("PNG", im->width, im->height, im->channels)) return NULL;
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
