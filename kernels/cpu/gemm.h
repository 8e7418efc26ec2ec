/* gemm.h -- the matrix product, for operands with any strides. A template: the includer defines T (float, double) and G(name) (the
 * name for that type). One thread a call; the callers cut the work.
 *
 * Method: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008), less one step. A block of B (GEMM_KC x
 * GEMM_NC) is packed into panels two vectors wide, zero-padded; tile.h's loops read A where it is, unless neither its rows nor its
 * columns are adjacent. The order of the additions of one element depends on K alone. */
#ifndef MS_GEMM_SIZES
#define MS_GEMM_SIZES
#include "tile.h"
enum {
  GEMM_KC = 384,
  GEMM_NC = 256,
  GEMM_MC = 192,
  GEMM_DOTS = 2, /* rows or columns up to which a product is dots */
  GEMM_FEW = 7,  /* rows at a time where they lie a multiple of GEMM_ALIAS bytes apart: more would fall out of an 8-way cache */
  GEMM_ALIAS = 4096,
  GEMM_ROWS_AHEAD = 12,
  GEMM_AHEAD = 64,                                             /* elements of a row that is being transposed, fetched early */
  GEMM_EDGE = TILE_ROWS * 2 * TILE_BYTES / (int)sizeof(float), /* elements: a tile that juts out of the result */
  GEMM_PACK = GEMM_EDGE + (GEMM_MC + GEMM_NC) * GEMM_KC        /* the most that a product wants of `room` */
};
#endif
#include "turn.h"

/* Elements (p, j) of B, k x n, into panels of 2 L columns, a last one of L where that is enough: to[panel][p][0..width). A panel
 * has `depth` rows, of which these are k, from row `first` on. */
static void G(pack)(int64_t n, int64_t k, int64_t first, int64_t depth, const T *b, int64_t rb, int64_t cb, T *restrict to) {
  enum { L = G(LANES) };
  const int64_t even = cb == 1 ? n / (2 * L) * (2 * L) : 0; /* whole panels that are copied: row by row, as they lie */
  for (int64_t p = 0; p < k && even; p++)
    for (int64_t j = 0; j < even; j += 2 * L) {
      T *q = to + j * depth + (first + p) * 2 * L;
      __builtin_prefetch(b + (p + GEMM_ROWS_AHEAD) * rb + j), __builtin_prefetch(b + (p + GEMM_ROWS_AHEAD) * rb + j + L);
      const T *f = b + p * rb + j;
      *(G(vec) *)q = *(const G(vec) *)f, *(G(vec) *)(q + L) = *(const G(vec) *)(f + L);
    }
  to += even * depth;
  for (int64_t j = even, width; j < n; j += 2 * L, to += depth * width) {
    width = n - j > L ? 2 * L : L;
    const int64_t w = n - j < width ? n - j : width;
    const T *f = b + j * cb;
    T *at = to + first * width;
    const int64_t whole = rb == 1 ? w / L * L : 0, deep = whole ? k / L * L : 0; /* what is transposed by blocks */
    for (int64_t p = 0; p < deep; p += L)
      for (int64_t i = 0; i < whole; i += L) {
        for (int64_t r = 0; r < L; r++) __builtin_prefetch(f + (i + r) * cb + p + GEMM_AHEAD);
        G(transpose)(f + i * cb + p, cb, at + p * width + i, width);
      }
    for (int64_t i = 0; i < whole; i++)
      for (int64_t p = deep; p < k; p++) at[p * width + i] = f[i * cb + p * rb];
    for (int64_t i = whole; i < w; i++)
      for (int64_t p = 0; p < k; p++) at[p * width + i] = f[i * cb + p * rb];
    for (int64_t p = 0; p < k && w < width; p++)
      for (int64_t i = w; i < width; i++) at[p * width + i] = 0;
  }
}

/* C[i, j] = the sum of a[i * ra + p] b[j * cb + p]: few rows of one matrix with many of another, read once. */
static void G(dots)(bool add, int64_t m, int64_t n, int64_t k, const T *a, int64_t ra, const T *b, int64_t cb, T *c, int64_t rc) {
  enum { L = G(LANES), AT_ONCE = 4 };
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      const T *x = a + i * ra, *y = b + j * cb;
      G(vec) sum[AT_ONCE] = {0};
      int64_t p = 0;
      for (; p + AT_ONCE * L <= k; p += AT_ONCE * L)
#pragma GCC unroll 4
        for (int u = 0; u < AT_ONCE; u++) sum[u] += *(const G(vec) *)(x + p + u * L) * *(const G(vec) *)(y + p + u * L);
      for (; p + L <= k; p += L) sum[0] += *(const G(vec) *)(x + p) * *(const G(vec) *)(y + p);
      sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
      T all = 0;
      for (int l = 0; l < L; l++) all += sum[0][l];
      for (; p < k; p++) all += x[p] * y[p];
      T *to = c + i * rc + j;
      *to = add ? *to + all : all;
    }
}

/* How the rows of A are read: rows or columns adjacent, or copied first. */
typedef struct G(left) {
  const T *a;
  int64_t r, c, most; /* strides; rows of a tile */
  bool along, copy;
} G(left);

static inline G(left) G(left_of)(const T *a, int64_t r, int64_t c, int64_t m, int64_t n) {
  G(left) l = {.a = a, .r = r, .c = c, .most = TILE_ROWS, .along = r == 1 && c != 1, .copy = r != 1 && c != 1};
  const int64_t apart = (c == 1 ? r : c) * (int64_t)sizeof(T);
  if (m > 1 && !l.copy && apart % (c == 1 ? GEMM_ALIAS : GEMM_ALIAS / 4) == 0) { /* a column of A lies in few sets of the cache */
    if (n > GEMM_NC / 4) l.copy = true;
    else if (c == 1 && l.most > GEMM_FEW) l.most = GEMM_FEW;
  }
  return l;
}

