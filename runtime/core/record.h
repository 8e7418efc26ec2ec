/* clang-format off */
/* record.h -- recorded steps: what a function did to tensors, as a flat list of kernel calls, and its replay.
 *
 *   call 1  runs eagerly (states are made, kernels tuned)
 *   call 2  runs and is recorded                      ms_record_begin .. ms_record_end
 *   call 3  runs, is recorded, and compared           ms_record_compare: what differs is an error with both values and the line
 *   then    ms_step_build, and ms_step_run per call: no Lua, no graph, no allocation but the results'
 *
 * A recording sees kernel calls only: views, composites and derivative rules have dissolved into them by then. A tensor is known by
 * its storage; a storage is one of
 *
 *   INPUT     an argument's: its address is put in anew at each replay. What lies within an argument is taken for it, until a
 *             comparison shows that it stays where it is while the argument moves (a slice of something captured is handed in)
 *   EXTERNAL  made before the recording (parameters, states), or uploaded during it: read and written where it is
 *   INTERNAL  made by a recorded call, and gone with the call's garbage: these share one arena, laid out by their lifetimes
 *   RESULT    leaves as a result: new memory at each replay, since the caller may hold the last one
 *   KEPT      a leaf's gradient: the same memory at each replay, unless somebody else holds the last one
 *
 * What else somebody still holds afterwards (a table that grows, an upvalue) is an error: a replay runs no Lua and would not put it
 * there again. A recording holds what it must and no more: storages made by calls are watched, not retained, so that recording a
 * function takes the memory that running it takes. */
/* clang-format on */
#ifndef MS_RECORD_H
#define MS_RECORD_H
#define MS_INSIDE
#include "core.h"

typedef struct ms_record ms_record;
typedef struct ms_step ms_step;

/* Start recording call number `number` of a function; args are the tensors handed to it (retained). NULL and a message when one is
 * under way. */
ms_record *ms_record_begin(int number, int n_args, ms_tensor *const *args);
/* Stop; results are the tensors that the function returned. 0, or -1 after ms_fail (the recording is then good for ms_record_free
 * only). */
int ms_record_end(ms_record *r, int n_results, ms_tensor *const *results);
/* After ms_record_end, when the garbage of the run has been collected: look at what is still held. -1 after ms_fail. */
int ms_record_settle(ms_record *r);
/* Give up all storages but those from outside the step: what is left is good for comparing. */
void ms_record_forget(ms_record *r);
/* Stop after an error in the function, and free. */
void ms_record_abort(ms_record *r);
void ms_record_free(ms_record *r);
bool ms_recording(void);
/* The function asked for what a recording refuses (a tensor's values, a fresh random number), and gets this error. Should it catch
 * it, it goes another way than it would by itself: ms_record_end fails then. Nothing where nothing is recorded. */
void ms_record_refuse(const char *why);

/* Do two recordings of the same function agree? -1 after ms_fail: "sum at train.lua:12: ...". values: numbers of b are compared
 * with what the live numbers of a stand for now (b was recorded from plain numbers). Also finds out which arguments were seen at
 * two places: only then is it known that what the calls read there is the argument, and not something captured that was the
 * argument by chance; what did not move with it is made EXTERNAL, in both. */
int ms_record_compare(ms_record *a, ms_record *b, bool values);
/* Is every gradient that the recorded function found (rather than made) there now, or not there, as it was then? false: this
 * recording is of no use now. */
bool ms_record_grads_match(const ms_record *r, ms_tensor *const *args);

/* Turn a recording into a step (which takes it over, also on failure), after ms_record_settle. exact: leave out the passes that
 * change roundings (fold.c, layout.c), so that a replay has the bits of the run. */
ms_step *ms_step_build(ms_record *r, bool exact);

/* Does the step fit a call with these arguments (same number, shapes, dtypes, strides as recorded)?
 *   FITS     run it
 *   ALIAS    no: memory that the step writes is shared by two arguments, or by one and something captured
 *   ELSEWHERE  not known: an argument that was at the same place in both recordings, or at the same distance from one that it
 *              overlaps, is at another one now: compare one more recording with the first one, and build the step of that
 *   GRADS    no: .grad of a leaf is not of the kind that the function found there */
