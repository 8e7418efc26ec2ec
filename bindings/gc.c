/* gc.c -- tensors and Lua's collector.
 *
 * A tensor is 8 bytes to Lua and megabytes to us, so the bindings watch the bytes: before a call, a young collection when
 * max(FLOOR, live/8) bytes were allocated since the last one, a full one after max(256 MB, 2*live). Nothing else talks to the
 * collector.
 *
 * ms.scope(): userdata made while a scope is open are listed; closing frees what was not kept, at once, without the collector. */
#include "bind.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FLOOR is what a loop of small steps may hold above what it would hold with scopes; a young collection costs tens of microseconds.
 */
enum { FLOOR = 1 << 20, FULL = 256 << 20 };

typedef struct box {
  ms_tensor *t;
  int slot; /* place in the list of scoped boxes, -1 = not in it */
} box;

static box **list;
static int list_n, list_room, open_scopes;
static size_t last_young, last_full;
static lua_State *current;
static const void *tensor_meta; /* identity of the metatable */
static char meta_key;
static bool stress;

/* ---- collector policy -------------------------------------------------------------------------------------------- */

static void policy(lua_State *L) {
  ms_memory m = ms_memory_stats();
  if (stress) {
    lua_gc(L, LUA_GCCOLLECT);
    return;
  }
  size_t full = 2 * m.live > FULL ? 2 * m.live : FULL, young = m.live / 8 > FLOOR ? m.live / 8 : FLOOR;
  if (m.allocated - last_full > full) {
    last_full = last_young = m.allocated;
    lua_gc(L, LUA_GCCOLLECT);
  } else if (m.allocated - last_young > young) {
    last_young = m.allocated;
    lua_gc(L, LUA_GCSTEP, 0);
  }
}

static void on_pressure(void *data) {
  (void)data;
  if (current) lua_gc(current, LUA_GCCOLLECT);
}

int msl_enter(lua_State *L) {
  current = L;
  policy(L);
  return ms_scope_open();
}

/* ---- errors with the script's line ------------------------------------------------------------------------------- */

static bool script_frame(lua_State *L, lua_Debug *ar) {
  for (int level = 0; lua_getstack(L, level, ar); level++) {
    lua_getinfo(L, "Sl", ar);
    if (ar->currentline > 0 && strncmp(ar->source, "=mascon/", 8)) return true;
  }
  return false;
}

static void where(void *data, const char **chunk, int *line) {
  (void)data;
  static char name[LUA_IDSIZE];
  lua_Debug ar;
  if (!current || !script_frame(current, &ar)) return;
  memcpy(name, ar.short_src, sizeof name);
  *chunk = name, *line = ar.currentline;
}

void msl_script_line(lua_State *L, char *out, size_t size) {
  lua_Debug ar;
  if (script_frame(L, &ar)) snprintf(out, size, "%s:%d: ", ar.short_src, ar.currentline);
  else if (size) *out = 0;
}

static int raise_stored(lua_State *L) {
  char line[LUA_IDSIZE + 32];
  msl_script_line(L, line, sizeof line);
  lua_pushfstring(L, "%s%s", line, ms_error());
  ms_error_clear();
  return lua_error(L);
}

void msl_leave(lua_State *L, int mark) {
  ms_scope_close(mark);
  if (ms_error()) raise_stored(L);
}

int msl_raise(lua_State *L, int mark, const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  ms_scope_close(mark);
  ms_fail("%s", text);
  return raise_stored(L);
}

/* ---- boxes ------------------------------------------------------------------------------------------------------- */

void msl_push(lua_State *L, ms_tensor *t) {
  if (!t) {
    lua_pushnil(L);
    return;
  }
  if (t->is_number) {
    if (t->is_integer_number) lua_pushinteger(L, (lua_Integer)ms_scalar_value(t->number));
    else lua_pushnumber(L, ms_scalar_value(t->number));
    return;
  }
  box *b = lua_newuserdatauv(L, sizeof *b, 0);
  b->t = NULL, b->slot = -1;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key);
  lua_setmetatable(L, -2);
  b->t = ms_retain(t);
  if (!open_scopes) return;
  if (list_n == list_room) {
    int room = list_room ? 2 * list_room : 256;
    box **p = realloc(list, (size_t)room * sizeof *p);
    if (!p) return; /* not listed: the collector will see to it */
    list = p, list_room = room;
  }
  b->slot = list_n;
  list[list_n++] = b;
}

static box *box_at(lua_State *L, int i) {
  box *b = lua_touserdata(L, i);
  if (!b || !lua_getmetatable(L, i)) return NULL;
  bool is = lua_topointer(L, -1) == tensor_meta;
  lua_pop(L, 1);
  return is ? b : NULL;
}

ms_tensor *msl_to(lua_State *L, int i) {
  box *b = box_at(L, i);
  return b ? b->t : NULL;
}

ms_tensor *msl_check(lua_State *L, int i, const char *what) {
  box *b = box_at(L, i);
  if (b && b->t) return b->t;
  char line[LUA_IDSIZE + 32]; /* luaL_error would put the place of the calling Lua code, the library's perhaps, before it */
  msl_script_line(L, line, sizeof line);
  if (b) lua_pushfstring(L, "%s%s: this tensor was freed when its scope closed; keep it with scope:keep(x)", line, what);
  else if (lua_istable(L, i) && luaL_getmetafield(L, i, "__name") == LUA_TSTRING)
    lua_pushfstring(L, "%s%s: expected a tensor, got a %s", line, what, lua_tostring(L, -1));
  else lua_pushfstring(L, "%s%s: expected a tensor, got %s", line, what, lua_isnoneornil(L, i) ? "nothing" : luaL_typename(L, i));
  lua_error(L);
  return NULL;
}

