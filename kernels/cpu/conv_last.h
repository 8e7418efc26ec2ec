/* conv_last.h -- convolution with f32 images channels last: sums over runs of (column, channel), which lie side by side, by
 * tile.h's loops. One group, no dilation; an image may be in planes on either side, at the price of a transpose. */
#ifndef MS_CONV_LAST_H
#define MS_CONV_LAST_H
#include "cpu.h"
#include "onednn.h"

typedef struct ms_last ms_last;
/* NULL: not for such a convolution (few channels in the result, groups, dilation). */
ms_last *MS_NAME(ms_last_new)(const ms_conv *g);
void MS_NAME(ms_last_free)(ms_last *p);
int64_t MS_NAME(ms_last_tasks)(const ms_last *p);
size_t MS_NAME(ms_last_shared_bytes)(const ms_last *p); /* weights as the loops want them, sums */
size_t MS_NAME(ms_last_lane_bytes)(const ms_last *p);   /* one for each thread; aligned to 64 bytes */
/* Once per run before the tasks, which may come in any order and at the same time; once after them. x, w, y: the whole tensors. */
void MS_NAME(ms_last_begin)(const ms_last *p, const float *w, const float *x, void *shared);
void MS_NAME(ms_last_task)(const ms_last *p, int64_t task, float *x, float *y, const float *bias, void *shared, void *lane);
/* x and y: the elements of the result that a task makes, as they lie in memory: n of them from *from on. 0: they do not lie
 * together. */
int64_t MS_NAME(ms_last_made)(const ms_last *p, int64_t task, int64_t *from);
void MS_NAME(ms_last_end)(const ms_last *p, float *w, void *shared);

#endif
