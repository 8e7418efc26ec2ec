/* numbers.h -- attributes that are lists of numbers with fractions (scale_factor), kept in ms_attr.v as the bits of doubles. A
 * header of its own, as op_ids.h, so that kernels without such lists are not compiled anew. */
#ifndef MS_NUMBERS_H
#define MS_NUMBERS_H
#include "backend.h"

/* One more kind of argument (ms_kind): "numbers", a list of numbers; one number stands for all. */
enum { MS_K_NUMBERS = MS_K_ENUM + 1 };

static inline double ms_number_at(const ms_ints *v, int i) {
  union {
    int64_t bits;
    double number;
  } as = {.bits = v->at[i]};
  return as.number;
}
static inline int64_t ms_number_bits(double number) {
  union {
    double number;
    int64_t bits;
  } as = {.number = number};
  return as.bits;
}
#endif
