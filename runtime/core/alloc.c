/* alloc.c -- storages, and for each device the cache of its freed blocks by size class.
 *
 * Classes: 64 bytes, then four steps per power of two, so at most a quarter of a block is slack. A freed block goes to its class's
 * list; the lists of a device are emptied when they hold more than both 256 MB and what is live there, those of all when an
 * allocation fails. */
#include "borrowed.h"
#include "core.h"
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 200 };

typedef struct block_list {
  void **at;
  int n, room;
} block_list;

typedef struct ms_cache {
  ms_device *device;
  block_list list[CLASSES];
  ms_memory stats;
  struct ms_cache *next;
} ms_cache;

static ms_cache *caches;   /* of all devices that have handed out memory */
static ms_memory total;    /* over all of them */
static int64_t fail_after; /* tests: this many allocations until one fails for good */
static bool injected;      /* tests: the last allocation failed because of that */
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

/* Made at a device's first allocation. NULL after ms_fail. */
static ms_cache *cache_of(ms_device *d) {
  if (d->cache) return d->cache;
  ms_cache *c = calloc(1, sizeof *c);
  if (!c) return ms_fail("out of memory: no room for the list of freed blocks of %s", d->name);
  c->device = d, c->next = caches;
  return caches = d->cache = c;
}

static void empty_cache(ms_cache *c) {
  for (int k = 0; k < CLASSES; k++) {
    block_list *l = &c->list[k];
    for (int i = 0; i < l->n; i++) c->device->backend->free(c->device->queue, l->at[i]);
    free(l->at);
    *l = (block_list){0};
  }
  total.cached -= c->stats.cached;
  c->stats.cached = 0;
}

void ms_memory_release_cache(void) {
  for (ms_cache *c = caches; c; c = c->next) empty_cache(c);
}

void ms_memory_on_pressure(void (*hook)(void *), void *data) { pressure_hook = hook, pressure_data = data; }
void ms_memory_fail_after(int64_t k) { fail_after = k; }

static void *block_try(ms_device *d, size_t capacity) {
  injected = fail_after > 0 && --fail_after == 0;
  return injected ? NULL : d->backend->alloc(d->queue, capacity);
}

static void count_live(ms_memory *m, size_t capacity) {
  m->live += capacity;
  m->allocated += capacity;
  if (m->live > m->peak) m->peak = m->live;
}

void *ms_block_alloc(ms_device *d, size_t bytes, size_t *capacity) {
  if (bytes > (size_t)1 << 46) return ms_fail("out of memory: a tensor of %zu bytes was asked for", bytes);
  ms_cache *c = cache_of(d);
  if (!c) return NULL;
  block_list *l = &c->list[size_class(bytes, capacity)];
  void *p;
  if (l->n && !fail_after) {
    p = l->at[--l->n];
    c->stats.cached -= *capacity, total.cached -= *capacity;
  } else if (!(p = block_try(d, *capacity))) {
    if (pressure_hook) pressure_hook(pressure_data);
    ms_memory_release_cache();
    p = injected ? NULL : d->backend->alloc(d->queue, *capacity);
    if (!p)
      return ms_fail(
          "out of memory on %s: asked for %.1f MB with %.1f MB live (peak %.1f MB); the cache of freed blocks is empty now",
          d->name, (double)bytes / 1e6, (double)c->stats.live / 1e6, (double)c->stats.peak / 1e6);
  }
  count_live(&c->stats, *capacity), count_live(&total, *capacity);
  return p;
}

void ms_block_free(ms_device *d, void *p, size_t capacity) {
  ms_cache *c = d->cache;
  c->stats.live -= capacity, total.live -= capacity;
  size_t same;
  block_list *l = &c->list[size_class(capacity, &same)];
  if (l->n == l->room) {
    int room = l->room ? 2 * l->room : 16;
    void **at = realloc(l->at, (size_t)room * sizeof *at);
    if (!at) {
      d->backend->free(d->queue, p);
      return;
    }
    l->at = at, l->room = room;
  }
  l->at[l->n++] = p;
  c->stats.cached += capacity, total.cached += capacity;
  if (c->stats.cached > (256u << 20) && c->stats.cached > c->stats.live) empty_cache(c);
}

/* Storage headers come and go with every small tensor: a free list of their own. */
static ms_storage *spare;

static ms_storage *new_header(ms_device *d, void *p, size_t bytes, size_t capacity) {
  ms_storage *s = spare;
  if (s) spare = s->data;
  else if (!(s = malloc(sizeof *s))) return ms_fail("out of memory: no room for a storage header");
  *s = (ms_storage){.refs = 1, .device = d, .data = p, .bytes = bytes, .capacity = capacity, .birth = ++ms_storage_births};
  ms_live_storages++;
  return s;
}

ms_storage *ms_storage_new(ms_device *d, size_t bytes) {
  size_t capacity;
  void *p = ms_block_alloc(d, bytes, &capacity);
  if (!p) return NULL;
  ms_storage *s = new_header(d, p, bytes, capacity);
  if (!s) ms_block_free(d, p, capacity);
  return s;
}

/* ---- memory of others -------------------------------------------------------------------------------------------- */

/* A storage of capacity 0 has an entry here: whom to tell when it is freed. */
typedef struct lender {
  ms_storage *storage;
  void (*gone)(void *);
  void *owner;
  struct lender *next;
} lender;
static lender *lenders;

static void give_back(ms_storage *s) {
  for (lender **p = &lenders; *p; p = &(*p)->next)
    if ((*p)->storage == s) {
      lender *l = *p;
      *p = l->next;
      l->gone(l->owner);
      free(l);
      return;
    }
}

ms_tensor *ms_borrowed(ms_dtype dtype, int rank, const int64_t *shape, void *data, void (*gone)(void *), void *owner) {
  int64_t none = 0, n = 1;
  ms_tensor *t = ms_empty(dtype, 1, &none, ms_device_host());
  lender *l = malloc(sizeof *l);
  for (int i = 0; i < rank; i++) n *= shape[i];
  ms_storage *s = t && l ? new_header(t->device, data, (size_t)n * ms_dtype_size(dtype), 0) : NULL;
  if (!s) {
    free(l);
    return ms_fail("out of memory: no room for a storage header");
  }
  *l = (lender){s, gone, owner, lenders};
  lenders = l;
  ms_storage_release(t->storage);
  t->storage = s;
  t->rank = (uint8_t)rank;
  memcpy(t->shape, shape, (size_t)rank * sizeof *shape);
  ms_set_contiguous(t);
  return t;
}

void ms_storage_release(ms_storage *s) {
  if (!s || --s->refs) return;
  if (s->watcher) s->watcher->lost(s);
  if (s->capacity) ms_block_free(s->device, s->data, s->capacity);
  else give_back(s);
  s->data = spare;
  spare = s;
  ms_live_storages--;
}

ms_memory ms_memory_stats(const ms_device *d) {
  ms_memory m = !d ? total : d->cache ? d->cache->stats : (ms_memory){0};
  m.tensors = ms_live_tensors, m.storages = ms_live_storages, m.nodes = ms_live_nodes;
  return m;
}

void ms_memory_reset_peak(void) {
  for (ms_cache *c = caches; c; c = c->next) c->stats.peak = c->stats.live;
  total.peak = total.live;
}
