/* download.c -- one file by libcurl. Its header is not needed for building: the few functions and numbers of its interface (which
 * has not changed since 2006, and may not: libcurl.so.4) stand here. */
#include "io/download.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- libcurl -------------------------------------------------------------------------------------------------------- */

enum { LONG = 0, POINTER = 10000, FUNCTION = 20000, OFF_T = 30000 };
enum { /* options */
       OPT_WRITEDATA = POINTER + 1,
       OPT_URL = POINTER + 2,
       OPT_ERRORBUFFER = POINTER + 10,
       OPT_WRITEFUNCTION = FUNCTION + 11,
       OPT_USERAGENT = POINTER + 18,
       OPT_HTTPHEADER = POINTER + 23,
       OPT_HEADERDATA = POINTER + 29,
       OPT_LOW_SPEED_LIMIT = LONG + 19,
       OPT_LOW_SPEED_TIME = LONG + 20,
       OPT_FAILONERROR = LONG + 45,
       OPT_FOLLOWLOCATION = LONG + 52,
       OPT_MAXREDIRS = LONG + 68,
       OPT_HEADERFUNCTION = FUNCTION + 79,
       OPT_NOSIGNAL = LONG + 99,
       OPT_RESUME_FROM = OFF_T + 116,
       OPT_CONNECTTIMEOUT_MS = LONG + 156,
       OPT_PROTOCOLS = LONG + 181,
       OPT_REDIR_PROTOCOLS = LONG + 182,
       OPT_QUICK_EXIT = LONG + 322 /* do not wait for a name that is still looked up; older ones do not know it */
};
enum { HTTP = 1, HTTPS = 2, INFO_RESPONSE_CODE = 0x200000 + 2, INFO_LENGTH = 0x600000 + 15, MESSAGE_DONE = 1, RANGE_ERROR = 33 };

typedef struct message {
  int what;
  void *handle;
  union {
    void *anything;
    int result;
  } data;
} message;

static struct curl {
  int (*global_init)(long flags);
  void *(*easy_init)(void);
  int (*easy_setopt)(void *h, int option, ...);
  int (*easy_getinfo)(void *h, int info, ...);
  const char *(*easy_strerror)(int code);
  void (*easy_cleanup)(void *h);
  void *(*multi_init)(void);
  int (*multi_add_handle)(void *m, void *h);
  int (*multi_remove_handle)(void *m, void *h);
  int (*multi_perform)(void *m, int *running);
  int (*multi_poll)(void *m, void *extra, unsigned n, int timeout_ms, int *ready);
  message *(*multi_info_read)(void *m, int *left);
  int (*multi_cleanup)(void *m);
  void *(*slist_append)(void *list, const char *text);
  void (*slist_free_all)(void *list);
} curl;

static int open_library(void) {
  static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so"};
  static const char *const functions[] = {
      "curl_global_init",  "curl_easy_init",       "curl_easy_setopt",      "curl_easy_getinfo",        "curl_easy_strerror",
      "curl_easy_cleanup", "curl_multi_init",      "curl_multi_add_handle", "curl_multi_remove_handle", "curl_multi_perform",
      "curl_multi_poll",   "curl_multi_info_read", "curl_multi_cleanup",    "curl_slist_append",        "curl_slist_free_all"};
  static bool opened;
  if (opened) return 0;
  void *lib = NULL, *found[sizeof functions / sizeof *functions];
  for (size_t i = 0; i < 3 && !lib; i++) lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  for (size_t i = 0; i < sizeof functions / sizeof *functions && lib; i++)
    if (!(found[i] = dlsym(lib, functions[i]))) lib = NULL;
  if (!lib) {
    ms_fail("download: libcurl is not on this machine (Debian: apt install libcurl4), or is too old");
    return -1;
  }
  memcpy(&curl, found, sizeof curl); /* one pointer after the other, in the order of their names */
  opened = !curl.global_init(3);
  if (!opened) ms_fail("download: libcurl does not start");
  return opened ? 0 : -1;
}

/* ---- a download ------------------------------------------------------------------------------------------------------ */

