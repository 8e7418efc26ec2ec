/* jsonl.c -- append-only files of one JSON object per line. */
#include "io/io.h"
#include "io/json.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the last line begins if it has no newline, else the end of the file; -1 and errno. */
static off_t last_line(int fd, off_t end) {
  char block[4096];
  while (end > 0) {
    size_t n = end < (off_t)sizeof block ? (size_t)end : sizeof block;
    if (pread(fd, block, n, end - (off_t)n) != (ssize_t)n) return -1;
    end -= (off_t)n;
    for (size_t i = n; i; i--)
      if (block[i - 1] == '\n') return end + (off_t)i;
  }
  return 0;
}

/* Is the piece from begin to end a whole JSON text (its newline alone is missing)? 1, 0; -1 and errno. */
static int is_whole(int fd, off_t begin, off_t end) {
  size_t n = (size_t)(end - begin);
  char *text = malloc(n);
  json_error_t why;
  if (!text || pread(fd, text, n, begin) != (ssize_t)n) return free(text), -1;
  ms_json *value = ms_json_parse(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
  int whole = value ? 1 : 0;
  if (!value && why.line < 0) whole = -1, errno = ENOMEM;
  ms_json_free(value);
  free(text);
  return whole;
}

static int write_all(int fd, const char *at, size_t n) {
  while (n) {
    ssize_t put = write(fd, at, n);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return -1;
    at += put;
    n -= (size_t)put;
  }
  return 0;
}

/* The line in buf[1..n] behind what is there; buf[0] is a newline. -1 and errno. */
static int append(int fd, const char *buf, size_t n, bool sync) {
  off_t end = lseek(fd, 0, SEEK_END), begin = end < 0 ? -1 : last_line(fd, end);
  if (begin < 0) return -1;
  bool ended = begin == end;
  int whole = ended ? 0 : is_whole(fd, begin, end);
  if (whole < 0) return -1;
  if (!ended && !whole) {
    if (ftruncate(fd, begin)) return -1;
    end = begin;
  }
  if (!write_all(fd, buf + !whole, n + (size_t)whole) && (!sync || !fsync(fd))) return 0;
  int why = errno;
  if (ftruncate(fd, end)) return errno = why, -1; /* then the next call cuts it off */
  errno = why;
  return -1;
}

int ms_jsonl_append(const char *path, const char *line, bool sync) {
  size_t n = strlen(line);
  if (memchr(line, '\n', n)) {
    ms_fail("%s: expected a single line, got one with a newline in it", path);
    return -1;
  }
  int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) {
    ms_fail("%s: cannot open for appending: %s", path, strerror(errno));
    return -1;
  }
  struct stat st;
  char *buf = malloc(n + 2);
  int rc = -1;
  if (!buf) {
    ms_fail("%s: out of memory for %zu bytes", path, n + 2);
  } else if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
    ms_fail("%s: cannot append: expected a plain file", path);
  } else {
    buf[0] = '\n';
    memcpy(buf + 1, line, n);
    buf[n + 1] = '\n';
    rc = append(fd, buf, n + 1, sync);
    if (rc) ms_fail("%s: write failed: %s", path, strerror(errno));
  }
  free(buf);
  if (close(fd) && !rc) {
    ms_fail("%s: write failed: %s", path, strerror(errno));
    rc = -1;
  }
  return rc ? -1 : 0;
}
