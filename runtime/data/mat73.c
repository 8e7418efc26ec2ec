/* mat73.c -- a MATLAB file of version 7.3 becomes one of version 5, in a child process (mat73.h). libhdf5's header is not needed
 * for building: the few functions of it (1.10 and later) that are called stand here.
 *
 * In the file each variable is a data set or a group with an attribute MATLAB_class; a data set's dimensions are MATLAB's,
 * reversed, so that the order of its elements is MATLAB's. Empty arrays have an attribute MATLAB_empty, and their sizes as
 * elements. */
#define _GNU_SOURCE
#include "data/mat73.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NO_LIBRARY = 2, NOT_READ, DAMAGED, CPU_SECONDS = 20, ROOM = 384 << 20, PIECE = 1 << 20 };

bool ms_mat73_is(const void *bytes, size_t n) {
  const uint8_t *b = bytes;
  return n >= 128 && b[126] == 'I' && b[127] == 'M' && b[125] == 2 && b[124] == 0;
}

/* ---- the child ------------------------------------------------------------------------------------------------------ */

typedef int64_t id;
static struct hdf5 {
  int (*open)(void);
  int (*set_auto)(id stack, void *function, void *data);
  id (*file_open)(const char *name, unsigned flags, id list);
  int64_t (*name_by_index)(id at, const char *group, int index, int order, uint64_t n, char *name, size_t size, id list);
  id (*object_open)(id at, const char *name, id list);
  int (*object_close)(id object);
  int (*kind_of)(id object);
  int (*attribute_exists)(id object, const char *name);
  id (*attribute_open)(id object, const char *name, id list);
  id (*attribute_type)(id attribute);
  int (*attribute_read)(id attribute, id type, void *out);
  id (*set_space)(id set);
  id (*set_type)(id set);
  int (*set_read)(id set, id type, id memory, id space, id list, void *out);
  int (*space_rank)(id space);
  int (*space_sizes)(id space, uint64_t *sizes, uint64_t *most);
  int (*space_select)(id space, int how, const uint64_t *start, const uint64_t *stride, const uint64_t *count,
                      const uint64_t *block);
  id (*space_new)(int rank, const uint64_t *sizes, const uint64_t *most);
  int (*space_close)(id space);
  int (*type_class)(id type);
  size_t (*type_size)(id type);
  id (*type_create)(int kind, size_t size);
  int (*type_insert)(id type, const char *name, size_t offset, id member);
} h;
static id native[11]; /* by the type's number in files of version 5 */
static int out;       /* the pipe */

static void quit(int code) { _exit(code); }

static void open_library(void) {
  static const char *const libraries[] = {"libhdf5_serial.so.103", "libhdf5_serial.so.310", "libhdf5.so.103", "libhdf5.so.200",
                                          "libhdf5.so.310",        "libhdf5_serial.so",     "libhdf5.so"};
  static const char *const functions[] = {"H5open",
                                          "H5Eset_auto2",
                                          "H5Fopen",
                                          "H5Lget_name_by_idx",
                                          "H5Oopen",
                                          "H5Oclose",
                                          "H5Iget_type",
                                          "H5Aexists",
                                          "H5Aopen",
                                          "H5Aget_type",
                                          "H5Aread",
                                          "H5Dget_space",
                                          "H5Dget_type",
                                          "H5Dread",
                                          "H5Sget_simple_extent_ndims",
                                          "H5Sget_simple_extent_dims",
                                          "H5Sselect_hyperslab",
                                          "H5Screate_simple",
                                          "H5Sclose",
                                          "H5Tget_class",
                                          "H5Tget_size",
                                          "H5Tcreate",
                                          "H5Tinsert"};
  static const struct {
    int type;
    const char *name;
  } types[] = {{1, "H5T_NATIVE_INT8_g"},  {2, "H5T_NATIVE_UINT8_g"},  {3, "H5T_NATIVE_INT16_g"}, {4, "H5T_NATIVE_UINT16_g"},
               {5, "H5T_NATIVE_INT32_g"}, {6, "H5T_NATIVE_UINT32_g"}, {7, "H5T_NATIVE_FLOAT_g"}, {9, "H5T_NATIVE_DOUBLE_g"},
               {8, "H5T_NATIVE_INT64_g"}, {10, "H5T_NATIVE_UINT64_g"}};
  void *lib = NULL, *found[sizeof functions / sizeof *functions];
  for (size_t i = 0; i < sizeof libraries / sizeof *libraries && !lib; i++) lib = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
  if (!lib) quit(NO_LIBRARY);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
    if (!(found[i] = dlsym(lib, functions[i]))) quit(NO_LIBRARY);
  memcpy(&h, found, sizeof h); /* in the order of their names */
  if (h.open() < 0) quit(NO_LIBRARY);
  h.set_auto(0, NULL, NULL);
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    const id *type = dlsym(lib, types[i].name);
    if (!type) quit(NO_LIBRARY);
    native[types[i].type] = *type;
  }
}

