/* tile.c -- tile.h's functions. `across` walks a with a pointer to every third row: the rows between are one and two steps on,
 * which addresses express, so that no rows need packing. */
#include "tile.h"

#define UNROLL _Pragma("GCC unroll 16")
typedef float vec_f32 __attribute__((vector_size(TILE_BYTES), aligned(4), may_alias));
typedef double vec_f64 __attribute__((vector_size(TILE_BYTES), aligned(8), may_alias));

/* clang-format off */
#define ASK(k) __builtin_prefetch(line, 0, 2); line += (k) % 16 == 15 ? ask.outer : ask.inner;
#define HEAD(T, S, R, V)                                                                                                           \
  (int64_t runs, int64_t len, const T *a, int64_t a_run, int64_t a_step, const T *b, int64_t b_run, int64_t b_step, T *c,          \
   int64_t c_step, const T *start, int64_t start_step, const ms_fetch *fetch) {                                                    \
    enum { L = LANES_##S };                                                                                                        \
    const ms_fetch ask = fetch ? *fetch : (ms_fetch){(const char *)a, 0, 0};                                                       \
    const char *line = ask.at;                                                                                                     \
    vec_##S sum[R][V];                                                                                                             \
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++) sum[i][v] = (vec_##S){0};
#define TAIL(S, R, V)                                                                                                              \
    if (start)                                                                                                                     \
      UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++)                                                        \
        sum[i][v] += *(const vec_##S *)(start + i * start_step + v * L);                                                           \
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++) *(vec_##S *)(c + i * c_step + v * L) = sum[i][v];        \
  }

#define DEFINE(T, S, R, V)                                                                                                         \
  static void along_##S##_##R##_##V HEAD(T, S, R, V)                                                                               \
    for (; runs > 0; runs--, a += a_run, b += b_run) {                                                                             \
      const T *p = a, *q = b;                                                                                                      \
      for (int64_t left = len; left > 0; left -= 16, line += ask.outer - ask.inner)                                                \
        for (int64_t k = left < 16 ? left : 16; k > 0; k--, p += a_step, q += b_step, line += ask.inner) {                         \
          __builtin_prefetch(line, 0, 2);                                                                                          \
          vec_##S y[V];                                                                                                            \
          UNROLL for (int v = 0; v < V; v++) y[v] = *(const vec_##S *)(q + v * L);                                                 \
          UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++) TILE_ADD_##S(sum[i][v], p + i, y[v]);              \
        }                                                                                                                          \
    }                                                                                                                              \
  TAIL(S, R, V)                                                                                                                    \
  static void across_##S##_##R##_##V HEAD(T, S, R, V)                                                                              \
    for (; runs > 0; runs--, a += a_run, b += b_run) {                                                                             \
      const T *p[(R + 2) / 3], *q = b;                                                                                             \
      UNROLL for (int i = 0; i < (R + 2) / 3; i++) p[i] = a + 3 * i * a_step;                                                      \
      int64_t k = 0;                                                                                                               \
      for (; k + 4 <= len; k += 4) {                                                                                               \
        UNROLL for (int u = 0; u < 4; u++, q += b_step) {                                                                          \
          ACROSS(T, S, R, V, u)                                                                                                    \
        }                                                                                                                          \
        UNROLL for (int i = 0; i < (R + 2) / 3; i++) p[i] += 4;                                                                    \
        if (k % 16 == 12) line += ask.outer - ask.inner;                                                                           \
      }                                                                                                                            \
      for (; k < len; k++, q += b_step) {                                                                                          \
        ACROSS(T, S, R, V, 0)                                                                                                      \
        UNROLL for (int i = 0; i < (R + 2) / 3; i++) p[i]++;                                                                       \
      }                                                                                                                            \
    }                                                                                                                              \
  TAIL(S, R, V)
/* Column k + u of `across`. */
#define ACROSS(T, S, R, V, u)                                                                                                      \
  __builtin_prefetch(line, 0, 2);                                                                                                  \
  line += ask.inner;                                                                                                               \
  vec_##S y[V];                                                                                                                    \
  UNROLL for (int v = 0; v < V; v++) y[v] = *(const vec_##S *)(q + v * L);                                                         \
  UNROLL for (int i = 0; i < R; i++) {                                                                                             \
    if (i % 3 == 0) UNROLL for (int v = 0; v < V; v++) TILE_ADD_##S(sum[i][v], p[i / 3] + u, y[v]);                                \
    else {                                                                                                                         \
      const T x = p[i / 3][u + i % 3 * a_step];                                                                                    \
      UNROLL for (int v = 0; v < V; v++) TILE_LOAD_##S(sum[i][v], x, y[v]);                                                        \
    }                                                                                                                              \
  }

#define ROWS_f32(R) DEFINE(float, f32, R, 1) DEFINE(float, f32, R, 2)
#define ROWS_f64(R) DEFINE(double, f64, R, 1) DEFINE(double, f64, R, 2)
EACH_ROWS(ROWS_f32)
EACH_ROWS(ROWS_f64)

#define ENTRY_across_f32(R) [R] = {NULL, across_f32_##R##_1, across_f32_##R##_2},
#define ENTRY_along_f32(R) [R] = {NULL, along_f32_##R##_1, along_f32_##R##_2},
#define ENTRY_across_f64(R) [R] = {NULL, across_f64_##R##_1, across_f64_##R##_2},
#define ENTRY_along_f64(R) [R] = {NULL, along_f64_##R##_1, along_f64_##R##_2},
const ms_tile_f32 MS_NAME(ms_tile_f32)[2][TILE_ROWS + 1][TILE_VECTORS + 1] = {{EACH_ROWS(ENTRY_across_f32)},
                                                                               {EACH_ROWS(ENTRY_along_f32)}};
const ms_tile_f64 MS_NAME(ms_tile_f64)[2][TILE_ROWS + 1][TILE_VECTORS + 1] = {{EACH_ROWS(ENTRY_across_f64)},
                                                                               {EACH_ROWS(ENTRY_along_f64)}};

#if defined(__AVX512F__)
#define BF16(R, V)                                                                                                                 \
  __attribute__((target("avx512bf16"))) static void bf16_##R##_##V HEAD(float, f32, R, V)                                          \
    for (; runs > 0; runs--, a += a_run, b += b_run) {                                                                             \
      const float *p[5] = {a, a + 3 * a_step, a + 6 * a_step, a + 9 * a_step, a + 12 * a_step}, *q = b;                            \
      for (int64_t k = 0; k < len; k++, q += b_step) {                                                                             \
        ASK(k)                                                                                                                     \
        __m512bh y[V];                                                                                                             \
        UNROLL for (int v = 0; v < V; v++) y[v] = (__m512bh)_mm512_loadu_ps(q + v * L);                                            \
        UNROLL for (int i = 0; i < R; i++) {                                                                                       \
          const __m512bh x = (__m512bh)_mm512_set1_ps(p[i / 3][i % 3 * a_step]);                                                   \
          UNROLL for (int v = 0; v < V; v++) sum[i][v] = (vec_f32)_mm512_dpbf16_ps((__m512)sum[i][v], x, y[v]);                    \
        }                                                                                                                          \
        UNROLL for (int i = 0; i < (R + 2) / 3; i++) p[i]++;                                                                       \
      }                                                                                                                            \
    }                                                                                                                              \
  TAIL(f32, R, V)
#define ROWS_bf16(R) BF16(R, 1) BF16(R, 2)
EACH_ROWS(ROWS_bf16)
#define ENTRY_bf16(R) [R] = {NULL, bf16_##R##_1, bf16_##R##_2},
const ms_tile_f32 MS_NAME(ms_tile_bf16)[TILE_ROWS + 1][TILE_VECTORS + 1] = {EACH_ROWS(ENTRY_bf16)};
bool MS_NAME(ms_bf16_ready)(void) { return __builtin_cpu_supports("avx512bf16"); }
#else
const ms_tile_f32 MS_NAME(ms_tile_bf16)[TILE_ROWS + 1][TILE_VECTORS + 1];
bool MS_NAME(ms_bf16_ready)(void) { return false; }
#endif
/* clang-format on */
