/* states.c -- what a compiled function knows: one state per key, found by the key's hash; and the leaves that have a part in the
 * key.
 *
 * Numbers are live, so their values are not in the key. If a recording finds that the function looks at some of them, their values
 * are added to the key: the state of the shorter key then only leads on to one state for each set of values. */
#include "steps.h"
#include <stdlib.h>
#include <string.h>

/* A state is forgotten for a new one when there are MAX_STATES and it was not wanted in the last STALE calls. */
enum { MAX_STATES = 64, STALE = 1000 };

void msl_drop_recordings(state *s) {
  ms_record_free(s->first);
  ms_step_free(s->step);
  s->first = NULL, s->step = NULL;
  if (s->calls > 1) s->calls = 1;
}

static int state_gc(lua_State *L) {
  state *s = luaL_checkudata(L, 1, "mascon.step_state");
  if (msl_profile_all && s->step) msl_profile_to_stderr(s->step);
  msl_drop_recordings(s);
  for (int i = 0; i < s->n_number; i++) ms_cell_release(s->cell[i]);
  free(s->key), free(s->looked);
  s->n_number = 0, s->key = NULL, s->n_key = 0, s->looked = NULL;
  return 0;
}

void msl_forget_all(compiled *st) {
  for (int i = 0; i < st->grads.n; i++) ms_release(st->grads.at[i].leaf);
  for (int i = 0; i < st->frozen.n; i++) ms_release(st->frozen.at[i].leaf);
  free(st->grads.at), free(st->frozen.at), free(st->captured), free(st->before);
  memset(st, 0, sizeof *st);
}

static int step_gc(lua_State *L) {
  msl_forget_all(luaL_checkudata(L, 1, "mascon.step"));
  return 0;
}

/* ---- leaves in the key ------------------------------------------------------------------------------------------- */

/* Each leaf that is no longer as it was when it was first seen adds a number of its own, made of its id. So a leaf that is seen for
 * the first time leaves the keys as they are. */

int64_t msl_grads_key(const compiled *st) {
  uint64_t key = 0;
  for (int i = 0; i < st->grads.n; i++)
    if ((st->grads.at[i].leaf->grad != NULL) != st->grads.at[i].before) key ^= msl_mix(1 + st->grads.at[i].id);
  return (int64_t)key;
}

int64_t msl_frozen_key(compiled *st) {
  if (st->frozen_at == ms_freezes) return (int64_t)st->frozen_key;
  uint64_t key = 0;
  for (int i = 0; i < st->frozen.n; i++)
    if (st->frozen.at[i].leaf->requires_grad != st->frozen.at[i].before) key ^= msl_mix(1 + st->frozen.at[i].id);
  st->frozen_at = ms_freezes, st->frozen_key = key;
  return (int64_t)key;
}

static int watch_leaf(compiled *st, leaf_list *l, ms_tensor *leaf, bool before) {
  for (int i = 0; i < l->n; i++)
    if (l->at[i].leaf == leaf) return 0;
  if (l->n == l->room) {
    int n = 0; /* those that nobody else has can change no more */
    for (int i = 0; i < l->n; i++)
      if (l->at[i].leaf->refs == 1) ms_release(l->at[i].leaf);
      else l->at[n++] = l->at[i];
    l->n = n;
    if (n == l->room || !n) {
      int room = l->room ? 2 * l->room : 32;
      void *p = realloc(l->at, (size_t)room * sizeof *l->at);
      if (!p) return ms_fail("compile: out of memory"), -1;
      l->at = p, l->room = room;
    }
  }
  l->at[l->n].leaf = ms_retain(leaf), l->at[l->n].id = ++st->leaves, l->at[l->n++].before = before;
  return 0;
}

int msl_watch_leaves(compiled *st, const ms_record *r) {
  ms_tensor *leaf;
  bool had;
  for (int i = 0; (leaf = ms_record_found_grad(r, i, &had)); i++)
    if (watch_leaf(st, &st->grads, leaf, had) < 0) return -1;
  for (int i = 0; (leaf = ms_record_leaf(r, i)); i++)
    if (watch_leaf(st, &st->frozen, leaf, leaf->requires_grad) < 0) return -1;
  return 0;
}

/* ---- states by key ------------------------------------------------------------------------------------------------ */

static lua_Integer key_hash(const arguments *v) {
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < v->n_key; i += 8) {
    uint64_t x = 0;
    memcpy(&x, v->key + i, v->n_key - i < 8 ? v->n_key - i : 8);
    h = (h ^ x) * 0x9E3779B97F4A7C15u;
    h ^= h >> 29;
  }
  return (lua_Integer)h;
}

