/* eigen.c -- all eigenvalues and eigenvectors of a real symmetric matrix, f64.
 *
 * Householder reflections to tridiagonal form, then implicit QL with Wilkinson's shift (Golub, Van Loan, Matrix Computations, 8.3;
 * the shape is EISPACK's tql2). Vectors are kept as rows, and reflections and rotations are applied to slabs of columns that stay
 * in the cache: columns do not depend on one another, so slabs are also what the threads share out, and the bits do not depend on
 * how. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/internal.h"

/* SLAB: columns of vectors worked on at a time. Rows of vectors are padded to a multiple of it. */
enum { SLAB = 32, ROTATIONS = 1 << 16 };

/* Rows row and row + 1 of the vectors change together: (upper, lower) <- (c upper - s lower, s upper + c lower). */
typedef struct rotation {
  double c, s;
  int64_t row;
} rotation;

/* ---- tridiagonal form -------------------------------------------------------------------------------------------- */

/* v[from..n-1]: reflection I - tau v v^T that takes x[from..] to (alpha, 0, ...). Returns alpha. */
static double reflection(int64_t from, int64_t n, const double *x, double *v, double *tau) {
  double rest = 0;
  for (int64_t i = from + 1; i < n; i++) rest += x[i] * x[i];
  for (int64_t i = from; i < n; i++) v[i] = x[i];
  *tau = 0;
  if (rest == 0) return x[from];
  const double norm = sqrt(x[from] * x[from] + rest), alpha = x[from] > 0 ? -norm : norm;
  v[from] = x[from] - alpha;
  *tau = 2 / (v[from] * v[from] + rest);
  return alpha;
}

/* NAME(row, v, n): their scalar product. VL: doubles in a register. */
#define DOT(NAME, TARGET, VL)                                                                                                      \
  TARGET static double NAME(const double *row, const double *v, int64_t n) {                                                       \
    typedef double vec __attribute__((vector_size((VL)*8), aligned(8), may_alias));                                                \
    vec s[4] = {{0}, {0}, {0}, {0}};                                                                                               \
    int64_t j = 0;                                                                                                                 \
    for (; j + 4 * (VL) <= n; j += 4 * (VL))                                                                                       \
      _Pragma("GCC unroll 4") for (int q = 0; q < 4; q++) s[q] +=                                                                  \
          *(const vec *)(row + j + q * (VL)) * *(const vec *)(v + j + q * (VL));                                                   \
    const vec all = (s[0] + s[1]) + (s[2] + s[3]);                                                                                 \
    double sum = 0;                                                                                                                \
    for (int l = 0; l < (VL); l++) sum += all[l];                                                                                  \
    for (; j < n; j++) sum += row[j] * v[j];                                                                                       \
    return sum;                                                                                                                    \
  }

/* Column `from` and the SLAB - 1 after it of the identity matrix, in z (n rows, ld apart). */
static void unit_columns(int64_t n, double *z, int64_t ld, int64_t from) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < SLAB; j++) z[i * ld + from + j] = i == from + j;
}

/* NAME(n, a, tau, z, ld, from): multiply column `from` and the SLAB - 1 after it of z (n rows, ld apart) by .. H2 H1. */
#define REFLECT(NAME, TARGET, VL)                                                                                                  \
  TARGET static void NAME(int64_t n, const double *a, const double *tau, double *z, int64_t ld, int64_t from) {                    \
    typedef double vec __attribute__((vector_size((VL)*8), aligned(8), may_alias));                                                \
    for (int64_t k = 0; k + 1 < n; k++) {                                                                                          \
      if (tau[k] == 0) continue;                                                                                                   \
      const double *v = a + k * n;                                                                                                 \
      for (int64_t part = 0; part < SLAB; part += 4 * (VL)) {                                                                      \
        vec sum[4] = {{0}, {0}, {0}, {0}};                                                                                         \
        for (int64_t i = k + 1; i < n; i++) {                                                                                      \
          const vec *row = (const vec *)(z + i * ld + from + part);                                                                \
          _Pragma("GCC unroll 4") for (int q = 0; q < 4; q++) sum[q] += v[i] * row[q];                                             \
        }                                                                                                                          \
        _Pragma("GCC unroll 4") for (int q = 0; q < 4; q++) sum[q] *= tau[k];                                                      \
        for (int64_t i = k + 1; i < n; i++) {                                                                                      \
          vec *row = (vec *)(z + i * ld + from + part);                                                                            \
          _Pragma("GCC unroll 4") for (int q = 0; q < 4; q++) row[q] -= v[i] * sum[q];                                             \
        }                                                                                                                          \
      }                                                                                                                            \
    }                                                                                                                              \
  }

