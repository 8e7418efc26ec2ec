/* arguments.c -- the arguments of a compiled function, taken apart into a list of tensors, a list of numbers and a key (everything
 * else as bytes); and its results as an outline: their tables, with a mark in the place of each tensor. */
#include "steps.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables in a fixed order ------------------------------------------------------------------------------------- */

enum { NAMES = 64 };

typedef struct fields {
  int list, n;             /* entries 1..list, and n with names */
  const char *name[NAMES]; /* the table's own texts */
} fields;

static int compare_names(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The keys of the plain table at i: 1..list, then the texts sorted. NULL, or why it has none such. */
static const char *read_fields(lua_State *L, int i, fields *f) {
  f->list = (int)lua_rawlen(L, i), f->n = 0;
  int all = 0;
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1), all++) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    if (f->n == NAMES) return lua_pop(L, 2), "a table with more than 64 names";
    f->name[f->n++] = lua_tostring(L, -2);
  }
  if (all != f->list + f->n) return "a table with a key that is neither a text nor one of 1, 2, ... without holes";
  qsort(f->name, (size_t)f->n, sizeof *f->name, compare_names);
  return NULL;
}

/* Push field k (0..list + n - 1) of the table at i. */
static void push_entry(lua_State *L, int i, const fields *f, int k) {
  if (k < f->list) lua_rawgeti(L, i, k + 1);
  else lua_pushstring(L, f->name[k - f->list]), lua_rawget(L, i);
}
static void set_entry(lua_State *L, int i, const fields *f, int k) { /* pops the value */
  if (k < f->list) {
    lua_rawseti(L, i, k + 1);
    return;
  }
  lua_pushstring(L, f->name[k - f->list]);
  lua_insert(L, -2);
  lua_rawset(L, i);
}

