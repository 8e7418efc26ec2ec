/* matmul.c -- batches of matrix products. The work is cut into tiles by a rule that looks at sizes only, one thread computes a
 * tile, and a long inner dimension is cut into parts whose sums are added in order: the bits do not depend on the number of
 * threads. */
#include "cpu.h"
#include "onednn.h"
#include <omp.h>
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

/* TILE_WORK: multiply-adds that are worth a tile of its own. SMALL_COST: where a library call (0.3 us) overtakes the small loop,
 * whose cost goes with m k (n + 16). */
enum { TILE_WORK = 1 << 19, SMALL_COST = 1 << 12 };

/* An operand: element (b, i, j) is data[offset(b) + i * r + j * c]. */
typedef struct side {
  const char *data;
  int64_t r, c;
  int n_batch;
  int64_t size[MS_MAX_RANK], stride[MS_MAX_RANK]; /* of the batch dimensions, those of the result; stride 0 where broadcast */
  bool pack;                                      /* f32: no leading dimension tells where its elements are; copy it */
  int64_t copies;                                 /* matrices in the copy */
} side;

typedef struct plan {
  int64_t m, n, k, batch;
  side a, b;
  int64_t tiles_m, tiles_n, parts; /* parts of k */
  bool small, own;                 /* by a loop without packing; by gemm.h rather than oneDNN */
  size_t pack_a, pack_b, partial,
      room; /* places in the workspace, in bytes; room: the pack buffers of the own product, one a thread */
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

/* Are the elements of a rows x cols matrix where a leading dimension puts them: rows r apart, columns adjacent? */
static bool plain(int64_t rows, int64_t cols, int64_t r, int64_t c) { return (c == 1 || cols == 1) && (r >= cols || rows == 1); }

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

/* Tiles are to be cheap to pack, yet enough to share out. Measured with one thread: 64 x 64 runs at the speed of the whole, but a
 * transposed right operand wants 128 x 192 (a fifth is lost at 64 x 192, half at 32 x 96). */
static void cut(plan *p, bool transposed) {
  p->tiles_m = (p->m + 255) / 256, p->tiles_n = (p->n + 255) / 256, p->parts = 1;
  if (transposed) divide(p, 8, 128, 192), divide(p, 2, 32, 128), divide(p, 2, 32, 64);
  else divide(p, 16, 32, 64);
  int64_t tiles = p->tiles_m * p->tiles_n * p->batch;
  if (tiles >= 8) return;
  while (p->parts < 16 && p->k / p->parts >= 2048 && tiles * p->parts < 16 && p->m * p->n * p->parts * p->batch < (1 << 20))
    p->parts *= 2;
}

static void make_plan(const ms_call *c, plan *p) {
  const ms_view *a = &c->in[0], *b = &c->in[1], *out = &c->out[0];
  bool ta = c->attr[0].i != 0, tb = c->attr[1].i != 0, is_f32 = out->dtype == MS_F32;
  size_t size = is_f32 ? sizeof(float) : sizeof(double);
  p->m = out->shape[out->rank - 2], p->n = out->shape[out->rank - 1], p->k = a->shape[a->rank - 1 - ta];
  p->batch = 1, p->bytes = 0;
  for (int i = 0; i < out->rank - 2; i++) p->batch *= out->shape[i];
  p->tiles_m = p->tiles_n = p->parts = 1;
  p->small = true, p->own = false;
  if (!p->m || !p->n || !p->batch || !p->k) return;
  set_side(&p->a, a, out, ta);
  set_side(&p->b, b, out, tb);
  fold(p);
  p->small = p->m <= SMALL_COST && p->k <= SMALL_COST && p->n <= SMALL_COST && p->m * p->k * (p->n + 16) <= SMALL_COST;
  if (p->small) return;
  /* A transposed right operand whose columns lie a multiple of a kilobyte apart falls on few cache sets. The library copes when
   * their number is a multiple of 16; else (64 x 3072 x 100) it takes five times as long as over the same packed. */
  bool transposed = is_f32 && !plain(p->k, p->n, p->b.r, p->b.c);
  bool aliased = transposed && p->b.c % 256 == 0 && p->k >= 1024 && p->n % 16 && p->n >= 32 && p->n < 128;
  cut(p, transposed && !aliased);
  side *s = &p->a;
  s->pack = is_f32 && !plain(p->m, p->k, s->r, s->c) && !plain(p->k, p->m, s->c, s->r);
  p->pack_a = s->pack ? place(p, s->copies * p->m * p->k, size) : 0;
  s = &p->b;
  s->pack = aliased || (transposed && !plain(p->n, p->k, s->c, s->r));
  p->pack_b = s->pack ? place(p, s->copies * p->k * p->n, size) : 0;
  p->partial = p->parts > 1 ? place(p, p->parts * p->batch * p->m * p->n, size) : 0;
  p->own = !is_f32 || !ms_dnn_ready();
  p->room = p->own ? place(p, (int64_t)ms_threads() * GEMM_PACK, size) : 0;
}

static int64_t batch_offset(const side *s, int64_t b) {
  int64_t at = 0;
  for (int i = s->n_batch - 1; i >= 0 && b; i--) {
    at += b % s->size[i] * s->stride[i];
    b /= s->size[i];
  }
  return at;
}

/* Bring the matrices of a side into one row-major block and look at them there from now on. */
static void pack(side *s, int64_t rows, int64_t cols, float *to) {
  side from = *s;
  int64_t stride = rows * cols;
  for (int i = s->n_batch - 1; i >= 0; i--)
    if (from.stride[i]) s->stride[i] = stride, stride *= s->size[i];
  s->data = (const char *)to, s->r = cols, s->c = 1;
  const float *f = (const float *)from.data;
  int team = ms_team(from.copies * rows * cols);
#pragma omp parallel for num_threads(team) if (team > 1)
  for (int64_t line = 0; line < from.copies * rows; line++) {
    int64_t copy = line / rows, at = line % rows * from.r;
    for (int i = from.n_batch - 1; i >= 0; i--)
      if (from.stride[i]) at += copy % from.size[i] * from.stride[i], copy /= from.size[i];
    for (int64_t j = 0; j < cols; j++) to[line * cols + j] = f[at + j * from.c];
  }
}

static bool sgemm(int64_t m, int64_t n, int64_t k, const float *a, const side *sa, const float *b, const side *sb, float *c,
                  int64_t rc) {
  bool ta = !plain(m, k, sa->r, sa->c), tb = !plain(k, n, sb->r, sb->c);
  int64_t la = ta ? sa->c : sa->r, lb = tb ? sb->c : sb->r, least_a = ta ? m : k, least_b = tb ? k : n;
  /* A matrix of one row has no distance between rows. */
  return ms_dnn_sgemm(ta, tb, m, n, k, a, la < least_a ? least_a : la, b, lb < least_b ? least_b : lb, c, rc);
}

/* Where tile i of `tiles` begins along n elements: near-equal pieces, multiples of 16. */
static int64_t edge(int64_t n, int64_t tiles, int64_t i) {
  if (i == tiles) return n;
  int64_t at = (n * i / tiles + 8) / 16 * 16;
  return at < n ? at : n;
}

static bool one_tile(const plan *p, int64_t index, void *out, void *room, bool is_f32) {
  int64_t part = index % p->parts, j = index / p->parts % p->tiles_n, i = index / p->parts / p->tiles_n % p->tiles_m;
  int64_t b = index / p->parts / p->tiles_n / p->tiles_m;
  int64_t m0 = edge(p->m, p->tiles_m, i), n0 = edge(p->n, p->tiles_n, j), k0 = edge(p->k, p->parts, part);
  int64_t m = edge(p->m, p->tiles_m, i + 1) - m0, n = edge(p->n, p->tiles_n, j + 1) - n0, k = edge(p->k, p->parts, part + 1) - k0;
  if (m <= 0 || n <= 0) return true;
  int64_t at_a = batch_offset(&p->a, b) + m0 * p->a.r + k0 * p->a.c, at_b = batch_offset(&p->b, b) + k0 * p->b.r + n0 * p->b.c;
  int64_t at_c = ((part * p->batch + b) * p->m + m0) * p->n + n0;
  if (is_f32) {
    const float *fa = (const float *)p->a.data + at_a, *fb = (const float *)p->b.data + at_b;
    float *fc = (float *)out + at_c;
    if (p->small) small_gemm_f32(m, n, k, fa, p->a.r, p->a.c, fb, p->b.r, p->b.c, fc, p->n);
    else if (!room) return sgemm(m, n, k, fa, &p->a, fb, &p->b, fc, p->n);
    else gemm_f32(false, m, n, k, fa, p->a.r, p->a.c, fb, p->b.r, p->b.c, fc, p->n, room);
  } else {
    const double *da = (const double *)p->a.data + at_a, *db = (const double *)p->b.data + at_b;
    double *dc = (double *)out + at_c;
    if (p->small) small_gemm_f64(m, n, k, da, p->a.r, p->a.c, db, p->b.r, p->b.c, dc, p->n);
    else gemm_f64(false, m, n, k, da, p->a.r, p->a.c, db, p->b.r, p->b.c, dc, p->n, room);
  }
  return true;
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

static int prepare(ms_call *c) {
  plan p;
  make_plan(c, &p);
  c->work_bytes = p.bytes;
  return 0;
}

static int run(ms_call *c) {
  plan p;
  make_plan(c, &p);
  bool is_f32 = c->out[0].dtype == MS_F32;
  char *work = c->work, *out = c->out[0].data;
  size_t size = is_f32 ? sizeof(float) : sizeof(double);
  if (!p.m || !p.n || !p.batch) return 0;
  if (!p.k) return memset(out, 0, (size_t)(p.batch * p.m * p.n) * size), 0;
  if (!p.small && p.a.pack) pack(&p.a, p.m, p.k, (float *)(work + p.pack_a));
  if (!p.small && p.b.pack) pack(&p.b, p.k, p.n, (float *)(work + p.pack_b));

  bool ok = true;
  void *to = p.parts > 1 ? (void *)(work + p.partial) : out;
  int64_t tiles = p.batch * p.tiles_m * p.tiles_n * p.parts, total = p.batch * p.m * p.n * p.k;
  int64_t step = TILE_WORK / (total / tiles + 1) + 1; /* tiles a thread takes at once */
  int team = ms_team(total / 8);
  if (team > tiles) team = (int)tiles;
  int64_t rooms = p.own ? (int64_t)((c->work_bytes - p.room) / (GEMM_PACK * size)) : team;
  if (team > rooms) team = (int)rooms; /* more threads now than when the call was prepared */
#pragma omp parallel for num_threads(team) schedule(dynamic, step) reduction(&& : ok) if (team > 1)
  for (int64_t i = 0; i < tiles; i++)
    ok = one_tile(&p, i, to, p.own ? work + p.room + (size_t)omp_get_thread_num() * GEMM_PACK * size : NULL, is_f32) && ok;
  if (!ok)
    return ms_fail("matmul: oneDNN refused a product of %lld x %lld x %lld", (long long)p.m, (long long)p.k, (long long)p.n), -1;
  if (p.parts > 1) add_parts(&p, to, out, is_f32);
  return 0;
}
MS_KERNEL(matmul, .prepare = prepare, .run = run, .supports = f32_or_f64);
