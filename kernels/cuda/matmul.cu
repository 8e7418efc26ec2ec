/* matmul.cu -- batches of matrix products, exact: every product in the dtype's own precision, added up along k in order. A block
 * makes a square of the result, BLOCK on a side; a thread makes TILE x TILE elements of it. */
#include "device.cuh"

enum { BLOCK = 64, DEPTH = 16, TILE = 4, SIDE = BLOCK / TILE, TEAM = SIDE * SIDE };

/* DEPTH columns of `rows` x k numbers, from row r0 and column k0 on, into shared memory; 0 where there are none. */
template <class T>
DEVICE void fetch(T *to, const T *from, int64_t r0, int64_t rows, int64_t k0, int64_t k, int64_t step, int64_t k_step) {
  for (int e = (int)threadIdx.x; e < BLOCK * DEPTH; e += TEAM) {
    /* Neighbouring threads read neighbouring elements. */
    const int r = k_step == 1 ? e / DEPTH : e % BLOCK, d = k_step == 1 ? e % DEPTH : e / BLOCK;
    to[d * BLOCK + r] = r0 + r < rows && k0 + d < k ? from[(r0 + r) * step + (k0 + d) * k_step] : (T)0;
  }
}

template <class T, class A> DEVICE void product(const matmul_params &p) {
  SHARED(T, a_part, BLOCK * DEPTH);
  SHARED(T, b_part, BLOCK * DEPTH);
  const int64_t across = (p.n + BLOCK - 1) / BLOCK, down = (p.m + BLOCK - 1) / BLOCK;
  const int x = (int)threadIdx.x % SIDE * TILE, y = (int)threadIdx.x / SIDE * TILE;
  for (int64_t block = blockIdx.x; block < p.batch * across * down; block += gridDim.x) {
    const int64_t which = block / (across * down), rest = block % (across * down);
    const int64_t i0 = rest / across * BLOCK, j0 = rest % across * BLOCK;
    const T *a = (const T *)p.a, *b = (const T *)p.b;
    int64_t left = which;
    ROLLED for (int d = p.batch_rank - 1; d >= 0; d--) {
      const int64_t at = left % p.batch_shape[d];
      a += at * p.a_batch[d], b += at * p.b_batch[d];
      left /= p.batch_shape[d];
    }
    A sum[TILE][TILE] = {};
    for (int64_t k0 = 0; k0 < p.k; k0 += DEPTH) {
      fetch<T>(a_part, a, i0, p.m, k0, p.k, p.a_row, p.a_column);
      fetch<T>(b_part, b, j0, p.n, k0, p.k, p.b_column, p.b_row);
      __syncthreads();
      for (int d = 0; d < DEPTH; d++)
        for (int i = 0; i < TILE; i++)
          for (int j = 0; j < TILE; j++) sum[i][j] += (A)a_part[d * BLOCK + y + i] * (A)b_part[d * BLOCK + x + j];
      __syncthreads();
    }
    T *o = (T *)p.to + which * p.m * p.n;
    for (int i = 0; i < TILE; i++)
      for (int j = 0; j < TILE; j++)
        if (i0 + y + i < p.m && j0 + x + j < p.n) o[(i0 + y + i) * p.n + j0 + x + j] = (T)sum[i][j];
  }
}

KERNEL(matmul_f32, matmul_params) { product<float, float>(p); }
KERNEL(matmul_f64, matmul_params) { product<double, double>(p); }
KERNEL(matmul_i64, matmul_params) { product<int64_t, uint64_t>(p); } /* whole numbers wrap */
KERNEL(matmul_i32, matmul_params) { product<int32_t, uint32_t>(p); }
KERNEL(matmul_u8, matmul_params) { product<uint8_t, uint32_t>(p); }
