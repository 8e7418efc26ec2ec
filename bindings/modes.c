/* modes.c -- how operations compute, for Lua: number of threads, order of summation, denormal numbers, precision of products, and
 * the checks of results for NaN and infinity. (The gradient mode is in grad.c.) */
#include "bind.h"
#include "core/numerics.h"

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

/* What ms.detect_nan(bool) gives: closed, it sets what was before. */
static int detect_close(lua_State *L) {
  const bool *was = luaL_checkudata(L, 1, "mascon.detect_mode");
  return ms_set_detect_nan(*was), 0;
}

static int after_detect(lua_State *L, int status, lua_KContext was) {
  ms_set_detect_nan(was != 0);
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L);
}

/* ms.detect_nan() -> boolean; ms.detect_nan(bool) sets it, and gives what a <close> variable takes; ms.detect_nan(f, ...) -> what
 * f(...) gives, with it on (help.lua) */
static int detect_nan(lua_State *L) {
  if (lua_gettop(L) == 0) return lua_pushboolean(L, ms_detect_nan_on()), 1;
  if (lua_isboolean(L, 1)) {
    msl_at_most(L, 1, "detect_nan");
    bool *was = lua_newuserdatauv(L, sizeof *was, 0);
    *was = ms_detect_nan_on();
    luaL_setmetatable(L, "mascon.detect_mode");
    ms_set_detect_nan(lua_toboolean(L, 1));
    return 1;
  }
  bool callable = lua_isfunction(L, 1);
  if (!callable && luaL_getmetafield(L, 1, "__call") != LUA_TNIL) callable = true, lua_pop(L, 1);
  if (!callable) return msl_raise(L, ms_scope_open(), "detect_nan: expected true, false or a function, got %s", msl_typename(L, 1));
  const bool was = ms_set_detect_nan(true);
  return after_detect(L, lua_pcallk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, was, after_detect), was);
}

void msl_open_modes(lua_State *L) { /* stack: module, methods */
  static const luaL_Reg functions[] = {{"threads", threads},
                                       {"deterministic", deterministic},
                                       {"flush_denormal", flush_denormal},
                                       {"precision", precision},
                                       {"check_numerics", check_numerics},
                                       {"detect_nan", detect_nan},
                                       {NULL, NULL}};
  msl_metatable(L, "mascon.detect_mode");
  lua_pushcfunction(L, detect_close);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
  msl_takes_live(detect_nan, 0);
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
