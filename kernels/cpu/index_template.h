/* index_template.h -- the loops of index.c. A template: the includer defines T and G(name) (the name for that type). Whole numbers
 * are unsigned here: what is only moved has the same bits, and sums wrap. */

/* to[j] = from[index[j] step]. */
static inline void G(pick)(const ms_view *index, int64_t n, const void *from, int64_t step, void *to) {
  for (int64_t j = 0; j < n; j++) ((T *)to)[j] = ((const T *)from)[index_value(index, j * index->stride[0]) * step];
}

/* Add slice j of src to slice index[j] of `to`, of each the elements first .. end-1. A slice of `to` has `count` elements,
 * contiguous; one of src has the layout `inner`, and they begin `step` apart. */
static inline void G(add_slices)(void *to, int64_t count, const ms_view *index, const void *src, int64_t step, const ms_view *inner,
                                 int64_t first, int64_t end) {
  int64_t distance;
  const bool even = evenly(inner, &distance);
  for (int64_t j = 0; j < index->shape[0]; j++) {
    T *restrict r = (T *)to + index_value(index, j * index->stride[0]) * count;
    const T *s = (const T *)src + j * step;
    if (even && distance == 1)
      for (int64_t i = first; i < end; i++) r[i] = (T)(r[i] + s[i]);
    else if (even)
      for (int64_t i = first; i < end; i++) r[i] = (T)(r[i] + s[i * distance]);
    else
      for (int64_t i = first; i < end; i++) r[i] = (T)(r[i] + s[ms_offset(inner, i)]);
  }
}

/* One element: into the table (adds), or out of it. */
static ALWAYS_INLINE void G(exchange)(T *table, T *partner, bool adds) {
  if (adds) *table = (T)(*table + *partner);
  else *partner = *table;
}

/* Elements first .. end-1 of the inner loop, for all n positions along dim; at: where the three operands begin. */
static ALWAYS_INLINE void G(nest)(const nest *w, const int64_t *at, int64_t first, int64_t end, void *partner, void *table,
                                  bool adds) {
  for (int64_t j = 0; j < w->n; j++) {
    const int64_t index_at = at[INDEX] + j * w->n_step[INDEX];
    T *p = (T *)partner + at[PARTNER] + j * w->n_step[PARTNER], *t = (T *)table + at[TABLE];
    if (w->index->dtype == MS_I64 && w->m_step[INDEX] == 1 && w->m_step[PARTNER] == 1) { /* the usual case in a loop of its own */
      const int64_t *position = (const int64_t *)w->index->data + index_at;
      for (int64_t k = first; k < end; k++)
        G(exchange)(t + k * w->m_step[TABLE] + (position[k] - MS_INDEX_BASE) * w->jump, p + k, adds);
      continue;
    }
    for (int64_t k = first; k < end; k++) {
      const int64_t position = index_value(w->index, index_at + k * w->m_step[INDEX]);
      G(exchange)(t + k * w->m_step[TABLE] + position * w->jump, p + k * w->m_step[PARTNER], adds);
    }
  }
}
static inline void G(take)(const nest *w, const int64_t *at, int64_t first, int64_t end, void *partner, void *table) {
  G(nest)(w, at, first, end, partner, table, false);
}
static inline void G(add)(const nest *w, const int64_t *at, int64_t first, int64_t end, void *partner, void *table) {
  G(nest)(w, at, first, end, partner, table, true);
}
