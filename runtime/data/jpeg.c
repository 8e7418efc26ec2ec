/* jpeg.c -- checks a JPEG file (ITU T.81) before stb_image decodes it. stb_image believes much of what it reads: it uses tables
 * that the file never defined and codes that do not exist, and where the data end inside a block it shifts by more bits than a word
 * has. So all segments, all tables and every code of every block are read here first, everything but the arithmetic. Only a file
 * without such faults goes to stb_image. */
#include "data/picture.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_SCANS = 100, FAST = 9 }; /* real progressive files have about ten scans */

typedef struct table {
  bool there;
  uint8_t value[256];
  uint16_t fast[1 << FAST]; /* by the next FAST bits: length << 8 | value; 0: longer, or no code */
  uint32_t limit[17];       /* by length: the first code beyond those so long, moved up to 16 bits */
  int offset[17];           /* of the values: code + offset[length] */
} table;

typedef struct component {
  int id, h, v, quantizer;
  int across, down; /* blocks of the component alone */
  int stride;       /* blocks from one line of blocks to the next, whole units of the interleaved picture */
  uint64_t *known;  /* progressive: for each block the coefficients that are not 0, for refinements */
  int dc, ac;       /* tables of this scan */
  int dc_before;    /* of the last block */
  bool seen;        /* in a scan that begins its DC */
} component;

typedef struct jpeg {
  const char *name;
  const uint8_t *p, *end;
  int width, height, n, h_max, v_max, units_across, units_down;
  bool progressive, framed;
  int restart;
  bool quantizer[4];
  table dc[4], ac[4];
  component part[4];
  /* the scan */
  component *order[4];
  int in_scan, first, last, high, low;
  /* its bits */
  uint64_t bits; /* the next n_bits, from bit 63 down */
  int n_bits;
  int run; /* blocks that hold nothing more */
} jpeg;

static int damaged(const jpeg *j, const char *what) {
  ms_fail("%s: damaged JPEG: %s", j->name, what);
  return -1;
}
static int cut_short(const jpeg *j) {
  ms_fail("%s: truncated or damaged JPEG: its data end too early", j->name);
  return -1;
}

/* ---- segments ---------------------------------------------------------------------------------------------------- */

/* DHT: tables of class and slot, 16 counts, values. The counts must name at most 256 values and fit the code space. */
static int read_huffman(jpeg *j, const uint8_t *p, size_t n) {
  while (n) {
    if (n < 17 || p[0] >> 4 > 1 || (p[0] & 15) > 3) return damaged(j, "impossible Huffman table");
    table *t = &(p[0] >> 4 ? j->ac : j->dc)[p[0] & 15];
    uint32_t code = 0, values = 0;
    memset(t->fast, 0, sizeof t->fast);
    for (int length = 1; length <= 16; length++) {
      uint32_t count = p[length];
      /* Of each length one code is left over: that of ones only is none. (stb_image takes its 256th for a mark, if it is short.) */
      if (code + count + (count > 0) > 1u << length || values + count > (length > FAST ? 256u : 255u) || 17 + values + count > n)
        return damaged(j, "impossible Huffman table");
      t->offset[length] = (int)values - (int)code;
      for (uint32_t k = 0; length <= FAST && k < count; k++)
        for (uint32_t fill = 0; fill < 1u << (FAST - length); fill++)
          t->fast[(code + k) << (FAST - length) | fill] = (uint16_t)(length << 8 | p[17 + values + k]);
      values += count;
      code += count;
      t->limit[length] = code << (16 - length);
      code <<= 1;
    }
    memcpy(t->value, p + 17, values);
    t->there = true;
    p += 17 + values;
    n -= 17 + values;
  }
  return 0;
}

static int read_quantizers(jpeg *j, const uint8_t *p, size_t n) {
  while (n) {
    size_t size = p[0] >> 4 ? 129 : 65;
    if (p[0] >> 4 > 1 || (p[0] & 15) > 3 || size > n) return damaged(j, "impossible quantization table");
    j->quantizer[p[0] & 15] = true;
    p += size;
    n -= size;
  }
  return 0;
}

static int div_up(int a, int b) { return (a + b - 1) / b; }

