/* mat.c -- MATLAB's files of version 5, from front to back (mat.h says how it is used).
 *
 * 128 bytes of header: text, version 0x0100, "IM" (or "MI": the other order of bytes). Then elements: a tag (type, bytes) and so
 * many bytes, padded to 8. A variable is an element of type matrix, or of type compressed, which is a zlib stream of one matrix; a
 * matrix is itself elements: flags (with the class), sizes, name, and then numbers, characters, the matrices of its cells or
 * fields.
 *
 *   file:  header | compressed [ matrix [ flags sizes name numbers ] ] | matrix [ flags sizes name matrix [...] matrix [...] ] |
 * ... level:                        1                                       1                            2
 *
 * level[d].left says how many bytes of the innermost d-th matrix are still to come: take() hands out no more than that, so that no
 * element reaches beyond the one it lies in. */
#include "data/mat.h"
#include "io/io.h"
#include "io/source.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  HEAD = MS_MAT_HEAD,
  PIECE = 1 << 14,
  DEEPEST = 16,
  NAME = 256,
  NODE = 512 /* bytes that a value takes besides its numbers */
};
enum { INT8 = 1, INT32 = 5, UINT32 = 6, MATRIX = 14, COMPRESSED = 15 };

typedef struct level {
  uint64_t left;           /* bytes of the matrix */
  int64_t children, taken; /* of cells and structures: how many there are, how many were given */
  int fields, width;       /* of structures: names of `width` bytes each */
  char *names;
} level;

struct ms_mat {
  ms_source s;
  uint64_t at;          /* the next byte of the file */
  uint64_t begin, end;  /* of the variable's element, behind its tag; `end` may lie behind the end of the file: it is cut off */
  bool swap, partial;   /* swap: the bytes of numbers lie in the other order than the machine's */
  bool deflated, ended; /* the variable is compressed; its stream has ended */
  z_stream z;           /* in use while deflated */
  uint64_t spent, max_bytes;
  int depth;          /* level[depth] is where values are read; the pending one, if any, has its own level above */
  bool pending, done; /* a value was given and its contents not yet looked at; the file ends here */
  level level[DEEPEST + 2];
  ms_mat_var var;
  int64_t lo; /* what the class holds, if that is whole numbers */
  uint64_t hi;
  int64_t first; /* of the last dimension: how many are wanted */
  char name[NAME], header[117];
};

/* ---- bytes -------------------------------------------------------------------------------------------------------- */

static uint64_t size_of(const ms_mat *f) { return f->s.size; }
/* The variable, also for what lies within it. */
static const char *shown(ms_mat *f) {
  const char *name = f->depth ? f->name : f->var.name;
  return name && *name ? name : "a variable";
}

static int damaged(ms_mat *f, const char *why) {
  ms_fail("%s: damaged: %s: %s", f->s.name, shown(f), why);
  return -1;
}

static int cut_off(ms_mat *f) {
  if (f->end > size_of(f))
    ms_fail("%s: cut off: %s takes %llu bytes of the file, of which it has %llu (partial = true reads what is there)", f->s.name,
            shown(f), (unsigned long long)(f->end - f->begin), (unsigned long long)(size_of(f) - f->begin));
  else ms_fail("%s: cut off: the file ends within %s", f->s.name, shown(f));
  return -1;
}

/* Go on at byte `to` of the file. */
static int seek_to(ms_mat *f, uint64_t to) {
  ms_source *s = &f->s;
  if (to >= f->at && to - f->at <= s->left) s->in += to - f->at, s->left -= to - f->at;
  else if (s->fd < 0) s->in += (int64_t)(to - f->at), s->left = (size_t)(s->size - to);
  else {
    s->left = 0;
    if (lseek(s->fd, (off_t)to, SEEK_SET) < 0) {
      ms_fail("%s: read failed", s->name);
      return -1;
    }
  }
  f->at = to;
  return 0;
}

/* Up to n bytes of the file as it is; out NULL drops them. How many, or -1. */
static int64_t plain(ms_mat *f, uint8_t *out, uint64_t n) {
  uint64_t done = 0;
  while (done < n) {
    if (ms_interrupted()) return ms_stopped(f->s.name), -1;
    const int more = ms_source_fill(&f->s);
    if (more < 0) return -1;
    if (!more) break;
    const size_t take = f->s.left < n - done ? f->s.left : (size_t)(n - done);
    if (out) memcpy(out + done, f->s.in, take);
    f->s.in += take;
    f->s.left -= take;
    f->at += take;
    done += take;
  }
  return (int64_t)done;
}

