/* busy.h -- what a long calculation is at, for whoever is asked while it runs: a signal handler that says what it is that has not
 * stopped yet. One calculation at a time; what tells it costs a store or two. */
#ifndef MS_BUSY_H
#define MS_BUSY_H
#include <stddef.h>
#include <stdint.h>

/* From now on `what` is under way (copied; NULL: nothing), with no parts. */
void ms_busy(const char *what);
/* It has so many parts, each a `part` (a literal: "tree"); and one of them is done: any thread may say so. */
void ms_busy_parts(const char *part, int64_t of);
void ms_busy_done(void);

/* The operation whose kernel runs (a name that stays), or NULL: it comes before `what`. Answers the one before. */
const char *ms_busy_kernel(const char *name);

/* "random_forest, tree 12 of 100" into out, cut to size; an empty text when nothing is known. Safe in a signal handler. Answers its
 * length. */
size_t ms_busy_text(char *out, size_t size);

#endif