/* Find the state of a key and push it; else *at is where it belongs, and nothing is pushed. states: their table, where `false`
 * stands for one that was forgotten. */
static state *find_state(lua_State *L, int states, const arguments *v, lua_Integer *at) {
  bool free = false;
  *at = 0;
  for (lua_Integer i = key_hash(v);; i++) {
    int type = lua_rawgeti(L, states, i);
    state *s = lua_touserdata(L, -1);
    if (s && s->n_key == v->n_key && !memcmp(s->key, v->key, v->n_key)) return s;
    lua_pop(L, 1);
    if (!s && !free) *at = i, free = true;
    if (type == LUA_TNIL) return NULL;
  }
}

/* Make room for one more: forget the state that was not wanted for the longest time. */
static bool forget_one(lua_State *L, compiled *st, int states) {
  lua_Integer at = 0;
  const state *oldest = NULL;
  for (lua_pushnil(L); lua_next(L, states); lua_pop(L, 1)) {
    const state *s = lua_touserdata(L, -1);
    if (s && (!oldest || s->last < oldest->last)) oldest = s, at = lua_tointeger(L, -2);
  }
  if (!oldest || st->calls - oldest->last < STALE) return false;
  lua_pushboolean(L, false);
  lua_rawseti(L, states, at);
  st->n_states--;
  return true;
}

static int no_memory(lua_State *L) {
  ms_fail("compile: out of memory");
  return msl_leave(L, ms_scope_open()), 0;
}

/* Push a new state. from: the one that led here, or NULL. */
static state *new_state(lua_State *L, const arguments *v, int n, const state *from) {
  size_t bytes = sizeof(state) + (size_t)v->n_number * sizeof(ms_cell *);
  state *s = lua_newuserdatauv(L, bytes, 4);
  memset(s, 0, bytes);
  luaL_setmetatable(L, "mascon.step_state");
  if (!(s->key = malloc(v->n_key + 1)) || !(s->looked = calloc((size_t)v->n_number + 1, 1))) no_memory(L);
  memcpy(s->key, v->key, v->n_key);
  s->n_key = v->n_key;
  for (int i = 0; i < v->n_number; i++, s->n_number++)
    if (!(s->cell[i] = ms_cell_new(v->number[i].value))) no_memory(L);
  if (from) {
    memcpy(s->looked, from->looked, (size_t)v->n_number);
    memcpy(s->first_look, from->first_look, sizeof s->first_look);
    s->n_looked = s->n_keyed = from->n_looked;
    s->calls = 1; /* what call 1 is for is done */
  } else if (!msl_looks_are_seen(L)) {
    memset(s->looked, 1, (size_t)v->n_number);
    s->n_looked = v->n_number;
  }
  lua_newtable(L);
  for (int i = 0; i < n; i++) msl_anchor(L, i + 2, lua_gettop(L), 0);
  lua_setiuservalue(L, -2, 3);
  char text[256] = "";
  for (int i = 0; i < n; i++) {
    size_t used = strlen(text);
    if (i && used + 3 < sizeof text) memcpy(text + used, ", ", 3);
    msl_describe(L, i + 2, text, sizeof text, 0);
  }
  lua_pushstring(L, n ? text : "no arguments");
  lua_setiuservalue(L, -2, 4);
  return s;
}

state *msl_state_of(lua_State *L, compiled *st, arguments *v, int n) {
  lua_getiuservalue(L, 1, 2);
  int states = lua_gettop(L);
  state *s = NULL;
  for (;;) {
    lua_Integer at;
    state *from = s;
    if (!(s = find_state(L, states, v, &at))) {
      if (st->n_states >= MAX_STATES && !forget_one(L, st, states)) {
        st->overflow++;
        lua_pushnil(L);
        break;
      }
      s = new_state(L, v, n, from);
      lua_pushvalue(L, -1);
      lua_rawseti(L, states, at);
      st->n_states++;
    }
    s->last = st->calls;
    if (from) lua_remove(L, -2);
    if (s->n_looked == s->n_keyed) break;
    for (int i = 0; i < v->n_number; i++)
      if (s->looked[i]) msl_key_int(v, i), msl_key(v, &v->number[i].value, sizeof v->number[i].value);
    if (v->problem) msl_raise(L, ms_scope_open(), "compile: %s in the arguments", v->problem);
  }
  lua_remove(L, states);
  return s;
}

void msl_open_states(lua_State *L) {
  static const struct {
    const char *name;
    lua_CFunction gc;
  } classes[] = {{"mascon.step_state", state_gc}, {"mascon.step", step_gc}};
  for (int i = 0; i < 2; i++) {
    msl_metatable(L, classes[i].name);
    lua_pushcfunction(L, classes[i].gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
  }
}
