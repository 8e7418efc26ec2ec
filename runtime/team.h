/* team.h -- threads that share a loop.
 *
 * MS_TOGETHER runs a block once for each of `team` numbers (0, 1, ...), in the calling thread and as many others as are there at
 * once; the rest is built on it. How a block is cut depends on `team` and on nothing else: which thread ran which number, and how
 * many threads there were, is never seen in a result. Blocks must not wait for one another: one thread may run several of them, one
 * after the other.
 *
 * The compiler makes a function of the block: `#pragma omp parallel` becomes a call of GOMP_parallel, and that one is ours
 * (core/team.c), not the one of the compiler's library, whose threads wait as they were told before main began. Other pragmas of
 * OpenMP that need a library do not link. */
#ifndef MS_TEAM_H
#define MS_TEAM_H
#include <stdint.h>

/* Call run(data) once for each number 0..team - 1 (at most 1024). */
void ms_team_run(void (*run)(void *), void *data, int team);
/* The number of the block that this thread runs. */
int ms_member(void);
/* Is this thread inside of a block? There another MS_TOGETHER is a plain loop. */
int ms_in_team(void);
/* At most n threads at a time from now on, 0: as many as ms_threads() says. Cuts nothing differently. Gives what was before. */
int ms_team_cap(int n);
/* How many blocks could have been shared so far. */
uint64_t ms_team_count(void);
/* End the threads (they sleep when there is nothing to do): before a process ends whose leaks are looked for. */
void ms_team_end(void);

#define MS_TOGETHER(team, id, ...)                                                                                                 \
  do {                                                                                                                             \
    const int together_ = (int)(team);                                                                                             \
    _Pragma("omp parallel num_threads(together_)") {                                                                               \
      const int id = ms_member();                                                                                                  \
      (void)id;                                                                                                                    \
      __VA_ARGS__                                                                                                                  \
    }                                                                                                                              \
  } while (0)

/* for (int64_t i = 0; i < count; i++) { ... }, shared by `team` threads, a stretch each. */
#define MS_PARALLEL(team, i, count, ...)                                                                                           \
  do {                                                                                                                             \
    const int64_t count_ = (count), want_ = (team);                                                                                \
    const int team_ = (int)(want_ < count_ ? want_ : count_);                                                                      \
    if (team_ <= 1) {                                                                                                              \
      for (int64_t i = 0; i < count_; i++) { __VA_ARGS__ }                                                                         \
    } else                                                                                                                         \
      MS_TOGETHER(team_, id_, {                                                                                                    \
        const int64_t end_ = count_ * (id_ + 1) / team_;                                                                           \
        for (int64_t i = count_ * id_ / team_; i < end_; i++) { __VA_ARGS__ }                                                      \
      });                                                                                                                          \
  } while (0)

/* Tasks that differ in length, shared by `team` threads: each begins with the same stretch of them in every call, since its cache
 * may hold what it did there in the call before, and then helps the others. */
typedef struct ms_stretch {
  int64_t next, end;
} __attribute__((aligned(64))) ms_stretch;

static inline void ms_cut(ms_stretch *s, int team, int64_t count) {
  for (int t = 0; t < team; t++) s[t] = (ms_stretch){count * t / team, count * (t + 1) / team};
}

static inline int64_t ms_take(ms_stretch *s, int team, int id) { /* -1: nothing is left */
  for (int k = 0; k < team; k++) {
    ms_stretch *q = &s[(id + k) % team];
    if (__atomic_load_n(&q->next, __ATOMIC_RELAXED) >= q->end) continue;
    const int64_t i = __atomic_fetch_add(&q->next, 1, __ATOMIC_RELAXED);
    if (i < q->end) return i;
  }
  return -1;
}

/* for (int64_t i = 0; i < count; i++) { ... } in that way; `id` is the number of the block. */
#define MS_TASKS(team, id, i, count, ...)                                                                                          \
  do {                                                                                                                             \
    const int64_t count_ = (count), want_ = (team);                                                                                \
    const int team_ = (int)(want_ < count_ ? want_ : count_);                                                                      \
    if (team_ <= 1) {                                                                                                              \
      const int id = 0;                                                                                                            \
      (void)id;                                                                                                                    \
      for (int64_t i = 0; i < count_; i++) { __VA_ARGS__ }                                                                         \
    } else {                                                                                                                       \
      ms_stretch stretch_[team_];                                                                                                  \
      ms_cut(stretch_, team_, count_);                                                                                             \
      MS_TOGETHER(team_, id, {                                                                                                     \
        for (int64_t i; (i = ms_take(stretch_, team_, id)) >= 0;) { __VA_ARGS__ }                                                  \
      });                                                                                                                          \
    }                                                                                                                              \
  } while (0)

#endif
