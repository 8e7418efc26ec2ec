/* rng.c -- the default generator, and one-at-a-time draws for host code. */
#include "core.h"
#include "philox.h"

static ms_rng default_rng = {.seed = 1};

ms_rng *ms_default_rng(void) { return &default_rng; }
void ms_seed(uint64_t seed) { default_rng = (ms_rng){.seed = seed}; }
uint32_t ms_rng_next(ms_rng *rng) { return ms_philox4x32(rng->seed, rng->counter++).v[0]; }
