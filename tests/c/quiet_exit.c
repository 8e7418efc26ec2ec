/* quiet_exit.c -- linked into every C test: worker threads end before the process does. LeakSanitizer, which stops all threads at
 * exit to look at their stacks, crashes now and then on those that a library opened at run time (oneDNN) has touched. */
#include "team.h"
#include <stdlib.h>

__attribute__((constructor)) static void at_start(void) { atexit(ms_team_end); }
