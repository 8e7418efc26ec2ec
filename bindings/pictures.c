/* pictures.c -- ms.image: tensors to pictures and back. A tensor of pictures is planar (C x H x W, N x C x H x W), u8 (0..255) or
 * of numbers from 0 (black) to 1 (white); a picture in memory or a file has its channels side by side. */
#include "data/data.h"
#include "embed.h"
#include "pictures.h"
#include <math.h>
#include <string.h>
#include <strings.h>

static void free_image(void *im) { ms_image_free(im); }

/* The options of a grid and of one picture alike. */
static const char *const names[] = {"columns", "padding", "scale", "background", "range", NULL};

static int whole_option(lua_State *L, int mark, int options, const char *what, const char *name, int otherwise, int least) {
  int ok = 1;
  lua_Integer v = otherwise;
  if (options && lua_getfield(L, options, name) != LUA_TNIL) v = lua_tointegerx(L, -1, &ok);
  if (!ok || v < least || v > MS_IMAGE_MAX_SIDE)
    msl_raise(L, mark, "%s: %s: expected a whole number of at least %d, got %s", what, name, least, luaL_tolstring(L, -1, NULL));
  if (options) lua_pop(L, 1);
  return (int)v;
}

static uint8_t level(lua_State *L, int mark, int i, const char *what) {
  double v = lua_type(L, i) == LUA_TNUMBER ? lua_tonumber(L, i) : -1;
  if (!(v >= 0 && v <= 1))
    msl_raise(L, mark, "%s: background: expected a number from 0 (black) to 1 (white), or three of them", what);
  return (uint8_t)(v * 255 + 0.5);
}

static void background(lua_State *L, int mark, int options, const char *what, uint8_t *out) {
  memset(out, 0, 3);
  if (!options) return;
  int t = lua_getfield(L, options, "background"), top = lua_gettop(L);
  if (t == LUA_TTABLE)
    for (int k = 0; k < 3; k++) {
      lua_rawgeti(L, top, k + 1);
      out[k] = level(L, mark, -1, what);
    }
  else if (t != LUA_TNIL) memset(out, level(L, mark, top, what), 3);
  lua_settop(L, top - 1);
}

/* The least and the greatest value of a tensor; raises where they are not finite. */
static void extremes(lua_State *L, int mark, const char *what, ms_tensor *t, double v[2]) {
  ms_tensor *x = msl_on_host(ms_cast(ms_detach(t), MS_F32));
  if (!x) msl_leave(L, mark);
  const float *f = ms_data(x);
  v[0] = v[1] = ms_numel(x) ? f[0] : 0;
  for (int64_t i = 0, n = ms_numel(x); i < n; i++) {
    if (!isfinite(f[i])) msl_raise(L, mark, "%s: range: \"auto\" needs finite values", what);
    if (f[i] < v[0]) v[0] = f[i];
    if (f[i] > v[1]) v[1] = f[i];
  }
  if (v[1] == v[0]) v[1] += 1;
}

/* range = {lo, hi}: lo becomes 0 and hi becomes 1. "auto": the least and the greatest value of all. */
static ms_tensor *ranged(lua_State *L, int mark, int options, const char *what, ms_tensor *t) {
  if (!options || lua_getfield(L, options, "range") == LUA_TNIL) return t;
  double v[2];
  if (lua_type(L, -1) == LUA_TSTRING && !strcmp(lua_tostring(L, -1), "auto")) {
    lua_pop(L, 1);
    extremes(L, mark, what, t, v);
    return ms_div(ms_sub(ms_cast(ms_detach(t), MS_F32), ms_number(v[0])), ms_number(v[1] - v[0]));
  }
  for (int k = 0; k < 2; k++) {
    int ok = lua_istable(L, -1);
    if (ok) {
      lua_rawgeti(L, -1, k + 1);
      v[k] = lua_tonumberx(L, -1, &ok);
      lua_pop(L, 1);
    }
    if (!ok) msl_raise(L, mark, "%s: range: expected {lowest, highest} or \"auto\"", what);
  }
  lua_pop(L, 1);
  if (!(v[1] > v[0])) msl_raise(L, mark, "%s: range: expected {lowest, highest}, got {%g, %g}", what, v[0], v[1]);
  return ms_div(ms_sub(ms_cast(ms_detach(t), MS_F32), ms_number(v[0])), ms_number(v[1] - v[0]));
}

/* A tensor, or a list: of batches (N x C x H x W), joined; of pictures (C x H x W or H x W), stacked. *one: the tensor alone may be
 * one picture. Whole batches of H x W pictures come from tensors of three dimensions only. */
