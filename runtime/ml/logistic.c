/* logistic.c -- logistic regression, binary and multinomial: the weights that make 1/2 |w|^2 + C * sum of losses least.
 *
 * Inside, all is divided by C times the weight of all samples, as in scikit-learn, so that the tolerance is one on the gradient of
 * a mean loss. L-BFGS (Liu and Nocedal, 1989) finds the minimum. Its first guess of the curvature is an upper bound that does not
 * change: 1/4 x x^T for two classes, 1/2 x x^T for more (Boehning and Lindsay, 1988), plus the penalty; with it badly scaled or
 * correlated features cost no more steps than good ones. Each step is one pass over the samples.
 *
 * Samples lie in blocks of ROWS, features x ROWS, so that rows lie side by side in registers; the intercept is a feature of ones.
 * Blocks belong to parts, whose sums are added in order: the same bits whatever the number of threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/internal.h"
#if ML_VARIANTS
#include <immintrin.h>
#endif

enum {
  ROWS = 64,     /* samples in a block */
  PARTS = 32,    /* at most */
  MEMORY = 10,   /* steps that L-BFGS remembers */
  WIDEST = 1025, /* features up to which the first guess is a matrix; beyond only its diagonal */
  HALVINGS = 30, /* of a step that does not go down */
  TOGETHER = 4   /* vectors of one call of dots and axpys */
};

typedef struct kernels {
  double (*dot)(int64_t n, const double *a, const double *b);
  void (*axpy)(int64_t n, double s, const double *b, double *a);
  void (*dots)(int64_t n, const double *a, const double *b, int64_t apart, double *to);
  void (*axpys)(int64_t n, const double *s, const double *b, double *a, int64_t apart);
  void (*logits)(int64_t d, int64_t classes, const double *w, const double *x, double *z);
  void (*spread)(int64_t from, int64_t to, int64_t classes, const double *x, const double *e, double *g, int64_t wide);
  double (*losses)(int64_t classes, const int32_t *y, double *z);
} kernels;

