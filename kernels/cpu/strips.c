/* strips.c -- running a chain (fused.h): every part runs on a strip, then all of them on the next strip. */
#include "fused.h"
#include "op_ids.h"
#include <stddef.h>
#include <string.h>

/* An operand or result of a part, for one thread: where the strip that begins at element e lies is base + e * step. */
typedef struct strip_view {
  char *base;
  int64_t step;   /* bytes, per element of the space; 0: every strip lies in the same buffer */
  int64_t stride; /* elements from one to the next, for the loop */
} strip_view;

/* A part, for one thread. */
typedef struct stage {
  ms_loop loop;
  strip_view to, in[3];
  bool lay_out; /* some operand must be laid out anew for each strip */
} stage;

/* What a thread needs to run strips. */
typedef struct frame {
  const program *g;
  stage stage[MS_PARTS];
  char buffer[FUSED_STACK] __attribute__((aligned(64)));
} frame;

/* ---- laying out operands ----------------------------------------------------------------------------------------- */

#define T    uint8_t
#define G(x) x##_1
#include "strips_gather.h"
#undef T
#undef G
#define T    uint16_t
#define G(x) x##_2
#include "strips_gather.h"
#undef T
#undef G
#define T    uint32_t
#define G(x) x##_4
#include "strips_gather.h"
#undef T
#undef G
#define T    uint64_t
#define G(x) x##_8
#include "strips_gather.h"
#undef T
#undef G

static void gather(const program *g, const source *s, void *to, int64_t from, int64_t n) {
  switch (s->size) {
  case 1: gather_1(g, s, to, from, n); break;
  case 2: gather_2(g, s, to, from, n); break;
  case 4: gather_4(g, s, to, from, n); break;
  default: gather_8(g, s, to, from, n);
  }
}

/* Lays out an operand that repeats itself: one period is gathered, then what is there is copied until a strip more is filled. */
static void repeat(const program *g, const source *s, char *to) {
  int64_t have = s->period * s->size, want = (g->strip + s->period) * s->size;
  gather(g, s, to, 0, s->period);
  while (have < want) {
    const int64_t m = min_i64(have, want - have);
    memcpy(to + have, to, (size_t)m);
    have += m;
  }
}

