/* tsne.h -- t-SNE: places n samples in a plane so that near ones stay near (van der Maaten, Hinton, JMLR 2008; van der Maaten, JMLR
 * 2014), with scikit-learn's definitions. Data as in ml.h; results do not depend on the number of threads. */
#ifndef MASCON_ML_TSNE_H
#define MASCON_ML_TSNE_H
#include "mascon.h"

typedef struct ms_tsne ms_tsne;

typedef struct ms_tsne_options {
  int64_t components;        /* 2: coordinates of a point. From 3 on repulsion is computed between all pairs */
  double perplexity;         /* 30: effective number of neighbours, 0 < perplexity < n */
  double early_exaggeration; /* 12: factor of all attraction in the first 250 iterations, at least 1 */
  double learning_rate;      /* 0: max(n / early_exaggeration / 4, 50) */
  double min_grad_norm;      /* 1e-7: it ends when the gradient (times gains) is not longer, looked at every 50 iterations */
  double angle;              /* 0.5: a cell of points counts as one when its width is below angle times its distance */
  int64_t max_iter;          /* 1,000; at least 250 */
  int64_t patience;          /* 300: it ends after so many iterations without a better divergence; as above */
  bool exact;                /* false: similarities to the 3 perplexity nearest neighbours only, repulsion by cells */
} ms_tsne_options;

ms_tsne_options ms_tsne_defaults(void);

/* Similarities of n x d samples, and the start: init (n x components), or NULL for the first principal components, scaled so that
 * the first has standard deviation 1e-4. NULL on n < 2, an option out of range, a value not finite, out of memory, a request to
 * stop. */
ms_tsne *ms_tsne_new(int64_t n, int64_t d, const float *x, const float *init, const ms_tsne_options *options);
void ms_tsne_free(ms_tsne *t); /* NULL is fine */

/* At most `count` iterations. 1: more are to come, 0: that was all, -1: a request to stop, out of memory, values that diverged. */
int ms_tsne_run(ms_tsne *t, int64_t count);

int64_t ms_tsne_samples(const ms_tsne *t);
int64_t ms_tsne_components(const ms_tsne *t);
void ms_tsne_embedding(const ms_tsne *t, float *points); /* n x components */
double ms_tsne_kl(const ms_tsne *t);                     /* divergence at the latest look (every 50 iterations and at the end) */
int64_t ms_tsne_done(const ms_tsne *t);                  /* iterations done */

#endif
