/* host.h -- what bindings need that carry data between files, plain memory and tensors (data.c, files.c, pictures.c, ml.c). */
#ifndef MS_HOST_H
#define MS_HOST_H
#include "bind.h"

/* A file, a picture or a block of memory that must be freed even when Lua raises meanwhile: it belongs to a userdata. msl_own
 * pushes the userdata, still empty; the caller puts the thing into p. msl_owned_free frees the thing early, and may be called
 * twice; otherwise <close> or the collector does. */
typedef struct msl_owned {
  void *p;
  void (*free)(void *);
} msl_owned;
msl_owned *msl_own(lua_State *L, void (*free)(void *));
void msl_owned_free(msl_owned *g);

/* The string at index i, without '\0' inside; raises "WHAT: expected WANTED, got ..." otherwise. */
const char *msl_string(lua_State *L, int i, const char *what, const char *wanted);
/* The option max_bytes at index i, how much memory reading a file may take; 0 when it is nil: as the file's size allows. */
uint64_t msl_max_bytes(lua_State *L, int i, const char *what);
/* t without graph, contiguous, in host memory; NULL in or after ms_fail. */
ms_tensor *msl_on_host(ms_tensor *t);

#endif
