/* compile.c -- ms.compile(fn): what a call of the compiled function does. Calls with the same key follow one another like this: the
 * first runs as it is, the second is recorded, the third is recorded and compared with the second, and from then on the recording
 * is replayed, without Lua (step/record.h).
 *
 * A compiled function keeps one state per key (states.c). The key is everything that shapes a recording: types, shapes, strides,
 * dtypes and devices of the tensors (in nested tables too), texts and booleans by value, numbers by being numbers, gradient mode,
 * what was set in modules and optimizers since they were made (train/eval mode among it), what the variables hold that it captured,
 * which of the leaves whose .grad it finds have one, and which of the leaves it works with want one. Numbers go in as live numbers;
 * those that the function looks at are known by value. What comes out carries no graph, in any call. */
#include "core/numerics.h"
#include "steps.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODE_ON, MODE_OFF, MODE_CHECK };
enum { MAX_RESTARTS = 8 };
static int mode;
bool msl_profile_all, msl_compile_off;
static bool inside; /* a compiled function is running: others that it calls run as plain functions */

/* ---- running the function ---------------------------------------------------------------------------------------- */

/* Stands on the stack while the function runs, and cleans up when it ends with an error. Uservalue: the list of what was lent. */
typedef struct guard {
  ms_record *r;
  ms_check *check;
  ms_watch *watch;
  bool on, was_inside;
  bool held; /* the call left something behind */
  looking before;
} guard;

static int guard_close(lua_State *L) {
  guard *g = luaL_checkudata(L, 1, "mascon.step_guard");
  msl_stop_looking(L, &g->before);
  if (g->r) ms_record_abort(g->r);
  ms_check_free(g->check);
  ms_watch_free(g->watch);
  if (g->on) inside = g->was_inside;
  g->r = NULL, g->check = NULL, g->watch = NULL, g->on = false;
  if (lua_getiuservalue(L, 1, 1) == LUA_TTABLE) msl_take_back(L, lua_gettop(L));
  return 0;
}

static guard *push_guard(lua_State *L) {
  guard *g = lua_newuserdatauv(L, sizeof *g, 1);
  *g = (guard){.on = true, .was_inside = inside};
  luaL_setmetatable(L, "mascon.step_guard");
  lua_toclose(L, -1);
  inside = true;
  return g;
}

/* Replace the results base+1.. by what leaves the step: the same without graphs. all: in tensors of their own, so that who else
 * holds what the function gave can be told. The outline is pushed. */
static void settle_results(lua_State *L, int base, results *r, bool all) {
  int count = lua_gettop(L) - base;
  luaL_checkstack(L, 12, "compile");
  lua_createtable(L, count, 0);
  int outline = base + count + 1;
  for (int k = 1; k <= count; k++) {
    if (lua_isnil(L, base + k)) lua_pushlightuserdata(L, NULL); /* a list that ends in nil would be shorter */
    else msl_to_outline(L, base + k, r, 0);
    lua_rawseti(L, outline, k);
  }
  for (int k = 0; k < r->n; k++)
    if (all || r->out[k]->node || r->out[k]->requires_grad) r->out[k] = ms_detach(r->out[k]);
  for (int k = 1; k <= count && !ms_error(); k++) {
    lua_rawgeti(L, outline, k);
    msl_from_outline(L, outline + 1, r->v, r->out);
    lua_replace(L, base + k);
    lua_pop(L, 1);
  }
}

/* Call the function as it is. Stack: step, n arguments, ... */
static int call_plain(lua_State *L, int n, const arguments *v) {
  push_guard(L);
  int base = lua_gettop(L), mark = ms_scope_open();
  results r = {.v = v, .born = ms_storage_births};
  lua_getiuservalue(L, 1, 1);
  for (int i = 0; i < n; i++) lua_pushvalue(L, i + 2);
  lua_call(L, n, LUA_MULTRET);
  int count = lua_gettop(L) - base;
  settle_results(L, base, &r, false);
  msl_leave(L, mark);
  lua_settop(L, base + count);
  return count;
}

/* Call the function under a recording, which stays in the guard. Leaves the results behind base and the outline behind them, gives
 * their number; what r->out[] holds belongs to the current scope. s: numbers go in as live ones, NULL: as they are. */
