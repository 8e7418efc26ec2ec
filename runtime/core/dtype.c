/* dtype.c -- element types: their names, their sizes, and which one two of them meet at. */
#include "core.h"
#include <string.h>

static const struct {
  const char *name, *alias, *alias2;
  uint8_t size, level; /* level: bool < u8 < i32 < i64 < f16, bf16 < f32 < f64 */
  bool is_float;
} table[MS_DTYPES] = {
    [MS_F32] = {"f32", "float32", "float", 4, 5, true}, [MS_F64] = {"f64", "float64", "double", 8, 6, true},
    [MS_BF16] = {"bf16", "bfloat16", NULL, 2, 4, true}, [MS_F16] = {"f16", "float16", "half", 2, 4, true},
    [MS_I64] = {"i64", "int64", "long", 8, 3, false},   [MS_I32] = {"i32", "int32", "int", 4, 2, false},
    [MS_U8] = {"u8", "uint8", "byte", 1, 1, false},     [MS_BOOL] = {"bool", "boolean", NULL, 1, 0, false},
};

const char *ms_dtype_name(int d) { return d >= 0 && d < MS_DTYPES ? table[d].name : "?"; }
size_t ms_dtype_size(int d) { return d >= 0 && d < MS_DTYPES ? table[d].size : 0; }
bool ms_dtype_is_float(int d) { return d >= 0 && d < MS_DTYPES && table[d].is_float; }

int ms_dtype_parse(const char *name) {
  for (int d = 0; d < MS_DTYPES; d++)
    if (!strcmp(name, table[d].name) || (table[d].alias && !strcmp(name, table[d].alias)) ||
        (table[d].alias2 && !strcmp(name, table[d].alias2)))
      return d;
  return -1;
}

int ms_promote(int a, int b) {
  if (a == b) return a;
  if (table[a].level == table[b].level) return MS_F32; /* f16 with bf16 */
  return table[a].level > table[b].level ? a : b;
}
