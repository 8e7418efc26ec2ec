/* tile.h -- the innermost loop of products and channels-last convolutions: a tile, `rows` x up to two vectors of results, that
 * stays in registers (tile.c). One function for each number of rows and of vectors, in a table.
 *
 *     c[i * c_step + j] = start[i * start_step + j] + sum over r < runs, k < len of a(r, k, i) * b[r * b_run + k * b_step + j]
 *
 * with a(r, k, i) = a[r * a_run + k + i * a_step]   in `across` (rows a_step apart, the inner dimension adjacent)
 *      a(r, k, i) = a[r * a_run + k * a_step + i]   in `along`  (rows adjacent)
 *
 * start: NULL for zeros; c itself adds to what is there; a row with start_step 0 is a bias. An element is added up from zero in the
 * order of r and k, and start is added to that: long sums are sums of shorter ones. b, start and c are read and written in whole
 * vectors, so there must be as many elements.
 *
 * fetch: memory that will soon be wanted. One cache line of it is prefetched for each k, since a burst of prefetches would hold up
 * the sums. NULL: nothing. */
#ifndef MS_TILE_H
#define MS_TILE_H
#include "cpu.h"
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

/* TILE_BYTES: a vector. TILE_ROWS: rows of a tile, as many as leave registers for two vectors of b and a number of a. EACH_ROWS: F
 * of every number of rows. SUMS3_ROWS, EACH_SUMS3: the same for ms_tile_sums3, which has three sums a row. */
#if defined(__AVX512F__)
enum { TILE_BYTES = 64, TILE_ROWS = 14 };
#define EACH_ROWS(F)  F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13) F(14)
#define EACH_SUMS3(F) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8)
#define SUMS3_ROWS    8
#else
#if defined(__AVX__)
enum { TILE_BYTES = 32, TILE_ROWS = 6 };
#else
enum { TILE_BYTES = 16, TILE_ROWS = 6 };
#endif
#define EACH_ROWS(F)  F(1) F(2) F(3) F(4) F(5) F(6)
#define EACH_SUMS3(F) F(1) F(2) F(3)
#define SUMS3_ROWS    3
#endif
enum { TILE_VECTORS = 2, LANES_f32 = TILE_BYTES / 4, LANES_f64 = TILE_BYTES / 8 };

/* to += *x * y, one number for all lanes, rounded once where the processor can. TILE_ADD lets the multiply-add itself read *x: one
 * operation for the processor's front end and not two, which shows where two programs share a core. It pays where the address is a
 * register and a constant. An address with an index register is split into two operations again; TILE_LOAD is for that. */
#if defined(__AVX512F__)
#define TILE_ADD_f32(to, x, y)  __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(to) : "v"(y), "m"(*(x)))
#define TILE_ADD_f64(to, x, y)  __asm__("vfmadd231pd %2%{1to8%}, %1, %0" : "+v"(to) : "v"(y), "m"(*(x)))
#define TILE_LOAD_f32(to, x, y) (to) = (vec_f32)_mm512_fmadd_ps(_mm512_set1_ps(x), (__m512)(y), (__m512)(to))
#define TILE_LOAD_f64(to, x, y) (to) = (vec_f64)_mm512_fmadd_pd(_mm512_set1_pd(x), (__m512d)(y), (__m512d)(to))
#else
#define TILE_ADD_f32(to, x, y)  (to) += *(x) * (y)
#define TILE_ADD_f64(to, x, y)  (to) += *(x) * (y)
#define TILE_LOAD_f32(to, x, y) (to) += (x) * (y)
#define TILE_LOAD_f64(to, x, y) (to) += (x) * (y)
#endif

/* Lines to prefetch: at `at`, then on by `inner` bytes 15 times, then by `outer` once, and so on. Prefetching faults nowhere, so
 * the addresses may lie behind the end of the memory. */
typedef struct ms_fetch {
  const char *at;
  int64_t inner, outer;
} ms_fetch;

#define TILE_PARAMETERS(T)                                                                                                         \
  int64_t runs, int64_t len, const T *a, int64_t a_run, int64_t a_step, const T *b, int64_t b_run, int64_t b_step, T *c,           \
      int64_t c_step, const T *start, int64_t start_step, const ms_fetch *fetch
typedef void (*ms_tile_f32)(TILE_PARAMETERS(float));
typedef void (*ms_tile_f64)(TILE_PARAMETERS(double));

/* [along: 1, across: 0][rows][vectors] */
extern const ms_tile_f32 MS_NAME(ms_tile_f32)[2][TILE_ROWS + 1][TILE_VECTORS + 1];
extern const ms_tile_f64 MS_NAME(ms_tile_f64)[2][TILE_ROWS + 1][TILE_VECTORS + 1];

/* Products of pairs of bf16 numbers, added up in f32 (AVX512_BF16), like `across`: a and b hold 32-bit words of two neighbours in
 * the inner dimension (bf16.h), and len counts words. The table is empty where the processor has no such instruction: ask
 * ms_bf16_ready. */
extern const ms_tile_f32 MS_NAME(ms_tile_bf16)[TILE_ROWS + 1][TILE_VECTORS + 1];
bool MS_NAME(ms_bf16_ready)(void);

/* Kernels three columns wide, moved by one pixel at a time, for one vector of results. A pixel of `c` numbers is read once for the
 * three results that it is part of, where `across` reads it three times (tile3.c).
 *
 * ms_tile_row3: out[i * step + j] = start[j] + sum over r < runs, k < c, s < 3 of a[r * a_run + (i + s) * c + k] * b[r * b_run +
 * (s * c + k) * L + j] for i < rows, j < L; the order of the additions is that of r, k, s.
 * ms_tile_sums3: sums[(s * c + i) * L + j] += sum over r < runs, u < n of x[r * x_run + (u + s) * c + i] * y[r * y_run + u * L + j]
 * for s < 3, i < rows <= SUMS3_ROWS; n >= 2. */
#define ROW3_PARAMETERS                                                                                                            \
  int64_t runs, int64_t c, const float *a, int64_t a_run, const float *b, int64_t b_run, float *out, int64_t step,                 \
      const float *start, const ms_fetch *fetch
#define SUMS3_PARAMETERS                                                                                                           \
  int64_t runs, int64_t n, int64_t c, const float *x, int64_t x_run, const float *y, int64_t y_run, float *sums,                   \
      const ms_fetch *fetch
typedef void (*ms_tile_row3)(ROW3_PARAMETERS);
typedef void (*ms_tile_sums3)(SUMS3_PARAMETERS);
extern const ms_tile_row3 MS_NAME(ms_tile_row3)[TILE_ROWS + 1];
extern const ms_tile_sums3 MS_NAME(ms_tile_sums3)[SUMS3_ROWS + 1];

#endif
