/* pace.c -- how many threads a recorded step pays for.
 *
 * Alone, a short step is fastest on all threads; where other programs want the cores it is often faster on one, since nobody waits
 * for a thread whose core was taken. Results do not depend on it, so a step may try: now and then it runs a few times with half as
 * many threads, or twice as many, and stays with what was faster. Trials become rare while they find nothing, and come at once when
 * the step takes longer than it used to. */
#include "record.h"
#include "team.h"
#include <time.h>

enum { WARM = 3, TRIAL = 4, FIRST_GAP = 24, LAST_GAP = 8192 }; /* runs: not counted; of a trial; between trials */
#define BETTER 0.93                                            /* a trial must beat what is in use by as much */
#define WORSE  1.3 /* a first run of a trial that is worse by as much ends it; a mean that grew by as much asks for one */

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
  if (p->runs == 0) *p = (ms_pace){.trial = -1, .wait = FIRST_GAP, .gap = FIRST_GAP};
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

static void end_trial(ms_pace *p) {
  const double mean = p->sum / p->tried;
  p->mean[p->trial] = mean;
  if (mean < BETTER * p->mean[p->level]) {
    p->level = p->trial, p->gap = FIRST_GAP, p->calm = mean;
  } else if (p->gap < LAST_GAP) p->gap = 2 * p->gap + 1;
  p->trial = -1, p->wait = p->gap;
}

void ms_pace_end(ms_pace *p) {
  const double took = now() - p->begin;
  ms_team_cap(0);
  if (ms_team_count() == p->count) return; /* nothing that threads could share */
  if (p->runs < WARM) {
    p->runs++;
    return;
  }
  if (p->trial >= 0) {
    p->sum += took, p->tried++;
    if (p->tried == TRIAL || took > WORSE * p->mean[p->level]) end_trial(p);
    return;
  }
  double *mean = &p->mean[p->level];
  if (*mean == 0 || p->runs == WARM) *mean = p->calm = took;
  p->runs = WARM + 1;
  *mean += (took - *mean) / 16;
  p->calm = *mean < p->calm ? *mean : p->calm * 1.0005;
  if (*mean > WORSE * p->calm && p->wait > FIRST_GAP) p->wait = 0, p->gap = FIRST_GAP, p->calm = *mean;
  if (--p->wait > 0) return;
  p->sum = 0, p->tried = 0;
  p->trial = next_level(p);
  if (p->trial < 0) p->wait = LAST_GAP;
}
