/* index.c -- picking and adding by position. Positions were checked by the gate. What adds does so in the order of the index, and
 * no two threads add to the same element, so the bits do not depend on the number of threads. */
#include "nest.h"

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

#define TEMPLATE "index_template.h"
#include "each_size.h"
#include "each_float.h"
#undef TEMPLATE

/* A template's function f for the dtypes that can be added, as a table. */
#define BY_DTYPE(f)                                                                                                                \
  { [MS_F32] = f##_f32, [MS_F64] = f##_f64, [MS_I64] = f##_8, [MS_I32] = f##_4, [MS_U8] = f##_1, [MS_BOOL] = f##_1 }

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
    const pick_fn pick = size == 8 ? pick_8 : size == 4 ? pick_4 : size == 2 ? pick_2 : pick_1;
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
