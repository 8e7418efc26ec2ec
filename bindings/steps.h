/* steps.h -- what the files of ms.compile share: live.c (live numbers), looks.c (what a recording notices of the Lua that runs),
 * arguments.c (arguments and results as lists), settings.c (fields of modules), states.c (what is known by key), compile.c (calls),
 * report.c (what was recorded, and what it costs). */
#ifndef MS_STEPS_H
#define MS_STEPS_H
#include "bind.h"
#include "step/step.h"

enum { MAX_TENSORS = 256 /* and as many numbers */, KEY_BYTES = 16384, TABLE_DEPTH = 8 };

/* A call's arguments: their tensors and numbers in a fixed order, and everything else about them as bytes. Not cleared: set n,
 * n_number, n_key and problem to 0. */
typedef struct arguments {
  int n, n_number;
  const char *problem; /* why this is no list of arguments */
  ms_tensor *tensor[MAX_TENSORS];
  ms_plain number[MAX_TENSORS];
  bool whole[MAX_TENSORS]; /* the number is an integer to Lua */
  size_t n_key;
  unsigned char key[KEY_BYTES];
} arguments;

void msl_key(arguments *v, const void *p, size_t n);
void msl_key_int(arguments *v, int64_t x);
void msl_read_argument(lua_State *L, int i, arguments *v, int depth);
/* Append to the list at `list` what the key knows by its address: it has to stay alive as long as the key. */
void msl_anchor(lua_State *L, int i, int list, int depth);
/* The arguments as text: "3 x 4 f32, number, {x = 2 f32}". */
void msl_describe(lua_State *L, int i, char *out, size_t size, int depth);

/* The loan of one call: live numbers lie in the place of the arguments' numbers, in their tables too, until they are taken back.
 * Tables stay the ones they are, so that what the function does to them is done to the caller's, and is seen. */
typedef struct loan {
  const arguments *v;
  ms_cell *const *cell;
  const bool *looked; /* by number: the key knows its value, it stays */
  int k;              /* the next number */
  int list;           /* stack index of the list to write down in: table, key, what was there, what lies there */
  lua_Integer n;
} loan;
void msl_lend(lua_State *L, int i, loan *w); /* pushes the argument at i as the function gets it */
/* Undo what the list at `list` tells; what of it the function has changed stays, and is named: NULL, or "field 'x'". */
const char *msl_take_back(lua_State *L, int list);

/* Live numbers (live.c). `whole`: one that began as an integer and stayed one. Those that a recording gives out are counted:
 * msl_lent() of them are still held. */
void msl_push_live(lua_State *L, ms_cell *c, bool whole);
void msl_begin_lending(void); /* count from 0 */
int msl_lent(void);
void msl_open_live(lua_State *L);

/* Notice what Lua does until msl_stop_looking: the fresh answers it asks for (math.random, os.time) are refused, and with `numbers`
 * each look at a live number is answered with the plain one (looks.c). */
typedef struct looking {
  lua_Hook hook;
  int mask, count;
  bool on;
} looking;
void msl_start_looking(lua_State *L, looking *before, bool numbers);
void msl_stop_looking(lua_State *L, looking *before);
const char *msl_first_look(void);      /* the script's line that looked first since msl_begin_lending */
bool msl_looks_are_seen(lua_State *L); /* false with a Lua whose insides are others than known: numbers are known by value then */
void msl_open_looks(lua_State *L);

/* The outline of results: their tables, in which tensors that the step makes are light userdata, number k of out[]; arguments given
 * back MAX_TENSORS + i; live numbers and leaves captured from outside themselves. */
typedef struct results {
  const arguments *v;
  uint64_t born; /* storages made later were made by the step */
  int n;
  ms_tensor *out[MAX_TENSORS];
  const char *problem;
} results;
void msl_to_outline(lua_State *L, int i, results *r, int depth);                       /* pushes */
void msl_from_outline(lua_State *L, int i, const arguments *v, ms_tensor *const *out); /* pushes */
bool msl_same_outline(lua_State *L, int i, int j, int depth);

/* What a compiled function knows for one key. Uservalues: 1 the outline of the results, 2 the same of the first recording, 3 list
 * of objects, 4 the arguments as text. */
