/* debugger.h -- the prompt inside a script: where Ctrl-C stopped it, or where an error ended it. */
#ifndef MASCON_DEBUGGER_H
#define MASCON_DEBUGGER_H
#include <lua.h>
#include <stdbool.h>

/* The next ms_call runs a script: in it Ctrl-C and an uncaught error open the prompt. */
void ms_debug_next(void);
/* ms_call begins and ends: does it run such a script? */
bool ms_debug_begin(void);
void ms_debug_end(void);

/* From a message handler, with the report of an uncaught error on top of the stack: print it and open the prompt at the frame that
 * failed. false: this call is none of those, or the script is being left already; nothing was printed. */
bool ms_debug_error(lua_State *L);

/* The script was left from the prompt inside (`quit`). */
bool ms_debug_left(void);

#endif
