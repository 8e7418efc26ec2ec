/* team.c -- the threads behind team.h.
 *
 * A block of code is run once for each of its numbers 0, 1, ... One block at a time is on offer. Each bit of `offered` stands for a
 * number that nobody has begun; whoever clears the bit runs that number. The caller runs its own number first, then those that
 * nobody has begun, and then waits for those that are under way. So a helper that sleeps, or that has lost its core to another
 * program, delays nothing. A helper reads what the block is only after it has cleared a bit: the block cannot end before that
 * number has.
 *
 * Waiting: a helper that spins (looks for work again and again) is there at once but keeps a core busy; one that sleeps needs 50 us
 * to come. So helpers spin for a while and then sleep. If the clock jumps while one spins, another program has had its core: then
 * all sleep at once for some time. */
#define _GNU_SOURCE
#include "team.h"
#include "mascon.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

enum { MAX_TEAM = 1024, WORDS = MAX_TEAM / 64 }; /* numbers of a block, threads */
enum { ASKING = 1000000, PATIENCE = 200000 };    /* ns: how long helpers spin for work, and the caller for their ends */
enum { JUMP = 150000 }; /* ns between two looks at the clock: longer than any interrupt, so another program ran */
enum { QUIET_LEAST = 5000000, QUIET_MOST = 640000000 }; /* ns after a jump during which nobody spins; doubled from jump to jump */

typedef struct helper {
  _Atomic uint32_t asleep; /* the word that it sleeps on: 1 while it does */
  pthread_t thread;
} __attribute__((aligned(64))) helper;

static struct {
  void (*run)(void *);
  void *data;
  unsigned flags; /* of the caller's floating point: helpers take them over */
} block;

static _Atomic uint64_t offered[WORDS] __attribute__((aligned(64)));
static _Atomic int words_used = 1;                               /* of `offered` that have been in use */
static _Atomic uint32_t generation __attribute__((aligned(64))); /* goes up with every block */
static _Atomic uint32_t unfinished __attribute__((aligned(64))); /* numbers that have not ended */
static _Atomic int caller_sleeps;
static _Atomic int ending;
static atomic_flag busy = ATOMIC_FLAG_INIT;

static helper helpers[MAX_TEAM]; /* number 0 is the caller */
static int n_helpers = 1;        /* with the caller */
static bool refused;             /* the system gave no more threads */
static int cap;
static uint64_t shared;

static _Atomic int limit; /* helpers of a number from here on do not take part */
static _Atomic int64_t quiet_until, quiet_for = QUIET_LEAST;

static __thread int member;
static __thread bool inside;

int ms_member(void) { return member; }
int ms_in_team(void) { return inside; }
uint64_t ms_team_count(void) { return shared; }

int ms_team_cap(int n) {
  int was = cap;
  cap = n;
  return was;
}

/* ---- flags of floating point ------------------------------------------------------------------------------------- */

static unsigned get_flags(void) {
#if defined(__x86_64__)
  return _mm_getcsr();
#else
  return 0;
#endif
}

static void set_flags(unsigned flags) {
#if defined(__x86_64__)
  if (_mm_getcsr() != flags) _mm_setcsr(flags);
#else
  (void)flags;
#endif
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static int64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_on(_Atomic uint32_t *word, uint32_t value) { syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0); }
static void wake(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }

