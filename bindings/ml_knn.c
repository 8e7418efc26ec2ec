/* ml_knn.c -- nearest neighbours for Lua: what scripts/mascon/ml/ finds in inside.ml. Each function takes `what` first (ml.h). */
#include "ml.h"
#include <stdlib.h>
#include <string.h>

#define KNN "mascon.knn"

static void free_knn(void *p) { ms_knn_free(p); }

static const char *const metrics[] = {"euclidean", "cosine", "manhattan", NULL};

/* ml.knn_fit(what, X, y or nil, classes, metric) -> model; classes 0: the largest label */
static int knn_fit(lua_State *L) {
  const char *what = msl_what_at(L);
  lua_Integer classes = luaL_checkinteger(L, 4);
  ms_knn_metric metric = (ms_knn_metric)luaL_checkoption(L, 5, "euclidean", metrics);
  int64_t n, d;
  int32_t largest = 0;
  ms_tensor *x = msl_samples_at(L, 2, what, 0, &n, &d);
  const int32_t *y = lua_isnil(L, 3) ? NULL : msl_labels_at(L, 3, what, "y", classes, &n, &largest);
  msl_model *m = msl_push_model(L, KNN, free_knn);
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x);
  if (v) m->p = ms_knn_fit_by(metric, n, d, v, y, classes ? (int32_t)classes : largest);
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.knn_neighbours(what, model, X, k) -> row numbers (i64), distances (f32), both N x k */
static int knn_neighbours(lua_State *L) {
  const char *what = msl_what_at(L);
  const ms_knn *m = msl_check_model(L, 2, KNN);
  int64_t shape[2], d;
  ms_tensor *x = msl_samples_at(L, 3, what, ms_knn_features(m), &shape[0], &d);
  shape[1] = luaL_checkinteger(L, 4);
  bool fits = shape[1] >= 1 && shape[1] <= ms_knn_rows(m); /* else the query says what is wrong */
  int32_t *index = lua_newuserdatauv(L, fits ? (size_t)shape[0] * (size_t)shape[1] * sizeof *index + 1 : 1, 0);
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x);
  ms_tensor *far = v && fits ? ms_empty(MS_F32, 2, shape, ms_device_host()) : NULL;
  if (v && (far || !fits) && ms_knn_query(m, shape[0], v, shape[1], index, far ? ms_data(far) : NULL) == 0) {
    msl_push(L, msl_labels_to(index, 2, shape, x->device));
    msl_push(L, ms_to_device(far, x->device));
  }
  msl_leave_as(L, mark, what);
  return 2;
}

/* ml.knn_predict(what, model, X, k, by_distance, proba) -> labels (i64), or with proba the shares of the votes (f32, N x classes)
 */
static int knn_predict(lua_State *L) {
  const char *what = msl_what_at(L);
  const ms_knn *m = msl_check_model(L, 2, KNN);
  int64_t shape[2], d;
  ms_tensor *x = msl_samples_at(L, 3, what, ms_knn_features(m), &shape[0], &d), *p = NULL;
  lua_Integer k = luaL_checkinteger(L, 4);
  ms_knn_weights weights = lua_toboolean(L, 5) ? MS_KNN_DISTANCE : MS_KNN_UNIFORM;
  bool proba = lua_toboolean(L, 6);
  shape[1] = ms_knn_classes(m);
  int32_t *y = lua_newuserdatauv(L, (size_t)shape[0] * sizeof *y + 1, 0);
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x);
  if (v && proba) p = ms_empty(MS_F32, 2, shape, ms_device_host());
  if (v && (p || !proba) && ms_knn_classify(m, shape[0], v, k, weights, y, p ? ms_data(p) : NULL) == 0)
    msl_push(L, proba ? ms_to_device(p, x->device) : msl_labels_to(y, 1, shape, x->device));
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.knn_get(what, model) -> rows (f32), labels (i64) or nil, rows, features, classes */
static int knn_get(lua_State *L) {
  const char *what = msl_what_at(L);
  const ms_knn *m = msl_check_model(L, 2, KNN);
  int64_t shape[2] = {ms_knn_rows(m), ms_knn_features(m)};
  int mark = msl_enter(L);
  msl_push(L, ms_from_host(MS_F32, 2, shape, ms_knn_x(m), NULL));
  msl_push(L, ms_knn_y(m) && !ms_error() ? msl_labels_to(ms_knn_y(m), 1, shape, ms_device_get("cpu")) : NULL);
  msl_leave_as(L, mark, what);
  return 2;
}

static int knn_sizes(lua_State *L) {
  const ms_knn *m = msl_check_model(L, 2, KNN);
  lua_pushinteger(L, ms_knn_rows(m));
  lua_pushinteger(L, ms_knn_features(m));
  lua_pushinteger(L, ms_knn_classes(m));
  return 3;
}

