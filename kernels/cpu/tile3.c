/* tile3.c -- tile.h's loops for kernels three columns wide (tile3_loops.h), included for every number of rows R; the tables hold
 * the functions that this makes. */
#include "tile.h"

#define UNROLL _Pragma("GCC unroll 16")
typedef float vec __attribute__((vector_size(TILE_BYTES), aligned(4), may_alias));
enum { L = LANES_f32 };

#define TILE_JOIN(a, b)   a##_##b
#define TILE_JOINED(a, b) TILE_JOIN(a, b)
#define TILE_NAME(x)      TILE_JOINED(x, R)
#define TILE_LOOPS        "tile3_loops.h"
#include "tile_rows.h"

/* clang-format off */
#define ROW3(R)  [R] = row3_##R,
#define SUMS3(R) [R] = sums3_##R,
/* clang-format on */
const ms_tile_row3 MS_NAME(ms_tile_row3)[TILE_ROWS + 1] = {EACH_ROWS(ROW3)};
const ms_tile_sums3 MS_NAME(ms_tile_sums3)[SUMS3_ROWS + 1] = {EACH_SUMS3(SUMS3)};
