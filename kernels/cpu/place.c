/* place.c -- slices taken from, or written to, the places that an index tensor names: what x[index] and x[index] = y come to.
 *
 * The table (x of pick, the result of place) is cut into the dimensions before those that are indexed, these, counted row by row
 * (`middle`), and those after them, which make up a slice (`inner`). Its partner (the result of pick, the src of place) has the
 * dimensions of the index in the middle. Where a position comes more than once, the last one counts, or all are added in the order
 * of the index; no two threads write the same element, so the bits do not depend on the number of threads. */
#include "grid.h"
#include "move.h"

enum { TAKE, PUT, ADD };
enum { TABLE, PARTNER };

typedef struct places {
  const ms_view *index;
  void *table, *partner;
  grid at_index, outer[2], middle[2], inner[2]; /* middle[TABLE]: over positions; middle[PARTNER]: over elements of the index */
} places;

#define TEMPLATE "place_template.h"
#include "each_size.h"
#include "each_float.h"
#undef TEMPLATE

typedef void (*slices_fn)(const places *w, int64_t outer, int64_t from, int64_t to, int64_t first, int64_t end);

#define BY_SIZE(f)                                                                                                                 \
  { [1] = f##_1, [2] = f##_2, [4] = f##_4, [8] = f##_8 }
static const slices_fn take[] = BY_SIZE(take_slices), put[] = BY_SIZE(put_slices);
static const slices_fn add[MS_DTYPES] = {[MS_F32] = add_slices_f32, [MS_F64] = add_slices_f64, [MS_I64] = add_slices_8,
                                         [MS_I32] = add_slices_4,   [MS_U8] = add_slices_1,    [MS_BOOL] = add_slices_1};

/* dims: how many dimensions of the table are indexed, from d on. */
static places places_of(const ms_view *table, const ms_view *index, const ms_view *partner, int d, int dims) {
  return (places){index,
                  table->data,
                  partner->data,
                  grid_of(index, 0, index->rank),
                  {grid_of(table, 0, d), grid_of(partner, 0, d)},
                  {grid_of(table, d, d + dims), grid_of(partner, d, d + index->rank)},
                  {grid_of(table, d + dims, table->rank), grid_of(partner, d + index->rank, partner->rank)}};
}

/* Reads may be cut anywhere; writes not along the index, since two positions may be one. */
static void run_places(const places *w, slices_fn f, bool reads) {
  const int64_t rows = w->outer[TABLE].n, n = w->at_index.n, count = w->inner[TABLE].n;
  if (!rows || !n || !count) return;
  const int team = ms_team(rows * n * (count + 4));
  int64_t cuts = 1, parts = 1;
  if (rows < team && reads) cuts = min_i64(n, div_up(team, rows));
  else if (rows < team && count >= 64) parts = div_up(team, rows);
  const int64_t cut = div_up(n, cuts), part = div_up(count, parts);
  MS_PARALLEL(team, k, rows * cuts * parts, {
    const int64_t row = k / (cuts * parts), from = k / parts % cuts * cut, first = k % parts * part;
    f(w, row, from, min_i64(from + cut, n), first, min_i64(first + part, count));
  });
}

static int pick_run(ms_call *c) {
  const ms_view *x = &c->in[0];
  const places w = places_of(x, &c->in[1], &c->out[0], (int)c->attr[0].i, (int)c->attr[1].i);
  run_places(&w, take[ms_dtype_size(x->dtype)], true);
  return 0;
}
MS_KERNEL(pick, .run = pick_run);

/* Write src, a tensor or one number for all, to its places in r, where x is already, or is copied to first. */
static int write_places(const ms_view *r, const ms_view *x, const ms_view *index, const ms_view *src, int d, int dims, bool adds) {
  uint64_t number = 0;
  ms_view all = *src;
  if (x->data != r->data && ms_view_numel(r)) move_view(r, x);
  if (src->number && ms_put_number(&number, r->dtype, *src->number) < 0) return -1;
  if (src->number || !src->rank) { /* the same for all places: the partner's dimensions, all in one element */
    if (src->number) all.data = &number;
    all.rank = 0;
    for (int i = 0; i < d; i++) all.shape[all.rank++] = r->shape[i];
    for (int i = 0; i < index->rank; i++) all.shape[all.rank++] = index->shape[i];
    for (int i = d + dims; i < r->rank; i++) all.shape[all.rank++] = r->shape[i];
    memset(all.stride, 0, sizeof all.stride);
  }
  const places w = places_of(r, index, &all, d, dims);
  run_places(&w, adds ? add[r->dtype] : put[ms_dtype_size(r->dtype)], false);
  return 0;
}

static bool has_sums(const ms_call *c) { return c->in[0].dtype != MS_F16 && c->in[0].dtype != MS_BF16; }
static bool has_sums_if_asked(const ms_call *c) { return !c->attr[2].i || has_sums(c); }

static int place_run(ms_call *c) {
  const ms_view *r = c->n_out ? &c->out[0] : &c->in[0];
  return write_places(r, &c->in[0], &c->in[1], &c->in[2], (int)c->attr[0].i, (int)c->attr[1].i, c->attr[2].i);
}
MS_KERNEL(place, .run = place_run, .supports = has_sums_if_asked);
MS_KERNEL(place_, .run = place_run, .supports = has_sums_if_asked);

static int index_copy_run(ms_call *c) {
  return write_places(c->n_out ? &c->out[0] : &c->in[0], &c->in[0], &c->in[1], &c->in[2], (int)c->attr[0].i, 1, false);
}
MS_KERNEL(index_copy, .run = index_copy_run);
MS_KERNEL(index_copy_, .run = index_copy_run);
MS_KERNEL(index_fill, .run = index_copy_run);
MS_KERNEL(index_fill_, .run = index_copy_run);

static int index_add__run(ms_call *c) {
  return write_places(&c->in[0], &c->in[0], &c->in[1], &c->in[2], (int)c->attr[0].i, 1, true);
}
MS_KERNEL(index_add_, .run = index_add__run, .supports = has_sums);

/* ---- positions: several index tensors, one for each of some dimensions, as one that counts these row by row
 * ---------------------- */

static int positions_run(ms_call *c) {
  const ms_view *r = &c->out[0];
  const ms_ints *size = &c->attr[0].v, *dim = &c->attr[1].v;
  grid at[MS_MAX_RANK];
  for (int k = 0; k < size->n; k++) { /* broadcast from the right */
    const ms_view *v = &c->in[k];
    ms_view wide = *r;
    for (int i = 0, lead = r->rank - v->rank; i < r->rank; i++)
      wide.stride[i] = i < lead || v->shape[i - lead] == 1 ? 0 : v->stride[i - lead];
    at[k] = grid_of(&wide, 0, wide.rank);
  }
  const int64_t n = ms_view_numel(r);
  for (int64_t j = 0; j < n; j++) {
    int64_t position = 0;
    for (int k = 0; k < size->n; k++) {
      const int64_t given = ms_view_integer(&c->in[k], grid_at(&at[k], j)),
                    p = given < 0 ? given + size->at[k] : given - MS_INDEX_BASE;
      if (p < 0 || p >= size->at[k])
        return ms_fail("index: position %lld (element %lld of the index tensor), expected 1..%lld in dimension %lld",
                       (long long)given, (long long)j + 1, (long long)size->at[k], (long long)dim->at[k] + 1),
               -1;
      position = position * size->at[k] + p;
    }
    ((int64_t *)r->data)[j] = position + MS_INDEX_BASE;
  }
  return 0;
}
MS_KERNEL(positions, .run = positions_run);
