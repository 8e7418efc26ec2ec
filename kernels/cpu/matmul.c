/* matmul.c -- batches of matrix products. One thread computes a tile, and packs what it needs for it; an element's sum is the same
 * however the result is cut into tiles. A long inner dimension is cut into parts by a rule that looks at sizes only, and their sums
 * are added in order. So the bits do not depend on the number of threads. */
#include "amx.h"
#include "cpu.h"
#include "matmul_bf16.h"
#include "tile.h"
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

/* TILE_WORK: multiply-adds that are worth a tile of its own. TEAM_WORK: those that count as one simple operation when threads are
 * dealt out: to wake one for less than 10 us of work does not pay. SMALL_COST: where packing (0.3 us) overtakes the small loop,
 * whose cost goes with m k (n + 16). TURN_ROWS, TURN_DEEP: see turn. PART_DEEP: the least depth of a part of k, PART_SIDE the most
 * elements of a result that is added up from parts; HALF_DEEP, HALF_SIDE: the same for two halves where the largest matrix lies
 * along k, which saves reading half of it from another thread's cache. AFTER_TILE, AFTER_ROW: elements of a tile, and of a part of
 * a row, that are worth going on with. PANEL: columns that are computed at a time, where tiles end. STRIPS, STRIP_WORK: of a tile
 * at most; multiply-adds that are worth one. STRIP_ROWS: what packing the right operand anew is small against. KEEP: elements of it
 * that may stay packed. AMX_WORK, AMX_LEAST: multiply-adds and the least size from which on rounding the operands pays. */
enum {
  TILE_WORK = 1 << 18,
  TEAM_WORK = 16,
  SMALL_COST = 1 << 12,
  TURN_ROWS = 128,
  TURN_DEEP = 512,
  PART_DEEP = 1024,
  PART_SIDE = 1 << 16,
  HALF_DEEP = 512,
  HALF_SIDE = 1 << 14,
  AFTER_TILE = 2048,
  AFTER_ROW = 256,
  PANEL = 32,
  STRIPS = 8,
  STRIP_WORK = 1 << 20,
  STRIP_ROWS = 40,
  KEEP = 1 << 18,
  AMX_WORK = 1 << 18,
  AMX_LEAST = 8
};

/* Cycles that an element costs which is packed; and one that another thread has written (measured on an Emerald Rapids). */
static const double PACKED = 0.6, FOREIGN = 0.7;

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
  int64_t tiles_m, tiles_n, parts; /* of m, n and k */
  int64_t strips_m, strips_n;      /* of a tile: what a thread that is done takes over from another; one of them is 1 */
  bool keep;                       /* a thread's strips have one packed right operand */
  bool small, bf16, amx, dots;     /* by a loop without packing; operands rounded; on AMX; by rows with rows */
  bool turned;                     /* a, b and m, n are exchanged: what is computed is the transposed result */
  int64_t deep;                    /* pieces of k */
  int team;                        /* threads that there is room for */
  int64_t room_each;               /* elements of room a thread */
  size_t partial, room;            /* places in the workspace, in bytes; room: one a thread */
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

/* Rows with rows where the left ones are few: the right operand would be packed, by transposes, for little work. So the left one
 * is, and the result, turned, is turned back. A column is computed as a row. */
static void turn(plan *p) {
  const bool column = p->n == 1 && p->m > 1;
  const bool few = p->batch == 1 && p->a.c == 1 && p->b.r == 1 && p->m <= TURN_ROWS && p->n >= p->m && p->m > GEMM_DOTS;
  if (!column && !(few && p->k >= TURN_DEEP / 2)) return;
  const side a = p->a;
  const int64_t m = p->m;
  p->a = p->b, p->a.r = p->b.c, p->a.c = p->b.r;
  p->b = a, p->b.r = a.c, p->b.c = a.r;
  p->m = p->n, p->n = m;
  p->turned = true;
  if (!column) p->deep = TURN_DEEP;
}

/* The largest of the three matrices, which is a weight or its gradient most often: which dimension of the product counts its rows,
 * as they lie in memory, and which its columns. If each thread gets rows of it, it meets the same ones in products forth and back
 * and in the update, which is cut by rows too. */
typedef enum axis { AXIS_M, AXIS_N, AXIS_K } axis;
typedef struct largest {
  axis rows, columns;
  double size;
} largest;

static largest largest_of(const plan *p) {
  const double a = (double)p->m * (double)p->k, b = (double)p->k * (double)p->n, c = (double)p->m * (double)p->n;
  if (c >= a && c >= b) return p->turned ? (largest){AXIS_N, AXIS_M, c} : (largest){AXIS_M, AXIS_N, c};
  if (a >= b) return p->a.c == 1 ? (largest){AXIS_M, AXIS_K, a} : (largest){AXIS_K, AXIS_M, a};
  return p->b.c == 1 ? (largest){AXIS_K, AXIS_N, b} : (largest){AXIS_N, AXIS_K, b};
}

