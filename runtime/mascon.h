/* mascon.h -- the public C interface of the runtime.
 *
 * Conventions, everywhere:
 *  - A function that can fail returns NULL (or -1, where it returns int) after ms_fail() stored a message; nothing longjmps or
 * exits. NULL in gives NULL out, so composite code chains calls and looks once, at the end.
 *  - Tensors returned by operations belong to the current scope (ms_scope_open .. ms_scope_close); ms_retain what must live longer.
 *  - Plain C arguments (dimensions, positions) count from 0, negative ones from the end. VALUES inside index and label tensors
 * count from MS_INDEX_BASE (1), in C as in Lua, so that a tensor means the same thing on both sides.
 *  - The gate is single-threaded (one Lua state); kernels use the thread pool inside.
 */
#ifndef MASCON_H
#define MASCON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MS_VERSION    "0.1.0"
#define MS_MAX_RANK   8
#define MS_INDEX_BASE 1

#if defined(__GNUC__)
#define MS_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define MS_PRINTF(a, b)
#endif

/* ---- errors (core/error.c) --------------------------------------------------------------------------------------- */

/* Store a message (printf style; the first one wins until taken) and return NULL. */
void *ms_fail(const char *fmt, ...) MS_PRINTF(1, 2);
/* The stored message, or NULL when nothing failed. Stays until ms_error_clear(). */
const char *ms_error(void);
void ms_error_clear(void);
/* Put "prefix: " before the stored message, if there is one. */
void ms_error_prefix(const char *fmt, ...) MS_PRINTF(1, 2);

/* ---- dtypes ------------------------------------------------------------------------------------------------------ */

typedef enum ms_dtype { MS_F32, MS_F64, MS_BF16, MS_F16, MS_I64, MS_I32, MS_U8, MS_BOOL, MS_DTYPES } ms_dtype;
const char *ms_dtype_name(int dtype); /* "f32" ... */
int ms_dtype_parse(const char *name); /* -1 and no error when unknown; accepts float32, double, int64 ... too */
size_t ms_dtype_size(int dtype);      /* bytes of one element */
bool ms_dtype_is_float(int dtype);

/* ---- small values ------------------------------------------------------------------------------------------------ */

/* A short list of integers: sizes, dimensions, strides, paddings. */
typedef struct ms_ints {
  int n;
  int64_t at[MS_MAX_RANK];
} ms_ints;

/* A number as the script knows it: `value`; a whole one also to its last bit, which a double cannot hold beyond 2^53. */
typedef struct ms_plain {
  double value;
  int64_t whole; /* the very number, where is_whole */
  bool is_whole;
} ms_plain;

bool ms_plain_whole(ms_plain v, int64_t *whole); /* is it a whole number that an i64 holds? Then *whole is it. */

/* A number that a recorded step reads anew at each replay (learning rate, noise level). */
typedef struct ms_cell ms_cell;
ms_cell *ms_cell_new(double value); /* one reference, the caller's */
ms_cell *ms_cell_retain(ms_cell *c);
void ms_cell_release(ms_cell *c);
ms_plain ms_cell_get(const ms_cell *c);
void ms_cell_set(ms_cell *c, ms_plain value);

/* A scalar argument: a constant, or whatever a cell holds when the kernel runs. Nobody but core/scalar.c looks inside: kernels ask
 * for the value when they run (backend.h), rules that decide something by it say so (ms_decides, core/core.h). */
typedef struct ms_scalar {
  uint64_t opaque[5];
} ms_scalar;
ms_scalar ms_scalar_of(double v);
ms_scalar ms_scalar_of_whole(int64_t v);
ms_scalar ms_scalar_of_plain(ms_plain v);
ms_scalar ms_scalar_of_cell(ms_cell *c);           /* does not retain it */
ms_cell *ms_scalar_cell(ms_scalar s);              /* NULL: a constant */
bool ms_scalar_constant(ms_scalar s, ms_plain *v); /* false: it is live, *v what it is now: good for a check, not to compute with */

/* One non-tensor argument of an operation; which member counts is the argument's kind (backend.h). */
typedef union ms_attr {
  int64_t i;   /* int, size, dim, index, bool, enum, dtype */
  ms_scalar s; /* scalar */
  ms_ints v;   /* ints, dims, shape */
} ms_attr;

/* ---- devices and memory (core/device.c, core/alloc.c) ------------------------------------------------------------ */

