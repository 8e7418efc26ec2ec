/* logistic_template.h -- the loops of logistic.c over numbers, for variants.h; ROWS is a multiple of VECTOR. */

typedef double G(vec) __attribute__((vector_size(VECTOR * 8), aligned(8), may_alias));

TARGET static inline double G(total)(G(vec) v) {
#if VECTOR == 8
  return _mm512_reduce_add_pd((__m512d)v);
#elif VECTOR == 4
  return (v[0] + v[2]) + (v[1] + v[3]);
#else
  return v[0] + v[1];
#endif
}

/* to[k] = a . b_k for COUNT vectors b_k that lie `apart`, each added up in the same order whatever COUNT is. */
#define DOTS(COUNT)                                                                                                                \
  {                                                                                                                                \
    G(vec) sum[COUNT][2] = {{{0}, {0}}};                                                                                           \
    int64_t i = 0;                                                                                                                 \
    for (; i + 2 * VECTOR <= n; i += 2 * VECTOR)                                                                                   \
      _Pragma("GCC unroll 4") for (int k = 0; k < (COUNT); k++) _Pragma("GCC unroll 2") for (int v = 0; v < 2; v++) sum[k][v] +=   \
          *(const G(vec) *)(a + i + v * VECTOR) * *(const G(vec) *)(b + k * apart + i + v * VECTOR);                               \
    if (i + VECTOR <= n) {                                                                                                         \
      _Pragma("GCC unroll 4") for (int k = 0; k < (COUNT); k++) sum[k][0] +=                                                       \
          *(const G(vec) *)(a + i) * *(const G(vec) *)(b + k * apart + i);                                                         \
      i += VECTOR;                                                                                                                 \
    }                                                                                                                              \
    double all[COUNT];                                                                                                             \
    _Pragma("GCC unroll 4") for (int k = 0; k < (COUNT); k++) all[k] = G(total)(sum[k][0] + sum[k][1]);                            \
    for (; i < n; i++) _Pragma("GCC unroll 4") for (int k = 0; k < (COUNT); k++) all[k] += a[i] * b[k * apart + i];                \
    _Pragma("GCC unroll 4") for (int k = 0; k < (COUNT); k++) to[k] = all[k];                                                      \
  }

TARGET static double G(dot)(int64_t n, const double *a, const double *b) {
  const int64_t apart = 0;
  double to[1];
  DOTS(1)
  return to[0];
}
TARGET static void G(dots)(int64_t n, const double *a, const double *b, int64_t apart, double *to) { DOTS(TOGETHER) }
#undef DOTS

/* a_k += s_k b for COUNT vectors a_k that lie `apart`. */
#define AXPYS(COUNT)                                                                                                               \
  {                                                                                                                                \
    int64_t i = 0;                                                                                                                 \
    for (; i + VECTOR <= n; i += VECTOR)                                                                                           \
      _Pragma("GCC unroll 4") for (int k = 0; k < (COUNT); k++) * (G(vec) *)(a + k * apart + i) +=                                 \
          s[k] * *(const G(vec) *)(b + i);                                                                                         \
    for (; i < n; i++) _Pragma("GCC unroll 4") for (int k = 0; k < (COUNT); k++) a[k * apart + i] += s[k] * b[i];                  \
  }

/* a += s b */
TARGET static void G(axpy)(int64_t n, double one, const double *b, double *a) {
  const int64_t apart = 0;
  const double s[1] = {one};
  AXPYS(1)
}
TARGET static void G(axpys)(int64_t n, const double *s, const double *b, double *a, int64_t apart) { AXPYS(TOGETHER) }
#undef AXPYS

/* z[c][r] = the sum over j < d of w[c][j] x[j][r], for CLASSES classes and the ROWS rows of a block. */
#define LOGITS(CLASSES)                                                                                                            \
  for (int r = 0; r < ROWS; r += 2 * VECTOR) {                                                                                     \
    G(vec) sum[CLASSES][2];                                                                                                        \
    _Pragma("GCC unroll 8") for (int c = 0; c < (CLASSES); c++) sum[c][0] = sum[c][1] = (G(vec)){0};                               \
    for (int64_t j = 0; j < d; j++) {                                                                                              \
      const G(vec) *row = (const G(vec) *)(x + j * ROWS + r);                                                                      \
      _Pragma("GCC unroll 8") for (int c = 0; c < (CLASSES); c++) {                                                                \
        sum[c][0] += w[c * d + j] * row[0];                                                                                        \
        sum[c][1] += w[c * d + j] * row[1];                                                                                        \
      }                                                                                                                            \
    }                                                                                                                              \
    _Pragma("GCC unroll 8") for (int c = 0; c < (CLASSES); c++) {                                                                  \
      ((G(vec) *)(z + c * ROWS + r))[0] = sum[c][0];                                                                               \
      ((G(vec) *)(z + c * ROWS + r))[1] = sum[c][1];                                                                               \
    }                                                                                                                              \
  }
