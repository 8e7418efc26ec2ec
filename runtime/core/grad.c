/* grad.c -- the nodes of the graph, and the two ways to ask for derivatives: ms_backward (into .grad of the leaves) and ms_grad (of
 * tensors that are named).
 *
 * A backward pass collects the nodes that y depends on, then visits them by falling sequence number. So each node is visited once,
 * after everything that used its results. Nothing recurses: a chain of any length needs no stack. Derivative rules are made of
 * operations and go through the gate, so with gradients enabled what they return is again part of a graph. */
#include "custom.h"
#include "parts.h"
#include "region.h"
#include <stdlib.h>
#include <string.h>

static bool enabled = true;
static uint64_t next_seq, next_mark;
uint64_t ms_freezes;

bool ms_grad_enabled(void) { return enabled; }
bool ms_set_grad_enabled(bool on) {
  bool was = enabled;
  enabled = on;
  return was;
}

bool ms_requires_grad(const ms_tensor *t) { return t && t->requires_grad; }
bool ms_is_leaf(const ms_tensor *t) { return !t->node; }

/* Tell the observer, if there is one: .grad of t is looked at (found) or about to be set; .grad of t has been set. */
static int grad_touched(ms_tensor *t, bool found) { return ms_observer_now ? ms_observer_now->grad(t, found) : 0; }
static int grad_set(ms_tensor *t) { return ms_observer_now ? ms_observer_now->grad_set(t) : 0; }

ms_tensor *ms_grad_of(ms_tensor *t) { return grad_touched(t, true) < 0 ? NULL : t->grad; }

void ms_set_grad(ms_tensor *t, ms_tensor *g) {
  grad_touched(t, false);
  ms_retain(g);
  ms_release(t->grad);
  t->grad = g;
  grad_set(t);
}

