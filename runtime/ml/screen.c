/* screen.c -- see screen.h.
 *
 * With y = y' + r for a row (y' what its bytes say), q = q' + e for a query and the mean m,
 *
 *   q.y = q'.y' + e.m + m.r  +  e.(y' - m) + (q - m).r
 *
 * of which the first three are computed (e.m belongs to the query, m.r to the row) and the last two are bounded by the lengths of
 * their vectors. Pixels that were bytes lie on the grid themselves: e and r are then next to nothing. */
#include "ml/screen.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if ML_VARIANTS
#include <immintrin.h>
#define TARGET_VNNI __attribute__((target("avx2,fma,avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")))
#endif

struct ml_screen {
  int64_t n, padded, d, groups; /* groups of four features */
  double shift, low, step;
  uint8_t *packed;                   /* panels of: groups x SCREEN_ROWS x 4 */
  float *base;                       /* padded: |y|^2 - 2 m.r; infinity past n */
  float *sum;                        /* padded: of y' */
  double *mean;                      /* d, moved */
  double *far, *off, *length, *size; /* tiles: the most of |y - m|, of |r|, of |y'|, and of |base| and |sum| times what it meets */
  int64_t tile;
};

void ml_screen_close(ml_screen *s) {
  if (!s) return;
  free(s->packed), free(s->base), free(s->sum), free(s->mean), free(s->far), free(s->off), free(s->length), free(s->size);
  free(s);
}

int64_t ml_screen_bytes(const ml_screen *s) { return 4 * s->groups; }

/* What the bytes of a vector say, and how far that is from the vector and from the mean. Sums over the features. */
typedef struct measures {
  double norm, away, off, length, cross, sum; /* |v|^2, |v - m|^2, |v - v'|^2, |v'|^2, m.(v - v'), of v' */
  int64_t bytes;
} measures;

#if ML_VARIANTS
/* Bytes of x, moved by shift, on the grid low + step * (0..255), less `bias`: four features together, `apart` bytes to the next
 * four. */
