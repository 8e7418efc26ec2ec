/* pool_template.h -- the loops of pool.c. A template: the includer defines T (float, double) and G(name) (the name for that type),
 * and what is shared by all types. Functions named _row make a row of one plane, those named _pixels a row of an image that lies
 * channels last, those named _any either, of windows that have sizes or divisors of their own. */

/* ---- averages: padding counts as zeros ----------------------------------------------------------------------------------- */

/* r += the elements of `row` (a row of the plane) that are in column kw of the windows. */
static inline void G(add_column)(const pool *p, const T *row, int64_t kw, T *restrict r) {
  const int64_t shift = kw - p->padding[1];
  int64_t first, end;
  windows_inside(p, kw, &first, &end);
  if (p->w_stride == 1 && p->stride[1] == 1)
    for (int64_t i = first; i < end; i++) r[i] += row[i + shift];
  else if (p->w_stride == 1 && p->stride[1] == 2)
    for (int64_t i = first; i < end; i++) r[i] += row[2 * i + shift];
  else
    for (int64_t i = first; i < end; i++) r[i] += row[(i * p->stride[1] + shift) * p->w_stride];
}

/* Row oh of the means of plane x. */
static void G(avg_row)(const pool *p, const void *from, int64_t oh, void *to, int64_t *none) {
  const T *x = from;
  T *restrict r = to;
  const int64_t top = oh * p->stride[0] - p->padding[0];
  const T count = (T)common_divisor(p);
  (void)none;
  if (windows_2x2_adjacent(p)) {
    const T *a = x + top * p->h_stride, *b = a + p->h_stride, part = 1 / count;
    for (int64_t i = 0; i < p->ow; i++) r[i] = (((a[2 * i] + a[2 * i + 1]) + b[2 * i]) + b[2 * i + 1]) * part;
    return;
  }
  for (int64_t i = 0; i < p->ow; i++) r[i] = 0;
  for (int64_t kh = 0; kh < p->size[0]; kh++) {
    if (top + kh < 0 || top + kh >= p->h) continue;
    for (int64_t kw = 0; kw < p->size[1]; kw++) G(add_column)(p, x + (top + kh) * p->h_stride, kw, r);
  }
  for (int64_t i = 0; i < p->ow; i++) r[i] /= count;
}

/* The adjoint of add_column: `row` is one of gradients; each is added to the element that is in column kw of its window. */
static inline void G(add_to_column)(const pool *p, const T *row, int64_t kw, T *restrict r) {
  const int64_t shift = kw - p->padding[1];
  int64_t first, end;
  windows_inside(p, kw, &first, &end);
  if (p->w_stride == 1 && p->stride[1] == 1)
    for (int64_t i = first; i < end; i++) r[i + shift] += row[i];
  else
    for (int64_t i = first; i < end; i++) r[i * p->stride[1] + shift] += row[i * p->w_stride];
}

/* Row h of the input gradient of a plane, out of plane g of the gradients. */
static void G(avg_grad_row)(const pool *p, const void *from, int64_t h, void *to, int64_t *none) {
  const T *g = from, count = (T)common_divisor(p), part = 1 / count;
  T *restrict r = to;
  (void)none;
  for (int64_t i = 0; i < p->w; i++) r[i] = 0;
  for (int64_t kh = 0; kh < p->size[0]; kh++) {
    const int64_t top = h + p->padding[0] - kh, oh = top / p->stride[0]; /* is h row kh of a window, then of window oh */
    if (top < 0 || top % p->stride[0] || oh >= p->oh) continue;
    const T *row = g + oh * p->h_stride;
    if (windows_2x2_adjacent(p)) {
      for (int64_t i = 0; i < p->ow; i++) r[2 * i] = r[2 * i + 1] = row[i] * part;
      return;
    }
    for (int64_t kw = 0; kw < p->size[1]; kw++) G(add_to_column)(p, row, kw, r);
  }
  for (int64_t i = 0; i < p->w; i++) r[i] /= count;
}

/* r = (first) or += pixel x. */
static void G(add_pixel)(const T *restrict x, T *restrict r, int64_t channels, bool first) {
  if (first)
    for (int64_t c = 0; c < channels; c++) r[c] = x[c];
  else
    for (int64_t c = 0; c < channels; c++) r[c] += x[c];
}

static void G(scale)(T *r, int64_t n, T by) {
  for (int64_t i = 0; i < n; i++) r[i] *= by;
}

