/* explain.h -- words behind Lua's own messages: explain.c. */
#ifndef MASCON_EXPLAIN_H
#define MASCON_EXPLAIN_H
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* To the parser's message on top of the stack, about this source. whole: nothing can follow, so that an end that comes too early is
 * a mistake, too. */
void ms_explain_syntax(lua_State *L, const char *source, size_t n, bool whole);
void ms_explain_file(lua_State *L, const char *path); /* the same, the source being that of a file; NULL: nothing is done */
/* To the machine's message, or a whole report that begins with it, on top of the stack. */
void ms_explain_error(lua_State *L);

#endif
