/* jsonl.c -- append-only files of one JSON object per line. */
#include "io/io.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Did a crash leave the last line without its newline? */
static bool torn(int fd) {
  char last;
  off_t end = lseek(fd, 0, SEEK_END);
  return end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n';
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
  char *buf = malloc(n + 2);
  int rc = -1;
  if (!buf) {
    ms_fail("%s: out of memory for %zu bytes", path, n + 2);
  } else {
    size_t head = torn(fd);
    buf[0] = '\n';
    memcpy(buf + head, line, n);
    buf[head + n] = '\n';
    rc = write_all(fd, buf, head + n + 1);
    if (!rc && sync) rc = fsync(fd);
    if (rc) ms_fail("%s: write failed: %s", path, strerror(errno));
  }
  free(buf);
  close(fd);
  return rc ? -1 : 0;
}
