/* fuse.c -- chains: elementwise calls of a recording, over the same elements, brought together to run as one pass.
 *
 * A chain grows from a call over the calls behind it. Each of those either joins, or has to stay behind the chain (it depends on a
 * member, or on one that stays behind), or may run before it. So a call can join unless it depends on one that stays behind, and
 * the new order -- those before, the chain, those behind -- keeps every dependence: of two calls that touch the same storage, one
 * of them writing, the first stays first. Within a chain two members may touch the same storage, one of them writing, only element
 * for element.
 *
 * A call that may fail (an index out of range) leaves what the function would leave: nothing that is seen outside the step, if only
 * after an error, changes places with it.
 *
 * What may be in a chain, be summed at its end, or stand at its head, is a trait of the operation's row, and the backend's word. */
#include "fuse.h"
#include <stdlib.h>

static void touches(const ms_rcall *c, int k, bool *reads, bool *writes) {
  *reads = k < c->call.n_in;
  *writes = ms_rcall_writes(c, k);
}

/* ---- which calls depend on which --------------------------------------------------------------------------------- */

/* Does a call change what is seen outside the step? */
static bool changes_outside(const ms_record *r, const ms_rcall *c) {
  bool is = c->call.rng != NULL;
  for (int k = 0; k < c->call.n_in + c->call.n_out && !is; k++)
    is = c->slot[k] >= 0 && r->slot[c->slot[k]].kind != MS_SLOT_INTERNAL && ms_rcall_writes(c, k);
  return is;
}

bool ms_fuse_depends(const fusion *f, const unit *u, int read_marks, int write_marks) {
  for (int i = 0; i < u->n; i++) {
    const ms_rcall *c = &f->r->call[u->call[i]];
    for (int k = 0; k < c->call.n_in + c->call.n_out; k++) {
      bool reads, writes;
      if (c->slot[k] < 0) continue;
      touches(c, k, &reads, &writes);
      int m = f->use[c->slot[k]].marks;
      if ((reads && (m & write_marks)) || (writes && (m & (read_marks | write_marks)))) return true;
    }
    if (c->call.rng && (f->use[f->r->n_slot].marks & write_marks)) return true;
    const int outside = f->use[f->r->n_slot + 1].marks;
    if ((c->risky && (outside & (read_marks | write_marks))) || ((outside & write_marks) && changes_outside(f->r, c))) return true;
  }
  return false;
}

void ms_fuse_mark(fusion *f, const unit *u, int read_mark, int write_mark) {
  for (int i = 0; i < u->n; i++) {
    const ms_rcall *c = &f->r->call[u->call[i]];
    for (int k = 0; k < c->call.n_in + c->call.n_out; k++) {
      bool reads, writes;
      if (c->slot[k] < 0) continue;
      touches(c, k, &reads, &writes);
      f->use[c->slot[k]].marks |= (uint8_t)((reads ? read_mark : 0) | (writes ? write_mark : 0));
    }
    if (c->call.rng) f->use[f->r->n_slot].marks |= (uint8_t)write_mark;
    f->use[f->r->n_slot + 1].marks |= (uint8_t)(c->risky ? write_mark : changes_outside(f->r, c) ? read_mark : 0);
  }
}

/* ---- growing a chain --------------------------------------------------------------------------------------------- */

bool ms_fuse_aligned(const ms_rcall *c, int k, const space *elements) {
  const ms_view *v = view_of(c, k);
  space s = space_of(v);
  return same_space(&s, elements) && ms_view_contiguous(v);
}

/* Note how the members of unit u touch their slots. */
static void note_use(fusion *f, const unit *u) {
  for (int i = 0; i < u->n; i++) {
    const ms_rcall *c = &f->r->call[u->call[i]];
    for (int k = 0; k < c->call.n_in + c->call.n_out; k++) {
      if (c->slot[k] < 0) continue;
      slot_use *p = &f->use[c->slot[k]];
      bool reads, writes, is = ms_fuse_aligned(c, k, &u->space), known = p->marks & (CHAIN_READS | CHAIN_WRITES);
      touches(c, k, &reads, &writes);
      if (!known) p->aligned = is, p->offset = c->offset[k], p->dtype = view_of(c, k)->dtype;
      else p->aligned &= is && p->offset == c->offset[k] && p->dtype == view_of(c, k)->dtype;
      p->marks |= (uint8_t)((reads ? CHAIN_READS : 0) | (writes ? CHAIN_WRITES : 0));
    }
    if (changes_outside(f->r, c)) f->use[f->r->n_slot + 1].marks |= CHAIN_READS;
  }
}

