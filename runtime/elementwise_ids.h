/* elementwise_ids.h -- MS_OP_name of the lines of elementwise.def, which come first among all rows (op_ids.h). By itself, so that a
 * new row of ops.def does not compile their loops anew. */
#ifndef MS_ELEMENTWISE_IDS_H
#define MS_ELEMENTWISE_IDS_H

enum {
#define OP(...)
#define E1(name, ...) MS_OP_##name,
#define E2(name, ...) MS_OP_##name,
#define E3(name, ...) MS_OP_##name,
#include "elementwise.def"
#undef OP
#undef E1
#undef E2
#undef E3
  MS_ELEMENTWISE_COUNT
};

#endif
