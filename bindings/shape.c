/* shape.c -- x.shape as Lua sees it: a list of sizes that prints ("{2, 3}"), compares with a list or another shape, joins with
 * text, is walked over by ipairs and table.concat, and refuses assignment, which could not change the tensor.
 *
 * It is a table without entries, so that == between it and a plain list reaches __eq; the sizes lie in one string under a key of
 * which only this file knows. */
#include "bind.h"
#include <string.h>

static const char shape_key;

void msl_push_shape(lua_State *L, int n, const int64_t *size) {
  lua_createtable(L, 0, 1);
  lua_pushlstring(L, (const char *)size, (size_t)n * sizeof *size);
  lua_rawsetp(L, -2, &shape_key);
  luaL_setmetatable(L, "mascon.shape");
}

bool msl_to_shape(lua_State *L, int i, ms_ints *v) {
  if (!lua_istable(L, i)) return false;
  i = lua_absindex(L, i);
  if (!lua_getmetatable(L, i)) return false;
  luaL_getmetatable(L, "mascon.shape");
  bool is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  if (!is) return false;
  lua_rawgetp(L, i, &shape_key);
  size_t bytes = 0;
  const char *p = lua_tolstring(L, -1, &bytes);
  bool fits = p && bytes <= sizeof v->at && bytes % sizeof *v->at == 0; /* rawset reaches it */
  if (v && fits) {
    v->n = (int)(bytes / sizeof *v->at);
    if (bytes) memcpy(v->at, p, bytes);
  }
  lua_pop(L, 1);
  return fits;
}

void msl_shape_as_list(lua_State *L, int i) {
  ms_ints v;
  if (!msl_to_shape(L, i, &v)) return;
  i = lua_absindex(L, i);
  luaL_checkstack(L, 3, "shape");
  lua_createtable(L, v.n, 0);
  for (int k = 0; k < v.n; k++) {
    lua_pushinteger(L, v.at[k]);
    lua_rawseti(L, -2, k + 1);
  }
  lua_replace(L, i);
}

static ms_ints self(lua_State *L) {
  ms_ints v;
  if (!msl_to_shape(L, 1, &v)) luaL_error(L, "expected a shape, got %s", luaL_typename(L, 1));
  return v;
}

static int shape_index(lua_State *L) {
  ms_ints v = self(L);
  int ok;
  lua_Integer k = lua_tointegerx(L, 2, &ok);
  if (ok && lua_type(L, 2) == LUA_TNUMBER) {
    if (k < 0 && k >= -v.n) k += v.n + 1;
    if (k >= 1 && k <= v.n) return lua_pushinteger(L, v.at[k - 1]), 1;
    if (k < 1 || k > v.n + 1)
      return msl_raise(L, ms_scope_open(), "a shape has no entry %d: expected 1..%d, or -1, -2, ... from the end",
                       (int)lua_tointeger(L, 2), v.n);
    return 0; /* behind the last one, as in any list: ipairs stops there */
  }
  return msl_raise(L, ms_scope_open(), "a shape has no field '%s'; it is a list of sizes", luaL_tolstring(L, 2, NULL));
}

static int shape_newindex(lua_State *L) {
  return msl_raise(L, ms_scope_open(),
                   "a shape cannot be changed; x:reshape{...} gives another view of x, {table.unpack(x.shape)} a list of your own");
}

static int shape_len(lua_State *L) { return lua_pushinteger(L, self(L).n), 1; }

/* One side may be a plain list. */
static int shape_eq(lua_State *L) {
  ms_ints v[2];
  bool same = true;
  for (int i = 0; i < 2 && same; i++) same = msl_table_kind(L, i + 1) <= MSL_LIST && msl_ints(L, i + 1, &v[i]);
  same = same && v[0].n == v[1].n && !memcmp(v[0].at, v[1].at, (size_t)v[0].n * sizeof *v[0].at);
  return lua_pushboolean(L, same), 1;
}

static int shape_tostring(lua_State *L) {
  ms_ints v = self(L);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addchar(&b, '{');
  for (int i = 0; i < v.n; i++) {
    lua_pushfstring(L, i ? ", %I" : "%I", (LUAI_UACINT)v.at[i]);
    luaL_addvalue(&b);
  }
  luaL_addchar(&b, '}');
  return luaL_pushresult(&b), 1;
}

static int shape_concat(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  luaL_tolstring(L, 2, NULL);
  return lua_concat(L, 2), 1;
}

static int shape_next(lua_State *L) {
  ms_ints v = self(L);
  lua_Integer k = luaL_optinteger(L, 2, 0);
  if (k < 0 || k >= v.n) return 0;
  lua_pushinteger(L, k + 1);
  lua_pushinteger(L, v.at[k]);
  return 2;
}

static int shape_pairs(lua_State *L) {
  self(L);
  lua_pushcfunction(L, shape_next);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

void msl_open_shape(lua_State *L) {
  static const luaL_Reg events[] = {
      {"__index", shape_index},       {"__newindex", shape_newindex}, {"__len", shape_len},     {"__eq", shape_eq},
      {"__tostring", shape_tostring}, {"__concat", shape_concat},     {"__pairs", shape_pairs}, {NULL, NULL}};
  msl_metatable(L, "mascon.shape");
  luaL_setfuncs(L, events, 0);
  lua_pushliteral(L, "shape");
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
