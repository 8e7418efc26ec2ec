/* random.c -- the default random generator for Lua: ms.seed and ms.rng_state. (ms.rand, ms.randn, ... are rows of ops.def.) */
#include "bind.h"
#include "step/step.h"
#include <string.h>

/* ms.seed(n): start the default generator anew, and Lua's own (math.randomseed(n)), so that all a script draws follows from n.
 * ms.rng_state() -> seed, counter; ms.rng_state(seed, counter) sets them
 * (checkpoints). */
static int seed(lua_State *L) {
  msl_at_most(L, 1, "seed");
  lua_Integer n = luaL_checkinteger(L, 1);
  if (ms_recording()) return msl_refuse(L, "ms.seed inside a compiled step: a replay would not do it again; do it outside");
  ms_seed((uint64_t)n);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "math") == LUA_TTABLE && lua_getfield(L, -1, "randomseed") == LUA_TFUNCTION) {
    lua_pushinteger(L, n);
    lua_call(L, 1, 0);
  }
  return 0;
}
static int rng_state(lua_State *L) {
  msl_at_most(L, 2, "rng_state");
  ms_rng *r = ms_default_rng();
  if (ms_recording()) return msl_refuse(L, "ms.rng_state inside a compiled step: a replay would not do it again; do it outside");
  if (!lua_isnoneornil(L, 1)) *r = (ms_rng){(uint64_t)luaL_checkinteger(L, 1), (uint64_t)luaL_checkinteger(L, 2)};
  lua_pushinteger(L, (lua_Integer)r->seed);
  lua_pushinteger(L, (lua_Integer)r->counter);
  return 2;
}

/* inside.math_random([state]) -> the state of Lua's own generator, 32 bytes, or nil where it cannot be told; state: is put in its
 * place. math.random holds it, four numbers of 64 bits, as its upvalue (lmathlib.c, Lua 5.4). */
static int math_random(lua_State *L) {
  enum { BYTES = 4 * sizeof(uint64_t) };
  size_t n = 0;
  const char *given = luaL_optlstring(L, 1, NULL, &n);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "math");
  if (lua_istable(L, -1)) lua_getfield(L, -1, "random");
  if (!lua_iscfunction(L, -1) || !lua_getupvalue(L, -1, 1) || lua_type(L, -1) != LUA_TUSERDATA || lua_rawlen(L, -1) != BYTES)
    return lua_pushnil(L), 1;
  void *state = lua_touserdata(L, -1);
  static const char zeros[BYTES];
  if (given && (n != BYTES || !memcmp(given, zeros, BYTES))) return luaL_argerror(L, 1, "expected 32 bytes, not all 0");
  if (given) memcpy(state, given, BYTES);
  return lua_pushlstring(L, state, BYTES), 1;
}

void msl_open_random(lua_State *L) {  /* stack: module, methods */
  lua_pushinteger(L, MS_RNG_VERSION); /* ms.rng_version: which stream a seed gives */
  lua_setfield(L, -3, "rng_version");
  static const luaL_Reg functions[] = {{"seed", seed}, {"rng_state", rng_state}, {NULL, NULL}};
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
  msl_inside(L);
  lua_pushcfunction(L, math_random);
  lua_setfield(L, -2, "math_random");
  lua_pop(L, 1);
}
