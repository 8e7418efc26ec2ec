/* data.h -- data sets in plain host memory: IDX files, pictures, shuffled batches. No tensors; the bindings wrap these.
 *
 * Every function here that fails has called ms_fail() with a message that names the file, and returns NULL or -1.
 */
#ifndef MASCON_DATA_H
#define MASCON_DATA_H
#include "mascon.h"

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

/* What a file held: C order, the machine's byte order, malloc'd. */
typedef struct ms_array {
  ms_dtype dtype;
  int rank;
  int64_t shape[MS_MAX_RANK];
  int64_t count; /* elements */
  void *data;    /* count x ms_dtype_size(dtype) bytes; never NULL */
} ms_array;
void ms_array_free(ms_array *a); /* NULL is fine */

/* ---- IDX (idx.c): the format of MNIST ---------------------------------------------------------------------------- */

/* Element types of the format. i8 and i16 come as MS_I32, the others as the dtype of their name. */
enum { MS_IDX_U8 = 0x08, MS_IDX_I8 = 0x09, MS_IDX_I16 = 0x0B, MS_IDX_I32 = 0x0C, MS_IDX_F32 = 0x0D, MS_IDX_F64 = 0x0E };

/* A file whose header was read and believed as far as that goes: what it holds (`data` is NULL), before memory is spent on it. */
typedef struct ms_idx {
  ms_array what;
  struct ms_idx_private *private;
} ms_idx;
/* Open a plain file, gzipped or not (told by its first bytes). It fails when the elements would take more than the rule of
 * ms_allow_bytes (io/source.h) allows. `path` must live until close. */
ms_idx *ms_idx_open(const char *path, uint64_t max_bytes);
/* Once: all elements to out, what.count of what.dtype. The file must hold what its header declares: not a byte less, not one more.
 * Needs next to no memory of its own. */
int ms_idx_elements(ms_idx *f, void *out);
void ms_idx_close(ms_idx *f); /* NULL is fine */

/* Open, read and close in one. */
ms_array *ms_idx_read(const char *path);
/* The same from memory; `name` is for messages. */
ms_array *ms_idx_parse(const void *bytes, size_t size, const char *name);
/* Write an array, gzipped when the name ends in ".gz", whole or not at all. type: one of MS_IDX_*, or 0 for the one of the dtype;
 * an i32 array may also be written as i8 or i16, if its values fit. */
int ms_idx_write(const char *path, const ms_array *a, int type);

/* ---- pictures (image.c, png.c, jpeg.c, grid.c) ----------------------------------------------------------------------------------
 */

#define MS_IMAGE_MAX_SIDE   16384
#define MS_IMAGE_MAX_PIXELS (1 << 26)

/* height x width x channels bytes, rows from the top, no gaps. channels: 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA. */
typedef struct ms_image {
  int width, height, channels;
  uint8_t *pixels;
} ms_image;
ms_image *ms_image_new(int width, int height, int channels); /* black; fails beyond the limits above */
void ms_image_free(ms_image *im);                            /* NULL is fine */

/* A PNG or JPEG of which the pixels were not read yet: what they will be, before memory is spent on them. 16 bits a channel become
 * 8, fewer are spread over 0..255; a palette becomes its colours. channels 0 = as in the file, else converted to that many. Fails
 * when reading would take more memory than the rule of ms_allow_bytes (io/source.h) allows. The name (or path) must live until
 * close. */
typedef struct ms_picture {
  int width, height, channels;
  struct ms_picture_private *private;
} ms_picture;
ms_picture *ms_picture_open(const char *path, int channels, uint64_t max_bytes);
ms_picture *ms_picture_parse(const void *bytes, size_t size, int channels, uint64_t max_bytes, const char *name);
/* Once: channel c of the pixel (x, y) goes to out[y * row + x * pixel + c * plane]. After a failure some are written. */
int ms_picture_pixels(ms_picture *p, uint8_t *out, size_t row, size_t pixel, size_t plane);
void ms_picture_close(ms_picture *p); /* NULL is fine */

/* Open, read and close in one. */
ms_image *ms_image_decode(const void *bytes, size_t size, int channels, const char *name);
ms_image *ms_image_read(const char *path, int channels);
/* malloc'd PNG bytes. */
void *ms_png_encode(const ms_image *im, size_t *size);
int ms_png_write(const char *path, const ms_image *im);

typedef struct ms_grid {
  int columns;           /* 0 = the least square that holds them all */
  int padding;           /* pixels around and between the pictures, not zoomed */
  int zoom;              /* 0 = 1; each pixel becomes zoom x zoom */
  uint8_t background[3]; /* RGB; a grey grid takes the first */
} ms_grid;
/* n pictures, planar (n x channels x height x width, channels 1 or 3), MS_U8 or MS_F32 (0 black, 1 white, clamped; NaN is black),
 * in rows of `columns` from the top left. */
ms_image *ms_image_grid(const void *data, ms_dtype dtype, int64_t n, int channels, int height, int width, const ms_grid *opt);

/* ---- batches (loader.c) ------------------------------------------------------------------------------------------ */

/* Row numbers in index arrays count from `base` (0, or MS_INDEX_BASE when they are the values of an index tensor). */

/* out[0..n-1] = a permutation of base .. base+n-1, every one equally likely (Fisher-Yates on rng's draws). */
void ms_permutation(int64_t n, ms_rng *rng, int64_t base, int64_t *out);

/* out[i] = row index[i] of src, for i < count; rows of `row` elements; src has `rows` rows. All fail, before anything is written,
 * on the first index outside base .. base+rows-1. Big batches are shared among ms_threads() threads. */
int ms_gather_rows(void *out, const void *src, size_t row_bytes, int64_t rows, const int64_t *index, int64_t count, int64_t base);
/* The same to f32 as x * scale + shift. src MS_U8 or MS_F32. Plane p of each row (row = planes x rest) takes scale[p] and shift[p];
 * NULL is 1 and 0. */
int ms_gather_f32(float *out, const void *src, ms_dtype dtype, int64_t row, int64_t rows, const int64_t *index, int64_t count,
                  int64_t base, int planes, const float *scale, const float *shift);
int ms_gather_i64(int64_t *out, const int64_t *src, int64_t rows, const int64_t *index, int64_t count, int64_t base);

/* One walk over n samples in batches. */
typedef struct ms_batches {
  int64_t n, batch, base, at;
  bool shuffle, drop_last;
  int64_t *order, *subset; /* n row numbers each; subset NULL = all rows */
} ms_batches;
/* subset NULL: the rows base .. base+n-1; else n row numbers, copied. */
ms_batches *ms_batches_new(int64_t n, const int64_t *subset, int64_t batch, bool shuffle, bool drop_last, int64_t base);
void ms_batches_free(ms_batches *b);
int64_t ms_batches_count(const ms_batches *b); /* batches in one walk */
/* Begin a walk; with shuffle in a new order, drawn from rng. */
void ms_batches_start(ms_batches *b, ms_rng *rng);
/* The row numbers of the next batch and how many; NULL at the end. */
const int64_t *ms_batches_next(ms_batches *b, int64_t *count);

#endif
