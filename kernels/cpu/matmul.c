/* matmul.c -- batches of matrix products. The work is cut into tiles by a rule that looks at sizes only, one thread computes a
 * tile, and where a long inner dimension is cut into parts their sums are added in order: the bits do not depend on the number of
 * threads. A large single product packs its right operand once, all threads together; else every tile packs what it needs. */
#include "amx.h"
#include "cpu.h"
#include "matmul_bf16.h"
#include "tile.h"
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define T    float
#define G(x) x##_f32
#include "gemm.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "gemm.h"
#undef T
#undef G

/* TILE_WORK: multiply-adds that are worth a tile of its own. SMALL_COST: where packing (0.3 us) overtakes the small loop, whose
 * cost goes with m k (n + 16). SHARED_PACK: elements of the right operand that are packed before they are used, about half a
 * second-level cache; SHARED_WIDE: most columns of them, where rows are long. WIDE: from that many columns on nothing is shared.
 * AMX_WORK, AMX_LEAST: multiply-adds and the least size from which on rounding the operands pays. */
enum {
  AMX_WORK = 1 << 18,
  AMX_LEAST = 8,
  TILE_WORK = 1 << 19,
  SMALL_COST = 1 << 12,
  SHARED_PACK = 1 << 17,
  SHARED_WIDE = 320,
  WIDE = 512
};

/* An operand: element (b, i, j) is data[offset(b) + i * r + j * c]. */
typedef struct side {
  const char *data;
  int64_t r, c;
  int n_batch;
  int64_t size[MS_MAX_RANK], stride[MS_MAX_RANK]; /* of the batch dimensions, those of the result; stride 0 where broadcast */
  int64_t copies;                                 /* matrices that differ */
} side;

typedef struct plan {
  int64_t m, n, k, batch;
  side a, b;
  int64_t tiles_m, tiles_n, parts; /* parts of k */
  bool small, bf16, amx, shared;   /* by a loop without packing; operands rounded; on AMX; packed by all threads together */
  int team;                        /* threads that there is room for */
  int64_t room_each;               /* elements of room a thread */
  int64_t depth, width;            /* shared: of the block of B that is packed at a time */
  size_t partial, room, packed;    /* places in the workspace, in bytes; room: the pack buffers, one a thread */
  size_t bytes;
} plan;

static size_t place(plan *p, int64_t elements, size_t size) {
  size_t at = p->bytes;
  p->bytes += ((size_t)elements * size + 63) / 64 * 64;
  return at;
}

static void set_side(side *s, const ms_view *v, const ms_view *out, bool transposed) {
  s->data = v->data;
  s->r = v->stride[v->rank - 2 + transposed], s->c = v->stride[v->rank - 1 - transposed];
  s->n_batch = out->rank - 2;
  s->copies = 1;
  for (int i = 0; i < s->n_batch; i++) {
    int k = i - (out->rank - v->rank);
    s->size[i] = out->shape[i];
    s->stride[i] = k < 0 || v->shape[k] == 1 ? 0 : v->stride[k];
    if (s->stride[i]) s->copies *= s->size[i];
  }
}

/* A batch of left matrices, one below the other, times one right matrix is one product. */
static void fold(plan *p) {
  side *a = &p->a;
  if (p->batch == 1 || p->b.copies != 1 || a->copies != p->batch) return;
  int64_t n = 1;
  for (int i = a->n_batch - 1; i >= 0; i--) {
    if (a->size[i] == 1) continue;
    if (a->stride[i] != a->r * p->m * n) return;
    n *= a->size[i];
  }
  p->m *= p->batch, p->batch = 1;
  a->n_batch = p->b.n_batch = 0;
  a->copies = 1;
}

/* Halve the longer side of the tiles (in units of the least sides) until there are enough of them, or they are small. */
static void divide(plan *p, int64_t enough, int64_t least_m, int64_t least_n) {
  while (p->tiles_m * p->tiles_n * p->batch < enough && p->m * p->n * p->k / (p->tiles_m * p->tiles_n) >= 2 * TILE_WORK) {
    int64_t m = p->m / p->tiles_m, n = p->n / p->tiles_n;
    bool can_m = m >= 2 * least_m, can_n = n >= 2 * least_n;
    if (can_n && (!can_m || n * least_m >= m * least_n)) p->tiles_n *= 2;
    else if (can_m) p->tiles_m *= 2;
    else return;
  }
}

