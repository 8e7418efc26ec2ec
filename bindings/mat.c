/* mat.c -- MATLAB's files for Lua: numbers become tensors, characters strings, cells lists, structures tables by field. */
#include "data/mat.h"
#include "host.h"
#include <string.h>

static void close_mat(void *f) { ms_mat_close(f); }
static void free_rows(void *t) { ms_mat_rows_free(t); }

/* What the caller wants; stack indices, 0 for none. */
typedef struct wish {
  int names, permute; /* name -> true; name -> list of dimensions */
  int64_t limit;      /* of the last dimension of each variable; -1: all */
} wish;

/* The order of dimensions that permute has for this variable (from 0), or 0, 1, 2, ... Raises when it is none. */
static void order_of(lua_State *L, int mark, const wish *w, const ms_mat_var *v, const char *path, int *order) {
  const int rank = v->rank - v->complex;
  ms_ints given = {0};
  for (int d = 0; d < v->rank; d++) order[d] = d;
  if (!w->permute || lua_getfield(L, w->permute, v->name) == LUA_TNIL) {
    if (w->permute) lua_pop(L, 1);
    return;
  }
  unsigned seen = 0;
  bool ok = msl_ints(L, -1, &given) && given.n == rank;
  for (int d = 0; ok && d < rank; d++) {
    ok = given.at[d] >= 1 && given.at[d] <= rank && !(seen >> given.at[d] & 1);
    seen |= ok ? 1u << given.at[d] : 0;
    order[d] = (int)given.at[d] - 1;
  }
  if (!ok)
    msl_raise(L, mark, "read_mat: permute: expected each of the dimensions 1..%d of '%s' in %s once, in a list", rank, v->name,
              path);
  lua_pop(L, 1);
}

/* Push the numbers that come next, their dimensions in this order. */
static int push_numbers(lua_State *L, ms_mat *f, const ms_mat_var *v, const int *order) {
  int64_t shape[MS_MAX_RANK], stride[MS_MAX_RANK], step = 1;
  const int inner = ms_scope_open();
  for (int d = v->rank - 1; d >= 0; d--) {
    shape[d] = v->shape[order[d]];
    stride[order[d]] = step;
    step *= shape[d] ? shape[d] : 1;
  }
  ms_tensor *t = ms_mat_allow(f) ? NULL : ms_empty(v->dtype, v->rank, shape, ms_device_host());
  const bool ok = t && !ms_mat_numbers(f, ms_data(t), stride);
  if (ok) msl_push(L, t);
  ms_scope_close(inner);
  return ok ? 0 : -1;
}

/* One row of characters (or none) is a string; several are a list. */
static int push_text(lua_State *L, ms_mat *f) {
  msl_owned *g = msl_own(L, free_rows);
  const ms_mat_rows *t = g->p = ms_mat_text(f);
  if (!t) return -1;
  if (t->rows <= 1) lua_pushlstring(L, t->bytes, t->rows ? t->end[0] : 0);
  else {
    lua_newtable(L);
    for (int64_t i = 0; i < t->rows; i++) {
      const size_t from = i ? t->end[i - 1] : 0;
      lua_pushlstring(L, t->bytes + from, t->end[i] - from);
      lua_rawseti(L, -2, i + 1);
    }
  }
  lua_remove(L, -2);
  msl_owned_free(g);
  return 0;
}

/* The value at the top goes to place i (from 0, column after column) of rows x columns in the table below it: a list for a row or a
 * column, else a list of rows. */
static void put(lua_State *L, int64_t i, int64_t rows, int64_t columns) {
  if (rows == 1 || columns == 1) {
    lua_rawseti(L, -2, i + 1);
    return;
  }
  if (lua_rawgeti(L, -2, i % rows + 1) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -4, i % rows + 1);
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, i / rows + 1);
  lua_pop(L, 1);
}

static int push_value(lua_State *L, ms_mat *f, const ms_mat_var *v, const char *path, const char *top, const int *order);

