/* alias.c -- storages of a recording that can be one: copies that need not be made, and results in the memory of an operand that
 * dies. */
#include "pass.h"
#include <string.h>

/* Does view k cover its slot from beginning to end, in order? */
static bool whole(const ms_record *r, ms_rcall *c, int k) {
  const ms_view *v = ms_rcall_view(c, k);
  return !c->offset[k] && ms_view_contiguous(v) && (size_t)ms_view_numel(v) * ms_dtype_size(v->dtype) == r->slot[c->slot[k]].bytes;
}

/* What touched `from` touches `to` from now on. */
static void rename_slot(ms_step *s, int from, int to) {
  ms_record *r = s->r;
  for (int i = 0; i < r->n_call; i++)
    for (int k = 0; k < r->call[i].call.n_in + r->call[i].call.n_out; k++)
      if (r->call[i].slot[k] == from) r->call[i].slot[k] = to;
  ms_slot *a = &r->slot[from], *b = &r->slot[to];
  s->info.unshared += a->bytes; /* it had memory of its own */
  if (a->first >= 0 && a->first < b->first) b->first = a->first;
  if (a->last > b->last) b->last = a->last;
  a->first = a->last = -1;
}

static bool written_after(const ms_step *s, int slot, int i) {
  const ms_record *r = s->r;
  while (++i < r->n_call) {
    const ms_rcall *c = &r->call[i];
    for (int k = 0; k < c->call.n_in + c->call.n_out && !s->dead[i]; k++)
      if (c->slot[k] == slot && ms_rcall_writes(c, k)) return true;
  }
  return false;
}

void ms_step_drop_copies(ms_step *s) {
  ms_record *r = s->r;
  for (int i = 0; i < r->n_call; i++) {
    ms_rcall *c = &r->call[i];
    int from = c->slot[0], to = c->call.n_out ? c->slot[c->call.n_in] : -1;
    if (s->dead[i] || !(c->call.op->flags & MS_COPIES) || from < 0 || to < 0 || from == to) continue;
    if (c->call.in[0].dtype != c->call.out[0].dtype) continue; /* a conversion */
    const ms_slot *a = &r->slot[from], *b = &r->slot[to];
    if (a->bytes != b->bytes || b->first != i || !whole(r, c, 0) || !whole(r, c, 1)) continue;
    bool quiet = !written_after(s, from, i) && !written_after(s, to, i);
    if (a->kind == MS_SLOT_INTERNAL && (quiet || a->last == i)) rename_slot(s, from, to);
    else if (b->kind == MS_SLOT_INTERNAL && quiet) rename_slot(s, to, from);
    else continue;
    s->dead[i] = true;
    s->info.dead++;
  }
  ms_step_lifetimes(s);
}

/* A slot that the calls first..last, run at once, only read, element for element like view `k` of call `at`, and not behind that
 * call; or that the first of them makes, which the others follow piece by piece (fuse.c), for them alone. What such a first call
 * reads has to stay: it is not read element for element. */
static bool gives_way(const ms_step *s, int first, int last, int at, int slot) {
  const ms_record *r = s->r;
  const ms_slot *t = &r->slot[slot];
  const ms_rcall *head = &r->call[first];
  const ms_view *out = &r->call[at].call.out[0];
  const bool headed = head->head, made = headed && head->slot[head->call.n_in] == slot;
  if (t->kind != MS_SLOT_INTERNAL || t->inside || t->last != last || (made ? t->first != last : t->first >= first)) return false;
  for (int i = first; i <= last; i++) {
    ms_rcall *c = &r->call[i];
    for (int k = 0; k < c->call.n_in + c->call.n_out; k++) {
      if (c->slot[k] != slot || (headed && i == first && k >= c->call.n_in)) continue;
      const ms_view *v = ms_rcall_view(c, k);
      if (k >= c->call.n_in || i > at || (headed && i == first) || v->dtype != out->dtype || v->rank != out->rank ||
          !whole(r, c, k) || memcmp(v->shape, out->shape, v->rank * sizeof *v->shape))
        return false;
    }
  }
  return true;
}

/* Is call `at` the first of first..last to touch a slot? */
static bool begins(const ms_record *r, int first, int at, int slot) {
  for (int i = first; i < at; i++)
    for (int k = 0; k < r->call[i].call.n_in + r->call[i].call.n_out; k++)
      if (r->call[i].slot[k] == slot) return false;
  return true;
}

/* A result takes the place of an operand that no call behind it reads. A member of a chain that changes in place what an earlier
 * member, or the head, made does not: they would write there while the operand is still to be read. */
void ms_step_in_place(ms_step *s) {
  ms_record *r = s->r;
  for (int last = 0; last < r->n_call; last++) {
    if (!ms_step_runs(s, last)) continue;
    int first = r->call[last].chain ? last - r->call[last].chain + 1 : last;
    for (int at = first; at <= last; at++) {
      ms_rcall *c = &r->call[at];
      if (!(c->call.op->flags & MS_ELEMENTWISE) || c->slot[c->call.n_in] < 0) continue;
      int to = c->slot[c->call.n_in], found = -1;
      const ms_slot *t = &r->slot[to];
      if (t->kind != MS_SLOT_INTERNAL || t->inside || t->first != last || !whole(r, c, c->call.n_in)) continue;
      if (!begins(r, first, at, to)) continue;
      for (int i = first; i <= at && found < 0; i++)
        for (int k = 0; k < r->call[i].call.n_in && found < 0; k++) {
          int from = r->call[i].slot[k];
          if (from >= 0 && from != to && r->slot[from].bytes == t->bytes && gives_way(s, first, last, at, from)) found = from;
        }
      if (found >= 0) rename_slot(s, to, found);
    }
  }
}
