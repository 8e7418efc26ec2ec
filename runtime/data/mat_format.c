/* mat_format.c -- MATLAB's files (mat.c) as a row of the table of formats: variables of numbers are its items, those of one row of
 * characters its metadata. ms.data.read_mat reads the others, too. */
#include "data/format.h"
#include "data/mat.h"
#include "data/mat73.h"
#include <stdlib.h>
#include <string.h>

static bool is(const uint8_t *head, size_t n, uint64_t size) {
  (void)size;
  return ms_mat_is(head, n) || ms_mat73_is(head, n);
}

static int add_numbers(ms_file *f, ms_mat *m, const ms_mat_var *v) {
  ms_content *it = ms_file_add(f, v->name);
  if (!it) return -1;
  it->dtype = v->dtype;
  it->rank = v->rank;
  memcpy(it->shape, v->shape, sizeof it->shape);
  it->place = ms_mat_place(m);
  return ms_mat_allow(m);
}

static int add_text(ms_file *f, ms_mat *m, const ms_mat_var *v) {
  ms_mat_rows *t = ms_mat_text(m);
  if (!t) return -1;
  const size_t n = t->rows ? t->end[0] : 0;
  ms_st_pair *more = realloc(f->metadata, ((size_t)f->n_metadata + 1) * sizeof *more);
  if (more) {
    f->metadata = more;
    char *text = malloc(n + 1);
    if (text) memcpy(text, t->bytes, n), text[n] = 0;
    more[f->n_metadata++] = (ms_st_pair){strdup(v->name), text};
  }
  const bool ok = more && more[f->n_metadata - 1].key && more[f->n_metadata - 1].value;
  const bool zero = ok && strlen(more[f->n_metadata - 1].value) < n;
  ms_mat_rows_free(t);
  if (!ok) ms_fail("%s: out of memory", f->name);
  else if (zero) ms_fail("%s: '%s': text with a zero byte in it: ms.data.read_mat reads it", f->name, v->name);
  return ok && !zero ? 0 : -1;
}

static int open_mat(ms_file *f) {
  ms_mat *m = f->private =
      f->in_memory ? ms_mat_parse(f->bytes, f->size, f->name, f->max_bytes, false) : ms_mat_open(f->name, f->max_bytes, false);
  ms_mat_var v;
  int rc = m ? 1 : -1;
  while (rc > 0 && (rc = ms_mat_next(m, &v)) > 0) {
    for (int k = 0; k < f->n; k++)
      if (!strcmp(f->items[k].name, v.name)) return ms_fail("%s: damaged: there are two variables '%s'", f->name, v.name), -1;
    if (v.kind == MS_MAT_NUMBERS) rc = add_numbers(f, m, &v) ? -1 : 1;
    else if (v.kind == MS_MAT_TEXT && v.rank == 2 && v.shape[0] <= 1) rc = add_text(f, m, &v) ? -1 : 1;
    else {
      ms_content *it = ms_file_add(f, v.name);
      if (!it) return -1;
      it->problem = v.why_not ? ms_text("it is or has %s, which is not read", v.why_not)
                              : ms_text("it is of MATLAB's class %s: ms.data.read_mat reads it", v.class);
      if (!it->problem) return ms_fail("%s: out of memory", f->name), -1;
    }
  }
  return rc;
}

static int read_mat(ms_file *f, int k, void *out) {
  const ms_content *it = &f->items[k];
  ms_mat *m = f->private;
  int64_t stride[MS_MAX_RANK], step = 1;
  ms_mat_var v;
  const int rc = ms_mat_go(m, it->place) ? -1 : ms_mat_next(m, &v);
  if (rc < 0) return -1;
  if (!rc || v.rank != it->rank || v.dtype != it->dtype || memcmp(v.shape, it->shape, sizeof v.shape))
    return ms_fail("%s: it changed while it was read", f->name), -1;
  for (int d = v.rank - 1; d >= 0; d--) stride[d] = step, step *= v.shape[d];
  return ms_mat_numbers(m, out, stride);
}

static void close_mat(ms_file *f) { ms_mat_close(f->private); }

const ms_format ms_format_mat = {.name = "mat", .what = "MATLAB", .is = is, .open = open_mat, .read = read_mat, .close = close_mat};
