/* run.c -- running a step: does it fit the call, the loop over its calls, what it leaves behind; profile and report. */
#include "pass.h"
#include "core/busy.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- does it fit ------------------------------------------------------------------------------------------------- */

/* Bytes that an argument's memory begins further on than when it was recorded. */
static int64_t shift_of(const ms_record *r, int arg, ms_tensor *const *args) {
  return args[arg]->offset * (int64_t)ms_dtype_size(args[arg]->dtype) - (int64_t)r->arg[arg].offset;
}

/* Do two arguments in one storage have bytes in common? */
static bool overlap(const ms_record *r, int i, int j, ms_tensor *const *args) {
  size_t from, to, first, end;
  ms_view_span(&r->arg[i].view, (size_t)args[i]->offset * ms_dtype_size(args[i]->dtype), &from, &to);
  ms_view_span(&r->arg[j].view, (size_t)args[j]->offset * ms_dtype_size(args[j]->dtype), &first, &end);
  return from < end && first < to;
}

ms_fit ms_step_fit(const ms_step *s, ms_tensor *const *given) {
  const ms_record *r = s->r;
  ms_tensor **args = s->args;
  ms_fit fit = MS_FITS;
  if (!ms_record_args(r, given, args)) return MS_FIT_GRADS;
  for (int i = 0; i < r->n_args; i++) {
    const ms_rarg *arg = &r->arg[i];
    const ms_slot *slot = &r->slot[arg->slot];
    const ms_storage *t = args[i]->storage;
    for (int j = 0; j < i; j++)
      if (args[j]->storage == t && r->arg[j].slot != arg->slot && (slot->written || r->slot[r->arg[j].slot].written) &&
          overlap(r, i, j, args))
        return MS_FIT_ALIAS;
    for (int k = 0; k < s->n_written; k++)
      if (r->slot[s->written[k]].storage == t) return MS_FIT_ALIAS;
    for (int k = 0; k < r->n_slot && slot->written; k++)
      if (r->slot[k].kind == MS_SLOT_EXTERNAL && r->slot[k].storage == t) return MS_FIT_ALIAS;
    if (arg->tie >= 0 && (args[arg->tie]->storage != t || shift_of(r, i, args) != shift_of(r, arg->tie, args)))
      fit = MS_FIT_ELSEWHERE;
    if (!arg->moves && (t->birth != slot->birth || shift_of(r, i, args) != 0)) fit = MS_FIT_ELSEWHERE;
  }
  return fit;
}

