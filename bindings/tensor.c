/* tensor.c -- tensors as Lua sees them: making them from tables, reading them, fields and the methods that are no rows. */
#include "bind.h"
#include "embed.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- from Lua tables --------------------------------------------------------------------------------------------- */

/* Shape of a nested table at index i, by its first elements; a tensor or number has rank 0. */
static int table_shape(lua_State *L, int i, ms_ints *v) {
  int top = lua_gettop(L);
  luaL_checkstack(L, MS_MAX_RANK + 4, "tensor");
  lua_pushvalue(L, i);
  v->n = 0;
  while (msl_shape_as_list(L, -1), lua_istable(L, -1)) {
    if (v->n == MS_MAX_RANK) return lua_settop(L, top), -1;
    int64_t n = (int64_t)lua_rawlen(L, -1);
    v->at[v->n++] = n;
    if (!n) break;
    lua_rawgeti(L, -1, 1);
  }
  lua_settop(L, top);
  return 0;
}

/* Read the table on top into out (f64 or i64 by `whole`), checking that it is rectangular. false: *complaint says why. */
static bool read_table(lua_State *L, const ms_ints *v, int depth, double **d, int64_t **l, const char **complaint) {
  if (depth == v->n) {
    int ok = 1;
    msl_look(L, lua_gettop(L));
    if (lua_isboolean(L, -1)) {
      if (*d) *(*d)++ = lua_toboolean(L, -1);
      if (*l) *(*l)++ = lua_toboolean(L, -1);
    } else if (lua_type(L, -1) == LUA_TNUMBER) {
      if (*d) *(*d)++ = lua_tonumber(L, -1);
      if (*l) *(*l)++ = lua_tointegerx(L, -1, &ok);
      if (!ok) *complaint = "a number that is no integer";
    } else
      ok = 0, *complaint = lua_type(L, -1) == LUA_TSTRING ? "a text (tonumber(s) is its number)"
                           : msl_to(L, -1)                ? "a tensor (ms.stack{x, y} joins them)"
                                                          : "something that is no number";
    return ok;
  }
  msl_shape_as_list(L, -1);
  if (!lua_istable(L, -1)) return *complaint = "rows of different depth", false;
  if ((int64_t)lua_rawlen(L, -1) != v->at[depth]) return *complaint = "rows of different length", false;
  msl_table kind = msl_table_kind(L, -1);
  if (kind > MSL_LIST && !(depth == 0 && kind == MSL_BOTH)) /* the outermost may bring its options along */
    return *complaint = kind == MSL_ODD ? "a hole, or a key that is no position" : "a row with named keys", false;
  luaL_checkstack(L, 4, "tensor");
  for (int64_t k = 1; k <= v->at[depth]; k++) {
    lua_rawgeti(L, -1, k);
    bool ok = read_table(L, v, depth + 1, d, l, complaint);
    lua_pop(L, 1);
    if (!ok) return false;
  }
  return true;
}

/* Where the options of a creating function stand: named keys in the list at 1, or the table at 2; 0: none. Raises on others. */
static int creation_options(lua_State *L, const char *what) {
  static const char *const names[] = {"dtype", "device", "requires_grad", NULL};
  const char *list = strcmp(what, "tensor") ? "{2, 3}" : "{1, 2}, rows in a list of lists, ms.tensor{{1, 2}, {3, 4}}";
  if (lua_gettop(L) > 2 || msl_table_kind(L, 2) == MSL_LIST || lua_type(L, 2) == LUA_TNUMBER)
    msl_raise(L, ms_scope_open(), "%s: expected one list and options by name; numbers go in the list: ms.%s%s", what, what, list);
  msl_table kind = msl_table_kind(L, 1);
  bool inside = kind == MSL_BOTH || kind == MSL_NAMED;
  if (inside) msl_check_names(L, 1, what, names);
  if (inside && !lua_isnoneornil(L, 2)) msl_raise(L, ms_scope_open(), "%s: options are given twice", what);
  if (inside) return 1;
  if (lua_isnoneornil(L, 2)) return 0;
  msl_check_options(L, 2, what, names);
  return 2;
}

/* ms.tensor(values [, {dtype =, device =, requires_grad =}]): nested lists of numbers (f32 unless told; booleans give bool), or a
 * number. The options may stand in the outermost list: ms.tensor{1, 2, dtype = "i64"}. */
