/* ml_tsne.c -- t-SNE for Lua: what scripts/mascon/ml/ finds in inside.ml. Each function takes `what` first (ml.h). */
#include "ml.h"
#include "ml/tsne.h"

#define TSNE "mascon.tsne"

static void free_tsne(void *p) { ms_tsne_free(p); }

static double number_of(lua_State *L, int i, const char *name) {
  lua_getfield(L, i, name);
  double v = luaL_checknumber(L, -1);
  lua_pop(L, 1);
  return v;
}

/* ml.tsne_new(what, X, init or nil, options) -> model: options as the struct has them, exact a boolean */
static int tsne_new(lua_State *L) {
  const char *what = msl_what_at(L);
  int64_t n, d, rows, columns;
  ms_tensor *x = msl_samples_at(L, 2, what, 0, &n, &d), *init = NULL;
  if (!lua_isnil(L, 3)) init = msl_samples_at(L, 3, what, 0, &rows, &columns);
  ms_tsne_options o = {.components = (int64_t)number_of(L, 4, "components"),
                       .perplexity = number_of(L, 4, "perplexity"),
                       .early_exaggeration = number_of(L, 4, "early_exaggeration"),
                       .learning_rate = number_of(L, 4, "learning_rate"),
                       .min_grad_norm = number_of(L, 4, "min_grad_norm"),
                       .angle = number_of(L, 4, "angle"),
                       .max_iter = (int64_t)number_of(L, 4, "max_iter"),
                       .patience = (int64_t)number_of(L, 4, "n_iter_without_progress")};
  lua_getfield(L, 4, "exact");
  o.exact = lua_toboolean(L, -1);
  if (init && (rows != n || columns != o.components))
    return msl_raise(L, ms_scope_open(), "%s: option init: expected a point of %lld coordinates per sample (%lld), got %s", what,
                     (long long)o.components, (long long)n, ms_shape_str(init));
  msl_model *m = msl_push_model(L, TSNE, free_tsne);
  int mark = msl_enter(L);
  const float *v = msl_rows_of(x), *start = v && init ? msl_rows_of(init) : NULL;
  if (v && (start || !init)) m->p = ms_tsne_new(n, d, v, start, &o);
  msl_leave_as(L, mark, what);
  return 1;
}

/* ml.tsne_run(what, model, iterations) -> are more to come?, iterations done, divergence */
static int tsne_run(lua_State *L) {
  const char *what = msl_what_at(L);
  ms_tsne *t = msl_check_model(L, 2, TSNE);
  int mark = msl_enter(L), more = ms_tsne_run(t, luaL_checkinteger(L, 3));
  msl_leave_as(L, mark, what);
  lua_pushboolean(L, more > 0);
  lua_pushinteger(L, ms_tsne_done(t));
  lua_pushnumber(L, ms_tsne_kl(t));
  return 3;
}

/* ml.tsne_points(what, model, like) -> n x components (f32) on the device of the tensor `like` */
static int tsne_points(lua_State *L) {
  const char *what = msl_what_at(L);
  const ms_tsne *t = msl_check_model(L, 2, TSNE);
  int64_t shape[2] = {ms_tsne_samples(t), ms_tsne_components(t)};
  ms_tensor *like = msl_check(L, 3, what);
  int mark = msl_enter(L);
  ms_tensor *r = ms_empty(MS_F32, 2, shape, ms_device_host());
  if (r) {
    ms_tsne_embedding(t, ms_data(r));
    msl_push(L, ms_to_device(r, like->device));
  }
  msl_leave_as(L, mark, what);
  return 1;
}

const luaL_Reg msl_ml_tsne[] = {{"tsne_new", tsne_new}, {"tsne_run", tsne_run}, {"tsne_points", tsne_points}, {NULL, NULL}};
