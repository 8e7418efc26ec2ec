/* matmul_bf16.c -- products of operands that are rounded to bf16 (matmul_bf16.h): all threads together bring both operands into
 * words, then tiles are computed as in gemm.h. */
#include "matmul_bf16.h"
#include "bf16.h"

enum {
  DEPTH = 384,                      /* words of a piece of the inner dimension */
  COLUMNS = 256,                    /* columns of a task, or fewer */
  ROWS = 14 * TILE_ROWS,            /* rows of a task */
  PACK_ROWS = 16,                   /* rows of A that are brought into words at a time */
  EDGE = TILE_ROWS * 2 * LANES_f32, /* floats: a tile that juts out of the result */
  TASKS = 16                        /* wanted at least, whatever the number of threads */
};

/* Words from row to row of A: no multiple of a page, where rows would share few sets of the cache. */
static int64_t pitch_of(int64_t depth) { return round_up(depth, 16) + 16; }

size_t MS_NAME(ms_bf16_bytes)(int64_t m, int64_t n, int64_t k) {
  const int64_t depth = (k + 1) / 2;
  return (size_t)(round_up(m * pitch_of(depth), 16) + depth * round_up(n, 2 * LANES_f32) + (int64_t)ms_threads() * EDGE) *
         sizeof(float);
}

/* Rows i0 .. i1-1 and panels of columns j0 .. j1-1 of C. */
static void tiles(const float *a, int64_t pitch, const float *b, int64_t depth, int64_t n, int64_t i0, int64_t i1, int64_t j0,
                  int64_t j1, float *c, float *edge) {
  enum { L = LANES_f32 };
  const int64_t pieces = div_up(depth, DEPTH), count = div_up(i1 - i0, TILE_ROWS);
  for (int64_t piece = 0; piece < pieces; piece++) {
    const int64_t p = depth * piece / pieces, deep = depth * (piece + 1) / pieces - p;
    for (int64_t t = 0; t < count; t++) {
      const int64_t i = i0 + (i1 - i0) * t / count, rows = i0 + (i1 - i0) * (t + 1) / count - i;
      for (int64_t j = j0; j < j1; j += 2 * L) {
        const int64_t cols = min_i64(n - j, 2 * L), vectors = cols > L ? 2 : 1, width = vectors * L;
        const bool whole = cols == width;
        float *to = c + i * n + j;
        MS_NAME(ms_tile_bf16)
        [rows][vectors](1, deep, a + i * pitch + p, 0, pitch, b + j * depth + p * width, 0, width, whole ? to : edge,
                        whole ? n : 2 * L, whole && piece ? to : NULL, n, NULL);
        for (int64_t r = 0; r < rows && !whole; r++)
          for (int64_t x = 0; x < cols; x++) to[r * n + x] = piece ? to[r * n + x] + edge[r * 2 * L + x] : edge[r * 2 * L + x];
      }
    }
  }
}

void MS_NAME(ms_bf16_matmul)(int64_t m, int64_t n, int64_t k, const float *a, int64_t ra, int64_t ca, const float *b, int64_t rb,
                             int64_t cb, float *c, void *work, int team) {
  enum { L = LANES_f32 };
  const int64_t depth = (k + 1) / 2, pitch = pitch_of(depth);
  float *wa = work, *wb = wa + round_up(m * pitch, 16), *edges = wb + depth * round_up(n, 2 * L);
  const int64_t panels = div_up(n, 2 * L), row_tasks = div_up(m, PACK_ROWS);
  const int64_t bands = div_up(m, ROWS);
  int64_t groups = div_up(n, COLUMNS);
  while (groups < panels && groups * bands < TASKS) groups = min_i64(2 * groups, panels);
  MS_PARALLEL(team, t, row_tasks + panels, {
    const int64_t i = t * PACK_ROWS, j = (t - row_tasks) * 2 * L;
    if (t < row_tasks) words_across(a + i * ra, ra, ca, min_i64(PACK_ROWS, m - i), k, wa + i * pitch, pitch);
    else words_panel(b + j * cb, rb, cb, min_i64(2 * L, n - j), n - j > L ? 2 * L : L, k, wb + j * depth);
  });
  MS_TASKS(team, id, t, bands * groups, {
    const int64_t s = t / groups, g = t % groups;
    if (!ms_interrupted())
      tiles(wa, pitch, wb, depth, n, m * s / bands, m * (s + 1) / bands, panels * g / groups * 2 * L,
            min_i64(panels * (g + 1) / groups * 2 * L, round_up(n, 2 * L)), c, edges + id * EDGE);
  });
}
