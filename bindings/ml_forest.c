/* ml_forest.c -- trees and forests for Lua: what scripts/mascon/ml/ finds in inside.ml. Each function takes `what` first (ml.h). */
#include "ml.h"
#include <math.h>
#include <string.h>

#define FOREST "mascon.forest"

static void free_forest(void *p) { ms_forest_free(p); }

/* ml.forest_fit(what, X, y, {classes, trees, max_depth, max_features, min_split, min_leaf, bootstrap, seed}) -> model. classes 0:
 * the largest label; max_features: a whole number as in ms_forest_options, or a fraction of the features. */
static int forest_fit(lua_State *L) {
  const char *what = msl_what_at(L);
  int64_t n, d;
  int32_t largest;
  luaL_checktype(L, 4, LUA_TTABLE);
  static const char *const names[] = {"classes", "trees", "max_depth", "min_split", "min_leaf", "seed"};
  int64_t at[6];
  for (int k = 0; k < 6; k++) {
    lua_getfield(L, 4, names[k]);
    at[k] = luaL_checkinteger(L, -1);
  }
  ms_forest_options o = {.trees = at[1], .max_depth = at[2], .min_split = at[3], .min_leaf = at[4], .seed = (uint64_t)at[5]};
  lua_getfield(L, 4, "bootstrap");
  o.bootstrap = lua_toboolean(L, -1);
  lua_getfield(L, 4, "oob_score");
  o.out_of_bag = lua_toboolean(L, -1);
  lua_getfield(L, 4, "entropy");
  o.criterion = lua_toboolean(L, -1) ? MS_FOREST_ENTROPY : MS_FOREST_GINI;
  lua_getfield(L, 4, "numbers");
  const bool numbers = lua_toboolean(L, -1);
  ms_tensor *x = msl_samples_at(L, 2, what, 0, &n, &d);
  const int32_t *y = numbers ? NULL : msl_labels_at(L, 3, what, "y", at[0], &n, &largest);
  const ms_tensor *target = numbers ? msl_check(L, 3, what) : NULL;
  if (target && (target->rank != 1 || target->shape[0] != n || target->dtype == MS_BOOL))
    return msl_raise(L, ms_scope_open(), "%s: y: expected %lld numbers, one per sample, got %s", what, (long long)n,
                     ms_shape_str(target));
  lua_getfield(L, 4, "max_features");
  o.max_features = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : (int64_t)fmax(1, floor(luaL_checknumber(L, -1) * (double)d));
  if (o.max_features > d)
    return msl_raise(L, ms_scope_open(), "%s: option max_features: expected at most the %lld features there are, got %lld", what,
                     (long long)d, (long long)o.max_features);
  msl_model *m = msl_push_model(L, FOREST, free_forest);
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x);
  ms_tensor *t = v && target ? msl_on_host(ms_cast(ms_detach((ms_tensor *)target), MS_F64)) : NULL;
  if (v && t) m->p = ms_forest_regress(n, d, v, ms_data(t), &o);
  else if (v && !target) m->p = ms_forest_fit(n, d, v, y, at[0] ? (int32_t)at[0] : largest, &o);
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.forest_predict(what, model, X, proba) -> labels (i64), or with proba the mean shares (f32, N x classes) */
static int forest_predict(lua_State *L) {
  const char *what = msl_what_at(L);
  const ms_forest *f = msl_check_model(L, 2, FOREST);
  const ms_forest_arrays a = ms_forest_get(f);
  int64_t shape[2], d;
  ms_tensor *x = msl_samples_at(L, 3, what, a.features, &shape[0], &d), *p = NULL;
  bool proba = lua_toboolean(L, 4);
  shape[1] = a.classes;
  int32_t *y = proba ? NULL : lua_newuserdatauv(L, (size_t)shape[0] * sizeof *y + 1, 0);
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x);
  if (v && proba) {
    p = ms_empty(MS_F64, 2, shape, ms_device_host());
    if (p && ms_forest_proba(f, shape[0], v, ms_data(p)) == 0) msl_push(L, ms_to_device(ms_cast(p, MS_F32), x->device));
  } else if (v && ms_forest_predict(f, shape[0], v, y) == 0) msl_push(L, msl_labels_to(y, 1, shape, x->device));
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.forest_isolate(what, X, trees, samples, seed) -> model */
static int forest_isolate(lua_State *L) {
  const char *what = msl_what_at(L);
  int64_t n, d, trees = luaL_checkinteger(L, 3), samples = luaL_checkinteger(L, 4);
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 5);
  ms_tensor *x = msl_samples_at(L, 2, what, 0, &n, &d);
  msl_model *m = msl_push_model(L, FOREST, free_forest);
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x);
  if (v) m->p = ms_forest_isolate(n, d, v, trees, samples, seed);
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.forest_value(what, model, X) -> numbers (f64, N) on the CPU, of a forest for numbers */
static int forest_value(lua_State *L) {
  const char *what = msl_what_at(L);
  const ms_forest *f = msl_check_model(L, 2, FOREST);
  int64_t n, d;
  ms_tensor *x = msl_samples_at(L, 3, what, ms_forest_get(f).features, &n, &d);
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x);
  ms_tensor *out = v ? ms_empty(MS_F64, 1, &n, ms_device_host()) : NULL;
  if (out && ms_forest_value(f, n, v, ms_data(out)) == 0) msl_push(L, out);
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.forest_told(what, model) -> importances (f64, features) or nil, out-of-bag (f64, rows x classes or x 1) or nil */
static int forest_told(lua_State *L) {
  const char *what = msl_what_at(L);
  const ms_forest *f = msl_check_model(L, 2, FOREST);
  const ms_forest_arrays a = ms_forest_get(f);
  int64_t shape[2];
  const double *bag = ms_forest_out_of_bag(f, &shape[0]);
  shape[1] = a.classes ? a.classes : 1;
  int mark = msl_enter(L);
  msl_push(L, a.importance ? ms_from_host(MS_F64, 1, &a.features, a.importance, NULL) : NULL);
  msl_push(L, bag && !ms_error() ? ms_from_host(MS_F64, 2, shape, bag, NULL) : NULL);
  msl_leave_as(L, mark, what);
  return 2;
}

