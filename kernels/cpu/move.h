/* move.h -- what the kernels share that move elements without looking at them: copies between strided views, by element size. */
#ifndef MS_MOVE_H
#define MS_MOVE_H
#include "walk.h"
#include <string.h>

#define MOVE(name, T)                                                                                                              \
  static inline void name(int64_t n, char *const *p, const int64_t *s) {                                                           \
    T *to = (T *)p[0];                                                                                                             \
    const T *from = (const T *)p[1];                                                                                               \
    if (s[0] == 1 && s[1] == 1) memcpy(to, from, (size_t)n * sizeof(T));                                                           \
    else if (s[0] == 1 && s[1] == 0) {                                                                                             \
      const T v = *from;                                                                                                           \
      for (int64_t i = 0; i < n; i++) to[i] = v;                                                                                   \
    } else                                                                                                                         \
      for (int64_t i = 0; i < n; i++) to[i * s[0]] = from[i * s[1]];                                                               \
  }
MOVE(move_1, uint8_t)
MOVE(move_2, uint16_t)
MOVE(move_4, uint32_t)
MOVE(move_8, uint64_t)
#undef MOVE

/* The inner loop that copies elements of the dtype. */
static inline walk_inner move_loop(int dtype) {
  const size_t size = ms_dtype_size((ms_dtype)dtype);
  return size == 8 ? move_8 : size == 4 ? move_4 : size == 2 ? move_2 : move_1;
}

/* A walk over the elements of two views of the same shape. */
static inline walk walk_two(const ms_view *to, const ms_view *from) {
  walk w = {0};
  walk_add(&w, to, to);
  walk_add(&w, to, from);
  walk_merge(&w, to);
  return w;
}

/* Copy the elements of `from` into `to`: same shape, same dtype, any strides. */
static inline void move_view(const ms_view *to, const ms_view *from) {
  const walk w = walk_two(to, from);
  walk_run(&w, move_loop(to->dtype), 1);
}

/* Element at offset `at` of an index tensor's memory, as a position from 0. */
static inline int64_t index_value(const ms_view *v, int64_t at) { return ms_view_integer(v, at) - MS_INDEX_BASE; }

#endif
