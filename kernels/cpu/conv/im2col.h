/* im2col.h -- convolution as a matrix product of weights and unfolded images: a template beside gemm.h (T, G). x, w, y are
 * contiguous. The rows of a group's matrix are (channel, kh, kw); its columns are output positions, a band of rows at a time so
 * that it stays in cache. */
#ifndef MS_IM2COL_SIZES
#define MS_IM2COL_SIZES
enum { COL_BAND = 1 << 15 }; /* about how many elements a band of columns holds */
static int64_t col_rows(const ms_conv *g) { return g->c / g->groups * g->kh * g->kw; }
static int64_t band_height(const ms_conv *g) {
  int64_t row = col_rows(g) * g->ow, n = row ? COL_BAND / row : g->oh;
  return n < 1 ? 1 : n > g->oh ? g->oh : n;
}
static int64_t col_elements(const ms_conv *g) { return (col_rows(g) * band_height(g) * g->ow + 15) / 16 * 16; }
#endif

/* x: the group's first channel of one image. Output rows y0 .. y1-1. forth: col = x unfolded; else x += col folded back. */
static void G(unfold)(const ms_conv *g, T *restrict x, T *restrict col, int64_t y0, int64_t y1, bool forth) {
  for (int64_t c = 0; c < g->c / g->groups; c++, x += g->h * g->w)
    for (int64_t a = 0; a < g->kh; a++)
      for (int64_t b = 0; b < g->kw; b++) {
        int64_t from, to, at = b * g->dilation[1] - g->pad[1], step = g->stride[1];
        inside(at, step, g->w, g->ow, &from, &to);
        for (int64_t y = y0; y < y1; y++, col += g->ow) {
          int64_t line = y * g->stride[0] + a * g->dilation[0] - g->pad[0];
          bool is = line >= 0 && line < g->h;
          if (!forth) {
            for (int64_t j = from; is && j < to; j++) x[line * g->w + j * step + at] += col[j];
            continue;
          }
          for (int64_t j = 0; j < (is ? from : g->ow); j++) col[j] = 0;
          for (int64_t j = from; is && j < to; j++) col[j] = x[line * g->w + j * step + at];
          for (int64_t j = to; is && j < g->ow; j++) col[j] = 0;
        }
      }
}

/* Image i, group k. Which of the three is written: g->result. For w the image's contribution is added. */
static void G(conv_image)(const ms_conv *g, int64_t i, int64_t k, T *x, T *w, T *y, const T *bias, T *col, T *room) {
  int64_t rows = col_rows(g), og = g->o / g->groups, plane = g->oh * g->ow, band = band_height(g);
  x += (i * g->c + k * (g->c / g->groups)) * g->h * g->w, y += (i * g->o + k * og) * plane, w += k * og * rows;
  if (g->result == MS_CONV_X) memset(x, 0, (size_t)(g->c / g->groups * g->h * g->w) * sizeof(T));
  for (int64_t y0 = 0; y0 < g->oh; y0 += band) {
    int64_t y1 = y0 + band < g->oh ? y0 + band : g->oh, n = (y1 - y0) * g->ow;
    if (g->result == MS_CONV_X)
      G(gemm)(false, false, GEMM_PASSING, GEMM_KC, rows, n, og, w, 1, rows, y + y0 * g->ow, plane, 1, col, n, room);
    G(unfold)(g, x, col, y0, y1, g->result != MS_CONV_X);
    if (g->result == MS_CONV_Y)
      G(gemm)(false, false, GEMM_PASSING, GEMM_KC, og, n, rows, w, rows, 1, col, n, 1, y + y0 * g->ow, plane, room);
    if (g->result == MS_CONV_W) {
      const bool dots = gemm_dots(og, rows, 1, 1);
      G(gemm)(true, dots, GEMM_PASSING, GEMM_KC, og, rows, n, y + y0 * g->ow, plane, 1, col, 1, n, w, rows, room);
    }
  }
  if (bias)
    for (int64_t o = 0; o < og; o++)
      for (int64_t j = 0; j < plane; j++) y[o * plane + j] += bias[k * og + o];
}