TARGET static void G(logits)(int64_t d, int64_t classes, const double *w, const double *x, double *z) {
  for (; classes >= 5; classes -= 5, w += 5 * d, z += 5 * ROWS) LOGITS(5)
  if (classes == 4) LOGITS(4)
  else if (classes == 3) LOGITS(3)
  else if (classes == 2) LOGITS(2)
  else if (classes == 1) LOGITS(1)
}
#undef LOGITS

/* g[c][j] += the sum over the rows r of x[j][r] e[c][r], for features from <= j < to; rows of g are `wide` apart. */
#define SPREAD(CLASSES)                                                                                                            \
  for (int64_t j = from; j < to; j++) {                                                                                            \
    const G(vec) *row = (const G(vec) *)(x + j * ROWS);                                                                            \
    G(vec) sum[CLASSES][2] = {{{0}, {0}}};                                                                                         \
    for (int r = 0; r < ROWS / VECTOR; r += 2)                                                                                     \
      _Pragma("GCC unroll 5") for (int c = 0; c < (CLASSES); c++) _Pragma("GCC unroll 2") for (int v = 0; v < 2; v++) sum[c][v] += \
          row[r + v] * ((const G(vec) *)(e + c * ROWS))[r + v];                                                                    \
    _Pragma("GCC unroll 5") for (int c = 0; c < (CLASSES); c++) g[c * wide + j] += G(total)(sum[c][0] + sum[c][1]);                \
  }
TARGET static void G(spread)(int64_t from, int64_t to, int64_t classes, const double *x, const double *e, double *g, int64_t wide) {
  for (; classes >= 5; classes -= 5, e += 5 * ROWS, g += 5 * wide) SPREAD(5)
  if (classes == 4) SPREAD(4)
  else if (classes == 3) SPREAD(3)
  else if (classes == 2) SPREAD(2)
  else if (classes == 1) SPREAD(1)
}
#undef SPREAD

typedef int64_t G(mask) __attribute__((vector_size(VECTOR * 8)));

/* a where a > b, else b. */
TARGET static inline G(vec) G(larger)(G(vec) a, G(vec) b) {
  const G(mask) is = a > b;
  return (G(vec))(((G(mask))a & is) | ((G(mask))b & ~is));
}

/* exp(x) for -700 <= x <= 0 (less counts as -700), to about one unit in the last place: 2^k exp(rest), the rest by its series. */
TARGET static inline G(vec) G(exp)(G(vec) x) {
  const double magic = 0x1.8p52; /* x + magic: rounded to a whole number, in the low bits */
  const G(vec) least = {0};
  x = G(larger)(x, least - 700);
  const G(vec) shifted = x * 0x1.71547652b82fep0 + magic, k = shifted - magic;
  const G(vec) rest = x - k * 0x1.62e42fefa39efp-1 - k * 0x1.abc9e3b39803fp-56;
  static const double series[] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
      1.0 / 720,        1.0 / 120,       1.0 / 24,       1.0 / 6,       1.0 / 2,      1,           1};
  G(vec) p = least + series[0];
  _Pragma("GCC unroll 16") for (int i = 1; i < 14; i++) p = p * rest + series[i];
  return (G(vec))((G(mask))p + ((G(mask))shifted << 52));
}

/* The losses of the rows of a full block, all of weight 1, added up; z (classes x ROWS) becomes their derivatives. y: classes from
 * 0. The logarithms of the rows of a lane are those of their product. */
TARGET static double G(losses)(int64_t classes, const int32_t *y, double *z) {
  const G(vec) zero = {0}, one = zero + 1;
  G(vec) sum = zero, product = one;
  for (int r = 0; r < ROWS; r += VECTOR) {
    G(vec) *v = (G(vec) *)(z + r), is = zero, all = zero;
    for (int i = 0; i < VECTOR; i++) is[i] = classes == 1 ? y[r + i] : z[y[r + i] * ROWS + r + i];
    if (classes == 1) {
      const G(vec) up = G(larger)(*v, zero), e = G(exp)(*v - 2 * up), e_up = G(exp)(*v - up);
      sum += up - is * *v;
      product *= one + e;
      *v = e_up / (one + e) - is; /* e_up: 1 for v > 0, else e */
    } else {
      G(vec) most = *v;
      for (int64_t c = 1; c < classes; c++) {
        const G(vec) w = *(const G(vec) *)(z + c * ROWS + r);
        most = G(larger)(w, most);
      }
      sum -= is - most;
      for (int64_t c = 0; c < classes; c++) {
        G(vec) *w = (G(vec) *)(z + c * ROWS + r);
        all += *w = G(exp)(*w - most);
      }
      product *= all; /* at most 65,535 to the power of ROWS / VECTOR <= 32: 1e154 */
      for (int64_t c = 0; c < classes; c++) *(G(vec) *)(z + c * ROWS + r) /= all;
      for (int i = 0; i < VECTOR; i++) z[y[r + i] * ROWS + r + i] -= 1;
    }
  }
  double logs = 0;
  for (int i = 0; i < VECTOR; i++) logs += log(product[i]);
  return G(total)(sum) + logs;
}
