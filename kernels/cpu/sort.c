/* sort.c -- sort and topk. Elements become unsigned keys whose order is the wanted one (NaN above everything, -0 = 0; complemented
 * for descending order), joined with their positions: (key, position) pairs are all different, so there is one right order, the
 * stable one. Long lines take a radix sort of the keys from the lowest byte up (items come to it by rising position), short ones
 * insertion; topk keeps the best k of a line in a heap, unless sorting all of it is quicker. */
#include "cpu.h"
#include <math.h>
#include <string.h>

enum { INSERTION = 64, BLOCK = 512 };

/* 4-byte and smaller types: key in the upper half, position in the lower. 8-byte types: a pair. */
typedef uint64_t item32;
typedef struct item64 {
  uint64_t key;
  uint32_t at;
} item64;

static inline item32 item32_of(uint64_t key, int64_t at) { return key << 32 | (uint32_t)at; }
static inline item64 item64_of(uint64_t key, int64_t at) { return (item64){key, (uint32_t)at}; }
static inline uint64_t item32_key(item32 a) { return a >> 32; }
static inline uint64_t item64_key(item64 a) { return a.key; }
static inline int64_t item32_at(item32 a) { return (uint32_t)a; }
static inline int64_t item64_at(item64 a) { return a.at; }
static inline bool item32_less(item32 a, item32 b) { return a < b; }
static inline bool item64_less(item64 a, item64 b) { return a.key < b.key || (a.key == b.key && a.at < b.at); }

static inline uint64_t key_float(float x) {
  uint32_t u;
  x = x == 0 ? 0 : x;
  memcpy(&u, &x, 4);
  return x != x ? UINT32_MAX : u ^ (u >> 31 ? UINT32_MAX : 0x80000000u);
}
static inline uint64_t key_double(double x) {
  uint64_t u;
  x = x == 0 ? 0 : x;
  memcpy(&u, &x, 8);
  return x != x ? UINT64_MAX : u ^ (u >> 63 ? UINT64_MAX : (uint64_t)1 << 63);
}
static inline uint64_t key_int64_t(int64_t x) { return (uint64_t)x ^ (uint64_t)1 << 63; }
static inline uint64_t key_int32_t(int32_t x) { return (uint32_t)x ^ 0x80000000u; }
static inline uint64_t key_uint8_t(uint8_t x) { return x; }

/* Items of positions from..to-1 of a line. flip: all ones for descending order. */
#define FILL(T, I)                                                                                                                 \
  static void fill_##T(I *item, const void *x, int64_t step, int64_t from, int64_t to, uint64_t flip) {                            \
    for (int64_t i = from; i < to; i++) item[i - from] = I##_of(key_##T(((const T *)x)[i * step]) ^ flip, i);                      \
  }
FILL(float, item32)
FILL(double, item64)
FILL(int64_t, item64)
FILL(int32_t, item32)
FILL(uint8_t, item32)

