/* fuzz_idx.c -- the IDX reader on any bytes. Whatever it accepts must be what the file says, and come back from the writer's form.
 */
#include "data/data.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  ms_array *a = ms_idx_parse(bytes, size, "fuzz");
  if (!a != !!ms_error()) abort();
  ms_error_clear();
  if (!a) return 0;
  int64_t count = 1;
  for (int d = 0; d < a->rank; d++) count *= a->shape[d];
  if (a->rank < 1 || a->rank > MS_MAX_RANK || count != a->count) abort();
  volatile uint8_t sum = 0;
  for (size_t i = 0; i < (size_t)a->count * ms_dtype_size(a->dtype); i++) sum += ((uint8_t *)a->data)[i];
  ms_array_free(a);
  return 0;
}