static int call_recorded(lua_State *L, guard *g, int at, int nth, int n, const arguments *v, state *s, results *r) {
  int base = lua_gettop(L);
  r->v = v, r->n = 0, r->problem = NULL, r->born = ms_storage_births;
  lua_newtable(L);
  if (s) lua_pushvalue(L, -1), lua_setiuservalue(L, at, 1);
  loan w = {.v = v, .cell = s ? s->cell : NULL, .looked = s ? s->looked : NULL, .list = base + 1};
  lua_getiuservalue(L, 1, 1);
  msl_begin_lending();
  for (int i = 0; i < n; i++)
    if (s) msl_lend(L, i + 2, &w);
    else lua_pushvalue(L, i + 2);
  if (!(g->r = ms_record_begin(nth, v->n, v->tensor))) msl_leave(L, ms_scope_open());
  msl_start_looking(L, &g->before, s && s->n_number > s->n_looked);
  lua_call(L, n, LUA_MULTRET);
  msl_stop_looking(L, &g->before);
  int count = lua_gettop(L) - base - 1;
  settle_results(L, base + 1, r, true);
  int rc = ms_record_end(g->r, r->n, r->out);
  const char *changed = msl_take_back(L, base + 1);
  if (s) lua_pushnil(L), lua_setiuservalue(L, at, 1);
  lua_remove(L, base + 1);
  if (changed && !ms_error())
    rc = (ms_fail("compile: %s of a table among the arguments was set inside the step: a replay runs no Lua and would not set it "
                  "again. Return the value, or hand in a tensor and change it in place (x:copy_(y))",
                  changed),
          -1);
  if (r->problem) rc = (ms_fail("compile: %s in the results", r->problem), -1);
  /* What the call made and nobody holds is garbage now: let it go. What a graph held in Lua becomes garbage only then. */
  uint64_t dropped;
  lua_gc(L, LUA_GCCOLLECT);
  do {
    dropped = msl_dropped;
    lua_gc(L, LUA_GCCOLLECT);
  } while (msl_dropped != dropped);
  if (rc == 0 && !ms_error()) g->held = ms_record_settle(g->r) < 0;
  if (rc == 0 && !ms_error() && msl_lent()) {
    ms_fail("compile: a number handed to the step, or made of one, is still held after the call, by a table or variable of the "
            "script: a replay runs no Lua and would not put it there again. Return it from the step instead");
    g->held = true;
  }
  return count;
}

static const char *result_in_words(lua_State *L, int i) { /* pushes */
  const ms_cell *live = msl_live(L, i);
  if (live) msl_push_plain(L, ms_cell_get(live)), i = lua_gettop(L);
  if (lua_islightuserdata(L, i)) return lua_touserdata(L, i) ? "a tensor" : "nil";
  return lua_type(L, i) == LUA_TSTRING || lua_type(L, i) == LUA_TNUMBER ? luaL_tolstring(L, i, NULL) : luaL_typename(L, i);
}

/* Are the outlines at i and j the same? -1 after ms_fail. */
static int compare_outlines(lua_State *L, int i, int j, int m, int n) {
  if (lua_rawlen(L, i) != lua_rawlen(L, j))
    return ms_fail("compile: %d results in call %d and %d in call %d", (int)lua_rawlen(L, i), m, (int)lua_rawlen(L, j), n), -1;
  int top = lua_gettop(L);
  for (int k = 1; k <= (int)lua_rawlen(L, i); k++) {
    lua_rawgeti(L, i, k);
    lua_rawgeti(L, j, k);
    if (!msl_same_outline(L, top + 1, top + 2, 0))
      return ms_fail("compile: result %d was %s in call %d and %s in call %d; a replay gives what was recorded: return a tensor, "
                     "or a number "
                     "made from the step's arguments",
                     k, result_in_words(L, top + 1), m, result_in_words(L, top + 2), n),
             lua_settop(L, top), -1;
    lua_settop(L, top);
  }
  return 0;
}

static int push_step_results(lua_State *L, int at, const state *s, const arguments *v, ms_tensor *const *out) {
  luaL_checkstack(L, s->n_values + 8, "compile");
  lua_getiuservalue(L, at, 1);
  int outline = lua_gettop(L);
  for (int k = 1; k <= s->n_values; k++) {
    lua_rawgeti(L, outline, k);
    msl_from_outline(L, outline + k, v, out);
    lua_remove(L, -2);
  }
  return s->n_values;
}

static int replay(lua_State *L, int at, state *s, const arguments *v) {
  ms_tensor *out[MAX_TENSORS];
  int mark = msl_enter(L), n = 0;
  if (ms_step_run(s->step, v->tensor, out) == 0) n = push_step_results(L, at, s, v, out);
  msl_leave(L, mark);
  return n;
}

