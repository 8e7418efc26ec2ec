/* term.c -- module "mascon.term": what the Lua part asks the terminal and the clock. */
#include "embed.h"
#include "io/io.h"
#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
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

/* term.time() -> seconds on a clock that never goes back; differences mean something, the value does not. */
static int term_time(lua_State *L) {
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
  static const luaL_Reg functions[] = {{"isatty", term_isatty}, {"columns", term_columns}, {"time", term_time}, {"utf8", term_utf8},
                                       {"smart", term_smart},   {"visible", term_visible}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
