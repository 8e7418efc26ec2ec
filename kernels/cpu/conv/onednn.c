/* onednn.c -- the one file that knows oneDNN, and what differs between its C interfaces 2.x and 3.x: memory descriptors are
 * structures in 2.x and opaque pointers in 3.x; an operation descriptor goes before the primitive descriptor in 2.x only. The
 * library costs 2 ms to load, so it is opened by name at first use. */
#define _GNU_SOURCE
#include "onednn.h"
#include "mascon.h"
#include "team.h"
#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#if DNNL_VERSION_MAJOR >= 3
#define VERSION_FUNCTIONS(F)                                                                                                       \
  F(memory_desc_create_with_tag) F(memory_desc_destroy) F(memory_set_data_handle)                                                  \
  F(convolution_forward_primitive_desc_create) F(convolution_backward_data_primitive_desc_create)                                  \
  F(convolution_backward_weights_primitive_desc_create)
typedef const_dnnl_memory_desc_t md_ref;
typedef dnnl_memory_desc_t md;
#define REF(m) (m)
#else
#define VERSION_FUNCTIONS(F)                                                                                                       \
  F(memory_desc_init_by_tag) F(memory_set_data_handle_v2) F(primitive_desc_create) F(dilated_convolution_forward_desc_init)        \
  F(dilated_convolution_backward_data_desc_init) F(dilated_convolution_backward_weights_desc_init)
typedef const dnnl_memory_desc_t *md_ref;
typedef dnnl_memory_desc_t md;
#define REF(m) (&(m))
#endif
#define FUNCTIONS(F)                                                                                                               \
  F(engine_create) F(stream_create) F(stream_wait) F(primitive_attr_create) F(primitive_attr_set_scratchpad_mode)         \
  F(memory_desc_equal) F(memory_desc_get_size) F(memory_create) F(memory_destroy) F(primitive_desc_query_md)                       \
  F(primitive_desc_destroy) F(primitive_create) F(primitive_destroy) F(primitive_execute) F(reorder_primitive_desc_create)         \
  VERSION_FUNCTIONS(F)
/* clang-format on */

static struct {
#define F(name) __typeof__(&dnnl_##name) name;
  FUNCTIONS(F)
#undef F
} dnn;

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static dnnl_primitive_attr_t user_scratch;

/* Threads of oneDNN are OpenMP's. Its library reads how they shall wait when it is loaded, which is now, unless somebody has done
 * so before: after a thousand rounds, not 300,000, they leave their cores to ours. */
static void (*set_omp_threads)(int);
static int (*most_omp_threads)(void);
static int (*end_omp_threads)(int);

/* None is left behind for exit handlers and leak checkers to stumble over. */
static void at_exit(void) { end_omp_threads(2 /* omp_pause_hard */); }

static void *load(const char *name) {
  const bool ours = !getenv("OMP_WAIT_POLICY") && !getenv("GOMP_SPINCOUNT") && !setenv("GOMP_SPINCOUNT", "1000", 1);
  void *lib = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (ours) unsetenv("GOMP_SPINCOUNT");
  return lib;
}

