/* draw.c -- random numbers whose distribution a tensor gives: bernoulli of probabilities, multinomial of weights. The numbers of
 * the generator are dealt out as in create.c, by element of the result. */
#include "cpu.h"
#include "philox.h"
#include <math.h>

static bool of_f32_or_f64(const ms_call *c) { return c->in[0].dtype == MS_F32 || c->in[0].dtype == MS_F64; }

static double element(const ms_view *v, int64_t at) {
  return v->dtype == MS_F32 ? (double)((const float *)v->data)[at] : ((const double *)v->data)[at];
}

/* Element i of the numbers in [0, 1) that a tensor of doubles would get. */
static double uniform(const ms_call *c, int64_t i) {
  const ms_philox r = ms_philox4x32(c->rng->seed, c->rng->counter + (uint64_t)i / 2);
  return i % 2 ? ms_uniform_f64(r.v[2], r.v[3]) : ms_uniform_f64(r.v[0], r.v[1]);
}

static int run_bernoulli_of(ms_call *c) {
  const ms_view *p = &c->in[0];
  const int64_t n = ms_view_numel(&c->out[0]);
  for (int64_t i = 0; i < n; i++) {
    const double at = element(p, ms_offset(p, i));
    if (!(at >= 0 && at <= 1)) return ms_fail("bernoulli: p[%lld] = %g, expected 0..1", (long long)i + 1, at), -1;
    if (p->dtype == MS_F64) {
      ((double *)c->out[0].data)[i] = uniform(c, i) < at;
    } else {
      const ms_philox r = ms_philox4x32(c->rng->seed, c->rng->counter + (uint64_t)i / 4);
      ((float *)c->out[0].data)[i] = (double)r.v[i % 4] < at * 0x1p32;
    }
  }
  return 0;
}
MS_KERNEL(bernoulli_of, .run = run_bernoulli_of, .supports = of_f32_or_f64);

/* Row i: words of the generator that starts at (keys[i], stream * 2^32). */
static int run_item_uniform(ms_call *c) {
  const ms_view *keys = &c->in[0];
  const int64_t n = c->out[0].shape[0], count = c->out[0].shape[1], blocks = div_up(count, 4);
  const uint64_t stream = (uint64_t)c->attr[1].i << 32;
  float *out = c->out[0].data;
  MS_PARALLEL(ms_team(n * count * 8), b, n * blocks, {
    const int64_t row = b / blocks, at = b % blocks;
    const uint64_t key = (uint64_t)((const int64_t *)keys->data)[row * keys->stride[0]];
    const ms_philox r = ms_philox4x32(key, stream + (uint64_t)at);
    for (int k = 0; k < 4 && 4 * at + k < count; k++) out[row * count + 4 * at + k] = ms_uniform_f32(r.v[k]);
  });
  return 0;
}
MS_KERNEL(item_uniform, .run = run_item_uniform);

/* ---- multinomial ---------------------------------------------------------------------------------------------------------------
 */

/* The first position whose weights up to and with it add up to more than `target`; sum[i]: the sum up to and with i. */
static int64_t find(const double *sum, int64_t n, double target) {
  int64_t low = 0,
          high = n - 1; /* the answer is in low..high; a target that rounding brought to the whole sum is its last step's */
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (sum[middle] > target) high = middle;
    else low = middle + 1;
  }
  while (low > 0 && sum[low] <= sum[low - 1]) low--;
  return low;
}

/* Sums that can change (Fenwick 1994): tree[i], from 1 on, is the sum of the weights i - (i & -i) .. i - 1. */
static void add_to(double *tree, int64_t n, int64_t i, double change) {
  for (i++; i <= n; i += i & -i) tree[i] += change;
}
static double sum_of(const double *tree, int64_t n) {
  double sum = 0;
  for (int64_t i = n; i > 0; i -= i & -i) sum += tree[i];
  return sum;
}
static int64_t find_in(const double *tree, const double *weight, int64_t n, double target) {
  int64_t at = 0, step = 1;
  while (step * 2 <= n) step *= 2;
  for (; step; step /= 2)
    if (at + step <= n && tree[at + step] <= target) target -= tree[at += step];
  if (at >= n) at = n - 1;
  for (int64_t i = at; i >= 0;
       i--) /* what rounding has left of a sum leads to a weight that is gone: the nearest one that is not */
    if (weight[i] > 0) return i;
  while (at < n - 1 && !(weight[at] > 0)) at++;
  return at;
}

static int prepare_multinomial(ms_call *c) {
  return c->work_bytes = (size_t)(2 * c->in[0].shape[c->in[0].rank - 1] + 1) * sizeof(double), 0;
}

static int run_multinomial(ms_call *c) {
  const ms_view *x = &c->in[0];
  const bool again = c->attr[1].i != 0;
  const int64_t n = x->shape[x->rank - 1], draws = c->attr[0].i, rows = x->rank == 2 ? x->shape[0] : 1;
  double *weight = c->work, *sum = weight + n;
  int64_t *out = c->out[0].data;
  for (int64_t r = 0; r < rows; r++) {
    int64_t some = 0;
    double all = 0;
    for (int64_t i = 0; i <= n; i++) sum[i] = 0;
    for (int64_t i = 0; i < n; i++) {
      const double w = element(x, ms_offset(x, r * n + i));
      if (!(w >= 0 && w < INFINITY))
        return ms_fail("multinomial: x[%lld] = %g, expected weights from 0 on", (long long)(r * n + i) + 1, w), -1;
      weight[i] = w, all += w, some += w > 0;
      if (again) sum[i] = all;
      else add_to(sum, n, i, w);
    }
    if (draws && !(all > 0 && all < INFINITY))
      return ms_fail("multinomial: the weights of row %lld add up to %g", (long long)r + 1, all), -1;
    if (!again && some < draws)
      return ms_fail("multinomial: %lld draws without replacement, but only %lld weights of row %lld are above 0", (long long)draws,
                     (long long)some, (long long)r + 1),
             -1;
    for (int64_t k = 0; k < draws; k++) {
      const double u = uniform(c, r * draws + k);
      const int64_t i = again ? find(sum, n, u * all) : find_in(sum, weight, n, u * sum_of(sum, n));
      out[r * draws + k] = i + MS_INDEX_BASE;
      if (!again) add_to(sum, n, i, -weight[i]), weight[i] = 0;
    }
  }
  return 0;
}
MS_KERNEL(multinomial, .prepare = prepare_multinomial, .run = run_multinomial, .supports = of_f32_or_f64);
