/* pca.c -- principal components: covariance in f64, its eigenvectors, projection and back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/internal.h"

enum {
  PANEL = 16,  /* features side by side in a packed panel */
  BLOCK = 256, /* rows per pass: two packed panels stay in the L2 cache */
};

struct ms_pca {
  int64_t d, k;
  double total;
  double *mean;     /* d */
  double *basis;    /* k x d */
  double *down;     /* d x eight(k): the same turned and padded with zeros, for projecting */
  double *up;       /* k x eight(d): the same padded, for going back */
  double *variance; /* k */
};

static int64_t eight(int64_t n) { return (n + 7) / 8 * 8; }

typedef void (*product_fn)(int64_t k, const double *restrict a, const double *restrict b, double *restrict c, int64_t ldc);

#define T             double
#define PRODUCT_M     PANEL
#define PRODUCT_N     PANEL
#define BLOCK_VECTORS 2
#define ML_LOOPS      "ml/product_template.h"
#define ML_SIZE       8
#include "ml/variants.h"
#define PRODUCT(isa) product_##isa

/* ---- covariance -------------------------------------------------------------------------------------------------- */

static void means(int64_t n, int64_t d, const float *x, double *mean) {
  MS_PARALLEL(ms_threads(), block, (d + 63) / 64, {
    const int64_t j0 = 64 * block;
    const int64_t wide = d - j0 < 64 ? d - j0 : 64;
    double sum[64] = {0};
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < wide; j++) sum[j] += (double)x[i * d + j0 + j];
    for (int64_t j = 0; j < wide; j++) mean[j0 + j] = sum[j] / (double)n;
  });
}

int ms_covariance(int64_t n, int64_t d, const float *x, double *mean, double *covariance) {
  if (n < 2 || d < 1 || d > INT32_MAX)
    return ms_fail("covariance: expected at least 2 rows and 1 feature, got %lld x %lld", (long long)n, (long long)d), -1;
  if (ml_check_finite("covariance: x", n, d, x)) return -1;
  const int64_t panels = (d + PANEL - 1) / PANEL, wide = panels * PANEL, tiles = panels * (panels + 1) / 2;
  double *packed = ml_alloc(BLOCK * wide, sizeof *packed);
  double *sum = ml_alloc(tiles * PANEL * PANEL, sizeof *sum); /* tile (p, q <= p) is number p (p + 1) / 2 + q */
  if (!packed || !sum) return free(packed), free(sum), ml_no_memory("covariance"), -1;
  const product_fn product = ML_BEST(product_fn, PRODUCT);
  memset(sum, 0, (size_t)(tiles * PANEL * PANEL) * sizeof *sum);
  means(n, d, x, mean);
  for (int64_t from = 0; from < n && !ms_interrupted(); from += BLOCK) {
    const int64_t rows = n - from < BLOCK ? n - from : BLOCK;
    MS_PARALLEL(ms_threads(), p, panels, {
      for (int64_t r = 0; r < rows; r++) {
        double *to = packed + (p * BLOCK + r) * PANEL;
        const float *row = x + (from + r) * d;
        for (int64_t j = p * PANEL; j < (p + 1) * PANEL; j++) *to++ = j < d ? (double)row[j] - mean[j] : 0;
      }
    });
    MS_TASKS(ms_threads(), id, t, tiles, { /* tile t = p (p + 1) / 2 + q */
                                           int64_t p = (int64_t)((sqrt(8 * (double)t + 1) - 1) / 2);
                                           while (p * (p + 1) / 2 > t) p--;
                                           while ((p + 1) * (p + 2) / 2 <= t) p++;
                                           const int64_t q = t - p * (p + 1) / 2;
                                           product(rows, packed + p * BLOCK * PANEL, packed + q * BLOCK * PANEL,
                                                   sum + t * PANEL * PANEL, PANEL);
    });
  }
  if (ms_interrupted()) return free(packed), free(sum), ms_stopped("covariance"), -1;
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j <= i; j++) {
      const int64_t p = i / PANEL, q = j / PANEL;
      const double v = sum[((p * (p + 1) / 2 + q) * PANEL + i % PANEL) * PANEL + j % PANEL] / (double)(n - 1);
      covariance[i * d + j] = covariance[j * d + i] = v;
    }
  free(packed), free(sum);
  return 0;
}

