/* tsne_template.h -- the loops of tsne.c, for variants.h; VECTOR is at most GROUP.
 *
 * With q = 1 / (1 + |a - b|^2): repulsion of a point is the sum of q^2 (a - b), attraction the sum of p q (a - b). */

typedef float G(plane) __attribute__((vector_size(VECTOR * sizeof(float)), aligned(sizeof(float)), may_alias));

#if VECTOR == 16
/* An estimate of 14 bits and a step of Newton's: full precision, a third of the time of a division. */
TARGET static inline __m512 G(reciprocal)(__m512 v) {
  const __m512 r = _mm512_rcp14_ps(v);
  return r * (2.0f - v * r);
}
#define RECIPROCAL(v) ((vec)G(reciprocal)((__m512)(v)))
#else
#define RECIPROCAL(v) (1.0f / (v))
#endif

/* Repulsion on the points of group g by its list and by one another. sum: 3 x GROUP, the sums of q (without the point itself: far
 * out, all others together may be less than a rounding of its 1), of q^2 dx and of q^2 dy. */
TARGET static void G(repel)(const tsne_cells *c, int64_t g, float *sum) {
  typedef G(plane) vec;
  typedef int32_t ints __attribute__((vector_size(VECTOR * sizeof(int32_t))));
  const tsne_list *l = &c->list[c->all ? 0 : g];
  const int64_t end = l->cells + l->leaves, skip = c->all ? 2 * g : end; /* where all repel all, its own leaves are in the list */
  for (int v = 0; v < GROUP; v += VECTOR) {
    const float *own = c->px + g * GROUP, *own_y = c->py + g * GROUP;
    const vec x = *(const vec *)(own + v), y = *(const vec *)(own_y + v);
    vec z = {0}, fx = {0}, fy = {0};
    for (int64_t k = 0; k < l->cells; k++) {
      const int32_t at = l->at[k];
      const vec dx = x - c->x[at], dy = y - c->y[at];
      const vec q = RECIPROCAL(dx * dx + (dy * dy + 1.0f)), mq = c->mass[at] * q, f = mq * q;
      z += mq, fx += f * dx, fy += f * dy;
    }
    for (int64_t k = l->cells; k < end; k++) {
      if (k == skip && (k += GROUP / LEAF) >= end) break;
      const float *px = c->px + l->at[k] * LEAF, *py = c->py + l->at[k] * LEAF;
#pragma GCC unroll 8
      for (int j = 0; j < LEAF; j++) {
        const vec dx = x - px[j], dy = y - py[j];
        const vec q = RECIPROCAL(dx * dx + (dy * dy + 1.0f)), f = q * q;
        z += q, fx += f * dx, fy += f * dy;
      }
    }
    ints lane = {0};
#pragma GCC unroll 16
    for (int j = 0; j < VECTOR; j++) lane[j] = v + j;
    for (int j = 0; j < GROUP; j++) {
      const vec dx = x - own[j], dy = y - own_y[j];
      const vec q = RECIPROCAL(dx * dx + (dy * dy + 1.0f)), f = q * q;
      z += (vec)((ints)q & (lane != j)), fx += f * dx, fy += f * dy;
    }
    *(vec *)(sum + v) = z, *(vec *)(sum + GROUP + v) = fx, *(vec *)(sum + 2 * GROUP + v) = fy;
  }
}

/* *x, *y = the places of VECTOR points. at: x and y of each point. */
TARGET static inline void G(gather)(const float *at, const int32_t *to, G(plane) * x, G(plane) * y) {
#if VECTOR == 16 /* x and y lie side by side: 16 pairs, 8 at a time, then taken apart */
  const __m512i index = _mm512_loadu_si512(to);
  const __m512 a = (__m512)_mm512_i32gather_pd(_mm512_castsi512_si256(index), at, 8);
  const __m512 b = (__m512)_mm512_i32gather_pd(_mm512_extracti64x4_epi64(index, 1), at, 8);
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  *x = (G(plane))_mm512_permutex2var_ps(a, even, b);
  *y = (G(plane))_mm512_permutex2var_ps(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b);
#else
  for (int lane = 0; lane < VECTOR; lane++) (*x)[lane] = at[2 * to[lane]], (*y)[lane] = at[2 * to[lane] + 1];
#endif
}

