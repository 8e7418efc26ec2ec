/* strips.c -- running a chain (fused.h): every part on a strip, then the next strip. */
#include "fused.h"
#include <stddef.h>
#include <string.h>

typedef struct port { /* an operand of a part, for one thread */
  char *base;
  int64_t step, stride; /* bytes per element of the space; elements, as the loop wants it */
} port;

typedef struct stage {
  ms_loop loop;
  port to, in[3];
  bool special; /* some operand must be looked after for each strip */
} stage;

typedef struct frame {
  const program *g;
  stage stage[MS_PARTS];
  char buffer[FUSED_MOST] __attribute__((aligned(64)));
} frame;

/* ---- laying out operands ----------------------------------------------------------------------------------------- */

#define GATHER(T)                                                                                                                  \
  static void gather_##T(const program *g, const source *s, T *to, int64_t from, int64_t n) {                                      \
    int64_t at[MS_MAX_RANK], row = g->shape[g->rank - 1], step = s->stride[g->rank - 1], i = from;                                 \
    const T *x = s->view->data;                                                                                                    \
    for (int d = g->rank - 1; d >= 0; d--) at[d] = i % g->shape[d], x += at[d] * s->stride[d], i /= g->shape[d];                   \
    while (n > 0) {                                                                                                                \
      int64_t m = row - at[g->rank - 1];                                                                                           \
      if (m > n) m = n;                                                                                                            \
      if (step == 0)                                                                                                               \
        for (int64_t k = 0; k < m; k++) to[k] = *x;                                                                                \
      else                                                                                                                         \
        for (int64_t k = 0; k < m; k++) to[k] = x[k * step];                                                                       \
      to += m, n -= m, x -= at[g->rank - 1] * step, at[g->rank - 1] = 0;                                                           \
      for (int d = g->rank - 2; d >= 0; d--) {                                                                                     \
        x += s->stride[d];                                                                                                         \
        if (++at[d] < g->shape[d]) break;                                                                                          \
        x -= g->shape[d] * s->stride[d], at[d] = 0;                                                                                \
      }                                                                                                                            \
    }                                                                                                                              \
  }
GATHER(uint8_t)
GATHER(uint16_t)
GATHER(uint32_t)
GATHER(uint64_t)

static void gather(const program *g, const source *s, void *to, int64_t from, int64_t n) {
  switch (s->size) {
  case 1: gather_uint8_t(g, s, to, from, n); break;
  case 2: gather_uint16_t(g, s, to, from, n); break;
  case 4: gather_uint32_t(g, s, to, from, n); break;
  default: gather_uint64_t(g, s, to, from, n);
  }
}

/* One period, then copies of what is there. */
static void repeat(const program *g, const source *s, char *to) {
  int64_t have = s->period * s->size, want = (g->strip + s->period) * s->size;
  gather(g, s, to, 0, s->period);
  while (have < want) {
    int64_t m = have < want - have ? have : want - have;
    memcpy(to + have, to, (size_t)m);
    have += m;
  }
}