static void pause_a_little(void) {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Another program wants the cores: nobody spins until t + d. The longer ago that happened last, the shorter d is. */
static void be_quiet(int64_t t) {
  int64_t d = atomic_load_explicit(&quiet_for, memory_order_relaxed);
  if (t - atomic_load_explicit(&quiet_until, memory_order_relaxed) > 4 * d) d = QUIET_LEAST;
  atomic_store_explicit(&quiet_until, t + d, memory_order_relaxed);
  atomic_store_explicit(&quiet_for, d < QUIET_MOST ? 2 * d : d, memory_order_relaxed);
}

/* Spin until *word is (equal) or is no longer (!equal) `value`. False: it took longer than `patience` ns, or this is no time to
 * spin.
 */
static bool spin_until(_Atomic uint32_t *word, uint32_t value, bool equal, int64_t patience) {
  if ((atomic_load_explicit(word, memory_order_acquire) == value) == equal) return true;
  const int64_t begin = nanoseconds();
  if (begin < atomic_load_explicit(&quiet_until, memory_order_relaxed)) return false;
  for (int64_t before = begin, t;; before = t) {
    for (int i = 0; i < 32; i++) {
      if ((atomic_load_explicit(word, memory_order_acquire) == value) == equal) return true;
      pause_a_little();
    }
    t = nanoseconds();
    if (t - before > JUMP) return be_quiet(t), false;
    if (t - begin > patience) return false;
  }
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* A number that nobody has begun, `own` if it is one; -1: there is none. */
static int take_number(int own) {
  const int n = atomic_load_explicit(&words_used, memory_order_relaxed);
  for (int k = 0; k < n; k++) {
    const int w = (own / 64 + k) % n;
    uint64_t bits = atomic_load_explicit(&offered[w], memory_order_relaxed);
    while (bits) {
      const uint64_t mine = k == 0 ? bits & (uint64_t)1 << own % 64 : 0, bit = mine ? mine : bits & -bits;
      const uint64_t was = atomic_fetch_and_explicit(&offered[w], ~bit, memory_order_acq_rel);
      if (was & bit) return w * 64 + __builtin_ctzll(bit);
      bits = was;
    }
  }
  return -1;
}

static void run_number(int m) {
  member = m;
  block.run(block.data);
  if (atomic_fetch_sub(&unfinished, 1) == 1 && atomic_load(&caller_sleeps)) wake(&unfinished);
}

static void *serve(void *arg) {
  helper *h = arg;
  const int own = (int)(h - helpers);
  const unsigned mine = get_flags();
  inside = true;
  for (;;) {
    const uint32_t seen = atomic_load(&generation);
    if (atomic_load(&ending)) return NULL;
    for (int m; own < atomic_load_explicit(&limit, memory_order_relaxed) && (m = take_number(own)) >= 0;) {
      set_flags(block.flags);
      run_number(m);
      set_flags(mine);
    }
    if (spin_until(&generation, seen, false, ASKING)) continue;
    atomic_store(&h->asleep, 1);
    if (atomic_load(&generation) == seen)
      while (atomic_load(&h->asleep)) sleep_on(&h->asleep, 1);
    atomic_store(&h->asleep, 0);
  }
}

static void call_helper(helper *h) {
  if (atomic_load(&h->asleep) && atomic_exchange(&h->asleep, 0)) wake(&h->asleep);
}

/* Signals go to the host's own threads. */
static void add_helpers(int n) {
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS); /* a mapped file that was cut short (io/mapped.c) is met by whoever reads there */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (n_helpers < n && !refused) {
    if (pthread_create(&helpers[n_helpers].thread, NULL, serve, &helpers[n_helpers])) refused = true;
    else n_helpers++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void ms_team_end(void) {
  if (atomic_flag_test_and_set(&busy)) return; /* inside of a block: not now */
  atomic_store(&ending, 1);
  atomic_fetch_add(&generation, 1);
  for (int i = 1; i < n_helpers; i++) {
    call_helper(&helpers[i]);
    pthread_join(helpers[i].thread, NULL);
    helpers[i].asleep = 0;
  }
  n_helpers = 1, refused = false;
  atomic_store(&ending, 0);
  atomic_flag_clear(&busy);
}

/* A child has none of the threads; it makes its own when it wants them. */
static void in_child(void) {
  for (int i = 0; i < n_helpers; i++) helpers[i].asleep = 0;
  for (int w = 0; w < WORDS; w++) offered[w] = 0;
  n_helpers = 1, refused = false;
  unfinished = 0;
  caller_sleeps = 0;
  if (!inside) atomic_flag_clear(&busy);
}

__attribute__((constructor)) static void at_load(void) { pthread_atfork(NULL, NULL, in_child); }

/* ---- a block ----------------------------------------------------------------------------------------------------- */

static void run_alone(void (*run)(void *), void *data, int team) {
  const int was_member = member;
  const bool was_inside = inside;
  inside = true;
  for (int m = 0; m < team; m++) {
    member = m;
    run(data);
  }
  member = was_member, inside = was_inside;
}

void ms_team_run(void (*run)(void *), void *data, int team) {
  team = team < 1 ? 1 : team > MAX_TEAM ? MAX_TEAM : team; /* ms_threads() is not more */
  int threads = team < ms_threads() ? team : ms_threads();
  if (threads > 1 && !inside) shared++;
  if (cap && threads > cap) threads = cap;
  if (threads <= 1 || inside || atomic_flag_test_and_set(&busy)) {
    run_alone(run, data, team);
    return;
  }
  if (n_helpers < threads) add_helpers(threads);
  if (threads > n_helpers) threads = n_helpers;
  atomic_store_explicit(&limit, threads, memory_order_relaxed);
  block.run = run, block.data = data, block.flags = get_flags();
  atomic_store_explicit(&unfinished, (uint32_t)team, memory_order_relaxed);
  if (team > 64 * words_used) words_used = (team + 63) / 64;
  for (int w = (team - 1) / 64; w >= 0; w--) {
    const int n = team - 64 * w;
    uint64_t bits = n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;
    if (w == 0) bits &= ~(uint64_t)1; /* the caller's own */
    atomic_store_explicit(&offered[w], bits, memory_order_release);
  }
  atomic_fetch_add(&generation, 1);
  for (int i = 1; i < threads; i++) call_helper(&helpers[i]);

  inside = true;
  for (int m = 0; m >= 0; m = take_number(0)) run_number(m);
  member = 0, inside = false;
  for (uint32_t n; (n = atomic_load(&unfinished));) {
    if (spin_until(&unfinished, 0, true, PATIENCE)) break; /* who takes so long may have lost its core: ours is free for it */
    atomic_store(&caller_sleeps, 1);
    if ((n = atomic_load(&unfinished))) sleep_on(&unfinished, n);
    atomic_store(&caller_sleeps, 0);
  }
  atomic_flag_clear(&busy);
}

/* What the compiler calls for `#pragma omp parallel num_threads(numbers)`. */
void GOMP_parallel(void (*run)(void *), void *data, unsigned numbers, unsigned flags) __attribute__((visibility("hidden")));
void GOMP_parallel(void (*run)(void *), void *data, unsigned numbers, unsigned flags) {
  (void)flags;
  ms_team_run(run, data, (int)numbers);
}
