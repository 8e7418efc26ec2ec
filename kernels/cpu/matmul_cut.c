/* matmul_cut.c -- how a product is cut into shares, splits of k, and bands (matmul.h). Bits depend on the splits only, so these
 * follow from sizes and layouts, and not from the number of threads. */
#include "matmul.h"
#include "gemm_sizes.h"

enum {
  SPLIT_DEPTH = 1024,     /* least length of a split of k */
  SPLIT_RESULT = 1 << 16, /* most elements of a result that is added up from several splits */
  HALF_DEPTH = 512,       /* least k that is cut into two halves because the largest matrix lies along k: that saves a thread */
  HALF_RESULT = 1 << 14,  /*   reading half of it from another one's cache; and most elements of the result then */
  BANDS = 8,              /* most bands of a share */
  BAND_WORK = 1 << 20,    /* multiply-adds that are worth a band */
  BAND_ROWS = 40,         /* least rows of a band: what packing the right operand anew is small against */
  KEEP_ELEMENTS = 1 << 18 /* most elements of a right operand that stays packed for all bands of a share */
};

/* Cycles that an element costs that is packed; and one that another thread has written (measured on an Emerald Rapids). */
static const double PACKED = 0.6, FOREIGN = 0.7;

/* The largest of the three matrices, most often a weight or its gradient: which dimension of the product counts its rows, as they
 * lie in memory, and which its columns. If each thread gets rows of it, it meets the same ones in the products of the forward and
 * the backward pass, and in the update of the weight, which is cut by rows too. */
typedef enum axis { AXIS_M, AXIS_N, AXIS_K } axis;
typedef struct largest {
  axis rows, columns;
  double size;
} largest;

static largest largest_of(const product *p) {
  const double a = (double)p->m * (double)p->k, b = (double)p->k * (double)p->n, c = (double)p->m * (double)p->n;
  if (c >= a && c >= b) return p->exchanged ? (largest){AXIS_N, AXIS_M, c} : (largest){AXIS_M, AXIS_N, c};
  if (a >= b) return p->a.column_stride == 1 ? (largest){AXIS_M, AXIS_K, a} : (largest){AXIS_K, AXIS_M, a};
  return p->b.column_stride == 1 ? (largest){AXIS_K, AXIS_N, b} : (largest){AXIS_N, AXIS_K, b};
}

/* About the cycles that one of shares_m x shares_n shares takes: products, packing, and reading what another thread has written of
 * the largest matrix. */
static double share_cost(const product *p, const largest *l, int64_t shares_m, int64_t shares_n) {
  const double rows = (double)div_up(p->m, shares_m), columns = (double)round_up(div_up(p->n, shares_n), 16);
  const double pieces[] = {[AXIS_M] = (double)shares_m, [AXIS_N] = (double)shares_n, [AXIS_K] = (double)p->splits};
  const double all = (double)(shares_m * shares_n * p->splits), here = l->size / pieces[l->rows] / pieces[l->columns];
  return (double)p->k / (double)p->splits * (rows * columns / 32 + PACKED * columns + 0.1 * rows) +
         FOREIGN * here * (1 - pieces[l->rows] / all);
}

/* With a share for each thread and no more, the product would end when the slowest core does. So a share is done in bands: of
 * GEMM_NC columns and more, since the right operand is packed in such blocks anyhow; or of rows. */
static void cut_bands(product *p, int threads) {
  const int64_t m = p->m / p->shares_m, n = p->n / p->shares_n;
  const int64_t want = min_i64(BANDS, m * n * (p->k / p->splits) / BAND_WORK), shares = product_shares(p);
  p->bands_m = p->bands_n = 1, p->keep_packed = false;
  if (threads == 1 || shares == 1 || shares >= 4 * threads || p->way == WAY_DOTS || want < 2) return;
  if (n >= 2 * GEMM_NC) p->bands_n = min_i64(want, n / GEMM_NC);
  else if (p->splits == 1 && packed_elements(p) <= KEEP_ELEMENTS && m >= 2 * BAND_ROWS) {
    p->bands_m = min_i64(want, m / BAND_ROWS), p->keep_packed = true;
    /* turned: rows of the product are columns of the result, and the chain behind it wants long parts of rows */
    if (p->turned && m >= AFTER_ROW) p->bands_m = min_i64(p->bands_m, m / AFTER_ROW);
  }
}

