/* interrupt.c -- Ctrl-C, whatever the script is doing: other coroutines, protected calls, long calls into the core (which ask
 * ms_interrupted now and then), reading. */
#include "interrupt.h"
#include "mascon.h"
#include <lauxlib.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

enum { EVENTS = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT };
#define GRACE 0.1 /* seconds for clean-up, from the first raise on */

static pthread_t lua_thread;          /* the thread that runs Lua */
static lua_State *volatile running;   /* the coroutine whose turn it is */
static volatile sig_atomic_t waiting; /* a SIGINT came that has not reached the end of the call */
static bool raised, session;
static double deadline; /* raised: when clean-up must have ended */
static int fresh;       /* raised: calls that began after the last raise and have not ended: clean-up */
static lua_Hook usual;
static int usual_mask;

static double clock_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int raise_it(lua_State *L) {
  if (!raised) deadline = clock_seconds() + GRACE;
  raised = true;
  fresh = 0;
  return luaL_error(L, "interrupted");
}

/* How many calls, from the innermost on, belong to a __close that runs: 0, none does. */
static int closing(lua_State *L) {
  lua_Debug ar;
  for (int level = 0; level < 16 && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "n", &ar);
    if (ar.name && !strcmp(ar.namewhat, "metamethod") && !strcmp(ar.name, "close")) return level + 1;
  }
  return 0;
}

/* Once the first raise is over, whatever runs was there before it, and is to be left too, or was called since and cleans up. */
static void stop_hook(lua_State *L, lua_Debug *ar) {
  if (!waiting) { /* a coroutine that slept while all this happened */
    lua_sethook(L, usual, usual_mask, 0);
    return;
  }
  if (!raised) {
    if (!(fresh = closing(L))) raise_it(L);
    raised = true; /* as good as: clean-up was under way already */
    deadline = clock_seconds() + GRACE;
    if (ar->event != LUA_HOOKRET) return;
  }
  if (ar->event == LUA_HOOKCALL) fresh++;
  else if (fresh == 0 || clock_seconds() > deadline) raise_it(L);
  else if (ar->event == LUA_HOOKRET) fresh--;
}

static void arm(lua_State *L) { lua_sethook(L, stop_hook, EVENTS, 1); }

/* lua_sethook is the one function of Lua that a signal handler may call, and only in the thread that runs Lua: a signal that lands
 * in a thread of the kernels' pool is passed on. */
static void on_sigint(int sig) {
  if (!pthread_equal(pthread_self(), lua_thread)) {
    pthread_kill(lua_thread, sig);
    return;
  }
  if (!session) signal(sig, SIG_DFL);
  waiting = 1;
  ms_interrupt();
  if (running) arm(running);
}

static void ignore(int sig) { (void)sig; }

/* Without SA_RESTART: a read that waits (io.read) ends, and the hook has its turn. */
static void on(void (*handler)(int)) {
  struct sigaction a = {.sa_handler = handler};
  sigemptyset(&a.sa_mask);
  sigaction(SIGINT, &a, NULL);
}

void ms_running(lua_State *L) {
  running = L;
  if (waiting) arm(L);
}

void ms_usual_hook(lua_State *L, lua_Hook hook, int mask) {
  usual = hook, usual_mask = mask;
  if (!waiting) lua_sethook(L, hook, mask, 0);
}

void ms_keep_session(void) {
  session = true;
  on(ignore);
}

void ms_interrupt_begin(lua_State *L) {
  lua_thread = pthread_self();
  waiting = 0, raised = false;
  running = L;
  on(on_sigint);
}

void ms_interrupt_end(lua_State *L) {
  on(session ? ignore : SIG_DFL);
  running = NULL;
  raised |= waiting; /* a call into the core gave way by itself */
  waiting = 0;
  ms_interrupt_clear();
  usual = NULL, usual_mask = 0;
  lua_sethook(L, NULL, 0, 0);
}

bool ms_was_interrupted(void) { return raised; }
