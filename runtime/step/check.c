/* check.c -- MASCON_COMPILE=check: the function and its replay run from the same state, and what they leave is compared: written
 * storages, results, gradients, the generator. An error names the first call whose outcome differs. */
#include "pass.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One thing that is compared: a storage that the step writes, a result, or a gradient. */
typedef struct outcome {
  ms_storage *storage; /* held */
  ms_view view;        /* dtype of its elements; results and gradients: shape, too */
  int call;            /* that wrote it last; -1 unknown */
  const char *what;
  int number;
  void *before, *eager; /* host copies; NULL: not taken */
} outcome;

struct ms_check {
  ms_step *s;
  ms_tensor *const *args;
  ms_rng before, eager;
  int n, n_grad, n_result;
  outcome *at;      /* written storages, then gradients, then results */
  ms_tensor **grad; /* as they were */
  bool exact;
};

static int no_memory(void) { return ms_fail("compile: check: out of memory"), -1; }

static void *copy_out(const ms_storage *s) {
  void *p = malloc(s->bytes ? s->bytes : 1);
  if (!p) return no_memory(), NULL;
  if (ms_device_download(s->device, p, s->data, s->bytes) < 0) return free(p), NULL;
  return p;
}

/* The call that writes a slot last, and the dtype it writes there. */
static int writer(const ms_record *r, int slot, ms_view *v) {
  for (int i = r->n_call - 1; i >= 0; i--)
    for (int k = r->call[i].call.n_in + r->call[i].call.n_out - 1; k >= 0; k--)
      if (r->call[i].slot[k] == slot && ms_rcall_writes(&r->call[i], k)) return *v = *ms_rcall_view(&r->call[i], k), i;
  return -1;
}

ms_check *ms_check_begin(ms_step *s, ms_tensor *const *args) {
  const ms_record *r = s->r;
  ms_check *c = calloc(1, sizeof *c);
  if (!c) return no_memory(), NULL;
  if (!ms_record_args(r, args, s->args)) return free(c), ms_fail("compile: check: arguments that do not fit");
  c->s = s, c->args = args, c->before = *ms_default_rng();
  c->at = calloc((size_t)(r->n_slot + r->n_grad + r->n_results) + 1, sizeof *c->at);
  c->grad = calloc((size_t)r->n_grad + 1, sizeof *c->grad);
  if (!c->at || !c->grad) return no_memory(), ms_check_free(c), NULL;
  for (int i = 0; i < r->n_slot; i++) {
    const ms_slot *t = &r->slot[i];
    if (!t->written || (t->kind != MS_SLOT_EXTERNAL && t->kind != MS_SLOT_INPUT)) continue;
    outcome *p = &c->at[c->n++];
    p->storage = ms_storage_retain(t->kind == MS_SLOT_INPUT ? s->args[t->arg]->storage : t->storage);
    p->storage->held++;
    p->call = writer(r, i, &p->view);
    p->what = t->kind == MS_SLOT_INPUT ? "an argument it changes" : "a tensor it changes";
    if (!(p->before = copy_out(p->storage))) return ms_check_free(c), NULL;
  }
  for (; c->n_grad < r->n_grad; c->n_grad++) {
    const ms_tensor *now = ms_grad_leaf(&r->grad[c->n_grad], args)->grad;
    if (!now) continue;
    ms_tensor *g = c->grad[c->n_grad] = ms_alias(now);
    if (!g) return ms_check_free(c), NULL;
    g->storage->held++; /* a gradient that somebody uses is not added to in outcome */
  }
  return c;
}

/* The elements of a tensor as they lie in C order. */
static int take(outcome *p, ms_tensor *t, const char *what, int number) {
  p->what = what, p->number = number;
  p->view = (ms_view){.dtype = t->dtype, .rank = t->rank};
  memcpy(p->view.shape, t->shape, sizeof t->shape);
  if (!(p->eager = malloc((size_t)ms_numel(t) * ms_dtype_size(t->dtype) + 1))) return no_memory();
  return ms_to_host(t, p->eager);
}