static ms_tensor *pictures(lua_State *L, int mark, int i, const char *what, bool *listed) {
  *listed = lua_istable(L, i);
  if (!*listed) {
    if (!msl_to(L, i)) ms_scope_close(mark), msl_check(L, i, what);
    return msl_to(L, i);
  }
  int n = (int)lua_rawlen(L, i);
  if (!n) msl_raise(L, mark, "%s: the list of pictures is empty", what);
  ms_tensor **x = lua_newuserdatauv(L, (size_t)n * sizeof(ms_tensor *), 0);
  for (int k = 0; k < n; k++) {
    lua_rawgeti(L, i, k + 1);
    if (!(x[k] = msl_to(L, -1)))
      msl_raise(L, mark, "%s: item %d of the list: expected a tensor, got %s", what, k + 1, luaL_typename(L, -1));
    lua_pop(L, 1);
    x[k] = x[k]->rank < 4 ? ms_unsqueeze(msl_on_host(x[k]), 0) : msl_on_host(x[k]);
  }
  ms_tensor *r = ms_cat(n, x, 0);
  lua_pop(L, 1);
  return r;
}

/* Planar bytes or floats of one picture with any number of channels. */
static ms_image *one_picture(ms_tensor *t, int channels, int height, int width) {
  ms_image *im = ms_image_new(width, height, channels);
  size_t plane = (size_t)height * (size_t)width;
  for (size_t i = 0; im && i < plane; i++)
    for (size_t c = 0; c < (size_t)channels; c++) {
      float v = t->dtype == MS_U8 ? 0 : ((const float *)ms_data(t))[c * plane + i];
      im->pixels[i * (size_t)channels + c] = t->dtype == MS_U8 ? ((const uint8_t *)ms_data(t))[c * plane + i]
                                             : v > 0           ? v < 1 ? (uint8_t)(v * 255 + 0.5f) : 255
                                                               : 0;
    }
  return im;
}

/* Numbers a little beyond 0..1 become black and white. Those of 0..255, or of any other scale, would do so one and all, and are no
 * picture. */
static void check_levels(lua_State *L, int mark, const char *what, const ms_tensor *t) {
  enum { FAR = 10 };
  const float *v = ms_data(t);
  for (int64_t i = 0, n = ms_numel(t); i < n; i++)
    if (v[i] > FAR || v[i] < -FAR)
      msl_raise(L, mark,
                "%s: expected pictures as u8 or as numbers from 0 to 1, got %g; range = \"auto\", or range = {lowest, highest}",
                what, (double)v[i]);
}

/* rank 4: N x C x H x W; rank 3: N x H x W in a grid, else C x H x W when the first size is 1..4; rank 2: H x W. */
static msl_owned *picture(lua_State *L, int mark, int i, int options, const char *what, bool grid) {
  bool listed;
  if (options) ms_scope_close(mark), msl_check_options(L, options, what, names);
  ms_tensor *t = pictures(L, mark, i, what, &listed);
  if (t && (t->rank < 2 || t->rank > 4 || !ms_numel(t)))
    msl_raise(L, mark, "%s: expected pictures N x C x H x W, N x H x W, C x H x W or H x W, got %s", what, ms_shape_str(t));
  if (t && t->dtype != MS_U8 && t->dtype != MS_BOOL && !ms_dtype_is_float(t->dtype))
    msl_raise(L, mark, "%s: expected pictures as u8 or as numbers from 0 to 1, got %s", what, ms_shape_str(t));
  t = msl_on_host(t ? ranged(L, mark, options, what, t) : NULL);
  if (t && t->dtype != MS_U8) t = ms_cast(t, MS_F32);
  if (!t) msl_leave(L, mark);
  if (t->dtype != MS_U8) check_levels(L, mark, what, t);
  const int64_t *s = t->shape;
  bool one = t->rank == 2 || (t->rank == 3 && s[0] <= 4 && !grid && !listed);
  int64_t n = one ? 1 : s[0], c = t->rank == 4 ? s[1] : t->rank == 3 && one ? s[0] : 1, h = s[t->rank - 2], w = s[t->rank - 1];
  ms_grid g = {.padding = whole_option(L, mark, options, what, "padding", one ? 0 : 2, 0),
               .zoom = whole_option(L, mark, options, what, "scale", 1, 1),
               .columns = whole_option(L, mark, options, what, "columns", 0, 0)};
  background(L, mark, options, what, g.background);
  if (h > MS_IMAGE_MAX_SIDE || w > MS_IMAGE_MAX_SIDE || c > 4)
    msl_raise(L, mark, "%s: expected pictures of 1 or 3 channels and at most %d x %d, got %s", what, MS_IMAGE_MAX_SIDE,
              MS_IMAGE_MAX_SIDE, ms_shape_str(t));
  msl_owned *owned = msl_own(L, free_image);
  owned->p = one && !options ? one_picture(t, (int)c, (int)h, (int)w)
                             : ms_image_grid(ms_data(t), (ms_dtype)t->dtype, n, (int)c, (int)h, (int)w, &g);
  if (!owned->p) {
    ms_error_prefix("%s", what);
    msl_leave(L, mark);
  }
  return owned;
}

