/* loss.c -- losses in one pass: the elements of a strip into a buffer, their sum, the next strip. What is added up, and in which
 * order, depends on the shape only. Operands that are not contiguous go the way of the rules' references. */
#include "sum.h"
#include "../math.h"

enum { STRIP = 1024, GROUPS = 64 };

#define EACH(name, T, F)                                                                                                           \
  static void name##_##T(int64_t n, const T *x_, const T *t_, T *o) {                                                              \
    _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) {                                                                         \
      const T x = x_[i], t = t_[i];                                                                                                \
      o[i] = F;                                                                                                                    \
    }                                                                                                                              \
  }

/* log(1 - x), and log(1 + exp(x)): what 1 - x (1 + e) lost by rounding comes back. Its weight, 1 / (1 - x), stays out: it matters
 * by less than half an ulp, because nothing is lost from x = 1/2 on. */
#define LOGS(T)                                                                                                                    \
  static inline T log_less_##T(T x) {                                                                                              \
    T w = 1 - x;                                                                                                                   \
    return m_log(w) + ((1 - w) - x);                                                                                               \
  }                                                                                                                                \
  static inline T softplus_##T(T x) {                                                                                              \
    T e = m_exp(x > 0 ? -x : x), w = 1 + e;                                                                                        \
    return (x > 0 ? x : 0) + (m_log(w) + (e - (w - 1)));                                                                           \
  }                                                                                                                                \
  static inline T bounded_##T(T l) { return l < -100 ? -100 : l; }
LOGS(float)
LOGS(double)

#define EACHES(T)                                                                                                                  \
  EACH(mse, T, (x - t) * (x - t))                                                                                                  \
  EACH(bce, T, -(t * bounded_##T(m_log(x)) + (1 - t) * bounded_##T(log_less_##T(x))))                                              \
  EACH(bce_logits, T, softplus_##T(x) - t * x)
EACHES(float)
EACHES(double)

/* bce is of probabilities: x and t from 0 to 1 (NaN is not). -1 after ms_fail that names the first element that is none. A pass of
 * its own over what the loss has just read: two compares beside two logarithms. */
#define PROBABLE(T)                                                                                                                \
  static bool probable_##T(int64_t n, const T *x, const T *t) {                                                                    \
    int out = 0;                                                                                                                   \
    for (int64_t i = 0; i < n; i++) out |= !(x[i] >= 0) | !(x[i] <= 1) | !(t[i] >= 0) | !(t[i] <= 1);                              \
    return !out;                                                                                                                   \
  }                                                                                                                                \
  static int improbable_##T(const char *op, int64_t n, const T *x, const T *t) {                                                   \
    for (int64_t i = 0; i < n; i++)                                                                                                \
      for (int k = 0; k < 2; k++) {                                                                                                \
        double v = (double)(k ? t[i] : x[i]);                                                                                      \
        if (!(v >= 0 && v <= 1))                                                                                                   \
          return ms_fail("%s: element %lld of %s is %g, expected 0..1", op, (long long)i + 1, k ? "target" : "x", v), -1;          \
      }                                                                                                                            \
    return 0;                                                                                                                      \
  }
PROBABLE(float)
PROBABLE(double)

#define TOTAL(T)                                                                                                                   \
  static double total_##T(void (*each)(int64_t, const T *, const T *, T *), bool (*fine)(int64_t, const T *, const T *),           \
                          const T *x, const T *t, int64_t n, int cost, bool *good) {                                               \
    double part[GROUPS] = {0}, sum = 0;                                                                                            \
    bool bad[GROUPS] = {false};                                                                                                    \
    int64_t chunks = (n + MS_CHUNK - 1) / MS_CHUNK;                                                                                \
    int groups = chunks < 8 ? 1 : GROUPS;                                                                                          \
    MS_PARALLEL(ms_team(n *cost), g, groups, {                                                                                     \
      T buffer[STRIP];                                                                                                             \
      int64_t from = chunks * g / groups * MS_CHUNK, to = chunks * (g + 1) / groups * MS_CHUNK;                                    \
      if (to > n) to = n;                                                                                                          \
      for (; from < to; from += STRIP) {                                                                                           \
        int64_t m = to - from < STRIP ? to - from : STRIP;                                                                         \
        each(m, x + from, t + from, buffer);                                                                                       \
        part[g] += sum_piece_##T(buffer, m);                                                                                       \
        if (fine && !fine(m, x + from, t + from)) bad[g] = true;                                                                   \
      }                                                                                                                            \
    });                                                                                                                            \
    for (int g = 0; g < groups; g++) sum += part[g], *good &= !bad[g];                                                             \
    return sum;                                                                                                                    \
  }                                                                                                                                \
  static int loss_##T(ms_call *c, void (*each)(int64_t, const T *, const T *, T *), bool (*fine)(int64_t, const T *, const T *),   \
                      int cost) {                                                                                                  \
    const T *x = c->in[0].data, *t = c->in[1].data;                                                                                \
    T *o = c->out[0].data;                                                                                                         \
    int64_t n = ms_view_numel(&c->in[0]);                                                                                          \
    bool good = true;                                                                                                              \
    if (c->attr[0].i != 2) {                                                                                                       \
      double sum = total_##T(each, fine, x, t, n, cost, &good);                                                                    \
      *o = (T)(c->attr[0].i == 0 ? sum / (double)n : sum);                                                                         \
      return good ? 0 : improbable_##T(c->op->name, n, x, t);                                                                      \
    }                                                                                                                              \
    if (fine && !fine(n, x, t)) return improbable_##T(c->op->name, n, x, t);                                                       \
    MS_PARALLEL(ms_team(n *cost), k, (n + MS_CHUNK - 1) / MS_CHUNK, {                                                              \
      int64_t i = k * MS_CHUNK;                                                                                                    \
      each(n - i < MS_CHUNK ? n - i : MS_CHUNK, x + i, t + i, o + i);                                                              \
    });                                                                                                                            \
    return 0;                                                                                                                      \
  }
