/* loader.c -- shuffled batches: permutations, and rows gathered from a set that stays in memory as it was in its file. */
#include "data/data.h"
#include "team.h"
#include <stdlib.h>
#include <string.h>

/* Below this many bytes of output a parallel region costs more than it saves. */
enum { PARALLEL_BYTES = 1 << 20 };

/* ---- permutations ------------------------------------------------------------------------------------------------ */

static uint64_t draw64(ms_rng *rng) {
  uint64_t high = ms_rng_next(rng);
  return high << 32 | ms_rng_next(rng);
}

/* Uniform on 0 .. n-1, n >= 1: Lemire, "Fast random integer generation in an interval" (2019). */
static uint64_t below(ms_rng *rng, uint64_t n) {
  if (n <= UINT32_MAX) {
    uint32_t m = (uint32_t)n, least = -m % m;
    for (;;) {
      uint64_t x = (uint64_t)ms_rng_next(rng) * m;
      if ((uint32_t)x >= least) return x >> 32;
    }
  }
  uint64_t least = -n % n;
  for (;;) {
    unsigned __int128 x = (unsigned __int128)draw64(rng) * n;
    if ((uint64_t)x >= least) return (uint64_t)(x >> 64);
  }
}

static void shuffle(int64_t *a, int64_t n, ms_rng *rng) {
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t j = (int64_t)below(rng, (uint64_t)i + 1), t = a[i];
    a[i] = a[j];
    a[j] = t;
  }
}

static void count_up(int64_t *a, int64_t n, int64_t base) {
  for (int64_t i = 0; i < n; i++) a[i] = base + i;
}

void ms_permutation(int64_t n, ms_rng *rng, int64_t base, int64_t *out) {
  count_up(out, n, base);
  shuffle(out, n, rng);
}

/* ---- gathering --------------------------------------------------------------------------------------------------- */

static int check_index(const int64_t *index, int64_t count, int64_t rows, int64_t base) {
  for (int64_t i = 0; i < count; i++) {
    if (index[i] >= base && index[i] - base < rows) continue;
    if (rows)
      ms_fail("index[%lld] = %lld, expected %lld..%lld", (long long)(i + base), (long long)index[i], (long long)base,
              (long long)(base + rows - 1));
    else ms_fail("index[%lld] = %lld, expected none: there are no rows", (long long)(i + base), (long long)index[i]);
    return -1;
  }
  return 0;
}

int ms_gather_rows(void *out, const void *src, size_t row_bytes, int64_t rows, const int64_t *index, int64_t count, int64_t base) {
  if (check_index(index, count, rows, base)) return -1;
  char *to = out;
  const char *from = src;
  size_t total = (size_t)count * row_bytes;
  MS_PARALLEL(total >= PARALLEL_BYTES ? ms_threads() : 1, i, count,
              memcpy(to + (size_t)i * row_bytes, from + (size_t)(index[i] - base) * row_bytes, row_bytes););
  return 0;
}

int ms_gather_i64(int64_t *out, const int64_t *src, int64_t rows, const int64_t *index, int64_t count, int64_t base) {
  if (check_index(index, count, rows, base)) return -1;
  for (int64_t i = 0; i < count; i++) out[i] = src[index[i] - base];
  return 0;
}

static void scale_u8(float *restrict out, const uint8_t *restrict x, int64_t n, float scale, float shift) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = (float)x[i] * scale + shift;
}

static void scale_f32(float *restrict out, const float *restrict x, int64_t n, float scale, float shift) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = x[i] * scale + shift;
}

int ms_gather_f32(float *out, const void *src, ms_dtype dtype, int64_t row, int64_t rows, const int64_t *index, int64_t count,
                  int64_t base, int planes, const float *scale, const float *shift) {
  if (dtype != MS_U8 && dtype != MS_F32) {
    ms_fail("gather: expected rows of u8 or f32, got %s", ms_dtype_name(dtype));
    return -1;
  }
  if (planes < 1 || row % planes) {
    ms_fail("gather: expected rows of %d equal planes, got %lld elements", planes, (long long)row);
    return -1;
  }
  if (check_index(index, count, rows, base)) return -1;
  int64_t rest = row / planes;
  size_t total = (size_t)count * (size_t)row * sizeof *out;
  MS_PARALLEL(total >= PARALLEL_BYTES ? ms_threads() : 1, i, count, {
    int64_t first = (index[i] - base) * row;
    for (int p = 0; p < planes; p++) {
      float *to = out + i * row + p * rest;
      float a = scale ? scale[p] : 1, b = shift ? shift[p] : 0;
      if (dtype == MS_U8) scale_u8(to, (const uint8_t *)src + first + p * rest, rest, a, b);
      else scale_f32(to, (const float *)src + first + p * rest, rest, a, b);
    }
  });
  return 0;
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

ms_batches *ms_batches_new(int64_t n, const int64_t *subset, int64_t batch, bool shuffled, bool drop_last, int64_t base) {
  if (n < 0 || batch < 1)
    return ms_fail("batches: expected a batch size of at least 1, got %lld of %lld samples", (long long)batch, (long long)n);
  ms_batches *b = calloc(1, sizeof *b);
  size_t room = n ? (size_t)n : 1;
  if (b) {
    *b = (ms_batches){.n = n, .batch = batch, .base = base, .at = n, .shuffle = shuffled, .drop_last = drop_last};
    b->order = calloc(room, sizeof *b->order);
    if (subset) b->subset = malloc(room * sizeof *b->subset);
  }
  if (!b || !b->order || (subset && !b->subset)) {
    ms_batches_free(b);
    return ms_fail("batches: out of memory for %lld row numbers", (long long)n);
  }
  if (subset) memcpy(b->subset, subset, (size_t)n * sizeof *subset);
  return b;
}

void ms_batches_free(ms_batches *b) {
  if (!b) return;
  free(b->order);
  free(b->subset);
  free(b);
}

int64_t ms_batches_count(const ms_batches *b) { return b->n / b->batch + (!b->drop_last && b->n % b->batch ? 1 : 0); }

void ms_batches_start(ms_batches *b, ms_rng *rng) {
  if (b->subset) memcpy(b->order, b->subset, (size_t)b->n * sizeof *b->order);
  else count_up(b->order, b->n, b->base);
  if (b->shuffle) shuffle(b->order, b->n, rng);
  b->at = 0;
}

const int64_t *ms_batches_next(ms_batches *b, int64_t *count) {
  int64_t left = b->n - b->at, take = left < b->batch ? left : b->batch;
  if (!take || (b->drop_last && take < b->batch)) return NULL;
  const int64_t *at = b->order + b->at;
  b->at += take;
  *count = take;
  return at;
}