/* A table without a metatable is taken apart; one with is an object, like a function. */
static bool plain_table(lua_State *L, int i) {
  if (!lua_istable(L, i)) return false;
  if (!lua_getmetatable(L, i)) return true;
  return lua_pop(L, 1), false;
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

void msl_key(arguments *v, const void *p, size_t n) {
  if (v->n_key + n > KEY_BYTES) v->problem = "more than can be told apart";
  else memcpy(v->key + v->n_key, p, n), v->n_key += n;
}
void msl_key_int(arguments *v, int64_t x) { msl_key(v, &x, sizeof x); }

/* Whole numbers that a double, and so a live number, cannot hold: they are known by value. */
static bool is_large(lua_State *L, int i) {
  if (!lua_isinteger(L, i)) return false;
  lua_Integer n = lua_tointeger(L, i);
  return n > (lua_Integer)1 << 53 || n < -((lua_Integer)1 << 53);
}

static void read_tensor(arguments *v, ms_tensor *t) {
  if (v->n == MAX_TENSORS) {
    v->problem = "more than 256 tensors";
    return;
  }
  msl_key_int(v, t->dtype | t->rank << 4 | t->requires_grad << 8 | (t->node != NULL) << 9 | (t->grad != NULL) << 10);
  msl_key(v, &t->device, sizeof t->device);
  msl_key(v, t->shape, t->rank * sizeof *t->shape);
  msl_key(v, t->stride, t->rank * sizeof *t->stride);
  v->tensor[v->n++] = t;
}

void msl_read_argument(lua_State *L, int i, arguments *v, int depth) {
  ms_tensor *t = NULL;
  ms_ints sizes;
  size_t n;
  unsigned char type = (unsigned char)lua_type(L, i);
  if (is_large(L, i)) type = 101;
  else if (type == LUA_TNUMBER && lua_isinteger(L, i)) type = 100;
  msl_key(v, &type, 1);
  switch (lua_type(L, i)) {
  case LUA_TNIL: break;
  case LUA_TNUMBER:
    if (type == 101) {
      msl_key_int(v, lua_tointeger(L, i));
      break;
    }
    if (v->n_number == MAX_TENSORS) {
      v->problem = "more than 256 numbers";
      break;
    }
    v->whole[v->n_number] = lua_isinteger(L, i);
    v->number[v->n_number++] = msl_plain(L, i);
    break;
  case LUA_TSTRING: {
    const char *s = lua_tolstring(L, i, &n);
    msl_key_int(v, (int64_t)n);
    msl_key(v, s, n);
    break;
  }
  case LUA_TBOOLEAN:
    type = (unsigned char)lua_toboolean(L, i);
    msl_key(v, &type, 1);
    break;
  case LUA_TUSERDATA: t = msl_to(L, i); /* fall through */
  default:
    if (t) {
      read_tensor(v, t);
    } else if (msl_to_shape(L, i, &sizes)) { /* a shape: known by its sizes */
      msl_key_int(v, sizes.n);
      msl_key(v, sizes.at, (size_t)sizes.n * sizeof *sizes.at);
    } else if (!plain_table(L, i)) {
      msl_key_int(v, (int64_t)(intptr_t)lua_topointer(L, i));
    } else if (depth == TABLE_DEPTH) {
      v->problem = "tables nested deeper than 8";
    } else {
      luaL_checkstack(L, 8, "compile");
      fields f;
      const char *problem = read_fields(L, i, &f);
      if (problem) v->problem = problem;
      msl_key_int(v, f.list);
      msl_key_int(v, f.n);
      for (int k = 0; k < f.list + f.n && !v->problem; k++) {
        if (k >= f.list) msl_key(v, f.name[k - f.list], strlen(f.name[k - f.list]) + 1);
        push_entry(L, i, &f, k);
        msl_read_argument(L, lua_gettop(L), v, depth + 1);
        lua_pop(L, 1);
      }
    }
  }
}

void msl_anchor(lua_State *L, int i, int list, int depth) {
  int type = lua_type(L, i);
  if (plain_table(L, i)) {
    fields f;
    luaL_checkstack(L, 8, "compile");
    if (depth == TABLE_DEPTH || read_fields(L, i, &f)) return;
    for (int k = 0; k < f.list + f.n; k++) {
      push_entry(L, i, &f, k);
      msl_anchor(L, lua_gettop(L), list, depth + 1);
      lua_pop(L, 1);
    }
  } else if (type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TTHREAD || (type == LUA_TUSERDATA && !msl_to(L, i))) {
    lua_pushvalue(L, i);
    lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
  }
}

void msl_describe(lua_State *L, int i, char *out, size_t size, int depth) {
  size_t n = strlen(out);
  ms_tensor *t = msl_to(L, i);
  fields f;
  const char *text = luaL_typename(L, i);
  char own[48];
  if (n + 8 > size) return;
  if (t) text = ms_shape_str(t);
  else if (lua_type(L, i) == LUA_TBOOLEAN) text = lua_toboolean(L, i) ? "true" : "false";
  else if (lua_type(L, i) == LUA_TSTRING) snprintf(own, sizeof own, "'%.40s'", lua_tostring(L, i)), text = own;
  else if (plain_table(L, i) && depth < 3 && !read_fields(L, i, &f)) {
    luaL_checkstack(L, 8, "compile");
    snprintf(out + n, size - n, "{");
    for (int k = 0; k < f.list + f.n; k++) {
      n = strlen(out);
      snprintf(out + n, size - n, "%s%s%s", k ? ", " : "", k < f.list ? "" : f.name[k - f.list], k < f.list ? "" : " = ");
      push_entry(L, i, &f, k);
      msl_describe(L, lua_gettop(L), out, size, depth + 1);
      lua_pop(L, 1);
    }
    n = strlen(out), text = "}";
  }
  snprintf(out + n, size - n, "%s", text);
}

/* ---- lending: live numbers in the place of the arguments' numbers -------------------------------------------------- */

/* A number becomes a live one, unless the key knows it by value. Replaces the value on top. */
static void lend_number(lua_State *L, loan *w) {
  int k = w->k++;
  if (w->looked[k] || msl_live(L, -1)) return; /* live already: a table that is there twice */
  msl_push_lent(L, w->cell[k], w->v->whole[k]);
  lua_remove(L, -2);
}

static void append_note(lua_State *L, loan *w) { lua_rawseti(L, w->list, ++w->n); } /* pops */

static void lend_table(lua_State *L, int i, loan *w, int depth) {
  fields f;
  if (depth == TABLE_DEPTH || read_fields(L, i, &f)) return;
  luaL_checkstack(L, 12, "compile");
  for (int k = 0; k < f.list + f.n; k++) {
    push_entry(L, i, &f, k);
    int at = lua_gettop(L);
    if (plain_table(L, at)) lend_table(L, at, w, depth + 1);
    lua_pushvalue(L, i), append_note(L, w);
    if (k < f.list) lua_pushinteger(L, k + 1);
    else lua_pushstring(L, f.name[k - f.list]);
    append_note(L, w);
    lua_pushvalue(L, at), append_note(L, w);
    if ((lua_type(L, at) == LUA_TNUMBER && !is_large(L, at)) || msl_live(L, at)) {
      lend_number(L, w);
      lua_pushvalue(L, at);
      set_entry(L, i, &f, k);
    }
    append_note(L, w); /* what lies there now */
  }
  lua_pushvalue(L, i), append_note(L, w);
  lua_pushinteger(L, f.list + f.n), append_note(L, w);
  lua_pushboolean(L, false), append_note(L, w); /* false and true: a count of fields, and no field */
  lua_pushboolean(L, true), append_note(L, w);
}

void msl_lend(lua_State *L, int i, loan *w) {
  lua_pushvalue(L, i);
  if (lua_type(L, i) == LUA_TNUMBER && !is_large(L, i)) lend_number(L, w);
  else if (plain_table(L, i)) lend_table(L, i, w, 0);
}

/* Live numbers that the function put into a table: plain ones. */
static void settle_fields(lua_State *L, int i) {
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
    if (!msl_live(L, -1)) continue;
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    msl_look(L, lua_gettop(L));
    lua_rawset(L, i);
  }
}

