/* fuzz_mat.c -- the reader of MATLAB's files on any bytes; the first one chooses whether what is cut off is given in part. Built
 * with -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION zlib's own checksums are looked at all the same: plain files reach further. */
#include "../c/mat_walk.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  if (!size) return 0;
  uint64_t taken = 0;
  ms_mat *f = ms_mat_parse(bytes + 1, size - 1, "fuzz", 0, bytes[0] & 1);
  const int n = f ? mat_walk(f, &taken) : -1;
  if ((n < 0) != !!ms_error() || taken > 8 * size + (64 << 20)) abort();
  ms_error_clear();
  ms_mat_close(f);
  return 0;
}
