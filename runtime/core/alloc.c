/* alloc.c -- storages, and the cache of freed blocks by size class.
 *
 * Classes: 64 bytes, then four steps per power of two, so at most a quarter of a block is slack. A freed block goes to its class's
 * list; the lists are emptied when they hold more than both 256 MB and what is live, and when an allocation fails. */
#include "core.h"
#include <stdlib.h>

#define CLASSES 200
enum { DEVICES = 8 };

typedef struct block_list {
  void **at;
  int n, room;
} block_list;

static block_list cache[DEVICES][CLASSES];
static ms_device *cache_device[DEVICES];
static ms_memory stats;
static int64_t fail_after; /* tests: this many allocations until one fails for good */
static bool injected;
static void (*pressure_hook)(void *);
static void *pressure_data;

uint64_t ms_storage_births;
int64_t ms_live_tensors, ms_live_storages, ms_live_nodes;

/* Smallest class that holds `bytes`; its size in *capacity. */
static int size_class(size_t bytes, size_t *capacity) {
  if (bytes <= 64) return *capacity = 64, 0;
  int top = 63 - __builtin_clzll((unsigned long long)(bytes - 1)); /* 2^top < bytes <= 2^(top+1) */
  size_t step = (size_t)1 << (top - 2);
  size_t k = (bytes - ((size_t)1 << top) + step - 1) / step; /* 1..4 */
  *capacity = ((size_t)1 << top) + k * step;
  return (top - 6) * 4 + (int)k;
}

static int device_slot(ms_device *d) {
  for (int i = 0; i < DEVICES; i++) {
    if (cache_device[i] == d) return i;
    if (!cache_device[i]) return cache_device[i] = d, i;
  }
  return -1;
}

void ms_memory_release_cache(void) {
  for (int s = 0; s < DEVICES && cache_device[s]; s++)
    for (int c = 0; c < CLASSES; c++) {
      block_list *l = &cache[s][c];
      for (int i = 0; i < l->n; i++) cache_device[s]->backend->free(l->at[i]);
      free(l->at);
      *l = (block_list){0};
    }
  stats.cached = 0;
}

void ms_memory_on_pressure(void (*hook)(void *), void *data) { pressure_hook = hook, pressure_data = data; }
void ms_memory_fail_after(int64_t k) { fail_after = k; }

static void *block_try(ms_device *d, size_t capacity) {
  injected = fail_after > 0 && --fail_after == 0;
  if (injected) return NULL;
  return d->backend->alloc(capacity);
}

void *ms_block_alloc(ms_device *d, size_t bytes, size_t *capacity) {
  if (bytes > (size_t)1 << 46) return ms_fail("out of memory: a tensor of %zu bytes was asked for", bytes);
  int c = size_class(bytes, capacity), s = device_slot(d);
  block_list *l = &cache[s][c];
  void *p;
  if (l->n && !fail_after) {
    p = l->at[--l->n];
    stats.cached -= *capacity;
  } else if (!(p = block_try(d, *capacity))) {
    if (pressure_hook) pressure_hook(pressure_data);
    ms_memory_release_cache();
    p = injected ? NULL : d->backend->alloc(*capacity);
    if (!p)
      return ms_fail(
          "out of memory on %s: asked for %.1f MB with %.1f MB live (peak %.1f MB); the cache of freed blocks is empty now",
          d->name, (double)bytes / 1e6, (double)stats.live / 1e6, (double)stats.peak / 1e6);
  }
  stats.live += *capacity;
  stats.allocated += *capacity;
  if (stats.live > stats.peak) stats.peak = stats.live;
  return p;
}

void ms_block_free(ms_device *d, void *p, size_t capacity) {
  stats.live -= capacity;
  size_t same;
  block_list *l = &cache[device_slot(d)][size_class(capacity, &same)];
  if (l->n == l->room) {
    int room = l->room ? 2 * l->room : 16;
    void **at = realloc(l->at, (size_t)room * sizeof *at);
    if (!at) {
      d->backend->free(p);
      return;
    }
    l->at = at, l->room = room;
  }
  l->at[l->n++] = p;
  stats.cached += capacity;
  if (stats.cached > (256u << 20) && stats.cached > stats.live) ms_memory_release_cache();
}

/* Storage headers come and go with every small tensor: a free list of their own. */
static ms_storage *spare;

ms_storage *ms_storage_new(ms_device *d, size_t bytes) {
  size_t capacity;
  void *p = ms_block_alloc(d, bytes, &capacity);
  if (!p) return NULL;
  ms_storage *s = spare;
  if (s) spare = s->data;
  else if (!(s = malloc(sizeof *s))) {
    ms_block_free(d, p, capacity);
    return ms_fail("out of memory: no room for a storage header");
  }
  *s = (ms_storage){.refs = 1, .device = d, .data = p, .bytes = bytes, .capacity = capacity, .birth = ++ms_storage_births};
  ms_live_storages++;
  return s;
}

void ms_storage_release(ms_storage *s) {
  if (!s || --s->refs) return;
  if (s->watcher) s->watcher->lost(s);
  ms_block_free(s->device, s->data, s->capacity);
  s->data = spare;
  spare = s;
  ms_live_storages--;
}

ms_memory ms_memory_stats(void) {
  ms_memory m = stats;
  m.tensors = ms_live_tensors, m.storages = ms_live_storages, m.nodes = ms_live_nodes;
  return m;
}

void ms_memory_reset_peak(void) { stats.peak = stats.live; }
