/* grid.c -- grid_sample: an image read at given points, which affine_grid makes of a matrix. Both composed of others, so that there
 * are derivatives in the image, the points and the matrix.
 *
 * Points are (x, y), -1..1 over the image: -1 and 1 are the middles of the outermost pixels (align_corners) or their outer edges.
 */
#include "compose.h"

enum { BILINEAR, NEAREST, BICUBIC }; /* modes */
enum { ZEROS, BORDER, REFLECTION };  /* what lies beyond the image */

typedef struct sampling {
  ms_tensor *x; /* N x C x (H W) */
  int64_t h, w;
  int64_t padding;
  bool align_corners;
} sampling;

static ms_tensor *n_of(double v) { return ms_number(v); }

/* Coordinates -1..1 as positions 0..size-1. */
static ms_tensor *position_of(const sampling *s, ms_tensor *v, int64_t size) {
  const double n = (double)size; /* (v + 1) (n - 1) / 2, or ((v + 1) n - 1) / 2, with one rounding less */
  return ms_add(ms_mul(v, n_of((s->align_corners ? n - 1 : n) / 2)), n_of((n - 1) / 2));
}

static ms_tensor *within(ms_tensor *v, int64_t size) { return ms_clamp(v, n_of(0), n_of((double)size - 1)); }

/* Positions beyond the image as those that stand for them: at its border, or mirrored at its edges as often as needed. With zeros
 * beyond they stay. */
static ms_tensor *brought_inside(const sampling *s, ms_tensor *v, int64_t size) {
  if (s->padding == ZEROS) return v;
  if (s->padding == REFLECTION) {
    const double low = s->align_corners ? 0 : -0.5, span = (double)(s->align_corners ? size - 1 : size);
    if (span == 0) return ms_mul(v, n_of(0));
    ms_tensor *far = ms_abs(ms_sub(v, n_of(low))), *extra = ms_fmod(far, n_of(span)); /* of the edge; of the last mirror */
    ms_tensor *even = ms_eq(ms_fmod(ms_floor(ms_div(far, n_of(span))), n_of(2)), n_of(0));
    v = ms_add(ms_where(even, extra, ms_sub(n_of(span), extra)), n_of(low));
  }
  return within(v, size);
}

/* The elements at whole positions h, w, each N x P: N x C x P; 0 beyond the image. */
static ms_tensor *pixels(const sampling *s, ms_tensor *h, ms_tensor *w) {
  if (!h || !w) return NULL;
  ms_tensor *row = within(h, s->h), *column = within(w, s->w);
  const int64_t n = h->shape[0], p = h->shape[1], channels = s->x->shape[1];
  ms_tensor *at =
      ms_add(ms_add(ms_mul(ms_cast(row, MS_I64), ms_whole_number(s->w)), ms_cast(column, MS_I64)), ms_whole_number(MS_INDEX_BASE));
  ms_tensor *v = ms_gather(s->x, 2, ms_expand(ms_unsqueeze(at, 1), MS_INTS(n, channels, p)));
  if (s->padding != ZEROS) return v;
  ms_tensor *inside = ms_logical_and(ms_eq(row, h), ms_eq(column, w));
  return ms_where(ms_unsqueeze(inside, 1), v, n_of(0));
}

static ms_tensor *weighted(ms_tensor *v, ms_tensor *a, ms_tensor *b) { return ms_mul(v, ms_unsqueeze(ms_mul(a, b), 1)); }

static ms_tensor *bilinear(const sampling *s, ms_tensor *h, ms_tensor *w) {
  ms_tensor *top = ms_floor(h), *left = ms_floor(w), *sum = NULL;
  ms_tensor *down = ms_sub(h, top), *right = ms_sub(w, left);
  for (int i = 0; i < 4; i++) {
    ms_tensor *row = i & 2 ? ms_add(top, n_of(1)) : top, *column = i & 1 ? ms_add(left, n_of(1)) : left;
    ms_tensor *part =
        weighted(pixels(s, row, column), i & 2 ? down : ms_sub(n_of(1), down), i & 1 ? right : ms_sub(n_of(1), right));
    sum = sum ? ms_add(sum, part) : part;
  }
  return sum;
}

/* Keys' cubic convolution kernel with a = -3/4: the weight of the element `tap` (-1, 0, 1, 2) for position 0 <= t < 1. */
static ms_tensor *cubic_weight(ms_tensor *t, int tap) {
  const double a = -0.75;
  ms_tensor *d = tap <= 0 ? ms_add(t, n_of(-tap)) : ms_sub(n_of(tap), t); /* the distance */
  if (tap == 0 || tap == 1) return ms_add(ms_mul(ms_mul(ms_sub(ms_mul(d, n_of(a + 2)), n_of(a + 3)), d), d), n_of(1));
  return ms_sub(ms_mul(ms_add(ms_mul(ms_sub(ms_mul(d, n_of(a)), n_of(5 * a)), d), n_of(8 * a)), d), n_of(4 * a));
}

