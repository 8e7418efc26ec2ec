/* mask.c -- what masks do that moves elements only: writing a value where one is true, and finding out where that is. */
#include "grid.h"
#include "move.h"

#define FILL(name, T)                                                                                                              \
  static void name(int64_t n, char *const *p, const int64_t *s) {                                                                  \
    T *x = (T *)p[0];                                                                                                              \
    const uint8_t *mask = (const uint8_t *)p[1];                                                                                   \
    const T *value = (const T *)p[2];                                                                                              \
    for (int64_t i = 0; i < n; i++)                                                                                                \
      if (mask[i * s[1]]) x[i * s[0]] = value[i * s[2]];                                                                           \
  }
FILL(fill_1, uint8_t)
FILL(fill_2, uint16_t)
FILL(fill_4, uint32_t)
FILL(fill_8, uint64_t)
#undef FILL

static bool as_they_are(const ms_call *c) { return c->in[2].number || c->in[2].dtype == c->in[0].dtype; }

static int masked_fill__run(ms_call *c) {
  const ms_view *x = &c->in[0];
  const size_t size = ms_dtype_size(x->dtype);
  ms_view value = c->in[2];
  uint64_t number = 0;
  if (value.number) {
    if (ms_put_number(&number, x->dtype, *value.number) < 0) return -1;
    value.data = &number, value.dtype = x->dtype, value.rank = 0;
  }
  walk w = {0};
  walk_add(&w, x, x);
  walk_add(&w, x, &c->in[1]);
  walk_add(&w, x, &value);
  walk_merge(&w, x);
  walk_run(&w, size == 8 ? fill_8 : size == 4 ? fill_4 : size == 2 ? fill_2 : fill_1, 2);
  return 0;
}
MS_KERNEL(masked_fill_, .run = masked_fill__run, .supports = as_they_are);

/* How many bytes at p, of n, are 0 before the first that is not, in steps of 8. */
static inline int64_t zeros(const uint8_t *p, int64_t n) {
  int64_t k = 0;
  for (uint64_t eight; k + 8 <= n && (memcpy(&eight, p + k, 8), !eight);) k += 8;
  return k;
}

static int true_positions_run(ms_call *c) {
  const ms_view *mask = &c->in[0], *r = &c->out[0];
  const grid g = grid_of(mask, 0, mask->rank);
  const bool flat = c->attr[1].i, dense = g.even && g.step == 1;
  const uint8_t *m = mask->data;
  int64_t *to = r->data, found = 0;
  const int64_t count = r->shape[0];
  for (int64_t i = 0; i < g.n && found < count; i++) {
    if (dense) i += zeros(m + i, g.n - i);
    if (i >= g.n) break;
    if (!m[grid_at(&g, i)]) continue;
    if (flat) to[found++] = i + MS_INDEX_BASE;
    else {
      int64_t rest = i;
      for (int d = mask->rank - 1; d >= 0; d--)
        to[found * mask->rank + d] = rest % mask->shape[d] + MS_INDEX_BASE, rest /= mask->shape[d];
      found++;
    }
  }
  for (; found < count; found++) /* fewer than were asked for: the first position */
    for (int d = 0; d < (flat ? 1 : mask->rank); d++) to[found * (flat ? 1 : mask->rank) + d] = MS_INDEX_BASE;
  return 0;
}
MS_KERNEL(true_positions, .run = true_positions_run);
