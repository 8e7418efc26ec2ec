/* safetensors.c -- https://github.com/huggingface/safetensors: u64 header size, JSON header, data without holes or overlaps. */
#include "io/io.h"
#include "io/json.h"
#include "io/source.h"
#include "io/stored.h"
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "the data are little-endian and used in place");

/* ENTRY_CAP: bytes of the text of one tensor; TENSOR_BYTES, PAIR_BYTES: what a tensor costs beside its elements, a pair of metadata
 * beside its text. */
enum { HEADER_CAP = 100000000, ENTRY_CAP = 1 << 16, TENSOR_BYTES = 640, PAIR_BYTES = 160 };

struct ms_st_private {
  char *name; /* for messages */
  int fd;     /* of the file; -1: memory, at `bytes` */
  const uint8_t *bytes;
  uint64_t data; /* where they begin */
  uint64_t size; /* of the data */
  uint64_t wide; /* of all that they become */
  int room, room_metadata;
  const ms_st_entry **by_name; /* sorted */
  uint64_t *begin;             /* of each entry, where its data begin among the data */
};

/* Elements and bytes of a shape; false when that overflows. */
static bool shape_bytes(ms_dtype dtype, int rank, const int64_t *shape, size_t *bytes) {
  size_t n = ms_dtype_size(dtype);
  for (int d = 0; d < rank; d++)
    if (shape[d] < 0 || __builtin_mul_overflow(n, (size_t)shape[d], &n)) return false;
  *bytes = n;
  return true;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int parse_shape(const char *file, const char *name, const json_t *list, ms_st_entry *e) {
  if (!json_is_array(list) || json_array_size(list) > MS_MAX_RANK) {
    ms_fail("%s: tensor '%s': expected a shape of at most %d sizes%s", file, name, MS_MAX_RANK,
            json_is_array(list) ? ", got more" : "");
    return -1;
  }
  e->rank = (int)json_array_size(list);
  for (int d = 0; d < e->rank; d++) {
    const json_t *size = json_array_get(list, (size_t)d);
    e->shape[d] = json_integer_value(size);
    if (json_is_integer(size) && e->shape[d] >= 0) continue;
    ms_fail("%s: tensor '%s': expected whole sizes of at least 0, size %d is not", file, name, d + 1);
    return -1;
  }
  return 0;
}

/* The bytes that the entry becomes, from the shape in the file; 0 if it takes there those that it says. */
static int take_bytes(ms_st_entry *e) {
  const ms_stored *f = e->stored;
  size_t n;
  if (!shape_bytes(MS_U8, e->rank, e->shape, &n) || n > SIZE_MAX / 64) return -1;
  e->bytes = n * (size_t)f->parts * ms_dtype_size(f->dtype);
  if (n * (size_t)f->bits % 8 || n * (size_t)f->bits / 8 != e->stored_bytes) return -1;
  if (f->parts > 1 && e->rank == MS_MAX_RANK) return -1;
  if (f->parts > 1) e->shape[e->rank++] = f->parts;
  return 0;
}

/* One entry of the header, checked against itself and the size of the data. Its position among the others is checked later. */
static int read_entry(const struct ms_st_private *p, const json_t *value, ms_st_entry *e) {
  const char *file = p->name, *name = e->name, *dtype = json_string_value(json_object_get(value, "dtype"));
  const json_t *offsets = json_object_get(value, "data_offsets");
  const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
  if (!dtype || json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last) ||
      json_object_size(value) != 3) {
    ms_fail("%s: tensor '%s': expected dtype, shape and data_offsets [begin, end], nothing else", file, name);
    return -1;
  }
  if (!(e->stored = ms_stored_named(dtype)) || !e->stored->parts) {
    ms_fail("%s: tensor '%s': %s %.40s", file, name, e->stored ? "no dtype here holds" : "safetensors has no dtype", dtype);
    return -1;
  }
  e->dtype = e->stored->dtype;
  if (parse_shape(file, name, json_object_get(value, "shape"), e)) return -1;
  json_int_t begin = json_integer_value(first), end = json_integer_value(last);
  if (begin < 0 || end < begin || (uint64_t)end > p->size) {
    ms_fail("%s: tensor '%s': data_offsets [%lld, %lld] do not lie in the %llu bytes of data there are", file, name,
            (long long)begin, (long long)end, (unsigned long long)p->size);
    return -1;
  }
  e->stored_bytes = (size_t)(end - begin);
  if (take_bytes(e)) {
    ms_fail("%s: tensor '%s': dtype and shape do not make the %lld bytes that data_offsets say", file, name,
            (long long)(end - begin));
    return -1;
  }
  e->data = (const uint8_t *)(uintptr_t)begin; /* until check_entries has sorted them */
  return 0;
}

