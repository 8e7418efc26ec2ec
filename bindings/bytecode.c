/* bytecode.c -- Lua is loaded from text only: `load`, `loadfile`, `dofile` and `require` refuse bytecode in the program mascon,
 * unless it was asked for (mascon --bytecode). Lua does not check bytecode: made by hand, it does with the process what it likes.
 */
#include "embed.h"
#include "explain.h"
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

static const char refusal[] = "bytecode is refused: only text is loaded (mascon --bytecode allows it)";

/* The mode of a chunk at index i: set to "t"; an explicit "b" is refused. False with the two results of a failed load pushed. */
static bool text_mode(lua_State *L, int i) {
  const char *mode = luaL_optstring(L, i, "bt");
  if (strchr(mode, 't')) {
    lua_pushliteral(L, "t");
    lua_replace(L, i);
    return true;
  }
  luaL_pushfail(L);
  lua_pushstring(L, refusal);
  return false;
}

/* Lua's own message about a binary chunk, where that is what lies on top, becomes ours. */
void ms_say_refused(lua_State *L) {
  const char *message = lua_tostring(L, -1), *at = message ? strstr(message, "attempt to load a binary chunk") : NULL;
  if (!at) return;
  lua_pushlstring(L, message, (size_t)(at - message));
  lua_pushstring(L, refusal);
  lua_concat(L, 2);
  lua_remove(L, -2);
}

/* load(chunk [, name [, mode [, env]]]), loadfile([name [, mode [, env]]]): Lua's own, upvalue 1, with mode (argument: upvalue 2)
 * "t".
 */
static int load_text(lua_State *L) {
  int mode = (int)lua_tointeger(L, lua_upvalueindex(2)), n = lua_gettop(L);
  if (n < mode) lua_settop(L, n = mode);
  if (!text_mode(L, mode)) return 2;
  lua_pushvalue(L, lua_upvalueindex(1));
  for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
  lua_call(L, n, LUA_MULTRET);
  const int results = lua_gettop(L) - n;
  if (results == 2 && lua_isnil(L, -2)) {
    ms_say_refused(L);
    size_t size = 0;
    const char *source = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &size) : NULL; /* or the name of the file */
    if (mode == 2) ms_explain_file(L, source);
    else ms_explain_syntax(L, source, size, false);
  }
  return results;
}

static int after_dofile(lua_State *L, int status, lua_KContext k) {
  (void)status, (void)k;
  return lua_gettop(L) - 1;
}

static int dofile_text(lua_State *L) {
  const char *name = luaL_optstring(L, 1, NULL);
  lua_settop(L, 1);
  if (luaL_loadfilex(L, name, "t") != LUA_OK) {
    ms_say_refused(L);
    ms_explain_file(L, name);
    return lua_error(L);
  }
  lua_callk(L, 0, LUA_MULTRET, 0, after_dofile);
  return after_dofile(L, LUA_OK, 0);
}

/* The searcher of Lua files, as in Lua's loadlib.c, for text. */
static int search_text(lua_State *L) { /* upvalue: package */
  const char *name = luaL_checkstring(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_getfield(L, -1, "searchpath");
  lua_pushvalue(L, 1);
  if (lua_getfield(L, -3, "path") != LUA_TSTRING) return luaL_error(L, "'package.path' must be a string");
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2)) return 1; /* where it looked */
  lua_pop(L, 1);
  const char *file = lua_tostring(L, -1);
  if (luaL_loadfilex(L, file, "t") == LUA_OK) {
    ms_keep_text(L, file);
    lua_pushstring(L, file);
    return 2;
  }
  ms_say_refused(L);
  ms_explain_file(L, file);
  return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name, file, lua_tostring(L, -1));
}

void ms_text_only(lua_State *L) {
  static const struct {
    const char *name;
    int mode;
  } loaders[] = {{"load", 3}, {"loadfile", 2}};
  for (int i = 0; i < 2; i++) {
    lua_getglobal(L, loaders[i].name);
    lua_pushinteger(L, loaders[i].mode);
    lua_pushcclosure(L, load_text, 2);
    lua_setglobal(L, loaders[i].name);
  }
  lua_pushcfunction(L, dofile_text);
  lua_setglobal(L, "dofile");
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, search_text, 1);
  lua_rawseti(L, -2, 2); /* before ms_lua_searcher() moves it on */
  lua_pop(L, 2);
}
