/* json.c -- module "mascon.jansson": JSON texts as Lua values. Reading only; json.lua writes. */
#include "bind.h"
#include "embed.h"
#include "io/json.h"
#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>

enum { MAX_DEPTH = 100 };

/* The value being turned over: a userdata, so that it is freed when Lua raises on the way. */
static int free_value(lua_State *L) {
  ms_json **v = luaL_checkudata(L, 1, "mascon.jansson");
  ms_json_free(*v);
  *v = NULL;
  return 0;
}

/* Push the Lua value of v. Upvalues: 1 what null is in a list, 2 the metatable of lists. Index 2: what null is in an object (nil:
 * the key is left out). How deep v is was checked before. */
static void push_value(lua_State *L, const json_t *v) {
  luaL_checkstack(L, 6, "json");
  switch (json_typeof(v)) {
  case JSON_OBJECT: {
    const char *key;
    json_t *item;
    size_t size = json_object_size(v);
    lua_createtable(L, 0, size < INT_MAX ? (int)size : INT_MAX);
    json_object_foreach((json_t *)(uintptr_t)v, key, item) {
      lua_pushstring(L, key); /* without zero bytes: jansson refuses them in keys */
      if (json_is_null(item)) lua_pushvalue(L, 2);
      else push_value(L, item);
      lua_rawset(L, -3);
    }
    break;
  }
  case JSON_ARRAY: {
    size_t size = json_array_size(v);
    lua_createtable(L, size < INT_MAX ? (int)size : INT_MAX, 0);
    for (size_t i = 0; i < size; i++) {
      const json_t *item = json_array_get(v, i);
      if (json_is_null(item)) lua_pushvalue(L, lua_upvalueindex(1));
      else push_value(L, item);
      lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_setmetatable(L, -2);
    break;
  }
  case JSON_STRING: lua_pushlstring(L, json_string_value(v), json_string_length(v)); break;
  case JSON_INTEGER: lua_pushinteger(L, json_integer_value(v)); break;
  case JSON_REAL: lua_pushnumber(L, json_real_value(v)); break;
  case JSON_TRUE: lua_pushboolean(L, 1); break;
  case JSON_FALSE: lua_pushboolean(L, 0); break;
  case JSON_NULL: lua_pushvalue(L, lua_upvalueindex(1)); break;
  }
}

/* Does v nest more than `left` lists and objects into one another? */
static bool too_deep(const json_t *v, int left) {
  const char *key;
  json_t *item;
  size_t i;
  if (!json_is_array(v) && !json_is_object(v)) return false;
  if (left == 0) return true;
  json_array_foreach(v, i, item) if (too_deep(item, left - 1)) return true;
  json_object_foreach((json_t *)(uintptr_t)v, key, item) if (too_deep(item, left - 1)) return true;
  return false;
}

/* decode(text [, null]) -> the value; raises where the text is none. */
static int decode(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  json_error_t why;
  lua_settop(L, 2);
  ms_json **held = lua_newuserdatauv(L, sizeof *held, 0);
  *held = NULL;
  if (msl_metatable(L, "mascon.jansson")) {
    lua_pushcfunction(L, free_value);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  *held = ms_json_parse(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
  if (!*held && why.line < 0) return lua_pushfstring(L, "json: %s", why.text), lua_error(L);
  if (!*held) {
    if (!*why.text || json_error_code(&why) == json_error_out_of_memory) lua_pushliteral(L, "json: out of memory");
    else lua_pushfstring(L, "json: line %d, column %d: %s", why.line, why.column, why.text);
    return lua_error(L);
  }
  const json_t *v = ms_json_root(*held);
  if (too_deep(v, MAX_DEPTH)) {
    lua_pushfstring(L, "json: nested deeper than %d", MAX_DEPTH);
    return lua_error(L);
  }
  push_value(L, v);
  ms_json_free(*held);
  *held = NULL;
  return 1;
}

/* reader(null, list metatable) -> decode */
static int reader(lua_State *L) {
  lua_settop(L, 2);
  lua_pushcclosure(L, decode, 2);
  return 1;
}

int luaopen_mascon_jansson(lua_State *L) {
  lua_pushcfunction(L, reader);
  return 1;
}