/* The header is read value by value, so that one tensor's text is all there is of it as JSON at a time. */
typedef struct cursor {
  ms_safetensors *s;
  const char *begin, *at, *end;
} cursor;

static int bad_header(const cursor *c, const char *why) {
  ms_fail("%s: bad safetensors header, at byte %td: %s", c->s->private->name, c->at - c->begin, why);
  return -1;
}

/* The next byte that is no space, '\0' at the end. */
static char peek(cursor *c) {
  while (c->at < c->end && strchr(" \t\r\n", *c->at) && *c->at) c->at++;
  return c->at < c->end ? *c->at : 0;
}

static ms_json *read_value(cursor *c, size_t most) {
  json_error_t why;
  size_t n = (size_t)(c->end - c->at);
  ms_json *v = ms_json_parse(c->at, n < most ? n : most, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &why);
  if (!v) {
    if (why.line < 0) ms_fail("%s: %s", c->s->private->name, why.text);
    else if (n > most && json_error_code(&why) == json_error_premature_end_of_input) bad_header(c, "too long for one tensor");
    else bad_header(c, why.text);
    return NULL;
  }
  c->at += why.position;
  return v;
}

/* Room for one more in a list of n that has room for *room. */
static void *more_room(const char *file, void *list, int n, int *room, size_t size) {
  if (n < *room) return list;
  int fresh = *room ? 2 * *room : 16;
  void *p = realloc(list, (size_t)fresh * size);
  if (!p) return ms_fail("%s: out of memory", file);
  *room = fresh;
  return p;
}

static int add_pair(cursor *c, char *key) {
  ms_safetensors *s = c->s;
  ms_st_pair *list = more_room(s->private->name, s->metadata, s->n_metadata, &s->private->room_metadata, sizeof *list);
  if (!list) return free(key), -1;
  s->metadata = list;
  ms_st_pair *pair = &list[s->n_metadata++];
  *pair = (ms_st_pair){key, NULL};
  if (peek(c) != '"') {
    ms_fail("%s: expected __metadata__ to map strings to strings, '%s' is none", s->private->name, key);
    return -1;
  }
  ms_json *v = read_value(c, HEADER_CAP);
  if (v && !(pair->value = strdup(json_string_value(ms_json_root(v))))) ms_fail("%s: out of memory", s->private->name);
  ms_json_free(v);
  return pair->value ? 0 : -1;
}

static int read_object(cursor *c, int (*add)(cursor *, char *));

static int add_entry(cursor *c, char *key) {
  ms_safetensors *s = c->s;
  if (!strcmp(key, "__metadata__")) {
    free(key);
    if (s->metadata) return bad_header(c, "duplicate __metadata__");
    if (!(s->metadata = calloc(16, sizeof *s->metadata))) return bad_header(c, "out of memory");
    s->private->room_metadata = 16;
    if (peek(c) == '{') return read_object(c, add_pair);
    ms_fail("%s: expected __metadata__ to map strings to strings", s->private->name);
    return -1;
  }
  ms_st_entry *list = more_room(s->private->name, s->entries, s->n, &s->private->room, sizeof *list);
  if (!list) return free(key), -1;
  s->entries = list;
  list[s->n] = (ms_st_entry){.name = key};
  ms_json *v = read_value(c, ENTRY_CAP);
  int bad = !v || read_entry(s->private, ms_json_root(v), &list[s->n]);
  s->n++;
  ms_json_free(v);
  return bad ? -1 : 0;
}

/* { "key": what add reads, ... } */
static int read_object(cursor *c, int (*add)(cursor *, char *)) {
  c->at++;
  if (peek(c) == '}') return c->at++, 0;
  for (;;) {
    if (peek(c) != '"') return bad_header(c, "expected a name in quotes");
    ms_json *v = read_value(c, HEADER_CAP);
    char *key = v ? strdup(json_string_value(ms_json_root(v))) : NULL;
    if (v && !key) ms_fail("%s: out of memory", c->s->private->name);
    ms_json_free(v);
    if (!key) return -1;
    if (peek(c) != ':') return free(key), bad_header(c, "expected ':' behind a name");
    c->at++;
    peek(c);
    if (add(c, key)) return -1;
    char next = peek(c);
    if (next != ',' && next != '}') return bad_header(c, "expected ',' or '}'");
    c->at++;
    if (next == '}') return 0;
  }
}