static bool open_library(void) {
  char name[32];
  snprintf(name, sizeof name, "libdnnl.so.%d", DNNL_VERSION_MAJOR);
  void *lib = load(name);
  if (!lib) return false;
#define F(name)                                                                                                                    \
  if (!(*(void **)&dnn.name = dlsym(lib, "dnnl_" #name))) return false;
  FUNCTIONS(F)
#undef F
  *(void **)&set_omp_threads = dlsym(lib, "omp_set_num_threads"); /* of what it is linked to */
  *(void **)&most_omp_threads = dlsym(lib, "omp_get_max_threads");
  *(void **)&end_omp_threads = dlsym(lib, "omp_pause_resource_all");
  if (end_omp_threads) atexit(at_exit);
  return dnn.engine_create(&engine, dnnl_cpu, 0) == dnnl_success &&
         dnn.stream_create(&stream, engine, dnnl_stream_default_flags) == dnnl_success &&
         dnn.primitive_attr_create(&user_scratch) == dnnl_success &&
         dnn.primitive_attr_set_scratchpad_mode(user_scratch, dnnl_scratchpad_mode_user) == dnnl_success;
}

bool ms_dnn_ready(void) {
  static int state; /* 0 not tried, 1 ready, -1 not to be had */
  if (!state) state = open_library() ? 1 : -1;
  return state > 0;
}

/* Inside one of our blocks oneDNN uses the calling thread only; outside, n. Gives what was before. */
static int limit_threads(int n) {
  if (!set_omp_threads || !most_omp_threads) return n;
  const int was = most_omp_threads(), want = ms_in_team() ? 1 : n;
  if (was != want) set_omp_threads(want);
  return was;
}

/* ---- convolution ------------------------------------------------------------------------------------------------- */

enum { X, W, Y, ROLES };

/* One tensor: as the caller has it (row-major, or channels last) and as the primitive wants it. */
typedef struct side {
  md plain;
  md_ref inner; /* owned by the primitive descriptor */
  bool same;    /* no reorder needed */
  dnnl_primitive_desc_t reorder_pd;
  dnnl_primitive_t reorder;
  md_ref reorder_scratch;
  size_t inner_bytes, offset; /* in the room's work, or (W as input) in the shared part */
} side;

typedef struct caller {
  dnnl_memory_t plain[ROLES], inner[ROLES], bias, scratch, reorder_scratch[ROLES];
} caller;

typedef struct key { /* without padding, as ms_conv */
  ms_conv g;
  int threads, callers;
} key;

struct ms_dnn_conv {
  key key;
  int refs; /* users; the cache itself is none */
  bool cached;
  ms_dnn_conv *next;
  dnnl_primitive_desc_t pd;
  dnnl_primitive_t primitive;
  side side[ROLES];
  md bias;
  int result;
  md_ref scratch;
  size_t scratch_offset, room_bytes;
  caller *caller;
};

static bool make_md(md *m, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
#if DNNL_VERSION_MAJOR >= 3
  return dnn.memory_desc_create_with_tag(m, rank, dims, dnnl_f32, tag) == dnnl_success;
#else
  return dnn.memory_desc_init_by_tag(m, rank, dims, dnnl_f32, tag) == dnnl_success;
#endif
}
static void drop_md(md *m) {
#if DNNL_VERSION_MAJOR >= 3
  if (*m) dnn.memory_desc_destroy(*m);
  *m = NULL;
#else
  (void)m;
#endif
}

/* Primitive descriptor for descriptors m[X, W, Y] with free layout. The forward one is the hint that the other two want. */
static dnnl_primitive_desc_t make_pd(const ms_conv *g, int result, const md m[ROLES], const md *bias, dnnl_primitive_desc_t hint) {
  const dnnl_dims_t stride = {g->stride[0], g->stride[1]}, pad = {g->pad[0], g->pad[1]};
  const dnnl_dims_t dilation = {g->dilation[0] - 1, g->dilation[1] - 1};
  /* What is asked of the far edge: rows and columns that no window reaches count as negative padding. */
  const dnnl_dims_t far = {(g->oh - 1) * g->stride[0] + (g->kh - 1) * g->dilation[0] + 1 - g->h - g->pad[0],
                           (g->ow - 1) * g->stride[1] + (g->kw - 1) * g->dilation[1] + 1 - g->w - g->pad[1]};
  const dnnl_alg_kind_t alg = dnnl_convolution_direct;
  dnnl_primitive_desc_t pd = NULL;
#if DNNL_VERSION_MAJOR >= 3
  dnnl_status_t ok;
  if (result == MS_CONV_Y)
    ok = dnn.convolution_forward_primitive_desc_create(&pd, engine, dnnl_forward_training, alg, m[X], m[W], bias ? *bias : NULL,
                                                       m[Y], stride, dilation, pad, far, user_scratch);
  else if (result == MS_CONV_X)
    ok = dnn.convolution_backward_data_primitive_desc_create(&pd, engine, alg, m[X], m[W], m[Y], stride, dilation, pad, far, hint,
                                                             user_scratch);
  else
    ok = dnn.convolution_backward_weights_primitive_desc_create(&pd, engine, alg, m[X], m[W], NULL, m[Y], stride, dilation, pad,
                                                                far, hint, user_scratch);
#else
  dnnl_convolution_desc_t d;
  dnnl_status_t ok;
  if (result == MS_CONV_Y)
    ok = dnn.dilated_convolution_forward_desc_init(&d, dnnl_forward_training, alg, &m[X], &m[W], bias, &m[Y], stride, dilation, pad,
                                                   far);
  else if (result == MS_CONV_X)
    ok = dnn.dilated_convolution_backward_data_desc_init(&d, alg, &m[X], &m[W], &m[Y], stride, dilation, pad, far);
  else ok = dnn.dilated_convolution_backward_weights_desc_init(&d, alg, &m[X], &m[W], NULL, &m[Y], stride, dilation, pad, far);
  if (ok == dnnl_success) ok = dnn.primitive_desc_create(&pd, &d, user_scratch, engine, hint);
#endif
  return ok == dnnl_success ? pd : NULL;
}

static bool make_memory(dnnl_memory_t *m, md_ref d) { return dnn.memory_create(m, d, engine, DNNL_MEMORY_NONE) == dnnl_success; }

static bool point(dnnl_memory_t m, void *to) {
#if DNNL_VERSION_MAJOR >= 3
  return dnn.memory_set_data_handle(m, to) == dnnl_success;
#else
  return dnn.memory_set_data_handle_v2(m, to, stream) == dnnl_success;
#endif
}

static void destroy(ms_dnn_conv *p) {
  for (int l = 0; p->caller && l < p->key.callers; l++) {
    caller *a = &p->caller[l];
    for (int i = 0; i < ROLES; i++) {
      if (a->plain[i]) dnn.memory_destroy(a->plain[i]);
      if (a->inner[i]) dnn.memory_destroy(a->inner[i]);
      if (a->reorder_scratch[i]) dnn.memory_destroy(a->reorder_scratch[i]);
    }
    if (a->bias) dnn.memory_destroy(a->bias);
    if (a->scratch) dnn.memory_destroy(a->scratch);
  }
  free(p->caller);
  for (int i = 0; i < ROLES; i++) {
    if (p->side[i].reorder) dnn.primitive_destroy(p->side[i].reorder);
    if (p->side[i].reorder_pd) dnn.primitive_desc_destroy(p->side[i].reorder_pd);
    drop_md(&p->side[i].plain);
  }
  drop_md(&p->bias);
  if (p->primitive) dnn.primitive_destroy(p->primitive);
  if (p->pd) dnn.primitive_desc_destroy(p->pd);
  free(p);
}

static size_t md_bytes(md_ref m) { return m ? (dnn.memory_desc_get_size(m) + 63) / 64 * 64 : 0; }

static bool make_side(ms_dnn_conv *p, int i, dnnl_query_t query) {
  side *s = &p->side[i];
  bool shared = i == W && p->result != W;
  s->inner = dnn.primitive_desc_query_md(p->pd, query, 0);
  if (!s->inner) return false;
  s->same = dnn.memory_desc_equal(REF(s->plain), s->inner);
  if (s->same) return true;
  md_ref from = i == p->result ? s->inner : REF(s->plain), to = i == p->result ? REF(s->plain) : s->inner;
  if (dnn.reorder_primitive_desc_create(&s->reorder_pd, from, engine, to, engine, user_scratch) != dnnl_success ||
      dnn.primitive_create(&s->reorder, s->reorder_pd) != dnnl_success)
    return false;
  s->reorder_scratch = dnn.primitive_desc_query_md(s->reorder_pd, dnnl_query_scratchpad_md, 0);
  s->inner_bytes = md_bytes(s->inner);
  if (shared) return true;
  s->offset = p->room_bytes;
  p->room_bytes += s->inner_bytes;
  return true;
}

static bool build(ms_dnn_conv *p) {
  const ms_conv *g = &p->key.g;
  const dnnl_dims_t x = {g->n, g->c, g->h, g->w}, y = {g->n, g->o, g->oh, g->ow}, w = {g->o, g->c, g->kh, g->kw}, bias = {g->o};
  const dnnl_dims_t wg = {g->groups, g->o / g->groups, g->c / g->groups, g->kh, g->kw};
  const bool grouped = g->groups > 1;
  p->result = g->result == MS_CONV_Y ? Y : g->result == MS_CONV_X ? X : W;
  md any[ROLES];
  memset(any, 0, sizeof any);
  dnnl_primitive_desc_t hint = NULL;
  /* With an image that lies channels last, the convolution runs on such images; a planar one beside it is reordered. */
  const dnnl_format_tag_t inner = g->x_last || g->y_last ? dnnl_acdb : dnnl_format_tag_any;
  bool ok = make_md(&any[X], 4, x, inner) && make_md(&any[Y], 4, y, inner) &&
            make_md(&any[W], 4 + grouped, grouped ? wg : w, dnnl_format_tag_any) &&
            make_md(&p->side[X].plain, 4, x, g->x_last ? dnnl_acdb : dnnl_abcd) &&
            make_md(&p->side[Y].plain, 4, y, g->y_last ? dnnl_acdb : dnnl_abcd) &&
            make_md(&p->side[W].plain, 4 + grouped, grouped ? wg : w, grouped ? dnnl_abcde : dnnl_abcd) &&
            (!g->bias || make_md(&p->bias, 1, bias, dnnl_a));
  if (ok && g->result != MS_CONV_Y) ok = (hint = make_pd(g, MS_CONV_Y, any, NULL, NULL)) != NULL;
  if (ok) ok = (p->pd = make_pd(g, g->result, any, g->bias ? &p->bias : NULL, hint)) != NULL;
  if (hint) dnn.primitive_desc_destroy(hint);
  for (int i = 0; i < ROLES; i++) drop_md(&any[i]);
  if (!ok || dnn.primitive_create(&p->primitive, p->pd) != dnnl_success) return false;

  static const dnnl_query_t query[ROLES][2] = {{dnnl_query_src_md, dnnl_query_diff_src_md},
                                               {dnnl_query_weights_md, dnnl_query_diff_weights_md},
                                               {dnnl_query_dst_md, dnnl_query_diff_dst_md}};
  for (int i = 0; i < ROLES; i++) /* gradients: the result, and y wherever it is not the result */
    if (!make_side(p, i, query[i][p->result != Y && (i == Y || i == p->result)])) return false;
  p->scratch = dnn.primitive_desc_query_md(p->pd, dnnl_query_scratchpad_md, 0);
  p->scratch_offset = p->room_bytes;
  size_t scratch = md_bytes(p->scratch);
  for (int i = 0; i < ROLES; i++)
    if (md_bytes(p->side[i].reorder_scratch) > scratch) scratch = md_bytes(p->side[i].reorder_scratch);
  p->room_bytes += scratch;

  if (!(p->caller = calloc((size_t)p->key.callers, sizeof *p->caller))) return false;
  for (int l = 0; l < p->key.callers; l++) {
    caller *a = &p->caller[l];
    for (int i = 0; i < ROLES; i++) {
      const side *s = &p->side[i];
      if (!make_memory(&a->plain[i], REF(s->plain)) || (!s->same && !make_memory(&a->inner[i], s->inner)) ||
          (md_bytes(s->reorder_scratch) && !make_memory(&a->reorder_scratch[i], s->reorder_scratch)))
        return false;
    }
    if ((g->bias && !make_memory(&a->bias, REF(p->bias))) || (md_bytes(p->scratch) && !make_memory(&a->scratch, p->scratch)))
      return false;
  }
  return true;
}

enum { CACHE = 256 };
static ms_dnn_conv *cache; /* newest use first */

ms_dnn_conv *ms_dnn_conv_get(const ms_conv *g, int threads, int callers) {
  if (!ms_dnn_ready()) return NULL;
  const key k = {.g = *g, .threads = threads, .callers = callers};
  _Static_assert(sizeof k == 16 * sizeof(int64_t) + 8 * sizeof(int), "keys are compared as bytes: no padding");
  int n = 0;
  for (ms_dnn_conv **at = &cache, *p; (p = *at); at = &p->next, n++) {
    if (memcmp(&p->key, &k, sizeof k) != 0) {
      if (n == CACHE - 1 && p->next) { /* full: the one used longest ago goes when its last user does */
        ms_dnn_conv *old = p->next;
        p->next = old->next, old->cached = false;
        if (!old->refs) destroy(old);
      }
      continue;
    }
    *at = p->next, p->next = cache, cache = p;
    p->refs++;
    return p;
  }
  ms_dnn_conv *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->key = k;
  int was = limit_threads(threads);
  bool ok = build(p);
  limit_threads(was);
  if (!ok) return destroy(p), NULL;
  p->refs = 1, p->cached = true;
  p->next = cache, cache = p;
  return p;
}

void ms_dnn_conv_release(ms_dnn_conv *p) {
  if (p && --p->refs == 0 && !p->cached) destroy(p);
}

size_t ms_dnn_conv_shared_bytes(const ms_dnn_conv *p) { return p->result == W ? 0 : p->side[W].inner_bytes; }
size_t ms_dnn_conv_room_bytes(const ms_dnn_conv *p) { return p->room_bytes; }

static bool reorder(ms_dnn_conv *p, caller *a, int i, void *scratch) {
  bool out = i == p->result;
  dnnl_exec_arg_t arg[3] = {{DNNL_ARG_FROM, out ? a->inner[i] : a->plain[i]}, {DNNL_ARG_TO, out ? a->plain[i] : a->inner[i]}};
  int n = 2;
  if (a->reorder_scratch[i]) {
    if (!point(a->reorder_scratch[i], scratch)) return false;
    arg[n++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, a->reorder_scratch[i]};
  }
  return dnn.primitive_execute(p->side[i].reorder, stream, n, arg) == dnnl_success;
}

/* The scratch of the weights' reorder, if it wants any, is allocated: it stands outside their rooms, and no CPU reorder of f32
 * wants any. */
bool ms_dnn_conv_begin(ms_dnn_conv *p, float *w, void *shared) {
  if (p->result == W) return true;
  for (int l = 0; l < p->key.callers; l++)
    if (!point(p->caller[l].plain[W], w) || (!p->side[W].same && !point(p->caller[l].inner[W], shared))) return false;
  if (p->side[W].same) return true;
  size_t bytes = md_bytes(p->side[W].reorder_scratch);
  void *scratch = bytes ? aligned_alloc(64, bytes) : NULL;
  int was = limit_threads(p->key.threads);
  bool ok = (!bytes || scratch) && reorder(p, &p->caller[0], W, scratch);
  limit_threads(was);
  free(scratch);
  return ok;
}

bool ms_dnn_conv_run(ms_dnn_conv *p, int l, float *x, float *w, float *y, float *bias, void *work) {
  static const int name[ROLES][2] = {
      {DNNL_ARG_SRC, DNNL_ARG_DIFF_SRC}, {DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_WEIGHTS}, {DNNL_ARG_DST, DNNL_ARG_DIFF_DST}};
  caller *a = &p->caller[l];
  float *user[ROLES] = {x, w, y};
  char *room = work, *scratch = room + p->scratch_offset;
  dnnl_exec_arg_t arg[ROLES + 2];
  int n = 0, was = limit_threads(p->key.threads);
  bool ok = true;
  for (int i = 0; i < ROLES && ok; i++) {
    const side *s = &p->side[i];
    if (i != W || p->result == W) {
      ok = point(a->plain[i], user[i]) && (s->same || point(a->inner[i], room + s->offset));
      if (ok && !s->same && i != p->result) ok = reorder(p, a, i, scratch);
    }
    arg[n++] = (dnnl_exec_arg_t){name[i][p->result != Y && (i == Y || i == p->result)], s->same ? a->plain[i] : a->inner[i]};
  }
  if (ok && a->bias) {
    ok = point(a->bias, bias);
    arg[n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, a->bias};
  }
  if (ok && a->scratch) {
    ok = point(a->scratch, scratch);
    arg[n++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, a->scratch};
  }
  if (ok) ok = dnn.primitive_execute(p->primitive, stream, n, arg) == dnnl_success;
  if (ok && !p->side[p->result].same) ok = reorder(p, a, p->result, scratch);
  if (ok && !ms_in_team()) ok = dnn.stream_wait(stream) == dnnl_success;
  limit_threads(was);
  return ok;
}
