/* aside.h -- what commands must not touch while a script stands still (debugger.c), for files that know Lua's calls and not the
 * core. */
#ifndef MASCON_ASIDE_H
#define MASCON_ASIDE_H
#include <lua.h>

typedef struct ms_aside {
  void *record, *scopes;
  const char *kernel;
  int mark;
} ms_aside;

/* A recording under way, the scopes that are open, what the core is busy with: aside, and back. L runs afterwards. */
void ms_put_aside(ms_aside *a);
void ms_take_back(const ms_aside *a, lua_State *L);

/* A recording under way cannot be trusted: the script stops inside it. */
void ms_stopped_inside(void);

/* From now on tensors know the line that made them (%mem). */
void msl_track(void);

#endif