/* Where the data begin; among those at the same place the empty ones come first. */
static int by_data_offset(const void *a, const void *b) {
  const ms_st_entry *x = a, *y = b;
  if (x->data != y->data) return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
  if (x->stored_bytes != y->stored_bytes) return x->stored_bytes < y->stored_bytes ? -1 : 1;
  return strcmp(x->name, y->name);
}
static int by_name(const void *a, const void *b) {
  return strcmp((*(const ms_st_entry *const *)a)->name, (*(const ms_st_entry *const *)b)->name);
}
static int by_key(const void *a, const void *b) { return strcmp(((const ms_st_pair *)a)->key, ((const ms_st_pair *)b)->key); }

static int check_entries(ms_safetensors *s) {
  struct ms_st_private *p = s->private;
  if (s->n) qsort(s->entries, (size_t)s->n, sizeof *s->entries, by_data_offset);
  p->by_name = malloc(((size_t)s->n + 1) * sizeof *p->by_name);
  p->begin = malloc(((size_t)s->n + 1) * sizeof *p->begin);
  if (!p->by_name || !p->begin) {
    ms_fail("%s: out of memory", p->name);
    return -1;
  }
  uint64_t at = 0;
  p->wide = 0;
  for (int i = 0; i < s->n; i++) {
    ms_st_entry *e = &s->entries[i];
    p->by_name[i] = e;
    p->begin[i] = (uintptr_t)e->data;
    if (p->begin[i] != at) {
      ms_fail("%s: tensor '%s': expected its data to begin at byte %llu, got %llu: there is %s", p->name, e->name,
              (unsigned long long)at, (unsigned long long)p->begin[i], p->begin[i] > at ? "a hole" : "an overlap");
      return -1;
    }
    at += e->stored_bytes;
    if (__builtin_add_overflow(p->wide, e->bytes, &p->wide)) p->wide = UINT64_MAX;
    e->data = p->bytes ? p->bytes + p->data + p->begin[i] : NULL;
  }
  if (at != p->size) {
    ms_fail("%s: expected %llu bytes of data, got %llu", p->name, (unsigned long long)at, (unsigned long long)p->size);
    return -1;
  }
  qsort(p->by_name, (size_t)s->n, sizeof *p->by_name, by_name);
  if (s->n_metadata) qsort(s->metadata, (size_t)s->n_metadata, sizeof *s->metadata, by_key);
  for (int i = 1; i < s->n; i++)
    if (!by_name(&p->by_name[i - 1], &p->by_name[i])) {
      ms_fail("%s: bad safetensors header: duplicate tensor '%s'", p->name, p->by_name[i]->name);
      return -1;
    }
  for (int i = 1; i < s->n_metadata; i++)
    if (!by_key(&s->metadata[i - 1], &s->metadata[i])) {
      ms_fail("%s: bad safetensors header: duplicate metadata '%s'", p->name, s->metadata[i].key);
      return -1;
    }
  return 0;
}

static int parse_header(ms_safetensors *s, const char *text, size_t n, uint64_t max_bytes) {
  cursor c = {s, text, text, text + n};
  if (!n || *text != '{') {
    ms_fail("%s: not a safetensors file: expected its header to begin with '{'", s->private->name);
    return -1;
  }
  if (read_object(&c, add_entry)) return -1;
  if (peek(&c) || c.at != c.end) return bad_header(&c, "expected nothing behind the last '}'");
  if (check_entries(s)) return -1;
  const struct ms_st_private *p = s->private;
  uint64_t all = (uint64_t)s->n * TENSOR_BYTES + (uint64_t)s->n_metadata * PAIR_BYTES;
  if (__builtin_add_overflow(all, p->wide, &all)) all = UINT64_MAX;
  return ms_allow_bytes(p->name, p->data + p->size, all, 4 * (uint64_t)n, max_bytes);
}

/* How long the header is, from the first 8 bytes of a file of `size`; 0 after ms_fail. */
static size_t header_size(struct ms_st_private *p, const uint8_t *first, uint64_t size) {
  uint64_t n = 0;
  memcpy(&n, first, 8);
  if (n > HEADER_CAP || n > size - 8) {
    ms_fail("%s: not a safetensors file, or truncated: it declares a header of %llu bytes, expected at most %llu", p->name,
            (unsigned long long)n, (unsigned long long)(size - 8 < HEADER_CAP ? size - 8 : HEADER_CAP));
    return 0;
  }
  if (!n) ms_fail("%s: not a safetensors file: expected its header to begin with '{'", p->name);
  p->data = 8 + n;
  p->size = size - 8 - n;
  return (size_t)n;
}