static void open_frame(frame *f, const program *g) {
  f->g = g;
  for (int i = 0; i < g->n; i++) {
    const part *q = &g->part[i];
    stage *t = &f->stage[i];
    t->loop = q->loop, t->special = false;
    if (q->call->op->id == MS_OP_pow) t->loop = MS_NAME(ms_cpu_loop)(q->call);
    t->to.stride = 1;
    if (q->at >= 0) t->to.base = f->buffer + q->at, t->to.step = 0;
    else t->to.base = q->call->out[0].data, t->to.step = q->size;
    for (int k = 0; k < t->loop.n_in; k++) {
      const source *s = &q->in[k];
      port *p = &t->in[k];
      *p = (port){s->view->data, 0, 1};
      switch (s->kind) {
      case SOURCE_FIXED: p->stride = 0; break;
      case SOURCE_FLAT: p->step = s->size; break;
      case SOURCE_VALUE: *p = f->stage[s->part].to; break;
      case SOURCE_ROWS: p->stride = s->stride[g->rank - 1], t->special = true; break;
      case SOURCE_REPEAT: repeat(g, s, p->base = f->buffer + s->at); /* fall through */
      case SOURCE_GATHER: p->base = f->buffer + s->at, t->special = true; break;
      }
    }
  }
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

enum { LINE = 16 };

/* Elements from..from+n of the space onto their columns, in the row of partial sums that their rows share. */
#define ADD_ROWS(T)                                                                                                                \
  static void add_rows_##T(const program *g, const T *x, int64_t from, int64_t n) {                                                \
    int64_t row = from / g->columns, at = from - row * g->columns;                                                                 \
    while (n > 0) {                                                                                                                \
      T *to = (T *)g->partial + row / FUSED_ROWS * g->columns + at;                                                                \
      int64_t rows = n / g->columns, left = FUSED_ROWS - row % FUSED_ROWS;                                                         \
      if (rows > left) rows = left;                                                                                                \
      if (at == 0 && rows > 1 && g->columns % LINE == 0) { /* short rows: a few columns at a time, their sums in registers */      \
        for (int64_t c = 0; c < g->columns; c += LINE) {                                                                           \
          T sum[LINE];                                                                                                             \
          for (int i = 0; i < LINE; i++) sum[i] = to[c + i];                                                                       \
          for (int64_t r = 0; r < rows; r++)                                                                                       \
            for (int i = 0; i < LINE; i++) sum[i] += x[r * g->columns + c + i];                                                    \
          for (int i = 0; i < LINE; i++) to[c + i] = sum[i];                                                                       \
        }                                                                                                                          \
        x += rows * g->columns, n -= rows * g->columns, row += rows;                                                               \
        continue;                                                                                                                  \
      }                                                                                                                            \
      int64_t m = g->columns - at < n ? g->columns - at : n;                                                                       \
      for (int64_t i = 0; i < m; i++) to[i] += x[i];                                                                               \
      x += m, n -= m, row++, at = 0;                                                                                               \
    }                                                                                                                              \
  }
ADD_ROWS(float)
ADD_ROWS(double)

/* ---- strips ------------------------------------------------------------------------------------------------------ */

static void look_after(frame *f, const part *q, stage *t, int64_t from, int64_t n) {
  const program *g = f->g;
  for (int k = 0; k < t->loop.n_in; k++) {
    const source *s = &q->in[k];
    if (s->kind == SOURCE_ROWS) t->in[k].base = (char *)s->view->data + fused_offset(g, s->stride, from) * s->size;
    else if (s->kind == SOURCE_REPEAT) t->in[k].base = f->buffer + s->at + from % s->period * s->size;
    else if (s->kind == SOURCE_GATHER) gather(g, s, t->in[k].base, from, n);
  }
}

static void run_range(frame *f, int64_t from, int64_t to) {
  const program *g = f->g;
  int64_t row = g->shape[g->rank - 1];
  while (from < to) {
    int64_t n = to - from < g->strip ? to - from : g->strip;
    if (g->cut_rows && n > row - from % row) n = row - from % row;
    for (int i = 0; i < g->n; i++) {
      const part *q = &g->part[i];
      stage *t = &f->stage[i];
      if (t->special) look_after(f, q, t, from, n);
      char *p[WALK_MAX] = {t->to.base + from * t->to.step};
      int64_t stride[WALK_MAX] = {t->to.stride};
      for (int k = 0; k < t->loop.n_in; k++) p[k + 1] = t->in[k].base + from * t->in[k].step, stride[k + 1] = t->in[k].stride;
      if (q->kind == PART_EACH) t->loop.run(n, p, stride);
      else if (q->kind == PART_SUM_ROWS && q->size == 4) add_rows_float(g, (const float *)p[1], from, n);
      else if (q->kind == PART_SUM_ROWS) add_rows_double(g, (const double *)p[1], from, n);
    }
    from += n;
  }
}

/* ---- ways to cut the space over threads -------------------------------------------------------------------------- */

static void run_each(const program *g, int team) {
  int64_t blocks = (g->numel + 63) / 64;
  MS_PARALLEL(team, t, team, {
    frame f;
    int64_t from = blocks * t / team * 64, to = blocks * (t + 1) / team * 64;
    open_frame(&f, g);
    run_range(&f, from, to < g->numel ? to : g->numel);
  });
}

