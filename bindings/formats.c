/* formats.c -- ms.load: any file of the table of formats (runtime/data/format.c) as tensors, read or mapped. */
#include "data/format.h"
#include "formats.h"
#include "core/borrowed.h"
#include "io/mapped.h"
#include <string.h>

static void close_file(void *f) { ms_file_close(f); }

/* ---- options ----------------------------------------------------------------------------------------------------- */

/* Is the name among the option "names" at index i, a text or a list of texts? (0: all are.) */
static bool is_wanted(lua_State *L, int i, const char *name) {
  if (!i) return true;
  if (lua_type(L, i) == LUA_TSTRING) return !strcmp(lua_tostring(L, i), name);
  bool found = false;
  for (lua_Integer k = 1, n = luaL_len(L, i); k <= n && !found; k++) {
    lua_rawgeti(L, i, k);
    found = lua_type(L, -1) == LUA_TSTRING && !strcmp(lua_tostring(L, -1), name);
    lua_pop(L, 1);
  }
  return found;
}

static bool has_item(const ms_file *f, const char *name) {
  for (int k = 0; k < f->n; k++)
    if (f->items[k].name && !strcmp(f->items[k].name, name)) return true;
  return false;
}

/* Raise if the option "names" at index i is no text or list of texts, or names a tensor that the file does not have. */
static void check_wanted(lua_State *L, int mark, int i, const ms_file *f) {
  const bool one = lua_type(L, i) == LUA_TSTRING;
  if (!one && !lua_istable(L, i))
    msl_raise(L, mark, "load: names: expected the name of a tensor or a list of names, got %s", luaL_typename(L, i));
  for (lua_Integer k = 1, n = one ? 1 : luaL_len(L, i); k <= n; k++) {
    if (one) lua_pushvalue(L, i);
    else lua_rawgeti(L, i, k);
    if (lua_type(L, -1) != LUA_TSTRING)
      msl_raise(L, mark, "load: names: expected names, entry %d is a %s", (int)k, luaL_typename(L, -1));
    if (!has_item(f, lua_tostring(L, -1))) msl_raise(L, mark, "%s: there is no tensor '%s'", f->name, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
}

/* ---- items ------------------------------------------------------------------------------------------------------- */

/* The tensor of item k as it lies in the file, mapped. NULL after ms_fail. */
static ms_tensor *map_item(const ms_file *f, const ms_content *it, const int64_t *shape) {
  const char *name = it->name ? it->name : f->format->name;
  const size_t size = ms_dtype_size(it->dtype), bytes = (size_t)ms_content_count(it) * size;
  if (it->problem) return ms_fail("%s: '%s': %s", f->name, name, it->problem);
  if (!bytes) return ms_empty(it->dtype, it->rank, shape, ms_device_host());
  if (!it->at)
    return ms_fail(
        "%s: '%s' cannot be mapped (mmap = true): its elements are not in the file as they are in memory (compressed, of another "
        "byte order or dtype, truth values); read it, or write it anew without compression",
        f->name, name);
  if (it->at % size)
    return ms_fail("%s: '%s' cannot be mapped (mmap = true): its elements begin at byte %llu of the file, no multiple of their "
                   "size; a .npz or .npy that ms.save wrote "
                   "has them so",
                   f->name, name, (unsigned long long)it->at);
  ms_mapping *m = ms_map(f->name, it->at, bytes);
  ms_tensor *t = m ? ms_borrowed(it->dtype, it->rank, shape, ms_mapped_data(m), ms_unmap, m) : NULL;
  if (m && !t) ms_unmap(m);
  return t;
}

/* NULL after ms_fail. */
static ms_tensor *item_tensor(ms_file *f, int k, ms_device *device, bool map) {
  const ms_content *it = &f->items[k];
  int64_t shape[MS_MAX_RANK];
  ms_ints order = {.n = it->rank};
  for (int d = 0; d < it->rank; d++) {
    order.at[d] = it->reversed ? it->rank - 1 - d : d;
    shape[d] = it->shape[order.at[d]];
  }
  ms_tensor *t = map ? map_item(f, it, shape) : it->problem ? NULL : ms_empty(it->dtype, it->rank, shape, ms_device_host());
  if (!map && it->problem)
    return ms_fail("%s: '%s': %s (others beside it can be read by the option names = { ... })", f->name, it->name, it->problem);
  if (!t || (!map && ms_file_read(f, k, ms_data(t)))) return NULL;
  if (it->reversed) t = ms_permute(t, order);
  return ms_to_device(t, device ? device : ms_device_default());
}

static int push_texts(lua_State *L, ms_file *f, int k) {
  const size_t n = (size_t)f->items[k].shape[0];
  const char **texts = lua_newuserdatauv(L, (n + 1) * sizeof *texts, 0);
  if (ms_file_read(f, k, texts)) return -1;
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_pushstring(L, texts[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_remove(L, -2);
  return 0;
}

static void push_name(lua_State *L, const ms_file *f, const char *name) {
  if (!f->numbered || !lua_stringtonumber(L, name)) lua_pushstring(L, name);
}

int msl_push_file(lua_State *L, ms_file *f, ms_device *device, bool map, int wanted) {
  const bool bare = f->n && !f->items[0].name;
  const int top = lua_gettop(L);
  if (bare) lua_pushnil(L);
  lua_createtable(L, 0, f->n);
  if (!bare) lua_createtable(L, 0, f->n_metadata);
  lua_createtable(L, f->n, 0);
  const int table = top + (bare ? 2 : 1), names = top + 3;
  for (int k = 0; k < f->n; k++) {
    const ms_content *it = &f->items[k];
    if (!bare && !is_wanted(L, wanted, it->name)) continue;
    int inner = ms_scope_open();
    if (it->texts) {
      if (push_texts(L, f, k)) return -1;
    } else {
      ms_tensor *t = item_tensor(f, k, device, map);
      if (!t) return -1;
      msl_push(L, t);
    }
    ms_scope_close(inner);
    if (!it->name) lua_replace(L, top + 1);
    else {
      push_name(L, f, it->name);
      lua_insert(L, -2);
      lua_rawset(L, table);
    }
    if (!it->name || f->columns) continue;
    lua_pushstring(L, it->name);
    lua_rawseti(L, names, luaL_len(L, names) + 1);
  }
  for (int k = 0; k < f->n_metadata; k++) {
    lua_pushstring(L, f->metadata[k].value);
    lua_setfield(L, top + 2, f->metadata[k].key);
  }
  for (int k = 0; k < f->n_columns; k++) {
    push_name(L, f, f->columns[k]);
    lua_rawseti(L, names, k + 1);
  }
  return 0;
}

/* ms.load(path [, {device =, max_bytes =, names =, mmap =}]) -> what the file holds, told by what it begins with, not by its name:
 * tensors by name, metadata by key (strings), list of the names in the file's order, from safetensors and npz; one tensor from npy,
 * IDX, PNG and JPEG (u8, channels x height x width). names: only these are read (a name or a list of names). mmap: the tensors are
 * the file itself, looked at when they are needed, so that it may be larger than memory; changed in place they become copies, and
 * the file stays. Raises when the file is not there or is not sound, and when all its tensors would take more memory than 8 times
 * the file and 64 MB, or than max_bytes where that is given. Dtypes that there are not become what holds all their values: I8, I16,
 * U16 i32; U32, U64 i64; floats of 4 and 8 bits f32; complex numbers pairs. */
static int load(lua_State *L) {
  static const char *const names[] = {"device", "max_bytes", "names", "mmap", NULL};
  msl_at_most(L, 2, "load");
  const char *path = msl_string(L, 1, "load", "the name of a file");
  int options = lua_isnoneornil(L, 2) ? 0 : 2;
  uint64_t max_bytes = 0;
  int wanted = 0;
  bool map = false;
  if (options) {
    msl_check_options(L, options, "load", names);
    map = msl_flag(L, options, "load", "mmap", false);
    if (lua_getfield(L, options, "names") != LUA_TNIL) wanted = lua_gettop(L);
    lua_getfield(L, options, "max_bytes");
    max_bytes = msl_max_bytes(L, -1, "load");
    lua_pop(L, 1);
  }
  ms_device *device = msl_device(L, options);
  if (map && !max_bytes) max_bytes = UINT64_MAX; /* nothing is read */
  msl_owned *g = msl_own(L, close_file);
  int mark = msl_enter(L);
  ms_file *f = g->p = ms_file_open(path, max_bytes);
  if (!f) return msl_leave(L, mark), 0;
  if (wanted && f->n && !f->items[0].name)
    return msl_raise(L, mark, "%s: names: there are none in this file (%s)", path, f->format->what);
  if (wanted) check_wanted(L, mark, wanted, f);
  const bool one = f->n == 1 && !f->items[0].name && !f->columns;
  msl_push_file(L, f, device, map, wanted);
  msl_owned_free(g);
  msl_leave(L, mark);
  if (one) lua_pop(L, 2); /* so that { ms.load(path) } is a list of one */
  return one ? 1 : 3;
}

/* data.names_in(path) -> list of the names of what the file holds */
static int names_in(lua_State *L) {
  const char *path = msl_string(L, 1, "data", "the name of a file");
  msl_owned *g = msl_own(L, close_file);
  int mark = msl_enter(L);
  const ms_file *f = g->p = ms_file_open(path, UINT64_MAX); /* nothing is read */
  lua_newtable(L);
  for (int k = 0; f && k < f->n; k++) {
    lua_pushstring(L, f->items[k].name);
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
  }
  msl_owned_free(g);
  msl_leave(L, mark);
  return 1;
}

void msl_open_formats(lua_State *L) { /* stack: module, methods */
  msl_inside(L);
  lua_getfield(L, -1, "data");
  lua_pushcfunction(L, names_in);
  lua_setfield(L, -2, "names_in");
  lua_pop(L, 2);
  lua_pushcfunction(L, load);
  lua_setfield(L, -3, "load");
}
