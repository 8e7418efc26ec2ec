/* softmax.c -- softmax and log_softmax. x is brought to row-major order first where it is not. Along the last dimension a row at a
 * time, in LANES partial sums that become one vector; along others a block of neighbours at a time. Both add in an order that
 * depends on the shape only. The largest element is subtracted before exp, so nothing overflows. */
#include "move.h"
#include "../math.h"

enum { LANES = 16, NEIGHBOURS = 256 };

#define SOFTMAX(T)                                                                                                                 \
  static void row_##T(const T *restrict x, T *restrict r, int64_t n, bool logarithm) {                                             \
    T top[LANES], sum[LANES], most = (T)-INFINITY;                                                                                 \
    double total = 0;                                                                                                              \
    int64_t body = n / LANES * LANES;                                                                                              \
    for (int k = 0; k < LANES; k++) top[k] = (T)-INFINITY, sum[k] = 0;                                                             \
    for (int64_t i = 0; i < body; i += LANES)                                                                                      \
      for (int k = 0; k < LANES; k++) top[k] = x[i + k] > top[k] ? x[i + k] : top[k];                                              \
    for (int64_t i = body; i < n; i++) top[i - body] = x[i] > top[i - body] ? x[i] : top[i - body];                                \
    for (int k = 0; k < LANES; k++) most = top[k] > most ? top[k] : most;                                                          \
    for (int64_t from = 0; from < body; from += MS_CHUNK) { /* a partial sum has at most MS_CHUNK / LANES terms */                 \
      int64_t to = from + MS_CHUNK < body ? from + MS_CHUNK : body;                                                                \
      for (int64_t i = from; i < to; i += LANES)                                                                                   \
        for (int k = 0; k < LANES; k++) {                                                                                          \
          T e = m_exp(x[i + k] - most);                                                                                            \
          sum[k] += e;                                                                                                             \
          r[i + k] = e;                                                                                                            \
        }                                                                                                                          \
      for (int k = 0; k < LANES; k++) total += (double)sum[k], sum[k] = 0;                                                         \
    }                                                                                                                              \
    for (int64_t i = body; i < n; i++) {                                                                                           \
      T e = m_exp(x[i] - most);                                                                                                    \
      total += (double)e;                                                                                                          \
      r[i] = e;                                                                                                                    \
    }                                                                                                                              \
    if (logarithm) {                                                                                                               \
      T shift = (T)log(total);                                                                                                     \
      for (int64_t i = 0; i < n; i++) r[i] = (x[i] - most) - shift;                                                                \
    } else {                                                                                                                       \
      T scale = (T)(1 / total);                                                                                                    \
      for (int64_t i = 0; i < n; i++) r[i] *= scale;                                                                               \
    }                                                                                                                              \
  }                                                                                                                                \
  /* m <= NEIGHBOURS columns of n elements, `step` apart. */                                                                       \
  static void columns_##T(const T *restrict x, T *restrict r, int64_t n, int64_t step, int64_t m, bool logarithm) {                \
    T most[NEIGHBOURS], sum[NEIGHBOURS];                                                                                           \
    for (int64_t k = 0; k < m; k++) most[k] = (T)-INFINITY, sum[k] = 0;                                                            \
    for (int64_t i = 0; i < n; i++)                                                                                                \
      for (int64_t k = 0; k < m; k++) most[k] = x[i * step + k] > most[k] ? x[i * step + k] : most[k];                             \
    for (int64_t i = 0; i < n; i++) {                                                                                              \
      const T *restrict a = x + i * step;                                                                                          \
      T *restrict b = r + i * step;                                                                                                \
      for (int64_t k = 0; k < m; k++) {                                                                                            \
        T e = m_exp(a[k] - most[k]);                                                                                               \
        sum[k] += e;                                                                                                               \
        b[k] = e;                                                                                                                  \
      }                                                                                                                            \
    }                                                                                                                              \
    if (logarithm)                                                                                                                 \
      for (int64_t k = 0; k < m; k++) sum[k] = m_log(sum[k]);                                                                      \
    else                                                                                                                           \
      for (int64_t k = 0; k < m; k++) sum[k] = 1 / sum[k];                                                                         \
    for (int64_t i = 0; i < n; i++) {                                                                                              \
      const T *restrict a = x + i * step;                                                                                          \
      T *restrict b = r + i * step;                                                                                                \
      if (logarithm)                                                                                                               \
        for (int64_t k = 0; k < m; k++) b[k] = (a[k] - most[k]) - sum[k];                                                          \
      else                                                                                                                         \
        for (int64_t k = 0; k < m; k++) b[k] *= sum[k];                                                                            \
    }                                                                                                                              \
  }
SOFTMAX(float)
SOFTMAX(double)

static int prepare(ms_call *c) {
  const ms_view *x = &c->in[0];
  if (!ms_view_contiguous(x)) c->work_bytes = (size_t)ms_view_numel(x) * ms_dtype_size(x->dtype);
  return 0;
}

static int run(ms_call *c, bool logarithm) {
  const ms_view *r = &c->out[0];
  int d = (int)c->attr[0].i;
  int64_t n = r->shape[d], inner = 1, total = ms_view_numel(r);
  const void *x = c->in[0].data;
  if (!total) return 0;
  if (c->work) {
    ms_view copy = *r;
    copy.data = c->work;
    move_view(&copy, &c->in[0]);
    x = c->work;
  }
  for (int i = d + 1; i < r->rank; i++) inner *= r->shape[i];
  bool f32 = r->dtype == MS_F32;
  int team = ms_team(total * 8);
  if (inner == 1) {
    MS_PARALLEL(team, o, total / n, {
      if (f32) row_float((const float *)x + o * n, (float *)r->data + o * n, n, logarithm);
      else row_double((const double *)x + o * n, (double *)r->data + o * n, n, logarithm);
    });
    return 0;
  }
  int64_t blocks = (inner + NEIGHBOURS - 1) / NEIGHBOURS, outer = total / (n * inner);
  MS_PARALLEL(team, k, outer * blocks, {
    int64_t o = k / blocks, from = (k - o * blocks) * NEIGHBOURS, m = inner - from < NEIGHBOURS ? inner - from : NEIGHBOURS;
    int64_t at = o * n * inner + from;
    if (f32) columns_float((const float *)x + at, (float *)r->data + at, n, inner, m, logarithm);
    else columns_double((const double *)x + at, (double *)r->data + at, n, inner, m, logarithm);
  });
  return 0;
}

static int softmax_run(ms_call *c) { return run(c, false); }
static int log_softmax_run(ms_call *c) { return run(c, true); }
MS_KERNEL(softmax, .prepare = prepare, .run = softmax_run, .supports = f32_or_f64);
MS_KERNEL(log_softmax, .prepare = prepare, .run = log_softmax_run, .supports = f32_or_f64);
