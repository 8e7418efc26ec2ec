/* ml.c -- classical learning for Lua, the part that touches bytes: tensors to rows and labels, models as userdata.
 * scripts/mascon/ml.lua is the face; it finds these functions in inside.ml. Everything here takes `what`, the words that messages
 * begin with, as its first argument. */
#include "ml/ml.h"
#include "bind.h"
#include "host.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define KNN    "mascon.knn"
#define FOREST "mascon.forest"
#define PCA    "mascon.pca"

/* ---- models as userdata ------------------------------------------------------------------------------------------ */

typedef struct model {
  void *p; /* NULL until it is made */
  void (*free)(void *);
} model;

static void free_knn(void *p) { ms_knn_free(p); }
static void free_forest(void *p) { ms_forest_free(p); }
static void free_pca(void *p) { ms_pca_free(p); }

static int model_gc(lua_State *L) { /* upvalue: the class */
  model *m = luaL_checkudata(L, 1, lua_tostring(L, lua_upvalueindex(1)));
  void *p = m->p;
  m->p = NULL;
  if (p) m->free(p);
  return 0;
}

static model *push_model(lua_State *L, const char *class, void (*release)(void *)) {
  model *m = lua_newuserdatauv(L, sizeof *m, 0);
  *m = (model){NULL, release};
  luaL_setmetatable(L, class);
  return m;
}

static void *check_model(lua_State *L, int i, const char *class) { return ((model *)luaL_checkudata(L, i, class))->p; }

/* ---- arguments --------------------------------------------------------------------------------------------------- */

static const char *what_at(lua_State *L) { return luaL_checkstring(L, 1); }

/* The core's messages begin with its own names for things; let them begin with the function the script called. */
static void leave_as(lua_State *L, int mark, const char *what) {
  static const char *const names[] = {"knn: ", "forest: ", "pca: ", "covariance: ", "eigen: ", NULL};
  char text[1024];
  if (ms_error()) {
    const char *said = ms_error();
    for (const char *const *n = names; *n; n++)
      if (!strncmp(said, *n, strlen(*n))) said += strlen(*n);
    snprintf(text, sizeof text, "%s: %s", what, said);
    ms_error_clear();
    ms_fail("%s", text);
  }
  msl_leave(L, mark);
}

/* The tensor at index i as rows of samples: n of them, d features each, whatever shape a sample has. want: features it must have;
 * 0: any. */
static ms_tensor *samples_at(lua_State *L, int i, const char *what, int64_t want, int64_t *n, int64_t *d) {
  ms_tensor *t = msl_check(L, i, what);
  if (t->rank < 2 || !ms_dtype_is_float(t->dtype))
    msl_raise(L, ms_scope_open(), "%s: expected floats, samples x features, got %s", what, ms_shape_str(t));
  *n = t->shape[0], *d = 1;
  for (int k = 1; k < t->rank; k++)
    if (__builtin_mul_overflow(*d, t->shape[k], d))
      msl_raise(L, ms_scope_open(), "%s: too many features: %s", what, ms_shape_str(t));
  if (want && *d != want)
    msl_raise(L, ms_scope_open(), "%s: expected %lld features per sample, as in fit, got %lld (%s)", what, (long long)want,
              (long long)*d, ms_shape_str(t));
  return t;
}

/* Its values as f32 in host memory; they belong to the current scope. NULL after a failure. */
static const float *rows_of(ms_tensor *t) {
  static const float none;
  ms_tensor *r = msl_on_host(ms_cast(ms_detach(t), MS_F32));
  return !r ? NULL : ms_numel(r) ? ms_data(r) : &none;
}

/* The labels at index i as int32 in a userdata that it pushes, each in 1..classes (0: from 1 on). rows: how many there must be; -1:
 * any number, which *rows then is. *largest: the largest one, 0 where there are none. */
