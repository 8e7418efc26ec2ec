/* cpu.h -- what the CPU kernels share. Files of this folder are compiled once per instruction-set level (MS_ISA = v2, v3, v4: SSE4,
 * AVX2, AVX-512); the backend picks the best table the processor runs. A kernel is a symbol:
 *
 *     static int run(ms_call *c) { ... }
 *     MS_KERNEL(softmax, .run = run, .supports = f32_or_f64);
 *
 * and a row without one stays NULL in the table (weak symbols): then its `ref` runs. */
#ifndef MS_CPU_H
#define MS_CPU_H
#include "backend.h"
#include "team.h"

#define MS_JOIN3(a, b, c) a##b##_##c
#define MS_JOIN(a, b, c)  MS_JOIN3(a, b, c)
#define MS_NAME(x)        MS_JOIN(, x, MS_ISA)

static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t div_up(int64_t n, int64_t by) { return (n + by - 1) / by; }          /* how many pieces of `by` hold n */
static inline int64_t round_up(int64_t n, int64_t unit) { return div_up(n, unit) * unit; } /* the least multiple of unit >= n */

#define MS_KERNEL(name, ...)                                                                                                       \
  extern const ms_kernel MS_JOIN(ms_cpu_, name, MS_ISA);                                                                           \
  const ms_kernel MS_JOIN(ms_cpu_, name, MS_ISA) = {__VA_ARGS__}

/* The one place that decides how work is cut. `work` counts simple operations (about one element of an addition); below MS_GRAIN an
 * second thread costs more than it saves. Sums are cut into MS_CHUNK elements whatever the number of threads, so their bits do not
 * depend on it. */
#define MS_GRAIN 32768
#define MS_CHUNK 4096
static inline int ms_team(int64_t work) {
  if (work < 2 * MS_GRAIN) return 1;
  return (int)min_i64(work / MS_GRAIN, ms_threads());
}

/* How many tasks a sum is cut into that is to be added up in order: the same whatever the number of threads, unless the user has
 * said that he does not mind (ms_set_deterministic). */
static inline int64_t ms_tasks(void) { return ms_deterministic() ? 16 : ms_threads(); }

/* All of a result is there: what comes after it runs on it, shared by the threads. */
static inline void ms_run_after(const ms_call *c) {
  if (!c->after) return;
  const int64_t n = ms_view_numel(&c->out[0]), team = ms_team(n * 4);
  MS_PARALLEL((int)team, i, team, {
    const int64_t from = n / 64 * i / team * 64, to = i == team - 1 ? n : n / 64 * (i + 1) / team * 64;
    c->after->run(c->after, from, to - from, 1, 0);
  });
}

static inline bool f32_or_f64(const ms_call *c) {
  uint8_t d = c->n_out ? c->out[0].dtype : c->in[0].dtype;
  return d == MS_F32 || d == MS_F64;
}

/* Run BODY with `T` the C type of dtype d. f16, bf16 are not among them. */
#define MS_SWITCH(d, what, ...)                                                                                                    \
  switch (d) {                                                                                                                     \
  case MS_F32: {                                                                                                                   \
    typedef float T;                                                                                                               \
    __VA_ARGS__;                                                                                                                   \
    break;                                                                                                                         \
  }                                                                                                                                \
  case MS_F64: {                                                                                                                   \
    typedef double T;                                                                                                              \
    __VA_ARGS__;                                                                                                                   \
    break;                                                                                                                         \
  }                                                                                                                                \
  case MS_I64: {                                                                                                                   \
    typedef int64_t T;                                                                                                             \
    __VA_ARGS__;                                                                                                                   \
    break;                                                                                                                         \
  }                                                                                                                                \
  case MS_I32: {                                                                                                                   \
    typedef int32_t T;                                                                                                             \
    __VA_ARGS__;                                                                                                                   \
    break;                                                                                                                         \
  }                                                                                                                                \
  case MS_U8:                                                                                                                      \
  case MS_BOOL: {                                                                                                                  \
    typedef uint8_t T;                                                                                                             \
    __VA_ARGS__;                                                                                                                   \
    break;                                                                                                                         \
  }                                                                                                                                \
  default: return ms_fail("%s: no cpu kernel for %s", what, ms_dtype_name(d)), -1;                                                 \
  }
#define MS_SWITCH_FLOAT(d, what, ...)                                                                                              \
  switch (d) {                                                                                                                     \
  case MS_F32: {                                                                                                                   \
    typedef float T;                                                                                                               \
    __VA_ARGS__;                                                                                                                   \
    break;                                                                                                                         \
  }                                                                                                                                \
  case MS_F64: {                                                                                                                   \
    typedef double T;                                                                                                              \
    __VA_ARGS__;                                                                                                                   \
    break;                                                                                                                         \
  }                                                                                                                                \
  default: return ms_fail("%s: no cpu kernel for %s", what, ms_dtype_name(d)), -1;                                                 \
  }

#endif
