/* main.c -- the program: options, the script, the prompt. */
#include "aside.h"
#include "call.h"
#include "debugger.h"
#include "embed.h"
#include "explain.h"
#include "interrupt.h"
#include "mascon.h"
#include "prompt.h"
#include "sandbox.h"
#include "team.h"
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage_text[] = "usage: mascon [-i] [script.lua | -] [arguments]\n"
                                 "       mascon debug script.lua [arguments]\n"
                                 "       mascon [-i] -e CODE [-e CODE ...] [arguments]\n"
                                 "       mascon\n"
                                 "       mascon COMMAND [arguments]    (COMMAND --help tells more; ./COMMAND runs\n"
                                 "                                     a script of that name)\n"
                                 "\n"
                                 "  script.lua     run the script; its arguments are in `arg` and `...`;\n"
                                 "                 - reads it from standard input\n"
                                 "  -e CODE        run CODE, with ms, nn, optim, ml and data at hand; several of\n"
                                 "                 them one after another\n"
                                 "  -i             then the prompt, with the script's globals and the locals of its\n"
                                 "                 main chunk; Ctrl-C and errors as with debug\n"
                                 "  debug          Ctrl-C, or an error, opens the prompt inside the script: its\n"
                                 "                 variables can be read and set; continue, quit\n"
                                 "  --sandbox      a script that somebody else wrote: it reads files below its\n"
                                 "                 --data and writes them below its --out only, has no processes,\n"
                                 "                 network or C modules; --memory SIZE (4G) and --time SECONDS\n"
                                 "                 (3600) end it\n"
                                 "  --bytecode     let load, loadfile, dofile, require and the script itself be\n"
                                 "                 bytecode, which Lua does not check\n"
                                 "  -v, --version  print the version\n"
                                 "  -h, --help     print this\n"
                                 "\n"
                                 "  watch script.lua [arguments]  run it, and swap in functions of it whose edits\n"
                                 "                                are saved, while it runs\n"
                                 "  ps [FOLDER...]                the runs there are (ms.run), how far they are\n"
                                 "  plot RUN... [--metric NAME]   curves of runs in the terminal; --follow draws\n"
                                 "                                again as they grow\n"
                                 "  set RUN NAME=VALUE...         change options of a run that runs, if it has\n"
                                 "                                declared them live\n"
                                 "\n"
                                 "With no script: the prompt when standard input is a terminal, else the script\n"
                                 "that comes in there.\n"
                                 "At the prompt ?NAME tells about an operation. Manual: man mascon\n";

enum { MAX_CODES = 64 };

typedef struct program_options {
  bool bytecode;      /* chunks may be that */
  ms_sandbox sandbox; /* --sandbox, --memory, --time */
  bool prompt;        /* -i, or nothing else to do */
  bool debug;         /* debug script.lua */
  bool watch;         /* watch script.lua */
  int codes;          /* -e, each a chunk of its own */
  const char *code[MAX_CODES];
  const char *script; /* "-" for standard input; NULL when there is none */
  const char *module; /* of a command that the library's Lua does (mascon ps); NULL when there is none */
  int first;          /* index in argv of the script (or of -e's code): what follows are its arguments */
} program_options;

/* `mascon NAME ...`: module: the Lua function that does it, called with the arguments; NULL: what follows is a script's command
 * line, and it is watched. */
static const struct {
  const char *name, *module;
} commands[] = {{"watch", NULL}, {"ps", "runs.ps"}, {"plot", "runs.plot"}, {"set", "runs.set"}};

/* Is argv[*i] one of them? Then note it in o, and step over `watch`. 0, or the code to exit with. */
static int read_command(int argc, char **argv, int *i, program_options *o) {
  for (size_t k = 0; *i < argc && k < sizeof commands / sizeof *commands; k++) {
    if (strcmp(argv[*i], commands[k].name)) continue;
    if ((o->module = commands[k].module)) return 0;
    o->watch = true;
    if (++*i < argc && strcmp(argv[*i], "-")) return 0;
    fputs("mascon: watch wants the script to run after it, a file\n", stderr);
    return MS_EXIT_USAGE;
  }
  return 0;
}

