/* zip_write.c -- a zip archive, written from front to back: for each member a header that has its size and checksum, then its
 * bytes; at the end the list of all of them. */
#include "io/io.h"
#include "io/zip.h"
#include <stdlib.h>
#include <string.h>

enum { LOCAL = 30, PIECE = 1 << 18, ALIGN = 64 };

struct ms_zip_writer {
  ms_writer *w;
  const char *path;
  bool compress;
  uint64_t at;   /* bytes written */
  uint8_t *list; /* of members, so far */
  size_t list_n, list_room;
  uint64_t n; /* members */
};

/* Bytes of a header, little-endian, in the order of the calls. */
typedef struct head {
  uint8_t at[160];
  size_t n;
} head;

static void put(head *h, uint64_t v, int bytes) {
  for (int k = 0; k < bytes; k++, v >>= 8) h->at[h->n++] = (uint8_t)v;
}

/* A number of 32 bits, or all ones for one that stands among the numbers of 64. */
static void put_narrow(head *h, uint64_t v) { put(h, v >= 0xffffffff ? 0xffffffff : v, 4); }

static int emit(ms_zip_writer *w, const void *data, size_t n) {
  w->at += n;
  return ms_writer_write(w->w, data, n);
}

static int keep(ms_zip_writer *w, const void *data, size_t n) {
  if (w->list_n + n > w->list_room) {
    size_t room = 2 * w->list_room + n + 4096;
    uint8_t *p = realloc(w->list, room);
    if (!p) return ms_fail("%s: out of memory for %zu bytes", w->path, room), -1;
    w->list = p, w->list_room = room;
  }
  memcpy(w->list + w->list_n, data, n);
  w->list_n += n;
  return 0;
}

ms_zip_writer *ms_zip_create(const char *path, bool compress) {
  ms_zip_writer *w = calloc(1, sizeof *w);
  if (!w) return ms_fail("%s: out of memory", path);
  w->path = path;
  w->compress = compress;
  if ((w->w = ms_writer_open(path))) return w;
  free(w);
  return NULL;
}

/* What the two headers of a member share: from the version to the checksum, then both sizes. */
static void put_facts(head *h, bool wide, bool deflated, uint32_t crc, uint64_t packed, uint64_t size) {
  put(h, wide ? 45 : 20, 2);
  put(h, 1 << 11, 2); /* the name is UTF-8 */
  put(h, deflated ? 8 : 0, 2);
  put(h, 0x00210000, 4); /* the first of January 1980, midnight */
  put(h, crc, 4);
  if (wide) put(h, UINT64_MAX, 8);
  else put(h, packed, 4), put(h, size, 4);
}

typedef struct packed {
  uint8_t *bytes;
  size_t n, room;
} packed;

/* All pieces deflated into memory, which grows with what comes out. */
static int deflate_pieces(const char *path, int n, const ms_piece *pieces, packed *out) {
  z_stream z = {0};
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return ms_fail("%s: out of memory", path), -1;
  int rc = 0;
  for (int k = 0; k < n && !rc; k++) {
    const uint8_t *from = pieces[k].data;
    size_t left = pieces[k].n;
    do {
      size_t take = left < PIECE ? left : PIECE;
      bool last = k == n - 1 && take == left;
      z.next_in = (Bytef *)from, z.avail_in = (uInt)take;
      from += take, left -= take;
      if (ms_interrupted()) rc = (ms_stopped(path), -1);
      do {
        if (out->room - out->n < PIECE) {
          size_t room = out->room + out->room / 2 + 2 * PIECE;
          uint8_t *p = realloc(out->bytes, room);
          if (!p) rc = (ms_fail("%s: out of memory for %zu bytes", path, room), -1);
          else out->bytes = p, out->room = room;
        }
        if (rc) break;
        z.next_out = out->bytes + out->n, z.avail_out = PIECE;
        deflate(&z, last ? Z_FINISH : Z_NO_FLUSH);
        out->n += PIECE - z.avail_out;
      } while (!z.avail_out);
    } while (left && !rc);
  }
  deflateEnd(&z);
  return rc;
}

/* Zero bytes as an extra field, so that what follows begins at a multiple of ALIGN; before: bytes of the header without it. */
static void put_padding(head *h, uint64_t before) {
  size_t pad = (size_t)(-(before + 4) % ALIGN);
  put(h, 0xd935, 2); /* as Android's zipalign marks it */
  put(h, pad, 2);
  memset(h->at + h->n, 0, pad);
  h->n += pad;
}

