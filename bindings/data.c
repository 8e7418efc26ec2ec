/* data.c -- the data side for Lua: IDX files, batches, pictures. */
#include "bind.h"

void msl_open_data(lua_State *L) { (void)L; }