bool ms_step_moves(const ms_step *s) {
  bool all = true;
  for (int i = 0; i < s->r->n_args; i++) all &= s->r->arg[i].moves && s->r->arg[i].tie < 0;
  return all;
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* Where a view begins in this run. */
static size_t offset_of(const ms_record *r, const ms_slot_view *v, ms_tensor *const *args) {
  const ms_slot *t = &r->slot[v->slot];
  return v->offset + (t->kind == MS_SLOT_INPUT ? (size_t)shift_of(r, t->arg, args) : 0);
}

/* Is t, .grad of a leaf, already view v, `offset` bytes into storage s? */
static bool shows(const ms_tensor *t, const ms_slot_view *v, const ms_storage *s, size_t offset) {
  return t && t->storage == s && (size_t)t->offset * ms_dtype_size(t->dtype) == offset && t->dtype == v->view.dtype &&
         t->rank == v->view.rank && !memcmp(t->shape, v->view.shape, t->rank * sizeof *t->shape) &&
         !memcmp(t->stride, v->view.stride, t->rank * sizeof *t->stride);
}

/* Before a run: a gradient whose values are still wanted -- somebody holds the one of the last run, or this run adds to what it
 * finds -- stays as it is, and the kept gradient gets other memory. */
static int free_gradients(ms_step *s) {
  ms_record *r = s->r;
  for (int i = 0; i < r->n_grad; i++) {
    const ms_rgrad *g = &r->grad[i];
    ms_slot *t = g->now.slot >= 0 ? &r->slot[g->now.slot] : NULL;
    if (!t || t->kind != MS_SLOT_KEPT) continue;
    const ms_tensor *now = g->leaf->grad;
    int ours = now && now->storage == t->storage && now->refs == 1;
    bool read = false;
    for (int k = r->n_given; k < r->n_args && !read; k++) read = s->args[k]->storage == t->storage;
    if (ms_storage_users(t->storage) <= ours && !read) continue;
    ms_storage *fresh = ms_storage_new(r->device, t->bytes);
    if (!fresh) return -1;
    ms_slot_hold(t, fresh);
    ms_storage_release(fresh);
    ms_step_set_address(s, g->now.slot, fresh->data);
  }
  return 0;
}

/* A new tensor that shows what view v shows in this run. */
static ms_tensor *tensor_of(const ms_record *r, const ms_slot_view *v, ms_tensor *const *args) {
  const ms_slot *t = &r->slot[v->slot];
  ms_tensor *x = ms_tensor_new();
  if (!x) return NULL;
  x->dtype = v->view.dtype, x->rank = v->view.rank;
  x->offset = (int64_t)(offset_of(r, v, args) / ms_dtype_size(v->view.dtype));
  memcpy(x->shape, v->view.shape, sizeof x->shape);
  memcpy(x->stride, v->view.stride, sizeof x->stride);
  x->storage = ms_storage_retain(t->storage), x->device = t->storage->device;
  return ms_autorelease(x);
}

/* Make .grad of a leaf what view v shows in this run. */
static int set_gradient(const ms_record *r, const ms_rgrad *g, const ms_slot_view *v, ms_tensor *const *args) {
  ms_tensor *leaf = ms_grad_leaf(g, args), *now = NULL;
  if (v->slot >= 0) {
    if (shows(leaf->grad, v, r->slot[v->slot].storage, offset_of(r, v, args))) return 0;
    if (!(now = tensor_of(r, v, args))) return -1;
  }
  ms_set_grad(leaf, now);
  return 0;
}

static int set_gradients(const ms_record *r, ms_tensor *const *args) {
  for (int i = 0; i < r->n_grad; i++)
    if (set_gradient(r, &r->grad[i], &r->grad[i].now, args) < 0) return -1;
  return 0;
}

/* The call that was number `at` in the recording has failed: .grad of the leaves becomes what the function had made it until then.
 */
static void set_gradients_at(const ms_record *r, int at, ms_tensor *const *args) {
  for (int i = 0; i < r->n_event && r->event[i].at <= at; i++) {
    const ms_revent *e = &r->event[i];
    bool last = e->grad >= 0;
    for (int k = i + 1; k < r->n_event && r->event[k].at <= at; k++) last &= r->event[k].grad != e->grad;
    if (!last || (e->now.slot >= 0 && !r->slot[e->now.slot].storage)) continue;
    if (set_gradient(r, &r->grad[e->grad], &e->now, args) < 0) return;
  }
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

char *ms_step_address(const ms_step *s, int slot, size_t offset, ms_tensor *const *args) {
  const ms_slot *t = &s->r->slot[slot];
  char *at = (char *)t->storage->data + offset;
  return t->kind == MS_SLOT_INPUT ? at + shift_of(s->r, t->arg, args) : at;
}

/* Memory of this run for arguments and results, and the views that follow them. */
static int begin_run(ms_step *s, ms_tensor *const *args) {
  ms_record *r = s->r;
  if (free_gradients(s) < 0) return -1;
  for (int i = 0; i < r->n_slot; i++) {
    ms_slot *t = &r->slot[i];
    if (t->kind == MS_SLOT_INPUT) t->storage = args[t->arg]->storage;
    else if (t->kind == MS_SLOT_RESULT && !(t->storage = ms_storage_new(r->device, t->bytes))) return -1;
  }
  for (int i = 0; i < s->n_patch; i++) {
    const ms_patch *p = &s->patch[i];
    p->view->data = ms_step_address(s, p->slot, p->offset, args);
  }
  for (int i = 0; i < r->n_number; i++)
    if (ms_rnumber_run(&r->number[i]) < 0) return -1;
  return 0;
}

/* Does one of the calls before call `end` write a slot? */
static bool wrote(const ms_step *s, int slot, int end) {
  for (int i = 0; i < end; i++)
    for (int k = 0; k < s->r->call[i].call.n_in + s->r->call[i].call.n_out && !s->dead[i]; k++)
      if (s->r->call[i].slot[k] == slot && ms_rcall_writes(&s->r->call[i], k)) return true;
  return false;
}

/* After a run of the first `ran` calls: versions of what was written grow, and memory of this run is let go. */
static void end_run(ms_step *s, int ran) {
  for (int i = 0; i < s->r->n_slot; i++) {
    ms_slot *t = &s->r->slot[i];
    if (t->storage && t->written && (ran == s->r->n_call || wrote(s, i, ran))) t->storage->version++;
    if (t->kind == MS_SLOT_RESULT) ms_storage_release(t->storage);
    if (t->kind == MS_SLOT_RESULT || t->kind == MS_SLOT_INPUT) t->storage = NULL;
  }
}

static int run_call(const ms_step *s, ms_rcall *q) {
  ms_call *c = &q->call;
  int rc = 0;
  if (q->live)
    for (int k = 0; k < c->n_in; k++)
      if (c->in[k].number && ms_put_number(c->in[k].data, c->in[k].dtype, *c->in[k].number) < 0) rc = -1;
  if (q->chain < 0 && rc == 0) return 0; /* its numbers are fresh, the last of its chain runs it */
  for (int k = 0; q->indexed && k < c->n_in && k < MS_MAX_ARGS && rc == 0; k++)
    if (c->bound[k] && s->r->device->backend->host_memory) rc = ms_check_index(c->op, k, &c->in[k], c->bound[k]);
  ms_rng *rng = c->rng, earlier = {.seed = rng ? rng->seed : 0, .counter = rng ? rng->counter - q->rng_behind : 0};
  if (q->rng_behind) c->rng = &earlier;
  if (rc == 0) rc = c->kernel->run(c);
  c->rng = rng;
  if (rc < 0) ms_error_prefix("%s at %s:%d", c->op->name, q->chunk ? q->chunk : "?", q->line);
  else if (c->rng && c->n_out && !q->rng_behind) ms_rng_advance(c->rng, c->out[0].dtype, ms_view_numel(&c->out[0]));
  return rc;
}

/* Call by call, from time `from` on if it is profiled. *ran: how many calls did. 0, or -1 after ms_fail. */
static int run_calls(ms_step *s, double from, int *ran) {
  ms_record *r = s->r;
  const ms_backend *b = r->device->backend;
  const unsigned before = b->enter ? b->enter() : 0;
  int rc = 0;
  ms_pace_begin(&s->pace);
  const char *around = ms_busy_kernel("a compiled step");
  for (; *ran < r->n_call && rc == 0; (*ran)++) {
    if (s->dead[*ran]) continue;
    if ((rc = ms_interrupted() ? (ms_stopped("a compiled step"), -1) : run_call(s, &r->call[*ran])) < 0) break;
    if (!s->profiling) continue;
    if (!b->host_memory && (rc = ms_device_sync(r->device)) < 0) break;
    const double to = now();
    s->seconds[*ran] += to - from, from = to;
  }
  ms_busy_kernel(around);
  ms_pace_end(&s->pace);
  if (b->leave) b->leave(before);
  return rc;
}

int ms_step_run(ms_step *s, ms_tensor *const *given, ms_tensor **results) {
  ms_record *r = s->r;
  ms_tensor **args = s->args;
  if (!ms_record_args(r, given, args)) return ms_fail("compile: run with arguments that do not fit"), -1;
  double begin = s->profiling ? now() : 0, from = 0;
  int rc = begin_run(s, args);
  const bool begun = rc == 0;
  if (s->profiling) from = now();
  int ran = 0;
  if (rc == 0 && s->capture && !s->profiling) {
    const int replayed = ms_interrupted() ? (ms_stopped("a compiled step"), -1) : ms_step_replay_captured(s, args);
    if (replayed < 0) rc = -1;
    if (replayed > 0) ran = r->n_call;
  }
  if (rc == 0 && ran < r->n_call) rc = run_calls(s, from, &ran);
  for (int k = 0; k < r->n_results && rc == 0; k++)
    if (!(results[k] = tensor_of(r, &r->result[k], args))) rc = -1;
  if (rc == 0) rc = set_gradients(r, args);
  else if (begun && ran < r->n_call) set_gradients_at(r, r->call[ran].nth, args);
  end_run(s, ran);
  if (s->profiling) s->seconds[r->n_call] += now() - begin, s->runs++;
  return rc;
}

int ms_step_profile(ms_step *s, bool on) {
  size_t n = (size_t)s->r->n_call + 1;
  if (on && !s->seconds && !(s->seconds = malloc(n * sizeof *s->seconds))) return ms_fail("profile: out of memory"), -1;
  if (on) memset(s->seconds, 0, n * sizeof *s->seconds), s->runs = 0;
  s->profiling = on;
  return 0;
}

/* ---- report ------------------------------------------------------------------------------------------------------ */

ms_step_info ms_step_describe(const ms_step *s) { return s->info; }

/* The i-th call that a run makes, as an index into all; -1 past the end. */
static int running_call(const ms_step *s, int i) {
  for (int k = 0; k < s->r->n_call; k++)
    if (ms_step_runs(s, k) && i-- == 0) return k;
  return -1;
}

double ms_step_seconds(const ms_step *s, int i, int *runs) {
  int k = i < 0 ? s->r->n_call : running_call(s, i);
  if (runs) *runs = s->runs;
  return s->seconds && k >= 0 ? s->seconds[k] : 0;
}

/* The members of the chain that ends at call k: names and lines. */
static int chain_line(const ms_step *s, int k, char *out, size_t size) {
  int n = 0, first = k - s->r->call[k].chain + 1;
  for (int i = first; i <= k && n < (int)size; i++)
    n += snprintf(out + n, size - (size_t)n, "%s%s:%d", i > first ? " + " : "", s->r->call[i].call.op->name, s->r->call[i].line);
  return n;
}

bool ms_step_line(const ms_step *s, int i, char *out, size_t size) {
  int k = running_call(s, i);
  if (k < 0) return false;
  const ms_rcall *c = &s->r->call[k];
  int n = c->chain ? chain_line(s, k, out, size) : snprintf(out, size, "%-20s", c->call.op->name);
  const ms_rcall *first = c->chain ? &s->r->call[k - c->chain + 1] : c;
  const ms_call *d = first->head ? &first->call : &c->call; /* whose operands say most */
  for (int j = 0; j < d->n_in && j < 4 && n < (int)size; j++)
    n += snprintf(out + n, size - (size_t)n, "%s%s", j ? ", " : " ",
                  d->in[j].number   ? "number"
                  : d->in[j].absent ? "-"
                                    : ms_sizes_str(d->in[j].rank, d->in[j].shape));
  if (d->n_in > 4 && n < (int)size) n += snprintf(out + n, size - (size_t)n, ", ... (%d)", d->n_in);
  if (c->call.n_out && n < (int)size)
    n += snprintf(out + n, size - (size_t)n, " -> %s", ms_sizes_str(c->call.out[0].rank, c->call.out[0].shape));
  if (d->way && n < (int)size) n += snprintf(out + n, size - (size_t)n, "   [%s]", d->way);
  if (n < (int)size) snprintf(out + n, size - (size_t)n, "   %s:%d", c->chunk ? c->chunk : "?", c->line);
  return true;
}
