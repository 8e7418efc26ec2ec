/* file.c -- whole files: read with a cap, written whole or not at all. */
#include "io/io.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void *read_fd(int fd, const char *path, size_t cap, size_t *size) {
  struct stat st;
  if (fstat(fd, &st)) return ms_fail("%s: cannot read: %s", path, strerror(errno));
  if (S_ISDIR(st.st_mode)) return ms_fail("%s: cannot read: expected a file, got a folder", path);
  if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > cap)
    return ms_fail("%s: too big: expected at most %zu bytes, got %lld", path, cap, (long long)st.st_size);
  size_t room = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 4096, n = 0;
  char *buf = malloc(room + 1);
  for (;;) {
    if (!buf) return ms_fail("%s: out of memory for %zu bytes", path, room);
    /* One byte more than expected is asked for: that is how a file that grew, or a pipe, is noticed. */
    ssize_t got = read(fd, buf + n, room + 1 - n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      ms_fail("%s: read failed: %s", path, strerror(errno));
      break;
    }
    n += (size_t)got;
    if (n > cap) {
      ms_fail("%s: too big: expected at most %zu bytes", path, cap);
      break;
    }
    if (!got) {
      buf[n] = 0;
      *size = n;
      return buf;
    }
    if (n == room + 1) {
      char *more = room > SIZE_MAX / 2 - 1 ? NULL : realloc(buf, room * 2 + 1);
      if (!more) free(buf);
      buf = more;
      room *= 2;
    }
  }
  free(buf);
  return NULL;
}

void *ms_read_file(const char *path, size_t cap, size_t *size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ms_fail("%s: cannot open: %s", path, strerror(errno));
  void *buf = read_fd(fd, path, cap, size);
  close(fd);
  return buf;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct ms_writer {
  FILE *file;
  bool failed;
  char *path; /* the final name, links resolved */
  char *temp; /* the name it has until then, same folder */
};

static void writer_free(ms_writer *w) {
  if (w->file) fclose(w->file);
  free(w->path);
  free(w->temp);
  free(w);
}

/* An own name in the folder of w->path, opened exclusively (which follows no link); the mode follows the umask, unlike mkstemp's.
 * What a killed process leaves behind is hidden and says whose it was: .NAME.PID-SERIAL-CHANCE.mascon-tmp. */
static int open_temp(ms_writer *w) {
  static unsigned serial;
  const char *slash = strrchr(w->path, '/'), *name = slash ? slash + 1 : w->path;
  int folder = (int)(name - w->path);
  size_t room = strlen(w->path) + 64;
  if (!(w->temp = malloc(room))) {
    errno = ENOMEM;
    return -1;
  }
  for (int attempt = 0; attempt < 100; attempt++) {
    unsigned k = __atomic_fetch_add(&serial, 1, __ATOMIC_RELAXED);
    struct timespec t;
    uint64_t chance; /* nobody can be there before us by guessing; O_EXCL and O_NOFOLLOW refuse who is */
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) != sizeof chance) chance = (uint64_t)t.tv_nsec;
    snprintf(w->temp, room, "%.*s.%.200s.%ld-%u-%05lx.mascon-tmp", folder, w->path, name, (long)getpid(), k,
             (unsigned long)(chance & 0xfffffffffff));
    int fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

ms_writer *ms_writer_open(const char *path) {
  ms_writer *w = calloc(1, sizeof *w);
  if (!w) return ms_fail("%s: out of memory", path);
  struct stat st;
  bool exists = !stat(path, &st);
  w->path = exists ? realpath(path, NULL) : strdup(path);
  if (!w->path) {
    ms_fail("%s: cannot write: %s", path, strerror(errno));
  } else if (exists && !S_ISREG(st.st_mode)) {
    ms_fail("%s: cannot write: expected a plain file or nothing of that name, got a %s", path,
            S_ISDIR(st.st_mode) ? "folder" : "device, pipe or socket");
  } else {
    int fd = open_temp(w);
    if (fd < 0) {
      ms_fail("%s: cannot write: %s", path, strerror(errno));
    } else {
      if (exists && fchmod(fd, st.st_mode & 07777)) { /* a folder without permissions (FAT, some mounts): nothing to keep */
      }
      if ((w->file = fdopen(fd, "wb"))) {
        setvbuf(w->file, NULL, _IOFBF, 1 << 16);
        return w;
      }
      ms_fail("%s: cannot write: %s", path, strerror(errno));
      close(fd);
      unlink(w->temp);
    }
  }
  writer_free(w);
  return NULL;
}

int ms_writer_write(ms_writer *w, const void *data, size_t n) {
  if (!w || w->failed) return -1;
  if (!n || fwrite(data, 1, n, w->file) == n) return 0;
  w->failed = true;
  ms_fail("%s: write failed: %s", w->path, strerror(errno));
  return -1;
}

/* Make the new name itself durable. File systems that cannot sync a folder say so; the rename stands all the same. */
static void sync_folder(char *path) {
  char *slash = strrchr(path, '/');
  const char *folder = ".";
  if (slash) {
    folder = slash == path ? "/" : path;
    slash[slash == path] = 0;
  }
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    fsync(fd);
    close(fd);
  }
}

int ms_writer_commit(ms_writer *w) {
  if (!w) return -1;
  int bad = w->failed;
  if (!bad) {
    bad = fflush(w->file) || fsync(fileno(w->file));
    int why = errno;
    if (fclose(w->file) && !bad) {
      bad = 1;
      why = errno;
    }
    w->file = NULL;
    if (!bad && (bad = rename(w->temp, w->path))) why = errno;
    if (bad) ms_fail("%s: write failed: %s", w->path, strerror(why));
  }
  if (bad) unlink(w->temp);
  else sync_folder(w->path);
  writer_free(w);
  return bad ? -1 : 0;
}

void ms_writer_abort(ms_writer *w) {
  if (!w) return;
  unlink(w->temp);
  writer_free(w);
}

int ms_write_file(const char *path, const void *data, size_t n) {
  ms_writer *w = ms_writer_open(path);
  ms_writer_write(w, data, n);
  return ms_writer_commit(w);
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

static int make_folder(const char *path) {
  struct stat st;
  if (!mkdir(path, 0777)) return 0;
  int why = errno;
  if (!stat(path, &st)) {
    if (S_ISDIR(st.st_mode)) return 0;
    ms_fail("%s: cannot make the folder: something else has that name", path);
  } else {
    ms_fail("%s: cannot make the folder: %s", path, strerror(why));
  }
  return -1;
}

int ms_mkdirs(const char *path) {
  char *p = strdup(path);
  if (!p || !*p) {
    free(p);
    ms_fail("cannot make a folder: expected a name, got \"\"");
    return -1;
  }
  int rc = 0;
  for (char *c = p + 1; !rc && *c; c++) {
    if (*c != '/') continue;
    *c = 0;
    rc = make_folder(p);
    *c = '/';
  }
  if (!rc) rc = make_folder(p);
  free(p);
  return rc;
}
