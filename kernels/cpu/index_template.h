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
