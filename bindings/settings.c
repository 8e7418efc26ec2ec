/* settings.c -- fields of modules and optimizers: a recording depends on them although they are no arguments. Setting a field after
 * its object was made (nn/module.lua and optim/settings.lua do it in one place each) changes a sum that belongs to the key of every
 * compiled function. Numbers that optimizers hand to operations lie in cells, which a replay reads anew. */
#include "steps.h"
#include <stdio.h>
#include <string.h>

int64_t msl_settings;
uint64_t msl_reach;
char msl_last_set[128];

/* A number for the object at i that no other one ever has. */
static lua_Integer object_number(lua_State *L, int i) {
  static char numbers; /* registry: object -> number, weak */
  static lua_Integer given;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &numbers) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &numbers);
  }
  lua_pushvalue(L, i);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pushvalue(L, i);
    lua_pushinteger(L, ++given);
    lua_rawset(L, -4);
  }
  lua_Integer n = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : given;
  return lua_pop(L, 2), n;
}

/* A field's value as a number: equal for equal values, and, as good as certain, for no others. */
static uint64_t value_code(lua_State *L, int i) {
  uint64_t code = (uint64_t)lua_type(L, i), x = 0;
  const ms_tensor *t = msl_to(L, i);
  size_t n;
  if (t) { /* whichever userdata it comes as */
    x = (uint64_t)(uintptr_t)t ^ (t->storage ? t->storage->birth : 0) * 0xD1B54A32D192ED03u ^ (uint64_t)t->offset << 40;
  } else if (lua_type(L, i) == LUA_TBOOLEAN) {
    x = (uint64_t)lua_toboolean(L, i);
  } else if (lua_isinteger(L, i)) {
    x = (uint64_t)lua_tointeger(L, i), code = 100;
  } else if (lua_type(L, i) == LUA_TNUMBER) {
    memcpy(&x, &(lua_Number){lua_tonumber(L, i)}, sizeof x);
  } else if (lua_type(L, i) == LUA_TSTRING) {
    const char *s = lua_tolstring(L, i, &n);
    for (x = n; n; n--) x = (x ^ (unsigned char)s[n - 1]) * 0x100000001B3u;
  } else if (!lua_isnil(L, i)) x = (uint64_t)object_number(L, i);
  code = (code ^ x) * 0x9E3779B97F4A7C15u;
  return code ^ code >> 29;
}

int64_t msl_value_code(lua_State *L, int i) { return (int64_t)value_code(L, i); }

/* inside.set(object, key, old, new, name): field `key` of a module, known by the number `object`, changes after the module was
 * made. name: for messages. */
static int set_field(lua_State *L) {
  uint64_t field_code = ((uint64_t)luaL_checkinteger(L, 1) * 0xBF58476D1CE4E5B9u) ^ value_code(L, 2) << 1;
  msl_settings ^= (int64_t)(msl_mix(field_code ^ value_code(L, 3)) ^ msl_mix(field_code ^ value_code(L, 4)));
  msl_reach += lua_isfunction(L, 4) || lua_istable(L, 4);
  snprintf(msl_last_set, sizeof msl_last_set, "%s was set", luaL_checkstring(L, 5));
  return 0;
}

/* inside.mode(mark): something that a number stands for was switched, or switched back (options.mark). */
static int change_mode(lua_State *L) {
  msl_settings ^= luaL_checkinteger(L, 1);
  snprintf(msl_last_set, sizeof msl_last_set, "%s was switched", luaL_optstring(L, 2, "a mode"));
  return 0;
}

/* inside.cell(value) -> a live number that is nobody's argument; inside.cell(cell, value [, name]) sets it (an optimizer's learning
 * rate). With a name that is refused inside a compiled step, whatever the value: the one that is there may be another one in a
 * replay. */
static int cell(lua_State *L) {
  ms_cell *c = msl_live(L, 1);
  if (c && !lua_isnoneornil(L, 3) && ms_recording())
    return msl_refuse(
        L,
        "%s was set inside a compiled step: a replay runs no Lua and would not set it again. Set it outside, between the "
        "calls",
        luaL_checkstring(L, 3));
  if (c) return ms_cell_set(c, (ms_plain){.value = luaL_checknumber(L, 2)}), 0;
  if (!(c = ms_cell_new(luaL_checknumber(L, 1)))) msl_leave(L, ms_scope_open());
  msl_push_live(L, c, false);
  ms_cell_release(c);
  return 1;
}

/* inside.is_live(v) -> boolean: is it a live number? Without looking at it. */
static int is_live(lua_State *L) { return lua_pushboolean(L, msl_live(L, 1) != NULL), 1; }

/* inside.recording() -> boolean: is what is called now recorded? */
static int recording(lua_State *L) { return lua_pushboolean(L, ms_recording()), 1; }

void msl_open_settings(lua_State *L) { /* stack: module, methods */
  static const luaL_Reg functions[] = {{"set", set_field},   {"mode", change_mode},    {"cell", cell},
                                       {"is_live", is_live}, {"recording", recording}, {NULL, NULL}};
  msl_inside(L);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
  msl_takes_live(cell, 0);
  msl_takes_live(is_live, 0);
  msl_takes_live(set_field, 0);
}
