/* npy.h -- one NumPy array in a stream: a .npy file, or a member of a .npz. (numpy.lib.format: versions 1.0, 2.0 and 3.0.) */
#ifndef MASCON_NPY_H
#define MASCON_NPY_H
#include "data/format.h"
#include "io/stored.h"

enum { MS_NPY_MARK = 6 }; /* bytes of the mark that one begins with */
extern const char ms_npy_mark[MS_NPY_MARK + 1];

typedef struct ms_npy {
  const ms_stored *stored; /* NULL: no dtype of ours holds it, problem says why */
  bool swapped;            /* its bytes are in the other order */
  bool reversed;           /* fortran_order */
  int rank;                /* of what it becomes, with the 2 of complex numbers at its end */
  int64_t shape[MS_MAX_RANK];
  int64_t count;   /* numbers in the file (a complex one is one) */
  uint64_t bytes;  /* they take in the file */
  uint64_t header; /* bytes before them */
  char problem[176];
} ms_npy;

/* Read a header. -1 after ms_fail when it is none; `what` begins messages. */
int ms_npy_begin(ms_source *s, const char *what, ms_npy *h);
/* Put what it becomes into an item; `at`: where the array begins in the file as it is, or 0. */
int ms_npy_item(const ms_npy *h, ms_content *it, uint64_t at);
/* The elements to out, spread to the item's dtype. */
int ms_npy_elements(ms_source *s, const char *what, const ms_npy *h, void *out);

/* The header for an array of a dtype and shape, malloc'd, a multiple of 64 bytes. NULL after ms_fail: npy has no such dtype. */
uint8_t *ms_npy_header(const char *what, ms_dtype dtype, int rank, const int64_t *shape, size_t *n);
/* Write one array, C order, host memory; gzip is not used: numpy would not read it. */
int ms_npy_write(const char *path, const ms_st_entry *e);
/* Write n arrays, numpy.savez. */
int ms_npz_write(const char *path, int n, const ms_st_entry *entries, bool compress);

#endif
