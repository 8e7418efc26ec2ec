/* matmul.c -- batches of matrix products. `ways` lists the ways to compute one; the first that takes the call runs it.
 *
 * Bits do not depend on the number of threads. An element's sum is the same however the result is cut into shares and bands, and
 * how k is cut into splits follows from sizes and layouts (matmul_cut.c). One thread computes a band, and packs what it needs for
 * it. */
#include "matmul.h"
#include "amx.h"
#include "matmul_bf16.h"
#include "partial_sums.h"
#include <stdlib.h>
#include <string.h>

#define T    float
#define G(x) x##_f32
#include "gemm.h"
#include "matmul_band.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "gemm.h"
#include "matmul_band.h"
#undef T
#undef G

enum {
  SMALL_COST = 1 << 12,       /* m k (n + 16) up to which the loop without packing is faster: to pack costs 0.3 us */
  TURN_ROWS = 128,            /* most rows of a left operand for which the product is turned */
  TURN_DEPTH = 512,           /* pieces of k that a turned product is summed up in; k is half of that at least */
  AMX_WORK = 1 << 18,         /* multiply-adds from which on it pays to round the operands for AMX */
  AMX_LEAST = 8,              /* and the least m, n and k */
  BF16_WORK = 4 * SHARE_WORK, /* multiply-adds from which on it pays to round the operands for AVX512_BF16 */
  BF16_COLUMNS = 16,          /* and the columns that there must be more of */
  TEAM_WORK = 16,             /* multiply-adds that count as one simple operation when threads are dealt out (ms_team): */
                              /*   to wake a thread for less than 10 us of work does not pay */
  AMX_TEAM_WORK = 64,         /* the same on AMX, where a product is nearly free, */
  AMX_TEAM_ELEMENTS = 4,      /*   but elements of operands, which are rounded, count */
  AFTER_ELEMENTS = 2048       /* elements of a band from which on the chain behind the product runs band by band */
};

/* ---- the call as a product --------------------------------------------------------------------------------------- */

static void set_operand(operand *s, const ms_view *v, const ms_view *out, bool transposed) {
  s->data = v->data;
  s->row_stride = v->stride[v->rank - 2 + transposed], s->column_stride = v->stride[v->rank - 1 - transposed];
  s->n_batch = out->rank - 2;
  s->distinct = 1;
  for (int i = 0; i < s->n_batch; i++) {
    int k = i - (out->rank - v->rank);
    s->size[i] = out->shape[i];
    s->stride[i] = k < 0 || v->shape[k] == 1 ? 0 : v->stride[k];
    if (s->stride[i]) s->distinct *= s->size[i];
  }
}

/* A batch of left matrices, one below the other, times one right matrix is one product. */
static void fold_batch(product *p) {
  operand *a = &p->a;
  if (p->batch == 1 || p->b.distinct != 1 || a->distinct != p->batch) return;
  int64_t n = 1;
  for (int i = a->n_batch - 1; i >= 0; i--) {
    if (a->size[i] == 1) continue;
    if (a->stride[i] != a->row_stride * p->m * n) return;
    n *= a->size[i];
  }
  p->m *= p->batch, p->batch = 1;
  a->n_batch = p->b.n_batch = 0;
  a->distinct = 1;
}

static void set_product(const ms_call *c, product *p) {
  const ms_view *a = &c->in[0], *b = &c->in[1], *out = &c->out[0];
  const bool ta = c->attr[0].i != 0, tb = c->attr[1].i != 0;
  p->m = out->shape[out->rank - 2], p->n = out->shape[out->rank - 1], p->k = a->shape[a->rank - 1 - ta];
  p->batch = 1;
  for (int i = 0; i < out->rank - 2; i++) p->batch *= out->shape[i];
  p->is_f32 = out->dtype == MS_F32;
  p->exchanged = p->turned = false;
  p->splits = 1;
  p->work_bytes = 0;
  set_operand(&p->a, a, out, ta);
  set_operand(&p->b, b, out, tb);
  fold_batch(p);
}

/* C = A B becomes C^T = B^T A^T. */
static void exchange(product *p) {
  const operand a = p->a;
  const int64_t m = p->m;
  p->a = p->b, p->a.row_stride = p->b.column_stride, p->a.column_stride = p->b.row_stride;
  p->b = a, p->b.row_stride = a.column_stride, p->b.column_stride = a.row_stride;
  p->m = p->n, p->n = m;
  p->exchanged = true;
}

/* ---- which way takes it ------------------------------------------------------------------------------------------ */

static int64_t work_of(const product *p) { return p->m * p->n * p->k; }

static bool takes_empty(const ms_call *c, const product *p) { return (void)c, !p->m || !p->n || !p->k || !p->batch; }

static bool takes_small(const ms_call *c, const product *p) {
  (void)c;
  return p->m <= SMALL_COST && p->k <= SMALL_COST && p->n <= SMALL_COST && p->m * p->k * (p->n + 16) <= SMALL_COST;
}

