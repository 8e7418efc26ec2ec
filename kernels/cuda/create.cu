/* create.cu -- sequences and random numbers: the same numbers, bit by bit, as kernels/cpu/create.c makes. */
#include "device.cuh"
#include "philox.h"

#define SEQUENCES(name, E)                                                                                                         \
  SEQUENCE(name, f32, float, E)                                                                                                    \
  SEQUENCE(name, f64, double, E)                                                                                                   \
  SEQUENCE(name, i64, int64_t, E)                                                                                                  \
  SEQUENCE(name, i32, int32_t, E)                                                                                                  \
  SEQUENCE(name, u8, uint8_t, E)
#define SEQUENCE(name, d, TT, E)                                                                                                   \
  KERNEL(name##_##d, sequence_params) {                                                                                            \
    EACH_PLACE(i, p.n) {                                                                                                           \
      typedef TT T;                                                                                                                \
      ((T *)p.to)[i] = E;                                                                                                          \
    }                                                                                                                              \
  }
SEQUENCES(arange, p.whole ? (T)(int64_t)((uint64_t)p.first + (uint64_t)i * (uint64_t)p.by) : (T)(p.start + (double)i * p.step))
SEQUENCES(linspace, i == p.n - 1 && i > 0 ? (T)p.last : (T)(p.start + p.step * (p.n > 1 ? (double)i / (double)(p.n - 1) : 0.0)))
SEQUENCES(eye, (T)(i / p.columns == i % p.columns))

/* N elements v[0 .. N - 1] of the words r.v of a block b. */
#define DRAW(T, N, ...)                                                                                                            \
  EACH_PLACE(b, (p.n + N - 1) / N) {                                                                                               \
    const ms_philox r = ms_philox4x32(p.seed, p.counter + (uint64_t)b);                                                            \
    T v[N];                                                                                                                        \
    __VA_ARGS__;                                                                                                                   \
    for (int k = 0; k < N && N * b + k < p.n; k++) ((T *)p.to)[N * b + k] = v[k];                                                  \
  }

KERNEL(rand_f32, random_params) {
  DRAW(float, 4, for (int k = 0; k < 4; k++) v[k] = fminf(fmaf((float)p.b, ms_uniform_f32(r.v[k]), (float)p.a), (float)p.top))
}
KERNEL(rand_f64, random_params) {
  DRAW(double, 2, for (int k = 0; k < 2; k++) v[k] = fmin(fma(p.b, ms_uniform_f64(r.v[2 * k], r.v[2 * k + 1]), p.a), p.top))
}

/* Box and Muller (1958): two uniform numbers give two normal ones. */
DEVICE void normal_f32(const uint32_t *w, float mean, float std, float *v) {
  float s, c;
  const float radius = sqrtf(-2.0f * m_ln_f32(ms_uniform_open_f32(w[0])));
  m_turn_f32(ms_uniform_f32(w[1]), &s, &c);
  v[0] = fmaf(std, radius * c, mean), v[1] = fmaf(std, radius * s, mean);
}
DEVICE void normal_f64(const uint32_t *w, double mean, double std, double *v) {
  double s, c;
  const double radius = sqrt(-2.0 * m_ln_f64(ms_uniform_open_f64(w[0], w[1])));
  m_turn_f64(ms_uniform_f64(w[2], w[3]), &s, &c);
  v[0] = fma(std, radius * c, mean), v[1] = fma(std, radius * s, mean);
}
KERNEL(randn_f32, random_params) {
  DRAW(float, 4, for (int k = 0; k < 4; k += 2) normal_f32(r.v + k, (float)p.a, (float)p.b, v + k))
}
KERNEL(randn_f64, random_params) { DRAW(double, 2, normal_f64(r.v, p.a, p.b, v)) }

/* The random bits of element k of a block of N, in the upper 32 of 64 bits or in all of them. */
template <int N> DEVICE uint64_t bits_of(const ms_philox &r, int k) {
  return N == 4 ? (uint64_t)r.v[k] << 32 : (uint64_t)r.v[2 * k % 4] << 32 | r.v[(2 * k + 1) % 4];
}
template <class T, int N> DEVICE void bernoulli(const random_params &p) {
  DRAW(T, N, for (int k = 0; k < N; k++) v[k] = (T)((double)(bits_of<N>(r, k) >> 32) < p.a))
}
/* low plus the upper half of the product of the bits and the number of values; all 2^64 values (count 0): the bits. */
template <class T, int N> DEVICE void randint(const random_params &p) {
  DRAW(
      T, N, for (int k = 0; k < N; k++) {
        const uint64_t w = bits_of<N>(r, k);
        v[k] = (T)(int64_t)(p.low + (p.count ? (uint64_t)((unsigned __int128)w * p.count >> 64) : w));
      })
}
#define WHOLE(d, T, N)                                                                                                             \
  KERNEL(bernoulli_##d, random_params) { bernoulli<T, N>(p); }                                                                     \
  KERNEL(randint_##d, random_params) { randint<T, N>(p); }
WHOLE(f32, float, 4)
WHOLE(f64, double, 2)
WHOLE(i64, int64_t, 2)
WHOLE(i32, int32_t, 2)
WHOLE(u8, uint8_t, 2)
