/* mat_walk.h -- read all that a MATLAB file holds, for test_mat.c and tests/fuzz/fuzz_mat.c. */
#ifndef MAT_WALK_H
#define MAT_WALK_H
#include "data/mat.h"
#include <stdlib.h>

/* Every value here and within, numbers to memory of exactly their size. Gives how many, or -1. */
static inline int mat_walk(ms_mat *f, uint64_t *bytes) {
  ms_mat_var v;
  int rc, n = 0;
  while ((rc = ms_mat_next(f, &v)) == 1) {
    n++;
    if (v.kind == MS_MAT_NUMBERS) {
      int64_t stride[MS_MAX_RANK], step = 1;
      for (int d = v.rank - 1; d >= 0; d--) stride[d] = step, step *= v.shape[d];
      if (v.rank < 2 || v.rank > MS_MAX_RANK || step != v.count) abort();
      if (ms_mat_allow(f)) return -1;
      const size_t size = (size_t)v.count * ms_dtype_size(v.dtype);
      void *out = malloc(size ? size : 1);
      if (!out) return -1;
      *bytes += size;
      rc = ms_mat_numbers(f, out, stride);
      free(out);
      if (rc) return -1;
    } else if (v.kind == MS_MAT_TEXT) {
      ms_mat_rows *t = ms_mat_text(f);
      if (!t) return -1;
      for (int64_t i = 1; i < t->rows; i++)
        if (t->end[i] < t->end[i - 1]) abort();
      ms_mat_rows_free(t);
    } else if (v.kind != MS_MAT_OTHER) {
      if (ms_mat_enter(f)) return -1;
      const int within = mat_walk(f, bytes);
      if (within < 0) return -1;
      n += within;
    }
  }
  return rc ? -1 : n;
}

#endif
