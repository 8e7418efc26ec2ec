/* turn.h -- matrices transposed by blocks. A template: the includer defines T (float, double) and G(name). */
#include "tile.h"

typedef T G(vec) __attribute__((vector_size(TILE_BYTES), aligned(sizeof(T)), may_alias));

/* The rows of an L x L block become its columns: bits of the numbers of row and column are exchanged one after another. */
static inline void G(transpose_rows)(G(vec) row[G(LANES)]) {
  enum { L = G(LANES) };
  typedef __typeof__((G(vec)){0} > (G(vec)){0}) lanes; /* integers as wide as T */
#pragma GCC unroll 4
  for (int d = 1; d < L; d *= 2) {
    lanes low, high;
#pragma GCC unroll 16
    for (int l = 0; l < L; l++) low[l] = l & d ? L + l - d : l, high[l] = l & d ? L + l : l + d;
#pragma GCC unroll 16
    for (int i = 0; i < L; i++) {
      if (i & d) continue;
      G(vec) a = row[i], b = row[i + d];
      row[i] = __builtin_shuffle(a, b, low), row[i + d] = __builtin_shuffle(a, b, high);
    }
  }
}

/* to[k * step + j] = from[j * r + k], L x L of them. */
static inline void G(transpose)(const T *from, int64_t r, T *to, int64_t step) {
  enum { L = G(LANES) };
  G(vec) row[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; i++) row[i] = *(const G(vec) *)(from + i * r);
  G(transpose_rows)(row);
#pragma GCC unroll 16
  for (int i = 0; i < L; i++) *(G(vec) *)(to + i * step) = row[i];
}

/* to[j * c + i] = from[i * plane + j] for i < c, j < n. */
static inline void G(turn)(const T *from, int64_t plane, int64_t c, int64_t n, T *to) {
  enum { L = G(LANES) };
  const int64_t deep = c / L * L, whole = n / L * L;
  for (int64_t i = 0; i < deep; i += L)
    for (int64_t j = 0; j < whole; j += L) G(transpose)(from + i * plane + j, plane, to + j * c + i, c);
  for (int64_t j = 0; j < whole; j++)
    for (int64_t i = deep; i < c; i++) to[j * c + i] = from[i * plane + j];
  for (int64_t j = whole; j < n; j++)
    for (int64_t i = 0; i < c; i++) to[j * c + i] = from[i * plane + j];
}
