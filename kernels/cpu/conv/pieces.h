/* pieces.h -- the batch in pieces of whole images, for ways that compute a few images at a time (planes.c, onednn_way.c, im2col.c).
 * A piece's gradient of w is a sum of its own; the pieces' are added up in order at the end. */
#ifndef MS_CONV_PIECES_H
#define MS_CONV_PIECES_H
#include "conv.h"

enum { PIECE_WORK = 1 << 18 };            /* multiply-adds that are worth a piece */
#define PARTIAL_BYTES ((int64_t)64 << 20) /* most for gradients of weights waiting for their sum */

/* The images of a piece, and of how many pieces, from sizes only. */
conv_pieces MS_NAME(conv_pieces_of)(const ms_conv *g);
/* Adds to the plan's areas what p->pieces needs, behind what the way itself needs. */
void MS_NAME(conv_pieces_reserve)(conv_plan *p);

/* A piece's share of the operands: images x and y (planes if `as_planes`), and the w it reads or makes. */
typedef struct conv_piece {
  int64_t images;
  void *x, *w, *y;
} conv_piece;
conv_piece MS_NAME(conv_piece_begin)(const conv_plan *p, const conv_operands *t, int64_t i, char *room);
/* Its result, if it was made in planes and is to lie channels last, is put there. */
void MS_NAME(conv_piece_end)(const conv_plan *p, const conv_operands *t, int64_t i, const conv_piece *k);

/* `made` and `end` of ways whose tasks are pieces. */
int64_t MS_NAME(conv_piece_made)(const conv_plan *p, int64_t i, int64_t *first);
void MS_NAME(conv_pieces_sum)(const conv_plan *p, const conv_operands *t);

#endif