static const int32_t *check_labels(lua_State *L, int i, const char *what, const char *name, int64_t classes, int64_t *rows,
                                   int32_t *largest) {
  ms_tensor *t = msl_check(L, i, what);
  if (t->rank != 1 || (t->dtype != MS_I64 && t->dtype != MS_I32 && t->dtype != MS_U8))
    msl_raise(L, ms_scope_open(), "%s: %s: expected labels, whole numbers (dtype = \"i64\", or i32, u8) in one dimension, got %s",
              what, name, ms_shape_str(t));
  int64_t n = t->shape[0], most = classes ? classes : INT32_MAX - 1;
  if (*rows >= 0 && n != *rows)
    msl_raise(L, ms_scope_open(), "%s: %s: expected %lld labels, one per sample, got %lld", what, name, (long long)*rows,
              (long long)n);
  if (most >= INT32_MAX) msl_raise(L, ms_scope_open(), "%s: %lld classes are too many", what, (long long)classes);
  int32_t *y = lua_newuserdatauv(L, (size_t)n * sizeof *y + 1, 0);
  int mark = msl_enter(L);
  ms_tensor *r = msl_on_host(ms_cast(ms_detach(t), MS_I64));
  const int64_t *v = r ? ms_data(r) : NULL;
  *rows = n, *largest = 0;
  for (int64_t k = 0; r && k < n; k++) {
    if (v[k] < MS_INDEX_BASE || v[k] > most) {
      char range[64] = "1 or more";
      if (classes) snprintf(range, sizeof range, "1..%lld", (long long)classes);
      msl_raise(L, mark, "%s: %s[%lld] = %lld, expected %s", what, name, (long long)k + MS_INDEX_BASE, (long long)v[k], range);
    }
    y[k] = (int32_t)v[k];
    if (y[k] > *largest) *largest = y[k];
  }
  leave_as(L, mark, what);
  return y;
}

/* Labels the core gave, as an i64 tensor on a device. */
static ms_tensor *labels_to(const int32_t *y, int rank, const int64_t *shape, ms_device *device) {
  ms_tensor *t = ms_empty(MS_I64, rank, shape, ms_device_host());
  if (!t) return NULL;
  int64_t *v = ms_data(t), n = ms_numel(t);
  for (int64_t k = 0; k < n; k++) v[k] = y[k];
  return ms_to_device(t, device);
}

/* ---- neighbours -------------------------------------------------------------------------------------------------- */

/* ml.knn_fit(what, X, y or nil, classes) -> model; classes 0: the largest label */
static int knn_fit(lua_State *L) {
  const char *what = what_at(L);
  lua_Integer classes = luaL_checkinteger(L, 4);
  int64_t n, d;
  int32_t largest = 0;
  ms_tensor *x = samples_at(L, 2, what, 0, &n, &d);
  const int32_t *y = lua_isnil(L, 3) ? NULL : check_labels(L, 3, what, "y", classes, &n, &largest);
  model *m = push_model(L, KNN, free_knn);
  int mark = msl_enter(L);
  const float *v = rows_of(x);
  if (v) m->p = ms_knn_fit(n, d, v, y, classes ? (int32_t)classes : largest);
  leave_as(L, mark, what);
  return 1;
}

/* ml.knn_neighbours(what, model, X, k) -> row numbers (i64), distances (f32), both N x k */
static int knn_neighbours(lua_State *L) {
  const char *what = what_at(L);
  const ms_knn *m = check_model(L, 2, KNN);
  int64_t shape[2], d;
  ms_tensor *x = samples_at(L, 3, what, ms_knn_features(m), &shape[0], &d);
  shape[1] = luaL_checkinteger(L, 4);
  bool fits = shape[1] >= 1 && shape[1] <= ms_knn_rows(m); /* else the query says what is wrong */
  int32_t *index = lua_newuserdatauv(L, fits ? (size_t)shape[0] * (size_t)shape[1] * sizeof *index + 1 : 1, 0);
  int mark = msl_enter(L);
  const float *v = rows_of(x);
  ms_tensor *far = v && fits ? ms_empty(MS_F32, 2, shape, ms_device_host()) : NULL;
  if (v && (far || !fits) && ms_knn_query(m, shape[0], v, shape[1], index, far ? ms_data(far) : NULL) == 0) {
    msl_push(L, labels_to(index, 2, shape, x->device));
    msl_push(L, ms_to_device(far, x->device));
  }
  leave_as(L, mark, what);
  return 2;
}

