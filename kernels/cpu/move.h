/* move.h -- what the kernels share that move elements without looking at them: copies between strided views, by element size. */
#ifndef MS_MOVE_H
#define MS_MOVE_H
#include "walk.h"
#include <string.h>

#define MS_MOVE(T)                                                                                                                 \
  static inline void move_##T(int64_t n, char *const *p, const int64_t *s) {                                                       \
    T *to = (T *)p[0];                                                                                                             \
    const T *from = (const T *)p[1];                                                                                               \
    if (s[0] == 1 && s[1] == 1) memcpy(to, from, (size_t)n * sizeof(T));                                                           \
    else                                                                                                                           \
      for (int64_t i = 0; i < n; i++) to[i * s[0]] = from[i * s[1]];                                                               \
  }
MS_MOVE(uint8_t)
MS_MOVE(uint16_t)
MS_MOVE(uint32_t)
MS_MOVE(uint64_t)
#undef MS_MOVE

/* Copy the elements of `from` into `to`: same shape, same dtype, any strides. */
static inline void move_view(const ms_view *to, const ms_view *from) {
  walk w = {0};
  walk_add(&w, to, to);
  walk_add(&w, to, from);
  walk_merge(&w, to);
  size_t size = ms_dtype_size(to->dtype);
  walk_run(&w, size == 8 ? move_uint64_t : size == 4 ? move_uint32_t : size == 2 ? move_uint16_t : move_uint8_t, 1);
}

/* Element at offset `at` of an index tensor's memory, as a position from 0. */
static inline int64_t index_value(const ms_view *v, int64_t at) { return ms_view_integer(v, at) - MS_INDEX_BASE; }

#endif