/* Row oh of the means of image x. */
static void G(avg_pixels)(const pool *p, const void *from, int64_t oh, void *to, int64_t *none) {
  const T *x = from;
  T *restrict r = to;
  (void)none;
  const int64_t top = oh * p->stride[0] - p->padding[0], channels = p->channels;
  for (int64_t i = 0; i < p->ow; i++) {
    const int64_t left = i * p->stride[1] - p->padding[1];
    bool first = true;
    for (int64_t h = max_i64(top, 0); h < top + p->size[0] && h < p->h; h++)
      for (int64_t w = left; w < left + p->size[1]; w++)
        if (w >= 0 && w < p->w) G(add_pixel)(x + (h * p->w + w) * channels, r + i * channels, channels, first), first = false;
    for (int64_t c = 0; c < channels && first; c++) r[i * channels + c] = 0;
  }
  G(scale)(r, p->ow * channels, 1 / (T)common_divisor(p));
}

/* Row h of the input gradient of an image, out of image g of the gradients. */
static void G(avg_grad_pixels)(const pool *p, const void *from, int64_t h, void *to, int64_t *none) {
  const T *g = from;
  T *restrict r = to;
  (void)none;
  const int64_t channels = p->channels;
  int64_t first_oh, last_oh, first_ow, last_ow; /* the windows that hold a pixel */
  windows_over(h, p->size[0], p->stride[0], p->padding[0], p->oh, &first_oh, &last_oh);
  for (int64_t i = 0; i < p->w; i++) {
    bool first = true;
    windows_over(i, p->size[1], p->stride[1], p->padding[1], p->ow, &first_ow, &last_ow);
    for (int64_t oh = first_oh; oh <= last_oh; oh++)
      for (int64_t ow = first_ow; ow <= last_ow; ow++)
        G(add_pixel)(g + (oh * p->ow + ow) * channels, r + i * channels, channels, first), first = false;
    for (int64_t c = 0; c < channels && first; c++) r[i * channels + c] = 0;
  }
  G(scale)(r, p->w * channels, 1 / (T)common_divisor(p));
}

/* Row oh of the means of plane or image x, each window with its own divisor. */
static void G(avg_any)(const pool *p, const void *from, int64_t oh, void *to, int64_t *none) {
  const T *x = from;
  T *restrict r = to;
  int64_t top, bottom, left, right;
  (void)none;
  window_at(p, 0, oh, &top, &bottom);
  for (int64_t i = 0; i < p->ow; i++, r += p->run) {
    window_at(p, 1, i, &left, &right);
    for (int64_t c = 0; c < p->run; c++) r[c] = 0;
    for (int64_t h = top; h < bottom; h++)
      for (int64_t w = left; w < right; w++) G(add_pixel)(x + h * p->h_stride + w * p->w_stride, r, p->run, false);
    const T count = (T)divisor_of(p, oh, i);
    for (int64_t c = 0; c < p->run; c++) r[c] /= count;
  }
}

/* Row h of its adjoint, out of plane or image g of the gradients. */
static void G(avg_grad_any)(const pool *p, const void *from, int64_t h, void *to, int64_t *none) {
  const T *g = from;
  T *restrict r = to;
  int64_t top, bottom, left, right;
  (void)none;
  windows_holding(p, 0, h, &top, &bottom);
  for (int64_t i = 0; i < p->w; i++, r += p->run) {
    windows_holding(p, 1, i, &left, &right);
    for (int64_t c = 0; c < p->run; c++) r[c] = 0;
    for (int64_t oh = top; oh <= bottom; oh++)
      for (int64_t ow = left; ow <= right; ow++) {
        const T *restrict v = g + oh * p->h_stride + ow * p->w_stride, count = (T)divisor_of(p, oh, ow);
        for (int64_t c = 0; c < p->run; c++) r[c] += v[c] / count;
      }
  }
}

/* ---- maxima: NaN wins, of equals the first ------------------------------------------------------------------------------- */

/* The maximum so far, *max, came from tap *from. Element v of a later tap takes its place if it is larger, or NaN. */
static inline void G(take_larger)(T v, int32_t tap, T *max, int32_t *from) {
  T m = *max;
  int32_t t = *from;
  t = v > m ? tap : t, m = v > m ? v : m;
  *from = v != v ? tap : t, *max = v != v ? v : m;
}

/* The same for n maxima, whose elements lie `step` apart. */
static inline void G(take_larger_of_row)(int64_t n, const T *v, int64_t step, int32_t tap, T *restrict max,
                                         int32_t *restrict from) {
  for (int64_t i = 0; i < n; i++) G(take_larger)(v[i * step], tap, &max[i], &from[i]);
}

