/* files.c -- files for Lua: ms.save and ms.load (safetensors), and ms.tensorboard. */
#include "embed.h"
#include "pictures.h"
#include "data/data.h"
#include "io/io.h"
#include <stdlib.h>
#include <string.h>

/* ---- safetensors ------------------------------------------------------------------------------------------------- */

/* Push the names and the tensors of the table at index i as two lists; gives how many there are. The names are sorted, unless the
 * table is a list of {name, tensor}, whose order is kept. */
static int named_tensors(lua_State *L, int i) {
  int n = 0, listed = (int)lua_rawlen(L, i), bad = ms_scope_open();
  lua_newtable(L);
  int list = lua_gettop(L);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
    if (listed && lua_type(L, -2) == LUA_TSTRING)
      msl_raise(L, bad, "save: '%s' is a name in a list of {name, tensor}: expected one or the other", lua_tostring(L, -2));
    if (listed) continue;
    if (lua_type(L, -2) != LUA_TSTRING) msl_raise(L, bad, "save: expected names as keys, got a %s", luaL_typename(L, -2));
    lua_pushvalue(L, -2);
    lua_rawseti(L, list, ++n);
  }
  if (n) {
    lua_getglobal(L, "table");
    lua_getfield(L, -1, "sort");
    lua_pushvalue(L, list);
    lua_call(L, 1, 0);
    lua_pop(L, 1);
  }
  for (int k = 1; k <= n; k++) {
    lua_rawgeti(L, list, k);
    lua_rawget(L, i);
    lua_rawseti(L, list + 1, k);
  }
  for (int k = 1; k <= listed; k++) {
    lua_rawgeti(L, i, k);
    if (!lua_istable(L, -1)) msl_raise(L, bad, "save: item %d: expected {name, tensor}, got %s", k, luaL_typename(L, -1));
    for (int j = 1; j <= 2; j++) {
      lua_rawgeti(L, -1, j);
      lua_rawseti(L, list + j - 1, k);
    }
    lua_pop(L, 1);
  }
  return listed ? listed : n;
}

/* The strings of the metadata table at index i as pairs in a userdata it pushes; keys sorted. */
static ms_st_pair *metadata_pairs(lua_State *L, int i, int *n) {
  int bad = ms_scope_open(), top;
  *n = 0;
  lua_newtable(L); /* anchors keys, then values */
  top = lua_gettop(L);
  for (lua_pushnil(L); i && lua_next(L, i); lua_pop(L, 1)) {
    int t = lua_type(L, -1);
    if (lua_type(L, -2) != LUA_TSTRING)
      msl_raise(L, bad, "save: metadata: expected strings as keys, got a %s", luaL_typename(L, -2));
    if (t != LUA_TSTRING && t != LUA_TNUMBER && t != LUA_TBOOLEAN)
      msl_raise(L, bad, "save: metadata '%s': expected a string, a number or a boolean, got %s", lua_tostring(L, -2),
                luaL_typename(L, -1));
    lua_pushvalue(L, -2);
    lua_rawseti(L, top, ++*n);
  }
  ms_st_pair *pairs = lua_newuserdatauv(L, (size_t)(*n + 1) * sizeof *pairs, 0);
  if (*n) {
    lua_getglobal(L, "table");
    lua_getfield(L, -1, "sort");
    lua_pushvalue(L, top);
    lua_call(L, 1, 0);
    lua_pop(L, 1);
  }
  for (int k = 0; k < *n; k++) {
    lua_rawgeti(L, top, k + 1);
    pairs[k].key = msl_string(L, -1, "save: metadata", "text as key");
    lua_rawget(L, i);
    luaL_tolstring(L, -1, NULL);
    pairs[k].value = msl_string(L, -1, "save: metadata", "text");
    lua_rawseti(L, top, *n + k + 1);
    lua_pop(L, 1);
  }
  return pairs;
}

/* ms.save(path, tensors [, metadata]): a safetensors file, written whole or not at all; raises when it cannot be. tensors: {name =
 * tensor}, written in the order of the names, or a list of {name, tensor}, written in that order. metadata: strings by name
 * (numbers and booleans become strings). */
