/* ml_cluster.c -- clusters, gaussian mixtures and their measures for Lua: what scripts/mascon/ml/ finds in inside.ml. Each function
 * takes `what` first (ml.h). Models are tables of f64 tensors, which Lua keeps. */
#include "ml.h"
#include "ml/cluster.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t whole_of(lua_State *L, int i, const char *name) {
  lua_getfield(L, i, name);
  const int64_t v = luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return v;
}

/* Pushes an f64 tensor of values that the core is to fill; *data: where. */
static ms_tensor *push_f64(lua_State *L, int rank, const int64_t *shape, double **data) {
  ms_tensor *t = ms_empty(MS_F64, rank, shape, ms_device_host());
  *data = t ? ms_data(t) : NULL;
  msl_push(L, t);
  return t;
}

/* ml.kmeans_fit(what, X, init or nil, {clusters, n_init, max_iter, tol, seed}) -> centres (f64), labels, inertia, iterations */
static int kmeans_fit(lua_State *L) {
  const char *what = msl_what_at(L);
  int64_t n, d, rows, columns, steps = 0;
  ms_tensor *x = msl_samples_at(L, 2, what, 0, &n, &d),
            *init = lua_isnil(L, 3) ? NULL : msl_samples_at(L, 3, what, 0, &rows, &columns);
  ms_kmeans_options o = {.clusters = whole_of(L, 4, "clusters"),
                         .n_init = whole_of(L, 4, "n_init"),
                         .max_iter = whole_of(L, 4, "max_iter"),
                         .seed = (uint64_t)whole_of(L, 4, "seed")};
  lua_getfield(L, 4, "tol");
  o.tol = luaL_checknumber(L, -1);
  if (init && (rows != o.clusters || columns != d))
    return msl_raise(L, ms_scope_open(), "%s: option init: expected %lld x %lld, clusters x features, got %s", what,
                     (long long)o.clusters, (long long)d, ms_shape_str(init));
  if (o.clusters > n || d < 1)
    return msl_raise(L, ms_scope_open(), "%s: option %s: expected at most the %lld samples there are, got %lld", what,
                     strstr(what, "mixture") ? "components" : "clusters", (long long)n, (long long)o.clusters);
  int32_t *y = lua_newuserdatauv(L, (size_t)n * sizeof *y + 1, 0);
  int mark = msl_enter(L);
  double inertia = 0, *centres;
  const float *v = msl_rows_of(x), *start = v && init ? msl_rows_of(init) : NULL;
  push_f64(L, 2, (int64_t[]){o.clusters, d}, &centres);
  if (v && centres && (start || !init) && ms_kmeans_fit(n, d, v, start, &o, centres, y, &inertia, &steps) == 0)
    msl_push(L, msl_labels_to(y, 1, &n, x->device));
  msl_leave_as(L, mark, what);
  lua_pushnumber(L, inertia);
  lua_pushinteger(L, steps);
  return 4;
}

/* ml.kmeans_predict(what, {centers}, X, distances) -> labels, or with `distances` those to all centres (f32, N x clusters) */
static int kmeans_predict(lua_State *L) {
  const char *what = msl_what_at(L);
  const bool far = lua_toboolean(L, 4);
  int mark = msl_enter(L);
  ms_tensor *c = msl_state_entry(L, mark, 2, what, "centers", MS_F64, 2);
  int64_t shape[2] = {0, c->shape[0]}, d;
  ms_tensor *x = msl_samples_at(L, 3, what, c->shape[1], &shape[0], &d), *r = NULL;
  int32_t *y = lua_newuserdatauv(L, (size_t)shape[0] * sizeof *y + 1, 0);
  const float *v = msl_rows_of(x);
  if (v && far) r = ms_empty(MS_F64, 2, shape, ms_device_host());
  if (v && (r || !far) && ms_kmeans_predict(shape[1], d, ms_data(c), shape[0], v, far ? NULL : y, r ? ms_data(r) : NULL) == 0)
    msl_push(L, far ? ms_to_device(ms_cast(r, MS_F32), x->device) : msl_labels_to(y, 1, shape, x->device));
  msl_leave_as(L, mark, what);
  return 1;
}

