/* json.c -- jansson with a limit on its memory (json.h). While jansson works, its allocations come one after another out of chunks
 * that belong to us, and freeing does nothing. The first allocation that cannot be had leaves jansson by longjmp. Whatever jansson
 * held then lies in the chunks, which are freed together. */
#include "io/json.h"
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 16, FIRST = 1 << 14, LARGEST = 1 << 24 };

typedef struct chunk {
  struct chunk *next;
  size_t size, used; /* of the bytes behind this header */
} chunk;

typedef struct heap {
  chunk *chunk;
  size_t taken, most; /* bytes of chunks; at most */
  jmp_buf out;
} heap;

struct ms_json {
  heap heap;
  json_t *root;
};

static _Thread_local heap *current; /* of the jansson call under way; NULL: somebody else calls jansson */

static void *chunk_alloc(size_t n) {
  heap *h = current;
  if (!h) return malloc(n);
  n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
  if (!h->chunk || h->chunk->size - h->chunk->used < n) {
    size_t size = h->taken < FIRST ? FIRST : h->taken < LARGEST ? h->taken : LARGEST;
    if (size < n) size = n;
    chunk *c = size > h->most - h->taken ? NULL : malloc(sizeof *c + size + ALIGN);
    if (!c) longjmp(h->out, 1);
    *c = (chunk){.next = h->chunk, .size = size};
    h->chunk = c, h->taken += size;
  }
  char *base = (char *)(((size_t)(h->chunk + 1) + ALIGN - 1) & ~(size_t)(ALIGN - 1));
  void *p = base + h->chunk->used;
  h->chunk->used += n;
  return p;
}

static void chunk_free(void *p) {
  if (!current) free(p);
}

static void free_heap(heap *h) {
  for (chunk *c = h->chunk, *next; c; c = next) next = c->next, free(c);
  h->chunk = NULL, h->taken = 0;
}

/* Once: the seed of its tables is drawn outside of any heap, for it opens a file. */
static void fence(void) {
  static bool is;
  if (is) return;
  json_object_seed(0);
  json_set_alloc_funcs(chunk_alloc, chunk_free);
  is = true;
}

ms_json *ms_json_parse(const char *text, size_t n, size_t flags, json_error_t *why) {
  fence();
  ms_json *d = calloc(1, sizeof *d);
  *why = (json_error_t){.line = -1};
  snprintf(why->text, sizeof why->text, "out of memory for the values of %zu bytes of JSON", n);
  if (!d) return NULL;
  d->heap.most = ((size_t)64 << 20) + 32 * n;
  heap *before = current;
  json_error_t told;
  if (setjmp(d->heap.out)) {
    current = before;
    ms_json_free(d);
    return NULL;
  }
  current = &d->heap;
  d->root = json_loadb(text, n, flags | JSON_REJECT_DUPLICATES, &told);
  current = before;
  *why = told;
  if (d->root) return d;
  if (why->line < 0) why->line = 0;
  ms_json_free(d);
  return NULL;
}

json_t *ms_json_root(const ms_json *d) { return d->root; }

void ms_json_free(ms_json *d) {
  if (!d) return;
  free_heap(&d->heap);
  free(d);
}

char *ms_json_write(json_t *(*make)(void *data), void *data, size_t flags, bool *no_memory) {
  fence();
  heap h = {.most = SIZE_MAX};
  heap *before = current;
  char *volatile copy = NULL;
  *no_memory = false;
  if (setjmp(h.out)) {
    current = before;
    free_heap(&h);
    *no_memory = true;
    return NULL;
  }
  current = &h;
  json_t *value = make(data);
  char *text = value ? json_dumps(value, flags) : NULL;
  current = before;
  if (text) copy = strdup(text);
  *no_memory = value && !copy;
  free_heap(&h);
  return copy;
}
