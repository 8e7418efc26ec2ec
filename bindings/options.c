/* options.c -- what arguments of bindings have in common: tables of options, lists of integers, dtypes and devices. */
#include "bind.h"
#include "embed.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables of options ------------------------------------------------------------------------------------------- */

msl_table msl_table_kind(lua_State *L, int i) {
  if (msl_to_shape(L, i, NULL)) return MSL_LIST;
  if (!lua_istable(L, i)) return MSL_NO_TABLE;
  i = lua_absindex(L, i);
  lua_Integer n = (lua_Integer)lua_rawlen(L, i), listed = 0, named = 0;
  luaL_checkstack(L, 4, "options");
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
    if (lua_type(L, -2) == LUA_TSTRING) named++;
    else if (lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= n) listed++;
    else return lua_pop(L, 2), MSL_ODD;
  }
  if (listed != n) return MSL_ODD;
  return !named ? n ? MSL_LIST : MSL_EMPTY : n ? MSL_BOTH : MSL_NAMED;
}

/* Raise for a key that nobody asked for: the name that was meant, and all of them (scripts/mascon/options.lua). */
static void unknown_option(lua_State *L, const char *what, const char *key, const char *const *names) {
  lua_createtable(L, 0, 8);
  for (; *names; names++) lua_pushboolean(L, true), lua_setfield(L, -2, *names);
  ms_lua_require(L, "options");
  lua_getfield(L, -1, "hint");
  lua_pushstring(L, key);
  lua_pushvalue(L, -4);
  lua_call(L, 2, 1);
  const char *hint = lua_tostring(L, -1);
  msl_raise(L, ms_scope_open(), "%s: unknown option '%s'%s", what, key, hint ? hint : "");
}

/* Raise for what is no table, where one of these options is expected. */
static void no_options(lua_State *L, int i, const char *what, const char *const *names) {
  char known[400] = "";
  size_t at = 0;
  for (const char *const *n = names; *n && at < sizeof known; n++)
    at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "; there are ", *n);
  msl_raise(L, ms_scope_open(), "%s: expected a table of options, got %s%s", what, msl_typename(L, i), known);
}

void msl_check_names(lua_State *L, int i, const char *what, const char *const *names) {
  luaL_checkstack(L, 6, "options");
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    const char *key = lua_tostring(L, -2);
    bool known = false;
    for (const char *const *n = names; *n; n++) known |= !strcmp(*n, key);
    if (!known) unknown_option(L, what, key, names);
  }
}

void msl_check_options(lua_State *L, int i, const char *what, const char *const *names) {
  if (lua_isnoneornil(L, i) || i == 0) return;
  msl_table kind = msl_table_kind(L, i);
  if (kind == MSL_NO_TABLE) no_options(L, i, what, names);
  if (kind != MSL_EMPTY && kind != MSL_NAMED)
    msl_raise(L, ms_scope_open(), "%s: expected options by name, got a list%s", what, kind == MSL_BOTH ? " with them" : "");
  msl_check_names(L, i, what, names);
}

bool msl_flag(lua_State *L, int i, const char *what, const char *word, bool otherwise) {
  if (!i || !lua_istable(L, i)) return otherwise;
  int type = lua_getfield(L, i, word);
  bool on = type == LUA_TNIL ? otherwise : lua_toboolean(L, -1);
  if (type != LUA_TNIL && type != LUA_TBOOLEAN)
    msl_raise(L, ms_scope_open(), "%s: option %s: expected true or false, got %s", what, word, luaL_typename(L, -1));
  lua_pop(L, 1);
  return on;
}

void msl_at_most(lua_State *L, int n, const char *what) {
  if (lua_gettop(L) > n) msl_raise(L, ms_scope_open(), "%s: too many arguments (%d, expected at most %d)", what, lua_gettop(L), n);
}

bool msl_ints(lua_State *L, int i, ms_ints *v) {
  v->n = 0;
  if (msl_to_shape(L, i, v)) return true;
  if (msl_live(L, i)) {
    lua_pushvalue(L, i);
    msl_look(L, lua_gettop(L));
    bool ok = msl_ints(L, lua_gettop(L), v);
    return lua_pop(L, 1), ok;
  }
  int ok;
  if (lua_type(L, i) == LUA_TNUMBER) {
    v->at[v->n++] = lua_tointegerx(L, i, &ok);
    return ok;
  }
  if (!lua_istable(L, i)) return false;
  int64_t n = (int64_t)lua_rawlen(L, i);
  if (n > MS_MAX_RANK) return false;
  for (int64_t k = 1; k <= n; k++) {
    lua_rawgeti(L, i, k);
    msl_look(L, lua_gettop(L));
    v->at[v->n++] = lua_tointegerx(L, -1, &ok);
    ok = ok && lua_type(L, -1) == LUA_TNUMBER; /* no texts */
    lua_pop(L, 1);
    if (!ok) return false;
  }
  return true;
}

/* What a dtype is called elsewhere, and here. */
static const char *const dtypes[][2] = {
    {"float32", "f32"}, {"float", "f32"},     {"single", "f32"},  {"fp32", "f32"},  {"float64", "f64"}, {"double", "f64"},
    {"fp64", "f64"},    {"int64", "i64"},     {"long", "i64"},    {"int32", "i32"}, {"int", "i32"},     {"uint8", "u8"},
    {"byte", "u8"},     {"int8", "i32"},      {"int16", "i32"},   {"short", "i32"}, {"float16", "f16"}, {"half", "f16"},
    {"fp16", "f16"},    {"bfloat16", "bf16"}, {"boolean", "bool"}};

const char *msl_dtype_hint(lua_State *L, const char *name) {
  for (size_t i = 0; name && i < sizeof dtypes / sizeof *dtypes; i++)
    if (!strcmp(name, dtypes[i][0])) return lua_pushfstring(L, "; did you mean %s?", dtypes[i][1]);
  return "";
}

int msl_dtype(lua_State *L, int i, const char *word, int otherwise) {
  if (!i || !lua_istable(L, i) || lua_getfield(L, i, word) == LUA_TNIL) {
    if (i && lua_istable(L, i)) lua_pop(L, 1);
    return otherwise;
  }
  const char *name = lua_tostring(L, -1);
  int d = name ? ms_dtype_parse(name) : -1;
  if (d < 0)
    msl_raise(L, ms_scope_open(), "dtype '%s': expected f32, f64, bf16, f16, i64, i32, u8 or bool%s",
              name ? name : luaL_typename(L, -1), msl_dtype_hint(L, name));
  lua_pop(L, 1);
  return d;
}

ms_device *msl_device(lua_State *L, int i) {
  ms_device *d = NULL;
  if (!i || !lua_istable(L, i)) return NULL;
  if (lua_getfield(L, i, "device") != LUA_TNIL) {
    const char *name = lua_tostring(L, -1);
    d = name ? ms_device_get(name) : ms_fail("device: expected a name, got %s", luaL_typename(L, -1));
    if (!d) msl_leave(L, ms_scope_open());
  }
  lua_pop(L, 1);
  return d;
}
