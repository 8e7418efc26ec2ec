/* core.h -- the inside of the runtime: the structures of core/, for ops/, step/ and those files of the bindings that need them.
 *
 *    tensor --storage--> bytes on a device (reference counted, versioned)
 *       |
 *      node ---in[]---> tensors kept for the derivative, or ghosts (shape and graph link without bytes)
 *
 * A node never owns its results: a result owns its node. So a graph is freed by dropping the last result.
 */
#ifndef MS_CORE_H
#define MS_CORE_H
#ifndef MS_INSIDE /* the core itself; rules and bindings are outside */
#define MS_RULES
#endif
#include "backend.h"
#include "numbers.h"
#include "observer.h"
#include "op_ids.h"

/* A class of elementwise operations beside those of backend.h: integers only. */
#define MS_CLASS_WHOLE ((int)MS_CLASS_CHOOSE + 1)

typedef struct ms_storage {
  int refs;
  uint32_t version;       /* grows with each change in place */
  uint32_t graph_version; /* `version` after the last change in place that is part of a graph */
  ms_device *device;
  void *data;
  size_t bytes, capacity;     /* asked for; size class */
  uint64_t birth;             /* when it was made: grows with time */
  int held;                   /* how many of refs are recordings and steps, which remember it but do not use it */
  const ms_observer *watcher; /* whose `lost` is called when the storage is freed; NULL: nobody's */
  void *watched_by;           /* the recording or step that asked for this, */
  int watched_as;             /* and the number of the slot that it has there */
} ms_storage;

/* cores.c. How many cores this process may use; and how many cores' time its control groups grant it: `groups` is the file that
 * lists them, `root` the folder where they are mounted. */
int ms_cores(void);
double ms_cpu_quota(const char *groups, const char *root);

typedef struct ms_node ms_node;

struct ms_tensor {
  int refs;
  uint8_t dtype, rank, out_index; /* out_index: which result of `node` this is */
  bool requires_grad, is_number, is_integer_number, is_view, is_ghost;
  uint32_t version; /* of a view: the storage's version when the view was made */
  int64_t offset;   /* in elements */
  int64_t shape[MS_MAX_RANK], stride[MS_MAX_RANK];
  ms_storage *storage; /* NULL: number or ghost */
  ms_device *device;   /* NULL: number */
  ms_node *node;       /* NULL: leaf */
  ms_tensor *grad;
  ms_scalar number;
};

struct ms_node {
  int refs, n_in, n_out, n_attr;
  bool freed;
  const ms_op *op;
  uint64_t seq;      /* grows with time: a node's inputs always have smaller ones */
  const char *chunk; /* name of the script (ms_intern) whose line made the node */
  int line;
  uint32_t kept_in, kept_out; /* bit i: input / result i is kept with its values; otherwise it is a ghost */
  uint64_t mark;              /* number of the backward pass that visited the node last */
  bool wanted;                /* in that pass: the node depends on a tensor whose gradient is asked for */
  ms_node *next;              /* list of nodes to free */
  ms_tensor **in;
  uint32_t *in_version;
  ms_tensor **out; /* results without their graph link; bytes only where the rule keeps them */
  uint32_t *out_version;
  ms_tensor **grad;         /* during a pass: gradients gathered for each result */
  struct ms_parts *parts;   /* and those that fill a part of one only (parts.h) */
  struct ms_custom *custom; /* not NULL: the derivative is a script's (custom.h) */
  struct ms_region *region; /* not NULL: what ms.recompute made (region.h); the values may have to be computed again */
  int region_at;            /* which of the region's nodes it is */
  ms_attr *attr;
};

struct ms_device {
  const ms_backend *backend;
  ms_queue *queue;
  struct ms_cache *cache; /* alloc.c: its freed blocks, and what it has handed out */
  unsigned precisions;    /* that it offers: bit 1 << ms_precision */
  int index;
  char name[16], description[128];
};