static int write_member(ms_zip_writer *w, const char *name, uint32_t crc, uint64_t size, const packed *p) {
  const uint64_t here = w->at, in_file = w->compress ? p->n : size;
  const size_t name_n = strlen(name);
  const bool wide = size >= 0xffffffff || in_file >= 0xffffffff, far = here >= 0xffffffff;
  head local = {.n = 0}, entry = {.n = 0}, extra = {.n = 0}, far_extra = {.n = 0};
  if (wide) put(&extra, 1, 2), put(&extra, 16, 2), put(&extra, size, 8), put(&extra, in_file, 8);
  if (!w->compress) put_padding(&extra, here + LOCAL + name_n + extra.n);
  put(&local, 0x04034b50, 4);
  put_facts(&local, wide, w->compress, crc, in_file, size);
  put(&local, name_n, 2), put(&local, extra.n, 2);
  if (wide || far) put(&far_extra, 1, 2), put(&far_extra, (wide ? 16 : 0) + (far ? 8 : 0), 2);
  if (wide) put(&far_extra, size, 8), put(&far_extra, in_file, 8);
  if (far) put(&far_extra, here, 8);
  put(&entry, 0x02014b50, 4);
  put(&entry, 3 << 8 | 45, 2); /* made by: a Unix, whose permissions follow */
  put_facts(&entry, wide, w->compress, crc, in_file, size);
  put(&entry, name_n, 2), put(&entry, far_extra.n, 2);
  put(&entry, 0, 6); /* no comment, the first part, no attributes of the text */
  put(&entry, (uint64_t)0100644 << 16, 4);
  put_narrow(&entry, here);
  w->n++;
  return emit(w, local.at, local.n) || emit(w, name, name_n) || emit(w, extra.at, extra.n) || keep(w, entry.at, entry.n) ||
                 keep(w, name, name_n) || keep(w, far_extra.at, far_extra.n)
             ? -1
             : 0;
}

int ms_zip_add(ms_zip_writer *w, const char *name, int n, const ms_piece *pieces) {
  if (!w) return -1;
  if (strlen(name) > 65000) return ms_fail("%s: a name of %zu bytes is too long", w->path, strlen(name)), -1;
  uint64_t size = 0;
  uLong crc = 0;
  packed p = {0};
  for (int k = 0; k < n; k++)
    for (size_t at = 0, take; at < pieces[k].n; at += take) {
      take = pieces[k].n - at < PIECE ? pieces[k].n - at : PIECE;
      crc = crc32_z(crc, (const uint8_t *)pieces[k].data + at, take);
      size += take;
      if (ms_interrupted()) return ms_stopped(w->path), -1;
    }
  int rc = w->compress ? deflate_pieces(w->path, n, pieces, &p) : 0;
  rc = rc || write_member(w, name, (uint32_t)crc, size, &p) ? -1 : 0;
  if (w->compress) rc = rc ? rc : emit(w, p.bytes, p.n);
  else
    for (int k = 0; k < n && !rc; k++) rc = emit(w, pieces[k].data, pieces[k].n);
  free(p.bytes);
  return rc;
}

int ms_zip_commit(ms_zip_writer *w) {
  if (!w) return -1;
  const uint64_t begin = w->at, size = w->list_n;
  head h = {.n = 0};
  int rc = emit(w, w->list, w->list_n);
  if (begin >= 0xffffffff || w->n >= 0xffff) {
    put(&h, 0x06064b50, 4), put(&h, 44, 8), put(&h, 3 << 8 | 45, 2), put(&h, 45, 2), put(&h, 0, 8);
    put(&h, w->n, 8), put(&h, w->n, 8), put(&h, size, 8), put(&h, begin, 8);
    put(&h, 0x07064b50, 4), put(&h, 0, 4), put(&h, begin + size, 8), put(&h, 1, 4);
  }
  const uint64_t count = w->n < 0xffff ? w->n : 0xffff;
  put(&h, 0x06054b50, 4), put(&h, 0, 4), put(&h, count, 2), put(&h, count, 2);
  put_narrow(&h, size), put_narrow(&h, begin);
  put(&h, 0, 2);
  rc = rc ? rc : emit(w, h.at, h.n);
  if (rc) ms_writer_abort(w->w);
  else rc = ms_writer_commit(w->w);
  free(w->list);
  free(w);
  return rc;
}

void ms_zip_abort(ms_zip_writer *w) {
  if (!w) return;
  ms_writer_abort(w->w);
  free(w->list);
  free(w);
}