TOTAL(float)
TOTAL(double)

static bool contiguous(const ms_call *c) {
  for (int i = 0; i < c->n_in; i++)
    if (!ms_view_contiguous(&c->in[i])) return false;
  return f32_or_f64(c);
}

#define LOSS(row, name, fine_float, fine_double, cost)                                                                             \
  static int run_##name(ms_call *c) {                                                                                              \
    return c->in[0].dtype == MS_F32 ? loss_float(c, name##_float, fine_float, cost)                                                \
                                    : loss_double(c, name##_double, fine_double, cost);                                            \
  }                                                                                                                                \
  MS_KERNEL(row, .supports = contiguous, .run = run_##name);
LOSS(mse_loss, mse, NULL, NULL, 1)
LOSS(bce_loss, bce, probable_float, probable_double, 16)
LOSS(bce_with_logits, bce_logits, NULL, NULL, 16)

/* ---- cross entropy: N x classes, and a label per row -------------------------------------------------------------
 * BLOCK rows at a time. Where classes are few, a
 * block is turned round, so that a vector holds the same class of all its rows; else its rows follow one another, each in LANES
 * partial sums. The largest element is subtracted before exp. */

static inline int64_t label(const ms_view *v, int64_t row) {
  int64_t at = row * v->stride[0];
  int64_t i = v->dtype == MS_I64   ? ((const int64_t *)v->data)[at]
              : v->dtype == MS_I32 ? ((const int32_t *)v->data)[at]
                                   : ((const uint8_t *)v->data)[at];
  return i - MS_INDEX_BASE;
}

enum { LANES = 16, BLOCK = 16, FEW = 32 };

#define BLOCKS(T)                                                                                                                  \
  /* m <= BLOCK rows of n elements: their largest elements, logarithms of the sums of exp(x - largest), and, where r is not NULL,  \
   * r = softmax(x) scale, one for each row. */                                                                                    \
  static void few_##T(const T *x, int64_t m, int64_t n, T *most, T *log_sum, T *r, const T *scale) {                               \
    T e[FEW][BLOCK], sum[BLOCK] = {0};                                                                                             \
    for (int k = 0; k < BLOCK; k++) most[k] = (T)-INFINITY;                                                                        \
    for (int64_t j = 0; j < n; j++) {                                                                                              \
      for (int k = 0; k < BLOCK; k++) e[j][k] = x[(k < m ? k : 0) * n + j];                                                        \
      for (int k = 0; k < BLOCK; k++) most[k] = e[j][k] > most[k] || e[j][k] != e[j][k] ? e[j][k] : most[k];                       \
    }                                                                                                                              \
    for (int64_t j = 0; j < n; j++)                                                                                                \
      for (int k = 0; k < BLOCK; k++) {                                                                                            \
        e[j][k] = m_exp(e[j][k] - most[k]);                                                                                        \
        sum[k] += e[j][k];                                                                                                         \
      }                                                                                                                            \
    for (int k = 0; k < BLOCK; k++) log_sum[k] = m_log(sum[k]);                                                                    \
    if (!r) return;                                                                                                                \
    for (int k = 0; k < BLOCK; k++) sum[k] = scale[k] / sum[k];                                                                    \
    for (int64_t j = 0; j < n; j++)                                                                                                \
      for (int k = 0; k < BLOCK; k++) e[j][k] *= sum[k];                                                                           \
    for (int k = 0; k < m; k++)                                                                                                    \
      for (int64_t j = 0; j < n; j++) r[k * n + j] = e[j][k];                                                                      \
  }                                                                                                                                \
  static void many_##T(const T *x, int64_t m, int64_t n, T *most, T *log_sum, T *r, const T *scale) {                              \
    int64_t body = n / LANES * LANES;                                                                                              \
    for (int64_t row = 0; row < m; row++, x += n) {                                                                                \
      T top[LANES], sum[LANES] = {0};                                                                                              \
      double total = 0;                                                                                                            \
      for (int k = 0; k < LANES; k++) top[k] = x[k];                                                                               \
      for (int64_t i = LANES; i < body; i += LANES)                                                                                \
        for (int k = 0; k < LANES; k++) top[k] = x[i + k] > top[k] ? x[i + k] : top[k];                                            \
      for (int64_t i = body; i < n; i++) top[i - body] = x[i] > top[i - body] ? x[i] : top[i - body];                              \
      for (int w = LANES / 2; w; w /= 2)                                                                                           \
        for (int k = 0; k < w; k++) top[k] = top[k + w] > top[k] ? top[k + w] : top[k];                                            \
      const T high = top[0];                                                                                                       \
      for (int64_t from = 0; from < body; from += MS_CHUNK) { /* a partial sum has at most MS_CHUNK / LANES terms */               \
        int64_t to = from + MS_CHUNK < body ? from + MS_CHUNK : body;                                                              \
        for (int64_t i = from; i < to; i += LANES)                                                                                 \
          for (int k = 0; k < LANES; k++) {                                                                                        \
            T e = m_exp(x[i + k] - high);                                                                                          \
            sum[k] += e;                                                                                                           \
            if (r) r[row * n + i + k] = e;                                                                                         \
          }                                                                                                                        \
        for (int k = 0; k < LANES; k++) total += (double)sum[k], sum[k] = 0;                                                       \
      }                                                                                                                            \
      for (int64_t i = body; i < n; i++) {                                                                                         \
        T e = m_exp(x[i] - high);                                                                                                  \
        total += (double)e;                                                                                                        \
        if (r) r[row * n + i] = e;                                                                                                 \
      }                                                                                                                            \
      most[row] = high, log_sum[row] = (T)log(total);                                                                              \
      if (!r) continue;                                                                                                            \
      const T s = (T)((double)scale[row] / total);                                                                                 \
      for (int64_t i = 0; i < n; i++) r[row * n + i] *= s;                                                                         \
    }                                                                                                                              \
  }                                                                                                                                \
  static inline void block_##T(const T *x, int64_t m, int64_t n, T *most, T *log_sum, T *r, const T *scale) {                      \
    if (n <= FEW) few_##T(x, m, n, most, log_sum, r, scale);                                                                       \
    else if (r) many_##T(x, m, n, most, log_sum, r, scale);                                                                        \
    else many_##T(x, m, n, most, log_sum, NULL, NULL);                                                                             \
  }
