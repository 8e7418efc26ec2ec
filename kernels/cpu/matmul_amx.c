/* matmul_amx.c -- products on AMX. The smaller operand is packed once by all threads together, and shared. The larger one is packed
 * by the thread that uses it, some blocks of 16 rows (or columns) at a time, so that it is read once and is in that thread's cache
 * when it is multiplied. Long inner dimensions are cut into pieces that are added up in order. What is a task depends on sizes
 * only. */
#include "amx_pack.h"
#include <string.h>

#if defined(__AVX512F__)
enum {
  SHARED_TILES = 1024,   /* of the shared operand for a piece of the inner dimension: half a second-level cache */
  TASK_BLOCKS = 4,       /* blocks of the other operand that a task takes, */
  TASK_BLOCKS_WIDE = 16, /*   and where the shared operand does not fit that cache */
  OWN_TILES = 512,       /* of the other operand in a piece */
  PACK_STEPS = 8,        /* steps, */
  PACK_BLOCKS = 4,       /*   and blocks, that are packed at a time */
};

typedef struct amx_cuts {
  bool by_rows;          /* the tasks share out the rows of C; else its columns */
  int64_t shared, other; /* blocks of the two operands */
  int64_t steps, piece;  /* of the inner dimension: in all, at a time */
  int64_t tasks;
  int64_t task_blocks; /* most blocks of a task */
} amx_cuts;

static amx_cuts cut(int64_t m, int64_t n, int64_t k) {
  amx_cuts u = {.by_rows = m >= n, .steps = div_up(k, AMX_DEPTH)};
  u.shared = div_up(min_i64(m, n), AMX_SIDE), u.other = div_up(max_i64(m, n), AMX_SIDE);
  const bool wide = u.shared * u.steps > SHARED_TILES;
  int64_t blocks = wide ? max_i64(min_i64(TASK_BLOCKS_WIDE, u.other / 16), TASK_BLOCKS) : TASK_BLOCKS;
  u.tasks = min_i64(round_up(div_up(u.other, blocks), 2), u.other);
  u.task_blocks = div_up(u.other, u.tasks);
  u.piece = min_i64(max_i64(SHARED_TILES / u.shared, 16), OWN_TILES / u.task_blocks);
  u.piece = div_up(u.steps, div_up(u.steps, u.piece));
  return u;
}

/* Floats of a thread's room: the packed blocks of a task, and four tiles of results that jut out. */
static int64_t room_floats(const amx_cuts *u) { return (u->task_blocks * u->piece + 4) * AMX_TILE; }

size_t MS_NAME(ms_amx_bytes)(int64_t m, int64_t n, int64_t k, int threads) {
  const amx_cuts u = cut(m, n, k);
  return (size_t)(u.shared * u.steps * AMX_TILE + threads * room_floats(&u)) * sizeof(float);
}

typedef struct result {
  int64_t m, n;
  float *c;
} result;

/* rows x cols blocks of results, from block (i, j) on. a, b: the tiles of their operands, `a_pitch`, `b_pitch` floats from block to
 * block. edge: room for results that jut out of C. */
static void blocks(const result *p, int rows, int cols, int64_t i, int64_t j, const float *a, int64_t a_pitch, const float *b,
                   int64_t b_pitch, int64_t steps, bool add, float *edge) {
  enum { S = AMX_SIDE };
  const bool whole = (i + rows) * S <= p->m && (j + cols) * S <= p->n;
  const int64_t pitch = whole ? p->n : 4 * S;
  float *to = whole ? p->c + i * S * p->n + j * S : edge;
  ms_amx t = {.runs = 1, .steps = steps, .a_row = 64, .a_step = AMX_TILE * 4, .b_row = 64, .b_step = AMX_TILE * 4};
  t.c_row = t.start_row = pitch * 4;
  for (int r = 0; r < rows; r++) t.a[r] = a + r * a_pitch;
  for (int r = 0; r < cols; r++) t.b[r] = b + r * b_pitch;
  for (int64_t x = 0; x < rows * S && whole; x++) /* on their way while the products are made */
    for (int r = 0; r < cols; r++) __builtin_prefetch(to + x * pitch + r * S, 1);
  for (int r = 0; r < rows * cols; r++) {
    t.c[r] = to + (whole ? r / cols * S * pitch + r % cols * S : r * S);
    t.start[r] = add && whole ? t.c[r] : NULL;
  }
  MS_NAME(ms_amx_tiles)(&t, rows, cols);
  for (int r = 0; r < rows * cols && !whole; r++) {
    const int64_t i0 = (i + r / cols) * S, j0 = (j + r % cols) * S;
    for (int64_t x = i0; x < min_i64(i0 + S, p->m); x++)
      for (int64_t y = j0; y < min_i64(j0 + S, p->n); y++) {
        const float v = edge[r * S + (x - i0) * pitch + y - j0];
        p->c[x * p->n + y] = add ? p->c[x * p->n + y] + v : v;
      }
  }
}

