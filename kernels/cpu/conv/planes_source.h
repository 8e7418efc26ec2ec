/* planes_source.h -- the shifted copies of source planes that planes.c and planes_weights.c multiply (planes.h). */
#ifndef MS_CONV_PLANES_SOURCE_H
#define MS_CONV_PLANES_SOURCE_H
#include "planes.h"
#include <string.h>

/* What follows is read soon: the images lie one behind the other. */
static inline void copy_line(float *to, const float *from, int64_t n) {
  int64_t i = 0;
  for (; i + L <= n; i += L) {
    __builtin_prefetch(from + i + PREFETCH_FLOATS);
    *(vec *)(to + i) = *(const vec *)(from + i);
  }
  for (; i < n; i++) to[i] = from[i];
}

/* Rows of n floats. Where it may, a row is copied with more behind it, which the next one covers. */
static inline void copy_rows(float *to, int64_t to_step, const float *from, int64_t from_step, int64_t n, int64_t rows) {
  int64_t step = to_step < from_step ? to_step : from_step;
  for (int64_t t = 0; t < rows; t++, to += to_step, from += from_step) {
    if (n >= L) {
      for (int64_t i = 0; i + L < n; i += L) *(vec *)(to + i) = *(const vec *)(from + i);
      *(vec *)(to + n - L) = *(const vec *)(from + n - L);
    } else if ((rows - 1 - t) * step + n >= L) *(vec *)to = *(const vec *)from;
    else
      for (int64_t i = 0; i < n; i++) to[i] = from[i];
    __builtin_prefetch(from + PREFETCH_FLOATS);
    __builtin_prefetch(from + PREFETCH_FLOATS + L);
  }
}

/* Every second of w floats to a, the others to b, with zeros behind them to whole half vectors. readable: floats that may be read.
 * keep: which of the last L are among the w. */
static inline void split_row(float *a, float *b, const float *from, int64_t w, int64_t readable, const half_mask *keep) {
  int64_t i = 0;
  for (; i + 2 * L <= w && i + 2 * L <= readable; i += 2 * L) {
    __builtin_prefetch(from + i + PREFETCH_FLOATS);
    *(vec *)(a + i / 2) = even(from + i), *(vec *)(b + i / 2) = odd(from + i);
  }
  __builtin_prefetch(from + i + PREFETCH_FLOATS);
  for (; i < w && i + L <= readable; i += L) {
    half x = half_even(from + i), y = half_odd(from + i);
    if (i + L >= w) x = (half)((half_mask)x & keep[0]), y = (half)((half_mask)y & keep[1]);
    *(half *)(a + i / 2) = x, *(half *)(b + i / 2) = y;
  }
  for (; i < round_up(w, L); i++) (i % 2 ? b : a)[i / 2] = i < w ? from[i] : 0;
}

/* Rows t0 .. t1-1 of n, of w floats each, `line` apart, are there: zeros before, between and behind them. */
static inline void mend_rows(float *p, int64_t t0, int64_t t1, int64_t n, int64_t w, int64_t line, int64_t behind) {
  memset(p, 0, (size_t)(t0 * line) * 4);
  memset(p + t1 * line, 0, (size_t)((n - t1) * line + behind) * 4);
  for (int64_t i = w; i < line; i++)
    for (int64_t t = t0; t < t1; t++) p[t * line + i] = 0;
}

/* n rows from row `top` of a plane of h x w (zeros outside it), rows `line` apart, zeros between them and `behind` the last. */
static inline void fill_pitched(float *p, const float *x, int64_t h, int64_t w, int64_t top, int64_t n, int64_t line,
                                int64_t behind) {
  int64_t t0 = top < 0 ? -top : 0, t1 = h - top < n ? h - top : n;
  if (t0 > n) t0 = n;
  if (t1 < t0) t1 = t0;
  copy_rows(p + t0 * line, line, x + (top + t0) * w, w, w, t1 - t0);
  mend_rows(p, t0, t1, n, w, line, behind);
}

