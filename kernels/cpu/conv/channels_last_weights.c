/* channels_last_weights.c -- the gradient of w for channels_last.h, in two ways. From padded sources: a task adds up its share of
 * the rows of the sums over its group of images; at the end the groups' sums are added up in order and brought into the layout of
 * w. Unfolded: images of a few pixels, whose sums would be too short, are unfolded after all, all of them at once. */
#include "channels_last.h"
#include <stdlib.h>
#include <string.h>

enum {
  CACHE_BYTES = 32 << 10, /* of padded source and y in a room, where the sums are small: what stays in the first-level cache */
  SMALL_SUMS = 24 << 10,  /* bytes of such sums, at most */
  PART_PIXELS = 1536,     /* of y in the whole batch: as many are worth sums of their own */
  FEW_PIXELS = 20         /* of an image y: up to so many, x is unfolded */
};
#define UNFOLDED_BYTES ((int64_t)16 << 20) /* most for the unfolded x of a batch */

/* ---- the plan --------------------------------------------------------------------------------------------------- */

static int64_t unfolded_row(const ms_conv *g) { return g->kh * g->kw * g->c; }
static int64_t unfolded_pitch(const ms_conv *g) { return round_up(unfolded_row(g), 16) + 16; }

bool MS_NAME(conv_last_unfolds)(const ms_conv *g) {
  const bool x_last = g->x_last || g->c == 1, y_last = g->y_last || g->o == 1;
  const int64_t pixels = g->oh * g->ow;
  return x_last && y_last && pixels <= FEW_PIXELS && g->o % L == 0 && g->n * pixels * unfolded_pitch(g) * 4 <= UNFOLDED_BYTES;
}

/* The matrix of sums of a kernel row. */
static last_plan *new_plan(conv_plan *c) {
  const ms_conv *g = &c->g;
  last_plan *p = c->own = MS_NAME(conv_last_new)(g);
  if (!p) return NULL;
  last_sums *m = &p->sums;
  m->y_in_rows = g->o < L && (g->o < L / 2 || g->kw * g->c >= L);
  m->rows = m->y_in_rows ? g->o : g->kw * g->c, m->cols = m->y_in_rows ? g->kw * g->c : g->o;
  m->padded_cols = round_up(m->cols, L);
  m->three_columns = !m->y_in_rows && g->o == L && g->kw == 3 && g->stride[0] == 1 && g->stride[1] == 1 && g->ow > 1;
  return p;
}

static bool plan(conv_plan *c) {
  const ms_conv *g = &c->g;
  last_plan *p = new_plan(c);
  if (!p) return false;
  last_sums *m = &p->sums;
  const int64_t sums = g->kh * m->rows * m->padded_cols;
  const int64_t row_bytes = (p->stride[0] * p->padded_w * p->pixel_size + g->ow * g->o) * 4;
  MS_NAME(conv_last_set_bands)
  (p, sums * 4 <= SMALL_SUMS ? max_i64(CACHE_BYTES / row_bytes, 2) : max_i64(BAND_BYTES / row_bytes, 4));
  if (!p->out_last || (!m->y_in_rows && g->o % L)) /* whole vectors of y are read */
    m->y_floats = round_up(div_up(p->phase[0].size[0], p->bands) * g->ow * g->o + 2 * L, 16);
  const int64_t parts = min_i64(max_i64(g->n * g->oh * g->ow / PART_PIXELS, 1), ms_tasks());
  p->image_groups = min_i64(parts, max_i64(SUMS_BYTES / (weight_count(g) * 4), 1));
  p->images = div_up(g->n, p->image_groups);
  p->image_groups = div_up(g->n, p->images);
  p->slices = min_i64(g->kh * div_up(m->cols, 2 * L), div_up(TASKS_WANTED, p->image_groups));
  c->tasks = p->image_groups * p->slices;
  c->shared_bytes = (size_t)(p->image_groups * sums) * 4;
  c->room_bytes = (size_t)(p->source_floats + m->y_floats) * 4;
  return true;
}

/* The unfolded source stands behind the sums in the shared area; tasks are blocks of rows of the sums. */
static bool plan_unfolded(conv_plan *c) {
  const ms_conv *g = &c->g;
  last_plan *p = new_plan(c);
  if (!p) return false;
  last_sums *m = &p->sums;
  m->depth = unfolded_row(g), m->pitch = unfolded_pitch(g);
  p->image_groups = 1, p->images = g->n, p->slices = min_i64(div_up(m->depth, TILE_ROWS), TASKS_WANTED);
  m->unfolded = (size_t)(g->kh * m->rows * m->padded_cols);
  c->tasks = p->slices;
  c->shared_bytes = (m->unfolded + (size_t)(g->n * g->oh * g->ow * m->pitch)) * 4;
  return true;
}

/* ---- unfolded --------------------------------------------------------------------------------------------------- */

