/* index.c -- picking and adding by position. Positions were checked by the gate. What adds does so in the order of the index, and
 * no two threads add to the same element, so the bits do not depend on the number of threads. */
#include "move.h"

static ms_view before_dim(const ms_view *v, int d) {
  ms_view r = *v;
  r.rank = (uint8_t)d;
  return r;
}
static ms_view after_dim(const ms_view *v, int d) {
  ms_view r = *v;
  r.rank = (uint8_t)(v->rank - d - 1);
  for (int i = 0; i < r.rank; i++) r.shape[i] = v->shape[d + 1 + i], r.stride[i] = v->stride[d + 1 + i];
  return r;
}

/* Do the elements of v lie at equal distances in memory? *step: how far apart. */
static bool evenly(const ms_view *v, int64_t *step) {
  bool any = false;
  int64_t next = 0;
  *step = 1;
  for (int i = v->rank - 1; i >= 0; i--) {
    if (v->shape[i] == 1) continue;
    if (!any) any = true, next = *step = v->stride[i];
    if (v->stride[i] != next) return false;
    next *= v->shape[i];
  }
  return true;
}

/* Copy x, of any strides, to the contiguous result r of its shape. */
static void start_from(const ms_view *r, const ms_view *x) {
  if (ms_view_numel(r)) move_view(r, x);
}

/* ---- gather and scatter_add are a nest of loops over index's shape. Three operands: the index; its partner, element by element
 * (the result of gather, the src of scatter_add); the table that positions point into (x of gather, the result of scatter_add).
 * ---- */

enum { INDEX, PARTNER, TABLE };

typedef struct nest {
  const ms_view *index;
  int rank; /* dimensions outside the two inner loops */
  int64_t shape[MS_MAX_RANK], stride[3][MS_MAX_RANK], lines;
  int64_t n, n_step[3]; /* the loop along dim, unless that is the last dimension */
  int64_t m, m_step[3]; /* the loop along the last dimension */
  int64_t jump;         /* one position further in the table */
  bool last;            /* dim is the last dimension */
} nest;

#define T    uint8_t
#define G(x) x##_u8
#include "index_template.h"
#undef T
#undef G
#define T    uint16_t
#define G(x) x##_u16
#include "index_template.h"
#undef T
#undef G
#define T    uint32_t
#define G(x) x##_u32
#include "index_template.h"
#undef T
#undef G
#define T    uint64_t
#define G(x) x##_u64
#include "index_template.h"
#undef T
#undef G
#define T    float
#define G(x) x##_f32
#include "index_template.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "index_template.h"
#undef T
#undef G

