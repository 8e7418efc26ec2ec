/* ml_metrics.c -- metrics, seeds for Lua: what scripts/mascon/ml/ finds in inside.ml. Each function takes `what` first (ml.h). */
#include "ml.h"
#include <string.h>

/* ml.accuracy(what, predicted, truth) -> share of equal labels */
static int accuracy(lua_State *L) {
  const char *what = msl_what_at(L);
  int64_t n = -1;
  int32_t largest;
  const int32_t *p = msl_labels_at(L, 2, what, "predicted", 0, &n, &largest),
                *t = msl_labels_at(L, 3, what, "truth", 0, &n, &largest);
  if (n < 1) return msl_raise(L, ms_scope_open(), "%s: expected at least one label", what);
  lua_pushnumber(L, ms_accuracy(n, t, p));
  return 1;
}

/* ml.confusion(what, predicted, truth, classes) -> classes x classes counts (i64): rows predicted, columns true; classes 0: the
 * largest label */
static int confusion(lua_State *L) {
  const char *what = msl_what_at(L);
  int64_t n = -1, classes = luaL_checkinteger(L, 4);
  int32_t a, b;
  const int32_t *p = msl_labels_at(L, 2, what, "predicted", classes, &n, &a),
                *t = msl_labels_at(L, 3, what, "truth", classes, &n, &b);
  if (!classes) classes = a > b ? a : b;
  if (classes < 1 || classes > UINT16_MAX)
    return msl_raise(L, ms_scope_open(), "%s: expected 1..%d classes, got %lld", what, UINT16_MAX, (long long)classes);
  int mark = msl_enter(L);
  ms_tensor *r = ms_empty(MS_I64, 2, (int64_t[]){classes, classes}, ms_device_host());
  if (r && ms_confusion(n, (int32_t)classes, p, t, ms_data(r)) == 0) msl_push(L, r); /* the core's rows are its first argument's */
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.labels(what, name, y, classes, rows) -> the labels, checked, as i64 on the CPU; classes 0: from 1 on, rows -1: any number */
static int labels(lua_State *L) {
  const char *what = msl_what_at(L), *name = luaL_checkstring(L, 2);
  int64_t n = luaL_checkinteger(L, 5), classes = luaL_checkinteger(L, 4);
  int32_t largest;
  const int32_t *y = msl_labels_at(L, 3, what, name, classes, &n, &largest);
  int mark = msl_enter(L);
  msl_push(L, msl_labels_to(y, 1, &n, ms_device_host()));
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.draw() -> a seed from the default generator */
static int draw(lua_State *L) { return lua_pushinteger(L, ms_rng_next(ms_default_rng())), 1; }

const luaL_Reg msl_ml_metrics[] = {
    {"accuracy", accuracy}, {"confusion", confusion}, {"labels", labels}, {"draw", draw}, {NULL, NULL}};
