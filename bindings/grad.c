/* grad.c -- differentiation for Lua: backward, ms.grad, requires_grad_, and the gradient mode (ms.no_grad, ms.enable_grad). */
#include "bind.h"

/* The value at i came out of a compiled step, without its graph: say so by name. */
static void check_graph(lua_State *L, int i, const char *what) {
  if (msl_is_result(L, i))
    msl_raise(L, ms_scope_open(),
              "%s: this is a result of a compiled step (ms.compile), which carries no graph: call %s inside the step", what, what);
}

/* The tensors at i, one or a list of them, in memory that Lua owns (pushed). words: what they are, for the message. */
static ms_tensor **tensors(lua_State *L, int i, int *n, const char *what, const char *words) {
  const bool single = msl_to(L, i) != NULL;
  *n = single ? 1 : msl_table_kind(L, i) == MSL_LIST ? (int)lua_rawlen(L, i) : 0;
  if (!*n)
    msl_raise(L, ms_scope_open(), "%s: expected a tensor or a list of tensors as %s, got %s", what, words,
              msl_table_kind(L, i) > MSL_LIST ? "a list with names or holes" : luaL_typename(L, i));
  ms_tensor **t = lua_newuserdatauv(L, (size_t)*n * sizeof(ms_tensor *), 0);
  for (int k = 0; k < *n; k++) {
    if (!single) lua_rawgeti(L, i, k + 1);
    else lua_pushvalue(L, i);
    check_graph(L, -1, what);
    t[k] = msl_check(L, -1, what);
    lua_pop(L, 1);
  }
  return t;
}

/* loss:backward([{gradient = tensor, inputs = leaves, retain = bool}]); PyTorch's word for retain is retain_graph. */
static int backward(lua_State *L) {
  static const char *const names[] = {"gradient", "inputs", "retain", "retain_graph", "create_graph", NULL};
  ms_tensor *y = msl_check(L, 1, "backward"), *seed = NULL, **inputs = NULL;
  int n = 0;
  bool retain = false;
  msl_at_most(L, 2, "backward");
  check_graph(L, 1, "backward");
  int mark = msl_enter(L);
  if (lua_istable(L, 2)) {
    msl_check_options(L, 2, "backward", names);
    if (lua_getfield(L, 2, "gradient") != LUA_TNIL) seed = msl_check(L, -1, "backward: gradient");
    retain = msl_flag(L, 2, "backward", "retain", false) || msl_flag(L, 2, "backward", "retain_graph", false);
    if (msl_flag(L, 2, "backward", "create_graph", false))
      return msl_raise(L, mark,
                       "backward: create_graph: what .grad gathers has no graph; ms.grad gives gradients that can be "
                       "differentiated again");
    if (lua_getfield(L, 2, "inputs") != LUA_TNIL) inputs = tensors(L, lua_gettop(L), &n, "backward", "inputs");
  } else if (!lua_isnoneornil(L, 2)) seed = msl_check(L, 2, "backward: gradient");
  ms_backward(y, seed, n, inputs, retain);
  msl_leave(L, mark);
  return 0;
}

/* The sum over y[k] of its derivative in x, begun at seed[k]. 0, or -1 after ms_fail. */
static int sum_of_gradients(int n_y, ms_tensor *const *y, ms_tensor *const *seed, int n, ms_tensor *const *x, ms_tensor **dx,
                            ms_tensor **more, bool allow_unused) {
  if (n_y == 1) return ms_grad(y[0], seed ? seed[0] : NULL, n, x, dx, allow_unused);
  for (int i = 0; i < n; i++) dx[i] = NULL;
  for (int k = 0; k < n_y; k++) {
    if (ms_grad(y[k], seed ? seed[k] : NULL, n, x, more, true) < 0) return -1;
    for (int i = 0; i < n; i++)
      if (more[i] && !(dx[i] = dx[i] ? ms_add(dx[i], more[i]) : more[i])) return -1;
  }
  for (int i = 0; i < n && !allow_unused; i++)
    if (!dx[i])
      return ms_fail("grad: no result depends on argument %d (%s); allow it with {allow_unused = true}", i + 1, ms_shape_str(x[i])),
             -1;
  return 0;
}

/* ms.grad(y, x [, {gradient =, allow_unused =}]) -> dy/dx; for a list of x, a list (with false where unused); of a list of y the
 * sum. The results are ordinary tensors, differentiable again. PyTorch's grad_outputs is gradient; retain_graph and create_graph
 * are as if they were set. */
static int grad(lua_State *L) {
  static const char *const names[] = {"gradient", "grad_outputs", "allow_unused", "retain_graph", "create_graph", NULL};
  bool single = msl_to(L, 2) != NULL, allow_unused = false;
  msl_at_most(L, 3, "grad");
  lua_settop(L, 3);
  int n_y, n, n_seed = 0;
  if (!lua_istable(L, 1)) msl_check(L, 1, "grad");
  ms_tensor **y = tensors(L, 1, &n_y, "grad", "first argument"), **x = tensors(L, 2, &n, "grad", "second argument"), **seed = NULL;
  msl_check_options(L, 3, "grad", names);
  if (lua_istable(L, 3)) {
    if (lua_getfield(L, 3, "gradient") == LUA_TNIL) lua_pop(L, 1), lua_getfield(L, 3, "grad_outputs");
    if (!lua_isnil(L, -1)) seed = tensors(L, lua_gettop(L), &n_seed, "grad", "gradient");
    allow_unused = msl_flag(L, 3, "grad", "allow_unused", false);
    msl_flag(L, 3, "grad", "retain_graph", true), msl_flag(L, 3, "grad", "create_graph", true);
  }
  if (seed && n_seed != n_y)
    return msl_raise(L, ms_scope_open(), "grad: gradient: expected %d tensors, one for each result, got %d", n_y, n_seed);
  ms_tensor **dx = lua_newuserdatauv(L, (size_t)n * 2 * sizeof(ms_tensor *), 0);
  int mark = msl_enter(L);
  int rc = sum_of_gradients(n_y, y, seed, n, x, dx, dx + n, allow_unused);
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
