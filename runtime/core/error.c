/* error.c -- the stored message of what failed. The first one stays: failures after it are only its consequences. */
#include "core.h"
#include "own_error.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static ms_own_error shared;
static _Thread_local ms_own_error *own; /* this thread's, where it asked for one */

void ms_error_own(ms_own_error *e) { own = e; }
static ms_own_error *mine(void) { return own ? own : &shared; }

void *ms_fail(const char *fmt, ...) {
  ms_own_error *e = mine();
  if (e->pending) return NULL;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(e->message, sizeof e->message, fmt, ap);
  va_end(ap);
  e->pending = true;
  return NULL;
}

const char *ms_error(void) { return mine()->pending ? mine()->message : NULL; }
void ms_error_clear(void) { mine()->pending = false; }

void ms_error_prefix(const char *fmt, ...) {
  ms_own_error *e = mine();
  if (!e->pending) return;
  char old[sizeof e->message];
  memcpy(old, e->message, sizeof old);
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(e->message, sizeof e->message, fmt, ap);
  va_end(ap);
  if (n >= 0 && (size_t)n < sizeof e->message) snprintf(e->message + n, sizeof e->message - (size_t)n, ": %s", old);
}

static ms_where_fn where_fn;
static void *where_data;

void ms_on_where(ms_where_fn fn, void *data) { where_fn = fn, where_data = data; }

void ms_script_line(const char **chunk, int *line) {
  *chunk = NULL, *line = 0;
  if (where_fn) where_fn(where_data, chunk, line);
}
