/* device.c -- devices and their memory for Lua: ms.device, ms.memory, and ms.fail_allocation for tests. */
#include "bind.h"
#include <string.h>

/* ms.device(name) -> canonical name, description; raises why there is no such device */
static int device(lua_State *L) {
  int mark = msl_enter(L);
  ms_device *d = ms_device_get(luaL_optstring(L, 1, "auto"));
  msl_leave(L, mark);
  lua_pushstring(L, d->name);
  lua_pushstring(L, d->description);
  return 2;
}

/* ms.memory() -> {live, peak, cached, allocated (bytes), tensors, storages, nodes}; ms.memory("reset") starts the peak anew,
 * ms.memory("release") empties the cache. */
static int memory(lua_State *L) {
  msl_at_most(L, 1, "memory");
  const char *word = luaL_optstring(L, 1, "");
  if (!strcmp(word, "reset")) ms_memory_reset_peak();
  else if (!strcmp(word, "release")) ms_memory_release_cache();
  else if (*word) return msl_raise(L, ms_scope_open(), "memory: expected nothing, 'reset' or 'release', got '%s'", word);
  ms_memory m = ms_memory_stats(NULL);
  lua_createtable(L, 0, 8);
#define I(k, v) (lua_pushinteger(L, (lua_Integer)(v)), lua_setfield(L, -2, k))
  I("live", m.live), I("peak", m.peak), I("cached", m.cached), I("allocated", m.allocated);
  I("tensors", m.tensors), I("storages", m.storages), I("nodes", m.nodes);
  return 1;
}

/* ms.fail_allocation(k): the k-th allocation from now fails (tests; 0 = none) */
static int fail_allocation(lua_State *L) { return ms_memory_fail_after(luaL_checkinteger(L, 1)), 0; }

void msl_open_device(lua_State *L) { /* stack: module, methods */
  static const luaL_Reg functions[] = {{"device", device}, {"memory", memory}, {"fail_allocation", fail_allocation}, {NULL, NULL}};
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