typedef struct ms_device ms_device;
/* "cpu", "trace", "trace:1", "cuda", "cuda:1", "auto" (the best there is). NULL and a message that says why when it is not to be
 * had. */
ms_device *ms_device_get(const char *name);
/* Where tensors are made whose maker names no device: the one that MASCON_DEVICE names, else the CPU. NULL after ms_fail. */
ms_device *ms_device_default(void);
ms_device *ms_device_host(void); /* the CPU, whose memory ms_data shows */
const char *ms_device_name(const ms_device *d);
/* Wait until all that was asked of it has happened. -1 also if something went wrong meanwhile. */
int ms_device_sync(ms_device *d);

typedef struct ms_memory {
  size_t live, peak, cached; /* bytes in storages now; the most there were; bytes kept in the cache for the next storage */
  size_t allocated;          /* bytes ever handed out: the collector policy counts on this */
  int64_t tensors, storages, nodes;
} ms_memory;
/* Of one device, or (NULL) of all together. Tensors, storages and nodes are counted for all together only. */
ms_memory ms_memory_stats(const ms_device *d);
void ms_memory_reset_peak(void);
void ms_memory_release_cache(void); /* of all devices */
/* Called once when an allocation fails, before the one retry; the bindings run Lua's collector in it. */
void ms_memory_on_pressure(void (*hook)(void *), void *data);
/* Tests: the k-th storage allocation from now fails (0 = never). */
void ms_memory_fail_after(int64_t k);

/* ---- tensors (core/tensor.c) ------------------------------------------------------------------------------------- */

typedef struct ms_tensor ms_tensor;

ms_tensor *ms_retain(ms_tensor *t);
void ms_release(ms_tensor *t); /* NULL is fine */

int ms_scope_open(void); /* returns a mark */
void ms_scope_close(int mark);

/* New contiguous tensors, contents undefined / zero / copied from host memory in C order. device NULL: the
 * default one. */
ms_tensor *ms_empty(ms_dtype dtype, int rank, const int64_t *shape, ms_device *device);
ms_tensor *ms_zeros(ms_dtype dtype, int rank, const int64_t *shape, ms_device *device);
ms_tensor *ms_from_host(ms_dtype dtype, int rank, const int64_t *shape, const void *data, ms_device *device);
/* A number as an operand: rank 0, no storage, takes the dtype of its partner. */
ms_tensor *ms_number(double value);
ms_tensor *ms_whole_number(int64_t value); /* an integer in the script too: decides dtypes as one */
ms_tensor *ms_live_number(ms_cell *cell);

int ms_rank(const ms_tensor *t);
const int64_t *ms_shape(const ms_tensor *t);
const int64_t *ms_stride(const ms_tensor *t); /* in elements */
int64_t ms_numel(const ms_tensor *t);
ms_dtype ms_tensor_dtype(const ms_tensor *t);
ms_device *ms_tensor_device(const ms_tensor *t);
bool ms_is_contiguous(const ms_tensor *t);
/* First element in memory (cpu only: NULL elsewhere). Whoever writes through it calls ms_touch(). */
void *ms_data(const ms_tensor *t);
void ms_touch(ms_tensor *t);

/* Copy all elements to host memory in C order. -1 on failure. */
int ms_to_host(ms_tensor *t, void *out);
/* The only element as a double; NaN and a message when there is not exactly one. */
double ms_item(ms_tensor *t);
ms_tensor *ms_to_device(ms_tensor *t, ms_device *d);

/* ---- automatic differentiation (core/grad.c) --------------------------------------------------------------------- */

bool ms_requires_grad(const ms_tensor *t);
int ms_set_requires_grad(ms_tensor *t, bool on);
bool ms_is_leaf(const ms_tensor *t);
ms_tensor *ms_grad_of(ms_tensor *t); /* .grad or NULL */
void ms_set_grad(ms_tensor *t, ms_tensor *g);
ms_tensor *ms_detach(ms_tensor *t);
bool ms_grad_enabled(void);
bool ms_set_grad_enabled(bool on); /* returns what it was */

/* Add d(y)/d(leaf) into .grad of every leaf that wants it, or, for n > 0, of leaf[0..n-1] alone: what only the others need is not
 * computed. seed NULL = 1 (y has one element). retain keeps the graph for another pass. 0, or -1 after ms_fail. */
