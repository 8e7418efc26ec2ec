/* folder.c -- picture files decoded ahead. A ring of `room` pictures: workers take the next number, decode it into its place of the
 * ring and mark it; who asks takes them in order and frees the places. One mutex; decoding happens outside of it. */
#include "data/folder.h"
#include "core/own_error.h"
#include "data/data.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_WORKERS = 64, LOOK = 50 /* ms between two looks for Ctrl-C */ };

/* ---- one picture ------------------------------------------------------------------------------------------------- */

int ms_picture_size(const char *path, int channels, int *height, int *width) {
  ms_picture *p = ms_picture_open(path, channels, 0);
  if (!p) return -1;
  *height = p->height, *width = p->width;
  ms_picture_close(p);
  return 0;
}

int ms_picture_planes(const char *path, const ms_fit *fit, uint8_t *out) {
  ms_picture *p = ms_picture_open(path, fit->channels, 0);
  if (!p) return -1;
  const size_t plane = (size_t)p->width * (size_t)p->height;
  const bool same = p->width == fit->width && p->height == fit->height;
  uint8_t *whole = same ? out : malloc(plane * (size_t)p->channels);
  int rc = -1;
  if (!whole) ms_fail("%s: out of memory for %d x %d pixels", path, p->height, p->width);
  else if (!ms_picture_pixels(p, whole, (size_t)p->width, 1, plane)) {
    rc = same ? 0 : ms_resize(whole, p->channels, p->height, p->width, fit, out);
    if (rc) ms_error_prefix("%s", path);
  }
  if (!same) free(whole);
  ms_picture_close(p);
  return rc;
}

/* ---- many -------------------------------------------------------------------------------------------------------- */

typedef enum state { FREE, READY, FAILED } state;

struct ms_ahead {
  int64_t n, room;
  const char *const *paths;
  ms_fit fit;
  size_t bytes;
  uint8_t *ring;
  uint8_t *states;
  pthread_mutex_t lock;
  pthread_cond_t freed, made; /* a place of the ring; a picture */
  int64_t next, taken;        /* the next number to decode; how many were handed out */
  bool ending;
  ms_own_error why;     /* of the first that failed */
  int64_t failed;       /* its number, or n */
  ms_own_error *errors; /* of each worker */
  int workers, begun;
  pthread_t threads[MOST_WORKERS];
};

static int decode(const ms_ahead *a, int64_t k, uint8_t *out) {
  int height, width;
  if (a->fit.resize) return ms_picture_planes(a->paths[k], &a->fit, out);
  if (ms_picture_size(a->paths[k], a->fit.channels, &height, &width)) return -1;
  if (height == a->fit.height && width == a->fit.width) return ms_picture_planes(a->paths[k], &a->fit, out);
  ms_fail("%s: it is %d x %d, others before it %d x %d: choose one by the option size", a->paths[k], height, width, a->fit.height,
          a->fit.width);
  return -1;
}

static void *work(void *data) {
  ms_ahead *a = data;
  pthread_mutex_lock(&a->lock);
  ms_own_error *mine = &a->errors[a->begun++];
  ms_error_own(mine);
  while (!a->ending && a->next < a->n) {
    if (a->next >= a->taken + a->room) {
      pthread_cond_wait(&a->freed, &a->lock);
      continue;
    }
    const int64_t k = a->next++, at = k % a->room;
    pthread_mutex_unlock(&a->lock);
    const int rc = decode(a, k, a->ring + (size_t)at * a->bytes);
    pthread_mutex_lock(&a->lock);
    if (rc && k < a->failed) a->failed = k, a->why = *mine;
    mine->pending = false;
    a->states[at] = rc ? FAILED : READY;
    pthread_cond_broadcast(&a->made);
  }
  pthread_mutex_unlock(&a->lock);
  return NULL;
}

ms_ahead *ms_ahead_new(int64_t n, const char *const *paths, const ms_fit *fit, int64_t room) {
  ms_ahead *a = calloc(1, sizeof *a);
  if (!a) return ms_fail("out of memory");
  int workers = ms_threads() < MOST_WORKERS ? ms_threads() : MOST_WORKERS;
  if (room < 2 * workers) room = 2 * workers;
  if (room > n) room = n > 0 ? n : 1;
  *a = (ms_ahead){.n = n, .room = room, .paths = paths, .fit = *fit, .failed = n};
  a->bytes = (size_t)fit->channels * (size_t)fit->height * (size_t)fit->width;
  a->ring = malloc((size_t)room * a->bytes);
  a->states = calloc((size_t)room, 1);
  a->errors = calloc((size_t)workers, sizeof *a->errors);
  pthread_mutex_init(&a->lock, NULL);
  pthread_condattr_t clock;
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_cond_init(&a->made, &clock);
  pthread_cond_init(&a->freed, NULL);
  pthread_condattr_destroy(&clock);
  if (!a->ring || !a->states || !a->errors) {
    ms_fail("out of memory for %lld pictures of %zu bytes", (long long)room, a->bytes);
    return ms_ahead_free(a), NULL;
  }
  sigset_t all, before; /* signals are the script's thread's */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (int rc = 0; a->workers < workers && a->workers < n && !rc; a->workers += !rc)
    rc = pthread_create(&a->threads[a->workers], NULL, work, a);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return a; /* without any thread, next does it itself */
}

/* The picture k is in the ring: 0; -1 after ms_fail. Called and left with the lock. */
static int wait_for(ms_ahead *a, int64_t k) {
  while (a->states[k % a->room] == FREE) {
    struct timespec t;
    if (ms_interrupted()) return ms_stopped("pictures"), -1;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += LOOK * 1000000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    pthread_cond_timedwait(&a->made, &a->lock, &t);
  }
  if (a->states[k % a->room] == READY) return 0;
  ms_fail("%s", k == a->failed ? a->why.message : a->paths[k]);
  return -1;
}

int ms_ahead_next(ms_ahead *a, int64_t count, uint8_t *out) {
  if (count > a->n - a->taken) {
    ms_fail("pictures: %lld are left, %lld were asked for", (long long)(a->n - a->taken), (long long)count);
    return -1;
  }
  int rc = 0;
  if (!a->workers) {
    for (; count && !rc; count--, out += a->bytes) {
      if (ms_interrupted()) rc = (ms_stopped("pictures"), -1);
      else if (!(rc = decode(a, a->taken, out))) a->taken++;
    }
    return rc;
  }
  pthread_mutex_lock(&a->lock);
  for (; count && !rc; count--, out += a->bytes) {
    const int64_t k = a->taken, at = k % a->room;
    if ((rc = wait_for(a, k))) break;
    pthread_mutex_unlock(&a->lock); /* nobody writes there before it is taken */
    memcpy(out, a->ring + (size_t)at * a->bytes, a->bytes);
    pthread_mutex_lock(&a->lock);
    a->states[at] = FREE;
    a->taken++;
    pthread_cond_signal(&a->freed);
  }
  pthread_mutex_unlock(&a->lock);
  return rc;
}

void ms_ahead_free(ms_ahead *a) {
  if (!a) return;
  pthread_mutex_lock(&a->lock);
  a->ending = true;
  pthread_cond_broadcast(&a->freed);
  pthread_mutex_unlock(&a->lock);
  for (int i = 0; i < a->workers; i++) pthread_join(a->threads[i], NULL);
  pthread_mutex_destroy(&a->lock);
  pthread_cond_destroy(&a->made);
  pthread_cond_destroy(&a->freed);
  free(a->ring);
  free(a->states);
  free(a->errors);
  free(a);
}
