/* packed.h -- a file that is written whole or not at all (ms_writer), gzipped when its name ends in ".gz". */
#ifndef MASCON_PACKED_H
#define MASCON_PACKED_H
#include "mascon.h"

typedef struct ms_packer ms_packer;
ms_packer *ms_packer_open(const char *path); /* NULL after ms_fail */
int ms_packer_write(ms_packer *p, const void *data, size_t n);
int ms_packer_commit(ms_packer *p); /* frees p either way; NULL gives -1 */
void ms_packer_abort(ms_packer *p); /* NULL is fine */

#endif
