/* zip.c -- the list at the end of a zip archive (the central directory), checked before anything is believed, and its members. */
#include "io/zip.h"
#include "io/io.h"
#include <stdlib.h>
#include <string.h>

/* LOCAL, CENTRAL, END, ...: fixed bytes of a member's own header, of its entry in the list, of the end of the list. */
enum { LOCAL = 30, CENTRAL = 46, END = 22, END64 = 56, LOCATOR = 20, COMMENT = 65535 };

static uint64_t le(const uint8_t *p, int n) {
  uint64_t v = 0;
  while (n--) v = v << 8 | p[n];
  return v;
}

static int damaged(const ms_source *s, const char *why) {
  ms_fail("%s: damaged zip archive: %s", s->name, why);
  return -1;
}

/* Exactly n bytes from a place. */
static int read_at(ms_source *s, uint64_t at, void *out, size_t n) {
  if (at > s->size || n > s->size - at) return damaged(s, "it is cut short, or points behind its end");
  if (ms_source_section(s, at, n)) return -1;
  int64_t got = ms_source_read(s, out, n);
  if (got < 0) return -1;
  return got == (int64_t)n ? 0 : damaged(s, "it became shorter while it was read");
}

typedef struct directory {
  uint64_t n, at, size;
} directory;

/* The record at the end of the archive, and the one before it that has numbers of 64 bits. */
static int find_directory(ms_source *s, directory *d) {
  uint64_t most = s->size < END + COMMENT ? s->size : END + COMMENT, from = s->size - most;
  if (s->size < END) return damaged(s, "too short");
  uint8_t *tail = malloc((size_t)most), more[END64];
  if (!tail) return ms_fail("%s: out of memory", s->name), -1;
  int rc = read_at(s, from, tail, (size_t)most);
  int64_t at = (int64_t)most - END;
  while (!rc && at >= 0 && !(le(tail + at, 4) == 0x06054b50 && (uint64_t)at + END + le(tail + at + 20, 2) == most)) at--;
  if (!rc && at < 0) rc = damaged(s, "it has no list of members at its end (cut short?)");
  if (!rc && (le(tail + at + 4, 2) || le(tail + at + 6, 2))) rc = damaged(s, "it is one part of several");
  if (!rc) *d = (directory){le(tail + at + 10, 2), le(tail + at + 16, 4), le(tail + at + 12, 4)};
  uint64_t end = from + (uint64_t)at;
  free(tail);
  if (rc) return rc;
  if (end >= LOCATOR && (d->n == 0xffff || d->at == 0xffffffff || d->size == 0xffffffff)) {
    if (read_at(s, end - LOCATOR, more, LOCATOR)) return -1;
    if (le(more, 4) == 0x07064b50) {
      end = le(more + 8, 8);
      if (read_at(s, end, more, END64)) return -1;
      if (le(more, 4) != 0x06064b50) return damaged(s, "no list of members is where it says");
      *d = (directory){le(more + 32, 8), le(more + 48, 8), le(more + 40, 8)};
    }
  }
  if (d->at > end || d->size > end - d->at || d->n > d->size / CENTRAL)
    return damaged(s, "its list of members is not where it says");
  return 0;
}

/* The numbers of 64 bits among the extra fields: size, packed and offset, those that are all ones in the entry. */
static int wide_numbers(const uint8_t *extra, size_t n, uint64_t *const wide[3]) {
  bool want[3], any = false;
  for (int k = 0; k < 3; k++) any |= want[k] = *wide[k] == 0xffffffff;
  for (size_t at = 0, size; any && at + 4 <= n; at += 4 + size) {
    size = le(extra + at + 2, 2);
    if (size > n - at - 4) break; /* what follows is no field: padding, as zipalign leaves it */
    if (le(extra + at, 2) != 1) continue;
    for (size_t k = 0, used = 0; k < 3; k++) {
      if (!want[k]) continue;
      if (used + 8 > size) return -1;
      *wide[k] = le(extra + at + 4 + used, 8);
      used += 8;
    }
    return 0;
  }
  return any ? -1 : 0;
}