/* The same of what the variable's zlib stream becomes, which ends with the variable's bytes. */
static int64_t inflated(ms_mat *f, uint8_t *out, uint64_t n) {
  uint8_t dropped[PIECE];
  uint64_t done = 0;
  while (done < n && !f->ended) {
    if (ms_interrupted()) return ms_stopped(f->s.name), -1;
    const int more = f->at < f->end ? ms_source_fill(&f->s) : 0;
    if (more < 0) return -1;
    uint64_t in = more ? f->s.left : 0;
    if (in > f->end - f->at) in = f->end - f->at;
    const uint64_t room = !out && n - done > sizeof dropped ? sizeof dropped
                          : n - done < UINT32_MAX / 2       ? n - done
                                                            : UINT32_MAX / 2;
    f->z.next_in = (Bytef *)f->s.in;
    f->z.avail_in = (uInt)in;
    f->z.next_out = out ? out + done : dropped;
    f->z.avail_out = (uInt)room;
    const int rc = inflate(&f->z, Z_NO_FLUSH);
    const uint64_t used = in - f->z.avail_in, came = room - f->z.avail_out;
    f->s.in += used;
    f->s.left -= used;
    f->at += used;
    done += came;
    if (rc == Z_STREAM_END) f->ended = true;
    else if (rc != Z_OK && rc != Z_BUF_ERROR) return damaged(f, f->z.msg ? f->z.msg : "its compressed data cannot be inflated");
    else if (!used && !came) break; /* nothing more to be had */
  }
  return (int64_t)done;
}

static int64_t some(ms_mat *f, uint8_t *out, uint64_t n) { return f->deflated ? inflated(f, out, n) : plain(f, out, n); }

/* Exactly n bytes of the innermost matrix; out NULL drops them. */
static int take(ms_mat *f, void *out, uint64_t n) {
  level *l = &f->level[f->depth + f->pending];
  if (n > l->left) return damaged(f, "an element reaches beyond its end");
  const int64_t got = some(f, out, n);
  if (got < 0) return -1;
  if ((uint64_t)got < n) {
    if (!f->deflated || f->end > size_of(f)) return cut_off(f);
    return damaged(f, "its compressed data end too early");
  }
  l->left -= n;
  return 0;
}

/* ---- elements ----------------------------------------------------------------------------------------------------- */

typedef struct tag {
  uint32_t type, bytes;
  bool small; /* the bytes lie in the tag itself */
  uint8_t held[4];
} tag;

static uint32_t word_at(const ms_mat *f, const uint8_t *p) {
  uint32_t w;
  memcpy(&w, p, 4);
  return f->swap ? __builtin_bswap32(w) : w;
}

static int read_tag(ms_mat *f, tag *t) {
  uint8_t b[8];
  if (take(f, b, 8)) return -1;
  const uint32_t w = word_at(f, b);
  *t = (tag){.type = w, .bytes = word_at(f, b + 4), .small = w >> 16};
  if (!t->small) return 0;
  t->type = w & 0xFFFF;
  t->bytes = w >> 16;
  memcpy(t->held, b + 4, 4);
  return t->bytes > 4 ? damaged(f, "a short element of more than 4 bytes") : 0;
}

static int padding(ms_mat *f, const tag *t) {
  const uint64_t left = f->level[f->depth + f->pending].left, pad = t->small ? 0 : -(uint64_t)t->bytes & 7;
  return take(f, NULL, pad < left ? pad : left);
}

/* The whole of an element of at most `most` bytes. */
static int read_bytes(ms_mat *f, const tag *t, void *out, uint64_t most, const char *what) {
  if (t->bytes > most) {
    ms_fail("%s: damaged: %s: %s of %u bytes", f->s.name, shown(f), what, t->bytes);
    return -1;
  }
  if (t->small) return memcpy(out, t->held, t->bytes), 0;
  return take(f, out, t->bytes) ? -1 : padding(f, t);
}

static int charge(ms_mat *f, uint64_t bytes) {
  if (__builtin_add_overflow(f->spent, bytes, &f->spent)) f->spent = UINT64_MAX;
  return ms_allow_bytes(f->s.name, size_of(f), f->spent, 0, f->max_bytes);
}

/* ---- matrices ----------------------------------------------------------------------------------------------------- */

enum { LOGICAL = 0x0200, COMPLEX = 0x0800 };

