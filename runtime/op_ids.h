/* op_ids.h -- MS_OP_name, the number of each row. A header of its own, so that a new row does not compile every kernel anew: only
 * files that name operations include it. */
#ifndef MS_OP_IDS_H
#define MS_OP_IDS_H

enum {
#define OP(name, ...) MS_OP_##name,
#define E1(name, ...) MS_OP_##name,
#define E2(name, ...) MS_OP_##name,
#define E3(name, ...) MS_OP_##name,
#include "elementwise.def"
#include "ops.def"
#undef OP
#undef E1
#undef E2
#undef E3
  MS_OP_COUNT
};

#endif
