/* fuzz_csv.c -- the reader of csv files on any bytes. */
#include "format.h"
#include "data/csv.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) { return try_format(&ms_format_csv, bytes, size), 0; }
