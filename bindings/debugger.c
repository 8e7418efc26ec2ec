/* debugger.c -- the prompt inside a script. Its commands run in a thread of Lua's of their own, beside the stack that stands still,
 * so that its frames stay as they are, Ctrl-C stops a command and not the script, and an error in a command unwinds no frame of the
 * script. scripts/mascon/debugger.lua reads and sets the variables of the frames. */
#include "debugger.h"
#include "aside.h"
#include "call.h"
#include "embed.h"
#include "entry.h"
#include "interrupt.h"
#include "prompt.h"
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool next, on, left;

void ms_debug_next(void) { next = true; }
void ms_debug_end(void) { on = false; }
bool ms_debug_left(void) { return left; }

/* Arguments: the thread that stands still and those that wait for it, the innermost first. Gives the environment in which commands
 * run. */
static int enter_call(lua_State *L) {
  const int n = lua_gettop(L);
  ms_lua_require(L, "debugger");
  lua_getfield(L, -1, "enter");
  lua_insert(L, 1);
  lua_pop(L, 1);
  lua_call(L, n, 1);
  return 1;
}

static int leave_call(lua_State *L) {
  ms_lua_require(L, "debugger");
  lua_getfield(L, -1, "leave");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
  return 0;
}

/* The frames of L, and the prompt. Answers whether to go on. goes: it can. */
static bool inside(lua_State *L, lua_State *at, bool goes) {
  lua_pushcfunction(L, enter_call);
  lua_pushboolean(L, goes);
  int n = 1;
  for (int i = -1; at && n < 100; at = ms_resumer(++i)) {
    luaL_checkstack(L, 4, NULL);
    if (!lua_checkstack(at, 2)) break;
    lua_pushthread(at);
    lua_xmove(at, L, 1);
    n++;
  }
  if (lua_pcall(L, n, 1, 0) != LUA_OK) {
    fprintf(stderr, "mascon: the prompt cannot look inside: %s\n", lua_tostring(L, -1));
    return false;
  }
  ms_entry_environment(L);
  const bool go_on = ms_prompt_inside(L, goes);
  ms_entry_environment(NULL);
  lua_pushcfunction(L, leave_call);
  lua_pushboolean(L, !go_on);
  if (ms_call(L, 1, 0) != LUA_OK) ms_report(L, LUA_ERRRUN);
  return go_on;
}

/* Everything that commands may switch is put aside: recording, modes' scopes, who runs, Ctrl-C. */
static bool open_prompt(lua_State *L, bool goes) {
  if (!lua_checkstack(L, 4)) return false;
  ms_interrupts outer;
  const int top = lua_gettop(L);
  lua_State *beside = lua_newthread(L);
  lua_sethook(beside, NULL, 0, 0);
  ms_interrupt_suspend(&outer);
  ms_aside rest;
  ms_put_aside(&rest);
  const bool was_on = on;
  on = false;
  const bool go_on = inside(beside, L, goes);
  on = was_on;
  ms_take_back(&rest, L);
  ms_interrupt_resume(&outer);
  lua_settop(L, top);
  left |= !go_on;
  return go_on;
}

static bool on_ctrl_c(lua_State *L) {
  if (isatty(STDERR_FILENO)) fputc('\n', stderr); /* a progress bar may stand there */
  ms_stopped_inside();
  if (ms_broke_off()) fputs("what took long was stopped: its error comes when the script goes on\n", stderr);
  return open_prompt(L, true);
}

bool ms_debug_begin(void) {
  if (!next) return false;
  next = false, on = true, left = false;
  ms_broke_off();
  ms_interrupt_opens(on_ctrl_c);
  return true;
}

bool ms_debug_error(lua_State *L) {
  if (!on || left || !lua_checkstack(L, 10)) return false;
  size_t n;
  const char *text = lua_tolstring(L, -1, &n);
  if (!text) return false;
  on = false; /* once */
  fflush(stdout);
  ms_put_report(text, n);
  open_prompt(L, false);
  return true;
}
