/* conv_tiles.h -- the innermost loops of conv_direct.c: result tiles of TO channels x TV vectors (or TO channels x TK terms) that
 * stay in registers, one function for each size. Which sizes: as the instruction set has registers (32 or 16). Every element is
 * added up in the order of the terms. */
#include <stdint.h>

/* clang-format off */
#if defined(__AVX512F__)
enum { BYTES = 64, TO_MOST = 8 };
#define FORWARD(F)                                                                                                                 \
  F(8, 1) F(8, 2) F(8, 3) F(4, 1) F(4, 2) F(4, 3) F(4, 4) F(4, 5) F(4, 6) F(2, 1) F(2, 2) F(2, 3) F(2, 4) F(2, 5) F(2, 6) F(2, 7)  \
  F(2, 8) F(1, 1) F(1, 2) F(1, 3) F(1, 4) F(1, 5) F(1, 6) F(1, 7) F(1, 8)
#define WEIGHTS(F)                                                                                                                 \
  F(4, 1) F(4, 2) F(4, 3) F(4, 4) F(4, 5) F(4, 6) F(2, 1) F(2, 2) F(2, 3) F(2, 4) F(2, 5) F(2, 6) F(1, 1) F(1, 2) F(1, 3) F(1, 4)  \
  F(1, 5) F(1, 6)
static const int tv_most[] = {[1] = 8, [2] = 8, [4] = 6, [8] = 3};
enum { TK_MOST = 6 };
#define EVEN {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30}
#define ODD  {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31}
#define HALF_EVEN {0, 2, 4, 6, 8, 10, 12, 14}
#define HALF_ODD {1, 3, 5, 7, 9, 11, 13, 15}
#define LOW  {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23}
#define HIGH {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31}
#else
#if defined(__AVX__)
enum { BYTES = 32, TO_MOST = 4 };
#define EVEN {0, 2, 4, 6, 8, 10, 12, 14}
#define ODD  {1, 3, 5, 7, 9, 11, 13, 15}
#define HALF_EVEN {0, 2, 4, 6}
#define HALF_ODD {1, 3, 5, 7}
#define LOW  {0, 8, 1, 9, 2, 10, 3, 11}
#define HIGH {4, 12, 5, 13, 6, 14, 7, 15}
#else
enum { BYTES = 16, TO_MOST = 4 };
#define EVEN {0, 2, 4, 6}
#define ODD  {1, 3, 5, 7}
#define HALF_EVEN {0, 2}
#define HALF_ODD {1, 3}
#define LOW  {0, 4, 1, 5}
#define HIGH {2, 6, 3, 7}
#endif
#define FORWARD(F)                                                                                                                 \
  F(4, 1) F(4, 2) F(4, 3) F(2, 1) F(2, 2) F(2, 3) F(2, 4) F(1, 1) F(1, 2) F(1, 3) F(1, 4) F(1, 5) F(1, 6) F(1, 7) F(1, 8)
#define WEIGHTS(F) F(4, 1) F(4, 2) F(4, 3) F(2, 1) F(2, 2) F(2, 3) F(1, 1) F(1, 2) F(1, 3)
static const int tv_most[] = {[1] = 8, [2] = 4, [4] = 3};
enum { TK_MOST = 3 };
#endif
/* clang-format on */
enum { L = BYTES / 4, TW_MOST = 4 };
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

typedef struct strip { /* pixels of `images` images: vectors, and `tail` more */
  int64_t images, vectors, image_step, g_step, g_plane, tail_step;
  const float *g, *tail; /* tail: the last pixels of each plane of g, zeros behind them; NULL: none */
  mask last;             /* the lanes of planes that are part of the tail */
} strip;

/* clang-format off */
#define UNROLL _Pragma("GCC unroll 16")

/* out[o][0 .. n-1] = bias[o] + sum over k of weight[k][o] * p[offset[k] + 0 .. n-1]; channels of out are `plane` apart.
 * (TV-1) * L < n <= TV * L. */
