/* download.c -- downloads and digests for Lua (scripts/mascon/download.lua is their face). */
#include "io/download.h"
#include "host.h"
#include "io/digest.h"
#include <string.h>

#define DOWNLOAD "mascon.download"

static int done(lua_State *L) {
  ms_download **d = luaL_checkudata(L, 1, DOWNLOAD);
  ms_download_close(*d);
  *d = NULL;
  return 0;
}

/* What the core failed with as nil and a message; Ctrl-C is raised. */
static int failed(lua_State *L, int mark) {
  if (ms_interrupted()) msl_leave(L, mark);
  lua_pushnil(L);
  lua_pushstring(L, ms_error());
  ms_error_clear();
  msl_leave(L, mark);
  return 2;
}

/* download:step() -> true where more is to come, false where all is there; bytes that are there, bytes in all (0: not known), what
 * the server names the state of the file by (""); or nil, a message, 0 and that state */
static int step(lua_State *L) {
  ms_download **d = luaL_checkudata(L, 1, DOWNLOAD);
  ms_download_progress p = {0};
  const int mark = msl_enter(L), rc = *d ? ms_download_step(*d, &p) : (ms_fail("download: it is closed"), -1);
  if (rc < 0) {
    failed(L, mark);
    lua_pushinteger(L, 0);
    lua_pushstring(L, *d ? ms_download_state(*d) : "");
    return 4;
  }
  msl_leave(L, mark);
  lua_pushboolean(L, rc);
  lua_pushinteger(L, (lua_Integer)p.have);
  lua_pushinteger(L, (lua_Integer)p.total);
  lua_pushstring(L, ms_download_state(*d));
  return 4;
}

/* data.download(url, path, most bytes or nil, seconds to connect, seconds without a byte, is what lies at path no part of it?,
 * state or nil) -> download, or nil and a message */
static int begin(lua_State *L) {
  const ms_download_wish w = {.url = msl_string(L, 1, "download", "an address"),
                              .path = msl_string(L, 2, "download", "the name of a file"),
                              .most = (uint64_t)luaL_optinteger(L, 3, 0),
                              .connect = luaL_checknumber(L, 4),
                              .stall = luaL_checknumber(L, 5),
                              .anew = lua_toboolean(L, 6),
                              .state = luaL_optstring(L, 7, NULL)};
  ms_download **d = lua_newuserdatauv(L, sizeof *d, 0);
  *d = NULL;
  if (msl_metatable(L, DOWNLOAD)) {
    lua_pushcfunction(L, done);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, done);
    lua_setfield(L, -2, "__close");
    lua_newtable(L);
    lua_pushcfunction(L, step);
    lua_setfield(L, -2, "step");
    lua_pushcfunction(L, done);
    lua_setfield(L, -2, "close");
    lua_setfield(L, -2, "__index");
  }
  lua_setmetatable(L, -2);
  const int mark = msl_enter(L);
  if (!(*d = ms_download_begin(&w))) return failed(L, mark);
  msl_leave(L, mark);
  return 1;
}

/* data.digest(path, "md5" or "sha256") -> hexadecimal digits */
static int digest(lua_State *L) {
  static const char *const kinds[] = {"md5", "sha256", NULL};
  const char *path = msl_string(L, 1, "digest", "the name of a file");
  const ms_digest_kind kind = luaL_checkoption(L, 2, NULL, kinds) ? MS_SHA256 : MS_MD5;
  char out[65];
  const int mark = msl_enter(L);
  if (!ms_digest_file(path, kind, out)) lua_pushstring(L, out);
  msl_leave(L, mark);
  return 1;
}

void msl_open_download(lua_State *L) { /* stack: module, methods */
  msl_inside(L);
  lua_getfield(L, -1, "data");
  lua_pushcfunction(L, begin);
  lua_setfield(L, -2, "download");
  lua_pushcfunction(L, digest);
  lua_setfield(L, -2, "digest");
  lua_pop(L, 2);
}
