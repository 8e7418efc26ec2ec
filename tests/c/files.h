/* files.h -- what C tests of files share: a folder of their own, empty again after every test, and the messages of failures. */
#ifndef FILES_H
#define FILES_H
#include "io/io.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[64];

static inline const char *path(const char *name) {
  static char buf[4][512];
  static int turn;
  char *p = buf[turn++ & 3];
  snprintf(p, sizeof buf[0], "%s/%s", folder, name);
  return p;
}

static inline int entries_in(const char *dir) {
  int n = 0;
  DIR *d = opendir(dir);
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));) n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
  closedir(d);
  return n;
}

static inline int setup(void **state) {
  (void)state;
  strcpy(folder, "/tmp/mascon-test-XXXXXX");
  ms_error_clear();
  return mkdtemp(folder) ? 0 : -1;
}

static inline int teardown(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

/* The last call failed with a message that has all of these in it; it is cleared. */
static inline void failed_(int line, const char *first, ...) {
  const char *why = ms_error();
  if (!why) fail_msg("line %d: expected an error", line);
  va_list ap;
  va_start(ap, first);
  for (const char *s = first; s; s = va_arg(ap, const char *))
    if (!strstr(why, s)) fail_msg("line %d: expected \"%s\" in: %s", line, s, why);
  va_end(ap);
  ms_error_clear();
}
#define failed(...) failed_(__LINE__, __VA_ARGS__, NULL)

static inline void put_file(const char *name, const void *data, size_t n) {
  FILE *f = fopen(name, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

static inline void assert_file(const char *name, const void *data, size_t n) {
  size_t size = 0;
  char *got = ms_read_file(name, 1 << 20, &size);
  assert_non_null(got);
  assert_int_equal(size, n);
  assert_memory_equal(got, data, n);
  assert_int_equal(got[n], 0);
  free(got);
}

/* Seconds on a clock that never goes back. */
static inline double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A copy of exactly n bytes, so that a sanitizer sees every read past the end. */
static inline uint8_t *exactly(const void *bytes, size_t n) {
  uint8_t *p = malloc(n ? n : 1);
  if (n) memcpy(p, bytes, n);
  return p;
}

#endif