/* Attraction of the point (x, y) to `count` others, a multiple of FILL: their numbers in `to`, similarities p. force: 2. */
TARGET static void G(attract)(float x, float y, const float *at, const int32_t *to, const float *p, int64_t count, float *force) {
  typedef G(plane) vec;
  vec fx = {0}, fy = {0};
  for (int64_t k = 0; k < count; k += VECTOR) {
    vec ox, oy;
    G(gather)(at, to + k, &ox, &oy);
    const vec dx = x - ox, dy = y - oy, f = *(const vec *)(p + k) * RECIPROCAL(dx * dx + (dy * dy + 1.0f));
    fx += f * dx, fy += f * dy;
  }
  float sx = 0, sy = 0;
#pragma GCC unroll 16
  for (int lane = 0; lane < VECTOR; lane++) sx += fx[lane], sy += fy[lane];
  force[0] = sx, force[1] = sy;
}

/* The sum of p log(1 + |a - b|^2) of the point (x, y) and `count` others, as above. log: from 2^e m with sqrt(1/2) <= m < sqrt(2),
 * as e log(2) + 2 atanh((m - 1) / (m + 1)), whose argument is below 0.172. */
TARGET static double G(logs)(float x, float y, const float *at, const int32_t *to, const float *p, int64_t count) {
  typedef G(plane) vec;
  typedef int32_t ints __attribute__((vector_size(VECTOR * sizeof(int32_t))));
  const int32_t half = 0x3f3504f3; /* sqrt(1/2) as a float's bits */
  vec sum = {0};
  for (int64_t k = 0; k < count; k += VECTOR) {
    vec ox, oy;
    G(gather)(at, to + k, &ox, &oy);
    const vec dx = x - ox, dy = y - oy;
    const ints bits = (ints)(dx * dx + (dy * dy + 1.0f)), e = (bits - half) >> 23;
    const vec m = (vec)(bits - (e << 23)), s = (m - 1.0f) * RECIPROCAL(m + 1.0f), s2 = s * s;
    const vec series = 2.0f + s2 * (2.0f / 3 + s2 * (2.0f / 5 + s2 * (2.0f / 7 + s2 * (2.0f / 9))));
    sum += *(const vec *)(p + k) * (__builtin_convertvector(e, vec) * 0.693147181f + s * series);
  }
  double all = 0;
#pragma GCC unroll 16
  for (int lane = 0; lane < VECTOR; lane++) all += (double)sum[lane];
  return all;
}

/* A step of `count` coordinates. Gives the sum of the squares of the gradient times the gains. */
TARGET static double G(move)(int64_t count, const tsne_move *m, float *restrict at, const float *restrict pull,
                             const float *restrict push, float *restrict step, float *restrict gain) {
  typedef G(plane) vec;
  typedef int32_t ints __attribute__((vector_size(VECTOR * sizeof(int32_t))));
  vec square = {0};
  int64_t k = 0;
  for (; k + VECTOR <= count; k += VECTOR) {
    const vec g = m->pull * *(const vec *)(pull + k) - m->push * *(const vec *)(push + k);
    const vec s = *(const vec *)(step + k), old = *(const vec *)(gain + k);
    const ints turned = s * g < 0.0f;
    vec new = (vec)((turned & (ints)(old + 0.2f)) | (~turned & (ints)(old * 0.8f)));
    const ints small = new < 0.01f;
    new = (vec)((small & (ints)((vec){0} + 0.01f)) | (~small & (ints) new));
    const vec slope = g * new, next = m->momentum *s - m->rate *slope;
    *(vec *)(gain + k) = new, *(vec *)(step + k) = next;
    *(vec *)(at + k) += next;
    square += slope * slope;
  }
  double sum = 0;
#pragma GCC unroll 16
  for (int lane = 0; lane < VECTOR; lane++) sum += (double)square[lane];
  for (; k < count; k++) {
    const float g = m->pull * pull[k] - m->push * push[k], s = step[k];
    float new = s *g < 0 ? gain[k] + 0.2f : gain[k] * 0.8f;
    if (new < 0.01f) new = 0.01f;
    const float slope = g * new;
    gain[k] = new, step[k] = m->momentum *s - m->rate *slope;
    at[k] += step[k];
    sum += (double)slope * (double)slope;
  }
  return sum;
}
#undef RECIPROCAL
