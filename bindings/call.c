/* call.c -- calls of Lua under protection, and the report of an error: message, line of the script, traceback. */
#include "call.h"
#include "debugger.h"
#include "embed.h"
#include "explain.h"
#include "interrupt.h"
#include "io/io.h"
#include "protect.h"
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const void *keeping, *wanted; /* the main chunk whose locals are wanted, or NULL; that of the next call */

/* ---- the main chunk's locals ------------------------------------------------------------------------------------- */

static void keep_locals_of(lua_State *L, lua_Debug *ar) {
  lua_pushglobaltable(L);
  const char *name;
  for (int i = 1; (name = lua_getlocal(L, ar, i)); i++) {
    if (*name == '(') lua_pop(L, 1);
    else {
      lua_pushstring(L, name);
      lua_insert(L, -2);
      lua_rawset(L, -3);
    }
  }
  lua_pop(L, 1);
}

static bool is_kept(lua_State *L, lua_Debug *ar) {
  lua_getinfo(L, "f", ar);
  bool same = lua_topointer(L, -1) == keeping;
  lua_pop(L, 1);
  return same;
}

static void keep_on_return(lua_State *L, lua_Debug *ar) {
  if (keeping && is_kept(L, ar)) keep_locals_of(L, ar);
}

void ms_keep_locals(lua_State *L, int f) { wanted = lua_topointer(L, f); }

/* ---- the report of an error -------------------------------------------------------------------------------------- */

enum { FIRST_FRAMES = 12, LAST_FRAMES = 8 };

static bool in_library(const lua_Debug *ar) { return !strncmp(ar->source, "=mascon/", 8); }
static bool in_script(const lua_Debug *ar) { return *ar->what != 'C' && !in_library(ar); }

/* Add the text of line `line` of the file to the buffer as "  LINE | text"; nothing when it cannot be read. */
static void add_source_line(lua_State *L, luaL_Buffer *b, const char *path, int line) {
  FILE *f = ms_reopen(path);
  if (!f) return;
  char text[256];
  for (int at = 1; fgets(text, sizeof text, f);) {
    size_t n = strlen(text);
    bool whole = n && text[n - 1] == '\n';
    if (at == line) {
      while (n && (text[n - 1] == '\n' || text[n - 1] == '\r')) text[--n] = 0;
      lua_pushfstring(L, "\n  %d | %s%s", line, text, whole ? "" : "...");
      luaL_addvalue(b);
      break;
    }
    if (whole) at++;
  }
  fclose(f);
}

/* The same of what was typed at the prompt, whose chunk is called [N]: scripts/mascon/entry.lua has the texts. */
static void add_entry_line(lua_State *L, luaL_Buffer *b, const char *source, int line) {
  const char *text = NULL;
  const int top = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "mascon.entry") == LUA_TTABLE && lua_getfield(L, -1, "texts") == LUA_TTABLE &&
      lua_rawgeti(L, -1, atoi(source + 2)) == LUA_TSTRING)
    text = lua_tostring(L, -1);
  for (int at = 1; text && at < line; at++) text = (text = strchr(text, '\n')) ? text + 1 : NULL;
  if (text) {
    char cut[256];
    size_t n = strcspn(text, "\n"), most = sizeof cut - 1;
    snprintf(cut, sizeof cut, "%.*s", (int)(n < most ? n : most), text);
    lua_settop(L, top);
    lua_pushfstring(L, "\n  %d | %s%s", line, cut, n > most ? "..." : "");
    luaL_addvalue(b);
  } else lua_settop(L, top);
}

static void push_function_name(lua_State *L, const lua_Debug *ar) {
  if (*ar->what == 'm') lua_pushliteral(L, "main chunk");
  else if (ar->name && !strcmp(ar->namewhat, "metamethod")) lua_pushfstring(L, "metamethod '%s'", ar->name);
  else if (ar->name) lua_pushfstring(L, "function '%s'", ar->name);
  else lua_pushfstring(L, "function <%s:%d>", ar->short_src, ar->linedefined);
}

/* The deepest level of the stack. lua_getstack walks from the top, so that every step down a deep stack costs its depth: an
 * infinite recursion has a million levels, and looking at each of them took minutes. Doubling and halving looks at some forty. */
static int last_level(lua_State *L) {
  lua_Debug ar;
  int low = 1, high = 1;
  while (lua_getstack(L, high, &ar)) low = high, high *= 2;
  while (low < high) {
    int middle = (low + high) / 2;
    if (lua_getstack(L, middle, &ar)) low = middle + 1;
    else high = middle;
  }
  return high - 1;
}

/* Of a stack deeper than both together only these levels are looked at, at the top and at the bottom. */
enum { TOP_LEVELS = 256, BOTTOM_LEVELS = 16 }; /* one at the bottom of a million costs some 20 ms */

