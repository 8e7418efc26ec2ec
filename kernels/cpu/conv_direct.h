/* conv_direct.h -- f32 convolutions with few channels on a side, where vectors of channels (conv_last.h) would be mostly empty:
 * loops whose vectors run along the pixels of a result. Contiguous N x C x H x W tensors, one group. */
#ifndef MS_CONV_DIRECT_H
#define MS_CONV_DIRECT_H
#include "cpu.h"
#include "onednn.h"

typedef struct ms_direct ms_direct;
/* A plan for this geometry and result. NULL: not one of the shapes that it is good at, or no memory; no message. */
ms_direct *MS_NAME(ms_direct_new)(const ms_conv *g);
void MS_NAME(ms_direct_free)(ms_direct *d);
size_t MS_NAME(ms_direct_shared_bytes)(const ms_direct *d); /* packed weights, the same for all lanes */
size_t MS_NAME(ms_direct_lane_bytes)(const ms_direct *d);   /* one thread's */
/* Once per run, before the lanes; w is not read where it is the result. */
void MS_NAME(ms_direct_begin)(const ms_direct *d, const float *w, void *shared);
/* Images first .. last-1 (counted from those x and y point at). A result w is set to their sum. Areas aligned to 64 bytes. The bits
 * of an image's x and y depend on nothing else, those of w on first .. last-1. */
void MS_NAME(ms_direct_run)(const ms_direct *d, int64_t first, int64_t last, float *x, float *w, float *y, const float *bias,
                            const void *shared, void *lane);
#endif
