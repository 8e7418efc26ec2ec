/* philox.h -- Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based
 * generator; the same numbers for the same (seed, counter) on every device and with any number of threads. */
#ifndef MS_PHILOX_H
#define MS_PHILOX_H
#include "half.h"

typedef struct ms_philox {
  uint32_t v[4];
} ms_philox;

MS_F ms_philox ms_philox4x32(uint64_t seed, uint64_t counter) {
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = 0, c3 = 0;
  for (int i = 0; i < 10; i++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1, c3 = (uint32_t)p0, c0 = n0, c2 = n2;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return (ms_philox){{c0, c1, c2, c3}};
}

/* Uniform in [0, 1) with 24 or 53 bits; in (0, 1] for logarithms. */
MS_F float ms_uniform_f32(uint32_t v) { return (float)(v >> 8) * 0x1p-24f; }
MS_F float ms_uniform_open_f32(uint32_t v) { return (float)((v >> 8) + 1) * 0x1p-24f; }
MS_F double ms_uniform_f64(uint32_t v, uint32_t w) { return (double)(((uint64_t)v << 32 | w) >> 11) * 0x1p-53; }
MS_F double ms_uniform_open_f64(uint32_t v, uint32_t w) { return (double)((((uint64_t)v << 32 | w) >> 11) + 1) * 0x1p-53; }

#endif