#define DEFINE(TO, TV)                                                                                                             \
  static void tile_##TO##_##TV(int64_t terms, const int32_t *offset, const float *weight, const float *p, const float *bias,       \
                               float *out, int64_t plane, int64_t n) {                                                             \
    vec sum[TO][TV];                                                                                                               \
    UNROLL for (int o = 0; o < TO; o++) UNROLL for (int v = 0; v < TV; v++) sum[o][v] = (vec){0} + (bias ? bias[o] : 0);           \
    for (int64_t k = 0; k < terms; k++, weight += TO) {                                                                            \
      const float *q = p + offset[k];                                                                                              \
      vec x[TV];                                                                                                                   \
      UNROLL for (int v = 0; v < TV; v++) x[v] = *(const vec *)(q + v * L);                                                        \
      UNROLL for (int o = 0; o < TO; o++) UNROLL for (int v = 0; v < TV; v++) sum[o][v] += weight[o] * x[v];                       \
    }                                                                                                                              \
    if (n == TV * L) {                                                                                                             \
      UNROLL for (int o = 0; o < TO; o++) UNROLL for (int v = 0; v < TV; v++) *(vec *)(out + o * plane + v * L) = sum[o][v];       \
    } else                                                                                                                         \
      for (int o = 0; o < TO; o++) {                                                                                               \
        UNROLL for (int v = 0; v + 1 < TV; v++) *(vec *)(out + o * plane + v * L) = sum[o][v];                                     \
        for (int64_t i = (TV - 1) * L; i < n; i++) out[o * plane + i] = sum[o][TV - 1][i - (TV - 1) * L];                          \
      }                                                                                                                            \
  }
FORWARD(DEFINE)
#undef DEFINE
typedef __typeof__(&tile_1_1) tile_function;
#define ENTRY(TO, TV) [TO][TV] = tile_##TO##_##TV,
static const tile_function tile[TO_MOST + 1][9] = {FORWARD(ENTRY)};

/* sums[o][k][lane] += the strip's products of channel o of g and of the planes at offset[k]. */
#define DEFINE(TO, TK)                                                                                                             \
  static void weights_##TO##_##TK(const strip *s, const int32_t *offset, const float *p, int64_t o, float *sums) {                 \
    vec sum[TO][TK];                                                                                                               \
    UNROLL for (int i = 0; i < TO; i++) UNROLL for (int k = 0; k < TK; k++) sum[i][k] = *(vec *)(sums + (i * TK + k) * L);         \
    for (int64_t m = 0; m < s->images; m++) {                                                                                      \
      const float *g = s->g + m * s->g_step + o * s->g_plane, *q = p + m * s->image_step;                                          \
      for (int64_t v = 0; v < s->vectors; v++, g += L, q += L) {                                                                   \
        vec y[TO];                                                                                                                 \
        UNROLL for (int i = 0; i < TO; i++) y[i] = *(const vec *)(g + i * s->g_plane);                                             \
        UNROLL for (int k = 0; k < TK; k++) {                                                                                      \
          vec x = *(const vec *)(q + offset[k]);                                                                                   \
          UNROLL for (int i = 0; i < TO; i++) sum[i][k] += x * y[i];                                                               \
        }                                                                                                                          \
      }                                                                                                                            \
      if (!s->tail) continue;                                                                                                      \
      const float *t = s->tail + m * s->tail_step + o * L;                                                                         \
      UNROLL for (int k = 0; k < TK; k++) {                                                                                        \
        vec x = (vec)(*(const mask *)(q + offset[k]) & s->last);                                                                   \
        UNROLL for (int i = 0; i < TO; i++) sum[i][k] += x * *(const vec *)(t + i * L);                                            \
      }                                                                                                                            \
    }                                                                                                                              \
    UNROLL for (int i = 0; i < TO; i++) UNROLL for (int k = 0; k < TK; k++) *(vec *)(sums + (i * TK + k) * L) = sum[i][k];         \
  }
WEIGHTS(DEFINE)
#undef DEFINE
typedef __typeof__(&weights_1_1) weights_function;
#define ENTRY_W(TO, TK) [TO][TK] = weights_##TO##_##TK,
static const weights_function weights_tile[TW_MOST + 1][TK_MOST + 1] = {WEIGHTS(ENTRY_W)};
/* clang-format on */
