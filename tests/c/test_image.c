/* test_image.c -- pictures: PNG, JPEG, what is no sound picture, and grids of them. */
#include "data/data.h"
#include "files.h"
#include <math.h>
#include <zlib.h>

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

int main(void) {
#define T1(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {T1(test_png), T1(test_jpeg), T1(test_image_bad), T1(test_grid)};
  return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
