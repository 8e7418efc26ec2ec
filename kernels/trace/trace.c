/* trace.c -- a backend that computes nothing: memory is real, zeroed and out of the core's sight, and each call is written down.
 * A call is kept as numbers (operation, then per tensor: dtype, rank, sizes), which costs little while it runs; it becomes text
 * when asked for. */
#include "backend.h"
#include "trace.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ABSENT = -1, NUMBER = -2 }; /* in place of a dtype */

static int64_t *words; /* all records, one after another */
static size_t n_words, room_words;
static struct record {
  size_t at; /* its first word: operation id, number of inputs, number of results, tensors */
  char *text;
} * records;
static int64_t n_records;
static size_t room_records;

static int grow(void **p, size_t *room, size_t need, size_t size) {
  if (need <= *room) return 0;
  size_t more = *room ? 2 * *room : 1024;
  while (more < need) more *= 2;
  void *q = realloc(*p, more * size);
  if (!q) return ms_fail("trace: out of memory for %zu records", more), -1;
  *p = q, *room = more;
  return 0;
}

static void put(const ms_view *v) {
  if (v->absent || v->number) {
    words[n_words++] = v->absent ? ABSENT : NUMBER;
    return;
  }
  words[n_words++] = v->dtype;
  words[n_words++] = v->rank;
  for (int i = 0; i < v->rank; i++) words[n_words++] = v->shape[i];
}

static int run(ms_call *c) {
  size_t most = 3 + (size_t)(c->n_in + c->n_out) * (2 + MS_MAX_RANK);
  if (grow((void **)&words, &room_words, n_words + most, sizeof *words) < 0) return -1;
  if (grow((void **)&records, &room_records, (size_t)n_records + 1, sizeof *records) < 0) return -1;
  records[n_records++] = (struct record){.at = n_words};
  words[n_words++] = c->op->id;
  words[n_words++] = c->n_in;
  words[n_words++] = c->n_out;
  for (int i = 0; i < c->n_in; i++) put(&c->in[i]);
  for (int k = 0; k < c->n_out; k++) put(&c->out[k]);
  return 0;
}

int64_t ms_trace_count(void) { return n_records; }

void ms_trace_clear(void) {
  for (int64_t i = 0; i < n_records; i++) free(records[i].text);
  free(records), free(words);
  records = NULL, words = NULL;
  n_records = 0;
  n_words = room_words = room_records = 0;
}

static const int64_t *write_tensor(FILE *f, const int64_t *w) {
  int64_t dtype = *w++;
  if (dtype < 0) return fputs(dtype == ABSENT ? "none" : "number", f), w;
  int64_t rank = *w++;
  if (!rank) fputs("scalar", f);
  for (int64_t i = 0; i < rank; i++) fprintf(f, i ? " x %lld" : "%lld", (long long)*w++);
  fprintf(f, " %s", ms_dtype_name((int)dtype));
  return w;
}

const char *ms_trace_line(int64_t i) {
  if (i < 0 || i >= n_records) return NULL;
  struct record *r = &records[i];
  if (r->text) return r->text;
  size_t size;
  FILE *f = open_memstream(&r->text, &size);
  if (!f) return NULL;
  const int64_t *w = words + r->at;
  int64_t n_in = w[1], n_out = w[2];
  fputs(ms_op_at((int)w[0])->name, f);
  w += 3;
  for (int64_t k = 0; k < n_in; k++) fputs(k ? ", " : " ", f), w = write_tensor(f, w);
  for (int64_t k = 0; k < n_out; k++) fputs(k ? ", " : " -> ", f), w = write_tensor(f, w);
  if (fclose(f) != 0) r->text = NULL;
  return r->text;
}

static int open_trace(int index, char *description, size_t size) {
  if (index) return ms_fail("no trace:%d: there is one trace device", index), -1;
  snprintf(description, size, "records operations, computes nothing");
  return 0;
}
static void *alloc_trace(size_t bytes) { return calloc(1, bytes ? bytes : 1); }
static void free_trace(void *p) { free(p); }
static int copy(void *to, const void *from, size_t bytes) { return memcpy(to, from, bytes), 0; }
static int sync_trace(void) { return 0; }

static const ms_kernel *kernel_trace(const ms_call *c) {
  static const ms_kernel kernel = {.run = run};
  (void)c;
  return &kernel;
}

static const ms_backend trace = {
    .abi = MS_ABI,
    .name = "trace",
    .open = open_trace,
    .alloc = alloc_trace,
    .free = free_trace,
    .upload = copy,
    .download = copy,
    .sync = sync_trace,
    .kernel = kernel_trace,
    .host_memory = false,
};

const ms_backend *ms_backend_trace(void) { return &trace; }
