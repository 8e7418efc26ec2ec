/* test_formats.c -- damaged files of every format of the table: each prefix of each fixture, and 2,000 random changes of bits, give
 * an error or something sound, in memory as the rule allows. (test_hostile.lua and test_image.c are about what the errors say.) */
#include "../fuzz/format.h"
#include "data/csv.h"
#include "data/data.h"
#include "data/npy.h"
#include "files.h"
#include "io/zip.h"
#include <math.h>

static const char *const fixtures[] = {"tests/data/formats/stored.npz",   "tests/data/formats/deflated.npz",
                                       "tests/data/formats/odd.npz",      "tests/data/formats/f4.npy",
                                       "tests/data/formats/v2.npy",       "tests/data/formats/fortran.npy",
                                       "tests/data/formats/quoted.csv",   "tests/data/safetensors/net.safetensors",
                                       "tests/data/hostile/baseline.jpg", "tests/data/hostile/progressive.jpg"};

static uint32_t draw(uint64_t *state) { return (uint32_t)((*state = *state * 6364136223846793005u + 1442695040888963407u) >> 33); }

static void damage(const char *name, const uint8_t *good, size_t n) {
  uint8_t *bytes = exactly(good, n);
  if (!try_format(NULL, bytes, n) && !strstr(name, "odd")) fail_msg("%s: not accepted as it is", name);
  uint64_t state = 1;
  for (int k = 0; k < 2000; k++) {
    const int flips = 1 + (int)(draw(&state) % 4);
    for (int i = 0; i < flips; i++) bytes[draw(&state) % n] ^= (uint8_t)(1u << draw(&state) % 8);
    try_format(NULL, bytes, n);
    if (k % 3 == 0) memcpy(bytes, good, n);
  }
  free(bytes);
  const size_t step = n > 20000 ? n / 2000 : 1;
  for (size_t k = 0; k < n; k += step) { /* memory of its own, so that a sanitizer sees a look behind its end */
    uint8_t *prefix = exactly(good, k);
    try_format(NULL, prefix, k);
    free(prefix);
  }
}

static void test_damaged_fixtures(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
    size_t n;
    uint8_t *good = ms_read_file(fixtures[i], 1 << 24, &n);
    if (!good) fail_msg("%s", ms_error());
    damage(fixtures[i], good, n);
    free(good);
  }
}

/* What our writers make, damaged: IDX and CSV, gzipped, PNG, npz. */
static void test_damaged_files_of_ours(void **state) {
  (void)state;
  static uint8_t data[600];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * i / 7);
  const ms_array a = {MS_U8, 2, {20, 30}, 600, data};
  const ms_image im = {20, 10, 3, data};
  const char *const texts[] = {"a", "b,\"c\"", ""};
  const ms_csv_values columns[] = {{.name = "x", .dtype = MS_U8, .data = data, .stride = 1}, {.name = "y", .texts = texts}};
  assert_int_equal(ms_idx_write(path("a.gz"), &a, 0), 0);
  assert_int_equal(ms_idx_write(path("a"), &a, 0), 0);
  assert_int_equal(ms_png_write(path("a.png"), &im), 0);
  assert_int_equal(ms_csv_write(path("a.csv.gz"), 2, columns, 3, ','), 0);
  const char *const names[] = {"a.gz", "a", "a.png", "a.csv.gz"};
  for (size_t i = 0; i < 4; i++) {
    size_t n;
    uint8_t *good = ms_read_file(path(names[i]), 1 << 20, &n);
    assert_non_null(good);
    damage(names[i], good, n);
    free(good);
  }
}

