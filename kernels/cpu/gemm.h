/* gemm.h -- the own matrix product, for operands with any strides: f64, and f32 where oneDNN is not to be had. A template: the
 * includer defines T (float, double) and G(name) (the name for that type). One thread a call; the callers cut the work.
 *
 * Method: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008). A block of A (MC x KC) and one of B
 * (KC x NC) are packed into panels of MR rows and NR columns, zero-padded; the inner kernel keeps an MR x NR tile of C in
 * registers. The order of the additions of one element depends on K alone. */
#ifndef MS_GEMM_SIZES
#define MS_GEMM_SIZES
#if defined(__AVX512F__)
enum { GEMM_BYTES = 64, GEMM_MR = 12 };
#elif defined(__AVX__)
enum { GEMM_BYTES = 32, GEMM_MR = 6 };
#else
enum { GEMM_BYTES = 16, GEMM_MR = 4 };
#endif
enum {
  GEMM_KC = 256,
  GEMM_MC = 96,
  GEMM_NC = 256,
  GEMM_PACK = (GEMM_MC + GEMM_NC) * GEMM_KC
}; /* PACK: elements of a pack buffer */
#endif

typedef T G(vec) __attribute__((vector_size(GEMM_BYTES), aligned(sizeof(T)), may_alias));
enum { G(NR) = 2 * GEMM_BYTES / (int)sizeof(T) };

static inline void G(tile)(int64_t k, const T *restrict a, const T *restrict b, T *restrict c, int64_t rc, int rows, int cols,
                           bool add) {
  enum { MR = GEMM_MR, NR = G(NR) };
  G(vec) sum[MR][2] = {0};
  for (int64_t p = 0; p < k; p++, a += MR, b += NR) {
    G(vec) b0 = *(const G(vec) *)b, b1 = *(const G(vec) *)(b + NR / 2);
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) sum[i][0] += a[i] * b0, sum[i][1] += a[i] * b1;
  }
  if (rows == MR && cols == NR) {
    for (int i = 0; i < MR; i++, c += rc) {
      G(vec) *c0 = (G(vec) *)c, *c1 = (G(vec) *)(c + NR / 2);
      if (add) sum[i][0] += *c0, sum[i][1] += *c1;
      *c0 = sum[i][0], *c1 = sum[i][1];
    }
    return;
  }
  for (int i = 0; i < rows; i++, c += rc) {
    const T *from = (const T *)&sum[i];
    for (int j = 0; j < cols; j++) c[j] = add ? c[j] + from[j] : from[j];
  }
}

/* to[panel][p][0..width) = from[(panel*width + 0..width) * across + p * along], zero beyond `n`. */
static inline void G(pack)(int width, int64_t n, int64_t k, const T *from, int64_t across, int64_t along, T *restrict to) {
  for (int64_t j = 0; j < n; j += width, to += k * width) {
    int64_t w = n - j < width ? n - j : width;
    const T *f = from + j * across;
    if (w < width) memset(to, 0, (size_t)(k * width) * sizeof(T));
    if (across == 1)
      for (int64_t p = 0; p < k; p++)
        for (int64_t i = 0; i < w; i++) to[p * width + i] = f[i + p * along];
    else
      for (int64_t i = 0; i < w; i++)
        for (int64_t p = 0; p < k; p++) to[p * width + i] = f[i * across + p * along];
  }
}

/* C = A B, or C += A B. A m x k with strides ra (rows), ca (columns), B k x n with rb, cb, C m x n with rows rc apart, columns
 * adjacent. `room` holds GEMM_PACK elements. */
static void G(gemm)(bool add, int64_t m, int64_t n, int64_t k, const T *a, int64_t ra, int64_t ca, const T *b, int64_t rb,
                    int64_t cb, T *c, int64_t rc, T *room) {
  enum { MR = GEMM_MR, NR = G(NR) };
  T *pa = room, *pb = room + GEMM_MC * GEMM_KC;
  if (!k && !add)
    for (int64_t i = 0; i < m; i++) memset(c + i * rc, 0, (size_t)n * sizeof(T));
  for (int64_t p = 0; p < k; p += GEMM_KC) {
    int64_t kc = k - p < GEMM_KC ? k - p : GEMM_KC;
    for (int64_t j = 0; j < n; j += GEMM_NC) {
      int64_t nc = n - j < GEMM_NC ? n - j : GEMM_NC;
      G(pack)(NR, nc, kc, b + p * rb + j * cb, cb, rb, pb);
      for (int64_t i = 0; i < m; i += GEMM_MC) {
        int64_t mc = m - i < GEMM_MC ? m - i : GEMM_MC;
        G(pack)(MR, mc, kc, a + i * ra + p * ca, ra, ca, pa);
        for (int64_t jj = 0; jj < nc; jj += NR)
          for (int64_t ii = 0; ii < mc; ii += MR) {
            int rows = mc - ii < MR ? (int)(mc - ii) : MR, cols = nc - jj < NR ? (int)(nc - jj) : NR;
            /* clang-format off */
            G(tile)(kc, pa + ii * kc, pb + jj * kc, c + (i + ii) * rc + j + jj, rc, rows, cols, add || p);
            /* clang-format on */
          }
      }
    }
  }
}

/* The same for products too small to be worth packing. */
static inline void G(small_gemm)(int64_t m, int64_t n, int64_t k, const T *a, int64_t ra, int64_t ca, const T *b, int64_t rb,
                                 int64_t cb, T *restrict c, int64_t rc) {
  for (int64_t i = 0; i < m; i++, a += ra, c += rc) {
    for (int64_t j = 0; j < n; j++) c[j] = 0;
    for (int64_t p = 0; p < k; p++) {
      T v = a[p * ca];
      const T *row = b + p * rb;
      if (cb == 1)
        for (int64_t j = 0; j < n; j++) c[j] += v * row[j];
      else
        for (int64_t j = 0; j < n; j++) c[j] += v * row[j * cb];
    }
  }
}
