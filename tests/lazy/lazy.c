/* lazy.c -- a device for tests of the contract with the backends (runtime/backend.h). It computes with the CPU's kernels, but only
 * when it is waited for, as late as a GPU could be; steps are replayed as a whole.
 *
 * What is asked of a queue is written down with copies of all that the asker may change afterwards, and done, in order, by
 * ms_backend.sync and .download. New memory is filled with bytes that are NaN, so that whoever looks too early sees it. It is
 * memory of the host, but nobody is told. Opened as device "lazy" where MASCON_LIB names the folder with libmascon_lazy.so. */
#include "backend.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUES = 4, MOST_WAITING = 20000 }; /* entries after which a queue is worked off unasked, for the sake of memory */

/* A call copied with all that it points to: in one block, which the views begin. */
typedef struct snapshot {
  ms_call call;
  ms_attr *attr;
  double *element;   /* by input: what a number operand's data points at */
  ms_scalar *number; /* by input: the number itself */
  int *live;         /* by attribute: the words of a live scalar, in a captured step; else 0 */
  ms_rng rng;
} snapshot;

/* What prepare made: the CPU's kernel and what it prepared, for one call or for a chain, whose members the CPU's kernel knows by
 * copies. */
typedef struct prepared {
  const ms_kernel *kernel;
  void *inner;     /* what that kernel prepared */
  int n;           /* members of a chain, 0: a single call */
  ms_call **asked; /* the members as the core has them */
  snapshot *copy;  /* as the CPU's kernel has them */
} prepared;

typedef struct captured_call {
  prepared *prepared;
  snapshot *at; /* one; of a chain one for each member */
  int n;
} captured_call;

typedef struct graph {
  captured_call *call;
  int n, room;
  ms_io_memory *memory; /* a copy of what captured was told */
  int n_memory;
} graph;

typedef enum work_kind { WORK_CALL, WORK_RELEASE, WORK_COPY, WORK_UPLOAD, WORK_FREE, WORK_REPLAY, WORK_DROP } work_kind;

typedef struct work {
  work_kind kind;
  captured_call call; /* CALL; RELEASE: its prepared */
  void *to;           /* COPY, UPLOAD, FREE */
  const void *from;   /* COPY; UPLOAD: a copy of the host's bytes */
  size_t bytes;
  graph *graph;    /* REPLAY, DROP */
  uint64_t *block; /* REPLAY: a copy of the live words */
} work;

struct ms_queue {
  work *work;
  int n, room;
  graph *capturing; /* NULL: calls are queued */
  bool faulted;
  ms_fault fault;
};
static ms_queue queues[QUEUES];

static const ms_backend *cpu(void) { return ms_backend_cpu(); }
static int no_memory(void) { return ms_fail("lazy: out of memory"), -1; }

/* ---- copies of calls ----------------------------------------------------------------------------------------------------- */

static void drop_snapshot(snapshot *s) { free(s->call.in); }

/* What a number is now. */
static ms_scalar constant(ms_scalar s) {
  ms_plain v;
  ms_scalar_constant(s, &v);
  return ms_scalar_of_plain(v);
}

/* The number that an element is. */
static ms_scalar number_of(const ms_view *v) {
  switch (v->dtype) {
  case MS_F32: return ms_scalar_of(*(const float *)v->data);
  case MS_F64: return ms_scalar_of(*(const double *)v->data);
  case MS_I64:
  case MS_I32: return ms_scalar_of_whole(ms_view_integer(v, 0));
  default: return ms_scalar_of_whole(*(const uint8_t *)v->data); /* u8, bool: the only ones left that numbers become */
  }
}

