/* test_files.c -- reading and writing files, JSON lines. */
#include "files.h"
#include <sys/stat.h>

static void test_read(void **state) {
  (void)state;
  size_t size = 99;
  char *big = malloc(100000);
  for (int i = 0; i < 100000; i++) big[i] = (char)(i * 7);
  put_file(path("a"), big, 100000);
  assert_file(path("a"), big, 100000);
  put_file(path("empty"), "", 0);
  assert_file(path("empty"), "", 0);
  free(big);
  assert_null(ms_read_file(path("a"), 99999, &size));
  failed(path("a"), "too big", "99999", "100000");
  assert_null(ms_read_file(path("none"), 10, &size));
  failed(path("none"), "No such file");
  assert_null(ms_read_file(folder, 10, &size));
  failed(folder, "folder");
  /* no size known beforehand */
  assert_null(ms_read_file("/dev/zero", 1 << 16, &size));
  failed("/dev/zero", "too big");
}

static void test_write(void **state) {
  (void)state;
  assert_int_equal(ms_write_file(path("a"), "one", 3), 0);
  assert_file(path("a"), "one", 3);
  assert_int_equal(chmod(path("a"), 0640), 0);
  assert_int_equal(ms_write_file(path("a"), "second", 6), 0);
  assert_file(path("a"), "second", 6);
  struct stat st;
  assert_int_equal(stat(path("a"), &st), 0);
  assert_int_equal(st.st_mode & 07777, 0640);
  assert_int_equal(entries_in(folder), 1);

  /* a link stays one */
  assert_int_equal(symlink("a", path("link")), 0);
  assert_int_equal(ms_write_file(path("link"), "3", 1), 0);
  assert_file(path("a"), "3", 1);
  assert_int_equal(lstat(path("link"), &st), 0);
  assert_true(S_ISLNK(st.st_mode));

  assert_int_equal(ms_write_file(path("none/a"), "x", 1), -1);
  failed(path("none/a"), "No such file");
  assert_int_equal(ms_write_file(folder, "x", 1), -1);
  failed(folder, "folder");
  assert_int_equal(ms_write_file("/dev/null", "x", 1), -1);
  failed("/dev/null", "device");
}

static void test_write_stream(void **state) {
  (void)state;
  ms_writer *w = ms_writer_open(path("s"));
  assert_non_null(w);
  for (int i = 0; i < 50000; i++) assert_int_equal(ms_writer_write(w, "abcd", 4), 0);
  assert_int_equal(access(path("s"), F_OK), -1); /* not before commit */
  assert_int_equal(entries_in(folder), 1);
  assert_int_equal(ms_writer_commit(w), 0);
  struct stat st;
  assert_int_equal(stat(path("s"), &st), 0);
  assert_int_equal(st.st_size, 200000);
  assert_int_equal(entries_in(folder), 1);

  w = ms_writer_open(path("s"));
  ms_writer_write(w, "x", 1);
  ms_writer_abort(w);
  ms_writer_abort(NULL);
  assert_int_equal(stat(path("s"), &st), 0);
  assert_int_equal(st.st_size, 200000);
  assert_int_equal(entries_in(folder), 1);

  /* the folder goes away before the commit: an error, nothing left */
  assert_int_equal(ms_mkdirs(path("gone")), 0);
  w = ms_writer_open(path("gone/f"));
  assert_non_null(w);
  ms_writer_write(w, "x", 1);
  assert_int_equal(rename(path("gone"), path("moved")), 0);
  assert_int_equal(ms_writer_commit(w), -1);
  failed("gone/f", "write failed");
}

/* A full disk, played by a limit on the size of files. */
static void test_write_full(void **state) {
  (void)state;
  ms_write_file(path("a"), "old", 3);
  char command[512];
  snprintf(command, sizeof command, "trap '' XFSZ; ulimit -f 8; exec \"$MASCON_TEST_SELF\" full '%s'", path("a"));
  assert_int_equal(WEXITSTATUS(system(command)), 7);
  assert_file(path("a"), "old", 3);
  assert_int_equal(entries_in(folder), 1);
}

