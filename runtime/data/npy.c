/* npy.c -- NumPy's .npy: "\x93NUMPY", version, length of the header, the header (a Python dictionary of descr, fortran_order and
 * shape), elements. Small integers become i32, u32 and u64 i64 (a larger u64 is an error), complex numbers pairs. */
#include "data/npy.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char ms_npy_mark[MS_NPY_MARK + 1] = "\x93NUMPY";
enum { HEADER_CAP = 1 << 20 };

/* ---- header ------------------------------------------------------------------------------------------------------ */

/* dtypes by kind and size; which of safetensors' (io/stored.h) has the same bytes and becomes the same. */
static const struct {
  const char *code, *stored;
} types[] = {{"b1", "BOOL"}, {"i1", "I8"},  {"u1", "U8"},  {"i2", "I16"}, {"u2", "U16"}, {"i4", "I32"}, {"u4", "U32"},
             {"i8", "I64"},  {"u8", "U64"}, {"f2", "F16"}, {"f4", "F32"}, {"f8", "F64"}, {"c8", "C64"}, {"?", "BOOL"}};

typedef struct text {
  const char *at, *end;
} text;

static char peek(text *t) {
  while (t->at < t->end && (*t->at == ' ' || *t->at == '\t' || *t->at == '\n' || *t->at == '\r')) t->at++;
  return t->at < t->end ? *t->at : 0;
}
static bool take(text *t, char c) { return peek(t) == c && c ? (t->at++, true) : false; }

/* 'letters' or "letters", without escapes, into out. */
static bool take_string(text *t, char *out, size_t room) {
  char quote = peek(t);
  size_t n = 0;
  if (quote != '\'' && quote != '"') return false;
  for (t->at++; t->at < t->end && *t->at != quote; t->at++) {
    if (*t->at == '\\' || n + 1 >= room) return false;
    out[n++] = *t->at;
  }
  out[n] = 0;
  return take(t, quote);
}

static bool take_word(text *t, const char *word) {
  const size_t n = strlen(word);
  peek(t);
  if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n)) return false;
  t->at += n;
  return true;
}

/* 12, or 12L as Python 2 wrote it. */
static bool take_number(text *t, int64_t *v) {
  if (!isdigit((unsigned char)peek(t))) return false;
  for (*v = 0; t->at < t->end && isdigit((unsigned char)*t->at); t->at++)
    if (__builtin_mul_overflow(*v, 10, v) || __builtin_add_overflow(*v, *t->at - '0', v)) return false;
  if (t->at < t->end && *t->at == 'L') t->at++;
  return true;
}

static bool take_shape(text *t, ms_npy *h, bool *deep) {
  if (!take(t, '(')) return false;
  for (h->rank = 0; !take(t, ')');) {
    int64_t size;
    if (!take_number(t, &size)) return false;
    if (h->rank == MS_MAX_RANK) *deep = true;
    else h->shape[h->rank++] = size;
    if (!take(t, ',') && peek(t) != ')') return false;
  }
  return true;
}

/* A descr that is no plain string (a structure, with brackets), up to its end. */
static bool skip_structure(text *t) {
  int depth = 0;
  char word[256];
  do {
    char c = peek(t);
    if (c == '\'' || c == '"') {
      if (!take_string(t, word, sizeof word)) return false;
      continue;
    }
    if (!c) return false;
    depth += c == '[' || c == '(' || c == '{' ? 1 : c == ']' || c == ')' || c == '}' ? -1 : 0;
    t->at++;
  } while (depth > 0);
  return true;
}

static void set_dtype(ms_npy *h, const char *descr) {
  const char order = *descr, *code = descr + (order && strchr("<>|=", order) ? 1 : 0);
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (!strcmp(types[i].code, code)) h->stored = ms_stored_named(types[i].stored);
  h->swapped = order == '>';
  if (h->stored) return;
  const char *why = *code == 'O'                   ? "Python objects, which are not read (nothing in a file is executed here)"
                    : *code == 'S' || *code == 'a' ? "bytes as text"
                    : *code == 'U'                 ? "text"
                    : *code == 'V'                 ? "raw bytes"
                    : *code == 'M' || *code == 'm' ? "dates"
                                                   : "no dtype here holds it";
  snprintf(h->problem, sizeof h->problem, "dtype '%.40s': %s; expected bool, whole numbers or floats", descr, why);
}

static bool parse_header(text *t, ms_npy *h, bool *deep) {
  bool have[3] = {false};
  char key[32], descr[256];
  if (!take(t, '{')) return false;
  while (!take(t, '}')) {
    if (!take_string(t, key, sizeof key) || !take(t, ':')) return false;
    const int k = !strcmp(key, "descr") ? 0 : !strcmp(key, "fortran_order") ? 1 : !strcmp(key, "shape") ? 2 : -1;
    if (k < 0 || have[k]) return false;
    have[k] = true;
    if (k == 0 && take_string(t, descr, sizeof descr)) set_dtype(h, descr);
    else if (k == 0 && (peek(t) == '[' || peek(t) == '(' || peek(t) == '{')) {
      if (!skip_structure(t)) return false;
      snprintf(h->problem, sizeof h->problem, "a structured dtype, which no dtype here holds; save its fields one by one");
    } else if (k == 0) return false;
    if (k == 1 && !(h->reversed = take_word(t, "True")) && !take_word(t, "False")) return false;
    if (k == 2 && !take_shape(t, h, deep)) return false;
    if (!take(t, ',') && peek(t) != '}') return false;
  }
  return have[0] && have[1] && have[2] && !peek(t) && t->at == t->end;
}

