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
  const int64_t m = c->out[0].shape[1];
  EACH(i / m == i % m);
}
MS_KERNEL(eye, .run = run_eye);

/* ---- random numbers ---------------------------------------------------------------------------------------------- */

enum {
  COST = 4,  /* simple operations that an element takes (ms_team) */
  GROUP = 16 /* blocks that are made at once, each a lane of the processor's vectors */
};

/* Very many numbers are not waited for when Ctrl-C comes: between groups one in MANY looks, and what has been stopped is no result.
 */
enum { LONG = 1 << 24, MANY = 1 << 12 };
static inline bool stops(int64_t n, int64_t group) { return n > LONG && group % MANY == 0 && ms_interrupted(); }
static inline int end_of(const ms_call *c) {
  return ms_view_numel(&c->out[0]) > LONG && ms_interrupted() ? (ms_stopped(c->op->name), -1) : 0;
}

/* The words of the blocks at counter, counter + 1, ...: word k of block l is w[k][l]. As ms_philox4x32, round by round for all. */
static inline void philox_group(uint64_t seed, uint64_t counter, uint32_t w[4][GROUP]) {
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int l = 0; l < GROUP; l++)
    w[0][l] = (uint32_t)(counter + (uint64_t)l), w[1][l] = (uint32_t)((counter + (uint64_t)l) >> 32), w[2][l] = w[3][l] = 0;
  for (int i = 0; i < 10; i++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
    for (int l = 0; l < GROUP; l++) {
      const uint64_t p0 = (uint64_t)0xD2511F53u * w[0][l], p1 = (uint64_t)0xCD9E8D57u * w[2][l];
      w[0][l] = (uint32_t)(p1 >> 32) ^ w[1][l] ^ k0, w[2][l] = (uint32_t)(p0 >> 32) ^ w[3][l] ^ k1;
      w[1][l] = (uint32_t)p1, w[3][l] = (uint32_t)p0;
    }
}

#define PER_BLOCK 4
#define T         float
#define G(x)      x##_f32
#include "create_template.h"
#undef T
#undef G
#undef PER_BLOCK
#define PER_BLOCK 2
#define T         double
#define G(x)      x##_f64
#include "create_template.h"
#undef T
#undef G
#define T    int64_t
#define G(x) x##_i64
#include "create_template.h"
#undef T
#undef G
#define T    int32_t
#define G(x) x##_i32
#include "create_template.h"
#undef T
#undef G
#define T    uint8_t
#define G(x) x##_u8
#include "create_template.h"
#undef T
#undef G
#undef PER_BLOCK

/* Fill the result, in parallel: E makes the N elements v[0][l] .. v[N - 1][l] of block l of the words w[0][l] .. w[3][l]. */
#define DRAW(T, N, ...)                                                                                                            \
  {                                                                                                                                \
    T *o = c->out[0].data;                                                                                                         \
    const int64_t n = ms_view_numel(&c->out[0]), groups = div_up(n, N * GROUP);                                                    \
    const uint64_t seed = c->rng->seed, counter = c->rng->counter;                                                                 \
    MS_PARALLEL(ms_team(n *COST), g, groups, {                                                                                     \
      if (stops(n, g)) break;                                                                                                      \
      uint32_t w[4][GROUP];                                                                                                        \
      T v[N][GROUP], *to = o + g * N * GROUP;                                                                                      \
      philox_group(seed, counter + (uint64_t)(g * GROUP), w);                                                                      \
      for (int l = 0; l < GROUP; l++) __VA_ARGS__;                                                                                 \
      const int64_t left = n - g * N * GROUP;                                                                                      \
      if (left >= N * GROUP) {                                                                                                     \
        for (int l = 0; l < GROUP; l++)                                                                                            \
          for (int k = 0; k < N; k++) to[N * l + k] = v[k][l];                                                                     \
      } else {                                                                                                                     \
        for (int e = 0; e < left; e++) to[e] = v[e % N][e / N];                                                                    \
      }                                                                                                                            \
    });                                                                                                                            \
  }