/* Does unit u write what the sum at the end of g reads? It would come before the sum. */
static bool spoils_sum(const fusion *f, const unit *g, const unit *u) {
  const ms_rcall *sum = &f->r->call[g->call[g->n - 1]];
  for (int i = 0; i < u->n; i++) {
    const ms_rcall *c = &f->r->call[u->call[i]];
    for (int k = 0; k < c->call.n_in + c->call.n_out; k++)
      for (int j = 0; j < sum->call.n_in && ms_rcall_writes(c, k); j++)
        if (c->slot[k] >= 0 && c->slot[k] == sum->slot[j]) return true;
  }
  return false;
}

/* May chain g take in unit u? Storages that one of the two writes must be touched element for element by both, and there must be
 * one that both touch. */
static bool may_take_in(const fusion *f, const unit *g, const unit *u) {
  if (!u->joins || g->n + u->n > MS_PARTS || (g->sum && u->sum) || !same_space(&g->space, &u->space)) return false;
  if (g->sum && spoils_sum(f, g, u)) return false;
  bool met = false;
  for (int i = 0; i < u->n; i++) {
    const ms_rcall *c = &f->r->call[u->call[i]];
    for (int k = 0; k < c->call.n_in + c->call.n_out; k++) {
      bool reads, writes;
      if (c->slot[k] < 0) continue;
      const slot_use *p = &f->use[c->slot[k]];
      if (!(p->marks & (CHAIN_READS | CHAIN_WRITES))) continue;
      touches(c, k, &reads, &writes);
      bool both = p->aligned && ms_fuse_aligned(c, k, &u->space) && p->offset == c->offset[k] && p->dtype == view_of(c, k)->dtype;
      if (!both && (writes || (p->marks & CHAIN_WRITES))) return false;
      met |= both;
    }
  }
  return met;
}

/* Members of u behind those of g, a sum last. */
static void join(unit *g, const unit *u) {
  int sum = g->sum ? g->call[--g->n] : -1;
  for (int i = 0; i < u->n; i++) g->call[g->n++] = u->call[i];
  if (sum >= 0) g->call[g->n++] = sum;
  g->sum |= u->sum;
}

typedef enum fate { BEFORE, JOINED, BEHIND } fate; /* of a unit that a growing chain passes */

/* Units at..last in their new order: those before the chain, the chain, those behind it. before: scratch. Gives how many came
 * before. */
static int reorder(fusion *f, int at, int last, const fate *fates, const unit *chain, unit *before) {
  int n_before = 0, n_behind = 0, n_joined = 0;
  for (int i = at + 1; i <= last; i++) {
    if (fates[i] == BEFORE) before[n_before++] = f->unit[i];
    n_joined += fates[i] == JOINED;
  }
  for (int i = last; i > at; i--) /* from the end, so that nothing is overwritten before it has moved */
    if (fates[i] == BEHIND) f->unit[last - n_behind++] = f->unit[i];
  const int to = at + n_before + 1, from = last + 1 - n_behind;
  memcpy(&f->unit[at], before, (size_t)n_before * sizeof *before);
  f->unit[to - 1] = *chain;
  memmove(&f->unit[to], &f->unit[from], (size_t)(f->n - from) * sizeof *f->unit);
  f->n -= n_joined;
  return n_before;
}

