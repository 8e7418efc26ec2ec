/* backend.h -- THE contract between the core and the kernels.
 *
 *   scripts -> bindings -> runtime -> backend.h <- kernels
 *
 * The core checks, allocates and keeps books; a backend computes. A kernel gets one ms_call: views, attributes, workspace, and a
 * pointer for what it has prepared (a oneDNN primitive, a cuDNN plan). It never allocates tensors, never synchronises, never counts
 * references. The life of a call:   kernel->prepare(c)   once: choose a way, set c->work_bytes and c->prepared   (may be NULL)
 *                       kernel->run(c)       any number of times; c->work holds c->work_bytes bytes
 *                       kernel->release(c)   once: drop `prepared`                                  (may be NULL)
 * Eager execution prepares, runs and releases at once; a recorded step prepares once and only runs afterwards. Whatever may change
 * between two runs of a prepared call is read at run time: tensor data, c->rng, and live scalars (ms_scalar_constant says of a
 * number whether it is live). What the core asks about a call before it is prepared (kernel, fusible, heads, fuse, prefers_last,
 * folds) it asks about shapes, dtypes, attributes, the queue and the precision: the data may not be there.
 *
 * A device has one queue: what is asked of it happens in that order, at once (the CPU) or later (a GPU). So a block of memory may
 * be used again as soon as it is given back, and nothing has to wait but what hands numbers to the host: download and sync. `run`
 * may read its ms_call, and what that points to, only until it returns: a backend that works later copies what it needs, and keeps
 * what `release`, `free` and `drop` give back until what is queued has run.
 *
 * A step as one thing. A backend that can hold a step back as a whole (a CUDA graph) offers capture, captured, replay and drop;
 * its memory is not the host's. Then the core runs each prepared call of a step once between capture and captured, which computes
 * nothing, and from then on replays. If one of these runs fails, captured is called all the same, and its graph dropped. What
 * differs from replay to replay is one array of 8-byte words, the live block. Word 0 is unused, so that 0 can mean "constant". The
 * others hold
 *  - a number operand: one element of the view's dtype, at the word's first byte (ms_view.live);
 *  - a scalar attribute: three words, a double, the same as i64, and 1 where the i64 is the very number (ms_scalar_live);
 *  - the address of a view of an argument, of a result or of a kept gradient (ms_view.live);
 *  - the generator: two words, seed and counter; a call draws from counter + rng_offset on (ms_call.rng_live).
 * Words are dealt out after prepare. Outside of a capture they mean nothing, and what the call itself holds counts: the core also
 * runs the same calls one by one, while a step is profiled and where a number does not fit its dtype.
 *
 * Faults. Where the host cannot read an index tensor before the kernel does, the kernel leaves out positions that do not exist and
 * the queue remembers the first; from then on no kernel and no copy that is queued writes memory that is seen outside a step. What
 * reads no memory of the device still does: uploads and, outside a captured step, calls without a tensor that is read (fill_,
 * rand); so what a script makes meanwhile, such as the moments of an optimizer, holds what it was made with. The core asks for
 * the fault (`fault`) after each wait, and names the operation and the script's line by the call's id. The question ends this:
 * what is queued behind it runs as ever.
 */
#ifndef MS_BACKEND_H
#define MS_BACKEND_H
#include "mascon.h"

#define MS_ABI      4
#define MS_MAX_ARGS 12        /* arguments of one row */
#define MS_MAX_OUT  4         /* results of one row */
#define MS_PARTS    32        /* calls of a chain */
#define MS_NO_DIM   INT64_MIN /* a dimension that was not given */

/* A tensor as a kernel sees it. Strides count elements and may be 0 (broadcast); shape[] and stride[] hold `rank` entries.
 * data points at the first element; NULL = an optional tensor that was not given, or a tensor with no elements.
 * number != NULL: the operand is a number; data points at one element of `dtype` that the core refreshes before each run. */
typedef struct ms_view {
  void *data;
  const ms_scalar *number;
  uint8_t dtype, rank;
  bool absent;
  int live; /* a captured step: the word that holds the number, or the address, of this run; 0: what is here holds */
  int64_t shape[MS_MAX_RANK], stride[MS_MAX_RANK];
} ms_view;