/* n maxima of windows 2 x 2 whose elements lie side by side (a[0], a[right], b[0], b[right] are a window's), windows `step` apart;
 * and where in the plane they are, counted from the window's corner: `below` is one row down. */
static inline void G(max_2x2)(int64_t n, const T *a, const T *b, int64_t right, int64_t step, int32_t below, int64_t corner,
                              int64_t corner_step, T *restrict r, int64_t *restrict position) {
  for (int64_t i = 0; i < n; i++) {
    T max = a[i * step];
    int32_t from = 0;
    G(take_larger)(a[i * step + right], 1, &max, &from);
    G(take_larger)(b[i * step], below, &max, &from);
    G(take_larger)(b[i * step + right], below + 1, &max, &from);
    r[i] = max;
    position[i] = corner + i * corner_step + from;
  }
}

/* Row oh of the maxima of plane x, MAX_BLOCK at a time, and their positions. */
static void G(max_row)(const pool *p, const void *source, int64_t oh, void *to, int64_t *restrict position) {
  const T *x = source;
  T *restrict r = to;
  const int64_t top = oh * p->stride[0] - p->padding[0], step = p->stride[1];
  if (windows_2x2_adjacent(p)) {
    const T *a = x + top * p->h_stride;
    G(max_2x2)(p->ow, a, a + p->h_stride, 1, 2, (int32_t)p->w, top * p->w + MS_INDEX_BASE, 2, r, position);
    return;
  }
  for (int64_t block = 0; block < p->ow; block += MAX_BLOCK) {
    const int64_t n = min_i64(p->ow - block, MAX_BLOCK), left = block * step - p->padding[1];
    T max[MAX_BLOCK];
    int32_t from[MAX_BLOCK];
    for (int64_t i = 0; i < n; i++) max[i] = (T)-INFINITY, from[i] = first_tap(p, top, left + i * step);
    for (int64_t kh = 0; kh < p->size[0]; kh++) {
      const int64_t below = kh * p->apart[0];
      if (top + below < 0 || top + below >= p->h) continue;
      for (int64_t kw = 0; kw < p->size[1]; kw++) {
        const int64_t beside = kw * p->apart[1];
        const int32_t tap = (int32_t)(below * p->w + beside);
        int64_t first, end;
        windows_inside(p, kw, &first, &end);
        first = max_i64(first - block, 0), end = min_i64(end - block, n);
        const T *row = x + (top + below) * p->h_stride + (left + beside + first * step) * p->w_stride;
        if (p->w_stride == 1 && step == 2) G(take_larger_of_row)(end - first, row, 2, tap, max + first, from + first);
        else G(take_larger_of_row)(end - first, row, step * p->w_stride, tap, max + first, from + first);
      }
    }
    for (int64_t i = 0; i < n; i++) {
      r[block + i] = max[i];
      position[block + i] = top * p->w + left + MS_INDEX_BASE + i * step + from[i];
    }
  }
}

/* The maxima of n elements side by side of the window whose corner is (top, left), and their positions. x: the first of them in
 * pixel (0, 0). Of the window's rows those from h on, before h_end, count, and of its columns those from w on, before w_end. */
static inline void G(max_pixel)(const pool *p, const T *x, int64_t n, int64_t top, int64_t left, int64_t h, int64_t h_end,
                                int64_t w, int64_t w_end, T *restrict max, int64_t *restrict position) {
  const int32_t first = (int32_t)((h - top) * p->w + w - left);
  int32_t from[MAX_BLOCK];
  for (int64_t c = 0; c < n; c++) max[c] = (T)-INFINITY, from[c] = first;
  for (; h < h_end; h += p->apart[0])
    for (int64_t at = w; at < w_end; at += p->apart[1]) {
      const int32_t tap = (int32_t)((h - top) * p->w + at - left);
      G(take_larger_of_row)(n, x + h * p->h_stride + at * p->w_stride, 1, tap, max, from);
    }
  for (int64_t c = 0; c < n; c++) position[c] = top * p->w + left + MS_INDEX_BASE + from[c];
}