typedef enum ms_fit { MS_FITS, MS_FIT_ALIAS, MS_FIT_ELSEWHERE, MS_FIT_GRADS } ms_fit;
ms_fit ms_step_fit(const ms_step *s, ms_tensor *const *args);
/* Are all arguments known to move, each by itself? Then no call will be found ELSEWHERE. */
bool ms_step_moves(const ms_step *s);
/* Run with arguments that fit; fills results[] with tensors of the current scope. 0, or -1 after ms_fail. */
int ms_step_run(ms_step *s, ms_tensor *const *args, ms_tensor **results);
void ms_step_free(ms_step *s);

/* MASCON_COMPILE=check: run the function as well as the step, from the same state, and compare what they do (check.c).
 *   begin    remember everything that the step writes, the generator, the gradients
 *   swap     after the function ran: take what it wrote and gave, and put everything back
 *   compare  after the step ran: -1 after ms_fail names the first call whose outcome differs; exact: in its bits, else by 1e-6 of
 * the largest element */
typedef struct ms_check ms_check;
ms_check *ms_check_begin(ms_step *s, ms_tensor *const *args);
int ms_check_swap(ms_check *c, int n_results, ms_tensor *const *results);
int ms_check_compare(ms_check *c, ms_tensor *const *results, int number, bool exact);
void ms_check_free(ms_check *c);

typedef struct ms_step_info {
  int calls, recorded, fused, dead, results; /* kernel calls replayed; recorded; of them in fused chains; dropped as unused */
  int repeated;                              /* of the dropped: computed before by an equal call */
  int last;                                  /* tensors kept channels last */
  int folded;                                /* convolutions that took in a pooling or an upsampling */
  size_t arena, eager;                       /* bytes of the arena; bytes the same tensors take without sharing */
  double flops;                              /* of products and convolutions, per run */
} ms_step_info;
ms_step_info ms_step_describe(const ms_step *s);
/* Call i of the step as text: operation, shapes, line. false past the end. */
bool ms_step_line(const ms_step *s, int i, char *out, size_t size);
/* Profile: from `on` to off, runs add up how long each call took; what was gathered stays until the next `on`. 0, or -1 after
 * ms_fail. */
int ms_step_profile(ms_step *s, bool on);
/* Seconds in call i (counted as in ms_step_line) over all profiled runs; i = -1: in the runs as a whole, *runs of them. */
double ms_step_seconds(const ms_step *s, int i, int *runs);

/* Arithmetic with live numbers inside a step, as in Lua: a new cell whose value is that of an elementwise row on n of them,
 * computed anew before each run. NULL after ms_fail. */
ms_cell *ms_record_number(int op, int n, const ms_scalar *in);
/* The value of a live number that decides something here and now (a way, a size): from then on the recording is good for this value
 * only. Outside of recordings: the value. */
ms_plain ms_record_look(ms_cell *c);
/* Was c looked at, or something made of it? */
bool ms_record_looked(const ms_record *r, const ms_cell *c);
/* The same for an operation of a derivative rule or composite on numbers only. */
ms_tensor *ms_record_fold(const ms_op *op, int n, ms_tensor *const *in);

/* ---- the gate's side --------------------------------------------------------------------------------------------- */
extern ms_record *ms_record_now; /* NULL: nothing is recorded */
int ms_record_call(const ms_call *c, ms_tensor *const *in, ms_tensor *const *out);
/* t is new, and calls will fill it: a result that its row composes. Other new storages that a call reads first were filled with
 * numbers by the host. 0, or -1 after ms_fail. */
int ms_record_made(const ms_tensor *t);
/* Operands of an operation (views too): leaves from outside are noted, for whether they want gradients decides what is recorded. */
void ms_record_leaves(int n, ms_tensor *const *in);
extern uint64_t ms_freezes; /* how often requires_grad of some leaf was switched */
/* .grad of t is looked at (found) or set; call before it happens. 0, or -1 after ms_fail. */
int ms_record_grad(ms_tensor *t, bool found);
int ms_record_grad_is(ms_tensor *t); /* .grad of t is another one now */

/* ---- shared by record.c and replay.c ----------------------------------------------------------------------------- */
typedef enum ms_slot_kind { MS_SLOT_INPUT, MS_SLOT_EXTERNAL, MS_SLOT_INTERNAL, MS_SLOT_RESULT, MS_SLOT_KEPT } ms_slot_kind;