/* May the operands be rounded to bf16? */
static bool may_round(const ms_call *c, const product *p) {
  return p->batch == 1 && p->is_f32 && c->precision == MS_PRECISION_BF16;
}

static bool takes_amx(const ms_call *c, const product *p) {
  return may_round(c, p) && p->m >= AMX_LEAST && p->n >= AMX_LEAST && p->k >= AMX_LEAST && work_of(p) >= AMX_WORK &&
         MS_NAME(ms_amx_ready)();
}

static bool takes_bf16(const ms_call *c, const product *p) {
  return may_round(c, p) && p->m > TILE_ROWS && p->n > BF16_COLUMNS && work_of(p) >= BF16_WORK && MS_NAME(ms_bf16_ready)();
}

static bool takes_dots(const ms_call *c, const product *p) {
  return (void)c, gemm_dots(p->m, p->n, p->a.column_stride, p->b.row_stride);
}

static bool takes_turned(const ms_call *c, const product *p) {
  (void)c;
  return p->batch == 1 && p->a.column_stride == 1 && p->b.row_stride == 1 && p->m > GEMM_DOTS && p->m <= TURN_ROWS &&
         p->n >= p->m && p->k >= TURN_DEPTH / 2;
}

static bool takes_all(const ms_call *c, const product *p) { return (void)c, (void)p, true; }

/* ---- planning: done once, in prepare ----------------------------------------------------------------------------- */

static void plan_nothing(product *p) { (void)p; }

static void plan_amx(product *p) {
  p->team = ms_threads();
  p->work_bytes = MS_NAME(ms_amx_bytes)(p->m, p->n, p->k, p->team);
}

static void plan_bf16(product *p) {
  p->team = ms_threads();
  p->work_bytes = MS_NAME(ms_bf16_bytes)(p->m, p->n, p->k);
}

static size_t reserve(product *p, int64_t elements) {
  const size_t at = p->work_bytes, size = p->is_f32 ? sizeof(float) : sizeof(double);
  p->work_bytes += ((size_t)elements * size + 63) / 64 * 64;
  return at;
}

static int team_of(const product *p) { return (int)min_i64(ms_team(p->batch * work_of(p) / TEAM_WORK), product_shares(p)); }

static void plan_bands(product *p, int64_t depth) {
  p->depth = depth;
  MS_NAME(ms_product_cut)(p, ms_team(p->batch * work_of(p) / TEAM_WORK));
  p->team = team_of(p);
  p->room = p->is_f32 ? room_for_f32(p) : room_for_f64(p);
  p->sums_at = p->splits > 1 ? reserve(p, p->splits * p->batch * p->m * p->n) : 0;
  p->rooms_at = reserve(p, p->team * p->room);
}

/* A column is computed as a row. */
static void plan_tile(product *p) {
  if (p->n == 1 && p->m > 1) exchange(p);
  plan_bands(p, GEMM_KC);
}