static int tensor_new(lua_State *L) {
  msl_shape_as_list(L, 1);
  int mark = msl_enter(L), options = creation_options(L, "tensor");
  ms_ints v;
  if (lua_isnoneornil(L, 1)) return msl_raise(L, mark, "tensor: expected numbers, got nothing");
  ms_tensor *given = msl_to(L, 1);
  if (table_shape(L, 1, &v) < 0) return msl_raise(L, mark, "tensor: lists nested deeper than %d", MS_MAX_RANK);
  int first = MS_F32;
  lua_pushvalue(L, 1);
  for (int k = 0; k < v.n && v.at[k]; k++) lua_rawgeti(L, -1, 1);
  if (lua_isboolean(L, -1)) first = MS_BOOL;
  lua_settop(L, options > 1 ? 2 : 1);
  int dtype = msl_dtype(L, options, "dtype", given ? (int)ms_tensor_dtype(given) : first);
  ms_device *device = msl_device(L, options);
  ms_tensor *t;
  if (given) {
    t = ms_apply(MS_OP_clone, MS_IN(ms_to_device(ms_cast(ms_detach(given), dtype), device ? device : given->device)), NULL);
  } else {
    int64_t n = 1;
    for (int k = 0; k < v.n; k++)
      if (__builtin_mul_overflow(n, v.at[k], &n) || n > ((int64_t)1 << 40))
        return msl_raise(L, mark, "tensor: %s elements are too many for a list", ms_sizes_str(v.n, v.at));
    bool whole = !ms_dtype_is_float(dtype);
    void *buffer = lua_newuserdatauv(L, (size_t)(n ? n : 1) * 8, 0);
    double *d = whole ? NULL : buffer;
    int64_t *l = whole ? buffer : NULL;
    const char *complaint = NULL;
    lua_pushvalue(L, 1);
    if (!read_table(L, &v, 0, &d, &l, &complaint)) return msl_raise(L, mark, "tensor: the list holds %s", complaint);
    const bool guessed = first == MS_BOOL && msl_dtype(L, options, "dtype", -1) < 0;
    for (int64_t k = 0; guessed && k < n; k++)
      if (((int64_t *)buffer)[k] & ~(int64_t)1)
        return msl_raise(L, mark, "tensor: the list begins with a boolean and holds %lld; say which dtype is meant",
                         (long long)((int64_t *)buffer)[k]);
    int64_t low = dtype == MS_U8 ? 0 : INT32_MIN, high = dtype == MS_U8 ? 255 : INT32_MAX;
    for (int64_t k = 0; k < n && (dtype == MS_U8 || dtype == MS_I32); k++)
      if (((int64_t *)buffer)[k] < low || ((int64_t *)buffer)[k] > high)
        return msl_raise(L, mark, "tensor: %lld does not fit into %s (%lld..%lld)", (long long)((int64_t *)buffer)[k],
                         ms_dtype_name(dtype), (long long)low, (long long)high);
    t = ms_cast(ms_from_host(whole ? MS_I64 : MS_F64, v.n, v.at, buffer, device), dtype);
  }
  if (t && msl_flag(L, options, "tensor", "requires_grad", false)) ms_set_requires_grad(t, true);
  msl_push(L, t);
  msl_leave(L, mark);
  return 1;
}

/* ---- to Lua ------------------------------------------------------------------------------------------------------ */

static void push_element(lua_State *L, const void *p, int64_t i, int dtype) {
  switch (dtype) {
  case MS_F64: lua_pushnumber(L, ((const double *)p)[i]); break;
  case MS_I64: lua_pushinteger(L, ((const int64_t *)p)[i]); break;
  default: lua_pushboolean(L, ((const uint8_t *)p)[i]);
  }
}

static void push_nested(lua_State *L, const ms_ints *v, int depth, const void *p, int64_t *i, int dtype) {
  if (depth == v->n) {
    push_element(L, p, (*i)++, dtype);
    return;
  }
  luaL_checkstack(L, 4, "totable");
  lua_createtable(L, (int)v->at[depth], 0);
  for (int64_t k = 1; k <= v->at[depth]; k++) {
    push_nested(L, v, depth + 1, p, i, dtype);
    lua_rawseti(L, -2, k);
  }
}

