/* format.h -- what every format of runtime/data/format.c must do with any bytes: refuse them with a message, or give what it says
 * it has, in memory as the rule allows it. Shared by the fuzz targets and by tests/c/test_formats.c. */
#ifndef FUZZ_FORMAT_H
#define FUZZ_FORMAT_H
#include "data/format.h"
#include <stdlib.h>
#include <string.h>

/* format NULL: the one that the bytes look like. True where they were accepted. */
static inline bool try_format(const ms_format *format, const uint8_t *bytes, size_t size) {
  ms_file *f = ms_file_parse_as(format, bytes, size, "fuzz", 0, NULL);
  if (!f != !!ms_error()) abort();
  if (!f && strncmp(ms_error(), "fuzz", 4) != 0) abort(); /* messages begin with the name */
  ms_error_clear();
  if (!f) return false;
  uint64_t all = 0;
  volatile uint8_t sum = 0;
  bool sound = true;
  for (int k = 0; k < f->n; k++) {
    const ms_content *it = &f->items[k];
    if (it->problem) continue;
    const int64_t count = ms_content_count(it);
    if (count < 0 || it->rank < 0 || it->rank > MS_MAX_RANK || (it->texts && it->rank != 1) || it->at) abort();
    const size_t n = (size_t)count * (it->texts ? sizeof(char *) : ms_dtype_size(it->dtype));
    if ((all += n) > 8 * (uint64_t)size + MS_READ_ROOM) abort();
    uint8_t *out = malloc(n ? n : 1);
    if (!out) continue;
    const bool good = !ms_file_read(f, k, out);
    if (good != !ms_error()) abort();
    ms_error_clear();
    for (size_t i = 0; good && !it->texts && i < n; i++) sum += out[i];
    for (int64_t i = 0; good && it->texts && i < count; i++) sum += (uint8_t)strlen(((const char **)(void *)out)[i]);
    sound &= good;
    free(out);
  }
  for (int k = 0; k < f->n_columns; k++) sum += (uint8_t)strlen(f->columns[k]);
  ms_file_close(f);
  return sound;
}

#endif