static const char *const kinds[] = {"full", "tied", "diag", "spherical", NULL};

static int covariance_shape(ms_gmm_kind kind, int64_t k, int64_t d, int64_t shape[3]) {
  if (kind == MS_GMM_FULL) return shape[0] = k, shape[1] = shape[2] = d, 3;
  if (kind == MS_GMM_TIED) return shape[0] = shape[1] = d, 2;
  if (kind == MS_GMM_DIAG) return shape[0] = k, shape[1] = d, 2;
  return shape[0] = k, 1;
}

/* ml.gmm_fit(what, X, labels, components, kind, reg, tol, max_iter) -> weights, means, covariances (f64), likelihood, iterations,
 * converged */
static int gmm_fit(lua_State *L) {
  const char *what = msl_what_at(L);
  int64_t n, d, shape[3], steps = 0, k = luaL_checkinteger(L, 4);
  int32_t largest;
  bool converged = false;
  ms_tensor *x = msl_samples_at(L, 2, what, 0, &n, &d);
  ms_gmm g = {.k = k, .d = d, .kind = luaL_checkoption(L, 5, NULL, kinds)};
  const double reg = luaL_checknumber(L, 6), tol = luaL_checknumber(L, 7);
  const int64_t most = luaL_checkinteger(L, 8);
  const int32_t *y = msl_labels_at(L, 3, what, "labels", k, &n, &largest);
  int mark = msl_enter(L);
  double likelihood = 0;
  const float *v = msl_rows_of(x);
  push_f64(L, 1, &k, &g.weights);
  push_f64(L, 2, (int64_t[]){k, d}, &g.means);
  push_f64(L, covariance_shape(g.kind, k, d, shape), shape, &g.covariances);
  if (v && g.weights && g.means && g.covariances) ms_gmm_fit(&g, n, v, y, reg, tol, most, &likelihood, &steps, &converged);
  msl_leave_as(L, mark, what);
  lua_pushnumber(L, likelihood);
  lua_pushinteger(L, steps);
  lua_pushboolean(L, converged);
  return 6;
}

/* ml.gmm_score(what, {weights, means, covariances}, kind, X, proba) -> log likelihoods (f32, N), or with proba the components'
 * probabilities (f32, N x components) */
static int gmm_score(lua_State *L) {
  const char *what = msl_what_at(L);
  ms_gmm g = {.kind = luaL_checkoption(L, 3, NULL, kinds)};
  const bool proba = lua_toboolean(L, 5);
  int mark = msl_enter(L);
  ms_tensor *means = msl_state_entry(L, mark, 2, what, "means", MS_F64, 2);
  g.k = means->shape[0], g.d = means->shape[1], g.means = ms_data(means);
  ms_tensor *weights = msl_state_entry(L, mark, 2, what, "weights", MS_F64, 1);
  int64_t shape[3];
  const int rank = covariance_shape(g.kind, g.k, g.d, shape);
  ms_tensor *covariances = msl_state_entry(L, mark, 2, what, "covariances", MS_F64, rank);
  if (weights->shape[0] != g.k || ms_numel(covariances) != ms_gmm_values(g.k, g.d, g.kind) || covariances->shape[0] != shape[0])
    return msl_raise(L, mark, "%s: 'weights' (%s) and 'covariances' do not fit 'means' (%s)", what, ms_shape_str(weights),
                     ms_shape_str(means));
  g.weights = ms_data(weights), g.covariances = ms_data(covariances);
  int64_t out[2] = {0, g.k}, d;
  ms_tensor *x = msl_samples_at(L, 4, what, g.d, &out[0], &d);
  const float *v = msl_rows_of(x);
  ms_tensor *r = v ? ms_empty(MS_F64, proba ? 2 : 1, out, ms_device_host()) : NULL;
  if (r && ms_gmm_score(&g, out[0], v, proba ? NULL : ms_data(r), proba ? ms_data(r) : NULL) == 0)
    msl_push(L, ms_to_device(ms_cast(r, MS_F32), x->device));
  msl_leave_as(L, mark, what);
  return 1;
}