/* ---- rules: what a row's file provides (ops/) -------------------------------------------------------------------- */

/* A result that is not made yet: its dtype and shape; for views (MS_VIEW) stride and offset too. */
typedef struct ms_spec {
  uint8_t dtype, rank;
  int64_t shape[MS_MAX_RANK], stride[MS_MAX_RANK], offset;
} ms_spec;

typedef struct ms_infer {
  const ms_op *op;
  int n_in, n_out;
  ms_tensor *const *in;
  ms_attr *attr; /* may be normalised: negative dimensions resolved, defaults filled in */
  ms_spec out[MS_MAX_OUT];
  int dtype;                  /* elementwise rows: the one dtype that the operands were brought to */
  int64_t bound[MS_MAX_ARGS]; /* by input: largest value an index or class tensor may hold */
} ms_infer;

typedef struct ms_ref {
  const ms_op *op;
  int n_in, n_out;
  ms_tensor *const *in;
  const ms_attr *attr; /* an optional dtype: 0 where it is not given, else the dtype + 1 */
  ms_device *device;
  ms_tensor **out; /* to fill */
} ms_ref;

/* Positions along a dimension of an input: start, start + step, ... */
typedef struct ms_place {
  bool is;
  int dim;
  int64_t start, step;
} ms_place;

typedef struct ms_vjp {
  const ms_op *op;
  const ms_node *node;
  int n_in, n_out;
  ms_tensor *const *x; /* inputs; their bytes only where keep_in says so (and reads, for what is needed) */
  ms_tensor *const *r; /* results; their bytes only where keep_out says so */
  ms_tensor *const *g; /* gradients with respect to the results; NULL = zero */
  const ms_attr *attr;
  const bool *need; /* by input */
  ms_tensor **dx;   /* to fill where needed; NULL = zero */
  ms_place place;   /* a rule of one input may say: dx[0] is the derivative at these positions only, elsewhere it is 0. So it need
                       not make the zeros: the parts of a tensor are put together once, when all are there (parts.c) */
} ms_vjp;

/* What a resampling of images does, where each element of the smaller image belongs to one window of the larger one, all windows
 * of the same size, and none overlaps another. */
typedef enum ms_windows {
  MS_WINDOWS_NONE,     /* something else */
  MS_WINDOWS_FILLED,   /* each window is filled with its element */
  MS_WINDOWS_SUMMED,   /* the adjoint: each element is the sum of its window */
  MS_WINDOWS_AVERAGED, /* each element is the mean of its window; elements in no window are lost */
  MS_WINDOWS_SHARED    /* the adjoint: each window shares its element evenly; elements in no window are 0 */
} ms_windows;

typedef struct ms_rule {
  int (*shape)(ms_infer *s); /* check arguments, give results; -1 after ms_fail. May be NULL for MS_COMPOSITE */
  int (*ref)(ms_ref *c);     /* the same composed of other operations, or NULL */
  /* A row with a kernel some of whose calls are compositions (one image without a batch, say). 1: this is one, results are in
   * c->out; 0: it is none; -1 after ms_fail. NULL: none is. */
  int (*composes)(ms_ref *c);
  int (*vjp)(ms_vjp *c);      /* derivative in public operations, or NULL: then ref is differentiated; neither: backward raises */
  uint32_t keep_in, keep_out; /* bit i: the vjp reads the values of input / result i */
  bool live;                  /* the ref decides nothing by its numbers: they may stay live (ms_decides) */
  /* For up to three inputs: bit k of reads[i]: the derivative in input i reads the values of input k. All 0: the row does not say,
   * and whatever keep_in names is read. */
  uint8_t reads[3];
  /* Traits that depend on the call, for the passes of a step; NULL: nothing to say. */
  double (*flops)(const ms_call *c);                        /* additions and multiplications of a run */
  ms_windows (*windows)(const ms_call *c, int64_t *factor); /* factor: height and width of a window */
} ms_rule;