/* x:totable() -> nested lists (a number or boolean for rank 0). */
static int tensor_totable(lua_State *L) {
  ms_tensor *t = msl_check(L, 1, "totable");
  msl_at_most(L, 1, "totable");
  int mark = msl_enter(L);
  int dtype = ms_dtype_is_float(t->dtype) ? MS_F64 : t->dtype == MS_BOOL ? MS_BOOL : MS_I64;
  ms_tensor *c = ms_cast(ms_detach(t), dtype);
  ms_ints v = ms_sizes(t);
  void *buffer = lua_newuserdatauv(L, (size_t)ms_numel(t) * 8 + 8, 0);
  if (c && ms_to_host(c, buffer) == 0) {
    int64_t i = 0;
    push_nested(L, &v, 0, buffer, &i, dtype);
  }
  msl_leave(L, mark);
  return 1;
}

void msl_push_item(lua_State *L, ms_tensor *t) {
  int mark = msl_enter(L);
  bool whole = !ms_dtype_is_float(t->dtype) && t->dtype != MS_BOOL;
  int64_t i = 0;
  double v = 0;
  if (whole && ms_numel(t) == 1) ms_to_host(ms_cast(ms_detach(t), MS_I64), &i); /* a double cannot hold every i64 */
  else v = ms_item(t);
  msl_leave(L, mark);
  if (whole) lua_pushinteger(L, i);
  else if (t->dtype == MS_BOOL) lua_pushboolean(L, v != 0);
  else lua_pushnumber(L, v);
}
static int tensor_item(lua_State *L) {
  ms_tensor *t = msl_check(L, 1, "item");
  msl_at_most(L, 1, "item");
  return msl_push_item(L, t), 1;
}

