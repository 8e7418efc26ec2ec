/* each_number.h -- includes the file TEMPLATE for all dtypes that kernels compute in, as each_float.h does (bool is u8). */
#include "each_float.h"
#define T    int64_t
#define G(x) x##_i64
#include TEMPLATE
#undef T
#undef G
#define T    int32_t
#define G(x) x##_i32
#include TEMPLATE
#undef T
#undef G
#define T    uint8_t
#define G(x) x##_u8
#include TEMPLATE
#undef T
#undef G