static ms_safetensors *new_reader(const char *name) {
  ms_safetensors *s = calloc(1, sizeof *s);
  if (s && (s->private = calloc(1, sizeof *s->private))) {
    s->private->fd = -1;
    if ((s->private->name = strdup(name))) return s;
  }
  ms_safetensors_close(s);
  return ms_fail("%s: out of memory", name);
}

static int too_short(const char *name, uint64_t size) {
  if (size >= 8) return 0;
  ms_fail("%s: truncated: expected at least 8 bytes, got %llu", name, (unsigned long long)size);
  return -1;
}

static int check_flags(const struct ms_st_private *p, const ms_st_entry *e, const uint8_t *data) {
  for (size_t i = 0; e->dtype == MS_BOOL && i < e->bytes; i++)
    if (data[i] > 1) {
      ms_fail("%s: tensor '%s': expected BOOL bytes of 0 or 1, element %zu is %d", p->name, e->name, i + 1, data[i]);
      return -1;
    }
  return 0;
}

ms_safetensors *ms_safetensors_parse(const void *bytes, size_t size, const char *name) {
  ms_safetensors *s = new_reader(name);
  if (!s) return NULL;
  s->private->bytes = bytes;
  size_t n = too_short(name, size) ? 0 : header_size(s->private, bytes, size);
  bool good = n && !parse_header(s, (const char *)bytes + 8, n, UINT64_MAX); /* the caller holds the data already */
  for (int i = 0; i < s->n && good; i++) good = !check_flags(s->private, &s->entries[i], s->entries[i].data);
  if (good) return s;
  ms_safetensors_close(s);
  return NULL;
}

