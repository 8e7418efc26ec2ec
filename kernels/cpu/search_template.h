/* search_template.h -- comparisons of search.c. A template: the includer defines T and G(name) (the name for that type). */

/* NaN, which is not even equal to its copy, is the largest. */
static ALWAYS_INLINE bool G(less)(T v, T w) {
  const T same_v = v, same_w = w;
  return v < w || (w != same_w && v == same_v);
}

static int64_t G(search)(const void *sorted, int64_t n, int64_t step, const void *values, int64_t at, bool right) {
  const T *x = sorted, v = ((const T *)values)[at];
  int64_t first = 0;
  while (n > 0) {
    const int64_t half = n / 2;
    const T middle = x[(first + half) * step];
    if (right ? !G(less)(v, middle) : G(less)(middle, v)) first += half + 1, n -= half + 1;
    else n = half;
  }
  return first;
}

/* Rows a and b of x: below 0, 0, above 0. */
static int G(compare_rows)(const ms_view *x, int64_t a, int64_t b) {
  const T *p = (const T *)x->data + a * x->stride[0], *q = (const T *)x->data + b * x->stride[0];
  for (int64_t j = 0; j < x->shape[1]; j++) {
    const T v = p[j * x->stride[1]], w = q[j * x->stride[1]];
    if (G(less)(v, w)) return -1;
    if (G(less)(w, v)) return 1;
  }
  return 0;
}