/* Grow a chain from unit `at`, and put the units it passes before or behind it. How many were put before it, -1 if none joined. */
static int grow(fusion *f, int at, unit *scratch) {
  unit *chain = &scratch[0];
  int last = at, result = -1;
  fate *fates = calloc((size_t)f->n, sizeof *fates);
  if (!fates) return -1;
  memset(f->use, 0, ((size_t)f->r->n_slot + 2) * sizeof *f->use);
  *chain = f->unit[at];
  note_use(f, chain);
  for (int i = at + 1; i < f->n && i <= last + MOST_AHEAD; i++) {
    const unit *u = &f->unit[i];
    const bool blocked = ms_fuse_depends(f, u, BEHIND_READS, BEHIND_WRITES);
    if (!blocked && may_take_in(f, chain, u)) {
      note_use(f, u), join(chain, u);
      fates[i] = JOINED, last = i;
    } else if (blocked || ms_fuse_depends(f, u, CHAIN_READS, CHAIN_WRITES)) {
      ms_fuse_mark(f, u, BEHIND_READS, BEHIND_WRITES);
      fates[i] = BEHIND;
    }
  }
  if (last > at) result = reorder(f, at, last, fates, chain, &scratch[1]);
  free(fates);
  return result;
}

/* ---- chains as kernels ------------------------------------------------------------------------------------------- */

static int write_order(fusion *f) {
  ms_record *r = f->r;
  int n = 0;
  ms_rcall *call = malloc(((size_t)r->n_call + 1) * sizeof *call);
  bool *dead = calloc((size_t)r->n_call + 1, 1);
  if (!call || !dead) return free(call), free(dead), ms_fail("compile: out of memory"), -1;
  for (int i = 0; i < f->n; i++)
    for (int k = 0; k < f->unit[i].n; k++) {
      call[n] = r->call[f->unit[i].call[k]];
      f->unit[i].call[k] = n++;
    }
  for (int i = 0; i < r->n_call; i++)
    if (f->s->dead[i]) dead[n] = true, call[n++] = r->call[i];
  free(r->call), free(f->s->dead);
  r->call = call, r->room_call = r->n_call, f->s->dead = dead;
  return 0;
}

/* Is slot `slot`, made in chain u, touched by calls outside it or seen after the step? */
static bool needs_memory(const fusion *f, const unit *u, int slot, const int *count) {
  if (f->r->slot[slot].kind != MS_SLOT_INTERNAL) return true;
  int here = 0;
  for (int i = 0; i < u->n; i++) {
    const ms_rcall *c = &f->r->call[u->call[i]];
    for (int k = 0; k < c->call.n_in + c->call.n_out; k++) here += c->slot[k] == slot;
  }
  return count[slot] > here;
}

/* Have the backend make unit u one kernel. count: how many views of live calls lie in a slot. */
static bool make_chain(fusion *f, const unit *u, const int *count) {
  ms_part part[MS_PARTS] = {0};
  for (int i = 0; i < u->n; i++) {
    ms_rcall *c = &f->r->call[u->call[i]];
    int to = c->slot[c->call.n_in];
    part[i].call = &c->call, part[i].keep = (i == 0 && u->head) || needs_memory(f, u, to, count);
    for (int k = 0; k < c->call.n_in; k++) {
      part[i].from[k] = -1;
      for (int j = u->head; j < i && c->slot[k] >= 0; j++) {
        const ms_rcall *d = &f->r->call[u->call[j]];
        if (d->slot[d->call.n_in] == c->slot[k]) part[i].from[k] = j - u->head;
      }
    }
    for (int j = u->head; j < i; j++) { /* only the last of several writers of a slot leaves its result there */
      const ms_rcall *d = &f->r->call[u->call[j]];
      if (d->slot[d->call.n_in] == to) part[j].keep = false;
    }
  }
  const ms_kernel *kernel = f->r->device->backend->fuse(part, u->n);
  if (!kernel) return false;
  for (int i = 0; i < u->n; i++) {
    ms_rcall *c = &f->r->call[u->call[i]];
    c->chain = i == u->n - 1 ? u->n : -1, c->head = i == 0 && u->head;
    ms_slot *t = &f->r->slot[c->slot[c->call.n_in]];
    if (i >= u->head && t->kind == MS_SLOT_INTERNAL && !needs_memory(f, u, c->slot[c->call.n_in], count) && !t->inside) {
      t->inside = true;
      f->s->info.unshared += t->bytes;
    }
  }
  f->r->call[u->call[u->n - 1]].call.kernel = kernel;
  f->s->info.fused += u->n;
  return true;
}