static int take_snapshot(snapshot *s, const ms_call *c) {
  const size_t n = (size_t)c->n_in, m = (size_t)c->n_out, a = (size_t)c->n_attr;
  *s = (snapshot){.call = *c};
  char *block =
      calloc(1, (n + m) * sizeof(ms_view) + a * sizeof(ms_attr) + n * (sizeof(ms_scalar) + sizeof(double)) + a * sizeof(int) + 1);
  if (!block) return no_memory();
  s->call.in = (ms_view *)block, s->call.out = s->call.in + n;
  s->attr = (ms_attr *)(s->call.out + m);
  s->number = (ms_scalar *)(s->attr + a);
  s->element = (double *)(s->number + n);
  s->live = (int *)(s->element + n);
  memcpy(s->call.in, c->in, n * sizeof *c->in);
  memcpy(s->call.out, c->out, m * sizeof *c->out);
  if (a) memcpy(s->attr, c->attr, a * sizeof *s->attr);
  s->call.attr = s->attr;
  for (size_t k = 0; k < n; k++) {
    ms_view *v = &s->call.in[k];
    if (!v->number) continue;
    s->number[k] = constant(*v->number);
    memcpy(&s->element[k], v->data, ms_dtype_size(v->dtype));
    v->number = &s->number[k], v->data = &s->element[k];
  }
  for (int i = 0, k = 0; i < c->op->n_arg; i++) {
    if (c->op->arg[i].is_tensor) continue;
    if (c->op->arg[i].kind == MS_K_SCALAR) s->live[k] = ms_scalar_live(s->attr[k].s), s->attr[k].s = constant(s->attr[k].s);
    k++;
  }
  if (c->rng) s->rng = *c->rng;
  return 0;
}

/* What of a snapshot may differ from run to run, into the copy that a chain's kernel knows. */
static void load(snapshot *to, const snapshot *from) {
  ms_call *c = &to->call;
  for (int k = 0; k < c->n_in + c->n_out; k++) {
    ms_view *v = k < c->n_in ? &c->in[k] : &c->out[k - c->n_in];
    const ms_view *w = k < c->n_in ? &from->call.in[k] : &from->call.out[k - c->n_in];
    if (k < c->n_in && v->number) to->element[k] = from->element[k], to->number[k] = from->number[k];
    else v->data = w->data;
  }
  memcpy(to->attr, from->attr, (size_t)c->n_attr * sizeof *to->attr);
  to->rng = from->rng;
  c->work = from->call.work;
}

/* Words of the live block into a snapshot that was captured. */
static void set_live(snapshot *s, const uint64_t *block) {
  ms_call *c = &s->call;
  for (int k = 0; k < c->n_in + c->n_out; k++) {
    ms_view *v = k < c->n_in ? &c->in[k] : &c->out[k - c->n_in];
    if (!v->live) continue;
    if (k < c->n_in && v->number) { /* kernels may look at the number too */
      memcpy(&s->element[k], &block[v->live], sizeof *block);
      s->number[k] = number_of(v);
    } else v->data = (void *)(uintptr_t)block[v->live];
  }
  for (int k = 0; k < c->n_attr; k++)
    if (s->live[k]) s->attr[k].s = ms_scalar_from(block + s->live[k]);
  if (c->rng_live) s->rng = (ms_rng){block[c->rng_live], block[c->rng_live + 1] + c->rng_offset};
}

/* ---- doing it ------------------------------------------------------------------------------------------------------------ */

static void set_fault(ms_queue *q, ms_fault f) {
  if (!q->faulted) q->fault = f;
  q->faulted = true;
}

/* Are the positions there that index inputs give? */
static bool positions_exist(ms_queue *q, const ms_call *c) {
  for (int k = 0; k < c->n_in && k < MS_MAX_ARGS; k++) {
    if (!c->bound[k]) continue;
    const ms_view *v = &c->in[k];
    for (int64_t i = 0, n = ms_view_numel(v); i < n; i++) {
      const int64_t x = ms_view_integer(v, ms_offset(v, i));
      if (x >= MS_INDEX_BASE && x <= c->bound[k] - 1 + MS_INDEX_BASE) continue;
      set_fault(q, (ms_fault){.call = c->id, .input = k, .element = i, .value = x, .bound = c->bound[k]});
      return false;
    }
  }
  return true;
}

static void run_call(ms_queue *q, captured_call *c) {
  prepared *p = c->prepared;
  ms_call *call = &c->at[c->n - 1].call;
  for (int i = 0; i < c->n; i++) {
    if (c->at[i].call.rng) c->at[i].call.rng = &c->at[i].rng;
    if (p->n) load(&p->copy[i], &c->at[i]);
  }
  if (p->n) call = &p->copy[p->n - 1].call;
  else call->prepared = p->inner;
  for (int i = 0; i < c->n; i++)
    if (!positions_exist(q, &c->at[i].call)) return;
  char *was = ms_error() ? strdup(ms_error()) : NULL; /* an error of the script's, which waits to be told */
  ms_error_clear();
  const unsigned before = cpu()->enter ? cpu()->enter() : 0;
  if (p->kernel->run(call) < 0) {
    ms_fault f = {.call = call->id};
    snprintf(f.text, sizeof f.text, "%s", ms_error());
    set_fault(q, f);
  }
  if (cpu()->leave) cpu()->leave(before);
  ms_error_clear();
  if (was) ms_fail("%s", was);
  free(was);
}

