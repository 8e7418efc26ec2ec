/* place.h -- what the rules for reading and writing by position share (place.c). d: the first of `dims` dimensions of x that the
 * positions count row by row. */
#ifndef MS_PLACE_H
#define MS_PLACE_H
#include "core/core.h"

/* Index tensors (integers, negative ones from the end), for one dimension or a group of them each, which `size` counts and the
 * first of which `dim` names (for messages): one i64 tensor of positions, broadcast. */
ms_tensor *ms_positions(int n, ms_tensor *const *index, const ms_ints *size, const ms_ints *dim);
ms_tensor *ms_pick_at(ms_tensor *x, int64_t d, int dims, ms_tensor *index);
ms_tensor *ms_place_at(ms_tensor *x, int64_t d, int dims, ms_tensor *index, ms_tensor *src, bool adds);
ms_tensor *ms_place_at_(ms_tensor *x, int64_t d, int dims, ms_tensor *index, ms_tensor *src, bool adds); /* in place */
ms_tensor *ms_place_number(ms_tensor *x, int64_t d, int dims, ms_tensor *index, double value);
/* The positions (flat, i64) where a mask is true. Reads the mask on the host, so that a step cannot be recorded. */
ms_tensor *ms_true_positions(ms_tensor *mask);

/* A ref of a row that works in place, for dtypes without a kernel (f16 and bf16 are added up in f32): the row `functional`, and its
 * result copied. */
int ms_ref_in_place(ms_ref *c, int functional);

/* Are x and src of one dtype, and one with an addition? -1 after ms_fail. */
int ms_check_addable(const ms_infer *s, const ms_tensor *x, const ms_tensor *src);
/* Is value, for elements of x, a number that its dtype holds, or a scalar of that dtype? -1 after ms_fail. */
int ms_check_value(const ms_op *op, const ms_tensor *x, const ms_tensor *value);
ms_ints ms_padded_shape(const ms_tensor *x, int before, int after); /* x's, with so many sizes of 1 before and after */
ms_tensor *ms_number_off(const ms_tensor *like);                    /* 1, 2, ... row by row in the shape of `like` (i64) */

#endif