typedef struct ms_slot {
  ms_storage *storage; /* INTERNAL: watched, NULL when it has died; INPUT: retained until ms_record_forget, then the one of the run
                          under way; RESULT: that of the run under way; else retained. The retaining ones count as storage->held */
  uint64_t birth;      /* the storage's */
  ms_slot_kind kind;
  int arg;         /* INPUT: the argument that it is */
  int next;        /* another slot of the same storage, -1: none; only arguments, and what is captured beside them, share one */
  int first, last; /* calls that touch it */
  bool constant;   /* EXTERNAL: uploaded during the recording */
  bool written;
  bool inside;      /* INTERNAL: only handed on within a chain, never in memory */
  bool beside;      /* found through the `next` of another one */
  size_t bytes, at; /* size; place in the arena */
} ms_slot;

/* A recorded call: ms_call with its own copies of everything, and for each view the slot it lies in (-1: number or absent). */
typedef struct ms_rcall {
  ms_call call;
  ms_scalar *number; /* by input: the number operands' source */
  double *immediate; /* by input: the number operands' element */
  int *slot;         /* by view, inputs first */
  size_t *offset;    /* by view: bytes from the storage's start */
  ms_attr *attr;
  const char *chunk;
  int line;
  int nth;      /* which call it was when it was recorded: passes move calls */
  bool live;    /* some number must be refreshed before each run */
  bool indexed; /* some input is an index tensor, to be checked before each run */
  bool risky;   /* a run may end with an error, for what it is given */
  bool idle;    /* only its index tensors are needed, to be checked: nobody reads what it makes */
  int chain;    /* how many calls the chain has that ends here; -1: an earlier member, run by the last; 0: by itself */
  bool head;    /* the first of a chain, behind which the others run piece by piece */
} ms_rcall;

typedef struct ms_ref_view {
  int slot;
  ms_view view;
  size_t offset;
} ms_ref_view;

typedef struct ms_rarg { /* an argument: a slot of its own, also where it shares its storage with others */
  int slot;
  ms_view view;
  size_t offset;
  bool moves; /* was seen at two places */
  int tie; /* an earlier argument that it overlaps, always at the same distance: which of the two a call reads is not known. -1 */
} ms_rarg;

/* What the function did with .grad of a leaf. */
typedef struct ms_rgrad {
  ms_tensor *leaf; /* retained; NULL: argument `arg` */
  int arg;
  bool found;      /* it was looked at before it was set */
  uint64_t birth;  /* found: birth of its storage, 0 = there was none */
  int as;          /* found: the argument that it is one more of; -1: it was in use already, and has to stay where it was */
  bool wants;      /* requires_grad, afterwards */
  ms_ref_view now; /* afterwards; slot -1: none */
} ms_rgrad;

/* .grad of a leaf was given another value, before call `at`: what is there if a later call fails. */
typedef struct ms_revent {
  int at, grad;    /* the leaf, among those of ms_rgrad */
  ms_ref_view now; /* slot -1: none */
} ms_revent;

/* out = op(in...), numbers. */
typedef struct ms_rnumber {
  int op, n;
  ms_scalar in[3]; /* their cells are retained, as is out */
  ms_cell *out;
} ms_rnumber;
int ms_rnumber_run(const ms_rnumber *n); /* 0, or -1 after ms_fail */

struct ms_record {
  int nth; /* call of the function */
  ms_device *device;
  uint64_t birth; /* storages made later belong to the recording */
  ms_rcall *call;
  int n_call, room_call;
  ms_slot *slot;
  int n_slot, room_slot;
  int *table; /* hash of births to slots, -1 = empty */
  int table_size;
  ms_rnumber *number;
  int n_number;
  int n_given, n_args, n_results; /* arguments handed in; those, and the gradients found */
  ms_rarg *arg;
  ms_ref_view *result;
  ms_tensor *const *args; /* while recording */
  ms_rgrad *grad;
  int n_grad, room_grad;
  ms_revent *event;
  int n_event, room_event;
  ms_tensor **leaf; /* retained: leaves from outside that were operands */
  int n_leaf, room_leaf;
  ms_cell **looked; /* retained */
  int n_looked;
  char refused[400]; /* the first error of ms_record_refuse, and where it was; "": none */
};
void ms_slot_hold(ms_slot *s, ms_storage *storage); /* retain it as the slot's, in place of what it had; NULL: none */
int ms_record_slot(ms_record *r, ms_storage *s,
                   ms_slot_kind kind); /* one more slot of a storage, which it retains; -1 on failure */
