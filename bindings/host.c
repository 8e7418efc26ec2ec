/* host.c -- what bindings need that carry data between files, plain memory and tensors: things that are freed whatever happens,
 * arguments that such calls have in common, and tensors in host memory. */
#include "host.h"
#include <string.h>

#define OWNED "mascon.owned"

void msl_owned_free(msl_owned *o) {
  void *p = o->p;
  o->p = NULL;
  if (p) o->free(p);
}

static int owned_gc(lua_State *L) { return msl_owned_free(luaL_checkudata(L, 1, OWNED)), 0; }

msl_owned *msl_own(lua_State *L, void (*free)(void *)) {
  msl_owned *o = lua_newuserdatauv(L, sizeof *o, 0);
  *o = (msl_owned){NULL, free};
  luaL_setmetatable(L, OWNED);
  return o;
}

const char *msl_string(lua_State *L, int i, const char *what, const char *wanted) {
  size_t n = 0;
  const char *s = lua_type(L, i) == LUA_TSTRING ? lua_tolstring(L, i, &n) : NULL;
  if (!s)
    msl_raise(L, ms_scope_open(), "%s: expected %s, got %s", what, wanted, lua_isnoneornil(L, i) ? "nothing" : msl_typename(L, i));
  else if (strlen(s) != n) msl_raise(L, ms_scope_open(), "%s: expected %s, got a string with a zero byte in it", what, wanted);
  return s;
}

uint64_t msl_max_bytes(lua_State *L, int i, const char *what) {
  int ok;
  if (lua_isnoneornil(L, i)) return 0;
  lua_Integer n = lua_tointegerx(L, i, &ok);
  if (!ok || n < 1 || lua_type(L, i) != LUA_TNUMBER)
    msl_raise(L, ms_scope_open(), "%s: max_bytes: expected a whole number from 1 on, got %s", what, luaL_tolstring(L, i, NULL));
  return (uint64_t)n;
}

ms_tensor *msl_on_host(ms_tensor *t) { return t ? ms_contiguous(ms_to_device(ms_detach(t), ms_device_get("cpu"))) : NULL; }

void msl_open_host(lua_State *L) {
  msl_metatable(L, OWNED);
  lua_pushcfunction(L, owned_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, owned_gc);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
}
