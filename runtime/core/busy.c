/* busy.c -- what a long calculation is at (busy.h). The reader interrupts the writer, in the same thread or another: a text that is
 * half written is read as it is, never past its end. */
#include "busy.h"
#include <string.h>

static char label[64]; /* its last byte stays 0 */
static const char *volatile kernel;
static const char *volatile unit;
static volatile int64_t parts, done;

void ms_busy(const char *what) {
  unit = NULL;
  if (!what) label[0] = 0;
  else strncpy(label, what, sizeof label - 1);
}

void ms_busy_parts(const char *part, int64_t of) {
  done = 0, parts = of;
  unit = part;
}

void ms_busy_done(void) { __atomic_fetch_add(&done, 1, __ATOMIC_RELAXED); }

const char *ms_busy_kernel(const char *name) {
  const char *before = kernel;
  kernel = name;
  return before;
}

static size_t put(char *out, size_t at, size_t size, const char *s) {
  while (*s && at + 1 < size) out[at++] = *s++;
  return at;
}

static size_t put_number(char *out, size_t at, size_t size, int64_t v) {
  char digits[24];
  size_t n = sizeof digits;
  digits[--n] = 0;
  do digits[--n] = (char)('0' + v % 10);
  while ((v /= 10) > 0);
  return put(out, at, size, digits + n);
}

size_t ms_busy_text(char *out, size_t size) {
  size_t at = 0;
  const char *k = kernel, *u = unit;
  const int64_t of = parts, now = done;
  if (*label) {
    at = put(out, at, size, label);
    if (u) {
      at = put(out, put(out, at, size, ", "), size, u);
      at = put_number(out, put(out, at, size, " "), size, now < of ? now + 1 : of);
      at = put_number(out, put(out, at, size, " of "), size, of);
    }
  } else if (k) at = put(out, at, size, k);
  if (size) out[at] = 0;
  return at;
}
