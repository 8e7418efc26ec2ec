/* reduce.c -- sums, extremes and their positions.
 *
 * A reduction is brought to the form  result[i] = over r of x[i, r]: kept dimensions outside, reduced ones inside. Three loops
 * follow from the strides: rows (the last reduced dimension is contiguous), columns (the last kept dimension is contiguous: many
 * results side by side), and the general one. A row is cut into MS_CHUNK elements whose partial sums are added in order, so threads
 * do not change the bits. */
#include "loops.h"
#include "sum.h"
#include "../math.h"

typedef struct plan {
  int nk, nr;                                                   /* kept and reduced dimensions */
  int64_t k_shape[MS_MAX_RANK], k_stride[MS_MAX_RANK], kept;    /* results */
  int64_t r_shape[MS_MAX_RANK], r_stride[MS_MAX_RANK], reduced; /* terms of each */
} plan;

static void put(int *n, int64_t *shape, int64_t *stride, int64_t size, int64_t step) {
  if (size == 1) return;
  if (*n && stride[*n - 1] == step * size) /* continues the dimension before it */
    shape[*n - 1] *= size, stride[*n - 1] = step;
  else shape[*n] = size, stride[(*n)++] = step;
}

static plan make_plan(const ms_view *x, const ms_ints *dims) {
  plan p = {.kept = 1, .reduced = 1};
  for (int i = 0, k = 0; i < x->rank; i++)
    if (k < dims->n && dims->at[k] == i) {
      k++, p.reduced *= x->shape[i];
      put(&p.nr, p.r_shape, p.r_stride, x->shape[i], x->stride[i]);
    } else {
      p.kept *= x->shape[i];
      put(&p.nk, p.k_shape, p.k_stride, x->shape[i], x->stride[i]);
    }
  return p;
}

static inline int64_t at(int n, const int64_t *shape, const int64_t *stride, int64_t linear) {
  int64_t o = 0;
  for (int i = n - 1; i >= 0; i--) {
    int64_t q = linear / shape[i];
    o += (linear - q * shape[i]) * stride[i];
    linear = q;
  }
  return o;
}

#define KEPT(i)    at(p->nk, p->k_shape, p->k_stride, i)
#define REDUCED(i) at(p->nr, p->r_shape, p->r_stride, i)

/* Sum of n values at a constant stride in pieces of MS_CHUNK; A accumulates (f64 for f64, else f32 in 16 lanes per piece, pieces in
 * f64). */
static double sum_run_f32(const float *x, int64_t n, int64_t stride) {
  double total = 0;
  for (int64_t c = 0; c < n; c += MS_CHUNK) {
    int64_t m = n - c < MS_CHUNK ? n - c : MS_CHUNK, i = 0;
    float lane[32] = {0}, s = 0;
    const float *a = x + c * stride;
    if (stride == 1)
      for (; i + 32 <= m; i += 32)
        for (int l = 0; l < 32; l++) lane[l] += a[i + l];
    for (; i < m; i++) s += a[i * stride];
    for (int w = 16; w; w /= 2)
      for (int l = 0; l < w; l++) lane[l] += lane[l + w];
    total += (double)(lane[0] + s);
  }
  return total;
}
static double sum_run_f64(const double *x, int64_t n, int64_t stride) {
  double total = 0;
  for (int64_t c = 0; c < n; c += MS_CHUNK) {
    int64_t m = n - c < MS_CHUNK ? n - c : MS_CHUNK, i = 0;
    double lane[16] = {0}, s = 0;
    const double *a = x + c * stride;
    if (stride == 1)
      for (; i + 16 <= m; i += 16)
        for (int l = 0; l < 16; l++) lane[l] += a[i + l];
    for (; i < m; i++) s += a[i * stride];
    for (int w = 8; w; w /= 2)
      for (int l = 0; l < w; l++) lane[l] += lane[l + w];
    total += lane[0] + s;
  }
  return total;
}

