/* mascon.c -- luaopen_mascon: the module table `ms`. The C part is filled in here; the Lua part comes in on first use (embed.h). */
#include "bind.h"
#include "embed.h"
#include "interrupt.h"

void msl_open_gc(lua_State *L);

__attribute__((visibility("default"))) int luaopen_mascon(lua_State *L) {
  if (ms_threads_check() < 0) {
    lua_pushstring(L, ms_error());
    ms_error_clear();
    return luaL_error(L, "%s", lua_tostring(L, -1));
  }
  lua_newtable(L);
  lua_pushstring(L, MS_VERSION);
  lua_setfield(L, -2, "version");
  msl_open_gc(L);
  msl_open_coroutine(L);
  msl_open_protect(L);
  lua_newtable(L); /* methods of tensors */
  msl_open_shape(L);
  msl_open_tensor(L);
  msl_open_ops(L);
  msl_open_grad(L);
  msl_open_data(L);
  msl_open_ml(L);
  msl_open_compile(L);
  lua_setfield(L, -2, "methods"); /* ms.methods: scripts may add their own */
  ms_lua_library(L);
  return 1;
}
