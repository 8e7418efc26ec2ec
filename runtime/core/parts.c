/* parts.c -- what slices of a tensor cost in a backward pass: their own elements, and the whole tensor once.
 *
 * The derivative of a slice is zero outside of it. A loop over the rows of x would make a tensor of zeros like x for each row and
 * add them all up. Instead the parts wait here until all are there, and are put together at once:
 *
 *     parts that lie alike along one dimension (dim, step, start modulo step) are a group      x[1], x[2], ...;  x[{ {1, -1, 2} }]
 *     in a group, parts at the same positions are added up                                     x[1] used twice
 *     those that overlap form a cluster: layers of parts that do not, each layer joined        windows {1, 5}, {2, 6}, ...
 *     by `cat`, with zeros in the gaps, and the layers added up over the span of the cluster
 *     the clusters of a group are joined by `cat`, with zeros in the gaps; one by itself is put into zeros (`unslice`)
 *     the groups are added up
 *
 * A slice of a slice (x[i][k]) hands the parts that wait for it on to x, with where it lies in x as a further span: so the slices
 * of one row, which each went through an x[i] of its own, meet again. They are put together from the innermost span outwards: first
 * what lies alike but for that becomes one part with a span less.
 *
 * All of it in operations, so that derivatives of it, and recorded steps, work by themselves. */
#include "parts.h"
#include <stdlib.h>
#include <string.h>

enum { DEEP = 4 }; /* spans of a part: slices of slices beyond that are put together on their way */

/* Positions along a dimension (start, start + step, ...: `count` of them) of a tensor that has `size` there. */
typedef struct span {
  int dim;
  int64_t start, step, count, size;
} span;

typedef struct part {
  ms_tensor *g;  /* held while it waits */
  span at[DEEP]; /* the innermost first; dimensions are those of the whole tensor */
  int n;
  int64_t from, to; /* the positions of at[0] in its group: (start - start % step) / step, and one behind the last */
  int arrival, layer;
} part;

struct ms_parts {
  ms_parts *next;
  ms_tensor *whole; /* held */
  part *at;
  int n, room;
  int64_t waiting; /* elements */
};

static void *no_memory(void) { return ms_fail("out of memory in a backward pass: no room for the gradients of slices"); }

static ms_parts *parts_of(ms_parts *all, const ms_tensor *whole) {
  while (all && all->whole != whole) all = all->next;
  return all;
}

ms_tensor *ms_parts_first(const ms_parts *all) { return all ? all->whole : NULL; }

/* Remember another part; the caller sets its spans. NULL after ms_fail. */
static part *new_part(ms_parts **all, ms_tensor *whole, ms_tensor *g) {
  ms_parts *p = parts_of(*all, whole);
  if (!p) {
    if (!(p = calloc(1, sizeof *p))) return no_memory();
    p->whole = ms_retain(whole);
    p->next = *all, *all = p;
  }
  if (p->n == p->room) {
    const int room = p->room ? 2 * p->room : 8;
    part *more = realloc(p->at, (size_t)room * sizeof *more);
    if (!more) return no_memory();
    p->at = more, p->room = room;
  }
  part *q = &p->at[p->n];
  *q = (part){.g = ms_retain(g), .arrival = p->n};
  p->n++, p->waiting += ms_numel(g);
  return q;
}

static int enough(ms_parts *all, const ms_tensor *whole) {
  const ms_parts *p = parts_of(all, whole);
  return p->waiting / 2 > ms_numel(whole);
}

int ms_parts_add(ms_parts **all, ms_tensor *whole, ms_tensor *g, ms_place at) {
  part *q = new_part(all, whole, g);
  if (!q) return -1;
  q->at[0] = (span){at.dim, at.start, at.step, g->shape[at.dim], whole->shape[at.dim]};
  q->n = 1;
  return enough(*all, whole);
}

bool ms_parts_can_hand_on(const ms_node *n) {
  const ms_parts *p = n->parts;
  if ((n->op->id != MS_OP_slice && n->op->id != MS_OP_select) || n->n_out != 1 || n->grad[0] || !p || p->next) return false;
  for (int i = 0; i < p->n; i++)
    if (p->at[i].n == DEEP) return false;
  return true;
}

