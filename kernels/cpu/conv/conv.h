/* conv.h -- what a way of convolution is. conv.c holds the table of them and is the only caller.
 *
 * A way cuts a convolution into tasks, which threads run in any order and at the same time, and which depend on sizes only: so do
 * the bits of the result. Its workspace is one area that all threads share and a room for each thread. */
#ifndef MS_CONV_H
#define MS_CONV_H
#include "../cpu.h"
#include "shape.h"

/* The batch cut into pieces of whole images (pieces.h), for the ways that go by them. */
typedef struct conv_pieces {
  int64_t images, count;     /* of a piece (the last one may have fewer); pieces of the batch */
  bool as_planes;            /* images that lie channels last are transposed to planes, in the room */
  size_t x_planes, y_planes; /* in a room: a piece's images as planes */
  size_t sums;               /* in the shared area: a w for each piece (result w, count > 1) */
} conv_pieces;

typedef struct conv_plan {
  ms_conv g;
  const struct conv_way *way;
  /* What the way's `plan` sets: */
  void *own;
  conv_pieces pieces;
  int64_t tasks;
  size_t shared_bytes, room_bytes;
  /* What conv.c adds: */
  int threads;                   /* threads that may run tasks at the same time */
  size_t copy[3], shared, rooms; /* places in the call's workspace: operands made contiguous, the shared area, the first room */
} conv_plan;

/* Contiguous or channels-last tensors, whole: two are read, the third is written. And the shared area. */
typedef struct conv_operands {
  void *x, *w, *y;
  const void *bias; /* NULL: none */
  void *shared;
} conv_operands;

/* The functions of a way. Areas are aligned to 64 bytes. What may be missing is NULL. */
typedef struct conv_functions {
  /* false: it cannot after all (no memory, oneDNN refuses); nothing is left behind, and the next row is asked. */
  bool (*plan)(conv_plan *p);
  /* Once per run before the tasks; may be missing. false: it failed. */
  bool (*begin)(const conv_plan *p, const conv_operands *t);
  /* thread: which of those that run tasks, and its room. false: it failed. */
  bool (*task)(const conv_plan *p, const conv_operands *t, int64_t task, int thread, void *room);
  /* The elements of the result that a task makes, as they lie in memory: how many, from *first on. 0, or missing: they do not lie
   * together, or more than one task adds to them. */
  int64_t (*made)(const conv_plan *p, int64_t task, int64_t *first);
  void (*end)(const conv_plan *p, const conv_operands *t); /* once per run after the tasks; may be missing */
  void (*free)(void *own);                                 /* may be missing */
} conv_functions;

/* A row of the table in conv.c. */
typedef struct conv_way {
  const char *name;                /* as reports print it */
  bool (*takes)(const ms_conv *g); /* looks at the shape, the layouts and the precision only */
  const conv_functions *functions;
  const char *why;
} conv_way;

/* Room of `bytes` at the end of an area of *all bytes, aligned to 64: where it begins. */
static inline size_t conv_reserve(size_t *all, size_t bytes) {
  const size_t at = (*all + 63) / 64 * 64;
  *all = at + bytes;
  return at;
}

/* How many threads may run `tasks` tasks at the same time. */
static inline int conv_threads(int64_t tasks) { return ms_threads() < tasks ? ms_threads() : (int)tasks; }

/* The ways, file by file. */
extern const conv_functions MS_NAME(conv_planes), MS_NAME(conv_planes_weights);                          /* planes.c */
extern const conv_functions MS_NAME(conv_last), MS_NAME(conv_last_weights), MS_NAME(conv_last_unfolded); /* channels_last*.c */
extern const conv_functions MS_NAME(conv_last_bf16), MS_NAME(conv_last_amx), MS_NAME(conv_last_amx_weights);
extern const conv_functions MS_NAME(conv_few_y), MS_NAME(conv_few_x), MS_NAME(conv_few_w); /* few_pixels.c */
extern const conv_functions MS_NAME(conv_onednn), MS_NAME(conv_onednn_whole);              /* onednn_way.c */
extern const conv_functions MS_NAME(conv_im2col);                                          /* im2col.c */

/* What they take. */
bool MS_NAME(conv_planes_take)(const ms_conv *g);
bool MS_NAME(conv_few_takes)(const ms_conv *g);
bool MS_NAME(conv_last_takes)(const ms_conv *g);
bool MS_NAME(conv_last_unfolds)(const ms_conv *g);
bool MS_NAME(conv_last_takes_amx)(const ms_conv *g);
bool MS_NAME(conv_last_takes_bf16)(const ms_conv *g);
bool MS_NAME(conv_onednn_takes_whole)(const ms_conv *g);

#endif
