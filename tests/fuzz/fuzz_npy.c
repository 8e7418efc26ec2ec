/* fuzz_npy.c -- the reader of npy files on any bytes. */
#include "format.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) { return try_format(&ms_format_npy, bytes, size), 0; }