int ms_parts_hand_on(ms_node *n, ms_parts **to, ms_tensor *whole) {
  const ms_parts *p = n->parts;
  int rc = 0;
  for (int i = 0; i < p->n && rc == 0; i++) {
    const part *old = &p->at[i];
    const int mark = ms_scope_open();
    ms_tensor *dx = NULL;
    ms_vjp v = {
        .op = n->op, .node = n, .n_in = 1, .n_out = 1, .x = n->in, .g = &old->g, .attr = n->attr, .need = &(bool){true}, .dx = &dx};
    part *q = n->op->rule->vjp(&v) == 0 && dx ? new_part(to, whole, dx) : NULL;
    if (q) {
      const bool selects = dx->rank > old->g->rank; /* a dimension more than the part had: those behind it move */
      memcpy(q->at, old->at, sizeof q->at);
      for (int k = 0; k < old->n && selects; k++) q->at[k].dim += q->at[k].dim >= v.place.dim;
      q->at[old->n] =
          (span){v.place.dim, v.place.start, v.place.step, selects ? 1 : n->out[0]->shape[v.place.dim], whole->shape[v.place.dim]};
      q->n = old->n + 1;
    } else rc = -1;
    ms_scope_close(mark);
  }
  ms_parts_free(&n->parts);
  return rc < 0 ? -1 : enough(*to, whole);
}

static void free_one(ms_parts *p) {
  for (int i = 0; i < p->n; i++) ms_release(p->at[i].g);
  ms_release(p->whole);
  free(p->at), free(p);
}

void ms_parts_free(ms_parts **all) {
  for (ms_parts *p; (p = *all);) {
    *all = p->next;
    free_one(p);
  }
}

static int compare(int64_t x, int64_t y) { return x < y ? -1 : x > y; }

/* But for their innermost spans, do two parts lie at the same place? 0: yes. Those with more spans come first. */
static int compare_outer(const part *x, const part *y) {
  int c = compare(y->n, x->n);
  for (int k = x->n - 1; k > 0 && !c; k--) {
    const span *a = &x->at[k], *b = &y->at[k];
    c = compare(a->dim, b->dim);
    if (!c) c = compare(a->start, b->start);
    if (!c) c = compare(a->step, b->step);
    if (!c) c = compare(a->count, b->count);
  }
  return c;
}

static int compare_group(const part *x, const part *y) {
  const span *a = &x->at[0], *b = &y->at[0];
  int c = compare(a->dim, b->dim);
  if (!c) c = compare(a->step, b->step);
  return c ? c : compare(a->start % a->step, b->start % b->step);
}

/* By outer place, then by group, then by position, then by arrival: the order of the sums is always the same. */
static int by_place(const void *a, const void *b) {
  const part *x = a, *y = b;
  int c = compare_outer(x, y);
  if (!c) c = compare_group(x, y);
  if (!c) c = compare(x->from, y->from);
  if (!c) c = compare(x->to, y->to);
  return c ? c : compare(x->arrival, y->arrival);
}

/* Zeros like g, but n long along dim: one element, expanded. */
static ms_tensor *gap(const ms_tensor *g, int dim, int64_t n) {
  ms_ints one = {.n = g->rank}, shape = ms_sizes(g);
  for (int i = 0; i < one.n; i++) one.at[i] = 1;
  shape.at[dim] = n;
  return ms_expand(ms_full(one, 0, g->dtype, g->device), shape);
}

/* One tensor of the positions from..to along the group's dimension: those of the n parts at `at` that are in `layer` (-1: all),
 * which do not overlap and come in order, and zeros between them. list: room for 2 n + 1 tensors. */
static ms_tensor *join(const part *at, int n, int layer, int64_t from, int64_t to, ms_tensor **list) {
  int m = 0;
  int64_t end = from;
  for (int i = 0; i < n; i++) {
    if ((layer >= 0 && at[i].layer != layer) || at[i].from == at[i].to) continue;
    if (at[i].from > end) list[m++] = gap(at->g, at->at[0].dim, at[i].from - end);
    list[m++] = at[i].g;
    end = at[i].to;
  }
  if (end < to) list[m++] = gap(at->g, at->at[0].dim, to - end);
  return m == 1 ? list[0] : ms_cat(m, list, at->at[0].dim);
}

static ms_tensor *plus(ms_tensor *sum, ms_tensor *g) { return sum ? ms_add(sum, g) : g; }

