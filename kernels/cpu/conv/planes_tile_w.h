/* planes_tile_w.h -- the innermost loop of planes_weights.c: sums for a few channels of y and a few terms that stay in registers
 * while the pixels of a strip are multiplied. One function for each size; which sizes: as the instruction set has registers (32 or
 * 16). */
#include "planes_vectors.h"

/* clang-format off */
#if defined(__AVX512F__)
enum { MAX_TERMS = 6 };
#define EACH_TILE_W(F)                                                                                                             \
  F(4, 1) F(4, 2) F(4, 3) F(4, 4) F(4, 5) F(4, 6) F(2, 1) F(2, 2) F(2, 3) F(2, 4) F(2, 5) F(2, 6) F(1, 1) F(1, 2) F(1, 3) F(1, 4)  \
  F(1, 5) F(1, 6)
#else
enum { MAX_TERMS = 3 };
#define EACH_TILE_W(F) F(4, 1) F(4, 2) F(4, 3) F(2, 1) F(2, 2) F(2, 3) F(1, 1) F(1, 2) F(1, 3)
#endif
/* clang-format on */
enum { MAX_CHANNELS = 4 };

typedef struct strip { /* pixels of `images` images: vectors, and `tail` more */
  int64_t images, vectors, image_step, g_step, g_plane, tail_step;
  const float *g, *tail; /* tail: the last pixels of each plane of g, zeros behind them; NULL: none */
  mask last;             /* the lanes of planes that are part of the tail */
} strip;

#define UNROLL _Pragma("GCC unroll 16")

/* sums[i][k][lane] += the strip's products of channel o + i of g and of the planes at offset[k], i < channels, k < terms. */
static inline __attribute__((always_inline)) void tile_w(const int channels, const int terms, const strip *s, const int32_t *offset,
                                                         const float *p, int64_t o, float *sums) {
  vec sum[MAX_CHANNELS][MAX_TERMS];
  UNROLL for (int i = 0; i < channels; i++) UNROLL for (int k = 0; k < terms; k++) sum[i][k] = *(vec *)(sums + (i * terms + k) * L);
  for (int64_t m = 0; m < s->images; m++) {
    const float *g = s->g + m * s->g_step + o * s->g_plane, *q = p + m * s->image_step;
    for (int64_t v = 0; v < s->vectors; v++, g += L, q += L) {
      vec y[MAX_CHANNELS];
      UNROLL for (int i = 0; i < channels; i++) y[i] = *(const vec *)(g + i * s->g_plane);
      UNROLL for (int k = 0; k < terms; k++) {
        vec x = *(const vec *)(q + offset[k]);
        UNROLL for (int i = 0; i < channels; i++) sum[i][k] += x * y[i];
      }
    }
    if (!s->tail) continue;
    const float *t = s->tail + m * s->tail_step + o * L;
    UNROLL for (int k = 0; k < terms; k++) {
      vec x = (vec)(*(const mask *)(q + offset[k]) & s->last);
      UNROLL for (int i = 0; i < channels; i++) sum[i][k] += x * *(const vec *)(t + i * L);
    }
  }
  UNROLL for (int i = 0; i < channels; i++) UNROLL for (int k = 0; k < terms; k++) * (vec *)(sums + (i * terms + k) * L) =
      sum[i][k];
}

#define TILE_W(C, K)                                                                                                               \
  static void tile_w_##C##_##K(const strip *s, const int32_t *offset, const float *p, int64_t o, float *sums) {                    \
    tile_w(C, K, s, offset, p, o, sums);                                                                                           \
  }
EACH_TILE_W(TILE_W)
#define ENTRY(C, K) [C][K] = tile_w_##C##_##K,
/* [channels][terms] */
static const __typeof__(&tile_w_1_1) tiles_w[MAX_CHANNELS + 1][MAX_TERMS + 1] = {EACH_TILE_W(ENTRY)};
#undef ENTRY
#undef UNROLL