static int ascending(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* The arguments X and labels of a measure of clusters: samples, and the labels as int32 in a userdata that is pushed, k of them at
 * most n, since measures take memory for each: larger ones are numbered anew, in their order. */
static const int32_t *clustered(lua_State *L, const char *what, ms_tensor **x, int64_t *n, int64_t *d, int32_t *k) {
  *x = msl_samples_at(L, 2, what, 0, n, d);
  const int32_t *given = msl_labels_at(L, 3, what, "labels", 0, n, k);
  if (*k <= *n) return given;
  const size_t rows = (size_t)*n;
  int32_t *known = lua_newuserdatauv(L, rows * sizeof *known + 1, 0), *y = lua_newuserdatauv(L, rows * sizeof *y + 1, 0);
  memcpy(known, given, rows * sizeof *known);
  qsort(known, rows, sizeof *known, ascending);
  size_t used = 0;
  for (size_t i = 0; i < rows; i++)
    if (!used || known[i] != known[used - 1]) known[used++] = known[i];
  for (size_t i = 0; i < rows; i++)
    y[i] = (int32_t)((const int32_t *)bsearch(&given[i], known, used, sizeof *known, ascending) - known) + MS_INDEX_BASE;
  *k = (int32_t)used;
  return y;
}

/* ml.silhouette(what, X, labels) -> one score per sample (f32) */
static int silhouette(lua_State *L) {
  const char *what = msl_what_at(L);
  ms_tensor *x;
  int64_t n, d;
  int32_t k;
  const int32_t *y = clustered(L, what, &x, &n, &d, &k);
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x);
  ms_tensor *r = v ? ms_empty(MS_F64, 1, &n, ms_device_host()) : NULL;
  if (r && ms_silhouette(n, d, v, k, y, ms_data(r)) == 0) msl_push(L, ms_to_device(ms_cast(r, MS_F32), x->device));
  msl_leave_as(L, mark, what);
  return 1;
}

static int by_centres(lua_State *L, double (*measure)(int64_t, int64_t, const float *, int32_t, const int32_t *)) {
  const char *what = msl_what_at(L);
  ms_tensor *x;
  int64_t n, d;
  int32_t k;
  const int32_t *y = clustered(L, what, &x, &n, &d, &k);
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x);
  const double r = v ? measure(n, d, v, k, y) : NAN;
  msl_leave_as(L, mark, what);
  lua_pushnumber(L, r);
  return 1;
}

static int davies_bouldin(lua_State *L) { return by_centres(L, ms_davies_bouldin); }
static int calinski_harabasz(lua_State *L) { return by_centres(L, ms_calinski_harabasz); }

/* ml.trustworthiness(what, X, embedding, k) -> number */
static int trustworthiness(lua_State *L) {
  const char *what = msl_what_at(L);
  int64_t n, d, rows, e;
  ms_tensor *x = msl_samples_at(L, 2, what, 0, &n, &d), *points = msl_samples_at(L, 3, what, 0, &rows, &e);
  const int64_t k = luaL_checkinteger(L, 4);
  if (rows != n)
    return msl_raise(L, ms_scope_open(), "%s: embedding: expected %lld points, one per sample, got %s", what, (long long)n,
                     ms_shape_str(points));
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x), *w = v ? msl_rows_of(points) : NULL;
  const double r = w ? ms_trustworthiness(n, d, v, e, w, k) : NAN;
  msl_leave_as(L, mark, what);
  lua_pushnumber(L, r);
  return 1;
}

const luaL_Reg msl_ml_cluster[] = {{"kmeans_fit", kmeans_fit},
                                   {"kmeans_predict", kmeans_predict},
                                   {"gmm_fit", gmm_fit},
                                   {"gmm_score", gmm_score},
                                   {"silhouette", silhouette},
                                   {"davies_bouldin", davies_bouldin},
                                   {"calinski_harabasz", calinski_harabasz},
                                   {"trustworthiness", trustworthiness},
                                   {NULL, NULL}};
