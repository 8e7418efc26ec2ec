/* tile.c -- tile.h's functions. Each loop is written once (tile_loops.h, tile_bf16.h) and included for every number of rows R and
 * of vectors V; the tables hold the functions that this makes. */
#include "tile.h"

typedef float vec_f32 __attribute__((vector_size(TILE_BYTES), aligned(4), may_alias));
typedef double vec_f64 __attribute__((vector_size(TILE_BYTES), aligned(8), may_alias));

/* What all the loops begin and end with: sums that are 0; c = start + sums. */
#define UNROLL          _Pragma("GCC unroll 16")
#define TILE_CLEAR(vec) UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++) sum[i][v] = (vec){0};
#define TILE_STORE(vec)                                                                                                            \
  if (start)                                                                                                                       \
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++) sum[i][v] +=                                             \
        *(const vec *)(start + i * start_step + v * L);                                                                            \
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++) * (vec *)(c + i * c_step + v * L) = sum[i][v];

#define TILE_JOIN(a, b, c) a##_##b##_##c
#define TILE_JOINED(...)   TILE_JOIN(__VA_ARGS__)

#define TILE_LOOPS         "tile_loops.h"
#define TILE_NAME(x)       TILE_JOINED(G(x), R, V)
#define T                  float
#define G(x)               x##_f32
#define V                  1
#include "tile_rows.h"
#undef V
#define V 2
#include "tile_rows.h"
#undef V
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#define V    1
#include "tile_rows.h"
#undef V
#define V 2
#include "tile_rows.h"
#undef V
#undef T
#undef G
#undef TILE_LOOPS
#undef TILE_NAME

/* clang-format off */
#define ACROSS_F32(R) [R] = {NULL, across_f32_##R##_1, across_f32_##R##_2},
#define ALONG_F32(R)  [R] = {NULL, along_f32_##R##_1, along_f32_##R##_2},
#define ACROSS_F64(R) [R] = {NULL, across_f64_##R##_1, across_f64_##R##_2},
#define ALONG_F64(R)  [R] = {NULL, along_f64_##R##_1, along_f64_##R##_2},
#define BF16(R)       [R] = {NULL, bf16_##R##_1, bf16_##R##_2},
/* clang-format on */
const ms_tile_f32 MS_NAME(ms_tile_f32)[2][TILE_ROWS + 1][TILE_VECTORS + 1] = {{EACH_ROWS(ACROSS_F32)}, {EACH_ROWS(ALONG_F32)}};
const ms_tile_f64 MS_NAME(ms_tile_f64)[2][TILE_ROWS + 1][TILE_VECTORS + 1] = {{EACH_ROWS(ACROSS_F64)}, {EACH_ROWS(ALONG_F64)}};

#if defined(__AVX512F__)
#define TILE_LOOPS   "tile_bf16.h"
#define TILE_NAME(x) TILE_JOINED(x, R, V)
#define V            1
#include "tile_rows.h"
#undef V
#define V 2
#include "tile_rows.h"
#undef V
const ms_tile_f32 MS_NAME(ms_tile_bf16)[TILE_ROWS + 1][TILE_VECTORS + 1] = {EACH_ROWS(BF16)};
bool MS_NAME(ms_bf16_ready)(void) { return __builtin_cpu_supports("avx512bf16"); }
#else
const ms_tile_f32 MS_NAME(ms_tile_bf16)[TILE_ROWS + 1][TILE_VECTORS + 1];
bool MS_NAME(ms_bf16_ready)(void) { return false; }
#endif
