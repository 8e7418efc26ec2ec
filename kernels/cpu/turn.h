/* turn.h -- matrices turned, that is transposed, by blocks of L x L elements, L lanes of a vector. A template: the includer defines
 * T (float, double) and G(name) (the name for that type).
 *
 * A block is turned in steps, one for each bit of a lane's number. Step k exchanges bit k of the row with bit k of the column of
 * every element: of two rows that differ in bit k, lanes trade places. After all steps row and column are exchanged. */
#include "tile.h"

typedef T G(vec) __attribute__((vector_size(TILE_BYTES), aligned(sizeof(T)), may_alias));

#ifndef MS_TURN_TABLES
#define MS_TURN_TABLES
/* Which lanes make up lane l of the two rows after a step, d = 1 << k: of the row without the bit (LOW) and with it (HIGH). Lanes
 * of the second row before the step count from L. */
#define TURN_LOW(L, d, l)  ((l) & (d) ? (L) + (l) - (d) : (l))
#define TURN_HIGH(L, d, l) ((l) & (d) ? (L) + (l) : (l) + (d))
#define TURN_ROW(F, L, d)                                                                                                          \
  {                                                                                                                                \
    F(L, d, 0), F(L, d, 1), F(L, d, 2), F(L, d, 3), F(L, d, 4), F(L, d, 5), F(L, d, 6), F(L, d, 7), F(L, d, 8), F(L, d, 9),        \
        F(L, d, 10), F(L, d, 11), F(L, d, 12), F(L, d, 13), F(L, d, 14), F(L, d, 15)                                               \
  }
#define TURN_TABLE(F, L)                                                                                                           \
  { TURN_ROW(F, L, 1), TURN_ROW(F, L, 2), TURN_ROW(F, L, 4), TURN_ROW(F, L, 8) }
static const int32_t turn_low_f32[4][16] = TURN_TABLE(TURN_LOW, LANES_f32), turn_high_f32[4][16] = TURN_TABLE(TURN_HIGH, LANES_f32);
static const int64_t turn_low_f64[4][16] = TURN_TABLE(TURN_LOW, LANES_f64), turn_high_f64[4][16] = TURN_TABLE(TURN_HIGH, LANES_f64);
#endif

/* The rows of a block become its columns. */
static inline void G(transpose_rows)(G(vec) row[G(LANES)]) {
  enum { L = G(LANES) };
  typedef __typeof__((G(vec)){0} > (G(vec)){0}) lanes __attribute__((aligned(4), may_alias)); /* integers as wide as T */
#pragma GCC unroll 4
  for (int k = 0; 1 << k < L; k++) {
    const lanes low = *(const lanes *)G(turn_low)[k], high = *(const lanes *)G(turn_high)[k];
#pragma GCC unroll 16
    for (int i = 0; i < L; i++) {
      if (i & 1 << k) continue;
      G(vec) a = row[i], b = row[i + (1 << k)];
      row[i] = __builtin_shuffle(a, b, low), row[i + (1 << k)] = __builtin_shuffle(a, b, high);
    }
  }
}

/* A block: to[k * step + j] = from[j * r + k] for j, k < L. */
static inline void G(transpose)(const T *from, int64_t r, T *to, int64_t step) {
  enum { L = G(LANES) };
  G(vec) row[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; i++) row[i] = *(const G(vec) *)(from + i * r);
  G(transpose_rows)(row);
#pragma GCC unroll 16
  for (int i = 0; i < L; i++) *(G(vec) *)(to + i * step) = row[i];
}

/* to[j * step + i] = from[i * plane + j] for i < c, j < n. */
static inline void G(turn_to)(const T *from, int64_t plane, int64_t c, int64_t n, T *to, int64_t step) {
  enum { L = G(LANES) };
  const int64_t deep = c / L * L, whole = n / L * L;
  for (int64_t i = 0; i < deep; i += L)
    for (int64_t j = 0; j < whole; j += L) G(transpose)(from + i * plane + j, plane, to + j * step + i, step);
  for (int64_t j = 0; j < whole; j++)
    for (int64_t i = deep; i < c; i++) to[j * step + i] = from[i * plane + j];
  for (int64_t j = whole; j < n; j++)
    for (int64_t i = 0; i < c; i++) to[j * step + i] = from[i * plane + j];
}

/* The same with nothing between: to[j * c + i]. */
static inline void G(turn)(const T *from, int64_t plane, int64_t c, int64_t n, T *to) { G(turn_to)(from, plane, c, n, to, c); }
