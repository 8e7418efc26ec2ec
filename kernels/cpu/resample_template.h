/* resample_template.h -- the loops of resample.c. A template: the includer defines T (float, double) and G(name) (the name for that
 * type), and what is shared by all types. Functions named _row and _plane work on the planes of channels, those named _pixels and
 * _image on images that lie channels last. `line` is memory for a row of intermediate sums. */

/* ---- planes -------------------------------------------------------------------------------------------------------------- */

/* out = the sum of n rows, 1 to 4, each times its weight. */
static inline void G(mix)(int n, const T *const *row, const T *weight, int64_t size, T *restrict out) {
  if (n == 1)
    for (int64_t i = 0; i < size; i++) out[i] = weight[0] * row[0][i];
  else if (n == 2)
    for (int64_t i = 0; i < size; i++) out[i] = weight[0] * row[0][i] + weight[1] * row[1][i];
  else if (n == 3)
    for (int64_t i = 0; i < size; i++) out[i] = weight[0] * row[0][i] + weight[1] * row[1][i] + weight[2] * row[2][i];
  else
    for (int64_t i = 0; i < size; i++)
      out[i] = (weight[0] * row[0][i] + weight[1] * row[1][i]) + (weight[2] * row[2][i] + weight[3] * row[3][i]);
}

/* The same where the elements of a row lie `step` apart. */
static void G(mix_rows)(int n, const T *const *row, const T *weight, int64_t step, int64_t size, T *restrict out) {
  if (step == 1) {
    G(mix)(n, row, weight, size, out);
    return;
  }
  for (int64_t i = 0; i < size; i++) {
    T v = weight[0] * row[0][i * step];
    for (int k = 1; k < n; k++) v += weight[k] * row[k][i * step];
    out[i] = v;
  }
}

/* Row o of the resampled plane x, mode nearest. */
static void G(nearest_row)(const resampling *p, const T *x, int64_t o, T *restrict r) {
  const T *row = x + p->rows.at[0][o] * p->in->stride[2];
  const int32_t *at = p->columns.at[0];
  const int64_t step = p->in->stride[3];
  if (p->doubled && step == 1)
    for (int64_t i = 0; i < p->w; i++) r[2 * i] = r[2 * i + 1] = row[i];
  else
    for (int64_t i = 0; i < p->ow; i++) r[i] = row[at[i] * step];
}

/* A row of w elements to one of 2 w, mode bilinear: each result is 3/4 of the nearer element and 1/4 of the farther. */
static void G(double_row)(const T *row, int64_t w, T *restrict r) {
  r[0] = row[0], r[2 * w - 1] = row[w - 1];
  for (int64_t i = 0; i < w - 1; i++) {
    T a = row[i], b = row[i + 1];
    r[2 * i + 1] = (T)0.75 * a + (T)0.25 * b;
    r[2 * i + 2] = (T)0.25 * a + (T)0.75 * b;
  }
}

/* r = the elements of `row`, mixed as the axis says: n is 2 or 4. */
static void G(mix_columns)(const axis *a, int n, const T *row, int64_t size, T *restrict r) {
  const T *w0 = a->weight[0], *w1 = a->weight[1], *w2 = a->weight[2], *w3 = a->weight[3];
  const int32_t *a0 = a->at[0], *a1 = a->at[1], *a2 = a->at[2], *a3 = a->at[3];
  if (n == 2)
    for (int64_t i = 0; i < size; i++) r[i] = w0[i] * row[a0[i]] + w1[i] * row[a1[i]];
  else
    for (int64_t i = 0; i < size; i++) r[i] = (w0[i] * row[a0[i]] + w1[i] * row[a1[i]]) + (w2[i] * row[a2[i]] + w3[i] * row[a3[i]]);
}

/* Row o of the resampled plane x. */
static void G(resample_row)(const resampling *p, const T *x, int64_t o, T *restrict line, T *restrict r) {
  if (p->mode == NEAREST) {
    G(nearest_row)(p, x, o, r);
    return;
  }
  const T *row[TAPS];
  T weight[TAPS];
  for (int k = 0; k < p->taps; k++) {
    row[k] = x + p->rows.at[k][o] * p->in->stride[2];
    weight[k] = ((const T *)p->rows.weight[k])[o];
  }
  G(mix_rows)(p->taps, row, weight, p->in->stride[3], p->w, line);
  if (p->doubled) G(double_row)(line, p->w, r);
  else G(mix_columns)(&p->columns, p->taps, line, p->ow, r);
}

/* Along a dimension that is doubled, to n results: which results element i has a part in, and with which weights. g: result 0 (a
 * row, or a pixel); they lie `step` apart. Gives how many there are. */
static inline int G(readers)(const resampling *p, int64_t i, int64_t n, const T *g, int64_t step, const T **at, T *weight) {
  int found = 0;
  bool linear = p->mode == BILINEAR;
  for (int64_t o = 2 * i - linear; o <= 2 * i + 1 + linear; o++) {
    if (o < 0 || o >= n) continue;
    at[found] = g + o * step;
    weight[found++] = !linear || o == 0 || o == n - 1 ? 1 : o == 2 * i || o == 2 * i + 1 ? (T)0.75 : (T)0.25;
  }
  return found;
}