static void put(const void *bytes, size_t n) {
  for (const char *p = bytes; n;) {
    const ssize_t k = write(out, p, n);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) quit(0); /* nobody reads any more */
    p += k;
    n -= (size_t)k;
  }
}

static void put_tag(uint32_t type, uint32_t bytes) { put((uint32_t[]){type, bytes}, 8); }

static bool has(id object, const char *name) { return h.attribute_exists(object, name) > 0; }

/* MATLAB's class of an object, "" where it says none. */
static void class_of(id object, char *name, size_t size) {
  memset(name, 0, size);
  if (!has(object, "MATLAB_class")) return;
  const id a = h.attribute_open(object, "MATLAB_class", 0), type = a < 0 ? -1 : h.attribute_type(a);
  if (type < 0 || h.type_class(type) != 3 /* string */ || h.type_size(type) >= size || h.attribute_read(a, type, name) < 0)
    quit(DAMAGED);
}

static const struct class {
  const char *name;
  uint32_t flags;          /* of version 5: the class's number, and that it is logical */
  int type, width, stored; /* native; bytes; the type's number in version 5 */
} classes[] = {{"double", 6, 9, 8, 9},  {"single", 7, 7, 4, 7},    {"int8", 8, 1, 1, 1},   {"uint8", 9, 2, 1, 2},
               {"int16", 10, 3, 2, 3},  {"uint16", 11, 4, 2, 4},   {"int32", 12, 5, 4, 5}, {"uint32", 13, 6, 4, 6},
               {"int64", 14, 8, 8, 12}, {"uint64", 15, 10, 8, 13}, {"char", 4, 4, 2, 4},   {"logical", 9 | 0x200, 2, 1, 2}};

/* All elements of a data set (type: in memory, `width` bytes), a piece of at most PIECE bytes after the other. */
static void put_elements(id set, id space, int rank, const uint64_t *size, id type, size_t width) {
  static char piece[PIECE];
  uint64_t start[32] = {0}, count[32], inner = width;
  int d = rank; /* dimensions from d on are read whole; of d - 1 some */
  while (d > 0 && inner * size[d - 1] <= PIECE) inner *= size[--d];
  for (;;) {
    uint64_t n = 1;
    for (int k = 0; k < rank; k++) count[k] = k < d - 1 ? 1 : size[k];
    if (d > 0) {
      count[d - 1] = PIECE / inner < size[d - 1] - start[d - 1] ? PIECE / inner : size[d - 1] - start[d - 1];
      n = count[d - 1];
    }
    uint64_t elements = n * inner / width;
    const id memory = h.space_new(1, &elements, NULL);
    if (memory < 0 || h.space_select(space, 0, start, NULL, count, NULL) < 0 || h.set_read(set, type, memory, space, 0, piece) < 0)
      quit(DAMAGED);
    h.space_close(memory);
    put(piece, (size_t)(n * inner));
    if (!d) return;
    start[d - 1] += n;
    int k = d - 1;
    while (k > 0 && start[k] == size[k]) start[k] = 0, start[--k]++;
    if (start[k] == size[k]) return;
  }
}

/* A variable that version 5 has no words for here: mat.c says so. */
static void put_other(const char *name, size_t length) {
  const uint32_t padded = ((uint32_t)length + 7) & ~7u;
  put_tag(14, 16 + 8 + padded);
  put_tag(6, 8);
  put((uint32_t[]){17, 0}, 8);
  put_tag(1, (uint32_t)length);
  put(name, length);
  put("\0\0\0\0\0\0\0", padded - length);
}