/* A list of one's own to change, unlike x.shape. */
static void push_ints(lua_State *L, int n, const int64_t *v) {
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, v[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

/* All of v as a list, or with a dimension at argument 2 the one that it names. */
static int of_dimensions(lua_State *L, const ms_tensor *t, const int64_t *v, const char *what) {
  msl_at_most(L, 2, what);
  if (lua_isnoneornil(L, 2)) return push_ints(L, t->rank, v), 1;
  lua_Integer d = luaL_checkinteger(L, 2);
  int mark = msl_enter(L),
      k = d == 0 ? (ms_fail("%s: dimension 0, expected 1.. or -1..", what), -1) : ms_dim(d > 0 ? d - 1 : d, t->rank, what);
  msl_leave(L, mark);
  lua_pushinteger(L, v[k]);
  return 1;
}
/* x:size() -> list; x:size(dim) -> number; x:stride() the same, in elements */
static int tensor_size(lua_State *L) {
  const ms_tensor *t = msl_check(L, 1, "size");
  return of_dimensions(L, t, t->shape, "size");
}
static int tensor_stride(lua_State *L) {
  const ms_tensor *t = msl_check(L, 1, "stride");
  return of_dimensions(L, t, t->stride, "stride");
}

static ms_tensor *only(lua_State *L, const char *what) { return msl_at_most(L, 1, what), msl_check(L, 1, what); }
static int tensor_numel(lua_State *L) { return lua_pushinteger(L, ms_numel(only(L, "numel"))), 1; }
static int tensor_dim(lua_State *L) { return lua_pushinteger(L, ms_rank(only(L, "dim"))), 1; }
/* Bytes of its elements; a view counts its own, an expanded one each element as often as it is seen. */
static int tensor_nbytes(lua_State *L) {
  ms_tensor *t = only(L, "nbytes");
  return lua_pushinteger(L, ms_numel(t) * (int64_t)ms_dtype_size(t->dtype)), 1;
}
static int tensor_element_size(lua_State *L) {
  return lua_pushinteger(L, (lua_Integer)ms_dtype_size(only(L, "element_size")->dtype)), 1;
}
/* Where its first element lies in its storage: how many elements (not bytes) come before. */
static int tensor_storage_offset(lua_State *L) { return lua_pushinteger(L, only(L, "storage_offset")->offset), 1; }
static int tensor_is_contiguous(lua_State *L) { return lua_pushboolean(L, ms_is_contiguous(only(L, "is_contiguous"))), 1; }

static int tensor_len(lua_State *L) {
  ms_tensor *t = msl_check(L, 1, "#");
  if (!t->rank) return msl_raise(L, ms_scope_open(), "#: a scalar has no first dimension");
  lua_pushinteger(L, t->shape[0]);
  return 1;
}

static int tensor_eq(lua_State *L) {
  lua_pushboolean(L, msl_to(L, 1) && msl_to(L, 1) == msl_to(L, 2));
  return 1;
}

/* ---- x[...] ------------------------------------------------------------------------------------------------------ */

static const char *const fields[] = {"shape", "dtype", "device", "requires_grad", "is_leaf", "grad"};

static int field(lua_State *L, ms_tensor *t, const char *k) {
  if (!strcmp(k, "shape")) return msl_push_shape(L, t->rank, t->shape), 1;
  if (!strcmp(k, "dtype")) return lua_pushstring(L, ms_dtype_name(t->dtype)), 1;
  if (!strcmp(k, "device")) return lua_pushstring(L, ms_device_name(t->device)), 1;
  if (!strcmp(k, "requires_grad")) return lua_pushboolean(L, t->requires_grad), 1;
  if (!strcmp(k, "is_leaf")) return lua_pushboolean(L, ms_is_leaf(t)), 1;
  if (!strcmp(k, "grad")) return msl_push(L, ms_grad_of(t)), 1;
  return 0;
}

/* A list of all fields and methods. Upvalue 1 of the function that calls: methods. */
static void push_names(lua_State *L) {
  lua_newtable(L);
  lua_Integer n = 0;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    lua_pushstring(L, fields[i]);
    lua_rawseti(L, -2, ++n);
  }
  for (lua_pushnil(L); lua_next(L, lua_upvalueindex(1)); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_rawseti(L, -4, ++n);
  }
}

/* The position behind the last row: nothing is there, by which ipairs and loops over x[i] know the end. Others are errors. */
static bool is_behind(lua_State *L, const ms_tensor *t) {
  int whole;
  msl_look(L, 2);
  lua_Integer i = lua_tointegerx(L, 2, &whole);
  return whole && lua_type(L, 2) == LUA_TNUMBER && t->rank && i == t->shape[0] + 1;
}

static int tensor_index(lua_State *L) { /* upvalue 1: methods */
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
    const char *k = lua_tostring(L, 2);
    if (field(L, msl_check(L, 1, k), k)) return 1;
    ms_lua_require(L, "names");
    lua_getfield(L, -1, "unknown_of_tensor");
    lua_pushvalue(L, 2);
    push_names(L);
    lua_call(L, 2, 0);
  }
  ms_tensor *t = msl_check(L, 1, "index");
  if (is_behind(L, t)) return lua_pushnil(L), 1;
  int mark = msl_enter(L);
  ms_tensor *r = msl_read_index(L, mark, 2, t);
  if (r) msl_push(L, r);
  msl_leave(L, mark);
  return 1;
}

static void set_grad(ms_tensor *t, ms_tensor *g) {
  if (g == t) { /* it would hold itself for ever */
    ms_fail("grad: a tensor cannot be its own gradient; expected another one, such as x:detach():clone()");
    return;
  }
  bool same = !g || (g->rank == t->rank && g->dtype == t->dtype && g->device == t->device);
  for (int i = 0; g && same && i < t->rank; i++) same = g->shape[i] == t->shape[i];
  if (same) ms_set_grad(t, g);
  else
    ms_fail("grad: expected what the tensor is, %s on %s; got %s on %s", ms_shape_str(t), t->device->name, ms_shape_str(g),
            g->device->name);
}

/* x[...] = value, x.grad = tensor or nil, x.requires_grad = bool */
static int tensor_newindex(lua_State *L) {
  ms_tensor *t = msl_check(L, 1, "assignment");
  int mark = msl_enter(L);
  if (lua_type(L, 2) == LUA_TSTRING) {
    const char *k = lua_tostring(L, 2);
    if (!strcmp(k, "grad")) set_grad(t, lua_isnil(L, 3) ? NULL : msl_check(L, 3, "grad"));
    else if (!strcmp(k, "requires_grad")) {
      if (!lua_isboolean(L, 3)) return msl_raise(L, mark, "requires_grad: expected true or false, got %s", luaL_typename(L, 3));
      ms_set_requires_grad(t, lua_toboolean(L, 3));
    } else return msl_raise(L, mark, "a tensor's '%s' cannot be assigned", k);
    msl_leave(L, mark);
    return 0;
  }
  msl_write_index(L, mark, 2, t, 3);
  msl_leave(L, mark);
  return 0;
}

