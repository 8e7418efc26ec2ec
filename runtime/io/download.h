/* download.h -- one file from the web (http, https), by libcurl, which is opened on first use.
 *
 *     ms_download *d = ms_download_begin(&(ms_download_wish){.url = url, .path = "data.mat.part", .most = 1 << 30});
 *     while ((rc = ms_download_step(d, &progress)) == 1) ...        each takes a tenth of a second at most
 *     ms_download_close(d);
 *
 * The bytes go to `path`, behind those that are there already from an earlier time: the server is asked for the rest only, and
 * where it sends everything the file begins anew. What was received stays there whatever happens. The file is locked meanwhile.
 * Every function that fails has called ms_fail() and returns NULL or -1. */
#ifndef MASCON_DOWNLOAD_H
#define MASCON_DOWNLOAD_H
#include "mascon.h"

typedef struct ms_download_wish {
  const char *url, *path;
  uint64_t most;         /* fail when it is more than so many bytes; 0: any number */
  double connect, stall; /* fail after so many seconds without a connection; without a byte */
  bool anew;             /* what lies at `path` is no part of it */
  const char *state;     /* what ms_download_state said when the part was received: another state begins anew; NULL: not known */
} ms_download_wish;

typedef struct ms_download_progress {
  uint64_t have, total; /* bytes in the file; total 0: not known (yet) */
} ms_download_progress;

typedef struct ms_download ms_download;
ms_download *ms_download_begin(const ms_download_wish *w);
/* 1: more is to come; 0: complete, and on the disk; -1 */
int ms_download_step(ms_download *d, ms_download_progress *p);
/* What the server names the state of the file by (ETag, else Last-Modified); "" where it does not; before the first byte
 * what it was begun with. */
const char *ms_download_state(const ms_download *d);
void ms_download_close(ms_download *d); /* NULL is fine */

#endif
