/* elementwise.cu -- every line of elementwise.def as kernels NAME_DTYPE, for the dtypes of its class. bool is u8. */
#include "device.cuh"

/* R f(X, Y, Y) of each element; the first operand's type may be another one than the others' (a choice). */
template <class R, class X, class F> DEVICE void each1(const each_params &p, F f) {
  R *o = (R *)p.base[0];
  const X *a = operand<X>(p, 1);
  EACH_PLACE(i, p.n) {
    const places<2> at = place<2>(p, i);
    o[at.at[0]] = f(a[at.at[1]]);
  }
}
template <class R, class X, class F> DEVICE void each2(const each_params &p, F f) {
  R *o = (R *)p.base[0];
  const X *a = operand<X>(p, 1), *b = operand<X>(p, 2);
  EACH_PLACE(i, p.n) {
    const places<3> at = place<3>(p, i);
    o[at.at[0]] = f(a[at.at[1]], b[at.at[2]]);
  }
}
template <class R, class X, class Y, class F> DEVICE void each3(const each_params &p, F f) {
  R *o = (R *)p.base[0];
  const X *a = operand<X>(p, 1);
  const Y *b = operand<Y>(p, 2), *c = operand<Y>(p, 3);
  EACH_PLACE(i, p.n) {
    const places<4> at = place<4>(p, i);
    o[at.at[0]] = f(a[at.at[1]], b[at.at[2]], c[at.at[3]]);
  }
}

#define K(v) ((T)(v)) /* a constant in a formula */

/* The kernel of a formula for one type. SAME: the result has the operands' type. TEST: it is a bool. CHOICE: x is a bool. */
#define FORMULA(name, d, TT, R, each, operands, F)                                                                                 \
  KERNEL(name##_##d, each_params) {                                                                                                \
    typedef TT T __attribute__((unused));                                                                                          \
    each(p, [] operands { return (R)(F); });                                                                                       \
  }
#define PAIR(a, b)              a, b
#define SAME1(name, d, TT, F)   FORMULA(name, d, TT, TT, (each1<TT, TT>), (TT x), F)
#define SAME2(name, d, TT, F)   FORMULA(name, d, TT, TT, (each2<TT, TT>), (TT x, TT y), F)
#define SAME3(name, d, TT, F)   FORMULA(name, d, TT, TT, (each3<TT, TT, TT>), (TT x, TT y, TT z), F)
#define TEST1(name, d, TT, F)   FORMULA(name, d, TT, uint8_t, (each1<uint8_t, TT>), (TT x), F)
#define TEST2(name, d, TT, F)   FORMULA(name, d, TT, uint8_t, (each2<uint8_t, TT>), (TT x, TT y), F)
#define CHOICE3(name, d, TT, F) FORMULA(name, d, TT, TT, (each3<TT, uint8_t, TT>), (uint8_t x, TT y, TT z), F)

/* A formula for all types of a class. */
#define FLOATS(ONE, name, F)    ONE(name, f32, float, F) ONE(name, f64, double, F)
#define INTEGERS(ONE, name, F)  ONE(name, i64, int64_t, F) ONE(name, i32, int32_t, F) ONE(name, u8, uint8_t, F)
#define NUMBERS(ONE, name, F)   FLOATS(ONE, name, F) INTEGERS(ONE, name, F)
#define BOOLS(ONE, name, F)     ONE(name, u8, uint8_t, F)

#define FLOAT1(name, F)         FLOATS(SAME1, name, F)
#define FLOAT2(name, F)         FLOATS(SAME2, name, F)
#define FLOAT3(name, F)         FLOATS(SAME3, name, F)
#define ARITH1(name, F)         NUMBERS(SAME1, name, F)
#define ARITH2(name, F)         NUMBERS(SAME2, name, F)
#define ARITH3(name, F)         NUMBERS(SAME3, name, F)
#define BOUND3(name, F)         NUMBERS(SAME3, name, F)
#define COMPARE1(name, F)       NUMBERS(TEST1, name, F)
#define COMPARE2(name, F)       NUMBERS(TEST2, name, F)
#define CHOOSE3(name, F)        NUMBERS(CHOICE3, name, F)
#define LOGIC1(name, F)         BOOLS(SAME1, name, F)
#define LOGIC2(name, F)         BOOLS(SAME2, name, F)
#define WHOLE2(name, F)         INTEGERS(SAME2, name, F)

#define OP(...)
#define E1(name, cls, traits, f, dx, sample, doc)              cls##1(name, f)
#define E2(name, cls, traits, f, dx, dy, def, sample, doc)     cls##2(name, f)
#define E3(name, cls, traits, f, dx, dy, dz, def, sample, doc) cls##3(name, f)
#include "elementwise.def"

FLOAT1(power_of_3, x *x *x) /* powers by a constant (elementwise.c) */
FLOAT1(power_of_1, x)
