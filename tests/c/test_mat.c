/* test_mat.c -- MATLAB files of version 5 that are cut off or damaged; the values of sound ones are in tests/lua/test_mat.lua. */
#include "data/data.h"
#include "data/mat73.h"
#include "files.h"
#include "mat_walk.h"
#include <signal.h>
#include <unistd.h>
#include <zlib.h>

static const char *const fixtures[] = {"numbers", "compressed", "nested", "big_endian", "other"};
enum { FIXTURES = 5 };

static uint8_t *fixture(int i, size_t *size) {
  char name[64];
  snprintf(name, sizeof name, "tests/data/mat/%s.mat", fixtures[i]);
  uint8_t *bytes = ms_read_file(name, 1 << 20, size);
  if (!bytes) fail_msg("%s", ms_error());
  return bytes;
}

/* All of it: how many values, or -1 with an error; without one otherwise. In memory of exactly the size, so that reading beyond it
 * is noticed. */
static int walk(const uint8_t *bytes, size_t size, bool partial) {
  uint8_t *own = malloc(size ? size : 1);
  uint64_t taken = 0;
  memcpy(own, bytes, size);
  ms_mat *f = ms_mat_parse(own, size, "f", 0, partial);
  const int n = f ? mat_walk(f, &taken) : -1;
  ms_mat_close(f);
  free(own);
  assert_true((n < 0) == !!ms_error());
  assert_true(taken <= 8 * size + (64 << 20));
  return n;
}

static void test_sound(void **state) {
  (void)state;
  static const int values[FIXTURES] = {14, 14, 20, 3, 3};
  for (int i = 0; i < FIXTURES; i++) {
    size_t size;
    uint8_t *bytes = fixture(i, &size);
    if (walk(bytes, size, false) != values[i]) fail_msg("%s: expected %d values: %s", fixtures[i], values[i], ms_error());
    free(bytes);
  }
}

/* Cut off anywhere but between two variables it is an error; with `partial`, what there is. */
static void test_every_prefix(void **state) {
  (void)state;
  for (int i = 0; i < FIXTURES; i++) {
    size_t size;
    uint8_t *bytes = fixture(i, &size);
    int before = 0;
    for (size_t n = 0; n < size; n++) {
      const int whole = walk(bytes, n, false);
      if (n >= 128 && whole < 0 && !strstr(ms_error(), "cut off")) fail_msg("%s, %zu bytes: %s", fixtures[i], n, ms_error());
      ms_error_clear();
      const int part = walk(bytes, n, true);
      if ((part < 0) != (n < 128)) fail_msg("%s, %zu bytes: %s", fixtures[i], n, ms_error());
      assert_true(part >= before || part < 0);
      assert_true(whole < 0 || whole == part);
      if (part > before) before = part;
      ms_error_clear();
    }
    free(bytes);
  }
}

static void test_flipped_bits(void **state) {
  (void)state;
  uint64_t draw = 1;
  int sound = 0, damaged = 0;
  for (int i = 0; i < FIXTURES; i++) {
    size_t size;
    uint8_t *bytes = fixture(i, &size);
    for (int k = 0; k < 2000; k++) {
      size_t at[3];
      uint8_t bit[3];
      const int flips = k % 3 + 1;
      for (int j = 0; j < flips; j++) {
        draw = draw * 6364136223846793005u + 1442695040888963407u;
        at[j] = 124 + (draw >> 33) % (size - 124);
        bytes[at[j]] ^= bit[j] = (uint8_t)(1 << (draw >> 61));
      }
      if (walk(bytes, size, k & 1) < 0) damaged++;
      else sound++;
      ms_error_clear();
      for (int j = 0; j < flips; j++) bytes[at[j]] ^= bit[j];
    }
    free(bytes);
  }
  assert_true(damaged > 4000 && sound > 500);
}

/* A matrix of `n` columns of one byte whose numbers are `there` bytes, in `made`; its size. */
static size_t matrix(uint8_t *made, uint32_t n, uint32_t declared, uint32_t there) {
  const uint32_t padded = (there + 7) & ~7u;
  const uint32_t words[] = {14, 16 + 16 + 16 + 8 + padded, 6, 8, 9, 0, 5, 8, 1, n, 1, 1, 'x', 0, 2, declared};
  memcpy(made, words, sizeof words);
  memset(made + sizeof words, 7, there);
  memset(made + sizeof words + there, 0, padded - there);
  return sizeof words + padded;
}

/* Header and elements, one compressed if `packed`. */
static size_t file_of(uint8_t *made, const uint8_t *element, size_t size, bool packed) {
  memset(made, ' ', 128);
  memcpy(made + 124, "\0\1IM", 4);
  uint8_t *at = made + 128;
  if (!packed) return memcpy(at, element, size), 128 + size;
  uLongf n = compressBound(size);
  assert_int_equal(compress2(at + 8, &n, element, size, 9), Z_OK);
  const uint32_t tag[] = {15, (uint32_t)n};
  memcpy(at, tag, 8);
  return 136 + n;
}

