/* eigen_template.h -- the loops of eigen.c, for variants.h; VECTOR is at most SLAB / 4. */

typedef double G(vec) __attribute__((vector_size(VECTOR * sizeof(double)), aligned(sizeof(double)), may_alias));

/* The scalar product of n elements. */
TARGET static double G(dot)(const double *row, const double *v, int64_t n) {
  G(vec) s[4] = {{0}, {0}, {0}, {0}};
  int64_t j = 0;
  for (; j + 4 * VECTOR <= n; j += 4 * VECTOR)
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) s[q] += *(const G(vec) *)(row + j + q * VECTOR) * *(const G(vec) *)(v + j + q * VECTOR);
  const G(vec) all = (s[0] + s[1]) + (s[2] + s[3]);
  double sum = 0;
  for (int l = 0; l < VECTOR; l++) sum += all[l];
  for (; j < n; j++) sum += row[j] * v[j];
  return sum;
}

/* row -= a w + b v, of n elements. */
TARGET static void G(update)(double *row, double a, const double *w, double b, const double *v, int64_t n) {
  int64_t j = 0;
  for (; j + VECTOR <= n; j += VECTOR) *(G(vec) *)(row + j) -= a * *(const G(vec) *)(w + j) + b * *(const G(vec) *)(v + j);
  for (; j < n; j++) row[j] -= a * w[j] + b * v[j];
}

/* Multiply columns `from` to from + SLAB - 1 of z (n rows, ld apart) by .. H2 H1, the n reflections. Reflection Hk is I - tau[k] v
 * v^T, its v the part of row k of a (n x n) behind the diagonal. */
TARGET static void G(reflect)(int64_t n, const double *a, const double *tau, double *z, int64_t ld, int64_t from) {
  for (int64_t k = 0; k + 1 < n; k++) {
    if (tau[k] == 0) continue;
    const double *v = a + k * n;
    for (int64_t part = 0; part < SLAB; part += 4 * VECTOR) {
      G(vec) sum[4] = {{0}, {0}, {0}, {0}};
      for (int64_t i = k + 1; i < n; i++) {
        const G(vec) *row = (const G(vec) *)(z + i * ld + from + part);
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) sum[q] += v[i] * row[q];
      }
#pragma GCC unroll 4
      for (int q = 0; q < 4; q++) sum[q] *= tau[k];
      for (int64_t i = k + 1; i < n; i++) {
        G(vec) *row = (G(vec) *)(z + i * ld + from + part);
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) row[q] -= v[i] * sum[q];
      }
    }
  }
}

/* Rotate SLAB columns of z, whose rows are ld apart: `count` rotations, one after another. */
TARGET static void G(rotate)(double *z, int64_t ld, const rotation *rotations, int64_t count) {
  for (int64_t t = 0; t < count; t++) {
    G(vec) *upper = (G(vec) *)(z + rotations[t].row * ld), *lower = (G(vec) *)(z + (rotations[t].row + 1) * ld);
    const double c = rotations[t].c, s = rotations[t].s;
#pragma GCC unroll 16
    for (int q = 0; q < SLAB / VECTOR; q++) {
      const G(vec) u = upper[q], l = lower[q];
      upper[q] = c * u - s * l;
      lower[q] = s * u + c * l;
    }
  }
}
