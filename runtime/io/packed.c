/* packed.c -- bytes on their way to a file, gzipped or not. */
#include "io/packed.h"
#include "io/io.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PIECE = 1 << 16 };

struct ms_packer {
  ms_writer *w;
  bool gz;
  z_stream z;
  size_t n; /* bytes at `in` that wait */
  uint8_t in[PIECE], out[PIECE];
};

ms_packer *ms_packer_open(const char *path) {
  const size_t n = strlen(path);
  ms_packer *p = calloc(1, sizeof *p);
  if (!p) return ms_fail("%s: out of memory", path);
  const bool gz = n > 3 && !strcmp(path + n - 3, ".gz");
  if (gz && deflateInit2(&p->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    ms_fail("%s: out of memory", path);
  else {
    p->gz = gz;
    if ((p->w = ms_writer_open(path))) return p;
  }
  ms_packer_abort(p);
  return NULL;
}

/* What waits goes on; at the end of all, with `last`, everything. */
static int flush(ms_packer *p, bool last) {
  if (!p->gz) {
    int rc = ms_writer_write(p->w, p->in, p->n);
    return p->n = 0, rc;
  }
  p->z.next_in = p->in, p->z.avail_in = (uInt)p->n;
  p->n = 0;
  do {
    p->z.next_out = p->out, p->z.avail_out = PIECE;
    deflate(&p->z, last ? Z_FINISH : Z_NO_FLUSH); /* cannot fail: the stream is sound and there is room */
    if (ms_writer_write(p->w, p->out, PIECE - p->z.avail_out)) return -1;
  } while (!p->z.avail_out);
  return 0;
}

int ms_packer_write(ms_packer *p, const void *data, size_t n) {
  for (const uint8_t *from = data; n;) {
    size_t take = PIECE - p->n < n ? PIECE - p->n : n;
    memcpy(p->in + p->n, from, take);
    p->n += take, from += take, n -= take;
    if (p->n == PIECE && flush(p, false)) return -1;
  }
  return 0;
}

static int end(ms_packer *p, bool good) {
  if (!p) return -1;
  if (good) good = !flush(p, true);
  if (p->gz) deflateEnd(&p->z);
  int rc = -1;
  if (good) rc = ms_writer_commit(p->w);
  else ms_writer_abort(p->w);
  free(p);
  return rc;
}

int ms_packer_commit(ms_packer *p) { return end(p, true); }
void ms_packer_abort(ms_packer *p) { end(p, false); }
