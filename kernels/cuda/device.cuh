/* device.cuh -- what the kernels of this folder have in common. They are plain CUDA C++ without CUDA's runtime library; the driver
 * launches them by name. tests/cuda compiles the same files for the CPU, where emulate.h, which comes first, defines KERNEL. */
#ifndef MS_CUDA_DEVICE_CUH
#define MS_CUDA_DEVICE_CUH
#ifndef KERNEL
#define KERNEL(name, params)   extern "C" __global__ void name(const __grid_constant__ params p)
#define DEVICE                 static __device__ inline
#define DEVICE_MEMBER          __device__ inline
#define SHARED(T, name, count) __shared__ T name[count]
#define MS_F                   static __device__ inline __attribute__((always_inline))
#define MS_SLOW                static __device__ __noinline__ __attribute__((unused))
#define ROLLED _Pragma("unroll 1")
#endif
#include "params.h"
#include "../math.h"

template <class T> struct is_real {
  static constexpr bool yes = ms_type<T>::f32 || ms_type<T>::f64;
};
template <bool B, class T, class F> struct if_else {
  typedef T type;
};
template <class T, class F> struct if_else<false, T, F> {
  typedef F type;
};

/* The places i that a thread has in a loop over n: all threads of the grid take turns. Not unrolled: there are many kernels. */
#define EACH_PLACE(i, n)                                                                                                           \
  ROLLED for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (int64_t)gridDim.x * blockDim.x)

/* Where element i of the walk lies in the operands 0 .. N - 1. A walk has less than 2^32 elements: the host cuts longer ones. */
template <int N> struct places { int64_t at[N]; };

template <int N> DEVICE places<N> place(const each_params &p, int64_t place) {
  places<N> r = {};
  uint32_t i = (uint32_t)place;
  ROLLED for (int d = p.rank - 1; d > 0; d--) {
    const uint32_t size = (uint32_t)p.shape[d], q = i / size, at = i - q * size;
    for (int k = 0; k < N; k++) r.at[k] += (int64_t)at * p.stride[k][d];
    i = q;
  }
  for (int k = 0; k < N; k++) r.at[k] += (int64_t)i * p.stride[k][0];
  return r;
}

/* Operand k, be it memory or a number. */
template <class T> DEVICE const T *operand(const each_params &p, int k) {
  return (const T *)(p.base[k] ? p.base[k] : (const void *)&p.number[k]);
}

#endif