/* low + range u may round up to high, which is not to be given: then the number before it. */
static int run_rand(ms_call *c) {
  const double low = ms_scalar_value(c->attr[1].s), high = ms_scalar_value(c->attr[2].s), range = high - low;
  if (!(range >= 0 && range < INFINITY))
    return ms_fail("rand: low %g, high %g: expected finite numbers, low <= high", low, high), -1;
  if (c->out[0].dtype == MS_F32) {
    const float a = (float)low, by = (float)range, top = range <= 0 ? INFINITY : nextafterf((float)high, a);
    DRAW(
        float, 4, for (int k = 0; k < 4; k++) {
          const float x = fmaf(by, ms_uniform_f32(w[k][l]), a);
          v[k][l] = x < top ? x : top;
        })
  } else {
    const double top = range <= 0 ? INFINITY : nextafter(high, low);
    DRAW(
        double, 2, for (int k = 0; k < 2; k++) {
          const double x = fma(range, ms_uniform_f64(w[2 * k][l], w[2 * k + 1][l]), low);
          v[k][l] = x < top ? x : top;
        })
  }
  return end_of(c);
}
MS_KERNEL(rand, .run = run_rand, .supports = f32_or_f64);

/* Box and Muller (1958): two uniform numbers give two normal ones. */
static inline void normal_f32(uint32_t word, uint32_t next, float mean, float std, float *v, float *second) {
  float s, c;
  const float radius = sqrtf(-2.0f * m_ln_f32(ms_uniform_open_f32(word)));
  m_turn_f32(ms_uniform_f32(next), &s, &c);
  *v = fmaf(std, radius * c, mean), *second = fmaf(std, radius * s, mean);
}
static inline void normal_f64(uint32_t a, uint32_t b, uint32_t x, uint32_t y, double mean, double std, double *v, double *second) {
  double s, c;
  const double radius = sqrt(-2.0 * m_ln_f64(ms_uniform_open_f64(a, b)));
  m_turn_f64(ms_uniform_f64(x, y), &s, &c);
  *v = fma(std, radius * c, mean), *second = fma(std, radius * s, mean);
}
static int run_randn(ms_call *c) {
  const double mean = ms_scalar_value(c->attr[1].s), std = ms_scalar_value(c->attr[2].s);
  if (!(std >= 0)) return ms_fail("randn: std = %g, expected 0 or more", std), -1;
  if (c->out[0].dtype == MS_F32)
    DRAW(float, 4, for (int k = 0; k < 4; k += 2) normal_f32(w[k][l], w[k + 1][l], (float)mean, (float)std, &v[k][l], &v[k + 1][l]))
  else DRAW(double, 2, normal_f64(w[0][l], w[1][l], w[2][l], w[3][l], mean, std, &v[0][l], &v[1][l]))
  return end_of(c);
}
MS_KERNEL(randn, .run = run_randn, .supports = f32_or_f64);

#define BY_DTYPE(f)                                                                                                                \
  { [MS_F32] = f##_f32, [MS_F64] = f##_f64, [MS_I64] = f##_i64, [MS_I32] = f##_i32, [MS_U8] = f##_u8, [MS_BOOL] = f##_u8 }

static int fail_without_loop(const ms_call *c) {
  return ms_fail("%s: no cpu kernel for %s", c->op->name, ms_dtype_name(c->out[0].dtype)), -1;
}

static int run_bernoulli(ms_call *c) {
  static void (*const bernoulli[MS_DTYPES])(const ms_call *c, double below) = BY_DTYPE(bernoulli);
  const double p = ms_scalar_value(c->attr[1].s);
  if (!(p >= 0 && p <= 1)) return ms_fail("bernoulli: p = %g, expected 0..1", p), -1; /* a live one, in a replay */
  if (!bernoulli[c->out[0].dtype]) return fail_without_loop(c);
  bernoulli[c->out[0].dtype](c, p * 0x1p32); /* exact */
  return end_of(c);
}
MS_KERNEL(bernoulli, .run = run_bernoulli);

static int run_randint(ms_call *c) {
  static void (*const randint[MS_DTYPES])(const ms_call *c, uint64_t low, uint64_t count) = BY_DTYPE(randint);
  const uint64_t low = (uint64_t)c->attr[0].i, count = (uint64_t)c->attr[1].i - low + 1;
  if (!randint[c->out[0].dtype]) return fail_without_loop(c);
  randint[c->out[0].dtype](c, low, count);
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
  return 0;
}
MS_KERNEL(randperm, .run = run_randperm);