static void cut_splits(product *p, axis largest_rows) {
  p->splits = 1;
  if (p->batch != 1 || p->way == WAY_DOTS) return;
  const int64_t result = p->m * p->n;
  if (result <= SPLIT_RESULT && p->k >= 2 * SPLIT_DEPTH)
    while (p->splits < ms_tasks() && p->k / p->splits >= SPLIT_DEPTH) p->splits *= 2;
  if (p->splits == 1 && ms_tasks() > 1 && largest_rows == AXIS_K && p->k >= HALF_DEPTH && result <= HALF_RESULT) p->splits = 2;
}

/* A share for each thread, and each packs for itself: what one thread has written another one is slow to read. */
void MS_NAME(ms_product_cut)(product *p, int threads) {
  const largest l = largest_of(p);
  cut_splits(p, l.rows);
  int64_t want = min_i64(threads, p->m * p->n * p->k * p->batch / SHARE_WORK);
  want = div_up(want, p->batch * p->splits);
  double best = 0;
  p->shares_m = p->shares_n = 1;
  for (int64_t m = 1; m <= want; m++) {
    const int64_t n = div_up(want, m);
    if ((m > 1 && p->m / m < 4) || (n > 1 && p->n / n < PANEL_COLUMNS)) continue;
    const double cost = share_cost(p, &l, m, n);
    if (best == 0 || cost < best) best = cost, p->shares_m = m, p->shares_n = n;
  }
  cut_bands(p, threads);
}

/* Where piece i of `pieces` begins along n elements: near-equal pieces, multiples of `unit`. */
static int64_t edge(int64_t n, int64_t pieces, int64_t i, int64_t unit) {
  if (i == 0 || i == pieces) return i ? n : 0; /* without divisions: most often there is one piece */
  return min_i64((n * i / pieces + unit / 2) / unit * unit, n);
}

/* The same in whole blocks of GEMM_NC, the last one shorter. */
static int64_t block_edge(int64_t n, int64_t pieces, int64_t i) {
  return i ? min_i64(div_up(n, GEMM_NC) * i / pieces * GEMM_NC, n) : 0;
}

band MS_NAME(ms_product_band)(const product *p, int64_t index) {
  const int64_t bands = p->bands_m * p->bands_n, share = index / bands, rest = index % bands;
  const int64_t i = rest / p->bands_n, j = rest % p->bands_n; /* which band of the share */
  const int64_t share_j = share / p->splits % p->shares_n, share_i = share / p->splits / p->shares_n % p->shares_m;
  const int64_t top = edge(p->m, p->shares_m, share_i, 1), rows = edge(p->m, p->shares_m, share_i + 1, 1) - top;
  const int64_t left = edge(p->n, p->shares_n, share_j, PANEL_COLUMNS);
  const int64_t columns = edge(p->n, p->shares_n, share_j + 1, PANEL_COLUMNS) - left;
  band b = {.batch = share / p->splits / p->shares_n / p->shares_m, .split = share % p->splits, .share = share};
  b.m0 = top + edge(rows, p->bands_m, i, 1), b.m = top + edge(rows, p->bands_m, i + 1, 1) - b.m0;
  b.n0 = left + block_edge(columns, p->bands_n, j), b.n = left + block_edge(columns, p->bands_n, j + 1) - b.n0;
  b.k0 = edge(p->k, p->splits, b.split, 16), b.k = edge(p->k, p->splits, b.split + 1, 16) - b.k0;
  return b;
}
