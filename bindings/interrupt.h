/* interrupt.h -- Ctrl-C. */
#ifndef MASCON_INTERRUPT_H
#define MASCON_INTERRUPT_H
#include <lua.h>
#include <stdbool.h>

/* SIGINT raises "interrupted" in the Lua code that runs, from here to ms_interrupt_end. What a protected call of the script
 * swallows is raised again as soon as that call is over, until nothing of the script is left; clean-up that begins meanwhile
 * (<close>, message handlers) has GRACE to end. A second SIGINT ends the process, unless a session is kept. */
void ms_interrupt_begin(lua_State *L);
void ms_interrupt_end(lua_State *L);

/* Make coroutine.resume, wrap and close tell who runs, and keep scopes and modes apart (coroutine.c). Once is enough. */
void msl_open_coroutine(lua_State *L);

/* An error can come between a guard and the <close> that was to end it (Ctrl-C raises at any instruction): what the call from
 * `begins` on left switched is switched back. */
void msl_call_begins(void);
void msl_call_failed(void);
void msl_open_seeded(lua_State *L); /* ms._seeded; module table on top */

/* This state runs from now on. */
void ms_running(lua_State *L);
/* The coroutine `to` has the turn, resumed by `from`; it has ended. ms_resumer(0): who resumed the one that runs, 1: who that one;
 * NULL past the first of the call. */
void ms_turn_begins(lua_State *from, lua_State *to);
void ms_turn_ends(lua_State *back);
lua_State *ms_resumer(int i);
/* Another hook was taken away: if SIGINT waits, it has its turn now. */
void ms_rearm(lua_State *L);

/* There is a prompt to come back to: however many SIGINT, also between two lines, the process stays. */
void ms_keep_session(void);

/* From here to ms_interrupt_end SIGINT does not raise but calls this, at a line of the script (debugger.c). false: leave. */
void ms_interrupt_opens(bool (*open)(lua_State *L));
/* Was a calculation told to stop since this was asked last? */
bool ms_broke_off(void);

/* Calls inside a call that stands still: put the state of the outer one aside, and back. */
typedef struct ms_interrupts {
  lua_State *running;
  int waiting, raised, fresh, first_turn, usual_mask;
  double deadline;
  lua_Hook usual;
  bool (*opens)(lua_State *L);
} ms_interrupts;
void ms_interrupt_suspend(ms_interrupts *s);
void ms_interrupt_resume(const ms_interrupts *s);

/* "interrupted" was raised since ms_interrupt_begin. */
bool ms_was_interrupted(void);

/* The hook that is set while no SIGINT waits (NULL: none), and its mask. */
void ms_usual_hook(lua_State *L, lua_Hook hook, int mask);
#endif
