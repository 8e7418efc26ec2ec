/* channels_last.h -- f32 convolution of images that lie channels last: sums over runs of (column, channel), which lie side by side,
 * by tile.h's loops. One group, no dilation; an image may lie in planes on either side, at the price of a transpose.
 *
 * For y and x (channels_last.c; on AMX channels_last_amx.c) a result pixel is a sum over kernel rows of runs of (kernel column,
 * channel), which lie side by side in the padded source: a product without unfolding. The adjoint in x with stride s is s x s such
 * sums, one per phase of x, each with its share of the taps. For w (channels_last_weights.c; on AMX channels_last_amx_weights.c)
 * the roles change: the pixels are summed over, and the runs (column, channel) are rows of the result, or its columns where there
 * are few channels in y.
 *
 * Images larger than BAND_BYTES are cut into bands of rows; small ones are taken several at a time. What is a task depends on sizes
 * only. "Source" is the image that is read and padded: x, or y for the adjoint in x. */
#ifndef MS_CONV_CHANNELS_LAST_H
#define MS_CONV_CHANNELS_LAST_H
#include "../bf16.h"
#include "conv.h"

enum {
  L = LANES_f32,
  LAST_PHASES = 4,        /* of x, at most: stride 2 */
  BAND_BYTES = 192 << 10, /* of padded source (for w: and y) in a room: what stays in the second-level cache */
  TASKS_WANTED = 16,      /* about how many */
  PACK_WORK = 8,          /* simple operations that it costs to move a weight alone */
  AMX_EDGE = 4 * 256,     /* floats of the tiles of a block of results, on AMX */
  AMX_TAPS = 256          /* of a kernel, at most, on AMX */
};
#define SUMS_BYTES ((int64_t)64 << 20) /* most for sums of w waiting to be added up */

/* Results (t, u) of a phase stand at (t * step + at) of the result. Tap r of a dimension is kernel row first + r * next, and lies
 * shift + r rows behind t * (source stride) in the source. */
typedef struct last_phase {
  int64_t size[2], at[2], taps[2], first[2], next, shift[2];
  size_t weights; /* floats from the start of the shared area */
  size_t words;   /* the same, bf16: the weights again, as the tiles want them */
  int64_t depth;  /* AMX: words of a step; a whole number of steps makes a run */
} last_phase;

/* For w: the sums of a kernel row are a matrix of rows x cols, the runs (column, channel) of x by the channels of y. */
typedef struct last_sums {
  bool y_in_rows;                  /* the other way round: where y has few channels */
  bool three_columns;              /* by tile3.c */
  int64_t rows, cols, padded_cols; /* padded_cols: whole vectors */
  int64_t y_floats;                /* of a band of y in the room, where it is transposed or copied there; 0: nowhere */
  int64_t depth, pitch;            /* unfolded: floats of a row, which is a pixel's; from a row to the next */
  size_t unfolded;                 /* floats from the start of the shared area */
} last_sums;

/* For w on AMX. A unit is a band of an image's rows of y. */
typedef struct last_amx_sums {
  int64_t band, units, at_once; /* rows of a unit; of them in the batch, in a room at a time */
  int64_t pairs;                /* words of a row of y: pairs of pixels */
  int64_t depth, steps;         /* words of a step; steps of a unit */
  int64_t c, o;                 /* channels, filled up to multiples of 16 */
  int64_t rows;                 /* of the source in a unit, for each kernel column and each phase of the stride */
  int64_t x_unit, y_unit;       /* floats of a unit in the room: the source's words, y's tiles */
  int64_t x_line, y_transposed; /* and of room for a row, for a band, where images lie in planes */
} last_amx_sums;

typedef struct last_plan {
  ms_conv g;
  int64_t in_channels, in_h, in_w, out_channels, out_h, out_w; /* the source; the result (w: x; y) */
  bool in_last, out_last;                                      /* do they lie channels last? */
  bool bf16, amx;                                              /* y and x: two channels of the source in a word (bf16.h); on AMX */
  int64_t pixel_size;                                          /* floats, or words, of a pixel of the padded source */
  int64_t stride[2];                                           /* pixels of the source from a result of a phase to the next */
  int64_t step[2];                                             /* pixels of the result, likewise */
  int phase_count;                                             /* one for y and w */
  last_phase phase[LAST_PHASES];
  int64_t first_shift[2]; /* the least of all phases */
  int64_t padded_w;       /* columns of the padded source */
  int64_t window_rows;    /* rows of it that a row of results reads */
  int64_t bands;          /* of an image */
  int64_t images;         /* a task's; for y and x they are in the room together */
  int64_t image_groups;   /* of so many images */
  int64_t slices;         /* of the channels of a task's results (w: of its work) */
  int64_t source_floats;  /* of a padded image, or band of one, in the room */
  last_sums sums;
  last_amx_sums amx_sums;
} last_plan;

/* ---- channels_last_plan.c ---- */

/* Sides, strides and phases from the sizes. NULL: no memory. */
last_plan *MS_NAME(conv_last_new)(const ms_conv *g);
/* Cuts an image into bands of `rows` rows of results or less (all phases of a row together). */
void MS_NAME(conv_last_set_bands)(last_plan *p, int64_t rows);
/* For y and x: all of the plan but the shared area. NULL: no memory. */
last_plan *MS_NAME(conv_last_plan_images)(conv_plan *c, bool bf16, bool amx, int64_t pixel_size);

/* `n` rows of the padded source from row `row` of the source on. line (bf16): room for a row. */
void MS_NAME(conv_last_fill)(const last_plan *p, const float *image, int64_t row, int64_t n, float *dest, float *line);

/* What a task makes: images i0 .. i1-1, rows t0 .. t1-1 of each phase, panels (of 2 L channels) panel0 .. panel1-1; and the rows of
 * the source it reads, `rows` from `top` on. */
typedef struct last_task {
  int64_t i0, i1, t0, t1, panel0, panel1, top, rows;
} last_task;
/* The padded sources of the task are put in the room. *edge: room behind them for a tile's results. */
last_task MS_NAME(conv_last_begin_task)(const last_plan *p, int64_t task, const float *source, float *room, float **edge);
int64_t MS_NAME(conv_last_made)(const conv_plan *c, int64_t task, int64_t *first);

/* ---- shared by the files ---- */

/* Memory that the next task or band reads, asked for by the tiles of this one (tile.h). */
typedef struct prefetch {
  const char *at, *end;
} prefetch;

static inline prefetch prefetch_of(const float *at, int64_t floats, const float *end) {
  return (prefetch){(const char *)at, (const char *)(end - at < floats ? end : at + floats)};
}

/* What a tile that adds up n terms may ask for; where nothing is left, lines at `else_at`, which are here. */
static inline ms_fetch next_fetch(prefetch *s, int64_t n, const void *else_at) {
  if (s->at >= s->end) return (ms_fetch){else_at, 0, 0};
  s->at += 64 * n;
  return (ms_fetch){s->at - 64 * n, 64, 64};
}

/* Where weight e (channel, tap) of an output channel stands among the rows of a panel (tap, channel). */
static inline int64_t packed_row(const ms_conv *g, int64_t e) {
  const int64_t taps = g->kh * g->kw;
  return e % taps * g->c + e / taps;
}

#endif
