/* sandbox.h -- mascon --sandbox: walls around a script that somebody else wrote. */
#ifndef MASCON_SANDBOX_H
#define MASCON_SANDBOX_H
#include <lua.h>
#include <stdbool.h>

/* What the command line says of it. memory: bytes; seconds: by the wall clock. */
typedef struct ms_sandbox {
  bool on;
  long long memory;
  double seconds;
} ms_sandbox;

enum { MS_EXIT_TIME = 124 }; /* of a script whose time is over, as timeout(1) has it */

/* Read SIZE ("4G", "512M", "1000000") and SECONDS; false: not such a thing. */
bool ms_sandbox_memory(ms_sandbox *s, const char *size);
bool ms_sandbox_seconds(ms_sandbox *s, const char *seconds);

/* Build the walls, for the rest of the process's life; argv[first..argc-1] are the script's own arguments, in which --data names
 * folders that may be read and --out one that may be written (made, if missing). False after a message on standard error: then the
 * script must not run. A second call does nothing. To be called when the script is compiled and no thread of ours has started.
 *
 * The walls are the kernel's, so that they hold for whatever in the library a script finds a way to: Landlock (files), seccomp
 * (processes, sockets, signals to others), limits (memory, time). Debian 12's kernel has them. Inside Lua only what loads machine
 * code, and what can break the state from within (debug's setters), is taken away. */
bool ms_sandbox_enter(lua_State *L, const ms_sandbox *s, int argc, char **argv, int first);

#endif