/* Protected: the function as it is. Stack: step, n arguments, the arguments read. */
static int again_plain(lua_State *L) {
  const arguments *v = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return call_plain(L, lua_gettop(L) - 1, v);
}

/* A replay under ms.detect_nan. If it leaves NaN or infinity, all that it wrote is put back and the function runs as it is, where
 * each operation is asked: an error names the first one, and the state is again that before the call. If none is found, infinity
 * was meant (or there before), and what that run did counts. */
static int replay_watched(lua_State *L, int at, state *s, const arguments *v, int n) {
  ms_tensor *out[MAX_TENSORS];
  guard *g = push_guard(L);
  const int mark = msl_enter(L);
  int values = 0, odd = -1;
  if ((g->watch = ms_watch_begin(s->step, v->tensor)) && ms_step_run(s->step, v->tensor, out) == 0)
    odd = ms_watch_odd(g->watch, out, !s->infinite);
  if (odd == 0) values = push_step_results(L, at, s, v, out);
  if (odd > 0) ms_watch_put_back(g->watch);
  msl_leave(L, mark);
  if (odd <= 0) return values;
  const int top = lua_gettop(L);
  lua_pushcfunction(L, again_plain);
  for (int i = 0; i <= n; i++) lua_pushvalue(L, i + 1);
  lua_pushlightuserdata(L, (void *)v);
  const int cleanup = msl_protect_begin();
  if (lua_pcall(L, n + 2, LUA_MULTRET, 0) == LUA_OK) return s->infinite = true, lua_gettop(L) - top;
  msl_protect_failed(cleanup);
  const int last = msl_enter(L);
  ms_watch_put_back(g->watch);
  msl_leave(L, last);
  if (lua_type(L, -1) == LUA_TSTRING && strstr(lua_tostring(L, -1), "detect_nan: ")) {
    lua_pushliteral(L, " (in a replay; the step has been run again as it is to find this, and all is as before the call)");
    lua_concat(L, 2);
  }
  return lua_error(L);
}

/* Run the function and its replay from the same state; an error names what differs. Derivative rules take short cuts for some
 * numbers (x ^ 2), which live numbers do not get: with numbers among the arguments, calls may differ where values do not. */
static int run_checked(lua_State *L, int at, state *s, const arguments *v, int n) {
  ms_tensor *out[MAX_TENSORS];
  results r;
  guard *g = push_guard(L);
  int mark = msl_enter(L), values = 0;
  char calls[1024] = ""; /* how the calls differ */
  if ((g->check = ms_check_begin(s->step, v->tensor))) {
    int base = lua_gettop(L), count = call_recorded(L, g, 0, s->total, n, v, NULL, &r);
    lua_getiuservalue(L, at, 1);
    int outline = lua_gettop(L);
    if (!ms_error() && ms_record_compare(s->first, g->r, true) < 0 && s->n_number) {
      strncpy(calls, ms_error(), sizeof calls - 1);
      ms_error_clear();
    }
    if (!ms_error() && ms_check_swap(g->check, r.n, r.out) == 0 && ms_step_run(s->step, v->tensor, out) == 0 &&
        ms_check_compare(g->check, out, s->total, !s->n_number) == 0 &&
        compare_outlines(L, outline, base + count + 1, ms_record_nth(s->first), s->total) == 0)
      values = push_step_results(L, at, s, v, out);
    if (ms_error() && *calls) {
      ms_error_clear();
      ms_fail("%s", calls);
    }
  }
  msl_leave(L, mark);
  return values;
}

/* Compare a recording with the first one, and make the step of it, in place of one that did not know where its arguments can be.
 * -1 after ms_fail. outline: of its results. */
static int make_step(lua_State *L, int at, int outline, state *s, guard *g) {
  lua_getiuservalue(L, at, 2);
  int rc = ms_record_compare(s->first, g->r, false);
  if (rc == 0) rc = compare_outlines(L, lua_gettop(L), outline, ms_record_nth(s->first), ms_record_nth(g->r));
  lua_pop(L, 1);
  if (rc < 0) return msl_drop_recordings(s), -1; /* a later call may try again */
  ms_record *r = g->r;
  g->r = NULL;
  ms_step_free(s->step);
  if (!(s->step = ms_step_build(r, mode == MODE_CHECK))) return msl_drop_recordings(s), -1;
  lua_pushvalue(L, outline);
  lua_setiuservalue(L, at, 1);
  s->calls = 3, s->n_values = (int)lua_rawlen(L, outline);
  if (ms_step_moves(s->step) && mode != MODE_CHECK) ms_record_free(s->first), s->first = NULL;
  if (msl_profile_all) ms_step_profile(s->step, true);
  return 0;
}

