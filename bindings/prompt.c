/* prompt.c -- reading at the terminal (libedit), running, printing. What to print and to complete is scripts/mascon/prompt.lua. */
#include "prompt.h"
#include "call.h"
#include "embed.h"
#include "history.h"
#include "mascon.h"
#include <errno.h>
#include <histedit.h>
#include <lauxlib.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEEP = 2000, LONGEST = 1 << 20 }; /* history entries; bytes of one chunk */

typedef struct prompt {
  lua_State *L;
  int base;     /* of the stack: the text read stands at base + 1 */
  EditLine *el; /* NULL: plain reading by getline */
  History *history;
  const char *history_path; /* NULL: not kept */
  bool terminal;            /* someone is there to see a prompt */
  bool more;                /* inside a chunk of several lines */
  bool cancelled;           /* Ctrl-C while editing */
} prompt;

static char *prompt_text(EditLine *el) {
  prompt *p = NULL;
  el_get(el, EL_CLIENTDATA, &p);
  return p->more ? (char *)"     .. " : (char *)"mascon> ";
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static unsigned char on_ctrl_c(EditLine *el, int ch) {
  (void)ch;
  prompt *p = NULL;
  el_get(el, EL_CLIENTDATA, &p);
  p->cancelled = true;
  return CC_EOF;
}

/* EL_SIGNAL: libedit restores the terminal before the process stops, and takes it back after. */
static unsigned char on_ctrl_z(EditLine *el, int ch) {
  (void)el, (void)ch;
  raise(SIGTSTP);
  return CC_REFRESH;
}

static int complete_call(lua_State *L) {
  const char *line = lua_tostring(L, 1);
  ms_lua_require(L, "prompt");
  lua_getfield(L, -1, "complete");
  lua_pushstring(L, line);
  lua_call(L, 1, 2);
  return 2;
}

static size_t common_prefix(const char *a, const char *b, size_t most) {
  size_t n = 0;
  while (n < most && a[n] && a[n] == b[n]) n++;
  return n;
}

/* The candidates (a list on top of the stack) in columns below the line. */
static void list_candidates(lua_State *L, lua_Integer count) {
  int width = 80, longest = 0;
  ms_lua_require(L, "term");
  lua_getfield(L, -1, "columns");
  lua_call(L, 0, 1);
  if (lua_tointeger(L, -1) > 0) width = (int)lua_tointeger(L, -1);
  lua_pop(L, 2);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    int n = (int)strlen(lua_tostring(L, -1));
    if (n > longest) longest = n;
    lua_pop(L, 1);
  }
  int columns = width / (longest + 2) > 0 ? width / (longest + 2) : 1;
  lua_Integer rows = (count + columns - 1) / columns;
  putchar('\n');
  for (lua_Integer r = 1; r <= rows; r++) {
    for (lua_Integer i = r; i <= count; i += rows) {
      lua_rawgeti(L, -1, i);
      printf("%-*s", i + rows <= count ? longest + 2 : 0, lua_tostring(L, -1));
      lua_pop(L, 1);
    }
    putchar('\n');
  }
  fflush(stdout);
}

/* Tab: after nothing but spaces, an indent; else complete the name before the cursor as far as it is certain; a second Tab on the
 * same place, or nothing to add, lists what it could become. */
