/* bind.h -- what the bindings share. A binding is: check the arguments, open a scope, call the core, close the scope, push or
 * raise. Only bindings raise, and only after closing their scope. */
#ifndef MS_BIND_H
#define MS_BIND_H
#include "core/core.h"
#include "protect.h"
#include <lauxlib.h>
#include <lua.h>

/* Begin a call into the core: remembers the state for script lines, runs the collector when the byte counts say so, opens a scope.
 */
int msl_enter(lua_State *L);
/* Close the scope; raise the stored error, if there is one, at the script's own line. */
void msl_leave(lua_State *L, int mark);
/* Close the scope and raise (a message made here, printf style; the stored error wins). */
int msl_raise(lua_State *L, int mark, const char *fmt, ...) MS_PRINTF(3, 4);
/* Raise what a compiled step must not do; the recording fails also where the script catches that. */
int msl_refuse(lua_State *L, const char *fmt, ...) MS_PRINTF(2, 3);

/* Push the metatable of a class of userdata, made on first use. getmetatable() shows its name only, and setmetatable() refuses:
 * events such as __gc are not for scripts to call. They check what they are given all the same (debug.getmetatable exists). True
 * when it is new. */
bool msl_metatable(lua_State *L, const char *name);

/* The core asks for a function of the script: f, called with `data` as light userdata where the script stands, calls that. 0, or -1
 * after ms_fail, which says an error of it. Modes and scopes are afterwards as before. (custom.c) */
int msl_call_for_core(lua_CFunction f, void *data);
extern uint64_t
    msl_dropped; /* how often the graph has let go of something in Lua, for the collector to take next time (custom.c) */
/* Push a tensor as userdata (it is retained), a number operand as a Lua number, NULL as nil. */
void msl_push(lua_State *L, ms_tensor *t);
/* The same as a result of a compiled step: it carries no graph, and msl_is_result knows why. */
void msl_push_result(lua_State *L, ms_tensor *t);
bool msl_is_result(lua_State *L, int i);
void msl_keep(lua_State *L, int i); /* no scope frees the tensor, or those in the table, at i */
/* The tensor at a stack index; raises when it is something else or was freed by its scope. */
ms_tensor *msl_check(lua_State *L, int i, const char *what);
const char *msl_typename(lua_State *L, int i);  /* what a value is, for a message: Lua's word, or "a tensor" */
void msl_push_item(lua_State *L, ms_tensor *t); /* its one element: x:item() */
ms_tensor *msl_to(lua_State *L, int i);         /* NULL when it is no live tensor */
ms_plain msl_plain(lua_State *L, int i);        /* the number at i */
void msl_push_plain(lua_State *L, ms_plain v);
ms_tensor *msl_operand(lua_State *L, int i); /* tensor, number or boolean; NULL otherwise. Numbers belong to the current scope */
/* A list of integers at index i (a table, a shape or one number), without conversion of base. false when it is no such thing. Named
 * keys of the table are not looked at: msl_table_kind tells whether there are any. */
bool msl_ints(lua_State *L, int i, ms_ints *v);
/* What a value is made of: no table; nothing; entries 1..n without holes (also a shape); named entries; both; other keys, or holes.
 */
typedef enum msl_table { MSL_NO_TABLE, MSL_EMPTY, MSL_LIST, MSL_NAMED, MSL_BOTH, MSL_ODD } msl_table;
msl_table msl_table_kind(lua_State *L, int i);
/* The boolean option `word` of the table at i (0: none); raises when it is something else. */
bool msl_flag(lua_State *L, int i, const char *what, const char *word, bool otherwise);
/* Raise when the call has more than n arguments. */
void msl_at_most(lua_State *L, int n, const char *what);
/* x.shape: sizes that print, compare and join, and cannot be changed (shape.c). msl_to_shape: is the value at i one? v may be NULL.
 */
