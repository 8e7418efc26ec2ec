/* tsne_cells.c -- cells of points for t-SNE's repulsion: a binary tree that halves the points along the longer side of their box,
 * and for each group of points the list of what repels it (Barnes, Hut, Nature 1986; the lists serve several iterations, since
 * points move little in one). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/tsne_parts.h"

enum { DEPTH = 64 };  /* deeper than any tree of 2^31 points */
#define FAR_AWAY 1e8f /* where nothing is felt of a point, and no product is too small for a float */

void tsne_cells_free(tsne_cells *c) {
  for (int64_t g = 0; c->list && g < (c->all ? 1 : c->groups); g++) free(c->list[g].at);
  free(c->x), free(c->y), free(c->mass), free(c->wide), free(c->right), free(c->leaf), free(c->box), free(c->px), free(c->py);
  free(c->order), free(c->list);
}

int tsne_cells_open(tsne_cells *c, int64_t n, bool all) {
  const int64_t groups = (n + GROUP - 1) / GROUP, slots = groups * GROUP, cells = 4 * groups;
  *c = (tsne_cells){.n = n, .groups = groups, .all = all};
  c->px = ml_alloc(slots, sizeof(float)), c->py = ml_alloc(slots, sizeof(float)), c->order = ml_alloc(slots, sizeof(int32_t));
  c->list = calloc((size_t)(all ? 1 : groups), sizeof *c->list);
  bool whole = c->px && c->py && c->order && c->list;
  if (!all) {
    c->x = ml_alloc(cells, sizeof(float)), c->y = ml_alloc(cells, sizeof(float)), c->mass = ml_alloc(cells, sizeof(float));
    c->wide = ml_alloc(cells, sizeof(float)), c->right = ml_alloc(cells, sizeof(int32_t));
    c->leaf = ml_alloc(cells, sizeof(int32_t)), c->box = ml_alloc(4 * groups, sizeof(float));
    whole = whole && c->x && c->y && c->mass && c->wide && c->right && c->leaf && c->box;
  } else if (whole && (whole = (c->list->at = ml_alloc(2 * groups, sizeof(int32_t))))) {
    for (int64_t k = 0; k < 2 * groups; k++) c->list->at[k] = (int32_t)k;
    c->list->leaves = (n + LEAF - 1) / LEAF;
  }
  if (!whole) return tsne_cells_free(c), *c = (tsne_cells){0}, ml_no_memory("tsne"), -1;
  for (int64_t s = 0; s < slots; s++) c->order[s] = (int32_t)s, c->px[s] = c->py[s] = FAR_AWAY;
  return 0;
}

/* Puts the points order[0..n) so that those before `middle` have coordinates (at[2 point]) no larger than those from there on. */
static void halve(int32_t *order, int64_t n, int64_t middle, const float *at) {
  int64_t from = 0, to = n - 1;
  while (from < to) {
    const float a = at[2 * order[from]], b = at[2 * order[(from + to) / 2]], e = at[2 * order[to]];
    const float pivot = fmaxf(fminf(a, b), fminf(fmaxf(a, b), e)); /* the middle one of three */
    int64_t i = from, j = to;
    while (i <= j) {
      while (at[2 * order[i]] < pivot) i++;
      while (at[2 * order[j]] > pivot) j--;
      if (i > j) break;
      const int32_t swapped = order[i];
      order[i++] = order[j], order[j--] = swapped;
    }
    if (middle <= j) to = j;
    else if (middle >= i) from = i;
    else return;
  }
}

/* The cell of `count` points from slot `first` on, and all below it. */
static void grow(tsne_cells *c, const float *at, int64_t first, int64_t count) {
  const int64_t cell = c->count++;
  int32_t *order = c->order + first;
  float x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
  for (int64_t k = 0; k < count; k++) {
    const float x = at[2 * order[k]], y = at[2 * order[k] + 1];
    x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1, y0 = y < y0 ? y : y0, y1 = y > y1 ? y : y1;
  }
  const float w = x1 - x0, h = y1 - y0, box[] = {x0, x1, y0, y1};
  c->wide[cell] = w > h ? w * w : h * h;
  c->leaf[cell] = count <= LEAF ? (int32_t)(first / LEAF) : -1;
  if (count > LEAF) {
    const int64_t groups = (count + GROUP - 1) / GROUP, half = groups > 1 ? groups / 2 * GROUP : LEAF;
    halve(order, count, half, at + (h > w));
    grow(c, at, first, half);
    c->right[cell] = (int32_t)c->count;
    grow(c, at, first + half, count - half);
  }
  if (count <= GROUP) memcpy(c->box + first / GROUP * 4, box, sizeof box); /* last, over what a leaf of the group has written */
}

