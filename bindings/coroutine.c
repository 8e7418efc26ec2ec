/* coroutine.c -- scopes and modes belong to their coroutine, and Ctrl-C reaches whichever runs.
 *
 * coroutine.resume, wrap and close are called through here. A coroutine begins with the modes of whoever resumes it. As long as it
 * has changed none it goes on following its resumer; what it changed (it yields inside no_grad or a scope) is put aside at the end
 * of its turn and found again at the next, and its resumer has its own back whatever happened. */
#include "bind.h"
#include "core/numerics.h"
#include "interrupt.h"
#include <string.h>

typedef struct modes {
  bool grad, deterministic, flush_denormal, check_numerics, detect_nan;
  const char *precision; /* its name: one of a few strings that stay */
  int guards;            /* open ones, so that a no_grad inside a no_grad counts as a change */
  int seeded;            /* generators of its own that are in place of the default one (ms.with_seed) */
  ms_rng rng, outermost; /* seeded: the innermost; what the default one was before the first */
  void *scopes;          /* gc.c */
} modes;

int msl_grad_guards;
static int seeded;
static ms_rng outermost;
static int aside;     /* how many coroutines have modes put aside */
static int table_key; /* registry: coroutine -> its modes, weak in the coroutine */

static modes modes_now(void) {
  modes m;
  memset(&m, 0, sizeof m); /* gaps too: they are compared as bytes */
  m.grad = ms_grad_enabled(), m.deterministic = ms_deterministic(), m.flush_denormal = ms_flush_denormal();
  m.detect_nan = ms_detect_nan_on();
  m.check_numerics = ms_check_numerics_on(), m.precision = ms_precision_name();
  m.guards = msl_grad_guards, m.scopes = msl_scopes(), m.seeded = seeded;
  if (seeded) m.rng = *ms_default_rng(), m.outermost = outermost;
  return m;
}

static void set(const modes *m) {
  ms_set_grad_enabled(m->grad), ms_set_deterministic(m->deterministic), ms_set_flush_denormal(m->flush_denormal);
  ms_set_check_numerics(m->check_numerics), ms_set_detect_nan(m->detect_nan);
  if (ms_precision_name() != m->precision) ms_set_precision(m->precision);
  msl_grad_guards = m->guards, seeded = m->seeded;
  if (seeded) *ms_default_rng() = m->rng, outermost = m->outermost;
  msl_set_scopes(m->scopes);
}

static int modes_gc(lua_State *L) {
  modes *m = luaL_checkudata(L, 1, "mascon.modes");
  msl_free_scopes(m->scopes);
  m->scopes = NULL;
  aside--;
  return 0;
}

/* The modes put aside of the coroutine at index `co`, pushed; NULL (nothing pushed) when there are none. */
static modes *modes_aside(lua_State *L, int co) {
  if (!aside) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
  lua_pushvalue(L, co);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  modes *m = lua_touserdata(L, -1);
  if (!m) lua_pop(L, 1);
  return m;
}

/* Make room for the modes of the coroutine at index `co`. */
static modes *put_aside(lua_State *L, int co) {
  modes *m = modes_aside(L, co);
  if (m) return lua_pop(L, 1), m;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
  lua_pushvalue(L, co);
  m = lua_newuserdatauv(L, sizeof *m, 0);
  memset(m, 0, sizeof *m);
  luaL_setmetatable(L, "mascon.modes");
  aside++;
  lua_rawset(L, -3);
  lua_pop(L, 1);
  return m;
}

static void forget(lua_State *L, int co) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
  lua_pushvalue(L, co);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* Call `f`, one of Lua's own that raise nothing, on the stack as it is; meanwhile the coroutine at index 1 has the turn. A plain
 * call in C: coroutines in coroutines go as deep as in Lua. Gives the number of results. */
