/* files.c -- files for Lua: ms.save (safetensors, npy, npz). ms.load and other formats: formats.c; ms.tensorboard: tensorboard.c.
 */
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
    if (!lua_istable(L, -1)) msl_raise(L, bad, "%s: item %d: expected {name, tensor}, got %s", what, k, msl_typename(L, -1));
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
      msl_raise(L, *mark, "%s: item %d: expected a name first, got %s", what, k + 1, msl_typename(L, -2));
    const char *name = lua_tostring(L, -2);
    if (strlen(name) != lua_rawlen(L, -2)) msl_raise(L, *mark, "%s: the name '%s' has a zero byte in it", what, name);
    if (!*name) msl_raise(L, *mark, "%s: expected names, one of them is empty", what);
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
  if (lua_istable(L, 1) && lua_type(L, 2) == LUA_TSTRING)
    return msl_raise(L, ms_scope_open(), "save: expected the name of a file first: ms.save(\"%s\", model:state_dict())",
                     lua_tostring(L, 2));
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

void msl_open_files(lua_State *L) { /* stack: module, methods */
  static const luaL_Reg inside[] = {{"write_npy", write_npy}, {"write_npz", write_npz}, {NULL, NULL}};
  msl_inside(L);
  lua_getfield(L, -1, "data");
  luaL_setfuncs(L, inside, 0);
  lua_pop(L, 2);
  static const luaL_Reg functions[] = {{"save", save}, {NULL, NULL}};
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
