/* idx.c -- the IDX format (http://yann.lecun.com/exdb/mnist): 00 00 type rank, rank big-endian u32 sizes, elements big-endian in C
 * order. */
#include "data/data.h"
#include "io/io.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

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

/* ---- where bytes come from: a file or memory, gzipped or not ----------------------------------------------------- */

enum { CHUNK = 1 << 18 };

typedef struct source {
  const char *name;
  int fd;            /* -1: memory */
  const uint8_t *in; /* what is at hand and not used yet */
  size_t left;
  uint8_t *chunk; /* CHUNK bytes for reading the file */
  bool gz, ended; /* ended: the last gzip member is complete */
  z_stream z;
} source;

/* More bytes at hand. 1 = some, 0 = the end, -1 = failed. */
static int refill(source *s) {
  if (s->left) return 1;
  if (s->fd < 0) return 0;
  ssize_t got;
  do got = read(s->fd, s->chunk, CHUNK);
  while (got < 0 && errno == EINTR);
  if (got < 0) {
    ms_fail("%s: read failed: %s", s->name, strerror(errno));
    return -1;
  }
  s->in = s->chunk;
  s->left = (size_t)got;
  return got > 0;
}

static int source_open(source *s) {
  if (refill(s) < 0) return -1;
  if (s->left < 2 || s->in[0] != 0x1f || s->in[1] != 0x8b) return 0;
  if (inflateInit2(&s->z, 15 + 16) != Z_OK) {
    ms_fail("%s: out of memory", s->name);
    return -1;
  }
  s->gz = true;
  return 0;
}

static void source_close(source *s) {
  if (s->gz) inflateEnd(&s->z);
  if (s->fd >= 0) close(s->fd);
  free(s->chunk);
}

/* One call to inflate for up to n bytes, n > 0. Returns how many came, 0 at the end, -1 on failure. */
static ssize_t inflate_some(source *s, uint8_t *out, size_t n) {
  for (;;) {
    int more = refill(s);
    if (more < 0) return -1;
    if (s->ended) {
      if (!more) return 0;
      /* A gzip file may be several members one after the other. */
      if (s->in[0] != 0x1f || inflateReset(&s->z) != Z_OK) {
        ms_fail("%s: bytes that are not gzip follow the end of the compressed data", s->name);
        return -1;
      }
      s->ended = false;
    }
    if (!more) {
      ms_fail("%s: truncated: the compressed data end too early", s->name);
      return -1;
    }
    uInt in = s->left > CHUNK ? CHUNK : (uInt)s->left, room = n > CHUNK ? CHUNK : (uInt)n;
    s->z.next_in = (Bytef *)s->in;
    s->z.avail_in = in;
    s->z.next_out = out;
    s->z.avail_out = room;
    int rc = inflate(&s->z, Z_NO_FLUSH);
    s->in += in - s->z.avail_in;
    s->left -= in - s->z.avail_in;
    if (rc == Z_STREAM_END) s->ended = true;
    else if (rc != Z_OK && rc != Z_BUF_ERROR) {
      ms_fail("%s: damaged gzip data: %s", s->name, s->z.msg ? s->z.msg : zError(rc));
      return -1;
    }
    if (room > s->z.avail_out) return (ssize_t)(room - s->z.avail_out);
  }
}

/* Up to n bytes. Returns how many, fewer only at the end; -1 on failure. */
static int64_t source_read(source *s, void *out, size_t n) {
  uint8_t *at = out;
  size_t done = 0;
  while (done < n) {
    if (s->gz) {
      ssize_t got = inflate_some(s, at + done, n - done);
      if (got < 0) return -1;
      if (!got) break;
      done += (size_t)got;
    } else {
      int more = refill(s);
      if (more < 0) return -1;
      if (!more) break;
      size_t take = s->left < n - done ? s->left : n - done;
      memcpy(at + done, s->in, take);
      s->in += take;
      s->left -= take;
      done += take;
    }
  }
  return (int64_t)done;
}

