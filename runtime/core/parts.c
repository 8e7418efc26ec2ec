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
 * All of it in operations, so that derivatives of it, and recorded steps, work by themselves. */
#include "parts.h"
#include <stdlib.h>

typedef struct part {
  ms_tensor *g; /* held while it waits */
  int dim;
  int64_t start, step; /* as in ms_place */
  int64_t from, to;    /* its positions in the group: (start - start % step) / step, and one behind the last */
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

int ms_parts_add(ms_parts **all, ms_tensor *whole, ms_tensor *g, ms_place at) {
  ms_parts *p = parts_of(*all, whole);
  if (!p) {
    if (!(p = calloc(1, sizeof *p))) return no_memory(), -1;
    p->whole = ms_retain(whole);
    p->next = *all, *all = p;
  }
  if (p->n == p->room) {
    const int room = p->room ? 2 * p->room : 8;
    part *more = realloc(p->at, (size_t)room * sizeof *more);
    if (!more) return no_memory(), -1;
    p->at = more, p->room = room;
  }
  const int64_t from = at.start / at.step;
  p->at[p->n] = (part){ms_retain(g), at.dim, at.start, at.step, from, from + g->shape[at.dim], p->n, 0};
  p->n++, p->waiting += ms_numel(g);
  return p->waiting / 2 > ms_numel(whole);
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

/* By group, then by position, then by arrival: the order of the sums is always the same. */
static int by_place(const void *a, const void *b) {
  const part *x = a, *y = b;
  const int64_t px = x->start % x->step, py = y->start % y->step;
  if (x->dim != y->dim) return x->dim < y->dim ? -1 : 1;
  if (x->step != y->step) return x->step < y->step ? -1 : 1;
  if (px != py) return px < py ? -1 : 1;
  if (x->from != y->from) return x->from < y->from ? -1 : 1;
  if (x->to != y->to) return x->to < y->to ? -1 : 1;
  return x->arrival < y->arrival ? -1 : x->arrival > y->arrival;
}

static bool same_group(const part *x, const part *y) {
  return x->dim == y->dim && x->step == y->step && x->start % x->step == y->start % y->step;
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
    if (at[i].from > end) list[m++] = gap(at->g, at->dim, at[i].from - end);
    list[m++] = at[i].g;
    end = at[i].to;
  }
  if (end < to) list[m++] = gap(at->g, at->dim, to - end);
  return m == 1 ? list[0] : ms_cat(m, list, at->dim);
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

/* What a group of parts makes up: a tensor `size` long along their dimension. */
static ms_tensor *group_sum(part *at, int n, int64_t size, int64_t *ends, ms_tensor **list) {
  if ((n = add_overlapping(at, add_equal(at, n), ends, list)) < 0) return NULL;
  const part *first = at, *last = at + n - 1;
  if (n > 1 && first->step == 1) return join(at, n, -1, 0, size, list);
  ms_tensor *g = n > 1 ? join(at, n, -1, first->from, last->to, list) : first->g;
  return g && g->shape[first->dim] == size ? g : ms_unslice(g, first->dim, first->start, first->step, size);
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
    for (size_t i = 0; i < n; i++) at[i] = p->at[i];
    qsort(at, n, sizeof *at, by_place);
    for (int i = 0, k; i < p->n && !ms_error(); i = k) {
      for (k = i + 1; k < p->n && same_group(at + i, at + k);) k++;
      ms_tensor *g = group_sum(at + i, k - i, p->whole->shape[at[i].dim], ends, list);
      if (g) sum = plus(sum, g);
    }
  } else no_memory();
  if (ms_error()) sum = NULL;
  ms_retain(sum);
  ms_scope_close(mark);
  free(list), free(ends), free(at);
  free_one(p);
  return sum;
}
