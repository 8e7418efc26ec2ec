/* mat.c -- MATLAB's files of version 5, from front to back (mat.h says how it is used).
 *
 * 128 bytes of header: text, version 0x0100, "IM" (or "MI": the other order of bytes). Then elements: a tag (type, bytes) and so
 * many bytes, padded to 8. A variable is an element of type matrix, or of type compressed, which is a zlib stream of one matrix; a
 * matrix is itself elements: flags (with the class), sizes, name, and then numbers, characters, the matrices of its cells or
 * fields.
 *
 *   file:   header | compressed [ matrix [ flags sizes name numbers ] ] | matrix [ flags sizes name matrix [...] ... ] | ...
 *   level:                        1                                       1                         2
 *
 * level[d].left says how many bytes of the innermost d-th matrix are still to come: take() hands out no more than that, so that no
 * element reaches beyond the one it lies in. */
#include "data/mat_inside.h"
#include "io/io.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- bytes -------------------------------------------------------------------------------------------------------- */

/* The variable, also for what lies within it. */
const char *ms_mat_shown(ms_mat *f) {
  const char *name = f->depth ? f->name : f->var.name;
  return name && *name ? name : "a variable";
}

int ms_mat_damaged(ms_mat *f, const char *why) {
  ms_fail("%s: damaged: %s: %s", f->s.name, ms_mat_shown(f), why);
  return -1;
}

/* The pipe of the child is at its end: so is the child. */
static int end_child(ms_mat *f) {
  const pid_t child = f->child;
  f->child = 0;
  return child ? ms_mat73_end(f->s.name, child, true) : 0;
}

int ms_mat_cut_off(ms_mat *f) {
  if (f->file >= 0) return end_child(f) ? -1 : ms_mat_damaged(f, "the process that reads it ended too early");
  if (f->end > ms_mat_size(f))
    ms_fail("%s: cut off: %s takes %llu bytes of the file, of which it has %llu (partial = true reads what is there)", f->s.name,
            ms_mat_shown(f), (unsigned long long)(f->end - f->begin), (unsigned long long)(ms_mat_size(f) - f->begin));
  else ms_fail("%s: cut off: the file ends within %s", f->s.name, ms_mat_shown(f));
  return -1;
}

/* Bytes at f->s.in: 1; 0 at the end, -1. A child is waited for with patience that ends. */
static int fill(ms_mat *f) {
  if (!f->s.left && f->child && ms_mat73_wait(f->s.name, f->s.fd)) return -1;
  return ms_source_fill(&f->s);
}

