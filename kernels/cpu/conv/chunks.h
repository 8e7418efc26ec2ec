/* chunks.h -- the batch in chunks of whole images, for ways that compute a few images at a time (planes.c, onednn_way.c, im2col.c).
 * A chunk's gradient of w is a sum of its own; the chunks' are added up in order at the end. */
#ifndef MS_CONV_CHUNKS_H
#define MS_CONV_CHUNKS_H
#include "conv.h"

enum { CHUNK_WORK = 1 << 18 };            /* multiply-adds that are worth a chunk */
#define PARTIAL_BYTES ((int64_t)64 << 20) /* most for gradients of weights waiting for their sum */

/* The images of a chunk, and of how many chunks, from sizes only. */
conv_chunks MS_NAME(conv_chunks_of)(const ms_conv *g);
/* Adds to the plan's areas what p->chunks needs, behind what the way itself needs. */
void MS_NAME(conv_chunks_reserve)(conv_plan *p);

/* A chunk's share of the operands: images x and y (planes if `as_planes`), and the w it reads or makes. */
typedef struct conv_chunk {
  int64_t images;
  void *x, *w, *y;
} conv_chunk;
conv_chunk MS_NAME(conv_chunk_begin)(const conv_plan *p, const conv_operands *t, int64_t i, char *lane);
/* Its result, if it was made in planes and is to lie channels last, is put there. */
void MS_NAME(conv_chunk_end)(const conv_plan *p, const conv_operands *t, int64_t i, const conv_chunk *k);

/* `made` and `end` of ways whose tasks are chunks. */
int64_t MS_NAME(conv_chunk_made)(const conv_plan *p, int64_t i, int64_t *first);
void MS_NAME(conv_chunks_sum)(const conv_plan *p, const conv_operands *t);

#endif
