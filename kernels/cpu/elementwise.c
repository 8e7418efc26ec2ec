/* elementwise.c -- every line of elementwise.def as loops, for the dtypes of its class.
 *
 * A line becomes, for each type T, a function `NAME_of_T` of one element (the formula) and a loop `NAME_T`, which hands that
 * function to one of the loops of elementwise_template.h, where it is inlined. A debugger can enter both. */
#include "loops.h"
#include "elementwise_ids.h"
#include "../math.h"

#define K(v) ((T)(v))                          /* a constant in a formula */
#pragma GCC diagnostic ignored "-Wtype-limits" /* x < 0 of unsigned x: one formula serves all types */

/* Integers wrap: that is what is meant, so the sanitizer of overflows is told. */
#define WRAPS __attribute__((no_sanitize("signed-integer-overflow")))

/* ---- the loops, by type of the operands; _u8: the other type is uint8_t ------------------------------------------- */

#define T     float
#define OTHER float
#define G(x)  x##_f32
#include "elementwise_template.h"
#undef T
#undef G
#undef OTHER
#define T     double
#define OTHER double
#define G(x)  x##_f64
#include "elementwise_template.h"
#undef T
#undef G
#undef OTHER
#define T     int64_t
#define OTHER int64_t
#define G(x)  x##_i64
#include "elementwise_template.h"
#undef T
#undef G
#undef OTHER
#define T     int32_t
#define OTHER int32_t
#define G(x)  x##_i32
#include "elementwise_template.h"
#undef T
#undef G
#undef OTHER

#define OTHER uint8_t
#define T     uint8_t
#define G(x)  x##_u8
#include "elementwise_template.h"
#undef T
#undef G
#define T    float
#define G(x) x##_f32_u8
#include "elementwise_template.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64_u8
#include "elementwise_template.h"
#undef T
#undef G
#define T    int64_t
#define G(x) x##_i64_u8
#include "elementwise_template.h"
#undef T
#undef G
#define T    int32_t
#define G(x) x##_i32_u8
#include "elementwise_template.h"
#undef T
#undef G
#undef OTHER
#define each1_u8_u8 each1_u8
#define each2_u8_u8 each2_u8
#define each3_u8_u8 each3_u8

/* ---- a formula and its loop for one type -------------------------------------------------------------------------- */

/* The formula F as a function of one element: from `operands`, numbers of the type TT, to an R. d: the dtype, in names. */
#define FORMULA(name, d, R, operands, TT, F)                                                                                       \
  WRAPS static ALWAYS_INLINE R name##_of_##d operands {                                                                            \
    typedef TT T __attribute__((unused));                                                                                          \
    return (R)(F);                                                                                                                 \
  }
/* The loop that gives each element to that function. */
#define LOOP(name, d, each)                                                                                                        \
  WRAPS static void name##_##d(int64_t n, char *const *p, const int64_t *s) { each(n, p, s, name##_of_##d); }

/* Both, by the number of operands. SAME: the result has the operands' type. TEST: it is a bool. CHOICE: x is a bool. */
#define SAME1(name, d, TT, F)   FORMULA(name, d, TT, (TT x), TT, F) LOOP(name, d, each1_##d)
#define SAME2(name, d, TT, F)   FORMULA(name, d, TT, (TT x, TT y), TT, F) LOOP(name, d, each2_##d)
#define SAME3(name, d, TT, F)   FORMULA(name, d, TT, (TT x, TT y, TT z), TT, F) LOOP(name, d, each3_##d)
#define TEST1(name, d, TT, F)   FORMULA(name, d, uint8_t, (TT x), TT, F) LOOP(name, d, each1_##d##_u8)
#define TEST2(name, d, TT, F)   FORMULA(name, d, uint8_t, (TT x, TT y), TT, F) LOOP(name, d, each2_##d##_u8)
#define CHOICE3(name, d, TT, F) FORMULA(name, d, TT, (uint8_t x, TT y, TT z), TT, F) LOOP(name, d, each3_##d##_u8)

/* ---- a formula for all types of a class (ONE: SAME1 .. CHOICE3), and the table of its loops by dtype --------------- */

