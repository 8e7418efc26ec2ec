/* term.c -- module "mascon.term": what the Lua part asks the terminal and the clock. */
#include "embed.h"
#include "io/io.h"
#include <lauxlib.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* term.isatty([fd]) -> boolean: is file descriptor fd (1 = standard output) a terminal? */
static int term_isatty(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_optinteger(L, 1, STDOUT_FILENO)));
  return 1;
}

/* term.columns([fd]) -> integer or nil: the width of the terminal there, or what COLUMNS says. */
static int term_columns(lua_State *L) {
  struct winsize w;
  if (ioctl((int)luaL_optinteger(L, 1, STDOUT_FILENO), TIOCGWINSZ, &w) == 0 && w.ws_col > 0) {
    lua_pushinteger(L, w.ws_col);
    return 1;
  }
  const char *columns = getenv("COLUMNS");
  int n = columns ? atoi(columns) : 0;
  if (n <= 0) return 0;
  lua_pushinteger(L, n);
  return 1;
}

/* term.rows([fd]) -> integer or nil: its height. */
static int term_rows(lua_State *L) {
  struct winsize w;
  if (ioctl((int)luaL_optinteger(L, 1, STDOUT_FILENO), TIOCGWINSZ, &w) || w.ws_row == 0) return 0;
  lua_pushinteger(L, w.ws_row);
  return 1;
}

/* term.ask(question, end, seconds) -> what the terminal answers up to the character `end`, or nil: no terminal, or no answer in
 * time. What was typed ahead is left alone only as far as it comes after the answer. */
static int term_ask(lua_State *L) {
  size_t n, got = 0;
  const char *question = luaL_checklstring(L, 1, &n), *end = luaL_checkstring(L, 2);
  int wait = (int)(1000 * luaL_checknumber(L, 3));
  char answer[256];
  struct termios was, raw;
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &was)) return 0;
  raw = was;
  raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
  raw.c_cc[VMIN] = 0, raw.c_cc[VTIME] = 0;
  if (tcsetattr(STDIN_FILENO, TCSANOW, &raw)) return 0;
  struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
  if (poll(&p, 1, 0)) { /* keys that were hit ahead are no answer, and the prompt's */
    tcsetattr(STDIN_FILENO, TCSANOW, &was);
    return 0;
  }
  fflush(stdout);
  bool whole = write(STDOUT_FILENO, question, n) != (ssize_t)n;
  while (!whole && got < sizeof answer && poll(&p, 1, wait) > 0 && read(STDIN_FILENO, answer + got, 1) == 1)
    whole = answer[got++] == *end;
  tcsetattr(STDIN_FILENO, TCSANOW, &was);
  if (!whole || !got) return 0;
  lua_pushlstring(L, answer, got);
  return 1;
}

/* term.time() -> seconds on a clock that never goes back; differences mean something, the value does not. */
static int term_time(lua_State *L) {
  if (lua_gettop(L)) return luaL_error(L, "time: expected no argument");
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec * 1e-9);
  return 1;
}

/* term.utf8() -> boolean: does the locale in the environment say UTF-8? */
static int term_utf8(lua_State *L) {
  static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
  bool is = false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *v = getenv(names[i]);
    if (!v || !*v) continue;
    const char *dot = strchr(v, '.');
    is = dot && (!strncasecmp(dot + 1, "utf-8", 5) || !strncasecmp(dot + 1, "utf8", 4));
    break;
  }
  lua_pushboolean(L, is);
  return 1;
}

/* term.smart([fd]) -> boolean: a terminal that understands escape sequences (TERM set, not dumb). */
static int term_smart(lua_State *L) {
  const char *term = getenv("TERM");
  lua_pushboolean(L, isatty((int)luaL_optinteger(L, 1, STDOUT_FILENO)) && term && *term && strcmp(term, "dumb"));
  return 1;
}

/* term.colours([fd]) -> boolean: a smart terminal, and NO_COLOR is not set. */
static int term_colours(lua_State *L) {
  const char *no = getenv("NO_COLOR");
  term_smart(L);
  lua_pushboolean(L, lua_toboolean(L, -1) && !(no && *no));
  return 1;
}

/* term.visible(text [, lines]) -> the text with control characters and bytes that are no UTF-8 as \DDD; lines: but for tabs and
 * line ends. */
static int term_visible(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  bool lines = lua_toboolean(L, 2); /* now: the buffer may take a place on the stack */
  luaL_argcheck(L, n < SIZE_MAX / 4, 1, "too long");
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, 4 * n);
  luaL_pushresultsize(&b, ms_visible(s, n, lines, out));
  return 1;
}

int luaopen_mascon_term(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"isatty", term_isatty},   {"columns", term_columns}, {"time", term_time}, {"utf8", term_utf8},       {"smart", term_smart},
      {"visible", term_visible}, {"rows", term_rows},       {"ask", term_ask},   {"colours", term_colours}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