static int read_frame(jpeg *j, const uint8_t *p, size_t n, int marker) {
  if (j->framed) return damaged(j, "two frames");
  if (n < 6 || n != 6 + 3 * (size_t)p[5] || p[5] > 4 || !p[5] || p[5] == 2) return damaged(j, "impossible frame header");
  if (p[0] != 8) {
    ms_fail("%s: cannot decode: a JPEG of %d bits, expected 8", j->name, p[0]);
    return -1;
  }
  j->framed = true;
  j->progressive = marker == 0xc2;
  j->height = (int)ms_be16(p + 1);
  j->width = (int)ms_be16(p + 3);
  j->n = p[5];
  if (ms_check_picture_size(j->name, j->width, j->height, j->n)) return -1;
  for (int i = 0; i < j->n; i++) {
    component *c = &j->part[i];
    *c = (component){.id = p[6 + 3 * i], .h = p[7 + 3 * i] >> 4, .v = p[7 + 3 * i] & 15, .quantizer = p[8 + 3 * i]};
    if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4 || c->quantizer > 3) return damaged(j, "impossible component");
    for (int k = 0; k < i; k++)
      if (j->part[k].id == c->id) return damaged(j, "two components of one name");
    if (c->h > j->h_max) j->h_max = c->h;
    if (c->v > j->v_max) j->v_max = c->v;
  }
  j->units_across = div_up(j->width, 8 * j->h_max);
  j->units_down = div_up(j->height, 8 * j->v_max);
  for (int i = 0; i < j->n; i++) {
    component *c = &j->part[i];
    if (j->h_max % c->h || j->v_max % c->v) return damaged(j, "components whose sizes are no fractions of each other");
    c->across = div_up(div_up(j->width * c->h, j->h_max), 8);
    c->down = div_up(div_up(j->height * c->v, j->v_max), 8);
    c->stride = j->units_across * c->h;
  }
  /* At least a bit is spent on each block of some component, none of which has less than a quarter of the blocks. */
  if ((int64_t)(j->end - j->p) * 32 < (int64_t)(j->width / 8) * (j->height / 8)) {
    ms_fail("%s: damaged JPEG: %td bytes cannot hold %d x %d pixels", j->name, j->end - j->p, j->width, j->height);
    return -1;
  }
  return 0;
}

static int read_scan_header(jpeg *j, const uint8_t *p, size_t n) {
  if (!j->framed) return damaged(j, "a scan before the frame");
  if (n < 4 || p[0] < 1 || p[0] > j->n || n != 4 + 2 * (size_t)p[0]) return damaged(j, "impossible scan header");
  j->in_scan = p[0];
  const uint8_t *q = p + 1 + 2 * j->in_scan;
  j->first = q[0], j->last = q[1], j->high = q[2] >> 4, j->low = q[2] & 15;
  if (j->progressive) {
    if (j->first > j->last || j->last > 63 || j->low > 13 || (j->high && j->high != j->low + 1) || (!j->first && j->last) ||
        (j->first && j->in_scan > 1))
      return damaged(j, "impossible progression");
  } else {
    if (j->first || j->high || j->low) return damaged(j, "impossible scan header");
    j->last = 63;
  }
  int blocks = 0;
  for (int i = 0; i < j->in_scan; i++) {
    component *c = NULL;
    for (int k = 0; k < j->n; k++)
      if (j->part[k].id == p[1 + 2 * i]) c = &j->part[k];
    for (int k = 0; k < i; k++)
      if (j->order[k] == c) c = NULL;
    if (!c) return damaged(j, "a scan of a component that there is not, or twice of one");
    j->order[i] = c;
    c->dc = p[2 + 2 * i] >> 4, c->ac = p[2 + 2 * i] & 15;
    if (c->dc > 3 || c->ac > 3 || (!j->first && !j->high && !j->dc[c->dc].there) || (j->last && !j->ac[c->ac].there))
      return damaged(j, "a scan without its Huffman table");
    if (!j->quantizer[c->quantizer]) return damaged(j, "a scan without its quantization table");
    if (!j->first && !j->high) c->seen = true;
    else if (!c->seen) return damaged(j, "a scan that refines what was not sent");
    blocks += c->h * c->v;
  }
  if (j->in_scan > 1 && blocks > 10) return damaged(j, "more than 10 blocks in a unit");
  return 0;
}

/* ---- bits -------------------------------------------------------------------------------------------------------- */

/* As many bits as are there, up to 56: an FF is followed by 00, or it begins a marker and the data end. */
static void refill_bits(jpeg *j) {
  while (j->n_bits <= 48 && j->p < j->end) {
    if (*j->p == 0xff && (j->p + 1 >= j->end || j->p[1])) return;
    j->bits |= (uint64_t)*j->p << (56 - j->n_bits);
    j->n_bits += 8;
    j->p += *j->p == 0xff ? 2 : 1;
  }
}

/* n bits, at most 16; -1 when there are not so many. */
static int take_bits(jpeg *j, int n) {
  if (j->n_bits < n) refill_bits(j);
  if (j->n_bits < n) return cut_short(j);
  int v = n ? (int)(j->bits >> (64 - n)) : 0;
  j->bits <<= n;
  j->n_bits -= n;
  return v;
}