TARGET_VNNI static measures pack(int64_t d, const float *x, const double *mean, double shift, double low, double step, int bias,
                                 int64_t apart, uint8_t *to) {
  __m512d norm = _mm512_setzero_pd(), away = norm, off = norm, length = norm, cross = norm, sum = norm;
  __m256i bytes = _mm256_setzero_si256();
  const __m512d moved = _mm512_set1_pd(shift), least = _mm512_set1_pd(low), unit = _mm512_set1_pd(step),
                per = _mm512_set1_pd(1 / step);
  for (int64_t j = 0; j < d; j += 8) {
    const __mmask8 in = d - j < 8 ? (__mmask8)((1 << (d - j)) - 1) : 0xff;
    const __m512d m = _mm512_maskz_loadu_pd(in, mean + j);
    const __m512d v = _mm512_maskz_sub_pd(in, _mm512_cvtps_pd(_mm256_maskz_loadu_ps(in, x + j)), moved);
    __m512d at = _mm512_roundscale_pd(_mm512_mul_pd(_mm512_sub_pd(v, least), per), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    at = _mm512_min_pd(_mm512_max_pd(at, _mm512_setzero_pd()), _mm512_set1_pd(255));
    const __m512d said = _mm512_maskz_fmadd_pd(in, at, unit, least), r = _mm512_sub_pd(v, said), a = _mm512_sub_pd(v, m);
    norm = _mm512_fmadd_pd(v, v, norm), away = _mm512_fmadd_pd(a, a, away), off = _mm512_fmadd_pd(r, r, off);
    length = _mm512_fmadd_pd(said, said, length), cross = _mm512_fmadd_pd(m, r, cross), sum = _mm512_add_pd(sum, said);
    const __m256i byte = _mm256_maskz_sub_epi32(in, _mm512_cvtpd_epi32(at), _mm256_set1_epi32(bias));
    bytes = _mm256_add_epi32(bytes, byte);
    const int64_t eight = _mm_cvtsi128_si64(_mm256_cvtepi32_epi8(byte));
    memcpy(to + j / 4 * apart, &eight, 4);
    const int32_t upper = (int32_t)(eight >> 32);
    if (d - j > 4) memcpy(to + (j / 4 + 1) * apart, &upper, 4);
  }
  return (measures){_mm512_reduce_add_pd(norm),
                    _mm512_reduce_add_pd(away),
                    _mm512_reduce_add_pd(off),
                    _mm512_reduce_add_pd(length),
                    _mm512_reduce_add_pd(cross),
                    _mm512_reduce_add_pd(sum),
                    _mm512_reduce_add_epi32(_mm512_zextsi256_si512(bytes))};
}

TARGET_VNNI static void extremes(int64_t n, const float *x, float *low, float *high) {
  __m512 least = _mm512_set1_ps(INFINITY), most = _mm512_set1_ps(-INFINITY);
  for (int64_t j = 0; j < n; j += 16) {
    const __mmask16 in = n - j < 16 ? (__mmask16)((1 << (n - j)) - 1) : 0xffff;
    least = _mm512_mask_min_ps(least, in, least, _mm512_maskz_loadu_ps(in, x + j));
    most = _mm512_mask_max_ps(most, in, most, _mm512_maskz_loadu_ps(in, x + j));
  }
  *low = _mm512_reduce_min_ps(least), *high = _mm512_reduce_max_ps(most);
}
#else
static measures pack(int64_t d, const float *x, const double *mean, double shift, double low, double step, int bias, int64_t apart,
                     uint8_t *to) {
  (void)d, (void)x, (void)mean, (void)shift, (void)low, (void)step, (void)bias, (void)apart, (void)to;
  return (measures){0};
}
static void extremes(int64_t n, const float *x, float *low, float *high) { (void)n, (void)x, *low = *high = 0; }
#endif

static void pack_tile(ml_screen *s, const float *x, int64_t t) {
  double far = 0, off = 0, length = 0, base = 0, sum = 0;
  const int64_t last = (t + 1) * s->tile < s->padded ? (t + 1) * s->tile : s->padded;
  memset(s->packed + t * s->tile * 4 * s->groups, 0, (size_t)((last - t * s->tile) * 4 * s->groups));
  for (int64_t row = t * s->tile; row < last; row++) {
    if (row >= s->n) {
      s->base[row] = INFINITY, s->sum[row] = 0;
      continue;
    }
    uint8_t *to = s->packed + row / SCREEN_ROWS * SCREEN_ROWS * 4 * s->groups + row % SCREEN_ROWS * 4;
    const measures now = pack(s->d, x + row * s->d, s->mean, s->shift, s->low, s->step, 0, 4 * SCREEN_ROWS, to);
    s->base[row] = (float)(now.norm - 2 * now.cross);
    s->sum[row] = (float)now.sum;
    far = fmax(far, now.away), off = fmax(off, now.off), length = fmax(length, now.length);
    base = fmax(base, fabs((double)s->base[row])), sum = fmax(sum, fabs((double)s->sum[row]));
  }
  s->far[t] = sqrt(far), s->off[t] = sqrt(off), s->length[t] = sqrt(length);
  s->size[2 * t] = base, s->size[2 * t + 1] = sum;
}

ml_screen *ml_screen_open(int64_t n, int64_t padded, int64_t d, const float *x, const float *mean, int64_t tile) {
  bool can = false;
#if ML_VARIANTS
  can = ml_isa() == ML_AVX512 && __builtin_cpu_supports("avx512vnni");
#endif
  if (!can || d < 16 || d > 60000 || n < SCREEN_ROWS) return NULL;
  float low32, high32;
  extremes(n * d, x, &low32, &high32);
  const double low = (double)low32, high = (double)high32;
  double shift = 0;
  for (int64_t j = 0; j < d; j++) shift += (double)mean[j] / (double)d;
  if (!(low < high) || !(fabs(low) < 1e15) || !(fabs(high) < 1e15) || !(high - low > 1e-15)) return NULL;
  ml_screen *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  const int64_t tiles = (padded + tile - 1) / tile;
  *s = (ml_screen){.n = n, .padded = padded, .d = d, .groups = (d + 3) / 4, .tile = tile, .shift = shift, .low = low - shift};
  s->step = (high - low) / 255;
  s->packed = ml_alloc(padded * 4 * s->groups, 1);
  s->base = ml_alloc(padded, sizeof *s->base);
  s->sum = ml_alloc(padded, sizeof *s->sum);
  s->mean = ml_alloc(d, sizeof *s->mean);
  s->far = ml_alloc(tiles, sizeof *s->far);
  s->off = ml_alloc(tiles, sizeof *s->off);
  s->length = ml_alloc(tiles, sizeof *s->length);
  s->size = ml_alloc(2 * tiles, sizeof *s->size);
  if (!s->packed || !s->base || !s->sum || !s->mean || !s->far || !s->off || !s->length || !s->size)
    return ml_screen_close(s), NULL;
  for (int64_t j = 0; j < d; j++) s->mean[j] = (double)mean[j] - shift;
  MS_PARALLEL(ms_threads(), t, tiles, { pack_tile(s, x, t); });
  return s;
}

/* Bytes -128..127 on the rows' grid where the query is within its ends, else on one of its own. */
static void pack_query(const ml_screen *s, const float *q, int8_t *to, ml_screened *about) {
  float least, most;
  extremes(s->d, q, &least, &most);
  double low = (double)least - s->shift, step = ((double)most - (double)least) / 255;
  if (low >= s->low - s->step / 2 && (double)most - s->shift <= s->low + 255.5 * s->step) low = s->low, step = s->step;
  if (!(step > 1e-30)) step = 1;
  const measures now = pack(s->d, q, s->mean, s->shift, low, step, 128, 4 * SCREEN_QUERIES, (uint8_t *)to);
  const double grid = 2 * step * s->low * (double)now.bytes, constant = -grid - 2 * now.cross;
  *about = (ml_screened){.norm = now.norm,
                         .away = sqrt(now.away),
                         .off = sqrt(now.off),
                         .length = sqrt(now.length),
                         .size = fabs(constant) + fabs(grid),
                         .sums = (float)(-2 * (low + 128 * step)),
                         .constant = (float)constant,
                         .products = (float)(-2 * step * s->step)};
}

void ml_screen_pack(const ml_screen *s, const float *q, int64_t rows, int64_t tall, int8_t *packed, ml_screened *about) {
  memset(packed, 0, (size_t)(tall * 4 * s->groups));
  for (int64_t i = 0; i < tall; i++) {
    about[i] = (ml_screened){0};
    if (i < rows)
      pack_query(s, q + i * s->d, packed + i / SCREEN_QUERIES * SCREEN_QUERIES * 4 * s->groups + i % SCREEN_QUERIES * 4, &about[i]);
  }
}

/* Two vectors by their lengths, and what f32 rounds: six times at most half a unit of what has been added up so far, once more for
 * each of the factors. */
double ml_screen_error(const ml_screen *s, int64_t t, const ml_screened *q) {
  const double vectors = 2 * (q->off * (s->far[t] + s->off[t]) + q->away * s->off[t]);
  const double sums = fabs((double)q->sums) * s->size[2 * t + 1];
  const double rounded = s->size[2 * t] + 2 * sums + 2 * q->size + 2 * q->length * s->length[t];
  return 1.0001 * vectors + 16 * (FLT_EPSILON / 2) * rounded + 1e-37;
}

#if ML_VARIANTS
/* score of 12 queries and 32 rows of which a and b hold the bytes, by groups of four features. */
TARGET_VNNI static void micro(int64_t groups, const int8_t *a, const uint8_t *b, const ml_screened *about, const float *base,
                              const float *sum, float *score, int64_t ld) {
  __m512i dot[SCREEN_QUERIES][2];
#pragma GCC unroll 12
  for (int i = 0; i < SCREEN_QUERIES; i++) dot[i][0] = dot[i][1] = _mm512_setzero_si512();
  for (int64_t g = 0; g < groups; g++, a += 4 * SCREEN_QUERIES, b += 4 * SCREEN_ROWS) {
    const __m512i left = _mm512_loadu_si512(b), right = _mm512_loadu_si512(b + 64);
#pragma GCC unroll 12
    for (int i = 0; i < SCREEN_QUERIES; i++) {
      int32_t four;
      memcpy(&four, a + 4 * i, 4);
      const __m512i v = _mm512_set1_epi32(four);
      dot[i][0] = _mm512_dpbusd_epi32(dot[i][0], left, v);
      dot[i][1] = _mm512_dpbusd_epi32(dot[i][1], right, v);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < SCREEN_QUERIES; i++)
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
      const __m512 start =
          _mm512_fmadd_ps(_mm512_set1_ps(about[i].sums), _mm512_loadu_ps(sum + 16 * h), _mm512_loadu_ps(base + 16 * h));
      const __m512 product = _mm512_mul_ps(_mm512_set1_ps(about[i].products), _mm512_cvtepi32_ps(dot[i][h]));
      _mm512_storeu_ps(score + i * ld + 16 * h, _mm512_add_ps(_mm512_add_ps(start, _mm512_set1_ps(about[i].constant)), product));
    }
}
#endif

void ml_screen_scores(const ml_screen *s, int64_t first, int64_t wide, int64_t tall, const int8_t *packed, const ml_screened *about,
                      float *score, int64_t ld) {
#if ML_VARIANTS
  const int64_t row = 4 * s->groups;
  for (int64_t r = 0; r < wide; r += SCREEN_ROWS)
    for (int64_t i = 0; i < tall; i += SCREEN_QUERIES)
      micro(s->groups, packed + i * row, s->packed + (first + r) * row, about + i, s->base + first + r, s->sum + first + r,
            score + i * ld + r, ld);
#else
  (void)s, (void)first, (void)wide, (void)tall, (void)packed, (void)about, (void)score, (void)ld;
#endif
}
