/* custom.c -- functions of a script with a derivative of its own: the C half of ms.custom_function (scripts/mascon/custom.lua is
 * the other).
 *
 * inside.record_custom makes a node in the graph whose derivative is a Lua function; vjp below calls that in a backward pass. It is
 * held by the registry until the node goes. */
#include "bind.h"
#include "core/custom.h"
#include <stdlib.h>
#include <string.h>

uint64_t msl_dropped;

typedef struct script_custom {
  ms_custom c;
  lua_State *main; /* to give the reference back with */
  int ref;         /* of the Lua function */
  bool zeros;      /* it gets zeros for results without a gradient, not nothing */
} script_custom;

int msl_call_for_core(lua_CFunction f, void *data) {
  lua_State *L = msl_where();
  if (!L || !lua_checkstack(L, 4)) return ms_fail("no room to call a function of the script"), -1;
  const bool was = ms_grad_enabled();
  const int mark = ms_scope_open(), top = lua_gettop(L);
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, data);
  const int status = lua_pcall(L, 1, 0, 0);
  msl_here(L);
  ms_scope_close(mark);
  ms_set_grad_enabled(was);
  if (status != LUA_OK) {
    ms_error_clear();
    ms_fail("%s", lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "an error that is no text");
  }
  lua_settop(L, top);
  return status == LUA_OK ? 0 : -1;
}

/* ---- in a backward pass ------------------------------------------------------------------------------------------ */

/* t, which the Lua function gave for argument i, as a gradient of x. NULL after ms_fail. */
static ms_tensor *checked(const ms_custom *c, int i, ms_tensor *t, const ms_tensor *x) {
  bool same = t->rank == x->rank && ms_dtype_is_float(t->dtype) && t->device == x->device;
  for (int k = 0; same && k < t->rank; k++) same = t->shape[k] == x->shape[k];
  if (!same)
    return ms_fail("%s: backward gave %s on %s as the gradient of tensor argument %d, which is %s on %s", c->name, ms_shape_str(t),
                   ms_device_name(t->device), i + 1, ms_shape_str(x), ms_device_name(x->device));
  return t->dtype == x->dtype ? t : ms_cast(t, x->dtype);
}

/* Protected: the function's call. Argument: the ms_vjp. */
static int call(lua_State *L) {
  ms_vjp *v = lua_touserdata(L, 1);
  const script_custom *s = (const script_custom *)v->node->custom;
  luaL_checkstack(L, 8, "backward");
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->ref);
  lua_createtable(L, v->n_out, 0); /* gradients of the results, or false */
  lua_createtable(L, v->n_out, 0); /* the results that were kept */
  for (int k = 0; k < v->n_out; k++) {
    int mark = ms_scope_open();
    ms_tensor *g = v->g[k] || !s->zeros || !ms_dtype_is_float(v->r[k]->dtype) ? v->g[k] : ms_zeros_like(v->r[k]);
    if (g) msl_push(L, g);
    else lua_pushboolean(L, false);
    msl_leave(L, mark);
    lua_rawseti(L, -3, k + 1);
    if (v->r[k]->is_ghost) lua_pushboolean(L, false);
    else msl_push(L, v->r[k]);
    lua_rawseti(L, -2, k + 1);
  }
  lua_createtable(L, v->n_in, 0);
  for (int i = 0; i < v->n_in; i++) {
    lua_pushboolean(L, v->need[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_call(L, 3, 1);
  if (!lua_istable(L, -1)) return luaL_error(L, "%s: its derivative gave no list", s->c.name);
  for (int i = 0; i < v->n_in; i++) {
    lua_rawgeti(L, -1, i + 1);
    ms_tensor *t = lua_toboolean(L, -1) ? msl_check(L, -1, s->c.name) : NULL;
    if (t && v->need[i]) v->dx[i] = ms_retain(t);
    lua_pop(L, 1);
  }
  return 0;
}

static int vjp(ms_custom *c, ms_vjp *v) {
  const int rc = msl_call_for_core(call, v);
  for (int i = 0; i < v->n_in; i++)
    if (v->dx[i]) v->dx[i] = checked(c, i, ms_autorelease(v->dx[i]), v->x[i]);
  return rc;
}

static void drop(ms_custom *c) {
  script_custom *s = (script_custom *)c;
  luaL_unref(s->main, LUA_REGISTRYINDEX, s->ref);
  msl_dropped++;
  free(s);
}

/* ---- for custom.lua ---------------------------------------------------------------------------------------------- */

/* The tensors of the list at i, in memory that Lua owns (pushed). */
static ms_tensor **list_of(lua_State *L, int i, int *n, const char *what) {
  luaL_checktype(L, i, LUA_TTABLE);
  *n = (int)lua_rawlen(L, i);
  ms_tensor **t = lua_newuserdatauv(L, (size_t)*n * sizeof(ms_tensor *) + 1, 0);
  for (int k = 0; k < *n; k++) {
    lua_rawgeti(L, i, k + 1);
    t[k] = msl_check(L, -1, what);
    lua_pop(L, 1);
  }
  return t;
}

/* inside.record_custom(name, inputs, results, keep, zeros, f): the tensors in the list `results`, which belong to no graph, are
 * from now on results of a node whose derivative is f: f(gradients, results, need) -> list of gradients of the inputs, false for
 * none. keep: of which results f gets the values, as bits. zeros: gradients that are zero come as tensors, not as false. */
static int record_custom(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const uint32_t keep = (uint32_t)luaL_checkinteger(L, 4);
  luaL_checktype(L, 6, LUA_TFUNCTION);
  lua_settop(L, 6);
  int n_in, n_out;
  ms_tensor **in = list_of(L, 2, &n_in, name), **out = list_of(L, 3, &n_out, name);
  if (n_out > 255) return luaL_error(L, "%s: %d results, at most 255 can be differentiated", name, n_out);
  for (int k = 0; k < n_out; k++)
    if (out[k]->node || out[k]->requires_grad) return luaL_error(L, "%s: result %d belongs to a graph", name, k + 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_State *main = lua_tothread(L, -1);
  lua_pushvalue(L, 6);
  const int ref = luaL_ref(L, LUA_REGISTRYINDEX);
  script_custom *s = malloc(sizeof *s);
  if (!s) {
    luaL_unref(L, LUA_REGISTRYINDEX, ref);
    return luaL_error(L, "%s: out of memory", name);
  }
  *s = (script_custom){.c = {.refs = 1, .name = ms_intern(name), .vjp = vjp, .drop = drop}};
  s->main = main, s->ref = ref, s->zeros = lua_toboolean(L, 5);
  const int mark = msl_enter(L);
  ms_custom_record(&s->c, n_in, in, n_out, out, keep);
  ms_custom_release(&s->c);
  msl_leave(L, mark);
  return 0;
}

/* inside.version(x) -> integer: grows with each change of x's memory in place. */
static int version(lua_State *L) {
  const ms_tensor *t = msl_check(L, 1, "version");
  return lua_pushinteger(L, t->storage ? t->storage->version : 0), 1;
}

void msl_open_custom(lua_State *L) { /* stack: module, methods */
  msl_inside(L);
  lua_pushcfunction(L, record_custom);
  lua_setfield(L, -2, "record_custom");
  lua_pushcfunction(L, version);
  lua_setfield(L, -2, "version");
  lua_pop(L, 1);
}