#define ML_LOOPS "ml/logistic_template.h"
#define ML_SIZE  8
#include "ml/variants.h"
#define KERNELS(isa)                                                                                                               \
  { dot_##isa, axpy_##isa, dots_##isa, axpys_##isa, logits_##isa, spread_##isa, losses_##isa }

struct ms_logistic {
  int64_t n, d, wide; /* wide: d, and one for the intercept */
  int32_t classes;    /* vectors of weights: 1 for two classes */
  bool intercept;
  double penalty, sum;         /* of the squared weights; all sample weights together */
  int64_t blocks, parts, size; /* size: weights, classes x wide */
  double *x;                   /* blocks x wide x ROWS */
  double *weight;              /* blocks x ROWS, 0 past n; divided by sum */
  int32_t *y;                  /* blocks x ROWS, from 0 */
  double *guess;               /* the first guess: wide x wide, its Cholesky factor; or wide, the diagonal */
  double *w, *g, *next_w, *next_g, *step, *part, *s, *t; /* size each; step: twice; part: parts x size; s, t: MEMORY x size */
  double rho[MEMORY], cost;
  int64_t kept, steps;    /* steps remembered; steps made */
  bool ready, done, even; /* even: all samples weigh 1 */
  kernels k;
};

/* ---- the cost and its gradient ----------------------------------------------------------------------------------- */

/* z (classes x ROWS) becomes the derivative of the losses; the losses are added up. */
static double losses_of(const ms_logistic *m, int64_t block, double *z) {
  const double *weight = m->weight + block * ROWS;
  const int32_t *y = m->y + block * ROWS;
  if (m->even && (block + 1) * ROWS <= m->n) {
    const double sum = m->k.losses(m->classes, y, z);
    for (int64_t i = 0; i < m->classes * ROWS; i++) z[i] /= m->sum;
    return sum / m->sum;
  }
  double sum = 0;
  for (int r = 0; r < ROWS; r++) {
    if (weight[r] == 0) {
      for (int32_t c = 0; c < m->classes; c++) z[c * ROWS + r] = 0;
    } else if (m->classes == 1) {
      const double e = exp(-fabs(z[r])), share = z[r] > 0 ? 1 / (1 + e) : e / (1 + e);
      sum += weight[r] * (log1p(e) + (z[r] > 0 ? z[r] : 0) - y[r] * z[r]);
      z[r] = weight[r] * (share - y[r]);
    } else {
      double most = z[r], all = 0;
      for (int32_t c = 1; c < m->classes; c++) most = z[c * ROWS + r] > most ? z[c * ROWS + r] : most;
      const double right = z[y[r] * ROWS + r] - most;
      for (int32_t c = 0; c < m->classes; c++) all += z[c * ROWS + r] = exp(z[c * ROWS + r] - most);
      sum += weight[r] * (log(all) - right);
      for (int32_t c = 0; c < m->classes; c++) z[c * ROWS + r] *= weight[r] / all;
      z[y[r] * ROWS + r] -= weight[r];
    }
  }
  return sum;
}

/* The cost at w, and its gradient. NaN and a message: interrupted, or no memory. */
static double evaluate(ms_logistic *m, const double *w, double *g) {
  double cost[PARTS] = {0};
  bool failed = false;
  MS_TASKS(ms_threads(), id, p, m->parts, {
    double *z = ml_alloc((int64_t)m->classes * ROWS, sizeof *z);
    double *to = m->part + p * m->size;
    if (!z) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    memset(to, 0, (size_t)m->size * sizeof *to);
    for (int64_t b = m->blocks * p / m->parts; z && b < m->blocks * (p + 1) / m->parts && !ms_interrupted(); b++) {
      const double *x = m->x + b * m->wide * ROWS;
      m->k.logits(m->wide, m->classes, w, x, z);
      cost[p] += losses_of(m, b, z);
      m->k.spread(0, m->wide, m->classes, x, z, to, m->wide);
    }
    free(z);
  });
  if (ms_interrupted()) return ms_stopped("logistic"), NAN;
  if (failed) return ml_no_memory("logistic"), NAN;
  double sum = 0;
  memcpy(g, m->part, (size_t)m->size * sizeof *g);
  for (int64_t p = 0; p < m->parts; p++) {
    sum += cost[p];
    if (p) m->k.axpy(m->size, 1, m->part + p * m->size, g);
  }
  for (int32_t c = 0; c < m->classes; c++) {
    const double *v = w + c * m->wide;
    sum += 0.5 * m->penalty * m->k.dot(m->d, v, v);
    m->k.axpy(m->d, m->penalty, v, g + c * m->wide);
  }
  return sum;
}

/* ---- the first guess of the curvature ---------------------------------------------------------------------------- */

/* The Cholesky factor of a symmetric matrix (its lower triangle), in place. */
static void factor(const kernels *k, int64_t n, double *a) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) {
      const double v = a[i * n + j] - k->dot(j, a + i * n, a + j * n);
      if (i > j) a[i * n + j] = v / a[j * n + j];
      else a[i * n + i] = sqrt(v > 1e-14 * a[i * n + i] ? v : 1e-14 * a[i * n + i] + 1e-300);
    }
}

/* From some of the blocks, spread over all samples: four rows to a feature are enough for a guess. */
static void make_guess(ms_logistic *m) {
  const int64_t n = m->wide, want = (n * 4 > 2048 ? n * 4 : 2048) / ROWS, used = want < m->blocks ? want : m->blocks;
  const bool full = n <= WIDEST;
  memset(m->guess, 0, (size_t)(full ? n * n : n) * sizeof *m->guess);
  int64_t rows = 0;
  for (int64_t u = 0; u < used; u++)
    for (int r = 0; r < ROWS; r++) rows += m->weight[m->blocks * u / used * ROWS + r] > 0;
  const double bound = (m->classes == 1 ? 0.25 : 0.5) / (double)(rows ? rows : 1);
  MS_TASKS(ms_threads(), id, task, (n + 3) / 4, {
    for (int64_t u = 0; u < used && !ms_interrupted(); u++) {
      const double *x = m->x + m->blocks * u / used * n * ROWS;
      for (int64_t i = 4 * task; i < n && i < 4 * task + 4; i++) {
        if (full) m->k.spread(0, i + 1, 1, x, x + i * ROWS, m->guess + i * n, 0);
        else m->guess[i] += m->k.dot(ROWS, x + i * ROWS, x + i * ROWS);
      }
    }
  });
  for (int64_t i = 0; i < n; i++) {
    double *row = full ? m->guess + i * n : m->guess + i, *diagonal = full ? row + i : row;
    for (int64_t j = 0; j < (full ? i + 1 : 1); j++) row[j] *= bound;
    *diagonal = *diagonal * (1 + 1e-9) + (i < m->d ? m->penalty : 0);
    if (*diagonal <= 0) *diagonal = 1;
  }
  if (full) factor(&m->k, n, m->guess);
}