/* A wide product is cut into columns only: every tile packs its own, nothing is packed twice, and nobody waits for anybody. */
static void cut(plan *p) {
  if (p->batch == 1 && p->m > TILE_ROWS && p->n >= WIDE) {
    p->shared = false, p->parts = 1;
    p->tiles_m = over(p->m, 2048), p->tiles_n = p->n / (p->n < 4 * WIDE ? 64 : 128);
    return;
  }
  p->tiles_m = over(p->m, 256), p->tiles_n = over(p->n, 256), p->parts = 1;
  divide(p, 16, 28, 64);
  int64_t tiles = p->tiles_m * p->tiles_n * p->batch;
  if (tiles >= 8 || p->shared) return;
  while (p->parts < ms_tasks() && p->k / p->parts >= 2048 && tiles * p->parts < ms_tasks() &&
         p->m * p->n * p->parts * p->batch < (1 << 20))
    p->parts *= 2;
}

static int team_of(const plan *p) {
  const int64_t tiles = p->batch * p->tiles_m * p->tiles_n * p->parts;
  return (int)least(ms_team(p->batch * p->m * p->n * p->k / 8), p->shared ? INT32_MAX : tiles);
}

/* Room for every thread: what gemm.h wants for the whole is enough for a tile. A product with one column is turned there. */
static void make_room(plan *p, size_t size) {
  const left_f32 lf = left_of_f32(NULL, p->a.r, p->a.c, p->m, p->n);
  const left_f64 ld = left_of_f64(NULL, p->a.r, p->a.c, p->m, p->n);
  p->room_each = size == sizeof(float) ? room_rows_f32(&lf, p->m, p->k) : room_rows_f64(&ld, p->m, p->k);
  if (!p->shared) p->room_each += room_block_f32(p->n == 1 ? p->m : p->n, p->k) + (p->n == 1 ? GEMM_KC : 0);
  p->room_each = (p->room_each + 15) / 16 * 16;
  p->team = team_of(p);
  p->room = place(p, p->team * p->room_each, size);
}

static void make_plan(const ms_call *c, plan *p) {
  const ms_view *a = &c->in[0], *b = &c->in[1], *out = &c->out[0];
  bool ta = c->attr[0].i != 0, tb = c->attr[1].i != 0;
  size_t size = ms_dtype_size(out->dtype);
  p->m = out->shape[out->rank - 2], p->n = out->shape[out->rank - 1], p->k = a->shape[a->rank - 1 - ta];
  p->batch = 1, p->bytes = 0;
  for (int i = 0; i < out->rank - 2; i++) p->batch *= out->shape[i];
  p->tiles_m = p->tiles_n = p->parts = 1;
  p->small = true, p->shared = p->bf16 = p->amx = false;
  if (!p->m || !p->n || !p->batch || !p->k) return;
  set_side(&p->a, a, out, ta);
  set_side(&p->b, b, out, tb);
  fold(p);
  p->small = p->m <= SMALL_COST && p->k <= SMALL_COST && p->n <= SMALL_COST && p->m * p->k * (p->n + 16) <= SMALL_COST;
  if (p->small) return;
  p->shared = p->batch == 1 && p->m > TILE_ROWS && p->n > 16 && p->m * p->n * p->k >= 2 * TILE_WORK;
  const bool rounds = p->batch == 1 && out->dtype == MS_F32 && ms_get_precision() == MS_PRECISION_BF16;
  p->amx = rounds && MS_NAME(ms_amx_ready)() && p->m >= AMX_LEAST && p->n >= AMX_LEAST && p->k >= AMX_LEAST &&
           p->m * p->n * p->k >= AMX_WORK;
  p->bf16 = rounds && !p->amx && p->shared && MS_NAME(ms_bf16_ready)();
  if (p->amx || p->bf16) {
    p->team = ms_threads();
    p->bytes = p->amx ? MS_NAME(ms_amx_bytes)(p->m, p->n, p->k, p->team) : MS_NAME(ms_bf16_bytes)(p->m, p->n, p->k);
    return;
  }
  cut(p);
  p->partial = p->parts > 1 ? place(p, p->parts * p->batch * p->m * p->n, size) : 0;
  make_room(p, size);
  if (!p->shared) return;
  const int64_t flat = SHARED_PACK / least(p->k, GEMM_KC) / 64 * 64; /* a shallow block may be wide, a narrow one deep */
  p->width = least((p->n + 15) / 16 * 16, flat < SHARED_WIDE ? SHARED_WIDE : flat);
  p->depth = SHARED_PACK / p->width / GEMM_KC * GEMM_KC;
  p->depth = least(p->k, p->depth < GEMM_KC ? GEMM_KC : p->depth);
  p->packed = place(p, p->depth * p->width, size);
}

static int64_t batch_offset(const side *s, int64_t b) {
  int64_t at = 0;
  for (int i = s->n_batch - 1; i >= 0 && b; i--) {
    at += b % s->size[i] * s->stride[i];
    b /= s->size[i];
  }
  return at;
}

