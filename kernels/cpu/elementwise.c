/* elementwise.c -- every line of elementwise.def as loops, for the dtypes of its class. */
#include "loops.h"
#include "../math.h"

#define K(v) ((T)(v))
#pragma GCC diagnostic ignored "-Wtype-limits" /* x < 0 of unsigned x: one formula serves all types */

/* Integers wrap: that is what is meant, so the sanitizer of overflows is told. */
#define MS_WRAPS __attribute__((no_sanitize("signed-integer-overflow")))

/* The usual layouts get loops of their own, which gcc vectorises: all contiguous, or one operand a constant. */
#define LOOP1(fn, TT, RT, F)                                                                                                       \
  MS_WRAPS static void fn(int64_t n, char *const *p, const int64_t *s) {                                                           \
    typedef TT T;                                                                                                                  \
    RT *o = (RT *)p[0];                                                                                                            \
    const T *a = (const T *)p[1];                                                                                                  \
    if (s[0] == 1 && s[1] == 1) _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                             \
        const T x = a[i];                                                                                                          \
        o[i] = (RT)(F);                                                                                                            \
      }                                                                                                                            \
    else                                                                                                                           \
      for (int64_t i = 0; i < n; i++) {                                                                                            \
        const T x = a[i * s[1]];                                                                                                   \
        o[i * s[0]] = (RT)(F);                                                                                                     \
      }                                                                                                                            \
  }

#define LOOP2(fn, TT, RT, F)                                                                                                       \
  MS_WRAPS static void fn(int64_t n, char *const *p, const int64_t *s) {                                                           \
    typedef TT T;                                                                                                                  \
    RT *o = (RT *)p[0];                                                                                                            \
    const T *a = (const T *)p[1], *b = (const T *)p[2];                                                                            \
    if (s[0] == 1 && s[1] == 1 && s[2] == 1) _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                \
        const T x = a[i], y = b[i];                                                                                                \
        o[i] = (RT)(F);                                                                                                            \
      }                                                                                                                            \
    else if (s[0] == 1 && s[1] == 1 && s[2] == 0) {                                                                                \
      const T y = *b;                                                                                                              \
      _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                                       \
        const T x = a[i];                                                                                                          \
        o[i] = (RT)(F);                                                                                                            \
      }                                                                                                                            \
    } else if (s[0] == 1 && s[1] == 0 && s[2] == 1) {                                                                              \
      const T x = *a;                                                                                                              \
      _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                                       \
        const T y = b[i];                                                                                                          \
        o[i] = (RT)(F);                                                                                                            \
      }                                                                                                                            \
    } else                                                                                                                         \
      for (int64_t i = 0; i < n; i++) {                                                                                            \
        const T x = a[i * s[1]], y = b[i * s[2]];                                                                                  \
        o[i * s[0]] = (RT)(F);                                                                                                     \
      }                                                                                                                            \
  }

#define LOOP3(fn, XT, TT, RT, F)                                                                                                   \
  MS_WRAPS static void fn(int64_t n, char *const *p, const int64_t *s) {                                                           \
    typedef TT T;                                                                                                                  \
    RT *o = (RT *)p[0];                                                                                                            \
    const XT *a = (const XT *)p[1];                                                                                                \
    const T *b = (const T *)p[2], *c = (const T *)p[3];                                                                            \
    if (s[0] == 1 && s[1] == 1 && s[2] == 1 && s[3] == 1) _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                   \
        const XT x = a[i];                                                                                                         \
        const T y = b[i], z = c[i];                                                                                                \
        o[i] = (RT)(F);                                                                                                            \
      }                                                                                                                            \
    else if (s[0] == 1 && s[1] == 1 && s[2] == 1 && s[3] == 0) {                                                                   \
      const T z = *c;                                                                                                              \
      _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                                       \
        const XT x = a[i];                                                                                                         \
        const T y = b[i];                                                                                                          \
        o[i] = (RT)(F);                                                                                                            \
      }                                                                                                                            \
    } else if (s[0] == 1 && s[1] == 1 && s[2] == 0 && s[3] == 1) {                                                                 \
      const T y = *b;                                                                                                              \
      _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                                       \
        const XT x = a[i];                                                                                                         \
        const T z = c[i];                                                                                                          \
        o[i] = (RT)(F);                                                                                                            \
      }                                                                                                                            \
    } else if (s[0] == 1 && s[1] == 1 && s[2] == 0 && s[3] == 0) {                                                                 \
      const T y = *b, z = *c;                                                                                                      \
      _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                                       \
        const XT x = a[i];                                                                                                         \
        o[i] = (RT)(F);                                                                                                            \
      }                                                                                                                            \
    } else                                                                                                                         \
      for (int64_t i = 0; i < n; i++) {                                                                                            \
        const XT x = a[i * s[1]];                                                                                                  \
        const T y = b[i * s[2]], z = c[i * s[3]];                                                                                  \
        o[i * s[0]] = (RT)(F);                                                                                                     \
      }                                                                                                                            \
  }

