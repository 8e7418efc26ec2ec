/* test_idx.c -- IDX files, also compressed, and the sets MNIST and Fashion-MNIST where they are at hand. */
#include "data/data.h"
#include "files.h"
#include <math.h>
#include <zlib.h>

static uint8_t *gzipped(const void *bytes, size_t n, const char *name, size_t *size) {
  z_stream z = {0};
  assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
  gz_header head = {.name = (Bytef *)name};
  if (name) deflateSetHeader(&z, &head);
  size_t room = deflateBound(&z, n) + 100;
  uint8_t *out = malloc(room);
  z.next_in = (Bytef *)bytes;
  z.avail_in = (uInt)n;
  z.next_out = out;
  z.avail_out = (uInt)room;
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  *size = z.total_out;
  deflateEnd(&z);
  return out;
}

static void check_parse(const void *bytes, size_t n, ms_dtype dtype, int rank, const int64_t *shape, const void *data) {
  ms_array *a = ms_idx_parse(bytes, n, "f");
  if (!a) fail_msg("%s", ms_error());
  assert_int_equal(a->dtype, dtype);
  assert_int_equal(a->rank, rank);
  for (int d = 0; d < rank; d++) assert_int_equal(a->shape[d], shape[d]);
  assert_memory_equal(a->data, data, (size_t)a->count * ms_dtype_size(dtype));
  ms_array_free(a);
}

static void test_idx_types(void **state) {
  (void)state;
  const int64_t three[] = {3}, one_two[] = {1, 2};
  const uint8_t u8[] = {0, 128, 255};
  check_parse("\0\0\x08\1\0\0\0\3\x00\x80\xff", 11, MS_U8, 1, three, u8);
  const int32_t i8[] = {1, -128, -1};
  check_parse("\0\0\x09\1\0\0\0\3\x01\x80\xff", 11, MS_I32, 1, three, i8);
  const int32_t i16[] = {258, -2};
  check_parse("\0\0\x0b\2\0\0\0\1\0\0\0\2\1\2\xff\xfe", 16, MS_I32, 2, one_two, i16);
  const int32_t i32[] = {0x01020304, -2};
  check_parse("\0\0\x0c\2\0\0\0\1\0\0\0\2\1\2\3\4\xff\xff\xff\xfe", 20, MS_I32, 2, one_two, i32);
  const float f32[] = {1.5f, -0.0f};
  check_parse("\0\0\x0d\2\0\0\0\1\0\0\0\2\x3f\xc0\0\0\x80\0\0\0", 20, MS_F32, 2, one_two, f32);
  const double f64[] = {1.5, -2};
  check_parse("\0\0\x0e\2\0\0\0\1\0\0\0\2\x3f\xf8\0\0\0\0\0\0\xc0\0\0\0\0\0\0\0", 28, MS_F64, 2, one_two, f64);
  const int64_t none[] = {2, 0, 5};
  check_parse("\0\0\x08\3\0\0\0\2\0\0\0\0\0\0\0\5", 16, MS_U8, 3, none, "");
}

static void test_idx_bad(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t n;
    const char *why;
  } bad[] = {
      {"", 0, "truncated"},
      {"\0\0\x08", 3, "at least 4 bytes"},
      {"\1\0\x08\1\0\0\0\0", 8, "expected it to begin with 00 00, got 01 00 08 01"},
      {"\x89PNG\r\n\x1a\n", 8, "not an IDX file"},
      {"\0\0\x0a\1\0\0\0\0", 8, "got 0a"},
      {"\0\0\x0f\1\0\0\0\0", 8, "got 0f"},
      {"\0\0\x08\0", 4, "1 to 8 dimensions, got 0"},
      {"\0\0\x08\x09", 4, "1 to 8 dimensions, got 9"},
      {"\0\0\x08\2\0\0\0\1\0\0\0", 11, "expected 8 bytes of sizes, got 7"},
      {"\0\0\x08\1\0\0\0\3\1\2", 10, "expected 3 bytes of elements, got 2"},
      {"\0\0\x0c\1\0\0\0\1\1\2\3", 11, "expected 4 bytes of elements, got 3"},
      {"\0\0\x08\1\0\0\0\3\1\2\3\4", 12, "too long"},
      {"\0\0\x08\1\0\0\0\0\1", 9, "too long"},
      {"\0\0\x08\1\xff\xff\xff\xff\1", 9, "expected 4294967295 bytes of elements, got "},
      {"\0\0\x08\2\xff\xff\xff\xff\xff\xff\xff\xff", 12, "absurd"},
      {"\0\0\x0e\2\x7f\xff\xff\xff\x7f\xff\xff\xff", 12, "absurd"},
      {"\0\0\x08\3\x80\0\0\0\x80\0\0\0\x80\0\0\0", 16, "absurd"},
      {"\0\0\x08\4\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 20, "absurd"},
      {"\0\0\x0e\2\0\xff\xff\xff\0\xff\xff\xff", 12, "expected 2251799545249800 bytes of elements, got "},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    uint8_t *p = exactly(bad[i].bytes, bad[i].n);
    if (ms_idx_parse(p, bad[i].n, "f")) fail_msg("accepted case %zu", i);
    failed("f: ", bad[i].why);
    free(p);
    size_t n;
    uint8_t *gz = gzipped(bad[i].bytes, bad[i].n, i % 2 ? "inside" : NULL, &n);
    if (ms_idx_parse(gz, n, "g")) fail_msg("accepted gzipped case %zu", i);
    failed("g: ", bad[i].why);
    free(gz);
  }
  assert_null(ms_idx_read(path("none")));
  failed(path("none"), "No such file");
  assert_null(ms_idx_read(folder));
  failed(folder);
}

