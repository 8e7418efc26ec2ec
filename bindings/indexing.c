/* indexing.c -- x[...] and x[...] = y, with the meaning that PyTorch and NumPy give to it, counted from 1.
 *
 * An index is one entry, or a list with one for each dimension; dimensions that are not named stay whole:
 *
 *   3, -1          a position; the dimension goes                  {}, {a, b}, {a, b, step}     all of it; a range
 *   "..."          as many whole dimensions as are left over       "new"                        a new dimension of size 1
 *   index tensor   positions, of any shape, which takes the place of the dimension
 *   mask           a bool tensor; it stands for as many dimensions as it has, and gives one, of the elements where it is true
 *
 * Positions, ranges and new dimensions make a view. Index tensors and masks are broadcast together and name places in it: reading
 * copies the slices there (pick), writing changes them (place_). What they give stands where the first of them stood, if they stand
 * side by side (an index tensor of rank 0 does not count), else first. */
#include "bind.h"
#include "ops/place.h"
#include <string.h>

typedef struct choice {
  ms_tensor *view; /* of x, by what makes a view */
  int n;           /* index tensors and masks, */
  ms_tensor *index[MS_MAX_RANK];
  ms_ints dim, dims; /* by index: which dimensions of the view it stands for, the first and how many; */
  ms_ints name;      /* and that of x, for messages */
} choice;

/* ---- reading an index from Lua ---------------------------------------------------------------------------------- */

static void too_many(lua_State *L, int mark, const ms_tensor *x) {
  msl_raise(L, mark, "index: more entries than %s has dimensions", ms_shape_str(x));
}

/* How many dimensions of x the entry at i stands for. */
static int dimensions_of(lua_State *L, int i) {
  const ms_tensor *t = msl_to(L, i);
  if (t) return t->dtype == MS_BOOL ? t->rank : 1;
  return lua_type(L, i) != LUA_TSTRING;
}

/* A tensor for dimension d of the view, which is dimension `name` of x; gives the dimension behind it. */
static int take_tensor(lua_State *L, int mark, choice *c, ms_tensor *t, int d, int name) {
  int dims = 1;
  if (c->n == MS_MAX_RANK) msl_raise(L, mark, "index: expected at most %d index tensors", MS_MAX_RANK);
  if (t->dtype == MS_BOOL && !t->rank) { /* stands for no dimension: for a new one, of which it takes all or nothing */
    c->view = ms_unsqueeze(c->view, d);
    t = ms_reshape(t, MS_INTS(1));
  } else if (t->dtype == MS_BOOL) {
    dims = t->rank;
    for (int k = 0; k < dims; k++)
      if (t->shape[k] != c->view->shape[d + k])
        msl_raise(L, mark, "index: the mask is %s, dimension %d has size %lld", ms_shape_str(t), name + k + 1,
                  (long long)c->view->shape[d + k]);
  }
  c->index[c->n] = t;
  c->dim.at[c->n] = d, c->dims.at[c->n] = dims, c->name.at[c->n] = name;
  c->dim.n = c->dims.n = c->name.n = ++c->n;
  return d + dims;
}

/* The entry at i for dimension d of the view, which is dimension `name` of x; gives the dimension behind it. left: dimensions that
 * "..." stands for. */