/* Exactly n bytes from a place of the file. */
static int read_at(const struct ms_st_private *p, void *out, size_t n, uint64_t at) {
  for (size_t done = 0; done < n;) {
    ssize_t got = pread(p->fd, (char *)out + done, n - done, (off_t)(at + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      ms_fail("%s: read failed: %s", p->name, got ? strerror(errno) : "it became shorter while it was read");
      return -1;
    }
    done += (size_t)got;
  }
  return 0;
}

static int open_file(ms_safetensors *s, const char *path, uint64_t max_bytes) {
  struct ms_st_private *p = s->private;
  uint64_t size;
  uint8_t first[8];
  if ((p->fd = ms_open_plain(path, &size)) < 0 || too_short(path, size) || read_at(p, first, 8, 0)) return -1;
  size_t n = header_size(p, first, size);
  if (!n || ms_allow_bytes(path, size, p->size, 4 * (uint64_t)n, max_bytes)) return -1;
  char *text = malloc(n);
  int bad = !text || read_at(p, text, n, 8) || parse_header(s, text, n, max_bytes);
  if (!text) ms_fail("%s: out of memory for %zu bytes", path, n);
  free(text);
  return bad ? -1 : 0;
}

ms_safetensors *ms_safetensors_open(const char *path, uint64_t max_bytes) {
  ms_safetensors *s = new_reader(path);
  if (!s || !open_file(s, path, max_bytes)) return s;
  ms_safetensors_close(s);
  return NULL;
}

int ms_safetensors_read(const ms_safetensors *s, const ms_st_entry *e, void *out) {
  const struct ms_st_private *p = s->private;
  if (!e->bytes) return 0;
  uint8_t *at = (uint8_t *)out + e->bytes - e->stored_bytes; /* where spreading wants them */
  if (p->bytes) memcpy(at, e->data, e->stored_bytes);
  else if (read_at(p, at, e->stored_bytes, p->data + p->begin[e - s->entries])) return -1;
  uint64_t value = 0;
  const size_t place = ms_stored_spread(e->stored, out, e->stored_bytes * 8 / (size_t)e->stored->bits, &value);
  if (!place) return check_flags(p, e, out);
  ms_fail("%s: tensor '%s': element %zu is %llu, more than an i64 holds (%s)", p->name, e->name, place, (unsigned long long)value,
          e->stored->name);
  return -1;
}

uint64_t ms_safetensors_place(const ms_safetensors *s, const ms_st_entry *e) {
  return s->private->data + s->private->begin[e - s->entries];
}

void ms_safetensors_close(ms_safetensors *s) {
  if (!s) return;
  for (int i = 0; i < s->n; i++) free((char *)s->entries[i].name);
  for (int i = 0; i < s->n_metadata; i++) {
    free((char *)s->metadata[i].key);
    free((char *)s->metadata[i].value);
  }
  if (s->private) {
    if (s->private->fd >= 0) close(s->private->fd);
    free(s->private->by_name);
    free(s->private->begin);
    free(s->private->name);
  }
  free(s->private);
  free(s->entries);
  free(s->metadata);
  free(s);
}

const ms_st_entry *ms_safetensors_find(const ms_safetensors *s, const char *name) {
  const ms_st_entry wanted = {.name = name}, *key = &wanted;
  const ms_st_entry **found = bsearch(&key, s->private->by_name, (size_t)s->n, sizeof key, by_name);
  return found ? *found : NULL;
}

const char *ms_safetensors_metadata(const ms_safetensors *s, const char *key) {
  const ms_st_pair wanted = {key, NULL}, *found = NULL;
  if (s->n_metadata) found = bsearch(&wanted, s->metadata, (size_t)s->n_metadata, sizeof wanted, by_key);
  return found ? found->value : NULL;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Add "key": value to an object; -1 when the key is taken or the text is not UTF-8. */
static int set_key(const char *path, json_t *object, const char *what, const char *key, json_t *value) {
  if (json_object_get(object, key)) {
    ms_fail("%s: two %s of the name '%s'", path, what, key);
    return -1;
  }
  if (!value || json_object_set_new(object, key, value)) {
    ms_fail("%s: %s '%s': expected UTF-8 text", path, what, key);
    return -1;
  }
  return 0;
}

static json_t *describe(const char *path, const ms_st_entry *e, size_t begin) {
  const ms_stored *f = ms_stored_of(e->dtype);
  size_t bytes;
  if (!f || e->rank < 0 || e->rank > MS_MAX_RANK || !shape_bytes(e->dtype, e->rank, e->shape, &bytes) || bytes != e->bytes)
    return ms_fail("%s: tensor '%s': %zu bytes are not what its dtype and shape make", path, e->name, e->bytes);
  if (begin > INT64_MAX - e->bytes) return ms_fail("%s: tensor '%s': too many bytes in all", path, e->name);
  json_t *shape = json_array();
  for (int d = 0; d < e->rank; d++) json_array_append_new(shape, json_integer(e->shape[d]));
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", f->name, "shape", shape, "data_offsets", (json_int_t)begin,
                   (json_int_t)(begin + e->bytes));
}

typedef struct contents {
  const char *path;
  int n, n_metadata;
  const ms_st_entry *entries;
  const ms_st_pair *metadata;
} contents;

/* NULL after ms_fail. Where memory lacks it does not come back (json.h). */
static json_t *make_header(void *data) {
  const contents *c = data;
  json_t *header = json_object(), *map = json_object();
  for (int i = 0; i < c->n_metadata; i++)
    if (set_key(c->path, map, "metadata", c->metadata[i].key, json_string(c->metadata[i].value))) return NULL;
  if (c->n_metadata) json_object_set(header, "__metadata__", map);
  size_t at = 0;
  for (int i = 0; i < c->n; i++) {
    if (!strcmp(c->entries[i].name, "__metadata__")) return ms_fail("%s: the name '__metadata__' is reserved", c->path);
    json_t *value = describe(c->path, &c->entries[i], at);
    if (!value || set_key(c->path, header, "tensors", c->entries[i].name, value)) return NULL;
    at += c->entries[i].bytes;
  }
  return header;
}

int ms_safetensors_write(const char *path, int n, const ms_st_entry *entries, int n_metadata, const ms_st_pair *metadata) {
  contents c = {path, n, n_metadata, entries, metadata};
  bool no_memory;
  char *text = ms_json_write(make_header, &c, JSON_COMPACT, &no_memory);
  if (!text && no_memory) ms_fail("%s: out of memory for the header", path);
  if (!text) return -1;
  size_t size = strlen(text);
  if (size > HEADER_CAP - 8) {
    free(text);
    ms_fail("%s: expected a header of at most %d bytes, got %zu", path, HEADER_CAP, size);
    return -1;
  }
  /* Spaces behind the header make the data begin on a multiple of 8. */
  uint64_t padded = (size + 7) / 8 * 8;
  ms_writer *w = ms_writer_open(path);
  int bad = ms_writer_write(w, &padded, 8) || ms_writer_write(w, text, size) || ms_writer_write(w, "       ", padded - size);
  for (int i = 0; !bad && i < n; i++) bad = ms_writer_write(w, entries[i].data, entries[i].bytes);
  free(text);
  if (!bad) return ms_writer_commit(w);
  ms_writer_abort(w);
  return -1;
}