/* About the cycles that one of tiles_m x tiles_n tiles takes: products, packing, and reading what another thread has written of
 * the largest matrix. */
static double tile_cost(const plan *p, const largest *l, int64_t tiles_m, int64_t tiles_n) {
  const double rows = (double)div_up(p->m, tiles_m), cols = (double)round_up(div_up(p->n, tiles_n), 16);
  const double pieces[] = {[AXIS_M] = (double)tiles_m, [AXIS_N] = (double)tiles_n, [AXIS_K] = (double)p->parts};
  const double all = (double)(tiles_m * tiles_n * p->parts), here = l->size / pieces[l->rows] / pieces[l->columns];
  return (double)p->k / (double)p->parts * (rows * cols / 32 + PACKED * cols + 0.1 * rows) +
         FOREIGN * here * (1 - pieces[l->rows] / all);
}

/* A tile for each thread would end when the slowest core does. A tile is done in strips: of GEMM_NC columns and more, since the
 * right operand is packed in such pieces anyhow; or of rows. */
static void cut_strips(plan *p, int threads) {
  const int64_t m = p->m / p->tiles_m, n = p->n / p->tiles_n, want = min_i64(STRIPS, m * n * (p->k / p->parts) / STRIP_WORK);
  const int64_t tiles = p->batch * p->tiles_m * p->tiles_n * p->parts;
  p->strips_m = p->strips_n = 1, p->keep = false;
  if (threads == 1 || tiles == 1 || tiles >= 4 * threads || p->dots || want < 2) return;
  if (n >= 2 * GEMM_NC) p->strips_n = min_i64(want, n / GEMM_NC);
  else if (p->parts == 1 && round_up(div_up(p->n, p->tiles_n) + PANEL, 16) * p->k <= KEEP && m >= 2 * STRIP_ROWS) {
    p->strips_m = min_i64(want, m / STRIP_ROWS), p->keep = true;
    if (p->turned && m >= AFTER_ROW)
      p->strips_m = min_i64(p->strips_m, m / AFTER_ROW); /* rows of the result, for what comes after */
  }
}

/* A tile for each thread, and each packs for itself: what one thread has written another one is slow to read. k is cut into parts
 * by a rule on sizes and layouts, since bits depend on it. */
static void cut(plan *p, int threads) {
  const int64_t work = p->m * p->n * p->k;
  const largest large = largest_of(p);
  const bool long_sums = p->batch == 1 && !p->dots && p->m * p->n <= PART_SIDE && p->k >= 2 * PART_DEEP;
  while (long_sums && p->parts < ms_tasks() && p->k / p->parts >= PART_DEEP) p->parts *= 2;
  if (p->parts == 1 && p->batch == 1 && !p->dots && ms_tasks() > 1 && large.rows == AXIS_K && p->k >= HALF_DEEP &&
      p->m * p->n <= HALF_SIDE)
    p->parts = 2;
  int64_t want = min_i64(threads, work * p->batch / TILE_WORK);
  want = div_up(want, p->batch * p->parts);
  double best = 0;
  for (int64_t m = 1; m <= want; m++) {
    const int64_t n = div_up(want, m);
    if ((m > 1 && p->m / m < 4) || (n > 1 && p->n / n < PANEL)) continue;
    const double cost = tile_cost(p, &large, m, n);
    if (best == 0 || cost < best) best = cost, p->tiles_m = m, p->tiles_n = n;
  }
  cut_strips(p, threads);
}

/* Where tile i of `tiles` begins along n elements: near-equal pieces, multiples of `unit`. */
static int64_t edge(int64_t n, int64_t tiles, int64_t i, int64_t unit) {
  return i == tiles ? n : min_i64((n * i / tiles + unit / 2) / unit * unit, n);
}

/* The same in whole blocks of GEMM_NC, the last one less. */
static int64_t block_edge(int64_t n, int64_t strips, int64_t i) { return min_i64(div_up(n, GEMM_NC) * i / strips * GEMM_NC, n); }

static int team_of(const plan *p) {
  return (int)min_i64(ms_team(p->batch * p->m * p->n * p->k / TEAM_WORK), p->batch * p->tiles_m * p->tiles_n * p->parts);
}

