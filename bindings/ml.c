/* ml.c -- classical learning for Lua, what its families (ml_*.c) share: tensors to rows and labels, models as userdata.
 * scripts/mascon/ml.lua and scripts/mascon/ml/ are the face; they find the functions in inside.ml. */
#include "ml.h"
#include "core/busy.h"
#include "host.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- models as userdata ------------------------------------------------------------------------------------------ */

static int model_gc(lua_State *L) { /* upvalue: the class */
  msl_model *m = luaL_checkudata(L, 1, lua_tostring(L, lua_upvalueindex(1)));
  void *p = m->p;
  m->p = NULL;
  if (p) m->free(p);
  return 0;
}

msl_model *msl_push_model(lua_State *L, const char *class, void (*release)(void *)) {
  msl_model *m = lua_newuserdatauv(L, sizeof *m, 0);
  *m = (msl_model){NULL, release};
  luaL_setmetatable(L, class);
  return m;
}

void *msl_check_model(lua_State *L, int i, const char *class) { return ((msl_model *)luaL_checkudata(L, i, class))->p; }

/* ---- arguments --------------------------------------------------------------------------------------------------- */

const char *msl_what_at(lua_State *L) {
  const char *what = luaL_checkstring(L, 1);
  ms_busy(what);
  return what;
}

/* The core's messages begin with its own names for things; let them begin with the function the script called. */
void msl_leave_as(lua_State *L, int mark, const char *what) {
  static const char *const names[] = {
      "knn: ",  "graph: ",  "forest: ",           "pca: ",        "covariance: ",      "eigen: ",          "logistic: ",
      "tsne: ", "kmeans: ", "gaussian_mixture: ", "silhouette: ", "trustworthiness: ", "davies_bouldin: ", "calinski_harabasz: ",
      NULL};
  char text[1024];
  ms_busy(NULL);
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
ms_tensor *msl_samples_at(lua_State *L, int i, const char *what, int64_t want, int64_t *n, int64_t *d) {
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
const float *msl_rows_of(ms_tensor *t) {
  static const float none;
  ms_tensor *r = msl_on_host(ms_cast(ms_detach(t), MS_F32));
  return !r ? NULL : ms_numel(r) ? ms_data(r) : &none;
}

/* The labels at index i as int32 in a userdata that it pushes, each in 1..classes (0: from 1 on). rows: how many there must be; -1:
 * any number, which *rows then is. *largest: the largest one, 0 where there are none. */
const int32_t *msl_labels_at(lua_State *L, int i, const char *what, const char *name, int64_t classes, int64_t *rows,
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
  msl_leave_as(L, mark, what);
  ms_busy(what);
  return y;
}

/* Labels the core gave, as an i64 tensor on a device. */
ms_tensor *msl_labels_to(const int32_t *y, int rank, const int64_t *shape, ms_device *device) {
  ms_tensor *t = ms_empty(MS_I64, rank, shape, ms_device_host());
  if (!t) return NULL;
  int64_t *v = ms_data(t), n = ms_numel(t);
  for (int64_t k = 0; k < n; k++) v[k] = y[k];
  return ms_to_device(t, device);
}

/* The tensor `name` of the table at index i, of a rank, as `dtype` in host memory; raises. It belongs to the scope. */
ms_tensor *msl_state_entry(lua_State *L, int mark, int i, const char *what, const char *name, int dtype, int rank) {
  lua_getfield(L, i, name);
  ms_tensor *t = msl_to(L, -1);
  if (!t) msl_raise(L, mark, "%s: '%s': expected a tensor, got %s", what, name, luaL_typename(L, -1));
  if (t->rank != rank)
    msl_raise(L, mark, "%s: '%s': expected %d dimension%s, got %s", what, name, rank, rank == 1 ? "" : "s", ms_shape_str(t));
  lua_pop(L, 1); /* the table still holds it */
  t = msl_on_host(ms_cast(ms_detach(t), dtype));
  if (!t) msl_leave_as(L, mark, what);
  return t;
}

/* The families: the class of each one's models (NULL: it has none) and its functions. */
void msl_open_ml(lua_State *L) { /* stack: module, methods */
  static const struct {
    const char *class;
    const luaL_Reg *functions;
  } families[] = {{"mascon.knn", msl_ml_knn}, {"mascon.forest", msl_ml_forest},     {"mascon.pca", msl_ml_pca},
                  {NULL, msl_ml_metrics},     {"mascon.logistic", msl_ml_logistic}, {"mascon.tsne", msl_ml_tsne},
                  {NULL, msl_ml_cluster}};
  lua_newtable(L);
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    luaL_setfuncs(L, families[i].functions, 0);
    if (!families[i].class) continue;
    msl_metatable(L, families[i].class);
    lua_pushstring(L, families[i].class);
    lua_pushcclosure(L, model_gc, 1);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
  }
  msl_inside(L);
  lua_insert(L, -2);
  lua_setfield(L, -2, "ml");
  lua_pop(L, 1);
}