/* Blocks i0 .. i1-1 by j0 .. j1-1 of results, so many at a time that all four tiles of results are in use where there are as many.
 * rows_inside: the inner one of the two loops runs over the rows. */
static void area(const result *p, int64_t i0, int64_t i1, int64_t j0, int64_t j1, const float *a, int64_t a_pitch, const float *b,
                 int64_t b_pitch, int64_t steps, bool add, bool rows_inside, float *edge) {
  const int64_t ri = j1 - j0 == 1 ? 4 : i1 - i0 == 1 ? 1 : 2, rj = ri == 4 ? 1 : ri == 1 ? 4 : 2;
  const int64_t ni = div_up(i1 - i0, ri), nj = div_up(j1 - j0, rj);
  for (int64_t t = 0; t < ni * nj; t++) {
    const int64_t x = (rows_inside ? t % ni : t / nj) * ri, y = (rows_inside ? t / ni : t % nj) * rj;
    blocks(p, (int)min_i64(ri, i1 - i0 - x), (int)min_i64(rj, j1 - j0 - y), i0 + x, j0 + y, a + x * a_pitch, a_pitch,
           b + y * b_pitch, b_pitch, steps, add, edge);
  }
}

void MS_NAME(ms_amx_matmul)(int64_t m, int64_t n, int64_t k, const float *a, int64_t ra, int64_t ca, const float *b, int64_t rb,
                            int64_t cb, float *c, void *work, int team) {
  const amx_cuts u = cut(m, n, k);
  const amx_side sa = {a, ra, ca, m, k, false}, sb = {b, cb, rb, n, k, true}, *shared = u.by_rows ? &sb : &sa,
                 *other = u.by_rows ? &sa : &sb;
  const result p = {m, n, c};
  const int64_t pitch = u.steps * AMX_TILE, pack_s = div_up(u.steps, PACK_STEPS), pack_b = div_up(u.shared, PACK_BLOCKS);
  float *packed = work, *rooms = packed + u.shared * pitch;
  MS_PARALLEL(team, t, pack_s * pack_b, {
    const int64_t q = u.steps * (t % pack_s) / pack_s, blk = u.shared * (t / pack_s) / pack_b;
    pack_tiles(shared, blk, u.shared * (t / pack_s + 1) / pack_b, q, u.steps * (t % pack_s + 1) / pack_s,
               packed + blk * pitch + q * AMX_TILE, u.steps);
  });
  ms_stretch share[team];
  ms_cut(share, team, u.tasks);
  MS_TOGETHER(team, id, {
    float *own = rooms + id * room_floats(&u), *edge = own + u.task_blocks * u.piece * AMX_TILE;
    MS_NAME(ms_amx_configure)(AMX_SIDE, AMX_SIDE);
    for (int64_t t; !ms_interrupted() && (t = ms_take(share, team, id)) >= 0;) {
      const int64_t x = u.other * t / u.tasks, y = u.other * (t + 1) / u.tasks;
      for (int64_t q = 0; q < u.steps; q += u.piece) {
        const int64_t steps = min_i64(u.piece, u.steps - q);
        pack_tiles(other, x, y, q, q + steps, own, u.piece);
        const float *all = packed + q * AMX_TILE;
        if (u.by_rows) area(&p, x, y, 0, u.shared, own, u.piece * AMX_TILE, all, pitch, steps, q > 0, true, edge);
        else area(&p, 0, u.shared, x, y, all, pitch, own, u.piece * AMX_TILE, steps, q > 0, false, edge);
      }
    }
    MS_NAME(ms_amx_release)();
  });
}
#else
size_t MS_NAME(ms_amx_bytes)(int64_t m, int64_t n, int64_t k, int threads) { return (void)m, (void)n, (void)k, (void)threads, 0; }
void MS_NAME(ms_amx_matmul)(int64_t m, int64_t n, int64_t k, const float *a, int64_t ra, int64_t ca, const float *b, int64_t rb,
                            int64_t cb, float *c, void *work, int team) {
  (void)m, (void)n, (void)k, (void)a, (void)ra, (void)ca, (void)b, (void)rb, (void)cb, (void)c, (void)work, (void)team;
}
#endif