struct ms_download {
  void *easy, *multi, *headers;
  int fd;
  char *url, *path;
  uint64_t have, total, most, asked; /* asked: the byte from which on the server was asked to send */
  double connect, stall, last;       /* seconds; when a byte came last, or it was begun */
  bool begun;                        /* a byte of it has come */
  bool tagged;                       /* state is the ETag, which counts before Last-Modified */
  char state[256], answer[256];      /* what the server names the state of the file by that the part is of; in this answer; "" */
  char why[256], problem[256];       /* libcurl's words; ours */
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* libcurl hands over n bytes; anything but n back ends the transfer. */
static size_t receive(char *bytes, size_t size, size_t n, void *to) {
  ms_download *d = to;
  n *= size;
  d->last = now();
  if (!d->begun) {
    long code = 0;
    curl.easy_getinfo(d->easy, INFO_RESPONSE_CODE, &code);
    d->begun = true;
    if (*d->answer || !d->asked || code == 200) memcpy(d->state, d->answer, sizeof d->state);
    if (d->asked && code == 200) { /* all of it: the part is of no use */
      if (ftruncate(d->fd, 0)) return 0;
      d->have = 0;
      d->asked = 0;
    }
    int64_t length = -1;
    curl.easy_getinfo(d->easy, INFO_LENGTH, &length);
    d->total = length > 0 ? d->have + (uint64_t)length : 0;
  }
  if (d->most && n > d->most - d->have) {
    snprintf(d->problem, sizeof d->problem, "it sends more than the %llu bytes that were expected", (unsigned long long)d->most);
    return 0;
  }
  for (size_t at = 0; at < n;) {
    const ssize_t put = pwrite(d->fd, bytes + at, n - at, (off_t)d->have);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      snprintf(d->problem, sizeof d->problem, "cannot write %.120s: %s", d->path, strerror(put ? errno : ENOSPC));
      return 0;
    }
    at += (size_t)put;
    d->have += (uint64_t)put;
  }
  return n;
}

/* libcurl hands over a line of the head of an answer; those of redirections come first. */
static size_t read_head(char *bytes, size_t size, size_t n, void *to) {
  ms_download *d = to;
  n *= size;
  const size_t all = n;
  const bool etag = n > 5 && !strncasecmp(bytes, "ETag:", 5), date = n > 14 && !strncasecmp(bytes, "Last-Modified:", 14);
  if (n > 5 && !strncmp(bytes, "HTTP/", 5)) {
    *d->answer = 0;
    d->tagged = false;
  }
  if (!etag && (!date || d->tagged)) return all;
  const size_t name = etag ? 5 : 14;
  for (bytes += name, n -= name; n && *bytes == ' '; n--) bytes++;
  while (n && (unsigned char)bytes[n - 1] <= ' ') n--;
  bool plain = n > 0 && n < sizeof d->answer;
  for (size_t i = 0; i < n; i++) plain = plain && bytes[i] >= ' ' && bytes[i] < 127;
  if (!plain || (etag && !strncmp(bytes, "W/", 2))) return all; /* (weak ones do not stand for the bytes) */
  memcpy(d->answer, bytes, n);
  d->answer[n] = 0;
  d->tagged = etag;
  return all;
}

