/* matmul_bf16.c -- matmul_bf16.h: both operands are brought into words by all threads, then tiles as in gemm.h. */
#include "matmul_bf16.h"
#include "bf16.h"

enum { DEPTH = 384, COLUMNS = 256, ROWS = 14 * TILE_ROWS, EDGE = TILE_ROWS * 2 * LANES_f32 }; /* words; columns; rows of a task */

size_t MS_NAME(ms_bf16_bytes)(int64_t m, int64_t n, int64_t k) {
  const int64_t depth = (k + 1) / 2;
  return (size_t)(round_up(m * round_up(depth, 16) + 16 * m, 16) + depth * round_up(n, 2 * LANES_f32) +
                  (int64_t)ms_threads() * EDGE) *
         sizeof(float);
}

/* Rows i0 .. i1-1 and panels of columns j0 .. j1-1 of C. */
static void tiles(const float *a, int64_t pitch, const float *b, int64_t depth, int64_t n, int64_t i0, int64_t i1, int64_t j0,
                  int64_t j1, float *c, float *edge) {
  enum { L = LANES_f32 };
  const int64_t pieces = (depth + DEPTH - 1) / DEPTH, count = (i1 - i0 + TILE_ROWS - 1) / TILE_ROWS;
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
  const int64_t depth = (k + 1) / 2, pitch = round_up(depth, 16) + 16; /* no multiple of a page */
  float *wa = work, *wb = wa + round_up(m * pitch, 16), *edges = wb + depth * round_up(n, 2 * L);
  const int64_t panels = (n + 2 * L - 1) / (2 * L), row_tasks = (m + 15) / 16;
  const int64_t strips = (m + ROWS - 1) / ROWS;
  int64_t groups = (n + COLUMNS - 1) / COLUMNS; /* enough tasks, whatever the number of threads */
  while (groups < panels && groups * strips < 16) groups = min_i64(2 * groups, panels);
  MS_PARALLEL(team, t, row_tasks + panels, {
    const int64_t i = t * 16, j = (t - row_tasks) * 2 * L;
    if (t < row_tasks) words_across(a + i * ra, ra, ca, min_i64(16, m - i), k, wa + i * pitch, pitch);
    else words_panel(b + j * cb, rb, cb, min_i64(2 * L, n - j), n - j > L ? 2 * L : L, k, wb + j * depth);
  });
  MS_TASKS(team, id, t, strips * groups, {
    const int64_t s = t / groups, g = t % groups;
    tiles(wa, pitch, wb, depth, n, m * s / strips, m * (s + 1) / strips, panels * g / groups * 2 * L,
          min_i64(panels * (g + 1) / groups * 2 * L, round_up(n, 2 * L)), c, edges + id * EDGE);
  });
}
