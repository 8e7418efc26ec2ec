/* captured.c -- the variables that a compiled function captured (its upvalues), and those of functions that are held in them. What
 * they hold belongs to the key (compile.c): the values themselves, and what lies in tables of settings.
 *
 * A replay runs no Lua. So a variable that the function itself sets keeps its value during replays, and does not count. A field
 * that the function sets in such a table would not be set by a replay: that is an error. */
#include "steps.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_CAPTURED = 256, MAX_FUNCTIONS = 2000, MAX_FIELDS = 64, MAX_ENTRIES = 256, FIELDS_DEPTH = 3 };

typedef struct table_contents {
  int64_t settings, tensors;
} table_contents;

/* Is the value at i a table, and none that a library made? Their metatables have a name. The options of a script (ms.args) are its
 * own: some may change while it runs (run:live). */
static bool is_script_table(lua_State *L, int i) {
  if (!lua_istable(L, i)) return false;
  if (luaL_getmetafield(L, i, "__name") == LUA_TNIL) return true;
  const bool options = lua_type(L, -1) == LUA_TSTRING && !strcmp(lua_tostring(L, -1), "mascon.args.options");
  return lua_pop(L, 1), options;
}

/* Is it one of the script's, and no library? */
static bool is_settings(lua_State *L, int i) {
  bool library = false;
  if (!is_script_table(L, i)) return false;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (lua_pushnil(L); !library && lua_next(L, -2); lua_pop(L, 1)) library = lua_rawequal(L, -1, i);
  if (library) lua_pop(L, 1); /* the key */
  return lua_pop(L, 1), !library;
}

/* What lies in the table at i and in tables in it: texts, numbers, booleans, and which modules, optimizers and functions, as one
 * number, tensors as another, each a sum by exclusive or, 0 for none. Results of compiled steps do not count: who keeps the last
 * loss beside the model changes nothing. A table with many entries is data, not settings: it counts for nothing, and so do tables
 * in tables once *left entries were looked at, for they may hold one another. */
static table_contents contents_of(lua_State *L, int i, int depth, int *left) {
  uint64_t settings = 0, tensors = 0;
  int n = 0;
  bool tables = false;
  luaL_checkstack(L, 6, "compile");
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
    const int value = lua_gettop(L), type = lua_type(L, value);
    if (++n > MAX_FIELDS) return lua_pop(L, 2), (table_contents){0, 0};
    const uint64_t key = (uint64_t)msl_value_code(L, value - 1) << 1;
    if (msl_to(L, value)) tensors ^= msl_is_result(L, value) ? 0 : msl_mix((uint64_t)msl_value_code(L, value) ^ key);
    else if (type == LUA_TTABLE && is_script_table(L, value)) tables = true;
    else settings ^= msl_mix((uint64_t)msl_value_code(L, value) ^ key);
  }
  *left -= n + 1;
  if (tables && depth < FIELDS_DEPTH)
    for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
      const int value = lua_gettop(L);
      if (*left <= 0) return lua_pop(L, 2), (table_contents){(int64_t)settings, (int64_t)tensors};
      if (!is_script_table(L, value)) continue;
      const uint64_t key = (uint64_t)msl_value_code(L, value - 1) << 1;
      const table_contents in = contents_of(L, value, depth + 1, left);
      if (in.settings) settings ^= msl_mix((uint64_t)in.settings ^ key);
      if (in.tensors) tensors ^= msl_mix((uint64_t)in.tensors ^ key);
    }
  return (table_contents){(int64_t)settings, (int64_t)tensors};
}

static table_contents contents_on_top(lua_State *L) {
  int left = MAX_ENTRIES;
  return contents_of(L, lua_gettop(L), 0, &left);
}

/* What variable i of the step stands for now, as a number; table: the step's third uservalue. Objects that it held at the first
 * call are known at a look. in: what lies in it, if it is a table of settings. */
static int64_t captured_code(lua_State *L, const compiled *st, int table, int i, table_contents *in) {
  int64_t code = 0;
  *in = (table_contents){0, 0};
  lua_rawgeti(L, table, st->captured[i].f);
  if (lua_getupvalue(L, -1, st->captured[i].index)) {
    const void *p = lua_topointer(L, -1);
    code = p && p == st->captured[i].same ? st->captured[i].first : msl_value_code(L, lua_gettop(L));
    const bool settings = p == st->captured[i].same ? st->captured[i].settings : is_script_table(L, lua_gettop(L));
    if (settings) *in = contents_on_top(L);
    lua_pop(L, 1);
  }
  return lua_pop(L, 1), code;
}

