/* flops.c -- counts additions and multiplications of the kernels that run, for ms.summary. */
#include "bind.h"
#include "core/core.h"
#include "core/observer.h"
#include "step/step.h"

static double counted;

static int called(const ms_call *c, ms_tensor *const *in, ms_tensor *const *out) {
  (void)in, (void)out;
  if (c->op->rule->flops) counted += c->op->rule->flops(c);
  return 0;
}
static int made(const ms_tensor *t) { return (void)t, 0; }
static void operands(int n, ms_tensor *const *in) { (void)n, (void)in; }
static ms_tensor *on_numbers(const ms_op *op, int n, ms_tensor *const *in) {
  return (void)n, (void)in, ms_fail("%s: a live number of a compiled step, outside it", op->name);
}
static ms_plain looked(ms_cell *c) { return ms_cell_get(c); }
static int grad(ms_tensor *t, bool found) { return (void)t, (void)found, 0; }
static int grad_set(ms_tensor *t) { return (void)t, 0; }
static void refused(const char *why) { (void)why; }
static void lost(struct ms_storage *s) { (void)s; }

static const ms_observer counter = {called, made, operands, on_numbers, looked, grad, grad_set, refused, lost};

/* inside.flops([on]) -> how many there were since counting began. on: true begins (from 0), false ends it. While it counts no value
 * of a tensor can be read (item), as in a compiled step, in which it is an error. */
static int flops(lua_State *L) {
  if (lua_isboolean(L, 1)) {
    const bool on = lua_toboolean(L, 1);
    if (ms_observer_now && ms_observer_now != &counter)
      return msl_refuse(L, "ms.summary inside a compiled step: a replay would not do it again; do it outside");
    if (on) counted = 0;
    ms_observe(on ? &counter : NULL);
  }
  return lua_pushnumber(L, counted), 1;
}

void msl_open_flops(lua_State *L) {
  msl_inside(L);
  lua_pushcfunction(L, flops);
  lua_setfield(L, -2, "flops");
  lua_pop(L, 1);
}
