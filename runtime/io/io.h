/* io.h -- files: whole reads and writes, safetensors, TensorBoard events, JSON lines. Plain memory, no tensors.
 *
 * Every function here that fails has called ms_fail() with a message that names the file, and returns NULL or -1. Nothing that a
 * file declares about itself is believed before it is compared with what is really there.
 */
#ifndef MASCON_IO_H
#define MASCON_IO_H
#include "mascon.h"

/* ---- whole files (file.c) ---------------------------------------------------------------------------------------- */

/* The bytes of a regular file or a pipe, malloc'd, with a '\0' after the last one (not counted in *size). Fails beyond cap bytes.
 */
void *ms_read_file(const char *path, size_t cap, size_t *size);

/* A file that is written whole or not at all: the bytes go to a temporary name in the same folder, which takes the place of `path`
 * at commit (flushed, fsync'd, renamed) and is removed otherwise. A symbolic link is followed; an existing file keeps its
 * permissions. */
typedef struct ms_writer ms_writer;
ms_writer *ms_writer_open(const char *path);
/* Append n bytes. After a failure every further call fails, the commit too. */
int ms_writer_write(ms_writer *w, const void *data, size_t n);
/* Put the file in place; -1 and nothing changed when that fails. Frees w either way. NULL in gives -1. */
int ms_writer_commit(ms_writer *w);
/* Remove what was written and free w. NULL is fine. */
void ms_writer_abort(ms_writer *w);
/* open, write, commit in one call. */
int ms_write_file(const char *path, const void *data, size_t n);

/* mkdir -p: 0 also when the folder is there already. */
int ms_mkdirs(const char *path);

/* ---- texts (text.c) ---------------------------------------------------------------------------------------------- */

/* The length in bytes of the UTF-8 character that begins the n > 0 bytes at s (RFC 3629: no surrogates, no long forms, nothing
 * above U+10FFFF), or 0 where none does. *code (NULL is fine) gets its number. */
size_t ms_utf8_char(const char *s, size_t n, uint32_t *code);
bool ms_utf8(const char *s, size_t n); /* are all of them UTF-8? */
/* s as it may be shown on a terminal: control characters, marks that turn the direction of writing, and bytes that are no UTF-8
 * become \DDD, byte by byte, as Lua writes them; with `lines`, tabs and line ends stay. out has room for 4 * n bytes; gives how
 * many it got.
 */
size_t ms_visible(const char *s, size_t n, bool lines, char *out);

/* ---- JSON lines (jsonl.c) ---------------------------------------------------------------------------------------- */

/* Append one line (finished JSON, no newline in it) to a file by a single write, whole or not at all: what a full disk took of it
 * is taken back. A last line without its newline is ended if it is whole, and cut off if a crash tore it. sync: fsync before
 * returning.
 */
int ms_jsonl_append(const char *path, const char *line, bool sync);

/* ---- safetensors (safetensors.c) --------------------------------------------------------------------------------- */

typedef struct ms_st_entry {
  const char *name;
  ms_dtype dtype;
  int rank;
  int64_t shape[MS_MAX_RANK];
  size_t bytes;     /* elements x size of one; the writer checks it */
  const void *data; /* C order, little-endian: what is written; parsed from memory: where it lies there, NOT aligned; else NULL */
  const struct ms_stored *stored; /* read: its dtype in the file (io/stored.h); dtype, shape and bytes are what it becomes */
  size_t stored_bytes;            /* read: what it takes in the file, at `data` */
} ms_st_entry;

typedef struct ms_st_pair {
  const char *key, *value;
} ms_st_pair;

typedef struct ms_safetensors {
  int n, n_metadata;
  ms_st_entry *entries; /* in the order of the data */
  ms_st_pair *metadata; /* sorted by key */
  struct ms_st_private *private;
} ms_safetensors;

/* Open a plain file and check its header, in time and memory linear in its size. The data are read by ms_safetensors_read only; a
 * file that changes meanwhile gives an error or other numbers, no more. It fails when all tensors would take more than the rule of
 * ms_allow_bytes (io/source.h) allows. */
ms_safetensors *ms_safetensors_open(const char *path, uint64_t max_bytes);
/* The same from memory that the caller keeps alive, without the rule; `name` is for messages. */
ms_safetensors *ms_safetensors_parse(const void *bytes, size_t size, const char *name);
/* The e->bytes bytes of an entry to out, checked: BOOL bytes are 0 or 1, U64 at most what an i64 holds. */
int ms_safetensors_read(const ms_safetensors *s, const ms_st_entry *e, void *out);
/* Where its bytes begin in the file, as e->stored has them. */
uint64_t ms_safetensors_place(const ms_safetensors *s, const ms_st_entry *e);
void ms_safetensors_close(ms_safetensors *s); /* NULL is fine */
/* By name; NULL and no error when there is none. */
const ms_st_entry *ms_safetensors_find(const ms_safetensors *s, const char *name);
const char *ms_safetensors_metadata(const ms_safetensors *s, const char *key);

/* Write n entries in the given order, whole or not at all. Fails on a duplicate or reserved name, on names or metadata that are not
 * UTF-8, and when bytes is not what dtype and shape say. */
int ms_safetensors_write(const char *path, int n, const ms_st_entry *entries, int n_metadata, const ms_st_pair *metadata);

/* ---- TensorBoard (tensorboard.c) --------------------------------------------------------------------------------- */

/* One event file in a log folder. Records are kept in memory and handed to the system every two seconds, at flush and at close. */
typedef struct ms_events ms_events;
/* Make the folder if need be and a new file in it. */
ms_events *ms_events_open(const char *folder);
const char *ms_events_path(const ms_events *e);
/* Stamp records with t seconds instead of the clock; NAN = the clock again. For files that must come out the same twice. */
void ms_events_set_time(ms_events *e, double t);
/* Tell the reader that a run goes on at `step`: what other files of the folder say from there on is dropped. */
int ms_events_resume(ms_events *e, int64_t step);
int ms_events_scalar(ms_events *e, const char *tag, int64_t step, double value);
/* A finished PNG; channels 1 (grey), 3 (RGB) or 4 (RGBA). */
int ms_events_image(ms_events *e, const char *tag, int64_t step, int width, int height, int channels, const void *png, size_t n);
/* n values into TensorBoard's default buckets (limits grow by 1.1 from 1e-12). NaN and infinite ones are left out. */
int ms_events_histogram(ms_events *e, const char *tag, int64_t step, const float *values, size_t n);
int ms_events_text(ms_events *e, const char *tag, int64_t step, const char *text);
/* What a run was made with, n values, for the table of hyper-parameters, and the tags of the scalars that are shown beside them. */
typedef enum ms_hparam_kind { MS_HPARAM_TEXT = 1, MS_HPARAM_BOOL, MS_HPARAM_NUMBER } ms_hparam_kind;
typedef struct ms_hparam {
  const char *name;
  ms_hparam_kind kind;
  double number;    /* MS_HPARAM_BOOL: 0 or 1 */
  const char *text; /* MS_HPARAM_TEXT */
} ms_hparam;
int ms_events_hparams(ms_events *e, size_t n, const ms_hparam *p, size_t metrics, const char *const *tags);
int ms_events_flush(ms_events *e);
int ms_events_close(ms_events *e); /* flush and free; NULL is fine */

/* CRC-32C (Castagnoli) of n more bytes after `crc`, 0 at the start. crc32c(0, "123456789") = 0xE3069283. */
uint32_t ms_crc32c(uint32_t crc, const void *data, size_t n);

#endif
