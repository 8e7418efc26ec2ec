/* mapped.h -- a part of a file as memory, read when it is looked at and dropped when memory is short: for data larger than memory.
 */
#ifndef MASCON_MAPPED_H
#define MASCON_MAPPED_H
#include "mascon.h"

typedef struct ms_mapping ms_mapping;
/* `bytes` (at least 1) of a plain file from byte `at` on. Written to, it becomes a copy, page by page: the file stays as it is.
 * Fails when the file is shorter. */
ms_mapping *ms_map(const char *path, uint64_t at, size_t bytes);
void *ms_mapped_data(const ms_mapping *m);
void ms_unmap(void *m);

/* A file that became shorter while it was mapped would end the program at the next look behind its end. Here such pages become
 * zeros, and this fails with the file's name, once: what calls into the library calls it at its end. 0 otherwise. */
int ms_mapped_check(void);

#endif