void msl_push_shape(lua_State *L, int n, const int64_t *size);
bool msl_to_shape(lua_State *L, int i, ms_ints *v);
void msl_shape_as_list(lua_State *L, int i); /* a shape at i becomes a plain list there */
void msl_open_shape(lua_State *L);
/* Values for the common options dtype= and device= of the table at index i (0: none). They raise on bad words. */
ms_device *msl_device(lua_State *L, int i);
int msl_dtype(lua_State *L, int i, const char *word, int otherwise);
const char *msl_dtype_hint(lua_State *L, const char *name); /* "; did you mean f32?" for "float32", or "" (stays on the stack) */
/* Raise "unknown option 'x'; did you mean y? There are y, z" for a named key of the table at i that is not among names
 * (NULL-terminated); msl_check_options also for anything but a table of named keys (nil and none pass). */
void msl_check_names(lua_State *L, int i, const char *what, const char *const *names);
void msl_check_options(lua_State *L, int i, const char *what, const char *const *names);

/* x[index at i], and x[index at i] = the value at stack index `value` (indexing.c). They raise on what is no index, and leave other
 * errors to msl_leave. */
ms_tensor *msl_read_index(lua_State *L, int mark, int i, ms_tensor *x);
void msl_write_index(lua_State *L, int mark, int i, ms_tensor *x, int value);

/* What belongs to a coroutine (coroutine.c): gradient mode, precision, ..., how many guards of the gradient mode (ms.no_grad) are
 * open, and its scopes, a chain that gc.c knows (NULL: none is open). */
extern int msl_grad_guards;
void *msl_scopes(void);
void msl_set_scopes(void *chain);
void msl_free_scopes(void *chain); /* of a coroutine that is no more */
void msl_here(lua_State *L);       /* this is the state that runs */
lua_State *msl_where(void);        /* which one that is */

/* Push the table that `require "mascon.inside"` gives: what the library's own Lua calls and scripts do not see, private rows
 * (MS_PRIVATE) among it. */
void msl_inside(lua_State *L);

/* The script's line: the innermost Lua frame outside the library. Pushes nothing. */
void msl_script_line(lua_State *L, char *out, size_t size);

/* Each file that gives scripts functions has one of these; mascon.c calls them in turn. Stack: the module `ms`, methods of tensors.
 */
void msl_open_tensor(lua_State *L);
void msl_open_events(lua_State *L);
void msl_open_indexing(lua_State *L);
void msl_open_ops(lua_State *L);
void msl_open_composed(lua_State *L);
void msl_open_grad(lua_State *L);
void msl_open_custom(lua_State *L);
void msl_open_recompute(lua_State *L);
void msl_open_random(lua_State *L);
void msl_open_flops(lua_State *L);
void msl_open_device(lua_State *L);
void msl_open_modes(lua_State *L);
void msl_open_host(lua_State *L);
void msl_open_data(lua_State *L);
void msl_open_mat(lua_State *L);
void msl_open_download(lua_State *L);
void msl_open_pictures(lua_State *L);
void msl_open_files(lua_State *L);
void msl_open_tensorboard(lua_State *L);
void msl_open_formats(lua_State *L);
void msl_open_csv(lua_State *L);
void msl_open_folder(lua_State *L);
void msl_open_ml(lua_State *L);
void msl_open_compile(lua_State *L);
void msl_open_protos(lua_State *L);

/* The cell of the live number (live.c) at a stack index, or NULL. */
ms_cell *msl_live(lua_State *L, int i);
bool msl_live_whole(lua_State *L, int i); /* is it an integer to Lua? */
/* Push a live number that was computed from others. (msl_push does this for a number operand that has a cell.) */
void msl_push_lent(lua_State *L, ms_cell *c, bool whole);
/* Replace the live number at i by the plain one: the recording is then good for this value only. False: it is no live number. */
bool msl_look(lua_State *L, int i);
/* f works with live numbers itself, but for the arguments in `looked` (bit 0: the first). Any other C function that is called with
 * a live number gets the plain one (looks.c). */
void msl_takes_live(lua_CFunction f, int looked);

#endif
