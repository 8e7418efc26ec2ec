/* sum.h -- sums over runs of contiguous elements, in 64 lanes for f32 (32 for f64), in an order that depends on the sizes only.
 *
 * A piece is at most MS_CHUNK elements (or one run): its lanes hold few enough terms for f32; what a caller adds pieces up in is
 * double. */
#ifndef MS_SUM_H
#define MS_SUM_H
#include "cpu.h"

typedef float ms_vec_float __attribute__((vector_size(64), aligned(4), may_alias));
typedef double ms_vec_double __attribute__((vector_size(64), aligned(8), may_alias));
typedef int32_t ms_mask_float __attribute__((vector_size(64), aligned(4), may_alias));
typedef int64_t ms_mask_double __attribute__((vector_size(64), aligned(8), may_alias));

/* SUM_VALUES: a. SUM_MOMENTS: a - m and, in *q, (a - m)^2. SUM_PRODUCTS: a and, in *q, a (b - m). */
enum { SUM_VALUES, SUM_MOMENTS, SUM_PRODUCTS };

/* Over `runs` runs of n elements, `step` elements apart. The last elements of a run, too few for a vector, are read with those
 * before them, which a mask then takes out. */
#define MS_SUMS(T, I)                                                                                                              \
  static inline __attribute__((always_inline)) double sums_##T(int kind, const T *a, const T *b, T m, int64_t runs, int64_t step,  \
                                                               int64_t n, double *q) {                                             \
    enum { W = 64 / sizeof(T) };                                                                                                   \
    typedef ms_vec_##T vec;                                                                                                        \
    typedef ms_mask_##T mask;                                                                                                      \
    static const I last[2 * W] = {[W... 2 * W - 1] = -1};                                                                          \
    vec p0 = {0}, p1 = {0}, p2 = {0}, p3 = {0}, q0 = {0}, q1 = {0}, q2 = {0}, q3 = {0};                                            \
    T sp = 0, sq = 0;                                                                                                              \
    for (int64_t r = 0; r < runs; r++, a += step, b = kind == SUM_PRODUCTS ? b + step : b) {                                       \
      int64_t i = 0;                                                                                                               \
      if (n < W) {                                                                                                                 \
        for (; i < n; i++) {                                                                                                       \
          sp += kind == SUM_MOMENTS ? a[i] - m : a[i];                                                                             \
          if (kind == SUM_MOMENTS) sq += (a[i] - m) * (a[i] - m);                                                                  \
          if (kind == SUM_PRODUCTS) sq += a[i] * (b[i] - m);                                                                       \
        }                                                                                                                          \
        continue;                                                                                                                  \
      }                                                                                                                            \
      for (; i + 4 * W <= n; i += 4 * W) {                                                                                         \
        MS_SUM_TERM(0, i)                                                                                                          \
        MS_SUM_TERM(1, i + W)                                                                                                      \
        MS_SUM_TERM(2, i + 2 * W)                                                                                                  \
        MS_SUM_TERM(3, i + 3 * W)                                                                                                  \
      }                                                                                                                            \
      for (; i + W <= n; i += W) MS_SUM_TERM(0, i)                                                                                 \
      if (i < n) {                                                                                                                 \
        mask keep = *(const mask *)(last + n - i);                                                                                 \
        vec v = *(const vec *)(a + n - W), t = v;                                                                                  \
        if (kind == SUM_MOMENTS) {                                                                                                 \
          t = v - m;                                                                                                               \
          q1 += (vec)((mask)(t * t) & keep);                                                                                       \
        }                                                                                                                          \
        p1 += (vec)((mask)t & keep);                                                                                               \
        if (kind == SUM_PRODUCTS) q1 += (vec)((mask)(v * (*(const vec *)(b + n - W) - m)) & keep);                                 \
      }                                                                                                                            \
    }                                                                                                                              \
    p0 = (p0 + p1) + (p2 + p3), q0 = (q0 + q1) + (q2 + q3);                                                                        \
    T lane[W];                                                                                                                     \
    *(vec *)lane = p0;                                                                                                             \
    for (int w = W / 2; w; w /= 2)                                                                                                 \
      for (int l = 0; l < w; l++) lane[l] += lane[l + w];                                                                          \
    double sum = (double)(lane[0] + sp);                                                                                           \
    if (kind != SUM_VALUES) {                                                                                                      \
      *(vec *)lane = q0;                                                                                                           \
      for (int w = W / 2; w; w /= 2)                                                                                               \
        for (int l = 0; l < w; l++) lane[l] += lane[l + w];                                                                        \
      *q = (double)(lane[0] + sq);                                                                                                 \
    }                                                                                                                              \
    return sum;                                                                                                                    \
  }
#define MS_SUM_TERM(k, at)                                                                                                         \
  {                                                                                                                                \
    vec v = *(const vec *)(a + (at));                                                                                              \
    if (kind == SUM_MOMENTS) {                                                                                                     \
      v -= m;                                                                                                                      \
      q##k += v * v;                                                                                                               \
    }                                                                                                                              \
    p##k += v;                                                                                                                     \
    if (kind == SUM_PRODUCTS) q##k += v * (*(const vec *)(b + (at)) - m);                                                          \
  }
MS_SUMS(float, int32_t)
MS_SUMS(double, int64_t)
#undef MS_SUMS
#undef MS_SUM_TERM

/* n contiguous elements, n <= MS_CHUNK. */
static inline double sum_piece_float(const float *a, int64_t n) { return sums_float(SUM_VALUES, a, a, 0, 1, 0, n, NULL); }
static inline double sum_piece_double(const double *a, int64_t n) { return sums_double(SUM_VALUES, a, a, 0, 1, 0, n, NULL); }

#endif
