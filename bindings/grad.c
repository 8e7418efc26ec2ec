/* grad.c -- differentiation for Lua: backward, ms.grad, requires_grad_, and the gradient mode (ms.no_grad, ms.enable_grad). */
#include "bind.h"

/* y came out of a compiled step, without its graph: say so by name. */
static void check_graph(lua_State *L, const char *what) {
  if (msl_is_result(L, 1))
    msl_raise(L, ms_scope_open(),
              "%s: this is a result of a compiled step (ms.compile), which carries no graph: call %s inside the step", what, what);
}

/* loss:backward([{gradient = tensor, retain = bool}]) */
static int backward(lua_State *L) {
  static const char *const names[] = {"gradient", "retain", NULL};
  ms_tensor *y = msl_check(L, 1, "backward"), *seed = NULL;
  bool retain = false;
  msl_at_most(L, 2, "backward");
  check_graph(L, "backward");
  int mark = msl_enter(L);
  if (lua_istable(L, 2)) {
    msl_check_options(L, 2, "backward", names);
    if (lua_getfield(L, 2, "gradient") != LUA_TNIL) seed = msl_check(L, -1, "backward: gradient");
    retain = msl_flag(L, 2, "backward", "retain", false);
  } else if (!lua_isnoneornil(L, 2)) seed = msl_check(L, 2, "backward: gradient");
  ms_backward(y, seed, retain);
  msl_leave(L, mark);
  return 0;
}

/* ms.grad(y, x [, {gradient =, allow_unused =}]) -> dy/dx; for a list of x, a list (with false where unused). The results are
 * ordinary tensors, differentiable again. */
static int grad(lua_State *L) {
  static const char *const names[] = {"gradient", "allow_unused", NULL};
  ms_tensor *y = msl_check(L, 1, "grad"), *seed = NULL;
  bool single = msl_to(L, 2) != NULL, allow_unused = false;
  msl_at_most(L, 3, "grad");
  check_graph(L, "grad");
  int mark = msl_enter(L), n = single ? 1 : msl_table_kind(L, 2) == MSL_LIST ? (int)lua_rawlen(L, 2) : 0;
  if (!n)
    return msl_raise(L, mark, "grad: expected a tensor or a list of tensors as second argument, got %s",
                     msl_table_kind(L, 2) > MSL_LIST ? "a list with names or holes" : luaL_typename(L, 2));
  msl_check_options(L, 3, "grad", names);
  if (lua_istable(L, 3)) {
    if (lua_getfield(L, 3, "gradient") != LUA_TNIL) seed = msl_check(L, -1, "grad: gradient");
    allow_unused = msl_flag(L, 3, "grad", "allow_unused", false);
  }
  ms_tensor **x = lua_newuserdatauv(L, (size_t)n * 2 * sizeof *x, 0), **dx = x + n;
  for (int i = 0; i < n; i++) {
    if (single) x[i] = msl_to(L, 2);
    else {
      lua_rawgeti(L, 2, i + 1);
      x[i] = msl_check(L, -1, "grad");
      lua_pop(L, 1);
    }
  }
  int rc = ms_grad(y, seed, n, x, dx, allow_unused);
  if (rc == 0) {
    if (!single) lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
      if (dx[i]) msl_push(L, dx[i]);
      else lua_pushboolean(L, false);
      if (!single) lua_rawseti(L, -2, i + 1);
    }
  }
  msl_leave(L, mark);
  return 1;
}

static int mode_close(lua_State *L) {
  bool *was = luaL_checkudata(L, 1, "mascon.grad_mode");
  ms_set_grad_enabled(*was);
  msl_grad_guards--;
  return 0;
}

static int after_mode(lua_State *L, int status, lua_KContext was) {
  ms_set_grad_enabled(was != 0);
  msl_grad_guards--;
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L);
}

/* ms.no_grad(fn, ...) -> results of fn; or: local guard <close> = ms.no_grad(). The mode belongs to the coroutine (coroutine.c). */
static int set_mode(lua_State *L) {
  bool on = lua_toboolean(L, lua_upvalueindex(1));
  if (lua_isnoneornil(L, 1)) {
    bool *b = lua_newuserdatauv(L, sizeof *b, 0);
    luaL_setmetatable(L, "mascon.grad_mode");
    *b = ms_set_grad_enabled(on); /* what may raise is behind us */
    msl_grad_guards++;
    return 1;
  }
  if (!lua_isfunction(L, 1) && luaL_getmetafield(L, 1, "__call") == LUA_TNIL)
    return msl_raise(L, ms_scope_open(), "%s: expected a function, or nothing (local guard <close> = ms.%s()), got %s",
                     on ? "enable_grad" : "no_grad", on ? "enable_grad" : "no_grad", luaL_typename(L, 1));
  if (!lua_isfunction(L, 1)) lua_pop(L, 1);
  int n = lua_gettop(L) - 1;
  bool was = ms_set_grad_enabled(on);
  msl_grad_guards++;
  return after_mode(L, lua_pcallk(L, n, LUA_MULTRET, 0, was, after_mode), was);
}

static int grad_enabled(lua_State *L) { return lua_pushboolean(L, ms_grad_enabled()), 1; }

static int requires_grad_(lua_State *L) {
  ms_tensor *t = msl_check(L, 1, "requires_grad_");
  msl_at_most(L, 2, "requires_grad_");
  if (!lua_isnoneornil(L, 2) && !lua_isboolean(L, 2))
    return msl_raise(L, ms_scope_open(), "requires_grad_: expected true or false, got %s", luaL_typename(L, 2));
  int mark = msl_enter(L);
  ms_set_requires_grad(t, lua_isnoneornil(L, 2) || lua_toboolean(L, 2));
  msl_leave(L, mark);
  lua_settop(L, 1);
  return 1;
}

void msl_open_grad(lua_State *L) { /* stack: module, methods */
  msl_takes_live(set_mode, 0);
  lua_pushcfunction(L, backward);
  lua_setfield(L, -2, "backward");
  lua_pushcfunction(L, requires_grad_);
  lua_setfield(L, -2, "requires_grad_");
  msl_metatable(L, "mascon.grad_mode");
  lua_pushcfunction(L, mode_close);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
  for (int on = 0; on < 2; on++) {
    lua_pushboolean(L, on);
    lua_pushcclosure(L, set_mode, 1);
    lua_setfield(L, -3, on ? "enable_grad" : "no_grad");
  }
  lua_pushcfunction(L, grad);
  lua_setfield(L, -3, "grad");
  lua_pushcfunction(L, grad_enabled);
  lua_setfield(L, -3, "grad_enabled");
}
