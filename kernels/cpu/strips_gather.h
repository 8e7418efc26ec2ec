/* strips_gather.h -- strips.c's copies of operands with any strides. A template: the includer defines T (an unsigned integer of the
 * element's size) and G(name) (the name for that type). */

/* Elements from .. from+n-1 of the space, side by side. `at` counts the position of the first one; from then on it is only moved
 * when a row ends. */
static void G(gather)(const program *g, const source *s, T *to, int64_t from, int64_t n) {
  const int inner = g->rank - 1;
  const int64_t row = g->shape[inner], step = s->stride[inner];
  int64_t at[MS_MAX_RANK], rest = from;
  const T *x = s->view->data;
  for (int d = inner; d >= 0; d--) at[d] = rest % g->shape[d], x += at[d] * s->stride[d], rest /= g->shape[d];
  while (n > 0) {
    const int64_t m = min_i64(row - at[inner], n);
    if (step == 0)
      for (int64_t k = 0; k < m; k++) to[k] = *x;
    else
      for (int64_t k = 0; k < m; k++) to[k] = x[k * step];
    to += m, n -= m, x -= at[inner] * step, at[inner] = 0;
    for (int d = inner - 1; d >= 0; d--) {
      x += s->stride[d];
      if (++at[d] < g->shape[d]) break;
      x -= g->shape[d] * s->stride[d], at[d] = 0;
    }
  }
}