typedef struct ms_op ms_op;
typedef struct ms_call ms_call;
typedef struct ms_queue ms_queue; /* a device and its one order of work; each backend says what it is */

/* What is to be done with the elements of a result while they are near: a chain (ms_part) that begins with the call. The kernel
 * says of every element of out[0], counted as it lies in memory, once and from any thread, that it is there: `count` stretches of
 * n, the first one from `from` on, beginning `step` apart. What is read of the result is that element only, and it may be
 * overwritten. */
typedef struct ms_after {
  void (*run)(const struct ms_after *a, int64_t from, int64_t n, int64_t count, int64_t step);
} ms_after;

typedef struct ms_kernel {
  bool (*supports)(const ms_call *c); /* NULL: every call of its operation */
  int (*prepare)(ms_call *c);         /* 0, or -1 after ms_fail */
  int (*run)(ms_call *c);             /* 0, or -1 after ms_fail */
  void (*release)(ms_call *c);
} ms_kernel;

struct ms_call {
  const ms_op *op;
  ms_queue *queue;
  uint32_t id; /* says which operation of which line of the script it is (ms_call_id); 0: not needed */
  int n_in, n_out, n_attr;
  /* Results are contiguous and never overlap an input, except: in-place arguments; out[0] of an elementwise operation, which may be
   * exactly the same elements as an input; and, if prefers_last is there, what the row calls images (MS_IMAGES), which may lie
   * channels last (ms_view_channels_last). Positions, max pooling's second result, count the elements of an H x W plane row by row
   * in either layout. */
  ms_view *in, *out;
  const ms_attr *attr;
  int64_t bound[MS_MAX_ARGS]; /* by input, index and class tensors: the largest position, 0 = none. Checked by the core where it can
                                 read */
  ms_rng *rng;                /* random operations: the counter to draw from; the core advances it after the run */
  int rng_live;               /* a captured step: the word with the seed, the counter in the next one; 0: rng holds */
  uint64_t rng_offset;        /* and how far behind that counter, never behind rng's, this call's draws begin */
  void *work;
  size_t work_bytes;
  void *prepared; /* what prepare made for the runs; release frees it */
  const ms_kernel *kernel;
  const ms_after *after; /* NULL: nothing; only where the backend's `heads` says that the kernel knows of it */
  int precision;         /* ms_precision of f32 products and convolutions, from the core */
  const char *way;       /* prepare may say which of several ways runs, for reports: text that stays; NULL: there is one */
};

/* A call in a chain: several calls over the same elements that run as one pass, in this order (recorded steps only). The first may
 * be one that `heads` allows: its result lies in memory, and the others run on each piece of it as it is made. */
typedef struct ms_part {
  ms_call *call;
  int from[3]; /* by input: the earlier part whose result it is, element for element; -1: what lies in memory */
  bool keep;   /* the result must reach memory; otherwise only later parts read it, and it has no memory */
} ms_part;

/* The first thing that went wrong in a queue: the position that input `input` of call `call` (ms_call.id) gives at element
 * `element` (from 0, in C order) is `value`, expected MS_INDEX_BASE .. bound - 1 + MS_INDEX_BASE. */
typedef struct ms_fault {
  uint32_t call;
  int input;
  int64_t element, value, bound;
  char text[200]; /* not "": what else went wrong, in words */
} ms_fault;

/* Memory of a captured step whose address is a live word. Arguments that overlap are not written by the step, unless they are one
 * storage here. */
typedef enum ms_io_kind { MS_IO_INPUT, MS_IO_RESULT, MS_IO_GRADIENT } ms_io_kind;
typedef struct ms_io_memory {
  ms_io_kind kind;
  int live;      /* the word with its address */
  int storage;   /* those with the same number lie in one storage, */
  size_t offset; /* each so many bytes behind a beginning that they share */
  size_t bytes;  /* from the address to the end of what the calls touch by this word; in a run there may be nothing behind it */
  bool written;  /* does the step write the storage? */
} ms_io_memory;
typedef struct ms_io {
  const ms_io_memory *memory;
  int n;
  int n_live; /* words of the live block */
} ms_io;

