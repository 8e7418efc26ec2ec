/* loops.h -- the inner loops of elementwise operations, copies and sums, for the kernels that run several in one pass. */
#ifndef MS_LOOPS_H
#define MS_LOOPS_H
#include "walk.h"

typedef struct ms_loop {
  walk_inner run; /* operands: result, inputs; NULL: there is none for these dtypes */
  int n_in;       /* inputs it reads, at most c->n_in */
  int cost;       /* simple operations an element takes */
} ms_loop;

/* The loop of an elementwise call. Looks at a number operand (of pow), so ask before each run. */
ms_loop MS_NAME(ms_cpu_loop)(const ms_call *c);
/* The loop that converts or, between equal dtypes, moves. */
walk_inner MS_NAME(ms_cpu_cast_loop)(int from, int to);

/* Sum of n <= MS_CHUNK elements, f32 or f64, and of numel elements whose chunks have these sums: as `sum` over everything adds them
 * up. */
double MS_NAME(ms_cpu_sum_chunk)(const void *x, bool f32, int64_t n);
double MS_NAME(ms_cpu_sum_chunks)(const double *chunk, int64_t numel);

#endif
