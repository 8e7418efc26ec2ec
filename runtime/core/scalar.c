/* scalar.c -- numbers and dtypes: the one place where a number becomes an element, and says so where it would not fit. */
#define MS_INSIDE
#include "core.h"
#include "half.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ms_cell {
  int refs;
  ms_plain now;
};

ms_cell *ms_cell_new(double value) {
  ms_cell *c = malloc(sizeof *c);
  if (!c) return ms_fail("out of memory: no room for a number cell");
  *c = (ms_cell){1, {.value = value}};
  return c;
}
ms_cell *ms_cell_retain(ms_cell *c) { return c ? c->refs++, c : NULL; }
void ms_cell_release(ms_cell *c) {
  if (c && !--c->refs) free(c);
}
ms_plain ms_cell_get(const ms_cell *c) { return c->now; }
void ms_cell_set(ms_cell *c, ms_plain value) { c->now = value; }

/* What lies in the opaque words of an ms_scalar: a constant, or a cell. */
typedef struct scalar_content {
  ms_plain constant;
  ms_cell *cell; /* not NULL: the value is that of the cell, and `constant` does not count */
  int64_t live;  /* a captured step: the first of its words of the live block; 0: none */
} scalar_content;
_Static_assert(sizeof(scalar_content) <= sizeof(ms_scalar), "a scalar has room for what it is");

static ms_scalar pack(scalar_content x) {
  ms_scalar s = {{0}};
  memcpy(&s, &x, sizeof x);
  return s;
}
static scalar_content unpack(const ms_scalar *s) {
  scalar_content x;
  memcpy(&x, s, sizeof x);
  return x;
}

ms_scalar ms_scalar_of(double v) { return pack((scalar_content){.constant = {.value = v}}); }
ms_scalar ms_scalar_of_whole(int64_t v) { return pack((scalar_content){.constant = {(double)v, v, true}}); }
ms_scalar ms_scalar_of_plain(ms_plain v) { return pack((scalar_content){.constant = v}); }
ms_scalar ms_scalar_of_cell(ms_cell *c) { return pack((scalar_content){.cell = c}); }
ms_scalar ms_scalar_with_live(ms_scalar s, int word) {
  scalar_content x = unpack(&s);
  x.live = word;
  return pack(x);
}
int ms_scalar_live(ms_scalar s) { return (int)unpack(&s).live; }
ms_scalar ms_scalar_from(const uint64_t *w) {
  ms_plain v = {.whole = (int64_t)w[1], .is_whole = w[2] != 0};
  memcpy(&v.value, &w[0], sizeof v.value);
  return ms_scalar_of_plain(v);
}
ms_cell *ms_scalar_cell(ms_scalar s) { return unpack(&s).cell; }

static ms_plain number_now(ms_scalar s) {
  const scalar_content x = unpack(&s);
  return x.cell ? x.cell->now : x.constant;
}
double ms_scalar_value(ms_scalar s) { return number_now(s).value; }

void ms_scalar_write(ms_scalar s, uint64_t *w) {
  const ms_plain v = number_now(s);
  memcpy(&w[0], &v.value, sizeof v.value);
  w[1] = (uint64_t)v.whole, w[2] = v.is_whole;
}

bool ms_plain_whole(ms_plain v, int64_t *whole) {
  if (v.is_whole) return *whole = v.whole, true;
  if (!(v.value >= -0x1p63 && v.value < 0x1p63) || v.value != (double)(int64_t)v.value) return false;
  return *whole = (int64_t)v.value, true;
}
bool ms_scalar_whole(ms_scalar s, int64_t *whole) { return ms_plain_whole(number_now(s), whole); }

bool ms_scalar_constant(ms_scalar s, ms_plain *v) { return *v = number_now(s), !ms_scalar_cell(s); }

ms_plain ms_decides(ms_scalar *s) {
  ms_plain v;
  ms_cell *c = ms_scalar_cell(*s);
  if (!ms_scalar_constant(*s, &v)) *s = ms_scalar_of_plain(v = ms_observer_now ? ms_observer_now->looked(c) : ms_cell_get(c));
  return v;
}
double ms_decided(ms_scalar s) { return ms_decides(&s).value; }

bool ms_scalar_same(const ms_scalar *a, const ms_scalar *b) {
  const scalar_content x = unpack(a), y = unpack(b);
  if (x.cell || y.cell) return x.cell == y.cell;
  return !memcmp(&x.constant.value, &y.constant.value, sizeof x.constant.value) && x.constant.is_whole == y.constant.is_whole &&
         x.constant.whole == y.constant.whole;
}

bool ms_dtype_range(int dtype, int64_t *low, int64_t *high) {
  switch (dtype) {
  case MS_I64: return *low = INT64_MIN, *high = INT64_MAX, true;
  case MS_I32: return *low = INT32_MIN, *high = INT32_MAX, true;
  case MS_U8: return *low = 0, *high = UINT8_MAX, true;
  case MS_BOOL: return *low = 0, *high = 1, true;
  default: return false;
  }
}

const char *ms_scalar_str(ms_scalar s) {
  static char ring[4][32];
  static int at;
  char *b = ring[at = (at + 1) % 4];
  if (number_now(s).is_whole) snprintf(b, sizeof ring[0], "%lld", (long long)number_now(s).whole);
  else snprintf(b, sizeof ring[0], "%.14g", ms_scalar_value(s));
  return b;
}

bool ms_scalar_fits(ms_scalar s, int dtype) {
  int64_t i, low, high;
  return !ms_dtype_range(dtype, &low, &high) || (ms_scalar_whole(s, &i) && i >= low && i <= high);
}

static int does_not_fit(ms_scalar s, int dtype) {
  int64_t low = 0, high = 0;
  ms_dtype_range(dtype, &low, &high);
  return ms_fail("the number %s does not fit into %s (whole numbers %lld..%lld)", ms_scalar_str(s), ms_dtype_name(dtype),
                 (long long)low, (long long)high),
         -1;
}

int ms_put_number(void *p, int dtype, ms_scalar s) {
  int64_t i = 0;
  switch (dtype) {
  case MS_F32: *(float *)p = (float)ms_scalar_value(s); return 0;
  case MS_F64: *(double *)p = ms_scalar_value(s); return 0;
  case MS_F16: *(uint16_t *)p = ms_f32_to_f16((float)ms_scalar_value(s)); return 0;
  case MS_BF16: *(uint16_t *)p = ms_f32_to_bf16((float)ms_scalar_value(s)); return 0;
  case MS_I64:
    if (!ms_scalar_whole(s, &i)) return does_not_fit(s, dtype);
    *(int64_t *)p = i;
    return 0;
  case MS_I32:
    if (!ms_scalar_whole(s, &i) || i != (int32_t)i) return does_not_fit(s, dtype);
    *(int32_t *)p = (int32_t)i;
    return 0;
  case MS_U8:
    if (!ms_scalar_whole(s, &i) || i != (uint8_t)i) return does_not_fit(s, dtype);
    *(uint8_t *)p = (uint8_t)i;
    return 0;
  default: *(bool *)p = ms_scalar_value(s) != 0; return 0; /* true: whatever is not 0 */
  }
}
