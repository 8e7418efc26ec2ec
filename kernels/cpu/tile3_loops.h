/* tile3_loops.h -- the loops of tile3.c for one tile of R rows. A template: the includer defines R. */

static void TILE_NAME(row3)(ROW3_PARAMETERS) {
  const ms_fetch ask = fetch ? *fetch : (ms_fetch){(const char *)a, 0, 0};
  const char *line = ask.at;
  vec sum[R];
  UNROLL for (int i = 0; i < R; i++) sum[i] = (vec){0};
  for (; runs > 0; runs--, a += a_run, b += b_run) {
    const float *p[6] = {a, a + 3 * c, a + 6 * c, a + 9 * c, a + 12 * c, a + 15 * c}, *q = b;
    for (int64_t k = 0; k < c; k++, q += L) {
      __builtin_prefetch(line, 0, 2);
      line += k % 16 == 15 ? ask.outer : ask.inner;
      const vec w0 = *(const vec *)q, w1 = *(const vec *)(q + c * L), w2 = *(const vec *)(q + 2 * c * L);
      UNROLL for (int u = 0; u < R + 2; u++) {
        const float x = p[u / 3][u % 3 * c];
        if (u < R) sum[u] += x * w0;
        if (u > 0 && u <= R) sum[u - 1] += x * w1;
        if (u > 1) sum[u - 2] += x * w2;
      }
      UNROLL for (int i = 0; i < (R + 4) / 3; i++) p[i]++;
    }
  }
  UNROLL for (int i = 0; i < R; i++) * (vec *)(out + i * step) = sum[i] + *(const vec *)start;
}

#if R <= SUMS3_ROWS
/* The next pixel of x, times y of those results that it is part of: kernel columns from..to. */
#define PIXEL(from, to)                                                                                                            \
  UNROLL for (int s = from; s <= to; s++) y_of[s] = *(const vec *)(g - s * L);                                                     \
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int s = from; s <= to; s++) TILE_ADD_f32(sum[s][i], q + i, y_of[s]);              \
  q += c, g += L;

static void TILE_NAME(sums3)(SUMS3_PARAMETERS) {
  const ms_fetch ask = fetch ? *fetch : (ms_fetch){(const char *)x, 0, 0};
  const char *line = ask.at;
  vec sum[3][R], y_of[3];
  UNROLL for (int s = 0; s < 3; s++) UNROLL for (int i = 0; i < R; i++) sum[s][i] = (vec){0};
  for (; runs > 0; runs--, x += x_run, y += y_run) {
    const float *q = x, *g = y;
    PIXEL(0, 0)
    PIXEL(0, 1)
    for (int64_t left = n - 2; left > 0; left -= 16, line += ask.outer - ask.inner)
      for (int64_t u = min_i64(left, 16); u > 0; u--) {
        __builtin_prefetch(line, 0, 2);
        line += ask.inner;
        PIXEL(0, 2)
      }
    PIXEL(1, 2)
    PIXEL(2, 2)
  }
  UNROLL for (int s = 0; s < 3; s++) UNROLL for (int i = 0; i < R; i++) * (vec *)(sums + (s * c + i) * L) += sum[s][i];
}
#undef PIXEL
#endif
