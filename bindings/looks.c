/* looks.c -- what a recording notices of the Lua that runs.
 *
 * A replay runs no Lua. So a recording has to know of each answer that the function's Lua got and that a later call might get
 * otherwise. Two kinds of such answers leave no trace among the recorded calls:
 *
 *   fresh ones       math.random, os.time, io.read: refused, with what to do instead
 *   looks at numbers n == 0, warm[n], type(n), for i = 1, n, math.floor(n): Lua compares and looks up raw, without asking the live
 *                    number that stands for n (live.c). Each look is answered with the plain number, and the recording is then for
 *                    this number alone: it joins the key (compile.c)
 *
 * Both are seen by Lua's hooks. A C function is about to be called: its arguments are there to be read and put in place. A VM
 * instruction is about to run: lua_getlocal reaches its registers. Which instruction it is, is the one thing that Lua's interface
 * does not tell; it is read from where every Lua 5.4 keeps it. A few lines of Lua prove at the first use that this is so
 * (msl_looks_are_seen); with a Lua that does otherwise, numbers are known by value from the start. */
#include "interrupt.h"
#include "steps.h"
#include <string.h>

/* ---- C functions ------------------------------------------------------------------------------------------------- */

enum { ALL = -1 };

typedef struct known {
  lua_CFunction f;
  int looked;        /* bit i: looks at argument i + 1 */
  const char *fresh; /* not NULL: its answer is another one at each call */
} known;

static known list[96];
static int n_list;

static void know(lua_CFunction f, int looked, const char *fresh) {
  for (int i = 0; i < n_list; i++)
    if (list[i].f == f) return;
  if (f && n_list < (int)(sizeof list / sizeof *list)) list[n_list++] = (known){f, looked, fresh};
}

void msl_takes_live(lua_CFunction f, int looked) { know(f, looked, NULL); }

static const known *find_known(lua_CFunction f) {
  for (int i = 0; i < n_list; i++)
    if (list[i].f == f) return &list[i];
  static const known unknown = {NULL, ALL, NULL}; /* takes numbers for what they are */
  return &unknown;
}

/* ---- the hook ---------------------------------------------------------------------------------------------------- */

static bool numbers; /* looks at numbers are asked for */

static void look_at_local(lua_State *L, lua_Debug *ar, int i) {
  if (!lua_getlocal(L, ar, i)) return;
  if (msl_look(L, lua_gettop(L))) lua_setlocal(L, ar, i);
  else lua_pop(L, 1);
}

static void before_call(lua_State *L, lua_Debug *ar) {
  lua_getinfo(L, "f", ar);
  lua_CFunction f = lua_tocfunction(L, -1);
  lua_pop(L, 1);
  if (!f) return;
  const known *k = find_known(f);
  if (k->fresh)
    msl_refuse(L,
               "%s inside a compiled step: a replay runs no Lua and would not ask again. Ask outside and hand the answer in as an "
               "argument%s",
               k->fresh, strncmp(k->fresh, "math.", 5) ? "" : ", or draw with ms.rand, ms.randn or ms.randint");
  if (!numbers || !k->looked) return;
  for (int i = 1; lua_getlocal(L, ar, i); i++) {
    lua_pop(L, 1);
    if (i > 30 || k->looked >> (i - 1) & 1) look_at_local(L, ar, i);
  }
}

/* Lua 5.4's instructions that look at registers raw. */
enum { GETTABLE = 12, SETTABLE = 16, EQ = 57, EQK = 60, EQI = 61, FORPREP = 74 };

/* struct CallInfo begins with four pointers (func, top, previous, next); then comes the next instruction. */
static void before_instruction(lua_State *L, lua_Debug *ar) {
  const uint32_t *next = ((const uint32_t *const *)(const void *)ar->i_ci)[4];
  const uint32_t i = next[-1];
  const int a = (int)(i >> 7 & 0xff) + 1, b = (int)(i >> 16 & 0xff) + 1, c = (int)(i >> 24) + 1;
  switch (i & 0x7f) {
  case EQ: look_at_local(L, ar, a), look_at_local(L, ar, b); break;
  case EQK:
  case EQI: look_at_local(L, ar, a); break;
  case GETTABLE: look_at_local(L, ar, c); break;
  case SETTABLE: look_at_local(L, ar, b); break;
  case FORPREP: look_at_local(L, ar, a), look_at_local(L, ar, a + 1), look_at_local(L, ar, a + 2); break;
  default: break;
  }
}

static void on_event(lua_State *L, lua_Debug *ar) {
  if (ar->event == LUA_HOOKCOUNT) before_instruction(L, ar);
  else before_call(L, ar);
}

void msl_start_looking(lua_State *L, looking *before, bool with_numbers) {
  *before = (looking){lua_gethook(L), lua_gethookmask(L), lua_gethookcount(L), true};
  numbers = with_numbers;
  lua_sethook(L, on_event, LUA_MASKCALL | (with_numbers ? LUA_MASKCOUNT : 0), 1);
}

/* Who put another hook in meanwhile (Ctrl-C) keeps it. */
void msl_stop_looking(lua_State *L, looking *before) {
  if (before->on && lua_gethook(L) == on_event) lua_sethook(L, before->hook, before->mask, before->count);
  if (before->on) ms_rearm(L);
  before->on = false;
}

