/* norm.c -- normalisation over dimensions, its derivative, and batch norm's forms of both, with a weight and a bias per channel.
 *
 * A channel is a set of elements that are normalised together. A contiguous operand is seen as [outer][before][channels][after]: a
 * channel is the before x after elements that share an index of `outer` and one of `channels`. Two layouts are in use.
 *   Planes (after > 1; N x C x H x W, or the rows of a matrix): a channel is `before` runs of `after` elements.
 *   Columns (after = 1; N x C, or images that lie channels last): channels lie side by side, and up to COLUMNS of them are worked
 * on at a time. A task is one channel of planes, or one such group of columns.
 *
 * A task is read once, in pieces that stay in the first cache, as follows. The mean of a few elements of a piece is a value near
 * the mean of the whole piece; the sums of the distances from that value and of their squares give the piece's mean and the squared
 * deviations from it. (It is the mean of at least one element in 64, or of 4 rows. So it is not so far off, in standard deviations
 * of the piece, that the difference of squares loses more than a few bits.) Pieces are put together in double, by the formula of
 * Chan, Golub and LeVeque. How a task is cut into pieces depends on the shape only. Where there are too few tasks for all threads,
 * each is cut into PARTS. */
#include "move.h"
#include "op_ids.h"
#include "sum.h"
#include <math.h>

enum {
  PARTS = 16,                  /* of a task, where there are few tasks */
  COLUMNS = 128,               /* channels side by side in a task */
  COLUMN_PIECE = 2 * MS_CHUNK, /* elements in a piece of columns; a piece of planes has MS_CHUNK */
  SAMPLE = 64,                 /* elements of a piece of planes whose mean is near the piece's */
  SAMPLE_ROWS = 4              /* the same of columns: rows */
};

typedef struct norm_shape {
  int64_t outer, before, channels, after;
  int64_t channel_size;   /* elements of a channel: before x after */
  int64_t tasks;          /* outer x channels, or outer x groups of columns */
  int64_t pieces;         /* of a task */
  int64_t piece_size;     /* columns: rows in a piece; planes: runs in a piece, or elements where a run has several pieces */
  int64_t pieces_per_run; /* planes with long runs; 0: a piece is made of whole runs */
  int parts;              /* of a task: 1 or PARTS */
} norm_shape;

/* Cut the tasks of a shape, whose four sizes are known, into pieces and parts. */
static void cut_tasks(norm_shape *s) {
  if (s->after == 1) {
    int64_t columns = min_i64(s->channels, COLUMNS);
    s->tasks = s->outer * div_up(s->channels, COLUMNS);
    s->piece_size = columns ? COLUMN_PIECE / columns : 1;
    s->pieces = div_up(s->before, s->piece_size);
  } else {
    s->tasks = s->outer * s->channels;
    s->pieces_per_run = s->after > MS_CHUNK / 2 ? div_up(s->after, MS_CHUNK) : 0;
    s->piece_size = s->pieces_per_run ? MS_CHUNK : s->after ? MS_CHUNK / s->after : 1;
    s->pieces = s->pieces_per_run ? s->before * s->pieces_per_run : div_up(s->before, s->piece_size);
  }
  bool large = s->outer * s->channels * s->channel_size > 4 * MS_GRAIN;
  s->parts = s->tasks < PARTS && large && s->pieces >= PARTS ? PARTS : 1;
}

/* x seen as [outer][before][channels][after], normalised over dimensions `dims`. False: dimensions that are kept and those that are
 * normalised over alternate too often for that. */
static bool make_shape(const ms_view *x, const ms_ints *dims, norm_shape *s) {
  int64_t size[4] = {1, 1, 1, 1}, group[MS_MAX_RANK]; /* groups of neighbouring dimensions that are all kept, or all not */
  bool reduced[MS_MAX_RANK];
  int groups = 0;
  for (int i = 0, k = 0; i < x->rank; i++) {
    bool is_reduced = k < dims->n && dims->at[k] == i;
    k += is_reduced;
    if (x->shape[i] == 1) continue;
    if (groups && reduced[groups - 1] == is_reduced) group[groups - 1] *= x->shape[i];
    else reduced[groups] = is_reduced, group[groups++] = x->shape[i];
  }
  /* Which of the four the first group is. One kept group alone is `channels`, one reduced group alone is `after`. */
  int first = groups == 0 ? 0 : reduced[0] ? (groups == 1 ? 3 : 1) : groups > 2 ? 0 : 2;
  if (groups > 4 - first) return false;
  for (int i = 0; i < groups; i++) size[first + i] = group[i];
  *s = (norm_shape){.outer = size[0], .before = size[1], .channels = size[2], .after = size[3], .channel_size = size[1] * size[3]};
  cut_tasks(s);
  return true;
}

/* Part k of a task takes the pieces from part_begin(k) up to part_begin(k + 1). */
static inline int64_t part_begin(const norm_shape *s, int64_t k) { return s->pieces * k / PARTS; }

