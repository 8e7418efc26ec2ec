/* compile.c -- ms.compile(fn): calls of fn by what they are called with, each recorded, compared and then replayed (core/record.h).
 *
 * A step keeps one state per key; the key is everything that shapes a recording: types, shapes, strides, dtypes and devices of the tensors
 * (in nested tables too), texts and booleans by value, numbers by being numbers, gradient mode, and train/eval mode of all modules.
 * Numbers go in as live numbers: small objects with arithmetic whose value is read at each replay. */
#include "bind.h"
#include "core/record.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LEAVES = 256 };
enum { MODE_ON, MODE_OFF, MODE_CHECK };
static int mode;
enum { WARM = 3 }; /* calls until a step replays */
static bool profile_all; /* MASCON_PROFILE */

/* ---- live numbers ------------------------------------------------------------------------------------------------------------------------ */

static const void *number_meta;

ms_cell *msl_live(lua_State *L, int i) {
  ms_cell **c = lua_touserdata(L, i);
  if (!c || !lua_getmetatable(L, i)) return NULL;
  bool is = lua_topointer(L, -1) == number_meta;
  lua_pop(L, 1);
  return is ? *c : NULL;
}

static void push_live(lua_State *L, ms_cell *c) {
  ms_cell **p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = NULL;
  luaL_setmetatable(L, "mascon.number");
  *p = ms_cell_retain(c);
}

static int live_gc(lua_State *L) {
  ms_cell **p = lua_touserdata(L, 1);
  ms_cell_release(*p);
  *p = NULL;
  return 0;
}

static int live_arith(lua_State *L) { /* upvalues: the operation as a character, as its row */
  char op = (char)lua_tointeger(L, lua_upvalueindex(1));
  if (op == '~') { /* unary minus: 0 - x */
    lua_settop(L, 1);
    lua_pushinteger(L, 0);
    lua_insert(L, 1);
    op = '-';
  }
  ms_cell *a = msl_live(L, 1), *b = msl_live(L, 2);
  int mark = msl_enter(L);
  if (msl_to(L, 1) || msl_to(L, 2)) { /* a tensor on the other side */
    ms_tensor *r = ms_apply((int)lua_tointeger(L, lua_upvalueindex(2)), MS_IN(msl_operand(L, 1), msl_operand(L, 2)), NULL);
    msl_push(L, r);
    msl_leave(L, mark);
    return 1;
  }
  if ((!a && lua_type(L, 1) != LUA_TNUMBER) || (!b && lua_type(L, 2) != LUA_TNUMBER))
    return msl_raise(L, mark, "arithmetic on a number of the step and a %s", luaL_typename(L, a ? 2 : 1));
  ms_cell *c = ms_record_number(op, a, a ? 0 : lua_tonumber(L, 1), b, b ? 0 : lua_tonumber(L, 2));
  if (c) push_live(L, c);
  ms_cell_release(c);
  msl_leave(L, mark);
  return 1;
}

static int live_refuse(lua_State *L) { /* upvalue: what was tried */
  return msl_raise(L, ms_scope_open(),
                   "%s a number handed to a compiled step: the step would not look again. Compute with it only, hand the decision in as a text or "
                   "boolean, or decide outside",
                   lua_tostring(L, lua_upvalueindex(1)));
}

/* ---- arguments as leaves -------------------------------------------------------------------------------------------------------------------- */

typedef struct leaves {
  uint64_t key;
  int n;                      /* tensors */
  ms_tensor *tensor[MAX_LEAVES];
  int n_number;
  double number[MAX_LEAVES];
  const char *problem;
} leaves;

static void mix(leaves *v, const void *p, size_t n) {
  const unsigned char *b = p;
  for (size_t i = 0; i < n; i++) v->key = (v->key ^ b[i]) * 0x100000001b3u;
}

static void mix_int(leaves *v, int64_t x) { v->key = (v->key ^ (uint64_t)x) * 0x9E3779B97F4A7C15u, v->key ^= v->key >> 29; }