/* ---- model ------------------------------------------------------------------------------------------------------- */

void ms_pca_free(ms_pca *p) {
  if (!p) return;
  free(p->mean), free(p->basis), free(p->down), free(p->up), free(p->variance), free(p);
}

ms_pca *ms_pca_set(int64_t d, int64_t k, const double *mean, const double *components, const double *variance, double total) {
  if (d < 1 || k < 1 || k > d) return ms_fail("pca: expected 1 <= k <= d, got k = %lld, d = %lld", (long long)k, (long long)d);
  ms_pca *p = calloc(1, sizeof *p);
  if (!p) return ml_no_memory("pca");
  p->d = d, p->k = k, p->total = total;
  p->mean = ml_alloc(d, sizeof *p->mean);
  const bool fits = k <= INT32_MAX && d <= INT32_MAX;
  p->basis = fits ? ml_alloc(k * d, sizeof *p->basis) : NULL;
  p->down = fits ? ml_alloc(d * eight(k), sizeof *p->down) : NULL;
  p->up = fits ? ml_alloc(k * eight(d), sizeof *p->up) : NULL;
  p->variance = ml_alloc(k, sizeof *p->variance);
  if (!p->mean || !p->basis || !p->down || !p->up || !p->variance) return ms_pca_free(p), ml_no_memory("pca");
  memcpy(p->mean, mean, (size_t)d * sizeof *mean);
  memcpy(p->basis, components, (size_t)(k * d) * sizeof *components);
  memcpy(p->variance, variance, (size_t)k * sizeof *variance);
  memset(p->down, 0, (size_t)(d * eight(k)) * sizeof *p->down);
  memset(p->up, 0, (size_t)(k * eight(d)) * sizeof *p->up);
  for (int64_t c = 0; c < k; c++)
    for (int64_t j = 0; j < d; j++) p->down[j * eight(k) + c] = p->up[c * eight(d) + j] = components[c * d + j];
  return p;
}

ms_pca *ms_pca_fit(int64_t n, int64_t d, const float *x, int64_t k) {
  if (d < 1 || k < 1 || k > d) return ms_fail("pca: expected 1 <= k <= d, got k = %lld, d = %lld", (long long)k, (long long)d);
  double *mean = ml_alloc(d, sizeof *mean), *values = ml_alloc(d, sizeof *values);
  double *covariance = d <= INT32_MAX ? ml_alloc(d * d, sizeof *covariance) : NULL;
  double *vectors = d <= INT32_MAX ? ml_alloc(d * d, sizeof *vectors) : NULL;
  ms_pca *p = NULL;
  if (!mean || !values || !covariance || !vectors) {
    ml_no_memory("pca");
  } else if (ms_covariance(n, d, x, mean, covariance) == 0 && ms_eigen_symmetric(d, covariance, values, vectors) == 0) {
    double total = 0;
    for (int64_t j = 0; j < d; j++) total += covariance[j * d + j];
    for (int64_t j = 0; j < d; j++)
      if (values[j] < 0) values[j] = 0; /* rounding: a covariance has none */
    p = ms_pca_set(d, k, mean, vectors, values, total);
  }
  free(mean), free(values), free(covariance), free(vectors);
  return p;
}

int64_t ms_pca_features(const ms_pca *p) { return p->d; }
int64_t ms_pca_components(const ms_pca *p) { return p->k; }
const double *ms_pca_mean(const ms_pca *p) { return p->mean; }
const double *ms_pca_basis(const ms_pca *p) { return p->basis; }
const double *ms_pca_variance(const ms_pca *p) { return p->variance; }
double ms_pca_total(const ms_pca *p) { return p->total; }

