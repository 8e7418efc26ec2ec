/* ops.h -- operations as C functions, for rules and for C users: results belong to the current scope, NULL in gives NULL out.
 * Every line of elementwise.def is here by itself; the other rows have a function where C code wants one; ms_apply reaches the
 * rest. */
#ifndef MS_OPS_H
#define MS_OPS_H
#include "mascon.h"

#define OP(...)
#define E1(name, ...) ms_tensor *ms_##name(ms_tensor *x);
#define E2(name, ...) ms_tensor *ms_##name(ms_tensor *x, ms_tensor *y);
#define E3(name, ...) ms_tensor *ms_##name(ms_tensor *x, ms_tensor *y, ms_tensor *z);
#include "elementwise.def"
#undef OP
#undef E1
#undef E2
#undef E3

ms_tensor *ms_full(ms_ints shape, double value, int dtype, ms_device *device);
ms_tensor *ms_zeros_like(ms_tensor *x);
ms_tensor *ms_ones_like(ms_tensor *x);

ms_tensor *ms_cast(ms_tensor *x, int dtype);
ms_tensor *ms_contiguous(ms_tensor *x); /* x itself when it is */
ms_tensor *ms_copy_(ms_tensor *x, ms_tensor *src);

ms_tensor *ms_view_as(ms_tensor *x, ms_ints shape); /* x must be contiguous */
ms_tensor *ms_reshape(ms_tensor *x, ms_ints shape); /* one size may be -1; copies when it must */
ms_tensor *ms_permute(ms_tensor *x, ms_ints dims);
ms_tensor *ms_transpose(ms_tensor *x, int64_t a, int64_t b);
ms_tensor *ms_expand(ms_tensor *x, ms_ints shape);
ms_tensor *ms_slice(ms_tensor *x, int64_t dim, int64_t start, int64_t count, int64_t step);
ms_tensor *ms_select(ms_tensor *x, int64_t dim, int64_t index);
ms_tensor *ms_unsqueeze(ms_tensor *x, int64_t dim);
ms_tensor *ms_squeeze(ms_tensor *x, ms_ints dims);
ms_tensor *ms_unslice(ms_tensor *x, int64_t dim, int64_t start, int64_t step, int64_t size);
ms_tensor *ms_flip(ms_tensor *x, ms_ints dims);
ms_tensor *ms_constant_pad(ms_tensor *x, ms_ints pads,
                           double value); /* pads: before, after of the last dimension, then the one before */

/* dims.n = -1: all dimensions. */
ms_tensor *ms_sum(ms_tensor *x, ms_ints dims, bool keepdim);
ms_tensor *ms_mean(ms_tensor *x, ms_ints dims, bool keepdim);
ms_tensor *ms_amax(ms_tensor *x, ms_ints dims, bool keepdim);
ms_tensor *ms_sum_to(ms_tensor *x, const ms_tensor *like); /* undo a broadcast: sum down to the shape of `like` */
ms_tensor *ms_sum_all(ms_tensor *x);
ms_tensor *ms_mean_all(ms_tensor *x);
#define MS_ALL ((ms_ints){.n = -1})

ms_tensor *ms_matmul(ms_tensor *a, ms_tensor *b, bool ta, bool tb);

ms_tensor *ms_index_select(ms_tensor *x, int64_t dim, ms_tensor *index);
ms_tensor *ms_index_add(ms_tensor *x, int64_t dim, ms_tensor *index, ms_tensor *src);
ms_tensor *ms_gather(ms_tensor *x, int64_t dim, ms_tensor *index);
ms_tensor *ms_scatter_add(ms_tensor *x, int64_t dim, ms_tensor *index, ms_tensor *src);
ms_tensor *ms_cat(int n, ms_tensor *const *x, int64_t dim);

ms_tensor *ms_softmax(ms_tensor *x, int64_t dim);
ms_tensor *ms_log_softmax(ms_tensor *x, int64_t dim);
#endif