/* The function looked at numbers: what was recorded is good for their values only, and is not kept. The next call with these values
 * has a state of its own. */
static void remember_looks(state *s, const ms_record *r) {
  if (!s->n_looked) snprintf(s->first_look, sizeof s->first_look, "%s", msl_first_look());
  for (int i = 0; i < s->n_number; i++) {
    if (s->looked[i] || !ms_record_looked(r, s->cell[i])) continue;
    s->looked[i] = true;
    s->n_looked++;
  }
  msl_drop_recordings(s);
}

/* The call changed fields of modules, or which leaves are frozen. Once is allowed: a first call may set something up. */
static void refuse_unsteady(state *s, const char *what) {
  msl_drop_recordings(s);
  if (++s->unsteady == 1) return;
  ms_fail(
      "compile: %s inside the step, and is otherwise after the call than before: a replay runs no Lua and would not set it again. "
      "Set it outside, or keep the value in a tensor that is changed in place (register_buffer)",
      what);
}

static int record(lua_State *L, compiled *st, int at, state *s, arguments *v, int n) {
  results r;
  const int64_t set = msl_settings, frozen = msl_frozen_key(st);
  s->tensors = st->tensors;
  guard *g = push_guard(L);
  int mark = msl_enter(L), base = lua_gettop(L), count = call_recorded(L, g, base, s->total, n, v, s, &r);
  if (!ms_error()) msl_see_captured(L, st, v);
  if (g->held && !s->first && !s->step && !s->forgiven) { /* a state made late, by an optimizer after an error: look again */
    s->forgiven = true;
    ms_error_clear();
  } else if (ms_error()) {
  } else if (ms_record_looks(g->r)) {
    remember_looks(s, g->r);
  } else if (msl_settings != set) {
    refuse_unsteady(s, msl_last_set);
  } else if (msl_frozen_key(st) != frozen) {
    refuse_unsteady(s, "requires_grad of a tensor from outside was switched");
  } else if (msl_watch_leaves(st, g->r) == 0) {
    if (s->first) {
      make_step(L, at, base + count + 1, s, g);
    } else {
      s->forgiven = true;
      ms_record_forget(g->r);
      s->first = g->r, g->r = NULL, s->calls = 2;
      lua_setiuservalue(L, at, 2);
    }
  }
  msl_leave(L, mark);
  lua_settop(L, base + count);
  return count;
}

/* What was recorded is of no use for the gradients, or for the tensors in captured tables, as they are: begin again, a few times.
 */
static void forget_recording(state *s) {
  msl_drop_recordings(s);
  s->eager = ++s->restarts > MAX_RESTARTS;
}

static int run_plain(lua_State *L, compiled *st, int n, const arguments *v) {
  const int64_t set = msl_settings;
  int count = call_plain(L, n, v);
  msl_see_captured(L, st, v);
  ms_error_clear(); /* nothing is lost in a call that runs as it is */
  st->unsteady += msl_settings != set;
  return count;
}

static int step_body(lua_State *L) {
  compiled *st = luaL_checkudata(L, 1, "mascon.step");
  int n = lua_gettop(L) - 1;
  luaL_checkstack(L, 2 * n + 24, "compile");
  if (inside) {
    lua_getiuservalue(L, 1, 1);
    lua_replace(L, 1);
    lua_call(L, n, LUA_MULTRET);
    return lua_gettop(L);
  }
  arguments v;
  v.n = v.n_number = 0, v.n_key = 0, v.problem = NULL;
  msl_key_int(&v, msl_settings);
  msl_key_int(&v, ms_grad_enabled() | ms_get_precision() << 1 | ms_deterministic() << 3);
  msl_key_int(&v, msl_grads_key(st) ^ msl_frozen_key(st));
  if (mode != MODE_OFF) msl_key_int(&v, msl_captured_key(L, st));
  for (int i = 0; i < n; i++) msl_read_argument(L, i + 2, &v, 0);
  for (int i = 1, j; i < v.n; i++) { /* which share memory */
    for (j = 0; v.tensor[j]->storage != v.tensor[i]->storage; j++) {}
    if (j < i) msl_key(&v, &(unsigned char){(unsigned char)j}, 1);
    msl_key(&v, &(unsigned char){j < i}, 1);
  }
  if (v.problem) return msl_raise(L, ms_scope_open(), "compile: %s in the arguments", v.problem);
  if (mode == MODE_OFF || ms_check_numerics_on()) return call_plain(L, n, &v);
  st->calls++;
  state *s = msl_state_of(L, st, &v, n);
  int at = lua_gettop(L);
  if (!s) return run_plain(L, st, n, &v);
  s->total++;
  for (int i = 0; i < s->n_number; i++) ms_cell_set(s->cell[i], v.number[i]);
  if (s->calls == 0) s->calls = 1;
  else if (s->step && s->tensors == st->tensors) {
    switch (ms_step_fit(s->step, v.tensor)) {
    case MS_FITS:
      if (mode == MODE_CHECK) return run_checked(L, at, s, &v, n);
      return ms_detect_nan_on() ? replay_watched(L, at, s, &v, n) : replay(L, at, s, &v);
    case MS_FIT_ALIAS: return call_plain(L, n, &v);
    case MS_FIT_ELSEWHERE: return record(L, st, at, s, &v, n);
    case MS_FIT_GRADS: forget_recording(s);
    }
    return s->eager ? call_plain(L, n, &v) : record(L, st, at, s, &v, n);
  } else {
    if (s->step || (s->first && !ms_record_grads_match(s->first, v.tensor))) forget_recording(s);
    if (!s->eager) return record(L, st, at, s, &v, n);
  }
  return run_plain(L, st, n, &v);
}

