/* tile_loops.h -- the loops of tile.c for one tile of R rows and V vectors. A template: the includer defines T (float, double),
 * G(name) (the name for that type), R and V. The loops over rows and vectors are unrolled, and the sums stay in registers. */

static void TILE_NAME(along)(TILE_PARAMETERS(T)) {
  enum { L = G(LANES) };
  const ms_fetch ask = fetch ? *fetch : (ms_fetch){(const char *)a, 0, 0};
  const char *line = ask.at;
  G(vec) sum[R][V];
  TILE_CLEAR(G(vec))
  for (; runs > 0; runs--, a += a_run, b += b_run) {
    const T *p = a, *q = b;
    for (int64_t left = len; left > 0; left -= 16, line += ask.outer - ask.inner)
      for (int64_t k = left < 16 ? left : 16; k > 0; k--, p += a_step, q += b_step, line += ask.inner) {
        __builtin_prefetch(line, 0, 2);
        G(vec) y[V];
        UNROLL for (int v = 0; v < V; v++) y[v] = *(const G(vec) *)(q + v * L);
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int v = 0; v < V; v++) G(TILE_ADD)(sum[i][v], p + i, y[v]);
      }
  }
  TILE_STORE(G(vec))
}

/* Adds the products of one number per row, p[row / 3][u + row % 3 * a_step], with V vectors at q. */
#define ACROSS(u)                                                                                                                  \
  __builtin_prefetch(line, 0, 2);                                                                                                  \
  line += ask.inner;                                                                                                               \
  G(vec) y[V];                                                                                                                     \
  UNROLL for (int v = 0; v < V; v++) y[v] = *(const G(vec) *)(q + v * L);                                                          \
  UNROLL for (int i = 0; i < R; i++) {                                                                                             \
    if (i % 3 == 0) UNROLL for (int v = 0; v < V; v++) G(TILE_ADD)(sum[i][v], p[i / 3] + u, y[v]);                                 \
    else {                                                                                                                         \
      const T x = p[i / 3][u + i % 3 * a_step];                                                                                    \
      UNROLL for (int v = 0; v < V; v++) G(TILE_LOAD)(sum[i][v], x, y[v]);                                                         \
    }                                                                                                                              \
  }

/* p points at every third row of a. The rows between are one and two steps further on, which addresses express: so rows need not be
 * packed. */
static void TILE_NAME(across)(TILE_PARAMETERS(T)) {
  enum { L = G(LANES) };
  const ms_fetch ask = fetch ? *fetch : (ms_fetch){(const char *)a, 0, 0};
  const char *line = ask.at;
  G(vec) sum[R][V];
  TILE_CLEAR(G(vec))
  for (; runs > 0; runs--, a += a_run, b += b_run) {
    const T *p[(R + 2) / 3], *q = b;
    UNROLL for (int i = 0; i < (R + 2) / 3; i++) p[i] = a + 3 * i * a_step;
    int64_t k = 0;
    for (; k + 4 <= len; k += 4) {
      UNROLL for (int u = 0; u < 4; u++, q += b_step){ACROSS(u)} UNROLL for (int i = 0; i < (R + 2) / 3; i++) p[i] += 4;
      if (k % 16 == 12) line += ask.outer - ask.inner;
    }
    for (; k < len; k++, q += b_step) {
      ACROSS(0)
      UNROLL for (int i = 0; i < (R + 2) / 3; i++) p[i]++;
    }
  }
  TILE_STORE(G(vec))
}
#undef ACROSS
