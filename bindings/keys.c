/* keys.c -- recall by beginnings, and bracketed paste (keys.h). */
#include "keys.h"
#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

static ms_keys *keys_of(EditLine *el) {
  void *k = NULL;
  el_get(el, EL_CLIENTDATA, &k);
  return k;
}

static void put(const char *s) {
  fputs(s, stdout);
  fflush(stdout);
}

/* ---- recall ------------------------------------------------------------------------------------------------------ */

/* The entry `at` back from the newest; NULL past the oldest. */
static const char *entry(History *h, int at) {
  HistEvent ev;
  int rc = history(h, &ev, H_FIRST);
  for (; at > 0 && rc >= 0; at--) rc = history(h, &ev, H_NEXT);
  return rc >= 0 ? ev.str : NULL;
}

static void replace_line(EditLine *el, const char *text) {
  const LineInfoW *li = el_wline(el);
  const int all = (int)(li->lastchar - li->buffer);
  el_cursor(el, (int)(li->lastchar - li->cursor));
  if (all) el_deletestr(el, all);
  if (*text) el_insertstr(el, text);
}

static char *copy_line(EditLine *el) {
  const LineInfo *li = el_line(el);
  return strndup(li->buffer, (size_t)(li->lastchar - li->buffer));
}

/* by: 1 is back in time. The entries that begin with what stood in the line before the first of them was recalled. */
static unsigned char recall(EditLine *el, int by) {
  ms_keys *k = keys_of(el);
  char *line = copy_line(el);
  if (!line) return CC_ERROR;
  const char *shown = k->prefix && k->at >= 0 ? entry(k->history, k->at) : k->prefix;
  if (!shown || strcmp(shown, line)) { /* changed since: it is a new beginning */
    free(k->prefix);
    k->prefix = line, k->at = -1;
    line = NULL;
  }
  size_t n = strlen(k->prefix);
  unsigned char answer = CC_ERROR;
  for (int at = k->at + by; at >= -1; at += by) {
    const char *e = at < 0 ? k->prefix : entry(k->history, at);
    if (!e) break;
    if (at >= 0 && (strncmp(e, k->prefix, n) || (line && !strcmp(e, line)))) continue;
    k->at = at;
    replace_line(el, e);
    answer = CC_REFRESH;
    break;
  }
  free(line);
  return answer;
}

static unsigned char on_up(EditLine *el, int ch) {
  (void)ch;
  return recall(el, 1);
}
static unsigned char on_down(EditLine *el, int ch) {
  (void)ch;
  return recall(el, -1);
}

/* ---- paste ------------------------------------------------------------------------------------------------------- */

/* Ctrl-C by itself, not one among pasted letters: nothing comes within 0.1 s of it. */
static bool alone(wchar_t c) {
  struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
  return c == 3 && poll(&in, 1, 100) == 0;
}

/* What comes until the terminal says that the paste ends, without control characters but tabs and line ends; NULL: no memory. Where
 * the end was lost on the way, Ctrl-C is the end, and drops the line as ever. */
static wchar_t *read_paste(EditLine *el, size_t *length) {
  static const wchar_t end[] = L"\033[201~";
  const size_t tail = sizeof end / sizeof *end - 1;
  size_t n = 0, room = 256;
  wchar_t *text = malloc(room * sizeof *text), c;
  while (text && el_wgetc(el, &c) == 1) {
    if (n + 2 > room) {
      wchar_t *more = realloc(text, (room *= 2) * sizeof *text);
      if (!more) free(text);
      if (!(text = more)) break;
    }
    if (alone(c)) {
      el_push(el, "\003");
      break;
    }
    if (c == L'\r') c = L'\n';
    text[n++] = c;
    if (n >= tail && !wmemcmp(text + n - tail, end, tail)) {
      n -= tail;
      break;
    }
  }
  if (!text) return NULL;
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (text[i] == L'\n' || text[i] == L'\t' || (text[i] >= 32 && text[i] != 127)) text[kept++] = text[i];
  while (kept && text[kept - 1] == L'\n') kept--;
  text[kept] = 0;
  *length = kept;
  return text;
}

