/* csv.c -- tables as text for Lua: scripts/mascon/csv.lua is the face; it finds these functions in inside.data. */
#include "data/csv.h"
#include "formats.h"
#include <string.h>

static void close_file(void *f) { ms_file_close(f); }

/* The list of names and places at index i (checked in csv.lua) as an array in a userdata it pushes. */
static const ms_csv_column *columns_at(lua_State *L, int i, int *n) {
  *n = lua_istable(L, i) ? (int)lua_rawlen(L, i) : 0;
  ms_csv_column *list = lua_newuserdatauv(L, (size_t)(*n + 1) * sizeof *list, 0);
  for (int k = 0; k < *n; k++) {
    lua_rawgeti(L, i, k + 1);
    list[k] = (ms_csv_column){.name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL, .place = lua_tointeger(L, -1)};
    lua_pop(L, 1);
  }
  return list;
}

/* data.read_csv(path, delimiter or nil, header or nil, dtype, strict, text, columns, max_bytes) -> numbers, texts by name, names of
 * the columns of numbers */
static int read_csv(lua_State *L) {
  const char *path = msl_string(L, 1, "read_csv", "the name of a file");
  ms_csv_options o = {.delimiter = lua_isstring(L, 2) ? *lua_tostring(L, 2) : 0,
                      .header = lua_isnil(L, 3) ? -1 : lua_toboolean(L, 3),
                      .dtype = !strcmp(luaL_checkstring(L, 4), "f64") ? MS_F64 : MS_F32,
                      .strict = lua_toboolean(L, 5),
                      .all_text = lua_isboolean(L, 6) && lua_toboolean(L, 6)};
  uint64_t max_bytes = msl_max_bytes(L, 8, "read_csv");
  o.text = columns_at(L, 6, &o.n_text);
  o.columns = columns_at(L, 7, &o.n_columns);
  msl_owned *g = msl_own(L, close_file);
  int mark = msl_enter(L);
  ms_file *f = g->p = ms_file_open_as(&ms_format_csv, path, max_bytes, &o);
  if (f) msl_push_file(L, f, ms_device_host(), false, 0);
  msl_owned_free(g);
  msl_leave(L, mark);
  return 3;
}

/* The texts of the list at index -1 as an array in a userdata that takes its place. */
static const char *const *texts_at(lua_State *L, int mark, int64_t rows, int column) {
  const char **texts = lua_newuserdatauv(L, (size_t)(rows + 1) * sizeof *texts, 0);
  for (int64_t r = 0; r < rows; r++) {
    lua_rawgeti(L, -2, r + 1);
    size_t n = 0;
    texts[r] = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL; /* the list holds it */
    if (!texts[r] || strlen(texts[r]) != n)
      msl_raise(L, mark, "write_csv: column %d: expected texts without zero bytes, entry %d is a %s", column, (int)r + 1,
                luaL_typename(L, -1));
    lua_pop(L, 1);
  }
  return texts;
}

/* data.write_csv(path, columns, rows, delimiter): columns is a list of { values =, name = }: tensors of one dimension, or lists of
 * texts, `rows` long (checked in csv.lua) */
static int write_csv(lua_State *L) {
  const char *path = msl_string(L, 1, "write_csv", "the name of a file");
  const int n = (int)lua_rawlen(L, 2);
  const int64_t rows = luaL_checkinteger(L, 3);
  const char delimiter = *luaL_checkstring(L, 4);
  ms_csv_values *v = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *v, 0);
  luaL_checkstack(L, 2 * n + 20, "write_csv: too many columns");
  int mark = msl_enter(L);
  for (int k = 0; k < n; k++) {
    v[k] = (ms_csv_values){.name = NULL};
    lua_rawgeti(L, 2, k + 1);
    if (lua_getfield(L, -1, "name") == LUA_TSTRING) v[k].name = lua_tostring(L, -1);
    lua_pop(L, 1);
    lua_getfield(L, -1, "values");
    lua_remove(L, -2);
    ms_tensor *t = msl_to(L, -1);
    if (!t) {
      v[k].texts = texts_at(L, mark, rows, k + 1);
      continue;
    }
    t = ms_detach(t);
    if (t && (t->dtype == MS_F16 || t->dtype == MS_BF16)) t = ms_cast(t, MS_F32);
    t = ms_to_device(t, ms_device_host());
    if (!t) break;
    v[k].dtype = (ms_dtype)t->dtype, v[k].data = ms_data(t);
    v[k].stride = (size_t)t->stride[0] * ms_dtype_size(t->dtype);
  }
  if (!ms_error()) ms_csv_write(path, n, v, rows, delimiter);
  msl_leave(L, mark);
  return 0;
}

void msl_open_csv(lua_State *L) {
  static const luaL_Reg functions[] = {{"read_csv", read_csv}, {"write_csv", write_csv}, {NULL, NULL}};
  msl_inside(L);
  lua_getfield(L, -1, "data");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 2);
}
