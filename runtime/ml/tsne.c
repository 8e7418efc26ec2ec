/* tsne.c -- t-SNE: descent on the divergence of similarities in the plane from those of the samples. The steps are scikit-learn's:
 * 250 iterations with exaggerated attraction and momentum 0.5, then the others with 0.8 from standstill, a gain for each
 * coordinate. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "ml/tsne.h"
#include "ml/tsne_parts.h"

enum {
  EXPLORE = 250,      /* iterations with exaggeration */
  LOOK = 50,          /* iterations between two looks at divergence and gradient */
  SHARE = 64,         /* points a thread takes at a time: a multiple of GROUP */
  REBUILD = 8,        /* iterations a tree serves */
  ALL = 1024,         /* up to so many points, all repel all */
  WIDE_UPDATE = 2048, /* coordinates a thread moves at a time */
};

struct ms_tsne {
  ms_tsne_options o;
  int64_t n, stride; /* coordinates of a point in memory: 2 in a plane or on a line */
  bool plane;
  tsne_similar similar;
  tsne_cells cells;
  int64_t done, best_at;
  double best, kl, norm, z;
  float *at, *pull, *push, *step, *gain; /* n x stride: places, attraction, repulsion (times z), last step, gains */
  double *part;                          /* a sum per share */
  bool early, over;                      /* still exaggerating? all done? */
};

/* What a step is made of: gradient = pull * attraction - push * repulsion. */
typedef struct tsne_move {
  float pull, push, momentum, rate;
} tsne_move;

/* ---- loops over pairs -------------------------------------------------------------------------------------------- */

#define ML_LOOPS "ml/tsne_template.h"
#define ML_SIZE  4
#include "ml/variants.h"

typedef struct tsne_kernels {
  void (*repel)(const tsne_cells *c, int64_t g, float *sum);
  void (*attract)(float x, float y, const float *at, const int32_t *to, const float *p, int64_t count, float *force);
  double (*logs)(float x, float y, const float *at, const int32_t *to, const float *p, int64_t count);
  double (*move)(int64_t count, const tsne_move *m, float *at, const float *pull, const float *push, float *step, float *gain);
} tsne_kernels;

