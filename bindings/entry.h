/* entry.h -- what is typed at the prompt: numbered pieces of Lua, or commands that begin with %. */
#ifndef MASCON_ENTRY_H
#define MASCON_ENTRY_H
#include <lua.h>
#include <stdbool.h>

/* The text on top of the stack: ENTRY_RUN: what runs it was pushed, to be called with nothing; ENTRY_MORE: it ends too early,
 * nothing was pushed; ENTRY_BAD: a message was pushed. */
typedef enum { ENTRY_RUN, ENTRY_MORE, ENTRY_BAD } ms_entry_kind;
ms_entry_kind ms_entry_compile(lua_State *L);

/* Run what ms_entry_compile pushed, print what it gives, tell errors. */
void ms_entry_run(lua_State *L);

/* Entries run in the environment on top of L's stack, which is popped; NULL: as globals again. */
void ms_entry_environment(lua_State *L);

#endif
