/* params.h -- what kernels are handed, by value: written by the host in C, read by the kernels in CUDA C++. A kernel has one
 * parameter. */
#ifndef MS_CUDA_PARAMS_H
#define MS_CUDA_PARAMS_H
#include <stdint.h>

enum { MS_CUDA_OPERANDS = 4, MS_CUDA_RANK = 8 };

/* One way through the elements of a result (operand 0) and its operands, merged to as few dimensions as it takes. Strides count
 * elements; n is below 2^32. base NULL: a number, the first bytes of `number`. */
typedef struct each_params {
  void *base[MS_CUDA_OPERANDS];
  uint64_t number[MS_CUDA_OPERANDS];
  int64_t n; /* elements of the result */
  int64_t shape[MS_CUDA_RANK], stride[MS_CUDA_OPERANDS][MS_CUDA_RANK];
  int rank, size[MS_CUDA_OPERANDS]; /* bytes of an element */
} each_params;

/* Reductions: result k is made of the n terms x[k, r]; k counts through the dimensions that are kept, r through the others. */
typedef struct reduce_params {
  const void *x;
  void *to;
  int64_t kept_n, n;
  int64_t kept_shape[MS_CUDA_RANK], kept_stride[MS_CUDA_RANK], shape[MS_CUDA_RANK], stride[MS_CUDA_RANK];
  int kept_rank, rank;
  double scale;
} reduce_params;

/* Products a (m x k) times b (k x n) for each of a batch; strides count elements, and the result is contiguous. */
typedef struct matmul_params {
  const void *a, *b;
  void *to;
  int64_t m, n, k, batch, a_row, a_column, b_row, b_column;
  int64_t batch_shape[MS_CUDA_RANK], a_batch[MS_CUDA_RANK], b_batch[MS_CUDA_RANK];
  int batch_rank;
} matmul_params;

/* Sequences: element i is first + i * by in whole numbers, or start + i * step, and of linspace `last` at n - 1. */
typedef struct sequence_params {
  void *to;
  int64_t n, first, by, columns;
  double start, step, last;
  int whole;
} sequence_params;

/* Random numbers: elements 4 b .. 4 b + 3 (f64, i64: 2 b, 2 b + 1) come from the words at counter + b. */
typedef struct random_params {
  void *to;
  int64_t n;
  uint64_t seed, counter;
  double a, b, top;    /* uniform: low, range, the largest; normal: mean, std; bernoulli: 1 below a */
  uint64_t low, count; /* randint */
} random_params;

#endif