msl_owned *msl_picture(lua_State *L, int mark, int i, int options, const char *what) {
  return picture(L, mark, i, options, what, false);
}

/* u8 tensor C x H x W. */
static ms_tensor *to_tensor(const ms_image *im) {
  int64_t shape[3] = {im->height, im->width, im->channels};
  return ms_contiguous(ms_permute(ms_from_host(MS_U8, 3, shape, im->pixels, NULL), MS_INTS(2, 0, 1)));
}

static int options_at(lua_State *L, int i, const char *what) {
  if (lua_isnoneornil(L, i)) return 0;
  if (!lua_istable(L, i)) msl_raise(L, ms_scope_open(), "%s: expected a table of options, got %s", what, msl_typename(L, i));
  return i;
}

/* ms.image.grid(pictures [, {columns =, padding = 2, scale = 1, background = 0, range =}]) -> u8 tensor C x H x W
 * pictures: N x C x H x W or N x H x W, C 1 or 3; or a list of pictures or batches. */
static int image_grid(lua_State *L) {
  msl_at_most(L, 2, "image.grid");
  int options = options_at(L, 2, "image.grid"), mark = msl_enter(L);
  lua_settop(L, 2);
  msl_owned *g = picture(L, mark, 1, options, "image.grid", true);
  msl_push(L, to_tensor(g->p));
  msl_owned_free(g);
  msl_leave(L, mark);
  return 1;
}

/* Pictures are written as PNG only: a name that ends otherwise promises something else. (One without an ending promises nothing.)
 */
static void check_ending(lua_State *L, const char *path) {
  const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
  if (dot && dot > (slash ? slash + 1 : path) && strcasecmp(dot, ".png"))
    msl_raise(L, ms_scope_open(), "image.save: expected a name that ends in .png, got '%s'", path);
}

/* ms.image.save(path, picture or pictures [, options of grid]): a PNG, written whole or not at all. One picture is H x W or C x H x
 * W with C 1..4; anything else becomes a grid. */
static int image_save(lua_State *L) {
  msl_at_most(L, 3, "image.save");
  const char *path = msl_string(L, 1, "image.save", "the name of a file");
  check_ending(L, path);
  int options = options_at(L, 3, "image.save"), mark = msl_enter(L);
  lua_settop(L, 3);
  msl_owned *g = msl_picture(L, mark, 2, options, "image.save");
  ms_png_write(path, g->p);
  msl_owned_free(g);
  msl_leave(L, mark);
  return 0;
}

/* ---- pictures side by side --------------------------------------------------------------------------------------- */

static uint8_t blend(uint8_t v, uint8_t alpha, uint8_t behind) {
  return (uint8_t)((v * alpha + behind * (255 - alpha) + 127) / 255);
}

/* Put one picture into another, its top left corner at (x, y); grey becomes RGB where it must, alpha shows what is there. */
static void paste(ms_image *to, const ms_image *im, int x, int y) {
  int c = im->channels;
  for (int i = 0; i < im->height; i++)
    for (int j = 0; j < im->width; j++) {
      const uint8_t *p = im->pixels + ((size_t)i * (size_t)im->width + (size_t)j) * (size_t)c;
      uint8_t *q = to->pixels + ((size_t)(y + i) * (size_t)to->width + (size_t)(x + j)) * (size_t)to->channels;
      for (int k = 0; k < to->channels; k++) q[k] = blend(p[c > 2 ? k : 0], c % 2 ? 255 : p[c - 1], q[k]);
    }
}

/* ms.image.above(list [, {padding = 0, background = 1}]) -> u8 tensor C x H x W: the pictures of the list (H x W or C x H x W each,
 * of any sizes; nil and false are left out), one above the other and each in the middle; ms.image.beside(list ...): from left to
 * right. */
