/* folder.h -- many picture files, decoded by threads ahead of who wants them. */
#ifndef MASCON_FOLDER_H
#define MASCON_FOLDER_H
#include "data/resize.h"

/* The size of a PNG or JPEG; and one as planes, fit->channels x height x width bytes. -1 after ms_fail, which names the file. */
int ms_picture_size(const char *path, int channels, int *height, int *width);
int ms_picture_planes(const char *path, const ms_fit *fit, uint8_t *out);

/* n pictures, in order, of the paths, which live as long. Up to `room` of them are decoded before they are asked for. Threads of
 * its own do it, as many as ms_threads() says; they end with it. */
typedef struct ms_ahead ms_ahead;
ms_ahead *ms_ahead_new(int64_t n, const char *const *paths, const ms_fit *fit, int64_t room);
/* The next `count` to out, one after the other. -1 after ms_fail: a file that cannot be read (its name is in the message), Ctrl-C,
 * or fewer than that are left. */
int ms_ahead_next(ms_ahead *a, int64_t count, uint8_t *out);
void ms_ahead_free(ms_ahead *a); /* NULL is fine; waits for pictures under way */

#endif
