/* each.c -- one way through strided operands (each_params): dimensions that continue each other are merged. */
#include "cuda.h"
#include <string.h>

/* Operand k of the walk over `like`'s shape, broadcast to it from the right. */
static void add(each_params *p, int k, const ms_view *like, const ms_view *v) {
  const int lead = like->rank - v->rank;
  p->size[k] = (int)ms_dtype_size(v->dtype);
  if (v->number) {
    memcpy(&p->number[k], v->data, ms_dtype_size(v->dtype));
    return;
  }
  p->base[k] = v->data;
  for (int i = 0; i < like->rank; i++)
    p->stride[k][i] = i < lead || (v->shape[i - lead] == 1 && like->shape[i] != 1) ? 0 : v->stride[i - lead];
}

static void merge(each_params *p, int n, const ms_view *like) {
  int r = 0;
  p->n = 1;
  for (int i = 0; i < like->rank; i++) {
    const int64_t size = like->shape[i];
    p->n *= size;
    if (size == 1) continue;
    bool joins = r > 0;
    for (int k = 0; joins && k < n; k++) joins = p->stride[k][r - 1] == p->stride[k][i] * size;
    if (joins) p->shape[r - 1] *= size;
    else p->shape[r++] = size;
    for (int k = 0; k < n; k++) p->stride[k][r - 1] = p->stride[k][i];
  }
  p->rank = r;
  if (r == 0) p->rank = 1, p->shape[0] = 1;
}

static int launch(ms_queue *q, ms_cuda_image image, const char *name, int n, each_params *p) {
  const int64_t most = UINT32_MAX;
  if (p->n <= most) return ms_cuda_launch_each(q, image, name, p->n, p);
  /* Cut along the outermost dimension that can be cut: with merged dimensions that is the first one. */
  const int64_t inner = p->n / p->shape[0];
  const int64_t step = inner < most ? most / inner : 1;
  for (int64_t from = 0; from < p->shape[0]; from += step) {
    each_params part = *p;
    part.shape[0] = p->shape[0] - from < step ? p->shape[0] - from : step;
    part.n = part.shape[0] * inner;
    for (int k = 0; k <= n; k++)
      if (part.base[k]) part.base[k] = (char *)p->base[k] + from * p->stride[k][0] * p->size[k];
    if (inner > most && p->rank > 1) { /* one row at a time, and the rest is cut again */
      for (int i = 1; i < p->rank; i++) {
        part.shape[i - 1] = p->shape[i];
        for (int k = 0; k <= n; k++) part.stride[k][i - 1] = p->stride[k][i];
      }
      part.rank = p->rank - 1;
    }
    if (launch(q, image, name, n, &part) < 0) return -1;
  }
  return 0;
}

int ms_cuda_each(const ms_call *c, ms_cuda_image image, const char *name, const ms_view *out, int n, const ms_view *in) {
  each_params p = {0};
  add(&p, 0, out, out);
  for (int k = 0; k < n; k++) add(&p, k + 1, out, &in[k]);
  merge(&p, n + 1, out);
  return launch(c->queue, image, name, n, &p);
}

const char *ms_cuda_suffix(int dtype) {
  static const char *const names[MS_DTYPES] = {
      [MS_F32] = "f32", [MS_F64] = "f64", [MS_I64] = "i64", [MS_I32] = "i32", [MS_U8] = "u8", [MS_BOOL] = "u8"};
  return names[dtype];
}