int ms_check_swap(ms_check *c, int n_results, ms_tensor *const *results) {
  const ms_record *r = c->s->r;
  c->eager = *ms_default_rng();
  for (int i = 0; i < r->n_grad; i++) {
    ms_tensor *now = ms_grad_leaf(&r->grad[i], c->args)->grad;
    if (now && take(&c->at[c->n + i], now, "the gradient of leaf", i + 1) < 0) return -1;
  }
  if (n_results != r->n_results)
    return ms_fail("compile: check: the function gives %d tensors, its replay %d", n_results, r->n_results), -1;
  c->n_result = n_results;
  for (int i = 0; i < n_results; i++)
    if (take(&c->at[c->n + r->n_grad + i], results[i], "result", i + 1) < 0) return -1;
  for (int i = 0; i < c->n; i++) /* all, before one is put back: two arguments may lie in one storage */
    if (!(c->at[i].eager = copy_out(c->at[i].storage))) return -1;
  for (int i = 0; i < c->n; i++) {
    outcome *p = &c->at[i];
    if (p->storage->bytes &&
        p->storage->device->backend->upload(p->storage->device->queue, p->storage->data, p->before, p->storage->bytes) < 0)
      return -1;
    p->storage->version++;
  }
  for (int i = 0; i < r->n_grad; i++) {
    ms_tensor *leaf = ms_grad_leaf(&r->grad[i], c->args), *g = c->grad[i];
    if (!g || !leaf->grad || g->storage != leaf->grad->storage || g->offset != leaf->grad->offset) ms_set_grad(leaf, g);
    if (g) g->storage->held--, ms_release(g);
    c->grad[i] = NULL;
  }
  *ms_default_rng() = c->before;
  return 0;
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

static double element(const void *p, int dtype, size_t i) {
  switch (dtype) {
  case MS_F32: return ((const float *)p)[i];
  case MS_F64: return ((const double *)p)[i];
  case MS_I64: return (double)((const int64_t *)p)[i];
  case MS_I32: return ((const int32_t *)p)[i];
  case MS_F16:
  case MS_BF16: return ((const uint16_t *)p)[i]; /* its bits */
  default: return ((const uint8_t *)p)[i];
  }
}

/* First element that differs, -1: none. Equal bits, or equal to 1e-6 of the largest. */
static int64_t differs(const outcome *p, const void *replay, size_t bytes, bool bits) {
  if (!memcmp(p->eager, replay, bytes)) return -1;
  int d = p->view.dtype;
  size_t n = bytes / ms_dtype_size(d);
  double largest = 0;
  for (size_t i = 0; i < n && !bits && ms_dtype_is_float(d); i++) {
    double a = fabs(element(p->eager, d, i));
    if (a > largest && a - a == 0) largest = a;
  }
  for (size_t i = 0; i < n; i++) {
    double a = element(p->eager, d, i), b = element(replay, d, i);
    if (a == b || (a != a && b != b) || fabs(a - b) <= 1e-6 * largest) continue;
    return (int64_t)i;
  }
  return -1;
}

static int report_difference(const ms_check *c, const outcome *p, int64_t i, const void *replay, int number) {
  const char *by = p->call >= 0 ? ms_rcall_name(&c->s->r->call[p->call]) : "unknown";
  char which[16] = "";
  if (p->number) which[0] = ' ', which[1] = (char)('0' + p->number % 10);
  return ms_fail("compile: check: call %d: %s%s (last written by %s): element %lld is %.9g when replayed and %.9g when run", number,
                 p->what, p->number && p->number < 10 ? which : "", by, (long long)i + 1, element(replay, p->view.dtype, (size_t)i),
                 element(p->eager, p->view.dtype, (size_t)i)),
         -1;
}

/* Compare one outcome. *earliest: the first call that wrote one that differs; the message is about that one. */
static int compare(const ms_check *c, outcome *p, void *replay, size_t bytes, int number, int *earliest) {
  int64_t i = differs(p, replay, bytes, c->exact);
  if (i >= 0 && p->call < *earliest) {
    *earliest = p->call;
    ms_error_clear();
    report_difference(c, p, i, replay, number);
  }
  free(replay);
  return 0;
}

static int compare_tensor(const ms_check *c, outcome *p, ms_tensor *t, int slot, int number, int *earliest) {
  ms_view unused;
  if (slot >= 0) p->call = writer(c->s->r, slot, &unused);
  size_t bytes = (size_t)ms_numel(t) * ms_dtype_size(t->dtype);
  void *replay = malloc(bytes + 1);
  if (!replay) return no_memory();
  if (ms_to_host(t, replay) < 0) return free(replay), -1;
  return compare(c, p, replay, bytes, number, earliest);
}

int ms_check_compare(ms_check *c, ms_tensor *const *results, int number, bool exact) {
  const ms_record *r = c->s->r;
  const ms_rng *rng = ms_default_rng();
  int earliest = r->n_call;
  c->exact = exact;
  for (int i = 0; i < c->n; i++) {
    void *replay = copy_out(c->at[i].storage);
    if (!replay || compare(c, &c->at[i], replay, c->at[i].storage->bytes, number, &earliest) < 0) return -1;
  }
  for (int i = 0; i < r->n_grad; i++) {
    ms_tensor *now = ms_grad_leaf(&r->grad[i], c->args)->grad;
    outcome *p = &c->at[c->n + i];
    if ((now != NULL) != (p->eager != NULL))
      return ms_fail("compile: check: call %d: a leaf has a gradient in one of run and replay only", number), -1;
    if (now && compare_tensor(c, p, now, r->grad[i].now.slot, number, &earliest) < 0) return -1;
  }
  for (int i = 0; i < c->n_result; i++)
    if (compare_tensor(c, &c->at[c->n + r->n_grad + i], results[i], r->result[i].slot, number, &earliest) < 0) return -1;
  if (ms_error()) return -1;
  if (rng->seed != c->eager.seed || rng->counter != c->eager.counter)
    return ms_fail("compile: check: call %d: the generator drew %llu times when replayed and %llu times when run", number,
                   (unsigned long long)(rng->counter - c->before.counter),
                   (unsigned long long)(c->eager.counter - c->before.counter)),
           -1;
  return 0;
}

void ms_check_free(ms_check *c) {
  if (!c) return;
  int all = c->at ? c->n + c->s->r->n_grad + c->s->r->n_results : 0;
  for (int i = 0; i < all; i++) {
    outcome *p = &c->at[i];
    free(p->before), free(p->eager);
    if (p->storage) p->storage->held--, ms_storage_release(p->storage);
  }
  for (int i = 0; i < c->n_grad; i++)
    if (c->grad[i]) c->grad[i]->storage->held--, ms_release(c->grad[i]);
  free(c->at), free(c->grad), free(c);
}