static int compare_keys(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Keys of the table at i in a fixed order: 1..n, then the texts sorted. Pushes an array of them. */
static int push_keys(lua_State *L, int i) {
  const char *name[128];
  int n = 0, list = (int)lua_rawlen(L, i);
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1))
    if (lua_type(L, -2) == LUA_TSTRING && n < 128) name[n++] = lua_tostring(L, -2);
  qsort(name, (size_t)n, sizeof *name, compare_keys);
  lua_createtable(L, list + n, 0);
  for (int k = 1; k <= list; k++) lua_pushinteger(L, k), lua_rawseti(L, -2, k);
  for (int k = 0; k < n; k++) lua_pushstring(L, name[k]), lua_rawseti(L, -2, list + k + 1);
  return list + n;
}

static void read_leaf(lua_State *L, int i, leaves *v, int depth) {
  ms_tensor *t;
  int type = lua_type(L, i);
  mix_int(v, type);
  if (type == LUA_TUSERDATA && (t = msl_to(L, i))) {
    if (v->n == MAX_LEAVES) {
      v->problem = "more than 256 tensors";
      return;
    }
    mix_int(v, t->dtype | t->rank << 4 | t->requires_grad << 8 | (t->node != NULL) << 9);
    mix_int(v, (int64_t)(intptr_t)t->device);
    for (int d = 0; d < t->rank; d++) mix_int(v, t->shape[d] * 2654435761 + t->stride[d]);
    v->tensor[v->n++] = t;
  } else if (type == LUA_TNUMBER) {
    if (v->n_number == MAX_LEAVES)
      v->problem = "more than 256 numbers";
    else
      v->number[v->n_number++] = lua_tonumber(L, i);
  } else if (type == LUA_TSTRING) {
    size_t n;
    const char *s = lua_tolstring(L, i, &n);
    mix(v, s, n);
  } else if (type == LUA_TBOOLEAN)
    mix_int(v, lua_toboolean(L, i));
  else if (type == LUA_TTABLE && depth < 8) {
    luaL_checkstack(L, 8, "compile");
    int n = push_keys(L, i), keys = lua_gettop(L);
    mix_int(v, n);
    for (int k = 1; k <= n; k++) {
      lua_rawgeti(L, keys, k);
      if (lua_type(L, -1) == LUA_TSTRING) mix(v, lua_tostring(L, -1), strlen(lua_tostring(L, -1)));
      lua_rawget(L, i);
      read_leaf(L, lua_gettop(L), v, depth + 1);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  } else if (type != LUA_TNIL)
    mix_int(v, (int64_t)(intptr_t)lua_topointer(L, i));
}

/* Push the argument at i with numbers replaced by live ones (cells[*k]...). */
static void push_with_live(lua_State *L, int i, ms_cell **cells, int *k, int depth) {
  if (lua_type(L, i) == LUA_TNUMBER) {
    push_live(L, cells[(*k)++]);
  } else if (lua_type(L, i) == LUA_TTABLE && depth < 8) {
    luaL_checkstack(L, 8, "compile");
    lua_newtable(L);
    int to = lua_gettop(L), n = push_keys(L, i), keys = lua_gettop(L);
    for (int j = 1; j <= n; j++) {
      lua_rawgeti(L, keys, j);
      lua_pushvalue(L, -1);
      lua_rawget(L, i);
      push_with_live(L, lua_gettop(L), cells, k, depth + 1);
      lua_remove(L, -2);
      lua_rawset(L, to);
    }
    lua_settop(L, to);
    if (lua_getmetatable(L, i)) lua_setmetatable(L, to);
  } else
    lua_pushvalue(L, i);
}

/* ---- results as a template: tensors become light userdata holding their number ------------------------------------------------------------- */

static void to_template(lua_State *L, int i, ms_tensor **out, int *n, int depth) { /* pushes */
  ms_tensor *t = msl_to(L, i);
  if (t && *n < MAX_LEAVES) {
    lua_pushlightuserdata(L, (void *)(intptr_t)*n);
    out[(*n)++] = t;
  } else if (lua_type(L, i) == LUA_TTABLE && depth < 8) {
    luaL_checkstack(L, 8, "compile");
    lua_newtable(L);
    int to = lua_gettop(L), count = push_keys(L, i), keys = lua_gettop(L);
    for (int j = 1; j <= count; j++) {
      lua_rawgeti(L, keys, j);
      lua_pushvalue(L, -1);
      lua_rawget(L, i);
      to_template(L, lua_gettop(L), out, n, depth + 1);
      lua_remove(L, -2);
      lua_rawset(L, to);
    }
    lua_settop(L, to);
  } else
    lua_pushvalue(L, i);
}

static void from_template(lua_State *L, int i, ms_tensor **out) { /* pushes */
  if (lua_islightuserdata(L, i)) {
    msl_push(L, out[(intptr_t)lua_touserdata(L, i)]);
  } else if (lua_type(L, i) == LUA_TTABLE) {
    luaL_checkstack(L, 6, "compile");
    lua_newtable(L);
    int to = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
      lua_pushvalue(L, -2);
      from_template(L, lua_gettop(L) - 1, out);
      lua_rawset(L, to);
    }
  } else
    lua_pushvalue(L, i);
}

