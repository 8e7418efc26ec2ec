/* fused.h -- a chain of elementwise calls as a program that runs strip by strip (fused.c makes it, strips.c runs it).
 *
 * All parts but a sum at the end have results of the same shape, the space. Its elements are counted 0 .. numel-1 row-major. A
 * strip is a range of them, short enough that what the chain keeps between two parts stays in L1. Each part runs on a whole strip
 * by the very loop that it would run by itself, so the bits are the same. A program with a head (a product, a convolution) runs on
 * pieces of the head's result. */
#ifndef MS_FUSED_H
#define MS_FUSED_H
#include "loops.h"
#include "sum_order.h"

enum {
  FUSED_BYTES = 24 << 10, /* of L1 for the strips of all buffers and memory operands */
  FUSED_STACK = 96 << 10, /* bytes of a thread's buffers, at most; a chunk of f64 is 32 KB */
  FUSED_WIDE = 512,       /* rows from this length on are cut into strips one by one; shorter ones are repeated into a buffer */
  FUSED_PERIOD = 1024     /* most elements of a pattern that is repeated */
};

typedef enum source_kind {
  SOURCE_FIXED,  /* one element for all: a number, a tensor of one element */
  SOURCE_FLAT,   /* contiguous: element i of the space is element i of it */
  SOURCE_VALUE,  /* an earlier part's result */
  SOURCE_ROWS,   /* constant stride within a row of the space; strips end with rows then */
  SOURCE_REPEAT, /* depends on i % period only: laid out once per thread, one period longer than a strip */
  SOURCE_GATHER, /* any other strides: gathered for each strip */
} source_kind;

typedef struct source {
  source_kind kind;
  int size; /* bytes of an element */
  int part; /* VALUE: whose */
  const ms_view *view;
  int64_t stride[MS_MAX_RANK]; /* over the space's dimensions, in elements */
  int64_t period;              /* REPEAT */
  int64_t at;                  /* REPEAT, GATHER: where its buffer begins, bytes */
} source;

typedef enum part_kind { PART_EACH, PART_SUM_ALL, PART_SUM_ROWS } part_kind;

typedef struct part {
  ms_call *call;
  part_kind kind;
  ms_loop loop;
  int size;   /* bytes of a result element */
  int64_t at; /* where the buffer of its strip begins, bytes; -1: results go to memory */
  source in[3];
} part;

typedef struct program {
  int n, rank;
  bool cut_rows;
  part *part;
  int64_t shape[MS_MAX_RANK], numel; /* the space, dimensions merged; rank >= 1 */
  int64_t strip, bytes;              /* elements of a strip; bytes of all buffers */
  /* the sum, if the last part is one */
  int chunked;     /* SUM_ALL: the part whose result is summed and gathers in a buffer of MS_CHUNK elements; -1: it is in memory */
  int64_t columns; /* SUM_ROWS: elements of a row */
  double scale;
  void *partial; /* SUM_ALL: f64 per MS_CHUNK elements; SUM_ROWS: a row in the tensor's dtype per SUM_BLOCK_ROWS rows */
  /* a chain with a head */
  ms_call *head;           /* the product or convolution whose result the parts follow; NULL: none */
  const ms_kernel *kernel; /* the head's */
  ms_after after;          /* what the head's kernel calls for each piece of its result */
} program;

int MS_NAME(ms_cpu_strips)(ms_call *last); /* run the program in last->prepared */
/* The same on pieces, as ms_after says; a: program.after. */
void MS_NAME(ms_cpu_strips_piece)(const ms_after *a, int64_t from, int64_t n, int64_t count, int64_t step);

#endif
