/* call.h -- running Lua under protection: tracebacks that show the script, Ctrl-C, and what goes to stderr at the end. */
#ifndef MASCON_CALL_H
#define MASCON_CALL_H
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Exit codes of the program. An error object (table) with an integer field exit_code chooses its own; field plain = true means
 * that tostring(object) says all there is to say and no traceback follows. MS_EXIT_LOST_GPU is such a code, of the bindings. */
enum { MS_EXIT_ERROR = 1, MS_EXIT_USAGE = 2, MS_EXIT_LOST_GPU = 75, MS_EXIT_INTERRUPTED = 130 };

/* As lua_pcall, with a message handler that turns an error into the whole report (message, script line, traceback) and with SIGINT
 * caught: it raises "interrupted" (interrupt.h). */
int ms_call(lua_State *L, int nargs, int nresults);

/* Print the error on top of the stack to stderr ("mascon: ..."; exit code 0: to stdout as it is), pop it, return the exit code. */
int ms_report(lua_State *L, int status);

/* "mascon: " and the text of a report, to stderr: nothing in it acts on the terminal. */
void ms_put_report(const char *text, size_t n);

/* Add to the message of a chunk that did not compile (a string on top, "NAME:LINE: ...") the line itself, from the file at path. */
void ms_syntax_error(lua_State *L, const char *path);

/* Let the main chunk `f` (index) leave its local variables as globals when it returns or fails: `mascon -i`. Holds for the next
 * ms_call only. */
void ms_keep_locals(lua_State *L, int f);

#endif
