/* partial_sums.h -- sums that several tasks made a part of each, added up in the order of the parts. */
#ifndef MS_PARTIAL_SUMS_H
#define MS_PARTIAL_SUMS_H
#include "cpu.h"

#define ADD_PARTIAL_SUMS(T)                                                                                                        \
  MS_PARALLEL(ms_team(n *parts), e, n, {                                                                                           \
    T sum = ((const T *)from)[e];                                                                                                  \
    for (int64_t i = 1; i < parts; i++) sum += ((const T *)from)[i * n + e];                                                       \
    ((T *)to)[e] = sum;                                                                                                            \
  })
/* to[e] = the sum over `parts` parts of n elements each, which lie one behind the other at `from`, of their element e. */
static inline void add_partial_sums(const void *from, void *to, int64_t n, int64_t parts, int dtype) {
  if (dtype == MS_F32) ADD_PARTIAL_SUMS(float);
  else ADD_PARTIAL_SUMS(double);
}
#undef ADD_PARTIAL_SUMS

#endif
