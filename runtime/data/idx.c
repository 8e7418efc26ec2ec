/* idx.c -- the IDX format (http://yann.lecun.com/exdb/mnist): 00 00 type rank, rank big-endian u32 sizes, elements big-endian in C
 * order. */
#include "data/data.h"
#include "data/format.h"
#include "io/packed.h"
#include "io/source.h"
#include <stdlib.h>
#include <string.h>

void ms_array_free(ms_array *a) {
  if (!a) return;
  free(a->data);
  free(a);
}

static const struct idx_type {
  int code, size; /* size in the file */
  ms_dtype dtype; /* in memory */
  const char *name;
} types[] = {{MS_IDX_U8, 1, MS_U8, "u8"},    {MS_IDX_I8, 1, MS_I32, "i8"},   {MS_IDX_I16, 2, MS_I32, "i16"},
             {MS_IDX_I32, 4, MS_I32, "i32"}, {MS_IDX_F32, 4, MS_F32, "f32"}, {MS_IDX_F64, 8, MS_F64, "f64"}};

static const struct idx_type *find_type(int code) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].code == code) return &types[i];
  return NULL;
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

/* n big-endian elements to the machine's; i8 and i16 spread to i32. out and `in` may be the same where the sizes are. */
static void to_host(void *out, const uint8_t *in, int64_t n, const struct idx_type *t) {
  for (int64_t i = 0; i < n; i++, in += t->size) {
    uint64_t bits = 0;
    for (int k = 0; k < t->size; k++) bits = bits << 8 | in[k];
    int32_t wide = t->code == MS_IDX_I8 ? (int8_t)bits : t->code == MS_IDX_I16 ? (int16_t)bits : (int32_t)(uint32_t)bits;
    if (t->size == 8) memcpy((char *)out + 8 * i, &bits, 8);
    else memcpy((char *)out + 4 * i, &wide, 4);
  }
}