static int with_turn(lua_State *L, lua_CFunction f) {
  lua_State *other = lua_tothread(L, 1);
  luaL_checkstack(L, 8, NULL);
  lua_pushvalue(L, 1);
  lua_insert(L, 1); /* there it stays */
  const modes mine = modes_now();
  const ms_rng generator = *ms_default_rng();
  modes begin = mine, *own = modes_aside(L, 1);
  begin.guards = 0, begin.scopes = NULL, begin.seeded = 0;
  memset(&begin.rng, 0, sizeof begin.rng);
  memset(&begin.outermost, 0, sizeof begin.outermost);
  const bool was_seeded = own && own->seeded;
  if (own) {
    set(own);
    own->scopes = NULL; /* ours now */
    lua_pop(L, 1);
  } else set(&begin);
  lua_remove(L, 1);
  msl_here(other);
  ms_turn_begins(L, other);
  const int mark = msl_protect_begin();
  const int n = f(L);
  msl_protect_failed(mark); /* an error is told by the results */
  const modes end = modes_now();
  if (was_seeded || end.seeded) *ms_default_rng() = generator; /* else what it drew was drawn from ours */
  const ms_rng drawn = *ms_default_rng();
  set(&mine);
  *ms_default_rng() = drawn;
  msl_here(L);
  ms_turn_ends(L);
  if (!own && !memcmp(&end, &begin, sizeof end)) return n;
  luaL_checkstack(L, 8, NULL);
  if (!lua_checkstack(other, 1)) return luaL_error(L, "out of memory");
  lua_pushthread(other);
  lua_xmove(other, L, 1);
  lua_insert(L, 1);
  if (memcmp(&end, &begin, sizeof end)) *put_aside(L, 1) = end;
  else forget(L, 1);
  lua_remove(L, 1);
  return n;
}

/* coroutine.resume; what was there before is the upvalue, here and below. */
static int resume(lua_State *L) {
  luaL_argexpected(L, lua_isthread(L, 1), 1, "coroutine");
  return with_turn(L, lua_tocfunction(L, lua_upvalueindex(1)));
}

/* coroutine.close. One that runs, or waits for one that it resumed, is not to be closed: Lua says so. */
static int close_it(lua_State *L) {
  luaL_argexpected(L, lua_isthread(L, 1), 1, "coroutine");
  lua_CFunction f = lua_tocfunction(L, lua_upvalueindex(1));
  lua_State *co = lua_tothread(L, 1);
  lua_Debug ar;
  return lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar) ? f(L) : with_turn(L, f);
}

/* A function that wrap made: upvalues its coroutine, Lua's resume and close. */
static int wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  const int n = with_turn(L, lua_tocfunction(L, lua_upvalueindex(2)));
  if (lua_toboolean(L, -n)) return n - 1;
  const int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) { /* it failed: end what it has open, which may fail in another way */
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    with_turn(L, lua_tocfunction(L, lua_upvalueindex(3)));
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

/* coroutine.wrap: upvalues Lua's create, resume and close. */
static int wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_pushcclosure(L, wrapped, 3);
  return 1;
}

/* inside.seeded(1): a generator takes the place of the default one until inside.seeded(-1) (seeds.lua). */
static int count_seeded(lua_State *L) {
  if (!seeded) outermost = *ms_default_rng();
  seeded += (int)luaL_checkinteger(L, 1);
  return 0;
}

/* ---- what a failed call leaves open ------------------------------------------------------------------------------ */

static modes at_call;

void msl_call_begins(void) { at_call = modes_now(); }

void msl_call_failed(void) {
  if (msl_grad_guards != at_call.guards) ms_set_grad_enabled(at_call.grad), msl_grad_guards = at_call.guards;
  if (seeded && !at_call.seeded) *ms_default_rng() = outermost, seeded = 0;
}

void msl_open_seeded(lua_State *L) {
  msl_inside(L);
  lua_pushcfunction(L, count_seeded);
  lua_setfield(L, -2, "seeded");
  lua_pop(L, 1);
}

void msl_open_coroutine(lua_State *L) {
  const int top = lua_gettop(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key) != LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pop(L, 1);
  msl_metatable(L, "mascon.modes");
  lua_pushcfunction(L, modes_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &table_key);
  static const char *const needed[] = {"create", "resume", "close"};
  bool there = lua_getglobal(L, "coroutine") == LUA_TTABLE; /* a host may have taken it away, or put its own there */
  for (int i = 0; i < 3; i++) {
    if (there) lua_getfield(L, -1 - i, needed[i]);
    there = there && lua_iscfunction(L, -1);
  }
  if (there) { /* stack: the table, create, resume, close */
    for (int i = 0; i < 3; i++) lua_pushvalue(L, -3);
    lua_pushcclosure(L, wrap, 3);
    lua_setfield(L, -5, "wrap");
    lua_pushcclosure(L, close_it, 1);
    lua_setfield(L, -4, "close");
    lua_pushcclosure(L, resume, 1);
    lua_setfield(L, -3, "resume");
  }
  lua_settop(L, top);
}
