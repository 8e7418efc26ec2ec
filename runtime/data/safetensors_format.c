/* safetensors_format.c -- safetensors (io/safetensors.c) as a row of the table of formats. */
#include "data/format.h"
#include "io/stored.h"
#include <stdlib.h>
#include <string.h>

static bool is(const uint8_t *head, size_t n, uint64_t size) {
  uint64_t header = 0;
  for (int k = 7; k >= 0 && n > 8; k--) header = header << 8 | head[k];
  return n > 8 && head[8] == '{' && header > 1 && header <= 100000000 && (size < 8 || head[7] == 0);
}

static int open_tensors(ms_file *f) {
  ms_safetensors *s = f->private =
      f->in_memory ? ms_safetensors_parse(f->bytes, f->size, f->name) : ms_safetensors_open(f->name, f->max_bytes);
  if (!s) return -1;
  for (int k = 0; k < s->n; k++) {
    const ms_st_entry *e = &s->entries[k];
    ms_content *it = ms_file_add(f, e->name);
    if (!it) return -1;
    it->dtype = e->dtype;
    it->rank = e->rank;
    memcpy(it->shape, e->shape, sizeof it->shape);
    it->at = ms_stored_is_plain(e->stored) && !f->in_memory ? ms_safetensors_place(s, e) : 0;
  }
  if (s->n_metadata && !(f->metadata = calloc((size_t)s->n_metadata, sizeof *f->metadata)))
    return ms_fail("%s: out of memory", f->name), -1;
  for (int k = 0; k < s->n_metadata; k++) {
    ms_st_pair *to = &f->metadata[f->n_metadata++];
    to->key = strdup(s->metadata[k].key), to->value = strdup(s->metadata[k].value);
    if (!to->key || !to->value) return ms_fail("%s: out of memory", f->name), -1;
  }
  return 0;
}

static int read_tensor(ms_file *f, int k, void *out) {
  const ms_safetensors *s = f->private;
  return ms_safetensors_read(s, &s->entries[k], out);
}

static void close_tensors(ms_file *f) { ms_safetensors_close(f->private); }

const ms_format ms_format_safetensors = {
    .name = "safetensors", .what = "safetensors", .is = is, .open = open_tensors, .read = read_tensor, .close = close_tensors};
