/* protect.h -- cleaning up in the core after an error that left bindings in the middle. */
#ifndef MASCON_PROTECT_H
#define MASCON_PROTECT_H
#include <lua.h>

/* mark = msl_protect_begin() before the call; msl_protect_failed(mark) after one that failed: it closes the scopes that the call
 * left open, and forgets its message. */
int msl_protect_begin(void);
void msl_protect_failed(int mark);
void msl_open_protect(lua_State *L);

#endif
