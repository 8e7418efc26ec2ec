/* fold.h -- what the files of the pass `fold` share.
 *
 *   fold.c            the pass: which pattern is looked for when
 *   rewrites.def      the table of rewrites: its rows are what fold_rule describes
 *   fold_match.c      finding the two calls of a pattern, and putting the replacement
 *   fold_kernel.c     the convolution that takes the place of another one: its attributes, its kernel, the gradient of that
 *   fold_upsampled.c  elementwise calls between an upsampling and a convolution
 *
 * The letters F, I, W, A, U, V mean what fold.c says. */
#ifndef MS_FOLD_H
#define MS_FOLD_H
#include "rewrite.h"
#include <string.h>

/* What the constants depend on that make V of w. No padding bytes: compared as bytes. */
typedef struct fold_taps {
  int64_t reversed, dtype;
  int64_t taps[2];            /* of w: rows, columns */
  int64_t factor[2], step[2]; /* how many copies of w lie in V, and how far apart */
} fold_taps;

/* The convolution with kernel V that takes the place of one with kernel w. */
typedef struct folded_conv {
  fold_taps from;
  int64_t taps[2]; /* of V */
  ms_attr attr[5]; /* size, for the adjoints only; stride, padding, dilation, groups */
} folded_conv;

/* V = w times this matrix: taps of w x taps of V, constants. */
typedef struct spread_matrix {
  fold_taps of;
  ms_slot_view v;
} spread_matrix;

/* Of a slot: does it hold `base` upsampled, each element filling a window? */
typedef struct upsampled {
  bool is;
  ms_slot_view base;
} upsampled;

typedef struct fold {
  ms_step *s;
  ms_record *r;
  ms_rewrite rewrite;
  spread_matrix *matrix;
  int n_matrix;
  upsampled *upsampled; /* by slot; slots that were added later may lie behind the end, and are not upsampled */
  int n_upsampled;
} fold;

/* ---- the table (rewrites.def) ---------------------------------------------------------------------------------------------- */

typedef enum fold_kernel_use { FOLD_WITH_V, FOLD_GRADIENT_OF_V, FOLD_NO_KERNEL } fold_kernel_use;

/* A row; rewrites.def explains them. match, at call i: 1: replaced, 0: does not apply, -1 after ms_fail. */
typedef struct fold_rule {
  int outer, operand, inner, becomes;
  fold_kernel_use kernel;
  int (*match)(fold *f, const struct fold_rule *rule, int i);
} fold_rule;
extern const fold_rule ms_fold_rules[];
extern const int ms_fold_n_rules;
extern const int ms_fold_product, ms_fold_addition; /* the operations of these names there */

int ms_fold_behind(fold *f, const fold_rule *rule, int i);      /* i: the outer call */
int ms_fold_all_readers(fold *f, const fold_rule *rule, int i); /* i: the inner call; its readers are all replaced, or none */
int ms_fold_reader(fold *f, const fold_rule *rule, int i);      /* i: the outer call */

/* ---- what is seen (fold_match.c) ------------------------------------------------------------------------------------------- */

static inline bool same_shape(const ms_view *a, const ms_view *b) {
  return a->rank == b->rank && !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

/* The rule's `windows`, for floating dtypes. */
ms_windows ms_fold_windows(const ms_call *c, int64_t *factor);
/* Is view k of the call all of a slot that one call makes and nobody outside sees? */
bool ms_fold_alone(const fold *f, const ms_rcall *c, int k);
/* The call whose result input k is, element for element; NULL: not that simple. */
const ms_rcall *ms_fold_maker(const fold *f, const ms_rcall *c, int k);
/* Do the inputs of call m still hold at call `at` what they held there? */
bool ms_fold_holds(const fold *f, const ms_rcall *m, int at);
/* The call whose result the resampling call i takes as its image, if everything that reads the result resamples it in the same way;
 * else NULL. */
const ms_rcall *ms_fold_resampled(const fold *f, int i);

/* ---- the other convolution (fold_kernel.c) --------------------------------------------------------------------------------- */

/* How a convolution, with what it has to do with its kernel, takes in a resampling by this factor: one that averages, or
 * (reversed) one that repeats. small: the smaller of the two images. false: it does not, or the backend would not gain by it. */
bool ms_fold_convolution(const fold *f, const ms_call *conv, fold_kernel_use use, bool reversed, const int64_t *factor,
                         const ms_view *small, folded_conv *p);
/* V = w times constants. w is O x C x taps, V the same, or (reversed) C x O. */
int ms_fold_make_v(fold *f, const folded_conv *p, const ms_slot_view *w, ms_slot_view *v);
/* Call `op` with the attributes of p; bias NULL: it takes none. */
int ms_fold_convolve(fold *f, int op, folded_conv *p, const ms_slot_view *a, const ms_slot_view *b, const ms_slot_view *bias,
                     const ms_slot_view *out);
/* dw from the gradient of V, which `op` gives for a and b. */
int ms_fold_weight_gradient(fold *f, int op, folded_conv *p, const ms_slot_view *a, const ms_slot_view *b, const ms_slot_view *dw);

/* ---- elementwise calls in between (fold_upsampled.c) ------------------------------------------------------------------------ */

/* What input k of a call holds, if it is something upsampled; else NULL. */
const upsampled *ms_fold_upsampled_of(const fold *f, const ms_rcall *c, int k);
/* Call i makes something upsampled: note it. 1: a call was put before it, 0, or -1 after ms_fail. */
int ms_fold_note_upsampled(fold *f, int i);
/* U' of what an elementwise call makes becomes that call of U' of what it is linear in. As ms_fold_behind. */
int ms_fold_through(fold *f, int i);

#endif
