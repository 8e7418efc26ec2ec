/* folder.c -- picture files for Lua, decoded ahead by threads: scripts/mascon/folder.lua is the face; it finds these functions in
 * inside.data. */
#include "data/folder.h"
#include "data/data.h"
#include "host.h"
#include <string.h>

#define AHEAD "mascon.ahead"

typedef struct ahead {
  ms_ahead *a; /* NULL after close */
  ms_fit fit;
  const char **paths; /* of each picture, in order; the list at user value 1 holds them */
} ahead;

static int ahead_gc(lua_State *L) {
  ahead *h = luaL_checkudata(L, 1, AHEAD);
  ms_ahead_free(h->a);
  h->a = NULL;
  return 0;
}

/* data.picture_size(path, channels) -> height, width */
static int picture_size(lua_State *L) {
  const char *path = msl_string(L, 1, "data.folder", "the name of a file");
  int channels = (int)luaL_checkinteger(L, 2), height = 0, width = 0, mark = msl_enter(L);
  ms_picture_size(path, channels, &height, &width);
  msl_leave(L, mark);
  lua_pushinteger(L, height);
  lua_pushinteger(L, width);
  return 2;
}

/* data.ahead(paths, rows, first, count, room, channels, height, width, resize, crop) -> reader of the pictures paths[rows[first]],
 * ...: rows is an i64 tensor of positions in the list, nil: paths[first], ... */
static int new_ahead(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  ms_tensor *rows = lua_isnil(L, 2) ? NULL : msl_check(L, 2, "folder");
  const int64_t first = luaL_checkinteger(L, 3), n = luaL_checkinteger(L, 4), room = luaL_checkinteger(L, 5);
  const int64_t all = (int64_t)lua_rawlen(L, 1);
  const ms_fit fit = {.channels = (int)luaL_checkinteger(L, 6),
                      .height = (int)luaL_checkinteger(L, 7),
                      .width = (int)luaL_checkinteger(L, 8),
                      .resize = lua_toboolean(L, 9),
                      .crop = lua_toboolean(L, 10)};
  const int64_t given = rows ? ms_numel(rows) : all;
  if (first < 1 || n < 0 || first - 1 > given - n || (rows && (rows->dtype != MS_I64 || !ms_data(rows) || !ms_is_contiguous(rows))))
    return msl_raise(L, ms_scope_open(), "folder: pictures %lld..%lld of %lld", (long long)first, (long long)(first + n - 1),
                     (long long)given);
  ahead *h = lua_newuserdatauv(L, sizeof *h, 2);
  *h = (ahead){.fit = fit};
  luaL_setmetatable(L, AHEAD);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  h->paths = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *h->paths, 0);
  lua_setiuservalue(L, -2, 2);
  const int64_t *row = rows ? (const int64_t *)ms_data(rows) + first - 1 : NULL;
  for (int64_t i = 0; i < n; i++) {
    lua_rawgeti(L, 1, row ? row[i] : first + i);
    if (lua_type(L, -1) != LUA_TSTRING)
      return msl_raise(L, ms_scope_open(), "folder: there is no picture %lld", (long long)(i + first));
    h->paths[i] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  int mark = msl_enter(L);
  h->a = ms_ahead_new(n, h->paths, &fit, room);
  msl_leave(L, mark);
  return 1;
}

/* data.picture_room(n, channels, height, width) -> u8 tensor in host memory, not filled yet: big ones cost time to fill twice */
static int picture_room(lua_State *L) {
  int64_t shape[4];
  for (int d = 0; d < 4; d++) shape[d] = luaL_checkinteger(L, d + 1);
  int mark = msl_enter(L);
  msl_push(L, ms_empty(MS_U8, 4, shape, ms_device_host()));
  msl_leave(L, mark);
  return 1;
}

/* data.ahead_next(reader, tensor, first, count): the next `count` pictures to tensor[first], ...: u8, N x C x H x W in host memory
 */
static int ahead_next(lua_State *L) {
  const ahead *h = luaL_checkudata(L, 1, AHEAD);
  ms_tensor *t = msl_check(L, 2, "folder");
  const int64_t first = luaL_checkinteger(L, 3), n = luaL_checkinteger(L, 4);
  int mark = msl_enter(L);
  if (!h->a || t->dtype != MS_U8 || t->rank != 4 || !ms_data(t) || !ms_is_contiguous(t) || t->shape[1] != h->fit.channels ||
      t->shape[2] != h->fit.height || t->shape[3] != h->fit.width || first < 1 || n < 0 || first - 1 > t->shape[0] - n)
    return msl_raise(L, mark, "folder: pictures do not fit into %s", ms_shape_str(t));
  ms_ahead_next(h->a, n, (uint8_t *)ms_data(t) + (size_t)(first - 1) * (size_t)(t->shape[1] * t->shape[2] * t->shape[3]));
  ms_touch(t);
  msl_leave(L, mark);
  return 0;
}

void msl_open_folder(lua_State *L) {
  static const luaL_Reg functions[] = {{"picture_size", picture_size}, {"picture_room", picture_room}, {"ahead", new_ahead},
                                       {"ahead_next", ahead_next},     {"ahead_close", ahead_gc},      {NULL, NULL}};
  msl_metatable(L, AHEAD);
  lua_pushcfunction(L, ahead_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  msl_inside(L);
  lua_getfield(L, -1, "data");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 2);
}
