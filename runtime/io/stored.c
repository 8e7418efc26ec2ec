/* stored.c -- the dtypes of safetensors (0.8). Ours are as they are in memory. The others become the smallest of ours that holds
 * each of their values: small integers i32, u32 and u64 i64 (a larger u64 is an error), floats of 4 and 8 bits f32, complex numbers
 * pairs of f32.
 *
 * The small floats: sign, exponent, fraction; OCP "8-bit Floating Point Specification" and "Microscaling Formats (MX)" 1.0. Those
 * named FNUZ have neither infinities nor a negative zero: its place is their only NaN. */
#include "io/stored.h"
#include <math.h>
#include <string.h>

static const ms_stored all[] = {
    {"F32", 32, MS_F32, 1, true},     {"F64", 64, MS_F64, 1, true},         {"BF16", 16, MS_BF16, 1, true},
    {"F16", 16, MS_F16, 1, true},     {"I64", 64, MS_I64, 1, true},         {"I32", 32, MS_I32, 1, true},
    {"U8", 8, MS_U8, 1, true},        {"BOOL", 8, MS_BOOL, 1, true},        {"I8", 8, MS_I32, 1, false},
    {"I16", 16, MS_I32, 1, false},    {"U16", 16, MS_I32, 1, false},        {"U32", 32, MS_I64, 1, false},
    {"U64", 64, MS_I64, 1, true},     {"C64", 64, MS_F32, 2, true},         {"F8_E4M3", 8, MS_F32, 1, false},
    {"F8_E5M2", 8, MS_F32, 1, false}, {"F8_E4M3FNUZ", 8, MS_F32, 1, false}, {"F8_E5M2FNUZ", 8, MS_F32, 1, false},
    {"F8_E8M0", 8, MS_F32, 1, false}, {"F4", 4, MS_F32, 1, false},          {"F6_E2M3", 6, MS_F32, 0, false},
    {"F6_E3M2", 6, MS_F32, 0, false}, /* how four of them share three bytes is not laid down */
};

const ms_stored *ms_stored_named(const char *name) {
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (!strcmp(all[i].name, name)) return &all[i];
  return NULL;
}

const ms_stored *ms_stored_of(ms_dtype dtype) {
  for (size_t i = 0; i < 8; i++)
    if (all[i].dtype == dtype) return &all[i];
  return NULL;
}

bool ms_stored_is_plain(const ms_stored *f) { return f->same && f->dtype != MS_BOOL && strcmp(f->name, "U64") != 0; }

/* The number that `code` is: a sign, `e` bits of exponent, `m` of fraction. */
static float small_float(unsigned code, int e, int m, int bias) {
  const unsigned fraction = code & ((1u << m) - 1), exponent = code >> m & ((1u << e) - 1);
  const float size =
      exponent ? ldexpf((float)(fraction | 1u << m), (int)exponent - bias - m) : ldexpf((float)fraction, 1 - bias - m);
  return code >> (e + m) & 1 ? -size : size;
}

static float float_of(const char *name, unsigned code) {
  if (!strcmp(name, "F4")) return small_float(code, 2, 1, 1);
  if (!strcmp(name, "F8_E8M0")) return code == 255 ? NAN : ldexpf(1, (int)code - 127);
  if (!strcmp(name, "F8_E4M3")) return (code & 127) == 127 ? NAN : small_float(code, 4, 3, 7);
  if (!strcmp(name, "F8_E4M3FNUZ")) return code == 128 ? NAN : small_float(code, 4, 3, 8);
  if (!strcmp(name, "F8_E5M2FNUZ")) return code == 128 ? NAN : small_float(code, 5, 2, 16);
  if ((code & 124) == 124) return code & 3 ? NAN : code & 128 ? -INFINITY : INFINITY; /* F8_E5M2 */
  return small_float(code, 5, 2, 15);
}

size_t ms_stored_spread(const ms_stored *f, void *out, size_t n, uint64_t *value) {
  const size_t size = ms_dtype_size(f->dtype), stored = (n * (size_t)f->bits + 7) / 8, wide = n * (size_t)f->parts * size;
  const uint8_t *from = (const uint8_t *)out + wide - stored;
  uint8_t *to = out;
  if (!strcmp(f->name, "U64"))
    for (size_t i = 0; i < n; i++) {
      memcpy(value, from + 8 * i, 8);
      if (*value > INT64_MAX) return i + 1;
    }
  if (f->same) return 0;
  float table[256];
  for (unsigned code = 0; code < 256 && f->dtype == MS_F32; code++)
    table[code] = float_of(f->name, f->bits == 4 ? code & 15 : code);
  /* What is written at i never reaches what is still to be read: it is at least as far from the end, seen in numbers. */
  for (size_t i = 0; i < n; i++, to += size) {
    uint64_t code = 0;
    memcpy(&code, f->bits == 4 ? from + i / 2 : from + i * (size_t)f->bits / 8, f->bits == 4 ? 1 : (size_t)f->bits / 8);
    if (f->bits == 4) code = i % 2 ? code >> 4 : code & 15; /* the first of two in the low half, as PyTorch has them */
    const bool negative = f->name[0] == 'I' && code >> (f->bits - 1);
    const int64_t whole = (int64_t)code - (negative ? (int64_t)1 << f->bits : 0);
    const int32_t narrow = (int32_t)whole;
    memcpy(to, f->dtype == MS_F32 ? (const void *)&table[code & 255] : f->dtype == MS_I64 ? (const void *)&whole : &narrow, size);
  }
  return 0;
}