/* inside.look(on) -> what it was: are looks at numbers seen now? In a recording that was begun without, for what an optimizer's
 * update does with its settings. Elsewhere nothing happens. */
static int look(lua_State *L) {
  const bool was = numbers;
  luaL_checktype(L, 1, LUA_TBOOLEAN);
  if (ms_recording() && lua_gethook(L) == on_event) {
    numbers = lua_toboolean(L, 1);
    lua_sethook(L, on_event, LUA_MASKCALL | (numbers ? LUA_MASKCOUNT : 0), 1);
  }
  return lua_pushboolean(L, was), 1;
}

/* inside.looked(number) -> boolean: has what is recorded now looked at this live number, or at one made of it? */
static int looked(lua_State *L) { return lua_pushboolean(L, ms_record_looked_now(msl_live(L, 1))), 1; }

/* ---- does this Lua show its instructions? ------------------------------------------------------------------------- */

static int try_looks(lua_State *L) {
  static const char *const code =
      "local n, t, type = ...\n"
      "local m, u, all, k = 7, {}, n == 7, 0\n"
      "u[n] = 1\n"
      "for _ = 1, n do k = k + 1 end\n"
      "return all and n == m and n ~= 7.5 and t[n] == 'seven' and u[7] == 1 and k == 7 and type(n) == 'number'";
  static const char *const each[] = {"local n = ... return n == 7",
                                     "local n, m = ..., 7 return n == m",
                                     "local n, t = ... return t[n] == 'seven'",
                                     "local n, t = ... t[n] = 1 return t[7] == 1",
                                     "local n, k = ..., 0 for _ = 1, n do k = k + 1 end return k == 7",
                                     "local n, _, type = ... return type(n) == 'number'",
                                     code};
  bool all = true;
  for (size_t i = 0; i < sizeof each / sizeof *each && all; i++) {
    looking before;
    ms_cell *c = ms_cell_new(7);
    if (c) ms_cell_set(c, (ms_plain){7, 7, true});
    if (!c || luaL_loadstring(L, each[i]) != LUA_OK) return ms_cell_release(c), 0;
    msl_push_live(L, c, true);
    ms_cell_release(c);
    lua_newtable(L);
    lua_pushliteral(L, "seven");
    lua_rawseti(L, -2, 7);
    lua_getglobal(L, "type");
    msl_start_looking(L, &before, true);
    int rc = lua_pcall(L, 3, 1, 0);
    msl_stop_looking(L, &before);
    all = rc == LUA_OK && lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  lua_pushboolean(L, all);
  return 1;
}

bool msl_looks_are_seen(lua_State *L) {
  static int seen = -1;
  if (seen >= 0) return seen;
  lua_pushcfunction(L, try_looks);
  seen = lua_pcall(L, 0, 1, 0) == LUA_OK && lua_toboolean(L, -1);
  lua_pop(L, 1);
  return seen;
}

/* inside.looks_are_seen() -> boolean */
static int looks_are_seen(lua_State *L) { return lua_pushboolean(L, msl_looks_are_seen(L)), 1; }

/* ---- what is known ------------------------------------------------------------------------------------------------ */

void msl_open_looks(lua_State *L) {
  static const struct {
    const char *library, *name;
    int looked; /* what these do not look at, they hand on */
    const char *fresh;
  } functions[] = {{"_G", "pcall", 0, NULL},
                   {"_G", "xpcall", 0, NULL},
                   {"_G", "error", 0, NULL},
                   {"_G", "assert", 0, NULL},
                   {"_G", "select", 1, NULL},
                   {"_G", "setmetatable", 0, NULL},
                   {"_G", "rawset", 2, NULL},
                   {"table", "pack", 0, NULL},
                   {"table", "insert", 0, NULL},
                   {"table", "unpack", 6, NULL},
                   {"table", "move", 0xe, NULL},
                   {"math", "random", ALL, "math.random"},
                   {"math", "randomseed", ALL, "math.randomseed"},
                   {"os", "time", ALL, "os.time"},
                   {"os", "clock", ALL, "os.clock"},
                   {"os", "date", ALL, "os.date"},
                   {"os", "tmpname", ALL, "os.tmpname"},
                   {"io", "read", ALL, "io.read"},
                   {"io", "lines", ALL, "io.lines"}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    lua_getglobal(L, functions[i].library);
    if (lua_istable(L, -1)) {
      lua_getfield(L, -1, functions[i].name);
      know(lua_tocfunction(L, -1), functions[i].looked, functions[i].fresh);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  static const luaL_Reg for_lua[] = {{"look", look}, {"looked", looked}, {"looks_are_seen", looks_are_seen}, {NULL, NULL}};
  msl_inside(L);
  luaL_setfuncs(L, for_lua, 0);
  lua_pop(L, 1);
  know(look, 0, NULL), know(looked, 0, NULL);
  static const char *const reads[] = {"read", "lines"};
  luaL_getmetatable(L, LUA_FILEHANDLE);
  for (int i = 0; i < 2 && lua_istable(L, -1); i++) {
    if (lua_getfield(L, -1, "__index") == LUA_TTABLE) {
      lua_getfield(L, -1, reads[i]);
      know(lua_tocfunction(L, -1), ALL, i ? "file:lines" : "file:read");
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}
