/* observer.h -- how the core tells what it does to whoever records it. The core knows nothing else of recorded steps.
 *
 * While a step is recorded, runtime/step installs itself as the observer; otherwise there is none. To keep something from being
 * recorded (arithmetic on plain numbers, say), take the observer away meanwhile:  was = ms_observe(NULL); ...; ms_observe(was);
 * Functions that give an int give 0, or -1 after ms_fail; the operation then fails too. */
#ifndef MS_OBSERVER_H
#define MS_OBSERVER_H
#include "backend.h"

struct ms_storage;

typedef struct ms_observer {
  /* A kernel has run: the call, and the tensors that its views show. */
  int (*called)(const ms_call *c, ms_tensor *const *in, ms_tensor *const *out);
  /* t is a new result that its row composes: calls will fill it. Other new storages that a call reads first were filled with
   * numbers by the host. */
  int (*made)(const ms_tensor *t);
  /* Operands of an operation, views too, while gradients are enabled. */
  void (*operands)(int n, ms_tensor *const *in);
  /* An elementwise operation on numbers only, one of them live: the live number that is its result. NULL after ms_fail. */
  ms_tensor *(*on_numbers)(const ms_op *op, int n, ms_tensor *const *in);
  /* The value of a live number decides something here and now (a way, a size). Answers the value. */
  ms_plain (*looked)(ms_cell *c);
  /* .grad of t is looked at (found) or set: told before it happens. */
  int (*grad)(ms_tensor *t, bool found);
  /* .grad of t is another one now. */
  int (*grad_set)(ms_tensor *t);
  /* The script asked for what cannot be recorded, and gets this error. */
  void (*refused)(const char *why);
  /* A storage dies whose `watcher` this is; also told when nothing is recorded any more. */
  void (*lost)(struct ms_storage *s);
} ms_observer;

extern const ms_observer *ms_observer_now;           /* NULL: nobody watches */
const ms_observer *ms_observe(const ms_observer *o); /* from now on; answers the one before */

#endif
