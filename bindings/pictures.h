/* pictures.h -- pictures out of tensors, for files.c (TensorBoard shows pictures too). */
#ifndef MS_PICTURES_H
#define MS_PICTURES_H
#include "host.h"

/* A picture or a grid of pictures from the tensor (or list of tensors) at index i with the options at `options` (0: none), as an
 * ms_image that the pushed userdata owns. Fails by raising; closes the scope `mark` then. */
msl_owned *msl_picture(lua_State *L, int mark, int i, int options, const char *what);

#endif
