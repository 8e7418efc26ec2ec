/* sort.c -- sort and topk along a dimension, line by line.
 *
 * Each element of a line becomes an item: an unsigned key, whose order is the wanted one, and the element's position. Keys put NaN
 * above every number and make -0 equal to 0; for descending order their bits are flipped. Items are compared by key, then by
 * position, so no two are equal and there is one right order, the stable one.
 *
 * Short lines are sorted by insertion, long ones by a radix sort of the keys. topk keeps the best k items of a line in a heap,
 * unless it is quicker to sort them all. */
#include "cpu.h"
#include <string.h>

enum {
  INSERTION = 64,            /* items up to which insertion is quicker than radix sort */
  BLOCK = 512,               /* items that topk makes at a time */
  INTERRUPT_EVERY = 1 << 20, /* items moved from one look at ms_interrupted to the next */
  HEAP_ALWAYS = 32,          /* results up to which topk keeps a heap */
  HEAP_SHARE = 128,          /* more results: it does so if they are at most one in HEAP_SHARE elements of the line */
};

/* Of dtypes of up to 4 bytes: the key in the upper half, the position in the lower. Of 8 bytes: a pair. */
typedef uint64_t item_32;
typedef struct item_64 {
  uint64_t key;
  uint32_t position;
} item_64;

static inline item_32 make_32(uint64_t key, int64_t position) { return key << 32 | (uint32_t)position; }
static inline item_64 make_64(uint64_t key, int64_t position) { return (item_64){key, (uint32_t)position}; }
static inline uint64_t key_32(item_32 a) { return a >> 32; }
static inline uint64_t key_64(item_64 a) { return a.key; }
static inline int64_t position_32(item_32 a) { return (uint32_t)a; }
static inline int64_t position_64(item_64 a) { return a.position; }
static inline bool less_32(item_32 a, item_32 b) { return a < b; }
static inline bool less_64(item_64 a, item_64 b) { return a.key < b.key || (a.key == b.key && a.position < b.position); }

static inline uint64_t key_of_f32(float x) {
  uint32_t u;
  x = x == 0 ? 0 : x;
  memcpy(&u, &x, 4);
  return x != x ? UINT32_MAX : u ^ (u >> 31 ? UINT32_MAX : 0x80000000u);
}
static inline uint64_t key_of_f64(double x) {
  uint64_t u;
  x = x == 0 ? 0 : x;
  memcpy(&u, &x, 8);
  return x != x ? UINT64_MAX : u ^ (u >> 63 ? UINT64_MAX : (uint64_t)1 << 63);
}
static inline uint64_t key_of_i64(int64_t x) { return (uint64_t)x ^ (uint64_t)1 << 63; }
static inline uint64_t key_of_i32(int32_t x) { return (uint32_t)x ^ 0x80000000u; }
static inline uint64_t key_of_u8(uint8_t x) { return x; }

/* The items of elements first .. end-1 of a line. flip: the bits of a key that are flipped. */
#define FILL(type, T, BITS)                                                                                                        \
  static void fill_##type(item_##BITS *item, const void *x, int64_t step, int64_t first, int64_t end, uint64_t flip) {             \
    for (int64_t i = first; i < end; i++) item[i - first] = make_##BITS(key_of_##type(((const T *)x)[i * step]) ^ flip, i);        \
  }
FILL(f32, float, 32)
FILL(f64, double, 64)
FILL(i64, int64_t, 64)
FILL(i32, int32_t, 32)
FILL(u8, uint8_t, 32)

/* What is to be done with a line: its first k elements in order, and their positions. */
typedef struct line {
  const void *x;
  int64_t step, n;     /* elements from one to the next; how many */
  int64_t k;           /* results */
  bool sorts_all;      /* sort all n, or select k of them */
  uint64_t flip;       /* bits of a key that are flipped */
  size_t size;         /* bytes of an element */
  void *values;        /* the results ... */
  int64_t *positions;  /* ... and where they were, */
  int64_t result_step; /* elements apart */
} line;

