/* protos.c -- all functions of a Lua text, one by one, without running it: for scripts/mascon/watch, which swaps changed functions
 * into a program that runs.
 *
 * Lua compiles a chunk to a main function with the others in it, and makes those only as the main one runs. So the chunk is dumped
 * as bytecode (string.dump's format, ldump.c of Lua 5.4), cut at the functions, and each piece loaded for itself. What is loaded is
 * what this Lua has just written; no bytecode from elsewhere comes here, and none leaves.
 *
 * inside.functions(text, name) gives a list, the main function first and each function behind the one it lies in; or nil and a
 * message. An entry has the fields
 * - make: gives the function, a new one each time, its upvalues fresh ones
 * - line, last: where it begins and ends
 * - parent: its place in the list; 0 for the main one
 * - own: its code and constants, as bytes
 * - upvalues: { name, in the parent's stack?, index } each
 * - locals: { name, from, to } each: instructions between which it is alive */
#include "bind.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 31, MOST = 20000 };

typedef struct reader {
  const unsigned char *begin, *at, *end;
  const char *name; /* of the chunk */
  bool bad;         /* this is not the format that is known */
} reader;

static const unsigned char *skip(reader *r, size_t n) {
  const unsigned char *at = r->at;
  if (r->bad || (size_t)(r->end - at) < n) return r->bad = true, r->begin;
  r->at += n;
  return at;
}

static size_t number(reader *r) { /* seven bits a byte, the last one marked */
  size_t x = 0;
  for (int i = 0; i < 9; i++) {
    const unsigned char b = *skip(r, 1);
    x = x << 7 | (b & 0x7f);
    if (b & 0x80 || r->bad) break;
  }
  if (x > (size_t)(r->end - r->begin))
    r->bad = true; /* all that is counted here lies in the dump, or is a line or an instruction */
  return r->bad ? 0 : x;
}

/* A line, or the number of an instruction: no length, so not bounded by the dump's. */
static int position(reader *r) {
  size_t x = 0;
  for (int i = 0; i < 9; i++) {
    const unsigned char b = *skip(r, 1);
    x = x << 7 | (b & 0x7f);
    if (b & 0x80 || r->bad) break;
  }
  return (int)(x & 0x7fffffff);
}

static void text(reader *r, const char **s, size_t *n) {
  *n = number(r), *s = "";
  if (*n) *s = (const char *)skip(r, --*n);
}

static void skip_constants(reader *r) {
  const char *s;
  size_t n;
  for (size_t i = number(r); i && !r->bad; i--) switch (*skip(r, 1)) {
    case 0x00:
    case 0x01:
    case 0x11: break; /* nil, false, true */
    case 0x03:
    case 0x13: skip(r, 8); break; /* integer, float */
    case 0x04:
    case 0x14: text(r, &s, &n); break;
    default: r->bad = true;
    }
}

static void set_int(lua_State *L, const char *name, lua_Integer v) {
  lua_pushinteger(L, v);
  lua_setfield(L, -2, name);
}

static int make(lua_State *L) { /* upvalues: the bytes, the chunk's name */
  size_t n;
  const char *code = lua_tolstring(L, lua_upvalueindex(1), &n);
  if (luaL_loadbufferx(L, code, n, lua_tostring(L, lua_upvalueindex(2)), "b") != LUA_OK) return lua_error(L);
  return 1;
}

/* Field `make` of the table at t, for the function whose bytes behind its source's name lie from `at` to `end`. */
static void set_make(lua_State *L, int t, const reader *r, const unsigned char *at, const unsigned char *end, int upvalues) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addlstring(&b, (const char *)r->begin, HEADER);
  luaL_addchar(&b, (char)upvalues);
  const size_t n = strlen(r->name);
  unsigned char size[10];
  int k = sizeof size;
  for (size_t x = n + 1; x || k == sizeof size; x >>= 7) size[--k] = x & 0x7f;
  size[sizeof size - 1] |= 0x80;
  luaL_addlstring(&b, (const char *)size + k, sizeof size - (size_t)k);
  luaL_addstring(&b, r->name);
  luaL_addlstring(&b, (const char *)at, (size_t)(end - at));
  luaL_pushresult(&b);
  lua_pushstring(L, r->name);
  lua_pushcclosure(L, make, 2);
  lua_setfield(L, t, "make");
}

