/* copy.c -- moving elements: copies between layouts, conversions, filling, reversing. */
#include "loops.h"
#include "move.h"
#include "../math.h"

/* ---- same dtype: only the element size matters ------------------------------------------------------------------- */

enum { TILE = 16 }; /* rows and columns of a tile: its lines of both matrices stay in L1 */

/* A transposed 4-byte matrix (inner stride large on the reading side) goes tile by tile, so that each cache line is fetched once.
 */
static bool transpose_4(const walk *w) {
  if (w->rank != 2 || w->size[0] != 4 || w->stride[0][1] != 1 || w->stride[1][0] != 1) return false;
  const int64_t rows = w->shape[0], columns = w->shape[1], to_step = w->stride[0][0], from_step = w->stride[1][1];
  uint32_t *to = (uint32_t *)w->base[0];
  const uint32_t *from = (const uint32_t *)w->base[1];
  MS_PARALLEL(ms_team(rows * columns), tile_row, div_up(rows, TILE), {
    const int64_t r0 = TILE * tile_row, r1 = min_i64(r0 + TILE, rows);
    for (int64_t c0 = 0; c0 < columns; c0 += TILE) {
      const int64_t c1 = min_i64(c0 + TILE, columns);
      for (int64_t r = r0; r < r1; r++)
        for (int64_t c = c0; c < c1; c++) to[r * to_step + c] = from[c * from_step + r];
    }
  });
  return true;
}

static int move(const ms_view *to, const ms_view *from) {
  const walk w = walk_two(to, from);
  if (!transpose_4(&w)) walk_run(&w, move_loop(to->dtype), 1);
  return 0;
}

static int run_copy(ms_call *c) { return move(&c->out[0], &c->in[0]); }
static int run_copy_(ms_call *c) { return move(&c->in[0], &c->in[1]); }
static bool same_dtype(const ms_call *c) { return c->in[0].dtype == c->in[1].dtype; }
MS_KERNEL(contiguous, .run = run_copy);
MS_KERNEL(clone, .run = run_copy);
MS_KERNEL(copy_, .run = run_copy_, .supports = same_dtype);

/* ---- conversion: load to float, double or int64, store from it --------------------------------------------------- */

static inline float load_bf16(uint16_t v) { return ms_bf16_to_f32(v); }
static inline float load_f16(uint16_t v) { return ms_f16_to_f32(v); }

#define CAST(fn, FROM, TO, E)                                                                                                      \
  static void fn(int64_t n, char *const *p, const int64_t *s) {                                                                    \
    TO *o = (TO *)p[0];                                                                                                            \
    const FROM *a = (const FROM *)p[1];                                                                                            \
    if (s[0] == 1 && s[1] == 1)                                                                                                    \
      for (int64_t i = 0; i < n; i++) {                                                                                            \
        const FROM v = a[i];                                                                                                       \
        o[i] = (TO)(E);                                                                                                            \
      }                                                                                                                            \
    else                                                                                                                           \
      for (int64_t i = 0; i < n; i++) {                                                                                            \
        const FROM v = a[i * s[1]];                                                                                                \
        o[i * s[0]] = (TO)(E);                                                                                                     \
      }                                                                                                                            \
  }
/* Floating to integer, the same with every instruction set: towards zero, the nearest end where the dtype does not reach so far,
 * and 0 for NaN. Integers among themselves keep their low bits. */
static inline int64_t whole_i64(double v) { return v != v ? 0 : v >= 0x1p63 ? INT64_MAX : v <= -0x1p63 ? INT64_MIN : (int64_t)v; }
static inline int32_t whole_i32(double v) { return v != v ? 0 : v >= 0x1p31 ? INT32_MAX : v <= -0x1p31 ? INT32_MIN : (int32_t)v; }
static inline uint8_t whole_u8(double v) { return v >= 255 ? 255 : v >= 0 ? (uint8_t)v : 0; }
#define ROUND_OFF(type, v) whole_##type(v)
#define LOW_BITS(type, v)  (v)

