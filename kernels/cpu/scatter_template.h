/* scatter_template.h -- the loops of scatter.c. A template: the includer defines T and G(name) (the name for that type). */

/* One element: out of the table, or into it. */
WRAPS static ALWAYS_INLINE void G(exchange)(T *table, T *partner, int what) {
  const T a = *table, b = *partner;
  switch (what) {
  case TAKE: *partner = a; break;
  case PUT: *table = b; break;
  case ADD: *table = (T)(a + b); break;
  case MULTIPLY: *table = (T)(a * b); break;
  case LARGER: *table = b > a || b != b ? b : a; break; /* what is no number stays */
  default: *table = b < a || b != b ? b : a;
  }
}

/* Elements first .. end-1 of the inner loop, for all n positions along dim; at: where the three operands begin. */
WRAPS static ALWAYS_INLINE void G(nest)(const nest *w, const int64_t *at, int64_t first, int64_t end, void *partner, void *table,
                                        int what) {
  for (int64_t j = 0; j < w->n; j++) {
    const int64_t index_at = at[INDEX] + j * w->n_step[INDEX];
    T *p = (T *)partner + at[PARTNER] + j * w->n_step[PARTNER], *t = (T *)table + at[TABLE];
    if (w->index->dtype == MS_I64 && w->m_step[INDEX] == 1 && w->m_step[PARTNER] == 1) { /* the usual case in a loop of its own */
      const int64_t *position = (const int64_t *)w->index->data + index_at;
      for (int64_t k = first; k < end; k++)
        G(exchange)(t + k * w->m_step[TABLE] + (position[k] - MS_INDEX_BASE) * w->jump, p + k, what);
      continue;
    }
    for (int64_t k = first; k < end; k++) {
      const int64_t position = index_value(w->index, index_at + k * w->m_step[INDEX]);
      G(exchange)(t + k * w->m_step[TABLE] + position * w->jump, p + k * w->m_step[PARTNER], what);
    }
  }
}

#define LOOP(name, what)                                                                                                           \
  WRAPS static inline void G(name)(const nest *w, const int64_t *at, int64_t first, int64_t end, void *partner, void *table) {     \
    G(nest)(w, at, first, end, partner, table, what);                                                                              \
  }
#ifdef MOVES
LOOP(take, TAKE)
LOOP(put, PUT)
#else
LOOP(add, ADD)
LOOP(multiply, MULTIPLY)
LOOP(larger, LARGER)
LOOP(smaller, SMALLER)
#endif
#undef LOOP