/* ml.knn_predict(what, model, X, k, by_distance, proba) -> labels (i64), or with proba the shares of the votes (f32, N x classes)
 */
static int knn_predict(lua_State *L) {
  const char *what = what_at(L);
  const ms_knn *m = check_model(L, 2, KNN);
  int64_t shape[2], d;
  ms_tensor *x = samples_at(L, 3, what, ms_knn_features(m), &shape[0], &d), *p = NULL;
  lua_Integer k = luaL_checkinteger(L, 4);
  ms_knn_weights weights = lua_toboolean(L, 5) ? MS_KNN_DISTANCE : MS_KNN_UNIFORM;
  bool proba = lua_toboolean(L, 6);
  shape[1] = ms_knn_classes(m);
  int32_t *y = lua_newuserdatauv(L, (size_t)shape[0] * sizeof *y + 1, 0);
  int mark = msl_enter(L);
  const float *v = rows_of(x);
  if (v && proba) p = ms_empty(MS_F32, 2, shape, ms_device_host());
  if (v && (p || !proba) && ms_knn_classify(m, shape[0], v, k, weights, y, p ? ms_data(p) : NULL) == 0)
    msl_push(L, proba ? ms_to_device(p, x->device) : labels_to(y, 1, shape, x->device));
  leave_as(L, mark, what);
  return 1;
}

/* ml.knn_get(what, model) -> rows (f32), labels (i64) or nil, rows, features, classes */
static int knn_get(lua_State *L) {
  const char *what = what_at(L);
  const ms_knn *m = check_model(L, 2, KNN);
  int64_t shape[2] = {ms_knn_rows(m), ms_knn_features(m)};
  int mark = msl_enter(L);
  msl_push(L, ms_from_host(MS_F32, 2, shape, ms_knn_x(m), NULL));
  msl_push(L, ms_knn_y(m) && !ms_error() ? labels_to(ms_knn_y(m), 1, shape, ms_device_get("cpu")) : NULL);
  leave_as(L, mark, what);
  return 2;
}

static int knn_sizes(lua_State *L) {
  const ms_knn *m = check_model(L, 2, KNN);
  lua_pushinteger(L, ms_knn_rows(m));
  lua_pushinteger(L, ms_knn_features(m));
  lua_pushinteger(L, ms_knn_classes(m));
  return 3;
}

/* ---- trees ------------------------------------------------------------------------------------------------------- */

/* ml.forest_fit(what, X, y, {classes, trees, max_depth, max_features, min_split, min_leaf, bootstrap, seed}) -> model. classes 0:
 * the largest label; max_features: a whole number as in ms_forest_options, or a fraction of the features. */
static int forest_fit(lua_State *L) {
  const char *what = what_at(L);
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
  ms_tensor *x = samples_at(L, 2, what, 0, &n, &d);
  const int32_t *y = check_labels(L, 3, what, "y", at[0], &n, &largest);
  lua_getfield(L, 4, "max_features");
  o.max_features = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : (int64_t)fmax(1, floor(luaL_checknumber(L, -1) * (double)d));
  if (o.max_features > d)
    return msl_raise(L, ms_scope_open(), "%s: option max_features: expected at most the %lld features there are, got %lld", what,
                     (long long)d, (long long)o.max_features);
  model *m = push_model(L, FOREST, free_forest);
  int mark = msl_enter(L);
  const float *v = rows_of(x);
  if (v) m->p = ms_forest_fit(n, d, v, y, at[0] ? (int32_t)at[0] : largest, &o);
  leave_as(L, mark, what);
  return 1;
}

