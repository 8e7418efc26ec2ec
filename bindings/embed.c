/* embed.c -- finds, loads and hands out the Lua part of the library. */
#include "embed.h"
#include "protect.h"
#include <ctype.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One module; the last entry has no name. Made by embed.mk. */
typedef struct embedded {
  const char *name, *text, *end;
} embedded;
extern const embedded ms_embedded[] __attribute__((visibility("hidden")));
/* The same modules compiled by the program's own Lua; in the program only (mascon.so does not know the Lua that it will meet). */
extern const embedded ms_compiled[] __attribute__((weak, visibility("hidden")));

static const luaL_Reg c_modules[] = {
    {"term", luaopen_mascon_term}, {"system", luaopen_mascon_system}, {"jansson", luaopen_mascon_jansson}, {NULL, NULL}};

/* Fields of `ms` whose module has another name, or that are one field of a module. */
static const struct {
  const char *field, *module, *inside;
} aliases[] = {
    {"plot", "plots", NULL},
    {"run", "log", NULL},
    {"global", "strict", "global"},
    {"reload", "watch", "reload"},
    {"time", "term", "time"},
    {"with_seed", "seeds", "with_seed"},
    {"custom_function", "custom", NULL},
    {"help", "help", "ask"},
    {"print_options", "show", "print_options"},
    {"fit", "fit", "fit"},
    {"validate", "fit", "validate"},
    {"jacobian", "derivatives", "jacobian"},
    {"hessian", "derivatives", "hessian"},
    {"vjp", "derivatives", "vjp"},
    {"jvp", "derivatives", "jvp"},
    {"hvp", "derivatives", "hvp"},
    {"gradcheck", "derivatives", "gradcheck"},
    {"gradgradcheck", "derivatives", "gradgradcheck"},
    {NULL, NULL, NULL},
};

/* Modules that are no fields of `ms`: parts of others (all that lie in folders), or reached by an alias. */
static bool is_internal(const char *name) {
  static const char *const names[] = {"strict",    "text",     "prompt",   "log",     "plots",       "gnuplot", "dataset",
                                      "show",      "options",  "names",    "plain",   "seeds",       "jansson", "tiles",
                                      "arguments", "fields",   "state",    "custom",  "derivatives", "loader",  "samplers",
                                      "entry",     "debugger", "commands", "picture", "docs",        "inspect", "complete",
                                      "pulse",     "watch",    "width",    "explain"};
  if (strchr(name, '.')) return true;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (!strcmp(name, names[i])) return true;
  return false;
}

static const embedded *find_in(const embedded *e, const char *name) {
  for (; e->name; e++)
    if (!strcmp(e->name, name)) return e;
  return NULL;
}

static const embedded *find_embedded(const char *name) { return find_in(ms_embedded, name); }

static lua_CFunction find_c_module(const char *name) {
  for (const luaL_Reg *m = c_modules; m->name; m++)
    if (!strcmp(m->name, name)) return m->func;
  return NULL;
}

/* Names are file names, with a dot between folder and file: letters, digits and _ otherwise, so that no name leads out of the
 * folder. */
static bool is_plain_name(const char *name) {
  for (bool first = true;; first = *name++ == '.') {
    if (isalnum((unsigned char)*name) || *name == '_') continue;
    if (first || *name != '.') return !first && !*name;
  }
}

static const char *file_for(lua_State *L, const char *name) {
  const char *dir = getenv("MASCON_LUA");
  if (!dir || !*dir) return NULL;
  const char *path = lua_pushfstring(L, "%s/%s.lua", dir, name);
  FILE *f = fopen(path, "rb");
  if (!f) {
    lua_pop(L, 1);
    return NULL;
  }
  fclose(f);
  return path; /* on the stack */
}

bool ms_lua_stands_in(const char *folder) {
  char path[4096];
  for (const embedded *e = ms_embedded; e->name; e++)
    if (!strchr(e->name, '.') && snprintf(path, sizeof path, "%s/%s.lua", folder, e->name) < (int)sizeof path &&
        !access(path, R_OK))
      return true;
  return false;
}

