/* amx_pack.h -- f32 matrices as tiles of bf16 words for amx.h: blocks of 16 (rows of A, columns of B), for each block its steps of
 * 32 elements of the inner dimension, each a tile that lies together: of A [row][word], of B [word][column]. */
#ifndef MS_AMX_PACK_H
#define MS_AMX_PACK_H
#include "amx.h"
#include "bf16.h"

#if defined(__AVX512F__)
/* One tile: n <= 16 rows (columns) and k <= 32 elements of the inner dimension, zeros beyond. Element (i, k) at i * r + k * c. */
static inline void tile_of(const float *from, int64_t r, int64_t c, int64_t n, int64_t k, bool is_b, float *to) {
  enum { S = AMX_SIDE };
  vec_f32 row[S];
  float part[S * AMX_DEPTH];
  if (n < S || k < AMX_DEPTH || (r != 1 && c != 1)) {
    memset(part, 0, sizeof part);
    if (r == 1) {
      for (int64_t p = 0; p < k; p++) memcpy(part + p * S, from + p * c, (size_t)n * sizeof(float));
      c = S;
    } else {
      for (int64_t i = 0; i < n; i++)
        if (c == 1) memcpy(part + i * AMX_DEPTH, from + i * r, (size_t)k * sizeof(float));
        else
          for (int64_t p = 0; p < k; p++) part[i * AMX_DEPTH + p] = from[i * r + p * c];
      r = AMX_DEPTH, c = 1;
    }
    from = part;
  }
  if (c == 1) {
#pragma GCC unroll 16
    for (int i = 0; i < S; i++) {
      __builtin_prefetch(from + i * r + 2 * AMX_DEPTH), __builtin_prefetch(from + i * r + 2 * AMX_DEPTH + S);
      row[i] = adjacent(from + i * r);
    }
  } else {
#pragma GCC unroll 16
    for (int p = 0; p < S; p++) {
      __builtin_prefetch(from + (AMX_DEPTH + 2 * p) * c, 0, 2), __builtin_prefetch(from + (AMX_DEPTH + 2 * p + 1) * c, 0, 2);
      row[p] = words(*(const vec_f32 *)(from + 2 * p * c), *(const vec_f32 *)(from + (2 * p + 1) * c));
    }
  }
  if ((c == 1) == is_b) transpose_rows_f32(row);
#pragma GCC unroll 16
  for (int i = 0; i < S; i++) *(vec_f32 *)(to + i * S) = row[i];
}

typedef struct amx_side {
  const float *data;
  int64_t r, c, n, k; /* strides of (row or column, inner); sizes */
  bool is_b;
} amx_side;

/* Blocks b0 .. b1-1 and steps s0 .. s1-1 of a side; a block's steps from s0 on are at to, those of the next block `pitch` tiles
 * behind them. */
static inline void pack_tiles(const amx_side *s, int64_t b0, int64_t b1, int64_t s0, int64_t s1, float *to, int64_t pitch) {
  const int64_t inner = s->c == 1 ? s1 - s0 : 1; /* adjacent elements are read as far as they go */
  for (int64_t p = s0; p < s1; p += inner)
    for (int64_t b = b0; b < b1; b++)
      for (int64_t q = p; q < p + inner; q++)
        tile_of(s->data + b * AMX_SIDE * s->r + q * AMX_DEPTH * s->c, s->r, s->c, min_i64(AMX_SIDE, s->n - b * AMX_SIDE),
                min_i64(AMX_DEPTH, s->k - q * AMX_DEPTH), s->is_b, to + ((b - b0) * pitch + q - s0) * AMX_TILE);
}
#endif

#endif
