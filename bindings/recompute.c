/* recompute.c -- ms.recompute for Lua: calls a function within a region (core/region.h), and again when the core asks for it. */
#include "bind.h"
#include "core/region.h"
#include <stdlib.h>

typedef struct script_region {
  ms_region r;
  lua_State *main; /* to give the reference back with */
  int ref;         /* a list: the function, its arguments; n of them */
  int n;
} script_region;

static int call_function(lua_State *L) {
  const script_region *s = lua_touserdata(L, 1);
  luaL_checkstack(L, s->n + 4, "recompute");
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->ref);
  const int list = lua_gettop(L);
  for (int i = 0; i <= s->n; i++) lua_rawgeti(L, list, i + 1);
  lua_call(L, s->n, 0);
  return 0;
}

static int again(ms_region *r) {
  const int rc = msl_call_for_core(call_function, r);
  if (rc < 0) ms_error_prefix("recompute: the function, called again");
  return rc;
}

static void drop(ms_region *r) {
  script_region *s = (script_region *)r;
  luaL_unref(s->main, LUA_REGISTRYINDEX, s->ref);
  msl_dropped++;
  free(s);
}

/* ms.recompute(f, ...) -> what f(...) gives (see help.lua) */
static int recompute(lua_State *L) {
  const int n = lua_gettop(L) - 1;
  bool callable = n >= 0 && lua_isfunction(L, 1);
  if (n >= 0 && !callable && luaL_getmetafield(L, 1, "__call") != LUA_TNIL) callable = true, lua_pop(L, 1);
  if (!callable)
    return msl_raise(L, ms_scope_open(), "recompute: expected a function, got %s", n < 0 ? "nothing" : msl_typename(L, 1));
  if (!ms_grad_enabled() || ms_region_open()) {
    lua_call(L, n, LUA_MULTRET);
    return lua_gettop(L);
  }
  luaL_checkstack(L, n + 8, "recompute");
  lua_createtable(L, n + 1, 0);
  lua_insert(L, 1);
  for (int i = 0; i <= n; i++) { /* tensors as they are now, in userdata of their own: no scope frees those */
    ms_tensor *t = msl_to(L, i + 2);
    if (t) msl_push(L, t), msl_keep(L, -1);
    else lua_pushvalue(L, i + 2);
    lua_rawseti(L, 1, i + 1);
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_State *main = lua_tothread(L, -1);
  lua_pop(L, 1);
  lua_pushvalue(L, 1);
  const int ref = luaL_ref(L, LUA_REGISTRYINDEX);
  script_region *s = malloc(sizeof *s);
  if (!s) {
    luaL_unref(L, LUA_REGISTRYINDEX, ref);
    return luaL_error(L, "recompute: out of memory");
  }
  s->main = main, s->ref = ref, s->n = n;
  ms_region_begin(&s->r);
  s->r.again = again, s->r.drop = drop;
  const int status = lua_pcall(L, n, LUA_MULTRET, 0);
  ms_region_end(&s->r);
  ms_region_release(&s->r);
  if (status != LUA_OK) return lua_error(L);
  return lua_gettop(L) - 1;
}

void msl_open_recompute(lua_State *L) { /* stack: module, methods */
  lua_pushcfunction(L, recompute);
  lua_setfield(L, -3, "recompute");
  msl_takes_live(recompute, 0);
}
