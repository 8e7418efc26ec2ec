/* test_safetensors.c -- the safetensors format: what is written is read again, and what is not sound is refused. */
#include "files.h"
#include <math.h>

static const float w_data[6] = {1, 2, 3, -4, 5.5f, NAN};
static const int64_t i_data[2] = {-1, INT64_MAX};
static const uint8_t u_data[3] = {0, 1, 1};

static int write_sample(const char *name) {
  const ms_st_entry e[] = {{"layer.weight", MS_F32, 2, {2, 3}, 24, w_data, NULL, 0},
                           {"mask", MS_BOOL, 1, {3}, 3, u_data, NULL, 0},
                           {"n\"o\\ne\xc3\xa9", MS_F64, 2, {0, 5}, 0, NULL, NULL, 0},
                           {"step", MS_I64, 0, {0}, 8, i_data, NULL, 0},
                           {"ids", MS_I64, 1, {2}, 16, i_data, NULL, 0},
                           {"half", MS_BF16, 1, {1}, 2, u_data, NULL, 0}};
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
      {"{" T("a", "F6_E2M3", "[4]", 0, 3) "}", 3, "no dtype here holds F6_E2M3"},
      {"{" T("a", "f32", "[1]", 0, 4) "}", 4, "safetensors has no dtype f32"},
      {"{" T("a", "F4", "[3]", 0, 2) "}", 2, "dtype and shape do not make"},
      {"{" T("a", "F4", "[4]", 0, 1) "}", 1, "dtype and shape do not make"},
      {"{" T("a", "U16", "[1]", 0, 1) "}", 1, "dtype and shape do not make"},
      {"{" T("a", "C64", "[1,1,1,1,1,1,1,1]", 0, 8) "}", 8, "dtype and shape do not make"},
      {"{" T("a", "C64", "[1152921504606846976,16]", 0, 0) "}", 0, "dtype and shape do not make"},
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
  ms_st_entry two[2] = {{"a", MS_U8, 1, {3}, 3, u_data, NULL, 0}, {"a", MS_U8, 1, {3}, 3, u_data, NULL, 0}};
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

int main(void) {
#define T1(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {T1(test_safetensors_roundtrip), T1(test_safetensors_bad), T1(test_safetensors_write_bad)};
  return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
