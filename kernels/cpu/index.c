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

/* ---- index_select ------------------------------------------------------------------------------------------------ */

#define PICK(T)                                                                                                                    \
  static void pick_##T(const ms_view *index, int64_t n, const void *from, int64_t step, void *to) {                                \
    for (int64_t j = 0; j < n; j++) ((T *)to)[j] = ((const T *)from)[index_value(index, j * index->stride[0]) * step];             \
  }
PICK(uint8_t)
PICK(uint16_t)
PICK(uint32_t)
PICK(uint64_t)

static int index_select_run(ms_call *c) {
  const ms_view *x = &c->in[0], *index = &c->in[1], *r = &c->out[0];
  int d = (int)c->attr[0].i;
  ms_view outer = before_dim(x, d), inner = after_dim(x, d);
  int64_t n = index->shape[0], step = x->stride[d], rows = ms_view_numel(&outer), count = ms_view_numel(&inner), even;
  size_t size = ms_dtype_size(x->dtype), bytes = (size_t)count * size;
  if (!rows || !n || !count) return 0;
  const char *from = x->data;
  char *to = r->data;
  if (count == 1) {
    void (*pick)(const ms_view *, int64_t, const void *, int64_t, void *) = size == 8   ? pick_uint64_t
                                                                            : size == 4 ? pick_uint32_t
                                                                            : size == 2 ? pick_uint16_t
                                                                                        : pick_uint8_t;
    MS_PARALLEL(ms_team(rows * n * 2), o, rows,
                pick(index, n, from + (size_t)ms_offset(&outer, o) * size, step, to + (size_t)(o * n) * size););
  } else if (evenly(&inner, &even) && even == 1) {
    MS_PARALLEL(ms_team(rows * n * (int64_t)(bytes / 4 + 8)), k, rows * n, {
      int64_t o = k / n, i = index_value(index, (k - o * n) * index->stride[0]);
      memcpy(to + (size_t)k * bytes, from + (size_t)(ms_offset(&outer, o) + i * step) * size, bytes);
    });
  } else {
    ms_view slot = inner;
    for (int64_t s = 1, i = inner.rank - 1; i >= 0; i--) slot.stride[i] = s, s *= inner.shape[i];
    for (int64_t k = 0; k < rows * n; k++) {
      int64_t o = k / n, i = index_value(index, (k - o * n) * index->stride[0]);
      slot.data = to + (size_t)k * bytes;
      inner.data = (char *)x->data + (size_t)(ms_offset(&outer, o) + i * step) * size;
      move_view(&slot, &inner);
    }
  }
  return 0;
}
MS_KERNEL(index_select, .run = index_select_run);

/* ---- index_add: slices of src, each cut into parts along the elements after dim, so that threads add to different elements ----
 */

static bool adds(const ms_call *c) { return c->out[0].dtype != MS_F16 && c->out[0].dtype != MS_BF16; }

#define ADD_SLICES(T, W)                                                                                                           \
  static void add_slices_##T(T *to, int64_t count, const ms_view *index, int64_t n, const T *src, int64_t step,                    \
                             const ms_view *inner, int64_t lo, int64_t hi) {                                                       \
    int64_t even;                                                                                                                  \
    bool flat = evenly(inner, &even);                                                                                              \
    for (int64_t j = 0; j < n; j++) {                                                                                              \
      T *restrict r = to + index_value(index, j * index->stride[0]) * count;                                                       \
      const T *s = src + j * step;                                                                                                 \
      if (flat && even == 1)                                                                                                       \
        for (int64_t i = lo; i < hi; i++) r[i] = (T)((W)r[i] + (W)s[i]);                                                           \
      else if (flat)                                                                                                               \
        for (int64_t i = lo; i < hi; i++) r[i] = (T)((W)r[i] + (W)s[i * even]);                                                    \
      else                                                                                                                         \
        for (int64_t i = lo; i < hi; i++) r[i] = (T)((W)r[i] + (W)s[ms_offset(inner, i)]);                                         \
    }                                                                                                                              \
  }
ADD_SLICES(float, float)
ADD_SLICES(double, double)
ADD_SLICES(int64_t, uint64_t) /* whole numbers wrap */
ADD_SLICES(int32_t, uint32_t)
ADD_SLICES(uint8_t, uint8_t)

