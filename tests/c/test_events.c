/* test_events.c -- TensorBoard's event files, and protobuf, in which they are written. */
#include "files.h"
#include "io/protobuf.h"
#include <float.h>
#include <math.h>

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

int main(void) {
#define T1(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {T1(test_protobuf), T1(test_crc32c), T1(test_events_golden), T1(test_events_kinds),
                                     T1(test_events_histogram)};
  return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