static unsigned char on_paste(EditLine *el, int ch) {
  (void)ch;
  ms_keys *k = keys_of(el);
  size_t n = 0, lines = 1;
  wchar_t *text = read_paste(el, &n);
  if (!text) return CC_ERROR;
  int rows, columns;
  ms_screen(&rows, &columns);
  for (size_t i = 0; i < n; i++) lines += text[i] == L'\n';
  int rc = 0;
  if (lines + n / (size_t)columns + 4 > (size_t)rows && !k->pasted) { /* more than the screen can show in a line to edit */
    const size_t size = wcstombs(NULL, text, 0);
    if (size != (size_t)-1 && (k->pasted = malloc(size + 1))) {
      wcstombs(k->pasted, text, size + 1);
      snprintf(k->mark, sizeof k->mark, "[pasted: %zu line%s]", lines, lines == 1 ? "" : "s");
      rc = el_insertstr(el, k->mark);
    }
  } else rc = n ? el_winsertstr(el, text) : 0;
  free(text);
  return rc ? CC_ERROR : CC_REFRESH;
}

/* EL_SIGNAL: libedit restores the terminal before the process stops, and takes it back after. */
static unsigned char on_ctrl_z(EditLine *el, int ch) {
  (void)ch;
  ms_keys *k = keys_of(el);
  ms_keys_end(k);
  raise(SIGTSTP);
  ms_keys_begin(k);
  return CC_REDISPLAY;
}

void ms_keys_bind(EditLine *el) {
  el_set(el, EL_ADDFN, "mascon-up", "the entry before that begins so", on_up);
  el_set(el, EL_ADDFN, "mascon-down", "the entry after that begins so", on_down);
  el_set(el, EL_ADDFN, "mascon-paste", "what is pasted, as one piece", on_paste);
  el_set(el, EL_ADDFN, "mascon-suspend", "stop the process", on_ctrl_z);
  static const char *const up[] = {"\\e[A", "\\eOA", "^P"}, *const down[] = {"\\e[B", "\\eOB", "^N"};
  for (int i = 0; i < 3; i++) {
    el_set(el, EL_BIND, up[i], "mascon-up", NULL);
    el_set(el, EL_BIND, down[i], "mascon-down", NULL);
  }
  el_set(el, EL_BIND, "\\e[200~", "mascon-paste", NULL);
  el_set(el, EL_BIND, "^Z", "mascon-suspend", NULL);
}

void ms_keys_begin(ms_keys *k) {
  free(k->prefix);
  k->prefix = NULL, k->at = -1;
  put("\033[?2004h");
}

void ms_keys_end(ms_keys *k) {
  (void)k;
  put("\033[?2004l");
}

void ms_keys_push(ms_keys *k, lua_State *L, const char *line, size_t n) {
  lua_pushlstring(L, line, n);
  if (!k->pasted) return;
  const char *s = lua_tostring(L, -1), *at = strstr(s, k->mark);
  if (at) {
    lua_pushlstring(L, s, (size_t)(at - s));
    lua_pushstring(L, k->pasted);
    lua_pushstring(L, at + strlen(k->mark));
    lua_concat(L, 3);
    lua_remove(L, -2);
  }
  free(k->pasted);
  k->pasted = NULL;
}

void ms_screen(int *rows, int *columns) {
  struct winsize w = {0};
  ioctl(STDOUT_FILENO, TIOCGWINSZ, &w); /* what it does not know stays 0 */
  *rows = w.ws_row ? w.ws_row : 24;
  *columns = w.ws_col ? w.ws_col : 80;
}

void ms_keys_free(ms_keys *k) {
  free(k->prefix), free(k->pasted);
  k->prefix = k->pasted = NULL;
}
