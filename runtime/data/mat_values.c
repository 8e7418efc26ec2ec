/* mat_values.c -- numbers and characters of MATLAB's files, once their bytes are at hand (mat.c reads those). */
#include "data/mat_inside.h"
#include "io/io.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { I8 = 1, U8, I16, U16, I32, U32, F32, F64 = 9, I64 = 12, U64, UTF8 = 16, UTF16, UTF32 };

const ms_mat_storage ms_mat_storages[19] = {
    [I8] = {1, false, true},  [U8] = {1, false, false},  [I16] = {2, false, true}, [U16] = {2, false, false},
    [I32] = {4, false, true}, [U32] = {4, false, false}, [F32] = {4, true, true},  [F64] = {8, true, true},
    [I64] = {8, false, true}, [U64] = {8, false, false}};

/* ---- classes ---------------------------------------------------------------------------------------------------- */

const ms_mat_class ms_mat_classes[MS_MAT_CLASSES] = {
    [1] = {"cell", NULL, MS_MAT_CELLS, 0, 0, 0},
    [2] = {"struct", NULL, MS_MAT_STRUCT, 0, 0, 0},
    [3] = {"object", "an object of MATLAB's old classes", MS_MAT_OTHER, 0, 0, 0},
    [4] = {"char", NULL, MS_MAT_TEXT, 0, 0, 0},
    [5] = {"sparse", "a sparse matrix (full(x) in MATLAB makes it one that can be read)", MS_MAT_OTHER, 0, 0, 0},
    [6] = {"double", NULL, MS_MAT_NUMBERS, MS_F64, INT64_MIN, UINT64_MAX},
    [7] = {"single", NULL, MS_MAT_NUMBERS, MS_F32, INT64_MIN, UINT64_MAX},
    [8] = {"int8", NULL, MS_MAT_NUMBERS, MS_I32, INT8_MIN, INT8_MAX},
    [9] = {"uint8", NULL, MS_MAT_NUMBERS, MS_U8, 0, UINT8_MAX},
    [10] = {"int16", NULL, MS_MAT_NUMBERS, MS_I32, INT16_MIN, INT16_MAX},
    [11] = {"uint16", NULL, MS_MAT_NUMBERS, MS_I32, 0, UINT16_MAX},
    [12] = {"int32", NULL, MS_MAT_NUMBERS, MS_I32, INT32_MIN, INT32_MAX},
    [13] = {"uint32", NULL, MS_MAT_NUMBERS, MS_I64, 0, UINT32_MAX},
    [14] = {"int64", NULL, MS_MAT_NUMBERS, MS_I64, INT64_MIN, INT64_MAX},
    [15] = {"uint64", NULL, MS_MAT_NUMBERS, MS_I64, 0, INT64_MAX},
    [16] = {"function_handle", "a function", MS_MAT_OTHER, 0, 0, 0},
    [17] = {"opaque", "an object (or, in a file of version 7.3, a cell, a structure, a sparse matrix, or more than 4 GB)",
            MS_MAT_OTHER, 0, 0, 0},
};

/* ---- header ------------------------------------------------------------------------------------------------------- */

bool ms_mat_is(const void *bytes, size_t n) {
  const uint8_t *b = bytes;
  if (n < MS_MAT_HEAD) return false;
  return (b[126] == 'I' && b[127] == 'M' && b[125] == 1 && b[124] == 0) ||
         (b[126] == 'M' && b[127] == 'I' && b[124] == 1 && b[125] == 0);
}

const char *ms_mat_problem(const uint8_t *b) {
  const bool hdf5 = (b[126] == 'I' && b[125] == 2) || (b[126] == 'M' && b[124] == 2) || !memcmp(b, "\x89HDF\r\n\x1a\n", 8);
  return hdf5 ? "a MATLAB file of version 7.3 (HDF5), of another order of bytes or in memory, which is not read"
              : "not a MATLAB file of version 5: its header does not end in a version and IM";
}

/* ---- numbers ------------------------------------------------------------------------------------------------------ */

static uint64_t word(const uint8_t *in, int size, bool swap) {
  uint64_t bits = 0;
  for (int k = 0; k < size; k++) bits |= (uint64_t)in[swap ? size - 1 - k : k] << (8 * k);
  return bits;
}

/* The bytes of the file are the element's own. */
static bool is_same(ms_dtype dtype, int type) {
  return (dtype == MS_U8 && type == U8) || (dtype == MS_F32 && type == F32) || (dtype == MS_F64 && type == F64) ||
         (dtype == MS_I32 && type == I32) || (dtype == MS_I64 && type == I64);
}

static void copy_same(uint8_t *out, int64_t stride, const uint8_t *in, int64_t n, int size) {
  if (stride == 1) memcpy(out, in, (size_t)(n * size));
  else if (size == 1)
    for (int64_t i = 0; i < n; i++) out[i * stride] = in[i];
  else if (size == 4)
    for (int64_t i = 0; i < n; i++) memcpy(out + i * stride * 4, in + i * 4, 4);
  else
    for (int64_t i = 0; i < n; i++) memcpy(out + i * stride * 8, in + i * 8, 8);
}

