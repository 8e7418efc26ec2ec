/* protect.c -- pcall and xpcall as Lua has them, which also clean up in the core after an error. An error leaves a binding in the
 * middle: the scope that the binding had opened stays open, so that its tensors would live for good, and a stored message may be
 * left, which would fail the next call. Coroutines and the program's own calls clean up in the same way (coroutine.c, call.c). */
#include "bind.h"
#include "core/busy.h"

int msl_protect_begin(void) { return ms_scope_open(); }
void msl_protect_failed(int mark) {
  ms_scope_close(mark);
  ms_error_clear();
  ms_busy(NULL);
}

/* After a yield the call may end inside another binding than it began in: what that one holds is left alone. */
static int after_yield(lua_State *L, int status, lua_KContext under) {
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - (int)under;
  lua_pushboolean(L, 0);
  lua_pushvalue(L, -2);
  return 2;
}

static int run_protected(lua_State *L, int nargs, int handler, int under) {
  const int mark = msl_protect_begin();
  int status = lua_pcallk(L, nargs, LUA_MULTRET, handler, under, after_yield);
  if (status != LUA_OK) msl_protect_failed(mark);
  return after_yield(L, status, under);
}

static int protected_call(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1); /* the first result, if all goes well */
  lua_insert(L, 1);
  return run_protected(L, lua_gettop(L) - 2, 0, 0);
}

static int protected_call_with_handler(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2); /* function, handler, true, function, arguments */
  return run_protected(L, n - 2, 2, 2);
}

void msl_open_protect(lua_State *L) {
  lua_pushcfunction(L, protected_call);
  lua_setglobal(L, "pcall");
  lua_pushcfunction(L, protected_call_with_handler);
  lua_setglobal(L, "xpcall");
}
