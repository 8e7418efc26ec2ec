/* steps.h -- what the files of ms.compile share: live.c (live numbers), leaves.c (arguments and results as lists), compile.c
 * (calls), report.c (what was recorded, and what it costs). */
#ifndef MS_STEPS_H
#define MS_STEPS_H
#include "bind.h"
#include "core/record.h"

enum { MAX_LEAVES = 256, KEY_BYTES = 16384, TABLE_DEPTH = 8 };

/* A call's arguments: their tensors and numbers in a fixed order, and everything else about them as bytes. Not cleared: set n,
 * n_number, n_key and problem to 0. */
typedef struct leaves {
  int n, n_number;
  const char *problem; /* why this is no list of arguments */
  ms_tensor *tensor[MAX_LEAVES];
  double number[MAX_LEAVES];
  bool whole[MAX_LEAVES]; /* the number is an integer to Lua */
  size_t n_key;
  unsigned char key[KEY_BYTES];
} leaves;

void msl_key(leaves *v, const void *p, size_t n);
void msl_key_int(leaves *v, int64_t x);
void msl_read_leaf(lua_State *L, int i, leaves *v, int depth);
/* Append to the list at `list` what the key knows by its address: it has to stay alive as long as the key. */
void msl_anchor(lua_State *L, int i, int list, int depth);
/* Push the argument at i with its numbers as live ones, cells[*k]... */
void msl_push_with_live(lua_State *L, int i, const leaves *v, ms_cell **cells, int *k, int depth);

/* Results as a template: tensors that the step makes are light userdata, place k in out[]; arguments given back MAX_LEAVES + i;
 * live numbers and leaves captured from outside themselves. */
typedef struct results {
  const leaves *v;
  uint64_t born; /* storages made later were made by the step */
  int n;
  ms_tensor *out[MAX_LEAVES];
  const char *problem;
} results;
void msl_to_template(lua_State *L, int i, results *r, int depth);                    /* pushes */
void msl_from_template(lua_State *L, int i, const leaves *v, ms_tensor *const *out); /* pushes */
bool msl_same_template(lua_State *L, int i, int j, int depth);

/* Live numbers. `whole`: one that began as an integer and stayed one. */
void msl_push_live(lua_State *L, ms_cell *c, bool whole);
void msl_open_live(lua_State *L);

/* What is known for one key. Uservalues: 1 the template of the results, 2 the same of the first recording, 3 list of objects. */
typedef struct state {
  unsigned char *key;
  size_t n_key;
  int total, calls; /* of this key; 0..2 until it replays, 3 then */
  int restarts;     /* recordings that were of no use */
  bool eager;       /* too many of them */
  bool forgiven;    /* a recording left something behind, once */
  int n_number, n_values;
  ms_record *first; /* call 2; later as long as there is something to compare with it */
  ms_step *step;
  ms_cell *cell[];
} state;

/* A compiled function. Uservalues: 1 the function, 2 its states by the hash of their keys. */
typedef struct step {
  int n_states, overflow;
  int n_watch, room_watch;
  ms_tensor **watch; /* leaves whose .grad the function finds: whether there is one belongs to the key */
} step;

int msl_step_report(lua_State *L);
int msl_step_profile(lua_State *L);
void msl_profile_to_stderr(const ms_step *s);
enum { WARM = 3 }; /* calls until a step replays */

#endif