/* NAME(z, ld, rotations, count): rotate SLAB columns of rows ld apart. */
#define ROTATE(NAME, TARGET, VL)                                                                                                   \
  TARGET static void NAME(double *z, int64_t ld, const rotation *rotations, int64_t count) {                                       \
    typedef double vec __attribute__((vector_size((VL)*8), aligned(8), may_alias));                                                \
    for (int64_t t = 0; t < count; t++) {                                                                                          \
      vec *upper = (vec *)(z + rotations[t].row * ld), *lower = (vec *)(z + (rotations[t].row + 1) * ld);                          \
      const double c = rotations[t].c, s = rotations[t].s;                                                                         \
      _Pragma("GCC unroll 16") for (int q = 0; q < SLAB / (VL); q++) {                                                             \
        const vec u = upper[q], l = lower[q];                                                                                      \
        upper[q] = c * u - s * l;                                                                                                  \
        lower[q] = s * u + c * l;                                                                                                  \
      }                                                                                                                            \
    }                                                                                                                              \
  }

/* NAME(row, a, w, b, v, n): row -= a w + b v. */
#define UPDATE(NAME, TARGET, VL)                                                                                                   \
  TARGET static void NAME(double *row, double a, const double *w, double b, const double *v, int64_t n) {                          \
    typedef double vec __attribute__((vector_size((VL)*8), aligned(8), may_alias));                                                \
    int64_t j = 0;                                                                                                                 \
    for (; j + (VL) <= n; j += (VL)) *(vec *)(row + j) -= a * *(const vec *)(w + j) + b * *(const vec *)(v + j);                   \
    for (; j < n; j++) row[j] -= a * w[j] + b * v[j];                                                                              \
  }

typedef struct eigen_kernels {
  double (*dot)(const double *row, const double *v, int64_t n);
  void (*update)(double *row, double a, const double *w, double b, const double *v, int64_t n);
  void (*reflect)(int64_t n, const double *a, const double *tau, double *z, int64_t ld, int64_t from);
  void (*rotate)(double *z, int64_t ld, const rotation *rotations, int64_t count);
} eigen_kernels;