/* One result: all terms of kept position k. Short runs (a channel of N x C x H x W) add up several to a piece. */
#define SUM_ONE(T, f)                                                                                                              \
  static double sum_one_##f(const plan *p, const T *x) {                                                                           \
    if (!p->nr) return p->reduced ? (double)*x : 0;                                                                                \
    int64_t n = p->r_shape[p->nr - 1], step = p->r_stride[p->nr - 1], rows = n ? p->reduced / n : 0;                               \
    double total = 0;                                                                                                              \
    if (p->nr == 2 && step == 1 && n && n <= MS_CHUNK) {                                                                           \
      int64_t runs = MS_CHUNK / n, far = p->r_stride[0];                                                                           \
      for (int64_t r = 0; r < rows; r += runs)                                                                                     \
        total += sums_##T(SUM_VALUES, x + r * far, x, 0, rows - r < runs ? rows - r : runs, far, n, NULL);                         \
      return total;                                                                                                                \
    }                                                                                                                              \
    for (int64_t r = 0; r < rows; r++) total += sum_run_##f(x + at(p->nr - 1, p->r_shape, p->r_stride, r), n, step);               \
    return total;                                                                                                                  \
  }
SUM_ONE(float, f32)
SUM_ONE(double, f64)

/* A single result of many terms is cut over threads at places that depend on the shape only. */
#define SUM_ALL(T, f)                                                                                                              \
  static double sum_all_##f(const plan *p, const T *x) {                                                                           \
    enum { PIECES = 64 };                                                                                                          \
    double part[PIECES] = {0}, total = 0;                                                                                          \
    if (p->nr != 1 || p->reduced < 8 * MS_CHUNK) return sum_one_##f(p, x);                                                         \
    int64_t chunks = (p->reduced + MS_CHUNK - 1) / MS_CHUNK;                                                                       \
    MS_PARALLEL(ms_team(p->reduced), i, PIECES, {                                                                                  \
      int64_t a = chunks * i / PIECES * MS_CHUNK, b = chunks * (i + 1) / PIECES * MS_CHUNK;                                        \
      if (b > p->reduced) b = p->reduced;                                                                                          \
      if (a < b) part[i] = sum_run_##f(x + a * p->r_stride[0], b - a, p->r_stride[0]);                                             \
    });                                                                                                                            \
    for (int i = 0; i < PIECES; i++) total += part[i];                                                                             \
    return total;                                                                                                                  \
  }
SUM_ALL(float, f32)
SUM_ALL(double, f64)

/* For chains that end in a sum over everything (strips.c): SUM_ALL's bits, chunk by chunk. */
double MS_NAME(ms_cpu_sum_chunk)(const void *x, bool f32, int64_t n) { return f32 ? sum_run_f32(x, n, 1) : sum_run_f64(x, n, 1); }

double MS_NAME(ms_cpu_sum_chunks)(const double *chunk, int64_t numel) {
  int64_t chunks = (numel + MS_CHUNK - 1) / MS_CHUNK, groups = numel < 8 * MS_CHUNK ? 1 : 64;
  double total = 0;
  for (int64_t i = 0; i < groups; i++) {
    double part = 0;
    for (int64_t c = chunks * i / groups; c < chunks * (i + 1) / groups; c++) part += chunk[c];
    total += part;
  }
  return total;
}

enum { COLUMNS = 512, ROWS = 256 };
static bool columns(const plan *p) {
  return p->nk && p->k_stride[p->nk - 1] == 1 && p->k_shape[p->nk - 1] >= 8 && !(p->nr && p->r_stride[p->nr - 1] == 1);
}

/* Columns: blocks of side-by-side results. ROWS rows at a time add up in the tensor's own dtype, top to bottom, and those sums in
 * double, which keeps long f32 sums exact enough. Where blocks are few and rows many, `partial` (workspace) takes the sums of each
 * ROWS rows. */
