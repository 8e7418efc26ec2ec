/* onednn_way.c -- convolution by oneDNN (onednn.h), which picks the layouts inside itself: a chunk of images in each of our
 * threads, or the whole batch with all of its own. */
#include "chunks.h"
#include "onednn.h"
#include <stdlib.h>

typedef struct dnn_plan {
  ms_dnn_conv *main, *tail; /* for a whole chunk; for the last one, if that has fewer images (else NULL) */
  size_t tail_shared;       /* place in the shared area */
} dnn_plan;

static void drop(void *own) {
  dnn_plan *d = own;
  ms_dnn_conv_release(d->main);
  ms_dnn_conv_release(d->tail);
  free(d);
}

/* p->chunks says how the batch is cut. threads: oneDNN's own. */
static bool plan_chunks(conv_plan *p, int threads) {
  const conv_chunks *k = &p->chunks;
  dnn_plan *d = calloc(1, sizeof *d);
  if (!d) return false;
  ms_conv part = p->g;
  part.n = k->images, part.bf16 = 0; /* it computes in f32 whatever the precision */
  d->main = ms_dnn_conv_get(&part, threads, conv_lanes(k->count));
  part.n = p->g.n - (k->count - 1) * k->images;
  if (d->main && part.n != k->images) d->tail = ms_dnn_conv_get(&part, threads, 1);
  if (!d->main || (part.n != k->images && !d->tail)) return drop(d), false;
  p->own = d, p->tasks = k->count;
  conv_reserve(&p->shared_bytes, ms_dnn_conv_shared_bytes(d->main));
  p->lane_bytes = ms_dnn_conv_lane_bytes(d->main);
  if (d->tail) {
    d->tail_shared = conv_reserve(&p->shared_bytes, ms_dnn_conv_shared_bytes(d->tail));
    if (ms_dnn_conv_lane_bytes(d->tail) > p->lane_bytes) p->lane_bytes = ms_dnn_conv_lane_bytes(d->tail);
  }
  MS_NAME(conv_chunks_reserve)(p);
  return true;
}

static bool plan(conv_plan *p) {
  p->chunks = MS_NAME(conv_chunks_of)(&p->g);
  return plan_chunks(p, 1);
}

static bool plan_whole(conv_plan *p) {
  p->chunks = (conv_chunks){.images = p->g.n, .count = 1};
  return plan_chunks(p, ms_threads());
}

/* Too few chunks for several threads, and work that is worth them. A gradient of weights is summed over threads inside oneDNN: for
 * the sake of its bits it is never left to more than one. */
bool MS_NAME(conv_onednn_takes_whole)(const ms_conv *g) {
  enum { FEW_CHUNKS = 4, WORK_FOR_THREADS = 16 * CHUNK_WORK };
  return g->result != MS_CONV_W && MS_NAME(conv_chunks_of)(g).count < FEW_CHUNKS && g->n * image_work(g) >= WORK_FOR_THREADS;
}

static bool begin(const conv_plan *p, const conv_operands *t) {
  const dnn_plan *d = p->own;
  return ms_dnn_conv_begin(d->main, t->w, t->shared) &&
         (!d->tail || ms_dnn_conv_begin(d->tail, t->w, (char *)t->shared + d->tail_shared));
}

static bool task(const conv_plan *p, const conv_operands *t, int64_t i, int lane, void *memory) {
  const dnn_plan *d = p->own;
  const bool is_tail = d->tail && i == p->chunks.count - 1;
  const conv_chunk c = MS_NAME(conv_chunk_begin)(p, t, i, memory);
  return ms_dnn_conv_run(is_tail ? d->tail : d->main, is_tail ? 0 : lane, c.x, c.w, c.y, (float *)t->bias, memory);
}

const conv_functions MS_NAME(conv_onednn) = {
    .plan = plan, .begin = begin, .task = task, .made = MS_NAME(conv_chunk_made), .end = MS_NAME(conv_chunks_sum), .free = drop};
const conv_functions MS_NAME(conv_onednn_whole) = {
    .plan = plan_whole, .begin = begin, .task = task, .made = MS_NAME(conv_chunk_made), .free = drop};
