/* fault.c -- what a kernel found wrong on a device that works later, told when somebody waits: which operation of which line of the
 * script it was. */
#include "core.h"
#include <stdlib.h>

/* All triples (operation, chunk, line) that calls were made with; a call's id is its place here, from 1. There are as many as the
 * scripts have operations, not calls. */
static struct origin {
  const ms_op *op;
  const char *chunk; /* interned */
  int line;
} * origins;
static uint32_t n_origins, room_origins;
static uint32_t *table; /* hash to id, 0: empty; twice as large as room_origins */

static uint32_t table_index(const ms_op *op, const char *chunk, int line) {
  const uint64_t h = ((uint64_t)op->id * 0x9E3779B97F4A7C15u) ^ ((uint64_t)(uintptr_t)chunk >> 4) ^ ((uint64_t)line << 20);
  uint32_t at = (uint32_t)(h * 0x9E3779B97F4A7C15u >> 33) % (2 * room_origins);
  for (; table[at]; at = (at + 1) % (2 * room_origins)) {
    const struct origin *o = &origins[table[at] - 1];
    if (o->op == op && o->chunk == chunk && o->line == line) break;
  }
  return at;
}

static int grow_origins(void) {
  const uint32_t room = room_origins ? 2 * room_origins : 64;
  struct origin *o = realloc(origins, room * sizeof *o);
  if (o) origins = o;
  uint32_t *t = calloc(2 * (size_t)room, sizeof *t);
  if (!o || !t) return free(t), ms_fail("out of memory: no room for the list of operations"), -1;
  free(table);
  table = t, room_origins = room;
  for (uint32_t i = 0; i < n_origins; i++) table[table_index(origins[i].op, origins[i].chunk, origins[i].line)] = i + 1;
  return 0;
}

uint32_t ms_call_id(const ms_op *op, const char *chunk, int line) {
  if (n_origins == room_origins && grow_origins() < 0) return 0;
  const uint32_t at = table_index(op, chunk, line);
  if (!table[at]) {
    origins[n_origins++] = (struct origin){op, chunk, line};
    table[at] = n_origins;
  }
  return table[at];
}

int ms_device_faulted(ms_device *d) {
  ms_fault f;
  if (!d->backend->fault || !d->backend->fault(d->queue, &f)) return 0;
  if (!f.call || f.call > n_origins) return ms_fail("%s: a kernel failed: %s", d->name, f.text), -1;
  const struct origin *o = &origins[f.call - 1];
  if (*f.text) ms_fail("%s", f.text);
  else ms_index_failed(o->op, f.input, f.element, f.value, f.bound);
  ms_error_prefix("%s at %s:%d", o->op->name, o->chunk ? o->chunk : "?", o->line);
  return -1;
}