static int read_sizes(ms_mat *f) {
  ms_mat_var *v = &f->var;
  uint8_t sizes[4 * MS_MAX_RANK];
  tag t;
  if (read_tag(f, &t)) return -1;
  if (t.type == INT32 && t.bytes > sizeof sizes && t.bytes < 4096) {
    ms_fail("%s: %s: expected at most %d dimensions, got %u", f->s.name, shown(f), MS_MAX_RANK, t.bytes / 4);
    return -1;
  }
  if (t.type != INT32 || t.bytes < 8 || t.bytes % 4) return damaged(f, "no sizes where they should be");
  if (read_bytes(f, &t, sizes, sizeof sizes, "sizes")) return -1;
  v->rank = (int)t.bytes / 4;
  v->count = 1;
  bool empty = false;
  for (int d = 0; d < v->rank; d++) {
    const int32_t n = (int32_t)word_at(f, sizes + 4 * d);
    if (n < 0) return damaged(f, "a negative size");
    v->shape[d] = n;
    if (!n) empty = true;
    else if (__builtin_mul_overflow(v->count, (int64_t)n, &v->count) || v->count > INT64_MAX / 64)
      return damaged(f, "absurd sizes");
  }
  if (empty) v->count = 0;
  v->declared = v->shape[v->rank - 1];
  return 0;
}

/* The names of a structure's fields into its level. */
static int read_fields(ms_mat *f) {
  level *l = &f->level[f->depth + 1];
  tag t;
  uint8_t b[4] = {0};
  if (read_tag(f, &t)) return -1;
  if (t.type != INT32 || t.bytes != 4) return damaged(f, "no length of its fields' names where it should be");
  if (read_bytes(f, &t, b, 4, "length")) return -1;
  const uint32_t width = word_at(f, b);
  if (width < 1 || width > NAME) return damaged(f, "an absurd length of its fields' names");
  if (read_tag(f, &t)) return -1;
  if (t.type != INT8 || t.bytes % width || t.bytes > 1 << 20) return damaged(f, "no names of fields where they should be");
  if (charge(f, t.bytes)) return -1;
  l->width = (int)width;
  l->fields = f->var.fields = (int)(t.bytes / width);
  l->names = malloc(t.bytes + 1);
  if (!l->names) return ms_fail("%s: out of memory", f->s.name), -1;
  return read_bytes(f, &t, l->names, t.bytes, "names");
}

/* The level above f->depth has `left` bytes of a matrix: read its header. name: of a field, or NULL for the one it brings. */
static int read_matrix(ms_mat *f, uint64_t left, const char *name) {
  ms_mat_var *v = &f->var;
  level *l = &f->level[f->depth + 1];
  *v = (ms_mat_var){.name = name ? name : ""};
  *l = (level){.left = left};
  f->pending = true;
  f->first = -1;
  if (charge(f, NODE)) return -1;
  if (!left) { /* [] in a cell or a field */
    *v = (ms_mat_var){.name = v->name, .kind = MS_MAT_NUMBERS, .class = "double", .dtype = MS_F64, .rank = 2};
    return 0;
  }
  tag t;
  uint8_t flags[8];
  if (read_tag(f, &t)) return -1;
  if (t.type != UINT32 || t.bytes != 8) return damaged(f, "no flags where they should be");
  if (read_bytes(f, &t, flags, 8, "flags")) return -1;
  const uint32_t bits = word_at(f, flags), class = bits & 0xFF;
  if (!class || class >= MS_MAT_CLASSES) return damaged(f, "a class that does not exist");
  const ms_mat_class *c = &ms_mat_classes[class];
  v->kind = c->kind;
  v->class = c->name;
  v->dtype = c->dtype;
  v->why_not = c->why_not;
  f->lo = c->lo;
  f->hi = c->hi;
  if (bits & LOGICAL && v->kind == MS_MAT_NUMBERS) v->class = "logical", v->dtype = MS_BOOL;
  if (class == 17) v->rank = 2, v->shape[0] = v->shape[1] = 0; /* it has no sizes */
  else if (read_sizes(f)) return -1;
  if (read_tag(f, &t)) return -1;
  if (t.type != INT8) return damaged(f, "no name where it should be");
  char own[NAME] = "";
  if (read_bytes(f, &t, own, NAME - 1, "a name")) return -1;
  if (!name) {
    memcpy(f->name, own, NAME);
    v->name = f->name;
    if (memchr(own, 0, t.bytes) || !ms_utf8(own, t.bytes)) return damaged(f, "its name is no text");
  }
  if (v->kind == MS_MAT_STRUCT && read_fields(f)) return -1;
  if (v->kind == MS_MAT_CELLS || v->kind == MS_MAT_STRUCT) {
    const int64_t each = v->kind == MS_MAT_STRUCT ? v->fields : 1;
    if (charge(f, (uint64_t)v->count * 64)) return -1;
    if (__builtin_mul_overflow(v->count, each, &l->children) || (uint64_t)l->children > l->left / 8) {
      if (f->end > size_of(f)) return cut_off(f);
      return damaged(f, "fewer values than its sizes say");
    }
  }
  if (v->kind == MS_MAT_NUMBERS && bits & COMPLEX) {
    if (v->rank == MS_MAX_RANK) return ms_fail("%s: %s: too many dimensions of complex numbers", f->s.name, shown(f)), -1;
    v->complex = true;
    v->shape[v->rank++] = 2;
    v->count *= 2;
  }
  return 0;
}

