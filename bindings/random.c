/* random.c -- the default random generator for Lua: ms.seed and ms.rng_state. (ms.rand, ms.randn, ... are rows of ops.def.) */
#include "bind.h"
#include "step/step.h"

/* ms.seed(n): start the default generator anew. ms.rng_state() -> seed, counter; ms.rng_state(seed, counter) sets them
 * (checkpoints). */
static int seed(lua_State *L) {
  msl_at_most(L, 1, "seed");
  lua_Integer n = luaL_checkinteger(L, 1);
  if (ms_recording()) return msl_refuse(L, "ms.seed inside a compiled step: a replay would not do it again; do it outside");
  return ms_seed((uint64_t)n), 0;
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

void msl_open_random(lua_State *L) {  /* stack: module, methods */
  lua_pushinteger(L, MS_RNG_VERSION); /* ms.rng_version: which stream a seed gives */
  lua_setfield(L, -3, "rng_version");
  static const luaL_Reg functions[] = {{"seed", seed}, {"rng_state", rng_state}, {NULL, NULL}};
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