#define FROM(name, T, F, D, I)                                                                                                     \
  CAST(name##_f32, T, float, F)                                                                                                    \
  CAST(name##_f64, T, double, D)                                                                                                   \
  CAST(name##_bf16, T, uint16_t, ms_f32_to_bf16((float)(F)))                                                                       \
  CAST(name##_f16, T, uint16_t, ms_f32_to_f16((float)(F)))                                                                         \
  CAST(name##_i64, T, int64_t, I(i64, D))                                                                                          \
  CAST(name##_i32, T, int32_t, I(i32, D))                                                                                          \
  CAST(name##_u8, T, uint8_t, I(u8, D))                                                                                            \
  CAST(name##_bool, T, uint8_t, (D) != 0)                                                                                          \
  static const walk_inner name##_to[MS_DTYPES] = {                                                                                 \
      [MS_F32] = name##_f32, [MS_F64] = name##_f64, [MS_BF16] = name##_bf16, [MS_F16] = name##_f16,                                \
      [MS_I64] = name##_i64, [MS_I32] = name##_i32, [MS_U8] = name##_u8,     [MS_BOOL] = name##_bool};
FROM(f32, float, v, v, ROUND_OFF)
FROM(f64, double, v, v, ROUND_OFF)
FROM(bf16, uint16_t, load_bf16(v), load_bf16(v), ROUND_OFF)
FROM(f16, uint16_t, load_f16(v), load_f16(v), ROUND_OFF)
FROM(i64, int64_t, v, v, LOW_BITS)
FROM(i32, int32_t, v, v, LOW_BITS)
FROM(u8, uint8_t, v, v, LOW_BITS)

walk_inner MS_NAME(ms_cpu_cast_loop)(int from, int to) {
  static const walk_inner *const table[MS_DTYPES] = {[MS_F32] = f32_to, [MS_F64] = f64_to, [MS_BF16] = bf16_to, [MS_F16] = f16_to,
                                                     [MS_I64] = i64_to, [MS_I32] = i32_to, [MS_U8] = u8_to,     [MS_BOOL] = u8_to};
  return from != to ? table[from][to] : move_loop(to);
}

static int run_cast(ms_call *c) {
  if (c->in[0].dtype == c->out[0].dtype) return move(&c->out[0], &c->in[0]);
  const walk w = walk_two(&c->out[0], &c->in[0]);
  walk_run(&w, MS_NAME(ms_cpu_cast_loop)(c->in[0].dtype, c->out[0].dtype), 2);
  return 0;
}
MS_KERNEL(cast, .run = run_cast);

/* ---- fill_: in place; full: new ---------------------------------------------------------------------------------- */

static int fill(const ms_call *c, const ms_view *v, ms_scalar value) {
  uint64_t element = 0; /* aligned for each dtype */
  if (ms_put_number(&element, v->dtype, value) < 0) return ms_error_prefix("%s", c->op->name), -1;
  ms_view one = {.data = &element, .dtype = v->dtype};
  return move(v, &one);
}
static int run_full(ms_call *c) { return fill(c, &c->out[0], c->attr[1].s); }
static int run_fill_(ms_call *c) { return fill(c, &c->in[0], c->attr[0].s); }
MS_KERNEL(full, .run = run_full);
MS_KERNEL(fill_, .run = run_fill_);

/* ---- flip: walk x from its last element backwards along the named dimensions ------------------------------------- */

static int run_flip(ms_call *c) {
  ms_view x = c->in[0];
  const ms_ints *d = &c->attr[0].v;
  int64_t at = 0;
  if (!ms_view_numel(&x)) return 0;
  for (int k = 0; k < d->n; k++) {
    int i = (int)d->at[k];
    at += (x.shape[i] - 1) * x.stride[i];
    x.stride[i] = -x.stride[i];
  }
  x.data = (char *)x.data + at * (int64_t)ms_dtype_size(x.dtype);
  return move(&c->out[0], &x);
}
MS_KERNEL(flip, .run = run_flip);