/* A row for each pixel of image i: what the kernel meets there, zeros where that is outside. */
static void unfold(const last_plan *p, int64_t i, const float *x, float *to) {
  const ms_conv *g = &p->g;
  const int64_t c = g->c, n = g->kw;
  for (int64_t t = 0; t < g->oh; t++)
    for (int64_t u = 0; u < g->ow; u++, to += p->sums.pitch) {
      const int64_t at = u * g->stride[1] - g->pad[1], left = min_i64(max_i64(-at, 0), n),
                    right = min_i64(max_i64(at + n - g->w, 0), n - left);
      for (int64_t a = 0; a < g->kh; a++) {
        const int64_t line = t * g->stride[0] - g->pad[0] + a;
        float *row = to + a * n * c;
        const bool outside = line < 0 || line >= g->h;
        memset(row, 0, (size_t)((outside ? n : left) * c) * 4);
        if (outside) continue;
        memcpy(row + left * c, x + ((i * g->h + line) * g->w + at + left) * c, (size_t)((n - left - right) * c) * 4);
        memset(row + (n - right) * c, 0, (size_t)(right * c) * 4);
      }
    }
}

static bool begin_unfolded(const conv_plan *c, const conv_operands *t) {
  const last_plan *p = c->own;
  const ms_conv *g = &p->g;
  const int64_t pixels = g->oh * g->ow, image = pixels * p->sums.pitch;
  float *to = (float *)t->shared + p->sums.unfolded;
  MS_PARALLEL(ms_team(g->n * pixels * p->sums.depth), i, g->n, unfold(p, i, t->x, to + i * image););
  return true;
}

/* Rows of all the sums at once: kernel row, column, channel. */
static bool task_unfolded(const conv_plan *c, const conv_operands *t, int64_t i, int thread, void *room) {
  const last_plan *p = c->own;
  const ms_conv *g = &p->g;
  const last_sums *m = &p->sums;
  float *sums = t->shared;
  const float *y = t->y;
  const int64_t from = m->depth * i / p->slices, to = m->depth * (i + 1) / p->slices, tiles = div_up(to - from, TILE_ROWS);
  for (int64_t first = 0; first < g->o; first += 2 * L)
    for (int64_t k = 0; k < tiles; k++) {
      const int64_t at = from + (to - from) * k / tiles, rows = from + (to - from) * (k + 1) / tiles - at;
      const ms_tile_f32 tile = MS_NAME(ms_tile_f32)[1][rows][m->padded_cols - first > L ? 2 : 1];
      tile(1, g->n * g->oh * g->ow, sums + m->unfolded + at, 0, m->pitch, y + first, 0, g->o, sums + at * m->padded_cols + first,
           m->padded_cols, NULL, 0, NULL);
    }
  return (void)thread, (void)room, true;
}

/* ---- from padded sources ---------------------------------------------------------------------------------------- */

/* Adds one kernel row's sums over the pixels of a band to `sums`, for columns first .. first + 2 L - 1. next: of x and of y. */
static void add_pixels(const last_plan *p, const float *x, const float *y, int64_t rows, int64_t first, float *sums,
                       prefetch next[2]) {
  const ms_conv *g = &p->g;
  const last_sums *m = &p->sums;
  const int64_t vectors = m->padded_cols - first > L ? 2 : 1, tiles = div_up(m->rows, TILE_ROWS);
  if (m->three_columns) {
    for (int64_t i = 0; i < g->c; i += SUMS3_ROWS) {
      const ms_fetch fetch = next_fetch(next[0].at < next[0].end ? next : next + 1, rows * (g->ow - 2), x);
      MS_NAME(ms_tile_sums3)
      [min_i64(SUMS3_ROWS, g->c - i)](rows, g->ow, g->c, x + i, p->padded_w * g->c, y, g->ow * g->o, sums + i * L, &fetch);
    }
    return;
  }
  const int64_t x_step = g->stride[1] * g->c, x_run = g->stride[0] * p->padded_w * g->c, y_run = g->ow * g->o;
  for (int64_t k = 0; k < tiles; k++) {
    const int64_t i = m->rows * k / tiles, n = m->rows * (k + 1) / tiles - i, step = m->padded_cols;
    float *to = sums + i * step + first;
    const ms_fetch fetch = next_fetch(next[0].at < next[0].end ? next : next + 1, rows * g->ow, x);
    const ms_tile_f32 tile = MS_NAME(ms_tile_f32)[1][n][vectors];
    if (m->y_in_rows) tile(rows, g->ow, y + i, y_run, g->o, x + first, x_run, x_step, to, step, to, step, &fetch);
    else tile(rows, g->ow, x + i, x_run, x_step, y + first, y_run, g->o, to, step, to, step, &fetch);
  }
}

/* Rows t0 .. t1-1 of an image's y as the tiles read them: where they lie, or transposed or copied to `room`. */
static const float *band_of_y(const last_plan *p, const float *y, int64_t t0, int64_t t1, float *room) {
  const ms_conv *g = &p->g;
  const int64_t pixels = (t1 - t0) * g->ow;
  if (!p->out_last) {
    turn_f32(y + t0 * g->ow, g->oh * g->ow, g->o, pixels, room);
    return room;
  }
  y += t0 * g->ow * g->o;
  return p->sums.y_floats ? memcpy(room, y, (size_t)(pixels * g->o) * 4) : y;
}

