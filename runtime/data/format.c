/* format.c -- the table of formats, and how a file finds its row: by its first bytes. */
#include "data/format.h"
#include "data/csv.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One row for each format. The first that says yes has the file: those that know it by a long mark first, text last. */
static const ms_format *const formats[] = {
    &ms_format_npy, &ms_format_npz,         &ms_format_png, &ms_format_jpeg,
    &ms_format_mat, &ms_format_safetensors, &ms_format_idx, &ms_format_csv,
};
enum { FORMATS = sizeof formats / sizeof *formats };

char *ms_text(const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return strdup(text);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int source(const ms_file *f, ms_source *s, bool unpack) {
  if (f->in_memory) ms_source_memory(s, f->bytes, f->size, f->name);
  else if (ms_source_file(s, f->name)) return -1;
  return unpack ? ms_source_gunzip(s) : 0;
}

int ms_file_source(const ms_file *f, ms_source *s) { return source(f, s, f->format->gzipped); }

/* MATLAB's version 4 has no mark: a header of five numbers, the name behind it. Of either byte order. */
static bool is_mat4(const uint8_t *h, size_t n) {
  if (n < 21) return false;
  const bool big = h[0] == 0 && h[1] == 0 && (h[2] == 3 || h[2] == 4); /* its kind is 1000 and more then */
  uint32_t v[5];
  for (int k = 0; k < 5; k++)
    for (int i = 0; i < 4; i++) v[k] = (i ? v[k] << 8 : 0) | h[4 * k + (big ? i : 3 - i)];
  return v[0] < 4200 && v[0] % 10 <= 2 && v[0] / 10 % 10 <= 5 && v[3] <= 1 && v[4] >= 2 && v[4] <= 64 && v[1] && v[2] &&
         h[20] > 32 && h[20] < 127;
}

/* What a file is that others write and this program does not read: words for the message, or NULL. */
static const char *stranger(const uint8_t *h, size_t n) {
  static const struct {
    const char *mark;
    size_t at, length;
    const char *what;
  } known[] = {{"GIF8", 0, 4, "a GIF; PNG and JPEG are read"},
               {"BM", 0, 2, "a BMP; PNG and JPEG are read"},
               {"WEBP", 8, 4, "a WebP picture; PNG and JPEG are read"},
               {"II*", 0, 4, "a TIFF; PNG and JPEG are read"},
               {"MM\0*", 0, 4, "a TIFF; PNG and JPEG are read"},
               {"\x89HDF", 0, 4, "an HDF5 file; of these MATLAB's 7.3 are read"},
               {"PAR1", 0, 4, "a Parquet file; write it as npz or CSV"},
               {"\xfd"
                "7zXZ",
                0, 5, "packed by xz: unpack it first"},
               {"BZh", 0, 3, "packed by bzip2: unpack it first"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (n >= known[i].at + known[i].length && !memcmp(h + known[i].at, known[i].mark, known[i].length)) return known[i].what;
  if (n > 2 && h[0] == 0x80 && h[1] >= 2 && h[1] <= 5)
    return "a pickle of Python's (an old torch.save); write tensors by safetensors.torch.save_file or numpy.savez";
  return is_mat4(h, n) ? "a MATLAB file of version 4; save it with -v7 (or -v6)" : NULL;
}

static void *unknown(const ms_file *f, const uint8_t *head, size_t n, bool packed) {
  char list[400] = "", begin[60] = "";
  for (size_t i = 0, at = 0; i < FORMATS; i++)
    at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", formats[i]->what);
  for (size_t i = 0, at = 0; i < n && i < 8; i++) at += (size_t)snprintf(begin + at, sizeof begin - at, " %02x", head[i]);
  if (stranger(head, n)) return ms_fail("%s: it is %s", f->name, stranger(head, n));
  if (!n) return ms_fail("%s: it is empty; expected a file of one of these formats: %s", f->name, list);
  return ms_fail("%s: expected a file of one of these formats: %s; got bytes that begin%s%s", f->name, list, begin,
                 packed ? ", gzipped" : "");
}

/* The row for the file's first bytes; NULL after ms_fail. */
static const ms_format *find_format(const ms_file *f) {
  ms_source s;
  uint8_t head[MS_FILE_HEAD];
  const ms_format *found = NULL;
  int64_t n = source(f, &s, true) ? -1 : ms_source_read(&s, head, sizeof head);
  for (size_t i = 0; i < FORMATS && n > 0 && !found; i++)
    if (formats[i]->is(head, (size_t)n, s.size)) found = formats[i];
  if (n >= 0 && !found) unknown(f, head, (size_t)n, s.gz);
  if (found && s.gz && !found->gzipped) {
    ms_fail("%s: it is gzipped %s, which is read as it is only: unpack it first (gunzip)", f->name, found->what);
    found = NULL;
  }
  ms_source_close(&s);
  return found;
}

static ms_file *open_file(ms_file given, const ms_format *format) {
  ms_file *f = malloc(sizeof *f);
  if (!f) return ms_fail("%s: out of memory", given.name);
  *f = given;
  f->format = format ? format : find_format(f);
  if (f->format && !f->format->open(f)) return f;
  ms_file_close(f);
  return NULL;
}

ms_file *ms_file_open(const char *path, uint64_t max_bytes) { return ms_file_open_as(NULL, path, max_bytes, NULL); }
ms_file *ms_file_open_as(const ms_format *format, const char *path, uint64_t max_bytes, const void *options) {
  return open_file((ms_file){.name = path, .max_bytes = max_bytes, .options = options}, format);
}
ms_file *ms_file_parse(const void *bytes, size_t size, const char *name, uint64_t max_bytes) {
  return ms_file_parse_as(NULL, bytes, size, name, max_bytes, NULL);
}
ms_file *ms_file_parse_as(const ms_format *format, const void *bytes, size_t size, const char *name, uint64_t max_bytes,
                          const void *options) {
  return open_file(
      (ms_file){.name = name, .in_memory = true, .bytes = bytes, .size = size, .max_bytes = max_bytes, .options = options}, format);
}

void ms_file_close(ms_file *f) {
  if (!f) return;
  if (f->format && f->format->close) f->format->close(f);
  for (int k = 0; k < f->n; k++) {
    free(f->items[k].name);
    free(f->items[k].problem);
  }
  for (int k = 0; k < f->n_metadata; k++) {
    free((char *)f->metadata[k].key);
    free((char *)f->metadata[k].value);
  }
  for (int k = 0; k < f->n_columns; k++) free(f->columns[k]);
  free(f->columns);
  free(f->metadata);
  free(f->items);
  free(f);
}

/* ---- items ------------------------------------------------------------------------------------------------------- */

ms_content *ms_file_add(ms_file *f, const char *name) {
  if (!(f->n & (f->n - 1))) { /* 0, 1, 2, 4, ...: the list is full */
    ms_content *more = realloc(f->items, (f->n ? 2 * (size_t)f->n : 1) * sizeof *more);
    if (!more) return ms_fail("%s: out of memory", f->name);
    f->items = more;
  }
  ms_content *it = &f->items[f->n];
  *it = (ms_content){.name = name ? strdup(name) : NULL};
  if (name && !it->name) return ms_fail("%s: out of memory", f->name);
  f->n++;
  return it;
}

int64_t ms_shape_count(int rank, const int64_t *shape) {
  int64_t count = 1;
  bool empty = false;
  for (int d = 0; d < rank; d++) {
    if (shape[d] < 0) return -1;
    if (!shape[d]) empty = true;
    else if (__builtin_mul_overflow(count, shape[d], &count) || count > INT64_MAX / 32) return -1;
  }
  return empty ? 0 : count;
}

int64_t ms_content_count(const ms_content *it) { return ms_shape_count(it->rank, it->shape); }

int ms_file_allow(const ms_file *f, uint64_t size, uint64_t beside) {
  uint64_t all = 0;
  for (int k = 0; k < f->n; k++) {
    const ms_content *it = &f->items[k];
    const uint64_t bytes =
        it->problem ? 0 : (uint64_t)ms_content_count(it) * (it->texts ? sizeof(char *) : ms_dtype_size(it->dtype));
    if (__builtin_add_overflow(all, bytes, &all)) all = UINT64_MAX;
  }
  return ms_allow_bytes(f->name, size, all, beside, f->max_bytes);
}

int ms_file_read(ms_file *f, int k, void *out) {
  if (!f->items[k].problem) return f->format->read(f, k, out);
  if (f->items[k].name) ms_fail("%s: '%s': %s", f->name, f->items[k].name, f->items[k].problem);
  else ms_fail("%s: %s", f->name, f->items[k].problem);
  return -1;
}