/* Is the value on top a function of the script's? */
static bool is_own_function(lua_State *L) {
  lua_Debug ar;
  if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1)) return false;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">S", &ar);
  return strncmp(ar.source, "=mascon/", 8) != 0;
}

/* One more variable, upvalue `index` of function `f`; its value is on top, and held from now on, so that its place is nobody
 * else's. */
static void add_captured(lua_State *L, compiled *st, int table, int f, int index, const void *id) {
  void *p = realloc(st->captured, (size_t)(st->n_captured + 1) * sizeof *st->captured);
  if (!p) {
    ms_fail("compile: out of memory");
    msl_leave(L, ms_scope_open());
  }
  st->captured = p;
  st->captured[st->n_captured].f = f, st->captured[st->n_captured].index = index, st->captured[st->n_captured].id = id;
  st->captured[st->n_captured].first = msl_value_code(L, lua_gettop(L)), st->captured[st->n_captured].now = 0;
  st->captured[st->n_captured].same = lua_topointer(L, -1), st->captured[st->n_captured].sets = false;
  st->captured[st->n_captured].settings = is_settings(L, lua_gettop(L));
  st->captured[st->n_captured].fields = st->captured[st->n_captured].tensors = 0;
  st->captured[st->n_captured].fields_first = st->captured[st->n_captured].settings ? contents_on_top(L).settings : 0;
  lua_pushvalue(L, -1);
  lua_rawseti(L, table, -++st->n_captured);
}

/* What is walked through at the first call: functions, at 1, 2, ... of the step's list; modules, and tables in tables, still
 * to be visited, at 1, 2, ... of another one, which also knows (as keys) what was met. */
typedef struct reach {
  int list, functions, todo, modules, tables;
} reach;

static bool is_new(lua_State *L, const reach *r) { /* the value on top; it is known from now on */
  lua_pushvalue(L, -1);
  bool is = lua_rawget(L, r->todo) == LUA_TNIL;
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_pushboolean(L, 1);
  lua_rawset(L, r->todo);
  return is;
}

/* If the value on top is a function, or a compiled one, whose own function then counts. */
static void reach_function(lua_State *L, reach *r) {
  lua_pushvalue(L, -1);
  if (luaL_testudata(L, -1, "mascon.step")) {
    lua_getiuservalue(L, -1, 1);
    lua_replace(L, -2);
  }
  if (r->functions < MAX_FUNCTIONS && is_own_function(L) && is_new(L, r)) lua_rawseti(L, r->list, ++r->functions);
  else lua_pop(L, 1);
}

/* The value on top is to be visited, too, if it is a module or one of the script's tables, of which only so many are. */
static void reach_inner(lua_State *L, reach *r) {
  if (!lua_istable(L, -1)) return;
  bool is = false;
  if (lua_getmetatable(L, -1)) {
    lua_pushliteral(L, "is_module");
    lua_rawget(L, -2);
    is = lua_toboolean(L, -1);
    lua_pop(L, 2);
  }
  if (!is && (r->tables >= MAX_ENTRIES || !is_settings(L, lua_gettop(L)))) return;
  r->tables += !is;
  lua_pushvalue(L, -1);
  lua_rawseti(L, r->todo, ++r->modules);
}

/* The functions that stand in the table on top, as fields or as metamethods. */
static void reach_fields(lua_State *L, reach *r) {
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    reach_function(L, r);
    reach_inner(L, r);
  }
}

