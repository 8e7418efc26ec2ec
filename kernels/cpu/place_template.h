/* place_template.h -- the loops of place.c. A template: the includer defines T and G(name) (the name for that type). Whole numbers
 * are unsigned here: what is only moved has the same bits, and sums wrap. */

static ALWAYS_INLINE void G(one)(T *table, T *partner, int what) {
  if (what == TAKE) *partner = *table;
  else if (what == PUT) *table = *partner;
  else *table = (T)(*table + *partner);
}

/* The slices of the positions from..to-1, of each the elements first..end-1. */
static ALWAYS_INLINE void G(slices)(const places *w, int64_t outer, int64_t from, int64_t to, int64_t first, int64_t end,
                                    int what) {
  T *table = (T *)w->table + grid_at(&w->outer[TABLE], outer), *partner = (T *)w->partner + grid_at(&w->outer[PARTNER], outer);
  const grid *in_table = &w->inner[TABLE], *in_partner = &w->inner[PARTNER];
  const int64_t t_step = in_table->step, p_step = in_partner->step;
  const bool even = in_table->even && in_partner->even;
  for (int64_t j = from; j < to; j++) {
    const int64_t position = ms_view_integer(w->index, grid_at(&w->at_index, j)) - MS_INDEX_BASE;
    T *t = table + grid_at(&w->middle[TABLE], position), *p = partner + grid_at(&w->middle[PARTNER], j);
    if (end - first == 1 && first == 0) G(one)(t, p, what);
    else if (even && t_step == 1 && p_step == 1)
      for (int64_t i = first; i < end; i++) G(one)(t + i, p + i, what);
    else if (even)
      for (int64_t i = first; i < end; i++) G(one)(t + i * t_step, p + i * p_step, what);
    else
      for (int64_t i = first; i < end; i++) G(one)(t + grid_at(in_table, i), p + grid_at(in_partner, i), what);
  }
}

static inline void G(take_slices)(const places *w, int64_t outer, int64_t from, int64_t to, int64_t first, int64_t end) {
  G(slices)(w, outer, from, to, first, end, TAKE);
}
static inline void G(put_slices)(const places *w, int64_t outer, int64_t from, int64_t to, int64_t first, int64_t end) {
  G(slices)(w, outer, from, to, first, end, PUT);
}
static inline void G(add_slices)(const places *w, int64_t outer, int64_t from, int64_t to, int64_t first, int64_t end) {
  G(slices)(w, outer, from, to, first, end, ADD);
}