/* Up to n bytes of the file as it is; out NULL drops them. How many, or -1. */
static int64_t plain(ms_mat *f, uint8_t *out, uint64_t n) {
  uint64_t done = 0;
  while (done < n) {
    if (ms_interrupted()) return ms_stopped(f->s.name), -1;
    const int more = fill(f);
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

/* Go on at byte `to` of the file. */
static int seek_to(ms_mat *f, uint64_t to) {
  ms_source *s = &f->s;
  if (to >= f->at && to - f->at <= s->left) s->in += to - f->at, s->left -= to - f->at;
  else if (f->file >= 0) return plain(f, NULL, to - f->at) < 0 ? -1 : 0; /* a pipe: onwards only */
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

/* The same of what the variable's zlib stream becomes, which ends with the variable's bytes. */
static int64_t inflated(ms_mat *f, uint8_t *out, uint64_t n) {
  uint8_t dropped[PIECE];
  uint64_t done = 0;
  while (done < n && !f->ended) {
    if (ms_interrupted()) return ms_stopped(f->s.name), -1;
    const int more = f->at < f->end ? fill(f) : 0;
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
    else if (rc != Z_OK && rc != Z_BUF_ERROR)
      return ms_mat_damaged(f, f->z.msg ? f->z.msg : "its compressed data cannot be inflated");
    else if (!used && !came) break; /* nothing more to be had */
  }
  return (int64_t)done;
}

static int64_t some(ms_mat *f, uint8_t *out, uint64_t n) { return f->deflated ? inflated(f, out, n) : plain(f, out, n); }

/* Exactly n bytes of the innermost matrix; out NULL drops them. */
int ms_mat_take(ms_mat *f, void *out, uint64_t n) {
  level *l = &f->level[f->depth + f->pending];
  if (n > l->left) return ms_mat_damaged(f, "an element reaches beyond its end");
  const int64_t got = some(f, out, n);
  if (got < 0) return -1;
  if ((uint64_t)got < n) {
    if (!f->deflated || f->end > ms_mat_size(f)) return ms_mat_cut_off(f);
    return ms_mat_damaged(f, "its compressed data end too early");
  }
  l->left -= n;
  return 0;
}

/* ---- elements ----------------------------------------------------------------------------------------------------- */

static uint32_t word_at(const ms_mat *f, const uint8_t *p) {
  uint32_t w;
  memcpy(&w, p, 4);
  return f->swap ? __builtin_bswap32(w) : w;
}

int ms_mat_read_tag(ms_mat *f, tag *t) {
  uint8_t b[8];
  if (ms_mat_take(f, b, 8)) return -1;
  const uint32_t w = word_at(f, b);
  *t = (tag){.type = w, .bytes = word_at(f, b + 4), .small = w >> 16};
  if (!t->small) return 0;
  t->type = w & 0xFFFF;
  t->bytes = w >> 16;
  memcpy(t->held, b + 4, 4);
  return t->bytes > 4 ? ms_mat_damaged(f, "a short element of more than 4 bytes") : 0;
}

int ms_mat_padding(ms_mat *f, const tag *t) {
  const uint64_t left = f->level[f->depth + f->pending].left, pad = t->small ? 0 : -(uint64_t)t->bytes & 7;
  return ms_mat_take(f, NULL, pad < left ? pad : left);
}

/* The whole of an element of at most `most` bytes. */
int ms_mat_read_bytes(ms_mat *f, const tag *t, void *out, uint64_t most, const char *what) {
  if (t->bytes > most) {
    ms_fail("%s: damaged: %s: %s of %u bytes", f->s.name, ms_mat_shown(f), what, t->bytes);
    return -1;
  }
  if (t->small) return memcpy(out, t->held, t->bytes), 0;
  return ms_mat_take(f, out, t->bytes) ? -1 : ms_mat_padding(f, t);
}

int ms_mat_charge(ms_mat *f, uint64_t bytes) {
  if (__builtin_add_overflow(f->spent, bytes, &f->spent)) f->spent = UINT64_MAX;
  return ms_allow_bytes(f->s.name, f->bytes, f->spent, 0, f->max_bytes);
}

/* ---- matrices ----------------------------------------------------------------------------------------------------- */

enum { LOGICAL = 0x0200, COMPLEX = 0x0800 };

static int read_sizes(ms_mat *f) {
  ms_mat_var *v = &f->var;
  uint8_t sizes[4 * MS_MAX_RANK];
  tag t;
  if (ms_mat_read_tag(f, &t)) return -1;
  const bool whole = t.type == INT32 || t.type == UINT32;
  if (whole && t.bytes > sizeof sizes && t.bytes < 4096) {
    ms_fail("%s: %s: expected at most %d dimensions, got %u", f->s.name, ms_mat_shown(f), MS_MAX_RANK, t.bytes / 4);
    return -1;
  }
  if (!whole || t.bytes < 8 || t.bytes % 4) return ms_mat_damaged(f, "no sizes where they should be");
  if (ms_mat_read_bytes(f, &t, sizes, sizeof sizes, "sizes")) return -1;
  v->rank = (int)t.bytes / 4;
  v->count = 1;
  bool empty = false;
  for (int d = 0; d < v->rank; d++) {
    const int32_t n = (int32_t)word_at(f, sizes + 4 * d);
    if (n < 0) return ms_mat_damaged(f, "a negative size");
    v->shape[d] = n;
    if (!n) empty = true;
    else if (__builtin_mul_overflow(v->count, (int64_t)n, &v->count) || v->count > INT64_MAX / 64)
      return ms_mat_damaged(f, "absurd sizes");
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
  if (ms_mat_read_tag(f, &t)) return -1;
  if (t.type != INT32 || t.bytes != 4) return ms_mat_damaged(f, "no length of its fields' names where it should be");
  if (ms_mat_read_bytes(f, &t, b, 4, "length")) return -1;
  const uint32_t width = word_at(f, b);
  if (width < 1 || width > NAME) return ms_mat_damaged(f, "an absurd length of its fields' names");
  if (ms_mat_read_tag(f, &t)) return -1;
  if (t.type != INT8 || t.bytes % width || t.bytes > 1 << 20) return ms_mat_damaged(f, "no names of fields where they should be");
  if (ms_mat_charge(f, t.bytes)) return -1;
  l->width = (int)width;
  l->fields = f->var.fields = (int)(t.bytes / width);
  l->names = malloc(t.bytes + 1);
  if (!l->names) return ms_fail("%s: out of memory", f->s.name), -1;
  return ms_mat_read_bytes(f, &t, l->names, t.bytes, "names");
}

/* The level above f->depth has `left` bytes of a matrix: read its header. name: of a field, or NULL for the one it brings. */
static int read_matrix(ms_mat *f, uint64_t left, const char *name) {
  ms_mat_var *v = &f->var;
  level *l = &f->level[f->depth + 1];
  *v = (ms_mat_var){.name = name ? name : ""};
  *l = (level){.left = left};
  f->pending = true;
  f->first = -1;
  if (ms_mat_charge(f, NODE)) return -1;
  if (!left) { /* [] in a cell or a field */
    *v = (ms_mat_var){.name = v->name, .kind = MS_MAT_NUMBERS, .class = "double", .dtype = MS_F64, .rank = 2};
    return 0;
  }
  tag t;
  uint8_t flags[8];
  if (ms_mat_read_tag(f, &t)) return -1;
  if (t.type != UINT32 || t.bytes != 8) return ms_mat_damaged(f, "no flags where they should be");
  if (ms_mat_read_bytes(f, &t, flags, 8, "flags")) return -1;
  const uint32_t bits = word_at(f, flags), class = bits & 0xFF;
  if (!class || class >= MS_MAT_CLASSES) return ms_mat_damaged(f, "a class that does not exist");
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
  if (ms_mat_read_tag(f, &t)) return -1;
  if (t.type != INT8 && t.type != UTF8_TEXT) return ms_mat_damaged(f, "no name where it should be");
  char own[NAME] = "";
  if (ms_mat_read_bytes(f, &t, own, NAME - 1, "a name")) return -1;
  if (!name) {
    memcpy(f->name, own, NAME);
    v->name = f->name;
    if (memchr(own, 0, t.bytes) || !ms_utf8(own, t.bytes)) return ms_mat_damaged(f, "its name is no text");
  }
  if (v->kind == MS_MAT_STRUCT && read_fields(f)) return -1;
  if (v->kind == MS_MAT_CELLS || v->kind == MS_MAT_STRUCT) {
    const int64_t each = v->kind == MS_MAT_STRUCT ? v->fields : 1;
    if (ms_mat_charge(f, (uint64_t)v->count * 64)) return -1;
    if (__builtin_mul_overflow(v->count, each, &l->children) || (uint64_t)l->children > l->left / 8) {
      if (f->end > ms_mat_size(f)) return ms_mat_cut_off(f);
      return ms_mat_damaged(f, "fewer values than its sizes say");
    }
  }
  if (v->kind == MS_MAT_NUMBERS && bits & COMPLEX) {
    if (v->rank == MS_MAX_RANK) return ms_fail("%s: %s: too many dimensions of complex numbers", f->s.name, ms_mat_shown(f)), -1;
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
int ms_mat_check_end(ms_mat *f) {
  uint8_t extra;
  if (f->level[1].left || f->depth) return 0;
  if (f->deflated && (inflated(f, &extra, 1) != 0 || !f->ended || f->at != f->end))
    return ms_error() ? -1 : ms_mat_damaged(f, "its compressed data end otherwise than they say");
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
    if (ms_mat_take(f, b, 8)) return -1;
    if (word_at(f, b) != MATRIX) return ms_mat_damaged(f, "no matrix in its compressed data");
    const uint64_t bytes = word_at(f, b + 4), most = (f->end - f->begin) * 1032; /* deflate makes at best so many */
    if (bytes > most) return ms_mat_damaged(f, "more bytes than its compressed data can become");
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
  if (ms_mat_read_tag(f, &t)) return ms_interrupted() ? -1 : (ms_error_clear(), 1);
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
  if (f->end > ms_mat_size(f)) f->done = true; /* it was cut off, and what there was has been given */
  if (f->done || seek_to(f, f->end)) return f->done ? 0 : -1;
  if (f->end == ms_mat_size(f)) return 0;
  if (f->file >= 0) {
    const int more = fill(f);
    if (more <= 0) return more < 0 || end_child(f) ? -1 : 0;
    f->index++;
  }
  f->var.name = NULL;
  f->begin = f->end;
  f->level[1] = (level){.left = 8};
  f->pending = true;
  tag t;
  if (ms_mat_size(f) - f->at < 8) return f->partial ? 0 : ms_mat_cut_off(f);
  if (ms_mat_read_tag(f, &t)) return -1;
  if (t.small || (t.type != MATRIX && t.type != COMPRESSED)) return ms_mat_damaged(f, "neither a matrix nor compressed data");
  f->begin += 8;
  f->end = f->begin + t.bytes;
  f->deflated = t.type == COMPRESSED;
  const bool cut = f->end > ms_mat_size(f);
  if (open_variable(f)) {
    if (!cut || !f->partial || ms_interrupted()) return -1;
    ms_error_clear(); /* not even its header is there */
    f->done = true;
    return 0;
  }
  if (!cut) return 1;
  if (!f->partial) return ms_mat_cut_off(f);
  const int rc = count_slices(f);
  if (rc) f->done = true;
  return rc < 0 ? -1 : rc == 0;
}

int ms_mat_next(ms_mat *f, ms_mat_var *v) {
  int rc;
  if (f->depth) {
    level *l = &f->level[f->depth];
    if (f->pending) { /* what is left of the one before */
      if (ms_mat_take(f, NULL, f->level[f->depth + 1].left)) return -1;
      leave(f, f->depth);
    }
    if (l->taken == l->children) {
      if (ms_mat_take(f, NULL, l->left)) return -1;
      leave(f, f->depth - 1);
      return ms_mat_check_end(f);
    }
    tag t;
    f->var.name = l->names ? l->names + l->taken % l->fields * l->width : "";
    if (ms_mat_read_tag(f, &t)) return -1;
    if (t.small || t.type != MATRIX) return ms_mat_damaged(f, "no matrix in a cell or a field");
    if (t.bytes > l->left) return ms_mat_damaged(f, "an element reaches beyond its end");
    l->left -= t.bytes;
    const char *name = "";
    if (l->names) {
      char *own = l->names + l->taken % l->fields * l->width;
      if (!memchr(own, 0, (size_t)l->width) || !ms_utf8(own, strlen(own)))
        return ms_mat_damaged(f, "the name of a field is no text");
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
    ms_fail("%s: %s: values within values, more than %d deep", f->s.name, ms_mat_shown(f), DEEPEST);
    return -1;
  }
  f->depth++;
  f->pending = false;
  return 0;
}

/* ---- the file ----------------------------------------------------------------------------------------------------- */

static ms_mat *open_source(ms_mat *f, uint64_t max_bytes, bool partial) {
  uint8_t head[HEAD];
  const int64_t got = plain(f, head, HEAD);
  f->max_bytes = max_bytes;
  f->partial = partial;
  f->end = HEAD;
  if (got >= 0 && got < HEAD && f->file >= 0) ms_mat_cut_off(f);
  else if (got >= 0 && got < HEAD) ms_fail("%s: cut off: expected 128 bytes of header, got %d", f->s.name, (int)got);
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

/* A file of version 7.3: from here on f reads what a child makes of its variable `only`, -1: of all. */
static int open_child(ms_mat *f, int64_t only) {
  if (f->child) ms_mat73_end(f->s.name, f->child, false);
  f->child = 0;
  if (f->file < 0) f->file = f->s.fd;
  else close(f->s.fd);
  f->s.left = 0;
  f->at = 0;
  f->index = -1;
  f->s.size = INT64_MAX; /* nobody knows */
  f->s.fd = ms_mat73_start(f->s.name, f->file, f->bytes, only, &f->child);
  if (f->s.fd < 0) f->child = 0;
  return f->s.fd < 0 ? -1 : 0;
}

ms_mat *ms_mat_open(const char *path, uint64_t max_bytes, bool partial) {
  ms_mat *f = calloc(1, sizeof *f);
  uint8_t head[HEAD];
  if (!f) return ms_fail("%s: out of memory", path);
  f->file = -1;
  const int64_t got = ms_source_file(&f->s, path) ? -1 : plain(f, head, HEAD);
  f->bytes = f->s.size;
  if (got >= 0 && !(got == HEAD && ms_mat73_is(head, HEAD) ? open_child(f, -1) : seek_to(f, 0)))
    return open_source(f, max_bytes, partial);
  ms_mat_close(f);
  return NULL;
}

ms_mat *ms_mat_parse(const void *bytes, size_t size, const char *name, uint64_t max_bytes, bool partial) {
  ms_mat *f = calloc(1, sizeof *f);
  if (!f) return ms_fail("%s: out of memory", name);
  ms_source_memory(&f->s, bytes, size, name);
  f->file = -1;
  f->bytes = size;
  return open_source(f, max_bytes, partial);
}

void ms_mat_close(ms_mat *f) {
  if (!f) return;
  leave(f, 0);
  if (f->deflated) inflateEnd(&f->z);
  if (f->child) ms_mat73_end(f->s.name, f->child, false);
  if (f->file >= 0) close(f->file);
  ms_source_close(&f->s);
  free(f);
}

const char *ms_mat_header(ms_mat *f) { return f->header; }
uint64_t ms_mat_place(const ms_mat *f) { return f->file < 0 ? f->begin - 8 : (uint64_t)f->index; }

int ms_mat_go(ms_mat *f, uint64_t place) {
  leave(f, 0);
  f->done = false;
  f->spent = 0; /* it was allowed before */
  f->end = place;
  if (f->file < 0) return 0;
  f->end = HEAD;
  return open_child(f, (int64_t)place) || plain(f, NULL, HEAD) < 0 ? -1 : 0;
}
