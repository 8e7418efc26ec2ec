/* onednn.h -- what the kernels use of oneDNN. Only onednn.c knows its interface; the library is opened at the first call, and
 * everything here says "no" without a message where it is missing or refuses: the callers have loops of their own. */
#ifndef MS_ONEDNN_H
#define MS_ONEDNN_H
#include "shape.h"
#include <stdbool.h>
#include <stddef.h>

bool ms_dnn_ready(void);

/* A prepared f32 convolution of contiguous (or channels-last) tensors, from a cache of bounded size. threads: how many oneDNN uses
 * inside. callers: how many threads of ours may run it at the same time (with threads = 1). NULL: oneDNN has none. */
typedef struct ms_dnn_conv ms_dnn_conv;
ms_dnn_conv *ms_dnn_conv_get(const ms_conv *geometry, int threads, int callers);
void ms_dnn_conv_release(ms_dnn_conv *p);
size_t ms_dnn_conv_shared_bytes(const ms_dnn_conv *p); /* weights in the layout oneDNN likes, the same for all callers */
size_t ms_dnn_conv_room_bytes(const ms_dnn_conv *p);   /* images in that layout, and scratch */
/* Once per run, before the callers: bring the weights into `shared`. Nothing to do for MS_CONV_W (w is not read). */
bool ms_dnn_conv_begin(ms_dnn_conv *p, float *w, void *shared);
/* By caller number `caller`: read two of x, w, y and write the third. bias may be NULL. Memory must be aligned to 64 bytes where it
 * is work space. */
bool ms_dnn_conv_run(ms_dnn_conv *p, int caller, float *x, float *w, float *y, float *bias, void *work);
#endif