/* Pitched planes, cut in phases. */
static inline void fill_phases(const planes_plan *d, const float *image, int64_t y0, int64_t n, float *planes) {
  int64_t s = d->stride[0], w = d->in_w, step = d->row_phases * d->plane; /* from a phase of columns to the next */
  int64_t done = d->copies == 2 ? round_up(w, L) / 2 : 0;                 /* columns that part fills */
  for (int64_t f = 0; f < d->row_phases; f++) {
    int64_t top = y0 * s + f + d->first_shift, t0, t1;
    inside(top, s, d->in_h, n, &t0, &t1);
    for (int64_t c = 0; c < d->in_channels; c++) {
      const float *x = image + c * d->in_h * w;
      int64_t room = (d->in_channels - c) * d->in_h * w;
      float *p = planes + c * d->copies * step + f * d->plane, *to = p + d->zeros_before;
      if (d->copies == 1 && t1 > t0) copy_rows(to + t0 * d->pitch, d->pitch, x + (top + t0 * s) * w, s * w, w, t1 - t0);
      for (int64_t t = t0; t < t1 && d->copies == 2; t++) {
        int64_t at = (top + t * s) * w;
        split_row(to + t * d->pitch, to + step + t * d->pitch, x + at, w, room - at, d->row_end);
      }
      for (int64_t q = 0; q < d->copies; q++) {
        int64_t width = phase_width(d, q);
        for (int64_t i = 0; i < d->zeros_before; i++) p[q * step + i] = 0;
        mend_rows(to + q * step, t0, t1, n, done > width ? done : width, d->pitch, d->zeros_behind);
      }
    }
  }
}

/* Floats from..to-1 of a row of the copy for a kernel column that reads the source from `x` on, `step` apart; `readable` floats may
 * be read there. */
static inline void copy_columns(float *restrict row, const float *restrict x, int64_t from, int64_t to, int64_t step,
                                int64_t readable) {
  int64_t i = from;
  if (step == 1) return copy_line(row + from, x + from, to - from);
  if (step == 2)
    for (; i < to && 2 * (i + L) <= readable; i += L) *(vec *)(row + i) = even(x + 2 * i);
  for (; i < to; i++) row[i] = x[step * i];
}

/* One plane of n rows: of a channel of h x w, rows top, top + stride, ... and the columns that a kernel column at `shift` reads.
 * readable: floats from the channel's first on. */
static inline void fill_shifted(const planes_plan *d, const float *channel, int64_t top, int64_t n, int64_t shift, int64_t readable,
                                float *p) {
  const int64_t cols = d->cols, w = d->in_w, line = d->stride[0] * w, step = d->stride[1];
  int64_t t0, t1, from, to;
  inside(top, d->stride[0], d->in_h, n, &t0, &t1);
  inside(shift, step, w, cols, &from, &to);
  if (t0 == t1) t0 = t1 = n;
  const int64_t rows = t1 - t0, first = (top + t0 * d->stride[0]) * w;
  float *row = p + t0 * cols;
  if (rows && step == 1 && d->stride[0] == 1 && cols == w) { /* all rows at once, the ends mended afterwards */
    const int64_t low = max_i64(-shift, 0), high = rows * w - max_i64(shift, 0);
    if (low < high) copy_line(row + low, channel + first + low + shift, high - low);
  } else
    for (int64_t t = 0; t < rows; t++) {
      const int64_t at = first + t * line + shift;
      copy_columns(row + t * cols, channel + at, from, to, step, readable - at);
    }
  memset(p, 0, (size_t)(t0 * cols) * 4);
  memset(p + t1 * cols, 0, (size_t)((n - t1) * cols) * 4);
  for (int64_t i = 0; i < from; i++)
    for (int64_t t = 0; t < rows; t++) row[t * cols + i] = 0;
  for (int64_t i = to; i < cols; i++)
    for (int64_t t = 0; t < rows; t++) row[t * cols + i] = 0;
}

/* The planes of result rows y0 .. y0+rows-1, from one image. */
static inline void fill_planes(const planes_plan *d, const float *image, int64_t y0, int64_t rows, float *p) {
  const int64_t n = rows + d->plane_rows - d->band, w = d->in_w, channel = d->in_h * w;
  const planes_phase *j = d->phase;
  if (d->pitched && (d->stride[0] > 1 || d->stride[1] > 1)) return fill_phases(d, image, y0, n, p);
  for (int64_t c = 0; c < d->in_channels; c++, image += channel) {
    if (d->pitched) {
      memset(p, 0, (size_t)d->zeros_before * 4);
      fill_pitched(p + d->zeros_before, image, d->in_h, w, y0 + d->first_shift, n, d->pitch, d->zeros_behind);
      p += d->plane;
      continue;
    }
    for (int b = 0; b < j->taps[1]; b++)
      for (int64_t f = 0; f < d->row_phases; f++, p += d->plane)
        fill_shifted(d, image, y0 * d->stride[0] + f + d->first_shift, n, j->shift[1][b], (d->in_channels - c) * channel, p);
  }
}

#endif
