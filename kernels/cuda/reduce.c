/* reduce.c -- reductions over dimensions (reduce.cu). */
#include "cuda.h"
#include <stdio.h>

enum {
  TEAM = 256,            /* as in reduce.cu */
  FEW_TERMS = 64,        /* up to which a thread makes a result by itself */
  MANY_RESULTS = 1 << 14 /* side by side in memory, from which on it does so too */
};

/* Dimensions that continue one another in memory are merged, those of size 1 left out. */
static void add(int *rank, int64_t *shape, int64_t *stride, int64_t *count, int64_t size, int64_t step) {
  const int last = *rank - 1;
  *count *= size;
  if (size == 1) return;
  if (last >= 0 && stride[last] == step * size) shape[last] *= size, stride[last] = step;
  else shape[*rank] = size, stride[(*rank)++] = step;
}

/* dims: the reduced dimensions, in rising order. */
static int reduce(const ms_call *c, const char *what, const ms_ints *dims, bool mean) {
  const ms_view *x = &c->in[0];
  reduce_params p = {.x = x->data, .to = c->out[0].data, .kept_n = 1, .n = 1};
  char name[32];
  for (int i = 0, k = 0; i < x->rank; i++) {
    const bool reduced = k < dims->n && dims->at[k] == i;
    k += reduced;
    if (reduced) add(&p.rank, p.shape, p.stride, &p.n, x->shape[i], x->stride[i]);
    else add(&p.kept_rank, p.kept_shape, p.kept_stride, &p.kept_n, x->shape[i], x->stride[i]);
  }
  p.scale = mean ? 1 / (double)p.n : 1;
  if (!p.kept_n) return 0;
  const bool beside = p.kept_rank && p.kept_stride[p.kept_rank - 1] == 1;
  const bool each = p.n <= FEW_TERMS || (beside && p.kept_n >= MANY_RESULTS);
  snprintf(name, sizeof name, "%s_%s%s", what, ms_cuda_suffix(x->dtype), each ? "_each" : "");
  return each ? ms_cuda_launch_each(c->queue, MS_CUDA_reduce, name, p.kept_n, &p)
              : ms_cuda_launch(c->queue, MS_CUDA_reduce, name, p.kept_n < 1 << 20 ? p.kept_n : 1 << 20, TEAM, &p);
}

/* The dtypes of results: what the kernels give. */
static bool natural(const ms_call *c) {
  const uint8_t in = c->in[0].dtype, out = c->out[0].dtype;
  return in == MS_F32 || in == MS_F64 ? out == in : ms_cuda_suffix(in) && out == MS_I64;
}
static bool known(const ms_call *c) { return ms_cuda_suffix(c->in[0].dtype) != NULL; }
static bool along_one(const ms_call *c) { return known(c) && c->attr[0].i != MS_NO_DIM; }

static int run(ms_call *c) { return reduce(c, c->op->name, &c->attr[0].v, false); }
static int run_mean(ms_call *c) { return reduce(c, "sum", &c->attr[0].v, true); }
static int run_along(ms_call *c) { return reduce(c, c->op->name, &(const ms_ints){.n = 1, .at = {c->attr[0].i}}, false); }

MS_CUDA_KERNEL(sum, .run = run, .supports = natural);
MS_CUDA_KERNEL(mean, .run = run_mean, .supports = natural);
MS_CUDA_KERNEL(prod, .run = run, .supports = natural);
MS_CUDA_KERNEL(any, .run = run, .supports = known);
MS_CUDA_KERNEL(all, .run = run, .supports = known);
MS_CUDA_KERNEL(amax, .run = run, .supports = known);
MS_CUDA_KERNEL(amin, .run = run, .supports = known);
MS_CUDA_KERNEL(argmax, .run = run_along, .supports = along_one);
MS_CUDA_KERNEL(argmin, .run = run_along, .supports = along_one);
