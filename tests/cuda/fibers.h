/* fibers.h -- see fibers.c. */
#ifndef FIBERS_H
#define FIBERS_H
#include "emulate.h"
#include <stdbool.h>
#include <stdint.h>

enum { MOST_BLOCK_THREADS = 1024 };

/* Run the n threads of the block that emulated_block says. False: a rule was broken; it has been told. */
bool run_block(void (*run)(const void *), const void *params, int n);

#endif
