/* prompt.h -- the prompt: reads, runs, prints, until exit, quit or the end of input. */
#ifndef MASCON_PROMPT_H
#define MASCON_PROMPT_H
#include <lua.h>
#include <stdbool.h>

/* Run the prompt on standard input; returns the code to exit with (0). With a terminal: line editing, history kept in
 * $XDG_STATE_HOME/mascon/history (or ~/.local/state/mascon/history), Tab completes. A dumb terminal: the same without editing.
 * No terminal: neither prompts nor history, values are printed. */
int ms_prompt(lua_State *L);

/* The prompt inside a script that stands still (debugger.c); L is a thread beside it. goes: the script can go on. Answers whether
 * it is to: `continue` or the end of input; `quit` and `exit` are false. */
bool ms_prompt_inside(lua_State *L, bool goes);

#endif
