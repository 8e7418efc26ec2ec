/* parts.h -- gradients of parts of a tensor, as a backward pass gathers them (parts.c). */
#ifndef MS_PARTS_H
#define MS_PARTS_H
#include "core.h"

/* A list: of each tensor `whole`, the gradients of its parts that are there so far. */
typedef struct ms_parts ms_parts;

/* Remember g, the gradient of the positions `at` of whole. 1 when that is enough: more elements wait than two tensors like whole
 * have, and are to be taken; else 0; -1 after ms_fail. */
int ms_parts_add(ms_parts **all, ms_tensor *whole, ms_tensor *g, ms_place at);
/* A node that is a slice, and for whose result only parts wait: may they go on to its argument `whole` as they are? Hand on does
 * that; it answers as add does. */
bool ms_parts_can_hand_on(const ms_node *n);
int ms_parts_hand_on(ms_node *n, ms_parts **to, ms_tensor *whole);
/* The gradient of whole that its parts make up; they leave the list. The caller holds it. NULL: there are none, or after ms_fail.
 */
ms_tensor *ms_parts_take(ms_parts **all, const ms_tensor *whole);
ms_tensor *ms_parts_first(const ms_parts *all); /* a tensor that has parts; NULL: none has */
void ms_parts_free(ms_parts **all);

#endif