static void release_prepared(prepared *p) {
  ms_call c = {.prepared = p->inner};
  if (p->kernel->release) p->kernel->release(p->n ? &p->copy[p->n - 1].call : &c);
  for (int i = 0; i < p->n; i++) drop_snapshot(&p->copy[i]);
  free(p->copy), free(p->asked), free(p);
}

static void drop_call(captured_call *c) {
  for (int i = 0; i < c->n; i++) drop_snapshot(&c->at[i]);
  free(c->at);
}

static void drop_graph(graph *g) {
  for (int i = 0; i < g->n; i++) drop_call(&g->call[i]);
  free(g->call), free(g->memory), free(g);
}

static void run_graph(ms_queue *q, graph *g, const uint64_t *block) {
  for (int i = 0; i < g->n && !q->faulted; i++) {
    captured_call *c = &g->call[i];
    for (int k = 0; k < c->n; k++) set_live(&c->at[k], block);
    run_call(q, c);
  }
}

/* Does it read memory? What does not is done after a fault, too: nothing that is wrong can come into it. */
static bool reads(const captured_call *c) {
  const ms_op *op = c->at[0].call.op;
  for (int i = 0; i < op->n_arg; i++)
    if (op->arg[i].is_tensor && op->arg[i].kind != MS_K_INOUT) return true;
  return false;
}

static void do_work(ms_queue *q, work *w) {
  switch (w->kind) {
  case WORK_CALL:
    if (!q->faulted || !reads(&w->call)) run_call(q, &w->call);
    drop_call(&w->call);
    break;
  case WORK_RELEASE: release_prepared(w->call.prepared); break;
  case WORK_COPY:
    if (!q->faulted) memcpy(w->to, w->from, w->bytes);
    break;
  case WORK_UPLOAD:
    memcpy(w->to, w->from, w->bytes);
    free((void *)w->from);
    break;
  case WORK_FREE: free(w->to); break;
  case WORK_REPLAY:
    run_graph(q, w->graph, w->block);
    free(w->block);
    break;
  case WORK_DROP: drop_graph(w->graph); break;
  }
}

static int drain(ms_queue *q) {
  for (int i = 0; i < q->n; i++) do_work(q, &q->work[i]);
  q->n = 0;
  return 0;
}

static work *push(ms_queue *q, work w) {
  if (q->n >= MOST_WAITING) drain(q);
  if (q->n == q->room) {
    const int room = q->room ? 2 * q->room : 256;
    work *p = realloc(q->work, (size_t)room * sizeof *p);
    if (!p) return no_memory(), NULL;
    q->work = p, q->room = room;
  }
  q->work[q->n] = w;
  return &q->work[q->n++];
}

/* ---- kernels ------------------------------------------------------------------------------------------------------------- */

static int prepare(ms_call *c) {
  prepared *p = c->prepared; /* of a chain: fuse made it */
  if (p) {
    ms_call *last = &p->copy[p->n - 1].call;
    if (p->kernel->prepare && p->kernel->prepare(last) < 0) return -1;
    c->work_bytes = last->work_bytes;
    for (int i = 0; i < p->n; i++) p->asked[i]->way = p->copy[i].call.way;
    return 0;
  }
  if (!(p = calloc(1, sizeof *p))) return no_memory();
  p->kernel = cpu()->kernel(c);
  const int rc = p->kernel->prepare ? p->kernel->prepare(c) : 0;
  p->inner = c->prepared;
  c->prepared = p;
  return rc;
}