static int take_entry(lua_State *L, int mark, int i, choice *c, int d, int name, int left) {
  ms_tensor *t = msl_to(L, i), *x = c->view;
  if (t) return take_tensor(L, mark, c, t, d, name);
  if (lua_type(L, i) == LUA_TSTRING) {
    const char *word = lua_tostring(L, i);
    if (!strcmp(word, "...")) return d + left;
    if (strcmp(word, "new")) msl_raise(L, mark, "index: expected \"...\" or \"new\", got \"%s\"", word);
    c->view = ms_unsqueeze(x, d);
    return d + 1;
  }
  const int64_t size = x->shape[d];
  int ok;
  msl_look(L, i);
  lua_Integer at = lua_tointegerx(L, i, &ok);
  if (ok && lua_type(L, i) == LUA_TNUMBER) {
    if (at == 0 || at > size || at < -size)
      msl_raise(L, mark, "index: position %lld is out of range 1..%lld of dimension %d", (long long)at, (long long)size, name + 1);
    c->view = ms_select(x, d, at > 0 ? at - 1 : at);
    return d;
  }
  ms_ints r;
  if (!lua_istable(L, i) || msl_table_kind(L, i) > MSL_LIST || !msl_ints(L, i, &r) || r.n > 3 || r.n == 1)
    msl_raise(
        L, mark,
        "index: expected a position, {}, {first, last}, {first, last, step}, a tensor, \"...\" or \"new\" for dimension %d, got %s",
        name + 1, lua_type(L, i) == LUA_TNUMBER ? lua_tostring(L, i) : luaL_typename(L, i));
  if (r.n == 0) return d + 1;
  const int64_t a = r.at[0] < 0 ? r.at[0] + size + 1 : r.at[0], b = r.at[1] < 0 ? r.at[1] + size + 1 : r.at[1],
                step = r.n > 2 ? r.at[2] : 1;
  if (a < 1 || b > size || step < 1 || a > size + 1 || r.at[0] == 0 || (r.at[1] == 0 && a != 1))
    msl_raise(L, mark, "index: range {%lld, %lld%s} is out of 1..%lld of dimension %d", (long long)r.at[0], (long long)r.at[1],
              r.n > 2 ? ", step" : "", (long long)size, name + 1);
  c->view = ms_slice(x, d, a - 1, b >= a ? (b - a) / step + 1 : 0, step);
  return d + 1;
}

/* The index at i of x. */
static choice take_index(lua_State *L, int mark, int i, ms_tensor *x) {
  choice c = {.view = x};
  msl_shape_as_list(L, i);
  if (!lua_istable(L, i)) {
    if (dimensions_of(L, i) > x->rank) too_many(L, mark, x);
    take_entry(L, mark, i, &c, 0, 0, 0);
    return c;
  }
  if (msl_table_kind(L, i) > MSL_LIST)
    msl_raise(L, mark, "index: expected a list with one entry for each dimension, got one with holes or names");
  const int n = (int)lua_rawlen(L, i);
  int named = 0, dots = 0;
  for (int k = 1; k <= n; k++) {
    if (lua_rawgeti(L, i, k) == LUA_TSTRING) dots += !strcmp(lua_tostring(L, -1), "...");
    else named += dimensions_of(L, lua_gettop(L));
    lua_pop(L, 1);
  }
  if (named > x->rank) too_many(L, mark, x);
  if (dots > 1) msl_raise(L, mark, "index: expected \"...\" at most once");
  for (int k = 1, d = 0, name = 0; k <= n && c.view; k++) {
    lua_rawgeti(L, i, k);
    const bool is_dots = lua_type(L, -1) == LUA_TSTRING && !strcmp(lua_tostring(L, -1), "...");
    const int stands_for = is_dots ? x->rank - named : dimensions_of(L, lua_gettop(L));
    d = take_entry(L, mark, lua_gettop(L), &c, d, name, x->rank - named);
    name += stands_for;
    lua_pop(L, 1);
  }
  return c;
}

/* ---- the places that index tensors name
 * ------------------------------------------------------------------------------------------ */

typedef struct target {
  ms_tensor *x; /* the view, its indexed dimensions side by side: */
  int d, dims;  /* the first one, and how many */
} target;

/* Move the dimensions that are indexed together. */
static target arrange(const choice *c) {
  bool indexed[MS_MAX_RANK] = {0}, beside = true;
  int before = 0, first = -1, end = -1; /* the first of those that count, and the one behind the last so far */
  for (int k = 0; k < c->n; k++)
    for (int i = 0; i < c->dims.at[k]; i++) indexed[c->dim.at[k] + i] = true;
  for (int k = 0; k < c->n; k++) {
    const int d = (int)c->dim.at[k];
    if (!c->index[k]->rank) continue;
    if (first < 0) first = d;
    for (int i = end; first != d && i < d; i++) beside = beside && indexed[i];
    end = d + (int)c->dims.at[k];
  }
  for (int i = 0; i < first; i++) before += !indexed[i];
  ms_ints order = {.n = 0};
  target t = {c->view, beside ? before : 0, 0};
  for (int i = 0, free = 0; i < c->view->rank && free < t.d; i++)
    if (!indexed[i]) order.at[order.n++] = i, free++;
  for (int k = 0; k < c->n; k++)
    for (int i = 0; i < c->dims.at[k]; i++) order.at[order.n++] = c->dim.at[k] + i, t.dims++;
  for (int i = 0, free = 0; i < c->view->rank; i++)
    if (!indexed[i] && free++ >= t.d) order.at[order.n++] = i;
  bool same = true;
  for (int i = 0; i < order.n; i++) same = same && order.at[i] == i;
  if (!same) t.x = ms_permute(c->view, order);
  return t;
}