static int save(lua_State *L) {
  msl_at_most(L, 3, "save");
  const char *path = msl_string(L, 1, "save", "the name of a file");
  if (!lua_istable(L, 2))
    return msl_raise(L, ms_scope_open(), "save: expected a table of tensors by name, got %s", luaL_typename(L, 2));
  if (luaL_getmetafield(L, 2, "__newindex") != LUA_TNIL) /* a module or an optimizer, whose fields lie behind it: it looks empty */
    return msl_raise(L, ms_scope_open(), "save: expected a table of tensors by name (x:state_dict()), got an object");
  if (!lua_isnoneornil(L, 3) && !lua_istable(L, 3))
    return msl_raise(L, ms_scope_open(), "save: expected metadata as a table, got %s", luaL_typename(L, 3));
  lua_settop(L, 3);
  int pairs_n, n = named_tensors(L, 2), names = lua_gettop(L) - 1;
  ms_st_pair *pairs = metadata_pairs(L, lua_istable(L, 3) ? 3 : 0, &pairs_n);
  ms_st_entry *e = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *e, 0);
  int mark = msl_enter(L);
  for (int k = 0; k < n; k++) {
    lua_rawgeti(L, names, k + 1);
    lua_rawgeti(L, names + 1, k + 1);
    if (lua_type(L, -2) != LUA_TSTRING)
      return msl_raise(L, mark, "save: item %d: expected a name first, got %s", k + 1, luaL_typename(L, -2));
    const char *name = lua_tostring(L, -2);
    if (strlen(name) != lua_rawlen(L, -2)) return msl_raise(L, mark, "save: the name '%s' has a zero byte in it", name);
    ms_tensor *t = msl_to(L, -1);
    if (!t && !lua_isuserdata(L, -1))
      return msl_raise(L, mark, "save: '%s': expected a tensor, got %s", name, luaL_typename(L, -1));
    if (!t) {
      ms_scope_close(mark);
      const char *what = lua_pushfstring(L, "save: '%s'", name);
      msl_check(L, -2, what);
    }
    lua_pop(L, 2);
    if (!(t = msl_on_host(t))) break;
    e[k] = (ms_st_entry){.name = name,
                         .dtype = t->dtype,
                         .rank = t->rank,
                         .bytes = (size_t)ms_numel(t) * ms_dtype_size(t->dtype),
                         .data = ms_data(t)};
    memcpy(e[k].shape, t->shape, sizeof e[k].shape);
  }
  if (!ms_error()) ms_safetensors_write(path, n, e, pairs_n, pairs);
  msl_leave(L, mark);
  return 0;
}

static void close_safetensors(void *s) { ms_safetensors_close(s); }

/* Is the name among the option "names" at index i, a text or a list of texts? */
static bool is_wanted(lua_State *L, int i, const char *name) {
  if (lua_type(L, i) == LUA_TSTRING) return !strcmp(lua_tostring(L, i), name);
  bool found = false;
  for (lua_Integer k = 1, n = luaL_len(L, i); k <= n && !found; k++) {
    lua_rawgeti(L, i, k);
    found = lua_type(L, -1) == LUA_TSTRING && !strcmp(lua_tostring(L, -1), name);
    lua_pop(L, 1);
  }
  return found;
}

