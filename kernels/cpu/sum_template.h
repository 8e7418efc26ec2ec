/* sum_template.h -- the loops of sum.h. A template: the includer defines T (float, double), T_BITS (an integer as wide as T)
 * and G(name) (the name for that type). */

typedef T G(sum_vec) __attribute__((vector_size(64), aligned(sizeof(T)), may_alias));
typedef T_BITS G(sum_mask) __attribute__((vector_size(64), aligned(sizeof(T)), may_alias));

/* Add a vector of elements to the sums p and q. */
static inline __attribute__((always_inline)) void G(sum_vector)(int kind, const T *a, const T *b, T m, G(sum_vec) * p,
                                                                G(sum_vec) * q) {
  G(sum_vec) v = *(const G(sum_vec) *)a;
  if (kind == SUM_MOMENTS) {
    v -= m;
    *q += v * v;
  }
  *p += v;
  if (kind == SUM_PRODUCTS) *q += v * (*(const G(sum_vec) *)b - m);
}

/* The last n elements before `a` and `b` are too few for a vector. A whole vector is read that ends there, and a mask takes out
 * those elements of it that were added already. */
static inline __attribute__((always_inline)) void G(sum_last)(int kind, const T *a, const T *b, T m, int64_t n, G(sum_vec) * p,
                                                              G(sum_vec) * q) {
  enum { W = 64 / sizeof(T) };
  static const T_BITS last[2 * W] = {[W... 2 * W - 1] = -1};
  const G(sum_mask) keep = *(const G(sum_mask) *)(last + n);
  G(sum_vec) v = *(const G(sum_vec) *)(a - W), t = v;
  if (kind == SUM_MOMENTS) {
    t = v - m;
    *q += (G(sum_vec))((G(sum_mask))(t * t) & keep);
  }
  *p += (G(sum_vec))((G(sum_mask))t & keep);
  if (kind == SUM_PRODUCTS) *q += (G(sum_vec))((G(sum_mask))(v * (*(const G(sum_vec) *)(b - W) - m)) & keep);
}

/* The sum of a vector's lanes: halves are added until one is left. */
static inline __attribute__((always_inline)) T G(sum_of_lanes)(G(sum_vec) v) {
  enum { W = 64 / sizeof(T) };
  T lane[W];
  *(G(sum_vec) *)lane = v;
  for (int w = W / 2; w; w /= 2)
    for (int l = 0; l < w; l++) lane[l] += lane[l + w];
  return lane[0];
}

/* Over `runs` runs of n elements, `step` elements apart. b is read for SUM_PRODUCTS only, q written for SUM_MOMENTS and
 * SUM_PRODUCTS. */
static inline __attribute__((always_inline)) double G(sums)(int kind, const T *a, const T *b, T m, int64_t runs, int64_t step,
                                                            int64_t n, double *q) {
  enum { W = 64 / sizeof(T) };
  G(sum_vec) p0 = {0}, p1 = {0}, p2 = {0}, p3 = {0}, q0 = {0}, q1 = {0}, q2 = {0}, q3 = {0};
  T short_p = 0, short_q = 0; /* of runs that are shorter than a vector */
  for (int64_t r = 0; r < runs; r++, a += step, b = kind == SUM_PRODUCTS ? b + step : b) {
    int64_t i = 0;
    if (n < W) {
      for (; i < n; i++) {
        short_p += kind == SUM_MOMENTS ? a[i] - m : a[i];
        if (kind == SUM_MOMENTS) short_q += (a[i] - m) * (a[i] - m);
        if (kind == SUM_PRODUCTS) short_q += a[i] * (b[i] - m);
      }
      continue;
    }
    for (; i + 4 * W <= n; i += 4 * W) {
      G(sum_vector)(kind, a + i, b + i, m, &p0, &q0);
      G(sum_vector)(kind, a + i + W, b + i + W, m, &p1, &q1);
      G(sum_vector)(kind, a + i + 2 * W, b + i + 2 * W, m, &p2, &q2);
      G(sum_vector)(kind, a + i + 3 * W, b + i + 3 * W, m, &p3, &q3);
    }
    for (; i + W <= n; i += W) G(sum_vector)(kind, a + i, b + i, m, &p0, &q0);
    if (i < n) G(sum_last)(kind, a + n, b + n, m, n - i, &p1, &q1);
  }
  const double sum = (double)(G(sum_of_lanes)((p0 + p1) + (p2 + p3)) + short_p);
  if (kind != SUM_VALUES) *q = (double)(G(sum_of_lanes)((q0 + q1) + (q2 + q3)) + short_q);
  return sum;
}

/* The sum of n contiguous elements, n <= MS_CHUNK. */
static inline double G(sum_piece)(const T *a, int64_t n) { return G(sums)(SUM_VALUES, a, a, 0, 1, 0, n, NULL); }
