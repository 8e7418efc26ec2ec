/* tile_bf16.h -- the loop of ms_tile_bf16 (tile.c) for one tile of R rows and V vectors: tile_loops.h's `across`, with pairs of
 * bf16 numbers. The includer defines R and V. */

__attribute__((target("avx512bf16"))) static void TILE_NAME(bf16)(TILE_PARAMETERS(float)) {
  enum { L = LANES_f32 };
  const ms_fetch ask = fetch ? *fetch : (ms_fetch){(const char *)a, 0, 0};
  const char *line = ask.at;
  vec_f32 sum[R][V];
  TILE_CLEAR(vec_f32)
  for (; runs > 0; runs--, a += a_run, b += b_run) {
    const float *p[5] = {a, a + 3 * a_step, a + 6 * a_step, a + 9 * a_step, a + 12 * a_step}, *q = b;
    for (int64_t k = 0; k < len; k++, q += b_step) {
      __builtin_prefetch(line, 0, 2);
      line += k % 16 == 15 ? ask.outer : ask.inner;
      __m512bh y[V];
      UNROLL for (int v = 0; v < V; v++) y[v] = (__m512bh)_mm512_loadu_ps(q + v * L);
      UNROLL for (int i = 0; i < R; i++) {
        const __m512bh x = (__m512bh)_mm512_set1_ps(p[i / 3][i % 3 * a_step]);
        UNROLL for (int v = 0; v < V; v++) sum[i][v] = (vec_f32)_mm512_dpbf16_ps((__m512)sum[i][v], x, y[v]);
      }
      UNROLL for (int i = 0; i < (R + 2) / 3; i++) p[i]++;
    }
  }
  TILE_STORE(vec_f32)
}
