/* threads.c -- how many threads a kernel may use: what the script set, else what MASCON_THREADS says, else one for each core. */
#include "core.h"
#include <stdlib.h>
#include <string.h>

static int threads;

/* What MASCON_THREADS says, 0: nothing, -1 after ms_fail. */
static int asked_threads(void) {
  const char *ask = getenv("MASCON_THREADS");
  if (!ask || !*ask) return 0;
  char *end;
  const long n = strtol(ask, &end, 10);
  if (*end || n < 1 || n > MS_MOST_THREADS || ask[strspn(ask, "0123456789")])
    return ms_fail("MASCON_THREADS: expected a number from 1 to %d, got '%s'", MS_MOST_THREADS, ask), -1;
  return (int)n;
}

int ms_threads_check(void) { return asked_threads() < 0 ? -1 : 0; }

int ms_threads(void) {
  if (!threads) {
    const bool failed = ms_error() != NULL;
    const int n = asked_threads();
    if (n < 0 && !failed) ms_error_clear(); /* told by ms_threads_check */
    ms_set_threads(n > 0 ? n : ms_cores());
  }
  return threads;
}

void ms_set_threads(int n) { threads = n < 1 ? 1 : n > MS_MOST_THREADS ? MS_MOST_THREADS : n; }
