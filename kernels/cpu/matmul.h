/* matmul.h -- a batch of matrix products as the ways to compute it see it (matmul.c), and how it is cut into work for threads
 * (matmul_cut.c).
 *
 * A share is what one thread computes: some rows and columns of one result, over one split of k. Splits are parts of k whose sums
 * are added up in order at the end. A share is done in bands, of rows or of columns: a thread that has no more bands takes over
 * those of another. */
#ifndef MS_MATMUL_H
#define MS_MATMUL_H
#include "cpu.h"

enum {
  SHARE_WORK = 1 << 18, /* multiply-adds that are worth a share of its own */
  AFTER_ROW = 256,      /* elements of a part of a row, from which on the chain behind the product runs band by band */
  PANEL_COLUMNS = 32    /* columns that are computed at a time: shares end at multiples of them */
};

/* In the order in which they are asked (matmul.c). */
typedef enum way { WAY_EMPTY, WAY_SMALL, WAY_AMX, WAY_BF16, WAY_DOTS, WAY_TURNED, WAY_TILE } way;

/* Element (i, j) of matrix b of the batch is data[offset(b) + i * row_stride + j * column_stride]. */
typedef struct operand {
  const char *data;
  int64_t row_stride, column_stride;
  int n_batch;
  int64_t size[MS_MAX_RANK], stride[MS_MAX_RANK]; /* of the batch dimensions, those of the result; stride 0 where broadcast */
  int64_t distinct;                               /* matrices that differ */
} operand;

typedef struct product {
  int64_t m, n, k, batch;
  operand a, b;
  bool is_f32;
  way way;
  bool exchanged; /* a and b, m and n are exchanged: what is computed is the transposed result */
  bool turned;    /* and bands are transposed back. A result of one row or column needs that not. */
  /* where tiles compute it */
  int64_t depth;                      /* k is summed up in pieces of at most this length */
  int64_t shares_m, shares_n, splits; /* into how many pieces m, n and k are cut */
  int64_t bands_m, bands_n;           /* of a share; one of them is 1 */
  bool keep_packed;                   /* the bands of a share use one packed right operand */
  /* the workspace */
  int team;                 /* threads that there is room for */
  int64_t room;             /* elements for a thread */
  size_t sums_at, rooms_at; /* bytes from its start on: the sums of the splits; the threads' rooms */
  size_t work_bytes;        /* in all */
} product;

/* m x n elements from (m0, n0) on of result `batch`: their sums over the k terms from k0 on. */
typedef struct band {
  int64_t batch, split, share, m0, n0, k0, m, n, k;
} band;

/* Decides shares, splits and bands, for so many threads. */
void MS_NAME(ms_product_cut)(product *p, int threads);
/* Which of them band `index` is, of product_bands. */
band MS_NAME(ms_product_band)(const product *p, int64_t index);
static inline int64_t product_shares(const product *p) { return p->batch * p->shares_m * p->shares_n * p->splits; }
static inline int64_t product_bands(const product *p) { return product_shares(p) * p->bands_m * p->bands_n; }

/* Elements of the right operand of a share, packed. Edges of shares move by half a panel at most. */
static inline int64_t packed_elements(const product *p) { return round_up(div_up(p->n, p->shares_n) + PANEL_COLUMNS, 16) * p->k; }

#endif