/* A piece of a plane's channel: `count` runs of `length` elements, `step` apart; `first`, `step` in elements. */
typedef struct runs {
  int64_t first, count, length, step;
} runs;
static inline runs runs_of(const norm_shape *s, int64_t p) {
  const int64_t step = s->channels * s->after;
  if (s->pieces_per_run) {
    const int64_t from = p % s->pieces_per_run * s->piece_size;
    return (runs){p / s->pieces_per_run * step + from, 1, min_i64(s->after - from, s->piece_size), step};
  }
  const int64_t from = p * s->piece_size;
  return (runs){from * step, min_i64(s->before - from, s->piece_size), s->after, step};
}

/* A piece of columns: rows *from up to, not including, *end. */
static inline void rows_of(const norm_shape *s, int64_t p, int64_t *from, int64_t *end) {
  *from = p * s->piece_size;
  *end = min_i64(*from + s->piece_size, s->before);
}

typedef struct task {
  int64_t first;    /* its first element */
  int64_t channel;  /* its first channel, counted over `outer` too */
  int64_t channels; /* side by side: 1 of planes, up to COLUMNS */
} task;
static inline task task_of(const norm_shape *s, int64_t k) {
  if (s->after > 1) return (task){(k / s->channels * s->before * s->channels + k % s->channels) * s->after, k, 1};
  const int64_t per_outer = div_up(s->channels, COLUMNS), outer = k / per_outer, from = k % per_outer * COLUMNS;
  return (task){outer * s->before * s->channels + from, outer * s->channels + from, min_i64(s->channels - from, COLUMNS)};
}

/* ---- what is added up for each channel of a task ----------------------------------------------------------------- */

typedef struct moments {
  double mean[COLUMNS], squares[COLUMNS]; /* squares: sum of squared deviations from the mean */
} moments;

typedef struct gradient_sums {
  double grad[COLUMNS], product[COLUMNS]; /* sums of grad and of grad (x - mean) */
} gradient_sums;

_Static_assert(sizeof(moments) == sizeof(gradient_sums), "the workspace holds either");

static inline double not_negative(double squares) { return squares < 0 ? 0 : squares; } /* rounding may go below */

/* To the moments of n elements of each channel come those of `count` more. */
static inline void add_moments(moments *m, double n, double count, const double *mean, const double *squares, int64_t channels) {
  double share = count / (n + count), cross = n * share;
  for (int64_t j = 0; j < channels; j++) {
    double d = mean[j] - m->mean[j];
    m->squares[j] += squares[j] + d * d * cross;
    m->mean[j] += d * share;
  }
}

/* The moments of a task, into part[0], from those of its PARTS parts; count: elements of a channel in each. */
static void add_parts_of_moments(moments *part, const double *count, int64_t channels) {
  double n = count[0];
  for (int p = 1; p < PARTS; p++) {
    add_moments(part, n, count[p], part[p].mean, part[p].squares, channels);
    n += count[p];
  }
}

static void add_parts_of_sums(gradient_sums *part, int64_t channels) {
  for (int p = 1; p < PARTS; p++)
    for (int64_t j = 0; j < channels; j++) part->grad[j] += part[p].grad[j], part->product[j] += part[p].product[j];
}

/* A call: its operands in row-major order (of pixels, where images lie channels last). What it does not have is NULL. */
typedef struct job {
  const norm_shape *shape;
  double eps;
  const void *x, *weight, *bias, *in_mean, *in_rstd, *grad;
  void *y, *mean, *rstd, *dweight, *dbias; /* y: the main result, forward or backward */
  void *work;                              /* moments or gradient sums of every part of every task, where there are parts */
} job;

#define T    float
#define G(x) x##_f32
#include "norm_template.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "norm_template.h"
#undef T
#undef G

/* ---- the kernels ------------------------------------------------------------------------------------------------- */

/* batch_normalize and its derivative: every dimension but the second, which lies last in images that lie channels last. */
static bool shape_of(const ms_call *c, norm_shape *s) {
  ms_view x = c->out[0];
  if (c->op->id == MS_OP_standardize || c->op->id == MS_OP_standardize_grad) return make_shape(&x, &c->attr[0].v, s);
  int channel = 1;
  if (ms_view_channels_last(&x)) x = ms_view_by_pixel(&x), channel = 3;
  ms_ints d = {0};
  for (int i = 0; i < x.rank; i++)
    if (i != channel) d.at[d.n++] = i;
  return make_shape(&x, &d, s);
}

/* Do the elements of v lie in the same order as those of the result? */
static bool in_order(const ms_view *v, const ms_view *result) {
  return ms_view_channels_last(result) ? ms_view_channels_last(v) : ms_view_contiguous(v);
}

/* The first operands (x; gradient and x) may have any strides, they are copied where they must be. Those behind them, which hold a
 * number per channel, must be contiguous. */
static bool supports(const ms_call *c) {
  norm_shape s;
  int large_operands = c->op->id == MS_OP_standardize || c->op->id == MS_OP_batch_normalize ? 1 : 2;
  for (int i = large_operands; i < c->n_in; i++)
    if (!c->in[i].absent && !ms_view_contiguous(&c->in[i])) return false;
  return f32_or_f64(c) && ms_view_numel(&c->out[0]) && shape_of(c, &s); /* statistics of nothing: the reference */
}