#define NUMBERS(ONE, name, F)                                                                                                      \
  ONE(name, f32, float, F)                                                                                                         \
  ONE(name, f64, double, F)                                                                                                        \
  ONE(name, i64, int64_t, F)                                                                                                       \
  ONE(name, i32, int32_t, F)                                                                                                       \
  ONE(name, u8, uint8_t, F)                                                                                                        \
  static const walk_inner name##_loops[MS_DTYPES] = {[MS_F32] = name##_f32, [MS_F64] = name##_f64, [MS_I64] = name##_i64,          \
                                                     [MS_I32] = name##_i32, [MS_U8] = name##_u8,   [MS_BOOL] = name##_u8};
#define FLOATS(ONE, name, F)                                                                                                       \
  ONE(name, f32, float, F)                                                                                                         \
  ONE(name, f64, double, F)                                                                                                        \
  static const walk_inner name##_loops[MS_DTYPES] = {[MS_F32] = name##_f32, [MS_F64] = name##_f64};
#define INTEGERS(ONE, name, F)                                                                                                     \
  ONE(name, i64, int64_t, F)                                                                                                       \
  ONE(name, i32, int32_t, F)                                                                                                       \
  ONE(name, u8, uint8_t, F)                                                                                                        \
  static const walk_inner name##_loops[MS_DTYPES] = {[MS_I64] = name##_i64, [MS_I32] = name##_i32, [MS_U8] = name##_u8};
#define BOOLS(ONE, name, F)                                                                                                        \
  ONE(name, u8, uint8_t, F)                                                                                                        \
  static const walk_inner name##_loops[MS_DTYPES] = {[MS_BOOL] = name##_u8};

#define FLOAT1(name, F)   FLOATS(SAME1, name, F)
#define FLOAT2(name, F)   FLOATS(SAME2, name, F)
#define FLOAT3(name, F)   FLOATS(SAME3, name, F)
#define ARITH1(name, F)   NUMBERS(SAME1, name, F)
#define ARITH2(name, F)   NUMBERS(SAME2, name, F)
#define ARITH3(name, F)   NUMBERS(SAME3, name, F)
#define BOUND3(name, F)   NUMBERS(SAME3, name, F)
#define COMPARE1(name, F) NUMBERS(TEST1, name, F)
#define COMPARE2(name, F) NUMBERS(TEST2, name, F)
#define CHOOSE3(name, F)  NUMBERS(CHOICE3, name, F)
#define LOGIC1(name, F)   BOOLS(SAME1, name, F)
#define LOGIC2(name, F)   BOOLS(SAME2, name, F)
#define WHOLE2(name, F)   INTEGERS(SAME2, name, F)

static const walk_inner square_loops[MS_DTYPES], reciprocal_loops[MS_DTYPES], sqrt_loops[MS_DTYPES], rsqrt_loops[MS_DTYPES];
FLOAT1(power_of_3, x *x *x) /* not names that a row may want */
FLOAT1(power_of_1, x)

/* Powers people write every day are products and roots (at -0 and -infinity roots differ from pow(), as in PyTorch). NULL: any
 * other. */
static const walk_inner *power_loops(double y) {
  return y == 2      ? square_loops
         : y == 3    ? power_of_3_loops
         : y == 1    ? power_of_1_loops
         : y == -1   ? reciprocal_loops
         : y == 0.5  ? sqrt_loops
         : y == -0.5 ? rsqrt_loops
                     : NULL;
}

#define COST_FLOAT   8 /* a division or an exponential, vectorised, against an addition */
#define COST_ARITH   1
#define COST_BOUND   1
#define COST_COMPARE 1
#define COST_LOGIC   1
#define COST_CHOOSE  1
#define COST_WHOLE   1

/* The dtype that decides is the last operand's (the first may be the bool of a choice). */
static ms_loop choose(const ms_call *c, const walk_inner *loops, int cost) {
  ms_loop l = {loops[c->in[c->n_in - 1].dtype], c->n_in, cost};
  if (c->op->id != MS_OP_pow) return l;
  const walk_inner *power = c->in[1].number ? power_loops(ms_scalar_value(*c->in[1].number)) : NULL;
  if (power && power[c->in[0].dtype]) l.n_in = 1, l.run = power[c->in[0].dtype]; /* of integers there are fewer */
  else l.cost = COST_FLOAT;
  return l;
}

