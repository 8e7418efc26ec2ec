/* tile_rows.h -- includes the template TILE_LOOPS for every number of rows R of a tile, 1 .. TILE_ROWS. */
#define R 1
#include TILE_LOOPS
#undef R
#define R 2
#include TILE_LOOPS
#undef R
#define R 3
#include TILE_LOOPS
#undef R
#define R 4
#include TILE_LOOPS
#undef R
#define R 5
#include TILE_LOOPS
#undef R
#define R 6
#include TILE_LOOPS
#undef R
#if defined(__AVX512F__)
#define R 7
#include TILE_LOOPS
#undef R
#define R 8
#include TILE_LOOPS
#undef R
#define R 9
#include TILE_LOOPS
#undef R
#define R 10
#include TILE_LOOPS
#undef R
#define R 11
#include TILE_LOOPS
#undef R
#define R 12
#include TILE_LOOPS
#undef R
#define R 13
#include TILE_LOOPS
#undef R
#define R 14
#include TILE_LOOPS
#undef R
#endif