/* An error that ends a coroutine closes nothing of what stands on its stack (the guard): there, the call is a protected one. */
static int step_call(lua_State *L) {
  bool main = lua_pushthread(L);
  lua_pop(L, 1);
  if (main) return step_body(L);
  lua_pushcfunction(L, step_body);
  lua_insert(L, 1);
  if (lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0) != LUA_OK) return lua_error(L);
  return lua_gettop(L);
}

static int compile(lua_State *L) {
  msl_at_most(L, 1, "compile");
  if (lua_type(L, 1) != LUA_TFUNCTION && !luaL_getmetafield(L, 1, "__call"))
    return msl_raise(L, ms_scope_open(), "compile: expected a function, got %s", msl_typename(L, 1));
  compiled *st = lua_newuserdatauv(L, sizeof *st, 3);
  memset(st, 0, sizeof *st);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 2);
  luaL_setmetatable(L, "mascon.step");
  return 1;
}

/* inside.restart(step [, f]): the step is as new: nothing that it has recorded counts any more, and f, if given, is its function.
 */
static int restart(lua_State *L) {
  compiled *st = luaL_checkudata(L, 1, "mascon.step");
  if (inside) return luaL_error(L, "compile: a compiled step runs: its functions cannot be replaced now");
  if (!lua_isnoneornil(L, 2)) lua_pushvalue(L, 2), lua_setiuservalue(L, 1, 1);
  if (lua_getiuservalue(L, 1, 2) == LUA_TTABLE)
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) { /* memory goes now, and not with the collector */
      state *s = lua_touserdata(L, -1);
      if (s) msl_drop_recordings(s);
    }
  msl_forget_all(st);
  lua_newtable(L);
  lua_setiuservalue(L, 1, 2);
  lua_pushnil(L);
  lua_setiuservalue(L, 1, 3);
  return 0;
}

void msl_open_compile(lua_State *L) { /* stack: module, methods */
  const char *ask = getenv("MASCON_COMPILE"), *profile = getenv("MASCON_PROFILE");
  msl_profile_all = profile && !strcmp(profile, "1");
  mode = ask && !strcmp(ask, "off") ? MODE_OFF : ask && !strcmp(ask, "check") ? MODE_CHECK : MODE_ON;
  msl_compile_off = mode == MODE_OFF;
  lua_pushcfunction(L, compile);
  lua_setfield(L, -3, "compile");
  msl_inside(L);
  lua_pushcfunction(L, restart);
  lua_setfield(L, -2, "restart");
  lua_pop(L, 1);
  msl_open_settings(L);
  msl_open_looks(L);
  msl_open_states(L);
  msl_open_live(L);
  msl_metatable(L, "mascon.step_guard");
  lua_pushcfunction(L, guard_close);
  lua_setfield(L, -2, "__close");
  luaL_getmetatable(L, "mascon.step");
  lua_pushcfunction(L, step_call);
  lua_setfield(L, -2, "__call");
  lua_newtable(L);
  lua_pushcfunction(L, msl_step_report);
  lua_setfield(L, -2, "report");
  lua_pushcfunction(L, msl_step_profile);
  lua_setfield(L, -2, "profile");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 2);
  msl_takes_live(step_call, 0), msl_takes_live(step_body, 0);
}
