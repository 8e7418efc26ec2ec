/* live.c -- live numbers: what a function gets in place of the numbers among its arguments while it is recorded, so that a replay
 * can use other values. Arithmetic on live numbers is recorded, and done again before each replay. Whatever looks at one (compares
 * it, prints it, takes it as a size) gets the plain number; the recording is then good for this value only. Some looks reach no
 * metamethod: looks.c finds them. */
#include "steps.h"
#include <stdio.h>

static const void *number_meta;

typedef struct live {
  ms_cell *cell;
  bool whole;
  unsigned lending; /* the recording that gave it out; 0: none, a constant of an optimizer */
} live;

static unsigned lending;
static int lent;
static char first_look[128];

static live *live_at(lua_State *L, int i) {
  live *c = lua_touserdata(L, i);
  if (!c || !lua_getmetatable(L, i)) return NULL;
  bool is = lua_topointer(L, -1) == number_meta;
  lua_pop(L, 1);
  return is ? c : NULL;
}

ms_cell *msl_live(lua_State *L, int i) {
  live *c = live_at(L, i);
  return c ? c->cell : NULL;
}

bool msl_live_whole(lua_State *L, int i) {
  live *c = live_at(L, i);
  return c && c->whole;
}

static live *push_number(lua_State *L, ms_cell *c, bool whole) {
  live *p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = (live){NULL, whole, 0};
  luaL_setmetatable(L, "mascon.number");
  p->cell = ms_cell_retain(c);
  return p;
}

void msl_push_live(lua_State *L, ms_cell *c, bool whole) { push_number(L, c, whole); }
void msl_push_lent(lua_State *L, ms_cell *c, bool whole) {
  push_number(L, c, whole)->lending = lending;
  lent++;
}
void msl_begin_lending(void) {
  if (!++lending) lending = 1;
  lent = 0, *first_look = 0;
}
const char *msl_first_look(void) { return first_look; }
int msl_lent(void) { return lent; }

static int live_gc(lua_State *L) {
  live *p = luaL_checkudata(L, 1, "mascon.number");
  if (p->cell && p->lending && p->lending == lending) lent--;
  ms_cell_release(p->cell);
  p->cell = NULL;
  return 0;
}

bool msl_look(lua_State *L, int i) {
  live *p = live_at(L, i);
  if (!p) return false;
  ms_plain v = ms_record_look(p->cell);
  if (!*first_look) msl_script_line(L, first_look, sizeof first_look);
  msl_push_plain(L, v);
  lua_replace(L, i);
  return true;
}

/* Arithmetic that is recorded; upvalue: the row of the operation. */
static int live_arith(lua_State *L) {
  int row = (int)lua_tointeger(L, lua_upvalueindex(1));
  if (row == MS_OP_neg) { /* unary minus: x * -1, which keeps the sign of zero */
    lua_settop(L, 1);
    lua_pushinteger(L, -1);
    row = MS_OP_mul;
  }
  live *a = live_at(L, 1), *b = live_at(L, 2);
  int mark = msl_enter(L);
  if (msl_to(L, 1) || msl_to(L, 2)) {
    msl_push(L, ms_apply(row, MS_IN(msl_operand(L, 1), msl_operand(L, 2)), NULL));
    msl_leave(L, mark);
    return 1;
  }
  if ((!a && lua_type(L, 1) != LUA_TNUMBER) || (!b && lua_type(L, 2) != LUA_TNUMBER))
    return msl_raise(L, mark, "arithmetic on a number of the step and a %s", luaL_typename(L, a ? 2 : 1));
  const ms_scalar in[2] = {a ? ms_scalar_of_cell(a->cell) : ms_scalar_of_plain(msl_plain(L, 1)),
                           b ? ms_scalar_of_cell(b->cell) : ms_scalar_of_plain(msl_plain(L, 2))};
  ms_cell *c = ms_record_number(row, 2, in);
  if (c) msl_push_lent(L, c, ms_cell_get(c).is_whole);
  ms_cell_release(c);
  msl_leave(L, mark);
  return 1;
}

/* Lua's own operators on the plain numbers; upvalues: which one, and its row for a tensor on the other side (-1: none). */
static int looked_arith(lua_State *L) {
  int op = (int)lua_tointeger(L, lua_upvalueindex(1)), id = (int)lua_tointeger(L, lua_upvalueindex(2));
  if (id >= 0 && (msl_to(L, 1) || msl_to(L, 2))) {
    int mark = msl_enter(L);
    msl_push(L, ms_apply(id, MS_IN(msl_operand(L, 1), msl_operand(L, 2)), NULL));
    msl_leave(L, mark);
    return 1;
  }
  msl_look(L, 1), msl_look(L, 2);
  lua_settop(L, op == LUA_OPBNOT ? 1 : 2);
  lua_arith(L, op);
  return 1;
}

static int looked_compare(lua_State *L) {
  lua_settop(L, 2);
  msl_look(L, 1), msl_look(L, 2);
  lua_pushboolean(L, lua_compare(L, 1, 2, (int)lua_tointeger(L, lua_upvalueindex(1))));
  return 1;
}

static int looked_concat(lua_State *L) {
  lua_settop(L, 2);
  msl_look(L, 1), msl_look(L, 2);
  lua_concat(L, 2);
  return 1;
}

static int looked_tostring(lua_State *L) {
  msl_look(L, 1);
  luaL_tolstring(L, 1, NULL);
  return 1;
}

static int refuse_index(lua_State *L) {
  return msl_raise(L, ms_scope_open(), "a number has no fields: this one was handed to a compiled step");
}

static void event(lua_State *L, const char *name, lua_CFunction f, int a, int b) {
  lua_pushinteger(L, a);
  lua_pushinteger(L, b);
  lua_pushcclosure(L, f, 2);
  lua_setfield(L, -2, name);
}

void msl_open_live(lua_State *L) {
  msl_metatable(L, "mascon.number");
  number_meta = lua_topointer(L, -1);
  event(L, "__add", live_arith, MS_OP_add, 0), event(L, "__sub", live_arith, MS_OP_sub, 0);
  event(L, "__mul", live_arith, MS_OP_mul, 0), event(L, "__div", live_arith, MS_OP_div, 0);
  event(L, "__pow", live_arith, MS_OP_pow, 0), event(L, "__unm", live_arith, MS_OP_neg, 0);
  event(L, "__mod", looked_arith, LUA_OPMOD, MS_OP_remainder), event(L, "__idiv", looked_arith, LUA_OPIDIV, MS_OP_floor_div);
  event(L, "__band", looked_arith, LUA_OPBAND, -1), event(L, "__bor", looked_arith, LUA_OPBOR, -1);
  event(L, "__bxor", looked_arith, LUA_OPBXOR, -1), event(L, "__bnot", looked_arith, LUA_OPBNOT, -1);
  event(L, "__shl", looked_arith, LUA_OPSHL, -1), event(L, "__shr", looked_arith, LUA_OPSHR, -1);
  event(L, "__lt", looked_compare, LUA_OPLT, 0), event(L, "__le", looked_compare, LUA_OPLE, 0);
  event(L, "__eq", looked_compare, LUA_OPEQ, 0), event(L, "__concat", looked_concat, 0, 0);
  event(L, "__tostring", looked_tostring, 0, 0), event(L, "__index", refuse_index, 0, 0);
  event(L, "__gc", live_gc, 0, 0);
  lua_pop(L, 1);
  msl_takes_live(live_arith, 0);
  msl_takes_live(looked_arith, 0);
  msl_takes_live(live_gc, 0);
}