/* NAME(count, v, shift, m, ld, out): the ld sums over j < count of (v[j] - shift[j]) * m[j], rows of m ld apart, ld a multiple of
 * 8; shift NULL = 0. Four registers of sums at a time. */
#define COMBINE_SOME(VECTORS)                                                                                                      \
  {                                                                                                                                \
    vec sum[VECTORS];                                                                                                              \
    _Pragma("GCC unroll 16") for (int q = 0; q < (VECTORS); q++) sum[q] = (vec){0};                                                \
    for (int64_t j = 0; j < count; j++) {                                                                                          \
      const double value = shift ? (double)v[j] - shift[j] : (double)v[j];                                                         \
      const vec *row = (const vec *)(m + j * ld + c);                                                                              \
      _Pragma("GCC unroll 16") for (int q = 0; q < (VECTORS); q++) sum[q] += value * row[q];                                       \
    }                                                                                                                              \
    _Pragma("GCC unroll 16") for (int q = 0; q < (VECTORS); q++)((vec *)(out + c))[q] = sum[q];                                    \
  }
#define COMBINE(NAME, TARGET, VL)                                                                                                  \
  TARGET static void NAME(int64_t count, const float *v, const double *shift, const double *m, int64_t ld, double *out) {          \
    typedef double vec __attribute__((vector_size((VL)*8), aligned(8), may_alias));                                                \
    int64_t c = 0;                                                                                                                 \
    for (; c + 4 * (VL) <= ld; c += 4 * (VL)) COMBINE_SOME(4)                                                                      \
    for (; c < ld; c += 8) COMBINE_SOME(8 / (VL))                                                                                  \
  }
COMBINE(combine_base, , 2)
#if ML_VARIANTS
COMBINE(combine_avx2, ML_TARGET_AVX2, 4)
COMBINE(combine_avx512, ML_TARGET_AVX512, 8)
#endif
typedef void (*combine_fn)(int64_t count, const float *v, const double *shift, const double *m, int64_t ld, double *out);

#define COMBINED(isa) combine_##isa

/* out (n x wide) = base + (v - shift) m, v: n x count, m: count x ld. -1: no memory. */
static int project(int64_t n, int64_t count, const float *v, const double *shift, const double *m, int64_t ld, const double *base,
                   int64_t wide, float *out) {
  const combine_fn combine = ML_BEST(combine_fn, COMBINED);
  bool failed = false;
  const int team = ms_threads();
  MS_TOGETHER(team, id, {
    double *sum = ml_alloc(ld, sizeof *sum);
    if (!sum) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    for (int64_t i = n * id / team; sum && i < n * (id + 1) / team && !ms_interrupted(); i++) {
      combine(count, v + i * count, shift, m, ld, sum);
      for (int64_t c = 0; c < wide; c++) out[i * wide + c] = (float)(base ? base[c] + sum[c] : sum[c]);
    }
    free(sum);
  });
  if (ms_interrupted()) return ms_stopped("pca"), -1;
  return failed ? ml_no_memory("pca"), -1 : 0;
}

static int check_count_and_values(const char *what, int64_t n, int64_t d, const float *x) {
  if (n < 0) return ms_fail("%s: expected a number of rows >= 0, got %lld", what, (long long)n), -1;
  return ml_check_finite(what, n, d, x);
}

int ms_pca_transform(const ms_pca *p, int64_t n, const float *x, float *codes) {
  if (!p || check_count_and_values("pca: x", n, p->d, x)) return -1;
  return project(n, p->d, x, p->mean, p->down, eight(p->k), NULL, p->k, codes);
}

int ms_pca_inverse(const ms_pca *p, int64_t n, const float *codes, float *x) {
  if (!p || check_count_and_values("pca: codes", n, p->k, codes)) return -1;
  return project(n, p->k, codes, NULL, p->up, eight(p->d), p->mean, p->d, x);
}
