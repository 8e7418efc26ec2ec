/* mat_inside.h -- what the files of the reader of MATLAB's files share (mat.c, mat_contents.c, mat_values.c). */
#ifndef MASCON_MAT_INSIDE_H
#define MASCON_MAT_INSIDE_H
#include "data/mat.h"
#include "data/mat73.h"
#include "io/source.h"

/* ---- values (mat_values.c) ----------------------------------------------------------------------------------------- */

enum { MS_MAT_HEAD = 128, MS_MAT_CLASSES = 18 };
const char *ms_mat_problem(const uint8_t *head); /* why ms_mat_is refuses it */
typedef struct ms_mat_class {
  const char *name, *why_not;
  ms_mat_kind kind;
  ms_dtype dtype;
  int64_t lo; /* what it holds, where that is whole numbers */
  uint64_t hi;
} ms_mat_class;
extern const ms_mat_class ms_mat_classes[MS_MAT_CLASSES]; /* by their number in the format, from 1 on */

/* Storage types of the format that hold numbers: bytes of one (0: not a number's), and is it floating, signed? */
typedef struct ms_mat_storage {
  int size;
  bool real, sign;
} ms_mat_storage;
extern const ms_mat_storage ms_mat_storages[19];
/* n elements as the file has them (swap: the other order of bytes) to out[0], out[stride], ... of dtype; whole numbers must lie in
 * lo..hi. Gives n, or the place (from 0) of the first that does not fit; *bad is its value then. */
int64_t ms_mat_spread(void *out, int64_t stride, ms_dtype dtype, int64_t lo, uint64_t hi, const uint8_t *in, int64_t n, int type,
                      bool swap, double *bad);
/* `size` bytes of characters of a storage type to exactly n units of UTF-16: 0, or -1 where they are none or not so many. */
int ms_mat_units(uint16_t *out, int64_t n, const uint8_t *in, size_t size, int type, bool swap);
/* rows x columns units, column after column, to text. NULL: no memory; lone halves of pairs become U+FFFD. */
ms_mat_rows *ms_mat_rows_of(const uint16_t *units, int64_t rows, int64_t columns);

/* ---- the file that is read ------------------------------------------------------------------------------------------ */

enum {
  HEAD = MS_MAT_HEAD,
  PIECE = 1 << 14,
  DEEPEST = 16,
  NAME = 256,
  NODE = 512 /* bytes that a value takes besides its numbers */
};
/* Programs other than MATLAB write sizes as UINT32 and names as UTF8, too. */
enum { INT8 = 1, INT32 = 5, UINT32 = 6, MATRIX = 14, COMPRESSED = 15, UTF8_TEXT = 16 };

typedef struct level {
  uint64_t left;           /* bytes of the matrix */
  int64_t children, taken; /* of cells and structures: how many there are, how many were given */
  int fields, width;       /* of structures: names of `width` bytes each */
  char *names;
} level;

struct ms_mat {
  ms_source s;
  uint64_t bytes;       /* of the file itself */
  pid_t child;          /* version 7.3: the process that makes version 5 of it, or 0; s reads its pipe then, */
  int file;             /* and this is the file, else -1 */
  int64_t index;        /* the variable's number */
  uint64_t at;          /* the next byte of the file */
  uint64_t begin, end;  /* of the variable's element, behind its tag; `end` may lie behind the end of the file: it is cut off */
  bool swap, partial;   /* swap: the bytes of numbers lie in the other order than the machine's */
  bool deflated, ended; /* the variable is compressed; its stream has ended */
  z_stream z;           /* in use while deflated */
  uint64_t spent, max_bytes;
  int depth;          /* level[depth] is where values are read; the pending one, if any, has its own level above */
  bool pending, done; /* a value was given and its contents not yet looked at; the file ends here */
  level level[DEEPEST + 2];
  ms_mat_var var;
  int64_t lo; /* what the class holds, if that is whole numbers */
  uint64_t hi;
  int64_t first; /* of the last dimension: how many are wanted */
  char name[NAME], header[117];
};

static inline uint64_t ms_mat_size(const ms_mat *f) { return f->s.size; }

typedef struct tag {
  uint32_t type, bytes;
  bool small; /* the bytes lie in the tag itself */
  uint8_t held[4];
} tag;

/* The variable at hand, for messages, also for what lies within it. damaged and cut_off fail, and give -1. */
const char *ms_mat_shown(ms_mat *f);
int ms_mat_damaged(ms_mat *f, const char *why);
int ms_mat_cut_off(ms_mat *f);
/* Each 0, or -1 after ms_fail. Exactly n bytes of the innermost matrix; out NULL drops them. */
int ms_mat_take(ms_mat *f, void *out, uint64_t n);
int ms_mat_read_tag(ms_mat *f, tag *t);
int ms_mat_padding(ms_mat *f, const tag *t);
/* The whole of an element of at most `most` bytes, with its padding. */
int ms_mat_read_bytes(ms_mat *f, const tag *t, void *out, uint64_t most, const char *what);
/* Will so many more bytes of memory do? */
int ms_mat_charge(ms_mat *f, uint64_t bytes);
/* A variable of which all was read: so must have been all of its bytes. */
int ms_mat_check_end(ms_mat *f);

#endif
