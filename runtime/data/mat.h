/* mat.h -- MATLAB's files (.mat of version 5, which MATLAB 5 to 7.2 wrote and later ones write unless told otherwise), read value
 * by value as they come in the file. Plain memory, no tensors.
 *
 *     ms_mat *f = ms_mat_open(path, 0, false);
 *     ms_mat_var v;
 *     while (ms_mat_next(f, &v) == 1)           the variables of the file
 *       if (v.kind == MS_MAT_NUMBERS) ... ms_mat_numbers(f, out, strides);
 *     ms_mat_close(f);
 *
 * What is not asked for is skipped: a variable by its size in the file, without being inflated. Numbers go from the file, through a
 * piece of a few KB, to where they shall lie, and there is no second copy of them in memory. Nothing that the file says of itself
 * is believed: all values together may take what ms_allow_bytes (io/source.h) allows for a file of this size.
 *
 * Files of version 7.3 (HDF5) are made such ones by a child process (mat73.h); cells and structures of theirs are MS_MAT_OTHER.
 *
 * Why not libmatio: it would read in this process with all its faults (it has had its share), makes whole variables in column
 * order, and the format takes no more than the pages of mat.c. Every function that fails has called ms_fail() and returns NULL or
 * -1.
 */
#ifndef MASCON_MAT_H
#define MASCON_MAT_H
#include "mascon.h"

typedef enum ms_mat_kind {
  MS_MAT_NUMBERS, /* ms_mat_numbers reads them */
  MS_MAT_TEXT,    /* ms_mat_text */
  MS_MAT_CELLS,   /* ms_mat_enter; then ms_mat_next gives the values, column after column */
  MS_MAT_STRUCT,  /* ms_mat_enter; then ms_mat_next gives the fields of the first structure, of the second, ... */
  MS_MAT_OTHER    /* sparse matrices, objects, functions: nothing reads them */
} ms_mat_kind;

typedef struct ms_mat_var {
  const char *name; /* of the variable or the field, "" in cells; good until the next call of ms_mat_next */
  ms_mat_kind kind;
  const char *class; /* MATLAB's word: double, uint8, logical, char, cell, ... */
  /* double f64; single f32; uint8 u8; int8, int16, uint16, int32 i32; uint32, int64, uint64 i64; logical bool. */
  ms_dtype dtype;
  bool complex; /* then `shape` has one more dimension of 2 at its end, and `count` counts both parts */
  int rank;     /* 2 or more */
  int64_t shape[MS_MAX_RANK], count;
  int fields;          /* of a structure */
  int64_t declared;    /* the last dimension (of MATLAB's) as the file says; more than it really is where the file is cut off */
  const char *why_not; /* kind MS_MAT_OTHER: why it cannot be read */
} ms_mat_var;

typedef struct ms_mat ms_mat;

/* Is this the beginning of such a file? n >= 128 for a yes. */
bool ms_mat_is(const void *bytes, size_t n);
/* partial: where the file is cut off, numbers are given as far as there are whole slices of their last dimension, and nothing
 * behind them; otherwise that is an error. `path` (or `name`) must live until close, as must the bytes. */
ms_mat *ms_mat_open(const char *path, uint64_t max_bytes, bool partial);
ms_mat *ms_mat_parse(const void *bytes, size_t size, const char *name, uint64_t max_bytes, bool partial);
void ms_mat_close(ms_mat *f);         /* NULL is fine */
const char *ms_mat_header(ms_mat *f); /* the text at the beginning of the file */

/* 1: *v is the next value here; 0: there is none, and after ms_mat_enter the next call goes on behind what was entered. */
int ms_mat_next(ms_mat *f, ms_mat_var *v);
/* Of the value that ms_mat_next gave, which has numbers: only the first n of MATLAB's last dimension (n <= its size). */
int ms_mat_first(ms_mat *f, int64_t n, ms_mat_var *v);
/* Before memory is spent on the numbers of that value: may it be, and can they be in the file? */
int ms_mat_allow(ms_mat *f);
/* Once: element [i0][i1]... to out + i0 * stride[0] + i1 * stride[1] + ..., in elements of the dtype, a stride for each of v.rank
 * dimensions. */
int ms_mat_numbers(ms_mat *f, void *out, const int64_t *stride);

/* UTF-8, row after row without anything between: row i ends at end[i]. */
typedef struct ms_mat_rows {
  int64_t rows;
  size_t *end;
  char *bytes;
} ms_mat_rows;
ms_mat_rows *ms_mat_text(ms_mat *f);
void ms_mat_rows_free(ms_mat_rows *t); /* NULL is fine */

int ms_mat_enter(ms_mat *f);

/* Where in the file the variable that ms_mat_next gave begins; ms_mat_go: it is what ms_mat_next gives next. */
uint64_t ms_mat_place(const ms_mat *f);
int ms_mat_go(ms_mat *f, uint64_t place);

#endif