FILE *ms_reopen(const char *path) {
  struct stat st;
  return stat(path, &st) || !S_ISREG(st.st_mode) ? NULL : fopen(path, "rb");
}

/* Read a whole file onto the stack as a string; false with a message there instead. */
static bool push_file(lua_State *L, const char *path) {
  FILE *f = ms_reopen(path);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  if (f) {
    size_t n;
    do {
      char *p = luaL_prepbuffer(&b);
      luaL_addsize(&b, n = fread(p, 1, LUAL_BUFFERSIZE, f));
    } while (n > 0);
    bool ok = !ferror(f);
    fclose(f);
    luaL_pushresult(&b);
    if (ok) return true;
  } else luaL_pushresult(&b);
  lua_pop(L, 1);
  lua_pushfstring(L, "cannot read %s", path);
  return false;
}

void ms_keep_text(lua_State *L, const char *path) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, "mascon.texts");
  const bool ok = push_file(L, path);
  if (ok) lua_setfield(L, -2, path);
  lua_pop(L, ok ? 1 : 2);
}

static char own_key; /* registry: the library's own globals, nil: those of all */

void ms_lua_own_globals(lua_State *L) {
  msl_open_protect(L); /* pcall and xpcall as they will be */
  lua_newtable(L);
  lua_pushglobaltable(L);
  for (lua_pushnil(L); lua_next(L, -2);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -5);
  }
  lua_createtable(L, 0, 2);
  for (int i = 0; i < 2; i++) {
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, i ? "__newindex" : "__index");
  }
  lua_setmetatable(L, -3);
  lua_pop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &own_key);
}

/* Push the loader of module NAME (a function); false, with nothing pushed, when there is no such module. A module that does not
 * compile raises. The chunk is called =mascon/FILE.lua wherever it came from: tracebacks know the library's frames by it. */
static bool push_loader(lua_State *L, const char *name) {
  if (!is_plain_name(name)) return false;
  lua_CFunction c = find_c_module(name);
  if (c) {
    lua_pushcfunction(L, c);
    return true;
  }
  int top = lua_gettop(L), status;
  const char *file = luaL_gsub(L, name, ".", "/"), *path = file_for(L, file);
  if (path) {
    if (!push_file(L, path)) lua_error(L);
    size_t n;
    const char *text = lua_tolstring(L, -1, &n);
    status = luaL_loadbufferx(L, text, n, lua_pushfstring(L, "=mascon/%s.lua", file), "t");
  } else {
    const embedded *table = ms_compiled ? ms_compiled : ms_embedded, *e = find_in(table, name);
    if (!e) {
      lua_settop(L, top);
      return false;
    }
    status = luaL_loadbufferx(L, e->text, (size_t)(e->end - e->text), lua_pushfstring(L, "=mascon/%s.lua", file),
                              table == ms_compiled ? "b" : "t");
  }
  if (status != LUA_OK) lua_error(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &own_key) == LUA_TNIL || !lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return true;
}

static int searcher(lua_State *L) {
  const char *full = luaL_checkstring(L, 1);
  if (strncmp(full, "mascon.", 7)) return 0;
  if (!push_loader(L, full + 7)) {
    lua_pushfstring(L, "no module '%s' inside mascon", full + 7);
    return 1;
  }
  lua_pushliteral(L, ":mascon:");
  return 2;
}

void ms_lua_searcher(lua_State *L) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, "mascon.searcher") == LUA_TNIL) {
    lua_getglobal(L, "package");
    if (lua_istable(L, -1) && lua_getfield(L, -1, "searchers") == LUA_TTABLE) {
      for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) {
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -2, i + 1);
      }
      lua_pushcfunction(L, searcher);
      lua_rawseti(L, -2, 2);
      lua_pushboolean(L, 1);
      lua_setfield(L, LUA_REGISTRYINDEX, "mascon.searcher");
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

