/* metrics.c -- accuracy, confusion matrix; and the small things the other files of runtime/ml share. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/internal.h"

double ms_accuracy(int64_t n, const int32_t *truth, const int32_t *predicted) {
  if (n < 1) return ms_fail("accuracy: expected at least one label, got %lld", (long long)n), NAN;
  int64_t right = 0;
  for (int64_t i = 0; i < n; i++) right += truth[i] == predicted[i];
  return (double)right / (double)n;
}

int ms_confusion(int64_t n, int32_t classes, const int32_t *truth, const int32_t *predicted, int64_t *counts) {
  if (n < 0 || classes < 1)
    return ms_fail("confusion: expected n >= 0 and classes >= 1, got %lld and %d", (long long)n, classes), -1;
  if (ml_check_labels("confusion: truth", n, truth, classes) < 0) return -1;
  if (ml_check_labels("confusion: predicted", n, predicted, classes) < 0) return -1;
  memset(counts, 0, (size_t)classes * (size_t)classes * sizeof *counts);
  for (int64_t i = 0; i < n; i++) counts[(int64_t)(truth[i] - MS_INDEX_BASE) * classes + predicted[i] - MS_INDEX_BASE]++;
  return 0;
}

void *ml_alloc(int64_t count, size_t size) {
  size_t bytes;
  if (count < 0 || __builtin_mul_overflow((uint64_t)count, size, &bytes) || bytes > PTRDIFF_MAX - 64) return NULL;
  bytes = (bytes + 63) & ~(size_t)63;
  return aligned_alloc(64, bytes ? bytes : 64);
}

void *ml_no_memory(const char *what) { return ms_fail("%s: out of memory", what); }

/* A float is finite when the bits of its exponent are not all set. */
typedef uint32_t u32x8 __attribute__((vector_size(32)));

int ml_check_finite(const char *what, int64_t n, int64_t d, const float *x) {
  const int64_t total = n * d;
  int64_t bad = total;
  MS_PARALLEL(total > 1 << 18 ? ms_threads() : 1, block, (total + 4095) / 4096, {
    const int64_t from = block * 4096, to = from + 4096 < total ? from + 4096 : total;
    u32x8 worst = {0};
    int64_t i = from;
    for (; i + 8 <= to; i += 8) {
      u32x8 bits;
      memcpy(&bits, x + i, sizeof bits);
      worst |= (u32x8)((bits & 0x7f800000u) == 0x7f800000u);
    }
    uint32_t any = 0;
    for (int lane = 0; lane < 8; lane++) any |= worst[lane];
    for (; i < to; i++) any |= !isfinite(x[i]);
    for (i = from; any && i < to; i++)
      for (int64_t least = __atomic_load_n(&bad, __ATOMIC_RELAXED); !isfinite(x[i]) && i < least;)
        if (__atomic_compare_exchange_n(&bad, &least, i, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) break;
  });
  if (bad == total) return 0;
  ms_fail("%s[%lld][%lld] = %g, expected a finite number", what, (long long)(bad / d + MS_INDEX_BASE),
          (long long)(bad % d + MS_INDEX_BASE),
          fabs((double)x[bad]) >= 0 ? (double)x[bad] : fabs(NAN)); /* a NaN has a sign, which nobody wants to read */
  return -1;
}

int32_t ml_check_labels(const char *what, int64_t n, const int32_t *y, int32_t classes) {
  if (classes < 0) return ms_fail("%s: expected classes >= 0, got %d", what, classes), -1;
  const int32_t most = classes > 0 ? classes : INT_MAX - 1;
  int32_t largest = 0;
  for (int64_t i = 0; i < n; i++) {
    if (y[i] < MS_INDEX_BASE || y[i] > most) {
      const long long at = (long long)(i + MS_INDEX_BASE);
      if (classes > 0) ms_fail("%s[%lld] = %d, expected %d..%d", what, at, y[i], MS_INDEX_BASE, classes);
      else ms_fail("%s[%lld] = %d, expected a class from %d", what, at, y[i], MS_INDEX_BASE);
      return -1;
    }
    if (y[i] > largest) largest = y[i];
  }
  return classes > 0 ? classes : largest;
}

static int isa_limit = ML_AVX512;

void ml_limit_isa(int isa) { isa_limit = isa; }

int ml_isa(void) {
  int best = ML_BASE;
#if ML_VARIANTS
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    best = ML_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq"))
      best = ML_AVX512;
  }
#endif
  return best < isa_limit ? best : isa_limit;
}