/* Options that do not go together: the code to exit with, else -1. limit: --memory or --time, if one was given. */
static int fits(const program_options *o, const char *limit) {
  const char *problem = limit && !o->sandbox.on ? "--memory and --time are limits of --sandbox"
                        : o->sandbox.on && (o->prompt || o->bytecode || o->debug || o->watch || o->module)
                            ? "--sandbox is for a script, without debug, watch, -i and --bytecode"
                        : o->module && (o->prompt || o->debug || o->bytecode)
                            ? "a command stands alone, without debug, -i and --bytecode"
                            : NULL;
  if (!problem) return -1;
  fprintf(stderr, "mascon: %s\n", problem);
  return MS_EXIT_USAGE;
}

/* Walls that somebody asks for too late are none: --sandbox behind the script would be the script's own. -1 to go on. */
static int not_too_late(int argc, char **argv, int first) {
  for (int i = first; i < argc; i++)
    if (!strcmp(argv[i], "--sandbox")) {
      fputs("mascon: --sandbox stands before the script or -e (`mascon -- SCRIPT --sandbox` leaves it to the script)\n", stderr);
      return MS_EXIT_USAGE;
    }
  return -1;
}

/* Take `-e CODE` at argv[*i]. What follows is the code's arguments, unless it is one more -e, or -i. -1 to go on. */
static int read_code(int argc, char **argv, int *i, program_options *o) {
  if (*i + 1 >= argc) {
    fputs("mascon: -e wants the code to run after it\n", stderr);
    return MS_EXIT_USAGE;
  }
  if (o->codes == MAX_CODES) {
    fprintf(stderr, "mascon: expected at most %d -e\n", MAX_CODES);
    return MS_EXIT_USAGE;
  }
  o->code[o->codes++] = argv[++*i];
  o->first = *i;
  return -1;
}

/* Fill o; -1 to go on, else the code to exit with. */
static int read_options(int argc, char **argv, program_options *o) {
  const char *limit = NULL;
  bool all_told = false; /* by -- */
  int i = 1;
  for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
    const char *a = argv[i];
    if (!strcmp(a, "-i")) o->prompt = true;
    else if (!strcmp(a, "--bytecode")) o->bytecode = true;
    else if (!strcmp(a, "--sandbox")) o->sandbox.on = true;
    else if (!strcmp(a, "--memory") || !strcmp(a, "--time")) {
      const bool memory = a[2] == 'm',
                 good = i + 1 < argc && (memory ? ms_sandbox_memory : ms_sandbox_seconds)(&o->sandbox, argv[i + 1]);
      limit = a;
      if (!good) {
        fprintf(stderr,
                memory ? "mascon: --memory: expected 64M or more, as in 4G, got %s\n"
                       : "mascon: --time: expected seconds, got %s\n",
                i + 1 < argc ? argv[i + 1] : "nothing");
        return MS_EXIT_USAGE;
      }
      i++;
    } else if (!strcmp(a, "-v") || !strcmp(a, "--version")) {
      puts("mascon " MS_VERSION " (" LUA_RELEASE ")");
      return 0;
    } else if (!strcmp(a, "-h") || !strcmp(a, "--help")) {
      fputs(usage_text, stdout);
      return 0;
    } else if (!strcmp(a, "--")) {
      i++, all_told = true;
      break;
    } else if (!strcmp(a, "-e")) {
      int code = read_code(argc, argv, &i, o);
      if (code >= 0) return code;
      while (i + 1 < argc && !strcmp(argv[i + 1], "-i")) o->prompt = true, o->first = ++i;
      if (i + 1 >= argc || strcmp(argv[i + 1], "-e")) {
        code = not_too_late(argc, argv, i + 1);
        return code < 0 ? fits(o, limit) : code;
      }
    } else {
      fprintf(stderr, "mascon: unknown option %s (mascon --help lists them)\n", a);
      return MS_EXIT_USAGE;
    }
  }
  if (i < argc && !strcmp(argv[i], "debug")) {
    o->debug = true;
    if (++i >= argc || !strcmp(argv[i], "-")) {
      fputs("mascon: debug wants the script to run after it, a file\n", stderr);
      return MS_EXIT_USAGE;
    }
  }
  int code = read_command(argc, argv, &i, o);
  if (code) return code;
  o->first = i;
  if (o->module) return fits(o, limit);
  if (!o->sandbox.on && !all_told && (code = not_too_late(argc, argv, i + 1)) >= 0) return code;
  if (i < argc) o->script = argv[i];
  else if (!o->prompt) {
    if (isatty(STDIN_FILENO)) o->prompt = true;
    else o->script = "-";
  }
  return fits(o, limit);
}