BLOCKS(float)
BLOCKS(double)

static bool rows_contiguous(const ms_call *c) { return f32_or_f64(c) && ms_view_contiguous(&c->in[0]); }

#define CROSS_ENTROPY(T)                                                                                                           \
  {                                                                                                                                \
    T *o = c->out[0].data;                                                                                                         \
    MS_PARALLEL(ms_team(rows *n * 8), g, groups, {                                                                                 \
      for (int64_t b = blocks * g / groups; b < blocks * (g + 1) / groups; b++) {                                                  \
        int64_t m = rows - b * BLOCK < BLOCK ? rows - b * BLOCK : BLOCK;                                                           \
        const T *x = (const T *)c->in[0].data + b * BLOCK * n;                                                                     \
        T most[BLOCK], log_sum[BLOCK];                                                                                             \
        block_##T(x, m, n, most, log_sum, NULL, NULL);                                                                             \
        for (int64_t k = 0; k < m; k++) {                                                                                          \
          T loss = log_sum[k] + (most[k] - x[k * n + label(&c->in[1], b * BLOCK + k)]);                                            \
          part[g] += (double)loss;                                                                                                 \
          if (each) o[b * BLOCK + k] = loss;                                                                                       \
        }                                                                                                                          \
      }                                                                                                                            \
    });                                                                                                                            \
    for (int g = 0; g < groups; g++) sum += part[g];                                                                               \
    if (!each) *o = (T)(c->attr[0].i == 0 ? sum / (double)rows : sum);                                                             \
  }