/* The levels to look at, in turn: after `i` of a stack whose deepest is `last`, when the walk began at `first`. */
static int next_frame(int i, int first, int last) {
  return i == first + TOP_LEVELS && last - BOTTOM_LEVELS > i ? last - BOTTOM_LEVELS : i + 1;
}

/* Script frames one by one, runs of library frames as one line, C frames not at all. MASCON_TRACEBACK=full shows everything.
 * More than FIRST + LAST script frames: the middle ones as a count. quiet_top: library frames above the first script frame are not
 * told, for the message speaks of the script's line. */
static void add_traceback(lua_State *L, luaL_Buffer *b, int level, int last, bool quiet_top) {
  const char *want = getenv("MASCON_TRACEBACK");
  bool full = want && !strcmp(want, "full");
  lua_Debug frames[TOP_LEVELS + BOTTOM_LEVELS + 2];          /* looked up once */
  int script = 0, shown = 0, library = 0, unseen = 0, n = 0; /* unseen: levels that were left out */
  for (int i = level; i <= last && lua_getstack(L, i, &frames[n]); i = next_frame(i, level, last), n++) {
    lua_getinfo(L, "S", &frames[n]);
    script += full || in_script(&frames[n]);
    unseen += next_frame(i, level, last) - i - 1;
  }
  luaL_addstring(b, "\ntraceback:");
  for (int k = 0; k < n; k++) {
    lua_Debug ar = frames[k];
    lua_getinfo(L, "Slnt", &ar);
    if (!full && !in_script(&ar)) {
      library += in_library(&ar);
      continue;
    }
    if (library && !(quiet_top && shown == 0)) {
      lua_pushfstring(L, "\n  (%d in mascon's own Lua)", library);
      luaL_addvalue(b);
    }
    library = 0;
    shown++;
    if (script > FIRST_FRAMES + LAST_FRAMES && shown > FIRST_FRAMES && shown <= script - LAST_FRAMES) {
      if (shown == FIRST_FRAMES + 1) {
        lua_pushfstring(L, "\n  ... %d more", script - FIRST_FRAMES - LAST_FRAMES + unseen);
        luaL_addvalue(b);
      }
      continue;
    }
    if (ar.currentline > 0) lua_pushfstring(L, "\n  %s:%d: in ", ar.short_src, ar.currentline);
    else lua_pushfstring(L, "\n  %s: in ", ar.short_src);
    luaL_addvalue(b);
    push_function_name(L, &ar);
    luaL_addvalue(b);
    if (ar.istailcall) luaL_addstring(b, "\n  (tail calls)");
  }
}

/* The position at the head of a message, "NAME:LINE:", as the one the script stands at? */
static bool starts_with_position(const char *msg, const lua_Debug *ar) {
  size_t n = strlen(ar->short_src);
  return !strncmp(msg, ar->short_src, n) && msg[n] == ':' && atoi(msg + n + 1) == ar->currentline;
}

/* Replace the string on top (the message) by the whole report. `level`: where the failing function stands; last: the deepest. */
static void push_report(lua_State *L, int level, int last) {
  const char *msg = lua_tostring(L, -1);
  int at = lua_gettop(L);
  lua_Debug ar;
  bool found = false;
  for (int i = level; !found && i <= last && lua_getstack(L, i, &ar); i = next_frame(i, level, last)) {
    lua_getinfo(L, "Sl", &ar);
    found = in_script(&ar) && ar.currentline > 0;
  }
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, msg);
  if (found) {
    bool placed = starts_with_position(msg, &ar);
    if (!placed) {
      lua_pushfstring(L, "\n  at %s:%d", ar.short_src, ar.currentline);
      luaL_addvalue(&b);
    }
    if (*ar.source == '@') add_source_line(L, &b, ar.source + 1, ar.currentline);
    else if (!strncmp(ar.source, "=[", 2)) add_entry_line(L, &b, ar.source, ar.currentline);
    /* Straight at the prompt or in -e there is nothing more to tell. */
    if (*ar.source == '@' || *ar.what != 'm') add_traceback(L, &b, level, last, placed);
  }
  luaL_pushresult(&b);
  lua_replace(L, at);
}

static bool has_exit_code(lua_State *L, int i) {
  if (!lua_istable(L, i)) return false;
  lua_pushliteral(L, "exit_code");
  bool has = lua_rawget(L, i) == LUA_TNUMBER;
  lua_pop(L, 1);
  return has;
}

static bool is_plain_error(lua_State *L, int i) {
  lua_pushliteral(L, "plain");
  lua_rawget(L, i);
  bool plain = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return plain;
}

static void keep_all(lua_State *L, int last) {
  lua_Debug ar; /* the main chunk is among the deepest */
  for (int i = last > BOTTOM_LEVELS ? last - BOTTOM_LEVELS : 1; keeping && lua_getstack(L, i, &ar); i++)
    if (is_kept(L, &ar)) keep_locals_of(L, &ar);
}