/* Exactly n bytes, or a message. The buffer grows with what arrives, so that a false n costs nothing. */
static uint8_t *read_body(source *s, size_t n) {
  size_t room = n < CHUNK ? n : CHUNK, done = 0;
  uint8_t *buf = malloc(room ? room : 1);
  while (buf) {
    int64_t got = source_read(s, buf + done, room - done);
    if (got < 0) break;
    done += (size_t)got;
    if (done < room) {
      ms_fail("%s: truncated: expected %zu bytes of elements, got %zu", s->name, n, done);
      break;
    }
    if (done == n) return buf;
    room = room > n / 2 ? n : room * 2;
    uint8_t *more = realloc(buf, room);
    if (!more) free(buf);
    buf = more;
  }
  if (!buf) return ms_fail("%s: out of memory for %zu bytes", s->name, room);
  free(buf);
  return NULL;
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

/* Big-endian elements to the machine's, in place; i8 and i16 spread to i32 from the last one down. buf has room for the result. */
static void to_host(uint8_t *buf, int64_t n, const struct idx_type *t) {
  switch (t->code) {
  case MS_IDX_I8:
    for (int64_t i = n - 1; i >= 0; i--) {
      int32_t v = (int8_t)buf[i];
      memcpy(buf + 4 * i, &v, 4);
    }
    break;
  case MS_IDX_I16:
    for (int64_t i = n - 1; i >= 0; i--) {
      int32_t v = (int16_t)(buf[2 * i] << 8 | buf[2 * i + 1]);
      memcpy(buf + 4 * i, &v, 4);
    }
    break;
  case MS_IDX_I32:
  case MS_IDX_F32:
    for (int64_t i = 0; i < n; i++) {
      uint8_t *p = buf + 4 * i;
      uint32_t v = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
      memcpy(p, &v, 4);
    }
    break;
  case MS_IDX_F64:
    for (int64_t i = 0; i < n; i++) {
      uint8_t *p = buf + 8 * i;
      uint64_t v = 0;
      for (int k = 0; k < 8; k++) v = v << 8 | p[k];
      memcpy(p, &v, 8);
    }
    break;
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

/* Header to a (without data). Returns its type, or NULL. */
static const struct idx_type *read_header(source *s, ms_array *a) {
  uint8_t head[4], sizes[4 * MS_MAX_RANK];
  int64_t got = source_read(s, head, 4);
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
  got = source_read(s, sizes, 4 * (size_t)a->rank);
  if (got < 0) return NULL;
  if (got < 4 * a->rank) return ms_fail("%s: truncated: expected %d bytes of sizes, got %d", s->name, 4 * a->rank, (int)got);
  to_host(sizes, a->rank, find_type(MS_IDX_I32));
  int64_t count = 1;
  bool empty = false, over = false;
  for (int d = 0; d < a->rank; d++) {
    uint32_t size;
    memcpy(&size, sizes + 4 * d, 4);
    a->shape[d] = size;
    if (!size) empty = true;
    else if (__builtin_mul_overflow(count, (int64_t)size, &count) || count > INT64_MAX / 16) {
      over = true;
      count = 1;
    }
  }
  /* Sizes whose product does not fit are nonsense even beside a 0. */
  if (over || (uint64_t)count > SIZE_MAX / 16) return ms_fail("%s: bad IDX header: absurd sizes, their product overflows", s->name);
  a->count = empty ? 0 : count;
  return t;
}

static int read_all(source *s, ms_array *a) {
  if (source_open(s)) return -1;
  const struct idx_type *t = read_header(s, a);
  if (!t) return -1;
  uint8_t *buf = read_body(s, (size_t)a->count * (size_t)t->size), extra;
  if (!buf) return -1;
  a->data = buf;
  int64_t more = source_read(s, &extra, 1);
  if (more > 0) ms_fail("%s: too long: more bytes follow the %lld elements its header declares", s->name, (long long)a->count);
  if (more) return -1;
  size_t wide = (size_t)a->count * ms_dtype_size(a->dtype);
  if (wide > (size_t)a->count * (size_t)t->size) {
    if (!(buf = realloc(buf, wide))) {
      ms_fail("%s: out of memory for %zu bytes", s->name, wide);
      return -1;
    }
    a->data = buf;
  }
  to_host(buf, a->count, t);
  return 0;
}

static ms_array *idx_load(source *s) {
  ms_array *a = calloc(1, sizeof *a);
  if (!a) ms_fail("%s: out of memory", s->name);
  else if (read_all(s, a)) {
    ms_array_free(a);
    a = NULL;
  }
  source_close(s);
  return a;
}

ms_array *ms_idx_parse(const void *bytes, size_t size, const char *name) {
  source s = {.name = name, .fd = -1, .in = bytes, .left = size};
  return idx_load(&s);
}

ms_array *ms_idx_read(const char *path) {
  source s = {.name = path, .fd = open(path, O_RDONLY | O_CLOEXEC), .chunk = malloc(CHUNK)};
  if (s.fd >= 0 && s.chunk) return idx_load(&s);
  if (s.fd < 0) ms_fail("%s: cannot open: %s", path, strerror(errno));
  else ms_fail("%s: out of memory", path);
  source_close(&s);
  return NULL;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

typedef struct sink {
  ms_writer *w;
  bool gz;
  z_stream z;
} sink;

static int sink_write(sink *k, const void *data, size_t n, bool last) {
  if (!k->gz) return ms_writer_write(k->w, data, n);
  uint8_t out[1 << 14];
  k->z.next_in = (Bytef *)data;
  k->z.avail_in = (uInt)n; /* callers write at most a few KB at a time */
  do {
    k->z.next_out = out;
    k->z.avail_out = sizeof out;
    deflate(&k->z, last ? Z_FINISH : Z_NO_FLUSH); /* cannot fail: the stream is sound and there is room */
    if (ms_writer_write(k->w, out, sizeof out - k->z.avail_out)) return -1;
  } while (!k->z.avail_out);
  return 0;
}

static int write_all(sink *k, const ms_array *a, const struct idx_type *t) {
  uint8_t buf[4096] = {0, 0, (uint8_t)t->code, (uint8_t)a->rank};
  for (int d = 0; d < a->rank; d++)
    for (int b = 0; b < 4; b++) buf[4 + 4 * d + b] = (uint8_t)(a->shape[d] >> (24 - 8 * b));
  int rc = sink_write(k, buf, 4 + 4 * (size_t)a->rank, false);
  int64_t block = (int64_t)sizeof buf / t->size;
  for (int64_t i = 0; !rc && i < a->count; i += block) {
    int64_t n = a->count - i < block ? a->count - i : block;
    for (int64_t j = 0; j < n; j++) from_host(buf + j * t->size, a->data, i + j, t);
    rc = sink_write(k, buf, (size_t)(n * t->size), false);
  }
  return rc ? rc : sink_write(k, buf, 0, true);
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
  size_t n = strlen(path);
  sink k = {.gz = n > 3 && !strcmp(path + n - 3, ".gz")};
  if (k.gz && deflateInit2(&k.z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    ms_fail("%s: out of memory", path);
    return -1;
  }
  k.w = ms_writer_open(path);
  int rc = k.w ? write_all(&k, a, t) : -1;
  if (k.gz) deflateEnd(&k.z);
  if (!rc) return ms_writer_commit(k.w);
  ms_writer_abort(k.w);
  return -1;
}
