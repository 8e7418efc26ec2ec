/* formats.h -- what is in a file, as Lua values (formats.c). */
#ifndef MS_FORMATS_H
#define MS_FORMATS_H
#include "data/format.h"
#include "host.h"

/* Push three values. A file whose first item has no name (npy, a picture, CSV): its tensor, a table of the others by name, the
 * names of its columns. Others: a table of all by name (those that the option `names` at stack index `wanted` chooses; 0: all), a
 * table of the metadata, a list of the names. -1 after ms_fail; the stack may then have anything above what was there. */
int msl_push_file(lua_State *L, ms_file *f, ms_device *device, bool map, int wanted);

#endif
