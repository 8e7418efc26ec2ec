/* files.c -- files for Lua: ms.save (safetensors), and ms.tensorboard. ms.load and other formats: formats.c. */
#include "embed.h"
#include "pictures.h"
#include "data/data.h"
#include "data/npy.h"
#include "io/io.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- safetensors ------------------------------------------------------------------------------------------------- */

/* Push the names and the tensors of the table at index i as two lists; gives how many there are. The names are sorted, unless the
 * table is a list of {name, tensor}, whose order is kept. */
static int named_tensors(lua_State *L, int i, const char *what) {
  int n = 0, listed = (int)lua_rawlen(L, i), bad = ms_scope_open();
  lua_newtable(L);
  int list = lua_gettop(L);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
    if (listed && lua_type(L, -2) == LUA_TSTRING)
      msl_raise(L, bad, "%s: '%s' is a name in a list of {name, tensor}: expected one or the other", what, lua_tostring(L, -2));
    if (listed) continue;
    if (lua_type(L, -2) != LUA_TSTRING) msl_raise(L, bad, "%s: expected names as keys, got a %s", what, luaL_typename(L, -2));
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
    if (!lua_istable(L, -1)) msl_raise(L, bad, "%s: item %d: expected {name, tensor}, got %s", what, k, luaL_typename(L, -1));
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

/* The tensor at index -1 as an entry of that name; raises when it is none. NULL after ms_fail. */
static ms_tensor *entry_of(lua_State *L, int mark, const char *what, const char *name, ms_st_entry *e) {
  ms_tensor *t = msl_to(L, -1);
  if (!t && !lua_isuserdata(L, -1)) msl_raise(L, mark, "%s: '%s': expected a tensor, got %s", what, name, luaL_typename(L, -1));
  if (!t) {
    ms_scope_close(mark);
    const char *words = lua_pushfstring(L, "%s: '%s'", what, name);
    msl_check(L, -2, words);
  }
  if (!(t = msl_on_host(t))) return NULL;
  *e = (ms_st_entry){
      .name = name, .dtype = t->dtype, .rank = t->rank, .bytes = (size_t)ms_numel(t) * ms_dtype_size(t->dtype), .data = ms_data(t)};
  memcpy(e->shape, t->shape, sizeof e->shape);
  return t;
}

/* The tensors of the table at index i as entries in a userdata it pushes; fewer than *n after ms_fail. */
static ms_st_entry *entries_of(lua_State *L, int i, const char *what, int *count, int *mark) {
  if (!lua_istable(L, i))
    msl_raise(L, ms_scope_open(), "%s: expected a table of tensors by name, got %s", what, luaL_typename(L, i));
  if (luaL_getmetafield(L, i, "__newindex") != LUA_TNIL) /* a module or an optimizer, whose fields lie behind it: it looks empty */
    msl_raise(L, ms_scope_open(), "%s: expected a table of tensors by name (x:state_dict()), got an object", what);
  int n = *count = named_tensors(L, i, what), names = lua_gettop(L) - 1;
  ms_st_entry *e = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *e, 0);
  *mark = msl_enter(L);
  for (int k = 0; k < n && !ms_error(); k++) {
    lua_rawgeti(L, names, k + 1);
    lua_rawgeti(L, names + 1, k + 1);
    if (lua_type(L, -2) != LUA_TSTRING)
      msl_raise(L, *mark, "%s: item %d: expected a name first, got %s", what, k + 1, luaL_typename(L, -2));
    const char *name = lua_tostring(L, -2);
    if (strlen(name) != lua_rawlen(L, -2)) msl_raise(L, *mark, "%s: the name '%s' has a zero byte in it", what, name);
    entry_of(L, *mark, what, name, &e[k]);
    lua_pop(L, 2);
  }
  return e;
}

static bool ends_in(const char *path, const char *ending) {
  const size_t n = strlen(path), m = strlen(ending);
  return n >= m && !strcasecmp(path + n - m, ending);
}

/* ms.save(path, tensors [, metadata]): a safetensors file, written whole or not at all; raises when it cannot be. tensors: {name =
 * tensor}, written in the order of the names, or a list of {name, tensor}, written in that order. metadata: strings by name
 * (numbers and booleans become strings). A name that ends in .npz gives NumPy's npz, one that ends in .npy (with one tensor instead
 * of the table) npy; these have no metadata. */
static int save(lua_State *L) {
  msl_at_most(L, 3, "save");
  const char *path = msl_string(L, 1, "save", "the name of a file");
  const bool npz = ends_in(path, ".npz"), npy = ends_in(path, ".npy");
  if (!lua_isnoneornil(L, 3) && !lua_istable(L, 3))
    return msl_raise(L, ms_scope_open(), "save: expected metadata as a table, got %s", luaL_typename(L, 3));
  if ((npz || npy) && !lua_isnoneornil(L, 3))
    return msl_raise(L, ms_scope_open(), "save: %s: this format has no metadata; expected a name that ends in .safetensors", path);
  lua_settop(L, 3);
  int pairs_n = 0, n, mark;
  if (npy) {
    ms_st_entry e;
    lua_settop(L, 2);
    mark = msl_enter(L);
    if (entry_of(L, mark, "save", path, &e)) ms_npy_write(path, &e);
    return msl_leave(L, mark), 0;
  }
  if (!npz && msl_to(L, 2))
    return msl_raise(L, ms_scope_open(),
                     "save: expected a table of tensors by name, got a tensor: write { name = x }, or name a .npy");
  ms_st_pair *pairs = metadata_pairs(L, lua_istable(L, 3) ? 3 : 0, &pairs_n);
  ms_st_entry *e = entries_of(L, 2, "save", &n, &mark);
  if (!ms_error() && npz) ms_npz_write(path, n, e, false);
  else if (!ms_error()) ms_safetensors_write(path, n, e, pairs_n, pairs);
  msl_leave(L, mark);
  return 0;
}

/* data.write_npy(path, tensor) */
static int write_npy(lua_State *L) {
  const char *path = msl_string(L, 1, "write_npy", "the name of a file");
  ms_st_entry e;
  lua_settop(L, 2);
  msl_check(L, 2, "write_npy");
  int mark = msl_enter(L);
  if (entry_of(L, mark, "write_npy", path, &e)) ms_npy_write(path, &e);
  msl_leave(L, mark);
  return 0;
}

/* data.write_npz(path, tensors, compress) */
static int write_npz(lua_State *L) {
  const char *path = msl_string(L, 1, "write_npz", "the name of a file");
  const bool compress = lua_toboolean(L, 3);
  int n, mark;
  ms_st_entry *e = entries_of(L, 2, "write_npz", &n, &mark);
  if (!ms_error()) ms_npz_write(path, n, e, compress);
  msl_leave(L, mark);
  return 0;
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
  static const luaL_Reg inside[] = {{"write_npy", write_npy}, {"write_npz", write_npz}, {NULL, NULL}};
  msl_inside(L);
  lua_getfield(L, -1, "data");
  luaL_setfuncs(L, inside, 0);
  lua_pop(L, 2);
  static const luaL_Reg functions[] = {{"save", save}, {"tensorboard", tensorboard}, {NULL, NULL}};
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
