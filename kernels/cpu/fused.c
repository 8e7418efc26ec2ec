/* fused.c -- chains of elementwise calls made into programs (fused.h). */
#include "fused.h"
#include <stdlib.h>
#include <string.h>

static bool is_copy(const ms_call *c) { return c->op->flags & MS_COPIES; }
static bool is_sum(const ms_call *c) { return c->op->flags & MS_SUMS; }

static ms_loop loop_of(const ms_call *c) {
  if (is_copy(c)) return (ms_loop){MS_NAME(ms_cpu_cast_loop)(c->in[0].dtype, c->out[0].dtype), 1, 1};
  return MS_NAME(ms_cpu_loop)(c);
}

static bool is_float(const ms_view *v) { return v->dtype == MS_F32 || v->dtype == MS_F64; }

/* PART_SUM_ALL or PART_SUM_ROWS, if strips.c can add up in the same order as reduce.c would; else PART_EACH. */
static part_kind sum_kind(const ms_call *c) {
  const ms_view *x = &c->in[0];
  const ms_ints *d = &c->attr[0].v;
  int64_t rows = 1, columns = 1;
  if (!is_float(x) || !ms_view_contiguous(x)) return PART_EACH;
  for (int i = 0, k = 0; i < x->rank; i++) {
    bool reduced = k < d->n && d->at[k] == i;
    k += reduced;
    if (reduced && columns != 1 && x->shape[i] != 1) return PART_EACH; /* reduced dimensions must come first */
    if (reduced) rows *= x->shape[i];
    else columns *= x->shape[i];
  }
  if (rows < 2) return PART_EACH;
  if (columns > 1 && columns < 256 && rows < 2 * SUM_BLOCK_ROWS && rows * columns > MS_GRAIN)
    return PART_EACH; /* too few pieces for threads */
  return columns == 1 ? PART_SUM_ALL : columns >= SUM_COLUMNS_LEAST ? PART_SUM_ROWS : PART_EACH;
}

bool MS_NAME(ms_cpu_fusible)(const ms_call *c);
bool MS_NAME(ms_cpu_fusible)(const ms_call *c) {
  if (is_sum(c)) return sum_kind(c) != PART_EACH;
  if (c->n_out != 1 || c->n_in > 3 || !ms_view_contiguous(&c->out[0])) return false;
  return loop_of(c).run != NULL;
}

/* ---- the space: dimensions of size 1 are dropped, those that no operand tells apart are merged ------------------- */

/* Strides of v, broadcast to `like`, over like's dimensions but those of size 1. Gives their number. */
static int broadcast_strides(const ms_view *like, const ms_view *v, int64_t *shape, int64_t *stride) {
  int r = 0, lead = like->rank - v->rank;
  for (int i = 0; i < like->rank; i++) {
    if (like->shape[i] == 1) continue;
    shape[r] = like->shape[i];
    stride[r++] = i < lead || v->shape[i - lead] == 1 ? 0 : v->stride[i - lead];
  }
  return r;
}

static void merge_dimensions(program *g) {
  int r = 0;
  int64_t shape[MS_MAX_RANK];
  memcpy(shape, g->shape, sizeof shape);
  for (int d = 0; d < g->rank; d++) {
    bool joins = r > 0;
    for (int i = 0; joins && i < g->n; i++)
      for (int k = 0; joins && k < g->part[i].loop.n_in; k++) {
        const source *s = &g->part[i].in[k];
        joins = s->kind == SOURCE_VALUE || s->stride[r - 1] == s->stride[d] * shape[d];
      }
    if (!joins) g->shape[r++] = 1;
    g->shape[r - 1] *= shape[d];
    for (int i = 0; i < g->n; i++)
      for (int k = 0; k < 3; k++) g->part[i].in[k].stride[r - 1] = g->part[i].in[k].stride[d];
  }
  if (!r) g->shape[r++] = 1;
  g->rank = r;
}

/* How an operand that lies in memory is read. */
static void classify_source(program *g, source *s) {
  int64_t run = 1;
  bool fixed = true, flat = true;
  for (int d = g->rank - 1; d >= 0; d--) {
    fixed &= s->stride[d] == 0 || g->shape[d] == 1;
    flat &= s->stride[d] == run || g->shape[d] == 1;
    run *= g->shape[d];
  }
  s->kind = fixed ? SOURCE_FIXED : flat ? SOURCE_FLAT : SOURCE_GATHER;
  if (s->kind != SOURCE_GATHER) return;
  int64_t inner = s->stride[g->rank - 1];
  if (g->shape[g->rank - 1] >= FUSED_WIDE && (inner == 0 || inner == 1)) {
    s->kind = SOURCE_ROWS, g->cut_rows = true;
    return;
  }
  int d = 0;
  for (s->period = g->numel; d < g->rank && s->stride[d] == 0; d++) s->period /= g->shape[d];
  if (s->period <= FUSED_PERIOD && d > 0) s->kind = SOURCE_REPEAT;
}

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

