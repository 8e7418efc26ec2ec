/* create.c -- sequences and random numbers. A random tensor's element i comes from counter + i/4, word i%4, so that the numbers do
 * not depend on how the work is cut. */
#include "cpu.h"
#include "../math.h"
#include "philox.h"

#define EACH(E)                                                                                                                    \
  do {                                                                                                                             \
    const int64_t n = ms_view_numel(&c->out[0]);                                                                                   \
    MS_SWITCH(c->out[0].dtype, c->op->name, {                                                                                      \
      T *o = c->out[0].data;                                                                                                       \
      for (int64_t i = 0; i < n; i++) o[i] = (T)(E);                                                                               \
    })                                                                                                                             \
    return 0;                                                                                                                      \
  } while (0)

static int run_arange(ms_call *c) {
  const ms_scalar start = c->attr[0].s, pace = c->attr[2].s;
  const double a = ms_scalar_value(start), step = ms_scalar_value(pace);
  int64_t first, by, stop;
  if (ms_scalar_whole(start, &first) && ms_scalar_whole(pace, &by) &&
      (ms_scalar_whole(c->attr[1].s, &stop) || !ms_dtype_is_float(c->out[0].dtype)))
    EACH((int64_t)((uint64_t)first + (uint64_t)i * (uint64_t)by));
  EACH(a + (double)i * step);
}
MS_KERNEL(arange, .run = run_arange);

static int run_linspace(ms_call *c) {
  double a = ms_scalar_value(c->attr[0].s), b = ms_scalar_value(c->attr[1].s), last = (double)c->attr[2].i - 1;
  EACH(i == last && i > 0 ? b : a + (b - a) * (last > 0 ? (double)i / last : 0));
}
MS_KERNEL(linspace, .run = run_linspace);

static int run_eye(ms_call *c) {
  int64_t m = c->attr[0].i;
  EACH(i / m == i % m);
}
MS_KERNEL(eye, .run = run_eye);

/* Call E for elements i of a block of four words w, in parallel over blocks. */
#define DRAW(T, E)                                                                                                                 \
  {                                                                                                                                \
    T *o = c->out[0].data;                                                                                                         \
    int64_t n = ms_view_numel(&c->out[0]), blocks = (n + 3) / 4;                                                                   \
    uint64_t seed = c->rng->seed, from = c->rng->counter;                                                                          \
    MS_PARALLEL(ms_team(n * 8), b, blocks, {                                                                                       \
      ms_philox r = ms_philox4x32(seed, from + (uint64_t)b);                                                                       \
      for (int k = 0; k < 4 && 4 * b + k < n; k++) o[4 * b + k] = (T)(E);                                                          \
    });                                                                                                                            \
  }

/* low + range u may round up to high, which is not to be given: then the number before it. */
static int run_rand(ms_call *c) {
  double low = ms_scalar_value(c->attr[1].s), high = ms_scalar_value(c->attr[2].s), range = high - low;
  bool single = c->out[0].dtype == MS_F32;
  double top = range <= 0 ? INFINITY : single ? nextafterf((float)high, (float)low) : nextafter(high, low);
#define VALUE ((T)low + (T)range * (T)ms_uniform_f32(r.v[k]))
  MS_SWITCH_FLOAT(c->out[0].dtype, "rand", DRAW(T, VALUE < (T)top ? VALUE : (T)top))
#undef VALUE
  return 0;
}
MS_KERNEL(rand, .run = run_rand, .supports = f32_or_f64);

/* Box and Muller (1958): words 2j, 2j+1 of a block give its normal numbers 2j, 2j+1. */
static inline double normal(const ms_philox *r, int k) {
  double radius = sqrt(-2 * (double)m_log(ms_uniform_open_f32(r->v[k & ~1])));
  double angle = 6.283185307179586 * (double)ms_uniform_f32(r->v[k | 1]);
  return radius * (k & 1 ? sin(angle) : cos(angle));
}
static int run_randn(ms_call *c) {
  double mean = ms_scalar_value(c->attr[1].s), std = ms_scalar_value(c->attr[2].s);
  MS_SWITCH_FLOAT(c->out[0].dtype, "randn", DRAW(T, mean + std * normal(&r, k)))
  return 0;
}
MS_KERNEL(randn, .run = run_randn, .supports = f32_or_f64);

static int run_bernoulli(ms_call *c) {
  float p = (float)ms_scalar_value(c->attr[1].s);
  MS_SWITCH(c->out[0].dtype, "bernoulli", DRAW(T, ms_uniform_f32(r.v[k]) < p))
  return 0;
}
MS_KERNEL(bernoulli, .run = run_bernoulli);

static int run_randint(ms_call *c) {
  int64_t low = c->attr[0].i;
  uint64_t range = (uint64_t)(c->attr[1].i - low) + 1;
  MS_SWITCH(c->out[0].dtype, "randint",
            DRAW(T, low + (int64_t)(((unsigned __int128)((uint64_t)r.v[k] << 32 | r.v[(k + 1) & 3]) * range) >> 64)))
  return 0;
}
MS_KERNEL(randint, .run = run_randint);

/* Fisher and Yates, from the end. */
static int run_randperm(ms_call *c) {
  int64_t *o = c->out[0].data, n = c->out[0].shape[0];
  for (int64_t i = 0; i < n; i++) o[i] = i + MS_INDEX_BASE;
  for (int64_t i = n - 1; i > 0; i--) {
    ms_philox r = ms_philox4x32(c->rng->seed ^ 0x5bd1e995u, c->rng->counter + (uint64_t)i / 2);
    uint64_t w = i & 1 ? (uint64_t)r.v[2] << 32 | r.v[3] : (uint64_t)r.v[0] << 32 | r.v[1];
    int64_t j = (int64_t)((unsigned __int128)w * (uint64_t)(i + 1) >> 64), t = o[i];
    o[i] = o[j], o[j] = t;
  }
  /* the core advances by n/4 counters; this draw used n/2 */
  c->rng->counter += (uint64_t)(n + 3) / 4;
  return 0;
}
MS_KERNEL(randperm, .run = run_randperm);
