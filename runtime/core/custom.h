/* custom.h -- derivatives from outside of the core: functions of a script with a derivative of its own (custom.c). */
#ifndef MS_CUSTOM_H
#define MS_CUSTOM_H
#include "core.h"

/* Held by the node whose derivative it is, and by whoever made it. Part of a larger struct of its maker. */
typedef struct ms_custom ms_custom;
struct ms_custom {
  int refs;
  const char *name;                    /* for messages: ms_intern */
  int (*vjp)(ms_custom *c, ms_vjp *v); /* as in ms_rule */
  void (*drop)(ms_custom *c);          /* nobody holds it: free it */
};
void ms_custom_release(ms_custom *c);

/* From now on the tensors out[], which no operation of a graph has made, are the results of a node with inputs in[] and derivative
 * c, where they are floating. keep: bit k: v->r[k] has its values (the first 32). 0, or -1 after ms_fail. */
int ms_custom_record(ms_custom *c, int n_in, ms_tensor *const *in, int n_out, ms_tensor **out, uint32_t keep);
/* What messages call a node's operation. */
static inline const char *ms_node_name(const ms_node *n) { return n->custom ? n->custom->name : n->op->name; }

#endif
