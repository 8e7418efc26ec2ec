/* sum.h -- sums over runs of contiguous elements, in 64 lanes for f32 (32 for f64), in an order that depends on the sizes only.
 *
 * A caller cuts what it sums into pieces of at most MS_CHUNK elements (or one run): the lanes then hold few enough terms for f32.
 * It adds pieces up in double. */
#ifndef MS_SUM_H
#define MS_SUM_H
#include "cpu.h"

/* What is summed: SUM_VALUES: a. SUM_MOMENTS: a - m and, in *q, (a - m)^2. SUM_PRODUCTS: a and, in *q, a (b - m). */
enum { SUM_VALUES, SUM_MOMENTS, SUM_PRODUCTS };

#define T      float
#define T_BITS int32_t
#define G(x)   x##_f32
#include "sum_template.h"
#undef T
#undef T_BITS
#undef G
#define T      double
#define T_BITS int64_t
#define G(x)   x##_f64
#include "sum_template.h"
#undef T
#undef T_BITS
#undef G

#endif
