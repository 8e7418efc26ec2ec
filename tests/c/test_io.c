/* test_io.c -- files, JSON lines, safetensors, protobuf, TensorBoard events. */
#include "io/io.h"
#include "io/protobuf.h"
#include <dirent.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- a folder of its own, empty again after every test ----------------------------------------------------------- */

static char folder[64];

static const char *path(const char *name) {
  static char buf[4][512];
  static int turn;
  char *p = buf[turn++ & 3];
  snprintf(p, sizeof buf[0], "%s/%s", folder, name);
  return p;
}

static int entries_in(const char *dir) {
  int n = 0;
  DIR *d = opendir(dir);
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));) n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
  closedir(d);
  return n;
}

static int setup(void **state) {
  (void)state;
  strcpy(folder, "/tmp/mascon-test-XXXXXX");
  ms_error_clear();
  return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

/* The last call failed with a message that has all of these in it; it is cleared. */
static void failed_(int line, const char *first, ...) {
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

static void put_file(const char *name, const void *data, size_t n) {
  FILE *f = fopen(name, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

static void assert_file(const char *name, const void *data, size_t n) {
  size_t size = 0;
  char *got = ms_read_file(name, 1 << 20, &size);
  assert_non_null(got);
  assert_int_equal(size, n);
  assert_memory_equal(got, data, n);
  assert_int_equal(got[n], 0);
  free(got);
}

/* ---- file.c ------------------------------------------------------------------------------------------------------ */

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

/* ---- safetensors ------------------------------------------------------------------------------------------------- */

static const float w_data[6] = {1, 2, 3, -4, 5.5f, NAN};
static const int64_t i_data[2] = {-1, INT64_MAX};
static const uint8_t u_data[3] = {0, 1, 1};

static int write_sample(const char *name) {
  const ms_st_entry e[] = {{"layer.weight", MS_F32, 2, {2, 3}, 24, w_data},
                           {"mask", MS_BOOL, 1, {3}, 3, u_data},
                           {"n\"o\\ne\xc3\xa9", MS_F64, 2, {0, 5}, 0, NULL},
                           {"step", MS_I64, 0, {0}, 8, i_data},
                           {"ids", MS_I64, 1, {2}, 16, i_data},
                           {"half", MS_BF16, 1, {1}, 2, u_data}};
  const ms_st_pair m[] = {{"epoch", "3"}, {"name", "a \"b\" \xe2\x82\xac"}};
  return ms_safetensors_write(name, 6, e, 2, m);
}

static void check_sample(const ms_safetensors *s) {
  assert_int_equal(s->n, 6);
  assert_int_equal(s->n_metadata, 2);
  assert_string_equal(ms_safetensors_metadata(s, "epoch"), "3");
  assert_string_equal(ms_safetensors_metadata(s, "name"), "a \"b\" \xe2\x82\xac");
  assert_null(ms_safetensors_metadata(s, "none"));
  assert_null(ms_safetensors_find(s, "none"));
  const ms_st_entry *e = ms_safetensors_find(s, "layer.weight");
  assert_true(e == &s->entries[0] && e->dtype == MS_F32 && e->rank == 2 && e->shape[0] == 2 && e->shape[1] == 3 && e->bytes == 24);
  char got[24];
  assert_int_equal(ms_safetensors_read(s, e, got), 0);
  assert_memory_equal(got, w_data, 24);
  e = ms_safetensors_find(s, "n\"o\\ne\xc3\xa9");
  assert_true(e && e->rank == 2 && e->shape[0] == 0 && e->shape[1] == 5 && e->bytes == 0);
  e = ms_safetensors_find(s, "step");
  assert_true(e && e->rank == 0 && e->bytes == 8);
  assert_int_equal(ms_safetensors_read(s, e, got), 0);
  assert_memory_equal(got, i_data, 8);
  assert_string_equal(s->entries[5].name, "half");
}

static void test_safetensors_roundtrip(void **state) {
  (void)state;
  assert_int_equal(write_sample(path("a.safetensors")), 0);
  ms_safetensors *s = ms_safetensors_open(path("a.safetensors"), 0);
  assert_non_null(s);
  check_sample(s);
  ms_safetensors_close(s);
  size_t size;
  char *bytes = ms_read_file(path("a.safetensors"), 1 << 20, &size);
  uint64_t header;
  memcpy(&header, bytes, 8);
  assert_int_equal(header % 8, 0);
  assert_int_equal(size, 8 + header + 24 + 3 + 8 + 16 + 2);
  /* every prefix is refused, and so is a longer file */
  for (size_t n = 0; n < size; n++) {
    char *exact = malloc(n ? n : 1);
    memcpy(exact, bytes, n);
    assert_null(ms_safetensors_parse(exact, n, "cut"));
    failed("cut: ");
    free(exact);
  }
  bytes = realloc(bytes, size + 1);
  assert_null(ms_safetensors_parse(bytes, size + 1, "padded"));
  failed("padded: ", "expected 53 bytes of data, got 54");
  /* a space-padded header */
  char *wide = malloc(size + 5);
  memcpy(wide, bytes, 8 + header);
  memset(wide + 8 + header, ' ', 5);
  memcpy(wide + 13 + header, bytes + 8 + header, size - 8 - header);
  header += 5;
  memcpy(wide, &header, 8);
  assert_non_null(s = ms_safetensors_parse(wide, size + 5, "wide"));
  check_sample(s);
  ms_safetensors_close(s);
  free(wide);
  free(bytes);
  /* no tensors at all */
  assert_int_equal(ms_safetensors_write(path("none"), 0, NULL, 0, NULL), 0);
  assert_non_null(s = ms_safetensors_open(path("none"), 0));
  assert_int_equal(s->n, 0);
  ms_safetensors_close(s);
  ms_safetensors_close(NULL);
}

static ms_safetensors *parse_text(const char *json, size_t data) {
  uint64_t n = strlen(json);
  char *bytes = calloc(1, 8 + n + data);
  memcpy(bytes, &n, 8);
  memcpy(bytes + 8, json, n);
  ms_safetensors *s = ms_safetensors_parse(bytes, 8 + n + data, "f");
  if (!s) free(bytes); /* else the data would go with it */
  return s;
}

static void test_safetensors_bad(void **state) {
  (void)state;
#define T(name, dtype, shape, b, e) "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #b "," #e "]}"
  static const struct {
    const char *json;
    size_t data;
    const char *why;
  } bad[] = {
      {"", 0, "begin with '{'"},
      {" {}", 0, "begin with '{'"},
      {"[]", 0, "begin with '{'"},
      {"{", 0, "bad safetensors header"},
      {"{}x", 0, "bad safetensors header"},
      {"{\"a\":1}", 0, "expected dtype"},
      {"{\"a\":{}}", 0, "expected dtype"},
      {"{" T("a", "U8", "[1]", 0, 1) "," T("a", "U8", "[1]", 1, 2) "}", 2, "duplicate"},
      {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "duplicate"},
      {"{" T("a", "U8", "[1]", 0, 1) "," T("b", "U8", "[1]", 2, 3) "}", 3, "a hole"},
      {"{" T("a", "U8", "[2]", 0, 2) "," T("b", "U8", "[2]", 1, 3) "}", 3, "an overlap"},
      {"{" T("a", "U8", "[1]", 0, 1) "," T("b", "U8", "[1]", 0, 1) "}", 1, "an overlap"},
      {"{" T("a", "U8", "[1]", 1, 2) "}", 2, "a hole"},
      {"{" T("a", "U8", "[1]", 0, 1) "}", 2, "expected 1 bytes of data, got 2"},
      {"{}", 1, "expected 0 bytes of data, got 1"},
      {"{" T("a", "U8", "[2]", 0, 2) "}", 1, "do not lie"},
      {"{" T("a", "U8", "[1]", -1, 0) "}", 1, "do not lie"},
      {"{" T("a", "U8", "[1]", 1, 0) "}", 1, "do not lie"},
      {"{" T("a", "U8", "[0]", 0, 9223372036854775807) "}", 1, "do not lie"},
      {"{" T("a", "U8", "[0]", 0, 9223372036854775808) "}", 1, "bad safetensors header"},
      {"{" T("a", "F32", "[1]", 0, 3) "}", 3, "dtype and shape do not make"},
      {"{" T("a", "F32", "[4611686018427387904,4]", 0, 0) "}", 0, "dtype and shape do not make"},
      {"{" T("a", "F32", "[4294967296,4294967296,0]", 0, 0) "}", 0, "dtype and shape do not make"},
      {"{" T("a", "U8", "[1,1,1,1,1,1,1,1,1]", 0, 1) "}", 1, "at most 8 sizes"},
      {"{" T("a", "U8", "[-1]", 0, 1) "}", 1, "whole sizes"},
      {"{" T("a", "U8", "[1.0]", 0, 1) "}", 1, "whole sizes"},
      {"{" T("a", "U8", "[\"1\"]", 0, 1) "}", 1, "whole sizes"},
      {"{" T("a", "U8", "1", 0, 1) "}", 1, "expected a shape"},
      {"{" T("a", "U8", "[1]", 0, 1.0) "}", 1, "expected dtype"},
      {"{" T("a", "I8", "[1]", 0, 1) "}", 1, "got I8"},
      {"{" T("a", "F8_E4M3", "[1]", 0, 1) "}", 1, "got F8_E4M3"},
      {"{" T("a", "f32", "[1]", 0, 4) "}", 4, "got f32"},
      {"{\"__metadata__\":{\"a\":1}}", 0, "map strings to strings"},
      {"{\"__metadata__\":[]}", 0, "map strings to strings"},
      {"{\"\xff\":{}}", 0, "bad safetensors header"},
      {"{\"a\\u0000b\":{}}", 0, "bad safetensors header"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    if (parse_text(bad[i].json, bad[i].data)) fail_msg("accepted: %s", bad[i].json);
    failed("f: ", bad[i].why);
  }
  uint64_t absurd[2] = {UINT64_MAX, '{'};
  assert_null(ms_safetensors_parse(absurd, 16, "f"));
  failed("f: ", "18446744073709551615");
  uint8_t flag[] = "\0\0\0\0\0\0\0\0{" T("a", "BOOL", "[2]", 0, 2) "}\1\2";
  flag[0] = sizeof flag - 11;
  assert_null(ms_safetensors_parse(flag, sizeof flag - 1, "f"));
  failed("f: tensor 'a'", "element 2 is 2");
  assert_null(ms_safetensors_open(path("none"), 0));
  failed("none", "No such file");
  assert_null(ms_safetensors_open(folder, 0));
  failed(folder, "plain file");
}

static void test_safetensors_write_bad(void **state) {
  (void)state;
  ms_st_entry two[2] = {{"a", MS_U8, 1, {3}, 3, u_data}, {"a", MS_U8, 1, {3}, 3, u_data}};
  ms_st_pair pairs[2] = {{"k", "v"}, {"k", "w"}};
  assert_int_equal(ms_safetensors_write(path("x"), 2, two, 0, NULL), -1);
  failed("two tensors", "'a'");
  assert_int_equal(ms_safetensors_write(path("x"), 0, NULL, 2, pairs), -1);
  failed("two metadata", "'k'");
  pairs[0].value = "\xff";
  assert_int_equal(ms_safetensors_write(path("x"), 0, NULL, 1, pairs), -1);
  failed("UTF-8");
  two[0].name = "\xff";
  assert_int_equal(ms_safetensors_write(path("x"), 1, two, 0, NULL), -1);
  failed("UTF-8");
  two[0].name = "__metadata__";
  assert_int_equal(ms_safetensors_write(path("x"), 1, two, 0, NULL), -1);
  failed("reserved");
  two[0].name = "a";
  two[0].bytes = 4;
  assert_int_equal(ms_safetensors_write(path("x"), 1, two, 0, NULL), -1);
  failed("'a'", "4 bytes");
  assert_int_equal(entries_in(folder), 0);
}

/* ---- protobuf ---------------------------------------------------------------------------------------------------- */

static void test_protobuf(void **state) {
  (void)state;
  ms_pb pb = {0};
  ms_pb_int(&pb, 1, 150);
  ms_pb_int(&pb, 1, -1);
  ms_pb_string(&pb, 2, "testing");
  size_t m = ms_pb_begin(&pb, 3);
  ms_pb_int(&pb, 1, 150);
  ms_pb_end(&pb, m);
  const int64_t ints[] = {3, 270, 86942};
  ms_pb_ints(&pb, 6, ints, 3);
  ms_pb_float(&pb, 16, 1.0f);
  static const uint8_t want[] = "\x08\x96\x01"
                                "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                                "\x12\x07testing"
                                "\x1a\x03\x08\x96\x01"
                                "\x32\x06\x03\x8e\x02\x9e\xa7\x05"
                                "\x85\x01\x00\x00\x80\x3f";
  assert_int_equal(pb.n, sizeof want - 1);
  assert_memory_equal(pb.at, want, sizeof want - 1);
  /* a message whose length takes two bytes, in another */
  pb.n = 0;
  char text[200];
  memset(text, 'x', sizeof text);
  size_t a = ms_pb_begin(&pb, 1), b = ms_pb_begin(&pb, 2);
  ms_pb_bytes(&pb, 3, text, sizeof text);
  ms_pb_end(&pb, b);
  ms_pb_end(&pb, a);
  assert_int_equal(pb.n, 209);
  assert_memory_equal(pb.at, "\x0a\xce\x01\x12\xcb\x01\x1a\xc8\x01xxx", 12);
  assert_false(pb.failed);
  ms_pb_free(&pb);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void test_crc32c(void **state) {
  (void)state;
  assert_int_equal(ms_crc32c(0, "123456789", 9), 0xE3069283);
  assert_int_equal(ms_crc32c(ms_crc32c(0, "1234", 4), "56789", 5), 0xE3069283);
  uint8_t zeros[32] = {0};
  assert_int_equal(ms_crc32c(0, zeros, 32), 0x8a9136aa); /* RFC 3720, B.4 */
  assert_int_equal(ms_crc32c(0, "", 0), 0);
}

static size_t from_hex(const char *hex, uint8_t *out) {
  size_t n = 0;
  for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++) out[n] = (uint8_t)byte;
  return n;
}

static void test_events_golden(void **state) {
  (void)state;
  uint8_t want[256];
  size_t n = from_hex("1800000000000000a37f4b220900000000000000001a0d627261696e2e4576656e743a32eedf28a3"
                      "1a00000000000000129bd82d09000000000000000010072a0d0a0b0a046c6f7373150000003fdbe61b2e",
                      want);
  ms_events *e = ms_events_open(path("log/run"));
  assert_non_null(e);
  ms_events_set_time(e, 0);
  assert_int_equal(ms_events_scalar(e, "loss", 7, 0.5), 0);
  assert_int_equal(ms_events_flush(e), 0);
  const char *slash = strrchr(ms_events_path(e), '/');
  assert_int_equal(strncmp(slash, "/events.out.tfevents.", 21), 0);
  assert_int_equal(strspn(slash + 21, "0123456789"), 10);
  assert_file(ms_events_path(e), want, n);
  assert_int_equal(ms_events_close(e), 0);
  assert_int_equal(ms_events_close(NULL), 0);
}

/* Payload of record k of a file, checking both checksums of every record on the way. */
static const uint8_t *record(const uint8_t *bytes, size_t size, int k, size_t *n) {
  for (size_t at = 0; at < size; k--) {
    uint64_t length;
    uint32_t crc[2], c;
    memcpy(&length, bytes + at, 8);
    assert_true(at + 16 + length <= size);
    memcpy(&crc[0], bytes + at + 8, 4);
    memcpy(&crc[1], bytes + at + 12 + length, 4);
    c = ms_crc32c(0, bytes + at, 8);
    assert_int_equal(crc[0], (c >> 15 | c << 17) + 0xa282ead8u);
    c = ms_crc32c(0, bytes + at + 12, length);
    assert_int_equal(crc[1], (c >> 15 | c << 17) + 0xa282ead8u);
    *n = length;
    if (!k) return bytes + at + 12;
    at += 16 + length;
  }
  return NULL;
}

static void test_events_kinds(void **state) {
  (void)state;
  ms_events *e = ms_events_open(path("log"));
  char *name = strdup(ms_events_path(e));
  ms_events_set_time(e, 0);
  assert_int_equal(ms_events_resume(e, 300), 0);
  assert_int_equal(ms_events_image(e, "im", 1, 2, 3, 1, "PNG", 3), 0);
  assert_int_equal(ms_events_text(e, "t", 1, "hi"), 0);
  assert_int_equal(ms_events_image(e, "im", 1, 2, 3, 2, "PNG", 3), -1);
  failed("'im'", "got 2");
  assert_int_equal(ms_events_close(e), 0);
  size_t size, n;
  uint8_t *bytes = ms_read_file(name, 1 << 20, &size), want[64];
  const uint8_t *r = record(bytes, size, 1, &n);
  assert_int_equal(n, from_hex("09000000000000000010ac023a020801", want));
  assert_memory_equal(r, want, n);
  r = record(bytes, size, 2, &n);
  assert_int_equal(n, from_hex("090000000000000000"
                               "1001"
                               "2a13"
                               "0a11"
                               "0a02696d"
                               "220b"
                               "0803"
                               "1002"
                               "1801"
                               "2203504e47",
                               want));
  assert_memory_equal(r, want, n);
  r = record(bytes, size, 3, &n);
  assert_int_equal(n, from_hex("090000000000000000"
                               "1001"
                               "2a1d"
                               "0a1b"
                               "0a0174"
                               "420c"
                               "0807"
                               "12041202"
                               "0801"
                               "42026869"
                               "4a08"
                               "0a06"
                               "0a0474657874",
                               want));
  assert_memory_equal(r, want, n);
  assert_null(record(bytes, size, 4, &n));
  free(bytes);
  free(name);
}

/* The doubles of packed field `field` inside the histogram of record 1. */
static int histogram_of(const float *values, size_t count, double *five, double *limit, double *bucket) {
  ms_events *e = ms_events_open(path("h"));
  char *name = strdup(ms_events_path(e));
  ms_events_set_time(e, 0);
  assert_int_equal(ms_events_histogram(e, "h", 1, values, count), 0);
  assert_int_equal(ms_events_close(e), 0);
  size_t size, n;
  uint8_t *bytes = ms_read_file(name, 1 << 20, &size);
  const uint8_t *r = record(bytes, size, 1, &n), *end = r + n;
  /* time, step, summary key */
  r += 9 + 2 + 1;
  for (int i = 0; i < 3; i++) { /* summary, value, histo: length, then tag or key */
    while (*r & 0x80) r++;
    r++;
    if (i == 0) r += 1;
    if (i == 1) r += 3 + 1;
  }
  for (int i = 0; i < 5; i++, r += 9) {
    assert_int_equal(*r, (i + 1) << 3 | 1);
    memcpy(&five[i], r + 1, 8);
  }
  int k = 0;
  for (int field = 6; field <= 7; field++) {
    assert_int_equal(*r++, field << 3 | 2);
    size_t length = 0;
    for (int shift = 0;; shift += 7) {
      length |= (size_t)(*r & 0x7f) << shift;
      if (!(*r++ & 0x80)) break;
    }
    assert_int_equal(length % 8, 0);
    k = (int)(length / 8);
    memcpy(field == 6 ? limit : bucket, r, length);
    r += length;
  }
  assert_true(r == end);
  free(bytes);
  free(name);
  return k;
}

static void test_events_histogram(void **state) {
  (void)state;
  double five[5], limit[2000], bucket[2000];
  const float few[] = {0, 1, 1, -2, NAN, INFINITY, 1e-20f, FLT_MAX};
  int n = histogram_of(few, 8, five, limit, bucket);
  assert_true(five[0] == -2 && five[1] == FLT_MAX && five[2] == 6);
  double total = 0;
  for (int i = 0; i < n; i++) {
    total += bucket[i];
    if (i) assert_true(limit[i] > limit[i - 1]);
    assert_true(bucket[i] > 0 || i == n - 1 || bucket[i + 1] > 0); /* runs of empty ones are one */
  }
  assert_true(total == 6);
  assert_true(bucket[n - 1] == 1 && limit[n - 1] == DBL_MAX);

  /* every value lies below its bucket's limit and not below the one before */
  enum { N = 4000 };
  static float x[N];
  for (int i = 0; i < N; i++) x[i] = (float)(pow(1.007, i - N / 2) * (i % 2 ? 1 : -1));
  n = histogram_of(x, N, five, limit, bucket);
  for (int k = 0; k < n; k++) {
    int inside = 0;
    for (int i = 0; i < N; i++) inside += x[i] < limit[k] && (k == 0 || x[i] >= limit[k - 1]);
    assert_int_equal(inside, (int)bucket[k]);
    /* away from 0 and the ends, neighbours differ by the growth of 1.1, or by a power of it over a run of empty ones */
    if (k && limit[k - 1] > 1e-12 && limit[k] < 1e20) {
      double steps = log(limit[k] / limit[k - 1]) / log(1.1);
      assert_true(fabs(steps - round(steps)) < 1e-6);
    }
  }

  n = histogram_of(NULL, 0, five, limit, bucket);
  assert_true(n == 1 && bucket[0] == 0 && five[2] == 0 && five[0] == 0);
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
  const struct CMUnitTest tests[] = {
      T1(test_read),     T1(test_write),   T1(test_write_stream),          T1(test_write_full),      T1(test_mkdirs),
      T1(test_jsonl),    T1(test_visible), T1(test_safetensors_roundtrip), T1(test_safetensors_bad), T1(test_safetensors_write_bad),
      T1(test_protobuf), T1(test_crc32c),  T1(test_events_golden),         T1(test_events_kinds),    T1(test_events_histogram)};
  return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