/* One element: its value as a double, and, if it is whole, exactly: negative or not, and its 64 bits. */
typedef struct value {
  double real;
  bool whole, negative;
  uint64_t bits; /* two's complement where negative */
} value;

static value value_of(const uint8_t *in, int type, bool swap) {
  const ms_mat_storage *s = &ms_mat_storages[type];
  uint64_t bits = word(in, s->size, swap);
  value v = {0};
  if (!s->real) {
    if (s->sign && s->size < 8 && bits >> (8 * s->size - 1)) bits |= ~UINT64_C(0) << (8 * s->size);
    v.bits = bits;
    v.whole = true;
    v.negative = s->sign && bits >> 63;
    v.real = v.negative ? (double)(int64_t)bits : (double)bits;
    return v;
  }
  if (s->size == 8) memcpy(&v.real, &bits, 8);
  else {
    float f;
    uint32_t half = (uint32_t)bits;
    memcpy(&f, &half, 4);
    v.real = (double)f;
  }
  v.negative = v.real < 0;
  v.whole = v.real == floor(v.real) && v.real >= -0x1p63 && v.real < 0x1p64;
  if (v.whole) v.bits = v.negative ? (uint64_t)(int64_t)v.real : (uint64_t)v.real;
  return v;
}

int64_t ms_mat_spread(void *out, int64_t stride, ms_dtype dtype, int64_t lo, uint64_t hi, const uint8_t *in, int64_t n, int type,
                      bool swap, double *bad) {
  const int size = ms_mat_storages[type].size;
  if (is_same(dtype, type) && (!swap || size == 1) && (lo == 0 ? hi == UINT8_MAX : hi >= INT32_MAX)) {
    copy_same(out, stride, in, n, size);
    return n;
  }
  for (int64_t i = 0, at = 0; i < n; i++, at += stride, in += size) {
    const value v = value_of(in, type, swap);
    const bool real = dtype == MS_F64 || dtype == MS_F32;
    if (!real && (!v.whole || (v.negative ? (int64_t)v.bits < lo : v.bits > hi))) {
      *bad = v.real;
      return i;
    }
    switch (dtype) {
    case MS_F64: ((double *)out)[at] = v.real; break;
    case MS_F32: ((float *)out)[at] = (float)v.real; break;
    case MS_I64: ((int64_t *)out)[at] = (int64_t)v.bits; break;
    case MS_I32: ((int32_t *)out)[at] = (int32_t)v.bits; break;
    case MS_BOOL: ((uint8_t *)out)[at] = v.bits != 0; break;
    default: ((uint8_t *)out)[at] = (uint8_t)v.bits;
    }
  }
  return n;
}

/* ---- characters --------------------------------------------------------------------------------------------------- */

int ms_mat_units(uint16_t *out, int64_t n, const uint8_t *in, size_t size, int type, bool swap) {
  const bool utf8 = type == UTF8;
  const int width = type == U16 || type == UTF16 ? 2 : type == UTF32 ? 4 : type == I8 || type == U8 || utf8 ? 1 : 0;
  if (!width || size % (size_t)width) return -1;
  int64_t made = 0;
  for (size_t at = 0, step; at < size; at += step) {
    uint32_t code = (uint32_t)word(in + at, width, swap);
    step = (size_t)width;
    if (utf8 && !(step = ms_utf8_char((const char *)in + at, size - at, &code))) return -1;
    if (width == 4 && code > 0x10FFFF) return -1;
    const int units = code > 0xFFFF ? 2 : 1;
    if (n - made < units) return -1;
    if (units == 2) {
      out[made++] = (uint16_t)(0xD800 + ((code - 0x10000) >> 10));
      code = 0xDC00 + (code & 0x3FF);
    }
    out[made++] = (uint16_t)code;
  }
  return made == n ? 0 : -1;
}

static size_t put(char *out, uint32_t code) {
  if (code < 0x80) return *out = (char)code, 1;
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  for (int k = more; k > 0; k--, code >>= 6) out[k] = (char)(0x80 | (code & 0x3F));
  out[0] = (char)((0xFF << (7 - more) & 0xFF) | (int)code);
  return (size_t)more + 1;
}

void ms_mat_rows_free(ms_mat_rows *t) {
  if (!t) return;
  free(t->end);
  free(t->bytes);
  free(t);
}

ms_mat_rows *ms_mat_rows_of(const uint16_t *units, int64_t rows, int64_t columns) {
  ms_mat_rows *t = calloc(1, sizeof *t);
  if (t) {
    t->rows = rows;
    t->end = calloc((size_t)rows + 1, sizeof *t->end);
    t->bytes = malloc((size_t)rows * (size_t)columns * 3 + 1);
  }
  if (!t || !t->end || !t->bytes) return ms_mat_rows_free(t), NULL;
  size_t n = 0;
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) {
      uint32_t code = units[i + rows * j];
      const uint32_t next = j + 1 < columns ? units[i + rows * (j + 1)] : 0;
      if (code >> 10 == 0x36 && next >> 10 == 0x37) {
        code = 0x10000 + ((code & 0x3FF) << 10 | (next & 0x3FF));
        j++;
      } else if (code >> 11 == 0x1B) code = 0xFFFD;
      n += put(t->bytes + n, code);
    }
    t->end[i] = n;
  }
  return t;
}