/* ---- methods that are no rows ------------------------------------------------------------------------------------ */

/* x:to("f64"), x:to("cuda"), x:to{dtype =, device =} -> x itself where nothing changes */
static int tensor_to(lua_State *L) {
  static const char *const names[] = {"dtype", "device", NULL};
  ms_tensor *t = msl_check(L, 1, "to");
  msl_at_most(L, 2, "to");
  int mark = msl_enter(L), dtype = t->dtype;
  ms_device *device = t->device;
  if (lua_istable(L, 2)) {
    msl_check_options(L, 2, "to", names);
    dtype = msl_dtype(L, 2, "dtype", dtype);
    ms_device *d = msl_device(L, 2);
    if (d) device = d;
  } else {
    const char *word = lua_tostring(L, 2);
    if (!word) return msl_raise(L, mark, "to: expected a dtype, a device or {dtype =, device =}, got %s", luaL_typename(L, 2));
    int d = ms_dtype_parse(word);
    if (d >= 0) dtype = d;
    else {
      const char *hint = msl_dtype_hint(L, word);
      if (*hint)
        return msl_raise(L, mark, "to: expected a dtype (f32, f64, bf16, f16, i64, i32, u8, bool) or a device, got '%s'%s", word,
                         hint);
      device = ms_device_get(word);
    }
  }
  ms_tensor *r = device ? ms_cast(t, dtype) : NULL;
  if (r && r->device != device) {
    bool leaf = ms_is_leaf(r) && r->requires_grad;
    if (r->node) ms_fail("to: this tensor is part of a graph; move its inputs, or :detach() it");
    r = ms_to_device(r, device);
    if (r && leaf) ms_set_requires_grad(r, true);
  }
  if (r) msl_push(L, r);
  msl_leave(L, mark);
  return 1;
}

static int to_dtype(lua_State *L) {
  ms_tensor *t = msl_check(L, 1, "conversion");
  msl_at_most(L, 1, "conversion");
  int mark = msl_enter(L);
  ms_tensor *r = ms_cast(t, (int)lua_tointeger(L, lua_upvalueindex(1)));
  if (r) msl_push(L, r);
  msl_leave(L, mark);
  return 1;
}

static int tensor_detach(lua_State *L) {
  ms_tensor *t = msl_check(L, 1, "detach");
  msl_at_most(L, 1, "detach");
  int mark = msl_enter(L);
  msl_push(L, ms_detach(t));
  msl_leave(L, mark);
  return 1;
}

/* x:zeros_like([{dtype =, device =, requires_grad =}]), x:ones_like(...): what is not said is as x has it. */
static int tensor_like(lua_State *L) { /* upvalue: value */
  static const char *const names[] = {"dtype", "device", "requires_grad", NULL};
  const char *what = lua_tonumber(L, lua_upvalueindex(1)) == 0 ? "zeros_like" : "ones_like";
  ms_tensor *t = msl_check(L, 1, what);
  msl_at_most(L, 2, what);
  msl_check_options(L, 2, what, names);
  int mark = msl_enter(L), options = lua_istable(L, 2) ? 2 : 0;
  ms_device *device = msl_device(L, options);
  ms_tensor *r = ms_full(ms_sizes(t), lua_tonumber(L, lua_upvalueindex(1)), msl_dtype(L, options, "dtype", t->dtype),
                         device ? device : t->device);
  if (r && msl_flag(L, options, what, "requires_grad", false)) ms_set_requires_grad(r, true);
  if (r) msl_push(L, r);
  msl_leave(L, mark);
  return 1;
}

static int tensor_zero_(lua_State *L) {
  ms_tensor *t = msl_check(L, 1, "zero_");
  msl_at_most(L, 1, "zero_");
  int mark = msl_enter(L);
  ms_apply(MS_OP_fill_, MS_IN(t), MS_ATTR(A_NUM(0)));
  msl_leave(L, mark);
  lua_settop(L, 1);
  return 1;
}