static void put_variable(id object, const char *name) {
  char word[64];
  const size_t length = strlen(name);
  class_of(object, word, sizeof word);
  const struct class *c = NULL;
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
    if (!strcmp(word, classes[i].name)) c = &classes[i];
  if (!c || h.kind_of(object) != 5 /* data set */ || has(object, "MATLAB_sparse")) return put_other(name, length);
  uint64_t size[32], all = 1;
  const id space = h.set_space(object), kept = h.set_type(object);
  int rank = h.space_rank(space);
  if (rank < 0 || rank > 32 || (rank && h.space_sizes(space, size, NULL) < 0)) quit(DAMAGED);
  int32_t sizes[32];
  const bool empty = has(object, "MATLAB_empty"), complex = h.type_class(kept) == 6 /* compound */;
  if (empty) {
    uint64_t dims[32];
    if (rank != 1 || size[0] > 32 || h.set_read(object, native[10], 0, 0, 0, dims) < 0) quit(DAMAGED);
    rank = (int)size[0];
    for (int d = 0; d < rank; d++) {
      if (dims[d] > INT32_MAX) quit(DAMAGED);
      all *= dims[d] ? 1 : 0;
      sizes[d] = (int32_t)dims[d];
    }
    if (all) quit(DAMAGED);
  } else
    for (int d = 0; d < rank; d++) {
      if (size[d] > INT32_MAX || __builtin_mul_overflow(all, size[d], &all)) quit(DAMAGED);
      sizes[rank - 1 - d] = (int32_t)size[d];
    }
  for (; rank < 2; rank++) sizes[rank] = 1;
  uint64_t bytes;
  if (__builtin_mul_overflow(all, (uint64_t)c->width * (complex ? 2 : 1), &bytes) || bytes > UINT32_MAX - 4096)
    return put_other(name, length); /* beyond what version 5 can say */
  const uint32_t parts = complex ? 2 : 1, one = (uint32_t)(all * (uint64_t)c->width), padded = (one + 7) & ~7u;
  const uint32_t dims = (4 * (uint32_t)rank + 7) & ~7u, words = ((uint32_t)length + 7) & ~7u;
  put_tag(14, 16 + 8 + dims + 8 + words + parts * (8 + padded));
  put_tag(6, 8);
  put((uint32_t[]){c->flags | (complex ? 0x800 : 0), 0}, 8);
  put_tag(5, 4 * (uint32_t)rank);
  put(sizes, 4 * (size_t)rank);
  put("\0\0\0\0\0\0\0", dims - 4 * (size_t)rank);
  put_tag(1, (uint32_t)length);
  put(name, length);
  put("\0\0\0\0\0\0\0", words - length);
  for (uint32_t part = 0; part < parts; part++) {
    id type = native[c->type];
    if (complex) { /* one member of the pairs */
      type = h.type_create(6, (size_t)c->width);
      if (type < 0 || h.type_insert(type, part ? "imag" : "real", 0, native[c->type]) < 0) quit(DAMAGED);
    }
    put_tag((uint32_t)c->stored, one);
    if (all) put_elements(object, space, empty ? 1 : h.space_rank(space), size, type, (size_t)c->width);
    put("\0\0\0\0\0\0\0", padded - one);
  }
}

/* Limits, and nothing left of this process's files but the file (3) and the pipe (4). */
static void confine(int file, int pipe, uint64_t size) {
  unsigned long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f || fscanf(f, "%lu", &pages) != 1) pages = 0;
  if (f) fclose(f);
  if (dup2(pipe, 1000) < 0 || dup2(file, 1001) < 0 || dup2(1001, 3) < 0 || dup2(1000, 4) < 0) quit(NOT_READ);
  for (int k = 5; k < 1024; k++) close(k);
  const struct {
    int what;
    rlim_t most;
  } limits[] = {{RLIMIT_CPU, CPU_SECONDS + size / (1 << 20)},
                {RLIMIT_FSIZE, 0},
                {RLIMIT_CORE, 0},
                {RLIMIT_NOFILE, 24},
                {RLIMIT_AS, pages * (rlim_t)sysconf(_SC_PAGESIZE) + ROOM + 2 * size}};
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
    setrlimit((__rlimit_resource_t)limits[i].what, &(struct rlimit){limits[i].most, limits[i].most});
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int s = 1; s < 32; s++) signal(s, SIG_DFL);
  setenv("HDF5_PLUGIN_PRELOAD", "::", 1); /* no plug-ins */
  setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
}

