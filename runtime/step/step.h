/* step.h -- a step: a recording made into a flat list of kernel calls with memory of its own, and how it is run, checked, measured
 * and reported. record.h says how a recording comes about and which kinds of memory there are. */
#ifndef MS_STEP_H
#define MS_STEP_H
#include "record.h"

typedef struct ms_step ms_step;

/* Turn a recording into a step (which takes it over, also on failure), after ms_record_settle. exact: leave out the passes that
 * change roundings (fold.c, layout.c), so that a replay has the bits of the run. */
ms_step *ms_step_build(ms_record *r, bool exact);

/* Does the step fit a call with these arguments (same number, shapes, dtypes, strides as recorded)?
 *   FITS       run it
 *   ALIAS      no: memory that the step writes is shared by two arguments, or by one and something captured
 *   ELSEWHERE  not known: an argument that was at the same place in both recordings, or at the same distance from one that it
 *              overlaps, is at another one now: compare one more recording with the first one, and build the step of that
 *   GRADS      no: .grad of a leaf is not of the kind that the function found there */
typedef enum ms_fit { MS_FITS, MS_FIT_ALIAS, MS_FIT_ELSEWHERE, MS_FIT_GRADS } ms_fit;
ms_fit ms_step_fit(const ms_step *s, ms_tensor *const *args);
/* Are all arguments known to move, each by itself? Then no call will be found ELSEWHERE. */
bool ms_step_moves(const ms_step *s);
/* Run with arguments that fit; fills results[] with tensors of the current scope. 0, or -1 after ms_fail. */
int ms_step_run(ms_step *s, ms_tensor *const *args, ms_tensor **results);
void ms_step_free(ms_step *s);

/* MASCON_COMPILE=check: run the function as well as the step, from the same state, and compare what they do (check.c).
 *   begin    remember everything that the step writes, the generator, the gradients
 *   swap     after the function ran: take what it wrote and gave, and put everything back
 *   compare  after the step ran: -1 after ms_fail names the first call whose outcome differs; exact: in its bits, else by 1e-6 of
 * the largest element */
typedef struct ms_check ms_check;
ms_check *ms_check_begin(ms_step *s, ms_tensor *const *args);
int ms_check_swap(ms_check *c, int n_results, ms_tensor *const *results);
int ms_check_compare(ms_check *c, ms_tensor *const *results, int number, bool exact);
void ms_check_free(ms_check *c);

/* ms.detect_nan and a step (watch.c).
 *   begin      before a run: copy what it writes in place, remember the generator and the gradients
 *   odd        after it: does what it left (results, gradients, what it wrote) hold NaN, or (infinity) infinity? -1 after ms_fail
 *   put_back   all as it was before the run; as often as wanted. 0, or -1 after ms_fail */
typedef struct ms_watch ms_watch;
ms_watch *ms_watch_begin(ms_step *s, ms_tensor *const *args);
int ms_watch_odd(const ms_watch *w, ms_tensor *const *results, bool infinity);
int ms_watch_put_back(ms_watch *w);
void ms_watch_free(ms_watch *w);

typedef struct ms_step_info {
  int calls, recorded, fused, dead, results; /* kernel calls replayed; recorded; of them in chains; dropped as unused */
  int repeated;                              /* of the dropped: computed before by an equal call */
  int channels_last;                         /* tensors that lie channels last */
  int folded;                                /* convolutions that took in a pooling or an upsampling */
  size_t arena, unshared;                    /* bytes of the arena; bytes that the same tensors would take without sharing */
  double flops;                              /* of products and convolutions, per run */
} ms_step_info;
ms_step_info ms_step_describe(const ms_step *s);
/* Call i of the step as text: operation, shapes, line. false past the end. */
bool ms_step_line(const ms_step *s, int i, char *out, size_t size);
/* Profile: from `on` to off, runs add up how long each call took; what was gathered stays until the next `on`. 0, or -1 after
 * ms_fail. */
int ms_step_profile(ms_step *s, bool on);
/* Seconds in call i (counted as in ms_step_line) over all profiled runs; i = -1: in the runs as a whole, *runs of them. */
double ms_step_seconds(const ms_step *s, int i, int *runs);

#endif