/* Element i as the bytes of the file. */
static void from_host(uint8_t *out, const void *data, int64_t i, const struct idx_type *t) {
  uint64_t v = 0;
  if (t->dtype == MS_U8) v = ((const uint8_t *)data)[i];
  else if (t->dtype == MS_F64) memcpy(&v, (const char *)data + 8 * i, 8);
  else {
    uint32_t word;
    memcpy(&word, (const char *)data + 4 * i, 4);
    v = word;
  }
  for (int k = t->size - 1; k >= 0; k--, v >>= 8) out[k] = (uint8_t)v;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct ms_idx_private {
  ms_source s;
  const struct idx_type *type;
};

/* Header to a (without data). Returns its type, or NULL. */
static const struct idx_type *read_header(ms_source *s, ms_array *a) {
  uint8_t head[4], sizes[4 * MS_MAX_RANK];
  int64_t got = ms_source_read(s, head, 4);
  if (got < 0) return NULL;
  if (got < 4) return ms_fail("%s: truncated: expected at least 4 bytes of IDX header, got %d", s->name, (int)got);
  const struct idx_type *t = find_type(head[2]);
  if (head[0] || head[1])
    return ms_fail("%s: not an IDX file: expected it to begin with 00 00, got %02x %02x %02x %02x", s->name, head[0], head[1],
                   head[2], head[3]);
  if (!t) return ms_fail("%s: bad IDX header: expected element type 08, 09, 0b, 0c, 0d or 0e, got %02x", s->name, head[2]);
  if (head[3] < 1 || head[3] > MS_MAX_RANK)
    return ms_fail("%s: bad IDX header: expected 1 to %d dimensions, got %d", s->name, MS_MAX_RANK, head[3]);
  a->rank = head[3];
  a->dtype = t->dtype;
  got = ms_source_read(s, sizes, 4 * (size_t)a->rank);
  if (got < 0) return NULL;
  if (got < 4 * a->rank) return ms_fail("%s: truncated: expected %d bytes of sizes, got %d", s->name, 4 * a->rank, (int)got);
  to_host(sizes, sizes, a->rank, find_type(MS_IDX_I32));
  int64_t count = 1;
  bool empty = false, overflows = false;
  for (int d = 0; d < a->rank; d++) {
    uint32_t size;
    memcpy(&size, sizes + 4 * d, 4);
    a->shape[d] = size;
    if (!size) empty = true;
    else if (__builtin_mul_overflow(count, (int64_t)size, &count) || count > INT64_MAX / 16) {
      overflows = true;
      count = 1;
    }
  }
  /* Sizes whose product does not fit are nonsense even beside a 0. */
  if (overflows || (uint64_t)count > SIZE_MAX / 16)
    return ms_fail("%s: bad IDX header: absurd sizes, their product overflows", s->name);
  a->count = empty ? 0 : count;
  return t;
}

/* Is what the header declares in the file, or can it be? deflate makes at best 1032 bytes of one. */
static int check_declared(const ms_source *s, const ms_array *a, const struct idx_type *t, uint64_t max_bytes) {
  uint64_t bytes = (uint64_t)a->count * (uint64_t)t->size, there = s->size - 4 - 4 * (uint64_t)a->rank;
  if (s->gz) there = s->size * 1032;
  if (bytes > there) {
    ms_fail("%s: truncated: expected %llu bytes of elements, got %s%llu", s->name, (unsigned long long)bytes,
            s->gz ? "at most " : "", (unsigned long long)there);
    return -1;
  }
  return ms_allow_bytes(s->name, s->size, (uint64_t)a->count * ms_dtype_size(a->dtype), 0, max_bytes);
}

/* f takes over its source. */
static ms_idx *open_source(ms_idx *f, uint64_t max_bytes) {
  struct ms_idx_private *p = f->private;
  if (!ms_source_gunzip(&p->s) && (p->type = read_header(&p->s, &f->what)) && !check_declared(&p->s, &f->what, p->type, max_bytes))
    return f;
  ms_idx_close(f);
  return NULL;
}

static ms_idx *new_file(const char *name) {
  ms_idx *f = calloc(1, sizeof *f);
  if (f && (f->private = calloc(1, sizeof *f->private))) return f;
  free(f);
  return ms_fail("%s: out of memory", name);
}

void ms_idx_close(ms_idx *f) {
  if (!f) return;
  ms_source_close(&f->private->s);
  free(f->private);
  free(f);
}

ms_idx *ms_idx_open(const char *path, uint64_t max_bytes) {
  ms_idx *f = new_file(path);
  if (!f) return NULL;
  if (!ms_source_file(&f->private->s, path)) return open_source(f, max_bytes);
  ms_idx_close(f);
  return NULL;
}

int ms_idx_elements(ms_idx *f, void *out) {
  enum { PIECE = 1 << 14 };
  const struct idx_type *t = f->private->type;
  ms_source *s = &f->private->s;
  size_t wide = ms_dtype_size(f->what.dtype), size = (size_t)t->size;
  uint8_t piece[PIECE], extra;
  for (int64_t i = 0, n; i < f->what.count; i += n) {
    n = f->what.count - i < PIECE / (int64_t)size ? f->what.count - i : PIECE / (int64_t)size;
    int64_t got = ms_source_read(s, piece, (size_t)n * size);
    if (got < 0) return -1;
    if (got < n * (int64_t)size) {
      ms_fail("%s: truncated: expected %lld bytes of elements, got %lld", s->name, (long long)(f->what.count * (int64_t)size),
              (long long)(i * (int64_t)size + got));
      return -1;
    }
    if (size == 1 && wide == 1) memcpy((char *)out + i, piece, (size_t)n);
    else to_host((char *)out + (size_t)i * wide, piece, n, t);
  }
  int64_t more = ms_source_read(s, &extra, 1);
  if (more > 0) ms_fail("%s: too long: more bytes follow the %lld elements its header declares", s->name, (long long)f->what.count);
  return more ? -1 : 0;
}

/* All of f, which is closed. */
static ms_array *read_array(ms_idx *f) {
  if (!f) return NULL;
  ms_array *a = malloc(sizeof *a);
  size_t bytes = (size_t)f->what.count * ms_dtype_size(f->what.dtype);
  if (a) {
    *a = f->what;
    a->data = malloc(bytes ? bytes : 1);
  }
  if (!a || !a->data) ms_fail("%s: out of memory for %zu bytes", f->private->s.name, bytes);
  if (!a || !a->data || ms_idx_elements(f, a->data)) {
    ms_array_free(a);
    a = NULL;
  }
  ms_idx_close(f);
  return a;
}

ms_array *ms_idx_parse(const void *bytes, size_t size, const char *name) {
  ms_idx *f = new_file(name);
  if (!f) return NULL;
  ms_source_memory(&f->private->s, bytes, size, name);
  return read_array(open_source(f, 0));
}

ms_array *ms_idx_read(const char *path) { return read_array(ms_idx_open(path, 0)); }

/* ---- as a row of the table of formats ---------------------------------------------------------------------------- */

static bool is(const uint8_t *head, size_t n, uint64_t size) {
  (void)size;
  return n >= 8 && !head[0] && !head[1] && find_type(head[2]) && head[3] >= 1 && head[3] <= MS_MAX_RANK;
}

static int open_format(ms_file *file) {
  ms_idx *f = file->private = new_file(file->name);
  if (!f || (file->in_memory ? (ms_source_memory(&f->private->s, file->bytes, file->size, file->name), 0)
                             : ms_source_file(&f->private->s, file->name)))
    return -1;
  file->private = open_source(f, file->max_bytes);
  ms_content *it = file->private ? ms_file_add(file, NULL) : NULL;
  if (!it) return -1;
  it->dtype = f->what.dtype;
  it->rank = f->what.rank;
  memcpy(it->shape, f->what.shape, sizeof it->shape);
  const uint64_t head = 4 + 4 * (uint64_t)it->rank;
  if (!file->in_memory && !f->private->s.gz && it->dtype == MS_U8 && head + (uint64_t)f->what.count == f->private->s.size)
    it->at = head;
  return 0;
}

static int read_format(ms_file *f, int k, void *out) { return (void)k, ms_idx_elements(f->private, out); }
static void close_format(ms_file *f) { ms_idx_close(f->private); }

const ms_format ms_format_idx = {
    .name = "IDX", .what = "IDX", .gzipped = true, .is = is, .open = open_format, .read = read_format, .close = close_format};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int write_array(ms_packer *w, const ms_array *a, const struct idx_type *t) {
  uint8_t buf[4096] = {0, 0, (uint8_t)t->code, (uint8_t)a->rank};
  for (int d = 0; d < a->rank; d++)
    for (int b = 0; b < 4; b++) buf[4 + 4 * d + b] = (uint8_t)(a->shape[d] >> (24 - 8 * b));
  int rc = ms_packer_write(w, buf, 4 + 4 * (size_t)a->rank);
  int64_t block = (int64_t)sizeof buf / t->size;
  for (int64_t i = 0; !rc && i < a->count; i += block) {
    int64_t n = a->count - i < block ? a->count - i : block;
    for (int64_t j = 0; j < n; j++) from_host(buf + j * t->size, a->data, i + j, t);
    rc = ms_packer_write(w, buf, (size_t)(n * t->size));
  }
  return rc;
}

static int check_array(const char *path, const ms_array *a, const struct idx_type *t) {
  if (!t || t->dtype != a->dtype) {
    ms_fail("%s: cannot write as IDX: expected u8, i32, f32 or f64 and a type that holds them, got %s%s%s", path,
            ms_dtype_name(a->dtype), t ? " as " : "", t ? t->name : "");
    return -1;
  }
  int64_t count = 1;
  bool bad = a->rank < 1 || a->rank > MS_MAX_RANK;
  for (int d = 0; !bad && d < a->rank; d++)
    bad = a->shape[d] < 0 || a->shape[d] > UINT32_MAX || __builtin_mul_overflow(count, a->shape[d], &count);
  if (bad || count != a->count) {
    ms_fail("%s: cannot write as IDX: expected 1 to %d dimensions, sizes below 2^32 and as many elements as they say", path,
            MS_MAX_RANK);
    return -1;
  }
  int64_t least = t->code == MS_IDX_I8 ? INT8_MIN : INT16_MIN, most = t->code == MS_IDX_I8 ? INT8_MAX : INT16_MAX;
  if (t->code == MS_IDX_I8 || t->code == MS_IDX_I16)
    for (int64_t i = 0; i < count; i++) {
      int32_t v = ((const int32_t *)a->data)[i];
      if (v >= least && v <= most) continue;
      ms_fail("%s: cannot write as IDX %s: element %lld is %d", path, t->name, (long long)i, v);
      return -1;
    }
  return 0;
}

int ms_idx_write(const char *path, const ms_array *a, int type) {
  const struct idx_type *t = type ? find_type(type) : NULL;
  for (size_t i = 0; !type && i < sizeof types / sizeof *types; i++)
    if (types[i].dtype == a->dtype && types[i].size == (int)ms_dtype_size(a->dtype)) t = &types[i];
  if (check_array(path, a, t)) return -1;
  ms_packer *w = ms_packer_open(path);
  if (w && !write_array(w, a, t)) return ms_packer_commit(w);
  ms_packer_abort(w);
  return -1;
}