static void convert(int file, int pipe, uint64_t size, int64_t only) {
  char head[128], name[256];
  confine(file, pipe, size);
  out = 4;
  if (pread(3, head, sizeof head, 0) != (ssize_t)sizeof head) quit(NOT_READ);
  open_library();
  const id f = h.file_open("/dev/fd/3", 0, 0);
  if (f < 0) quit(NOT_READ);
  memcpy(head + 124, "\0\1IM", 4);
  put(head, sizeof head);
  int64_t seen = 0;
  for (uint64_t i = 0;; i++) {
    const int64_t n = h.name_by_index(f, ".", 0, 0, i, name, sizeof name, 0);
    if (n < 0) break; /* behind the last one */
    if (n >= (int64_t)sizeof name) quit(DAMAGED);
    if (name[0] == '#') continue; /* what MATLAB keeps for itself */
    if (only >= 0 && seen++ != only) continue;
    const id object = h.object_open(f, name, 0);
    if (object < 0) quit(DAMAGED);
    put_variable(object, name);
    h.object_close(object);
  }
  quit(0);
}

/* ---- the parent ----------------------------------------------------------------------------------------------------- */

double ms_mat73_patience = 60;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int ms_mat73_wait(const char *name, int pipe) {
  const double begun = now();
  for (;;) {
    struct pollfd p = {.fd = pipe, .events = POLLIN};
    const int n = poll(&p, 1, 100);
    if (n > 0 || (n < 0 && errno != EINTR)) return 0; /* read() says what there is */
    if (ms_interrupted()) return ms_stopped(name), -1;
    if (now() - begun > ms_mat73_patience) {
      ms_fail(
          "%s: the HDF5 library gave nothing for %g seconds, and its process was ended: a damaged file, or a disk that does not "
          "answer",
          name, ms_mat73_patience);
      return -1;
    }
  }
}

/* waitpid for `seconds` at the most: has it ended? */
static bool reap(pid_t child, int *status, double seconds) {
  for (const double begun = now();;) {
    const pid_t got = waitpid(child, status, WNOHANG);
    if (got == child || (got < 0 && errno != EINTR)) return true;
    if (now() - begun > seconds) return false;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
}

int ms_mat73_start(const char *name, int file, uint64_t size, int64_t only, pid_t *child) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) {
    ms_fail("%s: cannot make a pipe: %s", name, strerror(errno));
    return -1;
  }
  *child = fork();
  if (!*child) convert(file, ends[1], size, only);
  close(ends[1]);
  if (*child > 0) return ends[0];
  ms_fail("%s: cannot start a process: %s", name, strerror(errno));
  close(ends[0]);
  return -1;
}

int ms_mat73_end(const char *name, pid_t child, bool all) {
  int status = 0;
  const bool late = all && !reap(child, &status, ms_mat73_patience); /* the pipe is closed, and it does not end */
  if (!all || late) {
    kill(child, SIGKILL);
    reap(child, &status, 2); /* (one that waits for a disk for ever stays) */
  }
  if (!all || status == 0) return 0;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1, sign = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (code == NO_LIBRARY)
    ms_fail("%s: a MATLAB file of version 7.3, which needs libhdf5 (Debian: apt install libhdf5-103-1), and it is not on this "
            "machine; or "
            "save it with the option '-v7' in MATLAB",
            name);
  else if (code == NOT_READ) ms_fail("%s: damaged: no HDF5 file that can be opened", name);
  else if (sign == SIGXCPU || sign == SIGKILL) ms_fail("%s: damaged: the HDF5 library did not come to an end with it", name);
  else
    ms_fail("%s: damaged: the HDF5 library failed with it%s", name, sign ? " (in a process of its own, which it took down)" : "");
  return -1;
}
