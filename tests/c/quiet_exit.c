/* quiet_exit.c -- linked into every C test: the worker threads of OpenMP end before the process does. LeakSanitizer, which stops
 * all threads at exit to look at their stacks, crashes now and then on those that a library opened at run time (oneDNN) has
 * touched. */
#include <omp.h>
#include <stdlib.h>

static void pause_threads(void) { omp_pause_resource_all(omp_pause_hard); }
__attribute__((constructor)) static void at_start(void) { atexit(pause_threads); }