/* What the header's words come to. */
static int settle(const char *what, ms_npy *h, bool deep) {
  const int64_t count = ms_shape_count(h->rank, h->shape);
  if (count < 0 || (uint64_t)count > SIZE_MAX / 32)
    return ms_fail("%s: bad npy header: absurd sizes, their product overflows", what), -1;
  const bool pair = h->stored && h->stored->parts == 2;
  if (deep || (pair && h->rank == MS_MAX_RANK)) {
    h->stored = NULL;
    snprintf(h->problem, sizeof h->problem, "more dimensions than %d", MS_MAX_RANK);
  } else if (pair && h->reversed && h->rank > 1) {
    h->stored = NULL;
    snprintf(h->problem, sizeof h->problem, "complex numbers in Fortran order; save numpy.ascontiguousarray of it");
  }
  h->count = count;
  if (!h->stored) return 0;
  h->bytes = (uint64_t)count * ((uint64_t)h->stored->bits / 8);
  if (pair) h->shape[h->rank++] = 2;
  if (h->rank < 2 || pair) h->reversed = false;
  if (h->stored->bits / (8 * h->stored->parts) == 1) h->swapped = false;
  return 0;
}

int ms_npy_begin(ms_source *s, const char *what, ms_npy *h) {
  uint8_t head[12];
  *h = (ms_npy){0};
  int64_t got = ms_source_read(s, head, 8);
  if (got < 0) return -1;
  if (got < 8 || memcmp(head, ms_npy_mark, MS_NPY_MARK))
    return ms_fail("%s: not an npy array: expected it to begin with 93 'NUMPY' and a version", what), -1;
  if (head[6] < 1 || head[6] > 3 || head[7])
    return ms_fail("%s: npy version %d.%d: expected 1.0, 2.0 or 3.0", what, head[6], head[7]), -1;
  const int width = head[6] == 1 ? 2 : 4;
  if ((got = ms_source_read(s, head + 8, (size_t)width)) < 0) return -1;
  const size_t n = head[8] | (size_t)head[9] << 8 | (width == 4 ? (size_t)head[10] << 16 | (size_t)head[11] << 24 : 0);
  if (got < width || n > HEADER_CAP)
    return ms_fail("%s: %s", what, got < width ? "truncated: it ends within its header" : "bad npy header: absurdly long"), -1;
  char *words = malloc(n + 1);
  if (!words) return ms_fail("%s: out of memory", what), -1;
  int rc = 0;
  bool deep = false;
  text t = {words, words + n};
  if ((got = ms_source_read(s, words, n)) < 0) rc = -1;
  else if ((size_t)got < n) rc = (ms_fail("%s: truncated: it ends within its header", what), -1);
  else if (!parse_header(&t, h, &deep))
    rc = (ms_fail("%s: bad npy header, at byte %td: expected a dictionary of descr, fortran_order and shape", what,
                  t.at - words + 8 + width),
          -1);
  free(words);
  h->header = 8 + (uint64_t)width + n;
  return rc ? rc : settle(what, h, deep);
}