enum { PIECE = 1 << 23 }; /* elements from one look at ms_interrupted to the next */

/* Piece by piece along the first dimension, so that Ctrl-C does not wait for all of it. */
static int run_long(const walk *w, walk_inner f, int cost, const char *name) {
  int64_t inner = 1;
  for (int i = 1; i < w->rank; i++) inner *= w->shape[i];
  const int64_t step = inner >= PIECE ? 1 : PIECE / inner;
  for (int64_t at = 0; at < w->shape[0]; at += step) {
    if (ms_interrupted()) return ms_stopped(name), -1;
    walk piece = *w;
    piece.shape[0] = min_i64(step, w->shape[0] - at);
    for (int k = 0; k < w->n; k++) piece.base[k] += at * w->stride[k][0] * w->size[k];
    walk_run(&piece, f, cost);
  }
  return 0;
}

static int run_loops(ms_call *c, const walk_inner *loops, int cost) {
  const ms_view *out = &c->out[0];
  ms_loop l = choose(c, loops, cost);
  int n_in = l.n_in;
  walk_inner f = l.run;
  if (out->rank == 0 || (out->rank == 1 && out->shape[0] < 64 && out->stride[0] == 1)) { /* small and plain: straight in */
    char *p[WALK_MAX] = {out->data};
    int64_t s[WALK_MAX] = {1}, n = out->rank ? out->shape[0] : 1;
    bool plain = true;
    for (int k = 0; k < n_in; k++) {
      p[k + 1] = c->in[k].data;
      s[k + 1] = c->in[k].rank && c->in[k].shape[0] == n ? c->in[k].stride[0] : 0;
      plain &= c->in[k].rank <= 1;
    }
    if (plain) return f(n, p, s), 0;
  }
  walk w = {0};
  walk_add(&w, out, out);
  for (int k = 0; k < n_in; k++) walk_add(&w, out, &c->in[k]);
  walk_merge(&w, out);
  if (ms_view_numel(out) > 2 * PIECE) return run_long(&w, f, l.cost, c->op->name);
  walk_run(&w, f, l.cost);
  return 0;
}

#define KERNEL(name, cls)                                                                                                          \
  static bool supports_##name(const ms_call *c) { return name##_loops[c->in[c->n_in - 1].dtype] != NULL; }                         \
  static int run_##name(ms_call *c) { return run_loops(c, name##_loops, COST_##cls); }                                             \
  MS_KERNEL(name, .supports = supports_##name, .run = run_##name);

#define OP(...)
#define E1(name, cls, traits, f, dx, sample, doc)              cls##1(name, f)KERNEL(name, cls)
#define E2(name, cls, traits, f, dx, dy, def, sample, doc)     cls##2(name, f)KERNEL(name, cls)
#define E3(name, cls, traits, f, dx, dy, dz, def, sample, doc) cls##3(name, f)KERNEL(name, cls)
#include "elementwise.def"
#undef E1
#undef E2
#undef E3

/* ---- the loops by operation -------------------------------------------------------------------------------------- */

#define ROW(name, cls)                                         [MS_OP_##name] = {name##_loops, COST_##cls},
#define E1(name, cls, traits, f, dx, sample, doc)              ROW(name, cls)
#define E2(name, cls, traits, f, dx, dy, def, sample, doc)     ROW(name, cls)
#define E3(name, cls, traits, f, dx, dy, dz, def, sample, doc) ROW(name, cls)
static const struct {
  const walk_inner *loops;
  int cost;
} rows[MS_ELEMENTWISE_COUNT] = {
#include "elementwise.def"
};

ms_loop MS_NAME(ms_cpu_loop)(const ms_call *c) {
  const int id = c->op->id;
  return id < MS_ELEMENTWISE_COUNT && rows[id].loops ? choose(c, rows[id].loops, rows[id].cost) : (ms_loop){0};
}
