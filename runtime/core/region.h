/* region.h -- parts of a graph whose values are not kept but computed again when a backward pass wants them: ms.recompute
 * (region.c). */
#ifndef MS_REGION_H
#define MS_REGION_H
#include "core.h"

/* What one call of a function has recorded. Part of a larger struct of its maker; held by it and by each of the nodes. */
typedef struct ms_region {
  int refs;
  uint64_t birth;        /* storages made later are made by the function */
  ms_rng rng;            /* where the generator stood when the function began, */
  const char *precision; /* and the mode */
  ms_node **node;        /* in the order in which they were made; NULL: it has gone */
  int n, room;
  bool running;                      /* the function has not returned yet */
  int (*again)(struct ms_region *r); /* call the function again: 0, or -1 after ms_fail */
  void (*drop)(struct ms_region *r); /* nobody holds it: free it */
} ms_region;

extern int ms_recomputing;       /* how many functions are called again, one inside the other */
extern uint64_t ms_rng_proceeds; /* meanwhile: the counter with which the generator will go on */

/* Begin: from now on nodes belong to the region (fields but again and drop are filled in). End: no longer; after ms_fail too. */
void ms_region_begin(ms_region *r);
void ms_region_end(ms_region *r);
bool ms_region_open(void); /* is one begun? Then a function inside needs none of its own. */
void ms_region_release(ms_region *r);

/* For grad.c. Is x made by the function of the region that is open, so that nodes do not keep its values? */
bool ms_region_owns(const ms_tensor *x);
int ms_region_take(ms_node *n);    /* a node has been made. 0, or -1 after ms_fail */
void ms_region_leave(ms_node *n);  /* it goes */
int ms_region_restore(ms_node *n); /* it is about to be visited: have its values there. 0, or -1 after ms_fail */
void ms_region_forget(ms_node *n); /* a pass is over, and the node stays: let the values go again */

#endif
