/* own_error.h -- messages of threads that work beside the script, which must not end up among its own. */
#ifndef MASCON_OWN_ERROR_H
#define MASCON_OWN_ERROR_H
#include "mascon.h"

typedef struct ms_own_error {
  char message[2048];
  bool pending;
} ms_own_error;

/* From here on ms_fail, ms_error, ... of this thread work on *e. */
void ms_error_own(ms_own_error *e);

#endif