#define ALL1(name, R, F)                                                                                                           \
  LOOP1(name##_f32, float, R(float), F)                                                                                            \
  LOOP1(name##_f64, double, R(double), F)                                                                                          \
  LOOP1(name##_i64, int64_t, R(int64_t), F)                                                                                        \
  LOOP1(name##_i32, int32_t, R(int32_t), F)                                                                                        \
  LOOP1(name##_u8, uint8_t, R(uint8_t), F)                                                                                         \
  static const walk_inner name##_loops[MS_DTYPES] = {[MS_F32] = name##_f32, [MS_F64] = name##_f64, [MS_I64] = name##_i64,          \
                                                     [MS_I32] = name##_i32, [MS_U8] = name##_u8,   [MS_BOOL] = name##_u8};
#define ALL2(name, R, F)                                                                                                           \
  LOOP2(name##_f32, float, R(float), F)                                                                                            \
  LOOP2(name##_f64, double, R(double), F)                                                                                          \
  LOOP2(name##_i64, int64_t, R(int64_t), F)                                                                                        \
  LOOP2(name##_i32, int32_t, R(int32_t), F)                                                                                        \
  LOOP2(name##_u8, uint8_t, R(uint8_t), F)                                                                                         \
  static const walk_inner name##_loops[MS_DTYPES] = {[MS_F32] = name##_f32, [MS_F64] = name##_f64, [MS_I64] = name##_i64,          \
                                                     [MS_I32] = name##_i32, [MS_U8] = name##_u8,   [MS_BOOL] = name##_u8};
#define ALL3(name, X, F)                                                                                                           \
  LOOP3(name##_f32, X(float), float, float, F)                                                                                     \
  LOOP3(name##_f64, X(double), double, double, F)                                                                                  \
  LOOP3(name##_i64, X(int64_t), int64_t, int64_t, F)                                                                               \
  LOOP3(name##_i32, X(int32_t), int32_t, int32_t, F)                                                                               \
  LOOP3(name##_u8, X(uint8_t), uint8_t, uint8_t, F)                                                                                \
  static const walk_inner name##_loops[MS_DTYPES] = {[MS_F32] = name##_f32, [MS_F64] = name##_f64, [MS_I64] = name##_i64,          \
                                                     [MS_I32] = name##_i32, [MS_U8] = name##_u8,   [MS_BOOL] = name##_u8};
#define SAME(t) t
#define BYTE(t) uint8_t

#define FLOAT1(name, F)                                                                                                            \
  LOOP1(name##_f32, float, float, F)                                                                                               \
  LOOP1(name##_f64, double, double, F)                                                                                             \
  static const walk_inner name##_loops[MS_DTYPES] = {[MS_F32] = name##_f32, [MS_F64] = name##_f64};
#define FLOAT2(name, F)                                                                                                            \
  LOOP2(name##_f32, float, float, F)                                                                                               \
  LOOP2(name##_f64, double, double, F)                                                                                             \
  static const walk_inner name##_loops[MS_DTYPES] = {[MS_F32] = name##_f32, [MS_F64] = name##_f64};
#define FLOAT3(name, F)                                                                                                            \
  LOOP3(name##_f32, float, float, float, F)                                                                                        \
  LOOP3(name##_f64, double, double, double, F)                                                                                     \
  static const walk_inner name##_loops[MS_DTYPES] = {[MS_F32] = name##_f32, [MS_F64] = name##_f64};
#define ARITH1(name, F)   ALL1(name, SAME, F)
#define ARITH2(name, F)   ALL2(name, SAME, F)
#define ARITH3(name, F)   ALL3(name, SAME, F)
#define BOUND3(name, F)   ALL3(name, SAME, F)
#define COMPARE1(name, F) ALL1(name, BYTE, F)
#define COMPARE2(name, F) ALL2(name, BYTE, F)
#define CHOOSE3(name, F)  ALL3(name, BYTE, F)
#define LOGIC1(name, F)                                                                                                            \
  LOOP1(name##_u8, uint8_t, uint8_t, F)                                                                                            \
  static const walk_inner name##_loops[MS_DTYPES] = {[MS_BOOL] = name##_u8};
#define LOGIC2(name, F)                                                                                                            \
  LOOP2(name##_u8, uint8_t, uint8_t, F)                                                                                            \
  static const walk_inner name##_loops[MS_DTYPES] = {[MS_BOOL] = name##_u8};

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

/* The dtype that decides is the last operand's (the first may be the bool of a choice). */
static ms_loop choose(const ms_call *c, const walk_inner *loops, int cost) {
  ms_loop l = {loops[c->in[c->n_in - 1].dtype], c->n_in, cost};
  if (c->op->id == MS_OP_pow && c->in[1].number) {
    const walk_inner *power = power_loops(ms_scalar_value(*c->in[1].number));
    if (power) l.n_in = 1, l.run = power[c->in[0].dtype];
  }
  return l;
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
  walk_run(&w, f, cost);
  return 0;
}

#define COST_FLOAT   8 /* a division or an exponential, vectorised, against an addition */
#define COST_ARITH   1
#define COST_BOUND   1
#define COST_COMPARE 1
#define COST_LOGIC   1
#define COST_CHOOSE  1
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
} rows[MS_OP_COUNT] = {
#include "elementwise.def"
};

ms_loop MS_NAME(ms_cpu_loop)(const ms_call *c) {
  return rows[c->op->id].loops ? choose(c, rows[c->op->id].loops, rows[c->op->id].cost) : (ms_loop){0};
}