/* A template's function f for the dtypes that can be added, as a table. */
#define BY_DTYPE(f)                                                                                                                \
  { [MS_F32] = f##_f32, [MS_F64] = f##_f64, [MS_I64] = f##_u64, [MS_I32] = f##_u32, [MS_U8] = f##_u8, [MS_BOOL] = f##_u8 }

/* Into how many parts of at least 64 elements each of `rows` rows of n elements is cut, so that the whole team has work. */
static int64_t parts_of(int64_t n, int64_t rows, int team) { return rows >= team || n < 64 ? 1 : div_up(team, rows); }

/* ---- index_select ------------------------------------------------------------------------------------------------ */

/* x and the result are cut at dim: `outer` dimensions before it, a slice (`inner`) after it. */
static int index_select_run(ms_call *c) {
  typedef void (*pick_fn)(const ms_view *index, int64_t n, const void *from, int64_t step, void *to);
  const ms_view *x = &c->in[0], *index = &c->in[1], *r = &c->out[0];
  const int d = (int)c->attr[0].i;
  const ms_view outer = before_dim(x, d);
  ms_view inner = after_dim(x, d);
  const int64_t n = index->shape[0], step = x->stride[d], rows = ms_view_numel(&outer), count = ms_view_numel(&inner);
  const size_t size = ms_dtype_size(x->dtype), bytes = (size_t)count * size;
  const char *from = x->data;
  char *to = r->data;
  int64_t distance;
  if (!rows || !n || !count) return 0;
  if (count == 1) {
    const pick_fn pick = size == 8 ? pick_u64 : size == 4 ? pick_u32 : size == 2 ? pick_u16 : pick_u8;
    MS_PARALLEL(ms_team(rows * n * 2), o, rows,
                pick(index, n, from + (size_t)ms_offset(&outer, o) * size, step, to + (size_t)(o * n) * size););
  } else if (evenly(&inner, &distance) && distance == 1) {
    MS_PARALLEL(ms_team(rows * n * (int64_t)(bytes / 4 + 8)), k, rows * n, {
      const int64_t o = k / n, i = index_value(index, (k - o * n) * index->stride[0]);
      memcpy(to + (size_t)k * bytes, from + (size_t)(ms_offset(&outer, o) + i * step) * size, bytes);
    });
  } else {
    ms_view slice = inner; /* of the result: contiguous */
    for (int64_t s = 1, i = inner.rank - 1; i >= 0; i--) slice.stride[i] = s, s *= inner.shape[i];
    for (int64_t k = 0; k < rows * n; k++) {
      const int64_t o = k / n, i = index_value(index, (k - o * n) * index->stride[0]);
      slice.data = to + (size_t)k * bytes;
      inner.data = (char *)x->data + (size_t)(ms_offset(&outer, o) + i * step) * size;
      move_view(&slice, &inner);
    }
  }
  return 0;
}
MS_KERNEL(index_select, .run = index_select_run);

/* ---- index_add: slices of src, each cut into parts along the elements after dim, so that threads add to different elements ----
 */

static bool adds(const ms_call *c) { return c->out[0].dtype != MS_F16 && c->out[0].dtype != MS_BF16; }

static int index_add_run(ms_call *c) {
  static void (*const add_slices[MS_DTYPES])(void *to, int64_t count, const ms_view *index, const void *src, int64_t step,
                                             const ms_view *inner, int64_t first, int64_t end) = BY_DTYPE(add_slices);
  const ms_view *index = &c->in[1], *src = &c->in[2], *r = &c->out[0];
  const int d = (int)c->attr[0].i;
  start_from(r, &c->in[0]);
  const ms_view outer = before_dim(src, d), inner = after_dim(src, d);
  const int64_t n = index->shape[0], rows = ms_view_numel(&outer), count = ms_view_numel(&inner),
                size = (int64_t)ms_dtype_size(r->dtype);
  if (!rows || !n || !count) return 0;
  const int team = ms_team(rows * n * count);
  const int64_t parts = parts_of(count, rows, team), part = div_up(count, parts);
  MS_PARALLEL(team, k, rows * parts, {
    const int64_t o = k / parts, first = (k - o * parts) * part, end = min_i64(first + part, count);
    char *to = (char *)r->data + o * r->shape[d] * count * size;
    const char *from = (const char *)src->data + ms_offset(&outer, o) * size;
    add_slices[r->dtype](to, count, index, from, src->stride[d], &inner, first, end);
  });
  return 0;
}
MS_KERNEL(index_add, .run = index_add_run, .supports = adds);

/* ---- gather, scatter_add ----------------------------------------------------------------------------------------- */

static nest nest_of(const ms_view *index, const ms_view *partner, const ms_view *table, int d) {
  const ms_view *v[3] = {index, partner, table};
  int end = index->rank - 1;
  nest w = {.index = index, .lines = 1, .n = 1, .m = index->shape[end], .jump = table->stride[d], .last = d == end};
  for (int k = 0; k < 3; k++) w.m_step[k] = k == TABLE && d == end ? 0 : v[k]->stride[end];
  for (int i = 0; i < end; i++) {
    if (i == d) {
      w.n = index->shape[i];
      for (int k = 0; k < 3; k++) w.n_step[k] = k == TABLE ? 0 : v[k]->stride[i];
      continue;
    }
    w.shape[w.rank] = index->shape[i], w.lines *= index->shape[i];
    for (int k = 0; k < 3; k++) w.stride[k][w.rank] = v[k]->stride[i];
    w.rank++;
  }
  return w;
}

static void nest_at(const nest *w, int64_t line, int64_t *at) {
  at[INDEX] = at[PARTNER] = at[TABLE] = 0;
  for (int i = w->rank - 1; i >= 0; i--) {
    int64_t q = line / w->shape[i], k = line - q * w->shape[i];
    for (int o = 0; o < 3; o++) at[o] += k * w->stride[o][i];
    line = q;
  }
}

typedef void (*nest_fn)(const nest *w, const int64_t *at, int64_t first, int64_t end, void *partner, void *table);

/* Lines go to different elements of the table; where they are few, the last dimension is cut too (unless positions run along it).
 */
static void nest_run(const nest *w, nest_fn f, void *partner, void *table) {
  if (!w->lines || !w->n || !w->m) return;
  const int team = ms_team(w->lines * w->n * w->m * 2);
  const int64_t parts = w->last ? 1 : parts_of(w->m, w->lines, team), part = div_up(w->m, parts);
  MS_PARALLEL(team, k, w->lines * parts, {
    const int64_t line = k / parts, first = (k - line * parts) * part;
    int64_t at[3];
    nest_at(w, line, at);
    f(w, at, first, min_i64(first + part, w->m), partner, table);
  });
}

static int gather_run(ms_call *c) {
  const ms_view *x = &c->in[0], *r = &c->out[0];
  const nest w = nest_of(&c->in[1], r, x, (int)c->attr[0].i);
  const size_t size = ms_dtype_size(x->dtype);
  nest_run(&w, size == 8 ? take_u64 : size == 4 ? take_u32 : size == 2 ? take_u16 : take_u8, r->data, x->data);
  return 0;
}
MS_KERNEL(gather, .run = gather_run);

static int scatter_add_run(ms_call *c) {
  static const nest_fn add[MS_DTYPES] = BY_DTYPE(add);
  const ms_view *src = &c->in[2], *r = &c->out[0];
  start_from(r, &c->in[0]);
  const nest w = nest_of(&c->in[1], src, r, (int)c->attr[0].i);
  nest_run(&w, add[r->dtype], src->data, r->data);
  return 0;
}
MS_KERNEL(scatter_add, .run = scatter_add_run, .supports = adds);

/* ---- one_hot ----------------------------------------------------------------------------------------------------- */

static int one_hot_run(ms_call *c) {
  const ms_view *index = &c->in[0], *r = &c->out[0];
  int64_t n = ms_view_numel(index), classes = c->attr[0].i;
  if (!n || !classes) return 0;
  memset(r->data, 0, (size_t)(n * classes) * ms_dtype_size(r->dtype));
  for (int64_t k = 0; k < n; k++) {
    int64_t at = k * classes + index_value(index, ms_offset(index, k));
    switch (r->dtype) {
    case MS_F32: ((float *)r->data)[at] = 1; break;
    case MS_F64: ((double *)r->data)[at] = 1; break;
    case MS_BF16: ((uint16_t *)r->data)[at] = 0x3f80; break; /* the bits of 1 */
    case MS_F16: ((uint16_t *)r->data)[at] = 0x3c00; break;
    case MS_I64: ((int64_t *)r->data)[at] = 1; break;
    case MS_I32: ((int32_t *)r->data)[at] = 1; break;
    default: ((uint8_t *)r->data)[at] = 1;
    }
  }
  return 0;
}
MS_KERNEL(one_hot, .run = one_hot_run);
