/* product_template.h -- the innermost product of knn.c and pca.c, for variants.h. The includer defines too
 *   T                      float or double
 *   PRODUCT_M, PRODUCT_N   rows and columns of a tile, which are packed together
 *   BLOCK_VECTORS          vectors of a row of a block of the tile. A block has all its rows, or half of them where there are fewer
 *                          registers: its sums must fit them, together with BLOCK_VECTORS + 1 vectors */

typedef T G(product_vec) __attribute__((vector_size(VECTOR * sizeof(T)), aligned(sizeof(T)), may_alias));

/* c[i][j] += the sum over p < k of a[p][i] * b[p][j], for i < PRODUCT_M, j < PRODUCT_N. Rows of c are ldc apart. */
TARGET static void G(product)(int64_t k, const T *restrict a, const T *restrict b, T *restrict c, int64_t ldc) {
  typedef G(product_vec) vec;
  enum { BLOCK_ROWS = VECTOR * sizeof(T) == 64 ? PRODUCT_M : PRODUCT_M / 2 };
  for (int j0 = 0; j0 < PRODUCT_N; j0 += BLOCK_VECTORS * VECTOR)
    for (int i0 = 0; i0 < PRODUCT_M; i0 += BLOCK_ROWS) {
      vec sum[BLOCK_ROWS][BLOCK_VECTORS];
#pragma GCC unroll 16
      for (int i = 0; i < BLOCK_ROWS; i++)
#pragma GCC unroll 16
        for (int v = 0; v < BLOCK_VECTORS; v++) sum[i][v] = (vec){0};
      const T *a_row = a + i0, *b_row = b + j0;
      for (int64_t p = 0; p < k; p++, a_row += PRODUCT_M, b_row += PRODUCT_N) {
        vec b_vec[BLOCK_VECTORS];
#pragma GCC unroll 16
        for (int v = 0; v < BLOCK_VECTORS; v++) b_vec[v] = *(const vec *)(b_row + v * VECTOR);
#pragma GCC unroll 16
        for (int i = 0; i < BLOCK_ROWS; i++)
#pragma GCC unroll 16
          for (int v = 0; v < BLOCK_VECTORS; v++) sum[i][v] += a_row[i] * b_vec[v];
      }
#pragma GCC unroll 16
      for (int i = 0; i < BLOCK_ROWS; i++)
#pragma GCC unroll 16
        for (int v = 0; v < BLOCK_VECTORS; v++) {
          vec *to = (vec *)(c + (i0 + i) * ldc + j0 + v * VECTOR);
          *to += sum[i][v];
        }
    }
}