/* Where tile i of `tiles` begins along n elements: near-equal pieces, multiples of 16. */
static int64_t edge(int64_t n, int64_t tiles, int64_t i) {
  if (i == tiles) return n;
  int64_t at = (n * i / tiles + 8) / 16 * 16;
  return at < n ? at : n;
}

static void one_tile(const plan *p, int64_t index, void *out, void *room, bool is_f32) {
  int64_t part = index % p->parts, j = index / p->parts % p->tiles_n, i = index / p->parts / p->tiles_n % p->tiles_m;
  int64_t b = index / p->parts / p->tiles_n / p->tiles_m;
  int64_t m0 = edge(p->m, p->tiles_m, i), n0 = edge(p->n, p->tiles_n, j), k0 = edge(p->k, p->parts, part);
  int64_t m = edge(p->m, p->tiles_m, i + 1) - m0, n = edge(p->n, p->tiles_n, j + 1) - n0, k = edge(p->k, p->parts, part + 1) - k0;
  if (m <= 0 || n <= 0) return;
  int64_t at_a = batch_offset(&p->a, b) + m0 * p->a.r + k0 * p->a.c, at_b = batch_offset(&p->b, b) + k0 * p->b.r + n0 * p->b.c;
  int64_t at_c = ((part * p->batch + b) * p->m + m0) * p->n + n0;
  if (is_f32) {
    const float *fa = (const float *)p->a.data + at_a, *fb = (const float *)p->b.data + at_b;
    float *fc = (float *)out + at_c;
    if (p->small) small_gemm_f32(m, n, k, fa, p->a.r, p->a.c, fb, p->b.r, p->b.c, fc, p->n);
    else gemm_f32(false, m, n, k, fa, p->a.r, p->a.c, fb, p->b.r, p->b.c, fc, p->n, room);
  } else {
    const double *da = (const double *)p->a.data + at_a, *db = (const double *)p->b.data + at_b;
    double *dc = (double *)out + at_c;
    if (p->small) small_gemm_f64(m, n, k, da, p->a.r, p->a.c, db, p->b.r, p->b.c, dc, p->n);
    else gemm_f64(false, m, n, k, da, p->a.r, p->a.c, db, p->b.r, p->b.c, dc, p->n, room);
  }
}

/* One product, its right operand packed a block (depth x width) at a time by all threads, and then used by all. A block lies as
 * pieces of at most GEMM_KC rows, each as panels. */
#define SHARED(T, G)                                                                                                               \
  static void shared_##G(const plan *p, char *out, char *work, int team) {                                                         \
    const T *a = (const T *)p->a.data, *b = (const T *)p->b.data;                                                                  \
    T *packed = (T *)(work + p->packed), *c = (T *)out;                                                                            \
    const left_##G l = left_of_##G(a, p->a.r, p->a.c, p->m, p->n);                                                                 \
    _Pragma("omp parallel num_threads(team) if (team > 1)") {                                                                      \
      T *room = (T *)(work + p->room) + (size_t)omp_get_thread_num() * p->room_each;                                               \
      for (int64_t k0 = 0; k0 < p->k; k0 += p->depth)                                                                              \
        for (int64_t n0 = 0; n0 < p->n; n0 += p->width) {                                                                          \
          const int64_t depth = least(p->depth, p->k - k0), width = least(p->width, p->n - n0), padded = (width + 15) / 16 * 16;   \
          const int64_t pieces = (depth + GEMM_KC - 1) / GEMM_KC, groups = (width + 63) / 64;                                      \
          const int64_t tiles_m = p->tiles_m, tiles_n = least(p->tiles_n, groups);                                                 \
          /* rows that lie side by side are read whole, as memory likes it; else 64 columns at a time */                           \
          const bool rows = p->b.c == 1;                                                                                           \
          const int64_t each = rows ? (depth + pieces * 16 - 1) / (pieces * 16) : groups;                                          \
          _Pragma("omp for schedule(static)") for (int64_t t = 0; t < pieces * each; t++) {                                        \
            const int64_t q = depth * (t / each) / pieces, kc = depth * (t / each + 1) / pieces - q;                               \
            const int64_t r = rows ? kc * (t % each) / each : 0, r1 = rows ? kc * (t % each + 1) / each : kc;                      \
            const int64_t j = rows ? 0 : t % each * 64;                                                                            \
            pack_##G(rows ? width : least(64, width - j), r1 - r, r, kc, b + (k0 + q + r) * p->b.r + (n0 + j) * p->b.c, p->b.r,    \
                     p->b.c, packed + q * padded + j * kc);                                                                        \
          }                                                                                                                        \
          _Pragma("omp for schedule(dynamic)") for (int64_t t = 0; t < tiles_m * tiles_n; t++) {                                   \
            const int64_t i = p->m * (t / tiles_n) / tiles_m, i1 = p->m * (t / tiles_n + 1) / tiles_m;                             \
            const int64_t j = groups * (t % tiles_n) / tiles_n * 64, j1 = least(width, groups * (t % tiles_n + 1) / tiles_n * 64); \
            for (int64_t x = 0; x < pieces; x++) {                                                                                 \
              const int64_t q = depth * x / pieces, kc = depth * (x + 1) / pieces - q;                                             \
              for (int64_t y = j; y < j1; y += GEMM_NC)                                                                            \
                multiply_##G(k0 || x, i, i1, least(GEMM_NC, j1 - y), k0 + q, kc, &l, packed + q * padded + y * kc, false, 0,       \
                             c + i * p->n + n0 + y, p->n, room);                                                                   \
            }                                                                                                                      \
          }                                                                                                                        \
        }                                                                                                                          \
    }                                                                                                                              \
  }