/* The table on top, its metamethods, and what it inherits from: a module's fields, its class, that one's parent. */
static void reach_table(lua_State *L, reach *r) {
  lua_pushvalue(L, -1);
  while (lua_istable(L, -1) && is_new(L, r)) {
    reach_fields(L, r);
    if (!lua_getmetatable(L, -1)) break;
    reach_fields(L, r); /* not marked as met: it may be its own __index, and is inherited from then */
    lua_pushliteral(L, "__index");
    lua_rawget(L, -2);
    lua_replace(L, -3);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* The variables of the function, of functions that those hold, of methods of modules and of other tables that they
 * hold, and so on. */
static void find_captured(lua_State *L, compiled *st) {
  const char *name;
  st->n_captured = 0;
  lua_newtable(L);
  lua_newtable(L);
  const int top = lua_gettop(L);
  reach r = {.list = top - 1, .todo = top};
  lua_getiuservalue(L, 1, 1); /* it counts though it be the library's (ms.fit): what it holds of the script's is to be seen */
  if (lua_isfunction(L, -1) && !lua_iscfunction(L, -1) && is_new(L, &r)) lua_rawseti(L, r.list, ++r.functions);
  else lua_pop(L, 1);
  for (int f = 1, m = 1; f <= r.functions; f++) {
    lua_rawgeti(L, r.list, f);
    for (int i = 1; st->n_captured < MAX_CAPTURED && (name = lua_getupvalue(L, top + 1, i)); i++, lua_pop(L, 1)) {
      const void *id = lua_upvalueid(L, top + 1, i);
      bool known = !strcmp(name, "_ENV");
      for (int k = 0; k < st->n_captured && !known; k++) known = st->captured[k].id == id;
      if (known) continue;
      add_captured(L, st, r.list, f, i, id);
      reach_function(L, &r);
      reach_table(L, &r);
    }
    lua_pop(L, 1);
    for (; m <= r.modules; m++, lua_pop(L, 1)) {
      lua_rawgeti(L, r.todo, m);
      reach_table(L, &r);
    }
  }
  lua_pop(L, 1);
  lua_setiuservalue(L, 1, 3);
}

/* Find the variables: at the first call, and again when a function or a table has come into a module since, such as a hook. If they
 * are the same ones, what they held at the first call still counts; else what they hold now, and no older recording fits. */
static void gather(lua_State *L, compiled *st) {
  if (st->calls && st->reached_at == msl_reach) return;
  free(st->before);
  st->before = st->captured, st->n_before = st->n_captured;
  st->captured = NULL, st->n_captured = 0;
  lua_getiuservalue(L, 1, 3);
  find_captured(L, st);
  bool same = st->calls && st->n_captured == st->n_before;
  for (int i = 0; same && i < st->n_captured; i++) same = st->captured[i].id == st->before[i].id;
  if (same) {
    captured *found = st->captured;
    st->captured = st->before, st->before = found;
    lua_setiuservalue(L, 1, 3);
  } else {
    st->reached++;
    lua_pop(L, 1);
  }
  free(st->before);
  st->before = NULL, st->n_before = 0, st->reached_at = msl_reach;
}

/* The part of the key for these variables, the same while they hold what they held at the first call. Those that the function sets
 * do not count: they stand still in a replay. */
int64_t msl_captured_key(lua_State *L, compiled *st) {
  gather(L, st);
  uint64_t key = msl_mix((uint64_t)st->reached);
  st->tensors = 0;
  if (!st->n_captured) return (int64_t)key;
  lua_getiuservalue(L, 1, 3);
  for (int i = 0; i < st->n_captured; i++) {
    if (st->captured[i].sets) continue;
    table_contents in;
    const int64_t now = st->captured[i].now = captured_code(L, st, lua_gettop(L), i, &in);
    if (now != st->captured[i].first) key ^= ((uint64_t)now ^ (uint64_t)(i + 1)) * 0x5851F42D4C957F2Du;
    if (now != st->captured[i].first || in.settings != st->captured[i].fields_first)
      key ^= msl_mix((uint64_t)in.settings ^ (uint64_t)(i + 1)) * 0xD6E8FEB86659FD93u;
    if (in.tensors) st->tensors ^= msl_mix((uint64_t)in.tensors ^ (uint64_t)(i + 1));
    st->captured[i].fields = in.settings, st->captured[i].tensors = in.tensors;
  }
  return lua_pop(L, 1), (int64_t)key;
}

/* Fail for a thing that a replay, which runs no Lua, would not put there again. */
static void fail_lost(const char *what, const char *name, const char *advice) {
  ms_fail("compile: the step %s the variable '%s': a replay runs no Lua and would not put it there again. %s", what, name, advice);
}

void msl_see_captured(lua_State *L, compiled *st, const arguments *v) {
  const char *name;
  lua_getiuservalue(L, 1, 3);
  for (int i = 0; i < st->n_captured; i++) {
    table_contents in;
    const int64_t code = captured_code(L, st, lua_gettop(L), i, &in);
    const bool same = code == st->captured[i].now;
    if (!st->captured[i].sets) st->captured[i].sets = !same;
    if (!st->captured[i].sets && in.settings == st->captured[i].fields && in.tensors == st->captured[i].tensors) continue;
    if (st->calls == 1) st->captured[i].fields_first = in.settings; /* what a first call prepares */
    lua_rawgeti(L, -1, st->captured[i].f);
    if ((name = lua_getupvalue(L, -1, st->captured[i].index))) {
      const ms_tensor *t = msl_to(L, -1);
      for (int k = 0; t && k < v->n; k++)
        if (v->tensor[k] == t) fail_lost("keeps an argument in", name, "Keep it outside, or copy it into a tensor (t:copy_(x))");
      if (!st->captured[i].sets)
        fail_lost("sets a field of the table in", name, "Return the value, or keep it in a tensor that is changed in place");
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}
