/* record.h -- recorded steps: what a function did to tensors, as a flat list of kernel calls, and its replay.
 *
 *   call 1  runs eagerly (states are made, kernels tuned)
 *   call 2  runs and is recorded                      ms_record_begin .. ms_record_end
 *   call 3  runs, is recorded, and compared           ms_record_compare: what differs is an error that names both values and the line
 *   then    ms_step_build, and ms_step_run per call: no Lua, no graph, no allocation but the results'
 *
 * A recording sees kernel calls only: views, composites and derivative rules have dissolved into them by then. A tensor is known by its
 * storage; a storage is one of
 *   INPUT     an argument's: its address is put in anew at each replay
 *   EXTERNAL  made before the recording (parameters, states), or uploaded during it: read and written where it is
 *   INTERNAL  made by a recorded call. Those that somebody still holds afterwards (a parameter's gradient) keep their memory; those that
 *             leave as results get new memory each time; the rest share one arena, laid out by their lifetimes. */
#ifndef MS_RECORD_H
#define MS_RECORD_H
#include "core.h"

typedef struct ms_record ms_record;
typedef struct ms_step ms_step;

/* Start recording; args are the tensors handed to the function (retained). NULL and a message when one is under way. */
ms_record *ms_record_begin(int n_args, ms_tensor *const *args);
/* Stop; results are what the function returned. 0, or -1 after ms_fail (the recording is then good for nothing but ms_record_free). */
int ms_record_end(ms_record *r, int n_results, ms_tensor *const *results);
/* Stop without results after an error in the function. */
void ms_record_abort(ms_record *r);
void ms_record_free(ms_record *r);
bool ms_recording(void);

/* Do two recordings of the same function agree? -1 after ms_fail: "sum at train.lua:12: ..." */
int ms_record_compare(const ms_record *a, const ms_record *b);

/* Turn a recording into a step (which takes it over, also on failure). Call after the garbage of its run was collected: a storage
 * that anybody still holds cannot go into the arena. fold = false keeps every operation as it was. */
ms_step *ms_step_build(ms_record *r, bool fold);
/* Run with these arguments (same number, shapes, dtypes, strides as recorded); fills results[] with tensors of the current scope.
 * 1: done. 0: not these arguments -- one shares memory with another or with something the step writes, unlike when it was recorded; run
 * the function instead. -1 after ms_fail. */
int ms_step_run(ms_step *s, ms_tensor *const *args, ms_tensor **results);
void ms_step_free(ms_step *s);

typedef struct ms_step_info {
  int calls, recorded, fused, dead, results; /* kernel calls replayed; recorded; of them in fused chains; dropped as unused */
  size_t arena, eager;                       /* bytes of the arena; bytes the same tensors take without sharing */
  double flops;                              /* of products and convolutions, per run */
} ms_step_info;
ms_step_info ms_step_describe(const ms_step *s);
/* Call i of the step as text: operation, shapes, line. false past the end. */
bool ms_step_line(const ms_step *s, int i, char *out, size_t size);
/* Profile: from `on` to off, runs add up how long each call took; what was gathered stays until the next `on`. 0, or -1 after ms_fail. */
int ms_step_profile(ms_step *s, bool on);
/* Seconds in call i (counted as in ms_step_line) over all profiled runs; i = -1: in the runs as a whole, *runs of them. */
double ms_step_seconds(const ms_step *s, int i, int *runs);

/* Arithmetic with live numbers inside a step: a new cell whose value is a op b ('+', '-', '*', '/', '^'), computed anew before each run. A
 * NULL cell stands for the constant beside it. NULL after ms_fail. */
ms_cell *ms_record_number(char op, ms_cell *a, double ca, ms_cell *b, double cb);

/* ---- the gate's side ---- */
extern ms_record *ms_record_now; /* NULL: nothing is recorded */
int ms_record_call(const ms_call *c, ms_tensor *const *in, ms_tensor *const *out);

/* ---- shared by record.c and replay.c ---- */
typedef enum ms_slot_kind { MS_SLOT_INPUT, MS_SLOT_EXTERNAL, MS_SLOT_INTERNAL, MS_SLOT_RESULT, MS_SLOT_KEPT } ms_slot_kind;

typedef struct ms_slot {
  ms_storage *storage; /* retained, until the arena takes its place */
  ms_slot_kind kind;
  int arg;         /* INPUT: the first argument that lies in it */
  int first, last; /* calls that touch it */
  bool constant;   /* EXTERNAL: uploaded during the recording */
  bool written;
  size_t bytes, at; /* size; place in the arena */
} ms_slot;

/* A recorded call: ms_call with its own copies of everything, and for each view the slot it lies in (-1: number or absent). */
typedef struct ms_rcall {
  ms_call call;
  ms_scalar *number;  /* by input: the number operands' source */
  double *immediate;  /* by input: the number operands' element */
  int *slot;          /* by view, inputs first */
  size_t *offset;     /* by view: bytes from the storage's start */
  ms_attr *attr;
  const char *chunk;
  int line;
  bool live; /* some number must be refreshed before each run */
} ms_rcall;

typedef struct ms_ref_view {
  int slot;
  ms_view view;
  size_t offset;
} ms_ref_view;

/* out = a op b, numbers. */
typedef struct ms_rnumber {
  char op;
  ms_cell *a, *b, *out;
  double ca, cb;
} ms_rnumber;
void ms_rnumber_run(const ms_rnumber *n);

struct ms_record {
  ms_device *device;
  uint64_t birth; /* storages made later belong to the recording */
  ms_rcall *call;
  int n_call, room_call;
  ms_slot *slot;
  int n_slot, room_slot;
  int *table; /* hash of storage addresses to slots, -1 = empty */
  int table_size;
  ms_rnumber *number;
  int n_number;
  int n_args, n_results;
  ms_ref_view *arg, *result;
  bool grad;
};

/* ---- the inside of a step: replay.c, and the passes that ms_step_build runs one after another ---- */

typedef struct ms_patch { /* a view that follows an argument or a result */
  ms_view *view;
  int slot;
  size_t offset;
} ms_patch;

struct ms_step {
  ms_record *r;
  ms_storage *arena;
  ms_patch *patch;
  int n_patch;
  ms_step_info info;
  bool *dead; /* by call: dropped, or taken into another one */
  double *seconds; /* by call, and of whole runs behind the last one; NULL: never profiled */
  bool profiling;
  int runs; /* profiled */
};

#endif
