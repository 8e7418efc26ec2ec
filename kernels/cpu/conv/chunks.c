/* chunks.c -- chunks.h. */
#include "chunks.h"
#include "../parts.h"

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

enum { CHUNK_BYTES = 512 << 10 }; /* of x and y in a chunk, if it can be had */

conv_chunks MS_NAME(conv_chunks_of)(const ms_conv *g) {
  const bool weights_grad = g->result == MS_CONV_W;
  const int64_t work = image_work(g), bytes = (g->c * g->h * g->w + g->o * g->oh * g->ow) * (int64_t)sizeof(float);
  const int64_t wanted = ms_tasks();
  int64_t images = weights_grad ? div_up(g->n, wanted) : min_i64(CHUNK_BYTES / bytes, g->n / wanted);
  images = min_i64(max_i64(images, CHUNK_WORK / work + 1), g->n);
  while (weights_grad && images < g->n && div_up(g->n, images) * weight_count(g) * (int64_t)sizeof(float) > PARTIAL_BYTES)
    images = min_i64(2 * images, g->n);
  return (conv_chunks){.images = images, .count = div_up(g->n, images)};
}

void MS_NAME(conv_chunks_reserve)(conv_plan *p) {
  const ms_conv *g = &p->g;
  conv_chunks *k = &p->chunks;
  const size_t size = ms_dtype_size(g->dtype);
  if (k->as_planes && g->x_last) k->x_planes = conv_reserve(&p->lane_bytes, (size_t)(k->images * g->c * g->h * g->w) * size);
  if (k->as_planes && g->y_last) k->y_planes = conv_reserve(&p->lane_bytes, (size_t)(k->images * g->o * g->oh * g->ow) * size);
  if (g->result == MS_CONV_W && k->count > 1) k->sums = conv_reserve(&p->shared_bytes, (size_t)(k->count * weight_count(g)) * size);
}

/* Images between planes and channels last: each is a matrix of rows x cols (channels by pixels, or the other way round),
 * transposed. */
static void transpose_images(const void *from, void *to, int64_t images, int64_t rows, int64_t cols, int dtype) {
  for (int64_t i = 0; i < images; i++)
    if (dtype == MS_F32) turn_f32((const float *)from + i * rows * cols, cols, rows, cols, (float *)to + i * rows * cols);
    else turn_f64((const double *)from + i * rows * cols, cols, rows, cols, (double *)to + i * rows * cols);
}

/* The images of chunk i where they lie. */
static conv_chunk chunk_of(const conv_plan *p, const conv_operands *t, int64_t i) {
  const ms_conv *g = &p->g;
  const conv_chunks *k = &p->chunks;
  const size_t size = ms_dtype_size(g->dtype), first = (size_t)(i * k->images);
  conv_chunk c = {.images = min_i64(k->images, g->n - i * k->images), .w = t->w};
  c.x = (char *)t->x + first * (size_t)(g->c * g->h * g->w) * size;
  c.y = (char *)t->y + first * (size_t)(g->o * g->oh * g->ow) * size;
  if (g->result == MS_CONV_W && k->count > 1) c.w = (char *)t->shared + k->sums + (size_t)(i * weight_count(g)) * size;
  return c;
}

conv_chunk MS_NAME(conv_chunk_begin)(const conv_plan *p, const conv_operands *t, int64_t i, char *lane) {
  const ms_conv *g = &p->g;
  const conv_chunks *k = &p->chunks;
  conv_chunk c = chunk_of(p, t, i);
  if (k->as_planes && g->x_last) {
    void *planes = lane + k->x_planes;
    if (g->result != MS_CONV_X) transpose_images(c.x, planes, c.images, g->h * g->w, g->c, g->dtype);
    c.x = planes;
  }
  if (k->as_planes && g->y_last) {
    void *planes = lane + k->y_planes;
    if (g->result != MS_CONV_Y) transpose_images(c.y, planes, c.images, g->oh * g->ow, g->o, g->dtype);
    c.y = planes;
  }
  return c;
}

void MS_NAME(conv_chunk_end)(const conv_plan *p, const conv_operands *t, int64_t i, const conv_chunk *c) {
  const ms_conv *g = &p->g;
  const conv_chunk to = chunk_of(p, t, i);
  if (!p->chunks.as_planes) return;
  if (g->x_last && g->result == MS_CONV_X) transpose_images(c->x, to.x, c->images, g->c, g->h * g->w, g->dtype);
  if (g->y_last && g->result == MS_CONV_Y) transpose_images(c->y, to.y, c->images, g->o, g->oh * g->ow, g->dtype);
}

int64_t MS_NAME(conv_chunk_made)(const conv_plan *p, int64_t i, int64_t *first) {
  const ms_conv *g = &p->g;
  if (g->result == MS_CONV_W) return 0;
  const int64_t image = g->result == MS_CONV_Y ? g->o * g->oh * g->ow : g->c * g->h * g->w, images = p->chunks.images;
  *first = i * images * image;
  return min_i64(images, g->n - i * images) * image;
}

void MS_NAME(conv_chunks_sum)(const conv_plan *p, const conv_operands *t) {
  if (p->g.result == MS_CONV_W && p->chunks.count > 1)
    add_parts((char *)t->shared + p->chunks.sums, t->w, weight_count(&p->g), p->chunks.count, p->g.dtype);
}
