/* create_template.h -- random numbers of create.c that any dtype can hold. A template: the includer defines T, G(name) (the name
 * for that type), and PER_BLOCK: how many elements a block of four 32-bit words makes, 4 or 2. */

/* The random bits of element k of a block, in the upper 32 of 64 bits or in all of them. */
static inline uint64_t G(bits)(const ms_philox *r, int k) {
  return PER_BLOCK == 4 ? (uint64_t)r->v[k] << 32 : (uint64_t)r->v[2 * k % 4] << 32 | r->v[(2 * k + 1) % 4];
}

/* 1 where the upper 32 bits, as a number, are less than `below`, else 0. */
static void G(bernoulli)(const ms_call *c, double below) {
  T *o = c->out[0].data;
  const int64_t n = ms_view_numel(&c->out[0]), blocks = div_up(n, PER_BLOCK);
  const uint64_t seed = c->rng->seed, counter = c->rng->counter;
  MS_PARALLEL(ms_team(n * COST), b, blocks, {
    const ms_philox r = ms_philox4x32(seed, counter + (uint64_t)b);
    for (int k = 0; k < PER_BLOCK && PER_BLOCK * b + k < n; k++) o[PER_BLOCK * b + k] = (double)(G(bits)(&r, k) >> 32) < below;
  });
}

/* low plus the upper half of the product of the bits and the number of values; all 2^64 values (count 0): the bits. */
static void G(randint)(const ms_call *c, uint64_t low, uint64_t count) {
  T *o = c->out[0].data;
  const int64_t n = ms_view_numel(&c->out[0]), blocks = div_up(n, PER_BLOCK);
  const uint64_t seed = c->rng->seed, counter = c->rng->counter;
  MS_PARALLEL(ms_team(n * COST), b, blocks, {
    const ms_philox r = ms_philox4x32(seed, counter + (uint64_t)b);
    for (int k = 0; k < PER_BLOCK && PER_BLOCK * b + k < n; k++) {
      const uint64_t w = G(bits)(&r, k), of_count = (uint64_t)((unsigned __int128)w * count >> 64);
      o[PER_BLOCK * b + k] = (T)(int64_t)(low + (count ? of_count : w));
    }
  });
}
