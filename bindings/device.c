/* device.c -- devices and their memory for Lua: ms.device, ms.synchronize, ms.memory, and ms.fail_allocation for tests. */
#include "bind.h"
#include <string.h>

/* ms.device(name) -> canonical name, description; raises why there is no such device */
static int device(lua_State *L) {
  msl_at_most(L, 1, "device");
  int mark = msl_enter(L);
  ms_device *d = ms_device_get(luaL_optstring(L, 1, "auto"));
  msl_leave(L, mark);
  lua_pushstring(L, d->name);
  lua_pushstring(L, d->description);
  return 2;
}

/* ms.synchronize(name): wait until the device, or without a name each that is open, has done what was asked of it; raises what went
 * wrong meanwhile. The first fault ends the wait: those of further devices are told at the next one. */
static int synchronize(lua_State *L) {
  msl_at_most(L, 1, "synchronize");
  const int mark = msl_enter(L);
  ms_device *d = lua_isnoneornil(L, 1) ? NULL : ms_device_get(luaL_checkstring(L, 1));
  if (d) ms_device_sync(d);
  for (int i = 0; lua_isnoneornil(L, 1) && (d = ms_device_open(i)) && ms_device_sync(d) == 0; i++) {}
  return msl_leave(L, mark), 0;
}

/* ms.memory() -> {live, peak, cached, allocated (bytes), tensors, storages, nodes} of all devices; ms.memory(name): bytes of that
 * device. ms.memory("reset") starts the peaks anew, ms.memory("release") empties the caches. */
static int memory(lua_State *L) {
  msl_at_most(L, 1, "memory");
  const char *word = luaL_optstring(L, 1, "");
  const ms_device *d = NULL;
  if (!strcmp(word, "reset")) ms_memory_reset_peak();
  else if (!strcmp(word, "release")) ms_memory_release_cache();
  else if (*word && !(d = ms_device_opened(word)))
    return msl_raise(L, ms_scope_open(), "memory: expected nothing, 'reset', 'release' or the name of an open device, got '%s'",
                     word);
  ms_memory m = ms_memory_stats(d);
  lua_createtable(L, 0, 8);
#define I(k, v) (lua_pushinteger(L, (lua_Integer)(v)), lua_setfield(L, -2, k))
  I("live", m.live), I("peak", m.peak), I("cached", m.cached), I("allocated", m.allocated);
  I("tensors", m.tensors), I("storages", m.storages), I("nodes", m.nodes);
  return 1;
}

/* ms.fail_allocation(k): the k-th allocation from now fails (tests; 0 = none) */
static int fail_allocation(lua_State *L) { return ms_memory_fail_after(luaL_checkinteger(L, 1)), 0; }

void msl_open_device(lua_State *L) { /* stack: module, methods */
  static const luaL_Reg functions[] = {
      {"device", device}, {"synchronize", synchronize}, {"memory", memory}, {"fail_allocation", fail_allocation}, {NULL, NULL}};
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