/* What a backend offers. All that answers int: 0, or -1 after ms_fail. */
typedef struct ms_backend {
  int abi; /* MS_ABI */
  const char *name;
  bool host_memory; /* the host may read and write what alloc gives, and what was asked of the queue has happened */
  ms_queue *(*open)(int index, char *description, size_t size); /* NULL after ms_fail says why there is no such device */
  void *(*alloc)(ms_queue *q, size_t bytes); /* NULL when there is none, nor will be when what is queued has run; no message */
  void (*free)(ms_queue *q, void *p);        /* when what is queued has run */
  int (*upload)(ms_queue *q, void *to, const void *host, size_t bytes);     /* the host's memory may change when it returns */
  int (*download)(ms_queue *q, void *host, const void *from, size_t bytes); /* waits */
  int (*copy)(ms_queue *q, void *to, const void *from, size_t bytes);       /* within the device; no overlap */
  int (*sync)(ms_queue *q);                                                 /* waits for all that is queued */
  bool (*fault)(ms_queue *q, ms_fault *f); /* after a wait: the first fault since the last question. NULL: there are none */
  unsigned (*precisions)(ms_queue *q);     /* of f32 products and convolutions: bit 1 << MS_PRECISION_F32 and so on */
  /* The kernel of a call; NULL: none for it (its operation, a dtype), and the operation's `ref` runs. */
  const ms_kernel *(*kernel)(const ms_call *c);
  /* Around runs of kernels, by the thread that calls them: how it, and those that help it, are to compute (ms_flush_denormal);
   * `enter` answers what `leave` puts back. Both NULL: nothing to do. */
  unsigned (*enter)(void);
  void (*leave)(unsigned before);
  /* May this call be in a chain? Be the first of one that is elementwise behind it, without a sum? And a chain as one kernel, which
   * the last part's call then carries, its `prepared` set, in place of its own; the other calls do not run. NULL without a message:
   * let them run one by one. All may be NULL: no chains. */
  bool (*fusible)(const ms_call *c);
  bool (*heads)(const ms_call *c);
  const ms_kernel *(*fuse)(const ms_part *part, int n);
  /* What a convolution gains (below 0: loses) when its image in[k], or out[k - n_in], lies channels last: about the elements that
   * need not be moved. Looks at shapes and the precision only, so that the bits of a recorded step depend on nothing else. NULL:
   * all images stay N x C x H x W. */
  double (*prefers_last)(const ms_call *c, int k);
  /* Does a convolution gain by taking in the pooling or upsampling beside it, where that saves `fewer` of `all` multiply-adds and
   * costs `wider` to spread the weights? NULL: never. */
  bool (*folds)(const ms_call *c, double all, double fewer, double wider);
  /* A step as one thing (see the head of this file). All NULL: the core runs a step call by call. */
  int (*capture)(ms_queue *q);                     /* from here on `run` records */
  void *(*captured)(ms_queue *q, const ms_io *io); /* what was recorded, *io is read here only; NULL after ms_fail */
  int (*replay)(ms_queue *q, void *graph, const uint64_t *live, int n); /* the n words may change when it returns */
  void (*drop)(ms_queue *q, void *graph);                               /* when what is queued has run */
} ms_backend;

/* ---- rows ----------------------------------------------------------------------------------------------------------------
 * ops.def holds a row per operation, elementwise.def a line per elementwise operation. A signature is a list "name:kind[=default]".
 * Tensor kinds come as inputs, in order; the others as attributes, in order. */
