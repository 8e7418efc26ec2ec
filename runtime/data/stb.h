/* stb.h -- the two stb libraries behind a fence, for image.c only: image.c checks a file before it comes here. */
#ifndef MASCON_STB_H
#define MASCON_STB_H
#include <stddef.h>
#include <stdint.h>

/* Width, height and channels of a PNG or JPEG; 0 when it is neither. */
int ms_stb_info(const uint8_t *bytes, int size, int *width, int *height, int *channels);
/* Decode, using at most `cap` bytes of memory at a time. *channels: what was wanted (0 = as in the file), then what came. NULL on
 * failure. */
uint8_t *ms_stb_decode(const uint8_t *bytes, int size, int *width, int *height, int *channels, size_t cap);
void ms_stb_free(uint8_t *pixels);
const char *ms_stb_reason(void);

/* PNG bytes, malloc'd; NULL when out of memory. The picture must be small enough for (width * channels + 1) * height to fit an int.
 */
uint8_t *ms_stb_png(const uint8_t *pixels, int width, int height, int channels, int *size);

#endif
