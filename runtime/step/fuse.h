/* fuse.h -- what the files of the pass `fuse` share: fuse.c, where chains grow and become kernels, and fuse_heads.c, where they get
 * heads. The pass works on a list of units, each a call or a chain; a chain grows by taking in other units. */
#ifndef MS_FUSE_H
#define MS_FUSE_H
#include "pass.h"
#include <string.h>

enum { MOST_AHEAD = 64 }; /* how many units behind the last one that joined are tried */

/* Marks of a slot while a chain grows: members of the chain read or write it; units that have to stay behind the chain do. */
enum { CHAIN_READS = 1, CHAIN_WRITES = 2, BEHIND_READS = 4, BEHIND_WRITES = 8 };

typedef struct space { /* the elements that a call runs over: sizes other than 1 */
  int rank;
  int64_t shape[MS_MAX_RANK];
} space;

typedef struct unit { /* one call, or the members of a chain in order */
  int n, call[MS_PARTS];
  bool joins; /* may be in a chain with others */
  bool sum;   /* its last member is a sum */
  bool head;  /* its first member is one that the others run behind, piece by piece */
  space space;
} unit;

typedef struct slot_use { /* how the members of a chain, and calls passed meanwhile, touch a slot */
  uint8_t marks, dtype;
  bool aligned; /* all members element for element, as `dtype`, from `offset` on */
  size_t offset;
} slot_use;

typedef struct fusion {
  ms_step *s;
  ms_record *r;
  unit *unit;
  int n;
  slot_use *use; /* by slot; two more stand for the random generator, and for what is seen outside */
} fusion;

static inline space space_of(const ms_view *v) {
  space s = {0};
  for (int i = 0; i < v->rank; i++)
    if (v->shape[i] != 1) s.shape[s.rank++] = v->shape[i];
  return s;
}

static inline bool same_space(const space *a, const space *b) {
  return a->rank == b->rank && !memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape);
}

static inline bool is_sum(const ms_call *c) { return c->op->flags & MS_SUMS; }
static inline const ms_view *view_of(const ms_rcall *c, int k) { return ms_rcall_view((ms_rcall *)c, k); }

/* Does view k of a call run through these elements one by one? */
bool ms_fuse_aligned(const ms_rcall *c, int k, const space *elements);
/* Does unit u depend on what the marks tell of: storages that were read (it writes), or written (it reads or writes)? */
bool ms_fuse_depends(const fusion *f, const unit *u, int read_marks, int write_marks);
/* Mark what unit u reads and writes. */
void ms_fuse_mark(fusion *f, const unit *u, int read_mark, int write_mark);
/* Products and convolutions come to stand at the head of the chains that read their results. */
void ms_fuse_attach_heads(fusion *f);

#endif
