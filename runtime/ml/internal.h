/* internal.h -- what the files of runtime/ml share: checked memory, argument checks, products per instruction set. */
#ifndef MASCON_ML_INTERNAL_H
#define MASCON_ML_INTERNAL_H
#include "ml/ml.h"
#include "team.h"

/* count * size bytes, aligned to 64, contents undefined; NULL without a message on overflow or when there is no memory, so that it
 * may be called from any thread. Freed by free(). */
void *ml_alloc(int64_t count, size_t size);
/* The message for it. Returns NULL. */
void *ml_no_memory(const char *what);

/* -1 and a message that names the first element that is not finite: "what[row][column] = nan, expected a finite number". */
int ml_check_finite(const char *what, int64_t n, int64_t d, const float *x);
/* The number of classes (classes, or the largest label when classes is 0), or -1 and a message. */
int32_t ml_check_labels(const char *what, int64_t n, const int32_t *y, int32_t classes);

/* ---- instruction sets -------------------------------------------------------------------------------------------- */

enum { ML_BASE, ML_AVX2, ML_AVX512 };
/* The best this processor has, at most what ml_limit_isa() allowed (tests run every variant). */
int ml_isa(void);
void ml_limit_isa(int isa);

#if defined(__x86_64__)
#define ML_TARGET_AVX2   __attribute__((target("avx2,fma")))
#define ML_TARGET_AVX512 __attribute__((target("avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")))
#define ML_VARIANTS      1
#else
#define ML_VARIANTS 0
#endif

/* Defines NAME(k, a, b, c, ldc): c[MR][NR] += sum over p < k of a[p * MR + i] * b[p * NR + j], both packed. The tile is worked in
 * pieces of IR x (JV vectors of VL elements), which must fit the registers of the target together with JV + 1 vectors. */
#define ML_PRODUCT(NAME, TARGET, T, MR, NR, IR, JV, VL)                                                                            \
  TARGET static void NAME(int64_t k, const T *restrict a, const T *restrict b, T *restrict c, int64_t ldc) {                       \
    typedef T vec __attribute__((vector_size((VL) * sizeof(T)), aligned(sizeof(T)), may_alias));                                   \
    for (int j0 = 0; j0 < (NR); j0 += (JV) * (VL))                                                                                 \
      for (int i0 = 0; i0 < (MR); i0 += (IR)) {                                                                                    \
        vec acc[IR][JV];                                                                                                           \
        _Pragma("GCC unroll 16") for (int i = 0; i < (IR); i++) _Pragma("GCC unroll 16") for (int v = 0; v < (JV); v++)            \
            acc[i][v] = (vec){0};                                                                                                  \
        const T *ap = a + i0, *bp = b + j0;                                                                                        \
        for (int64_t p = 0; p < k; p++, ap += (MR), bp += (NR)) {                                                                  \
          vec bv[JV];                                                                                                              \
          _Pragma("GCC unroll 16") for (int v = 0; v < (JV); v++) bv[v] = *(const vec *)(bp + v * (VL));                           \
          _Pragma("GCC unroll 16") for (int i = 0; i < (IR); i++) _Pragma("GCC unroll 16") for (int v = 0; v < (JV); v++)          \
              acc[i][v] += ap[i] * bv[v];                                                                                          \
        }                                                                                                                          \
        _Pragma("GCC unroll 16") for (int i = 0; i < (IR); i++) _Pragma("GCC unroll 16") for (int v = 0; v < (JV); v++) *          \
            (vec *)(c + (i0 + i) * ldc + j0 + v * (VL)) += acc[i][v];                                                              \
      }                                                                                                                            \
  }

#endif