/* Archives with numbers of 64 bits, and a list that says more than there is. */
static void test_zip64(void **state) {
  (void)state;
  static const char data[] = "0123456789";
  ms_zip_writer *w = ms_zip_create(path("z"), false);
  assert_int_equal(ms_zip_add(w, "a", 1, (ms_piece[]){{data, 10}}), 0);
  assert_int_equal(ms_zip_add(w, "b", 2, (ms_piece[]){{data, 3}, {data, 4}}), 0);
  assert_int_equal(ms_zip_commit(w), 0);
  size_t n;
  uint8_t *zip = ms_read_file(path("z"), 1 << 20, &n), out[16];
  assert_non_null(zip);
  size_t list = n - 22 - 2 * 47;
  assert_memory_equal(zip + list, "PK\1\2", 4);
  /* the same with the first member's sizes and place, and those of the list itself, in 64 bits */
  uint8_t wide[512];
  size_t m = list;
  memcpy(wide, zip, m);
  memcpy(wide + m, zip + list, 47);
  memset(wide + m + 20, 0xff, 8), memset(wide + m + 42, 0xff, 4);
  wide[m + 30] = 28;
  m += 47;
  memcpy(wide + m, "\1\0\30\0\12\0\0\0\0\0\0\0\12\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 28);
  m += 28;
  memcpy(wide + m, zip + list + 47, 47);
  m += 47;
  const size_t size = m - list, end64 = m;
  memcpy(wide + m, "PK\6\6\54\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 40);
  memset(wide + m + 40, 0, 16);
  wide[m + 40] = (uint8_t)size, wide[m + 48] = (uint8_t)list, wide[m + 49] = (uint8_t)(list >> 8);
  m += 56;
  memcpy(wide + m, "PK\6\7\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0", 20);
  wide[m + 8] = (uint8_t)end64, wide[m + 9] = (uint8_t)(end64 >> 8);
  m += 20;
  memcpy(wide + m, "PK\5\6\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0", 22);
  m += 22;
  ms_source s;
  ms_source_memory(&s, wide, m, "wide");
  ms_zip *z = ms_zip_open(&s);
  if (!z) fail_msg("%s", ms_error());
  assert_int_equal(z->n, 2);
  for (int k = 0; k < 2; k++) {
    assert_int_equal(ms_zip_begin(&s, z, k), 0);
    assert_int_equal(ms_source_read(&s, out, sizeof out), k ? 7 : 10);
    assert_memory_equal(out, k ? "0120123" : "0123456789", k ? 7 : 10);
    assert_int_equal(ms_zip_end(&s, z, k), 0);
    assert_int_equal(z->members[k].at % 64, 0);
  }
  ms_zip_close(z);
  wide[end64 + 32] = 200; /* members that the list has no room for */
  ms_source_memory(&s, wide, m, "wide");
  assert_null(ms_zip_open(&s));
  failed("wide: damaged zip archive: its list of members is not where it says");
  free(zip);
}

static void test_numbers_as_text(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double v;
  } good[] = {{"0", 0},
              {"-0.5", -0.5},
              {" 12 ", 12},
              {"1e3", 1000},
              {"1E-3", 1e-3},
              {"+7.25", 7.25},
              {".5", 0.5},
              {"5.", 5},
              {"0.1", 0.1},
              {"123456789012345678901234567890", 123456789012345678901234567890.0},
              {"9007199254740993", 9007199254740993.0},
              {"2.2250738585072011e-308", 2.2250738585072011e-308},
              {"1e400", INFINITY},
              {"-inf", -INFINITY},
              {"Infinity", INFINITY},
              {"0.30000000000000004", 0.30000000000000004},
              {"3.14159265358979323846", 3.14159265358979323846}};
  double v;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    if (!ms_csv_number(good[i].text, strlen(good[i].text), &v)) fail_msg("'%s' is a number", good[i].text);
    if (v != good[i].v) fail_msg("'%s' became %.17g", good[i].text, v);
  }
  assert_true(ms_csv_number("NaN", 3, &v) && isnan(v));
  static const char *const bad[] = {"",     " ",   "-",   "+",     ".",    "e",  "1e",     "1 2",
                                    "0x10", "1,5", "--1", "1.2.3", "nanx", "1f", "infinit"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (ms_csv_number(bad[i], strlen(bad[i]), &v)) fail_msg("'%s' is no number", bad[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_damaged_fixtures), cmocka_unit_test_setup_teardown(test_damaged_files_of_ours, setup, teardown),
      cmocka_unit_test_setup_teardown(test_zip64, setup, teardown), cmocka_unit_test(test_numbers_as_text)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
