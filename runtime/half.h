/* half.h -- the two formats of half precision, which are formats of storage, by their bits; to nearest, ties to even. */
#ifndef MS_HALF_H
#define MS_HALF_H
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifndef MS_F /* kernels/cuda says something else */
#define MS_F static inline __attribute__((always_inline))
#endif
MS_F float ms_bits_f32(uint32_t u) {
  float f;
  memcpy(&f, &u, 4);
  return f;
}
MS_F uint32_t ms_f32_bits(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  return u;
}

MS_F float ms_bf16_to_f32(uint16_t h) { return ms_bits_f32((uint32_t)h << 16); }
MS_F uint16_t ms_f32_to_bf16(float f) {
  uint32_t u = ms_f32_bits(f);
  if (f != f) return (uint16_t)(u >> 16 | 0x40);
  return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}
MS_F float ms_f16_to_f32(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 1023;
  if (e == 31) return ms_bits_f32(sign | 0x7f800000u | m << 13);
  if (e) return ms_bits_f32(sign | (e + 112) << 23 | m << 13);
  float v = (float)m * 0x1p-24f;
  return sign ? -v : v;
}
MS_F uint16_t ms_f32_to_f16(float f) {
  uint32_t u = ms_f32_bits(f), sign = u >> 16 & 0x8000;
  float a = ms_bits_f32(u & 0x7fffffffu);
  if (f != f) return (uint16_t)(sign | 0x7e00);
  if (a >= 65520.0f) return (uint16_t)(sign | 0x7c00);
  if (a < 0x1p-14f) return (uint16_t)(sign | (uint32_t)rintf(a * 0x1p24f));
  uint32_t v = ms_f32_bits(a);
  v += 0xfffu + (v >> 13 & 1);
  return (uint16_t)(sign | ((v >> 13) - (112u << 10)));
}

#endif
