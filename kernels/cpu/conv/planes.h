/* planes.h -- f32 convolution with few channels on a side, where vectors of channels would be mostly empty: loops whose vectors run
 * along the pixels of a result. planes.c plans, and computes y and x; planes_weights.c computes w; planes_source.h makes what both
 * read. One group; images in planes.
 *
 * A source plane is copied once per kernel column b, shifted and cut (or thinned, for a stride) to the columns of the result, with
 * zeros for the padding: these copies are the `planes`. In them, kernel row a is so many whole rows further on. So all pixels of a
 * result plane, taken as one line, are sums over the terms k = (channel, a, b) of a weight times planes[offset[k] + pixel]: the
 * vectors run over row ends and the result is written where it belongs. The adjoint in x with stride s is s x s such sums, one per
 * phase of x, each with its share of the taps. The adjoint in w multiplies the same lines with those of y's gradient, and adds up
 * the lanes at the end.
 *
 * One copy can serve all columns (`pitched`): rows with zeros between them, which the sums run over too. With stride 2 it is cut in
 * two, even columns and odd ones. All phases of x read the same planes.
 *
 * Images of more than PLANES_BYTES are cut into bands of rows. */
#ifndef MS_CONV_PLANES_H
#define MS_CONV_PLANES_H
#include "conv.h"
#include "planes_vectors.h"

enum {
  PLANES_TAPS = 8,          /* rows or columns of a kernel, at most */
  PLANES_PHASES = 4,        /* of x, at most: stride 2 */
  PLANES_BYTES = 192 << 10, /* of planes, if it can be had: what stays in the second-level cache */
  PLANES_LIMIT = 32 << 20,  /* of planes, at most: offsets are 32 bits */
  PREFETCH_FLOATS = 2048    /* how far ahead of a copy memory is asked for */
};

/* One phase of the results: pixel (i, j) reads the source at (i * stride + shift[0][a], j * stride + shift[1][b]). */
typedef struct planes_phase {
  int taps[2], tap[2][PLANES_TAPS]; /* which rows and columns of the kernel */
  int64_t shift[2][PLANES_TAPS];
  int64_t terms;
  size_t weights, offsets; /* in the shared area, bytes */
} planes_phase;

/* Source: what is read for the results y or x; for w: x, and y's gradient is the "out". */
typedef struct planes_plan {
  ms_conv g;
  int64_t in_channels, in_h, in_w, out_channels, out_h, out_w;
  int64_t stride[2], step[2]; /* of the source; phase (r, q) has the results (i * step[0] + r, j * step[1] + q), r, q < step */
  int phase_count;
  planes_phase phase[PLANES_PHASES];
  int64_t first_shift; /* the least shift of rows */
  int64_t rows, cols;  /* of the results of a phase; the first one has most */
  bool pitched;
  half_mask row_end[2];               /* of a source row's last L floats, those that are there: evens, odds (pitched, stride 2) */
  int64_t copies;                     /* of a source row in the planes */
  int64_t pitch;                      /* floats from a row of planes, and of results, to the next */
  int64_t zeros_before, zeros_behind; /* before the first row of a plane, behind the last (pitched) */
  int64_t out_plane;                  /* floats of a channel of a phase's results in the room */
  int64_t row_phases;                 /* the rows of a plane by their number modulo the stride */
  int64_t band;                       /* result rows at a time */
  int64_t plane_rows, plane;          /* rows and floats of a plane */
  int64_t images_at_once;             /* for w */
  size_t planes_bytes, tails, sums;   /* tails, sums: places in the room */
} planes_plan;

/* Column n of the source is column n / s of its phase n % s. */
static inline int64_t phase_of(int64_t n, int64_t s) { return n >= 0 ? n % s : (s - -n % s) % s; }
static inline int64_t phase_width(const planes_plan *d, int64_t phase) {
  return (d->in_w - phase + d->stride[1] - 1) / d->stride[1];
}

/* How many of the channels that are left a tile takes: a power of two, limit or less. */
static inline int tile_channels(int64_t channels, int limit) {
  int n = limit;
  while (n > channels) n /= 2;
  return n;
}

/* Sets w to the sum over `images` images. */
void MS_NAME(conv_planes_sum_w)(const planes_plan *d, int64_t images, const float *x, const float *y, float *w, const char *shared,
                                char *room);

#endif
