/* wrong.cu -- kernels with mistakes that the emulator has to find (wrong.c), and a right one beside each. */
#include "device.cuh"

typedef struct wrong_params {
  int *to;
  int n;
} wrong_params;

/* Thread i writes what its neighbour has in shared memory. */
KERNEL(neighbours, wrong_params) {
  SHARED(int, v, 64);
  const int i = (int)threadIdx.x;
  v[i] = i * i;
  __syncthreads();
  p.to[i] = v[(i + 1) % p.n];
}

KERNEL(divergent, wrong_params) {
  if (threadIdx.x < 7) __syncthreads();
  p.to[threadIdx.x] = 1;
}

KERNEL(different, wrong_params) {
  if (threadIdx.x < 7) __syncthreads();
  else __syncthreads();
  p.to[threadIdx.x] = 1;
}

KERNEL(forgotten, wrong_params) { /* as neighbours, without the barrier */
  SHARED(int, v, 64);
  const int i = (int)threadIdx.x;
  v[i] = i * i;
  p.to[i] = v[(i + 1) % p.n];
}