int ms_lua_require(lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  const char *full = lua_pushfstring(L, "mascon.%s", name);
  if (lua_getfield(L, -2, full) != LUA_TNIL) {
    lua_replace(L, -3);
    lua_pop(L, 1);
    return 1;
  }
  lua_pop(L, 1);
  if (!push_loader(L, name)) return luaL_error(L, "no module '%s' inside mascon", name);
  lua_pushvalue(L, -2);
  lua_call(L, 1, 1);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
  }
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, full);
  lua_replace(L, -3);
  lua_pop(L, 1);
  return 1;
}

/* Raise for the key at 2 that the table at 1, known to users as `where`, does not have: scripts/mascon/names.lua has the hints. */
static int unknown_name(lua_State *L, const char *where) {
  ms_lua_require(L, "names");
  lua_getfield(L, -1, "unknown");
  lua_pushstring(L, where);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 1);
  lua_call(L, 3, 0);
  return 0;
}

static int guarded_index(lua_State *L) { return unknown_name(L, lua_tostring(L, lua_upvalueindex(1))); }

void ms_lua_name_hints(lua_State *L, const char *where) {
  lua_createtable(L, 0, 1);
  lua_pushstring(L, where);
  lua_pushcclosure(L, guarded_index, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

/* ms.NAME, first use: load, remember in the table itself, so that this runs once per field. */
static int lazy_index(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_type(L, 2) != LUA_TSTRING) return unknown_name(L, "ms");
  const char *key = lua_tostring(L, 2), *module = NULL, *inside = NULL;
  for (int i = 0; aliases[i].field; i++)
    if (!strcmp(aliases[i].field, key)) module = aliases[i].module, inside = aliases[i].inside;
  if (!module) {
    if (is_internal(key) || !is_plain_name(key) || !(find_embedded(key) || find_c_module(key))) return unknown_name(L, "ms");
    module = key;
  }
  ms_lua_require(L, module);
  if (inside) lua_getfield(L, -1, inside);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -2);
  lua_rawset(L, 1);
  return 1;
}

/* What the prompt completes after `ms.` besides the fields that are there: a list of the names lazy_index knows. */
static int lazy_dir(lua_State *L) {
  lua_newtable(L);
  lua_Integer n = 0;
  for (int i = 0; aliases[i].field; i++) {
    lua_pushstring(L, aliases[i].field);
    lua_rawseti(L, -2, ++n);
  }
  for (const embedded *e = ms_embedded; e->name; e++)
    if (!is_internal(e->name)) {
      lua_pushstring(L, e->name);
      lua_rawseti(L, -2, ++n);
    }
  for (const luaL_Reg *m = c_modules; m->name; m++)
    if (!is_internal(m->name)) {
      lua_pushstring(L, m->name);
      lua_rawseti(L, -2, ++n);
    }
  return 1;
}

static void set_missing(lua_State *L, const char *field, lua_CFunction f) {
  lua_pushstring(L, field);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pushstring(L, field);
    lua_pushcfunction(L, f);
    lua_rawset(L, -4);
  }
  lua_pop(L, 1);
}

/* ms.source() -> names of the library's Lua modules; ms.source(name) -> the text of one, for ms.help. */
static int source(lua_State *L) {
  const char *name = luaL_optstring(L, 1, NULL);
  if (!name) {
    lua_newtable(L);
    lua_Integer n = 0;
    for (const embedded *e = ms_embedded; e->name; e++) {
      lua_pushstring(L, e->name);
      lua_rawseti(L, -2, ++n);
    }
    return 1;
  }
  const embedded *e = find_embedded(name);
  if (!e) return 0;
  lua_pushlstring(L, e->text, (size_t)(e->end - e->text));
  return 1;
}

void ms_lua_library(lua_State *L) {
  luaL_checkstack(L, 8, NULL);
  ms_lua_searcher(L);
  lua_pushcfunction(L, source);
  lua_setfield(L, -2, "source");
  if (!lua_getmetatable(L, -1)) lua_newtable(L);
  set_missing(L, "__index", lazy_index);
  set_missing(L, "__dir", lazy_dir);
  lua_setmetatable(L, -2);
}
