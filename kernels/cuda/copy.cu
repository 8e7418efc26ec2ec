/* copy.cu -- moving elements: copies between layouts by the size of an element, and conversions. */
#include "device.cuh"

template <class T> DEVICE void move(const each_params &p) {
  T *o = (T *)p.base[0];
  const T *a = operand<T>(p, 1);
  EACH_PLACE(i, p.n) {
    const places<2> at = place<2>(p, i);
    o[at.at[0]] = a[at.at[1]];
  }
}
KERNEL(move_1, each_params) { move<uint8_t>(p); }
KERNEL(move_2, each_params) { move<uint16_t>(p); }
KERNEL(move_4, each_params) { move<uint32_t>(p); }
KERNEL(move_8, each_params) { move<uint64_t>(p); }

/* An element of each dtype as a type of its own, and what it becomes on its way. Floating to integer: towards zero, the nearest end
 * where the dtype does not reach so far, and 0 for NaN. Integers among themselves keep their low bits. */
struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};
struct flag {
  uint8_t v;
}; /* a bool */

template <class T> DEVICE T load(T v) { return v; }
DEVICE float load(bf16 v) { return ms_bf16_to_f32(v.bits); }
DEVICE float load(f16 v) { return ms_f16_to_f32(v.bits); }
DEVICE uint8_t load(flag v) { return v.v; }

template <class F> DEVICE void store(float *o, F v) { *o = (float)v; }
template <class F> DEVICE void store(double *o, F v) { *o = (double)v; }
template <class F> DEVICE void store(bf16 *o, F v) { o->bits = ms_f32_to_bf16((float)v); }
template <class F> DEVICE void store(f16 *o, F v) { o->bits = ms_f32_to_f16((float)v); }
template <class F> DEVICE void store(flag *o, F v) { o->v = v != 0; }
template <class F> DEVICE void store(int64_t *o, F v) {
  if constexpr (is_real<F>::yes)
    *o = v != v ? 0 : v >= (F)9223372036854775808.0 ? INT64_MAX : v <= (F)-9223372036854775808.0 ? INT64_MIN : (int64_t)v;
  else *o = (int64_t)v;
}
template <class F> DEVICE void store(int32_t *o, F v) {
  if constexpr (is_real<F>::yes)
    *o = v != v ? 0 : (double)v >= 2147483648.0 ? INT32_MAX : (double)v <= -2147483648.0 ? INT32_MIN : (int32_t)v;
  else *o = (int32_t)v;
}
template <class F> DEVICE void store(uint8_t *o, F v) {
  if constexpr (is_real<F>::yes) *o = v >= 255 ? 255 : v >= 0 ? (uint8_t)v : 0;
  else *o = (uint8_t)v;
}

template <class FROM, class TO> DEVICE void cast(const each_params &p) {
  TO *o = (TO *)p.base[0];
  const FROM *a = operand<FROM>(p, 1);
  EACH_PLACE(i, p.n) {
    const places<2> at = place<2>(p, i);
    store(o + at.at[0], load(a[at.at[1]]));
  }
}
#define TO(from, F, to, T)                                                                                                         \
  KERNEL(cast_##from##_##to, each_params) { cast<F, T>(p); }
#define FROM(from, F)                                                                                                              \
  TO(from, F, f32, float)                                                                                                          \
  TO(from, F, f64, double)                                                                                                         \
  TO(from, F, bf16, bf16)                                                                                                          \
  TO(from, F, f16, f16)                                                                                                            \
  TO(from, F, i64, int64_t)                                                                                                        \
  TO(from, F, i32, int32_t)                                                                                                        \
  TO(from, F, u8, uint8_t)                                                                                                         \
  TO(from, F, bool, flag)
FROM(f32, float)
FROM(f64, double)
FROM(bf16, bf16)
FROM(f16, f16)
FROM(i64, int64_t)
FROM(i32, int32_t)
FROM(u8, uint8_t)
FROM(bool, flag)