#define KERNELS(isa)                                                                                                               \
  { repel_##isa, attract_##isa, logs_##isa, move_##isa }

static int64_t shares(const ms_tsne *t) { return (t->n + SHARE - 1) / SHARE; }

static double total(const double *part, int64_t count) {
  double sum = 0;
  for (int64_t k = 0; k < count; k++) sum += part[k];
  return sum;
}

/* Forces in a plane: each share has its groups of slots and its rows of points. */
static void forces_in_plane(ms_tsne *t, const tsne_kernels *f) {
  const tsne_cells *c = &t->cells;
  MS_TASKS(ms_threads(), id, share, shares(t), {
    const int64_t from = share * SHARE, to = from + SHARE < t->n ? from + SHARE : t->n;
    double z = 0;
    for (int64_t first = from; first < to; first += GROUP) {
      float sum[3 * GROUP];
      f->repel(c, first / GROUP, sum);
      for (int64_t s = first; s < to && s < first + GROUP; s++) {
        float *push = t->push + 2 * c->order[s];
        z += (double)sum[s - first], push[0] = sum[GROUP + s - first], push[1] = sum[2 * GROUP + s - first];
      }
    }
    for (int64_t i = from; i < to; i++) {
      const int64_t row = t->similar.first[i];
      f->attract(t->at[2 * i], t->at[2 * i + 1], t->at, t->similar.to + row, t->similar.p + row, t->similar.first[i + 1] - row,
                 t->pull + 2 * i);
    }
    t->part[share] = z;
  });
  t->z = total(t->part, shares(t));
}

/* The same in any number of dimensions c, all pairs: with w = 1 / (1 + |a - b|^2 / dof), dof = c - 1, a pair has w^((dof + 1) / 2)
 * in the place of q, and w as the factor of its forces. */
static void forces_in_space(ms_tsne *t) {
  const int64_t c = t->stride, n = t->n;
  const double dof = (double)(c - 1);
  MS_TASKS(ms_threads(), id, share, shares(t), {
    double z = 0;
    for (int64_t i = share * SHARE; i < n && i < (share + 1) * SHARE && !ms_interrupted(); i++) {
      const float *a = t->at + i * c;
      float *pull = t->pull + i * c, *push = t->push + i * c;
      memset(pull, 0, (size_t)c * sizeof *pull), memset(push, 0, (size_t)c * sizeof *push);
      for (int64_t j = 0; j < n; j++) {
        const float *b = t->at + j * c;
        if (j == i) continue;
        double d2 = 0;
        for (int64_t e = 0; e < c; e++) d2 += (double)((a[e] - b[e]) * (a[e] - b[e]));
        const double w = 1 / (1 + d2 / dof), q = c == 3 ? w * sqrt(w) : pow(w, (dof + 1) / 2);
        z += q;
        for (int64_t e = 0; e < c; e++) push[e] += (float)(q * w) * (a[e] - b[e]);
      }
      for (int64_t k = t->similar.first[i]; k < t->similar.first[i + 1]; k++) {
        const float *b = t->at + t->similar.to[k] * c;
        double d2 = 0;
        for (int64_t e = 0; e < c; e++) d2 += (double)((a[e] - b[e]) * (a[e] - b[e]));
        for (int64_t e = 0; e < c; e++) pull[e] += (float)((double)t->similar.p[k] / (1 + d2 / dof)) * (a[e] - b[e]);
      }
    }
    t->part[share] = z;
  });
  t->z = total(t->part, shares(t));
}

/* The divergence: the sum of p log(p / q), q = (1 + |a - b|^2 / dof)^(-(dof + 1) / 2) / z. z is that of the latest forces. */
static double divergence(ms_tsne *t, const tsne_kernels *f) {
  const int64_t c = t->stride;
  const float dof = t->plane ? 1 : (float)(c - 1);
  MS_TASKS(ms_threads(), id, share, shares(t), {
    double sum = 0;
    for (int64_t i = share * SHARE; i < t->n && i < (share + 1) * SHARE; i++) {
      const int64_t row = t->similar.first[i], end = t->similar.first[i + 1];
      const float *a = t->at + i * c;
      if (t->plane) {
        sum += f->logs(a[0], a[1], t->at, t->similar.to + row, t->similar.p + row, end - row);
        continue;
      }
      for (int64_t k = row; k < end; k++) {
        const float *b = t->at + t->similar.to[k] * c;
        float d2 = 0;
        for (int64_t e = 0; e < c; e++) d2 += (a[e] - b[e]) * (a[e] - b[e]);
        if (t->similar.p[k] > 0) sum += (double)(t->similar.p[k] * log1pf(d2 / dof));
      }
    }
    t->part[share] = sum;
  });
  return t->similar.entropy + (double)(dof + 1) / 2 * total(t->part, shares(t)) + log(t->z);
}

/* ---- descent ----------------------------------------------------------------------------------------------------- */

/* One step along the gradient. Gives the length of the gradient times the gains, before the step. */
static double move_all(ms_tsne *t, const tsne_kernels *f) {
  const double factor = t->plane ? 4 : 2 * (double)t->stride / (double)(t->stride - 1);
  const tsne_move m = {.pull = (float)(factor * (t->early ? t->o.early_exaggeration : 1)),
                       .push = (float)(factor / t->z),
                       .momentum = t->early ? 0.5f : 0.8f,
                       .rate = (float)t->o.learning_rate};
  const int64_t values = t->n * t->stride, stretches = (values + WIDE_UPDATE - 1) / WIDE_UPDATE;
  double part[stretches > 0 ? stretches : 1];
  MS_PARALLEL(values > 4 * WIDE_UPDATE ? ms_threads() : 1, s, stretches, {
    const int64_t from = s * WIDE_UPDATE, count = values - from < WIDE_UPDATE ? values - from : WIDE_UPDATE;
    part[s] = f->move(count, &m, t->at + from, t->pull + from, t->push + from, t->step + from, t->gain + from);
  });
  return sqrt(total(part, stretches));
}

static void stand_still(ms_tsne *t) {
  const int64_t values = t->n * t->stride;
  for (int64_t k = 0; k < values; k++) t->step[k] = 0, t->gain[k] = 1;
  t->best = INFINITY, t->best_at = t->done;
}

static int iterate(ms_tsne *t, const tsne_kernels *f) {
  const int64_t at = t->done; /* counts from 0 */
  const bool look = (at + 1) % LOOK == 0, last = at + 1 >= t->o.max_iter;
  if (t->plane) {
    if (at % REBUILD == 0) {
      if (tsne_cells_build(&t->cells, t->at, t->o.angle)) return -1;
    } else tsne_cells_refit(&t->cells, t->at);
    forces_in_plane(t, f);
  } else forces_in_space(t);
  if (ms_interrupted()) return ms_stopped("tsne"), -1; /* the forces are not whole */
  if (look || last) t->kl = divergence(t, f);
  t->norm = move_all(t, f);
  if (!isfinite(t->norm) || !isfinite(t->z))
    return ms_fail("tsne: the points flew apart at iteration %lld: expected a smaller learning_rate than %g", (long long)at + 1,
                   t->o.learning_rate),
           -1;
  t->done++;
  if (last) t->over = true;
  bool stop = t->early && t->done >= EXPLORE;
  if (look && t->kl < t->best) t->best = t->kl, t->best_at = at;
  else if (look && at - t->best_at > (t->early ? EXPLORE : t->o.patience)) stop = true;
  if (look && t->norm <= t->o.min_grad_norm) stop = true;
  if (stop && !t->early) t->over = true;
  if (stop && t->early) t->early = false, stand_still(t);
  return 0;
}

int ms_tsne_run(ms_tsne *t, int64_t count) {
  const tsne_kernels f = ML_BEST(tsne_kernels, KERNELS);
  for (int64_t k = 0; k < count && !t->over; k++) {
    if (ms_interrupted()) return ms_stopped("tsne"), -1;
    if (iterate(t, &f)) return -1;
  }
  return !t->over;
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

ms_tsne_options ms_tsne_defaults(void) {
  return (ms_tsne_options){.components = 2,
                           .perplexity = 30,
                           .early_exaggeration = 12,
                           .min_grad_norm = 1e-7,
                           .angle = 0.5,
                           .max_iter = 1000,
                           .patience = 300};
}

void ms_tsne_free(ms_tsne *t) {
  if (!t) return;
  tsne_similar_free(&t->similar), tsne_cells_free(&t->cells);
  free(t->at), free(t->pull), free(t->push), free(t->step), free(t->gain), free(t->part), free(t);
}

static int check(int64_t n, int64_t d, const ms_tsne_options *o) {
  if (n < 2 || d < 1)
    return ms_fail("tsne: expected at least 2 samples of 1 feature, got %lld x %lld", (long long)n, (long long)d), -1;
  if (!(o->perplexity > 0 && o->perplexity < (double)n))
    return ms_fail("tsne: option perplexity: expected a number above 0 and below the %lld samples there are, got %g", (long long)n,
                   o->perplexity),
           -1;
  if (o->components < 1 || o->components > 1024)
    return ms_fail("tsne: option components: expected 1..1024, got %lld", (long long)o->components), -1;
  if (!(o->early_exaggeration >= 1) || !(o->learning_rate >= 0) || !(o->min_grad_norm >= 0) || !(o->angle >= 0 && o->angle <= 1) ||
      o->max_iter < EXPLORE || isinf(o->early_exaggeration) || isinf(o->learning_rate))
    return ms_fail("tsne: expected early_exaggeration >= 1, learning_rate > 0, min_grad_norm >= 0, angle in 0..1, max_iter >= 250"),
           -1;
  return 0;
}

/* The first components of the samples, the first one's standard deviation 1e-4. codes: n x k. */
static int by_components(int64_t n, int64_t d, const float *x, int64_t k, float *codes) {
  ms_pca *p = ms_pca_fit(n, d, x, k);
  const int rc = p ? ms_pca_transform(p, n, x, codes) : -1;
  ms_pca_free(p);
  if (rc) return -1;
  double mean = 0, square = 0;
  for (int64_t i = 0; i < n; i++) mean += (double)codes[i * k] / (double)n;
  for (int64_t i = 0; i < n; i++) square += ((double)codes[i * k] - mean) * ((double)codes[i * k] - mean) / (double)n;
  const double scale = square > 0 ? 1e-4 / sqrt(square) : 0;
  for (int64_t i = 0; i < n * k; i++) codes[i] = (float)(codes[i] * scale);
  return 0;
}

static int begin(ms_tsne *t, int64_t d, const float *x, const float *init) {
  const int64_t n = t->n, c = t->o.components, values = n * t->stride;
  float **const arrays[] = {&t->at, &t->pull, &t->push, &t->step, &t->gain};
  for (int k = 0; k < 5; k++)
    if (!(*arrays[k] = ml_alloc(values, sizeof(float)))) return ml_no_memory("tsne"), -1;
  if (!(t->part = ml_alloc(shares(t), sizeof *t->part))) return ml_no_memory("tsne"), -1;
  float *codes = NULL;
  if (!init) {
    if (c > d)
      return ms_fail("tsne: option init: \"pca\" finds at most the %lld features there are, got components = %lld", (long long)d,
                     (long long)c),
             -1;
    if (!(codes = ml_alloc(n * c, sizeof *codes))) return ml_no_memory("tsne"), -1;
    if (by_components(n, d, x, c, codes)) return free(codes), -1;
  }
  for (int64_t i = 0; i < n; i++)
    for (int64_t e = 0; e < t->stride; e++) t->at[i * t->stride + e] = e < c ? (codes ? codes : init)[i * c + e] : 0;
  free(codes);
  t->early = true, stand_still(t);
  int64_t k = n - 1;
  if (!t->o.exact && 3 * t->o.perplexity + 1 < (double)k) k = (int64_t)(3 * t->o.perplexity + 1);
  if (tsne_similar_make(&t->similar, n, d, x, k, t->o.perplexity)) return -1;
  return t->plane ? tsne_cells_open(&t->cells, n, t->o.exact || t->o.angle == 0 || n <= ALL) : 0;
}

ms_tsne *ms_tsne_new(int64_t n, int64_t d, const float *x, const float *init, const ms_tsne_options *options) {
  if (check(n, d, options) || ml_check_finite("tsne: x", n, d, x)) return NULL;
  if (init && ml_check_finite("tsne: init", n, options->components, init)) return NULL;
  ms_tsne *t = calloc(1, sizeof *t);
  if (!t) return ml_no_memory("tsne");
  t->o = *options, t->n = n, t->plane = options->components <= 2, t->stride = t->plane ? 2 : options->components;
  if (t->o.learning_rate == 0) t->o.learning_rate = fmax((double)n / t->o.early_exaggeration / 4, 50);
  if (begin(t, d, x, init)) return ms_tsne_free(t), NULL;
  return t;
}

int64_t ms_tsne_samples(const ms_tsne *t) { return t->n; }
int64_t ms_tsne_components(const ms_tsne *t) { return t->o.components; }
void ms_tsne_embedding(const ms_tsne *t, float *points) {
  for (int64_t i = 0; i < t->n; i++)
    memcpy(points + i * t->o.components, t->at + i * t->stride, (size_t)t->o.components * sizeof *points);
}
double ms_tsne_kl(const ms_tsne *t) { return t->kl; }
int64_t ms_tsne_done(const ms_tsne *t) { return t->done; }
