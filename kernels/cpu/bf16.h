/* bf16.h -- f32 rounded to bf16: to nearest, ties to even; NaN stays NaN. A word is 32 bits with two neighbours of an inner
 * dimension, the earlier one in the lower half: what the tiles of ms_tile_bf16 multiply. Words are stored in arrays of float. */
#ifndef MS_BF16_H
#define MS_BF16_H
#include "tile.h"
#include <string.h>

#define T    float
#define G(x) x##_f32
#include "turn.h"
#undef T
#undef G

typedef uint32_t vec_u32 __attribute__((vector_size(TILE_BYTES), aligned(4), may_alias));
typedef int32_t vec_i32 __attribute__((vector_size(TILE_BYTES), aligned(4), may_alias));

static inline vec_u32 round_bf16(vec_f32 x) { /* the upper halves are the results */
  const vec_u32 u = (vec_u32)x, number = (vec_u32)(x == x);
  return (number & (u + 0x7fff + ((u >> 16) & 1))) | (~number & (u | 0x400000));
}

#if defined(__AVX512F__)
/* Callers have made sure that there is AVX512_BF16 (ms_bf16_ready), whose instruction rounds two vectors at once: the numbers of
 * the first one go to the lower half. It makes denormals zeros, which is what the products take them for. */
static inline vec_f32 rounded(vec_f32 first, vec_f32 second) {
  vec_f32 out;
  __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(out) : "v"(first), "v"(second));
  return out;
}
static inline vec_f32 words(vec_f32 low, vec_f32 high) {
  typedef uint16_t halves __attribute__((vector_size(TILE_BYTES)));
  const halves turns = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return (vec_f32)__builtin_shuffle((halves)rounded(low, high), turns);
}
/* From 2 L adjacent numbers L words. */
static inline vec_f32 adjacent(const float *from) { return rounded(*(const vec_f32 *)from, *(const vec_f32 *)(from + LANES_f32)); }
#else
static inline vec_f32 words(vec_f32 low, vec_f32 high) {
  return (vec_f32)((round_bf16(high) & 0xffff0000u) | (round_bf16(low) >> 16));
}

/* From 2 L adjacent numbers L words. */
static inline vec_f32 adjacent(const float *from) {
  enum { L = LANES_f32 };
  vec_i32 even, odd;
#pragma GCC unroll 16
  for (int i = 0; i < L; i++) even[i] = 2 * i, odd[i] = 2 * i + 1;
  const vec_f32 a = *(const vec_f32 *)from, b = *(const vec_f32 *)(from + L);
  return words(__builtin_shuffle(a, b, even), __builtin_shuffle(a, b, odd));
}
#endif

static inline float word(float low, float high) {
  float out;
  vec_f32 v = words((vec_f32){low}, (vec_f32){high});
  memcpy(&out, &v, sizeof out);
  return out;
}

/* n adjacent numbers, rounded and adjacent; a last half word is filled with zero. */
static inline void round_row(const float *from, int64_t n, float *to) {
  enum { L = LANES_f32 };
  const int64_t whole = n / (2 * L) * (2 * L), left = n - whole;
  for (int64_t i = 0; i < whole; i += 2 * L) *(vec_f32 *)(to + i / 2) = adjacent(from + i);
  if (!left) return;
  float part[2 * L] = {0};
  memcpy(part, from + whole, (size_t)left * sizeof(float));
  const vec_f32 last = adjacent(part);
  memcpy(to + whole / 2, &last, (size_t)(left + 1) / 2 * sizeof(float));
}

/* to[i * step + p] = the word of from(i, 2 p) and from(i, 2 p + 1), element (i, k) at i * r + k * c; zero beyond `depth`. n rows.
 */
static inline void words_across(const float *from, int64_t r, int64_t c, int64_t n, int64_t depth, float *to, int64_t step) {
  enum { L = LANES_f32 };
  const int64_t all = (depth + 1) / 2, whole = depth / (2 * L) * L;
  for (int64_t i = 0; i < n; i++) {
    int64_t p = 0;
    if (c == 1)
      for (; p < whole; p += L) *(vec_f32 *)(to + i * step + p) = adjacent(from + i * r + 2 * p);
    else if (r == 1 && i % L == 0 && i + L <= n)
      for (; p < whole; p += L) {
        vec_f32 row[L];
        for (int q = 0; q < L; q++) {
          const float *at = from + i + 2 * (p + q) * c;
          row[q] = words(*(const vec_f32 *)at, *(const vec_f32 *)(at + c));
        }
        transpose_rows_f32(row);
        for (int q = 0; q < L; q++) *(vec_f32 *)(to + (i + q) * step + p) = row[q];
      }
    else if (r == 1 && i / L * L + L <= n) p = whole; /* done with its block */
    for (; p < all; p++) {
      const float *at = from + i * r + 2 * p * c;
      to[i * step + p] = word(*at, 2 * p + 1 < depth ? at[c] : 0);
    }
  }
}

/* to[p * width + j] = the word of from(2 p, j) and from(2 p + 1, j), element (k, j) at k * r + j * c; zero beyond `depth`, and for
 * j from n to width - 1. n <= width = L or 2 L. */
static inline void words_panel(const float *from, int64_t r, int64_t c, int64_t n, int64_t width, int64_t depth, float *to) {
  enum { L = LANES_f32 };
  const int64_t all = (depth + 1) / 2;
  for (int64_t j = 0; j < width; j += L) {
    int64_t p = 0;
    if (c == 1 && j + L <= n)
      for (; p < depth / 2; p++) {
        const float *at = from + 2 * p * r + j;
        *(vec_f32 *)(to + p * width + j) = words(*(const vec_f32 *)at, *(const vec_f32 *)(at + r));
      }
    else if (r == 1 && j + L <= n)
      for (; p + L <= depth / 2; p += L) {
        vec_f32 row[L];
        for (int q = 0; q < L; q++) row[q] = adjacent(from + (j + q) * c + 2 * p);
        transpose_rows_f32(row);
        for (int q = 0; q < L; q++) *(vec_f32 *)(to + (p + q) * width + j) = row[q];
      }
    for (; p < all; p++)
      for (int64_t i = j; i < j + L; i++) {
        const float *at = from + 2 * p * r + i * c;
        to[p * width + i] = i < n ? word(*at, 2 * p + 1 < depth ? at[r] : 0) : 0;
      }
  }
}

#endif
