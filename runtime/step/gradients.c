/* gradients.c -- .grad of leaves in a recording: what the function found there, what it set, and what is there afterwards. */
#include "pass.h"
#include <stdlib.h>
#include <string.h>

ms_tensor *ms_grad_leaf(const ms_rgrad *g, ms_tensor *const *args) { return g->leaf ? g->leaf : args[g->arg]; }

int ms_record_grad(ms_tensor *t, bool found) {
  ms_record *r = ms_record_now;
  if (!r || !t->storage) return 0;
  for (int i = 0; i < r->n_grad; i++)
    if (r->grad[i].leaf == t) return 0;
  if (r->n_grad == r->room_grad) {
    int room = r->room_grad ? 2 * r->room_grad : 64;
    ms_rgrad *p = realloc(r->grad, (size_t)room * sizeof *p);
    if (!p) return ms_fail("compile: out of memory while recording"), -1;
    r->grad = p, r->room_grad = room;
  }
  ms_rgrad *g = &r->grad[r->n_grad++];
  *g = (ms_rgrad){.leaf = ms_retain(t), .arg = -1, .found = found, .as = -1, .now.slot = -1};
  for (int i = r->n_given - 1; i >= 0; i--)
    if (r->args[i] == t) g->arg = i;
  if (!found || !t->grad) return 0;
  /* What is found is one more argument; what the calls so far have read in the same storage was captured. */
  g->birth = t->grad->storage->birth;
  if (g->birth > r->birth) return 0;
  ms_rarg *p = realloc(r->arg, ((size_t)r->n_args + 1) * sizeof *p);
  if (!p) return ms_fail("compile: out of memory while recording"), -1;
  r->arg = p;
  g->as = r->n_args;
  return ms_record_add_arg(r, t->grad);
}

int ms_record_grad_set(ms_tensor *t) {
  ms_record *r = ms_record_now;
  if (!r || !t->storage) return 0;
  if (r->n_event == r->room_event) {
    int room = r->room_event ? 2 * r->room_event : 64;
    ms_revent *p = realloc(r->event, (size_t)room * sizeof *p);
    if (!p) return ms_fail("compile: out of memory while recording"), -1;
    r->event = p, r->room_event = room;
  }
  ms_revent *e = &r->event[r->n_event++];
  *e = (ms_revent){.at = r->n_call, .grad = -1, .now.slot = -1};
  for (int i = 0; i < r->n_grad; i++)
    if (r->grad[i].leaf == t) e->grad = i;
  if (!t->grad) return 0;
  e->now = ms_record_view(t->grad);
  return (e->now.slot = ms_record_slot_of(r, t->grad)) < 0 ? -1 : 0;
}

/* Look where the gradients are now. One with a graph would keep the whole run alive, and a replay makes none: it is cut off. */
int ms_record_end_grads(ms_record *r) {
  for (int i = 0; i < r->n_grad; i++) {
    ms_rgrad *g = &r->grad[i];
    ms_tensor *now = g->leaf->grad;
    g->now.slot = -1;
    g->wants = g->leaf->requires_grad;
    if (now && (now->node || now->requires_grad)) { /* the leaf alone holds it: kept_elsewhere */
      ms_tensor *bare = ms_alias(now);
      if (bare) ms_set_grad(g->leaf, bare);
      ms_release(now = bare);
    }
    if (ms_error()) return -1;
    if (!now) continue;
    g->now = ms_record_view(now);
    if ((g->now.slot = ms_record_slot_of(r, now)) < 0) return -1;
  }
  return 0;
}

bool ms_record_grads_match(const ms_record *r, ms_tensor *const *args) {
  for (int i = 0; i < r->n_grad; i++) {
    const ms_rgrad *g = &r->grad[i];
    if (ms_grad_leaf(g, args)->requires_grad != g->wants) return false; /* frozen, or no longer, since */
    if (!g->found) continue;
    const ms_tensor *now = ms_grad_leaf(g, args)->grad;
    if ((now != NULL) != (g->birth != 0)) return false;
    if (!now) continue;
    if (g->as < 0) {
      if (now->storage->birth != g->birth) return false;
      continue;
    }
    const ms_view *v = &r->arg[g->as].view;
    if (now->dtype != v->dtype || now->rank != v->rank || memcmp(now->shape, v->shape, v->rank * sizeof *v->shape) ||
        memcmp(now->stride, v->stride, v->rank * sizeof *v->stride))
      return false;
  }
  return true;
}

bool ms_record_args(const ms_record *r, ms_tensor *const *given, ms_tensor **into) {
  memcpy(into, given, (size_t)r->n_given * sizeof *into);
  if (!ms_record_grads_match(r, given)) return false;
  for (int i = 0; i < r->n_grad; i++)
    if (r->grad[i].as >= 0) into[r->grad[i].as] = ms_grad_leaf(&r->grad[i], given)->grad;
  return true;
}

ms_tensor *ms_record_found_grad(const ms_record *r, int i, bool *had) {
  for (int k = 0; k < r->n_grad; k++) {
    const ms_rgrad *g = &r->grad[k];
    if (g->arg >= 0 || !g->found || i-- > 0) continue;
    return *had = g->birth != 0, g->leaf;
  }
  return NULL;
}

ms_tensor *ms_record_leaf(const ms_record *r, int i) { return i < r->n_leaf ? r->leaf[i] : NULL; }