/* The positions in the indexed dimensions of the target, counted row by row. */
static ms_tensor *positions(const choice *c) {
  ms_tensor *index[MS_MAX_RANK];
  ms_ints size = {.n = c->n};
  for (int k = 0; k < c->n; k++) {
    size.at[k] = 1;
    for (int i = 0; i < c->dims.at[k]; i++) size.at[k] *= c->view->shape[c->dim.at[k] + i];
    index[k] = c->index[k]->dtype == MS_BOOL ? ms_true_positions(c->index[k]) : c->index[k];
  }
  return c->n == 1 && c->index[0]->dtype == MS_BOOL ? index[0] : ms_positions(c->n, index, &size, &c->name);
}

static ms_tensor *read_choice(const choice *c) {
  if (!c->view || !c->n) return c->view;
  const target t = arrange(c);
  return t.x ? ms_pick_at(t.x, t.d, t.dims, positions(c)) : NULL;
}

/* ---- writing
 * --------------------------------------------------------------------------------------------------------------------- */

/* src, a tensor or a number, as a tensor like x in the shape v. */
static ms_tensor *fitted(ms_tensor *src, const ms_tensor *x, ms_ints v) {
  if (!src) return NULL;
  if (src->is_number) {
    if (!ms_scalar_fits(src->number, x->dtype))
      return ms_fail("assignment: %s cannot hold %s", ms_shape_str(x), ms_scalar_str(src->number));
    ms_tensor *out[MS_MAX_OUT];
    const ms_attr attr[] = {A_INTS((ms_ints){.n = 0}), {.s = src->number}, A_INT(x->dtype)};
    return ms_apply_n(MS_OP_full, x->device, 0, NULL, attr, out) < 0 ? NULL : ms_expand(out[0], v);
  }
  while (src && src->rank > v.n && src->shape[0] == 1) src = ms_select(src, 0, 0);
  return ms_expand(ms_cast(src, x->dtype), v);
}

/* Does src, for slices in the shape of t.x behind a dimension of hits, need to know how many hits there are? */
static bool same_for_all(const ms_tensor *src, const target *t) {
  const int behind = t->x->rank - t->d - t->dims;
  return src->is_number || src->rank <= behind || src->shape[src->rank - 1 - behind] == 1;
}

/* Where the mask is true, whatever the number of these places: nothing has to be counted, and a recorded step can do it, too. */
static ms_tensor *write_masked(const target *t, ms_tensor *mask, ms_tensor *src) {
  const int behind = t->x->rank - t->d - t->dims;
  mask = ms_reshape(mask, ms_padded_shape(mask, 0, behind));
  if (!src->is_number) {
    src = ms_cast(src, t->x->dtype);
    if (src && src->rank > behind) { /* the dimension of the hits: as many as the mask has, of size 1 */
      ms_ints v = ms_sizes(src), wide = {.n = 0};
      for (int i = 0; i < v.n; i++)
        for (int k = 0; k < (i == v.n - 1 - behind ? t->dims : 1); k++) wide.at[wide.n++] = v.at[i];
      src = ms_reshape(src, wide);
    }
  }
  return ms_apply(MS_OP_masked_fill_, MS_IN(t->x, mask, src), NULL);
}

/* x has a graph, or will have: x becomes a new tensor with src at the places. */
static ms_tensor *write_in_graph(lua_State *L, int mark, int i, ms_tensor *x, const choice *c, ms_tensor *src, bool adds) {
  if (c->n == 1 && c->view == x && c->index[0]->dtype == MS_BOOL && c->index[0]->rank && src->is_number && !adds)
    return write_masked(&(target){x, (int)c->dim.at[0], (int)c->dims.at[0]}, c->index[0], src);
  if (x->requires_grad && ms_is_leaf(x))
    msl_raise(L, mark, "assignment: a leaf that requires gradients cannot be changed in place; do it inside ms.no_grad()");
  if (x->is_view)
    msl_raise(L, mark, "assignment: a view cannot be changed in place while gradients are recorded; change what it is a view of");
  choice of_numbers = take_index(L, mark, i, ms_number_off(x));
  ms_tensor *at = read_choice(&of_numbers);
  return at ? ms_place_at_(x, 0, x->rank, at, fitted(src, x, ms_sizes(at)), adds) : NULL;
}

