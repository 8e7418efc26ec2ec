/* extreme.c -- the largest and the smallest element over dimensions, and where it is. As in PyTorch NaN is better than any number,
 * and of equal elements the first is taken. reduce.h says how a reduction is laid out. */
#include "reduce.h"

#pragma GCC diagnostic ignored "-Wtautological-compare" /* v != v of whole numbers: one formula serves all types */

enum { LANES = 32 }; /* the best so far of so many adjacent terms, side by side */

#define TEMPLATE "extreme_template.h"
#include "each_number.h"
#undef TEMPLATE

typedef void (*extreme_fn)(const reduction *p, const void *x, void *o, bool largest);
static const extreme_fn extremes[MS_DTYPES] = BY_DTYPE(extremes), positions[MS_DTYPES] = BY_DTYPE(positions);

static int run_extremes(ms_call *c, bool largest) {
  const reduction p = make_reduction(&c->in[0], &c->attr[0].v);
  extremes[c->in[0].dtype](&p, c->in[0].data, c->out[0].data, largest);
  return 0;
}
static int run_amax(ms_call *c) { return run_extremes(c, true); }
static int run_amin(ms_call *c) { return run_extremes(c, false); }
static bool has_loops(const ms_call *c) { return extremes[c->in[0].dtype] != NULL; }
MS_KERNEL(amax, .run = run_amax, .supports = has_loops);
MS_KERNEL(amin, .run = run_amin, .supports = has_loops);

static int run_positions(ms_call *c, bool largest) {
  const ms_ints dims = {.n = 1, .at = {c->attr[0].i}};
  const reduction p = make_reduction(&c->in[0], &dims);
  positions[c->in[0].dtype](&p, c->in[0].data, c->out[0].data, largest);
  return 0;
}
static int run_argmax(ms_call *c) { return run_positions(c, true); }
static int run_argmin(ms_call *c) { return run_positions(c, false); }
static bool along_one(const ms_call *c) { return has_loops(c) && c->attr[0].i != MS_NO_DIM; }
MS_KERNEL(argmax, .run = run_argmax, .supports = along_one);
MS_KERNEL(argmin, .run = run_argmin, .supports = along_one);