/* Read one function, and those in it, into the list at `list`. */
static void function(lua_State *L, reader *r, int list, lua_Integer parent) {
  const char *s;
  size_t n;
  luaL_checkstack(L, 12, "watch");
  lua_newtable(L);
  const int at = lua_gettop(L);
  const lua_Integer index = (lua_Integer)lua_rawlen(L, list) + 1;
  if (index > MOST) r->bad = true;
  lua_pushvalue(L, at);
  lua_rawseti(L, list, index);
  text(r, &s, &n);
  const unsigned char *begin = r->at;
  set_int(L, "line", position(r));
  set_int(L, "last", position(r));
  set_int(L, "parent", parent);
  const unsigned char *own = r->at;
  skip(r, 3);
  skip(r, 4 * number(r));
  skip_constants(r);
  lua_pushlstring(L, (const char *)own, r->bad ? 0 : (size_t)(r->at - own));
  lua_setfield(L, at, "own");
  const size_t upvalues = number(r);
  lua_createtable(L, (int)upvalues, 0);
  for (size_t i = 1; i <= upvalues && !r->bad; i++) {
    const unsigned char *u = skip(r, 3);
    lua_createtable(L, 3, 0);
    lua_pushboolean(L, u[0]);
    lua_rawseti(L, -2, 2);
    lua_pushinteger(L, u[1]);
    lua_rawseti(L, -2, 3);
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  for (size_t i = number(r); i && !r->bad; i--) function(L, r, list, index);
  skip(r, number(r));
  for (size_t i = number(r); i && !r->bad; i--) position(r), position(r);
  lua_newtable(L);
  for (size_t i = number(r), k = 1; k <= i && !r->bad; k++) {
    lua_createtable(L, 3, 0);
    text(r, &s, &n);
    lua_pushlstring(L, s, n);
    lua_rawseti(L, -2, 1);
    for (int j = 2; j <= 3; j++) {
      lua_pushinteger(L, position(r));
      lua_rawseti(L, -2, j);
    }
    lua_rawseti(L, -2, (lua_Integer)k);
  }
  lua_setfield(L, at, "locals");
  for (size_t i = number(r), k = 1; k <= i && k <= upvalues && !r->bad; k++) { /* their names */
    lua_rawgeti(L, -1, (lua_Integer)k);
    text(r, &s, &n);
    lua_pushlstring(L, s, n);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
  }
  lua_setfield(L, at, "upvalues");
  if (!r->bad) set_make(L, at, r, begin, r->at, (int)upvalues);
  lua_settop(L, at - 1);
}

/* The bytes of a dump: counted (at NULL), then copied. */
typedef struct dump {
  unsigned char *at;
  size_t n;
} dump;

static int append(lua_State *L, const void *p, size_t n, void *to) {
  dump *d = to;
  (void)L;
  if (d->at) memcpy(d->at + d->n, p, n);
  d->n += n;
  return 0;
}

static int functions(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n), *name = luaL_checkstring(L, 2);
  lua_settop(L, 2);
  if (luaL_loadbufferx(L, s, n, name, "t") != LUA_OK) {
    luaL_pushfail(L);
    lua_insert(L, -2);
    return 2;
  }
  dump d = {0};
  lua_dump(L, append, &d, 0);
  d.at = lua_newuserdatauv(L, d.n, 0), d.n = 0;
  lua_pushvalue(L, 3);
  lua_dump(L, append, &d, 0);
  lua_newtable(L);
  reader r = {.begin = d.at, .at = d.at, .end = d.at + d.n, .name = name};
  skip(&r, HEADER + 1);
  function(L, &r, lua_gettop(L), 0);
  if (!r.bad && r.at == r.end) return 1;
  luaL_pushfail(L);
  lua_pushliteral(L, "this Lua keeps its functions in another way than Lua 5.4");
  return 2;
}

void msl_open_protos(lua_State *L) {
  msl_inside(L);
  lua_pushcfunction(L, functions);
  lua_setfield(L, -2, "functions");
  lua_pop(L, 1);
}
