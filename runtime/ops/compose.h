/* compose.h -- for rows that are composed of others: how their `ref` hands over its result. */
#ifndef MS_COMPOSE_H
#define MS_COMPOSE_H
#include "core/core.h"
#include <string.h>

/* What a ref of one result returns: its result, stored; -1 if there is none. A message of the operation inside begins with the name
 * of the row then, too: "narrow: slice: ...". */
static inline int ms_give(ms_ref *c, ms_tensor *r) {
  c->n_out = 1;
  if ((c->out[0] = r)) return 0;
  const size_t n = strlen(c->op->name);
  const char *text = ms_error();
  if (text && (strncmp(text, c->op->name, n) != 0 || text[n] != ':')) ms_error_prefix("%s", c->op->name);
  return -1;
}

/* Zeros of the dtype and on the device of x. */
static inline ms_tensor *ms_zeros_of(const ms_tensor *x, ms_ints shape) { return ms_full(shape, 0, x->dtype, x->device); }

/* start, start + step, ... as `count` whole numbers of dtype i64, on a device. */
static inline ms_tensor *ms_counting(int64_t start, int64_t count, int64_t step, ms_device *device) {
  ms_tensor *out[MS_MAX_OUT];
  const ms_scalar from = ms_scalar_of_whole(start), to = ms_scalar_of_whole(start + (count - 1) * step);
  if (!count) return ms_full(MS_INTS(0), 0, MS_I64, device);
  const ms_attr attr[] = {{.s = from}, {.s = to}, {.s = ms_scalar_of_whole(step)}, A_INT(MS_I64)};
  return ms_apply_n(MS_OP_arange, device, 0, NULL, attr, out) < 0 ? NULL : out[0];
}
#endif
