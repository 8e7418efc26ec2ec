/* interrupt.c -- Ctrl-C, whatever the script is doing: other coroutines, protected calls, long calls into the core (which ask
 * ms_interrupted now and then), reading. */
#include "interrupt.h"
#include "core/busy.h"
#include "mascon.h"
#include "step/record.h"
#include <lauxlib.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT };
#define GRACE   0.1  /* seconds for clean-up, from the first raise on */
#define SHORTLY 0.15 /* seconds from one word about what has not stopped to the next */

static pthread_t lua_thread;            /* the thread that runs Lua */
static lua_State *volatile running;     /* the coroutine whose turn it is */
static volatile sig_atomic_t waiting;   /* a SIGINT came that has not reached the end of the call */
static volatile sig_atomic_t presses;   /* so many since; the first counts */
static volatile double asked, told;     /* when the first came, and when something was said about it */
static volatile sig_atomic_t broke_off; /* a calculation was told to stop */
static bool raised, session;
static double deadline; /* raised: when clean-up must have ended */
static int fresh;       /* raised: calls that began after the last raise and have not ended: clean-up */
static lua_Hook usual;
static int usual_mask;
static bool (*opens)(lua_State *L); /* a prompt inside what runs (debugger.c), or NULL: it is stopped */

/* Coroutines that wait for one that they resumed, the outermost first. */
enum { TURNS = 256 };
static lua_State *turn[TURNS];
static int turns, first_turn; /* of the call that runs: from first_turn on */

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

/* Where the prompt opens: at a line of the script itself, so that what the library does in Lua (an optimizer's step) is done whole.
 * After LONG it opens wherever it is. A step that is recorded is let end, unless asked again: what runs at the prompt is no part of
 * it. */
#define LONG 0.5 /* seconds */

/* Pressed so often, and not at once: a key that is hit twice is one wish. */
static bool insists(int times) { return presses >= times && clock_seconds() - asked > 1; }

static bool may_open(lua_State *L, lua_Debug *ar) {
  if (ms_recording() && !insists(2)) return false;
  if (clock_seconds() - asked > LONG) return true;
  if (ar->event != LUA_HOOKLINE) return false;
  lua_getinfo(L, "S", ar);
  return strncmp(ar->source, "=mascon/", 8) != 0;
}

static void arm(lua_State *L);

/* The prompt inside. It answers whether what runs goes on; else it is left as by Ctrl-C in a script. */
static void open_here(lua_State *L) {
  waiting = 0, presses = 0;
  ms_interrupt_clear();
  lua_sethook(L, usual, usual_mask, 0);
  if (opens(L)) return;
  opens = NULL;
  asked = clock_seconds(), waiting = 1;
  ms_interrupt();
  arm(L);
  raise_it(L);
}

/* Once the first raise is over, whatever runs was there before it, and is to be left too, or was called since and cleans up. */
static void stop_hook(lua_State *L, lua_Debug *ar) {
  if (!waiting) { /* a coroutine that slept while all this happened */
    lua_sethook(L, usual, usual_mask, 0);
    return;
  }
  if (opens) {
    if (may_open(L, ar)) open_here(L);
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

/* Said by a signal handler: what has not stopped, however often it is asked to. */
static void say(const char *before, const char *after) {
  char line[256] = "\n";
  size_t n = 1;
  for (; *before && n < 100; before++) line[n++] = *before;
  size_t what = ms_busy_text(line + n, 80);
  if (what) n += what;
  else n -= 2; /* the colon */
  for (; *after && n < sizeof line - 1; after++) line[n++] = *after;
  line[n++] = '\n';
  if (write(STDERR_FILENO, line, n) < 0) return;
}

/* lua_sethook is the one function of Lua that a signal handler may call, and only in the thread that runs Lua: a signal that lands
 * in a thread of the kernels' pool is passed on. */
static void on_sigint(int sig) {
  if (!pthread_equal(pthread_self(), lua_thread)) {
    pthread_kill(lua_thread, sig);
    return;
  }
  if (!session) signal(sig, SIG_DFL);
  const double now = clock_seconds();
  if (!waiting) asked = told = now, presses = 0;
  presses++;
  waiting = 1;
  /* Where a prompt opens inside, a long calculation is let end: it cannot be gone on with. The third time it is stopped. */
  const bool stops = !opens || insists(3);
  if (stops) broke_off = 1, ms_interrupt();
  if (session && now - told > SHORTLY) {
    told = now;
    if (stops) say("still stopping: ", now - asked > 5 ? "; Ctrl-\\ ends the program" : "");
    else say("the prompt opens when this has ended: ", "; Ctrl-C again stops it");
  }
  if (running && !(opens && ms_recording() && !insists(2))) arm(running); /* a recording has a hook of its own */
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

void ms_turn_begins(lua_State *from, lua_State *to) {
  if (turns < TURNS) turn[turns] = from;
  turns++;
  ms_running(to);
}

void ms_turn_ends(lua_State *back) {
  turns--;
  ms_running(back);
}

lua_State *ms_resumer(int i) {
  const int at = turns - 1 - i;
  return at >= first_turn && at < TURNS ? turn[at] : NULL;
}

void ms_rearm(lua_State *L) {
  if (waiting) arm(L);
}

void ms_interrupt_opens(bool (*open)(lua_State *L)) { opens = open; }

void ms_interrupt_suspend(ms_interrupts *s) {
  *s = (ms_interrupts){running, waiting, raised, fresh, first_turn, usual_mask, deadline, usual, opens};
  opens = NULL;
  waiting = 0;
  ms_interrupt_clear();
  on(session ? ignore : SIG_DFL);
}

void ms_interrupt_resume(const ms_interrupts *s) {
  running = s->running, waiting = s->waiting, raised = s->raised, fresh = s->fresh, first_turn = s->first_turn;
  usual_mask = s->usual_mask, deadline = s->deadline, usual = s->usual, opens = s->opens;
  on(on_sigint);
  if (waiting) ms_interrupt();
  if (waiting && running) arm(running);
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
  first_turn = turns;
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
  opens = NULL;
  lua_sethook(L, NULL, 0, 0);
}

bool ms_broke_off(void) {
  const bool was = broke_off;
  broke_off = 0;
  return was;
}

bool ms_was_interrupted(void) { return raised; }
