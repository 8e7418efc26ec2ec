/* error.c -- the stored message of what failed. The first one stays: failures after it are only its consequences. */
#include "core.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char message[2048];
static bool pending;

void *ms_fail(const char *fmt, ...) {
  if (pending) return NULL;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(message, sizeof message, fmt, ap);
  va_end(ap);
  pending = true;
  return NULL;
}

const char *ms_error(void) { return pending ? message : NULL; }
void ms_error_clear(void) { pending = false; }

void ms_error_prefix(const char *fmt, ...) {
  if (!pending) return;
  char old[sizeof message];
  memcpy(old, message, sizeof old);
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(message, sizeof message, fmt, ap);
  va_end(ap);
  if (n >= 0 && (size_t)n < sizeof message) snprintf(message + n, sizeof message - (size_t)n, ": %s", old);
}

static ms_where_fn where_fn;
static void *where_data;

void ms_on_where(ms_where_fn fn, void *data) { where_fn = fn, where_data = data; }

void ms_script_line(const char **chunk, int *line) {
  *chunk = NULL, *line = 0;
  if (where_fn) where_fn(where_data, chunk, line);
}