/* Where everything lies that stays the same for all strips. */
static void open_frame(frame *f, const program *g) {
  f->g = g;
  for (int i = 0; i < g->n; i++) {
    const part *q = &g->part[i];
    stage *t = &f->stage[i];
    t->loop = q->loop, t->lay_out = false;
    if (q->call->op->id == MS_OP_pow) /* its loop depends on a number, which may be another one now */
      t->loop = MS_NAME(ms_cpu_loop)(q->call);
    t->to.stride = 1;
    if (q->at >= 0) t->to.base = f->buffer + q->at, t->to.step = 0;
    else t->to.base = q->call->out[0].data, t->to.step = q->size;
    for (int k = 0; k < t->loop.n_in; k++) {
      const source *s = &q->in[k];
      strip_view *p = &t->in[k];
      *p = (strip_view){s->view->data, 0, 1};
      switch (s->kind) {
      case SOURCE_FIXED: p->stride = 0; break;
      case SOURCE_FLAT: p->step = s->size; break;
      case SOURCE_VALUE: *p = f->stage[s->part].to; break;
      case SOURCE_ROWS: p->stride = s->stride[g->rank - 1], t->lay_out = true; break;
      case SOURCE_REPEAT: repeat(g, s, p->base = f->buffer + s->at); /* fall through */
      case SOURCE_GATHER: p->base = f->buffer + s->at, t->lay_out = true; break;
      }
    }
  }
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

enum { ROW_LANES = 16 }; /* columns that short rows are added up for at a time */

#define T    float
#define G(x) x##_f32
#include "strips_rows.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "strips_rows.h"
#undef T
#undef G

/* ---- strips ------------------------------------------------------------------------------------------------------ */

/* Operands of a part that do not lie in memory as a strip wants them: find them, or lay them out in their buffers. */
static void lay_out_operands(frame *f, const part *q, stage *t, int64_t from, int64_t n) {
  const program *g = f->g;
  for (int k = 0; k < t->loop.n_in; k++) {
    const source *s = &q->in[k];
    if (s->kind == SOURCE_ROWS) t->in[k].base = (char *)s->view->data + ms_offset_in(g->rank, g->shape, s->stride, from) * s->size;
    else if (s->kind == SOURCE_REPEAT) t->in[k].base = f->buffer + s->at + from % s->period * s->size;
    else if (s->kind == SOURCE_GATHER) gather(g, s, t->in[k].base, from, n);
  }
}

/* All parts on elements from .. to-1, strip by strip. */
static void run_range(frame *f, int64_t from, int64_t to) {
  const program *g = f->g;
  int64_t row = g->shape[g->rank - 1];
  while (from < to) {
    int64_t n = min_i64(to - from, g->strip);
    if (g->cut_rows) n = min_i64(n, row - from % row);
    for (int i = 0; i < g->n; i++) {
      const part *q = &g->part[i];
      stage *t = &f->stage[i];
      if (t->lay_out) lay_out_operands(f, q, t, from, n);
      char *p[WALK_MAX] = {t->to.base + from * t->to.step};
      int64_t stride[WALK_MAX] = {t->to.stride};
      for (int k = 0; k < t->loop.n_in; k++) p[k + 1] = t->in[k].base + from * t->in[k].step, stride[k + 1] = t->in[k].stride;
      if (q->kind == PART_EACH) t->loop.run(n, p, stride);
      else if (q->kind == PART_SUM_ROWS && q->size == 4) add_rows_f32(g, (const float *)p[1], from, n);
      else if (q->kind == PART_SUM_ROWS) add_rows_f64(g, (const double *)p[1], from, n);
    }
    from += n;
  }
}

/* ---- ways to cut the space over threads -------------------------------------------------------------------------- */

static void run_each(const program *g, int team) {
  int64_t blocks = div_up(g->numel, 64);
  MS_PARALLEL(team, t, team, {
    frame f;
    int64_t from = blocks * t / team * 64, to = blocks * (t + 1) / team * 64;
    open_frame(&f, g);
    run_range(&f, from, min_i64(to, g->numel));
  });
}

void MS_NAME(ms_cpu_strips_piece)(const ms_after *a, int64_t from, int64_t n, int64_t count, int64_t step) {
  const program *g = (const program *)((const char *)a - offsetof(program, after));
  frame f;
  if (step == n || count == 1) n *= count, count = 1;
  open_frame(&f, g);
  for (int64_t i = 0; i < count; i++) run_range(&f, from + i * step, from + i * step + n);
}

/* Makes the result that is summed up, and what reads it, use the chunk's buffer for the chunk that begins at element `from`. */
static void point_at_chunk(frame *f, int64_t from) {
  const program *g = f->g;
  strip_view *to = &f->stage[g->chunked].to;
  int size = g->part[g->chunked].size;
  *to = (strip_view){f->buffer + g->part[g->chunked].at - from * size, size, 1};
  for (int i = g->chunked + 1; i < g->n; i++)
    for (int k = 0; k < f->stage[i].loop.n_in; k++) {
      const source *s = &g->part[i].in[k];
      if (s->kind == SOURCE_VALUE && s->part == g->chunked) f->stage[i].in[k] = *to;
    }
}

/* What is summed is computed chunk by chunk (in memory, or in the chunk's buffer), and reduce.c sums a chunk: the same bits as
 * those of the sum by itself. */
static double run_sum_all(const program *g, int team) {
  double *sum = g->partial;
  int64_t chunks = sum_chunks(g->numel);
  MS_PARALLEL(team, t, team, {
    frame f;
    open_frame(&f, g);
    const strip_view *x = &f.stage[g->n - 1].in[0];
    for (int64_t c = chunks * t / team; c < chunks * (t + 1) / team; c++) {
      int64_t from = c * MS_CHUNK, n = min_i64(g->numel - from, MS_CHUNK);
      if (g->chunked >= 0) point_at_chunk(&f, from);
      run_range(&f, from, from + n);
      sum[c] = MS_NAME(ms_cpu_sum_chunk)(x->base + from * x->step, x->step == 4, n);
    }
  });
  return MS_NAME(ms_cpu_sum_chunks)(sum, g->numel) * g->scale;
}

/* A block of SUM_BLOCK_ROWS rows adds up to a row of partial sums; within a block each thread may take some of the columns. */
static void run_sum_rows(const program *g, int team) {
  int64_t rows = g->numel / g->columns, blocks = div_up(rows, SUM_BLOCK_ROWS);
  int64_t cuts = blocks >= team || g->columns < 256 ? 1 : team, units = blocks * cuts;
  memset(g->partial, 0, (size_t)(blocks * g->columns * g->part[g->n - 1].size));
  team = units > 1 ? team : 1;
  MS_PARALLEL(team, t, team, {
    if (units * t / team == units * (t + 1) / team) continue;
    frame f;
    open_frame(&f, g);
    for (int64_t u = units * t / team; u < units * (t + 1) / team; u++) {
      int64_t b = u / cuts, cut = u % cuts, first = b * SUM_BLOCK_ROWS, last = min_i64(first + SUM_BLOCK_ROWS, rows);
      int64_t left = g->columns * cut / cuts / 64 * 64,
              right = cut == cuts - 1 ? g->columns : g->columns * (cut + 1) / cuts / 64 * 64;
      if (cuts == 1) run_range(&f, first * g->columns, last * g->columns);
      else
        for (int64_t r = first; r < last; r++) run_range(&f, r * g->columns + left, r * g->columns + right);
    }
  });
}

int MS_NAME(ms_cpu_strips)(ms_call *last) {
  const program *g = last->prepared;
  const part *q = &g->part[g->n - 1];
  void *out = last->out[0].data;
  int64_t cost = 0;
  for (int i = 0; i < g->n; i++) cost += g->part[i].loop.cost;
  int team = ms_team(g->numel * cost);
  if (q->kind == PART_EACH) run_each(g, team);
  else if (q->kind == PART_SUM_ALL) {
    double sum = run_sum_all(g, team);
    if (q->size == 4) *(float *)out = (float)sum;
    else *(double *)out = sum;
  } else {
    run_sum_rows(g, team);
    if (q->size == 4) finish_rows_f32(g, out);
    else finish_rows_f64(g, out);
  }
  return 0;
}