static int image_join(lua_State *L) {
  static const char *const join_names[] = {"padding", "background", NULL};
  bool above = lua_toboolean(L, lua_upvalueindex(1));
  const char *what = above ? "image.above" : "image.beside";
  int options = options_at(L, 2, what);
  lua_settop(L, 2);
  if (!lua_istable(L, 1)) return msl_raise(L, ms_scope_open(), "%s: expected a list of pictures, got %s", what, msl_typename(L, 1));
  if (options) msl_check_options(L, options, what, join_names);
  int listed = (int)lua_rawlen(L, 1), n = 0, channels = 1, mark = msl_enter(L), pad = 0;
  int64_t along = 0, across = 0;
  uint8_t ground[3] = {255, 255, 255};
  if (options) {
    pad = whole_option(L, mark, options, what, "padding", 0, 0);
    if (lua_getfield(L, options, "background") != LUA_TNIL) background(L, mark, options, what, ground);
    lua_pop(L, 1);
  }
  msl_owned **part = lua_newuserdatauv(L, ((size_t)listed + 1) * sizeof(msl_owned *), 0);
  luaL_checkstack(L, listed + 8, what);
  for (int k = 1; k <= listed; k++) {
    lua_rawgeti(L, 1, k);
    if (lua_toboolean(L, -1)) {
      int at = lua_gettop(L);
      if (lua_istable(L, at)) return msl_raise(L, mark, "%s: item %d: expected a tensor, got a table", what, k);
      part[n] = picture(L, mark, at, 0, what, false); /* stays on the stack */
      const ms_image *im = part[n++]->p;
      if (im->channels > 2) channels = 3;
      int64_t length = above ? im->height : im->width, breadth = above ? im->width : im->height;
      along += length + (n > 1 ? pad : 0);
      if (breadth > across) across = breadth;
      lua_remove(L, at);
    } else lua_pop(L, 1);
  }
  if (!n) return msl_raise(L, mark, "%s: the list of pictures is empty", what);
  if (along > MS_IMAGE_MAX_SIDE)
    return msl_raise(L, mark, "%s: expected at most %d pixels in all, got %lld", what, MS_IMAGE_MAX_SIDE, (long long)along);
  msl_owned *whole_picture = msl_own(L, free_image);
  ms_image *im = whole_picture->p = ms_image_new((int)(above ? across : along), (int)(above ? along : across), channels);
  if (!im) msl_leave(L, mark);
  for (size_t i = 0, size = (size_t)im->width * (size_t)im->height; i < size; i++)
    memcpy(im->pixels + i * (size_t)channels, ground, (size_t)channels);
  for (int k = 0, at = 0; k < n; k++) {
    const ms_image *one = part[k]->p;
    int aside = ((int)across - (above ? one->width : one->height)) / 2;
    paste(im, one, above ? aside : at, above ? at : aside);
    at += (above ? one->height : one->width) + pad;
    msl_owned_free(part[k]);
  }
  msl_push(L, to_tensor(im));
  msl_owned_free(whole_picture);
  msl_leave(L, mark);
  return 1;
}

static void close_picture(void *p) { ms_picture_close(p); }

/* ms.image.load(path [, {channels =, max_bytes =}]) -> u8 tensor C x H x W; raises when it cannot be read. PNG or JPEG;
 * channels 1..4 converts. It may take 8 times the file and 64 MB of memory, or max_bytes in all where that is given. */
static int image_load(lua_State *L) {
  static const char *const load_names[] = {"channels", "max_bytes", NULL};
  msl_at_most(L, 2, "image.load");
  const char *path = msl_string(L, 1, "image.load", "the name of a file");
  int options = options_at(L, 2, "image.load"), channels = 0;
  uint64_t max_bytes = 0;
  if (options) {
    msl_check_options(L, options, "image.load", load_names);
    lua_getfield(L, options, "max_bytes");
    max_bytes = msl_max_bytes(L, -1, "image.load");
    lua_pop(L, 1);
  }
  int mark = msl_enter(L);
  if (options) channels = whole_option(L, mark, options, "image.load", "channels", 0, 0);
  if (channels > 4) return msl_raise(L, mark, "image.load: channels: expected 1..4, got %d", channels);
  msl_owned *g = msl_own(L, close_picture);
  ms_picture *p = g->p = ms_picture_open(path, channels, max_bytes);
  if (p) {
    ms_tensor *t = ms_empty(MS_U8, 3, (int64_t[]){p->channels, p->height, p->width}, ms_device_host());
    if (t && !ms_picture_pixels(p, ms_data(t), (size_t)p->width, 1, (size_t)p->width * (size_t)p->height)) msl_push(L, t);
  }
  msl_owned_free(g);
  msl_leave(L, mark);
  return 1;
}

void msl_open_pictures(lua_State *L) { /* stack: module, methods */
  static const luaL_Reg functions[] = {{"grid", image_grid}, {"save", image_save}, {"load", image_load}, {NULL, NULL}};
  luaL_newlib(L, functions);
  for (int above = 0; above < 2; above++) {
    lua_pushboolean(L, above);
    lua_pushcclosure(L, image_join, 1);
    lua_setfield(L, -2, above ? "above" : "beside");
  }
  ms_lua_name_hints(L, "ms.image");
  lua_setfield(L, -3, "image");
}