const char *msl_take_back(lua_State *L, int list) {
  static char what[64];
  const char *changed = NULL;
  luaL_checkstack(L, 12, "compile");
  int top = lua_gettop(L);
  for (lua_Integer n = (lua_Integer)lua_rawlen(L, list) - 3; n > 0; n -= 4, lua_settop(L, top)) {
    for (int k = 0; k < 4; k++) lua_rawgeti(L, list, n + k);               /* table, key, what was there, what was put there */
    if (lua_isboolean(L, top + 3) && !lua_rawequal(L, top + 3, top + 4)) { /* the count of fields */
      lua_Integer count = 0;
      for (lua_pushnil(L); lua_next(L, top + 1); lua_pop(L, 1)) count++;
      if (count == lua_tointeger(L, top + 2)) continue;
      changed = "a field";
      settle_fields(L, top + 1);
      continue;
    }
    lua_pushvalue(L, top + 2);
    lua_rawget(L, top + 1);
    if (lua_rawequal(L, -1, top + 4)) {
      if (lua_rawequal(L, top + 3, top + 4)) continue;
      lua_pushvalue(L, top + 2);
      lua_pushvalue(L, top + 3);
      lua_rawset(L, top + 1);
      continue;
    }
    lua_pushvalue(L, top + 2);
    snprintf(what, sizeof what, "field '%.40s'", lua_tostring(L, -1));
    changed = what;
    lua_pop(L, 1);
    lua_pushvalue(L, top + 2);
    lua_insert(L, -2);
    msl_look(L, lua_gettop(L));
    lua_rawset(L, top + 1);
  }
  return changed;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static void push_place(lua_State *L, int k) { lua_pushlightuserdata(L, (void *)(intptr_t)(k + 1)); }

static void tensor_to_outline(lua_State *L, int i, ms_tensor *t, results *r) {
  for (int k = 0; k < r->v->n; k++)
    if (r->v->tensor[k] == t) return push_place(L, MAX_TENSORS + k);
  bool given = false; /* a view of an argument, made anew in each call: x:detach():requires_grad_(true) */
  for (int k = 0; k < r->v->n && !given; k++) given = r->v->tensor[k]->storage == t->storage;
  if (!t->node && t->requires_grad && t->storage && !given &&
      t->storage->birth <= r->born) { /* a parameter: itself, for the sake of its .grad */
    lua_pushvalue(L, i);
    return;
  }
  for (int k = 0; k < r->n; k++)
    if (r->out[k] == t) return push_place(L, k);
  if (r->n == MAX_TENSORS) r->problem = "more than 256 tensors";
  else r->out[r->n++] = t;
  push_place(L, r->n - 1);
}

void msl_to_outline(lua_State *L, int i, results *r, int depth) {
  ms_tensor *t = msl_to(L, i);
  fields f;
  if (t) {
    tensor_to_outline(L, i, t, r);
    return;
  }
  ms_cell *live = msl_live(L, i);
  if (live) { /* one of the outline's own, that no recording waits for */
    msl_push_live(L, live, msl_live_whole(L, i));
    return;
  }
  const char *problem = NULL;
  if (!plain_table(L, i) || depth == TABLE_DEPTH || (problem = read_fields(L, i, &f))) {
    if (depth == TABLE_DEPTH) problem = "tables nested deeper than 8";
    if (problem) r->problem = problem;
    lua_pushvalue(L, i);
    return;
  }
  luaL_checkstack(L, 8, "compile");
  lua_createtable(L, f.list, f.n);
  int to = lua_gettop(L);
  for (int j = 0; j < f.list + f.n; j++) {
    push_entry(L, i, &f, j);
    msl_to_outline(L, lua_gettop(L), r, depth + 1);
    lua_remove(L, -2);
    set_entry(L, to, &f, j);
  }
}

void msl_from_outline(lua_State *L, int i, const arguments *v, ms_tensor *const *out) {
  const ms_cell *live;
  if (lua_islightuserdata(L, i)) {
    intptr_t k = (intptr_t)lua_touserdata(L, i) - 1;
    if (k < 0) lua_pushnil(L);
    else if (k < MAX_TENSORS) msl_push_result(L, out[k]);
    else msl_push(L, v->tensor[k - MAX_TENSORS]);
  } else if ((live = msl_live(L, i))) {
    msl_push_plain(L, ms_cell_get(live));
  } else if (plain_table(L, i)) {
    luaL_checkstack(L, 6, "compile");
    lua_newtable(L);
    int to = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
      lua_pushvalue(L, -2);
      msl_from_outline(L, lua_gettop(L) - 1, v, out);
      lua_rawset(L, to);
    }
  } else lua_pushvalue(L, i);
}

