/* prompt.h -- the prompt: reads, runs, prints, until exit, quit or the end of input. */
#ifndef MASCON_PROMPT_H
#define MASCON_PROMPT_H
#include <lua.h>

/* Run the prompt on standard input; returns the code to exit with (0). With a terminal: line editing, history kept in
 * $XDG_STATE_HOME/mascon/history (or ~/.local/state/mascon/history), Tab completes. A dumb terminal: the same without editing.
 * No terminal: neither prompts nor history, values are printed. */
int ms_prompt(lua_State *L);

#endif
