/* files.h -- what the bindings of data, pictures and files share. */
#ifndef MS_FILES_H
#define MS_FILES_H
#include "bind.h"

/* Something of the core that must be freed even when Lua raises between its making and its end: a userdata, pushed empty, whose p
 * is set by the call that makes the thing. msl_drop frees it early (harmless twice); else the collector, or <close>, does. */
typedef struct msl_guard {
  void *p;
  void (*free)(void *);
} msl_guard;
msl_guard *msl_guard_push(lua_State *L, void (*free)(void *));
void msl_drop(msl_guard *g);

/* The string at index i, without '\0' inside; raises "WHAT: expected WANTED, got ..." otherwise. */
const char *msl_string(lua_State *L, int i, const char *what, const char *wanted);
/* The option max_bytes at index i, how much memory reading a file may take; 0 when it is nil: as the file's size allows. */
uint64_t msl_max_bytes(lua_State *L, int i, const char *what);
/* t without graph, contiguous, in host memory; NULL in or after ms_fail. */
ms_tensor *msl_on_host(ms_tensor *t);

/* A picture or a grid of pictures from the tensor (or list of tensors) at index i with the options at `options` (0: none), as PNG
 * bytes would want it: the guard it pushes holds an ms_image. Fails by raising; closes the scope `mark` then. */
msl_guard *msl_picture(lua_State *L, int mark, int i, int options, const char *what);

void msl_open_pictures(lua_State *L); /* stack: module, methods */
void msl_open_files(lua_State *L);    /* the same */

#endif