#define SUM(T, f)                                                                                                                  \
  static void add_rows_##f(const plan *p, const T *a, int64_t from, int64_t stop, int64_t m, T *restrict acc) {                    \
    int64_t q = from, step = p->nr ? p->r_stride[0] : 0;                                                                           \
    for (int64_t i = 0; i < m; i++) acc[i] = 0;                                                                                    \
    if (p->nr <= 1)                                                                                                                \
      for (; q + 4 <= stop; q += 4) {                                                                                              \
        const T *r0 = a + q * step, *r1 = r0 + step, *r2 = r1 + step, *r3 = r2 + step;                                             \
        for (int64_t i = 0; i < m; i++) acc[i] = (((acc[i] + r0[i]) + r1[i]) + r2[i]) + r3[i];                                     \
      }                                                                                                                            \
    for (; q < stop; q++) {                                                                                                        \
      const T *row = a + (p->nr <= 1 ? q * step : REDUCED(q));                                                                     \
      for (int64_t i = 0; i < m; i++) acc[i] += row[i];                                                                            \
    }                                                                                                                              \
  }                                                                                                                                \
  static void sum_##f(const plan *p, const T *x, T *o, double scale, T *partial) {                                                 \
    int64_t groups = (p->reduced + ROWS - 1) / ROWS;                                                                               \
    if (partial) {                                                                                                                 \
      int64_t n = p->kept;                                                                                                         \
      MS_PARALLEL(ms_team(p->kept * p->reduced), g, groups, {                                                                      \
        add_rows_##f(p, x, g *ROWS, g *ROWS + ROWS < p->reduced ? g * ROWS + ROWS : p->reduced, n, partial + g * n);               \
      });                                                                                                                          \
      for (int64_t i = 0; i < n; i++) {                                                                                            \
        double wide = 0;                                                                                                           \
        for (int64_t g = 0; g < groups; g++) wide += (double)partial[g * n + i];                                                   \
        o[i] = (T)(wide * scale);                                                                                                  \
      }                                                                                                                            \
    } else if (columns(p)) {                                                                                                       \
      int64_t n = p->k_shape[p->nk - 1], blocks = (n + COLUMNS - 1) / COLUMNS, outer = p->kept / n;                                \
      MS_PARALLEL(ms_team(p->kept * p->reduced), u, outer *blocks, {                                                               \
        int64_t k = u / blocks, from = u % blocks * COLUMNS, m = n - from < COLUMNS ? n - from : COLUMNS;                          \
        const T *a = x + at(p->nk - 1, p->k_shape, p->k_stride, k) + from;                                                         \
        T acc[COLUMNS];                                                                                                            \
        double wide[COLUMNS];                                                                                                      \
        for (int64_t i = 0; i < m; i++) wide[i] = 0;                                                                               \
        for (int64_t r = 0; r < p->reduced; r += ROWS) {                                                                           \
          add_rows_##f(p, a, r, r + ROWS < p->reduced ? r + ROWS : p->reduced, m, acc);                                            \
          for (int64_t i = 0; i < m; i++) wide[i] += (double)acc[i];                                                               \
        }                                                                                                                          \
        T *to = o + k * n + from;                                                                                                  \
        for (int64_t i = 0; i < m; i++) to[i] = (T)(wide[i] * scale);                                                              \
      });                                                                                                                          \
    } else if (p->kept == 1) {                                                                                                     \
      *o = (T)(sum_all_##f(p, x) * scale);                                                                                         \
    } else {                                                                                                                       \
      MS_PARALLEL(ms_team(p->kept * p->reduced), k, p->kept, { o[k] = (T)(sum_one_##f(p, x + KEPT(k)) * scale); });                \
    }                                                                                                                              \
  }
SUM(float, f32)
SUM(double, f64)

/* Workspace: where threads would have nothing to share, a sum per ROWS rows of a few columns. */
static int prepare_sum(ms_call *c) {
  uint8_t d = c->in[0].dtype;
  if (d != MS_F32 && d != MS_F64) return 0;
  plan pl = make_plan(&c->in[0], &c->attr[0].v), *p = &pl;
  if (columns(p) && p->nk == 1 && p->kept <= 4 * COLUMNS && p->reduced >= 4 * ROWS && p->kept * p->reduced >= 4 * MS_GRAIN)
    c->work_bytes = (size_t)((p->reduced + ROWS - 1) / ROWS * p->kept) * ms_dtype_size(d);
  return 0;
}

static int run_sum_scaled(ms_call *c, bool mean) {
  plan pl = make_plan(&c->in[0], &c->attr[0].v), *p = &pl;
  if (!p->kept) return 0;
  double scale = mean ? 1 / (double)p->reduced : 1;
  if (c->in[0].dtype == MS_F32) sum_f32(p, c->in[0].data, c->out[0].data, scale, c->work);
  else if (c->in[0].dtype == MS_F64) sum_f64(p, c->in[0].data, c->out[0].data, scale, c->work);
  else
    MS_SWITCH(c->in[0].dtype, "sum", {
      const T *x = c->in[0].data;
      int64_t *o = c->out[0].data;
      for (int64_t k = 0; k < p->kept; k++) {
        uint64_t s = 0; /* it wraps, as sums of two do */
        const T *a = x + KEPT(k);
        for (int64_t r = 0; r < p->reduced; r++) s += (uint64_t)a[REDUCED(r)];
        o[k] = (int64_t)s;
      }
    })
  return 0;
}
static int run_sum(ms_call *c) { return run_sum_scaled(c, false); }
static int run_mean(ms_call *c) { return run_sum_scaled(c, true); }
static bool not_half(const ms_call *c) { return c->in[0].dtype != MS_F16 && c->in[0].dtype != MS_BF16; }
MS_KERNEL(sum, .prepare = prepare_sum, .run = run_sum, .supports = not_half);
MS_KERNEL(mean, .prepare = prepare_sum, .run = run_mean, .supports = f32_or_f64);

/* ---- extremes: NaN wins, as in PyTorch; of equal values the first ----
 * A row goes through EXTREMES lanes, then the position is looked for; columns keep a row of the best so far. */

enum { EXTREMES = 32 };
#define BETTER(v, OP, best) ((v)OP(best) || (v) != (v))
#define ROW_EXTREME(OP)                                                                                                            \
  T lane[EXTREMES], best = a[0];                                                                                                   \
  int64_t r = 0;                                                                                                                   \
  if (n >= EXTREMES) {                                                                                                             \
    for (int l = 0; l < EXTREMES; l++) lane[l] = a[l];                                                                             \
    for (r = EXTREMES; r + EXTREMES <= n; r += EXTREMES)                                                                           \
      for (int l = 0; l < EXTREMES; l++) lane[l] = BETTER(a[r + l], OP, lane[l]) ? a[r + l] : lane[l];                             \
    for (int l = 0; l < EXTREMES; l++) best = BETTER(lane[l], OP, best) ? lane[l] : best;                                          \
  }                                                                                                                                \
  for (; r < n; r++) best = BETTER(a[r], OP, best) ? a[r] : best;

#define EXTREME(OP)                                                                                                                \
  plan pl = make_plan(&c->in[0], &c->attr[0].v), *p = &pl;                                                                         \
  MS_SWITCH(c->in[0].dtype, c->op->name, {                                                                                         \
    const T *x = c->in[0].data;                                                                                                    \
    T *o = c->out[0].data;                                                                                                         \
    int64_t n = p->reduced;                                                                                                        \
    if (columns(p)) {                                                                                                              \
      int64_t k = p->k_shape[p->nk - 1];                                                                                           \
      MS_PARALLEL(ms_team(p->kept *n), u, p->kept / k, {                                                                           \
        const T *a = x + at(p->nk - 1, p->k_shape, p->k_stride, u);                                                                \
        T *best = o + u * k;                                                                                                       \
        for (int64_t i = 0; i < k; i++) best[i] = a[i];                                                                            \
        for (int64_t r = 1; r < n; r++) {                                                                                          \
          const T *row = a + REDUCED(r);                                                                                           \
          _Pragma("GCC ivdep") for (int64_t i = 0; i < k; i++) best[i] = BETTER(row[i], OP, best[i]) ? row[i] : best[i];           \
        }                                                                                                                          \
      });                                                                                                                          \
    } else if (p->nr == 1 && p->r_stride[0] == 1) {                                                                                \
      MS_PARALLEL(ms_team(p->kept *n), k, p->kept, {                                                                               \
        const T *a = x + KEPT(k);                                                                                                  \
        ROW_EXTREME(OP)                                                                                                            \
        o[k] = best;                                                                                                               \
      });                                                                                                                          \
    } else {                                                                                                                       \
      MS_PARALLEL(ms_team(p->kept *n), k, p->kept, {                                                                               \
        const T *a = x + KEPT(k);                                                                                                  \
        T best = a[0];                                                                                                             \
        for (int64_t r = 1; r < n; r++) {                                                                                          \
          T v = a[REDUCED(r)];                                                                                                     \
          if (BETTER(v, OP, best)) best = v;                                                                                       \
        }                                                                                                                          \
        o[k] = best;                                                                                                               \
      });                                                                                                                          \
    }                                                                                                                              \
  })                                                                                                                               \
  return 0
static int run_amax(ms_call *c) { EXTREME(>); }
static int run_amin(ms_call *c) { EXTREME(<); }
MS_KERNEL(amax, .run = run_amax, .supports = not_half);
MS_KERNEL(amin, .run = run_amin, .supports = not_half);

#define POSITION(OP)                                                                                                               \
  ms_ints d = {.n = 1, .at = {c->attr[0].i}};                                                                                      \
  plan pl = make_plan(&c->in[0], &d), *p = &pl;                                                                                    \
  MS_SWITCH(c->in[0].dtype, c->op->name, {                                                                                         \
    const T *x = c->in[0].data;                                                                                                    \
    int64_t *o = c->out[0].data, n = p->reduced;                                                                                   \
    if (columns(p) && n < INT32_MAX) {                                                                                             \
      int64_t k = p->k_shape[p->nk - 1], blocks = (k + COLUMNS - 1) / COLUMNS, outer = p->kept / k;                                \
      MS_PARALLEL(ms_team(p->kept *n), u, outer *blocks, {                                                                         \
        int64_t from = u % blocks * COLUMNS, m = k - from < COLUMNS ? k - from : COLUMNS, *to = o + u / blocks * k + from;         \
        const T *a = x + at(p->nk - 1, p->k_shape, p->k_stride, u / blocks) + from;                                                \
        T best[COLUMNS];                                                                                                           \
        int32_t where[COLUMNS];                                                                                                    \
        for (int64_t i = 0; i < m; i++) best[i] = a[i], where[i] = 0;                                                              \
        for (int64_t r = 1; r < n; r++) {                                                                                          \
          const T *row = a + r * (p->nr ? p->r_stride[0] : 0);                                                                     \
          for (int64_t i = 0; i < m; i++) {                                                                                        \
            bool better = BETTER(row[i], OP, best[i]) && best[i] == best[i];                                                       \
            best[i] = better ? row[i] : best[i];                                                                                   \
            where[i] = better ? (int32_t)r : where[i];                                                                             \
          }                                                                                                                        \
        }                                                                                                                          \
        for (int64_t i = 0; i < m; i++) to[i] = where[i] + MS_INDEX_BASE;                                                          \
      });                                                                                                                          \
    } else if (p->nr == 1 && p->r_stride[0] == 1) {                                                                                \
      MS_PARALLEL(ms_team(p->kept *n), k, p->kept, {                                                                               \
        const T *a = x + KEPT(k);                                                                                                  \
        ROW_EXTREME(OP)                                                                                                            \
        int64_t w = 0;                                                                                                             \
        for (int hit = 0; w + EXTREMES <= n; w += EXTREMES) {                                                                      \
          for (int l = 0; l < EXTREMES; l++) hit |= (a[w + l] == best) | (a[w + l] != a[w + l]);                                   \
          if (hit) break;                                                                                                          \
        }                                                                                                                          \
        while (a[w] != best && a[w] == a[w]) w++;                                                                                  \
        o[k] = w + MS_INDEX_BASE;                                                                                                  \
      });                                                                                                                          \
    } else {                                                                                                                       \
      MS_PARALLEL(ms_team(p->kept *n), k, p->kept, {                                                                               \
        const T *a = x + KEPT(k);                                                                                                  \
        T best = a[0];                                                                                                             \
        int64_t where = 0;                                                                                                         \
        for (int64_t r = 1; r < n && best == best; r++) {                                                                          \
          T v = a[REDUCED(r)];                                                                                                     \
          if (BETTER(v, OP, best)) best = v, where = r;                                                                            \
        }                                                                                                                          \
        o[k] = where + MS_INDEX_BASE;                                                                                              \
      });                                                                                                                          \
    }                                                                                                                              \
  })                                                                                                                               \
  return 0
static int run_argmax(ms_call *c) { POSITION(>); }
static int run_argmin(ms_call *c) { POSITION(<); }
static bool along_one(const ms_call *c) { return not_half(c) && c->attr[0].i != MS_NO_DIM; }
MS_KERNEL(argmax, .run = run_argmax, .supports = along_one);
MS_KERNEL(argmin, .run = run_argmin, .supports = along_one);

#define TRUTH(START, HIT)                                                                                                          \
  plan pl = make_plan(&c->in[0], &c->attr[0].v), *p = &pl;                                                                         \
  MS_SWITCH(c->in[0].dtype, c->op->name, {                                                                                         \
    const T *x = c->in[0].data;                                                                                                    \
    uint8_t *o = c->out[0].data;                                                                                                   \
    for (int64_t k = 0; k < p->kept; k++) {                                                                                        \
      const T *a = x + KEPT(k);                                                                                                    \
      bool v = START;                                                                                                              \
      for (int64_t r = 0; r < p->reduced && v == START; r++)                                                                       \
        if (a[REDUCED(r)] HIT 0) v = !START;                                                                                       \
      o[k] = v;                                                                                                                    \
    }                                                                                                                              \
  })                                                                                                                               \
  return 0
static int run_any(ms_call *c) { TRUTH(false, !=); }
static int run_all(ms_call *c) { TRUTH(true, ==); }
MS_KERNEL(any, .run = run_any, .supports = not_half);
MS_KERNEL(all, .run = run_all, .supports = not_half);

/* ---- cumsum: result contiguous, x strided ------------------------------------------------------------------------ */

#define RUNNING(T, A, R)                                                                                                           \
  {                                                                                                                                \
    const T *x = c->in[0].data;                                                                                                    \
    R *o = c->out[0].data;                                                                                                         \
    for (int64_t k = 0; k < p->kept; k++) {                                                                                        \
      int64_t q = k / after, rest = k % after;                                                                                     \
      const T *a = x + KEPT(k);                                                                                                    \
      R *to = o + q * n * after + rest;                                                                                            \
      A s = 0;                                                                                                                     \
      for (int64_t r = 0; r < n; r++) s += (A)a[r * v->stride[d]], to[r * after] = (R)s;                                           \
    }                                                                                                                              \
  }
static int run_cumsum(ms_call *c) {
  const ms_view *v = &c->in[0];
  int d = (int)c->attr[0].i;
  ms_ints dims = {.n = 1, .at = {d}};
  plan pl = make_plan(v, &dims), *p = &pl;
  int64_t n = v->shape[d], after = 1;
  for (int i = d + 1; i < v->rank; i++) after *= v->shape[i];
  switch (v->dtype) {
  case MS_F32: RUNNING(float, double, float) break;
  case MS_F64: RUNNING(double, double, double) break;
  default: MS_SWITCH(v->dtype, "cumsum", RUNNING(T, uint64_t, int64_t))
  }
  return 0;
}
MS_KERNEL(cumsum, .run = run_cumsum, .supports = not_half);
