/* custom.c -- nodes whose derivative is not a row's rule but a function of whoever made them: see custom.h. */
#include "custom.h"
#include "region.h"
#include <stdlib.h>

void ms_custom_release(ms_custom *c) {
  if (c && --c->refs == 0) c->drop(c);
}

/* What a region (ms.recompute) has until its function is called again: the name. */
static void drop_name(ms_custom *c) { free(c); }
static ms_custom *name_only(const ms_custom *c) {
  ms_custom *name = malloc(sizeof *name);
  if (!name) return ms_fail("%s: out of memory for the graph", c->name);
  *name = (ms_custom){.refs = 0, .name = c->name, .drop = drop_name};
  return name;
}

static int vjp(ms_vjp *v) { return v->node->custom->vjp(v->node->custom, v); }
static const ms_rule rule = {.vjp = vjp};
/* No row: scripts call functions, not this. */
static const ms_op op = {.name = "custom function",
                         .rule = &rule,
                         .id = -1,
                         .n_arg = 1,
                         .n_tensor = 1,
                         .arg = {{.name = "x", .kind = MS_K_TENSORS, .is_tensor = true}}};

int ms_custom_record(ms_custom *c, int n_in, ms_tensor *const *in, int n_out, ms_tensor **out, uint32_t keep) {
  ms_node *n = NULL;
  if (ms_node_record(&op, n_in, in, NULL, n_out, out) < 0) return -1;
  for (int k = 0; k < n_out && !n; k++) n = out[k]->node;
  if (!n) return 0; /* nothing floating: the node is gone */
  if (ms_region_open() && !(c = name_only(c))) return -1;
  n->custom = c, c->refs++;
  for (int k = 0; k < n_out && k < 32; k++) {
    if (!(keep >> k & 1)) continue;
    n->kept_out |= 1u << k;
    if (ms_region_owns(out[k])) continue;
    n->out[k]->storage = ms_storage_retain(out[k]->storage);
    n->out[k]->is_ghost = false;
    n->out_version[k] = out[k]->storage->version;
  }
  return 0;
}
