/* fuse_heads.c -- fuse.c: a product or convolution whose result a chain reads comes to stand at its head, where nothing between the
 * two forbids it. The chain then runs on each piece of the result as it is made, while that is in the cache. */
#include "fuse.h"

/* Does view k cover its slot, in the order of its elements or channels last? */
static bool covers(const fusion *f, const ms_rcall *c, int k) {
  const ms_view *v = view_of(c, k);
  return !c->offset[k] && (size_t)ms_view_numel(v) * ms_dtype_size(v->dtype) == f->r->slot[c->slot[k]].bytes &&
         (ms_view_contiguous(v) || ms_view_channels_last(v));
}

/* May call p, whose result unit u reads, stand at its head, as far as the two of them go? Of what p makes u may only read the
 * element that it is at, and it must not write what p reads. */
static bool goes_before(const fusion *f, const ms_rcall *p, const unit *u) {
  const int made = p->slot[p->call.n_in];
  if (p->call.n_out != 1 || made < 0 || f->r->slot[made].kind != MS_SLOT_INTERNAL || !covers(f, p, p->call.n_in)) return false;
  if (!f->r->device->backend->heads(&p->call)) return false;
  for (int i = 0; i < u->n; i++) {
    const ms_rcall *c = &f->r->call[u->call[i]];
    for (int k = 0; k < c->call.n_in + c->call.n_out; k++) {
      if (c->slot[k] < 0) continue;
      if (c->slot[k] == made && (!ms_fuse_aligned(c, k, &u->space) || !covers(f, c, k) || ms_rcall_writes(c, k))) return false;
      for (int j = 0; j < p->call.n_in && ms_rcall_writes(c, k); j++)
        if (p->slot[j] == c->slot[k]) return false;
    }
  }
  return true;
}

/* The unit whose result unit `at` reads and that may come to stand at its head: none of those between depends on it, or changes
 * what it reads. -1: none. */
static int head_of(fusion *f, int at) {
  const unit *u = &f->unit[at];
  if (!u->joins || u->sum || u->head || u->n == MS_PARTS) return -1;
  memset(f->use, 0, ((size_t)f->r->n_slot + 2) * sizeof *f->use);
  for (int i = at - 1; i >= 0 && i >= at - MOST_AHEAD; i--) { /* marks: what the units between read and write */
    const unit *p = &f->unit[i];
    const ms_rcall *c = &f->r->call[p->call[0]];
    bool read = false;
    if (p->n == 1 && c->call.n_out == 1 && c->slot[c->call.n_in] >= 0)
      for (int j = 0; j < u->n; j++)
        for (int k = 0; k < f->r->call[u->call[j]].call.n_in; k++) read |= f->r->call[u->call[j]].slot[k] == c->slot[c->call.n_in];
    if (read && goes_before(f, c, u) && !ms_fuse_depends(f, p, CHAIN_READS, CHAIN_WRITES)) return i;
    ms_fuse_mark(f, p, CHAIN_READS, CHAIN_WRITES);
  }
  return -1;
}

/* Does what the sum at the end of unit `at` reads lie in memory anyhow, for somebody outside the unit? */
static bool sums_what_stays(const fusion *f, int at) {
  const unit *u = &f->unit[at];
  const int slot = f->r->call[u->call[u->n - 1]].slot[0];
  if (slot < 0 || f->r->slot[slot].kind != MS_SLOT_INTERNAL) return true;
  for (int i = 0; i < f->n; i++)
    for (int j = 0; j < f->unit[i].n && i != at; j++) {
      const ms_rcall *c = &f->r->call[f->unit[i].call[j]];
      for (int k = 0; k < c->call.n_in; k++)
        if (c->slot[k] == slot) return true;
    }
  return false;
}

/* A chain that ends in a sum of what stays gets its head without it; the sum then stands behind the chain. */
void ms_fuse_attach_heads(fusion *f) {
  if (!f->r->device->backend->heads) return;
  for (int at = 1; at < f->n; at++) {
    unit *u = &f->unit[at];
    const bool sum = u->sum && u->n > 1 && sums_what_stays(f, at);
    if (sum) u->sum = false, u->n--;
    const int head = head_of(f, at);
    if (head < 0) {
      if (sum) u->sum = true, u->n++;
      continue;
    }
    if (sum) {
      memmove(u + 2, u + 1, (size_t)(f->n++ - at - 1) * sizeof *u);
      u[1] = *u, u[1].n = 1, u[1].call[0] = u->call[u->n], u[1].sum = true;
    }
    memmove(u->call + 1, u->call, (size_t)u->n * sizeof *u->call);
    u->call[0] = f->unit[head].call[0];
    u->n++, u->head = true;
    memmove(&f->unit[head], &f->unit[head + 1], (size_t)(f->n-- - head - 1) * sizeof *u);
    at--;
  }
}