static int open_part(ms_download *d, bool anew) {
  struct stat st;
  d->fd = open(d->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (d->fd < 0 || fstat(d->fd, &st)) ms_fail("%s: cannot write: %s", d->path, strerror(errno));
  else if (!S_ISREG(st.st_mode)) ms_fail("%s: cannot write: expected a plain file", d->path);
  else if (flock(d->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) ms_fail("%s: another process is downloading it", d->path);
  else {
    d->have = (uint64_t)st.st_size;
    if (!anew && (!d->most || d->have <= d->most)) return 0;
    d->have = 0; /* not a part of what is wanted */
    return ftruncate(d->fd, 0);
  }
  return -1;
}

/* Ask for what is missing. */
static int start(ms_download *d) {
  d->asked = d->have;
  d->last = now();
  d->easy = curl.easy_init();
  d->multi = curl.multi_init();
  if (!d->easy || !d->multi) return ms_fail("download: out of memory"), -1;
  const long connect = (long)(d->connect * 1000);
  curl.easy_setopt(d->easy, OPT_URL, d->url);
  curl.easy_setopt(d->easy, OPT_ERRORBUFFER, d->why);
  curl.easy_setopt(d->easy, OPT_WRITEFUNCTION, receive);
  curl.easy_setopt(d->easy, OPT_WRITEDATA, (void *)d);
  curl.easy_setopt(d->easy, OPT_USERAGENT, "mascon/" MS_VERSION);
  curl.easy_setopt(d->easy, OPT_FAILONERROR, 1L);
  curl.easy_setopt(d->easy, OPT_FOLLOWLOCATION, 1L);
  curl.easy_setopt(d->easy, OPT_MAXREDIRS, 8L);
  curl.easy_setopt(d->easy, OPT_PROTOCOLS, (long)(HTTP | HTTPS));
  curl.easy_setopt(d->easy, OPT_REDIR_PROTOCOLS, (long)(HTTP | HTTPS));
  curl.easy_setopt(d->easy, OPT_NOSIGNAL, 1L);
  curl.easy_setopt(d->easy, OPT_CONNECTTIMEOUT_MS, connect > 0 ? connect : 1L);
  curl.easy_setopt(d->easy, OPT_QUICK_EXIT, 1L);
  curl.easy_setopt(d->easy, OPT_HEADERFUNCTION, read_head);
  curl.easy_setopt(d->easy, OPT_HEADERDATA, (void *)d);
  if (d->have) curl.easy_setopt(d->easy, OPT_RESUME_FROM, (int64_t)d->have);
  if (d->have && *d->state) { /* the rest if the file is as it was, else all of it */
    char line[300];
    snprintf(line, sizeof line, "If-Range: %s", d->state);
    if (!(d->headers = curl.slist_append(NULL, line))) return ms_fail("download: out of memory"), -1;
    curl.easy_setopt(d->easy, OPT_HTTPHEADER, d->headers);
  }
  return curl.multi_add_handle(d->multi, d->easy) ? (ms_fail("download: libcurl does not take it"), -1) : 0;
}

static void stop(ms_download *d) {
  if (d->easy && d->multi) curl.multi_remove_handle(d->multi, d->easy);
  if (d->easy) curl.easy_cleanup(d->easy);
  if (d->multi) curl.multi_cleanup(d->multi);
  if (d->headers) curl.slist_free_all(d->headers);
  d->easy = d->multi = d->headers = NULL;
}

ms_download *ms_download_begin(const ms_download_wish *w) {
  if (strncmp(w->url, "http://", 7) && strncmp(w->url, "https://", 8))
    return ms_fail("download: expected an address that begins with http:// or https://, got %s", w->url);
  if (open_library()) return NULL;
  ms_download *d = calloc(1, sizeof *d);
  if (!d) return ms_fail("download: out of memory");
  d->fd = -1;
  d->most = w->most;
  d->connect = w->connect;
  d->stall = w->stall;
  if (w->state) snprintf(d->state, sizeof d->state, "%s", w->state);
  d->url = strdup(w->url);
  d->path = strdup(w->path);
  if (!d->url || !d->path) ms_fail("download: out of memory");
  else if (!open_part(d, w->anew) && !start(d)) return d;
  ms_download_close(d);
  return NULL;
}

/* The transfer has ended so. */
static int ended(ms_download *d, int result) {
  long code = 0;
  curl.easy_getinfo(d->easy, INFO_RESPONSE_CODE, &code);
  if (d->asked && !d->begun &&
      (code == 416 || result == RANGE_ERROR)) { /* nothing from there on, or no parts at all: from the beginning */
    stop(d);
    d->have = 0;
    if (ftruncate(d->fd, 0)) return ms_fail("%s: cannot write: %s", d->path, strerror(errno)), -1;
    return start(d) ? -1 : 1;
  }
  if (!result) {
    if (!fsync(d->fd)) return 0;
    ms_fail("%s: cannot write: %s", d->path, strerror(errno));
    return -1;
  }
  if (*d->problem) ms_fail("%s: %s", d->url, d->problem);
  else ms_fail("%s: %s (%llu bytes so far)", d->url, *d->why ? d->why : curl.easy_strerror(result), (unsigned long long)d->have);
  return -1;
}

int ms_download_step(ms_download *d, ms_download_progress *p) {
  int running = 0, left;
  if (ms_interrupted()) return ms_stopped("download"), -1;
  curl.multi_poll(d->multi, NULL, 0, 50, NULL);
  int rc = curl.multi_perform(d->multi, &running) ? -1 : 1;
  if (rc < 0) ms_fail("%s: libcurl failed", d->url);
  for (message *m; rc > 0 && (m = curl.multi_info_read(d->multi, &left));)
    if (m->what == MESSAGE_DONE) {
      rc = ended(d, m->data.result);
      break;
    }
  /* (libcurl's own limit of speed looks at means over five seconds.) */
  if (rc > 0 && now() - d->last > d->stall + (d->begun ? 0 : d->connect)) {
    ms_fail("%s: nothing came for %g seconds (%llu bytes so far)", d->url, d->stall, (unsigned long long)d->have);
    rc = -1;
  }
  *p = (ms_download_progress){.have = d->have, .total = d->total};
  return rc;
}

const char *ms_download_state(const ms_download *d) { return d->state; }

void ms_download_close(ms_download *d) {
  if (!d) return;
  stop(d);
  if (d->fd >= 0) close(d->fd);
  free(d->url);
  free(d->path);
  free(d);
}
