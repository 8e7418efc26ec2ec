/* test_hostile.c -- files that change while they are read, and the rule of memory. */
#include "check.h"
#include "data/data.h"
#include "io/io.h"
#include "io/source.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/mascon-hostile-XXXXXX";

static const char *path(const char *name) {
  static char full[256];
  snprintf(full, sizeof full, "%s/%s", folder, name);
  return full;
}

static void failed(const char *part) {
  if (!ms_error() || !strstr(ms_error(), part)) fail_msg("expected \"%s\" in: %s", part, ms_error() ? ms_error() : "no error");
  ms_error_clear();
}

/* A file cut after its header was read gives an error, where a mapping of it would have ended the program. */
static void test_cut_while_read(void **state) {
  (void)state;
  enum { N = 1 << 20 };
  char *data = calloc(N, 1);
  assert_non_null(data);
  ms_st_entry e = {.name = "x", .dtype = MS_U8, .rank = 1, .shape = {N}, .bytes = N, .data = data};
  assert_int_equal(ms_safetensors_write(path("st"), 1, &e, 0, NULL), 0);
  ms_safetensors *s = ms_safetensors_open(path("st"), 0);
  assert_non_null(s);
  assert_int_equal(ms_safetensors_read(s, &s->entries[0], data), 0);
  assert_int_equal(truncate(path("st"), 5000), 0);
  assert_int_equal(ms_safetensors_read(s, &s->entries[0], data), -1);
  failed("became shorter");
  ms_safetensors_close(s);

  ms_array a = {.dtype = MS_U8, .rank = 1, .shape = {N}, .count = N, .data = data};
  assert_int_equal(ms_idx_write(path("idx"), &a, 0), 0);
  ms_idx *f = ms_idx_open(path("idx"), 0);
  assert_non_null(f);
  assert_int_equal(truncate(path("idx"), 300000), 0);
  assert_int_equal(ms_idx_elements(f, data), -1);
  failed("truncated");
  ms_idx_close(f);
  free(data);
}

static void test_allow_bytes(void **state) {
  (void)state;
  const uint64_t room = MS_READ_ROOM;
  assert_int_equal(ms_allow_bytes("f", 0, room, room, 0), 0);
  assert_int_equal(ms_allow_bytes("f", 1000, 8000 + room, 0, 0), 0);
  assert_int_equal(ms_allow_bytes("f", 1000, 8008 + room, 0, 0), -1);
  failed("max_bytes = 67116872");
  assert_int_equal(ms_allow_bytes("f", UINT64_MAX, 1, room + 1, 0), -1);
  failed("f: ");
  assert_int_equal(ms_allow_bytes("f", 10, UINT64_MAX, UINT64_MAX, 0), -1);
  failed("18446744073709551615");
  assert_int_equal(ms_allow_bytes("f", 0, 60, 40, 100), 0);
  assert_int_equal(ms_allow_bytes("f", 1 << 20, 60, 41, 100), -1);
  failed("max_bytes allows 100");
}

int main(void) {
  if (!mkdtemp(folder)) return 1;
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_cut_while_read), cmocka_unit_test(test_allow_bytes)};
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(path("st")), unlink(path("idx"));
  rmdir(folder);
  return rc;
}
