/* gemm.h -- the matrix product C = A B, for operands with any strides. A template: the includer defines T (float, double) and
 * G(name) (the name for that type). A call runs in one thread; the callers cut the work.
 *
 * Method: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008), less one step. A block of B (GEMM_KC x
 * GEMM_NC) is packed: copied into panels of columns two vectors wide, filled up with zeros. tile.h's loops read A where it is, or a
 * copy of a tile of it (G(left)). The order of the additions of one element depends on k alone. While a tile is summed up, what
 * comes next is prefetched. */
#include "gemm_sizes.h"
#include "turn.h"

/* Packs B, k x n, with strides rb from row to row and cb from column to column: to[panel][p][0..width). A panel has 2 L columns;
 * the last one has L where that is enough. */
static void G(pack)(int64_t n, int64_t k, const T *b, int64_t rb, int64_t cb, T *restrict to) {
  enum { L = G(LANES) };
  const int64_t even = cb == 1 ? n / (2 * L) * (2 * L) : 0; /* whole panels that are copied: row by row, as they lie */
  for (int64_t p = 0; p < k && even; p++)
    for (int64_t j = 0; j < even; j += 2 * L) {
      T *q = to + j * k + p * 2 * L;
      __builtin_prefetch(b + (p + GEMM_ROWS_AHEAD) * rb + j), __builtin_prefetch(b + (p + GEMM_ROWS_AHEAD) * rb + j + L);
      const T *f = b + p * rb + j;
      *(G(vec) *)q = *(const G(vec) *)f, *(G(vec) *)(q + L) = *(const G(vec) *)(f + L);
    }
  to += even * k;
  for (int64_t j = even, width; j < n; j += 2 * L, to += k * width) {
    width = n - j > L ? 2 * L : L;
    const int64_t w = n - j < width ? n - j : width;
    const T *f = b + j * cb;
    const int64_t whole = rb == 1 ? w / L * L : 0, deep = whole ? k / L * L : 0; /* what is transposed by blocks */
    for (int64_t p = 0; p < deep; p += L)
      for (int64_t i = 0; i < whole; i += L) {
        for (int64_t r = 0; r < L; r++) __builtin_prefetch(f + (i + r) * cb + p + GEMM_ELEMENTS_AHEAD);
        G(transpose)(f + i * cb + p, cb, to + p * width + i, width);
      }
    for (int64_t i = 0; i < whole; i++)
      for (int64_t p = deep; p < k; p++) to[p * width + i] = f[i * cb + p * rb];
    for (int64_t i = whole; i < w; i++)
      for (int64_t p = 0; p < k; p++) to[p * width + i] = f[i * cb + p * rb];
    for (int64_t p = 0; p < k && w < width; p++)
      for (int64_t i = w; i < width; i++) to[p * width + i] = 0;
  }
}

/* C[i, j] = (add: +=) the sum of a[i * ra + p] b[j * cb + p] over p < k. One matrix has few rows: each row of the other is read
 * once. */
