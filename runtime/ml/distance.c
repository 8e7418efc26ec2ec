/* distance.c -- the squared distance of two rows for what is not knn.c, whose loops have it inline: the same bits on every
 * processor. */
#include <math.h>
#include <string.h>

#include "ml/internal.h"

#define G(x)   x##_base
#define TARGET __attribute__((unused)) /* there is more in the template than is asked for here */
#define VECTOR 2
#include "ml/distance_template.h"
#undef G
#undef TARGET
#undef VECTOR
#if ML_VARIANTS
#define G(x)   x##_avx
#define TARGET __attribute__((target("avx"), unused))
#define VECTOR 4
#include "ml/distance_template.h"
#undef G
#undef TARGET
#undef VECTOR
#endif

ml_distance_fn ml_distance(void) {
#if ML_VARIANTS
  if (ml_isa() >= ML_AVX2) return distance_avx;
#endif
  return distance_base;
}
