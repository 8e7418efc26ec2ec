/* borrowed.h -- tensors on memory that is not the allocator's, such as a mapped file. */
#ifndef MASCON_BORROWED_H
#define MASCON_BORROWED_H
#include "mascon.h"

/* A contiguous tensor of the current scope on the CPU, whose elements are at `data`. When nothing uses them any more, gone(owner)
 * is called; not when this fails (NULL after ms_fail). */
ms_tensor *ms_borrowed(ms_dtype dtype, int rank, const int64_t *shape, void *data, void (*gone)(void *owner), void *owner);

#endif
