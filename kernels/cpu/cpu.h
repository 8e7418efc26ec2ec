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
#include <omp.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#define MS_JOIN3(a, b, c) a##b##_##c
#define MS_JOIN(a, b, c)  MS_JOIN3(a, b, c)
#define MS_NAME(x)        MS_JOIN(, x, MS_ISA)

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t over(int64_t n, int64_t by) { return (n + by - 1) / by; } /* how many of `by` hold n */
static inline int64_t up(int64_t n, int64_t to) { return over(n, to) * to; }    /* the next multiple */

#define MS_KERNEL(name, ...)                                                                                                       \
  extern const ms_kernel MS_JOIN(ms_cpu_, name, MS_ISA);                                                                           \
  const ms_kernel MS_JOIN(ms_cpu_, name, MS_ISA) = {__VA_ARGS__}

/* The one place that decides how work is cut. `work` counts simple operations (about one element of an addition); below MS_GRAIN an
 * OpenMP region costs more than it saves. Sums are cut into MS_CHUNK elements whatever the number of threads, so their bits do not
 * depend on it. */
#define MS_GRAIN 32768
#define MS_CHUNK 4096
static inline int ms_team(int64_t work) {
  if (work < 2 * MS_GRAIN) return 1;
  return (int)least(work / MS_GRAIN, ms_threads());
}

/* How many tasks a sum is cut into that is to be added up in order: the same whatever the number of threads, unless the user has
 * said that he does not mind (ms_set_deterministic). */
static inline int64_t ms_tasks(void) { return ms_deterministic() ? 16 : ms_threads(); }

/* The control word of floating point of this thread; and another one in its place, which answers the one before. The backend sets
 * flags in that of the thread that calls a kernel (backend.c: denormals); those that help it in a region take them over, and go
 * back to their own, for they serve others too. */
static inline unsigned ms_flags(void) {
#if defined(__x86_64__)
  return _mm_getcsr();
#else
  return 0;
#endif
}
static inline unsigned ms_set_flags(unsigned flags) {
  const unsigned before = ms_flags();
#if defined(__x86_64__)
  if (before != flags) _mm_setcsr(flags);
#else
  (void)flags;
#endif
  return before;
}

/* for (int64_t i = 0; i < count; i++) { ... }, shared by `team` threads. A region of one thread costs 0.3 us (libgomp makes a team
 * and a system call), as much as many a kernel: that is a plain loop here. */
#define MS_PARALLEL(team, i, count, ...)                                                                                           \
  do {                                                                                                                             \
    const int team_ = (team);                                                                                                      \
    const int64_t count_ = (count);                                                                                                \
    if (team_ == 1 || count_ == 1) {                                                                                               \
      for (int64_t i = 0; i < count_; i++) { __VA_ARGS__ }                                                                         \
    } else {                                                                                                                       \
      const unsigned flags_ = ms_flags();                                                                                          \
      _Pragma("omp parallel num_threads(team_)") {                                                                                 \
        const unsigned own_ = ms_set_flags(flags_);                                                                                \
        _Pragma("omp for schedule(static) nowait") for (int64_t i = 0; i < count_; i++){__VA_ARGS__} ms_set_flags(own_);           \
      }                                                                                                                            \
    }                                                                                                                              \
  } while (0)

/* Tasks that differ in length, shared by `team` threads: each begins with the same stretch of them in every call, since its cache
 * may hold what it did there in the call before, and then helps the others. */
typedef struct ms_stretch {
  int64_t next, end;
} __attribute__((aligned(64))) ms_stretch;

static inline int64_t ms_take(ms_stretch *s, int team, int id) { /* -1: nothing is left */
  for (int k = 0; k < team; k++) {
    ms_stretch *q = &s[(id + k) % team];
    if (__atomic_load_n(&q->next, __ATOMIC_RELAXED) >= q->end) continue;
    const int64_t i = __atomic_fetch_add(&q->next, 1, __ATOMIC_RELAXED);
    if (i < q->end) return i;
  }
  return -1;
}

/* for (int64_t i = 0; i < count; i++) { ... } in that way; `id` is the thread's number. */
#define MS_TASKS(team, id, i, count, ...)                                                                                          \
  do {                                                                                                                             \
    const int64_t count_ = (count);                                                                                                \
    const int team_ = (int)least(team, count_);                                                                                    \
    if (team_ <= 1) {                                                                                                              \
      const int id = 0;                                                                                                            \
      (void)id;                                                                                                                    \
      for (int64_t i = 0; i < count_; i++) { __VA_ARGS__ }                                                                         \
    } else {                                                                                                                       \
      ms_stretch stretch_[team_];                                                                                                  \
      for (int t_ = 0; t_ < team_; t_++) stretch_[t_] = (ms_stretch){count_ * t_ / team_, count_ * (t_ + 1) / team_};              \
      const unsigned flags_ = ms_flags();                                                                                          \
      _Pragma("omp parallel num_threads(team_)") {                                                                                 \
        const int id = omp_get_thread_num();                                                                                       \
        const unsigned own_ = ms_set_flags(flags_);                                                                                \
        for (int64_t i; (i = ms_take(stretch_, team_, id)) >= 0;) { __VA_ARGS__ }                                                  \
        ms_set_flags(own_);                                                                                                        \
      }                                                                                                                            \
    }                                                                                                                              \
  } while (0)

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

/* Element `linear` (row-major) of a view, as an offset in elements. */
static inline int64_t ms_offset(const ms_view *v, int64_t linear) {
  int64_t at = 0;
  for (int i = v->rank - 1; i >= 0; i--) {
    int64_t q = linear / v->shape[i];
    at += (linear - q * v->shape[i]) * v->stride[i];
    linear = q;
  }
  return at;
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