static int write_too_much(const char *name) {
  static char big[1 << 20];
  return ms_write_file(name, big, sizeof big) && strstr(ms_error(), "too large") ? 7 : 1;
}

static void test_mkdirs(void **state) {
  (void)state;
  struct stat st;
  assert_int_equal(ms_mkdirs(path("a/b//c/")), 0);
  assert_int_equal(stat(path("a/b/c"), &st), 0);
  assert_true(S_ISDIR(st.st_mode));
  assert_int_equal(ms_mkdirs(path("a/b/c")), 0);
  put_file(path("file"), "x", 1);
  assert_int_equal(ms_mkdirs(path("file/sub")), -1);
  failed("file", "something else");
  assert_int_equal(ms_mkdirs(""), -1);
  failed("expected a name");
}

static void test_jsonl(void **state) {
  (void)state;
  const char *f = path("m.jsonl");
  assert_int_equal(ms_jsonl_append(f, "{\"a\":1}", false), 0);
  assert_int_equal(ms_jsonl_append(f, "{\"a\":2}", true), 0);
  assert_file(f, "{\"a\":1}\n{\"a\":2}\n", 16);
  put_file(f, "{\"a\":1}\n{\"a", 11); /* torn: cut off */
  assert_int_equal(ms_jsonl_append(f, "{}", false), 0);
  assert_file(f, "{\"a\":1}\n{}\n", 11);
  put_file(f, "{\"a\":1}\n{\"a\":2}", 15); /* whole but for its newline: kept */
  assert_int_equal(ms_jsonl_append(f, "{}", false), 0);
  assert_file(f, "{\"a\":1}\n{\"a\":2}\n{}\n", 19);
  put_file(f, "{\"a", 3);
  assert_int_equal(ms_jsonl_append(f, "{}", false), 0);
  assert_file(f, "{}\n", 3);
  assert_int_equal(ms_jsonl_append(f, "{\n}", false), -1);
  failed("newline");
  assert_int_equal(ms_jsonl_append(folder, "{}", false), -1);
  failed(folder);
}

static void shows(const char *s, size_t n, bool lines, const char *want) {
  char out[256];
  out[ms_visible(s, n, lines, out)] = 0;
  assert_string_equal(out, want);
}

static void test_visible(void **state) {
  (void)state;
  shows("a\x1b[31m\r\n\tb\0c", 12, false, "a\\27[31m\\13\\10\\9b\\0c");
  shows("a\n\tb\r", 5, true, "a\n\tb\\13");
  shows("\xc3\xa4\xe6\x97\xa5\xf0\x9f\x98\x80", 9, false, "\xc3\xa4\xe6\x97\xa5\xf0\x9f\x98\x80");
  shows("\xff\x9b\xc3", 3, false, "\\255\\155\\195");
  shows("\xc2\x9b\xe2\x80\xae", 5, false, "\\194\\155\\226\\128\\174"); /* C1's CSI, right-to-left override */
  assert_false(ms_utf8("\xed\xa0\x80", 3));                             /* a surrogate */
  assert_false(ms_utf8("\xc0\x80", 2));                                 /* a long form */
  assert_false(ms_utf8("\xf4\x90\x80\x80", 4));
  assert_true(ms_utf8("\xf4\x8f\xbf\xbf", 4));
}

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "full")) return write_too_much(argv[2]);
  char self[4096];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n > 0) {
    self[n] = 0;
    setenv("MASCON_TEST_SELF", self, 1);
  }
#define T1(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {T1(test_read),   T1(test_write), T1(test_write_stream), T1(test_write_full),
                                     T1(test_mkdirs), T1(test_jsonl), T1(test_visible)};
  return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