/* ms.zeros(shape [, options]), ms.ones(...) */
static int constant(lua_State *L) {
  double value = lua_tonumber(L, lua_upvalueindex(1));
  const char *what = value == 0 ? "zeros" : "ones";
  int mark = msl_enter(L);
  ms_ints v;
  if (lua_gettop(L) > 1 && !lua_isnil(L, 2) && !lua_istable(L, 2))
    return msl_raise(L, mark, "%s: sizes go in a list: ms.%s{2, 3}", what, what);
  int options = creation_options(L, what);
  if (msl_table_kind(L, 1) == MSL_ODD || !msl_ints(L, 1, &v))
    return msl_raise(L, mark, "%s: expected a list of at most %d sizes, whole numbers: ms.%s{2, 3}", what, MS_MAX_RANK, what);
  for (int i = 0; i < v.n; i++)
    if (v.at[i] < 0) return msl_raise(L, mark, "%s: a result of negative size %lld", what, (long long)v.at[i]);
  ms_tensor *t = ms_full(v, value, msl_dtype(L, options, "dtype", MS_F32), msl_device(L, options));
  if (t && msl_flag(L, options, what, "requires_grad", false)) ms_set_requires_grad(t, true);
  if (t) msl_push(L, t);
  msl_leave(L, mark);
  return 1;
}

/* Names for completion at the prompt. */
static int tensor_dir(lua_State *L) { return push_names(L), 1; }

/* Shape, dtype, device and the corner elements: scripts/mascon/show.lua. */
static int tensor_tostring(lua_State *L) {
  if (!msl_to(L, 1)) return lua_pushliteral(L, "tensor (freed by its scope)"), 1;
  ms_lua_require(L, "show");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

void msl_open_tensor(lua_State *L) { /* stack: module, methods */
  msl_takes_live(tensor_newindex, 2);
  static const luaL_Reg methods[] = {{"totable", tensor_totable},
                                     {"item", tensor_item},
                                     {"size", tensor_size},
                                     {"numel", tensor_numel},
                                     {"dim", tensor_dim},
                                     {"to", tensor_to},
                                     {"detach", tensor_detach},
                                     {"zero_", tensor_zero_},
                                     {"is_contiguous", tensor_is_contiguous},
                                     {"stride", tensor_stride},
                                     {"nbytes", tensor_nbytes},
                                     {"element_size", tensor_element_size},
                                     {"storage_offset", tensor_storage_offset},
                                     {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
  static const struct {
    const char *name;
    int dtype;
  } casts[] = {{"float", MS_F32}, {"double", MS_F64}, {"long", MS_I64}, {"int", MS_I32},
               {"byte", MS_U8},   {"bool", MS_BOOL},  {"half", MS_F16}, {"bfloat16", MS_BF16}};
  for (size_t i = 0; i < sizeof casts / sizeof *casts; i++) {
    lua_pushinteger(L, casts[i].dtype);
    lua_pushcclosure(L, to_dtype, 1);
    lua_setfield(L, -2, casts[i].name);
  }
  for (int one = 0; one < 2; one++) {
    lua_pushnumber(L, one);
    lua_pushcclosure(L, tensor_like, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, one ? "ones_like" : "zeros_like");
    lua_setfield(L, -3, one ? "ones_like" : "zeros_like");
    lua_pushnumber(L, one);
    lua_pushcclosure(L, constant, 1);
    lua_setfield(L, -3, one ? "ones" : "zeros");
  }
  lua_pushcfunction(L, tensor_new);
  lua_setfield(L, -3, "tensor");

  luaL_getmetatable(L, "mascon.tensor");
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, tensor_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, tensor_newindex);
  lua_setfield(L, -2, "__newindex");
  lua_pushcfunction(L, tensor_len);
  lua_setfield(L, -2, "__len");
  lua_pushcfunction(L, tensor_eq);
  lua_setfield(L, -2, "__eq");
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, tensor_dir, 1);
  lua_setfield(L, -2, "__dir");
  lua_pushcfunction(L, tensor_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pop(L, 1);
}
