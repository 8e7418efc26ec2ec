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

/* SUM_ALL or SUM_ROWS, where reduce.c would go the way that strips.c repeats; else PART_EACH. */
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
  if (columns > 1 && columns < 256 && rows < 2 * FUSED_ROWS && rows * columns > MS_GRAIN)
    return PART_EACH; /* too few pieces for threads */
  return columns == 1 ? PART_SUM_ALL : columns >= 8 ? PART_SUM_ROWS : PART_EACH;
}

bool MS_NAME(ms_cpu_fusible)(const ms_call *c);
bool MS_NAME(ms_cpu_fusible)(const ms_call *c) {
  if (is_sum(c)) return sum_kind(c) != PART_EACH;
  if (c->n_out != 1 || c->n_in > 3 || !ms_view_contiguous(&c->out[0])) return false;
  return loop_of(c).run != NULL;
}

/* ---- the space: dimensions of size 1 dropped, those merged that no operand tells apart --------------------------- */

/* Strides of v, broadcast to `like`, over like's dimensions but those of size 1. Gives their number. */
static int spread(const ms_view *like, const ms_view *v, int64_t *shape, int64_t *stride) {
  int r = 0, lead = like->rank - v->rank;
  for (int i = 0; i < like->rank; i++) {
    if (like->shape[i] == 1) continue;
    shape[r] = like->shape[i];
    stride[r++] = i < lead || v->shape[i - lead] == 1 ? 0 : v->stride[i - lead];
  }
  return r;
}