static inline void copy_element(size_t size, const void *from, int64_t i, void *to, int64_t j) {
  if (size == 4) ((uint32_t *)to)[j] = ((const uint32_t *)from)[i];
  else if (size == 8) ((uint64_t *)to)[j] = ((const uint64_t *)from)[i];
  else ((uint8_t *)to)[j] = ((const uint8_t *)from)[i];
}

#define ITEM      item_32
#define KEY_BYTES 4
#define G(x)      x##_32
#include "sort_template.h"
#undef ITEM
#undef KEY_BYTES
#undef G
#define ITEM      item_64
#define KEY_BYTES 8
#define G(x)      x##_64
#include "sort_template.h"
#undef ITEM
#undef KEY_BYTES
#undef G

static bool has_keys(const ms_call *c) { return c->out[0].dtype != MS_F16 && c->out[0].dtype != MS_BF16; }

/* Is it quicker to sort all n elements than to select k of them? */
static bool sorts_all(int64_t k, int64_t n) { return n <= INSERTION || (k > HEAP_ALWAYS && k > n / HEAP_SHARE); }

/* Workspace for one line: its items and as many spare ones, or the k selected. */
static size_t items_bytes(const ms_call *c, int64_t k, int64_t n) {
  const size_t item = ms_dtype_size(c->in[0].dtype) == 8 ? sizeof(item_64) : sizeof(item_32);
  return (size_t)round_up((sorts_all(k, n) ? 2 * n : k) * (int64_t)item, 64);
}

static int prepare(ms_call *c, int dim, int64_t k) {
  const int64_t n = c->in[0].shape[dim], lines = n ? ms_view_numel(&c->in[0]) / n : 0;
  if (n > UINT32_MAX)
    return ms_fail("%s: %lld elements along a dimension, at most %u are possible", c->op->name, (long long)n, UINT32_MAX), -1;
  c->work_bytes = items_bytes(c, k, n) * (size_t)min_i64(ms_threads(), max_i64(lines, 1)); /* no more threads than lines */
  return 0;
}

/* x without dimension dim: a position in it is a line. *inner: how many of them lie after dim. */
static ms_view lines_of(const ms_view *x, int dim, int64_t *inner) {
  ms_view lines = *x;
  lines.rank--, *inner = 1;
  for (int i = dim; i < lines.rank; i++)
    lines.shape[i] = x->shape[i + 1], lines.stride[i] = x->stride[i + 1], *inner *= lines.shape[i];
  return lines;
}

static int run(ms_call *c, int dim, int64_t k, bool descending) {
  const ms_view *x = &c->in[0];
  int64_t inner;
  const ms_view lines = lines_of(x, dim, &inner);
  const int64_t count = ms_view_numel(&lines), n = x->shape[dim];
  if (!count || !k) return 0;
  const size_t size = ms_dtype_size(x->dtype), bytes = items_bytes(c, k, n);
  const uint64_t flip = !descending ? 0 : size == 8 ? UINT64_MAX : UINT32_MAX;
  const line all = {
      .step = x->stride[dim], .n = n, .k = k, .sorts_all = sorts_all(k, n), .flip = flip, .size = size, .result_step = inner};
  const fill_fn_32 fill_32 = x->dtype == MS_F32 ? fill_f32 : x->dtype == MS_I32 ? fill_i32 : fill_u8;
  const fill_fn_64 fill_64 = x->dtype == MS_F64 ? fill_f64 : fill_i64;
  const int team = (int)min_i64(ms_team(count * n * (all.sorts_all ? 8 : 2)), (int64_t)(c->work_bytes / bytes));
  MS_PARALLEL(team, t, team, {
    void *items = (char *)c->work + (size_t)t * bytes;
    for (int64_t i = count * t / team; i < count * (t + 1) / team; i++) {
      if (ms_interrupted()) break;
      const int64_t result = i / inner * k * inner + i % inner;
      line l = all;
      l.x = (const char *)x->data + ms_offset(&lines, i) * (int64_t)size;
      l.values = (char *)c->out[0].data + result * (int64_t)size;
      l.positions = (int64_t *)c->out[1].data + result;
      if (size == 8) sort_line_64(&l, fill_64, items);
      else sort_line_32(&l, fill_32, items);
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
