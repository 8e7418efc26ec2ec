/* matmul.c -- batches of matrix products (matmul.cu). */
#include "cuda.h"
#include <stdio.h>

enum { BLOCK = 64, TEAM = 256 }; /* as in matmul.cu */

static bool matrices(const ms_call *c) {
  return c->in[0].rank >= 2 && c->in[1].rank >= 2 && c->in[0].dtype == c->in[1].dtype && c->in[0].dtype == c->out[0].dtype;
}
static bool floats(const ms_call *c) { return matrices(c) && (c->out[0].dtype == MS_F32 || c->out[0].dtype == MS_F64); }
static bool whole(const ms_call *c) {
  return matrices(c) && (c->out[0].dtype == MS_I64 || c->out[0].dtype == MS_I32 || c->out[0].dtype == MS_U8);
}

/* Strides of an operand along the batch's dimensions; 0 where it is the same matrix. */
static void batch_strides(int64_t *to, const ms_view *v, const ms_view *out) {
  for (int i = 0; i < out->rank - 2; i++) {
    const int k = i - (out->rank - v->rank);
    to[i] = k < 0 || v->shape[k] == 1 ? 0 : v->stride[k];
  }
}

static int run(ms_call *c) {
  const ms_view *a = &c->in[0], *b = &c->in[1], *out = &c->out[0];
  const bool ta = c->attr[0].i != 0, tb = c->attr[1].i != 0;
  matmul_params p = {.a = a->data, .b = b->data, .to = out->data, .batch = 1, .batch_rank = out->rank - 2};
  char name[32];
  p.m = out->shape[out->rank - 2], p.n = out->shape[out->rank - 1], p.k = a->shape[a->rank - 1 - ta];
  p.a_row = a->stride[a->rank - 2 + ta], p.a_column = a->stride[a->rank - 1 - ta];
  p.b_row = b->stride[b->rank - 2 + tb], p.b_column = b->stride[b->rank - 1 - tb];
  for (int i = 0; i < p.batch_rank; i++) p.batch *= p.batch_shape[i] = out->shape[i];
  batch_strides(p.a_batch, a, out), batch_strides(p.b_batch, b, out);
  const int64_t blocks = p.batch * ((p.m + BLOCK - 1) / BLOCK) * ((p.n + BLOCK - 1) / BLOCK);
  snprintf(name, sizeof name, "matmul_%s", ms_cuda_suffix(out->dtype));
  return blocks ? ms_cuda_launch(c->queue, MS_CUDA_matmul, name, blocks < 1 << 30 ? blocks : 1 << 30, TEAM, &p) : 0;
}
MS_CUDA_KERNEL(matmul, .run = run, .supports = floats);
MS_CUDA_KERNEL(matmul_whole, .run = run, .supports = whole);
