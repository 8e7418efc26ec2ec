/* watch.c -- a step under ms.detect_nan: what a run writes is copied before it, so that after a run that left NaN or infinity all
 * can be put back, and the function run as it is from the very same state, which names the operation. */
#include "core/numerics.h"
#include "pass.h"
#include <stdlib.h>

typedef struct written {
  ms_storage *now, *before; /* held */
  int dtype;                /* of what is written there last */
} written;

struct ms_watch {
  ms_step *s;
  ms_tensor *const *args;
  ms_rng rng;
  written *at; /* storages that the step writes in place */
  int n, n_grad;
  ms_tensor **grad; /* .grad as it was. Held, so that a run has other memory for the gradients that it makes */
};

static void *no_memory(void) { return ms_fail("detect_nan: out of memory"); }

static int dtype_of(const ms_record *r, int slot) {
  for (int i = r->n_call - 1; i >= 0; i--)
    for (int k = r->call[i].call.n_in + r->call[i].call.n_out - 1; k >= 0; k--)
      if (r->call[i].slot[k] == slot && ms_rcall_writes(&r->call[i], k)) return ms_rcall_view(&r->call[i], k)->dtype;
  return MS_U8;
}

static int copy(ms_storage *to, const ms_storage *from) {
  return from->device->backend->copy(from->device->queue, to->data, from->data, from->bytes);
}

ms_watch *ms_watch_begin(ms_step *s, ms_tensor *const *args) {
  const ms_record *r = s->r;
  ms_watch *w = calloc(1, sizeof *w);
  if (!w) return no_memory();
  w->s = s, w->args = args, w->rng = *ms_default_rng();
  w->at = calloc((size_t)r->n_slot + 1, sizeof *w->at);
  w->grad = calloc((size_t)r->n_grad + 1, sizeof *w->grad);
  if (!w->at || !w->grad || !ms_record_args(r, args, s->args)) return no_memory(), ms_watch_free(w), NULL;
  for (int i = 0; i < r->n_slot; i++) {
    const ms_slot *t = &r->slot[i];
    if (!t->written || (t->kind != MS_SLOT_EXTERNAL && t->kind != MS_SLOT_INPUT)) continue;
    ms_storage *now = t->kind == MS_SLOT_INPUT ? s->args[t->arg]->storage : t->storage;
    if (!now->bytes) continue;
    written *p = &w->at[w->n++];
    *p = (written){.now = ms_storage_retain(now), .dtype = dtype_of(r, i)};
    now->held++;
    if (!(p->before = ms_storage_new(now->device, now->bytes)) || copy(p->before, now) < 0) return ms_watch_free(w), NULL;
  }
  for (; w->n_grad < r->n_grad; w->n_grad++) w->grad[w->n_grad] = ms_retain(ms_grad_leaf(&r->grad[w->n_grad], args)->grad);
  return w;
}

int ms_watch_odd(const ms_watch *w, ms_tensor *const *results, bool infinity) {
  const ms_record *r = w->s->r;
  ms_tensor **t = calloc((size_t)(w->n + w->n_grad + r->n_results) + 1, sizeof *t);
  if (!t) return no_memory(), -1;
  int n = 0, rc = 0;
  const int mark = ms_scope_open();
  for (int i = 0; i < r->n_results; i++) t[n++] = results[i];
  for (int i = 0; i < w->n_grad; i++) t[n++] = ms_grad_leaf(&r->grad[i], w->args)->grad;
  for (int i = 0; i < w->n && rc == 0; i++) {
    const written *p = &w->at[i];
    ms_tensor *x = ms_tensor_new(); /* all elements of the storage */
    if (!x) rc = -1;
    if (!x) break;
    x->dtype = (uint8_t)p->dtype, x->rank = 1, x->shape[0] = (int64_t)(p->now->bytes / ms_dtype_size(p->dtype)), x->stride[0] = 1;
    x->storage = ms_storage_retain(p->now), x->device = p->now->device;
    t[n++] = ms_autorelease(x);
  }
  if (rc == 0) rc = ms_numerics_any(n, t, infinity);
  ms_scope_close(mark);
  free(t);
  return rc;
}

int ms_watch_put_back(ms_watch *w) {
  const ms_record *r = w->s->r;
  for (int i = 0; i < w->n; i++) {
    if (copy(w->at[i].now, w->at[i].before) < 0) return -1;
    w->at[i].now->version++;
  }
  for (int i = 0; i < w->n_grad; i++) {
    ms_tensor *leaf = ms_grad_leaf(&r->grad[i], w->args);
    if (leaf->grad != w->grad[i]) ms_set_grad(leaf, w->grad[i]);
  }
  *ms_default_rng() = w->rng;
  return 0;
}

void ms_watch_free(ms_watch *w) {
  if (!w) return;
  for (int i = 0; i < w->n; i++) {
    w->at[i].now->held--;
    ms_storage_release(w->at[i].now);
    if (w->at[i].before) ms_storage_release(w->at[i].before);
  }
  for (int i = 0; i < w->n_grad; i++) ms_release(w->grad[i]);
  free(w->at), free(w->grad), free(w);
}
