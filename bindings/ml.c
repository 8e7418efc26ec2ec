/* ml.c -- classical learning for Lua. */
#include "bind.h"

void msl_open_ml(lua_State *L) { (void)L; }
