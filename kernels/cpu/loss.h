/* loss.h -- what loss.c and cross_entropy.c share. A loss that is summed up is cut into LOSS_GROUPS, whose sums are added in order,
 * so that the bits depend on the shape only, never on the number of threads. */
#ifndef MS_LOSS_H
#define MS_LOSS_H
#include "cpu.h"

/* The attribute `reduction`, in the order in which ops.def lists its words. */
enum { LOSS_MEAN, LOSS_SUM, LOSS_NONE };

enum { LOSS_GROUPS = 64 };

/* The result of a loss that is not LOSS_NONE. */
static inline double reduced_loss(int64_t reduction, double total, int64_t n) {
  return reduction == LOSS_MEAN ? total / (double)n : total;
}

#endif
