/* matmul_bf16.h -- a product of f32 matrices whose elements are rounded to bf16 first and multiplied and added up in f32
 * (ms_precision: bf16), on processors with AVX512_BF16. */
#ifndef MS_MATMUL_BF16_H
#define MS_MATMUL_BF16_H
#include "cpu.h"

/* Strides as gemm.h; C m x n, rows adjacent. `team` threads share it; the bits do not depend on their number. work: ms_bf16_bytes
 * of workspace. */
size_t MS_NAME(ms_bf16_bytes)(int64_t m, int64_t n, int64_t k);
void MS_NAME(ms_bf16_matmul)(int64_t m, int64_t n, int64_t k, const float *a, int64_t ra, int64_t ca, const float *b, int64_t rb,
                             int64_t cb, float *c, void *work, int team);

#endif
