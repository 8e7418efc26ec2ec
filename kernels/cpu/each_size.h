/* each_size.h -- includes the file TEMPLATE for elements of 1, 2, 4 and 8 bytes, which are only moved (or added, as whole numbers
 * that wrap): name_1, name_2, name_4, name_8. */
#define T    uint8_t
#define G(x) x##_1
#include TEMPLATE
#undef T
#undef G
#define T    uint16_t
#define G(x) x##_2
#include TEMPLATE
#undef T
#undef G
#define T    uint32_t
#define G(x) x##_4
#include TEMPLATE
#undef T
#undef G
#define T    uint64_t
#define G(x) x##_8
#include TEMPLATE
#undef T
#undef G