/* ---- from value to value ------------------------------------------------------------------------------------------ */

/* Drop the levels down to `depth`, their names with them, one of which may have been the last value's. */
static void leave(ms_mat *f, int depth) {
  for (int d = f->depth + f->pending; d > depth; d--) {
    free(f->level[d].names);
    f->level[d].names = NULL;
  }
  f->depth = depth;
  f->pending = false;
  f->var.name = f->name;
}

/* All of the variable was read: so must have been all of its bytes. */
static int check_end(ms_mat *f) {
  uint8_t extra;
  if (f->level[1].left || f->depth) return 0;
  if (f->deflated && (inflated(f, &extra, 1) != 0 || !f->ended || f->at != f->end))
    return ms_error() ? -1 : damaged(f, "its compressed data end otherwise than they say");
  return 0;
}

/* Begin the variable at f->begin: 0, or -1. */
static int open_variable(ms_mat *f) {
  uint8_t b[8];
  f->var.name = NULL;
  f->ended = false;
  f->level[1].left = 8;
  f->depth = 0;
  f->pending = true;
  if (f->deflated) {
    f->z = (z_stream){0};
    if (inflateInit(&f->z) != Z_OK) return f->deflated = false, ms_fail("%s: out of memory", f->s.name), -1;
    if (take(f, b, 8)) return -1;
    if (word_at(f, b) != MATRIX) return damaged(f, "no matrix in its compressed data");
    const uint64_t bytes = word_at(f, b + 4), most = (f->end - f->begin) * 1032; /* deflate makes at best so many */
    if (bytes > most) return damaged(f, "more bytes than its compressed data can become");
    return read_matrix(f, bytes, NULL);
  }
  return read_matrix(f, f->end - f->begin, NULL);
}

/* A variable that is cut off, its header read: how many whole slices of its last dimension are there. Afterwards the same header
 * was read again. 0, 1: not to be had in parts, -1. */
static int count_slices(ms_mat *f) {
  ms_mat_var *v = &f->var;
  tag t;
  if (v->kind != MS_MAT_NUMBERS || v->complex || !v->count) return 1;
  if (read_tag(f, &t)) return ms_interrupted() ? -1 : (ms_error_clear(), 1);
  if (t.small || t.type >= 16 || !ms_mat_storages[t.type].size) return 1;
  const uint64_t slice = (uint64_t)(v->count / v->declared) * (uint64_t)ms_mat_storages[t.type].size;
  const int64_t there = some(f, NULL, f->level[1].left);
  if (there < 0) return -1;
  const int64_t whole = (int64_t)((uint64_t)there / slice), declared = v->declared;
  if (f->deflated) inflateEnd(&f->z);
  leave(f, 0);
  if (seek_to(f, f->begin) || open_variable(f)) return -1;
  return ms_mat_first(f, whole < declared ? whole : declared, NULL);
}