/* ---- profile ----------------------------------------------------------------------------------------------------------------------------------- */

typedef struct cost {
  double seconds;
  int call;
} cost;

static int by_cost(const void *a, const void *b) {
  double x = ((const cost *)a)->seconds, y = ((const cost *)b)->seconds;
  return x < y ? 1 : x > y ? -1 : 0;
}

/* Hand the profile of a step to put(arg, line), dearest call first; nothing when no run was profiled. */
static void profile_lines(const ms_step *step, void (*put)(void *, const char *), void *arg) {
  int runs, n = ms_step_describe(step).calls;
  double whole = ms_step_seconds(step, -1, &runs), calls = 0;
  cost *c = runs ? malloc(((size_t)n + 1) * sizeof *c) : NULL;
  if (!c) return;
  for (int i = 0; i < n; i++) {
    c[i] = (cost){ms_step_seconds(step, i, NULL), i};
    calls += c[i].seconds;
  }
  qsort(c, (size_t)n, sizeof *c, by_cost);
  char line[600], call[512];
  snprintf(line, sizeof line, "%d runs of %d calls: %.1f us each, %.1f us in the calls\n", runs, n, whole / runs * 1e6, calls / runs * 1e6);
  put(arg, line);
  for (int i = 0; i < n && ms_step_line(step, c[i].call, call, sizeof call); i++) {
    snprintf(line, sizeof line, "%10.1f us %5.1f %%  %s\n", c[i].seconds / runs * 1e6, 100 * c[i].seconds / whole, call);
    put(arg, line);
  }
  free(c);
}

static void put_text(void *arg, const char *line) { /* arg: a Lua state with the list at 2 */
  lua_State *L = arg;
  lua_pushstring(L, line);
  lua_rawseti(L, 2, (lua_Integer)lua_rawlen(L, 2) + 1);
}

static void put_stderr(void *arg, const char *line) {
  (void)arg;
  fputs(line, stderr);
}

/* ---- states ------------------------------------------------------------------------------------------------------------------------------------ */

typedef struct state { /* uservalue 1: template of the results (a list) */
  int calls, n_number, n_results, n_values;
  ms_record *first;
  ms_step *step;
  ms_cell *cell[];
} state;

static int state_gc(lua_State *L) {
  state *s = lua_touserdata(L, 1);
  if (profile_all && s->step) profile_lines(s->step, put_stderr, NULL);
  ms_record_free(s->first);
  ms_step_free(s->step);
  for (int i = 0; i < s->n_number; i++) ms_cell_release(s->cell[i]);
  s->first = NULL, s->step = NULL, s->n_number = 0;
  return 0;
}

