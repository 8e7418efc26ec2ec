/* inplace.h -- changes in place, for op.c. Functions that give an int give -1 after ms_fail. */
#ifndef MS_INPLACE_H
#define MS_INPLACE_H
#include "core.h"

bool ms_any_needs_grad(int n, ms_tensor *const *in);

/* Refuse what is expanded, or unfolded into windows that overlap: several of its elements are one in memory, which a change in
 * place would change several times. A dimension, taken in the order of strides, must reach over all that the ones before it span.
 */
int ms_check_overlap(const ms_op *op, const ms_tensor *x);

/* May a call change those of its arguments that it changes? Not with gradients recorded, nor where elements overlap. */
int ms_check_mutation(const ms_op *op, int n_in, ms_tensor *const *in);

/* After a call that changed its arguments in place: their versions grow, so that a gradient that needs the old values notices. A
 * call that failed has changed nothing. */
void ms_mutated(const ms_op *op, int n_in, ms_tensor *const *in);

/* Of a row NAME_ that changes its first argument in place, the row NAME, which gives a new tensor from the same arguments; -1:
 * there is none. */
int ms_functional_of(const ms_op *op);

/* What shares memory with in[0], which is about to change, as a copy. */
int ms_keep_apart(int n_in, ms_tensor *const *in, ms_tensor **apart);

/* A change in place that is part of a graph: x takes the values of y, a new tensor, and y's place in the graph. */
int ms_become(const ms_op *op, ms_tensor *x, ms_tensor *y);

/* x was changed in place by a call on converted[]. From now on x is the result of that call's node. The node's input is x as it was
 * before: an alias of the same bytes (whose version tells that they have changed) that keeps the old link into the graph. On
 * failure x keeps its old link. */
int ms_join_graph(const ms_op *op, int n_in, ms_tensor **converted, const ms_attr *attr, ms_tensor *x);

#endif
