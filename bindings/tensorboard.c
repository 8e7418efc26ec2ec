/* tensorboard.c -- ms.tensorboard for Lua: a writer of event files, as userdata. The bytes: io/tensorboard.c. */
#include "bind.h"
#include "data/data.h"
#include "embed.h"
#include "host.h"
#include "io/io.h"
#include "pictures.h"
#include <stdlib.h>

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

/* A value of hyper-parameters: a truth, a number, or anything else as a text. */
static ms_hparam hparam_at(lua_State *L, int i, const char *name) {
  switch (lua_type(L, i)) {
  case LUA_TBOOLEAN: return (ms_hparam){name, MS_HPARAM_BOOL, lua_toboolean(L, i), NULL};
  case LUA_TNUMBER: return (ms_hparam){name, MS_HPARAM_NUMBER, lua_tonumber(L, i), NULL};
  default: return (ms_hparam){name, MS_HPARAM_TEXT, 0, luaL_tolstring(L, i, NULL)};
  }
}

/* writer:hparams(options [, figures [, step = 0]]): what a run was made with, for TensorBoard's table of runs, and the figures that
 * came of it, by name: numbers, tensors of one element or means, which are written as scalars at the step too. One set for each
 * folder. */
static int writer_hparams(lua_State *L) {
  ms_events *e = events(L, "hparams");
  lua_Integer step = lua_isnoneornil(L, 4) ? 0 : step_at(L, 4, "hparams");
  for (int i = 2; i < 4; i++)
    if (!lua_istable(L, i) && !(i == 3 && lua_isnoneornil(L, i)))
      return msl_raise(L, ms_scope_open(), "tensorboard:hparams: expected a table of %s by name, got %s",
                       i == 2 ? "options" : "figures", luaL_typename(L, i));
  lua_settop(L, 3);
  lua_Integer count[2] = {0, 0};
  for (int i = 2; i < 4; i++)
    if (lua_istable(L, i))
      for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1), count[i - 2]++)
        if (lua_type(L, -2) != LUA_TSTRING)
          return msl_raise(L, ms_scope_open(), "tensorboard:hparams: expected names as keys, got a %s", luaL_typename(L, -2));
  if (count[0] + count[1] > 10000) return msl_raise(L, ms_scope_open(), "tensorboard:hparams: more than 10,000 names");
  ms_hparam *p = lua_newuserdatauv(L, (size_t)count[0] * sizeof *p + 1, 0);
  const char **tags = lua_newuserdatauv(L, (size_t)count[1] * sizeof *tags + 1, 0);
  lua_newtable(L); /* keeps the texts */
  int texts = lua_gettop(L);
  size_t n = 0, m = 0;
  for (lua_pushnil(L); lua_next(L, 2);) {
    p[n] = hparam_at(L, lua_gettop(L), lua_tostring(L, -2));
    if (p[n].kind == MS_HPARAM_TEXT) lua_rawseti(L, texts, (lua_Integer)n + 1);
    lua_pop(L, 1);
    n++;
  }
  if (lua_istable(L, 3))
    for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
      tags[m] = lua_tostring(L, -2);
      double v = number_at(L, lua_gettop(L), tags[m++]);
      int mark = msl_enter(L);
      ms_events_scalar(e, tags[m - 1], step, v);
      msl_leave(L, mark);
    }
  int mark = msl_enter(L);
  ms_events_hparams(e, n, p, m, tags);
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

void msl_open_tensorboard(lua_State *L) { /* stack: module, methods */
  static const luaL_Reg methods[] = {{"scalar", writer_scalar}, {"image", writer_image},     {"histogram", writer_histogram},
                                     {"text", writer_text},     {"hparams", writer_hparams}, {"flush", writer_flush},
                                     {"close", writer_close},   {"path", writer_path},       {NULL, NULL}};
  msl_metatable(L, WRITER);
  lua_pushcfunction(L, writer_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, writer_close);
  lua_setfield(L, -2, "__close");
  luaL_newlib(L, methods);
  ms_lua_name_hints(L, "tensorboard");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  static const luaL_Reg functions[] = {{"tensorboard", tensorboard}, {NULL, NULL}};
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
