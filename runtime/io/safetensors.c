/* safetensors.c -- https://github.com/huggingface/safetensors: u64 header size, JSON header, data without holes or overlaps. */
#include "io/io.h"
#include "io/json.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "the data are little-endian and used in place");

enum { HEADER_CAP = 100000000 };

static const struct {
  const char *name;
  ms_dtype dtype;
} dtypes[] = {{"F32", MS_F32}, {"F64", MS_F64}, {"BF16", MS_BF16}, {"F16", MS_F16},
              {"I64", MS_I64}, {"I32", MS_I32}, {"U8", MS_U8},     {"BOOL", MS_BOOL}};

struct ms_st_private {
  ms_json *header; /* owns the names and the metadata */
  char *name;      /* for messages */
  const uint8_t *data;
  size_t size; /* of the data */
  void *map;
  size_t map_size;
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

static int read_shape(const char *file, const char *name, const json_t *list, ms_st_entry *e) {
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

/* One entry of the header, checked against itself and the size of the data. Its position among the others is checked later. */
static int read_entry(struct ms_st_private *p, const char *name, const json_t *value, ms_st_entry *e) {
  const char *file = p->name, *dtype = json_string_value(json_object_get(value, "dtype"));
  const json_t *offsets = json_object_get(value, "data_offsets");
  const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
  *e = (ms_st_entry){.name = name, .dtype = MS_DTYPES};
  if (!dtype || json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last)) {
    ms_fail("%s: tensor '%s': expected dtype, shape and data_offsets [begin, end]", file, name);
    return -1;
  }
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
    if (!strcmp(dtype, dtypes[i].name)) e->dtype = dtypes[i].dtype;
  if (e->dtype == MS_DTYPES) {
    ms_fail("%s: tensor '%s': expected dtype F32, F64, BF16, F16, I64, I32, U8 or BOOL, got %.40s", file, name, dtype);
    return -1;
  }
  if (read_shape(file, name, json_object_get(value, "shape"), e)) return -1;
  json_int_t begin = json_integer_value(first), end = json_integer_value(last);
  if (begin < 0 || end < begin || (uint64_t)end > p->size) {
    ms_fail("%s: tensor '%s': data_offsets [%lld, %lld] do not lie in the %zu bytes of data there are", file, name,
            (long long)begin, (long long)end, p->size);
    return -1;
  }
  if (!shape_bytes(e->dtype, e->rank, e->shape, &e->bytes) || e->bytes != (size_t)(end - begin)) {
    ms_fail("%s: tensor '%s': dtype and shape do not make the %lld bytes that data_offsets say", file, name,
            (long long)(end - begin));
    return -1;
  }
  e->data = p->data + begin;
  for (size_t i = 0; e->dtype == MS_BOOL && i < e->bytes; i++)
    if (((const uint8_t *)e->data)[i] > 1) {
      ms_fail("%s: tensor '%s': expected BOOL bytes of 0 or 1, element %zu is %d", file, name, i + 1,
              ((const uint8_t *)e->data)[i]);
      return -1;
    }
  return 0;
}

static int read_metadata(ms_safetensors *s, json_t *map) {
  const char *key;
  json_t *value;
  if (!json_is_object(map)) {
    ms_fail("%s: expected __metadata__ to map strings to strings", s->private->name);
    return -1;
  }
  s->metadata = calloc(json_object_size(map) + 1, sizeof *s->metadata);
  if (!s->metadata) {
    ms_fail("%s: out of memory", s->private->name);
    return -1;
  }
  json_object_foreach(map, key, value) {
    if (!json_is_string(value)) {
      ms_fail("%s: expected __metadata__ to map strings to strings, '%s' is none", s->private->name, key);
      return -1;
    }
    s->metadata[s->n_metadata++] = (ms_st_pair){key, json_string_value(value)};
  }
  return 0;
}

/* Where the data begin; among those at the same place the empty ones come first. */
static int by_position(const void *a, const void *b) {
  const ms_st_entry *x = a, *y = b;
  if (x->data != y->data) return x->data < y->data ? -1 : 1;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
  return strcmp(x->name, y->name);
}

static int read_entries(ms_safetensors *s) {
  struct ms_st_private *p = s->private;
  const char *key;
  json_t *value;
  json_t *header = ms_json_root(p->header);
  s->entries = calloc(json_object_size(header) + 1, sizeof *s->entries);
  if (!s->entries) {
    ms_fail("%s: out of memory", p->name);
    return -1;
  }
  json_object_foreach(header, key, value) {
    if (!strcmp(key, "__metadata__")) {
      if (read_metadata(s, value)) return -1;
    } else if (read_entry(p, key, value, &s->entries[s->n++])) return -1;
  }
  qsort(s->entries, (size_t)s->n, sizeof *s->entries, by_position);
  const uint8_t *at = p->data;
  for (int i = 0; i < s->n; i++) {
    const ms_st_entry *e = &s->entries[i];
    if (e->data != at) {
      ms_fail("%s: tensor '%s': expected its data to begin at byte %td, got %td: there is %s", p->name, e->name, at - p->data,
              (const uint8_t *)e->data - p->data, (const uint8_t *)e->data > at ? "a hole" : "an overlap");
      return -1;
    }
    at += e->bytes;
  }
  if (at == p->data + p->size) return 0;
  ms_fail("%s: expected %td bytes of data, got %zu", p->name, at - p->data, p->size);
  return -1;
}

/* s takes over the map. */
static int parse(ms_safetensors *s, const uint8_t *bytes, size_t size) {
  struct ms_st_private *p = s->private;
  uint64_t n = 0;
  if (size < 8) {
    ms_fail("%s: truncated: expected at least 8 bytes, got %zu", p->name, size);
    return -1;
  }
  memcpy(&n, bytes, 8);
  if (n > HEADER_CAP || n > size - 8) {
    ms_fail("%s: not a safetensors file, or truncated: it declares a header of %llu bytes, expected at most %zu", p->name,
            (unsigned long long)n, size - 8 < HEADER_CAP ? size - 8 : (size_t)HEADER_CAP);
    return -1;
  }
  if (!n || bytes[8] != '{') {
    ms_fail("%s: not a safetensors file: expected its header to begin with '{'", p->name);
    return -1;
  }
  json_error_t why;
  p->data = bytes + 8 + n;
  p->size = size - 8 - (size_t)n;
  p->header = ms_json_parse((const char *)bytes + 8, (size_t)n, 0, &why);
  if (!p->header) {
    if (why.line < 0) ms_fail("%s: %s", p->name, why.text);
    else ms_fail("%s: bad safetensors header, at byte %d: %s", p->name, why.position, why.text);
    return -1;
  }
  return read_entries(s);
}

static ms_safetensors *new_reader(const char *name) {
  ms_safetensors *s = calloc(1, sizeof *s);
  if (s && (s->private = calloc(1, sizeof *s->private)) && (s->private->name = strdup(name))) return s;
  ms_safetensors_close(s);
  return ms_fail("%s: out of memory", name);
}

ms_safetensors *ms_safetensors_parse(const void *bytes, size_t size, const char *name) {
  ms_safetensors *s = new_reader(name);
  if (!s || !parse(s, bytes, size)) return s;
  ms_safetensors_close(s);
  return NULL;
}

static int map_file(struct ms_st_private *p, const char *path) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    ms_fail("%s: cannot open: %s", path, strerror(errno));
    return -1;
  }
  void *map = MAP_FAILED;
  if (fstat(fd, &st)) ms_fail("%s: cannot read: %s", path, strerror(errno));
  else if (!S_ISREG(st.st_mode)) ms_fail("%s: cannot read: expected a plain file", path);
  else if (st.st_size < 8) ms_fail("%s: truncated: expected at least 8 bytes, got %lld", path, (long long)st.st_size);
  else if ((map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
    ms_fail("%s: cannot read: %s", path, strerror(errno));
  close(fd);
  if (map == MAP_FAILED) return -1;
  p->map = map;
  p->map_size = (size_t)st.st_size;
  return 0;
}

ms_safetensors *ms_safetensors_open(const char *path) {
  ms_safetensors *s = new_reader(path);
  if (!s || (!map_file(s->private, path) && !parse(s, s->private->map, s->private->map_size))) return s;
  ms_safetensors_close(s);
  return NULL;
}

void ms_safetensors_close(ms_safetensors *s) {
  if (!s) return;
  if (s->private) {
    ms_json_free(s->private->header);
    if (s->private->map) munmap(s->private->map, s->private->map_size);
    free(s->private->name);
  }
  free(s->private);
  free(s->entries);
  free(s->metadata);
  free(s);
}

const ms_st_entry *ms_safetensors_find(const ms_safetensors *s, const char *name) {
  for (int i = 0; i < s->n; i++)
    if (!strcmp(s->entries[i].name, name)) return &s->entries[i];
  return NULL;
}

const char *ms_safetensors_metadata(const ms_safetensors *s, const char *key) {
  for (int i = 0; i < s->n_metadata; i++)
    if (!strcmp(s->metadata[i].key, key)) return s->metadata[i].value;
  return NULL;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Add "key": value to an object; -1 when the key is taken or the text is not UTF-8. */
static int put(const char *path, json_t *object, const char *what, const char *key, json_t *value) {
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
  const char *dtype = NULL;
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
    if (dtypes[i].dtype == e->dtype) dtype = dtypes[i].name;
  size_t bytes;
  if (!dtype || e->rank < 0 || e->rank > MS_MAX_RANK || !shape_bytes(e->dtype, e->rank, e->shape, &bytes) || bytes != e->bytes)
    return ms_fail("%s: tensor '%s': %zu bytes are not what its dtype and shape make", path, e->name, e->bytes);
  if (begin > INT64_MAX - e->bytes) return ms_fail("%s: tensor '%s': too many bytes in all", path, e->name);
  json_t *shape = json_array();
  for (int d = 0; d < e->rank; d++) json_array_append_new(shape, json_integer(e->shape[d]));
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", shape, "data_offsets", (json_int_t)begin,
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
    if (put(c->path, map, "metadata", c->metadata[i].key, json_string(c->metadata[i].value))) return NULL;
  if (c->n_metadata) json_object_set(header, "__metadata__", map);
  size_t at = 0;
  for (int i = 0; i < c->n; i++) {
    if (!strcmp(c->entries[i].name, "__metadata__")) return ms_fail("%s: the name '__metadata__' is reserved", c->path);
    json_t *value = describe(c->path, &c->entries[i], at);
    if (!value || put(c->path, header, "tensors", c->entries[i].name, value)) return NULL;
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