/* The value of the next code, or -1. */
static int code(jpeg *j, const table *t) {
  if (j->n_bits < 16) refill_bits(j);
  uint32_t next = (uint32_t)(j->bits >> 48);
  int length = t->fast[next >> (16 - FAST)] >> 8, v = t->fast[next >> (16 - FAST)] & 255;
  if (!length) {
    for (length = FAST + 1; length <= 16 && next >= t->limit[length];) length++;
    if (length > 16) return damaged(j, "a code that there is not");
    v = t->value[((int)(next >> (16 - length)) + t->offset[length]) & 255];
  }
  if (length > j->n_bits) return cut_short(j);
  j->bits <<= length;
  j->n_bits -= length;
  return v;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static int first_dc(jpeg *j, component *c) {
  int bits = code(j, &j->dc[c->dc]);
  if (bits > 15) return damaged(j, "a difference of more than 15 bits");
  int v = bits < 0 ? -1 : take_bits(j, bits);
  if (v < 0) return -1;
  c->dc_before += bits && v < 1 << (bits - 1) ? v - (1 << bits) + 1 : v;
  return c->dc_before < -INT16_MAX || c->dc_before > INT16_MAX ? damaged(j, "a brightness of more than 16 bits") : 0;
}

/* Coefficients first..last of a block, those that were not sent yet. Sequential scans have no runs of blocks. */
static int first_ac(jpeg *j, const component *c, int first, uint64_t *known) {
  if (j->run) return j->run--, 0;
  for (int k = first; k <= j->last; k++) {
    int v = code(j, &j->ac[c->ac]), run = v >> 4, bits = v & 15;
    if (v < 0) return -1;
    if (!bits && run < 15) {
      if (!j->progressive) return run ? damaged(j, "a run of blocks in a sequential scan") : 0;
      int more = take_bits(j, run);
      j->run = (1 << run) - 1 + more;
      return more < 0 ? -1 : 0;
    }
    k += run;
    if (bits && k > j->last) return damaged(j, "a block of more than 64 coefficients");
    if (bits + j->low > 15) return damaged(j, "a coefficient of more than 16 bits");
    if (take_bits(j, bits) < 0) return -1;
    if (bits && known) *known |= (uint64_t)1 << k;
  }
  return 0;
}

/* One bit more of each coefficient that is known, from k on; then of `run` that are not known, and the place of the next such: last
 * + 1 when there is none. -1 on failure. */
static int refine(jpeg *j, int k, int run, uint64_t known) {
  for (; k <= j->last; k++) {
    if (known >> k & 1) {
      if (take_bits(j, 1) < 0) return -1;
    } else if (!run--) break;
  }
  return k;
}

static int refine_ac(jpeg *j, const component *c, uint64_t *known) {
  if (j->run) return j->run--, refine(j, j->first, 64, *known) < 0 ? -1 : 0;
  for (int k = j->first; k <= j->last; k++) {
    int v = code(j, &j->ac[c->ac]), run = v >> 4, bits = v & 15;
    if (v < 0) return -1;
    if (bits > 1) return damaged(j, "a refinement of more than one bit");
    if (!bits && run < 15) {
      int more = take_bits(j, run);
      j->run = (1 << run) - 1 + more;
      return more < 0 || refine(j, k, 64, *known) < 0 ? -1 : 0;
    }
    if (bits && take_bits(j, 1) < 0) return -1;
    if ((k = refine(j, k, run, *known)) < 0) return -1;
    if (bits && k <= j->last) *known |= (uint64_t)1 << k;
  }
  return 0;
}

static int block(jpeg *j, component *c, int x, int y) {
  uint64_t *known = c->known ? &c->known[(size_t)y * (size_t)c->stride + (size_t)x] : NULL;
  if (!j->progressive) return first_dc(j, c) || first_ac(j, c, 1, NULL) ? -1 : 0;
  if (!j->first && !j->high) return *known = 0, first_dc(j, c);
  if (!j->first) return take_bits(j, 1) < 0 ? -1 : 0;
  return j->high ? refine_ac(j, c, known) : first_ac(j, c, j->first, known);
}

/* Blocks of unit (x, y) of the scan: of one component alone each block is a unit. */
static int unit(jpeg *j, int x, int y) {
  if (j->in_scan == 1) return block(j, j->order[0], x, y);
  for (int i = 0; i < j->in_scan; i++) {
    component *c = j->order[i];
    for (int v = 0; v < c->v; v++)
      for (int h = 0; h < c->h; h++)
        if (block(j, c, x * c->h + h, y * c->v + v)) return -1;
  }
  return 0;
}

static void begin_interval(jpeg *j) {
  j->bits = 0, j->n_bits = 0, j->run = 0;
  for (int i = 0; i < j->n; i++) j->part[i].dc_before = 0;
}

/* Between restart intervals: no more than the bits that fill the last byte, then the marker D0..D7, in turn. */
static int next_interval(jpeg *j, int nth) {
  refill_bits(j);
  if (j->n_bits > 7) return damaged(j, "data behind the end of a restart interval");
  while (j->end - j->p > 1 && j->p[0] == 0xff && j->p[1] == 0xff) j->p++;
  if (j->end - j->p < 2) return cut_short(j);
  if (j->p[1] != 0xd0 + nth % 8) return damaged(j, "a restart marker is missing");
  j->p += 2;
  begin_interval(j);
  return 0;
}

static int read_scan(jpeg *j) {
  bool alone = j->in_scan == 1;
  int across = alone ? j->order[0]->across : j->units_across, down = alone ? j->order[0]->down : j->units_down;
  int todo = j->restart, nth = 0;
  begin_interval(j);
  for (int y = 0; y < down; y++)
    for (int x = 0; x < across; x++) {
      if (j->restart && !todo--) {
        if (next_interval(j, nth++)) return -1;
        todo = j->restart - 1;
      }
      if (unit(j, x, y)) return -1;
    }
  /* To the next marker: nothing but padding should be there. */
  while (j->end - j->p > 1 && (j->p[0] != 0xff || j->p[1] == 0xff)) j->p++;
  if (j->end - j->p < 2) return cut_short(j);
  return j->p[1] ? 0 : damaged(j, "data behind the end of a scan");
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static int make_known(jpeg *j) {
  for (int i = 0; i < j->n && j->progressive; i++) {
    component *c = &j->part[i];
    if (!(c->known = calloc((size_t)c->stride * (size_t)(j->units_down * c->v), sizeof *c->known))) {
      ms_fail("%s: out of memory", j->name);
      return -1;
    }
  }
  return 0;
}

/* The segments from SOI to EOI. */
static int read_segments(jpeg *j) {
  for (int scans = 0;;) {
    while (!j->framed && j->p < j->end && *j->p != 0xff) j->p++; /* some files have padding between their first segments */
    if (j->end - j->p < 2) return cut_short(j);
    if (*j->p++ != 0xff) return damaged(j, "expected a marker between two segments");
    while (j->p < j->end && *j->p == 0xff) j->p++;
    if (j->p == j->end) return cut_short(j);
    int marker = *j->p++, bad = 0;
    if (marker == 0xd9) {
      for (int i = 0; i < j->n; i++) bad |= !j->part[i].seen;
      return !scans || bad ? damaged(j, "no picture data, or not of all components") : 0;
    }
    if (j->end - j->p < 2) return cut_short(j);
    size_t n = ms_be16(j->p);
    if (n < 2 || n > (size_t)(j->end - j->p)) {
      ms_fail("%s: truncated or damaged JPEG: a segment does not fit", j->name);
      return -1;
    }
    const uint8_t *p = j->p + 2;
    j->p += n;
    n -= 2;
    switch (marker) {
    case 0xc0:
    case 0xc1:
    case 0xc2: bad = read_frame(j, p, n, marker) || make_known(j); break;
    case 0xc4: bad = read_huffman(j, p, n); break;
    case 0xdb: bad = read_quantizers(j, p, n); break;
    case 0xdd:
      if (n != 2) return damaged(j, "impossible restart interval");
      j->restart = (int)ms_be16(p);
      break;
    case 0xdc:
      if (n != 2 || !j->framed || (int)ms_be16(p) != j->height) return damaged(j, "another height behind the picture");
      break;
    case 0xda:
      if (++scans > MAX_SCANS) {
        ms_fail("%s: damaged JPEG: expected at most %d scans", j->name, MAX_SCANS);
        return -1;
      }
      bad = read_scan_header(j, p, n) || read_scan(j);
      break;
    default:
      if ((marker >= 0xe0 && marker <= 0xef) || marker == 0xfe) break;
      ms_fail("%s: cannot decode: expected a baseline or progressive JPEG, got one with a segment of type %02x", j->name, marker);
      return -1;
    }
    if (bad) return -1;
  }
}

int ms_jpeg_check(const uint8_t *bytes, size_t size, const char *name, int *width, int *height, int *channels, size_t *work) {
  jpeg *j = calloc(1, sizeof *j);
  if (!j) {
    ms_fail("%s: out of memory", name);
    return -1;
  }
  j->name = name;
  j->p = bytes + 2;
  j->end = bytes + size;
  int rc = read_segments(j);
  *width = j->width;
  *height = j->height;
  *channels = j->n >= 3 ? 3 : 1;
  /* Planes of bytes, coefficients of two bytes, lines, and stb's own tables. */
  *work = 1 << 17;
  for (int i = 0; i < j->n; i++) {
    const component *c = &j->part[i];
    *work += (size_t)c->stride * (size_t)(j->units_down * c->v) * 64 * (j->progressive ? 3 : 1) + (size_t)j->width + 1024;
    free(c->known);
  }
  free(j);
  return rc;
}
