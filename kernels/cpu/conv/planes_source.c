/* planes_source.c -- the shifted copies of source planes that planes.h multiplies. */
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

void MS_NAME(conv_copy_rows)(float *to, int64_t to_step, const float *from, int64_t from_step, int64_t n, int64_t rows) {
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

/* Every second of w floats to a, the others to b, and zeros behind them up to L / 2 at a time; room: floats that may be read; keep:
 * which of the last L are among the w. */
static inline void split_row(float *a, float *b, const float *from, int64_t w, int64_t room, const half_mask *keep) {
  int64_t i = 0;
  for (; i + 2 * L <= w && i + 2 * L <= room; i += 2 * L) {
    __builtin_prefetch(from + i + PREFETCH_FLOATS);
    *(vec *)(a + i / 2) = even(from + i), *(vec *)(b + i / 2) = odd(from + i);
  }
  __builtin_prefetch(from + i + PREFETCH_FLOATS);
  for (; i < w && i + L <= room; i += L) {
    half x = half_even(from + i), y = half_odd(from + i);
    if (i + L >= w) x = (half)((half_mask)x & keep[0]), y = (half)((half_mask)y & keep[1]);
    *(half *)(a + i / 2) = x, *(half *)(b + i / 2) = y;
  }
  for (; i < round_up(w, L); i++) (i % 2 ? b : a)[i / 2] = i < w ? from[i] : 0;
}

/* Rows t0 .. t1-1 of n, of w floats each, `line` apart, are there: zeros before, between and behind them. */
static void mend_rows(float *p, int64_t t0, int64_t t1, int64_t n, int64_t w, int64_t line, int64_t behind) {
  memset(p, 0, (size_t)(t0 * line) * 4);
  memset(p + t1 * line, 0, (size_t)((n - t1) * line + behind) * 4);
  for (int64_t i = w; i < line; i++)
    for (int64_t t = t0; t < t1; t++) p[t * line + i] = 0;
}

void MS_NAME(conv_fill_pitched)(float *p, const float *x, int64_t h, int64_t w, int64_t top, int64_t n, int64_t line,
                                int64_t behind) {
  int64_t t0 = top < 0 ? -top : 0, t1 = h - top < n ? h - top : n;
  if (t0 > n) t0 = n;
  if (t1 < t0) t1 = t0;
  MS_NAME(conv_copy_rows)(p + t0 * line, line, x + (top + t0) * w, w, w, t1 - t0);
  mend_rows(p, t0, t1, n, w, line, behind);
}

/* Pitched planes, cut in phases. */
static void fill_phases(const planes_plan *d, const float *image, int64_t y0, int64_t n, float *planes) {
  int64_t s = d->stride[0], w = d->in_w, step = d->row_phases * d->plane; /* from a phase of columns to the next */
  int64_t done = d->copies == 2 ? round_up(w, L) / 2 : 0;                 /* columns that part fills */
  for (int64_t f = 0; f < d->row_phases; f++) {
    int64_t top = y0 * s + f + d->first_shift, t0, t1;
    inside(top, s, d->in_h, n, &t0, &t1);
    for (int64_t c = 0; c < d->in_channels; c++) {
      const float *x = image + c * d->in_h * w;
      int64_t room = (d->in_channels - c) * d->in_h * w;
      float *p = planes + c * d->copies * step + f * d->plane, *to = p + d->zeros_before;
      if (d->copies == 1 && t1 > t0)
        MS_NAME(conv_copy_rows)(to + t0 * d->pitch, d->pitch, x + (top + t0 * s) * w, s * w, w, t1 - t0);
      for (int64_t t = t0; t < t1 && d->copies == 2; t++) {
        int64_t at = (top + t * s) * w;
        split_row(to + t * d->pitch, to + step + t * d->pitch, x + at, w, room - at, d->keep);
      }
      for (int64_t q = 0; q < d->copies; q++) {
        int64_t width = phase_width(d, q);
        for (int64_t i = 0; i < d->zeros_before; i++) p[q * step + i] = 0;
        mend_rows(to + q * step, t0, t1, n, done > width ? done : width, d->pitch, d->zeros_behind);
      }
    }
  }
}

void MS_NAME(conv_fill_planes)(const planes_plan *d, const float *image, int64_t y0, int64_t rows, float *p) {
  int64_t n = rows + d->plane_rows - d->band, cols = d->cols, w = d->in_w, channel = d->in_h * w, room = d->in_channels * channel;
  const planes_phase *j = d->phase;
  if (d->pitched && (d->stride[0] > 1 || d->stride[1] > 1)) return fill_phases(d, image, y0, n, p);
  for (int64_t c = 0; d->pitched && c < d->in_channels; c++, image += channel, p += d->plane) {
    memset(p, 0, (size_t)d->zeros_before * 4);
    MS_NAME(conv_fill_pitched)(p + d->zeros_before, image, d->in_h, w, y0 + d->first_shift, n, d->pitch, d->zeros_behind);
  }
  for (int64_t c = 0; !d->pitched && c < d->in_channels; c++, image += channel, room -= channel)
    for (int b = 0; b < j->taps[1]; b++)
      for (int64_t f = 0; f < d->row_phases; f++, p += d->plane) {
        int64_t top = y0 * d->stride[0] + f + d->first_shift, t0, t1, from, to, shift = j->shift[1][b], step = d->stride[1];
        inside(top, d->stride[0], d->in_h, n, &t0, &t1);
        inside(shift, step, w, cols, &from, &to);
        if (t0 == t1) t0 = t1 = n;
        int64_t lines = t1 - t0, line = d->stride[0] * w, first = (top + t0 * d->stride[0]) * w;
        const float *x = image + first;
        float *to_row = p + t0 * cols;
        if (!lines) {
        } else if (step == 1 && d->stride[0] == 1 && cols == line) { /* all rows at once, the ends mended afterwards */
          int64_t lo = shift < 0 ? -shift : 0, hi = shift > 0 ? lines * w - shift : lines * w;
          if (lo < hi) copy_line(to_row + lo, x + lo + shift, hi - lo);
        } else
          for (int64_t t = 0; t < lines; t++) {
            float *restrict r = to_row + t * cols;
            const float *restrict s = x + t * line + shift;
            int64_t i = from;
            if (step == 1) copy_line(r + from, s + from, to - from);
            else if (step == 2)
              for (; i < to && first + t * line + shift + 2 * (i + L) <= room; i += L) *(vec *)(r + i) = even(s + 2 * i);
            for (; step > 1 && i < to; i++) r[i] = s[step * i];
          }
        if (t0) memset(p, 0, (size_t)(t0 * cols) * 4);
        if (t1 < n) memset(p + t1 * cols, 0, (size_t)((n - t1) * cols) * 4);
        for (int64_t i = 0; i < from; i++)
          for (int64_t t = 0; t < lines; t++) to_row[t * cols + i] = 0;
        for (int64_t i = to; i < cols; i++)
          for (int64_t t = 0; t < lines; t++) to_row[t * cols + i] = 0;
      }
}
