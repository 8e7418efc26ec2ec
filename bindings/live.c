/* live.c -- live numbers: what a compiled step gets in place of numbers. Arithmetic on them is written down and done again before
 * each run; to look at one (compare, print) is refused, since a replay would not look again. */
#include "steps.h"

static const void *number_meta;

typedef struct live {
  ms_cell *cell;
  bool whole;
} live;

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

void msl_push_live(lua_State *L, ms_cell *c, bool whole) {
  live *p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = (live){NULL, whole};
  luaL_setmetatable(L, "mascon.number");
  p->cell = ms_cell_retain(c);
}

static int live_gc(lua_State *L) {
  live *p = lua_touserdata(L, 1);
  ms_cell_release(p->cell);
  p->cell = NULL;
  return 0;
}

static int live_arith(lua_State *L) { /* upvalues: the operation as a character, as its row */
  char op = (char)lua_tointeger(L, lua_upvalueindex(1));
  if (op == '~') { /* unary minus: x * -1, which keeps the sign of zero */
    lua_settop(L, 1);
    lua_pushinteger(L, -1);
    op = '*';
  }
  live *a = live_at(L, 1), *b = live_at(L, 2);
  int mark = msl_enter(L);
  if (msl_to(L, 1) || msl_to(L, 2)) { /* a tensor on the other side */
    msl_push(L, ms_apply((int)lua_tointeger(L, lua_upvalueindex(2)), MS_IN(msl_operand(L, 1), msl_operand(L, 2)), NULL));
    msl_leave(L, mark);
    return 1;
  }
  if ((!a && lua_type(L, 1) != LUA_TNUMBER) || (!b && lua_type(L, 2) != LUA_TNUMBER))
    return msl_raise(L, mark, "arithmetic on a number of the step and a %s", luaL_typename(L, a ? 2 : 1));
  bool whole = op != '/' && op != '^' && (a ? a->whole : lua_isinteger(L, 1)) && (b ? b->whole : lua_isinteger(L, 2));
  ms_cell *c = ms_record_number(op, a ? a->cell : NULL, a ? 0 : lua_tonumber(L, 1), b ? b->cell : NULL, b ? 0 : lua_tonumber(L, 2));
  if (c) msl_push_live(L, c, whole);
  ms_cell_release(c);
  msl_leave(L, mark);
  return 1;
}

static int live_refuse(lua_State *L) { /* upvalue: what was tried */
  return msl_raise(L, ms_scope_open(),
                   "%s a number handed to a compiled step: the step would not look again. Compute with it only, hand the decision "
                   "in as a text or "
                   "boolean, or decide outside",
                   lua_tostring(L, lua_upvalueindex(1)));
}

void msl_open_live(lua_State *L) {
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
  static const char *const refused[][2] = {{"__lt", "comparing"},
                                           {"__le", "comparing"},
                                           {"__eq", "comparing"},
                                           {"__tostring", "printing"},
                                           {"__concat", "printing"},
                                           {"__index", "looking into"},
                                           {"__mod", "taking a remainder of"},
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