enum {
  CACHE_LINE = 64,     /* bytes; every buffer begins at a cache line */
  STRIP_MOST = 2048,   /* elements of a strip, at most, */
  STRIP_LEAST = 128,   /*   and at least, even if L1 cannot hold it all */
  STREAMS_COUNTED = 4, /* operands in memory that a strip's share of L1 is kept for, at most */
  NO_BUFFER = -1
};

/* A result that only later parts read has a buffer of one strip. Buffers are numbered, of equal size, and free again after their
 * last use. */
typedef struct buffers {
  bool busy[MS_PARTS + 3];
  int count;                               /* that there must be */
  int of[MS_PARTS], last_reader[MS_PARTS]; /* of a part's result */
} buffers;

static int take_buffer(buffers *s) {
  int buffer = 0;
  while (s->busy[buffer]) buffer++;
  s->busy[buffer] = true;
  if (buffer >= s->count) s->count = buffer + 1;
  return buffer;
}

/* Is operand k of part i the last use of an earlier part's buffer? */
static bool ends_buffer(const program *g, const buffers *s, int i, int k) {
  const source *x = &g->part[i].in[k];
  return x->kind == SOURCE_VALUE && s->last_reader[x->part] == i && s->of[x->part] != NO_BUFFER;
}

/* Buffers for part i: for operands that are gathered, while it runs; for its result, which may take over that of an operand of its
 * size that ends here. */
static void give_buffers(program *g, int i, bool wants, buffers *s) {
  part *q = &g->part[i];
  int gathered[3], n = 0;
  for (int k = 0; k < q->loop.n_in; k++)
    if (q->in[k].kind == SOURCE_GATHER) q->in[k].at = gathered[n++] = take_buffer(s);
  for (int k = 0; k < q->loop.n_in && wants && s->of[i] == NO_BUFFER; k++)
    if (ends_buffer(g, s, i, k) && !is_copy(q->call) && q->size == q->in[k].size) s->of[i] = s->of[q->in[k].part];
  if (wants && s->of[i] == NO_BUFFER) s->of[i] = take_buffer(s);
  for (int k = 0; k < q->loop.n_in; k++)
    if (ends_buffer(g, s, i, k) && s->of[q->in[k].part] != s->of[i]) s->busy[s->of[q->in[k].part]] = false;
  if (s->of[i] != NO_BUFFER && s->last_reader[i] == i) s->busy[s->of[i]] = false; /* nobody reads it */
  while (n) s->busy[gathered[--n]] = false;
}

/* Where every buffer lies: the strip buffers, then patterns that are repeated, then the chunk that is summed up. */
static void set_offsets(program *g, const buffers *s, int64_t buffer_bytes) {
  g->bytes = s->count * buffer_bytes;
  for (int i = 0; i < g->n; i++) {
    part *q = &g->part[i];
    q->at = s->of[i] == NO_BUFFER ? -1 : s->of[i] * buffer_bytes;
    for (int k = 0; k < q->loop.n_in; k++) {
      source *x = &q->in[k];
      if (x->kind == SOURCE_GATHER) x->at *= buffer_bytes;
      if (x->kind != SOURCE_REPEAT) continue;
      x->at = g->bytes;
      g->bytes += round_up((g->strip + x->period) * x->size, CACHE_LINE);
    }
  }
  if (g->chunked >= 0) g->part[g->chunked].at = g->bytes, g->bytes += MS_CHUNK * g->part[g->chunked].size;
}

/* Decides how long a strip is, so that all that is in use at the same time stays in L1, and where the buffers lie. False: there is
 * no room on a thread's stack. */
static bool lay_out_buffers(program *g, const ms_part *p) {
  buffers s = {.count = 0};
  int64_t widest = 1, streams = 0, repeated = 0; /* bytes of an element; operands and results in memory; patterns */
  for (int i = 0; i < g->n; i++) {
    s.last_reader[i] = i, s.of[i] = NO_BUFFER;
    for (int k = 0; k < g->part[i].loop.n_in; k++) {
      const source *x = &g->part[i].in[k];
      if (x->kind == SOURCE_VALUE) s.last_reader[x->part] = i;
      streams += x->kind == SOURCE_FLAT || x->kind == SOURCE_ROWS;
      repeated += x->kind == SOURCE_REPEAT;
      widest = max_i64(widest, x->size);
    }
    widest = max_i64(widest, g->part[i].size);
    streams += g->part[i].kind == PART_EACH && p[i].keep;
  }
  const part *end = &g->part[g->n - 1];
  g->chunked = end->kind == PART_SUM_ALL && end->in[0].kind == SOURCE_VALUE && !p[end->in[0].part].keep ? end->in[0].part : -1;
  for (int i = 0; i < g->n; i++) give_buffers(g, i, g->part[i].kind == PART_EACH && !p[i].keep && i != g->chunked, &s);
  const int64_t room = FUSED_BYTES / ((s.count + repeated + min_i64(streams, STREAMS_COUNTED) + 1) * widest);
  g->strip = max_i64(min_i64(room / 64 * 64, STRIP_MOST), STRIP_LEAST);
  set_offsets(g, &s, round_up(g->strip * widest, CACHE_LINE));
  return g->bytes <= FUSED_STACK;
}