int ms_set_requires_grad(ms_tensor *t, bool on) {
  if (on && !ms_dtype_is_float(t->dtype))
    return ms_fail("requires_grad: only floating tensors can have gradients, this is %s", ms_shape_str(t)), -1;
  if (t->node && !on) return ms_fail("requires_grad: this tensor is the result of %s; use :detach()", ms_node_name(t->node)), -1;
  ms_freezes += t->requires_grad != on;
  t->requires_grad = on;
  return 0;
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static void drop_tensors(ms_node *n) {
  for (int i = 0; i < n->n_in; i++) ms_release(n->in[i]), n->in[i] = NULL;
  for (int k = 0; k < n->n_out; k++) {
    ms_release(n->out[k]), n->out[k] = NULL;
    ms_release(n->grad[k]), n->grad[k] = NULL;
  }
  ms_parts_free(&n->parts);
  ms_custom_release(n->custom), n->custom = NULL;
  for (int i = 0, a = 0; i < n->op->n_arg; i++) {
    if (n->op->arg[i].is_tensor) continue;
    if (n->op->arg[i].kind == MS_K_SCALAR) ms_cell_release(ms_scalar_cell(n->attr[a].s)), n->attr[a].s = ms_scalar_of(0);
    a++;
  }
}

static ms_node *to_free;
static bool freeing;

void ms_node_release(ms_node *n) {
  if (--n->refs) return;
  n->next = to_free;
  to_free = n;
  if (freeing) return; /* the loop below, further up the stack, takes it */
  freeing = true;
  while ((n = to_free)) {
    to_free = n->next;
    drop_tensors(n);
    ms_region_leave(n);
    free(n);
    ms_live_nodes--;
  }
  freeing = false;
}

/* What stands for x in a node: x itself where it is a number or a leaf that gathers a gradient, else an alias, whose link into the
 * graph stays what it is when x is changed in place; without bytes (a ghost) where the values are not needed. */
static ms_tensor *stand_in(ms_tensor *x, bool values) {
  if (!x) return NULL;
  if (x->is_number || (x->requires_grad && !x->node)) return ms_retain(x);
  ms_tensor *a = ms_alias(x);
  if (!a) return NULL;
  if (!values) {
    ms_storage_release(a->storage);
    a->storage = NULL;
    a->is_ghost = true;
  }
  a->requires_grad = x->requires_grad;
  if ((a->node = x->node)) a->node->refs++, a->out_index = x->out_index;
  return a;
}

const char *ms_intern(const char *chunk) {
  static char *names[4096];
  if (!chunk) return NULL;
  unsigned h = 5381;
  for (const char *p = chunk; *p; p++) h = h * 33 + (unsigned char)*p;
  for (int i = 0; i < 4096; i++) {
    char **slot = &names[(h + (unsigned)i) % 4096];
    if (*slot && strcmp(*slot, chunk)) continue;
    if (!*slot) *slot = strdup(chunk);
    return *slot;
  }
  return "?";
}

/* Which inputs and results a node has to keep with their values, as bits: those that a derivative which can be asked for reads.
 * Nothing else takes memory, and nothing else is guarded against changes in place. */
static void values_to_keep(const ms_op *op, int n_in, ms_tensor *const *in, uint32_t *values, uint32_t *results) {
  *values = op->keep_in, *results = op->keep_out;
  if (!op->has_reads) return;
  uint32_t read = 0;
  for (int i = 0; i < n_in && i < 3; i++)
    if (in[i] && in[i]->requires_grad) read |= op->reads[i];
  *values = read & 7, *results &= read >> 3;
}

int ms_node_record(const ms_op *op, int n_in, ms_tensor *const *in, const ms_attr *attr, int n_out, ms_tensor **out) {
  size_t bytes = sizeof(ms_node) + (size_t)op->n_attr * sizeof(ms_attr) + (size_t)n_in * sizeof(ms_tensor *) +
                 (size_t)n_out * 2 * sizeof(ms_tensor *) + (size_t)(n_in + n_out) * sizeof(uint32_t);
  ms_node *n = malloc(bytes);
  if (!n) return ms_fail("%s: out of memory for the graph", op->name), -1;
  memset(n, 0, bytes);
  n->attr = (ms_attr *)(n + 1);
  n->in = (ms_tensor **)(n->attr + op->n_attr);
  n->out = n->in + n_in;
  n->grad = n->out + n_out;
  n->in_version = (uint32_t *)(n->grad + n_out);
  n->out_version = n->in_version + n_in;
  n->op = op, n->n_in = n_in, n->n_out = n_out, n->n_attr = op->n_attr;
  n->seq = ++next_seq;
  n->refs = 1;
  const char *chunk;
  ms_script_line(&chunk, &n->line);
  n->chunk = ms_intern(chunk);
  ms_live_nodes++;
  values_to_keep(op, n_in, in, &n->kept_in, &n->kept_out);

  bool ok = true;
  for (int i = 0; i < n_in; i++) {
    bool values = i >= 32 ? n->kept_in >> 31 : n->kept_in >> i & 1;
    n->in[i] = stand_in(in[i], values && !ms_region_owns(in[i]));
    ok &= !in[i] || n->in[i];
    if (in[i] && in[i]->storage) n->in_version[i] = in[i]->storage->version;
  }
  for (int i = 0, a = 0; i < op->n_arg; i++) {
    if (op->arg[i].is_tensor) continue;
    n->attr[a] = attr[a];
    if (op->arg[i].kind == MS_K_SCALAR) ms_cell_retain(ms_scalar_cell(attr[a].s));
    a++;
  }
  for (int k = 0; k < n_out; k++) {
    ok &= (n->out[k] = ms_alias(out[k])) != NULL;
    if (!ok) break;
    const bool values = k < 32 && n->kept_out >> k & 1;
    if (values) n->out_version[k] = out[k]->storage->version;
    if (!values || ms_region_owns(out[k])) {
      ms_storage_release(n->out[k]->storage);
      n->out[k]->storage = NULL;
      n->out[k]->is_ghost = true;
    }
    if (!ms_dtype_is_float(out[k]->dtype)) continue;
    out[k]->node = n, out[k]->out_index = (uint8_t)k, out[k]->requires_grad = true;
    n->refs++;
  }
  ok &= ms_region_take(n) == 0;
  ms_node_release(n);
  return ok ? 0 : -1;
}

/* ---- a backward pass --------------------------------------------------------------------------------------------- */

/* A pass can begin inside another one, in a derivative that a script wrote. What the outer one has noted in a node that both visit
 * is put aside meanwhile. */
typedef struct aside {
  ms_node *n;
  uint64_t mark;
  bool wanted;
  struct ms_parts *parts;
  ms_tensor **grad; /* NULL: none had been gathered */
} aside;
static int passes; /* that are under way */

typedef struct backward_pass {
  ms_node **list; /* what y depends on */
  int n, room;
  aside *aside; /* of each node, of an inner pass */
  int n_x;      /* 0: gradients go into .grad of the leaves; else they are asked for of the tensors x[], and go into dx[] */
  ms_tensor *const *x;
  ms_tensor **dx;
  struct ms_parts *parts; /* of leaves: gradients that fill a part only, until the end of the pass */
} backward_pass;

static void put_back(aside *a) {
  ms_node *n = a->n;
  n->mark = a->mark, n->wanted = a->wanted, n->parts = a->parts;
  for (int k = 0; a->grad && k < n->n_out; k++) n->grad[k] = a->grad[k];
  free(a->grad);
}

static int put_aside(aside *a, ms_node *n) {
  *a = (aside){.n = n, .mark = n->mark, .wanted = n->wanted, .parts = n->parts};
  bool any = false;
  for (int k = 0; k < n->n_out; k++) any |= n->grad[k] != NULL;
  if (any && !(a->grad = calloc((size_t)n->n_out, sizeof *a->grad))) return ms_fail("out of memory in a backward pass"), -1;
  n->parts = NULL;
  for (int k = 0; k < n->n_out && any; k++) a->grad[k] = n->grad[k], n->grad[k] = NULL;
  return 0;
}

static int add_node(backward_pass *p, ms_node *n, uint64_t mark) {
  if (n->mark == mark) return 0;
  if (p->n == p->room) {
    int room = p->room ? 2 * p->room : 64;
    ms_node **l = realloc(p->list, (size_t)room * sizeof *l);
    if (l) p->list = l;
    aside *a = passes > 1 ? realloc(p->aside, (size_t)room * sizeof *a) : NULL;
    if (a) p->aside = a;
    if (!l || (passes > 1 && !a)) return ms_fail("out of memory: no room for a list of %d nodes", room), -1;
    p->room = room;
  }
  if (p->aside && put_aside(&p->aside[p->n], n) < 0) return -1;
  n->mark = mark;
  n->wanted = false;
  p->list[p->n++] = n;
  n->refs++; /* dropping a later node's inputs must not free this one before it is visited */
  return 0;
}

static int by_seq(const void *a, const void *b) {
  uint64_t x = (*(ms_node *const *)a)->seq, y = (*(ms_node *const *)b)->seq;
  return x < y ? -1 : x > y;
}

/* Which of the tensors asked for is t? -1: none. */
static int asked_for(const backward_pass *p, const ms_tensor *t) {
  for (int i = 0; i < p->n_x; i++)
    if (p->x[i] == t || (t->node && p->x[i]->node == t->node && p->x[i]->out_index == t->out_index)) return i;
  return -1;
}

/* All nodes y depends on, by rising sequence number, each marked whether it leads to something asked for. */
static int collect_nodes(backward_pass *p, ms_tensor *y) {
  uint64_t mark = ++next_mark;
  if (y->node && add_node(p, y->node, mark) < 0) return -1;
  for (int i = 0; i < p->n; i++) {
    ms_node *n = p->list[i];
    if (n->freed)
      return ms_fail("the graph behind this result was freed by an earlier backward (%s at %s:%d); ask for it with {retain = true}",
                     ms_node_name(n), n->chunk ? n->chunk : "?", n->line),
             -1;
    for (int k = 0; k < n->n_in; k++)
      if (n->in[k] && n->in[k]->node && add_node(p, n->in[k]->node, mark) < 0) return -1;
  }
  if (p->n) qsort(p->list, (size_t)p->n, sizeof *p->list, by_seq);
  for (int i = 0; i < p->n; i++) {
    ms_node *n = p->list[i];
    for (int k = 0; k < n->n_in && !n->wanted; k++) {
      const ms_tensor *t = n->in[k];
      if (!t || !t->requires_grad) continue;
      n->wanted = (t->node && t->node->wanted) || (p->n_x ? asked_for(p, t) >= 0 : !t->node);
    }
  }
  return 0;
}

/* *sum += g, in a tensor of its own; the first g is taken as it is. */
static int accumulate(ms_tensor **sum, ms_tensor *g) {
  if (!*sum) return *sum = ms_retain(g), 0;
  int mark = ms_scope_open();
  ms_tensor *s = ms_retain(ms_add(*sum, g));
  ms_scope_close(mark);
  if (!s) return -1;
  ms_release(*sum);
  *sum = s;
  return 0;
}

/* Add g to the gradient of t, an input of the node that is being visited: where it is kept depends on what t is. */
static int deliver(backward_pass *p, ms_tensor *t, ms_tensor *g) {
  if (t->node && (t->node->wanted || (p->n_x && asked_for(p, t) >= 0)) && accumulate(&t->node->grad[t->out_index], g) < 0)
    return -1;
  const int i = p->n_x ? asked_for(p, t) : 0;
  if (i < 0 || t->node) return 0; /* results asked for are taken when their node is visited */
  if (p->dx) return accumulate(&p->dx[i], g);
  if (grad_touched(t, true) < 0) return -1;
  /* Nobody else holds .grad: add in place. Not while a step is recorded, for in a replay somebody may hold it. */
  if (t->grad && !enabled && !ms_observer_now && !t->grad->requires_grad && t->grad->refs == 1 &&
      ms_storage_users(t->grad->storage) == 1 && ms_is_contiguous(t->grad)) {
    int mark = ms_scope_open();
    ms_tensor *r = ms_apply_inplace(MS_OP_add, MS_IN(t->grad, g), NULL);
    ms_scope_close(mark);
    return r ? 0 : -1;
  }
  if (t->grad) return accumulate(&t->grad, g) < 0 ? -1 : grad_set(t);
  /* A fresh gradient may be anybody's view (expand, transpose): .grad has memory of its own. */
  int mark = ms_scope_open();
  ms_tensor *own =
      g->refs == 1 && ms_storage_users(g->storage) == 1 && ms_is_contiguous(g) ? g : ms_apply(MS_OP_clone, MS_IN(g), NULL);
  if (own) ms_set_grad(t, own);
  ms_scope_close(mark);
  return own ? 0 : -1;
}

static bool wanted(const backward_pass *p, const ms_tensor *t) {
  return t->node ? t->node->wanted || (p->n_x && asked_for(p, t) >= 0) : !p->n_x || asked_for(p, t) >= 0;
}

/* Where the parts of a tensor wait, an input of a node; *whole: the tensor that they are known by. */
static struct ms_parts **parts_place(backward_pass *p, ms_tensor *t, ms_tensor **whole) {
  *whole = t->node ? t->node->out[t->out_index] : t;
  return t->node ? &t->node->parts : &p->parts;
}

/* Parts of t have come. many: as much waits as t is large, so what is there is put together. */
static int parts_came(backward_pass *p, ms_tensor *t, int many) {
  ms_tensor *whole;
  struct ms_parts **all = parts_place(p, t, &whole);
  if (many <= 0) return many;
  ms_tensor *sum = ms_parts_take(all, whole);
  const int rc = sum ? deliver(p, t, sum) : -1;
  ms_release(sum);
  return rc;
}

/* Add g, the gradient of a part of t, to that of t: it waits until all parts are there. */
static int deliver_part(backward_pass *p, ms_tensor *t, ms_tensor *g, ms_place at) {
  ms_tensor *whole;
  if (!wanted(p, t)) return 0;
  struct ms_parts **all = parts_place(p, t, &whole);
  return parts_came(p, t, ms_parts_add(all, whole, g, at));
}

/* The node is a slice, and only parts wait for its result: they become parts of its argument. */
static int hand_parts_on(backward_pass *p, ms_node *n) {
  ms_tensor *whole, *t = n->in[0];
  struct ms_parts **all = parts_place(p, t, &whole);
  return parts_came(p, t, ms_parts_hand_on(n, all, whole));
}

/* All gradients of a node's results are there: those of parts become whole ones. */
static int gather_parts(ms_node *n) {
  for (int k = 0; k < n->n_out && n->parts; k++) {
    ms_tensor *sum = ms_parts_take(&n->parts, n->out[k]);
    if (ms_error() || (sum && accumulate(&n->grad[k], sum) < 0)) return ms_release(sum), -1;
    ms_release(sum);
  }
  return 0;
}

/* The same for leaves, at the end of a pass. */
static int gather_leaf_parts(backward_pass *p) {
  ms_tensor *leaf;
  int rc = 0;
  while (rc == 0 && (leaf = ms_parts_first(p->parts))) {
    ms_retain(leaf);
    ms_tensor *sum = ms_parts_take(&p->parts, leaf);
    rc = sum ? deliver(p, leaf, sum) : -1;
    ms_release(sum), ms_release(leaf);
  }
  return rc;
}

/* The result k of node n as the rule sees it: connected to the graph again. */
static ms_tensor *result_in_graph(ms_node *n, int k) {
  ms_tensor *r = ms_alias(n->out[k]);
  if (!r) return NULL;
  if (ms_dtype_is_float(r->dtype)) {
    r->node = n, r->out_index = (uint8_t)k, r->requires_grad = true;
    n->refs++;
  }
  return ms_autorelease(r);
}

/* Has a tensor that the node keeps still the values that it had? 0, or -1 after ms_fail. */
static int check_version(const ms_node *n, const char *what, int i, const ms_tensor *t, uint32_t version) {
  if (!t || !t->storage || t->storage->version == version) return 0;
  ms_fail("%s %d of %s (%s) was changed in place after it was used; its derivative needs the old values", what, i + 1,
          ms_node_name(n), ms_shape_str(t));
  return -1;
}

enum { FEW_INPUTS = 16 }; /* so many, and so many results as a row has, need no malloc */

/* Call the derivative rule of a node whose results have their gradients, and deliver what it gives for the inputs. */
static int visit(backward_pass *p, ms_node *n) {
  ms_tensor *few_dx[FEW_INPUTS] = {0}, *few_r[MS_MAX_OUT] = {0}, **dx = few_dx, **r = few_r;
  bool few_need[FEW_INPUTS], *need = few_need;
  if (!n->op->rule->vjp) return ms_fail("%s has no derivative", n->op->name), -1;
  const bool many = n->n_in > FEW_INPUTS || n->n_out > MS_MAX_OUT;
  if (many) {
    dx = calloc((size_t)n->n_in, sizeof *dx), r = calloc((size_t)n->n_out, sizeof *r),
    need = malloc((size_t)n->n_in * sizeof *need);
    if (!dx || !r || !need)
      return free(dx), free(r), free(need), ms_fail("out of memory in the derivative of %s", ms_node_name(n)), -1;
  }
  int mark = ms_scope_open(), rc = ms_region_restore(n);
  for (int i = 0; i < n->n_in; i++) {
    const ms_tensor *t = n->in[i];
    need[i] = t && t->requires_grad && ((t->node && t->node->wanted) || (p->n_x ? asked_for(p, t) >= 0 : !t->node));
    if (i < 32 && n->kept_in >> i & 1 && check_version(n, "argument", i, t, n->in_version[i]) < 0) rc = -1;
  }
  for (int k = 0; k < n->n_out && rc == 0; k++) {
    if (k < 32 && n->kept_out >> k & 1 && check_version(n, "result", k, n->out[k], n->out_version[k]) < 0) rc = -1;
    if (!(r[k] = result_in_graph(n, k))) rc = -1;
  }
  ms_vjp v = {.op = n->op,
              .node = n,
              .n_in = n->n_in,
              .n_out = n->n_out,
              .x = n->in,
              .r = r,
              .g = n->grad,
              .attr = n->attr,
              .need = need,
              .dx = dx};
  if (rc == 0 && (n->op->rule->vjp(&v) < 0 || ms_error())) rc = -1;
  for (int i = 0; i < n->n_in && rc == 0; i++)
    if (need[i] && dx[i] && (v.place.is ? deliver_part(p, n->in[i], dx[i], v.place) : deliver(p, n->in[i], dx[i])) < 0) rc = -1;
  ms_scope_close(mark);
  if (many) free(dx), free(r), free(need);
  return rc;
}

/* The gradient of y itself, where the pass begins: `seed`, or 1. */
static ms_tensor *first_gradient(ms_tensor *y, ms_tensor *seed) {
  if (!y) return NULL;
  if (!y->requires_grad)
    return ms_fail(
        "backward: this result depends on nothing that requires gradients%s",
        ms_grad_enabled() ? "" : "; they are switched off here (ms.no_grad without a function lasts until its guard is closed)");
  if (!seed) {
    if (ms_numel(y) != 1)
      return ms_fail("backward: expected a result of one element (or a gradient to start from), got %s", ms_shape_str(y));
    return ms_ones_like(y);
  }
  bool same = seed->rank == y->rank;
  for (int i = 0; same && i < y->rank; i++) same = seed->shape[i] == y->shape[i];
  return same ? seed : ms_fail("backward: the gradient to start from is %s, the result %s", ms_shape_str(seed), ms_shape_str(y));
}

/* Visit the nodes behind y from the last to the first. */
static int run_pass(backward_pass *p, ms_tensor *y, ms_tensor *seed, bool keep_graph) {
  passes++;
  int rc = collect_nodes(p, y);
  if (rc == 0 && y->node) rc = accumulate(&y->node->grad[y->out_index], seed);
  else if (rc == 0) rc = deliver(p, y, seed);
  for (int i = p->n - 1; i >= 0; i--) {
    ms_node *n = p->list[i];
    bool any = false;
    if (rc == 0 && n->freed) rc = (ms_fail("a backward inside the derivative of another result has freed the graph of both"), -1);
    bool handed = rc == 0 && n->wanted && n->parts && ms_parts_can_hand_on(n) && wanted(p, n->in[0]);
    for (int t = 0; t < p->n_x && handed; t++) handed = p->x[t]->node != n;
    if (handed) rc = hand_parts_on(p, n);
    if (rc == 0 && n->parts) rc = gather_parts(n);
    for (int k = 0; k < n->n_out && rc == 0; k++) {
      if (!n->grad[k]) continue;
      any = true;
      for (int t = 0; t < p->n_x; t++)
        if (p->x[t]->node == n && p->x[t]->out_index == k) p->dx[t] = ms_retain(n->grad[k]);
    }
    if (any && rc == 0 && n->wanted && visit(p, n) < 0) {
      const char *name = ms_node_name(n);
      rc = -1;
      ms_error_prefix("in the derivative of %s, made at %s:%d", name, n->chunk ? n->chunk : "?", n->line);
    }
    for (int k = 0; k < n->n_out; k++) ms_release(n->grad[k]), n->grad[k] = NULL;
    ms_parts_free(&n->parts);
    if (!keep_graph && rc == 0) {
      drop_tensors(n);
      ms_region_leave(n);
      n->freed = true;
    }
  }
  if (rc == 0) rc = gather_leaf_parts(p);
  ms_parts_free(&p->parts);
  for (int i = 0; i < p->n && p->aside; i++) put_back(&p->aside[i]);
  for (int i = 0; i < p->n; i++) {
    ms_region_forget(p->list[i]);
    ms_node_release(p->list[i]);
  }
  free(p->list), free(p->aside);
  passes--;
  return rc;
}

int ms_backward(ms_tensor *y, ms_tensor *seed, int n, ms_tensor *const *leaf, bool retain) {
  for (int i = 0; i < n; i++) {
    if (!leaf[i]) return -1;
    if (!leaf[i]->requires_grad) return ms_fail("backward: inputs: number %d does not require gradients", i + 1), -1;
    if (leaf[i]->node)
      return ms_fail("backward: inputs: number %d is the result of %s and has no .grad; ms.grad gives its gradient", i + 1,
                     ms_node_name(leaf[i]->node)),
             -1;
  }
  int mark = ms_scope_open();
  bool was = ms_set_grad_enabled(false);
  backward_pass p = {.n_x = n, .x = leaf};
  ms_tensor *g = ms_retain(first_gradient(y, seed)); /* held, so that no .grad takes the caller's own tensor over */
  int rc = g ? run_pass(&p, y, g, retain) : -1;
  ms_release(g);
  ms_set_grad_enabled(was);
  ms_scope_close(mark);
  return rc;
}

int ms_grad(ms_tensor *y, ms_tensor *seed, int n, ms_tensor *const *x, ms_tensor **dx, bool allow_unused) {
  for (int i = 0; i < n; i++) {
    if (!x[i]) return -1;
    dx[i] = NULL;
    if (!x[i]->requires_grad) return ms_fail("grad: argument %d does not require gradients", i + 1), -1;
  }
  backward_pass p = {.n_x = n, .x = x, .dx = dx};
  ms_tensor *g = first_gradient(y, seed);
  int rc = g ? run_pass(&p, y, g, true) : -1;
  for (int i = 1; i < n; i++)
    for (int j = 0; j < i && !dx[i]; j++)
      if (x[j] == x[i]) dx[i] = ms_retain(dx[j]);
  for (int i = 0; i < n; i++) {
    ms_autorelease(dx[i]);
    if (rc == 0 && !dx[i] && !allow_unused)
      rc = -1, ms_fail("grad: the result does not depend on argument %d (%s); allow it with {allow_unused = true}", i + 1,
                       ms_shape_str(x[i]));
  }
  return rc;
}
