/* data.c -- the data side for Lua, the part that touches bytes: IDX files, labels, orders of rows, batches.
 * scripts/mascon/dataset.lua is the face; it finds these functions in inside.data. */
#include "data/data.h"
#include "host.h"
#include "philox.h"
#include <stdio.h>
#include <string.h>

/* ---- IDX --------------------------------------------------------------------------------------------------------- */

static void close_idx(void *f) { ms_idx_close(f); }

/* data.idx_read(path [, max_bytes]) -> tensor; raises when it cannot be read */
static int idx_read(lua_State *L) {
  const char *path = msl_string(L, 1, "read_idx", "the name of a file");
  uint64_t max_bytes = msl_max_bytes(L, 2, "read_idx");
  msl_owned *g = msl_own(L, close_idx);
  int mark = msl_enter(L);
  ms_idx *f = g->p = ms_idx_open(path, max_bytes);
  ms_tensor *t = f ? ms_empty(f->what.dtype, f->what.rank, f->what.shape, ms_device_host()) : NULL;
  if (t && !ms_idx_elements(f, ms_data(t))) msl_push(L, t);
  msl_owned_free(g);
  msl_leave(L, mark);
  return 1;
}

/* data.idx_write(path, tensor [, type]): type u8, i8, i16, i32, f32 or f64; that of the tensor if none is named. */
static int idx_write(lua_State *L) {
  static const char *const names[] = {"u8", "i8", "i16", "i32", "f32", "f64", NULL};
  static const int codes[] = {MS_IDX_U8, MS_IDX_I8, MS_IDX_I16, MS_IDX_I32, MS_IDX_F32, MS_IDX_F64};
  const char *path = msl_string(L, 1, "write_idx", "the name of a file");
  ms_tensor *t = msl_check(L, 2, "write_idx");
  int code = lua_isnoneornil(L, 3) ? 0 : codes[luaL_checkoption(L, 3, NULL, names)];
  int mark = msl_enter(L);
  if ((t = msl_on_host(t))) {
    ms_array a = {.dtype = t->dtype, .rank = t->rank, .count = ms_numel(t), .data = ms_data(t)};
    memcpy(a.shape, t->shape, sizeof a.shape);
    ms_idx_write(path, &a, code);
  }
  msl_leave(L, mark);
  return 0;
}

/* ---- labels and orders ------------------------------------------------------------------------------------------- */

/* data.labels(tensor, add, classes, what) -> new i64 tensor of 1..classes, the largest of them. add: 0 for values that count from
 * 1, 1 for values that count from 0. classes 0: any number of them. */
static int labels(lua_State *L) {
  const char *what = msl_string(L, 4, "labels", "a name");
  ms_tensor *t = msl_check(L, 1, what);
  lua_Integer add = luaL_checkinteger(L, 2), classes = luaL_checkinteger(L, 3);
  int64_t most = 0;
  int mark = msl_enter(L);
  if (t->rank != 1 || ms_dtype_is_float(t->dtype) || t->dtype == MS_BOOL)
    return msl_raise(L, mark, "%s: expected whole numbers in one dimension (dtype = \"i64\", or i32, u8), got %s", what,
                     ms_shape_str(t));
  ms_tensor *r = msl_on_host(t->dtype == MS_I64 ? t : ms_cast(ms_detach(t), MS_I64));
  if (r && (add || r->storage == t->storage)) r = ms_apply(MS_OP_clone, MS_IN(r), NULL);
  int64_t *v = r ? ms_data(r) : NULL, n = r ? r->shape[0] : 0, top = classes ? classes : INT64_MAX;
  for (int64_t i = 0; i < n; i++) {
    int64_t y = v[i];
    if (y < 1 - add || y > top - add) {
      char range[64] = "1 or more";
      if (classes) snprintf(range, sizeof range, "%lld..%lld", (long long)(1 - add), (long long)(classes - add));
      else if (add) snprintf(range, sizeof range, "%lld or more", (long long)(1 - add));
      return msl_raise(L, mark, "%s[%lld] = %lld, expected %s", what, (long long)(i + 1), (long long)y, range);
    }
    v[i] = y + add;
    if (v[i] > most) most = v[i];
  }
  msl_push(L, r);
  lua_pushinteger(L, most);
  msl_leave(L, mark);
  return 2;
}