static state *state_of(lua_State *L, int step, const leaves *v) { /* pushes the state */
  lua_getiuservalue(L, step, 2);
  lua_rawgeti(L, -1, (lua_Integer)v->key);
  state *s = lua_touserdata(L, -1);
  if (!s) {
    lua_pop(L, 1);
    s = lua_newuserdatauv(L, sizeof *s + (size_t)v->n_number * sizeof *s->cell, 1);
    memset(s, 0, sizeof *s);
    luaL_setmetatable(L, "mascon.step_state");
    for (int i = 0; i < v->n_number; i++) {
      if (!(s->cell[i] = ms_cell_new(v->number[i]))) msl_leave(L, ms_scope_open());
      s->n_number++;
    }
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (lua_Integer)v->key);
  }
  lua_remove(L, -2);
  return s;
}

/* ---- calling ------------------------------------------------------------------------------------------------------------------------------------ */

static int mode_key; /* registry: number that stands for the train/eval modes of all modules (nn.lua keeps it) */

static int call_plain(lua_State *L, int n) { /* stack: step, args... */
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, 2);
  lua_call(L, n, LUA_MULTRET);
  return lua_gettop(L) - 1;
}

/* Run fn under a recording; leaves its results from index `base` on. Returns the recording; raises what fn raised. */
static ms_record *record_call(lua_State *L, const leaves *v, state *s, int n) {
  lua_getiuservalue(L, 1, 1);
  for (int i = 0, k = 0; i < n; i++) push_with_live(L, i + 2, s->cell, &k, 0);
  ms_record *r = ms_record_begin(v->n, v->tensor);
  if (!r) msl_leave(L, ms_scope_open());
  if (lua_pcall(L, n, LUA_MULTRET, 0) != LUA_OK) {
    ms_record_abort(r);
    ms_error_clear();
    lua_error(L);
  }
  return r;
}

static int step_call(lua_State *L) {
  leaves v = {.key = 0xcbf29ce484222325u};
  int n = lua_gettop(L) - 1;
  if (mode == MODE_OFF || ms_recording()) return call_plain(L, n);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &mode_key);
  mix_int(&v, lua_tointeger(L, -1) * 2 + ms_grad_enabled());
  lua_pop(L, 1);
  for (int i = 0; i < n; i++) read_leaf(L, i + 2, &v, 0);
  if (v.problem) return msl_raise(L, ms_scope_open(), "compile: %s in the arguments", v.problem);
  state *s = state_of(L, 1, &v);
  int at = lua_gettop(L);
  for (int i = 0; i < s->n_number; i++) s->cell[i]->value = v.number[i];

  if (s->step) {
    ms_tensor *out[MAX_LEAVES];
    int mark = msl_enter(L), rc = ms_step_run(s->step, v.tensor, out);
    if (rc > 0) {
      lua_getiuservalue(L, at, 1);
      int template = lua_gettop(L);
      for (int k = 1; k <= s->n_values; k++) {
        lua_rawgeti(L, template, k);
        from_template(L, lua_gettop(L), out);
        lua_remove(L, -2);
      }
      msl_leave(L, mark);
      return s->n_values;
    }
    msl_leave(L, mark);
  }
  if (s->step || s->calls == 0) { /* the first call, or arguments the step does not fit */
    lua_settop(L, at - 1);
    if (s->calls == 0) s->calls = 1;
    return call_plain(L, n);
  }

  int base = lua_gettop(L);
  ms_record *r = record_call(L, &v, s, n);
  int count = lua_gettop(L) - base;
  ms_tensor *out[MAX_LEAVES];
  int n_out = 0, top = lua_gettop(L);
  lua_createtable(L, count, 0);
  for (int k = 1; k <= count; k++) {
    to_template(L, base + k, out, &n_out, 0);
    lua_rawseti(L, top + 1, k);
  }
  lua_setiuservalue(L, at, 1);
  int mark = ms_scope_open();
  if (ms_record_end(r, n_out, out) < 0) {
    ms_record_free(r);
    msl_leave(L, mark);
  }
  if (s->calls == 1) {
    s->calls = 2, s->first = r;
    return count;
  }
  /* What the recording made and nobody holds is garbage now: let it go, so that it can share the arena. */
  lua_gc(L, LUA_GCCOLLECT);
  lua_gc(L, LUA_GCCOLLECT);
  int rc = ms_record_compare(s->first, r);
  ms_record_free(s->first);
  s->first = NULL;
  if (rc < 0) {
    ms_record_free(r);
    s->calls = 1; /* a later call may try again */
    msl_leave(L, mark);
  }
  s->calls = 3, s->n_results = n_out, s->n_values = count;
  s->step = ms_step_build(r, true);
  if (s->step && profile_all) ms_step_profile(s->step, true);
  msl_leave(L, mark);
  return count;
}

