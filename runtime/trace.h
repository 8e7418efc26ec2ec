/* trace.h -- what the devices "trace" (number 0), "trace:1", ... ran. They compute nothing: each kernel call appends one record to
 * its device's, until ms_trace_clear(). For tests (what operations does a step run?) and for measuring what the runtime itself
 * costs. */
#ifndef MS_TRACE_H
#define MS_TRACE_H
#include <stdint.h>

/* How many calls were recorded. */
int64_t ms_trace_count(int device);
/* Call i, from 0, as "matmul 2 x 3 f32, 3 x 4 f32 -> 2 x 4 f32"; "number" for a number operand, "none" for an optional tensor that
 * was not given; a row that changes its arguments in place shows no result. Valid until ms_trace_clear(). NULL when i is out of
 * range or there is no memory. */
const char *ms_trace_line(int device, int64_t i);
void ms_trace_clear(int device);

#endif
