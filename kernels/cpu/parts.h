/* parts.h -- sums that were made in parts, added up in the order of the parts. */
#ifndef MS_PARTS_H
#define MS_PARTS_H
#include "cpu.h"

#define ADD_PARTS(T)                                                                                                               \
  MS_PARALLEL(ms_team(n *parts), e, n, {                                                                                           \
    T sum = ((const T *)from)[e];                                                                                                  \
    for (int64_t i = 1; i < parts; i++) sum += ((const T *)from)[i * n + e];                                                       \
    ((T *)to)[e] = sum;                                                                                                            \
  })
/* to[e] = the sum over `parts` parts of n elements each, which lie one behind the other at `from`, of their element e. */
static inline void add_parts(const void *from, void *to, int64_t n, int64_t parts, int dtype) {
  if (dtype == MS_F32) ADD_PARTS(float);
  else ADD_PARTS(double);
}
#undef ADD_PARTS

#endif