/* In: the error value. Out: the report as a string; an object with exit_code stays, with the report in its field `report`. A report
 * that was told already, by the prompt that opened inside the script, gives an object with the field `told`. */
static int handler(lua_State *L) {
  luaL_checkstack(L, 20, NULL);
  const int last = last_level(L);
  bool coded = has_exit_code(L, 1);
  if (coded && is_plain_error(L, 1)) return keep_all(L, last), 1;
  if (lua_type(L, 1) == LUA_TSTRING || lua_type(L, 1) == LUA_TNUMBER || luaL_getmetafield(L, 1, "__tostring"))
    luaL_tolstring(L, 1, NULL);
  else lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  push_report(L, 1, last);
  if (ms_debug_error(L)) {
    if (!coded) {
      lua_settop(L, 0);
      lua_createtable(L, 0, 2);
      lua_pushinteger(L, MS_EXIT_ERROR);
      lua_setfield(L, 1, "exit_code");
    } else lua_settop(L, 1);
    lua_pushliteral(L, "told");
    lua_pushboolean(L, 1);
    lua_rawset(L, 1);
    keep_all(L, last);
    return 1;
  }
  keep_all(L, last);
  if (!coded) return 1;
  lua_pushliteral(L, "report");
  lua_insert(L, -2);
  lua_rawset(L, 1);
  lua_settop(L, 1);
  return 1;
}

int ms_call(lua_State *L, int nargs, int nresults) {
  int base = lua_gettop(L) - nargs;
  lua_pushcfunction(L, handler);
  lua_insert(L, base);
  const void *outer = keeping;
  keeping = wanted, wanted = NULL;
  ms_interrupt_begin(L);
  const bool debugged = ms_debug_begin();
  if (keeping) ms_usual_hook(L, keep_on_return, LUA_MASKRET);
  const int mark = msl_protect_begin();
  msl_call_begins();
  int status = lua_pcall(L, nargs, nresults, base);
  if (status != LUA_OK) msl_protect_failed(mark);
  ms_interrupt_end(L);
  if (debugged) ms_debug_end();
  if (status != LUA_OK) msl_call_failed();
  keeping = outer;
  lua_remove(L, base);
  return status;
}

void ms_syntax_error(lua_State *L, const char *path) {
  if (!path || lua_type(L, -1) != LUA_TSTRING) return;
  ms_explain_file(L, path);
  const char *msg = lua_tostring(L, -1);
  for (const char *p = msg; (p = strchr(p, ':')); p++) {
    char *end;
    long line = strtol(p + 1, &end, 10);
    if (end == p + 1 || *end != ':') continue;
    int at = lua_gettop(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, msg);
    add_source_line(L, &b, path, (int)line);
    luaL_pushresult(&b);
    lua_replace(L, at);
    return;
  }
}

/* Tostring under protection: a __tostring may raise. */
static int tostring_call(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* A report may quote a file or what a user typed: whatever would act on the terminal is shown instead. */
static void put_report(FILE *to, const char *text, size_t n) {
  char out[4 * 256];
  for (size_t i = 0, k; i < n; i += k) {
    k = n - i < 256 ? n - i : 256;
    for (size_t back = 0; i + k < n && back < 3 && ((unsigned char)text[i + k] & 0xc0) == 0x80; back++) k--; /* whole characters */
    fwrite(out, 1, ms_visible(text + i, k, true, out), to);
  }
  fputc('\n', to);
}

void ms_put_report(const char *text, size_t n) {
  fputs("mascon: ", stderr);
  put_report(stderr, text, n);
  fflush(stderr);
}

int ms_report(lua_State *L, int status) {
  if (status == LUA_OK) return 0;
  int code = MS_EXIT_ERROR, i = lua_gettop(L);
  if (has_exit_code(L, i)) {
    lua_pushliteral(L, "exit_code");
    lua_rawget(L, i);
    code = (int)(lua_tointeger(L, -1) & 0xff);
    lua_pop(L, 1);
    lua_pushliteral(L, "told");
    if (lua_rawget(L, i) == LUA_TBOOLEAN) return lua_settop(L, i - 1), code;
    lua_pop(L, 1);
    lua_pushliteral(L, "report");
    if (lua_rawget(L, i) != LUA_TSTRING) {
      lua_pop(L, 1);
      lua_pushvalue(L, i);
    }
  } else lua_pushvalue(L, i);
  lua_pushcfunction(L, tostring_call);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) lua_pushliteral(L, "(error object that cannot be shown)");
  ms_explain_error(L);
  size_t n;
  const char *text = lua_tolstring(L, -1, &n);
  fflush(stdout);
  if (code) fputs("mascon: ", stderr);
  put_report(code ? stderr : stdout, text ? text : "(error without a message)", text ? n : 25);
  fflush(stdout);
  lua_settop(L, i - 1);
  if (ms_was_interrupted() && code == MS_EXIT_ERROR) code = MS_EXIT_INTERRUPTED;
  return code;
}
