/* planes_tile_y.h -- the innermost loop of planes.c: results of a few channels, a few vectors of pixels wide, that stay in
 * registers while all terms are added to them. One function for each size; which sizes: as the instruction set has registers (32 or
 * 16). */
#include "planes_vectors.h"

/* clang-format off */
#if defined(__AVX512F__)
enum { MAX_CHANNELS = 8 };
#define EACH_TILE_Y(F)                                                                                                             \
  F(8, 1) F(8, 2) F(8, 3) F(4, 1) F(4, 2) F(4, 3) F(4, 4) F(4, 5) F(4, 6) F(2, 1) F(2, 2) F(2, 3) F(2, 4) F(2, 5) F(2, 6) F(2, 7)  \
  F(2, 8) F(1, 1) F(1, 2) F(1, 3) F(1, 4) F(1, 5) F(1, 6) F(1, 7) F(1, 8)
static const int max_vectors[] = {[1] = 8, [2] = 8, [4] = 6, [8] = 3}; /* by channels */
#else
enum { MAX_CHANNELS = 4 };
#define EACH_TILE_Y(F)                                                                                                             \
  F(4, 1) F(4, 2) F(4, 3) F(2, 1) F(2, 2) F(2, 3) F(2, 4) F(1, 1) F(1, 2) F(1, 3) F(1, 4) F(1, 5) F(1, 6) F(1, 7) F(1, 8)
static const int max_vectors[] = {[1] = 8, [2] = 4, [4] = 3};
#endif
/* clang-format on */
enum { MAX_VECTORS = 8 };

#define UNROLL _Pragma("GCC unroll 16")

/* out[o][0 .. n-1] = bias[o] + sum over k of weight[k][o] * p[offset[k] + 0 .. n-1] for o < channels, with
 * (vectors - 1) * L < n <= vectors * L; channels of out are `plane` apart. Every element is added up in the order of the terms. */
static inline __attribute__((always_inline)) void tile_y(const int channels, const int vectors, int64_t terms,
                                                         const int32_t *offset, const float *weight, const float *p,
                                                         const float *bias, float *out, int64_t plane, int64_t n) {
  vec sum[MAX_CHANNELS][MAX_VECTORS];
  UNROLL for (int o = 0; o < channels; o++) UNROLL for (int v = 0; v < vectors; v++) sum[o][v] = (vec){0} + (bias ? bias[o] : 0);
  for (int64_t k = 0; k < terms; k++, weight += channels) {
    const float *q = p + offset[k];
    vec x[MAX_VECTORS];
    UNROLL for (int v = 0; v < vectors; v++) x[v] = *(const vec *)(q + v * L);
    UNROLL for (int o = 0; o < channels; o++) UNROLL for (int v = 0; v < vectors; v++) sum[o][v] += weight[o] * x[v];
  }
  if (n == vectors * L) {
    UNROLL for (int o = 0; o < channels; o++) UNROLL for (int v = 0; v < vectors; v++) * (vec *)(out + o * plane + v * L) =
        sum[o][v];
    return;
  }
  UNROLL for (int o = 0; o < channels; o++) {
    float *to = out + o * plane;
    UNROLL for (int v = 0; v + 1 < vectors; v++) * (vec *)(to + v * L) = sum[o][v];
    const vec rest = sum[o][vectors - 1];
    for (int64_t i = 0; i < n - (vectors - 1) * L; i++) to[(vectors - 1) * L + i] = rest[i];
  }
}

#define TILE_Y(C, V)                                                                                                               \
  static void tile_y_##C##_##V(int64_t terms, const int32_t *offset, const float *weight, const float *p, const float *bias,       \
                               float *out, int64_t plane, int64_t n) {                                                             \
    tile_y(C, V, terms, offset, weight, p, bias, out, plane, n);                                                                   \
  }
EACH_TILE_Y(TILE_Y)
#define ENTRY(C, V) [C][V] = tile_y_##C##_##V,
/* [channels][vectors] */
static const __typeof__(&tile_y_1_1) tiles_y[MAX_CHANNELS + 1][MAX_VECTORS + 1] = {EACH_TILE_Y(ENTRY)};
#undef ENTRY
#undef UNROLL