/* Elements of `room` that a product wants: G(multiply) the first of them, G(gemm) also those for a block of B. */
static inline int64_t G(room_rows)(const G(left) * l, int64_t m, int64_t k) {
  return GEMM_EDGE + (l->copy ? (m < GEMM_MC ? m : GEMM_MC) * (k < GEMM_KC ? k : GEMM_KC) : 0);
}
static inline int64_t G(room_block)(int64_t n, int64_t k) {
  const int64_t width = (n + 15) / 16 * 16;
  return (width < GEMM_NC ? width : GEMM_NC) * (k < GEMM_KC ? k : GEMM_KC);
}

/* C (rows i0 .. i1-1, n columns, the first at c) = or += A (those rows, k columns from p on) times panels: packed, or (direct)
 * where B has them, rows b_step apart. room: as many elements as G(room_rows) says. */
static void G(multiply)(bool add, int64_t i0, int64_t i1, int64_t n, int64_t p, int64_t k, const G(left) * l, const T *panels,
                        bool direct, int64_t b_step, T *c, int64_t rc, T *room) {
  enum { L = G(LANES) };
  T *edge = room;
  room += GEMM_EDGE;
  const int64_t m = i1 - i0, strips = (m + GEMM_MC - 1) / GEMM_MC;
  for (int64_t s = 0; s < strips; s++) {
    const int64_t first = i0 + m * s / strips, rows_here = i0 + m * (s + 1) / strips - first,
                  tiles = (rows_here + l->most - 1) / l->most;
    const T *at = l->a + first * l->r + p * l->c;
    int64_t row = l->r, step = l->along ? l->c : l->r;
    if (l->copy && l->along) {
      for (int64_t q = 0; q < k; q++) memcpy(room + q * rows_here, at + q * l->c, (size_t)rows_here * sizeof(T));
      at = room, step = rows_here;
    } else if (l->copy) {
      for (int64_t i = 0; i < rows_here; i++)
        if (l->c == 1) memcpy(room + i * k, at + i * l->r, (size_t)k * sizeof(T));
        else
          for (int64_t q = 0; q < k; q++) room[i * k + q] = at[i * l->r + q * l->c];
      at = room, row = step = k;
    }
    for (int64_t t = 0; t < tiles; t++) {
      const int64_t i = rows_here * t / tiles, rows = rows_here * (t + 1) / tiles - i;
      for (int64_t j = 0; j < n; j += 2 * L) {
        const int cols = n - j < 2 * L ? (int)(n - j) : 2 * L, vectors = cols > L ? 2 : 1;
        const bool whole = cols == vectors * L;
        T *to = c + (first - i0 + i) * rc + j;
        MS_NAME(G(ms_tile))
        [l->along][rows][vectors](1, k, at + i * row, 0, step, direct ? panels + j : panels + j * k, 0,
                                  direct ? b_step : vectors * L, whole ? to : edge, whole ? rc : 2 * L, whole && add ? to : NULL,
                                  rc);
        for (int64_t r = 0; r < rows && !whole; r++)
          for (int x = 0; x < cols; x++) to[r * rc + x] = add ? to[r * rc + x] + edge[r * 2 * L + x] : edge[r * 2 * L + x];
      }
    }
  }
}

/* C = A B, or C += A B. A m x k with strides ra (rows), ca (columns), B k x n with rb, cb, C m x n with rows rc apart, columns
 * adjacent. `room`: at most GEMM_PACK elements. */
static void G(gemm)(bool add, int64_t m, int64_t n, int64_t k, const T *a, int64_t ra, int64_t ca, const T *b, int64_t rb,
                    int64_t cb, T *c, int64_t rc, T *room) {
  enum { L = G(LANES) };
  if (n == 1 && rc == 1 && m > 1) { /* A times a column: the row times A transposed */
    const T *left = a;
    const int64_t r = ra, q = ca;
    a = b, ra = cb, ca = rb, b = left, rb = q, cb = r, n = m, m = 1, rc = n;
  }
  if (ca == 1 && rb == 1 && (m <= GEMM_DOTS || n <= GEMM_DOTS)) {
    G(dots)(add, m, n, k, a, ra, b, cb, c, rc);
    return;
  }
  const G(left) l = G(left_of)(a, ra, ca, m, n);
  T *packed = room + G(room_rows)(&l, m, k);
  if (!k && !add)
    for (int64_t i = 0; i < m; i++) memset(c + i * rc, 0, (size_t)n * sizeof(T));
  for (int64_t block = 0, blocks = (k + GEMM_KC - 1) / GEMM_KC; block < blocks; block++) {
    const int64_t p = k * block / blocks, kc = k * (block + 1) / blocks - p;
    for (int64_t j = 0; j < n; j += GEMM_NC) {
      const int64_t nc = n - j < GEMM_NC ? n - j : GEMM_NC;
      /* A product of few rows reads B once: whole panels of it may stay where they are. */
      const int64_t direct = cb == 1 && m <= l.most ? nc / (2 * L) * (2 * L) : 0;
      if (direct) G(multiply)(add || block, 0, m, direct, p, kc, &l, b + p * rb + j, true, rb, c + j, rc, room);
      if (direct == nc) continue;
      G(pack)(nc - direct, kc, 0, kc, b + p * rb + (j + direct) * cb, rb, cb, packed);
      G(multiply)(add || block, 0, m, nc - direct, p, kc, &l, packed, false, 0, c + j + direct, rc, room);
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
