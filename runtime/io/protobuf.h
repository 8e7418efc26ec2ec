/* protobuf.h -- a protocol-buffers writer: fields appended to a growing buffer. No reader.
 *
 * A failed allocation is remembered in `failed`; later calls do nothing, so the caller looks once, at the end. Proto3 leaves out
 * fields that hold their default; so should the caller, where it matters.
 */
#ifndef MASCON_PROTOBUF_H
#define MASCON_PROTOBUF_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ms_pb {
  uint8_t *at; /* NULL at the start: ms_pb pb = {0} */
  size_t n, cap;
  bool failed; /* out of memory */
} ms_pb;

void ms_pb_free(ms_pb *pb);
void ms_pb_raw(ms_pb *pb, const void *data, size_t n); /* bytes as they are, no field */

void ms_pb_int(ms_pb *pb, int field, int64_t value); /* int32, int64, uint64, bool, enum: wire type 0 */
void ms_pb_double(ms_pb *pb, int field, double value);
void ms_pb_float(ms_pb *pb, int field, float value);
void ms_pb_bytes(ms_pb *pb, int field, const void *data, size_t n);
void ms_pb_string(ms_pb *pb, int field, const char *s);

void ms_pb_doubles(ms_pb *pb, int field, const double *values, size_t n); /* packed */
void ms_pb_ints(ms_pb *pb, int field, const int64_t *values, size_t n);

/* A nested message: everything appended between begin and end(mark) is its content. They nest. */
size_t ms_pb_begin(ms_pb *pb, int field);
void ms_pb_end(ms_pb *pb, size_t mark);

#endif
