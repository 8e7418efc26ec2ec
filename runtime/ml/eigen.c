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

enum {
  SLAB = 32,           /* columns of vectors that are worked on at a time; rows of vectors are padded to a multiple of it */
  ROTATIONS = 1 << 16, /* that are collected before they are applied to the vectors */
  SHARED_LEAST = 1500, /* a step of the tridiagonal form is shared by threads if more rows than this are left */
  SWEEPS = 60          /* of implicit QL for one eigenvalue; two or three are usual */
};

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
  if (rest < 1e-200) return x[from]; /* nothing, beside the largest element, which is 1; and 2 / rest must be a number */
  const double norm = sqrt(x[from] * x[from] + rest), alpha = x[from] > 0 ? -norm : norm;
  v[from] = x[from] - alpha;
  *tau = 2 / (v[from] * v[from] + rest);
  return alpha;
}

/* Column `from` and the SLAB - 1 after it of the identity matrix, in z (n rows, ld apart). */
static void unit_columns(int64_t n, double *z, int64_t ld, int64_t from) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < SLAB; j++) z[i * ld + from + j] = i == from + j;
}

typedef struct eigen_kernels {
  double (*dot)(const double *row, const double *v, int64_t n);
  void (*update)(double *row, double a, const double *w, double b, const double *v, int64_t n);
  void (*reflect)(int64_t n, const double *a, const double *tau, double *z, int64_t ld, int64_t from);
  void (*rotate)(double *z, int64_t ld, const rotation *rotations, int64_t count);
} eigen_kernels;

#define ML_LOOPS "ml/eigen_template.h"
#define ML_SIZE  8
#include "ml/variants.h"
#define KERNELS(isa)                                                                                                               \
  { dot_##isa, update_##isa, reflect_##isa, rotate_##isa }

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
    /* Small matrices are left to one thread: to wait for one another would cost more than it saves. */
    MS_PARALLEL(rest > SHARED_LEAST ? ms_threads() : 1, i_, rest, {
      const int64_t i = next + i_;
      double *to = a + i * n + next;
      if (pending) f->update(to, old_v[i], old_w + next, old_w[i], old_v + next, rest);
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

/* Row l begins a block of the tridiagonal matrix that off-diagonal elements hold together, as far as they count: its last row. */
static int64_t block_end(int64_t l, int64_t n, const double *diag, const double *off, double noise) {
  for (; l + 1 < n; l++)
    if (fabs(off[l]) <= DBL_EPSILON * (fabs(diag[l]) + fabs(diag[l + 1])) + noise + DBL_MIN) break;
  return l;
}

/* A sweep of implicit QL through the block of rows l to m. Gives how many rotations it took, which it puts down in order. */
static int64_t sweep_block(int64_t l, int64_t m, double *diag, double *off, rotation *rotations) {
  double g = (diag[l + 1] - diag[l]) / (2 * off[l]);
  g = diag[m] - diag[l] + off[l] / (g + copysign(hypot(g, 1), g));
  double s = 1, c = 1, p = 0;
  int64_t count = 0;
  for (int64_t i = m - 1; i >= l; i--) {
    const double f = s * off[i], b = c * off[i], r = hypot(f, g);
    off[i + 1] = r;
    if (r == 0) { /* the matrix splits here: take the shift back, and the caller starts again */
      diag[i + 1] -= p;
      off[m] = 0;
      return count;
    }
    s = f / r, c = g / r;
    g = diag[i + 1] - p;
    const double q = (diag[i] - g) * s + 2 * c * b;
    p = s * q;
    diag[i + 1] = g + p;
    g = c * q - b;
    rotations[count++] = (rotation){c, s, i};
  }
  diag[l] -= p;
  off[l] = g;
  off[m] = 0;
  return count;
}

/* diag becomes the eigenvalues of the tridiagonal matrix, rows of z are rotated along. rotations: memory for ROTATIONS + n of them.
 * -1: no convergence. */
static int implicit_ql(const eigen_kernels *k, int64_t n, double *diag, double *off, double *z, int64_t ld, rotation *rotations) {
  int64_t count = 0;
  double norm = 0;
  for (int64_t i = 0; i < n; i++) norm = fmax(norm, fabs(diag[i]) + fabs(off[i]));
  /* Rows of zeros (pixels that never change) and matrices of low rank (few samples) leave a block of rounding noise, which has no
   * end of its own: noise counts as zero. Bringing the matrix to tridiagonal form has changed it by more than that. */
  const double noise = DBL_EPSILON * norm;
  for (int64_t l = 0; l < n; l++)
    for (int sweep = 0;; sweep++) {
      const int64_t m = block_end(l, n, diag, off, noise);
      if (m == l) break;
      if (sweep == SWEEPS || ms_interrupted()) return -1;
      count += sweep_block(l, m, diag, off, rotations + count);
      if (count >= ROTATIONS) apply_rotations(k, z, ld, rotations, count), count = 0;
    }
  apply_rotations(k, z, ld, rotations, count);
  return 0;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

typedef struct ranked_value {
  double value;
  int64_t row; /* of its vector in z */
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
    int64_t largest = 0;
    for (int64_t j = 1; j < n; j++)
      if (fabs(from[j]) > fabs(from[largest])) largest = j;
    const double sign = from[largest] < 0 ? -1 : 1;
    for (int64_t j = 0; j < n; j++) vectors[i * n + j] = sign * from[j];
    values[i] = order[i].value * scale;
  }
}

int ms_eigen_symmetric(int64_t n, const double *a, double *values, double *vectors) {
  if (n < 1 || n > INT32_MAX) return ms_fail("eigen: expected 1 <= n < 2^31, got %lld", (long long)n), -1;
  double largest = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) {
      const double v = a[i * n + j];
      if (!isfinite(v))
        return ms_fail("eigen: a[%lld][%lld] = %g, expected a finite number", (long long)i + 1, (long long)j + 1, v), -1;
      if (fabs(v) > largest) largest = fabs(v);
    }
  const double scale = largest > 0 ? largest : 1; /* so that no square overflows or underflows */
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
    const eigen_kernels f = ML_BEST(eigen_kernels, KERNELS);
    tridiagonalise(&f, n, t, diag, off, tau, line + 3 * n);
    MS_TASKS(ms_threads(), id, slab, (ld + SLAB - 1) / SLAB, {
      if (!ms_interrupted()) unit_columns(n, z, ld, slab * SLAB), f.reflect(n, t, tau, z, ld, slab * SLAB);
    });
    if (ms_interrupted() || implicit_ql(&f, n, diag, off, z, ld, rotations)) {
      if (ms_interrupted()) ms_stopped("eigen");
      ms_fail("eigen: no convergence in %d sweeps (n = %lld)", SWEEPS, (long long)n);
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