/* ml.forest_predict(what, model, X, proba) -> labels (i64), or with proba the mean shares (f32, N x classes) */
static int forest_predict(lua_State *L) {
  const char *what = what_at(L);
  const ms_forest *f = check_model(L, 2, FOREST);
  const ms_forest_arrays a = ms_forest_get(f);
  int64_t shape[2], d;
  ms_tensor *x = samples_at(L, 3, what, a.features, &shape[0], &d), *p = NULL;
  bool proba = lua_toboolean(L, 4);
  shape[1] = a.classes;
  int32_t *y = proba ? NULL : lua_newuserdatauv(L, (size_t)shape[0] * sizeof *y + 1, 0);
  int mark = msl_enter(L);
  const float *v = rows_of(x);
  if (v && proba) {
    p = ms_empty(MS_F64, 2, shape, ms_device_host());
    if (p && ms_forest_proba(f, shape[0], v, ms_data(p)) == 0) msl_push(L, ms_to_device(ms_cast(p, MS_F32), x->device));
  } else if (v && ms_forest_predict(f, shape[0], v, y) == 0) msl_push(L, labels_to(y, 1, shape, x->device));
  leave_as(L, mark, what);
  return 1;
}

/* ml.forest_sizes(what, model [, tree]) -> trees, features, classes, nodes, depth: of one tree (from 1; nil nodes where there is
 * none), or the nodes of all and the greatest depth */
static int forest_sizes(lua_State *L) {
  const ms_forest *f = check_model(L, 2, FOREST);
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
  const char *what = what_at(L);
  const ms_forest_arrays a = ms_forest_get(check_model(L, 2, FOREST));
  const void *data[] = {a.first, a.feature, a.threshold, a.left, a.leaf, a.proba};
  int64_t first[] = {a.trees + 1}, nodes[] = {a.nodes}, proba[] = {a.rows, a.classes};
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
  leave_as(L, mark, what);
  return 1;
}

/* The tensor `name` of the table at index i, of a rank, as `dtype` in host memory; raises. It belongs to the scope. */
static ms_tensor *state_entry(lua_State *L, int mark, int i, const char *what, const char *name, int dtype, int rank) {
  lua_getfield(L, i, name);
  ms_tensor *t = msl_to(L, -1);
  if (!t) msl_raise(L, mark, "%s: '%s': expected a tensor, got %s", what, name, luaL_typename(L, -1));
  if (t->rank != rank)
    msl_raise(L, mark, "%s: '%s': expected %d dimension%s, got %s", what, name, rank, rank == 1 ? "" : "s", ms_shape_str(t));
  lua_pop(L, 1); /* the table still holds it */
  t = msl_on_host(ms_cast(ms_detach(t), dtype));
  if (!t) leave_as(L, mark, what);
  return t;
}