bool msl_same_outline(lua_State *L, int i, int j, int depth) {
  const ms_cell *a = msl_live(L, i), *b = msl_live(L, j);
  const ms_tensor *t = msl_to(L, i);
  if (t && t == msl_to(L, j)) return true; /* userdata of one tensor may differ */
  if (a && b) return true;
  if (a || b) { /* run from plain numbers, to check */
    int at = a ? j : i;
    return lua_type(L, at) == LUA_TNUMBER && ms_cell_get(a ? a : b).value == lua_tonumber(L, at);
  }
  if (!plain_table(L, i) || !plain_table(L, j)) {
    lua_Number x = lua_tonumber(L, i), y = lua_tonumber(L, j);
    if (msl_to_shape(L, i, NULL) && msl_to_shape(L, j, NULL)) return lua_compare(L, i, j, LUA_OPEQ);
    return lua_rawequal(L, i, j) || (lua_type(L, i) == LUA_TNUMBER && lua_type(L, j) == LUA_TNUMBER && x != x && y != y);
  }
  fields f, g;
  luaL_checkstack(L, 8, "compile");
  if (depth == TABLE_DEPTH || read_fields(L, i, &f) || read_fields(L, j, &g) || f.list != g.list || f.n != g.n) return false;
  for (int k = 0; k < f.n; k++)
    if (strcmp(f.name[k], g.name[k]) != 0) return false;
  bool same = true;
  for (int k = 0; k < f.list + f.n && same; k++) {
    push_entry(L, i, &f, k);
    push_entry(L, j, &f, k);
    same = msl_same_outline(L, lua_gettop(L) - 1, lua_gettop(L), depth + 1);
    lua_pop(L, 2);
  }
  return same;
}
