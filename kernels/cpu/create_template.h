/* create_template.h -- random numbers of create.c that any dtype can hold. A template: the includer defines T, G(name) (the name
 * for that type), and PER_BLOCK: how many elements a block of four 32-bit words makes, 4 or 2. */

/* The random bits of element k of a block, in the upper 32 of 64 bits or in all of them. */
static inline uint64_t G(bits)(const ms_philox *r, int k) {
  return PER_BLOCK == 4 ? (uint64_t)r->v[k] << 32 : (uint64_t)r->v[2 * k % 4] << 32 | r->v[(2 * k + 1) % 4];
}

/* 1 where the upper 32 bits, as a number, are less than `below`, else 0. */
static void G(bernoulli)(const ms_call *c, double below) {
  T *o = c->out[0].data;
  const int64_t n = ms_view_numel(&c->out[0]), each = PER_BLOCK * GROUP, groups = div_up(n, each);
  const uint64_t seed = c->rng->seed, counter = c->rng->counter;
  const uint64_t limit = (uint64_t)ceil(below); /* whole numbers are less than `below` where they are less than this */
  const uint32_t all = limit >> 32 ? 1 : 0, less = (uint32_t)limit;
  MS_PARALLEL(ms_team(n * COST), g, groups, {
    if (stops(n, g)) break;
    uint32_t w[4][GROUP];
    T v[PER_BLOCK][GROUP], *to = o + g * each;
    philox_group(seed, counter + (uint64_t)(g * GROUP), w);
    for (int k = 0; k < PER_BLOCK; k++)
      for (int l = 0; l < GROUP; l++) v[k][l] = (T)(all | (uint32_t)(w[PER_BLOCK == 4 ? k : 2 * k][l] < less));
    const int64_t left = n - g * each;
    if (left >= each) {
      for (int l = 0; l < GROUP; l++)
        for (int k = 0; k < PER_BLOCK; k++) to[PER_BLOCK * l + k] = v[k][l];
    } else {
      for (int e = 0; e < left; e++) to[e] = v[e % PER_BLOCK][e / PER_BLOCK];
    }
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
