/* ml_pca.c -- principal components for Lua: what scripts/mascon/ml/ finds in inside.ml. Each function takes `what` first (ml.h). */
#include "ml.h"
#include <math.h>
#include <string.h>

#define PCA "mascon.pca"

static void free_pca(void *p) { ms_pca_free(p); }

/* ml.pca_fit(what, X, k) -> model; k 0: as many as there are rows and features for */
static int pca_fit(lua_State *L) {
  const char *what = msl_what_at(L);
  int64_t n, d, k = luaL_checkinteger(L, 3);
  ms_tensor *x = msl_samples_at(L, 2, what, 0, &n, &d);
  if (n < 2) return msl_raise(L, ms_scope_open(), "%s: expected two rows or more, got %s", what, ms_shape_str(x));
  if (k > d)
    return msl_raise(L, ms_scope_open(), "%s: option components: expected at most the %lld features there are, got %lld", what,
                     (long long)d, (long long)k);
  msl_model *m = msl_push_model(L, PCA, free_pca);
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x);
  if (v) m->p = ms_pca_fit(n, d, v, k ? k : n < d ? n : d);
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.pca_apply(what, model, X, back) -> f32: the codes (N x k) of rows, or the rows (N x d) of codes */
static int pca_apply(lua_State *L) {
  const char *what = msl_what_at(L);
  const ms_pca *p = msl_check_model(L, 2, PCA);
  bool back = lua_toboolean(L, 4);
  int64_t shape[2], given, d = ms_pca_features(p), k = ms_pca_components(p);
  ms_tensor *x = msl_samples_at(L, 3, what, back ? 0 : d, &shape[0], &given);
  if (back && given != k)
    return msl_raise(L, ms_scope_open(), "%s: expected %lld components per sample, got %s", what, (long long)k, ms_shape_str(x));
  shape[1] = back ? d : k;
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x);
  ms_tensor *r = v ? ms_empty(MS_F32, 2, shape, ms_device_host()) : NULL;
  if (r && (back ? ms_pca_inverse : ms_pca_transform)(p, shape[0], v, ms_data(r)) == 0) msl_push(L, ms_to_device(r, x->device));
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.pca_get(what, model) -> {mean, components, variance, total}, f64 */
static int pca_get(lua_State *L) {
  const char *what = msl_what_at(L);
  const ms_pca *p = msl_check_model(L, 2, PCA);
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
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.pca_set(what, state) -> msl_model */
static int pca_set(lua_State *L) {
  const char *what = msl_what_at(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  static const char *const names[] = {"mean", "components", "variance", "total"};
  static const int ranks[] = {1, 2, 1, 0};
  msl_model *m = msl_push_model(L, PCA, free_pca);
  int mark = msl_enter(L);
  ms_tensor *t[4];
  const double *v[4];
  for (int i = 0; i < 4; i++) {
    t[i] = msl_state_entry(L, mark, 2, what, names[i], MS_F64, ranks[i]);
    v[i] = ms_data(t[i]);
    for (int64_t j = 0; j < ms_numel(t[i]); j++)
      if (!isfinite(v[i][j])) return msl_raise(L, mark, "%s: '%s' holds %g, expected finite numbers", what, names[i], v[i][j]);
  }
  int64_t d = t[0]->shape[0], k = t[2]->shape[0];
  if (t[1]->shape[0] != k || t[1]->shape[1] != d)
    return msl_raise(L, mark, "%s: 'components': expected %lld x %lld as 'variance' and 'mean' have it, got %s", what, (long long)k,
                     (long long)d, ms_shape_str(t[1]));
  m->p = ms_pca_set(d, k, v[0], v[1], v[2], v[3][0]);
  msl_leave_as(L, mark, what);
  return 1;
}

const luaL_Reg msl_ml_pca[] = {
    {"pca_fit", pca_fit}, {"pca_apply", pca_apply}, {"pca_get", pca_get}, {"pca_set", pca_set}, {NULL, NULL}};