ms_tensor *msl_operand(lua_State *L, int i) {
  ms_tensor *t;
  switch (lua_type(L, i)) {
  case LUA_TUSERDATA:
    if ((t = msl_to(L, i))) return t;
    ms_cell *live = msl_live(L, i);
    t = live ? ms_live_number(live) : NULL;
    if (t) t->is_integer_number = msl_live_whole(L, i);
    return t;
  case LUA_TNUMBER:
    if (lua_isinteger(L, i) && (lua_tointeger(L, i) > (lua_Integer)1 << 53 || lua_tointeger(L, i) < -((lua_Integer)1 << 53)))
      return ms_fail("the whole number %lld is too large to be an operand (at most 2^53)", (long long)lua_tointeger(L, i));
    t = ms_number(lua_tonumber(L, i));
    if (t) t->is_integer_number = lua_isinteger(L, i);
    return t;
  case LUA_TBOOLEAN:
    t = ms_number(lua_toboolean(L, i));
    if (t) t->is_integer_number = true;
    return t;
  default: return NULL;
  }
}

static int tensor_gc(lua_State *L) {
  box *b = lua_touserdata(L, 1);
  if (b->slot >= 0) list[b->slot] = NULL;
  ms_release(b->t);
  b->t = NULL, b->slot = -1;
  return 0;
}

/* ---- scopes ------------------------------------------------------------------------------------------------------ */

typedef struct scope {
  int mark;
  bool open;
} scope;

/* ms.scope() -> scope, to be closed: local s <close> = ms.scope(). Tensors made until then are freed at its end, unless s:keep(x)
 * was said or something else of the library (a parameter's gradient, an optimizer's state) holds them. */
static int scope_new(lua_State *L) {
  scope *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (scope){list_n, true};
  open_scopes++;
  luaL_setmetatable(L, "mascon.scope");
  return 1;
}

static int scope_close(lua_State *L) {
  scope *s = luaL_checkudata(L, 1, "mascon.scope");
  if (!s->open) return 0;
  s->open = false;
  open_scopes--;
  for (int i = s->mark; i < list_n; i++) {
    box *b = list[i];
    if (!b) continue;
    ms_release(b->t);
    b->t = NULL, b->slot = -1;
  }
  if (list_n > s->mark) list_n = s->mark;
  return 0;
}

/* scope:keep(x, ...) -> x, ...: these tensors (or tensors in these tables) outlive the scope. */
static void keep(lua_State *L, int i, int depth) {
  box *b = box_at(L, i);
  if (b) {
    if (b->slot >= 0) list[b->slot] = NULL, b->slot = -1;
    return;
  }
  if (!lua_istable(L, i) || depth > 8) return;
  luaL_checkstack(L, 4, "keep");
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) keep(L, lua_gettop(L), depth + 1);
}

static int scope_keep(lua_State *L) {
  luaL_checkudata(L, 1, "mascon.scope");
  int n = lua_gettop(L);
  for (int i = 2; i <= n; i++) keep(L, i, 0);
  return n - 1;
}

/* ms.keep(x, ...) -> x, ...: the same without a scope at hand, for library code that stores tensors. */
static int keep_all(lua_State *L) {
  int n = lua_gettop(L);
  for (int i = 1; i <= n; i++) keep(L, i, 0);
  return n;
}

/* A scope that nobody closed (a forgotten <close>): its tensors are left to the collector. */
static int scope_gc(lua_State *L) {
  scope *s = luaL_checkudata(L, 1, "mascon.scope");
  if (!s->open) return 0;
  s->open = false;
  open_scopes--;
  for (int i = s->mark; i < list_n; i++)
    if (list[i]) list[i]->slot = -1;
  if (list_n > s->mark) list_n = s->mark;
  return 0;
}

void msl_open_gc(lua_State *L);
void msl_open_gc(lua_State *L) { /* module table on top */
  stress = getenv("MASCON_GCSTRESS") != NULL;
  lua_gc(L, LUA_GCGEN, 0, 0);
  current = L;
  ms_on_where(where, NULL);
  ms_memory_on_pressure(on_pressure, NULL);
  luaL_newmetatable(L, "mascon.tensor");
  tensor_meta = lua_topointer(L, -1);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &meta_key);
  lua_pushcfunction(L, tensor_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);

  luaL_newmetatable(L, "mascon.scope");
  lua_pushcfunction(L, scope_close);
  lua_setfield(L, -2, "__close");
  lua_pushcfunction(L, scope_gc);
  lua_setfield(L, -2, "__gc");
  lua_newtable(L);
  lua_pushcfunction(L, scope_keep);
  lua_setfield(L, -2, "keep");
  lua_pushcfunction(L, scope_close);
  lua_setfield(L, -2, "close");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_pushcfunction(L, scope_new);
  lua_setfield(L, -2, "scope");
  lua_pushcfunction(L, keep_all);
  lua_setfield(L, -2, "keep");
}