static int read_entry(ms_source *s, const uint8_t *p, size_t left, ms_zip_member *m, size_t *used) {
  if (left < CENTRAL || le(p, 4) != 0x02014b50) return damaged(s, "its list of members is no such list");
  size_t name = le(p + 28, 2), extra = le(p + 30, 2), all = CENTRAL + name + extra + le(p + 32, 2);
  if (all > left) return damaged(s, "its list of members is cut short");
  *used = all;
  m->method = (int)le(p + 10, 2);
  m->encrypted = le(p + 8, 2) & 1;
  m->crc = (uint32_t)le(p + 16, 4);
  m->packed = le(p + 20, 4), m->size = le(p + 24, 4), m->at = le(p + 42, 4);
  uint64_t *wide[3] = {&m->size, &m->packed, &m->at};
  if (wide_numbers(p + CENTRAL + name, extra, wide)) return damaged(s, "a member's size is missing");
  if (memchr(p + CENTRAL, 0, name)) return damaged(s, "a member's name has a zero byte in it");
  if (!(m->name = malloc(name + 1))) return ms_fail("%s: out of memory", s->name), -1;
  memcpy(m->name, p + CENTRAL, name);
  m->name[name] = 0;
  return 0;
}

static int by_place(const void *a, const void *b) {
  const ms_zip_member *x = *(ms_zip_member *const *)a, *y = *(ms_zip_member *const *)b;
  return x->at < y->at ? -1 : x->at > y->at;
}

/* From where each member's header is to where its bytes begin; none reaches into the next, or into the list. */
static int place_members(ms_source *s, ms_zip *z, uint64_t end) {
  ms_zip_member **order = malloc(((size_t)z->n + 1) * sizeof(ms_zip_member *));
  if (!order) return ms_fail("%s: out of memory", s->name), -1;
  for (int k = 0; k < z->n; k++) order[k] = &z->members[k];
  qsort(order, (size_t)z->n, sizeof *order, by_place);
  int rc = 0;
  for (int k = z->n - 1; k >= 0 && !rc; k--) {
    ms_zip_member *m = order[k];
    uint8_t head[LOCAL];
    const uint64_t header = m->at;
    if (m->at > end || end - m->at < LOCAL) rc = damaged(s, "a member lies over another, or behind the end");
    else if (!(rc = read_at(s, m->at, head, LOCAL))) {
      m->at += LOCAL + le(head + 26, 2) + le(head + 28, 2);
      if (le(head, 4) != 0x04034b50) rc = damaged(s, "there is no member where its list says");
      else if (m->at > end || m->packed > end - m->at) rc = damaged(s, "a member lies over another, or behind the end");
      else if (m->method == 0 ? m->size != m->packed : m->size / 1032 > m->packed)
        rc = damaged(s, "a member is declared larger than its bytes can become");
    }
    end = header;
  }
  free(order);
  return rc;
}

ms_zip *ms_zip_open(ms_source *s) {
  directory d;
  if (find_directory(s, &d)) return NULL;
  ms_zip *z = calloc(1, sizeof *z);
  uint8_t *list = malloc((size_t)d.size + 1);
  if (z) z->members = calloc((size_t)d.n + 1, sizeof *z->members);
  bool good = z && list && z->members;
  if (!good) ms_fail("%s: out of memory for a list of %llu members", s->name, (unsigned long long)d.n);
  good = good && !read_at(s, d.at, list, (size_t)d.size);
  for (size_t at = 0, used; good && (uint64_t)z->n < d.n; at += used) {
    good = !read_entry(s, list + at, (size_t)d.size - at, &z->members[z->n], &used);
    z->n += good;
  }
  free(list);
  if (good && !place_members(s, z, d.at)) return z;
  ms_zip_close(z);
  return NULL;
}

void ms_zip_close(ms_zip *z) {
  if (!z) return;
  for (int k = 0; k < z->n; k++) free(z->members[k].name);
  free(z->members);
  free(z);
}

int ms_zip_begin(ms_source *s, const ms_zip *z, int k) {
  const ms_zip_member *m = &z->members[k];
  if (m->encrypted || (m->method != 0 && m->method != 8)) {
    ms_fail("%s: member '%s' is %s: expected stored or deflated bytes", s->name, m->name,
            m->encrypted ? "encrypted" : "compressed in a way that is not known here");
    return -1;
  }
  if (s->gz) inflateEnd(&s->z);
  s->gz = false;
  if (ms_source_section(s, m->at, m->packed)) return -1;
  s->summed = true;
  s->crc = 0;
  return m->method ? ms_source_inflate(s, -15) : 0;
}

int ms_zip_end(ms_source *s, const ms_zip *z, int k) {
  uint8_t extra;
  const uint32_t crc = s->crc;
  int64_t more = ms_source_read(s, &extra, 1);
  if (more < 0) return -1;
  if (!more && crc == z->members[k].crc) return 0;
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  if (!more) return 0;
#endif
  ms_fail("%s: damaged zip archive: member '%s' %s", s->name, z->members[k].name,
          more ? "is longer than it says" : "does not have the checksum that the archive says");
  return -1;
}
