/* region.c -- memory for time: a function's intermediate values are let go, and computed again in the backward pass.
 *
 * The nodes of the first call are ordinary ones, but that what the function made is kept as ghosts (shapes and links only). When a
 * backward pass comes to the first of them that wants values, the function is called again: with gradients enabled, with the
 * generator where it stood then. It makes the same nodes once more, this time with values. These are put into the first nodes, one
 * by one, and the second nodes are dropped. So the graph is what it would have been, for any order of derivative and for whatever
 * parameters the function captured.
 *
 *   first call    n1 n2 n3 ...     ghosts                  a region
 *   second call   m1 m2 m3 ...     values     n_i <- m_i   collected
 *
 * Inside another one: in the outer function's first call the inner one is a plain call. In its second call, the inner one is a
 * region of its own, whose nodes have no values yet; n_i then becomes a node of that region in place of m_i. */
#include "region.h"
#include "custom.h"
#include <stdlib.h>
#include <string.h>

int ms_recomputing;
uint64_t ms_rng_proceeds;
static ms_region *open_region;

typedef struct collected { /* the nodes of a second call, held */
  ms_node **node;
  int n, room;
} collected;
static collected *second;

void ms_region_begin(ms_region *r) {
  r->refs = 1;
  r->birth = ms_storage_births;
  r->rng = *ms_default_rng(), r->precision = ms_precision_name();
  r->node = NULL, r->n = r->room = 0;
  r->running = true;
  open_region = r;
}

void ms_region_end(ms_region *r) {
  r->running = false;
  if (open_region == r) open_region = NULL;
}

bool ms_region_open(void) { return open_region != NULL; }

void ms_region_release(ms_region *r) {
  if (!r || --r->refs) return;
  free(r->node);
  r->drop(r);
}

bool ms_region_owns(const ms_tensor *x) { return open_region && x->storage && x->storage->birth > open_region->birth; }

static int append(ms_node ***list, int *n, int *room, ms_node *node) {
  if (*n == *room) {
    const int more = *room ? 2 * *room : 16;
    ms_node **p = realloc(*list, (size_t)more * sizeof *p);
    if (!p) return ms_fail("recompute: out of memory for the graph"), -1;
    *list = p, *room = more;
  }
  (*list)[(*n)++] = node;
  return 0;
}

int ms_region_take(ms_node *n) {
  if (open_region) {
    if (append(&open_region->node, &open_region->n, &open_region->room, n) < 0) return -1;
    n->region = open_region, n->region_at = open_region->n - 1;
    open_region->refs++;
  }
  if (second) {
    if (append(&second->node, &second->n, &second->room, n) < 0) return -1;
    n->refs++;
  }
  return 0;
}

void ms_region_leave(ms_node *n) {
  if (!n->region) return;
  if (n->region->node[n->region_at] == n) n->region->node[n->region_at] = NULL;
  ms_region_release(n->region);
  n->region = NULL;
}

/* Input i of a node, counted on through the results; whether its values are to be kept. */
static ms_tensor *tensor_at(const ms_node *n, int i, bool *kept) {
  const int k = i - n->n_in;
  *kept = i < n->n_in ? (i >= 32 ? n->kept_in >> 31 : n->kept_in >> i & 1) : k < 32 && (n->kept_out >> k & 1);
  return i < n->n_in ? n->in[i] : n->out[k];
}

static bool wants_values(const ms_node *n) {
  if (n->custom && !n->custom->vjp) return true;
  for (int i = 0; i < n->n_in + n->n_out; i++) {
    bool kept;
    const ms_tensor *t = tensor_at(n, i, &kept);
    if (kept && t && t->is_ghost) return true;
  }
  return false;
}

/* ---- the second call --------------------------------------------------------------------------------------------- */

static int call_again(ms_region *r, collected *c) {
  ms_region *outer = open_region;
  collected *before = second;
  ms_rng *rng = ms_default_rng(), now = *rng;
  const bool enabled = ms_set_grad_enabled(true);
  const char *precision = ms_precision_name();
  if (precision != r->precision && ms_set_precision(r->precision) < 0) return -1;
  open_region = NULL, second = c;
  if (!ms_recomputing++) ms_rng_proceeds = now.counter;
  *rng = r->rng;
  const int rc = r->again(r);
  *rng = now;
  ms_recomputing--;
  open_region = outer, second = before;
  ms_set_grad_enabled(enabled);
  if (precision != ms_precision_name()) ms_set_precision(precision);
  return rc;
}

