/* fold.h -- what the parts of fold.c share: the pass and the kernels it makes (fold.c), pooling (fold_pool.c), upsampling
 * (fold_up.c). F, I, W, A, U, V as in fold.c. */
#ifndef MS_FOLD_H
#define MS_FOLD_H
#include "rewrite.h"
#include <string.h>

typedef struct kernel { /* of a convolution, before and after: two dimensions. No padding bytes: compared as bytes */
  int64_t up, taps[2], factor[2], step[2], dtype;
} kernel;

typedef struct plan { /* the convolution that takes the place of another one */
  kernel k;
  int64_t wide[2];
  ms_attr attr[5]; /* size, for the adjoints only; stride, padding, dilation, groups */
} plan;

typedef struct spread { /* constants: taps x wide taps */
  kernel k;
  ms_ref_view v;
} spread;

typedef struct large { /* what a slot holds is `base` upsampled, element by element */
  bool is;
  ms_ref_view base;
} large;

typedef struct fold {
  ms_step *s;
  ms_record *r;
  ms_rewrite w;
  spread *spread;
  int n_spread;
  large *large; /* by slot, as far as the slots of the recording go, and for twins */
  int n_large;
} fold;

static inline bool same_shape(const ms_view *a, const ms_view *b) {
  return a->rank == b->rank && !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

static inline bool floats(const ms_call *c) { return c->out[0].dtype == MS_F32 || c->out[0].dtype == MS_F64; }

static inline int64_t pixels(const ms_view *v) { return v->shape[0] * v->shape[2] * v->shape[3]; }

/* Is view k of the call all of a slot that one call makes and nobody outside sees? */
bool ms_fold_alone(const fold *f, const ms_rcall *c, int k);
/* The call whose result input k is, element for element; NULL: not that simple. */
const ms_rcall *ms_fold_maker(const fold *f, const ms_rcall *c, int k);
/* Do the inputs of call m still hold at call `at` what they held there? */
bool ms_fold_holds(const fold *f, const ms_rcall *m, int at);
/* How a convolution (its four attributes at `a`) with a kernel of this height and width takes in pooling or upsampling. pixels: of
 * the small image, in the whole batch. false: it does not, or that would be dearer. */
bool ms_fold_make_plan(bool up, const ms_attr *a, const int64_t *taps, const int64_t *factor, int dtype, int64_t pixels, plan *p);
/* V = w times constants. w is O x C x taps, V the same, or (up) C x O. */
int ms_fold_widen(fold *f, const plan *p, const ms_ref_view *w, ms_ref_view *wide);
/* dw = v(W(x, g)). */
int ms_fold_weight_gradient(fold *f, plan *p, const ms_ref_view *x, const ms_ref_view *g, const ms_ref_view *dw);
/* One of the three with the plan's attributes; size: of the image (I) or of the kernel (W). */
int ms_fold_convolve(fold *f, int op, plan *p, const int64_t *size, const ms_ref_view *a, const ms_ref_view *b,
                     const ms_ref_view *bias, const ms_ref_view *out);
/* The calls that wait, in the place of call `at`. 1, or -1. */
int ms_fold_replace(fold *f, int at);

/* Patterns, at call i. Each gives 1: done, 0: does not apply, -1: failed. */
int ms_fold_pool(fold *f, int i);
int ms_fold_pool_back(fold *f, int i);
int ms_fold_up(fold *f, int i);
int ms_fold_up_back(fold *f, int i);
int ms_fold_up_back_through(fold *f, int i);
int ms_fold_upsampled(fold *f, int i);

#endif
