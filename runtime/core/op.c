/* op.c -- the gate: the one way to run an operation, for scripts, derivative rules and compositions alike. ms_apply_n runs one that
 * makes new tensors (or changes its arguments, as optimizers do), ms_apply_inplace one whose result takes the place of x.
 *
 *   check the operands          check_inputs, check_mutation: none missing, one device, nothing changed that may not be
 *   bring them to one dtype     common_dtype (elementwise rows), common_float (the others)
 *   find the results' shapes    the row's `shape` rule
 *   check index tensors         check_indices
 *   make the results            make_view; or ms_empty and run_kernel; without a kernel compose: the row's `ref`, or through_f32
 *   record a node               ms_node_record, if a gradient may be asked for later
 *
 * A row that is composed of others (MS_COMPOSITE) goes to its `ref` at once: the operations that this calls pass the gate. So do
 * single calls of other rows (the rule's `composes`). */
#define MS_INSIDE
#include "core.h"
#include "busy.h"
#include "inplace.h"
#include "numerics.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const ms_observer *ms_observer_now;

const ms_observer *ms_observe(const ms_observer *o) {
  const ms_observer *before = ms_observer_now;
  ms_observer_now = o;
  return before;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static void tensor_view(const ms_tensor *t, ms_view *v) {
  v->number = NULL, v->absent = false, v->live = 0;
  v->dtype = t->dtype, v->rank = t->rank;
  memcpy(v->shape, t->shape, (size_t)t->rank * sizeof *v->shape);
  memcpy(v->stride, t->stride, (size_t)t->rank * sizeof *v->stride);
  v->data = (char *)t->storage->data + (size_t)t->offset * ms_dtype_size(t->dtype);
}

enum { FEW_INPUTS = 8 }; /* so many need no malloc */

/* A call on the stack, with what it points to. */
typedef struct stack_call {
  ms_call call;
  ms_view in[FEW_INPUTS], out[MS_MAX_OUT];
  double number[FEW_INPUTS]; /* by input: the element that a number operand becomes */
} stack_call;

/* Ask the device for a kernel and run it. 1: it ran; 0: the device has none; -1 after ms_fail. number_dtype: what number operands
 * become. bound: of index tensors, by input. */
static int run_kernel(const ms_op *op, ms_device *device, int n_in, ms_tensor *const *in, const ms_attr *attr, int n_out,
                      ms_tensor **out, int number_dtype, const int64_t *bound) {
  stack_call g;
  ms_call *c = &g.call;
  *c = (ms_call){.op = op, .n_in = n_in, .n_out = n_out, .n_attr = op->n_attr, .in = g.in, .out = g.out, .attr = attr};
  c->queue = device->queue, c->precision = ms_device_precision(device);
  if (n_in > FEW_INPUTS && !(c->in = malloc((size_t)n_in * sizeof *c->in)))
    return ms_fail("%s: out of memory for %d operands", op->name, n_in), -1;
  const ms_backend *b = device->backend;
  int rc = 0;
  for (int i = 0; i < n_in; i++) {
    ms_view *v = &c->in[i];
    if (!in[i]) *v = (ms_view){.absent = true};
    else if (in[i]->is_number) {
      int d = i == 0 && (op->flags & MS_ELEMENTWISE) && op->elementwise_class == MS_CLASS_CHOOSE ? MS_BOOL : number_dtype;
      *v = (ms_view){.data = &g.number[i], .number = &in[i]->number, .dtype = (uint8_t)d};
      if (ms_put_number(v->data, d, in[i]->number) < 0) rc = -1;
    } else tensor_view(in[i], v);
  }
  for (int k = 0; k < n_out; k++) tensor_view(out[k], &g.out[k]);
  for (int i = 0; bound && i < n_in && i < MS_MAX_ARGS; i++) c->bound[i] = bound[i];
  if (op->flags & MS_RANDOM) c->rng = ms_default_rng();
  if (b->fault) {
    const char *chunk = NULL;
    int line = 0;
    ms_script_line(&chunk, &line);
    if (!(c->id = ms_call_id(op, ms_intern(chunk), line))) rc = -1;
  }

  if (rc < 0) {
    ms_error_prefix("%s", op->name);
    if (c->in != g.in) free(c->in);
    return -1;
  }
  size_t capacity = 0;
  const unsigned before = b->enter ? b->enter() : 0;
  if ((c->kernel = b->kernel(c))) {
    rc = 1;
    if (c->kernel->prepare && c->kernel->prepare(c) < 0) rc = -1;
    if (rc > 0 && c->work_bytes && !(c->work = ms_block_alloc(device, c->work_bytes, &capacity))) rc = -1;
    const char *around = ms_busy_kernel(op->name);
    if (rc > 0 && c->kernel->run(c) < 0) rc = -1;
    ms_busy_kernel(around);
    if (c->work) ms_block_free(device, c->work, capacity);
    if (c->kernel->release) c->kernel->release(c);
    if (rc > 0 && ms_observer_now && ms_observer_now->called(c, in, out) < 0) rc = -1;
    if (rc > 0 && c->rng && n_out) ms_rng_advance(c->rng, out[0]->dtype, ms_numel(out[0]));
  }
  if (b->leave) b->leave(before);
  if (c->in != g.in) free(c->in);
  return rc;
}

const ms_arg *ms_arg_of(const ms_op *op, int i) {
  const ms_arg *last = NULL;
  for (int k = 0; k < op->n_arg; k++) {
    if (!op->arg[k].is_tensor) continue;
    last = &op->arg[k];
    if (i-- == 0) break;
  }
  return last;
}

bool ms_op_changes(const ms_op *op, int input) {
  const ms_arg *a = op->mutates ? ms_arg_of(op, input) : NULL;
  return a && (a->kind == MS_K_INOUT || a->kind == MS_K_TENSORS);
}

int ms_index_failed(const ms_op *op, int input, int64_t element, int64_t value, int64_t bound) {
  return ms_fail("%s: %s[%lld] = %lld, expected %d..%lld", op->name, ms_arg_of(op, input)->name, (long long)element + 1,
                 (long long)value, MS_INDEX_BASE, (long long)(bound - 1 + MS_INDEX_BASE)),
         -1;
}

#define OUTSIDE(type)                                                                                                              \
  for (int64_t i = 0; i < n; i++) bad |= (uint64_t)((const type *)v->data)[at + i * step] - MS_INDEX_BASE >= (uint64_t)bound

/* Is one of n positions, `step` apart from `at` on, not below bound? (A negative one is a large one without a sign.) */
static bool any_outside(const ms_view *v, int64_t at, int64_t n, int64_t step, int64_t bound) {
  bool bad = false;
  if (v->dtype == MS_I64 && step == 1) {
    step = 1; /* known to the compiler */
    OUTSIDE(int64_t);
  } else if (v->dtype == MS_I64) OUTSIDE(int64_t);
  else if (v->dtype == MS_I32) OUTSIDE(int32_t);
  else OUTSIDE(uint8_t);
  return bad;
}
#undef OUTSIDE

/* Are all positions inside? Row by row; what is repeated by a stride of 0 is looked at once. */
static bool all_inside(const ms_view *v, int64_t bound) {
  int64_t shape[MS_MAX_RANK], place[MS_MAX_RANK] = {0}, at = 0;
  const int last = v->rank - 1;
  for (int i = 0; i <= last; i++) shape[i] = v->stride[i] || !v->shape[i] ? v->shape[i] : 1;
  for (int i = 0; i <= last; i++)
    if (!shape[i]) return true;
  for (;;) {
    if (any_outside(v, at, last < 0 ? 1 : shape[last], last < 0 ? 1 : v->stride[last], bound)) return false;
    int d = last - 1;
    for (; d >= 0; d--) {
      at += v->stride[d];
      if (++place[d] < shape[d]) break;
      at -= shape[d] * v->stride[d];
      place[d] = 0;
    }
    if (d < 0) return true;
  }
}

int ms_check_index(const ms_op *op, int input, const ms_view *v, int64_t bound) {
  if (bound >= 0 && all_inside(v, bound)) return 0;
  int64_t n = ms_view_numel(v);
  for (int64_t i = 0; i < n; i++) { /* which one */
    const int64_t x = ms_view_integer(v, ms_offset(v, i));
    if (x < MS_INDEX_BASE || x > bound - 1 + MS_INDEX_BASE) return ms_index_failed(op, input, i, x, bound);
  }
  return 0;
}

static int check_inputs(const ms_op *op, int n_in, ms_tensor *const *in, ms_device **device) {
  const ms_tensor *first = NULL;
  for (int i = 0; i < n_in; i++) {
    if (!in[i]) {
      const ms_arg *a = ms_arg_of(op, i);
      if (a && a->optional) continue;
      if (!ms_error()) ms_fail("%s: argument %s is missing", op->name, a ? a->name : "?");
      return -1;
    }
    if (in[i]->is_number) continue;
    if (!first) first = in[i];
    else if (in[i]->device != first->device)
      return ms_fail("%s: %s is on %s, %s on %s; move one with :to()", op->name, ms_arg_of(op, 0)->name, first->device->name,
                     ms_arg_of(op, i)->name, in[i]->device->name),
             -1;
    if (in[i]->is_view && ms_grad_enabled() && in[i]->version != in[i]->storage->version &&
        (in[i]->node || in[i]->storage->graph_version > in[i]->version))
      return ms_fail("%s: %s is a view whose base was changed in place after the view was made; make the view again", op->name,
                     ms_arg_of(op, i)->name),
             -1;
  }
  if (first) *device = first->device;
  return 0;
}

/* Is this number no bound at all, in a row of bounds? */
static bool unbounded(const ms_op *op, const ms_tensor *x) {
  return op->elementwise_class == MS_CLASS_BOUND && !ms_scalar_cell(x->number) && isinf(ms_scalar_value(x->number));
}

/* The dtype in which integers of dtype t are compared with a number so that the answer is the true one: t where it holds the
 * number, else i64, else (a fraction, something beyond i64) f64. There a number beyond i64 counts as infinite: no i64 rounds to
 * that. */
static int compared_in(int t, ms_tensor **x) {
  const ms_scalar s = (*x)->number;
  int64_t whole;
  if (ms_scalar_cell(s)) return (*x)->is_integer_number ? ms_promote(t, MS_I64) : MS_F64;
  if (ms_scalar_fits(s, t)) return t;
  if (ms_scalar_whole(s, &whole)) return MS_I64;
  if (fabs(ms_scalar_value(s)) >= 0x1p63) *x = ms_number(copysign(INFINITY, ms_scalar_value(s)));
  return MS_F64;
}

/* The bound x of integers of dtype t, as t can hold it: one beyond the end of t becomes the last number of t, which changes no
 * result. */
static ms_tensor *bounded(const ms_op *op, int i, ms_tensor *x, int t) {
  int64_t low, high, whole = 0;
  if (!i || ms_scalar_cell(x->number) || ms_scalar_fits(x->number, t) || !ms_dtype_range(t, &low, &high)) return x;
  const bool below = ms_scalar_whole(x->number, &whole) ? whole < low : ms_scalar_value(x->number) < 0, lower = i == 1;
  if (below == lower) return ms_whole_number(lower ? low : high);
  return ms_fail("%s: the bound %s leaves nothing of %s (%lld..%lld)", op->name, ms_scalar_str(x->number), ms_dtype_name(t),
                 (long long)low, (long long)high);
}

/* The dtype that tensors of dtype a meet at with tensors of rank 0 of dtype b: of the same kind (truth values, integers, floating
 * numbers) or a higher one, a decides alone. (-1: there are none.) */
static int with_scalars(int a, int b) {
  if (a < 0 || b < 0) return a < 0 ? b : a;
  const int kind_a = ms_dtype_is_float(a) ? 2 : a != MS_BOOL, kind_b = ms_dtype_is_float(b) ? 2 : b != MS_BOOL;
  return kind_a >= kind_b ? a : ms_promote(a, b);
}

/* Bring the operands of an elementwise row to one dtype: fills to[] and gives that dtype, -1 on failure. Tensors of rank 0
 * and numbers take the dtype of the tensors, but one with a fraction makes integers f32; a number that does not fit is an error
 * when it is written (scalar.c). */
static int common_dtype(const ms_op *op, int n, ms_tensor *const *in, ms_tensor **to) {
  const int class = op->elementwise_class;
  int t = -1, scalar = -1, first = class == MS_CLASS_CHOOSE; /* the condition of a choice does not count */
  bool float_number = false;
  for (int i = first; i < n; i++)
    if (!in[i]->is_number) {
      int *of = in[i]->rank ? &t : &scalar;
      *of = *of < 0 ? in[i]->dtype : ms_promote(*of, in[i]->dtype);
    } else float_number |= !in[i]->is_integer_number && !unbounded(op, in[i]);
  if ((t = with_scalars(t, scalar)) < 0) t = float_number || !first ? MS_F32 : MS_I64;
  if (class == MS_CLASS_WHOLE && (float_number || t == MS_BOOL || ms_dtype_is_float(t)))
    return ms_fail("%s: expected integers, got %s", op->name, float_number ? "a number that is none" : ms_dtype_name(t)), -1;
  if (class == MS_CLASS_LOGIC) t = MS_BOOL;
  else if (class == MS_CLASS_FLOAT) t = ms_dtype_is_float(t) ? t : MS_F32;
  else if (class == MS_CLASS_COMPARE) {
    for (int i = 0; i < n; i++) to[i] = in[i];
    for (int i = 0; i < n && !ms_dtype_is_float(t); i++)
      if (in[i]->is_number) t = compared_in(t, &to[i]);
  } else {
    if (t == MS_BOOL && class != MS_CLASS_CHOOSE) t = MS_I64;
    if (float_number && !ms_dtype_is_float(t)) t = MS_F32;
    for (int i = first; i < n && t == MS_BOOL; i++) { /* a choice: true and false stay, other numbers are numbers */
      if (!in[i]->is_number) continue;
      ms_cell *cell = ms_scalar_cell(in[i]->number);
      if (cell) ms_decides(&in[i]->number), ms_cell_release(cell); /* the operand held it */
      if (!ms_scalar_fits(in[i]->number, MS_BOOL)) t = MS_I64;
    }
  }
  for (int i = 0; i < n; i++) {
    int want = first && i == 0 ? MS_BOOL : t;
    if (class != MS_CLASS_COMPARE || !in[i]->is_number) to[i] = in[i];
    if (in[i]->is_number) to[i] = class == MS_CLASS_BOUND ? bounded(op, i, to[i], t) : to[i];
    else if (in[i]->dtype != want) to[i] = ms_cast(in[i], want);
    if (!to[i]) return -1;
  }
  return t;
}

/* Operands that are all numbers give a number: derivative rules write y - 1 whether y is a tensor or not. */
static ms_tensor *apply_to_numbers(const ms_op *op, int n, ms_tensor *const *in) {
  bool truth = op->flags & MS_NO_GRAD, whole = true;
  for (int i = 0; i < n; i++) {
    if (ms_scalar_cell(in[i]->number)) {
      if (!ms_observer_now) return ms_fail("compile: a live number of a step was used outside it");
      return ms_observer_now->on_numbers(op, n, in);
    }
    whole &= in[i]->is_integer_number;
  }
  const int class = op->elementwise_class;
  if (class == MS_CLASS_CHOOSE) return in[ms_scalar_value(in[0]->number) != 0 ? 1 : 2];
  if (class == MS_CLASS_WHOLE && !whole) return ms_fail("%s: expected integers, got numbers that are none", op->name);
  whole &= (class == MS_CLASS_ARITH && op->id != MS_OP_pow) || class == MS_CLASS_BOUND || class == MS_CLASS_COMPARE ||
           class == MS_CLASS_WHOLE;
  const int dtype = class == MS_CLASS_LOGIC ? MS_BOOL : whole ? MS_I64 : MS_F64;
  ms_device *cpu = ms_device_get("cpu");
  ms_tensor *r = cpu ? ms_empty(truth ? MS_BOOL : (ms_dtype)dtype, 0, NULL, cpu) : NULL;
  const ms_observer *was = ms_observe(NULL); /* not recorded: the numbers are constants */
  int ran = r ? run_kernel(op, cpu, n, in, NULL, 1, &r, dtype, NULL) : -1;
  ms_observe(was);
  if (ran < 0) return NULL;
  if (truth) return ms_number(*(bool *)ms_data(r));
  return whole ? ms_whole_number(*(int64_t *)ms_data(r)) : ms_number(*(double *)ms_data(r));
}

static ms_tensor *make_view(const ms_tensor *x, const ms_spec *s) {
  int64_t n = 1;
  for (int i = 0; i < s->rank; i++)
    if (__builtin_mul_overflow(n, s->shape[i] ? s->shape[i] : 1, &n) || n > INT64_MAX / 16)
      return ms_fail("a view of %s elements is more than can be addressed", ms_sizes_str(s->rank, s->shape));
  ms_tensor *t = ms_alias(x);
  if (!t) return NULL;
  t->rank = s->rank, t->dtype = s->dtype, t->offset = s->offset;
  memcpy(t->shape, s->shape, sizeof t->shape);
  memcpy(t->stride, s->stride, sizeof t->stride);
  t->is_view = true;
  if (t->storage) t->version = t->storage->version;
  return ms_autorelease(t);
}

/* f16 and bf16 where there is no kernel for them: compute in f32 and convert the floating results back. */
static int through_f32(const ms_op *op, ms_device *device, int n_in, ms_tensor *const *in, const ms_attr *attr, ms_tensor **out) {
  ms_tensor *in_f32[FEW_INPUTS];
  int half = -1;
  for (int i = 0; i < n_in && n_in <= FEW_INPUTS; i++) {
    bool is = in[i] && !in[i]->is_number && (in[i]->dtype == MS_F16 || in[i]->dtype == MS_BF16);
    if (is) half = in[i]->dtype;
    in_f32[i] = is ? ms_cast(in[i], MS_F32) : in[i];
  }
  if (half < 0 || op->mutates)
    return ms_fail("%s: no kernel for %s on %s", op->name, n_in ? ms_shape_str(in[0]) : "these arguments", device->name), -1;
  int n = ms_apply_n(op->id, device, n_in, in_f32, attr, out);
  for (int k = 0; k < n; k++)
    if (out[k]->dtype == MS_F32 && !(out[k] = ms_cast(out[k], half))) return -1;
  return n;
}

static int apply_ref(const ms_op *op, ms_device *device, int n_in, ms_tensor *const *in, const ms_attr *attr, int n_out,
                     ms_tensor **out) {
  ms_attr a[MS_MAX_ARGS];
  if (op->n_attr) memcpy(a, attr, (size_t)op->n_attr * sizeof *a);
  /* A reference may decide by its numbers; while a step is recorded they become constants here. */
  for (int i = 0, k = 0; ms_observer_now && !op->rule->live && i < op->n_arg; i++) {
    if (op->arg[i].is_tensor) continue;
    if (op->arg[i].kind == MS_K_SCALAR) ms_decides(&a[k].s);
    k++;
  }
  ms_ref r = {.op = op, .n_in = n_in, .n_out = n_out, .in = in, .attr = a, .device = device, .out = out};
  if (op->rule->ref(&r) < 0 || ms_error()) return -1;
  return r.n_out;
}

/* The attributes of a call: those given, else the defaults of the row. */
static void take_attributes(const ms_op *op, const ms_attr *given, ms_attr *a) {
  if (op->n_attr && given) memcpy(a, given, (size_t)op->n_attr * sizeof *a);
  for (int i = 0, k = 0; i < op->n_arg && !given; i++)
    if (!op->arg[i].is_tensor) a[k++] = op->arg[i].value;
}

/* Bring the floating arguments of a row that is not elementwise to one dtype; integers become f32. Fills to[] and gives 1; 0: there
 * are none, and to[] is not filled; -1 after ms_fail. */
static int common_float(const ms_op *op, int n, ms_tensor *const *in, ms_tensor **to) {
  int common = -1;
  for (int i = 0; i < n; i++)
    if (in[i] && ms_arg_of(op, i)->kind == MS_K_FLOAT) common = common < 0 ? in[i]->dtype : ms_promote(common, in[i]->dtype);
  if (common < 0) return 0;
  if (!ms_dtype_is_float(common)) common = MS_F32;
  for (int i = 0; i < n; i++) {
    to[i] = in[i] && ms_arg_of(op, i)->kind == MS_K_FLOAT && in[i]->dtype != common ? ms_cast(in[i], common) : in[i];
    if (in[i] && !to[i]) return -1;
  }
  return 1;
}

/* Before anything reads the operands: have they values, and do index tensors hold positions that exist? Where the host cannot read
 * them, the kernel looks (backend.h: faults). */
static int check_values(const ms_op *op, const ms_device *device, int n_in, ms_tensor *const *in, const int64_t *bound) {
  for (int i = 0; i < n_in && !(op->flags & MS_VIEW); i++)
    if (in[i] && in[i]->is_ghost)
      return ms_fail("%s: a derivative rule reads the values of %s, which its row does not keep", op->name, ms_arg_of(op, i)->name),
             -1;
  for (int i = 0; i < n_in && !(op->flags & MS_ELEMENTWISE); i++) {
    const ms_arg *arg = ms_arg_of(op, i);
    if (!in[i] || (arg->kind != MS_K_INDEX && arg->kind != MS_K_CLASS)) continue;
    if (in[i]->dtype != MS_I64 && in[i]->dtype != MS_I32 && in[i]->dtype != MS_U8)
      return ms_fail("%s: %s is %s, expected integers (dtype = \"i64\")", op->name, arg->name, ms_shape_str(in[i])), -1;
    if (!bound[i] && !device->backend->host_memory && ms_numel(in[i])) /* no value could be right, whatever they are */
      return ms_fail("%s: %s is %s, expected no elements: there are no positions (a size is 0)", op->name, arg->name,
                     ms_shape_str(in[i])),
             -1;
    ms_view v;
    tensor_view(in[i], &v);
    if (device->backend->host_memory && ms_check_index(op, i, &v, bound[i]) < 0) return -1;
  }
  return 0;
}

/* Operands and attributes that are checked and brought to their dtypes, the results' shapes known: what is left to do. */
typedef struct checked_call {
  const ms_op *op;
  ms_device *device;
  const ms_infer *infer; /* operands, attributes, shapes of the results */
  int number_dtype;      /* what number operands become */
  bool grad;             /* a gradient may be asked for later */
} checked_call;

/* Compose the results by the row's `ref`. With gradients and without a `vjp` the composition is what will be differentiated: its
 * results carry nodes. Otherwise it computes values only. How many results; -1 on failure. */
static int compose(const checked_call *c, ms_tensor **out) {
  const ms_infer *s = c->infer;
  const bool differentiated = c->grad && !c->op->rule->vjp;
  for (int k = 0; ms_observer_now && k < s->n_out; k++)
    if (ms_observer_now->made(out[k]) < 0) return -1;
  const bool was = ms_set_grad_enabled(differentiated);
  const int n = apply_ref(c->op, c->device, s->n_in, s->in, s->attr, s->n_out, out);
  ms_set_grad_enabled(was);
  for (int k = 0; k < n && !differentiated; k++)
    if (out[k]->node || !out[k]->storage || out[k] == s->in[0])
      return ms_fail("%s: its reference gave a tensor of the graph", c->op->name), -1;
  return n;
}

/* New tensors with the values of the results. *recorded: they carry nodes already. How many; -1 on failure. */
static int compute(const checked_call *c, ms_tensor **out, bool *recorded) {
  const ms_infer *s = c->infer;
  const ms_rule *rule = c->op->rule;
  for (int k = 0; k < s->n_out; k++)
    if (!(out[k] = ms_empty((ms_dtype)s->out[k].dtype, s->out[k].rank, s->out[k].shape, c->device))) return -1;
  *recorded = c->grad && rule->ref && !rule->vjp;
  const int ran = *recorded ? 0 : run_kernel(c->op, c->device, s->n_in, s->in, s->attr, s->n_out, out, c->number_dtype, s->bound);
  if (ran < 0) return -1;
  if (!ran && !rule->ref) return *recorded = true, through_f32(c->op, c->device, s->n_in, s->in, s->attr, out);
  if (!ran) {
    const int n = compose(c, out);
    if (n < 0 || *recorded) return n;
  }
  if (ms_numerics_watched() && s->n_out && ms_numerics_after(c->op, s->n_in, s->in, s->attr, s->n_out, out, &(ms_given){0}) < 0)
    return -1;
  return s->n_out;
}

static int apply(int id, ms_device *device, int n_in, ms_tensor *const *in, const ms_attr *attr, ms_tensor **out) {
  const ms_op *op = ms_op_at(id);
  if (ms_error() || check_inputs(op, n_in, in, &device) < 0) return -1;
  if (!device && !(device = ms_device_default())) return -1;
  if (ms_observer_now && ms_grad_enabled()) ms_observer_now->operands(n_in, in);
  ms_attr a[MS_MAX_ARGS];
  take_attributes(op, attr, a);
  if (op->mutates && ms_grad_enabled() && ms_any_needs_grad(n_in, in) && ms_functional_of(op) >= 0)
    return ms_become(op, in[0], ms_apply(ms_functional_of(op), n_in, in, a));
  if (op->mutates && ms_check_mutation(op, n_in, in) < 0) return -1;
  ms_tensor *apart[FEW_INPUTS];
  if (op->mutates && ms_functional_of(op) >= 0) {
    if (ms_keep_apart(n_in, in, apart) < 0) return -1;
    in = apart;
  }
  if (op->rule->composes) {
    ms_ref r = {.op = op, .n_in = n_in, .in = in, .attr = a, .device = device, .out = out};
    const int is = op->rule->composes(&r);
    if (is) return is < 0 || ms_error() ? -1 : r.n_out;
  }
  ms_tensor *converted[FEW_INPUTS];
  if (op->flags & MS_COMPOSITE) {
    const int some = n_in <= FEW_INPUTS ? common_float(op, n_in, in, converted) : 0;
    return some < 0 ? -1 : apply_ref(op, device, n_in, some ? converted : in, a, 1, out);
  }
  int number_dtype = MS_F64;
  if (op->flags & MS_ELEMENTWISE) {
    bool numbers = true;
    for (int i = 0; i < n_in; i++) numbers &= in[i]->is_number;
    if (numbers) return (out[0] = apply_to_numbers(op, n_in, in)) ? 1 : -1;
    if ((number_dtype = common_dtype(op, n_in, in, converted)) < 0) return -1;
    in = converted;
  } else if (n_in && n_in <= FEW_INPUTS) {
    const int some = common_float(op, n_in, in, converted);
    if (some < 0) return -1;
    if (some) in = converted;
  }

  ms_infer s = {.op = op, .n_in = n_in, .in = in, .attr = a, .dtype = number_dtype};
  if (op->rule->shape(&s) < 0 || check_values(op, device, n_in, in, s.bound) < 0) return -1;
  const bool grad = ms_grad_enabled() && !(op->flags & MS_NO_GRAD) && !op->mutates && ms_any_needs_grad(n_in, in);
  bool recorded = false;
  int n = s.n_out;
  if (op->flags & MS_VIEW) {
    if (!(out[0] = make_view(in[0], &s.out[0]))) return -1;
  } else if ((n = compute(&(checked_call){op, device, &s, number_dtype, grad}, out, &recorded)) < 0 || recorded) return n;
  return grad && ms_node_record(op, n_in, in, a, s.n_out, out) < 0 ? -1 : s.n_out;
}

int ms_apply_n(int id, ms_device *device, int n_in, ms_tensor *const *in, const ms_attr *attr, ms_tensor **out) {
  const ms_op *op = ms_op_at(id);
  const bool watched = op->mutates && ms_numerics_watched();
  ms_given given;
  if (watched && ms_numerics_before(n_in, in, &given) < 0) return -1;
  const int n = apply(id, device, n_in, in, attr, out);
  if (n >= 0 && op->mutates) ms_mutated(op, n_in, in);
  return n >= 0 && watched && ms_numerics_after(op, n_in, in, attr, 0, NULL, &given) < 0 ? -1 : n;
}

ms_tensor *ms_apply(int id, int n_in, ms_tensor *const *in, const ms_attr *attr) {
  ms_tensor *out[MS_MAX_OUT];
  int n = ms_apply_n(id, NULL, n_in, in, attr, out);
  return n < 0 ? NULL : n == 0 ? in[0] : out[0];
}

ms_tensor *ms_apply_inplace(int id, int n_in, ms_tensor *const *in, const ms_attr *attr) {
  const ms_op *op = ms_op_at(id);
  ms_device *device = NULL;
  ms_tensor *x = in[0], *converted[FEW_INPUTS];
  if (ms_error() || check_inputs(op, n_in, in, &device) < 0) return NULL;
  if (ms_observer_now && ms_grad_enabled()) ms_observer_now->operands(n_in, in);
  if (x->is_number) return ms_fail("%s_: a number cannot be changed in place", op->name);
  if (ms_check_overlap(op, x) < 0) return NULL;
  bool grad = ms_grad_enabled() && ms_any_needs_grad(n_in, in);
  if (grad && x->requires_grad && !x->node)
    return ms_fail("%s_: a leaf that requires gradients cannot be changed in place; do it inside ms.no_grad()", op->name);
  if (grad && x->is_view)
    return ms_fail("%s_: a view cannot be changed in place while gradients are recorded; use %s", op->name, op->name);
  int dtype = common_dtype(op, n_in, in, converted);
  if (dtype < 0) return NULL;
  ms_infer s = {.op = op, .n_in = n_in, .in = converted, .attr = (ms_attr *)attr, .dtype = dtype};
  if (op->rule->shape(&s) < 0) return NULL;
  const ms_spec *o = &s.out[0];
  bool same = o->rank == x->rank;
  for (int i = 0; same && i < x->rank; i++) same = o->shape[i] == x->shape[i];
  if (!same)
    return ms_fail("%s_: the result would be %s, which does not fit into %s", op->name, ms_sizes_str(o->rank, o->shape),
                   ms_shape_str(x));
  if (ms_dtype_is_float(o->dtype) && !ms_dtype_is_float(x->dtype))
    return ms_fail("%s_: the result would be %s, which %s cannot hold", op->name, ms_dtype_name(o->dtype), ms_shape_str(x));

  /* An operand that shares memory with x, but not element for element, is read before it is overwritten: copy it. */
  for (int i = 1; i < n_in; i++)
    if (converted[i]->storage && converted[i]->storage == x->storage &&
        (converted[i]->offset != x->offset || memcmp(converted[i]->shape, x->shape, x->rank * sizeof *x->shape) ||
         memcmp(converted[i]->stride, x->stride, x->rank * sizeof *x->stride) || converted[i]->rank != x->rank))
      if (!(converted[i] = ms_apply(MS_OP_clone, MS_IN(converted[i]), NULL))) return NULL;

  ms_tensor *result = x;
  ms_given given;
  const bool watched = ms_numerics_watched();
  if (watched && ms_numerics_before(n_in, converted, &given) < 0) return NULL;
  int ran = 0;
  if (o->dtype == x->dtype && converted[0] == x) ran = run_kernel(op, device, n_in, converted, attr, 1, &result, dtype, NULL);
  if (ran < 0) return NULL;
  if (!ran) {
    bool was = ms_set_grad_enabled(false);
    ms_tensor *y = ms_apply(id, n_in, in, attr);
    y = y ? ms_copy_(x, y) : NULL;
    ms_set_grad_enabled(was);
    if (!y) return NULL;
  }
  if (grad && ms_join_graph(op, n_in, converted, attr, x) < 0) return NULL;
  x->storage->version++;
  if (grad && x->node) x->node->out_version[0] = x->storage->version;
  if (grad) x->storage->graph_version = x->storage->version; /* views made before this know nothing of it */
  return watched && ran && ms_numerics_after(op, n_in, converted, attr, 1, &x, &given) < 0 ? NULL : x;
}
