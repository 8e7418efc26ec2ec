/* planes_vectors.h -- vectors of pixels, and which of their floats go where. */
#ifndef MS_CONV_PLANES_VECTORS_H
#define MS_CONV_PLANES_VECTORS_H
#include <stdint.h>

/* clang-format off */
#if defined(__AVX512F__)
enum { BYTES = 64 };
#define EVEN {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30}
#define ODD  {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31}
#define HALF_EVEN {0, 2, 4, 6, 8, 10, 12, 14}
#define HALF_ODD {1, 3, 5, 7, 9, 11, 13, 15}
#define LOW  {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23}
#define HIGH {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31}
#else
#if defined(__AVX__)
enum { BYTES = 32 };
#define EVEN {0, 2, 4, 6, 8, 10, 12, 14}
#define ODD  {1, 3, 5, 7, 9, 11, 13, 15}
#define HALF_EVEN {0, 2, 4, 6}
#define HALF_ODD {1, 3, 5, 7}
#define LOW  {0, 8, 1, 9, 2, 10, 3, 11}
#define HIGH {4, 12, 5, 13, 6, 14, 7, 15}
#else
enum { BYTES = 16 };
#define EVEN {0, 2, 4, 6}
#define ODD  {1, 3, 5, 7}
#define HALF_EVEN {0, 2}
#define HALF_ODD {1, 3}
#define LOW  {0, 4, 1, 5}
#define HIGH {2, 6, 3, 7}
#endif
#endif
/* clang-format on */
enum { L = BYTES / 4 };
typedef float vec __attribute__((vector_size(BYTES), aligned(4), may_alias));
typedef int32_t mask __attribute__((vector_size(BYTES), aligned(4), may_alias));

typedef float half __attribute__((vector_size(BYTES / 2), aligned(4), may_alias));
typedef int32_t half_mask __attribute__((vector_size(BYTES / 2), aligned(4), may_alias));

/* Every second float of 2 L from a on, or from a + 1; the same of L; floats of two vectors by turns, the first and the second half
 * of them. */
static inline vec even(const float *a) { return __builtin_shuffle(*(const vec *)a, *(const vec *)(a + L), (mask)EVEN); }
static inline vec odd(const float *a) { return __builtin_shuffle(*(const vec *)a, *(const vec *)(a + L), (mask)ODD); }
static inline half half_even(const float *a) {
  return __builtin_shuffle(*(const half *)a, *(const half *)(a + L / 2), (half_mask)HALF_EVEN);
}
static inline half half_odd(const float *a) {
  return __builtin_shuffle(*(const half *)a, *(const half *)(a + L / 2), (half_mask)HALF_ODD);
}
static inline vec turns_low(vec a, vec b) { return __builtin_shuffle(a, b, (mask)LOW); }
static inline vec turns_high(vec a, vec b) { return __builtin_shuffle(a, b, (mask)HIGH); }

#endif
