/* copy.c -- moving elements: copies between layouts, conversions, filling, reversing (copy.cu). */
#include "cuda.h"
#include <stdio.h>

static int move(const ms_call *c, const ms_view *to, const ms_view *from) {
  char name[16];
  snprintf(name, sizeof name, "move_%zu", ms_dtype_size(to->dtype));
  return ms_cuda_each(c, MS_CUDA_copy, name, to, 1, from);
}

static bool same_dtype(const ms_call *c) { return c->in[0].dtype == c->in[1].dtype; }
static int run_copy(ms_call *c) { return move(c, &c->out[0], &c->in[0]); }
static int run_copy_(ms_call *c) { return move(c, &c->in[0], &c->in[1]); }
MS_CUDA_KERNEL(contiguous, .run = run_copy);
MS_CUDA_KERNEL(clone, .run = run_copy);
MS_CUDA_KERNEL(copy_, .run = run_copy_, .supports = same_dtype);

static int run_cast(ms_call *c) {
  char name[32];
  if (c->in[0].dtype == c->out[0].dtype) return move(c, &c->out[0], &c->in[0]);
  snprintf(name, sizeof name, "cast_%s_%s", ms_dtype_name(c->in[0].dtype), ms_dtype_name(c->out[0].dtype));
  return ms_cuda_each(c, MS_CUDA_copy, name, &c->out[0], 1, c->in);
}
MS_CUDA_KERNEL(cast, .run = run_cast);

static int fill(const ms_call *c, const ms_view *v, ms_scalar value) {
  uint64_t element = 0; /* aligned for each dtype */
  if (ms_put_number(&element, v->dtype, value) < 0) return ms_error_prefix("%s", c->op->name), -1;
  const ms_view one = {.data = &element, .number = &value, .dtype = v->dtype};
  return move(c, v, &one);
}
static int run_full(ms_call *c) { return fill(c, &c->out[0], c->attr[1].s); }
static int run_fill_(ms_call *c) { return fill(c, &c->in[0], c->attr[0].s); }
MS_CUDA_KERNEL(full, .run = run_full);
MS_CUDA_KERNEL(fill_, .run = run_fill_);

/* Walk x from its last element backwards along the named dimensions. */
static int run_flip(ms_call *c) {
  ms_view x = c->in[0];
  const ms_ints *d = &c->attr[0].v;
  int64_t at = 0;
  if (!ms_view_numel(&x)) return 0;
  for (int k = 0; k < d->n; k++) {
    const int i = (int)d->at[k];
    at += (x.shape[i] - 1) * x.stride[i];
    x.stride[i] = -x.stride[i];
  }
  x.data = (char *)x.data + at * (int64_t)ms_dtype_size(x.dtype);
  return move(c, &c->out[0], &x);
}
MS_CUDA_KERNEL(flip, .run = run_flip);
