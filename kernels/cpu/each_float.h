/* each_float.h -- includes the file TEMPLATE for f32 and f64: T is the type, G(name) the name for it, name_f32, name_f64. */
#define T    float
#define G(x) x##_f32
#include TEMPLATE
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include TEMPLATE
#undef T
#undef G