typedef struct state {
  unsigned char *key;
  size_t n_key;
  int total, calls; /* of this key; 0..2 until it replays, 3 then */
  int restarts;     /* recordings that were of no use */
  uint64_t tensors; /* step.tensors when it was recorded */
  int unsteady;     /* recordings whose call left fields or frozen leaves other than it found them */
  bool eager;       /* too many of them */
  bool forgiven;    /* a recording left something behind, once */
  bool infinite;    /* it leaves infinity on purpose: ms.detect_nan looks for NaN only */
  uint64_t last;    /* call of the step that used it last */
  int n_number, n_values;
  int n_looked, n_keyed; /* numbers that the function looks at; those of them whose values are in the key */
  char first_look[128];  /* the script's line that looked first */
  bool *looked;          /* by number */
  ms_record *first;      /* call 2; later as long as there is something to compare with it */
  ms_step *step;
  ms_cell *cell[];
} state;

/* Leaves from outside of which something belongs to the key: whether they have a .grad, or whether they want one. */
typedef struct leaf_list {
  int n, room;
  struct {
    ms_tensor *leaf;
    uint64_t id;
    bool before; /* how it was when first met: the key counts from there */
  } * at;
} leaf_list;

/* A variable that a compiled function captured. */
typedef struct captured {
  int f, index;                          /* upvalue `index` of function f of the list */
  const void *id;                        /* lua_upvalueid */
  int64_t first, now;                    /* what it held at the first call, and before this one (msl_value_code) */
  const void *same;                      /* the object that it held at the first call, which the step holds too */
  bool sets;                             /* the function sets it: it stands still in a replay */
  bool settings;                         /* it held a table of the script's at the first call */
  int64_t fields_first, fields, tensors; /* of that table: what lay in it at the first call, and before this one; its tensors */
} captured;

/* A compiled function. Uservalues: 1 the function, 2 its states by the hash of their keys, 3 a list of it and of functions that it
 * captured, with what their variables held at the first call at -1, -2, ... */
typedef struct compiled {
  int n_states, overflow;
  int unsteady; /* calls that ran as they are and changed fields of modules or optimizers */
  uint64_t calls, leaves;
  leaf_list grads, frozen;
  uint64_t frozen_at, frozen_key; /* what `frozen` adds to the key, found when ms_freezes was frozen_at */
  uint64_t tensors;               /* those in the tables that it captured, as a number (captured.c) */
  uint64_t reached_at;            /* what msl_reach was when the captured variables were found; */
  int reached;                    /* how often others were found than before */
  int n_captured, n_before;
  captured *captured, *before; /* before: while they are found anew */
} compiled;

/* states.c. The state of this call, pushed; NULL (nil pushed) when there are too many. n: arguments, from index 2 on. */
state *msl_state_of(lua_State *L, compiled *st, arguments *v, int n);
void msl_drop_recordings(state *s);
void msl_forget_all(compiled *st);         /* as after memset(st, 0, sizeof *st); the states go with the table that holds them */
int64_t msl_grads_key(const compiled *st); /* what the leaves with and without .grad add to the key */
int64_t msl_frozen_key(compiled *st);      /* the same for the frozen ones */
int msl_watch_leaves(compiled *st, const ms_record *r); /* of a recording; -1 after ms_fail */
void msl_open_states(lua_State *L);

/* How often a function or a table came into a module after it was made (settings.c): there may be other variables to watch then. */
extern uint64_t msl_reach;

/* captured.c. The part of the key for variables that the function captured, the same while they hold what they held at the first
 * call; and, after a call: ms_fail for what the function put into them that a replay would not. */
int64_t msl_captured_key(lua_State *L, compiled *st);
void msl_see_captured(lua_State *L, compiled *st, const arguments *v);

/* settings.c. What was set in modules and optimizers since they were made: a sum (by exclusive or) over their fields, 0 where all
 * is as it was, so that going back gives the former sum again; and what was set last, in words. */
extern int64_t msl_settings;
extern char msl_last_set[128];
void msl_open_settings(lua_State *L);
/* The value at i as a number: equal for equal values, and, as good as certain, for no others. */
int64_t msl_value_code(lua_State *L, int i);

/* Spreads the bits of a number, for keys that are put together by exclusive or. */
static inline uint64_t msl_mix(uint64_t x) {
  x *= 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

int msl_step_report(lua_State *L);
int msl_step_profile(lua_State *L);
void msl_profile_to_stderr(const ms_step *s);
extern bool msl_profile_all, msl_compile_off; /* MASCON_PROFILE=1, MASCON_COMPILE=off */
enum { WARM = 3 };                            /* calls until a step replays */

#endif