int ms_npy_item(const ms_npy *h, ms_content *it, uint64_t at) {
  it->rank = h->rank;
  memcpy(it->shape, h->shape, sizeof it->shape);
  it->reversed = h->reversed;
  if (!h->stored) return (it->problem = strdup(h->problem)) ? 0 : (ms_fail("out of memory"), -1);
  it->dtype = h->stored->dtype;
  it->at = at && ms_stored_is_plain(h->stored) && !h->swapped ? at + h->header : 0;
  return 0;
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

static void swap_bytes(uint8_t *p, size_t n, int size) {
  for (size_t i = 0; i < n; i++, p += size)
    for (int k = 0; k < size / 2; k++) {
      uint8_t byte = p[k];
      p[k] = p[size - 1 - k];
      p[size - 1 - k] = byte;
    }
}

int ms_npy_elements(ms_source *s, const char *what, const ms_npy *h, void *out) {
  const size_t n = (size_t)h->count, bytes = (size_t)h->bytes, size = (size_t)h->stored->bits / 8 / (size_t)h->stored->parts;
  uint8_t *to = (uint8_t *)out + n * (size_t)h->stored->parts * ms_dtype_size(h->stored->dtype) - bytes;
  int64_t got = ms_source_read(s, to, bytes);
  if (got < 0) return -1;
  if ((size_t)got < bytes)
    return ms_fail("%s: truncated: expected %zu bytes of elements, got %lld", what, bytes, (long long)got), -1;
  if (h->swapped) swap_bytes(to, bytes / size, (int)size);
  uint64_t value = 0;
  const size_t place = ms_stored_spread(h->stored, out, n, &value);
  if (place)
    return ms_fail("%s: element %zu is %llu, more than an i64 holds (dtype u8)", what, place, (unsigned long long)value), -1;
  for (size_t i = 0; h->stored->dtype == MS_BOOL && i < n; i++)
    if (to[i] > 1) return ms_fail("%s: expected truth values of 0 or 1, element %zu is %d", what, i + 1, to[i]), -1;
  return 0;
}

/* ---- a file ------------------------------------------------------------------------------------------------------ */

typedef struct npy_file {
  ms_source s;
  ms_npy head;
} npy_file;

static bool is(const uint8_t *head, size_t n, uint64_t size) {
  (void)size;
  return n >= MS_NPY_MARK && !memcmp(head, ms_npy_mark, MS_NPY_MARK);
}

static int open_npy(ms_file *f) {
  npy_file *p = f->private = calloc(1, sizeof *p);
  if (!p) return ms_fail("%s: out of memory", f->name), -1;
  p->s.fd = -1;
  if (ms_file_source(f, &p->s) || ms_npy_begin(&p->s, f->name, &p->head)) return -1;
  ms_content *it = ms_file_add(f, NULL);
  if (!it || ms_npy_item(&p->head, it, 0)) return -1;
  if (it->problem) return ms_fail("%s: %s", f->name, it->problem), -1;
  if (!p->s.gz && !f->in_memory && ms_stored_is_plain(p->head.stored) && !p->head.swapped) it->at = p->head.header;
  const uint64_t there = p->s.gz ? p->s.size * 1032 : p->s.size - p->head.header;
  if (p->head.bytes > there || (!p->s.gz && p->head.bytes < there))
    return ms_fail("%s: %s: expected %llu bytes of elements, got %s%llu", f->name, p->head.bytes > there ? "truncated" : "too long",
                   (unsigned long long)p->head.bytes, p->s.gz ? "at most " : "", (unsigned long long)there),
           -1;
  return ms_file_allow(f, p->s.size, 0);
}

static int read_npy(ms_file *f, int k, void *out) {
  npy_file *p = f->private;
  uint8_t extra;
  (void)k;
  if (ms_npy_elements(&p->s, f->name, &p->head, out)) return -1;
  int64_t more = ms_source_read(&p->s, &extra, 1);
  if (more > 0) ms_fail("%s: too long: more bytes follow the %lld elements its header declares", f->name, (long long)p->head.count);
  return more ? -1 : 0;
}

static void close_npy(ms_file *f) {
  npy_file *p = f->private;
  if (p) ms_source_close(&p->s);
  free(p);
}

const ms_format ms_format_npy = {
    .name = "npy", .what = "NumPy's npy", .gzipped = true, .is = is, .open = open_npy, .read = read_npy, .close = close_npy};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

uint8_t *ms_npy_header(const char *what, ms_dtype dtype, int rank, const int64_t *shape, size_t *n) {
  const char *name = ms_stored_of(dtype) ? ms_stored_of(dtype)->name : "", *code = NULL;
  for (size_t i = 0; i < sizeof types / sizeof *types && !code; i++)
    if (!strcmp(types[i].stored, name)) code = types[i].code;
  if (!code) return ms_fail("%s: npy has no dtype %s: convert it first (x:float())", what, ms_dtype_name(dtype));
  char sizes[MS_MAX_RANK * 24] = "";
  for (int d = 0, at = 0; d < rank; d++)
    at += snprintf(sizes + at, sizeof sizes - (size_t)at, "%lld,%s", (long long)shape[d], d < rank - 1 ? " " : "");
  if (rank > 1) sizes[strlen(sizes) - 1] = 0; /* (3,) but (3, 4) */
  uint8_t *head = malloc(512);
  if (!head) return ms_fail("%s: out of memory", what);
  int words = snprintf((char *)head + 10, 500, "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }",
                       ms_dtype_size(dtype) == 1 ? '|' : '<', code, sizes);
  *n = (size_t)(10 + words + 1 + 63) / 64 * 64;
  memset(head + 10 + words, ' ', *n - 10 - (size_t)words);
  head[*n - 1] = '\n';
  memcpy(head, ms_npy_mark, MS_NPY_MARK);
  head[6] = 1, head[7] = 0, head[8] = (uint8_t)((*n - 10) & 255), head[9] = (uint8_t)((*n - 10) >> 8);
  return head;
}

int ms_npy_write(const char *path, const ms_st_entry *e) {
  size_t n;
  uint8_t *head = ms_npy_header(path, e->dtype, e->rank, e->shape, &n);
  if (!head) return -1;
  ms_writer *w = ms_writer_open(path);
  int bad = !w || ms_writer_write(w, head, n) || ms_writer_write(w, e->data, e->bytes);
  free(head);
  if (!bad) return ms_writer_commit(w);
  ms_writer_abort(w);
  return -1;
}
