/* source.c -- bytes in order: of a plain file or of memory, gzipped or not. */
#include "io/source.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 18, BIG = 1 << 22 };

int ms_open_plain(const char *path, uint64_t *size) {
  struct stat st;
  /* Nonblocking: a pipe without a writer is opened at once, and then refused. It means nothing to plain files. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) ms_fail("%s: cannot open: %s", path, strerror(errno));
  else if (fstat(fd, &st)) ms_fail("%s: cannot read: %s", path, strerror(errno));
  else if (!S_ISREG(st.st_mode))
    ms_fail("%s: cannot read: expected a plain file, got a %s", path, S_ISDIR(st.st_mode) ? "folder" : "device, pipe or socket");
  else {
    *size = (uint64_t)st.st_size;
    return fd;
  }
  if (fd >= 0) close(fd);
  return -1;
}

int ms_allow_bytes(const char *name, uint64_t file, uint64_t result, uint64_t beside, uint64_t max_bytes) {
  uint64_t all;
  if (__builtin_add_overflow(result, beside, &all)) all = UINT64_MAX;
  bool by_rule = beside <= MS_READ_ROOM && (result <= MS_READ_ROOM || (result - MS_READ_ROOM) / MS_READ_RATIO <= file);
  if (max_bytes ? all <= max_bytes : by_rule) return 0;
  if (max_bytes)
    ms_fail("%s: reading it would take %llu bytes of memory, max_bytes allows %llu", name, (unsigned long long)all,
            (unsigned long long)max_bytes);
  else
    ms_fail("%s: reading it would take %llu bytes of memory, much for a file of %llu: if that is right, allow it by the option "
            "max_bytes = %llu",
            name, (unsigned long long)all, (unsigned long long)file, (unsigned long long)all);
  return -1;
}

int ms_source_file(ms_source *s, const char *path) {
  *s = (ms_source){.name = path, .fd = -1};
  if ((s->fd = ms_open_plain(path, &s->size)) < 0) return -1;
  if ((s->chunk = malloc(CHUNK))) return 0;
  ms_fail("%s: out of memory for %d bytes", path, CHUNK);
  return -1;
}

void ms_source_memory(ms_source *s, const void *bytes, size_t size, const char *name) {
  *s = (ms_source){.name = name, .fd = -1, .size = size, .whole = bytes, .in = bytes, .left = size};
}

void ms_source_close(ms_source *s) {
  if (s->gz) inflateEnd(&s->z);
  if (s->fd >= 0) close(s->fd);
  free(s->chunk);
}

/* Up to n bytes of the file to out. */
static ssize_t read_some(ms_source *s, void *out, size_t n) {
  ssize_t got;
  if (s->part && n > s->rest) n = (size_t)s->rest;
  do got = n ? read(s->fd, out, n) : 0;
  while (got < 0 && errno == EINTR);
  if (got < 0) ms_fail("%s: read failed: %s", s->name, strerror(errno));
  else s->rest -= s->part ? (uint64_t)got : 0;
  return got;
}

int ms_source_fill(ms_source *s) {
  if (s->left) return 1;
  if (s->fd < 0) return 0;
  ssize_t got = read_some(s, s->chunk, CHUNK);
  if (got < 0) return -1;
  s->in = s->chunk;
  s->left = (size_t)got;
  return got > 0;
}

int ms_source_section(ms_source *s, uint64_t at, uint64_t size) {
  s->ended = false;
  if (s->fd < 0) {
    s->in = s->whole + (at < s->size ? at : s->size);
    s->left = s->size - (uint64_t)(s->in - s->whole);
    if (s->left > size) s->left = size;
    return 0;
  }
  s->part = true;
  s->rest = size;
  s->left = 0;
  if (at <= INT64_MAX && lseek(s->fd, (off_t)at, SEEK_SET) >= 0) return 0;
  ms_fail("%s: read failed: there is no byte %llu", s->name, (unsigned long long)at);
  return -1;
}

int ms_source_inflate(ms_source *s, int bits) {
  if (inflateInit2(&s->z, bits) != Z_OK) {
    ms_fail("%s: out of memory", s->name);
    return -1;
  }
  return s->gz = s->alone = true, 0;
}

int ms_source_gunzip(ms_source *s) {
  if (ms_source_fill(s) < 0) return -1;
  if (s->left < 2 || s->in[0] != 0x1f || s->in[1] != 0x8b) return 0;
  if (inflateInit2(&s->z, 15 + 16) != Z_OK) {
    ms_fail("%s: out of memory", s->name);
    return -1;
  }
  s->gz = true;
  return 0;
}

/* One call to inflate for up to n bytes, n > 0. Returns how many came, 0 at the end, -1 on failure. */
static ssize_t inflate_some(ms_source *s, uint8_t *out, size_t n) {
  for (;;) {
    int more = ms_source_fill(s);
    if (more < 0) return -1;
    if (s->ended) {
      if (!more || s->alone) return 0;
      /* A gzip file may be several members one after the other. */
      if (s->in[0] != 0x1f || inflateReset(&s->z) != Z_OK) {
        ms_fail("%s: bytes that are not gzip follow the end of the compressed data", s->name);
        return -1;
      }
      s->ended = false;
    }
    if (!more) {
      ms_fail("%s: truncated: the compressed data end too early", s->name);
      return -1;
    }
    uInt in = s->left > CHUNK ? CHUNK : (uInt)s->left, room = n > CHUNK ? CHUNK : (uInt)n;
    s->z.next_in = (Bytef *)s->in;
    s->z.avail_in = in;
    s->z.next_out = out;
    s->z.avail_out = room;
    int rc = inflate(&s->z, Z_NO_FLUSH);
    s->in += in - s->z.avail_in;
    s->left -= in - s->z.avail_in;
    if (rc == Z_STREAM_END) s->ended = true;
    else if (rc != Z_OK && rc != Z_BUF_ERROR) {
      ms_fail("%s: damaged %s data: %s", s->name, s->alone ? "compressed" : "gzip", s->z.msg ? s->z.msg : zError(rc));
      return -1;
    }
    if (room > s->z.avail_out) return (ssize_t)(room - s->z.avail_out);
  }
}

int64_t ms_source_read(ms_source *s, void *out, size_t n) {
  uint8_t *at = out;
  size_t done = 0;
  while (done < n) {
    const size_t before = done;
    if (ms_interrupted()) return ms_stopped(s->name), -1;
    if (s->gz) {
      ssize_t got = inflate_some(s, at + done, n - done);
      if (got < 0) return -1;
      if (!got) break;
      done += (size_t)got;
    } else if (!s->left && s->fd >= 0 && n - done >= CHUNK) { /* much: straight to where it belongs */
      ssize_t got = read_some(s, at + done, n - done < BIG ? n - done : BIG);
      if (got < 0) return -1;
      if (!got) break;
      done += (size_t)got;
    } else {
      int more = ms_source_fill(s);
      if (more < 0) return -1;
      if (!more) break;
      size_t take = s->left < n - done ? s->left : n - done;
      memcpy(at + done, s->in, take);
      s->in += take;
      s->left -= take;
      done += take;
    }
    if (s->summed) s->crc = (uint32_t)crc32_z(s->crc, at + before, done - before);
  }
  return (int64_t)done;
}
