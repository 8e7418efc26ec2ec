/* format.h -- what a format of files is: one file in this folder with an ms_format, and one line in the table of format.c. ms.load
 * asks the table, by what a file begins with and not by its name.
 *
 * Every function that fails has called ms_fail() with a message that begins with the file's name, and returns NULL or -1. Nothing
 * that a file declares about itself is believed before it is compared with what is really there; ms_allow_bytes (io/source.h) is
 * asked before memory is spent.
 */
#ifndef MASCON_FORMAT_H
#define MASCON_FORMAT_H
#include "io/io.h"
#include "io/source.h"
#include "mascon.h"

/* One array of a file, or one list of texts. */
typedef struct ms_content {
  char *name; /* malloc'd; NULL: the file is this one array, which has no name */
  ms_dtype dtype;
  int rank;
  int64_t shape[MS_MAX_RANK];
  bool
      reversed; /* the elements lie as those of an array of the reversed shape: the first position runs fastest (Fortran, MATLAB) */
  bool texts;   /* rank 1: shape[0] texts instead of numbers */
  char *problem;  /* malloc'd: why this one cannot be read, though others can; else NULL */
  uint64_t at;    /* not 0: the elements lie there in the file just as they will in memory, so that they can be mapped */
  uint64_t place; /* the format's own: where to find it */
} ms_content;

typedef struct ms_format ms_format;

/* A file whose format is known. `open` fills in the items, with malloc'd memory that ms_file_close frees. */
typedef struct ms_file {
  const char *name;    /* for messages: the path */
  bool in_memory;      /* `bytes` is the file, */
  const void *bytes;   /* else it is at the path `name` */
  size_t size;         /* of bytes */
  uint64_t max_bytes;  /* the user's option, or 0 */
  const void *options; /* the format's own, or NULL: its defaults */
  const ms_format *format;
  int n, n_metadata;
  ms_content *items;
  ms_st_pair *metadata; /* keys and values malloc'd */
  char **columns;       /* names of the columns of a table, in order; malloc'd, or NULL */
  int n_columns;
  bool numbered; /* those and the names of items are places from 1 on, as there is no line of names */
  void *private; /* the format's own */
} ms_file;

struct ms_format {
  const char *name; /* one word */
  const char *what; /* as the list in messages has it */
  bool gzipped;     /* may be gzipped as a whole; ms_file_source unpacks it then */
  /* Do these look like the first n bytes (unpacked, at most MS_FILE_HEAD) of such a file, which has `size` bytes as it is? */
  bool (*is)(const uint8_t *head, size_t n, uint64_t size);
  int (*open)(ms_file *f); /* 0, or -1 after ms_fail; close is called in any case */
  int (*read)(ms_file *f, int k,
              void *out);    /* item k to out: elements in the file's order; of texts their addresses, good until close */
  void (*close)(ms_file *f); /* what `private` holds; NULL: nothing. Also after a failed open */
};
enum { MS_FILE_HEAD = 4096 };

/* Rows: what the table in format.c lists. */
extern const ms_format ms_format_safetensors, ms_format_npy, ms_format_npz, ms_format_idx, ms_format_png, ms_format_jpeg,
    ms_format_mat;

/* Open a plain file, or bytes in memory that live until close, in whichever format it is; or in one that is named. NULL after
 * ms_fail, which lists the formats where it is none of them. The path or name must live until close. */
ms_file *ms_file_open(const char *path, uint64_t max_bytes);
ms_file *ms_file_open_as(const ms_format *format, const char *path, uint64_t max_bytes, const void *options);
ms_file *ms_file_parse(const void *bytes, size_t size, const char *name, uint64_t max_bytes);
ms_file *ms_file_parse_as(const ms_format *format, const void *bytes, size_t size, const char *name, uint64_t max_bytes,
                          const void *options);
void ms_file_close(ms_file *f); /* NULL is fine */
/* Item k to out, which has room for it. -1 also where it has a problem. */
int ms_file_read(ms_file *f, int k, void *out);
int64_t ms_content_count(const ms_content *it); /* elements */

/* For formats: a source of the file's bytes (unpacked, where the format allows gzip); one more item, all zero but for the name, a
 * copy (NULL: none); the rule of memory for all items together, with `beside` bytes that reading takes. */
int ms_file_source(const ms_file *f, ms_source *s);
ms_content *ms_file_add(ms_file *f, const char *name);
int ms_file_allow(const ms_file *f, uint64_t size, uint64_t beside);
/* Elements of a shape, every size at least 0; -1 (and no message) when they are more than can be counted, even beside a size of 0.
 */
int64_t ms_shape_count(int rank, const int64_t *shape);
/* malloc'd text, printf style; NULL where memory lacks. */
char *ms_text(const char *fmt, ...) MS_PRINTF(1, 2);

#endif
