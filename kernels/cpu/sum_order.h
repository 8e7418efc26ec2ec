/* sum_order.h -- the order in which `sum` and `mean` add up. Two files follow it and must give the same bits: reduce.c, where the
 * call runs by itself, and strips.c, where a chain of elementwise calls ends in the sum. It depends on the shape only, never on the
 * number of threads.
 *
 * Over everything: each MS_CHUNK of elements gives a chunk's sum (ms_cpu_sum_chunk). Chunks that follow one another form a group;
 * the sums of a group's chunks are added in order, in double, and then the sums of the groups.
 *
 * Over rows that lie below one another (columns): SUM_BLOCK_ROWS rows at a time are added from top to bottom in the tensor's own
 * dtype, and the sums of these blocks in order, in double. So a long sum of f32 stays exact enough. */
#ifndef MS_SUM_ORDER_H
#define MS_SUM_ORDER_H
#include "cpu.h"

enum {
  SUM_BLOCK_ROWS = 256,  /* rows of a block */
  SUM_GROUPS = 64,       /* groups of chunks in a long sum; a short one is a single group */
  SUM_LONG_CHUNKS = 8,   /* a sum is long from this many chunks on */
  SUM_COLUMNS_LEAST = 8, /* results side by side, from which on rows are added in blocks */
};

static inline int64_t sum_chunks(int64_t terms) { return div_up(terms, MS_CHUNK); }
static inline int64_t sum_groups(int64_t terms) { return terms < SUM_LONG_CHUNKS * MS_CHUNK ? 1 : SUM_GROUPS; }
/* The first chunk of group g; that of the group after the last is the number of chunks. */
static inline int64_t sum_group_start(int64_t terms, int64_t g) { return sum_chunks(terms) * g / sum_groups(terms); }

#endif
