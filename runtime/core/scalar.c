/* scalar.c -- numbers and dtypes: the one place where a number becomes an element, and says so where it would not fit. */
#include "core.h"
#include <math.h>
#include <stdio.h>

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
  int64_t i;
  if (!s.cell && s.is_whole && ms_scalar_whole(s, &i)) snprintf(b, sizeof ring[0], "%lld", (long long)i);
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
