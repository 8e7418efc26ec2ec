/* pass.h -- what the files of this folder share, and nobody outside of it: the inside of a recording and of a step, and the passes.
 *
 * A recording (ms_record) is a list of calls in the order in which they ran. What a call reads and writes lies in slots; a slot is
 * one block of memory (record.h lists the kinds). record.c, number.c and gradients.c write a recording, compare.c compares two,
 * build.c makes a step of one, run.c and capture.c run the step. A pass changes the list of calls of a recording, and the slots
 * that they read, so that it does the same faster.
 *
 * The r in ms_rcall, ms_rarg, ms_rgrad, ms_revent, ms_rnumber is for "recorded". */
#ifndef MS_PASS_H
#define MS_PASS_H
#define MS_INSIDE
#include "step.h"

/* ---- a recording: slots ------------------------------------------------------------------------------------------ */

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
  bool beside;      /* not the first slot of its storage: found through `next` of another one */
  size_t bytes, at; /* size; where it begins in the arena */
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
  int nth;    /* which call it was when it was recorded: passes move calls */
  bool again; /* computes a second time, on purpose, what an earlier call did (ms.recompute) */
  uint64_t
      rng_behind; /* then, of a random one: how far the counter it draws from lies behind the generator's; it leaves that alone */
  bool live;      /* some number must be refreshed before each run */
  bool indexed;   /* some input is an index tensor, to be checked before each run */
  bool risky;     /* a run may end with an error, for what it is given */
  bool idle;      /* nobody reads what it makes: in a run only its index tensors are checked */
  int chain;      /* how many calls the chain has that ends here; -1: an earlier member, run by the last; 0: by itself */
  bool head;      /* the first of a chain, behind which the others run piece by piece */
} ms_rcall;

typedef struct ms_slot_view { /* a tensor: a view, and the slot that it lies in */
  int slot;
  ms_view view;
  size_t offset; /* bytes from the start of the slot's storage */
} ms_slot_view;

typedef struct ms_rarg { /* an argument: a slot of its own, also where it shares its storage with others */
  int slot;
  ms_view view;
  size_t offset;
  bool moves; /* was seen at two places */
  int tie; /* an earlier argument that it overlaps, always at the same distance, so that nobody knows which of the two a call reads;
              -1: none */
} ms_rarg;

/* What the function did with .grad of a leaf. */
typedef struct ms_rgrad {
  ms_tensor *leaf; /* retained; NULL: argument `arg` */
  int arg;
  bool found;     /* it was looked at before it was set */
  uint64_t birth; /* found: birth of its storage, 0 = there was none */
  int as;     /* found: it counts as one more argument, with this number; -1: a call had read it before, so it has to stay where it
                 was */
  bool wants; /* requires_grad, afterwards */
  ms_slot_view now; /* afterwards; slot -1: none */
} ms_rgrad;

/* Just before call `at`, .grad of a leaf was set. If a later call of a replay fails, this is what .grad has to be. */
typedef struct ms_revent {
  int at, grad;     /* the leaf, among those of ms_rgrad */
  ms_slot_view now; /* slot -1: none */
} ms_revent;

/* Arithmetic on live numbers, done anew before each run: out = op(in...). */
typedef struct ms_rnumber {
  int op, n;
  ms_scalar in[3]; /* their cells are retained, as is out */
  ms_cell *out;
} ms_rnumber;
int ms_rnumber_run(const ms_rnumber *n); /* 0, or -1 after ms_fail */

struct ms_record {
  int nth;           /* call of the function */
  const char *chunk; /* the script's line that called it: that of operations which the library does on its own */
  int line;
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
  ms_slot_view *result;
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
extern ms_record *ms_record_now; /* NULL: nothing is recorded */
/* What the observer is told of, outside record.c: numbers (number.c) and gradients (gradients.c); see core/observer.h. */
ms_tensor *ms_record_on_numbers(const ms_op *op, int n, ms_tensor *const *in);
int ms_record_grad(ms_tensor *t, bool found);
int ms_record_grad_set(ms_tensor *t);
/* Look where the gradients are when the function has returned. 0, or -1 after ms_fail. */
int ms_record_end_grads(ms_record *r);
/* Dtype, sizes, strides and offset of a tensor; slot -1. */
ms_slot_view ms_record_view(const ms_tensor *t);
/* The slot that a tensor belongs to: the first argument that it lies within; else the storage's, made if it is new. -1 on failure.
 */
int ms_record_slot_of(ms_record *r, const ms_tensor *t);
int ms_record_add_arg(ms_record *r, const ms_tensor *t); /* t becomes an argument; -1 on failure */
void ms_slot_unwatch(ms_slot *s);                        /* the slot lets go of a storage that it watched */
void ms_slot_hold(ms_slot *s, ms_storage *storage);      /* retain it as the slot's, in place of what it had; NULL: none */
int ms_record_slot(ms_record *r, ms_storage *s,
                   ms_slot_kind kind); /* one more slot of a storage, which it retains; -1 on failure */
bool ms_record_within(const ms_record *r, int arg, const ms_view *v, size_t offset); /* same storage: in the argument's memory? */
const char *ms_rcall_name(const ms_rcall *c); /* "add at x.lua:3": one of two static buffers */
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
/* Fills dead[]: call i is dead if nobody needs what it makes, neither a later call nor somebody outside the step. What makes the
 * index tensors of a dead call is not dead: they are still checked. -1: no memory, no message. */
int ms_record_dead(const ms_record *r, bool *dead);

/* ---- the inside of a step: build.c, and the passes that ms_step_build runs one after another -------------------- */

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
  struct ms_capture *capture; /* capture.c; NULL: the device runs it call by call */
};

int ms_step_fold(ms_step *s);          /* pass: convolutions take in the pooling or upsampling beside them (fold.c) */
int ms_step_repeat(ms_step *s);        /* pass: calls equal to earlier ones are computed once (repeat.c) */
void ms_step_drop_copies(ms_step *s);  /* pass: whole copies of what nobody changes afterwards are not made (alias.c) */
int ms_step_channels_last(ms_step *s); /* pass: images lie channels last where convolutions gain by it (layout.c) */
int ms_step_fuse(ms_step *s);          /* pass: elementwise calls become chains, behind products too; reorders calls (fuse.c) */
void ms_step_in_place(ms_step *s);  /* pass: elementwise results lie where an operand lay that is not needed any more (alias.c) */
void ms_step_lifetimes(ms_step *s); /* first and last of every slot, anew (fuse.c) */
void ms_step_set_address(ms_step *s, int slot, char *address); /* views of a slot now lie there (build.c) */
/* Where the memory of a slot, so far in, lies in the run under way (run.c). */
char *ms_step_address(const ms_step *s, int slot, size_t offset, ms_tensor *const *args);

/* A step that the device replays as one thing (capture.c). plan: decide which word of the live block is what, if the device can do
 * it; 0, or -1 after ms_fail. replay: 1: it ran; 0: it did not, since some number does not fit its dtype, and is to be run call by
 * call, which tells the call that uses the number; -1 after ms_fail. */
int ms_step_plan_capture(ms_step *s);
int ms_step_replay_captured(ms_step *s, ms_tensor *const *args);
void ms_step_drop_capture(ms_step *s);

/* Is call i run by itself, or as the last of a chain? */
static inline bool ms_step_runs(const ms_step *s, int i) { return !s->dead[i] && s->r->call[i].chain >= 0; }

#endif
