/* grad.c -- differentiation, modes and the rest of the session's state, for Lua. */
#include "bind.h"
#include "step/step.h"
#include <string.h>

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
  msl_guards--;
  return 0;
}

static int after_mode(lua_State *L, int status, lua_KContext was) {
  ms_set_grad_enabled(was != 0);
  msl_guards--;
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
    msl_guards++;
    return 1;
  }
  if (!lua_isfunction(L, 1) && luaL_getmetafield(L, 1, "__call") == LUA_TNIL)
    return msl_raise(L, ms_scope_open(), "%s: expected a function, or nothing (local guard <close> = ms.%s()), got %s",
                     on ? "enable_grad" : "no_grad", on ? "enable_grad" : "no_grad", luaL_typename(L, 1));
  if (!lua_isfunction(L, 1)) lua_pop(L, 1);
  int n = lua_gettop(L) - 1;
  bool was = ms_set_grad_enabled(on);
  msl_guards++;
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

/* ms.seed(n): start the default generator anew. ms.rng_state() -> seed, counter; ms.rng_state(seed, counter) sets them
 * (checkpoints). */
static int seed(lua_State *L) {
  msl_at_most(L, 1, "seed");
  lua_Integer n = luaL_checkinteger(L, 1);
  if (ms_recording()) return msl_refuse(L, "ms.seed inside a compiled step: a replay would not do it again; do it outside");
  return ms_seed((uint64_t)n), 0;
}
static int rng_state(lua_State *L) {
  msl_at_most(L, 2, "rng_state");
  ms_rng *r = ms_default_rng();
  if (ms_recording()) return msl_refuse(L, "ms.rng_state inside a compiled step: a replay would not do it again; do it outside");
  if (!lua_isnoneornil(L, 1)) *r = (ms_rng){(uint64_t)luaL_checkinteger(L, 1), (uint64_t)luaL_checkinteger(L, 2)};
  lua_pushinteger(L, (lua_Integer)r->seed);
  lua_pushinteger(L, (lua_Integer)r->counter);
  return 2;
}

/* ms.memory() -> {live, peak, cached, allocated (bytes), tensors, storages, nodes}; ms.memory("reset") starts the peak anew,
 * ms.memory("release") empties the cache. */
static int memory(lua_State *L) {
  msl_at_most(L, 1, "memory");
  const char *word = luaL_optstring(L, 1, "");
  if (!strcmp(word, "reset")) ms_memory_reset_peak();
  else if (!strcmp(word, "release")) ms_memory_release_cache();
  else if (*word) return msl_raise(L, ms_scope_open(), "memory: expected nothing, 'reset' or 'release', got '%s'", word);
  ms_memory m = ms_memory_stats();
  lua_createtable(L, 0, 8);
#define I(k, v) (lua_pushinteger(L, (lua_Integer)(v)), lua_setfield(L, -2, k))
  I("live", m.live), I("peak", m.peak), I("cached", m.cached), I("allocated", m.allocated);
  I("tensors", m.tensors), I("storages", m.storages), I("nodes", m.nodes);
  return 1;
}

/* ms.threads() -> number; ms.threads(n) sets it */
static int threads(lua_State *L) {
  msl_at_most(L, 1, "threads");
  if (!lua_isnoneornil(L, 1)) {
    lua_Integer n = lua_isinteger(L, 1) ? lua_tointeger(L, 1) : 0;
    if (n < 1 || n > 1024)
      return msl_raise(L, ms_scope_open(), "threads: expected a whole number from 1 to 1024, got %s", luaL_tolstring(L, 1, NULL));
    ms_set_threads((int)n);
  }
  return lua_pushinteger(L, ms_threads()), 1;
}

/* ms.deterministic() -> boolean; ms.deterministic(bool) sets it (mascon.h) */
static int deterministic(lua_State *L) {
  msl_at_most(L, 1, "deterministic");
  if (!lua_isnoneornil(L, 1)) {
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    ms_set_deterministic(lua_toboolean(L, 1));
  }
  return lua_pushboolean(L, ms_deterministic()), 1;
}

/* ms.flush_denormal() -> boolean; ms.flush_denormal(bool) sets it (mascon.h) */
static int flush_denormal(lua_State *L) {
  msl_at_most(L, 1, "flush_denormal");
  if (!lua_isnoneornil(L, 1)) {
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    ms_set_flush_denormal(lua_toboolean(L, 1));
  }
  return lua_pushboolean(L, ms_flush_denormal()), 1;
}

/* ms.precision() -> "f32" or "bf16"; ms.precision(name) sets it (mascon.h) */
static int precision(lua_State *L) {
  msl_at_most(L, 1, "precision");
  if (!lua_isnoneornil(L, 1)) {
    const char *name = luaL_checkstring(L, 1);
    int mark = msl_enter(L);
    ms_set_precision(name);
    msl_leave(L, mark);
  }
  return lua_pushstring(L, ms_precision_name()), 1;
}

/* ms.check_numerics(bool): fail at the first operation whose result holds NaN or infinity */
static int check_numerics(lua_State *L) {
  luaL_checktype(L, 1, LUA_TBOOLEAN);
  return ms_set_check_numerics(lua_toboolean(L, 1)), 0;
}

/* ms.device(name) -> canonical name, description; raises why there is no such device */
static int device(lua_State *L) {
  int mark = msl_enter(L);
  ms_device *d = ms_device_get(luaL_optstring(L, 1, "auto"));
  msl_leave(L, mark);
  lua_pushstring(L, d->name);
  lua_pushstring(L, d->description);
  return 2;
}

/* ms.fail_allocation(k): the k-th allocation from now fails (tests; 0 = none) */
static int fail_allocation(lua_State *L) { return ms_memory_fail_after(luaL_checkinteger(L, 1)), 0; }

void msl_open_grad(lua_State *L) {    /* stack: module, methods */
  lua_pushinteger(L, MS_RNG_VERSION); /* ms.rng_version: which stream a seed gives */
  lua_setfield(L, -3, "rng_version");
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
  static const luaL_Reg functions[] = {{"grad", grad},
                                       {"grad_enabled", grad_enabled},
                                       {"seed", seed},
                                       {"rng_state", rng_state},
                                       {"memory", memory},
                                       {"threads", threads},
                                       {"deterministic", deterministic},
                                       {"flush_denormal", flush_denormal},
                                       {"precision", precision},
                                       {"device", device},
                                       {"check_numerics", check_numerics},
                                       {"fail_allocation", fail_allocation},
                                       {NULL, NULL}};
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
