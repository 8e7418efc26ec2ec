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

/* This state runs from now on (a coroutine's turn began or ended). */
void ms_running(lua_State *L);

/* There is a prompt to come back to: however many SIGINT, also between two lines, the process stays. */
void ms_keep_session(void);

/* "interrupted" was raised since ms_interrupt_begin. */
bool ms_was_interrupted(void);

/* The hook that is set while no SIGINT waits (NULL: none), and its mask. */
void ms_usual_hook(lua_State *L, lua_Hook hook, int mask);
#endif