static void plan_turned(product *p) {
  exchange(p);
  p->turned = true;
  plan_bands(p, TURN_DEPTH);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* A sum over no terms is 0. */
static int run_empty(const ms_call *c, const product *p) {
  const size_t elements = (size_t)(p->batch * p->m * p->n);
  if (!elements) return 0;
  memset(c->out[0].data, 0, elements * ms_dtype_size(c->out[0].dtype));
  ms_run_after(c);
  return 0;
}

static int run_small(const ms_call *c, const product *p) {
  if (p->is_f32) small_products_f32(p, c->out[0].data);
  else small_products_f64(p, c->out[0].data);
  if (ms_interrupted()) return ms_stopped(c->op->name), -1;
  ms_run_after(c);
  return 0;
}

static int run_amx(const ms_call *c, const product *p) {
  const int64_t cost = work_of(p) / AMX_TEAM_WORK + (p->m * p->k + p->k * p->n) / AMX_TEAM_ELEMENTS;
  MS_NAME(ms_amx_matmul)
  (p->m, p->n, p->k, (const float *)p->a.data, p->a.row_stride, p->a.column_stride, (const float *)p->b.data, p->b.row_stride,
   p->b.column_stride, c->out[0].data, c->work, (int)min_i64(p->team, ms_team(cost)));
  if (ms_interrupted()) return ms_stopped(c->op->name), -1;
  ms_run_after(c);
  return 0;
}

static int run_bf16(const ms_call *c, const product *p) {
  const int team = (int)min_i64(p->team, ms_team(work_of(p) / TEAM_WORK));
  MS_NAME(ms_bf16_matmul)
  (p->m, p->n, p->k, (const float *)p->a.data, p->a.row_stride, p->a.column_stride, (const float *)p->b.data, p->b.row_stride,
   p->b.column_stride, c->out[0].data, c->work, team);
  if (ms_interrupted()) return ms_stopped(c->op->name), -1;
  ms_run_after(c);
  return 0;
}

/* Are bands whole results that the chain behind the product can go on with while they are in the cache: large, and whole rows or
 * long parts of rows? */
static bool chain_follows_bands(const product *p) {
  const int64_t m = p->shares_m * p->bands_m, n = p->shares_n * p->bands_n;
  const int64_t cuts = p->turned ? m : n, row = p->turned ? p->m : p->n;
  return p->splits == 1 && p->m * p->n / (m * n) >= AFTER_ELEMENTS && (cuts == 1 || row / cuts >= AFTER_ROW);
}

static void run_band(const product *p, int64_t index, void *out, void *room, int64_t *packed, const ms_after *after) {
  const band s = MS_NAME(ms_product_band)(p, index);
  if (p->is_f32) compute_band_f32(p, &s, out, room, packed);
  else compute_band_f64(p, &s, out, room, packed);
  if (!after) return;
  const int64_t first = s.batch * p->m * p->n;
  if (p->turned) after->run(after, first + s.n0 * p->m + s.m0, s.m, s.n, p->m);
  else after->run(after, first + s.m0 * p->n + s.n0, s.n, s.m, p->n);
}

static int run_bands(const ms_call *c, const product *p) {
  const ms_after *after = c->after && chain_follows_bands(p) ? c->after : NULL;
  const int64_t bands = product_bands(p), average = p->batch * work_of(p) / bands;
  const int64_t at_once = SHARE_WORK / (average + 1) + 1; /* bands of a task */
  const size_t room = (size_t)p->room * (p->is_f32 ? sizeof(float) : sizeof(double));
  const int team = (int)min_i64(team_of(p), p->team);
  char *work = c->work, *out = c->out[0].data, *to = p->splits > 1 ? work + p->sums_at : out;
  int64_t packed[team];
  for (int i = 0; i < team; i++) packed[i] = -1;
  MS_TASKS(team, id, t, div_up(bands, at_once),
           for (int64_t i = t * at_once; i < min_i64((t + 1) * at_once, bands) && !ms_interrupted(); i++)
               run_band(p, i, to, work + p->rooms_at + (size_t)id * room, &packed[id], after););
  if (ms_interrupted()) return ms_stopped(c->op->name), -1;
  if (p->splits > 1) add_partial_sums(to, out, p->batch * p->m * p->n, p->splits, c->out[0].dtype);
  if (!after) ms_run_after(c);
  return 0;
}

/* ---- the ways ---------------------------------------------------------------------------------------------------- */

static const struct product_way {
  const char *name, *name_if_split;
  bool (*takes)(const ms_call *c, const product *p);
  void (*plan)(product *p);
  int (*run)(const ms_call *c, const product *p);
} ways[] = {
    [WAY_EMPTY] = {"empty", NULL, takes_empty, plan_nothing, run_empty},
    /* so few multiply-adds that packing an operand would take longer than they do */
    [WAY_SMALL] = {"small", NULL, takes_small, plan_nothing, run_small},
    /* the user allows operands to be rounded to bf16 (ms_precision), and the processor multiplies that faster */
    [WAY_AMX] = {"amx", NULL, takes_amx, plan_amx, run_amx},
    [WAY_BF16] = {"bf16", NULL, takes_bf16, plan_bf16, run_bf16},
    /* rows of A with columns of B, both contiguous, one or two on a side: nothing is read twice, so packing gains nothing */
    [WAY_DOTS] = {"dots", NULL, takes_dots, plan_tile, run_bands},
    /* the same with some more rows. To pack B would take transposes, for little work. So the product is exchanged: A is packed, and
     * the result, which is then transposed, is transposed back band by band. */
    [WAY_TURNED] = {"turned", "turned split", takes_turned, plan_turned, run_bands},
    /* all others: B is packed into panels, and tiles of the result are summed up in registers (gemm.h) */
    [WAY_TILE] = {"tile", "split", takes_all, plan_tile, run_bands},
};

static void choose_way(const ms_call *c, product *p) {
  p->way = WAY_EMPTY;
  while (!ways[p->way].takes(c, p)) p->way++;
}

/* The plan is made once: threads, precision and the like may be others when the call runs. A small product has none, and is chosen
 * anew at each run, which is cheaper than to keep something. */
static int prepare(ms_call *c) {
  product p;
  set_product(c, &p);
  choose_way(c, &p);
  ways[p.way].plan(&p);
  c->work_bytes = p.work_bytes;
  c->way = p.splits > 1 ? ways[p.way].name_if_split : ways[p.way].name;
  if (p.way == WAY_EMPTY || p.way == WAY_SMALL) return 0;
  if (!(c->prepared = malloc(sizeof p))) return ms_fail("matmul: out of memory"), -1;
  memcpy(c->prepared, &p, sizeof p);
  return 0;
}

static void release(ms_call *c) {
  free(c->prepared);
  c->prepared = NULL;
}

static int run(ms_call *c) {
  product p;
  if (c->prepared) {
    p = *(const product *)c->prepared;
    p.a.data = c->in[p.exchanged].data, p.b.data = c->in[!p.exchanged].data;
  } else {
    set_product(c, &p);
    choose_way(c, &p);
  }
  return ways[p.way].run(c, &p);
}
MS_KERNEL(matmul, .prepare = prepare, .run = run, .release = release, .supports = f32_or_f64);