/* Parts at the same positions become one. Answers how many are left. */
static int add_equal(part *at, int n) {
  int m = 0;
  for (int i = 0; i < n; i++)
    if (m && at[m - 1].from == at[i].from && at[m - 1].to == at[i].to) at[m - 1].g = ms_add(at[m - 1].g, at[i].g);
    else at[m++] = at[i];
  return m;
}

/* Parts that overlap one another become one over their span. ends: room for n numbers. Answers how many are left. */
static int add_overlapping(part *at, int n, int64_t *ends, ms_tensor **list) {
  int m = 0;
  for (int i = 0, k; i < n; i = k) {
    int layers = 0;
    int64_t end = at[i].from;
    for (k = i; k < n && (k == i || at[k].from < end); k++) {
      int l = 0; /* the first layer whose last part ends before this one begins */
      while (l < layers && ends[l] > at[k].from) l++;
      at[k].layer = l, ends[l] = at[k].to;
      if (l == layers) layers++;
      if (at[k].to > end) end = at[k].to;
    }
    part whole = at[i];
    whole.to = end;
    if (k > i + 1) {
      whole.g = NULL;
      for (int l = 0; l < layers; l++) {
        ms_tensor *g = join(at + i, k - i, l, whole.from, end, list);
        if (!g || !(whole.g = plus(whole.g, g))) return -1;
      }
    }
    at[m++] = whole;
  }
  return m;
}

/* What a group of parts makes up: a tensor as long along their dimension as what they are parts of. */
static ms_tensor *group_sum(part *at, int n, int64_t *ends, ms_tensor **list) {
  if ((n = add_overlapping(at, add_equal(at, n), ends, list)) < 0) return NULL;
  const part *first = at, *last = at + n - 1;
  const span *s = &first->at[0];
  if (n > 1 && s->step == 1) return join(at, n, -1, 0, s->size, list);
  ms_tensor *g = n > 1 ? join(at, n, -1, first->from, last->to, list) : first->g;
  return g && g->shape[s->dim] == s->size ? g : ms_unslice(g, s->dim, s->start, s->step, s->size);
}

/* The innermost spans of n parts that lie at one place but for these: their sum, as a part without them. */
static int close_span(part *at, int n, int64_t *ends, ms_tensor **list) {
  ms_tensor *sum = NULL;
  for (int i = 0, k; i < n; i = k) {
    for (k = i + 1; k < n && !compare_group(at + i, at + k);) k++;
    ms_tensor *g = group_sum(at + i, k - i, ends, list);
    if (!g || !(sum = plus(sum, g))) return -1;
  }
  at->g = sum;
  at->n--;
  memmove(at->at, at->at + 1, (DEEP - 1) * sizeof *at->at);
  return 0;
}

/* Put n parts together; their spans are closed one after another, from those with most on. The gradient of the whole tensor. */
static ms_tensor *put_together(part *at, int n, int64_t *ends, ms_tensor **list) {
  while (at->n > 0) {
    for (int i = 0; i < n; i++) {
      at[i].from = at[i].at[0].start / at[i].at[0].step;
      at[i].to = at[i].from + at[i].g->shape[at[i].at[0].dim];
    }
    qsort(at, (size_t)n, sizeof *at, by_place);
    const int most = at->n;
    int m = 0;
    for (int i = 0, k; i < n; i = k, m++) {
      for (k = i + 1; k < n && at[i].n == most && !compare_outer(at + i, at + k);) k++;
      if (at[i].n == most && close_span(at + i, k - i, ends, list) < 0) return NULL;
      at[m] = at[i];
    }
    n = m;
  }
  return at->g;
}

ms_tensor *ms_parts_take(ms_parts **all, const ms_tensor *whole) {
  ms_parts *p = parts_of(*all, whole), **link = all;
  if (!p) return NULL;
  while (*link != p) link = &(*link)->next;
  *link = p->next;
  const size_t n = (size_t)p->n;
  ms_tensor **list = malloc((2 * n + 1) * sizeof(ms_tensor *)), *sum = NULL;
  int64_t *ends = malloc(n * sizeof *ends);
  part *at = malloc(n * sizeof *at); /* p's hold their gradients, these become sums of the scope */
  const int mark = ms_scope_open();
  if (list && ends && at) {
    memcpy(at, p->at, n * sizeof *at);
    sum = put_together(at, p->n, ends, list);
  } else no_memory();
  if (ms_error()) sum = NULL;
  ms_retain(sum);
  ms_scope_close(mark);
  free(list), free(ends), free(at);
  free_one(p);
  return sum;
}
