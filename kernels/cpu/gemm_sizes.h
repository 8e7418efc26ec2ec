/* gemm_sizes.h -- sizes of gemm.h that its callers need too. */
#ifndef MS_GEMM_SIZES_H
#define MS_GEMM_SIZES_H
#include "tile.h"

enum {
  GEMM_KC = 384,            /* rows of a packed block of B */
  GEMM_NC = 256,            /* and columns */
  GEMM_COPY = 64,           /* columns of the result from which on it pays to copy a tile of A */
  GEMM_DOTS = 2,            /* most rows, or columns, of a product that is computed as dot products */
  GEMM_LINES = 16,          /* cache lines that are prefetched in a row of B */
  GEMM_ALIAS = 4096,        /* bytes: rows that lie a multiple of this apart share few sets of the first-level cache, */
  GEMM_ALIASED_ROWS = 7,    /*   so only so many are read at a time: more would fall out of an 8-way cache */
  GEMM_ROWS_AHEAD = 12,     /* rows that are prefetched while rows of B are packed as they lie */
  GEMM_ELEMENTS_AHEAD = 64, /* elements of a row that are prefetched while B is packed by transposes */
  GEMM_EDGE = TILE_ROWS * 2 * TILE_BYTES / (int)sizeof(float), /* elements: a tile that juts out of the result */
  GEMM_PACK = GEMM_EDGE + (TILE_ROWS + GEMM_NC) * GEMM_KC + 16 /* most elements of `room` that a product of depth GEMM_KC wants */
};

/* What a packed B is to a call of gemm. */
typedef enum gemm_keep {
  GEMM_PASSING, /* a block is packed at a time, one in place of the other */
  GEMM_KEEP,    /* all of B is packed, to stay for later calls */
  GEMM_KEPT     /* it is there from an earlier call */
} gemm_keep;

/* Is a product computed as dot products: rows of A with columns of B, both contiguous, few on a side? Asked of a whole product and
 * not of its pieces: bits depend on it. ca, rb: strides from column to column of A, from row to row of B. */
static inline bool gemm_dots(int64_t m, int64_t n, int64_t ca, int64_t rb) {
  return ca == 1 && rb == 1 && (m <= GEMM_DOTS || n <= GEMM_DOTS);
}

#endif
