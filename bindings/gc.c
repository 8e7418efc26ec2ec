/* gc.c -- tensors as userdata (msl_push, msl_to), when Lua's collector runs, errors with the script's line (msl_leave, msl_raise),
 * and ms.scope.
 *
 * A tensor is 8 bytes to Lua's collector and megabytes in truth. So the bindings count the bytes and decide: before a call, a young
 * collection when max(FLOOR, live/8) bytes were allocated since the last one, a full one after max(256 MB, 2*live). Nothing else
 * talks to the collector.
 *
 * ms.scope(): userdata that are made while a scope is open are in its list. When it closes, the tensors of those that are still
 * there are freed at once, without the collector. A scope belongs to the coroutine that opened it (coroutine.c). (ms_scope_open, in
 * core/tensor.c, is another thing: the tensors that one call into the core has made.) */
#include "aside.h"
#include "bind.h"
#include "io/mapped.h"
#include "step/step.h"
#include "io/io.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FLOOR is what a loop of small steps may hold above what it would hold with scopes; a young collection costs tens of microseconds.
 */
enum { FLOOR = 1 << 20, FULL = 256 << 20 };

/* What a tensor is to Lua. Those that a scope will free are a list through next and before; before points at what points here, and
 * is NULL outside of any list. */
typedef struct box box;
struct box {
  ms_tensor *t;
  box *next, **before;
  bool result;  /* of a compiled step */
  bool tracked; /* it is a tracked_box */
};

/* At the prompt each tensor knows the line that made it, and all are in a list (msl_track). */
typedef struct tracked_box tracked_box;
struct tracked_box {
  box b;
  tracked_box *next, **before;
  const char *chunk;
  int line;
};
static tracked_box *all_tracked;
static bool tracking;

/* Held by its userdata and by the coroutine whose innermost scope it is, or was when an inner one was opened. */
typedef struct scope scope;
struct scope {
  box *boxes;
  scope *outer;
  bool open;
  int refs;
};

static scope *innermost; /* of the coroutine that runs */
static size_t last_young, last_full;
static lua_State *current;
static const void *tensor_meta; /* identity of the metatable */
static char meta_key;
static bool stress;

/* ---- collector policy -------------------------------------------------------------------------------------------- */