/* data.rows(tensor, n, what) -> i64 tensor in host memory, checked to hold positions 1..n; what: the function, for messages */
static int rows(lua_State *L) {
  const char *what = msl_string(L, 3, "rows", "a name");
  ms_tensor *t = msl_check(L, 1, what);
  lua_Integer n = luaL_checkinteger(L, 2);
  int mark = msl_enter(L);
  if (t->rank != 1 || (t->dtype != MS_I64 && t->dtype != MS_I32))
    return msl_raise(L, mark, "%s: expected positions in one dimension (i64), got %s", what, ms_shape_str(t));
  ms_tensor *r = msl_on_host(ms_cast(ms_detach(t), MS_I64));
  const int64_t *v = r ? ms_data(r) : NULL;
  for (int64_t i = 0; r && i < r->shape[0]; i++)
    if (v[i] < 1 || v[i] > n)
      return msl_raise(L, mark, "%s: position %lld is %lld, expected 1..%lld", what, (long long)(i + 1), (long long)v[i],
                       (long long)n);
  msl_push(L, r);
  msl_leave(L, mark);
  return 1;
}

/* data.order(n, rows, shuffle [, seed, walk]) -> i64 tensor: the positions 1..n, or the n in `rows` (tensor or nil), as they are
 * or shuffled: by the default generator, or by one that seed and the number of the walk determine. */
static int order(lua_State *L) {
  int64_t n = luaL_checkinteger(L, 1);
  ms_tensor *of = lua_isnil(L, 2) ? NULL : msl_check(L, 2, "order");
  bool shuffle = lua_toboolean(L, 3), own = !lua_isnoneornil(L, 4);
  ms_rng rng = {.seed = (uint64_t)luaL_optinteger(L, 4, 0), .counter = (uint64_t)luaL_optinteger(L, 5, 0) << 40};
  int mark = msl_enter(L);
  if (of && (of->rank != 1 || of->dtype != MS_I64 || of->shape[0] != n || !ms_data(of) || !ms_is_contiguous(of)))
    return msl_raise(L, mark, "order: expected %lld positions, got %s", (long long)n, ms_shape_str(of));
  ms_tensor *r = ms_empty(MS_I64, 1, &n, ms_device_host());
  int64_t *v = r ? ms_data(r) : NULL;
  const int64_t *from = of ? ms_data(of) : NULL;
  if (r && shuffle) ms_permutation(n, own ? &rng : ms_default_rng(), of ? 0 : 1, v);
  else
    for (int64_t i = 0; i < n && r; i++) v[i] = of ? i : i + 1;
  for (int64_t i = 0; i < n && r && of; i++) v[i] = from[v[i]];
  msl_push(L, r);
  msl_leave(L, mark);
  return 1;
}

/* data.keys(order, first, count, before, seed, walk [, device]) -> i64 tensor: for each of these rows a number that the seed, the
 * walk and the row's place in its set (before + row) determine and nothing else does: what an item's random numbers are drawn by.
 */
static int keys(lua_State *L) {
  ms_tensor *o = msl_check(L, 1, "keys");
  const int64_t first = luaL_checkinteger(L, 2), count = luaL_checkinteger(L, 3), before = luaL_checkinteger(L, 4);
  const uint64_t seed = (uint64_t)luaL_checkinteger(L, 5) ^ 0x6B657973C0FFEE5Du, walk = (uint64_t)luaL_checkinteger(L, 6) << 40;
  const char *device = luaL_optstring(L, 7, NULL);
  int mark = msl_enter(L);
  if (o->rank != 1 || o->dtype != MS_I64 || !ms_data(o) || !ms_is_contiguous(o) || first < 1 || count < 0 ||
      first - 1 > o->shape[0] - count)
    return msl_raise(L, mark, "keys: rows %lld..%lld of %s", (long long)first, (long long)(first + count - 1), ms_shape_str(o));
  ms_device *to = device ? ms_device_get(device) : o->device;
  ms_tensor *r = to ? ms_empty(MS_I64, 1, &count, ms_device_host()) : NULL;
  int64_t *v = r ? ms_data(r) : NULL;
  const int64_t *at = (const int64_t *)ms_data(o) + first - 1;
  for (int64_t i = 0; v && i < count; i++) {
    const ms_philox p = ms_philox4x32(seed, walk + (uint64_t)(before + at[i]));
    v[i] = (int64_t)((uint64_t)p.v[0] << 32 | p.v[1]);
  }
  msl_push(L, r ? ms_to_device(r, to) : NULL);
  msl_leave(L, mark);
  return 1;
}