/* x[index at i] = src, or += src. */
static ms_tensor *write(lua_State *L, int mark, int i, ms_tensor *x, ms_tensor *src, bool adds) {
  const choice c = take_index(L, mark, i, x);
  if (!c.view || !src) return NULL;
  if (ms_grad_enabled() && (x->requires_grad || src->requires_grad)) return write_in_graph(L, mark, i, x, &c, src, adds);
  if (!c.n && !adds) return src->is_number ? ms_copy_(c.view, src) : ms_copy_(c.view, fitted(src, x, ms_sizes(c.view)));
  if (!c.n) return ms_apply_inplace(MS_OP_add, MS_IN(c.view, fitted(src, x, ms_sizes(c.view))), NULL);
  const target t = arrange(&c);
  if (!t.x) return NULL;
  if (c.n == 1 && c.index[0]->dtype == MS_BOOL && !adds && same_for_all(src, &t)) return write_masked(&t, c.index[0], src);
  ms_tensor *at = positions(&c);
  if (!at) return NULL;
  ms_ints v = {.n = 0};
  for (int k = 0; k < t.d; k++) v.at[v.n++] = t.x->shape[k];
  for (int k = 0; k < at->rank; k++) v.at[v.n++] = at->shape[k];
  for (int k = t.d + t.dims; k < t.x->rank; k++) v.at[v.n++] = t.x->shape[k];
  return ms_place_at_(t.x, t.d, t.dims, at, fitted(src, x, v), adds);
}

/* ---- for Lua
 * --------------------------------------------------------------------------------------------------------------------- */

ms_tensor *msl_read_index(lua_State *L, int mark, int i, ms_tensor *x) {
  const choice c = take_index(L, mark, i, x);
  return read_choice(&c);
}

void msl_write_index(lua_State *L, int mark, int i, ms_tensor *x, int value) {
  ms_tensor *src = msl_operand(L, value);
  if (!src && !ms_error()) msl_raise(L, mark, "assignment: expected a tensor or a number, got %s", luaL_typename(L, value));
  write(L, mark, i, x, src, false);
}

/* x:index_put(index, values [, accumulate]), x:index_put_(...): a new tensor, or x itself, with values at x[index], added if
 * accumulate. */
static int index_put(lua_State *L) { /* upvalue: in place? */
  static const char *const names[] = {"accumulate", NULL};
  const bool in_place = lua_toboolean(L, lua_upvalueindex(1));
  const char *what = in_place ? "index_put_" : "index_put";
  ms_tensor *x = msl_check(L, 1, what);
  msl_at_most(L, 4, what);
  bool adds = lua_isboolean(L, 4) && lua_toboolean(L, 4);
  if (!lua_isboolean(L, 4))
    msl_check_options(L, 4, what, names), adds = msl_flag(L, lua_istable(L, 4) ? 4 : 0, what, "accumulate", false);
  const int mark = msl_enter(L);
  ms_tensor *src = msl_operand(L, 3);
  if (!src && !ms_error()) return msl_raise(L, mark, "%s: expected a tensor or a number, got %s", what, luaL_typename(L, 3));
  if (lua_isnoneornil(L, 2) || (lua_type(L, 2) == LUA_TSTRING))
    return msl_raise(L, mark, "%s: expected an index as in x[index], got %s", what, luaL_typename(L, 2));
  if (!in_place) x = ms_apply(MS_OP_clone, MS_IN(x), NULL);
  if (x && write(L, mark, 2, x, src, adds) && !in_place) msl_push(L, x);
  msl_leave(L, mark);
  if (in_place) lua_settop(L, 1);
  return 1;
}

void msl_open_indexing(lua_State *L) { /* stack: module, methods */
  for (int in_place = 0; in_place < 2; in_place++) {
    const char *name = in_place ? "index_put_" : "index_put";
    lua_pushboolean(L, in_place);
    lua_pushcclosure(L, index_put, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
    lua_setfield(L, -3, name);
  }
}