static void test_sizes_are_not_believed(void **state) {
  (void)state;
  uint8_t *element = malloc(1 << 20), *made = malloc(1 << 21);
  static const struct {
    uint32_t n, declared, there;
    const char *why;
  } cases[] = {{100, 100, 100, NULL},
               {200, 100, 100, "fewer numbers than its sizes say"},
               {100, 200, 100, "not as many numbers as its sizes say"},
               {50, 100, 100, "not as many numbers as its sizes say"},
               {200, 200, 100, "fewer numbers than its sizes say"},
               {0x7FFFFFFF, 100, 100, "fewer numbers than its sizes say"},
               {0x80000000, 100, 100, "a negative size"},
               {100, 0xFFFFFFF0, 100, "not as many numbers as its sizes say"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int packed = 0; packed < 2; packed++) {
      const size_t size = file_of(made, element, matrix(element, cases[i].n, cases[i].declared, cases[i].there), packed);
      assert_int_equal(walk(made, size, false), cases[i].why ? -1 : 1);
      if (cases[i].why) failed(cases[i].why);
    }
  free(element);
  free(made);
}

/* 1 KB that claims to become 1 GB, and one that really becomes 70 MB: neither is begun. */
static void test_memory_follows_the_file(void **state) {
  (void)state;
  enum { MANY = 90 << 20 };
  uint8_t *element = malloc(MANY + 128), *made = malloc(1 << 20);
  const size_t size = file_of(made, element, matrix(element, MANY, MANY, MANY), true);
  assert_true(size < 200000);
  assert_int_equal(walk(made, size, false), -1);
  failed("max_bytes = ", "f: reading it would take ");
  ms_mat_var v;
  ms_mat *f = ms_mat_parse(made, size, "f", 2 * (uint64_t)MANY, false);
  assert_int_equal(ms_mat_next(f, &v), 1);
  assert_int_equal(ms_mat_allow(f), 0);
  assert_int_equal(ms_mat_numbers(f, element, (int64_t[]){1, 1}), 0);
  assert_int_equal(element[MANY - 1], 7);
  ms_mat_close(f);
  free(element);
  free(made);
}

/* The child of this process that was forked last, or 0. */
static pid_t child_of_this(void) {
  char name[64], list[256] = "";
  snprintf(name, sizeof name, "/proc/self/task/%d/children", (int)getpid());
  FILE *children = fopen(name, "r");
  if (!children) return 0;
  if (!fgets(list, sizeof list, children)) *list = 0;
  fclose(children);
  return (pid_t)strtol(list, NULL, 10);
}

/* A child that sleeps uses no seconds of its own: the clock on the wall ends it. (One that was done before it was stopped proves
 * nothing: then once more.) */
static void test_a_child_that_hangs(void **state) {
  (void)state;
  const double before = ms_mat73_patience;
  bool hung = false;
  for (int i = 0; i < 50 && !hung; i++) {
    ms_mat *f = ms_mat_open("tests/data/mat/v73.mat", 0, false);
    if (!f && ms_error() && strstr(ms_error(), "needs libhdf5")) skip();
    if (!f) fail_msg("%s", ms_error());
    const pid_t child = child_of_this();
    assert_true(child > 0);
    assert_int_equal(kill(child, SIGSTOP), 0);
    uint64_t taken = 0;
    ms_mat73_patience = 0.3;
    const int n = mat_walk(f, &taken);
    ms_mat73_patience = before;
    ms_mat_close(f);
    assert_int_equal(kill(child, 0), -1); /* it is gone, and was waited for */
    if (n < 0) {
      hung = true;
      if (!ms_error() || !strstr(ms_error(), "gave nothing for 0.3 seconds, and its process was ended")) fail_msg("%s", ms_error());
    }
    ms_error_clear();
  }
  assert_true(hung);
  /* one that closes the pipe and does not end */
  const pid_t sleeper = fork();
  if (!sleeper)
    for (;;) pause();
  ms_mat73_patience = 0.1;
  assert_int_equal(ms_mat73_end("f", sleeper, true), -1);
  ms_mat73_patience = before;
  failed("f: damaged: the HDF5 library did not come to an end");
  assert_int_equal(kill(sleeper, 0), -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_sound),
                                     cmocka_unit_test(test_every_prefix),
                                     cmocka_unit_test(test_flipped_bits),
                                     cmocka_unit_test(test_sizes_are_not_believed),
                                     cmocka_unit_test(test_memory_follows_the_file),
                                     cmocka_unit_test(test_a_child_that_hangs)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
