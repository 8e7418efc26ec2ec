/* pace.c -- how many threads a recorded step pays for.
 *
 * Alone, a short step is fastest on all threads; where other programs want the cores it is often faster on one, since nobody waits
 * for a thread whose core was taken. Results do not depend on it, so a step may try: now and then it runs a few times with half as
 * many threads, or twice as many, and stays with what was faster. Trials become rare while they find nothing, and come at once when
 * the step takes longer than it used to. */
#include "pass.h"
#include "team.h"
#include <time.h>

enum {
  FIRST_RUNS = 3,       /* runs of a new step that do not count */
  GAP_RUNS_LEAST = 30,  /* runs between two trials, at least */
  TRIAL_RUNS_LEAST = 3, /* runs of a trial before it may be given up */
};
#define HORIZON   0.1  /* seconds over which a mean is formed: long enough that one slow run does not decide */
#define TRIAL     0.02 /* seconds of a trial */
#define FIRST_GAP 0.1  /* seconds between trials, doubled while they find nothing */
#define LAST_GAP  30
#define LONG      0.005 /* seconds: of a step that takes longer, one run shows that a trial is bad */
#define BETTER    0.9   /* a trial wins if its mean is less than this times the mean of the level in use */
#define WORSE                                                                                                                      \
  1.3          /* a trial ends early if all its runs took more than this times that mean; and a mean that has grown by this factor \
                  starts a trial */
#define ODD 20 /* a run counts as no longer than this times the mean */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int threads_of(int level) {
  const int n = ms_threads() >> level;
  return n < 1 ? 1 : n;
}

void ms_pace_begin(ms_pace *p) {
  if (p->runs == 0) *p = (ms_pace){.trial = -1, .gap = FIRST_GAP};
  p->count = ms_team_count();
  const int level = p->trial >= 0 ? p->trial : p->level;
  ms_team_cap(level ? threads_of(level) : 0);
  p->begin = now();
}

/* The level next to the one in use that is to be tried: the other one than last time where there are two. -1: there is none. */
static int next_level(ms_pace *p) {
  const bool more = p->level > 0, fewer = p->level + 1 < MS_PACE_LEVELS && threads_of(p->level) > 1;
  p->fewer = fewer && !(more && p->fewer);
  return p->fewer ? p->level + 1 : more ? p->level - 1 : -1;
}

/* Begin to measure anew what is in use. */
static void settle(ms_pace *p, double mean) {
  p->mean[p->level] = mean;
  p->calm = mean, p->counted = 0, p->since = 0;
}

static void end_trial(ms_pace *p) {
  const double mean = p->sum / p->tried;
  p->mean[p->trial] = mean;
  if (mean < BETTER * p->mean[p->level]) {
    p->level = p->trial, p->gap = FIRST_GAP;
    settle(p, mean);
  } else if (p->gap < LAST_GAP) p->gap *= 2;
  p->trial = -1, p->counted = 0, p->since = 0;
}

void ms_pace_end(ms_pace *p) {
  const double took = now() - p->begin;
  ms_team_cap(0);
  if (ms_team_count() == p->count) return; /* nothing that threads could share */
  if (p->runs < FIRST_RUNS) {
    if (++p->runs == FIRST_RUNS) settle(p, took);
    return;
  }
  double *mean = &p->mean[p->level];
  if (p->trial >= 0) {
    p->sum += took, p->tried++;
    if (took < p->least) p->least = took;
    const bool bad = p->least > WORSE * *mean && (p->tried >= TRIAL_RUNS_LEAST || *mean > LONG);
    if (bad || p->sum > TRIAL) end_trial(p);
    return;
  }
  p->counted++, p->since += took; /* a stop of the whole process tells nothing of threads */
  const double seen = took < ODD * *mean ? took : ODD * *mean;
  const double own = *mean / HORIZON, early = 1.0 / p->counted;
  *mean += (seen - *mean) * (own > 0.25 ? 0.25 : own > early ? own : early > 0.25 ? 0.25 : early);
  p->calm = *mean < p->calm ? *mean : p->calm * (1 + 0.2 * took);
  if (p->counted < GAP_RUNS_LEAST) return;
  const bool worse = *mean > WORSE * p->calm && p->since > HORIZON;
  if (worse) p->gap = FIRST_GAP, p->calm = *mean;
  if (p->since < p->gap) return;
  p->sum = 0, p->tried = 0, p->least = 1e9;
  p->trial = next_level(p);
}