typedef enum ms_kind {
  MS_K_TENSOR,  /* any dtype; "tensor?" may be nil */
  MS_K_FLOAT,   /* floating; integers are converted to f32 first; "float?" may be nil */
  MS_K_OPERAND, /* tensor or number */
  MS_K_TENSORS, /* list of tensors, all the inputs from here on; only as the last tensor argument */
  MS_K_INOUT,   /* changed in place; wants no gradient */
  MS_K_INDEX,   /* integer tensor with values MS_INDEX_BASE .. bound (the shape rule sets the bound); checked before the kernel */
  MS_K_CLASS,   /* the same, for labels */
  MS_K_INT,
  MS_K_SIZE,     /* integer >= 0 */
  MS_K_DIM,      /* dimension, from 0 in C, negative from the end */
  MS_K_DIMS,     /* list of dimensions; n = -1: all */
  MS_K_POSITION, /* position along a dimension, from 0 in C, negative from the end */
  MS_K_SHAPE,    /* list of sizes */
  MS_K_INTS,     /* list of integers; one number stands for all */
  MS_K_BOOL,
  MS_K_SCALAR, /* number, possibly live */
  MS_K_DTYPE,
  MS_K_ENUM, /* one of the words after "enum(" ; value = its place from 0 */
} ms_kind;

typedef struct ms_arg {
  char name[20];
  uint8_t kind;
  bool is_tensor, optional, has_default;
  ms_attr value;     /* the default */
  const char *words; /* ENUM: "a|b|c)" inside the signature */
} ms_arg;

enum {
  MS_ELEMENTWISE = 1,    /* in elementwise.def */
  MS_VIEW = 2,           /* result shares memory with in[0]; no kernel */
  MS_RANDOM = 4,         /* draws from the generator */
  MS_NO_GRAD = 8,        /* result carries no gradient by nature (comparisons, argmax) */
  MS_CREATE = 16,        /* no tensor input: makes one; takes dtype and device in the options */
  MS_COMPOSITE = 32,     /* only `ref`: a composition of others, no kernel wanted */
  MS_REFUSES = 64,       /* its kernel ends with an error for some values of its inputs */
  MS_COPIES = 128,       /* the result is in[0], element for element, in the result's dtype */
  MS_SUMS = 256,         /* sums in[0] over the dimensions of attribute 0 (a sorted list); may be the end of a chain */
  MS_AVERAGES = 512,     /* with MS_SUMS: and divides by how many elements there were */
  MS_HEAD = 1024,        /* may be the head of a chain: its kernels know of ms_call.after */
  MS_FREE_LAYOUT = 2048, /* with MS_IMAGES: each image may lie either way, whatever the others do (see prefers_last) */
  MS_PRIVATE = 1 << 28,  /* for derivatives and the library itself: scripts find it in `require "mascon.inside"`, not in ms */
};

/* Traits with sets of tensor arguments (a list of tensors is one argument) or of results: bit 0 is the first one, up to four.
 * An operation neither MS_RANDOM nor with a name that ends in _ is pure: the same inputs give the same results, and nothing else
 * changes. */
#define MS_IMAGES(in, out)    ((in) << 12 | (out) << 16)  /* images N x C x H x W: all contiguous, or all channels last */
#define MS_LINEAR(set)        ((set) << 20)               /* linear in these together, whatever the others are */
#define MS_BILINEAR(one, two) ((one) << 20 | (two) << 24) /* linear in the one set, and also linear in the other */

enum {
  MS_CLASS_FLOAT,
  MS_CLASS_ARITH,
  MS_CLASS_BOUND,
  MS_CLASS_COMPARE,
  MS_CLASS_LOGIC,
  MS_CLASS_CHOOSE
}; /* of elementwise operations: dtypes in and out */

struct ms_op {
  const char *name, *signature, *doc, *sample;
  const struct ms_rule *rule; /* core/core.h */
  int id, flags, elementwise_class, arity;
  bool mutates;               /* changes its inout arguments, or (optimizers) its list of tensors */
  const char *formula;        /* elementwise: the C expression in x, y, z, for run-time compilers */
  const char *derivative[3];  /* elementwise: the derivative in each operand as written in the row */
  uint32_t keep_in, keep_out; /* bit i: the derivative reads the values of input / result i */
  bool has_reads;             /* does the row say more: */
  uint8_t reads[3];           /* the derivative in input i reads the inputs of bits 0..2, and result 0: bit 3 */
  int n_arg, n_tensor, n_attr;
  ms_arg arg[MS_MAX_ARGS];
  ms_plain (*number)(ms_plain x, ms_plain y); /* of two plain numbers, without a kernel (MS_NUMBER); NULL: by the kernel */
};