/* ml.knn_others(what, model, k) -> row numbers (i64), distances (f32), both rows x k: the nearest other training rows of each */
static int knn_others(lua_State *L) {
  const char *what = msl_what_at(L);
  const ms_knn *m = msl_check_model(L, 2, KNN);
  int64_t shape[2] = {ms_knn_rows(m), luaL_checkinteger(L, 3)};
  bool fits = shape[1] >= 1 && shape[1] < shape[0]; /* else the core says what is wrong */
  int32_t *index = lua_newuserdatauv(L, fits ? (size_t)shape[0] * (size_t)shape[1] * sizeof *index + 1 : 1, 0);
  int mark = msl_enter(L);
  ms_tensor *far = fits ? ms_empty(MS_F32, 2, shape, ms_device_host()) : NULL;
  if ((far || !fits) && ms_knn_others(m, shape[1], index, far ? ms_data(far) : NULL) == 0) {
    msl_push(L, msl_labels_to(index, 2, shape, ms_device_get("cpu")));
    msl_push(L, far);
  }
  msl_leave_as(L, mark, what);
  return 2;
}

/* ---- graphs of neighbours ---------------------------------------------------------------------------------------- */

/* The tensor at index i as `dtype` in host memory, of a shape; Lua's part has made it. It belongs to the scope. */
static ms_tensor *plain_at(lua_State *L, int mark, int i, const char *what, int dtype, int rank) {
  ms_tensor *t = msl_to(L, i);
  if (!t || t->rank != rank) msl_raise(L, mark, "%s: expected a tensor of %d dimensions", what, rank);
  t = msl_on_host(ms_cast(ms_detach(t), dtype));
  if (!t) msl_leave_as(L, mark, what);
  return t;
}

/* ml.graph_join(what, index, weight, symmetry) -> first (n + 1), column, value: see ms_graph_join; index and weight n x k */
static int graph_join(lua_State *L) {
  static const char *const symmetries[] = {"none", "mean", "max", NULL};
  const char *what = msl_what_at(L);
  ms_graph_symmetry how = (ms_graph_symmetry)luaL_checkoption(L, 4, NULL, symmetries);
  int32_t *column = NULL;
  float *value = NULL;
  int mark = msl_enter(L);
  ms_tensor *index = plain_at(L, mark, 2, what, MS_I32, 2), *weight = plain_at(L, mark, 3, what, MS_F32, 2);
  int64_t n = index->shape[0], k = index->shape[1], ends = n + 1;
  if (weight->shape[0] != n || weight->shape[1] != k) msl_raise(L, mark, "%s: expected as many weights as neighbours", what);
  ms_tensor *first = ms_empty(MS_I64, 1, &ends, ms_device_host());
  int64_t edges = first ? ms_graph_join(n, k, ms_data(index), ms_data(weight), how, ms_data(first), &column, &value) : -1;
  ms_tensor *to = edges < 0 ? NULL : ms_cast(ms_from_host(MS_I32, 1, &edges, column, NULL), MS_I64);
  ms_tensor *with = to ? ms_from_host(MS_F32, 1, &edges, value, NULL) : NULL;
  free(column), free(value);
  if (with) {
    msl_push(L, first);
    msl_push(L, to);
    msl_push(L, with);
  }
  msl_leave_as(L, mark, what);
  return 3;
}

/* ml.graph_product(what, first, column, value, F) -> W F, f64, n x c; first, column and value as graph_join gave them */
static int graph_product(lua_State *L) {
  const char *what = msl_what_at(L);
  int mark = msl_enter(L);
  ms_tensor *first = plain_at(L, mark, 2, what, MS_I64, 1), *column = plain_at(L, mark, 3, what, MS_I64, 1);
  ms_tensor *value = plain_at(L, mark, 4, what, MS_F32, 1), *in = plain_at(L, mark, 5, what, MS_F64, 2);
  int64_t n = first->shape[0] - 1, edges = column->shape[0];
  const int64_t *at = ms_data(first), *to = ms_data(column);
  bool sound = n >= 1 && at[0] == 0 && at[n] == edges && value->shape[0] == edges;
  for (int64_t i = 0; sound && i < n; i++) sound = at[i] <= at[i + 1];
  for (int64_t j = 0; sound && j < edges; j++) sound = to[j] >= MS_INDEX_BASE && to[j] - MS_INDEX_BASE < n;
  if (!sound) msl_raise(L, mark, "%s: first, column and weight are not those of a graph", what);
  if (in->shape[0] != n)
    msl_raise(L, mark, "%s: expected %lld rows, one for each node, got %s", what, (long long)n, ms_shape_str(in));
  ms_tensor *out = ms_empty(MS_F64, 2, in->shape, ms_device_host());
  if (out) {
    ms_graph_product(n, at, to, ms_data(value), in->shape[1], ms_data(in), ms_data(out));
    msl_push(L, out);
  }
  msl_leave_as(L, mark, what);
  return 1;
}

const luaL_Reg msl_ml_knn[] = {{"knn_fit", knn_fit},       {"knn_neighbours", knn_neighbours}, {"knn_predict", knn_predict},
                               {"knn_get", knn_get},       {"knn_sizes", knn_sizes},           {"knn_others", knn_others},
                               {"graph_join", graph_join}, {"graph_product", graph_product},   {NULL, NULL}};
