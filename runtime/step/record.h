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
#include "core/core.h"

typedef struct ms_record ms_record;

/* Start recording call number `number` of a function; args are the tensors handed to it (retained). NULL and a message when one is
 * under way. */
ms_record *ms_record_begin(int number, int n_args, ms_tensor *const *args);
/* Stop; results are the tensors that the function returned. 0, or -1 after ms_fail (the recording is then good for ms_record_free
 * only). */
int ms_record_end(ms_record *r, int n_results, ms_tensor *const *results);
/* After ms_record_end, when the garbage of the run has been collected: look at what is still held. -1 after ms_fail. */
int ms_record_settle(ms_record *r);
/* Give up all storages but those from outside the step: the recording can then be compared, and no more. */
void ms_record_forget(ms_record *r);
/* Stop after an error in the function, and free. */
void ms_record_abort(ms_record *r);
void ms_record_free(ms_record *r);
bool ms_recording(void);
/* What runs from here on is no part of the recording under way (NULL: there is none), until it goes on. */
ms_record *ms_record_pause(void);
void ms_record_go_on(ms_record *r);
int ms_record_nth(const ms_record *r); /* which call of the function it is of */
/* The function asked for what a recording refuses (a tensor's values, a fresh random number), and gets this error. Should it catch
 * it, it goes another way than it would by itself: ms_record_end fails then. Nothing where nothing is recorded. */
void ms_record_refuse(const char *why);

/* Do two recordings of the same function agree? -1 after ms_fail: "sum at train.lua:12: ...". values: numbers of b are compared
 * with what the live numbers of a stand for now (b was recorded from plain numbers). Also finds out which arguments move, that is,
 * lay at another address in the second call. What calls read at the argument's address in both is the argument. What they read at
 * the old address in both is a captured tensor that the argument happened to share memory with; it becomes EXTERNAL, in both. */
int ms_record_compare(ms_record *a, ms_record *b, bool values);
/* Is every gradient that the recorded function found (rather than made) there now, or not there, as it was then? false: this
 * recording is of no use now. */
bool ms_record_grads_match(const ms_record *r, ms_tensor *const *args);

/* Arithmetic with live numbers inside a step, as in Lua: a new cell whose value is that of an elementwise row on n of them,
 * computed anew before each run. NULL after ms_fail. */
ms_cell *ms_record_number(int op, int n, const ms_scalar *in);
/* The value of a live number that decides something here and now (a way, a size): from then on the recording is good for this value
 * only. Outside of recordings: the value. */
ms_plain ms_record_look(ms_cell *c);
int ms_record_looks(const ms_record *r); /* how many live numbers were looked at */
/* Was c looked at, or something made of it? */
bool ms_record_looked(const ms_record *r, const ms_cell *c);
bool ms_record_looked_now(const ms_cell *c); /* ms_record_looked of what is recorded now */

/* The i-th leaf from outside, no argument, whose .grad the function looked at before it set it, and whether there was one; NULL
 * past the end. */
ms_tensor *ms_record_found_grad(const ms_record *r, int i, bool *had);
/* The i-th leaf from outside, no argument, that was an operand while gradients were enabled; NULL past the end. */
ms_tensor *ms_record_leaf(const ms_record *r, int i);

#endif
