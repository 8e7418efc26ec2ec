/* png.c -- PNG, second edition: chunks of length, type, data, CRC; in the IDAT chunks a zlib stream of lines, each with its filter.
 *
 * Read as a stream: beside the pixels it needs two lines, whatever the depth. What a header declares is only a limit for what
 * comes.
 */
#include "data/picture.h"
#include <stdlib.h>
#include <string.h>

struct ms_png {
  ms_source *s;
  int width, height, depth, color, samples; /* samples: of each pixel in the file */
  int channels;                             /* what a pixel becomes */
  bool interlaced, keyed;
  uint8_t palette[256][4];
  int colors;
  uint32_t key[3]; /* the colour that is transparent, if keyed */
  char type[5];    /* of the chunk that is being read */
  uint32_t left;   /* its bytes that were not read yet */
  uint32_t crc;
  z_stream z;
  bool ended; /* the zlib stream is complete */
};

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

static int damaged(const ms_png *p, const char *what) {
  ms_fail("%s: damaged PNG: %s", p->s->name, what);
  return -1;
}

static int raw_bytes(ms_png *p, void *out, size_t n) {
  int64_t got = ms_source_read(p->s, out, n);
  if (got == (int64_t)n) return 0;
  if (got >= 0) ms_fail("%s: truncated PNG", p->s->name);
  return -1;
}

static int begin_chunk(ms_png *p) {
  uint8_t head[8];
  if (raw_bytes(p, head, 8)) return -1;
  p->left = ms_be32(head);
  memcpy(p->type, head + 4, 4);
  p->crc = (uint32_t)crc32(crc32(0, NULL, 0), head + 4, 4);
  for (int i = 0; i < 4; i++)
    if ((p->type[i] | 32) < 'a' || (p->type[i] | 32) > 'z') return damaged(p, "expected a chunk, got something else");
  return p->left >> 31 ? damaged(p, "a chunk longer than a file can be") : 0;
}

/* The next bytes of the chunk, as many as are at hand: gives how many, 0 at its end, -1 on failure. */
static int64_t some_bytes(ms_png *p, const uint8_t **at) {
  if (!p->left) return 0;
  int more = ms_source_fill(p->s);
  if (!more) ms_fail("%s: truncated PNG", p->s->name);
  if (more <= 0) return -1;
  uint32_t n = p->s->left < p->left ? (uint32_t)p->s->left : p->left;
  if (n > 1 << 20) n = 1 << 20;
  *at = p->s->in;
  p->crc = (uint32_t)crc32(p->crc, *at, n);
  p->s->in += n;
  p->s->left -= n;
  p->left -= n;
  return n;
}

/* Skip what is left and compare the checksum. */
static int end_chunk(ms_png *p) {
  const uint8_t *at;
  uint8_t crc[4];
  int64_t n;
  while ((n = some_bytes(p, &at)) > 0) {}
  if (n < 0 || raw_bytes(p, crc, 4)) return -1;
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION /* a fuzzer that had to guess checksums would never get past them */
  if (ms_be32(crc) != p->crc) {
    ms_fail("%s: damaged PNG: the checksum of a chunk %s does not match", p->s->name, p->type);
    return -1;
  }
#endif
  return 0;
}

/* All of a short chunk. */
static int whole_chunk(ms_png *p, uint8_t *out) {
  size_t done = 0;
  const uint8_t *at;
  for (int64_t n; (n = some_bytes(p, &at)) != 0; done += (size_t)n) {
    if (n < 0) return -1;
    memcpy(out + done, at, (size_t)n);
  }
  return end_chunk(p);
}

static bool is(const ms_png *p, const char *type) { return !memcmp(p->type, type, 4); }

/* ---- the chunks before the pixels -------------------------------------------------------------------------------- */

static int read_header(ms_png *p) {
  static const int samples[7] = {1, 0, 3, 1, 2, 0, 4};
  static const int depths[7] = {1 | 2 | 4 | 8 | 16, 0, 8 | 16, 1 | 2 | 4 | 8, 8 | 16, 0, 8 | 16};
  uint8_t h[13];
  if (begin_chunk(p)) return -1;
  if (!is(p, "IHDR") || p->left != 13) return damaged(p, "expected it to begin with a header");
  if (whole_chunk(p, h)) return -1;
  if (ms_check_picture_size(p->s->name, ms_be32(h), ms_be32(h + 4), 1)) return -1;
  p->width = (int)ms_be32(h);
  p->height = (int)ms_be32(h + 4);
  p->depth = h[8];
  p->color = h[9];
  p->interlaced = h[12];
  if (p->color > 6 || !samples[p->color] || !p->depth || (p->depth & (p->depth - 1)) || !(depths[p->color] & p->depth))
    return damaged(p, "a colour type and depth that there are not");
  if (h[10] || h[11] || h[12] > 1) return damaged(p, "a compression, filter or interlace method that there is not");
  p->samples = samples[p->color];
  p->channels = p->color == 3 ? 3 : p->samples;
  return 0;
}

