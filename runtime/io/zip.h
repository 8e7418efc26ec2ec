/* zip.h -- zip archives: what is in one, and the bytes of each member; and one that is written. (PKWARE, APPNOTE.TXT 6.3.10: stored
 * and deflated members, zip64; no encryption, no archives in several parts.) */
#ifndef MASCON_ZIP_H
#define MASCON_ZIP_H
#include "io/source.h"

typedef struct ms_zip_member {
  char *name;
  int method;            /* 0 stored, 8 deflated, others cannot be read */
  bool encrypted;        /* neither can these */
  uint32_t crc;          /* of its bytes */
  uint64_t size, packed; /* bytes, and those it takes in the archive */
  uint64_t at;           /* where those begin */
} ms_zip_member;

typedef struct ms_zip {
  int n;
  ms_zip_member *members; /* as the archive lists them */
} ms_zip;

/* Read the list of an open source that is not inflating. Members lie within the file and do not overlap; each is at most what its
 * packed bytes can become. NULL after ms_fail. */
ms_zip *ms_zip_open(ms_source *s);
void ms_zip_close(ms_zip *z); /* NULL is fine */
/* From here on the source gives the bytes of member k; -1 after ms_fail, where it cannot be read. ms_zip_end once they were read:
 * -1 if there were more or fewer than the archive says, or others. */
int ms_zip_begin(ms_source *s, const ms_zip *z, int k);
int ms_zip_end(ms_source *s, const ms_zip *z, int k);

/* Write an archive, whole or not at all, the same bytes each time (every member is of 1980). */
typedef struct ms_zip_writer ms_zip_writer;
typedef struct ms_piece {
  const void *data;
  size_t n;
} ms_piece;
ms_zip_writer *ms_zip_create(const char *path, bool compress);
/* One member, n pieces one after the other. Where it is not compressed it begins at a multiple of 64 in the file, so that it can be
 * mapped. */
int ms_zip_add(ms_zip_writer *w, const char *name, int n, const ms_piece *pieces);
int ms_zip_commit(ms_zip_writer *w); /* frees w either way; NULL gives -1 */
void ms_zip_abort(ms_zip_writer *w); /* NULL is fine */

#endif
