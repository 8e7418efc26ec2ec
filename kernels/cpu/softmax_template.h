/* softmax_template.h -- the loops of softmax.c. A template: the includer defines T (float, double) and G(name) (the name for that
 * type), and what is shared by all types. */

/* The largest of n elements, in LANES partial maxima. NaN is never larger. */
static inline T G(largest)(const T *restrict x, int64_t n) {
  const int64_t body = n / LANES * LANES;
  T lane[LANES], largest = (T)-INFINITY;
  for (int k = 0; k < LANES; k++) lane[k] = (T)-INFINITY;
  for (int64_t i = 0; i < body; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] = x[i + k] > lane[k] ? x[i + k] : lane[k];
  for (int64_t i = body; i < n; i++) lane[i - body] = x[i] > lane[i - body] ? x[i] : lane[i - body];
  for (int k = 0; k < LANES; k++) largest = lane[k] > largest ? lane[k] : largest;
  return largest;
}

/* r = exp(x - largest); gives the sum of it, in LANES partial sums of at most MS_CHUNK / LANES terms each. */
static inline double G(exponentials)(const T *restrict x, T *restrict r, int64_t n, T largest) {
  const int64_t body = n / LANES * LANES;
  double total = 0;
  for (int64_t from = 0; from < body; from += MS_CHUNK) {
    const int64_t to = min_i64(from + MS_CHUNK, body);
    T sum[LANES] = {0};
    for (int64_t i = from; i < to; i += LANES)
      for (int k = 0; k < LANES; k++) {
        T e = m_exp(x[i + k] - largest);
        sum[k] += e;
        r[i + k] = e;
      }
    for (int k = 0; k < LANES; k++) total += (double)sum[k];
  }
  for (int64_t i = body; i < n; i++) {
    T e = m_exp(x[i] - largest);
    total += (double)e;
    r[i] = e;
  }
  return total;
}

/* n elements that are neighbours. */
static void G(softmax_row)(const T *restrict x, T *restrict r, int64_t n, bool logarithm) {
  const T largest = G(largest)(x, n);
  const double total = G(exponentials)(x, r, n, largest);
  if (logarithm) {
    const T shift = (T)log(total);
    for (int64_t i = 0; i < n; i++) r[i] = (x[i] - largest) - shift;
  } else {
    const T scale = (T)(1 / total);
    for (int64_t i = 0; i < n; i++) r[i] *= scale;
  }
}

/* m <= NEIGHBOURS columns of n elements, rows `step` apart. */
static void G(softmax_columns)(const T *restrict x, T *restrict r, int64_t n, int64_t step, int64_t m, bool logarithm) {
  T largest[NEIGHBOURS], sum[NEIGHBOURS];
  for (int64_t k = 0; k < m; k++) largest[k] = (T)-INFINITY, sum[k] = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < m; k++) largest[k] = x[i * step + k] > largest[k] ? x[i * step + k] : largest[k];
  for (int64_t i = 0; i < n; i++) {
    const T *restrict a = x + i * step;
    T *restrict b = r + i * step;
    for (int64_t k = 0; k < m; k++) {
      T e = m_exp(a[k] - largest[k]);
      sum[k] += e;
      b[k] = e;
    }
  }
  if (logarithm) /* the sum becomes what is subtracted, or what is multiplied with */
    for (int64_t k = 0; k < m; k++) sum[k] = m_log(sum[k]);
  else
    for (int64_t k = 0; k < m; k++) sum[k] = 1 / sum[k];
  for (int64_t i = 0; i < n; i++) {
    const T *restrict a = x + i * step;
    T *restrict b = r + i * step;
    if (logarithm)
      for (int64_t k = 0; k < m; k++) b[k] = (a[k] - largest[k]) - sum[k];
    else
      for (int64_t k = 0; k < m; k++) b[k] *= sum[k];
  }
}