static int read_palette(ms_png *p) {
  uint8_t rgb[768];
  if (p->colors) return damaged(p, "two palettes");
  if (p->color == 0 || p->color == 4) return damaged(p, "a palette in a grey picture");
  if (!p->left || p->left > 768 || p->left % 3 || (p->color == 3 && p->left / 3 > 1u << p->depth))
    return damaged(p, "expected a palette of 1 to 256 colours, and not more than its pixels can name");
  p->colors = (int)p->left / 3;
  if (whole_chunk(p, rgb)) return -1;
  for (int i = 0; i < p->colors; i++) memcpy(p->palette[i], rgb + 3 * i, 3);
  return 0;
}

static int read_transparency(ms_png *p) {
  uint8_t t[256];
  if (p->keyed || p->channels == 2 || p->channels == 4) return damaged(p, "transparency twice");
  if (p->color == 3 ? p->left > (uint32_t)p->colors : p->left != 2 * (uint32_t)p->samples)
    return damaged(p, "transparency that does not go with its colours");
  uint32_t n = p->left;
  if (whole_chunk(p, t)) return -1;
  p->channels++;
  if (p->color == 3) {
    for (uint32_t i = 0; i < n; i++) p->palette[i][3] = t[i];
    return 0;
  }
  p->keyed = true;
  for (int k = 0; k < p->samples; k++) p->key[k] = ms_be16(t + 2 * k);
  return 0;
}

static int read_other(ms_png *p) {
  if (!(p->type[0] & 32)) {
    ms_fail("%s: cannot decode: a PNG with chunks of type %s", p->s->name, p->type);
    return -1;
  }
  return end_chunk(p);
}

static int read_start(ms_png *p) {
  uint8_t signature[8];
  if (raw_bytes(p, signature, 8) || read_header(p)) return -1;
  for (int i = 0; i < 256; i++) p->palette[i][3] = 255;
  for (;;) {
    if (begin_chunk(p)) return -1;
    if (is(p, "IDAT")) break;
    if (is(p, "IEND")) return damaged(p, "no picture data");
    if (is(p, "PLTE") ? read_palette(p) : is(p, "tRNS") ? read_transparency(p) : read_other(p)) return -1;
  }
  if (p->color == 3 && !p->colors) return damaged(p, "no palette");
  uint64_t line = ((uint64_t)p->width * (uint64_t)(p->samples * p->depth) + 7) / 8;
  if (line * (uint64_t)p->height / 1032 <= p->s->size) return 0; /* deflate makes at best 1032 bytes of one */
  ms_fail("%s: damaged PNG: %llu bytes cannot hold the pixels its header declares", p->s->name, (unsigned long long)p->s->size);
  return -1;
}

ms_png *ms_png_open(ms_source *s, int *width, int *height, int *channels) {
  ms_png *p = calloc(1, sizeof *p);
  if (!p) return ms_fail("%s: out of memory", s->name);
  p->s = s;
  if (read_start(p)) {
    free(p);
    return NULL;
  }
  if (inflateInit(&p->z) != Z_OK) {
    free(p);
    return ms_fail("%s: out of memory", s->name);
  }
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  inflateValidate(&p->z, 0);
#endif
  *width = p->width;
  *height = p->height;
  *channels = p->channels;
  return p;
}