static ms_tensor *bicubic(const sampling *s, ms_tensor *h, ms_tensor *w) {
  ms_tensor *top = ms_floor(h), *left = ms_floor(w), *down = ms_sub(h, top), *right = ms_sub(w, left), *sum = NULL;
  for (int i = -1; i <= 2; i++)
    for (int j = -1; j <= 2; j++) {
      ms_tensor *row = brought_inside(s, ms_add(top, n_of(i)), s->h), *column = brought_inside(s, ms_add(left, n_of(j)), s->w);
      ms_tensor *part = weighted(pixels(s, row, column), cubic_weight(down, i), cubic_weight(right, j));
      sum = sum ? ms_add(sum, part) : part;
    }
  return sum;
}

static int grid_sample(ms_ref *c) {
  ms_tensor *x = c->in[0], *grid = c->in[1], *y;
  if (x->rank != 4 || grid->rank != 4 || grid->shape[3] != 2 || grid->shape[0] != x->shape[0])
    return ms_fail("grid_sample: x is %s, grid is %s, expected N x C x H x W and N x OH x OW x 2", ms_shape_str(x),
                   ms_shape_str(grid)),
           -1;
  if (x->shape[2] < 1 || x->shape[3] < 1)
    return ms_fail("grid_sample: x is %s, expected height and width of 1 or more", ms_shape_str(x)), -1;
  if (x->dtype != grid->dtype)
    return ms_fail("grid_sample: x is %s, grid is %s, expected one dtype", ms_shape_str(x), ms_shape_str(grid)), -1;
  const int64_t mode = c->attr[0].i, n = x->shape[0], p = grid->shape[1] * grid->shape[2];
  const sampling s = {.x = ms_reshape(x, MS_INTS(n, x->shape[1], x->shape[2] * x->shape[3])),
                      .h = x->shape[2],
                      .w = x->shape[3],
                      .padding = c->attr[1].i,
                      .align_corners = c->attr[2].i};
  ms_tensor *points = ms_reshape(grid, MS_INTS(n, p, 2));
  ms_tensor *h = position_of(&s, ms_select(points, 2, 1), s.h), *w = position_of(&s, ms_select(points, 2, 0), s.w);
  if (mode != BICUBIC) h = brought_inside(&s, h, s.h), w = brought_inside(&s, w, s.w);
  if (mode == BILINEAR) y = bilinear(&s, h, w);
  else if (mode == BICUBIC) y = bicubic(&s, h, w);
  else y = pixels(&s, ms_round(h), ms_round(w));
  return ms_give(c, ms_reshape(y, MS_INTS(n, x->shape[1], grid->shape[1], grid->shape[2])));
}
MS_RULE(grid_sample, .ref = grid_sample);

/* Evenly spaced coordinates of n points. */
static ms_tensor *coordinates(const ms_tensor *like, int64_t n, bool align_corners) {
  ms_tensor *at = ms_cast(ms_counting(1 - n, n, 2, like->device), like->dtype);
  const int64_t by = align_corners ? n - 1 : n;
  return by > 0 ? ms_div(at, n_of((double)by)) : at;
}

static int affine_grid(ms_ref *c) {
  ms_tensor *theta = c->in[0];
  const ms_ints *size = &c->attr[0].v;
  if (theta->rank != 3 || theta->shape[1] != 2 || theta->shape[2] != 3 || size->n != 4 || size->at[0] != theta->shape[0])
    return ms_fail("affine_grid: theta is %s, size %s, expected N x 2 x 3 and {N, C, H, W}", ms_shape_str(theta),
                   ms_sizes_str(size->n, size->at)),
           -1;
  const int64_t n = size->at[0], h = size->at[2], w = size->at[3];
  if (h < 1 || w < 1) return ms_fail("affine_grid: size %s, expected 1 or more", ms_sizes_str(4, size->at)), -1;
  const bool align = c->attr[1].i;
  ms_tensor *x = ms_expand(ms_unsqueeze(coordinates(theta, w, align), 0), MS_INTS(h, w));
  ms_tensor *y = ms_expand(ms_unsqueeze(coordinates(theta, h, align), 1), MS_INTS(h, w));
  ms_tensor *grid = NULL;
  for (int k = 0; k < 2; k++) { /* of a point (x, y): theta times (x, y, 1) */
    ms_tensor *row = ms_unsqueeze(ms_unsqueeze(ms_select(theta, 1, k), 2), 3), *part = NULL; /* N x 3 x 1 x 1 */
    part = ms_add(ms_add(ms_mul(ms_select(row, 1, 0), x), ms_mul(ms_select(row, 1, 1), y)), ms_select(row, 1, 2));
    part = ms_unsqueeze(part, 3);
    grid = k ? ms_cat(2, (ms_tensor *[]){grid, part}, 3) : part;
  }
  return (void)n, ms_give(c, grid);
}
MS_RULE(affine_grid, .ref = affine_grid);
