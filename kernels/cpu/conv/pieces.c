/* pieces.c -- pieces.h. */
#include "pieces.h"
#include "../partial_sums.h"

#define T    float
#define G(x) x##_f32
#include "../turn.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "../turn.h"
#undef T
#undef G

enum { PIECE_BYTES = 512 << 10 }; /* of x and y in a piece, if it can be had */

conv_pieces MS_NAME(conv_pieces_of)(const ms_conv *g) {
  const bool weights_grad = g->result == MS_CONV_W;
  const int64_t work = image_work(g), bytes = (g->c * g->h * g->w + g->o * g->oh * g->ow) * (int64_t)sizeof(float);
  const int64_t wanted = ms_tasks();
  int64_t images = weights_grad ? div_up(g->n, wanted) : min_i64(PIECE_BYTES / bytes, g->n / wanted);
  images = min_i64(max_i64(images, PIECE_WORK / work + 1), g->n);
  while (weights_grad && images < g->n && div_up(g->n, images) * weight_count(g) * (int64_t)sizeof(float) > PARTIAL_BYTES)
    images = min_i64(2 * images, g->n);
  return (conv_pieces){.images = images, .count = div_up(g->n, images)};
}

void MS_NAME(conv_pieces_reserve)(conv_plan *p) {
  const ms_conv *g = &p->g;
  conv_pieces *k = &p->pieces;
  const size_t size = ms_dtype_size(g->dtype);
  if (k->as_planes && g->x_last) k->x_planes = conv_reserve(&p->room_bytes, (size_t)(k->images * g->c * g->h * g->w) * size);
  if (k->as_planes && g->y_last) k->y_planes = conv_reserve(&p->room_bytes, (size_t)(k->images * g->o * g->oh * g->ow) * size);
  if (g->result == MS_CONV_W && k->count > 1) k->sums = conv_reserve(&p->shared_bytes, (size_t)(k->count * weight_count(g)) * size);
}

/* Images between planes and channels last: each is a matrix of rows x cols (channels by pixels, or the other way round),
 * transposed. */
static void transpose_images(const void *from, void *to, int64_t images, int64_t rows, int64_t cols, int dtype) {
  for (int64_t i = 0; i < images; i++)
    if (dtype == MS_F32) turn_f32((const float *)from + i * rows * cols, cols, rows, cols, (float *)to + i * rows * cols);
    else turn_f64((const double *)from + i * rows * cols, cols, rows, cols, (double *)to + i * rows * cols);
}

/* The images of piece i where they lie. */
static conv_piece piece_of(const conv_plan *p, const conv_operands *t, int64_t i) {
  const ms_conv *g = &p->g;
  const conv_pieces *k = &p->pieces;
  const size_t size = ms_dtype_size(g->dtype), first = (size_t)(i * k->images);
  conv_piece c = {.images = min_i64(k->images, g->n - i * k->images), .w = t->w};
  c.x = (char *)t->x + first * (size_t)(g->c * g->h * g->w) * size;
  c.y = (char *)t->y + first * (size_t)(g->o * g->oh * g->ow) * size;
  if (g->result == MS_CONV_W && k->count > 1) c.w = (char *)t->shared + k->sums + (size_t)(i * weight_count(g)) * size;
  return c;
}

conv_piece MS_NAME(conv_piece_begin)(const conv_plan *p, const conv_operands *t, int64_t i, char *room) {
  const ms_conv *g = &p->g;
  const conv_pieces *k = &p->pieces;
  conv_piece c = piece_of(p, t, i);
  if (k->as_planes && g->x_last) {
    void *planes = room + k->x_planes;
    if (g->result != MS_CONV_X) transpose_images(c.x, planes, c.images, g->h * g->w, g->c, g->dtype);
    c.x = planes;
  }
  if (k->as_planes && g->y_last) {
    void *planes = room + k->y_planes;
    if (g->result != MS_CONV_Y) transpose_images(c.y, planes, c.images, g->oh * g->ow, g->o, g->dtype);
    c.y = planes;
  }
  return c;
}

void MS_NAME(conv_piece_end)(const conv_plan *p, const conv_operands *t, int64_t i, const conv_piece *c) {
  const ms_conv *g = &p->g;
  const conv_piece to = piece_of(p, t, i);
  if (!p->pieces.as_planes) return;
  if (g->x_last && g->result == MS_CONV_X) transpose_images(c->x, to.x, c->images, g->c, g->h * g->w, g->dtype);
  if (g->y_last && g->result == MS_CONV_Y) transpose_images(c->y, to.y, c->images, g->o, g->oh * g->ow, g->dtype);
}

int64_t MS_NAME(conv_piece_made)(const conv_plan *p, int64_t i, int64_t *first) {
  const ms_conv *g = &p->g;
  if (g->result == MS_CONV_W) return 0;
  const int64_t image = g->result == MS_CONV_Y ? g->o * g->oh * g->ow : g->c * g->h * g->w, images = p->pieces.images;
  *first = i * images * image;
  return min_i64(images, g->n - i * images) * image;
}

void MS_NAME(conv_pieces_sum)(const conv_plan *p, const conv_operands *t) {
  if (p->g.result == MS_CONV_W && p->pieces.count > 1)
    add_partial_sums((char *)t->shared + p->pieces.sums, t->w, weight_count(&p->g), p->pieces.count, p->g.dtype);
}