static int index_add_run(ms_call *c) {
  const ms_view *index = &c->in[1], *src = &c->in[2], *r = &c->out[0];
  int d = (int)c->attr[0].i;
  start_from(r, &c->in[0]);
  ms_view outer = before_dim(src, d), inner = after_dim(src, d);
  int64_t n = index->shape[0], rows = ms_view_numel(&outer), count = ms_view_numel(&inner), slice = r->shape[d] * count;
  if (!rows || !n || !count) return 0;
  int team = ms_team(rows * n * count);
  int64_t parts = rows >= team || count < 64 ? 1 : (team + rows - 1) / rows;
  int64_t part = (count + parts - 1) / parts;
  MS_PARALLEL(team, k, rows * parts, {
    int64_t o = k / parts, lo = (k - o * parts) * part, hi = lo + part < count ? lo + part : count;
    int64_t at = ms_offset(&outer, o), to = o * slice, step = src->stride[d];
    switch (r->dtype) {
    case MS_F32:
      add_slices_float((float *)r->data + to, count, index, n, (const float *)src->data + at, step, &inner, lo, hi);
      break;
    case MS_F64:
      add_slices_double((double *)r->data + to, count, index, n, (const double *)src->data + at, step, &inner, lo, hi);
      break;
    case MS_I64:
      add_slices_int64_t((int64_t *)r->data + to, count, index, n, (const int64_t *)src->data + at, step, &inner, lo, hi);
      break;
    case MS_I32:
      add_slices_int32_t((int32_t *)r->data + to, count, index, n, (const int32_t *)src->data + at, step, &inner, lo, hi);
      break;
    default: add_slices_uint8_t((uint8_t *)r->data + to, count, index, n, (const uint8_t *)src->data + at, step, &inner, lo, hi);
    }
  });
  return 0;
}
MS_KERNEL(index_add, .run = index_add_run, .supports = adds);

/* ---- gather, scatter_add: a nest of loops over index's shape. Three operands: the index; its partner, element by element (the
 * result of gather, the src of scatter_add); the table that positions point into (x of gather, the result of scatter_add). ---- */

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

#define NEST(name, T, STATEMENT)                                                                                                   \
  static void name##_##T(const nest *w, const int64_t *at, int64_t lo, int64_t hi, void *partner, void *table) {                   \
    for (int64_t j = 0; j < w->n; j++) {                                                                                           \
      int64_t a = at[INDEX] + j * w->n_step[INDEX];                                                                                \
      T *p = (T *)partner + at[PARTNER] + j * w->n_step[PARTNER], *t = (T *)table + at[TABLE];                                     \
      if (w->index->dtype == MS_I64 && w->m_step[INDEX] == 1 &&                                                                    \
          w->m_step[PARTNER] == 1) { /* the usual case, without the asking */                                                      \
        const int64_t *at_l = (const int64_t *)w->index->data + a;                                                                 \
        for (int64_t k = lo; k < hi; k++) {                                                                                        \
          int64_t i = k * w->m_step[TABLE] + (at_l[k] - MS_INDEX_BASE) * w->jump;                                                  \
          STATEMENT;                                                                                                               \
        }                                                                                                                          \
        continue;                                                                                                                  \
      }                                                                                                                            \
      for (int64_t l = lo; l < hi; l++) {                                                                                          \
        int64_t i = l * w->m_step[TABLE] + index_value(w->index, a + l * w->m_step[INDEX]) * w->jump;                              \
        int64_t k = l * w->m_step[PARTNER];                                                                                        \
        STATEMENT;                                                                                                                 \
      }                                                                                                                            \
    }                                                                                                                              \
  }
typedef void (*nest_fn)(const nest *w, const int64_t *at, int64_t lo, int64_t hi, void *partner, void *table);

NEST(take, uint8_t, p[k] = t[i])
NEST(take, uint16_t, p[k] = t[i])
NEST(take, uint32_t, p[k] = t[i])
NEST(take, uint64_t, p[k] = t[i])
NEST(add, float, t[i] += p[k])
NEST(add, double, t[i] += p[k])
NEST(add, int64_t, t[i] = (int64_t)((uint64_t)t[i] + (uint64_t)p[k]))
NEST(add, int32_t, t[i] = (int32_t)((uint32_t)t[i] + (uint32_t)p[k]))
NEST(add, uint8_t, t[i] = (uint8_t)(t[i] + p[k]))

/* Lines go to different elements of the table; where they are few, the last dimension is cut too (unless positions run along it).
 */
static void nest_run(const nest *w, nest_fn f, void *partner, void *table) {
  if (!w->lines || !w->n || !w->m) return;
  int team = ms_team(w->lines * w->n * w->m * 2);
  int64_t parts = w->lines >= team || w->last || w->m < 64 ? 1 : (team + w->lines - 1) / w->lines,
          part = (w->m + parts - 1) / parts;
  MS_PARALLEL(team, k, w->lines * parts, {
    int64_t line = k / parts, lo = (k - line * parts) * part, at[3];
    nest_at(w, line, at);
    f(w, at, lo, lo + part < w->m ? lo + part : w->m, partner, table);
  });
}

static int gather_run(ms_call *c) {
  const ms_view *x = &c->in[0], *r = &c->out[0];
  nest w = nest_of(&c->in[1], r, x, (int)c->attr[0].i);
  size_t size = ms_dtype_size(x->dtype);
  nest_run(&w, size == 8 ? take_uint64_t : size == 4 ? take_uint32_t : size == 2 ? take_uint16_t : take_uint8_t, r->data, x->data);
  return 0;
}
MS_KERNEL(gather, .run = gather_run);

static int scatter_add_run(ms_call *c) {
  static const nest_fn add[MS_DTYPES] = {
      [MS_F32] = add_float, [MS_F64] = add_double, [MS_I64] = add_int64_t, [MS_I32] = add_int32_t, [MS_U8] = add_uint8_t};
  const ms_view *src = &c->in[2], *r = &c->out[0];
  start_from(r, &c->in[0]);
  nest w = nest_of(&c->in[1], src, r, (int)c->attr[0].i);
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
