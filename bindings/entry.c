/* entry.c -- from the text of an entry to what it prints; the work is scripts/mascon/entry.lua's. */
#include "entry.h"
#include "call.h"
#include "embed.h"
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

static char environment_key; /* registry: the environment of entries, nil for globals */
static lua_State *registry;  /* any thread of the state */

void ms_entry_environment(lua_State *L) {
  if (L) registry = L;
  else lua_pushnil(L = registry);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &environment_key);
}

/* entry.NAME on the arguments there are. */
static int call(lua_State *L, const char *name) {
  const int n = lua_gettop(L);
  ms_lua_require(L, "entry");
  lua_getfield(L, -1, name);
  lua_insert(L, 1);
  lua_pop(L, 1);
  lua_call(L, n, LUA_MULTRET);
  return lua_gettop(L);
}

static int compile_call(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &environment_key);
  return call(L, "compile");
}
static int finish_call(lua_State *L) { return call(L, "finish"); }
static int failed_call(lua_State *L) { return call(L, "failed"); }

ms_entry_kind ms_entry_compile(lua_State *L) {
  lua_pushcfunction(L, compile_call);
  lua_pushvalue(L, -2);
  if (lua_pcall(L, 1, 2, 0) != LUA_OK) return ENTRY_BAD;
  if (lua_isfunction(L, -2)) {
    lua_pop(L, 1);
    return ENTRY_RUN;
  }
  if (lua_isboolean(L, -1)) {
    lua_pop(L, 2);
    return ENTRY_MORE;
  }
  lua_remove(L, -2);
  return ENTRY_BAD;
}

void ms_entry_run(lua_State *L) {
  const int base = lua_gettop(L) - 1;
  int status = ms_call(L, 0, LUA_MULTRET);
  if (status == LUA_OK && lua_checkstack(L, 10)) {
    lua_pushcfunction(L, finish_call);
    lua_insert(L, base + 1);
    status = ms_call(L, lua_gettop(L) - base - 1, 0);
  }
  fflush(stdout);
  if (status != LUA_OK) {
    lua_pushcfunction(L, failed_call);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) lua_pop(L, 1);
  }
  ms_report(L, status);
}