#define SORT(I, DIGITS)                                                                                                            \
  typedef void (*I##_fill)(I *, const void *, int64_t, int64_t, int64_t, uint64_t);                                                \
  static void I##_sort(I *a, I *spare, int64_t n) {                                                                                \
    if (n <= INSERTION) {                                                                                                          \
      for (int64_t i = 1; i < n; i++) {                                                                                            \
        I v = a[i];                                                                                                                \
        int64_t j = i;                                                                                                             \
        for (; j > 0 && I##_less(v, a[j - 1]); j--) a[j] = a[j - 1];                                                               \
        a[j] = v;                                                                                                                  \
      }                                                                                                                            \
      return;                                                                                                                      \
    }                                                                                                                              \
    uint32_t count[DIGITS][256] = {0};                                                                                             \
    for (int64_t i = 0; i < n; i++)                                                                                                \
      for (int d = 0; d < DIGITS; d++) count[d][I##_key(a[i]) >> 8 * d & 255]++;                                                   \
    I *from = a, *to = spare;                                                                                                      \
    for (int d = 0; d < DIGITS; d++) {                                                                                             \
      if (count[d][I##_key(a[0]) >> 8 * d & 255] == n) continue; /* all share this digit */                                        \
      for (uint32_t k = 0, sum = 0; k < 256; k++) {                                                                                \
        uint32_t here = count[d][k];                                                                                               \
        count[d][k] = sum, sum += here;                                                                                            \
      }                                                                                                                            \
      for (int64_t i = 0; i < n;) { /* stopped in a pass, what is in `from` is a line in some order */                             \
        const int64_t end = min_i64(n, i + (1 << 20));                                                                             \
        for (; i < end; i++) to[count[d][I##_key(from[i]) >> 8 * d & 255]++] = from[i];                                            \
        if (i < n && ms_interrupted()) goto stopped;                                                                               \
      }                                                                                                                            \
      I *swap = from;                                                                                                              \
      from = to, to = swap;                                                                                                        \
    }                                                                                                                              \
  stopped:                                                                                                                         \
    if (from != a) memcpy(a, from, (size_t)n * sizeof(I));                                                                         \
  }                                                                                                                                \
  static void I##_sink(I *heap, int64_t k, int64_t i) { /* the largest item is heap[0] */                                          \
    I v = heap[i];                                                                                                                 \
    for (int64_t child; (child = 2 * i + 1) < k; i = child) {                                                                      \
      if (child + 1 < k && I##_less(heap[child], heap[child + 1])) child++;                                                        \
      if (!I##_less(v, heap[child])) break;                                                                                        \
      heap[i] = heap[child];                                                                                                       \
    }                                                                                                                              \
    heap[i] = v;                                                                                                                   \
  }                                                                                                                                \
  /* The k smallest items of a line of n, in order, to best[]. */                                                                  \
  static void I##_select(I *best, int64_t k, int64_t n, I##_fill fill, const void *x, int64_t step, uint64_t flip) {               \
    I block[BLOCK];                                                                                                                \
    fill(best, x, step, 0, k, flip);                                                                                               \
    for (int64_t i = k / 2; i-- > 0;) I##_sink(best, k, i);                                                                        \
    for (int64_t from = k; k && from < n; from += BLOCK) {                                                                         \
      int64_t to = from + BLOCK < n ? from + BLOCK : n;                                                                            \
      fill(block, x, step, from, to, flip);                                                                                        \
      for (int64_t i = 0; i < to - from; i++)                                                                                      \
        if (I##_less(block[i], best[0])) best[0] = block[i], I##_sink(best, k, 0);                                                 \
    }                                                                                                                              \
    for (int64_t last = k - 1; last > 0; last--) {                                                                                 \
      I top = best[0];                                                                                                             \
      best[0] = best[last], best[last] = top;                                                                                      \
      I##_sink(best, last, 0);                                                                                                     \
    }                                                                                                                              \
  }                                                                                                                                \
  /* One line: the first k of its n elements in order, values to r (of `size` bytes each) and positions to at. */                  \
  static void I##_line(const void *x, int64_t step, int64_t n, int64_t k, bool whole, I##_fill fill, uint64_t flip, I *a,          \
                       size_t size, void *r, int64_t *at, int64_t r_step) {                                                        \
    if (whole) fill(a, x, step, 0, n, flip), I##_sort(a, a + n, n);                                                                \
    else I##_select(a, k, n, fill, x, step, flip);                                                                                 \
    if (ms_interrupted()) return;                                                                                                  \
    for (int64_t j = 0; j < k; j++) {                                                                                              \
      int64_t i = I##_at(a[j]);                                                                                                    \
      at[j * r_step] = i + MS_INDEX_BASE;                                                                                          \
      if (size == 4) ((uint32_t *)r)[j * r_step] = ((const uint32_t *)x)[i * step];                                                \
      else if (size == 8) ((uint64_t *)r)[j * r_step] = ((const uint64_t *)x)[i * step];                                           \
      else ((uint8_t *)r)[j * r_step] = ((const uint8_t *)x)[i * step];                                                            \
    }                                                                                                                              \
  }
SORT(item32, 4)
SORT(item64, 8)

static bool has_keys(const ms_call *c) { return c->out[0].dtype != MS_F16 && c->out[0].dtype != MS_BF16; }

/* Is selecting k of n not worth it? */
static bool sorts_all(int64_t k, int64_t n) { return n <= INSERTION || (k > 32 && k > n / 128); }

/* The line and a spare, or the k kept. */
static size_t line_bytes(const ms_call *c, int64_t k, int64_t n) {
  size_t bytes = (size_t)(sorts_all(k, n) ? 2 * n : k) * (ms_dtype_size(c->in[0].dtype) == 8 ? sizeof(item64) : sizeof(item32));
  return (bytes + 63) / 64 * 64;
}

static int prepare(ms_call *c, int d, int64_t k) {
  int64_t n = c->in[0].shape[d];
  if (n > UINT32_MAX)
    return ms_fail("%s: %lld elements along a dimension, at most %u are possible", c->op->name, (long long)n, UINT32_MAX), -1;
  const int64_t lines = n ? ms_view_numel(&c->in[0]) / n : 0;
  c->work_bytes = line_bytes(c, k, n) * (size_t)min_i64(ms_threads(), max_i64(lines, 1)); /* no more threads than lines */
  return 0;
}

static int run(ms_call *c, int d, int64_t k, bool descending) {
  const ms_view *x = &c->in[0], *r = &c->out[0];
  ms_view lines = *x;
  int64_t n = x->shape[d], step = x->stride[d], inner = 1, count;
  lines.rank--;
  for (int i = d; i < lines.rank; i++)
    lines.shape[i] = x->shape[i + 1], lines.stride[i] = x->stride[i + 1], inner *= lines.shape[i];
  count = ms_view_numel(&lines);
  if (!count || !k) return 0;

  size_t size = ms_dtype_size(x->dtype), bytes = line_bytes(c, k, n);
  uint64_t flip = !descending ? 0 : size == 8 ? UINT64_MAX : UINT32_MAX;
  bool whole = sorts_all(k, n);
  int team = ms_team(count * n * (whole ? 8 : 2)), room = (int)(c->work_bytes / bytes);
  if (team > room) team = room;
  item32_fill fill32 = x->dtype == MS_F32 ? fill_float : x->dtype == MS_I32 ? fill_int32_t : fill_uint8_t;
  item64_fill fill64 = x->dtype == MS_F64 ? fill_double : fill_int64_t;
  MS_PARALLEL(team, t, team, {
    for (int64_t line = count * t / team; line < count * (t + 1) / team; line++) {
      if (ms_interrupted()) break;
      const void *from = (const char *)x->data + ms_offset(&lines, line) * (int64_t)size;
      void *work = (char *)c->work + (size_t)t * bytes;
      int64_t o = line / inner * k * inner + line % inner;
      void *to = (char *)r->data + o * (int64_t)size;
      int64_t *at = (int64_t *)c->out[1].data + o;
      if (size == 8) item64_line(from, step, n, k, whole, fill64, flip, work, size, to, at, inner);
      else item32_line(from, step, n, k, whole, fill32, flip, work, size, to, at, inner);
    }
  });
  if (ms_interrupted()) return ms_stopped(c->op->name), -1; /* indices may be missing */
  return 0;
}

static int sort_prepare(ms_call *c) { return prepare(c, (int)c->attr[0].i, c->in[0].shape[c->attr[0].i]); }
static int sort_run(ms_call *c) { return run(c, (int)c->attr[0].i, c->in[0].shape[c->attr[0].i], c->attr[1].i != 0); }
MS_KERNEL(sort, .prepare = sort_prepare, .run = sort_run, .supports = has_keys);

static int topk_prepare(ms_call *c) { return prepare(c, (int)c->attr[1].i, c->attr[0].i); }
static int topk_run(ms_call *c) { return run(c, (int)c->attr[1].i, c->attr[0].i, c->attr[2].i != 0); }
MS_KERNEL(topk, .prepare = topk_prepare, .run = topk_run, .supports = has_keys);