static int run(ms_call *c) {
  prepared *p = c->prepared;
  ms_queue *q = c->queue;
  captured_call k = {.prepared = p, .n = p->n ? p->n : 1};
  if (!(k.at = calloc((size_t)k.n, sizeof *k.at))) return no_memory();
  for (int i = 0; i < k.n; i++)
    if (take_snapshot(&k.at[i], p->n ? p->asked[i] : c) < 0) return drop_call(&k), -1;
  if (!q->capturing) return push(q, (work){.kind = WORK_CALL, .call = k}) ? 0 : (drop_call(&k), -1);
  graph *g = q->capturing;
  if (g->n == g->room) {
    const int room = g->room ? 2 * g->room : 64;
    captured_call *more = realloc(g->call, (size_t)room * sizeof *more);
    if (!more) return drop_call(&k), no_memory();
    g->call = more, g->room = room;
  }
  g->call[g->n++] = k;
  return 0;
}

static void release(ms_call *c) {
  if (!c->prepared) return;
  if (!push(c->queue, (work){.kind = WORK_RELEASE, .call.prepared = c->prepared})) drain(c->queue), release_prepared(c->prepared);
  c->prepared = NULL;
}

static const ms_kernel lazy_kernel = {.prepare = prepare, .run = run, .release = release};

static const ms_kernel *kernel_lazy(const ms_call *c) { return cpu()->kernel(c) ? &lazy_kernel : NULL; }

static const ms_kernel *fuse_lazy(const ms_part *part, int n) {
  ms_part copied[MS_PARTS];
  prepared *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->copy = calloc((size_t)n, sizeof *p->copy), p->asked = calloc((size_t)n, sizeof *p->asked);
  for (int i = 0; p->copy && p->asked && i < n; i++) {
    if (take_snapshot(&p->copy[i], part[i].call) < 0) break;
    p->n = i + 1;
    p->asked[i] = part[i].call;
    copied[i] = part[i];
    copied[i].call = &p->copy[i].call;
  }
  if (p->n == n) p->kernel = cpu()->fuse(copied, n);
  if (p->kernel) return part[n - 1].call->prepared = p, &lazy_kernel;
  for (int i = 0; i < p->n; i++) drop_snapshot(&p->copy[i]);
  free(p->copy), free(p->asked), free(p);
  return NULL;
}

/* A call that a pass asks about says where it is to run, and how: a backend may go by either. */
static const ms_call *complete(const ms_call *c) {
  const ms_precision now = ms_get_precision();
  const bool offered = cpu()->precisions(c->queue) >> now & 1;
  if (c->queue < queues || c->queue >= queues + QUEUES || c->precision != (offered ? (int)now : MS_PRECISION_F32)) {
    fprintf(stderr, "lazy: asked about %s on no queue, or with another precision than is set\n", c->op->name);
    abort();
  }
  return c;
}

static bool fusible_lazy(const ms_call *c) { return cpu()->fusible(complete(c)); }
static bool heads_lazy(const ms_call *c) { return cpu()->heads(complete(c)); }
static double prefers_last_lazy(const ms_call *c, int k) { return cpu()->prefers_last(complete(c), k); }

static bool folds_lazy(const ms_call *c, double all, double fewer, double wider) {
  return cpu()->folds(complete(c), all, fewer, wider);
}

/* ---- memory, waits, steps ------------------------------------------------------------------------------------------------ */

static ms_queue *open_lazy(int index, char *description, size_t size) {
  if (index >= QUEUES) return ms_fail("no lazy:%d: there are %d lazy devices", index, QUEUES);
  if (!ms_device_get("cpu")) return NULL;
  snprintf(description, size, "the CPU's kernels, run when they are waited for");
  return &queues[index];
}

static void *alloc_lazy(ms_queue *q, size_t bytes) {
  const size_t size = (bytes + 63) / 64 * 64;
  void *p = aligned_alloc(64, size);
  if (!p) drain(q), p = aligned_alloc(64, size); /* what was freed comes back */
  return p ? memset(p, 0xff, size) : NULL;
}

static void free_lazy(ms_queue *q, void *p) {
  if (!push(q, (work){.kind = WORK_FREE, .to = p})) ms_error_clear(), drain(q), free(p);
}

static int upload_lazy(ms_queue *q, void *to, const void *host, size_t bytes) {
  void *copy = malloc(bytes ? bytes : 1);
  if (!copy) return no_memory();
  memcpy(copy, host, bytes);
  return push(q, (work){.kind = WORK_UPLOAD, .to = to, .from = copy, .bytes = bytes}) ? 0 : (free(copy), -1);
}

static int copy_lazy(ms_queue *q, void *to, const void *from, size_t bytes) {
  return push(q, (work){.kind = WORK_COPY, .to = to, .from = from, .bytes = bytes}) ? 0 : -1;
}

