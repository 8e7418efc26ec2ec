/* tile3.c -- tile.h's loops for kernels three columns wide. */
#include "tile.h"

#define UNROLL _Pragma("GCC unroll 16")
typedef float vec __attribute__((vector_size(TILE_BYTES), aligned(4), may_alias));
enum { L = LANES_f32 };

/* clang-format off */
#define HEAD(a)                                                                                                                    \
    const ms_fetch ask = fetch ? *fetch : (ms_fetch){(const char *)(a), 0, 0};                                                       \
    const char *line = ask.at;
#define ASK(k) __builtin_prefetch(line, 0, 2); line += (k) % 16 == 15 ? ask.outer : ask.inner;

#define ROW3(R)                                                                                                                    \
  static void row3_##R(int64_t runs, int64_t c, const float *a, int64_t a_run, const float *b, int64_t b_run, float *out,          \
                       int64_t step, const float *start, const ms_fetch *fetch) {                                                  \
    HEAD(a)                                                                                                                        \
    vec sum[R];                                                                                                                    \
    UNROLL for (int i = 0; i < R; i++) sum[i] = (vec){0};                                                                          \
    for (; runs > 0; runs--, a += a_run, b += b_run) {                                                                             \
      const float *p[6] = {a, a + 3 * c, a + 6 * c, a + 9 * c, a + 12 * c, a + 15 * c}, *q = b;                                    \
      for (int64_t k = 0; k < c; k++, q += L) {                                                                                    \
        ASK(k)                                                                                                                     \
        const vec w0 = *(const vec *)q, w1 = *(const vec *)(q + c * L), w2 = *(const vec *)(q + 2 * c * L);                        \
        UNROLL for (int u = 0; u < R + 2; u++) {                                                                                   \
          const float x = p[u / 3][u % 3 * c];                                                                                     \
          if (u < R) sum[u] += x * w0;                                                                                             \
          if (u > 0 && u <= R) sum[u - 1] += x * w1;                                                                               \
          if (u > 1) sum[u - 2] += x * w2;                                                                                         \
        }                                                                                                                          \
        UNROLL for (int i = 0; i < (R + 4) / 3; i++) p[i]++;                                                                       \
      }                                                                                                                            \
    }                                                                                                                              \
    UNROLL for (int i = 0; i < R; i++) *(vec *)(out + i * step) = sum[i] + *(const vec *)start;                                    \
  }
EACH_ROWS(ROW3)
#define ENTRY_ROW3(R) [R] = row3_##R,
const ms_tile_row3 MS_NAME(ms_tile_row3)[TILE_ROWS + 1] = {EACH_ROWS(ENTRY_ROW3)};

/* One pixel of x with the y of the results that it is part of: those s of 0, 1, 2 from..to. */
#define PIXEL(R, from, to)                                                                                                         \
  UNROLL for (int s = from; s <= to; s++) y[s] = *(const vec *)(g - s * L);                                                        \
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int s = from; s <= to; s++) TILE_ADD_f32(sum[s][i], q + i, y[s]);                 \
  q += c, g += L;
#define SUMS3(R)                                                                                                                   \
  static void sums3_##R(int64_t runs, int64_t n, int64_t c, const float *x, int64_t x_run, const float *y0, int64_t y_run,         \
                        float *sums, const ms_fetch *fetch) {                                                                      \
    HEAD(x)                                                                                                                        \
    vec sum[3][R], y[3];                                                                                                           \
    UNROLL for (int s = 0; s < 3; s++) UNROLL for (int i = 0; i < R; i++) sum[s][i] = (vec){0};                                    \
    for (; runs > 0; runs--, x += x_run, y0 += y_run) {                                                                            \
      const float *q = x, *g = y0;                                                                                                 \
      PIXEL(R, 0, 0)                                                                                                               \
      PIXEL(R, 0, 1)                                                                                                               \
      for (int64_t left = n - 2; left > 0; left -= 16, line += ask.outer - ask.inner)                                              \
        for (int64_t u = min_i64(left, 16); u > 0; u--) {                                                                            \
          __builtin_prefetch(line, 0, 2);                                                                                          \
          line += ask.inner;                                                                                                       \
          PIXEL(R, 0, 2)                                                                                                           \
        }                                                                                                                          \
      PIXEL(R, 1, 2)                                                                                                               \
      PIXEL(R, 2, 2)                                                                                                               \
    }                                                                                                                              \
    UNROLL for (int s = 0; s < 3; s++) UNROLL for (int i = 0; i < R; i++) *(vec *)(sums + (s * c + i) * L) += sum[s][i];           \
  }
#if defined(__AVX512F__)
#define EACH_SUMS3(F) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8)
#else
#define EACH_SUMS3(F) F(1) F(2) F(3)
#endif
EACH_SUMS3(SUMS3)
#define ENTRY_SUMS3(R) [R] = sums3_##R,
const ms_tile_sums3 MS_NAME(ms_tile_sums3)[SUMS3_ROWS + 1] = {EACH_SUMS3(ENTRY_SUMS3)};
/* clang-format on */
