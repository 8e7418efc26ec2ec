/* source.h -- bytes of a plain file or of memory, handed out in order, gzipped or not; and the rule for how much memory what is
 * read may take. */
#ifndef MASCON_SOURCE_H
#define MASCON_SOURCE_H
#include "mascon.h"
#include <zlib.h>

/* Open a plain file for reading; folders, pipes and devices are refused (nothing waits for a writer, nothing is endless). Gives the
 * descriptor, or -1 after ms_fail(); *size: its bytes now. */
int ms_open_plain(const char *path, uint64_t *size);

/* What a file of `file` bytes becomes may take 8 x file + 64 MB, and reading it 64 MB beside that; with max_bytes (not 0) both
 * together may take so much, whatever the file's size. 0, or -1 after ms_fail() with what it would take and the option's name. */
enum { MS_READ_RATIO = 8, MS_READ_ROOM = 64 << 20 };
int ms_allow_bytes(const char *name, uint64_t file, uint64_t result, uint64_t beside, uint64_t max_bytes);

typedef struct ms_source {
  const char *name;          /* for messages */
  int fd;                    /* -1: memory */
  uint64_t size;             /* bytes of the file or the memory, compressed as they are */
  const uint8_t *whole, *in; /* whole: the memory */
  size_t left;               /* at `in`, not used yet */
  uint8_t *chunk;            /* what was read of the file */
  bool gz, ended;            /* gz: inflated on the way out; ended: the last gzip member is complete */
  bool alone;                /* inflated, but not gzip's: when the stream is complete nothing follows */
  bool summed;               /* crc is that of all bytes handed out since */
  bool part;                 /* only `rest` more bytes are to be read */
  uint64_t rest;
  uint32_t crc;
  z_stream z;
} ms_source;

/* Each leaves a source that close can take, also when it fails (-1). */
int ms_source_file(ms_source *s, const char *path);
void ms_source_memory(ms_source *s, const void *bytes, size_t size, const char *name);
void ms_source_close(ms_source *s);
/* From here on inflate, if the next two bytes are those of gzip. */
int ms_source_gunzip(ms_source *s);
/* From here on inflate one stream: bits 15 is zlib's format, -15 bare deflate as in zip files. */
int ms_source_inflate(ms_source *s, int bits);
/* Go to byte `at` of the file or memory, and let it end `size` bytes behind that. Bytes that are not there are the end, too. Not
 * while inflating. */
int ms_source_section(ms_source *s, uint64_t at, uint64_t size);
/* Some bytes at hand, where s->in points: how many there are is s->left. 1 = some, 0 = the end, -1 = failed. */
int ms_source_fill(ms_source *s);
/* Up to n bytes. Gives how many, fewer only at the end; -1 on failure. */
int64_t ms_source_read(ms_source *s, void *out, size_t n);

#endif
