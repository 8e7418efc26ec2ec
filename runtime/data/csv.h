/* csv.h -- tables as text: one line for each row, fields between commas or the like (RFC 4180: a field may be in quotes, "" in it
 * is a quote, line ends in it belong to it). */
#ifndef MASCON_CSV_H
#define MASCON_CSV_H
#include "data/format.h"

/* A column that is named, or (name NULL) its place from 1 on. */
typedef struct ms_csv_column {
  const char *name;
  int64_t place;
} ms_csv_column;

typedef struct ms_csv_options {
  char delimiter;        /* 0: comma; tab or semicolon if the first line has one and no comma */
  int header;            /* is the first line one of names? -1: if none of its fields is a number */
  ms_dtype dtype;        /* of numbers: MS_F32 or MS_F64 */
  bool strict;           /* a missing number is an error; else it is NaN */
  bool all_text;         /* every column is one of texts */
  int n_text, n_columns; /* columns of texts whatever they begin with; columns to read, others are passed over (0: all) */
  const ms_csv_column *text, *columns;
} ms_csv_options;

/* Options of ms_file_open_as. What comes: an item without name, rows x columns of numbers; an item of texts for each column of
 * texts; ms_file.columns has the names of the numeric ones. A column is one of texts if its first field that is not missing is no
 * number. Missing: an empty field, NA, N/A, null, NULL, None. */
extern const ms_format ms_format_csv;

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* One column to write: numbers `stride` bytes apart, or texts. */
typedef struct ms_csv_values {
  const char *name; /* NULL in all: no line of names */
  ms_dtype dtype;   /* f16 and bf16 are not taken */
  const void *data;
  size_t stride;
  const char *const *texts; /* NULL: numbers */
} ms_csv_values;
/* Whole or not at all, gzipped when the name ends in ".gz". Floats with as many digits as it takes to read them back. */
int ms_csv_write(const char *path, int n, const ms_csv_values *columns, int64_t rows, char delimiter);

/* A number that a field is, with spaces around it; false: it is none. */
bool ms_csv_number(const char *text, size_t n, double *v);

#endif
