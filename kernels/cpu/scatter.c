/* scatter.c -- single elements along a dimension, by position: read (gather), written, added, multiplied, or the larger or smaller
 * one kept. Positions were checked by the gate. What writes does so in the order of the index, and no two threads write the same
 * element, so the bits do not depend on the number of threads. */
#include "nest.h"

/* Integers wrap: that is what is meant, so the sanitizer of overflows is told. */
#define WRAPS __attribute__((no_sanitize("signed-integer-overflow")))

enum { TAKE, PUT, ADD, MULTIPLY, LARGER, SMALLER };

#define MOVES    /* by the size of an element */
#define TEMPLATE "scatter_template.h"
#include "each_size.h"
#undef TEMPLATE
#undef MOVES

#define TEMPLATE "scatter_template.h"
#include "each_number.h"
#undef TEMPLATE

#define BY_SIZE(f)                                                                                                                 \
  { [1] = f##_1, [2] = f##_2, [4] = f##_4, [8] = f##_8 }
#define BY_DTYPE(f)                                                                                                                \
  { [MS_F32] = f##_f32, [MS_F64] = f##_f64, [MS_I64] = f##_i64, [MS_I32] = f##_i32, [MS_U8] = f##_u8, [MS_BOOL] = f##_u8 }

static int gather_run(ms_call *c) {
  static const nest_fn take[] = BY_SIZE(take);
  const ms_view *x = &c->in[0], *r = &c->out[0];
  const nest w = nest_of(&c->in[1], r, x, (int)c->attr[0].i);
  nest_run(&w, take[ms_dtype_size(x->dtype)], r->data, x->data);
  return 0;
}
MS_KERNEL(gather, .run = gather_run);

/* Where the call writes: its result, which begins as x; or x. */
static const ms_view *target(const ms_call *c) {
  if (!c->n_out) return &c->in[0];
  start_from(&c->out[0], &c->in[0]);
  return &c->out[0];
}

static int scatter_run(ms_call *c) {
  static const nest_fn put[] = BY_SIZE(put);
  const ms_view *r = target(c), *index = &c->in[1];
  ms_view src = c->in[2];
  uint64_t number = 0;
  if (src.number) { /* the same element for every place */
    if (ms_put_number(&number, r->dtype, *src.number) < 0) return -1;
    src = *index;
    src.data = &number;
    memset(src.stride, 0, sizeof src.stride);
  }
  const nest w = nest_of(index, &src, r, (int)c->attr[0].i);
  nest_run(&w, put[ms_dtype_size(r->dtype)], src.data, r->data);
  return 0;
}
MS_KERNEL(scatter, .run = scatter_run);
MS_KERNEL(scatter_, .run = scatter_run);

static bool computes(const ms_call *c) { return c->in[0].dtype != MS_F16 && c->in[0].dtype != MS_BF16; }

static int combine(ms_call *c, const nest_fn *f) {
  const ms_view *src = &c->in[2], *r = target(c);
  const nest w = nest_of(&c->in[1], src, r, (int)c->attr[0].i);
  nest_run(&w, f[r->dtype], src->data, r->data);
  return 0;
}

static int scatter_add_run(ms_call *c) {
  static const nest_fn add[MS_DTYPES] = BY_DTYPE(add);
  return combine(c, add);
}
MS_KERNEL(scatter_add, .run = scatter_add_run, .supports = computes);
MS_KERNEL(scatter_add_, .run = scatter_add_run, .supports = computes);

static int scatter_fold_run(ms_call *c) {
  static const nest_fn f[][MS_DTYPES] = {BY_DTYPE(multiply), BY_DTYPE(larger), BY_DTYPE(smaller)};
  return combine(c, f[c->attr[1].i]);
}
MS_KERNEL(scatter_fold, .run = scatter_fold_run, .supports = computes);
