/* fold.c -- a pass over a recording: convolutions take in the average pooling behind them, or the nearest upsampling before them.
 *
 * With F(x, w), I(g, w), W(x, g) for conv2d and its two adjoints, A for pooling windows of f elements, f apart, U for upsampling by
 * f, A', U' for their adjoints, and w of k taps:
 *     A F(x, w)    = F(x, V)        W(x, A'g)  = v(W(x, g))      V = w spread over k + (f-1)s taps, the mean of f copies, s apart,
 *     I(A'g, w)    = I(g, V)        sum of A'g = sum of g        strides f s, paddings as before
 *     F(Ux, w)     = I(x, V)        W(Ux, g)   = v(W(g, x))      V = w reversed, its channels swapped, the sum of f copies 1 apart,
 *     U'I(g, w)    = F(g, V)                                     stride f, padding k-1 less the one before
 * (v the adjoint of w -> V). V is w times a matrix of constants, v(V) that of V with its transpose. For 3 x 3 taps and f = 2 that
 * is 16 products for 36. Elementwise operations commute with U, and those that are linear in what comes from behind with U', so
 * that they are no obstacle between the two.
 *
 * These lines are the table rewrites.def. Which operations resample by windows, and which are linear in what, is said by their
 * rows. The pass takes no call away: one whose result nobody reads any more is dropped later, as dead (build.c). */
#include "fold.h"
#include <stdlib.h>

#define REWRITE(outer, operand, inner, becomes, kernel, match)                                                                     \
  {MS_OP_##outer, operand, MS_OP_##inner, MS_OP_##becomes, FOLD_##kernel, ms_fold_##match},
#define HELPER(...)
const fold_rule ms_fold_rules[] = {
#include "rewrites.def"
};
#undef REWRITE
#undef HELPER
#define REWRITE(...)
#define HELPER(does, name) const int ms_fold_##does = MS_OP_##name;
#include "rewrites.def"

const int ms_fold_n_rules = sizeof ms_fold_rules / sizeof *ms_fold_rules;

/* After calls were put, what is known of calls and slots is found anew. */
static int examine_again(fold *f, int done) { return done < 0 || (done && ms_rewrite_examine(&f->rewrite) < 0) ? -1 : 0; }

/* Try a rule at every call, or (NULL) to bring U' through elementwise calls. How often it applied; -1 after ms_fail. */
static int sweep(fold *f, const fold_rule *rule) {
  int n = 0;
  for (int i = 0; i < f->r->n_call; i++) {
    int done = 0;
    if (!f->rewrite.dead[i]) done = rule ? rule->match(f, rule, i) : ms_fold_through(f, i);
    if (examine_again(f, done) < 0) return -1;
    n += done;
  }
  return n;
}

static int run(fold *f) {
  if (ms_rewrite_examine(&f->rewrite) < 0) return -1;
  for (int i = 0; i < f->r->n_call; i++) {
    int done = ms_fold_note_upsampled(f, i);
    if (examine_again(f, done) < 0) return -1;
    i += done;
  }
  for (int n = 1; n > 0;) {
    if ((n = sweep(f, NULL)) < 0) return -1;
    if (n && (ms_step_repeat(f->s) < 0 || ms_rewrite_examine(&f->rewrite) < 0)) return -1; /* the same U' for several operands */
    for (int k = 0; k < ms_fold_n_rules; k++) {
      int done = sweep(f, &ms_fold_rules[k]);
      if (done < 0) return -1;
      n += done;
    }
  }
  return 0;
}

int ms_step_fold(ms_step *s) {
  fold f = {.s = s, .r = s->r, .rewrite.r = s->r};
  bool any = false;
  if (!s->r->device->backend->folds) return 0;
  for (int i = 0; i < s->r->n_call && !any; i++) any = s->r->call[i].call.op->rule->windows != NULL;
  int rc = any ? run(&f) : 0;
  ms_rewrite_close(&f.rewrite);
  free(f.matrix), free(f.upsampled);
  return rc;
}
