/* cpu.h -- what the CPU kernels share. Files of this folder are compiled once per instruction-set level (MS_ISA = v2, v3, v4: SSE4,
 * AVX2, AVX-512); the backend picks the best table the processor runs. A kernel is a symbol:
 *
 *     static int run(ms_call *c) { ... }
 *     MS_KERNEL(softmax, .run = run, .supports = f32_or_f64);
 *
 * and a row without one stays NULL in the table (weak symbols): then its `ref` runs.
 *
 * Words of these files:
 *   lane           an element of a vector register. Of sums: one of several partial sums that are added up side by side, and then
 *                  with one another
 *   tile           a block of results that stays in registers while it is summed up: some rows of one or two vectors (tile.h)
 *   panel          columns of a right operand, packed: copied so that a tile reads them one vector after the other (gemm.h)
 *   share          what one thread computes of a product (matmul.h)
 *   band           rows (or columns) that are done at a time, of a share or of an image
 *   split          a part of the inner dimension k of a product, summed up by itself
 *   turned         transposed: columns lie where rows were (turn.h)
 *   strip          a range of elements that is short enough to stay in L1 while all calls of a chain run on it (fused.h)
 *   chunk          MS_CHUNK elements of a long sum
 *   piece          of anything else that is cut
 *   team           how many threads share a loop (team.h); a task is what one of them takes at a time
 *   room           workspace of one thread
 *   channels last  an image in the order N x H x W x C; `last` in names. Else it is in planes: N x C x H x W
 *   chain, head    elementwise calls that run as one pass, and the product or convolution whose result they begin with (backend.h:
 *                  ms_part, ms_after); `after`: the chain, for its head
 *   way            one of several ways to compute a call; prepare chooses (ms_call.way) */
#ifndef MS_CPU_H
#define MS_CPU_H
#include "backend.h"
#include "team.h"

#define MS_JOIN3(a, b, c) a##b##_##c
#define MS_JOIN(a, b, c)  MS_JOIN3(a, b, c)
#define MS_NAME(x)        MS_JOIN(, x, MS_ISA)

/* A function that is compiled into each of its callers: a constant that a caller hands it is one inside, too. */
#define ALWAYS_INLINE     inline __attribute__((always_inline))

/* One that is compiled once, for all of its callers: its loops have all registers to themselves. */
#define NOINLINE          __attribute__((noinline))

static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t div_up(int64_t n, int64_t by) { return (n + by - 1) / by; }          /* how many pieces of `by` hold n */
static inline int64_t round_up(int64_t n, int64_t unit) { return div_up(n, unit) * unit; } /* the least multiple of unit >= n */

#define MS_KERNEL(name, ...)                                                                                                       \
  extern const ms_kernel MS_JOIN(ms_cpu_, name, MS_ISA);                                                                           \
  const ms_kernel MS_JOIN(ms_cpu_, name, MS_ISA) = {__VA_ARGS__}

/* How many threads share a piece of work. `work` counts simple operations, about one element of an addition each; for less than
 * MS_GRAIN of them another thread costs more than it saves. */
#define MS_GRAIN 32768
static inline int ms_team(int64_t work) {
  if (work < 2 * MS_GRAIN) return 1;
  return (int)min_i64(work / MS_GRAIN, ms_threads());
}

/* Elements of a chunk: a long sum is cut into chunks, and their sums are added up in order. The size is the same whatever the
 * number of threads, so the bits do not depend on that. */
#define MS_CHUNK 4096

/* Into how many tasks a sum of products is cut whose sums are added up in order: products over k, gradients of weights over images.
 * The same whatever the number of threads, unless the user has said that bits may differ (ms_set_deterministic). */
static inline int64_t ms_tasks(void) { return ms_deterministic() ? 16 : ms_threads(); }

/* All of a result is in memory: run the chain behind the call, if there is one, on all of it. */
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

/* Where plane number `plane` of images N x C x H x W, counted over N and C, begins, in elements. */
static inline int64_t plane_offset(const ms_view *v, int64_t plane) {
  const int64_t image = plane / v->shape[1];
  return image * v->stride[0] + (plane - image * v->shape[1]) * v->stride[1];
}

/* Run the statements with `T` the C type of dtype d; an error for f16 and bf16, which are no types of C. MS_SWITCH_FLOAT: for f32
 * and f64 only. */
#define MS_CASE(d, type, ...)                                                                                                      \
  case d: {                                                                                                                        \
    typedef type T;                                                                                                                \
    __VA_ARGS__;                                                                                                                   \
    break;                                                                                                                         \
  }
#define MS_CASE_ELSE(d, what)                                                                                                      \
  default:                                                                                                                         \
    return ms_fail("%s: no cpu kernel for %s", what, ms_dtype_name(d)), -1;
#define MS_SWITCH_FLOAT(d, what, ...)                                                                                              \
  switch (d) {                                                                                                                     \
    MS_CASE(MS_F32, float, __VA_ARGS__)                                                                                            \
    MS_CASE(MS_F64, double, __VA_ARGS__)                                                                                           \
    MS_CASE_ELSE(d, what)                                                                                                          \
  }
#define MS_SWITCH(d, what, ...)                                                                                                    \
  switch (d) {                                                                                                                     \
    MS_CASE(MS_F32, float, __VA_ARGS__)                                                                                            \
    MS_CASE(MS_F64, double, __VA_ARGS__)                                                                                           \
    MS_CASE(MS_I64, int64_t, __VA_ARGS__)                                                                                          \
    MS_CASE(MS_I32, int32_t, __VA_ARGS__)                                                                                          \
  case MS_BOOL: /* as u8 */ MS_CASE(MS_U8, uint8_t, __VA_ARGS__) MS_CASE_ELSE(d, what)                                             \
  }

#endif
