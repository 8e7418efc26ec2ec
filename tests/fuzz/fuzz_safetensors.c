/* fuzz_safetensors.c -- the safetensors reader on any bytes; every entry it accepts must lie inside them, side by side. */
#include "io/io.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  ms_safetensors *s = ms_safetensors_parse(bytes, size, "fuzz");
  if (!s != !!ms_error()) abort();
  ms_error_clear();
  if (!s) return 0;
  volatile uint8_t sum = 0;
  const uint8_t *end = bytes + size, *at = s->n ? s->entries[0].data : end;
  for (int i = 0; i < s->n; i++) {
    const ms_st_entry *e = &s->entries[i];
    if (e->data != at || e->stored_bytes > (size_t)(end - at) || ms_safetensors_find(s, e->name) != e) abort();
    uint8_t *out = malloc(e->bytes ? e->bytes : 1);
    if (out && !ms_safetensors_read(s, e, out))
      for (size_t k = 0; k < e->bytes; k++) sum += out[k];
    ms_error_clear();
    free(out);
    at += e->stored_bytes;
  }
  if (at != end) abort();
  for (int i = 0; i < s->n_metadata; i++)
    if (strcmp(ms_safetensors_metadata(s, s->metadata[i].key), s->metadata[i].value)) abort();
  ms_safetensors_close(s);
  return 0;
}