/* step:report() -> text */
static int step_report(lua_State *L) {
  luaL_checkudata(L, 1, "mascon.step");
  luaL_Buffer b;
  char line[512];
  lua_getiuservalue(L, 1, 2);
  int states = lua_gettop(L);
  luaL_buffinit(L, &b);
  int top = lua_gettop(L), any = 0;
  (void)top;
  lua_newtable(L);
  int parts = lua_gettop(L), n = 0;
  for (lua_pushnil(L); lua_next(L, states); lua_pop(L, 1)) {
    const state *s = lua_touserdata(L, -1);
    any++;
    if (!s->step) {
      snprintf(line, sizeof line, "a step seen %d time%s, not replayed yet\n", s->calls, s->calls == 1 ? "" : "s");
      lua_pushstring(L, line);
      lua_rawseti(L, parts, ++n);
      continue;
    }
    ms_step_info i = ms_step_describe(s->step);
    snprintf(line, sizeof line,
             "%d operations replayed of %d recorded (%d unused, %d in fused chains); %.2f MB planned against %.2f MB eager; %.3f GFLOP in products\n",
             i.calls, i.recorded, i.dead, i.fused, (double)i.arena / 1e6, (double)i.eager / 1e6, i.flops / 1e9);
    lua_pushstring(L, line);
    lua_rawseti(L, parts, ++n);
    for (int k = 0; ms_step_line(s->step, k, line, sizeof line - 2); k++) {
      lua_pushfstring(L, "  %s\n", line);
      lua_rawseti(L, parts, ++n);
    }
  }
  if (!any) {
    lua_pushliteral(L, "not called yet\n");
    lua_rawseti(L, parts, ++n);
  }
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "concat");
  lua_pushvalue(L, parts);
  lua_call(L, 1, 1);
  return 1;
}

static void profile_states(lua_State *L, int states, bool on) {
  for (lua_pushnil(L); lua_next(L, states); lua_pop(L, 1)) {
    const state *s = lua_touserdata(L, -1);
    if (s->step && ms_step_profile(s->step, on) < 0) msl_leave(L, ms_scope_open());
  }
}

/* step:profile(n, args...) -> text: call the step n times with these arguments, after a few that are not counted; microseconds per run,
 * dearest call first. With MASCON_PROFILE=1 every replay counts, and a step writes its profile to standard error when it goes. */
static int step_profile(lua_State *L) {
  luaL_checkudata(L, 1, "mascon.step");
  lua_Integer n = luaL_checkinteger(L, 2) + WARM;
  int args = lua_gettop(L) - 2, rc = LUA_OK;
  lua_getiuservalue(L, 1, 2);
  lua_insert(L, 3);
  lua_newtable(L);
  lua_insert(L, 2); /* step, list, n, states, args... */
  for (lua_Integer i = 0; i < n && rc == LUA_OK; i++) {
    if (i == WARM) profile_states(L, 4, true);
    lua_pushvalue(L, 1);
    for (int k = 0; k < args; k++) lua_pushvalue(L, 5 + k);
    rc = lua_pcall(L, args, 0, 0);
  }
  profile_states(L, 4, false);
  if (rc != LUA_OK) return lua_error(L);
  for (lua_pushnil(L); lua_next(L, 4); lua_pop(L, 1)) {
    const state *s = lua_touserdata(L, -1);
    if (s->step) profile_lines(s->step, put_text, L);
  }
  if (!lua_rawlen(L, 2)) put_text(L, "nothing was replayed\n");
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "concat");
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  return 1;
}

