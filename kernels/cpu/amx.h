/* amx.h -- products of pairs of bf16 numbers on AMX: up to four tiles of 16 x 16 results stay in the tile registers. Operands are
 * words as in bf16.h: two neighbours of the inner dimension, the earlier one in the lower half, stored as if they were a float.
 *
 * A tile of A is up to 16 rows of up to 16 words; a tile of B up to 16 rows (words of the inner dimension) of 16 columns. */
#ifndef MS_AMX_H
#define MS_AMX_H
#include "cpu.h"

enum {
  AMX_SIDE = 16,                  /* rows, and words of a row, of a tile */
  AMX_TILE = AMX_SIDE * AMX_SIDE, /* words, or floats, of a tile */
  AMX_DEPTH = 2 * AMX_SIDE        /* elements of the inner dimension of a step: those of one tile */
};

/* Is there AMX with bf16, may this process use it, and does MASCON_AMX not say 0? The first call asks the operating system for
 * permission. */
bool MS_NAME(ms_amx_ready)(void);

/* A thread configures its tiles before it uses them: rows of the tiles of A and of the results, words of a step. Costs 100 ns. It
 * releases them when it is done, so that the operating system need not save and restore 8 KB for it. */
void MS_NAME(ms_amx_configure)(int64_t rows, int64_t words);
void MS_NAME(ms_amx_release)(void);

/* Result (i, j) of `rows` x `cols`: c[i * cols + j] = start + sum over runs and steps of a[i] times b[j]. All distances in bytes:
 * from row to row, from step to step, from run to run. start NULL: zeros; start_row 0: the same row for all (a bias). Nothing
 * outside the configured rows and words is read. rows x cols: 1..4 x 1, 1 x 1..4, 2 x 2. */
typedef struct ms_amx {
  int64_t runs, steps;
  const void *a[4], *b[4];
  int64_t a_row, a_step, a_run, b_row, b_step, b_run;
  float *c[4];
  int64_t c_row;
  const float *start[4];
  int64_t start_row;
} ms_amx;
void MS_NAME(ms_amx_tiles)(const ms_amx *j, int rows, int cols);

/* A product of f32 matrices whose elements are rounded to bf16 first (ms_precision: bf16). Strides as gemm.h; C m x n, rows
 * adjacent. `team` threads share it; the bits do not depend on their number. work: ms_amx_bytes of workspace for that many threads.
 */
size_t MS_NAME(ms_amx_bytes)(int64_t m, int64_t n, int64_t k, int threads);
void MS_NAME(ms_amx_matmul)(int64_t m, int64_t n, int64_t k, const float *a, int64_t ra, int64_t ca, const float *b, int64_t rb,
                            int64_t cb, float *c, void *work, int team);

#endif