/* data.draw() -> a whole number by the default generator */
static int draw(lua_State *L) {
  const uint64_t high = ms_rng_next(ms_default_rng());
  lua_pushinteger(L, (lua_Integer)(high << 32 | ms_rng_next(ms_default_rng())));
  return 1;
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* The f32 values of a scale or shift tensor at index i, `planes` of them; NULL for nil. */
static const float *per_plane(lua_State *L, int mark, int i, int *planes) {
  ms_tensor *t = msl_to(L, i);
  if (!t) return NULL;
  if (t->dtype != MS_F32 || t->rank != 1 || !ms_data(t) || !ms_is_contiguous(t) || (*planes && *planes != t->shape[0]))
    msl_raise(L, mark, "batch: scale and shift: got %s", ms_shape_str(t));
  *planes = (int)t->shape[0];
  return ms_data(t);
}

/* data.batch(images, labels, order, first, count, scale, shift [, device]) -> f32 tensor count x ..., i64 tensor or nil
 * images: u8 or f32, N x ..., in host memory; labels: i64 or nil; order: i64; first counts from 1; scale, shift: f32 tensors, one
 * value for each of the equal parts of a row (channels), or nil. */
static int batch(lua_State *L) {
  ms_tensor *x = msl_check(L, 1, "batch"), *y = lua_isnil(L, 2) ? NULL : msl_check(L, 2, "batch"), *o = msl_check(L, 3, "batch");
  int64_t first = luaL_checkinteger(L, 4), count = luaL_checkinteger(L, 5), shape[MS_MAX_RANK];
  const char *device = luaL_optstring(L, 8, NULL);
  int planes = 0, mark = msl_enter(L);
  const float *scale = per_plane(L, mark, 6, &planes), *shift = per_plane(L, mark, 7, &planes);
  bool fits =
      x->rank && ms_data(x) && ms_is_contiguous(x) && o->rank == 1 && o->dtype == MS_I64 && ms_data(o) && ms_is_contiguous(o);
  if (y) fits &= y->rank == 1 && y->dtype == MS_I64 && ms_data(y) && ms_is_contiguous(y);
  if (!fits)
    return msl_raise(L, mark, "batch: expected contiguous tensors on the cpu, got %s and order %s", ms_shape_str(x),
                     ms_shape_str(o));
  if (first < 1 || count < 0 || first - 1 > o->shape[0] - count)
    return msl_raise(L, mark, "batch: rows %lld..%lld of an order of %lld", (long long)first, (long long)(first + count - 1),
                     (long long)o->shape[0]);
  memcpy(shape, x->shape, sizeof shape);
  shape[0] = count;
  const int64_t *at = (const int64_t *)ms_data(o) + first - 1;
  int64_t row = 1;
  for (int i = 1; i < x->rank; i++) row *= x->shape[i];
  ms_device *to = device ? ms_device_get(device) : x->device;
  ms_tensor *bx = to ? ms_empty(MS_F32, x->rank, shape, ms_device_host()) : NULL,
            *by = y && bx ? ms_empty(MS_I64, 1, &count, ms_device_host()) : NULL;
  bool ok = bx && (!y || by) &&
            ms_gather_f32(ms_data(bx), ms_data(x), x->dtype, row, x->shape[0], at, count, MS_INDEX_BASE, planes ? planes : 1, scale,
                          shift) == 0 &&
            (!y || ms_gather_i64(ms_data(by), ms_data(y), y->shape[0], at, count, MS_INDEX_BASE) == 0);
  if (ok) {
    msl_push(L, ms_to_device(bx, to));
    msl_push(L, y ? ms_to_device(by, to) : NULL);
  }
  msl_leave(L, mark);
  return 2;
}

void msl_open_data(lua_State *L) { /* stack: module, methods */
  static const luaL_Reg functions[] = {{"idx_read", idx_read}, {"idx_write", idx_write}, {"labels", labels},
                                       {"rows", rows},         {"order", order},         {"batch", batch},
                                       {"keys", keys},         {"draw", draw},           {NULL, NULL}};
  luaL_newlib(L, functions);
  msl_inside(L);
  lua_insert(L, -2);
  lua_setfield(L, -2, "data");
  lua_pop(L, 1);
}
