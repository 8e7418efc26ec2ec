/* events.c -- Lua's operators on tensors that are no arithmetic: x < y, and those that tensors do not have, which say what to
 * write.
 *
 * Lua turns what __lt and __le give into one boolean, and hands x > y over as y < x. So they serve tensors of one element, whose
 * values are read and compared as Lua compares numbers; of more elements they are errors. */
#include "bind.h"
#include <stdio.h>
#include <string.h>

/* ---- comparisons ------------------------------------------------------------------------------------------------- */

/* The operand at i, a number or a tensor of one element, as a number of Lua's. */
static void to_number(lua_State *L, int i) {
  if (!msl_to(L, i)) return;
  msl_push_item(L, msl_to(L, i)); /* raises inside a compiled step */
  if (lua_isboolean(L, -1)) lua_pushinteger(L, lua_toboolean(L, -1));
  lua_replace(L, i);
}

/* x < y has no one answer: what to write instead, for both ways to write it. */
static int no_one_answer(lua_State *L, bool or_equal) {
  static const char *const sign[] = {"<", ">", "<=", ">="}, *const method[] = {"lt", "gt", "le", "ge"};
  const int less = or_equal ? 2 : 0, more = less + 1;
  const ms_tensor *x = msl_to(L, 1), *y = msl_to(L, 2);
  char number[48];
  if (x && y) {
    char left[200];
    snprintf(left, sizeof left, "%s", ms_shape_str(x));
    return msl_raise(L, ms_scope_open(),
                     "x %s y (or y %s x) of x = %s and y = %s has no one answer; write x:%s(y) (or y:%s(x)), in a condition "
                     "x:%s(y):all():item(); x:item() is the number of a tensor with one element",
                     sign[less], sign[more], left, ms_shape_str(y), method[less], method[more], method[less]);
  }
  lua_pushvalue(L, x ? 2 : 1);
  snprintf(number, sizeof number, "%.40s", lua_tostring(L, -1));
  const int way = x ? less : more; /* 0 < x is x > 0 */
  return msl_raise(L, ms_scope_open(),
                   "x %s %s of x = %s has no one answer; write x:%s(%s), in a condition x:%s(%s):all():item(); x:item() is the "
                   "number of a tensor with one element",
                   sign[way], number, ms_shape_str(x ? x : y), method[way], number, method[way], number);
}

static int compare(lua_State *L) { /* upvalue: LUA_OPLT or LUA_OPLE */
  const int op = (int)lua_tointeger(L, lua_upvalueindex(1));
  bool one = true;
  lua_settop(L, 2);
  for (int i = 1; i <= 2; i++) {
    msl_look(L, i);
    if (lua_type(L, i) != LUA_TNUMBER && lua_type(L, i) != LUA_TUSERDATA)
      return msl_raise(L, ms_scope_open(), "x %s y: expected a tensor of one element or a number, got %s",
                       op == LUA_OPLT ? "<" : "<=", luaL_typename(L, i));
    const ms_tensor *t = lua_type(L, i) == LUA_TNUMBER ? NULL : msl_check(L, i, op == LUA_OPLT ? "<" : "<=");
    if (t && ms_numel(t) != 1) one = false;
  }
  if (!one) return no_one_answer(L, op == LUA_OPLE);
  to_number(L, 1), to_number(L, 2);
  lua_pushboolean(L, lua_compare(L, 1, 2, op));
  return 1;
}

/* ---- what tensors are not ---------------------------------------------------------------------------------------- */

static int tensor_concat(lua_State *L) {
  return msl_raise(L, ms_scope_open(), "a tensor does not join with text: write x:item() for its number, or tostring(x)");
}
static int tensor_pairs(lua_State *L) {
  return msl_raise(L, ms_scope_open(), "pairs: a tensor is no table: for i, row in ipairs(x) do ... end, or x:totable()");
}
static int tensor_bits(lua_State *L) { /* upvalue: what to write */
  return msl_raise(L, ms_scope_open(), "%s", lua_tostring(L, lua_upvalueindex(1)));
}

void msl_open_events(lua_State *L) { /* stack: module, methods */
  static const struct {
    const char *event, *says;
  } bits[] = {{"__band", "x & y of tensors is x:logical_and(y); of the bits of whole numbers ms.bitwise_and(x, y)"},
              {"__bor", "x | y of tensors is x:logical_or(y); of the bits of whole numbers ms.bitwise_or(x, y)"},
              {"__bxor", "x ~ y of tensors is x:logical_xor(y); of the bits of whole numbers ms.bitwise_xor(x, y)"},
              {"__bnot", "~x of a tensor is x:logical_not(); of the bits of whole numbers ms.bitwise_not(x)"},
              {"__shl", "x << n of a tensor is ms.bitwise_left_shift(x, n)"},
              {"__shr", "x >> n of a tensor is ms.bitwise_right_shift(x, n)"}};
  luaL_getmetatable(L, "mascon.tensor");
  for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
    lua_pushstring(L, bits[i].says);
    lua_pushcclosure(L, tensor_bits, 1);
    lua_setfield(L, -2, bits[i].event);
  }
  lua_pushinteger(L, LUA_OPLT);
  lua_pushcclosure(L, compare, 1);
  lua_setfield(L, -2, "__lt");
  lua_pushinteger(L, LUA_OPLE);
  lua_pushcclosure(L, compare, 1);
  lua_setfield(L, -2, "__le");
  lua_pushcfunction(L, tensor_concat);
  lua_setfield(L, -2, "__concat");
  lua_pushcfunction(L, tensor_pairs);
  lua_setfield(L, -2, "__pairs");
  lua_pop(L, 1);
}