static int compile(lua_State *L) {
  if (lua_type(L, 1) != LUA_TFUNCTION && !luaL_getmetafield(L, 1, "__call"))
    return msl_raise(L, ms_scope_open(), "compile: expected a function, got %s", luaL_typename(L, 1));
  lua_newuserdatauv(L, 1, 2);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 2);
  luaL_setmetatable(L, "mascon.step");
  return 1;
}

/* ms._mode(delta): modules report that their train/eval mode changed (nn.lua). */
static int change_mode(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &mode_key);
  lua_Integer now = lua_tointeger(L, -1) ^ luaL_checkinteger(L, 1);
  lua_pushinteger(L, now);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &mode_key);
  return 0;
}

/* ms._cell(value) -> a live number that is nobody's argument; ms._cell(cell, value) sets it (an optimizer's learning rate). */
static int cell(lua_State *L) {
  ms_cell *c = msl_live(L, 1);
  if (c) return c->value = luaL_checknumber(L, 2), 0;
  if (!(c = ms_cell_new(luaL_checknumber(L, 1)))) msl_leave(L, ms_scope_open());
  push_live(L, c);
  ms_cell_release(c);
  return 1;
}

void msl_open_compile(lua_State *L) { /* stack: module, methods */
  const char *ask = getenv("MASCON_COMPILE"), *profile = getenv("MASCON_PROFILE");
  profile_all = profile && *profile && strcmp(profile, "0");
  mode = ask && !strcmp(ask, "off") ? MODE_OFF : ask && !strcmp(ask, "check") ? MODE_CHECK : MODE_ON;
  lua_pushcfunction(L, compile);
  lua_setfield(L, -3, "compile");
  lua_pushcfunction(L, change_mode);
  lua_setfield(L, -3, "_mode");
  lua_pushcfunction(L, cell);
  lua_setfield(L, -3, "_cell");

  luaL_newmetatable(L, "mascon.step_state");
  lua_pushcfunction(L, state_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newmetatable(L, "mascon.step");
  lua_pushcfunction(L, step_call);
  lua_setfield(L, -2, "__call");
  lua_newtable(L);
  lua_pushcfunction(L, step_report);
  lua_setfield(L, -2, "report");
  lua_pushcfunction(L, step_profile);
  lua_setfield(L, -2, "profile");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);

  luaL_newmetatable(L, "mascon.number");
  number_meta = lua_topointer(L, -1);
  static const struct {
    const char *event;
    char op;
    int id;
  } events[] = {{"__add", '+', MS_OP_add}, {"__sub", '-', MS_OP_sub}, {"__mul", '*', MS_OP_mul},
                {"__div", '/', MS_OP_div}, {"__pow", '^', MS_OP_pow}, {"__unm", '~', MS_OP_neg}};
  for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
    lua_pushinteger(L, events[i].op);
    lua_pushinteger(L, events[i].id);
    lua_pushcclosure(L, live_arith, 2);
    lua_setfield(L, -2, events[i].event);
  }
  static const char *const refused[][2] = {{"__lt", "comparing"}, {"__le", "comparing"}, {"__eq", "comparing"}, {"__tostring", "printing"},
                                           {"__concat", "printing"}, {"__index", "looking into"}, {"__mod", "taking a remainder of"},
                                           {"__idiv", "whole division of"}};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    lua_pushstring(L, refused[i][1]);
    lua_pushcclosure(L, live_refuse, 1);
    lua_setfield(L, -2, refused[i][0]);
  }
  lua_pushcfunction(L, live_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