void ms_png_close(ms_png *p) {
  if (!p) return;
  inflateEnd(&p->z);
  free(p);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* More of the zlib stream for inflate: out of this IDAT chunk or the next. 0 when there is none. */
static int feed(ms_png *p) {
  while (!p->z.avail_in) {
    const uint8_t *at;
    if (!is(p, "IDAT")) return 0;
    int64_t n = some_bytes(p, &at);
    if (n < 0) return -1;
    if (!n && (end_chunk(p) || begin_chunk(p))) return -1;
    p->z.next_in = (Bytef *)at;
    p->z.avail_in = (uInt)n;
  }
  return 1;
}

/* Up to n bytes of lines; fewer only at the end of the stream. -1 on failure. */
static int64_t inflate_bytes(ms_png *p, uint8_t *out, size_t n) {
  p->z.next_out = out;
  p->z.avail_out = (uInt)n;
  while (p->z.avail_out && !p->ended) {
    int more = feed(p);
    if (!more) damaged(p, "its pixels end too early");
    if (more <= 0) return -1;
    int rc = inflate(&p->z, Z_NO_FLUSH);
    if (rc == Z_STREAM_END) p->ended = true;
    else if (rc != Z_OK && rc != Z_BUF_ERROR) return damaged(p, p->z.msg ? p->z.msg : zError(rc));
  }
  return (int64_t)(n - p->z.avail_out);
}

static uint8_t paeth(int a, int b, int c) {
  int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
  return (uint8_t)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

/* Undo the filter of a line of n bytes, pixels `bpp` bytes wide; `above` is the line before, without its filter. Left of the first
 * pixel all is 0. */
static void unfilter(int filter, uint8_t *line, const uint8_t *above, size_t n, size_t bpp) {
  size_t i = 0;
  switch (filter) {
  case 1:
    for (i = bpp; i < n; i++) line[i] = (uint8_t)(line[i] + line[i - bpp]);
    break;
  case 2:
    for (; i < n; i++) line[i] = (uint8_t)(line[i] + above[i]);
    break;
  case 3:
    for (; i < bpp; i++) line[i] = (uint8_t)(line[i] + above[i] / 2);
    for (; i < n; i++) line[i] = (uint8_t)(line[i] + (line[i - bpp] + above[i]) / 2);
    break;
  case 4:
    for (; i < bpp; i++) line[i] = (uint8_t)(line[i] + above[i]);
    for (; i < n; i++) line[i] = (uint8_t)(line[i] + paeth(line[i - bpp], above[i], above[i - bpp]));
    break;
  }
}

/* Sample i of a line. */
static uint32_t sample(const uint8_t *line, size_t i, int depth) {
  if (depth == 8) return line[i];
  if (depth == 16) return ms_be16(line + 2 * i);
  size_t bit = i * (size_t)depth;
  return (uint32_t)line[bit / 8] >> (8 - (size_t)depth - bit % 8) & ((1u << depth) - 1);
}

/* A line of n pixels as bytes, p->channels each. 16 bits become the upper 8, fewer are spread over 0..255. */
static int to_bytes(const ms_png *p, const uint8_t *line, int n, uint8_t *out) {
  uint32_t scale = p->depth < 8 ? 255 / ((1u << p->depth) - 1) : 1, down = p->depth == 16 ? 8 : 0;
  for (size_t i = 0; i < (size_t)n; i++, out += p->channels) {
    if (p->color == 3) {
      uint32_t v = sample(line, i, p->depth);
      if (v >= (uint32_t)p->colors) {
        ms_fail("%s: damaged PNG: a pixel names colour %u (from 0 on) of a palette of %d", p->s->name, v, p->colors);
        return -1;
      }
      memcpy(out, p->palette[v], (size_t)p->channels);
      continue;
    }
    bool same = p->keyed;
    for (int k = 0; k < p->samples; k++) {
      uint32_t v = sample(line, i * (size_t)p->samples + (size_t)k, p->depth);
      same = same && v == p->key[k];
      out[k] = (uint8_t)((v >> down) * scale);
    }
    if (p->keyed) out[p->samples] = same ? 0 : 255;
  }
  return 0;
}

/* One pass: the pixels x0, x0 + dx, ... of the lines y0, y0 + dy, ... lines: room for two lines and one of bytes. */
static int read_pass(ms_png *p, const ms_pixels *to, uint8_t *lines, int x0, int y0, int dx, int dy) {
  int w = (p->width - x0 + dx - 1) / dx;
  size_t bits = (size_t)(p->samples * p->depth), bpp = bits < 8 ? 1 : bits / 8, n = ((size_t)w * bits + 7) / 8;
  uint8_t *line = lines, *above = lines + n + 1, *bytes = above + n + 1;
  if (w <= 0) return 0;
  memset(above, 0, n + 1);
  for (int y = y0; y < p->height; y += dy) {
    int64_t got = inflate_bytes(p, line, n + 1);
    if (got < 0) return -1;
    if (got < (int64_t)n + 1) return damaged(p, "its pixels end too early");
    if (line[0] > 4) return damaged(p, "a filter that there is not");
    unfilter(line[0], line + 1, above + 1, n, bpp);
    if (to_bytes(p, line + 1, w, bytes)) return -1;
    ms_put_pixels(to, x0, y, dx, w, bytes, p->channels);
    uint8_t *swap = line;
    line = above;
    above = swap;
  }
  return 0;
}

/* Behind the last line: the end of the stream with its checksum, and the chunks up to IEND. A few writers pad their stream. */
static int read_end(ms_png *p) {
  enum { PADDING = 1 << 16 };
  uint8_t rest[256];
  for (int padding = 0; !p->ended; padding += (int)sizeof rest) {
    if (inflate_bytes(p, rest, sizeof rest) < 0) return -1;
    if (padding > PADDING) return damaged(p, "more pixels than its header declares");
  }
  for (bool pixels = is(p, "IDAT");;) {
    if (end_chunk(p)) return -1;
    if (is(p, "IEND")) return 0;
    if (begin_chunk(p)) return -1;
    if (!is(p, "IDAT")) pixels = false;
    else if (!pixels) return damaged(p, "pixel data in two places");
    if (!is(p, "IDAT") && !is(p, "IEND") && !(p->type[0] & 32)) return damaged(p, "a chunk behind the pixels that belongs before");
  }
}

int ms_png_pixels(ms_png *p, const ms_pixels *to) {
  static const int passes[7][4] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                   {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
  size_t n = ((size_t)p->width * (size_t)(p->samples * p->depth) + 7) / 8 + 1;
  uint8_t *lines = malloc(2 * n + 4 * (size_t)p->width);
  if (!lines) {
    ms_fail("%s: out of memory for two lines", p->s->name);
    return -1;
  }
  int rc = 0;
  if (!p->interlaced) rc = read_pass(p, to, lines, 0, 0, 1, 1);
  for (int k = 0; p->interlaced && !rc && k < 7; k++)
    rc = read_pass(p, to, lines, passes[k][0], passes[k][1], passes[k][2], passes[k][3]);
  free(lines);
  return rc ? rc : read_end(p);
}