int ms_backward(ms_tensor *y, ms_tensor *seed, int n, ms_tensor *const *leaf, bool retain);
/* Gradients of y with respect to x[0..n-1] as ordinary tensors of the current scope, differentiable again while gradients are
 * enabled. An x that y does not depend on: an error, or NULL in dx when allow_unused. */
int ms_grad(ms_tensor *y, ms_tensor *seed, int n, ms_tensor *const *x, ms_tensor **dx, bool allow_unused);

/* Where the script stands now: the bindings install this; the core calls it for nodes and errors only. *line 0 = unknown. */
typedef void (*ms_where_fn)(void *data, const char **chunk, int *line);
void ms_on_where(ms_where_fn fn, void *data);
/* Look at every float result and fail at the first NaN or infinity, naming operation and line. */
void ms_set_check_numerics(bool on);

/* ---- interrupts (core/interrupt.c) -------------------------------------------------------------------------------
 * ms_interrupt() asks whatever runs to stop; a signal handler may call it. What takes long (a forest, a sort, a step) asks
 * ms_interrupted() between its parts and gives up with the error ms_stopped() stores; what ends within a tenth of a second ends
 * whole, so that a short step is done or not done. ms_interrupt_clear(): it has stopped. */
void ms_interrupt(void);
bool ms_interrupted(void);
void *ms_stopped(const char *what); /* fails with "WHAT: interrupted", gives NULL */
void ms_interrupt_clear(void);

/* ---- random numbers (core/rng.c): Philox 4x32-10, counter in memory ---------------------------------------------- */

typedef struct ms_rng {
  uint64_t seed, counter; /* a counter value gives four words of 32 bits */
} ms_rng;
/* What a seed gives, to the bit, on every processor and with any number of threads; it grows when that changes. */
#define MS_RNG_VERSION 2
/* Counter values that n elements take: f32 a word each, all others two. */
static inline uint64_t ms_rng_counters(int dtype, int64_t n) {
  return ((uint64_t)n + (dtype == MS_F32 ? 3 : 1)) / (dtype == MS_F32 ? 4 : 2);
}
/* What a random operation does to the generator it drew n elements from. */
static inline void ms_rng_advance(ms_rng *rng, int dtype, int64_t n) { rng->counter += ms_rng_counters(dtype, n); }
ms_rng *ms_default_rng(void);
void ms_seed(uint64_t seed);
uint32_t ms_rng_next(ms_rng *rng); /* one draw for host-side code: shuffles, bootstraps */

/* ---- threads ----------------------------------------------------------------------------------------------------- */
enum { MS_MOST_THREADS = 1024 };
int ms_threads(void);       /* MASCON_THREADS, else the cores this process may use, by its affinity and its cgroups' quotas */
int ms_threads_check(void); /* 0; -1 after ms_fail: MASCON_THREADS is no number from 1 to MS_MOST_THREADS */
void ms_set_threads(int n);
/* false: sums may be cut by the number of threads, which saves a little memory and time where there are few; the last bits then
 * depend on it. true (the default): the same bits whatever the number of threads. */
bool ms_deterministic(void);
void ms_set_deterministic(bool on);

/* ---- denormals: numbers too small for full precision, f32 below 1.18e-38 and f64 below 2.2e-308 --------------------
 * true (the default where processors have the flags: x86-64): operations on the CPU read and write them as zero, as JAX does; IEEE
 * 754 otherwise. false: IEEE 754 throughout, as PyTorch does unless it is told; what saturated sigmoids leave behind can then take
 * a training step three times as long. Convolutions with groups or dilation, which are oneDNN's, may keep some either way. */
bool ms_flush_denormal(void);
void ms_set_flush_denormal(bool on);

/* ---- precision of f32 products and convolutions ------------------------------------------------------------------ */
typedef enum ms_precision { MS_PRECISION_F32, MS_PRECISION_BF16, MS_PRECISION_TF32 } ms_precision;
ms_precision ms_get_precision(void);
/* "f32", the default: f32 throughout. "bf16": operands rounded to bf16 (8 bits of mantissa), products added up in f32, results f32;
 * large matmul and linear products, and convolutions; on AMX where there is one (not with MASCON_AMX=0 in the environment when it
 * is first wanted), else with AVX512_BF16, which leaves gradients of convolution weights in f32. "tf32": operands
 * rounded to tf32 (10 bits of mantissa), on GPUs that have it. 0, or -1 after ms_fail where none of the devices in use offers it;
 * those that do not compute in f32. */
int ms_set_precision(const char *name);
const char *ms_precision_name(void);

#endif
