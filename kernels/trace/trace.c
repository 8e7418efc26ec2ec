/* trace.c -- a backend that computes nothing: memory is real, zeroed and out of the core's sight, and each call is written down.
 * A call is kept as numbers (operation, then per tensor: dtype, rank, sizes), which costs little while it runs; it becomes text
 * when asked for. */
#include "backend.h"
#include "trace.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ABSENT = -1, NUMBER = -2 }; /* in place of a dtype */

struct record {
  size_t at; /* its first word: operation id, number of inputs, number of results, tensors */
  char *text;
};

enum { QUEUES = 8 };
struct ms_queue { /* of one trace device: what it was asked to run */
  int64_t *words; /* all records, one after another */
  size_t n_words, room_words;
  struct record *records;
  int64_t n_records;
  size_t room_records;
};
static ms_queue queues[QUEUES];

static int grow(void **p, size_t *room, size_t need, size_t size) {
  if (need <= *room) return 0;
  size_t more = *room ? 2 * *room : 1024;
  while (more < need) more *= 2;
  void *q = realloc(*p, more * size);
  if (!q) return ms_fail("trace: out of memory for %zu records", more), -1;
  *p = q, *room = more;
  return 0;
}

static void put(ms_queue *q, const ms_view *v) {
  int64_t *w = q->words + q->n_words;
  if (v->absent || v->number) *w++ = v->absent ? ABSENT : NUMBER;
  else {
    *w++ = v->dtype, *w++ = v->rank;
    for (int i = 0; i < v->rank; i++) *w++ = v->shape[i];
  }
  q->n_words = (size_t)(w - q->words);
}

static int run(ms_call *c) {
  ms_queue *q = c->queue;
  const size_t most = 3 + (size_t)(c->n_in + c->n_out) * (2 + MS_MAX_RANK);
  if (grow((void **)&q->words, &q->room_words, q->n_words + most, sizeof *q->words) < 0) return -1;
  if (grow((void **)&q->records, &q->room_records, (size_t)q->n_records + 1, sizeof *q->records) < 0) return -1;
  q->records[q->n_records++] = (struct record){.at = q->n_words};
  q->words[q->n_words++] = c->op->id;
  q->words[q->n_words++] = c->n_in;
  q->words[q->n_words++] = c->n_out;
  for (int i = 0; i < c->n_in; i++) put(q, &c->in[i]);
  for (int k = 0; k < c->n_out; k++) put(q, &c->out[k]);
  return 0;
}

static ms_queue *queue_at(int device) { return device >= 0 && device < QUEUES ? &queues[device] : NULL; }

int64_t ms_trace_count(int device) { return queue_at(device) ? queues[device].n_records : 0; }

void ms_trace_clear(int device) {
  ms_queue *q = queue_at(device);
  if (!q) return;
  for (int64_t i = 0; i < q->n_records; i++) free(q->records[i].text);
  free(q->records), free(q->words);
  *q = (ms_queue){0};
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

const char *ms_trace_line(int device, int64_t i) {
  const ms_queue *q = queue_at(device);
  if (!q || i < 0 || i >= q->n_records) return NULL;
  struct record *r = &q->records[i];
  if (r->text) return r->text;
  size_t size;
  FILE *f = open_memstream(&r->text, &size);
  if (!f) return NULL;
  const int64_t *w = q->words + r->at;
  int64_t n_in = w[1], n_out = w[2];
  fputs(ms_op_at((int)w[0])->name, f);
  w += 3;
  for (int64_t k = 0; k < n_in; k++) fputs(k ? ", " : " ", f), w = write_tensor(f, w);
  for (int64_t k = 0; k < n_out; k++) fputs(k ? ", " : " -> ", f), w = write_tensor(f, w);
  if (fclose(f) != 0) r->text = NULL;
  return r->text;
}

static ms_queue *open_trace(int index, char *description, size_t size) {
  if (index >= QUEUES) return ms_fail("no trace:%d: there are %d trace devices", index, QUEUES);
  snprintf(description, size, "records operations, computes nothing");
  return &queues[index];
}
static void *alloc_trace(ms_queue *q, size_t bytes) { return (void)q, calloc(1, bytes ? bytes : 1); }
static void free_trace(ms_queue *q, void *p) { (void)q, free(p); }
static int copy_trace(ms_queue *q, void *to, const void *from, size_t bytes) { return (void)q, memcpy(to, from, bytes), 0; }
static int sync_trace(ms_queue *q) { return (void)q, 0; }
static unsigned precisions_trace(ms_queue *q) { return (void)q, ~0u; } /* it rounds nothing, in none of them */

static const ms_kernel *kernel_trace(const ms_call *c) {
  static const ms_kernel kernel = {.run = run};
  (void)c;
  return &kernel;
}

static const ms_backend trace = {
    .abi = MS_ABI,
    .name = "trace",
    .host_memory = false,
    .open = open_trace,
    .alloc = alloc_trace,
    .free = free_trace,
    .upload = copy_trace,
    .download = copy_trace,
    .copy = copy_trace,
    .sync = sync_trace,
    .precisions = precisions_trace,
    .kernel = kernel_trace,
};

const ms_backend *ms_backend_trace(void) { return &trace; }