/* Room for every thread: what gemm.h wants for the whole is enough for a tile; and a turned tile. */
static void make_room(plan *p, size_t size) {
  const left_f32 lf = left_of_f32(NULL, p->a.r, p->a.c, p->m, p->n);
  const left_f64 ld = left_of_f64(NULL, p->a.r, p->a.c, p->m, p->n);
  p->room_each = size == sizeof(float) ? room_rows_f32(&lf, p->k, p->deep) : room_rows_f64(&ld, p->k, p->deep);
  p->room_each += p->keep ? round_up(div_up(p->n, p->tiles_n) + PANEL, 16) * p->k : room_block_f32(p->n, p->k, p->deep);
  if (p->turned && p->m > 1) p->room_each += (div_up(p->m, p->tiles_m) + 16) * (div_up(p->n, p->tiles_n) + 32);
  p->room_each = round_up(p->room_each, 16);
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
  p->tiles_m = p->tiles_n = p->parts = p->strips_m = p->strips_n = 1;
  p->small = true, p->keep = p->bf16 = p->amx = p->dots = p->turned = false;
  p->deep = GEMM_KC;
  if (!p->m || !p->n || !p->batch || !p->k) return;
  set_side(&p->a, a, out, ta);
  set_side(&p->b, b, out, tb);
  fold(p);
  p->small = p->m <= SMALL_COST && p->k <= SMALL_COST && p->n <= SMALL_COST && p->m * p->k * (p->n + 16) <= SMALL_COST;
  if (p->small) return;
  const int64_t work = p->m * p->n * p->k;
  const bool rounds = p->batch == 1 && out->dtype == MS_F32 && ms_get_precision() == MS_PRECISION_BF16;
  p->amx = rounds && MS_NAME(ms_amx_ready)() && p->m >= AMX_LEAST && p->n >= AMX_LEAST && p->k >= AMX_LEAST && work >= AMX_WORK;
  p->bf16 = rounds && !p->amx && p->m > TILE_ROWS && p->n > 16 && work >= 4 * TILE_WORK && MS_NAME(ms_bf16_ready)();
  if (p->amx || p->bf16) {
    p->team = ms_threads();
    p->bytes = p->amx ? MS_NAME(ms_amx_bytes)(p->m, p->n, p->k, p->team) : MS_NAME(ms_bf16_bytes)(p->m, p->n, p->k);
    return;
  }
  turn(p);
  p->dots = gemm_dots(p->m, p->n, p->a.c, p->b.r);
  cut(p, ms_team(p->batch * work / TEAM_WORK));
  p->partial = p->parts > 1 ? place(p, p->parts * p->batch * p->m * p->n, size) : 0;
  make_room(p, size);
}

static int64_t batch_offset(const side *s, int64_t b) {
  int64_t at = 0;
  for (int i = s->n_batch - 1; i >= 0 && b; i--) {
    at += b % s->size[i] * s->stride[i];
    b /= s->size[i];
  }
  return at;
}

/* A strip: m x n elements from (m0, n0) on of product b, part `part` of its sum, in tile `tile`. */
typedef struct strip {
  int64_t b, part, tile, m0, n0, m, n;
} strip;

static strip strip_of(const plan *p, int64_t index) {
  const int64_t s = index % (p->strips_m * p->strips_n);
  strip t = {.tile = index / (p->strips_m * p->strips_n)};
  t.part = t.tile % p->parts;
  const int64_t j = t.tile / p->parts % p->tiles_n, i = t.tile / p->parts / p->tiles_n % p->tiles_m;
  t.b = t.tile / p->parts / p->tiles_n / p->tiles_m;
  t.m0 = edge(p->m, p->tiles_m, i, 1), t.m = edge(p->m, p->tiles_m, i + 1, 1) - t.m0;
  t.n0 = edge(p->n, p->tiles_n, j, PANEL), t.n = edge(p->n, p->tiles_n, j + 1, PANEL) - t.n0;
  const int64_t m0 = edge(t.m, p->strips_m, s / p->strips_n, 1), n0 = block_edge(t.n, p->strips_n, s % p->strips_n);
  t.m = edge(t.m, p->strips_m, s / p->strips_n + 1, 1) - m0, t.n = block_edge(t.n, p->strips_n, s % p->strips_n + 1) - n0;
  t.m0 += m0, t.n0 += n0;
  return t;
}

