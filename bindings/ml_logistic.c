/* ml_logistic.c -- logistic regression for Lua: what scripts/mascon/ml/ finds in inside.ml. Each function takes `what` first
 * (ml.h). */
#include "ml.h"

#define LOGISTIC "mascon.logistic"

static void free_logistic(void *p) { ms_logistic_free(p); }

/* ml.logistic_new(what, X, y, classes, C, intercept, weights of the classes (f64, one dimension) or nil) -> a fit that is to begin
 */
static int logistic_new(lua_State *L) {
  const char *what = msl_what_at(L);
  int64_t n, d, classes = luaL_checkinteger(L, 4);
  double c = luaL_checknumber(L, 5);
  bool intercept = lua_toboolean(L, 6);
  int32_t largest;
  ms_tensor *x = msl_samples_at(L, 2, what, 0, &n, &d);
  const int32_t *y = msl_labels_at(L, 3, what, "y", classes, &n, &largest);
  ms_tensor *weights = lua_isnil(L, 7) ? NULL : msl_check(L, 7, what);
  if (weights && (weights->rank != 1 || weights->shape[0] != classes))
    return msl_raise(L, ms_scope_open(), "%s: expected %lld weights of classes, got %s", what, (long long)classes,
                     ms_shape_str(weights));
  msl_model *m = msl_push_model(L, LOGISTIC, free_logistic);
  int mark = msl_enter(L);
  const bool wide = x->dtype == MS_F64;
  ms_tensor *rows = msl_on_host(ms_cast(ms_detach(x), wide ? MS_F64 : MS_F32));
  if (weights) weights = msl_on_host(ms_cast(ms_detach(weights), MS_F64));
  if (rows && !ms_error())
    m->p = ms_logistic_new(n, d, ms_data(rows), wide, y, (int32_t)classes, c, intercept, weights ? ms_data(weights) : NULL);
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.logistic_run(what, fit, steps, tolerance) -> is it done?, cost, largest element of the gradient, steps made */
static int logistic_run(lua_State *L) {
  const char *what = msl_what_at(L);
  ms_logistic *m = msl_check_model(L, 2, LOGISTIC);
  lua_Integer steps = luaL_checkinteger(L, 3);
  double tolerance = luaL_checknumber(L, 4);
  if (!m) return luaL_error(L, "%s: no fit", what);
  int mark = msl_enter(L);
  int end = ms_logistic_run(m, steps, tolerance);
  msl_leave_as(L, mark, what);
  lua_pushboolean(L, end > 0);
  lua_pushnumber(L, ms_logistic_cost(m));
  lua_pushnumber(L, ms_logistic_gradient(m));
  lua_pushinteger(L, ms_logistic_steps(m));
  return 4;
}

/* ml.logistic_weights(what, fit) -> weights (rows x d), intercepts (rows), f64: one row for two classes, else one per class */
static int logistic_weights(lua_State *L) {
  const char *what = msl_what_at(L);
  const ms_logistic *m = msl_check_model(L, 2, LOGISTIC);
  if (!m) return luaL_error(L, "%s: no fit", what);
  const int64_t shape[2] = {ms_logistic_rows(m), ms_logistic_features(m)};
  int mark = msl_enter(L);
  ms_tensor *w = ms_empty(MS_F64, 2, shape, ms_device_host()), *b = w ? ms_empty(MS_F64, 1, shape, ms_device_host()) : NULL;
  if (b) ms_logistic_weights(m, ms_data(w), ms_data(b)), msl_push(L, w), msl_push(L, b);
  msl_leave_as(L, mark, what);
  return 2;
}

const luaL_Reg msl_ml_logistic[] = {
    {"logistic_new", logistic_new}, {"logistic_run", logistic_run}, {"logistic_weights", logistic_weights}, {NULL, NULL}};
