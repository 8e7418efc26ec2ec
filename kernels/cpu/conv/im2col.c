/* im2col.c -- convolution as matrix products of weights and unfolded images (im2col.h): f64, and f32 where no other way takes it. A
 * task is an image and a group of it; for w a piece of images, and all groups, which share a sum. */
#include "pieces.h"
#include <string.h>

#define T    float
#define G(x) x##_f32
#include "../gemm.h"
#include "im2col.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "../gemm.h"
#include "im2col.h"
#undef T
#undef G

enum { W_PIECES = 8 }; /* of the batch, for w */

/* Groups are tasks of their own where nothing is shared by those of an image: no sum (w), no planes in the room. */
static int64_t tasks_of_piece(const ms_conv *g) { return g->result == MS_CONV_W || g->x_last || g->y_last ? 1 : g->groups; }

static bool plan(conv_plan *p) {
  const ms_conv *g = &p->g;
  const size_t size = ms_dtype_size(g->dtype);
  int64_t images = 1;
  if (g->result == MS_CONV_W) {
    const int64_t limit = PARTIAL_BYTES / (weight_count(g) * (int64_t)size);
    images = div_up(g->n, max_i64(min_i64(min_i64(g->n, W_PIECES), limit), 1));
  }
  p->room_bytes = ((size_t)col_elements(g) + GEMM_PACK) * size;
  p->pieces = (conv_pieces){.images = images, .count = div_up(g->n, images), .as_planes = true};
  p->tasks = p->pieces.count * tasks_of_piece(g);
  MS_NAME(conv_pieces_reserve)(p);
  return true;
}

static bool task(const conv_plan *p, const conv_operands *t, int64_t i, int thread, void *room) {
  const ms_conv *g = &p->g;
  const size_t size = ms_dtype_size(g->dtype);
  const int64_t each = tasks_of_piece(g), k0 = each > 1 ? i % each : 0, k1 = each > 1 ? k0 + 1 : g->groups;
  const conv_piece c = MS_NAME(conv_piece_begin)(p, t, i / each, room);
  void *gemm_room = (char *)room + (size_t)col_elements(g) * size;
  if (g->result == MS_CONV_W) memset(c.w, 0, (size_t)weight_count(g) * size);
  for (int64_t image = 0; image < c.images; image++)
    for (int64_t k = k0; k < k1; k++)
      if (g->dtype == MS_F32) conv_image_f32(g, image, k, c.x, c.w, c.y, t->bias, room, gemm_room);
      else conv_image_f64(g, image, k, c.x, c.w, c.y, t->bias, room, gemm_room);
  MS_NAME(conv_piece_end)(p, t, i / each, &c);
  return (void)thread, true;
}

static int64_t made(const conv_plan *p, int64_t task, int64_t *first) {
  return tasks_of_piece(&p->g) > 1 ? 0 : MS_NAME(conv_piece_made)(p, task, first);
}

const conv_functions MS_NAME(conv_im2col) = {.plan = plan, .task = task, .made = made, .end = MS_NAME(conv_pieces_sum)};