/* out: of the whole result, or of the parts'. held: the tile whose right operand `room` has, -1: none. */
#define STRIP(T, G)                                                                                                                \
  static void strip_##G(const plan *p, strip s, T *out, T *room, int64_t *held) {                                                  \
    const int64_t m0 = s.m0, n0 = s.n0, m = s.m, n = s.n, b = s.b, part = s.part, k0 = edge(p->k, p->parts, part, 16);             \
    const int64_t k = edge(p->k, p->parts, part + 1, 16) - k0;                                                                     \
    const T *x = (const T *)p->a.data + batch_offset(&p->a, b) + m0 * p->a.r + k0 * p->a.c;                                        \
    const T *y = (const T *)p->b.data + batch_offset(&p->b, b) + k0 * p->b.r + n0 * p->b.c;                                        \
    out += (part * p->batch + b) * p->m * p->n;                                                                                    \
    if (m <= 0 || n <= 0) return;                                                                                                  \
    if (p->small) {                                                                                                                \
      small_gemm_##G(m, n, k, x, p->a.r, p->a.c, y, p->b.r, p->b.c, out + m0 * p->n + n0, p->n);                                   \
      return;                                                                                                                      \
    }                                                                                                                              \
    const bool turned = p->turned && p->m > 1;                                                                                     \
    T *to = turned ? room : out + m0 * p->n + n0;                                                                                  \
    const int64_t step = turned ? round_up(n, 16) : p->n;                                                                          \
    if (turned)                                                                                                                    \
      room += round_up(div_up(div_up(p->m, p->tiles_m), p->strips_m) * step, 16); /* the same for all strips of a tile */          \
    const gemm_keep keep = !p->keep ? GEMM_PASSING : *held == s.tile ? GEMM_KEPT : GEMM_KEEP;                                      \
    gemm_##G(false, p->dots, keep, p->deep, m, n, k, x, p->a.r, p->a.c, y, p->b.r, p->b.c, to, step, room);                        \
    if (keep) *held = s.tile;                                                                                                      \
    if (turned) turn_to_##G(to, step, m, n, out + n0 * p->m + m0, p->m);                                                           \
  }
STRIP(float, f32)
STRIP(double, f64)

/* after: what is to be done with it. */
static void one_strip(const plan *p, int64_t index, void *out, void *room, int64_t *held, bool is_f32, const ms_after *after) {
  const strip s = strip_of(p, index);
  if (is_f32) strip_f32(p, s, out, room, held);
  else strip_f64(p, s, out, room, held);
  if (!after) return;
  const int64_t all = s.b * p->m * p->n;
  if (p->turned) after->run(after, all + s.n0 * p->m + s.m0, s.m, s.n, p->m);
  else after->run(after, all + s.m0 * p->n + s.n0, s.n, s.m, p->n);
}

/* Are the strips such that it pays to go on with them: large, and whole rows or long parts of rows? */
static bool large_strips(const plan *p) {
  const int64_t m = p->tiles_m * p->strips_m, n = p->tiles_n * p->strips_n, cuts = p->turned ? m : n, row = p->turned ? p->m : p->n;
  return p->parts == 1 && p->m * p->n / (m * n) >= AFTER_TILE && (cuts == 1 || row / cuts >= AFTER_ROW);
}

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
  if (c->slot) p = *(const plan *)c->slot, p.a.data = c->in[p.turned].data, p.b.data = c->in[!p.turned].data;
  else make_plan(c, &p);
  bool is_f32 = c->out[0].dtype == MS_F32;
  char *work = c->work, *out = c->out[0].data;
  size_t size = ms_dtype_size(c->out[0].dtype);
  if (!p.m || !p.n || !p.batch) return 0;
  if (!p.k) return memset(out, 0, (size_t)(p.batch * p.m * p.n) * size), ms_run_after(c), 0;

  int64_t strips = p.batch * p.tiles_m * p.tiles_n * p.parts * p.strips_m * p.strips_n, total = p.batch * p.m * p.n * p.k;
  int team = p.small ? 1 : (int)min_i64(team_of(&p), p.team);
  if (p.amx || p.bf16) {
    /* on AMX the products are nearly free: it is the operands that count */
    team = (int)min_i64(p.team, ms_team(p.amx ? total / 64 + (p.m * p.k + p.k * p.n) / 4 : total / TEAM_WORK));
    (p.amx ? MS_NAME(ms_amx_matmul) : MS_NAME(ms_bf16_matmul))(p.m, p.n, p.k, (const float *)p.a.data, p.a.r, p.a.c,
                                                               (const float *)p.b.data, p.b.r, p.b.c, (float *)out, work, team);
    ms_run_after(c);
    return 0;
  }
  const ms_after *after = c->after && large_strips(&p) ? c->after : NULL;
  void *to = p.parts > 1 ? (void *)(work + p.partial) : out;
  const size_t each = (size_t)p.room_each * size;
  const int64_t step = TILE_WORK / (total / strips + 1) + 1; /* strips a thread takes at once */
  int64_t held[team];
  for (int i = 0; i < team; i++) held[i] = -1;
  MS_TASKS(team, id, t, div_up(strips, step),
           for (int64_t i = t * step; i < min_i64((t + 1) * step, strips) && !ms_interrupted(); i++)
               one_strip(&p, i, to, p.small ? NULL : work + p.room + (size_t)id * each, &held[id], is_f32, after););
  if (ms_interrupted()) return ms_stopped(c->op->name), -1;
  if (p.parts > 1) add_parts(&p, to, out, is_f32);
  if (!after) ms_run_after(c);
  return 0;
}
MS_KERNEL(matmul, .prepare = prepare, .run = run, .release = release, .supports = f32_or_f64);