static void merge(program *g) {
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

static void classify(program *g, source *s) {
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

/* ---- buffers: a strip each, given back after the last use -------------------------------------------------------- */

enum { UNIT = 64 }; /* bytes; every buffer begins at a cache line */

static bool place(program *g, const ms_part *p) {
  int last[MS_PARTS], slots = 0, most = 1, streams = 0;
  int64_t slot_of[MS_PARTS], repeated = 0;
  bool busy[MS_PARTS + 3] = {false};
  for (int i = 0; i < g->n; i++) {
    last[i] = i, slot_of[i] = -1;
    for (int k = 0; k < g->part[i].loop.n_in; k++) {
      source *s = &g->part[i].in[k];
      if (s->kind == SOURCE_VALUE) last[s->part] = i;
      if (s->kind == SOURCE_FLAT || s->kind == SOURCE_ROWS) streams++;
      if (s->size > most) most = s->size;
    }
    if (g->part[i].size > most) most = g->part[i].size;
  }
  const part *end = &g->part[g->n - 1];
  bool chunked = end->kind == PART_SUM_ALL && end->in[0].kind == SOURCE_VALUE && !p[end->in[0].part].keep;
  g->chunked = chunked ? end->in[0].part : -1;
  for (int i = 0; i < g->n;
       i++) { /* slots of equal size, numbered; a result may take the place of an operand of its size that ends here */
    part *q = &g->part[i];
    int gathered[3], n = 0;
    for (int k = 0; k < q->loop.n_in; k++)
      if (q->in[k].kind == SOURCE_GATHER) {
        int b = 0;
        while (busy[b]) b++;
        busy[b] = true, gathered[n++] = b;
        if (b >= slots) slots = b + 1;
        q->in[k].at = b;
      }
    bool copy = is_copy(q->call), wants = q->kind == PART_EACH && !p[i].keep && i != g->chunked;
    for (int pass = 0; pass < 2; pass++) {
      if (pass == 1 && wants && slot_of[i] < 0) {
        int b = 0;
        while (busy[b]) b++;
        if (b >= slots) slots = b + 1;
        busy[b] = true, slot_of[i] = b;
      }
      for (int k = 0; k < q->loop.n_in; k++) {
        if (q->in[k].kind != SOURCE_VALUE || last[q->in[k].part] != i || slot_of[q->in[k].part] < 0) continue;
        int64_t b = slot_of[q->in[k].part];
        bool same = wants && !copy && q->size == q->in[k].size;
        if (pass == 0 && same && slot_of[i] < 0) slot_of[i] = b;
        if (pass == 1 && slot_of[i] != b) busy[b] = false;
      }
    }
    if (slot_of[i] >= 0 && last[i] == i) busy[slot_of[i]] = false; /* nobody reads it */
    while (n) busy[gathered[--n]] = false;
    streams += q->kind == PART_EACH && p[i].keep;
  }
  for (int i = 0; i < g->n; i++)
    for (int k = 0; k < g->part[i].loop.n_in; k++) repeated += g->part[i].in[k].kind == SOURCE_REPEAT;
  int64_t room = FUSED_BYTES / ((slots + repeated + (streams < 4 ? streams : 4) + 1) * most);
  g->strip = room > 2048 ? 2048 : room < 128 ? 128 : room / 64 * 64;
  int64_t one = (g->strip * most + UNIT - 1) / UNIT * UNIT;
  g->bytes = slots * one;
  for (int i = 0; i < g->n; i++) {
    part *q = &g->part[i];
    q->at = slot_of[i] < 0 ? -1 : slot_of[i] * one;
    for (int k = 0; k < q->loop.n_in; k++) {
      source *s = &q->in[k];
      if (s->kind == SOURCE_GATHER) s->at *= one;
      if (s->kind != SOURCE_REPEAT) continue;
      s->at = g->bytes;
      g->bytes += ((g->strip + s->period) * s->size + UNIT - 1) / UNIT * UNIT;
    }
  }
  if (chunked) g->part[g->chunked].at = g->bytes, g->bytes += MS_CHUNK * g->part[g->chunked].size;
  return g->bytes <= FUSED_MOST;
}

static void release(ms_call *last) {
  program *g = last->slot;
  if (g) free(g->partial), free(g->part), free(g);
  last->slot = NULL;
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
  program *g = last->slot;
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
  const program *g = last->slot;
  g->head->work = last->work;
  return g->kernel->run(g->head);
}

static void release_headed(ms_call *last) {
  const program *g = last->slot;
  if (g && g->kernel && g->kernel->release) g->kernel->release(g->head);
  release(last);
}

static const ms_kernel headed = {.prepare = prepare_headed, .run = run_headed, .release = release_headed};

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static bool add(program *g, const ms_part *p, int i) {
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
    int r = spread(like, &c->in[k], shape, s->stride);
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
  if (q->kind == PART_SUM_ALL) bytes = (size_t)((g->numel + MS_CHUNK - 1) / MS_CHUNK) * sizeof(double);
  else bytes = (size_t)((rows + FUSED_ROWS - 1) / FUSED_ROWS * g->columns) * (size_t)q->size;
  return (g->partial = malloc(bytes)) != NULL;
}

const ms_kernel *MS_NAME(ms_cpu_fuse)(const ms_part *p, int n);
const ms_kernel *MS_NAME(ms_cpu_fuse)(const ms_part *p, int n) {
  if (n > MS_PARTS) return NULL;
  program *g = calloc(1, sizeof *g);
  if (!g) return NULL;
  ms_call *last = p[n - 1].call;
  last->slot = g;
  if (MS_NAME(ms_cpu_heads)(p->call)) g->head = p->call, p++, n--;
  g->n = n;
  bool ok = (g->part = calloc((size_t)n, sizeof *g->part)) != NULL;
  for (int i = 0; ok && i < n; i++) ok = add(g, p, i);
  if (ok) {
    merge(g);
    for (int i = 0; i < n; i++)
      for (int k = 0; k < g->part[i].loop.n_in; k++)
        if (g->part[i].in[k].kind != SOURCE_VALUE) classify(g, &g->part[i].in[k]);
    ok = place(g, p) && make_sum(g);
  }
  if (ok && g->head) ok = g->part[n - 1].kind == PART_EACH && g->numel == ms_view_numel(&g->head->out[0]);
  if (ok) return g->head ? &headed : &kernel;
  release(last);
  return NULL;
}
