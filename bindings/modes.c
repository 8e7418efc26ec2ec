/* modes.c -- how operations compute, for Lua: number of threads, order of summation, denormal numbers, precision of products, and
 * the check of every result for NaN and infinity. (The gradient mode is in grad.c.) */
#include "bind.h"

/* ms.threads() -> number; ms.threads(n) sets it */
static int threads(lua_State *L) {
  msl_at_most(L, 1, "threads");
  if (!lua_isnoneornil(L, 1)) {
    lua_Integer n = lua_isinteger(L, 1) ? lua_tointeger(L, 1) : 0;
    if (n < 1 || n > 1024)
      return msl_raise(L, ms_scope_open(), "threads: expected a whole number from 1 to 1024, got %s", luaL_tolstring(L, 1, NULL));
    ms_set_threads((int)n);
  }
  return lua_pushinteger(L, ms_threads()), 1;
}

/* ms.deterministic() -> boolean; ms.deterministic(bool) sets it (mascon.h) */
static int deterministic(lua_State *L) {
  msl_at_most(L, 1, "deterministic");
  if (!lua_isnoneornil(L, 1)) {
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    ms_set_deterministic(lua_toboolean(L, 1));
  }
  return lua_pushboolean(L, ms_deterministic()), 1;
}

/* ms.flush_denormal() -> boolean; ms.flush_denormal(bool) sets it (mascon.h) */
static int flush_denormal(lua_State *L) {
  msl_at_most(L, 1, "flush_denormal");
  if (!lua_isnoneornil(L, 1)) {
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    ms_set_flush_denormal(lua_toboolean(L, 1));
  }
  return lua_pushboolean(L, ms_flush_denormal()), 1;
}

/* ms.precision() -> "f32", "bf16" or "tf32"; ms.precision(name) sets it (mascon.h) */
static int precision(lua_State *L) {
  msl_at_most(L, 1, "precision");
  if (!lua_isnoneornil(L, 1)) {
    const char *name = luaL_checkstring(L, 1);
    int mark = msl_enter(L);
    ms_set_precision(name);
    msl_leave(L, mark);
  }
  return lua_pushstring(L, ms_precision_name()), 1;
}

/* ms.check_numerics(bool): fail at the first operation whose result holds NaN or infinity */
static int check_numerics(lua_State *L) {
  luaL_checktype(L, 1, LUA_TBOOLEAN);
  return ms_set_check_numerics(lua_toboolean(L, 1)), 0;
}

void msl_open_modes(lua_State *L) { /* stack: module, methods */
  static const luaL_Reg functions[] = {
      {"threads", threads},     {"deterministic", deterministic},   {"flush_denormal", flush_denormal},
      {"precision", precision}, {"check_numerics", check_numerics}, {NULL, NULL}};
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