/* The adjoint of double_row: a row of 2 w gradients to one of w. */
static void G(double_row_grad)(const T *g, int64_t w, T *restrict r) {
  if (w == 1) {
    r[0] = g[0] + g[1];
    return;
  }
  r[0] = g[0] + (T)0.75 * g[1] + (T)0.25 * g[2];
  for (int64_t j = 1; j < w - 1; j++) r[j] = (T)0.75 * (g[2 * j] + g[2 * j + 1]) + (T)0.25 * (g[2 * j - 1] + g[2 * j + 2]);
  r[w - 1] = (T)0.25 * g[2 * w - 3] + (T)0.75 * g[2 * w - 2] + g[2 * w - 1];
}

/* Row i of the adjoint, both dimensions doubled, out of plane g of the gradients. */
static void G(doubled_grad_row)(const resampling *p, const T *g, int64_t i, T *restrict line, T *restrict r) {
  const T *row[TAPS];
  T weight[TAPS];
  int n = G(readers)(p, i, p->oh, g, p->in->stride[2], row, weight);
  G(mix_rows)(n, row, weight, p->in->stride[3], p->ow, line);
  if (p->mode == BILINEAR) G(double_row_grad)(line, p->w, r);
  else
    for (int64_t j = 0; j < p->w; j++) r[j] = line[2 * j] + line[2 * j + 1];
}

/* A plane of the adjoint: each row of g is added to the columns it was made of, in `line`, and that to the rows. */
static void G(grad_plane)(const resampling *p, const T *g, T *restrict line, T *restrict r) {
  const int64_t step = p->in->stride[3], w = p->w;
  for (int64_t i = 0; i < p->h * w; i++) r[i] = 0;
  for (int64_t o = 0; o < p->oh; o++) {
    const T *row = g + o * p->in->stride[2];
    for (int64_t i = 0; i < w; i++) line[i] = 0;
    for (int64_t i = 0; i < p->ow; i++)
      for (int k = 0; k < p->taps; k++) line[p->columns.at[k][i]] += ((const T *)p->columns.weight[k])[i] * row[i * step];
    for (int k = 0; k < p->taps; k++) {
      T *to = r + p->rows.at[k][o] * w, weight = ((const T *)p->rows.weight[k])[o];
      for (int64_t i = 0; i < w; i++) to[i] += weight * line[i];
    }
  }
}

/* ---- channels last: a pixel is a run of channels, a row is w pixels ------------------------------------------------------ */

/* Row o of the resampled image x. */
static void G(resample_pixels)(const resampling *p, const T *x, int64_t o, T *restrict line, T *restrict r) {
  const int64_t channels = p->channels, size = p->w * channels;
  const T *from[TAPS] = {x};
  T weight[TAPS] = {1};
  for (int k = 0; k < p->taps; k++) {
    from[k] = x + p->rows.at[k][o] * size;
    weight[k] = ((const T *)p->rows.weight[k])[o];
  }
  const T *row = from[0];
  if (p->taps > 1) G(mix_rows)(p->taps, from, weight, 1, size, line), row = line;
  for (int64_t i = 0; i < p->ow; i++) {
    for (int k = 0; k < p->taps; k++) {
      from[k] = row + p->columns.at[k][i] * channels;
      weight[k] = ((const T *)p->columns.weight[k])[i];
    }
    G(mix)(p->taps, from, weight, channels, r + i * channels);
  }
}

/* Row i of the adjoint, both dimensions doubled, out of image g of the gradients. */
static void G(doubled_grad_pixels)(const resampling *p, const T *g, int64_t i, T *restrict line, T *restrict r) {
  const int64_t channels = p->channels, size = p->ow * channels;
  const T *from[TAPS];
  T weight[TAPS];
  int n = G(readers)(p, i, p->oh, g, size, from, weight);
  G(mix_rows)(n, from, weight, 1, size, line);
  for (int64_t j = 0; j < p->w; j++) {
    n = G(readers)(p, j, p->ow, line, channels, from, weight);
    G(mix)(n, from, weight, channels, r + j * channels);
  }
}

/* An image of the adjoint, as grad_plane. */
static void G(grad_image)(const resampling *p, const T *g, T *restrict line, T *restrict r) {
  const int64_t channels = p->channels, size = p->w * channels;
  for (int64_t i = 0; i < p->h * size; i++) r[i] = 0;
  for (int64_t o = 0; o < p->oh; o++) {
    for (int64_t i = 0; i < size; i++) line[i] = 0;
    for (int64_t i = 0; i < p->ow; i++)
      for (int k = 0; k < p->taps; k++) {
        const T *from = g + (o * p->ow + i) * channels, weight = ((const T *)p->columns.weight[k])[i];
        T *to = line + p->columns.at[k][i] * channels;
        for (int64_t j = 0; j < channels; j++) to[j] += weight * from[j];
      }
    for (int k = 0; k < p->taps; k++) {
      T *to = r + p->rows.at[k][o] * size, weight = ((const T *)p->rows.weight[k])[o];
      for (int64_t i = 0; i < size; i++) to[i] += weight * line[i];
    }
  }
}