static int differs(const ms_node *n, const ms_node *m) {
  ms_fail("recompute: the function did something else when it was called again: %s at %s:%d then, %s at %s:%d now", ms_node_name(n),
          n->chunk ? n->chunk : "?", n->line, m ? ms_node_name(m) : "nothing", m && m->chunk ? m->chunk : "?", m ? m->line : 0);
  return -1;
}

/* Has the second call made node m as the first made n, out of the same values? 0, or -1 after ms_fail. */
static int compare(const ms_node *n, const ms_node *m) {
  if (n->op != m->op || n->n_in != m->n_in || n->n_out != m->n_out) return differs(n, m);
  for (int k = 0; k < n->n_out; k++)
    if (n->out[k]->rank != m->out[k]->rank || n->out[k]->dtype != m->out[k]->dtype ||
        memcmp(n->out[k]->shape, m->out[k]->shape, n->out[k]->rank * sizeof *n->out[k]->shape))
      return differs(n, m);
  for (int i = 0; i < n->n_in; i++)
    if (n->in[i] && n->in_version[i] != m->in_version[i])
      return ms_fail(
                 "recompute: argument %d of %s at %s:%d (%s) was changed in place since it was used; the function cannot be called "
                 "again with the old values",
                 i + 1, ms_node_name(n), n->chunk ? n->chunk : "?", n->line, ms_shape_str(n->in[i])),
             -1;
  return 0;
}

/* Put the values that m has into n. */
static void move_values(ms_node *n, ms_node *m) {
  for (int i = 0; i < n->n_in + n->n_out; i++) {
    bool kept, there;
    ms_tensor *t = tensor_at(n, i, &kept), *v = tensor_at(m, i, &there);
    if (!kept || !t || !t->is_ghost || !v || !v->storage) continue;
    t->storage = ms_storage_retain(v->storage);
    t->is_ghost = false;
    t->offset = v->offset;
    memcpy(t->stride, v->stride, sizeof t->stride);
    if (i >= n->n_in) n->out_version[i - n->n_in] = m->out_version[i - n->n_in];
  }
  if (n->custom && !n->custom->vjp && m->custom && m->custom->vjp) {
    ms_custom_release(n->custom);
    n->custom = m->custom, m->custom->refs++;
  }
  if (!m->region || m->region->node[m->region_at] != m) return;
  ms_region_leave(n);
  n->region = m->region, n->region_at = m->region_at;
  n->region->refs++;
  n->region->node[n->region_at] = n;
}

int ms_region_restore(ms_node *n) {
  int rc = 0;
  /* More than once: values of a function inside the function come with that one's second call. */
  while (rc == 0 && n->region && wants_values(n)) {
    ms_region *r = n->region;
    if (r->running)
      return ms_fail("recompute: the function asks for a derivative of what it has computed itself, which is not kept; do that "
                     "outside"),
             -1;
    collected c = {0};
    r->refs++;
    rc = call_again(r, &c);
    for (int i = 0; i < r->n && rc == 0; i++)
      if (r->node[i]) rc = i < c.n ? compare(r->node[i], c.node[i]) : differs(r->node[i], NULL);
    if (rc == 0 && c.n > r->n)
      rc = (ms_fail("recompute: the function did more when it was called again: %s at %s:%d", ms_node_name(c.node[r->n]),
                    c.node[r->n]->chunk ? c.node[r->n]->chunk : "?", c.node[r->n]->line),
            -1);
    for (int i = 0; i < r->n && rc == 0; i++)
      if (r->node[i] && !r->node[i]->freed) move_values(r->node[i], c.node[i]);
    if (rc == 0 && n->region == r && wants_values(n)) rc = (ms_fail("recompute: the second call did not give what is needed"), -1);
    for (int i = 0; i < c.n; i++) ms_node_release(c.node[i]);
    free(c.node);
    ms_region_release(r);
  }
  return rc;
}

void ms_region_forget(ms_node *n) {
  if (!n->region || n->freed) return;
  for (int i = 0; i < n->n_in + n->n_out; i++) {
    bool kept;
    ms_tensor *t = tensor_at(n, i, &kept);
    if (!kept || !t || !t->storage || t->storage->birth <= n->region->birth || (t->requires_grad && !t->node && i < n->n_in))
      continue;
    ms_storage_release(t->storage);
    t->storage = NULL;
    t->is_ghost = true;
  }
}