/* The next element of the file. */
static int next_variable(ms_mat *f) {
  leave(f, 0);
  if (f->deflated) inflateEnd(&f->z);
  f->deflated = false;
  if (f->end > size_of(f)) f->done = true; /* it was cut off, and what there was has been given */
  if (f->done || seek_to(f, f->end)) return f->done ? 0 : -1;
  if (f->end == size_of(f)) return 0;
  f->var.name = NULL;
  f->begin = f->end;
  f->level[1] = (level){.left = 8};
  f->pending = true;
  tag t;
  if (size_of(f) - f->at < 8) return f->partial ? 0 : cut_off(f);
  if (read_tag(f, &t)) return -1;
  if (t.small || (t.type != MATRIX && t.type != COMPRESSED)) return damaged(f, "neither a matrix nor compressed data");
  f->begin += 8;
  f->end = f->begin + t.bytes;
  f->deflated = t.type == COMPRESSED;
  const bool cut = f->end > size_of(f);
  if (open_variable(f)) {
    if (!cut || !f->partial || ms_interrupted()) return -1;
    ms_error_clear(); /* not even its header is there */
    f->done = true;
    return 0;
  }
  if (!cut) return 1;
  if (!f->partial) return cut_off(f);
  const int rc = count_slices(f);
  if (rc) f->done = true;
  return rc < 0 ? -1 : rc == 0;
}

int ms_mat_next(ms_mat *f, ms_mat_var *v) {
  int rc;
  if (f->depth) {
    level *l = &f->level[f->depth];
    if (f->pending) { /* what is left of the one before */
      if (take(f, NULL, f->level[f->depth + 1].left)) return -1;
      leave(f, f->depth);
    }
    if (l->taken == l->children) {
      if (take(f, NULL, l->left)) return -1;
      leave(f, f->depth - 1);
      return check_end(f);
    }
    tag t;
    f->var.name = l->names ? l->names + l->taken % l->fields * l->width : "";
    if (read_tag(f, &t)) return -1;
    if (t.small || t.type != MATRIX) return damaged(f, "no matrix in a cell or a field");
    if (t.bytes > l->left) return damaged(f, "an element reaches beyond its end");
    l->left -= t.bytes;
    const char *name = "";
    if (l->names) {
      char *own = l->names + l->taken % l->fields * l->width;
      if (!memchr(own, 0, (size_t)l->width) || !ms_utf8(own, strlen(own))) return damaged(f, "the name of a field is no text");
      name = own;
    }
    l->taken++;
    rc = read_matrix(f, t.bytes, name) ? -1 : 1;
  } else do
      rc = next_variable(f);
    while (rc == 1 && !*f->var.name); /* what MATLAB keeps for itself has no name */
  if (rc == 1) *v = f->var;
  return rc;
}

int ms_mat_first(ms_mat *f, int64_t n, ms_mat_var *v) {
  const int last = f->var.rank - 1 - f->var.complex;
  f->first = n;
  f->var.count = f->var.shape[last] ? f->var.count / f->var.shape[last] * n : 0;
  f->var.shape[last] = n;
  if (v) *v = f->var;
  return 0;
}

int ms_mat_enter(ms_mat *f) {
  if (f->depth >= DEEPEST) {
    ms_fail("%s: %s: values within values, more than %d deep", f->s.name, shown(f), DEEPEST);
    return -1;
  }
  f->depth++;
  f->pending = false;
  return 0;
}

/* ---- contents ----------------------------------------------------------------------------------------------------- */

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
  if (read_tag(f, &t)) return -1;
  const int size = t.type < 16 ? ms_mat_storages[t.type].size : 0;
  if (!size) return damaged(f, "no numbers where they should be");
  if (t.bytes != (uint64_t)all * (uint64_t)size) return damaged(f, "not as many numbers as its sizes say");
  const size_t wide = ms_dtype_size(f->var.dtype);
  for (int d = 0; d < f->var.rank - f->var.complex; d++)
    if (f->var.shape[d] != 1) w.size[w.rank] = f->var.shape[d], w.stride[w.rank++] = stride[d];
  if (!w.rank) w.size[w.rank++] = 1;
  for (int64_t i = 0, n; i < count; i += n) {
    n = count - i < PIECE / size ? count - i : PIECE / size;
    if (t.small) memcpy(piece, t.held, 4);
    else if (take(f, piece, (uint64_t)(n * size))) return -1;
    for (int64_t k = 0, run; k < n; k += run) {
      run = w.size[0] - w.at[0] < n - k ? w.size[0] - w.at[0] : n - k;
      double bad;
      const int64_t ok = ms_mat_spread((char *)out + w.offset * (int64_t)wide, w.stride[0], f->var.dtype, f->lo, f->hi,
                                       piece + k * size, run, (int)t.type, f->swap, &bad);
      if (ok < run) {
        ms_fail("%s: %s: number %lld is %.17g, which %s of ours cannot hold", f->s.name, shown(f), (long long)(i + k + ok + 1), bad,
                ms_dtype_name(f->var.dtype));
        return -1;
      }
      step_over(&w, run);
    }
  }
  if (count < all) return f->var.complex ? take(f, NULL, (uint64_t)(all - count) * (uint64_t)size) || padding(f, &t) ? -1 : 0 : 0;
  return f->end > size_of(f) ? 0 : padding(f, &t); /* cut off: its end is not there */
}