static int download_lazy(ms_queue *q, void *host, const void *from, size_t bytes) {
  drain(q);
  return memcpy(host, from, bytes), 0;
}

static bool fault_lazy(ms_queue *q, ms_fault *f) {
  if (!q->faulted) return false;
  *f = q->fault;
  q->faulted = false;
  return true;
}

static unsigned precisions_lazy(ms_queue *q) { return cpu()->precisions(q); }

static int capture_lazy(ms_queue *q) { return (q->capturing = calloc(1, sizeof(graph))) ? 0 : no_memory(); }

/* The furthest that a call of the graph reaches from the address in a word. */
static size_t reach_of(const graph *g, int live) {
  size_t most = 0;
  for (int i = 0; i < g->n; i++)
    for (int j = 0; j < g->call[i].n; j++) {
      const ms_call *c = &g->call[i].at[j].call;
      for (int k = 0; k < c->n_in + c->n_out; k++) {
        const ms_view *v = k < c->n_in ? &c->in[k] : &c->out[k - c->n_in];
        int64_t last = 0;
        if (v->live != live || (k < c->n_in && v->number) || !ms_view_numel(v)) continue;
        for (int d = 0; d < v->rank; d++) last += (v->shape[d] - 1) * v->stride[d];
        const size_t bytes = (size_t)(last + 1) * ms_dtype_size(v->dtype);
        if (bytes > most) most = bytes;
      }
    }
  return most;
}

/* What the contract says of a step's memory: a backend that copies it relies on it. */
static void *captured_lazy(ms_queue *q, const ms_io *io) {
  graph *g = q->capturing;
  q->capturing = NULL;
  if (!g) return ms_fail("lazy: captured without capture");
  for (int i = 0; i < io->n; i++)
    if (io->memory[i].bytes != reach_of(g, io->memory[i].live)) {
      drop_graph(g);
      return ms_fail("lazy: memory %d is of %zu bytes, which is not what the calls touch", i, io->memory[i].bytes);
    }
  if (!(g->memory = malloc((size_t)(io->n + 1) * sizeof *g->memory))) return drop_graph(g), ms_fail("lazy: out of memory");
  memcpy(g->memory, io->memory, (size_t)io->n * sizeof *g->memory), g->n_memory = io->n;
  return g;
}

/* Do addresses in one storage lie as far apart as was said when the step was captured? */
static bool memory_fits(const graph *g, const uint64_t *live) {
  for (int i = 0; i < g->n_memory; i++)
    for (int j = 0; j < i; j++) {
      const ms_io_memory *p = &g->memory[i], *o = &g->memory[j];
      if (p->storage == o->storage && live[p->live] - live[o->live] != p->offset - o->offset) return false;
    }
  return true;
}

static int replay_lazy(ms_queue *q, void *g, const uint64_t *live, int n) {
  if (!memory_fits(g, live)) return ms_fail("lazy: what lies in one storage has drifted apart"), -1;
  uint64_t *block = malloc((size_t)n * sizeof *block);
  if (!block) return no_memory();
  memcpy(block, live, (size_t)n * sizeof *block);
  return push(q, (work){.kind = WORK_REPLAY, .graph = g, .block = block}) ? 0 : (free(block), -1);
}

static void drop_lazy(ms_queue *q, void *g) {
  if (!push(q, (work){.kind = WORK_DROP, .graph = g})) ms_error_clear(), drain(q), drop_graph(g);
}

static const ms_backend lazy = {
    .abi = MS_ABI,
    .name = "lazy",
    .host_memory = false,
    .open = open_lazy,
    .alloc = alloc_lazy,
    .free = free_lazy,
    .upload = upload_lazy,
    .download = download_lazy,
    .copy = copy_lazy,
    .sync = drain,
    .fault = fault_lazy,
    .precisions = precisions_lazy,
    .kernel = kernel_lazy,
    .fusible = fusible_lazy,
    .heads = heads_lazy,
    .fuse = fuse_lazy,
    .prefers_last = prefers_last_lazy,
    .folds = folds_lazy,
    .capture = capture_lazy,
    .captured = captured_lazy,
    .replay = replay_lazy,
    .drop = drop_lazy,
};

const ms_backend *ms_backend_lazy(void) { return &lazy; }