static ms_array sample(int64_t *count) {
  static uint8_t data[6 * 50 * 7];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * i / 7);
  *count = sizeof data;
  return (ms_array){MS_U8, 3, {6, 50, 7}, sizeof data, data};
}

static void test_idx_roundtrip(void **state) {
  (void)state;
  int32_t ints[] = {-128, 0, 127};
  float floats[] = {1, -2.5f, NAN};
  double doubles[] = {1e300, -2.5, INFINITY};
  int64_t count;
  const struct {
    ms_array a;
    int type;
  } cases[] = {{sample(&count), 0},
               {{MS_I32, 1, {3}, 3, ints}, 0},
               {{MS_I32, 2, {3, 1}, 3, ints}, MS_IDX_I8},
               {{MS_I32, 8, {1, 1, 1, 3, 1, 1, 1, 1}, 3, ints}, MS_IDX_I16},
               {{MS_F32, 1, {3}, 3, floats}, MS_IDX_F32},
               {{MS_F64, 1, {3}, 3, doubles}, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int gz = 0; gz < 2; gz++) {
      const char *file = path(gz ? "a.gz" : "a");
      const ms_array *a = &cases[i].a;
      if (ms_idx_write(file, a, cases[i].type)) fail_msg("%s", ms_error());
      size_t n;
      uint8_t *bytes = ms_read_file(file, 1 << 20, &n);
      assert_int_equal(bytes[0], gz ? 0x1f : 0);
      check_parse(bytes, n, a->dtype, a->rank, a->shape, a->data);
      ms_array *b = ms_idx_read(file);
      assert_non_null(b);
      assert_memory_equal(a->data, b->data, (size_t)a->count * ms_dtype_size(a->dtype));
      ms_array_free(b);
      free(bytes);
    }
  ms_array_free(NULL);

  ms_array wide = {MS_I64, 1, {0}, 0, ints};
  assert_int_equal(ms_idx_write(path("bad"), &wide, 0), -1);
  failed("bad", "got i64");
  ms_array a = {MS_I32, 1, {3}, 3, ints};
  assert_int_equal(ms_idx_write(path("bad"), &a, MS_IDX_F32), -1);
  failed("bad", "got i32 as f32");
  ints[1] = 128;
  assert_int_equal(ms_idx_write(path("bad"), &a, MS_IDX_I8), -1);
  failed("bad", "element 1 is 128");
  a.count = 2;
  assert_int_equal(ms_idx_write(path("bad"), &a, 0), -1);
  failed("bad");
  assert_int_equal(access(path("bad"), F_OK), -1);
}

static void test_idx_cut(void **state) {
  (void)state;
  int64_t count;
  ms_array a = sample(&count);
  for (int gz = 0; gz < 2; gz++) {
    size_t n;
    assert_int_equal(ms_idx_write(path(gz ? "a.gz" : "a"), &a, 0), 0);
    uint8_t *bytes = ms_read_file(path(gz ? "a.gz" : "a"), 1 << 20, &n);
    for (size_t k = 0; k < n; k++) {
      uint8_t *cut = exactly(bytes, k);
      assert_null(ms_idx_parse(cut, k, "cut"));
      failed("cut: ");
      free(cut);
    }
    for (int more = 0; more < 256; more++) { /* one byte too many, whichever */
      uint8_t *longer = exactly(bytes, n);
      longer = realloc(longer, n + 1);
      longer[n] = (uint8_t)more;
      assert_null(ms_idx_parse(longer, n + 1, "padded"));
      failed("padded: ");
      free(longer);
    }
    free(bytes);
  }
}

static void test_idx_gzip(void **state) {
  (void)state;
  int64_t count;
  ms_array a = sample(&count);
  size_t n, n1, n2;
  assert_int_equal(ms_idx_write(path("a"), &a, 0), 0);
  uint8_t *plain = ms_read_file(path("a"), 1 << 20, &n);
  /* a gzip file of two members */
  uint8_t *first = gzipped(plain, 1000, "name", &n1), *second = gzipped(plain + 1000, n - 1000, NULL, &n2);
  first = realloc(first, n1 + n2);
  memcpy(first + n1, second, n2);
  check_parse(first, n1 + n2, MS_U8, 3, a.shape, a.data);
  /* any damaged byte of the compressed data is noticed, by the checksum at the latest */
  size_t noticed = 0;
  for (size_t i = 10; i < n2; i++) {
    uint8_t *gz = gzipped(plain, n, NULL, &n1);
    if (i < n1) {
      gz[i] ^= 0x10;
      ms_array *b = ms_idx_parse(gz, n1, "f");
      if (!b) failed("f: "), noticed++;
      ms_array_free(b);
    } else noticed++;
    free(gz);
  }
  assert_int_equal(noticed, n2 - 10);
  free(first);
  free(second);
  free(plain);
  /* A header that declares 4 GB before 40 bytes of nothing is refused without 4 GB of memory (see the limit in main). */
  uint8_t bomb[48] = {0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff};
  uint8_t *gz = gzipped(bomb, sizeof bomb, NULL, &n);
  assert_null(ms_idx_parse(gz, n, "f"));
  failed("f: truncated", "4294967295", "got at most");
  free(gz);
}

static const char *find_set(const char *const *folders, const char *file, char *buf, size_t room) {
  for (; *folders; folders++) {
    snprintf(buf, room, "%s/%s", *folders, file);
    if (!access(buf, R_OK)) return buf;
  }
  return NULL;
}

static void check_set(const char *name, const char *const *folders, double mean_wanted) {
  char images[512], labels[512];
  if (!find_set(folders, "train-images-idx3-ubyte.gz", images, sizeof images) ||
      !find_set(folders, "train-labels-idx1-ubyte.gz", labels, sizeof labels)) {
    print_message("skipped: no %s\n", name);
    skip();
  }
  double start = seconds();
  ms_array *x = ms_idx_read(images), *y = ms_idx_read(labels);
  double took = seconds() - start;
  if (!x || !y) fail_msg("%s", ms_error());
  assert_true(x->dtype == MS_U8 && x->rank == 3 && x->shape[0] == 60000 && x->shape[1] == 28 && x->shape[2] == 28);
  assert_true(y->dtype == MS_U8 && y->rank == 1 && y->shape[0] == 60000);
  const uint8_t *px = x->data, *py = y->data;
  double sum = 0;
  for (int64_t i = 0; i < x->count; i++) sum += px[i];
  assert_true(fabs(sum / (double)x->count / 255 - mean_wanted) < 5e-5);
  int seen[10] = {0};
  for (int i = 0; i < 60000; i++) {
    assert_in_range(py[i], 0, 9);
    seen[py[i]]++;
  }
  for (int k = 0; k < 10; k++) assert_in_range(seen[k], 5000, 7000);
  print_message("%s: read in %.3f s\n", name, took);
  ms_array_free(x);
  ms_array_free(y);
}

static void test_idx_mnist(void **state) {
  (void)state;
  const char *folders[] = {"../shared/data/mnist", "../../shared/data/mnist", getenv("MASCON_DATA"), NULL};
  check_set("MNIST", folders, 0.1307);
}

static void test_idx_fashion(void **state) {
  (void)state;
  static const char *const folders[] = {"/usr/share/datasets/fashion-mnist", NULL};
  check_set("Fashion-MNIST", folders, 0.2860);
}

int main(void) {
#define T1(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {T1(test_idx_types), T1(test_idx_bad),   T1(test_idx_roundtrip), T1(test_idx_cut),
                                     T1(test_idx_gzip),  T1(test_idx_mnist), T1(test_idx_fashion)};
  return cmocka_run_group_tests_name("idx", tests, NULL, NULL);
}
