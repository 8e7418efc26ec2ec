/* reduce.h -- what the rules of reductions have in common (reduce.c). */
#ifndef MS_OPS_REDUCE_H
#define MS_OPS_REDUCE_H
#include "compose.h"

/* As ms_give, of two results. */
static inline int ms_give_two(ms_ref *c, ms_tensor *a, ms_tensor *b) {
  if (ms_give(c, a && b ? a : NULL) < 0) return -1;
  return c->n_out = 2, c->out[1] = b, 0;
}

/* The shape of a reduction over attribute 0 (dims), attribute 1 (keepdim). dtype < 0: that of x. */
int ms_reduced_shape(ms_infer *s, int dtype);
/* A result of a reduction over dims, as it would be had the dimensions been kept: ready to broadcast against x. */
ms_tensor *ms_with_dims_kept(ms_tensor *r, const ms_tensor *x, ms_ints dims);
/* How many elements of x make one result. */
double ms_count_of(const ms_tensor *x, ms_ints dims);
/* x without the dimension, where it is not to be kept. */
static inline ms_tensor *ms_unless_kept(ms_tensor *x, int64_t dim, bool keep) { return keep ? x : ms_squeeze(x, MS_INTS(dim)); }

static inline bool ms_is_half(const ms_tensor *x) { return x->dtype == MS_F16 || x->dtype == MS_BF16; }
/* Half precision as f32, to compute in; anything else as it is. */
static inline ms_tensor *ms_wide(ms_tensor *x) { return x && ms_is_half(x) ? ms_cast(x, MS_F32) : x; }

/* The dtype of a sum or product of x: that which is asked for (an optional dtype, 0: none), else x's if it is floating, else i64.
 */
static inline int ms_sum_dtype(const ms_tensor *x, int64_t asked) {
  return asked ? (int)asked - 1 : ms_dtype_is_float(x->dtype) ? x->dtype : MS_I64;
}
/* x as it is added up for a result of dtype `to`, so that the kernels, which know f32, f64 and whole numbers, give f32, f64 or i64.
 */
static inline ms_tensor *ms_as_terms(ms_tensor *x, int to) {
  if (!x) return NULL;
  if (x->dtype != to && !(to == MS_I64 && !ms_dtype_is_float(x->dtype))) x = ms_cast(x, to);
  return ms_wide(x);
}

/* Along dimension d: where the first dimension is not named, of all elements row by row. Fills *d, gives x as it is then; NULL
 * after ms_fail, also if there is nothing along d. */
ms_tensor *ms_along(ms_tensor *x, int64_t dim, int *d, const char *op);
#endif