static void G(dots)(bool add, int64_t m, int64_t n, int64_t k, const T *a, int64_t ra, const T *b, int64_t cb, T *c, int64_t rc) {
  enum { L = G(LANES), AT_ONCE = 4 };
  const int64_t many = max_i64(m, n), few = min_i64(m, n);
  for (int64_t e = 0; e < many; e++)
    for (int64_t f = 0; f < few; f++) {
      const int64_t i = m > n ? e : f, j = m > n ? f : e;
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

/* How the left operand A is read. A tile of it is copied where neither its rows nor its columns are adjacent, where the rows are
 * (its cache lines then lie far apart), and where its lines would share few sets of the cache. */
typedef struct G(left) {
  const T *a;
  int64_t r, c;     /* strides from row to row, from column to column */
  int64_t max_rows; /* of a tile */
  bool along;       /* the rows are adjacent (tile.h: along, else across) */
  bool copy;        /* each tile is copied first */
} G(left);

static inline G(left) G(left_of)(const T *a, int64_t r, int64_t c, int64_t m, int64_t n) {
  G(left) l = {.a = a, .r = r, .c = c, .max_rows = TILE_ROWS, .along = r == 1 && c != 1};
  const bool aliased = m > 1 && c == 1 && r * (int64_t)sizeof(T) % GEMM_ALIAS == 0;
  l.copy = (r != 1 && c != 1) || (n >= GEMM_COPY && (l.along || aliased));
  if (aliased && !l.copy) l.max_rows = min_i64(l.max_rows, GEMM_ALIASED_ROWS);
  return l;
}

/* Copies a tile of A: k x rows if `along`, else rows x k. Whole vectors may write more than `rows` elements: the next ones
 * overwrite it, and there is room for the last. They read more only where A has it. */
static inline void G(copy_tile)(const G(left) * l, const T *at, int64_t rows, int64_t k, T *to) {
  enum { L = G(LANES) };
  if (!l->along)
    for (int64_t i = 0; i < rows; i++)
      for (int64_t q = 0; q < k; q++) to[i * k + q] = at[i * l->r + q * l->c];
  else
    for (int64_t q = 0; q < k; q++, at += l->c, to += rows)
      if (rows <= L && (k - 1 - q) * l->c + rows >= L) *(G(vec) *)to = *(const G(vec) *)at;
      else memcpy(to, at, (size_t)rows * sizeof(T));
}

/* Elements of `room` that a product wants whose k is cut into pieces of at most `depth`: G(multiply) wants the first of them,
 * G(gemm) also those for a block of B. */
static inline int64_t G(room_rows)(const G(left) * l, int64_t k, int64_t depth) {
  return GEMM_EDGE + (l->copy ? round_up(TILE_ROWS * min_i64(k, depth) + 16, 16) : 0);
}
static inline int64_t G(room_block)(int64_t n, int64_t k, int64_t depth) {
  return min_i64(round_up(n, 16), GEMM_NC) * min_i64(k, depth);
}

/* Rows of B that a later block wants, GEMM_LINES cache lines each: prefetched while this block is multiplied. */
typedef struct G(ahead) {
  const char *at;
  int64_t step; /* bytes from row to row */
  int64_t rows; /* that are left */
} G(ahead);

static inline G(ahead) G(ahead_of)(const T *b, int64_t rb, int64_t cb, int64_t k, int64_t n) {
  if (cb == 1 && n * (int64_t)sizeof(T) == GEMM_LINES * 64) return (G(ahead)){(const char *)b, rb * (int64_t)sizeof(T), k};
  if (rb == 1 && k * (int64_t)sizeof(T) >= GEMM_LINES * 48) return (G(ahead)){(const char *)b, cb * (int64_t)sizeof(T), n};
  return (G(ahead)){NULL, 0, 0};
}

/* C, m x n, = (add: +=) the columns p .. p+k-1 of A times panels. These are packed, or (direct) columns of B where they lie, with
 * rows b_step apart. room: as many elements as G(room_rows) says. */
static void G(multiply)(bool add, int64_t m, int64_t n, int64_t p, int64_t k, const G(left) * l, const T *panels, bool direct,
                        int64_t b_step, T *c, int64_t rc, T *room, G(ahead) * ahead) {
  enum { L = G(LANES) };
  T *edge = room, *own = room + GEMM_EDGE;
  const int64_t tiles = div_up(m, l->max_rows), step = l->along ? l->c : l->r, apart = step * (int64_t)sizeof(T);
  for (int64_t t = 0; t < tiles; t++) {
    const int64_t i = m * t / tiles, rows = m * (t + 1) / tiles - i;
    const T *at = l->a + i * l->r + p * l->c;
    const char *next = (const char *)(at + rows * l->r);
    int64_t a_step = step;
    if (l->copy) {
      G(copy_tile)(l, at, rows, k, own);
      at = own, a_step = l->along ? rows : k;
    }
    for (int64_t j = 0; j < n; j += 2 * L) {
      const int cols = n - j < 2 * L ? (int)(n - j) : 2 * L, vectors = cols > L ? 2 : 1;
      const bool whole = cols == vectors * L;
      T *to = c + i * rc + j;
      ms_fetch fetch = {(const char *)at, 0, 0};
      if (j == 0) fetch = (ms_fetch){next, apart, l->along ? apart : 64 - 15 * apart}; /* the next rows of A */
      else if (ahead->rows > 0) {
        fetch = (ms_fetch){ahead->at, 64, ahead->step - 15 * 64};
        ahead->at += k / 16 * ahead->step, ahead->rows -= k / 16;
      }
      MS_NAME(G(ms_tile))
      [l->along][rows][vectors](1, k, at, 0, a_step, direct ? panels + j : panels + j * k, 0, direct ? b_step : vectors * L,
                                whole ? to : edge, whole ? rc : 2 * L, whole && add ? to : NULL, rc, &fetch);
      for (int64_t r = 0; r < rows && !whole; r++)
        for (int x = 0; x < cols; x++) to[r * rc + x] = add ? to[r * rc + x] + edge[r * 2 * L + x] : edge[r * 2 * L + x];
    }
  }
}

/* C = A B, or C += A B. A m x k with strides ra (rows), ca (columns), B k x n with rb, cb, C m x n with rows rc apart, columns
 * adjacent. dots: gemm_dots allows it. k is cut into pieces of at most `depth`. room: G(room_rows) + G(room_block) elements, at
 * most GEMM_PACK for a depth of GEMM_KC. With GEMM_KEEP the whole of B, packed, stays in `room` (round_up(n, 16) k elements in
 * place of G(room_block)), for calls with other rows of A and GEMM_KEPT. */
static void G(gemm)(bool add, bool dots, gemm_keep keep, int64_t depth, int64_t m, int64_t n, int64_t k, const T *a, int64_t ra,
                    int64_t ca, const T *b, int64_t rb, int64_t cb, T *c, int64_t rc, T *room) {
  enum { L = G(LANES) };
  if (dots) {
    G(dots)(add, m, n, k, a, ra, b, cb, c, rc);
    return;
  }
  const G(left) l = G(left_of)(a, ra, ca, m, n);
  T *packed = room + G(room_rows)(&l, k, depth);
  if (!k && !add)
    for (int64_t i = 0; i < m; i++) memset(c + i * rc, 0, (size_t)n * sizeof(T));
  for (int64_t block = 0, blocks = (k + depth - 1) / depth; block < blocks; block++) {
    const int64_t p = k * block / blocks, kc = k * (block + 1) / blocks - p, after = k * (block + 2) / blocks - p - kc;
    for (int64_t j = 0; j < n; j += GEMM_NC) {
      if (ms_interrupted()) return; /* whoever called looks, too: the result is not whole */
      const int64_t nc = min_i64(n - j, GEMM_NC), next = j + GEMM_NC;
      /* A product of few rows reads B once: whole panels of it may stay where they are. */
      const int64_t direct = cb == 1 && m <= l.max_rows && !keep ? nc / (2 * L) * (2 * L) : 0;
      G(ahead) ahead = {NULL, 0, 0};
      if (keep != GEMM_KEPT && next < n) ahead = G(ahead_of)(b + p * rb + next * cb, rb, cb, kc, min_i64(n - next, GEMM_NC));
      else if (keep != GEMM_KEPT && block + 1 < blocks) ahead = G(ahead_of)(b + (p + kc) * rb, rb, cb, after, min_i64(n, GEMM_NC));
      if (direct) G(multiply)(add || block, m, direct, p, kc, &l, b + p * rb + j, true, rb, c + j, rc, room, &ahead);
      if (direct == nc) continue;
      T *panels = keep ? packed + p * round_up(n, 16) + j * kc : packed;
      if (keep != GEMM_KEPT) G(pack)(nc - direct, kc, b + p * rb + (j + direct) * cb, rb, cb, panels);
      G(multiply)(add || block, m, nc - direct, p, kc, &l, panels, false, 0, c + j + direct, rc, room, &ahead);
    }
  }
}

/* C = A B for products too small to be worth packing. */
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