/* ml.forest_mean_depth(n): see ms_isolation_depth */
static int forest_mean_depth(lua_State *L) {
  lua_pushnumber(L, ms_isolation_depth(luaL_checkinteger(L, 1)));
  return 1;
}

/* ml.forest_sizes(what, model [, tree]) -> trees, features, classes, nodes, depth: of one tree (from 1; nil nodes where there is
 * none), or the nodes of all and the greatest depth */
static int forest_sizes(lua_State *L) {
  const ms_forest *f = msl_check_model(L, 2, FOREST);
  const ms_forest_arrays a = ms_forest_get(f);
  int64_t nodes = a.nodes, depth = 0;
  if (lua_isnoneornil(L, 3)) {
    for (int64_t t = 0; t < a.trees; t++)
      if (ms_forest_depth(f, t) > depth) depth = ms_forest_depth(f, t);
  } else {
    lua_Integer t = luaL_checkinteger(L, 3);
    nodes = t < 1 ? -1 : ms_forest_nodes(f, t - 1), depth = t < 1 ? -1 : ms_forest_depth(f, t - 1);
  }
  lua_pushinteger(L, a.trees);
  lua_pushinteger(L, a.features);
  lua_pushinteger(L, a.classes);
  if (nodes < 0) return 3;
  lua_pushinteger(L, nodes);
  lua_pushinteger(L, depth);
  return 5;
}

/* The arrays of a forest as tensors by name: what forest_get writes and forest_set reads. nodes: one entry per node of all trees.
 */
static const struct array {
  const char *name;
  int dtype;
} arrays[] = {{"first", MS_I64}, {"feature", MS_I32}, {"threshold", MS_F32}, {"left", MS_I32}, {"leaf", MS_I32}, {"proba", MS_F64}};

/* ml.forest_get(what, model) -> {first, feature, threshold, left, leaf, proba, features}: see ms_forest_arrays; features: how many
 * (i64) */
