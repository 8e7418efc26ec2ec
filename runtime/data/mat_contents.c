/* mat_contents.c -- the numbers and the text of the value that mat.c has come to. */
#include "data/mat_inside.h"
#include <stdlib.h>
#include <string.h>

/* Where the next element in the file's order goes: the sizes of the dimensions that have more than one, fastest first, with their
 * strides, and the place in them. */
typedef struct walk {
  int rank;
  int64_t size[MS_MAX_RANK], stride[MS_MAX_RANK], at[MS_MAX_RANK], offset;
} walk;

static void step_over(walk *w, int64_t n) { /* n elements of the first dimension, which do not pass its end */
  w->at[0] += n;
  w->offset += n * w->stride[0];
  for (int d = 0; d < w->rank && w->at[d] == w->size[d]; d++) {
    w->offset -= w->size[d] * w->stride[d];
    w->at[d] = 0;
    if (d + 1 == w->rank) break;
    w->at[d + 1]++;
    w->offset += w->stride[d + 1];
  }
}

/* One element with `count` numbers (more may follow that are not wanted) to out. */
static int read_numbers(ms_mat *f, void *out, const int64_t *stride, int64_t count, int64_t all) {
  uint8_t piece[PIECE];
  walk w = {.rank = 0};
  tag t;
  if (ms_mat_read_tag(f, &t)) return -1;
  const int size = t.type < 16 ? ms_mat_storages[t.type].size : 0;
  if (!size) return ms_mat_damaged(f, "no numbers where they should be");
  if (t.bytes != (uint64_t)all * (uint64_t)size) return ms_mat_damaged(f, "not as many numbers as its sizes say");
  const size_t wide = ms_dtype_size(f->var.dtype);
  for (int d = 0; d < f->var.rank - f->var.complex; d++)
    if (f->var.shape[d] != 1) w.size[w.rank] = f->var.shape[d], w.stride[w.rank++] = stride[d];
  if (!w.rank) w.size[w.rank++] = 1;
  for (int64_t i = 0, n; i < count; i += n) {
    n = count - i < PIECE / size ? count - i : PIECE / size;
    if (t.small) memcpy(piece, t.held, 4);
    else if (ms_mat_take(f, piece, (uint64_t)(n * size))) return -1;
    for (int64_t k = 0, run; k < n; k += run) {
      run = w.size[0] - w.at[0] < n - k ? w.size[0] - w.at[0] : n - k;
      double bad;
      const int64_t ok = ms_mat_spread((char *)out + w.offset * (int64_t)wide, w.stride[0], f->var.dtype, f->lo, f->hi,
                                       piece + k * size, run, (int)t.type, f->swap, &bad);
      if (ok < run) {
        ms_fail("%s: %s: number %lld is %.17g, which %s of ours cannot hold", f->s.name, ms_mat_shown(f),
                (long long)(i + k + ok + 1), bad, ms_dtype_name(f->var.dtype));
        return -1;
      }
      step_over(&w, run);
    }
  }
  if (count < all)
    return f->var.complex ? ms_mat_take(f, NULL, (uint64_t)(all - count) * (uint64_t)size) || ms_mat_padding(f, &t) ? -1 : 0 : 0;
  return f->end > ms_mat_size(f) ? 0 : ms_mat_padding(f, &t); /* cut off: its end is not there */
}

int ms_mat_allow(ms_mat *f) {
  const ms_mat_var *v = &f->var;
  if (f->first < 0 && (uint64_t)v->count > f->level[f->depth + 1].left)
    return ms_mat_damaged(f, "fewer numbers than its sizes say");
  return ms_mat_charge(f, (uint64_t)v->count * ms_dtype_size(v->dtype));
}

int ms_mat_numbers(ms_mat *f, void *out, const int64_t *stride) {
  const ms_mat_var *v = &f->var;
  const int64_t parts = v->complex ? 2 : 1, count = v->count / parts, last = v->shape[v->rank - 1 - v->complex];
  const int64_t all = f->first < 0 ? count : last ? count / last * v->declared : -1;
  if (!f->level[f->depth + 1].left && !v->count) return 0; /* [] */
  if (all >= 0)
    for (int64_t part = 0; part < parts; part++)
      if (read_numbers(f, (char *)out + part * (v->complex ? stride[v->rank - 1] : 0) * (int64_t)ms_dtype_size(v->dtype), stride,
                       count, all))
        return -1;
  if (f->first >= 0 && (f->first < v->declared || f->end > ms_mat_size(f))) return 0;
  if (f->level[f->depth + 1].left) return ms_mat_damaged(f, "more bytes than its numbers take");
  return ms_mat_check_end(f);
}

ms_mat_rows *ms_mat_text(ms_mat *f) {
  const ms_mat_var *v = &f->var;
  if (v->rank != 2) return ms_fail("%s: %s: characters of more than two dimensions", f->s.name, ms_mat_shown(f));
  tag t;
  if (ms_mat_read_tag(f, &t)) return NULL;
  /* Of a character not more than 4 bytes, whatever they are. */
  if (t.bytes / 4 > (uint64_t)v->count || (uint64_t)v->count > (uint64_t)t.bytes) {
    ms_mat_damaged(f, "not as many characters as its sizes say");
    return NULL;
  }
  if (ms_mat_charge(f, (uint64_t)v->count * 9 + (uint64_t)v->shape[0] * (v->shape[0] > 1 ? 64 : 8))) return NULL;
  uint8_t *bytes = malloc((size_t)t.bytes + 4);
  uint16_t *units = malloc((size_t)v->count * 2 + 2);
  ms_mat_rows *rows = NULL;
  if (!bytes || !units) ms_fail("%s: out of memory", f->s.name);
  else if (!ms_mat_read_bytes(f, &t, bytes, t.bytes, "characters")) {
    if (ms_mat_units(units, v->count, bytes, t.bytes, (int)t.type, f->swap)) ms_mat_damaged(f, "its characters are no text");
    else if (!(rows = ms_mat_rows_of(units, v->shape[0], v->shape[1]))) ms_fail("%s: out of memory", f->s.name);
    else if (ms_mat_check_end(f)) ms_mat_rows_free(rows), rows = NULL;
  }
  free(bytes);
  free(units);
  return rows;
}