static bool note(tsne_list *l, int64_t at, int32_t what) {
  if (at == l->room) {
    const int64_t room = l->room ? 2 * l->room : 256;
    int32_t *bigger = realloc(l->at, (size_t)room * sizeof *bigger);
    if (!bigger) return false;
    l->at = bigger, l->room = room;
  }
  l->at[at] = what;
  return true;
}

/* What repels group g, but its own leaves. Leaves are noted from the end of a stretch of their own, which then follows the cells.
 */
static bool look(tsne_cells *c, int64_t g, float angle2, tsne_list *leaves) {
  const float *b = c->box + 4 * g;
  tsne_list *l = &c->list[g];
  int32_t stack[DEPTH];
  int depth = 0;
  l->cells = leaves->leaves = 0;
  for (int32_t cell = 0;;) {
    const float x = c->x[cell], y = c->y[cell];
    const float dx = fmaxf(fmaxf(b[0] - x, x - b[1]), 0), dy = fmaxf(fmaxf(b[2] - y, y - b[3]), 0);
    if (c->wide[cell] < angle2 * (dx * dx + dy * dy)) {
      if (!note(l, l->cells++, cell)) return false;
    } else if (c->leaf[cell] >= 0) {
      if (c->leaf[cell] / (GROUP / LEAF) != g && !note(leaves, leaves->leaves++, c->leaf[cell])) return false;
    } else {
      stack[depth++] = c->right[cell];
      cell++;
      continue;
    }
    if (!depth) break;
    cell = stack[--depth];
  }
  l->leaves = 0;
  for (int64_t k = 0; k < leaves->leaves; k++)
    if (!note(l, l->cells + l->leaves++, leaves->at[k])) return false;
  return true;
}

int tsne_cells_build(tsne_cells *c, const float *at, double angle) {
  if (c->all) return tsne_cells_refit(c, at), 0;
  c->count = 0;
  grow(c, at, 0, c->n);
  tsne_cells_refit(c, at);
  bool failed = false;
  const float angle2 = (float)(angle * angle);
  const int team = ms_threads();
  ms_stretch share[team];
  ms_cut(share, team, c->groups);
  MS_TOGETHER(team, id, {
    tsne_list leaves = {0};
    for (int64_t g; (g = ms_take(share, team, id)) >= 0;)
      if (!look(c, g, angle2, &leaves)) {
        __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
        break;
      }
    free(leaves.at);
  });
  return failed ? ml_no_memory("tsne"), -1 : 0;
}

void tsne_cells_refit(tsne_cells *c, const float *at) {
  for (int64_t s = 0; s < c->n; s++) c->px[s] = at[2 * c->order[s]], c->py[s] = at[2 * c->order[s] + 1];
  for (int64_t cell = c->all ? 0 : c->count; cell-- > 0;) {
    if (c->leaf[cell] >= 0) {
      const int64_t first = c->leaf[cell] * LEAF, count = c->n - first < LEAF ? c->n - first : LEAF;
      float x = 0, y = 0;
      for (int64_t s = first; s < first + count; s++) x += c->px[s], y += c->py[s];
      c->mass[cell] = (float)count, c->x[cell] = x / (float)count, c->y[cell] = y / (float)count;
    } else {
      const int64_t a = cell + 1, b = c->right[cell];
      const float mass = c->mass[a] + c->mass[b], part = c->mass[b] / mass;
      c->mass[cell] = mass;
      c->x[cell] = c->x[a] + part * (c->x[b] - c->x[a]), c->y[cell] = c->y[a] + part * (c->y[b] - c->y[a]);
    }
  }
}
