/* protect.h -- around a protected call: what an error that jumped past bindings left in the core is given up. */
#ifndef MASCON_PROTECT_H
#define MASCON_PROTECT_H
#include <lua.h>

/* mark = msl_guard_begin() before the call; msl_guard_end(mark) after one that failed. */
int msl_guard_begin(void);
void msl_guard_end(int mark);
void msl_open_protect(lua_State *L);

#endif