/* The global `arg`, as lua's: the script at 0, its arguments from 1, what stands before it at negative indices. */
static void make_arg(lua_State *L, int argc, char **argv, int first) {
  lua_createtable(L, argc, first + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - first);
  }
  lua_setglobal(L, "arg");
}

/* What was printed and could not be written is no success. The reason is known only where it is this call that fails. */
static int flush_output(int code) {
  errno = 0;
  if (!fflush(stdout) && !ferror(stdout)) return code;
  fprintf(stderr, "mascon: standard output could not be written%s%s\n", errno ? ": " : "", errno ? strerror(errno) : "");
  return code ? code : MS_EXIT_ERROR;
}

/* os.exit that closes the state unless told not to: files are flushed, <close> and __gc run. */
static int os_exit(lua_State *L) {
  int status = lua_isboolean(L, 1) ? (lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE) : (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
  lua_pushinteger(L, status);
  lua_setfield(L, LUA_REGISTRYINDEX, "mascon.exit_code");
  if (lua_isnone(L, 2) || lua_toboolean(L, 2)) lua_close(L);
  ms_team_end();
  exit(flush_output(status));
}

/* Modules beside the script come before those of the working folder: package.path gets "DIR/?.lua" in front. */
static void add_script_folder(lua_State *L, const char *script) {
  const char *slash = strrchr(script, '/');
  if (!slash) return;
  lua_getglobal(L, "package");
  lua_pushlstring(L, script, (size_t)(slash - script + 1));
  lua_getfield(L, -2, "path");
  lua_pushfstring(L, "%s?.lua;%s", lua_tostring(L, -2), lua_tostring(L, -1));
  lua_setfield(L, -4, "path");
  lua_pop(L, 3);
}

/* Undeclared globals become errors in the script and in modules beside it (scripts/mascon/strict.lua). */
static void set_strict(lua_State *L, const char *script, bool on) {
  ms_lua_require(L, "strict");
  lua_getfield(L, -1, on ? "on" : "off");
  lua_pushstring(L, script);
  lua_call(L, 1, 0);
  lua_pop(L, 1);
}

/* ms, nn, optim, ml and data as globals, for -e and the prompt; those a script left (-i) stay as they are. */
static int open_session(lua_State *L) {
  static const char *const parts[] = {"nn", "optim", "ml", "data"};
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mascon");
  lua_call(L, 1, 1);
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  lua_setglobal(L, "ms");
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (lua_getglobal(L, parts[i]) == LUA_TNIL) {
      lua_getfield(L, 1, parts[i]);
      lua_setglobal(L, parts[i]);
    }
  ms_lua_require(L, "strict");
  lua_getfield(L, -1, "session");
  lua_call(L, 0, 0);
  return 0;
}

static int session(lua_State *L) {
  lua_pushcfunction(L, open_session);
  return ms_report(L, ms_call(L, 0, 0));
}

/* Run the chunk on top of the stack with the script's arguments. */
static int run_chunk(lua_State *L, int argc, char **argv, const program_options *o) {
  luaL_checkstack(L, argc + 10, "too many arguments");
  if (o->prompt) ms_keep_locals(L, -1);
  if (o->prompt || o->debug) ms_debug_next();
  if (o->sandbox.on && !ms_sandbox_enter(L, &o->sandbox, argc, argv, o->first + 1)) return MS_EXIT_ERROR;
  int nargs = 0;
  for (int i = o->first + 1; i < argc; i++, nargs++) lua_pushstring(L, argv[i]);
  const int code = ms_report(L, ms_call(L, nargs, 0));
  lua_pushinteger(L, code);
  lua_setfield(L, LUA_REGISTRYINDEX, "mascon.exit_code"); /* a run that the script left open tells how it ended */
  return code;
}

static int run_code(lua_State *L, int argc, char **argv, const program_options *o) {
  int code = session(L);
  for (int i = 0; i < o->codes && !code; i++) {
    const size_t n = strlen(o->code[i]);
    int status = luaL_loadbufferx(L, o->code[i], n, "=(command line)", "t");
    if (status != LUA_OK) ms_explain_syntax(L, o->code[i], n, true);
    code = status == LUA_OK ? run_chunk(L, argc, argv, o) : ms_report(L, status);
  }
  return code;
}

/* Call function `name` of the library's Lua module without arguments. */
static void call_library(lua_State *L, const char *module, const char *name) {
  ms_lua_require(L, module);
  lua_getfield(L, -1, name);
  lua_call(L, 0, 0);
  lua_pop(L, 1);
}

/* A command that the library's Lua does: its module is a function of the arguments, which gives the code to exit with. */
static int run_command(lua_State *L, int argc, char **argv, const program_options *o) {
  luaL_checkstack(L, argc + 10, "too many arguments");
  ms_lua_require(L, o->module);
  int nargs = 0;
  for (int i = o->first + 1; i < argc; i++, nargs++) lua_pushstring(L, argv[i]);
  const int status = ms_call(L, nargs, 1);
  if (status != LUA_OK && ms_was_interrupted()) { /* Ctrl-C is how one leaves mascon plot --follow */
    lua_pop(L, 1);
    return MS_EXIT_INTERRUPTED;
  }
  int code = ms_report(L, status);
  if (!code) {
    code = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  return code;
}

static int run_script(lua_State *L, int argc, char **argv, const program_options *o) {
  const char *path = strcmp(o->script, "-") ? o->script : NULL;
  if (path) add_script_folder(L, path);
  int status = luaL_loadfilex(L, path, o->bytecode ? NULL : "t");
  if (status != LUA_OK) {
    ms_say_refused(L);
    ms_syntax_error(L, path);
    return ms_report(L, status);
  }
  if (path) ms_keep_text(L, path);
  if (!o->prompt) set_strict(L, path, true);
  if (o->watch) call_library(L, "watch", "begin");
  return run_chunk(L, argc, argv, o);
}

typedef struct start {
  int argc;
  char **argv;
  program_options o;
  int code; /* to exit with */
} start;

static int protected_main(lua_State *L) {
  start *s = lua_touserdata(L, 1);
  luaL_openlibs(L);
  msl_open_coroutine(L); /* Ctrl-C reaches coroutines, of scripts without the library too */
  if (s->o.prompt || s->o.debug) ms_keep_session(), msl_track();
  lua_getglobal(L, "os");
  lua_pushcfunction(L, os_exit);
  lua_setfield(L, -2, "exit");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_mascon);
  lua_setfield(L, -2, "mascon");
  lua_pop(L, 2);
  lua_pushboolean(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "mascon.program");
  if (!s->o.bytecode) ms_text_only(L);
  ms_lua_searcher(L);
  if (s->o.prompt || s->o.debug) ms_lua_own_globals(L);
  make_arg(L, s->argc, s->argv, s->o.first < s->argc ? s->o.first : 0);
  if (s->o.module) s->code = run_command(L, s->argc, s->argv, &s->o);
  else if (s->o.codes) s->code = run_code(L, s->argc, s->argv, &s->o);
  else if (s->o.script) s->code = run_script(L, s->argc, s->argv, &s->o);
  if (s->o.prompt && !ms_debug_left()) {
    if (!s->o.codes) s->code = session(L);
    s->code = ms_prompt(L);
  }
  return 0;
}

/* Whoever starts the program with a standard stream closed gets /dev/null there: else the next file that is opened takes its
 * number, and what is printed lands in it. */
static void open_streams(void) {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd) _exit(MS_EXIT_ERROR);
}

int main(int argc, char **argv) {
  signal(SIGXFSZ, SIG_IGN); /* a file past its limit (ulimit -f) is a write that fails, not the end */
  open_streams();
  start s = {.argc = argc, .argv = argv, .o = {.first = 1, .sandbox = {.memory = 4LL << 30, .seconds = 3600}}};
  int code = read_options(argc, argv, &s.o);
  if (code >= 0) return code;
  if (ms_threads_check() < 0) {
    fprintf(stderr, "mascon: %s\n", ms_error());
    return MS_EXIT_USAGE;
  }
  lua_State *L = luaL_newstate();
  if (!L) {
    fputs("mascon: not enough memory to start\n", stderr);
    return MS_EXIT_ERROR;
  }
  lua_pushcfunction(L, protected_main);
  lua_pushlightuserdata(L, &s);
  int status = lua_pcall(L, 1, 0, 0);
  if (status != LUA_OK) s.code = ms_report(L, status);
  lua_close(L);
  ms_team_end(); /* no thread is left behind for exit handlers and leak checkers to stumble over */
  return flush_output(s.code);
}
