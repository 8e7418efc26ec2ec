/* explain.c -- a few words behind Lua's own messages, for people who come from other languages: scripts/mascon/explain.lua knows
 * them. Whatever fails here leaves the message as it was. */
#include "explain.h"
#include "embed.h"
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 8 << 20 }; /* bytes of a chunk that are looked at */

/* (function, message, ...) -> the words or nil */
static int ask(lua_State *L) {
  ms_lua_require(L, "explain");
  lua_getfield(L, -1, lua_tostring(L, 1));
  lua_replace(L, 1);
  lua_pop(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

/* On top of the stack: message, then n more arguments. Leaves the message, with the words behind its first line. */
static void add_words(lua_State *L, const char *function, int n) {
  const int at = lua_gettop(L) - n;
  if (!lua_checkstack(L, 12)) {
    lua_settop(L, at);
    return;
  }
  lua_pushcfunction(L, ask);
  lua_pushstring(L, function);
  for (int k = 0; k <= n; k++) lua_pushvalue(L, at + k);
  if (lua_pcall(L, n + 2, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING) {
    const char *message = lua_tostring(L, at), *end = strchr(message, '\n');
    if (!end) end = message + strlen(message);
    lua_pushlstring(L, message, (size_t)(end - message));
    lua_pushfstring(L, "%s; %s%s", lua_tostring(L, -1), lua_tostring(L, -2), end);
    lua_replace(L, at);
  }
  lua_settop(L, at);
}

void ms_explain_syntax(lua_State *L, const char *source, size_t n, bool whole) {
  if (lua_type(L, -1) != LUA_TSTRING || !source || n > MOST) return;
  lua_pushlstring(L, source, n);
  lua_pushboolean(L, whole);
  add_words(L, "syntax", 2);
}

void ms_explain_file(lua_State *L, const char *path) {
  FILE *f = path ? ms_reopen(path) : NULL;
  if (!f) return;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  size_t n, all = 0;
  do {
    n = fread(luaL_prepbuffer(&b), 1, LUAL_BUFFERSIZE, f);
    luaL_addsize(&b, n);
    all += n;
  } while (n && all <= MOST);
  fclose(f);
  luaL_pushresult(&b);
  lua_insert(L, -2);
  const char *source = lua_tolstring(L, -2, &n);
  ms_explain_syntax(L, source, n, true);
  lua_remove(L, -2);
}

void ms_explain_error(lua_State *L) {
  if (lua_type(L, -1) == LUA_TSTRING) add_words(L, "runtime", 0);
}