static void release(ms_call *last) {
  program *g = last->prepared;
  if (g) free(g->partial), free(g->part), free(g);
  last->prepared = NULL;
}

static const ms_kernel kernel = {.run = MS_NAME(ms_cpu_strips), .release = release};

/* ---- heads ------------------------------------------------------------------------------------------------------- */

extern const ms_kernel *const MS_NAME(ms_cpu_table)[]; /* by operation */

static const ms_kernel *kernel_of(const ms_call *c) {
  const ms_kernel *k = MS_NAME(ms_cpu_table)[c->op->id];
  return k && (!k->supports || k->supports(c)) ? k : NULL;
}

bool MS_NAME(ms_cpu_heads)(const ms_call *c);
bool MS_NAME(ms_cpu_heads)(const ms_call *c) { return c->op->flags & MS_HEAD && kernel_of(c); }

static int prepare_headed(ms_call *last) {
  program *g = last->prepared;
  g->after.run = MS_NAME(ms_cpu_strips_piece);
  g->head->after = &g->after;
  g->head->work_bytes = 0;
  const ms_kernel *k = kernel_of(g->head);
  if (k->prepare && k->prepare(g->head) < 0) return -1;
  g->kernel = k;
  last->work_bytes = g->head->work_bytes, g->head->work_bytes = 0; /* one workspace, that of the call that runs */
  return 0;
}

static int run_headed(ms_call *last) {
  const program *g = last->prepared;
  g->head->work = last->work;
  return g->kernel->run(g->head);
}

static void release_headed(ms_call *last) {
  const program *g = last->prepared;
  if (g && g->kernel && g->kernel->release) g->kernel->release(g->head);
  release(last);
}

static const ms_kernel headed = {.prepare = prepare_headed, .run = run_headed, .release = release_headed};

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static bool add_part(program *g, const ms_part *p, int i) {
  part *q = &g->part[i];
  ms_call *c = p[i].call;
  const ms_view *like = is_sum(c) ? &c->in[0] : &c->out[0];
  int64_t shape[MS_MAX_RANK];
  *q = (part){.call = c, .size = (int)ms_dtype_size(c->out[0].dtype), .at = -1};
  if (is_sum(c)) {
    q->kind = sum_kind(c), q->loop = (ms_loop){NULL, 1, 1};
    if (i != g->n - 1 || q->kind == PART_EACH) return false;
  } else if (!(q->loop = loop_of(c)).run) return false;
  q->loop.n_in = c->n_in; /* the loop may come to read fewer; it is asked for anew at each run */
  for (int k = 0; k < c->n_in; k++) {
    source *s = &q->in[k];
    s->view = &c->in[k], s->size = (int)ms_dtype_size(c->in[k].dtype);
    int r = broadcast_strides(like, &c->in[k], shape, s->stride);
    if (i == 0 && k == 0) {
      g->rank = r, g->numel = ms_view_numel(like);
      memcpy(g->shape, shape, sizeof shape);
    }
    if (r != g->rank || memcmp(shape, g->shape, (size_t)r * sizeof *shape)) return false;
    if (p[i].from[k] >= 0) s->kind = SOURCE_VALUE, s->part = p[i].from[k];
  }
  return true;
}

static bool make_sum(program *g) {
  part *q = &g->part[g->n - 1];
  if (q->kind == PART_EACH) return true;
  const ms_call *c = q->call;
  size_t bytes;
  g->columns = ms_view_numel(&c->out[0]);
  int64_t rows = g->numel / g->columns;
  g->scale = c->op->flags & MS_AVERAGES ? 1 / (double)rows : 1;
  if (q->kind == PART_SUM_ALL) bytes = (size_t)sum_chunks(g->numel) * sizeof(double);
  else bytes = (size_t)(div_up(rows, SUM_BLOCK_ROWS) * g->columns) * (size_t)q->size;
  return (g->partial = malloc(bytes)) != NULL;
}

const ms_kernel *MS_NAME(ms_cpu_fuse)(const ms_part *p, int n);
const ms_kernel *MS_NAME(ms_cpu_fuse)(const ms_part *p, int n) {
  if (n > MS_PARTS) return NULL;
  program *g = calloc(1, sizeof *g);
  if (!g) return NULL;
  ms_call *last = p[n - 1].call;
  last->prepared = g;
  if (MS_NAME(ms_cpu_heads)(p->call)) g->head = p->call, p++, n--;
  g->n = n;
  bool ok = (g->part = calloc((size_t)n, sizeof *g->part)) != NULL;
  for (int i = 0; ok && i < n; i++) ok = add_part(g, p, i);
  if (ok) {
    merge_dimensions(g);
    for (int i = 0; i < n; i++)
      for (int k = 0; k < g->part[i].loop.n_in; k++)
        if (g->part[i].in[k].kind != SOURCE_VALUE) classify_source(g, &g->part[i].in[k]);
    ok = lay_out_buffers(g, p) && make_sum(g);
  }
  if (ok && g->head) ok = g->part[n - 1].kind == PART_EACH && g->numel == ms_view_numel(&g->head->out[0]);
  if (ok) return g->head ? &headed : &kernel;
  release(last);
  return NULL;
}
