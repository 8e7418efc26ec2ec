/* internal.h -- what the files of runtime/ml share: checked memory, argument checks, instruction sets. */
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

/* |a - b|^2 of d elements, in f64: the function for this processor, which gives the same bits on each. */
typedef double (*ml_distance_fn)(const float *a, const float *b, int64_t d);
ml_distance_fn ml_distance(void);

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

/* NAMES(isa) for the best instruction set there is, as a `type`: a function of a template (variants.h), or a struct of them. */
#if ML_VARIANTS
#define ML_BEST(type, NAMES)                                                                                                       \
  (ml_isa() == ML_AVX512 ? (type)NAMES(avx512) : ml_isa() == ML_AVX2 ? (type)NAMES(avx2) : (type)NAMES(base))
#else
#define ML_BEST(type, NAMES) ((type)NAMES(base))
#endif

#endif