/* Raise if the option "names" at index i is no text or list of texts, or names a tensor that the file does not have. */
static void check_wanted(lua_State *L, int mark, int i, const ms_safetensors *s, const char *path) {
  const bool one = lua_type(L, i) == LUA_TSTRING;
  if (!one && !lua_istable(L, i))
    msl_raise(L, mark, "load: names: expected the name of a tensor or a list of names, got %s", luaL_typename(L, i));
  for (lua_Integer k = 1, n = one ? 1 : luaL_len(L, i); k <= n; k++) {
    if (one) lua_pushvalue(L, i);
    else lua_rawgeti(L, i, k);
    if (lua_type(L, -1) != LUA_TSTRING)
      msl_raise(L, mark, "load: names: expected names, entry %d is a %s", (int)k, luaL_typename(L, -1));
    if (!ms_safetensors_find(s, lua_tostring(L, -1))) msl_raise(L, mark, "%s: there is no tensor '%s'", path, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
}

/* ms.load(path [, {device =, max_bytes =, names =}]) -> tensors by name, metadata by key (strings), list of the names in the file's
 * order. names: only these are read (a name or a list of names). Raises when the file is not there or is no sound safetensors file,
 * and when all its tensors would take more memory than 8 times the file and 64 MB, or than max_bytes where that is given. Dtypes
 * that there are not become what holds all their values: I8, I16, U16 i32; U32, U64 i64; floats of 4 and 8 bits f32; C64 pairs of
 * f32. */
static int load(lua_State *L) {
  static const char *const names[] = {"device", "max_bytes", "names", NULL};
  msl_at_most(L, 2, "load");
  const char *path = msl_string(L, 1, "load", "the name of a file");
  int options = lua_isnoneornil(L, 2) ? 0 : 2;
  uint64_t max_bytes = 0;
  int wanted = 0;
  if (options) {
    msl_check_options(L, options, "load", names);
    if (lua_getfield(L, options, "names") != LUA_TNIL) wanted = lua_gettop(L);
    lua_getfield(L, options, "max_bytes");
    max_bytes = msl_max_bytes(L, -1, "load");
    lua_pop(L, 1);
  }
  ms_device *device = msl_device(L, options);
  msl_owned *g = msl_own(L, close_safetensors);
  int mark = msl_enter(L);
  const ms_safetensors *s = g->p = ms_safetensors_open(path, max_bytes);
  if (!s) return msl_leave(L, mark), 0;
  if (wanted) check_wanted(L, mark, wanted, s, path);
  lua_createtable(L, 0, s->n);
  lua_createtable(L, 0, s->n_metadata);
  lua_createtable(L, s->n, 0);
  for (int k = 0; k < s->n; k++) {
    const ms_st_entry *e = &s->entries[k];
    if (wanted && !is_wanted(L, wanted, e->name)) continue;
    int inner = ms_scope_open();
    ms_tensor *t = ms_empty(e->dtype, e->rank, e->shape, ms_device_host());
    if (!t || ms_safetensors_read(s, e, ms_data(t)) || !(t = ms_to_device(t, device ? device : ms_device_default()))) break;
    msl_push(L, t);
    ms_scope_close(inner);
    lua_setfield(L, -4, e->name);
    lua_pushstring(L, e->name);
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
  }
  for (int k = 0; k < s->n_metadata; k++) {
    lua_pushstring(L, s->metadata[k].value);
    lua_setfield(L, -3, s->metadata[k].key);
  }
  msl_owned_free(g);
  msl_leave(L, mark);
  return 3;
}

/* ---- TensorBoard ------------------------------------------------------------------------------------------------- */

#define WRITER "mascon.tensorboard"

typedef struct writer {
  ms_events *e; /* NULL after close */
} writer;

static ms_events *events(lua_State *L, const char *what) {
  writer *w = luaL_checkudata(L, 1, WRITER);
  if (!w->e) msl_raise(L, ms_scope_open(), "tensorboard:%s: the writer is closed", what);
  return w->e;
}

static int64_t step_at(lua_State *L, int i, const char *what) {
  int ok;
  lua_Integer s = lua_tointegerx(L, i, &ok);
  if (!ok)
    msl_raise(L, ms_scope_open(), "tensorboard:%s: expected the step (a whole number) after the value, got %s", what,
              lua_isnoneornil(L, i) ? "nothing" : luaL_tolstring(L, i, NULL));
  return s;
}

/* ms.tensorboard(folder [, {resume = step}]) -> writer: a new event file in the folder, which is made if need be. resume: what
 * earlier files say from that step on is dropped by the reader. Failures to write raise. */
static int tensorboard(lua_State *L) {
  static const char *const names[] = {"resume", NULL};
  const char *folder = msl_string(L, 1, "tensorboard", "the name of a folder");
  int options = lua_isnoneornil(L, 2) ? 0 : 2, ok = 1;
  lua_Integer resume = 0;
  bool resumed = false;
  if (options) {
    msl_check_options(L, options, "tensorboard", names);
    resumed = lua_getfield(L, options, "resume") != LUA_TNIL && (!lua_isboolean(L, -1) || lua_toboolean(L, -1));
    if (resumed) resume = lua_tointegerx(L, -1, &ok);
    if (!ok) return msl_raise(L, ms_scope_open(), "tensorboard: resume: expected a step, got %s", luaL_typename(L, -1));
  }
  writer *w = lua_newuserdatauv(L, sizeof *w, 0);
  w->e = NULL;
  luaL_setmetatable(L, WRITER);
  int mark = msl_enter(L);
  w->e = ms_events_open(folder);
  if (w->e && resumed) ms_events_resume(w->e, resume);
  msl_leave(L, mark);
  return 1;
}

/* The number in a number, a tensor of one element, or anything with value() (a mean) or item(). */
static double number_at(lua_State *L, int i, const char *tag) {
  int ok;
  double v = lua_tonumberx(L, i, &ok);
  if (ok && lua_type(L, i) == LUA_TNUMBER) return v;
  ms_tensor *t = msl_to(L, i);
  if (t) {
    int mark = msl_enter(L);
    v = ms_item(t);
    msl_leave(L, mark);
    return v;
  }
  if (lua_istable(L, i) && lua_getfield(L, i, "value") == LUA_TFUNCTION) {
    lua_pushvalue(L, i);
    lua_call(L, 1, 1);
    v = lua_tonumberx(L, -1, &ok);
    lua_pop(L, 1);
    if (ok) return v;
  }
  msl_raise(L, ms_scope_open(), "tensorboard:scalar '%s': expected a number, a tensor of one element or a mean, got %s", tag,
            lua_isnoneornil(L, i) ? "nothing" : luaL_typename(L, i));
  return 0;
}

#define TAG "the tag, a string, first"

/* writer:scalar(tag, value, step) */
static int writer_scalar(lua_State *L) {
  ms_events *e = events(L, "scalar");
  const char *tag = msl_string(L, 2, "tensorboard:scalar", TAG);
  double v = number_at(L, 3, tag);
  int64_t step = step_at(L, 4, "scalar");
  int mark = msl_enter(L);
  ms_events_scalar(e, tag, step, v);
  msl_leave(L, mark);
  lua_settop(L, 1);
  return 1;
}

static void free_png(void *p) { free(p); }

/* writer:image(tag, picture or pictures, step [, options of ms.image.grid]) */
static int writer_image(lua_State *L) {
  ms_events *e = events(L, "image");
  const char *tag = msl_string(L, 2, "tensorboard:image", TAG);
  int64_t step = step_at(L, 4, "image");
  int options = lua_isnoneornil(L, 5) ? 0 : 5;
  lua_settop(L, 5);
  msl_owned *png = msl_own(L, free_png);
  int mark = msl_enter(L);
  msl_owned *g = msl_picture(L, mark, 3, options, "tensorboard:image");
  const ms_image *im = g->p;
  size_t size;
  if ((png->p = ms_png_encode(im, &size))) ms_events_image(e, tag, step, im->width, im->height, im->channels, png->p, size);
  msl_owned_free(g);
  msl_owned_free(png);
  msl_leave(L, mark);
  lua_settop(L, 1);
  return 1;
}

/* writer:histogram(tag, tensor, step) */
static int writer_histogram(lua_State *L) {
  ms_events *e = events(L, "histogram");
  const char *tag = msl_string(L, 2, "tensorboard:histogram", TAG);
  ms_tensor *t = msl_check(L, 3, "tensorboard:histogram");
  int64_t step = step_at(L, 4, "histogram");
  int mark = msl_enter(L);
  t = msl_on_host(ms_cast(ms_detach(t), MS_F32));
  if (t) ms_events_histogram(e, tag, step, ms_data(t), (size_t)ms_numel(t));
  msl_leave(L, mark);
  lua_settop(L, 1);
  return 1;
}

/* writer:text(tag, text, step) */
static int writer_text(lua_State *L) {
  ms_events *e = events(L, "text");
  const char *tag = msl_string(L, 2, "tensorboard:text", TAG), *text = msl_string(L, 3, "tensorboard:text", "a text");
  int64_t step = step_at(L, 4, "text");
  int mark = msl_enter(L);
  ms_events_text(e, tag, step, text);
  msl_leave(L, mark);
  lua_settop(L, 1);
  return 1;
}

static int writer_flush(lua_State *L) {
  ms_events *e = events(L, "flush");
  int mark = msl_enter(L);
  ms_events_flush(e);
  msl_leave(L, mark);
  lua_settop(L, 1);
  return 1;
}

/* writer:path() -> the event file's name */
static int writer_path(lua_State *L) { return lua_pushstring(L, ms_events_path(events(L, "path"))), 1; }

/* writer:close(): writes what is left; harmless twice. */
static int writer_close(lua_State *L) {
  writer *w = luaL_checkudata(L, 1, WRITER);
  ms_events *e = w->e;
  int mark = msl_enter(L);
  w->e = NULL;
  ms_events_close(e);
  msl_leave(L, mark);
  return 0;
}

static int writer_gc(lua_State *L) {
  writer *w = luaL_checkudata(L, 1, WRITER);
  if (w->e && ms_events_close(w->e)) ms_error_clear();
  w->e = NULL;
  return 0;
}

void msl_open_files(lua_State *L) { /* stack: module, methods */
  static const luaL_Reg methods[] = {
      {"scalar", writer_scalar}, {"image", writer_image}, {"histogram", writer_histogram}, {"text", writer_text},
      {"flush", writer_flush},   {"close", writer_close}, {"path", writer_path},           {NULL, NULL}};
  msl_metatable(L, WRITER);
  lua_pushcfunction(L, writer_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, writer_close);
  lua_setfield(L, -2, "__close");
  luaL_newlib(L, methods);
  ms_lua_name_hints(L, "tensorboard");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  static const luaL_Reg functions[] = {{"save", save}, {"load", load}, {"tensorboard", tensorboard}, {NULL, NULL}};
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
