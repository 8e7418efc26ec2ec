/* op_ids.h -- MS_OP_name, the number of each row. A header of its own, so that a new row does not compile every kernel anew: only
 * files that name operations include it. */
#ifndef MS_OP_IDS_H
#define MS_OP_IDS_H
#include "elementwise_ids.h"

enum {
  MS_OP_last_elementwise = MS_ELEMENTWISE_COUNT - 1,
#define OP(name, ...) MS_OP_##name,
#include "ops.def"
#undef OP
  MS_OP_COUNT
};

#endif