static unsigned char on_tab(EditLine *el, int ch) {
  (void)ch;
  prompt *p = NULL;
  el_get(el, EL_CLIENTDATA, &p);
  lua_State *L = p->L;
  const LineInfo *li = el_line(el);
  size_t n = (size_t)(li->cursor - li->buffer);
  if (strspn(li->buffer, " \t") >= n) return el_insertstr(el, "  ") ? CC_ERROR : CC_REFRESH;
  int top = lua_gettop(L);
  lua_pushcfunction(L, complete_call);
  lua_pushlstring(L, li->buffer, n);
  unsigned char answer = CC_ERROR;
  if (lua_pcall(L, 1, 2, 0) == LUA_OK && lua_istable(L, -2)) {
    size_t typed = (size_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    if (count > 0) {
      lua_rawgeti(L, -1, 1);
      const char *first = lua_tostring(L, -1);
      size_t common = strlen(first);
      for (lua_Integer i = 2; i <= count; i++) {
        lua_rawgeti(L, -2, i);
        common = common_prefix(first, lua_tostring(L, -1), common);
        lua_pop(L, 1);
      }
      if (common > typed) {
        lua_pushlstring(L, first + typed, common - typed);
        answer = el_insertstr(el, lua_tostring(L, -1)) ? CC_ERROR : CC_REFRESH;
      } else if (count > 1) {
        lua_pop(L, 1);
        list_candidates(L, count);
        answer = CC_REDISPLAY;
      } else answer = CC_NORM;
    }
  }
  lua_settop(L, top);
  return answer;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void remember(void *data, const char *entry) {
  prompt *p = data;
  HistEvent ev;
  if (p->history) history(p->history, &ev, H_ENTER, entry);
}

static void open_terminal(prompt *p) {
  const char *term = getenv("TERM");
  p->terminal = isatty(STDIN_FILENO);
  if (!p->terminal) return;
  p->history_path = ms_history_path();
  if (!isatty(STDOUT_FILENO) || !term || !*term || !strcmp(term, "dumb")) return;
  setlocale(LC_CTYPE, "");
  HistEvent ev;
  p->el = el_init("mascon", stdin, stdout, stderr);
  p->history = history_init();
  if (!p->el || !p->history) return;
  history(p->history, &ev, H_SETSIZE, KEEP);
  history(p->history, &ev, H_SETUNIQUE, 1);
  if (p->history_path) ms_history_load(p->history_path, KEEP, remember, p);
  el_set(p->el, EL_CLIENTDATA, p);
  el_set(p->el, EL_PROMPT, prompt_text);
  el_set(p->el, EL_EDITOR, "emacs");
  el_set(p->el, EL_SIGNAL, 1);
  el_set(p->el, EL_HIST, history, p->history);
  el_set(p->el, EL_ADDFN, "mascon-cancel", "drop the line", on_ctrl_c);
  el_set(p->el, EL_ADDFN, "mascon-complete", "complete a name", on_tab);
  el_set(p->el, EL_ADDFN, "mascon-suspend", "stop the process", on_ctrl_z);
  /* While a line is edited Ctrl-C and Ctrl-Z are keys like others; a running command gets them as signals. */
  el_set(p->el, EL_SETTY, "-d", "-isig", NULL);
  el_set(p->el, EL_BIND, "^C", "mascon-cancel", NULL);
  el_set(p->el, EL_BIND, "^Z", "mascon-suspend", NULL);
  el_set(p->el, EL_BIND, "\t", "mascon-complete", NULL);
  el_set(p->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
  el_set(p->el, EL_BIND, "\\e[1;5C", "em-next-word", NULL);
  el_set(p->el, EL_BIND, "\\e[1;5D", "ed-prev-word", NULL);
  el_set(p->el, EL_BIND, "\\e[3~", "ed-delete-next-char", NULL);
  el_set(p->el, EL_BIND, "\\e[H", "ed-move-to-beg", NULL);
  el_set(p->el, EL_BIND, "\\e[F", "ed-move-to-end", NULL);
  el_source(p->el, NULL);
}

static void close_terminal(prompt *p) {
  if (p->el) el_end(p->el);
  if (p->history) history_end(p->history);
}

static volatile sig_atomic_t broken; /* Ctrl-C while getline waits */
static void on_break(int sig) {
  (void)sig;
  broken = 1;
}

/* One line without its end, pushed as a string. 1: there it is; 0: end of input; -1: cancelled by Ctrl-C. */
static int read_line(prompt *p) {
  if (p->el) {
    int n = 0;
    p->cancelled = false;
    errno = 0;
    const char *line = el_gets(p->el, &n);
    if (p->cancelled || (!line && errno == EINTR)) { /* the key, or a signal from elsewhere */
      fputs("^C\n", stdout);
      return -1;
    }
    if (!line || n <= 0) {
      putchar('\n');
      return 0;
    }
    lua_pushlstring(p->L, line, strcspn(line, "\r\n") < (size_t)n && line[n - 1] == '\n' ? (size_t)n - 1 : (size_t)n);
    return 1;
  }
  if (p->terminal) {
    fputs(p->more ? "     .. " : "mascon> ", stdout);
    fflush(stdout);
  }
  struct sigaction catch = {.sa_handler = on_break}, old;
  broken = 0;
  if (p->terminal) sigaction(SIGINT, &catch, &old);
  char *line = NULL;
  size_t size = 0;
  ssize_t n = getline(&line, &size, stdin);
  if (p->terminal) sigaction(SIGINT, &old, NULL);
  if (n < 0) {
    free(line);
    clearerr(stdin);
    if (p->terminal) putchar('\n');
    return broken ? -1 : 0;
  }
  if (n > 0 && line[n - 1] == '\n') n--;
  lua_pushlstring(p->L, line, (size_t)n);
  free(line);
  return 1;
}

/* Did the chunk fail to compile only because it ends too early? The message is on top of the stack. */
static bool is_incomplete(lua_State *L, int status) {
  static const char mark[] = "<eof>";
  if (status != LUA_ERRSYNTAX) return false;
  size_t n;
  const char *msg = lua_tolstring(L, -1, &n);
  return n >= sizeof mark - 1 && !strcmp(msg + n - (sizeof mark - 1), mark);
}

/* Compile the text at index `text`, as an expression if it is one; the function or the message is pushed. */
static int compile_text(lua_State *L, int text) {
  size_t n;
  const char *code = lua_tolstring(L, text, &n);
  size_t skip = strspn(code, " \t");
  if (code[skip] == '=') code += skip + 1, n -= skip + 1; /* "=x", as Lua 5.1 had it */
  const char *expression = lua_pushfstring(L, "return %s", code);
  int status = luaL_loadbufferx(L, expression, strlen(expression), "=prompt", "t");
  if (status == LUA_OK) {
    lua_remove(L, -2);
    return status;
  }
  lua_pop(L, 2);
  return luaL_loadbufferx(L, code, n, "=prompt", "t");
}

/* What was typed, made ready to compile: Lua's rules but for `local` at its start, which would be gone with the line. */
static int prepare_call(lua_State *L) {
  ms_lua_require(L, "prompt");
  lua_getfield(L, -1, "prepare");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* Read a whole chunk: its text at base + 1, the function at base + 2 (none for ?help). 1: run it; 2: a message there instead of the
 * function; 0: end of input; -1: nothing to do. */
static int read_chunk(prompt *p) {
  lua_State *L = p->L;
  int text = p->base + 1;
  p->more = false;
  int got = read_line(p);
  if (got <= 0) return got;
  for (;;) {
    const char *s = lua_tostring(L, text);
    char first = s[strspn(s, " \t\r")];
    if (!p->more && !first) return -1;
    if (!p->more && first == '?') return 1;
    lua_pushcfunction(L, prepare_call);
    lua_pushvalue(L, text);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) return 2;
    int status = compile_text(L, text + 1);
    lua_remove(L, text + 1);
    if (status == LUA_OK) return 1;
    if (!is_incomplete(L, status) || lua_rawlen(L, text) > LONGEST) return 2;
    p->more = true;
    got = read_line(p);
    if (got < 0) return -1;
    if (got == 0) return 2;
    lua_pushfstring(L, "%s\n%s", lua_tostring(L, text), lua_tostring(L, text + 2));
    lua_replace(L, text);
    lua_settop(L, text);
  }
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static int show_call(lua_State *L) {
  int n = lua_gettop(L);
  ms_lua_require(L, "prompt");
  lua_getfield(L, -1, "show");
  lua_insert(L, 1);
  lua_pop(L, 1);
  lua_call(L, n, 0);
  return 0;
}

static int help_call(lua_State *L) {
  ms_lua_require(L, "prompt");
  lua_getfield(L, -1, "help");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
  return 0;
}

static bool says_goodbye(const char *s) {
  static const char *const words[] = {"exit", "quit", "exit()", "quit()"};
  s += strspn(s, " \t");
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t n = strlen(words[i]);
    if (!strncmp(s, words[i], n) && s[n + strspn(s + n, " \t")] == 0) return true;
  }
  return false;
}

/* Run what read_chunk left on the stack. */
static void run_typed(prompt *p) {
  lua_State *L = p->L;
  int status, text = p->base + 1;
  if (lua_gettop(L) == text) {
    lua_pushcfunction(L, help_call);
    lua_pushvalue(L, text);
    status = ms_call(L, 1, 0);
  } else {
    status = ms_call(L, 0, LUA_MULTRET);
    int values = lua_gettop(L) - text;
    if (status == LUA_OK && values > 0 && lua_checkstack(L, 10)) {
      lua_pushcfunction(L, show_call);
      lua_insert(L, text + 1);
      status = ms_call(L, values, 0);
    }
  }
  fflush(stdout);
  ms_report(L, status);
}

int ms_prompt(lua_State *L) {
  prompt p = {.L = L, .base = lua_gettop(L)};
  open_terminal(&p);
  if (p.terminal) puts("mascon " MS_VERSION "   ?NAME tells about it, Tab completes, Ctrl-D leaves");
  for (;;) {
    lua_settop(L, p.base);
    int got = read_chunk(&p);
    if (got == 0) break;
    if (got < 0) continue;
    const char *text = lua_tostring(L, p.base + 1);
    if (p.terminal) {
      remember(&p, text);
      if (p.history_path) ms_history_append(p.history_path, text);
    }
    if (says_goodbye(text)) break;
    if (got == 2) ms_report(L, LUA_ERRSYNTAX);
    else run_typed(&p);
  }
  close_terminal(&p);
  lua_settop(L, p.base);
  return 0;
}