/* The sets of MS_IMAGES, and set 0 or 1 of MS_LINEAR and MS_BILINEAR; 0: empty. */
static inline int ms_op_images_in(const ms_op *op) { return op->flags >> 12 & 15; }
static inline int ms_op_images_out(const ms_op *op) { return op->flags >> 16 & 15; }
static inline int ms_op_linear(const ms_op *op, int which) { return op->flags >> (20 + 4 * which) & 15; }

int ms_op_count(void);
const ms_op *ms_op_at(int id);

/* ---- what kernels may use of the core ---------------------------------------------------------------------------- */

/* Write a number as one element of dtype: floating ones round; bool is "not 0"; an integer dtype that cannot hold it is an error.
 * 0, or -1 after ms_fail. */
int ms_put_number(void *p, int dtype, ms_scalar s);
int ms_scalar_live(ms_scalar s);             /* a captured step: the first of its three words of the live block; 0: none */
ms_scalar ms_scalar_from(const uint64_t *w); /* the constant that three words of the live block say */
#ifndef MS_RULES /* a kernel's value is not a rule's: what a rule reads while a step is recorded stays so in its replays */
double ms_scalar_value(ms_scalar s);               /* now */
bool ms_scalar_whole(ms_scalar s, int64_t *whole); /* is it, now, a whole number that an i64 holds? Then *whole is it. */
#endif
static inline int64_t ms_view_numel(const ms_view *v) {
  int64_t n = 1;
  for (int i = 0; i < v->rank; i++) n *= v->shape[i];
  return n;
}
/* Where element `linear` (counted row by row, the last dimension fastest) lies, in elements from the first. */
static inline int64_t ms_offset_in(int rank, const int64_t *shape, const int64_t *stride, int64_t linear) {
  int64_t at = 0;
  for (int i = rank - 1; i >= 0 && linear; i--) {
    int64_t q = linear / shape[i];
    at += (linear - q * shape[i]) * stride[i];
    linear = q;
  }
  return at;
}
static inline int64_t ms_offset(const ms_view *v, int64_t linear) { return ms_offset_in(v->rank, v->shape, v->stride, linear); }
/* The whole number that an index tensor (i64, i32 or u8) holds `at` elements from v->data. */
static inline int64_t ms_view_integer(const ms_view *v, int64_t at) {
  return v->dtype == MS_I64   ? ((const int64_t *)v->data)[at]
         : v->dtype == MS_I32 ? ((const int32_t *)v->data)[at]
                              : ((const uint8_t *)v->data)[at];
}
static inline bool ms_view_contiguous(const ms_view *v) {
  int64_t s = 1;
  for (int i = v->rank - 1; i >= 0; i--) {
    if (v->shape[i] != 1 && v->stride[i] != s) return false;
    s *= v->shape[i];
  }
  return true;
}

/* N x C x H x W whose elements lie in the order N, H, W, C, where that is not the same as being contiguous. */
static inline bool ms_view_channels_last(const ms_view *v) {
  static const int order[4] = {1, 3, 2, 0};
  if (v->rank != 4 || v->shape[1] == 1 || v->shape[2] * v->shape[3] == 1) return false;
  int64_t s = 1;
  for (int i = 0; i < 4; s *= v->shape[order[i++]])
    if (v->shape[order[i]] != 1 && v->stride[order[i]] != s) return false;
  return true;
}
/* A channels-last view as the contiguous one that it is: N x H x W x C. */
static inline ms_view ms_view_by_pixel(const ms_view *v) {
  ms_view p = *v;
  p.shape[1] = v->shape[2], p.shape[2] = v->shape[3], p.shape[3] = v->shape[1];
  p.stride[1] = v->stride[2], p.stride[2] = v->stride[3], p.stride[3] = v->stride[1];
  return p;
}

const ms_backend *ms_backend_cpu(void);
const ms_backend *ms_backend_trace(void);

#endif
