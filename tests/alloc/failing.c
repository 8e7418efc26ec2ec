/* failing.c -- malloc and its like, made to fail on purpose. Preloaded (LD_PRELOAD), it stands before the C library's; as a Lua
 * module, the same file tells it when:
 *
 *   failing.arm(k, n)    of the allocations from now on, number k to k + n - 1 give NULL (n = 0: all from k on)
 *   failing.disarm()     -> how many allocations were asked for since, how many were refused
 *   failing.live()       -> blocks that are allocated and not freed
 *   failing.unfinished() -> finalizers since arm that Lua could not call for want of memory (and never will: what they hold is
 * lost)
 *
 * Not counted: what libgomp allocates, which ends the process when it gets none (it has no other way to say so). One thread counts
 * exactly; with several, which of two comes first is chance, as it is in life. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <link.h>
#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void *(*real_aligned)(size_t, size_t);
static void (*real_free)(void *);

static atomic_long seen, refused, live;
static long unfinished;
static long first, last; /* refused are numbers first..last; first = 0: none */
static uintptr_t spared_from, spared_to;

/* dlsym allocates a little before the real functions are known. */
static char early[4096];
static size_t early_used;
static void *early_alloc(size_t n) {
  n = (n + 15) & ~(size_t)15;
  if (early_used + n > sizeof early) return NULL;
  early_used += n;
  return early + early_used - n;
}
static bool is_early(const void *p) { return (const char *)p >= early && (const char *)p < early + sizeof early; }

static bool ready(void) {
  static bool looking;
  if (real_free) return true;
  if (looking) return false;
  looking = true;
  real_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
  real_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
  real_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
  real_aligned = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "aligned_alloc");
  real_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
  return real_free != NULL;
}

/* Is this allocation, asked for from `caller`, to fail? */
static bool refuse(const void *caller) {
  if (!first || ((uintptr_t)caller >= spared_from && (uintptr_t)caller < spared_to)) return false;
  long i = ++seen;
  if (i < first || i > last) return false;
  refused++;
  errno = ENOMEM;
  return true;
}

#define ALLOCATE(call)                                                                                                             \
  if (refuse(__builtin_return_address(0))) return NULL;                                                                            \
  void *p = call;                                                                                                                  \
  if (p) live++;                                                                                                                   \
  return p

void *malloc(size_t n) {
  if (!ready()) return early_alloc(n);
  ALLOCATE(real_malloc(n));
}
void *calloc(size_t n, size_t size) {
  if (!ready()) return early_alloc(n * size);
  ALLOCATE(real_calloc(n, size));
}
void *aligned_alloc(size_t align, size_t n) {
  if (!ready()) return NULL;
  ALLOCATE(real_aligned(align, n));
}
void *memalign(size_t align, size_t n) {
  if (!ready()) return NULL;
  ALLOCATE(real_aligned(align, n));
}
int posix_memalign(void **out, size_t align, size_t n) {
  if (!ready() || refuse(__builtin_return_address(0))) return ENOMEM;
  void *p = real_aligned(align, n);
  if (!p) return ENOMEM;
  live++;
  *out = p;
  return 0;
}
void *realloc(void *old, size_t n) {
  if (!ready()) return early_alloc(n);
  if (is_early(old)) {
    void *p = real_malloc(n);
    if (p) memcpy(p, old, n < sizeof early ? n : sizeof early), live++;
    return p;
  }
  if (refuse(__builtin_return_address(0))) return NULL;
  void *p = real_realloc(old, n);
  if (p && !old) live++;
  return p;
}
void free(void *p) {
  if (!p || is_early(p) || !ready()) return;
  live--;
  real_free(p);
}

static int spare_gomp(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size, (void)data;
  if (!info->dlpi_name || !strstr(info->dlpi_name, "libgomp")) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_LOAD) {
      uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, to = from + info->dlpi_phdr[i].p_memsz;
      if (!spared_from || from < spared_from) spared_from = from;
      if (to > spared_to) spared_to = to;
    }
  return 1;
}

static int arm(lua_State *L) {
  long k = (long)luaL_checkinteger(L, 1), n = (long)luaL_optinteger(L, 2, 1);
  luaL_argcheck(L, k >= 1, 1, "expected 1 or more");
  dl_iterate_phdr(spare_gomp, NULL);
  seen = 0;
  unfinished = 0;
  refused = 0;
  last = n ? k + n - 1 : INT64_MAX;
  first = k;
  return 0;
}
static int disarm(lua_State *L) {
  first = 0;
  lua_pushinteger(L, seen);
  lua_pushinteger(L, refused);
  return 2;
}
static int live_blocks(lua_State *L) { return lua_pushinteger(L, live), 1; }

static int unfinished_finalizers(lua_State *L) { return lua_pushinteger(L, unfinished), 1; }

/* Lua tells of an error in __gc by a warning, in pieces. */
static void count_warning(void *data, const char *text, int more) {
  (void)data, (void)more;
  if (strstr(text, "__gc")) unfinished++;
}

int luaopen_failing(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"arm", arm}, {"disarm", disarm}, {"live", live_blocks}, {"unfinished", unfinished_finalizers}, {NULL, NULL}};
  lua_setwarnf(L, count_warning, NULL);
  luaL_newlib(L, functions);
  return 1;
}
