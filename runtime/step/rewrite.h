/* rewrite.h -- new calls in a recording: for passes that put other calls in the place of recorded ones (fold.c).
 *
 * A pass looks, describes calls (ms_rewrite_temp, ms_rewrite_call: each reads and writes views of slots), and puts them, all at
 * once, before a call or in its place. What nobody reads any more stays where it is: ms_step_build drops it afterwards. */
#ifndef MS_REWRITE_H
#define MS_REWRITE_H
#include "pass.h"

typedef struct ms_fact { /* of a slot */
  int made, writes;      /* the call that writes it (the last one), and how many writes there are */
  int readers;           /* views of calls that are needed */
} ms_fact;

typedef struct ms_rewrite {
  ms_record *r;
  bool *dead;       /* by call: what it makes is not needed */
  ms_fact *fact;    /* by slot */
  ms_rcall wait[8]; /* described, not put yet */
  int n_wait;
} ms_rewrite;

/* Find dead and fact, anew after calls were put. 0, or -1 after ms_fail. */
int ms_rewrite_examine(ms_rewrite *w);
void ms_rewrite_close(ms_rewrite *w);

/* View k of a call. With view.number it is a number, otherwise with slot -1 it is absent. view.number points into the
 * call: ms_rewrite_put moves calls, and from then on until they are prepared such a pointer, here or in a call, dangles and says
 * only that there is a number. */
ms_slot_view ms_rewrite_operand(const ms_rcall *c, int k);
/* A new INTERNAL slot, and the contiguous view of all of it. */
int ms_rewrite_temp(ms_rewrite *w, int dtype, int rank, const int64_t *shape, ms_slot_view *v);
/* A new EXTERNAL slot that holds these constants: rank 2. */
int ms_rewrite_constant(ms_rewrite *w, int dtype, const int64_t *shape, const double *values, ms_slot_view *v);
/* The same elements in another order: any rank, strides in elements. */
ms_slot_view ms_rewrite_view(const ms_slot_view *v, int rank, const int64_t *shape, const int64_t *stride);
/* Describe a call with one result. attr in the order of the row's signature. */
int ms_rewrite_call(ms_rewrite *w, int op, int n_in, const ms_slot_view *in, const ms_attr *attr, const ms_slot_view *out);
/* Put what was described before call `at`, or in its place; it counts as the same line of the script. */
int ms_rewrite_put(ms_rewrite *w, int at, bool replace);
#endif