/* Row oh of the maxima of image x, MAX_BLOCK channels at a time, and their positions. */
static void G(max_pixels)(const pool *p, const void *source, int64_t oh, void *to, int64_t *restrict position) {
  const T *x = source;
  T *restrict r = to;
  const int64_t top = oh * p->stride[0] - p->padding[0], channels = p->channels;
  const int64_t h = top < 0 ? top + round_up(-top, p->apart[0]) : top;
  const int64_t h_end = min_i64(top + (p->size[0] - 1) * p->apart[0] + 1, p->h);
  const bool common = windows_2x2(p);
  for (int64_t i = 0; i < p->ow; i++, r += channels, position += channels) {
    const int64_t left = i * p->stride[1] - p->padding[1];
    if (common) {
      const T *a = x + (top * p->w + left) * channels;
      G(max_2x2)(channels, a, a + p->w * channels, channels, 1, (int32_t)p->w, top * p->w + left + MS_INDEX_BASE, 0, r, position);
      continue;
    }
    const int64_t w = left < 0 ? left + round_up(-left, p->apart[1]) : left;
    const int64_t w_end = min_i64(left + (p->size[1] - 1) * p->apart[1] + 1, p->w);
    for (int64_t c = 0; c < channels; c += MAX_BLOCK)
      G(max_pixel)(p, x + c, min_i64(channels - c, MAX_BLOCK), top, left, h, h_end, w, w_end, r + c, position + c);
  }
}

/* Row oh of the maxima of plane or image x, windows of their own sizes. */
static void G(max_any)(const pool *p, const void *source, int64_t oh, void *to, int64_t *restrict position) {
  const T *x = source;
  T *restrict r = to;
  int64_t top, bottom, left, right;
  window_at(p, 0, oh, &top, &bottom);
  for (int64_t i = 0; i < p->ow; i++, r += p->run, position += p->run) {
    window_at(p, 1, i, &left, &right);
    for (int64_t c = 0; c < p->run; c += MAX_BLOCK)
      G(max_pixel)(p, x + c, min_i64(p->run - c, MAX_BLOCK), top, left, top, bottom, left, right, r + c, position + c);
  }
}

/* Gradients g of maxima, `run` side by side, are added up at their positions `at` in r, whose pixels lie p->step apart. */
static void G(put_maxima)(const places *p, const void *from, const int64_t *at, void *to) {
  const T *g = from;
  T *r = to;
  if (p->run == 1 && p->step == 1) { /* a plane */
    memset(r, 0, (size_t)p->pixels * sizeof *r);
    for (int64_t h = 0; h < p->oh; h++) {
      const T *v = g + h * p->h_stride;
      const int64_t *a = at + h * p->at_h;
      if (p->w_stride == 1 && p->at_w == 1)
        for (int64_t w = 0; w < p->ow; w++) r[a[w] - MS_INDEX_BASE] += v[w];
      else
        for (int64_t w = 0; w < p->ow; w++) r[a[w * p->at_w] - MS_INDEX_BASE] += v[w * p->w_stride];
    }
    return;
  }
  for (int64_t i = 0; i < p->pixels; i++)
    for (int64_t c = 0; c < p->run; c++) r[i * p->step + c] = 0;
  for (int64_t h = 0; h < p->oh; h++)
    for (int64_t w = 0; w < p->ow; w++) {
      const T *v = g + h * p->h_stride + w * p->w_stride;
      const int64_t *a = at + h * p->at_h + w * p->at_w;
      for (int64_t c = 0; c < p->run; c++) r[(a[c] - MS_INDEX_BASE) * p->step + c] += v[c];
    }
}

/* Elements of x, a plane or an image with any strides, at their positions: the adjoint. */
static void G(pick_maxima)(const places *p, const void *from, const int64_t *at, void *to) {
  const T *x = from;
  T *restrict r = to;
  if (p->run == 1 && p->step == 1 && p->h_stride == p->w * p->w_stride) { /* a plane whose rows follow one another */
    for (int64_t h = 0; h < p->oh; h++)
      for (int64_t w = 0; w < p->ow; w++) r[h * p->ow + w] = x[(at[h * p->at_h + w * p->at_w] - MS_INDEX_BASE) * p->w_stride];
    return;
  }
  for (int64_t h = 0; h < p->oh; h++)
    for (int64_t w = 0; w < p->ow; w++) {
      const int64_t *a = at + h * p->at_h + w * p->at_w;
      T *row = r + (h * p->ow + w) * p->step;
      for (int64_t c = 0; c < p->run; c++) {
        const int64_t k = a[c] - MS_INDEX_BASE, i = k / p->w;
        row[c] = x[i * p->h_stride + (k - i * p->w) * p->w_stride + c];
      }
    }
}
