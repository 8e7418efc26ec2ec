/* create.c -- sequences and random numbers (create.cu). What is refused, and in which words, is as in kernels/cpu/create.c. */
#include "cuda.h"
#include "philox.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool ordinary(const ms_call *c) { return ms_cuda_suffix(c->out[0].dtype) != NULL; }
static bool f32_or_f64(const ms_call *c) { return c->out[0].dtype == MS_F32 || c->out[0].dtype == MS_F64; }

/* The kernel NAME_DTYPE of the result's dtype; `places`: how many turns its threads take. */
static int launch(const ms_call *c, const char *what, int64_t places, void *params) {
  char name[32];
  snprintf(name, sizeof name, "%s_%s", what, ms_cuda_suffix(c->out[0].dtype));
  return ms_cuda_launch_each(c->queue, MS_CUDA_create, name, places, params);
}

static int run_arange(ms_call *c) {
  const ms_scalar start = c->attr[0].s, pace = c->attr[2].s;
  sequence_params p = {
      .to = c->out[0].data, .n = ms_view_numel(&c->out[0]), .start = ms_scalar_value(start), .step = ms_scalar_value(pace)};
  int64_t stop;
  p.whole = ms_scalar_whole(start, &p.first) && ms_scalar_whole(pace, &p.by) &&
            (ms_scalar_whole(c->attr[1].s, &stop) || !ms_dtype_is_float(c->out[0].dtype));
  return launch(c, "arange", p.n, &p);
}
MS_CUDA_KERNEL(arange, .run = run_arange, .supports = ordinary);

static int run_linspace(ms_call *c) {
  const double a = ms_scalar_value(c->attr[0].s), b = ms_scalar_value(c->attr[1].s);
  sequence_params p = {.to = c->out[0].data, .n = ms_view_numel(&c->out[0]), .start = a, .step = b - a, .last = b};
  return launch(c, "linspace", p.n, &p);
}
MS_CUDA_KERNEL(linspace, .run = run_linspace, .supports = ordinary);

static int run_eye(ms_call *c) {
  sequence_params p = {.to = c->out[0].data, .n = ms_view_numel(&c->out[0]), .columns = c->out[0].shape[1]};
  return launch(c, "eye", p.n, &p);
}
MS_CUDA_KERNEL(eye, .run = run_eye, .supports = ordinary);

/* ---- random numbers ---------------------------------------------------------------------------------------------- */

static int draw(const ms_call *c, random_params p) {
  const int per_block = c->out[0].dtype == MS_F32 ? 4 : 2;
  p.to = c->out[0].data, p.n = ms_view_numel(&c->out[0]), p.seed = c->rng->seed, p.counter = c->rng->counter;
  return launch(c, c->op->name, (p.n + per_block - 1) / per_block, &p);
}

/* low + range u may round up to high, which is not to be given: then the number before it. */
static int run_rand(ms_call *c) {
  const double low = ms_scalar_value(c->attr[1].s), high = ms_scalar_value(c->attr[2].s), range = high - low;
  if (!(range >= 0 && range < INFINITY))
    return ms_fail("rand: low %g, high %g: expected finite numbers, low <= high", low, high), -1;
  const double top = range <= 0                  ? INFINITY
                     : c->out[0].dtype == MS_F32 ? (double)nextafterf((float)high, (float)low)
                                                 : nextafter(high, low);
  return draw(c, (random_params){.a = low, .b = range, .top = top});
}
MS_CUDA_KERNEL(rand, .run = run_rand, .supports = f32_or_f64);

static int run_randn(ms_call *c) {
  const double mean = ms_scalar_value(c->attr[1].s), std = ms_scalar_value(c->attr[2].s);
  if (!(std >= 0)) return ms_fail("randn: std = %g, expected 0 or more", std), -1;
  return draw(c, (random_params){.a = mean, .b = std});
}
MS_CUDA_KERNEL(randn, .run = run_randn, .supports = f32_or_f64);

static int run_bernoulli(ms_call *c) {
  const double p = ms_scalar_value(c->attr[1].s);
  if (!(p >= 0 && p <= 1)) return ms_fail("bernoulli: p = %g, expected 0..1", p), -1;
  return draw(c, (random_params){.a = p * 0x1p32}); /* exact */
}
MS_CUDA_KERNEL(bernoulli, .run = run_bernoulli, .supports = ordinary);

static int run_randint(ms_call *c) {
  const uint64_t low = (uint64_t)c->attr[0].i;
  return draw(c, (random_params){.low = low, .count = (uint64_t)c->attr[1].i - low + 1});
}
MS_CUDA_KERNEL(randint, .run = run_randint, .supports = ordinary);

/* Fisher and Yates, from the end: each step needs the one before, so the host does it. */
static int run_randperm(ms_call *c) {
  const int64_t n = c->out[0].shape[0];
  int64_t *o = malloc(((size_t)n + 1) * sizeof *o);
  if (!o) return ms_fail("randperm: out of memory"), -1;
  for (int64_t i = 0; i < n; i++) o[i] = i + MS_INDEX_BASE;
  for (int64_t i = n - 1; i > 0; i--) {
    const ms_philox r = ms_philox4x32(c->rng->seed ^ 0x5bd1e995u, c->rng->counter + (uint64_t)i / 2);
    const uint64_t w = i & 1 ? (uint64_t)r.v[2] << 32 | r.v[3] : (uint64_t)r.v[0] << 32 | r.v[1];
    const int64_t j = (int64_t)((unsigned __int128)w * (uint64_t)(i + 1) >> 64), t = o[i];
    o[i] = o[j], o[j] = t;
  }
  const int rc = n ? ms_cuda_upload(c->queue, c->out[0].data, o, (size_t)n * sizeof *o) : 0;
  free(o);
  return rc;
}
MS_CUDA_KERNEL(randperm, .run = run_randperm);