/* Of `vectors` vectors q, `apart`: row i of the solution, on the way down the factor's rows or up again. */
static void solve_row(const kernels *k, int64_t i, const double *factor, bool down, double *q, int64_t vectors, int64_t apart) {
  double s[TOGETHER];
  for (; vectors > 0; vectors -= TOGETHER, q += TOGETHER * apart) {
    const int64_t count = vectors < TOGETHER ? vectors : TOGETHER;
    if (down && count == TOGETHER) k->dots(i, factor, q, apart, s);
    for (int64_t c = 0; c < count; c++) {
      double *at = q + c * apart;
      if (down) at[i] -= count == TOGETHER ? s[c] : k->dot(i, factor, at);
      at[i] /= factor[i];
      s[c] = -at[i];
      if (!down && count < TOGETHER) k->axpy(i, s[c], factor, at);
    }
    if (!down && count == TOGETHER) k->axpys(i, s, factor, q, apart);
  }
}

/* v (`vectors` of `wide` numbers) becomes what the guess makes of it. A row of the factor serves all vectors of a thread while it
 * is in the cache. */
static void apply_guess(const ms_logistic *m, int64_t vectors, double *v) {
  const int64_t n = m->wide, threads = n >= 256 ? ms_threads() : 1, groups = threads < vectors ? threads : vectors;
  MS_PARALLEL((int)groups, group, groups, {
    const int64_t from = vectors * group / groups, mine = vectors * (group + 1) / groups - from;
    double *q = v + from * n;
    if (n > WIDEST)
      for (int64_t i = 0; i < mine * n; i++) q[i] /= m->guess[i % n];
    else
      for (int64_t i = 0; i < n; i++) solve_row(&m->k, i, m->guess + i * n, true, q, mine, n);
    for (int64_t i = n <= WIDEST ? n : 0; i-- > 0;) solve_row(&m->k, i, m->guess + i * n, false, q, mine, n);
  });
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* The direction to go, from the gradient and what the last steps told of the curvature. */
static void direction(ms_logistic *m) {
  const int64_t size = m->size;
  double part[MEMORY], *q = m->step;
  memcpy(q, m->g, (size_t)size * sizeof *q);
  for (int64_t i = m->kept - 1; i >= 0; i--) {
    part[i] = m->rho[i] * m->k.dot(size, m->s + i * size, q);
    m->k.axpy(size, -part[i], m->t + i * size, q);
  }
  if (m->kept) { /* the guess, scaled to what the last step has seen; v: behind q */
    double *v = q + size;
    memcpy(v, m->t + (m->kept - 1) * size, (size_t)size * sizeof *v);
    apply_guess(m, 2 * m->classes, q);
    const double scale = 1 / (m->rho[m->kept - 1] * m->k.dot(size, m->t + (m->kept - 1) * size, v));
    for (int64_t i = 0; i < size; i++) q[i] *= scale;
  } else apply_guess(m, m->classes, q);
  for (int64_t i = 0; i < m->kept; i++) {
    const double back = m->rho[i] * m->k.dot(size, m->t + i * size, q);
    m->k.axpy(size, part[i] - back, m->s + i * size, q);
  }
  for (int64_t i = 0; i < size; i++) q[i] = -q[i];
}

/* What the step from (w, g) to (next_w, next_g) tells of the curvature is kept; the oldest one goes. */
static void remember(ms_logistic *m) {
  const int64_t size = m->size;
  if (m->kept == MEMORY) {
    memmove(m->s, m->s + size, (size_t)((MEMORY - 1) * size) * sizeof *m->s);
    memmove(m->t, m->t + size, (size_t)((MEMORY - 1) * size) * sizeof *m->t);
    memmove(m->rho, m->rho + 1, (MEMORY - 1) * sizeof *m->rho);
    m->kept--;
  }
  double *s = m->s + m->kept * size, *t = m->t + m->kept * size;
  for (int64_t i = 0; i < size; i++) s[i] = m->next_w[i] - m->w[i], t[i] = m->next_g[i] - m->g[i];
  const double st = m->k.dot(size, s, t), tt = m->k.dot(size, t, t), ss = m->k.dot(size, s, s);
  if (st > 1e-12 * sqrt(ss * tt)) m->rho[m->kept++] = 1 / st;
}

/* One step down. 1: there is none within rounding; -1: a failure. */
static int go_down(ms_logistic *m) {
  const int64_t size = m->size;
  direction(m);
  double slope = m->k.dot(size, m->g, m->step);
  if (!(slope < 0)) {
    m->kept = 0;
    direction(m);
    slope = m->k.dot(size, m->g, m->step);
    if (!(slope < 0)) return 1;
  }
  double length = 1;
  for (int i = 0; i < HALVINGS; i++) {
    for (int64_t j = 0; j < size; j++) m->next_w[j] = m->w[j] + length * m->step[j];
    const double cost = evaluate(m, m->next_w, m->next_g);
    if (ms_error()) return -1;
    const double after = m->k.dot(size, m->next_g, m->step);
    /* Far down enough; or, where the cost is flat to rounding, the slope has become smaller (Hager and Zhang, 2005). */
    if (cost <= m->cost + 1e-4 * length * slope || (cost <= m->cost + 1e-14 * fabs(m->cost) && fabs(after) <= 0.9 * fabs(slope))) {
      remember(m);
      double *w = m->w, *g = m->g;
      m->w = m->next_w, m->g = m->next_g, m->next_w = w, m->next_g = g, m->cost = cost;
      m->steps++;
      return 0;
    }
    const double fit = -slope * length * length / (2 * (cost - m->cost - slope * length)); /* least of the parabola */
    length = fit > 0.1 * length && fit < 0.5 * length ? fit : isfinite(cost) ? 0.5 * length : 0.1 * length;
  }
  return 1;
}

int ms_logistic_run(ms_logistic *m, int64_t steps, double tolerance) {
  if (!m) return -1;
  if (!m->ready) {
    make_guess(m);
    m->cost = evaluate(m, m->w, m->g);
    if (ms_error()) return -1;
    m->ready = true;
  }
  for (int64_t i = 0; i <= steps; i++) {
    if (m->done || ms_logistic_gradient(m) <= tolerance) return 1;
    if (i == steps) break;
    const int end = go_down(m);
    if (end < 0) return -1;
    if (end) m->done = true;
  }
  return 0;
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

void ms_logistic_free(ms_logistic *m) {
  if (!m) return;
  free(m->x), free(m->weight), free(m->y), free(m->guess), free(m->w), free(m->g), free(m->next_w), free(m->next_g);
  free(m->step), free(m->part), free(m->s), free(m->t), free(m);
}

ms_logistic *ms_logistic_new(int64_t n, int64_t d, const void *x, bool wide, const int32_t *y, int32_t classes, double c,
                             bool intercept, const double *class_weight) {
  if (n < 1 || d < 1 || d >= INT32_MAX || classes < 2 || classes > UINT16_MAX)
    return ms_fail("logistic: expected rows, features, and 2..%d classes, got %lld x %lld and %d", UINT16_MAX, (long long)n,
                   (long long)d, classes);
  if (!(c > 0)) return ms_fail("logistic: expected C > 0, got %g", c);
  if (ml_check_labels("logistic: y", n, y, classes) < 0) return NULL;
  ms_logistic *m = calloc(1, sizeof *m);
  if (!m) return ml_no_memory("logistic");
  m->n = n, m->d = d, m->wide = d + intercept, m->intercept = intercept, m->classes = classes == 2 ? 1 : classes;
  m->blocks = (n + ROWS - 1) / ROWS, m->k = ML_BEST(kernels, KERNELS), m->size = m->classes * m->wide;
  m->parts = m->blocks < PARTS ? m->blocks : PARTS;
  while (m->parts > 1 && m->parts * m->size > 1 << 25) m->parts /= 2;
  const int64_t guess = m->wide <= WIDEST ? m->wide * m->wide : m->wide, block = m->wide * ROWS;
  bool fits = m->blocks <= INT64_MAX / 8 / block;
  m->x = fits ? ml_alloc(m->blocks * block, sizeof *m->x) : NULL;
  m->weight = ml_alloc(m->blocks * ROWS, sizeof *m->weight), m->y = ml_alloc(m->blocks * ROWS, sizeof *m->y);
  m->guess = ml_alloc(guess, sizeof *m->guess), m->part = ml_alloc(m->parts * m->size, sizeof *m->part);
  m->s = ml_alloc(MEMORY * m->size, sizeof *m->s), m->t = ml_alloc(MEMORY * m->size, sizeof *m->t);
  fits = m->x && m->weight && m->y && m->guess && m->part && m->s && m->t;
  double **const vectors[] = {&m->w, &m->g, &m->next_w, &m->next_g, &m->step};
  for (int i = 0; i < 5; i++) fits = (*vectors[i] = ml_alloc(2 * m->size, sizeof(double))) && fits;
  if (!fits) return ms_logistic_free(m), ml_no_memory("logistic");
  memset(m->w, 0, (size_t)m->size * sizeof *m->w);
  for (int64_t i = 0; i < n; i++) m->sum += class_weight ? class_weight[y[i] - MS_INDEX_BASE] : 1;
  m->penalty = 1 / (c * m->sum), m->even = !class_weight;
  int64_t bad = n * d;
  MS_PARALLEL(ms_threads(), b, m->blocks, {
    double *to = m->x + b * block;
    for (int r = 0; r < ROWS; r++) {
      const int64_t i = b * ROWS + r;
      const bool there = i < n;
      for (int64_t j = 0; j < d; j++) {
        const double v = !there ? 0 : wide ? ((const double *)x)[i * d + j] : (double)((const float *)x)[i * d + j];
        if (!isfinite(v))
          for (int64_t least = __atomic_load_n(&bad, __ATOMIC_RELAXED); i * d + j < least;)
            if (__atomic_compare_exchange_n(&bad, &least, i * d + j, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) break;
        to[j * ROWS + r] = v;
      }
      if (intercept) to[d * ROWS + r] = there;
      m->y[i] = there ? y[i] - MS_INDEX_BASE : 0;
      m->weight[i] = !there ? 0 : (class_weight ? class_weight[m->y[i]] : 1) / m->sum;
    }
  });
  if (bad < n * d) {
    ms_logistic_free(m);
    const double v = wide ? ((const double *)x)[bad] : (double)((const float *)x)[bad];
    return ms_fail("logistic: X[%lld][%lld] = %s, expected a finite number", (long long)(bad / d + MS_INDEX_BASE),
                   (long long)(bad % d + MS_INDEX_BASE),
                   isnan(v) ? "nan"
                   : v > 0  ? "inf"
                            : "-inf");
  }
  return m;
}

double ms_logistic_gradient(const ms_logistic *m) {
  double most = 0;
  for (int64_t i = 0; i < m->size; i++) most = fabs(m->g[i]) > most ? fabs(m->g[i]) : most;
  return most;
}

double ms_logistic_cost(const ms_logistic *m) { return m->penalty > 0 ? m->cost / m->penalty : m->cost * m->sum; }
int64_t ms_logistic_steps(const ms_logistic *m) { return m->steps; }
int64_t ms_logistic_features(const ms_logistic *m) { return m->d; }
int32_t ms_logistic_rows(const ms_logistic *m) { return m->classes; }

void ms_logistic_weights(const ms_logistic *m, double *weights, double *intercepts) {
  double mean = 0;
  for (int32_t c = 0; c < m->classes; c++) {
    memcpy(weights + c * m->d, m->w + c * m->wide, (size_t)m->d * sizeof *weights);
    intercepts[c] = m->intercept ? m->w[c * m->wide + m->d] : 0;
    mean += intercepts[c] / m->classes;
  }
  for (int32_t c = 0; m->classes > 1 && c < m->classes; c++) intercepts[c] -= mean;
}
