/* prompt.c -- reading at the terminal (libedit), running, printing. What to print and to complete is scripts/mascon/prompt.lua. */
#include "prompt.h"
#include "call.h"
#include "embed.h"
#include "entry.h"
#include "history.h"
#include "keys.h"
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

enum { KEEP = 2000 }; /* history entries */

typedef struct prompt {
  ms_keys keys; /* first: keys.h */
  lua_State *L;
  int base;                 /* of the stack: the text read stands at base + 1 */
  EditLine *el;             /* NULL: plain reading by getline */
  const char *history_path; /* NULL: not kept */
  bool terminal;            /* someone is there to see a prompt */
  bool more;                /* inside a chunk of several lines */
  bool cancelled;           /* Ctrl-C while editing */
  bool inside, goes;        /* a script that stands still; it can go on */
  const char *name;         /* what stands before the first line */
} prompt;

static char *prompt_text(EditLine *el) {
  prompt *p = NULL;
  el_get(el, EL_CLIENTDATA, &p);
  return (char *)(p->more ? "     .. " : p->name);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static unsigned char on_ctrl_c(EditLine *el, int ch) {
  (void)ch;
  prompt *p = NULL;
  el_get(el, EL_CLIENTDATA, &p);
  p->cancelled = true;
  return CC_EOF;
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

/* Candidates first..last of the list on top of the stack, down the columns. */
static void list_page(lua_State *L, lua_Integer first, lua_Integer last, int columns, int wide) {
  lua_Integer rows = (last - first + columns) / columns;
  for (lua_Integer r = first; r < first + rows; r++) {
    for (lua_Integer i = r; i <= last; i += rows) {
      lua_rawgeti(L, -1, i);
      printf("%-*s", i + rows <= last ? wide : 0, lua_tostring(L, -1));
      lua_pop(L, 1);
    }
    putchar('\n');
  }
}

/* The candidates (a list on top of the stack) in columns below the line, a screen at a time. */
static void list_candidates(EditLine *el, lua_State *L, lua_Integer count) {
  int width, height, longest = 0;
  ms_screen(&height, &width);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    int n = (int)strlen(lua_tostring(L, -1));
    if (n > longest) longest = n;
    lua_pop(L, 1);
  }
  const int columns = width / (longest + 2) > 0 ? width / (longest + 2) : 1;
  const lua_Integer page = (lua_Integer)columns * (height > 4 ? height - 2 : 2);
  putchar('\n');
  for (lua_Integer first = 1; first <= count; first += page) {
    const lua_Integer last = first + page - 1 < count ? first + page - 1 : count;
    list_page(L, first, last, columns, longest + 2);
    if (last == count) break;
    printf("-- %lld of %lld: space shows more, q ends --", (long long)last, (long long)count);
    fflush(stdout);
    char key = 'q';
    const int got = el_getc(el, &key);
    fputs("\r\033[K", stdout);
    if (got != 1 || strchr("qQnN\003\004\033", key)) break;
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
        list_candidates(el, L, count);
        answer = CC_REDISPLAY;
      } else answer = CC_NORM;
    }
  }
  lua_settop(L, top);
  return answer;
}

/* The word that an entry is, if it is one that the prompt itself understands: to leave, or to go on. */
static const char *word(const char *s) {
  static const char *const words[] = {"exit", "quit", "exit()", "quit()", "continue"};
  s += strspn(s, " \t");
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t n = strlen(words[i]);
    if (!strncmp(s, words[i], n) && s[n + strspn(s + n, " \t\r\n")] == 0) return words[i];
  }
  return NULL;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void remember(void *data, const char *entry) {
  prompt *p = data;
  HistEvent ev;
  if (p->keys.history) history(p->keys.history, &ev, H_ENTER, entry);
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
  p->keys.history = history_init();
  if (!p->el || !p->keys.history) return;
  history(p->keys.history, &ev, H_SETSIZE, KEEP);
  history(p->keys.history, &ev, H_SETUNIQUE, 1);
  if (p->history_path) ms_history_load(p->history_path, KEEP, remember, p);
  el_set(p->el, EL_CLIENTDATA, p);
  el_set(p->el, EL_PROMPT, prompt_text);
  el_set(p->el, EL_EDITOR, "emacs");
  el_set(p->el, EL_SIGNAL, 1);
  el_set(p->el, EL_HIST, history, p->keys.history);
  el_set(p->el, EL_ADDFN, "mascon-cancel", "drop the line", on_ctrl_c);
  el_set(p->el, EL_ADDFN, "mascon-complete", "complete a name", on_tab);
  /* While a line is edited Ctrl-C and Ctrl-Z are keys like others; a running command gets them as signals. */
  el_set(p->el, EL_SETTY, "-d", "-isig", NULL);
  el_set(p->el, EL_SETTY, "-d", "-ixon", NULL); /* Ctrl-S does not hold the screen */
  el_set(p->el, EL_BIND, "^C", "mascon-cancel", NULL);
  el_set(p->el, EL_BIND, "\t", "mascon-complete", NULL);
  el_set(p->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
  el_set(p->el, EL_BIND, "\\e[1;5C", "em-next-word", NULL);
  el_set(p->el, EL_BIND, "\\e[1;5D", "ed-prev-word", NULL);
  el_set(p->el, EL_BIND, "\\e[3~", "ed-delete-next-char", NULL);
  el_set(p->el, EL_BIND, "\\e[H", "ed-move-to-beg", NULL);
  el_set(p->el, EL_BIND, "\\e[F", "ed-move-to-end", NULL);
  ms_keys_bind(p->el);
  el_source(p->el, NULL);
}

static void close_terminal(prompt *p) {
  ms_keys_free(&p->keys);
  if (p->el) el_end(p->el);
  if (p->keys.history) history_end(p->keys.history);
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
    ms_keys_begin(&p->keys);
    const char *line = el_gets(p->el, &n);
    ms_keys_end(&p->keys);
    if (p->cancelled || (!line && errno == EINTR)) { /* the key, or a signal from elsewhere */
      fputs("^C\n", stdout);
      return -1;
    }
    if (!line || n <= 0) {
      putchar('\n');
      return 0;
    }
    ms_keys_push(&p->keys, p->L, line, line[n - 1] == '\n' ? (size_t)n - 1 : (size_t)n);
    return 1;
  }
  if (p->terminal) {
    fputs(p->more ? "     .. " : p->name, stdout);
    fflush(stdout);
  }
  struct sigaction catch = {.sa_handler = on_break, .sa_flags = p->terminal ? 0 : SA_RESTART}, old; /* a pipe is read on */
  broken = 0;
  sigaction(SIGINT, &catch, &old);
  char *line = NULL;
  size_t size = 0;
  ssize_t n = getline(&line, &size, stdin);
  sigaction(SIGINT, &old, NULL);
  if (n < 0) {
    free(line);
    clearerr(stdin);
    if (p->terminal) putchar('\n');
    return broken && p->terminal ? -1 : 0;
  }
  if (n > 0 && line[n - 1] == '\n') n--;
  lua_pushlstring(p->L, line, (size_t)n);
  free(line);
  return 1;
}

