/* interrupt.c -- a request to stop (Ctrl-C). Long calculations ask for it now and then. It counts after PATIENCE only, so that what
 * would end soon is not cut short. */
#include "core.h"
#include <signal.h>
#include <time.h>

#define PATIENCE 0.1 /* seconds */

static volatile sig_atomic_t asked;
static struct timespec since; /* when it was asked */

void ms_interrupt(void) {
  if (asked) return;
  clock_gettime(CLOCK_MONOTONIC, &since);
  asked = 1;
}

bool ms_interrupted(void) {
  if (!asked) return false;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)(t.tv_sec - since.tv_sec) + 1e-9 * (double)(t.tv_nsec - since.tv_nsec) > PATIENCE;
}

void *ms_stopped(const char *what) { return ms_fail("%s: interrupted", what); }
void ms_interrupt_clear(void) { asked = 0; }
