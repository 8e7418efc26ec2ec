/* conv_last_plan.h -- inside conv_last.h: the plan, which conv_last.c makes (and follows for x and y) and conv_last_w.c follows. */
#ifndef MS_CONV_LAST_PLAN_H
#define MS_CONV_LAST_PLAN_H
#include "bf16.h"
#include "conv_last.h"

enum {
  L = LANES_f32,
  PHASES = 4,             /* of x, at most: stride 2 */
  BAND_BYTES = 192 << 10, /* of padded source (for w: and y) in a lane: what stays in the second-level cache */
  NEAR_BYTES = 32 << 10,  /* the same for w where the sums have no more than NEAR_SUMS bytes: in the first-level one */
  NEAR_SUMS = 24 << 10,
  HEAVY = 128 << 10,  /* bytes of weights from which on they are better read for many images at a time */
  TASKS = 16,         /* about how many are wanted */
  PART_PIXELS = 1536, /* of y in the whole batch: as many are worth sums of their own (for w) */
  PACK_WORK = 8,      /* simple operations that it costs to move a weight alone */
  FEW_PIXELS = 20     /* of an image y: up to so many, x is unfolded for w */
};
#define UNFOLDED_BYTES ((int64_t)16 << 20) /* most for the unfolded x of a batch */
#define SUMS_BYTES     ((int64_t)64 << 20) /* most for sums of w waiting to be added up */

/* Results (t, u), at (t * step + at) of the result; tap r of a dimension is kernel row first + r * next, and lies `low` + r rows
 * behind t * (source stride) in the source. */
typedef struct job {
  int64_t size[2], at[2], taps[2], first[2], next, low[2];
  size_t weights; /* floats from the start of the shared area */
  size_t words;   /* the same, bf16: the weights again, as the tiles want them */
  int64_t depth;  /* AMX: words of a step; a whole number of steps makes a run */
} job;

/* w on AMX (conv_amx_w.c). A unit is a band of an image's rows of y. */
typedef struct amx_weights {
  int64_t band, units, at_once; /* rows of a unit; of them in the batch, in a lane at a time */
  int64_t pairs;                /* words of a row of y: pairs of pixels */
  int64_t depth, steps;         /* words of a step; steps of a unit */
  int64_t c, o;                 /* channels, filled up to multiples of 16 */
  int64_t rows;                 /* of the source in a unit, for each kernel column and each phase of the stride */
  int64_t x_unit, y_unit;       /* floats of a unit in the lane: the source's words, y's tiles */
  int64_t x_line, y_turned;     /* and of room for a row, for a band, where images lie in planes */
} amx_weights;

struct ms_last {
  ms_conv g;
  bool from_last, to_last; /* layouts of source and result (w: of x and y) */
  bool bf16;               /* x and y: two channels of the source in a word (bf16.h) */
  bool amx;                /* on AMX (conv_amx.c, conv_amx_w.c) */
  amx_weights aw;
  int64_t from, sh, sw, to, rh, rw; /* source: channels, height, width; result */
  int64_t unit;                     /* floats, or words, of a pixel of the padded source */
  int64_t stride[2], step[2];       /* of the source per result; of results of a job */
  int64_t low[2], wide;             /* least low; columns of the padded source */
  int64_t high;                     /* rows of it behind the first result's */
  int jobs;
  job job[PHASES];
  int64_t bands, images;               /* of an image; at a time */
  int64_t groups, slices;              /* of images; of channels (w: of work) */
  int64_t source_floats, other_floats; /* of an image (or band) in the lane: padded source, y for w where it is turned */
  bool unfold;                         /* w: from rows of `depth` floats, `pitch` apart, one a pixel */
  int64_t depth, pitch;
  size_t unfolded;            /* floats from the start of the shared area */
  bool by_three;              /* w: by tile3.c */
  bool swap;                  /* w: columns of the sums are (column, channel) */
  int64_t rows, cols, padded; /* w: of the sums of a kernel row */
  size_t shared_bytes, lane_bytes;
};

/* Memory that the next task or band reads, asked for by the tiles of this one (tile.h). */
typedef struct soon {
  const char *at, *end;
} soon;

static inline soon soon_of(const float *at, int64_t floats, const float *end) {
  return (soon){(const char *)at, (const char *)(end - at < floats ? end : at + floats)};
}

/* What a tile that adds up n terms may ask for. */
static inline ms_fetch ask(soon *s, int64_t n, const void *else_at) {
  if (s->at >= s->end) return (ms_fetch){else_at, 0, 0};
  s->at += 64 * n;
  return (ms_fetch){s->at - 64 * n, 64, 64};
}

/* Where weight e (channel, tap) of an output channel stands among the rows of a panel (tap, channel). */
static inline int64_t row_of(const ms_conv *g, int64_t e) {
  const int64_t taps = g->kh * g->kw;
  return e % taps * g->c + e / taps;
}

/* On AMX (conv_amx.c): words of a pixel; the jobs' steps, and room for weights; weights as tiles; rows t0 .. t1-1 of results for
 * images i0 .. i1-1, whose padded sources stand in the lane, in panels (of 32 channels) panel0 .. panel1-1. edge: AMX_EDGE floats.
 */
enum { AMX_EDGE = 4 * 256, AMX_TAPS = 256 /* of a kernel, at most */ };
int64_t MS_NAME(ms_last_amx_unit)(int64_t channels);
void MS_NAME(ms_last_amx_plan)(ms_last *p);
void MS_NAME(ms_last_amx_begin)(const ms_last *p, const float *w, float *shared);
void MS_NAME(ms_last_amx_results)(const ms_last *p, int64_t i0, int64_t i1, int64_t t0, int64_t t1, int64_t panel0, int64_t panel1,
                                  const float *lane, const float *bias, const float *shared, float *to, float *edge);

/* The same for w; false: not for such a convolution. */
bool MS_NAME(ms_last_amx_w_plan)(ms_last *p);
void MS_NAME(ms_last_amx_w_task)(const ms_last *p, int64_t task, const float *x, const float *y, float *sums, float *lane);
void MS_NAME(ms_last_amx_w_end)(const ms_last *p, float *w, const float *sums);

/* `n` rows of the padded source from row `row` of the source on. line (bf16): room for a row. */
void MS_NAME(ms_last_fill)(const ms_last *p, const float *image, int64_t row, int64_t n, float *dest, float *line);

/* For w (conv_last_w.c): before the tasks, a task, and after them. */
void MS_NAME(ms_last_w_begin)(const ms_last *p, const float *x, float *shared);
void MS_NAME(ms_last_w_task)(const ms_last *p, int64_t task, const float *x, const float *y, float *shared, float *lane);
void MS_NAME(ms_last_w_end)(const ms_last *p, float *w, const float *sums);

#endif