/* Read a whole entry: its text at base + 1, at base + 2 what runs it (none for ?help) or a message. 1: run it; 2: tell the message;
 * 0: end of input; -1: nothing to do. */
static int read_entry(prompt *p) {
  lua_State *L = p->L;
  int text = p->base + 1;
  p->more = false;
  int got = read_line(p);
  if (got <= 0) return got;
  for (;;) {
    const char *s = lua_tostring(L, text);
    char first = s[strspn(s, " \t\r\n")];
    if (!p->more && !first) return -1;
    if (!p->more && (first == '?' || word(s))) return 1;
    ms_entry_kind kind = ms_entry_compile(L);
    if (kind != ENTRY_MORE) return kind == ENTRY_RUN ? 1 : 2;
    p->more = true;
    got = read_line(p);
    if (got < 0) return -1;
    if (got == 0) {
      lua_pushliteral(L, "the end of input comes before the end of this");
      return 2;
    }
    lua_pushfstring(L, "%s\n%s", lua_tostring(L, text), lua_tostring(L, text + 1));
    lua_replace(L, text);
    lua_settop(L, text);
  }
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static int help_call(lua_State *L) {
  ms_lua_require(L, "prompt");
  lua_getfield(L, -1, "help");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
  return 0;
}

static void run_help(lua_State *L) {
  lua_pushcfunction(L, help_call);
  lua_insert(L, -2);
  int status = ms_call(L, 1, 0);
  fflush(stdout);
  ms_report(L, status);
}

/* Until a word that ends it, or the end of input (NULL). */
static const char *run_prompt(prompt *p) {
  lua_State *L = p->L;
  for (;;) {
    lua_settop(L, p->base);
    int got = read_entry(p);
    if (got == 0) return NULL;
    if (got < 0) continue;
    const char *text = lua_tostring(L, p->base + 1), *said = word(text);
    if (p->terminal) {
      remember(p, text);
      if (p->history_path) ms_history_append(p->history_path, text);
    }
    if (said && strcmp(said, "continue")) return said;
    if (said && p->goes) return said;
    if (said)
      fputs(p->inside ? "mascon: the error has ended the script: there is nothing to go on with; quit leaves\n"
                      : "mascon: nothing stands still: `continue` goes on with a script stopped in mascon debug\n",
            stderr);
    else if (got == 2) ms_report(L, LUA_ERRSYNTAX);
    else if (lua_gettop(L) == p->base + 1) run_help(L);
    else ms_entry_run(L);
  }
}

static int rc_call(lua_State *L) {
  ms_lua_require(L, "entry");
  lua_getfield(L, -1, "rc");
  lua_call(L, 0, 0);
  return 0;
}

int ms_prompt(lua_State *L) {
  prompt p = {.L = L, .base = lua_gettop(L), .name = "mascon> "};
  open_terminal(&p);
  if (p.terminal) puts("mascon " MS_VERSION "   ?NAME tells about it, Tab completes, %help lists commands, Ctrl-D leaves");
  lua_pushcfunction(L, rc_call);
  ms_report(L, ms_call(L, 0, 0));
  run_prompt(&p);
  close_terminal(&p);
  lua_settop(L, p.base);
  return 0;
}

bool ms_prompt_inside(lua_State *L, bool goes) {
  prompt p = {.L = L, .base = lua_gettop(L), .name = "debug> ", .inside = true, .goes = goes};
  open_terminal(&p);
  const char *said = run_prompt(&p);
  close_terminal(&p);
  lua_settop(L, p.base);
  return !said || !strcmp(said, "continue");
}