/* The values of cells, or of the structures' fields. */
static int push_inner(lua_State *L, ms_mat *f, const ms_mat_var *v, const char *path, const char *top) {
  const int64_t rows = v->shape[0], columns = v->shape[1], count = v->count;
  const int fields = v->kind == MS_MAT_STRUCT ? v->fields : 0, straight[MS_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
  const bool structure = v->kind == MS_MAT_STRUCT, alone = structure && count == 1;
  ms_mat_var child;
  int rc;
  if (v->rank != 2) return ms_fail("%s: %s: %s of more than two dimensions", path, top, v->class), -1;
  if (ms_mat_enter(f)) return -1;
  luaL_checkstack(L, 12, "values within values");
  lua_newtable(L);
  for (int64_t i = 0; structure && !fields && !alone && i < count; i++) {
    lua_newtable(L);
    put(L, i, rows, columns);
  }
  if (structure && fields && !alone) lua_newtable(L); /* the structure that is being read */
  for (int64_t i = 0; (rc = ms_mat_next(f, &child)) == 1; i++) {
    if (structure) {
      lua_pushstring(L, child.name);
      if (lua_pushvalue(L, -1), lua_rawget(L, -3) != LUA_TNIL)
        return ms_fail("%s: damaged: %s has two fields '%s'", path, top, child.name), -1;
      lua_pop(L, 1);
    }
    if (push_value(L, f, &child, path, top, straight)) return -1;
    if (!structure) put(L, i, rows, columns);
    else lua_rawset(L, -3);
    if (structure && !alone && (i + 1) % fields == 0) {
      put(L, i / fields, rows, columns);
      lua_newtable(L);
    }
  }
  if (structure && fields && !alone) lua_pop(L, 1);
  return rc;
}

static int push_value(lua_State *L, ms_mat *f, const ms_mat_var *v, const char *path, const char *top, const int *order) {
  switch (v->kind) {
  case MS_MAT_NUMBERS: return push_numbers(L, f, v, order);
  case MS_MAT_TEXT: return push_text(L, f);
  case MS_MAT_CELLS:
  case MS_MAT_STRUCT: return push_inner(L, f, v, path, top);
  default:
    return ms_fail("%s: '%s' is or has %s, which is not read; name the variables to read by the option names", path, top,
                   v->why_not),
           -1;
  }
}

/* data.mat_read(path, names or nil, permute or nil, limit or nil, partial, max_bytes) -> values by name, list of the names in the
 * file's order, { header =, cut = { name -> { read, declared } } }. names: name -> true. */
static int mat_read(lua_State *L) {
  const char *path = msl_string(L, 1, "read_mat", "the name of a file");
  const wish w = {.names = lua_istable(L, 2) ? 2 : 0, .permute = lua_istable(L, 3) ? 3 : 0, .limit = luaL_optinteger(L, 4, -1)};
  const uint64_t max_bytes = msl_max_bytes(L, 6, "read_mat");
  const bool partial = lua_toboolean(L, 5);
  lua_settop(L, 6);
  msl_owned *g = msl_own(L, close_mat);
  for (int k = 0; k < 4; k++) lua_newtable(L);
  const int values = lua_gettop(L) - 3, list = values + 1, notes = values + 2, cut = values + 3, mark = msl_enter(L);
  ms_mat *f = g->p = ms_mat_open(path, max_bytes, partial);
  ms_mat_var v;
  lua_pushstring(L, f ? ms_mat_header(f) : "");
  lua_setfield(L, notes, "header");
  int rc = f ? 1 : -1, order[MS_MAX_RANK];
  while (rc == 1 && (rc = ms_mat_next(f, &v)) == 1) {
    lua_pushstring(L, v.name); /* also keeps the name */
    const char *name = lua_tostring(L, -1);
    const int at = lua_gettop(L);
    if (w.names) {
      lua_pushvalue(L, at);
      const bool wanted = lua_rawget(L, w.names) != LUA_TNIL;
      lua_settop(L, wanted ? at : at - 1);
      if (!wanted) continue;
    }
    lua_pushvalue(L, at);
    if (lua_rawget(L, values) != LUA_TNIL) return msl_raise(L, mark, "%s: damaged: there are two variables '%s'", path, name);
    lua_settop(L, at);
    order_of(L, mark, &w, &v, path, order);
    const int64_t there = v.shape[v.rank - 1 - v.complex];
    if (v.kind == MS_MAT_NUMBERS && there != v.declared) {
      lua_newtable(L);
      lua_pushinteger(L, there);
      lua_rawseti(L, -2, 1);
      lua_pushinteger(L, v.declared);
      lua_rawseti(L, -2, 2);
      lua_setfield(L, cut, name);
    }
    if (v.kind == MS_MAT_NUMBERS && w.limit >= 0 && w.limit < there) ms_mat_first(f, w.limit, &v);
    if (push_value(L, f, &v, path, name, order)) rc = -1;
    else {
      lua_pushvalue(L, at);
      lua_insert(L, -2);
      lua_rawset(L, values);
      lua_pushvalue(L, at);
      lua_rawseti(L, list, luaL_len(L, list) + 1);
    }
    lua_settop(L, at - 1);
  }
  msl_owned_free(g);
  msl_leave(L, mark);
  lua_setfield(L, notes, "cut");
  return 3;
}

/* data.mat_names(path) -> list of the names of the variables, which are skipped */
static int mat_names(lua_State *L) {
  const char *path = msl_string(L, 1, "read_mat", "the name of a file");
  msl_owned *g = msl_own(L, close_mat);
  const int mark = msl_enter(L);
  ms_mat *f = g->p = ms_mat_open(path, 0, true);
  ms_mat_var v;
  lua_newtable(L);
  for (lua_Integer i = 1; f && ms_mat_next(f, &v) == 1; i++) {
    lua_pushstring(L, v.name);
    lua_rawseti(L, -2, i);
  }
  msl_owned_free(g);
  msl_leave(L, mark);
  return 1;
}

void msl_open_mat(lua_State *L) { /* stack: module, methods */
  msl_inside(L);
  luaL_getsubtable(L, -1, "data");
  lua_pushcfunction(L, mat_read);
  lua_setfield(L, -2, "mat_read");
  lua_pushcfunction(L, mat_names);
  lua_setfield(L, -2, "mat_names");
  lua_pop(L, 2);
}