static void collect_if_due(lua_State *L) {
  ms_memory m = ms_memory_stats(NULL);
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

void msl_here(lua_State *L) { current = L; }
lua_State *msl_where(void) { return current; }

int msl_enter(lua_State *L) {
  current = L;
  collect_if_due(L);
  return ms_scope_open();
}

/* ---- errors with the script's line ------------------------------------------------------------------------------- */

enum { NEAR = 200 }; /* levels: each costs its depth, and a recursion in the library can be very deep */

static bool script_frame(lua_State *L, lua_Debug *ar) {
  for (int level = 0; level < NEAR && lua_getstack(L, level, ar); level++) {
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
  lua_pushstring(L, line);
  size_t n = strlen(ms_error());
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  char *out = luaL_prepbuffsize(&b, 4 * n); /* names of files and tensors come from outside: they move no cursor */
  luaL_addsize(&b, ms_visible(ms_error(), n, true, out));
  luaL_pushresult(&b);
  lua_concat(L, 2);
  ms_error_clear();
  return lua_error(L);
}

void msl_leave(lua_State *L, int mark) {
  ms_scope_close(mark);
  if (ms_mapped_check() || ms_error()) raise_stored(L);
}

int msl_raise(lua_State *L, int mark, const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  ms_scope_close(mark);
  current = L;
  ms_fail("%s", text);
  return raise_stored(L);
}

int msl_refuse(lua_State *L, const char *fmt, ...) {
  char text[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  current = L;
  ms_record_refuse(text);
  return msl_raise(L, ms_scope_open(), "%s", text);
}

/* ---- boxes ------------------------------------------------------------------------------------------------------- */

static void track(box *b) {
  tracked_box *k = (tracked_box *)b;
  k->line = 0, k->chunk = NULL;
  where(NULL, &k->chunk, &k->line);
  k->chunk = k->chunk ? ms_intern(k->chunk) : NULL;
  k->next = all_tracked, k->before = &all_tracked;
  if (k->next) k->next->before = &k->next;
  all_tracked = k;
  b->tracked = true;
}

static void untrack(box *b) {
  tracked_box *k = (tracked_box *)b;
  if (!b->tracked) return;
  *k->before = k->next;
  if (k->next) k->next->before = k->before;
  b->tracked = false;
}

void msl_track(void) { tracking = true; }

typedef struct seen_tensor {
  const char *chunk;
  int line;
  ms_storage *storage;
  size_t bytes;
} seen_tensor;

/* inside.tensors() -> a list of those that Lua holds and that were made since msl_track: { line = "train.lua:12", bytes = of its
 * storage, storage = a value that tells storages apart }. A copy is listed: the collector may take some away meanwhile. */
static int tracked_tensors(lua_State *L) {
  lua_Integer n = 0, room = 0;
  for (const tracked_box *k = all_tracked; k; k = k->next) room++;
  seen_tensor *seen = lua_newuserdatauv(L, (size_t)room * sizeof *seen + 1, 0);
  for (const tracked_box *k = all_tracked; k && n < room; k = k->next)
    if (k->b.t && k->b.t->storage) seen[n++] = (seen_tensor){k->chunk, k->line, k->b.t->storage, k->b.t->storage->bytes};
  lua_createtable(L, (int)n, 0);
  for (lua_Integer i = 0; i < n; i++) {
    lua_createtable(L, 0, 3);
    if (seen[i].chunk && seen[i].line) lua_pushfstring(L, "%s:%d", seen[i].chunk, seen[i].line);
    else lua_pushliteral(L, "?");
    lua_setfield(L, -2, "line");
    lua_pushinteger(L, (lua_Integer)seen[i].bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushlightuserdata(L, seen[i].storage);
    lua_setfield(L, -2, "storage");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

void msl_push(lua_State *L, ms_tensor *t) {
  if (!t) {
    lua_pushnil(L);
    return;
  }
  if (t->is_number) {
    ms_plain v;
    int64_t whole;
    if (!ms_scalar_constant(t->number, &v)) msl_push_lent(L, ms_scalar_cell(t->number), t->is_integer_number);
    else if (t->is_integer_number && ms_plain_whole(v, &whole)) lua_pushinteger(L, whole);
    else lua_pushnumber(L, v.value);
    return;
  }
  box *b = lua_newuserdatauv(L, tracking ? sizeof(tracked_box) : sizeof *b, 0);
  *b = (box){0};
  if (tracking) track(b);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key);
  lua_setmetatable(L, -2);
  b->t = ms_retain(t);
  if (!innermost) return;
  b->next = innermost->boxes, b->before = &innermost->boxes;
  if (b->next) b->next->before = &b->next;
  innermost->boxes = b;
}

/* Out of the list it is in, if any. */
static void take_out(box *b) {
  if (!b->before) return;
  *b->before = b->next;
  if (b->next) b->next->before = b->before;
  b->next = NULL, b->before = NULL;
}

static box *box_at(lua_State *L, int i) {
  box *b = lua_touserdata(L, i);
  if (!b || !lua_getmetatable(L, i)) return NULL;
  bool is = lua_topointer(L, -1) == tensor_meta;
  lua_pop(L, 1);
  return is ? b : NULL;
}

void msl_push_result(lua_State *L, ms_tensor *t) {
  msl_push(L, t);
  box *b = box_at(L, -1);
  if (b) b->result = true;
}

bool msl_is_result(lua_State *L, int i) {
  const box *b = box_at(L, i);
  return b && b->result && b->t && !b->t->requires_grad;
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
  lua_Debug ar;
  const char *got = lua_isnoneornil(L, i) ? "nothing" : luaL_typename(L, i);
  const bool dot = !b && i == 1 && lua_getstack(L, 0, &ar) && lua_getinfo(L, "n", &ar) && ar.name &&
                   strcmp(ar.namewhat, "method") && !strcmp(ar.name, what);
  const char *hint = dot ? lua_pushfstring(L, "; with a colon: x:%s()", what) : "";
  if (b) lua_pushfstring(L, "%s%s: this tensor was freed when its scope closed; keep it with scope:keep(x)", line, what);
  else if (lua_istable(L, i) && luaL_getmetafield(L, i, "__name") == LUA_TSTRING)
    lua_pushfstring(L, "%s%s: expected a tensor, got a %s", line, what, lua_tostring(L, -1));
  else lua_pushfstring(L, "%s%s: expected a tensor, got %s%s", line, what, got, hint);
  lua_error(L);
  return NULL;
}

const char *msl_typename(lua_State *L, int i) { return box_at(L, i) ? "a tensor" : luaL_typename(L, i); }

ms_plain msl_plain(lua_State *L, int i) {
  if (!lua_isinteger(L, i)) return (ms_plain){.value = lua_tonumber(L, i)};
  return (ms_plain){(double)lua_tointeger(L, i), lua_tointeger(L, i), true};
}

void msl_push_plain(lua_State *L, ms_plain v) {
  if (v.is_whole) lua_pushinteger(L, v.whole);
  else lua_pushnumber(L, v.value);
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
  case LUA_TNUMBER: return lua_isinteger(L, i) ? ms_whole_number(lua_tointeger(L, i)) : ms_number(lua_tonumber(L, i));
  case LUA_TBOOLEAN: return ms_whole_number(lua_toboolean(L, i));
  default: return NULL;
  }
}

bool msl_metatable(lua_State *L, const char *name) {
  bool made = luaL_newmetatable(L, name);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
  return made;
}

/* ms.is_tensor(x) -> boolean: also for one that its scope has freed */
static int is_tensor(lua_State *L) { return lua_pushboolean(L, box_at(L, 1) != NULL), 1; }

static int tensor_gc(lua_State *L) {
  box *b = box_at(L, 1);
  if (!b) return luaL_typeerror(L, 1, "tensor");
  take_out(b);
  untrack(b);
  ms_release(b->t);
  b->t = NULL;
  return 0;
}

/* ---- scopes ------------------------------------------------------------------------------------------------------ */

static void release_scope(scope *s) {
  if (--s->refs == 0) free(s);
}

/* Those at the head of the chain that are closed leave it. */
static void drop_closed(void) {
  while (innermost && !innermost->open) {
    scope *s = innermost;
    innermost = s->outer;
    release_scope(s);
  }
}

void *msl_scopes(void) { return innermost; }

void msl_set_scopes(void *chain) {
  innermost = chain;
  drop_closed(); /* another coroutine may have closed them meanwhile */
}

void msl_free_scopes(void *chain) {
  for (scope *s = chain, *outer; s; s = outer) {
    outer = s->outer;
    release_scope(s);
  }
}

/* ms.scope() -> scope, to be closed: local s <close> = ms.scope(). Tensors made until then are freed at its end, unless s:keep(x)
 * was said or something else of the library (a parameter's gradient, an optimizer's state) holds them. */
static int scope_new(lua_State *L) {
  msl_at_most(L, 0, "scope");
  scope **p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = NULL;
  luaL_setmetatable(L, "mascon.scope");
  if (!(*p = calloc(1, sizeof **p))) return luaL_error(L, "scope: out of memory");
  **p = (scope){.outer = innermost, .open = true, .refs = 2};
  innermost = *p;
  return 1;
}

/* Let go of its tensors: free them, or leave them to the collector. */
static void let_go(scope *s, bool release) {
  for (box *b; (b = s->boxes);) {
    take_out(b);
    if (!release) continue;
    ms_release(b->t);
    b->t = NULL;
  }
  s->open = false;
}

/* Those opened after it in the same coroutine, and not closed yet, end with it. */
static void end_scope(scope *s, bool release) {
  scope *k = innermost;
  while (k && k != s) k = k->outer;
  if (k)
    for (k = innermost; k != s; k = k->outer) let_go(k, release);
  let_go(s, release);
  drop_closed();
}

static scope *scope_at(lua_State *L) {
  scope **p = luaL_checkudata(L, 1, "mascon.scope");
  return *p;
}

static int scope_close(lua_State *L) {
  scope *s = scope_at(L);
  if (s && s->open) end_scope(s, true);
  return 0;
}

/* scope:keep(x, ...) -> x, ...: these tensors (or tensors in these tables) outlive the scope. */
static void keep_value(lua_State *L, int i, int depth) {
  box *b = box_at(L, i);
  if (b) {
    take_out(b);
    return;
  }
  if (!lua_istable(L, i) || depth > 8) return;
  luaL_checkstack(L, 4, "keep");
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) keep_value(L, lua_gettop(L), depth + 1);
}

void msl_keep(lua_State *L, int i) { keep_value(L, lua_absindex(L, i), 0); }

static int scope_keep(lua_State *L) {
  luaL_checkudata(L, 1, "mascon.scope");
  int n = lua_gettop(L);
  for (int i = 2; i <= n; i++) keep_value(L, i, 0);
  return n - 1;
}

/* ms.keep(x, ...) -> x, ...: the same without a scope at hand, for library code that stores tensors. */
static int keep_all(lua_State *L) {
  int n = lua_gettop(L);
  for (int i = 1; i <= n; i++) keep_value(L, i, 0);
  return n;
}

/* A scope that nobody closed (a forgotten <close>): its tensors are left to the collector. */
static int scope_gc(lua_State *L) {
  scope **p = luaL_checkudata(L, 1, "mascon.scope"), *s = *p;
  if (!s) return 0;
  *p = NULL;
  if (s->open) end_scope(s, false);
  release_scope(s);
  return 0;
}

void msl_open_gc(lua_State *L);
void msl_open_gc(lua_State *L) { /* module table on top */
  const char *ask = getenv("MASCON_GCSTRESS");
  stress = ask && !strcmp(ask, "1");
  lua_gc(L, LUA_GCGEN, 0, 0);
  current = L;
  ms_on_where(where, NULL);
  ms_memory_on_pressure(on_pressure, NULL);
  msl_metatable(L, "mascon.tensor");
  tensor_meta = lua_topointer(L, -1);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &meta_key);
  lua_pushcfunction(L, tensor_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);

  msl_metatable(L, "mascon.scope");
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
  lua_pushcfunction(L, is_tensor);
  lua_setfield(L, -2, "is_tensor");
  msl_takes_live(is_tensor, 0);
  msl_inside(L);
  lua_pushcfunction(L, tracked_tensors);
  lua_setfield(L, -2, "tensors");
  lua_pop(L, 1);
}
