/* stored.h -- the dtypes of safetensors: how many bits an element takes in the file, and which dtype of ours holds every value. */
#ifndef MASCON_STORED_H
#define MASCON_STORED_H
#include "mascon.h"

typedef struct ms_stored {
  const char *name;
  int bits;
  ms_dtype dtype;
  int parts; /* numbers of ours that an element becomes: 2 for complex ones, which get one more dimension; 0: there is no way to say
                it */
  bool same; /* in the file as in memory */
} ms_stored;

/* NULL: safetensors has no such dtype. */
const ms_stored *ms_stored_named(const char *name);
const ms_stored *ms_stored_of(ms_dtype dtype);
/* Are they in the file as in memory, whatever their bits are? Not so truth values and u64, which are checked. */
bool ms_stored_is_plain(const ms_stored *f);
/* n elements whose bytes, as the file has them, are the last ones of the n * parts numbers at `out`: to those numbers. 0, or the
 * place (from 1) of the first one that our dtype does not hold; *value is what it is. */
size_t ms_stored_spread(const ms_stored *f, void *out, size_t n, uint64_t *value);

#endif
