/* onednn_way.c -- convolution by oneDNN (onednn.h), which picks the layouts inside itself: a piece of images in each of our
 * threads, or the whole batch with all of its own. */
#include "pieces.h"
#include "onednn.h"
#include <stdlib.h>

typedef struct dnn_plan {
  ms_dnn_conv *main, *tail; /* for a whole piece; for the last one, if that has fewer images (else NULL) */
  size_t tail_shared;       /* place in the shared area */
} dnn_plan;

static void drop(void *own) {
  dnn_plan *d = own;
  ms_dnn_conv_release(d->main);
  ms_dnn_conv_release(d->tail);
  free(d);
}

/* p->pieces says how the batch is cut. threads: oneDNN's own. */
static bool plan_pieces(conv_plan *p, int threads) {
  const conv_pieces *k = &p->pieces;
  dnn_plan *d = calloc(1, sizeof *d);
  if (!d) return false;
  ms_conv part = p->g;
  part.n = k->images, part.bf16 = 0; /* it computes in f32 whatever the precision */
  d->main = ms_dnn_conv_get(&part, threads, conv_threads(k->count));
  part.n = p->g.n - (k->count - 1) * k->images;
  if (d->main && part.n != k->images) d->tail = ms_dnn_conv_get(&part, threads, 1);
  if (!d->main || (part.n != k->images && !d->tail)) return drop(d), false;
  p->own = d, p->tasks = k->count;
  conv_reserve(&p->shared_bytes, ms_dnn_conv_shared_bytes(d->main));
  p->room_bytes = ms_dnn_conv_room_bytes(d->main);
  if (d->tail) {
    d->tail_shared = conv_reserve(&p->shared_bytes, ms_dnn_conv_shared_bytes(d->tail));
    if (ms_dnn_conv_room_bytes(d->tail) > p->room_bytes) p->room_bytes = ms_dnn_conv_room_bytes(d->tail);
  }
  MS_NAME(conv_pieces_reserve)(p);
  return true;
}

static bool plan(conv_plan *p) {
  p->pieces = MS_NAME(conv_pieces_of)(&p->g);
  return plan_pieces(p, 1);
}

static bool plan_whole(conv_plan *p) {
  p->pieces = (conv_pieces){.images = p->g.n, .count = 1};
  return plan_pieces(p, ms_threads());
}

/* Too few pieces for several threads, and work that is worth them. A gradient of weights is summed over threads inside oneDNN: for
 * the sake of its bits it is never left to more than one. */
bool MS_NAME(conv_onednn_takes_whole)(const ms_conv *g) {
  enum { FEW_PIECES = 4, WORK_FOR_THREADS = 16 * PIECE_WORK };
  return g->result != MS_CONV_W && MS_NAME(conv_pieces_of)(g).count < FEW_PIECES && g->n * image_work(g) >= WORK_FOR_THREADS;
}

static bool begin(const conv_plan *p, const conv_operands *t) {
  const dnn_plan *d = p->own;
  return ms_dnn_conv_begin(d->main, t->w, t->shared) &&
         (!d->tail || ms_dnn_conv_begin(d->tail, t->w, (char *)t->shared + d->tail_shared));
}

static bool task(const conv_plan *p, const conv_operands *t, int64_t i, int thread, void *room) {
  const dnn_plan *d = p->own;
  const bool is_tail = d->tail && i == p->pieces.count - 1;
  const conv_piece c = MS_NAME(conv_piece_begin)(p, t, i, room);
  return ms_dnn_conv_run(is_tail ? d->tail : d->main, is_tail ? 0 : thread, c.x, c.w, c.y, (float *)t->bias, room);
}

const conv_functions MS_NAME(conv_onednn) = {
    .plan = plan, .begin = begin, .task = task, .made = MS_NAME(conv_piece_made), .end = MS_NAME(conv_pieces_sum), .free = drop};
const conv_functions MS_NAME(conv_onednn_whole) = {
    .plan = plan_whole, .begin = begin, .task = task, .made = MS_NAME(conv_piece_made), .free = drop};