/* What a vjp of one input returns: its derivative, stored; -1 if there is none. */
static inline int ms_give_dx(ms_vjp *c, ms_tensor *dx) { return (c->dx[0] = dx) ? 0 : -1; }

#define MS_RULE(name, ...) const ms_rule ms_rule_##name = {__VA_ARGS__}
/* ms_op.number of an elementwise row, which finds it by its name. */
#define MS_NUMBER(name)                                                                                                            \
  ms_plain ms_number_##name(ms_plain x, ms_plain y);                                                                               \
  ms_plain ms_number_##name(ms_plain x, ms_plain y)

/* ---- the gate (core/op.c) ---------------------------------------------------------------------------------------- */

/* Apply operation `id`. in[] and attr[] in the order of the row's signature (attr NULL: the defaults). Results belong to the
 * current scope. ms_apply gives the first result (or, of a row that changes things in place, in[0]); ms_apply_n fills out[] with
 * all and returns how many, -1 on failure. `device` matters to rows without tensor inputs only. */
ms_tensor *ms_apply(int id, int n_in, ms_tensor *const *in, const ms_attr *attr);
int ms_apply_n(int id, ms_device *device, int n_in, ms_tensor *const *in, const ms_attr *attr, ms_tensor **out);
/* x = op(x, ...) in the memory of x = in[0]; elementwise rows only. Returns x. */
ms_tensor *ms_apply_inplace(int id, int n_in, ms_tensor *const *in, const ms_attr *attr);

#define MS_IN(...)                                                                                                                 \
  (int)(sizeof((ms_tensor *[]){__VA_ARGS__}) / sizeof(ms_tensor *)), (ms_tensor *[]) { __VA_ARGS__ }
#define MS_ATTR(...) ((ms_attr[MS_MAX_ARGS]){__VA_ARGS__}) /* those left out at the end are 0 */
#define A_INT(x)     ((ms_attr){.i = (x)})
#define A_NUM(x)     ((ms_attr){.s = ms_scalar_of(x)})
#define A_INTS(x)    ((ms_attr){.v = (x)})
#define MS_INTS(...) ((ms_ints){.n = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .at = {__VA_ARGS__}})

/* ---- pieces for rules (core/shape.c, core/tensor.c) ----------------------------------------------------------------- */

int ms_out(ms_infer *s, int k, int dtype, int rank,
           const int64_t *shape); /* set result k, contiguous; n_out grows to k + 1; gives 0 */
int ms_out_like(ms_infer *s, int k, const ms_tensor *x);
int ms_dim(int64_t dim, int rank, const char *op); /* resolve a dimension; -1 after ms_fail */
/* Resolve a list of dimensions (n = -1: all) into a sorted list without repeats; -1 after ms_fail. */
int ms_dims(ms_ints *dims, int rank, const char *op);
/* A pair height, width: one number in *v becomes two equal ones. Each must be least..2^31 - 1; -1 after ms_fail. */
int ms_pair(const char *op, const char *what, ms_ints *v, int64_t least);
/* The shape that n operands broadcast to; -1 after ms_fail. */
int ms_broadcast(const char *op, int n, ms_tensor *const *x, int *rank, int64_t *shape);
int ms_promote(int a, int b);                 /* dtype of a mixed operation */
const char *ms_shape_str(const ms_tensor *t); /* "3 x 4 f32": one of a few static buffers */
const char *ms_sizes_str(int rank, const int64_t *shape);
ms_ints ms_sizes(const ms_tensor *t);