static int forest_get(lua_State *L) {
  const char *what = msl_what_at(L);
  const ms_forest_arrays a = ms_forest_get(msl_check_model(L, 2, FOREST));
  const void *data[] = {a.first, a.feature, a.threshold, a.left, a.leaf, a.proba};
  int64_t first[] = {a.trees + 1}, nodes[] = {a.nodes}, proba[] = {a.rows, a.classes ? a.classes : 1}; /* numbers: one */
  const int64_t *shape[] = {first, nodes, nodes, nodes, nodes, proba};
  lua_createtable(L, 0, 7);
  int mark = msl_enter(L);
  for (int k = 0; k < 6 && !ms_error(); k++) {
    msl_push(L, ms_from_host(arrays[k].dtype, k == 5 ? 2 : 1, shape[k], data[k], NULL));
    lua_setfield(L, -2, arrays[k].name);
  }
  if (!ms_error()) {
    msl_push(L, ms_from_host(MS_I64, 0, nodes, &a.features, NULL));
    lua_setfield(L, -2, "features");
  }
  if (!ms_error() && a.importance) {
    msl_push(L, ms_from_host(MS_F64, 1, &a.features, a.importance, NULL));
    lua_setfield(L, -2, "importances");
  }
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.forest_set(what, state, numbers) -> msl_model; numbers: of a forest for numbers */
static int forest_set(lua_State *L) {
  const char *what = msl_what_at(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  const bool numbers = lua_toboolean(L, 3);
  const bool weighed = lua_getfield(L, 2, "importances") != LUA_TNIL;
  msl_model *m = msl_push_model(L, FOREST, free_forest);
  int mark = msl_enter(L);
  ms_tensor *t[6], *importance = weighed ? msl_state_entry(L, mark, 2, what, "importances", MS_F64, 1) : NULL,
                   *features = msl_state_entry(L, mark, 2, what, "features", MS_I64, 0);
  for (int k = 0; k < 6; k++) {
    t[k] = msl_state_entry(L, mark, 2, what, arrays[k].name, arrays[k].dtype, k == 5 ? 2 : 1);
    if (k > 1 && k < 5 && t[k]->shape[0] != t[1]->shape[0])
      return msl_raise(L, mark, "%s: '%s': expected %lld nodes as in '%s', got %lld", what, arrays[k].name,
                       (long long)t[1]->shape[0], arrays[1].name, (long long)t[k]->shape[0]);
  }
  if (t[0]->shape[0] < 2 || t[5]->shape[1] > INT32_MAX)
    return msl_raise(L, mark, "%s: expected a tree and classes, got first: %s, proba: %s", what, ms_shape_str(t[0]),
                     ms_shape_str(t[5]));
  ms_forest_arrays a = {.trees = t[0]->shape[0] - 1,
                        .features = *(const int64_t *)ms_data(features),
                        .nodes = t[1]->shape[0],
                        .rows = t[5]->shape[0],
                        .classes = numbers ? 0 : (int32_t)t[5]->shape[1],
                        .first = ms_data(t[0]),
                        .feature = ms_data(t[1]),
                        .threshold = ms_data(t[2]),
                        .left = ms_data(t[3]),
                        .leaf = ms_data(t[4]),
                        .proba = ms_data(t[5]),
                        .importance = importance ? ms_data(importance) : NULL};
  if (numbers && t[5]->shape[1] != 1)
    return msl_raise(L, mark, "%s: 'proba': expected one number in a row, got %s", what, ms_shape_str(t[5]));
  if (importance && a.features > 0 && importance->shape[0] != a.features)
    return msl_raise(L, mark, "%s: 'importances': expected %lld numbers, got %s", what, (long long)a.features,
                     ms_shape_str(importance));
  m->p = ms_forest_set(&a);
  msl_leave_as(L, mark, what);
  return 1;
}

const luaL_Reg msl_ml_forest[] = {{"forest_fit", forest_fit},
                                  {"forest_predict", forest_predict},
                                  {"forest_sizes", forest_sizes},
                                  {"forest_get", forest_get},
                                  {"forest_set", forest_set},
                                  {"forest_isolate", forest_isolate},
                                  {"forest_value", forest_value},
                                  {"forest_told", forest_told},
                                  {"forest_mean_depth", forest_mean_depth},
                                  {NULL, NULL}};
