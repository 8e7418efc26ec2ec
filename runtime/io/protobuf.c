/* protobuf.c -- see protobuf.h. Wire format: https://protobuf.dev/programming-guides/encoding/ */
#include "io/protobuf.h"
#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

void ms_pb_free(ms_pb *pb) {
  free(pb->at);
  *pb = (ms_pb){0};
}

/* Room for n more bytes, or false. */
static bool room(ms_pb *pb, size_t n) {
  if (pb->failed) return false;
  if (n <= pb->cap - pb->n) return true;
  size_t want = pb->cap ? pb->cap : 256;
  while (want - pb->n < n) {
    if (want > SIZE_MAX / 2) {
      pb->failed = true;
      return false;
    }
    want *= 2;
  }
  uint8_t *at = realloc(pb->at, want);
  if (!at) {
    pb->failed = true;
    return false;
  }
  pb->at = at;
  pb->cap = want;
  return true;
}

void ms_pb_raw(ms_pb *pb, const void *data, size_t n) {
  if (!n || !room(pb, n)) return;
  memcpy(pb->at + pb->n, data, n);
  pb->n += n;
}

static int varint(uint8_t out[10], uint64_t v) {
  int n = 0;
  for (; v >= 0x80; v >>= 7) out[n++] = (uint8_t)(v | 0x80);
  out[n++] = (uint8_t)v;
  return n;
}

static void put_varint(ms_pb *pb, uint64_t v) {
  uint8_t b[10];
  ms_pb_raw(pb, b, (size_t)varint(b, v));
}

static void put_key(ms_pb *pb, int field, int wire) { put_varint(pb, (uint64_t)field << 3 | (unsigned)wire); }

static void put_fixed32(ms_pb *pb, uint32_t v) {
  uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
  ms_pb_raw(pb, b, 4);
}

static void put_fixed64(ms_pb *pb, uint64_t v) {
  put_fixed32(pb, (uint32_t)v);
  put_fixed32(pb, (uint32_t)(v >> 32));
}

static uint64_t double_bits(double v) {
  uint64_t bits;
  memcpy(&bits, &v, 8);
  return bits;
}

static uint32_t float_bits(float v) {
  uint32_t bits;
  memcpy(&bits, &v, 4);
  return bits;
}

void ms_pb_int(ms_pb *pb, int field, int64_t value) {
  put_key(pb, field, VARINT);
  put_varint(pb, (uint64_t)value);
}

void ms_pb_double(ms_pb *pb, int field, double value) {
  put_key(pb, field, FIXED64);
  put_fixed64(pb, double_bits(value));
}

void ms_pb_float(ms_pb *pb, int field, float value) {
  put_key(pb, field, FIXED32);
  put_fixed32(pb, float_bits(value));
}

void ms_pb_bytes(ms_pb *pb, int field, const void *data, size_t n) {
  put_key(pb, field, LENGTH);
  put_varint(pb, n);
  ms_pb_raw(pb, data, n);
}

void ms_pb_string(ms_pb *pb, int field, const char *s) { ms_pb_bytes(pb, field, s, strlen(s)); }

void ms_pb_doubles(ms_pb *pb, int field, const double *values, size_t n) {
  put_key(pb, field, LENGTH);
  put_varint(pb, n * 8);
  for (size_t i = 0; i < n; i++) put_fixed64(pb, double_bits(values[i]));
}

void ms_pb_ints(ms_pb *pb, int field, const int64_t *values, size_t n) {
  size_t mark = ms_pb_begin(pb, field);
  for (size_t i = 0; i < n; i++) put_varint(pb, (uint64_t)values[i]);
  ms_pb_end(pb, mark);
}

size_t ms_pb_begin(ms_pb *pb, int field) {
  put_key(pb, field, LENGTH);
  return pb->n;
}

/* The length goes in front of the content, which moves up by the 1 to 10 bytes it takes. */
void ms_pb_end(ms_pb *pb, size_t mark) {
  uint8_t b[10];
  size_t body = pb->n - mark;
  size_t head = (size_t)varint(b, body);
  if (!room(pb, head)) return;
  memmove(pb->at + mark + head, pb->at + mark, body);
  memcpy(pb->at + mark, b, head);
  pb->n += head;
}
