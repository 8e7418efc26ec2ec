/* matmul_whole.c -- batches of products of integer matrices, exact but that they wrap, as C's unsigned integers do. A row of the
 * result is the sum of rows of the right matrix, so that the inner loop runs along memory. */
#include "cpu.h"
#include <string.h>

/* Where matrix number `batch` of the result has its operand, in elements. */
static int64_t matrix_of(const ms_view *v, const ms_view *out, int64_t batch) {
  int64_t at = 0;
  for (int i = out->rank - 3; i >= 0; i--) {
    const int k = i - (out->rank - v->rank);
    if (k >= 0 && v->shape[k] != 1) at += batch % out->shape[i] * v->stride[k];
    batch /= out->shape[i];
  }
  return at;
}

#define LOOP(type)                                                                                                                 \
  {                                                                                                                                \
    const type *a = c->in[0].data, *b = c->in[1].data;                                                                             \
    MS_PARALLEL(ms_team(rows *k *n), r, rows, {                                                                                    \
      type *to = (type *)c->out[0].data + r * n;                                                                                   \
      const type *left = a + matrix_of(&c->in[0], &c->out[0], r / m) + r % m * a_row;                                              \
      const type *right = b + matrix_of(&c->in[1], &c->out[0], r / m);                                                             \
      memset(to, 0, (size_t)n * sizeof *to);                                                                                       \
      for (int64_t i = 0; i < k && !ms_interrupted(); i++)                                                                         \
        for (int64_t j = 0; j < n; j++)                                                                                            \
          to[j] = (type)(to[j] + (type)((uint64_t)left[i * a_column] * (uint64_t)right[i * b_row + j * b_column]));                \
    });                                                                                                                            \
    break;                                                                                                                         \
  }

static int run(ms_call *c) {
  const bool ta = c->attr[0].i != 0, tb = c->attr[1].i != 0;
  const ms_view *x = &c->in[0], *y = &c->in[1], *out = &c->out[0];
  const int64_t m = out->shape[out->rank - 2], n = out->shape[out->rank - 1], k = x->shape[x->rank - 1 - ta];
  const int64_t rows = n ? ms_view_numel(out) / n : 0;
  const int64_t a_row = x->stride[x->rank - 2 + ta], a_column = x->stride[x->rank - 1 - ta];
  const int64_t b_row = y->stride[y->rank - 2 + tb], b_column = y->stride[y->rank - 1 - tb];
  switch (out->dtype) {
  case MS_I64: LOOP(uint64_t)
  case MS_I32: LOOP(uint32_t)
  case MS_U8: LOOP(uint8_t)
  default: return ms_fail("%s: no cpu kernel for %s", c->op->name, ms_dtype_name(out->dtype)), -1;
  }
  return ms_interrupted() ? (ms_stopped(c->op->name), -1) : 0;
}
MS_KERNEL(matmul_whole, .run = run);
