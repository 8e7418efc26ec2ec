/* fibers.c -- the threads of a block, one after the other on one thread of the host: a thread runs until it returns or comes to a
 * barrier. A barrier that not all threads of the block reach, or not the same one, is told with file and line.
 *
 * EMULATED_ORDER=n: the threads take turns in a random order, another one for each n. */
#include "fibers.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK = 256 * 1024, MOST_THREADS = MOST_BLOCK_THREADS, MOST_SHARED = 16 };

typedef enum state { NEW, WAITING, DONE } state;

typedef struct fiber {
  ucontext_t at;
  char *stack;
  void *sanitizer;
  struct fiber *next; /* in the list of those that are free */
} fiber;

typedef struct thread {
  state state;
  fiber *fiber; /* NULL: none yet, or no more */
  const char *file;
  int line, site;
} thread;

emulated_index emulated_thread, emulated_block, emulated_block_size, emulated_grid_size;

static thread threads[MOST_THREADS];
static int now; /* the thread that runs */
static fiber *idle;
static ucontext_t scheduler;
static void (*run_kernel)(const void *);
static const void *kernel_params;
static void *shared[MOST_SHARED]; /* of the block, in the order in which its sites are met */
static int shared_site[MOST_SHARED], n_shared;
static bool failed;
static uint64_t random_state;

/* Around a switch of stacks, for the address sanitizer. */
#ifdef __SANITIZE_ADDRESS__
static void *scheduler_fake;
static const void *scheduler_bottom;
static size_t scheduler_size;
static void leaving(void **keep, const void *bottom, size_t size) { __sanitizer_start_switch_fiber(keep, bottom, size); }
static void arrived(void *kept, const void **bottom, size_t *size) { __sanitizer_finish_switch_fiber(kept, bottom, size); }
#else
static void *scheduler_fake;
static const void *scheduler_bottom;
static size_t scheduler_size;
static void leaving(void **keep, const void *bottom, size_t size) { (void)keep, (void)bottom, (void)size; }
static void arrived(void *kept, const void **bottom, size_t *size) { (void)kept, (void)bottom, (void)size; }
#endif

static void to_scheduler(fiber *f) {
  leaving(&f->sanitizer, scheduler_bottom, scheduler_size);
  swapcontext(&f->at, &scheduler);
  arrived(f->sanitizer, &scheduler_bottom, &scheduler_size);
}

static void fiber_main(void) {
  arrived(NULL, &scheduler_bottom, &scheduler_size);
  for (;;) { /* one thread after the other */
    fiber *f = threads[now].fiber;
    run_kernel(kernel_params);
    threads[now].state = DONE;
    to_scheduler(f);
  }
}

static void init_context(ucontext_t *c) {
  getcontext(c);
  c->uc_stack.ss_size = STACK;
}

static fiber *take_fiber(void) {
  static ucontext_t first; /* makecontext wants one to begin with */
  fiber *f = idle;
  if (f) return idle = f->next, f;
  if (!(f = calloc(1, sizeof *f)) || !(f->stack = malloc(STACK))) abort();
  if (!first.uc_stack.ss_size) init_context(&first);
  f->at = first;
  f->at.uc_stack.ss_sp = f->stack, f->at.uc_stack.ss_size = STACK;
  makecontext(&f->at, fiber_main, 0);
  return f;
}

static void run_thread(int i) {
  thread *t = &threads[i];
  now = i;
  emulated_thread = (emulated_index){(unsigned)i, 0, 0};
  if (!t->fiber) t->fiber = take_fiber();
  leaving(&scheduler_fake, t->fiber->stack, STACK);
  swapcontext(&scheduler, &t->fiber->at);
  arrived(scheduler_fake, NULL, NULL);
  if (t->state == DONE) t->fiber->next = idle, idle = t->fiber, t->fiber = NULL;
}

static void fail(const char *what, const char *file, int line) {
  if (!failed) fprintf(stderr, "%s:%d: block %u: %s\n", file, line, emulated_block.x, what);
  failed = true;
}

void emulated_barrier(const char *file, int line, int site) {
  thread *t = &threads[now];
  t->state = WAITING, t->file = file, t->line = line, t->site = site;
  to_scheduler(t->fiber);
}

void emulated_trap(const char *file, int line) { fail("trap", file, line); }

void *emulated_shared(size_t bytes, int site) {
  for (int i = 0; i < n_shared; i++)
    if (shared_site[i] == site) return shared[i];
  if (n_shared == MOST_SHARED || !(shared[n_shared] = malloc(bytes))) abort();
  memset(shared[n_shared], 0xff, bytes);
  shared_site[n_shared] = site;
  return shared[n_shared++];
}

static void order_threads(int *order, int n) {
  for (int i = 0; i < n; i++) order[i] = i;
  for (int i = n - 1; random_state && i > 0; i--) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    const int j = (int)((random_state >> 33) % (uint64_t)(i + 1)), was = order[i];
    order[i] = order[j], order[j] = was;
  }
}

/* All threads that are not done wait: at one barrier? Answers how many there are. */
static int look(int n) {
  int waiting = 0, first = -1;
  for (int i = 0; i < n; i++)
    if (threads[i].state == WAITING) {
      if (first < 0) first = i;
      if (threads[i].site != threads[first].site) fail("threads wait at different barriers", threads[i].file, threads[i].line);
      waiting++;
    }
  if (waiting && waiting < n) fail("not all threads of the block come to this barrier", threads[first].file, threads[first].line);
  return waiting;
}

bool run_block(void (*run)(const void *), const void *params, int n) {
  int order[MOST_THREADS];
  const char *seed = getenv("EMULATED_ORDER");
  if (seed && !random_state) random_state = strtoull(seed, NULL, 10) * 2 + 1;
  run_kernel = run, kernel_params = params, failed = false;
  for (int i = 0; i < n; i++) threads[i] = (thread){.state = NEW};
  do {
    order_threads(order, n);
    for (int i = 0; i < n; i++)
      if (threads[order[i]].state != DONE) run_thread(order[i]);
  } while (look(n) && !failed);
  for (int i = 0; i < n; i++) /* stuck in the middle of a kernel that is wrong: never taken up again */
    if (threads[i].fiber) free(threads[i].fiber->stack), free(threads[i].fiber);
  while (n_shared) free(shared[--n_shared]);
  return !failed;
}