SHARED(float, f32)
SHARED(double, f64)

#define ADD_PARTS(T)                                                                                                               \
  for (int64_t e = 0; e < n; e++) {                                                                                                \
    T sum = ((const T *)from)[e];                                                                                                  \
    for (int64_t part = 1; part < p->parts; part++) sum += ((const T *)from)[part * n + e];                                        \
    ((T *)to)[e] = sum;                                                                                                            \
  }
static void add_parts(const plan *p, const void *from, void *to, bool is_f32) {
  int64_t n = p->batch * p->m * p->n;
  if (is_f32) {
    ADD_PARTS(float)
  } else {
    ADD_PARTS(double)
  }
}

/* The plan is made once: threads, precision and the like may be others when the call runs. A small product wants none. */
static int prepare(ms_call *c) {
  plan p;
  make_plan(c, &p);
  c->work_bytes = p.bytes;
  if (p.small) return 0;
  if (!(c->slot = malloc(sizeof p))) return ms_fail("matmul: out of memory"), -1;
  memcpy(c->slot, &p, sizeof p);
  return 0;
}

static void release(ms_call *c) {
  free(c->slot);
  c->slot = NULL;
}

static int run(ms_call *c) {
  plan p;
  if (c->slot) p = *(const plan *)c->slot, p.a.data = c->in[0].data, p.b.data = c->in[1].data;
  else make_plan(c, &p);
  bool is_f32 = c->out[0].dtype == MS_F32;
  char *work = c->work, *out = c->out[0].data;
  size_t size = ms_dtype_size(c->out[0].dtype);
  if (!p.m || !p.n || !p.batch) return 0;
  if (!p.k) return memset(out, 0, (size_t)(p.batch * p.m * p.n) * size), 0;

  int64_t tiles = p.batch * p.tiles_m * p.tiles_n * p.parts, total = p.batch * p.m * p.n * p.k;
  int team = p.small ? 1 : (int)least(team_of(&p), p.team);
  if (p.amx || p.bf16) {
    /* on AMX the products are nearly free: it is the operands that count */
    if (p.amx) team = (int)least(p.team, ms_team(total / 64 + (p.m * p.k + p.k * p.n) / 4));
    (p.amx ? MS_NAME(ms_amx_matmul) : MS_NAME(ms_bf16_matmul))(p.m, p.n, p.k, (const float *)p.a.data, p.a.r, p.a.c,
                                                               (const float *)p.b.data, p.b.r, p.b.c, (float *)out, work, team);
    return 0;
  }
  if (p.shared) {
    if (is_f32) shared_f32(&p, out, work, team);
    else shared_f64(&p, out, work, team);
    return 0;
  }
  void *to = p.parts > 1 ? (void *)(work + p.partial) : out;
  int64_t step = TILE_WORK / (total / tiles + 1) + 1; /* tiles a thread takes at once */
  if (team == 1)
    for (int64_t i = 0; i < tiles; i++) one_tile(&p, i, to, p.small ? NULL : work + p.room, is_f32);
  else
#pragma omp parallel for num_threads(team) schedule(dynamic, step)
    for (int64_t i = 0; i < tiles; i++)
      one_tile(&p, i, to, p.small ? NULL : work + p.room + (size_t)omp_get_thread_num() * (size_t)p.room_each * size, is_f32);
  if (p.parts > 1) add_parts(&p, to, out, is_f32);
  return 0;
}
MS_KERNEL(matmul, .prepare = prepare, .run = run, .release = release, .supports = f32_or_f64);