bool ms_record_within(const ms_record *r, int arg, const ms_view *v, size_t offset); /* same storage: in the argument's memory? */
const char *ms_rcall_place(const ms_rcall *c); /* "add at x.lua:3": one of two static buffers */
/* All arguments of a call: those given, and the gradients found. into has room for n_args. false: they are not of the recorded
 * kind. */
bool ms_record_args(const ms_record *r, ms_tensor *const *given, ms_tensor **into);
ms_tensor *ms_grad_leaf(const ms_rgrad *g, ms_tensor *const *args);
ms_view *ms_rcall_view(ms_rcall *c, int k);                             /* view k, inputs first */
bool ms_rcall_writes(const ms_rcall *c, int k);                         /* does the call change the elements of view k? */
bool ms_record_changes(const ms_record *r, int slot, int from, int to); /* does one of the calls from..to change the slot? */
/* The bytes that a view spans, from its storage's start. */
static inline void ms_view_span(const ms_view *v, size_t offset, size_t *from, size_t *to) {
  int64_t last = 0;
  for (int i = 0; i < v->rank; i++) last += (v->shape[i] - 1) * v->stride[i];
  *from = *to = offset;
  if (ms_view_numel(v)) *to += (size_t)(last + 1) * ms_dtype_size(v->dtype);
}
/* A call's copy of everything, in one block: slots -1, numbers empty. 0, or -1 after ms_fail. */
int ms_rcall_copy(ms_rcall *q, const ms_call *c);
void ms_rcall_drop(ms_rcall *c); /* free what it owns */
/* dead[i] for every call that makes only what no later call reads and nobody sees outside; what its index tensors are made by is
 * not (they are still to be checked). -1: no memory, no message. */
int ms_record_dead(const ms_record *r, bool *dead);

/* ---- the inside of a step: replay.c, and the passes that ms_step_build runs one after another -------------------- */

typedef struct ms_patch { /* a view that follows an argument or a result */
  ms_view *view;
  int slot;
  size_t offset;
} ms_patch;

/* How many threads a step pays for (pace.c). Level k is ms_threads() >> k threads. */
enum { MS_PACE_LEVELS = 11 };
typedef struct ms_pace {
  double mean[MS_PACE_LEVELS]; /* seconds of a run lately, 0: not tried */
  double calm;                 /* the least that the mean of this level has been, creeping up */
  int level, trial;            /* in use; being tried, or -1 */
  int runs, counted, tried;    /* runs at the beginning; since the last trial; of the trial */
  double since, gap;           /* seconds since the last trial; until the next one */
  double sum, least, begin;    /* seconds of the trial, of its shortest run; when this run began */
  bool fewer;                  /* the last trial was of fewer threads */
  uint64_t count;              /* of shared blocks when this run began */
} ms_pace;
void ms_pace_begin(ms_pace *p);
void ms_pace_end(ms_pace *p);

struct ms_step {
  ms_record *r;
  ms_storage *arena;
  ms_patch *patch;
  int n_patch;
  ms_tensor **args;        /* of the call under way */
  int *written, n_written; /* slots outside the arena that it writes: EXTERNAL ones */
  ms_step_info info;
  bool *dead;      /* by call: dropped, or taken into another one */
  double *seconds; /* by call, and of whole runs behind the last one; NULL: never profiled */
  bool profiling;
  int runs; /* profiled */
  ms_pace pace;
};

int ms_step_fold(ms_step *s);          /* pass: convolutions take in the pooling or upsampling beside them (fold.c) */
int ms_step_repeat(ms_step *s);        /* pass: calls equal to earlier ones are computed once (repeat.c) */
void ms_step_drop_copies(ms_step *s);  /* pass: whole copies of what nobody changes afterwards are not made (alias.c) */
int ms_step_channels_last(ms_step *s); /* pass: images lie channels last where convolutions gain by it (layout.c) */
int ms_step_fuse(ms_step *s);          /* pass: elementwise calls become chains, behind products too; reorders calls (fuse.c) */
void ms_step_in_place(ms_step *s);  /* pass: elementwise results lie where an operand lay that is not needed any more (alias.c) */
void ms_step_lifetimes(ms_step *s); /* first and last of every slot, anew (fuse.c) */
void ms_step_place(ms_step *s, int slot, char *address); /* views of a slot now lie there (replay.c) */

/* Is call i run by itself, or as the last of a chain? */
static inline bool ms_step_runs(const ms_step *s, int i) { return !s->dead[i] && s->r->call[i].chain >= 0; }

#endif
