/* composed.c -- functions of tensors that are written in Lua (scripts/mascon/tensors): they stand in
 * `ms` and among the methods like rows do, and their module is loaded when the first of them is called. */
#include "bind.h"
#include "embed.h"

static const struct {
  const char *module;
  struct {
    const char *name;
    bool method; /* its first argument is a tensor */
  } of[24];
} modules[] = {
    {"tensors.lists",
     {{"split", true},
      {"chunk", true},
      {"tensor_split", true},
      {"hsplit", true},
      {"vsplit", true},
      {"dsplit", true},
      {"unbind", true},
      {"combinations", true},
      {"full_like", true},
      {"empty_like", true},
      {"rand_like", true},
      {"randn_like", true},
      {"randint_like", true},
      {"type_as", true},
      {"broadcast_tensors", false},
      {"meshgrid", false},
      {"cartesian_prod", false},
      {"logspace", false},
      {"empty", false}}},
    {"tensors.contract", {{"einsum", false}, {"tensordot", true}, {"chain_matmul", false}, {"multi_dot", false}}},
    {"tensors.compare", {{"isclose", true}, {"allclose", true}, {"equal", true}, {"assert_close", false}}},
};

static int call_composed(lua_State *L) { /* upvalues: module, name */
  ms_lua_require(L, lua_tostring(L, lua_upvalueindex(1)));
  lua_getfield(L, -1, lua_tostring(L, lua_upvalueindex(2)));
  lua_remove(L, -2);
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

void msl_open_composed(lua_State *L) { /* stack: module, methods */
  for (size_t m = 0; m < sizeof modules / sizeof *modules; m++)
    for (int k = 0; modules[m].of[k].name; k++) {
      const char *name = modules[m].of[k].name;
      lua_pushstring(L, modules[m].module);
      lua_pushstring(L, name);
      lua_pushcclosure(L, call_composed, 2);
      if (modules[m].of[k].method) lua_pushvalue(L, -1), lua_setfield(L, -3, name);
      lua_setfield(L, -3, name);
    }
}