/* Workspace: what is added up in the parts; after it, for the derivative, a copy of x if x is in another order than the result. */
static size_t part_bytes(const norm_shape *s) {
  return s->parts > 1 ? (size_t)s->tasks * PARTS * (sizeof(moments) + sizeof(double)) : 0;
}

static int prepare(ms_call *c) {
  norm_shape s;
  if (!shape_of(c, &s)) return ms_fail("%s: its dimensions have no kernel", c->op->name), -1;
  c->work_bytes = part_bytes(&s);
  return 0;
}

static int prepare_grad(ms_call *c) {
  if (prepare(c) < 0) return -1;
  if (!in_order(&c->in[1], &c->out[0])) c->work_bytes += (size_t)ms_view_numel(&c->in[1]) * ms_dtype_size(c->in[1].dtype);
  return 0;
}

/* v in the order of the result `like`: itself, or a copy at `to`. */
static const void *ordered(const ms_view *v, const ms_view *like, void *to) {
  if (in_order(v, like)) return v->data;
  ms_view copy = *like;
  copy.data = to;
  move_view(&copy, v);
  return to;
}

static int run_forward(ms_call *c) {
  norm_shape s;
  bool affine = c->op->id == MS_OP_batch_normalize;
  if (!shape_of(c, &s) || !ms_view_numel(&c->out[1])) return 0;
  job q = {.shape = &s, .y = c->out[0].data, .mean = c->out[1].data, .rstd = c->out[2].data, .work = c->work};
  q.eps = ms_scalar_value(c->attr[affine ? 0 : 1].s);
  if (affine) q.weight = c->in[1].data, q.bias = c->in[2].data;
  q.x = ordered(&c->in[0], &c->out[0], c->out[0].data);
  if (c->out[0].dtype == MS_F32) forward_f32(&q);
  else forward_f64(&q);
  return 0;
}
MS_KERNEL(standardize, .supports = supports, .prepare = prepare, .run = run_forward);
MS_KERNEL(batch_normalize, .supports = supports, .prepare = prepare, .run = run_forward);

/* standardize_grad(g, y, rstd), batch_normalize_grad(g, x, mean, rstd, weight). */
static int run_backward(ms_call *c) {
  norm_shape s;
  bool affine = c->op->id == MS_OP_batch_normalize_grad;
  if (!shape_of(c, &s) || !s.outer || !s.channels) return 0;
  job q = {.shape = &s, .y = c->out[0].data, .in_rstd = c->in[affine ? 3 : 2].data, .work = c->work};
  if (affine) {
    q.in_mean = c->in[2].data, q.weight = c->in[4].data;
    q.dweight = c->out[1].data, q.dbias = c->out[2].data;
  }
  q.grad = ordered(&c->in[0], &c->out[0], c->out[0].data);
  q.x = ordered(&c->in[1], &c->out[0], (char *)c->work + part_bytes(&s));
  if (c->out[0].dtype == MS_F32) backward_f32(&q);
  else backward_f64(&q);
  return 0;
}
MS_KERNEL(standardize_grad, .supports = supports, .prepare = prepare_grad, .run = run_backward);
MS_KERNEL(batch_normalize_grad, .supports = supports, .prepare = prepare_grad, .run = run_backward);

/* ---- batch norm's running statistics ----------------------------------------------------------------------------- */

/* batch_norm_follow_(running_mean, running_var, mean, rstd): running = (1 - momentum) running + momentum value, for the mean and
 * the unbiased variance. rstd is 1 / sqrt(variance + eps), the variance that of `count` elements. */

static bool supports_follow(const ms_call *c) {
  uint8_t d = c->in[0].dtype;
  for (int i = 0; i < c->n_in; i++)
    if (c->in[i].dtype != d || !ms_view_contiguous(&c->in[i])) return false;
  return d == MS_F32 || d == MS_F64;
}

static int run_follow(ms_call *c) {
  int64_t channels = ms_view_numel(&c->in[0]);
  double count = (double)c->attr[0].i, momentum = ms_scalar_value(c->attr[1].s), eps = ms_scalar_value(c->attr[2].s);
  double unbias = count / (count - 1);
  MS_SWITCH_FLOAT(c->in[0].dtype, "batch_norm_follow_", {
    T *mean = c->in[0].data, *var = c->in[1].data;
    const T *m = c->in[2].data, *rstd = c->in[3].data;
    for (int64_t i = 0; i < channels; i++) {
      double r = (double)rstd[i], v = (1 / (r * r) - eps) * unbias;
      mean[i] = (T)((1 - momentum) * (double)mean[i] + momentum * (double)m[i]);
      var[i] = (T)((1 - momentum) * (double)var[i] + momentum * v);
    }
  })
  return 0;
}
MS_KERNEL(batch_norm_follow_, .supports = supports_follow, .run = run_follow);