#define KERNELS(ISA, TARGET, VL)                                                                                                   \
  DOT(dot_##ISA, TARGET, VL) UPDATE(update_##ISA, TARGET, VL) REFLECT(reflect_##ISA, TARGET, VL) ROTATE(rotate_##ISA, TARGET, VL)
KERNELS(base, , 2)
#if ML_VARIANTS
KERNELS(avx2, ML_TARGET_AVX2, 4)
KERNELS(avx512, ML_TARGET_AVX512, 8)
#endif

static eigen_kernels best_eigen_kernels(void) {
#if ML_VARIANTS
  const int isa = ml_isa();
  if (isa == ML_AVX512) return (eigen_kernels){dot_avx512, update_avx512, reflect_avx512, rotate_avx512};
  if (isa == ML_AVX2) return (eigen_kernels){dot_avx2, update_avx2, reflect_avx2, rotate_avx2};
#endif
  return (eigen_kernels){dot_base, update_base, reflect_base, rotate_base};
}

/* a (n x n, both triangles, overwritten) = H1 H2 .. T .. H2 H1. diag n, off n (off[i] couples i and i + 1). Reflection k is left in
 * row k of a, from column k + 1, and tau[k]. The rank-two update of step k - 1, a -= v w^T + w v^T, is done in step k, when the row
 * passes through the cache anyway. scratch: 4 n. */
static void tridiagonalise(const eigen_kernels *f, int64_t n, double *a, double *diag, double *off, double *tau, double *scratch) {
  double *v = scratch, *w = v + n, *old_v = w + n, *old_w = old_v + n;
  bool pending = false;
  for (int64_t k = 0; k < n; k++) {
    const int64_t next = k + 1, rest = n - next;
    double *row = a + k * n;
    if (pending) f->update(row + k, old_v[k], old_w + k, old_w[k], old_v + k, n - k);
    diag[k] = row[k];
    off[k] = tau[k] = 0;
    if (rest == 0) break;
    off[k] = reflection(next, n, row, v, &tau[k]);
    memcpy(row + next, v + next, (size_t)rest * sizeof *a);
    if (ms_interrupted()) return;
    MS_PARALLEL(rest > 1500 ? ms_threads() : 1, k_, rest, { /* below, waiting for one another costs more than it saves */
                                                            const int64_t i = next + k_;
                                                            double *to = a + i * n + next;
                                                            if (pending)
                                                              f->update(to, old_v[i], old_w + next, old_w[i], old_v + next, rest);
                                                            w[i] = tau[k] * f->dot(to, v + next, rest);
    });
    double vw = 0;
    for (int64_t i = next; i < n; i++) vw += v[i] * w[i];
    for (int64_t i = next; i < n; i++) w[i] -= 0.5 * tau[k] * vw * v[i];
    double *swap = v;
    v = old_v, old_v = swap;
    swap = w, w = old_w, old_w = swap;
    pending = tau[k] != 0;
  }
}

/* ---- QL ---------------------------------------------------------------------------------------------------------- */

static void apply_rotations(const eigen_kernels *f, double *z, int64_t ld, const rotation *rotations, int64_t count) {
  MS_TASKS(ms_threads(), id, slab, (ld + SLAB - 1) / SLAB, f->rotate(z + slab * SLAB, ld, rotations, count););
}

/* diag becomes the eigenvalues of the tridiagonal matrix, rows of z are rotated along. rotations: ROTATIONS + n of scratch. -1: no
 * convergence. */
static int implicit_ql(const eigen_kernels *k, int64_t n, double *diag, double *off, double *z, int64_t ld, rotation *rotations) {
  int64_t count = 0;
  double norm = 0;
  for (int64_t i = 0; i < n; i++) norm = fmax(norm, fabs(diag[i]) + fabs(off[i]));
  /* Rows of zeros (pixels that never change) leave a block of rounding noise, which has no end of its own: noise counts as zero. */
  const double noise = 0.01 * DBL_EPSILON * norm;
  for (int64_t l = 0; l < n; l++) {
    for (int sweep = 0;; sweep++) {
      int64_t m = l;
      for (; m + 1 < n; m++)
        if (fabs(off[m]) <= DBL_EPSILON * (fabs(diag[m]) + fabs(diag[m + 1])) + noise + DBL_MIN) break;
      if (m == l) break;
      if (sweep == 60 || ms_interrupted()) return -1;
      double g = (diag[l + 1] - diag[l]) / (2 * off[l]);
      g = diag[m] - diag[l] + off[l] / (g + copysign(hypot(g, 1), g));
      double s = 1, c = 1, p = 0;
      int64_t i = m - 1;
      for (; i >= l; i--) {
        const double f = s * off[i], b = c * off[i], r = hypot(f, g);
        off[i + 1] = r;
        if (r == 0) { /* the matrix splits here: take the shift back and start again */
          diag[i + 1] -= p;
          off[m] = 0;
          break;
        }
        s = f / r, c = g / r;
        g = diag[i + 1] - p;
        const double q = (diag[i] - g) * s + 2 * c * b;
        p = s * q;
        diag[i + 1] = g + p;
        g = c * q - b;
        rotations[count++] = (rotation){c, s, i};
      }
      if (i < l) {
        diag[l] -= p;
        off[l] = g;
        off[m] = 0;
      }
      if (count >= ROTATIONS) apply_rotations(k, z, ld, rotations, count), count = 0;
    }
  }
  apply_rotations(k, z, ld, rotations, count);
  return 0;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

typedef struct ranked_value {
  double value;
  int64_t row;
} ranked_value;

static int by_value(const void *a, const void *b) {
  const ranked_value *p = a, *q = b;
  if (p->value != q->value) return p->value < q->value ? 1 : -1;
  return (p->row > q->row) - (p->row < q->row);
}

/* Rows of z to vectors, largest value first, largest coefficient positive. */
static void arrange(int64_t n, const ranked_value *order, const double *z, int64_t ld, double scale, double *values,
                    double *vectors) {
  for (int64_t i = 0; i < n; i++) {
    const double *from = z + order[i].row * ld;
    int64_t most = 0;
    for (int64_t j = 1; j < n; j++)
      if (fabs(from[j]) > fabs(from[most])) most = j;
    const double sign = from[most] < 0 ? -1 : 1;
    for (int64_t j = 0; j < n; j++) vectors[i * n + j] = sign * from[j];
    values[i] = order[i].value * scale;
  }
}

int ms_eigen_symmetric(int64_t n, const double *a, double *values, double *vectors) {
  if (n < 1 || n > INT32_MAX) return ms_fail("eigen: expected 1 <= n < 2^31, got %lld", (long long)n), -1;
  double most = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) {
      const double v = a[i * n + j];
      if (!isfinite(v))
        return ms_fail("eigen: a[%lld][%lld] = %g, expected a finite number", (long long)i + 1, (long long)j + 1, v), -1;
      if (fabs(v) > most) most = fabs(v);
    }
  const double scale = most > 0 ? most : 1; /* so that no square overflows or underflows */
  const int64_t ld = (n + SLAB - 1) / SLAB * SLAB;
  double *t = ml_alloc(n * n, sizeof *t), *z = ml_alloc(n * ld, sizeof *z), *line = ml_alloc(n, 7 * sizeof *line);
  rotation *rotations = ml_alloc(ROTATIONS + n, sizeof *rotations);
  ranked_value *order = ml_alloc(n, sizeof *order);
  int rc = -1;
  if (!t || !z || !line || !rotations || !order) {
    ml_no_memory("eigen");
  } else {
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j <= i; j++) t[i * n + j] = t[j * n + i] = a[i * n + j] / scale;
    double *diag = line, *off = line + n, *tau = line + 2 * n;
    const eigen_kernels f = best_eigen_kernels();
    tridiagonalise(&f, n, t, diag, off, tau, line + 3 * n);
    MS_TASKS(ms_threads(), id, slab, (ld + SLAB - 1) / SLAB, {
      if (!ms_interrupted()) unit_columns(n, z, ld, slab * SLAB), f.reflect(n, t, tau, z, ld, slab * SLAB);
    });
    if (ms_interrupted() || implicit_ql(&f, n, diag, off, z, ld, rotations)) {
      if (ms_interrupted()) ms_stopped("eigen");
      ms_fail("eigen: no convergence in 60 sweeps (n = %lld)", (long long)n);
    } else {
      for (int64_t i = 0; i < n; i++) order[i] = (ranked_value){diag[i], i};
      qsort(order, (size_t)n, sizeof *order, by_value);
      arrange(n, order, z, ld, scale, values, vectors);
      rc = 0;
    }
  }
  free(t), free(z), free(line), free(rotations), free(order);
  return rc;
}