/* Kernel rows and panels of columns k0 .. k1-1, which a task adds up. */
static void clear_sums(const last_plan *p, int64_t k0, int64_t k1, float *sums) {
  const last_sums *m = &p->sums;
  const int64_t panels = div_up(m->cols, 2 * L), plane = m->rows * m->padded_cols;
  for (int64_t k = k0; k < k1; k++)
    for (int64_t r = 0; r < m->rows; r++) {
      const int64_t first = k % panels * 2 * L;
      memset(sums + k / panels * plane + r * m->padded_cols + first, 0, (size_t)min_i64(2 * L, m->padded_cols - first) * 4);
    }
}

static bool task(const conv_plan *c, const conv_operands *t, int64_t task, int thread, void *room) {
  const last_plan *p = c->own;
  const ms_conv *g = &p->g;
  const int64_t slice = task % p->slices, group = task / p->slices, panels = div_up(p->sums.cols, 2 * L), all = g->kh * panels;
  const int64_t from = all * slice / p->slices, to = all * (slice + 1) / p->slices, plane = p->sums.rows * p->sums.padded_cols;
  const int64_t x_image = g->c * g->h * g->w, y_image = g->o * g->oh * g->ow;
  const float *x = t->x, *y = t->y;
  float *sums = (float *)t->shared + group * g->kh * plane, *source = room, *y_room = source + p->source_floats;
  clear_sums(p, from, to, sums);
  for (int64_t i = group * p->images; i < min_i64((group + 1) * p->images, g->n); i++)
    for (int64_t band = 0; band < p->bands; band++) {
      const int64_t t0 = g->oh * band / p->bands, t1 = g->oh * (band + 1) / p->bands, rows = t1 - t0;
      const int64_t top = t0 * g->stride[0] - g->pad[0], behind = min_i64(t1 * g->stride[0], g->h);
      MS_NAME(conv_last_fill)(p, x + i * x_image, top, (rows - 1) * g->stride[0] + g->kh, source, NULL);
      const float *band_y = band_of_y(p, y + i * y_image, t0, t1, y_room);
      prefetch next[2] = {
          prefetch_of(x + i * x_image + behind * g->w * g->c, rows * g->stride[0] * g->w * g->c, x + g->n * x_image),
          prefetch_of(y + i * y_image + t1 * g->ow * g->o, rows * g->ow * g->o, y + g->n * y_image)};
      for (int64_t k = from; k < to; k++)
        add_pixels(p, source + k / panels * p->padded_w * g->c, band_y, rows, k % panels * 2 * L, sums + k / panels * plane, next);
    }
  return (void)thread, true;
}

/* ---- the result ------------------------------------------------------------------------------------------------- */

/* Gradients of weights e0 .. e0 + L - 1 of output channels o .. o + L - 1: the groups' sums added up in order, and transposed. */
static void add_groups(const last_plan *p, const float *sums, int64_t e0, int64_t o, float *w) {
  const ms_conv *g = &p->g;
  const int64_t all = g->c * g->kh * g->kw, n = min_i64(L, all - e0), lanes = min_i64(L, g->o - o);
  const int64_t group = g->kh * p->sums.rows * p->sums.padded_cols;
  vec_f32 row[L] = {0};
  for (int64_t i = 0; i < n; i++) {
    const float *s = sums + packed_row(g, e0 + i) * p->sums.padded_cols + o;
    row[i] = *(const vec_f32 *)s;
    for (int64_t k = 1; k < p->image_groups; k++) row[i] += *(const vec_f32 *)(s + k * group);
  }
  transpose_rows_f32(row);
  for (int64_t l = 0; l < lanes; l++) memcpy(w + (o + l) * all + e0, &row[l], (size_t)n * 4);
}

static void end(const conv_plan *c, const conv_operands *t) {
  const last_plan *p = c->own;
  const ms_conv *g = &p->g;
  const last_sums *m = &p->sums;
  const float *sums = t->shared;
  float *w = t->w;
  const int64_t all = g->c * g->kh * g->kw, group = g->kh * m->rows * m->padded_cols, blocks = div_up(all, L);
  if (!m->y_in_rows) {
    MS_PARALLEL(ms_team(p->image_groups * g->o * all), k, blocks * div_up(g->o, L),
                add_groups(p, sums, k % blocks * L, k / blocks * L, w););
    return;
  }
  MS_PARALLEL(ms_team(PACK_WORK * p->image_groups * g->o * all), k, g->o * all, {
    const int64_t o = k / all, row = packed_row(g, k % all), a = row / m->cols;
    const float *s = sums + (a * m->rows + o) * m->padded_cols + row % m->cols;
    float sum = *s;
    for (int64_t i = 1; i < p->image_groups; i++) sum += s[i * group];
    w[k] = sum;
  });
}

const conv_functions MS_NAME(conv_last_weights) = {.plan = plan, .task = task, .end = end, .free = free};
const conv_functions MS_NAME(conv_last_unfolded) = {
    .plan = plan_unfolded, .begin = begin_unfolded, .task = task_unfolded, .end = end, .free = free};