void MS_NAME(ms_cpu_strips_piece)(const ms_after *a, int64_t from, int64_t n, int64_t count, int64_t step) {
  const program *g = (const program *)((const char *)a - offsetof(program, after));
  frame f;
  if (step == n || count == 1) n *= count, count = 1;
  open_frame(&f, g);
  for (int64_t i = 0; i < count; i++) run_range(&f, from + i * step, from + i * step + n);
}

/* The chunk that begins at element `from` shall lie in the chunk's buffer. */
static void turn_to(frame *f, int64_t from) {
  const program *g = f->g;
  port *to = &f->stage[g->chunked].to;
  int size = g->part[g->chunked].size;
  *to = (port){f->buffer + g->part[g->chunked].at - from * size, size, 1};
  for (int i = g->chunked + 1; i < g->n; i++)
    for (int k = 0; k < f->stage[i].loop.n_in; k++) {
      const source *s = &g->part[i].in[k];
      if (s->kind == SOURCE_VALUE && s->part == g->chunked) f->stage[i].in[k] = *to;
    }
}

/* What is summed gathers chunk by chunk (in memory, or in the chunk's buffer), and reduce.c sums a chunk. */
static double run_sum_all(const program *g, int team) {
  double *sum = g->partial;
  int64_t chunks = (g->numel + MS_CHUNK - 1) / MS_CHUNK;
  MS_PARALLEL(team, t, team, {
    frame f;
    open_frame(&f, g);
    const port *x = &f.stage[g->n - 1].in[0];
    for (int64_t c = chunks * t / team; c < chunks * (t + 1) / team; c++) {
      int64_t from = c * MS_CHUNK, n = g->numel - from < MS_CHUNK ? g->numel - from : MS_CHUNK;
      if (g->chunked >= 0) turn_to(&f, from);
      run_range(&f, from, from + n);
      sum[c] = MS_NAME(ms_cpu_sum_chunk)(x->base + from * x->step, x->step == 4, n);
    }
  });
  return MS_NAME(ms_cpu_sum_chunks)(sum, g->numel) * g->scale;
}

/* A block of FUSED_ROWS rows adds up to a row of partial sums; within a block each thread may take some of the columns. */
static void run_sum_rows(const program *g, int team) {
  int64_t rows = g->numel / g->columns, blocks = (rows + FUSED_ROWS - 1) / FUSED_ROWS;
  int64_t cuts = blocks >= team || g->columns < 256 ? 1 : team, units = blocks * cuts;
  memset(g->partial, 0, (size_t)(blocks * g->columns * g->part[g->n - 1].size));
  team = units > 1 ? team : 1;
  MS_PARALLEL(team, t, team, {
    if (units * t / team == units * (t + 1) / team) continue;
    frame f;
    open_frame(&f, g);
    for (int64_t u = units * t / team; u < units * (t + 1) / team; u++) {
      int64_t b = u / cuts, cut = u % cuts, first = b * FUSED_ROWS, last = first + FUSED_ROWS < rows ? first + FUSED_ROWS : rows;
      int64_t left = g->columns * cut / cuts / 64 * 64,
              right = cut == cuts - 1 ? g->columns : g->columns * (cut + 1) / cuts / 64 * 64;
      if (cuts == 1) run_range(&f, first * g->columns, last * g->columns);
      else
        for (int64_t r = first; r < last; r++) run_range(&f, r * g->columns + left, r * g->columns + right);
    }
  });
}

#define FINISH_ROWS(T)                                                                                                             \
  for (int64_t i = 0; i < g->columns; i++) {                                                                                       \
    double wide = 0;                                                                                                               \
    for (int64_t b = 0; b < blocks; b++) wide += (double)((const T *)g->partial)[b * g->columns + i];                              \
    ((T *)out)[i] = (T)(wide * g->scale);                                                                                          \
  }

int MS_NAME(ms_cpu_strips)(ms_call *last) {
  const program *g = last->slot;
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
    int64_t rows = g->numel / g->columns, blocks = (rows + FUSED_ROWS - 1) / FUSED_ROWS;
    if (q->size == 4) FINISH_ROWS(float)
    else FINISH_ROWS(double)
  }
  return 0;
}