int ms_mat_allow(ms_mat *f) {
  const ms_mat_var *v = &f->var;
  if (f->first < 0 && (uint64_t)v->count > f->level[f->depth + 1].left) return damaged(f, "fewer numbers than its sizes say");
  return charge(f, (uint64_t)v->count * ms_dtype_size(v->dtype));
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
  if (f->first >= 0 && (f->first < v->declared || f->end > size_of(f))) return 0;
  if (f->level[f->depth + 1].left) return damaged(f, "more bytes than its numbers take");
  return check_end(f);
}

ms_mat_rows *ms_mat_text(ms_mat *f) {
  const ms_mat_var *v = &f->var;
  if (v->rank != 2) return ms_fail("%s: %s: characters of more than two dimensions", f->s.name, shown(f));
  tag t;
  if (read_tag(f, &t)) return NULL;
  /* Of a character not more than 4 bytes, whatever they are. */
  if (t.bytes / 4 > (uint64_t)v->count || (uint64_t)v->count > (uint64_t)t.bytes) {
    damaged(f, "not as many characters as its sizes say");
    return NULL;
  }
  if (charge(f, (uint64_t)v->count * 9 + (uint64_t)v->shape[0] * (v->shape[0] > 1 ? 64 : 8))) return NULL;
  uint8_t *bytes = malloc((size_t)t.bytes + 4);
  uint16_t *units = malloc((size_t)v->count * 2 + 2);
  ms_mat_rows *rows = NULL;
  if (!bytes || !units) ms_fail("%s: out of memory", f->s.name);
  else if (!read_bytes(f, &t, bytes, t.bytes, "characters")) {
    if (ms_mat_units(units, v->count, bytes, t.bytes, (int)t.type, f->swap)) damaged(f, "its characters are no text");
    else if (!(rows = ms_mat_rows_of(units, v->shape[0], v->shape[1]))) ms_fail("%s: out of memory", f->s.name);
    else if (check_end(f)) ms_mat_rows_free(rows), rows = NULL;
  }
  free(bytes);
  free(units);
  return rows;
}

/* ---- the file ----------------------------------------------------------------------------------------------------- */

static ms_mat *open_source(ms_mat *f, uint64_t max_bytes, bool partial) {
  uint8_t head[HEAD];
  const int64_t got = plain(f, head, HEAD);
  f->max_bytes = max_bytes;
  f->partial = partial;
  f->end = HEAD;
  if (got >= 0 && got < HEAD) ms_fail("%s: cut off: expected 128 bytes of header, got %d", f->s.name, (int)got);
  else if (got == HEAD && !ms_mat_is(head, HEAD)) ms_fail("%s: %s", f->s.name, ms_mat_problem(head));
  else if (got == HEAD) {
    f->swap = head[126] == 'M';
    memcpy(f->header, head, 116);
    for (size_t n = strlen(f->header); n && (f->header[n - 1] == ' ' || f->header[n - 1] == '\n'); n--) f->header[n - 1] = 0;
    return f;
  }
  ms_mat_close(f);
  return NULL;
}

ms_mat *ms_mat_open(const char *path, uint64_t max_bytes, bool partial) {
  ms_mat *f = calloc(1, sizeof *f);
  if (!f) return ms_fail("%s: out of memory", path);
  if (!ms_source_file(&f->s, path)) return open_source(f, max_bytes, partial);
  ms_mat_close(f);
  return NULL;
}

ms_mat *ms_mat_parse(const void *bytes, size_t size, const char *name, uint64_t max_bytes, bool partial) {
  ms_mat *f = calloc(1, sizeof *f);
  if (!f) return ms_fail("%s: out of memory", name);
  ms_source_memory(&f->s, bytes, size, name);
  return open_source(f, max_bytes, partial);
}

void ms_mat_close(ms_mat *f) {
  if (!f) return;
  leave(f, 0);
  if (f->deflated) inflateEnd(&f->z);
  ms_source_close(&f->s);
  free(f);
}

const char *ms_mat_header(ms_mat *f) { return f->header; }