ms_tensor *ms_tensor_new(void); /* blank, in no scope, one reference */
ms_tensor *ms_autorelease(ms_tensor *t);
ms_tensor *ms_alias(const ms_tensor *t); /* same bytes, no graph, in no scope */
ms_storage *ms_storage_new(ms_device *d, size_t bytes);
void ms_storage_release(ms_storage *s);
/* How many use the storage: all references but those of recordings and steps. */
static inline int ms_storage_users(const ms_storage *s) { return s->refs - s->held; }
static inline ms_storage *ms_storage_retain(ms_storage *s) { return s->refs++, s; }
void *ms_block_alloc(ms_device *d, size_t bytes, size_t *capacity); /* from the cache; NULL after ms_fail */
void ms_block_free(ms_device *d, void *p, size_t capacity);
void ms_set_contiguous(ms_tensor *t);

void ms_node_release(ms_node *n);
/* Make the node of a call that produced out[]; sets node and requires_grad of the float results. -1 on failure. */
int ms_node_record(const ms_op *op, int n_in, ms_tensor *const *in, const ms_attr *attr, int n_out, ms_tensor **out);
void ms_script_line(const char **chunk, int *line);
const char *ms_intern(const char *chunk); /* the same pointer for equal text, for good */
bool ms_check_numerics_on(void);
const ms_arg *ms_arg_of(const ms_op *op, int input); /* the argument that an input belongs to: a list of tensors is one argument */
bool ms_op_changes(const ms_op *op, int input);      /* does the operation change this input in place? */
ms_device *ms_device_open(int i);                    /* those opened so far, from 0; NULL past the end */
ms_device *ms_device_opened(const char *name); /* one of these, by any of its names ("cuda", "cuda:0"); NULL: it is not open */
/* The precision in which a device computes f32 products: the one that is set if it offers it, else f32. */
int ms_device_precision(const ms_device *d);
/* A number for "operation op at this line of the script", the same for the same three, for ms_call.id. 0 after ms_fail. */
uint32_t ms_call_id(const ms_op *op, const char *chunk, int line);
/* After a wait: 0, or -1 after ms_fail with what a kernel found wrong since the last time, naming operation and line. */
int ms_device_faulted(ms_device *d);
/* Bytes of a device's memory, to the host: waits, and asks what went wrong until then. 0, or -1 after ms_fail. */
int ms_device_download(ms_device *d, void *host, const void *from, size_t bytes);
/* Check that the values of an index input lie in 1..bound: 0, or -1 after ms_fail. v must be in host memory. */
int ms_check_index(const ms_op *op, int input, const ms_view *v, int64_t bound);
int ms_index_failed(const ms_op *op, int input, int64_t element, int64_t value, int64_t bound); /* -1 after ms_fail says so */
/* Fill in the arguments of a row from its signature; -1 after ms_fail, which names the row and the place. */
int ms_signature_parse(ms_op *op);
/* The whole numbers of an integer dtype or bool, low..high; false: a floating one. */
bool ms_dtype_range(int dtype, int64_t *low, int64_t *high);
/* For rules: the value of a number by which the rule decides something at once, such as a shape or which formula to use. While a
 * step is recorded, a live number becomes a constant by this, and the recording is then good for this value only. */
ms_plain ms_decides(ms_scalar *s);
double ms_decided(ms_scalar s); /* the same for references, whose numbers the gate has made constants */
bool ms_scalar_same(const ms_scalar *a, const ms_scalar *b); /* the same constant to the last bit (NaN too), or the same cell */
ms_scalar ms_scalar_with_live(ms_scalar s, int word);        /* the same, and where a captured step finds its value */
void ms_scalar_write(ms_scalar s, uint64_t *w);              /* its value now, as three words of the live block */
bool ms_scalar_fits(ms_scalar s, int dtype); /* can an element of dtype be this number? A floating one can be any, rounded. */
const char *ms_scalar_str(ms_scalar s);      /* for messages: one of a few static buffers */
extern uint64_t ms_freezes;                  /* how often requires_grad of any leaf was switched on or off */
extern uint64_t ms_storage_births;
extern int64_t ms_live_tensors, ms_live_storages, ms_live_nodes;

#include "ops.h"
#endif