/* ml.forest_set(what, state) -> model */
static int forest_set(lua_State *L) {
  const char *what = what_at(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  model *m = push_model(L, FOREST, free_forest);
  int mark = msl_enter(L);
  ms_tensor *t[6], *features = state_entry(L, mark, 2, what, "features", MS_I64, 0);
  for (int k = 0; k < 6; k++) {
    t[k] = state_entry(L, mark, 2, what, arrays[k].name, arrays[k].dtype, k == 5 ? 2 : 1);
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
                        .classes = (int32_t)t[5]->shape[1],
                        .first = ms_data(t[0]),
                        .feature = ms_data(t[1]),
                        .threshold = ms_data(t[2]),
                        .left = ms_data(t[3]),
                        .leaf = ms_data(t[4]),
                        .proba = ms_data(t[5])};
  m->p = ms_forest_set(&a);
  leave_as(L, mark, what);
  return 1;
}

/* ---- principal components ---------------------------------------------------------------------------------------- */

/* ml.pca_fit(what, X, k) -> model; k 0: as many as there are rows and features for */
static int pca_fit(lua_State *L) {
  const char *what = what_at(L);
  int64_t n, d, k = luaL_checkinteger(L, 3);
  ms_tensor *x = samples_at(L, 2, what, 0, &n, &d);
  if (n < 2) return msl_raise(L, ms_scope_open(), "%s: expected two rows or more, got %s", what, ms_shape_str(x));
  if (k > d)
    return msl_raise(L, ms_scope_open(), "%s: option components: expected at most the %lld features there are, got %lld", what,
                     (long long)d, (long long)k);
  model *m = push_model(L, PCA, free_pca);
  int mark = msl_enter(L);
  const float *v = rows_of(x);
  if (v) m->p = ms_pca_fit(n, d, v, k ? k : n < d ? n : d);
  leave_as(L, mark, what);
  return 1;
}

/* ml.pca_apply(what, model, X, back) -> f32: the codes (N x k) of rows, or the rows (N x d) of codes */
static int pca_apply(lua_State *L) {
  const char *what = what_at(L);
  const ms_pca *p = check_model(L, 2, PCA);
  bool back = lua_toboolean(L, 4);
  int64_t shape[2], given, d = ms_pca_features(p), k = ms_pca_components(p);
  ms_tensor *x = samples_at(L, 3, what, back ? 0 : d, &shape[0], &given);
  if (back && given != k)
    return msl_raise(L, ms_scope_open(), "%s: expected %lld components per sample, got %s", what, (long long)k, ms_shape_str(x));
  shape[1] = back ? d : k;
  int mark = msl_enter(L);
  const float *v = rows_of(x);
  ms_tensor *r = v ? ms_empty(MS_F32, 2, shape, ms_device_host()) : NULL;
  if (r && (back ? ms_pca_inverse : ms_pca_transform)(p, shape[0], v, ms_data(r)) == 0) msl_push(L, ms_to_device(r, x->device));
  leave_as(L, mark, what);
  return 1;
}

/* ml.pca_get(what, model) -> {mean, components, variance, total}, f64 */
static int pca_get(lua_State *L) {
  const char *what = what_at(L);
  const ms_pca *p = check_model(L, 2, PCA);
  int64_t d = ms_pca_features(p), k = ms_pca_components(p), basis[] = {k, d};
  double total = ms_pca_total(p);
  const struct {
    const char *name;
    int rank;
    const int64_t *shape;
    const double *data;
  } parts[] = {{"mean", 1, &d, ms_pca_mean(p)},
               {"components", 2, basis, ms_pca_basis(p)},
               {"variance", 1, &k, ms_pca_variance(p)},
               {"total", 0, &d, &total}};
  lua_createtable(L, 0, 4);
  int mark = msl_enter(L);
  for (int i = 0; i < 4 && !ms_error(); i++) {
    msl_push(L, ms_from_host(MS_F64, parts[i].rank, parts[i].shape, parts[i].data, NULL));
    lua_setfield(L, -2, parts[i].name);
  }
  leave_as(L, mark, what);
  return 1;
}

/* ml.pca_set(what, state) -> model */
static int pca_set(lua_State *L) {
  const char *what = what_at(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  static const char *const names[] = {"mean", "components", "variance", "total"};
  static const int ranks[] = {1, 2, 1, 0};
  model *m = push_model(L, PCA, free_pca);
  int mark = msl_enter(L);
  ms_tensor *t[4];
  const double *v[4];
  for (int i = 0; i < 4; i++) {
    t[i] = state_entry(L, mark, 2, what, names[i], MS_F64, ranks[i]);
    v[i] = ms_data(t[i]);
    for (int64_t j = 0; j < ms_numel(t[i]); j++)
      if (!isfinite(v[i][j])) return msl_raise(L, mark, "%s: '%s' holds %g, expected finite numbers", what, names[i], v[i][j]);
  }
  int64_t d = t[0]->shape[0], k = t[2]->shape[0];
  if (t[1]->shape[0] != k || t[1]->shape[1] != d)
    return msl_raise(L, mark, "%s: 'components': expected %lld x %lld as 'variance' and 'mean' have it, got %s", what, (long long)k,
                     (long long)d, ms_shape_str(t[1]));
  m->p = ms_pca_set(d, k, v[0], v[1], v[2], v[3][0]);
  leave_as(L, mark, what);
  return 1;
}

/* ---- metrics, seeds ---------------------------------------------------------------------------------------------- */

/* ml.accuracy(what, predicted, truth) -> share of equal labels */
static int accuracy(lua_State *L) {
  const char *what = what_at(L);
  int64_t n = -1;
  int32_t largest;
  const int32_t *p = check_labels(L, 2, what, "predicted", 0, &n, &largest),
                *t = check_labels(L, 3, what, "truth", 0, &n, &largest);
  if (n < 1) return msl_raise(L, ms_scope_open(), "%s: expected at least one label", what);
  lua_pushnumber(L, ms_accuracy(n, t, p));
  return 1;
}

/* ml.confusion(what, predicted, truth, classes) -> classes x classes counts (i64): rows predicted, columns true; classes 0: the
 * largest label */
static int confusion(lua_State *L) {
  const char *what = what_at(L);
  int64_t n = -1, classes = luaL_checkinteger(L, 4);
  int32_t a, b;
  const int32_t *p = check_labels(L, 2, what, "predicted", classes, &n, &a),
                *t = check_labels(L, 3, what, "truth", classes, &n, &b);
  if (!classes) classes = a > b ? a : b;
  if (classes < 1 || classes > UINT16_MAX)
    return msl_raise(L, ms_scope_open(), "%s: expected 1..%d classes, got %lld", what, UINT16_MAX, (long long)classes);
  int mark = msl_enter(L);
  ms_tensor *r = ms_empty(MS_I64, 2, (int64_t[]){classes, classes}, ms_device_host());
  if (r && ms_confusion(n, (int32_t)classes, p, t, ms_data(r)) == 0) msl_push(L, r); /* the core's rows are its first argument's */
  leave_as(L, mark, what);
  return 1;
}

/* ml.draw() -> a seed from the default generator */
static int draw(lua_State *L) { return lua_pushinteger(L, ms_rng_next(ms_default_rng())), 1; }

void msl_open_ml(lua_State *L) { /* stack: module, methods */
  static const char *const classes[] = {KNN, FOREST, PCA};
  for (int i = 0; i < 3; i++) {
    msl_metatable(L, classes[i]);
    lua_pushstring(L, classes[i]);
    lua_pushcclosure(L, model_gc, 1);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
  }
  static const luaL_Reg functions[] = {{"knn_fit", knn_fit},
                                       {"knn_neighbours", knn_neighbours},
                                       {"knn_predict", knn_predict},
                                       {"knn_get", knn_get},
                                       {"knn_sizes", knn_sizes},
                                       {"forest_fit", forest_fit},
                                       {"forest_predict", forest_predict},
                                       {"forest_sizes", forest_sizes},
                                       {"forest_get", forest_get},
                                       {"forest_set", forest_set},
                                       {"pca_fit", pca_fit},
                                       {"pca_apply", pca_apply},
                                       {"pca_get", pca_get},
                                       {"pca_set", pca_set},
                                       {"accuracy", accuracy},
                                       {"confusion", confusion},
                                       {"draw", draw},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  msl_inside(L);
  lua_insert(L, -2);
  lua_setfield(L, -2, "ml");
  lua_pop(L, 1);
}