/* With its head, or without. */
static void make_kernel(fusion *f, const unit *u, const int *count) {
  if (u->n == 1 || make_chain(f, u, count) || !u->head) return;
  unit rest = *u;
  memmove(rest.call, u->call + 1, (size_t)--rest.n * sizeof *rest.call);
  rest.head = false;
  if (rest.n > 1) make_chain(f, &rest, count);
}

static bool may_join(const fusion *f, const ms_rcall *c) {
  const ms_op *op = c->call.op;
  if (c->call.n_out != 1 || c->call.n_in > 3 || c->call.n_in < 1 || c->slot[c->call.n_in] < 0 || op->mutates || c->call.rng ||
      c->risky)
    return false;
  if (!(op->flags & (MS_ELEMENTWISE | MS_COPIES | MS_SUMS))) return false;
  return ms_view_numel(&c->call.in[is_sum(&c->call) ? 0 : c->call.n_in - 1]) > 0 && ms_view_numel(&c->call.out[0]) > 0 &&
         f->r->device->backend->fusible(&c->call);
}

static void list_units(fusion *f) {
  ms_record *r = f->r;
  for (int i = 0; i < r->n_call; i++) {
    ms_rcall *c = &r->call[i];
    if (f->s->dead[i]) continue;
    for (int k = 0; k < c->call.n_in; k++)
      if (c->call.in[k].number) c->call.in[k].data = &c->immediate[k], c->call.in[k].number = &c->number[k];
    unit *u = &f->unit[f->n++];
    *u = (unit){.n = 1, .call = {i}, .joins = may_join(f, c), .sum = is_sum(&c->call)};
    if (u->joins) u->space = space_of(u->sum ? &c->call.in[0] : &c->call.out[0]);
  }
}

/* All calls of a chain happen at once, when its last one runs. */
void ms_step_lifetimes(ms_step *s) {
  ms_record *r = s->r;
  for (int i = 0; i < r->n_slot; i++) r->slot[i].first = r->slot[i].last = -1;
  for (int i = r->n_call - 1, when = i; i >= 0; i--) {
    ms_rcall *c = &r->call[i];
    if (c->chain >= 0) when = i;
    for (int k = 0; k < c->call.n_in + c->call.n_out && !s->dead[i]; k++) {
      if (c->slot[k] < 0) continue;
      ms_slot *t = &r->slot[c->slot[k]];
      t->first = when;
      if (t->last < 0) t->last = when;
    }
  }
}

int ms_step_fuse(ms_step *s) {
  fusion f = {.s = s, .r = s->r};
  ms_record *r = s->r;
  if (!r->device->backend->fuse) return 0;
  size_t n = (size_t)r->n_call + 1;
  unit *scratch = malloc((n + 1) * sizeof *scratch);
  int *count = calloc((size_t)r->n_slot + 1, sizeof *count);
  f.unit = malloc(n * sizeof *f.unit), f.use = malloc(((size_t)r->n_slot + 2) * sizeof *f.use);
  int rc = -1;
  if (!scratch || !count || !f.unit || !f.use) ms_fail("compile: out of memory");
  else {
    list_units(&f);
    for (int i = 0; i < f.n;) { /* units put before a new chain, and the chain itself, are seeds in turn: chains merge */
      if (!f.unit[i].joins || grow(&f, i, scratch) < 0) i++;
    }
    ms_fuse_attach_heads(&f);
    rc = write_order(&f);
    for (int i = 0; i < r->n_call && !rc; i++)
      for (int k = 0; k < r->call[i].call.n_in + r->call[i].call.n_out && !s->dead[i]; k++)
        if (r->call[i].slot[k] >= 0) count[r->call[i].slot[k]]++;
    for (int i = 0; i < f.n && !rc; i++) make_kernel(&f, &f.unit[i], count);
  }
  free(scratch), free(count), free(f.unit), free(f.use);
  ms_step_lifetimes(s);
  return rc;
}