static int run_cross_entropy(ms_call *c) {
  int64_t rows = c->in[0].shape[0], n = c->in[0].shape[1], blocks = (rows + BLOCK - 1) / BLOCK;
  int groups = blocks < GROUPS ? 1 : GROUPS;
  bool each = c->attr[0].i == 2;
  double part[GROUPS] = {0}, sum = 0;
  if (c->in[0].dtype == MS_F32) CROSS_ENTROPY(float)
  else CROSS_ENTROPY(double)
  return 0;
}
MS_KERNEL(cross_entropy, .supports = rows_contiguous, .run = run_cross_entropy);

#define CROSS_ENTROPY_GRAD(T)                                                                                                      \
  MS_PARALLEL(ms_team(rows *n * 8), b, (rows + BLOCK - 1) / BLOCK, {                                                               \
    int64_t m = rows - b * BLOCK < BLOCK ? rows - b * BLOCK : BLOCK;                                                               \
    const T *g = (const T *)c->in[0].data + b * BLOCK * step;                                                                      \
    T most[BLOCK], log_sum[BLOCK], scale[BLOCK], *r = (T *)c->out[0].data + b * BLOCK * n;                                         \
    for (int64_t k = 0; k < BLOCK; k++) scale[k] = g[(k < m ? k : 0) * step];                                                      \
    block_##T((const T *)c->in[1].data + b * BLOCK * n, m, n, most, log_sum, r, scale);                                            \
    for (int64_t k = 0; k < m; k++) r[k * n + label(&c->in[2], b * BLOCK + k)] -= scale[k];                                        \
  });

static bool supports_grad(const ms_call *c) { return f32_or_f64(c) && ms_view_contiguous(&c->in[1]); }

static int run_cross_entropy_grad(ms_call *c) {
  int64_t rows = c->in[1].shape[0], n = c->in[1].shape[1], step = c->in[0].stride[0];
  if (!n) return 0;
  if (c->out[0].dtype == MS_F32) CROSS_ENTROPY_GRAD(float)
  else CROSS_ENTROPY_GRAD(double)
  return 0;
}
MS_KERNEL(cross_entropy_grad, .supports = supports_grad, .run = run_cross_entropy_grad);

static int run_nll(ms_call *c) {
  const ms_view *x = &c->in[0];
  int64_t rows = x->shape[0];
  double sum = 0;
  MS_SWITCH_FLOAT(x->dtype, "nll_loss", {
    T *o = c->out[0].data;
    for (int64_t i = 0; i < rows; i++) {
      T loss = -((const T *)x->data)[i * x->stride[0] + label(&c->in[1], i) * x->stride[1]];
      sum += (double)loss;
      if (c->attr[0].i == 2) o[i] = loss;
    }
    if (c->attr[0].i != 2) *o = (T)(c->attr[0].i == 0 ? sum / (double)rows : sum);
  })
  return 0;
}
MS_KERNEL(nll_loss, .supports = f32_or_f64, .run = run_nll);
