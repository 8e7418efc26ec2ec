/* report.c -- what a compiled step does, and what each of its calls costs, as text. */
#include "steps.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which numbers are known by value, and since where. */
static const char *values(const state *s, char *out, size_t size) {
  int n = snprintf(out, size, " with");
  for (int i = 0, k = 0; i < s->n_number && n < (int)size; i++)
    if (s->looked[i])
      n += snprintf(out + n, size - (size_t)n, "%s number %d = %.6g", k++ ? "," : "", i + 1, ms_cell_get(s->cell[i]).value);
  int place = (int)strcspn(s->first_look, " "); /* "file:line:" and words */
  if (place && s->first_look[place - 1] == ':') place--;
  if (n < (int)size) snprintf(out + n, size - (size_t)n, ", which is looked at (%.*s)", place, s->first_look);
  return out;
}

/* The text that is put together: pieces in a table at `list`. */
typedef struct lines {
  lua_State *L;
  int list;
  lua_Integer n;
} lines;

static void add_line(lines *t, const char *line) {
  lua_pushstring(t->L, line);
  lua_rawseti(t->L, t->list, ++t->n);
}

/* What a state's step does: totals, then each call. */
static void report_step(lines *t, const ms_step *step) {
  char line[512];
  const ms_step_info i = ms_step_describe(step);
  snprintf(line, sizeof line,
           "%d operations replayed of %d recorded (%d unused, %d repeated, %d in fused chains); %.2f MB planned against %.2f MB "
           "eager; %.3f GFLOP in products\n",
           i.calls, i.recorded, i.dead - i.repeated, i.repeated, i.fused, (double)i.arena / 1e6, (double)i.unshared / 1e6,
           i.flops / 1e9);
  add_line(t, line);
  if (i.channels_last) {
    snprintf(line, sizeof line, "%d tensor%s kept channels last\n", i.channels_last, i.channels_last == 1 ? "" : "s");
    add_line(t, line);
  }
  if (i.folded) {
    snprintf(line, sizeof line, "%d convolution%s folded with a pooling or an upsampling\n", i.folded, i.folded == 1 ? "" : "s");
    add_line(t, line);
  }
  for (int k = 0; ms_step_line(step, k, line, sizeof line - 2); k++) {
    lua_pushfstring(t->L, "  %s\n", line);
    lua_rawseti(t->L, t->list, ++t->n);
  }
}

/* The state on top of the stack. */
static void report_state(lines *t, const state *s) {
  char line[512];
  lua_getiuservalue(t->L, -1, 4); /* what tells it from the others */
  lua_pushfstring(t->L, "(%s)%s: ", lua_tostring(t->L, -1), s->n_looked ? values(s, line, sizeof line) : "");
  lua_rawseti(t->L, t->list, ++t->n);
  lua_pop(t->L, 1);
  if (s->step) {
    report_step(t, s->step);
    return;
  }
  snprintf(line, sizeof line, "called %d time%s, %s\n", s->total, s->total == 1 ? "" : "s",
           s->eager ? "not replayed: .grad of what it trains is set anew from outside" : "not replayed yet");
  add_line(t, line);
}

/* step:report() -> text */
int msl_step_report(lua_State *L) {
  const compiled *st = luaL_checkudata(L, 1, "mascon.step");
  char line[512];
  lua_getiuservalue(L, 1, 2);
  int states = lua_gettop(L);
  bool any = false;
  lua_newtable(L);
  lines t = {.L = L, .list = lua_gettop(L)};
  for (lua_pushnil(L); lua_next(L, states); lua_pop(L, 1)) {
    const state *s = lua_touserdata(L, -1);
    if (!s || (s->n_looked > s->n_keyed && !s->step)) continue; /* leads on to those with values */
    any = true;
    report_state(&t, s);
  }
  if (st->overflow) {
    snprintf(line, sizeof line, "%d calls ran as they are: it was called in more than %d ways\n", st->overflow, st->n_states);
    add_line(&t, line);
  }
  if (st->unsteady > 1) {
    snprintf(line, sizeof line, "%d calls changed fields of modules or optimizers: no recording fits the next call then\n",
             st->unsteady);
    add_line(&t, line);
  }
  if (!any) add_line(&t, msl_compile_off ? "runs eagerly: MASCON_COMPILE=off\n" : "not called yet\n");
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "concat");
  lua_pushvalue(L, t.list);
  lua_call(L, 1, 1);
  return 1;
}

typedef struct cost {
  double seconds;
  int call;
} cost;

static int by_cost(const void *a, const void *b) {
  double x = ((const cost *)a)->seconds, y = ((const cost *)b)->seconds;
  return x < y ? 1 : x > y ? -1 : 0;
}

/* Hand the profile of a step to put(arg, line), dearest call first; nothing when no run was profiled. */
static void profile_lines(const ms_step *s, void (*put)(void *, const char *), void *arg) {
  int runs, n = ms_step_describe(s).calls;
  double whole = ms_step_seconds(s, -1, &runs), calls = 0;
  cost *c = runs ? malloc(((size_t)n + 1) * sizeof *c) : NULL;
  if (!c) return;
  for (int i = 0; i < n; i++) {
    c[i] = (cost){ms_step_seconds(s, i, NULL), i};
    calls += c[i].seconds;
  }
  qsort(c, (size_t)n, sizeof *c, by_cost);
  char line[600], call[512];
  snprintf(line, sizeof line, "%d runs of %d calls: %.1f us each, %.1f us in the calls\n", runs, n, whole / runs * 1e6,
           calls / runs * 1e6);
  put(arg, line);
  for (int i = 0; i < n && ms_step_line(s, c[i].call, call, sizeof call); i++) {
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

void msl_profile_to_stderr(const ms_step *s) { profile_lines(s, put_stderr, NULL); }

static void profile_states(lua_State *L, int states, bool on) {
  for (lua_pushnil(L); lua_next(L, states); lua_pop(L, 1)) {
    const state *s = lua_touserdata(L, -1);
    if (s && s->step && ms_step_profile(s->step, on) < 0) msl_leave(L, ms_scope_open());
  }
}

/* step:profile(n, args...) -> text: call the step n times with these arguments, after a few that are not counted; microseconds per
 * run, dearest call first. With MASCON_PROFILE=1 every replay counts, and a step writes its profile to standard error when it goes.
 */
int msl_step_profile(lua_State *L) {
  luaL_checkudata(L, 1, "mascon.step");
  if (!lua_isinteger(L, 2) || lua_tointeger(L, 2) < 1)
    return msl_raise(L, ms_scope_open(), "profile: expected how often to run the step, a whole number from 1 on, got %s",
                     luaL_tolstring(L, 2, NULL));
  if (msl_compile_off) return lua_pushliteral(L, "nothing was replayed: MASCON_COMPILE=off\n"), 1;
  lua_Integer n = lua_tointeger(L, 2) + WARM;
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
    if (!s || !s->step) continue;
    lua_getiuservalue(L, -1, 4);
    lua_pushfstring(L, "(%s): ", lua_tostring(L, -1));
    put_text(L, lua_tostring(L, -1));
    lua_pop(L, 2);
    profile_lines(s->step, put_text, L);
  }
  if (!lua_rawlen(L, 2)) put_text(L, "nothing was replayed\n");
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "concat");
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  return 1;
}
