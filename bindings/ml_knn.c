/* ml_knn.c -- nearest neighbours for Lua: what scripts/mascon/ml/ finds in inside.ml. Each function takes `what` first (ml.h). */
#include "ml.h"
#include <string.h>

#define KNN "mascon.knn"

static void free_knn(void *p) { ms_knn_free(p); }

/* ml.knn_fit(what, X, y or nil, classes) -> model; classes 0: the largest label */
static int knn_fit(lua_State *L) {
  const char *what = msl_what_at(L);
  lua_Integer classes = luaL_checkinteger(L, 4);
  int64_t n, d;
  int32_t largest = 0;
  ms_tensor *x = msl_samples_at(L, 2, what, 0, &n, &d);
  const int32_t *y = lua_isnil(L, 3) ? NULL : msl_labels_at(L, 3, what, "y", classes, &n, &largest);
  msl_model *m = msl_push_model(L, KNN, free_knn);
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x);
  if (v) m->p = ms_knn_fit(n, d, v, y, classes ? (int32_t)classes : largest);
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

const luaL_Reg msl_ml_knn[] = {{"knn_fit", knn_fit}, {"knn_neighbours", knn_neighbours}, {"knn_predict", knn_predict},
                               {"knn_get", knn_get}, {"knn_sizes", knn_sizes},           {NULL, NULL}};
