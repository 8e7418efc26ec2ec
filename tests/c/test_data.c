/* test_data.c -- IDX files, pictures, grids, permutations and gathered batches. */
#include "data/data.h"
#include "io/io.h"
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>

static char folder[64];

static const char *path(const char *name) {
  static char buf[4][512];
  static int turn;
  char *p = buf[turn++ & 3];
  snprintf(p, sizeof buf[0], "%s/%s", folder, name);
  return p;
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

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A copy of exactly n bytes, so that a sanitizer sees every read past the end. */
static uint8_t *exactly(const void *bytes, size_t n) {
  uint8_t *p = malloc(n ? n : 1);
  if (n) memcpy(p, bytes, n);
  return p;
}

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

/* ---- IDX --------------------------------------------------------------------------------------------------------- */

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

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

static ms_image *pattern(int width, int height, int channels) {
  ms_image *im = ms_image_new(width, height, channels);
  assert_non_null(im);
  for (int i = 0; i < width * height * channels; i++) im->pixels[i] = (uint8_t)(i * 37 + i / 11 * (i % 5));
  return im;
}

static void test_png(void **state) {
  (void)state;
  for (int channels = 1; channels <= 4; channels++)
    for (int width = 1; width < 40; width += 19) {
      ms_image *im = pattern(width, 23, channels);
      size_t n;
      uint8_t *png = ms_png_encode(im, &n);
      assert_non_null(png);
      ms_image *back = ms_image_decode(png, n, 0, "f");
      if (!back) fail_msg("%s", ms_error());
      assert_true(back->width == width && back->height == 23 && back->channels == channels);
      assert_memory_equal(back->pixels, im->pixels, (size_t)width * 23 * (size_t)channels);
      ms_image_free(back);
      for (int want = 1; want <= 4; want++) {
        back = ms_image_decode(png, n, want, "f");
        assert_non_null(back);
        assert_int_equal(back->channels, want);
        ms_image_free(back);
      }
      assert_int_equal(ms_png_write(path("a.png"), im), 0);
      assert_non_null(back = ms_image_read(path("a.png"), channels));
      assert_memory_equal(back->pixels, im->pixels, (size_t)width * 23 * (size_t)channels);
      ms_image_free(back);
      /* cut anywhere, and with any bit of any byte but those behind the end turned over */
      for (size_t k = 0; k < n; k++) {
        uint8_t *bad = exactly(png, k);
        assert_null(ms_image_decode(bad, k, 0, "cut"));
        failed("cut: ");
        free(bad);
        bad = exactly(png, n);
        bad[k] ^= (uint8_t)(1 << k % 8);
        assert_null(ms_image_decode(bad, n, 0, "spoilt"));
        failed("spoilt: ");
        free(bad);
      }
      free(png);
      ms_image_free(im);
    }
  ms_image_free(NULL);
}

/* A 16 x 8 baseline JPEG, grey, made here: one DC and one AC table of a single code each, every block all 128. */
static size_t tiny_jpeg(uint8_t *out) {
  size_t n = 0;
#define PUT(...)                                                                                                                   \
  do {                                                                                                                             \
    const uint8_t b[] = {__VA_ARGS__};                                                                                             \
    memcpy(out + n, b, sizeof b);                                                                                                  \
    n += sizeof b;                                                                                                                 \
  } while (0)
  PUT(0xff, 0xd8, 0xff, 0xe0, 0, 7, 'J', 'F', 'I', 'F', 0);
  PUT(0xff, 0xdb, 0, 67, 0);
  memset(out + n, 1, 64);
  n += 64;
  PUT(0xff, 0xc0, 0, 11, 8, 0, 8, 0, 16, 1, 1, 0x11, 0);
  PUT(0xff, 0xc4, 0, 20, 0x00, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  PUT(0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  PUT(0xff, 0xda, 0, 8, 1, 1, 0x00, 0, 63, 0);
  PUT(0x0f, 0xff, 0xd9); /* 0 = DC difference 0, 0 = end of block, twice; filled with ones */
  return n;
}

static size_t find(const uint8_t *p, size_t n, const char *what, size_t k) {
  for (size_t i = 0; i + k <= n; i++)
    if (!memcmp(p + i, what, k)) return i;
  fail_msg("not found");
  return 0;
}

static void test_jpeg(void **state) {
  (void)state;
  uint8_t jpeg[256];
  size_t n = tiny_jpeg(jpeg);
  ms_image *im = ms_image_decode(jpeg, n, 0, "f");
  if (!im) fail_msg("%s", ms_error());
  assert_true(im->width == 16 && im->height == 8 && im->channels == 1);
  for (int i = 0; i < 128; i++) assert_int_equal(im->pixels[i], 128);
  ms_image_free(im);
  for (size_t k = 0; k < n; k++) {
    uint8_t *bad = exactly(jpeg, k);
    assert_null(ms_image_decode(bad, k, 0, "cut"));
    failed("cut: ");
    free(bad);
  }
  /* a table with more codes than its lengths have room for, and one of more than 256 */
  size_t dht = find(jpeg, n, "\xff\xc4", 2);
  uint8_t bad[256];
  memcpy(bad, jpeg, n);
  bad[dht + 5] = 3;
  assert_null(ms_image_decode(bad, n, 0, "f"));
  failed("f: ", "Huffman");
  uint8_t wide[1024] = {0xff, 0xd8, 0xff, 0xc4, 2, 100, 0};
  for (int i = 9; i <= 16; i++) wide[6 + i] = 60;
  assert_null(ms_image_decode(wide, sizeof wide, 0, "f"));
  failed("f: ", "Huffman");
  /* the same behind the first scan */
  memcpy(bad, jpeg, n);
  size_t eoi = n - 2;
  memcpy(bad + eoi, jpeg + dht, 22);
  bad[eoi + 5] = 3;
  assert_null(ms_image_decode(bad, eoi + 22, 0, "f"));
  failed("f: ", "Huffman");
  /* 16384 x 16384 pixels in a few bytes */
  memcpy(bad, jpeg, n);
  memcpy(bad + find(jpeg, n, "\xff\xc0", 2) + 5, "\x40\0\x40\0", 4);
  assert_null(ms_image_decode(bad, n, 0, "f"));
  failed("f: ", "16384 x 16384");
  memcpy(bad + find(jpeg, n, "\xff\xc0", 2) + 5, "\x10\0\x10\0", 4);
  assert_null(ms_image_decode(bad, n, 0, "f"));
  failed("f: ", "cannot hold");
}

static void seal(uint8_t *chunk, size_t n) {
  uint32_t c = (uint32_t)crc32(0, chunk + 4, (uInt)(n + 4));
  for (int i = 0; i < 4; i++) chunk[8 + n + (size_t)i] = (uint8_t)(c >> (24 - 8 * i));
}

static void test_image_bad(void **state) {
  (void)state;
  assert_null(ms_image_decode("", 0, 0, "f"));
  failed("f: ", "neither");
  assert_null(ms_image_decode("GIF89a----------", 16, 0, "f"));
  failed("f: ", "neither");
  assert_null(ms_image_decode("P6\n1 1\n255\nabc", 14, 0, "f"));
  failed("f: ", "neither");
  assert_null(ms_image_decode("", 0, 5, "f"));
  failed("f: ", "channels");
  assert_null(ms_image_new(20000, 1, 1));
  failed("20000 x 1");
  assert_null(ms_image_new(16000, 16000, 1));
  failed("16000 x 16000");
  assert_null(ms_image_new(1, 1, 5));
  failed("with 5");
  assert_null(ms_image_read(path("none"), 0));
  failed("none");
  /* sound checksums around sizes that are not */
  ms_image *im = pattern(10, 10, 3);
  size_t n;
  uint8_t *png = ms_png_encode(im, &n);
  memcpy(png + 16, "\0\0\x20\0\0\0\x20\0", 8); /* 8192 x 8192 */
  seal(png + 8, 13);
  assert_null(ms_image_decode(png, n, 0, "f"));
  failed("f: ", "cannot hold");
  memcpy(png + 16, "\0\0\x50\0\0\0\0\1", 8);
  seal(png + 8, 13);
  assert_null(ms_image_decode(png, n, 0, "f"));
  failed("f: ", "20480 x 1");
  memcpy(png + 16, "\0\0\0\x0b\0\0\0\x0a", 8); /* one column more than there is */
  seal(png + 8, 13);
  assert_null(ms_image_decode(png, n, 0, "f"));
  failed("f: ", "damaged PNG");
  free(png);
  assert_int_equal(ms_png_write(path("none/a.png"), im), -1);
  failed("none/a.png");
  ms_image_free(im);
}

static void test_grid(void **state) {
  (void)state;
  /* three RGB pictures of 1 x 2, planar */
  const uint8_t u8[3][3][2] = {{{1, 2}, {3, 4}, {5, 6}}, {{7, 8}, {9, 10}, {11, 12}}, {{13, 14}, {15, 16}, {17, 18}}};
  ms_image *im = ms_image_grid(u8, MS_U8, 3, 3, 1, 2, &(ms_grid){.columns = 2, .padding = 1, .background = {100, 101, 102}});
  assert_non_null(im);
  assert_true(im->width == 7 && im->height == 5 && im->channels == 3);
#define B 100, 101, 102
  const uint8_t want[5 * 7 * 3] = {B, B, B, B, B, B, B,  B,  1,  3,  5,  2,  4, 6, B, 7, 9, 11, 8, 10, 12, B, B, B,
                                   B, B, B, B, B, B, 13, 15, 17, 14, 16, 18, B, B, B, B, B, B,  B, B,  B,  B, B};
  assert_memory_equal(im->pixels, want, sizeof want);
  ms_image_free(im);
  const float f32[4] = {-1, 0.5f, 1, NAN};
  im = ms_image_grid(f32, MS_F32, 1, 1, 2, 2, &(ms_grid){.zoom = 2});
  const uint8_t zoomed[16] = {0, 0, 128, 128, 0, 0, 128, 128, 255, 255, 0, 0, 255, 255, 0, 0};
  assert_true(im->width == 4 && im->height == 4 && im->channels == 1);
  assert_memory_equal(im->pixels, zoomed, 16);
  ms_image_free(im);
  /* every byte comes back from its float */
  float all[256];
  for (int i = 0; i < 256; i++) all[i] = (float)i / 255;
  im = ms_image_grid(all, MS_F32, 256, 1, 1, 1, &(ms_grid){0});
  assert_true(im->width == 16 && im->height == 16);
  for (int i = 0; i < 256; i++) assert_int_equal(im->pixels[i], i);
  ms_image_free(im);
  im = ms_image_grid(all, MS_F32, 5, 1, 1, 1, &(ms_grid){0}); /* 3 columns, 2 rows, the last place empty */
  assert_true(im->width == 3 && im->height == 2);
  ms_image_free(im);
  assert_null(ms_image_grid(all, MS_F64, 1, 1, 1, 1, &(ms_grid){0}));
  failed("got f64");
  assert_null(ms_image_grid(all, MS_F32, 1, 2, 1, 1, &(ms_grid){0}));
  failed("got 2");
  assert_null(ms_image_grid(all, MS_F32, 0, 1, 1, 1, &(ms_grid){0}));
  failed("got 0");
  assert_null(ms_image_grid(all, MS_F32, 1, 1, 1, 1, &(ms_grid){.zoom = -1}));
  failed("zoom");
  assert_null(ms_image_grid(all, MS_F32, 1, 1, 16, 16, &(ms_grid){.zoom = 2000}));
  failed("32000 x 32000");
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

static void test_permutation(void **state) {
  (void)state;
  enum { N = 1000 };
  int64_t a[N], b[N];
  ms_rng rng = {.seed = 42}, same = {.seed = 42}, other = {.seed = 43};
  ms_permutation(N, &rng, 1, a);
  ms_permutation(N, &same, 1, b);
  assert_memory_equal(a, b, sizeof a);
  ms_permutation(N, &same, 1, b); /* goes on, does not repeat */
  assert_memory_not_equal(a, b, sizeof a);
  ms_permutation(N, &other, 1, b);
  assert_memory_not_equal(a, b, sizeof a);
  char seen[N + 1] = {0};
  for (int i = 0; i < N; i++) {
    assert_in_range(a[i], 1, N);
    seen[a[i]]++;
  }
  for (int i = 1; i <= N; i++) assert_int_equal(seen[i], 1);
  ms_permutation(0, &rng, 0, a);
  ms_permutation(1, &rng, 7, a);
  assert_int_equal(a[0], 7);
  /* all 24 orders of 4 equally often: chi-squared with 23 degrees of freedom stays below 49.7 (99.9 %) */
  int times[256] = {0};
  for (int i = 0; i < 24000; i++) {
    ms_permutation(4, &rng, 0, a);
    times[a[0] * 64 + a[1] * 16 + a[2] * 4 + a[3]]++;
  }
  double chi = 0;
  int orders = 0;
  for (int i = 0; i < 256; i++)
    if (times[i]) orders++, chi += (times[i] - 1000.0) * (times[i] - 1000.0) / 1000;
  assert_int_equal(orders, 24);
  assert_true(chi < 49.7);
}

static void test_gather(void **state) {
  (void)state;
  uint8_t u8[4][6], out8[3][6];
  float f32[4][6], out[3][6];
  int64_t labels[4] = {10, 11, 12, 13}, got[3], index[3] = {4, 1, 3};
  for (int i = 0; i < 24; i++) f32[i / 6][i % 6] = u8[i / 6][i % 6] = (uint8_t)(i * 10);
  assert_int_equal(ms_gather_rows(out8, u8, 6, 4, index, 3, 1), 0);
  for (int i = 0; i < 3; i++) assert_memory_equal(out8[i], u8[index[i] - 1], 6);
  const float scale[2] = {1 / 255.0f, 2}, shift[2] = {-1, 0.5f};
  for (int kind = 0; kind < 2; kind++) {
    assert_int_equal(ms_gather_f32(out[0], kind ? (void *)f32 : u8, kind ? MS_F32 : MS_U8, 6, 4, index, 3, 1, 2, scale, shift), 0);
    for (int i = 0; i < 3; i++)
      for (int j = 0; j < 6; j++) {
        float want = f32[index[i] - 1][j] * scale[j / 3] + shift[j / 3];
        assert_true(fabsf(out[i][j] - want) <= 1e-6f * fabsf(want) + 1e-7f);
      }
    assert_int_equal(ms_gather_f32(out[0], kind ? (void *)f32 : u8, kind ? MS_F32 : MS_U8, 6, 4, index, 3, 1, 1, NULL, NULL), 0);
    for (int i = 0; i < 3; i++) assert_memory_equal(out[i], f32[index[i] - 1], sizeof out[i]);
  }
  assert_int_equal(ms_gather_i64(got, labels, 4, index, 3, 1), 0);
  assert_true(got[0] == 13 && got[1] == 10 && got[2] == 12);

  for (int bad = 0; bad <= 5; bad += 5) {
    index[1] = bad;
    memset(out8, 77, sizeof out8);
    const char *said = bad ? "index[2] = 5, expected 1..4" : "index[2] = 0, expected 1..4";
    assert_int_equal(ms_gather_rows(out8, u8, 6, 4, index, 3, 1), -1);
    failed(said);
    for (int i = 0; i < 18; i++) assert_int_equal(out8[i / 6][i % 6], 77);
    assert_int_equal(ms_gather_f32(out[0], u8, MS_U8, 6, 4, index, 3, 1, 1, NULL, NULL), -1);
    failed(said);
    assert_int_equal(ms_gather_i64(got, labels, 4, index, 3, 1), -1);
    failed(said);
  }
  index[1] = INT64_MIN;
  assert_int_equal(ms_gather_rows(out8, u8, 6, 4, index, 3, 1), -1);
  failed("index[2] = -9223372036854775808");
  index[1] = 1;
  assert_int_equal(ms_gather_rows(out8, u8, 6, 0, index, 3, 0), -1);
  failed("there are no rows");
  assert_int_equal(ms_gather_f32(out[0], u8, MS_I64, 6, 4, index, 3, 1, 1, NULL, NULL), -1);
  failed("got i64");
  assert_int_equal(ms_gather_f32(out[0], u8, MS_U8, 6, 4, index, 3, 1, 4, NULL, NULL), -1);
  failed("4 equal planes");
}

static void test_batches(void **state) {
  (void)state;
  int64_t n, subset[5] = {9, 7, 5, 3, 1};
  ms_rng rng = {.seed = 1};
  ms_batches *b = ms_batches_new(10, NULL, 4, false, false, 1);
  assert_int_equal(ms_batches_count(b), 3);
  assert_null(ms_batches_next(b, &n)); /* not begun */
  for (int walk = 0; walk < 2; walk++) {
    ms_batches_start(b, &rng);
    int64_t next = 1;
    for (const int64_t *at; (at = ms_batches_next(b, &n));)
      for (int64_t i = 0; i < n; i++) assert_int_equal(at[i], next++);
    assert_int_equal(n, 2);
    assert_int_equal(next, 11);
    assert_null(ms_batches_next(b, &n));
  }
  ms_batches_free(b);
  b = ms_batches_new(5, subset, 2, true, true, 1);
  assert_int_equal(ms_batches_count(b), 2);
  int first = 0;
  for (int walk = 0; walk < 100; walk++) {
    ms_batches_start(b, &rng);
    int seen[10] = {0}, batches = 0;
    for (const int64_t *at; (at = ms_batches_next(b, &n)); batches++) {
      assert_int_equal(n, 2);
      if (!batches) first += at[0] == 9;
      for (int i = 0; i < 2; i++) assert_int_equal(at[i] % 2 + seen[at[i]]++, 1);
    }
    assert_int_equal(batches, 2);
  }
  assert_in_range(first, 5, 40); /* a fifth of the time */
  ms_batches_free(b);
  b = ms_batches_new(0, NULL, 4, true, false, 0);
  assert_int_equal(ms_batches_count(b), 0);
  ms_batches_start(b, &rng);
  assert_null(ms_batches_next(b, &n));
  ms_batches_free(b);
  ms_batches_free(NULL);
  assert_null(ms_batches_new(10, NULL, 0, true, false, 0));
  failed("at least 1, got 0");
}

/* One walk through 60,000 images, as the first experiment does it. */
static void test_speed(void **state) {
  (void)state;
  enum { N = 60000, ROW = 784, BATCH = 64 };
  uint8_t *set = malloc((size_t)N * ROW);
  int64_t *labels = calloc(N, sizeof *labels), y[BATCH], n;
  float *x = malloc(sizeof *x * BATCH * ROW), scale = 1 / 255.0f;
  for (size_t i = 0; i < (size_t)N * ROW; i++) set[i] = (uint8_t)(i * 2654435761u >> 24);
  ms_rng rng = {.seed = 3};
  ms_batches *b = ms_batches_new(N, NULL, BATCH, true, false, 0);
  double best = 1e9;
  for (int walk = 0; walk < 5; walk++) {
    double start = seconds();
    ms_batches_start(b, &rng);
    for (const int64_t *at; (at = ms_batches_next(b, &n));) {
      assert_int_equal(ms_gather_f32(x, set, MS_U8, ROW, N, at, n, 0, 1, &scale, NULL), 0);
      assert_int_equal(ms_gather_i64(y, labels, N, at, n, 0), 0);
    }
    double took = seconds() - start;
    if (took < best) best = took;
  }
  print_message("60,000 rows of 784 in batches of 64: %.4f s\n", best);
  ms_batches_free(b);
  free(set);
  free(labels);
  free(x);
}

/* More than a megabyte at once goes through the threads: the same numbers. */
static void test_gather_threads(void **state) {
  (void)state;
  enum { N = 3000, ROW = 500 };
  uint8_t *set = malloc((size_t)N * ROW), *rows = malloc((size_t)N * ROW);
  float *x = malloc(sizeof *x * N * ROW);
  int64_t *order = malloc(sizeof *order * N);
  for (size_t i = 0; i < (size_t)N * ROW; i++) set[i] = (uint8_t)(i * 31 + i / 997);
  ms_rng rng = {.seed = 3};
  ms_permutation(N, &rng, 0, order);
  assert_int_equal(ms_gather_f32(x, set, MS_U8, ROW, N, order, N, 0, 1, NULL, NULL), 0);
  assert_int_equal(ms_gather_rows(rows, set, ROW, N, order, N, 0), 0);
  for (int i = 0; i < N; i++) {
    assert_memory_equal(rows + i * ROW, set + order[i] * ROW, ROW);
    for (int j = 0; j < ROW; j++)
      if (x[i * ROW + j] != set[order[i] * ROW + j]) fail_msg("row %d", i);
  }
  free(set);
  free(rows);
  free(x);
  free(order);
}

int main(void) {
#define T1(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {T1(test_idx_types), T1(test_idx_bad),   T1(test_idx_roundtrip),  T1(test_idx_cut),
                                     T1(test_idx_gzip),  T1(test_idx_mnist), T1(test_idx_fashion),    T1(test_png),
                                     T1(test_jpeg),      T1(test_image_bad), T1(test_grid),           T1(test_permutation),
                                     T1(test_gather),    T1(test_batches),   T1(test_gather_threads), T1(test_speed)};
  return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
